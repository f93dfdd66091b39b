/* Full NAT: connections to servers come of local addresses and ports, answers and errors find back. */
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "weft/base/util.h"
#include "world.h"

#define SECOND 1000000000ull

static const char *const addresses[2][2] = {{"10.0.0.200", "10.0.0.201"}, {"2001:db8::c8", "2001:db8::c9"}};

/* One server by full NAT, on port 8080, and so many local addresses in positions of their own. */
static struct lb_service *one_server(struct world *world, bool v6, uint8_t protocol, unsigned n_locals)
{
    struct native_route client = world_route(v6 ? "2001:db8:c::7" : "203.0.113.7");
    struct lb_service *service = world_service(world, 0, v6 ? "2001:db8:5::1" : "192.0.2.1", 80, protocol);

    service->schedule = LB_SCHEDULE_TURN;
    service->half_open_limit = 100000;
    world_server(world, 0, v6 ? "2001:db8::1" : "10.0.0.1", LB_METHOD_FULL_NAT)->port = htons(8080);
    world_members(world, 0, 0, 1);
    client.ifindex = CLIENT_DEVICE;
    native_director_route(world->native, &client);
    for (unsigned i = 0; i < n_locals; i++) {
        struct lb_local *local = world_place(world, NATIVE_LB_locals, 5 + i);

        frame_address(addresses[v6][i], local->address);
        ((struct lb_local *)world_place(world, NATIVE_LB_locals, i))->given[v6] = (uint16_t)(5 + i);
    }
    world_settings(world)->n_locals[v6] = n_locals;
    return service;
}

static unsigned get16(const uint8_t *bytes)
{
    return (unsigned)bytes[0] << 8 | bytes[1];
}

static struct native_verdict send_finished(struct world *world, uint32_t device, const char *text)
{
    struct frame frame;

    frame_parse(text, &frame);
    frame_finish(&frame, 0);
    return native_director_run(world->native, frame.bytes, frame.size, device);
}

static void there_and_back(void **state)
{
    struct world *world = *state;
    static const struct {
        uint8_t protocol;
        const char *name, *first, *second;
    } protocols[] = {{IPPROTO_TCP, "tcp", "S", "SA"}, {IPPROTO_UDP, "udp", "+5", "+9"}};

    for (size_t i = 0; i < 4; i++) {
        bool v6 = i & 1;
        const char *name = protocols[i / 2].name;
        struct native_verdict out;
        char text[160];

        one_server(world, v6, protocols[i / 2].protocol, 1);
        snprintf(text, sizeof(text), v6 ? "C>D ip6 2001:db8:c::7>2001:db8:5::1 %s 4000>80 %s" : "C>D ip 203.0.113.7>192.0.2.1 ttl=60 %s 4000>80 %s", name,
                 protocols[i / 2].first);
        out = send_finished(world, CLIENT_DEVICE, text);
        assert_int_equal(XDP_REDIRECT, out.action);
        assert_checksums(out.frame, out.size, 14);
        unsigned port = get16(out.frame + (v6 ? 54 : 34));
        assert_in_range(port, 1024, 65535);
        if (v6)
            assert_bytes(out.frame + 14 + 8, 36, "20010db80000000000000000000000c8 20010db8000000000000000000000001 .... 1f90");
        else
            assert_bytes(out.frame + 14 + 12, 12, "0a0000c8 0a000001 .... 1f90");
        snprintf(text, sizeof(text), v6 ? "R>S ip6 2001:db8::1>2001:db8::c8 %s 8080>%u %s" : "R>S ip 10.0.0.1>10.0.0.200 %s 8080>%u %s", name, port,
                 protocols[i / 2].second);
        out = send_finished(world, SERVER_DEVICE, text);
        assert_int_equal(XDP_REDIRECT, out.action);
        assert_int_equal(CLIENT_DEVICE, out.redirected_to);
        assert_checksums(out.frame, out.size, 14);
        if (v6)
            assert_bytes(out.frame + 14 + 8, 36, "20010db8000500000000000000000001 20010db8000c00000000000000000007 0050 0fa0");
        else
            assert_bytes(out.frame + 14 + 12, 12, "c0000201 cb007107 0050 0fa0");
        snprintf(text, sizeof(text), v6 ? "R>S ip6 2001:db8::1>2001:db8::c8 %s 8080>%u %s" : "R>S ip 10.0.0.1>10.0.0.200 %s 8080>%u %s", name, port ^ 1,
                 protocols[i / 2].second);
        assert_int_equal(XDP_PASS, send_finished(world, SERVER_DEVICE, text).action); /* The host's own. */
    }
}

