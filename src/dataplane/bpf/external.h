// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Addresses of an external network that are ours: who has a packet for one, and how it gets there.
 *
 * The same for a packet from outside, from another host and from a workload here whose address was just translated itself: the address
 * is a floating IP's or a router's ('external'), the port of it may belong to one host or another, and the host where the connection's
 * workload is takes it from there.  Between our hosts such a packet travels as it came, to OUTSIDE_MAC, so that whoever gets it does what is written here
 * again; a packet that is still not where it belongs after RELAYS_MAX hosts is dropped.
 *
 * The receiving workload sees a packet that its router sent: the translation undone, the TTL less by one. */
#ifndef WEFT_BPF_EXTERNAL_H
#define WEFT_BPF_EXTERNAL_H

#include "weft/dataplane/bpf/deliver.h"
#include "weft/dataplane/bpf/nat.h"
#include "weft/dataplane/bpf/reject.h"
#include "weft/dataplane/bpf/tunnel.h"

#define RELAYS_MAX 2
#define OUTPUT_ARRIVES (OUTPUT_LOCAL | 0) /* Of a decision: on this host, at the port that external_arrive() finds. */

static __always_inline const struct external_value *external_find(__u32 vni, __u32 address)
{
    struct external_key key = {.vni = vni, .address = address};
    const struct external_value *value = map_lookup(external, &key);

    return value && value->vni == vni ? value : NULL;
}

/* Is the address a load balancer's own, on network 'vni' itself? */
static __always_inline bool external_is_service_of(const struct external_value *value, __u32 vni)
{
    return value->kind == EXTERNAL_SERVICE && value->output == (OUTPUT_SERVICE | vni);
}

static __always_inline __u32 snat_owner(__u32 vni, __u32 address, __u16 port)
{
    struct snat_owner_key key = {.prefix_length = 64 + 16, .vni = vni, .address = address, .port = port};

    return output_of(map_lookup(snat_owners, &key), vni);
}

/* The name of the connection that the packet, which is none about another, says it is of. */
static __always_inline void external_call(const struct packet *packet, struct alias_key *ret)
{
    __u8 protocol = packet->tuple.protocol;
    bool echo = protocol == IPPROTO_ICMP;

    ret->vni_protocol = packet->vni << 8 | protocol;
    ret->address = load32(packet->tuple.remote + 12);
    ret->remote = load32(packet->tuple.local + 12);
    ret->port = echo ? packet->tuple.local_port : packet->tuple.remote_port;
    ret->remote_port = echo ? 0 : packet->tuple.local_port;
}

/* The name that the packet is called by. */
static __always_inline bool external_name(struct __sk_buff *skb, const struct packet *packet, struct arrival *ret)
{
    if (!packet_is_icmp_error(packet)) {
        external_call(packet, &ret->name);
        return true;
    }
    /* An error is sent to who sent the packet that it quotes; anything else is made up. */
    ret->name.address = load32(packet->tuple.remote + 12);
    if (!translate_quoted(skb, packet, &ret->quoted) || ret->quoted.source != ret->name.address)
        return false;
    __u8 protocol = ret->quoted.protocol;
    ret->name.vni_protocol = packet->vni << 8 | protocol;
    ret->name.remote = ret->quoted.destination;
    ret->name.port = ret->quoted.source_port;
    ret->name.remote_port = protocol == IPPROTO_ICMP ? 0 : ret->quoted.destination_port;
    return true;
}

/* Who has the packet, which is on the external network packet->vni: a port of this host (then also how it is called there), another host,
 * OUTPUT_ROUTER the router itself, OUTPUT_SERVICE a load balancer, or OUTPUT_NONE. */
