/* What the interface shows, while memory runs out at every place in turn: an answer is whole or none, and nothing is lost.
 *
 *     alice - 0x1:3  0x1:1 --- 0x2:1  0x2:3 - bob          and a slice that both are in */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "weft/base/util.h"
#include "weft/controller/describe.h"
#include "weft/controller/host-list.h"
#include "weft/controller/slices-file.h"
#include "weft/fabric/slices.h"
#include "world.h"

/* ---- memory that runs out ----------------------------------------------------------------------------------------------- */

static size_t n_allocations, fails_at, n_live;

static void *scarce_malloc(size_t size)
{
    void *memory = n_allocations++ == fails_at ? NULL : malloc(size);

    n_live += memory != NULL;
    return memory;
}

static void scarce_free(void *memory)
{
    n_live -= memory != NULL;
    free(memory);
}

/* 'make' with its first, second, ... allocation failing, until there are no more. */
static void check_whole_or_none(json_t *(*make)(struct fabric *fabric), struct fabric *fabric)
{
    json_t *whole;

    fails_at = SIZE_MAX;
    whole = make(fabric);
    assert_non_null(whole);
    for (size_t i = 0;; i++) {
        size_t before = n_live;
        bool has_failed;
        json_t *json;

        n_allocations = 0;
        fails_at = i;
        json = make(fabric);
        has_failed = n_allocations > i;
        fails_at = SIZE_MAX;
        assert_true(!json || json_equal(json, whole));
        assert_true(json || has_failed);
        json_decref(json);
        assert_int_equal(n_live, before);
        if (!has_failed) {
            assert_true(i > 3);
            break;
        }
    }
    json_decref(whole);
}

/* ---- what is made ---------------------------------------------------------------------------------------------------------- */

static json_t *a_switch(struct fabric *fabric)
{
    return describe_switch(fabric, datapath_find(fabric, 1), true);
}

static json_t *all_hosts(struct fabric *fabric)
{
    const struct host_filter all = {0};
    struct host_page page;
    json_t *list = json_array();

    assert_int_equal(host_page_get(fabric, &all, NULL, 10, &page), 0);
    assert_int_equal(page.n, 2);
    for (size_t i = 0; i < page.n; i++)
        json_append(&list, describe_host(fabric, page.hosts[i]));
    host_page_clear(&page);
    return list;
}

static json_t *a_path(struct fabric *fabric)
{
    struct fabric_route *route = route_get(fabric, datapath_find(fabric, 1)->node, datapath_find(fabric, 2)->node);

    return describe_path(route, route->listed[0]);
}

static json_t *a_flow(struct fabric *fabric)
{
    return describe_flow(fabric, CONTAINER_OF(fabric->flows_by_age.next, struct flow, of_age));
}

static json_t *all_slices(struct fabric *fabric)
{
    return slices_to_json(fabric);
}

static json_t *a_slice(struct fabric *fabric)
{
    bool exists;
    json_t *slice = slice_to_json(fabric, "red", &exists);

    assert_true(exists);
    return slice;
}

static void answers_are_whole_or_none(void **state)
{
    static const struct slice_binding bindings[] = {
        {.has_port = true, .datapath_id = 1, .port = 3},
        {.has_port = true, .has_vlan = true, .datapath_id = 2, .port = 3, .vlan = FRAME_NO_VLAN},
        {.has_mac = true, .mac = {{2, 0, 0, 0, 0, 9}}},
    };
    struct world *world = world_new(NULL);
    struct sim_switch *one = world_switch(world, 1, OF13), *two = world_switch(world, 2, OF13);
    struct sim_host *alice = world_host(world, one, 3, "02:00:00:00:00:01", "10.0.0.1");
    struct sim_host *bob = world_host(world, two, 3, "02:00:00:00:00:02", "10.0.0.2");
    struct error error = {0};

    world_link(one, 1, two, 1);
    world_connect_all(world);
    world_settle(world);
    assert_int_equal(slices_set(world->fabric->slices, "red", bindings, ARRAY_SIZE(bindings), &error), 0);
    host_send_arp(alice, &bob->ip);
    host_send_arp(bob, &alice->ip);
    world_run(world, 100);
    host_send_udp(alice, bob, 1000, 53);
    world_run(world, 100);
    assert_false(ring_is_empty(&world->fabric->flows_by_age));

    json_set_alloc_funcs(scarce_malloc, scarce_free);
    check_whole_or_none(a_switch, world->fabric);
    check_whole_or_none(all_hosts, world->fabric);
    check_whole_or_none(a_path, world->fabric);
    check_whole_or_none(a_flow, world->fabric);
    check_whole_or_none(all_slices, world->fabric);
    check_whole_or_none(a_slice, world->fabric);
    json_set_alloc_funcs(malloc, free);
    world_free(world);
}

/* ---- pages ------------------------------------------------------------------------------------------------------------------- */

static int compare_markers(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Pages of every size, over hosts at random places: all hosts, in order, once. */
static void pages_hold_every_host_once(void **state)
{
    enum { N = 60 };
    struct world *world = world_new(NULL);
    struct sim_switch *one = world_switch(world, 1, OF13);
    char expected[N][HOST_MARKER_SIZE];
    const struct host_filter all = {0};

    for (unsigned i = 0; i < N; i++) {
        char mac[MAC_TEXT_SIZE], ip[IP_TEXT_SIZE];

        snprintf(mac, sizeof(mac), "02:00:00:%02x:00:%02x", i * 37 % 251, i);
        snprintf(ip, sizeof(ip), "10.0.1.%u", i + 1);
        world_host(world, one, i + 1, mac, ip);
        snprintf(expected[i], sizeof(expected[i]), "%s", mac);
    }
    qsort(expected, N, sizeof(expected[0]), compare_markers);
    world_connect_all(world);
    world_settle(world);
    for (unsigned i = 0; i < N; i++)
        host_send_arp(world->hosts[i], &world->hosts[(i + 1) % N]->ip);
    world_run(world, 100);
    for (size_t limit = 1; limit <= N + 1; limit++) {
        struct host_key after;
        bool has_more = true;
        size_t n = 0;

        while (has_more) {
            struct host_page page;

            assert_int_equal(host_page_get(world->fabric, &all, n ? &after : NULL, limit, &page), 0);
            assert_true(page.n <= limit && n + page.n <= N);
            for (size_t i = 0; i < page.n; i++) {
                char marker[HOST_MARKER_SIZE];

                assert_string_equal(host_marker(page.hosts[i], marker), expected[n++]);
                assert_int_equal(host_marker_parse(marker, &after), 0);
            }
            has_more = page.has_more;
            host_page_clear(&page);
        }
        assert_int_equal(n, N);
    }
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_whole_or_none),
        cmocka_unit_test(pages_hold_every_host_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
