// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Load balancers, on the host of the client's port.
 *
 * Switching and routing lead a client's packet to the balancer's address as to any other, on its own host: there the MAC is behind
 * OUTPUT_SERVICE.  A new connection gets a member (balance_decide), by a hash into the rows of its listener's pool; its entry names it.  From then
 * on each packet looks at the member's record only: one that is down or gone ends its connections, and one that has no rows any more goes on
 * with those it has.
 *
 * The member's host translates (balance-member.h), so the packet goes there as it is, of kind DIRECT_RETURN; and what comes back is already from the
 * balancer's address (balance_return).
 *
 * Echo requests to the address are answered here, and where nothing listens a closed port's answer is given. */
#ifndef WEFT_BPF_BALANCE_H
#define WEFT_BPF_BALANCE_H

#include "weft/dataplane/bpf/deliver.h"
#include "weft/dataplane/bpf/router-icmp.h"
#include "weft/dataplane/bpf/translate.h"

/* ---- tables --------------------------------------------------------------------------------------------------------------------------- */

static __always_inline const struct service_value *service_find(struct balancing *scratch, __u32 vni, const __u8 *address, __u16 port, __u8 protocol)
{
    struct service_key *key = &scratch->service;

    key->vni = vni;
    key->port = port;
    key->protocol = protocol;
    key->pad = 0;
    address_copy(key->address, address);
    const struct service_value *value = map_lookup(services, key);
    return value && value->vni == vni && value->port == port && value->protocol == protocol && value->check == load32(address + 12) ? value : NULL;
}

static __always_inline const struct service_member *service_member_find(__u32 number)
{
    const struct service_member *member = map_lookup(service_members, &number);

    return member && member->number == number ? member : NULL;
}

/* What it is called in the tunnel. */
static __always_inline void service_member_mac(const struct service_member *member, __u8 *ret)
{
    ret[0] = SERVICE_NAME_MAC;
    ret[1] = member->name.second;
    store32(ret + 2, bpf_htonl(member->name.first));
}

/* The largest packet that comes to it. */
static __always_inline __u32 balance_mtu(const struct service_member *member)
{
    __u32 output = member->output, mtu = member->mtu, room = tunnel_room(output & OUTPUT_SLOT_MASK);

    return (output & OUTPUT_KIND_MASK) == OUTPUT_REMOTE && room < mtu ? room : mtu;
}

/* Does the member, as 'name' says, still serve? */
static __always_inline bool service_member_serves(const struct service_member *member, __u32 name, __u32 balancer)
{
    return member && member->name.first == name && member->balancer == balancer && member->flags & SERVICE_MEMBER_UP && member->output != OUTPUT_NONE;
}

/* The network of the balancer's address that the packet has been led to. */
static __always_inline __u32 balance_vni(const struct packet *packet)
{
    const struct router_port_config *port = packet->decision.router_port ? router_port_get(packet->decision.router_port) : NULL;

    return port ? port->vni : packet->vni;
}

/* ---- which member ------------------------------------------------------------------------------------------------------------------------ */

/* The same on every host. */
static __always_inline __u64 balance_hash(const __u8 *client, __u16 client_port, __u16 vip_port, const struct service_value *service)
{
    __u64 high = bpf_be64_to_cpu(load64(client)), low = bpf_be64_to_cpu(load64(client + 8));
    __u64 ports = (__u64)bpf_ntohs(client_port) << 16 | bpf_ntohs(vip_port), hash = service->seed;
    __u32 length = service->source_length;

    if (service->flags & SERVICE_BY_SOURCE) {
        ports = 0;
        if (length <= 64)
            low = 0;
        else if (length < 128)
            low &= ~0ull << ((128 - length) & 63);
        if (!length)
            high = 0;
        else if (length < 64)
            high &= ~0ull << ((64 - length) & 63);
    }
    hash = (hash ^ high) * 0x9e3779b97f4a7c15ull;
    hash = (hash ^ hash >> 32 ^ low) * 0xbf58476d1ce4e5b9ull;
    hash = (hash ^ hash >> 29 ^ ports) * 0x94d049bb133111ebull;
    hash = (hash ^ hash >> 32) * 0xd6e8feb86659fd93ull;
    return hash ^ hash >> 32;
}

