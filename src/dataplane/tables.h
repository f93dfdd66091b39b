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
 *   flow_slots     array         index -> struct flow_slot         FLOW_SLOTS_DEFAULT
 *   half_open      array         slot -> struct half_open          MAX_PORTS_DEFAULT
 *   sweeper        array         0 -> struct sweeper               1
 *   policies       array, mmap   slot -> struct port_policy        MAX_PORTS_DEFAULT
 *   rules          hash          struct rules_key -> struct rules_block 65536
 *   members        hash          struct member_key -> __u64 (group)  1048576
 *   member_prefixes LPM          struct member_prefix_key -> __u64 (group) 65536
 *   firewall_rules hash          struct rules_key -> struct firewall_block 65536
 *   router_ports   array, mmap   router port -> struct router_port_record MAX_ROUTER_PORTS_DEFAULT
 *   router_port_runtime array, mmap router port -> struct router_port_runtime MAX_ROUTER_PORTS_DEFAULT
 *   routes         LPM           struct route_key -> struct route_value 65536
 *   next_hops      hash          struct next_hop_key -> struct next_hop_value 65536
 *   floating       hash          struct floating_key -> struct floating_value 65536
 *   external       hash          struct external_key -> struct external_value 262144
 *   forwardings    hash          struct forwarding_key -> struct external_value 65536
 *   snat           hash          __u32 router port -> struct snat_config 4096
 *   snat_owners    LPM           struct snat_owner_key -> struct output_value 65536
 *   gateways       hash          struct flood_key -> struct output_value 65536
 *   uplinks        hash          struct uplink_key -> struct uplink_value 256
 *   aliases        hash          struct alias_key -> struct alias_value FLOW_SLOTS_DEFAULT
 *   portless       LRU hash      struct alias_key -> struct portless_value 4096
 *   outside_budget array         router port -> struct outside_budget MAX_ROUTER_PORTS_DEFAULT
 *   station_use    array         station_index() -> __u32          STATION_USE_SIZE
 *   fragments      array         slot -> struct port_fragments     MAX_PORTS_DEFAULT
 *   outside_fragments array      router port -> struct port_fragments OUTSIDE_FRAGMENTS
 *   verdict_config array, mmap   0 -> struct verdict_config        1
 *   verdict_runtime array, mmap  slot -> struct verdict_runtime    MAX_PORTS_DEFAULT
 *   verdicts       ring buffer   struct verdict_event              1 MiB
 *   metadata       array, mmap   0 -> struct metadata_config       1
 *   metadata_budget array        slot -> struct metadata_budget    MAX_PORTS_DEFAULT
 *   settings       array, mmap   0 -> struct settings              1
 *   punt           ring buffer   struct punt_event                 1 MiB
 *   scratch        per-CPU array 0 -> struct scratch (bpf/maps.h)  1, not pinned
 *   packets        per-CPU array program -> struct packet (bpf/packet.h) 5, not pinned
 *
 * None of the hashes is preallocated.  The programs, all of them tc classifiers with direct action:
 *
 *   from_workload     ingress of the host's end of each plugged tap or veth
 *   from_underlay     ingress of each underlay device
 *   from_uplink       ingress of each device into a physical network, behind from_underlay where it is both
 *   to_tunnel         egress of the tunnel device: gives copies of flooded frames their header
 *   from_metadata     egress of the metadata device: answers to workloads
 *   end_connection    nowhere: the agent runs it to end a connection (struct end_request)
 *   through_neighbor  ingress of the tunnel device: sends what cannot use bpf_redirect_neigh at once (frames that are
 *                     neither IPv4 nor IPv6 inside) to the next hop */

#define TABLES_LAYOUT 1      /* In the pin path: /sys/fs/bpf/weft/<host>/v<layout>/.  Of maps that change one by one: load.c. */
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
#define OUTPUT_ROUTER 0xc0000000u /* | router port: the MAC is a router's */
#define OUTPUT_UPLINK 0x10000000u /* | 0: out of this host's uplink of the network */
#define OUTPUT_KIND_MASK 0xf0000000u
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
#define PORT_EGRESS_POLICY (1u << 8)  /* What the workload sends must be allowed by 'policies'. */
#define PORT_ROUTER_FIREWALL (1u << 9) /* Behind routers with firewall policies: what it receives has connection entries too, so that answers are known. */
#define PORT_POLICY (PORT_INGRESS_POLICY | PORT_EGRESS_POLICY)
#define PORT_LOG_DROP (1u << 16)      /* 'verdicts' gets what policy refuses, */
#define PORT_LOG_ACCEPT (1u << 17)    /* the first packets of connections that it lets pass, */
#define PORT_LOG_RULES (1u << 18)     /* or only of those that a rule with RULE_LOG lets pass. */
#define PORT_LOGS (PORT_LOG_DROP | PORT_LOG_ACCEPT | PORT_LOG_RULES)

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
#define NETWORK_BRIDGED (1u << 1) /* It is (a VLAN of) a physical network, and workloads are in it: bpf/bridge.h. */
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
#define FLOOD_BEHIND 0x20000000u /* | i: hosts without an uplink that this gateway stands for: what stations outside broadcast is for them, too. */
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

