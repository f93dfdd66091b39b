// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Other addresses and ports in a frame, and in the packet that an ICMP error quotes.
 *
 * Checksums are updated, not computed (RFC 1624, equation 3).  IPv4's own, ICMP's, and those inside a quoted packet are changed here.
 * Those of TCP and UDP go through bpf_l4_csum_replace, which alone knows how far the kernel has got with them: of a frame whose checksum
 * is still to be finished the field holds the sum of the pseudo header, which the ports are no part of.  A UDP checksum of zero is
 * none and stays none; one that comes out as zero is written as 0xffff (RFC 768; RFC 3828 for UDP-Lite).  SCTP's checksum does not cover
 * the addresses (RFC 9260, 6.8) but the ports, and is a CRC of all of the packet: since a CRC is linear, what other ports do to it is the CRC of the
 * difference and as many zeros as bytes follow, which is a few multiplications of polynomials.  Where the kernel has left it to the device it is
 * written anew anyway. */
#ifndef WEFT_BPF_TRANSLATE_H
#define WEFT_BPF_TRANSLATE_H

#include "weft/dataplane/bpf/parse.h"

#define ICMP_UNREACHABLE_TYPE 3
#define ICMP_SOURCE_QUENCH_TYPE 4
#define ICMP_REDIRECT_TYPE 5
#define ICMP_TIME_EXCEEDED_TYPE 11
#define ICMP_PARAMETER_TYPE 12

/* What the ends of a packet become.  Ports are as in struct flow_tuple: of an ICMP echo, 'source_port' is the identifier. */
struct rewrite {
    __u32 source, destination;
    __u16 source_port, destination_port;
};

/* ---- sums of 16-bit words, in the order of the wire ------------------------------------------------------------------------- */

static __always_inline __u32 sum_change16(__u32 sum, __u16 from, __u16 to)
{
    return sum + (__u16)~from + to;
}

static __always_inline __u32 sum_change32(__u32 sum, __u32 from, __u32 to)
{
    return sum + (__u16)~from + (__u16)(~from >> 16) + (__u16)to + (to >> 16);
}

static __always_inline __u32 sum_fold(__u32 sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    return (sum & 0xffff) + (sum >> 16);
}

/* The checksum of a header in which words changed by 'sum'. */
static __always_inline __u16 checksum_changed(__u16 checksum, __u32 sum)
{
    return ~sum_fold(sum + (__u16)~checksum);
}

/* ---- the frame itself -------------------------------------------------------------------------------------------------------- */

static __always_inline bool translate_has_ports(__u8 protocol)
{
    return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE || protocol == IPPROTO_SCTP;
}

/* Where the L4 header has a checksum over the pseudo header; 0: nowhere. */
static __always_inline __u32 translate_checksum_at(__u8 protocol)
{
    return protocol == IPPROTO_TCP ? 16 : protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE ? 6 : 0;
}

/* Can connections of this protocol be told apart by another port? */
static __always_inline bool translate_can_change_port(__u8 protocol)
{
    return translate_has_ports(protocol) || protocol == IPPROTO_ICMP;
}

#define CRC32C_POLYNOMIAL 0x82f63b78u /* RFC 9260, appendix A; reflected, as all of these. */

/* The product of two polynomials. */
static __always_inline __u32 crc32c_multiply(__u32 a, __u32 b)
{
    __u32 product = 0;

#pragma GCC unroll 1
    for (int i = 0; i < 32; i++) {
        product ^= b & -(a >> 31);
        a <<= 1;
        b = b >> 1 ^ (CRC32C_POLYNOMIAL & -(b & 1));
    }
    return product;
}

/* The CRC of what 'crc' is the state after, when 'size' zero bytes have followed: times x to the power of 8 * size. */
CHECKED_ALONE __u32 crc32c_zeros(__u32 crc, __u32 size)
{
    static const __u32 powers[16] = {0x00800000, 0x00008000, 0x82f63b78, 0x6ea2d55c, 0x18b8ea18, 0x510ac59a, 0xb82be955, 0xb8fdb1e7,
                                     0x88e56f72, 0x74c360a4, 0xe4172b16, 0x0d65762a, 0x35d73a62, 0x28461564, 0xbf455269, 0xe2ea32dc};

#pragma GCC unroll 1
    for (int i = 0; i < 16; i++) {
        __u32 longer = crc32c_multiply(powers[i], crc);
        __u32 take = -(size >> i & 1);
        crc = (longer & take) | (crc & ~take);
    }
    return crc;
}

