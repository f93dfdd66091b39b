// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The virtual switch of a network: which output has a MAC, MACs that move, and copies for everybody. */
#ifndef WEFT_BPF_SWITCHING_H
#define WEFT_BPF_SWITCHING_H

#include "weft/dataplane/bpf/counters.h"
#include "weft/dataplane/bpf/deliver.h"
#include "weft/dataplane/bpf/neighbor.h"
#include "weft/dataplane/bpf/policy.h"
#include "weft/dataplane/bpf/tunnel.h"
#include "weft/dataplane/bpf/uplink-device.h"

static const __u8 outside_mac[8] = OUTSIDE_MAC_BYTES;

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

/* The port by which a frame with this source, on an external network, comes from a router of ours or from a load balancer's address there; 0: from neither.  Both
 * send with one MAC on all hosts. */
static __always_inline __u32 switch_router_port(__u32 vni, const __u8 *mac)
{
    bool moves;
    __u32 output = switch_lookup(vni, mac, &moves), kind = output & OUTPUT_KIND_MASK;

    return kind == OUTPUT_ROUTER || kind == OUTPUT_SERVICE ? output & OUTPUT_SLOT_MASK : 0;
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

/* Notes that the source MAC is now behind 'output', if it may be there.  A MAC that the model places is never learned, nor the one that our hosts
 * send by to the outside.
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
    if (mac_is_zero(packet->source) || packet->source[0] & 1 || mac_same(packet->source, outside_mac) || !switch_may_claim(key.vni, packet->source, output))
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

/* ---- copies for everybody ------------------------------------------------------------------------------------------------ */

/* What the loops over copies work on: 'struct flood_state' is in scratch memory, which cannot hold pointers. */
struct flood_run {
    struct __sk_buff *skb;
    const struct packet *packet;
    struct flood_state *state;
};

static __always_inline __u32 flood_row(__u32 vni, __u32 index)
{
    struct flood_key key = {.vni = vni, .index = index};

    return output_of(map_lookup(flood, &key), vni);
}

static __always_inline __u32 ring_distance(__u32 from, __u32 to)
{
    return (to - from) & FLOOD_KEY_MASK;
}

static long flood_local(__u32 index, struct flood_run *run)
{
    struct flood_state *state = run->state;
    __u32 output = flood_row(state->vni, FLOOD_LOCAL | index), slot = output & OUTPUT_SLOT_MASK, unused;

    if (output == OUTPUT_NONE)
        return 1;
    const struct port_config *port = port_config_get(slot, &unused);
    if ((output & OUTPUT_KIND_MASK) != OUTPUT_LOCAL || slot == state->slot || !port || port->vni != state->vni || !port->ifindex ||
        !(port->flags & PORT_ADMIN_UP))
        return 0;
    if (!state->budget) {
        state->is_exhausted = 1;
        return 1;
    }
    /* By the packet alone, whoever asked for it: there is no connection with everybody.  Looking costs what a copy costs. */
    if (port->flags & PORT_INGRESS_POLICY && !policy_exempts(run->packet, port, true)) {
        bool passes = policy_judge(run->packet, slot, POLICY_INGRESS | POLICY_RECEIVED) != POLICY_DENIES;
        if (port->flags & PORT_LOGS)
            verdict_write(run->packet, port, slot, VERDICT_WAS_RECEIVED | (passes ? 0 : DROP_policy_ingress));
        if (!passes) {
            state->budget--;
            state->n_spent++;
            state->n_refused++;
            count_drop(slot, DROP_policy_ingress);
            return 0;
        }
    }
    __u32 ifindex = port->ifindex;
    if (bpf_clone_redirect(run->skb, ifindex, 0) < 0)
        return 0; /* No such device.  A copy that is lost later was still made. */
    state->budget--;
    state->n_spent++;
    state->n_copies++;
    count_received(slot, state->segments, state->wire_bytes);
    TRACE(flood, "copy to port slot %u, interface %u", slot, ifindex);
    return 0;
}

/* A copy for to_tunnel. */
static __always_inline bool flood_send(struct flood_run *run, __u32 slot, __u32 word)
{
    struct flood_state *state = run->state;

    run->skb->mark = TUNNEL_MARK | slot;
    run->skb->priority = state->vni;
    run->skb->cb[0] = word;
    if (bpf_clone_redirect(run->skb, state->tunnel_ifindex, 0) < 0)
        return false;
    state->n_copies++;
    return true;
}

/* Each host of a list by itself. */
static long flood_host(__u32 index, struct flood_run *run)
{
    struct flood_state *state = run->state;
    __u32 output = flood_row(state->vni, state->list | index), slot = output & OUTPUT_SLOT_MASK;

    if (output == OUTPUT_NONE)
        return 1;
    if ((output & OUTPUT_KIND_MASK) != OUTPUT_REMOTE)
        return 0;
    if (!state->budget) {
        state->is_exhausted = 1;
        return 1;
    }
    if (!flood_send(run, slot, TUNNEL_WORD(TUNNEL_FLOOD, state->hops, 0)))
        return 0;
    state->budget--;
    state->n_spent++;
    TRACE(flood, "copy to host slot %u", slot);
    return 0;
}

/* One stretch of the tree.  Where it ends is read once, as the beginning of the next one, so that stretches do not overlap even while the
 * list is being rewritten. */
static long flood_stretch(__u32 index, struct flood_run *run)
{
    struct flood_state *state = run->state;
    __u32 from = state->position, to = (__u64)(index + 1) * state->n_hosts / state->fan_out, slot = state->next, end = state->end;
    bool is_last = index + 1 >= state->fan_out;

    if (!is_last) {
        __u32 output = flood_row(state->vni, FLOOD_TREE | to);
        const struct host_config *host = host_config_get(output & OUTPUT_SLOT_MASK);
        if ((output & OUTPUT_KIND_MASK) == OUTPUT_REMOTE && host) {
            state->next = output & OUTPUT_SLOT_MASK;
            end = host->key & FLOOD_KEY_MASK;
        } else {
            is_last = true; /* The list became shorter. */
            to = state->n_hosts;
        }
    }
    state->position = to;
    bool is_alone = to == from + 1;
    flood_send(run, slot, is_alone ? TUNNEL_WORD(TUNNEL_FLOOD, state->hops, 0) : TUNNEL_WORD(TUNNEL_RELAYED, state->hops, end));
    TRACE(flood, "copy to host slot %u, for it and %u hosts behind it", slot, to - from - 1);
    return is_last;
}

/* Towards the first 'n_hosts' of the tree, which are all before 'end'. */
static __always_inline void flood_tree(struct flood_run *run)
{
    struct flood_state *state = run->state;

    if (state->n_hosts > state->budget) {
        state->is_exhausted = 1;
        state->n_hosts = state->budget;
        const struct host_config *host =
            host_config_get(flood_row(state->vni, FLOOD_TREE | state->n_hosts) & OUTPUT_SLOT_MASK);
        if (host)
            state->end = host->key & FLOOD_KEY_MASK;
    }
    __u32 output = flood_row(state->vni, FLOOD_TREE);
    if (!state->n_hosts || (output & OUTPUT_KIND_MASK) != OUTPUT_REMOTE)
        return;
    state->next = output & OUTPUT_SLOT_MASK;
    state->position = 0;
    state->budget -= state->n_hosts;
    state->n_spent += state->n_hosts;
    frame_loop(state->fan_out, flood_stretch, run);
}

/* From a port here to all hosts.  What each host can place by itself goes down the tree.  A MAC that may move is learned by the host that
 * the copy comes from: such a frame, and any in a network of few hosts, goes from here to each. */
static __always_inline void flood_to_hosts(struct flood_run *run, const __u8 *source)
{
    struct flood_state *state = run->state;
    struct fdb_key key = {.vni = state->vni};
    __u32 n = flood_row(state->vni, FLOOD_FACTS);

    mac_copy(key.mac, source);
    bool is_placed = output_of(map_lookup(fdb, &key), state->vni) != OUTPUT_NONE;
    state->list = FLOOD_DIRECT;
    frame_loop(FLOOD_LIST_MAX, flood_host, run);
    if (!is_placed || n <= state->fan_out) {
        state->list = FLOOD_TREE;
        frame_loop(FLOOD_LIST_MAX, flood_host, run);
        return;
    }
    state->n_hosts = n;
    state->end = flood_row(state->vni, FLOOD_FACTS | 1);
    state->hops = 1;
    flood_tree(run);
}

/* The gateway that stands for this host, which has no uplink of its own. */
static __always_inline __u32 bridge_gateway(__u32 vni)
{
    struct flood_key key = {.vni = vni, .index = GATEWAYS_BRIDGE};
    __u32 output = output_of(map_lookup(gateways, &key), vni);

    return (output & OUTPUT_KIND_MASK) == OUTPUT_REMOTE ? output : OUTPUT_NONE;
}

/* Nobody outside is to see a MAC that is another's: a router's, which never leaves, or another port's. */
static __always_inline bool bridge_may_leave(const struct packet *packet)
{
    struct fdb_key key = {.vni = packet->vni};

    mac_copy(key.mac, packet->source);
    __u32 owner = output_of(map_lookup(fdb, &key), packet->vni);
    return !mac_same(packet->source, outside_mac) && (owner == OUTPUT_NONE || owner == (OUTPUT_LOCAL | packet->slot));
}

/* One copy to the physical network that the network is (bridge.h). */
static __noinline void flood_outside(struct __sk_buff *skb, const struct packet *packet, struct flood_state *state)
{
    struct flood_run run = {.skb = skb, .packet = packet, .state = state};
    struct uplink_value uplink ON_STACK = {};

    if (!(neighbor_flags(packet->vni) & NETWORK_BRIDGED) || !bridge_may_leave(packet))
        return;
    if (!state->budget) {
        state->is_exhausted = 1;
        return;
    }
    if (!uplink_of_network(packet->vni, &uplink)) {
        __u32 gateway = bridge_gateway(packet->vni);
        if (gateway == OUTPUT_NONE || !flood_send(&run, gateway & OUTPUT_SLOT_MASK, TUNNEL_WORD(TUNNEL_UNICAST, 0, 0)))
            return;
    } else {
        if (packet_l3_size(skb, packet) > uplink.mtu || mac_same(packet->source, uplink.mac) ||
            (uplink.vlan && bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), uplink.vlan)))
            return;
        skb->mark = 0;
        bool is_sent = bpf_clone_redirect(skb, uplink.ifindex, 0) >= 0;
        if (uplink.vlan)
            bpf_skb_vlan_pop(skb);
        if (!is_sent)
            return;
        state->n_copies++;
    }
    state->budget--;
    state->n_spent++;
    TRACE(flood, "copy to the physical network");
}

