// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Connection entries: what was decided for a connection of a local port, so that its next frame costs one lookup.
 *
 * An entry belongs to (port slot, tuple as that workload sees it) and serves both directions.  It is only as good as the
 * port's epoch: after any change the frame is decided again and the entry rewritten in place.
 *
 * Life: half open until the workload is seen to go on (TCP: an ACK; others: a reply or the third frame), then established,
 * then closing after FIN or RST; then idle for too long or without its port, and dead.  Ports with security groups look closer (track.h).
 *
 * How entries end is in expiry.h.
 *
 * Admission is by project: so many half-open, so many established.  A port without stateful policy is served without an entry when half of what
 * its project may have half open is in use: it loses speed, nothing else, and the other half is for those that need entries.  At these the oldest
 * half-open ones of the port make room (half-open.h).
 *
 * Accepted races: counters of an entry may lose an increment when two CPUs carry the same connection; a CPU that read
 * the entry before it was rewritten may use the old output for that one frame. */
#ifndef WEFT_BPF_FLOW_H
#define WEFT_BPF_FLOW_H

#include "weft/dataplane/bpf/counters.h"
#include "weft/dataplane/bpf/half-open.h"
#include "weft/dataplane/bpf/parse.h"
#include "weft/dataplane/bpf/segment.h"

#define FLOW_ASSURED_PACKETS 3

/* Two IPv6 addresses in 64 bits: products of words that depend on the host's secret, so that nobody can choose addresses that
 * meet.  Those that meet all the same do not share an entry (flow_find): the second goes without. */
static __always_inline __u64 flow_hash(const __u8 *local, const __u8 *remote)
{
    const struct settings *settings = settings_get();
    __u64 seed = settings ? settings->hash_seed : 0, hash = 0;

#define FLOW_HASH_WORD(address, factor)                                                                      \
    do {                                                                                                     \
        __u64 word_ = load64(address), key_ = seed * (factor);                                               \
        hash += (__u64)((__u32)word_ + (__u32)key_) * (__u32)((word_ >> 32) + (key_ >> 32));                 \
    } while (0)
    FLOW_HASH_WORD(local, 0x9e3779b97f4a7c15ull);
    FLOW_HASH_WORD(local + 8, 0xbf58476d1ce4e5b9ull);
    FLOW_HASH_WORD(remote, 0x94d049bb133111ebull);
    FLOW_HASH_WORD(remote + 8, 0xd6e8feb86659fd93ull);
#undef FLOW_HASH_WORD
    return hash;
}

/* The two ends as the workload sees them that sent the frame or, 'received', is given it. */
static __always_inline const __u8 *flow_local(const struct packet *packet, bool received)
{
    return received ? packet->tuple.remote : packet->tuple.local;
}

static __always_inline const __u8 *flow_remote(const struct packet *packet, bool received)
{
    return received ? packet->tuple.local : packet->tuple.remote;
}

/* The name of the frame's connection at one of its two ports. */
static __always_inline void flow_key_make(struct flow_key *ret, __u32 slot, const struct packet *packet, bool received)
{
    const __u8 *local = flow_local(packet, received), *remote = flow_remote(packet, received);
    __u8 protocol = packet->tuple.protocol;
    bool has_direction = protocol != IPPROTO_ICMP && protocol != IPPROTO_ICMPV6; /* Identifier and type have none. */

    ret->owner = slot | (__u32)protocol << 24;
    ret->local_port = received && has_direction ? packet->tuple.remote_port : packet->tuple.local_port;
    ret->remote_port = received && has_direction ? packet->tuple.local_port : packet->tuple.remote_port;
    ret->local = load32(local + 12);
    ret->remote = load32(remote + 12);
    if (packet->flags & PACKET_IPV6) {
        __u64 hash = flow_hash(local, remote);
        ret->owner |= FLOW_KEY_IPV6;
        ret->local = hash;
        ret->remote = hash >> 32;
    }
}

static __always_inline void flow_set_addresses(struct flow_entry *entry, const struct packet *packet, bool received)
{
    if (packet->flags & PACKET_IPV6) {
        address_copy(entry->local, flow_local(packet, received));
        address_copy(entry->remote, flow_remote(packet, received));
    }
}