/* ---- policies: what the security groups of a port allow ------------------------------------------------------------------- */

/* The two rule sets of a port, by enum policy_direction.  Read and written as one __u64, so that a change is one store; the port's epoch is
 * bumped after it.  Meant only where PORT_EGRESS_POLICY or PORT_INGRESS_POLICY is set.  Set 0 has no rules: nothing passes. */
enum policy_direction { POLICY_EGRESS, POLICY_INGRESS }; /* From the workload, to it. */
struct port_policy {
    __u32 rule_set[2];
};

/* A rule set never changes: another content is another set, named by a hash of its content.  What is in a set passes, in no order. */
#define RULES_PER_BLOCK 15
struct rules_key {
    __u32 set;
    __u32 index;         /* From 0 without holes. */
};
#define RULE_IPV4 (1u << 0)        /* One of the two. */
#define RULE_IPV6 (1u << 1)
#define RULE_PROTOCOL (1u << 2)    /* 'protocol' must be the same. */
#define RULE_PORTS (1u << 3)       /* The destination port is in the range; ICMP: the type is port_min and, if port_max is no 0xffff, the code port_max. */
#define RULE_GROUP (1u << 4)       /* The other side's address is in 'members' for 'group', */
#define RULE_GROUP_PREFIXES (1u << 5) /* or in 'member_prefixes'. */
#define RULE_STATELESS (1u << 6)   /* No connection entry comes of it, so answers need a rule of their own.  Others that fit come first. */
#define RULE_LOG (1u << 8)         /* What it lets pass is logged at ports with PORT_LOG_RULES.  Such a rule comes before others that fit. */
struct rule {
    __u8 address[16];    /* The other side's; IPv4 mapped. */
    __u32 group;
    __u16 flags;         /* RULE_* */
    __u8 prefix_length;  /* 0..128 of 'address'; IPv4 adds 96.  0: any. */
    __u8 protocol;
    __u16 port_min, port_max; /* Host order. */
    __u32 number;        /* For people: the trace and the log name the rule that this is the first 32 bits of the id of. */
};
_Static_assert(sizeof(struct rule) == 32, "no implicit padding");
/* What all rules of a block have in common, so that a packet whose rule is elsewhere costs one look at it: the flags are the families that some of
 * them are for, and RULE_PROTOCOL and RULE_PORTS where each of them asks for that protocol and for a port (or ICMP type) within the range. */
struct rules_common {
    __u16 flags;         /* RULE_*; 0: nothing is known, look at each. */
    __u8 protocol;
    __u8 pad;
    __u16 port_min, port_max;
};
struct rules_block {
    __u32 set, index;    /* Repeat the key. */
    __u32 n;             /* Rules here; fewer than RULES_PER_BLOCK only in the last block. */
    struct rules_common common;
    __u32 pad[3];
    struct rule rules[RULES_PER_BLOCK];
};
_Static_assert(sizeof(struct rules_block) == 512, "no implicit padding");

/* Who is in a group (of ports, or of addresses): one row each, whatever rules name the group.  Groups have a number on each host. */
struct member_key {
    __u32 group;
    __u8 address[16];    /* IPv4 mapped. */
};
struct member_prefix_key {
    __u32 prefix_length; /* 32 + 0..128; IPv4 adds 96. */
    __u32 group;
    __u8 address[16];
};
/* Values: the group again, as one __u64.  A short prefix of IPv6 covers IPv4's mapped addresses, which it does not mean: so the upper half of a
 * prefix's value is RULE_IPV4 or RULE_IPV6, or 0 where that does not matter. */

/* Firewall policies, at ports of routers: struct router_port_config names two sets.  As sets of rules above, but in order: the first rule that
 * fits decides, and what none fits is dropped.  Only packets that routers pass on are judged, as the router sees them: behind the translation of
 * their destination and before that of their source. */
#define FIREWALL_SOURCE_PORTS (1u << 9)      /* The port is in the range, */
#define FIREWALL_DESTINATION_PORTS (1u << 10) /* and this one. */
enum firewall_verdict { FIREWALL_DENIES, FIREWALL_PASSES, FIREWALL_REJECTS };
struct firewall_rule_row {
    __u8 source[16], destination[16]; /* IPv4 mapped. */
    __u8 source_length, destination_length; /* 0..128, IPv4 adds 96; 0: any. */
    __u16 flags;         /* RULE_IPV4, RULE_IPV6, RULE_PROTOCOL, and those above. */
    __u16 source_min, source_max, destination_min, destination_max; /* Host order. */
    __u8 protocol;
    __u8 verdict;        /* enum firewall_verdict */
    __u16 pad;
    __u32 number;        /* As in struct rule. */
};
_Static_assert(sizeof(struct firewall_rule_row) == 52, "no implicit padding");
#define FIREWALL_RULES_PER_BLOCK 8
struct firewall_block {
    __u32 set, index;    /* Repeat the key. */
    __u32 n;             /* Rules here; less than FIREWALL_RULES_PER_BLOCK only in the last block, which may be empty. */
    __u32 is_last;
    struct firewall_rule_row rules[FIREWALL_RULES_PER_BLOCK];
};
_Static_assert(sizeof(struct firewall_block) == 432, "in 512 bytes, with its key and what the kernel puts in front");