/* The row that 32 bits of a hash choose; NULL: none. */
static __always_inline const struct service_row *balance_row(const struct service_value *service, __u32 hash)
{
    __u32 row = (__u64)hash * service->n_rows >> 32;
    __u64 place = row % SERVICE_ROWS_PER_BLOCK;
    struct service_rows_key key = {.pool = service->pool, .index = SERVICE_ROWS_INDEX(service->n_rows, row / SERVICE_ROWS_PER_BLOCK)};
    const struct service_rows *block = map_lookup(service_rows, &key);

#ifdef __bpf__
    asm volatile("" : "+r"(place)); /* The verifier shall see the bound below, which clang knows to hold. */
#endif
    if (!block || block->pool != key.pool || block->index != key.index || place >= SERVICE_ROWS_PER_BLOCK)
        return NULL;
    return &block->rows[place];
}

/* Whose it is; 0: nobody's. */
static __always_inline __u32 balance_owner(const struct service_value *service, __u32 hash)
{
    const struct service_row *row = balance_row(service, hash);

    return row ? row->owner : 0;
}

/* Signed: for a moment others may have taken off what is not added yet. */
static __always_inline __s64 balance_use(__u32 number)
{
    const struct service_use *use = map_lookup(member_use, &number);

    return use ? (__s64)*(const volatile __u64 *)&use->n_connections : 0;
}

/* Has the listener as many connections as it may? */
static __always_inline bool balance_is_full(const struct service_value *service)
{
    __u32 listener = service->listener;
    const struct service_use *use = map_lookup(listener_use, &listener);

    return service->flags & SERVICE_FULL || (service->limit && use && (__s64)*(const volatile __u64 *)&use->n_connections >= (__s64)(__u64)service->limit);
}

static __always_inline bool balance_may_call(const __u8 *client, bool ipv4, const struct service_value *service)
{
    struct service_source_key key ON_STACK = {.prefix_length = 32 + 128, .listener = service->listener};

    if (!(service->flags & SERVICE_RESTRICTED))
        return true;
    address_copy(key.address, client);
    const __u64 *value = map_lookup(service_sources, &key);
    __u64 found = value ? *(const volatile __u64 *)value : 0;
    return value && (__u32)found == key.listener && found >> 32 == (ipv4 ? RULE_IPV4 : RULE_IPV6);
}

/* A member for a new connection; 0: there is none. */
static __always_inline __u32 balance_choose(const struct packet *packet, const struct service_value *service)
{
    __u64 hash = balance_hash(packet->tuple.local, packet->tuple.local_port, packet->tuple.remote_port, service);

    if (!service->pool || !service->n_rows)
        return 0;
    __u32 number = balance_owner(service, hash);
    if (service->flags & SERVICE_LEAST && number) {
        __u32 other = balance_owner(service, hash >> 32);
        if (other && balance_use(other) < balance_use(number))
            number = other;
    }
    return number;
}

static __always_inline void balance_count_refused(__u32 listener)
{
    struct service_counters *counters = map_lookup(service_counters, &listener);

    if (counters)
        counters->n_refused++;
}

/* Is it a segment of a connection that there is not, at a listener whose connections end by silence?  It would begin another one with whoever is chosen now. */
static __always_inline bool balance_is_late(const struct packet *packet, const struct service_value *service)
{
    return service->flags & SERVICE_IDLES && packet->tuple.protocol == IPPROTO_TCP && !(packet->flags & PACKET_LATER_FRAGMENT) &&
           (packet->tcp_flags & (TCP_SYN | TCP_ACK | TCP_FIN | TCP_RST)) != TCP_SYN;
}

