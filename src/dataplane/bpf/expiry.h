// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How connection entries end: idle for too long or without their port they are dead; and dead ones are deleted a moment later.
 *
 * Expiry needs nobody in user space.  A new entry puts its key into the next free one of 'flow_slots'; one timer walks over
 * them, a stretch each tick, all of them in about a dozen seconds.  A timer in each entry would be simpler, but
 * bpf_timer_init() may have no memory (Linux 6.18 takes it without waiting for a lock: seen to fail for nine entries of ten
 * in a burst of new connections), and a hundred thousand timers cost more than the walk. */
#ifndef WEFT_BPF_EXPIRY_H
#define WEFT_BPF_EXPIRY_H

#include "weft/dataplane/bpf/balanced.h"
#include "weft/dataplane/bpf/maps.h"
#include "weft/dataplane/bpf/packet.h"
#include "weft/dataplane/bpf/parse.h"

#define FLOW_DEAD_TIME 10         /* As 'last_seen': 10 ms. */
#define FLOW_OVER_TIMEOUT_S 10
#define FLOW_SLOT_STEPS 16
#define FLOW_SLOT_TRIES 32
#define SWEEP_TICK_NS 100000000ull
#define SWEEP_TICK_MIN_NS 20000000ull /* More than FLOW_DEAD_TIME: a stretch is looked at again one tick later. */
#define SWEEP_STRETCH 2048        /* Slots a tick. */
#define SWEEP_TICKS 128           /* A round, until ticks are as short as may be: about 13 s. */

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

/* 22 days, in the unit of 'last_seen': the sweeper has three more until the entry's age is more than half of what that can hold, and taken for none. */
#define FLOW_TIMEOUT_MAX 0x70000000u

/* After how much silence the entry ends, in the unit of 'last_seen'. */
static __always_inline __u32 flow_timeout(const struct flow_key *key, const struct flow_entry *entry)
{
    const struct settings *settings = settings_get();
    __u32 which, seconds = 0, protocol = key->owner >> 24;

    if (protocol == IPPROTO_TCP)
        which = entry->flags & (FLOW_RESET_SEEN(0) | FLOW_RESET_SEEN(1))         ? TIMEOUT_TCP_CLOSING
                : entry->state == FLOW_ESTABLISHED                               ? TIMEOUT_TCP_ESTABLISHED
                : entry->state == FLOW_HALF_CLOSED                               ? TIMEOUT_TCP_HALF_CLOSED
                : entry->state == FLOW_HALF_OPEN                                 ? TIMEOUT_HALF_OPEN
                                                                                 : TIMEOUT_TCP_CLOSING;
    else if (protocol == IPPROTO_UDP)
        which = entry->state == FLOW_ESTABLISHED ? TIMEOUT_UDP_SEEN : TIMEOUT_UDP_NEW;
    else if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6)
        which = TIMEOUT_ICMP;
    else
        which = TIMEOUT_OTHER;
    if (settings)
        seconds = settings->timeout_s[which];
    /* What is over keeps nobody waiting (a SYN begins anew at once) but its place in the table, and others' names where it is translated. */
    bool is_over = entry->state == FLOW_RESET || (entry->state == FLOW_TIME_WAIT && !(entry->flags & FLOW_TRANSLATED));
    if (protocol == IPPROTO_TCP && is_over && seconds > FLOW_OVER_TIMEOUT_S)
        seconds = FLOW_OVER_TIMEOUT_S;
    __u64 time = (seconds ? seconds : 30) * 1000000000ull >> FLOW_TIME_SHIFT;
    __u64 idle = (entry->output & OUTPUT_KIND_MASK) == OUTPUT_SERVICE ? balanced_timeout(balanced_listener(entry)) * 1000000ull : 0;
    idle = (idle + (1ull << FLOW_TIME_SHIFT) - 1) >> FLOW_TIME_SHIFT;
    if (idle && (entry->state == FLOW_ESTABLISHED || idle < time)) /* What nobody answers, or is ending, waits no longer for it. */
        time = idle;
    return time < FLOW_TIMEOUT_MAX ? time : FLOW_TIMEOUT_MAX;
}

