/* Services that remember their connections: who gets one, how long it lasts, and translation there and back. */
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

#define SECOND 1000000000ull

/* Servers 10.0.0.1 to 10.0.0.N. */
static struct lb_service *servers(struct world *world, enum lb_schedule schedule, enum lb_method method, uint32_t n, uint8_t protocol)
{
    struct lb_service *service = world_service(world, 0, "192.0.2.1", 80, protocol);

    service->schedule = schedule;
    service->half_open_limit = 10;
    for (uint32_t i = 0; i < n; i++) {
        char address[20];

        snprintf(address, sizeof(address), "10.0.0.%u", i + 1);
        world_server(world, i, address, method);
    }
    world_members(world, 0, 0, n);
    return service;
}

/* The last byte of the tunnel's destination, or of the translated one; 0 if it was not sent on. */
static unsigned send_from(struct world *world, unsigned port, const char *rest)
{
    struct native_verdict out;
    char text[120];

    snprintf(text, sizeof(text), "C>D ip 203.0.113.7>192.0.2.1 tcp %u>80 %s", port, rest);
    out = world_send(world, text);
    return out.action == XDP_REDIRECT ? out.frame[14 + 19] : 0;
}

/* A round of the timer. */
static void sweep_all(struct world *world)
{
    for (unsigned i = 0; i < NATIVE_SWEEPS; i++)
        native_director_sweep(world->native);
}

/* What another director tells of the client's port 1000. */
static bool take(struct world *world, uint32_t server, enum lb_conn_state state)
{
    struct lb_conn taken = {.key = {.client_port = htons(1000), .port = htons(80), .protocol = IPPROTO_TCP},
                            .state = state, .server = server, .incarnation = server + 1};

    frame_address("203.0.113.7", taken.key.client);
    frame_address("192.0.2.1", taken.key.address);
    taken.last_seen = (uint32_t)(native_director_now(world->native) >> LB_TIME_SHIFT);
    return native_director_take(world->native, &taken);
}

static void a_port_that_is_used_again_at_the_other_director_is_another_connection(void **state)
{
    struct world *world = *state;

    servers(world, LB_SCHEDULE_TURN, LB_METHOD_IPIP, 2, IPPROTO_TCP);
    assert_true(take(world, 0, LB_CONN_ESTABLISHED));
    assert_int_equal(1, send_from(world, 1000, "A"));
    assert_false(take(world, 1, LB_CONN_ESTABLISHED)); /* This one is alive here. */
    assert_true(take(world, 0, LB_CONN_FIN_WAIT));
    assert_false(take(world, 1, LB_CONN_ESTABLISHED)); /* Not later. */
    for (uint32_t server = 2; server-- > 0;) {         /* At another server, and at the same. */
        native_director_advance(world->native, SECOND);
        assert_true(take(world, server, LB_CONN_ESTABLISHED));
        assert_int_equal(server + 1, send_from(world, 1000, "A"));
        assert_int_equal(1, world_load(world, server)->active);
        assert_int_equal(0, world_load(world, !server)->active + world_load(world, 0)->inactive + world_load(world, 1)->inactive);
        native_director_advance(world->native, SECOND);
        assert_true(take(world, server, LB_CONN_FIN_WAIT));
    }
    native_director_advance(world->native, SECOND);
    assert_true(take(world, 0, LB_CONN_ESTABLISHED)); /* The same server as before. */
    assert_int_equal(1, world_load(world, 0)->active);
    assert_int_equal(0, world_load(world, 0)->inactive);
    assert_int_equal(1, world_connections(world));
}

static void an_icmp_error_keeps_nothing_alive(void **state)
{
    struct world *world = *state;
    static const char quote[] = "R>D ip 10.0.0.99>192.0.2.1 icmp 3 3 quote ip 192.0.2.1>203.0.113.7 tcp 80>1000 A";

    servers(world, LB_SCHEDULE_TURN, LB_METHOD_IPIP, 1, IPPROTO_TCP);
    assert_int_equal(1, send_from(world, 1000, "S"));
    native_director_advance(world->native, 50 * SECOND);
    assert_int_equal(XDP_REDIRECT, world_send(world, quote).action); /* It goes where the connection goes. */
    native_director_advance(world->native, 20 * SECOND);
    sweep_all(world);
    native_director_advance(world->native, SECOND);
    sweep_all(world);
    assert_int_equal(0, world_connections(world));
}

