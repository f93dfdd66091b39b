/* The contract between the agent and the data plane: every map, key and value, in one place.
 *
 * Included by the BPF programs (clang -target bpf), by their native build and by the agent, so it uses only fixed-width
 * types and explicit padding; tests/unit/dataplane checks that all three agree on each size and offset.
 *
 * How a table may change under a running data plane:
 *  - 'ports', 'hosts': arrays of double records.  The agent writes the copy that is not active, then
 *    stores 'active' (one word, release).  A reader takes 'active' once.  Two changes of one record are at least
 *    RECORD_GRACE_MS apart.  The arrays are BPF_F_MMAPABLE: the agent writes memory, not syscalls.
 *  - 'fdb', 'neighbors', 'flood', 'learned', 'peers': hashes whose value is one 64-bit word that repeats what it belongs to.
 *    A reader loads the word once and compares, because an element that was deleted while it was being read can be reused
 *    for another key at once (seen since Linux 6.1).
 *  - 'epoch' of a port is bumped after everything else of a change was written; a connection entry whose epoch differs
 *    is evaluated again.
 *
 * Byte order: addresses, MACs and L4 ports are as on the wire; all else is host order. */
#ifndef WEFT_DATAPLANE_TABLES_H
#define WEFT_DATAPLANE_TABLES_H

#ifdef __bpf__
#include <linux/bpf.h>
#else
#include <linux/types.h>
#endif

/* The maps, by name; the agent may change the sizes before it loads the object.
 *
 *   interfaces     hash          __u32 ifindex -> __u32 slot       8192
 *   ports          array, mmap   slot -> struct port_record        MAX_PORTS_DEFAULT
 *   port_runtime   array, mmap   slot -> struct port_runtime       MAX_PORTS_DEFAULT
 *   port_counters  per-CPU array slot -> struct port_counters      MAX_PORTS_DEFAULT
 *   sources        LPM           struct source_key -> source_value 65536
 *   networks       hash          __u32 vni -> struct network_value 16384
 *   fdb            hash          struct fdb_key -> output_value    262144
 *   learned        hash          struct fdb_key -> output_value    LEARNED_MAX
 *   movable        hash          struct movable_key -> output_value 65536
 *   neighbors      hash          struct neighbor_key -> neighbor_value 262144
 *   flood          hash          struct flood_key -> output_value  262144
 *   hosts          array, mmap   host slot -> struct host_record   MAX_HOSTS_DEFAULT
 *   host_runtime   array         host slot -> struct host_runtime  MAX_HOSTS_DEFAULT
 *   peers          hash          __u8[16] -> struct peer_value     4096
 *   projects       array, mmap   index -> struct project_record    MAX_PROJECTS_DEFAULT
 *   connections    hash          struct flow_key -> struct flow_entry FLOW_SLOTS_DEFAULT
 *   connections_1  hash          of an earlier release, if there: previous.h
 *   flow_slots     array         index -> struct flow_slot         FLOW_SLOTS_DEFAULT
 *   sweeper        array         0 -> struct sweeper               1
 *   settings       array, mmap   0 -> struct settings              1
 *   punt           ring buffer   struct punt_event                 1 MiB
 *
 * None of the hashes is preallocated.  The programs, all of them tc classifiers with direct action:
 *
 *   from_workload     ingress of the host's end of each plugged tap or veth
 *   from_underlay     ingress of each underlay device
 *   to_tunnel         egress of the tunnel device: gives copies of flooded frames their header
 *   through_neighbor  ingress of the tunnel device: sends what cannot use bpf_redirect_neigh at once (frames that are
 *                     neither IPv4 nor IPv6 inside) to the next hop */

#define TABLES_LAYOUT 1      /* In the pin path: /sys/fs/bpf/weft/<host>/v<layout>/.  Of maps that change one by one: previous.h. */
#define MAX_PORTS_DEFAULT 4096
#define MAX_HOSTS_DEFAULT 4096
#define MAX_PROJECTS_DEFAULT 4096
#define RECORD_GRACE_MS 10
_Static_assert(MAX_PROJECTS_DEFAULT <= 65536, "network_value holds an index in 16 bits");