/* Slots are given to others in time; the generation tells. */
static __always_inline __u16 output_generation(__u32 output)
{
    __u32 unused;

    if ((output & OUTPUT_KIND_MASK) == OUTPUT_LOCAL) {
        const struct port_config *port = port_config_get(output & OUTPUT_SLOT_MASK, &unused);
        return port ? port->generation : 0;
    }
    const struct host_config *host = host_config_get(output & OUTPUT_SLOT_MASK);
    return host ? host->generation : 0;
}

/* Sets and clears FLOW_* of an entry that other CPUs may know.  The word that holds them also has 'state', which others store by itself. */
static __always_inline void flow_flags_change(struct flow_entry *entry, __u32 set, __u32 clear)
{
    if (set & ~entry->flags)
        __sync_fetch_and_or(&entry->word, set << FLOW_FLAGS_SHIFT);
    if (clear & entry->flags)
        __sync_fetch_and_and(&entry->word, ~(clear << FLOW_FLAGS_SHIFT));
}

/* True when what the entry says about the workload's frames still holds, but for what route_holds() says of this one. */
static __always_inline bool flow_is_current(const struct flow_entry *entry, const struct packet *packet)
{
    return *(const volatile __u32 *)&entry->stamp == packet->stamp && entry->output != OUTPUT_NONE &&
           mac_same(entry->remote_mac, packet->destination) && entry->output_generation == output_generation(entry->output);
}

static __noinline void flow_establish(struct flow_entry *entry)
{
    __u32 account = entry->account, index = account & FLOW_ACCOUNT_MASK;
    struct project_record *project = map_lookup(projects, &index);

    if (account & (FLOW_COUNTED | FLOW_RECYCLED) || !project || project->n_established >= project->max_established)
        return; /* Is counted already; or stays half open, with its shorter life. */
    if (__sync_val_compare_and_swap(&entry->account, account, account | FLOW_COUNTED) == account) {
        __sync_fetch_and_add(&project->n_established, 1);
        __sync_fetch_and_add(&project->n_half_open, -1);
        entry->state = FLOW_ESTABLISHED;
    }
}

/* A segment with FIN or RST of a balanced connection that nobody tracks.  What its client does alone ends nothing: one that lies about it would not
 * count any more, and go on. */
static __always_inline void flow_account_end(struct flow_entry *entry, const struct packet *packet, __u32 direction)
{
    const __u32 both = FLOW_FIN | FLOW_FIN << 1;
    bool is_members = direction == (entry->output == OUTPUT_CLIENT ? 0 : 1);

    if (packet->tcp_flags & TCP_FIN)
        flow_flags_change(entry, FLOW_FIN << direction, 0);
    if ((entry->flags & both) == both || (packet->tcp_flags & TCP_RST && is_members))
        balanced_uncount(entry);
}

