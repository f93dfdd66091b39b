/* Subnets: blocks of addresses, checked against each other and against what ports already have.
 *
 * Keys: object/subnet/<id>; ipam/<subnet>/<address> for each address that a port has. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/ipam.h"
#include "weft/api/ports.h"
#include "weft/api/resources.h"
#include "weft/api/routed-prefixes.h"
#include "weft/api/subnet-pools.h"
#include "weft/api/turns.h"
#include "weft/base/util.h"
#include "weft/model/range-set.h"
#include "weft/model/resources.h"

#define INVALID(field, ...) error_set_type(change->error, -EINVAL, "InvalidInput", field, __VA_ARGS__)

static const struct computed computed[] = {
    {.name = "prefixlen", .flags = ATTRIBUTE_POST},
    {.name = "use_default_subnetpool", .flags = ATTRIBUTE_POST},
    {.name = NULL},
};

static const struct replica_member *by_name(const struct replica *replica, const char *value)
{
    return replica_by_name(replica, RESOURCE_SUBNET, value);
}

static const struct replica_member *by_pool(const struct replica *replica, const char *value)
{
    return replica_find(replica, REPLICA_SUBNETS_BY_POOL, value);
}

static const struct indexed_filter indexed_filters[] = {
    {"network_id", replica_subnets_by_network},
    {"subnetpool_id", by_pool},
    {"name", by_name},
    {NULL, NULL},
};

static const struct network *network_of(const struct request *request, const struct subnet *subnet)
{
    return replica_network(request_api(request)->replica, subnet->network_id);
}

static bool is_visible(const struct request *request, const struct object *object)
{
    const struct network *network = network_of(request, (const struct subnet *)object);

    return network && (network->shared || resource_is_own(request, &network->object));
}

static bool may_delete(const struct request *request, const struct object *object)
{
    const struct network *network = network_of(request, (const struct subnet *)object);

    return network && resource_is_own(request, &network->object);
}

static bool is_family(const struct subnet *subnet, const struct ip_address *address)
{
    return ip_is_v4(address) == (subnet->ip_version == 4);
}

static int check_cidr(struct change *change, const struct subnet *subnet)
{
    char text[PREFIX_TEXT_SIZE];
    struct ip_address loopback6 = {.bytes = {[15] = 1}};

    prefix_format(&subnet->cidr, text);
    if (!is_family(subnet, &subnet->cidr.address))
        return INVALID("cidr", "'%s' does not match the ip_version '%u'", text, subnet->ip_version);
    if (subnet->cidr.length == 0)
        return INVALID("cidr", "'%s': 0 is not allowed as CIDR prefix length", text);
    if (ip_is_multicast(&subnet->cidr.address))
        return INVALID("cidr", "'%s' is a multicast prefix", text);
    if ((subnet->ip_version == 4 && subnet->cidr.address.bytes[12] == 127) ||
        (subnet->ip_version == 6 && prefix_contains(&subnet->cidr, &loopback6)))
        return INVALID("cidr", "'%s' is a loopback prefix", text);
    if (subnet->enable_dhcp && prefix_bits(&subnet->cidr) >= 127)
        return INVALID("cidr", "'%s' has a prefix length that is incompatible with DHCP service enabled", text);
    return 0;
}

static int check_ipv6_modes(struct change *change, const struct subnet *subnet)
{
    char text[PREFIX_TEXT_SIZE];

    if (subnet->ipv6_ra_mode == IPV6_MODE_NONE && subnet->ipv6_address_mode == IPV6_MODE_NONE)
        return 0;
    if (subnet->ip_version == 4)
        return INVALID(subnet->ipv6_ra_mode ? "ipv6_ra_mode" : "ipv6_address_mode", "it is not valid when ip_version is 4");
    if (!subnet->enable_dhcp)
        return INVALID("enable_dhcp", "'false': ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False");
    if (subnet->ipv6_ra_mode && subnet->ipv6_address_mode && subnet->ipv6_ra_mode != subnet->ipv6_address_mode)
        return INVALID("ipv6_ra_mode", "if ipv6_ra_mode and ipv6_address_mode are both set, they must be the same value");
    if (subnet_is_auto_address(subnet) && subnet->cidr.length != 64)
        return INVALID("cidr", "'%s': addresses in the EUI-64 format require the prefix to be /64",
                       prefix_format(&subnet->cidr, text));
    return 0;
}

static int check_gateway(struct change *change, const struct subnet *subnet)
{
    char text[IP_TEXT_SIZE];

    if (!subnet->has_gateway)
        return 0;
    ip_format(&subnet->gateway, text);
    if (!is_family(subnet, &subnet->gateway))
        return INVALID("gateway_ip", "'%s' does not match the ip_version '%u'", text, subnet->ip_version);
    if (ip_is_multicast(&subnet->gateway))
        return INVALID("gateway_ip", "'%s' is a multicast address", text);
    if (prefix_contains(&subnet->cidr, &subnet->gateway) && !subnet_has_host_address(subnet, &subnet->gateway))
        return INVALID("gateway_ip", "'%s': Gateway is not valid on subnet", text);
    for (size_t i = 0; i < subnet->n_allocation_pools; i++) {
        const struct ip_range *pool = &subnet->allocation_pools[i];
        char first[IP_TEXT_SIZE], last[IP_TEXT_SIZE];

        if (ip_compare(&pool->first, &subnet->gateway) <= 0 && ip_compare(&subnet->gateway, &pool->last) <= 0)
            return error_set_type(change->error, -EBUSY, "GatewayConflictWithAllocationPools", "gateway_ip",
                                  "Gateway ip %s conflicts with allocation pool %s-%s.", text, ip_format(&pool->first, first),
                                  ip_format(&pool->last, last));
    }
    return 0;
}

static int compare_pools(const void *a, const void *b)
{
    return ip_compare(&((const struct ip_range *)a)->first, &((const struct ip_range *)b)->first);
}

static int check_pools(struct change *change, struct subnet *subnet)
{
    char first[IP_TEXT_SIZE], last[IP_TEXT_SIZE], other[IP_TEXT_SIZE], end[IP_TEXT_SIZE], cidr[PREFIX_TEXT_SIZE], field[40];

    for (size_t i = 0; i < subnet->n_allocation_pools; i++) {
        const struct ip_range *pool = &subnet->allocation_pools[i];

        snprintf(field, sizeof field, "allocation_pools[%zu]", i);
        ip_format(&pool->first, first);
        ip_format(&pool->last, last);
        if (!is_family(subnet, &pool->first) || !is_family(subnet, &pool->last) || ip_compare(&pool->first, &pool->last) > 0)
            return error_set_type(change->error, -EINVAL, "InvalidAllocationPool", field,
                                  "The allocation pool %s-%s is not valid.", first, last);
        if (!subnet_has_host_address(subnet, &pool->first) || !subnet_has_host_address(subnet, &pool->last))
            return error_set_type(change->error, -EINVAL, "OutOfBoundsAllocationPool", field,
                                  "The allocation pool %s-%s spans beyond the subnet cidr %s.", first, last,
                                  prefix_format(&subnet->cidr, cidr));
    }
    if (subnet->n_allocation_pools > 1)
        qsort(subnet->allocation_pools, subnet->n_allocation_pools, sizeof *subnet->allocation_pools, compare_pools);
    for (size_t i = 1; i < subnet->n_allocation_pools; i++) {
        const struct ip_range *a = &subnet->allocation_pools[i - 1], *b = &subnet->allocation_pools[i];

        if (ip_compare(&a->last, &b->first) >= 0)
            return error_set_type(change->error, -EBUSY, "OverlappingAllocationPools", "allocation_pools",
                                  "Found overlapping allocation pools: %s-%s %s-%s for subnet %s.", ip_format(&a->first, first),
                                  ip_format(&a->last, last), ip_format(&b->first, other), ip_format(&b->last, end),
                                  prefix_format(&subnet->cidr, cidr));
    }
    return 0;
}

/* All that hosts can have, but the gateway. */
static int generate_pools(struct subnet *subnet)
{
    struct ip_address first = subnet_first_host(subnet), last = subnet_last_host(subnet);
    struct ip_range *pools = calloc(2, sizeof *pools);
    size_t n = 0;

    if (!pools)
        return -ENOMEM;
    if (!subnet->has_gateway || !subnet_has_host_address(subnet, &subnet->gateway)) {
        pools[n++] = (struct ip_range){first, last};
    } else {
        if (!ip_equal(&subnet->gateway, &first))
            pools[n++] = (struct ip_range){first, ip_add(&subnet->gateway, -1)};
        if (!ip_equal(&subnet->gateway, &last))
            pools[n++] = (struct ip_range){ip_add(&subnet->gateway, 1), last};
    }
    free(subnet->allocation_pools);
    subnet->allocation_pools = pools;
    subnet->n_allocation_pools = n;
    return 0;
}

