/* What the parts of maps.h share: load.c (opening), maps.c (reading), maps-apply.c (writing), learned.c. */
#ifndef WEFT_DATAPLANE_LOAD_H
#define WEFT_DATAPLANE_LOAD_H

#include "weft/dataplane/maps.h"
#include "weft/dataplane/records.h"

struct bpf_object;
struct weft_bpf;

/* A set of rules, in the table of security groups' or of firewalls'. */
struct set_key {
    __u32 table;         /* enum desired_table */
    __u32 set;
};

struct maps {
    struct weft_bpf *skeleton;
    struct bpf_object *object;  /* The skeleton's. */
    struct maps_sizes sizes;
    char path[520];             /* Where the pins are. */
    int hash_fds[N_DESIRED_TABLES]; /* Of tables that are no arrays; borrowed from the object. */
    struct records records[N_DESIRED_TABLES]; /* Of those that are. */
    int counters_fd;
    bool has_former;            /* There are connections of the release before, */
    bool has_own_of_before;     /* and a table of this one's, from an earlier start. */
    int n_cpus;                 /* Possible ones: the size of per-CPU values. */
    struct settings *settings;  /* Mapped, as the next. */
    const struct flow_entry *connections;
    struct port_runtime *runtime;
    struct verdict_config *verdict_config;
    struct verdict_runtime *verdict_runtime, *router_verdict_runtime;
    size_t settings_size, connections_size, runtime_size, verdict_config_size, verdict_runtime_size, router_verdict_runtime_size; /* Of the mappings, in bytes. */
    uint64_t pools_changed_ms[SERVICE_POOLS_MAX]; /* By the number of a pool: when a service last ceased to name its rows. */
    struct rows unnamed;        /* struct set_key -> __u64: when a port, or a router's, last ceased to name the set; of what is more than RECORD_GRACE_MS ago some is left out. */
    struct desired actual;
};

/* How many entries the map has room for. */
uint32_t maps_size(const struct maps *maps, const char *name);

/* Maps an array into memory.  Returns 0 or an error that '*error' explains. */
int maps_map_array(const struct maps *maps, const char *name, size_t value_size, void *ret_memory, size_t *ret_size, struct error *error);

/* Fills 'actual' from the kernel.  Returns 0 or -ENOMEM. */
int maps_read_back(struct maps *maps);

/* The map of the connections of the release before: libbpf calls it by the name that its pin has, which is that of another one here. */
int maps_former_connections(const struct maps *maps);

/* Of the connections of the release before: those that this one has from before that came back are brought up to date; all go on here, and their entries
 * there are removed. */
void maps_renew_by_former(const struct maps *maps);
int64_t maps_end_former(const struct maps *maps); /* How many; or -errno. */

/* All of a map with keys, sorted.  Returns 0 or -ENOMEM. */
int maps_read_hash(int fd, struct rows *rows);

#endif
