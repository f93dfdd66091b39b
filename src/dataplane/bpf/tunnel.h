// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* VXLAN (RFC 7348) between our hosts, built and taken off here; the meaning of its reserved bits is in tables.h.
 *
 * Out: 50 bytes (70 over IPv6) are put in front.  bpf_skb_adjust_room does it for IPv4 and IPv6 and tells the kernel where
 * the inner headers are, so GSO frames stay whole until the device; it refuses other protocols, which take
 * bpf_skb_change_head.  Outer addresses come from the host's record; MACs from it or from the kernel's neighbor table.
 * Outer UDP has no checksum (RFC 6935 for IPv6: the receiver takes the frame before its stack looks).  The outer ECN field
 * is Not-ECT (RFC 6040, compatibility mode): a congested router drops, it does not mark what we would not copy back.
 *
 * In: only our UDP port, only from peers to the address that they know us by; all else is the host's own traffic and is
 * left alone. */
#ifndef WEFT_BPF_TUNNEL_H
#define WEFT_BPF_TUNNEL_H

#include "weft/dataplane/bpf/counters.h"
#include "weft/dataplane/bpf/parse.h"

#define TUNNEL_UDP_SIZE 8
#define TUNNEL_VXLAN_SIZE 8
#define ERROR_ALREADY (-114) /* EALREADY: the frame is marked as encapsulated. */

/* Spreads connections over the underlay's paths and the receiver's queues; one connection keeps one port. */
static __always_inline __u16 tunnel_source_port(const struct packet *packet, __u64 seed)
{
    const __u64 factor = 0x9e3779b97f4a7c15ull;
    __u64 hash = seed ^ load64(packet->destination) ^ load64(packet->source) << 13;

    hash *= factor;
    hash ^= hash >> 29;
    hash = (hash ^ load64(packet->tuple.local) ^ load64(packet->tuple.local + 8)) * factor;
    hash ^= hash >> 29;
    hash = (hash ^ load64(packet->tuple.remote) ^ load64(packet->tuple.remote + 8)) * factor;
    hash ^= hash >> 29;
    hash = (hash ^ load16(&packet->tuple.local_port) ^ (__u32)load16(&packet->tuple.remote_port) << 16 ^
            (__u64)packet->tuple.protocol << 32) * factor;
    return 0xc000 | (hash >> 48 & 0x3fff);
}

