/* Objects that are made so that a host's tables come out wrong where they are too small: for others, or for what keeps something out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "weft/base/util.h"
#include "weft/compiler/compiler.h"

#define N_MAX 4096
#define OUTSIDE_VNI 900

/* Objects are kept as they are made; their ids are numbers in that order. */
static struct {
    struct network networks[N_MAX];
    struct subnet subnets[N_MAX];
    struct port ports[N_MAX];
    struct fixed_ip fixed[N_MAX];
    struct router routers[N_MAX];
    struct load_balancer balancers[N_MAX];
    struct pool_member members[N_MAX];
    struct pool pools[N_MAX];
    struct firewall_group groups[1];
    struct object_id guarded[1];
    struct host host;
    struct text physical;
    struct compile_host host_entry;
    struct compile_uplink uplink;
    const struct network *network_array[N_MAX];
    const struct subnet *subnet_array[N_MAX];
    struct compile_port port_array[N_MAX];
    struct compile_router router_array[N_MAX];
    const struct load_balancer *balancer_array[N_MAX];
    struct compile_member member_array[N_MAX];
    struct compile_pool pool_array[N_MAX];
    const struct firewall_group *group_array[1];
    struct snapshot snapshot;
    unsigned n_objects;
} world;

static struct desired all, some;

/* As compiler/numbers.h leaves it. */
static void take_numbers(struct compile_router *router)
{
    router->number = 0;
    for (size_t i = 0; i < world.snapshot.n_ports; i++)
        if (world.ports[i].device_id && streq(world.ports[i].device_id, router->router->object.id)) {
            world.port_array[i].router_port = 0;
            world.port_array[i].is_routers = true;
        }
}

static void name(struct object *object, const char *project)
{
    snprintf(object->id, sizeof(object->id), "%08x-0000-4000-8000-000000000000", ++world.n_objects);
    string_copy(object->project_id, sizeof(object->project_id), project);
    object->admin_state_up = true;
    object->created_at_s = world.n_objects;
}

static void copy_id(char ret[UUID_TEXT_SIZE], const struct object *object)
{
    string_copy(ret, UUID_TEXT_SIZE, object->id);
}

static struct ip_prefix prefix(const char *text)
{
    struct ip_prefix ret;

    assert_int_equal(0, prefix_parse(text, &ret));
    return ret;
}

static struct ip_address address(const char *text)
{
    struct ip_address ret;

    assert_int_equal(0, ip_parse(text, &ret));
    return ret;
}

/* With one subnet. */
static struct network *add_network(const char *project, const char *cidr)
{
    size_t i = world.snapshot.n_networks++;
    struct network *network = &world.networks[i];
    struct subnet *subnet = &world.subnets[i];

    name(&network->object, project);
    name(&subnet->object, project);
    network->vni = (uint32_t)(OUTSIDE_VNI + i);
    network->mtu = 1450;
    subnet->cidr = prefix(cidr);
    copy_id(subnet->network_id, &network->object);
    world.network_array[i] = network;
    world.subnet_array[world.snapshot.n_subnets++] = subnet;
    return network;
}

static struct subnet *subnet_of(const struct network *network)
{
    return &world.subnets[network - world.networks];
}

static struct compile_port *add_port(const char *project, const struct network *network, const char *text)
{
    size_t i = world.snapshot.n_ports++;
    struct port *port = &world.ports[i];

    name(&port->object, project);
    port->mac = (struct mac_address){{2, 0, 0, 0, (uint8_t)(i >> 8), (uint8_t)i}};
    copy_id(port->network_id, &network->object);
    world.fixed[i].address = address(text);
    copy_id(world.fixed[i].subnet_id, &subnet_of(network)->object);
    port->fixed_ips = &world.fixed[i];
    port->n_fixed_ips = 1;
    port->port_security_enabled = true;
    world.port_array[i] = (struct compile_port){.port = port};
    return &world.port_array[i];
}

static struct port *model_of(const struct compile_port *entry)
{
    return &world.ports[entry - world.port_array];
}

static struct compile_port *add_workload(const char *project, const struct network *network, const char *text)
{
    struct compile_port *entry = add_port(project, network, text);

