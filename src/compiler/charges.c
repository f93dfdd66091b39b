#include "weft/compiler/charges.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/compiler/layers.h"
#include "weft/model/virtual-server.h"

struct id_key {
    char id[UUID_TEXT_SIZE];
};

static uint32_t find(const struct rows *rows, const void *key)
{
    const void *value = rows_find(rows, key);
    uint32_t unit = UNIT_NONE;

    if (value)
        memcpy(&unit, value, sizeof(unit));
    return unit;
}

/* Users name objects in the texts of their ports: whose id it is counts only where it is of the kind that is asked for. */
static uint32_t find_id(const struct charges *charges, enum unit_kind kind, const char *id)
{
    struct id_key key = {{0}};
    uint32_t unit = id && string_copy(key.id, sizeof(key.id), id) == 0 ? find(&charges->ids, &key) : UNIT_NONE;

    return unit != UNIT_NONE && charges->units[unit].kind == kind ? unit : UNIT_NONE;
}

/* ---- units --------------------------------------------------------------------------------------------------------------------------- */

static uint32_t add_unit(struct charges *charges, enum unit_kind kind, const struct object *object, uint32_t base)
{
    charges->units[charges->n] = (struct unit){.object = object, .kind = kind, .base = base, .target = UNIT_NONE, .fits = true};
    return (uint32_t)charges->n++;
}

/* After all of the kind are there: they are looked for in what is sorted. */
static int add_ids(struct charges *charges, enum unit_kind kind)
{
    for (uint32_t unit = (uint32_t)charges->first[kind]; unit < charges->n; unit++) {
        struct id_key key = {{0}};

        string_copy(key.id, sizeof(key.id), charges->units[unit].object->id);
        if (rows_add(&charges->ids, &key, &unit) < 0)
            return -ENOMEM;
    }
    return rows_sort(&charges->ids);
}

static int add_networks(struct charges *charges)
{
    const struct snapshot *snapshot = charges->snapshot;

    for (size_t i = 0; i < snapshot->n_networks; i++) {
        uint32_t unit = add_unit(charges, UNIT_NETWORK, &snapshot->networks[i]->object, UNIT_NONE);

        if (rows_add(&charges->vnis, &snapshot->networks[i]->vni, &unit) < 0)
            return -ENOMEM;
    }
    return add_ids(charges, UNIT_NETWORK) < 0 ? -ENOMEM : rows_sort(&charges->vnis);
}

static int add_ports(struct charges *charges)
{
    const struct snapshot *snapshot = charges->snapshot;

    for (size_t i = 0; i < snapshot->n_ports; i++) {
        const struct compile_port *port = &snapshot->ports[i];
        uint32_t unit = add_unit(charges, UNIT_PORT, &port->port->object, find_id(charges, UNIT_NETWORK, port->port->network_id));

        if (port->slot && rows_add(&charges->slots, &port->slot, &unit) < 0)
            return -ENOMEM;
    }
    return add_ids(charges, UNIT_PORT) < 0 ? -ENOMEM : rows_sort(&charges->slots);
}

static int add_routers(struct charges *charges)
{
    const struct snapshot *snapshot = charges->snapshot;

    for (size_t i = 0; i < snapshot->n_routers; i++) {
        uint32_t unit = add_unit(charges, UNIT_ROUTER, &snapshot->routers[i].router->object, UNIT_NONE);

        if (snapshot->routers[i].number && rows_add(&charges->routers, &snapshot->routers[i].number, &unit) < 0)
            return -ENOMEM;
    }
    return add_ids(charges, UNIT_ROUTER) < 0 ? -ENOMEM : rows_sort(&charges->routers);
}

static int add_floating_ips(struct charges *charges)
{
    const struct snapshot *snapshot = charges->snapshot;

    for (size_t i = 0; i < snapshot->n_floating_ips; i++) {
        const struct floating_ip *model = snapshot->floating_ips[i];
        uint32_t network = find_id(charges, UNIT_NETWORK, model->floating_network_id);
        uint32_t unit = add_unit(charges, UNIT_FLOATING_IP, &model->object, find_id(charges, UNIT_ROUTER, model->router_id));
        struct external_key key = {0};

        if (network == UNIT_NONE)
            continue;
        key.vni = snapshot->networks[network]->vni;
        memcpy(&key.address, model->floating_address.bytes + 12, sizeof(key.address));
        if (rows_add(&charges->outside, &key, &unit) < 0)
            return -ENOMEM;
    }
    return rows_sort(&charges->outside);
}

