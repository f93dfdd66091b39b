// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the pipeline knows of the frame in hand, and small things that every step needs. */
#ifndef WEFT_BPF_PACKET_H
#define WEFT_BPF_PACKET_H

#include "weft/dataplane/bpf/maps.h"

#define PACKET_IPV4 (1u << 0)
#define PACKET_IPV6 (1u << 1)
#define PACKET_LATER_FRAGMENT (1u << 2) /* No L4 header in this one. */
#define PACKET_FRAGMENT (1u << 3)       /* First or later. */
#define PACKET_HAS_FLOW (1u << 4)       /* The tuple names a connection. */
#define PACKET_FROM_TUNNEL (1u << 5)
#define PACKET_STATELESS (1u << 6)      /* Policy let it pass by a rule that makes no connection. */
#define PACKET_ARRIVED (1u << 16)       /* And was dropped by the port that it would have been delivered to: 'drop_slot'. */

#define PACKET_KNOWN (1u << 17)         /* Its connection has an entry. */

#define PACKET_FROM_OUTSIDE (1u << 7)   /* Came to a router of ours from an external network, and no firewall was asked yet. */
#define PACKET_ANSWERS (1u << 8)        /* Of a connection that the other side began. */
#define PACKET_EITHER (1u << 9)         /* Who began is a guess. */
#define PACKET_TURNED (1u << 10)        /* Firewalls let it pass only if the other side than was thought began it. */
#define PACKET_PROBE (1u << 11)         /* No packet but a question which way one would take. */
#define PACKET_FOLLOWS (1u << 12)       /* A later fragment whose first one the agent cuts. */
#define PACKET_CALLS_SERVICE (1u << 13) /* To a load balancer, from an external network. */

#define ON_STACK __attribute__((aligned(8))) /* The verifier wants aligned access there. */

struct flow_tuple { /* From one side of a connection. */
    __u8 local[16], remote[16];
    __u16 local_port, remote_port; /* As in struct flow_key. */
    __u8 protocol;
    __u8 pad[3];
};

/* What is to become of a frame: filled in by routing and translation, kept in the connection entry, then done to the frame. */
struct decision {
    __u32 output;          /* OUTPUT_*; OUTPUT_NONE: not known yet. */
    __u16 router_port;     /* As in struct flow_entry; 0: switched, 'hops' and 'next_mac' mean nothing. */
    __u8 hops;
    __u8 flags;            /* DECISION_* */
#define DECISION_MOVES (1u << 0)      /* Of this frame only, not for the entry: 'output' may change without a new epoch, or the next
                                       * frame may not fit. */
#define DECISION_FRAGMENT (1u << 2)   /* The agent has to cut it to 'mtu'. */
#define DECISION_TRANSLATED (1u << 1) /* The outside_ fields hold. */
#define DECISION_ALIASED (1u << 3)    /* A new connection's: the name is taken in 'aliases', */
#define DECISION_BOUND (1u << 4)      /* and without an entry nobody could find it by it. */
#define DECISION_SCOPED (1u << 5)     /* Of this frame: it leaves to an external network within one address scope, as it is. */
    __u8 next_mac[8];      /* The last two bytes are zero. */
    __u16 mtu;             /* Routed: the smallest on the way. */
    __u16 pad;
    __u32 outside_local, outside_remote; /* As in struct flow_entry, as all that follows. */
    __u16 outside_local_port, outside_remote_port;
    __u32 object, gateway;
    __u32 outside_vni;
};

