// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Security groups: what a port's rules let its workload send and receive.
 *
 * A port has two rule sets ('policies'), each a list of blocks of rules ('rules').  A packet passes when a rule fits it; the first packet of
 * a connection is judged and the connection's entry remembers it (stateful.h).  A set never changes: a port that gets other rules
 * gets another set, and the old one is deleted afterwards.  Whoever still reads the old one may find less than there was; then, if
 * that came to a refusal, the port's new set is asked.
 *
 * What a workload cannot be without passes always, as in Neutron's own drivers: ARP; on the link, discovery of neighbors and routers and the
 * multicast listener query (RFC 4861, RFC 2710); DHCP within a network whose server is one of its workloads.  Port security has seen to it
 * before that no workload answers for others, and what the platform itself tells a workload does not come this way. */
#ifndef WEFT_BPF_POLICY_H
#define WEFT_BPF_POLICY_H

#include "weft/dataplane/bpf/balanced.h"
#include "weft/dataplane/bpf/parse.h"
#include "weft/dataplane/bpf/security.h"

#define POLICY_BLOCKS_MAX 65536
#define MLD_QUERY 130

enum policy_verdict {
    POLICY_DENIES,
    POLICY_ALLOWS,
    POLICY_STATELESS, /* This packet, and nothing follows from it. */
};

/* What to judge, beside the packet: an enum policy_direction, and whether the packet is one that the port receives.  The two differ for
 * a packet that answers: its connection is judged as it was begun. */
#define POLICY_RECEIVED 2u
#define POLICY_BY_ITSELF 4u /* An echo reply is what it is, not part of what was asked for. */

static __always_inline bool policy_is_member(const struct policy_search *search, __u32 group, __u32 flags)
{
    if (flags & RULE_GROUP) {
        struct member_key key ON_STACK = {.group = group};
        address_copy(key.address, search->address);
        const __u64 *member = map_lookup(members, &key);
        if (member && *(const volatile __u64 *)member == group)
            return true;
    }
    if (flags & RULE_GROUP_PREFIXES) {
        struct member_prefix_key key ON_STACK = {.prefix_length = 32 + 128, .group = group};
        address_copy(key.address, search->address);
        const __u64 *member = map_lookup(member_prefixes, &key);
        __u64 value = member ? *(const volatile __u64 *)member : 0;
        if (member && (__u32)value == group && (!(value >> 32) || value >> 32 == search->family))
            return true;
    }
    return false;
}

/* Is the address, as two numbers, in a prefix of 'length' bits? */
static __always_inline bool policy_prefix_fits(const __u8 *prefix, __u32 length, __u64 high, __u64 low)
{
    if (!length)
        return true;
    high ^= bpf_be64_to_cpu(load64(prefix));
    low ^= bpf_be64_to_cpu(load64(prefix + 8));
    return !(length < 64 ? high >> (64 - length) : high || (length > 64 && low >> ((128 - length) & 63)));
}

static __always_inline bool policy_fits(const struct policy_search *search, const struct rule *rule)
{
    __u32 flags = rule->flags, length = rule->prefix_length;

    if (!(flags & search->family) || (flags & RULE_PROTOCOL && rule->protocol != search->protocol))
        return false;
    if (flags & RULE_PORTS) {
        if (search->is_icmp) {
            if (search->port != rule->port_min || (rule->port_max != 0xffff && rule->port_max != search->code))
                return false;
        } else if (search->port < rule->port_min || search->port > rule->port_max) {
            return false;
        }
    }
    if (!policy_prefix_fits(rule->address, length, search->high, search->low))
        return false;
    return !(flags & (RULE_GROUP | RULE_GROUP_PREFIXES)) || policy_is_member(search, rule->group, flags);
}

/* Can a rule of the block fit at all? */
static __always_inline bool policy_block_fits(const struct policy_search *search, const struct rules_common *common)
{
    __u32 flags = common->flags;

    return !flags || (flags & search->family && (!(flags & RULE_PROTOCOL) || common->protocol == search->protocol) &&
                      (!(flags & RULE_PORTS) || (search->port >= common->port_min && search->port <= common->port_max)));
}

