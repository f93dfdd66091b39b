// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Destination translation, there and back: the client's packet gets the server's address and port, the server's answer those of the
 * service.  The director is the servers' way to their clients. */
#ifndef WEFT_DIRECTOR_BPF_NAT_H
#define WEFT_DIRECTOR_BPF_NAT_H

#include "weft/director/bpf/track.h"
#include "weft/director/bpf/translate.h"

/* Out to the client, by the host's routes. */
static __always_inline __u32 send_to_client(struct xdp_md *ctx, const struct packet *packet)
{
    struct bpf_fib_lookup question ON_STACK = {};
    unsigned char *frame;
    long answer;

    question.ifindex = ctx->ingress_ifindex;
    if (packet->ipv6) {
        question.family = AF_INET6;
        address_copy(question.ipv6_dst, packet->to.destination);
    } else {
        question.family = AF_INET;
        question.ipv4_dst = address_ipv4(packet->to.destination);
    }
    answer = bpf_fib_lookup(ctx, &question, sizeof(question), 0);
    if (answer == BPF_FIB_LKUP_RET_NO_NEIGH) {
        struct lb_address client ON_STACK;
        __u32 one = 1;

        /* It is a whole packet of ours now: the host sends it, and so finds the neighbor for those that follow.  If the source, the virtual
         * address, is the host's own it drops it: hence the agent asks, too. */
        address_copy(client.bytes, packet->to.destination);
        map_put(unresolved, &client, &one);
        return NOT_OURS;
    }
    if (answer != BPF_FIB_LKUP_RET_SUCCESS)
        return hop_reason(answer);
    if (question.mtu_result && packet->size > question.mtu_result)
        return LB_DROP_too_big;
    frame = frame_at(ctx, 0, ETH_HLEN);
    if (!frame)
        return LB_DROP_malformed;
    mac_from_stack(frame, question.dmac);
    mac_from_stack(frame + 6, question.smac);
    return question.ifindex == ctx->ingress_ifindex ? VERDICT(XDP_TX) : VERDICT(bpf_redirect(question.ifindex, 0));
}

/* The key of the connection as the server sees it that sent the packet. */
static __always_inline void answer_key(const struct packet *packet, struct lb_conn_key *key)
{
    address_copy(key->client, packet->destination);
    address_copy(key->address, packet->source);
    key->client_port = packet->destination_port;
    key->port = packet->source_port;
    key->protocol = packet->protocol;
    key->of_server = 1;
    key->is_template = 0;
}

CHECKED_ALONE int is_answer(const struct packet *packet)
{
    struct lb_conn_key key ON_STACK;

    if (!packet)
        return false;
    answer_key(packet, &key);
    return conn_find(&key) != LB_NONE;
}

/* What came for no service may be a server's answer. */
CHECKED_ALONE __u32 from_server(struct xdp_md *ctx, struct packet *packet)
{
    struct lb_conn_key key ON_STACK;
    const struct lb_conn *view;
    struct lb_conn *conn;
    __u32 word, step, service, server;
    unsigned char *ip;

    if (!packet)
        return NOT_OURS;
    answer_key(packet, &key);
    view = conn_at(conn_find(&key));
    if (!view)
        return NOT_OURS;
    conn = conn_at(view->forward);
    if (!conn)
        return LB_DROP_no_connection;
    /* The client may have begun anew, with another server, or its server has left: what the one before still says is none of it. */
    word = conn_word(conn);
    if (!state_is_alive(state_of(word)) || !is_view_of(&key, conn))
        return LB_DROP_no_connection;
    if (!(packet->flags & PACKET_QUOTE))
        conn->last_seen = conn_now();
    /* An ICMP error about what the client sent has no flags. */
    if (packet->protocol == IPPROTO_TCP && packet->tcp_flags & TCP_RST)
        conn_moves(conn, word, LB_CONN_CLOSE);
    else if (packet->protocol == IPPROTO_TCP && packet->tcp_flags & TCP_FIN)
        conn_moves(conn, word, LB_CONN_FIN_WAIT);
    if (packet->ttl <= 1)
        return LB_DROP_ttl_exceeded;
    service = conn->service;
    server = conn->server;
    struct lb_service_use *used = map_lookup(service_use, &service);
    if (used) {
        used->counters.out_packets++;
        used->counters.out_bytes += packet->size;
    }
    struct lb_server_use *use = map_lookup(server_use, &server);
    if (use) {
        use->counters.out_packets++;
        use->counters.out_bytes += packet->size;
    }
    ip = frame_at(ctx, ETH_HLEN, 20);
    if (!ip)
        return LB_DROP_malformed;
    if (packet->ipv6) {
        ip[7]--;
    } else {
        __u16 before = load16(ip + 8);

        ip[8]--;
        store16(ip + 10, checksum_replace(load16(ip + 10), before, load16(ip + 8)));
    }
    address_copy(packet->to.source, conn->key.address);
    address_copy(packet->to.destination, conn->key.client);
    packet->to.source_port = conn->key.port;
    packet->to.destination_port = conn->key.client_port;
    packet->to.is_full = 1;
    step = translate(ctx, packet);
    return step == STEP_CONTINUE ? send_to_client(ctx, packet) : step;
}

#endif
