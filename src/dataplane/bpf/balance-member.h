// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Load balancers, on the member's host: what a client sent to a balancer's address gets the member's, and what the member answers gets it back.
 *
 * A member knows its clients by their own addresses, so the connection's entry is the one that a call of the client to the member would have.
 * Should there be one already, because the client calls the member directly, or by another balancer, from the same port, or because a client of
 * another network has the same address, then the client gets another port there; and a member that calls itself is called by the balancer's address.  Such connections are found by 'balanced_names'.
 *
 * Where the answer goes says 'balanced', under the entry's key: the member needs no route to its client's network. */
#ifndef WEFT_BPF_BALANCE_MEMBER_H
#define WEFT_BPF_BALANCE_MEMBER_H

#include "weft/dataplane/bpf/balance.h"

#define BALANCE_PORT_TRIES 128
#define TCP_FLAGS_AT 13 /* In its header. */
#define OWNER_LAST 4u   /* Of a row: 0, its owner; 1..3, who had it before; and the owner again. */

/* ---- whose connection ---------------------------------------------------------------------------------------------------------------------- */

static __always_inline bool balanced_same(const struct balanced_value *a, const struct balanced_value *b)
{
    return address_equal(a->client, b->client) && address_equal(a->vip, b->vip) && load32(&a->client_port) == load32(&b->client_port) &&
           a->vni == b->vni && a->client_vni == b->client_vni && a->member == b->member && a->name.first == b->name.first;
}

/* The key of the entry by which the member has the client's connection, if nobody else has it. */
static __always_inline void balance_key(struct balancing *to, const struct packet *packet, const struct service_member *member)
{
    const __u8 *client = address_equal(to->value.client, member->address) ? to->value.vip : to->value.client;
    __u8 protocol = to->name.protocol;

    address_copy(to->ends.source, client);
    address_copy(to->ends.destination, member->address);
    to->ends.source_port = to->value.client_port;
    to->ends.destination_port = member->port;
    to->key.owner = (member->output & OUTPUT_SLOT_MASK) | (__u32)protocol << 24;
    to->key.local_port = member->port;
    to->key.remote_port = to->value.client_port;
    to->key.local = load32(member->address + 12);
    to->key.remote = load32(client + 12);
    if (packet->flags & PACKET_IPV6) {
        __u64 hash = flow_hash(member->address, client);
        to->key.owner |= FLOW_KEY_IPV6;
        to->key.local = hash;
        to->key.remote = hash >> 32;
    }
}

/* The live entry under to->key, if it is of this connection; '*ret_is_taken': it is another's.  One that is over ends when the client begins anew. */
static __always_inline struct flow_entry *balance_entry(struct balancing *to, const struct packet *packet, bool *ret_is_taken)
{
    struct flow_entry *entry = flow_get(&to->key);

    *ret_is_taken = false;
    if (!entry || !flow_state_is_alive(flow_state(entry)))
        return NULL;
    const struct balanced_value *value = entry->output == OUTPUT_CLIENT ? map_lookup(balanced, &to->key) : NULL;
    *ret_is_taken = !value || !balanced_same(value, &to->value);
    if (*ret_is_taken)
        return NULL;
    if (flow_begins_anew(entry, packet)) {
        flow_end(entry);
        return NULL;
    }
    to->is_known = 1;
    to->is_noted = value->output == to->value.output && value->slot == to->value.slot && value->flags == to->value.flags &&
                   mac_same(value->client_mac, to->value.client_mac) && balanced_listener(entry) == (__u16)to->listener;
    return entry;
}

static long balance_try_port(__u32 index, void *context)
{
    struct balancing *to = *(struct balancing **)context;
    __u32 first = bpf_ntohs(to->value.client_port) + (to->key.remote & 0xffff);

    to->key.remote_port = bpf_htons(1024 + (first + index) % (65536 - 1024));
    if (flow_place_of(&to->key) != FLOW_NONE)
        return 0;
    if (map_insert(balanced_names, &to->name, &to->key))
        return 1; /* Another CPU was faster, or the table is full. */
    to->ends.source_port = to->key.remote_port;
    to->value.flags |= BALANCED_NAMED;
    to->is_new_name = 1;
    return 1;
}