/* ---- why a frame was dropped --------------------------------------------------------------------------------- */

enum drop_reason {
    DROP_NONE,
#define DROP_REASON(name, text) DROP_##name,
#include "weft/dataplane/drop-reasons.def"
#undef DROP_REASON
    N_DROP_REASONS
};

/* ---- where a frame goes: one word ------------------------------------------------------------------------- */

#define OUTPUT_NONE 0u
#define OUTPUT_LOCAL 0x40000000u  /* | local port slot */
#define OUTPUT_REMOTE 0x80000000u /* | host slot */
#define OUTPUT_KIND_MASK 0xc0000000u
#define OUTPUT_SLOT_MASK 0x0fffffffu

/* ---- ports: array, one per local port slot; slot 0 is never used -------------------------------------------- */

#define PORT_SECURITY (1u << 0)       /* Anti-spoofing is on. */
#define PORT_ADMIN_UP (1u << 1)
#define PORT_REDIRECT_PEER (1u << 2)  /* A veth: deliver with bpf_redirect_peer; else (tap) bpf_redirect. */
#define PORT_DHCP4 (1u << 3)          /* Some subnet of the port is served by DHCP. */
#define PORT_DHCP6 (1u << 4)
#define PORT_RA (1u << 5)             /* Router solicitations are answered. */
#define PORT_INGRESS_POLICY (1u << 6) /* Delivery needs the connection entry of this port too. */
#define PORT_MAY_LEARN (1u << 7)      /* Has allowed address pairs with other MACs, or no port security. */

struct port_config {
    __u32 ifindex;      /* Of the host's end; 0: the slot is not plugged, deliver nothing. */
    __u32 flags;        /* PORT_* */
    __u32 vni;
    __u32 project;      /* Index into 'projects'. */
    __u8 mac[6];
    __u16 mtu;          /* Of the network: the largest L3 packet. */
    __u8 ip4[16];       /* First IPv4 fixed address (mapped), zero if none: the common case of anti-spoofing. */
    __u8 ip6[16];       /* First IPv6 fixed address, zero if none. */
    __u32 generation;   /* Of the slot: grows when the slot is given to another port. */
    __u32 bum_rate;     /* Copies of broadcast, unknown, multicast a second; 0: none allowed. */
    __u32 bum_burst;
    __u32 punt_rate;    /* Packets a second to user space. */
    __u32 punt_burst;
    __u32 pad;
};

_Static_assert(sizeof(struct port_config) == 80, "no implicit padding");

struct port_record {
    __u32 active; /* 0 or 1: the copy that counts. */
    __u32 epoch;
    struct port_config config[2];
};

/* What the data plane itself writes for a port; array by slot.  Token buckets are racy by intent: two CPUs may both take
 * the last token. */
struct port_runtime {
    __u64 bum_time_ns, bum_tokens;
    __u64 punt_time_ns, punt_tokens;
    __u64 n_learned; /* MACs learned behind the port, at most MAX_LEARNED_PER_PORT; the agent counts it down. */
};
#define LEARNED_MAX 65536        /* Of all networks; each project may have a share of it (struct project_record). */
#define MAX_LEARNED_PER_PORT 256
#define MAX_LEARNED_PER_HOST 1024 /* Of one network behind another host; what is more, the agent forgets. */

/* Per CPU, array by slot. "tx" is what the workload sent, "rx" what it was given; bytes are of the Ethernet frame. */
#define MAX_DROP_REASONS 64
struct port_counters {
    __u64 tx_packets, tx_bytes;
    __u64 rx_packets, rx_bytes;
    __u64 drops[MAX_DROP_REASONS]; /* By 'enum drop_reason'.  Slot 0 of the array counts drops without a port. */
};
_Static_assert(N_DROP_REASONS <= MAX_DROP_REASONS, "the counters have a place for each reason");

/* ---- interfaces: hash, ifindex -> local port slot ------------------------------------------------------------- */

