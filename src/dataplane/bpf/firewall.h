// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Firewall policies of router ports (Firewall-as-a-service), on the host that knows the connection.
 *
 * What comes to a router by a port is asked of that port's egress policy, what leaves by one of its ingress policy: directions are those of the
 * network behind the port.  All ports on the way have to agree.  A policy is asked about a connection as it was begun: its answers pass each
 * port in the other direction, and so does the question.  So whoever answers is believed only that somebody asked, never that it was allowed to.
 *
 * Who asks: the host of a workload about what it sends, whenever its way is decided (a new connection, a new epoch); and about what comes from
 * outside, when its connection is new or of an earlier epoch.  That takes connection entries for what such ports receive
 * (PORT_ROUTER_FIREWALL).  A connection that is met in the middle may go on if one that begins with this packet might.
 *
 * Logs (ROUTER_PORT_LOGS) are written where the question was asked, so once: of packets with no connection entry yet that all ports agree to, by
 * each port that logs them; of a packet that is refused by the port that refuses it.
 *
 * Sets of rules never change, as those of policy.h.  A reader that meets one being deleted asks the port's new one. */
#ifndef WEFT_BPF_FIREWALL_H
#define WEFT_BPF_FIREWALL_H

#include "weft/dataplane/bpf/related.h"
#include "weft/dataplane/bpf/routing.h"
#include "weft/dataplane/bpf/verdict.h"

#define FIREWALL_STEPS_MAX 8192

/* What to ask of the packet: */
#define FIREWALL_REVERSE 1u /* it takes the passage from its end to its beginning, or belongs to a connection that does; */
#define FIREWALL_SWAPPED 2u /* it answers: its source was the destination of what began. */

/* The set of rules at a place of the passage; 0: none. */
static __always_inline __u32 firewall_set(const struct passage *passage, __u32 position, __u32 reverse)
{
    const struct router_port_config *port = router_port_get(passage->ports[position & (PASSAGE_MAX - 1)]);

    if (!port)
        return 0;
    return ((position ^ reverse) & 1) == POLICY_INGRESS ? port->rule_set[POLICY_INGRESS] : port->rule_set[POLICY_EGRESS];
}

static __always_inline bool firewall_fits(const struct firewall_search *search, const struct firewall_rule_row *rule)
{
    __u32 flags = rule->flags;

    if (!(flags & search->family) || (flags & RULE_PROTOCOL && rule->protocol != search->protocol))
        return false;
    if (flags & FIREWALL_SOURCE_PORTS && (search->source_port < rule->source_min || search->source_port > rule->source_max))
        return false;
    if (flags & FIREWALL_DESTINATION_PORTS &&
        (search->destination_port < rule->destination_min || search->destination_port > rule->destination_max))
        return false;
    return policy_prefix_fits(rule->source, rule->source_length, search->source_high, search->source_low) &&
           policy_prefix_fits(rule->destination, rule->destination_length, search->destination_high, search->destination_low);
}

/* The block is not there (any more).  If the port has another set by now, that is asked from its beginning. */
static __always_inline long firewall_lost(struct firewall_search *search, const struct passage *passage)
{
    __u32 set = firewall_set(passage, search->position, search->reverse);

    if (set == search->set) {
        search->number = 0;
        return 1; /* Denied. */
    }
    search->set = set;
    search->index = 0;
    return 0;
}