/* Nothing comes of the connection. */
static __noinline void balance_give_up(struct balancing *to)
{
    if (to->is_new_name)
        balanced_name_free(&to->name, &to->key);
}

/* Finds the connection's entry, or makes a name for a new one: to->key, to->ends. */
CHECKED_ALONE __u32 balance_connection(struct packet *packet, __u32 number, __u32 may_begin)
{
    struct scratch *scratch = scratch_get();
    const struct service_member *member = service_member_find(number);
    bool is_taken;

    if (!packet || !scratch || !member)
        return DROP_member_gone;
    struct balancing *to = &scratch->balancing;
    balance_key(to, packet, member);
    if (balance_entry(to, packet, &is_taken))
        return STEP_CONTINUE;
    balanced_name_of(&to->name, &to->value, to->name.protocol);
    const struct flow_key *named = map_lookup(balanced_names, &to->name);
    if (named) {
        to->key.remote_port = named->remote_port;
        to->ends.source_port = to->key.remote_port;
        to->value.flags |= BALANCED_NAMED;
        bool unused;
        if (balance_entry(to, packet, &unused))
            return STEP_CONTINUE;
    }
    if (!may_begin)
        return DROP_unknown_translation;
    if (named) { /* What had it has ended: it begins anew. */
        map_delete(balanced_names, &to->name);
        to->key.remote_port = to->value.client_port;
        to->ends.source_port = to->value.client_port;
        to->value.flags &= ~BALANCED_NAMED;
    }
    if (!is_taken)
        return STEP_CONTINUE;
    frame_loop(BALANCE_PORT_TRIES, balance_try_port, &to);
    if (!(to->value.flags & BALANCED_NAMED))
        return DROP_snat_exhausted;
    TRACE(balance, "the client's port is taken: it becomes %u", bpf_ntohs(to->key.remote_port));
    return STEP_CONTINUE;
}

static __always_inline void balance_comes_from(struct balancing *to, __u32 member, __u32 client, __u32 slot)
{
    to->value.member = member;
    to->value.output = client;
    to->value.slot = slot;
}

/* ---- to the member ---------------------------------------------------------------------------------------------------------------------------- */

static __always_inline void balance_read_ends(struct balancing *to, const struct packet *named, bool is_error)
{
    address_copy(to->value.client, is_error ? named->tuple.remote : named->tuple.local);
    address_copy(to->value.vip, is_error ? named->tuple.local : named->tuple.remote);
    to->value.client_port = is_error ? named->tuple.remote_port : named->tuple.local_port;
    to->value.vip_port = is_error ? named->tuple.local_port : named->tuple.remote_port;
    to->name.protocol = named->tuple.protocol;
}

/* The frame gets the ends that its connection's packets get in this direction.  What an error quotes went the other way. */
static __noinline __u32 balance_translate(struct __sk_buff *skb, struct packet *packet, struct balancing *to, const struct packet *quoted)
{
    if (quoted) {
        address_copy(to->quote.source, to->ends.destination);
        address_copy(to->quote.destination, to->ends.source);
        to->quote.source_port = to->ends.destination_port;
        to->quote.destination_port = to->ends.source_port;
        if (!address_equal(packet->tuple.local, quoted->tuple.remote))
            address_copy(to->ends.source, packet->tuple.local); /* Somebody on the way says so. */
        __u32 step = translate_quote(skb, packet, quoted, &to->quote);
        if (step != STEP_CONTINUE)
            return step;
    }
    return translate_ends(skb, packet, &to->ends);
}

/* What a client outside calls 'called', on the external network 'vni' behind router port 'number': a floating IP of a load balancer's address, into 'ret',
 * or one in network 'inner' itself.  Returns the network of the address; 0: it is none. */
static __always_inline __u32 balance_called(__u32 vni, __u32 number, const __u8 *called, __u32 inner, __u8 *ret)
{
    const struct external_value *value = NULL;

    address_copy(ret, called);
    if (address_is_ipv4(called)) {
        struct external_key key = {.vni = vni, .address = load32(called + 12)};
        value = map_lookup(external, &key);
    }
    if (!value || value->vni != vni)
        return inner;
    if (value->kind != EXTERNAL_SERVICE || value->router_port != number)
        return 0;
    address_map_ipv4(ret, value->address);
    return value->output & OUTPUT_SLOT_MASK;
}

