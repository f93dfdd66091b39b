// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A health check goes the way of the traffic: to the virtual address, to one server, by the method that clients' packets take.
 *
 *   the check's socket, in a network namespace that has the host's own address, marked with the number of its way
 *     -> number_check, tc egress of the namespace's only device: the number becomes the frame's destination MAC
 *     -> lead_check, XDP on that device's other end: way -> server -> next hop -> method -> to the server, as director.bpf.c does it
 *   the server answers the host's address in the name of the virtual one
 *     -> take_answer, tc ingress where servers are: is there a check's socket for it? -> into the namespace
 *
 * The namespace is why the host may have the virtual address itself: its own stack would neither send to it nor take packets from it. */
#include "weft/director/bpf/world.h"
/* clang-format off */
#include <linux/pkt_cls.h>

#include "weft/director/check-tables.h"
#include "weft/director/bpf/packet.h"
#include "weft/director/bpf/parse.h"
#include "weft/director/bpf/hop.h"
#include "weft/director/bpf/forward.h"
#include "weft/director/bpf/chain.h"
/* clang-format on */

char _license[] SEC("license") = "Dual BSD/GPL";

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, LB_CHECK_WAYS);
    __type(key, __u32);
    __type(value, struct lb_server);
} check_ways SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, LB_CHECK_ECHOES);
    __type(key, struct lb_check_echo);
    __type(value, __u32);
} check_echoes SEC(".maps");
/* Not on the stack, where the verifier minds how MACs are aligned. */
TABLE_ARRAY(check_hop, BPF_MAP_TYPE_PERCPU_ARRAY, 0, struct lb_hop);

volatile const __u32 outside_ifindex; /* The end of the pair that is on the host. */
volatile const __u32 inside_netns;    /* What the host's network namespace calls that of the checks. */

#define ICMP_ECHO_REPLY 0 /* RFC 792, RFC 4443. */
#define ICMP_ECHO_REQUEST 8
#define ICMP6_ECHO_REQUEST 128
#define ICMP6_ECHO_REPLY 129

/* As its check sees it. */
struct conversation {
    __u8 own[16], address[16];
    __u16 own_port, port;
    __u8 protocol;
};

SEC("tc")
int number_check(struct __sk_buff *skb)
{
    __u8 mac[6] = {LB_CHECK_MAC_HEAD_0, LB_CHECK_MAC_HEAD_1};
    __u32 number = bpf_htonl(skb->mark);

    if (!number)
        return TC_ACT_SHOT; /* Nobody's: a reset without a socket. */
    __builtin_memcpy(mac + 2, &number, sizeof(number));
    return bpf_skb_store_bytes(skb, 0, mac, sizeof(mac), 0) ? TC_ACT_SHOT : TC_ACT_OK;
}

static __always_inline void note_echo(struct xdp_md *ctx, const struct packet *packet)
{
    const __u8 *echo = frame_at(ctx, packet->l4, 16);
    struct lb_check_echo key ON_STACK;
    const __u32 one = 1;

    if (!echo || packet->l4_protocol != (packet->ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) || echo[0] != (packet->ipv6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO_REQUEST))
        return;
    address_copy(key.own, packet->source);
    address_copy(key.address, packet->destination);
    key.data = load64(echo + 8);
    map_put(check_echoes, &key, &one);
}

static __always_inline __u32 lead(struct xdp_md *ctx, struct packet *packet)
{
    const struct lb_server *server;
    const unsigned char *ethernet = frame_at(ctx, 0, ETH_HLEN);
    __u32 number, zero = 0, step, overhead;
    struct lb_hop *hop = map_lookup(check_hop, &zero);

    if (!ethernet || !hop)
        return LB_DROP_malformed;
    number = bpf_ntohl(load32(ethernet + 2));
    if (load16(ethernet) != bpf_htons(LB_CHECK_MAC_HEAD_0 << 8 | LB_CHECK_MAC_HEAD_1) || !parse(ctx, packet) || packet->flags & PACKET_FRAGMENT)
        return LB_DROP_malformed;
    server = map_lookup(check_ways, &number);
    if (!server)
        return LB_DROP_no_server;
    overhead = server->overhead;
    if (server->flags & LB_SERVER_SECOND_CHANCE) { /* What the server has no socket for it would hand on to itself: nobody else is asked. */
        address_copy(packet->chain[0], server->address);
        packet->n_chain = 1;
        overhead = chain_overhead(!address_is_ipv4(server->address), 1);
    }
    hop_ask(ctx, server, hop);
    if (!hop->ifindex)
        return hop->reason;
    if (hop->mtu && packet->size + overhead > hop->mtu)
        return LB_DROP_too_big;
    note_echo(ctx, packet);
    step = packet->n_chain ? chain_put_any(ctx, packet, server, server->tunnel_port) : forward_whole(ctx, packet, server);
    return step == STEP_CONTINUE ? send_frame(ctx, hop) : step;
}

PROGRAM int lead_check(struct xdp_md *ctx)
{
    __u32 zero = 0, step;
    struct packet *packet = packet_memory(&zero);

    if (!packet)
        return XDP_DROP;
    __builtin_memset(packet, 0, PACKET_CLEARED);
    step = lead(ctx, packet);
    return step & STEP_DONE ? (int)(step & 0xff) : XDP_DROP;
}

/* The ports behind an IP header; ICMP errors have none.  'sent': it was sent by the check, and is quoted. */
static __always_inline bool take_ports(struct __sk_buff *skb, __u32 offset, bool sent, struct conversation *key)
{
    __u16 ports[2];

    if ((key->protocol != IPPROTO_TCP && key->protocol != IPPROTO_UDP) || bpf_skb_load_bytes(skb, offset, ports, sizeof(ports)))
        return false;
    key->port = ports[sent];
    key->own_port = ports[!sent];
    return true;
}