static unsigned local_of(struct world *world, unsigned client_port, unsigned *ret_address)
{
    struct native_verdict out;
    char text[120];

    snprintf(text, sizeof(text), "C>D ip 203.0.113.7>192.0.2.1 tcp %u>80 S", client_port);
    out = world_send(world, text);
    if (out.action != XDP_REDIRECT)
        return 0;
    *ret_address = out.frame[14 + 15];
    return get16(out.frame + 34);
}

static void no_name_is_given_twice(void **state)
{
    struct world *world = *state;
    static unsigned char taken[2][65536];
    unsigned n[2] = {0};

    memset(taken, 0, sizeof(taken));
    one_server(world, false, IPPROTO_TCP, 2);
    for (unsigned i = 0; i < 30000; i++) {
        unsigned address = 0, port = local_of(world, 1024 + i, &address);

        assert_in_range(port, 1024, 65535);
        assert_in_range(address, 200, 201);
        assert_false(taken[address - 200][port]++);
        n[address - 200]++;
    }
    assert_true(n[0] > 12000 && n[1] > 12000);
    unsigned again = 0, port = local_of(world, 1024, &again); /* The same connection has the same name. */
    assert_int_equal(1, taken[again - 200][port]);
}

/* Every port of the only address is somebody's. */
static void without_a_port_it_is_dropped(void **state)
{
    struct world *world = *state;
    struct lb_conn view = {.key = {.port = htons(8080), .protocol = IPPROTO_TCP, .of_server = 1}, .state = LB_CONN_VIEW, .forward = NATIVE_LB_SLOTS - 1};
    unsigned address;

    one_server(world, false, IPPROTO_TCP, 1);
    frame_address("10.0.0.200", view.key.client);
    frame_address("10.0.0.1", view.key.address);
    for (unsigned port = 1024; port < 65536; port++) {
        view.key.client_port = htons((uint16_t)port);
        assert_true(native_director_put(world->native, &view));
    }
    assert_int_equal(0, local_of(world, 4000, &address));
    assert_int_equal(1, world_drops(world, LB_DROP_no_port));
    world_settings(world)->n_locals[0] = 0;
    assert_int_equal(0, local_of(world, 4000, &address));
    assert_int_equal(2, world_drops(world, LB_DROP_no_port));
    assert_int_equal(0, world_load(world, 0)->active);
}

static void errors_find_back_and_forth(void **state)
{
    struct world *world = *state;
    struct native_verdict out;
    char text[200];
    unsigned address, port;

    one_server(world, false, IPPROTO_TCP, 1);
    port = local_of(world, 4000, &address);
    snprintf(text, sizeof(text), "R>S ip 10.0.0.77>10.0.0.200 icmp 3 0 quote ip 10.0.0.200>10.0.0.1 tcp %u>8080 A", port);
    out = send_finished(world, SERVER_DEVICE, text);
    assert_int_equal(XDP_REDIRECT, out.action);
    assert_bytes(out.frame + 14 + 12, 8, "c0000201 cb007107");
    assert_bytes(out.frame + 42 + 12, 12, "cb007107 c0000201 0fa0 0050");
    assert_checksums(out.frame, out.size, 14);
    out = send_finished(world, CLIENT_DEVICE, "C>D ip 198.51.100.77>192.0.2.1 icmp 3 0 quote ip 192.0.2.1>203.0.113.7 tcp 80>4000 A");
    assert_int_equal(XDP_REDIRECT, out.action);
    assert_bytes(out.frame + 14 + 12, 8, "0a0000c8 0a000001"); /* Of the host's own address, whoever found it. */
    assert_bytes(out.frame + 42 + 12, 10, "0a000001 0a0000c8 1f90");
    assert_int_equal(port, get16(out.frame + 42 + 22));
    assert_checksums(out.frame, out.size, 14);
}