/* The address at which the member's balancer has been called. */
static __always_inline const __u8 *balance_vip(struct balancing *to, const struct packet *packet, const struct service_member *member)
{
    if (!(packet->flags & PACKET_CALLS_SERVICE))
        return to->value.vip;
    to->vip_vni = balance_called(packet->vni, to->gateway, to->value.vip, member->vip_vni, to->vip);
    return to->vip_vni == member->vip_vni ? to->vip : NULL;
}

/* May a client outside begin a connection, or go on with one?  False: the listener has as many as it may. */
static __always_inline bool balance_is_within(const struct balancing *to, const struct service_value *service)
{
    return to->is_known || !balance_is_full(service);
}

/* A packet for the balancer's address, from a client's port in network packet->vni, to a member of this host: which, and where the client is, says
 * scratch memory's 'value'.  Of that network's own addresses no two clients have the same one, so that who has the address of another slot is a
 * client that has moved.  STEP_AT_MEMBER: it has become what the member is to get. */
CHECKED_ALONE __u32 balance_arrive(struct __sk_buff *skb, struct packet *packet)
{
    struct scratch *scratch = scratch_get();
    __u32 unused, step;

    if (!packet || !scratch)
        return DROP_no_port;
    struct balancing *to = &scratch->balancing;
    __u32 number = to->value.member;
    const struct service_member *member = service_member_find(number);
    if (!member || (member->output & OUTPUT_KIND_MASK) != OUTPUT_LOCAL || !(member->flags & SERVICE_MEMBER_UP))
        return DROP_member_gone;
    __u32 slot = member->output & OUTPUT_SLOT_MASK;
    const struct port_config *port = port_config_get(slot, &unused);
    packet->drop_slot = slot;
    if (!port || port->vni != member->vni || !port->ifindex || !(port->flags & PORT_ADMIN_UP))
        return DROP_destination_down;
    if (packet_l3_size(skb, packet) > port->mtu && !punt_may_cut(skb, packet)) {
        packet->decision.mtu = port->mtu;
        return DROP_too_big;
    }
    if (packet->flags & PACKET_FROM_TUNNEL && packet->flags & PACKET_LATER_FRAGMENT) {
        step = fragment_take(packet, port, slot, 0);
        if (step != STEP_CONTINUE)
            return step;
    }
    struct packet *quoted = NULL;
    if (related_is_error(packet)) {
        quoted = related_quoted(skb, packet);
        if (!quoted)
            return DROP_unknown_translation;
    }
    balance_read_ends(to, quoted ? quoted : packet, quoted);
    bool is_outside = packet->flags & PACKET_CALLS_SERVICE;
    const __u8 *vip = balance_vip(to, packet, member);
    const struct service_value *service = vip ? service_find(to, member->vip_vni, vip, to->value.vip_port, to->name.protocol) : NULL;
    if (!service || service->balancer != member->balancer) {
        if (packet->flags & PACKET_FROM_TUNNEL) /* The gateway has it: this host has not heard of it yet, and tells no client that it is closed. */
            to->back = OUTPUT_NONE;
        return DROP_service_no_listener;
    }
    to->value.vni = member->vip_vni;
    to->value.client_vni = packet->vni;
    to->value.name = member->name;
    to->listener = service->listener;
    to->value.flags = to->is_known = to->is_noted = to->is_new_name = 0;
    if (is_outside) {
        const struct router_port_config *gateway = router_port_get(to->gateway);
        to->value.slot = service->listener;
        to->value.flags = gateway ? BALANCED_GENERATION(gateway->generation) : 0;
    }
    mac_copy(to->value.client_mac, packet->source);
    if (packet->flags & PACKET_FROM_TUNNEL && packet_is_first_fragment(packet))
        fragment_note(packet, port, slot, 0); /* As it came: under its own name. */
    mac_copy(packet->source, service->mac);
    mac_copy(packet->destination, member->mac);
    bool is_late = is_outside && balance_is_late(packet, service); /* Of others their own host has an entry still, if they come here. */
    step = balance_connection(packet, number, !quoted && !is_late && (!is_outside || to->owner == OWNER_LAST));
    if (step == DROP_unknown_translation && is_late && !quoted && to->owner == OWNER_LAST)
        step = DROP_member_gone; /* Who sends it is told. */
    if (step == STEP_CONTINUE && is_outside && !balance_is_within(to, service))
        step = DROP_service_limit;
    if (step == STEP_CONTINUE)
        step = balance_translate(skb, packet, to, quoted);
    unsigned char *frame = frame_at(skb, 0, ETH_HLEN);
    if (step != STEP_CONTINUE || !frame) {
        balance_give_up(to);
        return step != STEP_CONTINUE ? step : DROP_no_buffer;
    }
    mac_copy(frame, packet->destination);
    mac_copy(frame + 6, packet->source);
    packet->decision = (struct decision){};
    packet->decision.output = OUTPUT_CLIENT;
    packet->decision.flags = DECISION_BOUND;
    packet->decision.object = is_outside ? number : 0; /* Who is outside counts by the entry here. */
    packet->decision.gateway = service->listener;
    to->is_noted |= !!quoted;
    TRACE(balance, "arrives as %s > %s port %u", trace_address(packet->tuple.local), trace_address(packet->tuple.remote), bpf_ntohs(packet->tuple.remote_port));
    return STEP_AT_MEMBER;
}

