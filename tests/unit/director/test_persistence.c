/* Persistent services: who is one client, how long its template lasts, services for every port. */
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

/* Takes turns over 10.0.0.1 to 10.0.0.N, or 2001:db8::1 to N. */
static struct lb_service *persistent(struct world *world, const char *address, uint16_t port, uint8_t protocol, uint32_t n)
{
    struct lb_service *service = world_service(world, 0, address, port, protocol);
    bool v6 = strchr(address, ':');

    service->schedule = LB_SCHEDULE_TURN;
    service->flags |= LB_TRACK | LB_PERSISTENT;
    service->half_open_limit = 1000;
    service->persistence_s = 300;
    memset(service->persistence_mask, 0xff, 16);
    for (uint32_t i = 0; i < n; i++) {
        char text[20];

        snprintf(text, sizeof(text), v6 ? "2001:db8::%u" : "10.0.0.%u", i + 1);
        world_server(world, i, text, LB_METHOD_IPIP);
    }
    world_members(world, 0, 0, n);
    return service;
}

/* The last byte of the server's address; 0 if it was not sent on. */
static unsigned send_from(struct world *world, unsigned client, unsigned port, const char *rest)
{
    struct native_verdict out;
    char text[120];

    snprintf(text, sizeof(text), "C>D ip 203.0.113.%u>192.0.2.1 tcp %u>%s", client, port, rest);
    out = world_send(world, text);
    return out.action == XDP_REDIRECT ? out.frame[14 + 19] : 0;
}

static void sweep_all(struct world *world)
{
    for (unsigned i = 0; i < NATIVE_SWEEPS; i++)
        native_director_sweep(world->native);
}

static void seconds_pass(struct world *world, unsigned seconds)
{
    for (unsigned done = 0; done < seconds; done += 10) {
        native_director_advance(world->native, 10 * SECOND);
        sweep_all(world);
    }
}

static void a_client_stays_at_its_server(void **state)
{
    struct world *world = *state;

    persistent(world, "192.0.2.1", 80, IPPROTO_TCP, 3);
    assert_int_equal(1, send_from(world, 7, 1000, "80 S"));
    assert_int_equal(2, send_from(world, 8, 1000, "80 S"));
    for (unsigned port = 1001; port < 1006; port++)
        assert_int_equal(1, send_from(world, 7, port, "80 S"));
    assert_int_equal(2, send_from(world, 8, 1001, "80 S"));
    assert_int_equal(1, world_load(world, 0)->persistent);
    assert_int_equal(6, world_load(world, 0)->active);
    assert_int_equal(8 + 2, world_connections(world));
}

static void a_mask_makes_many_clients_one(void **state)
{
    struct world *world = *state;
    struct lb_service *service = persistent(world, "192.0.2.1", 80, IPPROTO_TCP, 3);

    service->persistence_mask[15] = 0xf0;
    assert_int_equal(1, send_from(world, 0x11, 1000, "80 S"));
    assert_int_equal(1, send_from(world, 0x1f, 1000, "80 S"));
    assert_int_equal(2, send_from(world, 0x21, 1000, "80 S"));
}

static void an_ipv6_prefix_makes_many_clients_one(void **state)
{
    struct world *world = *state;
    struct lb_service *service = persistent(world, "2001:db8:5::1", 80, IPPROTO_TCP, 3);
    static const char *const clients[] = {"2001:db8:c::7", "2001:db8:c::8", "2001:db8:c:1::7"};
    unsigned servers[3];

    memset(service->persistence_mask + 8, 0, 8); /* /64 */
    for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
        char text[120];

        snprintf(text, sizeof(text), "C>D ip6 %s>2001:db8:5::1 tcp 1000>80 S", clients[i]);
        struct native_verdict out = world_send(world, text);
        assert_int_equal(XDP_REDIRECT, out.action);
        servers[i] = out.frame[14 + 39];
    }
    assert_int_equal(servers[0], servers[1]);
    assert_int_not_equal(servers[0], servers[2]);
}

