/* What load.c (opening) and maps.c (writing) share. */
#ifndef WEFT_DATAPLANE_LOAD_H
#define WEFT_DATAPLANE_LOAD_H

#include "weft/dataplane/maps.h"

struct bpf_object;
struct weft_bpf;

struct maps {
    struct weft_bpf *skeleton;
    struct bpf_object *object;  /* The skeleton's. */
    struct maps_sizes sizes;
    char path[520];             /* Where the pins are. */
    bool has_previous;          /* An earlier release's connections are there. */
    int hash_fds[N_DESIRED_TABLES]; /* Of tables that are hashes; borrowed from the object. */
    int counters_fd;
    int n_cpus;                 /* Possible ones: the size of per-CPU values. */
    uint8_t *ports, *hosts;     /* Mapped arrays of records. */
    struct project_record *projects;
    struct settings *settings;
    struct port_runtime *runtime;
    size_t ports_size, hosts_size, projects_size, settings_size, runtime_size; /* Of the mappings, in bytes. */
    uint64_t *port_changed_ms, *host_changed_ms;  /* By slot: when this agent last wrote the record; 0: never. */
    struct desired actual;
};

/* Fills 'actual' from the kernel.  Returns 0 or -ENOMEM. */
int maps_read_back(struct maps *maps);

#endif