static long policy_block(__u32 index, void *context)
{
    struct policy_search *search = *(struct policy_search **)context;
    struct rules_key key = {.set = search->set, .index = index};
    const struct rules_block *block = map_lookup(rules, &key);

    if (!block || block->set != key.set || block->index != index)
        return 1;
    __u32 n = block->n;
    if (!policy_block_fits(search, &block->common))
        return n < RULES_PER_BLOCK;
#pragma GCC unroll 1
    for (__u32 i = 0; i < RULES_PER_BLOCK; i++) {
        if (i >= n)
            return 1;
        const struct rule *rule = &block->rules[i];
        if (!policy_fits(search, rule))
            continue;
        __u32 flags = rule->flags, number = rule->number;
        if (*(const volatile __u32 *)&block->set != key.set || *(const volatile __u32 *)&block->index != index)
            return 1; /* Was deleted under us, and is another set's. */
        search->number = number;
        search->is_logged = !!(flags & RULE_LOG);
        search->verdict = POLICY_ALLOWS;
        if (!(flags & RULE_STATELESS))
            return 1;
        search->verdict = POLICY_STATELESS; /* Unless a later one makes a connection. */
    }
    return 0;
}

/* The rule set of a port. */
static __always_inline __u32 policy_set(__u32 slot, __u32 direction)
{
    const struct port_policy *policy = map_lookup(policies, &slot);
    union {
        __u64 word;
        struct port_policy policy;
    } copy = {.word = policy ? *(const volatile __u64 *)policy : 0};

    return direction == POLICY_INGRESS ? copy.policy.rule_set[POLICY_INGRESS] : copy.policy.rule_set[POLICY_EGRESS];
}

/* Does the port's policy allow the packet, or the connection that it belongs to?  'how' is a direction | POLICY_RECEIVED.  Returns an
 * enum policy_verdict. */
CHECKED_ALONE __u32 policy_judge(const struct packet *packet, __u32 slot, __u32 how)
{
    if (!packet)
        return POLICY_DENIES;
    __u32 direction = how & 1;
    bool received = how & POLICY_RECEIVED, outwards = direction == POLICY_EGRESS;
    bool has_flow = packet->flags & PACKET_HAS_FLOW;
    struct scratch *scratch = scratch_get();

    if (!scratch || !(packet->flags & (PACKET_IPV4 | PACKET_IPV6)))
        return POLICY_DENIES;
    struct policy_search *search = &scratch->search;
    *search = (struct policy_search){
        .family = packet->flags & PACKET_IPV6 ? RULE_IPV6 : RULE_IPV4,
        .protocol = packet->tuple.protocol,
        .set = policy_set(slot, direction),
        .verdict = POLICY_DENIES,
    };
    if (received)
        address_copy(search->address, packet->tuple.local);
    else
        address_copy(search->address, packet->tuple.remote);
    search->high = bpf_be64_to_cpu(load64(search->address));
    search->low = bpf_be64_to_cpu(load64(search->address + 8));
    search->is_icmp = search->protocol == IPPROTO_ICMP || search->protocol == IPPROTO_ICMPV6;
    if (search->is_icmp) {
        search->port = has_flow && !(how & POLICY_BY_ITSELF) ? bpf_ntohs(packet->tuple.remote_port) : packet->icmp_type; /* Of an echo, the request's type. */
        search->code = packet->icmp_code;
    } else {
        search->port = bpf_ntohs(outwards == received ? packet->tuple.local_port : packet->tuple.remote_port);
    }
    frame_loop(POLICY_BLOCKS_MAX, policy_block, &search);
    __u32 set = policy_set(slot, direction);
    if (search->verdict == POLICY_DENIES && set != search->set) {
        search->set = set;
        frame_loop(POLICY_BLOCKS_MAX, policy_block, &search);
    }
    if (search->verdict == POLICY_DENIES)
        TRACE(policy, "%s: %s", outwards ? "egress" : "ingress", set == RULE_SET_NO_ROOM ? "this host has no room for the port's rules" : "no rule lets it pass");
    else
        TRACE(policy, "%s: rule %08x lets it pass%s", outwards ? "egress" : "ingress", search->number,
              search->verdict == POLICY_STATELESS ? ", and no answer" : "");
    return search->verdict;
}

