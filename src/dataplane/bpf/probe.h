// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Health probes of load balancers' members: from the agent's sockets on the metadata device to a member's port, and back.  See tables-probes.h.
 *
 * A probe is what a client of the balancer would send, but for the firewall: security groups of the member are not asked, its connections
 * are not remembered, and nobody but the port is shown anything of it.  An answer is one if the probe was here before; then it passes behind
 * anti-spoofing, before every policy. */
#ifndef WEFT_BPF_PROBE_H
#define WEFT_BPF_PROBE_H

#include "weft/dataplane/bpf/counters.h"
#include "weft/dataplane/bpf/related.h"
#include "weft/dataplane/bpf/translate.h"

/* The number of the member that the address stands for on the device.  False: it is none's. */
static __always_inline bool probe_number(const struct packet *packet, const __u8 *address, __u32 *ret_number)
{
    __u32 slot, high;

    if (packet->flags & PACKET_IPV6) {
        __u64 low = bpf_be64_to_cpu(load64(address + 8));
        slot = low;
        high = low >> 32;
        if (load64(address) != bpf_cpu_to_be64(METADATA_IP6_PORT_HIGH))
            return false;
    } else {
        __u32 host = bpf_ntohl(load32(address + 12));
        slot = METADATA_SLOT_OF_IP4(host);
        high = host >> 20 & 0xff;
        if (host >> 28 != 0xf)
            return false;
    }
    if (slot < PROBE_SLOT || slot >= PROBE_SLOT + PROBE_SLOTS || high >= 0x10000)
        return false;
    *ret_number = high * PROBE_SLOTS + (slot - PROBE_SLOT);
    return true;
}

static __always_inline void probe_address(const struct packet *packet, __u32 number, __u8 *ret_address)
{
    __u32 slot = PROBE_SLOT + number % PROBE_SLOTS, high = number / PROBE_SLOTS;

    if (packet->flags & PACKET_IPV6) {
        store64(ret_address, bpf_cpu_to_be64(METADATA_IP6_PORT_HIGH));
        store64(ret_address + 8, bpf_cpu_to_be64((__u64)high << 32 | slot));
    } else {
        address_map_ipv4(ret_address, bpf_htonl(METADATA_PORT_IP4(slot, high)));
    }
}

static __always_inline void probe_agent_address(const struct packet *packet, __u8 *ret_address)
{
    if (packet->flags & PACKET_IPV6) {
        store64(ret_address, bpf_cpu_to_be64(METADATA_IP6_AGENT_HIGH));
        store64(ret_address + 8, bpf_cpu_to_be64(METADATA_IP6_AGENT_LOW));
    } else {
        address_map_ipv4(ret_address, bpf_htonl(METADATA_AGENT_IP4));
    }
}

static __always_inline const struct probe_target *probe_target_find(__u32 number)
{
    const struct probe_target *target = map_lookup(probe_targets, &number);

    return target && target->number == number ? target : NULL;
}

/* Of 'packet' as who has 'local' sends it. */
static __always_inline void probe_key_make(struct probe_key *ret, __u32 slot, const struct packet *packet, bool is_probe)
{
    bool has_ports = translate_has_ports(packet->tuple.protocol);

    __builtin_memset(ret, 0, sizeof(*ret));
    ret->slot = slot;
    ret->protocol = packet->tuple.protocol;
    ret->port = is_probe || !has_ports ? packet->tuple.remote_port : packet->tuple.local_port;
    ret->probe_port = is_probe || !has_ports ? packet->tuple.local_port : packet->tuple.remote_port;
}

static __always_inline __u32 probe_set_macs(struct __sk_buff *skb, const void *destination, const void *source)
{
    unsigned char *frame = frame_at(skb, 0, ETH_HLEN);

    if (!frame)
        return DROP_truncated;
    mac_copy(frame, destination);
    mac_copy(frame + 6, source);
    return STEP_CONTINUE;
}

