// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Hash services that remember nothing: the row's owner, and for what may belong to an older connection those who had the row before. */
#ifndef WEFT_DIRECTOR_BPF_PREVIOUS_H
#define WEFT_DIRECTOR_BPF_PREVIOUS_H

#include "weft/director/bpf/chain.h"
#include "weft/director/bpf/choose.h"

/* What begins a connection is the owner's, whoever had the row; other protocols have no sockets that would tell. */
static __always_inline bool may_be_older(const struct packet *packet)
{
    return packet->protocol == IPPROTO_TCP && (packet->tcp_flags & (TCP_SYN | TCP_ACK)) != TCP_SYN;
}

/* The chain of the packet in packet_memory() for the server 'number', owner of a row: those of 'word', which is the row, who are there, have an
 * agent, and are of the owner's family, since a chain is of one. */
CHECKED_ALONE int previous_find(__u32 service_number, __u32 number, __u64 word)
{
    const struct lb_service *service = service_get(service_number);
    const struct lb_server *owner = server_get(number), *server;
    __u32 zero = 0, n = 0;
    struct packet *packet = packet_memory(&zero);
    struct lb_row row ON_STACK;

    if (!service || !owner || !packet || !(owner->flags & LB_SERVER_SECOND_CHANCE))
        return 0;
    store64(&row, word);
    UNROLL
    for (int i = 0; i < LB_PREVIOUS; i++) {
        __u32 position = row.previous[i];

        if (position == LB_NOBODY)
            break;
        server = server_get(server_at(service, position));
        if (!server || server->method == LB_METHOD_NONE || !(server->flags & LB_SERVER_SECOND_CHANCE) || n >= LB_PREVIOUS ||
            address_is_ipv4(server->address) != address_is_ipv4(owner->address) || address_equal(server->address, owner->address))
            continue;
        address_copy(packet->chain[n], server->address);
        n++;
    }
    packet->n_chain = (__u16)n;
    return 0;
}

/* The server's number, or LB_NONE. */
static __always_inline __u32 server_by_row(const struct packet *packet, const struct lb_service *service, __u32 service_number)
{
    const struct lb_row *place = row_at(service, row_by_hash(service, packet->hash));
    struct lb_row row ON_STACK;
    __u32 number;
    __u64 word;

    if (!place)
        return LB_NONE;
    word = *(volatile const __u64 *)place;
    store64(&row, word);
    number = server_at(service, row.owner);
    if (row.previous[0] != LB_NOBODY && may_be_older(packet))
        previous_find(service_number, number, word);
    return number;
}

#endif
