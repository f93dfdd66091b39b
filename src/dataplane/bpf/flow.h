// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Connection entries: what was decided for a connection of a local port, so that its next frame costs one lookup.
 *
 * An entry belongs to (port slot, tuple as that workload sees it) and serves both directions.  It is only as good as the
 * port's epoch: after any change the frame is decided again and the entry rewritten in place.
 *
 * Life: half open until the workload is seen to go on (TCP: an ACK; others: a reply or the third frame), then established,
 * then closing after FIN or RST; then idle for too long or without its port, and dead.  A dead entry is deleted a tick later, because memory of a
 * deleted element may be given to another key at once, and a program that found the entry just before must not read that
 * key's values; it takes far less than a tick to run.
 *
 * Expiry needs nobody in user space.  A new entry puts its key into the next free one of 'flow_slots'; one timer walks over
 * them, a stretch each tick, all of them in about a dozen seconds.  A timer in each entry would be simpler, but
 * bpf_timer_init() may have no memory (Linux 6.18 takes it without waiting for a lock: seen to fail for nine entries of ten
 * in a burst of new connections), and a hundred thousand timers cost more than the walk.
 *
 * Admission is by project: so many half-open, so many established.  Over the limit a port without stateful policy is
 * served without an entry: it loses speed, nothing else.
 *
 * Accepted races: counters of an entry may lose an increment when two CPUs carry the same connection; a CPU that read
 * the entry before it was rewritten may use the old output for that one frame. */
#ifndef WEFT_BPF_FLOW_H
#define WEFT_BPF_FLOW_H

#include "weft/dataplane/bpf/counters.h"
#include "weft/dataplane/bpf/parse.h"

#define FLOW_DEAD_NS 10000000ull
#define FLOW_ASSURED_PACKETS 3
#define FLOW_SLOT_TRIES 8
#define SWEEP_VERSION 1           /* A program with another one takes the timer over. */
#define SWEEP_TICK_NS 100000000ull
#define SWEEP_STRETCH 2048        /* Slots a tick. */

/* The live entry of a tuple, or NULL. */
static __always_inline struct flow_entry *flow_find(const struct flow_key *key)
{
    struct flow_entry *entry = map_lookup(connections, key);

    if (!entry || entry->layout != FLOW_LAYOUT || entry->state == FLOW_DEAD || entry->slot != key->slot)
        return NULL;
    return entry;
}

/* Slots are given to others in time; the generation tells. */
static __always_inline __u32 output_generation(__u32 output)
{
    __u32 unused;

    if ((output & OUTPUT_KIND_MASK) == OUTPUT_LOCAL) {
        const struct port_config *port = port_config_get(output & OUTPUT_SLOT_MASK, &unused);
        return port ? port->generation : 0;
    }
    const struct host_config *host = host_config_get(output & OUTPUT_SLOT_MASK);
    return host ? host->generation : 0;
}

/* True when what the entry says about the workload's frames still holds. */
static __always_inline bool flow_is_current(const struct flow_entry *entry, const struct packet *packet,
                                            const struct port_config *port)
{
    return *(const volatile __u32 *)&entry->epoch == packet->epoch && entry->generation == port->generation &&
           entry->output != OUTPUT_NONE && mac_same(entry->remote_mac, packet->destination) &&
           entry->output_generation == output_generation(entry->output);
}

static __always_inline __u64 flow_timeout_ns(const struct flow_key *key, const struct flow_entry *entry)
{
    const struct settings *settings = settings_get();
    __u32 which, seconds = 0;

    if (key->protocol == IPPROTO_TCP)
        which = entry->state == FLOW_ESTABLISHED ? TIMEOUT_TCP_ESTABLISHED
                : entry->state == FLOW_CLOSING   ? TIMEOUT_TCP_CLOSING
                                                 : TIMEOUT_HALF_OPEN;
    else if (key->protocol == IPPROTO_UDP)
        which = entry->state == FLOW_ESTABLISHED ? TIMEOUT_UDP_SEEN : TIMEOUT_UDP_NEW;
    else if (key->protocol == IPPROTO_ICMP || key->protocol == IPPROTO_ICMPV6)
        which = TIMEOUT_ICMP;
    else
        which = TIMEOUT_OTHER;
    if (settings)
        seconds = settings->timeout_s[which];
    return (seconds ? seconds : 30) * 1000000000ull;
}

/* Gives back the entry's place in its project's limit. */
static __always_inline void flow_release(__u32 project_index, bool established)
{
    struct project_record *project = map_lookup(projects, &project_index);

    if (project)
        __sync_fetch_and_add(established ? &project->n_established : &project->n_half_open, -1);
}

static __always_inline __u32 flow_slots_mask(void)
{
    const struct settings *settings = settings_get();
    __u32 n = settings ? settings->n_flow_slots : 0;

    return (n ? n : FLOW_SLOTS_DEFAULT) - 1;
}