    model_of(entry)->binding_host_id = (char *)"here";
    entry->slot = (uint32_t)world.snapshot.n_ports;
    return entry;
}

static struct router *add_router(const char *project)
{
    size_t i = world.snapshot.n_routers++;

    name(&world.routers[i].object, project);
    world.router_array[i] = (struct compile_router){&world.routers[i], (uint32_t)i + 1};
    return &world.routers[i];
}

static struct compile_port *add_router_port(const struct router *router, const struct network *network, const char *text)
{
    struct compile_port *entry = add_port(router->object.project_id, network, text);

    model_of(entry)->device_id = (char *)router->object.id;
    model_of(entry)->device_owner = (char *)(network->is_external ? DEVICE_ROUTER_GATEWAY : DEVICE_ROUTER_INTERFACE);
    entry->router_port = (uint32_t)world.snapshot.n_ports;
    return entry;
}

/* With its port and one member. */
static struct load_balancer *add_balancer(const char *project, const struct network *network, const char *text, const struct compile_port *member)
{
    static char device_ids[N_MAX][64];
    size_t i = world.snapshot.n_load_balancers++;
    struct load_balancer *model = &world.balancers[i];
    struct compile_port *entry = add_port(project, network, text);

    name(&model->object, project);
    copy_id(model->vip_port_id, &entry->port->object);
    copy_id(model->vip_network_id, &network->object);
    model->vip_address = world.fixed[entry - world.port_array].address;
    snprintf(device_ids[i], sizeof(device_ids[i]), "%s%s", DEVICE_LOAD_BALANCER_ID, model->object.id);
    model_of(entry)->device_id = device_ids[i];
    model_of(entry)->device_owner = (char *)DEVICE_LOAD_BALANCER;
    entry->vip_port = network->is_external ? (uint32_t)world.snapshot.n_ports : 0;
    name(&world.pools[i].object, project);
    copy_id(world.pools[i].load_balancer_id, &model->object);
    name(&world.members[i].object, project);
    copy_id(world.members[i].pool_id, &world.pools[i].object);
    copy_id(world.members[i].load_balancer_id, &model->object);
    string_copy(world.members[i].at_network_id, UUID_TEXT_SIZE, member->port->network_id);
    world.members[i].address = member->port->fixed_ips[0].address;
    world.balancer_array[i] = model;
    world.pool_array[i] = (struct compile_pool){&world.pools[i], (uint32_t)i + 1};
    world.member_array[i] = (struct compile_member){&world.members[i], (uint32_t)i + 1};
    world.snapshot.n_pools = world.snapshot.n_members = i + 1;
    return model;
}

static struct network *begin(void)
{
    struct network *outside;

    memset(&world, 0, sizeof(world));
    world.physical.text = (char *)"ext";
    world.host.object.name = (char *)"here";
    world.host.state = HOST_STATE_UP;
    world.host.has_tunnel_address = true;
    world.host.physical_networks = &world.physical;
    world.host.n_physical_networks = 1;
    world.host_entry = (struct compile_host){.host = &world.host};
    world.uplink = (struct compile_uplink){"ext", 7, 1500, {{2}}};
    world.snapshot = (struct snapshot){
        .host_name = "here",
        .networks = world.network_array, .subnets = world.subnet_array, .ports = world.port_array, .routers = world.router_array,
        .load_balancers = world.balancer_array, .pools = world.pool_array, .members = world.member_array, .firewall_groups = world.group_array,
        .hosts = &world.host_entry, .n_hosts = 1, .uplinks = &world.uplink, .n_uplinks = 1};
    outside = add_network("admin", "203.0.0.0/16");
    outside->is_external = true;
    outside->physical_network = world.physical.text;
    return outside;
}

/* 'all' and what is left with so many rows of the table. */
static void compile_with(enum desired_table table, size_t room)
{
    world.snapshot.room[table] = 0;
    assert_int_equal(0, compile(&world.snapshot, &all));
    world.snapshot.room[table] = (uint32_t)room;
    assert_true(all.tables[table].n > room);
    assert_int_equal(0, compile(&world.snapshot, &some));
    assert_true(some.tables[table].n <= room);
}

