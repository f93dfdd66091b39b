// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Security groups and connections: the first packet of a connection is judged by the port's rules (policy.h), all others by what is known of
 * the connection (track.h).
 *
 * The verdict is as old as the entry's epoch.  After a change the next packet, whichever of the two sides it comes from, has the first one
 * judged again: by what the workload may send if it began, else by what it may receive.  A connection that would not be let in any more ends
 * there and then.  A received frame that finds it still allowed renews the verdict and takes the output away, which only a frame that
 * the workload sends can decide. */
#ifndef WEFT_BPF_STATEFUL_H
#define WEFT_BPF_STATEFUL_H

#include "weft/dataplane/bpf/fragment.h"
#include "weft/dataplane/bpf/policy.h"
#include "weft/dataplane/bpf/related.h"
#include "weft/dataplane/bpf/track.h"
#include "weft/dataplane/bpf/verdict.h"

/* Judges a packet that belongs to no connection.  Notes it in the packet when nothing is to be remembered of it. */
static __always_inline __u32 flow_judge(struct packet *packet, const struct port_config *port, __u32 slot, bool received)
{
    __u32 direction = received ? POLICY_INGRESS : POLICY_EGRESS;
    __u32 verdict = policy_of(packet, port, slot, direction | POLICY_BY_ITSELF | (received ? POLICY_RECEIVED : 0));

    if (verdict == POLICY_ALLOWS && packet->tuple.protocol != IPPROTO_TCP && flow_answers(packet) &&
        (port->flags & PORT_POLICY || packet->decision.flags & DECISION_TRANSLATED))
        verdict = POLICY_DENIES; /* Nobody asked for this echo. */
    if (verdict == POLICY_DENIES)
        return policy_reason(direction);
    if (verdict == POLICY_STATELESS)
        packet->flags |= PACKET_STATELESS;
    return STEP_CONTINUE;
}

/* A function of its own: within its callers it would take more stack than Linux 6.1 gives to a chain of calls. */
static __noinline void track_is_over(struct flow_entry *entry, bool is_dead)
{
    if (is_dead)
        flow_end(entry);
    else if (output_is_service(entry->output) && flow_is_over(entry))
        balanced_uncount(entry);
}

/* Is the connection, whose entry is of an earlier epoch, still let in or out as its first packet was?  If not, it ends here. */
static __noinline __u32 flow_judge_again(struct packet *packet, const struct port_config *port, struct flow_entry *entry, __u32 slot,
                                         bool received)
{
    __u32 direction = entry->flags & FLOW_LOCAL_STARTED ? POLICY_EGRESS : POLICY_INGRESS, how = received ? POLICY_RECEIVED : 0;
    __u32 verdict = policy_of(packet, port, slot, direction | how);
    bool either = entry->flags & FLOW_GUESSED || (packet->tuple.protocol != IPPROTO_TCP && entry->flags & FLOW_ECHO_BOTH);

    if (either) {
        if (verdict == POLICY_DENIES) {
            direction ^= POLICY_EGRESS ^ POLICY_INGRESS;
            verdict = policy_of(packet, port, slot, direction | how);
        }
        if (direction == POLICY_EGRESS)
            flow_flags_change(entry, FLOW_LOCAL_STARTED, FLOW_GUESSED);
        else
            flow_flags_change(entry, 0, FLOW_GUESSED | FLOW_LOCAL_STARTED);
    }
    if (verdict == POLICY_ALLOWS)
        return STEP_CONTINUE;
    if (verdict == POLICY_DENIES || !(entry->flags & FLOW_BOUND)) {
        TRACE(flow, "the connection is not allowed any more");
        track_is_over(entry, true);
    }
    if (verdict == POLICY_DENIES)
        return policy_reason(direction);
    packet->flags |= PACKET_STATELESS;
    return flow_judge(packet, port, slot, received);
}

/* Who asks and who answers: both sides may ask with one identifier, if the rules let both. */
static __always_inline __u32 flow_track_echo(struct packet *packet, const struct port_config *port, struct flow_entry *entry, __u32 slot,
                                             bool received, bool is_original)
{
    if (flow_answers(packet) != is_original || entry->flags & FLOW_ECHO_BOTH)
        return STEP_CONTINUE;
    __u32 step = flow_judge(packet, port, slot, received);
    if (step != STEP_CONTINUE)
        return step;
    verdict_accepted(packet, port, slot, received);
    if (!(packet->flags & PACKET_STATELESS))
        flow_flags_change(entry, FLOW_ECHO_BOTH, 0);
    return STEP_CONTINUE;
}

