/* Random projects' objects, and each table in turn too small for them: what is there is whole, and whose it is is what a naive division gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "projects.h"
#include "weft/base/util.h"
#include "weft/compiler/compiler.h"
#include "weft/model/virtual-server.h"

/* Everything that a row names its object by says the project and which of its objects it is: P and J below.  Of one project up to so many. */
#define N_PROJECTS 4
#define N_EACH 6
#define N_OF(n) ((n) * N_PROJECTS * N_EACH)
#define CODE(kind, p, j) ((unsigned)(kind) * 1000 + (unsigned)(p) * 100 + (unsigned)(j))
#define N_CODES 6000
#define OUTSIDE_VNI 900

enum code_kind { CODE_NONE, CODE_NETWORK, CODE_PORT, CODE_ROUTER, CODE_FLOATING, CODE_BALANCER };

struct world {
    struct network networks[N_OF(1) + 1];
    struct subnet subnets[N_OF(1) + 1];
    struct port ports[N_OF(4)];
    struct fixed_ip fixed[N_OF(4)];
    struct address_pair pairs[N_OF(4)][3];
    struct router routers[N_OF(1)];
    struct host_route routes[N_OF(1)][6];
    struct floating_ip floating_ips[N_OF(1)];
    struct snat_block blocks[N_OF(2)];
    struct load_balancer balancers[N_OF(1)];
    struct listener listeners[N_OF(1)];
    struct ip_prefix clients[N_OF(1)][4];
    struct pool pools[N_OF(1)];
    struct pool_member members[N_OF(3)];
    struct balance_rows rows[N_OF(1)];
    struct balance_member states[N_OF(1)][3];
    struct health_monitor monitors[N_OF(1)];
    struct host hosts[2];
    const struct network *network_array[N_OF(1) + 1];
    const struct subnet *subnet_array[N_OF(1) + 1];
    struct compile_port port_array[N_OF(4)];
    struct compile_router router_array[N_OF(1)];
    const struct floating_ip *floating_array[N_OF(1)];
    const struct snat_block *block_array[N_OF(2)];
    const struct load_balancer *balancer_array[N_OF(1)];
    struct compile_listener listener_array[N_OF(1)];
    struct compile_pool pool_array[N_OF(1)];
    struct compile_member member_array[N_OF(3)];
    const struct balance_rows *rows_array[N_OF(1)];
    const struct health_monitor *monitor_array[N_OF(1)];
    struct compile_host host_array[2];
    struct compile_uplink uplink;
    struct text physical;
    struct snapshot snapshot;
};

static uint8_t some_rows[8 * 200]; /* All of the first member. */

static void name(struct object *object, unsigned kind, unsigned p, unsigned j, unsigned k)
{
    name_object(object, p, (uint64_t)kind << 40 | (uint64_t)p << 32 | (uint64_t)j << 24 | k);
    object->admin_state_up = true;
}

/* ---- the world ------------------------------------------------------------------------------------------------------------------------ */

static size_t add_network(struct world *world, unsigned p, unsigned j, uint32_t vni, struct ip_prefix cidr)
{
    size_t i = world->snapshot.n_networks++;
    struct network *network = &world->networks[i];
    struct subnet *subnet = &world->subnets[i];

    name(&network->object, 1, p, j, 0);
    name(&subnet->object, 2, p, j, 0);
    network->vni = vni;
    network->mtu = 1450;
    subnet->cidr = cidr;
    copy_id(subnet->network_id, &network->object);
    world->network_array[i] = network;
    world->subnet_array[world->snapshot.n_subnets++] = subnet;
    return i;
}

/* mac[1] is what kind of object the port's rows are charged to. */
static struct compile_port *add_port(struct world *world, enum code_kind kind, unsigned p, unsigned j, unsigned k, size_t network, struct ip_address address)
{
    size_t i = world->snapshot.n_ports++;
    struct port *port = &world->ports[i];

