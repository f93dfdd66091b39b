// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Persistent services: a client, or all clients that a mask makes one, goes to one server for as long as its template lasts.  A template is
 * an entry among the connections, without the client's port.  It lasts for the service's timeout after the last connection that began by
 * it, and as long as there are such connections; it leads to a server of weight 0, too (IPVS's expire_quiescent_template=0). */
#ifndef WEFT_DIRECTOR_BPF_PERSISTENCE_H
#define WEFT_DIRECTOR_BPF_PERSISTENCE_H

#include "weft/director/bpf/expiry.h"
#include "weft/director/bpf/locality.h"

#define NO_ROOM (LB_NONE - 1) /* In the place of a server: there is none for its template. */

/* Puts the template of that key to 'chosen'.  Returns the server that the template names then (another CPU may have been quicker), or
 * NO_ROOM. */
static __always_inline __u32 template_put(const struct lb_conn_key *key, __u32 number, __u32 chosen,
                                           const struct lb_server *server, __u32 is_proven)
{
    struct lb_conn *present = conn_at(conn_find(key)), *fresh;
    __u32 index;
    int result;

    if (present) { /* Its server is gone, or it was over and is not yet taken out. */
        __u32 state = *(volatile __u32 *)&present->state;

        if (state > LB_CONN_DEAD || !conn_change(present, state, LB_CONN_TEMPLATE))
            return chosen;
        present->server = chosen;
        present->incarnation = server->incarnation;
        present->server_port = key->port ? server->port : 0;
        present->service = number;
        present->is_proven = is_proven;
        present->last_seen = present->held = conn_now();
        conn_count(chosen, COUNTED_NOT, COUNTED_PERSISTENT); /* The server before is gone, with its count, or the template was dead. */
        return chosen;
    }
    index = conn_claim();
    fresh = conn_at(index);
    if (!fresh)
        return NO_ROOM;
    fresh->key = *key;
    fresh->server = chosen;
    fresh->incarnation = server->incarnation;
    fresh->server_port = key->port ? server->port : 0;
    fresh->is_translated = 0;
    fresh->service = number;
    fresh->is_proven = is_proven;
    fresh->last_seen = fresh->held = conn_now();
    result = conn_put(index, LB_CONN_TEMPLATE);
    if (!result)
        conn_count(chosen, COUNTED_NOT, COUNTED_PERSISTENT);
    if (result != CONN_EEXIST)
        return result ? NO_ROOM : chosen;
    present = conn_at(conn_find(key));
    return present ? present->server : chosen;
}

/* The server's number, LB_NONE or NO_ROOM. */
CHECKED_ALONE __u32 template_server(const struct packet *packet, __u32 number)
{
    const struct lb_service *service = service_get(number);
    struct lb_conn_key key ON_STACK;
    const struct lb_server *server;
    struct lb_conn *present;
    __u32 chosen;

    if (!packet || !service)
        return LB_NONE;
    template_key_of(service, packet->source, packet->destination, packet->protocol, &key);
    present = conn_at(conn_find(&key));
    if (present && *(volatile __u32 *)&present->state == LB_CONN_TEMPLATE && conn_has_server(present)) {
        present->last_seen = conn_now();
        return present->server;
    }
    chosen = server_for(packet, service, number);
    server = server_get(chosen);
    if (!server || server->method == LB_METHOD_NONE)
        return LB_NONE;
    if (chosen + 1 == service->fallback) /* Until there is a better one. */
        return chosen;
    return template_put(&key, number, chosen, server, packet->protocol != IPPROTO_TCP);
}

/* Who gets what begins now: as template_server. */
static __always_inline __u32 choose_server(const struct packet *packet, __u32 number)
{
    const struct lb_service *service = service_get(number);

    if (!service)
        return LB_NONE;
    return service->flags & LB_PERSISTENT ? template_server(packet, number) : server_for(packet, service, number);
}

#endif
