// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Later fragments have no ports: the first one's are remembered for them.  One that comes before its first is dropped; who sends
 * them in disorder sends them again. */
#ifndef WEFT_DIRECTOR_BPF_FRAGMENT_H
#define WEFT_DIRECTOR_BPF_FRAGMENT_H

#include "weft/director/bpf/packet.h"

static __always_inline void fragment_key(const struct packet *packet, struct lb_fragment_key *key)
{
    address_copy(key->source, packet->source);
    address_copy(key->destination, packet->destination);
    key->id = packet->fragment_id;
    key->protocol = packet->protocol;
}

CHECKED_ALONE int fragment_note(const struct packet *packet)
{
    struct lb_fragment_key key ON_STACK = {};
    struct lb_fragment value ON_STACK = {};

    if (!packet)
        return 0;
    fragment_key(packet, &key);
    value.source_port = packet->source_port;
    value.destination_port = packet->destination_port;
    value.check = packet->fragment_id;
    map_put(fragments, &key, &value);
    return 0;
}

/* Fills in the ports.  Returns whether they are known. */
CHECKED_ALONE int fragment_find(struct packet *packet)
{
    struct lb_fragment_key key ON_STACK = {};
    const struct lb_fragment *first;

    if (!packet)
        return false;
    fragment_key(packet, &key);
    first = map_lookup(fragments, &key);
    if (!first || first->check != packet->fragment_id)
        return false;
    packet->source_port = first->source_port;
    packet->destination_port = first->destination_port;
    return true;
}

#endif
