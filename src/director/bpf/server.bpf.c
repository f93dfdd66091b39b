// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The second chance at a physical server: a packet that comes in GUE from a director (chain.h) is this host's, or goes on to who had its row before.
 *
 *   second_chance, XDP where the director's packets come in:
 *   is it ours to open -> open -> begins a connection, has a socket here, cannot be judged, or nobody is left? -> to the host's stack as it was
 *                                 else -> closed again, for the next in the chain -> to pass_on
 *   pass_on, tc ingress behind it: what second_chance closed is sent to the next, by the host's routes and neighbors
 *   lower_mss, tc egress where answers leave: clients are to send what fits with a chain in front (announce.h)
 *
 * Two programs, since only XDP is before everything that could be confused by the packet inside, and only tc sends by the host's routes without making
 * a router of the host.  What is not on that port, or is GUE of a kind that says more, is the host's and left as it is. */
#include "weft/director/bpf/world.h"
/* clang-format off */
#include <linux/pkt_cls.h>

#include "weft/director/chain-tables.h"
#include "weft/director/bpf/packet.h"
#include "weft/director/bpf/parse.h"
#include "weft/director/bpf/fragment.h"
#include "weft/director/bpf/related.h"
#include "weft/director/bpf/chain.h"
#include "weft/director/bpf/ours.h"
/* clang-format on */

#ifdef __bpf__
char _license[] SEC("license") = "Dual BSD/GPL";

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, CHAIN_PEERS);
    __type(key, struct lb_mark_key);
    __type(value, __u32);
} chain_peers SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, CHAIN_ADDRESSES);
    __type(key, struct lb_address);
    __type(value, __u32);
} chain_addresses SEC(".maps");
TABLE_ARRAY(chain_budgets, BPF_MAP_TYPE_PERCPU_ARRAY, 0, __u64);
TABLE_ARRAY(chain_settings, BPF_MAP_TYPE_ARRAY, 0, struct chain_settings);
TABLE_ARRAY(chain_mss, BPF_MAP_TYPE_ARRAY, 0, struct chain_mss);
TABLE_ARRAY(chain_counters, BPF_MAP_TYPE_PERCPU_ARRAY, 0, struct chain_counters);
TABLE_ARRAY(chain_next, BPF_MAP_TYPE_PERCPU_ARRAY, 0, struct lb_server); /* Who gets the packet in hand. */
#endif

#define LO_IFINDEX 1 /* In every network namespace. */

/* Steps say STEP_CONTINUE, NOT_OURS, or what becomes of the packet. */
#define BECOMES(outcome) (STEP_BECOMES | CHAIN_##outcome)
#define STEP_BECOMES 0x200u

static __always_inline void count_outcome(__u32 outcome)
{
    __u32 zero = 0;
    struct chain_counters *counters = map_lookup(chain_counters, &zero);

    if (counters)
        counters->packets[outcome & (CHAIN_MAX_OUTCOMES - 1)]++;
}

static __always_inline __u32 address_kind(const __u8 *address)
{
    struct lb_address key ON_STACK;
    const __u32 *kind;

    address_copy(key.bytes, address);
    kind = map_lookup(chain_addresses, &key);
    return kind ? *kind : 0;
}

#include "weft/director/bpf/announce.h"

/* Nobody else's: a virtual address is on every server, and on directors. */
static __always_inline bool is_own_alone(const __u8 *address)
{
    return (address_kind(address) & (CHAIN_ADDRESS_OWN | CHAIN_ADDRESS_VIRTUAL)) == CHAIN_ADDRESS_OWN;
}

static __always_inline __u32 peer_kind(const __u8 *address)
{
    struct lb_mark_key key ON_STACK = {.length = 128};
    const __u32 *kind;

    address_copy(key.destination, address);
    kind = map_lookup(chain_peers, &key);
    return kind ? *kind : 0;
}

/* What is known of the outer packet once it is off. */
struct outer {
    __u8 own[16];       /* Where it was sent to. */
    __u8 macs[12];
    __u8 ttl;
    __u8 is_congested;
    __u16 pad;
    __u32 size;         /* Of what is inside, as it says, */
    __u32 behind;       /* and where that begins in the frame. */
    __u32 n_chain;
    __u32 ethertype;    /* As on the wire. */
};