/* Takes a member for a connection that has none. */
static __always_inline __u32 balance_begin(struct packet *packet, const struct service_value *service)
{
    __u32 listener = service->listener;
    struct service_counters *counters = map_lookup(service_counters, &listener);

    if (balance_is_full(service)) {
        balance_count_refused(listener);
        return DROP_service_limit;
    }
    __u32 number = balance_choose(packet, service);
    const struct service_member *member = number ? service_member_find(number) : NULL;
    if (!member || !service_member_serves(member, member->name.first, service->balancer)) {
        TRACE(balance, "nobody serves: %u rows in pool %u, member %u", service->n_rows, service->pool, number);
        balance_count_refused(listener);
        return DROP_service_no_member;
    }
    TRACE(balance, "new connection: member %u (%08x), %s port %u", number, member->name.first, trace_address(member->address), bpf_ntohs(member->port));
    packet->decision.output = OUTPUT_MEMBER | number;
    packet->decision.object = member->name.first;
    packet->decision.gateway = listener;
    packet->decision.flags = DECISION_BOUND;
    if (counters)
        counters->n_connections++;
    return STEP_CONTINUE;
}

/* A packet that the workload in packet->slot sends has come to a balancer's address.  STEP_CONTINUE: packet->decision says which member has the
 * connection. */
CHECKED_ALONE __u32 balance_decide(struct __sk_buff *skb, struct packet *packet, const struct port_config *port, struct flow_entry *entry)
{
    struct scratch *scratch = scratch_get();

    if (!packet || !port || !scratch || !(packet->flags & (PACKET_IPV4 | PACKET_IPV6)))
        return DROP_unknown_destination;
    if (entry && !output_is_service(packet->decision.output)) {
        TRACE(balance, "the address is no load balancer's any more");
        flow_end(entry);
        return DROP_member_gone;
    }
    __u32 vni = balance_vni(packet), error = PUNT_WORD(PUNT_UNREACHABLE, UNREACHABLE_PORT, 0), step;
    __u8 protocol = packet->tuple.protocol;
    const struct service_value *service = service_find(&scratch->balancing, vni, packet->tuple.remote, 0, 0);
    if (!service)
        return DROP_unknown_destination; /* The MAC is the balancer's, the address is not. */
    bool is_up = service->flags & SERVICE_UP;
    if (is_up && router_is_asked_for_echo(packet)) {
        TRACE(balance, "echo to a load balancer's address");
        return router_echo(skb, packet);
    }
    if (packet->flags & PACKET_LATER_FRAGMENT && !(packet->flags & PACKET_HAS_FLOW))
        return DROP_fragment_unknown;
    service = service_find(&scratch->balancing, vni, packet->tuple.remote, packet->tuple.remote_port, protocol);
    if (!is_up || !service || !(service->flags & SERVICE_UP) || !translate_has_ports(protocol)) {
        step = DROP_service_no_listener;
        if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6)
            error = 0;
        else if (!translate_has_ports(protocol))
            error = PUNT_WORD(PUNT_UNREACHABLE, UNREACHABLE_PROTOCOL, 0);
    } else if (!balance_may_call(packet->tuple.local, packet->flags & PACKET_IPV4, service)) {
        step = DROP_service_denied;
        error = 0;
        if (entry)
            flow_end(entry);
    } else if (entry && output_is_member(entry->output)) { /* The way to the address is another, or was judged again. */
        packet->decision.output = entry->output;
        packet->decision.object = balanced_member_name(entry);
        packet->decision.gateway = balanced_listener(entry);
        packet->decision.flags = DECISION_BOUND;
        return STEP_CONTINUE;
    } else if (entry) {
        flow_end(entry); /* The address was somebody else's: the next packet begins anew. */
        return DROP_member_gone;
    } else if (balance_is_late(packet, service)) {
        step = DROP_member_gone;
    } else {
        step = balance_begin(packet, service);
    }
    if (step != STEP_CONTINUE && error && !(packet->flags & PACKET_LATER_FRAGMENT))
        punt_frame(skb, packet, port, error);
    return step;
}

/* ---- known connections ----------------------------------------------------------------------------------------------------------------------- */

/* The client's connection is over, and its SYN begins another one, which is decided as any new one: whether it may, and to whom it goes.  It does not count any
 * more, for a limit that it had reached itself. */
static __always_inline void balance_end_of(struct flow_entry *entry)
{
    TRACE(balance, "a new connection in the place of one that is over");
    flow_end(entry);
}

/* A packet of the port's workload whose entry is a balanced connection's, of a client or of a member.  STEP_CONTINUE: it has to be decided
 * again; STEP_BALANCE: packet->decision says where it goes. */
