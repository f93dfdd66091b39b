#include "weft/api/routed-prefixes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/turns.h"
#include "weft/base/log.h"
#include "weft/base/util.h"
#include "weft/model/routed.h"

#define TURN "routed" /* Nobody else must add a prefix there meanwhile. */

/* What one subnet of a project may take of an external network: what is usually given to a site (RFC 6177), and as much of a private network. */
#define SHORTEST_V6 48
#define SHORTEST_V4 16

/* ---- what a router routes ---------------------------------------------------------------------------------------- */

struct prefixes {
    struct routed_prefix *list;
    size_t n, n_allocated;
};

static int append(struct prefixes *prefixes, const struct routed_prefix *prefix)
{
    if (prefixes->n == prefixes->n_allocated) {
        size_t n = prefixes->n_allocated ? 2 * prefixes->n_allocated : 16;
        struct routed_prefix *more = reallocarray(prefixes->list, n, sizeof *more);

        if (!more)
            return -ENOMEM;
        prefixes->list = more;
        prefixes->n_allocated = n;
    }
    prefixes->list[prefixes->n++] = *prefix;
    return 0;
}

/* As the store has it, or as a plan (not NULL) leaves it. */
struct world {
    const struct replica *replica;
    const struct plan *plan;
};

static const struct object *current(const struct world *world, const struct object *object)
{
    return object && world->plan ? plan_current(world->plan, object) : object;
}

static const struct subnet *find_subnet(const void *context, const char *id)
{
    const struct world *world = context;
    const struct object *object = current(world, replica_get(world->replica, RESOURCE_SUBNET, id));

    for (const struct object *created = NULL; !object && world->plan && (created = plan_created(world->plan, RESOURCE_SUBNET, created));)
        if (streq(created->id, id))
            return (const struct subnet *)created;
    return (const struct subnet *)object;
}

static const struct port *find_gateway(const struct world *world, const struct router *router)
{
    const struct object *object = current(world, replica_get(world->replica, RESOURCE_PORT, router->gateway_port_id));

    for (const struct object *created = NULL; !object && world->plan && (created = plan_created(world->plan, RESOURCE_PORT, created));)
        if (streq(created->id, router->gateway_port_id))
            return (const struct port *)created;
    return (const struct port *)object;
}

static int add_interface(const struct world *world, const struct router *router, const struct port *gateway, const struct port *port,
                         struct prefixes *ret)
{
    int r = 0;

    if (router_port_kind(port) != ROUTER_PORT_INTERFACE || !streq(port->device_id, router->object.id))
        return 0;
    for (size_t i = 0; i < port->n_fixed_ips && r == 0; i++) {
        const struct subnet *inside = find_subnet(world, port->fixed_ips[i].subnet_id);
        bool v4 = ip_is_v4(&port->fixed_ips[i].address);
        struct routed_prefix prefix = {.network_id = router->gateway_network_id, .project_id = router->object.project_id,
                                       .router_id = router->object.id};

        if (!inside || !router_routes_untranslated(router, inside, port_subnet_of_family(gateway, v4, find_subnet, world)))
            continue;
        prefix.prefix = inside->cidr;
        prefix.subnet_id = inside->object.id;
        prefix.since_s = routed_since(inside, port, gateway);
        r = append(ret, &prefix);
    }
    return r;
}

/* Most translate the only family that they bring outside.  In an address scope IPv4 is not translated either. */
static bool routes_nothing(const struct world *world, const struct router *router, const struct port *gateway)
{
    bool may_route = gateway && !router->enable_snat;

    for (size_t i = 0; gateway && !may_route && i < gateway->n_fixed_ips; i++) {
        const struct subnet *outside = find_subnet(world, gateway->fixed_ips[i].subnet_id);

        may_route = !ip_is_v4(&gateway->fixed_ips[i].address) || (outside && outside->address_scope_id[0]);
    }
    return !may_route;
}

