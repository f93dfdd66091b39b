/* A router's interfaces: PUT /v2.0/routers/{id}/add_router_interface and remove_router_interface.
 *
 *     {"subnet_id": S}   a port is made, with the subnet's gateway address; several IPv6 subnets of one network share a port
 *     {"port_id": P}     that port becomes the interface */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/nat.h"
#include "weft/api/ports.h"
#include "weft/api/routed-prefixes.h"
#include "weft/api/routers.h"
#include "weft/api/security.h"
#include "weft/api/subnet-pools.h"
#include "weft/api/turns.h"
#include "weft/base/util.h"

struct interface {
    struct change *change;
    const struct router *router;
    const char *subnet_id, *port_id; /* What the body names; NULL when it does not. */
    struct router_ports ports;       /* Before. */
    const struct port *port;         /* Found, or made. */
    const struct subnet **subnets;   /* What came or went, the last one answered as subnet_id. */
    size_t n_subnets;
};

static int read_body(struct interface *interface, const json_t *body)
{
    const char *key;
    json_t *value;

    if (!json_is_object(body))
        return BAD_ROUTER(interface->change->error, "Either subnet_id or port_id must be specified");
    json_object_foreach ((json_t *)body, key, value) {
        if (!streq(key, "subnet_id") && !streq(key, "port_id"))
            return error_set(interface->change->error, -EINVAL, key, "Unrecognized attribute(s) '%.100s'", key);
        if (!json_is_string(value))
            return error_set(interface->change->error, -EINVAL, key, "it is not the id of a %s", *key == 's' ? "subnet" : "port");
    }
    interface->subnet_id = json_string_value(json_object_get(body, "subnet_id"));
    interface->port_id = json_string_value(json_object_get(body, "port_id"));
    if (!interface->subnet_id && !interface->port_id)
        return BAD_ROUTER(interface->change->error, "Either subnet_id or port_id must be specified");
    return 0;
}

static int add_subnet(struct interface *interface, const struct subnet *subnet)
{
    const struct subnet **more = realloc(interface->subnets, (interface->n_subnets + 1) * sizeof *more);

    if (!more)
        return -ENOMEM;
    interface->subnets = more;
    interface->subnets[interface->n_subnets++] = subnet;
    return 0;
}

static bool has_subnet(const struct port *port, const char *subnet_id)
{
    for (size_t i = 0; i < port->n_fixed_ips; i++)
        if (streq(port->fixed_ips[i].subnet_id, subnet_id))
            return true;
    return false;
}

static bool has_ipv6(const struct port *port)
{
    for (size_t i = 0; i < port->n_fixed_ips; i++)
        if (!ip_is_v4(&port->fixed_ips[i].address))
            return true;
    return false;
}

static bool is_interface(const struct port *port)
{
    return streq(port->device_owner, DEVICE_ROUTER_INTERFACE);
}

/* The one that IPv6 subnets of the network share; NULL while there is none. */
static const struct port *find_ipv6_port(const struct interface *interface, const char *network_id)
{
    for (size_t i = 0; i < interface->ports.n; i++) {
        const struct port *port = interface->ports.list[i];

        if (is_interface(port) && streq(port->network_id, network_id) && has_ipv6(port))
            return port;
    }
    return NULL;
}

/* ---- adding ------------------------------------------------------------------------------------------------------ */

