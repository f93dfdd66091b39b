/* Networks on layer 2: who is where, who gets broadcast.  A part of tables.h, which says how tables may change. */
#ifndef WEFT_DATAPLANE_TABLES_H
#include "weft/dataplane/tables.h" /* Which includes this one in its place. */
#elif !defined(WEFT_DATAPLANE_TABLES_SWITCHING_H)
#define WEFT_DATAPLANE_TABLES_SWITCHING_H

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

#endif
