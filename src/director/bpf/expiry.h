// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How connections end: silent for too long, or without their server, they are dead, and dead ones are taken out a round later.  It needs
 * nobody in user space: one timer walks over the slots, a stretch each tick, all of them in about 13 s, of larger tables than by default in 26 s (why no timer in each entry:
 * weft/dataplane/bpf/expiry.h). */
#ifndef WEFT_DIRECTOR_BPF_EXPIRY_H
#define WEFT_DIRECTOR_BPF_EXPIRY_H

#include "weft/director/bpf/packet.h"

#define SWEEP_TICK_NS 50000000ull
#define SWEEP_STRETCH 2048
#define SLOT_TRIES 64
#define LARGE_ROUND_NS 25600000000ull

/* More slots have more ticks, not longer ones: nothing else goes on meanwhile on that CPU. */
static __always_inline __u64 sweep_tick_ns(void)
{
    return lb_n_slots > LB_SLOTS ? LARGE_ROUND_NS / (lb_n_slots / SWEEP_STRETCH) : SWEEP_TICK_NS;
}

static __always_inline __u32 conn_now(void)
{
    return (__u32)(time_ns() >> LB_TIME_SHIFT);
}

/* What another CPU wrote just now counts as now. */
static __always_inline __u32 conn_age(__u32 now, __u32 then)
{
    return (__s32)(now - then) > 0 ? now - then : 0;
}

static __always_inline __u32 conn_ticks(__u32 seconds)
{
    return (__u32)((__u64)seconds * 1000000000ull >> LB_TIME_SHIFT);
}

static __always_inline __u32 conn_timeout(const struct lb_conn *conn, __u32 state)
{
    __u32 zero = 0, seconds = LB_CLOSE_S;
    const struct lb_settings *limits = map_lookup(settings, &zero);

    if (!limits)
        return 0;
    if (state == LB_CONN_TEMPLATE) {
        const struct lb_service *service = service_get(conn->service);

        seconds = service ? service->persistence_s : 0;
        if (!conn->is_proven && seconds > LB_SYN_RECV_S) /* Or a flood of SYNs would fill the table with them. */
            seconds = LB_SYN_RECV_S;
    } else if (state == LB_CONN_SYN_RECV)
        seconds = LB_SYN_RECV_S;
    else if (state == LB_CONN_ESTABLISHED)
        seconds = limits->tcp_s;
    else if (state == LB_CONN_FIN_WAIT)
        seconds = limits->tcp_fin_s;
    else if (state == LB_CONN_UDP)
        seconds = limits->udp_s;
    return conn_ticks(seconds);
}

static __always_inline bool state_is_inactive(__u32 state)
{
    return state == LB_CONN_FIN_WAIT || state == LB_CONN_CLOSE;
}

/* As what a connection counts at its server. */
#define COUNTED_NOT 0u
#define COUNTED_ACTIVE 1u
#define COUNTED_INACTIVE 2u
#define COUNTED_PERSISTENT 3u

static __always_inline __u32 state_counted(__u32 state)
{
    return state == LB_CONN_TEMPLATE ? COUNTED_PERSISTENT : state_is_inactive(state) ? COUNTED_INACTIVE : COUNTED_ACTIVE;
}

static __always_inline __u32 *load_count(struct lb_server_load *load, __u32 counted)
{
    return counted == COUNTED_ACTIVE ? &load->active : counted == COUNTED_INACTIVE ? &load->inactive : &load->persistent;
}

/* While tables grow, a count may be below zero for a moment (lb_settle in load.h). */
static __always_inline __u32 count_of(__u32 value)
{
    return (__s32)value > 0 ? value : 0;
}

/* As IPVS: with 'upper' connections a server is overloaded, until it has fewer than 'lower', which is three quarters unless it is given. */
static __always_inline void load_judge(struct lb_server_load *load, bool has_grown)
{
    __u32 total, upper = *(volatile __u32 *)&load->upper, lower = *(volatile __u32 *)&load->lower;

    if (!upper)
        return;
    total = count_of(*(volatile __u32 *)&load->active + *(volatile __u32 *)&load->inactive);
    if (has_grown && total >= upper)
        load->is_overloaded = 1;
    else if (!has_grown && (lower ? total < lower : (__u64)total * 4 < (__u64)upper * 3))
        load->is_overloaded = 0;
}

