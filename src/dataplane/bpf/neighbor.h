// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* ARP (RFC 826) and neighbor solicitations (RFC 4861) for addresses that the model knows are answered here, by turning the
 * request into its answer and sending it back: no broadcast leaves the host for them. */
#ifndef WEFT_BPF_NEIGHBOR_H
#define WEFT_BPF_NEIGHBOR_H

#include "weft/dataplane/bpf/counters.h"
#include "weft/dataplane/bpf/metadata.h"
#include "weft/dataplane/bpf/security.h"

/* Finds who has 'address'.  Returns false when nobody is known to. */
static __always_inline bool neighbor_find(__u32 vni, const __u8 *address, __u8 *ret_mac)
{
    struct neighbor_key key = {.vni = vni};

    address_copy(key.address, address);
    const struct neighbor_value *value = map_lookup(neighbors, &key);
    if (!value) {
        static const __u8 server_mac[8] = VIRTUAL_SERVER_MAC_BYTES;
        if (!metadata_answers(address))
            return false;
        mac_copy(ret_mac, server_mac);
        return true;
    }
    union {
        __u64 word;
        struct neighbor_value value;
    } copy = {.word = *(const volatile __u64 *)value};
    if (copy.value.check != (__u16)vni)
        return false;
    __u64 bytes = bpf_be64_to_cpu(copy.word);
    store32(ret_mac, bpf_htonl(bytes >> 16));
    store16(ret_mac + 4, bpf_htons(bytes));
    return true;
}

static __always_inline __u32 neighbor_flags(__u32 vni)
{
    const struct network_value *value = map_lookup(networks, &vni);

    if (!value)
        return 0;
    union {
        __u64 word;
        struct network_value value;
    } copy = {.word = *(const volatile __u64 *)value};
    return copy.value.vni == vni ? copy.value.flags : 0;
}

/* A request that we cannot answer is flooded only where somebody may own an address that the model does not list. */
static __always_inline __u32 neighbor_unknown(const struct packet *packet)
{
    if (!(packet->destination[0] & 1))
        return STEP_CONTINUE; /* A probe of one host: switched as any other frame. */
    return neighbor_flags(packet->vni) & (NETWORK_FLOOD_UNKNOWN_NEIGHBORS | NETWORK_BRIDGED) ? STEP_CONTINUE : DROP_unknown_neighbor;
}

CHECKED_ALONE __u32 neighbor_arp(struct __sk_buff *skb, const struct packet *packet)
{
    struct arp_frame arp = {};
    __u8 target[16] ON_STACK, mac[8] ON_STACK;

    if (!packet || !arp_read(skb, &arp) || arp.operation != 1 || arp.sender == arp.target)
        return STEP_CONTINUE; /* Replies and announcements go their way. */
    address_map_ipv4(target, arp.target);
    if (!neighbor_find(packet->vni, target, mac) || mac_same(mac, packet->source))
        return neighbor_unknown(packet);

    unsigned char *frame = frame_at(skb, 0, ETH_HLEN + 28);
    if (!frame)
        return DROP_truncated;
    mac_copy(frame, arp.sender_mac);
    mac_copy(frame + 6, mac);
    store16(frame + 20, bpf_htons(2));
    mac_copy(frame + 22, mac);
    store32(frame + 28, arp.target);
    mac_copy(frame + 32, arp.sender_mac);
    store32(frame + 38, arp.sender);
    TRACE(neighbor, "ARP answered: %s is at %s", trace_address(target), trace_mac(mac));
    count_received(packet->slot, 1, packet->size);
    return VERDICT(bpf_redirect(skb->ifindex, 0));
}

#define ND_ANSWER_SIZE (ETH_HLEN + 40 + 32)

/* The checksum of the 32 bytes of an advertisement behind its IPv6 header. */
static __always_inline __u16 neighbor_checksum(const unsigned char *ipv6)
{
    __u32 sum = bpf_htons(32) + bpf_htons(IPPROTO_ICMPV6);

#pragma GCC unroll 36
    for (int i = 8; i < 40 + 32; i += 2)
        sum += load16(ipv6 + i);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return ~sum;
}

