/* Routers: list, show, create, update, delete.
 *
 * Keys: object/router/<id>.  Its interfaces and its gateway are ports (device-ports.c) and have the keys of ports. */
#include "weft/api/routers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/hosts.h"
#include "weft/api/ports.h"
#include "weft/api/routed-prefixes.h"
#include "weft/base/util.h"
#include "weft/model/resources.h"

static int write_status(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return buffer_append_string(buffer, hosts_leave_out(request_api(request)->hosts, object->id) ? "\"ERROR\"" : "\"ACTIVE\"");
}

static int write_null(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return buffer_append_string(buffer, "null");
}

static int write_true(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return buffer_append_string(buffer, "true");
}

static int write_false(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return buffer_append_string(buffer, "false");
}

static int write_empty_list(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return buffer_append_string(buffer, "[]");
}

/* What clients of Neutron expect to read: every router is on every host, and no host is a router's own. */
static const struct computed computed[] = {
    {.name = "external_gateway_info", .write = router_write_gateway, .flags = ATTRIBUTE_WRITE},
    {.name = "status", .filter = true, .write = write_status},
    {.name = "distributed", .admin_read = true, .write = write_true},
    {.name = "ha", .admin_read = true, .write = write_false},
    {.name = "flavor_id", .write = write_null},
    {.name = "availability_zone_hints", .write = write_empty_list},
    {.name = "availability_zones", .write = write_empty_list},
    {.name = NULL},
};

static const struct replica_member *by_name(const struct replica *replica, const char *value)
{
    return replica_by_name(replica, RESOURCE_ROUTER, value);
}

static const struct indexed_filter indexed_filters[] = {
    {"name", by_name},
    {NULL, NULL},
};

static void each_visible(const struct request *request, void (*visit)(const struct object *object, void *context), void *context)
{
    REPLICA_FOREACH (router, replica_by_project(request_api(request)->replica, RESOURCE_ROUTER, request_auth(request)->project_id))
        visit(router->object, context);
}

static bool is_port_of(const struct port *port, const char *router_id)
{
    return port && port->device_id && port->device_owner && streq(port->device_id, router_id) &&
           (streq(port->device_owner, DEVICE_ROUTER_INTERFACE) || streq(port->device_owner, DEVICE_ROUTER_GATEWAY));
}

static int append(struct router_ports *ports, const struct port *port)
{
    const struct port **more = realloc(ports->list, (ports->n + 1) * sizeof *more);

    if (!more)
        return -ENOMEM;
    ports->list = more;
    ports->list[ports->n++] = port;
    return 0;
}

int router_ports_of(const struct change *change, const char *router_id, struct router_ports *ret)
{
    const struct replica_member *known = replica_ports_by_device(request_api(change->request)->replica, router_id);
    struct router_ports ports = {0};
    int r = 0;

    REPLICA_FOREACH (member, known) {
        const struct port *port = (const struct port *)plan_current(change->plan, member->object);

        if (r == 0 && is_port_of(port, router_id))
            r = append(&ports, port);
    }
    for (const struct object *object = NULL; r == 0 && (object = plan_created(change->plan, RESOURCE_PORT, object));)
        if (is_port_of((const struct port *)object, router_id))
            r = append(&ports, (const struct port *)object);
    if (r < 0)
        router_ports_clear(&ports);
    *ret = ports;
    return r;
}

void router_ports_clear(struct router_ports *ports)
{
    free(ports->list);
    *ports = (struct router_ports){0};
}

const struct subnet *router_subnet(const struct change *change, const struct fixed_ip *fixed_ip)
{
    return replica_subnet(request_api(change->request)->replica, fixed_ip->subnet_id);
}

int router_check_subnet(struct change *change, const struct router_ports *ports, const struct subnet *subnet)
{
    char cidr[PREFIX_TEXT_SIZE], other[PREFIX_TEXT_SIZE];

    for (size_t i = 0; i < ports->n; i++)
        for (size_t j = 0; j < ports->list[i]->n_fixed_ips; j++)
            if (streq(ports->list[i]->fixed_ips[j].subnet_id, subnet->object.id))
                return BAD_ROUTER(change->error, "Router already has a port on subnet %s", subnet->object.id);
    for (size_t i = 0; i < ports->n; i++)
        for (size_t j = 0; j < ports->list[i]->n_fixed_ips; j++) {
            const struct subnet *its = router_subnet(change, &ports->list[i]->fixed_ips[j]);

            if (its && prefix_overlaps(&its->cidr, &subnet->cidr))
                return BAD_ROUTER(change->error, "Cidr %s of subnet %s overlaps with cidr %s of subnet %s",
                                  prefix_format(&subnet->cidr, cidr), subnet->object.id, prefix_format(&its->cidr, other),
                                  its->object.id);
        }
    return 0;
}

static int create(struct change *change)
{
    const json_t *info = change_value(change, "external_gateway_info");

    return info ? router_set_gateway(change, info) : 0;
}

static int update(struct change *change)
{
    const json_t *info = change_value(change, "external_gateway_info");
    bool gives_routes = change_gives(change, "routes");
    int r = info ? router_set_gateway(change, info) : 0;

    if (r == 0 && (info || gives_routes))
        r = router_check_routes(change, gives_routes);
    if (r == 0 && info)
        r = routed_check_router(change, (const struct router *)change->before, (const struct router *)change->after, "external_gateway_info");
    return r;
}

static int delete_router(struct change *change)
{
    const struct router *router = (const struct router *)change->before;
    struct router_ports ports;
    int r = router_ports_of(change, router->object.id, &ports);

    for (size_t i = 0; r == 0 && i < ports.n; i++) {
        if (streq(ports.list[i]->device_owner, DEVICE_ROUTER_INTERFACE))
            r = error_set_type(change->error, -EBUSY, "RouterInUse", NULL, "Router %s still has ports", router->object.id);
        else
            port_plan_delete(change->plan, ports.list[i]);
    }
    router_ports_clear(&ports);
    return r;
}

const struct resource router_resource = {
    .schema = &router_schema,
    .computed = computed,
    .indexed_filters = indexed_filters,
    .not_found = "RouterNotFound",
    .title = "Router",
    .each_visible = each_visible,
    .create = create,
    .update = update,
    .delete = delete_router,
};