/* Where the answers go.  Only with an entry, whose end takes it away. */
static __noinline __u32 balance_note(struct balancing *to)
{
    struct flow_entry *entry = flow_get(&to->key);
    const struct balanced_value *before = map_lookup(balanced, &to->key);

    if (!entry || entry->output != OUTPUT_CLIENT || !flow_state_is_alive(flow_state(entry)))
        return DROP_unknown_translation;
    if (!before && map_insert(balanced, &to->key, &to->value)) { /* Another CPU was faster, or the table is full. */
        before = map_lookup(balanced, &to->key);
        return !before ? DROP_connection_limit : balanced_same(before, &to->value) ? STEP_CONTINUE : DROP_member_busy;
    }
    if (before && !balanced_same(before, &to->value)) /* Another client's of the same address and port, whose entry was made this moment. */
        return DROP_member_busy;
    if (before && map_put(balanced, &to->key, &to->value))
        return DROP_connection_limit;
    bool is_outside = balanced_is_outside(to->value.output);
    if (before)
        balanced_count_as(entry, is_outside ? to->value.member : 0, to->listener);
    struct service_counters *counters = map_lookup(service_counters, &to->value.slot);
    if (!before && counters && is_outside)
        counters->n_connections++;
    return STEP_CONTINUE;
}

/* A packet of a client outside has come to its member. */
static __always_inline void balance_count_forth(const struct balancing *to, const struct packet *packet)
{
    struct service_counters *counters = map_lookup(service_counters, &to->value.slot);

    if (counters) {
        counters->to_packets += packet->segments;
        counters->to_bytes += packet_wire_bytes(packet);
    }
}

/* The frame is what the member's port is to get, if it takes it. */
CHECKED_ALONE __u32 balance_deliver(struct __sk_buff *skb, struct packet *packet)
{
    struct scratch *scratch = scratch_get();
    __u32 epoch;

    if (!packet || !scratch)
        return DROP_no_port;
    __u32 slot = packet->drop_slot;
    const struct port_config *port = port_config_get(slot, &epoch);
    if (!port)
        return DROP_no_port;
    packet->vni = port->vni;
    __u32 step = flow_receive(skb, packet, port, slot, flow_stamp(epoch, port->generation));
    if (step == STEP_CONTINUE && !scratch->balancing.is_noted)
        step = balance_note(&scratch->balancing);
    if (step != STEP_CONTINUE) {
        balance_give_up(&scratch->balancing);
        packet->flags |= PACKET_ARRIVED;
        return step;
    }
    if (packet->flags & PACKET_CALLS_SERVICE)
        balance_count_forth(&scratch->balancing, packet);
    if (port->flags & (PORT_INGRESS_POLICY | PORT_ROUTER_FIREWALL) && packet_is_first_fragment(packet))
        fragment_note(packet, port, slot, 1);
    balance_cut_here(packet, slot, packet_l3_size(skb, packet), port->mtu);
    if (!punt_is_fragment(packet))
        return deliver_frame(skb, packet, port, slot);
    if (packet->flags & PACKET_CALLS_SERVICE && !(packet->flags & PACKET_FROM_TUNNEL))
        packet->decision.router_port = scratch->balancing.gateway;
    return punt_fragment(skb, packet, TUNNEL_UNICAST);
}