/* A packet of a known connection that policy allows, at a port with security groups for both directions.  'where' is the port's slot,
 * | TRACK_RECEIVED for what it receives. */
#define TRACK_RECEIVED (1u << 31)
CHECKED_ALONE __u32 flow_track(struct __sk_buff *skb, struct packet *packet, const struct port_config *port, struct flow_entry *entry, __u32 where)
{
    bool received = where & TRACK_RECEIVED;
    __u32 slot = where & ~TRACK_RECEIVED, side = flow_side(received);
    struct scratch *scratch = scratch_get();

    if (!packet || !port || !entry || !scratch)
        return DROP_no_port;
    if ((port->flags & PORT_POLICY) != PORT_POLICY || packet->flags & PACKET_LATER_FRAGMENT)
        return STEP_CONTINUE;
    bool is_original = !side == !!(entry->flags & FLOW_LOCAL_STARTED);
    if (packet->tuple.protocol == IPPROTO_ICMP || packet->tuple.protocol == IPPROTO_ICMPV6)
        return flow_track_echo(packet, port, entry, slot, received, is_original);
    if (packet->tuple.protocol != IPPROTO_TCP)
        return STEP_CONTINUE;
    if (!tcp_read(skb, packet, &scratch->segment))
        return DROP_tcp_window;
    __u32 step = track_segment(entry, &scratch->segment, side);
    track_is_over(entry, false);
    if (step != TRACK_RESTART)
        return step;
    if (!is_original || port->flags & PORT_LOGS) { /* Else it is as the one before it; the log wants to know the rule. */
        step = flow_judge(packet, port, slot, received);
        if (step != STEP_CONTINUE)
            return step;
        bool is_balanced = output_is_service(entry->output); /* As one side began it, and never as the other. */
        if (!is_original && (is_balanced || (port->flags & PORT_ROUTER_FIREWALL && packet->flags & PACKET_FROM_OUTSIDE))) { /* Its next SYN begins anew, for firewalls too. */
            track_is_over(entry, true);
            return DROP_tcp_window;
        }
        if (!is_original && port->flags & PORT_ROUTER_FIREWALL && !received)
            *(volatile __u32 *)&entry->output = OUTPUT_NONE; /* The way is to be decided with firewalls in mind. */
        verdict_accepted(packet, port, slot, received);
        if (packet->flags & PACKET_STATELESS) {
            track_is_over(entry, true);
            return STEP_CONTINUE;
        }
    }
    TRACE(flow, "a new connection in the place of one that is over");
    track_restart(entry, &scratch->segment, side);
    return STEP_CONTINUE;
}

/* Is the packet an error about a connection that the port has, and that is still allowed? */
static __always_inline bool flow_relates(struct __sk_buff *skb, const struct packet *packet, const struct port_config *port, __u32 slot, bool received)
{
    struct flow_key key ON_STACK;
    struct packet *quoted = related_quoted(skb, packet);

    if (!quoted)
        return false;
    flow_key_make(&key, slot, quoted, !received); /* What the port receives quotes what it has sent. */
    struct flow_entry *entry = flow_find(&key, quoted, !received);
    __u32 epoch;
    const struct port_config *now = port_config_get(slot, &epoch);
    if (!entry || !now)
        return false;
    if (*(volatile __u32 *)&entry->stamp != flow_stamp(epoch, now->generation) &&
        (flow_judge_again(quoted, port, entry, slot, !received) != STEP_CONTINUE || quoted->flags & PACKET_STATELESS))
        return false;
    TRACE(flow, "an error about a known connection");
    return true;
}

/* May a connection begin with this packet?  Its segment is then in scratch memory. */
static __noinline __u32 flow_open(struct __sk_buff *skb, struct packet *packet, const struct port_config *port, __u32 slot, bool received)
{
    struct scratch *scratch = scratch_get();

    if (related_is_error(packet) && flow_relates(skb, packet, port, slot, received))
        return STEP_CONTINUE;
    __u32 step = flow_judge(packet, port, slot, received);
    if (step != STEP_CONTINUE)
        return step;
    if (!(packet->flags & (PACKET_STATELESS | PACKET_LATER_FRAGMENT)) && packet->tuple.protocol == IPPROTO_TCP &&
        (port->flags & PORT_POLICY) == PORT_POLICY && scratch) {
        if (!tcp_read(skb, packet, &scratch->segment) || flow_answers(packet))
            return DROP_tcp_window;
        if (packet->tcp_flags & TCP_RST)
            packet->flags |= PACKET_STATELESS; /* Of nothing that is known here. */
    }
    verdict_accepted(packet, port, slot, received);
    return STEP_CONTINUE;
}

