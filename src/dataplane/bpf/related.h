// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* ICMP errors (RFC 792, RFC 4443) belong to the connection whose packet they quote: they pass in both directions as long as it does.
 *
 * An error goes to who sent what it quotes; one that says otherwise, that does not quote enough to name a connection, or that quotes one
 * which the port does not have, is judged by the rules as any packet. */
#ifndef WEFT_BPF_RELATED_H
#define WEFT_BPF_RELATED_H

#include "weft/dataplane/bpf/flow.h"

static __always_inline bool related_is_error(const struct packet *packet)
{
    __u8 type = packet->icmp_type;

    if (packet->flags & PACKET_LATER_FRAGMENT)
        return false;
    if (packet->flags & PACKET_IPV4)
        return packet->tuple.protocol == IPPROTO_ICMP && (type == 3 || type == 11 || type == 12);
    return packet->flags & PACKET_IPV6 && packet->tuple.protocol == IPPROTO_ICMPV6 && type >= 1 && type <= 4;
}

/* The quoted packet's IP header into 'ret'.  Returns the offset of its L4 header, 0: there is none. */
static __always_inline __u32 related_ip(const struct __sk_buff *skb, const struct packet *packet, struct packet *ret)
{
    __u32 offset = packet->l4 + 8;

    ret->flags = (packet->flags & (PACKET_IPV4 | PACKET_IPV6)) | PACKET_HAS_FLOW;
    if (packet->flags & PACKET_IPV4) {
        const unsigned char *header = frame_at(skb, offset, 20);
        if (!header || header[0] >> 4 != 4 || (header[0] & 15) < 5 || load16(header + 6) & bpf_htons(0x1fff))
            return 0;
        ret->tuple.protocol = header[9];
        address_map_ipv4(ret->tuple.local, load32(header + 12));
        address_map_ipv4(ret->tuple.remote, load32(header + 16));
        return offset + (header[0] & 15) * 4;
    }
    const unsigned char *header = frame_at(skb, offset, 40);
    if (!header || header[0] >> 4 != 6)
        return 0;
    address_copy(ret->tuple.local, header + 8);
    address_copy(ret->tuple.remote, header + 24);
    ret->tuple.protocol = header[6];
    offset += 40;
    if (ret->tuple.protocol == IPPROTO_FRAGMENT) {
        header = frame_at(skb, offset, 8);
        if (!header || load16(header + 2) & bpf_htons(0xfff8))
            return 0;
        ret->tuple.protocol = header[0];
        offset += 8;
    }
    return offset;
}

/* What the error quotes, as if it were in hand.  NULL: nothing that names a connection. */
static __noinline struct packet *related_quoted(struct __sk_buff *skb, const struct packet *packet)
{
    struct packet *quoted = packet_new(PACKET_QUOTED);

    if (!quoted)
        return NULL;
    if (!frame_at(skb, packet->l4 + 8, 56))
        frame_pull(skb, packet->l4 + 8 + 56);
    const unsigned char *ip = frame_at(skb, ETH_HLEN, 20);
    if (!ip)
        return NULL;
    __u32 end = packet->flags & PACKET_IPV4 ? ETH_HLEN + bpf_ntohs(load16(ip + 2)) : ETH_HLEN + 40 + bpf_ntohs(load16(ip + 4));
    __u32 offset = related_ip(skb, packet, quoted);
    quoted->l3 = packet->l4 + 8;
    quoted->l4 = offset;
    quoted->size = end; /* Where what is quoted ends in the frame. */
    const unsigned char *header = offset ? frame_at(skb, offset, 8) : NULL;
    if (!header || offset + 8 > end || !address_equal(quoted->tuple.local, packet->tuple.remote))
        return NULL;
    __u8 protocol = quoted->tuple.protocol;
    if (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE || protocol == IPPROTO_SCTP) {
        quoted->tuple.local_port = load16(header);
        quoted->tuple.remote_port = load16(header + 2);
    } else if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6) {
        bool ipv4 = protocol == IPPROTO_ICMP;
        if (protocol != packet->tuple.protocol || (header[0] != (ipv4 ? ICMP_ECHO_TYPE : ICMPV6_ECHO_TYPE) &&
                                                   header[0] != (ipv4 ? ICMP_ECHO_REPLY_TYPE : ICMPV6_ECHO_REPLY_TYPE)))
            return NULL;
        quoted->tuple.local_port = load16(header + 4);
        quoted->tuple.remote_port = bpf_htons(ipv4 ? ICMP_ECHO_TYPE : ICMPV6_ECHO_TYPE);
    }
    return quoted;
}

#endif