/* Key __u32 ifindex, value __u32 slot (compared with port_config.ifindex, which must say the same). */

/* ---- allowed sources beyond the port's MAC and first addresses: LPM ------------------------------------------- */

struct source_key {
    __u32 prefix_length; /* 32 + 0..128; IPv4 is mapped, so adds 96. */
    __u32 slot;
    __u8 address[16];
};
/* A value is never changed in place: replaced whole.  Several MACs may share a prefix. */
#define MAX_SOURCE_MACS 4
struct source_value {
    __u32 slot;          /* Repeats the key. */
    __u32 n_macs;
    __u8 mac[MAX_SOURCE_MACS][6];
};

/* ---- networks: hash, vni -> one word --------------------------------------------------------------------------- */

#define NETWORK_FLOOD_UNKNOWN_NEIGHBORS (1u << 0) /* Some port may answer for addresses we do not know. */
struct network_value {   /* Read as one __u64. */
    __u32 vni;           /* Repeats the key. */
    __u16 flags;         /* NETWORK_* */
    __u16 project;       /* Whose it is: index into 'projects'; what is learned in it counts there. */
};

/* ---- fdb (desired) and learned (written by the data plane): hash, (vni, mac) -> one word ---------------------------- */

struct fdb_key {
    __u32 vni;
    __u8 mac[6];
    __u16 pad;
};
struct output_value {    /* Read as one __u64. */
    __u32 vni;           /* Repeats the key. */
    __u32 output;        /* OUTPUT_* */
};
/* A MAC that may move (allowed address pairs, ports without security) is only in 'learned'; which hosts and ports may
 * claim it is in 'movable': key struct movable_key, value struct output_value. */
struct movable_key {
    __u32 vni;
    __u8 mac[6];
    __u16 pad;
    __u32 output;        /* Who may claim it.  A port without security may claim any unowned MAC: mac is then zero. */
};

/* ---- neighbors: hash, (vni, address) -> MAC: what ARP and ND requests are answered from ------------------------------ */

struct neighbor_key {
    __u32 vni;
    __u8 address[16];
};
struct neighbor_value {  /* Read as one __u64. */
    __u16 check;         /* Low 16 bits of the VNI. */
    __u8 mac[6];
};

/* ---- flood: hash, (vni, index) -> one word: who gets broadcast, unknown and multicast ---------------------------------- */

struct flood_key {
    __u32 vni;
    __u32 index;         /* In one of the lists below; in each from 0 without holes. */
};
/* Value: struct output_value.  The lists: */
#define FLOOD_DIRECT 0u          /* | i: hosts that only the sender's host makes copies for. */
#define FLOOD_TREE 0x40000000u   /* | i: hosts that pass copies on, in the order of the ring (below) from this host on. */
#define FLOOD_LOCAL 0x80000000u  /* | i: ports here. */
#define FLOOD_FACTS 0xc0000000u  /* 'output' of | 0: how many are in the tree, | 1: this host's key.  No rows without a tree. */
#define FLOOD_LIST_MASK 0xc0000000u
#define FLOOD_LIST_MAX (1u << 20)

/* How a broadcast reaches thousands of hosts.  Each host has a key of FLOOD_KEY_BITS, a hash of its tunnel address that all compute
 * alike; the keys are a ring.  A host that sends owns the whole ring behind its key.  It cuts what it owns into at most
 * settings.flood_fan_out stretches of about as many hosts each, and sends the first host of each a copy of kind RELAYED, whose argument
 * is the key where the stretch ends.  Who gets that owns what lies strictly between its own key and the end, and does the same.
 *
 * So nobody need agree on more than the keys: stretches of one frame never overlap, and each is shorter than the one it came from.
 * Whatever lists of hosts the relays know, a host of the tree gets one copy at most, from whom owns its key, and nothing goes round in a
 * circle; the hop count ends what broken hosts might do.  A relay that does not know a new host yet leaves it out.
 *
 * In FLOOD_DIRECT are hosts with a key that another one of the network, or this host, has too (of several, the one with the lowest
 * address is in the tree), hosts that are known to be down, and those that this host has no way to.  Hosts which do not agree about that,
 * while a change is under way, may send such a host two copies or none. */
