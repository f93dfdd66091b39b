// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The table of connections: finding an entry by its key, and putting one in and taking it out while all CPUs read (tables.h says why that works). */
#ifndef WEFT_DIRECTOR_BPF_CONNECTIONS_H
#define WEFT_DIRECTOR_BPF_CONNECTIONS_H

#include "weft/director/bpf/packet.h"

#define CONN_EEXIST (-17)
#define CHAIN_MAX 32   /* With a head for each entry no chain gets there. */
#define CHAIN_FULL (LB_NONE - 1)
#define LINK_TRIES 4   /* Each is lost to somebody who was quicker at the same chain. */
#define SLOT_TRIES 128
#define SLOTS_IN_TURN 16

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

/* NULL for LB_NONE, too. */
static __always_inline struct lb_conn *conn_at(__u32 index)
{
    return map_lookup(conn_slots, &index);
}

union conn_word {
    struct {
        __u16 state, turn;
    };
    __u32 word;
};

static __always_inline __u32 conn_word(const struct lb_conn *conn)
{
    return *(volatile const __u32 *)&conn->word;
}

static __always_inline __u32 state_of(__u32 word)
{
    return ((union conn_word){.word = word}).state;
}

static __always_inline __u32 conn_state(const struct lb_conn *conn)
{
    return *(volatile const __u16 *)&conn->state;
}

/* By who has the entry for himself.  An exchange, not a store, which some CPUs let others see before what was written first; it does not fail, since nobody
 * else changes the word meanwhile. */
static __always_inline void conn_settle(struct lb_conn *conn, __u32 state)
{
    __u32 word = conn_word(conn);
    union conn_word after = {.word = word};

    after.state = (__u16)state;
    (void)__sync_val_compare_and_swap(&conn->word, word, after.word);
}

/* From the state and turn that were read to another state.  False: somebody was quicker. */
static __always_inline bool conn_change(struct lb_conn *conn, __u32 word, __u32 to)
{
    union conn_word after = {.word = word};

    after.state = (__u16)to;
    return __sync_val_compare_and_swap(&conn->word, word, after.word) == word;
}

/* To have it for oneself, until conn_settle.  Until then it names what it named, with a turn of its own. */
static __always_inline bool conn_seize(struct lb_conn *conn, __u32 word)
{
    union conn_word after = {.word = word};

    after.state = LB_CONN_CHANGING;
    after.turn++;
    return __sync_val_compare_and_swap(&conn->word, word, after.word) == word;
}

/* Is it still what 'word' was read of?  If so, all that was read between belongs together. */
static __always_inline bool conn_is_same(const struct lb_conn *conn, __u32 word)
{
    return *(volatile const __u16 *)&conn->turn == ((union conn_word){.word = word}).turn;
}

/* Where an entry counts. */
struct conn_place {
    __u32 server, incarnation, service;
};

/* That of 'word', if a change from that word succeeds afterwards.  False: it is another word by now. */
static __always_inline bool conn_place_of(struct lb_conn *conn, __u32 word, struct conn_place *ret)
{
    if (__sync_fetch_and_add(&conn->word, 0) != word) /* Not a load: what follows must not be read before. */
        return false;
    ret->server = *(volatile __u32 *)&conn->server;
    ret->incarnation = *(volatile __u32 *)&conn->incarnation;
    ret->service = *(volatile __u32 *)&conn->service;
    return true;
}

/* One that is out: whoever may have found it before has done with it. */
static __always_inline bool conn_is_rested(const struct lb_conn *conn)
{
    return conn_age(conn_now(), *(volatile const __u32 *)&conn->last_seen) >= conn_ticks(LB_CONN_GRACE_S);
}

static __always_inline bool state_is_alive(__u32 state)
{
    return state != LB_CONN_NONE && state < LB_CONN_DEAD;
}

/* Somebody has it for himself. */
static __always_inline bool state_is_changing(__u32 state)
{
    if (state == LB_CONN_CHANGING)
        MET_CHANGE();
    return state == LB_CONN_CHANGING;
}

static __always_inline bool conn_is_alive(const struct lb_conn *conn)
{
    return state_is_alive(conn_state(conn));
}

static __always_inline bool conn_key_equal(const struct lb_conn_key *a, const struct lb_conn_key *b)
{
    return address_equal(a->client, b->client) && address_equal(a->address, b->address) && load64(&a->client_port) == load64(&b->client_port);
}

/* Is that the server's view of the connection, as it is now? */
static __always_inline bool is_view_of(const struct lb_conn_key *view, const struct lb_conn *conn)
{
    const struct lb_server *server = server_get(conn->server);
    const struct lb_local *local;
    __u32 position = conn->local;

    if (!server || server->incarnation != conn->incarnation || !address_equal(server->address, view->address) || conn->server_port != view->port ||
        conn->key.protocol != view->protocol || conn->key.is_template)
        return false;
    if (!conn->local_port)
        return conn->key.client_port == view->client_port && address_equal(conn->key.client, view->client);
    local = map_lookup(locals, &position);
    return local && conn->local_port == view->client_port && address_equal(local->address, view->client);
}

