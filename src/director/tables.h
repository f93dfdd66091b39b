/* The contract between the director and its XDP program: every map, key and value, in one place.
 *
 * Included by the program (clang -target bpf), by its native build and by user space, so it uses only fixed-width types and explicit
 * padding; tests/unit/director checks that all agree on each size and offset.
 *
 *   keys          hash          struct lb_key -> struct lb_key_value           number of services
 *                               and each service's address -> LB_NONE         as many
 *   interfaces    hash          ifindex -> struct lb_interface                LB_INTERFACES
 *   services      array, mmap   service -> struct lb_service_record            number of services
 *   mark_places   LPM trie      struct lb_mark_key -> struct lb_mark_list      LB_MARK_PLACES
 *   mark_rules    array, mmap   position -> struct lb_mark_rule                what the lists have, and room for others
 *   rows          array, mmap   block -> struct lb_rows                        see LB_ROWS_*
 *   members       array, mmap   position -> struct lb_member                   number of servers, and room to move
 *   servers       array, mmap   server -> struct lb_server_record              number of servers
 *   server_use    per-CPU array server -> struct lb_server_use                 number of servers
 *   service_use   per-CPU array service -> struct lb_service_use               number of services
 *   server_load   array, mmap   server -> struct lb_server_load                number of servers
 *   service_load  array, mmap   service -> struct lb_service_load              number of services
 *   server_before array, mmap   server -> struct lb_counters                   number of servers: user space's own, what a place had counted
 *   service_before array, mmap  service -> struct lb_counters                  number of services    when its count began
 *   locals        array, mmap   position -> struct lb_local                    LB_LOCALS
 *   conn_slots    array, mmap   slot -> struct lb_conn                         LB_SLOTS unless configured
 *   conn_heads    array, mmap   half of a hash -> struct lb_heads              half of LB_CONNECTIONS unless configured
 *   sweeper       array         0 -> struct lb_sweeper                         1
 *   localities    LRU hash      struct lb_locality_key -> struct lb_locality  LB_LOCALITIES
 *   drops         per-CPU array 0 -> struct lb_drops                           1
 *   fragments     LRU hash      struct lb_fragment_key -> struct lb_fragment   LB_FRAGMENTS
 *   unresolved    LRU hash      struct lb_address -> __u32                    LB_UNRESOLVED
 *   settings      array, mmap   0 -> struct lb_settings                        1
 *
 * How a table may change under a running program.  A service and a server are double records: user space writes the copy that is not
 * active, then stores 'active' (one word, release); a reader takes 'active' once, and two changes of one record are at least
 * LB_GRACE_MS apart.  A hash's value may be another key's by the time it is read (Linux reuses elements at once since 6.1), so the record
 * that it leads to repeats the key and the reader compares.  Rows change one by one, each by one store: a new server's record is written
 * before rows name it, a server that left is cleared after.
 *
 * Addresses, MACs and L4 ports are as on the wire, all else in host order.  IPv4 addresses are ::ffff:a.b.c.d. */
#ifndef WEFT_DIRECTOR_TABLES_H
#define WEFT_DIRECTOR_TABLES_H

#ifdef __bpf__
#include <linux/bpf.h>
#else
#include <linux/types.h>
#endif

/* Another number when what is in a table means something else although it is laid out alike: then the tables of an earlier release are not
 * taken over. */
#define LB_LAYOUT 1
#define LB_GRACE_MS 10
#define LB_FRAGMENTS 16384
#define LB_NONE 0xffffffffu

enum lb_drop_reason {
    LB_DROP_NONE,
#define DROP_REASON(name, text) LB_DROP_##name,
#include "weft/director/drop-reasons.def"
#undef DROP_REASON
    N_LB_DROP_REASONS
};
#define LB_MAX_DROP_REASONS 32

/* ---- services ------------------------------------------------------------------------------------------------------------ */

struct lb_key {
    __u8 address[16]; /* Zero with a mark. */
    __u16 port;       /* Zero: every port. */
    __u8 protocol;
    __u8 ipv6;        /* With a mark: of which family. */
    __u32 mark;       /* Or zero. */
};
_Static_assert(sizeof(struct lb_key) == 24, "no holes: it is hashed");