static void taking_turns(void **state)
{
    struct world *world = *state;

    servers(world, LB_SCHEDULE_TURN, LB_METHOD_IPIP, 3, IPPROTO_TCP);
    for (unsigned i = 0; i < 9; i++)
        assert_int_equal(1 + i % 3, send_from(world, 1000 + i, "S"));
    for (unsigned i = 0; i < 9; i++) /* And each connection stays where it is. */
        assert_int_equal(1 + i % 3, send_from(world, 1000 + i, "A"));
    assert_int_equal(9, world_connections(world));
    assert_int_equal(9, world_service_use(world, 0)->counters.connections);
    assert_int_equal(3, world_server_use(world, 0)->counters.connections);
    assert_int_equal(3, world_load(world, 0)->active);
}

/* IPVS's schedulers, each with the choice that its formula makes for servers of these weights and connections. */
static const struct choice {
    const char *name;
    enum lb_schedule schedule;
    unsigned weight[3], active[3], inactive[3];
    unsigned chosen; /* 0: nobody. */
} choices[] = {
    {"lc: the fewest", LB_SCHEDULE_LC, {1, 1, 1}, {3, 2, 4}, {0, 0, 0}, 2},
    {"lc: an active one is 256 inactive ones", LB_SCHEDULE_LC, {1, 1, 1}, {1, 0, 1}, {0, 257, 0}, 1},
    {"lc: knows no weights but 0", LB_SCHEDULE_LC, {0, 1, 9}, {0, 3, 4}, {0, 0, 0}, 2},
    {"lc: the first of equals", LB_SCHEDULE_LC, {1, 1, 1}, {2, 2, 2}, {0, 0, 0}, 1},
    {"wlc: by weight", LB_SCHEDULE_WLC, {1, 2, 4}, {2, 3, 9}, {0, 0, 0}, 2},
    {"wlc: the first of equals", LB_SCHEDULE_WLC, {1, 2, 4}, {1, 2, 4}, {0, 0, 0}, 1},
    {"wlc: idle ones are equal", LB_SCHEDULE_WLC, {1, 2, 4}, {0, 0, 0}, {0, 0, 0}, 1},
    {"sed: with the one to come", LB_SCHEDULE_SED, {1, 2, 4}, {0, 0, 0}, {0, 0, 0}, 3},
    {"sed: not those that are over", LB_SCHEDULE_SED, {1, 1, 1}, {1, 0, 1}, {0, 999, 0}, 2},
    {"nq: whoever is idle", LB_SCHEDULE_NQ, {9, 1, 9}, {1, 0, 0}, {0, 0, 0}, 2},
    {"nq: else as sed", LB_SCHEDULE_NQ, {1, 2, 4}, {1, 1, 1}, {0, 0, 0}, 3},
    {"fo: the heaviest", LB_SCHEDULE_FO, {1, 5, 5}, {0, 900, 0}, {0, 0, 0}, 2},
    {"ovf: the heaviest that is not full", LB_SCHEDULE_OVF, {1, 3, 5}, {0, 0, 6}, {0, 0, 0}, 2},
    {"ovf: nobody", LB_SCHEDULE_OVF, {1, 0, 0}, {2, 0, 0}, {0, 0, 0}, 0},
    {"no weight, no connection", LB_SCHEDULE_WLC, {0, 0, 0}, {0, 0, 0}, {0, 0, 0}, 0},
};

static void schedulers_choose_as_ipvs_does(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_SIZE(choices); i++) {
        const struct choice *c = &choices[i];

        print_message("%s\n", c->name);
        servers(world, c->schedule, LB_METHOD_IPIP, 3, IPPROTO_TCP);
        for (unsigned n = 0; n < 3; n++) {
            world_member(world, n)->weight = c->weight[n];
            *world_load(world, n) = (struct lb_server_load){c->active[n], c->inactive[n]};
        }
        world_service_load(world, 0)->half_open = 0;
        assert_int_equal(c->chosen, send_from(world, 5000 + (unsigned)i, "S"));
    }
}

/* The SYN of a connection to that destination, which a rule marks; returns as send_from. */
static unsigned send_to(struct world *world, unsigned destination, unsigned port)
{
    struct native_verdict out;
    char text[120];

    snprintf(text, sizeof(text), "C>D ip 203.0.113.7>198.51.100.%u tcp %u>80 S", destination, port);
    out = world_send(world, text);
    return out.action == XDP_REDIRECT ? out.frame[14 + 19] : 0;
}

