// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Routers, on the host where a packet starts: it is taken through all of them at once, up to the port or host where it ends, and
 * leaves as the last router would send it (RFC 1812, 5.2 and 5.3): its MACs, and a TTL that all of them have counted down.
 *
 * The walk ends in packet->decision.  What the routers themselves say (echo replies, ICMP errors) is in router-icmp.h. */
#ifndef WEFT_BPF_ROUTING_H
#define WEFT_BPF_ROUTING_H

#include "weft/dataplane/bpf/flow.h"
#include "weft/dataplane/bpf/neighbor.h"
#include "weft/dataplane/bpf/switching.h"

#define IPV4_FLAGS 6 /* Offsets in the IP headers. */
#define IPV4_TTL 8
#define IPV4_CHECKSUM 10
#define IPV6_HOP_LIMIT 7

/* The TTL or hop limit; 0 when the header is out of reach. */
static __always_inline __u32 route_ttl(const struct __sk_buff *skb, const struct packet *packet)
{
    const unsigned char *header = frame_at(skb, ETH_HLEN, 20);

    if (!header)
        return 0;
    return packet->flags & PACKET_IPV4 ? header[IPV4_TTL] : header[IPV6_HOP_LIMIT];
}

/* ---- finding the way ----------------------------------------------------------------------------------------------------- */

/* Addresses that are never passed on (RFC 1812, 5.3.7; RFC 4291, 2.4 to 2.7).  One of IPv6 that looks like IPv4's would meet IPv4's
 * routes. */
static __always_inline bool route_knows_address(const __u8 *address, bool ipv4)
{
    if (ipv4) {
        __u32 host = bpf_ntohl(load32(address + 12));
        __u32 first = host >> 24;
        return first != 0 && first != 127 && first < 224 && host >> 16 != 0xa9fe;
    }
    if (address[0] == 0xff || (address[0] == 0xfe && (address[1] & 0xc0) == 0x80))
        return false;
    return load64(address) || (load32(address + 8) && load32(address + 8) != bpf_htonl(0xffff));
}

/* Which of several next hops: the same for all packets between two addresses, so that none overtakes another. */
static __always_inline __u32 route_bucket(const struct packet *packet)
{
    __u64 hash = flow_hash(packet->tuple.local, packet->tuple.remote) * 0x9e3779b97f4a7c15ull;

    hash ^= hash >> 32; /* The last octet of an address is in the low bits of the product. */
    return hash * 0x9e3779b97f4a7c15ull >> 58;
}
_Static_assert(NEXT_HOP_BUCKETS == 1 << (64 - 58), "a bucket is that many bits");

struct route_hop {
    __u8 address[16] ON_STACK; /* Of the next hop, which may be the destination. */
    __u32 port;
    __u32 flags;               /* ROUTE_* */
};

/* What a router does with the packet.  Returns false when it has no route. */
static __always_inline bool route_find(__u32 router, const struct packet *packet, struct route_hop *ret)
{
    struct route_key key ON_STACK = {.prefix_length = 32 + 128, .router = router};

    address_copy(key.address, packet->tuple.remote);
    const struct route_value *value = map_lookup(routes, &key);
    if (!value || value->router != router)
        return false;
    ret->flags = value->flags;
    ret->port = value->port;
    address_copy(ret->address, value->next_hop);
    if (ret->flags & ROUTE_MANY) {
        struct next_hop_key name = {.group = ret->port, .bucket = route_bucket(packet)};
        const struct next_hop_value *hop = map_lookup(next_hops, &name);
        if (!hop || hop->group != name.group)
            return false;
        ret->port = hop->port;
        address_copy(ret->address, hop->next_hop);
    }
    if (address_is_zero(ret->address))
        address_copy(ret->address, packet->tuple.remote);
    /* IPv6's default route covers the mapped form of every IPv4 address. */
    return ret->flags & ROUTE_LOCAL || address_is_ipv4(ret->address) == !!(packet->flags & PACKET_IPV4);
}

/* Is this address of a router also what workloads behind it are called outside?  Then only echo requests are for the router itself. */
static __always_inline bool route_is_shared(const struct packet *packet, __u32 number)
{
    const struct router_port_config *port = router_port_get(number);

    return port && port->flags & ROUTER_PORT_EXTERNAL && port->flags & ROUTER_PORT_SNAT && packet->flags & PACKET_IPV4 &&
           !(packet->tuple.protocol == IPPROTO_ICMP && !(packet->flags & PACKET_LATER_FRAGMENT) && packet->icmp_type == ICMP_ECHO_TYPE);
}

/* The address scope that a router's port with these flags is in, for the packet's family; 0: none. */
static __always_inline __u32 route_scope(__u32 flags, const struct packet *packet)
{
    return packet->flags & PACKET_IPV4 ? ROUTER_PORT_SCOPE4(flags) : ROUTER_PORT_SCOPE6(flags);
}

