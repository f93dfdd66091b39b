// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Fragments at ports with security groups, and where addresses are translated.  Only the first one of a packet has ports: once it is allowed it leaves them in 'fragments', and the
 * later ones take them from there and belong to the connection as well.  A later one whose first was not allowed, or comes after it, is refused:
 * nobody knows what it belongs to.
 *
 * Each port has its own places, and so has each router for what comes from an external network, so that what one is sent never costs another one's fragments.  A packet's name decides which set of
 * FRAGMENT_WAYS places it may have; the one that is longest ago makes room.  Nothing is locked: 'check' fits only a packet's name and
 * the very ports that were written with it, so that a place which two CPUs write at once is nobody's.
 *
 * A first fragment that is too large for a network on the way goes to the agent to be cut.  Its place says so, and the later ones go the same way,
 * however small: else the last one would be at the receiver before the first. */
#ifndef WEFT_BPF_FRAGMENT_H
#define WEFT_BPF_FRAGMENT_H

#include "weft/dataplane/bpf/flow.h"

#define FRAGMENT_TIME (30000000000ull >> FLOW_TIME_SHIFT)

/* The places of a port; without one those of the router whose gateway port is 'slot'. */
static __always_inline struct port_fragments *fragment_places(const struct port_config *port, __u32 slot)
{
    if (port)
        return map_lookup(fragments, &slot);
    slot &= OUTSIDE_FRAGMENTS - 1;
    return map_lookup(outside_fragments, &slot);
}

/* Source, destination, protocol and identification (RFC 791, RFC 8200), whose they are and which way they go, in a word that nobody can choose. */
static __always_inline __u64 fragment_name(const struct packet *packet, const struct port_config *port, bool received)
{
    __u64 rest = (__u64)packet->fragment_id << 32 | (__u64)packet->tuple.protocol << 24 | (__u64)received << 23 |
                 ((port ? port->generation : packet->vni) & 0x7fffff);

    return (flow_hash(packet->tuple.local, packet->tuple.remote) ^ rest) * 0x9e3779b97f4a7c15ull;
}

static __always_inline __u64 fragment_check(__u64 name, __u64 ports)
{
    return name ^ ports * 0xbf58476d1ce4e5b9ull;
}

/* Set in 'check': the agent has the first one.  Whoever does not know of it takes the place for another packet's. */
#define FRAGMENT_AT_AGENT 1ull

static __always_inline bool fragment_fits(__u64 check, __u64 name, __u64 ports)
{
    return !((check ^ fragment_check(name, ports)) & ~FRAGMENT_AT_AGENT);
}

static __always_inline __u32 fragment_age(__u64 ports, __u32 now)
{
    return flow_age(now, ports >> 32);
}

/* A later fragment gets the ports of its first. */
CHECKED_ALONE __u32 fragment_take(struct packet *packet, const struct port_config *port, __u32 slot, __u32 received)
{
    struct port_fragments *table = fragment_places(port, slot);

    if (!packet || !table)
        return DROP_no_buffer;
    __u64 name = fragment_name(packet, port, received);
    __u32 set = name >> 56 & (FRAGMENTS_PER_PORT - FRAGMENT_WAYS), now = flow_now();

#pragma GCC unroll 1
    for (__u32 i = 0; i < FRAGMENT_WAYS; i++) {
        const struct fragment *place = &table->places[(set + i) & (FRAGMENTS_PER_PORT - 1)];
        __u64 ports = *(const volatile __u64 *)&place->ports, check = *(const volatile __u64 *)&place->check;
        if (!fragment_fits(check, name, ports) || fragment_age(ports, now) > FRAGMENT_TIME)
            continue;
        if (check != fragment_check(name, ports))
            packet->flags |= PACKET_FOLLOWS;
        packet->tuple.local_port = ports;
        packet->tuple.remote_port = ports >> 16;
        packet->flags |= PACKET_HAS_FLOW;
        TRACE(flow, "a fragment of what came before it");
        return STEP_CONTINUE;
    }
    return DROP_fragment_unknown;
}

/* The first fragment of a packet has been allowed. */
CHECKED_ALONE __u32 fragment_note(struct packet *packet, const struct port_config *port, __u32 slot, __u32 received)
{
    struct port_fragments *table = fragment_places(port, slot);

    if (!packet || !table || !(packet->flags & PACKET_HAS_FLOW))
        return STEP_CONTINUE;
    __u64 name = fragment_name(packet, port, received);
    __u32 set = name >> 56 & (FRAGMENTS_PER_PORT - FRAGMENT_WAYS), now = flow_now(), oldest = 0, best = set;
    __u64 ports = (__u64)now << 32 | (__u32)packet->tuple.remote_port << 16 | packet->tuple.local_port;

#pragma GCC unroll 1
    for (__u32 i = 0; i < FRAGMENT_WAYS; i++) {
        const struct fragment *place = &table->places[(set + i) & (FRAGMENTS_PER_PORT - 1)];
        __u64 there = *(const volatile __u64 *)&place->ports;
        __u32 age = fragment_age(there, now);
        if (fragment_fits(*(const volatile __u64 *)&place->check, name, there) || !there)
            age = 0xffffffff; /* It comes again, or nobody has been here. */
        if (age >= oldest) {
            oldest = age;
            best = set + i;
        }
    }
    struct fragment *place = &table->places[best & (FRAGMENTS_PER_PORT - 1)];
    *(volatile __u64 *)&place->ports = ports;
    *(volatile __u64 *)&place->check = fragment_check(name, ports);
    if (!port || !received)
        packet->fragment_place = (best & (FRAGMENTS_PER_PORT - 1)) + 1;
    return STEP_CONTINUE;
}

/* The agent got the first fragment, which was noted in a place of 'slot', or of the gateway port 'slot'.  Should another CPU have given that place to
 * another packet just now, that one's later fragments go by the agent too, or are nobody's. */
static __always_inline void fragment_is_at_agent(const struct packet *packet, const struct port_config *port, __u32 slot)
{
    struct port_fragments *table = fragment_places(port, slot);

    if (table && packet->fragment_place)
        *(volatile __u64 *)&table->places[(packet->fragment_place - 1) & (FRAGMENTS_PER_PORT - 1)].check ^= FRAGMENT_AT_AGENT;
}

static __always_inline bool packet_is_first_fragment(const struct packet *packet)
{
    return (packet->flags & (PACKET_FRAGMENT | PACKET_LATER_FRAGMENT)) == PACKET_FRAGMENT;
}

#endif