/* A service by mark, as caches are behind: of every destination. */
static void caches(struct world *world, enum lb_schedule schedule, uint32_t n)
{
    struct lb_service *service = servers(world, schedule, LB_METHOD_IPIP, n, 0);
    struct lb_mark_key prefix = {.length = 96};
    struct lb_mark_list list = {0, 1};
    struct lb_key_value value = {0};

    service->half_open_limit = 1000;
    service->key = (struct lb_key){.mark = 9};
    *(struct lb_mark_rule *)world_place(world, NATIVE_LB_mark_rules, 0) =
        (struct lb_mark_rule){.mark = 9, .source_max = UINT16_MAX, .destination_max = UINT16_MAX};
    frame_address("198.51.100.1", prefix.destination);
    world_settings(world)->has_marks = 1;
    assert_int_equal(0, native_map_update(native_director_map(world->native, NATIVE_LB_mark_places), &prefix, &list, false));
    assert_int_equal(0, native_map_update(native_director_map(world->native, NATIVE_LB_keys), &service->key, &value, false));
}

static void set_active(struct world *world, uint32_t server, uint32_t active)
{
    *world_load(world, server) = (struct lb_server_load){.active = active};
}

static void a_destination_keeps_its_cache_until_that_is_overloaded_and_another_is_idle(void **state)
{
    struct world *world = *state;
    unsigned port = 1000;

    caches(world, LB_SCHEDULE_LBLC, 3);
    for (unsigned i = 0; i < 3; i++)
        world_member(world, i)->weight = 4;
    assert_int_equal(1, send_to(world, 1, port++)); /* By wlc: the first of equals, */
    assert_int_equal(2, send_to(world, 2, port++)); /* and another destination the next. */
    assert_int_equal(1, send_to(world, 1, port++));
    set_active(world, 0, 4);
    set_active(world, 1, 0);
    assert_int_equal(1, send_to(world, 1, port++)); /* As many as it weighs is not too many; now it has five, */
    set_active(world, 1, 2);
    set_active(world, 2, 2);
    assert_int_equal(1, send_to(world, 1, port++)); /* but nobody has less than half. */
    set_active(world, 2, 1);
    assert_int_equal(3, send_to(world, 1, port++)); /* Now somebody has, */
    set_active(world, 0, 0);
    assert_int_equal(3, send_to(world, 1, port++)); /* and keeps it. */
    assert_int_equal(2, send_to(world, 2, port++));
    world_member(world, 2)->weight = 0;
    assert_int_equal(1, send_to(world, 1, port++)); /* Its server takes no more. */
    world_member(world, 2)->weight = 4;
    assert_int_equal(1, send_to(world, 1, port++));
    world_server(world, 0, "10.0.0.1", LB_METHOD_IPIP)->incarnation = 77; /* Another one in its place. */
    set_active(world, 0, 3);
    set_active(world, 1, 3);
    set_active(world, 2, 0);
    assert_int_equal(3, send_to(world, 1, port++));
}

static void a_set_of_caches_grows_when_it_is_overloaded_and_shrinks_in_time(void **state)
{
    struct world *world = *state;
    unsigned port = 1000;

    caches(world, LB_SCHEDULE_LBLCR, 3);
    for (unsigned i = 0; i < 3; i++)
        world_member(world, i)->weight = 4;
    assert_int_equal(1, send_to(world, 1, port++));
    set_active(world, 0, 5);
    assert_int_equal(2, send_to(world, 1, port++)); /* One more has it, */
    set_active(world, 0, 3);
    set_active(world, 1, 2);
    set_active(world, 2, 0);
    assert_int_equal(2, send_to(world, 1, port++)); /* of both the less loaded, which is not overloaded: the idle one is none of them. */
    set_active(world, 0, 2);
    assert_int_equal(1, send_to(world, 1, port++));
    set_active(world, 0, 5);
    set_active(world, 1, 6);
    assert_int_equal(3, send_to(world, 1, port++));
    native_director_advance(world->native, 23 * 3600 * SECOND);
    set_active(world, 0, 1);
    set_active(world, 1, 1);
    set_active(world, 2, 0);
    assert_int_equal(3, send_to(world, 1, port++)); /* It has one, too, but the set has not changed so long as to ... */
    set_active(world, 0, 0);
    set_active(world, 1, 3);
    set_active(world, 2, 1);
    native_director_advance(world->native, 3600 * SECOND + SECOND);
    assert_int_equal(1, send_to(world, 1, port++)); /* ... lose who is loaded most, which is done with this one: */
    set_active(world, 0, 2);
    set_active(world, 1, 0);
    set_active(world, 2, 2);
    assert_int_not_equal(2, send_to(world, 1, port++));
    native_director_advance(world->native, 24 * 3600 * SECOND + SECOND);
    assert_int_equal(2, send_to(world, 1, port++)); /* Nobody asked for it for a day. */
    world_load(world, 1)->is_overloaded = 1; /* Full by its threshold. */
    assert_int_not_equal(2, send_to(world, 1, port++));
}

