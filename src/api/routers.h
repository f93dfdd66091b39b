/* What the parts of the router API share: routers.c, router-gateway.c, router-interfaces.c, router-routes.c.
 *
 * Whatever depends on which ports a router has (its interfaces, its gateway, its routes, what is translated by it) is decided in a
 * transaction that compares the router's revision; whatever changes that set rewrites the router.  So of two requests that do not
 * go together one fails its comparison, runs again, and sees the other. */
#ifndef WEFT_API_ROUTERS_H
#define WEFT_API_ROUTERS_H

#include "weft/api/resources.h"
#include "weft/model/objects.h"

#define BAD_ROUTER(error, format, ...) \
    error_set_type(error, -EINVAL, "BadRequest", NULL, "Bad router request: " format "." __VA_OPT__(,) __VA_ARGS__)

/* A router's interfaces and gateway as the plan leaves them; of several subnets each. */
struct router_ports {
    const struct port **list; /* Borrowed ports. */
    size_t n;
};
int router_ports_of(const struct change *change, const char *router_id, struct router_ports *ret); /* 0 or -ENOMEM. */
void router_ports_clear(struct router_ports *ports);

/* The subnet of a port's fixed address; NULL when it is going. */
const struct subnet *router_subnet(const struct change *change, const struct fixed_ip *fixed_ip);

/* May the subnet be the router's too?  -EINVAL with Neutron's BadRequest when it is on it already or overlaps another. */
int router_check_subnet(struct change *change, const struct router_ports *ports, const struct subnet *subnet);

/* Sets, changes or clears the gateway as external_gateway_info says.  change->after is the router. */
int router_set_gateway(struct change *change, const json_t *info);
int router_write_gateway(const struct request *request, const struct object *object, struct buffer *buffer);

/* change->after's routes go with the ports as the plan leaves them.  Routes that were 'given' are refused with InvalidRoutes; others
 * need a port that is going: RouterInterfaceInUseByRoute. */
int router_check_routes(struct change *change, bool given);

/* Is the subnet needed by a route?  -EBUSY with RouterInterfaceInUseByRoute. */
int router_check_subnet_unused(struct change *change, const struct router *router, const struct subnet *subnet);

/* PUT /v2.0/routers/{id}/...: the routes' data is router_resource. */
void router_add_interface(struct request *request);
void router_remove_interface(struct request *request);
void router_add_routes(struct request *request);
void router_remove_routes(struct request *request);

#endif
