/* What the director takes, what it leaves to the host, and what it says to clients. */
#include <linux/bpf.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "weft/base/util.h"
#include "world.h"

#define SYN4 "C>D ip 203.0.113.7>192.0.2.1 df tcp 4000>80 S"
#define SYN6 "C>D ip6 2001:db8:c::7>2001:db8:5::1 tcp 4000>80 S"

static void one_service(struct world *world, enum lb_method method)
{
    world_service(world, 0, "192.0.2.1", 80, IPPROTO_TCP);
    world_server(world, 0, "10.0.0.1", method);
    world_members(world, 0, 0, 1);
}

static void one_service6(struct world *world, enum lb_method method)
{
    world_service(world, 1, "2001:db8:5::1", 80, IPPROTO_TCP);
    world_server(world, 1, "2001:db8::1", method);
    world_members(world, 1, 1, 1);
}

static void what_is_no_services_is_the_hosts(void **state)
{
    struct world *world = *state;
    static const char *const others[] = {
        "C>D ip 203.0.113.7>192.0.2.1 tcp 4000>81 S",
        "C>D ip 203.0.113.7>192.0.2.1 udp 4000>80",
        "C>D ip 203.0.113.7>192.0.2.2 tcp 4000>80 S",
        "C>D ip 203.0.113.7>192.0.2.1 icmp 8 1",
        "C>D ip6 2001:db8:c::7>2001:db8:5::1 icmp6 128 1",
        "C>D ip6 2001:db8:c::7>2001:db8:5::2 tcp 4000>80 S",
        "C>* ip 203.0.113.7>192.0.2.1 tcp 4000>80 S",
        "C>D ip 203.0.113.7>192.0.2.1 proto 50 +20",
        "C>D arp request C 203.0.113.7 192.0.2.1",
        "C>D vlan ip 203.0.113.7>192.0.2.1 tcp 4000>80 S",
        "C>D type=0x88cc +40",
        "C>D ip 203.0.113.7>192.0.2.1 tcp 4000>80 S cut=30",
        "C>D ip 203.0.113.7>192.0.2.1 tcp 4000>80 S cut=40",
        "C>D ip 203.0.113.7>192.0.2.1 tcp 4000>80 S set=14:0x44",
        "C>D ip 203.0.113.7>192.0.2.9 frag=10 tcp 4000>80 S",
        "C>D ip 203.0.113.7>192.0.2.1 icmp 3 0 quote ip 192.0.2.9>203.0.113.7 tcp 80>4000 A",
        "C>D ip 203.0.113.7>192.0.2.1 icmp 3 0 quote ip 192.0.2.1>203.0.113.7 tcp 81>4000 A",
        "C>D ip 203.0.113.7>192.0.2.1 icmp 3 0 cut=40",
    };

    one_service(world, LB_METHOD_IPIP);
    one_service6(world, LB_METHOD_IPIP);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        struct native_verdict out;
        struct frame in;

        frame_parse(others[i], &in);
        out = world_run(world, &in);
        if (out.action != XDP_PASS)
            fail_msg("%s: %d", others[i], out.action);
        assert_int_equal(in.size, out.size);
        assert_memory_equal(in.bytes, out.frame, in.size);
    }
    assert_int_equal(0, world_service_use(world, 0)->counters.in_packets);
}

static void extension_headers_are_seen_through(void **state)
{
    struct world *world = *state;

    one_service6(world, LB_METHOD_DIRECT);
    assert_int_equal(XDP_REDIRECT, world_send(world, "C>D ip6 2001:db8:c::7>2001:db8:5::1 hopopts tcp 4000>80 S").action);
}

static void ipv4_options_are_seen_through(void **state)
{
    struct world *world = *state;

    one_service(world, LB_METHOD_IPIP);
    assert_int_equal(XDP_REDIRECT, world_send(world, "C>D ip 203.0.113.7>192.0.2.1 options tcp 4000>80 S").action);
}