/* What a socket of the agent's sends to the member 'number'. */
CHECKED_ALONE __u32 probe_send(struct __sk_buff *skb, struct packet *packet, __u32 number)
{
    const struct probe_target *target = probe_target_find(number);
    struct scratch *scratch = scratch_get();
    struct probe_key key ON_STACK;
    __u32 slot, epoch, ifindex;

    /* Without a flow is what the stack says of an answer that came too late. */
    if (!packet || !target || !scratch || !(packet->flags & PACKET_HAS_FLOW) || packet->flags & PACKET_FRAGMENT)
        return VERDICT(TC_ACT_SHOT);
    slot = target->slot;
    const struct port_config *port = port_config_get(slot, &epoch);
    if (!slot || !port || !port->ifindex || port->generation != target->generation || !(port->flags & PORT_ADMIN_UP))
        return VERDICT(TC_ACT_SHOT);
    ifindex = port->ifindex;
    packet->slot = packet->drop_slot = slot;
    probe_key_make(&key, slot, packet, true);
    address_copy(key.address, target->address);
    address_copy(key.vip, target->vip);
    if (map_put(probes, &key, &number))
        return VERDICT(TC_ACT_SHOT);
    struct ends *ends = &scratch->balancing.ends;
    address_copy(ends->source, target->vip);
    address_copy(ends->destination, target->address);
    ends->source_port = packet->tuple.local_port;
    ends->destination_port = packet->tuple.remote_port;
    __u32 step = probe_set_macs(skb, port->mac, target->vip_mac);
    if (step == STEP_CONTINUE)
        step = translate_ends(skb, packet, ends);
    if (step != STEP_CONTINUE)
        return step;
    count_received(slot, packet->segments, packet_wire_bytes(packet));
    TRACE(metadata, "a health probe, to port slot %u", slot);
    return VERDICT(bpf_redirect(ifindex, 0));
}

/* A workload's packet that no connection has: is it a probe's answer, or an ICMP error about a probe?  Then it goes to the agent's socket;
 * STEP_CONTINUE: it is not. */
CHECKED_ALONE __u32 probe_answer(struct __sk_buff *skb, struct packet *packet)
{
    struct scratch *scratch = scratch_get();
    struct probe_key key ON_STACK;
    const struct packet *named = packet;

    if (!packet || !scratch)
        return DROP_no_port;
    bool is_error = related_is_error(packet);
    if ((!is_error && !(packet->flags & PACKET_HAS_FLOW)) || packet->flags & PACKET_FRAGMENT)
        return STEP_CONTINUE;
    if (is_error) {
        named = related_quoted(skb, packet);
        if (!named)
            return STEP_CONTINUE;
    }
    probe_key_make(&key, packet->slot, named, is_error);
    address_copy(key.address, is_error ? named->tuple.remote : named->tuple.local);
    address_copy(key.vip, is_error ? named->tuple.local : named->tuple.remote);
    const __u32 *found = map_lookup(probes, &key);
    if (!found)
        return STEP_CONTINUE;
    __u32 number = *found;
    const struct probe_target *target = probe_target_find(number);
    if (!target || target->slot != packet->slot || !address_equal(target->address, key.address) || !address_equal(target->vip, key.vip))
        return STEP_CONTINUE; /* It was, a moment ago. */
    __u32 ifindex = target->ifindex;
    struct ends *ends = &scratch->balancing.ends;
    probe_address(packet, number, ends->source);
    probe_agent_address(packet, ends->destination);
    ends->source_port = packet->tuple.local_port;
    ends->destination_port = packet->tuple.remote_port;
    __u32 step = probe_set_macs(skb, target->device_mac, packet->source);
    if (step == STEP_CONTINUE && is_error) {
        struct ends *quote = &scratch->balancing.quote;
        address_copy(quote->source, ends->destination);
        address_copy(quote->destination, ends->source);
        quote->source_port = named->tuple.local_port;
        quote->destination_port = named->tuple.remote_port;
        step = translate_quote(skb, packet, named, quote);
    }
    if (step == STEP_CONTINUE)
        step = translate_ends(skb, packet, ends);
    if (step != STEP_CONTINUE)
        return step;
    TRACE(metadata, "the answer to a health probe, to the agent as %s", trace_address(ends->source));
    return VERDICT(bpf_redirect(ifindex, BPF_F_INGRESS));
}

#endif
