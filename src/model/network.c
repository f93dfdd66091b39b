/* The network resource: one tenant's layer-2 segment, or a physical one. */
#include "weft/model/resources.h"

static const char *const network_types[] = {[NETWORK_TYPE_VXLAN] = "vxlan", [NETWORK_TYPE_FLAT] = "flat", [NETWORK_TYPE_VLAN] = "vlan"};

static const struct attribute attributes[] = {
    COMMON_ATTRIBUTES,
    ADMIN_STATE_ATTRIBUTE,
    {.name = "shared", .type = TYPE_BOOL, FIELD(struct network, shared),
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_ADMIN_WRITE | ATTRIBUTE_FIND, .default_json = "false",
     .help = "Every project may attach ports."},
    {.name = "router:external", .type = TYPE_BOOL, FIELD(struct network, is_external),
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_ADMIN_WRITE | ATTRIBUTE_FIND, .default_json = "false",
     .help = "Leads outside; every project sees it."},
    {.name = "is_default", .type = TYPE_BOOL, FIELD(struct network, is_default),
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_ADMIN_WRITE | ATTRIBUTE_FIND, .default_json = "false",
     .help = "The external network that is meant when none is named."},
    {.name = "mtu", .type = TYPE_UINT, FIELD(struct network, mtu), .minimum = 68, .maximum = 65535,
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND,
     .help = "The largest packet in bytes; what the underlay carries less the tunnel's overhead unless given."},
    {.name = "port_security_enabled", .type = TYPE_BOOL, FIELD(struct network, port_security_enabled),
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND, .default_json = "true",
     .help = "What its ports get unless they say otherwise: source addresses are checked."},
    {.name = "dns_domain", .type = TYPE_STRING, FIELD(struct network, dns_domain), .maximum = 255,
     .flags = ATTRIBUTE_INTERNAL, .help = "The DNS domain of its ports."},
    {.name = "provider:network_type", .type = TYPE_ENUM, FIELD(struct network, network_type), VALUES(network_types),
     .flags = ATTRIBUTE_POST | ATTRIBUTE_ADMIN_WRITE | ATTRIBUTE_ADMIN_READ | ATTRIBUTE_FIND, .default_json = "\"vxlan\"",
     .help = "vxlan: between hosts only; flat, vlan: a physical network too."},
    {.name = "provider:physical_network", .type = TYPE_STRING, FIELD(struct network, physical_network), .maximum = 64,
     .flags = ATTRIBUTE_POST | ATTRIBUTE_ADMIN_WRITE | ATTRIBUTE_ADMIN_READ | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE,
     .help = "The physical network below it, by the name that hosts give their uplinks; none with vxlan."},
    /* What is stored under this name is the VNI, which every network has.  What the API calls so depends on the type: networks.c. */
    {.name = "provider:segmentation_id", .type = TYPE_UINT, FIELD(struct network, vni), .minimum = 1, .maximum = 0xffffff,
     .flags = ATTRIBUTE_INTERNAL | ATTRIBUTE_NULL_EMPTY, .help = "The VXLAN network identifier; one is chosen unless given."},
    {.name = "vlan_id", .type = TYPE_UINT, FIELD(struct network, vlan_id), .maximum = 4094, .flags = ATTRIBUTE_INTERNAL,
     .help = "The VLAN of a VLAN network."},
    {.name = NULL},
};

const struct schema network_schema = {
    .kind = RESOURCE_NETWORK,
    .name = "network",
    .collection = "networks",
    .size = sizeof(struct network),
    .attributes = attributes,
    .help = "An isolated layer-2 network, on every host where it has ports.",
};