static void packets_and_connections_are_counted(void **state)
{
    struct world *world = *state;

    one_service(world, LB_METHOD_DIRECT);
    world_send(world, SYN4);
    world_send(world, "C>D ip 203.0.113.7>192.0.2.1 tcp 4000>80 A +60");
    assert_int_equal(1, world_service_use(world, 0)->counters.connections);
    assert_int_equal(2, world_service_use(world, 0)->counters.in_packets);
    assert_int_equal(140, world_service_use(world, 0)->counters.in_bytes);
    assert_int_equal(1, world_server_use(world, 0)->counters.connections);
    assert_int_equal(140, world_server_use(world, 0)->counters.in_bytes);
}

/* RFC 1812, 5.3.1: never forwarded with a TTL of zero; RFC 792 and 4443 say what the client hears. */
static void the_last_hop_ends_here(void **state)
{
    struct world *world = *state;
    struct native_verdict out;
    struct frame in;
    size_t n;

    one_service(world, LB_METHOD_IPIP);
    one_service6(world, LB_METHOD_IPIP);
    frame_parse("C>D ip 203.0.113.7>192.0.2.1 ttl=1 tcp 4000>80 S", &in);
    out = world_run(world, &in);
    assert_int_equal(XDP_TX, out.action);
    n = assert_bytes(out.frame, out.size, "020000000043 020000000044 0800 45c0 0038 0000 0000 4001 .... c0000201 cb007107 0b00 .... 00000000");
    assert_memory_equal(in.bytes + 14, out.frame + n, out.size - n);
    assert_checksums(out.frame, out.size, 14);

    frame_parse("C>D ip6 2001:db8:c::7>2001:db8:5::1 ttl=1 tcp 4000>80 S +200", &in);
    out = world_run(world, &in);
    assert_int_equal(XDP_TX, out.action);
    n = assert_bytes(out.frame, out.size,
                     "020000000043 020000000044 86dd 60000000 0100 3a40 20010db8000500000000000000000001 20010db8000c00000000000000000007"
                     "0300 .... 00000000");
    assert_int_equal(n + 248, out.size);
    assert_memory_equal(in.bytes + 14, out.frame + n, out.size - n);
    assert_checksums(out.frame, out.size, 14);
    assert_int_equal(2, world_drops(world, LB_DROP_ttl_exceeded));
}

/* RFC 1191, 4: the MTU that would fit, in the second half of the word; RFC 4443, 3.2. */
static void what_does_not_fit_is_said(void **state)
{
    struct world *world = *state;
    struct native_verdict out;
    struct frame in;

    one_service(world, LB_METHOD_IPIP);
    one_service6(world, LB_METHOD_IPIP);
    assert_int_equal(XDP_REDIRECT, world_send(world, "C>D ip 203.0.113.7>192.0.2.1 df tcp 4000>80 A +1440").action);
    frame_parse("C>D ip 203.0.113.7>192.0.2.1 df tcp 4000>80 A +1441", &in);
    out = world_run(world, &in);
    assert_int_equal(XDP_TX, out.action);
    assert_bytes(out.frame + 14, out.size - 14, "45c0 0214 .... .... 4001 .... c0000201 cb007107 0304 .... 000005c8 4500 05c9");
    assert_checksums(out.frame, out.size, 14);
    assert_int_equal(XDP_DROP, world_send(world, "C>D ip 203.0.113.7>192.0.2.1 tcp 4000>80 A +1441").action);

    frame_parse("C>D ip6 2001:db8:c::7>2001:db8:5::1 tcp 4000>80 A +1401", &in);
    out = world_run(world, &in);
    assert_int_equal(XDP_TX, out.action);
    assert_bytes(out.frame + 54, out.size - 54, "0200 .... 000005b4 60");
    assert_checksums(out.frame, out.size, 14);
    assert_int_equal(3, world_drops(world, LB_DROP_too_big));
}

static void a_service_without_servers_is_unreachable(void **state)
{
    struct world *world = *state;
    struct native_verdict out;

    world_service(world, 0, "192.0.2.1", 80, IPPROTO_TCP);
    out = world_send(world, SYN4);
    assert_int_equal(XDP_TX, out.action);
    assert_bytes(out.frame + 34, out.size - 34, "0303");
    world_service(world, 1, "2001:db8:5::1", 80, IPPROTO_TCP);
    out = world_send(world, SYN6);
    assert_int_equal(XDP_TX, out.action);
    assert_bytes(out.frame + 54, out.size - 54, "0104");
    assert_int_equal(2, world_drops(world, LB_DROP_no_server));
    assert_int_equal(1, world_service_use(world, 1)->refused);
}

