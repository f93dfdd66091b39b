// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The MSS that a physical server announces for its virtual addresses (RFC 9293, 3.7.1), lowered to what the director can send on with a chain in front: clients'
 * segments are as large as the server's SYN-ACK says, which does not pass the director.  A packet says what it says: where TCP-AO (RFC 5925) covers it, it
 * is left alone, as is one that announces none, since 536 and 1220 fit. */
#ifndef WEFT_DIRECTOR_BPF_ANNOUNCE_H
#define WEFT_DIRECTOR_BPF_ANNOUNCE_H

#include "weft/director/bpf/packet.h"
#include "weft/director/bpf/mss.h"

#define TCP_OPTION_AO 29
#define ANNOUNCED_OPTIONS 16 /* Who has more is left alone. */

/* Where TCP begins in a SYN from a virtual address, else 0. */
static __always_inline __u32 announces(struct __sk_buff *skb, __u32 *ret_ipv6)
{
    __u8 ip[40] ON_STACK, source[16] ON_STACK, flags;
    __u32 l4;

    *ret_ipv6 = skb->protocol == bpf_htons(ETH_P_IPV6);
    if (*ret_ipv6) {
        if (bpf_skb_load_bytes(skb, ETH_HLEN, ip, 40) || ip[0] >> 4 != 6 || ip[6] != IPPROTO_TCP)
            return 0;
        address_copy(source, ip + 8);
        l4 = ETH_HLEN + 40;
    } else {
        if (skb->protocol != bpf_htons(ETH_P_IP) || bpf_skb_load_bytes(skb, ETH_HLEN, ip, 20) || ip[0] >> 4 != 4 || ip[9] != IPPROTO_TCP ||
            load16(ip + 6) & bpf_htons(IP4_MORE_FRAGMENTS | IP4_OFFSET))
            return 0;
        address_map_ipv4(source, load32(ip + 12));
        l4 = ETH_HLEN + (ip[0] & 15) * 4u;
    }
    if (bpf_skb_load_bytes(skb, l4 + 13, &flags, 1) || !(flags & TCP_SYN))
        return 0;
    return address_kind(source) & CHAIN_ADDRESS_VIRTUAL ? l4 : 0;
}

#define OPTION_SIZE 0xff
#define OPTION_IS_MSS 0x100

/* The option at 'offset': its size, with OPTION_IS_MSS; 0: there is none any more; -1: such a segment is left alone. */
CHECKED_ALONE int option_at(struct __sk_buff *skb, __u32 offset, __u32 end)
{
    __u8 kind, size;

    if (offset >= end)
        return 0;
    if (bpf_skb_load_bytes(skb, offset, &kind, 1))
        return -1;
    if (kind == TCP_OPTION_END || kind == TCP_OPTION_NOTHING)
        return kind == TCP_OPTION_NOTHING;
    if (kind == TCP_OPTION_AO || bpf_skb_load_bytes(skb, offset + 1, &size, 1) || size < 2 || offset + size > end)
        return -1;
    return size | (kind == TCP_OPTION_MSS && size == 4 ? OPTION_IS_MSS : 0);
}

/* Where the number is, else 0. */
static __always_inline __u32 announced_find(struct __sk_buff *skb, __u32 l4)
{
    __u32 offset = l4 + 20, found = 0;
    __u8 words;

    if (bpf_skb_load_bytes(skb, l4 + 12, &words, 1))
        return 0;
    for (int i = 0; i < ANNOUNCED_OPTIONS; i++) {
        int option = option_at(skb, offset, l4 + (words >> 4) * 4u);

        if (option <= 0)
            return option ? 0 : found;
        if (option & OPTION_IS_MSS && !found)
            found = offset + 2;
        offset += option & OPTION_SIZE;
    }
    return 0;
}

/* Is it lowered?  The kernel's helper knows whether the checksum is there already, or is to be made of the packet as it is then. */
static __always_inline bool announce_less(struct __sk_buff *skb)
{
    __u32 zero = 0, ipv6, l4 = announces(skb, &ipv6), place;
    const struct chain_mss *most = map_lookup(chain_mss, &zero);
    __u16 before, after;

    if (!l4 || !most)
        return false;
    after = ipv6 ? most->ipv6 : most->ipv4;
    place = after ? announced_find(skb, l4) : 0;
    if (!place || bpf_skb_load_bytes(skb, place, &before, 2) || bpf_ntohs(before) <= bpf_ntohs(after))
        return false;
    if (bpf_skb_store_bytes(skb, place, &after, 2, 0))
        return false;
    if (place & 1) /* The checksum has its bytes the other way round there. */
        bpf_l4_csum_replace(skb, l4 + 16, swapped(before), swapped(after), 2);
    else
        bpf_l4_csum_replace(skb, l4 + 16, before, after, 2);
    return true;
}

#endif