/* Does a router or a load balancer have a part in the frame's way?  It comes from one, or from outside, or it is for one. */
static __noinline bool policy_is_routed(const struct packet *packet, bool received)
{
    struct fdb_key key ON_STACK = {.vni = packet->vni};

    if (packet->decision.router_port || packet->decision.flags & DECISION_TRANSLATED || output_is_service(packet->decision.output))
        return true;
    mac_copy(key.mac, received ? packet->source : packet->destination);
    __u32 output = output_of(map_lookup(fdb, &key), packet->vni);
    return (output & OUTPUT_KIND_MASK) == OUTPUT_ROUTER || output_is_service(output);
}

/* DHCP with a server that is a workload of the same network.  Where the platform answers nobody else does, and its answers do not come
 * this way; beyond a router or load balancer it is traffic as any other: what a client asks there, and the answer to that, is a connection. */
static __always_inline bool policy_exempts_dhcp(const struct packet *packet, const struct port_config *port, bool received)
{
    bool ipv6 = packet->flags & PACKET_IPV6;
    __u16 server = ipv6 ? bpf_htons(DHCP6_SERVER_PORT) : bpf_htons(DHCP4_SERVER_PORT);
    __u16 client = ipv6 ? bpf_htons(DHCP6_CLIENT_PORT) : bpf_htons(DHCP4_CLIENT_PORT);

    if (packet->tuple.local_port != (received ? server : client) || packet->tuple.remote_port != (received ? client : server))
        return false;
    if (port->flags & (ipv6 ? PORT_DHCP6 : PORT_DHCP4) || policy_is_routed(packet, received))
        return false;
    /* Clients have no other address yet (RFC 8415, 7.1). */
    return !ipv6 || !received || (load16(packet->tuple.remote) & bpf_htons(0xffc0)) == bpf_htons(0xfe80);
}

/* Discovery, and queries for listeners: on the link, where they mean something.  Beyond a router the same types are traffic as any other, and their
 * hop limits say that they never passed one (RFC 4861, 7.1; RFC 2710, 3). */
static __always_inline bool policy_exempts_link(const struct packet *packet, bool received)
{
    __u8 type = packet->icmp_type;
    const __u8 *source = packet->tuple.local;

    if (type != ND_SOLICITATION && type != ND_ADVERTISEMENT && type != MLD_QUERY && (type != ND_ROUTER_SOLICITATION || received))
        return false;
    if (packet->hop_limit != (type == MLD_QUERY ? 1 : 255) && !(source[0] == 0xfe && (source[1] & 0xc0) == 0x80) && !address_is_zero(source))
        return false;
    return !policy_is_routed(packet, received);
}

/* Is it of the kinds that pass whatever the rules of 'port' say? */
static __always_inline bool policy_exempts(const struct packet *packet, const struct port_config *port, bool received)
{
    if (packet->ethertype == bpf_htons(ETH_P_ARP))
        return true;
    if (packet->flags & PACKET_FRAGMENT)
        return false;
    if (packet->flags & PACKET_IPV6 && packet->tuple.protocol == IPPROTO_ICMPV6)
        return policy_exempts_link(packet, received);
    return packet->tuple.protocol == IPPROTO_UDP && policy_exempts_dhcp(packet, port, received);
}

/* The port's word about a direction that it may have no policy for. */
static __always_inline __u32 policy_of(const struct packet *packet, const struct port_config *port, __u32 slot, __u32 how)
{
    __u32 flag = how & POLICY_INGRESS ? PORT_INGRESS_POLICY : PORT_EGRESS_POLICY;

    return port->flags & flag ? policy_judge(packet, slot, how) : POLICY_ALLOWS;
}

static __always_inline __u32 policy_reason(__u32 direction)
{
    return direction == POLICY_INGRESS ? DROP_policy_ingress : DROP_policy_egress;
}

#endif