    name(&port->object, 16 + kind, p, j, k);
    port->mac = (struct mac_address){{2, (uint8_t)kind, (uint8_t)p, (uint8_t)j, (uint8_t)k, 0}};
    copy_id(port->network_id, &world->networks[network].object);
    world->fixed[i].address = address;
    copy_id(world->fixed[i].subnet_id, &world->subnets[network].object);
    port->fixed_ips = &world->fixed[i];
    port->n_fixed_ips = 1;
    world->port_array[i] = (struct compile_port){.port = port};
    return &world->port_array[i];
}

static struct ip_address inside(unsigned p, unsigned j, unsigned host)
{
    return ip_from_v4(0x0a000000 + (p << 16) + (j << 8) + host);
}

static struct compile_port *add_workload(struct world *world, unsigned p, unsigned j, size_t network)
{
    struct compile_port *entry = add_port(world, CODE_PORT, p, j, 0, network, inside(p, j, 10));
    size_t i = world->snapshot.n_ports - 1;
    struct port *port = &world->ports[i];

    port->port_security_enabled = true;
    port->binding_host_id = (char *)(j % 2 ? "there" : "here");
    entry->slot = j % 2 ? 0 : 1 + p * N_EACH + j;
    port->allowed_address_pairs = world->pairs[i];
    port->n_allowed_address_pairs = below(4);
    for (unsigned k = 0; k < port->n_allowed_address_pairs; k++)
        world->pairs[i][k] = (struct address_pair){{inside(p, j, 100 + k), 32}, true, {{6, CODE_PORT, (uint8_t)p, (uint8_t)j, (uint8_t)k, 0}}};
    return entry;
}

static void add_router(struct world *world, unsigned p, unsigned j, size_t network)
{
    size_t i = world->snapshot.n_routers++;
    struct router *router = &world->routers[i];
    uint32_t number = 1 + p * N_EACH + j;

    name(&router->object, 3, p, j, 0);
    router->enable_snat = true;
    router->routes = world->routes[i];
    router->n_routes = below(7);
    for (unsigned k = 0; k < router->n_routes; k++) /* Some have two next hops. */
        world->routes[i][k] = (struct host_route){{ip_from_v4(0x14000000 + (k / 2 << 8)), 24}, inside(p, j, 200 + k)};
    world->router_array[i] = (struct compile_router){router, number};
    for (unsigned k = 0; k < 2; k++) {
        struct compile_port *port = add_port(world, CODE_ROUTER, p, j, k, k ? 0 : network, k ? ip_from_v4(0xcb000000 + (p << 8) + j + 1) : inside(p, j, 1));
        struct port *model = &world->ports[world->snapshot.n_ports - 1];

        model->device_id = router->object.id;
        model->device_owner = (char *)(k ? DEVICE_ROUTER_GATEWAY : DEVICE_ROUTER_INTERFACE);
        port->router_port = 2 * number + k;
    }
    for (unsigned k = 0; k < below(3); k++) {
        struct snat_block *block = &world->blocks[world->snapshot.n_snat_blocks];

        copy_id(block->router_id, &router->object);
        copy_id(block->network_id, &world->networks[0].object);
        block->address = ip_from_v4(0xcb000000 + (p << 8) + j + 1);
        block->first_port = (uint16_t)(1024 * (k + 1));
        block->n_ports = 1024;
        block->host = (char *)(k ? "there" : "here");
        world->block_array[world->snapshot.n_snat_blocks++] = block;
    }
}

static void add_floating_ip(struct world *world, unsigned p, unsigned j, const struct port *port, const struct router *router)
{
    struct floating_ip *model = &world->floating_ips[world->snapshot.n_floating_ips];

    name(&model->object, 4, p, j, 0);
    copy_id(model->floating_network_id, &world->networks[0].object);
    model->floating_address = ip_from_v4(0xcb000000 + (p << 8) + 100 + j);
    copy_id(model->port_id, &port->object);
    copy_id(model->router_id, &router->object);
    world->floating_array[world->snapshot.n_floating_ips++] = model;
}

