/* Routers: their ports, and a routing table each.
 *
 * Every host has all routers that its ports can reach, and routes what its own ports send.  A router's ports are the model's ports whose
 * device it is; they are on no host. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/siphash.h"
#include "weft/compiler/layers.h"

/* One network that the router is on. */
struct connected {
    struct ip_prefix prefix;
    uint32_t port;
};

/* A route with its way out. */
struct resolved {
    struct ip_prefix destination;
    struct ip_address next_hop;
    uint32_t port;
};

/* Several next hops for one destination. */
struct hop_group {
    uint32_t hash, router;
    struct ip_prefix destination;
    size_t first, n; /* In 'resolved'. */
};

/* An address scope that some port of the router is in. */
struct scope {
    const char *id;
    uint32_t number;
};

struct routing {
    const struct compile_index *index;
    struct desired *desired;
    struct connected *connected;  /* Of the router in hand. */
    size_t n_connected, n_connected_capacity;
    struct scope *scopes;         /* Of the router in hand, by number. */
    size_t n_scopes, n_scopes_capacity;
    struct resolved *resolved;    /* The next hops of all groups. */
    size_t n_resolved, n_resolved_capacity;
    struct hop_group *groups;
    size_t n_groups, n_groups_capacity;
};

/* Room for one more.  'array' is the address of a pointer. */
static bool grow(void *array, size_t n, size_t *capacity, size_t size)
{
    size_t wanted = *capacity ? *capacity * 2 : 16;
    void *old, *grown;

    if (n < *capacity)
        return true;
    memcpy(&old, array, sizeof(old));
    grown = reallocarray(old, wanted, size);
    if (!grown)
        return false;
    memcpy(array, &grown, sizeof(grown));
    *capacity = wanted;
    return true;
}

/* ---- rows ------------------------------------------------------------------------------------------------------------------ */

static int add_route(struct routing *routing, uint32_t router, const struct ip_prefix *prefix, uint32_t flags, uint32_t port,
                     const struct ip_address *next_hop)
{
    struct route_key key = {.prefix_length = 32 + (uint32_t)prefix_bits(prefix), .router = router};
    struct route_value value = {.router = router, .flags = flags, .port = port};

    memcpy(key.address, prefix->address.bytes, sizeof(key.address));
    if (next_hop)
        memcpy(value.next_hop, next_hop->bytes, sizeof(value.next_hop));
    return rows_add(&routing->desired->tables[TABLE_ROUTES], &key, &value);
}

static const struct fixed_ip *first_address(const struct port *port, bool v4)
{
    for (size_t i = 0; i < port->n_fixed_ips; i++)
        if (ip_is_v4(&port->fixed_ips[i].address) == v4)
            return &port->fixed_ips[i];
    return NULL;
}

/* ---- address scopes ----------------------------------------------------------------------------------------------------------- */

static const char *scope_of(const struct routing *routing, const struct fixed_ip *address)
{
    const struct subnet *subnet = address && routing->index->has_scopes ? compile_find_subnet(routing->index, address->subnet_id) : NULL;

    return subnet ? subnet->address_scope_id : "";
}

static int compare_scopes(const void *a, const void *b)
{
    const struct scope *x = a, *y = b;

    return x->number != y->number ? (x->number < y->number ? -1 : 1) : strcmp(x->id, y->id);
}

static int add_scope(struct routing *routing, const char *id)
{
    static const uint64_t key[2] = {0x7765667461646472, 0x65737373636f7065};

    for (size_t i = 0; i < routing->n_scopes; i++)
        if (streq(routing->scopes[i].id, id))
            return 0;
    if (!*id)
        return 0;
    if (!grow(&routing->scopes, routing->n_scopes, &routing->n_scopes_capacity, sizeof(*routing->scopes)))
        return -ENOMEM;
    routing->scopes[routing->n_scopes++] = (struct scope){id, siphash(key, id, strlen(id)) % (ROUTER_PORT_SCOPE_MAX / 2)};
    return 0;
}

