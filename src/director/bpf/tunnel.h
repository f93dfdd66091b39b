// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The packet as it is, in another one to the server: IPv4 or IPv6 outside and inside.
 *
 *   IPIP    [IP][packet]                             RFC 2003, RFC 2473
 *   GUE     [IP][UDP][4 bytes, or 12][packet]        draft-ietf-intarea-gue, variant 0; as an option the remote checksum
 *                                                    (draft-ietf-intarea-gue-extensions), in the form that Linux has for it
 *   GRE     [IP][4 bytes, 8 with a checksum][packet] RFC 2784
 *   VXLAN   [IP][UDP][8 bytes][Ethernet][packet]     RFC 7348
 *
 * Outside, TTL, DSCP, ECN and IPv4's "don't fragment" are those of the packet, as IPVS does it.  The UDP source port tells flows apart
 * for those on the way who spread them. */
#ifndef WEFT_DIRECTOR_BPF_TUNNEL_H
#define WEFT_DIRECTOR_BPF_TUNNEL_H

#include "weft/director/bpf/packet.h"

/* The sum of the whole packet in 'sum', without reading it: its header's sum is zero (IPv4) or easily told (IPv6), and what its L4
 * checksum covers adds up to the complement of the pseudo header.  False: it has no such checksum.  This is what Linux calls local
 * checksum offload. */
static __always_inline bool inner_sum(struct xdp_md *ctx, const struct packet *packet, __u64 *sum)
{
    const __u8 *ip = frame_at(ctx, ETH_HLEN, 20);
    const __u8 *l4 = frame_at(ctx, packet->l4, 8);
    __u16 length = (__u16)(packet->size + ETH_HLEN - packet->l4);

    if (!ip || !l4 || packet->flags & PACKET_FRAGMENT)
        return false;
    if (packet->l4_protocol != IPPROTO_TCP && (packet->l4_protocol != IPPROTO_UDP || !load16(l4 + 6)))
        return false;
    if (packet->ipv6) {
        if (packet->l4 != ETH_HLEN + 40)
            return false;
        /* The addresses are in both and cancel out. */
        *sum = (__u64)load32(ip) + load32(ip + 4) + (__u16)~bpf_htons(packet->l4_protocol) + (__u16)~bpf_htons(length);
        return true;
    }
    *sum = (__u16)~checksum_fold((__u64)load32(ip + 12) + load32(ip + 16) + bpf_htons(packet->l4_protocol) + bpf_htons(length));
    return true;
}

#define GUE_PRIVATE 1u              /* Flags: private ones follow, of which */
#define GUE_REMOTE_CHECKSUM (1u << 31) /* this says: where to sum from, and where the sum goes. */

/* The inner checksum becomes the sum of the pseudo header, which is what is to be there before the server sums up; '*sum', of the whole
 * packet, follows. */
static __always_inline bool leave_checksum(struct xdp_md *ctx, const struct packet *packet, __u64 *sum)
{
    __u16 length = (__u16)(packet->size + ETH_HLEN - packet->l4), pseudo;
    unsigned char *place = frame_at(ctx, packet->l4 + (packet->l4_protocol == IPPROTO_TCP ? 16u : 6u), 2);

    if (!place)
        return false;
    pseudo = checksum_fold(checksum_address(packet->source, packet->ipv6) + checksum_address(packet->destination, packet->ipv6) +
                           bpf_htons(packet->l4_protocol) + bpf_htons(length));
    *sum += (__u64)(__u16)~load16(place) + pseudo;
    store16(place, pseudo);
    return true;
}

static __always_inline __u16 entropy_port(const struct packet *packet)
{
    return bpf_htons(0xc000 | (((__u16)(packet->hash >> 16) + packet->source_port) & 0x3fff));
}

/* Writes the outer IP header, which so many bytes follow. */
static __always_inline void outer_ipv4(unsigned char *ip, const struct packet *packet, const struct lb_server *server, __u8 protocol,
                                       __u32 following)
{
    __u64 sum;
    bool whole = packet->flags & PACKET_DONT_FRAGMENT;

    store16(ip, bpf_htons((__u16)(0x4500 | packet->traffic_class)));
    store16(ip + 2, bpf_htons((__u16)(20 + following)));
    store16(ip + 4, whole ? 0 : (__u16)random32()); /* RFC 6864: it means something only where there may be fragments. */
    store16(ip + 6, whole ? bpf_htons(IP4_DONT_FRAGMENT) : 0);
    store16(ip + 8, bpf_htons((__u16)(packet->ttl << 8 | protocol)));
    store16(ip + 10, 0);
    store32(ip + 12, address_ipv4(server->source));
    store32(ip + 16, address_ipv4(server->address));
    sum = (__u64)load32(ip) + load32(ip + 4) + load32(ip + 8) + load32(ip + 12) + load32(ip + 16);
    store16(ip + 10, (__u16)~checksum_fold(sum));
}

static __always_inline void outer_ipv6(unsigned char *ip, const struct packet *packet, const struct lb_server *server, __u8 protocol,
                                       __u32 following)
{
    store32(ip, bpf_htonl(6u << 28 | (__u32)packet->traffic_class << 20 | (__u32)(packet->hash & 0xfffff)));
    store16(ip + 4, bpf_htons((__u16)following));
    store16(ip + 6, bpf_htons((__u16)(protocol << 8 | packet->ttl)));
    address_copy(ip + 8, server->source);
    address_copy(ip + 24, server->address);
}