static uint32_t left_out(enum desired_table table, const char *project)
{
    struct shortage_key key = {.table = table};
    struct shortage shortage = {0};
    const void *found;

    string_copy(key.project_id, sizeof(key.project_id), project);
    found = rows_find(&some.shortages, &key);
    if (found)
        memcpy(&shortage, found, sizeof(shortage));
    return shortage.n_left_out;
}

static bool has_mac(const struct compile_port *entry)
{
    struct fdb_key key = {0};

    for (size_t i = 0; i < world.snapshot.n_networks; i++)
        if (streq(world.networks[i].object.id, entry->port->network_id))
            key.vni = world.networks[i].vni;
    memcpy(key.mac, entry->port->mac.bytes, sizeof(key.mac));
    return rows_find(&some.tables[TABLE_FDB], &key) != NULL;
}

static size_t n_routes(const struct desired *desired, uint32_t router)
{
    const struct rows *rows = &desired->tables[TABLE_ROUTES];
    size_t n = 0;

    for (size_t i = 0; i < rows->n; i++)
        n += ((const struct route_key *)rows_key(rows, i))->router == router;
    return n;
}

/* ---- whose rows they are ---------------------------------------------------------------------------------------------------------------- */

/* Any text can be a port's device_id: the id of another's load balancer, or of a network. */
static void nobody_pays_for_ports_that_name_him(void **state)
{
    struct network *outside = begin(), *theirs = add_network("victim", "10.0.0.0/24"), *mine = add_network("thief", "10.1.0.0/16");
    const struct compile_port *member = add_workload("victim", theirs, "10.0.0.10"), *vip;
    static char claim[64];

    add_balancer("victim", theirs, "10.0.0.100", member);
    vip = &world.port_array[world.snapshot.n_ports - 1];
    snprintf(claim, sizeof(claim), "%s%s", DEVICE_LOAD_BALANCER_ID, world.balancers[0].object.id);
    for (unsigned i = 0; i < 60; i++) {
        char text[32];
        struct compile_port *entry;

        snprintf(text, sizeof(text), "10.1.1.%u", i + 1);
        entry = add_workload("thief", mine, text);
        if (i % 3 == 0) {
            model_of(entry)->device_id = claim;
        } else {
            entry->slot = 0;
            entry->router_port = (uint32_t)world.snapshot.n_ports;
            model_of(entry)->device_owner = (char *)DEVICE_ROUTER_INTERFACE;
            model_of(entry)->device_id = (char *)(i % 3 == 1 ? outside->object.id : world.balancers[0].object.id);
        }
    }
    compile_with(TABLE_FDB, 30);
    assert_int_equal(0, left_out(TABLE_FDB, "victim"));
    assert_int_equal(0, left_out(TABLE_FDB, "admin"));
    assert_true(left_out(TABLE_FDB, "thief") > 0);
    assert_true(has_mac(vip));
    assert_true(has_mac(member));
}

/* A route over several next hops to what the router is on itself leads nowhere, but its next hops are in the table. */
static void next_hops_of_no_route_are_paid_for(void **state)
{
    static struct host_route routes[20];
    struct network *theirs, *mine;

    begin();
    theirs = add_network("victim", "10.0.0.0/16");
    mine = add_network("thief", "10.0.0.0/16");
    for (unsigned i = 0; i < 20; i++)
        routes[i] = (struct host_route){prefix("10.0.0.0/16"), ip_from_v4(0x0a000100 + i)};
    for (unsigned i = 0; i < 5; i++) {
        struct router *router = add_router(i ? "thief" : "victim");
        char text[32];

        snprintf(text, sizeof(text), "10.0.9.%u", i + 1);
        add_router_port(router, i ? mine : theirs, text);
        router->routes = routes;
        router->n_routes = 2;
    }
    compile_with(TABLE_NEXT_HOPS, 2 * NEXT_HOP_BUCKETS);
    assert_int_equal(0, left_out(TABLE_NEXT_HOPS, "victim"));
    assert_int_equal(3, left_out(TABLE_NEXT_HOPS, "thief"));
}

/* ---- what comes in the place of what is left out --------------------------------------------------------------------------------------------- */

