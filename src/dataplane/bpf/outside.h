// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* From a router to an external network: who gets the packet there.
 *
 * An address of ours on that network, if 'external' says so; a port of ours in the network itself; else somebody outside, reached by this
 * host's uplink or, where it has none, by that of a gateway, which finds the next hop again in the same router's table.  Gateways are
 * chosen by a hash of the addresses, so that a connection keeps its way. */
#ifndef WEFT_BPF_OUTSIDE_H
#define WEFT_BPF_OUTSIDE_H

#include "weft/dataplane/bpf/uplink.h"

/* Of several, by the addresses. */
static __always_inline __u32 outside_gateway(__u32 vni, const struct packet *packet)
{
    struct flood_key key = {.vni = vni, .index = GATEWAYS_FACTS};
    __u32 n = output_of(map_lookup(gateways, &key), vni);

    if (!n)
        return OUTPUT_NONE;
    __u64 hash = flow_hash(packet->tuple.local, packet->tuple.remote) * 0x9e3779b97f4a7c15ull;
    key.index = (__u32)(hash >> 40) % n;
    return output_of(map_lookup(gateways, &key), vni);
}

/* The gateway that has to see what has no ports and is called by a router's address; OUTPUT_NONE: none, or it is this host. */
static __noinline __u32 outside_portless(const struct packet *packet)
{
    const struct decision *decision = &packet->decision;

    if (!(packet->flags & PACKET_IPV4) || !(decision->flags & DECISION_TRANSLATED) || !portless_is(packet->tuple.protocol))
        return OUTPUT_NONE;
    const struct external_value *value = external_find(decision->outside_vni, decision->outside_local);
    if (!value || value->kind != EXTERNAL_ROUTER || (value->output & OUTPUT_KIND_MASK) != OUTPUT_REMOTE)
        return OUTPUT_NONE;
    return value->output;
}

/* Another host sends such a packet by this gateway: may it? */
static __noinline bool outside_notes(const struct packet *packet, __u32 host)
{
    struct alias_key name ON_STACK = {.vni_protocol = packet->vni << 8 | packet->tuple.protocol};
    struct flow_key unused ON_STACK;

    if (!(packet->flags & PACKET_IPV4) || !portless_is(packet->tuple.protocol))
        return true;
    name.address = load32(packet->tuple.local + 12);
    name.remote = load32(packet->tuple.remote + 12);
    const struct external_value *value = external_find(packet->vni, name.address);
    if (!value || value->kind != EXTERNAL_ROUTER)
        return true;
    if (nat_alias_find(&name, &unused))
        return false;
    if (portless_host(&name) == OUTPUT_NONE && !outside_spend(value->router_port, BUDGET_NOTES, NOTES_RATE)) {
        TRACE(uplink, "the router has begun too many connections without ports in this second");
        return false;
    }
    return portless_note(&name, OUTPUT_REMOTE | host);
}

/* May the packet go outside with the source that it has?  Nothing hides it, so it must be one that is behind the router, there. */
static __always_inline bool outside_may_stay(const struct packet *packet)
{
    const struct scratch *scratch = scratch_get();
    __u32 n = scratch ? scratch->passage.n : 0; /* The way that it was just found: the last two are that router's. */

    return n >= 2 && n <= PASSAGE_MAX && reverse_from_inside(packet, scratch->passage.ports[(n - 2) & (PASSAGE_MAX - 1)]);
}

