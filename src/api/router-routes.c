/* A router's extra routes: as a whole by its attribute "routes", or some at a time (extraroute-atomic). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/routers.h"
#include "weft/base/util.h"
#include "weft/model/resources.h"

/* Why this next hop cannot be; NULL when it can. */
static const char *fault_of(const struct change *change, const struct router_ports *ports, const struct host_route *route)
{
    bool is_connected = false;

    if (ip_is_v4(&route->next_hop) != ip_is_v4(&route->destination.address))
        return "the nexthop is not of the destination's IP version";
    for (size_t i = 0; i < ports->n; i++)
        for (size_t j = 0; j < ports->list[i]->n_fixed_ips; j++) {
            const struct subnet *subnet = router_subnet(change, &ports->list[i]->fixed_ips[j]);

            if (ip_equal(&ports->list[i]->fixed_ips[j].address, &route->next_hop))
                return "the nexthop is used by router";
            is_connected |= subnet && prefix_contains(&subnet->cidr, &route->next_hop);
        }
    return is_connected ? NULL : "the nexthop is not connected with router";
}

static int refuse(struct change *change, size_t index, const char *reason)
{
    const struct host_route *route = &((const struct router *)change->after)->routes[index];
    char field[40], destination[PREFIX_TEXT_SIZE], next_hop[IP_TEXT_SIZE];

    snprintf(field, sizeof field, "routes[%zu].nexthop", index);
    return error_set_type(change->error, -EINVAL, "InvalidRoutes", field,
                          "Invalid format for routes: [{'destination': '%s', 'nexthop': '%s'}], %s",
                          prefix_format(&route->destination, destination), ip_format(&route->next_hop, next_hop), reason);
}

static int in_use(struct change *change, const char *router_id, const char *subnet_id)
{
    return error_set_type(change->error, -EBUSY, "RouterInterfaceInUseByRoute", NULL,
                          "Router interface for subnet %s on router %s cannot be deleted, as it is required by one or more routes.",
                          subnet_id, router_id);
}

/* A route that was there loses its next hop: by which subnet that was reached. */
static int refuse_loss(struct change *change, const struct host_route *route)
{
    const struct router *before = (const struct router *)change->before;
    const struct replica *replica = request_api(change->request)->replica;

    REPLICA_FOREACH (member, replica_ports_by_device(replica, before->object.id)) {
        const struct port *port = (const struct port *)member->object;

        for (size_t i = 0; i < port->n_fixed_ips; i++) {
            const struct subnet *subnet = router_subnet(change, &port->fixed_ips[i]);

            if (subnet && prefix_contains(&subnet->cidr, &route->next_hop))
                return in_use(change, before->object.id, subnet->object.id);
        }
    }
    return 0; /* It was not connected before either. */
}

int router_check_routes(struct change *change, bool given)
{
    const struct router *router = (const struct router *)change->after;
    struct router_ports ports;
    int r = router_ports_of(change, router->object.id, &ports);

    for (size_t i = 0; r == 0 && i < router->n_routes; i++) {
        const char *fault = fault_of(change, &ports, &router->routes[i]);

        if (fault)
            r = given ? refuse(change, i, fault) : refuse_loss(change, &router->routes[i]);
    }
    router_ports_clear(&ports);
    return r;
}

int router_check_subnet_unused(struct change *change, const struct router *router, const struct subnet *subnet)
{
    for (size_t i = 0; i < router->n_routes; i++)
        if (prefix_contains(&subnet->cidr, &router->routes[i].next_hop))
            return in_use(change, router->object.id, subnet->object.id);
    return 0;
}

/* ---- extraroute-atomic ------------------------------------------------------------------------------------------- */

static bool is_in(const struct host_route *route, const struct host_route *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (ip_equal(&list[i].next_hop, &route->next_hop) && ip_equal(&list[i].destination.address, &route->destination.address) &&
            list[i].destination.length == route->destination.length)
            return true;
    return false;
}

static int add(struct change *change, struct router *router, const struct router *given)
{
    const struct attribute *attribute = attribute_find(router_schema.attributes, "routes");
    struct host_route *routes = realloc(router->routes, (router->n_routes + given->n_routes + 1) * sizeof *routes);

    if (!routes)
        return -ENOMEM;
    router->routes = routes;
    for (size_t i = 0; i < given->n_routes; i++)
        if (!is_in(&given->routes[i], routes, router->n_routes))
            routes[router->n_routes++] = given->routes[i];
    if (router->n_routes > attribute->maximum)
        return error_set_type(change->error, -EINVAL, "RoutesExhausted", "routes",
                              "Unable to complete operation for %s. The number of routes exceeds the maximum %llu.", router->object.id,
                              (unsigned long long)attribute->maximum);
    return router_check_routes(change, true);
}

static void take_away(struct router *router, const struct router *given)
{
    size_t kept = 0;

    for (size_t i = 0; i < router->n_routes; i++)
        if (!is_in(&router->routes[i], given->routes, given->n_routes))
            router->routes[kept++] = router->routes[i];
    router->n_routes = kept;
}

static int read_routes(struct change *change, struct object *given)
{
    const json_t *body = json_object_get(change->request->body, "router"), *routes = json_object_get(body, "routes");

    if (json_object_size(change->request->body) != 1 || json_object_size(body) != 1 || !routes)
        return error_set_type(change->error, -EINVAL, "HTTPBadRequest", NULL,
                              "The request body must be {\"router\": {\"routes\": [...]}}.");
    return attribute_decode(attribute_find(router_schema.attributes, "routes"), routes, given, DECODE_REQUEST, change->error);
}

static void change_routes(struct request *request, bool is_added)
{
    const struct object *before = resource_find_or_fail(request);
    _cleanup_(object_freep) struct object *given = object_new(RESOURCE_ROUTER);
    struct error error = {0};
    struct change change;
    int r;

    if (!before || change_begin(&change, request, before, &error) < 0)
        return;
    change.after = plan_edit(change.plan, before);
    r = change.after && given ? read_routes(&change, given) : -ENOMEM;
    if (r == 0 && is_added)
        r = add(&change, (struct router *)change.after, (const struct router *)given);
    else if (r == 0)
        take_away((struct router *)change.after, (const struct router *)given);
    if (r < 0)
        change_fail(request, r, &error, "router");
    else if (attribute_equal(attribute_find(router_schema.attributes, "routes"), before, change.after))
        resource_respond(request, HTTP_OK, before);
    else
        plan_commit(change.plan, resource_updated);
}

void router_add_routes(struct request *request)
{
    change_routes(request, true);
}

void router_remove_routes(struct request *request)
{
    change_routes(request, false);
}