/* The frame is what a member of this host has answered, of a connection that scratch memory's 'value' names but for its ends, and its client's network takes
 * no more than value.slot bytes: the member is told, of the packet as it was sent. */
CHECKED_ALONE __u32 balance_tell_size(struct __sk_buff *skb, struct packet *packet)
{
    struct scratch *scratch = scratch_get();
    __u32 unused;

    if (!packet || !scratch)
        return DROP_no_port;
    struct balancing *to = &scratch->balancing;
    __u32 number = to->value.member, mtu = to->value.slot;
    const struct service_member *member = service_member_find(number);
    if (!member || (member->output & OUTPUT_KIND_MASK) != OUTPUT_LOCAL)
        return DROP_member_gone;
    __u32 slot = member->output & OUTPUT_SLOT_MASK;
    const struct port_config *port = port_config_get(slot, &unused);
    if (!port || port->vni != member->vni || !port->ifindex || packet->flags & PACKET_LATER_FRAGMENT)
        return DROP_destination_down;
    balance_read_ends(to, packet, true);
    to->value.vni = member->vip_vni;
    to->value.client_vni = packet->vni;
    to->value.name = member->name;
    to->value.flags = to->is_known = to->is_noted = to->is_new_name = 0;
    __u32 step = balance_connection(packet, number, 0);
    if (step != STEP_CONTINUE)
        return step;
    address_copy(to->quote.source, to->ends.destination);
    address_copy(to->quote.destination, to->ends.source);
    to->quote.source_port = to->ends.destination_port;
    to->quote.destination_port = to->ends.source_port;
    step = translate_ends(skb, packet, &to->quote);
    unsigned char *frame = frame_at(skb, 0, ETH_HLEN);
    if (step != STEP_CONTINUE || !frame)
        return step != STEP_CONTINUE ? step : DROP_no_buffer;
    mac_copy(frame + 6, member->mac);
    packet->slot = packet->drop_slot = slot;
    packet->decision = (struct decision){}; /* The client's address says so. */
    return punt_frame(skb, packet, port, PUNT_WORD(PUNT_TOO_BIG, 0, mtu));
}

/* ---- from the client ------------------------------------------------------------------------------------------------------------------------------ */

/* The member or the listener of a known connection is gone: it ends, and its client is told. */
static __noinline __u32 balance_end(struct __sk_buff *skb, struct packet *packet)
{
    struct flow_key key ON_STACK;
    __u32 unused;
    const struct port_config *port = port_config_get(packet->slot, &unused);

    if (packet->flags & PACKET_HAS_FLOW) {
        flow_key_make(&key, packet->slot, packet, false);
        struct flow_entry *entry = flow_find(&key, packet, false);
        if (entry)
            flow_end(entry);
        if (port && !(packet->flags & PACKET_LATER_FRAGMENT))
            punt_frame(skb, packet, port, PUNT_WORD(PUNT_UNREACHABLE, UNREACHABLE_PORT, 0));
    }
    return DROP_member_gone;
}

