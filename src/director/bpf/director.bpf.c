// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The director's program: a packet's story in order.
 *
 *   director, XDP on each interface where clients' packets come in:
 *   parse -> service -> server, by a row or by its connection -> time to live -> next hop -> does it fit -> method -> to the server,
 *   or, if others had the row before, with the chain of those
 *   a server's answer, where it comes back by the director: connection -> translated back -> to the client
 *
 * What is no service's goes on to the host's stack untouched; what is one's ends in a redirect, in an ICMP error to the client, or in a
 * drop with a reason. */
#include "weft/director/bpf/world.h"
/* clang-format off */
#include "weft/director/bpf/packet.h"
#include "weft/director/bpf/parse.h"
#include "weft/director/bpf/fragment.h"
#include "weft/director/bpf/related.h"
#include "weft/director/bpf/choose.h"
#include "weft/director/bpf/hop.h"
#include "weft/director/bpf/icmp.h"
#include "weft/director/bpf/mss.h"
#include "weft/director/bpf/tunnel.h"
#include "weft/director/bpf/l3dsr.h"
#include "weft/director/bpf/forward.h"
#include "weft/director/bpf/previous.h"
#include "weft/director/bpf/nat.h"
/* clang-format on */

#ifdef __bpf__
char _license[] SEC("license") = "Dual BSD/GPL";
#endif

static __always_inline void count(struct lb_counters *counters, const struct packet *packet)
{
    counters->in_packets++;
    counters->in_bytes += packet->size;
    if (packet->flags & PACKET_BEGINS)
        counters->connections++;
}

static __always_inline void count_drop(__u32 reason)
{
    __u32 zero = 0;
    struct lb_drops *counters = map_lookup(drops, &zero);

    if (counters && reason < LB_MAX_DROP_REASONS)
        counters->packets[reason & (LB_MAX_DROP_REASONS - 1)]++;
}

/* The packet is dropped for 'reason', and the client is told. */
static __always_inline __u32 refuse(struct xdp_md *ctx, const struct packet *packet, __u32 reason, __u32 error, __u32 mtu)
{
    __u32 step;

    count_drop(reason);
    step = icmp_error(ctx, packet, error, mtu);
    if (step & STEP_DONE)
        return step;
    if (step == LB_DROP_icmp_limit)
        count_drop(step);
    return VERDICT(XDP_DROP);
}

/* A router's part: one hop more. */
static __always_inline __u32 decrement_ttl(struct xdp_md *ctx, struct packet *packet)
{
    unsigned char *ip = frame_at(ctx, ETH_HLEN, 20);

    if (!ip)
        return LB_DROP_malformed;
    if (packet->ttl <= 1)
        return refuse(ctx, packet, LB_DROP_ttl_exceeded, ICMP_EXPIRED, 0);
    packet->ttl--;
    if (packet->ipv6) {
        ip[7] = packet->ttl;
    } else {
        __u16 before = load16(ip + 8);

        ip[8] = packet->ttl;
        store16(ip + 10, checksum_replace(load16(ip + 10), before, load16(ip + 8)));
    }
    return STEP_CONTINUE;
}

#define IPV6_MIN_MTU 1280 /* RFC 8200, 5. */

static __always_inline __u32 overhead_of(const struct packet *packet, const struct lb_server *server)
{
    return packet->n_chain ? chain_overhead(!address_is_ipv4(server->address), packet->n_chain) : server->overhead;
}

/* Fewer previous owners, the latest at last, until it fits.  Most likely it is the owner's. */
static __always_inline bool shorten_chain(struct packet *packet, const struct lb_server *server, __u32 mtu)
{
    UNROLL
    for (int i = 0; i < LB_PREVIOUS; i++) {
        if (!packet->n_chain)
            break;
        packet->n_chain--;
        if (packet->size + overhead_of(packet, server) <= mtu)
            return true;
    }
    return false;
}

