// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Port security: a workload speaks only as itself.
 *
 * Its MAC and addresses are the port's own or those of an allowed address pair ('sources').  That holds for Ethernet, IPv4
 * and IPv6 sources, for the sender inside ARP (RFC 826) and for the target and options inside neighbor discovery
 * (RFC 4861).  Its link-local address is the one made from its MAC (RFC 4291, appendix A) unless 'sources' says more.  The
 * unspecified address passes only where a host has no other yet: DHCP (RFC 2131), duplicate address detection (RFC 4862),
 * router solicitation, multicast listener reports (RFC 3590).  Nobody but the platform serves DHCP or advertises routers
 * (RFC 7610, RFC 6105); discovery in fragments is refused (RFC 6980). */
#ifndef WEFT_BPF_SECURITY_H
#define WEFT_BPF_SECURITY_H

#include "weft/dataplane/bpf/parse.h"

#define DHCP4_SERVER_PORT 67
#define DHCP4_CLIENT_PORT 68
#define DHCP6_CLIENT_PORT 546
#define DHCP6_SERVER_PORT 547

#define MLD_REPORT 131
#define MLD_DONE 132
#define ND_ROUTER_SOLICITATION 133
#define ND_ROUTER_ADVERTISEMENT 134
#define ND_SOLICITATION 135
#define ND_ADVERTISEMENT 136
#define ND_REDIRECT 137
#define MLD2_REPORT 143
#define ND_MAX_OPTIONS 8

static __always_inline bool address_is_eui64(const __u8 *address, const __u8 *mac)
{
    return load64(address) == bpf_cpu_to_be64(0xfe80000000000000ull) && address[8] == (mac[0] ^ 2) &&
           address[9] == mac[1] && address[10] == mac[2] && address[11] == 0xff && address[12] == 0xfe &&
           address[13] == mac[3] && address[14] == mac[4] && address[15] == mac[5];
}

static __noinline bool security_allows(const struct port_config *port, const struct packet *packet, const __u8 *address,
                                       const __u8 *mac)
{
    if (!port || !packet || !address || !mac || address_is_zero(address))
        return false;
    if (mac_same(mac, port->mac)) {
        if (address_equal(address, port->ip4) || address_equal(address, port->ip6) || address_is_eui64(address, port->mac))
            return true;
    }
    struct source_key key = {.prefix_length = 32 + 128, .slot = packet->slot};
    address_copy(key.address, address);
    const struct source_value *value = map_lookup(sources, &key);
    if (!value || value->slot != packet->slot)
        return false;
    for (__u32 i = 0; i < MAX_SOURCE_MACS; i++)
        if (i < value->n_macs && mac_same(value->mac[i], mac))
            return true;
    return false;
}

static __always_inline __u32 security_source(const struct port_config *port, const struct packet *packet)
{
    if (security_allows(port, packet, packet->tuple.local, packet->source))
        return STEP_CONTINUE;
    return mac_same(packet->source, port->mac) ? DROP_spoofed_ip : DROP_spoofed_mac;
}

static __always_inline __u32 security_ipv4(const struct port_config *port, const struct packet *packet)
{
    bool is_udp = packet->tuple.protocol == IPPROTO_UDP && !(packet->flags & PACKET_LATER_FRAGMENT);

    if (is_udp && packet->tuple.remote_port == bpf_htons(DHCP4_CLIENT_PORT))
        return DROP_dhcp_server;
    bool asks_dhcp = is_udp && packet->tuple.local_port == bpf_htons(DHCP4_CLIENT_PORT) &&
                     packet->tuple.remote_port == bpf_htons(DHCP4_SERVER_PORT);
    /* The agent answers it and nobody else sees it (punt_reason_of), so a workload may still renew an address that was taken
     * from it: how else would it be told, before its lease ends? */
    if (asks_dhcp && port->flags & PORT_DHCP4 && !(packet->flags & PACKET_FRAGMENT) && mac_same(packet->source, port->mac))
        return STEP_CONTINUE;
    if (load32(packet->tuple.local + 12) == 0) {
        if (!mac_same(packet->source, port->mac))
            return DROP_spoofed_mac;
        return asks_dhcp ? STEP_CONTINUE : DROP_spoofed_ip;
    }
    return security_source(port, packet);
}

struct nd_options {
    const struct __sk_buff *skb;
    const struct packet *packet;
    __u32 offset, end;
    __u32 step;
};

static long security_nd_option(__u32 index, void *context)
{
    struct nd_options *state = context;

    if (state->offset == state->end) {
        state->step = STEP_CONTINUE;
        return 1;
    }
    state->step = DROP_bad_header;
    if (state->offset + 8 > state->end)
        return 1;
    const unsigned char *option = frame_at(state->skb, state->offset, 8);
    if (!option) {
        state->step = DROP_truncated;
        return 1;
    }
    if (!option[1])
        return 1;
    if ((option[0] == 1 || option[0] == 2) && !mac_same(option + 2, state->packet->source)) {
        state->step = DROP_spoofed_nd;
        return 1;
    }
    state->offset += option[1] * 8u;
    return 0;
}

/* Every link-layer address option must be the sender's own MAC.  A helper's loop, not an unrolled one: Linux 6.1's verifier walks
 * every combination of offsets of an unrolled one. */
static __always_inline __u32 security_nd_options(const struct __sk_buff *skb, const struct packet *packet, __u32 offset)
{
    const unsigned char *header = frame_at(skb, ETH_HLEN, 40);

    if (!header)
        return DROP_truncated;
    struct nd_options state = {
        .skb = skb,
        .packet = packet,
        .offset = offset,
        .end = ETH_HLEN + 40 + bpf_ntohs(load16(header + 4)),
        .step = frame_unknown(DROP_bad_header),
    };
    frame_loop(ND_MAX_OPTIONS + 1, security_nd_option, &state);
    return state.step;
}

