// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the program knows of the frame in hand, and small things that every step needs. */
#ifndef WEFT_DIRECTOR_BPF_PACKET_H
#define WEFT_DIRECTOR_BPF_PACKET_H

#include "weft/director/bpf/maps.h"
#include "weft/director/hash.h"

#define PACKET_LATER_FRAGMENT (1u << 0) /* No L4 header in this one. */
#define PACKET_FRAGMENT (1u << 1)       /* First or later. */
#define PACKET_DONT_FRAGMENT (1u << 2)  /* Always with IPv6. */
#define PACKET_QUOTE (1u << 3)          /* An ICMP error: the tuple is that of the packet it quotes, turned round. */
#define PACKET_BEGINS (1u << 4)         /* A connection begins with it, as far as can be told. */

struct tuple {
    __u8 source[16], destination[16];
    __u16 source_port, destination_port;
    __u32 is_full; /* An ICMP error gets the source, too, else it keeps that of whoever found it. */
};

struct packet {
    __u8 source[16], destination[16];    /* The client's and the virtual address. */
    __u16 source_port, destination_port; /* Zero without ports. */
    __u8 protocol;                       /* Of the tuple. */
    __u8 ipv6;
    __u8 traffic_class;                  /* DSCP and ECN. */
    __u8 ttl;
    __u16 l3, l4;                        /* Offsets. */
    __u32 size;                          /* Of the IP packet in bytes: what the frame has behind it is padding. */
    __u32 flags;                         /* PACKET_* */
    __u32 fragment_id;
    __u8 tcp_flags;
    __u8 l4_protocol;                    /* As on the wire: ICMP for an ICMP error. */
    __u16 quoted_l3;                     /* With PACKET_QUOTE: where the quoted header begins, */
    __u16 quoted_l4;                     /* and what follows it. */
    __u16 server_port;                   /* Of its connection, */
    __u16 local, local_port;             /* and with full NAT what it comes of: the address's position, the port; else zero. */
    __u16 n_chain;                       /* How many previous owners go with it: see chain.h. */
    __u16 pad;
    __u64 hash;                          /* Of what the scheduler goes by. */
    union {                              /* Not even zero but for what needs it: */
        struct tuple to;                 /* what translation makes of it; */
        __u8 chain[LB_PREVIOUS][16];     /* the previous owners' addresses. */
    };
};
#define PACKET_CLEARED offsetof(struct packet, to)

/* Where the program has it: a whole chain of calls has 512 bytes of stack, and this is a quarter of it.  Each CPU's own; one packet is
 * dealt with before the next. */
#ifdef __bpf__
TABLE_ARRAY(packets, BPF_MAP_TYPE_PERCPU_ARRAY, 0, struct packet);
#define packet_memory(index) bpf_map_lookup_elem(&packets, index)
#else
static __thread struct packet native_packet;
#define packet_memory(index) ((void)(index), &native_packet)
#endif

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

static __always_inline void mac_copy(void *to, const void *from)
{
    __u32 head = load32(from);
    __u16 tail = load16((const __u8 *)from + 4);

    store32(to, head);
    store16((__u8 *)to + 4, tail);
}

static __always_inline bool address_equal(const void *a, const void *b)
{
    return load64(a) == load64(b) && load64((const __u8 *)a + 8) == load64((const __u8 *)b + 8);
}

static __always_inline void address_copy(void *to, const void *from)
{
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

static __always_inline __u32 address_ipv4(const void *address)
{
    return load32((const __u8 *)address + 12);
}

/* ---- the Internet checksum (RFC 1071, RFC 1624) --------------------------------------------------------------------------- */

static __always_inline __u16 checksum_fold(__u64 sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (__u16)sum;
}

static __always_inline __u64 checksum_address(const void *address, __u32 ipv6)
{
    const __u8 *bytes = address;
    __u64 sum = load32(bytes + 12);

    if (ipv6)
        sum += (__u64)load32(bytes) + load32(bytes + 4) + load32(bytes + 8);
    return sum;
}

/* 'checksum' as it was, and is when the sum of what it covers grows by 'difference' (of words in network order, and complemented where
 * they went away). */
static __always_inline __u16 checksum_update(__u16 checksum, __u64 difference)
{
    return (__u16)~checksum_fold((__u16)~checksum + difference);
}

/* The same for 16 bits that become others. */
static __always_inline __u16 checksum_replace(__u16 checksum, __u16 from, __u16 to)
{
    return checksum_update(checksum, (__u64)(__u16)~from + to);
}

#endif
