// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The ways to a server that leave the packet its addresses, or have the server put them back: clients' packets go so, and checks of
 * their path. */
#ifndef WEFT_DIRECTOR_BPF_FORWARD_H
#define WEFT_DIRECTOR_BPF_FORWARD_H

#include "weft/director/bpf/l3dsr.h"
#include "weft/director/bpf/tunnel.h"

static __always_inline __u32 forward_whole(struct xdp_md *ctx, const struct packet *packet, const struct lb_server *server)
{
    switch (server->method) {
    case LB_METHOD_DIRECT:
        return STEP_CONTINUE;
    case LB_METHOD_IPIP:
        return tunnel_put_any(ctx, packet, server, LB_METHOD_IPIP);
    case LB_METHOD_GUE:
        return tunnel_put_any(ctx, packet, server, LB_METHOD_GUE);
    case LB_METHOD_GRE:
        return tunnel_put_any(ctx, packet, server, LB_METHOD_GRE);
    case LB_METHOD_VXLAN:
        return tunnel_put_any(ctx, packet, server, LB_METHOD_VXLAN);
    case LB_METHOD_L3DSR:
        return l3dsr_put(ctx, packet, server);
    default:
        return LB_DROP_no_server;
    }
}

static __always_inline __u32 send_frame(struct xdp_md *ctx, const struct lb_hop *hop)
{
    unsigned char *frame = frame_at(ctx, 0, ETH_HLEN);

    if (!frame)
        return LB_DROP_malformed;
    mac_copy(frame, hop->destination);
    mac_copy(frame + 6, hop->source);
    if (hop->ifindex == ctx->ingress_ifindex)
        return VERDICT(XDP_TX);
    return VERDICT(bpf_redirect(hop->ifindex, 0));
}

#endif