static int check_subnet(struct interface *interface, const struct subnet *subnet)
{
    struct change *change = interface->change;
    const struct network *network = replica_network(request_api(change->request)->replica, subnet->network_id);

    if (!network)
        return -ENOENT;
    plan_guard(change->plan, &network->object);
    plan_guard(change->plan, &subnet->object);
    plan_take_turn(change->plan, TURN_SUBNET, subnet->object.id);
    if (!subnet->has_gateway)
        return BAD_ROUTER(change->error, "Subnet for router interface must have a gateway IP");
    if (!resource_is_own(change->request, &subnet->object) && !resource_is_own(change->request, &network->object))
        return BAD_ROUTER(change->error, "Cannot add interface to router because subnet %s is not owned by project making the request",
                          subnet->object.id);
    if (subnet->ip_version == 6 && !subnet->ipv6_ra_mode && subnet->ipv6_address_mode)
        return BAD_ROUTER(change->error, "IPv6 subnet %s configured to receive RAs from an external router cannot be added to Neutron Router",
                          subnet->object.id);
    if (!subnet_has_host_address(subnet, &subnet->gateway)) /* Routers stand on their links. */
        return BAD_ROUTER(change->error, "The gateway IP of subnet %s is not an address of it", subnet->object.id);
    return router_check_subnet(change, &interface->ports, subnet);
}

/* One more address of the port that is there. */
static int extend_port(struct interface *interface, const struct port *port, const struct fixed_ip *fixed_ip)
{
    struct fixed_ip *wanted = calloc(port->n_fixed_ips + 1, sizeof *wanted);
    int r;

    if (!wanted)
        return -ENOMEM;
    memcpy(wanted, port->fixed_ips, port->n_fixed_ips * sizeof *wanted);
    wanted[port->n_fixed_ips] = *fixed_ip;
    interface->port = port;
    r = port_plan_readdress(interface->change, port, wanted, port->n_fixed_ips + 1, "subnet_id");
    free(wanted);
    return r;
}

static int make_port(struct interface *interface, const struct subnet *subnet, const struct fixed_ip *fixed_ip)
{
    const struct object *router = &interface->router->object;
    struct port *port = port_of_device(DEVICE_ROUTER_INTERFACE, router->id, subnet->network_id, router->project_id);

    if (!port)
        return -ENOMEM;
    port->fixed_ips = calloc(1, sizeof *port->fixed_ips);
    if (!port->fixed_ips) {
        object_free(&port->object);
        return -ENOMEM;
    }
    port->fixed_ips[0] = *fixed_ip;
    port->n_fixed_ips = 1;
    interface->port = port;
    return port_plan_create(interface->change, port, true, "subnet_id");
}

static int add_by_subnet(struct interface *interface)
{
    struct change *change = interface->change;
    const struct subnet *subnet =
        (const struct subnet *)resource_find(&subnet_resource, change->request, interface->subnet_id, change->error);
    const struct port *port;
    struct fixed_ip fixed_ip = {0};
    int r;

    if (!subnet)
        return -ENOENT;
    if ((r = check_subnet(interface, subnet)) < 0 || (r = add_subnet(interface, subnet)) < 0)
        return r;
    string_copy(fixed_ip.subnet_id, sizeof fixed_ip.subnet_id, subnet->object.id);
    fixed_ip.address = subnet->gateway;
    port = subnet->ip_version == 6 ? find_ipv6_port(interface, subnet->network_id) : NULL;
    return port ? extend_port(interface, port, &fixed_ip) : make_port(interface, subnet, &fixed_ip);
}

/* An address that was chosen by somebody who may not choose addresses of the subnet (l3_db's _validate_port_in_range_or_admin). */
static int check_address(struct interface *interface, const struct port *port, const struct subnet *subnet, const struct ip_address *address)
{
    if (resource_is_own(interface->change->request, &subnet->object))
        return 0;
    for (size_t i = 0; i < subnet->n_allocation_pools; i++)
        if (ip_compare(&subnet->allocation_pools[i].first, address) <= 0 && ip_compare(address, &subnet->allocation_pools[i].last) <= 0)
            return 0;
    return BAD_ROUTER(interface->change->error,
                      "Cannot add interface to router because specified port %s has an IP address out of the allocation pool of subnet %s, "
                      "which is not owned by the project making the request", port->object.id, subnet->object.id);
}

