// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Load balancers, for clients on an external network, or on (a VLAN of) a physical one that is none: those outside, and workloads that are called by a
 * name of that network themselves.
 *
 * What they call is a floating IP of the balancer's address, or that address, where routers do not translate or it is on the external network itself: then
 * its own port is what a router's port is for the others, but that nothing is routed.  Whatever gateway such a packet comes to takes
 * the row by a hash, as the host of a client of ours would, and keeps nothing of it: each packet goes to the owner of its row.  In the tunnel it is as it came, but for
 * the TTL, of which the router has taken one; the member's host translates it, as balance-member.h does, and remembers it.  The answer leaves from there, as what the
 * member's router sends: by this host's uplink or another one's, whichever gateway brought the question.
 *
 * So the member's host alone knows a connection.  When rows have moved since it began, the new owner knows nothing of it: then each who had the row is asked
 * in order, the packet going from host to host, and in the end the owner takes it after all.  What begins a connection for certain (SYN) goes there at once.
 * Hosts hear of a moved row at different times.  So who is next is who had the row before him who was asked last, by name: he may be the owner still, further
 * back in the row, or, where his host has not yet heard that he has it, before all others.
 *
 * Firewalls of routers are asked about each packet, by the gateway, as if it began the connection that it is of: by who calls load balancers it always was. */
#ifndef WEFT_BPF_BALANCE_OUTSIDE_H
#define WEFT_BPF_BALANCE_OUTSIDE_H

#include "weft/dataplane/bpf/balance-member.h"
#include "weft/dataplane/bpf/outside.h"

/* ---- in ------------------------------------------------------------------------------------------------------------------------------------- */

