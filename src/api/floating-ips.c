/* Floating IPs: addresses of external networks that lead to ports.
 *
 * Keys: object/floatingip/<id>; those of nat.h while it leads somewhere.  A port without an owner holds its address. */
#include "weft/api/floating-ips.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/hosts.h"
#include "weft/api/nat.h"
#include "weft/api/ports.h"
#include "weft/base/util.h"
#include "weft/model/resources.h"

#define BAD(format, ...) \
    error_set_type(change->error, -EINVAL, "BadRequest", NULL, "Bad floatingip request: " format "." __VA_OPT__(,) __VA_ARGS__)

static int write_status(const struct request *request, const struct object *object, struct buffer *buffer)
{
    const struct hosts *hosts = request_api(request)->hosts;

    /* A part of it, too: a port forwarding that leads nowhere on some host. */
    if (hosts_leave_out(hosts, object->id))
        return buffer_append_string(buffer, "\"ERROR\"");
    return buffer_append_string(buffer, ((const struct floating_ip *)object)->router_id[0] ? "\"ACTIVE\"" : "\"DOWN\"");
}

static bool write_member(struct buffer *buffer, const char *name, const char *text)
{
    return buffer_printf(buffer, ",\"%s\":", name) || json_write_string(buffer, text ? text : "");
}

/* Of the port that it leads to. */
static int write_port_details(const struct request *request, const struct object *object, struct buffer *buffer)
{
    const struct port *port = replica_port(request_api(request)->replica, ((const struct floating_ip *)object)->port_id);
    char mac[MAC_TEXT_SIZE];
    bool bad;

    if (!port)
        return buffer_append_string(buffer, "null");
    bad = buffer_printf(buffer, "{\"admin_state_up\":%s", port->object.admin_state_up ? "true" : "false") ||
          write_member(buffer, "status", port->status == PORT_STATUS_ACTIVE ? "ACTIVE" : "DOWN") ||
          write_member(buffer, "name", port->object.name) || write_member(buffer, "network_id", port->network_id) ||
          write_member(buffer, "mac_address", mac_format(&port->mac, mac)) || write_member(buffer, "device_id", port->device_id) ||
          write_member(buffer, "device_owner", port->device_owner);
    return bad || buffer_append(buffer, "}", 1) ? -ENOMEM : 0;
}

static const struct computed computed[] = {
    {.name = "status", .filter = true, .write = write_status},
    {.name = "port_details", .write = write_port_details},
    {.name = "port_forwardings", .write = nat_write_forwardings},
    {.name = "subnet_id", .flags = ATTRIBUTE_POST},
    {.name = NULL},
};

static const struct replica_member *by_network(const struct replica *replica, const char *value)
{
    return replica_find(replica, REPLICA_FLOATING_IPS_BY_NETWORK, value);
}

static const struct replica_member *by_port(const struct replica *replica, const char *value)
{
    return replica_find(replica, REPLICA_FLOATING_IPS_BY_PORT, value);
}

static const struct replica_member *by_router(const struct replica *replica, const char *value)
{
    return replica_find(replica, REPLICA_FLOATING_IPS_BY_ROUTER, value);
}

static const struct indexed_filter indexed_filters[] = {
    {"port_id", by_port},
    {"router_id", by_router},
    {"floating_network_id", by_network},
    {NULL, NULL},
};

static void each_visible(const struct request *request, void (*visit)(const struct object *object, void *context), void *context)
{
    REPLICA_FOREACH (member, replica_by_project(request_api(request)->replica, RESOURCE_FLOATING_IP, request_auth(request)->project_id))
        visit(member->object, context);
}

/* ---- leading somewhere ------------------------------------------------------------------------------------------- */

static int check_owner(struct change *change, const struct floating_ip *floating_ip, const struct port *port)
{
    if (request_auth(change->request)->is_admin || streq(port->object.project_id, floating_ip->object.project_id))
        return 0;
    if (!change->before)
        return BAD("Cannot create floating IP and bind it to port %s, since that port is owned by a different project", port->object.id);
    return BAD("Port %s is associated with a different project than Floating IP %s and therefore cannot be bound", port->object.id,
               floating_ip->object.id);
}

