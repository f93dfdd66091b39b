// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The table of connections: finding an entry by its key, putting one in and taking it out while all CPUs read.
 *
 * Entries of one hash are a list.  One comes in only at the head, by exchange, when none of the rest of the list has its key.  It goes in two steps
 * (T. Harris, "A pragmatic implementation of non-blocking linked-lists", DISC 2001): its own link is marked, so that it is no more and nobody
 * links anything behind it; then the link that leads to it is exchanged for what it led to.  If that link has been marked as well, its entry goes
 * first, and the walk begins again.  Nobody waits: who does not succeed leaves it to the sweeper's next round.
 *
 * A program that found an entry just before may hold it a while longer.  So what is out rests for FLOW_DEAD_TIME before it becomes another connection;
 * a program takes far less to run, unless its CPU is taken away meanwhile. */
#ifndef WEFT_BPF_CONNECTIONS_H
#define WEFT_BPF_CONNECTIONS_H

#include "weft/dataplane/bpf/maps.h"
#include "weft/dataplane/bpf/packet.h"

#define FLOW_DEAD_TIME 10     /* As 'last_seen': 10 ms. */
#define FLOW_CHAIN_MAX 32     /* With as many heads as entries none is so long, since nobody can choose hashes. */
#define FLOW_NONE 0xffffffffu /* No place; */
#define FLOW_CHAIN_FULL 0xfffffffeu /* nor is it known whether there is one. */
#define FLOW_LINK_TRIES 8     /* Each is lost to somebody who was quicker at the same chain. */
#define FLOW_PLACE_STEPS 16
#define FLOW_PLACE_TRIES 32

/* 'word' of an entry. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define FLOW_STATE_SHIFT 0
#define FLOW_FLAGS_SHIFT 16
#else
#define FLOW_STATE_SHIFT 24
#define FLOW_FLAGS_SHIFT 0
#endif

/* CLOCK_MONOTONIC_COARSE in the unit of entries. */
static __always_inline __u32 flow_now(void)
{
    return time_ns() >> FLOW_TIME_SHIFT;
}

/* How long ago; what another CPU wrote just now counts as now. */
static __always_inline __u32 flow_age(__u32 now, __u32 then)
{
    return (__s32)(now - then) > 0 ? now - then : 0;
}

static __always_inline __u32 flow_key_slot(const struct flow_key *key)
{
    return key->owner & (FLOW_KEY_IPV6 - 1);
}

static __always_inline bool flow_key_equal(const struct flow_key *a, const struct flow_key *b)
{
    return a->owner == b->owner && a->local == b->local && a->remote == b->remote && a->local_port == b->local_port && a->remote_port == b->remote_port;
}

/* Dead, or no connection. */
static __always_inline bool flow_state_is_alive(__u32 state)
{
    return state != FLOW_FREE && state != FLOW_DEAD && state < FLOW_CLAIMED;
}

static __always_inline __u32 flow_state(const struct flow_entry *entry)
{
    return *(volatile const __u8 *)&entry->state;
}

/* NULL for FLOW_NONE, too. */
static __always_inline struct flow_entry *flow_at(__u32 index)
{
    return map_lookup(connections, &index);
}

/* Of a key.  Products of words that depend on the host's secret, so that nobody can choose connections that meet (J. Black and others, "UMAC", 1999); the
 * last product spreads them over its upper half. */
static __always_inline __u32 flow_hash_of(const struct flow_key *key, __u64 seed)
{
    __u64 first = seed * 0xc2b2ae3d27d4eb4full, second = seed * 0x165667b19e3779f9ull;
    __u64 hash = (__u64)(key->owner + (__u32)first) * (((__u32)key->local_port << 16 | key->remote_port) + (__u32)(first >> 32)) +
                 (__u64)(key->local + (__u32)second) * (key->remote + (__u32)(second >> 32));

    return (hash ^ hash >> 32) * 0x9e3779b97f4a7c15ull >> 32;
}

static __always_inline __u32 *flow_head(const struct flow_key *key)
{
    const struct settings *settings = settings_get();

    if (!settings)
        return NULL;
    __u32 bucket = flow_hash_of(key, settings->hash_seed) & (flow_n_slots - 1), place = bucket >> 1;
    struct flow_heads *heads = map_lookup(flow_heads, &place);
    if (!heads)
        return NULL;
    return bucket & 1 ? &heads->head[1] : &heads->head[0];
}

/* The place of the entry of that key in the chain from 'link' on, dead ones too; FLOW_NONE; or FLOW_CHAIN_FULL. */
static __always_inline __u32 flow_chain_find(const struct flow_key *key, __u32 link)
{
    for (__u32 i = 0; i < FLOW_CHAIN_MAX; i++) {
        __u32 place = (link & ~FLOW_LINK_GONE) - 1;
        const struct flow_entry *entry = flow_at(place);

        if (!entry)
            return FLOW_NONE;
        link = *(volatile const __u32 *)&entry->next;
        if (flow_key_equal(&entry->key, key) && !(link & FLOW_LINK_GONE))
            return place;
    }
    return FLOW_CHAIN_FULL;
}

/* The place of the entry of that key, dead ones too, or FLOW_NONE. */
static __always_inline __u32 flow_look_up(const struct flow_key *key)
{
    const __u32 *head = flow_head(key);
    __u32 place = head ? flow_chain_find(key, *(volatile const __u32 *)head) : FLOW_NONE;

    return place == FLOW_CHAIN_FULL ? FLOW_NONE : place;
}

