// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Layer 3 direct return by DSCP, as Yahoo's L3DSR does it: the destination address becomes the server's, and the DSCP says which virtual
 * address it was, which the server puts back.  No bytes more, so nothing to fragment. */
#ifndef WEFT_DIRECTOR_BPF_L3DSR_H
#define WEFT_DIRECTOR_BPF_L3DSR_H

#include "weft/director/bpf/packet.h"

/* Where the L4 checksum is that covers the addresses; NULL: there is none in this frame. */
static __always_inline unsigned char *l4_checksum(struct xdp_md *ctx, const struct packet *packet)
{
    unsigned char *place = NULL;

    if (packet->flags & PACKET_LATER_FRAGMENT)
        return NULL;
    if (packet->l4_protocol == IPPROTO_TCP)
        place = frame_at(ctx, packet->l4 + 16u, 2);
    else if (packet->l4_protocol == IPPROTO_UDP)
        place = frame_at(ctx, packet->l4 + 6u, 2);
    else if (packet->l4_protocol == IPPROTO_ICMPV6)
        place = frame_at(ctx, packet->l4 + 2u, 2);
    return place && (packet->l4_protocol != IPPROTO_UDP || load16(place)) ? place : NULL;
}

static __always_inline __u32 l3dsr_put(struct xdp_md *ctx, const struct packet *packet, const struct lb_server *server)
{
    __u8 class = (__u8)(server->dscp << 2 | (packet->traffic_class & 3));
    __u64 difference = ~checksum_fold(checksum_address(packet->destination, packet->ipv6)) & 0xffff;
    unsigned char *ip = frame_at(ctx, ETH_HLEN, 20), *checksum;

    difference += checksum_fold(checksum_address(server->address, packet->ipv6));
    if (!ip)
        return LB_DROP_malformed;
    if (packet->ipv6) {
        ip = frame_at(ctx, ETH_HLEN, 40);
        if (!ip)
            return LB_DROP_malformed;
        store16(ip, (load16(ip) & bpf_htons(0xf00f)) | bpf_htons((__u16)(class << 4)));
        address_copy(ip + 24, server->address);
    } else {
        __u64 changed = difference + (__u16)~bpf_htons(packet->traffic_class) + bpf_htons(class);

        ip[1] = class;
        store16(ip + 10, checksum_update(load16(ip + 10), changed));
        store32(ip + 16, address_ipv4(server->address));
    }
    checksum = l4_checksum(ctx, packet);
    if (checksum) {
        __u16 updated = checksum_update(load16(checksum), difference);

        store16(checksum, updated || packet->l4_protocol != IPPROTO_UDP ? updated : 0xffff);
    }
    return STEP_CONTINUE;
}

#endif
