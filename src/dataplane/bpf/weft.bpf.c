// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The data plane's programs: the packet's story in order.
 *
 *   a workload's frame   from_workload: port -> parse -> connection entry -> [ security -> ARP/ND -> punt -> learn -> policy -> switch -> route ]
 *                        -> rewrite -> deliver here | encapsulate and out of the underlay | flood | drop with a reason
 *   a frame from outside from_uplink: VLAN -> ours? -> ARP | whose address -> translate -> deliver | on to its host | a member's host
 *   a tunnelled frame    from_underlay: outer headers -> peer -> switch -> strip -> deliver | flood to local ports, and on to other hosts
 *   a flooded copy       to_tunnel, on the tunnel device's egress: encapsulate -> out of the underlay
 *   one more hop         through_neighbor, on the tunnel device's ingress: see tunnel_send
 *   a person's wish      end_connection, run by the agent: ends a connection
 *   the agent's answer   from_metadata, on the metadata device's egress: see metadata.h; and its health probes, see probe.h
 *
 * A workload's frame never reaches the host's own stack: each way ends in a redirect, an answer or a drop.  What is in
 * brackets runs only when the connection entry is missing or out of date. */
#include "weft/dataplane/bpf/world.h"
/* clang-format off */
#include "weft/dataplane/bpf/trace.h"
#include "weft/dataplane/bpf/packet.h"
#include "weft/dataplane/bpf/parse.h"
#include "weft/dataplane/bpf/security.h"
#include "weft/dataplane/bpf/neighbor.h"
#include "weft/dataplane/bpf/punt.h"
#include "weft/dataplane/bpf/policy.h"
#include "weft/dataplane/bpf/flow.h"
#include "weft/dataplane/bpf/track.h"
#include "weft/dataplane/bpf/stateful.h"
#include "weft/dataplane/bpf/tunnel.h"
#include "weft/dataplane/bpf/deliver.h"
#include "weft/dataplane/bpf/switching.h"
#include "weft/dataplane/bpf/routing.h"
#include "weft/dataplane/bpf/firewall.h"
#include "weft/dataplane/bpf/router-icmp.h"
#include "weft/dataplane/bpf/balance.h"
#include "weft/dataplane/bpf/balance-member.h"
#include "weft/dataplane/bpf/probe.h"
#include "weft/dataplane/bpf/bridge.h"
#include "weft/dataplane/bpf/outside.h"
#include "weft/dataplane/bpf/balance-outside.h"
/* clang-format on */

#ifdef __bpf__
char _license[] SEC("license") = "Dual BSD/GPL";
#endif

/* Turns what the steps said into what tc does, and counts a drop. */
static __always_inline int conclude(const struct packet *packet, __u32 step)
{
    if (step & STEP_DONE)
        return step == NOT_OURS ? TC_ACT_UNSPEC : (int)(step & 0xff);
    TRACE(drop, "%s", trace_reason(step));
    count_drop(packet->drop_slot, step);
    verdict_refused(packet, step);
    return TC_ACT_SHOT;
}

static __always_inline __u32 output_frame(struct __sk_buff *skb, struct packet *packet, __u32 output)
{
    __u32 kind = output & OUTPUT_KIND_MASK, slot = output & OUTPUT_SLOT_MASK;

    /* Only what a router sends may go back to where it came from. */
    if (output == OUTPUT_ARRIVES && packet->decision.router_port)
        return outside_to_ours(skb, packet);
    if (kind == OUTPUT_UPLINK)
        return packet->decision.router_port ? uplink_send(skb, packet) : bridge_send(skb, packet);
    if (kind == OUTPUT_LOCAL && (slot != packet->slot || packet->decision.router_port))
        return deliver_local(skb, packet, slot);
    if (kind == OUTPUT_REMOTE && punt_is_fragment(packet))
        return punt_fragment(skb, packet, TUNNEL_UNICAST);
    if (kind == OUTPUT_REMOTE)
        return tunnel_send(skb, packet, slot, packet->vni, TUNNEL_WORD(TUNNEL_UNICAST, 0, 0));
    return DROP_unknown_destination;
}

/* Does to a workload's frame what packet->decision says, and sends it there.  The one way out for frames that were just decided and for those
 * of known connections, so that they look the same. */
