/* The resources of routing and address translation: routers, floating IPs, port forwardings, blocks of translated ports. */
#include <netinet/in.h>

#include "weft/model/resources.h"

#define ROUTES_MAX 30 /* Neutron's max_routes. */

static const struct attribute route[] = {
    {.name = "destination", .type = TYPE_PREFIX, FIELD(struct host_route, destination), .flags = ATTRIBUTE_REQUIRED,
     .help = "Packets to this prefix"},
    {.name = "nexthop", .type = TYPE_IP, FIELD(struct host_route, next_hop), .flags = ATTRIBUTE_REQUIRED, .help = "go to this address."},
    {.name = NULL},
};

static const struct attribute router_attributes[] = {
    COMMON_ATTRIBUTES,
    ADMIN_STATE_ATTRIBUTE,
    {.name = "gateway_network_id", .type = TYPE_UUID, FIELD(struct router, gateway_network_id), .flags = ATTRIBUTE_INTERNAL,
     .help = "The external network."},
    {.name = "gateway_port_id", .type = TYPE_UUID, FIELD(struct router, gateway_port_id), .flags = ATTRIBUTE_INTERNAL,
     .help = "Its port there."},
    {.name = "enable_snat", .type = TYPE_BOOL, FIELD(struct router, enable_snat), .flags = ATTRIBUTE_INTERNAL, .default_json = "true",
     .help = "Addresses without a floating IP are translated to its own on the way out."},
    {.name = "routes", LIST(struct router, routes, n_routes, route), .maximum = ROUTES_MAX, .flags = ATTRIBUTE_PUT | ATTRIBUTE_UNIQUE | ATTRIBUTE_NULL_EMPTY,
     .help = "Routes beyond those of its interfaces and its gateway."},
    {.name = NULL},
};

const struct schema router_schema = {
    .kind = RESOURCE_ROUTER,
    .name = "router",
    .collection = "routers",
    .size = sizeof(struct router),
    .attributes = router_attributes,
    .help = "Joins networks, on every host.",
};

static const struct attribute floating_ip_attributes[] = {
    NAMELESS_ATTRIBUTES,
    {.name = "floating_network_id", .type = TYPE_UUID, FIELD(struct floating_ip, floating_network_id),
     .flags = ATTRIBUTE_POST | ATTRIBUTE_REQUIRED | ATTRIBUTE_FIND, .help = "The external network of the address."},
    {.name = "floating_port_id", .type = TYPE_UUID, FIELD(struct floating_ip, floating_port_id), .flags = ATTRIBUTE_INTERNAL,
     .help = "The port that holds the address."},
    {.name = "floating_ip_address", .type = TYPE_IP, FIELD(struct floating_ip, floating_address),
     .flags = ATTRIBUTE_POST | ATTRIBUTE_ADMIN_WRITE | ATTRIBUTE_FIND,
     .help = "The address; one is chosen unless given (administrators)."},
    {.name = "port_id", .type = TYPE_UUID, FIELD(struct floating_ip, port_id),
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE, .help = "The port that it leads to."},
    {.name = "fixed_ip_address", .type = TYPE_IP, FIELD(struct floating_ip, fixed_address), PRESENCE(struct floating_ip, has_fixed_address),
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE, .help = "Which of the port's addresses."},
    {.name = "router_id", .type = TYPE_UUID, FIELD(struct floating_ip, router_id), .flags = ATTRIBUTE_FIND,
     .help = "The router between."},
    {.name = NULL},
};

const struct schema floating_ip_schema = {
    .kind = RESOURCE_FLOATING_IP,
    .name = "floatingip",
    .collection = "floatingips",
    .size = sizeof(struct floating_ip),
    .attributes = floating_ip_attributes,
    .help = "An address of an external network that leads to a port.",
};

/* Requests name ranges and protocols otherwise ("internal_port_range": "80:90"): the API's business. */
static const struct attribute port_forwarding_attributes[] = {
    NAMELESS_ATTRIBUTES,
    {.name = "floatingip_id", .type = TYPE_UUID, FIELD(struct port_forwarding, floating_ip_id), .flags = ATTRIBUTE_INTERNAL,
     .help = "The floating IP."},
    {.name = "internal_port_id", .type = TYPE_UUID, FIELD(struct port_forwarding, internal_port_id),
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_REQUIRED | ATTRIBUTE_FIND, .help = "The port that it leads to."},
    {.name = "internal_ip_address", .type = TYPE_IP, FIELD(struct port_forwarding, internal_address),
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND, .help = "Which of the port's addresses."},
    {.name = "protocol_number", .type = TYPE_UINT, FIELD(struct port_forwarding, protocol), .maximum = 255, .flags = ATTRIBUTE_INTERNAL,
     .help = "6 or 17."},
    {.name = "external_first", .type = TYPE_UINT, FIELD(struct port_forwarding, external_first), .minimum = 1, .maximum = 65535,
     .flags = ATTRIBUTE_INTERNAL, .help = "The first port of the floating IP,"},
    {.name = "external_last", .type = TYPE_UINT, FIELD(struct port_forwarding, external_last), .minimum = 1, .maximum = 65535,
     .flags = ATTRIBUTE_INTERNAL, .help = "the last."},
    {.name = "internal_first", .type = TYPE_UINT, FIELD(struct port_forwarding, internal_first), .minimum = 1, .maximum = 65535,
     .flags = ATTRIBUTE_INTERNAL, .help = "The first port of the workload,"},
    {.name = "internal_last", .type = TYPE_UINT, FIELD(struct port_forwarding, internal_last), .minimum = 1, .maximum = 65535,
     .flags = ATTRIBUTE_INTERNAL, .help = "the last."},
    {.name = NULL},
};

const struct schema port_forwarding_schema = {
    .kind = RESOURCE_PORT_FORWARDING,
    .name = "port_forwarding",
    .collection = "port_forwardings",
    .size = sizeof(struct port_forwarding),
    .attributes = port_forwarding_attributes,
    .help = "A port of a floating IP that leads to one of a workload's.",
};

static const struct attribute snat_block_attributes[] = {
    COMMON_ATTRIBUTES,
    {.name = "router_id", .type = TYPE_UUID, FIELD(struct snat_block, router_id), .flags = ATTRIBUTE_FIND, .help = "Whose address it is."},
    {.name = "network_id", .type = TYPE_UUID, FIELD(struct snat_block, network_id), .flags = ATTRIBUTE_FIND,
     .help = "The external network."},
    {.name = "address", .type = TYPE_IP, FIELD(struct snat_block, address), .flags = ATTRIBUTE_FIND, .help = "The external address."},
    {.name = "first_port", .type = TYPE_UINT, FIELD(struct snat_block, first_port), .maximum = 65535, .flags = ATTRIBUTE_FIND,
     .help = "Its first port."},
    {.name = "n_ports", .type = TYPE_UINT, FIELD(struct snat_block, n_ports), .maximum = 32768, .flags = ATTRIBUTE_FIND,
     .help = "How many: a power of two."},
    {.name = "host", .type = TYPE_STRING, FIELD(struct snat_block, host), .maximum = 255, .flags = ATTRIBUTE_FIND,
     .help = "The host that translates to them."},
    {.name = NULL},
};

const struct schema snat_block_schema = {
    .kind = RESOURCE_SNAT_BLOCK,
    .name = "snat_block",
    .collection = "snat_blocks",
    .size = sizeof(struct snat_block),
    .attributes = snat_block_attributes,
    .help = "Ports of a router's external address that one host translates to.",
};