/* Turns the solicitation into its answer: 'target' has 'mac'. */
static __noinline __u32 neighbor_advertise(struct __sk_buff *skb, const struct packet *packet, const __u8 *target, const __u8 *mac, bool is_router)
{
    /* Other options than a link-layer address (a nonce, RFC 3971) make the request longer or shorter than its answer. */
    if (packet->size != ND_ANSWER_SIZE && bpf_skb_change_tail(skb, ND_ANSWER_SIZE, 0))
        return DROP_no_buffer;
    unsigned char *frame = frame_at(skb, 0, ND_ANSWER_SIZE);
    if (!frame) {
        if (!frame_pull(skb, ND_ANSWER_SIZE))
            return DROP_no_buffer;
        frame = frame_at(skb, 0, ND_ANSWER_SIZE);
        if (!frame)
            return DROP_no_buffer;
    }
    bool unspecified = address_is_zero(packet->tuple.local);
    if (unspecified) { /* Duplicate address detection: tell everybody. */
        store16(frame, bpf_htons(0x3333));
        store32(frame + 2, bpf_htonl(1));
    } else {
        mac_copy(frame, packet->source);
    }
    mac_copy(frame + 6, mac);
    unsigned char *ipv6 = frame + ETH_HLEN;
    store32(ipv6, bpf_htonl(0x60000000));
    store16(ipv6 + 4, bpf_htons(32));
    ipv6[6] = IPPROTO_ICMPV6;
    ipv6[7] = 255;
    address_copy(ipv6 + 8, target);
    if (unspecified) {
        store64(ipv6 + 24, bpf_cpu_to_be64(0xff02000000000000ull));
        store64(ipv6 + 32, bpf_cpu_to_be64(1));
    } else {
        address_copy(ipv6 + 24, packet->tuple.local);
    }
    store16(ipv6 + 40, bpf_htons(ND_ADVERTISEMENT << 8));
    store16(ipv6 + 42, 0);
    store32(ipv6 + 44, bpf_htonl((unspecified ? 0x20000000 : 0x60000000) | (is_router ? 0x80000000 : 0))); /* Override; solicited. */
    address_copy(ipv6 + 48, target);
    store16(ipv6 + 64, bpf_htons(0x0201)); /* Target link-layer address. */
    mac_copy(ipv6 + 66, mac);
    store16(ipv6 + 42, neighbor_checksum(ipv6));
    TRACE(neighbor, "solicitation answered: %s is at %s", trace_address(target), trace_mac(mac));
    count_received(packet->slot, 1, ND_ANSWER_SIZE);
    return VERDICT(bpf_redirect(skb->ifindex, 0));
}

CHECKED_ALONE __u32 neighbor_nd(struct __sk_buff *skb, const struct packet *packet)
{
    __u8 target[16] ON_STACK, mac[8] ON_STACK;

    if (!packet || packet->l4 != ETH_HLEN + 40 || packet->flags & PACKET_FRAGMENT)
        return STEP_CONTINUE;
    unsigned char *frame = frame_at(skb, 0, ETH_HLEN + 40 + 24);
    if (!frame)
        return STEP_CONTINUE;
    address_copy(target, frame + ETH_HLEN + 48);
    if (!neighbor_find(packet->vni, target, mac) || mac_same(mac, packet->source))
        return neighbor_unknown(packet);
    struct fdb_key key ON_STACK = {.vni = packet->vni};
    mac_copy(key.mac, mac);
    /* A host that is told that its default router is none forgets it (RFC 4861, 7.2.5). */
    bool is_router = (output_of(map_lookup(fdb, &key), packet->vni) & OUTPUT_KIND_MASK) == OUTPUT_ROUTER;
    return neighbor_advertise(skb, packet, target, mac, is_router);
}

/* Answers the frame, says that it is to be dropped, or lets it go on. */
static __always_inline __u32 neighbor_answer(struct __sk_buff *skb, const struct packet *packet)
{
    if (packet->ethertype == bpf_htons(ETH_P_ARP))
        return neighbor_arp(skb, packet);
    if (packet->flags & PACKET_IPV6 && packet->tuple.protocol == IPPROTO_ICMPV6 && packet->icmp_type == ND_SOLICITATION)
        return neighbor_nd(skb, packet);
    return STEP_CONTINUE;
}

#endif