#define FLOOD_KEY_BITS 20
#define FLOOD_KEY_MASK ((1u << FLOOD_KEY_BITS) - 1)
#define FLOOD_FAN_OUT_DEFAULT 64
#define FLOOD_FAN_OUT_MIN 2      /* With FLOOD_MAX_HOPS: more hosts than there can be. */
#define FLOOD_FAN_OUT_MAX 1024
#define FLOOD_MAX_HOPS 15

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

/* ---- projects: array by index: admission to the tables of connections and of learned MACs ------------------------------------------------------- */

struct project_record {
    __u32 n_half_open, n_established;     /* Written by the data plane, atomically. */
    __u32 max_half_open, max_established; /* Written by the agent. */
    __u32 n_learned;                      /* In the project's networks; counted down by the agent. */
    __u32 max_learned;                    /* Written by the agent. */
    __u32 n_not_learned;                  /* Frames whose MAC was refused for that limit. */
    __u32 pad;
};

/* ---- connections: hash, not preallocated ------------------------------------------------------------------------------- */

/* A connection as the local workload sees it: one entry for both directions of a connection of one port.
 *
 * The sizes are made for the cache.  The kernel has 56 bytes in front of the key (8 of its allocator, 48 of the hash) and
 * gives each entry's memory a multiple of its size: with a key of 16 and a value of 120 an entry is exactly three lines.
 * The first has half of the key, the second the rest and all that a frame reads and writes; the third is for what is
 * rare.  A change of either size is a new map: see previous.h. */
#define FLOW_KEY_IPV6 (1u << 23)
struct flow_key {
    __u32 owner;           /* Port slot | FLOW_KEY_IPV6 | protocol << 24. */
    __u16 local_port, remote_port; /* As on the wire.  ICMP: identifier, and type of the request; 0 for others. */
    __u32 local, remote;   /* IPv4 addresses.  IPv6: the halves of a hash over both; the entry has the addresses. */
};
_Static_assert(sizeof(struct flow_key) == 16, "no implicit padding in a key");

enum flow_state { FLOW_NEW, FLOW_HALF_OPEN, FLOW_ESTABLISHED, FLOW_CLOSING, FLOW_DEAD };

#define FLOW_LAYOUT 2
#define FLOW_LOCAL_STARTED (1u << 0) /* The local workload sent the first packet. */
#define FLOW_SEEN_REPLY (1u << 1)
#define FLOW_TIME_SHIFT 20           /* Times are CLOCK_MONOTONIC_COARSE >> 20: about milliseconds, and wrap after 52 days. */
struct flow_entry {
    __u8 layout;           /* FLOW_LAYOUT: entries of another layout are evaluated as new. */
    __u8 state;            /* enum flow_state */
    __u16 flags;           /* FLOW_* */
    __u32 stamp;           /* flow_stamp() of the port when 'output' was decided. */
    __u32 output;          /* Where the workload's frames go. */
    __u32 last_seen;       /* Of a dead entry: when it died. */
    __u8 remote_mac[6];    /* The workload's L2 destination that 'output' was found for. */
    __u16 output_generation; /* Of that port or host slot: its low bits. */
    __u64 packets[2];      /* Sent by the workload, received. */
    __u64 bytes[2];
    /* Up to here in one cache line. */
    __u32 generation;      /* Of the port slot. */
    __u32 project;
    __u32 counted_established; /* Which of its project's counters holds it: 0 half open, 1 established. */
    __u32 pad;
    __u8 local[16], remote[16]; /* IPv6; zero for IPv4. */
    __u8 room[16];         /* Zero. */
};
_Static_assert(sizeof(struct flow_entry) == 120 && __builtin_offsetof(struct flow_entry, generation) == 56, "three cache lines");

/* The epoch of a port and the generation of its slot in one word: of another epoch, or of another port in the slot, it differs.
 * (With fewer than two million epochs between owners that are less than a thousand apart.) */