static void a_template_lasts_as_long_as_its_connections(void **state)
{
    struct world *world = *state;

    persistent(world, "192.0.2.1", 80, IPPROTO_TCP, 3);
    assert_int_equal(1, send_from(world, 7, 1000, "80 S"));
    for (unsigned minute = 0; minute < 12; minute++) { /* Longer than 300 s. */
        assert_int_equal(1, send_from(world, 7, 1000, "80 A"));
        seconds_pass(world, 60);
    }
    assert_int_equal(1, send_from(world, 7, 1001, "80 S"));
    assert_int_equal(1, send_from(world, 7, 1000, "80 FA"));
    assert_int_equal(1, send_from(world, 7, 1001, "80 FA"));
    seconds_pass(world, 250); /* They are gone after 120 s; the template began anew with the last one that began. */
    assert_int_equal(1, world_load(world, 0)->persistent);
    assert_int_equal(1, world_connections(world));
    seconds_pass(world, 80);
    assert_int_equal(0, world_load(world, 0)->persistent);
    assert_int_equal(0, world_connections(world));
    assert_int_equal(2, send_from(world, 7, 1002, "80 S"));
}

/* A flood of SYNs from everywhere leaves no templates for the whole timeout. */
static void a_template_that_only_syns_made_is_short_lived(void **state)
{
    struct world *world = *state;

    persistent(world, "192.0.2.1", 80, IPPROTO_TCP, 3);
    for (unsigned client = 1; client <= 9; client++)
        send_from(world, client, 1000, "80 S");
    assert_int_equal(9 + 9, world_connections(world));
    seconds_pass(world, 80);
    assert_int_equal(0, world_connections(world));
    assert_int_equal(0, world_load(world, 0)->persistent + world_load(world, 1)->persistent + world_load(world, 2)->persistent);
}

/* What another director tells. */
static struct lb_conn told_template(struct world *world, unsigned is_proven)
{
    struct lb_conn taken = {.key = {.port = htons(80), .protocol = IPPROTO_TCP, .is_template = 1},
                            .state = LB_CONN_TEMPLATE, .incarnation = 1, .is_proven = is_proven != 0};

    frame_address("203.0.113.7", taken.key.client);
    frame_address("192.0.2.1", taken.key.address);
    taken.last_seen = taken.held = (uint32_t)(native_director_now(world->native) >> LB_TIME_SHIFT);
    return taken;
}

static void a_template_that_only_syns_made_is_short_lived_at_the_other_director_too(void **state)
{
    struct world *world = *state;
    struct lb_conn taken;

    persistent(world, "192.0.2.1", 80, IPPROTO_TCP, 3);
    send_from(world, 9, 1000, "80 S"); /* Begins the timer. */
    taken = told_template(world, 0);
    assert_true(native_director_take(world->native, &taken));
    assert_int_equal(3, world_connections(world));
    seconds_pass(world, 80);
    assert_int_equal(0, world_connections(world));
    for (unsigned is_proven = 0; is_proven < 2; is_proven++) { /* Told again when it is proven. */
        taken = told_template(world, is_proven);
        assert_true(native_director_take(world->native, &taken));
    }
    seconds_pass(world, 80);
    assert_int_equal(1, world_connections(world));
}

static void a_template_leads_to_a_server_of_weight_0_but_not_to_one_that_left(void **state)
{
    struct world *world = *state;
    struct lb_service *service = persistent(world, "192.0.2.1", 80, IPPROTO_TCP, 2);

    service->schedule = LB_SCHEDULE_WLC;
    assert_int_equal(1, send_from(world, 7, 1000, "80 S"));
    world_member(world, 0)->weight = 0;
    assert_int_equal(1, send_from(world, 7, 1001, "80 S"));
    assert_int_equal(2, send_from(world, 8, 1000, "80 S"));
    world_server(world, 0, "10.0.0.1", LB_METHOD_IPIP)->incarnation = 99; /* It left, another one has its place. */
    *world_load(world, 0) = (struct lb_server_load){0};
    assert_int_equal(2, send_from(world, 7, 1002, "80 S"));
    assert_int_equal(2, world_load(world, 1)->persistent);
    seconds_pass(world, 600);
    assert_int_equal(0, world_connections(world));
    assert_int_equal(0, world_load(world, 0)->persistent);
    assert_int_equal(0, world_load(world, 1)->persistent);
}

