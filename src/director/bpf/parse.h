// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* From the frame to its tuple.  What cannot be the packet of a service is not ours: the host's stack knows better what to do with it. */
#ifndef WEFT_DIRECTOR_BPF_PARSE_H
#define WEFT_DIRECTOR_BPF_PARSE_H

#include "weft/director/bpf/packet.h"

#define IP4_MORE_FRAGMENTS 0x2000
#define IP4_DONT_FRAGMENT 0x4000
#define IP4_OFFSET 0x1fff

#define NEXT_HOP_BY_HOP 0
#define NEXT_ROUTING 43
#define NEXT_FRAGMENT 44
#define NEXT_DESTINATION 60
#define IP6_EXTENSIONS 6 /* More than that is nobody's honest packet. */

static __always_inline bool protocol_has_ports(__u8 protocol)
{
    return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

/* Extension headers up to the one that says what the packet is.  False: not understood. */
static __always_inline bool parse_extensions(struct xdp_md *ctx, struct packet *packet, __u8 next)
{
    __u32 offset = packet->l4;

    UNROLL
    for (int i = 0; i < IP6_EXTENSIONS; i++) {
        const __u8 *header;

        if (next != NEXT_HOP_BY_HOP && next != NEXT_ROUTING && next != NEXT_DESTINATION && next != NEXT_FRAGMENT)
            break;
        header = frame_at(ctx, offset, 8);
        if (!header)
            return false;
        if (next == NEXT_FRAGMENT) { /* RFC 8200, 4.5 */
            __u16 where = bpf_ntohs(load16(header + 2));

            if (where & 0xfff9)
                packet->flags |= PACKET_FRAGMENT;
            if (where & 0xfff8)
                packet->flags |= PACKET_LATER_FRAGMENT;
            packet->fragment_id = load32(header + 4);
            offset += 8;
        } else {
            offset += header[1] * 8u + 8;
        }
        next = header[0];
    }
    if (offset > FRAME_MAX_HEADERS)
        return false;
    packet->l4 = (__u16)offset;
    packet->l4_protocol = next;
    return true;
}

static __always_inline bool parse_ipv4(struct xdp_md *ctx, struct packet *packet)
{
    const __u8 *ip = frame_at(ctx, ETH_HLEN, 20);

    if (!ip || ip[0] >> 4 != 4)
        return false;
    __u32 header = (ip[0] & 15) * 4u;
    __u16 where = bpf_ntohs(load16(ip + 6));
    packet->size = bpf_ntohs(load16(ip + 2));
    if (header < 20 || packet->size < header)
        return false;
    if (where & (IP4_MORE_FRAGMENTS | IP4_OFFSET)) {
        packet->flags |= PACKET_FRAGMENT;
        if (where & IP4_OFFSET)
            packet->flags |= PACKET_LATER_FRAGMENT;
        packet->fragment_id = load16(ip + 4);
    }
    if (where & IP4_DONT_FRAGMENT)
        packet->flags |= PACKET_DONT_FRAGMENT;
    address_map_ipv4(packet->source, load32(ip + 12));
    address_map_ipv4(packet->destination, load32(ip + 16));
    packet->traffic_class = ip[1];
    packet->ttl = ip[8];
    packet->l4_protocol = ip[9];
    packet->l4 = (__u16)(ETH_HLEN + header);
    return true;
}

static __always_inline bool parse_ipv6(struct xdp_md *ctx, struct packet *packet)
{
    const __u8 *ip = frame_at(ctx, ETH_HLEN, 40);

    if (!ip || ip[0] >> 4 != 6)
        return false;
    packet->ipv6 = 1;
    packet->flags |= PACKET_DONT_FRAGMENT;
    packet->size = bpf_ntohs(load16(ip + 4)) + 40u;
    packet->traffic_class = (__u8)(bpf_ntohs(load16(ip)) >> 4);
    packet->ttl = ip[7];
    address_copy(packet->source, ip + 8);
    address_copy(packet->destination, ip + 24);
    packet->l4 = ETH_HLEN + 40;
    return parse_extensions(ctx, packet, ip[6]);
}

/* Is the frame for this station?  Also with a virtual router's MAC (RFC 5798, 7.3), which is that of whoever is master. */
static __always_inline bool is_for_us(const struct xdp_md *ctx, const __u8 *ethernet)
{
    __u32 ifindex = ctx->ingress_ifindex;
    const struct lb_interface *interface = map_lookup(interfaces, &ifindex);

    if (!interface || (load32(interface->mac) == load32(ethernet) && load16(interface->mac + 4) == load16(ethernet + 4)))
        return true;
    return load32(ethernet) == bpf_htonl(0x00005e00) && (ethernet[4] == 1 || ethernet[4] == 2);
}

/* Fills 'packet', which is zero.  False: not ours. */
static __always_inline bool parse(struct xdp_md *ctx, struct packet *packet)
{
    const __u8 *ethernet = frame_at(ctx, 0, ETH_HLEN), *l4;
    __u16 type;

    if (!ethernet || ethernet[0] & 1 || !is_for_us(ctx, ethernet)) /* Broadcast, multicast; another station's. */
        return false;
    type = load16(ethernet + 12);
    packet->l3 = ETH_HLEN;
    if (type == bpf_htons(ETH_P_IP) ? !parse_ipv4(ctx, packet) : type == bpf_htons(ETH_P_IPV6) ? !parse_ipv6(ctx, packet) : true)
        return false;
    if (packet->size > (__u64)(frame_end(ctx) - frame_data(ctx)) - ETH_HLEN)
        return false;
    packet->protocol = packet->l4_protocol;
    if (packet->flags & PACKET_LATER_FRAGMENT)
        return true;
    if (protocol_has_ports(packet->protocol)) {
        l4 = frame_at(ctx, packet->l4, 8);
        if (!l4 || packet->l4 + 8u > ETH_HLEN + packet->size)
            return false;
        packet->source_port = load16(l4);
        packet->destination_port = load16(l4 + 2);
        if (packet->protocol == IPPROTO_TCP) {
            l4 = frame_at(ctx, packet->l4 + 13u, 1);
            if (!l4)
                return false;
            packet->tcp_flags = *l4;
        }
    }
    return true;
}

#endif
