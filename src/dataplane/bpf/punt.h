// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What is rare goes to the agent by ring buffer, under the port's budget: DHCP, router solicitations, and the beginning of
 * a frame that was too big, so that its sender gets an ICMP error. */
#ifndef WEFT_BPF_PUNT_H
#define WEFT_BPF_PUNT_H

#include "weft/dataplane/bpf/counters.h"
#include "weft/dataplane/bpf/security.h"

/* Returns VERDICT(TC_ACT_STOLEN), or why the agent did not get it. */
CHECKED_ALONE __u32 punt_frame(struct __sk_buff *skb, const struct packet *packet, const struct port_config *port, __u32 reason)
{
    if (!packet || !port)
        return DROP_no_port;
    __u32 slot = packet->slot;
    struct port_runtime *runtime = map_lookup(port_runtime, &slot);
    __u64 tokens = 0;

    if (runtime)
        tokens = bucket_refill(&runtime->punt_time_ns, &runtime->punt_tokens, port->punt_rate, port->punt_burst);
    if (!tokens)
        return DROP_punt_budget;
    __u32 size = packet->size;
    if (size > PUNT_MAX_FRAME) {
        if (reason != PUNT_TOO_BIG)
            return DROP_too_big;
        size = PUNT_MAX_FRAME;
    }
    runtime->punt_tokens = tokens - 1; /* Not one less than it holds: another CPU may have taken the last, and less than none is many. */
    struct punt_event *event = map_ring_reserve(punt, sizeof(struct punt_event));
    if (!event)
        return DROP_punt_full;
    event->slot = slot;
    event->ifindex = skb->ifindex;
    event->vni = packet->vni;
    event->reason = reason;
    event->size = size;
#ifdef __bpf__
    asm volatile("" : "+r"(size)); /* The verifier shall see the bounds below, which clang knows to hold. */
#endif
    if (size < ETH_HLEN || size > PUNT_MAX_FRAME || bpf_skb_load_bytes(skb, 0, event->frame, size)) {
        map_ring_discard(event);
        return DROP_truncated;
    }
    map_ring_submit(event);
    TRACE(punt, "to the agent, reason %u", reason);
    return VERDICT(TC_ACT_STOLEN);
}

/* What this frame would be punted as; 0: it is not. */
static __always_inline __u32 punt_reason_of(const struct packet *packet, const struct port_config *port)
{
    if (packet->flags & PACKET_FRAGMENT)
        return 0;
    if (packet->tuple.protocol == IPPROTO_UDP) {
        if (packet->flags & PACKET_IPV4 && port->flags & PORT_DHCP4 &&
            packet->tuple.local_port == bpf_htons(DHCP4_CLIENT_PORT) &&
            packet->tuple.remote_port == bpf_htons(DHCP4_SERVER_PORT))
            return PUNT_DHCP4;
        if (packet->flags & PACKET_IPV6 && port->flags & PORT_DHCP6 &&
            packet->tuple.remote_port == bpf_htons(DHCP6_SERVER_PORT))
            return PUNT_DHCP6;
    }
    if (packet->flags & PACKET_IPV6 && packet->tuple.protocol == IPPROTO_ICMPV6 && port->flags & PORT_RA &&
        packet->icmp_type == ND_ROUTER_SOLICITATION)
        return PUNT_ROUTER_SOLICITATION;
    return 0;
}

/* Drops a frame that is larger than the network's MTU, and lets its sender know where the protocol has a way. */
static __noinline __u32 punt_too_big(struct __sk_buff *skb, const struct packet *packet, const struct port_config *port)
{
    bool tell = packet->flags & PACKET_IPV6;

    if (packet->flags & PACKET_IPV4) {
        const unsigned char *header = frame_at(skb, ETH_HLEN, 20);
        tell = header && header[6] & 0x40; /* Do not fragment. */
    }
    if (tell && !(packet->destination[0] & 1))
        punt_frame(skb, packet, port, PUNT_TOO_BIG);
    return DROP_too_big;
}

#endif
