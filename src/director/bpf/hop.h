// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Where a server is: out of which interface, to which MAC.  The host's routes and neighbors say so; each CPU asks them once in a while
 * and not for every packet, which would cost as much as all the rest.  The agent keeps the neighbors resolved. */
#ifndef WEFT_DIRECTOR_BPF_HOP_H
#define WEFT_DIRECTOR_BPF_HOP_H

#include "weft/director/bpf/packet.h"

#define HOP_SHIFT 26 /* Nanoseconds: asked again after 67 ms at most. */

static __always_inline __u8 hop_reason(long answer)
{
    return answer == BPF_FIB_LKUP_RET_NO_NEIGH ? LB_DROP_no_neighbor : LB_DROP_no_route;
}

/* The answer's are not aligned to more than two bytes, and on the stack the verifier minds. */
static __always_inline void mac_from_stack(__u8 *to, const __u8 *from)
{
    for (int i = 0; i < 6; i += 2)
        store16(to + i, load16(from + i));
}

/* Asks for the way to 'server' and keeps the answer in 'hop'. */
CHECKED_ALONE int hop_ask(struct xdp_md *ctx, const struct lb_server *server, struct lb_hop *hop)
{
    struct bpf_fib_lookup question ON_STACK = {};
    long answer;
    bool via_router;

    if (!server || !hop)
        return 0;
    question.ifindex = ctx->ingress_ifindex;
    if (address_is_ipv4(server->address)) {
        question.family = AF_INET;
        question.ipv4_dst = address_ipv4(server->address);
        question.ipv4_src = address_ipv4(server->source);
    } else {
        question.family = AF_INET6;
        address_copy(question.ipv6_dst, server->address);
        address_copy(question.ipv6_src, server->source);
    }
    answer = bpf_fib_lookup(ctx, &question, sizeof(question), 0);
    hop->ifindex = 0;
    if (answer != BPF_FIB_LKUP_RET_SUCCESS) {
        hop->reason = hop_reason(answer);
        return 0;
    }
    via_router = question.family == AF_INET ? question.ipv4_dst != address_ipv4(server->address)
                                            : !address_equal(question.ipv6_dst, server->address);
    if (via_router && server->method == LB_METHOD_DIRECT) {
        hop->reason = LB_DROP_not_on_link;
        return 0;
    }
    hop->ifindex = question.ifindex;
    hop->mtu = question.mtu_result;
    mac_from_stack(hop->destination, question.dmac);
    mac_from_stack(hop->source, question.smac);
    return 0;
}

static __always_inline __u32 hop_find(struct xdp_md *ctx, const struct lb_server *server, struct lb_hop *hop)
{
    __u32 now = (__u32)(time_ns() >> HOP_SHIFT);

    if (hop->asked != now || hop->generation != server->generation) {
        hop->asked = now;
        hop->generation = server->generation;
        hop_ask(ctx, server, hop);
    }
    return hop->ifindex ? STEP_CONTINUE : hop->reason;
}

#endif
