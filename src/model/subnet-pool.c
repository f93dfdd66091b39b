/* Address scopes, and the subnet pools in them. */
#include <errno.h>

#include "weft/model/resources.h"

#define POOL_PREFIXES_MAX 512

int check_ip_version(const struct attribute *attribute, const void *value, struct error *error)
{
    uint8_t version = *(const uint8_t *)value;

    if (version != 4 && version != 6)
        return error_set(error, -EINVAL, attribute->name, "'%u' is neither 4 nor 6", version);
    return 0;
}

static const struct attribute address_scope_attributes[] = {
    COMMON_ATTRIBUTES,
    {.name = "ip_version", .type = TYPE_UINT, FIELD(struct address_scope, ip_version), .minimum = 0, .maximum = 255,
     .flags = ATTRIBUTE_POST | ATTRIBUTE_REQUIRED | ATTRIBUTE_FIND, .check = check_ip_version, .help = "4 or 6."},
    {.name = "shared", .type = TYPE_BOOL, FIELD(struct address_scope, shared), .flags = ATTRIBUTE_WRITE | ATTRIBUTE_ADMIN_WRITE | ATTRIBUTE_FIND,
     .default_json = "false", .help = "Every project may put its subnet pools into it."},
    {.name = NULL},
};

const struct schema address_scope_schema = {
    .kind = RESOURCE_ADDRESS_SCOPE,
    .name = "address_scope",
    .collection = "address_scopes",
    .size = sizeof(struct address_scope),
    .attributes = address_scope_attributes,
    .help = "Networks with addresses of their own each, between which routers forward as they are.",
};

static const struct attribute pool_prefix[] = {
    {.name = "", .type = TYPE_PREFIX, .offset = 0, .size = sizeof(struct ip_prefix)},
    {.name = NULL},
};

static const struct attribute subnet_pool_attributes[] = {
    COMMON_ATTRIBUTES,
    {.name = "prefixes", LIST(struct subnet_pool, prefixes, n_prefixes, pool_prefix), .maximum = POOL_PREFIXES_MAX,
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_REQUIRED, .help = "What subnets get their prefixes from."},
    {.name = "ip_version", .type = TYPE_UINT, FIELD(struct subnet_pool, ip_version), .maximum = 6, .flags = ATTRIBUTE_FIND,
     .help = "4 or 6: that of its prefixes."},
    {.name = "default_prefixlen", .type = TYPE_UINT, FIELD(struct subnet_pool, default_prefixlen), .maximum = 128,
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND, .help = "The prefix length of subnets that do not say."},
    {.name = "min_prefixlen", .type = TYPE_UINT, FIELD(struct subnet_pool, min_prefixlen), .maximum = 128,
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND, .help = "The least prefix length: the largest subnet."},
    {.name = "max_prefixlen", .type = TYPE_UINT, FIELD(struct subnet_pool, max_prefixlen), .maximum = 128,
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND, .help = "The greatest prefix length: the smallest subnet."},
    {.name = "default_quota", .type = TYPE_UINT, FIELD(struct subnet_pool, default_quota), PRESENCE(struct subnet_pool, has_default_quota),
     .maximum = UINT32_MAX, .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE,
     .help = "How much of it a project may have: addresses of IPv4, /64 of IPv6."},
    {.name = "is_default", .type = TYPE_BOOL, FIELD(struct subnet_pool, is_default),
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_ADMIN_WRITE | ATTRIBUTE_FIND, .default_json = "false",
     .help = "The pool that is meant when none is named."},
    {.name = "shared", .type = TYPE_BOOL, FIELD(struct subnet_pool, shared), .flags = ATTRIBUTE_POST | ATTRIBUTE_ADMIN_WRITE | ATTRIBUTE_FIND,
     .default_json = "false", .help = "Every project may take subnets from it."},
    {.name = "address_scope_id", .type = TYPE_UUID, FIELD(struct subnet_pool, address_scope_id),
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE, .help = "The address scope of its subnets."},
    {.name = NULL},
};

const struct schema subnet_pool_schema = {
    .kind = RESOURCE_SUBNET_POOL,
    .name = "subnetpool",
    .collection = "subnetpools",
    .size = sizeof(struct subnet_pool),
    .attributes = subnet_pool_attributes,
    .help = "Prefixes that subnets are given theirs from.",
};
