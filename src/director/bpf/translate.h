// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Puts the tuple of packet->to in the place of the frame's, with all checksums; in an ICMP error also in what it quotes, which is the
 * same tuple turned round. */
#ifndef WEFT_DIRECTOR_BPF_TRANSLATE_H
#define WEFT_DIRECTOR_BPF_TRANSLATE_H

#include "weft/director/bpf/l3dsr.h"
#include "weft/director/bpf/sctp.h"

/* What is written, and what the checksums over it grow by. */
static __always_inline __u64 put_port(unsigned char *place, __u16 port)
{
    __u64 difference = (__u64)(__u16)~load16(place) + port;

    store16(place, port);
    return difference;
}

static __always_inline __u64 put_address(unsigned char *place, const __u8 *address, const bool ipv6)
{
    __u64 difference = 0;

    if (!ipv6) {
        difference = (__u64)(__u32)~load32(place) + address_ipv4(address);
        store32(place, address_ipv4(address));
        return difference;
    }
    for (int i = 0; i < 16; i += 4) {
        difference += (__u64)(__u32)~load32(place + i) + load32(address + i);
        store32(place + i, load32(address + i));
    }
    return difference;
}

static __always_inline __u16 mend(unsigned char *checksum, __u64 difference, bool udp)
{
    __u16 updated = checksum_update(load16(checksum), difference);

    if (udp && !updated)
        updated = 0xffff;
    store16(checksum, updated);
    return updated;
}

/* The addresses of the outer header.  Its own checksum, IPv4's, is mended; '*ret' gets by what those over the addresses grow. */
static __always_inline bool translate_addresses(struct xdp_md *ctx, const struct packet *packet, bool source, __u64 *ret)
{
    unsigned char *ip = frame_at(ctx, ETH_HLEN, 20);
    __u64 difference = 0;

    if (!ip)
        return false;
    if (packet->ipv6) {
        ip = frame_at(ctx, ETH_HLEN, 40);
        if (!ip)
            return false;
        if (source)
            difference = put_address(ip + 8, packet->to.source, true);
        difference += put_address(ip + 24, packet->to.destination, true);
    } else {
        if (source)
            difference = put_address(ip + 12, packet->to.source, false);
        difference += put_address(ip + 16, packet->to.destination, false);
        mend(ip + 10, difference, false);
    }
    *ret = difference;
    return true;
}

/* What was quoted went the other way: it gets our destination as its source.  A TCP checksum is there only if enough is quoted; SCTP's
 * is left as it is: of a packet that is cut off it says nothing. */
static __always_inline __u32 translate_quote(struct xdp_md *ctx, const struct packet *packet)
{
    __u32 end = ETH_HLEN + packet->size;
    unsigned char *ip = frame_at(ctx, packet->quoted_l3, 20), *l4, *checksum = NULL;
    __u64 outer, inner, ports, sum;

    if (!ip || packet->quoted_l4 + 8u > end)
        return LB_DROP_malformed;
    if (!translate_addresses(ctx, packet, packet->to.is_full, &outer))
        return LB_DROP_malformed;
    if (packet->ipv6) {
        ip = frame_at(ctx, packet->quoted_l3, 40);
        if (!ip)
            return LB_DROP_malformed;
        inner = put_address(ip + 8, packet->to.destination, true) + put_address(ip + 24, packet->to.source, true);
        sum = inner + outer; /* The pseudo header. */
    } else {
        __u16 before = load16(ip + 10);

        inner = put_address(ip + 12, packet->to.destination, false) + put_address(ip + 16, packet->to.source, false);
        sum = inner + (__u16)~before + mend(ip + 10, inner, false);
    }
    l4 = frame_at(ctx, packet->quoted_l4, 8);
    if (!l4)
        return LB_DROP_malformed;
    ports = put_port(l4, packet->to.destination_port) + put_port(l4 + 2, packet->to.source_port);
    if (packet->protocol == IPPROTO_UDP && load16(l4 + 6))
        checksum = l4 + 6;
    else if (packet->protocol == IPPROTO_TCP && packet->quoted_l4 + 18u <= end)
        checksum = frame_at(ctx, packet->quoted_l4 + 16u, 2);
    sum += ports;
    if (checksum) {
        __u16 before = load16(checksum);

        sum += (__u64)(__u16)~before + mend(checksum, inner + ports, packet->protocol == IPPROTO_UDP);
    }
    checksum = frame_at(ctx, packet->l4 + 2u, 2);
    if (!checksum)
        return LB_DROP_malformed;
    mend(checksum, sum, false);
    return STEP_CONTINUE;
}

static __always_inline __u32 translate_sctp(struct xdp_md *ctx, const struct packet *packet, unsigned char *l4)
{
    __u32 before = load32(l4), size = ETH_HLEN + packet->size - packet->l4, difference;

    put_port(l4, packet->to.source_port);
    put_port(l4 + 2, packet->to.destination_port);
    difference = before ^ load32(l4);
    if (!difference)
        return STEP_CONTINUE;
    if (packet->flags & PACKET_FRAGMENT) /* The checksum covers more than is here. */
        return LB_DROP_sctp_fragment;
    difference = little32(crc_difference(little32(difference), size));
    l4 = frame_at(ctx, packet->l4, 12);
    if (!l4)
        return LB_DROP_malformed;
    store32(l4 + 8, load32(l4 + 8) ^ difference);
    return STEP_CONTINUE;
}

/* STEP_CONTINUE, or a drop reason. */
CHECKED_ALONE __u32 translate(struct xdp_md *ctx, const struct packet *packet)
{
    __u64 difference;
    unsigned char *place;

    if (!packet)
        return LB_DROP_malformed;
    if (packet->flags & PACKET_QUOTE)
        return translate_quote(ctx, packet);
    if (!translate_addresses(ctx, packet, true, &difference))
        return LB_DROP_malformed;
    if (packet->flags & PACKET_LATER_FRAGMENT)
        return STEP_CONTINUE;
    place = frame_at(ctx, packet->l4, 4);
    if (!place)
        return LB_DROP_malformed;
    if (packet->protocol == IPPROTO_SCTP)
        return translate_sctp(ctx, packet, place);
    difference += put_port(place, packet->to.source_port) + put_port(place + 2, packet->to.destination_port);
    place = l4_checksum(ctx, packet);
    if (place)
        mend(place, difference, packet->protocol == IPPROTO_UDP);
    return STEP_CONTINUE;
}

#endif
