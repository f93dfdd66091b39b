// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* From bytes to 'struct packet': Ethernet, IPv4 (RFC 791), IPv6 with its extension headers (RFC 8200), and as much of
 * TCP, UDP, SCTP, ICMP as names a connection.  A header that contradicts itself ends here, whoever sent it. */
#ifndef WEFT_BPF_PARSE_H
#define WEFT_BPF_PARSE_H

#include "weft/dataplane/bpf/packet.h"
#include "weft/dataplane/bpf/trace.h"

#define IPV6_MAX_EXTENSIONS 6

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

#define ICMP_ECHO_REPLY_TYPE 0
#define ICMP_ECHO_TYPE 8
#define ICMPV6_ECHO_TYPE 128
#define ICMPV6_ECHO_REPLY_TYPE 129

/* 'end' is the offset behind the IP payload. */
static __always_inline __u32 parse_l4(const struct __sk_buff *skb, struct packet *packet, __u32 offset, __u32 end)
{
    __u8 protocol = packet->tuple.protocol;
    const unsigned char *header;

    packet->l4 = offset;
    packet->header_size = offset;
    if (packet->flags & PACKET_FRAGMENT && offset + (protocol == IPPROTO_TCP ? 20 : 8) > end &&
        (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP || protocol == IPPROTO_UDPLITE ||
         protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6))
        return DROP_fragment_header; /* The rest of it would come where nobody looks (RFC 1858). */
    if (protocol == IPPROTO_TCP) {
        if (offset + 20 > end)
            return DROP_bad_header;
        header = frame_at(skb, offset, 20);
        if (!header)
            return DROP_truncated;
        packet->tuple.local_port = load16(header);
        packet->tuple.remote_port = load16(header + 2);
        packet->tcp_flags = header[13];
        __u32 size = (header[12] >> 4) * 4;
        if (size < 20 || offset + size > end)
            return DROP_bad_header;
        packet->header_size = offset + size;
    } else if (protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP || protocol == IPPROTO_UDPLITE) {
        if (offset + 8 > end)
            return DROP_bad_header;
        header = frame_at(skb, offset, 8);
        if (!header)
            return DROP_truncated;
        packet->tuple.local_port = load16(header);
        packet->tuple.remote_port = load16(header + 2);
        packet->header_size = offset + 8;
    } else if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6) {
        if (offset + 8 > end)
            return DROP_bad_header;
        header = frame_at(skb, offset, 8);
        if (!header)
            return DROP_truncated;
        __u8 type = header[0];
        packet->icmp_type = type;
        packet->icmp_code = header[1];
        bool echo = protocol == IPPROTO_ICMP ? type == ICMP_ECHO_TYPE || type == ICMP_ECHO_REPLY_TYPE
                                             : type == ICMPV6_ECHO_TYPE || type == ICMPV6_ECHO_REPLY_TYPE;
        if (!echo)
            return STEP_CONTINUE; /* Errors and discovery are looked at one by one. */
        packet->tuple.local_port = load16(header + 4);
        packet->tuple.remote_port = bpf_htons(protocol == IPPROTO_ICMP ? ICMP_ECHO_TYPE : ICMPV6_ECHO_TYPE);
    }
    packet->flags |= PACKET_HAS_FLOW;
    return STEP_CONTINUE;
}

/* A later fragment that begins so early would write over the header that the first one showed (RFC 1858, RFC 3128). */
static __always_inline __u32 parse_later(const struct packet *packet, __u32 begin)
{
    return packet->tuple.protocol == IPPROTO_TCP && begin < 20 ? DROP_fragment_header : STEP_CONTINUE;
}

static __always_inline __u32 parse_ipv4(const struct __sk_buff *skb, struct packet *packet, __u32 offset)
{
    const unsigned char *header = frame_at(skb, offset, 20);

    if (!header)
        return DROP_truncated;
    __u32 header_size = (header[0] & 15) * 4;
    __u32 total = bpf_ntohs(load16(header + 2));
    if (total == 0 && skb->gso_size)
        total = packet->size - offset; /* More than 64 KiB in one. */
    if (header[0] >> 4 != 4 || header_size < 20 || total < header_size || total > packet->size - offset)
        return DROP_bad_header;
    packet->flags |= PACKET_IPV4;
    packet->tuple.protocol = header[9];
    address_map_ipv4(packet->tuple.local, load32(header + 12));
    address_map_ipv4(packet->tuple.remote, load32(header + 16));

    __u16 fragment = bpf_ntohs(load16(header + 6));
    if (fragment & 0x3fff) {
        packet->flags |= PACKET_FRAGMENT;
        packet->fragment_id = load16(header + 4);
    }
    if (fragment & 0x1fff) {
        packet->flags |= PACKET_LATER_FRAGMENT;
        return parse_later(packet, (fragment & 0x1fff) * 8u);
    }
    return parse_l4(skb, packet, offset + header_size, offset + total);
}

