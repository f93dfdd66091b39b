// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* TCP segments (RFC 9293) as far as tracking looks at them, and the first of them in a connection's entry. */
#ifndef WEFT_BPF_SEGMENT_H
#define WEFT_BPF_SEGMENT_H

#include "weft/dataplane/bpf/parse.h"

#define TCP_OPTIONS_MAX 40
#define TCP_SCALE_MAX 14    /* RFC 7323, 2.3 */

struct tcp_options {
    struct __sk_buff *skb;
    __u32 offset, end;
    __u32 scale;
};

static long tcp_option(__u32 index, void *context)
{
    struct tcp_options *state = context;
    const unsigned char *option = frame_at(state->skb, state->offset, 1);

    if (state->offset >= state->end || !option || option[0] == 0)
        return 1;
    if (option[0] == 1) {
        state->offset++;
        return 0;
    }
    option = frame_at(state->skb, state->offset, 2);
    if (!option || option[1] < 2)
        return 1;
    __u32 size = option[1];
    if (option[0] == 3 && size == 3) {
        option = frame_at(state->skb, state->offset, 3);
        if (option && state->offset + 3 <= state->end)
            state->scale = option[2] < TCP_SCALE_MAX ? option[2] : TCP_SCALE_MAX;
        return 1;
    }
    state->offset += size;
    return 0;
}

/* The window scale option of a SYN; FLOW_SCALE_UNKNOWN: it has none. */
static __noinline __u32 tcp_scale(struct __sk_buff *skb, const struct packet *packet)
{
    struct tcp_options state = {
        .skb = skb,
        .offset = frame_unknown(packet->l4 + 20),
        .end = packet->header_size,
        .scale = frame_unknown(FLOW_SCALE_UNKNOWN),
    };

    frame_loop(TCP_OPTIONS_MAX, tcp_option, &state);
    return state.scale;
}

/* Returns false when the segment makes no sense: flags that no TCP sends together (RFC 9293, 3.10.7). */
static __noinline bool tcp_read(struct __sk_buff *skb, const struct packet *packet, struct tcp_segment *ret)
{
    __u32 l4 = packet->l4, flags = packet->tcp_flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK), end;

    if (!frame_at(skb, packet->header_size, 0))
        frame_pull(skb, packet->header_size);
    const unsigned char *ip = frame_at(skb, ETH_HLEN, 20);
    if (!ip)
        return false;
    if (packet->flags & PACKET_IPV6) {
        __u32 payload = bpf_ntohs(load16(ip + 4));
        end = payload ? ETH_HLEN + 40 + payload : packet->size;
    } else {
        __u32 total = bpf_ntohs(load16(ip + 2));
        end = total ? ETH_HLEN + total : packet->size;
    }
    const unsigned char *header = frame_at(skb, l4, 20);
    if (!header)
        return false;
    ret->flags = flags;
    ret->sequence = bpf_ntohl(load32(header + 4));
    ret->acknowledged = bpf_ntohl(load32(header + 8));
    ret->window = bpf_ntohs(load16(header + 14));
    ret->size = end > packet->header_size ? end - packet->header_size : 0;
    ret->end = ret->sequence + ret->size + (flags & TCP_SYN ? 1 : 0) + (flags & TCP_FIN ? 1 : 0);
    if (packet->flags & PACKET_FRAGMENT) /* Nobody knows how much is in the others. */
        ret->end += 65535;
    ret->scale = flags & TCP_SYN ? tcp_scale(skb, packet) : FLOW_SCALE_UNKNOWN;
    if (flags & TCP_SYN)
        return !(flags & (TCP_FIN | TCP_RST));
    return flags & (TCP_ACK | TCP_RST) && (flags & (TCP_FIN | TCP_RST)) != (TCP_FIN | TCP_RST);
}

static __always_inline __u32 tcp_scale_of(const struct flow_entry *entry, __u32 side)
{
    return side ? entry->scales & 15 : entry->scales >> 4;
}

static __always_inline void tcp_set_scale(struct flow_entry *entry, __u32 side, __u32 scale)
{
    __u32 scales = entry->scales;

    entry->scales = side ? (scales & 0xf0) | scale : (scales & 15) | scale << 4;
}

static __always_inline void tcp_set_side(struct flow_entry *entry, __u32 side, __u32 end, __u16 window, __u32 scale)
{
    if (side) {
        entry->sequence_end[1] = end;
        entry->window[1] = window;
    } else {
        entry->sequence_end[0] = end;
        entry->window[0] = window;
    }
    tcp_set_scale(entry, side, scale);
}

/* The first segment of a connection, in its entry that nobody else knows yet.  Without a SYN it is picked up in the middle: what the
 * other side has sent is known as far as it is acknowledged, and no scale, so that windows are taken for as large as they may be. */
static __always_inline __u32 tcp_first(struct flow_entry *entry, const struct tcp_segment *segment, __u32 side)
{
    __u32 tracked = FLOW_TRACKED << side;

    tcp_set_side(entry, side, segment->end, segment->window, segment->scale);
    tcp_set_scale(entry, !side, FLOW_SCALE_UNKNOWN);
    if (!(segment->flags & TCP_SYN)) {
        tcp_set_side(entry, !side, segment->acknowledged, 0xffff, FLOW_SCALE_UNKNOWN);
        tracked = FLOW_TRACKED | FLOW_TRACKED << 1;
    }
    return tracked;
}

#endif