static void add_members(struct world *world, unsigned p, unsigned j, const struct load_balancer *balancer, struct pool *pool, const struct port *at)
{
    struct balance_rows *rows = &world->rows[world->snapshot.n_balance_rows];
    struct balance_member *states = world->states[world->snapshot.n_balance_rows];
    unsigned n = 1 + below(3);

    name(&rows->object, 8, p, j, 0);
    copy_id(rows->object.id, &pool->object);
    rows->object.id[14] = '8'; /* balance_rows_id() */
    copy_id(rows->load_balancer_id, &balancer->object);
    rows->members = states;
    rows->n_members = n;
    rows->rows = some_rows;
    rows->n_row_bytes = 8 * (1 + below(200));
    world->rows_array[world->snapshot.n_balance_rows++] = rows;
    for (unsigned k = 0; k < n; k++) {
        struct pool_member *member = &world->members[world->snapshot.n_members];

        name(&member->object, 9, p, j, k);
        copy_id(member->pool_id, &pool->object);
        copy_id(member->load_balancer_id, &balancer->object);
        string_copy(member->at_network_id, sizeof(member->at_network_id), at->network_id);
        member->address = at->fixed_ips[0].address;
        member->protocol_port = (uint16_t)(80 + k);
        states[k] = (struct balance_member){.index = (uint16_t)k, .state = MEMBER_SERVES};
        copy_id(states[k].member_id, &member->object);
        world->member_array[world->snapshot.n_members++] = (struct compile_member){member, 1 + (p * N_EACH + j) * 4 + k};
    }
}

static void add_balancer(struct world *world, unsigned p, unsigned j, size_t network, const struct port *at)
{
    size_t i = world->snapshot.n_load_balancers++;
    struct load_balancer *model = &world->balancers[i];
    struct listener *listener = &world->listeners[i];
    struct pool *pool = &world->pools[i];
    struct port *port;
    uint32_t number = 1 + p * N_EACH + j;

    name(&model->object, 5, p, j, 0);
    name(&listener->object, 6, p, j, 0);
    name(&pool->object, 7, p, j, 0);
    model->vip_address = inside(p, j, 250);
    copy_id(model->vip_network_id, &world->networks[network].object);
    add_port(world, CODE_BALANCER, p, j, 0, network, model->vip_address);
    port = &world->ports[world->snapshot.n_ports - 1];
    copy_id(model->vip_port_id, &port->object);
    port->device_owner = (char *)DEVICE_LOAD_BALANCER;
    port->device_id = malloc(64);
    assert_non_null(port->device_id);
    snprintf(port->device_id, 64, "%s%s", DEVICE_LOAD_BALANCER_ID, model->object.id);
    copy_id(listener->load_balancer_id, &model->object);
    copy_id(listener->default_pool_id, &pool->object);
    copy_id(pool->load_balancer_id, &model->object);
    listener->protocol_port = 80;
    listener->allowed_cidrs = world->clients[i];
    listener->n_allowed_cidrs = below(5);
    for (unsigned k = 0; k < listener->n_allowed_cidrs; k++)
        world->clients[i][k] = (struct ip_prefix){ip_from_v4(0x1e000000 + (k << 8)), 24};
    world->balancer_array[i] = model;
    world->listener_array[i] = (struct compile_listener){listener, number};
    world->pool_array[i] = (struct compile_pool){pool, number};
    add_members(world, p, j, model, pool, at);
    copy_id(world->monitors[i].pool_id, &pool->object);
    world->monitors[i].object.admin_state_up = true;
    world->monitor_array[world->snapshot.n_health_monitors++] = &world->monitors[i];
}