/* The ports at the beginning of an SCTP packet have changed by 'difference', as the four bytes are on the wire. */
static __always_inline __u32 translate_sctp(struct __sk_buff *skb, const struct packet *packet, __u32 difference)
{
    __u32 l4 = packet->l4;
    const unsigned char *ip = frame_at(skb, ETH_HLEN, 20);

    if (!ip || packet->flags & PACKET_FRAGMENT)
        return DROP_untranslatable; /* Of a part nobody knows how much follows. */
    __u32 size = packet->flags & PACKET_IPV4 ? bpf_ntohs(load16(ip + 2)) - (l4 - ETH_HLEN) : bpf_ntohs(load16(ip + 4)) + 40u - (l4 - ETH_HLEN);
    __u32 change = bpf_cpu_to_le32(crc32c_zeros(bpf_le32_to_cpu(difference), size & 0xffff));
    unsigned char *header = frame_at(skb, l4, 12);
    if (!header)
        return DROP_truncated;
    store32(header + 8, load32(header + 8) ^ change);
    return STEP_CONTINUE;
}

/* Gives the L4 header other ports, and its checksum what these and the change of the addresses, 'addresses', make of it. */
static __always_inline __u32 translate_l4(struct __sk_buff *skb, struct packet *packet, __u16 source_port, __u16 destination_port, __u32 addresses)
{
    __u8 protocol = packet->tuple.protocol;
    bool has_l4 = packet->flags & PACKET_HAS_FLOW && !(packet->flags & PACKET_LATER_FRAGMENT);
    bool has_ports = has_l4 && translate_has_ports(protocol), has_identifier = has_l4 && protocol == IPPROTO_ICMP;
    __u32 l4 = packet->l4, checksum_at = has_l4 ? translate_checksum_at(protocol) : 0, ports = 0;
    unsigned char *header;

    if (has_ports) {
        header = frame_at(skb, l4, 4);
        if (!header)
            return DROP_truncated;
        __u16 source = load16(header), destination = load16(header + 2);
        bool same = source == source_port && destination == destination_port;
        __u32 difference = load32(header);
        ports = same ? 0 : sum_change16(sum_change16(0, source, source_port), destination, destination_port);
        store16(header, source_port);
        store16(header + 2, destination_port);
        difference ^= load32(header);
        packet->tuple.local_port = source_port;
        packet->tuple.remote_port = destination_port;
        if (!same && protocol == IPPROTO_SCTP)
            return translate_sctp(skb, packet, difference);
    } else if (packet->flags & PACKET_HAS_FLOW && packet->flags & PACKET_LATER_FRAGMENT) { /* As the first one. */
        packet->tuple.local_port = source_port;
        if (translate_has_ports(protocol))
            packet->tuple.remote_port = destination_port;
    } else if (has_identifier) {
        header = frame_at(skb, l4, 8);
        if (!header)
            return DROP_truncated;
        ports = sum_change16(0, load16(header + 4), source_port);
        store16(header + 4, source_port);
        packet->tuple.local_port = source_port;
        return bpf_l4_csum_replace(skb, l4 + 2, 0, sum_fold(ports), 0) ? DROP_no_buffer : STEP_CONTINUE;
    }
    if (!checksum_at)
        return STEP_CONTINUE;
    __u64 flags = protocol == IPPROTO_TCP ? 0 : BPF_F_MARK_MANGLED_0;
    if (bpf_l4_csum_replace(skb, l4 + checksum_at, 0, sum_fold(addresses), flags | BPF_F_PSEUDO_HDR) ||
        (ports && bpf_l4_csum_replace(skb, l4 + checksum_at, 0, sum_fold(ports), flags)))
        return DROP_no_buffer;
    return STEP_CONTINUE;
}

/* Gives the frame the ends of 'to', and 'packet' too.  Needs what parse_frame found; an ICMP error keeps its ports, being without. */
CHECKED_ALONE __u32 translate_frame(struct __sk_buff *skb, struct packet *packet, const struct rewrite *to)
{
    if (!packet || !to)
        return DROP_no_port;
    struct rewrite ends = *to;
    unsigned char *header = frame_at(skb, ETH_HLEN, 20);

    if (!header || !(packet->flags & PACKET_IPV4))
        return DROP_truncated;
    __u32 addresses = sum_change32(sum_change32(0, load32(header + 12), ends.source), load32(header + 16), ends.destination);
    store16(header + 10, checksum_changed(load16(header + 10), addresses));
    store32(header + 12, ends.source);
    store32(header + 16, ends.destination);
    address_map_ipv4(packet->tuple.local, ends.source);
    address_map_ipv4(packet->tuple.remote, ends.destination);
    return translate_l4(skb, packet, ends.source_port, ends.destination_port, addresses);
}

/* ---- both families ---------------------------------------------------------------------------------------------------------- */

/* What another address changes in a sum. */
static __always_inline __u32 sum_change_address(__u32 sum, const __u8 *from, const __u8 *to)
{
    for (int i = 0; i < 16; i += 4)
        sum = sum_change32(sum, load32(from + i), load32(to + i));
    return sum;
}

