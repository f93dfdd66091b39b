// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a connection of a local port is called on an external network: its name outside.
 *
 * A name is (network, protocol, our address and port, the other side's address and port), and belongs to one connection at a time.  A
 * floating IP gives its port's connections its own address and leaves the ports alone, so an arriving packet tells by itself which
 * entry it is for.  Where that does not do, because the name was chosen (SNAT: RFC 3022, a port of one of this host's blocks), or because another
 * connection is called the same inside (a client that knows the member by two addresses), the connection has a place in
 * 'aliases' under its name.  It is taken first, never over another's, and goes with the entry (flow_remove).
 *
 * The translation stays as it was made for as long as what gave it the right is there: the floating IP, the port forwarding, or the router's address
 * and block.  When that is another's or gone the connection ends; what the workload sends then begins another one. */
#ifndef WEFT_BPF_NAT_H
#define WEFT_BPF_NAT_H

#include "weft/dataplane/bpf/portless.h"
#include "weft/dataplane/bpf/routing.h"
#include "weft/dataplane/bpf/translate.h"

#define SNAT_TRIES 128 /* Ports looked at for a new connection. */

/* ---- names -------------------------------------------------------------------------------------------------------------------------- */

/* The name that packet->decision says; ICMP has no port of the other side. */
static __always_inline void nat_name(struct alias_key *ret, const struct packet *packet, __u8 protocol)
{
    const struct decision *decision = &packet->decision;

    ret->vni_protocol = decision->outside_vni << 8 | protocol;
    ret->address = decision->outside_local;
    ret->remote = decision->outside_remote;
    ret->port = decision->outside_local_port;
    ret->remote_port = decision->outside_remote_port;
}

static __always_inline bool nat_entry_has(const struct flow_entry *entry, const struct alias_key *name)
{
    return entry->flags & FLOW_TRANSLATED && entry->outside_vni == name->vni_protocol >> 8 && entry->outside_local == name->address &&
           entry->outside_remote == name->remote && entry->outside_local_port == name->port &&
           entry->outside_remote_port == name->remote_port;
}

/* The key of the connection with this name, by its alias.  Whether the key's entry has the name is for the caller to see: the
 * element may be another's by now. */
static __always_inline bool nat_alias_find(const struct alias_key *name, struct flow_key *ret)
{
    struct alias_key key ON_STACK = *name; /* Linux 6.1 takes no key from the memory of a global function's argument. */
    const struct alias_value *alias = map_lookup(aliases, &key);

    if (!alias || alias->vni_protocol != key.vni_protocol)
        return false;
    ret->owner = alias->key.owner;
    ret->local_port = alias->key.local_port;
    ret->remote_port = alias->key.remote_port;
    ret->local = alias->key.local;
    ret->remote = alias->key.remote;
    return true;
}

/* The live entry of a key.  IPv4 only: nothing else is translated. */
static __always_inline struct flow_entry *nat_entry_find(const struct flow_key *key)
{
    struct flow_entry *entry = flow_get(key);

    return entry && flow_state_is_alive(flow_state(entry)) ? entry : NULL;
}

static __always_inline void nat_key(struct flow_key *ret, __u32 slot, __u8 protocol, __u32 local, __u16 local_port, __u32 remote, __u16 remote_port)
{
    ret->owner = slot | (__u32)protocol << 24;
    ret->local_port = local_port;
    ret->remote_port = remote_port;
    ret->local = local;
    ret->remote = remote;
}

/* Gives back a name that came to nothing: the packet's, which its workload sends. */
static __noinline void nat_give_up(const struct packet *packet)
{
    struct alias_key name ON_STACK;
    struct flow_key key ON_STACK;

    if (!(packet->decision.flags & DECISION_ALIASED))
        return;
    flow_key_make(&key, packet->slot, packet, false);
    nat_name(&name, packet, packet->tuple.protocol);
    flow_alias_delete(&name, &key, packet->decision.gateway);
}

/* ---- ports of a router's address ------------------------------------------------------------------------------------------------------ */

static __always_inline const struct snat_config *snat_find(__u32 router_port)
{
    const struct snat_config *config = map_lookup(snat, &router_port);

    return config && config->router_port == router_port ? config : NULL;
}

static __always_inline bool snat_owns(const struct snat_config *config, __u16 port)
{
    __u32 number = bpf_ntohs(port), n = config->n_blocks;

    for (__u32 i = 0; i < SNAT_BLOCKS_MAX; i++)
        if (i < n && number - config->blocks[i].first < config->blocks[i].size)
            return true;
    return false;
}

struct snat_search {
    struct alias_key name;
    struct alias_value value;
    __u32 router_port;
    __u32 start, total;
    __u32 is_found;
};

static long snat_try(__u32 index, void *context)
{
    struct snat_search *search = context;
    const struct snat_config *config = snat_find(search->router_port);
    __u32 position = search->start + index, port = 0;

    if (!config)
        return 1;
    if (position >= search->total)
        position -= search->total;
    for (__u32 i = 0; i < SNAT_BLOCKS_MAX; i++) {
        __u32 size = i < config->n_blocks ? config->blocks[i].size : 0;
        if (position < size) {
            port = config->blocks[i].first + position;
            break;
        }
        position -= size;
    }
    if (!port)
        return 0;
    search->name.port = bpf_htons(port);
    if (map_insert(aliases, &search->name, &search->value))
        return 0; /* In use for that destination, or the table is full. */
    search->is_found = 1;
    return 1;
}

static __always_inline __u64 snat_hash(const struct flow_key *key, __u64 seed)
{
    const __u64 factor = 0x9e3779b97f4a7c15ull;
    __u64 hash = (seed ^ key->local ^ (__u64)key->remote << 32) * factor;

    hash ^= hash >> 29;
    hash = (hash ^ key->owner ^ (__u64)key->local_port << 32 ^ (__u64)key->remote_port << 48) * factor;
    return hash ^ hash >> 32;
}

/* Finds and takes a port for the connection 'key', whose name in packet->decision lacks only that. */
static __noinline __u32 snat_choose(struct packet *packet, const struct flow_key *key, __u32 generation)
{
    const struct snat_config *config = snat_find(packet->decision.gateway);
    const struct settings *settings = settings_get();
    struct snat_search search = {.router_port = packet->decision.gateway, .is_found = frame_unknown(0)};

    if (!config || !settings || !config->n_blocks) {
        router_port_count(packet->decision.gateway, 0, 1); /* So that the host is given some. */
        return DROP_snat_exhausted;
    }
    packet->decision.object = config->object;
    packet->decision.outside_local = config->address;
    nat_name(&search.name, packet, packet->tuple.protocol);
    search.value.key = *key;
    search.value.vni_protocol = search.name.vni_protocol;
    search.value.generation = generation;
    for (__u32 i = 0; i < SNAT_BLOCKS_MAX; i++)
        if (i < config->n_blocks)
            search.total += config->blocks[i].size;
    if (!search.total)
        return DROP_snat_exhausted;
    if (portless_is(packet->tuple.protocol)) {
        search.name.port = 0;
        search.is_found = portless_host(&search.name) == OUTPUT_NONE && !map_insert(aliases, &search.name, &search.value);
    } else {
        search.start = (__u32)snat_hash(key, settings->hash_seed) % search.total;
        frame_loop(search.total < SNAT_TRIES ? search.total : SNAT_TRIES, snat_try, &search);
    }
    if (!search.is_found) {
        router_port_count(packet->decision.gateway, 0, 1);
        return DROP_snat_exhausted;
    }
    router_port_count(packet->decision.gateway, 1, 0);
    packet->decision.outside_local_port = search.name.port;
    packet->decision.flags |= DECISION_ALIASED | DECISION_BOUND;
    /* The table may have been rewritten while it was read. */
    config = snat_find(packet->decision.gateway);
    if (!config || config->address != search.name.address || config->vni != packet->decision.outside_vni ||
        (search.name.port && !snat_owns(config, search.name.port))) {
        nat_give_up(packet);
        return DROP_snat_exhausted;
    }
    return STEP_CONTINUE;
}

/* ---- the right to a name --------------------------------------------------------------------------------------------------------------- */

static __always_inline const struct floating_value *floating_find(__u32 slot, __u32 address)
{
    struct floating_key key = {.slot = slot, .address = address};
    const struct floating_value *value = map_lookup(floating, &key);

    return value && value->slot == slot ? value : NULL;
}

static __always_inline const struct external_value *forwarding_find(__u32 vni, __u32 address, __u16 port, __u8 protocol)
{
    struct forwarding_key key ON_STACK = {.prefix_length = FORWARDING_PREFIX + 16, .vni = vni, .address = address, .protocol = protocol, .port = port};
    const struct external_value *value = map_lookup(forwarded, &key);

    return value && value->vni == vni && value->kind == EXTERNAL_FORWARDED ? value : NULL;
}

/* Is what the entry was translated by still there, and the same? */
CHECKED_ALONE bool nat_holds(const struct flow_entry *entry, const struct flow_key *key)
{
    if (!entry || !key)
        return false;
    __u32 slot = flow_key_slot(key), gateway = entry->gateway, local = key->local;
    const struct router_port_config *port = router_port_get(gateway);

    if (!port || port->vni != entry->outside_vni || !(port->flags & ROUTER_PORT_EXTERNAL))
        return false;
    const struct floating_value *floating_ip = floating_find(slot, local);
    if (floating_ip && floating_ip->object == entry->object)
        return floating_ip->address == entry->outside_local && floating_ip->router_port == gateway;
    const struct snat_config *config = snat_find(gateway);
    if (config && config->object == entry->object && port->flags & ROUTER_PORT_SNAT)
        return config->address == entry->outside_local && (!entry->outside_local_port || snat_owns(config, entry->outside_local_port));
    const struct external_value *forwarding =
        forwarding_find(entry->outside_vni, entry->outside_local, entry->outside_local_port, key->owner >> 24);
    return forwarding && forwarding->object == entry->object && forwarding->output == (OUTPUT_LOCAL | slot) && forwarding->address == local;
}

/* ---- leaving ------------------------------------------------------------------------------------------------------------------------------ */

/* The name is wanted, by right, and the connection 'key' has it: by the right of somebody who had the floating IP before?  Then it ends, and its
 * name is free a moment later. */
static __noinline void nat_end_former(const struct flow_key *key)
{
    struct flow_entry *entry = nat_entry_find(key);

    if (!entry || nat_holds(entry, key))
        return;
    TRACE(translate, "the name was a connection's that has lost its right to it: it ends");
    flow_end(entry);
}

/* Is a connection of ours called so already?  Only aliases are asked: a name without is that of one entry, which the caller looks for. */
static __noinline bool nat_is_taken(const struct packet *packet)
{
    struct alias_key name ON_STACK;
    struct flow_key key ON_STACK;

    nat_name(&name, packet, packet->tuple.protocol);
    if (!nat_alias_find(&name, &key))
        return false;
    nat_end_former(&key);
    return true;
}

/* The entry of the connection that an ICMP error of the workload in packet->slot is about. */
static __always_inline struct flow_entry *nat_error_entry(const struct packet *packet, const struct quoted *quoted)
{
    struct flow_key key ON_STACK;
    bool echo = quoted->protocol == IPPROTO_ICMP; /* An identifier is the source port in both directions. */

    nat_key(&key, packet->slot, quoted->protocol, quoted->destination, echo ? quoted->source_port : quoted->destination_port, quoted->source,
            echo ? quoted->destination_port : quoted->source_port);
    return nat_entry_find(&key);
}

/* Does router port 'number' hide what the packet comes from?  Then nobody on the external network can have reached it by its own address, and
 * nobody there is to see that: not even as an answer to what only looks as if it came from there. */
static __always_inline bool nat_hides(const struct packet *packet, __u32 number)
{
    const struct router_port_config *gateway = router_port_get(number);

    return !gateway || (gateway->flags & ROUTER_PORT_SNAT && !(packet->decision.flags & DECISION_SCOPED));
}

/* An ICMP error of a workload is called as the connection that it is about. */
static __noinline __u32 nat_leave_error(struct __sk_buff *skb, struct packet *packet, __u32 number)
{
    struct quoted quoted ON_STACK = {};

    /* An error is sent to who sent the packet that it quotes; anything else is made up. */
    if (!translate_quoted(skb, packet, &quoted) || quoted.source != load32(packet->tuple.remote + 12))
        return DROP_unknown_translation;
    const struct flow_entry *entry = nat_error_entry(packet, &quoted);
    if (!entry)
        return DROP_unknown_translation;
    if (!(entry->flags & FLOW_TRANSLATED))
        return nat_hides(packet, number) ? DROP_unknown_translation : STEP_CONTINUE;
    if (entry->gateway != number)
        return DROP_translation_gone;
    packet->decision.outside_local = entry->outside_local;
    packet->decision.outside_remote = load32(packet->tuple.remote + 12);
    packet->decision.flags |= DECISION_TRANSLATED;
    return STEP_CONTINUE;
}

/* A packet of the workload in packet->slot leaves its last router through router port 'number', on an external network: its name outside
 * goes into packet->decision.  'entry' is its connection's, if it has one. */
static __noinline __u32 nat_leave(struct __sk_buff *skb, struct packet *packet, const struct port_config *port, __u32 number,
                                  struct flow_entry *entry)
{
    const struct router_port_config *gateway = router_port_get(number);
    struct decision *decision = &packet->decision;
    struct flow_key key ON_STACK;
    __u32 local = load32(packet->tuple.local + 12);

    if (!gateway)
        return DROP_router_down;
    if (packet_is_icmp_error(packet))
        return nat_leave_error(skb, packet, number);
    decision->outside_vni = gateway->vni;
    decision->gateway = number;
    decision->outside_remote = load32(packet->tuple.remote + 12);
    decision->outside_remote_port = packet->tuple.protocol == IPPROTO_ICMP ? 0 : packet->tuple.remote_port;
    decision->outside_local_port = packet->tuple.local_port;
    flow_key_make(&key, packet->slot, packet, false);
    if (entry && entry->flags & FLOW_TRANSLATED) {
        if (entry->gateway != number || !nat_holds(entry, &key)) {
            TRACE(translate, "what the connection was translated by is gone: it ends");
            flow_end(entry);
            return DROP_translation_gone;
        }
        flow_get_translation(entry, decision);
        decision->object = entry->object; /* By the same right: it is remembered again. */
        return STEP_CONTINUE;
    }
    const struct floating_value *floating_ip = floating_find(packet->slot, local);
    bool has_floating = floating_ip && floating_ip->router_port == number;
    bool hides = nat_hides(packet, number);
    if (!has_floating && !hides)
        return STEP_CONTINUE;
    if (entry && !(entry->flags & FLOW_LOCAL_STARTED) && !hides)
        return STEP_CONTINUE; /* Somebody who reached the workload by its own address. */
    if (entry) {
        flow_end(entry);
        return DROP_translation_gone;
    }
    decision->flags |= DECISION_TRANSLATED;
    if (!has_floating) {
        if (packet->flags & PACKET_LATER_FRAGMENT)
            return DROP_fragment_unknown; /* Of nothing that is known here. */
        if (!(packet->flags & PACKET_HAS_FLOW))
            return DROP_untranslatable;
        __u32 step = snat_choose(packet, &key, port->generation);
        if (step != STEP_CONTINUE)
            return step;
    } else {
        decision->outside_local = floating_ip->address;
        decision->object = floating_ip->object;
        if (packet->flags & PACKET_HAS_FLOW && nat_is_taken(packet))
            return DROP_snat_exhausted;
    }
    TRACE(translate, "new connection: %s port %u outside", trace_ipv4(decision->outside_local), bpf_ntohs(decision->outside_local_port));
    return STEP_CONTINUE;
}

/* Gives a frame that leaves its name outside, as packet->decision says. */
static __noinline __u32 nat_apply(struct __sk_buff *skb, struct packet *packet)
{
    const struct decision *decision = &packet->decision;
    struct rewrite ends ON_STACK = {decision->outside_local, decision->outside_remote, decision->outside_local_port,
                                    decision->outside_remote_port};

    TRACE(translate, "leaves as %s", trace_ipv4(decision->outside_local));
    if (packet_is_icmp_error(packet)) {
        struct quoted quoted ON_STACK = {};
        if (!translate_quoted(skb, packet, &quoted))
            return DROP_unknown_translation;
        const struct flow_entry *entry = nat_error_entry(packet, &quoted);
        if (!entry || !(entry->flags & FLOW_TRANSLATED))
            return DROP_unknown_translation;
        bool echo = quoted.protocol == IPPROTO_ICMP;
        struct rewrite inner ON_STACK = {entry->outside_remote, entry->outside_local,
                                         echo ? entry->outside_local_port : entry->outside_remote_port, entry->outside_local_port};
        __u32 step = translate_error(skb, packet, &quoted, &inner);
        if (step != STEP_CONTINUE)
            return step;
    }
    return translate_frame(skb, packet, &ends);
}

#endif
