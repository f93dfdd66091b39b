/* Load balancers: their listeners, who serves them, and connections that pass them.  A part of tables.h, which says how tables may change.
 *
 * The host of the client's port takes a member for each new connection, and its connection entry names it.  The packet goes to the member's
 * host as it is, and there its destination is translated, and back; so the client's host needs no other name for the connection, and what
 * the member answers is for it a packet from the load balancer's address as any other. */
#ifndef WEFT_DATAPLANE_TABLES_H
#include "weft/dataplane/tables.h" /* Which includes this one in its place. */
#elif !defined(WEFT_DATAPLANE_TABLES_BALANCING_H)
#define WEFT_DATAPLANE_TABLES_BALANCING_H

/* Of connection entries: outputs of kind OUTPUT_SERVICE that no frame is sent to as it is.  Beyond all slots of hosts, so that such an entry is
 * never taken for current by who does not know them. */
#define OUTPUT_MEMBER 0x28000000u /* | number of the member that serves it, in its client's entry; next_mac holds more: bpf/balance.h. */
#define OUTPUT_CLIENT 0x24000000u /* In its member's entry: back to who called; 'balanced' says where that is. */
#define OUTPUT_MEMBER_MASK 0x03ffffffu

/* ---- services: hash: what a load balancer's address answers to --------------------------------------------------------------------- */

struct service_key {
    __u32 vni;           /* Where the address is. */
    __u16 port;          /* As on the wire.  Port and protocol 0: the address itself, whatever listens there. */
    __u8 protocol;
    __u8 pad;
    __u8 address[16];
};
#define SERVICE_UP (1u << 0)          /* admin_state_up of listener and load balancer. */
#define SERVICE_BY_SOURCE (1u << 1)   /* The client's address alone decides, as far as 'source_length' goes. */
#define SERVICE_LEAST (1u << 2)       /* Of two members that of fewer connections that began on this host. */
#define SERVICE_RESTRICTED (1u << 3)  /* Only clients in 'service_sources'. */
#define SERVICE_IDLES (1u << 4)       /* The listener has a timeout of its own: no TCP segment but a SYN begins a connection. */
#define SERVICE_FULL (1u << 5)        /* This host has no share of its connection_limit: no connection begins. */
/* A listener's timeout is under its number: VNI 0, which no network has, SERVICE_LISTENER_KEY, and 'limit' in milliseconds.  A map of its own would be the
 * last of 64 that a program may use. */
#define SERVICE_LISTENER_KEY(number) {.vni = 0, .port = (__u16)(number)}
struct service_value {   /* Replaced whole. */
    __u32 vni;           /* As these three, repeats the key. */
    __u16 port;
    __u8 protocol;
    __u8 flags;          /* SERVICE_* */
    __u32 listener;      /* Number on this host: counters, sources. */
    __u32 pool;          /* Number: rows.  0: none. */
    __u32 n_rows;
    __u32 balancer;      /* First 32 bits of the load balancer's id: members of another one are never taken. */
    __u64 seed;          /* Of the hash: the same on all hosts. */
    __u32 limit;         /* Connections that begin on this host; 0: any number.  Under a listener's number: its timeout. */
    __u32 check;         /* Last four bytes of the address. */
    __u8 mac[6];         /* Of the address. */
    __u8 source_length;  /* 0..128; IPv4 adds 96. */
    __u8 pad;
};
_Static_assert(sizeof(struct service_key) == 24 && sizeof(struct service_value) == 48, "no implicit padding");

/* Clients that may call, by listener: as 'member_prefixes'. */
struct service_source_key {
    __u32 prefix_length; /* 32 + 0..128; IPv4 adds 96. */
    __u32 listener;
    __u8 address[16];
};
/* Value: the listener again, as one __u64; upper half RULE_IPV4 or RULE_IPV6. */

/* ---- rows: hash: which member a flow goes to ------------------------------------------------------------------------------------------ */

/* A row is chosen by a hash of the flow (balance/table.h).  Members by their numbers on this host; 0: nobody. */
struct service_row {
    __u16 owner, previous[3];
};
#define SERVICE_ROWS_PER_BLOCK 53
struct service_rows_key {
    __u32 pool;
    __u32 index;         /* SERVICE_ROWS_INDEX: blocks from 0 without holes; a row's number, divided. */
};
/* A pool that grows has other blocks before it is said to have so many rows, and the former ones go after: nobody reads rows of one table by the
 * number of another. */
