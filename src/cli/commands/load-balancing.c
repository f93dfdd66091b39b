/* Load balancers, listeners, pools, members and health monitors, as the Load-Balancer v2 API (Octavia's) has them. */
#include <stddef.h>

#include "weft/cli/commands/tables.h"
#include "weft/cli/load-balancing.h"
#include "weft/cli/resource.h"

/* Its objects have no revision_number. */
static const struct flag new_name[] = {
    ATTRIBUTE("name", "NAME", "a new name", ENCODE_STRING, "name"),
    SWITCH("no-tag", "no tags", ENCODE_EMPTY_LIST, "tags"),
    END,
};
static const struct flag tags[] = {
    ITEM("tag", "WORD", "a word to find it by; repeat", ENCODE_STRING_ITEM, "tags"),
    END,
};
static const struct flag load_balancer_create[] = {
    NAMED("vip-subnet", "SUBNET", "the subnet of its address (one of these three is required)", COMPLETE_SUBNET, ENCODE_SUBNET, "vip_subnet_id"),
    NAMED("vip-network", "NETWORK", "the network of its address", COMPLETE_NETWORK, ENCODE_NETWORK, "vip_network_id"),
    NAMED("vip-port", "PORT", "a port of yours whose address it takes", COMPLETE_PORT, ENCODE_PORT, "vip_port_id"),
    ATTRIBUTE("vip-address", "ADDRESS", "this address", ENCODE_STRING, "vip_address"),
    ITEM("additional-vip", "subnet=S[,ip=A]", "one more address of the VIP's network; repeat", ENCODE_FIXED_IP, "additional_vips"),
    END,
};
static const struct flag load_balancer_filters[] = {
    NAMED("vip-subnet", "SUBNET", "only with an address of this subnet", COMPLETE_SUBNET, ENCODE_SUBNET, "vip_subnet_id"),
    NAMED("vip-network", "NETWORK", "only in this network", COMPLETE_NETWORK, ENCODE_NETWORK, "vip_network_id"),
    ATTRIBUTE("vip-address", "ADDRESS", "only with this address", ENCODE_STRING, "vip_address"),
    END,
};
static const struct flag load_balancer_delete[] = {
    OWN_SWITCH("cascade", "with its listeners, pools, members and health monitors"),
    END,
};
static const struct flag of_load_balancer[] = {
    NAMED("loadbalancer", "LOADBALANCER", "only of this load balancer", COMPLETE_LOAD_BALANCER, ENCODE_LOAD_BALANCER, "loadbalancer_id"),
    END,
};

static const struct flag listener_create[] = {
    NAMED("loadbalancer", "LOADBALANCER", "the load balancer of it (required)", COMPLETE_LOAD_BALANCER, ENCODE_LOAD_BALANCER, "loadbalancer_id"),
    CHOICE("protocol", "PROTOCOL", "of the connections (required)", "TCP UDP SCTP", ENCODE_STRING, "protocol"),
    ATTRIBUTE("port", "NUMBER", "port of the address (required)", ENCODE_NUMBER, "protocol_port"),
    END,
};
static const struct flag listener_attributes[] = {
    NAMED("pool", "POOL", "the pool that serves it", COMPLETE_POOL, ENCODE_LB_POOL, "default_pool_id"),
    ATTRIBUTE("connection-limit", "NUMBER", "how many connections may exist at once; -1: any number", ENCODE_NUMBER, "connection_limit"),
    ITEM("allow", "PREFIX", "the only clients; repeat", ENCODE_STRING_ITEM, "allowed_cidrs"),
    END,
};
static const struct flag listener_clear[] = {
    SWITCH("no-pool", "nobody serves it", ENCODE_NULL, "default_pool_id"),
    SWITCH("no-allow", "everybody may call", ENCODE_EMPTY_LIST, "allowed_cidrs"),
    END,
};