/* ---- routers ------------------------------------------------------------------------------------------------------------------ */

/* A port of a router, by its number on this host; 0 is never used.  Its MAC is in 'fdb' as OUTPUT_ROUTER | number on every host that knows the
 * network: each routes what its own workloads send.  A double record, as 'ports'. */
#define MAX_ROUTER_PORTS_DEFAULT 16384
_Static_assert(MAX_ROUTER_PORTS_DEFAULT <= 65536, "flow_entry holds a router port in 16 bits");
#define ROUTER_HOPS_MAX 8                /* Routers that one packet may pass on its host. */
#define ROUTER_PORT_UP (1u << 0)         /* The router's admin_state_up, and the port's. */
#define ROUTER_PORT_EXTERNAL (1u << 1)   /* On an external network: what leaves here is translated (if the router does that) */
#define ROUTER_PORT_SNAT (1u << 2)       /* to a floating IP or, with this flag, to the router's address. */
#define ROUTER_PORT_ANNOUNCED (1u << 3)  /* This host answers for its IPv6 addresses on its uplink. */
/* The address scope of the port's network, one for each family, by a number among the ports of one router; 0: none.  A router forwards nothing
 * between different ones, except IPv4 to an external network; what leaves there within one scope is not translated to the router's
 * address. */
#define ROUTER_PORT_SCOPE_MAX 0xfffu
#define ROUTER_PORT_SCOPE4(flags) ((flags) >> 8 & ROUTER_PORT_SCOPE_MAX)
#define ROUTER_PORT_SCOPE6(flags) ((flags) >> 20)
#define ROUTER_PORT_SCOPES(scope4, scope6) ((scope4) << 8 | (scope6) << 20)
struct router_port_config {
    __u32 flags;         /* ROUTER_PORT_* */
    __u32 router;        /* Number of the router: the routing table. */
    __u32 vni;
    __u32 generation;    /* Of the number. */
    __u8 mac[6];
    __u16 mtu;
    __u8 ip4[16], ip6[16]; /* Its first addresses (mapped; zero: none): the source of what the router itself says. */
    __u32 rule_set[2];   /* Firewall policies of this port: enum policy_direction, seen from the network behind the port; 0: none, all passes. */
};
_Static_assert(sizeof(struct router_port_config) == 64, "no implicit padding");
struct router_port_record {
    __u32 active;
    __u32 pad;
    struct router_port_config config[2];
};

/* What the data plane itself writes for a router port; array by its number. */
struct router_port_runtime {
    __u64 n_names;       /* Gateways: connections with a place in 'aliases', */
    __u64 n_exhausted;   /* and those that got none. */
};

/* A routing table: longest prefix first, then what was compiled as best. */
struct route_key {
    __u32 prefix_length; /* 32 + 0..128; IPv4 adds 96. */
    __u32 router;
    __u8 address[16];
};
#define ROUTE_LOCAL (1u << 0)            /* An address of the router itself. */
#define ROUTE_MANY (1u << 1)             /* 'port' is the number of a group in 'next_hops', and next_hop unused. */
/* 'router' of the table that says who routes what arrives from outside on an external network: 'port' is the router's port there.  A
 * ROUTE_LOCAL in it is an address of this host, which such a prefix does not take from it. */
#define ROUTER_OUTSIDE 0x80000000u       /* | vni */
struct route_value {                     /* Replaced whole. */
    __u32 router;        /* Repeats the key. */
    __u32 flags;         /* ROUTE_* */
    __u32 port;          /* Router port where it leaves. */
    __u8 next_hop[16];   /* Zero: the destination itself. */
};
/* Several next hops: a hash of source and destination address chooses the bucket.  Buckets are filled by rendezvous, so that a next hop that comes or goes
 * moves only its own share. */
#define NEXT_HOP_BUCKETS 64
struct next_hop_key {
    __u32 group;
    __u32 bucket;
};
struct next_hop_value {
    __u32 group;         /* Repeats the key. */
    __u32 port;
    __u8 next_hop[16];
};

/* ---- external networks and translation ------------------------------------------------------------------------------------------- */

/* An external network is a network like others; what is outside is reached through the uplinks of the hosts that have one ("gateways").
 * Between our hosts a frame for the outside has this destination MAC and its router port's as source: the host with the uplink
 * finds the next hop. */
#define OUTSIDE_MAC_BYTES {0x02, 0x57, 0x45, 0x46, 0x54, 0x00}