/* Removes an entry that has been dead for a tick; whoever succeeds gives back its place. */
static __always_inline void flow_remove(const struct flow_key *key, const struct flow_entry *entry)
{
    __u32 project = entry->project;
    bool established = entry->counted_established;

    if (map_delete(connections, key) == 0)
        flow_release(project, established);
}

/* Is the entry's port still whose it was made for?  A freed slot has no network; one given to another has another generation. */
static __always_inline bool flow_has_owner(const struct flow_entry *entry)
{
    __u32 unused;
    const struct port_config *port = port_config_get(entry->slot, &unused);

    return port && port->vni && port->generation == entry->generation;
}

/* Looks at one slot: the sweeper's step. */
static __always_inline void sweep_slot(struct flow_slot *slot, __u64 now)
{
    struct flow_entry *entry = map_lookup(connections, &slot->key);

    if (!entry) {
        slot->state = SLOT_FREE;
        return;
    }
    __u64 age = now > entry->last_seen_ns ? now - entry->last_seen_ns : 0;
    if (entry->state == FLOW_DEAD) {
        if (age >= FLOW_DEAD_NS) {
            flow_remove(&slot->key, entry);
            slot->state = SLOT_FREE;
        }
    } else if (age >= flow_timeout_ns(&slot->key, entry) || !flow_has_owner(entry)) {
        entry->state = FLOW_DEAD;
        entry->last_seen_ns = now;
        slot->state = SLOT_DYING;
    }
}

struct sweep_state {
    __u64 now;
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
    if (index < SWEEP_STRETCH) {
        if (slot->state == SLOT_DYING)
            sweep_slot(slot, state->now);
    } else if (slot->state >= SLOT_USED) {
        state->n_seen++;
        sweep_slot(slot, state->now);
    }
    return 0;
}