static int add_numbers(struct charges *charges)
{
    const struct snapshot *snapshot = charges->snapshot;
    int error = 0;

    for (size_t i = 0; i < snapshot->n_listeners && error == 0; i++) {
        uint32_t unit = find_id(charges, UNIT_BALANCER, snapshot->listeners[i].listener->load_balancer_id);

        error = rows_add(&charges->listeners, &snapshot->listeners[i].number, &unit);
    }
    for (size_t i = 0; i < snapshot->n_pools && error == 0; i++) {
        uint32_t unit = find_id(charges, UNIT_BALANCER, snapshot->pools[i].pool->load_balancer_id);

        error = rows_add(&charges->pools, &snapshot->pools[i].number, &unit);
    }
    for (size_t i = 0; i < snapshot->n_members && error == 0; i++) {
        uint32_t unit = find_id(charges, UNIT_BALANCER, snapshot->members[i].member->load_balancer_id);

        error = rows_add(&charges->members, &snapshot->members[i].number, &unit);
    }
    return error < 0 || rows_sort(&charges->listeners) < 0 || rows_sort(&charges->pools) < 0 || rows_sort(&charges->members) < 0 ? -ENOMEM : 0;
}

static int add_balancers(struct charges *charges)
{
    const struct snapshot *snapshot = charges->snapshot;

    for (size_t i = 0; i < snapshot->n_load_balancers; i++) {
        const struct load_balancer *model = snapshot->load_balancers[i];

        add_unit(charges, UNIT_BALANCER, &model->object, find_id(charges, UNIT_NETWORK, model->vip_network_id));
    }
    return add_ids(charges, UNIT_BALANCER) < 0 ? -ENOMEM : add_numbers(charges);
}

static uint32_t router_of(const struct charges *charges, const struct port *port)
{
    return router_port_kind(port) == ROUTER_PORT_NONE ? UNIT_NONE : find_id(charges, UNIT_ROUTER, port->device_id);
}

/* The load balancer whose address the port has: that says the load balancer. */
static uint32_t balancer_of(const struct charges *charges, const struct port *port)
{
    uint32_t unit = find_id(charges, UNIT_BALANCER, port_load_balancer_id(port));

    return unit != UNIT_NONE && streq(((const struct load_balancer *)charges->units[unit].object)->vip_port_id, port->object.id) ? unit : UNIT_NONE;
}

/* Whose the port's rows are: its router's, its load balancer's, or its own. */
static int add_owners_of_ports(struct charges *charges)
{
    const struct snapshot *snapshot = charges->snapshot;

    for (size_t i = 0; i < snapshot->n_ports; i++) {
        const struct compile_port *port = &snapshot->ports[i];
        uint32_t unit = (uint32_t)(charges->first[UNIT_PORT] + i), network = charges->units[unit].base;
        uint32_t number = port->router_port ? port->router_port : port->vip_port;
        uint32_t owner = port->router_port ? router_of(charges, port->port) : balancer_of(charges, port->port);
        struct fdb_key key = {0};

        charges->units[unit].is_part = owner != UNIT_NONE;
        unit = owner == UNIT_NONE ? unit : owner;
        if (number && rows_add(&charges->router_ports, &number, &unit) < 0)
            return -ENOMEM;
        if (network == UNIT_NONE)
            continue;
        key.vni = snapshot->networks[network]->vni;
        memcpy(key.mac, port->port->mac.bytes, sizeof(key.mac));
        if (rows_add(&charges->macs, &key, &unit) < 0)
            return -ENOMEM;
    }
    return rows_sort(&charges->router_ports) < 0 ? -ENOMEM : rows_sort(&charges->macs);
}

static void find_targets(struct charges *charges)
{
    for (size_t i = 0; i < charges->snapshot->n_floating_ips; i++) {
        uint32_t port = find_id(charges, UNIT_PORT, charges->snapshot->floating_ips[i]->port_id);
        uint32_t balancer = port == UNIT_NONE ? UNIT_NONE : balancer_of(charges, (const struct port *)charges->units[port].object);

        charges->units[charges->first[UNIT_FLOATING_IP] + i].target = balancer == UNIT_NONE ? port : balancer;
    }
}