static int check_free(struct change *change, const struct floating_ip *floating_ip, const struct nat_target *target)
{
    const struct replica *replica = request_api(change->request)->replica;
    char address[IP_TEXT_SIZE], fixed[IP_TEXT_SIZE];

    REPLICA_FOREACH (member, replica_find(replica, REPLICA_FLOATING_IPS_BY_PORT, target->port->object.id)) {
        const struct floating_ip *other = (const struct floating_ip *)member->object;

        if (streq(other->object.id, floating_ip->object.id) || !streq(other->floating_network_id, floating_ip->floating_network_id) ||
            !ip_equal(&other->fixed_address, &target->address))
            continue;
        return error_set_type(change->error, -EBUSY, "FloatingIPPortAlreadyAssociated", NULL,
                              "Cannot associate floating IP %s (%s) with port %s using fixed IP %s, as that fixed IP already has a floating "
                              "IP on external network %s.", ip_format(&floating_ip->floating_address, address), floating_ip->object.id,
                              target->port->object.id, ip_format(&target->address, fixed), floating_ip->floating_network_id);
    }
    if (replica_count(replica, REPLICA_FORWARDINGS_BY_PORT, target->port->object.id))
        return error_set_type(change->error, -EINVAL, "PortHasPortForwarding", NULL,
                              "Cannot associate floating IP to port %s because it already has a Port Forwarding binding.",
                              target->port->object.id);
    nat_require_no_forwardings(change->plan, target->port->object.id);
    return 0;
}

/* 'address' may be NULL: the port's only one. */
static int associate(struct change *change, struct floating_ip *floating_ip, const char *port_id, const struct ip_address *address)
{
    const struct port *port = (const struct port *)resource_find(&port_resource, change->request, port_id, change->error);
    struct nat_target target = {0};
    int r;

    if (!port)
        return -ENOENT;
    if ((r = check_owner(change, floating_ip, port)) < 0)
        return r;
    r = nat_find_target(change, "floatingip", port, address, floating_ip->floating_network_id, &target);
    if (r == -ENOENT)
        return error_set_type(change->error, -ENOENT, "ExternalGatewayForFloatingIPNotFound", NULL,
                              "External network %s is not reachable from subnet %s.  Therefore, cannot associate Port %s with a Floating IP.",
                              floating_ip->floating_network_id, target.subnet ? target.subnet->object.id : "", port->object.id);
    if (r < 0 || (r = check_free(change, floating_ip, &target)) < 0)
        return r;
    string_copy(floating_ip->port_id, sizeof floating_ip->port_id, port->object.id);
    string_copy(floating_ip->router_id, sizeof floating_ip->router_id, target.router->object.id);
    floating_ip->has_fixed_address = true;
    floating_ip->fixed_address = target.address;
    return 0;
}

/* ---- the address ------------------------------------------------------------------------------------------------- */

static int check_network(struct change *change, const struct network *network, const char *subnet_id)
{
    bool has_v4 = false;

    if (!network->is_external)
        return BAD("Network %s is not a valid external network", network->object.id);
    REPLICA_FOREACH (member, replica_subnets_by_network(request_api(change->request)->replica, network->object.id)) {
        const struct subnet *subnet = (const struct subnet *)member->object;

        has_v4 |= subnet->ip_version == 4;
        if (subnet_id && streq(subnet->object.id, subnet_id) && subnet->ip_version != 4)
            return BAD("Subnet %s is not an IPv4 subnet", subnet_id);
    }
    return has_v4 ? 0 : BAD("Network %s does not contain any IPv4 subnet", network->object.id);
}

static int take_address(struct change *change, struct floating_ip *floating_ip, const char *subnet_id)
{
    bool has_address = !ip_equal(&floating_ip->floating_address, &(struct ip_address){0});
    struct port *port = port_of_device(DEVICE_FLOATING_IP, floating_ip->object.id, floating_ip->floating_network_id, "");
    int r;

    if (!port)
        return -ENOMEM;
    if (has_address || subnet_id) {
        port->fixed_ips = calloc(1, sizeof *port->fixed_ips);
        if (!port->fixed_ips) {
            object_free(&port->object);
            return -ENOMEM;
        }
        port->n_fixed_ips = 1;
        port->fixed_ips[0].address = floating_ip->floating_address;
        string_copy(port->fixed_ips[0].subnet_id, sizeof port->fixed_ips[0].subnet_id, subnet_id ? subnet_id : "");
    }
    r = port_plan_create(change, port, port->n_fixed_ips > 0, has_address ? "floating_ip_address" : "subnet_id");
    if (r < 0)
        return r;
    if (port->n_fixed_ips == 0) /* Not without an IPv4 subnet, which was there. */
        return error_set_type(change->error, -EBUSY, "ExternalIpAddressExhausted", NULL,
                              "Unable to find any IP address on external network %s.", floating_ip->floating_network_id);
    floating_ip->floating_address = port->fixed_ips[0].address;
    string_copy(floating_ip->floating_port_id, sizeof floating_ip->floating_port_id, port->object.id);
    return 0;
}

