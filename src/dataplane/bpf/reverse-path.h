// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* May somebody outside have sent this?  Rules that name a group of ports believe the source address, so what comes from outside may only
 * have one that is outside: strict reverse path forwarding (RFC 3704, 2.2) at the router that the packet enters by.
 *
 * Refused is a source that is an address, or a MAC, of ours on the external network itself, and one whose way back, by the router's table,
 * is not the port it came to.  Of several next hops one has to be there (2.3).  What our own routers send each other over an external network does not
 * come this way: what leaves one of them there untranslated has to be from where it comes, too. */
#ifndef WEFT_BPF_REVERSE_PATH_H
#define WEFT_BPF_REVERSE_PATH_H

#include "weft/dataplane/bpf/routing.h"

struct reverse_search {
    __u32 group, port;
    __u32 is_found;
};

static long reverse_try(__u32 index, void *context)
{
    struct reverse_search *search = context;
    struct next_hop_key key = {.group = search->group, .bucket = index};
    const struct next_hop_value *hop = map_lookup(next_hops, &key);

    if (!hop || hop->group != key.group || hop->port != search->port)
        return 0;
    search->is_found = 1;
    return 1;
}

/* Would the router send what is for 'address' out of its port 'number'? */
static __always_inline bool reverse_leads_to(__u32 router, const __u8 *address, __u32 number)
{
    struct route_key key ON_STACK = {.prefix_length = 32 + 128, .router = router};

    address_copy(key.address, address);
    const struct route_value *value = map_lookup(routes, &key);
    if (!value || value->router != router || value->flags & ROUTE_LOCAL)
        return false;
    if (value->flags & ROUTE_MANY) {
        struct reverse_search search = {.group = value->port, .port = number, .is_found = frame_unknown(0)};
        frame_loop(NEXT_HOP_BUCKETS, reverse_try, &search);
        return search.is_found;
    }
    /* IPv6's default route covers the mapped form of every IPv4 address. */
    return value->port == number && (address_is_zero(value->next_hop) || address_is_ipv4(value->next_hop) == address_is_ipv4(address));
}

/* Is the MAC one of the network's, wherever its port is? */
static __always_inline bool reverse_mac_is_ours(__u32 vni, const __u8 *mac)
{
    struct fdb_key key ON_STACK = {.vni = vni};

    mac_copy(key.mac, mac);
    return output_of(map_lookup(fdb, &key), vni) != OUTPUT_NONE;
}

/* Is the address that of a port, a router or a floating IP of ours on the network? */
static __always_inline bool reverse_address_is_ours(__u32 vni, const __u8 *address)
{
    __u8 mac[8] ON_STACK;

    return neighbor_find(vni, address, mac) && reverse_mac_is_ours(vni, mac);
}

/* A packet from outside, on the external network packet->vni, is about to enter the router of port 'number'. */
CHECKED_ALONE __u32 reverse_path(const struct packet *packet, __u32 number)
{
    __u8 source[16] ON_STACK;
    const struct router_port_config *port = router_port_get(number);

    if (!packet || !port)
        return DROP_router_down;
    bool ipv4 = packet->flags & PACKET_IPV4;
    address_copy(source, packet->tuple.local);
    if (reverse_mac_is_ours(packet->vni, packet->source) || reverse_address_is_ours(packet->vni, source))
        return DROP_reverse_path;
    if (!ipv4 && source[0] == 0xfe && (source[1] & 0xc0) == 0x80)
        return STEP_CONTINUE; /* Of the link itself, which no route knows: good for what no router passes on. */
    if (!route_knows_address(source, ipv4))
        return DROP_not_routable;
    return reverse_leads_to(port->router, source, number) ? STEP_CONTINUE : DROP_reverse_path;
}

/* May a workload's packet leave a router for an external network with the source that it has, when the last port that it has come by is 'number'?
 * Only from where its answer would be sent: by that port, or by another one on the same network. */
CHECKED_ALONE bool reverse_from_inside(const struct packet *packet, __u32 number)
{
    struct route_key key ON_STACK = {.prefix_length = 32 + 128};
    const struct router_port_config *in = router_port_get(number);

    if (!packet || !in)
        return false;
    key.router = in->router;
    address_copy(key.address, packet->tuple.local);
    if (reverse_leads_to(key.router, key.address, number))
        return true;
    const struct route_value *value = map_lookup(routes, &key);
    if (!value || value->router != key.router || value->flags)
        return false;
    const struct router_port_config *other = router_port_get(value->port);
    return other && other->router == in->router && other->vni == in->vni && reverse_leads_to(key.router, key.address, value->port);
}

#endif
