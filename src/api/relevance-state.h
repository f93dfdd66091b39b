/* Inside relevance.c, relevance-graph.c, relevance-groups.c, relevance-firewall.c, relevance-logs.c and
 * relevance-balance.c only. */
#ifndef WEFT_API_RELEVANCE_STATE_H
#define WEFT_API_RELEVANCE_STATE_H

#include "weft/api/relevance.h"
#include "weft/base/hashmap.h"

/* What something is counted for, by id; it is there while one of the counts is not 0. */
struct interest {
    struct hashmap_node node;
    char id[UUID_TEXT_SIZE];
    union {
        struct {
            size_t n_bound;        /* Its ports that are bound to the host, and its VIPs with members that are. */
            size_t n_members;      /* Of relevant load balancers. */
            size_t n_interfaces;   /* Of relevant routers. */
            size_t n_gateways;     /* Of relevant routers. */
            bool is_uplinked;
        } network;
        struct {
            size_t n_local;        /* Ports bound to the host that are in it. */
            size_t n_named;        /* Rules of such groups that name it. */
        } group;                   /* A security group, or (n_named only) an address group. */
        struct {
            size_t n_bound;        /* Ports that are bound to the host: this one, or those of the project; or relevant firewall groups, likewise. */
        } owner;
        struct {
            struct interest *next; /* In the list at hand: to be entered, or found by a search. */
        } router;
        struct {
            size_t n_bound;        /* Its members at ports that are bound to the host: as often as there are such ports. */
            bool is_relevant;
        } load_balancer;
        size_t n_users;            /* A firewall policy: relevant groups that use it, once for each direction; a firewall rule: relevant policies. */
    };
    uint64_t visit;                /* The search that was here last. */
};

struct relevance {
    const struct replica *replica;
    relevance_mark_fn mark;
    void *context;
    char host_id[UUID_TEXT_SIZE];
    char *host_name;
    struct hashmap networks, routers, groups, address_groups, bound_ports, projects; /* Of struct interest, */
    struct hashmap load_balancers;
    struct object_id *turned;      /* Networks that came with their ports or without them, since relevance_settle. */
    size_t n_turned, n_turned_allocated;
    struct hashmap firewall_groups, firewall_policies, firewall_rules; /* and these; a firewall group is in it or not, */
    struct hashmap firewall_ports, firewall_projects; /* and its ports and its project are counted here. */
    struct interest *to_enter;     /* Routers that became relevant and whose networks are not counted yet. */
    const struct port *overlooked; /* Of the change at hand: not an edge yet. */
    const struct pool_member *overlooked_member; /* Likewise: not counted yet. */
    uint64_t visit;
    bool is_broken;                /* Out of memory. */
};

struct interest *interest_find(const struct hashmap *map, const char *id);                       /* NULL: none. */
struct interest *interest_get(struct relevance *relevance, struct hashmap *map, const char *id); /* Made when missing; NULL: is_broken. */
void interest_remove(struct hashmap *map, struct interest *interest);

/* Marks what is not relevant.  Before a gain that is what the gain makes relevant, after a loss what the loss left without
 * a reason: what has another reason stays as it is at the agent and costs nothing. */
void relevance_touch(struct relevance *relevance, const struct object *object);
void relevance_touch_all(struct relevance *relevance, const struct replica_member *first);

/* relevance-graph.c: networks, routers, and what hangs on them. */
void graph_start(struct relevance *relevance, const struct host *host);
void graph_port_changed(struct relevance *relevance, const struct port *before, const struct port *after);
void graph_network_changed(struct relevance *relevance, const struct network *before, const struct network *after);
void graph_host_changed(struct relevance *relevance, const struct host *before, const struct host *after);
/* Of a floating IP: its port forwardings are relevant when it is. */
void graph_floating_ip_changed(struct relevance *relevance, const struct floating_ip *before, const struct floating_ip *after);

/* What is here for another reason than its ports, once for each call; and networks that hosts must know, with their subnets. */
void graph_bind(struct relevance *relevance, const char *network_id);
void graph_unbind(struct relevance *relevance, const char *network_id);
void graph_count_member(struct relevance *relevance, const char *network_id);
void graph_discount_member(struct relevance *relevance, const char *network_id);

bool graph_has_network(const struct relevance *relevance, const char *id);       /* The network itself and its subnets. */
bool graph_has_ports_of(const struct relevance *relevance, const char *network_id);
bool graph_has_router(const struct relevance *relevance, const char *id);
bool graph_has_floating_ip(const struct relevance *relevance, const struct floating_ip *floating_ip);

/* relevance-groups.c: security groups, their rules and what these name. */
void groups_port_changed(struct relevance *relevance, const struct port *before, const struct port *after);
void groups_rule_changed(struct relevance *relevance, const struct security_group_rule *before, const struct security_group_rule *after);

bool groups_have(const struct relevance *relevance, const char *group_id);
bool groups_have_rules_of(const struct relevance *relevance, const char *group_id);
bool groups_have_members_of(const struct relevance *relevance, const char *group_id);
bool groups_have_address_group(const struct relevance *relevance, const char *id);

/* relevance-firewall.c: firewall groups, their policies and rules. */
void firewall_recheck_port(struct relevance *relevance, const char *port_id); /* It, or its router, came or went. */
void firewall_group_changed(struct relevance *relevance, const struct firewall_group *before, const struct firewall_group *after);
void firewall_policy_changed(struct relevance *relevance, const struct firewall_policy *before, const struct firewall_policy *after);

bool firewall_has_group(const struct relevance *relevance, const char *id);
bool firewall_has_policy(const struct relevance *relevance, const char *id);
bool firewall_has_rule(const struct relevance *relevance, const char *id);

/* relevance-logs.c: log objects. */
void logs_port_changed(struct relevance *relevance, const struct port *before, const struct port *after);
void logs_firewall_entered(struct relevance *relevance, const struct firewall_group *group); /* Before it is in the map, and */
void logs_firewall_left(struct relevance *relevance, const struct firewall_group *group);    /* when it is in it no more. */
/* As relevance_touch_all, for the logs of that type that the property decides about. */
void logs_touch(struct relevance *relevance, const char *type, enum replica_property property, const char *id);
bool logs_have(const struct relevance *relevance, const struct network_log *log);

/* relevance-balance.c: load balancers and what hangs on them. */
void balance_start(struct relevance *relevance);
void balance_network_turned(struct relevance *relevance, const char *network_id); /* Noted: it now comes with its ports, or no more. */
void balance_settle(struct relevance *relevance); /* Load balancers in networks that turned.  Last of each change. */
void balance_load_balancer_changed(struct relevance *relevance, const struct load_balancer *before, const struct load_balancer *after);
void balance_member_changed(struct relevance *relevance, const struct pool_member *before, const struct pool_member *after);
/* A port was, and is, at members' addresses: one and the other part of a change, for relevance-graph.c, which lets go before it takes. */
void balance_port_lost(struct relevance *relevance, const struct port *before, const struct port *after);
void balance_port_gained(struct relevance *relevance, const struct port *before, const struct port *after);

bool balance_has(const struct relevance *relevance, const char *load_balancer_id);
bool balance_has_port(const struct relevance *relevance, const struct port *port); /* At a member's address. */
bool balance_is_share_of(const struct relevance *relevance, const struct listener_share *share); /* Of the host, be the load balancer relevant or not. */

bool relevance_is_bound(const struct relevance *relevance, const struct port *port); /* To the host; NULL: no. */

#endif
