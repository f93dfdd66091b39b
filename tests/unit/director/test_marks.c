/* Services by mark: which rule a packet meets, and persistence across the ports that have one mark. */
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "weft/base/address.h"
#include "weft/base/util.h"
#include "world.h"

static unsigned n_rules;

static void rule(struct world *world, struct lb_mark_rule content)
{
    if (!content.source_max)
        content.source_max = UINT16_MAX;
    if (!content.destination_max)
        content.destination_max = UINT16_MAX;
    *(struct lb_mark_rule *)world_place(world, NATIVE_LB_mark_rules, n_rules++) = content;
}

/* The last 'n' rules are for that prefix. */
static void for_prefix(struct world *world, const char *text, unsigned n)
{
    struct lb_mark_list list = {n_rules - n, n};
    struct lb_mark_key key = {0};
    struct ip_prefix prefix;

    assert_int_equal(0, prefix_parse(text, &prefix));
    key.length = (uint32_t)prefix_bits(&prefix);
    memcpy(key.destination, prefix.address.bytes, 16);
    assert_int_equal(0, native_map_update(native_director_map(world->native, NATIVE_LB_mark_places), &key, &list, false));
    world_settings(world)->has_marks = 1;
}

/* A service for the mark in place 'number', with one server, 10.0.0.<number + 1>. */
static struct lb_service *marked(struct world *world, uint32_t number, uint32_t mark, bool ipv6)
{
    struct lb_service *service = world_service(world, number, "192.0.2.77", 0, 0);
    struct lb_key_value value = {number};
    char address[20];

    service->key = (struct lb_key){.mark = mark, .ipv6 = ipv6};
    service->schedule = LB_SCHEDULE_TURN;
    service->half_open_limit = 100;
    assert_int_equal(0, native_map_update(native_director_map(world->native, NATIVE_LB_keys), &service->key, &value, false));
    snprintf(address, sizeof(address), ipv6 ? "2001:db8::%u" : "10.0.0.%u", number + 1);
    world_server(world, number, address, LB_METHOD_IPIP);
    world_members(world, number, number, 1);
    return service;
}

static unsigned send_to(struct world *world, const char *text)
{
    char whole[160];
    struct native_verdict out;

    snprintf(whole, sizeof(whole), "C>D %s", text);
    out = world_send(world, whole);
    return out.action == XDP_REDIRECT ? out.frame[14] >> 4 == 6 ? out.frame[14 + 39] : out.frame[14 + 19] : 0;
}

static int setup(void **state)
{
    n_rules = 0;
    return world_setup(state);
}

static void the_first_rule_that_matches_counts(void **state)
{
    struct world *world = *state;

    marked(world, 0, 5, false);
    marked(world, 1, 6, false);
    rule(world, (struct lb_mark_rule){.mark = 5, .protocol = IPPROTO_TCP, .destination_min = 80, .destination_max = 90});
    rule(world, (struct lb_mark_rule){.mark = 6, .protocol = IPPROTO_TCP, .source_min = 2000, .source_max = 2999});
    for_prefix(world, "192.0.2.0/24", 2);
    assert_int_equal(1, send_to(world, "ip 203.0.113.7>192.0.2.9 tcp 2000>80 S"));
    assert_int_equal(1, send_to(world, "ip 203.0.113.7>192.0.2.200 tcp 1000>90 S"));
    assert_int_equal(2, send_to(world, "ip 203.0.113.7>192.0.2.9 tcp 2999>91 S"));
    assert_int_equal(0, send_to(world, "ip 203.0.113.7>192.0.2.9 tcp 3000>91 S"));
    assert_int_equal(0, send_to(world, "ip 203.0.113.7>192.0.2.9 udp 2000>80"));
    assert_int_equal(0, send_to(world, "ip 203.0.113.7>192.0.3.9 tcp 2000>80 S"));
    assert_int_equal(XDP_PASS, world_send(world, "C>D ip 203.0.113.7>192.0.2.9 icmp 8 0").action);
}

