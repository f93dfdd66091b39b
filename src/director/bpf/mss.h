// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The MSS that a client's SYN announces (RFC 9293, 3.7.1), lowered to what fits a tunnel: for servers whose answers come by such a tunnel,
 * too.  One that announces none is left alone: 536 or 1220 fit. */
#ifndef WEFT_DIRECTOR_BPF_MSS_H
#define WEFT_DIRECTOR_BPF_MSS_H

#include "weft/director/bpf/packet.h"

#define TCP_OPTION_END 0
#define TCP_OPTION_NOTHING 1
#define TCP_OPTION_MSS 2
#define MSS_OPTIONS 8 /* It is among the first ones, mostly the first. */

static __always_inline __u16 swapped(__u16 value)
{
    return (__u16)(value << 8 | value >> 8);
}

CHECKED_ALONE int mss_clamp(struct xdp_md *ctx, const struct packet *packet, __u16 most)
{
    __u32 offset, end;
    unsigned char *place;

    if (!packet || packet->l4_protocol != IPPROTO_TCP || !(packet->tcp_flags & TCP_SYN) || packet->flags & PACKET_FRAGMENT)
        return 0;
    place = frame_at(ctx, packet->l4, 20);
    if (!place)
        return 0;
    offset = packet->l4 + 20u;
    end = packet->l4 + (place[12] >> 4) * 4u;
    if (end > ETH_HLEN + packet->size)
        return 0;
    for (int i = 0; i < MSS_OPTIONS && offset + 4 <= end; i++) {
        unsigned char *option = frame_at(ctx, offset, 4);

        if (!option || option[0] == TCP_OPTION_END)
            return 0;
        if (option[0] == TCP_OPTION_NOTHING) {
            offset++;
            continue;
        }
        if (option[1] < 2)
            return 0;
        if (option[0] == TCP_OPTION_MSS && option[1] == 4) {
            __u16 before = load16(option + 2), after = bpf_htons(most);
            bool is_odd = offset & 1; /* The checksum has its bytes the other way round there. */

            if (bpf_ntohs(before) <= most)
                return 0;
            store16(option + 2, after);
            place = frame_at(ctx, packet->l4 + 16u, 2);
            if (place)
                store16(place, checksum_replace(load16(place), is_odd ? swapped(before) : before, is_odd ? swapped(after) : after));
            return 0;
        }
        offset += option[1];
    }
    return 0;
}

#endif