CHECKED_ALONE __u32 external_owner(struct __sk_buff *skb, struct packet *packet, struct arrival *ret)
{
    if (!packet || !ret)
        return OUTPUT_NONE;
    ret->reason = STEP_CONTINUE;
    if (!(packet->flags & PACKET_IPV4))
        return OUTPUT_NONE;
    const struct external_value *value = external_find(packet->vni, load32(packet->tuple.remote + 12));
    if (!value || value->kind == EXTERNAL_HOST)
        return OUTPUT_NONE;
    __u32 kind = value->kind, output = value->output, local = value->address;
    ret->kind = kind;
    ret->gateway = value->router_port;
    ret->object = value->object;
    if (kind != EXTERNAL_FLOATING && packet->tuple.protocol == IPPROTO_ICMP && packet->icmp_type == ICMP_ECHO_TYPE &&
        !(packet->flags & PACKET_FRAGMENT))
        return OUTPUT_ROUTER | value->router_port;
    if (packet->flags & PACKET_LATER_FRAGMENT && !packet->slot)
        fragment_take(packet, NULL, ret->gateway, 1); /* A floating IP does without. */
    ret->reason = packet->flags & PACKET_LATER_FRAGMENT && !(packet->flags & PACKET_HAS_FLOW) ? DROP_fragment_unknown : DROP_unknown_translation;
    if (kind == EXTERNAL_SERVICE)
        return ret->reason == DROP_fragment_unknown ? OUTPUT_NONE : output;
    if (!external_name(skb, packet, ret))
        return kind == EXTERNAL_FLOATING && (output & OUTPUT_KIND_MASK) == OUTPUT_REMOTE ? output : OUTPUT_NONE;
    __u8 protocol = ret->name.vni_protocol;
    __u16 local_port = ret->name.port;
    if (kind == EXTERNAL_FORWARDED) {
        const struct external_value *forwarding = forwarding_find(packet->vni, ret->name.address, local_port, protocol);
        if (!forwarding)
            return OUTPUT_NONE;
        output = forwarding->output;
        local = forwarding->address;
        local_port = bpf_htons(forwarding->port + bpf_ntohs(local_port) - forwarding->first);
        ret->object = forwarding->object;
    } else if (kind == EXTERNAL_ROUTER && portless_is(protocol)) {
        if (nat_alias_find(&ret->name, &ret->key))
            return OUTPUT_LOCAL;
        __u32 host = portless_host(&ret->name);
        return host != OUTPUT_NONE ? host : (output & OUTPUT_KIND_MASK) == OUTPUT_REMOTE ? output : OUTPUT_NONE;
    } else if (kind == EXTERNAL_ROUTER) {
        output = snat_owner(packet->vni, ret->name.address, local_port);
        if ((output & OUTPUT_KIND_MASK) == OUTPUT_LOCAL && !nat_alias_find(&ret->name, &ret->key))
            return OUTPUT_NONE;
        return output;
    }
    __u16 remote_port = protocol == IPPROTO_ICMP ? bpf_htons(ICMP_ECHO_TYPE) : ret->name.remote_port;
    nat_key(&ret->key, output & OUTPUT_SLOT_MASK, protocol, local, local_port, ret->name.remote, remote_port);
    return output;
}

/* ---- the connection ----------------------------------------------------------------------------------------------------------------- */

struct name_search {
    struct flow_key key;
    struct alias_key name;
    __u32 generation;
    __u32 first;
    __u32 is_found;
};

static long external_try_port(__u32 index, void *context)
{
    struct name_search *search = context;
    struct alias_value value ON_STACK;
    __u16 port = bpf_htons(1024 + (search->first + index) % (65536 - 1024));

    if (search->key.owner >> 24 == IPPROTO_ICMP)
        search->key.local_port = port;
    else
        search->key.remote_port = port;
    if (flow_place_of(&search->key) != FLOW_NONE)
        return 0;
    value.key = search->key;
    value.vni_protocol = search->name.vni_protocol;
    value.generation = search->generation;
    if (map_insert(aliases, &search->name, &value))
        return 1; /* Another CPU was faster, or the table is full. */
    search->is_found = 1;
    return 1;
}

