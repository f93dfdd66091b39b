// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* To a workload of this host: the ingress step of the destination's port runs here, in the sender's program, because
 * bpf_redirect_peer skips whatever is attached on the way. */
#ifndef WEFT_BPF_DELIVER_H
#define WEFT_BPF_DELIVER_H

#include "weft/dataplane/bpf/punt.h"
#include "weft/dataplane/bpf/stateful.h"

/* Whatever the port has to say has been said. */
static __always_inline __u32 deliver_frame(struct __sk_buff *skb, const struct packet *packet, const struct port_config *port, __u32 slot)
{
    count_received(slot, packet->segments, packet_wire_bytes(packet));
    TRACE(deliver, "port slot %u, interface %u", slot, port->ifindex);
    /* redirect_peer hands the frame to the stack of the other side as it is, so skb->protocol must be right; the device's
     * own transmit path finds it out again. */
    if (port->flags & PORT_REDIRECT_PEER && skb->protocol == packet->ethertype)
        return VERDICT(bpf_redirect_peer(port->ifindex, 0));
    return VERDICT(bpf_redirect(port->ifindex, 0));
}

static __always_inline __u32 deliver_local(struct __sk_buff *skb, struct packet *packet, __u32 slot)
{
    __u32 epoch;
    const struct port_config *port = port_config_get(slot, &epoch);

    /* The network is compared whatever said "this slot": a stale answer must never cross into another tenant. */
    if (!port || !slot || port->vni != packet->vni)
        return DROP_unknown_destination;
    if (!port->ifindex || !(port->flags & PORT_ADMIN_UP)) {
        packet->drop_slot = slot;
        return DROP_destination_down;
    }
    if (port->flags & (PORT_INGRESS_POLICY | PORT_ROUTER_FIREWALL | PORT_MEMBER) || packet->decision.flags & DECISION_TRANSLATED) {
        __u32 step = flow_receive(skb, packet, port, slot, flow_stamp(epoch, port->generation));
        if (step != STEP_CONTINUE) {
            packet->drop_slot = slot;
            packet->flags |= PACKET_ARRIVED;
            return step;
        }
        if (port->flags & (PORT_INGRESS_POLICY | PORT_ROUTER_FIREWALL) && packet_is_first_fragment(packet))
            fragment_note(packet, port, slot, 1);
    }
    if (punt_is_fragment(packet))
        return punt_fragment(skb, packet, TUNNEL_UNICAST);
    return deliver_frame(skb, packet, port, slot);
}

#endif