static __always_inline __u32 fits(struct xdp_md *ctx, struct packet *packet, const struct lb_server *server, const struct lb_hop *hop)
{
    __u32 overhead = overhead_of(packet, server), mtu = hop->mtu - overhead;
    bool can_shrink = packet->flags & PACKET_DONT_FRAGMENT && !(packet->ipv6 && packet->size <= IPV6_MIN_MTU); /* If it is told. */

    if (!hop->mtu || packet->size + overhead <= hop->mtu || (!can_shrink && shorten_chain(packet, server, hop->mtu)))
        return STEP_CONTINUE;
    if (!(packet->flags & PACKET_DONT_FRAGMENT))
        return LB_DROP_too_big;
    if (packet->ipv6 && mtu < IPV6_MIN_MTU) /* RFC 2473, 7.1 */
        mtu = IPV6_MIN_MTU;
    return refuse(ctx, packet, LB_DROP_too_big, ICMP_TOO_BIG, mtu);
}

/* What translation makes of the client's packet.  False: its local address is not there. */
static __always_inline bool name_for_server(struct packet *packet, const struct lb_server *server)
{
    __u32 position = packet->local;
    const struct lb_local *local = map_lookup(locals, &position);

    if (!local)
        return false;
    address_copy(packet->to.source, packet->local_port ? local->address : packet->source);
    packet->to.source_port = packet->local_port ? packet->local_port : packet->source_port;
    address_copy(packet->to.destination, server->address);
    packet->to.destination_port = packet->server_port;
    packet->to.is_full = packet->local_port != 0;
    return true;
}

static __always_inline __u32 forward(struct xdp_md *ctx, struct packet *packet, const struct lb_server *server, __u16 chain_port)
{
    if (packet->n_chain)
        return chain_put_any(ctx, packet, server, chain_port);
    switch (server->method) {
    case LB_METHOD_NAT:
    case LB_METHOD_FULL_NAT:
        if (!name_for_server(packet, server))
            return LB_DROP_no_port;
        return translate(ctx, packet);
    default:
        return forward_whole(ctx, packet, server);
    }
}

static __always_inline void clamp(struct xdp_md *ctx, const struct packet *packet, const struct lb_server *server, const struct lb_hop *hop)
{
    __u32 headers = server->overhead + (packet->ipv6 ? 60u : 40u);

    if (hop->mtu > headers)
        mss_clamp(ctx, packet, (__u16)(hop->mtu - headers));
}

/* May the packet be the first that its server gets of a connection that nobody remembers?  An association of SCTP begins with what has no
 * verification tag (RFC 9260, 8.5.1); protocols without beginnings always begin. */
static __always_inline bool may_begin(struct xdp_md *ctx, const struct packet *packet)
{
    const __u8 *tag;

    if (packet->flags & PACKET_QUOTE)
        return false;
    if (packet->protocol == IPPROTO_TCP)
        return packet->flags & PACKET_BEGINS;
    if (packet->protocol != IPPROTO_SCTP)
        return true;
    if (packet->flags & PACKET_LATER_FRAGMENT)
        return false;
    tag = frame_at(ctx, packet->l4 + 4u, 4);
    return !tag || !load32(tag);
}

static __always_inline __u32 to_server(struct xdp_md *ctx, struct packet *packet, const struct lb_service *service, __u32 service_number,
                                       struct lb_service_use *service_use_now, const struct lb_settings *facts)
{
    const struct lb_server *server;
    struct lb_server_use *use;
    __u32 number = LB_NONE, step;
    bool is_refused = false;