/* Accounts one frame; 'direction' is 0 for what the workload sends. */
static __always_inline void flow_account(struct flow_entry *entry, const struct packet *packet, __u32 direction)
{
    __u32 now = flow_now();

    if (entry->last_seen != now)
        entry->last_seen = now;
    entry->packets[direction] += packet->segments;
    entry->bytes[direction] += packet_wire_bytes(packet);
    if (direction && !(entry->flags & FLOW_SEEN_REPLY) && entry->flags & FLOW_LOCAL_STARTED)
        flow_flags_change(entry, FLOW_SEEN_REPLY, 0);
    if (packet->tuple.protocol == IPPROTO_TCP) {
        if (entry->flags & (FLOW_TRACKED | FLOW_TRACKED << 1))
            return;
        if (entry->state == FLOW_HALF_OPEN && (packet->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_ACK)
            flow_establish(entry);
        if (packet->tcp_flags & (TCP_FIN | TCP_RST) && entry->state != FLOW_CLOSING && entry->state != FLOW_DEAD)
            entry->state = FLOW_CLOSING;
        if (packet->tcp_flags & (TCP_FIN | TCP_RST) && output_is_service(entry->output))
            flow_account_end(entry, packet, direction);
    } else if (entry->state == FLOW_HALF_OPEN &&
               (entry->flags & FLOW_SEEN_REPLY || entry->packets[0] >= FLOW_ASSURED_PACKETS)) {
        flow_establish(entry);
    }
}

/* Half open again, for admission. */
static __always_inline void flow_unestablish(struct flow_entry *entry)
{
    __u32 account = entry->account, index = account & FLOW_ACCOUNT_MASK, half_open = account & ~(FLOW_COUNTED | FLOW_RECYCLED);
    struct project_record *project = map_lookup(projects, &index);

    if (project && account & FLOW_RECYCLED && __sync_val_compare_and_swap(&entry->account, account, half_open) == account)
        __sync_fetch_and_add(&project->n_half_open, 1); /* It had given up its place. */
    else if (project && account & FLOW_COUNTED && __sync_val_compare_and_swap(&entry->account, account, half_open) == account) {
        __sync_fetch_and_add(&project->n_established, -1);
        __sync_fetch_and_add(&project->n_half_open, 1);
    }
}

/* Another connection of the same name in the entry's place.  What it is called outside stays. */
static __noinline void flow_restart(struct flow_entry *entry, const struct flow_entry *initial)
{
    const __u32 kept = FLOW_TRANSLATED | FLOW_ALIASED;

    *(volatile __u32 *)&entry->stamp = ~initial->stamp;
    flow_unestablish(entry);
    flow_flags_change(entry, initial->flags, ~(__u32)initial->flags & ~kept & 0xffff);
    entry->output = initial->output;
    entry->output_generation = initial->output_generation;
    mac_copy(entry->remote_mac, initial->remote_mac);
    entry->last_seen = initial->last_seen;
    entry->packets[0] = initial->packets[0];
    entry->packets[1] = initial->packets[1];
    entry->bytes[0] = initial->bytes[0];
    entry->bytes[1] = initial->bytes[1];
    entry->generation = initial->generation;
    mac_copy(entry->next_mac, initial->next_mac);
    entry->router_port = initial->router_port;
    entry->router_generation = initial->router_generation;
    entry->hops = initial->hops;
    entry->scales = initial->scales;
    entry->window[0] = initial->window[0];
    entry->window[1] = initial->window[1];
    entry->sequence_end[0] = initial->sequence_end[0];
    entry->sequence_end[1] = initial->sequence_end[1];
    balanced_recount(entry);
    __sync_fetch_and_add(&entry->packets[0], 0); /* Orders the stores on every architecture. */
    *(volatile __u8 *)&entry->state = initial->state;
    *(volatile __u32 *)&entry->stamp = initial->stamp;
}

/* Of several CPUs that find the same entry dead one makes the new connection of it, the others use what it makes.  Those that come late find it alive. */
static __always_inline void flow_take_place(struct flow_entry *old, const struct flow_entry *initial)
{
    if (!flow_take(old))
        return;
    if (flow_state(old) == FLOW_DEAD) {
        if (old->output == OUTPUT_CLIENT)
            balanced_remove(&old->key);
        balanced_uncount(old);
        __sync_fetch_and_or(&old->account, FLOW_UNCOUNTED); /* Also of one that never counted. */
        flow_restart(old, initial); /* The sweeper leaves it alone for a while yet. */
    }
    __sync_fetch_and_and(&old->account, ~FLOW_TAKEN);
}

enum flow_place { PLACE_NONE, PLACE_NEW, PLACE_OLD };

/* Puts a copy into a place of its own, and into its chain.  Returns an enum flow_linked. */
static __always_inline __u32 flow_insert_at(__u32 place, const struct flow_key *key, const struct flow_entry *initial)
{
    struct flow_entry *entry = flow_at(place);

    if (!entry)
        return LINK_FAILED;
    entry->key = *key;
    entry->hops = initial->hops;
    entry->flags = initial->flags;
    __builtin_memcpy(&entry->stamp, &initial->stamp, sizeof(*entry) - offsetof(struct flow_entry, stamp));
    return flow_link(place, initial->state);
}

/* Makes an entry, and sees to its end; 'may_go': while it is half open it may have to make room.  PLACE_OLD: there is one of this name already, because
 * another CPU was faster, or because the last connection has just died, whose place this one takes: a reader that still holds it does not come to another
 * name's.  PLACE_NONE: there is no room. */
static __noinline __u32 flow_insert(const struct flow_key *key, const struct flow_entry *initial, bool may_go)
{
    for (__u32 i = 0; i < 2; i++) {
        __u32 place = flow_claim(), linked = flow_insert_at(place, key, initial);

        if (linked == LINK_DONE) {
            sweep_begin();
            if (may_go)
                half_open_note(flow_key_slot(key), place);
            return PLACE_NEW;
        }
        place = linked == LINK_EXISTS ? flow_look_up(key) : FLOW_NONE;
        struct flow_entry *old = flow_at(place);
        if (!old || (key->owner & FLOW_KEY_IPV6 && !(address_equal(old->local, initial->local) && address_equal(old->remote, initial->remote))))
            return PLACE_NONE; /* Full; or the hashes meet. */
        if (flow_state(old) != FLOW_DEAD)
            return PLACE_OLD;
        if (flow_age(initial->last_seen, old->last_seen) < FLOW_DEAD_TIME - 2 && !((old->flags | initial->flags) & (FLOW_TRANSLATED | FLOW_ALIASED))) {
            flow_take_place(old, initial);
            return PLACE_OLD;
        }
        if (!flow_expire(place, initial->last_seen))
            return PLACE_NONE;
    }
    return PLACE_NONE;
}

/* The live entry of the frame's connection, or NULL. */
static __always_inline struct flow_entry *flow_find(const struct flow_key *key, const struct packet *packet, bool received)
{
    struct flow_entry *entry = flow_get(key);

    if (!entry || !flow_state_is_alive(flow_state(entry)))
        return NULL;
    if (packet->flags & PACKET_IPV6 && !(address_equal(entry->local, flow_local(packet, received)) &&
                                         address_equal(entry->remote, flow_remote(packet, received))))
        return NULL;
    return entry;
}

/* A new connection.  Where it can have no entry, a port with stateful policy gets a drop reason, any other goes on. */
static __always_inline __u32 flow_create(const struct flow_key *key, const struct port_config *port,
                                    const struct flow_entry *initial)
{
    __u32 index = port->project;
    struct project_record *project = map_lookup(projects, &index);
    bool is_bound = initial->flags & FLOW_BOUND;
    __u32 refused = port->flags & (PORT_POLICY | PORT_ROUTER_FIREWALL) || is_bound ? DROP_connection_limit : STEP_CONTINUE;

    if (!project)
        return refused;
    __u32 n = project->n_half_open, max = project->max_half_open;
    bool made_room = false;
    if (refused == STEP_CONTINUE && n >= max / 2) {
        TRACE(flow, "no entry: the rest of the %u half-open connections that the project may have is for ports with policies", max);
        return refused;
    }
    if (refused != STEP_CONTINUE && n >= max / 2) {
        __u32 done = half_open_make_room(flow_key_slot(key), n < max ? project->port_half_open : 0);
        if (done == ROOM_LATER)
            return refused;
        made_room = done == ROOM_MADE;
    }
    if (n >= max && !made_room) {
        TRACE(flow, "no entry: the project has %u half-open connections, its limit", n);
        return refused;
    }
    __sync_fetch_and_add(&project->n_half_open, 1);
    __u32 place = flow_insert(key, initial, refused != STEP_CONTINUE);
    if (place != PLACE_NEW)
        __sync_fetch_and_add(&project->n_half_open, -1);
    /* Another CPU was faster with a connection of this name; the name outside that this one took must be given back (nat_give_up). */
    if (place == PLACE_NONE || (place == PLACE_OLD && initial->flags & FLOW_ALIASED))
        return place == PLACE_OLD ? DROP_connection_limit : refused;
    if (place == PLACE_NEW)
        balanced_count(initial);
    TRACE(flow, "entry made");
    return STEP_CONTINUE;
}

static __always_inline void flow_set_translation(struct flow_entry *entry, const struct decision *decision)
{
    if (!(decision->flags & DECISION_TRANSLATED))
        return;
    entry->outside_local = decision->outside_local;
    entry->outside_remote = decision->outside_remote;
    entry->outside_local_port = decision->outside_local_port;
    entry->outside_remote_port = decision->outside_remote_port;
    entry->object = decision->object;
    entry->gateway = decision->gateway;
    entry->outside_vni = decision->outside_vni;
}

static __always_inline void flow_get_translation(const struct flow_entry *entry, struct decision *decision)
{
    decision->flags |= DECISION_TRANSLATED;
    decision->outside_local = entry->outside_local;
    decision->outside_remote = entry->outside_remote;
    decision->outside_local_port = entry->outside_local_port;
    decision->outside_remote_port = entry->outside_remote_port;
}

/* From packet->decision to an entry, all but its flags.  An output that may move is not kept: each frame looks it up again. */
static __always_inline void flow_set_decision(struct flow_entry *entry, const struct packet *packet)
{
    const struct decision *decision = &packet->decision;
    __u32 output = decision->flags & DECISION_MOVES ? OUTPUT_NONE : decision->output;

    entry->output = output;
    entry->output_generation = output_is_service(output) ? BALANCED_DECIDED : output_generation(output);
    mac_copy(entry->remote_mac, packet->destination);
    if (output_is_member(output)) {
        const struct router_port_config *router_port = router_port_get(decision->router_port);
        balanced_note_member(entry, decision->object, decision->gateway);
        entry->router_port = decision->router_port;
        entry->router_generation = router_port ? router_port->generation : 0;
        entry->hops = decision->hops;
    } else if (decision->router_port) {
        const struct router_port_config *router_port = router_port_get(decision->router_port);
        mac_copy(entry->next_mac, decision->next_mac);
        entry->router_port = decision->router_port;
        entry->router_generation = router_port ? router_port->generation : 0;
        entry->hops = decision->hops;
    }
    flow_set_translation(entry, decision);
}

static __always_inline __u32 flow_decision_flags(const struct packet *packet)
{
    __u32 flags = packet->decision.flags;

    return (packet->decision.router_port ? FLOW_ROUTED : 0) | (flags & DECISION_TRANSLATED ? FLOW_TRANSLATED : 0) |
           (flags & DECISION_ALIASED ? FLOW_ALIASED : 0) | (flags & DECISION_BOUND ? FLOW_BOUND : 0);
}

/* From a current entry to packet->decision, which decision_apply() then does to the frame. */
static __always_inline void flow_get_decision(const struct flow_entry *entry, struct packet *packet)
{
    packet->decision.output = entry->output;
    if (entry->flags & FLOW_ROUTED) {
        packet->decision.router_port = entry->router_port;
        packet->decision.hops = entry->hops;
        mac_copy(packet->decision.next_mac, entry->next_mac);
    }
    if (entry->flags & FLOW_TRANSLATED)
        flow_get_translation(entry, &packet->decision);
}

/* Which side of the connection its packet is from: 0 the local workload's. */
static __always_inline __u32 flow_side(bool received)
{
    return received ? 1 : 0;
}

/* Is the packet one that answers, so that the connection, if nobody has heard of it yet, was begun by the other side?  A later fragment does not say. */
static __always_inline bool flow_answers(const struct packet *packet)
{
    if (packet->flags & PACKET_LATER_FRAGMENT)
        return false;
    if (packet->tuple.protocol == IPPROTO_TCP)
        return (packet->tcp_flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK);
    return (packet->tuple.protocol == IPPROTO_ICMP && packet->icmp_type == ICMP_ECHO_REPLY_TYPE) ||
           (packet->tuple.protocol == IPPROTO_ICMPV6 && packet->icmp_type == ICMPV6_ECHO_REPLY_TYPE);
}

/* Is the packet what is expected of its side of the connection?  Of ICMP, who asks does not answer; of others everything is. */
static __always_inline bool flow_is_usual(const struct flow_entry *entry, const struct packet *packet, bool received)
{
    if (packet->tuple.protocol != IPPROTO_ICMP && packet->tuple.protocol != IPPROTO_ICMPV6)
        return true;
    return flow_answers(packet) == (received == !!(entry->flags & FLOW_LOCAL_STARTED));
}

/* A new connection, by its first frame, which the workload sent or, 'received', is given; 'stamp' is of the port whose connection it is.
 * On its own for the stack's sake, which all that call each other share. */
static __noinline __u32 flow_begin(const struct packet *packet, const struct port_config *port, const struct flow_key *key, bool received,
                                   __u32 stamp)
{
    struct scratch *scratch = scratch_get();
    __u32 side = flow_side(received);

    if (!scratch)
        return DROP_connection_limit;
    struct flow_entry *initial = &scratch->entry;
    *initial = (struct flow_entry){
        .state = FLOW_HALF_OPEN,
        .flags = received == flow_answers(packet) ? FLOW_LOCAL_STARTED : 0,
        .stamp = stamp,
        .last_seen = flow_now(),
        .account = port->project,
        .generation = port->generation,
    };
    if (!(port->flags & PORT_POLICY))
        initial->flags |= FLOW_GUESSED;
    if (!received) {
        initial->flags |= flow_decision_flags(packet);
        flow_set_decision(initial, packet);
    } else {
        initial->flags |= flow_decision_flags(packet) & ~FLOW_ROUTED; /* How the workload's answers get out, they say, */
        if (packet->decision.output == OUTPUT_CLIENT) { /* unless they go back to a load balancer. */
            initial->output = OUTPUT_CLIENT;
            initial->output_generation = BALANCED_DECIDED;
            balanced_note_outside(initial, packet->decision.object, packet->decision.gateway);
        }
        flow_set_translation(initial, &packet->decision);
        if (packet->decision.flags & DECISION_TRANSLATED)
            mac_copy(initial->remote_mac, packet->source); /* The router's. */
    }
    if (packet->flags & PACKET_STATELESS) /* Only for its translation: each packet is judged. */
        initial->stamp = ~stamp;
    else if (packet->tuple.protocol == IPPROTO_TCP && (port->flags & PORT_POLICY) == PORT_POLICY && !(packet->flags & PACKET_LATER_FRAGMENT))
        initial->flags |= tcp_first(initial, &scratch->segment, side);
    initial->packets[side] = packet->segments;
    initial->bytes[side] = packet_wire_bytes(packet);
    flow_set_addresses(initial, packet, received);
    return flow_create(key, port, initial);
}

/* The decision that was kept is as good as 'stamp'.  Of two CPUs with decisions of different epochs one may have had the last word about the
 * output and the other one about the stamp: then neither holds. */
static __always_inline void flow_set_stamp(struct flow_entry *entry, __u32 stamp)
{
    __u32 output = entry->output;

    __sync_fetch_and_add(&entry->packets[0], 0); /* Orders the stores on every architecture. */
    *(volatile __u32 *)&entry->stamp = stamp;
    __sync_fetch_and_add(&entry->packets[0], 0);
    if (*(volatile __u32 *)&entry->output != output)
        *(volatile __u32 *)&entry->stamp = ~stamp;
}

/* Remembers packet->decision for a frame that the port's workload sent, in 'entry' if it has one.  Comes before the decision is applied:
 * the entry has the destination MAC that the workload used. */
static __noinline __u32 flow_remember(const struct packet *packet, const struct port_config *port, struct flow_entry *entry)
{
    struct flow_key key ON_STACK;

    if (!entry) {
        flow_key_make(&key, packet->slot, packet, false);
        return flow_begin(packet, port, &key, false, packet->stamp);
    }
    /* Off first, so that no frame is sent by a half-written decision. */
    *(volatile __u32 *)&entry->stamp = ~packet->stamp;
    flow_set_decision(entry, packet);
    flow_flags_change(entry, flow_decision_flags(packet), FLOW_ROUTED & ~flow_decision_flags(packet));
    entry->generation = port->generation;
    if (!(port->flags & PORT_POLICY))
        flow_flags_change(entry, 0, FLOW_TRACKED | FLOW_TRACKED << 1); /* Nobody tracks it any more. */
    flow_set_stamp(entry, packet->flags & PACKET_STATELESS ? ~packet->stamp : packet->stamp);
    flow_account(entry, packet, 0);
    return STEP_CONTINUE;
}

static __always_inline bool flow_is_over(const struct flow_entry *entry)
{
    __u8 state = entry->state;

    return state == FLOW_CLOSING || state == FLOW_TIME_WAIT || state == FLOW_RESET;
}

/* Does the packet begin another connection in the place of one that is over? */
static __always_inline bool flow_begins_anew(const struct flow_entry *entry, const struct packet *packet)
{
    return packet->tuple.protocol == IPPROTO_TCP && !(packet->flags & PACKET_LATER_FRAGMENT) &&
           (packet->tcp_flags & (TCP_SYN | TCP_ACK | TCP_FIN | TCP_RST)) == TCP_SYN && flow_is_over(entry);
}

/* Ends a connection: from now on nobody finds its entry, which the sweeper removes. */
static __always_inline void flow_end(struct flow_entry *entry)
{
    entry->last_seen = flow_now();
    *(volatile __u8 *)&entry->state = FLOW_DEAD;
    balanced_uncount(entry);
}

#endif
