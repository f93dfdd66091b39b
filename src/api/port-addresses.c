/* The addresses of ports: what is asked for, by default, and what follows from MAC addresses. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/ipam.h"
#include "weft/api/nat.h"
#include "weft/api/ports.h"
#include "weft/base/util.h"

#define INVALID(field, ...) error_set_type(change->error, -EINVAL, "InvalidInput", field, __VA_ARGS__)

static const struct ip_address no_address;

/* The network's subnets, oldest first. */
struct subnets {
    const struct subnet **list;
    size_t n;
};

static int compare_age(const void *a, const void *b)
{
    const struct subnet *x = *(const struct subnet *const *)a, *y = *(const struct subnet *const *)b;

    if (x->object.created_at_s != y->object.created_at_s)
        return x->object.created_at_s < y->object.created_at_s ? -1 : 1;
    return strcmp(x->object.id, y->object.id);
}

static int subnets_of(const struct change *change, const char *network_id, struct subnets *ret)
{
    const struct replica *replica = request_api(change->request)->replica;
    size_t n = replica_count_by_network(replica, RESOURCE_SUBNET, network_id), i = 0;

    ret->list = calloc(n + 1, sizeof *ret->list);
    if (!ret->list)
        return -ENOMEM;
    REPLICA_FOREACH (member, replica_subnets_by_network(replica, network_id))
        if (i < n)
            ret->list[i++] = (const struct subnet *)member->object;
    ret->n = i;
    if (i > 1)
        qsort(ret->list, i, sizeof *ret->list, compare_age);
    return 0;
}

/* A port's addresses while they are put together. */
struct assignment {
    struct change *change;
    struct port *port;
    const struct port *before; /* NULL at creation. */
    struct subnets subnets;
    const struct fixed_ip *wanted;
    size_t n_wanted;
    struct fixed_ip *result;
    size_t n_result;
};

bool fixed_ips_have(const struct fixed_ip *list, size_t n, const char *subnet_id, const struct ip_address *address)
{
    for (size_t i = 0; i < n; i++)
        if (streq(list[i].subnet_id, subnet_id) && (!address || ip_equal(&list[i].address, address)))
            return true;
    return false;
}

static bool had(const struct assignment *assignment, const char *subnet_id, const struct ip_address *address)
{
    return assignment->before &&
           fixed_ips_have(assignment->before->fixed_ips, assignment->before->n_fixed_ips, subnet_id, address);
}

static void append(struct assignment *assignment, const struct subnet *subnet, const struct ip_address *address)
{
    struct fixed_ip *fixed_ip = &assignment->result[assignment->n_result++];

    string_copy(fixed_ip->subnet_id, sizeof fixed_ip->subnet_id, subnet->object.id);
    fixed_ip->address = *address;
}

/* Takes this address of this subnet. */
static int take(struct assignment *assignment, const struct subnet *subnet, const struct ip_address *address)
{
    struct change *change = assignment->change;
    char text[IP_TEXT_SIZE];
    int r;

    plan_guard(change->plan, &subnet->object);
    if (!had(assignment, subnet->object.id, address)) {
        r = plan_reserve_address(change->plan, subnet, address);
        if (r == -EEXIST)
            return error_set_type(change->error, -EBUSY, "IpAddressAlreadyAllocated", "fixed_ips",
                                  "IP address %s already allocated in subnet %s", ip_format(address, text), subnet->object.id);
        if (r < 0)
            return r;
    }
    append(assignment, subnet, address);
    return 0;
}

/* Takes any address of the subnet's pools.  -ENOSPC when there is none. */
static int take_any(struct assignment *assignment, const struct subnet *subnet)
{
    struct ip_address address;
    int r;

    plan_guard(assignment->change->plan, &subnet->object);
    /* An update that names only the subnet keeps the address the port has there. */
    for (size_t i = 0; assignment->before && i < assignment->before->n_fixed_ips; i++) {
        const struct fixed_ip *old = &assignment->before->fixed_ips[i];

        if (streq(old->subnet_id, subnet->object.id) &&
            !fixed_ips_have(assignment->result, assignment->n_result, old->subnet_id, &old->address) &&
            !fixed_ips_have(assignment->wanted, assignment->n_wanted, old->subnet_id, &old->address)) {
            append(assignment, subnet, &old->address);
            return 0;
        }
    }
    r = plan_choose_address(assignment->change->plan, subnet, &address);
    if (r == 0)
        append(assignment, subnet, &address);
    return r;
}