/* Where a packet goes that a router sends out of its port 'out' on an external network, under the name that it has there: into packet->decision. */
static __noinline __u32 outside_find(struct packet *packet, const struct router_port_config *out)
{
    struct decision *decision = &packet->decision;
    struct uplink_value uplink ON_STACK = {};
    struct route_hop hop = {};
    __u32 vni = out->vni, by;
    bool moves;

    const struct external_value *value = packet->flags & PACKET_IPV4 ? external_find(vni, load32(packet->tuple.remote + 12)) : NULL;
    /* Who calls a load balancer there under his own name is a client of this host, which remembers him: no route may lead back. */
    if (value && (decision->flags & DECISION_TRANSLATED || !external_is_service_of(value, vni))) {
        decision->output = OUTPUT_ARRIVES;
        return STEP_CONTINUE;
    }
    by = outside_portless(packet);
    if (by != OUTPUT_NONE) {
        decision->output = by;
        mac_copy(decision->next_mac, outside_mac);
    } else if (!route_find(out->router, packet, &hop)) {
        return DROP_no_route;
    } else if (neighbor_find(vni, hop.address, decision->next_mac) &&
               (decision->output = switch_lookup(vni, decision->next_mac, &moves)) != OUTPUT_NONE) {
        if ((decision->output & OUTPUT_KIND_MASK) == OUTPUT_ROUTER || (output_is_service(decision->output) && decision->flags & DECISION_TRANSLATED))
            return DROP_unknown_next_hop; /* What is translated is no client of a load balancer there. */
        if (moves)
            decision->flags |= DECISION_MOVES;
    } else if (uplink_of_network(vni, &uplink)) {
        decision->output = OUTPUT_UPLINK;
        if (mac_is_zero(decision->next_mac))
            decision->flags |= DECISION_MOVES;
    } else {
        decision->output = outside_gateway(vni, packet);
        mac_copy(decision->next_mac, outside_mac);
        if (decision->output == OUTPUT_NONE)
            return DROP_no_uplink;
    }
    return STEP_CONTINUE;
}

/* A packet of the workload in packet->slot leaves the last router on its way, through packet->decision.router_port: where to, and as whom. */
CHECKED_ALONE __u32 outside_decide(struct __sk_buff *skb, struct packet *packet, const struct port_config *port, struct flow_entry *entry)
{
    if (!packet || !port)
        return DROP_no_port;
    struct decision *decision = &packet->decision;
    __u32 number = decision->router_port;
    const struct router_port_config *out = router_port_get(number);

    if (!out)
        return DROP_router_down;
    if (packet->flags & PACKET_IPV4) {
        __u32 step = nat_leave(skb, packet, port, number, entry);
        if (step != STEP_CONTINUE)
            return step;
    }
    if (!(decision->flags & DECISION_TRANSLATED) && !outside_may_stay(packet)) {
        TRACE(route, "router %u has its way to %s elsewhere", out->router, trace_address(packet->tuple.local));
        return DROP_reverse_path;
    }
    __u32 step = outside_find(packet, out);
    if (step != STEP_CONTINUE)
        nat_give_up(packet);
    else
        TRACE(route, "leaves through router port %u: output %#x", number, decision->output);
    return step;
}

/* A workload that is itself on an external network has sent to router port 'number' there: is it for an address of ours?  Else STEP_DONE: the router routes it. */
static __always_inline __u32 outside_enter(struct __sk_buff *skb, struct packet *packet, __u32 number)
{
    const struct router_port_config *in = router_port_get(number);

    if (!in || !(in->flags & ROUTER_PORT_EXTERNAL) || !(in->flags & ROUTER_PORT_UP) || !(packet->flags & PACKET_IPV4) ||
        !external_find(in->vni, load32(packet->tuple.remote + 12)))
        return STEP_DONE;
    packet->decision.output = OUTPUT_ARRIVES;
    packet->decision.router_port = number;
    mac_copy(packet->decision.next_mac, outside_mac);
    return STEP_CONTINUE;
}