struct lb_key_value {
    __u32 service;
};

/* A frame for another station, which an interface may see all the same, is not ours.  One that is not here takes them all. */
#define LB_INTERFACES 256
struct lb_interface {
    __u8 mac[6];
    __u8 pad[2];
};

/* Which packets get a mark: the rules that may match an address stand in their order in the list of its longest prefix, and the first that
 * matches counts.  So a list has all rules whose destination has that prefix in it. */
#define LB_MARK_PLACES 4096
struct lb_mark_key {
    __u32 length; /* In bits, of 128. */
    __u8 destination[16];
};
struct lb_mark_list {
    __u32 first, n; /* Positions in 'mark_rules'. */
};
struct lb_mark_rule {
    __u32 mark;
    __u32 ifindex; /* Where the packet came in; 0: anywhere. */
    __u8 source[16], source_mask[16];
    __u16 source_min, source_max, destination_min, destination_max; /* Ports, in host order. */
    __u8 protocol; /* 0: any that has ports. */
    __u8 ipv6;
    __u8 pad[6];
};
_Static_assert(sizeof(struct lb_mark_rule) == 56, "no holes, and arrays of the kernel have elements of eight bytes' multiples");
#define LB_MARK_RULES_MAX 1024 /* Of one list. */

enum lb_schedule {
    LB_SCHEDULE_NONE, /* No such service. */
    LB_SCHEDULE_HASH, /* By a row; what is hashed say LB_HASH_* flags.  Nothing is remembered, unless LB_TRACK. */
    LB_SCHEDULE_TURN, /* rr, wrr: rows in turn.  This and all that follow remember each connection. */
    LB_SCHEDULE_LC,   /* These look at all members. */
    LB_SCHEDULE_WLC,
    LB_SCHEDULE_SED,
    LB_SCHEDULE_NQ,
    LB_SCHEDULE_FO,
    LB_SCHEDULE_OVF,
    LB_SCHEDULE_LBLC, /* These keep what goes to a destination at its servers. */
    LB_SCHEDULE_LBLCR,
};

#define LB_HASH_SOURCE (1u << 0)
#define LB_HASH_SOURCE_PORT (1u << 1)
#define LB_HASH_DESTINATION (1u << 2)
#define LB_TRACK (1u << 3)      /* Connections are remembered although the schedule is a hash. */
#define LB_ONE_PACKET (1u << 4) /* Each packet is scheduled by itself. */
#define LB_PERSISTENT (1u << 5) /* A client goes where its template says; with LB_TRACK, or LB_ONE_PACKET. */

#define LB_CLAMP_MSS (1u << 7)  /* The MSS of a SYN that goes by tunnel is made to fit it. */
#define LB_FALLBACK (1u << 6)   /* Where the row's server is overloaded, the next row's gets it, else nobody. */

struct lb_service {
    struct lb_key key;
    __u32 generation;   /* Of the service in this place. */
    __u32 flags;        /* LB_HASH_*, LB_TRACK, LB_ONE_PACKET */
    __u8 schedule;      /* enum lb_schedule */
    __u8 pad[3];
    __u32 rows;         /* The first block in 'rows', */
    __u32 n_rows;       /* and how many rows; 0: no server has one. */
    __u32 members;      /* The first position in 'members', */
    __u32 n_members;    /* and how many; for those who look at all, at most LB_MEMBERS_MAX. */
    __u32 half_open_limit; /* TCP connections that were not heard of again after their SYN. */
    __u32 persistence_s;   /* How long a template lasts after the last connection that began by it, */
    __u32 fallback;        /* One more than the number of the server that gets what all others are too loaded for; 0: nobody does. */
    __u8 persistence_mask[16]; /* and which bits of an address tell one client from another. */
};
_Static_assert(sizeof(struct lb_service) == 80, "no holes");

struct lb_service_record {
    __u32 active; /* Which copy: 0 or 1. */
    __u32 pad;
    struct lb_service copy[2];
};