static __always_inline __u32 parse_ipv6(const struct __sk_buff *skb, struct packet *packet, __u32 offset)
{
    const unsigned char *header = frame_at(skb, offset, 40);

    if (!header)
        return DROP_truncated;
    __u32 total = 40 + bpf_ntohs(load16(header + 4));
    if (total == 40 && skb->gso_size)
        total = packet->size - offset;
    if (header[0] >> 4 != 6 || total > packet->size - offset)
        return DROP_bad_header;
    packet->flags |= PACKET_IPV6;
    packet->hop_limit = header[7];
    address_copy(packet->tuple.local, header + 8);
    address_copy(packet->tuple.remote, header + 24);

    /* The chain must be followed to its end: a router advertisement behind an extension header is still one (RFC 7113). */
    __u8 next = header[6];
    __u32 end = offset + total, begin = 0;
    offset += 40;
    for (int i = 0; i < IPV6_MAX_EXTENSIONS; i++) {
        if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS && next != IPPROTO_FRAGMENT &&
            next != IPPROTO_AH)
            break;
        if (offset + 8 > end)
            return DROP_bad_header;
        header = frame_at(skb, offset, 8);
        if (!header)
            return DROP_truncated;
        if (next == IPPROTO_FRAGMENT) {
            __u16 fragment = bpf_ntohs(load16(header + 2));
            if (fragment & 0xfff9) {
                packet->flags |= PACKET_FRAGMENT;
                packet->fragment_id = load32(header + 4);
            }
            next = header[0];
            offset += 8;
            if (fragment & 0xfff8) {
                begin = fragment & 0xfff8;
                packet->flags |= PACKET_LATER_FRAGMENT;
                break;
            }
        } else {
            offset += next == IPPROTO_AH ? ((__u32)header[1] + 2) * 4 : ((__u32)header[1] + 1) * 8;
            next = header[0];
        }
    }
    if (next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS || next == IPPROTO_AH ||
        (next == IPPROTO_FRAGMENT && !(packet->flags & PACKET_LATER_FRAGMENT)))
        return DROP_bad_header; /* Longer than anything sane, or an extension that hides from us. */
    packet->tuple.protocol = next;
    if (packet->flags & PACKET_LATER_FRAGMENT)
        return parse_later(packet, begin);
    return parse_l4(skb, packet, offset, end);
}

/* Fills in all that follows from the frame's bytes. */
static __always_inline __u32 parse_ethernet(const struct __sk_buff *skb, struct packet *packet)
{
    const unsigned char *frame = frame_at(skb, 0, ETH_HLEN);

    packet->size = skb->len;
    packet->segments = 1;
    if (!frame)
        return DROP_truncated;
    mac_copy(packet->destination, frame);
    mac_copy(packet->source, frame + 6);
    packet->ethertype = load16(frame + 12);
    packet->l3 = ETH_HLEN;
    packet->header_size = ETH_HLEN;
    return STEP_CONTINUE;
}

/* What is behind the Ethernet header.  Used again after the kernel made more of the frame linear. */
static __always_inline __u32 parse_network(const struct __sk_buff *skb, struct packet *packet)
{
    __u32 step = STEP_CONTINUE;

    packet->flags &= PACKET_FROM_TUNNEL;
    if (packet->ethertype == bpf_htons(ETH_P_IP))
        step = parse_ipv4(skb, packet, ETH_HLEN);
    else if (packet->ethertype == bpf_htons(ETH_P_IPV6))
        step = parse_ipv6(skb, packet, ETH_HLEN);
    if (step != STEP_CONTINUE)
        return step;
    if (skb->gso_size) {
        __u32 segments = skb->gso_segs;
        __u32 gso_size = skb->gso_size;
        if (!segments && gso_size && packet->size > packet->header_size) /* Taps leave it to us. */
            segments = (packet->size - packet->header_size + gso_size - 1) / gso_size;
        packet->segments = segments ? segments : 1;
    }
    return STEP_CONTINUE;
}

/* The whole frame, in one call; kept out of line because three programs use it. */
CHECKED_ALONE __u32 parse_frame(struct __sk_buff *skb, struct packet *packet)
{
    if (!packet)
        return DROP_no_port;
    __u32 step = parse_ethernet(skb, packet);

    if (step == STEP_CONTINUE)
        step = parse_network(skb, packet);
    return step;
}

/* As parse_frame, for frames whose headers may sit outside of the linear part. */
static __always_inline __u32 parse_whole(struct __sk_buff *skb, struct packet *packet)
{
    __u32 step = parse_frame(skb, packet);

    if (step == DROP_truncated && frame_pull(skb, 256))
        step = parse_frame(skb, packet);
    return step;
}

/* The largest L3 packet that the frame will be on the wire: a GSO frame is cut first. */
static __always_inline __u32 packet_l3_size(const struct __sk_buff *skb, const struct packet *packet)
{
    return skb->gso_size ? packet->header_size - ETH_HLEN + skb->gso_size : packet->size - ETH_HLEN;
}

#endif
