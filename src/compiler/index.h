/* Finding the objects of a snapshot by id, and what is known about a network as a whole. */
#ifndef WEFT_COMPILER_INDEX_H
#define WEFT_COMPILER_INDEX_H

#include "weft/base/hashmap.h"
#include "weft/base/siphash.h"
#include "weft/compiler/compiler.h"

struct compile_network {
    struct hashmap_node by_id;
    const struct network *network;
    size_t first_subnet, n_subnets; /* In subnets_by_network. */
    bool has_firewall;          /* Routers that it hangs together with have firewall policies; */
    bool is_before_firewall;    /* or those behind routers that have their gateway in it. */
    bool may_learn;             /* Some port may use addresses that the model does not name. */
    const struct compile_port *gateway; /* A router's port that has the gateway address of an IPv4 subnet (services.c), */
    bool has_gateways;          /* and another router has that of another one. */
    uint32_t *outputs;          /* Who gets a copy of broadcast: one of each, unsorted until the end. */
    size_t n_outputs, n_outputs_capacity;
};

struct compile_subnet {
    struct hashmap_node by_id;
    const struct subnet *subnet;
    struct compile_network *network; /* NULL: not known. */
};

struct compile_router_entry {
    struct hashmap_node by_id;
    const struct compile_router *router;
    size_t first_port, n_ports; /* In ports_by_router. */
};

/* What several layers ask about a port, found once: the ports themselves are far apart in memory, and to look into each is what takes the time. */
struct compile_place {
    struct compile_network *network;     /* NULL: not known. */
    struct compile_router_entry *router; /* Of a router's port; NULL: it is none, or not known. */
    uint32_t output;                     /* Where frames for the port go: OUTPUT_*. */
    uint16_t id_bits;                    /* compile_id_bits() of its id. */
    bool names_prefixes;                 /* It is in security groups, and some allowed address pair is not one address. */
};

/* The live hosts with an uplink into a physical network: its gateways. */
struct compile_physical {
    const char *name;
    const struct compile_uplink *uplink; /* This host's; NULL: none. */
    const struct compile_host **hosts;   /* By name. */
    uint32_t *name_hashes;               /* Parallel to 'hosts'. */
    size_t n_hosts;
};

/* What firewall groups make of a router's port. */
struct compile_firewall {
    uint32_t rule_set[2]; /* As in struct router_port_config, */
    uint32_t logs;        /* whose ROUTER_PORT_LOGS these are. */
};

struct compile_index {
    struct hashmap networks, subnets, hosts, routers, logs;
    struct compile_network *network_array;
    struct compile_subnet *subnet_array;
    const struct subnet **subnets_by_network; /* Those of a network together. */
    struct compile_router_entry *router_array;
    uint32_t *joined;                /* By number of the network: one of those that routers join with it, not through external networks, the same for all. */
    struct compile_place *places;    /* Parallel to snapshot->ports. */
    const struct compile_port **ports_by_router; /* Those of a router together, by id. */
    struct compile_physical *physicals; /* One for each name that some network has. */
    size_t n_physicals;
    struct compile_log *log_array; /* logging.c */
    struct hashmap_node *host_nodes; /* Parallel to snapshot->hosts; keyed by name. */
    const struct compile_host **host_by_slot;
    uint32_t n_host_slots;
    uint32_t *ring_distances;        /* By host slot: switching.c */
    bool has_scopes;                 /* Some subnet is in an address scope. */
    struct compile_firewall *firewalls; /* By index of the snapshot's ports; NULL: no port has one. */
    const struct snapshot *snapshot;
};

int compile_index_build(const struct snapshot *snapshot, struct compile_index *ret); /* 0 or -ENOMEM. */
void compile_index_clear(struct compile_index *index);

struct compile_network *compile_find_network(const struct compile_index *index, const char *id);
const struct subnet *compile_find_subnet(const struct compile_index *index, const char *id);
const struct compile_router_entry *compile_find_router(const struct compile_index *index, const char *id);
const struct compile_host *compile_find_host(const struct compile_index *index, const char *name);

/* 'port' is one of the snapshot's. */
static inline const struct compile_place *compile_place_of(const struct compile_index *index, const struct compile_port *port)
{
    return &index->places[port - index->snapshot->ports];
}

/* logging.c: fills the index.  Returns 0 or -ENOMEM. */
int compile_index_logs(struct compile_index *index);

/* gateways.c: fills the index.  Returns 0 or -ENOMEM. */
int compile_find_physicals(struct compile_index *index);
const struct compile_physical *compile_find_physical(const struct compile_index *index, const struct network *network); /* NULL: it is in none. */

/* Which of the live gateways answers outside for the address; NULL: there is none.  'at_home' as below. */
const struct compile_host *compile_find_announcer(const struct compile_index *index, const struct network *network,
                                                  const struct ip_address *address, const char *at_home);
bool compile_has_uplink(const struct compile_physical *physical, const struct compile_host *host); /* Is it a live gateway? */

/* Does this host answer for the address outside?  'at_home' is the host that has what is behind it, NULL for none: if that is a gateway, nobody
 * else is on the way. */
bool compile_is_announced_here(const struct compile_index *index, const struct network *network, const struct ip_address *address,
                               const char *at_home);

/* Does the port connect its router to an external network? */
bool compile_is_gateway(const struct port *port);

/* The hash of what is to be named; 'kind' is what kind of thing it is. */
static inline uint32_t compile_hash(const uint64_t kind[2], uint64_t secret, const void *bytes, size_t size)
{
    const uint64_t key[2] = {kind[0] ^ secret, kind[1] ^ secret};

    return siphash(key, bytes, size);
}

/* Names from hashes of what they name: 31 bits, never 0; where several have one hash, the next number that is free.  To be called in the order
 * of the hashes, each time with the id before (first 0). */
static inline uint32_t compile_id_from_hash(uint32_t hash, uint32_t last)
{
    uint32_t wanted = hash >> 1; /* So that counting on never wraps. */

    return wanted > last ? wanted : last + 1;
}

/* A few bits of an id: who looks for some objects among many looks at these first. */
static inline uint16_t compile_id_bits(const char *id)
{
    uint64_t beginning = 0;

    for (size_t i = 0; i < sizeof(beginning) && id[i]; i++)
        beginning = beginning << 8 | (uint8_t)id[i];
    return (uint16_t)((beginning * 0x9e3779b97f4a7c15) >> 48);
}

/* The first 32 bits of the object's id: what tables name it by, for people and to tell it from others. */
uint32_t compile_object_number(const struct object *object);

#endif