static const struct flag pool_create[] = {
    NAMED("listener", "LISTENER", "the listener that it serves (this or the next is required)", COMPLETE_LISTENER, ENCODE_LISTENER, "listener_id"),
    NAMED("loadbalancer", "LOADBALANCER", "the load balancer of it", COMPLETE_LOAD_BALANCER, ENCODE_LOAD_BALANCER,
          "loadbalancer_id"),
    CHOICE("protocol", "PROTOCOL", "that of its listeners (required)", "TCP UDP SCTP", ENCODE_STRING, "protocol"),
    END,
};
static const struct flag pool_attributes[] = {
    CHOICE("algorithm", "ALGORITHM", "how members share the clients (ROUND_ROBIN)", "ROUND_ROBIN LEAST_CONNECTIONS SOURCE_IP SOURCE_IP_PORT",
           ENCODE_STRING, "lb_algorithm"),
    CHOICE("persistence", "TYPE", "clients stay with their member", "SOURCE_IP", ENCODE_STRING, "session_persistence.type"),
    ATTRIBUTE("persistence-timeout", "SECONDS", "for so long (UDP, SCTP)", ENCODE_NUMBER, "session_persistence.persistence_timeout"),
    ATTRIBUTE("persistence-mask", "NETMASK", "clients of one such prefix are one (UDP, SCTP)", ENCODE_STRING,
              "session_persistence.persistence_granularity"),
    END,
};
static const struct flag pool_clear[] = {
    SWITCH("no-persistence", "clients do not stay with their member", ENCODE_NULL, "session_persistence"),
    END,
};

static const struct flag member_create[] = {
    ATTRIBUTE("name", "NAME", "its name", ENCODE_STRING, "name"),
    ATTRIBUTE("address", "ADDRESS", "the server's address (required)", ENCODE_STRING, "address"),
    ATTRIBUTE("port", "NUMBER", "and port (required)", ENCODE_NUMBER, "protocol_port"),
    NAMED("subnet", "SUBNET", "the subnet of the address, when it could be several", COMPLETE_SUBNET, ENCODE_SUBNET, "subnet_id"),
    END,
};
static const struct flag member_attributes[] = {
    ATTRIBUTE("weight", "NUMBER", "its share among the others' weights (1); 0: it finishes what it has", ENCODE_NUMBER, "weight"),
    CHOICE("backup", "BOOLEAN", "it serves only while no other is up", "true false", ENCODE_BOOLEAN, "backup"),
    ATTRIBUTE("monitor-address", "ADDRESS", "probed instead of its address; none: its own", ENCODE_STRING_OR_NULL, "monitor_address"),
    ATTRIBUTE("monitor-port", "NUMBER", "probed instead of its port", ENCODE_NUMBER, "monitor_port"),
    END,
};
static const struct flag member_filters[] = {
    ATTRIBUTE("address", "ADDRESS", "only with this address", ENCODE_STRING, "address"),
    ATTRIBUTE("port", "NUMBER", "only with this port", ENCODE_NUMBER, "protocol_port"),
    END,
};