static int check_routes(struct change *change, const struct subnet *subnet)
{
    char field[60], text[PREFIX_TEXT_SIZE];

    for (size_t i = 0; i < subnet->n_host_routes; i++) {
        const struct host_route *route = &subnet->host_routes[i];

        snprintf(field, sizeof field, "host_routes[%zu].destination", i);
        if (!is_family(subnet, &route->destination.address))
            return INVALID(field, "'%s' does not match the ip_version '%u'", prefix_format(&route->destination, text),
                           subnet->ip_version);
        snprintf(field, sizeof field, "host_routes[%zu].nexthop", i);
        if (!is_family(subnet, &route->next_hop))
            return INVALID(field, "'%s' does not match the ip_version '%u'", ip_format(&route->next_hop, text),
                           subnet->ip_version);
    }
    return 0;
}

static int check_overlap(struct change *change, const struct subnet *subnet)
{
    char text[PREFIX_TEXT_SIZE], other[PREFIX_TEXT_SIZE];
    const struct subnet *found = NULL;

    REPLICA_FOREACH (member, replica_subnets_by_network(request_api(change->request)->replica, subnet->network_id))
        if (prefix_overlaps(&((const struct subnet *)member->object)->cidr, &subnet->cidr))
            found = (const struct subnet *)member->object;
    for (const struct object *object = NULL; (object = plan_created(change->plan, RESOURCE_SUBNET, object));) {
        const struct subnet *created = (const struct subnet *)object;

        if (created != subnet && streq(created->network_id, subnet->network_id) && prefix_overlaps(&created->cidr, &subnet->cidr))
            found = created;
    }
    if (!found)
        return 0;
    return INVALID("cidr", "Requested subnet with cidr: %s for network: %s overlaps with another subnet: %s (%s)",
                   prefix_format(&subnet->cidr, text), subnet->network_id, found->object.id, prefix_format(&found->cidr, other));
}

