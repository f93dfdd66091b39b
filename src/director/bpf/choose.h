// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which service a packet is for, and which of its servers gets it. */
#ifndef WEFT_DIRECTOR_BPF_CHOOSE_H
#define WEFT_DIRECTOR_BPF_CHOOSE_H

#include "weft/director/bpf/marks.h"

/* The number of the service of that key, or LB_NONE. */
static __always_inline __u32 service_of(const struct lb_key *key, const struct lb_service **ret_service)
{
    const struct lb_key_value *value = map_lookup(keys, key);
    const struct lb_service *service;
    __u32 number;

    if (!value)
        return LB_NONE;
    number = *(volatile const __u32 *)&value->service;
    service = service_get(number);
    if (!service || !address_equal(service->key.address, key->address) || load64(&service->key.port) != load64(&key->port))
        return LB_NONE;
    *ret_service = service;
    return number;
}

/* The service's number, or LB_NONE.  One for the packet's mark comes before one for its port, and that before one for every port. */
static __always_inline __u32 service_find(const struct packet *packet, const struct lb_settings *facts, __u32 ifindex,
                                          const struct lb_service **ret_service)
{
    struct lb_key key ON_STACK = {};
    __u32 number;

    if (facts->has_marks) {
        key.mark = mark_of(packet, ifindex);
        key.ipv6 = packet->ipv6;
        number = key.mark ? service_of(&key, ret_service) : LB_NONE;
        if (number != LB_NONE)
            return number;
        key.mark = 0;
        key.ipv6 = 0;
    }
    address_copy(key.address, packet->destination);
    key.port = packet->destination_port;
    key.protocol = packet->protocol;
    number = service_of(&key, ret_service);
    if (number != LB_NONE || !facts->has_any_port || !protocol_has_ports(packet->protocol))
        return number;
    key.port = 0;
    return service_of(&key, ret_service);
}

/* Is it the address of some service?  That is all that can be told without ports. */
CHECKED_ALONE int address_is_virtual(const struct packet *packet)
{
    struct lb_key key ON_STACK = {};

    if (!packet)
        return false;
    address_copy(key.address, packet->destination);
    return map_lookup(keys, &key) != NULL;
}

/* What the scheduler goes by.  The same on every director; that they agree takes the same rows, too. */
static __always_inline __u64 flow_hash(const struct packet *packet, __u32 flags)
{
    const __u64 a = 0x9e3779b97f4a7c15ull, b = 0xc2b2ae3d27d4eb4full;
    __u64 value = 0;

    if (flags & LB_HASH_SOURCE)
        value = load64(packet->source) * a + load64(packet->source + 8);
    if (flags & LB_HASH_DESTINATION)
        value += load64(packet->destination) * b + load64(packet->destination + 8) * a;
    if (flags & LB_HASH_SOURCE_PORT)
        value ^= (packet->source_port + 1ull) * b;
    return mix(value);
}

/* NULL: there is none. */
static __always_inline const struct lb_row *row_at(const struct lb_service *service, __u32 row)
{
    __u32 block = service->rows + (row >> LB_ROWS_SHIFT);
    const struct lb_rows *part = map_lookup(rows, &block);

    return part && service->n_rows ? &part->row[row & (LB_ROWS_BLOCK - 1)] : NULL;
}

/* The server of the member in that position. */
static __always_inline __u32 server_at(const struct lb_service *service, __u32 position)
{
    const struct lb_member *member;

    if (position >= service->n_members)
        return LB_NONE;
    position += service->members;
    member = map_lookup(members, &position);
    return member ? *(volatile const __u32 *)&member->server : LB_NONE;
}

/* The server of that row. */
static __always_inline __u32 server_of(const struct lb_service *service, __u32 row)
{
    const struct lb_row *place = row_at(service, row);

    return place ? server_at(service, *(volatile const __u16 *)&place->owner) : LB_NONE;
}

static __always_inline __u32 row_by_hash(const struct lb_service *service, __u64 hash)
{
    return (__u32)((hash >> 32) * service->n_rows >> 32);
}


#endif