/* For each router that goes the virtual server would answer for the gateway's address: as many rows as before, however often that is divided. */
static void what_was_behind_takes_no_place(void **state)
{
    begin();
    for (unsigned i = 0; i < 200; i++) {
        char project[16], cidr[32], text[32];
        struct network *network;

        snprintf(project, sizeof(project), "p%u", i % 4);
        snprintf(cidr, sizeof(cidr), "10.%u.0.0/24", i);
        snprintf(text, sizeof(text), "10.%u.0.1", i);
        network = add_network(project, cidr);
        subnet_of(network)->has_gateway = subnet_of(network)->enable_dhcp = true;
        subnet_of(network)->gateway = address(text);
        add_router_port(add_router(project), network, text);
    }
    for (size_t room = 10; room < 200; room += 37) {
        compile_with(TABLE_NEIGHBORS, room);
        assert_int_equal(all.tables[TABLE_NETWORKS].n, some.tables[TABLE_NETWORKS].n); /* Nothing of theirs is in the way. */
        for (size_t i = 0; i < some.tables[TABLE_NEIGHBORS].n; i++)
            assert_non_null(rows_find(&all.tables[TABLE_NEIGHBORS], rows_key(&some.tables[TABLE_NEIGHBORS], i)));
    }
}

/* Two routers with one prefix outside: the older one's is its own, on a host that has no room for it too. */
static void a_prefix_is_not_taken_while_its_router_is_left_out(void **state)
{
    static struct host_route routes[1];
    struct network *outside = begin();
    struct route_key key = {.prefix_length = 32 + 64, .router = ROUTER_OUTSIDE | OUTSIDE_VNI, .address = {0x20, 1, 0xd, 0xb8}};

    subnet_of(outside)->cidr = prefix("2001:db8:ffff::/64");
    routes[0] = (struct host_route){prefix("2001:db8:1::/48"), address("2001:db8::99")};
    for (unsigned i = 0; i < 2; i++) {
        struct router *router = add_router(i ? "thief" : "victim");

        add_router_port(router, add_network(router->object.project_id, i ? "2001:db8::/63" : "2001:db8::/64"), i ? "2001:db8::2" : "2001:db8::1");
        add_router_port(router, outside, i ? "2001:db8:ffff::2" : "2001:db8:ffff::1");
        router->routes = routes;
        router->n_routes = i ? 0 : 1;
    }
    assert_int_equal(0, compile(&world.snapshot, &all));
    assert_non_null(rows_find(&all.tables[TABLE_ROUTES], &key));
    compile_with(TABLE_ROUTES, all.tables[TABLE_ROUTES].n - 1);
    assert_int_equal(0, n_routes(&some, 1)); /* The victim's wants more. */
    assert_true(n_routes(&some, 2) > 0);
    for (size_t i = 0; i < some.tables[TABLE_ROUTES].n; i++)
        assert_false(((const struct route_key *)rows_key(&some.tables[TABLE_ROUTES], i))->router & ROUTER_OUTSIDE);
    take_numbers(&world.router_array[0]);
    world.snapshot.room[TABLE_ROUTES] = 0;
    assert_int_equal(0, compile(&world.snapshot, &some));
    assert_true(n_routes(&some, 2) > 0);
    for (size_t i = 0; i < some.tables[TABLE_ROUTES].n; i++)
        assert_false(((const struct route_key *)rows_key(&some.tables[TABLE_ROUTES], i))->router & ROUTER_OUTSIDE);
}

/* ---- what keeps something out ------------------------------------------------------------------------------------------------------------------ */

