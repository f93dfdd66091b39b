// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The virtual switch of a network: which output has a MAC, MACs that move, and copies for everybody. */
#ifndef WEFT_BPF_SWITCHING_H
#define WEFT_BPF_SWITCHING_H

#include "weft/dataplane/bpf/counters.h"
#include "weft/dataplane/bpf/deliver.h"
#include "weft/dataplane/bpf/tunnel.h"

/* Where a MAC is; '*ret_moves' says that the answer may change without a new epoch. */
static __always_inline __u32 switch_lookup(__u32 vni, const __u8 *mac, bool *ret_moves)
{
    struct fdb_key key = {.vni = vni};

    mac_copy(key.mac, mac);
    __u32 output = output_of(map_lookup(fdb, &key), vni);
    *ret_moves = output == OUTPUT_NONE;
    if (output == OUTPUT_NONE)
        output = output_of(map_lookup(learned, &key), vni);
    return output;
}

static __always_inline bool switch_may_claim(__u32 vni, const __u8 *mac, __u32 output)
{
    struct movable_key key = {.vni = vni, .output = output};

    mac_copy(key.mac, mac);
    if (output_of(map_lookup(movable, &key), vni) == output)
        return true;
    store32(key.mac, 0);
    store16(key.mac + 4, 0);
    return output_of(map_lookup(movable, &key), vni) == output;
}

/* Takes a place in what the network's project may have in the table; NULL: none is left. */
static __always_inline struct project_record *learn_admit(__u32 vni)
{
    const struct network_value *value = map_lookup(networks, &vni);
    union {
        __u64 word;
        struct network_value value;
    } copy = {.word = value ? *(const volatile __u64 *)value : 0};
    __u32 index = copy.value.project;
    struct project_record *project = map_lookup(projects, &index);

    if (!value || copy.value.vni != vni || !project)
        return NULL;
    if (*(volatile __u32 *)&project->n_learned >= project->max_learned) {
        __sync_fetch_and_add(&project->n_not_learned, 1);
        return NULL;
    }
    __sync_fetch_and_add(&project->n_learned, 1);
    return project;
}

/* Notes that the source MAC is now behind 'output', if it may be there.  A MAC that the model places is never learned.
 * A port that shows more MACs than it or the network's project may is stopped here: other hosts learn from what it floods, and
 * their tables are everybody's.  What comes from another host over the limit is not learned, and counted. */
static __noinline __u32 switch_learn(const struct packet *packet, __u32 output)
{
    struct fdb_key key = {.vni = packet->vni};
    struct output_value value = {.vni = packet->vni, .output = output};
    struct port_runtime *runtime = NULL;
    struct project_record *project = NULL;
    __u32 slot = packet->slot;

    mac_copy(key.mac, packet->source);
    if (output_of(map_lookup(fdb, &key), key.vni) != OUTPUT_NONE)
        return STEP_CONTINUE;
    __u32 before = output_of(map_lookup(learned, &key), key.vni);
    if (before == output)
        return STEP_CONTINUE;
    if (mac_is_zero(packet->source) || packet->source[0] & 1 || !switch_may_claim(key.vni, packet->source, output))
        return STEP_CONTINUE;
    if (slot) {
        runtime = map_lookup(port_runtime, &slot);
        if (!runtime || runtime->n_learned >= MAX_LEARNED_PER_PORT)
            return DROP_mac_limit;
    }
    if (before == OUTPUT_NONE) {
        project = learn_admit(key.vni);
        if (!project) {
            TRACE(learn, "not learned: the network's project has as many MACs here as it may");
            return slot ? DROP_project_mac_limit : STEP_CONTINUE;
        }
    }
    if (map_put(learned, &key, &value)) {
        if (project)
            __sync_fetch_and_add(&project->n_learned, -1);
        return STEP_CONTINUE;
    }
    if (runtime)
        __sync_fetch_and_add(&runtime->n_learned, 1);
    TRACE(learn, "%s is behind output %#x", trace_mac(packet->source), output);
    return STEP_CONTINUE;
}

