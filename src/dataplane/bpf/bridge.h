// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Networks that are (a VLAN of) a physical network: their workloads and the stations outside are one L2 network.
 *
 * Each host is behind one uplink in each such network: its own, or that of one gateway, which all hosts compute alike (compiler/gateways.c).  By it goes what its
 * workloads send to MACs that are nobody's here, and one copy of what they broadcast; and by it comes what stations send: to a workload's MAC by
 * wherever the physical switches have seen that MAC, broadcast at every uplink, where each gateway makes copies for its own ports and the hosts
 * behind it.  So everybody gets everything once, and since nothing that came in by an uplink, or by tunnel from a gateway, leaves by an
 * uplink again, nothing goes round.  A frame of ours that the physical network brings back is known by its source MAC.
 *
 * Workloads are called outside by their own MACs; those of routers never leave, nor may anybody use them or the device's there. */
#ifndef WEFT_BPF_BRIDGE_H
#define WEFT_BPF_BRIDGE_H

#include "weft/dataplane/bpf/reverse-path.h"
#include "weft/dataplane/bpf/switching.h"

static __always_inline bool bridge_is_there(__u32 vni)
{
    return neighbor_flags(vni) & NETWORK_BRIDGED;
}

/* ---- out ------------------------------------------------------------------------------------------------------------------------------- */

/* Out of this host's uplink, as it is. */
CHECKED_ALONE __u32 bridge_send(struct __sk_buff *skb, const struct packet *packet)
{
    struct uplink_value uplink ON_STACK = {};

    if (!packet || !uplink_of_network(packet->vni, &uplink))
        return DROP_no_uplink;
    if (packet_l3_size(skb, packet) > uplink.mtu)
        return DROP_too_big;
    if (mac_same(packet->source, uplink.mac))
        return DROP_spoofed_mac;
    TRACE(uplink, "out of interface %u, VLAN %u, to %s, who is none of ours", uplink.ifindex, uplink.vlan, trace_mac(packet->destination));
    return uplink_transmit(skb, &uplink);
}

/* A workload here sends to a MAC of its network that is nobody's: where to? */
CHECKED_ALONE __u32 bridge_decide(struct packet *packet)
{
    struct uplink_value uplink ON_STACK = {};

    if (!packet || !bridge_is_there(packet->vni) || mac_same(packet->destination, outside_mac))
        return DROP_unknown_destination;
    if (!bridge_may_leave(packet))
        return DROP_spoofed_mac;
    packet->decision.output = uplink_of_network(packet->vni, &uplink) ? OUTPUT_UPLINK : bridge_gateway(packet->vni);
    packet->decision.flags = neighbor_flags(packet->vni) & NETWORK_FLOOD_UNKNOWN_NEIGHBORS ? DECISION_MOVES : 0;
    return packet->decision.output == OUTPUT_NONE ? DROP_no_uplink : STEP_CONTINUE;
}

/* A frame that a host without an uplink sent here, because it is for somebody outside: a workload's there, or it goes nowhere. */
static __noinline __u32 bridge_relay(struct __sk_buff *skb, struct packet *packet, const struct tunnel_frame *outer)
{
    bool moves;

    if (!bridge_is_there(packet->vni))
        return DROP_unknown_destination;
    switch_learn(packet, OUTPUT_REMOTE | outer->host);
    if (switch_lookup(packet->vni, packet->source, &moves) != (OUTPUT_REMOTE | outer->host))
        return DROP_unknown_destination;
    __u32 step = tunnel_strip(skb, packet, outer->overhead);
    if (step == STEP_CONTINUE)
        step = parse_whole(skb, packet);
    return step == STEP_CONTINUE ? bridge_send(skb, packet) : step;
}

/* ---- in -------------------------------------------------------------------------------------------------------------------------------- */

/* Nobody outside may speak in the name of an address of ours in the network. */
CHECKED_ALONE __u32 bridge_admits(struct __sk_buff *skb, const struct packet *packet)
{
    __u8 address[16] ON_STACK = {};

    if (!packet)
        return DROP_no_port;
    if (packet->ethertype == bpf_htons(ETH_P_ARP)) {
        struct arp_frame arp = {};
        if (!arp_read(skb, &arp))
            return DROP_truncated;
        address_map_ipv4(address, arp.sender);
    } else {
        address_copy(address, packet->tuple.local);
    }
    if (reverse_address_is_ours(packet->vni, address))
        return DROP_reverse_path;
    if (packet->flags & PACKET_IPV6 && packet->tuple.protocol == IPPROTO_ICMPV6 && packet->icmp_type == ND_ADVERTISEMENT) {
        const unsigned char *target = frame_at(skb, packet->l4 + 8, 16);
        if (!target)
            return DROP_truncated;
        address_copy(address, target);
        if (reverse_address_is_ours(packet->vni, address))
            return DROP_reverse_path;
    }
    return STEP_CONTINUE;
}

/* A frame from the uplink for a MAC that is not the device's: a workload's? */
CHECKED_ALONE __u32 bridge_in(struct __sk_buff *skb, struct packet *packet, const struct uplink_value *uplink)
{
    bool moves;

    if (!packet || !uplink || !bridge_is_there(packet->vni))
        return NOT_OURS;
    __u32 output = switch_lookup(packet->vni, packet->destination, &moves), kind = output & OUTPUT_KIND_MASK;
    if ((kind != OUTPUT_LOCAL && kind != OUTPUT_REMOTE) || switch_lookup(packet->vni, packet->source, &moves) != OUTPUT_NONE)
        return NOT_OURS; /* Also what is ours, and the physical network has brought back. */
    __u32 step = bridge_admits(skb, packet);
    if (step != STEP_CONTINUE)
        return step;
    if ((skb->vlan_present || uplink->vlan) && bpf_skb_vlan_pop(skb))
        return DROP_no_buffer;
    TRACE(uplink, "for %s, who is behind output %#x", trace_mac(packet->destination), output);
    if (kind == OUTPUT_REMOTE)
        return tunnel_send(skb, packet, output & OUTPUT_SLOT_MASK, packet->vni, TUNNEL_WORD(TUNNEL_UNICAST, 0, 0));
    bpf_skb_change_type(skb, PACKET_HOST); /* It was not for the device, but is for who gets it. */
    return deliver_local(skb, packet, output & OUTPUT_SLOT_MASK);
}

/* Copies of what a station sent to a group, for our ports and the hosts that this gateway stands for.  The frame itself stays as it is, for the host. */
CHECKED_ALONE __u32 bridge_flood_in(struct __sk_buff *skb, const struct packet *packet, const struct uplink_value *uplink)
{
    bool moves;

    if (!packet || !uplink || !bridge_is_there(packet->vni) || switch_is_reserved(packet->destination) ||
        switch_lookup(packet->vni, packet->source, &moves) != OUTPUT_NONE || bridge_admits(skb, packet) != STEP_CONTINUE)
        return NOT_OURS;
    bool is_tagged = skb->vlan_present;
    __u16 tag = skb->vlan_tci;
    __u32 mark = skb->mark, priority = skb->priority;
    if (is_tagged && bpf_skb_vlan_pop(skb))
        return NOT_OURS;
    switch_flood_in(skb, packet);
    skb->mark = mark;
    skb->priority = priority;
    skb->cb[0] = 0;
    if (is_tagged)
        bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), tag);
    return NOT_OURS;
}

#endif