/* What a gateway brings from outside is asked about by the port's host, whether that has room for the router or not. */
static void ports_stay_behind_firewalls(void **state)
{
    struct network *inside;
    const struct compile_port *workload;
    struct port_config config;
    uint32_t slot;

    begin();
    inside = add_network("victim", "10.0.0.0/24");
    workload = add_workload("victim", inside, "10.0.0.10");
    slot = workload->slot;
    copy_id(world.guarded[0].id, &add_router_port(add_router("victim"), inside, "10.0.0.1")->port->object);
    name(&world.groups[0].object, "victim");
    copy_id(world.groups[0].ingress_policy_id, &world.groups[0].object); /* Of no policy that is known: nothing passes. */
    world.groups[0].ports = world.guarded;
    world.groups[0].n_ports = 1;
    world.group_array[0] = &world.groups[0];
    world.snapshot.n_firewall_groups = 1;
    compile_with(TABLE_ROUTES, 1);
    assert_int_equal(0, some.tables[TABLE_ROUTER_PORTS].n);
    memcpy(&config, rows_find(&all.tables[TABLE_PORTS], &slot), sizeof(config));
    assert_true(config.flags & PORT_ROUTER_FIREWALL);
    memcpy(&config, rows_find(&some.tables[TABLE_PORTS], &slot), sizeof(config));
    assert_true(config.flags & PORT_ROUTER_FIREWALL);
    take_numbers(&world.router_array[0]);
    world.snapshot.room[TABLE_ROUTES] = 0;
    assert_int_equal(0, compile(&world.snapshot, &some));
    assert_int_equal(0, some.tables[TABLE_ROUTER_PORTS].n);
    assert_int_equal(0, some.tables[TABLE_ROUTES].n);
    memcpy(&config, rows_find(&some.tables[TABLE_PORTS], &slot), sizeof(config));
    assert_true(config.flags & PORT_ROUTER_FIREWALL);
}

/* Nobody outside calls a load balancer by an address of a network behind it, though no router leads there here. */
static void load_balancers_know_who_is_inside(void **state)
{
    struct network *outside = begin(), *near = add_network("victim", "10.0.0.0/24"), *far = add_network("victim", "10.9.0.0/24");
    struct router *router;
    struct route_key key = {.prefix_length = 32 + 96 + 24, .address = {[10] = 0xff, 0xff, 10, 9, 0}};
    const void *found;

    add_balancer("victim", outside, "203.0.0.5", add_workload("victim", near, "10.0.0.10"));
    key.router = ROUTER_SERVICE | (uint32_t)world.snapshot.n_ports;
    router = add_router("victim");
    add_router_port(router, near, "10.0.0.1");
    add_router_port(router, far, "10.9.0.1");
    assert_int_equal(0, compile(&world.snapshot, &all));
    compile_with(TABLE_ROUTES, all.tables[TABLE_ROUTES].n - 1);
    assert_int_equal(0, n_routes(&some, 1));
    found = rows_find(&some.tables[TABLE_ROUTES], &key);
    assert_non_null(found);
    assert_true(((const struct route_value *)found)->flags & ROUTE_LOCAL);
    take_numbers(&world.router_array[0]);
    world.snapshot.room[TABLE_ROUTES] = 0;
    assert_int_equal(0, compile(&world.snapshot, &some));
    assert_int_equal(0, n_routes(&some, 1));
    assert_non_null(rows_find(&some.tables[TABLE_ROUTES], &key));
}

/* ---- who is told ---------------------------------------------------------------------------------------------------------------------------------- */

static void whose_router_goes_with_anothers_network_is_told(void **state)
{
    begin();
    for (unsigned i = 0; i < 3; i++) {
        char cidr[32];
        struct network *network;

        snprintf(cidr, sizeof(cidr), "10.%u.0.0/24", i);
        network = add_network("owner", cidr);
        snprintf(cidr, sizeof(cidr), "10.%u.0.1", i);
        add_router_port(add_router("user"), network, cidr);
        snprintf(cidr, sizeof(cidr), "10.%u.0.2", i);
        add_workload("guest", network, cidr);
    }
    compile_with(TABLE_NETWORKS, 2);
    assert_int_equal(2, left_out(TABLE_NETWORKS, "owner"));
    assert_int_equal(2, left_out(TABLE_NETWORKS, "user"));
    assert_int_equal(2, left_out(TABLE_NETWORKS, "guest"));
    assert_int_equal(6, some.left_out.n);
    for (size_t i = 1; i < 3; i++) {
        struct left_out_key key = {{0}};

        string_copy(key.id, sizeof(key.id), world.routers[i].object.id);
        assert_non_null(rows_find(&some.left_out, &key));
        string_copy(key.id, sizeof(key.id), world.networks[i + 1].object.id);
        assert_non_null(rows_find(&some.left_out, &key));
    }
}