static void every_port_is_one_service(void **state)
{
    struct world *world = *state;

    persistent(world, "192.0.2.1", 0, IPPROTO_TCP, 3);
    assert_int_equal(0, send_from(world, 7, 1000, "80 S"));
    world_settings(world)->has_any_port = 1;
    assert_int_equal(1, send_from(world, 7, 1000, "80 S"));
    assert_int_equal(1, send_from(world, 7, 1000, "443 S"));
    assert_int_equal(2, send_from(world, 8, 1000, "443 S"));
    assert_int_equal(3, world_load(world, 0)->active + world_load(world, 1)->active);
    assert_int_equal(XDP_PASS, world_send(world, "C>D ip 203.0.113.7>192.0.2.1 udp 1000>80").action);
    assert_int_equal(XDP_PASS, world_send(world, "C>D ip 203.0.113.7>192.0.2.1 icmp 8 0").action);
}

static void a_service_for_the_port_comes_first(void **state)
{
    struct world *world = *state;

    persistent(world, "192.0.2.1", 0, IPPROTO_TCP, 1);
    world_settings(world)->has_any_port = 1;
    struct lb_service *web = world_service(world, 1, "192.0.2.1", 80, IPPROTO_TCP);
    web->schedule = LB_SCHEDULE_HASH;
    world_server(world, 5, "10.0.0.6", LB_METHOD_IPIP);
    world_members(world, 1, 5, 1);
    assert_int_equal(6, send_from(world, 7, 1000, "80 S"));
    assert_int_equal(1, send_from(world, 7, 1000, "81 S"));
}

/* The port stays the client's, whatever the server's says (IPVS). */
/* It is not told that there are no servers, connections of others go on, and the drop says what it was. */
static void a_client_for_whose_template_there_is_no_room_is_dropped(void **state)
{
    struct world *world = *state;
    struct lb_service *service = persistent(world, "192.0.2.1", 80, IPPROTO_TCP, 2);

    assert_int_equal(1, send_from(world, 7, 1000, "80 S"));
    for (uint32_t i = 0; i < NATIVE_LB_SLOTS; i++) {
        struct lb_conn *conn = world_place(world, NATIVE_LB_conn_slots, i);

        if (conn->state == LB_CONN_NONE)
            conn->state = LB_CONN_CLAIMED;
    }
    assert_int_equal(XDP_DROP, world_send(world, "C>D ip 203.0.113.8>192.0.2.1 tcp 1000>80 S").action);
    assert_int_equal(1, world_drops(world, LB_DROP_table_full));
    service->flags |= LB_ONE_PACKET;
    assert_int_equal(XDP_DROP, world_send(world, "C>D ip 203.0.113.8>192.0.2.1 tcp 1000>80 S").action);
    assert_int_equal(2, world_drops(world, LB_DROP_table_full));
    assert_int_equal(0, world_drops(world, LB_DROP_no_server));
    assert_int_equal(0, world_service_use(world, 0)->refused);
    service->flags &= ~LB_ONE_PACKET;
    assert_int_equal(1, send_from(world, 7, 1000, "80 A"));
}

static void translation_of_every_port_keeps_the_port(void **state)
{
    struct world *world = *state;
    struct native_verdict out;

    persistent(world, "192.0.2.1", 0, IPPROTO_TCP, 1);
    world_settings(world)->has_any_port = 1;
    world_server(world, 0, "10.0.0.1", LB_METHOD_NAT)->port = htons(8080);
    out = world_send(world, "C>D ip 203.0.113.7>192.0.2.1 tcp 1000>443 S");
    assert_int_equal(XDP_REDIRECT, out.action);
    assert_bytes(out.frame + 14 + 16, 8, "0a000001 03e8 01bb");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_client_stays_at_its_server, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_mask_makes_many_clients_one, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(an_ipv6_prefix_makes_many_clients_one, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_template_lasts_as_long_as_its_connections, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_template_that_only_syns_made_is_short_lived, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_template_that_only_syns_made_is_short_lived_at_the_other_director_too, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_template_leads_to_a_server_of_weight_0_but_not_to_one_that_left, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(every_port_is_one_service, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_service_for_the_port_comes_first, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(a_client_for_whose_template_there_is_no_room_is_dropped, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(translation_of_every_port_keeps_the_port, world_setup, world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
