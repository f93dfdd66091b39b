// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What security groups, and firewalls of routers, decided, for the log: a connection's first packet that passed, each packet that was refused.
 *
 * Only ports that are logged get here (PORT_LOGS, ROUTER_PORT_LOGS), and none of their packets that belong to a connection and pass.  A port has a budget of events
 * of its own: one that is flooded leaves the ring, the agent and the disk to others.  What it cannot pay for, or what the ring has no room
 * for, is counted for the port. */
#ifndef WEFT_BPF_VERDICT_H
#define WEFT_BPF_VERDICT_H

#include "weft/dataplane/bpf/counters.h"
#include "weft/dataplane/bpf/policy.h"

/* What was decided: 0 for "passes", else an enum drop_reason; | VERDICT_WAS_RECEIVED of a packet that the port would receive. */
#define VERDICT_WAS_RECEIVED (1u << 31)

static __always_inline void verdict_fill(struct verdict_event *event, const struct packet *packet, __u32 word)
{
    bool is_icmp = packet->tuple.protocol == IPPROTO_ICMP || packet->tuple.protocol == IPPROTO_ICMPV6;

    event->time_ns = time_ns();
    event->size = packet->size;
    event->reason = word;
    event->ethertype = packet->ethertype;
    event->source_port = is_icmp ? 0 : packet->tuple.local_port;
    event->destination_port = is_icmp ? 0 : packet->tuple.remote_port;
    event->protocol = packet->tuple.protocol;
    event->tcp_flags = packet->tcp_flags;
    event->icmp_type = packet->icmp_type;
    event->icmp_code = packet->icmp_code;
    event->flags = (word & VERDICT_WAS_RECEIVED ? VERDICT_RECEIVED : 0) | (packet->flags & PACKET_LATER_FRAGMENT ? VERDICT_LATER_FRAGMENT : 0);
    event->pad[0] = event->pad[1] = event->pad[2] = 0;
    mac_copy(event->source_mac, packet->source);
    mac_copy(event->destination_mac, packet->destination);
    store32(event->pad_2, 0);
    address_copy(event->source, packet->tuple.local);
    address_copy(event->destination, packet->tuple.remote);
}

/* Room for an event of a port that has this 'runtime', if its budget and the ring have some. */
static __always_inline struct verdict_event *verdict_reserve(struct verdict_runtime *runtime)
{
    __u32 zero = 0;
    const struct verdict_config *config = map_lookup(verdict_config, &zero);

    if (!config)
        return NULL;
    __u64 tokens = bucket_refill(&runtime->time_ns, &runtime->tokens, config->rate, config->burst);
    struct verdict_event *event = tokens ? map_ring_reserve(verdicts, sizeof(struct verdict_event)) : NULL;
    if (event)
        runtime->tokens = tokens - 1; /* As in punt_frame. */
    else
        __sync_fetch_and_add(&runtime->n_left_out, 1);
    return event;
}

/* Whether the port's log wants it is this function's business too.  The rule that let it pass is the one that was found last in scratch
 * memory.  Returns whether an event was written. */
CHECKED_ALONE __u32 verdict_write(const struct packet *packet, const struct port_config *port, __u32 slot, __u32 word)
{
    struct verdict_runtime *runtime = map_lookup(verdict_runtime, &slot);
    const struct scratch *scratch = scratch_get();
    bool passes = !(word & ~VERDICT_WAS_RECEIVED);

    if (!packet || !port || !runtime || !scratch)
        return 0;
    if (passes ? !(port->flags & PORT_LOG_ACCEPT) && !(port->flags & PORT_LOG_RULES && scratch->search.is_logged) : !(port->flags & PORT_LOG_DROP))
        return 0;
    struct verdict_event *event = verdict_reserve(runtime);
    if (!event) {
        TRACE(policy, "is not logged: too many events");
        return 0;
    }
    event->slot = slot;
    event->generation = port->generation;
    event->number = passes ? scratch->search.number : 0;
    verdict_fill(event, packet, word);
    map_ring_submit(event);
    TRACE(policy, "is logged as %s", passes ? "ACCEPT" : "DROP");
    return 1;
}

/* To be called behind policy_judge and before anything else uses its part of scratch memory. */
static __always_inline void verdict_accepted(const struct packet *packet, const struct port_config *port, __u32 slot, bool received)
{
    if (port->flags & (PORT_LOG_ACCEPT | PORT_LOG_RULES) && port->flags & (received ? PORT_INGRESS_POLICY : PORT_EGRESS_POLICY))
        verdict_write(packet, port, slot, received ? VERDICT_WAS_RECEIVED : 0);
}

/* At the end of a program whose packet is dropped: was it policy, or what a connection's state says? */
static __always_inline void verdict_refused(const struct packet *packet, __u32 reason)
{
    __u32 epoch;

    if (reason != DROP_policy_egress && reason != DROP_policy_ingress && reason != DROP_tcp_window)
        return;
    const struct port_config *port = port_config_get(packet->drop_slot, &epoch);
    if (port && port->flags & PORT_LOG_DROP)
        verdict_write(packet, port, packet->drop_slot, reason | (packet->flags & PACKET_ARRIVED ? VERDICT_WAS_RECEIVED : 0));
}

#endif