/* Addresses of that family; 'outer6' is a constant here. */
static __always_inline bool read_chain(struct xdp_md *ctx, struct packet *packet, __u32 offset, __u32 n, const bool outer6)
{
    const __u32 address_size = outer6 ? 16 : 4;

    UNROLL
    for (int i = 0; i < LB_PREVIOUS; i++) {
        const __u8 *address = frame_at(ctx, offset + (__u32)i * address_size, address_size);

        if (i >= (int)n)
            break;
        if (!address)
            return false;
        if (outer6)
            address_copy(packet->chain[i], address);
        else
            address_map_ipv4(packet->chain[i], load32(address));
    }
    return true;
}

/* GUE's header at 'offset', for that: 'size' is what UDP says that it carries. */
static __always_inline __u32 read_gue(struct xdp_md *ctx, struct packet *packet, struct outer *outer, __u32 offset, __u32 size)
{
    const __u8 *gue = frame_at(ctx, offset, 8);
    __u32 words, n;

    if (!gue || size < 8)
        return BECOMES(malformed);
    words = gue[0]; /* Variant 0 and no control message: then this is hlen. */
    if (words > 31 || load16(gue + 2) || (gue[1] != IPPROTO_IPIP && gue[1] != IPPROTO_IPV6))
        return NOT_OURS;
    outer->ethertype = gue[1] == IPPROTO_IPIP ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
    outer->behind = offset + 4 + words * 4;
    outer->size = size - 4 - words * 4;
    if (words * 4 + 4 > size)
        return BECOMES(malformed);
    outer->n_chain = 0;
    if (!words)
        return STEP_CONTINUE;
    n = gue[5];
    if (gue[4] != CHAIN_TYPE || load16(gue + 6) || !n || n > LB_PREVIOUS || words != 1 + n * (packet->ipv6 ? 4 : 1))
        return BECOMES(malformed);
    if (packet->ipv6 ? !read_chain(ctx, packet, offset + 8, n, true) : !read_chain(ctx, packet, offset + 8, n, false))
        return BECOMES(malformed);
    outer->n_chain = n;
    return STEP_CONTINUE;
}

/* Is it a packet for this host to open, and of whom? */
static __always_inline __u32 read_outer(struct xdp_md *ctx, struct packet *packet, struct outer *outer)
{
    __u32 zero = 0, offset = packet->l4, kind;
    const struct chain_settings *facts = map_lookup(chain_settings, &zero);
    const __u8 *udp, *ethernet;
    __u32 size;

    if (!facts || packet->protocol != IPPROTO_UDP || packet->flags & PACKET_FRAGMENT || packet->destination_port != facts->port)
        return NOT_OURS;
    if (is_own_alone(packet->source))
        return BECOMES(own_source);
    kind = address_kind(packet->destination);
    if (!(kind & CHAIN_ADDRESS_OWN))
        return NOT_OURS;
    udp = frame_at(ctx, offset, 8);
    ethernet = frame_at(ctx, 0, ETH_HLEN);
    if (!udp || !ethernet)
        return BECOMES(malformed);
    size = bpf_ntohs(load16(udp + 4));
    if (size < 8 || offset + size > ETH_HLEN + packet->size)
        return BECOMES(malformed);
    if (!(peer_kind(packet->source) & CHAIN_PEER_SENDS)) /* To a virtual address it is a service of that port's. */
        return kind & CHAIN_ADDRESS_VIRTUAL ? NOT_OURS : BECOMES(unknown_source);
    address_copy(outer->own, packet->destination);
    __builtin_memcpy(outer->macs, ethernet, sizeof(outer->macs));
    outer->ttl = packet->ttl;
    outer->is_congested = (packet->traffic_class & 3) == 3;
    return read_gue(ctx, packet, outer, offset + 8, size - 8);
}

/* The packet inside is the frame's from now on. */
static __always_inline __u32 open_outer(struct xdp_md *ctx, struct packet *packet, const struct outer *outer)
{
    unsigned char *frame;

    if (bpf_xdp_adjust_head(ctx, (int)(outer->behind - ETH_HLEN)))
        return BECOMES(malformed);
    frame = frame_at(ctx, 0, ETH_HLEN);
    if (!frame)
        return BECOMES(malformed);
    __builtin_memcpy(frame, outer->macs, sizeof(outer->macs));
    store16(frame + 12, outer->ethertype);
    __builtin_memset(packet, 0, PACKET_CLEARED);
    if (!parse(ctx, packet) || packet->size > outer->size)
        return BECOMES(malformed);
    packet->n_chain = (__u16)outer->n_chain;
    if (!(address_kind(packet->destination) & CHAIN_ADDRESS_VIRTUAL))
        return BECOMES(not_virtual);
    return is_own_alone(packet->source) ? BECOMES(own_source) : STEP_CONTINUE;
}

