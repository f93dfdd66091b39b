// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A packet from an uplink, of a connection that its port knows: one look at the connection's entry, and it is translated and delivered.
 *
 * What its name leads to may be taken without asking anything else when the entry is of the port's epoch, and so is the answer whether somebody
 * outside may have sent the packet (reverse-path.h).  Of that the entry has its own stamp, since what the workload sends renews the other one, and
 * the MAC that was seen, since that is no part of the connection.  In one word, so that they belong together.  The stamp is read before the tables that answer.
 *
 * All else goes the long way (external.h): first packets, other epochs, fragments, ICMP errors, what is too large or at the end of its TTL. */
#ifndef WEFT_BPF_KNOWN_H
#define WEFT_BPF_KNOWN_H

#include "weft/dataplane/bpf/external.h"

/* What an entry remembers of a sender. */
static __always_inline __u64 sender_word(__u32 stamp, const __u8 *mac)
{
    return (__u64)stamp << 32 | (load32(mac + 2) ^ load16(mac) * 0x9e3779b1u);
}

/* The connection that a packet for the address of 'value' is of, if it is one that nothing else has to be asked for. */
static __always_inline bool known_key(const struct alias_key *name, const struct external_value *value, struct flow_key *ret)
{
    __u32 kind = value->kind, output = value->output;
    __u8 protocol = name->vni_protocol;

    if (kind == EXTERNAL_ROUTER)
        return nat_alias_find(name, ret);
    if (kind != EXTERNAL_FLOATING || (output & OUTPUT_KIND_MASK) != OUTPUT_LOCAL)
        return false;
    nat_key(ret, output & OUTPUT_SLOT_MASK, protocol, value->address, name->port, name->remote,
            protocol == IPPROTO_ICMP ? bpf_htons(ICMP_ECHO_TYPE) : name->remote_port);
    return true;
}

/* Will the port take the frame, as the router sends it? */
static __always_inline bool known_fits(const struct __sk_buff *skb, const struct packet *packet, const struct port_config *port)
{
    const unsigned char *header = frame_at(skb, ETH_HLEN, 20);

    return header && header[IPV4_TTL] > 1 && packet_l3_size(skb, packet) <= port->mtu && port->ifindex && port->flags & PORT_ADMIN_UP;
}

/* To the port of the connection: all has been decided. */
static __always_inline __u32 known_deliver(struct __sk_buff *skb, struct packet *packet, const struct port_config *port,
                                           struct flow_entry *entry, const struct flow_key *key)
{
    __u32 slot = flow_key_slot(key);
    struct rewrite ends ON_STACK = {key->remote, key->local, packet->tuple.protocol == IPPROTO_ICMP ? key->local_port : key->remote_port,
                                    key->local_port};

    packet->drop_slot = slot;
    packet->flags |= PACKET_FROM_OUTSIDE;
    packet->decision.output = OUTPUT_LOCAL | slot;
    packet->decision.router_port = packet->decision.gateway = entry->gateway;
    packet->decision.flags = DECISION_TRANSLATED;
    __u32 step = external_hop(skb, packet, port->mac, entry->remote_mac);
    if (step == STEP_CONTINUE)
        step = translate_frame(skb, packet, &ends);
    packet->vni = port->vni;
    if (step == STEP_CONTINUE && port->flags & PORT_POLICY) {
        step = flow_track(skb, packet, port, entry, slot | TRACK_RECEIVED);
        if (step != STEP_CONTINUE)
            packet->flags |= PACKET_ARRIVED;
    }
    if (step != STEP_CONTINUE)
        return step;
    flow_account(entry, packet, 1);
    TRACE(flow, "known connection, of somebody who may send it");
    TRACE(translate, "arrives as %s", trace_address(packet->tuple.remote));
    return deliver_frame(skb, packet, port, slot);
}

/* A packet for 'value', an address of ours.  STEP_CONTINUE: it has to go the long way, and is as it was. */
CHECKED_ALONE __u32 known_arrive(struct __sk_buff *skb, struct packet *packet, const struct external_value *value,
                                 const struct uplink_value *uplink)
{
    struct alias_key name ON_STACK;
    struct flow_key key ON_STACK;
    struct scratch *scratch = scratch_get();
    __u32 epoch;

    if (!packet || !value || !uplink || !scratch)
        return DROP_no_port;
    scratch->sender.slot = 0;
    if (!(packet->flags & PACKET_HAS_FLOW) || packet->flags & PACKET_FRAGMENT)
        return STEP_CONTINUE;
    if (value->kind == EXTERNAL_ROUTER && packet->tuple.protocol == IPPROTO_ICMP && packet->icmp_type == ICMP_ECHO_TYPE)
        return STEP_CONTINUE; /* The router answers. */
    external_call(packet, &name);
    if (!known_key(&name, value, &key))
        return STEP_CONTINUE;
    __u32 slot = flow_key_slot(&key);
    const struct port_config *port = port_config_get(slot, &epoch);
    if (!port)
        return STEP_CONTINUE;
    __u32 stamp = flow_stamp(epoch, port->generation);
    scratch->sender.word = sender_word(stamp, packet->source);
    scratch->sender.slot = slot;
    scratch->sender.gateway = value->router_port;
    struct flow_entry *entry = nat_entry_find(&key);
    if (!entry || *(volatile __u32 *)&entry->stamp != stamp || *(volatile __u64 *)&entry->sender != scratch->sender.word || !entry->sender ||
        !nat_entry_has(entry, &name) || entry->generation != port->generation || entry->gateway != value->router_port ||
        !flow_is_usual(entry, packet, true) || !known_fits(skb, packet, port))
        return STEP_CONTINUE;
    __u32 step = uplink_untag(skb, uplink);
    return step == STEP_CONTINUE ? known_deliver(skb, packet, port, entry, &key) : step;
}

#endif