static __always_inline __u32 *chain_of(const struct lb_conn_key *key)
{
    __u32 zero = 0, bucket, place;
    const struct lb_settings *facts = map_lookup(settings, &zero);
    struct lb_heads *heads;

    if (!facts)
        return NULL;
    bucket = (__u32)conn_hash(key, facts->secret) & (lb_n_heads - 1);
    place = bucket >> 1;
    heads = map_lookup(conn_heads, &place);
    if (!heads)
        return NULL;
    return bucket & 1 ? &heads->head[1] : &heads->head[0];
}

/* The slot of the entry of that key in the chain from 'link' on; LB_NONE; or CHAIN_FULL: it is too long to tell. */
static __always_inline __u32 chain_find(const struct lb_conn_key *key, __u32 link)
{
    for (__u32 i = 0; i < CHAIN_MAX; i++) {
        const struct lb_conn *conn = conn_at(link - 1);
        __u32 state;

        if (!conn)
            return LB_NONE;
        state = conn_state(conn);
        if (conn_key_equal(&conn->key, key) && (state <= LB_CONN_DEAD || state >= LB_CONN_VIEW) && state != LB_CONN_NONE)
            return link - 1;
        link = *(volatile const __u32 *)&conn->next;
    }
    return CHAIN_FULL;
}

/* The slot of the entry of that key, dead ones too, or LB_NONE.  It is no other entry's for LB_CONN_GRACE_S. */
CHECKED_ALONE __u32 conn_find(const struct lb_conn_key *key)
{
    const __u32 *head = key ? chain_of(key) : NULL;
    __u32 found = head ? chain_find(key, *(volatile const __u32 *)head) : LB_NONE;

    return found == CHAIN_FULL ? LB_NONE : found;
}

struct slot_search {
    __u32 found;
};

/* An entry that is out and has rested is as good as free, whenever the sweeper comes by. */
static __always_inline bool slot_take(struct lb_conn *conn)
{
    __u32 word = conn_word(conn);

    if (state_of(word) == LB_CONN_NONE)
        return conn_change(conn, word, LB_CONN_CLAIMED);
    if (state_of(word) != LB_CONN_OUT || !conn_is_rested(conn) || !conn_change(conn, word, LB_CONN_CLAIMED))
        return false;
    if (conn_is_rested(conn)) /* Before the exchange another CPU may have seen an older time with the new state. */
        return true;
    conn_settle(conn, LB_CONN_OUT);
    return false;
}

/* In turn, as those are that lie next to each other in memory; then anywhere: what began together ends together, and is in the way as one run. */
static long slot_try(__u32 index, void *context)
{
    struct slot_search *search = context;
    __u32 zero = 0, position, turn;
    struct sweeper_record *record = map_lookup(sweeper, &zero);
    struct lb_conn *conn;

    if (!record)
        return 1;
    turn = __sync_fetch_and_add(&record->next, 1);
    position = (index < SLOTS_IN_TURN ? turn : (__u32)mix(turn)) % lb_n_slots;
    conn = map_lookup(conn_slots, &position);
    if (!conn || !slot_take(conn))
        return 0;
    search->found = position;
    return 1;
}

/* A slot of one's own, until conn_put or conn_release; LB_NONE: there is none. */
CHECKED_ALONE __u32 conn_claim(void)
{
    struct slot_search search = {.found = frame_unknown(LB_NONE)};

    frame_loop(SLOT_TRIES, slot_try, &search);
    return search.found;
}

static __always_inline void conn_release(struct lb_conn *conn)
{
    conn_settle(conn, LB_CONN_NONE);
}

/* See conn_put (expiry.h). */
static __always_inline int conn_link(__u32 index, struct lb_conn *conn, __u32 state)
{
    __u32 *head = chain_of(&conn->key);

    conn_settle(conn, LB_CONN_CHANGING); /* Who finds it knows that it is there, and nobody counts it until it is. */
    for (__u32 i = 0; head && i < LINK_TRIES; i++) {
        __u32 first = *(volatile __u32 *)head, found = chain_find(&conn->key, first);

        if (found != LB_NONE)
            return found == CHAIN_FULL ? -1 : CONN_EEXIST;
        conn->next = first;
        if (__sync_val_compare_and_swap(head, first, index + 1) == first) {
            conn_settle(conn, state);
            return 0;
        }
    }
    return -1;
}

/* The sweeper's.  False: it was not found in the part of the chain that was looked at, and may still be in it. */
static __always_inline bool conn_unlink(__u32 index, const struct lb_conn *conn)
{
    __u32 *head = chain_of(&conn->key), link;

    if (!head)
        return false;
    if (*(volatile __u32 *)head == index + 1 && __sync_val_compare_and_swap(head, index + 1, conn->next) == index + 1)
        return true;
    link = *(volatile __u32 *)head;
    for (__u32 i = 0; i < 2 * CHAIN_MAX; i++) { /* It has become longer since. */
        struct lb_conn *before = conn_at(link - 1);

        if (!before)
            return true;
        link = *(volatile __u32 *)&before->next;
        if (link != index + 1)
            continue;
        *(volatile __u32 *)&before->next = conn->next;
        return true;
    }
    return false;
}

#endif
