// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Has this host a socket for what the packet says, as the client's to the virtual address?
 *
 *   established, half open (a request), or waiting after its end   ours: this host answers
 *   a listener                                                     ours only for an acknowledgment that answers a SYN cookie which this host sent:
 *                                                                  any other packet could belong to a listener of every server
 *   none                                                           not ours, if there ever was one at that address and port, be it a listener that was closed since;
 *                                                                  else nobody knows: sockets may be in containers, behind a translation of addresses
 *
 * A socket that waits after its end (TIME_WAIT) is ours although the client may have begun anew from that port at an earlier owner: within its minute
 * the row would have had to move away and back. */
#ifndef WEFT_DIRECTOR_BPF_OURS_H
#define WEFT_DIRECTOR_BPF_OURS_H

#include "weft/director/chain-tables.h"
#include "weft/director/bpf/packet.h"

enum ours { OURS_NOT, OURS_SOCKET, OURS_COOKIE, OURS_UNKNOWN };

#ifdef __bpf__
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, CHAIN_SOCKETS);
    __type(key, struct chain_port);
    __type(value, __u32);
} chain_sockets SEC(".maps");
#endif

static __always_inline struct bpf_sock *socket_of(struct xdp_md *ctx, const struct packet *packet)
{
    struct bpf_sock_tuple tuple ON_STACK = {};

    if (packet->ipv6) {
        address_copy((__u8 *)tuple.ipv6.saddr, packet->source);
        address_copy((__u8 *)tuple.ipv6.daddr, packet->destination);
        tuple.ipv6.sport = packet->source_port;
        tuple.ipv6.dport = packet->destination_port;
        return bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv6), (__u64)BPF_F_CURRENT_NETNS, 0);
    }
    tuple.ipv4.saddr = address_ipv4(packet->source);
    tuple.ipv4.daddr = address_ipv4(packet->destination);
    tuple.ipv4.sport = packet->source_port;
    tuple.ipv4.dport = packet->destination_port;
    return bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), (__u64)BPF_F_CURRENT_NETNS, 0);
}

static __always_inline bool answers_cookie(struct xdp_md *ctx, const struct packet *packet, struct bpf_sock *listener)
{
    unsigned char *tcp = frame_at(ctx, packet->l4, 20), *ip = frame_at(ctx, ETH_HLEN, 40);

    if (!tcp || !ip || packet->flags & (PACKET_QUOTE | PACKET_FRAGMENT) || (packet->tcp_flags & (TCP_SYN | TCP_RST | TCP_ACK)) != TCP_ACK)
        return false;
    return bpf_tcp_check_syncookie(listener, ip, packet->ipv6 ? 40 : 20, (void *)tcp, 20) == 0;
}

/* Had the host ever a socket there?  'has': it has one now. */
CHECKED_ALONE int had_socket(const struct packet *packet, __u32 has)
{
    struct chain_port key ON_STACK = {};
    const __u32 one = 1;

    if (!packet)
        return false;
    address_copy(key.address, packet->destination);
    key.port = packet->destination_port;
    if (map_lookup(chain_sockets, &key))
        return true;
    if (has)
        map_put(chain_sockets, &key, &one);
    return has != 0;
}

static __always_inline enum ours ours(struct xdp_md *ctx, const struct packet *packet)
{
    struct bpf_sock *found = socket_of(ctx, packet);
    enum ours result = OURS_SOCKET;

    if (!found)
        return had_socket(packet, false) ? OURS_NOT : OURS_UNKNOWN;
    if (found->state == BPF_TCP_LISTEN)
        result = answers_cookie(ctx, packet, found) ? OURS_COOKIE : OURS_NOT;
    bpf_sk_release(found);
    had_socket(packet, true);
    return result;
}

#endif
