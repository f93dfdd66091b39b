// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Persistent services: a client, or all clients that a mask makes one, goes to one server for as long as its template lasts.  A template is
 * an entry among the connections, without the client's port.  It lasts for the service's timeout after the last connection that began by
 * it, and as long as there are such connections; it leads to a server of weight 0, too (IPVS's expire_quiescent_template=0). */
#ifndef WEFT_DIRECTOR_BPF_PERSISTENCE_H
#define WEFT_DIRECTOR_BPF_PERSISTENCE_H

#include "weft/director/bpf/expiry.h"
#include "weft/director/bpf/locality.h"

/* In the place of a server: */
#define NO_ROOM (LB_NONE - 1)   /* there is none for its template; */
#define TOO_EARLY (LB_NONE - 2) /* another CPU is about to say who it is. */

/* The drop reason where no server could be chosen, else 0. */
static __always_inline __u32 no_choice(__u32 chosen)
{
    return chosen == NO_ROOM ? LB_DROP_table_full : chosen == TOO_EARLY ? LB_DROP_no_connection : 0;
}

/* Whom a template names that another CPU puts or renews, if it has come so far. */
static __always_inline __u32 template_named(const struct lb_conn *present)
{
    return present && conn_state(present) == LB_CONN_TEMPLATE ? *(volatile const __u32 *)&present->server : TOO_EARLY;
}

/* Gives a template another server: its own is gone, or it was over and is not yet taken out.  Returns as template_put. */
static __always_inline __u32 template_renew(struct lb_conn *present, __u32 number, __u32 chosen, const struct lb_server *server, __u32 is_proven)
{
    __u32 word = conn_word(present), state = state_of(word);

    if (state > LB_CONN_DEAD || !conn_seize(present, word))
        return template_named(present);
    if (state == LB_CONN_TEMPLATE && conn_has_server(present)) { /* Another CPU has done it. */
        chosen = present->server;
        conn_settle(present, state);
        return chosen;
    }
    present->server = chosen; /* The one before is gone, with its count, or the template was dead. */
    present->incarnation = server->incarnation;
    present->server_port = present->key.port ? server->port : 0;
    present->service = number;
    present->is_proven = is_proven;
    present->last_seen = present->held = conn_now();
    conn_settle(present, LB_CONN_TEMPLATE);
    conn_count(chosen, COUNTED_NOT, COUNTED_PERSISTENT);
    return chosen;
}

/* Puts the template of that key to 'chosen'.  Returns the server that the template names then (another CPU may have been quicker),
 * NO_ROOM or TOO_EARLY. */
static __always_inline __u32 template_put(const struct lb_conn_key *key, __u32 number, __u32 chosen,
                                           const struct lb_server *server, __u32 is_proven)
{
    struct lb_conn *present = conn_at(conn_find(key)), *fresh;
    __u32 index;
    int result;

    if (present)
        return template_renew(present, number, chosen, server, is_proven);
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
    return result == CONN_EEXIST ? template_named(conn_at(conn_find(key))) : result ? NO_ROOM : chosen;
}

/* The server's number, LB_NONE, NO_ROOM or TOO_EARLY. */
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
    if (present && conn_state(present) == LB_CONN_TEMPLATE && conn_has_server(present)) {
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