/* What the walk ends with, beside STEP_CONTINUE and drop reasons. */
#define ROUTE_IS_LOCAL 0x201u /* For an address of the router. */
#define ROUTE_LEAVES 0x202u   /* Through a port on an external network, decision.router_port: outside.h goes on. */

struct route_state {
    struct packet *packet;
    __u32 ingress;        /* Router port that the packet has come to. */
    __u32 size, ttl;      /* Of the packet as the workload sent it. */
    __u32 may_fragment;
    __u32 step;
};

/* The packet comes to a router by one port and goes on by another. */
static __always_inline void passage_add(__u32 in, const struct router_port_config *in_port, __u32 out, const struct router_port_config *out_port)
{
    struct scratch *scratch = scratch_get();
    __u32 n = scratch ? scratch->passage.n : PASSAGE_MAX;

    if (!scratch || n > PASSAGE_MAX - 2)
        return;
    scratch->passage.ports[n & (PASSAGE_MAX - 1)] = in;
    scratch->passage.ports[(n + 1) & (PASSAGE_MAX - 1)] = out;
    scratch->passage.n = n + 2;
    if (in_port->rule_set[0] | in_port->rule_set[1] | out_port->rule_set[0] | out_port->rule_set[1])
        scratch->passage.has_rules = 1;
    scratch->passage.logs |= (in_port->flags | out_port->flags) & ROUTER_PORT_LOGS;
}

/* One router: from the port that the packet has come to. */
static long route_step(__u32 index, void *context)
{
    struct route_state *state = context;
    struct packet *packet = state->packet;
    const struct router_port_config *in = router_port_get(state->ingress);
    struct route_hop hop = {};
    bool moves;

    packet->decision.router_port = state->ingress;
    state->step = DROP_router_down;
    if (!in || !(in->flags & ROUTER_PORT_UP))
        return 1;
    state->step = ROUTE_IS_LOCAL;
    if (!index && address_is_eui64(packet->tuple.remote, in->mac))
        return 1;
    state->step = DROP_not_routable;
    if (!route_knows_address(packet->tuple.local, packet->flags & PACKET_IPV4) ||
        !route_knows_address(packet->tuple.remote, packet->flags & PACKET_IPV4))
        return 1;
    state->step = DROP_no_route;
    bool has_route = route_find(in->router, packet, &hop);
    if (has_route && hop.flags & ROUTE_LOCAL && !route_is_shared(packet, hop.port)) {
        state->step = ROUTE_IS_LOCAL;
        return 1;
    }
    /* From the external network, another router's or a workload's there: what this router translates is behind its own addresses there only.  It
     * does not translate what is of the network's address scope. */
    if (in->flags & ROUTER_PORT_EXTERNAL && in->flags & ROUTER_PORT_SNAT && packet->flags & PACKET_IPV4 && !route_scope(in->flags, packet)) {
        state->step = DROP_not_routable;
        return 1;
    }
    if (state->ttl <= packet->decision.hops + 1u) {
        state->step = DROP_ttl_exceeded;
        return 1;
    }
    if (!has_route) {
        TRACE(route, "router %u: no route to %s", in->router, trace_address(packet->tuple.remote));
        return 1;
    }
    const struct router_port_config *out = router_port_get(hop.port);
    if (!out || !(out->flags & ROUTER_PORT_UP)) {
        state->step = DROP_router_down;
        return 1;
    }
    __u32 scope = route_scope(out->flags, packet);
    if (scope != route_scope(in->flags, packet) && !(packet->flags & PACKET_IPV4 && out->flags & ROUTER_PORT_EXTERNAL)) {
        TRACE(route, "router %u: its ports %u and %u are in different address scopes", in->router, state->ingress, hop.port);
        state->step = DROP_address_scope;
        return 1;
    }
    if (packet->decision.mtu > out->mtu)
        packet->decision.mtu = out->mtu;
    state->step = DROP_too_big;
    if (state->size > out->mtu && !state->may_fragment)
        return 1;
    passage_add(state->ingress, in, hop.port, out);
    if (out->flags & ROUTER_PORT_EXTERNAL) {
        packet->decision.hops++;
        packet->decision.router_port = hop.port;
        if (scope && scope == route_scope(in->flags, packet))
            packet->decision.flags |= DECISION_SCOPED;
        state->step = ROUTE_LEAVES;
        return 1;
    }
    state->step = DROP_unknown_next_hop;
    if (!neighbor_find(out->vni, hop.address, packet->decision.next_mac))
        return 1;
    __u32 output = switch_lookup(out->vni, packet->decision.next_mac, &moves);
    TRACE(route, "router %u: from its port %u to %s, out of port %u to %s, which is behind output %#x", in->router, state->ingress,
          trace_address(hop.address), hop.port, trace_mac(packet->decision.next_mac), output);
    if (output == OUTPUT_NONE)
        return 1;
    packet->decision.hops++;
    if ((output & OUTPUT_KIND_MASK) == OUTPUT_ROUTER) {
        state->ingress = output & OUTPUT_SLOT_MASK;
        state->step = DROP_too_many_routers;
        return 0;
    }
    packet->decision.output = output;
    packet->decision.router_port = hop.port;
    /* Of an entry, only the MTU of the last network is compared (route_holds). */
    packet->decision.flags = moves || packet->decision.mtu < out->mtu ? DECISION_MOVES : 0;
    if (state->size > packet->decision.mtu)
        packet->decision.flags |= DECISION_FRAGMENT;
    state->step = STEP_CONTINUE;
    return 1;
}

