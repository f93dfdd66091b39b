/* Thresholds: who is overloaded from when to when, and who gets the connection then. */
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "weft/base/util.h"
#include "world.h"

/* Servers 10.0.0.1 to 3, of which the last is no member. */
static struct lb_service *two_servers(struct world *world, enum lb_schedule schedule)
{
    struct lb_service *service = world_service(world, 0, "192.0.2.1", 80, IPPROTO_TCP);

    service->schedule = schedule;
    service->flags |= LB_TRACK;
    service->half_open_limit = 1000;
    world_server(world, 0, "10.0.0.1", LB_METHOD_IPIP);
    world_server(world, 1, "10.0.0.2", LB_METHOD_IPIP);
    world_server(world, 2, "10.0.0.3", LB_METHOD_IPIP);
    for (uint32_t i = 0; i < 3; i++)
        *world_load(world, i) = (struct lb_server_load){0};
    world_members(world, 0, 0, 2);
    return service;
}

static unsigned send_from(struct world *world, unsigned port, const char *rest)
{
    struct native_verdict out;
    char text[120];

    snprintf(text, sizeof(text), "C>D ip 203.0.113.7>192.0.2.1 tcp %u>80 %s", port, rest);
    out = world_send(world, text);
    return out.action == XDP_REDIRECT ? out.frame[14 + 19] : 0;
}

/* 10 s after a RST a connection counts no more. */
static void end_connection(struct world *world, unsigned port)
{
    send_from(world, port, "A");
    send_from(world, port, "R");
    native_director_advance(world->native, 11000000000ull);
    for (unsigned i = 0; i < NATIVE_SWEEPS; i++)
        native_director_sweep(world->native);
}

static void a_full_server_gets_nothing_until_a_quarter_has_gone(void **state)
{
    struct world *world = *state;

    two_servers(world, LB_SCHEDULE_FO);
    world_member(world, 0)->weight = 5;
    world_load(world, 0)->upper = 8;
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(1, send_from(world, 1000 + i, "S"));
    assert_int_equal(2, send_from(world, 2000, "S"));
    assert_int_equal(1, send_from(world, 1000, "A")); /* Who is there stays. */
    end_connection(world, 1000);
    end_connection(world, 1001);
    assert_int_equal(6, world_load(world, 0)->active + world_load(world, 0)->inactive);
    assert_int_equal(2, send_from(world, 2001, "S"));
    end_connection(world, 1002); /* Less than six of eight. */
    assert_int_equal(1, send_from(world, 2002, "S"));
}

static void the_lower_threshold_counts_if_it_is_given(void **state)
{
    struct world *world = *state;

    two_servers(world, LB_SCHEDULE_FO);
    world_member(world, 0)->weight = 5;
    world_load(world, 0)->upper = 4;
    world_load(world, 0)->lower = 2;
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(1, send_from(world, 1000 + i, "S"));
    for (unsigned i = 0; i < 2; i++) {
        end_connection(world, 1000 + i);
        assert_int_equal(2, send_from(world, 2000 + i, "S"));
    }
    end_connection(world, 1002); /* One is left. */
    assert_int_equal(1, send_from(world, 2002, "S"));
}

static void turns_and_rows_pass_a_full_server(void **state)
{
    struct world *world = *state;

    two_servers(world, LB_SCHEDULE_TURN);
    world_load(world, 0)->upper = 1;
    assert_int_equal(1, send_from(world, 1000, "S"));
    for (unsigned i = 1; i < 6; i++)
        assert_int_equal(2, send_from(world, 1000 + i, "S"));
    two_servers(world, LB_SCHEDULE_HASH)->flags |= LB_FALLBACK;
    world_load(world, 0)->is_overloaded = world_load(world, 0)->upper = 1;
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(2, send_from(world, 2000 + i, "S"));
}

