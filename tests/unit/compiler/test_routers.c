/* What is decided by rendezvous: who gets a bucket of several next hops, and which gateway answers for an address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "weft/base/util.h"
#include "weft/compiler/compiler.h"

#define N_HOPS 8
#define N_HOSTS 6
#define N_ADDRESSES 200

static void set_id(char id[UUID_TEXT_SIZE], unsigned kind, unsigned i)
{
    snprintf(id, UUID_TEXT_SIZE, "%08x-0000-4000-8000-%012x", i, kind);
}

/* A router on one network, whose one route goes over 'hops' (as bits). */
static void compile_hops(unsigned hops, struct desired *ret)
{
    struct network network = {.vni = 9, .mtu = 1450};
    struct subnet subnet = {.cidr = {ip_from_v4(0x0a000000), 24}};
    struct fixed_ip address = {.address = ip_from_v4(0x0a000001)};
    struct port port = {.device_owner = (char *)DEVICE_ROUTER_INTERFACE, .fixed_ips = &address, .n_fixed_ips = 1};
    struct host_route routes[N_HOPS];
    struct router router = {.routes = routes};
    const struct network *networks[] = {&network};
    const struct subnet *subnets[] = {&subnet};
    struct compile_port compile_port = {.port = &port, .router_port = 3};
    struct compile_router compile_router = {&router, 5};
    struct snapshot snapshot = {.host_name = "here", .networks = networks, .n_networks = 1, .subnets = subnets, .n_subnets = 1,
                                .ports = &compile_port, .n_ports = 1, .routers = &compile_router, .n_routers = 1};

    set_id(network.object.id, 1, 0);
    set_id(subnet.object.id, 2, 0);
    set_id(port.object.id, 3, 0);
    set_id(router.object.id, 4, 0);
    port.device_id = router.object.id;
    string_copy(port.network_id, sizeof(port.network_id), network.object.id);
    string_copy(subnet.network_id, sizeof(subnet.network_id), network.object.id);
    string_copy(address.subnet_id, sizeof(address.subnet_id), subnet.object.id);
    for (unsigned i = 0; i < N_HOPS; i++)
        if (hops & 1u << i)
            routes[router.n_routes++] = (struct host_route){{ip_from_v4(0x0a090000), 16}, ip_from_v4(0x0a000010 + i)};
    assert_int_equal(0, compile(&snapshot, ret));
}

static unsigned hop_of_bucket(const struct desired *desired, uint32_t bucket, uint32_t *ret_group)
{
    const struct rows *rows = &desired->tables[TABLE_NEXT_HOPS];

    assert_int_equal(NEXT_HOP_BUCKETS, rows->n);
    for (size_t i = 0; i < rows->n; i++) {
        struct next_hop_value value;
        struct next_hop_key key;

        memcpy(&key, rows_key(rows, i), sizeof(key));
        memcpy(&value, rows_value(rows, i), sizeof(value));
        *ret_group = key.group;
        if (key.bucket == bucket)
            return value.next_hop[15] - 0x10u;
    }
    fail_msg("bucket %u is missing", bucket);
    return 0;
}

static void a_next_hop_that_dies_moves_only_what_it_had(void **state)
{
    struct desired all, less;
    unsigned n_of[N_HOPS] = {0};

    desired_init(&all);
    desired_init(&less);
    compile_hops(0xff, &all);
    for (unsigned dead = 0; dead < N_HOPS; dead++) {
        compile_hops(0xff & ~(1u << dead), &less);
        for (uint32_t bucket = 0; bucket < NEXT_HOP_BUCKETS; bucket++) {
            uint32_t group, group_of_less;
            unsigned before = hop_of_bucket(&all, bucket, &group), after = hop_of_bucket(&less, bucket, &group_of_less);

            assert_int_equal(group, group_of_less); /* The route itself does not change. */
            assert_int_not_equal(dead, after);
            n_of[before] += dead == 0;
            if (before != dead)
                assert_int_equal(before, after);
        }
    }
    for (unsigned i = 0; i < N_HOPS; i++)
        assert_true(n_of[i] > 0);
    desired_clear(&all);
    desired_clear(&less);
}

/* Of two next hops that are left one is a plain route again. */
static void one_next_hop_is_a_route_without_a_group(void **state)
{
    struct desired desired;

    desired_init(&desired);
    compile_hops(4, &desired);
    assert_int_equal(0, desired.tables[TABLE_NEXT_HOPS].n);
    desired_clear(&desired);
}

/* ---- who answers for an address ------------------------------------------------------------------------------------------------ */

struct outside {
    struct network network;
    struct router router;
    struct port gateway, inside, ports[N_ADDRESSES];
    struct fixed_ip fixed_ips[N_ADDRESSES];
    struct floating_ip floating_ips[N_ADDRESSES];
    struct host hosts[N_HOSTS];
    char names[N_HOSTS][4];
    struct text physical_network;
};

