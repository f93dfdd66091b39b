// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The devices of this host into physical networks.
 *
 * In: a device may carry the host's own addresses, and the tunnels, too.  So a frame is ours only if its VLAN is one of our networks' and it
 * is IP for an address of ours there, or behind a router of ours, or asks for one, or is for a workload's MAC (bridge.h); everything else passes to the
 * host's stack as it came.  What only tells something (ARP replies, advertisements) is shown to the agent and passes too; so does broadcast,
 * of which workloads get copies.
 *
 * Out: the network outside knows all our addresses by the device's own MAC; those of routers never leave. */
#ifndef WEFT_BPF_UPLINK_H
#define WEFT_BPF_UPLINK_H

#include "weft/dataplane/bpf/bridge.h"
#include "weft/dataplane/bpf/external.h"
#include "weft/dataplane/bpf/known.h"
#include "weft/dataplane/bpf/neighbor.h"
#include "weft/dataplane/bpf/reject.h"
#include "weft/dataplane/bpf/reverse-path.h"
#include "weft/dataplane/bpf/router-icmp.h"

/* What is to be resolved costs who sends it: the port, or the router whose packet another host brought. */
static __always_inline bool uplink_may_ask(const struct packet *packet)
{
    __u32 slot = packet->slot, unused;

    if (!slot)
        return outside_spend(packet->decision.router_port, BUDGET_UNRESOLVED, UNRESOLVED_RATE);
    const struct port_config *port = port_config_get(slot, &unused);
    return port && punt_spend(slot, port, PUNT_NEIGHBOR);
}

/* To the agent: a frame that is complete but for the MAC of its next hop. */
CHECKED_ALONE __u32 uplink_ask(struct __sk_buff *skb, const struct packet *packet)
{
    struct route_hop hop = {};

    if (!packet)
        return DROP_no_port;
    const struct router_port_config *out = router_port_get(packet->decision.router_port);
    if (!out || !route_find(out->router, packet, &hop))
        return DROP_no_route;
    if (!uplink_may_ask(packet))
        return DROP_punt_budget;
    return punt_write(skb, packet, PUNT_WORD(PUNT_NEIGHBOR, 0, 0), hop.address);
}

/* To the agent, too: a frame by which a station says that the address is its. */
static __noinline void uplink_show(struct __sk_buff *skb, const struct packet *packet, const __u8 *address)
{
    const __u8 nowhere[16] ON_STACK = {};
    __u8 mac[8] ON_STACK;
    struct uplink_budget *budget = uplink_budget_of(packet->vni);
    __u32 kind = neighbor_find(packet->vni, address, mac) && mac_same(mac, packet->source) ? UPLINK_CONFIRMED : UPLINK_NEWS;

    if (budget && bucket_spend(&budget->of[kind].time_ns, &budget->of[kind].tokens, SEEN_RATE))
        punt_write(skb, packet, PUNT_WORD(PUNT_NEIGHBOR_SEEN, 0, 0), nowhere);
}

/* So that the agent does not take away what is in use. */
static __always_inline void uplink_note_use(__u32 vni, const __u8 *mac)
{
    __u32 index = station_index(vni, mac), now = time_ns() >> STATION_TIME_SHIFT;
    __u32 *used = map_lookup(station_use, &index);

    if (used && *used != now)
        *used = now;
}

/* Somebody outside sent what ends at a router of ours, for this reason: the agent tells them, in the router's name, by the way that it came
 * ('back': OUTPUT_UPLINK, or the host that brought it).  The frame is as it came, and packet->decision says which router.  Returns the reason. */
CHECKED_ALONE __u32 uplink_error(struct __sk_buff *skb, struct packet *packet, __u32 reason, __u32 back)
{
    const __u8 nowhere[16] ON_STACK = {};

    if (!packet || packet->slot || !packet->decision.router_port || packet->flags & PACKET_LATER_FRAGMENT)
        return reason;
    __u32 word = router_error(packet, reason);
    if (!word || !outside_spend(packet->decision.router_port, BUDGET_ERRORS, OUTSIDE_ERROR_RATE))
        return reason;
    packet->decision.output = back;
    punt_write(skb, packet, word, nowhere);
    return reason;
}

/* ---- out ------------------------------------------------------------------------------------------------------------------------------- */