static int check_port(struct interface *interface, const struct port *port)
{
    struct error *error = interface->change->error;
    const struct port *other = find_ipv6_port(interface, port->network_id);
    size_t n_v4 = 0;
    int r;

    if (port->device_id && *port->device_id)
        return error_set_type(error, -EBUSY, "PortInUse", NULL,
                              "Unable to complete operation on port %s for network %s. Port already has an attached device %s.",
                              port->object.id, port->network_id, port->device_id);
    if (port->binding_host_id && *port->binding_host_id)
        return error_set_type(error, -EBUSY, "PortBound", NULL,
                              "Unable to complete operation on port %s, port is already bound to host %s.", port->object.id,
                              port->binding_host_id);
    if (port->n_fixed_ips == 0)
        return BAD_ROUTER(error, "Router port must have at least one fixed IP");
    for (size_t i = 0; i < port->n_fixed_ips; i++) {
        const struct subnet *subnet = router_subnet(interface->change, &port->fixed_ips[i]);

        if (!subnet)
            return -ENOENT;
        plan_guard(interface->change->plan, &subnet->object);
        plan_take_turn(interface->change->plan, TURN_SUBNET, subnet->object.id);
        n_v4 += subnet->ip_version == 4;
        if ((r = router_check_subnet(interface->change, &interface->ports, subnet)) < 0 ||
            (r = check_address(interface, port, subnet, &port->fixed_ips[i].address)) < 0 || (r = add_subnet(interface, subnet)) < 0)
            return r;
    }
    if (n_v4 > 1)
        return BAD_ROUTER(error, "Cannot have multiple IPv4 subnets on router port");
    if (has_ipv6(port) && other)
        return BAD_ROUTER(error, "Router already contains IPv6 port %s belonging to network id %s. Only one IPv6 port from the same network "
                          "subnet can be connected to a router", other->object.id, port->network_id);
    return 0;
}

/* An interface on an external network would be a way past translation, into what is behind others' gateways there. */
static int check_network(struct change *change, const struct port *port)
{
    const struct object *network = replica_get(request_api(change->request)->replica, RESOURCE_NETWORK, port->network_id);

    if (network && ((const struct network *)network)->is_external && !resource_is_own(change->request, network))
        return BAD_ROUTER(change->error, "Cannot add interface to router because network %s of port %s is external; set it as the router's gateway",
                          port->network_id, port->object.id);
    return 0;
}

static int add_by_port(struct interface *interface)
{
    struct change *change = interface->change;
    const struct port *port = (const struct port *)resource_find(&port_resource, change->request, interface->port_id, change->error);
    struct port *after;
    int r;

    if (!port)
        return -ENOENT;
    if (!resource_is_own(change->request, &port->object))
        return error_set_type(change->error, -EPERM, "PolicyNotAuthorized", NULL,
                              "Port %s belongs to another project: only its owner can make it a router's.", port->object.id);
    if ((r = check_network(change, port)) < 0)
        return r;
    interface->port = port;
    if ((r = check_port(interface, port)) < 0)
        return r;
    after = (struct port *)plan_edit(change->plan, &port->object);
    if (!after)
        return -ENOMEM;
    free(after->device_id);
    free(after->device_owner);
    after->device_id = strdup(interface->router->object.id);
    after->device_owner = strdup(DEVICE_ROUTER_INTERFACE);
    security_leave(change->plan, after);
    return after->device_id && after->device_owner ? 0 : -ENOMEM;
}

static int add(struct interface *interface)
{
    int r;

    if (interface->subnet_id && interface->port_id)
        return BAD_ROUTER(interface->change->error, "Cannot specify both subnet-id and port-id");
    r = interface->subnet_id ? add_by_subnet(interface) : add_by_port(interface);
    return r < 0 ? r : routed_check_router(interface->change, interface->router, interface->router, interface->subnet_id ? "subnet_id" : "port_id");
}

/* ---- removing ---------------------------------------------------------------------------------------------------- */