/* Takes an IP packet through the routers from router port 'ingress' on.  Returns STEP_CONTINUE with the decision, or ROUTE_IS_LOCAL or a
 * drop reason: then decision.router_port is the port that it came to last, 'hops' the routers before, and 'mtu' where it did not fit.  The
 * routers that pass it on are then in scratch memory's passage. */
CHECKED_ALONE __u32 route_walk(const struct __sk_buff *skb, struct packet *packet, __u32 ingress)
{
    const unsigned char *header = frame_at(skb, ETH_HLEN, 20);

    struct scratch *scratch = scratch_get();
    if (!packet || !header || !scratch)
        return DROP_not_routable;
    scratch->passage.n = scratch->passage.has_rules = scratch->passage.logs = 0;
    bool is_probe = packet->flags & PACKET_PROBE;
    struct route_state state = {
        .packet = packet,
        .ingress = ingress,
        .size = is_probe ? 0 : packet_l3_size(skb, packet),
        .ttl = is_probe ? 255 : packet->flags & PACKET_IPV4 ? header[IPV4_TTL] : header[IPV6_HOP_LIMIT],
        .may_fragment = packet->flags & PACKET_IPV4 && !(header[IPV4_FLAGS] & 0x40) && !skb->gso_size,
        .step = frame_unknown(DROP_too_many_routers),
    };
    packet->decision.mtu = 0xffff;
    frame_loop(ROUTER_HOPS_MAX, route_step, &state);
    return state.step;
}

/* ---- doing it -------------------------------------------------------------------------------------------------------------- */

/* Can this frame be sent as the entry of its connection says?  If not, it is decided again: it may be too large for the network behind the
 * last router, or end at one on the way, or that router's port may be another by now. */
static __always_inline bool route_holds(const struct __sk_buff *skb, const struct packet *packet, const struct flow_entry *entry)
{
    const struct router_port_config *port = router_port_get(entry->router_port);

    return port && port->flags & ROUTER_PORT_UP && (__u16)port->generation == entry->router_generation &&
           packet_l3_size(skb, packet) <= port->mtu && route_ttl(skb, packet) > entry->hops;
}

/* 16 bits of a header that its checksum covers have changed (RFC 1624, equation 3). */
static __always_inline __u16 checksum_change(__u16 checksum, __u16 before, __u16 after)
{
    __u32 sum = (__u32)(__u16)~checksum + (__u16)~before + after;

    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return ~sum;
}

/* Sets the TTL or hop limit. */
static __always_inline void route_set_ttl(struct __sk_buff *skb, const struct packet *packet, unsigned char *header, __u8 ttl)
{
    if (packet->flags & PACKET_IPV4) {
        __u16 before = load16(header + IPV4_TTL);
        header[IPV4_TTL] = ttl;
        store16(header + IPV4_CHECKSUM, checksum_change(load16(header + IPV4_CHECKSUM), before, load16(header + IPV4_TTL)));
    } else {
        __u16 before = load16(header + IPV6_HOP_LIMIT - 1);
        header[IPV6_HOP_LIMIT] = ttl;
        /* No checksum of the packet covers it, but a device's sum over all bytes may have come with the frame. */
        bpf_csum_update(skb, (__u16)~before + (__u32)load16(header + IPV6_HOP_LIMIT - 1));
    }
}

/* Makes the frame what the last router would send: packet->decision says how. */
static __always_inline __u32 route_apply(struct __sk_buff *skb, struct packet *packet)
{
    const struct router_port_config *port = router_port_get(packet->decision.router_port);
    unsigned char *frame = frame_at(skb, 0, ETH_HLEN + 20);

    if (!port || !frame)
        return DROP_no_buffer;
    mac_copy(packet->destination, packet->decision.next_mac);
    mac_copy(packet->source, port->mac);
    packet->vni = port->vni;
    mac_copy(frame, packet->destination);
    mac_copy(frame + 6, packet->source);
    __u8 ttl = route_ttl(skb, packet) - packet->decision.hops;
    route_set_ttl(skb, packet, frame + ETH_HLEN, ttl);
    TRACE(route, "leaves as %s > %s in network %u, TTL %u", trace_mac(packet->source), trace_mac(packet->destination), packet->vni, ttl);
    return STEP_CONTINUE;
}

#endif