static __always_inline __u32 decision_apply(struct __sk_buff *skb, struct packet *packet)
{
    if (packet->decision.router_port) {
        if (packet->decision.output == OUTPUT_ARRIVES)
            reject_note(skb, packet);
        __u32 step = route_apply(skb, packet);
        if (step != STEP_CONTINUE)
            return step;
        if (packet->decision.flags & DECISION_TRANSLATED) {
            step = nat_apply(skb, packet);
            if (step != STEP_CONTINUE)
                return step;
        }
    }
    return output_frame(skb, packet, packet->decision.output);
}

/* What a member answers to a client outside, translated. */
CHECKED_ALONE __u32 workload_away(struct __sk_buff *skb, struct packet *packet)
{
    __u32 step = packet ? decision_apply(skb, packet) : DROP_no_port;
    return step < STEP_BALANCE ? step : DROP_unknown_translation; /* What is called so is a load balancer's by now. */
}

/* A frame that no valid connection entry covers. */
static __noinline __u32 workload_undecided(struct __sk_buff *skb, struct packet *packet, const struct port_config *port,
                                           struct flow_entry *entry)
{
    __u32 step;
    bool moves = false;

    if (port->flags & PORT_SECURITY) {
        step = security_check(skb, port, packet);
        if (step == DROP_truncated && frame_pull(skb, 256))
            step = security_check(skb, port, packet);
        if (step != STEP_CONTINUE)
            return step;
        TRACE(security, "the source is the port's");
    }
    step = probe_answer(skb, packet);
    if (step != STEP_CONTINUE)
        return step;
    if (metadata_is_request(packet)) {
        step = metadata_request(skb, packet, port);
        if (step != STEP_CONTINUE)
            return step;
    }
    __u32 reason = punt_reason_of(packet, port);
    if (reason)
        return punt_frame(skb, packet, port, reason);
    step = neighbor_answer(skb, packet);
    if (step != STEP_CONTINUE)
        return step;
    if (port->flags & PORT_MAY_LEARN) {
        step = switch_learn(packet, OUTPUT_LOCAL | packet->slot);
        if (step != STEP_CONTINUE)
            return step;
    }
    if (port->flags & PORT_POLICY) {
        step = flow_send(skb, packet, port, entry);
        if (step != STEP_CONTINUE)
            return step;
    }
    if (packet_is_first_fragment(packet))
        fragment_note(packet, port, packet->slot, 0);
    if (entry && entry->output == OUTPUT_CLIENT) { /* Back the way that it came, whatever the workload thinks of that. */
        packet->decision.output = OUTPUT_CLIENT;
        packet->decision.flags = DECISION_BOUND;
        step = flow_remember(packet, port, entry);
        return step == STEP_CONTINUE ? STEP_BALANCE : step;
    }
    if (related_is_error(packet)) {
        step = balance_error(skb, packet);
        if (step != STEP_CONTINUE)
            return step;
    }
    if (packet->destination[0] & 1)
        return switch_flood(skb, packet, port, NULL);

    __u32 output = switch_lookup(packet->vni, packet->destination, &moves);
    TRACE(switch, "%s is behind output %#x", trace_mac(packet->destination), output);
    if (output == (OUTPUT_LOCAL | packet->slot))
        return DROP_unknown_destination;
    if (output == OUTPUT_NONE) {
        step = bridge_decide(packet);
        if (step != STEP_CONTINUE)
            return step;
    } else if ((output & OUTPUT_KIND_MASK) == OUTPUT_ROUTER) {
        step = outside_enter(skb, packet, output & OUTPUT_SLOT_MASK);
        if (step != STEP_CONTINUE) {
            packet->flags |= firewall_side(entry, packet);
            step = router_frame(skb, packet, port, output & OUTPUT_SLOT_MASK);
            firewall_note(entry, packet, step);
        }
        if (step == ROUTE_LEAVES)
            step = outside_decide(skb, packet, port, entry);
        if (step != STEP_CONTINUE)
            return step;
    } else {
        packet->decision.output = output;
        packet->decision.flags = moves ? DECISION_MOVES : 0;
    }
    if (output_is_service(packet->decision.output) || (entry && output_is_service(entry->output))) {
        step = balance_decide(skb, packet, port, entry);
        if (step != STEP_CONTINUE)
            return step;
    }
    if (packet->flags & PACKET_STATELESS && port->flags & PORT_ROUTER_FIREWALL)
        packet->decision.flags |= DECISION_BOUND; /* Routers are asked as whose answer its packets are. */
    if (packet->flags & PACKET_HAS_FLOW && (!(packet->flags & PACKET_STATELESS) || packet->decision.flags & DECISION_BOUND)) {
        step = flow_remember(packet, port, entry);
        if (step != STEP_CONTINUE) {
            nat_give_up(packet);
            return step;
        }
    }
    return output_is_service(packet->decision.output) ? STEP_BALANCE : decision_apply(skb, packet);
}

