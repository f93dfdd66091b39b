// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What is rare goes to the agent by ring buffer, under the port's budget: DHCP, router solicitations, the beginning of a frame that its
 * sender has to get an ICMP error for, and frames to be fragmented. */
#ifndef WEFT_BPF_PUNT_H
#define WEFT_BPF_PUNT_H

#include "weft/dataplane/bpf/counters.h"
#include "weft/dataplane/bpf/fragment.h"
#include "weft/dataplane/bpf/security.h"

#define PUNT_KEPT_PART 8 /* Of a port's budget. */

/* A reason, with the code of an ICMP error, and the MTU where it did not fit. */
#define PUNT_WORD(reason, code, mtu) ((__u32)(mtu) << 16 | (__u32)(code) << 8 | (__u32)(reason))

static __always_inline void punt_router(struct punt_event *event, const struct packet *packet, __u32 word)
{
    __u32 number = packet->decision.router_port;
    const struct router_port_config *router_port = router_port_get(number);

    event->output = packet->decision.output;
    event->router_port = number;
    event->mtu = word >> 16;
    event->code = word >> 8;
    event->hops = packet->decision.hops;
    store16(event->pad, 0);
    store64(event->source, 0);
    store64(event->source + 8, 0);
    if (number && router_port)
        address_copy(event->source, packet->flags & PACKET_IPV4 ? router_port->ip4 : router_port->ip6);
}

/* Hands the frame over; the budget was the caller's business.  'word' and what is returned as for punt_frame. */
static __always_inline __u32 punt_write_of(struct __sk_buff *skb, const struct packet *packet, __u32 ifindex, __u32 word, const __u8 *next_hop)
{
    __u32 slot = packet->slot, size = packet->size, reason = word & 0xff;

    if (size > PUNT_MAX_FRAME) {
        if (reason == PUNT_FRAGMENT)
            return DROP_not_fragmented;
        if (reason != PUNT_TOO_BIG && reason != PUNT_TTL && reason != PUNT_UNREACHABLE)
            return DROP_too_big;
        size = PUNT_MAX_FRAME;
    }
    struct punt_event *event = map_ring_reserve(punt, sizeof(struct punt_event));
    if (!event)
        return DROP_punt_full;
    event->slot = slot;
    event->ifindex = ifindex;
    event->vni = packet->vni;
    event->reason = reason;
    event->size = size;
    punt_router(event, packet, word);
    address_copy(event->next_hop, next_hop);
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

static __always_inline __u32 punt_write(struct __sk_buff *skb, const struct packet *packet, __u32 word, const __u8 *next_hop)
{
    return punt_write_of(skb, packet, skb->ifindex, word, next_hop);
}

/* Takes a token of the port's budget.  Errors and pieces leave some of it: whoever sends the workload what is too large for it, or has it send that, shall not
 * keep it from renewing its addresses. */
static __always_inline bool punt_spend(__u32 slot, const struct port_config *port, __u32 reason)
{
    bool is_asked = reason == PUNT_DHCP4 || reason == PUNT_DHCP6 || reason == PUNT_ROUTER_SOLICITATION;
    struct port_runtime *runtime = map_lookup(port_runtime, &slot);
    __u64 tokens = 0;

    if (runtime)
        tokens = bucket_refill(&runtime->punt_time_ns, &runtime->punt_tokens, port->punt_rate, port->punt_burst);
    if (!runtime || tokens <= (is_asked ? 0 : port->punt_burst / PUNT_KEPT_PART))
        return false;
    runtime->punt_tokens = tokens - 1; /* Not one less than it holds: another CPU may have taken the last, and less than none is many. */
    return true;
}

/* 'word' is a PUNT_WORD.  Returns VERDICT(TC_ACT_STOLEN), or why the agent did not get it. */
CHECKED_ALONE __u32 punt_frame(struct __sk_buff *skb, const struct packet *packet, const struct port_config *port, __u32 word)
{
    if (!packet || !port)
        return DROP_no_port;
    const __u8 nowhere[16] ON_STACK = {};

    if (!punt_spend(packet->slot, port, word & 0xff))
        return DROP_punt_budget;
    return punt_write_of(skb, packet, port->ifindex, word, nowhere); /* It may have come from elsewhere, and be the port's workload's all the same. */
}

/* Takes a token of what a router may cost the agent for the outside's sake. */
static __always_inline bool outside_spend(__u32 number, enum outside_budget_kind kind, __u32 rate)
{
    struct outside_budget *budget = map_lookup(outside_budget, &number);

    return budget && bucket_spend(&budget->of[kind].time_ns, &budget->of[kind].tokens, rate);
}

/* Is the frame the agent's to send?  It is to be cut, or part of a packet whose beginning is. */
static __always_inline bool punt_is_fragment(const struct packet *packet)
{
    return packet->decision.flags & DECISION_FRAGMENT || packet->flags & PACKET_FOLLOWS;
}

/* May it be cut where it does not fit? */
static __always_inline bool punt_may_cut(const struct __sk_buff *skb, const struct packet *packet)
{
    const unsigned char *header = frame_at(skb, ETH_HLEN, 20);

    return packet->flags & PACKET_IPV4 && header && !(header[6] & 0x40) && !skb->gso_size;
}

/* A frame that is ready to leave but for its size: the agent cuts it and sends the pieces.  To another host as kind and hop count 'how' say, a TUNNEL_WORD's.
 * It costs the port that sent it; if that is none of this host's, the router that it comes through, or who is to get it. */
CHECKED_ALONE __u32 punt_fragment(struct __sk_buff *skb, const struct packet *packet, __u32 how)
{
    const __u8 nowhere[16] ON_STACK = {};
    __u32 unused, step;

    if (!packet)
        return DROP_no_port;
    __u32 word = PUNT_WORD(PUNT_FRAGMENT, how & 0xff, packet->decision.mtu ? packet->decision.mtu : 0xffff); /* One that follows fits as it is. */
    __u32 slot = packet->slot, router_port = packet->decision.router_port, payer = slot || router_port ? slot : packet->drop_slot;
    const struct port_config *port = payer ? port_config_get(payer, &unused) : NULL;
    if (payer && !port)
        step = DROP_no_port;
    else if (payer ? !punt_spend(payer, port, PUNT_FRAGMENT) : !outside_spend(router_port, BUDGET_ERRORS, OUTSIDE_ERROR_RATE))
        step = DROP_punt_budget;
    else
        step = punt_write(skb, packet, word, nowhere);
    if (step & STEP_DONE && packet->fragment_place)
        fragment_is_at_agent(packet, port, payer ? payer : router_port);
    return step;
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
        punt_frame(skb, packet, port, PUNT_WORD(PUNT_TOO_BIG, 0, 0));
    return DROP_too_big;
}

#endif