static __always_inline void put_udp(unsigned char *udp, const struct packet *packet, __u16 port, __u32 following)
{
    store16(udp, entropy_port(packet));
    store16(udp + 2, port);
    store16(udp + 4, bpf_htons((__u16)(8 + following)));
    store16(udp + 6, 0);
}

static __always_inline void finish_udp(unsigned char *udp, const struct lb_server *server, bool outer6, __u32 following, __u64 sum)
{
    __u16 checksum;

    sum += checksum_address(server->source, outer6) + checksum_address(server->address, outer6) + bpf_htons(IPPROTO_UDP) +
           bpf_htons((__u16)(8 + following)) + load32(udp) + load16(udp + 4);
    checksum = (__u16)~checksum_fold(sum);
    store16(udp + 6, checksum ? checksum : 0xffff);
}

/* 'outer6' and 'method' are constants here. */
static __always_inline __u32 tunnel_put(struct xdp_md *ctx, const struct packet *packet, const struct lb_server *server, const bool outer6,
                                        const __u8 method)
{
    const __u8 vxlan_mac[6] = LB_VXLAN_MAC, vxlan_source[6] = LB_VXLAN_SOURCE_MAC;
    const __u32 ip_size = outer6 ? 40 : 20;
    __u64 sum = 0;
    bool with_sum = method != LB_METHOD_IPIP && server->flags & LB_SERVER_CHECKSUM && inner_sum(ctx, packet, &sum);
    bool remote = method == LB_METHOD_GUE && with_sum && server->flags & LB_SERVER_REMOTE_CHECKSUM && leave_checksum(ctx, packet, &sum);
    __u32 between = method == LB_METHOD_GUE ? (remote ? 20 : 12) : method == LB_METHOD_VXLAN ? 30 : method == LB_METHOD_GRE ? (with_sum ? 8 : 4) : 0;
    __u8 protocol = method == LB_METHOD_IPIP  ? (packet->ipv6 ? IPPROTO_IPV6 : IPPROTO_IPIP)
                    : method == LB_METHOD_GRE ? IPPROTO_GRE
                                              : IPPROTO_UDP;
    unsigned char *frame, *end, *header;

    if (bpf_xdp_adjust_head(ctx, -(int)(ip_size + between)))
        return LB_DROP_no_room;
    frame = frame_data(ctx);
    end = frame_end(ctx);
    if (frame + ETH_HLEN + ip_size > end)
        return LB_DROP_malformed;
    store16(frame + 12, outer6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP));
    if (outer6)
        outer_ipv6(frame + ETH_HLEN, packet, server, protocol, between + packet->size);
    else
        outer_ipv4(frame + ETH_HLEN, packet, server, protocol, between + packet->size);
    header = frame + ETH_HLEN + ip_size;
    if (method == LB_METHOD_GUE) {
        if (header + 12 > end)
            return LB_DROP_malformed;
        put_udp(header, packet, server->tunnel_port, between - 8 + packet->size);
        store32(header + 8, bpf_htonl(packet->ipv6 ? IPPROTO_IPV6 << 16 : IPPROTO_IPIP << 16));
        if (remote) {
            __u32 start = packet->l4 - ETH_HLEN;

            if (header + 20 > end)
                return LB_DROP_malformed;
            store32(header + 8, load32(header + 8) | bpf_htonl(2u << 24 | GUE_PRIVATE)); /* Two words of options. */
            store32(header + 12, bpf_htonl(GUE_REMOTE_CHECKSUM));
            store32(header + 16, bpf_htonl(start << 16 | (start + (packet->l4_protocol == IPPROTO_TCP ? 16 : 6))));
            sum += (__u64)load32(header + 12) + load32(header + 16);
        }
        if (with_sum)
            finish_udp(header, server, outer6, between - 8 + packet->size, sum + load32(header + 8));
    } else if (method == LB_METHOD_GRE) {
        if (header + 8 > end)
            return LB_DROP_malformed;
        store16(header, with_sum ? bpf_htons(0x8000) : 0);
        store16(header + 2, packet->ipv6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP));
        if (with_sum) {
            store32(header + 4, 0);
            store16(header + 4, (__u16)~checksum_fold(sum + load32(header)));
        }
    } else if (method == LB_METHOD_VXLAN) {
        if (header + 30 > end)
            return LB_DROP_malformed;
        put_udp(header, packet, server->tunnel_port, 22 + packet->size);
        store32(header + 8, bpf_htonl(0x08000000));
        store32(header + 12, bpf_htonl(server->vni << 8));
        mac_copy(header + 16, vxlan_mac);
        mac_copy(header + 22, vxlan_source);
        store16(header + 28, packet->ipv6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP));
        if (with_sum) {
            sum += (__u64)load32(header + 8) + load32(header + 12) + load32(header + 16) + load32(header + 20) + load32(header + 24) +
                   load16(header + 28);
            finish_udp(header, server, outer6, 22 + packet->size, sum);
        }
    }
    return STEP_CONTINUE;
}

static __always_inline __u32 tunnel_put_any(struct xdp_md *ctx, const struct packet *packet, const struct lb_server *server, const __u8 method)
{
    return address_is_ipv4(server->address) ? tunnel_put(ctx, packet, server, false, method)
                                            : tunnel_put(ctx, packet, server, true, method);
}

#endif