/* Another connection of the port has the ends that this new one would have there: its client gets another port, as the workload sees it. */
static __noinline __u32 external_rename(struct packet *packet, struct arrival *arrival, __u32 generation)
{
    struct name_search search ON_STACK = {.generation = generation, .first = arrival->key.remote ^ bpf_ntohs(arrival->key.remote_port),
                                          .is_found = frame_unknown(0)};

    if (!(packet->flags & PACKET_HAS_FLOW) || !translate_can_change_port(packet->tuple.protocol))
        return DROP_untranslatable;
    search.key = arrival->key;
    search.name = arrival->name;
    frame_loop(SNAT_TRIES, external_try_port, &search);
    if (!search.is_found)
        return DROP_snat_exhausted;
    router_port_count(arrival->gateway, 1, 0);
    arrival->key = search.key;
    packet->decision.flags |= DECISION_ALIASED | DECISION_BOUND;
    TRACE(translate, "the client's port is taken: it becomes %u", bpf_ntohs(search.key.remote_port));
    return STEP_CONTINUE;
}

/* Is a new connection's way in what the tables say, read once more?  The element may have become another's while it was read. */
static __always_inline bool external_is_right(const struct packet *packet, const struct arrival *arrival, __u32 slot)
{
    __u32 local = arrival->key.local, address = load32(packet->tuple.remote + 12);

    if (arrival->kind == EXTERNAL_FLOATING) {
        const struct floating_value *value = floating_find(slot, local);
        return value && value->address == address && value->object == arrival->object;
    }
    const struct external_value *value =
        forwarding_find(packet->vni, address, arrival->name.port, arrival->name.vni_protocol);
    return value && value->output == (OUTPUT_LOCAL | slot) && value->address == local && value->object == arrival->object;
}

/* What the packet's connection is called at the port: into arrival->key.  Of a new one, packet->decision says what its entry gets. */
static __noinline __u32 external_connection(struct packet *packet, struct arrival *arrival, const struct port_config *port,
                                            struct flow_entry **ret)
{
    __u32 slot = arrival->slot;
    struct flow_entry *entry = nat_entry_find(&arrival->key);
    bool is_taken = entry && !nat_entry_has(entry, &arrival->name), is_error = packet_is_icmp_error(packet);

    if (arrival->kind != EXTERNAL_ROUTER && (!entry || is_taken) && nat_alias_find(&arrival->name, &arrival->key)) {
        entry = nat_entry_find(&arrival->key);
        is_taken = false;
        if (!entry)
            return DROP_unknown_translation; /* Just ended: the name is not free yet. */
    }
    if (entry && !is_taken) {
        if (flow_key_slot(&arrival->key) != slot) { /* Of the port that had the floating IP before. */
            nat_end_former(&arrival->key);
            return DROP_translation_gone;
        }
        if (!nat_entry_has(entry, &arrival->name) || entry->generation != port->generation)
            return DROP_unknown_translation;
        if (*(volatile __u32 *)&entry->stamp != arrival->stamp && !nat_holds(entry, &arrival->key)) {
            TRACE(translate, "what the connection was translated by is gone: it ends");
            flow_end(entry);
            return DROP_translation_gone;
        }
        packet->decision.flags = DECISION_TRANSLATED;
        *ret = entry;
        return STEP_CONTINUE;
    }
    if (arrival->kind == EXTERNAL_ROUTER || !external_is_right(packet, arrival, slot))
        return DROP_unknown_translation;
    packet->decision.flags = DECISION_TRANSLATED | (arrival->kind == EXTERNAL_FORWARDED ? DECISION_BOUND : 0);
    packet->decision.outside_vni = packet->vni;
    packet->decision.outside_local = arrival->name.address;
    packet->decision.outside_remote = arrival->name.remote;
    packet->decision.outside_local_port = arrival->name.port;
    packet->decision.outside_remote_port = arrival->name.remote_port;
    packet->decision.object = arrival->object;
    packet->decision.gateway = arrival->gateway;
    return is_taken && !is_error ? external_rename(packet, arrival, port->generation) : is_taken ? DROP_unknown_translation : STEP_CONTINUE;
}