static __always_inline __u32 workload_frame(struct __sk_buff *skb, struct packet *packet)
{
    __u32 ifindex = skb->ifindex;
    const __u32 *found = map_lookup(interfaces, &ifindex);

    if (!found)
        return DROP_no_port;
    __u32 slot = *found;
    __u32 epoch;
    const struct port_config *port = port_config_get(slot, &epoch);
    if (!port || !slot || port->ifindex != ifindex)
        return DROP_no_port;
    packet->stamp = flow_stamp(epoch, port->generation);
    packet->slot = packet->drop_slot = slot;
    packet->vni = port->vni;
    TRACE(port, "slot %u, network %u", slot, port->vni);

    __u32 step = parse_whole(skb, packet);
    count_sent(slot, packet);
    if (!(port->flags & PORT_ADMIN_UP))
        return DROP_port_down;
    /* The kernel takes the outermost tag out of the frame before we run; left alone it would land on the outer frame of a
     * tunnel. */
    if (skb->vlan_present || packet->ethertype == bpf_htons(ETH_P_8021Q) || packet->ethertype == bpf_htons(ETH_P_8021AD))
        return DROP_vlan_tagged;
    if (step != STEP_CONTINUE)
        return step;
    TRACE(parse, "%s > %s, type %#x, %u bytes", trace_mac(packet->source), trace_mac(packet->destination),
          bpf_ntohs(packet->ethertype), packet->size);
    if (packet->source[0] & 1)
        return DROP_spoofed_mac; /* No station has a group address. */
    if (packet_l3_size(skb, packet) > port->mtu)
        return punt_too_big(skb, packet, port);

    if (packet->flags & PACKET_LATER_FRAGMENT) {
        step = fragment_take(packet, port, slot, 0);
        if (step != STEP_CONTINUE && port->flags & (PORT_EGRESS_POLICY | PORT_ROUTER_FIREWALL))
            return step; /* Without policy all that is lost is a translation. */
    }
    struct flow_entry *entry = NULL;
    if (packet->flags & PACKET_HAS_FLOW) {
        struct flow_key key ON_STACK;
        flow_key_make(&key, slot, packet, false);
        entry = flow_find(&key, packet, false);
        if (entry && output_is_member(entry->output) && flow_begins_anew(entry, packet)) {
            balance_end_of(entry);
            entry = NULL;
        }
        if (entry && mac_same(packet->source, port->mac) && flow_is_current(entry, packet) &&
            (!(entry->flags & FLOW_ROUTED) || route_holds(skb, packet, entry)) &&
            (!(port->flags & PORT_ROUTER_FIREWALL) || flow_is_usual(entry, packet, false))) {
            if (port->flags & PORT_POLICY) {
                step = flow_track(skb, packet, port, entry, slot);
                if (step != STEP_CONTINUE)
                    return step;
            }
            if (packet_is_first_fragment(packet))
                fragment_note(packet, port, slot, 0);
            if (entry->output != OUTPUT_NONE) {
                flow_get_decision(entry, packet);
                flow_account(entry, packet, 0);
                TRACE(flow, "known connection, output %#x", packet->decision.output);
                return decision_apply(skb, packet);
            }
        }
        if (entry && output_is_service(entry->output)) {
            step = balance_known(skb, packet, port, entry);
            if (step != STEP_CONTINUE)
                return step;
        }
    }
    if (switch_is_reserved(packet->destination))
        return DROP_reserved_destination;
    return workload_undecided(skb, packet, port, entry);
}

