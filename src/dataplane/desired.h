/* What the tables of one host should hold: the compiler's output and the loader's input.
 *
 * Each table is sorted rows (base/rows.h) of a key and a value of tables.h.  Plain memory: comparable, printable,
 * testable. */
#ifndef WEFT_DATAPLANE_DESIRED_H
#define WEFT_DATAPLANE_DESIRED_H

#include "weft/base/rows.h"
#include "weft/dataplane/tables.h"

/* Key and value of each. */
#define DESIRED_TABLES(X)                                                                                    \
    X(INTERFACES, interfaces, __u32, __u32)                          /* ifindex -> port slot */             \
    X(SOURCES, sources, struct source_key, struct source_value)                                              \
    X(NETWORKS, networks, __u32, struct network_value)               /* by VNI */                           \
    X(FDB, fdb, struct fdb_key, struct output_value)                                                         \
    X(MOVABLE, movable, struct movable_key, struct output_value)                                             \
    X(NEIGHBORS, neighbors, struct neighbor_key, struct neighbor_value)                                      \
    X(FLOOD, flood, struct flood_key, struct output_value)                                                   \
    X(PEERS, peers, struct peer_key, struct peer_value)                                                      \
    X(PORTS, ports, __u32, struct port_config)                       /* by port slot */                     \
    X(HOSTS, hosts, __u32, struct host_config)                       /* by host slot */                     \
    X(PROJECTS, projects, __u32, struct project_limits)              /* by project index */

struct peer_key {
    __u8 address[16];
};

struct project_limits {
    __u32 max_half_open, max_established, max_learned;
};

enum desired_table {
#define X(id, name, key, value) TABLE_##id,
    DESIRED_TABLES(X)
#undef X
        N_DESIRED_TABLES
};

struct desired {
    struct rows tables[N_DESIRED_TABLES];
};

static inline void desired_init(struct desired *desired)
{
#define X(id, name, key, value) rows_init(&desired->tables[TABLE_##id], sizeof(key), sizeof(value));
    DESIRED_TABLES(X)
#undef X
}

static inline void desired_clear(struct desired *desired)
{
    for (int i = 0; i < N_DESIRED_TABLES; i++)
        rows_clear(&desired->tables[i]);
}

static inline const char *desired_table_name(enum desired_table table)
{
    static const char *const names[] = {
#define X(id, name, key, value) #name,
        DESIRED_TABLES(X)
#undef X
    };
    return names[table];
}

#endif