static void no_load_balancer_stands_without_its_network(void **state)
{
    static struct network *networks[100];

    begin();
    for (unsigned i = 0; i < 100; i++) {
        char cidr[32];

        snprintf(cidr, sizeof(cidr), "10.%u.0.0/24", i);
        networks[i] = add_network("user", cidr);
    }
    for (unsigned i = 0; i < 200; i++) { /* Two in each, whose ids come before those of all the others. */
        char text[32];
        const struct compile_port *member;
        struct load_balancer *model;

        snprintf(text, sizeof(text), "10.%u.0.%u", i / 2, 10 + i % 2);
        member = add_workload("user", networks[i / 2], text);
        snprintf(text, sizeof(text), "10.%u.0.%u", i / 2, 100 + i % 2);
        model = add_balancer("user", networks[i / 2], text, member);
        memcpy(model->object.id, "00000000", 8);
        snprintf(model->object.id + 24, UUID_TEXT_SIZE - 24, "%012u", i + 1);
        snprintf(model_of(&world.port_array[world.snapshot.n_ports - 1])->device_id, 64, "%s%s", DEVICE_LOAD_BALANCER_ID, model->object.id);
    }
    compile_with(TABLE_NETWORKS, 40);
    assert_int_equal(5 * 61, left_out(TABLE_NETWORKS, "user")); /* Each with two ports and two load balancers; the outer one stays. */
}

/* It leads to a port, or a load balancer, that is not there. */
static void whose_floating_ip_leads_to_what_is_left_out_is_told(void **state)
{
    static struct floating_ip floating_ips[2];
    static const struct floating_ip *array[2] = {&floating_ips[0], &floating_ips[1]};
    struct network *outside = begin(), *inside = add_network("user", "10.0.0.0/24");
    struct router *router = add_router("user");
    const struct compile_port *member, *targets[2];

    memset(floating_ips, 0, sizeof(floating_ips));
    add_router_port(router, inside, "10.0.0.1");
    add_router_port(router, outside, "203.0.0.1");
    member = add_workload("user", inside, "10.0.0.10");
    targets[0] = add_workload("user", inside, "10.0.0.11");
    add_balancer("user", inside, "10.0.0.100", member);
    targets[1] = &world.port_array[world.snapshot.n_ports - 1];
    for (unsigned i = 0; i < 2; i++) {
        name(&floating_ips[i].object, "user");
        copy_id(floating_ips[i].floating_network_id, &outside->object);
        copy_id(floating_ips[i].router_id, &router->object);
        copy_id(floating_ips[i].port_id, &targets[i]->port->object);
        floating_ips[i].floating_address = ip_from_v4(0xcb000032 + i);
    }
    world.snapshot.floating_ips = array;
    world.snapshot.n_floating_ips = 2;
    compile_with(TABLE_FDB, 3); /* The router's MACs and the older workload's. */
    assert_int_equal(4, some.left_out.n);
    assert_int_equal(4, left_out(TABLE_FDB, "user"));
    for (unsigned i = 0; i < 2; i++) {
        struct left_out_key key = {{0}};
        struct external_key address = {.vni = OUTSIDE_VNI, .address = htonl(0xcb000032 + i)};

        string_copy(key.id, sizeof(key.id), floating_ips[i].object.id);
        assert_non_null(rows_find(&some.left_out, &key));
        assert_non_null(rows_find(&all.tables[TABLE_EXTERNAL], &address));
        assert_null(rows_find(&some.tables[TABLE_EXTERNAL], &address));
    }
}

static int start(void **state)
{
    desired_init(&all);
    desired_init(&some);
    return 0;
}

static int end(void **state)
{
    desired_clear(&all);
    desired_clear(&some);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests_of_admission[] = {
        cmocka_unit_test(nobody_pays_for_ports_that_name_him),
        cmocka_unit_test(next_hops_of_no_route_are_paid_for),
        cmocka_unit_test(what_was_behind_takes_no_place),
        cmocka_unit_test(a_prefix_is_not_taken_while_its_router_is_left_out),
        cmocka_unit_test(ports_stay_behind_firewalls),
        cmocka_unit_test(load_balancers_know_who_is_inside),
        cmocka_unit_test(no_load_balancer_stands_without_its_network),
        cmocka_unit_test(whose_floating_ip_leads_to_what_is_left_out_is_told),
        cmocka_unit_test(whose_router_goes_with_anothers_network_is_told),
    };

    return cmocka_run_group_tests(tests_of_admission, start, end);
}