/* More servers than a set has room for, and more destinations than the table. */
static void what_is_remembered_of_destinations_is_bounded(void **state)
{
    struct world *world = *state;
    uint32_t chosen[LB_LOCALITY_SERVERS + 4] = {0}, zero = 0;

    caches(world, LB_SCHEDULE_LBLCR, ARRAY_SIZE(chosen));
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < ARRAY_SIZE(chosen); i++) { /* All are overloaded but one. */
            for (unsigned j = 0; j < ARRAY_SIZE(chosen); j++)
                set_active(world, j, j == i ? 0 : 9 + j);
            assert_int_equal(i + 1, send_to(world, 1, 1000 + round * 100 + i));
        }
    for (unsigned destination = 2; destination < 250; destination++)
        assert_int_not_equal(zero, send_to(world, destination, 3000));
    assert_int_equal(WORLD_SIZE, native_director_map(world->native, NATIVE_LB_localities)->entries.n_nodes);
}

static void a_closed_connection_counts_less_and_ends(void **state)
{
    struct world *world = *state;

    servers(world, LB_SCHEDULE_WLC, LB_METHOD_DIRECT, 1, IPPROTO_TCP);
    send_from(world, 1000, "S");
    assert_int_equal(1, world_service_load(world, 0)->half_open);
    send_from(world, 1000, "R"); /* Or who sends both would fill the table past the limit of half-open ones. */
    assert_int_equal(1, world_service_load(world, 0)->half_open);
    assert_int_equal(1, world_load(world, 0)->active);
    send_from(world, 1000, "A");
    assert_int_equal(0, world_service_load(world, 0)->half_open);
    assert_int_equal(1, world_load(world, 0)->active);
    send_from(world, 1000, "FA");
    assert_int_equal(0, world_load(world, 0)->active);
    assert_int_equal(1, world_load(world, 0)->inactive);
    native_director_advance(world->native, 100 * SECOND);
    sweep_all(world);
    assert_int_equal(1, world_connections(world));
    native_director_advance(world->native, 21 * SECOND); /* tcp_fin: 120. */
    sweep_all(world);
    assert_int_equal(0, world_load(world, 0)->inactive);
    native_director_advance(world->native, SECOND);
    sweep_all(world);
    assert_int_equal(0, world_connections(world));
}

/* Found by fuzzing: it was counted as active, and went as one that is not. */
static void a_syn_that_closes_at_once_is_counted_as_it_goes(void **state)
{
    struct world *world = *state;

    servers(world, LB_SCHEDULE_WLC, LB_METHOD_DIRECT, 1, IPPROTO_TCP);
    send_from(world, 1000, "SF");
    assert_int_equal(0, world_load(world, 0)->active);
    assert_int_equal(1, world_load(world, 0)->inactive);
    send_from(world, 1000, "SF"); /* And begun anew. */
    for (unsigned round = 0; round < 3; round++) {
        native_director_advance(world->native, 121 * SECOND);
        sweep_all(world);
    }
    assert_int_equal(0, world_load(world, 0)->active);
    assert_int_equal(0, world_load(world, 0)->inactive);
    assert_int_equal(0, world_connections(world));
}

/* The client's port comes again before the connection before is forgotten: no second's wait. */
static void a_port_that_is_used_again_begins_anew(void **state)
{
    struct world *world = *state;

    servers(world, LB_SCHEDULE_TURN, LB_METHOD_IPIP, 2, IPPROTO_TCP);
    assert_int_equal(1, send_from(world, 1000, "S"));
    send_from(world, 1000, "A");
    send_from(world, 1000, "FA");
    assert_int_equal(2, send_from(world, 1000, "S"));
    assert_int_equal(2, send_from(world, 1000, "A"));
    assert_int_equal(0, world_load(world, 0)->active + world_load(world, 0)->inactive);
    assert_int_equal(1, world_load(world, 1)->active);
    assert_int_equal(0, world_service_load(world, 0)->half_open);
}

