/* Connections and what goes with them: projects' shares, names outside, fragments, expiry.  A part of tables.h, which says how tables may change. */
#ifndef WEFT_DATAPLANE_TABLES_H
#include "weft/dataplane/tables.h" /* Which includes this one in its place. */
#elif !defined(WEFT_DATAPLANE_TABLES_CONNECTIONS_H)
#define WEFT_DATAPLANE_TABLES_CONNECTIONS_H

/* ---- projects: array by index: admission to the tables of connections and of learned MACs ------------------------------------------------------- */

struct project_record {
    __u32 n_half_open, n_established;     /* Written by the data plane, atomically. */
    __u32 max_half_open, max_established; /* Written by the agent. */
    __u32 n_learned;                      /* In the project's networks; counted down by the agent. */
    __u32 max_learned;                    /* Written by the agent. */
    __u32 n_not_learned;                  /* Frames whose MAC was refused for that limit. */
    __u32 port_half_open;                 /* Of max_half_open, what each of its ports may have whatever the others do; by the agent. */
};

/* ---- connections: array, and flow_heads: array, of chains --------------------------------------------------------------- */

/* A connection as the local workload sees it: one entry for both directions of a connection of one port.
 *
 * An entry lies in any place of the array.  Those whose keys have the same hash are a chain, which begins in flow_heads: a link is a place, plus 1
 * (bpf/connections.h).  So a frame of one of many connections waits for two lines of memory, one after the other, the head of its chain, of which sixteen
 * share a line, and its entry: the entry's lines are fetched at once.  (In a hash map of the kernel's it waited for three, and the second had nothing
 * of ours.)
 *
 * The first line has what finds the entry, and nearly all that a frame reads; the second what it writes; the third is for what is rare. */
#define FLOW_KEY_IPV6 (1u << 23)
struct flow_key {
    __u32 owner;           /* Port slot | FLOW_KEY_IPV6 | protocol << 24. */
    __u16 local_port, remote_port; /* As on the wire.  ICMP: identifier, and type of the request; 0 for others. */
    __u32 local, remote;   /* IPv4 addresses.  IPv6: the halves of a hash over both; the entry has the addresses. */
};
_Static_assert(sizeof(struct flow_key) == 16, "no implicit padding in a key");

/* TCP has all of them that a connection can be in; others are half open, established, dead. */
enum flow_state {
    FLOW_FREE,        /* No connection. */
    FLOW_HALF_OPEN,   /* Not acknowledged by both sides yet. */
    FLOW_ESTABLISHED,
    FLOW_CLOSING,     /* Both sides have sent a FIN (ports without policy: one has, or a RST). */
    FLOW_DEAD,        /* About to be taken out: as good as not there. */
    FLOW_HALF_CLOSED, /* One side has sent a FIN, and may still receive. */
    FLOW_TIME_WAIT,   /* Both FINs are acknowledged. */
    FLOW_RESET,       /* By a RST. */
    FLOW_CLAIMED,     /* No connection yet: somebody makes one of it. */
    FLOW_OUT,         /* No connection any more, and in no chain.  Free when nobody can still hold it. */
};

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
#define FLOW_UNCOUNTED (1u << 29)    /* of a load balancer's that is over: it counts under its listener and its member no more; */
#define FLOW_TAKEN (1u << 28)        /* of a dead one: one CPU takes it out, or makes another connection of it. */
#define FLOW_ACCOUNT_MASK 0xffffu
#define FLOW_SCALE_UNKNOWN 15        /* 14 is the largest shift. */
#define FLOW_TIME_SHIFT 20           /* Times are CLOCK_MONOTONIC_COARSE >> 20: about milliseconds, and wrap after 52 days. */
#define FLOW_LINK_GONE (1u << 31)    /* In 'next': the entry is out, though some link may still lead to it. */
struct flow_entry {
    struct flow_key key;
    union {
        struct {
            __u8 state;    /* enum flow_state */
            __u8 hops;     /* Routers on the way: what their TTL loses. */
            __u16 flags;   /* FLOW_*; bits of a known entry change atomically (flow_flags_change). */
        };
        __u32 word;        /* All three. */
    };
    __u32 stamp;           /* flow_stamp() of the port when 'output' was decided. */
    __u32 output;          /* Where the workload's frames go. */
    __u32 last_seen;       /* Of a dead entry: when it died; of one that is out, when that came. */
    __u8 remote_mac[6];    /* The workload's L2 destination that 'output' was found for.  Of a translated one that is the router's, also before the workload has answered. */
    __u16 output_generation; /* Of that port or host slot: its low bits. */
    __u8 next_mac[6];      /* Routed: the L2 destination that the workload's frames get (to or from a load balancer: which member, bpf/balanced.h); */
    __u16 router_port;     /* and where they leave the last router: its MAC is their source, its network theirs.  0: switched. */
    __u16 router_generation; /* Of 'router_port': its low bits. */
    __u16 pad;
    __u32 account;         /* Index of its project, | FLOW_COUNTED when that counts it as established, not half open; | FLOW_RECYCLED, FLOW_UNCOUNTED, FLOW_TAKEN. */
    __u32 generation;      /* Of the port slot. */
    __u32 next;            /* The next one of its chain. */
    /* Up to here in one cache line. */
    __u64 packets[2];      /* Sent by the workload, received. */
    __u64 bytes[2];
    __u32 sequence_end[2]; /* TCP: behind the highest sequence number that each side has sent. */
    __u16 window[2];       /* TCP: the largest window that each side announced, unscaled; [0] is the workload's. */
    __u8 scales;           /* TCP window scale (RFC 7323) of the workload's side, << 4 of the other; FLOW_SCALE_UNKNOWN until its SYN. */
    __u8 pad2[19];
    /* The second line ends here. */
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
            __u64 sender;  /* Who outside was found to be allowed to send it, at which stamp of the port: bpf/known.h. */
        };
    };
    __u8 pad3[32];
};
_Static_assert(sizeof(struct flow_entry) == 192 && __builtin_offsetof(struct flow_entry, packets) == 64 && __builtin_offsetof(struct flow_entry, local) == 128,
               "three cache lines");