/* A step of the search for how many hosts of the tree are before 'end'. */
static long flood_search(__u32 index, struct flood_run *run)
{
    struct flood_state *state = run->state;
    __u32 middle = (state->low + state->high) / 2;

    if (state->low >= state->high)
        return 1;
    __u32 output = flood_row(state->vni, FLOOD_TREE | middle);
    const struct host_config *host = host_config_get(output & OUTPUT_SLOT_MASK);
    if ((output & OUTPUT_KIND_MASK) == OUTPUT_REMOTE && host &&
        ring_distance(state->key, host->key) < ring_distance(state->key, state->end))
        state->low = middle + 1;
    else
        state->high = middle;
    return 0;
}

/* From another host to those of the stretch that it left to us. */
static __always_inline void flood_onwards(struct flood_run *run, const struct tunnel_frame *from)
{
    struct flood_state *state = run->state;

    state->key = flood_row(state->vni, FLOOD_FACTS | 1);
    state->end = from->argument;
    state->hops = from->hops + 1;
    state->low = 0;
    state->high = flood_row(state->vni, FLOOD_FACTS);
    frame_loop(FLOOD_KEY_BITS + 1, flood_search, run);
    state->n_hosts = state->low;
    if (state->n_hosts > state->fan_out) {
        flood_tree(run);
    } else {
        state->list = FLOOD_TREE;
        frame_loop(state->n_hosts, flood_host, run);
    }
}