static int add_router(const struct world *world, const struct router *router, struct prefixes *ret)
{
    const struct port *gateway = router->gateway_port_id[0] ? find_gateway(world, router) : NULL;
    int r = 0;

    if (routes_nothing(world, router, gateway))
        return 0;
    REPLICA_FOREACH (member, replica_ports_by_device(world->replica, router->object.id)) {
        const struct object *port = current(world, member->object);

        if (port && r == 0)
            r = add_interface(world, router, gateway, (const struct port *)port, ret);
    }
    for (const struct object *port = NULL; r == 0 && world->plan && (port = plan_created(world->plan, RESOURCE_PORT, port));)
        r = add_interface(world, router, gateway, (const struct port *)port, ret);
    /* A port that becomes an interface is still indexed as none's. */
    for (const struct object *port = NULL; r == 0 && world->plan && (port = plan_edited(world->plan, RESOURCE_PORT, port));) {
        const struct port *before = replica_port(world->replica, port->id);

        if (before && !(before->device_id && streq(before->device_id, router->object.id)))
            r = add_interface(world, router, gateway, (const struct port *)port, ret);
    }
    return r;
}

/* Of all routers with a gateway on the network, but one. */
static int add_network(const struct world *world, const char *network_id, const char *but_router_id, struct prefixes *ret)
{
    int r = 0;

    REPLICA_FOREACH (member, replica_find(world->replica, REPLICA_ROUTER_PORTS_BY_NETWORK, network_id)) {
        const struct port *port = (const struct port *)member->object;
        const struct object *router =
            router_port_kind(port) == ROUTER_PORT_GATEWAY ? replica_get(world->replica, RESOURCE_ROUTER, port->device_id) : NULL;

        if (r == 0 && router && !streq(router->id, but_router_id) && (router = current(world, router)) &&
            streq(((const struct router *)router)->gateway_network_id, network_id))
            r = add_router(world, (const struct router *)router, ret);
    }
    return r;
}

void routed_forget(struct plan *plan, const struct network *network)
{
    plan_end_turns(plan, TURN, network->object.id);
}

/* ---- checking ---------------------------------------------------------------------------------------------------- */

static int refuse(struct change *change, const struct routed_prefix *wanted, const struct routed_prefix *other, const char *field)
{
    char prefix[PREFIX_TEXT_SIZE], whose[PREFIX_TEXT_SIZE + 2 * UUID_TEXT_SIZE] = "", text[PREFIX_TEXT_SIZE];

    if (request_auth(change->request)->is_admin && other->router_id)
        snprintf(whose, sizeof whose, ", %s of router %s", prefix_format(&other->prefix, text), other->router_id);
    return error_set_type(change->error, -EBUSY, "RoutedPrefixInUse", field,
                          "'%s' of subnet %s would be reached from external network %s as it is, without translation, and overlaps %s "
                          "there already%s", prefix_format(&wanted->prefix, prefix), wanted->subnet_id, wanted->network_id,
                          other->router_id ? "what another project has" : "a subnet of that network", whose);
}

static int check_own_subnets(struct change *change, const struct routed_prefix *wanted, const char *field)
{
    const struct replica *replica = request_api(change->request)->replica;

    REPLICA_FOREACH (member, replica_subnets_by_network(replica, wanted->network_id)) {
        struct routed_prefix other = {.prefix = ((const struct subnet *)member->object)->cidr};

        if (prefix_overlaps(&other.prefix, &wanted->prefix))
            return refuse(change, wanted, &other, field);
    }
    return 0;
}

/* Somebody who may choose any prefix could take all addresses that nobody has yet, a large part at a time.  What a shared pool gives was an
 * administrator's choice. */