PROGRAM int from_workload(struct __sk_buff *skb)
{
    struct packet *packet = packet_new(PACKET_OF_WORKLOAD);

    if (!packet)
        return TC_ACT_SHOT;
    __u32 step = workload_frame(skb, packet);
    if (step >= STEP_BALANCE)
        step = balance_finish(skb, packet, step);
    if (step == STEP_AWAY) {
        step = balance_outside_leave(skb, packet);
        if (step == STEP_CONTINUE)
            step = workload_away(skb, packet);
    }
    return conclude(packet, step);
}

/* Why a tunnelled frame found nobody: is the network unknown here, or only the MAC? */
static __always_inline __u32 underlay_unknown(__u32 vni)
{
    return map_lookup(networks, &vni) ? DROP_unknown_destination : DROP_unknown_network;
}

static __always_inline __u32 underlay_frame(struct __sk_buff *skb, struct packet *packet)
{
    struct tunnel_frame outer = {};
    bool moves;
    __u32 step = tunnel_receive(skb, packet, &outer);

    if (step != STEP_CONTINUE)
        return step;
    if (packet->ethertype == bpf_htons(ETH_P_8021Q) || packet->ethertype == bpf_htons(ETH_P_8021AD))
        return DROP_vlan_tagged;
    bool is_group = packet->destination[0] & 1;
    if (outer.kind == TUNNEL_DIRECT_RETURN && !is_group) {
        step = tunnel_strip(skb, packet, outer.overhead);
        return step == STEP_CONTINUE ? balance_from_tunnel(skb, packet, outer.host, TUNNEL_WORD(outer.kind, outer.hops, outer.argument)) : step;
    }
    if (packet->source[0] & 1 || outer.kind == TUNNEL_DIRECT_RETURN || (!is_group && outer.kind != TUNNEL_UNICAST))
        return DROP_tunnel_header; /* Our hosts send no such frame. */
    if (is_group && outer.kind == TUNNEL_UNICAST) {
        step = bridge_relay(skb, packet, &outer);
        return step == DROP_unknown_destination ? DROP_tunnel_header : step;
    }
    if (is_group) {
        if (!outer.hops && outer.kind == TUNNEL_FLOOD) /* Else the host that it comes from is not its sender's. */
            switch_learn(packet, OUTPUT_REMOTE | outer.host);
        step = tunnel_strip(skb, packet, outer.overhead);
        if (step == STEP_CONTINUE)
            step = parse_whole(skb, packet); /* Ports with policy judge it. */
        if (step != STEP_CONTINUE)
            return step;
        step = switch_flood(skb, packet, NULL, &outer);
        return step == DROP_flood_empty ? underlay_unknown(packet->vni) : step;
    }

    if (mac_same(packet->destination, outside_mac)) {
        step = tunnel_strip(skb, packet, outer.overhead);
        return step == STEP_CONTINUE ? outside_from_tunnel(skb, packet, &outer) : step;
    }

    /* Only a local port can be the destination of what came by tunnel, whatever the tables say: no loops.  Or a station outside. */
    __u32 output = switch_lookup(packet->vni, packet->destination, &moves);
    TRACE(switch, "%s is behind output %#x", trace_mac(packet->destination), output);
    if (output == OUTPUT_NONE) {
        step = bridge_relay(skb, packet, &outer);
        return step == DROP_unknown_destination ? underlay_unknown(packet->vni) : step;
    }
    if ((output & OUTPUT_KIND_MASK) != OUTPUT_LOCAL)
        return underlay_unknown(packet->vni);
    step = tunnel_strip(skb, packet, outer.overhead);
    if (step != STEP_CONTINUE)
        return step;
    __u32 slot = output & OUTPUT_SLOT_MASK, unused;
    const struct port_config *port = port_config_get(slot, &unused);
    if (port && port->flags & (PORT_INGRESS_POLICY | PORT_ROUTER_FIREWALL | PORT_MEMBER)) {
        step = parse_whole(skb, packet);
        if (step != STEP_CONTINUE)
            return step;
        if (outer.hops == TUNNEL_HOPS_OUTSIDE)
            packet->flags |= PACKET_FROM_OUTSIDE;
    }
    step = deliver_local(skb, packet, slot);
    if (step & STEP_DONE || !(packet->flags & PACKET_FROM_OUTSIDE))
        return step;
    reject_prepare_relayed(packet, step);
    return uplink_error(skb, packet, step, OUTPUT_REMOTE | outer.host);
}