/* Addresses, protocol, and where the payload begins; 0: not understood, or a fragment. */
static __always_inline __u32 take_ipv4(struct __sk_buff *skb, __u32 offset, bool sent, struct conversation *key)
{
    __u8 ip[20] ON_STACK;

    if (bpf_skb_load_bytes(skb, offset, ip, sizeof(ip)) || ip[0] >> 4 != 4 || load16(ip + 6) & bpf_htons(IP4_MORE_FRAGMENTS | IP4_OFFSET))
        return 0;
    address_map_ipv4(key->address, load32(ip + (sent ? 16 : 12)));
    address_map_ipv4(key->own, load32(ip + (sent ? 12 : 16)));
    key->protocol = ip[9];
    return offset + (ip[0] & 15) * 4u;
}

static __always_inline __u32 take_ipv6(struct __sk_buff *skb, __u32 offset, bool sent, struct conversation *key)
{
    __u8 ip[40] ON_STACK;

    if (bpf_skb_load_bytes(skb, offset, ip, sizeof(ip)) || ip[0] >> 4 != 6)
        return 0;
    address_copy(key->address, ip + (sent ? 24 : 8));
    address_copy(key->own, ip + (sent ? 8 : 24));
    key->protocol = ip[6];
    return offset + 40;
}

static __always_inline bool take_key(struct __sk_buff *skb, bool ipv6, struct conversation *key)
{
    __u32 offset = ipv6 ? take_ipv6(skb, ETH_HLEN, false, key) : take_ipv4(skb, ETH_HLEN, false, key);
    __u8 type;

    if (!offset)
        return false;
    if (key->protocol != (ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
        return take_ports(skb, offset, false, key);
    if (bpf_skb_load_bytes(skb, offset, &type, 1) || (ipv6 ? type < 1 || type > 4 : type != 3 && type != 11))
        return false;
    offset = ipv6 ? take_ipv6(skb, offset + 8, true, key) : take_ipv4(skb, offset + 8, true, key);
    return offset && take_ports(skb, offset, true, key);
}

/* One that only waits for what may still be under way has no use for it, and its port may be the host's again. */
static __always_inline bool is_of_tcp(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 size)
{
    struct bpf_sock *found = bpf_skc_lookup_tcp(skb, tuple, size, inside_netns, 0);
    bool waits;

    if (!found)
        return false;
    waits = found->state == BPF_TCP_TIME_WAIT;
    bpf_sk_release(found);
    return !waits;
}

static __always_inline bool is_of_udp(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 size)
{
    struct bpf_sock *found = bpf_sk_lookup_udp(skb, tuple, size, inside_netns, 0);

    if (!found)
        return false;
    bpf_sk_release(found);
    return true;
}

/* Has a check a socket for that?  The host may talk to the address itself, from a port that a check had before. */
static __always_inline bool is_of_check(struct __sk_buff *skb, bool ipv6, const struct conversation *key)
{
    struct bpf_sock_tuple tuple ON_STACK = {};
    __u32 size = ipv6 ? sizeof(tuple.ipv6) : sizeof(tuple.ipv4);

    if (ipv6) {
        address_copy((__u8 *)tuple.ipv6.saddr, key->address);
        address_copy((__u8 *)tuple.ipv6.daddr, key->own);
        tuple.ipv6.sport = key->port;
        tuple.ipv6.dport = key->own_port;
    } else {
        tuple.ipv4.saddr = address_ipv4(key->address);
        tuple.ipv4.daddr = address_ipv4(key->own);
        tuple.ipv4.sport = key->port;
        tuple.ipv4.dport = key->own_port;
    }
    return key->protocol == IPPROTO_TCP ? is_of_tcp(skb, &tuple, size) : is_of_udp(skb, &tuple, size);
}

/* The reply to a check's echo request, which is awaited once? */
static __always_inline bool is_echo_of_check(struct __sk_buff *skb, bool ipv6)
{
    struct conversation from ON_STACK = {};
    struct lb_check_echo key ON_STACK;
    __u32 offset = ipv6 ? take_ipv6(skb, ETH_HLEN, false, &from) : take_ipv4(skb, ETH_HLEN, false, &from);
    __u8 type;

    if (!offset || from.protocol != (ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) || bpf_skb_load_bytes(skb, offset, &type, 1) ||
        type != (ipv6 ? ICMP6_ECHO_REPLY : ICMP_ECHO_REPLY) || bpf_skb_load_bytes(skb, offset + 8, &key.data, sizeof(key.data)))
        return false;
    address_copy(key.own, from.own);
    address_copy(key.address, from.address);
    return !map_delete(check_echoes, &key);
}

SEC("tc")
int take_answer(struct __sk_buff *skb)
{
    const __u8 mac[6] = LB_CHECK_MAC;
    struct conversation key ON_STACK = {};
    bool ipv6 = skb->protocol == bpf_htons(ETH_P_IPV6);

    if (!ipv6 && skb->protocol != bpf_htons(ETH_P_IP))
        return TC_ACT_UNSPEC;
    if (take_key(skb, ipv6, &key) ? !is_of_check(skb, ipv6, &key) : !is_echo_of_check(skb, ipv6))
        return TC_ACT_UNSPEC; /* Other programs', and the host's. */
    if (bpf_skb_store_bytes(skb, 0, mac, sizeof(mac), 0))
        return TC_ACT_SHOT;
    return (int)bpf_redirect(outside_ifindex, 0);
}
