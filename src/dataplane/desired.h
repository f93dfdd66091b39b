/* What the tables of one host should hold: the compiler's output and the loader's input.
 *
 * Each table is sorted rows (base/rows.h) of a key and a value of tables.h.  Plain memory: comparable, printable,
 * testable. */
#ifndef WEFT_DATAPLANE_DESIRED_H
#define WEFT_DATAPLANE_DESIRED_H

#include <stdbool.h>

#include "weft/base/rows.h"
#include "weft/dataplane/tables.h"

/* Key and value of each, and what kind of map it is: a hash, prefixes (longest match), or an array that is mapped into memory.  Rows are written
 * in this order, and what is compared first is here first (maps-apply.c). */
#define DESIRED_TABLES(X)                                                                                    \
    X(INTERFACES, interfaces, __u32, __u32, HASH)                    /* ifindex -> port slot */             \
    X(SOURCES, sources, struct source_key, struct source_value, PREFIXES)                                    \
    X(NETWORKS, networks, __u32, struct network_value, HASH)         /* by VNI */                           \
    X(SERVICE_MEMBERS, service_members, __u32, struct service_member, HASH)  /* by number */                 \
    X(PROBE_TARGETS, probe_targets, __u32, struct probe_target, HASH)        /* by the member's number */        \
    X(SERVICE_NAMES, service_names, struct service_name, __u32, HASH)                                        \
    X(SERVICE_ROWS, service_rows, struct service_rows_key, struct service_rows, HASH)                        \
    X(SERVICE_SOURCES, service_sources, struct service_source_key, __u64, PREFIXES)                          \
    X(SERVICES, services, struct service_key, struct service_value, HASH)                                    \
    X(FDB, fdb, struct fdb_key, struct output_value, HASH)                                                   \
    X(MOVABLE, movable, struct movable_key, struct output_value, HASH)                                       \
    X(NEIGHBORS, neighbors, struct neighbor_key, struct neighbor_value, HASH)                                \
    X(FLOOD, flood, struct flood_key, struct output_value, HASH)                                             \
    X(PEERS, peers, struct peer_key, struct peer_value, HASH)                                                \
    X(POLICIES, policies, __u32, struct port_policy, ARRAY)          /* by port slot */                     \
    X(RULES, rules, struct rules_key, struct rules_block, HASH)                                              \
    X(MEMBERS, members, struct member_key, __u64, HASH)                                                      \
    X(MEMBER_PREFIXES, member_prefixes, struct member_prefix_key, __u64, PREFIXES)                           \
    X(NEXT_HOPS, next_hops, struct next_hop_key, struct next_hop_value, HASH)                                \
    X(ROUTES, routes, struct route_key, struct route_value, PREFIXES)                                        \
    X(FLOATING, floating, struct floating_key, struct floating_value, HASH)                                  \
    X(SNAT, snat, __u32, struct snat_config, HASH)                   /* by the gateway's router port */     \
    X(SNAT_OWNERS, snat_owners, struct snat_owner_key, struct output_value, PREFIXES)                        \
    X(FORWARDINGS, forwarded, struct forwarding_key, struct external_value, PREFIXES)                        \
    X(EXTERNAL, external, struct external_key, struct external_value, HASH)                                  \
    X(UPLINKS, uplinks, struct uplink_key, struct uplink_value, HASH)                                        \
    X(GATEWAYS, gateways, struct flood_key, struct output_value, HASH)                                       \
    X(ROUTER_PORTS, router_ports, __u32, struct router_port_config, ARRAY) /* by number */                   \
    X(FIREWALL_RULES, firewall_rules, struct rules_key, struct firewall_block, HASH)                         \
    X(PORTS, ports, __u32, struct port_config, ARRAY)                /* by port slot */                     \
    X(HOSTS, hosts, __u32, struct host_config, ARRAY)                /* by host slot */                     \
    X(PROJECTS, projects, __u32, struct project_limits, ARRAY)       /* by project index */

struct peer_key {
    __u8 address[16];
};

struct project_limits {
    __u32 max_half_open, max_established, max_learned, port_half_open;
};

