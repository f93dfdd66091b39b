// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* ICMP errors to the client (RFC 792, 1191, 1812; RFC 4443), in the name of the virtual address, from the frame in hand: what does not
 * fit is cut off, and the headers are put in front.  Each CPU sends so many a second. */
#ifndef WEFT_DIRECTOR_BPF_ICMP_H
#define WEFT_DIRECTOR_BPF_ICMP_H

#include "weft/director/bpf/packet.h"

enum icmp_error { ICMP_UNREACHABLE, ICMP_TOO_BIG, ICMP_EXPIRED };

static __always_inline bool icmp_allowed(__u32 error)
{
    __u32 zero = 0;
    const struct lb_settings *limits = map_lookup(settings, &zero);
    struct icmp_budget *budget = map_lookup(icmp_budgets, &zero);
    __u64 second = time_ns() >> 30;
    __u32 *left;

    if (!limits || !budget)
        return false;
    if (budget->second != second) {
        budget->second = second;
        budget->left = budget->left_too_big = limits->icmp_rate;
    }
    left = error == ICMP_TOO_BIG ? &budget->left_too_big : &budget->left;
    if (!*left)
        return false;
    --*left;
    return true;
}

/* May 'address' be told of an error?  Not what is nobody's, this host's own, or many hosts' (RFC 1812, 4.3.2.7; RFC 4443, 2.4). */
static __always_inline bool icmp_source_is_one(const struct packet *packet)
{
    const __u8 *address = packet->source;

    if (!packet->ipv6)
        return address[12] != 0 && address[12] != 127 && address[12] < 224;
    return address[0] != 0xff && (load64(address) || load32(address + 8) || (load32(address + 12) & ~bpf_htonl(1)));
}

/* How much is quoted: a few sizes, since the verifier wants constants.  512 bytes at once is what bpf_csum_diff takes. */
#define QUOTE_SIZES(SIZE) SIZE(504) SIZE(248) SIZE(120) SIZE(48) SIZE(28)

static __always_inline __u32 quote_size(__u32 available)
{
#define QUOTE_FITS(size) if (available >= (size)) return size;
    QUOTE_SIZES(QUOTE_FITS)
#undef QUOTE_FITS
    return 0;
}

/* The sum of the ICMP header and what it quotes. */
static __always_inline __s64 quote_sum(struct xdp_md *ctx, __u32 offset, __u32 quoted)
{
    unsigned char *icmp;

#define QUOTE_SUM(size)                                                                                      \
    if (quoted == (size)) {                                                                                  \
        icmp = frame_at(ctx, offset, 8 + (size));                                                            \
        return icmp ? bpf_csum_diff(NULL, 0, (void *)icmp, 8 + (size), 0) : -1;                              \
    }
    QUOTE_SIZES(QUOTE_SUM)
#undef QUOTE_SUM
    return -1;
}

static __always_inline __u32 icmp_send4(struct xdp_md *ctx, const struct packet *packet, __u16 type_code, __u32 mtu, __u32 quoted)
{
    __u8 macs[12] ON_STACK;
    unsigned char *frame = frame_at(ctx, 0, 12);
    __u64 sum;
    __s64 covered;

    if (!frame)
        return LB_DROP_malformed;
    mac_copy(macs, frame);
    mac_copy(macs + 6, frame + 6);
    if (bpf_xdp_adjust_tail(ctx, (int)(ETH_HLEN + quoted) - (int)(frame_end(ctx) - frame_data(ctx))) ||
        bpf_xdp_adjust_head(ctx, -28))
        return LB_DROP_no_room;
    frame = frame_at(ctx, 0, ETH_HLEN + 28);
    if (!frame)
        return LB_DROP_malformed;
    mac_copy(frame, macs + 6);
    mac_copy(frame + 6, macs);
    store16(frame + 12, bpf_htons(ETH_P_IP));
    store16(frame + 14, bpf_htons(0x45c0)); /* Internetwork control, RFC 1812, 4.3.2.5 */
    store16(frame + 16, bpf_htons((__u16)(28 + quoted)));
    store32(frame + 18, 0);
    store16(frame + 22, bpf_htons(64 << 8 | IPPROTO_ICMP));
    store16(frame + 24, 0);
    store32(frame + 26, address_ipv4(packet->destination));
    store32(frame + 30, address_ipv4(packet->source));
    sum = (__u64)load32(frame + 14) + load32(frame + 18) + load32(frame + 22) + load32(frame + 26) + load32(frame + 30);
    store16(frame + 24, (__u16)~checksum_fold(sum));
    store16(frame + 34, type_code);
    store16(frame + 36, 0);
    store32(frame + 38, bpf_htonl(mtu));
    covered = quote_sum(ctx, ETH_HLEN + 20, quoted);
    frame = frame_at(ctx, 0, ETH_HLEN + 28);
    if (covered < 0 || !frame)
        return LB_DROP_malformed;
    store16(frame + 36, (__u16)~checksum_fold((__u32)covered));
    return VERDICT(XDP_TX);
}