static __always_inline void tunnel_write_ipv4(unsigned char *header, const struct host_config *host, __u16 total)
{
    __u32 source = load32(host->local + 12), destination = load32(host->remote + 12);

    store32(header, bpf_htonl(0x45000000u | total));
    store32(header + 4, bpf_htonl(0x00004000)); /* Do not fragment: the network's MTU leaves room. */
    __u32 sum = bpf_htons(0x4500) + bpf_htons(total) + bpf_htons(0x4000) + bpf_htons(64 << 8 | IPPROTO_UDP);
    sum += (source & 0xffff) + (source >> 16) + (destination & 0xffff) + (destination >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    store16(header + 8, bpf_htons(64 << 8 | IPPROTO_UDP));
    store16(header + 10, (__u16)~sum);
    store32(header + 12, source);
    store32(header + 16, destination);
}

static __always_inline void tunnel_write_ipv6(unsigned char *header, const struct host_config *host, __u16 payload,
                                              __u16 label)
{
    store32(header, bpf_htonl(0x60000000u | label));
    store16(header + 4, bpf_htons(payload));
    header[6] = IPPROTO_UDP;
    header[7] = 64;
    address_copy(header + 8, host->local);
    address_copy(header + 24, host->remote);
}

/* Hands a frame with its outer IP header to the next hop, whose MAC the kernel finds. */
static __always_inline __u32 tunnel_to_neighbor(const struct host_config *host)
{
    struct bpf_redir_neigh hop = {};

    if (address_is_ipv4(host->next_hop)) {
        hop.nh_family = AF_INET;
        hop.ipv4_nh = load32(host->next_hop + 12);
    } else {
        hop.nh_family = AF_INET6;
        address_copy(hop.ipv6_nh, host->next_hop);
    }
    return VERDICT(bpf_redirect_neigh(host->ifindex, &hop, sizeof(hop), 0));
}

/* The largest packet that fits into the tunnel to a host. */
static __always_inline __u32 tunnel_room(__u32 host_slot)
{
    const struct host_config *host = host_config_get(host_slot);
    __u32 overhead = host && address_is_ipv4(host->remote) ? TUNNEL_OVERHEAD_IPV4 : TUNNEL_OVERHEAD_IPV6;

    return host && host->underlay_mtu > overhead ? host->underlay_mtu - overhead : 0xffff; /* Unknown: tunnel_send() says why not. */
}

/* Encapsulates the frame for a host and sends it; 'word' is a TUNNEL_WORD.  Works on what parse_frame found. */
static __noinline __u32 tunnel_send(struct __sk_buff *skb, const struct packet *packet, __u32 host_slot, __u32 vni, __u32 word)
{
    const struct host_config *host = host_config_get(host_slot);
    const struct settings *settings = settings_get();

    if (!host || !settings || !host_slot || address_is_zero(host->remote) || address_is_zero(host->next_hop))
        return DROP_host_unreachable;
    bool over_ipv4 = address_is_ipv4(host->remote);
    __u32 overhead = over_ipv4 ? TUNNEL_OVERHEAD_IPV4 : TUNNEL_OVERHEAD_IPV6;
    if (packet_l3_size(skb, packet) + overhead > host->underlay_mtu)
        return DROP_too_big;

    bool is_ip = packet->flags & (PACKET_IPV4 | PACKET_IPV6);
    long error;
    if (is_ip) {
        __u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_ENCAP_L2_ETH |
                      BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN) |
                      (over_ipv4 ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 : BPF_F_ADJ_ROOM_ENCAP_L3_IPV6);
        error = bpf_skb_adjust_room(skb, overhead, BPF_ADJ_ROOM_MAC, flags);
        /* A workload that forwards what came to it by tunnel.  The kernel's notes about the inner headers are still right; but
         * it does not take this way when the families differ, so that such a frame goes as one that is no IP. */
        if (error == ERROR_ALREADY && !(packet->flags & PACKET_IPV4) == !over_ipv4) {
            error = bpf_skb_adjust_room(skb, overhead, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO);
        } else if (error == ERROR_ALREADY && !skb->gso_size) {
            is_ip = false;
            error = bpf_skb_change_head(skb, overhead, 0);
        }
    } else {
        error = bpf_skb_change_head(skb, overhead, 0);
    }
    if (error)
        return DROP_no_buffer;

    unsigned char *frame = frame_at(skb, 0, TUNNEL_OVERHEAD_IPV4 + ETH_HLEN);
    if (!frame)
        return DROP_no_buffer;
    __u16 source_port = tunnel_source_port(packet, settings->hash_seed);
    __u32 total = packet->size + overhead - ETH_HLEN; /* Outer IP header and all behind it. */
    mac_copy(frame, host->next_hop_mac);
    mac_copy(frame + 6, host->source_mac);
    if (over_ipv4) {
        store16(frame + 12, bpf_htons(ETH_P_IP));
        tunnel_write_ipv4(frame + ETH_HLEN, host, total);
        frame += ETH_HLEN + 20;
        total -= 20;
    } else {
        frame = frame_at(skb, 0, TUNNEL_OVERHEAD_IPV6 + ETH_HLEN);
        if (!frame)
            return DROP_no_buffer;
        total -= 40;
        store16(frame + 12, bpf_htons(ETH_P_IPV6));
        tunnel_write_ipv6(frame + ETH_HLEN, host, total, source_port);
        frame += ETH_HLEN + 40;
    }
    store16(frame, bpf_htons(source_port));
    store16(frame + 2, bpf_htons(settings->tunnel_port));
    store16(frame + 4, bpf_htons(total));
    store16(frame + 6, 0);
    store32(frame + 8, bpf_htonl(0x08000000u | TUNNEL_VERSION << 20 | (word >> 8 & FLOOD_KEY_MASK)));
    store32(frame + 12, bpf_htonl(vni << 8 | (word & 15) << 4 | (word >> 4 & 15)));
    mac_copy(frame + 16, packet->destination);
    mac_copy(frame + 22, packet->source);
    store16(frame + 28, packet->ethertype);
    TRACE(encapsulate, "network %u to host slot %u, %s, kind %u", vni, host_slot, trace_address(host->remote),
          word & 15);

    if (host->flags & HOST_MAC_KNOWN)
        return VERDICT(bpf_redirect(host->ifindex, 0));
    if (is_ip)
        return tunnel_to_neighbor(host);
    /* skb->protocol still says what is inside, and only an arrival at a device sets it right. */
    skb->mark = TUNNEL_MARK | host_slot;
    return VERDICT(bpf_redirect(settings->tunnel_ifindex, BPF_F_INGRESS));
}

