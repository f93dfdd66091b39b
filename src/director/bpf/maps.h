// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The maps of tables.h, and reading their records the way tables.h asks for.  User space sets the sizes of what grows with the
 * configuration before it loads the program. */
#ifndef WEFT_DIRECTOR_BPF_MAPS_H
#define WEFT_DIRECTOR_BPF_MAPS_H

#include "weft/director/bpf/world.h"

/* Each CPU's own: what may still be said this second. */
struct icmp_budget {
    __u64 second;
    __u32 left, left_too_big; /* Who makes the others used up does not keep path MTU discovery from working. */
};

/* Set before loading, as the sizes of the two maps. */
#ifdef __bpf__
const volatile __u32 lb_n_slots = LB_SLOTS;
const volatile __u32 lb_n_heads = LB_CONNECTIONS;
#else
#define lb_n_slots NATIVE_LB_SLOTS
#define lb_n_heads NATIVE_LB_CONNECTIONS
#endif

#ifdef __bpf__
#define TABLE_ARRAY(name, map_type, flags, value_type)                                                       \
    struct {                                                                                                 \
        __uint(type, map_type);                                                                              \
        __uint(map_flags, flags);                                                                            \
        __uint(max_entries, 1);                                                                              \
        __type(key, __u32);                                                                                  \
        __type(value, value_type);                                                                           \
    } name SEC(".maps")

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1024);
    __type(key, struct lb_key);
    __type(value, struct lb_key_value);
} keys SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, LB_INTERFACES);
    __type(key, __u32);
    __type(value, struct lb_interface);
} interfaces SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, LB_MARK_PLACES);
    __type(key, struct lb_mark_key);
    __type(value, struct lb_mark_list);
} mark_places SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, LB_UNRESOLVED);
    __type(key, struct lb_address);
    __type(value, __u32);
} unresolved SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, LB_FRAGMENTS);
    __type(key, struct lb_fragment_key);
    __type(value, struct lb_fragment);
} fragments SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, LB_LOCALITIES);
    __type(key, struct lb_locality_key);
    __type(value, struct lb_locality);
} localities SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, LB_SLOTS);
    __type(key, __u32);
    __type(value, struct lb_conn);
} conn_slots SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, LB_CONNECTIONS / 2);
    __type(key, __u32);
    __type(value, struct lb_heads);
} conn_heads SEC(".maps");
struct sweeper_record { /* As struct lb_sweeper. */
    struct bpf_timer timer;
    __u32 next, hand, is_running, n_connections;
};
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct sweeper_record);
} sweeper SEC(".maps");
_Static_assert(sizeof(struct sweeper_record) == sizeof(struct lb_sweeper), "as tables.h says");
TABLE_ARRAY(services, BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, struct lb_service_record);
TABLE_ARRAY(rows, BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, struct lb_rows);
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, LB_LOCALS);
    __type(key, __u32);
    __type(value, struct lb_local);
} locals SEC(".maps");
TABLE_ARRAY(mark_rules, BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, struct lb_mark_rule);
TABLE_ARRAY(members, BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, struct lb_member);
TABLE_ARRAY(servers, BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, struct lb_server_record);
TABLE_ARRAY(server_load, BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, struct lb_server_load);
TABLE_ARRAY(service_load, BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, struct lb_service_load);
TABLE_ARRAY(server_before, BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, struct lb_counters);
TABLE_ARRAY(service_before, BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, struct lb_counters);
TABLE_ARRAY(settings, BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, struct lb_settings);
TABLE_ARRAY(server_use, BPF_MAP_TYPE_PERCPU_ARRAY, 0, struct lb_server_use);
TABLE_ARRAY(service_use, BPF_MAP_TYPE_PERCPU_ARRAY, 0, struct lb_service_use);
TABLE_ARRAY(drops, BPF_MAP_TYPE_PERCPU_ARRAY, 0, struct lb_drops);
TABLE_ARRAY(icmp_budgets, BPF_MAP_TYPE_PERCPU_ARRAY, 0, struct icmp_budget);
#endif

static __always_inline const struct lb_service *service_get(__u32 number)
{
    const struct lb_service_record *record = map_lookup(services, &number);

    return record ? &record->copy[*(volatile const __u32 *)&record->active & 1] : NULL;
}

static __always_inline const struct lb_server *server_get(__u32 number)
{
    const struct lb_server_record *record = map_lookup(servers, &number);

    return record ? &record->copy[*(volatile const __u32 *)&record->active & 1] : NULL;
}

#endif