static void make_world(struct world *world)
{
    struct snapshot *snapshot = &world->snapshot;

    *world = (struct world){.physical = {(char *)"ext"}, .uplink = {"ext", 7, 1500, {{2}}},
                            .hosts = {{.state = HOST_STATE_UP, .has_tunnel_address = true}, {.state = HOST_STATE_UP, .has_tunnel_address = true}}};
    for (unsigned i = 0; i < 2; i++) {
        struct host *host = &world->hosts[i];

        host->object.name = (char *)(i ? "there" : "here");
        host->tunnel_address = ip_from_v4(0xc0000201 + i);
        host->physical_networks = &world->physical;
        host->n_physical_networks = !i;
        world->host_array[i] = (struct compile_host){.host = host, .slot = i, .path = {.next_hop = {1}}};
    }
    add_network(world, 0, 99, OUTSIDE_VNI, (struct ip_prefix){ip_from_v4(0xcb000000), 16});
    world->networks[0].object.project_id[0] = '\0';
    world->networks[0].is_external = true;
    world->networks[0].physical_network = world->physical.text;
    for (unsigned p = 0; p < N_PROJECTS; p++)
        for (unsigned j = 0, n = 1 + below(below(N_EACH) + 1); j < n; j++) {
            size_t network = add_network(world, p, j, 1000 + 100 * p + j, (struct ip_prefix){inside(p, j, 0), 24});
            const struct compile_port *port = add_workload(world, p, j, network);

            add_router(world, p, j, network);
            if (below(2))
                add_floating_ip(world, p, j, port->port, &world->routers[snapshot->n_routers - 1]);
            if (below(2))
                add_balancer(world, p, j, network, port->port);
        }
    snapshot->host_name = "here";
    snapshot->tunnel_address = world->hosts[0].tunnel_address;
    snapshot->networks = world->network_array;
    snapshot->subnets = world->subnet_array;
    snapshot->ports = world->port_array;
    snapshot->hosts = world->host_array;
    snapshot->n_hosts = 2;
    snapshot->routers = world->router_array;
    snapshot->floating_ips = world->floating_array;
    snapshot->snat_blocks = world->block_array;
    snapshot->load_balancers = world->balancer_array;
    snapshot->listeners = world->listener_array;
    snapshot->pools = world->pool_array;
    snapshot->members = world->member_array;
    snapshot->balance_rows = world->rows_array;
    snapshot->health_monitors = world->monitor_array;
    snapshot->uplinks = &world->uplink;
    snapshot->n_uplinks = 1;
    snapshot->probe_ifindex = 3;
}

static void clear_world(struct world *world)
{
    for (size_t i = 0; i < world->snapshot.n_ports; i++)
        if (port_load_balancer_id(&world->ports[i]))
            free(world->ports[i].device_id);
}

/* ---- whose a row is, from the numbers ------------------------------------------------------------------------------------------------------- */

static unsigned by_vni(uint32_t vni)
{
    return vni == OUTSIDE_VNI ? CODE_NONE : CODE(CODE_NETWORK, (vni - 1000) / 100, (vni - 1000) % 100);
}

static unsigned by_number(enum code_kind kind, uint32_t number)
{
    return CODE(kind, (number - 1) / N_EACH, (number - 1) % N_EACH);
}

static unsigned by_outside(const uint8_t address[4])
{
    return address[3] < 100 ? CODE(CODE_ROUTER, address[2], address[3] - 1) : CODE(CODE_FLOATING, address[2], address[3] - 100);
}

static unsigned by_mac(const uint8_t mac[6])
{
    return CODE(mac[1], mac[2], mac[3]);
}

static unsigned code_of(enum desired_table table, const void *key, const void *value)
{
    uint32_t number;

    memcpy(&number, key, sizeof(number));
    switch (table) {
    case TABLE_NETWORKS:
    case TABLE_FLOOD:
        return by_vni(number);
    case TABLE_SOURCES:
        return by_number(CODE_PORT, ((const struct source_key *)key)->slot);
    case TABLE_MOVABLE:
        return by_mac(((const struct movable_key *)key)->mac);
    case TABLE_FDB:
        return by_mac(((const struct fdb_key *)key)->mac);
    case TABLE_NEIGHBORS:
        return number == OUTSIDE_VNI ? by_outside(((const struct neighbor_key *)key)->address + 12) : by_mac(((const struct neighbor_value *)value)->mac);
    case TABLE_ROUTES:
        number = ((const struct route_key *)key)->router;
        return number & ROUTER_OUTSIDE ? by_number(CODE_ROUTER, ((const struct route_value *)value)->port / 2) : by_number(CODE_ROUTER, number);
    case TABLE_NEXT_HOPS:
        return by_number(CODE_ROUTER, ((const struct next_hop_value *)value)->port / 2);
    case TABLE_SNAT:
    case TABLE_ROUTER_PORTS:
        return by_number(CODE_ROUTER, number / 2);
    case TABLE_SNAT_OWNERS:
        return by_outside((const uint8_t *)&((const struct snat_owner_key *)key)->address);
    case TABLE_FLOATING:
        return by_outside((const uint8_t *)&((const struct floating_value *)value)->address);
    case TABLE_EXTERNAL:
        return by_outside((const uint8_t *)&((const struct external_key *)key)->address);
    case TABLE_SERVICES:
        return by_mac(((const struct service_value *)value)->mac);
    case TABLE_SERVICE_SOURCES:
        return by_number(CODE_BALANCER, ((const struct service_source_key *)key)->listener);
    case TABLE_SERVICE_ROWS:
        return by_number(CODE_BALANCER, number);
    case TABLE_SERVICE_NAMES:
        memcpy(&number, value, sizeof(number));
        return by_number(CODE_BALANCER, (number - 1) / 4 + 1);
    case TABLE_SERVICE_MEMBERS:
    case TABLE_PROBE_TARGETS:
        return by_number(CODE_BALANCER, (number - 1) / 4 + 1);
    default:
        return CODE_NONE;
    }
}