struct packet {
    struct flow_tuple tuple ON_STACK; /* From the sender's side: 'local' is the source.  Addresses and ports are zero without IP. */
    __u32 slot;            /* Of the port that sent it; 0: came by tunnel. */
    __u32 drop_slot;       /* Which port's counters get a drop. */
    __u32 vni;
    __u32 stamp;           /* Of the sending port, read before any table. */
    __u32 size;            /* Bytes of the Ethernet frame. */
    __u32 flags;           /* PACKET_* */
    __u16 l3, l4;          /* Offsets. */
    __u16 header_size;     /* Up to the L4 payload: what GSO repeats in each segment. */
    __u16 ethertype;       /* As on the wire. */
    __u8 destination[8], source[8]; /* MACs; the last two bytes are zero. */
    __u8 tcp_flags;
    __u8 icmp_type;        /* Of ICMP and ICMPv6. */
    __u16 segments;        /* Frames on the wire: more than one for GSO. */
    __u8 icmp_code;
    __u8 fragment_place;   /* Where its sender's fragments, or those from outside, were noted, and 1; 0: nowhere. */
    __u8 hop_limit;        /* Of IPv6, as it came. */
    __u8 pad;
    __u32 fragment_id;     /* Of fragments, as on the wire. */
    struct decision decision;
};

/* Where a program has its packet: a whole chain of calls has 512 bytes of stack, and this takes a third of it.  One for each program of a
 * CPU, since one may run while another waits for it: a copy that is sent to the tunnel device meets to_tunnel, which has its own on its stack. */
enum packet_owner { PACKET_OF_WORKLOAD, PACKET_OF_UNDERLAY, PACKET_OF_UPLINK, PACKET_QUOTED, PACKET_PROBED, N_PACKETS };
#ifdef __bpf__
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, N_PACKETS);
    __type(key, __u32);
    __type(value, struct packet);
} packets SEC(".maps");
#define packet_memory(index) bpf_map_lookup_elem(&packets, index)
#else
static __thread struct packet native_packets[N_PACKETS];
#define packet_memory(index) (&native_packets[*(index)])
#endif

/* An empty one. */
static __always_inline struct packet *packet_new(enum packet_owner owner)
{
    __u32 index = owner;
    struct packet *packet = packet_memory(&index);

    if (packet)
        __builtin_memset(packet, 0, sizeof(*packet));
    return packet;
}

static __always_inline bool mac_same(const void *a, const void *b)
{
    return load32(a) == load32(b) && load16((const __u8 *)a + 4) == load16((const __u8 *)b + 4);
}

static __always_inline void mac_copy(void *to, const void *from)
{
    __u32 head = load32(from);
    __u16 tail = load16((const __u8 *)from + 4);

    store32(to, head);
    store16((__u8 *)to + 4, tail);
}

static __always_inline bool mac_is_zero(const void *mac)
{
    return !load32(mac) && !load16((const __u8 *)mac + 4);
}

static __always_inline bool address_equal(const void *a, const void *b)
{
    return load64(a) == load64(b) && load64((const __u8 *)a + 8) == load64((const __u8 *)b + 8);
}

static __always_inline bool address_is_zero(const void *address)
{
    return !load64(address) && !load64((const __u8 *)address + 8);
}

static __always_inline void address_copy(void *to, const void *from)
{
    /* By words: keys hold addresses at offsets that are no multiple of 8. */
    __u32 a = load32(from), b = load32((const __u8 *)from + 4);
    __u32 c = load32((const __u8 *)from + 8), d = load32((const __u8 *)from + 12);

    store32(to, a);
    store32((__u8 *)to + 4, b);
    store32((__u8 *)to + 8, c);
    store32((__u8 *)to + 12, d);
}

/* ::ffff:a.b.c.d from four bytes in network order. */
static __always_inline void address_map_ipv4(void *to, __u32 address)
{
    store64(to, 0);
    store32((__u8 *)to + 8, bpf_htonl(0xffff));
    store32((__u8 *)to + 12, address);
}

static __always_inline bool address_is_ipv4(const void *address)
{
    return !load64(address) && load32((const __u8 *)address + 8) == bpf_htonl(0xffff);
}

/* The bytes that the frame takes on the wire, headers of all GSO segments included. */
static __always_inline __u64 packet_wire_bytes(const struct packet *packet)
{
    return packet->size + (__u64)(packet->segments - 1) * packet->header_size;
}

#endif
