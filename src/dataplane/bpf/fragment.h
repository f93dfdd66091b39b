// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Fragments at ports with security groups.  Only the first one of a packet has ports: it leaves them in 'fragments', and the later ones take
 * them from there and belong to the connection as well.  A later one whose first was not seen (or comes after it) is refused: nobody knows what
 * it belongs to.  The port's slot is in the key, so that what a workload sends and what it is sent do not mix. */
#ifndef WEFT_BPF_FRAGMENT_H
#define WEFT_BPF_FRAGMENT_H

#include "weft/dataplane/bpf/parse.h"

#define FRAGMENT_TIME_NS 30000000000ull

/* The kernel gives the memory of an element that it evicts to another one at once. */
static __always_inline __u32 fragment_check(const struct packet *packet, __u32 slot)
{
    return packet->fragment_id * 0x9e3779b1u ^ load32(packet->tuple.local + 12) ^ load32(packet->tuple.remote + 12) * 3 ^ slot << 8 ^
           packet->tuple.protocol;
}

CHECKED_ALONE __u32 fragment_ports(struct packet *packet, __u32 slot)
{
    struct fragment_key key ON_STACK = {};

    if (!packet)
        return DROP_no_port;
    key.vni = packet->vni;
    key.id = packet->fragment_id;
    key.protocol = packet->tuple.protocol | slot << 8;
    address_copy(key.source, packet->tuple.local);
    address_copy(key.destination, packet->tuple.remote);
    if (!(packet->flags & PACKET_LATER_FRAGMENT)) {
        struct fragment_value first ON_STACK = {.time_ns = time_ns(), .local_port = packet->tuple.local_port,
                                                .remote_port = packet->tuple.remote_port, .pad = fragment_check(packet, slot)};
        if (packet->flags & PACKET_HAS_FLOW)
            map_put(fragments, &key, &first);
        return STEP_CONTINUE;
    }
    const struct fragment_value *known = map_lookup(fragments, &key);
    if (!known || known->pad != fragment_check(packet, slot) || time_ns() - known->time_ns > FRAGMENT_TIME_NS)
        return DROP_fragment_unknown;
    packet->tuple.local_port = known->local_port;
    packet->tuple.remote_port = known->remote_port;
    packet->flags |= PACKET_HAS_FLOW;
    TRACE(flow, "a fragment of what came before it");
    return STEP_CONTINUE;
}

#endif