static void errors_are_not_answered_by_errors_and_not_without_end(void **state)
{
    struct world *world = *state;
    unsigned n_sent = 0;
    struct frame in;

    world_service(world, 0, "192.0.2.1", 80, IPPROTO_TCP);
    assert_int_equal(XDP_DROP,
                     world_send(world, "C>D ip 203.0.113.7>192.0.2.1 icmp 3 0 quote ip 192.0.2.1>203.0.113.7 tcp 80>4000 A").action);
    frame_parse("C>D ip 203.0.113.7>192.0.2.1 icmp 3 0 quote ip 192.0.2.1>203.0.113.7 tcp 80>4000 A", &in);
    in.bytes[14 + 20 + 8] = 0x44; /* What it quotes has no whole header: its ports would be of its addresses. */
    assert_int_equal(XDP_PASS, world_run(world, &in).action);
    for (unsigned i = 0; i < 2 * LB_ICMP_RATE; i++)
        n_sent += world_send(world, SYN4).action == XDP_TX;
    assert_int_equal(LB_ICMP_RATE, n_sent);
    assert_int_equal(LB_ICMP_RATE, world_drops(world, LB_DROP_icmp_limit));
    native_director_advance(world->native, 1100000000);
    assert_int_equal(XDP_TX, world_send(world, SYN4).action);
}

static void the_way_to_the_server_is_the_hosts(void **state)
{
    struct world *world = *state;
    struct native_route route = world_route("10.0.0.1");

    one_service(world, LB_METHOD_DIRECT);
    route.via_router = true;
    native_director_route(world->native, &route);
    assert_int_equal(XDP_DROP, world_send(world, SYN4).action);
    assert_int_equal(1, world_drops(world, LB_DROP_not_on_link));

    route.via_router = false;
    route.answer = BPF_FIB_LKUP_RET_NO_NEIGH;
    native_director_route(world->native, &route);
    native_director_advance(world->native, 200000000); /* What was heard is believed for a moment. */
    assert_int_equal(XDP_DROP, world_send(world, SYN4).action);
    assert_int_equal(1, world_drops(world, LB_DROP_no_neighbor));

    route.answer = BPF_FIB_LKUP_RET_UNREACHABLE;
    native_director_route(world->native, &route);
    assert_int_equal(XDP_DROP, world_send(world, SYN4).action);
    assert_int_equal(2, world_drops(world, LB_DROP_no_neighbor));
    native_director_advance(world->native, 200000000);
    assert_int_equal(XDP_DROP, world_send(world, SYN4).action);
    assert_int_equal(1, world_drops(world, LB_DROP_no_route));

    route.answer = BPF_FIB_LKUP_RET_SUCCESS;
    native_director_route(world->native, &route);
    native_director_advance(world->native, 200000000);
    assert_int_equal(XDP_REDIRECT, world_send(world, SYN4).action);
}

static uint32_t server_of(const struct native_verdict *out)
{
    assert_int_equal(XDP_REDIRECT, out->action);
    return out->frame[14 + 19]; /* The last byte of the outer destination. */
}

static void eight_servers(struct world *world, uint32_t flags)
{
    world_service(world, 0, "192.0.2.1", 80, IPPROTO_TCP)->flags = flags;
    for (uint32_t i = 0; i < 8; i++) {
        char address[20];

        snprintf(address, sizeof(address), "10.0.0.%u", i + 1);
        world_server(world, i, address, LB_METHOD_IPIP);
    }
    world_members(world, 0, 0, 8);
}

static uint32_t chosen(struct world *world, unsigned client, unsigned port)
{
    struct native_verdict out;
    char text[100];

    snprintf(text, sizeof(text), "C>D ip 203.0.113.%u>192.0.2.1 tcp %u>80 A", client, port);
    out = world_send(world, text);
    return server_of(&out);
}