/* A packet of the workload in packet->slot to the member that packet->decision names. */
CHECKED_ALONE __u32 balance_forward(struct __sk_buff *skb, struct packet *packet)
{
    struct scratch *scratch = scratch_get();
    __u32 unused;

    if (!packet || !scratch)
        return DROP_no_port;
    __u32 number = packet->decision.output & OUTPUT_MEMBER_MASK, listener = packet->decision.gateway, vni = balance_vni(packet), slot = packet->slot;
    const struct packet *named = packet;
    bool is_error = related_is_error(packet);
    if (is_error) {
        named = related_quoted(skb, packet);
        if (!named)
            return DROP_unknown_translation;
    }
    const struct service_value *service =
        service_find(&scratch->balancing, vni, is_error ? named->tuple.local : named->tuple.remote,
                     is_error ? named->tuple.local_port : named->tuple.remote_port, named->tuple.protocol);
    const struct service_member *member = service_member_find(number);
    if (!service || !(service->flags & SERVICE_UP) || !member || !service_member_serves(member, packet->decision.object, service->balancer))
        return balance_end(skb, packet);
    __u32 size = packet_l3_size(skb, packet), output = member->output, mtu = balance_mtu(member);
    bool is_cut = (size > mtu || packet->flags & PACKET_FOLLOWS) && punt_may_cut(skb, packet);
    if (size > mtu && !is_cut) {
        const struct port_config *port = port_config_get(slot, &unused);
        packet->decision.router_port = packet->decision.hops = 0; /* The balancer's address says so. */
        if (port && !(packet->flags & PACKET_LATER_FRAGMENT))
            punt_frame(skb, packet, port, PUNT_WORD(PUNT_TOO_BIG, 0, mtu));
        return DROP_too_big;
    }
    unsigned char *frame = frame_at(skb, 0, ETH_HLEN + 20);
    if (!frame)
        return DROP_truncated;
    if (packet->decision.router_port)
        route_set_ttl(skb, packet, frame + ETH_HLEN, route_ttl(skb, packet) - packet->decision.hops);
    struct service_counters *counters = map_lookup(service_counters, &listener);
    if (counters) {
        counters->to_packets += packet->segments;
        counters->to_bytes += packet_wire_bytes(packet);
    }
    TRACE(balance, "to member %u (%08x), %s port %u, output %#x", number, member->name.first, trace_address(member->address), bpf_ntohs(member->port), output);
    if ((output & OUTPUT_KIND_MASK) == OUTPUT_LOCAL) {
        balance_comes_from(&scratch->balancing, number, OUTPUT_LOCAL | slot, slot);
        return STEP_TO_MEMBER;
    }
    service_member_mac(member, packet->destination);
    __u32 host = output & OUTPUT_SLOT_MASK, word = TUNNEL_WORD(TUNNEL_DIRECT_RETURN, 0, slot);
    return is_cut ? balance_cut(skb, packet, host, word, mtu) : tunnel_send(skb, packet, host, packet->vni, word); /* The client's network. */
}

/* ---- from the member ------------------------------------------------------------------------------------------------------------------------------- */

/* The member is no member any more, and what it still sends is what its client waits for: the segment becomes a reset (RFC 9293, 3.5.3 lets one have
 * data).  What cannot is dropped. */
static __noinline __u32 balance_reset(struct __sk_buff *skb, const struct packet *packet)
{
    if (packet->tuple.protocol != IPPROTO_TCP || packet->flags & PACKET_FRAGMENT || skb->gso_size)
        return DROP_member_gone;
    unsigned char *header = frame_at(skb, packet->l4, 20);
    if (!header)
        return DROP_member_gone;
    __u16 before = load16(header + TCP_FLAGS_AT - 1);
    header[TCP_FLAGS_AT] = TCP_RST | (header[TCP_FLAGS_AT] & TCP_ACK);
    __u16 after = load16(header + TCP_FLAGS_AT - 1);
    TRACE(balance, "its connection ends: the segment becomes a reset");
    return bpf_l4_csum_replace(skb, packet->l4 + 16, before, after, 2) ? DROP_no_buffer : STEP_CONTINUE;
}

/* Is the member's answer too large for its client, a port of this host or behind a router's port, or for the tunnel to another host, which knows the MTU of its
 * clients?  Then the member is told; what may be cut is, but for clients outside. */
static __noinline bool balance_is_too_big(struct __sk_buff *skb, struct packet *packet, __u32 output, __u32 client)
{
    __u32 unused, mtu = 0;
    const struct port_config *own = port_config_get(packet->slot, &unused);

    if (balanced_is_outside(output)) {
        const struct router_port_config *gateway = router_port_get(output & OUTPUT_SLOT_MASK);
        mtu = gateway ? gateway->mtu : 0;
    } else if ((output & OUTPUT_KIND_MASK) == OUTPUT_LOCAL) {
        const struct port_config *port = port_config_get(client, &unused);
        mtu = port ? port->mtu : 0;
    } else {
        mtu = tunnel_room(output & OUTPUT_SLOT_MASK);
    }
    if (!mtu || !own || packet_l3_size(skb, packet) <= mtu || (!balanced_is_outside(output) && punt_may_cut(skb, packet)))
        return false;
    packet->decision.router_port = packet->decision.hops = 0; /* The client's address says so. */
    if (!(packet->flags & PACKET_LATER_FRAGMENT))
        punt_frame(skb, packet, own, PUNT_WORD(PUNT_TOO_BIG, 0, mtu));
    return true;
}

