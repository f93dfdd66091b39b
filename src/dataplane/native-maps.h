/* The data plane's maps as plain memory, for the native build of the pipeline: an array, a hash, a hash that makes room for what is new, and a
 * longest-prefix table with the semantics of the kernel's.  Single-threaded. */
#ifndef WEFT_DATAPLANE_NATIVE_MAPS_H
#define WEFT_DATAPLANE_NATIVE_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weft/base/hashmap.h"

/* Every map of tables.h except the ring buffers: MAP(name, kind). */
#define NATIVE_MAPS(MAP)                                                                                     \
    MAP(interfaces, HASH)                                                                                    \
    MAP(ports, ARRAY)                                                                                        \
    MAP(port_runtime, ARRAY)                                                                                 \
    MAP(port_counters, ARRAY)                                                                                \
    MAP(sources, PREFIX)                                                                                     \
    MAP(networks, HASH)                                                                                      \
    MAP(fdb, HASH)                                                                                           \
    MAP(learned, HASH)                                                                                       \
    MAP(movable, HASH)                                                                                       \
    MAP(neighbors, HASH)                                                                                     \
    MAP(flood, HASH)                                                                                         \
    MAP(hosts, ARRAY)                                                                                        \
    MAP(host_runtime, ARRAY)                                                                                 \
    MAP(peers, HASH)                                                                                         \
    MAP(projects, ARRAY)                                                                                     \
    MAP(connections, ARRAY)                                                                                  \
    MAP(flow_heads, ARRAY)                                                                                   \
    MAP(former_connections, HASH)                                                                            \
    MAP(half_open, ARRAY)                                                                                    \
    MAP(sweeper, ARRAY)                                                                                      \
    MAP(policies, ARRAY)                                                                                     \
    MAP(rules, HASH)                                                                                         \
    MAP(members, HASH)                                                                                       \
    MAP(firewall_rules, HASH)                                                                                \
    MAP(member_prefixes, PREFIX)                                                                             \
    MAP(router_port_runtime, ARRAY)                                                                          \
    MAP(router_ports, ARRAY)                                                                                 \
    MAP(routes, PREFIX)                                                                                      \
    MAP(next_hops, HASH)                                                                                     \
    MAP(floating, HASH)                                                                                      \
    MAP(external, HASH)                                                                                      \
    MAP(forwarded, PREFIX)                                                                                   \
    MAP(snat, HASH)                                                                                          \
    MAP(snat_owners, PREFIX)                                                                                 \
    MAP(gateways, HASH)                                                                                      \
    MAP(uplinks, HASH)                                                                                       \
    MAP(aliases, HASH)                                                                                       \
    MAP(portless, RECENT)                                                                                    \
    MAP(services, HASH)                                                                                      \
    MAP(service_sources, PREFIX)                                                                             \
    MAP(service_rows, HASH)                                                                                  \
    MAP(service_members, HASH)                                                                               \
    MAP(service_names, HASH)                                                                                 \
    MAP(balanced, HASH)                                                                                      \
    MAP(balanced_names, HASH)                                                                                \
    MAP(service_counters, ARRAY)                                                                             \
    MAP(listener_use, ARRAY)                                                                                 \
    MAP(member_use, ARRAY)                                                                                   \
    MAP(outside_budget, ARRAY)                                                                               \
    MAP(uplink_budget, RECENT)                                                                               \
    MAP(station_use, ARRAY)                                                                                  \
    MAP(fragments, ARRAY)                                                                                    \
    MAP(verdict_config, ARRAY)                                                                               \
    MAP(router_verdict_runtime, ARRAY)                                                                       \
    MAP(verdict_runtime, ARRAY)                                                                              \
    MAP(outside_fragments, ARRAY)                                                                            \
    MAP(metadata, ARRAY)                                                                                     \
    MAP(metadata_budget, ARRAY)                                                                              \
    MAP(probe_targets, HASH)                                                                                 \
    MAP(probes, RECENT)                                                                                      \
    MAP(settings, ARRAY)

enum native_map_name {
#define NATIVE_MAP_ENUM(name, kind) NATIVE_MAP_##name,
    NATIVE_MAPS(NATIVE_MAP_ENUM)
#undef NATIVE_MAP_ENUM
    N_NATIVE_MAPS
};

enum native_map_kind { NATIVE_HASH, NATIVE_ARRAY, NATIVE_PREFIX, NATIVE_RECENT }; /* RECENT: BPF_MAP_TYPE_LRU_HASH. */

struct native_map {
    enum native_map_kind kind;
    size_t key_size, value_size;
    uint32_t n_max;
    uint8_t *array;         /* Of an ARRAY: n_max values, zeroed. */
    struct hashmap entries; /* Of the others. */
};

/* Returns 0 or -ENOMEM. */
int native_map_init(struct native_map *map, enum native_map_kind kind, size_t key_size, size_t value_size, uint32_t n_max);
void native_map_clear(struct native_map *map);   /* Back to empty (arrays: zero). */
void native_map_destroy(struct native_map *map);

/* The value in place, or NULL.  Values keep their address until deleted.  A PREFIX key is a __u32 prefix length and bytes in
 * network order; lookup finds the longest prefix that covers the key. */
void *native_map_lookup(const struct native_map *map, const void *key);

/* Returns 0, -EEXIST ('must_be_new' and it is there), -E2BIG (full, or beyond an array), -ENOMEM.  A RECENT that is full loses some entry
 * instead: the kernel too does not promise which. */
int native_map_update(struct native_map *map, const void *key, const void *value, bool must_be_new);
int native_map_delete(struct native_map *map, const void *key); /* 0, -ENOENT, or -EINVAL for an array. */

/* Calls 'visit' for each entry of all but an ARRAY; it may delete the visited one. */
void native_map_visit(struct native_map *map, void (*visit)(void *key, void *value, void *context), void *context);

/* What else a pipeline has of the kernel's: ring buffers, and what the timer calls. */
enum native_ring { NATIVE_RING_punt, NATIVE_RING_verdicts };
struct sweeper;
typedef int (*native_timer_callback)(void *map, uint32_t *key, struct sweeper *record);

#endif
