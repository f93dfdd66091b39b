/* The store's objects in memory, typed and indexed; the API answers reads from here.
 *
 * Filled from the store at the start and kept by a watch; a batch of changes is applied whole, on the loop thread, so
 * that a handler always sees one revision.  Objects are immutable: a change replaces the object.  Pointers are valid until
 * control returns to the loop.  What changes in place is a port's 'status' and a member's 'health', which are not part of the
 * stored object but what the port's host says.
 *
 * Keys in the store:
 *     object/<kind>/<id>    the stored form of a network, subnet, port, host   -> typed objects here
 *     status/port/<id>      what its host says about a port: {"status": "ACTIVE", "host": "h1"} -> port->status
 *     status/member/<id>    likewise of a member of a pool: {"health": "DOWN", "host": "h1"} -> member->health
 *     anything else         delivered as bytes to who follows its prefix (identity/, secret/, ...) */
#ifndef WEFT_API_REPLICA_H
#define WEFT_API_REPLICA_H

#include <uv.h>

#include "weft/model/objects.h"
#include "weft/model/schema.h"
#include "weft/store/store.h"

struct replica;

#define REPLICA_KEY_SIZE 96

/* "object/port/<id>"; returns 'key'. */
const char *replica_key(enum resource_kind kind, const char *id, char key[REPLICA_KEY_SIZE]);

/* An object changed.  Both are borrowed for the call; 'before' is NULL for a new object, 'after' for a deleted one.
 * Lookups already give 'after'.  'value' is the stored form (NULL when deleted, or when only a port's status or a member's health changed). */
struct replica_change {
    enum resource_kind kind;
    const struct object *before, *after;
    uint64_t revision;
    const char *value;
    size_t value_size;
};

struct replica_listener {
    void (*change)(const struct replica_change *change, void *context);   /* May be NULL. */
    void (*commit)(uint64_t revision, void *context);                     /* After the last change of a batch.  May be NULL. */
    void *context;
    struct replica_listener *next;                                        /* The replica's. */
};

/* A key under a followed prefix was written ('value' not NULL) or deleted. */
typedef void (*replica_follow_fn)(const struct store_item *item, void *context);

int replica_new(uv_loop_t *loop, struct store *store, struct replica **ret_replica);
void replica_stop(struct replica *replica);  /* Ends the watch; lookups still work. */
void replica_free(struct replica *replica);  /* Before the loop's last run: it closes a handle. */
DEFINE_CLEANUP(struct replica *, replica_free);

/* Both before replica_start.  The listener is the caller's and must outlive the replica; 'prefix' is borrowed. */
void replica_listen(struct replica *replica, struct replica_listener *listener);
int replica_follow(struct replica *replica, const char *prefix, replica_follow_fn follow, void *context);

/* Reads everything (listeners hear of each object), then watches. */
int replica_start(struct replica *replica, struct error *error);

uint64_t replica_revision(const struct replica *replica);

/* Calls 'done' once the replica has 'revision': inside this call when it has it already. */
struct replica_wait {
    uint64_t revision;
    void (*done)(struct replica_wait *wait);
    struct replica_wait *next;
};
void replica_wait(struct replica *replica, struct replica_wait *wait, uint64_t revision);

/* Lookups; NULL when there is none. */
const struct object *replica_get(const struct replica *replica, enum resource_kind kind, const char *id);
const struct network *replica_network(const struct replica *replica, const char *id);
const struct subnet *replica_subnet(const struct replica *replica, const char *id);
const struct port *replica_port(const struct replica *replica, const char *id);
const struct host *replica_host(const struct replica *replica, const char *id);
const struct host *replica_host_by_name(const struct replica *replica, const char *name);
const struct port *replica_port_by_tap(const struct replica *replica, const char *id); /* One that shares the first 11 characters. */
const struct port *replica_port_by_address(const struct replica *replica, const char *subnet_id, const struct ip_address *address);

/* Every object of a kind in the order of ids: borrowed, valid until control returns to the loop. */
const struct object *const *replica_list(const struct replica *replica, enum resource_kind kind, size_t *ret_n);

/* The position in replica_list of the first id that is not less than 'id'. */
size_t replica_lower_bound(const struct replica *replica, enum resource_kind kind, const char *id);

/* Sets of objects with one property, in no order.
 *
 *     REPLICA_FOREACH(port, replica_ports_by_network(replica, id)) { const struct port *p = (const struct port *)port->object; } */
struct replica_member {
    const struct object *object;
    struct replica_member *next, *previous;
};
#define REPLICA_FOREACH(member, first) for (const struct replica_member *member = (first); member; member = member->next)

