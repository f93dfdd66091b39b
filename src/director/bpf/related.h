// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* An ICMP error about a packet that a server sent in the name of a virtual address: what it quotes, turned round, is the tuple of the
 * connection, and so the error goes to the server that has the connection. */
#ifndef WEFT_DIRECTOR_BPF_RELATED_H
#define WEFT_DIRECTOR_BPF_RELATED_H

#include "weft/director/bpf/parse.h"

static __always_inline bool icmp_is_error(const struct packet *packet, __u8 type)
{
    return packet->ipv6 ? type && type < 128 /* RFC 4443, 2.1 */
                        : type == 3 || type == 11 || type == 12 || type == 4 /* RFC 792 */;
}

/* The tuple that 'packet', which is ICMP, is about.  False: it is no error about anything that could be a service's. */
CHECKED_ALONE int related(struct xdp_md *ctx, struct packet *packet)
{
    __u32 offset;
    const __u8 *bytes;
    __u8 protocol;

    if (!packet)
        return false;
    offset = packet->l4;
    bytes = frame_at(ctx, offset, 8);
    if (!bytes || !icmp_is_error(packet, bytes[0]))
        return false;
    offset += 8;
    packet->quoted_l3 = (__u16)offset;
    if (packet->ipv6) {
        bytes = frame_at(ctx, offset, 40);
        if (!bytes || bytes[0] >> 4 != 6 || !address_equal(bytes + 8, packet->destination))
            return false;
        protocol = bytes[6];
        address_copy(packet->source, bytes + 24);
        offset += 40;
    } else {
        bytes = frame_at(ctx, offset, 20);
        if (!bytes || bytes[0] >> 4 != 4 || (bytes[0] & 15) < 5 || load32(bytes + 12) != address_ipv4(packet->destination) ||
            load16(bytes + 6) & bpf_htons(IP4_OFFSET))
            return false;
        protocol = bytes[9];
        address_map_ipv4(packet->source, load32(bytes + 16));
        offset += (bytes[0] & 15) * 4u;
    }
    bytes = frame_at(ctx, offset, 8);
    if (!bytes || !protocol_has_ports(protocol))
        return false;
    packet->quoted_l4 = (__u16)offset;
    packet->protocol = protocol;
    packet->source_port = load16(bytes + 2);
    packet->destination_port = load16(bytes);
    packet->flags |= PACKET_QUOTE;
    return true;
}

#endif