/* One block of rules, or one port that has none. */
static long firewall_step(__u32 index, void *context)
{
    struct firewall_search *search = *(struct firewall_search **)context;
    struct scratch *scratch = scratch_get();

    if (!scratch)
        return 1;
    struct passage *passage = &scratch->passage;
    if (!search->set) {
        __u32 position = search->position;
        if (position >= passage->n || position >= PASSAGE_MAX) {
            search->verdict = FIREWALL_PASSES;
            return 1;
        }
        search->set = firewall_set(passage, position, search->reverse);
        search->index = 0;
        if (!search->set) {
            passage->rules[position & (PASSAGE_MAX - 1)] = 0;
            search->position = position + 1;
            return 0;
        }
    }
    struct rules_key key = {.set = search->set, .index = search->index};
    const struct firewall_block *block = map_lookup(firewall_rules, &key);
    if (!block || block->set != key.set || block->index != key.index)
        return firewall_lost(search, passage);
    __u32 n = block->n, is_last = block->is_last, found = 0, verdict = FIREWALL_DENIES, number = 0;
#pragma GCC unroll 1
    for (__u32 i = 0; i < FIREWALL_RULES_PER_BLOCK; i++) {
        if (i >= n)
            break;
        if (!firewall_fits(search, &block->rules[i]))
            continue;
        found = 1;
        verdict = block->rules[i].verdict;
        number = block->rules[i].number;
        break;
    }
    if (*(const volatile __u32 *)&block->set != key.set || *(const volatile __u32 *)&block->index != key.index)
        return firewall_lost(search, passage); /* Was deleted under us, and is another set's. */
    if (!found && !is_last) {
        search->index++;
        return 0;
    }
    search->number = number;
    if (verdict == FIREWALL_PASSES) {
        TRACE(firewall, "router port %u, %s: rule %08x lets it pass", passage->ports[search->position & (PASSAGE_MAX - 1)],
              ((search->position ^ search->reverse) & 1) == POLICY_INGRESS ? "ingress" : "egress", number);
        passage->rules[search->position & (PASSAGE_MAX - 1)] = number;
        search->set = 0;
        search->position++;
        return 0;
    }
    search->verdict = verdict;
    return 1;
}

/* Asks all ports of the passage.  'how': FIREWALL_*.  Returns STEP_CONTINUE or a drop reason. */
CHECKED_ALONE __u32 firewall_ask(const struct packet *packet, __u32 how)
{
    struct scratch *scratch = scratch_get();

    if (!packet || !scratch)
        return DROP_firewall_egress;
    struct firewall_search *search = &scratch->firewall;
    bool swapped = how & FIREWALL_SWAPPED;
    const __u8 *source = swapped ? packet->tuple.remote : packet->tuple.local;
    const __u8 *destination = swapped ? packet->tuple.local : packet->tuple.remote;
    *search = (struct firewall_search){
        .source_high = bpf_be64_to_cpu(load64(source)),
        .source_low = bpf_be64_to_cpu(load64(source + 8)),
        .destination_high = bpf_be64_to_cpu(load64(destination)),
        .destination_low = bpf_be64_to_cpu(load64(destination + 8)),
        .source_port = bpf_ntohs(swapped ? packet->tuple.remote_port : packet->tuple.local_port),
        .destination_port = bpf_ntohs(swapped ? packet->tuple.local_port : packet->tuple.remote_port),
        .family = packet->flags & PACKET_IPV6 ? RULE_IPV6 : RULE_IPV4,
        .protocol = packet->tuple.protocol,
        .reverse = how & FIREWALL_REVERSE,
        .verdict = FIREWALL_DENIES,
    };
    frame_loop(FIREWALL_STEPS_MAX, firewall_step, &search);
    if (search->verdict == FIREWALL_PASSES)
        return STEP_CONTINUE;
    bool ingress = ((search->position ^ search->reverse) & 1) == POLICY_INGRESS;
    if (search->number)
        TRACE(firewall, "router port %u, %s: rule %08x %s it", scratch->passage.ports[search->position & (PASSAGE_MAX - 1)],
              ingress ? "ingress" : "egress", search->number, search->verdict == FIREWALL_REJECTS ? "rejects" : "denies");
    else
        TRACE(firewall, "router port %u, %s: %s", scratch->passage.ports[search->position & (PASSAGE_MAX - 1)], ingress ? "ingress" : "egress",
              search->set == RULE_SET_NO_ROOM ? "this host has no room for its rules" : "no rule lets it pass");
    return ingress ? DROP_firewall_ingress : DROP_firewall_egress;
}

/* Did the last answer say that the sender is to be told? */
static __always_inline bool firewall_rejects(void)
{
    const struct scratch *scratch = scratch_get();

    return scratch && scratch->firewall.verdict == FIREWALL_REJECTS;
}

/* For the log of the port at 'position' of the passage, if it has one: that port refuses the packet for 'reason', or (0) lets it pass.  Returns whether
 * an event was written. */