/* A row names its owners by their positions among the service's members. */
#define LB_ROWS_SHIFT 8
#define LB_ROWS_BLOCK (1u << LB_ROWS_SHIFT)
#define LB_PREVIOUS 3
struct lb_row {
    __u16 owner;
    __u16 previous[LB_PREVIOUS]; /* Who had it before, while that matters, the latest first; then LB_NOBODY. */
};
_Static_assert(sizeof(struct lb_row) == 8, "a row is one store, and one load");
#define LB_NOBODY 0xffff
#define LB_ROW_OF(owner) ((struct lb_row){(__u16)(owner), {LB_NOBODY, LB_NOBODY, LB_NOBODY}})
struct lb_rows {
    struct lb_row row[LB_ROWS_BLOCK];
};

struct lb_member {
    __u32 server;
    __u32 weight; /* For schedules that look at all; of a hash service the share of rows (LB_SERVER_NO_NEW). */
};
#define LB_MEMBERS_MAX 8192

/* ---- servers --------------------------------------------------------------------------------------------------------------- */

enum lb_method {
    LB_METHOD_NONE, /* No server is here. */
    LB_METHOD_DIRECT,
    LB_METHOD_IPIP,
    LB_METHOD_GUE,
    LB_METHOD_GRE,
    LB_METHOD_VXLAN,
    LB_METHOD_L3DSR,
    LB_METHOD_NAT,
    LB_METHOD_FULL_NAT,
};
#define LB_SERVER_CHECKSUM (1u << 0) /* GUE, VXLAN, GRE: with an outer checksum. */
#define LB_SERVER_REMOTE_CHECKSUM (1u << 1) /* GUE, with the one before: the server computes the inner one. */
#define LB_SERVER_SECOND_CHANCE (1u << 2) /* It takes packets with a chain of previous owners (bpf/chain.h), and hands them on. */
#define LB_SERVER_NO_NEW (1u << 3) /* Of a hash service: rows lead to it, and nothing new begins there. */

struct lb_server {
    __u8 address[16];
    __u8 source[16];    /* Of tunnels and chains: this host's address. */
    __u32 generation;   /* Of the server in this place. */
    __u32 service;
    __u32 vni;
    __u16 tunnel_port;  /* Destination of GUE and VXLAN. */
    __u16 port;
    __u8 method;        /* enum lb_method */
    __u8 dscp;          /* L3DSR. */
    __u8 flags;         /* LB_SERVER_* */
    __u8 overhead;      /* Bytes that the method puts in front of the IP packet, without the frame's own Ethernet header. */
    __u32 incarnation;  /* Another one when the place got another server; connections name it. */
};
_Static_assert(sizeof(struct lb_server) == 56, "no holes");

struct lb_server_record {
    __u32 active;
    __u32 pad;
    struct lb_server copy[2];
};

/* The inner destination MAC of VXLAN, which a server's vxlan device is given: there is nobody to ask for it.  The source differs in its
 * last byte. */
#define LB_VXLAN_MAC {0x02, 0x77, 0x65, 0x66, 0x74, 0x01}
#define LB_VXLAN_SOURCE_MAC {0x02, 0x77, 0x65, 0x66, 0x74, 0x02}

/* Each CPU's own: what it counted, and how it reaches the server, asked anew every LB_HOP_TICKS. */
struct lb_hop {
    __u32 asked;       /* lb_ticks() of the last question, */
    __u32 generation;  /* for the server's generation and active copy; 0: never asked. */
    __u32 ifindex;     /* 0: see 'reason'. */
    __u16 mtu;
    __u8 reason;       /* enum lb_drop_reason */
    __u8 pad;
    __u8 destination[6], source[6]; /* MACs. */
};
struct lb_counters {
    __u64 connections, in_packets, in_bytes, out_packets, out_bytes;
};
struct lb_server_use {
    struct lb_hop hop;
    __u32 pad;
    struct lb_counters counters;
};
_Static_assert(sizeof(struct lb_server_use) == 72, "no holes");

struct lb_service_use {
    struct lb_counters counters;
    __u64 refused; /* Connections that no server got. */
};

struct lb_server_load {
    __u32 active, inactive; /* Connections, as IPVS counts them, */
    __u32 persistent;       /* and templates. */
    __u32 is_overloaded;    /* It had 'upper' connections, and not been below 'lower' since. */
    __u32 upper, lower;     /* Zero: no threshold.  User space's, as the record is. */
};
struct lb_service_load {
    __u32 half_open;
    __u32 turn; /* Of the schedulers that go round. */
};