static void a_server_that_left_takes_its_connections_along(void **state)
{
    struct world *world = *state;
    struct lb_server *server;

    servers(world, LB_SCHEDULE_TURN, LB_METHOD_IPIP, 2, IPPROTO_TCP);
    assert_int_equal(1, send_from(world, 1000, "S"));
    server = world_server(world, 0, "10.0.0.1", LB_METHOD_IPIP);
    server->incarnation = 77; /* Another one in its place. */
    assert_int_equal(0, send_from(world, 1000, "A"));
    assert_int_equal(1, world_drops(world, LB_DROP_server_gone));
    assert_int_equal(2, send_from(world, 1000, "S"));
}

/* Without a SYN nothing is remembered, so nothing fills up. */
static void what_does_not_begin_with_a_syn_is_no_connection(void **state)
{
    struct world *world = *state;
    static const char *const flags[] = {"A", "FA", "SA", "R", "PA"};

    servers(world, LB_SCHEDULE_TURN, LB_METHOD_IPIP, 2, IPPROTO_TCP);
    for (unsigned i = 0; i < ARRAY_SIZE(flags); i++)
        assert_int_equal(0, send_from(world, 1000 + i, flags[i]));
    assert_int_equal(0, world_connections(world));
    assert_int_equal(ARRAY_SIZE(flags), world_drops(world, LB_DROP_no_connection));
}

/* Half-open ones are bounded; established ones go on. */
static void a_flood_of_syns_is_bounded(void **state)
{
    struct world *world = *state;

    servers(world, LB_SCHEDULE_TURN, LB_METHOD_IPIP, 2, IPPROTO_TCP);
    assert_int_equal(1, send_from(world, 999, "S"));
    assert_int_equal(1, send_from(world, 999, "A"));
    for (unsigned i = 0; i < 100; i++)
        send_from(world, 1000 + i, "S");
    assert_int_equal(11, world_connections(world));
    assert_int_equal(90, world_drops(world, LB_DROP_syn_flood));
    assert_int_equal(1, send_from(world, 999, "A"));
    native_director_advance(world->native, 61 * SECOND);
    sweep_all(world);
    assert_int_equal(0, world_service_load(world, 0)->half_open);
    assert_int_not_equal(0, send_from(world, 2000, "S"));
}

static void udp_lasts_while_it_is_heard_of(void **state)
{
    struct world *world = *state;
    static const char packet[] = "C>D ip 203.0.113.7>192.0.2.1 udp 4000>80 +9";

    servers(world, LB_SCHEDULE_TURN, LB_METHOD_IPIP, 2, IPPROTO_UDP);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(1, world_send(world, packet).frame[33]);
        native_director_advance(world->native, 200 * SECOND);
        sweep_all(world);
    }
    native_director_advance(world->native, 101 * SECOND);
    sweep_all(world);
    assert_int_equal(2, world_send(world, packet).frame[33]);
}

/* Nothing is remembered: each datagram may get another server. */
static void one_packet_services_schedule_each(void **state)
{
    struct world *world = *state;

    servers(world, LB_SCHEDULE_TURN, LB_METHOD_IPIP, 2, IPPROTO_UDP)->flags |= LB_ONE_PACKET;
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(1 + i % 2, world_send(world, "C>D ip 203.0.113.7>192.0.2.1 udp 4000>80 +9").frame[33]);
    assert_int_equal(0, world_connections(world));
}

/* A hash service that remembers keeps connections on the server whose rows have moved. */
static void remembered_connections_stay_when_rows_move(void **state)
{
    struct world *world = *state;
    unsigned before[20];

    struct lb_service *service = servers(world, LB_SCHEDULE_HASH, LB_METHOD_IPIP, 2, IPPROTO_TCP);

    service->flags |= LB_TRACK;
    service->half_open_limit = 100;
    for (unsigned i = 0; i < 20; i++)
        before[i] = send_from(world, 1000 + i, "S");
    world_members(world, 0, 1, 1); /* All rows are the second one's now. */
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(before[i], send_from(world, 1000 + i, "A"));
        assert_int_equal(2, send_from(world, 2000 + i, "S"));
    }
}