/* As translate_frame, of either family; of an ICMP error only the addresses. */
CHECKED_ALONE __u32 translate_ends(struct __sk_buff *skb, struct packet *packet, const struct ends *to)
{
    if (!packet || !to)
        return DROP_no_port;
    __u32 addresses;

    if (packet->flags & PACKET_IPV4) {
        unsigned char *header = frame_at(skb, ETH_HLEN, 20);
        __u32 source = load32(to->source + 12), destination = load32(to->destination + 12);
        if (!header)
            return DROP_truncated;
        addresses = sum_change32(sum_change32(0, load32(header + 12), source), load32(header + 16), destination);
        store16(header + 10, checksum_changed(load16(header + 10), addresses));
        store32(header + 12, source);
        store32(header + 16, destination);
    } else {
        unsigned char *header = frame_at(skb, ETH_HLEN, 40);
        if (!header || !(packet->flags & PACKET_IPV6))
            return DROP_truncated;
        addresses = sum_change_address(sum_change_address(0, header + 8, to->source), header + 24, to->destination);
        address_copy(header + 8, to->source);
        address_copy(header + 24, to->destination);
    }
    address_copy(packet->tuple.local, to->source);
    address_copy(packet->tuple.remote, to->destination);
    __u16 source_port = to->source_port, destination_port = to->destination_port;
    if (packet->tuple.protocol == IPPROTO_ICMPV6 && !(packet->flags & PACKET_LATER_FRAGMENT)) {
        unsigned char *header = frame_at(skb, packet->l4, 4);
        if (!header)
            return DROP_truncated;
        store16(header + 2, checksum_changed(load16(header + 2), addresses));
        return STEP_CONTINUE;
    }
    __u32 step = translate_l4(skb, packet, source_port, destination_port, addresses);
    /* Where a device has summed up all of the packet, the kernel takes what it adds to the pseudo header's part for undone by the
     * IP header's own checksum (inet_proto_csum_replace_by_diff), which IPv6 has not. */
    if (step == STEP_CONTINUE && packet->flags & PACKET_IPV6 && packet->flags & PACKET_HAS_FLOW && !(packet->flags & PACKET_LATER_FRAGMENT) &&
        translate_checksum_at(packet->tuple.protocol))
        bpf_csum_update(skb, sum_fold(addresses));
    return step;
}

/* Gives the packet that an ICMP error quotes the ends of 'to': 'quoted' is as related.h finds it.  The error's own ends are translate_ends's. */
CHECKED_ALONE __u32 translate_quote(struct __sk_buff *skb, const struct packet *packet, const struct packet *quoted, const struct ends *to)
{
    if (!packet || !quoted || !to)
        return DROP_no_port;
    __u32 l3 = quoted->l3, l4 = quoted->l4, addresses, change = 0;
    __u8 protocol = quoted->tuple.protocol;
    unsigned char *header;

    if (packet->flags & PACKET_IPV4) {
        header = frame_at(skb, l3, 20);
        __u32 source = load32(to->source + 12), destination = load32(to->destination + 12);
        if (!header)
            return DROP_truncated;
        /* That the header's checksum makes up for the addresses is its sense: nothing changes for ICMP's. */
        addresses = sum_change32(sum_change32(0, load32(header + 12), source), load32(header + 16), destination);
        store16(header + 10, checksum_changed(load16(header + 10), addresses));
        store32(header + 12, source);
        store32(header + 16, destination);
    } else {
        header = frame_at(skb, l3, 40);
        if (!header)
            return DROP_truncated;
        change = addresses = sum_change_address(sum_change_address(0, header + 8, to->source), header + 24, to->destination);
        address_copy(header + 8, to->source);
        address_copy(header + 24, to->destination);
    }
    if (translate_has_ports(protocol)) {
        header = frame_at(skb, l4, 4);
        if (!header)
            return DROP_truncated;
        __u32 ports = sum_change16(sum_change16(0, load16(header), to->source_port), load16(header + 2), to->destination_port);
        store16(header, to->source_port);
        store16(header + 2, to->destination_port);
        change += ports;
        __u32 checksum_at = translate_checksum_at(protocol);
        header = checksum_at ? frame_at(skb, l4 + checksum_at, 2) : NULL;
        if (header && l4 + checksum_at + 2 <= quoted->size) {
            __u16 before = load16(header), after = checksum_changed(before, sum_fold(addresses) + ports);
            if (before || protocol == IPPROTO_TCP) {
                after = after || protocol == IPPROTO_TCP ? after : 0xffff;
                store16(header, after);
                change = sum_change16(change, before, after);
            }
        }
    }
    header = frame_at(skb, packet->l4, 4);
    if (!header)
        return DROP_truncated;
    store16(header + 2, checksum_changed(load16(header + 2), change));
    return STEP_CONTINUE;
}