/* Numbers come from the scopes' names, so that they stay while others come and go; two that would have one are told apart. */
static int number_scopes(struct routing *routing, const struct compile_router_entry *entry)
{
    uint32_t last = 0;

    routing->n_scopes = 0;
    for (size_t i = 0; i < entry->n_ports; i++) {
        const struct port *port = routing->index->ports_by_router[entry->first_port + i]->port;

        if (add_scope(routing, scope_of(routing, first_address(port, true))) < 0 ||
            add_scope(routing, scope_of(routing, first_address(port, false))) < 0)
            return -ENOMEM;
    }
    if (routing->n_scopes > 1)
        qsort(routing->scopes, routing->n_scopes, sizeof(*routing->scopes), compare_scopes);
    for (size_t i = 0; i < routing->n_scopes; i++)
        last = routing->scopes[i].number = MAX(routing->scopes[i].number, last) + 1;
    return 0;
}

static uint32_t scope_number(const struct routing *routing, const struct fixed_ip *address)
{
    const char *id = scope_of(routing, address);

    for (size_t i = 0; i < routing->n_scopes; i++)
        if (streq(routing->scopes[i].id, id))
            return routing->scopes[i].number;
    return 0;
}

static int add_router_port(struct routing *routing, const struct compile_router *router, const struct compile_port *entry,
                           const struct network *network)
{
    const struct port *port = entry->port;
    const struct fixed_ip *first4 = first_address(port, true), *first6 = first_address(port, false);
    uint32_t scope4 = scope_number(routing, first4), scope6 = scope_number(routing, first6);
    struct router_port_config config = {.router = router->number, .vni = network->vni, .mtu = network->mtu,
                                        .generation = entry->router_port_generation};

    if (router->router->object.admin_state_up && port->object.admin_state_up && network->object.admin_state_up &&
        scope4 <= ROUTER_PORT_SCOPE_MAX && scope6 <= ROUTER_PORT_SCOPE_MAX)
        config.flags |= ROUTER_PORT_UP | ROUTER_PORT_SCOPES(scope4, scope6);
    if (compile_is_gateway(port))
        config.flags |= ROUTER_PORT_EXTERNAL | (router->router->enable_snat ? ROUTER_PORT_SNAT : 0);
    if (compile_is_gateway(port) && first6 && compile_is_announced_here(routing->index, network, &first6->address, NULL))
        config.flags |= ROUTER_PORT_ANNOUNCED;
    if (routing->index->firewalls) {
        const struct compile_firewall *firewall = &routing->index->firewalls[entry - routing->index->snapshot->ports];

        memcpy(config.rule_set, firewall->rule_set, sizeof(config.rule_set));
        config.flags |= firewall->logs;
    }
    memcpy(config.mac, port->mac.bytes, sizeof(config.mac));
    if (first4)
        memcpy(config.ip4, first4->address.bytes, sizeof(config.ip4));
    if (first6)
        memcpy(config.ip6, first6->address.bytes, sizeof(config.ip6));
    return rows_add(&routing->desired->tables[TABLE_ROUTER_PORTS], &entry->router_port, &config);
}

/* ---- what the router is on ---------------------------------------------------------------------------------------------------- */

static int add_connected(struct routing *routing, uint32_t router, const struct ip_prefix *prefix, uint32_t port)
{
    if (!grow(&routing->connected, routing->n_connected, &routing->n_connected_capacity, sizeof(*routing->connected)))
        return -ENOMEM;
    routing->connected[routing->n_connected++] = (struct connected){*prefix, port};
    return add_route(routing, router, prefix, 0, port, NULL);
}

static int add_own_address(struct routing *routing, uint32_t router, const struct ip_address *address, uint32_t port)
{
    struct ip_prefix whole = {*address, ip_is_v4(address) ? 32 : 128};

    return add_route(routing, router, &whole, ROUTE_LOCAL, port, NULL);
}

/* The port's addresses and their subnets.  Of an external network all subnets are on the link: floating IPs may be of any. */
static int add_port_routes(struct routing *routing, const struct compile_router *router, const struct compile_port *entry,
                           const struct compile_network *network)
{
    static const struct ip_prefix link_local_prefix = {{{0xfe, 0x80}}, 64};
    const struct port *port = entry->port;

    for (size_t i = 0; i < port->n_fixed_ips; i++) {
        const struct subnet *subnet = compile_find_subnet(routing->index, port->fixed_ips[i].subnet_id);
        const struct ip_address *address = &port->fixed_ips[i].address;
        struct ip_address link_local = ip_from_eui64(&link_local_prefix, &port->mac);

        if (add_own_address(routing, router->number, address, entry->router_port) < 0 ||
            (!ip_is_v4(address) && add_own_address(routing, router->number, &link_local, entry->router_port) < 0) ||
            (subnet && add_connected(routing, router->number, &subnet->cidr, entry->router_port) < 0))
            return -ENOMEM;
    }
    for (size_t i = 0; compile_is_gateway(port) && i < network->n_subnets; i++)
        if (add_connected(routing, router->number, &routing->index->subnets_by_network[network->first_subnet + i]->cidr, entry->router_port) < 0)
            return -ENOMEM;
    return 0;
}

