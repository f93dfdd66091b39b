/* The director's program over memory, for tests: the very text of bpf/, compiled natively.  Single-threaded, but for native_director_cpu(). */
#ifndef WEFT_DIRECTOR_NATIVE_H
#define WEFT_DIRECTOR_NATIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weft/base/cleanup.h"
#include "weft/dataplane/native-maps.h"
#include "weft/director/chain-tables.h"
#include "weft/director/tables.h"

/* Every map of tables.h: MAP(name, kind, key type, value type). */
#define NATIVE_LB_MAPS(MAP)                                                                                  \
    MAP(keys, HASH, struct lb_key, struct lb_key_value)                                                      \
    MAP(mark_places, PREFIX, struct lb_mark_key, struct lb_mark_list)                                        \
    MAP(locals, ARRAY, __u32, struct lb_local)                                                               \
    MAP(mark_rules, ARRAY, __u32, struct lb_mark_rule)                                                       \
    MAP(interfaces, HASH, __u32, struct lb_interface)                                                        \
    MAP(services, ARRAY, __u32, struct lb_service_record)                                                    \
    MAP(rows, ARRAY, __u32, struct lb_rows)                                                                  \
    MAP(members, ARRAY, __u32, struct lb_member)                                                             \
    MAP(servers, ARRAY, __u32, struct lb_server_record)                                                      \
    MAP(server_use, ARRAY, __u32, struct lb_server_use)                                                      \
    MAP(service_use, ARRAY, __u32, struct lb_service_use)                                                    \
    MAP(server_load, ARRAY, __u32, struct lb_server_load)                                                    \
    MAP(service_load, ARRAY, __u32, struct lb_service_load)                                                  \
    MAP(drops, ARRAY, __u32, struct lb_drops)                                                                \
    MAP(fragments, RECENT, struct lb_fragment_key, struct lb_fragment)                                       \
    MAP(unresolved, RECENT, struct lb_address, __u32)                                                        \
    MAP(localities, RECENT, struct lb_locality_key, struct lb_locality)                                      \
    MAP(settings, ARRAY, __u32, struct lb_settings)                                                          \
    MAP(conn_slots, ARRAY, __u32, struct lb_conn)                                                            \
    MAP(conn_heads, ARRAY, __u32, struct lb_heads)                                                           \
    MAP(sweeper, ARRAY, __u32, struct lb_sweeper)                                                            \
    MAP(icmp_budgets, ARRAY, __u32, struct native_icmp_budget)                                               \
    MAP(chain_peers, PREFIX, struct lb_mark_key, __u32)                                                      \
    MAP(chain_addresses, HASH, struct lb_address, __u32)                                                     \
    MAP(chain_sockets, HASH, struct chain_port, __u32)                                                       \
    MAP(chain_budgets, ARRAY, __u32, __u64)                                                                  \
    MAP(chain_settings, ARRAY, __u32, struct chain_settings)                                                 \
    MAP(chain_mss, ARRAY, __u32, struct chain_mss)                                                           \
    MAP(chain_counters, ARRAY, __u32, struct chain_counters)                                                 \
    MAP(chain_next, ARRAY, __u32, struct lb_server)

/* Fewer than the kernel's have, since tests walk over all of them. */
#define NATIVE_LB_CONNECTIONS 131072
#define NATIVE_LB_SLOTS LB_SLOTS_FOR(NATIVE_LB_CONNECTIONS)
#define NATIVE_SWEEPS (NATIVE_LB_SLOTS / 2048) /* Of native_director_sweep: a round. */

struct native_icmp_budget { /* bpf/maps.h, struct icmp_budget. */
    __u64 second;
    __u32 left, left_too_big;
};

enum native_lb_map {
#define NATIVE_LB_ENUM(name, kind, key, value) NATIVE_LB_##name,
    NATIVE_LB_MAPS(NATIVE_LB_ENUM)
#undef NATIVE_LB_ENUM
    N_NATIVE_LB_MAPS
};

/* What the host's routing says of one address. */
struct native_route {
    uint8_t address[16];
    int answer;       /* BPF_FIB_LKUP_RET_* */
    bool via_router;
    uint32_t ifindex;
    uint16_t mtu;
    uint8_t destination[6], source[6]; /* MACs. */
};
#define NATIVE_ROUTES_MAX 64

struct native_director;

/* With room for 'n' services, servers and so on.  NULL without memory. */
struct native_director *native_director_new(uint32_t n);
void native_director_free(struct native_director *world);
DEFINE_CLEANUP(struct native_director *, native_director_free);

/* Another CPU of the same director, for one more thread: it has the same maps and time.  What is no array must not change while there are several, and
 * 'world' outlives it.  With a 'seed' other than 0 it stumbles: before some looks into a map it lets others go first, so that what only nanoseconds keep apart
 * meets.  NULL without memory. */
struct native_director *native_director_cpu(struct native_director *world, uint64_t seed);
unsigned native_director_changes_met(const struct native_director *cpu); /* How often it met an entry that is changing (tables.h) by another one. */

struct native_map *native_director_map(struct native_director *world, enum native_lb_map map);
void native_director_route(struct native_director *world, const struct native_route *route); /* Another one for its address. */
void native_director_advance(struct native_director *world, uint64_t ns);
uint64_t native_director_now(const struct native_director *world); /* In nanoseconds. */

void native_director_sweep(struct native_director *world); /* One tick of the timer, if it was ever started. */

struct native_verdict {
    int action;              /* XDP_* */
    uint32_t redirected_to;  /* XDP_REDIRECT: an ifindex. */
    const uint8_t *frame;    /* As it is now; valid until the next run. */
    size_t size;
};
struct native_verdict native_director_run(struct native_director *world, const void *frame, size_t size, uint32_t ifindex);

/* The second chance's programs of a physical server (bpf/server.bpf.c), one after the other, over the maps chain_*: XDP_PASS is to the host's stack,
 * XDP_REDIRECT sent on. */
struct native_verdict native_server_run(struct native_director *world, const void *frame, size_t size, uint32_t ifindex);

/* What leaves there by lower_mss. */
struct native_verdict native_server_answer(struct native_director *world, const void *frame, size_t size);

/* A socket of TCP at that server.  A listener has no client, and takes acknowledgments of SYN cookies or not. */
struct native_socket {
    uint8_t client[16], address[16];
    uint16_t client_port, port; /* As on the wire. */
    uint32_t state;             /* BPF_TCP_* */
    bool takes_cookies;
};
#define NATIVE_SOCKETS_MAX 8
void native_server_socket(struct native_director *world, const struct native_socket *socket); /* One more. */
void native_server_close(struct native_director *world); /* None any more. */

/* As lb_take_connection (load.h): is it taken? */
bool native_director_take(struct native_director *world, const struct lb_conn *told);

/* The entry of that key, dead ones too, or NULL. */
struct lb_conn *native_director_find(struct native_director *world, const struct lb_conn_key *key);
/* Puts such an entry there.  False: there is one of its key, or no room. */
bool native_director_put(struct native_director *world, const struct lb_conn *conn);

const char *lb_drop_text(enum lb_drop_reason reason); /* The sentence of drop-reasons.def. */

#endif
