/* From the objects that concern this host to what its tables should hold.  Pure: the same input gives the same bytes.
 *
 *     replica of the API's objects  +  facts only this host knows  ->  compile()  ->  struct desired  ->  dataplane
 *
 * Everything is computed from scratch each time; the loader writes only the difference.  10,000 ports take about
 * 15 ms (bench/compile), so nothing is incremental here. */
#ifndef WEFT_COMPILER_COMPILER_H
#define WEFT_COMPILER_COMPILER_H

#include "weft/dataplane/desired.h"
#include "weft/model/objects.h"

/* A port of the model and where it is on this host. */
struct compile_port {
    const struct port *port;
    uint32_t slot;       /* 0: not bound to this host. */
    uint32_t generation; /* Of the slot. */
    uint32_t ifindex;    /* Of the host's end; 0 while not plugged. */
    uint32_t project;    /* Index of the port's project; 0 when 'slot' is 0. */
    bool is_veth;
};

/* Another host and the way to it.  'path' is all but the addresses, which come from the model. */
struct compile_host {
    const struct host *host;
    uint32_t slot;           /* 0: this host itself, or no slot is left. */
    struct host_config path; /* next_hop zero: not reachable now. */
};

struct compile_project {
    uint32_t index;
    struct project_limits limits;
};

struct snapshot {
    const char *host_name; /* What binding:host_id says for this host. */
    const struct network *const *networks;
    const uint32_t *network_projects; /* Parallel: the index of each network's project.  NULL: all 0. */
    size_t n_networks;
    const struct subnet *const *subnets;
    size_t n_subnets;
    const struct compile_port *ports;
    size_t n_ports;
    const struct compile_host *hosts;
    size_t n_hosts;
    const struct compile_project *projects;
    size_t n_projects;
    struct ip_address tunnel_address; /* This host's. */
};

/* Budgets of every port, a second and as a burst. */
#define PORT_BUM_RATE 8192 /* Copies. */
#define PORT_BUM_BURST 8192
#define PORT_PUNT_RATE 50 /* Packets to the agent. */
#define PORT_PUNT_BURST 100

/* Fills '*ret' (initialized; what it held is replaced) with sorted tables.  Objects that refer to a missing network are
 * skipped: the rest of a change may still be under way.  Returns 0 or -ENOMEM, and then '*ret' is empty. */
int compile(const struct snapshot *snapshot, struct desired *ret);

#endif