/* ---- extra routes --------------------------------------------------------------------------------------------------------------- */

/* The port that leads to the next hop: that of the longest prefix; 0: none does. */
static uint32_t port_towards(const struct routing *routing, const struct ip_address *next_hop)
{
    const struct connected *best = NULL;

    for (size_t i = 0; i < routing->n_connected; i++) {
        const struct connected *connected = &routing->connected[i];

        if (prefix_contains(&connected->prefix, next_hop) && (!best || connected->prefix.length > best->prefix.length))
            best = connected;
    }
    return best ? best->port : 0;
}

static int compare_resolved(const void *a, const void *b)
{
    const struct resolved *x = a, *y = b;
    int order = ip_compare(&x->destination.address, &y->destination.address);

    if (order)
        return order;
    if (prefix_bits(&x->destination) != prefix_bits(&y->destination))
        return prefix_bits(&x->destination) < prefix_bits(&y->destination) ? -1 : 1;
    return ip_compare(&x->next_hop, &y->next_hop);
}

static bool same_destination(const struct resolved *a, const struct resolved *b)
{
    return ip_equal(&a->destination.address, &b->destination.address) && prefix_bits(&a->destination) == prefix_bits(&b->destination);
}

/* A group is named by whose route it is: when a next hop comes or goes, its rows change and the route's does not. */
static int add_group(struct routing *routing, uint32_t router, size_t first, size_t n)
{
    static const uint64_t key[2] = {0x77656674686f7073, 0x67726f7570696473};
    struct {
        uint32_t router, bits;
        uint8_t address[16];
    } name = {.router = router, .bits = (uint32_t)prefix_bits(&routing->resolved[first].destination)};

    memcpy(name.address, routing->resolved[first].destination.address.bytes, sizeof(name.address));
    if (!grow(&routing->groups, routing->n_groups, &routing->n_groups_capacity, sizeof(*routing->groups)))
        return -ENOMEM;
    routing->groups[routing->n_groups++] = (struct hop_group){compile_hash(key, routing->index->snapshot->secret, &name, sizeof(name)), router, routing->resolved[first].destination, first, n};
    return 0;
}