/* Ports that are there take part in stateless autoconfiguration at once; those to come see the subnet. */
static int add_auto_addresses(struct change *change, const struct subnet *subnet)
{
    const struct replica_member *ports = replica_ports_by_network(request_api(change->request)->replica, subnet->network_id);
    int r;

    REPLICA_FOREACH (member, ports) {
        struct port *port;

        if (port_is_router_interface((const struct port *)member->object) || port_is_floating_ip((const struct port *)member->object))
            continue;
        port = (struct port *)plan_edit(change->plan, member->object);
        r = port ? port_add_auto_address(change->plan, port, subnet) : -ENOMEM;
        if (r < 0)
            return r;
    }
    return ports_require_only(change->plan, subnet->network_id, ports);
}

static int create(struct change *change)
{
    struct subnet *subnet = (struct subnet *)change->after;
    const struct network *network = change_find_network(change, subnet->network_id);
    int r;

    if (!network)
        return -ENOENT;
    if (!resource_is_own(change->request, &network->object))
        return error_set_type(change->error, -EPERM, "PolicyNotAuthorized", "network_id",
                              "only an administrator or the owner of network %s may add a subnet", network->object.id);
    if ((r = subnet_allocate(change, subnet)) < 0 || (r = check_cidr(change, subnet)) < 0 || (r = check_ipv6_modes(change, subnet)) < 0)
        return r;
    if (!change_gives(change, "gateway_ip") && prefix_bits(&subnet->cidr) < 128) {
        subnet->gateway = prefix_first(&subnet->cidr);
        subnet->gateway = ip_add(&subnet->gateway, 1);
        subnet->has_gateway = true;
    }
    r = change_gives(change, "allocation_pools") ? check_pools(change, subnet) : generate_pools(subnet);
    if (r < 0 || (r = check_gateway(change, subnet)) < 0 || (r = check_routes(change, subnet)) < 0 ||
        (r = check_overlap(change, subnet)) < 0)
        return r;
    if (!plan_edit(change->plan, &network->object))
        return -ENOMEM;
    if (subnet_is_auto_address(subnet) && (r = add_auto_addresses(change, subnet)) < 0)
        return r;
    return network->is_external ? routed_check_external_subnet(change, subnet) : 0;
}