/* Out of this host's uplink of packet->vni, to the station with packet->destination; that is zero when its MAC is not known yet: then the
 * agent finds it, and sends the frame. */
CHECKED_ALONE __u32 uplink_send(struct __sk_buff *skb, struct packet *packet)
{
    struct uplink_value uplink ON_STACK = {};

    if (!packet || !uplink_of_network(packet->vni, &uplink))
        return DROP_no_uplink;
    if (packet_l3_size(skb, packet) > uplink.mtu)
        return DROP_too_big;
    unsigned char *frame = frame_at(skb, 0, ETH_HLEN);
    if (!frame)
        return DROP_truncated;
    mac_copy(frame, packet->destination);
    mac_copy(frame + 6, uplink.mac);
    if (mac_is_zero(packet->destination)) {
        TRACE(uplink, "the next hop's MAC is not known: the agent asks for it");
        return uplink_ask(skb, packet);
    }
    uplink_note_use(packet->vni, packet->destination);
    TRACE(uplink, "out of interface %u, VLAN %u, to %s", uplink.ifindex, uplink.vlan, trace_mac(packet->destination));
    return uplink_transmit(skb, &uplink);
}

/* ---- in -------------------------------------------------------------------------------------------------------------------------------- */

static __always_inline bool external_announced(__u32 vni, __u32 address)
{
    const struct external_value *value = external_find(vni, address);

    return value && value->kind != EXTERNAL_HOST && value->flags & EXTERNAL_ANNOUNCED;
}

/* Does the network know a station by this address already? */
static __always_inline bool uplink_is_neighbor(__u32 vni, const __u8 *address)
{
    __u8 mac[8] ON_STACK;

    return neighbor_find(vni, address, mac);
}

CHECKED_ALONE __u32 uplink_arp(struct __sk_buff *skb, const struct packet *packet, const struct uplink_value *uplink)
{
    struct arp_frame arp = {};
    __u8 sender[16] ON_STACK;

    if (!packet || !uplink || !arp_read(skb, &arp))
        return NOT_OURS;
    address_map_ipv4(sender, arp.sender);
    if (arp.operation == 2 || arp.sender == arp.target) {
        /* An answer, maybe to the agent, or a station that has moved.  The host may want to know, too. */
        if ((arp.operation == 2 && mac_same(packet->destination, uplink->mac)) || uplink_is_neighbor(packet->vni, sender))
            uplink_show(skb, packet, sender);
        return NOT_OURS;
    }
    if (arp.operation != 1 || !external_announced(packet->vni, arp.target) || mac_same(arp.sender_mac, uplink->mac))
        return NOT_OURS;
    __u32 step = uplink_untag(skb, uplink);
    unsigned char *frame = frame_at(skb, 0, ETH_HLEN + 28);
    if (step != STEP_CONTINUE || !frame)
        return DROP_no_buffer;
    mac_copy(frame, arp.sender_mac);
    mac_copy(frame + 6, uplink->mac);
    store16(frame + 20, bpf_htons(2));
    mac_copy(frame + 22, uplink->mac);
    store32(frame + 28, arp.target);
    mac_copy(frame + 32, arp.sender_mac);
    store32(frame + 38, arp.sender);
    TRACE(uplink, "ARP answered: %s is here", trace_ipv4(arp.target));
    return uplink_transmit(skb, uplink);
}

/* The port of a router or a load balancer that has an IPv6 address on the network, if this host answers for it; 0: none. */
static __always_inline __u32 uplink_router(__u32 vni, const __u8 *address)
{
    __u8 mac[8] ON_STACK;

    if (!neighbor_find(vni, address, mac))
        return 0;
    __u32 number = switch_router_port(vni, mac);
    const struct router_port_config *port = number ? router_port_get(number) : NULL;
    bool is_ours = port && port->vni == vni && port->flags & ROUTER_PORT_UP && port->flags & ROUTER_PORT_ANNOUNCED;
    return is_ours ? number : 0;
}

/* A load balancer's own address, on the network itself: it is at no router. */
static __always_inline bool uplink_is_service(const struct packet *packet, __u32 number)
{
    const struct router_port_config *port = router_port_get(number);

    return port && port->flags & ROUTER_PORT_SERVICE && port->vni == packet->vni;
}