/* Many rows in a row are of one that is full: the other one gets it all the same, after 64 rows and the members have been looked at, not after all. */
static void a_packet_does_not_cost_a_walk_over_all_rows(void **state)
{
    struct world *world = *state;

    for (unsigned pass = 0; pass < 2; pass++) {
        struct lb_service *service = two_servers(world, pass ? LB_SCHEDULE_TURN : LB_SCHEDULE_HASH);

        if (!pass)
            service->flags |= LB_FALLBACK;
        service->n_members = 2;
        service->n_rows = 10 * LB_ROWS_BLOCK;
        for (uint32_t block = 0; block < 10; block++)
            for (uint32_t row = 0; row < LB_ROWS_BLOCK; row++)
                ((struct lb_rows *)world_place(world, NATIVE_LB_rows, service->rows + block))->row[row] = LB_ROW_OF(0);
        world_load(world, 0)->is_overloaded = world_load(world, 0)->upper = 1;
        for (unsigned i = 0; i < 20; i++)
            assert_int_equal(2, send_from(world, 5000 + 100 * pass + i, "S"));
        if (pass)
            assert_true(world_service_load(world, 0)->turn <= 20 * 65);
        world_member(world, 1)->weight = 0;
        assert_int_equal(0, send_from(world, 5900 + pass, "S"));
        world_member(world, 1)->weight = 1;
    }
}

/* sh and mh without the flag "fallback". */
static void a_row_of_a_full_server_refuses(void **state)
{
    struct world *world = *state;
    unsigned n[3] = {0};

    two_servers(world, LB_SCHEDULE_HASH);
    world_load(world, 0)->is_overloaded = world_load(world, 0)->upper = 1;
    for (unsigned i = 0; i < 40; i++)
        n[send_from(world, 2000 + i, "S")]++;
    assert_true(n[0] && n[2] && !n[1]);
    assert_int_equal(n[0], world_service_use(world, 0)->refused);
}

/* Sends the frame of that text, with SCTP's verification tag (the bytes 4 to 7 behind the IP header) of 'tag'.  Whether it went to 10.0.0.1. */
static bool reaches_the_first(struct world *world, const char *text, uint8_t tag)
{
    struct native_verdict out;
    struct frame frame;

    frame_parse(text, &frame);
    if (frame.bytes[14 + 9] == IPPROTO_SCTP)
        frame.bytes[14 + 20 + 7] = tag;
    out = world_run(world, &frame);
    return out.action == XDP_REDIRECT && out.frame[14 + 19] == 1;
}

/* A server of weight 0 of sh, mh or dh without the flag "fallback": what is established goes on, as far as it can be told. */
static void what_has_no_new_connections_keeps_the_old_ones(void **state)
{
    struct world *world = *state;
    struct lb_server *server = world_server(world, 0, "10.0.0.1", LB_METHOD_IPIP);
    struct lb_service *service;

    world_service(world, 0, "192.0.2.1", 80, IPPROTO_TCP);
    world_members(world, 0, 0, 1);
    assert_int_equal(1, send_from(world, 999, "S"));
    server->flags = LB_SERVER_NO_NEW;
    assert_int_equal(0, send_from(world, 1000, "S"));
    assert_int_equal(1, world_service_use(world, 0)->refused);
    assert_int_equal(1, world_drops(world, LB_DROP_no_server));
    assert_int_equal(1, send_from(world, 999, "A"));
    assert_int_equal(1, send_from(world, 999, "SA"));
    assert_true(reaches_the_first(world, "C>D ip 203.0.113.7>192.0.2.1 icmp 3 0 quote ip 192.0.2.1>203.0.113.7 tcp 80>999 A", 0));
    assert_int_equal(1, world_service_use(world, 0)->refused);

    world_service(world, 0, "192.0.2.1", 80, IPPROTO_SCTP); /* An INIT has no tag. */
    world_members(world, 0, 0, 1);
    assert_false(reaches_the_first(world, "C>D ip 203.0.113.7>192.0.2.1 sctp 4000>80", 0));
    assert_true(reaches_the_first(world, "C>D ip 203.0.113.7>192.0.2.1 sctp 4000>80", 7));
    world_service(world, 0, "192.0.2.1", 80, IPPROTO_UDP); /* No beginning, so each datagram is one. */
    world_members(world, 0, 0, 1);
    assert_false(reaches_the_first(world, "C>D ip 203.0.113.7>192.0.2.1 udp 4000>80", 0));

    service = world_service(world, 0, "192.0.2.1", 80, IPPROTO_UDP); /* What is remembered goes on. */
    world_members(world, 0, 0, 1);
    service->flags |= LB_TRACK;
    service->half_open_limit = 1000;
    server->flags = 0;
    assert_true(reaches_the_first(world, "C>D ip 203.0.113.7>192.0.2.1 udp 4000>80", 0));
    server->flags = LB_SERVER_NO_NEW;
    assert_true(reaches_the_first(world, "C>D ip 203.0.113.7>192.0.2.1 udp 4000>80", 0));
    assert_false(reaches_the_first(world, "C>D ip 203.0.113.7>192.0.2.1 udp 4001>80", 0));
    service->flags |= LB_ONE_PACKET; /* Nothing is. */
    service->flags &= ~LB_TRACK;
    assert_false(reaches_the_first(world, "C>D ip 203.0.113.7>192.0.2.1 udp 4000>80", 0));
}

