/* Other hosts, and what frames between them carry.  A part of tables.h, which says how tables may change. */
#ifndef WEFT_DATAPLANE_TABLES_H
#include "weft/dataplane/tables.h" /* Which includes this one in its place. */
#elif !defined(WEFT_DATAPLANE_TABLES_TUNNEL_H)
#define WEFT_DATAPLANE_TABLES_TUNNEL_H

/* ---- hosts: array by host slot; slot 0 is never used -------------------------------------------------------------------- */

struct host_config {
    __u8 local[16];      /* Outer source (mapped IPv4 or IPv6). */
    __u8 remote[16];     /* Outer destination. */
    __u8 next_hop[16];   /* On the way to 'remote'; zero: not reachable now. */
    __u32 ifindex;       /* Underlay device. */
    __u16 underlay_mtu;
    __u8 source_mac[6];  /* Both MACs are used only when 'flags' says so. */
    __u8 next_hop_mac[6];
    __u16 flags;
#define HOST_MAC_KNOWN (1u << 0) /* Else the kernel resolves 'next_hop' for each frame. */
    __u32 generation;
    __u32 key;           /* Of the ring of hosts, see above. */
};
_Static_assert(sizeof(struct host_config) == 76, "no implicit padding");

struct host_record {
    __u32 active;
    __u32 pad;
    struct host_config config[2];
};

/* What the data plane itself writes for a host; array by slot.  Copies that we pass on for it, those that they lead to included. */
struct host_runtime {
    __u64 relay_time_ns, relay_tokens;
};
#define RELAY_RATE_DEFAULT 65536 /* Copies a second, and as a burst. */

/* ---- peers: hash, outer source address (16 bytes) -> one word: who may send us tunnelled frames ------------------------ */

struct peer_value {      /* Read as one __u64. */
    __u32 check;         /* Last four bytes of the address. */
    __u32 host;          /* Host slot. */
};

/* ---- the tunnel header ----------------------------------------------------------------------------------------------------------- */

/* VXLAN (RFC 7348) whose reserved bits, between our hosts and on our own UDP port, say more:
 *   byte 0     flags, 0x08: the VNI is valid
 *   bytes 1-3  version (4 bits), argument (20 bits: RELAYED: the end of the stretch; balancer row, mirror session)
 *   bytes 4-6  VNI
 *              UNICAST to a group: one copy for the physical network, from a host that the receiver stands for there
 *   byte 7     kind (4 bits), hop count (4 bits: of FLOOD and RELAYED, how many hosts have made copies for a tree; 0: it comes from
 *              its sender's host, so that MACs can be learned from it; of a UNICAST to a port, TUNNEL_HOPS_OUTSIDE: see below)
 * DIRECT_RETURN: a balanced connection's packet as its client sent it, for the member that the destination MAC names (tables-balancing.h), its VNI that of
 *              the client's port; or, with TUNNEL_HOPS_BACK, what the member answers; the argument is the slot of the client's port on its host.
 *              With TUNNEL_HOPS_OWNER + n the client is outside: the VNI is the external network's and the source MAC that of the router port which the packet
 *              came to.  n owners of its row were asked before the member, which passes on to the next one what it knows nothing of (bpf/balance-outside.h).
 *              With TUNNEL_HOPS_TOO_BIG a member's answer comes back to its host: the argument is the size that its client's network takes. */
#define TUNNEL_PORT 4790
#define TUNNEL_VERSION 1
enum tunnel_kind { TUNNEL_UNICAST, TUNNEL_FLOOD, TUNNEL_DIRECT_RETURN, TUNNEL_MIRROR, TUNNEL_RELAYED };
#define TUNNEL_WORD(kind, hops, argument) ((__u32)(argument) << 8 | (__u32)(hops) << 4 | (__u32)(kind)) /* skb->cb[0] of a copy. */
/* What the tunnel device sends for us has this mark | the host's slot (bits that the stack's own frames there do not have: its multicast
 * listener reports come with arbitrary marks), the VNI as its priority and a TUNNEL_WORD in skb->cb[0], which is 0 for a packet socket's: of the agent's
 * pieces of what it has cut, kind and hop count are in the priority, above the VNI. */
#define TUNNEL_PRIORITY(vni, word) ((__u32)(vni) | ((word) & 0xffu) << 24)
#define TUNNEL_MARK 0x57e00000u
#define TUNNEL_MARK_MASK 0xfff00000u
/* A gateway routed the frame from outside, untranslated: firewalls on the way are for the port's host to ask, which knows its connections. */
#define TUNNEL_HOPS_OUTSIDE 15u
#define TUNNEL_HOPS_BACK 15u /* Of DIRECT_RETURN. */
#define TUNNEL_HOPS_TOO_BIG 14u /* Of DIRECT_RETURN. */
#define TUNNEL_HOPS_OWNER 1u /* + 0: nobody was asked before, 1..3: so many; 4: to the owner, who takes it now whatever it is. */
#define TUNNEL_OVERHEAD_IPV4 50 /* Bytes: outer Ethernet is not counted, inner is. */
#define TUNNEL_OVERHEAD_IPV6 70

#endif