/* A device into a physical network, for one of our networks. */
struct uplink_key {
    __u32 ifindex;
    __u32 vlan;          /* 0: untagged. */
};
struct uplink_value {
    __u32 ifindex, vlan; /* Repeat the key. */
    __u32 vni;
    __u32 project;       /* Index into 'projects' of the network's. */
    __u8 mac[6];         /* The device's own: what outside knows all our addresses by. */
    __u16 mtu;
};
/* The same by VNI stands in 'uplinks' under {UPLINK_BY_VNI, vni}. */
#define UPLINK_BY_VNI 0u

/* A local port's address that has a floating IP, seen from inside. */
struct floating_key {
    __u32 slot;
    __u32 address;       /* IPv4, of the port. */
};
struct floating_value {
    __u32 slot;          /* Repeats the key. */
    __u32 address;       /* The floating IP. */
    __u32 router_port;   /* The gateway's: through which it leaves. */
    __u32 object;        /* First 32 bits of the floating IP's id: a connection ends when it is another's. */
};

/* What an address of an external network is, seen from outside (or from another tenant). */
struct external_key {
    __u32 vni;
    __u32 address;       /* IPv4. */
};
enum external_kind {
    EXTERNAL_FLOATING = 1, /* A floating IP: 'output' is its port or the port's host. */
    EXTERNAL_FORWARDED,    /* A floating IP with port forwardings: see 'forwardings'. */
    EXTERNAL_ROUTER,       /* A router's gateway address: SNAT (snat_owners), or the router itself answers. */
    EXTERNAL_HOST,         /* This host's own, whoever else claims it: what comes for it from an uplink is left alone. */
};
struct external_value {
    __u32 vni;           /* Repeats the key. */
    __u32 kind;
    __u32 output;        /* OUTPUT_LOCAL or OUTPUT_REMOTE; of a router's the gateway that answers for it outside: OUTPUT_LOCAL | 0 is this host. */
    __u32 address;       /* The port's own, when it is local. */
    __u32 router_port;   /* Of the gateway: where the packet enters the router. */
    __u32 object;        /* As in floating_value. */
    __u16 port;          /* forwardings: the first port of the workload, host order; */
    __u16 first;         /* it is for this port of the floating IP. */
    __u32 flags;
#define EXTERNAL_ANNOUNCED (1u << 0) /* This host answers ARP for it on its uplink. */
};
struct forwarding_key {
    __u32 vni;
    __u32 address;
    __u16 port;          /* As on the wire. */
    __u8 protocol;
    __u8 pad;
};

/* Distributed SNAT: the blocks of ports of a router's address that this host translates to. */
#define SNAT_BLOCKS_MAX 16
struct snat_config {     /* Replaced whole. */
    __u32 router_port;   /* Repeats the key: the gateway's. */
    __u32 address;
    __u32 vni;
    __u32 n_blocks;
    __u32 object;        /* First 32 bits of the router's id. */
    struct {
        __u16 first, size; /* Host order; size is a power of two. */
    } blocks[SNAT_BLOCKS_MAX];
};
/* Which host a port of such an address belongs to. */
struct snat_owner_key {
    __u32 prefix_length; /* 64 + 0..16 */
    __u32 vni;
    __u32 address;
    __u16 port;          /* As on the wire. */
    __u16 pad;
};
/* Value: struct output_value; OUTPUT_LOCAL | 0 is this host. */

/* Hosts with an uplink of a network, by index from 0 without holes; GATEWAYS_FACTS | 0 has their number as 'output'. */
#define GATEWAYS_FACTS 0xc0000000u
#define GATEWAYS_BRIDGE 0xc0000001u /* The one that stands for this host's workloads in the network itself, if the host has no uplink. */

/* What an external network may cost the agent, by router port: packets a second, and as a burst.  Of number 0, which no router port has, the
 * first is for all uplinks together: what stations tell of themselves. */
enum outside_budget_kind {
    BUDGET_UNRESOLVED, /* Frames for a station whose MAC is not known that another host sent here for this router. */
    BUDGET_ERRORS,     /* ICMP errors to somebody outside, and what comes from there and has to be fragmented. */
    N_OUTSIDE_BUDGETS
};
#define BUDGET_SEEN BUDGET_UNRESOLVED
struct outside_budget {
    struct {
        __u64 time_ns, tokens;
    } of[N_OUTSIDE_BUDGETS];
};
#define UNRESOLVED_RATE 100
#define OUTSIDE_ERROR_RATE 100
#define SEEN_RATE 1000

/* When a frame last left by an uplink for a station outside, in units of 2^30 ns of CLOCK_MONOTONIC; several stations may share a place. */
#define STATION_USE_SIZE 4096
#define STATION_TIME_SHIFT 30
static inline __u32 station_index(__u32 vni, const __u8 *mac)
{
    __u32 low = (__u32)mac[2] << 24 | (__u32)mac[3] << 16 | (__u32)mac[4] << 8 | mac[5];

    return ((vni * 0x9e3779b1u ^ low) * 0x85ebca6bu) >> 20;
}

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
    __u32 port_half_open;                 /* Of max_half_open, what each of its ports may have whatever the others do; by the agent. */
};