/* Gives the frame its ends at the port. */
static __noinline __u32 external_translate(struct __sk_buff *skb, struct packet *packet, const struct arrival *arrival)
{
    const struct flow_key *key = &arrival->key;
    bool echo = key->owner >> 24 == IPPROTO_ICMP;
    struct rewrite ends ON_STACK = {key->remote, key->local, echo ? key->local_port : key->remote_port, key->local_port};

    if (packet_is_icmp_error(packet)) {
        struct rewrite inner ON_STACK = {key->local, key->remote, key->local_port, echo ? key->local_port : key->remote_port};
        __u32 step = translate_error(skb, packet, &arrival->quoted, &inner);
        if (step != STEP_CONTINUE)
            return step;
        ends.source = load32(packet->tuple.local + 12); /* A router on the way may speak. */
    }
    return translate_frame(skb, packet, &ends);
}

/* The MAC by which the port's workload knows the router that the packet came through. */
static __noinline __u32 external_router_mac(__u32 gateway, __u32 local, const struct port_config *port, __u8 *ret)
{
    struct route_key key ON_STACK = {.prefix_length = 32 + 128};
    const struct router_port_config *outer = router_port_get(gateway);

    if (!outer || !(outer->flags & ROUTER_PORT_UP))
        return DROP_router_down;
    key.router = outer->router;
    address_map_ipv4(key.address, local);
    const struct route_value *route = map_lookup(routes, &key);
    if (!route || route->router != key.router || route->flags)
        return DROP_no_route;
    const struct router_port_config *inner = router_port_get(route->port);
    if (!inner || inner->vni != port->vni || !(inner->flags & ROUTER_PORT_UP))
        return DROP_no_route;
    mac_copy(ret, inner->mac);
    return STEP_CONTINUE;
}

/* May the packet go on to the port?  As the router sees it: TTL and size (RFC 1812, 5.3.1 and 4.2.2.7), before anything is done to it. */
static __always_inline __u32 external_passes(const struct __sk_buff *skb, struct packet *packet, const struct port_config *port)
{
    const unsigned char *header = frame_at(skb, ETH_HLEN, 20);

    if (!header)
        return DROP_no_buffer;
    if (header[IPV4_TTL] <= 1)
        return DROP_ttl_exceeded;
    packet->decision.mtu = port->mtu;
    if (packet_l3_size(skb, packet) <= port->mtu)
        return STEP_CONTINUE;
    if (header[IPV4_FLAGS] & 0x40 || skb->gso_size)
        return DROP_too_big;
    packet->decision.flags |= DECISION_FRAGMENT;
    return STEP_CONTINUE;
}

/* The router counts the TTL down and puts its MAC on the frame. */
static __always_inline __u32 external_hop(struct __sk_buff *skb, struct packet *packet, const __u8 *destination, const __u8 *source)
{
    unsigned char *frame = frame_at(skb, 0, ETH_HLEN + 20);

    if (!frame)
        return DROP_no_buffer;
    unsigned char *header = frame + ETH_HLEN;
    __u16 before = load16(header + IPV4_TTL);
    header[IPV4_TTL]--;
    store16(header + IPV4_CHECKSUM, checksum_change(load16(header + IPV4_CHECKSUM), before, load16(header + IPV4_TTL)));
    mac_copy(packet->destination, destination);
    mac_copy(packet->source, source);
    mac_copy(frame, destination);
    mac_copy(frame + 6, source);
    return STEP_CONTINUE;
}

/* The packet goes to the port 'slot': if it came by an uplink it has shown that its sender may send it.  That is as old as what was read
 * of the port before anything else.  It also came with the MAC of the router that the next one is to get. */
