// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Routers, on the host where a packet starts: it is taken through all of them at once, up to the port or host where it ends, and
 * leaves as the last router would send it (RFC 1812, 5.2 and 5.3): its MACs, and a TTL that all of them have counted down. */
#ifndef WEFT_BPF_ROUTING_H
#define WEFT_BPF_ROUTING_H

#include "weft/dataplane/bpf/flow.h"

#define IPV4_TTL 8       /* Offsets in the IP headers. */
#define IPV4_CHECKSUM 10
#define IPV6_HOP_LIMIT 7

/* The TTL or hop limit; 0 when the header is out of reach. */
static __always_inline __u32 route_ttl(const struct __sk_buff *skb, const struct packet *packet)
{
    const unsigned char *header = frame_at(skb, ETH_HLEN, 20);

    if (!header)
        return 0;
    return packet->flags & PACKET_IPV4 ? header[IPV4_TTL] : header[IPV6_HOP_LIMIT];
}

/* Can this frame be sent as the entry of its connection says?  If not, it is decided again: it may be too large for the network behind the
 * last router, or end at one on the way, or that router's port may be another by now. */
static __always_inline bool route_holds(const struct __sk_buff *skb, const struct packet *packet, const struct flow_entry *entry)
{
    const struct router_port_config *port = router_port_get(entry->router_port);

    return port && port->flags & ROUTER_PORT_UP && (__u16)port->generation == entry->router_generation &&
           packet_l3_size(skb, packet) <= port->mtu && route_ttl(skb, packet) > entry->hops;
}

/* 16 bits of a header that its checksum covers have changed (RFC 1624, equation 3). */
static __always_inline __u16 checksum_change(__u16 checksum, __u16 before, __u16 after)
{
    __u32 sum = (__u32)(__u16)~checksum + (__u16)~before + after;

    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return ~sum;
}

/* Makes the frame what the last router would send: packet->decision says how. */
static __always_inline __u32 route_apply(struct __sk_buff *skb, struct packet *packet)
{
    const struct router_port_config *port = router_port_get(packet->decision.router_port);
    unsigned char *frame = frame_at(skb, 0, ETH_HLEN + 20);

    if (!port || !frame)
        return DROP_no_buffer;
    mac_copy(packet->destination, packet->decision.next_mac);
    mac_copy(packet->source, port->mac);
    packet->vni = port->vni;
    mac_copy(frame, packet->destination);
    mac_copy(frame + 6, packet->source);
    unsigned char *header = frame + ETH_HLEN;
    if (packet->flags & PACKET_IPV4) {
        __u16 before = load16(header + IPV4_TTL);
        header[IPV4_TTL] -= packet->decision.hops;
        store16(header + IPV4_CHECKSUM, checksum_change(load16(header + IPV4_CHECKSUM), before, load16(header + IPV4_TTL)));
    } else {
        __u16 before = load16(header + IPV6_HOP_LIMIT - 1);
        header[IPV6_HOP_LIMIT] -= packet->decision.hops;
        /* No checksum of the packet covers it, but a device's sum over all bytes may have come with the frame. */
        bpf_csum_update(skb, (__u16)~before + (__u32)load16(header + IPV6_HOP_LIMIT - 1));
    }
    return STEP_CONTINUE;
}

#endif