enum desired_table {
#define X(id, name, key, value, kind) TABLE_##id,
    DESIRED_TABLES(X)
#undef X
        N_DESIRED_TABLES
};

/* Series of numbers that tables name things by (agent/local.h), which projects share as they do tables. */
#define NUMBER_SPACES(X) \
    X(GROUPS, group_numbers) \
    X(ROUTERS, router_numbers) \
    X(ROUTER_PORTS, router_port_numbers) /* Load balancers' addresses on external networks too. */ \
    X(LISTENERS, listener_numbers) \
    X(POOLS, pool_numbers) \
    X(MEMBERS, member_numbers)

enum number_space {
#define X(id, name) NUMBERS_##id,
    NUMBER_SPACES(X)
#undef X
        N_NUMBER_SPACES
};

/* A project whose rows of a table do not all find room (compiler/shares.h): what is left out is not in the table. */
#define SHORTAGE_OF_NUMBERS N_DESIRED_TABLES
struct shortage_key {
    uint32_t table;      /* enum desired_table, or SHORTAGE_OF_NUMBERS + enum number_space: then rows are numbers. */
    char project_id[64];
};
struct shortage {
    uint32_t share, n_wanted; /* Rows that the project may have, and would have. */
    uint32_t n_left_out; /* Objects, rule sets, members of groups. */
};

/* An object's id. */
struct left_out_key {
    char id[40];
};

struct desired {
    struct rows tables[N_DESIRED_TABLES];
    struct rows shortages; /* Of the compiler's output: shortage_key -> shortage; */
    struct rows left_out;  /* and which objects are not there as a whole: left_out_key -> __u32, the table, as in shortage_key. */
};

static inline void desired_init(struct desired *desired)
{
#define X(id, name, key, value, kind) rows_init(&desired->tables[TABLE_##id], sizeof(key), sizeof(value));
    DESIRED_TABLES(X)
#undef X
    rows_init(&desired->shortages, sizeof(struct shortage_key), sizeof(struct shortage));
    rows_init(&desired->left_out, sizeof(struct left_out_key), sizeof(uint32_t));
}

static inline void desired_clear(struct desired *desired)
{
    for (int i = 0; i < N_DESIRED_TABLES; i++)
        rows_clear(&desired->tables[i]);
    rows_clear(&desired->shortages);
    rows_clear(&desired->left_out);
}

static inline void desired_reset(struct desired *desired) /* As rows_reset(). */
{
    for (int i = 0; i < N_DESIRED_TABLES; i++)
        rows_reset(&desired->tables[i]);
    rows_reset(&desired->shortages);
    rows_reset(&desired->left_out);
}

/* Of tables that are compiled again and again: rows_remember().  Returns 0 or -ENOMEM. */
static inline int desired_remember(struct desired *desired)
{
    int error = 0;

    for (int i = 0; i < N_DESIRED_TABLES && error == 0; i++)
        error = rows_remember(&desired->tables[i]);
    return error;
}

static inline const char *desired_table_name(enum desired_table table)
{
    static const char *const names[] = {
#define X(id, name, key, value, kind) #name,
        DESIRED_TABLES(X)
#undef X
    };
    return names[table];
}

static inline const char *shortage_table_name(uint32_t table)
{
    static const char *const names[] = {
#define X(id, name) #name,
        NUMBER_SPACES(X)
#undef X
    };
    return table < SHORTAGE_OF_NUMBERS ? desired_table_name((enum desired_table)table) : names[table - SHORTAGE_OF_NUMBERS];
}

static inline int left_out_add(struct rows *left_out, const char *id, uint32_t table)
{
    struct left_out_key key = {{0}};

    for (size_t i = 0; i < sizeof(key.id) - 1 && id[i]; i++)
        key.id[i] = id[i];
    return rows_add(left_out, &key, &table);
}

static inline bool desired_table_is_array(enum desired_table table)
{
    enum { HASH, PREFIXES, ARRAY };
    static const uint8_t kinds[] = {
#define X(id, name, key, value, kind) kind,
        DESIRED_TABLES(X)
#undef X
    };
    return kinds[table] == ARRAY;
}

#endif
