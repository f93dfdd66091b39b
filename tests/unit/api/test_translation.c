/* Two API servers over one store: whatever they do at the same time to routers, floating IPs and port forwardings, every rule holds.
 *
 *     outside (external) --- routers --- networks with subnets that partly overlap --- ports
 *
 * Requests are started on both servers before either learns what the other does.  After some of them the store is read, and what it
 * holds is checked from the objects alone; then every nat/ key is accounted for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "instance.h"
#include "weft/api/commits.h"
#include "weft/base/util.h"
#include "weft/base/uuid.h"

#define N_NETWORKS 4
#define N_ROUTERS 3
#define N_PORTS 8
#define N_FLOATING_IPS 5

struct world {
    struct store *store;
    struct instance a, b;
    struct instance *both[2];
    char outside[2][UUID_TEXT_SIZE], networks[N_NETWORKS][UUID_TEXT_SIZE], subnets[N_NETWORKS][UUID_TEXT_SIZE];
    char routers[N_ROUTERS][UUID_TEXT_SIZE], ports[N_PORTS][UUID_TEXT_SIZE], floating_ips[N_FLOATING_IPS][UUID_TEXT_SIZE];
};

static const char *text(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name)) ?: "";
}

static void create(struct world *world, char id[UUID_TEXT_SIZE], const char *target, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void create(struct world *world, char id[UUID_TEXT_SIZE], const char *target, const char *format, ...)
{
    char body[400];
    json_t *json = NULL;
    va_list arguments;
    int status;

    va_start(arguments, format);
    vsnprintf(body, sizeof body, format, arguments);
    va_end(arguments);
    status = instance_call(&world->a, "POST", target, body, &json);
    if (status != 201)
        fail_msg("%s %s: %d %s", target, body, status, json ? json_dumps(json, 0) : "");
    strcpy(id, text(json_object_iter_value(json_object_iter(json)), "id"));
    json_decref(json);
}

static void world_build(struct world *world)
{
    static const char *const cidrs[N_NETWORKS] = {"10.0.0.0/24", "10.0.0.0/16", "10.1.0.0/24", "10.2.0.0/24"};
    char subnet[UUID_TEXT_SIZE];

    assert_int_equal(0, store_memory_open(&world->store));
    instance_start(&world->a, world->store);
    instance_start(&world->b, world->store);
    world->both[0] = &world->a;
    world->both[1] = &world->b;
    for (int i = 0; i < 2; i++) {
        create(world, world->outside[i], "/v2.0/networks", "{\"network\":{\"router:external\":true}}");
        create(world, subnet, "/v2.0/subnets", "{\"subnet\":{\"network_id\":\"%s\",\"ip_version\":4,\"cidr\":\"203.0.%d.0/24\"}}",
               world->outside[i], i);
    }
    for (int i = 0; i < N_NETWORKS; i++) {
        create(world, world->networks[i], "/v2.0/networks", "{\"network\":{}}");
        create(world, world->subnets[i], "/v2.0/subnets", "{\"subnet\":{\"network_id\":\"%s\",\"ip_version\":4,\"cidr\":\"%s\"}}",
               world->networks[i], cidrs[i]);
    }
    for (int i = 0; i < N_ROUTERS; i++)
        create(world, world->routers[i], "/v2.0/routers", "{\"router\":{\"external_gateway_info\":{\"network_id\":\"%s\"}}}", world->outside[i % 2]);
    for (int i = 0; i < N_PORTS; i++)
        create(world, world->ports[i], "/v2.0/ports", "{\"port\":{\"network_id\":\"%s\"}}", world->networks[i % N_NETWORKS]);
    for (int i = 0; i < N_FLOATING_IPS; i++)
        create(world, world->floating_ips[i], "/v2.0/floatingips", "{\"floatingip\":{\"floating_network_id\":\"%s\"}}", world->outside[i % 2]);
}

static void world_end(struct world *world)
{
    instance_stop(&world->a);
    instance_stop(&world->b);
    store_close(world->store);
    instance_free(&world->a);
    instance_free(&world->b);
}

/* --- What must always hold, read from the store. --- */

struct census {
    json_t *subnets, *ports, *routers, *floating_ips, *forwardings; /* By id: the stored form. */
    json_t *keys;                                                   /* nat/... */
};

static int count_item(const struct store_item *item, void *context)
{
    struct census *census = context;
    const struct {
        const char *prefix;
        json_t *into;
    } kinds[] = {
        {"object/subnet/", census->subnets}, {"object/port/", census->ports}, {"object/router/", census->routers},
        {"object/floatingip/", census->floating_ips}, {"object/port_forwarding/", census->forwardings},
    };

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (!strncmp(item->key, kinds[i].prefix, strlen(kinds[i].prefix)))
            json_object_set_new(kinds[i].into, strrchr(item->key, '/') + 1, json_loadb(item->value, item->value_size, 0, NULL));
    if (!strncmp(item->key, "nat/", 4))
        json_object_set_new(census->keys, item->key, json_true());
    return 0;
}