/* ---- connections: hash, not preallocated ------------------------------------------------------------------------------- */

/* A connection as the local workload sees it: one entry for both directions of a connection of one port.
 *
 * The sizes are made for the cache.  The kernel has 56 bytes in front of the key (8 of its allocator, 48 of the hash) and
 * gives each entry's memory a multiple of its size: with a key of 16 and a value of 120 an entry is exactly three lines.
 * The first has half of the key, the second the rest and all that a frame reads and writes; the third is for what is
 * rare.  A change of either size is a new map (load.c). */
#define FLOW_KEY_IPV6 (1u << 23)
struct flow_key {
    __u32 owner;           /* Port slot | FLOW_KEY_IPV6 | protocol << 24. */
    __u16 local_port, remote_port; /* As on the wire.  ICMP: identifier, and type of the request; 0 for others. */
    __u32 local, remote;   /* IPv4 addresses.  IPv6: the halves of a hash over both; the entry has the addresses. */
};
_Static_assert(sizeof(struct flow_key) == 16, "no implicit padding in a key");

/* TCP has all of them; others are half open, established, dead. */
enum flow_state {
    FLOW_NEW,
    FLOW_HALF_OPEN,   /* Not acknowledged by both sides yet. */
    FLOW_ESTABLISHED,
    FLOW_CLOSING,     /* Both sides have sent a FIN (ports without policy: one has, or a RST). */
    FLOW_DEAD,        /* About to be deleted: as good as not there. */
    FLOW_HALF_CLOSED, /* One side has sent a FIN, and may still receive. */
    FLOW_TIME_WAIT,   /* Both FINs are acknowledged. */
    FLOW_RESET,       /* By a RST. */
};

#define FLOW_LAYOUT 2
#define FLOW_LOCAL_STARTED (1u << 0) /* The local workload sent the first packet. */
#define FLOW_SEEN_REPLY (1u << 1)
#define FLOW_TRANSLATED (1u << 2)    /* The outside_ fields hold. */
#define FLOW_ALIASED (1u << 3)       /* It has a place in 'aliases', which goes with it. */
#define FLOW_ROUTED (1u << 4)        /* The workload's frames pass routers: 'router_port' and what goes with it holds. */
#define FLOW_GUESSED (1u << 5)       /* The port had no policy when it was made, so that who began it is a guess. */
#define FLOW_FIN (1u << 6)           /* TCP, << side: it has sent its FIN, */
#define FLOW_FIN_ACKED (1u << 8)     /* << side: which the other one has acknowledged. */
#define FLOW_TRACKED (1u << 10)      /* << side: its 'sequence_end' and 'window' hold. */
#define FLOW_SYN_AGAIN (1u << 12)    /* A SYN came from who began it, in the middle: the other side's answer tells who is right. */
#define FLOW_ECHO_BOTH (1u << 12)    /* ICMP: both sides ask, with the same identifier. */
#define FLOW_RESET_SEEN(side) (1u << (13 + 2 * (side))) /* It sent a RST that the other may have believed: the rest of its life is short. */
#define FLOW_BOUND (1u << 14)        /* Only an entry can tell what it is called outside. */
#define FLOW_COUNTED (1u << 31)      /* Of 'account'; */
#define FLOW_RECYCLED (1u << 30)     /* of a dead one: it has given back its place already, and was not established. */
#define FLOW_ACCOUNT_MASK 0xffffu
#define FLOW_SCALE_UNKNOWN 15        /* 14 is the largest shift. */
#define FLOW_TIME_SHIFT 20           /* Times are CLOCK_MONOTONIC_COARSE >> 20: about milliseconds, and wrap after 52 days. */
struct flow_entry {
    __u8 layout;           /* FLOW_LAYOUT: entries of another layout are evaluated as new. */
    __u8 state;            /* enum flow_state */
    __u16 flags;           /* FLOW_*; bits of a known entry change atomically (flow_flags_change). */
    __u32 stamp;           /* flow_stamp() of the port when 'output' was decided. */
    __u32 output;          /* Where the workload's frames go. */
    __u32 last_seen;       /* Of a dead entry: when it died. */
    __u8 remote_mac[6];    /* The workload's L2 destination that 'output' was found for. */
    __u16 output_generation; /* Of that port or host slot: its low bits. */
    __u64 packets[2];      /* Sent by the workload, received. */
    __u64 bytes[2];
    /* Up to here in one cache line. */
    __u32 generation;      /* Of the port slot. */
    __u32 account;         /* Index of its project, | FLOW_COUNTED when that counts it as established, not half open; | FLOW_RECYCLED. */
    __u8 next_mac[6];      /* Routed: the L2 destination that the workload's frames get; */
    __u16 router_port;     /* and where they leave the last router: its MAC is their source, its network theirs.  0: switched. */
    __u8 hops;             /* Routers on the way: what their TTL loses. */
    __u8 scales;           /* TCP window scale (RFC 7323) of the workload's side, << 4 of the other; FLOW_SCALE_UNKNOWN until its SYN. */
    __u16 window[2];       /* TCP: the largest window that each side announced, unscaled; [0] is the workload's. */
    __u16 router_generation; /* Of 'router_port': its low bits. */
    __u32 sequence_end[2]; /* TCP: behind the highest sequence number that each side has sent. */
    union {
        struct {           /* IPv6. */
            __u8 local[16], remote[16];
        };
        struct {           /* IPv4, translated: what the connection is called outside; all zero when it is not. */
            __u32 outside_local, outside_remote; /* Addresses: the workload's, and the other side's. */
            __u16 outside_local_port, outside_remote_port;
            __u32 object;  /* By whose right (first 32 bits of its id). */
            __u32 gateway; /* Router port of the gateway that it is translated at. */
            __u32 outside_vni; /* The network where it is called so. */
            __u32 reserved[2];
        };
    };
};
_Static_assert(sizeof(struct flow_entry) == 120 && __builtin_offsetof(struct flow_entry, generation) == 56, "three cache lines");