/* A packet for somebody outside that another host sent to this gateway.  Only routers and load balancers may: its source MAC is one's. */
CHECKED_ALONE __u32 outside_relay(struct __sk_buff *skb, struct packet *packet, __u32 host)
{
    struct route_hop hop = {};

    if (!packet)
        return DROP_no_port;
    __u32 vni = packet->vni, number = switch_router_port(vni, packet->source);
    const struct router_port_config *out = router_port_get(number);
    if (!number || !out || out->vni != vni || !(out->flags & ROUTER_PORT_EXTERNAL))
        return DROP_unknown_translation;
    if (!(out->flags & ROUTER_PORT_UP))
        return DROP_router_down;
    if (!outside_notes(packet, host))
        return DROP_snat_exhausted;
    packet->decision.router_port = number;
    if (!route_find(out->router, packet, &hop) || hop.port != number || hop.flags & ROUTE_LOCAL)
        return DROP_no_route;
    store32(packet->destination, 0);
    store16(packet->destination + 4, 0);
    neighbor_find(vni, hop.address, packet->destination);
    return uplink_send(skb, packet);
}

/* What another gateway brings from outside is looked at again: this host may know better.  What a router of ours sends has its MAC. */
CHECKED_ALONE __u32 outside_admits(const struct packet *packet)
{
    if (!packet)
        return DROP_no_port;
    const struct external_value *value = external_find(packet->vni, load32(packet->tuple.remote + 12));
    if (!(packet->flags & PACKET_IPV4) || !value || value->kind == EXTERNAL_HOST ||
        switch_router_port(packet->vni, packet->source))
        return STEP_CONTINUE;
    return reverse_path(packet, value->router_port);
}

/* A frame from another host to OUTSIDE_MAC, without its outer headers. */
static __always_inline __u32 outside_from_tunnel(struct __sk_buff *skb, struct packet *packet, const struct tunnel_frame *outer)
{
    __u32 step = parse_whole(skb, packet);

    packet->flags |= PACKET_FROM_TUNNEL;
    if (step == STEP_CONTINUE)
        step = outside_admits(packet);
    if (step != STEP_CONTINUE)
        return step;
    step = external_arrive(skb, packet, outer->hops + 1);
    if (step == ARRIVAL_ECHO)
        return DROP_unknown_translation; /* Nobody here knows the way to who asked. */
    if (step == STEP_CONTINUE)
        return outside_relay(skb, packet, outer->host);
    packet->decision.output = OUTPUT_REMOTE | outer->host; /* The way back. */
    return step & STEP_DONE || step == STEP_SERVICE ? step : uplink_error(skb, packet, step, OUTPUT_REMOTE | outer->host);
}

/* A workload of this host asked a router for an echo by an address on an external network, and is not known by another name there. */
static __noinline __u32 outside_echo_back(struct __sk_buff *skb, const struct packet *packet)
{
    __u32 unused;
    const struct port_config *port = port_config_get(packet->slot, &unused);
    unsigned char *frame = frame_at(skb, 0, ETH_HLEN);

    if (!port || !frame)
        return DROP_no_buffer;
    mac_copy(frame, port->mac);
    count_received(packet->slot, packet->segments, packet_wire_bytes(packet));
    return VERDICT(bpf_redirect(skb->ifindex, 0));
}

/* What the workload in packet->slot has sent to an address of ours on an external network ends there, for this reason, which is returned: what became of it is
 * undone, and its agent tells the workload, of the packet as it was sent. */
CHECKED_ALONE __u32 outside_tell(struct __sk_buff *skb, struct packet *packet, __u32 reason)
{
    __u32 unused;

    if (!packet)
        return DROP_no_port;
    __u32 word = packet->flags & PACKET_LATER_FRAGMENT ? 0 : router_error(packet, reason);
    const struct port_config *port = port_config_get(packet->slot, &unused);
    if (word && port && reject_undo(skb, packet, 1) == STEP_CONTINUE)
        punt_frame(skb, packet, port, word);
    return reason;
}

/* A workload's packet to an address of ours on an external network, as that network sees it. */
static __always_inline __u32 outside_to_ours(struct __sk_buff *skb, struct packet *packet)
{
    __u32 step = external_arrive(skb, packet, 0);

    if (step == ARRIVAL_ECHO)
        return outside_echo_back(skb, packet);
    if (step == STEP_CONTINUE)
        return DROP_unknown_translation;
    return step & STEP_DONE || step == STEP_SERVICE ? step : outside_tell(skb, packet, step);
}

#endif