/* Solicitations for routers' and load balancers' addresses, and what tells of stations. */
CHECKED_ALONE __u32 uplink_nd(struct __sk_buff *skb, const struct packet *packet, const struct uplink_value *uplink)
{
    __u8 target[16] ON_STACK;

    if (!packet || !uplink || packet->l4 != ETH_HLEN + 40 || packet->flags & PACKET_FRAGMENT)
        return NOT_OURS;
    const unsigned char *frame = frame_at(skb, 0, ETH_HLEN + 40 + 24);
    if (!frame || frame[ETH_HLEN + IPV6_HOP_LIMIT] != 255)
        return NOT_OURS; /* From beyond the link (RFC 4861, 7.1): nobody is told. */
    address_copy(target, frame + ETH_HLEN + 48);
    if (packet->icmp_type == ND_ADVERTISEMENT) {
        if (mac_same(packet->destination, uplink->mac) || uplink_is_neighbor(packet->vni, target))
            uplink_show(skb, packet, target);
        return NOT_OURS;
    }
    __u32 number = uplink_router(packet->vni, target);
    if (mac_same(packet->source, uplink->mac) || !number)
        return NOT_OURS;
    __u32 step = uplink_untag(skb, uplink);
    if (step == STEP_CONTINUE)
        step = neighbor_advertise(skb, packet, target, uplink->mac, !uplink_is_service(packet, number));
    return step & STEP_DONE && uplink->vlan ? uplink_transmit(skb, uplink) : step;
}

/* What is for a network behind a router of ours, untranslated, or for the router itself. */
CHECKED_ALONE __u32 uplink_routed(struct __sk_buff *skb, struct packet *packet, const struct uplink_value *uplink)
{
    struct route_key key ON_STACK = {.prefix_length = 32 + 128};

    if (!packet || !uplink)
        return NOT_OURS;
    key.router = ROUTER_OUTSIDE | packet->vni;
    address_copy(key.address, packet->tuple.remote);
    const struct route_value *route = map_lookup(routes, &key);
    if (route && (route->router != key.router || route->flags & ROUTE_LOCAL))
        return NOT_OURS;
    __u32 number = route ? route->port : uplink_router(packet->vni, packet->tuple.remote);
    if (!number)
        return NOT_OURS;
    __u32 step = reverse_path(packet, number);
    if (step == STEP_CONTINUE)
        step = uplink_untag(skb, uplink);
    bool is_here = !route && uplink_is_service(packet, number);
    if (step == STEP_CONTINUE && is_here)
        packet->decision = (struct decision){.output = OUTPUT_SERVICE | number, .router_port = number, .hops = 1};
    else if (step == STEP_CONTINUE)
        step = route_walk(skb, packet, number);
    bool is_service = step == STEP_CONTINUE && output_is_service(packet->decision.output);
    bool is_asked = (step == ROUTE_IS_LOCAL || is_service) && router_is_asked_for_echo(packet);
    if ((step == ROUTE_IS_LOCAL || is_asked) && !is_here) { /* Maybe behind another router. */
        __u32 refused = firewall_sends(skb, packet);
        if (refused != STEP_CONTINUE) {
            packet->decision.router_port = number;
            packet->decision.hops = 0;
            return uplink_error(skb, packet, refused, OUTPUT_UPLINK);
        }
    }
    if (is_service && !is_asked) {
        packet->decision.gateway = number;
        packet->decision.output = OUTPUT_UPLINK;
        return STEP_SERVICE;
    }
    if (is_asked) {
        step = router_echo(skb, packet);
        return step & STEP_DONE && uplink->vlan ? uplink_transmit(skb, uplink) : step;
    }
    if (step == ROUTE_IS_LOCAL || step == ROUTE_LEAVES)
        step = step == ROUTE_LEAVES ? DROP_no_route : DROP_router_itself;
    if (step != STEP_CONTINUE)
        return uplink_error(skb, packet, step, OUTPUT_UPLINK);
    if (packet->decision.flags & DECISION_FRAGMENT && (packet->decision.output & OUTPUT_KIND_MASK) != OUTPUT_LOCAL)
        return DROP_too_big; /* The agent's pieces would not say that no firewall was asked yet. */
    reject_note(skb, packet);
    step = route_apply(skb, packet);
    if (step != STEP_CONTINUE)
        return step;
    __u32 output = packet->decision.output;
    packet->flags |= PACKET_FROM_OUTSIDE;
    if ((output & OUTPUT_KIND_MASK) == OUTPUT_LOCAL) {
        step = deliver_local(skb, packet, output & OUTPUT_SLOT_MASK);
        if (!reject_is_firewall(step))
            return step;
        reject_prepare(skb, packet, step, number, false);
        return uplink_error(skb, packet, step, OUTPUT_UPLINK);
    }
    return tunnel_send(skb, packet, output & OUTPUT_SLOT_MASK, packet->vni, TUNNEL_WORD(TUNNEL_UNICAST, TUNNEL_HOPS_OUTSIDE, 0));
}

