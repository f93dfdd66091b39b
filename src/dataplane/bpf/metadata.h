// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The metadata service: what workloads send to 169.254.169.254 and fe80::a9fe:a9fe, TCP port 80, goes into a device where the host's agent
 * listens, and back.  See tables.h for the addresses that it has there.
 *
 *   workload  10.0.0.5:40000 > 169.254.169.254:80      ->   device  240.0.0.7:40000 > 240.15.255.254:<the agent's port>
 *   device    240.15.255.254:<port> > 240.0.0.7:40000  ->   workload  169.254.169.254:80 > 10.0.0.5:40000
 *
 * It is asked for behind anti-spoofing and before every policy: a workload may always ask who it is. */
#ifndef WEFT_BPF_METADATA_H
#define WEFT_BPF_METADATA_H

#include "weft/dataplane/bpf/counters.h"
#include "weft/dataplane/bpf/security.h"

#define TCP_CHECKSUM_AT 16

static __always_inline bool metadata_is_address(const __u8 *address)
{
    __u64 high = load64(address), low = load64(address + 8);

    return (!high && low == bpf_cpu_to_be64(0xffffull << 32 | METADATA_IP4)) ||
           (high == bpf_cpu_to_be64(METADATA_IP6_HIGH) && low == bpf_cpu_to_be64(METADATA_IP6_LOW));
}

static __always_inline const struct metadata_config *metadata_get(void)
{
    __u32 zero = 0;
    const struct metadata_config *config = map_lookup(metadata, &zero);

    return config && config->ifindex ? config : NULL;
}

/* Is there somebody for ARP or ND to find? */
static __always_inline bool metadata_answers(const __u8 *address)
{
    return metadata_is_address(address) && metadata_get();
}

static __always_inline bool metadata_is_request(const struct packet *packet)
{
    return packet->tuple.protocol == IPPROTO_TCP && packet->flags & PACKET_HAS_FLOW && !(packet->flags & PACKET_FRAGMENT) &&
           packet->tuple.remote_port == bpf_htons(METADATA_TCP_PORT) && metadata_is_address(packet->tuple.remote);
}

struct metadata_ends {
    __u8 source[16], destination[16];
    __u16 source_port, destination_port;
};

static __always_inline __u32 metadata_sum_words(const __u8 *address)
{
    __u32 a = load32(address), b = load32(address + 4), c = load32(address + 8), d = load32(address + 12);

    return (a & 0xffff) + (a >> 16) + (b & 0xffff) + (b >> 16) + (c & 0xffff) + (c >> 16) + (d & 0xffff) + (d >> 16);
}

static __always_inline __u32 metadata_fold(__u32 sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    return (sum & 0xffff) + (sum >> 16);
}

/* Gives a TCP segment other ends.  The checksum changes by the difference (RFC 1624); IPv4 addresses are mapped, and what is the same in old
 * and new adds nothing. */
CHECKED_ALONE __u32 metadata_rewrite(struct __sk_buff *skb, const struct packet *packet, const struct metadata_ends *to)
{
    if (!packet || !to)
        return DROP_no_port;
    /* The sum of eight complements is eight times 0xffff less the sum: nothing goes below zero. */
    __u32 addresses = 16 * 0xffffu - metadata_sum_words(packet->tuple.local) - metadata_sum_words(packet->tuple.remote) +
                      metadata_sum_words(to->source) + metadata_sum_words(to->destination);
    __u32 ports = (__u16)~packet->tuple.local_port + (__u32)(__u16)~packet->tuple.remote_port + to->source_port + to->destination_port;
    __u32 l4 = packet->l4;
    unsigned char *header;

    if (packet->flags & PACKET_IPV4) {
        header = frame_at(skb, ETH_HLEN, 20);
        if (!header)
            return DROP_truncated;
        __u16 sum = load16(header + 10);
        store16(header + 10, ~metadata_fold(addresses + (__u16)~sum));
        store32(header + 12, load32(to->source + 12));
        store32(header + 16, load32(to->destination + 12));
    } else {
        header = frame_at(skb, ETH_HLEN, 40);
        if (!header)
            return DROP_truncated;
        address_copy(header + 8, to->source);
        address_copy(header + 24, to->destination);
    }
    header = frame_at(skb, l4, 4);
    if (!header)
        return DROP_truncated;
    store16(header, to->source_port);
    store16(header + 2, to->destination_port);
    if (bpf_l4_csum_replace(skb, l4 + TCP_CHECKSUM_AT, 0, metadata_fold(addresses), BPF_F_PSEUDO_HDR) ||
        bpf_l4_csum_replace(skb, l4 + TCP_CHECKSUM_AT, 0, metadata_fold(ports), 0))
        return DROP_no_buffer;
    return STEP_CONTINUE;
}

static __always_inline __u32 metadata_set_macs(struct __sk_buff *skb, const void *destination, const void *source)
{
    unsigned char *frame = frame_at(skb, 0, ETH_HLEN);

    if (!frame)
        return DROP_truncated;
    mac_copy(frame, destination);
    mac_copy(frame + 6, source);
    return STEP_CONTINUE;
}

static __always_inline bool metadata_take_token(__u32 slot)
{
    struct metadata_budget *budget = map_lookup(metadata_budget, &slot);

    if (!budget)
        return false;
    __u64 tokens = bucket_refill(&budget->time_ns, &budget->tokens, METADATA_RATE, METADATA_RATE);
    if (!tokens)
        return false;
    budget->tokens = tokens - 1;
    return true;
}

