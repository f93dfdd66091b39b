// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How connections end: silent for too long, or without their server, they are dead, and dead ones are taken out a round later.  It needs
 * nobody in user space: one timer walks over the slots, a stretch each tick, all of them in about 13 s, of larger tables than by default in 26 s (why no timer in each entry:
 * weft/dataplane/bpf/expiry.h). */
#ifndef WEFT_DIRECTOR_BPF_EXPIRY_H
#define WEFT_DIRECTOR_BPF_EXPIRY_H

#include "weft/director/bpf/connections.h"

#define SWEEP_TICK_NS 45000000ull
#define SWEEP_STRETCH 2048
#define LARGE_ROUND_NS 25600000000ull

/* More slots have more ticks, not longer ones: nothing else goes on meanwhile on that CPU. */
static __always_inline __u64 sweep_tick_ns(void)
{
    return lb_n_slots > LB_SLOTS ? LARGE_ROUND_NS / (lb_n_slots / SWEEP_STRETCH) : SWEEP_TICK_NS;
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

/* Does the load say another thing than 'is_full', of a server that may have 'upper' connections, and is full until it has fewer than 'lower'? */
static __always_inline bool load_denies(const struct lb_server_load *load, __u32 upper, __u32 is_full)
{
    __u32 lower = *(volatile const __u32 *)&load->lower;
    __u32 total = count_of(*(volatile const __u32 *)&load->active + *(volatile const __u32 *)&load->inactive);

    return !is_full ? total >= upper : lower ? total < lower : (__u64)total * 4 < (__u64)upper * 3;
}

/* As IPVS: with 'upper' connections a server is overloaded, until it has fewer than 'lower', which is three quarters unless it is given.  Who has
 * written looks again: another CPU may have counted, and written, in between, and a server that is full by mistake gets nothing that would mend it. */
static __always_inline void load_judge(struct lb_server_load *load, bool has_grown)
{
    __u32 upper = *(volatile __u32 *)&load->upper, is_full = !has_grown;

    for (int i = 0; upper && i < 4 && load_denies(load, upper, is_full); i++) {
        is_full = !is_full;
        (void)__sync_lock_test_and_set(&load->is_overloaded, is_full);
    }
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

static __always_inline bool is_server_there(__u32 number, __u32 incarnation)
{
    const struct lb_server_record *record = map_lookup(servers, &number);

    return record && record->copy[record->active & 1].incarnation == incarnation;
}

static __always_inline bool conn_has_server(const struct lb_conn *conn)
{
    return is_server_there(conn->server, conn->incarnation);
}

/* What was there in that state counts no more. */
static __always_inline void place_uncount(const struct conn_place *place, __u32 state)
{
    if (is_server_there(place->server, place->incarnation)) /* Else the count in that place is another server's. */
        conn_count(place->server, state_counted(state), COUNTED_NOT);
    if (state == LB_CONN_SYN_RECV)
        half_open_count(place->service, (__u32)-1);
}

/* An entry that one has for oneself, and that was in that state, counts no more. */
static __always_inline void conn_uncount(const struct lb_conn *conn, __u32 state)
{
    struct conn_place place ON_STACK = {conn->server, conn->incarnation, conn->service};

    if (state != LB_CONN_DEAD)
        place_uncount(&place, state);
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

/* A template lasts as long as its connections do: each is seen once a round. */
static __always_inline void sweep_hold(const struct lb_conn_key *key, const struct lb_conn *conn, __u32 state, __u32 now)
{
    const struct lb_service *service = service_get(conn->service);
    struct lb_conn_key template ON_STACK;
    struct lb_conn *held;

    if (!service || !(service->flags & LB_PERSISTENT))
        return;
    template_key_of(service, key->client, key->address, key->protocol, &template);
    held = conn_at(conn_find(&template));
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

/* Nobody's entry any more, it leaves its chain, and its slot a while later.  Where the chain is too long for that it is tried again. */
static __always_inline void sweep_out(__u32 index, struct lb_conn *conn, __u32 now)
{
    if (!conn_unlink(index, conn))
        return;
    conn->last_seen = now;
    conn_settle(conn, LB_CONN_OUT);
}

/* The server's view goes with the connection that it leads to. */
static __always_inline void sweep_view(__u32 index, struct lb_conn *view, __u32 now)
{
    const struct lb_conn *conn = conn_at(view->forward);
    __u32 word = conn_word(view);

    if (conn && state_is_changing(conn_state(conn))) /* Perhaps to what this is the view of. */
        return;
    if (conn && conn_is_alive(conn) && is_view_of(&view->key, conn))
        view->is_suspect = 0;
    else if (!view->is_suspect) /* Its connection may be about to be put: that is seen a round later. */
        view->is_suspect = 1;
    else if (conn_change(view, word, LB_CONN_GONE)) {
        if (*(volatile __u32 *)&view->is_suspect)
            sweep_out(index, view, now);
        else /* A connection has begun with it just now, or was refused for what it saw of this: both have written before they look. */
            conn_settle(view, LB_CONN_VIEW);
    }
}

static __always_inline void sweep_alive(struct lb_conn *conn, __u32 word, __u32 now, __u32 age)
{
    struct conn_place place ON_STACK;

    if (!conn_is_over(conn, state_of(word), now, age)) {
        if (state_of(word) != LB_CONN_TEMPLATE)
            sweep_hold(&conn->key, conn, state_of(word), now);
    } else if (conn_place_of(conn, word, &place) && conn_change(conn, word, LB_CONN_DEAD)) {
        conn->last_seen = now;
        place_uncount(&place, state_of(word));
    }
}

static __always_inline void sweep_dead(__u32 index, struct lb_conn *conn, __u32 word, __u32 now)
{
    __u32 zero = 0;
    struct sweeper_record *record = map_lookup(sweeper, &zero);

    if (!record || !conn_change(conn, word, LB_CONN_GONE))
        return;
    __sync_fetch_and_add(&record->n_connections, -1);
    sweep_out(index, conn, now);
}

static __always_inline void sweep_slot(__u32 index, struct lb_conn *conn, __u32 now)
{
    __u32 word = conn_word(conn), state = state_of(word), age = conn_age(now, *(volatile __u32 *)&conn->last_seen);

    if (state == LB_CONN_VIEW)
        sweep_view(index, conn, now);
    else if (state == LB_CONN_GONE)
        sweep_out(index, conn, now);
    else if (state == LB_CONN_OUT && age >= conn_ticks(LB_CONN_GRACE_S))
        conn_change(conn, word, LB_CONN_NONE); /* Unless it is claimed by now: see conn_claim. */
    else if (state == LB_CONN_DEAD && age)
        sweep_dead(index, conn, word, now);
    else if (state_is_alive(state))
        sweep_alive(conn, word, now, age);
}

struct sweep_state {
    __u32 now, first;
};

static long sweep_step(__u32 index, void *context)
{
    const struct sweep_state *state = context;
    __u32 position = state->first + index;
    struct lb_conn *conn;

    if (position >= lb_n_slots)
        position -= lb_n_slots;
    conn = map_lookup(conn_slots, &position);
    if (conn && conn_state(conn) != LB_CONN_NONE)
        sweep_slot(position, conn, state->now);
    return 0;
}

/* The timer's callback. */
static int sweep(void *map, __u32 *key, struct sweeper_record *record)
{
    struct sweep_state state = {.now = conn_now(), .first = record->hand};
    __u32 n = lb_n_slots < SWEEP_STRETCH ? lb_n_slots : SWEEP_STRETCH;

    frame_loop(n, sweep_step, &state);
    record->hand = state.first + n < lb_n_slots ? state.first + n : state.first + n - lb_n_slots;
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

/* Links the entry in that slot, which is claimed and has all but its state, if none has its key.  0, CONN_EEXIST, or another error: the chain has no room; then
 * the slot is free again. */
CHECKED_ALONE int conn_put(__u32 index, __u32 state)
{
    __u32 zero = 0;
    struct sweeper_record *record = map_lookup(sweeper, &zero);
    struct lb_conn *conn = conn_at(index);
    int result;

    if (!record || !conn)
        return -1;
    result = conn_link(index, conn, state);
    if (result)
        conn_release(conn);
    else if (state != LB_CONN_VIEW)
        __sync_fetch_and_add(&record->n_connections, 1);
    sweep_begin(record);
    return result;
}

#endif