static int add_extra_routes(struct routing *routing, const struct compile_router *router)
{
    const struct router *model = router->router;
    size_t first = routing->n_resolved, last;

    for (size_t i = 0; i < model->n_routes; i++) {
        const struct host_route *route = &model->routes[i];
        uint32_t port = port_towards(routing, &route->next_hop);

        if (!port || ip_is_v4(&route->next_hop) != ip_is_v4(&route->destination.address))
            continue;
        if (!grow(&routing->resolved, routing->n_resolved, &routing->n_resolved_capacity, sizeof(*routing->resolved)))
            return -ENOMEM;
        routing->resolved[routing->n_resolved++] = (struct resolved){route->destination, route->next_hop, port};
    }
    last = routing->n_resolved;
    if (last > first)
        qsort(routing->resolved + first, last - first, sizeof(*routing->resolved), compare_resolved);
    for (size_t i = first, n; i < last; i += n) {
        const struct resolved *resolved = &routing->resolved[i];

        for (n = 1; i + n < last && same_destination(resolved, &routing->resolved[i + n]); n++)
            ;
        if (n == 1 && add_route(routing, router->number, &resolved->destination, 0, resolved->port, &resolved->next_hop) < 0)
            return -ENOMEM;
        if (n > 1 && add_group(routing, router->number, i, n) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int add_default_routes(struct routing *routing, const struct compile_router *router, const struct compile_port *gateway)
{
    const struct port *port = gateway->port;

    for (size_t i = 0; i < port->n_fixed_ips; i++) {
        const struct subnet *subnet = compile_find_subnet(routing->index, port->fixed_ips[i].subnet_id);
        struct ip_prefix all = {{{0}}, 0};

        if (!subnet || !subnet->has_gateway)
            continue;
        if (ip_is_v4(&subnet->gateway))
            all.address = ip_from_v4(0);
        if (add_route(routing, router->number, &all, 0, gateway->router_port, &subnet->gateway) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* ---- groups of next hops ----------------------------------------------------------------------------------------------------------- */

static int compare_groups(const void *a, const void *b)
{
    const struct hop_group *x = a, *y = b;

    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    if (x->router != y->router)
        return x->router < y->router ? -1 : 1;
    if (prefix_bits(&x->destination) != prefix_bits(&y->destination))
        return prefix_bits(&x->destination) < prefix_bits(&y->destination) ? -1 : 1;
    return ip_compare(&x->destination.address, &y->destination.address);
}

/* Rendezvous (Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998): each bucket goes to the next hop that scores
 * best there, whatever others there are. */
static const struct resolved *best_hop(const struct resolved *hops, size_t n, uint32_t bucket)
{
    static const uint64_t key[2] = {0x77656674686f7073, 0x72656e64657a766f};
    const struct resolved *best = hops;
    uint32_t best_score = 0;

    for (size_t i = 0; i < n; i++) {
        struct {
            uint32_t bucket;
            uint8_t address[16];
        } name = {.bucket = bucket};
        uint32_t score;

        memcpy(name.address, hops[i].next_hop.bytes, sizeof(name.address));
        score = siphash(key, &name, sizeof(name));
        if (score > best_score) {
            best = &hops[i];
            best_score = score;
        }
    }
    return best;
}

static int add_hop_groups(struct routing *routing)
{
    uint32_t id = 0;

    if (routing->n_groups)
        qsort(routing->groups, routing->n_groups, sizeof(*routing->groups), compare_groups);
    for (size_t i = 0; i < routing->n_groups; i++) {
        const struct hop_group *group = &routing->groups[i];
        const struct resolved *hops = &routing->resolved[group->first];

        id = compile_id_from_hash(group->hash, id);
        for (uint32_t bucket = 0; bucket < NEXT_HOP_BUCKETS; bucket++) {
            const struct resolved *hop = best_hop(hops, group->n, bucket);
            struct next_hop_key key = {id, bucket};
            struct next_hop_value value = {.group = id, .port = hop->port};

            memcpy(value.next_hop, hop->next_hop.bytes, sizeof(value.next_hop));
            if (rows_add(&routing->desired->tables[TABLE_NEXT_HOPS], &key, &value) < 0)
                return -ENOMEM;
        }
        if (add_route(routing, group->router, &hops->destination, ROUTE_MANY, id, NULL) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* ---- all together --------------------------------------------------------------------------------------------------------------------- */

/* Of rows with one key the first stays: what the router is on, then extra routes, then its gateway. */
static int add_router(struct routing *routing, const struct compile_router_entry *entry)
{
    const struct compile_router *router = entry->router;
    int error = 0;

    if (!router->number)
        return 0;
    routing->n_connected = 0;
    error = number_scopes(routing, entry);
    for (size_t i = 0; i < entry->n_ports && error == 0; i++) {
        const struct compile_port *port = routing->index->ports_by_router[entry->first_port + i];
        const struct compile_network *network = compile_place_of(routing->index, port)->network;

        if (!network)
            continue;
        error = add_router_port(routing, router, port, network->network);
        if (error == 0)
            error = add_port_routes(routing, router, port, network);
    }
    if (error == 0)
        error = add_extra_routes(routing, router);
    return error;
}

static int add_gateway(struct routing *routing, const struct compile_router_entry *entry)
{
    for (size_t i = 0; entry->router->number && i < entry->n_ports; i++) {
        const struct compile_port *port = routing->index->ports_by_router[entry->first_port + i];

        if (compile_is_gateway(port->port) && compile_place_of(routing->index, port)->network &&
            add_default_routes(routing, entry->router, port) < 0)
            return -ENOMEM;
    }
    return 0;
}

int compile_routing(struct compile_index *index, struct desired *desired)
{
    struct routing routing = {.index = index, .desired = desired};
    int error = 0;

    for (size_t i = 0; i < index->snapshot->n_routers && error == 0; i++)
        error = add_router(&routing, &index->router_array[i]);
    if (error == 0)
        error = add_hop_groups(&routing);
    for (size_t i = 0; i < index->snapshot->n_routers && error == 0; i++)
        error = add_gateway(&routing, &index->router_array[i]);
    free(routing.connected);
    free(routing.scopes);
    free(routing.resolved);
    free(routing.groups);
    return error;
}