static void translation_there_and_back(void **state)
{
    struct world *world = *state;
    struct native_route client = world_route("203.0.113.7");
    struct native_verdict out;
    struct frame in;

    servers(world, LB_SCHEDULE_TURN, LB_METHOD_NAT, 1, IPPROTO_TCP);
    world_server(world, 0, "10.0.0.1", LB_METHOD_NAT)->port = htons(8080);
    client.ifindex = CLIENT_DEVICE;
    native_director_route(world->native, &client);
    assert_int_equal(XDP_PASS, world_send(world, "R>S ip 10.0.0.1>203.0.113.7 tcp 8080>4000 SA").action); /* Of nothing that is known. */
    out = world_send(world, "C>D ip 203.0.113.7>192.0.2.1 ttl=60 tcp 4000>80 S");
    assert_int_equal(XDP_REDIRECT, out.action);
    assert_bytes(out.frame + 14, out.size - 14, "4500 0028 .... 0000 3b06 .... cb007107 0a000001 0fa0 1f90");
    assert_checksums(out.frame, out.size, 14);

    frame_parse("R>S ip 10.0.0.1>203.0.113.7 ttl=60 tcp 8080>4000 SA +3", &in);
    out = native_director_run(world->native, in.bytes, in.size, SERVER_DEVICE);
    assert_int_equal(XDP_REDIRECT, out.action);
    assert_int_equal(CLIENT_DEVICE, out.redirected_to);
    assert_bytes(out.frame + 14, out.size - 14, "4500 002b .... 0000 3b06 .... c0000201 cb007107 0050 0fa0");
    assert_checksums(out.frame, out.size, 14);
    frame_parse("R>S ip 10.0.0.1>203.0.113.7 df tcp 8080>4000 A +1461", &in); /* A byte more than the way to the client takes. */
    assert_int_equal(XDP_DROP, native_director_run(world->native, in.bytes, in.size, SERVER_DEVICE).action);
    assert_int_equal(1, world_drops(world, LB_DROP_too_big));
    assert_int_equal(2, world_server_use(world, 0)->counters.out_packets);
    assert_int_equal(43 + 1501, world_service_use(world, 0)->counters.out_bytes);

    out = world_send(world, "R>S ip 10.0.0.1>203.0.113.7 tcp 8080>4001 SA"); /* Of another port. */
    assert_int_equal(XDP_PASS, out.action);
    world_send(world, "R>S ip 10.0.0.1>203.0.113.7 tcp 8080>4000 R");
    assert_int_equal(1, world_load(world, 0)->inactive);
}

/* The client's port began anew with the second server: the first one's late RST is not the new connection's. */
static void an_old_server_cannot_end_the_new_connection(void **state)
{
    struct world *world = *state;
    struct native_route client = world_route("203.0.113.7");

    servers(world, LB_SCHEDULE_TURN, LB_METHOD_NAT, 2, IPPROTO_TCP);
    client.ifindex = CLIENT_DEVICE;
    native_director_route(world->native, &client);
    assert_int_equal(1, send_from(world, 4000, "S"));
    send_from(world, 4000, "FA");
    assert_int_equal(2, send_from(world, 4000, "S"));
    assert_int_equal(XDP_DROP, world_send(world, "R>S ip 10.0.0.1>203.0.113.7 tcp 80>4000 R").action);
    assert_int_equal(1, world_load(world, 1)->active);
    assert_int_equal(XDP_TX, world_send(world, "R>S ip 10.0.0.2>203.0.113.7 tcp 80>4000 SA").action);
}

static void translation_of_ipv6(void **state)
{
    struct world *world = *state;
    struct native_route client = world_route("2001:db8:c::7");
    struct lb_service *service = world_service(world, 0, "2001:db8:5::1", 53, IPPROTO_UDP);
    struct native_verdict out;
    struct frame in;

    service->schedule = LB_SCHEDULE_TURN;
    world_server(world, 0, "2001:db8::1", LB_METHOD_NAT)->port = htons(5353);
    world_members(world, 0, 0, 1);
    native_director_route(world->native, &client);
    frame_parse("C>D ip6 2001:db8:c::7>2001:db8:5::1 udp 4000>53 +5", &in);
    frame_finish(&in, 0);
    out = world_run(world, &in);
    assert_int_equal(XDP_REDIRECT, out.action);
    assert_bytes(out.frame + 38, out.size - 38, "20010db8000000000000000000000001 0fa0 14e9");
    assert_checksums(out.frame, out.size, 14);
    frame_parse("R>S ip6 2001:db8::1>2001:db8:c::7 udp 5353>4000 +5", &in);
    frame_finish(&in, 0);
    out = world_run(world, &in);
    assert_int_equal(XDP_REDIRECT, out.action);
    assert_bytes(out.frame + 22, out.size - 22, "20010db8000500000000000000000001 20010db8000c00000000000000000007 0035 0fa0");
    assert_checksums(out.frame, out.size, 14);
}