/* A router's interface has the address, and workloads were told it. */
static int check_gateway_is_unused(struct change *change, const struct subnet *after)
{
    const struct subnet *before = (const struct subnet *)change->before;
    const struct port *port;
    char text[IP_TEXT_SIZE], key[IPAM_KEY_SIZE];

    if (!before->has_gateway || (after->has_gateway && ip_equal(&before->gateway, &after->gateway)))
        return 0;
    port = replica_port_by_address(request_api(change->request)->replica, before->object.id, &before->gateway);
    if (port && port_is_router_interface(port))
        return error_set_type(change->error, -EBUSY, "GatewayIpInUse", "gateway_ip",
                              "Current gateway ip %s already in use by port %s. Unable to update.", ip_format(&before->gateway, text),
                              port->object.id);
    if (!port) /* A router may just be taking it. */
        plan_require_absent(change->plan, ipam_key(before->object.id, &before->gateway, key));
    return 0;
}

static int update(struct change *change)
{
    struct subnet *subnet = (struct subnet *)change->after;
    int r;

    if ((change_gives(change, "enable_dhcp") && ((r = check_cidr(change, subnet)) < 0 || (r = check_ipv6_modes(change, subnet)) < 0)) ||
        (change_gives(change, "allocation_pools") && (r = check_pools(change, subnet)) < 0) ||
        ((change_gives(change, "gateway_ip") || change_gives(change, "allocation_pools")) && (r = check_gateway(change, subnet)) < 0) ||
        (r = check_routes(change, subnet)) < 0)
        return r;
    return change_gives(change, "gateway_ip") ? check_gateway_is_unused(change, subnet) : 0;
}

/* Addresses that workloads made up themselves (SLAAC) and those of ports that only serve the network go with it. */
static int delete_subnet(struct change *change)
{
    const struct subnet *subnet = (const struct subnet *)change->before;
    const struct replica *replica = request_api(change->request)->replica;
    const struct network *network = network_of(change->request, subnet);
    const struct replica_member *ports = replica_ports_by_subnet(replica, subnet->object.id);
    int r;

    REPLICA_FOREACH (member, ports) {
        const struct port *port = (const struct port *)member->object;

        if (port_is_router_interface(port) || !(subnet_is_auto_address(subnet) || port_is_auto_deleted(port)))
            return error_set_type(change->error, -EBUSY, "SubnetInUse", NULL,
                                  "Unable to complete operation on subnet %s: One or more ports have an IP allocation from this "
                                  "subnet, such as port %s.", subnet->object.id, port->object.id);
    }
    if ((r = subnet_require_addresses(change->plan, subnet)) < 0)
        return r;
    REPLICA_FOREACH (member, ports)
        port_remove_subnet(change->plan, (const struct port *)member->object, subnet->object.id);
    plan_end_turns(change->plan, TURN_SUBNET, subnet->object.id);
    return network && !plan_edit(change->plan, &network->object) ? -ENOMEM : 0;
}

const struct resource subnet_resource = {
    .schema = &subnet_schema,
    .computed = computed,
    .indexed_filters = indexed_filters,
    .not_found = "SubnetNotFound",
    .title = "Subnet",
    .is_visible = is_visible,
    .may_delete = may_delete,
    .create = create,
    .update = update,
    .delete = delete_subnet,
};