static int check_length(struct change *change, const struct routed_prefix *wanted, const char *field)
{
    struct world is = {request_api(change->request)->replica, change->plan};
    const struct subnet *subnet = find_subnet(&is, wanted->subnet_id);
    const struct object *pool = subnet ? replica_get(is.replica, RESOURCE_SUBNET_POOL, subnet->subnetpool_id) : NULL;
    unsigned shortest = ip_is_v4(&wanted->prefix.address) ? SHORTEST_V4 : SHORTEST_V6;
    char text[PREFIX_TEXT_SIZE];

    if (wanted->prefix.length >= shortest || request_auth(change->request)->is_admin || (pool && ((const struct subnet_pool *)pool)->shared))
        return 0;
    return error_set_type(change->error, -EPERM, "PolicyNotAuthorized", field,
                          "'%s' of subnet %s would be reached from external network %s as it is, without translation: only an administrator may "
                          "bring a prefix shorter than /%u there, unless it is of a shared subnet pool",
                          prefix_format(&wanted->prefix, text), wanted->subnet_id, wanted->network_id, shortest);
}

/* By what makes a prefix the same one as before: the subnet, on that external network. */
static int compare_subnets(const void *a, const void *b)
{
    const struct routed_prefix *x = a, *y = b;
    int order = strcmp(x->network_id, y->network_id);

    return order ? order : strcmp(x->subnet_id, y->subnet_id);
}

/* For holds() and has_more(). */
static void sort(struct prefixes *prefixes)
{
    if (prefixes->n > 1)
        qsort(prefixes->list, prefixes->n, sizeof *prefixes->list, compare_subnets);
}

static bool holds(const struct prefixes *sorted, const struct routed_prefix *wanted)
{
    return sorted->n > 0 && bsearch(wanted, sorted->list, sorted->n, sizeof *sorted->list, compare_subnets);
}

static int check(struct change *change, const struct prefixes *before, const struct prefixes *after, const struct prefixes *others,
                 const char *field)
{
    int r = 0;

    for (size_t i = 0; i < after->n && r == 0; i++) {
        const struct routed_prefix *wanted = &after->list[i];

        if (holds(before, wanted))
            continue;
        r = check_length(change, wanted, field);
        if (r == 0)
            r = check_own_subnets(change, wanted, field);
        for (size_t j = 0; j < others->n && r == 0; j++)
            if (!streq(others->list[j].project_id, wanted->project_id) && prefix_overlaps(&others->list[j].prefix, &wanted->prefix))
                r = refuse(change, wanted, &others->list[j], field);
    }
    return r;
}

static bool has_more(const struct prefixes *before, const struct prefixes *after)
{
    for (size_t i = 0; i < after->n; i++)
        if (!holds(before, &after->list[i]))
            return true;
    return false;
}

/* What a gateway brings outside depends on the address scopes of all subnets of the router. */
static void guard_subnets(struct change *change, const struct router *router)
{
    const struct replica *replica = request_api(change->request)->replica;

    REPLICA_FOREACH (member, replica_ports_by_device(replica, router->object.id)) {
        const struct port *port = (const struct port *)member->object;

        for (size_t i = 0; i < port->n_fixed_ips; i++) {
            const struct object *subnet = replica_get(replica, RESOURCE_SUBNET, port->fixed_ips[i].subnet_id);

            if (subnet)
                plan_guard(change->plan, subnet);
        }
    }
}

int routed_check_router(struct change *change, const struct router *before, const struct router *after, const char *field)
{
    struct world was = {.replica = request_api(change->request)->replica}, is = {was.replica, change->plan};
    struct prefixes old = {0}, new = {0}, others = {0};
    int r = before ? add_router(&was, before, &old) : 0;

    sort(&old);
    if (before && before != after)
        guard_subnets(change, before);
    if (r == 0)
        r = add_router(&is, after, &new);
    if (r == 0 && has_more(&old, &new)) {
        const struct network *network = replica_network(was.replica, after->gateway_network_id);

        if (network)
            plan_guard(change->plan, &network->object); /* And with it, which subnets it has. */
        plan_take_turn(change->plan, TURN, after->gateway_network_id);
        r = add_network(&is, after->gateway_network_id, after->object.id, &others);
        if (r == 0)
            r = check(change, &old, &new, &others, field);
    }
    free(old.list);
    free(new.list);
    free(others.list);
    return r;
}