static __always_inline void sender_remember(const struct packet *packet, struct flow_entry *entry, __u32 slot)
{
    const struct scratch *scratch = scratch_get();

    if (!scratch || packet->slot || packet->flags & PACKET_FROM_TUNNEL || packet_is_icmp_error(packet))
        return;
    if (scratch->sender.slot == slot && scratch->sender.gateway == entry->gateway && mac_same(entry->remote_mac, packet->source))
        *(volatile __u64 *)&entry->sender = scratch->sender.word;
}

/* ---- the packet ------------------------------------------------------------------------------------------------------------------------ */

/* To the port 'slot' of this host. */
static __always_inline __u32 external_to_port(struct __sk_buff *skb, struct packet *packet, struct arrival *arrival, __u32 slot)
{
    __u32 epoch;
    __u8 mac[8] ON_STACK = {};
    struct flow_entry *entry = NULL;
    const struct port_config *port = port_config_get(slot, &epoch);

    if (!port || !slot || !port->vni)
        return DROP_unknown_destination;
    packet->drop_slot = slot;
    packet->decision = (struct decision){};
    arrival->slot = slot;
    arrival->stamp = flow_stamp(epoch, port->generation);
    __u32 step = external_connection(packet, arrival, port, &entry);
    if (step != STEP_CONTINUE)
        return step;
    packet->decision.gateway = arrival->gateway;
    packet->flags |= PACKET_FROM_OUTSIDE;
    packet->decision.router_port = arrival->gateway;
    packet->decision.output = OUTPUT_LOCAL | slot;
    if (!packet->slot) /* Of a workload it was noted as that sent it. */
        reject_note(skb, packet);
    step = external_passes(skb, packet, port);
    if (entry && entry->flags & FLOW_ROUTED) { /* As the workload knows it. */
        mac_copy(mac, entry->remote_mac);
    } else if (step == STEP_CONTINUE) {
        step = external_router_mac(arrival->gateway, arrival->key.local, port, mac);
    }
    if (step == STEP_CONTINUE)
        step = external_hop(skb, packet, port->mac, mac);
    if (step == STEP_CONTINUE && entry)
        sender_remember(packet, entry, slot);
    if (step == STEP_CONTINUE)
        step = external_translate(skb, packet, arrival);
    if (step == STEP_CONTINUE) {
        packet->vni = port->vni;
        TRACE(translate, "arrives as %s", trace_address(packet->tuple.remote));
        step = deliver_local(skb, packet, slot);
        reject_prepare(skb, packet, step, arrival->gateway, true);
    }
    if (!(step & STEP_DONE) && packet->decision.flags & DECISION_ALIASED)
        flow_alias_delete(&arrival->name, &arrival->key, arrival->gateway);
    return step;
}

/* Turns an echo request to a router into its reply (RFC 792). */
static __noinline __u32 external_echo(struct __sk_buff *skb, struct packet *packet)
{
    struct rewrite ends ON_STACK = {load32(packet->tuple.remote + 12), load32(packet->tuple.local + 12), packet->tuple.local_port, 0};
    unsigned char *header = frame_at(skb, packet->l4, 8);

    if (!header)
        return DROP_truncated;
    __u16 before = load16(header);
    header[0] = ICMP_ECHO_REPLY_TYPE;
    store16(header + 2, checksum_changed(load16(header + 2), sum_change16(0, before, load16(header))));
    packet->icmp_type = ICMP_ECHO_REPLY_TYPE;
    header = frame_at(skb, ETH_HLEN, 20);
    if (!header)
        return DROP_truncated;
    before = load16(header + IPV4_TTL);
    header[IPV4_TTL] = 64;
    store16(header + IPV4_CHECKSUM, checksum_change(load16(header + IPV4_CHECKSUM), before, load16(header + IPV4_TTL)));
    TRACE(translate, "the router answers an echo request");
    return translate_frame(skb, packet, &ends);
}