/* Gives a copy to everybody in the network but the sender: a port, or ('from') another host, for which we make copies for our own ports,
 * and pass it on where it asks for that.  Each copy costs the sending port a token for each frame that it will be on the wire, or 64 KiB
 * would go for the price of one, and for each host, also where relays make the copies; what we pass on costs the sending host the
 * same. */
static __noinline __u32 switch_flood(struct __sk_buff *skb, const struct packet *packet, const struct port_config *port,
                                     const struct tunnel_frame *from)
{
    const struct settings *settings = settings_get();
    __u64 *bucket = NULL, tokens = 0;
    __u32 slot = packet->slot, reason = DROP_bum_budget;
    struct scratch *scratch = scratch_get();

    if (!settings || !scratch || !packet->segments)
        return DROP_no_buffer;
    struct flood_state *state = &scratch->flood;
    struct flood_run run = {.skb = skb, .packet = packet, .state = state};
    *state = (struct flood_state){
        .wire_bytes = packet_wire_bytes(packet),
        .vni = packet->vni,
        .slot = slot,
        .segments = packet->segments,
        .budget = FLOOD_LIST_MAX,
    };
    state->tunnel_ifindex = settings->tunnel_ifindex;
    state->fan_out = settings->flood_fan_out ? settings->flood_fan_out : FLOOD_FAN_OUT_DEFAULT;
    if (port) {
        struct port_runtime *runtime = map_lookup(port_runtime, &slot);
        if (!runtime)
            return DROP_bum_budget;
        bucket = &runtime->bum_tokens;
        tokens = bucket_refill(&runtime->bum_time_ns, bucket, port->bum_rate, port->bum_burst);
        __u64 copies = tokens / state->segments;
        if (!copies)
            return DROP_bum_budget;
        if (copies < state->budget)
            state->budget = copies;
    }
    frame_loop(FLOOD_LIST_MAX, flood_local, &run);
    if (port) {
        flood_to_hosts(&run, packet->source);
        flood_outside(skb, packet, state);
    } else if (from && from->kind == TUNNEL_RELAYED && from->hops < FLOOD_MAX_HOPS) {
        __u32 host = from->host;
        struct host_runtime *runtime = map_lookup(host_runtime, &host);
        reason = DROP_relay_budget;
        state->budget = 0;
        state->n_spent = 0;
        if (runtime) {
            bucket = &runtime->relay_tokens;
            tokens = bucket_refill(&runtime->relay_time_ns, bucket, settings->relay_rate, settings->relay_burst);
            __u64 copies = tokens / state->segments;
            state->budget = copies < FLOOD_LIST_MAX ? copies : FLOOD_LIST_MAX;
        }
        flood_onwards(&run, from);
    } else if (from && from->kind == TUNNEL_RELAYED) {
        reason = DROP_tunnel_header; /* No tree is so deep. */
        state->is_exhausted = 1;
    }
    if (bucket)
        *bucket = tokens - (__u64)state->n_spent * state->segments;
    if (state->is_exhausted && !state->n_copies)
        return reason;
    if (!state->n_copies && state->n_refused)
        return VERDICT(TC_ACT_STOLEN); /* Counted where it was refused. */
    if (!state->n_copies)
        return DROP_flood_empty;
    if (state->is_exhausted)
        count_drop(slot, reason); /* The rest of the copies. */
    TRACE(flood, "%u copies", state->n_copies);
    return VERDICT(TC_ACT_STOLEN);
}