/* Two services, one server, the same port of a client: the server could not tell them apart. */
static void what_a_server_could_not_tell_apart_is_refused(void **state)
{
    struct world *world = *state;
    struct lb_service *other;

    servers(world, LB_SCHEDULE_TURN, LB_METHOD_NAT, 1, IPPROTO_TCP);
    world_server(world, 0, "10.0.0.1", LB_METHOD_NAT)->port = htons(8080);
    other = world_service(world, 1, "192.0.2.2", 80, IPPROTO_TCP);
    other->schedule = LB_SCHEDULE_TURN;
    other->half_open_limit = 10;
    world_members(world, 1, 0, 1);
    assert_int_equal(XDP_REDIRECT, world_send(world, "C>D ip 203.0.113.7>192.0.2.1 tcp 4000>80 S").action);
    assert_int_equal(XDP_DROP, world_send(world, "C>D ip 203.0.113.7>192.0.2.2 tcp 4000>80 S").action);
    assert_int_equal(1, world_drops(world, LB_DROP_no_port));
    assert_int_equal(XDP_REDIRECT, world_send(world, "C>D ip 203.0.113.7>192.0.2.2 tcp 4001>80 S").action);
    world_send(world, "C>D ip 203.0.113.7>192.0.2.1 tcp 4000>80 A");
    world_send(world, "C>D ip 203.0.113.7>192.0.2.1 tcp 4000>80 R");
    native_director_advance(world->native, 11 * SECOND);
    sweep_all(world);
    assert_int_equal(XDP_REDIRECT, world_send(world, "C>D ip 203.0.113.7>192.0.2.2 tcp 4000>80 S").action);
}

/* As the only server's port 80 sees the client's port 4000. */
static struct lb_conn_key view_key(void)
{
    struct lb_conn_key key = {.client_port = htons(4000), .port = htons(80), .protocol = IPPROTO_TCP, .of_server = 1};

    frame_address("203.0.113.7", key.client);
    frame_address("10.0.0.1", key.address);
    return key;
}

static struct lb_conn *find_view(struct world *world)
{
    struct lb_conn_key key = view_key();

    return native_director_find(world->native, &key);
}

/* Two packets of a flow that begins, on two CPUs: the first one's has put the server's view, and the connection not yet. */
static void the_view_of_a_connection_that_another_cpu_begins_stays_its_own(void **state)
{
    struct world *world = *state;
    const uint32_t elsewhere = 5000;
    struct lb_conn *begun = world_place(world, NATIVE_LB_conn_slots, elsewhere);
    struct lb_conn view = {.key = view_key(), .state = LB_CONN_VIEW, .forward = elsewhere};

    servers(world, LB_SCHEDULE_TURN, LB_METHOD_NAT, 1, IPPROTO_TCP);
    *begun = (struct lb_conn){.key = view.key, .state = LB_CONN_CLAIMED, .incarnation = 1, .server_port = htons(80), .is_translated = 1};
    begun->key.of_server = 0;
    frame_address("192.0.2.1", begun->key.address);
    assert_true(native_director_put(world->native, &view));
    assert_int_equal(0, send_from(world, 4000, "S"));
    assert_int_equal(1, world_drops(world, LB_DROP_no_connection));
    assert_int_equal(elsewhere, find_view(world)->forward);
    assert_int_equal(0, world_load(world, 0)->active);
    begun->key.client_port = htons(4001); /* But one whose connection was never put is anybody's. */
    assert_int_equal(1, send_from(world, 4000, "S"));
    assert_int_not_equal(elsewhere, find_view(world)->forward);
    assert_int_equal(1, world_load(world, 0)->active);
}

/* Its connection was over when the sweeper met the view first, and has begun anew since. */
static void a_view_is_not_suspect_any_more_when_its_connection_begins_anew(void **state)
{
    struct world *world = *state;

    servers(world, LB_SCHEDULE_TURN, LB_METHOD_NAT, 1, IPPROTO_TCP);
    assert_int_equal(1, send_from(world, 4000, "S"));
    send_from(world, 4000, "FA");
    find_view(world)->is_suspect = 1;
    assert_int_equal(1, send_from(world, 4000, "S"));
    assert_int_equal(0, find_view(world)->is_suspect);
}