/* IPv4 for an address of ours. */
static __always_inline __u32 uplink_ipv4(struct __sk_buff *skb, struct packet *packet, const struct uplink_value *uplink)
{
    const struct external_value *value = external_find(packet->vni, load32(packet->tuple.remote + 12));

    if (!value)
        return uplink_routed(skb, packet, uplink);
    if (value->kind == EXTERNAL_HOST)
        return NOT_OURS;
    __u32 step = known_arrive(skb, packet, value, uplink);
    if (step != STEP_CONTINUE)
        return step;
    step = reverse_path(packet, value->router_port);
    if (step == STEP_CONTINUE)
        step = uplink_untag(skb, uplink);
    if (step == STEP_CONTINUE)
        step = external_arrive(skb, packet, 0);
    if (step == ARRIVAL_ECHO) { /* Back to who asked, by the way it came. */
        mac_copy(packet->destination, packet->source);
        return uplink_send(skb, packet);
    }
    if (step == STEP_CONTINUE)
        return DROP_unknown_translation;
    packet->decision.output = OUTPUT_UPLINK; /* The way back. */
    return step & STEP_DONE || step == STEP_SERVICE ? step : uplink_error(skb, packet, step, OUTPUT_UPLINK);
}

/* Which of our networks the frame came from. */
static __always_inline bool uplink_find(const struct __sk_buff *skb, const struct packet *packet, struct uplink_value *ret)
{
    struct uplink_key key = {.ifindex = skb->ifindex};

    if (skb->vlan_present) {
        if (skb->vlan_proto != bpf_htons(ETH_P_8021Q) || packet->ethertype == bpf_htons(ETH_P_8021Q))
            return false;
        key.vlan = skb->vlan_tci & 0xfff;
    }
    return uplink_read(map_lookup(uplinks, &key), ret) && ret->ifindex == key.ifindex && ret->vlan == key.vlan;
}

/* A frame to everybody, or to the device. */
static __always_inline __u32 uplink_for_us(struct __sk_buff *skb, struct packet *packet, const struct uplink_value *uplink)
{
    if (packet->ethertype == bpf_htons(ETH_P_ARP))
        return uplink_arp(skb, packet, uplink);
    if (packet->flags & PACKET_IPV6 && packet->tuple.protocol == IPPROTO_ICMPV6 && !(packet->flags & PACKET_LATER_FRAGMENT) &&
        (packet->icmp_type == ND_SOLICITATION || packet->icmp_type == ND_ADVERTISEMENT))
        return uplink_nd(skb, packet, uplink);
    if (!mac_same(packet->destination, uplink->mac))
        return NOT_OURS;
    if (packet->flags & PACKET_IPV4)
        return uplink_ipv4(skb, packet, uplink);
    return packet->flags & PACKET_IPV6 ? uplink_routed(skb, packet, uplink) : NOT_OURS;
}

static __always_inline __u32 uplink_frame(struct __sk_buff *skb, struct packet *packet)
{
    struct uplink_value uplink ON_STACK = {};

    if (parse_ethernet(skb, packet) != STEP_CONTINUE || !uplink_find(skb, packet, &uplink) || parse_whole(skb, packet) != STEP_CONTINUE)
        return NOT_OURS;
    packet->vni = uplink.vni;
    bool is_group = packet->destination[0] & 1;
    if (!is_group && !mac_same(packet->destination, uplink.mac))
        return bridge_in(skb, packet, &uplink);
    __u32 step = uplink_for_us(skb, packet, &uplink);
    return step == NOT_OURS && is_group ? bridge_flood_in(skb, packet, &uplink) : step;
}

#endif