#define SERVICE_ROWS_INDEX(n_rows, block) ((__u32)(n_rows) << 15 | (block))
#define SERVICE_ROWS_MAX 131071 /* Of a pool: 17 bits, and 15 of blocks. */
struct service_rows {    /* Replaced whole. */
    __u32 pool, index;   /* Repeat the key. */
    struct service_row rows[SERVICE_ROWS_PER_BLOCK];
};
_Static_assert(sizeof(struct service_rows) == 432, "in 512 bytes, with its key and what the kernel puts in front");

/* ---- members: hash by number ------------------------------------------------------------------------------------------------------------- */

#define SERVICE_MEMBERS_MAX 65536
#define SERVICE_POOLS_MAX 65536
#define SERVICE_LISTENERS_MAX 65536
#define SERVICE_LISTENERS_DEFAULT 16384 /* Of counters. */
/* By what hosts call a member between them: the first bits of its id. */
struct service_name {
    __u32 first;         /* 32 bits; */
    __u32 second;        /* and 8 more. */
};
/* Value of 'service_names': the number.  In the tunnel as a MAC: SERVICE_NAME_MAC, the 8 bits, the 32. */
#define SERVICE_NAME_MAC 0x02
#define SERVICE_MEMBER_UP (1u << 0)       /* Its connections go on; else they end. */
struct service_member {  /* Replaced whole. */
    __u32 number;        /* Repeats the key. */
    struct service_name name; /* A connection ends when the number is another's. */
    __u32 flags;         /* MEMBER_* */
    __u32 balancer;      /* As in struct service_value. */
    __u32 vip_vni;       /* Where the balancer's address is. */
    __u32 vni;           /* Of its port, as what follows. */
    __u32 output;        /* OUTPUT_LOCAL or OUTPUT_REMOTE; OUTPUT_NONE: no port of ours has the address. */
    __u8 address[16];
    __u8 mac[6];
    __u16 port;          /* Where it listens; as on the wire. */
    __u16 mtu;           /* Of its network. */
    __u16 pad;
};
_Static_assert(sizeof(struct service_member) == 60, "no implicit padding");

/* ---- connections, at the member's host: hash by the key of the member's entry ---------------------------------------------------------- */

struct balanced_value {
    __u8 client[16], vip[16]; /* As the client calls itself, and what it called. */
    __u16 client_port, vip_port;
    __u32 vni;           /* Of the VIP. */
    __u32 client_vni;    /* Of the client's port: addresses of several networks may be the same.  Of a client outside: the external network. */
    __u32 member;        /* Number. */
    struct service_name name; /* Of the member. */
    __u32 output;        /* Where the client is: OUTPUT_LOCAL or OUTPUT_REMOTE, */
    __u32 slot;          /* its port there, */
    __u8 client_mac[6];  /* and its MAC. */
    __u16 flags;
#define BALANCED_NAMED (1u << 0) /* It has a place in 'balanced_names', which goes with it. */
};
/* Of a client outside 'vip' may be a floating IP; 'output' is OUTPUT_ROUTER | the router port that it came by and its answers leave by, whose generation
 * is in 'flags'; and 'slot' is the listener's number, which counts it. */
#define BALANCED_GENERATION(generation) ((__u16)((generation) << 1))
_Static_assert(sizeof(struct balanced_value) == 72, "no implicit padding");

/* A connection whose client the member knows by another port than it has, or by the VIP: where its entry is. */
struct balanced_name {
    __u32 vni;           /* Of the VIP, */
    __u32 client_vni;    /* and of the client's port. */
    __u32 member;        /* Number. */
    __u16 client_port, vip_port;
    __u8 protocol;
    __u8 pad[3];
    __u8 client[16], vip[16];
};
_Static_assert(sizeof(struct balanced_name) == 52, "no implicit padding");
/* Value: struct flow_key. */

/* ---- counters: per-CPU array by listener --------------------------------------------------------------------------------------------------- */

struct service_counters { /* Of this host's clients. */
    __u64 n_connections;  /* That began. */
    __u64 n_refused;      /* That got no member. */
    __u64 to_packets, to_bytes; /* To members. */
    __u64 from_packets, from_bytes;
};
/* What is in use now; array by listener, and by member. */
struct service_use {
    __u64 n_connections; /* Changed atomically. */
};

#endif