/* RFC 6040, 4.2: what the outer header met on its way. */
static __always_inline __u32 take_congestion(struct xdp_md *ctx, struct packet *packet)
{
    unsigned char *ip = frame_at(ctx, ETH_HLEN, 20);
    __u16 before;

    if (!ip)
        return BECOMES(malformed);
    if (!(packet->traffic_class & 3))
        return BECOMES(congested);
    packet->traffic_class |= 3;
    before = load16(ip);
    store16(ip, before | (packet->ipv6 ? bpf_htons(3 << 4) : bpf_htons(3)));
    if (!packet->ipv6)
        store16(ip + 10, checksum_replace(load16(ip + 10), before, load16(ip)));
    return STEP_CONTINUE;
}

/* Does it stay here?  An outcome, or STEP_CONTINUE for one that goes on. */
static __always_inline __u32 stays(struct xdp_md *ctx, struct packet *packet)
{
    if (!packet->n_chain)
        return BECOMES(last);
    if (packet->l4_protocol == (packet->ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP)) {
        if (packet->flags & PACKET_FRAGMENT || !related(ctx, packet))
            return BECOMES(not_tcp);
    } else if (packet->flags & PACKET_LATER_FRAGMENT && packet->protocol == IPPROTO_TCP && !fragment_find(packet)) {
        return BECOMES(fragment_unknown);
    }
    if (packet->protocol != IPPROTO_TCP)
        return BECOMES(not_tcp);
    if ((packet->flags & (PACKET_FRAGMENT | PACKET_LATER_FRAGMENT)) == PACKET_FRAGMENT)
        fragment_note(packet);
    if ((packet->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
        return BECOMES(begins);
    switch (ours(ctx, packet)) {
    case OURS_SOCKET:
        return BECOMES(socket);
    case OURS_COOKIE:
        return BECOMES(cookie);
    case OURS_UNKNOWN:
        return BECOMES(no_listener);
    default:
        return STEP_CONTINUE;
    }
}

/* Dropping loses nothing for good: TCP sends it again, slower, while a packet that stayed would have this host reset the connection. */
static __always_inline bool may_hand_on(const struct chain_settings *facts)
{
    __u32 zero = 0;
    __u64 *due = map_lookup(chain_budgets, &zero), now = time_ns();

    if (!due || *due > now)
        return false;
    if (*due + CHAIN_BURST_NS < now)
        *due = now - CHAIN_BURST_NS;
    *due += facts->hand_on_ns;
    return true;
}

/* Closes it again, for the first of the chain, which is not in it any more. */
static __always_inline __u32 hand_on(struct xdp_md *ctx, struct packet *packet, const struct outer *outer)
{
    __u32 zero = 0, step;
    const struct chain_settings *facts = map_lookup(chain_settings, &zero);
    struct lb_server *next = map_lookup(chain_next, &zero);
    unsigned char *frame;

    if (!facts || !next)
        return BECOMES(malformed);
    if (!(peer_kind(packet->chain[0]) & CHAIN_PEER_TAKES))
        return BECOMES(unknown_next);
    if (outer->ttl <= 1)
        return BECOMES(ttl_exceeded);
    if (!may_hand_on(facts))
        return BECOMES(hand_on_limit);
    packet->ttl = outer->ttl - 1;
    packet->hash = mix(load64(packet->source) + load64(packet->source + 8) + packet->source_port);
    address_copy(next->address, packet->chain[0]);
    address_copy(next->source, outer->own);
    address_copy(packet->chain[0], packet->chain[1]);
    address_copy(packet->chain[1], packet->chain[2]);
    packet->n_chain--;
    step = chain_put_any(ctx, packet, next, facts->port);
    if (step != STEP_CONTINUE)
        return step == LB_DROP_no_room ? BECOMES(no_room) : BECOMES(malformed);
    frame = frame_at(ctx, 0, ETH_HLEN);
    if (!frame)
        return BECOMES(malformed);
    mac_copy(frame, outer->macs);
    mac_copy(frame + 6, facts->mark);
    return BECOMES(handed_on);
}

static __always_inline __u32 take(struct xdp_md *ctx, struct packet *packet)
{
    struct outer outer ON_STACK;
    __u32 step;

    if (!parse(ctx, packet))
        return NOT_OURS;
    step = read_outer(ctx, packet, &outer);
    if (step == STEP_CONTINUE)
        step = open_outer(ctx, packet, &outer);
    if (step == STEP_CONTINUE && outer.is_congested)
        step = take_congestion(ctx, packet);
    if (step == STEP_CONTINUE)
        step = stays(ctx, packet);
    return step == STEP_CONTINUE ? hand_on(ctx, packet, &outer) : step;
}

static __always_inline bool outcome_is_drop(__u32 outcome)
{
    const __u32 drops = 0
#define CHAIN_OUTCOME(name, is_drop, text) | (__u32)(is_drop) << CHAIN_##name
#include "weft/director/chain-outcomes.def"
#undef CHAIN_OUTCOME
        ;
    return drops >> (outcome & (CHAIN_MAX_OUTCOMES - 1)) & 1;
}

PROGRAM int second_chance(struct xdp_md *ctx)
{
    __u32 zero = 0, step;
    struct packet *packet = packet_memory(&zero);

    if (!packet)
        return XDP_PASS;
    __builtin_memset(packet, 0, PACKET_CLEARED);
    step = take(ctx, packet);
    if (step & STEP_DONE)
        return (int)(step & 0xff);
    step &= CHAIN_MAX_OUTCOMES - 1;
    TRACE("%u", step);
    if (step != CHAIN_handed_on) /* Of which pass_on says what becomes. */
        count_outcome(step);
    return outcome_is_drop(step) ? XDP_DROP : XDP_PASS;
}

/* Of what was handed on: the way to the next one by the host's routes, as for what the host itself sends.  The kernel answers that for an interface that
 * forwards, for which lo does, where nothing comes in that could be forwarded. */
static __always_inline __u32 find_way(struct __sk_buff *skb, __u32 *ret_ifindex)
{
    struct bpf_fib_lookup question ON_STACK = {.ifindex = LO_IFINDEX};
    long failed;

    *ret_ifindex = skb->ifindex;
    if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
        question.family = AF_INET6;
        failed = bpf_skb_load_bytes(skb, ETH_HLEN + 8, question.ipv6_src, 16);
        failed |= bpf_skb_load_bytes(skb, ETH_HLEN + 24, question.ipv6_dst, 16);
    } else {
        question.family = AF_INET;
        failed = bpf_skb_load_bytes(skb, ETH_HLEN + 12, &question.ipv4_src, 4);
        failed |= bpf_skb_load_bytes(skb, ETH_HLEN + 16, &question.ipv4_dst, 4);
    }
    if (failed)
        return CHAIN_malformed;
    switch (bpf_fib_lookup(skb, &question, sizeof(question), 0)) {
    case BPF_FIB_LKUP_RET_SUCCESS:
        *ret_ifindex = question.ifindex;
        return CHAIN_handed_on;
    case BPF_FIB_LKUP_RET_NO_NEIGH:
        *ret_ifindex = question.ifindex;
        return CHAIN_next_unresolved;
    case BPF_FIB_LKUP_RET_FWD_DISABLED: /* Nobody could let lo forward: then it is not known before whether there is a way. */
    case BPF_FIB_LKUP_RET_UNSUPP_LWT:
        return CHAIN_handed_on;
    case BPF_FIB_LKUP_RET_FRAG_NEEDED:
        return CHAIN_too_big;
    default:
        return CHAIN_no_route;
    }
}

/* Nothing but second_chance knows the mark, so nobody else's packet is sent on. */
TC_PROGRAM int pass_on(struct __sk_buff *skb)
{
    __u8 macs[12] ON_STACK;
    __u32 zero = 0, ifindex, outcome;
    const struct chain_settings *facts = map_lookup(chain_settings, &zero);

    if (!facts || bpf_skb_load_bytes(skb, 0, macs, sizeof(macs)) || load16(macs + 6) != load16(facts->mark) || load32(macs + 8) != load32(facts->mark + 2))
        return TC_ACT_UNSPEC;
    outcome = find_way(skb, &ifindex);
    count_outcome(outcome);
    return outcome_is_drop(outcome) ? TC_ACT_SHOT : (int)bpf_redirect_neigh(ifindex, NULL, 0, 0);
}

TC_PROGRAM int lower_mss(struct __sk_buff *skb)
{
    if (announce_less(skb))
        count_outcome(CHAIN_mss_lowered);
    return TC_ACT_UNSPEC;
}