static const struct subnet *subnet_by_id(const struct assignment *assignment, const char *id)
{
    for (size_t i = 0; i < assignment->subnets.n; i++)
        if (streq(assignment->subnets.list[i]->object.id, id))
            return assignment->subnets.list[i];
    return NULL;
}

static const struct subnet *subnet_by_address(const struct assignment *assignment, const struct ip_address *address)
{
    for (size_t i = 0; i < assignment->subnets.n; i++)
        if (prefix_contains(&assignment->subnets.list[i]->cidr, address))
            return assignment->subnets.list[i];
    return NULL;
}

/* One element of the fixed_ips that were asked for. */
static int take_wanted(struct assignment *assignment, size_t index)
{
    const struct fixed_ip *wanted = &assignment->wanted[index];
    struct change *change = assignment->change;
    bool has_address = !ip_equal(&wanted->address, &no_address);
    const struct subnet *subnet;
    struct ip_address own;
    char field[40], text[IP_TEXT_SIZE];
    int r;

    snprintf(field, sizeof field, "fixed_ips[%zu]", index);
    if (!wanted->subnet_id[0] && !has_address)
        return INVALID(field, "it names neither a subnet_id nor an ip_address");
    subnet = wanted->subnet_id[0] ? subnet_by_id(assignment, wanted->subnet_id) : subnet_by_address(assignment, &wanted->address);
    if (!subnet && wanted->subnet_id[0])
        return INVALID(field, "the subnet_id '%s' is not a subnet of network %s", wanted->subnet_id, assignment->port->network_id);
    if (!subnet)
        return error_set_type(change->error, -EINVAL, "InvalidIpForNetwork", field,
                              "IP address %s is not a valid IP for any of the subnets on the specified network.",
                              ip_format(&wanted->address, text));
    own = subnet_is_auto_address(subnet) ? ip_from_eui64(&subnet->cidr, &assignment->port->mac) : no_address;
    if (!has_address) {
        r = subnet_is_auto_address(subnet) && !port_is_router_interface(assignment->port) ? take(assignment, subnet, &own)
                                                                                           : take_any(assignment, subnet);
        if (r == -ENOSPC)
            return error_set_type(change->error, -EBUSY, "IpAddressGenerationFailureForSubnet", field,
                                  "No more IP addresses available for subnet %s.", subnet->object.id);
        return r;
    }
    if (!subnet_has_host_address(subnet, &wanted->address))
        return error_set_type(change->error, -EINVAL, "InvalidIpForSubnet", field,
                              "IP address %s is not a valid IP for the specified subnet.", ip_format(&wanted->address, text));
    if (subnet_is_auto_address(subnet) && !port_is_router_interface(assignment->port) && !ip_equal(&own, &wanted->address))
        return error_set_type(change->error, -EINVAL, "AllocationOnAutoAddressSubnet", field,
                              "IPv6 address %s cannot be directly assigned to a port on subnet %s as the subnet is configured for "
                              "automatic addresses", ip_format(&wanted->address, text), subnet->object.id);
    if (fixed_ips_have(assignment->result, assignment->n_result, subnet->object.id, &wanted->address))
        return error_set(change->error, -EINVAL, field, "Duplicate IP address '%s'", ip_format(&wanted->address, text));
    return take(assignment, subnet, &wanted->address);
}

/* Nothing was asked for: one address of each family, from the first subnet that has one. */
static int take_default(struct assignment *assignment, int ip_version)
{
    bool exists = false;
    int r;

    for (size_t i = 0; i < assignment->subnets.n; i++) {
        const struct subnet *subnet = assignment->subnets.list[i];

        if (subnet->ip_version != ip_version || subnet_is_auto_address(subnet))
            continue;
        exists = true;
        r = take_any(assignment, subnet);
        if (r != -ENOSPC)
            return r;
    }
    if (!exists)
        return 0;
    return error_set_type(assignment->change->error, -EBUSY, "IpAddressGenerationFailure", NULL,
                          "No more IP addresses available on network %s.", assignment->port->network_id);
}