/* The epoch of a port and the generation of its slot in one word: of another epoch, or of another port in the slot, it differs.
 * (With fewer than two million epochs between owners that are less than a thousand apart.) */
static inline __u32 flow_stamp(__u32 epoch, __u32 generation)
{
    return epoch + generation * 0x9e3779b1u;
}

/* A translated connection under its name outside: who has it. */
struct alias_key {
    __u32 vni_protocol;  /* vni << 8 | protocol */
    __u32 address, remote; /* Ours and the other side's. */
    __u16 port, remote_port; /* As on the wire; ICMP echo: identifier, 0. */
};
struct alias_value {
    struct flow_key key; /* Of the entry in 'connections'. */
    __u32 vni_protocol;  /* Repeats the key. */
    __u32 generation;    /* Of the port slot. */
};

/* Who has a connection without ports behind a router's address, at the gateway that answers for that; its name has ports 0 (bpf/portless.h). */
struct portless_value {
    __u32 vni_protocol;  /* Repeats the key. */
    __u32 output;        /* OUTPUT_REMOTE */
    __u64 time_ns;       /* When it last sent. */
};

/* Later fragments have no ports: they follow the first one (bpf/fragment.h).  Array by slot; each port has its own places, in sets of FRAGMENT_WAYS. */
#define FRAGMENTS_PER_PORT 64
#define FRAGMENT_WAYS 4
struct fragment {
    __u64 check;         /* Of the packet's name and 'ports'. */
    __u64 ports;         /* Of the first fragment: local, remote << 16, as on the wire; | when << 32, as 'last_seen'. */
};
struct port_fragments {
    struct fragment places[FRAGMENTS_PER_PORT];
};
#define OUTSIDE_FRAGMENTS 1024 /* Gateway ports by their low bits. */

/* Expiry, the data plane's own business: every entry has its key in one of 'flow_slots', and one timer in 'sweeper' walks over
 * them (bpf/flow.h). */
#define FLOW_SLOTS_DEFAULT 262144 /* A power of two, as */
#define FLOW_SLOTS_MIN 4096
#define FLOW_SLOTS_MAX 4194304
enum flow_slot_state { SLOT_FREE, SLOT_CLAIMED, SLOT_USED, SLOT_DYING };
struct flow_slot {
    struct flow_key key;
    __u32 state;           /* enum flow_slot_state */
};

/* Where a port's latest connections have their slots, so that its oldest half-open ones can make room for new ones (bpf/half-open.h). */
#define HALF_OPEN_RING 1024
struct half_open {
    __u32 head;            /* Where the next one goes. */
    __u32 tail;            /* The oldest that may be given up. */
    __u32 gone;            /* The oldest of those that have been, and are not deleted yet. */
    __u32 pad;
    __u32 places[HALF_OPEN_RING]; /* Indexes of 'flow_slots'. */
};
#define SWEEP_VERSION 4           /* A program with another one takes the timer over. */
struct sweeper {
#ifdef __bpf__
    struct bpf_timer timer;
#else
    __u64 timer[2];
#endif
    __u32 version;         /* SWEEP_VERSION of the program whose timer runs; 0: none. */
    __u32 next;            /* Where the next entry looks for a slot. */
    __u32 hand;            /* Where the sweeper goes on. */
    __u32 n_seen;          /* Slots in use that this round has met. */
};

/* What 'end_connection' is run with, by the agent (BPF_PROG_TEST_RUN): a frame that only it sees.  A connection ends in two steps, with FLOW_DEAD_TIME
 * between them: END_NOW lets nobody find it any more, END_REMOVE deletes it, if it is still dead, and frees its name outside. */
enum end_operation { END_NOW, END_REMOVE };
struct end_request {
    __u8 ethernet[16];     /* Zero. */
    struct flow_key key;
    __u32 operation;       /* enum end_operation.  The program returns 1 when it did that, else 0. */
};
_Static_assert(sizeof(struct end_request) == 36, "no implicit padding");
#define END_PAUSE_MS 20