/* The state of one that one has for oneself.  An exchange, not a store, which some CPUs let others see before what was written first. */
static __always_inline void flow_settle(struct flow_entry *entry, __u8 state)
{
    __u32 word = *(volatile __u32 *)&entry->word;

    (void)__sync_val_compare_and_swap(&entry->word, word, (word & ~(0xffu << FLOW_STATE_SHIFT)) | (__u32)state << FLOW_STATE_SHIFT);
}

/* ---- places ------------------------------------------------------------------------------------------------------------- */

static __always_inline bool flow_is_rested(const struct flow_entry *entry)
{
    return flow_age(flow_now(), *(volatile const __u32 *)&entry->last_seen) >= FLOW_DEAD_TIME;
}

static __always_inline bool flow_take_free(struct flow_entry *entry)
{
    __u32 word = *(volatile __u32 *)&entry->word, state = word >> FLOW_STATE_SHIFT & 0xff;

    if (state != FLOW_FREE && (state != FLOW_OUT || !flow_is_rested(entry)))
        return false;
    if (__sync_val_compare_and_swap(&entry->word, word, FLOW_CLAIMED << FLOW_STATE_SHIFT) != word)
        return false;
    if (state == FLOW_FREE || flow_is_rested(entry)) /* Before the exchange another CPU may have seen an older time with the new state. */
        return true;
    flow_settle(entry, FLOW_OUT);
    return false;
}

struct place_search {
    __u32 found; /* Or FLOW_NONE. */
};

/* Where connections that last were begun in a row, many places are in use: after some steps ever larger leaps lead away from there. */
static long place_try(__u32 index, void *context)
{
    struct place_search *search = context;
    __u32 zero = 0, step = index < FLOW_PLACE_STEPS ? 1 : 2u << ((index - FLOW_PLACE_STEPS) & 31);
    struct sweeper *record = map_lookup(sweeper, &zero);

    if (!record)
        return 1;
    __u32 place = __sync_fetch_and_add(&record->next, step) & (flow_n_slots - 1);
    struct flow_entry *entry = flow_at(place);
    if (!entry || !flow_take_free(entry))
        return 0;
    search->found = place;
    return 1;
}

/* A place of one's own, until flow_link or flow_settle; FLOW_NONE: none nearby is free, the table is as good as full. */
static __always_inline __u32 flow_claim(void)
{
    struct place_search search = {.found = frame_unknown(FLOW_NONE)};

    if (!place_try(0, &search))
        frame_loop(FLOW_PLACE_TRIES, place_try, &search);
    return search.found;
}

/* ---- in and out --------------------------------------------------------------------------------------------------------- */

enum flow_linked { LINK_DONE, LINK_EXISTS, LINK_FAILED };

/* Puts the entry, which is one's own and has all but its state, into its chain, if none there has its key; else the place is free again.  Who finds it
 * before it has its state takes it for none, and does not make another one. */
CHECKED_ALONE __u32 flow_link(__u32 place, __u32 state)
{
    struct flow_entry *entry = flow_at(place);
    __u32 *head = entry ? flow_head(&entry->key) : NULL, result = LINK_FAILED;

    for (__u32 i = 0; head && i < FLOW_LINK_TRIES; i++) {
        __u32 first = *(volatile __u32 *)head, found = flow_chain_find(&entry->key, first);

        if (found != FLOW_NONE) {
            result = found == FLOW_CHAIN_FULL ? LINK_FAILED : LINK_EXISTS;
            break;
        }
        *(volatile __u32 *)&entry->next = first;
        if (__sync_val_compare_and_swap(head, first, place + 1) == first) {
            flow_settle(entry, state);
            return LINK_DONE;
        }
    }
    if (entry)
        flow_settle(entry, FLOW_FREE);
    return result;
}

/* The entry is no more, for who has not found it yet.  Returns whether it is by this call. */
static __always_inline bool flow_mark_gone(struct flow_entry *entry)
{
    return !(__sync_fetch_and_or(&entry->next, FLOW_LINK_GONE) & FLOW_LINK_GONE);
}

/* Takes one that is marked out of its chain.  False: try again later. */
CHECKED_ALONE bool flow_unlink(__u32 place)
{
    struct flow_entry *entry = flow_at(place);
    __u32 *link = entry ? flow_head(&entry->key) : NULL, *head = link;

    if (!entry || !head)
        return false;
    __u32 after = *(volatile __u32 *)&entry->next & ~FLOW_LINK_GONE;
    for (__u32 i = 0; i < 2 * FLOW_CHAIN_MAX; i++) { /* It has become longer since, or the walk begins again. */
        __u32 here = *(volatile __u32 *)link;

        if ((here & ~FLOW_LINK_GONE) == place + 1) {
            if (here == place + 1 && __sync_val_compare_and_swap(link, here, after) == here)
                return true;
            link = head; /* Whose link that is goes, or somebody was quicker. */
            continue;
        }
        struct flow_entry *other = flow_at((here & ~FLOW_LINK_GONE) - 1);
        if (!other)
            return true; /* Nothing leads to it. */
        asm volatile("" : "+r"(other)); /* Or clang adds to the pointer before it is known to be one. */
        link = &other->next;
    }
    return false;
}

#endif