/* Do the security groups of the sending port let the frame out?  'entry' is that of its connection, or NULL. */
CHECKED_ALONE __u32 flow_send(struct __sk_buff *skb, struct packet *packet, const struct port_config *port, struct flow_entry *entry)
{
    if (!packet || !port)
        return DROP_no_port;
    if (!(entry && output_is_service(entry->output)) && policy_exempts(packet, port, false)) /* A load balancer's clients are judged. */
        return STEP_CONTINUE;
    if (!entry)
        return flow_open(skb, packet, port, packet->slot, false);
    if (*(volatile __u32 *)&entry->stamp != packet->stamp) {
        __u32 step = flow_judge_again(packet, port, entry, packet->slot, false);
        if (step != STEP_CONTINUE || packet->flags & PACKET_STATELESS)
            return step;
    }
    return flow_track(skb, packet, port, entry, packet->slot);
}

/* firewall.h */
CHECKED_ALONE __u32 firewall_arrives(struct __sk_buff *skb, struct packet *packet, struct flow_entry *entry, __u32 slot);

/* The receiving port's side: do its security groups let the frame in?  'stamp' is that port's. */
CHECKED_ALONE __u32 flow_receive(struct __sk_buff *skb, struct packet *packet, const struct port_config *port, __u32 slot, __u32 stamp)
{
    struct flow_key key ON_STACK;
    struct flow_entry *entry = NULL;
    __u32 step;

    if (!packet || !port)
        return DROP_no_port;
    if (policy_exempts(packet, port, true))
        return STEP_CONTINUE;
    packet->flags &= ~PACKET_STATELESS;
    if (packet->flags & PACKET_LATER_FRAGMENT && port->flags & (PORT_INGRESS_POLICY | PORT_ROUTER_FIREWALL)) {
        step = fragment_take(packet, port, slot, 1);
        if (step != STEP_CONTINUE)
            return step;
    }
    if (packet->flags & PACKET_HAS_FLOW) {
        flow_key_make(&key, slot, packet, true);
        entry = flow_find(&key, packet, true);
    }
    if (entry && entry->output == OUTPUT_CLIENT && packet->decision.output != OUTPUT_CLIENT) { /* Of a client that calls the member itself, too. */
        if (!flow_begins_anew(entry, packet))
            return DROP_member_busy; /* What the member answers would go to the load balancer's client. */
        flow_end(entry);
        entry = NULL;
    }
    if (packet->flags & PACKET_FROM_OUTSIDE && port->flags & PORT_ROUTER_FIREWALL &&
        (!entry || *(volatile __u32 *)&entry->stamp != stamp || !flow_is_usual(entry, packet, true))) {
        step = firewall_arrives(skb, packet, entry, slot);
        if (step != STEP_CONTINUE)
            return step;
    }
    if (!entry) {
        step = flow_open(skb, packet, port, slot, true);
        if (step == STEP_CONTINUE && packet->flags & PACKET_STATELESS && port->flags & PORT_ROUTER_FIREWALL)
            packet->decision.flags |= DECISION_BOUND; /* Routers are asked as whose answer the workload's packets are. */
        if (step != STEP_CONTINUE || !(packet->flags & PACKET_HAS_FLOW) ||
            (packet->flags & PACKET_STATELESS && !(packet->decision.flags & DECISION_BOUND)))
            return step;
        return flow_begin(packet, port, &key, true, stamp);
    }
    if (*(volatile __u32 *)&entry->stamp != stamp) {
        step = flow_judge_again(packet, port, entry, slot, true);
        if (step != STEP_CONTINUE || packet->flags & PACKET_STATELESS)
            return step;
        if (output_is_service(entry->output))
            *(volatile __u16 *)&entry->output_generation = BALANCED_AGAIN;
        else
            *(volatile __u32 *)&entry->output = OUTPUT_NONE;
        flow_set_stamp(entry, stamp);
    }
    step = flow_track(skb, packet, port, entry, slot | TRACK_RECEIVED);
    if (step == STEP_CONTINUE)
        flow_account(entry, packet, 1);
    return step;
}

#endif