static inline __u32 flow_stamp(__u32 epoch, __u32 generation)
{
    return epoch + generation * 0x9e3779b1u;
}

/* Expiry, the data plane's own business: every entry has its key in one of 'flow_slots', and one timer in 'sweeper' walks over
 * them (bpf/flow.h). */
#define FLOW_SLOTS_DEFAULT 262144
enum flow_slot_state { SLOT_FREE, SLOT_CLAIMED, SLOT_USED, SLOT_DYING };
struct flow_slot {
    struct flow_key key;
    __u32 state;           /* enum flow_slot_state */
};
struct sweeper {
#ifdef __bpf__
    struct bpf_timer timer;
#else
    __u64 timer[2];
#endif
    __u32 version;         /* Of the program whose timer runs; 0: none. */
    __u32 next;            /* Where the next entry looks for a slot. */
    __u32 hand;            /* Where the sweeper goes on. */
    __u32 n_seen;          /* Slots in use that this round has met. */
};

/* ---- settings: array of one, written before programs are attached -------------------------------------------------------- */

struct settings {
    __u32 n_ports, n_hosts, n_projects; /* Sizes of the arrays. */
    __u32 tunnel_ifindex;  /* The device that owns the UDP port; copies of broadcast leave through it. */
    __u16 tunnel_port;     /* UDP, host order. */
    __u16 flood_fan_out;   /* 0: FLOOD_FAN_OUT_DEFAULT. */
    __u32 n_flow_slots;    /* A power of two; 0: FLOW_SLOTS_DEFAULT. */
    __u32 timeout_s[8];    /* By enum flow_timeout. */
    __u64 hash_seed;       /* For the tunnel's source ports. */
    __u32 relay_rate, relay_burst; /* Of each host, see host_runtime. */
};
enum flow_timeout { TIMEOUT_HALF_OPEN, TIMEOUT_TCP_ESTABLISHED, TIMEOUT_TCP_CLOSING, TIMEOUT_UDP_NEW, TIMEOUT_UDP_SEEN,
                    TIMEOUT_ICMP, TIMEOUT_OTHER, TIMEOUT_DEAD };

/* ---- punt: ring buffer to the agent ------------------------------------------------------------------------------------------ */

enum punt_reason {
    PUNT_DHCP4 = 1,
    PUNT_DHCP6,
    PUNT_ROUTER_SOLICITATION,
    PUNT_TOO_BIG, /* Was dropped; 'frame' is its beginning.  To be answered by ICMP (RFC 1191, RFC 8201). */
};
#define PUNT_MAX_FRAME 1600
struct punt_event {
    __u32 slot, ifindex, vni;
    __u16 reason;          /* enum punt_reason */
    __u16 size;            /* Bytes of 'frame' in use. */
    __u8 frame[PUNT_MAX_FRAME];
};

/* ---- the tunnel header ----------------------------------------------------------------------------------------------------------- */

/* VXLAN (RFC 7348) whose reserved bits, between our hosts and on our own UDP port, say more:
 *   byte 0     flags, 0x08: the VNI is valid
 *   bytes 1-3  version (4 bits), argument (20 bits: RELAYED: the end of the stretch; balancer row, mirror session)
 *   bytes 4-6  VNI
 *   byte 7     kind (4 bits), hop count (4 bits: of FLOOD and RELAYED, how many hosts have made copies for a tree; 0: it comes from
 *              its sender's host, so that MACs can be learned from it) */
#define TUNNEL_PORT 4790
#define TUNNEL_VERSION 1
enum tunnel_kind { TUNNEL_UNICAST, TUNNEL_FLOOD, TUNNEL_DIRECT_RETURN, TUNNEL_MIRROR, TUNNEL_RELAYED };
#define TUNNEL_WORD(kind, hops, argument) ((__u32)(argument) << 8 | (__u32)(hops) << 4 | (__u32)(kind)) /* skb->cb[0] of a copy. */
#define TUNNEL_OVERHEAD_IPV4 50 /* Bytes: outer Ethernet is not counted, inner is. */
#define TUNNEL_OVERHEAD_IPV6 70

#endif