struct tunnel_frame { /* What the outer headers say. */
    __u32 host;       /* Host slot of the sender. */
    __u32 vni;
    __u32 kind;
    __u32 hops;
    __u32 argument;
    __u32 overhead;
};

#define TUNNEL_NOT_OURS NOT_OURS

/* Reads and checks the outer headers, and the inner Ethernet header into 'packet'. */
static __always_inline __u32 tunnel_receive(struct __sk_buff *skb, struct packet *packet, struct tunnel_frame *ret)
{
    const struct settings *settings = settings_get();
    struct address_key peer ON_STACK = {};
    __u8 here[16] ON_STACK;
    const unsigned char *frame = frame_at(skb, 0, TUNNEL_OVERHEAD_IPV4);
    __u32 l4;

    if (!frame && frame_pull(skb, 128))
        frame = frame_at(skb, 0, TUNNEL_OVERHEAD_IPV4);
    if (!frame || !settings || skb->vlan_present || skb->pkt_type != PACKET_HOST)
        return TUNNEL_NOT_OURS;
    if (load16(frame + 12) == bpf_htons(ETH_P_IP)) {
        if (frame[14] != 0x45 || frame[23] != IPPROTO_UDP || load16(frame + 20) & bpf_htons(0x3fff))
            return TUNNEL_NOT_OURS;
        if (load16(frame + 36) != bpf_htons(settings->tunnel_port))
            return TUNNEL_NOT_OURS;
        address_map_ipv4(peer.bytes, load32(frame + 26));
        address_map_ipv4(here, load32(frame + 30));
        l4 = ETH_HLEN + 20;
        if (!skb->gso_size && bpf_ntohs(load16(frame + 16)) > skb->len - ETH_HLEN)
            return DROP_truncated;
    } else if (load16(frame + 12) == bpf_htons(ETH_P_IPV6)) {
        if (frame[20] != IPPROTO_UDP)
            return TUNNEL_NOT_OURS;
        frame = frame_at(skb, 0, TUNNEL_OVERHEAD_IPV6);
        if (!frame && frame_pull(skb, 128))
            frame = frame_at(skb, 0, TUNNEL_OVERHEAD_IPV6);
        if (!frame || load16(frame + 56) != bpf_htons(settings->tunnel_port))
            return TUNNEL_NOT_OURS;
        address_copy(peer.bytes, frame + 22);
        address_copy(here, frame + 38);
        l4 = ETH_HLEN + 40;
        if (!skb->gso_size && bpf_ntohs(load16(frame + 18)) + 40u > skb->len - ETH_HLEN)
            return DROP_truncated;
    } else {
        return TUNNEL_NOT_OURS;
    }

    const struct peer_value *value = map_lookup(peers, &peer);
    if (!value)
        return DROP_unknown_peer;
    union {
        __u64 word;
        struct peer_value value;
    } copy = {.word = *(const volatile __u64 *)value};
    const struct host_config *host = host_config_get(copy.value.host);
    if (copy.value.check != load32(peer.bytes + 12) || !host)
        return DROP_unknown_peer;
    if (!address_equal(host->local, here))
        return TUNNEL_NOT_OURS; /* On its way to somebody else. */

    frame = frame_at(skb, l4 + TUNNEL_UDP_SIZE, TUNNEL_VXLAN_SIZE + ETH_HLEN);
    if (!frame && frame_pull(skb, 128))
        frame = frame_at(skb, l4 + TUNNEL_UDP_SIZE, TUNNEL_VXLAN_SIZE + ETH_HLEN);
    if (!frame)
        return DROP_truncated;
    __u32 first = bpf_ntohl(load32(frame)), second = bpf_ntohl(load32(frame + 4));
    ret->host = copy.value.host;
    ret->vni = second >> 8;
    ret->kind = second >> 4 & 15;
    ret->hops = second & 15;
    ret->argument = first & FLOOD_KEY_MASK;
    ret->overhead = l4 + TUNNEL_UDP_SIZE + TUNNEL_VXLAN_SIZE;
    if (first - ret->argument != (0x08000000u | TUNNEL_VERSION << 20) ||
        (ret->kind != TUNNEL_RELAYED && ret->kind != TUNNEL_DIRECT_RETURN &&
         (ret->argument || (ret->kind != TUNNEL_UNICAST && ret->kind != TUNNEL_FLOOD))))
        return DROP_tunnel_header;
    mac_copy(packet->destination, frame + 8);
    mac_copy(packet->source, frame + 14);
    packet->ethertype = load16(frame + 20);
    packet->vni = ret->vni;
    packet->size = skb->len - ret->overhead;
    packet->segments = skb->gso_size && skb->gso_segs ? skb->gso_segs : 1;
    packet->l3 = ETH_HLEN;
    packet->header_size = ETH_HLEN;
    packet->flags = PACKET_FROM_TUNNEL;
    TRACE(decapsulate, "network %u from host slot %u, kind %u, hops %u", ret->vni, ret->host, ret->kind, ret->hops);
    return STEP_CONTINUE;
}