CHECKED_ALONE __u32 balance_known(struct __sk_buff *skb, struct packet *packet, const struct port_config *port, struct flow_entry *entry)
{
    if (!packet || !port || !entry)
        return DROP_no_port;
    __u32 output = entry->output;
    bool is_client = output_is_member(output);

    if (*(volatile __u32 *)&entry->stamp != packet->stamp || !mac_same(packet->source, port->mac))
        return STEP_CONTINUE;
    if (is_client && (entry->output_generation != BALANCED_DECIDED || !mac_same(entry->remote_mac, packet->destination) ||
                      (entry->flags & FLOW_ROUTED && !route_holds(skb, packet, entry))))
        return STEP_CONTINUE;
    if (port->flags & PORT_POLICY) {
        __u32 step = flow_track(skb, packet, port, entry, packet->slot);
        if (step != STEP_CONTINUE)
            return step;
    }
    if (packet_is_first_fragment(packet))
        fragment_note(packet, port, packet->slot, 0);
    flow_get_decision(entry, packet);
    packet->decision.object = balanced_member_name(entry);
    packet->decision.gateway = balanced_listener(entry);
    flow_account(entry, packet, 0);
    TRACE(flow, is_client ? "known connection of a load balancer" : "known connection that came by a load balancer");
    return STEP_BALANCE;
}

/* An ICMP error that the workload sends: is it about a balanced connection of its port?  Then STEP_BALANCE. */
CHECKED_ALONE __u32 balance_error(struct __sk_buff *skb, struct packet *packet)
{
    struct flow_key key ON_STACK;

    if (!packet)
        return DROP_no_port;
    struct packet *quoted = related_quoted(skb, packet);
    if (!quoted)
        return STEP_CONTINUE;
    flow_key_make(&key, packet->slot, quoted, true);
    const struct flow_entry *entry = flow_find(&key, quoted, true);
    if (!entry || !output_is_service(entry->output))
        return STEP_CONTINUE;
    flow_get_decision(entry, packet);
    packet->decision.object = balanced_member_name(entry);
    packet->decision.gateway = balanced_listener(entry);
    TRACE(balance, "an error about a balanced connection");
    return STEP_BALANCE;
}

/* ---- what is too large ------------------------------------------------------------------------------------------------------------------ */

/* The frame is for another host, as tunnel_send() would send it with 'word', and more than 'mtu' bytes, or a part of what is: the agent cuts it.  Its pieces do
 * not have the argument: to_tunnel() finds it by the source MAC, which says nothing on the way back. */
CHECKED_ALONE __u32 balance_cut(struct __sk_buff *skb, struct packet *packet, __u32 host_slot, __u32 word, __u32 mtu)
{
    unsigned char *frame = frame_at(skb, 0, ETH_HLEN);

    if (!packet || !frame)
        return DROP_truncated;
    if ((word >> 4 & 15) == TUNNEL_HOPS_BACK) {
        store16(packet->source, bpf_htons(SERVICE_NAME_MAC << 8));
        store32(packet->source + 2, bpf_htonl(word >> 8));
    }
    mac_copy(frame, packet->destination);
    mac_copy(frame + 6, packet->source);
    packet->decision.output = OUTPUT_REMOTE | host_slot;
    packet->decision.mtu = mtu;
    return punt_fragment(skb, packet, word);
}

/* Of a piece that the agent has made: with its argument. */
CHECKED_ALONE __u32 balance_word_of_piece(const struct packet *packet, __u32 vni, __u32 how)
{
    __u32 hops = how >> 4 & 15, argument = 0;
    bool unused;

    if (!packet)
        return TUNNEL_UNICAST;
    if (hops == TUNNEL_HOPS_BACK)
        argument = bpf_ntohl(load32(packet->source + 2)) & FLOOD_KEY_MASK;
    else if (!hops)
        argument = switch_lookup(vni, packet->source, &unused) & OUTPUT_SLOT_MASK & FLOOD_KEY_MASK; /* Of the client, which sent it. */
    return TUNNEL_WORD(how & 15, hops, argument);
}

