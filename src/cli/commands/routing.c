/* Routers, floating IPs and port forwardings. */
#include <stddef.h>

#include "weft/cli/commands/tables.h"
#include "weft/cli/resource.h"
#include "weft/cli/routing.h"

static const struct flag router_gateway[] = {
    NAMED("external-network", "NETWORK", "leads to this external network", COMPLETE_NETWORK, ENCODE_NETWORK,
          "external_gateway_info.network_id"),
    ITEM("external-address", "ADDRESS", "its address there, or subnet=S[,ip=A]; repeat (administrators)", ENCODE_FIXED_IP,
         "external_gateway_info.external_fixed_ips"),
    SWITCH("snat", "translate to its external address (administrators)", ENCODE_TRUE, "external_gateway_info.enable_snat"),
    SWITCH("no-snat", "do not (administrators)", ENCODE_FALSE, "external_gateway_info.enable_snat"),
    END,
};
static const struct flag router_set_attributes[] = {
    SWITCH("no-external-network", "leads nowhere", ENCODE_NULL, "external_gateway_info"),
    ITEM("route", "PREFIX=NEXTHOP", "route beyond its ports' subnets; repeat", ENCODE_HOST_ROUTE, "routes"),
    SWITCH("no-route", "no such routes", ENCODE_EMPTY_LIST, "routes"),
    END,
};
static const struct flag interface_flags[] = {
    NAMED("subnet", "SUBNET", "by this subnet's gateway address", COMPLETE_SUBNET, ENCODE_SUBNET, "subnet_id"),
    NAMED("port", "PORT", "by this port", COMPLETE_PORT, ENCODE_PORT, "port_id"),
    END,
};
static const struct flag floating_ip_create_attributes[] = {
    NAMED("network", "NETWORK", "the external network of the address (required)", COMPLETE_NETWORK, ENCODE_NETWORK,
          "floating_network_id"),
    ATTRIBUTE("address", "ADDRESS", "this address (administrators)", ENCODE_STRING, "floating_ip_address"),
    NAMED("subnet", "SUBNET", "an address of this subnet", COMPLETE_SUBNET, ENCODE_SUBNET, "subnet_id"),
    END,
};
static const struct flag floating_ip_attributes[] = {
    NAMED("port", "PORT", "the port that it leads to", COMPLETE_PORT, ENCODE_PORT, "port_id"),
    ATTRIBUTE("fixed-address", "ADDRESS", "which of the port's addresses", ENCODE_STRING, "fixed_ip_address"),
    END,
};
static const struct flag floating_ip_set_attributes[] = {
    SWITCH("no-port", "leads nowhere", ENCODE_NULL, "port_id"),
    OWN("if-revision", "NUMBER", "only if revision_number is still this", COMPLETE_NOTHING),
    END,
};
static const struct flag floating_ip_filters[] = {
    NAMED("network", "NETWORK", "only of this external network", COMPLETE_NETWORK, ENCODE_NETWORK, "floating_network_id"),
    NAMED("router", "ROUTER", "only through this router", COMPLETE_ROUTER, ENCODE_ROUTER, "router_id"),
    NAMED("port", "PORT", "only to this port", COMPLETE_PORT, ENCODE_PORT, "port_id"),
    ATTRIBUTE("address", "ADDRESS", "only this address", ENCODE_STRING, "floating_ip_address"),
    ATTRIBUTE("fixed-address", "ADDRESS", "only to this address", ENCODE_STRING, "fixed_ip_address"),
    CHOICE("status", "STATUS", "only in this state", "ACTIVE DOWN", ENCODE_STRING, "status"),
    END,
};
static const struct flag forwarding_flags[] = {
    CHOICE("protocol", "PROTOCOL", "of the connections", "tcp udp", ENCODE_STRING, "protocol"),
    OWN("external", "PORT", "number of the floating IP, or FIRST-LAST", COMPLETE_NOTHING),
    NAMED("port", "PORT", "the port that it leads to", COMPLETE_PORT, ENCODE_PORT, "internal_port_id"),
    ATTRIBUTE("address", "ADDRESS", "which of the port's addresses", ENCODE_STRING, "internal_ip_address"),
    OWN("internal", "PORT", "number there, or FIRST-LAST (the external one)", COMPLETE_NOTHING),
    END,
};
static const struct flag forwarding_filters[] = {
    CHOICE("protocol", "PROTOCOL", "only of this protocol", "tcp udp", ENCODE_STRING, "protocol"),
    NAMED("port", "PORT", "only to this port", COMPLETE_PORT, ENCODE_PORT, "internal_port_id"),
    END,
};