/* Moves a connection's count at its server. */
static __always_inline void conn_count(__u32 server, __u32 from, __u32 to)
{
    struct lb_server_load *load = map_lookup(server_load, &server);

    if (!load)
        return;
    if (from)
        __sync_fetch_and_add(load_count(load, from), -1);
    if (to)
        __sync_fetch_and_add(load_count(load, to), 1);
    load_judge(load, to != COUNTED_NOT);
}

static __always_inline void half_open_count(__u32 service, __u32 difference)
{
    struct lb_service_load *load = map_lookup(service_load, &service);

    if (load)
        __sync_fetch_and_add(&load->half_open, difference);
}

static __always_inline bool conn_change(struct lb_conn *conn, __u32 from, __u32 to)
{
    return __sync_val_compare_and_swap(&conn->state, from, to) == from;
}

static __always_inline bool conn_has_server(const struct lb_conn *conn)
{
    __u32 number = conn->server;
    const struct lb_server_record *record = map_lookup(servers, &number);

    return record && record->copy[record->active & 1].incarnation == conn->incarnation;
}

/* It counts no more. */
static __always_inline void conn_uncount(struct lb_conn *conn, __u32 state)
{
    if (conn_has_server(conn)) /* Else the count in that place is another server's. */
        conn_count(conn->server, state_counted(state), COUNTED_NOT);
    if (state == LB_CONN_SYN_RECV)
        half_open_count(conn->service, (__u32)-1);
}

static __always_inline void slot_free(struct lb_slot *slot)
{
    __u32 zero = 0;
    struct sweeper_record *record = map_lookup(sweeper, &zero);

    if (record && !slot->key.of_server)
        __sync_fetch_and_add(&record->n_connections, -1);
    *(volatile __u32 *)&slot->state = LB_SLOT_FREE;
}

/* The key of the template that is for this client. */
static __always_inline void template_key_of(const struct lb_service *service, const __u8 *client, const __u8 *address, __u8 protocol,
                                            struct lb_conn_key *key)
{
    for (int i = 0; i < 16; i += 8)
        store64(key->client + i, load64(client + i) & load64(service->persistence_mask + i));
    if (service->key.mark && service->key.ipv6) { /* Where IPVS lists the mark, too. */
        store64(key->address, bpf_htonl(service->key.mark));
        store64(key->address + 8, 0);
    } else if (service->key.mark) {
        address_map_ipv4(key->address, bpf_htonl(service->key.mark));
    } else {
        address_copy(key->address, address);
    }
    key->client_port = 0;
    key->port = service->key.port;
    key->protocol = service->key.mark ? 0 : protocol;
    key->of_server = 0;
    key->is_template = 1;
}

static __always_inline bool conn_is_alive(const struct lb_conn *conn)
{
    __u32 state = *(volatile const __u32 *)&conn->state;

    return state != LB_CONN_NONE && state < LB_CONN_DEAD;
}

/* A template lasts as long as its connections do: each is seen once a round. */
static __always_inline void sweep_hold(const struct lb_conn_key *key, const struct lb_conn *conn, __u32 state, __u32 now)
{
    const struct lb_service *service = service_get(conn->service);
    struct lb_conn_key template ON_STACK;
    struct lb_conn *held;

    if (!service || !(service->flags & LB_PERSISTENT))
        return;
    template_key_of(service, key->client, key->address, key->protocol, &template);
    held = map_lookup(connections, &template);
    if (!held || held->server != conn->server || held->incarnation != conn->incarnation)
        return;
    if (state == LB_CONN_SYN_RECV && !held->is_proven) /* A SYN is not to hold it longer than itself. */
        return;
    held->held = now;
    if (state == LB_CONN_ESTABLISHED || state == LB_CONN_FIN_WAIT)
        held->is_proven = 1;
}

static __always_inline bool conn_is_over(const struct lb_conn *conn, __u32 state, __u32 now, __u32 age)
{
    if (age < conn_timeout(conn, state))
        return !conn_has_server(conn);
    return state != LB_CONN_TEMPLATE || conn_age(now, conn->held) >= conn_ticks(LB_HELD_S) || !conn_has_server(conn);
}

/* The server's view goes with the connection that it leads to. */
static __always_inline void sweep_reverse(struct lb_slot *slot, const struct lb_conn *reverse)
{
    struct lb_conn_key key ON_STACK = reverse->forward;
    const struct lb_conn *conn = map_lookup(connections, &key);

    if (conn && conn_is_alive(conn) && (!conn->local_port || conn->local_port == slot->key.client_port)) {
        slot->is_suspect = 0;
        return;
    }
    if (!slot->is_suspect) { /* Its connection may be about to be put: that is seen a round later. */
        slot->is_suspect = 1;
        return;
    }
    map_delete(connections, &slot->key);
    slot_free(slot);
}