/* Does the packet fit into the tunnel to the host that has it?  If not this is where its sender learns that, or where it is fragmented. */
static __noinline __u32 external_to_host(struct __sk_buff *skb, struct packet *packet, __u32 slot, __u32 gateway)
{
    const struct host_config *host = host_config_get(slot);
    unsigned char *frame = frame_at(skb, 0, ETH_HLEN + 20);

    if (!host || !frame)
        return DROP_host_unreachable;
    __u32 overhead = address_is_ipv4(host->remote) ? TUNNEL_OVERHEAD_IPV4 : TUNNEL_OVERHEAD_IPV6, mtu = host->underlay_mtu;
    bool is_whole = frame[ETH_HLEN + IPV4_FLAGS] & 0x40 || skb->gso_size;
    bool fits = packet_l3_size(skb, packet) + overhead <= mtu;
    if ((fits && (is_whole || !(packet->flags & PACKET_FOLLOWS))) || mtu <= overhead)
        return STEP_CONTINUE;
    packet->decision.router_port = gateway;
    packet->decision.hops = 0;
    packet->decision.mtu = mtu - overhead;
    packet->decision.output = OUTPUT_REMOTE | slot;
    if (is_whole)
        return DROP_too_big;
    mac_copy(frame, outside_mac);
    return punt_fragment(skb, packet, TUNNEL_UNICAST);
}

#define ARRIVAL_ECHO 0x1000u /* A step: the frame became a router's answer, to somebody outside. */

/* Brings a packet that is on the external network packet->vni to whom it belongs.  'relays' is how many of our hosts it has passed.
 * STEP_CONTINUE: to nobody here, STEP_SERVICE: to a load balancer, and the frame is as it was. */
CHECKED_ALONE __u32 external_arrive(struct __sk_buff *skb, struct packet *packet, __u32 relays)
{
    struct scratch *scratch = scratch_get();

    if (!packet || !scratch)
        return DROP_no_port;
    struct arrival *arrival = &scratch->arrival;
    *arrival = (struct arrival){};
    __u32 output = external_owner(skb, packet, arrival);
    if ((output & OUTPUT_KIND_MASK) == OUTPUT_ROUTER) {
        __u32 step = external_echo(skb, packet);
        if (step != STEP_CONTINUE)
            return step;
        output = external_owner(skb, packet, arrival);
        if (output == OUTPUT_NONE && arrival->reason == STEP_CONTINUE)
            return ARRIVAL_ECHO;
    }
    __u32 kind = output & OUTPUT_KIND_MASK, slot = output & OUTPUT_SLOT_MASK;
    if (output == OUTPUT_NONE)
        return arrival->reason;
    if (packet_is_first_fragment(packet) && !packet->slot)
        fragment_note(packet, NULL, arrival->gateway, 1);
    TRACE(translate, "%s is ours: output %#x", trace_address(packet->tuple.remote), output);
    if (kind == OUTPUT_REMOTE) {
        if (relays >= RELAYS_MAX)
            return DROP_tunnel_header;
        __u32 step = external_to_host(skb, packet, slot, arrival->gateway);
        if (step != STEP_CONTINUE)
            return step;
        mac_copy(packet->destination, outside_mac);
        return tunnel_send(skb, packet, slot, packet->vni, TUNNEL_WORD(TUNNEL_UNICAST, relays, 0));
    }
    if (kind == OUTPUT_SERVICE) {
        packet->decision = (struct decision){.router_port = arrival->gateway, .gateway = arrival->gateway, .hops = 1};
        return STEP_SERVICE;
    }
    if (kind != OUTPUT_LOCAL)
        return DROP_unknown_destination;
    if (arrival->kind == EXTERNAL_ROUTER)
        slot = flow_key_slot(&arrival->key);
    return external_to_port(skb, packet, arrival, slot);
}

#endif
