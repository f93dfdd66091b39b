/* From the objects that concern this host to what its tables should hold.  Pure: the same input gives the same bytes.
 *
 *     replica of the API's objects  +  facts only this host knows  ->  compile()  ->  struct desired  ->  dataplane
 *
 * Everything is computed from scratch each time; the loader writes only the difference.  10,000 ports with 500 routers, their security groups
 * and 1,000 floating IPs take about 4 ms of one core (bench-compile), so nothing is incremental here. */
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
    uint32_t router_port; /* Number of a port of a router (tables.h); 0: it is none, */
    bool is_routers;      /* unless this says that it is, and has no number. */
    uint32_t vip_port;    /* In the same series: of a load balancer's address on an external or physical network; 0: it is none. */
    uint32_t router_port_generation;
};

/* Numbers are the agent's: they stay while the object does (agent/local.h). */
struct compile_security_group {
    const struct security_group *group;
    uint32_t number;
};

struct compile_address_group {
    const struct address_group *group;
    uint32_t number; /* Of the same series as those of security groups. */
};

struct compile_router {
    const struct router *router;
    uint32_t number;
};

struct compile_listener {
    const struct listener *listener;
    uint32_t number;
};

struct compile_pool {
    const struct pool *pool;
    uint32_t number;
};

struct compile_member {
    const struct pool_member *member;
    uint32_t number;
};

/* An interface of this host in a physical network (weft-agent's 'uplinks'). */
struct compile_uplink {
    const char *physical_network;
    uint32_t ifindex;
    uint16_t mtu;
    struct mac_address mac;
};

/* A station outside that answered on one of this host's uplinks. */
struct compile_outside_neighbor {
    char network_id[UUID_TEXT_SIZE];
    struct ip_address address;
    struct mac_address mac;
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
    const struct compile_security_group *security_groups;
    size_t n_security_groups;
    const struct security_group_rule *const *security_group_rules;
    size_t n_security_group_rules;
    const struct compile_address_group *address_groups;
    size_t n_address_groups;
    const struct compile_router *routers;
    size_t n_routers;
    const struct floating_ip *const *floating_ips;
    size_t n_floating_ips;
    const struct port_forwarding *const *port_forwardings;
    size_t n_port_forwardings;
    const struct snat_block *const *snat_blocks;
    size_t n_snat_blocks;
    const struct firewall_group *const *firewall_groups;
    size_t n_firewall_groups;
    const struct firewall_policy *const *firewall_policies;
    size_t n_firewall_policies;
    const struct firewall_rule *const *firewall_rules;
    size_t n_firewall_rules;
    const struct network_log *const *logs;
    size_t n_logs;
    const struct load_balancer *const *load_balancers;
    size_t n_load_balancers;
    const struct compile_listener *listeners;
    size_t n_listeners;
    const struct compile_pool *pools;
    size_t n_pools;
    const struct compile_member *members;
    size_t n_members;
    const struct balance_rows *const *balance_rows;
    size_t n_balance_rows;
    const struct listener_share *const *listener_shares; /* This host's. */
    size_t n_listener_shares;
    const struct health_monitor *const *health_monitors;
    size_t n_health_monitors;
    uint32_t probe_ifindex;  /* The device that members are probed by (dataplane/tables-probes.h); 0: none. */
    struct mac_address probe_mac; /* Its. */
    const struct compile_uplink *uplinks;
    size_t n_uplinks;
    const struct compile_outside_neighbor *outside_neighbors;
    size_t n_outside_neighbors;
    struct ip_address tunnel_address; /* This host's. */
    uint32_t room[N_DESIRED_TABLES]; /* How many rows there may be of the tables that projects share: who has it where there would be more is in shares.h,
                                      * and admission.h for most.  0: there is enough. */
    const struct rows *shortages, *left_out; /* As in struct desired: of what finds no number (numbers.h).  NULL: none. */
    uint64_t secret; /* Known to nobody else: what sets and groups are named by depends on it, so that tenants cannot make two of one name. */
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