const struct command commands_routing[] = {
    {.name = "router create", .help = "Create a router", .arguments = {{.name = "NAME"}},
     .flags = {router_gateway, state_attributes, common_attributes, owner}, .run = run_create, .resource = &resource_router},
    {.name = "router list", .help = "List routers", .flags = {name_filter, filters}, .run = run_list, .resource = &resource_router},
    {.name = "router show", .help = "Show a router", .arguments = {{.name = "ROUTER", .completion = COMPLETE_ROUTER}},
     .run = run_show, .resource = &resource_router},
    {.name = "router set", .help = "Change a router", .arguments = {{.name = "ROUTER", .completion = COMPLETE_ROUTER}},
     .flags = {change, router_gateway, router_set_attributes, state_attributes, common_attributes}, .run = run_set,
     .resource = &resource_router, .details = SET_DETAILS},
    {.name = "router delete", .help = "Delete routers",
     .arguments = {{.name = "ROUTER", .is_rest = true, .completion = COMPLETE_ROUTER}}, .run = run_delete,
     .resource = &resource_router},
    {.name = "router add-interface", .help = "Join a subnet to a router",
     .arguments = {{.name = "ROUTER", .completion = COMPLETE_ROUTER}}, .flags = {interface_flags}, .run = run_router_add_interface,
     .details = "One of --subnet and --port is needed.  The router takes the subnet's gateway address, or that of the port."},
    {.name = "router remove-interface", .help = "Part a subnet from a router",
     .arguments = {{.name = "ROUTER", .completion = COMPLETE_ROUTER}}, .flags = {interface_flags}, .run = run_router_remove_interface,
     .details = "The interface's port is deleted, also one that was given."},
    {.name = "router add-route", .help = "Add routes to a router",
     .arguments = {{.name = "ROUTER", .completion = COMPLETE_ROUTER}, {.name = "PREFIX=NEXTHOP", .is_rest = true}},
     .run = run_router_add_route},
    {.name = "router remove-route", .help = "Take routes from a router",
     .arguments = {{.name = "ROUTER", .completion = COMPLETE_ROUTER}, {.name = "PREFIX=NEXTHOP", .is_rest = true}},
     .run = run_router_remove_route},
    {.name = "router snat", .help = "Show which host translates to which ports of a router's address",
     .arguments = {{.name = "ROUTER", .completion = COMPLETE_ROUTER}}, .run = run_router_snat,
     .details = "For administrators.  A host that lacks ports needs more than are left of the address."},

    {.name = "floating-ip create", .help = "Take an address of an external network",
     .flags = {floating_ip_create_attributes, floating_ip_attributes, common_attributes, owner}, .run = run_create,
     .resource = &resource_floating_ip},
    {.name = "floating-ip list", .help = "List floating IPs", .flags = {floating_ip_filters, filters}, .run = run_list,
     .resource = &resource_floating_ip},
    {.name = "floating-ip show", .help = "Show a floating IP",
     .arguments = {{.name = "FLOATING-IP", .completion = COMPLETE_FLOATING_IP}}, .run = run_show, .resource = &resource_floating_ip},
    {.name = "floating-ip set", .help = "Change where a floating IP leads",
     .arguments = {{.name = "FLOATING-IP", .completion = COMPLETE_FLOATING_IP}},
     .flags = {floating_ip_attributes, floating_ip_set_attributes, common_attributes}, .run = run_set,
     .resource = &resource_floating_ip, .details = SET_DETAILS},
    {.name = "floating-ip delete", .help = "Give addresses back",
     .arguments = {{.name = "FLOATING-IP", .is_rest = true, .completion = COMPLETE_FLOATING_IP}}, .run = run_delete,
     .resource = &resource_floating_ip},

    {.name = "port-forwarding create", .help = "Forward a port of a floating IP",
     .arguments = {{.name = "FLOATING-IP", .completion = COMPLETE_FLOATING_IP}}, .flags = {forwarding_flags, common_attributes},
     .run = run_forwarding_create,
     .details = "--protocol, --external and --port are needed.  Of a port with several IPv4 addresses the first one is taken."},
    {.name = "port-forwarding list", .help = "List the port forwardings of a floating IP",
     .arguments = {{.name = "FLOATING-IP", .completion = COMPLETE_FLOATING_IP}}, .flags = {forwarding_filters},
     .run = run_forwarding_list},
    {.name = "port-forwarding show", .help = "Show a port forwarding",
     .arguments = {{.name = "FLOATING-IP", .completion = COMPLETE_FLOATING_IP}, {.name = "ID"}}, .run = run_forwarding_show},
    {.name = "port-forwarding set", .help = "Change a port forwarding",
     .arguments = {{.name = "FLOATING-IP", .completion = COMPLETE_FLOATING_IP}, {.name = "ID"}},
     .flags = {forwarding_flags, common_attributes}, .run = run_forwarding_set, .details = SET_DETAILS},
    {.name = "port-forwarding delete", .help = "Delete port forwardings",
     .arguments = {{.name = "FLOATING-IP", .completion = COMPLETE_FLOATING_IP}, {.name = "ID", .is_rest = true}},
     .run = run_forwarding_delete},
    {.name = NULL},
};