static const struct flag monitor_create[] = {
    NAMED("pool", "POOL", "the pool whose members it watches (required)", COMPLETE_POOL, ENCODE_LB_POOL, "pool_id"),
    CHOICE("type", "TYPE", "how they are probed (required)", "PING TCP HTTP HTTPS TLS-HELLO UDP-CONNECT", ENCODE_STRING, "type"),
    END,
};
static const struct flag monitor_attributes[] = {
    ATTRIBUTE("delay", "SECONDS", "between probes (5)", ENCODE_NUMBER, "delay"),
    ATTRIBUTE("timeout", "SECONDS", "that an answer may take (3)", ENCODE_NUMBER, "timeout"),
    ATTRIBUTE("max-retries", "NUMBER", "successes until a member is up again (3)", ENCODE_NUMBER, "max_retries"),
    ATTRIBUTE("max-retries-down", "NUMBER", "failures until a member is down (3)", ENCODE_NUMBER, "max_retries_down"),
    ATTRIBUTE("method", "METHOD", "with HTTP and HTTPS: of the request (GET)", ENCODE_STRING, "http_method"),
    ATTRIBUTE("path", "PATH", "what is asked for (/)", ENCODE_STRING, "url_path"),
    ATTRIBUTE("expected-codes", "CODES", "what is well: 200, 200,202 or 200-204", ENCODE_STRING, "expected_codes"),
    CHOICE("http-version", "VERSION", "of the request", "1.0 1.1", ENCODE_STRING, "http_version"),
    ATTRIBUTE("domain-name", "NAME", "with version 1.1: the Host of the request", ENCODE_STRING_OR_NULL, "domain_name"),
    END,
};
static const struct flag monitor_filters[] = {
    NAMED("pool", "POOL", "only of this pool", COMPLETE_POOL, ENCODE_LB_POOL, "pool_id"),
    END,
};

#define LOADBALANCER {{.name = "LOADBALANCER", .completion = COMPLETE_LOAD_BALANCER}}
#define LISTENER {{.name = "LISTENER", .completion = COMPLETE_LISTENER}}
#define POOL {{.name = "POOL", .completion = COMPLETE_POOL}}
#define POOL_MEMBER {{.name = "POOL", .completion = COMPLETE_POOL}, {.name = "MEMBER"}}
#define HEALTHMONITOR {{.name = "HEALTHMONITOR", .completion = COMPLETE_HEALTH_MONITOR}}
#define MEMBER_DETAILS "A member is called by its name or id, or by its address, with or without the port: 10.0.0.5:80."