/* ---- ICMP errors ---------------------------------------------------------------------------------------------------------------- */

static __always_inline bool packet_is_icmp_error(const struct packet *packet)
{
    __u8 type = packet->icmp_type;

    return packet->flags & PACKET_IPV4 && packet->tuple.protocol == IPPROTO_ICMP && !(packet->flags & PACKET_LATER_FRAGMENT) &&
           (type == ICMP_UNREACHABLE_TYPE || type == ICMP_SOURCE_QUENCH_TYPE || type == ICMP_REDIRECT_TYPE ||
            type == ICMP_TIME_EXCEEDED_TYPE || type == ICMP_PARAMETER_TYPE);
}

/* What the error quotes.  False: not enough, or no first fragment, or nothing that names a connection. */
CHECKED_ALONE bool translate_quoted(struct __sk_buff *skb, const struct packet *packet, struct quoted *ret)
{
    if (!packet || !ret)
        return false;
    __u32 l3 = packet->l4 + 8u;
    const unsigned char *header = frame_at(skb, l3, 28);

    if (!header && frame_pull(skb, 256))
        header = frame_at(skb, l3, 28);
    if (!header || header[0] >> 4 != 4 || (header[0] & 15) < 5 || load16(header + 6) & bpf_htons(0x1fff))
        return false;
    __u8 protocol = header[9];
    __u32 l4 = l3 + (header[0] & 15) * 4;
    ret->source = load32(header + 12);
    ret->destination = load32(header + 16);
    ret->protocol = protocol;
    ret->l3 = l3;
    ret->l4 = l4;
    ret->has_checksum = 0;
    header = frame_at(skb, l4, 8);
    if (!header)
        return false;
    if (translate_has_ports(protocol)) {
        ret->source_port = load16(header);
        ret->destination_port = load16(header + 2);
        __u32 checksum_at = translate_checksum_at(protocol);
        ret->has_checksum = checksum_at && frame_at(skb, l4 + checksum_at, 2);
        return true;
    }
    if (protocol == IPPROTO_ICMP && (header[0] == ICMP_ECHO_TYPE || header[0] == ICMP_ECHO_REPLY_TYPE)) {
        ret->source_port = load16(header + 4);
        ret->destination_port = bpf_htons(ICMP_ECHO_TYPE);
        return true;
    }
    return protocol != IPPROTO_ICMP;
}

/* Gives the packet that an error quotes the ends of 'to', so that the error is about what its receiver knows.  The error's own ends are
 * translate_frame's. */
CHECKED_ALONE __u32 translate_error(struct __sk_buff *skb, const struct packet *packet, const struct quoted *quoted, const struct rewrite *to)
{
    if (!packet || !quoted || !to)
        return DROP_no_port;
    struct rewrite ends = *to;
    __u8 protocol = quoted->protocol;
    __u32 l4 = quoted->l4, checksum_at = translate_checksum_at(protocol);
    unsigned char *header = frame_at(skb, quoted->l3, 20);

    if (!header)
        return DROP_truncated;
    /* Of the header and its checksum together nothing changes for ICMP's checksum: that the one makes up for the other is its sense.
     * So only what follows from the L4 header counts there. */
    __u32 addresses = sum_change32(sum_change32(0, quoted->source, ends.source), quoted->destination, ends.destination), change = 0;
    store16(header + 10, checksum_changed(load16(header + 10), addresses));
    store32(header + 12, ends.source);
    store32(header + 16, ends.destination);
    header = frame_at(skb, l4, 8);
    if (!header)
        return DROP_truncated;
    if (translate_has_ports(protocol)) {
        change = sum_change16(sum_change16(0, quoted->source_port, ends.source_port), quoted->destination_port, ends.destination_port);
        store16(header, ends.source_port);
        store16(header + 2, ends.destination_port);
        if (quoted->has_checksum) {
            header = frame_at(skb, l4 + checksum_at, 2);
            if (!header)
                return DROP_truncated;
            __u16 before = load16(header), after = checksum_changed(before, sum_fold(addresses) + change);
            if (before || protocol == IPPROTO_TCP) {
                after = after || protocol == IPPROTO_TCP ? after : 0xffff;
                store16(header, after);
                change = sum_change16(change, before, after);
            }
        }
    } else if (protocol == IPPROTO_ICMP) {
        __u32 identifier = sum_change16(0, quoted->source_port, ends.source_port);
        __u16 before = load16(header + 2), after = checksum_changed(before, identifier);
        store16(header + 2, after);
        store16(header + 4, ends.source_port);
        change = sum_change16(identifier, before, after);
    }
    header = frame_at(skb, packet->l4, 4);
    if (!header)
        return DROP_truncated;
    store16(header + 2, checksum_changed(load16(header + 2), change));
    return STEP_CONTINUE;
}

#endif