int charges_init(struct charges *charges, const struct snapshot *snapshot, const struct desired *desired)
{
    struct rows *numbered[] = {&charges->vnis, &charges->slots, &charges->routers, &charges->router_ports, &charges->listeners, &charges->pools, &charges->members};
    size_t n = snapshot->n_networks + snapshot->n_ports + snapshot->n_routers + snapshot->n_floating_ips + snapshot->n_load_balancers;
    static int (*const add[N_UNIT_KINDS])(struct charges *charges) = {add_networks, add_ports, add_routers, add_floating_ips, add_balancers};

    *charges = (struct charges){.snapshot = snapshot, .desired = desired, .units = calloc(n + 1, sizeof(*charges->units))};
    for (size_t i = 0; i < ARRAY_SIZE(numbered); i++)
        rows_init(numbered[i], sizeof(uint32_t), sizeof(uint32_t));
    rows_init(&charges->ids, sizeof(struct id_key), sizeof(uint32_t));
    rows_init(&charges->macs, sizeof(struct fdb_key), sizeof(uint32_t));
    rows_init(&charges->outside, sizeof(struct external_key), sizeof(uint32_t));
    if (!charges->units)
        return -ENOMEM;
    for (int kind = 0; kind < N_UNIT_KINDS; kind++) {
        charges->first[kind] = charges->n;
        if (add[kind](charges) < 0)
            return -ENOMEM;
    }
    find_targets(charges);
    return add_owners_of_ports(charges);
}

void charges_clear(struct charges *charges)
{
    struct rows *all[] = {&charges->ids, &charges->vnis, &charges->slots, &charges->macs, &charges->routers,
                          &charges->router_ports, &charges->listeners, &charges->pools, &charges->members, &charges->outside};

    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        rows_clear(all[i]);
    free(charges->units);
}

/* ---- rows ----------------------------------------------------------------------------------------------------------------------------- */

static uint32_t owner_of_mac(const struct charges *charges, uint32_t vni, const uint8_t mac[6])
{
    struct fdb_key key = {.vni = vni};

    memcpy(key.mac, mac, sizeof(key.mac));
    return memcmp(mac, VIRTUAL_SERVER_MAC.bytes, sizeof(key.mac)) == 0 ? find(&charges->vnis, &vni) : find(&charges->macs, &key);
}

static uint32_t owner_of_neighbor(const struct charges *charges, const struct neighbor_key *key, const struct neighbor_value *value)
{
    struct external_key outside = {.vni = key->vni};
    struct ip_address address;
    uint32_t unit = UNIT_NONE;

    memcpy(address.bytes, key->address, sizeof(address.bytes));
    memcpy(&outside.address, key->address + 12, sizeof(outside.address));
    if (ip_is_v4(&address))
        unit = find(&charges->outside, &outside);
    return unit == UNIT_NONE ? owner_of_mac(charges, key->vni, value->mac) : unit;
}

static uint32_t owner_of_route(const struct charges *charges, const struct route_key *key, const struct route_value *value)
{
    uint32_t number = key->router & ~ROUTER_SERVICE;

    if (key->router & ROUTER_OUTSIDE)
        return find(&charges->router_ports, &value->port);
    return find(key->router & ROUTER_SERVICE ? &charges->router_ports : &charges->routers, &number);
}

static uint32_t owner_of_external(const struct charges *charges, const struct external_key *key, const struct external_value *value)
{
    uint32_t unit = find(&charges->outside, key);

    return unit == UNIT_NONE ? find(&charges->router_ports, &value->router_port) : unit;
}

/* Its network is that of the router's port that it leaves by. */
static uint32_t owner_of_floating(const struct charges *charges, const struct floating_value *value)
{
    const struct router_port_config *port = rows_find(&charges->desired->tables[TABLE_ROUTER_PORTS], &value->router_port);
    struct external_key key = {.address = value->address};

    if (!port)
        return UNIT_NONE;
    memcpy(&key.vni, &port->vni, sizeof(key.vni));
    return find(&charges->outside, &key);
}

/* The router whose address it is. */
static uint32_t owner_of_block(const struct charges *charges, const struct snat_owner_key *key)
{
    struct external_key address = {key->vni, key->address};
    const struct external_value *router = rows_find(&charges->desired->tables[TABLE_EXTERNAL], &address);

    return router ? find(&charges->router_ports, &router->router_port) : UNIT_NONE;
}

