// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which mark a packet has: netfilter, which would give it, sees it too late, hence rules of our own (tables.h). */
#ifndef WEFT_DIRECTOR_BPF_MARKS_H
#define WEFT_DIRECTOR_BPF_MARKS_H

#include "weft/director/bpf/parse.h"

struct mark_search {
    __u32 first;
    __u32 ifindex;
    __u32 mark;
};

static __always_inline bool mark_matches(const struct lb_mark_rule *rule, const struct packet *packet, __u32 ifindex)
{
    __u16 source = bpf_ntohs(packet->source_port), destination = bpf_ntohs(packet->destination_port);

    if (rule->ipv6 != packet->ipv6 || (rule->protocol && rule->protocol != packet->protocol) || (rule->ifindex && rule->ifindex != ifindex))
        return false;
    if (source < rule->source_min || source > rule->source_max || destination < rule->destination_min || destination > rule->destination_max)
        return false;
    for (int i = 0; i < 16; i += 4)
        if ((load32(packet->source + i) & load32(rule->source_mask + i)) != load32(rule->source + i))
            return false;
    return true;
}

static long mark_try(__u32 index, void *context)
{
    struct mark_search *search = context;
    __u32 position = search->first + index, zero = 0;
    const struct lb_mark_rule *rule = map_lookup(mark_rules, &position);
    const struct packet *packet = packet_memory(&zero);

    if (!rule || !packet)
        return 1;
    if (!mark_matches(rule, packet, search->ifindex))
        return 0;
    search->mark = rule->mark;
    return 1;
}

/* The mark of the packet in packet_memory(); 0: none. */
CHECKED_ALONE __u32 mark_of(const struct packet *packet, __u32 ifindex)
{
    struct lb_mark_key key ON_STACK = {.length = 128};
    const struct lb_mark_list *list;

    if (!packet || !protocol_has_ports(packet->protocol))
        return 0;
    address_copy(key.destination, packet->destination);
    list = map_lookup(mark_places, &key);
    if (!list)
        return 0;
    struct mark_search search = {.first = list->first, .ifindex = ifindex, .mark = frame_unknown(0)};
    __u32 n = list->n;
    if (n > LB_MARK_RULES_MAX)
        n = LB_MARK_RULES_MAX;
    frame_loop(n, mark_try, &search);
    return search.mark;
}

#endif