const struct command commands_load_balancing[] = {
    {.name = "loadbalancer create", .help = "Create a load balancer", .arguments = {{.name = "NAME"}},
     .flags = {load_balancer_create, state_attributes, tags, common_attributes, owner}, .run = run_create, .resource = &resource_load_balancer,
     .details = "It answers at its address on every host; members see their clients' own addresses, and answer them directly."},
    {.name = "loadbalancer list", .help = "List load balancers", .flags = {load_balancer_filters, name_filter, filters}, .run = run_list,
     .resource = &resource_load_balancer},
    {.name = "loadbalancer show", .help = "Show a load balancer", .arguments = LOADBALANCER, .run = run_show, .resource = &resource_load_balancer},
    {.name = "loadbalancer set", .help = "Change a load balancer", .arguments = LOADBALANCER,
     .flags = {new_name, state_attributes, tags, common_attributes}, .run = run_set, .resource = &resource_load_balancer, .details = SET_DETAILS},
    {.name = "loadbalancer delete", .help = "Delete load balancers",
     .arguments = {{.name = "LOADBALANCER", .is_rest = true, .completion = COMPLETE_LOAD_BALANCER}}, .flags = {load_balancer_delete},
     .run = run_delete, .resource = &resource_load_balancer},
    {.name = "loadbalancer status", .help = "Show how a load balancer and all that belongs to it are", .arguments = LOADBALANCER,
     .run = run_load_balancer_status},
    {.name = "loadbalancer stats", .help = "Show what a load balancer has counted", .arguments = LOADBALANCER, .run = run_load_balancer_stats},

    {.name = "listener create", .help = "Let a load balancer listen at a port", .arguments = {{.name = "NAME"}},
     .flags = {listener_create, listener_attributes, state_attributes, tags, common_attributes}, .run = run_create, .resource = &resource_listener},
    {.name = "listener list", .help = "List listeners", .flags = {of_load_balancer, name_filter, filters}, .run = run_list,
     .resource = &resource_listener},
    {.name = "listener show", .help = "Show a listener", .arguments = LISTENER, .run = run_show, .resource = &resource_listener},
    {.name = "listener set", .help = "Change a listener", .arguments = LISTENER,
     .flags = {new_name, listener_attributes, listener_clear, state_attributes, tags, common_attributes}, .run = run_set,
     .resource = &resource_listener, .details = SET_DETAILS},
    {.name = "listener delete", .help = "Delete listeners",
     .arguments = {{.name = "LISTENER", .is_rest = true, .completion = COMPLETE_LISTENER}}, .run = run_delete, .resource = &resource_listener},
    {.name = "listener stats", .help = "Show what a listener has counted", .arguments = LISTENER, .run = run_listener_stats},

    {.name = "pool create", .help = "Create a pool of servers", .arguments = {{.name = "NAME"}},
     .flags = {pool_create, pool_attributes, state_attributes, tags, common_attributes}, .run = run_create, .resource = &resource_pool},
    {.name = "pool list", .help = "List pools", .flags = {of_load_balancer, name_filter, filters}, .run = run_list, .resource = &resource_pool},
    {.name = "pool show", .help = "Show a pool", .arguments = POOL, .run = run_show, .resource = &resource_pool},
    {.name = "pool set", .help = "Change a pool", .arguments = POOL,
     .flags = {new_name, pool_attributes, pool_clear, state_attributes, tags, common_attributes}, .run = run_set, .resource = &resource_pool,
     .details = SET_DETAILS},
    {.name = "pool delete", .help = "Delete pools and their members", .arguments = {{.name = "POOL", .is_rest = true, .completion = COMPLETE_POOL}},
     .run = run_delete, .resource = &resource_pool},

    {.name = "member create", .help = "Add a server to a pool", .arguments = POOL,
     .flags = {member_create, member_attributes, state_attributes, tags}, .run = run_member_create},
    {.name = "member list", .help = "List the members of a pool", .arguments = POOL, .flags = {member_filters, name_filter, filters},
     .run = run_member_list},
    {.name = "member show", .help = "Show a member", .arguments = POOL_MEMBER, .run = run_member_show, .details = MEMBER_DETAILS},
    {.name = "member set", .help = "Change a member", .arguments = POOL_MEMBER, .flags = {new_name, member_attributes, state_attributes, tags},
     .run = run_member_set, .details = MEMBER_DETAILS "\n" SET_DETAILS},
    {.name = "member delete", .help = "Take servers out of a pool; their connections end",
     .arguments = {{.name = "POOL", .completion = COMPLETE_POOL}, {.name = "MEMBER", .is_rest = true}}, .run = run_member_delete,
     .details = MEMBER_DETAILS},

    {.name = "healthmonitor create", .help = "Watch the members of a pool", .arguments = {{.name = "NAME"}},
     .flags = {monitor_create, monitor_attributes, state_attributes, tags}, .run = run_create, .resource = &resource_health_monitor},
    {.name = "healthmonitor list", .help = "List health monitors", .flags = {monitor_filters, name_filter, filters}, .run = run_list,
     .resource = &resource_health_monitor},
    {.name = "healthmonitor show", .help = "Show a health monitor", .arguments = HEALTHMONITOR, .run = run_show,
     .resource = &resource_health_monitor},
    {.name = "healthmonitor set", .help = "Change a health monitor", .arguments = HEALTHMONITOR,
     .flags = {new_name, monitor_attributes, state_attributes, tags}, .run = run_set, .resource = &resource_health_monitor, .details = SET_DETAILS},
    {.name = "healthmonitor delete", .help = "Delete health monitors; who is down serves again",
     .arguments = {{.name = "HEALTHMONITOR", .is_rest = true, .completion = COMPLETE_HEALTH_MONITOR}}, .run = run_delete,
     .resource = &resource_health_monitor},
    {.name = "healthmonitor members", .help = "Show how the members at this host's ports are, and why", .run = run_health_monitor_members,
     .details = "Of all projects, as this host's own agent finds them; each member is watched by the host of its port."},
    {.name = NULL},
};