/* What a station outside sent to a group: copies for our ports, and for the hosts that this one stands for there.  The stations of each network have the
 * budget that each other host has for what it has us pass on. */
static __noinline void switch_flood_in(struct __sk_buff *skb, const struct packet *packet)
{
    struct uplink_budget *budget = uplink_budget_of(packet->vni);
    const struct settings *settings = settings_get();
    struct scratch *scratch = scratch_get();

    if (!settings || !scratch || !budget || !packet->segments)
        return;
    struct flood_state *state = &scratch->flood;
    struct flood_run run = {.skb = skb, .packet = packet, .state = state};
    __u64 tokens = bucket_refill(&budget->of[UPLINK_COPIES].time_ns, &budget->of[UPLINK_COPIES].tokens, settings->relay_rate, settings->relay_burst);
    __u64 copies = tokens / packet->segments;
    *state = (struct flood_state){
        .wire_bytes = packet_wire_bytes(packet),
        .vni = packet->vni,
        .segments = packet->segments,
        .budget = copies < FLOOD_LIST_MAX ? copies : FLOOD_LIST_MAX,
        .hops = 1, /* It is not behind the gateway that MACs are. */
        .list = FLOOD_BEHIND,
    };
    state->tunnel_ifindex = settings->tunnel_ifindex;
    frame_loop(FLOOD_LIST_MAX, flood_local, &run);
    frame_loop(FLOOD_LIST_MAX, flood_host, &run);
    budget->of[UPLINK_COPIES].tokens = tokens - (__u64)state->n_spent * packet->segments;
    if (state->is_exhausted)
        count_drop(0, DROP_relay_budget);
    TRACE(flood, "from outside: %u copies", state->n_copies);
}

#endif
