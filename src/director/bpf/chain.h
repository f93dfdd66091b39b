// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A packet with the chain of those who had its row before its owner: the second chance.  Each server's agent looks for a socket of the packet's,
 * and hands the packet on to the next in the chain if it has none; so a connection goes on where it began, and nobody remembers it but that server.
 *
 *   [IP][UDP][GUE: 4 bytes][private data][packet]       draft-ietf-intarea-gue, variant 0, without flags
 *
 *   0                   1                   2                   3
 *   +---------------+---------------+-------------------------------+
 *   | type: 1       | n             | 0                             |     the private data: n addresses of IPv4 or IPv6, as the IP header
 *   +---------------+---------------+-------------------------------+     outside is; n from 1 to 3, hlen 1 + n or 1 + 4n
 *   | the next one's address, and those of others behind it ...     |
 *
 * Who hands it on takes the first address off (and the private data with the last), so a packet goes at most three times on.  Who knows nothing of private data (Linux's fou) has the
 * packet all the same, as the draft asks for.  GitHub's GLB director had the idea first, with another form. */
#ifndef WEFT_DIRECTOR_BPF_CHAIN_H
#define WEFT_DIRECTOR_BPF_CHAIN_H

#include "weft/director/bpf/tunnel.h"

#define CHAIN_TYPE 1
#define CHAIN_HEAD 16 /* UDP, GUE, and the private data's first word, which the last in the chain is not sent. */

/* What 'n' addresses take in front of the packet. */
static __always_inline __u32 chain_overhead(bool outer6, __u32 n)
{
    return (outer6 ? 40 : 20) + (n ? CHAIN_HEAD + n * (outer6 ? 16 : 4) : CHAIN_HEAD - 4);
}

/* One address, in words that the outer checksum covers. */
static __always_inline __u64 chain_put_address(unsigned char *place, const __u8 *address, const bool outer6)
{
    if (!outer6) {
        store32(place, address_ipv4(address));
        return address_ipv4(address);
    }
    address_copy(place, address);
    return checksum_address(address, true);
}

/* Puts the headers in front of the packet at ETH_HLEN, with the 'n_chain' addresses of its chain, to 'port'; 'outer6' is a constant here. */
static __always_inline __u32 chain_put(struct xdp_md *ctx, const struct packet *packet, const struct lb_server *server, __u16 port, const bool outer6)
{
    const __u32 ip_size = outer6 ? 40 : 20, address_size = outer6 ? 16 : 4;
    __u32 n = packet->n_chain, words, following;
    unsigned char *frame, *end, *header;
    __u64 sum = 0;
    bool with_sum = inner_sum(ctx, packet, &sum);

    if (n > LB_PREVIOUS)
        return LB_DROP_malformed;
    words = n ? 1 + n * (address_size / 4) : 0;
    following = 4 + words * 4 + packet->size;
    if (bpf_xdp_adjust_head(ctx, -(int)chain_overhead(outer6, n)))
        return LB_DROP_no_room;
    frame = frame_data(ctx);
    end = frame_end(ctx);
    if (frame + ETH_HLEN + ip_size + CHAIN_HEAD > end) /* The packet is longer than the word that it may not have. */
        return LB_DROP_malformed;
    store16(frame + 12, outer6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP));
    if (outer6)
        outer_ipv6(frame + ETH_HLEN, packet, server, IPPROTO_UDP, 8 + following);
    else
        outer_ipv4(frame + ETH_HLEN, packet, server, IPPROTO_UDP, 8 + following);
    header = frame + ETH_HLEN + ip_size;
    put_udp(header, packet, port, following);
    store32(header + 8, bpf_htonl(words << 24 | (packet->ipv6 ? IPPROTO_IPV6 : IPPROTO_IPIP) << 16));
    sum += load32(header + 8);
    if (n) {
        store32(header + 12, bpf_htonl(CHAIN_TYPE << 24 | n << 16));
        sum += load32(header + 12);
    }
    UNROLL
    for (int i = 0; i < LB_PREVIOUS; i++) {
        unsigned char *place = header + CHAIN_HEAD + i * address_size;

        if (i >= (int)n)
            break;
        if (place + address_size > end)
            return LB_DROP_malformed;
        sum += chain_put_address(place, packet->chain[i], outer6);
    }
    if (with_sum)
        finish_udp(header, server, outer6, following, sum);
    return STEP_CONTINUE;
}

static __always_inline __u32 chain_put_any(struct xdp_md *ctx, const struct packet *packet, const struct lb_server *server, __u16 port)
{
    return address_is_ipv4(server->address) ? chain_put(ctx, packet, server, port, false) : chain_put(ctx, packet, server, port, true);
}

#endif