static __always_inline __u32 icmp_send6(struct xdp_md *ctx, const struct packet *packet, __u16 type_code, __u32 mtu, __u32 quoted)
{
    __u8 macs[12] ON_STACK;
    unsigned char *frame = frame_at(ctx, 0, 12);
    __u64 sum;
    __s64 covered;

    if (!frame)
        return LB_DROP_malformed;
    mac_copy(macs, frame);
    mac_copy(macs + 6, frame + 6);
    if (bpf_xdp_adjust_tail(ctx, (int)(ETH_HLEN + quoted) - (int)(frame_end(ctx) - frame_data(ctx))) ||
        bpf_xdp_adjust_head(ctx, -48))
        return LB_DROP_no_room;
    frame = frame_at(ctx, 0, ETH_HLEN + 48);
    if (!frame)
        return LB_DROP_malformed;
    mac_copy(frame, macs + 6);
    mac_copy(frame + 6, macs);
    store16(frame + 12, bpf_htons(ETH_P_IPV6));
    store32(frame + 14, bpf_htonl(6u << 28));
    store16(frame + 18, bpf_htons((__u16)(8 + quoted)));
    store16(frame + 20, bpf_htons(IPPROTO_ICMPV6 << 8 | 64));
    address_copy(frame + 22, packet->destination);
    address_copy(frame + 38, packet->source);
    store16(frame + 54, type_code);
    store16(frame + 56, 0);
    store32(frame + 58, bpf_htonl(mtu));
    covered = quote_sum(ctx, ETH_HLEN + 40, quoted);
    frame = frame_at(ctx, 0, ETH_HLEN + 48);
    if (covered < 0 || !frame)
        return LB_DROP_malformed;
    sum = (__u32)covered + checksum_address(packet->source, 1) + checksum_address(packet->destination, 1) +
          bpf_htons((__u16)(8 + quoted)) + bpf_htons(IPPROTO_ICMPV6);
    store16(frame + 56, (__u16)~checksum_fold(sum));
    return VERDICT(XDP_TX);
}

/* Sends the error instead of the packet; 'reason' is what the packet was dropped for, and counted by the caller.  Returns a verdict, or
 * a drop reason when nobody may be told: not about errors, nor later fragments (RFC 1812, 4.3.2.7). */
CHECKED_ALONE __u32 icmp_error(struct xdp_md *ctx, const struct packet *packet, __u32 error, __u32 mtu)
{
    __u32 quoted;
    __u16 type_code;

    if (!packet || packet->flags & (PACKET_QUOTE | PACKET_LATER_FRAGMENT))
        return LB_DROP_malformed;
    quoted = quote_size(packet->size);
    if (!quoted)
        return LB_DROP_malformed;
    if (!icmp_source_is_one(packet))
        return LB_DROP_malformed;
    if (!icmp_allowed(error))
        return LB_DROP_icmp_limit;
    if (packet->ipv6) {
        type_code = error == ICMP_EXPIRED ? bpf_htons(3 << 8) : error == ICMP_TOO_BIG ? bpf_htons(2 << 8) : bpf_htons(1 << 8 | 4);
        return icmp_send6(ctx, packet, type_code, mtu, quoted);
    }
    type_code = error == ICMP_EXPIRED ? bpf_htons(11 << 8) : error == ICMP_TOO_BIG ? bpf_htons(3 << 8 | 4) : bpf_htons(3 << 8 | 3);
    return icmp_send4(ctx, packet, type_code, mtu, quoted);
}

#endif