static uint32_t owner_of(const struct charges *charges, enum desired_table table, const void *key, const void *value)
{
    switch (table) {
    case TABLE_NETWORKS:
        return find(&charges->vnis, key);
    case TABLE_FLOOD:
        return find(&charges->vnis, &((const struct flood_key *)key)->vni);
    case TABLE_SOURCES:
        return find(&charges->slots, &((const struct source_key *)key)->slot);
    case TABLE_FDB:
        return owner_of_mac(charges, ((const struct fdb_key *)key)->vni, ((const struct fdb_key *)key)->mac);
    case TABLE_NEIGHBORS:
        return owner_of_neighbor(charges, key, value);
    case TABLE_ROUTES:
        return owner_of_route(charges, key, value);
    case TABLE_NEXT_HOPS:
        return find(&charges->router_ports, &((const struct next_hop_value *)value)->port);
    case TABLE_SNAT:
        return find(&charges->router_ports, key);
    case TABLE_SNAT_OWNERS:
        return owner_of_block(charges, key);
    case TABLE_FLOATING:
        return owner_of_floating(charges, value);
    case TABLE_EXTERNAL:
        return owner_of_external(charges, key, value);
    case TABLE_SERVICES:
        if (!((const struct service_key *)key)->vni)
            return find(&charges->listeners, &((const struct service_value *)value)->listener);
        return owner_of_mac(charges, ((const struct service_key *)key)->vni, ((const struct service_value *)value)->mac);
    case TABLE_SERVICE_SOURCES:
        return find(&charges->listeners, &((const struct service_source_key *)key)->listener);
    case TABLE_SERVICE_ROWS:
        return find(&charges->pools, &((const struct service_rows_key *)key)->pool);
    case TABLE_SERVICE_MEMBERS:
    case TABLE_PROBE_TARGETS:
        return find(&charges->members, key);
    case TABLE_SERVICE_NAMES:
        return find(&charges->members, value);
    default:
        return UNIT_NONE;
    }
}

/* Ports may claim a MAC together, so its row is nobody's alone: each is charged with what it may claim. */
static void count_movable(struct charges *charges)
{
    for (size_t i = 0; i < charges->snapshot->n_ports; i++) {
        const struct port *port = charges->snapshot->ports[i].port;
        struct unit *unit = &charges->units[charges->first[UNIT_PORT] + i];

        if (!port->binding_host_id || charges->snapshot->ports[i].router_port)
            continue; /* Sends nothing. */
        for (size_t k = 0; k < port->n_allowed_address_pairs && port->port_security_enabled; k++)
            unit->n_rows += port->allowed_address_pairs[k].has_mac && !mac_equal(&port->allowed_address_pairs[k].mac, &port->mac);
        unit->n_rows += !port->port_security_enabled;
    }
}

void charges_count(struct charges *charges, enum desired_table table, size_t *ret_n_own)
{
    const struct rows *rows = &charges->desired->tables[table];

    *ret_n_own = 0;
    for (size_t i = 0; i < charges->n; i++)
        charges->units[i].n_rows = 0;
    if (table == TABLE_MOVABLE) {
        count_movable(charges);
        return;
    }
    for (size_t i = 0; i < rows->n; i++) {
        uint32_t unit = owner_of(charges, table, rows_key(rows, i), rows_value(rows, i));

        if (unit == UNIT_NONE)
            ++*ret_n_own;
        else
            charges->units[unit].n_rows++;
    }
}

/* ---- who stays -------------------------------------------------------------------------------------------------------------------------- */

const struct unit *unit_lacks(const struct charges *charges, const struct unit *unit)
{
    const struct unit *lacks = unit->target == UNIT_NONE ? NULL : unit_lacks(charges, &charges->units[unit->target]);

    while (unit->fits && unit->base != UNIT_NONE)
        unit = &charges->units[unit->base];
    return unit->fits ? lacks : unit;
}

bool charges_stands(const struct charges *charges, enum desired_table table, const void *key, const void *value)
{
    uint32_t unit = owner_of(charges, table, key, value);

    return unit == UNIT_NONE || unit_stands(charges, &charges->units[unit]);
}

bool charges_keep(const struct charges *charges, enum unit_kind kind, size_t index)
{
    return unit_stands(charges, &charges->units[charges->first[kind] + index]);
}

bool charges_keep_balancer(const struct charges *charges, const char *id)
{
    uint32_t unit = find_id(charges, UNIT_BALANCER, id);

    return unit == UNIT_NONE || unit_stands(charges, &charges->units[unit]);
}

bool charges_keep_port_of_router(const struct charges *charges, const struct port *port)
{
    uint32_t unit = router_of(charges, port);

    return unit == UNIT_NONE || unit_stands(charges, &charges->units[unit]);
}

void charges_follow(struct charges *charges)
{
    for (size_t i = 0; i < charges->snapshot->n_ports; i++) {
        const struct compile_port *port = &charges->snapshot->ports[i];
        uint32_t network = charges->units[charges->first[UNIT_PORT] + i].base;
        uint32_t router = network == UNIT_NONE || charges->units[network].fits ? UNIT_NONE : router_of(charges, port->port);

        if (router != UNIT_NONE && charges->units[router].fits) {
            charges->units[router].fits = false;
            charges->units[router].follows = true;
            charges->units[router].table = charges->units[network].table;
        }
    }
}