/* Gives back the entry's place in its project's limit. */
static __always_inline void flow_release(__u32 account)
{
    __u32 index = account & FLOW_ACCOUNT_MASK;
    bool established = account & FLOW_COUNTED;
    struct project_record *project = map_lookup(projects, &index);

    if (project)
        __sync_fetch_and_add(established ? &project->n_established : &project->n_half_open, -1);
}

static __always_inline __u32 flow_slots_mask(void)
{
    const struct settings *settings = settings_get();
    __u32 n = settings ? settings->n_flow_slots : 0;

    return (n ? n : FLOW_SLOTS_DEFAULT) - 1;
}

static __always_inline void router_port_count(__u32 number, __s64 n_names, __u64 n_exhausted)
{
    struct router_port_runtime *runtime = map_lookup(router_port_runtime, &number);

    if (!runtime)
        return;
    if (n_names)
        __sync_fetch_and_add(&runtime->n_names, n_names);
    if (n_exhausted)
        __sync_fetch_and_add(&runtime->n_exhausted, n_exhausted);
}

/* Frees the name that the entry has outside.  Only the entry's: it was inserted where there was none, and whoever else wants it waits. */
static __noinline void flow_alias_delete(const struct alias_key *name, const struct flow_key *key, __u32 gateway)
{
    const struct alias_value *alias = map_lookup(aliases, name);

    if (alias && alias->key.owner == key->owner && alias->key.local == key->local && alias->key.remote == key->remote &&
        alias->key.local_port == key->local_port && alias->key.remote_port == key->remote_port && map_delete(aliases, name) == 0)
        router_port_count(gateway, -1, 0);
}

/* Removes an entry that has been dead for a tick; whoever succeeds gives back its place. */
static __always_inline void flow_remove(const struct flow_key *key, const struct flow_entry *entry)
{
    __u32 account = entry->account;

    if (entry->flags & FLOW_ALIASED) {
        struct alias_key name ON_STACK = {.vni_protocol = entry->outside_vni << 8 | key->owner >> 24, .address = entry->outside_local,
                                          .remote = entry->outside_remote, .port = entry->outside_local_port,
                                          .remote_port = entry->outside_remote_port};
        flow_alias_delete(&name, key, entry->gateway);
    }
    __u32 listener = balanced_listener(entry), member = account & FLOW_UNCOUNTED ? 0 : balanced_counts_as(entry);
    if (entry->output == OUTPUT_CLIENT)
        balanced_remove(key); /* First: a new entry of this name may have another. */
    if (map_delete(connections, key) != 0)
        return;
    if (member)
        balanced_change(listener, member, -1);
    if (!(account & FLOW_RECYCLED))
        flow_release(account);
}

/* Is the entry's port still whose it was made for?  A freed slot has no network; one given to another has another generation. */
static __always_inline bool flow_has_owner(const struct flow_key *key, const struct flow_entry *entry)
{
    __u32 unused;
    const struct port_config *port = port_config_get(flow_key_slot(key), &unused);

    return port && port->vni && port->generation == entry->generation;
}

/* A slot changes hands by comparing: who recycles and who sweeps may look at one at once. */
static __always_inline bool slot_change(struct flow_slot *slot, __u32 from, __u32 to)
{
    return __sync_val_compare_and_swap(&slot->state, from, to) == from;
}

/* Looks at one slot: the sweeper's step. */
static __always_inline void sweep_slot(struct flow_slot *slot, __u32 state, __u32 now)
{
    struct flow_entry *entry = map_lookup(connections, &slot->key);

    if (!entry) {
        slot_change(slot, state, SLOT_FREE);
        return;
    }
    __u32 age = flow_age(now, entry->last_seen);
    if (entry->state == FLOW_DEAD) {
        if (age >= FLOW_DEAD_TIME && slot_change(slot, state, SLOT_CLAIMED)) {
            flow_remove(&slot->key, entry);
            *(volatile __u32 *)&slot->state = SLOT_FREE;
        }
    } else if (age >= flow_timeout(&slot->key, entry) || !flow_has_owner(&slot->key, entry)) {
        entry->state = FLOW_DEAD;
        entry->last_seen = now;
        balanced_uncount(entry);
        slot_change(slot, state, SLOT_DYING);
    }
}