/* ---- hooks ------------------------------------------------------------------------------------------------------- */

static int create(struct change *change)
{
    struct floating_ip *floating_ip = (struct floating_ip *)change->after;
    const struct network *network = change_find_network(change, floating_ip->floating_network_id);
    const json_t *subnet = change_value(change, "subnet_id");
    char port_id[UUID_TEXT_SIZE], text[IP_TEXT_SIZE];
    struct ip_address address = floating_ip->fixed_address;
    bool has_address = floating_ip->has_fixed_address;
    int r;

    string_copy(port_id, sizeof port_id, floating_ip->port_id);
    nat_floating_ip_clear(floating_ip);
    if (!network)
        return -ENOENT;
    if (subnet && !json_is_null(subnet) && !uuid_is_valid(json_string_value(subnet) ?: ""))
        return error_set(change->error, -EINVAL, "subnet_id", "'%.100s' is not a valid UUID", json_string_value(subnet) ?: "");
    if ((r = check_network(change, network, json_string_value(subnet))) < 0)
        return r;
    if (change_gives(change, "floating_ip_address") && !ip_is_v4(&floating_ip->floating_address))
        return error_set_type(change->error, -EINVAL, "InvalidInput", "floating_ip_address", "'%s' is not an IPv4 address",
                              ip_format(&floating_ip->floating_address, text));
    if (has_address && !port_id[0])
        return BAD("fixed_ip_address cannot be specified without a port_id");
    if ((r = take_address(change, floating_ip, json_string_value(subnet))) < 0)
        return r;
    if (!port_id[0])
        return 0;
    if ((r = associate(change, floating_ip, port_id, has_address ? &address : NULL)) < 0)
        return r;
    nat_floating_ip_changed(change->plan, NULL, floating_ip);
    return 0;
}

static bool has_forwardings(const struct change *change)
{
    return replica_count(request_api(change->request)->replica, REPLICA_FORWARDINGS_BY_FLOATING_IP, change->before->id) > 0;
}

static int in_use_by_forwardings(struct change *change)
{
    return error_set_type(change->error, -EBUSY, "FipInUseByPortForwarding", NULL,
                          "Floating IP %s in use by Port Forwarding resources.", change->before->id);
}

static int update(struct change *change)
{
    const struct floating_ip *before = (const struct floating_ip *)change->before;
    struct floating_ip *after = (struct floating_ip *)change->after;
    bool gives_address = change_gives(change, "fixed_ip_address") && after->has_fixed_address;
    struct ip_address address = after->fixed_address;
    char port_id[UUID_TEXT_SIZE];
    int r;

    string_copy(port_id, sizeof port_id, after->port_id);
    if (gives_address && (!change_gives(change, "port_id") || !port_id[0]))
        return BAD("fixed_ip_address cannot be specified without a port_id");
    string_copy(after->port_id, sizeof after->port_id, before->port_id);
    after->has_fixed_address = before->has_fixed_address;
    after->fixed_address = before->fixed_address;
    if (!change_gives(change, "port_id") || (!port_id[0] && !before->port_id[0]))
        return 0;
    if (has_forwardings(change))
        return in_use_by_forwardings(change);
    nat_floating_ip_clear(after);
    if (port_id[0] && (r = associate(change, after, port_id, gives_address ? &address : NULL)) < 0)
        return r;
    nat_floating_ip_changed(change->plan, before, after);
    return 0;
}

void floating_ip_plan_delete(struct plan *plan, const struct floating_ip *floating_ip)
{
    const struct port *port = replica_port(request_api(plan_request(plan))->replica, floating_ip->floating_port_id);

    nat_floating_ip_changed(plan, floating_ip, NULL);
    if (port)
        port_plan_delete(plan, port);
    plan_delete(plan, &floating_ip->object);
}

static int delete_floating_ip(struct change *change)
{
    if (has_forwardings(change))
        return in_use_by_forwardings(change);
    floating_ip_plan_delete(change->plan, (const struct floating_ip *)change->before);
    return 0;
}

const struct resource floating_ip_resource = {
    .schema = &floating_ip_schema,
    .computed = computed,
    .indexed_filters = indexed_filters,
    .not_found = "FloatingIPNotFound",
    .title = "Floating IP",
    .each_visible = each_visible,
    .create = create,
    .update = update,
    .delete = delete_floating_ip,
};
