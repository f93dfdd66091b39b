// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What routers say themselves, on the host of the workload that hears it.
 *
 * Echo requests to an address of theirs become the reply here (RFC 792, RFC 1812 4.3.3.6, RFC 4443 4.2), fragment by fragment.  For errors
 * the beginning of the packet goes to the agent, which decides whether the sender may be told and how (services/icmp). */
#ifndef WEFT_BPF_ROUTER_ICMP_H
#define WEFT_BPF_ROUTER_ICMP_H

#include "weft/dataplane/bpf/firewall.h"
#include "weft/dataplane/bpf/punt.h"
#include "weft/dataplane/bpf/routing.h"

#define ROUTER_TTL 64

static __always_inline bool router_is_asked_for_echo(const struct packet *packet)
{
    bool ipv4 = packet->flags & PACKET_IPV4;

    if (packet->tuple.protocol != (ipv4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
        return false;
    /* Later fragments do not say what they belong to.  Those of another message come back to their sender, who throws them away. */
    return packet->flags & PACKET_LATER_FRAGMENT || packet->icmp_type == (ipv4 ? ICMP_ECHO_TYPE : ICMPV6_ECHO_TYPE);
}

/* The reply takes the way back that the request came: through as many routers as packet->decision.hops says. */
static __always_inline __u32 router_echo(struct __sk_buff *skb, const struct packet *packet)
{
    bool ipv4 = packet->flags & PACKET_IPV4;
    __u32 l4 = packet->l4;
    unsigned char *header;

    if (!(packet->flags & PACKET_LATER_FRAGMENT)) {
        header = frame_at(skb, l4, 8);
        if (!header)
            return DROP_truncated;
        __u16 before = load16(header);
        __u16 after = ipv4 ? before & bpf_htons(0x00ff) : (before & bpf_htons(0x00ff)) | bpf_htons(ICMPV6_ECHO_REPLY_TYPE << 8);
        /* The kernel knows whether there is a checksum yet: a virtual device's may be left to do. */
        if (bpf_l4_csum_replace(skb, l4 + 2, before, after, 2))
            return DROP_no_buffer;
        header = frame_at(skb, l4, 8);
        if (!header)
            return DROP_no_buffer;
        store16(header, after);
    }
    unsigned char *frame = frame_at(skb, 0, ETH_HLEN + 20);
    if (!frame)
        return DROP_truncated;
    mac_copy(frame, packet->source);
    mac_copy(frame + 6, packet->destination);
    route_set_ttl(skb, packet, frame + ETH_HLEN, ROUTER_TTL - packet->decision.hops);
    if (ipv4) {
        store32(frame + ETH_HLEN + 12, load32(packet->tuple.remote + 12));
        store32(frame + ETH_HLEN + 16, load32(packet->tuple.local + 12));
    } else {
        frame = frame_at(skb, 0, ETH_HLEN + 40);
        if (!frame)
            return DROP_truncated;
        address_copy(frame + ETH_HLEN + 8, packet->tuple.remote);
        address_copy(frame + ETH_HLEN + 24, packet->tuple.local);
    }
    TRACE(route, "%s is a router's own address: echo answered", trace_address(packet->tuple.remote));
    count_received(packet->slot, packet->segments, packet_wire_bytes(packet));
    return VERDICT(bpf_redirect(skb->ifindex, 0));
}

/* Which ICMP error a drop reason is for the sender, as a PUNT_WORD; 0: none. */
static __always_inline __u32 router_error(const struct packet *packet, __u32 reason)
{
    __u8 protocol = packet->tuple.protocol;

    switch (reason) {
    case DROP_ttl_exceeded:
        return PUNT_WORD(PUNT_TTL, 0, 0);
    case DROP_no_route:
        return PUNT_WORD(PUNT_UNREACHABLE, UNREACHABLE_NET, 0);
    case DROP_unknown_next_hop:
        return PUNT_WORD(PUNT_UNREACHABLE, UNREACHABLE_HOST, 0);
    case DROP_too_big:
        return PUNT_WORD(PUNT_TOO_BIG, 0, packet->decision.mtu);
    case DROP_firewall_egress:
    case DROP_firewall_ingress:
        return firewall_rejects() ? PUNT_WORD(PUNT_UNREACHABLE, UNREACHABLE_PROHIBITED, 0) : 0;
    case DROP_service_no_member:
    case DROP_service_limit:
    case DROP_member_gone:
        return PUNT_WORD(PUNT_UNREACHABLE, UNREACHABLE_PORT, 0);
    case DROP_router_itself:
    case DROP_service_no_listener:
        if (protocol == IPPROTO_UDP || protocol == IPPROTO_TCP)
            return PUNT_WORD(PUNT_UNREACHABLE, UNREACHABLE_PORT, 0);
        return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6 ? 0 : PUNT_WORD(PUNT_UNREACHABLE, UNREACHABLE_PROTOCOL, 0);
    }
    return 0;
}

/* Takes a workload's packet for router port 'ingress' through the routers.  STEP_CONTINUE: packet->decision says where it comes out;
 * ROUTE_LEAVES: through which port on an external network. */
CHECKED_ALONE __u32 router_frame(struct __sk_buff *skb, struct packet *packet, const struct port_config *port, __u32 ingress)
{
    if (!packet || !port || !(packet->flags & (PACKET_IPV4 | PACKET_IPV6)))
        return DROP_not_routable;
    __u32 step = route_walk(skb, packet, ingress);
    __u32 refused = firewall_sends(skb, packet);

    if (refused != STEP_CONTINUE)
        step = refused;
    if (step == STEP_CONTINUE || step == ROUTE_LEAVES)
        return step;
    if (step == ROUTE_IS_LOCAL) {
        if (router_is_asked_for_echo(packet))
            return router_echo(skb, packet);
        step = DROP_router_itself;
    }
    __u32 error = packet->flags & PACKET_LATER_FRAGMENT ? 0 : router_error(packet, step);
    if (error)
        punt_frame(skb, packet, port, error);
    return step;
}

#endif