struct lb_drops {
    __u64 packets[LB_MAX_DROP_REASONS];
};
_Static_assert(N_LB_DROP_REASONS <= LB_MAX_DROP_REASONS, "each has a counter");

/* Full NAT: the host's own addresses of which connections to servers come.  A connection keeps the position of its address, so an address
 * that is configured no more keeps its place, without being given out. */
#define LB_LOCALS 1024
struct lb_local {
    __u8 address[16];
    __u16 given[2]; /* Of IPv4 and of IPv6, the positions that are given out: this place's of each list. */
    __u32 pad;
};
#define LB_LOCAL_PORT_MIN 1024
#define LB_LOCAL_PORTS (65536 - LB_LOCAL_PORT_MIN) /* Of an address, for each server. */
#define LB_LOCAL_TRIES 64 /* Ports that a new connection tries. */

/* ---- connections ---------------------------------------------------------------------------------------------------------- */

/* A table of our own, since a hash of the kernel takes 192 bytes for what fits into 72: slots, and chains of slots that begin in 'conn_heads' by a
 * keyed hash (hash.h).  An entry has a slot of its own from a claim (one compare-and-swap of its state) on; it is linked as the first of its chain by another
 * one, which fails if any other was linked since the chain was searched for its key, so a key is there once.  Only the sweeper, of which one runs, takes entries
 * out of chains; who is still reading one goes on to where it led, for it is not claimed again for LB_CONN_GRACE_S.
 *
 * Two entries for each connection that is translated: as the client sees it, and as the server does (its address in the place of the virtual one),
 * which leads to the first. */
#define LB_CONNECTIONS 524288 /* Entries, unless configured.  A power of two, */
#define LB_CONNECTIONS_MIN 1024
#define LB_CONNECTIONS_MAX 8388608

struct lb_conn_key {
    __u8 client[16], address[16];
    __u16 client_port, port;
    __u8 protocol;    /* Zero for a template of a service by mark. */
    __u8 of_server;   /* As the server sees it. */
    __u16 is_template; /* Not a connection: what holds a client to its server. */
} __attribute__((aligned(8)));
_Static_assert(sizeof(struct lb_conn_key) == 40, "no holes: it is hashed, and compared as words");

/* As IPVS names them, and what may follow.  A dead one is as good as none; it is taken out a moment later, when nobody can hold it.  What is not
 * alive, dead, a view or changing is nobody's entry.
 *
 * Who changes what an entry names (its server, service, ports) has it for itself meanwhile, as LB_CONN_CHANGING: all others leave it alone, and drop a packet
 * for it.  Nobody is to take it out of that: only programs of the kernel bring it there, which always come to their end. */
enum lb_conn_state {
    LB_CONN_NONE, LB_CONN_SYN_RECV, LB_CONN_ESTABLISHED, LB_CONN_FIN_WAIT, LB_CONN_CLOSE, LB_CONN_UDP, LB_CONN_TEMPLATE, LB_CONN_DEAD,
    LB_CONN_GONE,    /* About to be taken out of its chain, */
    LB_CONN_OUT,     /* and out of it, since 'last_seen'. */
    LB_CONN_CLAIMED, /* Not yet in a chain. */
    LB_CONN_VIEW,    /* The server's of a connection. */
    LB_CONN_CHANGING /* About to be there, or to begin anew. */
};

struct lb_conn {
    struct lb_conn_key key;
    union {
        struct {
            __u16 state; /* enum lb_conn_state */
            __u16 turn;  /* Another one whenever the entry names something else: what was read together with it is still so. */
        };
        __u32 word;      /* Both, which are changed at once. */
    };
    __u32 next;         /* One more than the slot of the next in the chain; 0: it is the last. */
    __u32 last_seen;    /* In units of 2^LB_TIME_SHIFT ns. */
    union {
        struct {
            __u32 server;
            __u32 incarnation;
            __u32 service;
            __u16 server_port;
            __u8 is_translated;
            __u8 is_proven;  /* Of a template: one of its connections got beyond its SYN. */
            union {
                struct {
                    __u16 local;      /* Full NAT: the position of the local address, */
                    __u16 local_port; /* and its port; else zero. */
                };
                __u32 held;  /* Of a template: when one of its connections was last seen to be there, as last_seen. */
            };
        };
        struct { /* Of a view. */
            __u32 forward;    /* The slot of its connection. */
            __u32 is_suspect; /* The sweeper met it without its connection. */
        };
    };
};
_Static_assert(sizeof(struct lb_conn) == 72, "no holes; with its head an entry is 76 bytes, with the slots to spare less than 86");

