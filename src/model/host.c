/* The host resource: a Linux host that runs an agent. */
#include "weft/model/resources.h"

static const char *const states[] = {
    [HOST_STATE_NEW] = "new",
    [HOST_STATE_UP] = "up",
    [HOST_STATE_DOWN] = "down",
};

static const struct attribute physical_network[] = {
    {.name = "", .type = TYPE_STRING, .offset = 0, .size = sizeof(char *), .maximum = 64},
    {.name = NULL},
};

static const struct attribute attributes[] = {
    COMMON_ATTRIBUTES,
    ADMIN_STATE_ATTRIBUTE,
    {.name = "tunnel_address", .type = TYPE_IP, FIELD(struct host, tunnel_address), PRESENCE(struct host, has_tunnel_address),
     .flags = ATTRIBUTE_NULLABLE | ATTRIBUTE_FIND, .help = "Where other hosts send its packets."},
    {.name = "underlay_mtu", .type = TYPE_UINT, FIELD(struct host, underlay_mtu), .flags = ATTRIBUTE_FIND,
     .help = "What its underlay carries, in bytes."},
    {.name = "state", .type = TYPE_ENUM, FIELD(struct host, state), VALUES(states), .flags = ATTRIBUTE_FIND,
     .help = "new until its agent joins, then up or down."},
    {.name = "version", .type = TYPE_STRING, FIELD(struct host, version), .flags = ATTRIBUTE_FIND, .help = "Its agent's."},
    {.name = "applied_revision", .type = TYPE_UINT, FIELD(struct host, applied_revision), .flags = ATTRIBUTE_FIND,
     .help = "The store revision that its data plane reflects."},
    {.name = "seen_at", .type = TYPE_TIME, FIELD(struct host, seen_at_s), .flags = ATTRIBUTE_FIND,
     .help = "When its agent last reported."},
    {.name = "physical_networks", LIST(struct host, physical_networks, n_physical_networks, physical_network), .maximum = 64,
     .flags = ATTRIBUTE_UNIQUE, .help = "Those that its uplinks are in."},
    {.name = NULL},
};

const struct schema host_schema = {
    .kind = RESOURCE_HOST,
    .name = "host",
    .collection = "hosts",
    .size = sizeof(struct host),
    .attributes = attributes,
    .help = "A Linux host that runs weft-agent.",
};