/* The packet will be delivered to a port here, and is larger than its network takes, or a part of what is: the agent cuts it. */
static __always_inline void balance_cut_here(struct packet *packet, __u32 slot, __u32 size, __u32 mtu)
{
    if (size > mtu)
        packet->decision.flags |= DECISION_FRAGMENT;
    if (!punt_is_fragment(packet))
        return;
    packet->decision.output = OUTPUT_LOCAL | slot;
    packet->decision.mtu = mtu;
}

/* ---- answers: at the client's host -------------------------------------------------------------------------------------------------------- */

/* What the member 'number' of another host answers is too large for its client's network: it goes back, for that host to tell the member, which knows its
 * client by another name.  That costs the client what a packet to the agent costs. */
CHECKED_ALONE __u32 balance_send_back(struct __sk_buff *skb, struct packet *packet, const struct port_config *port, __u32 number)
{
    const struct service_member *member = service_member_find(number);

    if (!packet || !port || !member || (member->output & OUTPUT_KIND_MASK) != OUTPUT_REMOTE || !(packet->flags & PACKET_FROM_TUNNEL) ||
        packet->flags & PACKET_LATER_FRAGMENT || !punt_spend(packet->drop_slot, port, PUNT_TOO_BIG))
        return DROP_too_big;
    service_member_mac(member, packet->destination);
    TRACE(balance, "too large for its client's network, of %u bytes: back to the member's host", port->mtu);
    __u32 step = tunnel_send(skb, packet, member->output & OUTPUT_SLOT_MASK, port->vni, TUNNEL_WORD(TUNNEL_DIRECT_RETURN, TUNNEL_HOPS_TOO_BIG, port->mtu));
    if (!(step & STEP_DONE))
        return DROP_too_big;
    count_drop(packet->drop_slot, DROP_too_big);
    return step;
}

/* What a member answers, translated, for a client's port of this host: it gets it from whom it called. */
CHECKED_ALONE __u32 balance_return(struct __sk_buff *skb, struct packet *packet)
{
    struct flow_key key ON_STACK;
    struct scratch *scratch = scratch_get();
    __u32 slot = scratch ? scratch->balancing.value.slot : 0, epoch;
    const struct port_config *port = port_config_get(slot, &epoch);

    if (!packet || !port || !slot)
        return DROP_unknown_destination;
    packet->drop_slot = slot;
    if (packet->flags & PACKET_FROM_TUNNEL && packet->flags & PACKET_LATER_FRAGMENT) {
        __u32 step = fragment_take(packet, port, slot, 0);
        if (step != STEP_CONTINUE)
            return step;
    }
    const struct packet *named = packet;
    bool is_error = related_is_error(packet);
    if (is_error) {
        named = related_quoted(skb, packet);
        if (!named)
            return DROP_unknown_translation;
    }
    flow_key_make(&key, slot, named, !is_error);
    struct flow_entry *entry = flow_find(&key, named, !is_error);
    unsigned char *frame = frame_at(skb, 0, ETH_HLEN);
    if (!entry || !output_is_member(entry->output) || entry->generation != port->generation || !frame)
        return DROP_unknown_translation;
    __u32 size = packet_l3_size(skb, packet);
    if (size > port->mtu && !punt_may_cut(skb, packet))
        return is_error ? DROP_too_big : balance_send_back(skb, packet, port, entry->output & OUTPUT_MEMBER_MASK);
    mac_copy(packet->source, entry->remote_mac);
    mac_copy(frame, packet->destination);
    mac_copy(frame + 6, packet->source);
    if (packet->flags & PACKET_FROM_TUNNEL && packet_is_first_fragment(packet))
        fragment_note(packet, port, slot, 0);
    packet->vni = port->vni;
    packet->decision = (struct decision){};
    balance_cut_here(packet, slot, size, port->mtu);
    __u32 listener = balanced_listener(entry);
    struct service_counters *counters = map_lookup(service_counters, &listener);
    if (counters) {
        counters->from_packets += packet->segments;
        counters->from_bytes += packet_wire_bytes(packet);
    }
    if (!(port->flags & (PORT_INGRESS_POLICY | PORT_ROUTER_FIREWALL | PORT_MEMBER)) && !is_error)
        flow_account(entry, packet, 1);
    TRACE(balance, "back to the client, from %s", trace_address(packet->tuple.local));
    return deliver_local(skb, packet, slot);
}

#endif