/* A burst of clients that have come to stay: the half of all slots, which lies in the way of whoever looks for one in turn. */
static void a_run_of_slots_that_are_used_is_in_nobodys_way(void **state)
{
    struct world *world = *state;
    struct lb_conn *slots = world_place(world, NATIVE_LB_conn_slots, 0);

    servers(world, LB_SCHEDULE_TURN, LB_METHOD_IPIP, 2, IPPROTO_TCP)->half_open_limit = UINT32_MAX;
    for (uint32_t i = 0; i < NATIVE_LB_SLOTS / 2; i++)
        slots[i].state = LB_CONN_CLAIMED;
    for (unsigned i = 0; i < 3000; i++)
        assert_int_not_equal(0, send_from(world, 1000 + i, "S"));
}

/* All are taken but one, which is out of its chain: it is free once it has rested, and does not wait for the sweeper. */
static void the_slot_of_what_has_ended_is_free_after_its_rest(void **state)
{
    struct world *world = *state;
    struct lb_conn *slots = world_place(world, NATIVE_LB_conn_slots, 0);
    struct lb_sweeper *sweeper = world_place(world, NATIVE_LB_sweeper, 0);

    servers(world, LB_SCHEDULE_TURN, LB_METHOD_IPIP, 1, IPPROTO_TCP);
    for (uint32_t i = 0; i < NATIVE_LB_SLOTS; i++)
        slots[i].state = LB_CONN_CLAIMED;
    slots[7].state = LB_CONN_OUT;
    slots[7].last_seen = (uint32_t)(native_director_now(world->native) >> LB_TIME_SHIFT);
    assert_int_equal(0, send_from(world, 1000, "S"));
    assert_int_equal(1, world_drops(world, LB_DROP_table_full));
    assert_int_equal(LB_CONN_OUT, slots[7].state);
    native_director_advance(world->native, (LB_CONN_GRACE_S + 1) * SECOND);
    sweeper->next = 0;
    assert_int_equal(1, send_from(world, 1000, "S"));
    assert_int_equal(LB_CONN_SYN_RECV, slots[7].state);
}

static void everything_ends(void **state)
{
    struct world *world = *state;

    servers(world, LB_SCHEDULE_WLC, LB_METHOD_NAT, 3, IPPROTO_TCP);
    for (unsigned i = 0; i < 12; i++) {
        send_from(world, 1000 + i, "S");
        send_from(world, 1000 + i, "A");
    }
    assert_int_equal(24, world_connections(world)); /* The server's view, too. */
    for (unsigned round = 0; round < 3; round++) {
        native_director_advance(world->native, 901 * SECOND);
        sweep_all(world);
    }
    assert_int_equal(0, world_connections(world));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(0, world_load(world, i)->active + world_load(world, i)->inactive);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(taking_turns),
        TEST(schedulers_choose_as_ipvs_does),
        TEST(a_destination_keeps_its_cache_until_that_is_overloaded_and_another_is_idle),
        TEST(a_set_of_caches_grows_when_it_is_overloaded_and_shrinks_in_time),
        TEST(what_is_remembered_of_destinations_is_bounded),
        TEST(a_closed_connection_counts_less_and_ends),
        TEST(a_syn_that_closes_at_once_is_counted_as_it_goes),
        TEST(a_port_that_is_used_again_begins_anew),
        TEST(a_port_that_is_used_again_at_the_other_director_is_another_connection),
        TEST(an_icmp_error_keeps_nothing_alive),
        TEST(a_server_that_left_takes_its_connections_along),
        TEST(what_does_not_begin_with_a_syn_is_no_connection),
        TEST(an_old_server_cannot_end_the_new_connection),
        TEST(a_flood_of_syns_is_bounded),
        TEST(udp_lasts_while_it_is_heard_of),
        TEST(one_packet_services_schedule_each),
        TEST(remembered_connections_stay_when_rows_move),
        TEST(translation_there_and_back),
        TEST(translation_of_ipv6),
        TEST(what_a_server_could_not_tell_apart_is_refused),
        TEST(the_view_of_a_connection_that_another_cpu_begins_stays_its_own),
        TEST(a_view_is_not_suspect_any_more_when_its_connection_begins_anew),
        TEST(a_run_of_slots_that_are_used_is_in_nobodys_way),
        TEST(the_slot_of_what_has_ended_is_free_after_its_rest),
        TEST(everything_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