/* As adjust_room with ADJ_ROOM_DECAP_L3_*, for kernels without.  A large TCP frame whose skb->protocol names the outer family would
 * be lost where it is segmented or only checked: change_proto sets it, and adds or takes the 20 bytes between the two headers. */
static __always_inline long tunnel_strip_other_family(struct __sk_buff *skb, __u16 ethertype, __u32 overhead, __u64 flags)
{
    __s32 grown = ethertype == bpf_htons(ETH_P_IPV6) ? 20 : -20;

    if (bpf_skb_change_proto(skb, ethertype, 0))
        grown = 0; /* Large UDP frames are refused; others arrive all the same, deliver_local sees to that. */
    return bpf_skb_adjust_room(skb, -((__s32)overhead + grown), BPF_ADJ_ROOM_MAC, flags);
}

/* Takes the outer headers off. */
static __always_inline __u32 tunnel_strip(struct __sk_buff *skb, const struct packet *packet, __u32 overhead)
{
    __u64 family = packet->ethertype == bpf_htons(ETH_P_IPV6) ? ADJ_ROOM_DECAP_L3_IPV6 : ADJ_ROOM_DECAP_L3_IPV4;
    bool is_ip = packet->ethertype == bpf_htons(ETH_P_IP) || packet->ethertype == bpf_htons(ETH_P_IPV6);
    __u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET;
    __u32 inner = packet->size;
    long error;

    if (is_ip && skb->protocol != packet->ethertype) {
        /* The other family inside: since Linux 6.3 adjust_room can be told to set skb->protocol right. */
        error = bpf_skb_adjust_room(skb, -(__s32)overhead, BPF_ADJ_ROOM_MAC, flags | family);
        if (error == -22)
            error = tunnel_strip_other_family(skb, packet->ethertype, overhead, flags);
    } else {
        /* The kernel wants the outer family's header's worth of bytes to be left; ARP has less than IPv6's.  Only then is there
         * padding: it refuses to change the tail of a frame that still carries the sender's mark of an encapsulation, as
         * between namespaces of one machine. */
        __u32 least = ETH_HLEN + (skb->protocol == bpf_htons(ETH_P_IPV6) ? 41 : 21);
        __u32 padding = inner < least ? least - inner : 0;
        if (padding && bpf_skb_change_tail(skb, skb->len + padding, 0))
            return DROP_no_buffer;
        error = bpf_skb_adjust_room(skb, -(__s32)overhead, BPF_ADJ_ROOM_MAC, flags);
        if (!error && padding && bpf_skb_change_tail(skb, inner, 0))
            return DROP_no_buffer;
    }
    if (error)
        return DROP_no_buffer;
    /* The device's word about the outer checksum is used up; what it said about the inner one stays. */
    bpf_csum_level(skb, BPF_CSUM_LEVEL_DEC);
    unsigned char *frame = frame_at(skb, 0, ETH_HLEN);
    if (!frame)
        return DROP_no_buffer;
    mac_copy(frame, packet->destination);
    mac_copy(frame + 6, packet->source);
    store16(frame + 12, packet->ethertype);
    return STEP_CONTINUE;
}

#endif
