// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How connection entries end: idle for too long or without their port they are dead; and dead ones are taken out a moment later.
 *
 * Expiry needs nobody in user space: one timer walks over the entries, a stretch each tick, all of them in about a dozen seconds.  A timer in each
 * entry would be simpler, but bpf_timer_init() may have no memory (Linux 6.18 takes it without waiting for a lock: seen to fail for nine entries of
 * ten in a burst of new connections), and a hundred thousand timers cost more than the walk. */
#ifndef WEFT_BPF_EXPIRY_H
#define WEFT_BPF_EXPIRY_H

#include "weft/dataplane/bpf/parse.h"
#include "weft/dataplane/bpf/previous.h"

#define FLOW_OVER_TIMEOUT_S 10
#define SWEEP_TICK_NS 100000000ull
#define SWEEP_TICK_MIN_NS 20000000ull /* More than FLOW_DEAD_TIME: a stretch is looked at again one tick later. */
#define SWEEP_STRETCH 2048        /* Entries a tick. */
#define SWEEP_TICKS 128           /* A round, until ticks are as short as may be: about 13 s. */

/* 22 days, in the unit of 'last_seen': the sweeper has three more until the entry's age is more than half of what that can hold, and taken for none. */
#define FLOW_TIMEOUT_MAX 0x70000000u

/* After how much silence the entry ends, in the unit of 'last_seen'. */
static __always_inline __u32 flow_timeout(const struct flow_entry *entry)
{
    const struct settings *settings = settings_get();
    __u32 which, seconds = 0, protocol = entry->key.owner >> 24;

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

/* One CPU takes it out, or makes another connection of it (flow_take_place). */
static __always_inline bool flow_take(struct flow_entry *entry)
{
    return !(__sync_fetch_and_or(&entry->account, FLOW_TAKEN) & FLOW_TAKEN);
}

/* What goes with an entry that has been dead long enough.  Its names first: a new entry of its key may have others. */
static __always_inline void flow_remove(struct flow_entry *entry)
{
    __u32 account = entry->account;

    __u32 listener = balanced_listener(entry), member = account & FLOW_UNCOUNTED ? 0 : balanced_counts_as(entry);
    former_ends_too(&entry->key);
    flow_free_names(&entry->key, entry);
    if (!flow_mark_gone(entry))
        return;
    if (member)
        balanced_change(listener, member, -1);
    if (!(account & FLOW_RECYCLED))
        flow_release(account);
}

/* Takes out the entry in that place if it has been dead for long enough. */
static __always_inline bool flow_expire(__u32 place, __u32 now)
{
    struct flow_entry *entry = flow_at(place);

    if (!entry || flow_state(entry) != FLOW_DEAD || flow_age(now, *(volatile __u32 *)&entry->last_seen) < FLOW_DEAD_TIME || !flow_take(entry))
        return false;
    bool is_ours = flow_state(entry) == FLOW_DEAD && flow_age(now, *(volatile __u32 *)&entry->last_seen) >= FLOW_DEAD_TIME;
    if (is_ours && !(*(volatile __u32 *)&entry->next & FLOW_LINK_GONE))
        flow_remove(entry);
    if (is_ours && flow_unlink(place)) {
        *(volatile __u32 *)&entry->last_seen = now;
        flow_settle(entry, FLOW_OUT);
    } else {
        __sync_fetch_and_and(&entry->account, ~FLOW_TAKEN);
    }
    return is_ours;
}

/* Is the entry's port still whose it was made for?  A freed slot has no network; one given to another has another generation. */
static __always_inline bool flow_has_owner(const struct flow_entry *entry)
{
    __u32 unused;
    const struct port_config *port = port_config_get(flow_key_slot(&entry->key), &unused);

    return port && port->vni && port->generation == entry->generation;
}

/* Looks at one entry that is alive: the sweeper's step. */
static __always_inline void sweep_alive(struct flow_entry *entry, __u32 now)
{
    if (flow_has_owner(entry) && (flow_age(now, entry->last_seen) < flow_timeout(entry) || former_keeps(entry, now)))
        return;
    entry->last_seen = now;
    *(volatile __u8 *)&entry->state = FLOW_DEAD;
    balanced_uncount(entry);
}

/* A larger table has shorter ticks, not longer ones: what a tick does delays what the CPU is there for. */
static __always_inline __u64 sweep_tick(void)
{
    __u32 stretches = (flow_n_slots - 1) / SWEEP_STRETCH + 1;

    if (stretches <= SWEEP_TICKS)
        return SWEEP_TICK_NS;
    __u64 tick = SWEEP_TICK_NS * SWEEP_TICKS / stretches;
    return tick > SWEEP_TICK_MIN_NS ? tick : SWEEP_TICK_MIN_NS;
}

struct sweep_state {
    __u32 now;
    __u32 first; /* Of the stretch; the one before it is looked at again for the dead. */
    __u32 n_seen;
};

static long sweep_step(__u32 index, void *context)
{
    struct sweep_state *state = context;
    __u32 place = (state->first + index - SWEEP_STRETCH) & (flow_n_slots - 1);
    struct flow_entry *entry = flow_at(place);
    __u32 seen = entry ? flow_state(entry) : FLOW_FREE;

    if (seen == FLOW_DEAD)
        flow_expire(place, state->now);
    else if (seen == FLOW_OUT && flow_take_free(entry)) /* Before its time wraps. */
        flow_settle(entry, FLOW_FREE);
    if (index < SWEEP_STRETCH || !entry || seen == FLOW_FREE || seen >= FLOW_CLAIMED)
        return 0;
    state->n_seen++;
    if (seen != FLOW_DEAD)
        sweep_alive(entry, state->now);
    return 0;
}

/* Whoever begins meanwhile says that it is there, and then looks whether the sweeper runs; this does the one after the other, too. */
static __always_inline bool sweep_rests(struct sweeper *record)
{
    (void)__sync_lock_test_and_set(&record->version, 0);
    return !__sync_fetch_and_add(&record->n_seen, 0) || __sync_val_compare_and_swap(&record->version, 0, SWEEP_VERSION) != 0;
}

/* The timer's callback.  Rests when a whole round has met nobody, and nobody has begun in it. */
static int sweep(void *map, __u32 *key, struct sweeper *record)
{
    struct sweep_state state = {.now = flow_now(), .first = record->hand, .n_seen = frame_unknown(0)};

    frame_loop(2 * SWEEP_STRETCH, sweep_step, &state);
    record->hand = (state.first + SWEEP_STRETCH) & (flow_n_slots - 1);
    __sync_fetch_and_add(&record->n_seen, state.n_seen);
    if (record->hand <= state.first && !__sync_lock_test_and_set(&record->n_seen, 0) && sweep_rests(record)) /* A round is over, and met nobody. */
        return 0;
    sweep_timer_start(record, sweep_tick());
    return 0;
}

/* There is a new entry: sees to it that the sweeper runs. */
static __noinline void sweep_begin(void)
{
    __u32 zero = 0;
    struct sweeper *record = map_lookup(sweeper, &zero);

    if (!record)
        return;
    __sync_fetch_and_add(&record->n_seen, 1);
    __u32 version = *(volatile __u32 *)&record->version;
    if (version == SWEEP_VERSION || __sync_val_compare_and_swap(&record->version, version, SWEEP_VERSION) != version)
        return;
    (void)sweep_timer_init(record); /* Says that it is there already when an earlier program made it. */
    if (sweep_timer_set_callback(record, sweep) || sweep_timer_start(record, SWEEP_TICK_NS))
        record->version = 0;
}

#endif
