// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Senders outside whose packet a firewall policy rejects: the agent tells them (RFC 9293, 3.10.7.1; RFC 1812, 5.2.7.1; RFC 4443, 3.1).
 *
 * Who asks the policies is the host of the port, when the packet has passed its routers, so it is not what it was: before that the host notes how it
 * came, and turns it back.  So it does with what a workload sends to an address of ours on an external network, before it becomes what that network sees
 * (outside.h).  What another gateway brought untranslated has only lost some of its TTL, which does no harm. */
#ifndef WEFT_BPF_REJECT_H
#define WEFT_BPF_REJECT_H

#include "weft/dataplane/bpf/firewall.h"
#include "weft/dataplane/bpf/translate.h"

static __always_inline void reject_note(const struct __sk_buff *skb, const struct packet *packet)
{
    struct scratch *scratch = scratch_get();

    if (!scratch)
        return;
    struct came *came = &scratch->came;
    came->vni = packet->vni;
    came->ttl = route_ttl(skb, packet);
    mac_copy(came->destination_mac, packet->destination);
    mac_copy(came->source_mac, packet->source);
    came->source = load32(packet->tuple.local + 12);
    came->destination = load32(packet->tuple.remote + 12);
    came->source_port = packet->tuple.local_port;
    came->destination_port = packet->tuple.remote_port;
}

static __always_inline bool reject_is_firewall(__u32 step)
{
    return step == DROP_firewall_egress || step == DROP_firewall_ingress;
}

static __always_inline bool reject_is_wanted(const struct packet *packet, __u32 step)
{
    return reject_is_firewall(step) && !packet->slot && !(packet->flags & PACKET_LATER_FRAGMENT) && !related_is_error(packet) &&
           !packet_is_icmp_error(packet) && firewall_rejects();
}

/* The frame becomes what reject_note saw.  'was_translated': its ends too. */
CHECKED_ALONE __u32 reject_undo(struct __sk_buff *skb, struct packet *packet, __u32 was_translated)
{
    const struct scratch *scratch = scratch_get();

    if (!packet || !scratch)
        return DROP_no_buffer;
    const struct came *came = &scratch->came;
    struct rewrite ends ON_STACK = {came->source, came->destination, came->source_port, came->destination_port};
    if (was_translated && translate_frame(skb, packet, &ends) != STEP_CONTINUE)
        return DROP_no_buffer;
    unsigned char *frame = frame_at(skb, 0, ETH_HLEN + 20);
    if (!frame)
        return DROP_no_buffer;
    mac_copy(packet->destination, came->destination_mac);
    mac_copy(packet->source, came->source_mac);
    mac_copy(frame, packet->destination);
    mac_copy(frame + 6, packet->source);
    route_set_ttl(skb, packet, frame + ETH_HLEN, came->ttl);
    packet->vni = came->vni;
    return STEP_CONTINUE;
}

/* What was delivered to a port here ended as 'step' says.  If a firewall said so it is made ready for uplink_error: in the name of the router with its
 * port 'gateway' outside, if the sender is to be told. */
static __always_inline void reject_prepare(struct __sk_buff *skb, struct packet *packet, __u32 step, __u32 gateway, bool was_translated)
{
    if (!reject_is_firewall(step))
        return;
    bool is_ready = reject_is_wanted(packet, step) && reject_undo(skb, packet, was_translated) == STEP_CONTINUE;
    packet->decision.router_port = is_ready ? gateway : 0; /* 0: nobody speaks. */
    packet->decision.hops = 0;
}

/* The same of what another gateway brought untranslated: the way back, which the policies were asked about, ends at that router's port. */
static __always_inline void reject_prepare_relayed(struct packet *packet, __u32 step)
{
    const struct scratch *scratch = scratch_get();
    __u32 n = scratch ? scratch->passage.n : 0;

    packet->decision.router_port = packet->decision.hops = 0;
    if (!n || !scratch || !reject_is_wanted(packet, step))
        return;
    __u32 gateway = scratch->passage.ports[(n - 1) & (PASSAGE_MAX - 1)];
    const struct router_port_config *port = router_port_get(gateway);
    if (!port || !(port->flags & ROUTER_PORT_EXTERNAL))
        return;
    packet->decision.router_port = gateway;
    packet->vni = port->vni;
}

#endif