static int find_port(struct interface *interface)
{
    struct error *error = interface->change->error;
    const char *router_id = interface->router->object.id;

    for (size_t i = 0; i < interface->ports.n; i++) {
        const struct port *port = interface->ports.list[i];

        if (is_interface(port) &&
            (interface->port_id ? streq(port->object.id, interface->port_id) : has_subnet(port, interface->subnet_id)))
            interface->port = port;
    }
    if (interface->port && interface->port_id && interface->subnet_id && !has_subnet(interface->port, interface->subnet_id))
        return error_set_type(error, -EINVAL, "SubnetMismatchForPort", NULL, "Subnet on port %s does not match the requested subnet %s.",
                              interface->port_id, interface->subnet_id);
    if (interface->port)
        return 0;
    if (interface->port_id)
        return error_set_type(error, -ENOENT, "RouterInterfaceNotFound", NULL, "Router %s does not have an interface with id %.100s",
                              router_id, interface->port_id);
    if (!resource_find(&subnet_resource, interface->change->request, interface->subnet_id, error))
        return -ENOENT;
    return error_set_type(error, -ENOENT, "RouterInterfaceNotFoundForSubnet", NULL, "Router %s has no interface on subnet %.100s", router_id,
                          interface->subnet_id);
}

static int check_unused(struct interface *interface, const struct subnet *subnet)
{
    if (nat_uses_router(interface->change->plan, interface->router, subnet))
        return error_set_type(interface->change->error, -EBUSY, "RouterInterfaceInUseByFloatingIP", NULL,
                              "Router interface for subnet %s on router %s cannot be deleted, as it is required by one or more floating IPs.",
                              subnet->object.id, interface->router->object.id);
    return router_check_subnet_unused(interface->change, interface->router, subnet);
}

/* By its subnet only that goes from a port that several share. */
static int remove_found(struct interface *interface)
{
    const struct port *port;
    bool is_whole;
    int r;

    if ((r = find_port(interface)) < 0)
        return r;
    port = interface->port;
    is_whole = interface->port_id || port->n_fixed_ips == 1;
    for (size_t i = 0; i < port->n_fixed_ips; i++) {
        const struct subnet *subnet = router_subnet(interface->change, &port->fixed_ips[i]);

        if (!subnet || (!is_whole && !streq(subnet->object.id, interface->subnet_id)))
            continue;
        if ((r = check_unused(interface, subnet)) < 0 || (r = add_subnet(interface, subnet)) < 0)
            return r;
    }
    if (is_whole)
        port_plan_delete(interface->change->plan, port);
    else
        port_remove_subnet(interface->change->plan, port, interface->subnet_id);
    return 0;
}

/* ---- both -------------------------------------------------------------------------------------------------------- */

static json_t *encode(const struct interface *interface)
{
    json_t *ids = json_array();
    const struct port *port = interface->port;

    for (size_t i = 0; i < interface->n_subnets; i++)
        json_array_append_new(ids, json_string(interface->subnets[i]->object.id));
    return json_pack("{ss ss ss ss ss ss so}", "id", interface->router->object.id, "tenant_id", port->object.project_id, "project_id",
                     port->object.project_id, "port_id", port->object.id, "network_id", port->network_id, "subnet_id",
                     interface->n_subnets ? interface->subnets[interface->n_subnets - 1]->object.id : "", "subnet_ids", ids);
}

static void handle(struct request *request, int (*work)(struct interface *interface))
{
    const struct object *router = resource_find_or_fail(request);
    struct error error = {0};
    struct change change;
    struct interface interface = {.change = &change, .router = (const struct router *)router};
    int r;

    if (!router || change_begin(&change, request, router, &error) < 0)
        return;
    r = plan_edit(change.plan, router) ? read_body(&interface, request->body) : -ENOMEM;
    if (r == 0)
        r = router_ports_of(&change, router->id, &interface.ports);
    if (r == 0)
        r = work(&interface);
    if (r < 0)
        change_fail(request, r, &error, "router");
    else
        plan_commit_and_answer(change.plan, encode(&interface));
    router_ports_clear(&interface.ports);
    free(interface.subnets);
}

void router_add_interface(struct request *request)
{
    handle(request, add);
}

void router_remove_interface(struct request *request)
{
    handle(request, remove_found);
}