/* Sends a workload's request to the agent; STEP_CONTINUE where there is no service. */
CHECKED_ALONE __u32 metadata_request(struct __sk_buff *skb, const struct packet *packet, const struct port_config *port)
{
    const struct metadata_config *config = metadata_get();
    struct metadata_ends ends = {};

    if (!packet || !port)
        return DROP_no_port;
    bool is_ipv6 = packet->flags & PACKET_IPV6;
    if (!config || !config->port[is_ipv6])
        return STEP_CONTINUE;
    __u32 slot = packet->slot, ifindex = config->ifindex;
    if (is_ipv6 ? !address_is_eui64(packet->tuple.local, port->mac) : !address_equal(packet->tuple.local, port->ip4))
        return DROP_metadata_source;
    if (!metadata_take_token(slot))
        return DROP_metadata_budget;
    if (is_ipv6) {
        store64(ends.source, bpf_cpu_to_be64(METADATA_IP6_PORT_HIGH));
        store64(ends.source + 8, bpf_cpu_to_be64((__u64)port->generation << 32 | slot));
        store64(ends.destination, bpf_cpu_to_be64(METADATA_IP6_AGENT_HIGH));
        store64(ends.destination + 8, bpf_cpu_to_be64(METADATA_IP6_AGENT_LOW));
    } else {
        address_map_ipv4(ends.source, bpf_htonl(METADATA_PORT_IP4(slot, port->generation)));
        address_map_ipv4(ends.destination, bpf_htonl(METADATA_AGENT_IP4));
    }
    ends.source_port = packet->tuple.local_port;
    ends.destination_port = config->port[is_ipv6];
    __u32 step = metadata_set_macs(skb, config->mac, port->mac);
    if (step == STEP_CONTINUE)
        step = metadata_rewrite(skb, packet, &ends);
    if (step != STEP_CONTINUE)
        return step;
    TRACE(metadata, "to the agent as %s", trace_address(ends.source));
    return VERDICT(bpf_redirect(ifindex, BPF_F_INGRESS));
}

/* Whose address on the device is it?  Stores the slot; 0: no port's. */
static __always_inline const struct port_config *metadata_find_port(const struct packet *packet, __u32 *ret_slot)
{
    __u32 slot, generation, generation_mask, unused;

    if (packet->flags & PACKET_IPV6) {
        __u64 low = bpf_be64_to_cpu(load64(packet->tuple.remote + 8));
        slot = low;
        generation = low >> 32;
        generation_mask = ~0u;
        if (load64(packet->tuple.remote) != bpf_cpu_to_be64(METADATA_IP6_PORT_HIGH))
            return NULL;
    } else {
        __u32 address = bpf_ntohl(load32(packet->tuple.remote + 12));
        slot = METADATA_SLOT_OF_IP4(address);
        generation = address >> 20;
        generation_mask = 0xff;
        if (address != METADATA_PORT_IP4(slot, generation))
            return NULL;
    }
    const struct port_config *port = port_config_get(slot, &unused);
    if (!slot || !port || !port->ifindex || (port->generation ^ generation) & generation_mask)
        return NULL;
    *ret_slot = slot;
    return port;
}

/* What the agent says, on its way out of the device. */
static __always_inline __u32 metadata_reply(struct __sk_buff *skb, struct packet *packet)
{
    const struct metadata_config *config = metadata_get();
    const __u8 server_mac[8] ON_STACK = VIRTUAL_SERVER_MAC_BYTES;
    struct metadata_ends ends = {};
    __u32 step = parse_whole(skb, packet);

    if (step != STEP_CONTINUE)
        return step;
    bool is_ipv6 = packet->flags & PACKET_IPV6;
    if (!config || packet->tuple.protocol != IPPROTO_TCP || !(packet->flags & PACKET_HAS_FLOW) || packet->flags & PACKET_FRAGMENT ||
        packet->tuple.local_port != config->port[is_ipv6])
        return VERDICT(TC_ACT_SHOT); /* The host's own chatter on the device. */
    const struct port_config *port = metadata_find_port(packet, &packet->slot);
    if (!port)
        return DROP_metadata_stale;
    __u32 ifindex = port->ifindex;
    packet->drop_slot = packet->slot;
    if (!(port->flags & PORT_ADMIN_UP))
        return DROP_port_down;
    if (is_ipv6) {
        store64(ends.source, bpf_cpu_to_be64(METADATA_IP6_HIGH));
        store64(ends.source + 8, bpf_cpu_to_be64(METADATA_IP6_LOW));
        store64(ends.destination, bpf_cpu_to_be64(0xfe80000000000000ull));
        store32(ends.destination + 8, load32(port->mac) ^ bpf_htonl(0x02000000));
        ends.destination[11] = 0xff;
        ends.destination[12] = 0xfe;
        ends.destination[13] = port->mac[3];
        ends.destination[14] = port->mac[4];
        ends.destination[15] = port->mac[5];
    } else {
        address_map_ipv4(ends.source, bpf_htonl(METADATA_IP4));
        address_copy(ends.destination, port->ip4);
    }
    ends.source_port = bpf_htons(METADATA_TCP_PORT);
    ends.destination_port = packet->tuple.remote_port;
    step = metadata_set_macs(skb, port->mac, server_mac);
    if (step == STEP_CONTINUE)
        step = metadata_rewrite(skb, packet, &ends);
    if (step != STEP_CONTINUE)
        return step;
    count_received(packet->slot, packet->segments, packet_wire_bytes(packet));
    TRACE(metadata, "the agent's answer, to port slot %u", packet->slot);
    return VERDICT(bpf_redirect(ifindex, 0));
}

#endif
