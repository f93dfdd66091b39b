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

/* From the state that 'word' was read with. */
static __always_inline void conn_moves(struct lb_conn *conn, __u32 word, __u32 to)
{
    __u32 from = state_of(word);
    struct conn_place place ON_STACK;

    if (from == to || !conn_place_of(conn, word, &place) || !conn_change(conn, word, to))
        return;
    if (state_is_inactive(from) != state_is_inactive(to) && is_server_there(place.server, place.incarnation))
        conn_count(place.server, state_counted(from), state_counted(to));
    if (from == LB_CONN_SYN_RECV)
        half_open_count(place.service, (__u32)-1);
    if (to == LB_CONN_SYN_RECV)
        half_open_count(place.service, 1);
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

/* What a client's connection is at the server 'number', of 'server_port' and, with full NAT, of what local_find has found. */
struct conn_names {
    __u32 number;
    __u16 server_port, local, local_port;
    __u16 pad;
};

/* Links a view of that key, of the connection in the slot 'forward'.  0, or a drop reason. */
static __always_inline __u32 view_put(const struct lb_conn_key *key, __u32 forward)
{
    __u32 index = conn_claim();
    struct lb_conn *view = conn_at(index);
    int result;

    if (!view)
        return LB_DROP_table_full;
    view->key = *key;
    view->forward = forward;
    view->is_suspect = 0;
    result = conn_put(index, LB_CONN_VIEW);
    return !result ? 0 : result == CONN_EEXIST ? LB_DROP_no_port : LB_DROP_table_full;
}

/* Leads a view that is there to the connection of 'key' in the slot 'forward'.  0, or a drop reason: it is another one's, or somebody was quicker. */
static __always_inline __u32 view_take(struct lb_conn *view, const struct lb_conn_key *key, bool is_full, __u32 forward)
{
    __u32 before = *(volatile __u32 *)&view->forward;
    const struct lb_conn *owner = conn_at(before);

    if (before != forward) {
        /* Another CPU is about to put the very connection, or to make it what this is the view of: this packet comes too early. */
        if (owner && (state_is_changing(conn_state(owner)) || (conn_state(owner) == LB_CONN_CLAIMED && conn_key_equal(&owner->key, key))))
            return LB_DROP_no_connection;
        if (is_full || (owner && conn_is_alive(owner) && is_view_of(&view->key, owner)))
            return LB_DROP_no_port; /* The same client's port, to the same server, by another service; or another CPU was quicker. */
        if (__sync_val_compare_and_swap(&view->forward, before, forward) != before)
            return LB_DROP_no_connection;
    }
    (void)__sync_val_compare_and_swap(&view->is_suspect, 1, 0); /* See sweep_view. */
    return conn_state(view) == LB_CONN_VIEW ? 0 : LB_DROP_no_connection;
}

/* The server's view, by which its answers find the connection in the slot 'forward'.  0, or a drop reason. */
CHECKED_ALONE __u32 conn_put_view(const struct lb_conn_key *key, const struct conn_names *names, __u32 forward)
{
    struct lb_conn_key view ON_STACK;
    const struct lb_server *server = names ? server_get(names->number) : NULL;
    struct lb_conn *present;

    if (!key || !names || !server)
        return LB_DROP_no_server;
    if (names->local_port) {
        __u32 position = names->local;
        const struct lb_local *local = map_lookup(locals, &position);

        if (!local)
            return LB_DROP_no_port;
        address_copy(view.client, local->address);
        view.client_port = names->local_port;
    } else {
        address_copy(view.client, key->client);
        view.client_port = key->client_port;
    }
    address_copy(view.address, server->address);
    view.port = names->server_port;
    view.protocol = key->protocol;
    view.of_server = 1;
    view.is_template = 0;
    present = conn_at(conn_find(&view));
    return present ? view_take(present, key, names->local_port != 0, forward) : view_put(&view, forward);
}

static __always_inline void conn_name(struct lb_conn *conn, const struct conn_names *names, const struct lb_server *server, __u32 service)
{
    conn->server = names->number;
    conn->incarnation = server->incarnation;
    conn->service = service;
    conn->server_port = names->server_port;
    conn->is_translated = is_translated(server);
    conn->is_proven = 0;
    conn->local = names->local;
    conn->local_port = names->local_port;
}

/* Begins a connection with the server 'chosen'.  0, or a drop reason. */
CHECKED_ALONE __u32 conn_begin(struct packet *packet, __u32 number, __u32 chosen)
{
    const struct lb_service *service = service_get(number);
    const struct lb_server *server = server_get(chosen);
    __u32 index, state, reason;
    struct lb_conn *conn;
    int result;

    if (!packet || !service || !server || server->method == LB_METHOD_NONE)
        return LB_DROP_no_server;
    struct conn_names names ON_STACK = {.number = chosen, .server_port = server_port_for(packet, service, server), .local = packet->local,
                                        .local_port = packet->local_port};
    index = conn_claim();
    conn = conn_at(index);
    if (!conn)
        return LB_DROP_table_full;
    conn_key_of(packet, &conn->key);
    conn_name(conn, &names, server, number);
    conn->last_seen = conn_now();
    state = state_after(packet, LB_CONN_NONE);
    reason = is_translated(server) ? conn_put_view(&conn->key, &names, index) : 0;
    if (reason) {
        conn_release(conn);
        return reason;
    }
    result = conn_put(index, state);
    if (result)
        return result == CONN_EEXIST ? LB_DROP_no_connection : LB_DROP_table_full;
    conn_count(chosen, COUNTED_NOT, state_counted(state)); /* A SYN with FIN closes at once. */
    if (state == LB_CONN_SYN_RECV)
        half_open_count(number, 1);
    packet->server_port = names.server_port;
    return 0;
}

/* Is a packet that opens one the beginning of another connection? */
static __always_inline bool conn_is_past(const struct lb_conn *conn, __u32 state)
{
    return state == LB_CONN_DEAD || state_is_inactive(state) || !conn_has_server(conn);
}

/* A connection that is over, or has lost its server, begins anew in its old place, 'index'. */
CHECKED_ALONE __u32 conn_renew(struct packet *packet, __u32 number, __u32 chosen, __u32 index)
{
    const struct lb_service *service = service_get(number);
    const struct lb_server *server = server_get(chosen);
    struct lb_conn *conn = conn_at(index);
    __u32 word, state, fresh, reason = 0;

    if (!packet || !service || !server || server->method == LB_METHOD_NONE)
        return LB_DROP_no_server;
    if (!conn)
        return LB_DROP_no_connection;
    struct conn_names names ON_STACK = {.number = chosen, .server_port = server_port_for(packet, service, server), .local = packet->local,
                                        .local_port = packet->local_port};
    word = conn_word(conn);
    state = state_of(word);
    fresh = state_after(packet, LB_CONN_NONE);
    if (state > LB_CONN_DEAD || !conn_seize(conn, word))
        return LB_DROP_no_connection;
    if (!conn_is_past(conn, state)) /* Another CPU has begun it anew. */
        reason = LB_DROP_no_connection;
    else if (is_translated(server))
        reason = conn_put_view(&conn->key, &names, index);
    if (reason) {
        conn_settle(conn, state);
        return reason;
    }
    conn_uncount(conn, state);
    conn_name(conn, &names, server, number);
    conn->last_seen = conn_now();
    conn_settle(conn, fresh);
    conn_count(chosen, COUNTED_NOT, state_counted(fresh));
    if (fresh == LB_CONN_SYN_RECV)
        half_open_count(number, 1);
    packet->server_port = names.server_port;
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
    if (no_choice(chosen))
        return no_choice(chosen);
    if (!server || !service || server->method != LB_METHOD_FULL_NAT)
        return 0;
    return local_find(packet, chosen, server_port_for(packet, service, server));
}

/* The connection's server in '*ret_server'.  0, or a drop reason. */
static __always_inline __u32 conn_server(struct packet *packet, __u32 number, __u32 *ret_server)
{
    struct lb_conn_key key ON_STACK;
    struct lb_conn *conn;
    __u32 now = conn_now(), index, word, state, reason;

    conn_key_of(packet, &key);
    index = conn_find(&key);
    conn = conn_at(index);
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
    word = conn_word(conn);
    state = state_of(word);
    if (state_is_changing(state) || state > LB_CONN_DEAD)
        return LB_DROP_no_connection; /* For a moment. */
    if (state == LB_CONN_DEAD || !conn_has_server(conn) || (state_is_inactive(state) && packet_opens(packet))) {
        if (!packet_opens(packet))
            return state == LB_CONN_DEAD ? LB_DROP_no_connection : LB_DROP_server_gone;
        reason = choose_names(packet, number, ret_server);
        if (!reason)
            reason = conn_renew(packet, number, *ret_server, index);
        packet->flags |= reason ? 0 : PACKET_BEGINS;
        return reason;
    }
    if (!(packet->flags & PACKET_QUOTE)) /* Which anybody may send. */
        conn->last_seen = now;
    conn_moves(conn, word, state_after(packet, state));
    *ret_server = *(volatile __u32 *)&conn->server;
    packet->server_port = *(volatile __u16 *)&conn->server_port;
    packet->local = *(volatile __u16 *)&conn->local;
    packet->local_port = *(volatile __u16 *)&conn->local_port;
    return conn_is_same(conn, word) ? 0 : LB_DROP_no_connection;
}

#endif