/* A larger table has shorter ticks, not longer ones: what a tick does delays what the CPU is there for. */
static __always_inline __u64 sweep_tick(__u32 mask)
{
    __u32 stretches = mask / SWEEP_STRETCH + 1;

    if (stretches <= SWEEP_TICKS)
        return SWEEP_TICK_NS;
    __u64 tick = SWEEP_TICK_NS * SWEEP_TICKS / stretches;
    return tick > SWEEP_TICK_MIN_NS ? tick : SWEEP_TICK_MIN_NS;
}

struct sweep_state {
    __u32 now;
    __u32 first; /* Of the stretch; the one before it is looked at again for the dying. */
    __u32 mask;
    __u32 n_seen;
};

static long sweep_step(__u32 index, void *context)
{
    struct sweep_state *state = context;
    __u32 position = (state->first + index - SWEEP_STRETCH) & state->mask;
    struct flow_slot *slot = map_lookup(flow_slots, &position);

    if (!slot)
        return 0;
    __u32 seen = *(volatile __u32 *)&slot->state;
    if (index < SWEEP_STRETCH) {
        if (seen == SLOT_DYING)
            sweep_slot(slot, seen, state->now);
    } else if (seen >= SLOT_USED) {
        state->n_seen++;
        sweep_slot(slot, seen, state->now);
    }
    return 0;
}

/* The timer's callback.  Rests when a whole round has met nobody. */
static int sweep(void *map, __u32 *key, struct sweeper *record)
{
    struct sweep_state state = {.now = flow_now(), .first = record->hand, .mask = flow_slots_mask(), .n_seen = frame_unknown(0)};

    frame_loop(2 * SWEEP_STRETCH, sweep_step, &state);
    record->hand = (state.first + SWEEP_STRETCH) & state.mask;
    record->n_seen += state.n_seen;
    if (record->hand <= state.first) { /* A round is over. */
        bool idle = !record->n_seen;
        record->n_seen = 0;
        if (idle) {
            record->version = 0;
            return 0;
        }
    }
    sweep_timer_start(record, sweep_tick(state.mask));
    return 0;
}

/* Sees to it that the sweeper runs; tried again with each new entry until it does. */
static __noinline void sweep_begin(struct sweeper *record)
{
    __u32 version = record->version;

    if (version == SWEEP_VERSION || __sync_val_compare_and_swap(&record->version, version, SWEEP_VERSION) != version)
        return;
    (void)sweep_timer_init(record); /* Says that it is there already when an earlier program made it. */
    if (sweep_timer_set_callback(record, sweep) || sweep_timer_start(record, SWEEP_TICK_NS))
        record->version = 0;
}

struct slot_search {
    __u32 mask;
    __u32 position; /* Of the one that is ours now, */
    __u32 is_found; /* if there is one. */
};

/* Where connections that last were begun in a row, many slots are in use: after some steps ever larger leaps lead away from there. */
static long slot_try(__u32 index, void *context)
{
    struct slot_search *search = context;
    __u32 zero = 0, step = index < FLOW_SLOT_STEPS ? 1 : 2u << ((index - FLOW_SLOT_STEPS) & 31);
    struct sweeper *record = map_lookup(sweeper, &zero);

    if (!record)
        return 1;
    __u32 position = __sync_fetch_and_add(&record->next, step) & search->mask;
    struct flow_slot *slot = map_lookup(flow_slots, &position);
    if (!slot || *(volatile __u32 *)&slot->state != SLOT_FREE || !slot_change(slot, SLOT_FREE, SLOT_CLAIMED))
        return 0;
    search->position = position;
    search->is_found = 1;
    return 1;
}

/* Puts the key where the sweeper will find it once the slot is in use.  NULL: no free slot nearby, the table is as good as full. */
static __always_inline struct flow_slot *flow_claim_slot(const struct flow_key *key, __u32 *ret_position)
{
    struct slot_search search = {.mask = flow_slots_mask(), .position = frame_unknown(0), .is_found = frame_unknown(0)};
    __u32 zero = 0;
    struct sweeper *record = map_lookup(sweeper, &zero);

    if (!record)
        return NULL;
    if (!slot_try(0, &search))
        frame_loop(FLOW_SLOT_TRIES, slot_try, &search);
    struct flow_slot *slot = map_lookup(flow_slots, &search.position);
    if (!slot || !search.is_found)
        return NULL;
    slot->key = *key;
    *ret_position = search.position;
    sweep_begin(record);
    return slot;
}

#endif