/* ---- settings: array of one, written before programs are attached -------------------------------------------------------- */

struct settings {
    __u32 n_ports, n_hosts, n_projects; /* Sizes of the arrays. */
    __u32 tunnel_ifindex;  /* The device that owns the UDP port; copies of broadcast leave through it. */
    __u16 tunnel_port;     /* UDP, host order. */
    __u16 flood_fan_out;   /* 0: FLOOD_FAN_OUT_DEFAULT. */
    __u32 n_flow_slots;    /* A power of two; 0: FLOW_SLOTS_DEFAULT. */
    __u32 timeout_s[8];    /* By enum flow_timeout; 0: 30 s. */
    __u64 hash_seed;       /* For the tunnel's source ports. */
    __u32 relay_rate, relay_burst; /* Of each host, see host_runtime. */
};
enum flow_timeout { TIMEOUT_HALF_OPEN, TIMEOUT_TCP_ESTABLISHED, TIMEOUT_TCP_CLOSING, TIMEOUT_UDP_NEW, TIMEOUT_UDP_SEEN,
                    TIMEOUT_ICMP, TIMEOUT_OTHER, TIMEOUT_TCP_HALF_CLOSED };

/* ---- the metadata service: array of one, written by the agent ----------------------------------------------------------------- */

/* What a workload sends to TCP port 80 of METADATA_IP4 or METADATA_IP6 goes into a device of the host's, where the agent listens.  Workloads
 * of two tenants may have the same address, so on that device each has another one, which is made of its port's slot and generation: the
 * agent knows by it who asks, and an answer that comes too late, when the slot is another port's, is dropped.  Both ways only
 * addresses and ports are rewritten, and nothing has to be remembered: what the workload calls itself is its port's first IPv4 address,
 * or the link-local address of its MAC, and nobody else is answered. */
#define METADATA_IP4 0xa9fea9feu             /* 169.254.169.254; host order, as all of these. */
#define METADATA_IP6_HIGH 0xfe80000000000000ull /* fe80::a9fe:a9fe */
#define METADATA_IP6_LOW 0x00000000a9fea9feull
#define METADATA_TCP_PORT 80
#define VIRTUAL_SERVER_MAC_BYTES {0xfa, 0x16, 0x3f, 0x00, 0x00, 0x01} /* Whom ARP and ND find there: model/virtual-server.h. */
/* On the device: addresses of class E, which no network has, and unique local ones (RFC 4193). */
#define METADATA_AGENT_IP4 0xf00ffffeu       /* 240.15.255.254: as slot 1048574, which is beyond every table. */
#define METADATA_AGENT_PREFIX4 4
#define METADATA_PORT_IP4(slot, generation) (0xf0000000u | ((generation) & 0xffu) << 20 | ((slot) & 0xfffffu))
#define METADATA_SLOT_OF_IP4(address) ((address) & 0xfffffu)
#define METADATA_IP6_AGENT_HIGH 0xfd57454654000001ull /* fd57:4546:5400:1::1 */
#define METADATA_IP6_AGENT_LOW 1ull
#define METADATA_IP6_PORT_HIGH 0xfd57454654000000ull  /* fd57:4546:5400:0:<generation>:<slot> */
#define METADATA_AGENT_PREFIX6 48
struct metadata_config {
    __u32 ifindex;       /* Of the device; 0: there is no service here. */
    __u16 port[2];       /* Where the agent listens, IPv4 and IPv6; as on the wire.  0: not in that family. */
    __u8 mac[6];         /* Of the device. */
    __u16 pad;
};
_Static_assert(sizeof(struct metadata_config) == 16, "no implicit padding");
struct metadata_budget { /* Of each port's packets to it. */
    __u64 time_ns, tokens;
};
#define METADATA_RATE 2000 /* Packets a second, and as a burst. */

/* ---- punt: ring buffer to the agent ------------------------------------------------------------------------------------------ */