static void the_sorry_server_gets_what_all_are_too_loaded_for(void **state)
{
    struct world *world = *state;
    static const enum lb_schedule schedules[] = {LB_SCHEDULE_TURN, LB_SCHEDULE_WLC, LB_SCHEDULE_HASH};

    for (unsigned i = 0; i < ARRAY_SIZE(schedules); i++) {
        struct lb_service *service = two_servers(world, schedules[i]);

        service->fallback = 2 + 1;
        world_load(world, 0)->is_overloaded = world_load(world, 0)->upper = 1;
        world_load(world, 1)->is_overloaded = world_load(world, 1)->upper = 1;
        assert_int_equal(3, send_from(world, 1000 + i, "S"));
        assert_int_equal(3, send_from(world, 1000 + i, "A"));
        service->fallback = 0;
        assert_int_equal(0, send_from(world, 2000 + i, "S"));
    }
}

/* A template leads to a server however loaded it is (IPVS); it never leads to the sorry server. */
static void persistence_and_thresholds(void **state)
{
    struct world *world = *state;
    struct lb_service *service = two_servers(world, LB_SCHEDULE_WLC);

    service->flags |= LB_PERSISTENT;
    service->persistence_s = 300;
    memset(service->persistence_mask, 0xff, 16);
    service->fallback = 2 + 1;
    world_load(world, 0)->upper = world_load(world, 1)->upper = 1;
    assert_int_equal(1, send_from(world, 1000, "S"));
    assert_int_equal(1, send_from(world, 1001, "S"));
    world_load(world, 1)->is_overloaded = 1;
    assert_int_equal(XDP_REDIRECT, world_send(world, "C>D ip 203.0.113.8>192.0.2.1 tcp 1000>80 S").action); /* To the sorry server. */
    assert_int_equal(1, world_load(world, 2)->active);
    assert_int_equal(0, world_load(world, 2)->persistent);
    assert_int_equal(1, world_load(world, 0)->persistent);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_full_server_gets_nothing_until_a_quarter_has_gone),
        TEST(the_lower_threshold_counts_if_it_is_given),
        TEST(turns_and_rows_pass_a_full_server),
        TEST(a_packet_does_not_cost_a_walk_over_all_rows),
        TEST(a_row_of_a_full_server_refuses),
        TEST(what_has_no_new_connections_keeps_the_old_ones),
        TEST(the_sorry_server_gets_what_all_are_too_loaded_for),
        TEST(persistence_and_thresholds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