static const enum desired_table tables[] = {
    TABLE_NETWORKS, TABLE_FLOOD,    TABLE_SOURCES,  TABLE_MOVABLE,         TABLE_FDB,          TABLE_NEIGHBORS,       TABLE_ROUTES,        TABLE_NEXT_HOPS,    TABLE_SNAT,
    TABLE_SNAT_OWNERS, TABLE_FLOATING, TABLE_EXTERNAL, TABLE_SERVICES, TABLE_SERVICE_SOURCES, TABLE_SERVICE_ROWS, TABLE_SERVICE_MEMBERS, TABLE_SERVICE_NAMES, TABLE_PROBE_TARGETS};

static void count(const struct desired *desired, enum desired_table table, uint32_t ret_n[N_CODES])
{
    const struct rows *rows = &desired->tables[table];

    memset(ret_n, 0, N_CODES * sizeof(*ret_n));
    for (size_t i = 0; i < rows->n; i++) {
        unsigned code = code_of(table, rows_key(rows, i), rows_value(rows, i));

        assert_true(code < N_CODES);
        ret_n[code]++;
    }
}

static unsigned project_of(unsigned code)
{
    return code / 100 % 10;
}

/* ---- what is checked ---------------------------------------------------------------------------------------------------------------------------- */

/* Nothing is there by half in any table.  A member on a port that is left out is not there, nor is a floating IP of it, but the rest of the load balancer
 * is: of the tables of members that is said only where no port is left out. */
static void check_whole(const struct desired *all, const struct desired *some, bool is_of_ports)
{
    static uint32_t wanted[N_CODES], there[N_CODES];
    static bool is_there[N_CODES], is_known[N_CODES];

    memset(is_known, 0, sizeof(is_known));
    for (size_t t = 0; t < ARRAY_SIZE(tables); t++) {
        bool is_of_members = tables[t] == TABLE_SERVICE_MEMBERS || tables[t] == TABLE_SERVICE_NAMES || tables[t] == TABLE_PROBE_TARGETS;

        count(all, tables[t], wanted);
        count(some, tables[t], there);
        for (unsigned code = 100; code < N_CODES; code++) {
            if (!wanted[code] || (is_of_ports && is_of_members) || (code / 1000 == CODE_NETWORK && tables[t] == TABLE_FLOOD && is_of_ports))
                continue;
            assert_true(!there[code] || there[code] == wanted[code]);
            assert_true(!is_known[code] || is_there[code] == (there[code] != 0));
            is_known[code] = true;
            is_there[code] = there[code] != 0;
        }
    }
}