static void source_hashing_keeps_a_client_together(void **state)
{
    struct world *world = *state;
    unsigned used[9] = {0}, n_used = 0;

    eight_servers(world, LB_HASH_SOURCE);
    for (unsigned client = 1; client < 200; client++) {
        uint32_t server = chosen(world, client, 1000);

        used[server]++;
        for (unsigned port = 1001; port < 1010; port++)
            assert_int_equal(server, chosen(world, client, port));
    }
    for (unsigned i = 1; i < 9; i++)
        n_used += used[i] > 0;
    assert_int_equal(8, n_used);
}

static void with_ports_a_clients_flows_spread(void **state)
{
    struct world *world = *state;
    unsigned used[9] = {0};

    eight_servers(world, LB_HASH_SOURCE | LB_HASH_SOURCE_PORT);
    for (unsigned port = 1000; port < 5000; port++)
        used[chosen(world, 7, port)]++;
    for (unsigned i = 1; i < 9; i++)
        assert_in_range(used[i], 400, 600); /* 500 on average. */
}

static void destination_hashing_knows_no_clients(void **state)
{
    struct world *world = *state;

    eight_servers(world, LB_HASH_DESTINATION);
    for (unsigned client = 1; client < 100; client++)
        assert_int_equal(chosen(world, 1, 1000), chosen(world, client, 1000 + client));
}

/* The error follows the connection that it is about, IPv4 and IPv6, and through L3DSR's rewriting with its checksum. */
static void icmp_errors_go_where_their_connection_is(void **state)
{
    struct world *world = *state;

    eight_servers(world, LB_HASH_SOURCE | LB_HASH_SOURCE_PORT);
    for (unsigned port = 1000; port < 1050; port++) {
        struct native_verdict out;
        uint32_t server = chosen(world, 7, port);
        char text[200];

        /* A router in between says that what the server sent was too big. */
        snprintf(text, sizeof(text), "C>D ip 198.51.100.77>192.0.2.1 icmp 3 4 quote ip 192.0.2.1>203.0.113.7 tcp 80>%u A", port);
        out = world_send(world, text);
        assert_int_equal(server, server_of(&out));
    }
}

static void icmp6_errors_keep_their_checksum_when_rewritten(void **state)
{
    struct world *world = *state;
    struct native_verdict out;
    struct frame in;

    one_service6(world, LB_METHOD_L3DSR);
    frame_parse("C>D ip6 2001:db8:f::1>2001:db8:5::1 icmp6 2 0 quote ip6 2001:db8:5::1>2001:db8:c::7 tcp 80>4000 A", &in);
    in.bytes[19] = (uint8_t)(in.size - 54); /* What is quoted was taken for the packet. */
    in.bytes[62 + 5] = 20;
    frame_finish(&in, 0);
    assert_checksums(in.bytes, in.size, 14);
    out = world_run(world, &in);
    assert_int_equal(XDP_REDIRECT, out.action);
    assert_checksums(out.frame, out.size, 14);
}

/* What a switch floods, or a tap hears: another station's.  A virtual router's MAC is the master's. */
static void frames_for_other_stations_are_not_ours(void **state)
{
    struct world *world = *state;
    uint32_t ifindex = CLIENT_DEVICE;
    struct lb_interface interface = {0};
    struct frame in;

    one_service(world, LB_METHOD_IPIP);
    frame_mac("D", interface.mac);
    assert_int_equal(0, native_map_update(native_director_map(world->native, NATIVE_LB_interfaces), &ifindex, &interface, false));
    assert_int_equal(XDP_REDIRECT, world_send(world, SYN4).action);
    frame_parse(SYN4, &in);
    in.bytes[5] ^= 1;
    assert_int_equal(XDP_PASS, world_run(world, &in).action);
    memcpy(in.bytes, "\0\0\x5e\0\1\7", 6);
    assert_int_equal(XDP_REDIRECT, world_run(world, &in).action);
    in.bytes[4] = 3;
    assert_int_equal(XDP_PASS, world_run(world, &in).action);
}

