// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Services that remember: the packet's connection, found or begun, and what the packet does to its state.
 *
 * A TCP connection begins with a SYN only (IPVS's sloppy_tcp=0): who sends anything else could fill the table past the limit of half-open
 * ones.  A SYN on one that is closing begins it anew: the client uses the port again, and is not made to wait. */
#ifndef WEFT_DIRECTOR_BPF_TRACK_H
#define WEFT_DIRECTOR_BPF_TRACK_H

#include "weft/director/bpf/expiry.h"
#include "weft/director/bpf/full-nat.h"

static __always_inline void conn_key_of(const struct packet *packet, struct lb_conn_key *key)
{
    address_copy(key->client, packet->source);
    address_copy(key->address, packet->destination);
    key->client_port = packet->source_port;
    key->port = packet->destination_port;
    key->protocol = packet->protocol;
    key->of_server = 0;
    key->is_template = 0;
}

static __always_inline bool packet_opens(const struct packet *packet)
{
    return packet->protocol != IPPROTO_TCP || (packet->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
}

/* The state that follows 'state' when the client sends the packet. */
static __always_inline __u32 state_after(const struct packet *packet, __u32 state)
{
    if (packet->protocol != IPPROTO_TCP)
        return LB_CONN_UDP;
    if (packet->flags & (PACKET_QUOTE | PACKET_LATER_FRAGMENT))
        return state;
    if (packet->tcp_flags & TCP_RST) /* Who has not heard an answer yet takes nothing back: half open ones are counted, others are not. */
        return state == LB_CONN_SYN_RECV ? state : LB_CONN_CLOSE;
    if (packet->tcp_flags & TCP_FIN)
        return LB_CONN_FIN_WAIT;
    if (packet->tcp_flags & TCP_SYN)
        return state_is_inactive(state) || state == LB_CONN_NONE ? LB_CONN_SYN_RECV : state;
    return state == LB_CONN_SYN_RECV || state == LB_CONN_NONE ? LB_CONN_ESTABLISHED : state;
}

static __always_inline void conn_moves(struct lb_conn *conn, __u32 from, __u32 to)
{
    if (from == to || !conn_change(conn, from, to))
        return;
    if (state_is_inactive(from) != state_is_inactive(to))
        conn_count(conn->server, state_counted(from), state_counted(to));
    if (from == LB_CONN_SYN_RECV)
        half_open_count(conn->service, (__u32)-1);
    if (to == LB_CONN_SYN_RECV)
        half_open_count(conn->service, 1);
}

/* A persistent service leaves ports that are not its own as they are (it may be one for every port), as IPVS does. */
static __always_inline __u16 server_port_for(const struct packet *packet, const struct lb_service *service, const struct lb_server *server)
{
    if (!server->port || (service->flags & LB_PERSISTENT && packet->destination_port != service->key.port))
        return packet->destination_port;
    return server->port;
}

static __always_inline bool is_translated(const struct lb_server *server)
{
    return server->method == LB_METHOD_NAT || server->method == LB_METHOD_FULL_NAT;
}

static __always_inline bool conn_key_equal(const struct lb_conn_key *a, const struct lb_conn_key *b)
{
    return address_equal(a->client, b->client) && address_equal(a->address, b->address) && a->client_port == b->client_port && a->port == b->port &&
           a->protocol == b->protocol && a->of_server == b->of_server;
}

/* The server's view, by which its answers find the connection; of full NAT with what local_find has found.  0, or a drop reason. */
static __always_inline __u32 conn_put_reverse(const struct lb_conn_key *key, const struct lb_server *server, __u16 server_port, __u32 position,
                                              __u16 local_port)
{
    struct lb_conn_key reverse ON_STACK;
    struct lb_conn value ON_STACK = {};
    struct lb_conn *present;
    int result;

    if (local_port) {
        const struct lb_local *local = map_lookup(locals, &position);

        if (!local)
            return LB_DROP_no_port;
        address_copy(reverse.client, local->address);
        reverse.client_port = local_port;
    } else {
        address_copy(reverse.client, key->client);
        reverse.client_port = key->client_port;
    }
    address_copy(reverse.address, server->address);
    reverse.port = server_port;
    reverse.protocol = key->protocol;
    reverse.of_server = 1;
    reverse.is_template = 0;
    value.forward = *key;
    result = conn_insert(&reverse, &value);
    if (!result)
        return 0;
    if (result != CONN_EEXIST)
        return LB_DROP_table_full;
    present = map_lookup(connections, &reverse);
    if (!present)
        return LB_DROP_table_full;
    struct lb_conn_key other ON_STACK = present->forward;
    if (conn_key_equal(&other, key)) /* And not another client's: with full NAT the name does not tell. */
        return 0;
    const struct lb_conn *owner = map_lookup(connections, &other);
    if (local_port || (owner && conn_is_alive(owner)))
        return LB_DROP_no_port; /* The same client's port, to the same server, by another service; or another CPU was quicker. */
    present->forward = *key;
    return 0;
}

/* Begins a connection with the server 'chosen'.  0, or a drop reason. */
CHECKED_ALONE __u32 conn_begin(struct packet *packet, __u32 number, __u32 chosen)
{
    struct lb_conn_key key ON_STACK;
    struct lb_conn fresh ON_STACK = {};
    const struct lb_service *service = service_get(number);
    const struct lb_server *server = server_get(chosen);
    int result;

    if (!packet || !service || !server || server->method == LB_METHOD_NONE)
        return LB_DROP_no_server;
    conn_key_of(packet, &key);
    fresh.state = state_after(packet, LB_CONN_NONE);
    fresh.last_seen = conn_now();
    fresh.server = chosen;
    fresh.incarnation = server->incarnation;
    fresh.service = number;
    fresh.server_port = server_port_for(packet, service, server);
    fresh.is_translated = is_translated(server);
    fresh.local = packet->local;
    fresh.local_port = packet->local_port;
    if (fresh.is_translated) {
        __u32 reason = conn_put_reverse(&key, server, fresh.server_port, packet->local, packet->local_port);

        if (reason)
            return reason;
    }
    result = conn_insert(&key, &fresh);
    if (result)
        return result == CONN_EEXIST ? LB_DROP_no_connection : LB_DROP_table_full;
    conn_count(chosen, COUNTED_NOT, state_counted(fresh.state)); /* A SYN with FIN closes at once. */
    if (fresh.state == LB_CONN_SYN_RECV)
        half_open_count(number, 1);
    packet->server_port = fresh.server_port;
    return 0;
}

/* A connection that is over, or has lost its server, begins anew in its old place. */
CHECKED_ALONE __u32 conn_renew(struct packet *packet, __u32 number, __u32 chosen)
{
    struct lb_conn_key key ON_STACK;
    const struct lb_service *service = service_get(number);
    const struct lb_server *server = server_get(chosen);
    __u32 state, fresh;
    struct lb_conn *conn;

    if (!packet || !service || !server || server->method == LB_METHOD_NONE)
        return LB_DROP_no_server;
    conn_key_of(packet, &key);
    if (is_translated(server)) {
        __u32 reason = conn_put_reverse(&key, server, server_port_for(packet, service, server), packet->local, packet->local_port);

        if (reason)
            return reason;
    }
    conn = map_lookup(connections, &key);
    if (!conn)
        return LB_DROP_no_connection;
    state = *(volatile __u32 *)&conn->state;
    fresh = state_after(packet, LB_CONN_NONE);
    if (state == LB_CONN_GONE || !conn_change(conn, state, fresh))
        return LB_DROP_no_connection;
    if (state != LB_CONN_DEAD)
        conn_uncount(conn, state);
    conn->server = chosen;
    conn->incarnation = server->incarnation;
    conn->service = number;
    conn->server_port = server_port_for(packet, service, server);
    conn->is_translated = is_translated(server);
    conn->local = packet->local;
    conn->local_port = packet->local_port;
    conn->last_seen = conn_now();
    conn_count(chosen, COUNTED_NOT, state_counted(fresh));
    if (fresh == LB_CONN_SYN_RECV)
        half_open_count(number, 1);
    packet->server_port = conn->server_port;
    return 0;
}

static __always_inline bool is_flooded(const struct packet *packet, __u32 number)
{
    const struct lb_service *service = service_get(number);
    const struct lb_service_load *load = map_lookup(service_load, &number);

    return service && load && state_after(packet, LB_CONN_NONE) == LB_CONN_SYN_RECV && count_of(load->half_open) >= service->half_open_limit;
}

/* Who gets the connection that begins with the packet, in '*ret_server', and of which local port.  0, or a drop reason. */
static __always_inline __u32 choose_names(struct packet *packet, __u32 number, __u32 *ret_server)
{
    __u32 chosen = choose_server(packet, number);
    const struct lb_server *server = server_get(chosen);
    const struct lb_service *service = service_get(number);

    *ret_server = chosen;
    if (chosen == NO_ROOM)
        return LB_DROP_table_full;
    if (!server || !service || server->method != LB_METHOD_FULL_NAT)
        return 0;
    return local_find(packet, chosen, server_port_for(packet, service, server));
}

/* The connection's server in '*ret_server'.  0, or a drop reason. */
static __always_inline __u32 conn_server(struct packet *packet, __u32 number, __u32 *ret_server)
{
    struct lb_conn_key key ON_STACK;
    struct lb_conn *conn;
    __u32 now = conn_now(), state, reason;

    conn_key_of(packet, &key);
    conn = map_lookup(connections, &key);
    if (!conn) {
        if (packet->flags & (PACKET_QUOTE | PACKET_LATER_FRAGMENT) || !packet_opens(packet))
            return LB_DROP_no_connection;
        if (is_flooded(packet, number))
            return LB_DROP_syn_flood;
        reason = choose_names(packet, number, ret_server);
        if (!reason)
            reason = conn_begin(packet, number, *ret_server);
        packet->flags |= reason ? 0 : PACKET_BEGINS;
        return reason;
    }
    state = *(volatile __u32 *)&conn->state;
    if (state == LB_CONN_GONE)
        return LB_DROP_no_connection; /* For a moment. */
    if (state == LB_CONN_DEAD || !conn_has_server(conn) || (state_is_inactive(state) && packet_opens(packet))) {
        if (!packet_opens(packet))
            return state == LB_CONN_DEAD ? LB_DROP_no_connection : LB_DROP_server_gone;
        reason = choose_names(packet, number, ret_server);
        if (!reason)
            reason = conn_renew(packet, number, *ret_server);
        packet->flags |= reason ? 0 : PACKET_BEGINS;
        return reason;
    }
    if (!(packet->flags & PACKET_QUOTE)) /* Which anybody may send. */
        conn->last_seen = now;
    conn_moves(conn, state, state_after(packet, state));
    *ret_server = conn->server;
    packet->server_port = conn->server_port;
    packet->local = conn->local;
    packet->local_port = conn->local_port;
    return 0;
}

#endif