enum punt_reason {
    PUNT_DHCP4 = 1,
    PUNT_DHCP6,
    PUNT_ROUTER_SOLICITATION,
    PUNT_TOO_BIG, /* Was dropped; 'frame' is its beginning.  To be answered by ICMP (RFC 1191, RFC 8201). */
    PUNT_TTL,         /* As these two: time exceeded, and destination unreachable with 'code' (RFC 792, RFC 4443). */
    PUNT_UNREACHABLE,
    PUNT_FRAGMENT,    /* Decided and rewritten, but to be cut to 'mtu' (RFC 791, 2.3) and sent to 'output' of 'vni'. */
    PUNT_NEIGHBOR,    /* To leave by the uplink of 'vni', but for the MAC of 'next_hop', which is not known. */
    PUNT_NEIGHBOR_SEEN, /* Came in by an uplink of 'vni', and says who has an address. */
};
#define PUNT_MAX_FRAME 1600
struct punt_event {
    __u32 slot, ifindex, vni;
    __u16 reason;          /* enum punt_reason */
    __u16 size;            /* Bytes of 'frame' in use. */
    __u8 frame[PUNT_MAX_FRAME];
    /* What follows came later: an event of an older program ends here. */
    __u8 source[16];       /* That router port's address of the frame's family; zero: it has none, or no router. */
    __u32 output;          /* FRAGMENT: OUTPUT_LOCAL or OUTPUT_REMOTE.  An error to somebody outside (slot 0): OUTPUT_UPLINK of 'vni', or the
                            * OUTPUT_REMOTE that brought it. */
    __u16 router_port;     /* Who speaks is the router that the frame came to here; 0: none, and errors are in the destination's name. */
    __u16 mtu;             /* Of the router port where it does not fit; 0: of the sender's network. */
    __u8 code;             /* UNREACHABLE: enum unreachable_code. */
    __u8 hops;             /* Routers before that one: what the TTL had lost by then. */
    __u8 pad[2];
    __u8 next_hop[16];     /* NEIGHBOR. */
};
#define PUNT_EVENT_FIRST_SIZE __builtin_offsetof(struct punt_event, source)
enum unreachable_code { UNREACHABLE_NET, UNREACHABLE_HOST, UNREACHABLE_PROTOCOL, UNREACHABLE_PORT }; /* As ICMP's (RFC 792). */

/* ---- verdicts: ring buffer to the agent, for the log of security groups ---------------------------------------------------------- */

/* How many events a second, and at once, each port may write; array of one, written by the agent before programs are attached. */
struct verdict_config {
    __u32 rate, burst;
};
struct verdict_runtime {
    __u64 time_ns, tokens;
    __u64 n_left_out;      /* Events that were one too many, or found no room; */
    __u64 n_said;          /* of these, those that the agent has said in the log. */
};
#define VERDICT_RATE_DEFAULT 100
#define VERDICT_BURST_DEFAULT 25
#define VERDICT_RATE_MAX 1000000u

/* A packet from its sender's side; addresses and ports as the port sees them. */
#define VERDICT_RECEIVED (1u << 0) /* Judged where it arrives, else where it starts. */
#define VERDICT_LATER_FRAGMENT (1u << 1) /* Its ports are those of the first one. */
struct verdict_event {
    __u64 time_ns;         /* CLOCK_MONOTONIC_COARSE */
    __u32 slot, generation; /* Of the port. */
    __u32 number;          /* Of the rule that let it pass (struct rule). */
    __u32 size;            /* Bytes of the Ethernet frame. */
    __u16 reason;          /* enum drop_reason; 0: it passed. */
    __u16 ethertype;       /* As on the wire, as these two. */
    __u16 source_port, destination_port; /* 0 with ICMP and what has none. */
    __u8 protocol;
    __u8 tcp_flags;
    __u8 icmp_type, icmp_code;
    __u8 flags;            /* VERDICT_* */
    __u8 pad[3];
    __u8 source_mac[6], destination_mac[6];
    __u8 pad_2[4];
    __u8 source[16], destination[16];
};
_Static_assert(sizeof(struct verdict_event) == 88, "no implicit padding");

/* ---- the tunnel header ----------------------------------------------------------------------------------------------------------- */

/* VXLAN (RFC 7348) whose reserved bits, between our hosts and on our own UDP port, say more:
 *   byte 0     flags, 0x08: the VNI is valid
 *   bytes 1-3  version (4 bits), argument (20 bits: RELAYED: the end of the stretch; balancer row, mirror session)
 *   bytes 4-6  VNI
 *              UNICAST to a group: one copy for the physical network, from a host that the receiver stands for there
 *   byte 7     kind (4 bits), hop count (4 bits: of FLOOD and RELAYED, how many hosts have made copies for a tree; 0: it comes from
 *              its sender's host, so that MACs can be learned from it; of a UNICAST to a port, TUNNEL_HOPS_OUTSIDE: see below) */
#define TUNNEL_PORT 4790
#define TUNNEL_VERSION 1
enum tunnel_kind { TUNNEL_UNICAST, TUNNEL_FLOOD, TUNNEL_DIRECT_RETURN, TUNNEL_MIRROR, TUNNEL_RELAYED };
#define TUNNEL_WORD(kind, hops, argument) ((__u32)(argument) << 8 | (__u32)(hops) << 4 | (__u32)(kind)) /* skb->cb[0] of a copy. */
/* What the tunnel device sends for us has this mark | the host's slot (bits that the stack's own frames there do not have: its multicast
 * listener reports come with arbitrary marks), the VNI as its priority and a TUNNEL_WORD in skb->cb[0], which is 0 for a packet socket's. */
#define TUNNEL_MARK 0x57e00000u
#define TUNNEL_MARK_MASK 0xfff00000u
/* A gateway routed the frame from outside, untranslated: firewalls on the way are for the port's host to ask, which knows its connections. */
#define TUNNEL_HOPS_OUTSIDE 15u
#define TUNNEL_OVERHEAD_IPV4 50 /* Bytes: outer Ethernet is not counted, inner is. */
#define TUNNEL_OVERHEAD_IPV6 70

#endif