/* Where chains begin: as many as there are entries, in pairs, because an array's elements are no smaller. */
struct flow_heads {
    __u32 head[2];
};

/* As the release before had an entry, in a hash map by its key: bpf/previous.h. */
#define FORMER_LAYOUT 2
struct former_entry {
    __u8 layout, state;
    __u16 flags;
    __u32 stamp, output, last_seen;
    __u8 remote_mac[6];
    __u16 output_generation;
    __u64 packets[2], bytes[2];
    __u32 generation, account;
    __u8 next_mac[6];
    __u16 router_port;
    __u8 hops, scales;
    __u16 window[2];
    __u16 router_generation;
    __u32 sequence_end[2];
    __u64 names[4];        /* The last union. */
};
_Static_assert(sizeof(struct former_entry) == 120 && __builtin_offsetof(struct former_entry, names) == 88, "as it was");

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

/* Places of 'connections': a power of two. */
#define FLOW_SLOTS_DEFAULT 262144
#define FLOW_SLOTS_MIN 4096
#define FLOW_SLOTS_MAX 4194304

/* Where a port's latest connections are, so that its oldest half-open ones can make room for new ones (bpf/half-open.h). */
#define HALF_OPEN_RING 1024
struct half_open {
    __u32 head;            /* Where the next one goes. */
    __u32 tail;            /* The oldest that may be given up. */
    __u32 gone;            /* The oldest of those that have been, and are not taken out yet. */
    __u32 pad;
    __u32 places[HALF_OPEN_RING]; /* Indexes of 'connections'. */
};
/* Expiry, the data plane's own business: one timer walks over 'connections' (bpf/expiry.h). */
#define SWEEP_VERSION 7           /* A program with another one takes the timer over. */
struct sweeper {
#ifdef __bpf__
    struct bpf_timer timer;
#else
    __u64 timer[2];
#endif
    __u32 version;         /* SWEEP_VERSION of the program whose timer runs; 0: none. */
    __u32 next;            /* Where the next entry looks for a place. */
    __u32 hand;            /* Where the sweeper goes on. */
    __u32 n_seen;          /* Connections that this round has met, or that have begun in it. */
};

/* What 'end_connection' is run with, by the agent (BPF_PROG_TEST_RUN): a frame that only it sees.  A connection ends in two steps, with FLOW_DEAD_TIME
 * between them: END_NOW lets nobody find it any more, END_REMOVE takes it out, if it is still dead, and frees its name outside.
 * Of the table of the release before: END_FORMER ends an entry there, with which this release goes on; RENEW_BY_FORMER does nothing unless this release has
 * an older entry of it, from before that other release came back. */
enum end_operation { END_NOW, END_REMOVE, END_FORMER, RENEW_BY_FORMER };
struct end_request {
    __u8 ethernet[16];     /* Zero. */
    struct flow_key key;
    __u32 operation;       /* enum end_operation.  The program returns 1 when it did that, else 0. */
};
_Static_assert(sizeof(struct end_request) == 36, "no implicit padding");
#define END_PAUSE_MS 20

#endif