/* As many heads as there may be entries; arrays of the kernel have elements of eight bytes' multiples. */
struct lb_heads {
    __u32 head[2]; /* One more than the slot of the first in the chain; 0: there is none. */
};

#define LB_TIME_SHIFT 24 /* 17 ms. */
#define LB_CONN_GRACE_S 1

/* User space loads the program for as many entries as the file wants.  An eighth is to spare: who looks for a free slot tries some only, most of them
 * anywhere, and those that are out rest.  One timer walks over the slots, a stretch each tick. */
#define LB_SLOTS_FOR(n_connections) ((n_connections) + (n_connections) / 8)
#define LB_SLOTS LB_SLOTS_FOR(LB_CONNECTIONS)
struct lb_sweeper {
    __u64 timer[2]; /* struct bpf_timer */
    __u32 next;     /* Where a free slot is looked for. */
    __u32 hand;     /* Where the sweeper goes on. */
    __u32 is_running;
    __u32 n_connections;
};

/* A connection that another director has had is given to the program 'take_connection' in the place of a frame, as a struct lb_conn; its state of the table
 * means nothing. */

/* ---- localities -------------------------------------------------------------------------------------------------------------- */

/* lblc, lblcr: which servers have had a destination of a service. */
#define LB_LOCALITIES 16384      /* 208 bytes each, the kernel's own included: 3.4 MB. */
#define LB_LOCALITY_SERVERS 16   /* Of a destination, with lblcr; lblc has the first only. */
#define LB_LOCALITY_S (24 * 3600) /* IPVS's lblc_expiration and lblcr_expiration. */
struct lb_locality_key {
    __u8 destination[16];
    __u32 service;
    __u32 schedule; /* enum lb_schedule */
};
_Static_assert(sizeof(struct lb_locality_key) == 24, "no holes: it is hashed");
struct lb_locality {
    __u32 last_used, last_changed; /* In units of 2^LB_TIME_SHIFT ns. */
    __u64 servers[LB_LOCALITY_SERVERS]; /* Incarnation and, in the lower half, number; 0: nobody. */
};
_Static_assert(sizeof(struct lb_locality) == 136, "no holes");

/* ---- fragments --------------------------------------------------------------------------------------------------------------- */

struct lb_fragment_key {
    __u8 source[16], destination[16];
    __u32 id;
    __u8 protocol;
    __u8 pad[3];
};
struct lb_fragment { /* Of the first fragment. */
    __u16 source_port, destination_port;
    __u32 check; /* The id again. */
};

/* Clients whose next hop's MAC the host does not know: user space has it asked for. */
#define LB_UNRESOLVED 256
struct lb_address {
    __u8 bytes[16];
};

/* ---- settings ------------------------------------------------------------------------------------------------------------------ */

#define LB_ICMP_RATE 1000 /* ICMP errors a second and CPU. */
struct lb_settings {
    __u32 icmp_rate; /* 0: none. */
    __u32 has_translation; /* Some server's answers come back by the director. */
    __u32 tcp_s, tcp_fin_s, udp_s; /* Of silence that end a connection. */
    __u32 has_any_port; /* Some service is for every port. */
    __u32 has_marks;    /* There are rules that give marks. */
    __u32 n_locals[2];  /* Of IPv4 and of IPv6: how many local addresses are given out. */
    __u32 secret;       /* Which local port a connection tries first is nobody's to foresee (RFC 6056). */
    __u16 chain_port;   /* Where servers' agents take chains; as on the wire. */
    __u16 pad;
};
#define LB_SYN_RECV_S 60
#define LB_CLOSE_S 10
#define LB_HELD_S 60 /* So long a template is kept at least after one of its connections was seen: the sweeper's round is shorter. */
#define LB_HALF_OPEN_DEFAULT 65536

#endif