/* A connection keeps its address when that is given out no more; and its port is free when it is over. */
static void a_name_lasts_as_long_as_its_connection(void **state)
{
    struct world *world = *state;
    unsigned address, port, later;

    one_server(world, false, IPPROTO_TCP, 1);
    port = local_of(world, 4000, &address);
    world_settings(world)->n_locals[0] = 0;
    assert_int_equal(port, local_of(world, 4000, &later));
    assert_int_equal(2, world_connections(world));
    world_send(world, "C>D ip 203.0.113.7>192.0.2.1 tcp 4000>80 A");
    world_send(world, "C>D ip 203.0.113.7>192.0.2.1 tcp 4000>80 R");
    for (unsigned round = 0; round < 4; round++) {
        native_director_advance(world->native, 20 * SECOND);
        for (unsigned i = 0; i < NATIVE_SWEEPS; i++)
            native_director_sweep(world->native);
    }
    assert_int_equal(0, world_connections(world));
}

/* The client's port begins anew with another server: the name at the one before goes, though the connection is there. */
static void what_was_left_at_another_server_goes(void **state)
{
    struct world *world = *state;
    unsigned address;

    one_server(world, false, IPPROTO_TCP, 1);
    world_server(world, 1, "10.0.0.2", LB_METHOD_FULL_NAT)->port = htons(8080);
    world_members(world, 0, 0, 2);
    assert_true(local_of(world, 4000, &address));
    world_send(world, "C>D ip 203.0.113.7>192.0.2.1 tcp 4000>80 FA");
    assert_true(local_of(world, 4000, &address));
    world_send(world, "C>D ip 203.0.113.7>192.0.2.1 tcp 4000>80 A");
    assert_int_equal(3, world_connections(world));
    for (unsigned round = 0; round < 3; round++) {
        native_director_advance(world->native, SECOND);
        for (unsigned i = 0; i < NATIVE_SWEEPS; i++)
            native_director_sweep(world->native);
    }
    assert_int_equal(2, world_connections(world));
    assert_int_equal(1, world_load(world, 1)->active);
}

/* What another director tells of the client's connection from that port, which comes to the server of a local one. */
static bool take(struct world *world, uint16_t client_port, uint16_t local_port, uint32_t position)
{
    struct lb_conn taken = {.key = {.client_port = htons(client_port), .port = htons(80), .protocol = IPPROTO_TCP},
                            .state = LB_CONN_ESTABLISHED, .incarnation = 1, .server_port = htons(8080), .is_translated = 1,
                            .local = (uint16_t)position, .local_port = htons(local_port)};

    frame_address("203.0.113.7", taken.key.client);
    frame_address("192.0.2.1", taken.key.address);
    taken.last_seen = (uint32_t)(native_director_now(world->native) >> LB_TIME_SHIFT);
    return native_director_take(world->native, &taken);
}

static void what_another_director_has_begun_goes_on_by_its_name(void **state)
{
    struct world *world = *state;
    struct native_verdict out;
    unsigned address;

    one_server(world, false, IPPROTO_TCP, 2);
    assert_true(take(world, 4000, 2000, 6));
    assert_true(take(world, 4000, 2000, 6)); /* Told twice. */
    assert_int_equal(2, world_connections(world));
    assert_int_equal(2000, local_of(world, 4000, &address));
    assert_int_equal(201, address);
    out = send_finished(world, SERVER_DEVICE, "R>S ip 10.0.0.1>10.0.0.201 tcp 8080>2000 A");
    assert_int_equal(XDP_REDIRECT, out.action);
    assert_bytes(out.frame + 14 + 12, 12, "c0000201 cb007107 0050 0fa0");
    assert_false(take(world, 4001, 2000, 6)); /* That name is the one's, */
    assert_false(take(world, 4000, 2001, 6)); /* which has no other, */
    assert_false(take(world, 4002, 0, 0));    /* and without a name there is none. */
    assert_false(take(world, 4002, 2000, LB_LOCALS));
    assert_true(take(world, 4001, 2000, 5));
    assert_int_equal(4, world_connections(world));
    world_send(world, "C>D ip 203.0.113.7>192.0.2.1 tcp 4000>80 FA");
    native_director_advance(world->native, SECOND);
    assert_true(take(world, 4000, 2001, 5)); /* The client's port begins anew there. */
    assert_int_equal(2001, local_of(world, 4000, &address));
    assert_int_equal(200, address);
    assert_int_equal(2, world_load(world, 0)->active);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(there_and_back),
        TEST(no_name_is_given_twice),
        TEST(without_a_port_it_is_dropped),
        TEST(errors_find_back_and_forth),
        TEST(a_name_lasts_as_long_as_its_connection),
        TEST(what_was_left_at_another_server_goes),
        TEST(what_another_director_has_begun_goes_on_by_its_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