/* Begins a connection for certain. */
static __always_inline bool balance_outside_begins(const struct packet *packet)
{
    return packet->tuple.protocol == IPPROTO_TCP && !(packet->flags & PACKET_LATER_FRAGMENT) && (packet->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

static __always_inline const struct service_value *balance_outside_service(struct balancing *to)
{
    const struct service_value *service = to->vip_vni ? service_find(to, to->vip_vni, to->vip, to->value.vip_port, to->name.protocol) : NULL;

    return service && service->flags & SERVICE_UP ? service : NULL;
}

/* Do the firewalls between the external network and the balancer's let its clients call?  The way is in the passage, but for floating IPs, which are behind one
 * router. */
static __noinline __u32 balance_outside_firewall(const struct packet *packet, struct balancing *to)
{
    struct route_key key ON_STACK = {.prefix_length = 32 + 128};
    struct scratch *scratch = scratch_get();
    struct packet *probe = packet_new(PACKET_PROBED);
    const struct router_port_config *outer = router_port_get(to->gateway);

    if (!scratch || !probe || !outer)
        return DROP_router_down;
    if (to->vip_vni == packet->vni)
        return STEP_CONTINUE; /* On the external network itself: at no router. */
    if (!address_equal(to->vip, to->value.vip)) {
        key.router = outer->router;
        address_copy(key.address, to->vip);
        const struct route_value *route = map_lookup(routes, &key);
        const struct router_port_config *inner = route && route->router == key.router && !route->flags ? router_port_get(route->port) : NULL;
        scratch->passage.n = scratch->passage.has_rules = scratch->passage.logs = 0;
        if (!inner || inner->vni != to->vip_vni || !(inner->flags & ROUTER_PORT_UP))
            return DROP_no_route;
        passage_add(to->gateway, outer, route->port, inner);
    }
    if (!scratch->passage.has_rules)
        return STEP_CONTINUE;
    address_copy(probe->tuple.local, to->value.client);
    address_copy(probe->tuple.remote, to->vip);
    probe->tuple.local_port = to->value.client_port;
    probe->tuple.remote_port = to->value.vip_port;
    probe->tuple.protocol = to->name.protocol;
    probe->flags = packet->flags & (PACKET_IPV4 | PACKET_IPV6);
    if (!balance_outside_begins(packet))
        probe->flags |= PACKET_KNOWN; /* For the log: that it is let in is none but for a SYN, or each packet would be. */
    __u32 step = firewall_ask(probe, 0);
    firewall_log(probe, step);
    return step;
}

/* A packet on the external network packet->vni has come to a router of ours, packet->decision.gateway, on its way to a load balancer: by a floating IP, or routed through
 * packet->decision.router_port.  STEP_OWNERS: it may go to a member. */
CHECKED_ALONE __u32 balance_outside_take(struct __sk_buff *skb, struct packet *packet)
{
    struct scratch *scratch = scratch_get();
    const struct packet *named = packet;

    if (!packet || !scratch)
        return DROP_no_port;
    struct balancing *to = &scratch->balancing;
    const struct router_port_config *inner = router_port_get(packet->decision.router_port), *outer = router_port_get(packet->decision.gateway);
    __u32 hops = packet->decision.hops, inner_vni = inner ? inner->vni : 0;
    packet->flags |= PACKET_CALLS_SERVICE;
    to->gateway = packet->decision.gateway;
    to->back = packet->decision.output;
    to->owner = 0;
    packet->decision.router_port = to->gateway; /* Who tells what is wrong. */
    packet->decision.hops = 0;
    if (!outer || !(outer->flags & ROUTER_PORT_UP))
        return DROP_router_down;
    if (packet->flags & PACKET_LATER_FRAGMENT && !(packet->flags & PACKET_HAS_FLOW)) {
        __u32 step = packet->slot ? DROP_fragment_unknown : fragment_take(packet, NULL, to->gateway, 1);
        if (step != STEP_CONTINUE)
            return step;
    }
    if (packet_is_first_fragment(packet) && !packet->slot)
        fragment_note(packet, NULL, to->gateway, 1);
    bool is_error = related_is_error(packet);
    if (is_error) {
        named = related_quoted(skb, packet);
        if (!named)
            return DROP_unknown_translation;
    }
    balance_read_ends(to, named, is_error);
    to->vip_vni = balance_called(packet->vni, to->gateway, to->value.vip, inner_vni, to->vip);
    const struct service_value *service = translate_has_ports(to->name.protocol) ? balance_outside_service(to) : NULL;
    TRACE(balance, "%s port %u is a load balancer's, in network %u", trace_address(to->vip), bpf_ntohs(to->value.vip_port), to->vip_vni);
    if (!service)
        return DROP_service_no_listener;
    if (!balance_may_call(to->value.client, packet->flags & PACKET_IPV4, service))
        return DROP_service_denied;
    __u32 ttl = route_ttl(skb, packet);
    if (ttl <= hops)
        return DROP_ttl_exceeded;
    __u32 step = balance_outside_firewall(packet, to);
    if (step != STEP_CONTINUE)
        return step;
    unsigned char *frame = frame_at(skb, 0, ETH_HLEN + 20);
    if (!frame)
        return DROP_truncated;
    route_set_ttl(skb, packet, frame + ETH_HLEN, ttl - hops);
    return STEP_OWNERS;
}

/* The number of who has or had the row, by order. */
static __always_inline __u32 balance_outside_owner(const struct service_row *row, __u32 index)
{
    switch (index) {
    case 1:
        return row->previous[0];
    case 2:
        return row->previous[1];
    case 3:
        return row->previous[2];
    }
    return row->owner;
}

/* To the next owner of the row that serves: to->owner were asked before, the last of them was to->value.member. */
CHECKED_ALONE __u32 balance_outside_send(struct __sk_buff *skb, struct packet *packet)
{
    struct scratch *scratch = scratch_get();

    if (!packet || !scratch)
        return DROP_no_port;
    struct balancing *to = &scratch->balancing;
    const struct service_value *service = balance_outside_service(to);
    const struct router_port_config *outer = router_port_get(to->gateway);
    if (!service || !outer)
        return DROP_service_no_listener;
    mac_copy(packet->source, outer->mac);
    __u32 listener = service->listener, balancer = service->balancer, asked = to->owner ? to->value.member : 0, number = 0, first = 0, index = to->owner;
    __u64 hash = balance_hash(to->value.client, to->value.client_port, to->value.vip_port, service);
    const struct service_row *found = service->pool && service->n_rows ? balance_row(service, hash) : NULL;
    struct service_row row = {};
    if (found) { /* Replaced whole, and maybe now. */
        row.owner = found->owner;
        row.previous[0] = found->previous[0];
        row.previous[1] = found->previous[1];
        row.previous[2] = found->previous[2];
    }
#pragma GCC unroll 1
    for (__u32 i = 0; i < OWNER_LAST; i++)
        if (asked && !first && balance_outside_owner(&row, i) == asked)
            first = i + 1;
    if (balance_outside_begins(packet) || index >= OWNER_LAST || (!asked && !(row.previous[0] | row.previous[1] | row.previous[2])))
        first = OWNER_LAST;
    const struct service_member *member = NULL;
#pragma GCC unroll 1
    for (__u32 i = 0; i <= OWNER_LAST; i++) {
        if (i < first)
            continue;
        if (i == OWNER_LAST)
            index = OWNER_LAST;
        number = balance_outside_owner(&row, i);
        member = number ? service_member_find(number) : NULL;
        if (member && service_member_serves(member, member->name.first, balancer) && member->vip_vni == to->vip_vni)
            break;
        member = NULL;
    }
    if (!member) {
        TRACE(balance, "nobody serves: row of pool %u", service->pool);
        balance_count_refused(listener);
        return DROP_service_no_member;
    }
    to->owner = index;
    __u32 output = member->output, size = packet_l3_size(skb, packet), mtu = balance_mtu(member);
    bool is_cut = (size > mtu || packet->flags & PACKET_FOLLOWS) && punt_may_cut(skb, packet);
    if (size > mtu && !is_cut) {
        packet->decision.mtu = mtu;
        return DROP_too_big;
    }
    TRACE(balance, "owner %u of its row: member %u (%08x), %s port %u, output %#x", index, number, member->name.first, trace_address(member->address),
          bpf_ntohs(member->port), output);
    if ((output & OUTPUT_KIND_MASK) == OUTPUT_LOCAL) {
        balance_comes_from(to, number, OUTPUT_ROUTER | to->gateway, listener);
        return STEP_TO_MEMBER;
    }
    service_member_mac(member, packet->destination);
    __u32 host = output & OUTPUT_SLOT_MASK, word = TUNNEL_WORD(TUNNEL_DIRECT_RETURN, TUNNEL_HOPS_OWNER + index, 0);
    return is_cut ? balance_cut(skb, packet, host, word, mtu) : tunnel_send(skb, packet, host, packet->vni, word);
}

/* A member of this host was asked, with the result 'step': if it does not know the connection, it is the next one's turn. */
static __always_inline __u32 balance_outside_asked(const struct packet *packet, __u32 step)
{
    struct scratch *scratch = scratch_get();

    if (!scratch || !(packet->flags & PACKET_CALLS_SERVICE) || (step != DROP_unknown_translation && step != DROP_member_gone) ||
        scratch->balancing.owner >= OWNER_LAST || !scratch->balancing.vip_vni)
        return step;
    TRACE(balance, "owner %u does not know it", scratch->balancing.owner);
    scratch->balancing.owner++;
    return STEP_OWNERS;
}

/* ---- out -------------------------------------------------------------------------------------------------------------------------------------- */

/* A member's answer, translated, to a client on the external network packet->vni.  STEP_CONTINUE: packet->decision says how it leaves. */
CHECKED_ALONE __u32 balance_outside_leave(struct __sk_buff *skb, struct packet *packet)
{
    struct scratch *scratch = scratch_get();

    if (!packet || !scratch)
        return DROP_no_port;
    __u32 number = scratch->balancing.gateway;
    const struct router_port_config *out = router_port_get(number);
    if (!out || !(out->flags & ROUTER_PORT_UP) || out->vni != packet->vni)
        return DROP_router_down;
    packet->decision = (struct decision){.router_port = number, .hops = 1};
    if (route_ttl(skb, packet) <= packet->decision.hops)
        return DROP_ttl_exceeded;
    __u32 step = outside_find(packet, out);
    if (step == STEP_CONTINUE)
        TRACE(balance, "to a client outside, by router port %u: output %#x", number, packet->decision.output);
    return step;
}

/* ---- all ways in --------------------------------------------------------------------------------------------------------------------------------- */

/* The packet ends here: its sender may be told, if it is of this host, or the packet is from outside and as it came. */
CHECKED_ALONE __u32 balance_outside_refuse(struct __sk_buff *skb, struct packet *packet, __u32 step)
{
    struct scratch *scratch = scratch_get();

    if (!packet || !scratch)
        return step;
    if (packet->slot)
        return outside_tell(skb, packet, step);
    if (scratch->balancing.back == OUTPUT_NONE)
        return step;
    return uplink_error(skb, packet, step, scratch->balancing.back);
}

/* The steps that are left of a balanced connection's packet, up to its end or STEP_AWAY. */
static __always_inline __u32 balance_finish(struct __sk_buff *skb, struct packet *packet, __u32 step)
{
    if (step == STEP_BALANCE)
        step = packet->decision.output == OUTPUT_CLIENT ? balance_answer(skb, packet) : balance_forward(skb, packet);
    if (step == STEP_SERVICE)
        step = balance_outside_take(skb, packet);
    for (__u32 i = 0; i <= OWNER_LAST && (step == STEP_OWNERS || step == STEP_TO_MEMBER); i++) {
        if (step == STEP_OWNERS)
            step = balance_outside_send(skb, packet);
        if (step == STEP_TO_MEMBER)
            step = balance_outside_asked(packet, balance_arrive(skb, packet));
    }
    if (step == STEP_AT_MEMBER)
        step = balance_deliver(skb, packet);
    if (step == STEP_TO_CLIENT)
        step = balance_return(skb, packet);
    if (step == STEP_TOO_BIG)
        step = balance_tell_size(skb, packet);
    if (step == STEP_OWNERS || step == STEP_TO_MEMBER)
        step = DROP_unknown_translation;
    return packet->flags & PACKET_CALLS_SERVICE && step < STEP_DONE ? balance_outside_refuse(skb, packet, step) : step;
}

/* By the tunnel, from host slot 'host': owner 'index' of a row is asked. */
static __always_inline __u32 balance_outside_from_tunnel(struct packet *packet, struct balancing *to, const struct service_name *name, __u32 host, __u32 index)
{
    __u32 gateway = switch_router_port(packet->vni, packet->source);
    const struct router_port_config *outer = router_port_get(gateway);

    if (!gateway || !outer || outer->vni != packet->vni || !(outer->flags & ROUTER_PORT_EXTERNAL))
        return DROP_tunnel_header; /* Only routers and load balancers send so. */
    packet->flags |= PACKET_CALLS_SERVICE;
    packet->decision.router_port = to->gateway = gateway;
    to->back = OUTPUT_REMOTE | host;
    to->owner = index;
    to->vip_vni = 0; /* Not known before the member is. */
    const __u32 *number = map_lookup(service_names, name);
    if (!number) { /* Gone, or this host has not heard of it yet: the client tries again, and is not told that nobody is there. */
        to->back = OUTPUT_NONE;
        return DROP_member_gone;
    }
    balance_comes_from(to, *number, OUTPUT_ROUTER | gateway, 0);
    return STEP_TO_MEMBER;
}

/* A balanced connection's packet from host slot 'host', without its outer headers: how it came says 'word', a TUNNEL_WORD. */
CHECKED_ALONE __u32 balance_from_tunnel(struct __sk_buff *skb, struct packet *packet, __u32 host, __u32 word)
{
    struct service_name name = {};
    struct scratch *scratch = scratch_get();

    if (!packet || !scratch)
        return DROP_no_port;
    __u32 step = parse_whole(skb, packet), slot = word >> 8, hops = word >> 4 & 15;

    if (step != STEP_CONTINUE)
        return step;
    scratch->balancing.value.slot = slot;
    if (hops == TUNNEL_HOPS_BACK)
        return STEP_TO_CLIENT;
    if ((hops > TUNNEL_HOPS_OWNER + OWNER_LAST && hops != TUNNEL_HOPS_TOO_BIG) || packet->destination[0] != SERVICE_NAME_MAC)
        return DROP_tunnel_header;
    name.first = bpf_ntohl(load32(packet->destination + 2));
    name.second = packet->destination[1];
    if (hops && hops != TUNNEL_HOPS_TOO_BIG)
        return balance_outside_from_tunnel(packet, &scratch->balancing, &name, host, hops - TUNNEL_HOPS_OWNER);
    const __u32 *number = map_lookup(service_names, &name);
    if (!number)
        return DROP_member_gone;
    balance_comes_from(&scratch->balancing, *number, OUTPUT_REMOTE | host, slot);
    return hops ? STEP_TOO_BIG : STEP_TO_MEMBER;
}

#endif