/* The timer's callback.  Rests when a whole round has met nobody. */
static int sweep(void *map, __u32 *key, struct sweeper *record)
{
    struct sweep_state state = {.now = time_ns(), .first = record->hand, .mask = flow_slots_mask()};

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
    sweep_timer_start(record, SWEEP_TICK_NS);
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

/* Puts the key where the sweeper will find it.  False: no free slot nearby, the table is as good as full. */
static __noinline bool flow_register(const struct flow_key *key)
{
    __u32 zero = 0, mask = flow_slots_mask();
    struct sweeper *record = map_lookup(sweeper, &zero);

    if (!record)
        return false;
    for (int i = 0; i < FLOW_SLOT_TRIES; i++) {
        __u32 position = __sync_fetch_and_add(&record->next, 1) & mask;
        struct flow_slot *slot = map_lookup(flow_slots, &position);
        if (!slot || slot->state != SLOT_FREE || __sync_val_compare_and_swap(&slot->state, SLOT_FREE, SLOT_CLAIMED) != SLOT_FREE)
            continue;
        slot->key = *key;
        *(volatile __u32 *)&slot->state = SLOT_USED;
        sweep_begin(record);
        return true;
    }
    return false;
}

static __noinline void flow_establish(struct flow_entry *entry)
{
    __u32 index = entry->project;
    struct project_record *project = map_lookup(projects, &index);

    if (!project || project->n_established >= project->max_established)
        return; /* Stays half open, with its shorter life. */
    if (__sync_val_compare_and_swap(&entry->counted_established, 0, 1) == 0) {
        __sync_fetch_and_add(&project->n_established, 1);
        __sync_fetch_and_add(&project->n_half_open, -1);
        entry->state = FLOW_ESTABLISHED;
    }
}

/* Accounts one frame; 'direction' is 0 for what the workload sends. */
static __always_inline void flow_account(struct flow_entry *entry, const struct packet *packet, __u32 direction)
{
    __u64 now = time_ns();

    if (entry->last_seen_ns != now)
        entry->last_seen_ns = now;
    entry->packets[direction] += packet->segments;
    entry->bytes[direction] += packet_wire_bytes(packet);
    if (direction && !(entry->flags & FLOW_SEEN_REPLY) && entry->flags & FLOW_LOCAL_STARTED)
        entry->flags |= FLOW_SEEN_REPLY;
    if (packet->tuple.protocol == IPPROTO_TCP) {
        if ((entry->tcp_flags[direction] | packet->tcp_flags) != entry->tcp_flags[direction])
            entry->tcp_flags[direction] |= packet->tcp_flags;
        if (entry->state == FLOW_HALF_OPEN && (packet->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_ACK)
            flow_establish(entry);
        if (packet->tcp_flags & (TCP_FIN | TCP_RST) && entry->state != FLOW_CLOSING && entry->state != FLOW_DEAD)
            entry->state = FLOW_CLOSING;
    } else if (entry->state == FLOW_HALF_OPEN &&
               (entry->flags & FLOW_SEEN_REPLY || entry->packets[0] >= FLOW_ASSURED_PACKETS)) {
        flow_establish(entry);
    }
}

/* Makes an entry for 'key'.  Where there can be none, a port with stateful policy gets a drop reason, any other goes on. */
static __noinline __u32 flow_create(const struct flow_key *key, const struct port_config *port,
                                    const struct flow_entry *initial)
{
    __u32 index = port->project;
    struct project_record *project = map_lookup(projects, &index);
    __u32 refused = port->flags & PORT_INGRESS_POLICY ? DROP_connection_limit : STEP_CONTINUE;

    if (!project || project->n_half_open >= project->max_half_open) {
        TRACE(flow, "no entry: the project has %u half-open connections, its limit", project ? project->n_half_open : 0);
        return refused;
    }
    __sync_fetch_and_add(&project->n_half_open, 1);
    if (map_insert(connections, key, initial)) {
        /* The last connection of this name died and was not swept yet; or another CPU was faster; or there is no memory. */
        const struct flow_entry *old = map_lookup(connections, key);
        if (old && old->state == FLOW_DEAD && initial->last_seen_ns >= old->last_seen_ns + FLOW_DEAD_NS)
            flow_remove(key, old);
        if (map_insert(connections, key, initial)) {
            __sync_fetch_and_add(&project->n_half_open, -1);
            return refused;
        }
    }
    if (!flow_register(key)) {
        if (map_delete(connections, key) == 0)
            __sync_fetch_and_add(&project->n_half_open, -1);
        return refused;
    }
    TRACE(flow, "entry made");
    return STEP_CONTINUE;
}

/* Remembers what was decided for a frame that the port's workload sent, in 'entry' if it has one.  'output' is OUTPUT_NONE
 * where the decision must not be kept (a MAC that may move at any time). */
static __noinline __u32 flow_remember(const struct packet *packet, const struct port_config *port, struct flow_entry *entry,
                                      __u32 output)
{
    if (entry) {
        /* Off first, so that no frame is sent by a half-written decision. */
        *(volatile __u32 *)&entry->epoch = ~packet->epoch;
        mac_copy(entry->remote_mac, packet->destination);
        entry->output = output;
        entry->output_generation = output_generation(output);
        entry->generation = port->generation;
        __sync_fetch_and_add(&entry->packets[0], 0); /* Orders the stores on every architecture. */
        *(volatile __u32 *)&entry->epoch = packet->epoch;
        flow_account(entry, packet, 0);
        return STEP_CONTINUE;
    }
    struct flow_entry initial = {
        .layout = FLOW_LAYOUT,
        .state = FLOW_HALF_OPEN,
        .flags = FLOW_LOCAL_STARTED,
        .tcp_flags = {packet->tcp_flags, 0},
        .slot = packet->slot,
        .epoch = packet->epoch,
        .output = output,
        .output_generation = output_generation(output),
        .project = port->project,
        .generation = port->generation,
        .last_seen_ns = time_ns(),
        .packets = {packet->segments, 0},
        .bytes = {packet_wire_bytes(packet), 0},
    };
    mac_copy(initial.remote_mac, packet->destination);
    return flow_create(&packet->tuple, port, &initial);
}

/* The receiving port's side of the connection, where that port asks for it. */
static __noinline __u32 flow_receive(const struct packet *packet, const struct port_config *port, __u32 slot)
{
    struct flow_key key ON_STACK = {.slot = slot, .protocol = packet->tuple.protocol};

    if (!(packet->flags & PACKET_HAS_FLOW))
        return STEP_CONTINUE;
    address_copy(key.local, packet->tuple.remote);
    address_copy(key.remote, packet->tuple.local);
    if (key.protocol == IPPROTO_ICMP || key.protocol == IPPROTO_ICMPV6) { /* Identifier and type have no direction. */
        key.local_port = packet->tuple.local_port;
        key.remote_port = packet->tuple.remote_port;
    } else {
        key.local_port = packet->tuple.remote_port;
        key.remote_port = packet->tuple.local_port;
    }
    struct flow_entry *entry = flow_find(&key);
    if (entry) {
        flow_account(entry, packet, 1);
        return STEP_CONTINUE;
    }
    struct flow_entry initial = {
        .layout = FLOW_LAYOUT,
        .state = FLOW_HALF_OPEN,
        .tcp_flags = {0, packet->tcp_flags},
        .slot = slot,
        .project = port->project,
        .generation = port->generation,
        .last_seen_ns = time_ns(),
        .packets = {0, packet->segments},
        .bytes = {0, packet_wire_bytes(packet)},
    };
    return flow_create(&key, port, &initial);
}

#endif