CHECKED_ALONE __u32 firewall_write(const struct packet *packet, __u32 position, __u32 reason)
{
    const struct scratch *scratch = scratch_get();

    if (!packet || !scratch || position >= PASSAGE_MAX)
        return 0;
    __u32 number = scratch->passage.ports[position], ingress = ((position ^ scratch->firewall.reverse) & 1) == POLICY_INGRESS;
    const struct router_port_config *port = router_port_get(number);
    struct verdict_runtime *runtime = map_lookup(router_verdict_runtime, &number);
    if (!port || !runtime || !(port->flags & (reason ? ROUTER_PORT_LOG_DROP : ROUTER_PORT_LOG_ACCEPT)))
        return 0;
    struct verdict_event *event = verdict_reserve(runtime);
    if (!event) {
        TRACE(firewall, "router port %u, %s: is not logged: too many events", number, ingress ? "ingress" : "egress");
        return 0;
    }
    event->slot = number;
    event->generation = port->generation;
    event->number = reason ? scratch->firewall.number : scratch->passage.rules[position];
    verdict_fill(event, packet, reason | (ingress ? VERDICT_WAS_RECEIVED : 0));
    event->flags |= VERDICT_ROUTER;
    map_ring_submit(event);
    TRACE(firewall, "router port %u, %s: is logged as %s", number, ingress ? "ingress" : "egress", reason ? "DROP" : "ACCEPT");
    return 1;
}

/* What the last answer, 'step', says of the packet goes to the logs of the passage's ports. */
CHECKED_ALONE __u32 firewall_log(const struct packet *packet, __u32 step)
{
    const struct scratch *scratch = scratch_get();

    if (!packet || !scratch || !scratch->passage.logs)
        return 0;
    if (step != STEP_CONTINUE)
        return firewall_write(packet, scratch->firewall.position, step);
    if (packet->flags & PACKET_KNOWN)
        return 0;
    __u32 n = scratch->passage.n;
#pragma GCC unroll 1
    for (__u32 i = 0; i < PASSAGE_MAX; i++) {
        if (i >= n)
            break;
        firewall_write(packet, i, 0);
    }
    return 1;
}

/* The connection that an ICMP error of, or for ('received'), the port in 'slot' is about, if the port has it.  '*ret' is what the error quotes. */
static __always_inline struct flow_entry *firewall_related(struct __sk_buff *skb, const struct packet *packet, __u32 slot, bool received,
                                                           struct packet **ret)
{
    struct flow_key key ON_STACK;
    struct packet *quoted = related_is_error(packet) ? related_quoted(skb, packet) : NULL;

    if (!quoted)
        return NULL;
    flow_key_make(&key, slot, quoted, !received);
    *ret = quoted;
    return flow_find(&key, quoted, !received);
}

/* May what the workload in packet->slot sends go through the routers of the passage? */
CHECKED_ALONE __u32 firewall_sends(struct __sk_buff *skb, struct packet *packet)
{
    struct scratch *scratch = scratch_get();
    struct packet *quoted = NULL;

    if (!packet || !scratch)
        return DROP_firewall_egress;
    if (!scratch->passage.has_rules)
        return STEP_CONTINUE;
    const struct flow_entry *about = firewall_related(skb, packet, packet->slot, false, &quoted);
    if (about && firewall_ask(quoted, about->flags & FLOW_LOCAL_STARTED ? FIREWALL_SWAPPED : FIREWALL_REVERSE) == STEP_CONTINUE)
        return STEP_CONTINUE;
    bool answers = packet->flags & PACKET_ANSWERS;
    __u32 step = firewall_ask(packet, answers ? FIREWALL_REVERSE | FIREWALL_SWAPPED : 0);
    if (step != STEP_CONTINUE && packet->flags & (PACKET_ANSWERS | PACKET_EITHER)) {
        step = firewall_ask(packet, answers ? 0 : FIREWALL_REVERSE | FIREWALL_SWAPPED);
        if (step == STEP_CONTINUE)
            packet->flags |= PACKET_TURNED;
        else if (!answers)
            step = firewall_ask(packet, 0); /* Who refuses what it sends is who tells it. */
    }
    if (step != STEP_CONTINUE) {
        __u32 position = scratch->firewall.position & (PASSAGE_MAX - 1);
        packet->decision.router_port = scratch->passage.ports[position & ~1u]; /* Who says so, if anybody does. */
        packet->decision.hops = position / 2;
    }
    firewall_log(packet, step);
    return step;
}