    packet->hash = flow_hash(packet, service->flags);
    if (service->schedule == LB_SCHEDULE_HASH && !(service->flags & LB_TRACK)) {
        number = server_by_row(packet, service, service_number);
        if ((packet->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
            packet->flags |= PACKET_BEGINS;
        is_refused = has_no_new(server_get(number)) && may_begin(ctx, packet);
    } else if (service->flags & LB_ONE_PACKET) {
        number = choose_server(packet, service_number);
        if (no_choice(number))
            return no_choice(number);
        packet->flags |= PACKET_BEGINS;
    } else {
        step = conn_server(packet, service_number, &number);
        if (step != STEP_CONTINUE && step != LB_DROP_no_server)
            return step;
    }
    server = server_get(number);
    use = map_lookup(server_use, &number);
    if (!server || !use || server->method == LB_METHOD_NONE || is_refused) {
        service_use_now->refused++;
        return refuse(ctx, packet, LB_DROP_no_server, ICMP_UNREACHABLE, 0);
    }
    count(&service_use_now->counters, packet);
    count(&use->counters, packet);
    step = decrement_ttl(ctx, packet);
    if (step == STEP_CONTINUE)
        step = hop_find(ctx, server, &use->hop);
    if (step == STEP_CONTINUE)
        step = fits(ctx, packet, server, &use->hop);
    if (step == STEP_CONTINUE && service->flags & LB_CLAMP_MSS && server->overhead)
        clamp(ctx, packet, server, &use->hop);
    if (step == STEP_CONTINUE)
        step = forward(ctx, packet, server, facts->chain_port);
    return step == STEP_CONTINUE ? send_frame(ctx, &use->hop) : step;
}

static __always_inline bool may_be_answer(const struct packet *packet, const struct lb_settings *facts)
{
    return facts->has_translation && protocol_has_ports(packet->protocol);
}

static __always_inline __u32 balance(struct xdp_md *ctx, struct packet *packet)
{
    const struct lb_service *service = NULL;
    struct lb_service_use *use;
    __u32 number, zero = 0;
    const struct lb_settings *facts = map_lookup(settings, &zero);

    if (!facts || !parse(ctx, packet))
        return NOT_OURS;
    if (packet->l4_protocol == (packet->ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP)) {
        if (packet->flags & PACKET_FRAGMENT || !related(ctx, packet))
            return NOT_OURS;
    } else if (packet->flags & PACKET_LATER_FRAGMENT && !fragment_find(packet)) {
        return address_is_virtual(packet) ? LB_DROP_fragment_unknown : NOT_OURS;
    }
    number = service_find(packet, facts, ctx->ingress_ifindex, &service);
    if (number == LB_NONE && !may_be_answer(packet, facts))
        return NOT_OURS;
    if ((packet->flags & (PACKET_FRAGMENT | PACKET_LATER_FRAGMENT)) == PACKET_FRAGMENT)
        fragment_note(packet);
    /* A rule may mark what a server answers, too. */
    if (number == LB_NONE || !service || (service->key.mark && may_be_answer(packet, facts) && is_answer(packet)))
        return from_server(ctx, packet);
    use = map_lookup(service_use, &number);
    if (!use)
        return NOT_OURS;
    return to_server(ctx, packet, service, number, use, facts);
}

PROGRAM int director(struct xdp_md *ctx)
{
    __u32 zero = 0, step;
    struct packet *packet = packet_memory(&zero);

    if (!packet)
        return XDP_PASS;
    __builtin_memset(packet, 0, PACKET_CLEARED);
    step = balance(ctx, packet);
    if (step & STEP_DONE)
        return (int)(step & 0xff);
    count_drop(step);
    return XDP_DROP;
}

/* A connection that is closing or over here, and alive there later than that, is another one: the client uses its port again. */
static __always_inline bool is_replaced_by(const struct lb_conn *present, const struct lb_conn *told)
{
    __u32 state = conn_state(present);

    return (state == LB_CONN_DEAD || (state_is_inactive(state) && !state_is_inactive(told->state))) && (__s32)(told->last_seen - present->last_seen) > 0;
}

static __always_inline __u32 take_view(const struct lb_conn *told, __u32 index)
{
    struct conn_names names ON_STACK = {.number = told->server, .server_port = told->server_port, .local = told->local, .local_port = told->local_port};

    return told->is_translated ? conn_put_view(&told->key, &names, index) : 0;
}

/* As conn_renew. */
static __always_inline bool conn_replace(struct lb_conn *present, const struct lb_conn *told, __u32 index)
{
    __u32 word = conn_word(present), state = state_of(word);

    if (state > LB_CONN_DEAD || !conn_seize(present, word))
        return false;
    if ((state != LB_CONN_DEAD && !state_is_inactive(state)) || take_view(told, index)) {
        conn_settle(present, state);
        return false;
    }
    conn_uncount(present, state);
    present->server = told->server;
    present->incarnation = told->incarnation;
    present->service = told->service;
    present->server_port = told->server_port;
    present->is_translated = told->is_translated;
    present->is_proven = told->is_proven;
    present->held = told->held;
    present->last_seen = told->last_seen;
    conn_settle(present, told->state);
    conn_count(told->server, COUNTED_NOT, state_counted(told->state));
    return true;
}

/* What is told of one that is here, at the same server and of the same local port: it hears that it is alive, or closing.  False: it is at another one, and stays
 * there; or another CPU has it begin anew. */
static __always_inline bool conn_hear(struct lb_conn *present, const struct lb_conn *told)
{
    __u32 word = conn_word(present), state = state_of(word), held;
    struct conn_place place ON_STACK;

    if (!state_is_alive(state) || !conn_place_of(present, word, &place) || place.server != told->server || place.incarnation != told->incarnation)
        return false;
    held = *(volatile __u32 *)&present->held; /* Or of what is no template, the local address and port. */
    if ((!told->key.is_template && held != told->held) || !conn_is_same(present, word))
        return false;
    if ((__s32)(told->last_seen - present->last_seen) > 0)
        present->last_seen = told->last_seen;
    if (told->key.is_template && told->is_proven)
        present->is_proven = 1;
    if (state < told->state && told->state < LB_CONN_UDP) /* It goes one way: SYN, established, closing, closed. */
        conn_moves(present, word, told->state);
    return true;
}

static __always_inline bool take_new(const struct lb_conn *told)
{
    __u32 index = conn_claim(), state = told->state;
    struct lb_conn *conn = conn_at(index);

    if (!conn)
        return false;
    conn->key = told->key;
    conn->server = told->server;
    conn->incarnation = told->incarnation;
    conn->service = told->service;
    conn->server_port = told->server_port;
    conn->is_translated = told->is_translated;
    conn->is_proven = told->is_proven;
    conn->held = told->held;
    conn->last_seen = told->last_seen;
    if (take_view(told, index)) {
        conn_release(conn);
        return false;
    }
    if (conn_put(index, state))
        return false;
    conn_count(told->server, COUNTED_NOT, state_counted(state));
    return true;
}

/* Run by user space: a connection that another director has had, which the frame is.  XDP_PASS: taken; else there is no place for it. */
PROGRAM int take_connection(struct xdp_md *ctx)
{
    struct lb_conn told ON_STACK;
    const unsigned char *frame = frame_at(ctx, 0, sizeof(told));
    const struct lb_server *server;
    struct lb_conn *present;
    __u32 index;

    if (!frame)
        return XDP_DROP;
    __builtin_memcpy(&told, frame, sizeof(told));
    server = server_get(told.server);
    if (!server || server->method == LB_METHOD_NONE || server->incarnation != told.incarnation || told.key.of_server)
        return XDP_DROP;
    if (!told.key.is_template && (told.local_port != 0) != (server->method == LB_METHOD_FULL_NAT))
        return XDP_DROP;
    index = conn_find(&told.key);
    present = conn_at(index);
    if (!present)
        return take_new(&told) ? XDP_PASS : XDP_DROP;
    if (!is_replaced_by(present, &told))
        return conn_hear(present, &told) ? XDP_PASS : XDP_DROP;
    return conn_replace(present, &told, index) ? XDP_PASS : XDP_DROP;
}

#ifdef __bpf__
/* Run once by user space: connections end by this program and its tables from now on, not by those of the program that began the timer. */
PROGRAM int take_sweeper(struct xdp_md *ctx)
{
    __u32 zero = 0;
    struct sweeper_record *record = map_lookup(sweeper, &zero);

    if (record && !record->is_running && record->n_connections) /* They came with other tables. */
        sweep_begin(record);
    else if (record && record->is_running && (sweep_timer_set_callback(record, sweep) || sweep_timer_start(record, sweep_tick_ns())))
        record->is_running = 0; /* The next connection begins it. */
    return XDP_PASS;
}
#endif