static __always_inline void sweep_slot(struct lb_slot *slot, __u32 now)
{
    struct lb_conn_key key ON_STACK = slot->key;
    struct lb_conn *conn = map_lookup(connections, &key);

    if (!conn) {
        slot_free(slot);
        return;
    }
    if (key.of_server) {
        sweep_reverse(slot, conn);
        return;
    }
    __u32 state = *(volatile __u32 *)&conn->state, age = conn_age(now, *(volatile __u32 *)&conn->last_seen);
    if (state == LB_CONN_DEAD) {
        if (age && conn_change(conn, LB_CONN_DEAD, LB_CONN_GONE)) {
            map_delete(connections, &key);
            slot_free(slot);
        }
    } else if (state == LB_CONN_GONE) {
        return;
    } else if (!conn_is_over(conn, state, now, age)) {
        if (state != LB_CONN_TEMPLATE)
            sweep_hold(&key, conn, state, now);
    } else if (conn_change(conn, state, LB_CONN_DEAD)) {
        conn->last_seen = now;
        conn_uncount(conn, state);
    }
}

struct sweep_state {
    __u32 now, first;
};

static long sweep_step(__u32 index, void *context)
{
    const struct sweep_state *state = context;
    __u32 position = (state->first + index) & (lb_n_slots - 1);
    struct lb_slot *slot = map_lookup(conn_slots, &position);

    if (slot && *(volatile __u32 *)&slot->state == LB_SLOT_USED)
        sweep_slot(slot, state->now);
    return 0;
}

/* The timer's callback. */
static int sweep(void *map, __u32 *key, struct sweeper_record *record)
{
    struct sweep_state state = {.now = conn_now(), .first = record->hand};

    frame_loop(SWEEP_STRETCH, sweep_step, &state);
    record->hand = (state.first + SWEEP_STRETCH) & (lb_n_slots - 1);
    (void)sweep_timer_start(record, sweep_tick_ns());
    return 0;
}

static __always_inline void sweep_begin(struct sweeper_record *record)
{
    if (record->is_running || __sync_val_compare_and_swap(&record->is_running, 0, 1))
        return;
    (void)sweep_timer_init(record);
    if (sweep_timer_set_callback(record, sweep) || sweep_timer_start(record, sweep_tick_ns()))
        record->is_running = 0;
}

struct slot_search {
    __u32 position;
    __u32 is_found;
};

static long slot_try(__u32 index, void *context)
{
    struct slot_search *search = context;
    __u32 zero = 0;
    struct sweeper_record *record = map_lookup(sweeper, &zero);

    if (!record)
        return 1;
    __u32 position = __sync_fetch_and_add(&record->next, 1) & (lb_n_slots - 1);
    struct lb_slot *slot = map_lookup(conn_slots, &position);
    if (!slot || *(volatile __u32 *)&slot->state != LB_SLOT_FREE ||
        __sync_val_compare_and_swap(&slot->state, LB_SLOT_FREE, LB_SLOT_CLAIMED) != LB_SLOT_FREE)
        return 0;
    search->position = position;
    search->is_found = 1;
    return 1;
}

/* Puts an entry where there is none, and its key where the sweeper will find it.  0, -EEXIST, or another error: there is no room.  Not
 * checked alone: Linux 6.1 takes keys and values for its maps from the stack, but not from arguments of which it knows no more than
 * that they are memory. */
static __noinline int conn_insert(const struct lb_conn_key *key, const struct lb_conn *conn)
{
    struct slot_search search = {.position = frame_unknown(0), .is_found = frame_unknown(0)};
    __u32 zero = 0;
    struct sweeper_record *record = map_lookup(sweeper, &zero);
    struct lb_slot *slot;
    long result;

    if (!record)
        return -1;
    frame_loop(SLOT_TRIES, slot_try, &search);
    slot = map_lookup(conn_slots, &search.position);
    if (!slot || !search.is_found)
        return -1;
    slot->key = *key;
    slot->is_suspect = 0;
    result = map_insert(connections, key, conn);
    *(volatile __u32 *)&slot->state = result ? LB_SLOT_FREE : LB_SLOT_USED;
    if (!result && !key->of_server)
        __sync_fetch_and_add(&record->n_connections, 1);
    sweep_begin(record);
    return (int)result;
}

#endif