static void expect_key(struct census *census, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void expect_key(struct census *census, const char *format, ...)
{
    char key[250];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(key, sizeof key, format, arguments);
    va_end(arguments);
    if (json_object_del(census->keys, key) < 0)
        fail_msg("the key %s is missing", key);
}

static bool is_of_router(const json_t *port, const char *router_id)
{
    return !strcmp(text(port, "device_id"), router_id) &&
           (!strcmp(text(port, "device_owner"), DEVICE_ROUTER_INTERFACE) || !strcmp(text(port, "device_owner"), DEVICE_ROUTER_GATEWAY));
}

static struct ip_prefix cidr_of(const struct census *census, const json_t *fixed_ip)
{
    const json_t *subnet = json_object_get(census->subnets, text(fixed_ip, "subnet_id"));
    struct ip_prefix prefix = {0};

    assert_non_null(subnet);
    assert_int_equal(0, prefix_parse(text(subnet, "cidr"), &prefix));
    return prefix;
}

/* The subnet of the router that the address is in; NULL when it is in none. */
static const char *connected_subnet(const struct census *census, const char *router_id, const char *address)
{
    struct ip_address parsed;
    const char *id;
    json_t *port, *fixed_ip;
    size_t i;

    assert_int_equal(0, ip_parse(address, &parsed));
    json_object_foreach (census->ports, id, port)
        if (is_of_router(port, router_id))
            json_array_foreach (json_object_get(port, "fixed_ips"), i, fixed_ip) {
                struct ip_prefix cidr = cidr_of(census, fixed_ip);

                if (prefix_contains(&cidr, &parsed))
                    return text(fixed_ip, "subnet_id");
            }
    return NULL;
}

static void check_routers(struct census *census)
{
    const char *id, *port_id;
    json_t *router, *port, *route, *fixed_ip;
    size_t i;

    json_object_foreach (census->ports, port_id, port)
        if (is_of_router(port, text(port, "device_id")) && !json_object_get(census->routers, text(port, "device_id")))
            fail_msg("port %s is of a router that is gone", port_id);
    json_object_foreach (census->routers, id, router) {
        struct ip_prefix cidrs[16];
        size_t n = 0, n_gateways = 0;

        json_object_foreach (census->ports, port_id, port) {
            if (!is_of_router(port, id))
                continue;
            n_gateways += !strcmp(text(port, "device_owner"), DEVICE_ROUTER_GATEWAY);
            json_array_foreach (json_object_get(port, "fixed_ips"), i, fixed_ip) {
                struct ip_prefix cidr = cidr_of(census, fixed_ip);

                for (size_t j = 0; j < n; j++)
                    if (prefix_overlaps(&cidrs[j], &cidr))
                        fail_msg("router %s has subnets that overlap", id);
                cidrs[n++] = cidr;
            }
        }
        assert_int_equal(n_gateways, *text(router, "gateway_port_id") != 0);
        if (n_gateways) {
            port = json_object_get(census->ports, text(router, "gateway_port_id"));
            assert_non_null(port);
            assert_string_equal(text(port, "network_id"), text(router, "gateway_network_id"));
        }
        json_array_foreach (json_object_get(router, "routes"), i, route)
            if (!connected_subnet(census, id, text(route, "nexthop")))
                fail_msg("router %s has a route by %s, which it does not reach", id, text(route, "nexthop"));
    }
}

static bool has_address(const json_t *port, const char *address)
{
    json_t *fixed_ip;
    size_t i;

    json_array_foreach (json_object_get(port, "fixed_ips"), i, fixed_ip)
        if (!strcmp(text(fixed_ip, "ip_address"), address))
            return true;
    return false;
}

/* Something leads to the port's address through the router: all of that is there. */
static void check_way(struct census *census, const char *id, const json_t *floating_ip, const char *port_id, const char *address)
{
    const char *router_id = text(floating_ip, "router_id"), *subnet;
    const json_t *port = json_object_get(census->ports, port_id), *router = json_object_get(census->routers, router_id);

    if (!port || !has_address(port, address))
        fail_msg("%s leads to %s of port %s, which has it not", id, address, port_id);
    if (!router || strcmp(text(router, "gateway_network_id"), text(floating_ip, "floating_network_id")))
        fail_msg("%s leads through router %s, which is not on its network", id, router_id);
    subnet = connected_subnet(census, router_id, address);
    if (!subnet)
        fail_msg("%s leads through router %s, which has no interface there", id, router_id);
    expect_key(census, "nat/router/%s/%s/%s", router_id, subnet, id);
}

static void check_floating_ips(struct census *census)
{
    const char *id, *other_id;
    json_t *floating_ip, *forwarding, *other;

    json_object_foreach (census->floating_ips, id, floating_ip) {
        const json_t *holder = json_object_get(census->ports, text(floating_ip, "floating_port_id"));
        bool is_used = false;

        assert_non_null(holder);
        assert_string_equal(text(holder, "device_id"), id);
        assert_true(has_address(holder, text(floating_ip, "floating_ip_address")));
        if (*text(floating_ip, "port_id")) {
            check_way(census, id, floating_ip, text(floating_ip, "port_id"), text(floating_ip, "fixed_ip_address"));
            expect_key(census, "nat/port/%s/floating/%s/%s", text(floating_ip, "port_id"), text(floating_ip, "floating_network_id"),
                       text(floating_ip, "fixed_ip_address"));
            is_used = true;
        }
        json_object_foreach (census->forwardings, other_id, forwarding)
            is_used |= !strcmp(text(forwarding, "floatingip_id"), id);
        assert_int_equal(is_used, *text(floating_ip, "router_id") != 0);
    }
    json_object_foreach (census->forwardings, id, forwarding) {
        floating_ip = json_object_get(census->floating_ips, text(forwarding, "floatingip_id"));
        assert_non_null(floating_ip);
        assert_string_equal("", text(floating_ip, "port_id"));
        check_way(census, id, floating_ip, text(forwarding, "internal_port_id"), text(forwarding, "internal_ip_address"));
        expect_key(census, "nat/port/%s/forwarding/%s", text(forwarding, "internal_port_id"), id);
        json_object_foreach (census->floating_ips, other_id, other)
            if (!strcmp(text(other, "port_id"), text(forwarding, "internal_port_id")))
                fail_msg("port %s has a floating IP and a port forwarding", text(other, "port_id"));
        json_object_foreach (census->forwardings, other_id, other)
            if (strcmp(id, other_id) && !strcmp(text(other, "floatingip_id"), text(forwarding, "floatingip_id")) &&
                json_integer_value(json_object_get(other, "external_first")) == json_integer_value(json_object_get(forwarding, "external_first")))
                fail_msg("port forwardings %s and %s have the same port", id, other_id);
    }
}

static void check_store(struct world *world)
{
    struct census census = {json_object(), json_object(), json_object(), json_object(), json_object(), json_object()};

    assert_int_equal(0, store_list(world->store, "", 0, "", 0, count_item, &census, NULL));
    check_routers(&census);
    check_floating_ips(&census);
    if (json_object_size(census.keys))
        fail_msg("the key %s belongs to nothing", json_object_iter_key(json_object_iter(census.keys)));
    json_decref(census.subnets);
    json_decref(census.ports);
    json_decref(census.routers);
    json_decref(census.floating_ips);
    json_decref(census.forwardings);
    json_decref(census.keys);
}

/* --- Random requests. --- */

static void start(struct world *world, struct exchange *exchange, const char *method, const char *target, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

static void start(struct world *world, struct exchange *exchange, const char *method, const char *target, const char *format, ...)
{
    char body[300];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(body, sizeof body, format, arguments);
    va_end(arguments);
    exchange_start(exchange, world->both[random() % 2], method, target, *body ? body : NULL);
}

static void start_random_of_routers(struct world *world, struct exchange *exchange)
{
    const char *router = world->routers[random() % N_ROUTERS], *subnet = world->subnets[random() % N_NETWORKS];
    char target[160];

    switch (random() % 8) {
    case 0:
    case 1:
    case 2:
        snprintf(target, sizeof target, "/v2.0/routers/%s/add_router_interface", router);
        if (random() % 3 == 0)
            start(world, exchange, "PUT", target, "{\"port_id\":\"%s\"}", world->ports[random() % N_PORTS]);
        else
            start(world, exchange, "PUT", target, "{\"subnet_id\":\"%s\"}", subnet);
        return;
    case 3:
        snprintf(target, sizeof target, "/v2.0/routers/%s/remove_router_interface", router);
        start(world, exchange, "PUT", target, "{\"subnet_id\":\"%s\"}", subnet);
        return;
    case 4:
        snprintf(target, sizeof target, "/v2.0/routers/%s", router);
        start(world, exchange, "PUT", target, "{\"router\":{\"external_gateway_info\":null}}");
        return;
    case 5:
    case 6:
        snprintf(target, sizeof target, "/v2.0/routers/%s", router);
        start(world, exchange, "PUT", target, "{\"router\":{\"external_gateway_info\":{\"network_id\":\"%s\"}}}", world->outside[random() % 2]);
        return;
    default:
        snprintf(target, sizeof target, "/v2.0/routers/%s/%s_extraroutes", router, random() % 2 ? "add" : "remove");
        start(world, exchange, "PUT", target, "{\"router\":{\"routes\":[{\"destination\":\"192.0.2.0/24\",\"nexthop\":\"10.%ld.0.99\"}]}}",
              random() % 3);
    }
}

static void start_random_of_translations(struct world *world, struct exchange *exchange)
{
    const char *floating_ip = world->floating_ips[random() % N_FLOATING_IPS], *port = world->ports[random() % N_PORTS];
    char target[160];

    snprintf(target, sizeof target, "/v2.0/floatingips/%s", floating_ip);
    switch (random() % 6) {
    case 0:
    case 1:
    case 2:
        start(world, exchange, "PUT", target, "{\"floatingip\":{\"port_id\":\"%s\"}}", port);
        return;
    case 3:
        start(world, exchange, "PUT", target, "{\"floatingip\":{\"port_id\":null}}");
        return;
    default:
        snprintf(target, sizeof target, "/v2.0/floatingips/%s/port_forwardings", floating_ip);
        start(world, exchange, "POST", target,
              "{\"port_forwarding\":{\"protocol\":\"tcp\",\"internal_port_id\":\"%s\",\"external_port\":%ld,\"internal_port\":%ld}}", port,
              80 + random() % 3, 80 + random() % 3);
    }
}

/* Ports lose their address or go; what goes is made again after the round. */
static void start_random_of_ports(struct world *world, struct exchange *exchange)
{
    char target[160];

    snprintf(target, sizeof target, "/v2.0/ports/%s", world->ports[random() % N_PORTS]);
    if (random() % 2)
        start(world, exchange, "DELETE", target, "%s", "");
    else
        start(world, exchange, "PUT", target, "{\"port\":{\"fixed_ips\":[]}}");
}

static void make_again(struct world *world)
{
    for (int i = 0; i < N_PORTS; i++) {
        char target[160];
        json_t *json = NULL;
        int status;

        snprintf(target, sizeof target, "/v2.0/ports/%s", world->ports[i]);
        status = instance_call(&world->a, "GET", target, NULL, &json);
        if (status == 404 || json_array_size(json_object_get(json_object_get(json, "port"), "fixed_ips")) == 0)
            create(world, world->ports[i], "/v2.0/ports", "{\"port\":{\"network_id\":\"%s\"}}", world->networks[i % N_NETWORKS]);
        json_decref(json);
    }
}

static void random_requests_on_both_servers_keep_every_rule(void **state)
{
    static struct world world;
    unsigned seed = time(NULL);
    int counts[600] = {0};
    unsigned long long n_conflicts;

    print_message("seed %u\n", seed);
    srandom(seed);
    world_build(&world);
    for (int round = 0; round < 200; round++) {
        struct exchange exchanges[24] = {0};

        for (size_t i = 0; i < ARRAY_SIZE(exchanges); i++) {
            long kind = random() % 10;

            if (kind < 4)
                start_random_of_routers(&world, &exchanges[i]);
            else if (kind < 9)
                start_random_of_translations(&world, &exchanges[i]);
            else
                start_random_of_ports(&world, &exchanges[i]);
        }
        instances_run(world.both, 2, exchanges, ARRAY_SIZE(exchanges));
        for (size_t i = 0; i < ARRAY_SIZE(exchanges); i++) {
            if (exchanges[i].status >= 500 && exchanges[i].status != 503) /* 503: others were quicker sixteen times. */
                fail_msg("%d %s", exchanges[i].status, exchanges[i].body ? json_dumps(exchanges[i].body, 0) : "");
            counts[exchanges[i].status]++;
            exchange_clear(&exchanges[i]);
        }
        if (round % 5 == 4)
            check_store(&world);
        make_again(&world);
    }
    check_store(&world);
    n_conflicts = commits_counters(world.a.api.commits).n_conflicts + commits_counters(world.b.api.commits).n_conflicts;
    print_message("made %d, changed %d, deleted %d, refused %d, %d times out of retries, %llu conflicts\n", counts[201], counts[200], counts[204],
                  counts[400] + counts[404] + counts[409], counts[503], n_conflicts);
    assert_true(counts[200] > 200 && counts[201] > 10 && counts[409] > 50 && n_conflicts > 0);
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_requests_on_both_servers_keep_every_rule),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