/* Who wants no more than its share has all of it, and no more is there than there is room for. */
static void check_shares(const struct desired *all, const struct desired *some, enum desired_table table, size_t room)
{
    static uint32_t wanted[N_CODES], there[N_CODES];
    size_t by_project[N_PROJECTS] = {0}, given[N_PROJECTS], got[N_PROJECTS] = {0}, own, share = SIZE_MAX;

    count(all, table, wanted);
    count(some, table, there);
    own = wanted[CODE_NONE];
    for (unsigned code = 100; code < N_CODES; code++)
        if (wanted[code]) {
            by_project[project_of(code)] += wanted[code];
            got[project_of(code)] += there[code];
        }
    assert_true(some->tables[table].n <= MAX(room, own));
    give_one_by_one(by_project, N_PROJECTS, room - MIN(room, own), given);
    for (unsigned p = 0; p < N_PROJECTS; p++)
        if (by_project[p] > given[p])
            share = MIN(share, given[p]); /* One row less than another has, where they cannot be divided evenly. */
    for (unsigned p = 0; p < N_PROJECTS; p++)
        if (by_project[p] <= share)
            assert_int_equal(by_project[p], got[p]);
    /* What is left out would not fit; but a floating IP that has room loses it with its router or port, and then that is nobody's. */
    for (unsigned code = 100; code < N_CODES && table != TABLE_NEIGHBORS && table != TABLE_EXTERNAL; code++)
        if (wanted[code] && !there[code])
            assert_true(wanted[code] > room - MIN(room, some->tables[table].n));
}

static void each_table_is_divided_and_nothing_is_there_by_half(void **state)
{
    static struct world world;
    struct desired all, some;
    size_t n_short = 0;

    desired_init(&all);
    desired_init(&some);
    for (unsigned round = 0; round < 15; round++) {
        make_world(&world);
        assert_int_equal(0, compile(&world.snapshot, &all));
        assert_int_equal(0, all.shortages.n);
        for (size_t t = 0; t < ARRAY_SIZE(tables); t++) {
            size_t n = all.tables[tables[t]].n, room = n ? 1 + below((unsigned)n) : 0;

            memset(world.snapshot.room, 0, sizeof(world.snapshot.room));
            world.snapshot.room[tables[t]] = (uint32_t)room;
            assert_int_equal(0, compile(&world.snapshot, &some));
            assert_int_equal(n > room, some.shortages.n > 0);
            check_whole(&all, &some, t <= 5);
            check_shares(&all, &some, tables[t], room);
            n_short += some.shortages.n;
        }
        clear_world(&world);
    }
    assert_true(n_short > 0);
    desired_clear(&all);
    desired_clear(&some);
}

/* All at once too small: the same on every host that has the same objects, in whatever order they came. */
static void the_order_of_objects_decides_nothing(void **state)
{
    static struct world world;
    static struct compile_port ports[N_OF(4)];
    static struct compile_router routers[N_OF(1)];
    struct desired one, other;

    desired_init(&one);
    desired_init(&other);
    for (unsigned round = 0; round < 15; round++) {
        make_world(&world);
        assert_int_equal(0, compile(&world.snapshot, &one));
        for (size_t t = 0; t < ARRAY_SIZE(tables); t++)
            world.snapshot.room[tables[t]] = (uint32_t)(1 + one.tables[tables[t]].n * (1 + below(4)) / 4);
        assert_int_equal(0, compile(&world.snapshot, &one));
        for (size_t i = 0; i < world.snapshot.n_ports; i++)
            ports[i] = world.port_array[world.snapshot.n_ports - 1 - i];
        for (size_t i = 0; i < world.snapshot.n_routers; i++)
            routers[i] = world.router_array[world.snapshot.n_routers - 1 - i];
        world.snapshot.ports = ports;
        world.snapshot.routers = routers;
        assert_int_equal(0, compile(&world.snapshot, &other));
        for (int table = 0; table < N_DESIRED_TABLES; table++) {
            assert_int_equal(one.tables[table].n, other.tables[table].n);
            if (one.tables[table].n)
                assert_memory_equal(one.tables[table].data, other.tables[table].data, one.tables[table].n * rows_stride(&one.tables[table]));
        }
        clear_world(&world);
    }
    desired_clear(&one);
    desired_clear(&other);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests_of_admission[] = {
        cmocka_unit_test(each_table_is_divided_and_nothing_is_there_by_half),
        cmocka_unit_test(the_order_of_objects_decides_nothing),
    };

    random_begin(argc, argv);
    return cmocka_run_group_tests(tests_of_admission, NULL, NULL);
}