/* MACs that bridges must not forward (IEEE 802.1Q, 8.6.3), and those of bridge management behind them. */
static __always_inline bool switch_is_reserved(const __u8 *mac)
{
    return load32(mac) == bpf_htonl(0x0180c200) && mac[4] == 0;
}

struct flood_state {
    struct __sk_buff *skb;
    const struct packet *packet;
    __u64 wire_bytes;
    __u32 vni;
    __u32 slot;        /* Who sent it: gets no copy. */
    __u32 segments;
    __u32 tunnel_ifindex;
    __u32 budget;      /* Copies that may still be made. */
    __u32 n_copies;
    __u32 local_only;  /* What came by tunnel never goes back into one. */
    __u32 is_exhausted;
};

static long flood_copy(__u32 index, struct flood_state *state)
{
    struct flood_key key = {.vni = state->vni, .index = index};
    const struct output_value *value = map_lookup(flood, &key);
    __u32 ifindex;

    if (!value)
        return 1;
    if (index == MAX_FLOOD_MEMBERS) {
        state->is_exhausted = 1; /* A larger network wants a relay tree. */
        return 1;
    }
    __u32 output = output_of(value, key.vni);
    __u32 kind = output & OUTPUT_KIND_MASK, slot = output & OUTPUT_SLOT_MASK;
    if (kind == OUTPUT_LOCAL) {
        __u32 unused;
        const struct port_config *port = port_config_get(slot, &unused);
        if (slot == state->slot || !port || port->vni != key.vni || !port->ifindex || !(port->flags & PORT_ADMIN_UP))
            return 0;
        ifindex = port->ifindex;
    } else if (kind == OUTPUT_REMOTE && !state->local_only) {
        ifindex = state->tunnel_ifindex;
    } else {
        return 0;
    }
    if (!state->budget) {
        state->is_exhausted = 1;
        return 1;
    }
    if (kind == OUTPUT_REMOTE) { /* For to_tunnel. */
        state->skb->mark = TUNNEL_MARK | slot;
        state->skb->priority = key.vni;
    }
    if (bpf_clone_redirect(state->skb, ifindex, 0) < 0)
        return 0; /* No such device.  A copy that is lost later was still made. */
    state->budget--;
    state->n_copies++;
    if (kind == OUTPUT_LOCAL)
        count_received(slot, state->segments, state->wire_bytes);
    TRACE(flood, "copy to output %#x, interface %u", output, ifindex);
    return 0;
}

/* Gives a copy to everybody in the network but the sender.  Each copy costs the sending port a token for each frame that it
 * will be on the wire: or 64 KiB would go for the price of one. */
static __noinline __u32 switch_flood(struct __sk_buff *skb, const struct packet *packet, const struct port_config *port)
{
    const struct settings *settings = settings_get();
    struct port_runtime *runtime = NULL;
    __u32 slot = packet->slot;
    struct flood_state state = {
        .skb = skb,
        .packet = packet,
        .wire_bytes = packet_wire_bytes(packet),
        .vni = packet->vni,
        .slot = slot,
        .segments = packet->segments,
        .tunnel_ifindex = settings ? settings->tunnel_ifindex : 0,
        .budget = MAX_FLOOD_MEMBERS,
        .local_only = !port,
    };
    __u64 tokens = 0;

    if (port) {
        runtime = map_lookup(port_runtime, &slot);
        if (!runtime)
            return DROP_bum_budget;
        tokens = bucket_refill(&runtime->bum_time_ns, &runtime->bum_tokens, port->bum_rate, port->bum_burst);
        __u64 copies = tokens / state.segments;
        if (!copies)
            return DROP_bum_budget;
        if (copies < state.budget)
            state.budget = copies;
    }
    frame_loop(MAX_FLOOD_MEMBERS + 1, flood_copy, &state);
    if (runtime)
        runtime->bum_tokens = tokens - (__u64)state.n_copies * state.segments;
    if (!state.n_copies)
        return DROP_flood_empty;
    if (state.is_exhausted)
        count_drop(slot, DROP_bum_budget); /* The rest of the copies. */
    TRACE(flood, "%u copies", state.n_copies);
    return VERDICT(TC_ACT_STOLEN);
}

#endif