int routed_check_network(struct change *change, const char *network_id, const char *field)
{
    struct world was = {.replica = request_api(change->request)->replica}, is = {was.replica, change->plan};
    struct prefixes old = {0}, new = {0};
    int r = add_network(&was, network_id, "", &old);

    sort(&old);
    if (r == 0)
        r = add_network(&is, network_id, "", &new);
    if (r == 0 && has_more(&old, &new)) {
        plan_take_turn(change->plan, TURN, network_id);
        r = routed_prefixes_resolve(new.list, new.n);
        for (size_t i = 0; i < new.n && r == 0; i++) {
            const struct routed_prefix *prefix = &new.list[i];
            bool is_new = !holds(&old, prefix);

            if (is_new)
                r = check_length(change, prefix, field);
            if (is_new && r == 0)
                r = check_own_subnets(change, prefix, field);
            if (r == 0 && prefix->overruled && (is_new || !holds(&old, prefix->overruled)))
                r = refuse(change, prefix, prefix->overruled, field);
        }
    }
    free(old.list);
    free(new.list);
    return r;
}

/* Gateways take the network's own addresses for its own, whoever routes some of them (compiler/nat.c). */
static void report_taken(const struct routed_prefix *prefix, const struct subnet *subnet)
{
    char text[PREFIX_TEXT_SIZE], own[PREFIX_TEXT_SIZE];

    log_warning("%s of router %s is not reached from external network %s: it overlaps that network's own subnet %s (%s)",
                prefix_format(&prefix->prefix, text), prefix->router_id, prefix->network_id, subnet->object.id, prefix_format(&subnet->cidr, own));
}

int routed_check_external_subnet(struct change *change, const struct subnet *subnet)
{
    struct world is = {request_api(change->request)->replica, change->plan};
    struct prefixes routed = {0};
    int r = add_network(&is, subnet->network_id, "", &routed);
    char text[PREFIX_TEXT_SIZE], other[PREFIX_TEXT_SIZE];

    for (size_t i = 0; i < routed.n && r == 0; i++) {
        if (!prefix_overlaps(&routed.list[i].prefix, &subnet->cidr))
            continue;
        if (request_auth(change->request)->is_admin)
            report_taken(&routed.list[i], subnet);
        else
            r = error_set_type(change->error, -EBUSY, "RoutedPrefixInUse", "cidr",
                               "'%s' overlaps %s, which router %s brings to network %s without translation",
                               prefix_format(&subnet->cidr, text), prefix_format(&routed.list[i].prefix, other), routed.list[i].router_id,
                               subnet->network_id);
    }
    if (r == 0)
        plan_take_turn(change->plan, TURN, subnet->network_id);
    free(routed.list);
    return r;
}

/* ---- reporting --------------------------------------------------------------------------------------------------- */

void routed_report(const struct replica *replica)
{
    struct world world = {.replica = replica};
    struct prefixes prefixes = {0};
    size_t n_routers;
    const struct object *const *routers = replica_list(replica, RESOURCE_ROUTER, &n_routers);
    int r = 0;

    for (size_t i = 0; i < n_routers && r == 0; i++)
        r = add_router(&world, (const struct router *)routers[i], &prefixes);
    if (r == 0)
        r = routed_prefixes_resolve(prefixes.list, prefixes.n);
    for (size_t i = 0; i < prefixes.n && r == 0; i++) {
        const struct routed_prefix *prefix = &prefixes.list[i], *other = prefix->overruled;
        char text[PREFIX_TEXT_SIZE], text_of_other[PREFIX_TEXT_SIZE];

        REPLICA_FOREACH (member, replica_subnets_by_network(replica, prefix->network_id))
            if (prefix_overlaps(&((const struct subnet *)member->object)->cidr, &prefix->prefix))
                report_taken(prefix, (const struct subnet *)member->object);
        if (other)
            log_warning("%s of router %s is not reached from external network %s: it overlaps %s of router %s, of another project, which was "
                        "there first", prefix_format(&prefix->prefix, text), prefix->router_id, prefix->network_id,
                        prefix_format(&other->prefix, text_of_other), other->router_id);
    }
    if (r < 0)
        log_error("out of memory: overlapping prefixes were not looked for");
    free(prefixes.list);
}