PROGRAM int from_underlay(struct __sk_buff *skb)
{
    struct packet *packet = packet_new(PACKET_OF_UNDERLAY);

    if (!packet)
        return TC_ACT_SHOT;
    __u32 step = underlay_frame(skb, packet);
    if (step >= STEP_BALANCE)
        step = balance_finish(skb, packet, step);
    return conclude(packet, step);
}

/* A frame of a physical network.  See uplink.h. */
PROGRAM int from_uplink(struct __sk_buff *skb)
{
    struct packet *packet = packet_new(PACKET_OF_UPLINK);

    if (!packet)
        return TC_ACT_UNSPEC;
    __u32 step = uplink_frame(skb, packet);
    if (step >= STEP_BALANCE)
        step = balance_finish(skb, packet, step);
    return conclude(packet, step);
}

/* A copy that switch_flood sent towards a host: its slot is in the mark, the network in the priority, kind, hops and argument in cb.  Or a piece of
 * what the agent has cut. */
PROGRAM int to_tunnel(struct __sk_buff *skb)
{
    struct packet packet = {};
    __u32 mark = skb->mark, vni = skb->priority & 0xffffff, word = skb->cb[0], how = skb->priority >> 24;

    if ((mark & TUNNEL_MARK_MASK) != TUNNEL_MARK || (how && (word || (how & 15) != TUNNEL_DIRECT_RETURN)))
        return TC_ACT_SHOT; /* The host's own chatter on the device. */
    skb->mark = 0;
    skb->priority = 0;
    __u32 step = parse_whole(skb, &packet);
    if (how)
        word = balance_word_of_piece(&packet, vni, how);
    if (step == STEP_CONTINUE)
        step = tunnel_send(skb, &packet, mark & ~TUNNEL_MARK_MASK, vni, word);
    return conclude(&packet, step);
}

/* A frame that tunnel_send finished but for its MACs. */
PROGRAM int through_neighbor(struct __sk_buff *skb)
{
    __u32 mark = skb->mark;
    const struct host_config *host = host_config_get(mark & ~TUNNEL_MARK_MASK);

    if ((mark & TUNNEL_MARK_MASK) != TUNNEL_MARK || !host || address_is_zero(host->next_hop))
        return TC_ACT_SHOT;
    skb->mark = 0;
    return tunnel_to_neighbor(host) & 0xff;
}

/* What the agent says to a workload that asked the metadata service, or asks a member of a load balancer. */
PROGRAM int from_metadata(struct __sk_buff *skb)
{
    struct packet packet = {};
    __u32 number;

    if (parse_whole(skb, &packet) == STEP_CONTINUE && packet.flags & (PACKET_IPV4 | PACKET_IPV6) && probe_number(&packet, packet.tuple.remote, &number))
        return conclude(&packet, probe_send(skb, &packet, number));
    return conclude(&packet, metadata_reply(skb, &packet));
}

/* A person ends a connection.  See struct end_request. */
PROGRAM int end_connection(struct __sk_buff *skb)
{
    const unsigned char *bytes = frame_at(skb, 0, sizeof(struct end_request));
    struct flow_key key ON_STACK;

    if (!bytes)
        return 0;
    __builtin_memcpy(&key, bytes + offsetof(struct end_request, key), sizeof(key));
    __u32 operation = load32(bytes + offsetof(struct end_request, operation));
    if (operation == RENEW_BY_FORMER)
        return former_renew(&key);
    if (operation == END_FORMER) {
        sweep_begin();
        return former_end(&key);
    }
    __u32 place = flow_place_of(&key);
    if (operation == END_REMOVE)
        return flow_expire(place, flow_now());
    struct flow_entry *entry = flow_at(place);
    if (!entry || !flow_state_is_alive(flow_state(entry)))
        return 0;
    flow_end(entry);
    return 1;
}