static void source_interface_and_family_are_asked(void **state)
{
    struct world *world = *state;
    struct lb_mark_rule from = {.mark = 5};

    marked(world, 0, 5, false);
    marked(world, 1, 6, true);
    memset(from.source_mask, 0xff, 15);
    frame_address("203.0.113.0", from.source);
    rule(world, from);
    rule(world, (struct lb_mark_rule){.mark = 6, .ifindex = CLIENT_DEVICE + 1});
    rule(world, (struct lb_mark_rule){.mark = 6, .ipv6 = 1, .ifindex = CLIENT_DEVICE});
    for_prefix(world, "::/0", 3);
    assert_int_equal(1, send_to(world, "ip 203.0.113.7>192.0.2.9 udp 2000>80"));
    assert_int_equal(0, send_to(world, "ip 203.0.114.7>192.0.2.9 udp 2000>80"));
    assert_int_equal(2, send_to(world, "ip6 2001:db8:c::7>2001:db8:5::1 udp 2000>80"));
}

static void a_mark_comes_before_the_address(void **state)
{
    struct world *world = *state;

    world_service(world, 3, "192.0.2.9", 80, IPPROTO_UDP);
    world_server(world, 3, "10.0.0.4", LB_METHOD_IPIP);
    world_members(world, 3, 3, 1);
    rule(world, (struct lb_mark_rule){.mark = 5, .destination_max = 80});
    for_prefix(world, "192.0.2.9/32", 1);
    assert_int_equal(4, send_to(world, "ip 203.0.113.7>192.0.2.9 udp 2000>80")); /* No service has that mark. */
    marked(world, 0, 5, false);
    assert_int_equal(1, send_to(world, "ip 203.0.113.7>192.0.2.9 udp 2000>80"));
}

static void a_client_stays_at_its_server_whatever_the_port(void **state)
{
    struct world *world = *state;
    struct lb_service *service = marked(world, 0, 5, false);

    world_server(world, 1, "10.0.0.2", LB_METHOD_IPIP);
    world_members(world, 0, 0, 2);
    service->flags |= LB_TRACK | LB_PERSISTENT;
    service->persistence_s = 300;
    memset(service->persistence_mask, 0xff, 16);
    rule(world, (struct lb_mark_rule){.mark = 5});
    for_prefix(world, "192.0.2.0/24", 1);
    assert_int_equal(1, send_to(world, "ip 203.0.113.7>192.0.2.9 tcp 2000>80 S"));
    assert_int_equal(1, send_to(world, "ip 203.0.113.7>192.0.2.9 tcp 2000>443 S"));
    assert_int_equal(1, send_to(world, "ip 203.0.113.7>192.0.2.8 udp 2000>53"));
    assert_int_equal(2, send_to(world, "ip 203.0.113.8>192.0.2.8 udp 2000>53"));
    struct lb_conn_key key = {.is_template = 1};
    frame_address("203.0.113.7", key.client);
    frame_address("0.0.0.5", key.address); /* As IPVS names it. */
    assert_non_null(native_director_find(world->native, &key));
}

/* The rule that marks what clients send marks what servers send, too. */
static void answers_are_translated_back_whatever_their_mark(void **state)
{
    struct world *world = *state;
    struct native_route back = world_route("203.0.113.7");
    struct native_verdict out;

    native_director_route(world->native, &back);
    marked(world, 0, 5, false);
    world_server(world, 0, "10.0.0.1", LB_METHOD_NAT)->port = htons(8080);
    rule(world, (struct lb_mark_rule){.mark = 5});
    for_prefix(world, "0.0.0.0/0", 1);
    out = world_send(world, "C>D ip 203.0.113.7>192.0.2.9 tcp 2000>80 S");
    assert_int_equal(XDP_REDIRECT, out.action);
    assert_bytes(out.frame + 14 + 16, 8, "0a000001 07d01f90");
    out = world_send(world, "C>D ip 10.0.0.1>203.0.113.7 tcp 8080>2000 SA");
    assert_int_equal(XDP_REDIRECT, out.action);
    assert_bytes(out.frame + 14 + 12, 12, "c0000209 cb007107 0050 07d0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_rule_that_matches_counts, setup, world_teardown),
        cmocka_unit_test_setup_teardown(source_interface_and_family_are_asked, setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_mark_comes_before_the_address, setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_client_stays_at_its_server_whatever_the_port, setup, world_teardown),
        cmocka_unit_test_setup_teardown(answers_are_translated_back_whatever_their_mark, setup, world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