static void later_fragments_follow_their_first(void **state)
{
    struct world *world = *state;

    eight_servers(world, LB_HASH_SOURCE | LB_HASH_SOURCE_PORT);
    world_service(world, 0, "192.0.2.1", 80, IPPROTO_UDP);
    world_members(world, 0, 0, 8);
    for (unsigned port = 1000; port < 1050; port++) {
        struct native_verdict out;
        struct frame first, later;
        char text[200];
        uint32_t server;

        snprintf(text, sizeof(text), "C>D ip 203.0.113.7>192.0.2.1 more udp %u>80 +32", port);
        frame_parse(text, &first);
        frame_parse("C>D ip 203.0.113.7>192.0.2.1 frag=5 udp 0>0 +9", &later);
        first.bytes[18] = later.bytes[18] = (uint8_t)port;
        frame_finish(&first, 0);
        frame_finish(&later, 0);
        assert_int_equal(XDP_DROP, world_run(world, &later).action); /* Before its first one: it is a service's address, though. */
        out = world_run(world, &first);
        server = server_of(&out);
        out = world_run(world, &later);
        assert_int_equal(server, server_of(&out));
    }
}

static void ipv6_fragments_follow_their_first(void **state)
{
    struct world *world = *state;
    struct frame first, later;

    world_service(world, 1, "2001:db8:5::1", 80, IPPROTO_UDP);
    world_server(world, 1, "2001:db8::1", LB_METHOD_IPIP);
    world_members(world, 1, 1, 1);
    frame_parse("C>D ip6 2001:db8:c::7>2001:db8:5::1 more udp 4000>80 +32", &first);
    frame_parse("C>D ip6 2001:db8:c::7>2001:db8:5::1 frag=5 udp 0>0 +9", &later);
    assert_int_equal(XDP_DROP, world_run(world, &later).action);
    assert_int_equal(1, world_drops(world, LB_DROP_fragment_unknown));
    assert_int_equal(XDP_REDIRECT, world_run(world, &first).action);
    assert_int_equal(XDP_REDIRECT, world_run(world, &later).action);
}

/* Any bytes at all: nothing but the address sanitizer has to be content.  Mangled so that most get beyond the parser. */
static void mangled_frames_do_no_harm(void **state)
{
    struct world *world = *state;
    static const char *const seeds[] = {
        SYN4, SYN6, "C>D ip 203.0.113.7>192.0.2.1 icmp 3 4 quote ip 192.0.2.1>203.0.113.7 tcp 80>4000 A",
        "C>D ip6 2001:db8:c::7>2001:db8:5::1 hopopts tcp 4000>80 S", "C>D ip 203.0.113.7>192.0.2.1 ttl=1 options tcp 4000>80 S +700",
        "C>D ip6 2001:db8:f::1>2001:db8:5::1 icmp6 2 0 quote ip6 2001:db8:5::1>2001:db8:c::7 tcp 80>4000 A",
    };
    unsigned random = 1;

    for (unsigned i = 0; i < 20000; i++) {
        struct frame frame;

        one_service(world, (enum lb_method)(i % 9));
        one_service6(world, (enum lb_method)(i % 9));
        frame_parse(seeds[i % ARRAY_SIZE(seeds)], &frame);
        for (unsigned n = i % 4; n; n--) {
            random = random * 1103515245 + 12345;
            frame.bytes[12 + (random >> 8) % MIN(frame.size - 12, 70)] = (uint8_t)(random >> 16);
        }
        if (i % 5 == 0)
            frame.size = 14 + (random >> 10) % (frame.size - 14);
        int action = world_run(world, &frame).action;
        assert_true(action == XDP_PASS || action == XDP_DROP || action == XDP_TX || action == XDP_REDIRECT);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_no_services_is_the_hosts),
        TEST(extension_headers_are_seen_through),
        TEST(ipv4_options_are_seen_through),
        TEST(packets_and_connections_are_counted),
        TEST(the_last_hop_ends_here),
        TEST(what_does_not_fit_is_said),
        TEST(a_service_without_servers_is_unreachable),
        TEST(errors_are_not_answered_by_errors_and_not_without_end),
        TEST(the_way_to_the_server_is_the_hosts),
        TEST(source_hashing_keeps_a_client_together),
        TEST(with_ports_a_clients_flows_spread),
        TEST(destination_hashing_knows_no_clients),
        TEST(icmp_errors_go_where_their_connection_is),
        TEST(icmp6_errors_keep_their_checksum_when_rewritten),
        TEST(frames_for_other_stations_are_not_ours),
        TEST(later_fragments_follow_their_first),
        TEST(ipv6_fragments_follow_their_first),
        TEST(mangled_frames_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