/* What is known of the connection of a packet that a workload sends, and of who began it: PACKET_KNOWN, PACKET_ANSWERS, PACKET_EITHER. */
static __always_inline __u32 firewall_side(const struct flow_entry *entry, const struct packet *packet)
{
    if (!entry)
        return 0;
    if (packet->tuple.protocol == IPPROTO_ICMP || packet->tuple.protocol == IPPROTO_ICMPV6)
        return PACKET_KNOWN | (flow_answers(packet) ? PACKET_ANSWERS : 0);
    return PACKET_KNOWN | (entry->flags & FLOW_LOCAL_STARTED ? 0 : PACKET_ANSWERS) | (entry->flags & FLOW_GUESSED ? PACKET_EITHER : 0);
}

/* What firewalls said of the packet holds for its connection. */
static __always_inline void firewall_note(struct flow_entry *entry, const struct packet *packet, __u32 step)
{
    if (!entry || !flow_is_usual(entry, packet, false))
        return;
    if (step == DROP_firewall_egress || step == DROP_firewall_ingress) {
        TRACE(firewall, "the connection is not allowed any more");
        flow_end(entry);
    } else if (packet->flags & PACKET_TURNED) {
        if (packet->flags & PACKET_ANSWERS)
            flow_flags_change(entry, FLOW_LOCAL_STARTED, FLOW_GUESSED);
        else
            flow_flags_change(entry, 0, FLOW_LOCAL_STARTED | FLOW_GUESSED);
    }
}

/* The passage of what the port sends back to who sent this packet from outside. */
static __always_inline __u32 firewall_way_back(struct __sk_buff *skb, const struct packet *packet)
{
    struct scratch *scratch = scratch_get();
    struct packet *probe = packet_new(PACKET_PROBED);
    bool moves;
    __u32 output = switch_lookup(packet->vni, packet->source, &moves), inner = output & OUTPUT_SLOT_MASK;
    const struct router_port_config *in = router_port_get(inner);

    if (!scratch || !probe || (output & OUTPUT_KIND_MASK) != OUTPUT_ROUTER || !in)
        return DROP_router_down;
    if (packet->decision.flags & DECISION_TRANSLATED) {
        const struct router_port_config *out = router_port_get(packet->decision.gateway);
        scratch->passage.n = scratch->passage.has_rules = scratch->passage.logs = 0;
        if (out)
            passage_add(inner, in, packet->decision.gateway, out);
        return out ? STEP_CONTINUE : DROP_router_down;
    }
    address_copy(probe->tuple.local, packet->tuple.remote);
    address_copy(probe->tuple.remote, packet->tuple.local);
    probe->tuple.protocol = IPPROTO_NONE;
    probe->flags = (packet->flags & (PACKET_IPV4 | PACKET_IPV6)) | PACKET_PROBE;
    __u32 step = route_walk(skb, probe, inner);
    return step == ROUTE_LEAVES ? STEP_CONTINUE : step == STEP_CONTINUE ? DROP_reverse_path : step == ROUTE_IS_LOCAL ? DROP_reverse_path : step;
}

/* May a packet from outside come to the port in 'slot'?  'entry' is its connection's, whose verdict is as old as it is; NULL: it is new. */
CHECKED_ALONE __u32 firewall_arrives(struct __sk_buff *skb, struct packet *packet, struct flow_entry *entry, __u32 slot)
{
    struct scratch *scratch = scratch_get();
    struct packet *quoted = NULL;

    if (!packet || !scratch)
        return DROP_firewall_egress;
    __u32 step = firewall_way_back(skb, packet);
    if (step != STEP_CONTINUE || !scratch->passage.has_rules)
        return step;
    const struct flow_entry *about = firewall_related(skb, packet, slot, true, &quoted);
    if (about && firewall_ask(quoted, about->flags & FLOW_LOCAL_STARTED ? 0 : FIREWALL_REVERSE | FIREWALL_SWAPPED) == STEP_CONTINUE)
        return STEP_CONTINUE;
    step = DROP_firewall_egress;
    if (entry && entry->flags & FLOW_LOCAL_STARTED && flow_is_usual(entry, packet, true))
        step = firewall_ask(packet, FIREWALL_SWAPPED);
    if (step != STEP_CONTINUE)
        step = firewall_ask(packet, FIREWALL_REVERSE);
    if (entry)
        packet->flags |= PACKET_KNOWN;
    firewall_log(packet, step);
    if (step != STEP_CONTINUE && entry && flow_is_usual(entry, packet, true)) {
        TRACE(firewall, "the connection is not allowed any more");
        flow_end(entry);
    }
    return step;
}

#endif
