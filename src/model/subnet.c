/* The subnet resource: the addresses of a network, of one family. */
#include <errno.h>
#include <stdlib.h>

#include "weft/base/util.h"
#include "weft/model/resources.h"

#define POOLS_MAX 64
#define NAMESERVERS_MAX 5
#define HOST_ROUTES_MAX 20

static const char *const ipv6_modes[] = {
    [IPV6_MODE_NONE] = NULL,
    [IPV6_MODE_SLAAC] = "slaac",
    [IPV6_MODE_DHCPV6_STATEFUL] = "dhcpv6-stateful",
    [IPV6_MODE_DHCPV6_STATELESS] = "dhcpv6-stateless",
};

static const struct attribute pool[] = {
    {.name = "start", .type = TYPE_IP, FIELD(struct ip_range, first), .flags = ATTRIBUTE_REQUIRED,
     .help = "The first address."},
    {.name = "end", .type = TYPE_IP, FIELD(struct ip_range, last), .flags = ATTRIBUTE_REQUIRED,
     .help = "The last address."},
    {.name = NULL},
};

static const struct attribute nameserver[] = {
    {.name = "", .type = TYPE_IP, .offset = 0, .size = sizeof(struct ip_address), .flags = ATTRIBUTE_ZERO},
    {.name = NULL},
};

static const struct attribute host_route[] = {
    {.name = "destination", .type = TYPE_PREFIX, FIELD(struct host_route, destination), .flags = ATTRIBUTE_REQUIRED,
     .help = "Where to."},
    {.name = "nexthop", .type = TYPE_IP, FIELD(struct host_route, next_hop), .flags = ATTRIBUTE_REQUIRED,
     .help = "Through whom."},
    {.name = NULL},
};

static const struct attribute attributes[] = {
    COMMON_ATTRIBUTES,
    {.name = "network_id", .type = TYPE_UUID, FIELD(struct subnet, network_id),
     .flags = ATTRIBUTE_POST | ATTRIBUTE_REQUIRED | ATTRIBUTE_FIND, .help = "The network it belongs to."},
    {.name = "ip_version", .type = TYPE_UINT, FIELD(struct subnet, ip_version), .minimum = 0, .maximum = 255,
     .flags = ATTRIBUTE_POST | ATTRIBUTE_REQUIRED | ATTRIBUTE_FIND, .check = check_ip_version, .help = "4 or 6."},
    {.name = "cidr", .type = TYPE_PREFIX, FIELD(struct subnet, cidr),
     .flags = ATTRIBUTE_POST | ATTRIBUTE_FIND, .help = "Its addresses: 10.0.0.0/24; needed without a subnet pool."},
    {.name = "gateway_ip", .type = TYPE_IP, FIELD(struct subnet, gateway), PRESENCE(struct subnet, has_gateway),
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_NULLABLE | ATTRIBUTE_FIND,
     .help = "The default router; the first address unless given; null for none."},
    {.name = "enable_dhcp", .type = TYPE_BOOL, FIELD(struct subnet, enable_dhcp), .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND,
     .default_json = "true", .help = "Hosts answer DHCP, DHCPv6 and router solicitations."},
    {.name = "ipv6_address_mode", .type = TYPE_ENUM, FIELD(struct subnet, ipv6_address_mode), VALUES(ipv6_modes),
     .flags = ATTRIBUTE_POST | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE, .help = "How workloads get their IPv6 addresses."},
    {.name = "ipv6_ra_mode", .type = TYPE_ENUM, FIELD(struct subnet, ipv6_ra_mode), VALUES(ipv6_modes),
     .flags = ATTRIBUTE_POST | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE, .help = "What router advertisements say."},
    {.name = "allocation_pools", LIST(struct subnet, allocation_pools, n_allocation_pools, pool), .maximum = POOLS_MAX,
     .flags = ATTRIBUTE_WRITE, .help = "Ranges that ports get addresses from; all but the gateway unless given."},
    {.name = "dns_nameservers", LIST(struct subnet, dns_nameservers, n_dns_nameservers, nameserver),
     .maximum = NAMESERVERS_MAX, .flags = ATTRIBUTE_WRITE | ATTRIBUTE_UNIQUE | ATTRIBUTE_NULL_EMPTY,
     .help = "DNS servers that DHCP and router advertisements tell."},
    {.name = "host_routes", LIST(struct subnet, host_routes, n_host_routes, host_route), .maximum = HOST_ROUTES_MAX,
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_UNIQUE | ATTRIBUTE_NULL_EMPTY, .help = "Routes that DHCP tells."},
    {.name = "dns_publish_fixed_ip", .type = TYPE_BOOL, FIELD(struct subnet, dns_publish_fixed_ip),
     .flags = ATTRIBUTE_INTERNAL, .default_json = "false", .help = "Publish its addresses in DNS."},
    {.name = "subnetpool_id", .type = TYPE_UUID, FIELD(struct subnet, subnetpool_id),
     .flags = ATTRIBUTE_POST | ATTRIBUTE_FILTER | ATTRIBUTE_NULLABLE, .help = "The pool its prefix comes from."},
    {.name = "address_scope_id", .type = TYPE_UUID, FIELD(struct subnet, address_scope_id), .flags = ATTRIBUTE_INTERNAL,
     .help = "The address scope of its pool."},
    {.name = NULL},
};

const struct schema subnet_schema = {
    .kind = RESOURCE_SUBNET,
    .name = "subnet",
    .collection = "subnets",
    .size = sizeof(struct subnet),
    .attributes = attributes,
    .help = "A block of addresses on a network, with its DHCP settings.",
};

bool subnet_is_auto_address(const struct subnet *subnet)
{
    return subnet->ipv6_address_mode == IPV6_MODE_SLAAC || subnet->ipv6_address_mode == IPV6_MODE_DHCPV6_STATELESS;
}

static bool is_point_to_point(const struct subnet *subnet)
{
    return prefix_bits(&subnet->cidr) >= 127;
}

struct ip_address subnet_first_host(const struct subnet *subnet)
{
    struct ip_address first = prefix_first(&subnet->cidr);

    return is_point_to_point(subnet) ? first : ip_add(&first, 1);
}

struct ip_address subnet_last_host(const struct subnet *subnet)
{
    struct ip_address last = prefix_last(&subnet->cidr);

    return is_point_to_point(subnet) || subnet->ip_version == 6 ? last : ip_add(&last, -1);
}

bool subnet_has_host_address(const struct subnet *subnet, const struct ip_address *address)
{
    struct ip_address first = subnet_first_host(subnet), last = subnet_last_host(subnet);

    return ip_compare(&first, address) <= 0 && ip_compare(address, &last) <= 0;
}