/* Where workloads form their own addresses they have them, asked for or not. */
static int take_implied(struct assignment *assignment)
{
    int r;

    if (port_is_router_interface(assignment->port) || port_is_floating_ip(assignment->port))
        return 0;
    for (size_t i = 0; i < assignment->subnets.n; i++) {
        const struct subnet *subnet = assignment->subnets.list[i];
        struct ip_address address;

        if (!subnet_is_auto_address(subnet) || fixed_ips_have(assignment->result, assignment->n_result, subnet->object.id, NULL))
            continue;
        address = ip_from_eui64(&subnet->cidr, &assignment->port->mac);
        if ((r = take(assignment, subnet, &address)) < 0)
            return r;
    }
    return 0;
}

/* Sets the port's fixed_ips: from what its body asks for, or, when 'is_given' is false, by default. */
int port_assign_addresses(struct change *change, struct port *port, bool is_given)
{
    struct assignment assignment = {
        .change = change,
        .port = port,
        .before = (const struct port *)change->before,
        .wanted = port->fixed_ips,
        .n_wanted = port->n_fixed_ips,
    };
    char key[IPAM_KEY_SIZE];
    int r = subnets_of(change, port->network_id, &assignment.subnets);

    if (r < 0)
        return r;
    assignment.result = calloc(assignment.n_wanted + assignment.subnets.n + 2, sizeof *assignment.result);
    if (!assignment.result)
        r = -ENOMEM;
    for (size_t i = 0; is_given && i < assignment.n_wanted && r == 0; i++)
        r = take_wanted(&assignment, i);
    if (!is_given && r == 0)
        r = take_default(&assignment, 4);
    if (!is_given && r == 0 && !port_is_floating_ip(port))
        r = take_default(&assignment, 6);
    if (r == 0)
        r = take_implied(&assignment);
    for (size_t i = 0; r == 0 && assignment.before && i < assignment.before->n_fixed_ips; i++) {
        const struct fixed_ip *old = &assignment.before->fixed_ips[i];
        if (!fixed_ips_have(assignment.result, assignment.n_result, old->subnet_id, &old->address))
            plan_remove(change->plan, ipam_key(old->subnet_id, &old->address, key));
    }
    free(assignment.subnets.list);
    if (r < 0) {
        free(assignment.result);
        return r;
    }
    free(port->fixed_ips);
    port->fixed_ips = assignment.result;
    port->n_fixed_ips = assignment.n_result;
    if (assignment.before)
        nat_port_changed(change->plan, assignment.before, port);
    return 0;
}

int port_add_auto_address(struct plan *plan, struct port *port, const struct subnet *subnet)
{
    struct ip_address address = ip_from_eui64(&subnet->cidr, &port->mac);
    struct fixed_ip *more = realloc(port->fixed_ips, (port->n_fixed_ips + 1) * sizeof *more);
    int r;

    if (!more)
        return -ENOMEM;
    port->fixed_ips = more;
    if ((r = plan_reserve_address(plan, subnet, &address)) < 0)
        return r;
    memset(&more[port->n_fixed_ips], 0, sizeof *more);
    string_copy(more[port->n_fixed_ips].subnet_id, sizeof more->subnet_id, subnet->object.id);
    more[port->n_fixed_ips++].address = address;
    return 0;
}

void port_remove_subnet(struct plan *plan, const struct port *before, const char *subnet_id)
{
    struct port *port = (struct port *)plan_edit(plan, &before->object);
    char key[IPAM_KEY_SIZE];
    size_t kept = 0;

    for (size_t i = 0; port && i < port->n_fixed_ips; i++) {
        if (streq(port->fixed_ips[i].subnet_id, subnet_id))
            plan_remove(plan, ipam_key(subnet_id, &port->fixed_ips[i].address, key));
        else
            port->fixed_ips[kept++] = port->fixed_ips[i];
    }
    if (port) {
        port->n_fixed_ips = kept;
        nat_port_changed(plan, before, port);
    }
}
