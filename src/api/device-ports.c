/* Ports that other resources make: a router's interfaces and gateway, the holder of a floating IP's address.
 *
 * They are ordinary ports, so that addresses, MACs and the use of networks and subnets are counted in one place; but only their
 * device changes what matters of them.  It is known by its id: nobody can choose one, so no port can be made for a device to come. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/ports.h"
#include "weft/base/util.h"

static const char *text_of(const char *text)
{
    return text ? text : "";
}

bool port_is_managed(const struct replica *replica, const struct port *port)
{
    const char *owner = text_of(port->device_owner);

    if (streq(owner, DEVICE_ROUTER_INTERFACE) || streq(owner, DEVICE_ROUTER_GATEWAY))
        return replica_get(replica, RESOURCE_ROUTER, text_of(port->device_id)) != NULL;
    if (streq(owner, DEVICE_LOAD_BALANCER))
        return port_load_balancer_id(port) && replica_get(replica, RESOURCE_LOAD_BALANCER, port_load_balancer_id(port));
    return streq(owner, DEVICE_FLOATING_IP) && replica_get(replica, RESOURCE_FLOATING_IP, text_of(port->device_id)) != NULL;
}

static bool fixed_ips_equal(const struct port *a, const struct port *b)
{
    if (a->n_fixed_ips != b->n_fixed_ips)
        return false;
    for (size_t i = 0; i < a->n_fixed_ips; i++)
        if (!streq(a->fixed_ips[i].subnet_id, b->fixed_ips[i].subnet_id) || !ip_equal(&a->fixed_ips[i].address, &b->fixed_ips[i].address))
            return false;
    return true;
}

int port_check_managed(struct change *change)
{
    const struct replica *replica = request_api(change->request)->replica;
    const struct port *before = (const struct port *)change->before, *after = (const struct port *)change->after;
    const char *field = NULL;

    if (!before || !port_is_managed(replica, before)) {
        if (!port_is_managed(replica, after))
            return 0;
        return error_set_type(change->error, -EBUSY, "DeviceIDNotOwnedByTenant", "device_id",
                              "'%s' is the id of a %s, which makes its ports itself", after->device_id,
                              port_is_floating_ip(after) ? "floating IP" : port_load_balancer_id(after) ? "load balancer" : "router");
    }
    if (!streq(text_of(before->device_id), text_of(after->device_id)))
        field = "device_id";
    else if (!streq(text_of(before->device_owner), text_of(after->device_owner)))
        field = "device_owner";
    else if (!mac_equal(&before->mac, &after->mac))
        field = "mac_address";
    else if (!fixed_ips_equal(before, after))
        field = "fixed_ips";
    else if (!streq(text_of(before->binding_host_id), text_of(after->binding_host_id)))
        field = "binding:host_id";
    if (!field)
        return 0;
    return error_set_type(change->error, -EBUSY, "ServicePortInUse", field,
                          "Port %s cannot be changed directly via the port API: has device owner %s.", before->object.id,
                          before->device_owner);
}

struct port *port_of_device(const char *device_owner, const char *device_id, const char *network_id, const char *project_id)
{
    struct port *port = (struct port *)object_new(RESOURCE_PORT);

    if (!port)
        return NULL;
    port->device_owner = strdup(device_owner);
    port->device_id = strdup(device_id);
    if (!port->device_owner || !port->device_id) {
        object_free(&port->object);
        return NULL;
    }
    string_copy(port->network_id, sizeof port->network_id, network_id);
    string_copy(port->object.project_id, sizeof port->object.project_id, project_id);
    port->port_security_enabled = false; /* As Neutron has it: what forwards for others sends from their addresses. */
    return port;
}

/* The port as a change of its own, in the same plan. */
static struct change part(const struct change *change, const struct port *before, struct port *after)
{
    return (struct change){
        .request = change->request,
        .networking = change->networking,
        .plan = change->plan,
        .resource = &port_resource,
        .before = before ? &before->object : NULL,
        .after = &after->object,
        .error = change->error,
    };
}

/* The caller asked for the addresses by another name. */
static int rename_field(struct error *error, int r, const char *field)
{
    char rest[sizeof error->field];

    if (r < 0 && strncmp(error->field, "fixed_ips", 9) == 0) {
        string_copy(rest, sizeof rest, error->field + 9);
        snprintf(error->field, sizeof error->field, "%.80s%.70s", field, rest);
    }
    return r;
}

int port_plan_create(struct change *change, struct port *port, bool gives_addresses, const char *field)
{
    const struct network *network = replica_network(request_api(change->request)->replica, port->network_id);
    struct change own = part(change, NULL, port);
    int r;

    resource_new_id(change->request, &port->object);
    if ((r = plan_create(change->plan, &port->object)) < 0)
        return r;
    if (!network)
        return error_set_type(change->error, -ENOENT, "NetworkNotFound", NULL, "Network %s could not be found.", port->network_id);
    plan_guard(change->plan, &network->object);
    if ((r = port_claim_mac(&own, port, false)) < 0)
        return r;
    r = rename_field(change->error, port_assign_addresses(&own, port, gives_addresses), field);
    if (r < 0 || !port->object.project_id[0])
        return r;
    r = plan_reserve_quota(change->plan, &port->object);
    return r == -ENOSPC ? error_set_type(change->error, -EBUSY, "OverQuota", NULL, "Quota exceeded for resources: ['port'].") : r;
}

int port_plan_readdress(struct change *change, const struct port *before, const struct fixed_ip *wanted, size_t n, const char *field)
{
    struct port *after = (struct port *)plan_edit(change->plan, &before->object);
    struct fixed_ip *copy = calloc(n + 1, sizeof *copy);
    struct change own;

    if (!after || !copy) {
        free(copy);
        return -ENOMEM;
    }
    if (n > 0)
        memcpy(copy, wanted, n * sizeof *copy);
    free(after->fixed_ips);
    after->fixed_ips = copy;
    after->n_fixed_ips = n;
    own = part(change, before, after);
    return rename_field(change->error, port_assign_addresses(&own, after, true), field);
}
