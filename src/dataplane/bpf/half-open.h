// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Room for new connections when a project has as many half-open ones as it may: they take the places of the port's own oldest.
 *
 * Each port remembers in a ring where its last connections are.  When half of what the project may have is in use, a port
 * that begins another one gives up its oldest that is still half open, unless it has begun fewer since than its share ('port_half_open': the
 * other half, divided by the project's ports; a quarter of the ring at most).  So a flood of SYNs at one port pushes out its own, and leaves the others of its project what they
 * need; and since only what is not counted as established can be given up (FLOW_RECYCLED excludes FLOW_COUNTED in one exchange), it ends
 * no connection that both sides have agreed to.  What was given up too early and comes to life after all is picked up in the
 * middle, where the rules would let it begin (stateful.h).
 *
 * The ring has three ends: new ones at 'head'; from 'tail' on they may be given up; from 'gone' to 'tail' they are dead, and are taken out when
 * nobody can hold their entry any more (FLOW_DEAD_TIME), by whoever begins the next ones, because the sweeper's round is too slow for a flood.
 * Ends are moved by exchange, and who moved one past a place deals with it.  A place may be another's by now: then it is passed over. */
#ifndef WEFT_BPF_HALF_OPEN_H
#define WEFT_BPF_HALF_OPEN_H

#include "weft/dataplane/bpf/expiry.h"

#define HALF_OPEN_LOOK 16  /* Places passed over in search of one to give up; */
#define HALF_OPEN_DELETE 4 /* and to be taken out. */
#define HALF_OPEN_KEEP (HALF_OPEN_RING / 4) /* No share is larger: what the ring does not know cannot be given up. */

enum half_open_room { ROOM_NONE, ROOM_MADE, ROOM_LATER }; /* The port is within its share or has none; has given one up; too many are on their way out. */

static __always_inline void half_open_note(__u32 slot, __u32 position)
{
    struct half_open *ring = map_lookup(half_open, &slot);

    if (ring)
        ring->places[__sync_fetch_and_add(&ring->head, 1) & (HALF_OPEN_RING - 1)] = position;
}

/* The place that the ring has there: perhaps another port's by now. */
static __always_inline __u32 half_open_place(const struct half_open *ring, __u32 index)
{
    return ring->places[index & (HALF_OPEN_RING - 1)];
}

struct half_open_walk {
    __u32 slot;   /* The port's. */
    __u32 keep;   /* So many of the latest are not given up. */
    __u32 now;
    __u32 result; /* enum half_open_room */
};

/* Takes out the one that died first. */
static long half_open_delete(__u32 index, void *context)
{
    const struct half_open_walk *walk = context;
    __u32 number = walk->slot;
    struct half_open *ring = map_lookup(half_open, &number);

    if (!ring)
        return 1;
    __u32 gone = *(volatile __u32 *)&ring->gone, tail = *(volatile __u32 *)&ring->tail;
    if (gone == tail)
        return 1;
    __u32 place = half_open_place(ring, gone);
    const struct flow_entry *entry = flow_at(place);
    bool is_dead = entry && flow_state(entry) == FLOW_DEAD && flow_key_slot(&entry->key) == number;
    if (is_dead && flow_age(walk->now, entry->last_seen) < FLOW_DEAD_TIME)
        return 1;
    if (__sync_val_compare_and_swap(&ring->gone, gone, gone + 1) == gone && is_dead)
        flow_expire(place, walk->now);
    return 0;
}

/* Gives up the oldest, if it is still half open; else passes over it. */
static long half_open_give_up(__u32 index, void *context)
{
    struct half_open_walk *walk = context;
    __u32 number = walk->slot;
    struct half_open *ring = map_lookup(half_open, &number);

    if (!ring)
        return 1;
    __u32 tail = *(volatile __u32 *)&ring->tail, n = *(volatile __u32 *)&ring->head - tail;
    if (!n || n > HALF_OPEN_RING)
        return 1;
    struct flow_entry *entry = flow_at(half_open_place(ring, tail));
    bool is_there = entry && flow_state_is_alive(flow_state(entry)) && flow_key_slot(&entry->key) == number;
    __u32 account = is_there ? *(volatile __u32 *)&entry->account : FLOW_COUNTED;
    bool is_half_open = !(account & (FLOW_COUNTED | FLOW_RECYCLED));
    if (is_half_open && n <= walk->keep)
        return 1;
    if (__sync_val_compare_and_swap(&ring->tail, tail, tail + 1) != tail || !is_half_open || !entry)
        return 0;
    if (__sync_val_compare_and_swap(&entry->account, account, account | FLOW_RECYCLED) != account)
        return 0; /* Established this moment. */
    flow_release(account);
    entry->last_seen = walk->now;
    *(volatile __u8 *)&entry->state = FLOW_DEAD;
    balanced_uncount(entry);
    walk->result = ROOM_MADE;
    return 1;
}

/* Makes room for another half-open connection of the port, of which the latest 'keep' stay.  Returns an enum half_open_room. */
CHECKED_ALONE __u32 half_open_make_room(__u32 number, __u32 keep)
{
    struct half_open *ring = map_lookup(half_open, &number);
    struct half_open_walk walk = {.slot = number, .keep = keep < HALF_OPEN_KEEP ? keep : HALF_OPEN_KEEP, .now = flow_now(), .result = frame_unknown(ROOM_NONE)};

    if (!ring)
        return ROOM_NONE;
    frame_loop(HALF_OPEN_DELETE, half_open_delete, &walk);
    __u32 head = *(volatile __u32 *)&ring->head, tail = *(volatile __u32 *)&ring->tail, gone = *(volatile __u32 *)&ring->gone;
    if (head - tail > HALF_OPEN_RING / 2) { /* While there was room nobody asked: those before end by themselves. */
        __u32 from = head - HALF_OPEN_RING / 2;
        if (gone == tail)
            __sync_val_compare_and_swap(&ring->gone, gone, from);
        __sync_val_compare_and_swap(&ring->tail, tail, from);
    } else if (tail - gone > HALF_OPEN_RING / 2 - 8) {
        return ROOM_LATER;
    }
    frame_loop(HALF_OPEN_LOOK, half_open_give_up, &walk);
    if (walk.result == ROOM_MADE)
        TRACE(flow, "the port's oldest half-open connection makes room");
    return walk.result;
}

#endif
