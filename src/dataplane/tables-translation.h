/* External networks: what has an address there, and what it is called.  A part of tables.h, which says how tables may change. */
#ifndef WEFT_DATAPLANE_TABLES_H
#include "weft/dataplane/tables.h" /* Which includes this one in its place. */
#elif !defined(WEFT_DATAPLANE_TABLES_TRANSLATION_H)
#define WEFT_DATAPLANE_TABLES_TRANSLATION_H

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
    EXTERNAL_FORWARDED,    /* A floating IP with port forwardings: see 'forwarded'. */
    EXTERNAL_ROUTER,       /* A router's gateway address: SNAT (snat_owners), or the router itself answers. */
    EXTERNAL_HOST,         /* This host's own, whoever else claims it: what comes for it from an uplink is left alone. */
    EXTERNAL_SERVICE,      /* A load balancer's address, or a floating IP of one: 'output' is OUTPUT_SERVICE | the VNI where that is. */
};
struct external_value {
    __u32 vni;           /* Repeats the key. */
    __u32 kind;
    __u32 output;        /* OUTPUT_LOCAL or OUTPUT_REMOTE; of a router's the gateway that answers for it outside: OUTPUT_LOCAL | 0 is this host. */
    __u32 address;       /* The port's own, when it is local; the load balancer's. */
    __u32 router_port;   /* Of the gateway: where the packet enters the router. */
    __u32 object;        /* As in floating_value. */
    __u16 port;          /* forwarded: the first port of the workload, host order; */
    __u16 first;         /* it is for this port of the floating IP. */
    __u32 flags;
#define EXTERNAL_ANNOUNCED (1u << 0) /* This host answers ARP for it on its uplink. */
};
/* A forwarded range of ports is a row for each prefix that it is made of. */
struct forwarding_key {
    __u32 prefix_length; /* FORWARDING_PREFIX + 0..16 */
    __u32 vni;
    __u32 address;
    __u8 protocol;
    __u8 pad;
    __u16 port;          /* As on the wire. */
};
#define FORWARDING_PREFIX (64 + 16)
#define FORWARDED_MAX 262144

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

/* What an external network may cost the agent, and a router all others, by router port: packets a second, and as a burst. */
enum outside_budget_kind {
    BUDGET_UNRESOLVED, /* Frames for a station whose MAC is not known that another host sent here for this router. */
    BUDGET_ERRORS,     /* ICMP errors to somebody outside, and what comes from there and has to be fragmented. */
    BUDGET_NOTES,      /* Connections without ports that other hosts begin by this gateway (bpf/portless.h). */
    N_OUTSIDE_BUDGETS
};
struct outside_budget {
    struct {
        __u64 time_ns, tokens;
    } of[N_OUTSIDE_BUDGETS];
};
#define UNRESOLVED_RATE 100
#define OUTSIDE_ERROR_RATE 100
#define NOTES_RATE 16 /* In the time that a note is kept, a quarter of those that there is room for. */

/* What the stations of a network with uplinks may cost, by VNI, so that those of one network cost no other one.  Rows are made by who spends. */
enum uplink_budget_kind {
    UPLINK_COPIES,     /* Of what they broadcast: as what is passed on for another host (settings). */
    UPLINK_CONFIRMED,  /* Shown to the agent: a neighbor is where it was. */
    UPLINK_NEWS,       /* The same: others tell where they are. */
    N_UPLINK_BUDGETS
};
struct uplink_budget {
    struct {
        __u64 time_ns, tokens;
    } of[N_UPLINK_BUDGETS];
};
#define SEEN_RATE 1000 /* Of either kind. */

/* When a frame last left by an uplink for a station outside, in units of 2^30 ns of CLOCK_MONOTONIC; several stations may share a place. */
#define STATION_USE_SIZE 4096
#define STATION_TIME_SHIFT 30
static inline __u32 station_index(__u32 vni, const __u8 *mac)
{
    __u32 low = (__u32)mac[2] << 24 | (__u32)mac[3] << 16 | (__u32)mac[4] << 8 | mac[5];

    return ((vni * 0x9e3779b1u ^ low) * 0x85ebca6bu) >> 20;
}

#endif