static __noinline __u32 security_nd(const struct __sk_buff *skb, const struct port_config *port, const struct packet *packet)
{
    __u32 fixed = packet->icmp_type == ND_ROUTER_SOLICITATION ? 8 : 24;
    __u32 l4 = packet->l4;
    const unsigned char *header = frame_at(skb, ETH_HLEN, 40);

    if (!header)
        return DROP_truncated;
    if (packet->flags & PACKET_FRAGMENT || header[7] != 255)
        return DROP_bad_header;
    if (l4 + fixed > ETH_HLEN + 40u + bpf_ntohs(load16(header + 4)))
        return DROP_bad_header;
    header = frame_at(skb, l4, fixed == 8 ? 8 : 24);
    if (!header)
        return DROP_truncated;
    bool unspecified = address_is_zero(packet->tuple.local);
    if (!unspecified) {
        __u32 step = security_source(port, packet);
        if (step != STEP_CONTINUE)
            return step;
    } else if (packet->icmp_type == ND_ADVERTISEMENT) {
        return DROP_spoofed_ip;
    } else if (packet->icmp_type == ND_ROUTER_SOLICITATION && !mac_same(packet->source, port->mac)) {
        return DROP_spoofed_mac;
    }
    /* Whoever advertises an address, or is about to use it, must own it. */
    if (packet->icmp_type == ND_ADVERTISEMENT || (packet->icmp_type == ND_SOLICITATION && unspecified)) {
        __u8 target[16] ON_STACK;
        header = frame_at(skb, l4, 24);
        if (!header)
            return DROP_truncated;
        address_copy(target, header + 8);
        if (!security_allows(port, packet, target, packet->source))
            return DROP_spoofed_nd;
    }
    return security_nd_options(skb, packet, l4 + fixed);
}

static __always_inline __u32 security_ipv6(const struct __sk_buff *skb, const struct port_config *port,
                                           const struct packet *packet)
{
    if (!(packet->flags & PACKET_LATER_FRAGMENT)) {
        if (packet->tuple.protocol == IPPROTO_UDP && packet->tuple.remote_port == bpf_htons(DHCP6_CLIENT_PORT))
            return DROP_dhcp_server;
        if (packet->tuple.protocol == IPPROTO_ICMPV6) {
            __u8 type = packet->icmp_type;
            if (type == ND_ROUTER_ADVERTISEMENT)
                return DROP_dhcp_server;
            if (type == ND_REDIRECT)
                return DROP_spoofed_nd;
            if (type == ND_ROUTER_SOLICITATION || type == ND_SOLICITATION || type == ND_ADVERTISEMENT)
                return security_nd(skb, port, packet);
            if ((type == MLD_REPORT || type == MLD_DONE || type == MLD2_REPORT) && address_is_zero(packet->tuple.local))
                return mac_same(packet->source, port->mac) ? STEP_CONTINUE : DROP_spoofed_mac;
        }
    }
    return security_source(port, packet);
}

struct arp_frame { /* Offsets behind the Ethernet header (RFC 826), for Ethernet and IPv4. */
    __u8 sender_mac[8];
    __u32 sender, target;
    __u16 operation;
};

/* Returns false unless the frame is ARP for IPv4 over Ethernet. */
static __always_inline bool arp_read(const struct __sk_buff *skb, struct arp_frame *ret)
{
    const unsigned char *arp = frame_at(skb, ETH_HLEN, 28);

    if (!arp || load32(arp) != bpf_htonl(0x00010800) || load16(arp + 4) != bpf_htons(0x0604))
        return false;
    ret->operation = bpf_ntohs(load16(arp + 6));
    mac_copy(ret->sender_mac, arp + 8);
    ret->sender = load32(arp + 14);
    ret->target = load32(arp + 24);
    return true;
}

static __always_inline __u32 security_arp(const struct __sk_buff *skb, const struct port_config *port,
                                          const struct packet *packet)
{
    struct arp_frame arp = {};
    __u8 sender[16] ON_STACK;

    if (!frame_at(skb, ETH_HLEN, 28))
        return DROP_truncated;
    if (!arp_read(skb, &arp))
        return DROP_bad_header;
    if (!mac_same(arp.sender_mac, packet->source))
        return DROP_spoofed_arp;
    if (!arp.sender && arp.operation == 1) /* A probe (RFC 5227) claims nothing. */
        return mac_same(packet->source, port->mac) ? STEP_CONTINUE : DROP_spoofed_mac;
    address_map_ipv4(sender, arp.sender);
    if (security_allows(port, packet, sender, arp.sender_mac))
        return STEP_CONTINUE;
    return mac_same(packet->source, port->mac) ? DROP_spoofed_arp : DROP_spoofed_mac;
}

CHECKED_ALONE __u32 security_check(const struct __sk_buff *skb, const struct port_config *port, const struct packet *packet)
{
    if (!port || !packet)
        return DROP_no_port;
    if (packet->flags & PACKET_IPV4)
        return security_ipv4(port, packet);
    if (packet->flags & PACKET_IPV6)
        return security_ipv6(skb, port, packet);
    if (packet->ethertype == bpf_htons(ETH_P_ARP))
        return security_arp(skb, port, packet);
    return mac_same(packet->source, port->mac) ? DROP_ethertype : DROP_spoofed_mac;
}

#endif