/* What they have in common: see replica-index.h. */
enum replica_property {
    REPLICA_BY_NAME,    /* These two of every kind. */
    REPLICA_BY_PROJECT,
    REPLICA_PORTS_BY_NETWORK,
    REPLICA_PORTS_BY_SUBNET,
    REPLICA_PORTS_BY_HOST,
    REPLICA_PORTS_BY_DEVICE,
    REPLICA_PORTS_BY_MAC,
    REPLICA_PORT_BY_ADDRESS,
    REPLICA_PORTS_BY_SECURITY_GROUP,
    REPLICA_SUBNETS_BY_NETWORK,
    REPLICA_SUBNETS_BY_POOL,
    REPLICA_POOLS_BY_ADDRESS_SCOPE,
    REPLICA_RULES_BY_GROUP,         /* The group that a rule belongs to. */
    REPLICA_RULES_BY_REMOTE_GROUP,
    REPLICA_RULES_BY_ADDRESS_GROUP,
    REPLICA_FLOATING_IPS_BY_NETWORK, /* The external one. */
    REPLICA_FLOATING_IPS_BY_PORT,    /* That it leads to; none while it has port forwardings. */
    REPLICA_FLOATING_IPS_BY_ROUTER,
    REPLICA_FORWARDINGS_BY_FLOATING_IP,
    REPLICA_FORWARDINGS_BY_PORT,
    REPLICA_ROUTER_PORTS_BY_NETWORK, /* The ports of routers only: interfaces and gateways. */
    REPLICA_NETWORKS_BY_PHYSICAL_NETWORK,
    REPLICA_SNAT_BLOCKS_BY_ROUTER,
    REPLICA_RULE_BY_TEXT,           /* "<group>/" and security_group_rule_text(): one. */
    REPLICA_DEFAULT_GROUP,          /* Of a project: one. */
    REPLICA_DEFAULT_STATEFULNESS,   /* Of a project, or of "": one. */
    REPLICA_LOGS_BY_RESOURCE,
    REPLICA_LOGS_BY_TARGET,
    REPLICA_LOGS_OF_PROJECT,        /* Those that name neither. */
    REPLICA_DEFAULT_RULES_BY_REMOTE_GROUP,
    REPLICA_DEFAULT_RULES_BY_ADDRESS_GROUP,
    REPLICA_SHARED,                 /* Of firewall groups, policies and rules: see replica_shared. */
    REPLICA_FIREWALL_POLICIES_BY_RULE,
    REPLICA_FIREWALL_GROUPS_BY_POLICY,
    REPLICA_FIREWALL_GROUPS_BY_PORT, /* One. */
    REPLICA_DEFAULT_FIREWALL_GROUP, /* Of a project: one. */
    REPLICA_BY_LOAD_BALANCER,       /* Of listeners, pools, members, monitors, rows and shares: see replica_by_load_balancer. */
    REPLICA_LOAD_BALANCERS_BY_NETWORK, /* Of the VIP. */
    REPLICA_LOAD_BALANCERS_BY_PORT, /* The one with the VIP: one. */
    REPLICA_LISTENERS_BY_POOL,      /* Whose default pool it is. */
    REPLICA_SHARES_BY_LISTENER,
    REPLICA_SHARES_BY_HOST,         /* Its name. */
    REPLICA_MEMBERS_BY_POOL,
    REPLICA_MEMBERS_BY_ADDRESS,     /* See replica_members_by_address. */
    REPLICA_MONITORS_BY_POOL,       /* One. */
};

/* By a property that is text (an id, a name) of one kind of objects; and how many, in constant time. */
const struct replica_member *replica_find(const struct replica *replica, enum replica_property property, const char *text);
size_t replica_count(const struct replica *replica, enum replica_property property, const char *text);

const struct replica_member *replica_ports_by_network(const struct replica *replica, const char *network_id);
const struct replica_member *replica_ports_by_subnet(const struct replica *replica, const char *subnet_id);
const struct replica_member *replica_ports_by_host(const struct replica *replica, const char *host_name);
const struct replica_member *replica_ports_by_device(const struct replica *replica, const char *device_id);
const struct replica_member *replica_ports_by_mac(const struct replica *replica, const struct mac_address *mac);
const struct replica_member *replica_subnets_by_network(const struct replica *replica, const char *network_id);
const struct replica_member *replica_ports_by_security_group(const struct replica *replica, const char *group_id);
const struct replica_member *replica_rules_by_group(const struct replica *replica, const char *group_id);
/* Text of more than 290 bytes is compared in its first 290: whoever looks for longer names checks what it gets. */
const struct replica_member *replica_by_name(const struct replica *replica, enum resource_kind kind, const char *name);
const struct replica_member *replica_shared(const struct replica *replica, enum resource_kind kind); /* With all projects. */
const struct replica_member *replica_by_project(const struct replica *replica, enum resource_kind kind, const char *project_id);

const struct replica_member *replica_by_load_balancer(const struct replica *replica, enum resource_kind kind, const char *load_balancer_id);

/* Of a subnet's address: the ports that have it (one, unless several servers raced), and the members of pools that mean it. */
const struct replica_member *replica_ports_by_address(const struct replica *replica, const char *subnet_id, const struct ip_address *address);
const struct replica_member *replica_members_by_address(const struct replica *replica, const char *subnet_id, const struct ip_address *address);

/* How many there are: in constant time. */
size_t replica_count_by_network(const struct replica *replica, enum resource_kind kind, const char *network_id);
size_t replica_count_by_host(const struct replica *replica, const char *host_name); /* Ports. */
size_t replica_count_by_project(const struct replica *replica, enum resource_kind kind, const char *project_id);

#endif