/* May an answer still leave by the router port through which its client came, and as what the client called?  Else the connection ends: the name is somebody
 * else's by now, or nobody's. */
static __noinline bool balance_may_leave(struct balancing *to, const struct balanced_value *value)
{
    __u32 number = value->output & OUTPUT_SLOT_MASK;
    const struct router_port_config *gateway = router_port_get(number);

    return gateway && gateway->flags & ROUTER_PORT_EXTERNAL && gateway->vni == value->client_vni &&
           BALANCED_GENERATION(gateway->generation) == (value->flags & ~BALANCED_NAMED) &&
           balance_called(value->client_vni, number, value->vip, value->vni, to->vip) == value->vni;
}

/* What the member in packet->slot answers, to its client. */
CHECKED_ALONE __u32 balance_answer(struct __sk_buff *skb, struct packet *packet)
{
    struct scratch *scratch = scratch_get();

    if (!packet || !scratch)
        return DROP_no_port;
    struct balancing *to = &scratch->balancing;
    struct packet *quoted = NULL;
    if (related_is_error(packet)) {
        quoted = related_quoted(skb, packet);
        if (!quoted)
            return DROP_unknown_translation;
    }
    flow_key_make(&to->key, packet->slot, quoted ? quoted : packet, quoted);
    const struct balanced_value *value = map_lookup(balanced, &to->key);
    if (!value)
        return DROP_unknown_translation;
    __u32 output = value->output, slot = value->slot, vni = value->vni, client_vni = value->client_vni, number = value->member;
    if (balanced_is_outside(output) && !balance_may_leave(to, value)) {
        struct flow_entry *entry = flow_get(&to->key);
        TRACE(balance, "its client called what is the load balancer's no more: it ends");
        if (entry && flow_state_is_alive(flow_state(entry)) && entry->output == OUTPUT_CLIENT)
            flow_end(entry);
        return DROP_translation_gone;
    }
    const struct service_member *member = service_member_find(number);
    mac_copy(packet->destination, value->client_mac);
    address_copy(to->ends.source, value->vip);
    address_copy(to->ends.destination, value->client);
    to->ends.source_port = value->vip_port;
    to->ends.destination_port = value->client_port;
    __u32 step = STEP_CONTINUE;
    if (balance_is_too_big(skb, packet, output, slot))
        return DROP_too_big;
    if (!member || member->name.first != value->name.first || !(member->flags & SERVICE_MEMBER_UP)) {
        struct flow_entry *entry = flow_get(&to->key);
        if (entry && flow_state_is_alive(flow_state(entry)) && entry->output == OUTPUT_CLIENT)
            flow_end(entry);
        step = balance_reset(skb, packet);
    }
    if (step == STEP_CONTINUE)
        step = balance_translate(skb, packet, to, quoted);
    if (step != STEP_CONTINUE)
        return step;
    if (balanced_is_outside(output)) {
        struct service_counters *counters = map_lookup(service_counters, &slot);
        if (counters) {
            counters->from_packets += packet->segments;
            counters->from_bytes += packet_wire_bytes(packet);
        }
        to->gateway = output & OUTPUT_SLOT_MASK;
        packet->vni = client_vni;
        return STEP_AWAY;
    }
    packet->vni = vni;
    if ((output & OUTPUT_KIND_MASK) == OUTPUT_LOCAL) {
        to->value.slot = slot;
        return STEP_TO_CLIENT;
    }
    TRACE(balance, "back to host slot %u, from %s", output & OUTPUT_SLOT_MASK, trace_address(packet->tuple.local));
    __u32 host = output & OUTPUT_SLOT_MASK, word = TUNNEL_WORD(TUNNEL_DIRECT_RETURN, TUNNEL_HOPS_BACK, slot), room = tunnel_room(host);
    if (packet->flags & PACKET_FOLLOWS || packet_l3_size(skb, packet) > room)
        return balance_cut(skb, packet, host, word, room);
    return tunnel_send(skb, packet, host, vni, word);
}

#endif
