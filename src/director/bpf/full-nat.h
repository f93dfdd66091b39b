// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Full NAT: a connection to the server comes of an address and a port of the host's own, so that its answers come back whatever the
 * server's routes.  The server's view of the connection is the name that is given out: one that is there is taken, so an address has its
 * ports once for each server.  Which are tried first is a keyed hash (RFC 6056, 3.3.3). */
#ifndef WEFT_DIRECTOR_BPF_FULL_NAT_H
#define WEFT_DIRECTOR_BPF_FULL_NAT_H

#include "weft/director/bpf/persistence.h"

struct local_search {
    __u32 server;
    __u32 n_locals;
    __u64 hash;
    __u16 server_port;
    __u16 ipv6;
    __u32 local;   /* What was found: the position, */
    __u32 port;    /* and the port, in host order; 0: none. */
};

static __always_inline const struct lb_local *local_given(__u32 n, __u32 n_locals, __u16 ipv6, __u32 *ret_position)
{
    __u32 place = n_locals ? n % n_locals : 0;
    const struct lb_local *list = map_lookup(locals, &place);

    if (!list)
        return NULL;
    *ret_position = list->given[ipv6 & 1];
    return map_lookup(locals, ret_position);
}

/* Is it the view of the packet's connection, which has its place, alive or dead? */
static __always_inline bool is_own_view(const struct lb_conn *view, const struct packet *packet)
{
    const struct lb_conn *conn = conn_at(view->forward);
    const struct lb_conn_key *key;

    if (!conn || (!conn_is_alive(conn) && conn_state(conn) != LB_CONN_DEAD))
        return false;
    key = &conn->key;
    return address_equal(key->client, packet->source) && address_equal(key->address, packet->destination) &&
           key->client_port == packet->source_port && key->port == packet->destination_port && key->protocol == packet->protocol && !key->is_template;
}

static long local_try(__u32 index, void *context)
{
    struct local_search *search = context;
    __u32 number = search->server, zero = 0, position = 0, port;
    const struct packet *packet = packet_memory(&zero);
    const struct lb_server *server = server_get(number);
    const struct lb_local *local = local_given((__u32)search->hash + index, search->n_locals, search->ipv6, &position);
    struct lb_conn_key view ON_STACK;
    const struct lb_conn *present;

    if (!packet || !server || !local)
        return 1;
    /* Odd steps meet all ports in the end. */
    port = LB_LOCAL_PORT_MIN + ((__u32)(search->hash >> 32) + index * (((__u32)search->hash & 0x3ff) | 1)) % (65536 - LB_LOCAL_PORT_MIN);
    address_copy(view.client, local->address);
    address_copy(view.address, server->address);
    view.client_port = bpf_htons((__u16)port);
    view.port = search->server_port;
    view.protocol = packet->protocol;
    view.of_server = 1;
    view.is_template = 0;
    present = conn_at(conn_find(&view));
    if (present && !is_own_view(present, packet))
        return 0;
    search->local = position;
    search->port = port;
    return 1;
}

/* Finds a local address and port for the packet's connection and puts them into '*packet'.  0, or a drop reason. */
CHECKED_ALONE __u32 local_find(struct packet *packet, __u32 server, __u16 server_port)
{
    __u32 zero = 0;
    const struct lb_settings *facts = map_lookup(settings, &zero);

    if (!packet || !facts)
        return LB_DROP_no_port;
    struct local_search search = {.server = server, .n_locals = packet->ipv6 ? facts->n_locals[1] : facts->n_locals[0],
                                  .server_port = server_port, .ipv6 = packet->ipv6, .local = frame_unknown(0), .port = frame_unknown(0)};
    if (!search.n_locals)
        return LB_DROP_no_port;
    search.hash = mix(load64(packet->source) + mix(load64(packet->source + 8) + load64(packet->destination + 8)) + packet->source_port +
                      ((__u64)packet->destination_port << 16) + ((__u64)facts->secret << 32) + server);
    frame_loop(LB_LOCAL_TRIES, local_try, &search);
    if (!search.port)
        return LB_DROP_no_port;
    packet->local = (__u16)search.local;
    packet->local_port = bpf_htons((__u16)search.port);
    return 0;
}

#endif
