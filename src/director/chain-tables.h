/* The contract between the second chance's programs on a physical server and user space; as tables.h is the director's.
 *
 *   chain_peers      LPM trie       struct lb_mark_key -> __u32, CHAIN_PEER_*     CHAIN_PEERS
 *   chain_addresses  hash           address -> __u32, CHAIN_ADDRESS_*             CHAIN_ADDRESSES
 *   chain_sockets    hash           struct chain_port -> __u32                    CHAIN_SOCKETS; the programs' own
 *   chain_budgets    per-CPU array  0 -> when the next may be handed on           1; the programs' own
 *   chain_settings   array          0 -> struct chain_settings                    1
 *   chain_mss        array          0 -> struct chain_mss                         1
 *   chain_counters   per-CPU array  0 -> struct chain_counters                    1
 *
 * Addresses and ports are as on the wire; IPv4 addresses are ::ffff:a.b.c.d. */
#ifndef WEFT_DIRECTOR_CHAIN_TABLES_H
#define WEFT_DIRECTOR_CHAIN_TABLES_H

#include "weft/director/tables.h"

/* What became of a packet that came with a chain, or without one from a director. */
enum chain_outcome {
#define CHAIN_OUTCOME(name, is_drop, text) CHAIN_##name,
#include "weft/director/chain-outcomes.def"
#undef CHAIN_OUTCOME
    N_CHAIN_OUTCOMES
};
#define CHAIN_MAX_OUTCOMES 32
_Static_assert(N_CHAIN_OUTCOMES <= CHAIN_MAX_OUTCOMES, "each has a counter");

#define CHAIN_PEERS 4096
#define CHAIN_PEER_SENDS (1u << 0) /* A director, or a fellow server: its packets are taken. */
#define CHAIN_PEER_TAKES (1u << 1) /* A fellow server: it is handed packets. */

#define CHAIN_ADDRESSES 16384 /* 8192 of the host's, and virtual ones of a file and the one before, which are there together for a moment. */
#define CHAIN_ADDRESS_VIRTUAL (1u << 0) /* What clients send to. */
#define CHAIN_ADDRESS_OWN (1u << 1)     /* The host's. */

/* Where this host was seen to have a socket, be it a listener. */
struct chain_port {
    __u8 address[16];
    __u16 port;
    __u16 pad[3];
};
_Static_assert(sizeof(struct chain_port) == 24, "a key has no holes");
#define CHAIN_SOCKETS 16384

struct chain_settings {
    __u16 port;
    __u8 mark[6]; /* The source MAC by which pass_on knows what second_chance closed: a number that nobody outside of the host can know. */
    __u64 hand_on_ns; /* A CPU hands one on in so many nanoseconds, in the mean. */
};
#define CHAIN_BURST_NS 100000000ull /* What it did not hand on in that time it may at once. */

/* The most that answers of each family may announce; 0: what they like.  As on the wire. */
struct chain_mss {
    __u16 ipv4, ipv6;
};

struct chain_counters {
    __u64 packets[CHAIN_MAX_OUTCOMES];
};

#endif