static void make_outside(struct outside *outside, unsigned live)
{
    *outside = (struct outside){.network = {.vni = 20, .mtu = 1500, .is_external = true, .physical_network = (char *)"ext"},
                                .gateway = {.device_owner = (char *)DEVICE_ROUTER_GATEWAY}, .physical_network = {(char *)"ext"}};
    set_id(outside->network.object.id, 1, 0);
    set_id(outside->router.object.id, 4, 0);
    set_id(outside->gateway.object.id, 3, 99999);
    outside->gateway.device_id = outside->router.object.id;
    string_copy(outside->gateway.network_id, UUID_TEXT_SIZE, outside->network.object.id);
    for (unsigned i = 0; i < N_HOSTS; i++) {
        struct host *host = &outside->hosts[i];

        snprintf(outside->names[i], sizeof(outside->names[i]), "h%u", i % 10);
        host->object.name = outside->names[i];
        host->state = live & 1u << i ? HOST_STATE_UP : HOST_STATE_DOWN;
        host->physical_networks = &outside->physical_network;
        host->n_physical_networks = i != N_HOSTS - 1; /* The last is no gateway. */
    }
    for (unsigned i = 0; i < N_ADDRESSES; i++) {
        struct floating_ip *floating_ip = &outside->floating_ips[i];

        set_id(outside->ports[i].object.id, 3, i);
        outside->fixed_ips[i].address = ip_from_v4(0x0a000000 + i);
        outside->ports[i].fixed_ips = &outside->fixed_ips[i];
        outside->ports[i].n_fixed_ips = 1;
        outside->ports[i].binding_host_id = outside->names[i % 4 ? N_HOSTS - 1 : i / 4 % N_HOSTS];
        set_id(floating_ip->object.id, 5, i);
        string_copy(floating_ip->floating_network_id, UUID_TEXT_SIZE, outside->network.object.id);
        string_copy(floating_ip->port_id, UUID_TEXT_SIZE, outside->ports[i].object.id);
        string_copy(floating_ip->router_id, UUID_TEXT_SIZE, outside->router.object.id);
        floating_ip->floating_address = ip_from_v4(0xcb007100 + i);
    }
}

/* Which host says that it answers for each address; each says so for itself. */
static void find_announcers(const struct outside *outside, int ret[N_ADDRESSES])
{
    struct compile_port ports[N_ADDRESSES + 1] = {{.port = &outside->gateway, .router_port = 1}};
    const struct floating_ip *floating_ips[N_ADDRESSES];
    const struct network *networks[] = {&outside->network};
    struct compile_router router = {&outside->router, 1};
    struct compile_uplink uplink = {.physical_network = "ext", .ifindex = 7, .mtu = 1500};
    struct compile_host hosts[N_HOSTS];
    struct desired desired;

    desired_init(&desired);
    for (unsigned i = 0; i < N_ADDRESSES; i++) {
        ports[1 + i] = (struct compile_port){.port = &outside->ports[i]};
        floating_ips[i] = &outside->floating_ips[i];
        ret[i] = -1;
    }
    for (unsigned here = 0; here < N_HOSTS; here++) {
        struct snapshot snapshot = {.host_name = outside->names[here], .networks = networks, .n_networks = 1, .ports = ports,
                                    .n_ports = N_ADDRESSES + 1, .hosts = hosts, .n_hosts = N_HOSTS, .routers = &router, .n_routers = 1,
                                    .floating_ips = floating_ips, .n_floating_ips = N_ADDRESSES, .uplinks = &uplink,
                                    .n_uplinks = here != N_HOSTS - 1};

        for (unsigned i = 0; i < N_HOSTS; i++) /* Each has other numbers, and another order. */
            hosts[i] = (struct compile_host){.host = &outside->hosts[(i + here) % N_HOSTS], .slot = (i + here) % N_HOSTS == here ? 0 : 1 + i};
        assert_int_equal(0, compile(&snapshot, &desired));
        assert_int_equal(N_ADDRESSES, desired.tables[TABLE_EXTERNAL].n);
        for (size_t i = 0; i < desired.tables[TABLE_EXTERNAL].n; i++) {
            struct external_value value;
            struct external_key key;

            memcpy(&key, rows_key(&desired.tables[TABLE_EXTERNAL], i), sizeof(key));
            memcpy(&value, rows_value(&desired.tables[TABLE_EXTERNAL], i), sizeof(value));
            if (!(value.flags & EXTERNAL_ANNOUNCED))
                continue;
            assert_int_equal(-1, ret[key.address >> 24]); /* Nobody else does. */
            ret[key.address >> 24] = (int)here;
        }
    }
    desired_clear(&desired);
}

static void exactly_one_live_gateway_answers_for_each_address(void **state)
{
    static struct outside outside;
    int before[N_ADDRESSES], after[N_ADDRESSES];
    unsigned n_of[N_HOSTS] = {0};

    make_outside(&outside, 0x3f);
    find_announcers(&outside, before);
    make_outside(&outside, 0x3f & ~4u);
    find_announcers(&outside, after);
    for (unsigned i = 0; i < N_ADDRESSES; i++) {
        unsigned home = i % 4 ? N_HOSTS - 1 : i / 4 % N_HOSTS;

        assert_in_range(before[i], 0, N_HOSTS - 2);
        assert_in_range(after[i], 0, N_HOSTS - 2);
        assert_int_not_equal(2, after[i]);
        if (before[i] != 2)
            assert_int_equal(before[i], after[i]); /* Only what the dead one had has moved. */
        if (home != N_HOSTS - 1)
            assert_int_equal(home, before[i]); /* At home, if that is a gateway. */
        n_of[before[i]]++;
    }
    for (unsigned i = 0; i < N_HOSTS - 1; i++)
        assert_true(n_of[i] > N_ADDRESSES / N_HOSTS / 3);
    make_outside(&outside, 0);
    find_announcers(&outside, after);
    for (unsigned i = 0; i < N_ADDRESSES; i++)
        assert_int_equal(-1, after[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_next_hop_that_dies_moves_only_what_it_had),
        cmocka_unit_test(one_next_hop_is_a_route_without_a_group),
        cmocka_unit_test(exactly_one_live_gateway_answers_for_each_address),
    };

    return cmocka_run_group_tests_name("routers", tests, NULL, NULL);
}
