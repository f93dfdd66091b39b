/* Routers: their ports, routes, next hops.  A part of tables.h, which says how tables may change. */
#ifndef WEFT_DATAPLANE_TABLES_H
#include "weft/dataplane/tables.h" /* Which includes this one in its place. */
#elif !defined(WEFT_DATAPLANE_TABLES_ROUTING_H)
#define WEFT_DATAPLANE_TABLES_ROUTING_H

/* ---- routers ------------------------------------------------------------------------------------------------------------------ */

/* A port of a router, by its number on this host; 0 is never used.  (Or of a load balancer's address on an external or physical network: ROUTER_PORT_SERVICE.)  Its MAC is in 'fdb' as OUTPUT_ROUTER | number on every host that knows the
 * network: each routes what its own workloads send.  A double record, as 'ports'. */
#define MAX_ROUTER_PORTS_DEFAULT 16384
_Static_assert(MAX_ROUTER_PORTS_DEFAULT <= 65536, "flow_entry holds a router port in 16 bits");
#define ROUTER_HOPS_MAX 8                /* Routers that one packet may pass on its host. */
#define ROUTER_PORT_UP (1u << 0)         /* The router's admin_state_up, and the port's. */
#define ROUTER_PORT_EXTERNAL (1u << 1)   /* On an external network: what leaves here is translated (if the router does that) */
#define ROUTER_PORT_SNAT (1u << 2)       /* to a floating IP or, with this flag, to the router's address. */
#define ROUTER_PORT_ANNOUNCED (1u << 3)  /* This host answers for its IPv6 addresses on its uplink. */
#define ROUTER_PORT_SERVICE (1u << 6)    /* It is a load balancer's address there: nothing is routed. */
#define ROUTER_PORT_LOG_DROP (1u << 4)   /* 'verdicts' gets what this port's firewall policies refuse, */
#define ROUTER_PORT_LOG_ACCEPT (1u << 5) /* and the first packets of connections that they, and those of all others on the way, let pass. */
#define ROUTER_PORT_LOGS (ROUTER_PORT_LOG_DROP | ROUTER_PORT_LOG_ACCEPT)
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
/* 'router' of the table of such a port: who outside is on the link, and where others are.  ROUTE_LOCAL is what is not outside. */
#define ROUTER_SERVICE 0x40000000u       /* | its number */
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

#endif
