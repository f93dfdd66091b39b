/* Load balancers, frame by frame: who serves whom, on one host and between hosts, who is chosen, and members that go.  See balancing.h. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "balancing.h"
#include "weft/base/util.h"

/* ---- on one host -------------------------------------------------------------------------------------------------------------- */

static void a_member_of_this_host_serves(void **state)
{
    static const char *const protocols[] = {"tcp", "udp", "sctp"};

    for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
        const char *begin = i ? "" : " S", *go_on = i ? "" : " A", *answer = i ? "" : " SA";

        if (i == 2) { /* Its checksum is not computed in tests of frames; that ports change it is seen elsewhere. */
            say(1, "A>L ip 10.0.0.1>10.0.0.200 sctp 4000>81 +9");
            expect_port(2, NULL);
            continue;
        }
        for (int round = 0; round < 3; round++) {
            say(1, frame_text("A>L ip 10.0.0.1>10.0.0.200 %s 4000>81%s +7", protocols[i], round ? go_on : begin));
            expect_port(2, frame_text("L>B ip 10.0.0.1>10.0.0.2 %s 4000>8080%s +7", protocols[i], round ? go_on : begin));
            expect_stage("balance");
            say(2, frame_text("B>A ip 10.0.0.2>10.0.0.1 %s 8080>4000%s +3", protocols[i], round ? go_on : answer));
            expect_port(1, frame_text("L>A ip 10.0.0.200>10.0.0.1 %s 81>4000%s +3", protocols[i], round ? go_on : answer));
        }
    }
    assert_int_equal(n_entries("connections"), 6);
    assert_int_equal(in_use("listener_use", 2), 3);
    assert_int_equal(in_use("member_use", 1), 3);
    assert_int_equal(counters(2)->n_connections, 3);
    assert_int_equal(counters(2)->to_packets, 7);
    assert_int_equal(counters(2)->from_packets, 6);
    all_ends();
}

static void ipv6_is_served(void **state)
{
    static const char *const protocols[] = {"tcp", "udp"};

    for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
        for (int round = 0; round < 3; round++) {
            const char *forth = i ? "" : round ? " A" : " S", *back = i ? "" : round ? " A" : " SA";

            say(1, frame_text("A>L ip6 fd01::1>fd01::200 %s 4000>81%s +7", protocols[i], forth));
            expect_port(2, frame_text("L>B ip6 fd01::1>fd01::2 %s 4000>8080%s +7", protocols[i], forth));
            say(2, frame_text("B>A ip6 fd01::2>fd01::1 %s 8080>4000%s +3", protocols[i], back));
            expect_port(1, frame_text("L>A ip6 fd01::200>fd01::1 %s 81>4000%s +3", protocols[i], back));
        }
    say(10, "J>S ip6 fd02::1>fd01::200 tcp 4000>85 S");
    expect_port(11, "L>K ip6 fd02::1>fd03::1 ttl=63 tcp 4000>8080 S");
    say(11, "K>U ip6 fd03::1>fd02::1 tcp 8080>4000 SA");
    expect_port(10, "S>J ip6 fd01::200>fd02::1 tcp 85>4000 SA");
    say(1, "A>L ip6 fd01::1>fd01::200 tcp 4000>83 S");
    expect_port(1, "L>A ip6 fd01::200>fd01::1 tcp 4000>8081 S");
    say(1, "A>L ip6 fd01::1>fd01::200 tcp 8081>4000 SA");
    expect_port(1, "L>A ip6 fd01::200>fd01::1 tcp 83>4000 SA");
    say(1, "A>L ip6 fd01::1>fd01::200 udp 5000>82 +9");
    expect_host(1, "A>02:ab:70:00:00:07 ip6 fd01::1>fd01::200 udp 5000>82 +9");
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/15/1 X>A ip6 fd01::200>fd01::1 udp 82>5000 +9");
    expect_port(1, "L>A ip6 fd01::200>fd01::1 udp 82>5000 +9");
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/0/5 M>02:ab:70:00:00:06 ip6 fd01::101>fd01::200 udp 5000>81 +9");
    expect_port(2, "L>B ip6 fd01::101>fd01::2 udp 5000>8080 +9");
    say(2, "B>M ip6 fd01::2>fd01::101 udp 8080>5000 +9");
    expect_sent(TUNNEL_HOPS_BACK, 5, "B>M ip6 fd01::200>fd01::101 udp 81>5000 +9");
    all_ends();
}

static void the_member_answers_wherever_it_thinks(void **state)
{
    /* By a router's MAC, and by one that nobody has. */
    static const char *const macs[] = {"R", "Q"};

    for (size_t i = 0; i < ARRAY_SIZE(macs); i++) {
        say(10, "J>S ip 10.0.1.1>10.0.0.200 tcp 4000>81 S");
        expect_port(2, "L>B ip 10.0.1.1>10.0.0.2 ttl=63 tcp 4000>8080 S");
        say(2, frame_text("B>%s ip 10.0.0.2>10.0.1.1 tcp 8080>4000 SA", macs[i]));
        expect_port(10, "S>J ip 10.0.0.200>10.0.1.1 tcp 81>4000 SA");
    }
    all_ends();
}

static void a_member_in_a_network_without_a_way(void **state)
{
    fixture_router_port(pipeline, 2)->flags = 0; /* Nothing leads from network 7 to network 11. */
    say(1, "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>85 S");
    expect_port(11, "L>K ip 10.0.0.1>10.0.2.1 tcp 4000>8080 S");
    say(11, "K>U ip 10.0.2.1>10.0.0.1 tcp 8080>4000 SA");
    expect_port(1, "L>A ip 10.0.0.200>10.0.0.1 tcp 85>4000 SA");
    say(1, "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>85 A");
    expect_port(11, "L>K ip 10.0.0.1>10.0.2.1 tcp 4000>8080 A");
    all_ends();
}

static void a_member_calls_its_own_balancer(void **state)
{
    for (int round = 0; round < 2; round++) {
        say(1, round ? "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>83 A" : "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>83 S");
        expect_port(1, round ? "L>A ip 10.0.0.200>10.0.0.1 tcp 4000>8081 A" : "L>A ip 10.0.0.200>10.0.0.1 tcp 4000>8081 S");
        say(1, round ? "A>L ip 10.0.0.1>10.0.0.200 tcp 8081>4000 A" : "A>L ip 10.0.0.1>10.0.0.200 tcp 8081>4000 SA");
        expect_port(1, round ? "L>A ip 10.0.0.200>10.0.0.1 tcp 83>4000 A" : "L>A ip 10.0.0.200>10.0.0.1 tcp 83>4000 SA");
    }
    all_ends();
}

static void a_member_calls_itself_from_its_own_port(void **state)
{
    uint16_t port;

    /* The very key of the client's entry is what the member's would have. */
    fixture_member(pipeline, 3)->port = htons(83);
    say(1, "A>L ip 10.0.0.1>10.0.0.200 tcp 83>83 S");
    expect_port(1, NULL);
    port = (uint16_t)(result.outputs[0].bytes[34] << 8 | result.outputs[0].bytes[35]);
    assert_int_not_equal(port, 83);
    expect_port(1, frame_text("L>A ip 10.0.0.200>10.0.0.1 tcp %u>83 S", port));
    say(1, frame_text("A>L ip 10.0.0.1>10.0.0.200 tcp 83>%u SA", port));
    expect_port(1, "L>A ip 10.0.0.200>10.0.0.1 tcp 83>83 SA");
    assert_int_equal(n_entries("balanced_names"), 1);
    all_ends();
}

/* ---- between hosts --------------------------------------------------------------------------------------------------------------- */

static void a_member_of_another_host_serves(void **state)
{
    for (int round = 0; round < 2; round++) {
        say(1, round ? "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>82 A" : "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>82 S");
        expect_sent(0, 1, round ? "A>02:ab:70:00:00:02 ip 10.0.0.1>10.0.0.200 tcp 4000>82 A" : "A>02:ab:70:00:00:02 ip 10.0.0.1>10.0.0.200 tcp 4000>82 S");
        say(TUNNEL, round ? "outer 192.0.2.2>192.0.2.1 7 2/15/1 X>A ip 10.0.0.200>10.0.0.1 tcp 82>4000 A"
                          : "outer 192.0.2.2>192.0.2.1 7 2/15/1 X>A ip 10.0.0.200>10.0.0.1 tcp 82>4000 SA");
        expect_port(1, round ? "L>A ip 10.0.0.200>10.0.0.1 tcp 82>4000 A" : "L>A ip 10.0.0.200>10.0.0.1 tcp 82>4000 SA");
    }
    all_ends();
}

static void a_client_of_another_host_is_served(void **state)
{
    for (int round = 0; round < 2; round++) {
        say(TUNNEL, round ? "outer 192.0.2.2>192.0.2.1 7 2/0/5 M>02:ab:70:00:00:01 ip 10.0.0.101>10.0.0.200 tcp 4000>81 A"
                          : "outer 192.0.2.2>192.0.2.1 7 2/0/5 M>02:ab:70:00:00:01 ip 10.0.0.101>10.0.0.200 tcp 4000>81 S");
        expect_port(2, round ? "L>B ip 10.0.0.101>10.0.0.2 tcp 4000>8080 A" : "L>B ip 10.0.0.101>10.0.0.2 tcp 4000>8080 S");
        say(2, round ? "B>M ip 10.0.0.2>10.0.0.101 tcp 8080>4000 A" : "B>M ip 10.0.0.2>10.0.0.101 tcp 8080>4000 SA");
        expect_sent(TUNNEL_HOPS_BACK, 5, round ? "B>M ip 10.0.0.200>10.0.0.101 tcp 81>4000 A" : "B>M ip 10.0.0.200>10.0.0.101 tcp 81>4000 SA");
    }
    /* The client moves: to another slot, in its network. */
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/0/6 M>02:ab:70:00:00:01 ip 10.0.0.101>10.0.0.200 tcp 4000>81 A");
    expect_port(2, NULL);
    say(2, "B>M ip 10.0.0.2>10.0.0.101 tcp 8080>4000 A");
    expect_sent(TUNNEL_HOPS_BACK, 6, "B>M ip 10.0.0.200>10.0.0.101 tcp 81>4000 A");
    all_ends();
}

static void what_hosts_send_is_looked_at(void **state)
{
    /* A member that is none; one of another balancer; one of another host; answers to nobody, and to nobody's port. */
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/0/5 M>02:ab:70:00:00:77 ip 10.0.0.101>10.0.0.200 tcp 4000>81 S");
    expect_drop(DROP_member_gone);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/0/5 M>02:ab:70:00:00:02 ip 10.0.0.101>10.0.0.200 tcp 4000>81 S");
    expect_drop(DROP_member_gone);
    fixture_member(pipeline, 1)->balancer++;
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/0/5 M>02:ab:70:00:00:01 ip 10.0.0.101>10.0.0.200 tcp 4000>81 S");
    expect_drop(DROP_service_no_listener);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/3/5 M>02:ab:70:00:00:01 ip 10.0.0.101>10.0.0.200 tcp 4000>81 S");
    expect_drop(DROP_tunnel_header);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/15/1 X>A ip 10.0.0.200>10.0.0.1 tcp 82>4000 A");
    expect_drop(DROP_unknown_translation);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/15/999 X>A ip 10.0.0.200>10.0.0.1 tcp 82>4000 A");
    expect_drop(DROP_unknown_destination);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/0/1 M>* ip 10.0.0.200>10.0.0.1 tcp 82>4000 A");
    expect_drop(DROP_tunnel_header);
    assert_int_equal(n_entries("connections"), 0);
}

/* ---- collisions --------------------------------------------------------------------------------------------------------------------- */

static void a_client_that_knows_the_member_itself(void **state)
{
    uint16_t port;

    say(1, "A>B ip 10.0.0.1>10.0.0.2 tcp 4000>8080 S");
    expect_port(2, NULL);
    fixture_policy(pipeline, 2, FIXTURE_ALLOW_ALL, FIXTURE_ALLOW_ALL); /* So that the member has an entry of it. */
    change_epoch(2);
    say(1, "A>B ip 10.0.0.1>10.0.0.2 tcp 4000>8080 S");
    expect_port(2, NULL);
    say(1, "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>81 S");
    expect_port(2, NULL);
    port = (uint16_t)(result.outputs[0].bytes[34] << 8 | result.outputs[0].bytes[35]);
    assert_int_not_equal(port, 4000);
    assert_true(port >= 1024);
    expect_port(2, frame_text("L>B ip 10.0.0.1>10.0.0.2 tcp %u>8080 S", port));
    say(2, frame_text("B>A ip 10.0.0.2>10.0.0.1 tcp 8080>%u SA", port));
    expect_port(1, "L>A ip 10.0.0.200>10.0.0.1 tcp 81>4000 SA");
    say(2, "B>A ip 10.0.0.2>10.0.0.1 tcp 8080>4000 SA");
    expect_port(1, "B>A ip 10.0.0.2>10.0.0.1 tcp 8080>4000 SA");
    say(1, "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>81 A");
    expect_port(2, frame_text("L>B ip 10.0.0.1>10.0.0.2 tcp %u>8080 A", port));
    assert_int_equal(n_entries("balanced_names"), 1);
    all_ends();
}

/* Behind another router there may be a client of the same address. */
static void clients_of_one_address_in_two_networks(void **state)
{
    uint16_t port;

    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/0/5 M>02:ab:70:00:00:01 ip 10.0.0.101>10.0.0.200 tcp 4000>81 S");
    expect_port(2, "L>B ip 10.0.0.101>10.0.0.2 tcp 4000>8080 S");
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 10 2/0/6 M>02:ab:70:00:00:01 ip 10.0.0.101>10.0.0.200 tcp 4000>81 S");
    expect_port(2, NULL);
    port = (uint16_t)(result.outputs[0].bytes[34] << 8 | result.outputs[0].bytes[35]);
    assert_int_not_equal(port, 4000);
    say(2, "B>M ip 10.0.0.2>10.0.0.101 tcp 8080>4000 SA");
    expect_sent(TUNNEL_HOPS_BACK, 5, "B>M ip 10.0.0.200>10.0.0.101 tcp 81>4000 SA");
    say(2, frame_text("B>M ip 10.0.0.2>10.0.0.101 tcp 8080>%u SA", port));
    expect_sent(TUNNEL_HOPS_BACK, 6, "B>M ip 10.0.0.200>10.0.0.101 tcp 81>4000 SA");
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 10 2/0/6 M>02:ab:70:00:00:01 ip 10.0.0.101>10.0.0.200 tcp 4000>81 A");
    expect_port(2, frame_text("L>B ip 10.0.0.101>10.0.0.2 tcp %u>8080 A", port));
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/0/5 M>02:ab:70:00:00:01 ip 10.0.0.101>10.0.0.200 tcp 4000>81 A");
    expect_port(2, "L>B ip 10.0.0.101>10.0.0.2 tcp 4000>8080 A");
    /* Its own network is what a client's host says. */
    say(10, "J>S ip 10.0.1.1>10.0.0.200 tcp 4000>82 S");
    expect_sent_from(10, 0, 10, "J>02:ab:70:00:00:02 ip 10.0.1.1>10.0.0.200 ttl=63 tcp 4000>82 S");
    all_ends();
}

static void two_listeners_and_one_member(void **state)
{
    say(1, "A>L ip 10.0.0.1>10.0.0.200 udp 4000>81 +9");
    expect_port(2, "L>B ip 10.0.0.1>10.0.0.2 udp 4000>8080 +9");
    say(1, "A>L ip 10.0.0.1>10.0.0.200 udp 4000>91 +9");
    expect_port(2, NULL);
    assert_int_equal(n_entries("balanced_names"), 1);
    assert_int_equal(n_entries("balanced"), 2);
    all_ends();
}

/* The member cannot tell the two apart: the second has to wait until the first is over. */
static void call_the_member_directly(void)
{
    say(2, "B>L ip 10.0.0.2>10.0.0.200 tcp 4000>84 S seq=100");
    expect_port(8, NULL);
    say(2, "B>H ip 10.0.0.2>10.0.0.8 tcp 4000>8080 S seq=900");
    expect_drop(DROP_member_busy);
    say(8, "H>B ip 10.0.0.8>10.0.0.2 tcp 8080>4000 RA seq=0 ack=101");
    expect_port(2, "L>B ip 10.0.0.200>10.0.0.2 tcp 84>4000 RA seq=0 ack=101");
    say(2, "B>H ip 10.0.0.2>10.0.0.8 tcp 4000>8080 S seq=900");
    expect_port(8, "B>H ip 10.0.0.2>10.0.0.8 tcp 4000>8080 S seq=900");
    assert_int_equal(n_entries("balanced"), 0);
    say(8, "H>B ip 10.0.0.8>10.0.0.2 tcp 8080>4000 SA seq=500 ack=901");
    expect_port(2, "H>B ip 10.0.0.8>10.0.0.2 tcp 8080>4000 SA seq=500 ack=901");
}

static void a_direct_call_from_the_port_of_a_balanced_one(void **state)
{
    fixture_policy(pipeline, 8, FIXTURE_ALLOW_ALL, FIXTURE_ALLOW_ALL);
    call_the_member_directly();
    all_ends();
}

/* Nor can one without security groups, of whatever protocol; who called directly before has the name, also before the member answers. */
static void a_direct_call_to_a_member_without_security_groups(void **state)
{
    uint16_t port;

    fixture_port(pipeline, 8)->flags |= PORT_MEMBER;
    fixture_port(pipeline, 2)->flags |= PORT_MEMBER;
    call_the_member_directly();
    say(1, "A>B ip 10.0.0.1>10.0.0.2 udp 4000>8080 +9");
    expect_port(2, "A>B ip 10.0.0.1>10.0.0.2 udp 4000>8080 +9");
    say(1, "A>L ip 10.0.0.1>10.0.0.200 udp 4000>81 +9");
    expect_port(2, NULL);
    port = (uint16_t)(result.outputs[0].bytes[34] << 8 | result.outputs[0].bytes[35]);
    assert_int_not_equal(port, 4000);
    say(2, frame_text("B>A ip 10.0.0.2>10.0.0.1 udp 8080>%u +9", port));
    expect_port(1, "L>A ip 10.0.0.200>10.0.0.1 udp 81>4000 +9");
    say(2, "B>A ip 10.0.0.2>10.0.0.1 udp 8080>4000 +9");
    expect_port(1, "B>A ip 10.0.0.2>10.0.0.1 udp 8080>4000 +9");
    all_ends();
}

/* A name that its connection never got, or has no more, keeps nobody out. */
static void a_refused_connection_leaves_no_name(void **state)
{
    uint16_t port;

    fixture_policy(pipeline, 8, FIXTURE_ALLOW_ALL, FIXTURE_ALLOW_ALL);
    say(2, "B>H ip 10.0.0.2>10.0.0.8 udp 4000>8080 +9");
    expect_port(8, NULL);
    fixture_policy(pipeline, 8, FIXTURE_ALLOW_ALL, 0);
    say(2, "B>L ip 10.0.0.2>10.0.0.200 udp 4000>84 +9");
    expect_drop(DROP_policy_ingress);
    assert_int_equal(n_entries("balanced_names"), 0);
    fixture_policy(pipeline, 8, FIXTURE_ALLOW_ALL, FIXTURE_ALLOW_ALL);
    say(2, "B>L ip 10.0.0.2>10.0.0.200 udp 4000>84 +9");
    expect_port(8, NULL);
    assert_int_equal(n_entries("balanced_names"), 1);
    /* The member's entry ends before its client's. */
    fixture_policy(pipeline, 8, FIXTURE_ALLOW_ALL, 0);
    change_epoch(8);
    say(2, "B>L ip 10.0.0.2>10.0.0.200 udp 4000>84 +9");
    expect_drop(DROP_policy_ingress);
    fixture_policy(pipeline, 8, FIXTURE_ALLOW_ALL, FIXTURE_ALLOW_ALL);
    change_epoch(8);
    say(2, "B>H ip 10.0.0.2>10.0.0.8 udp 4000>8080 +9");
    expect_port(8, NULL);
    for (int round = 0; round < 2; round++) {
        say(2, "B>L ip 10.0.0.2>10.0.0.200 udp 4000>84 +9");
        expect_port(8, NULL);
        port = (uint16_t)(result.outputs[0].bytes[34] << 8 | result.outputs[0].bytes[35]);
        assert_int_not_equal(port, 4000);
        say(8, frame_text("H>B ip 10.0.0.8>10.0.0.2 udp 8080>%u +9", port));
        expect_port(2, "L>B ip 10.0.0.200>10.0.0.2 udp 84>4000 +9");
    }
    all_ends();
}

/* ---- who is chosen ------------------------------------------------------------------------------------------------------------------------ */

static uint32_t n_sent[2];

static void call(const char *format, int number)
{
    say(1, frame_text(format, number)); /* NOLINT: the callers' formats have one number. */
    n_sent[result.verdict == PIPELINE_TUNNELLED]++;
    assert_true(result.verdict == PIPELINE_TUNNELLED || result.verdict == PIPELINE_DELIVERED);
}

static void many_clients_are_spread(void **state)
{
    memset(n_sent, 0, sizeof(n_sent));
    for (int port = 4000; port < 4200; port++)
        call("A>L ip 10.0.0.1>10.0.0.200 udp %d>80 +9", port);
    /* By a hash that this test's seed decides: the same in each run. */
    assert_in_range(n_sent[0], 70, 130);
    assert_int_equal(in_use("member_use", 1), n_sent[0]);
    assert_int_equal(in_use("member_use", 2), n_sent[1]);
    all_ends();
}

static void a_client_keeps_its_member(void **state)
{
    memset(n_sent, 0, sizeof(n_sent));
    for (int port = 4000; port < 4050; port++)
        call("A>L ip 10.0.0.1>10.0.0.200 udp %d>88 +9", port);
    assert_true(n_sent[0] == 50 || n_sent[1] == 50);
    for (int port = 4000; port < 4050; port++)
        call("A>L ip6 fd01::1>fd01::200 udp %d>88 +9", port);
    assert_true(n_sent[0] % 50 == 0);
}

static void the_one_with_less_to_do(void **state)
{
    memset(n_sent, 0, sizeof(n_sent));
    for (int port = 4000; port < 4200; port++)
        call("A>L ip 10.0.0.1>10.0.0.200 udp %d>90 +9", port);
    assert_in_range(n_sent[0], 90, 110);
    all_ends();
}

/* Nor does it take any off twice: not when it ends in several ways, nor when another connection takes its place. */
static void what_is_over_does_not_count(void **state)
{
    for (int policy = 0; policy < 2; policy++) {
        if (policy)
            fixture_policy(pipeline, 1, FIXTURE_ALLOW_ALL, FIXTURE_ALLOW_ALL);
        change_epoch(1);
        for (int i = 0; i < 6; i++) { /* The limit is two. */
            int port = 4000 + 100 * policy + i % 4;

            say(1, frame_text("A>L ip 10.0.0.1>10.0.0.200 tcp %d>91 S seq=100", port));
            expect_port(2, NULL);
            assert_int_equal(in_use("listener_use", 12), 1);
            say(2, frame_text("B>A ip 10.0.0.2>10.0.0.1 tcp 8080>%d SA seq=300 ack=101", port));
            say(1, frame_text("A>L ip 10.0.0.1>10.0.0.200 tcp %d>91 A seq=101 ack=301", port));
            say(1, frame_text("A>L ip 10.0.0.1>10.0.0.200 tcp %d>91 FA seq=101 ack=301", port));
            expect_port(2, NULL);
            assert_int_equal(in_use("listener_use", 12), 1); /* The member may go on for long. */
            say(2, frame_text("B>A ip 10.0.0.2>10.0.0.1 tcp 8080>%d FA seq=301 ack=102", port));
            expect_port(1, NULL);
            assert_int_equal(in_use("listener_use", 12), 0);
            assert_int_equal(in_use("member_use", 1), 0);
            say(1, frame_text("A>L ip 10.0.0.1>10.0.0.200 tcp %d>91 A seq=102 ack=302", port));
            expect_port(2, NULL);
            say(2, frame_text("B>A ip 10.0.0.2>10.0.0.1 tcp 8080>%d RA seq=302 ack=102", port));
            assert_int_equal(in_use("listener_use", 12), 0);
        }
    }
    all_ends();
}

static void a_limit_holds_below_zero(void **state)
{
    uint32_t listener = 12;

    ((struct service_use *)pipeline_lookup(pipeline, "listener_use", &listener))->n_connections = (uint64_t)-1;
    say(1, "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>91 S");
    expect_port(2, NULL);
    assert_int_equal(in_use("listener_use", 12), 0);
}

/* ---- members that go ------------------------------------------------------------------------------------------------------------------------ */

static void a_member_that_goes_ends_its_connections(void **state)
{
    say(1, "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>81 S");
    expect_port(2, NULL);
    say(2, "B>A ip 10.0.0.2>10.0.0.1 tcp 8080>4000 SA");
    expect_port(1, NULL);
    fixture_member(pipeline, 1)->flags = 0;
    /* What the member still says becomes a reset for the client. */
    say(2, "B>A ip 10.0.0.2>10.0.0.1 tcp 8080>4000 A +9");
    expect_port(1, "L>A ip 10.0.0.200>10.0.0.1 tcp 81>4000 RA +9");
    say(1, "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>81 A +9");
    expect_drop(DROP_member_gone);
    assert_int_equal(expect_punt(PUNT_UNREACHABLE)->code, UNREACHABLE_PORT);
    say(1, "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>81 A +9");
    expect_drop(DROP_service_no_member);
    all_ends();
}

static void a_number_that_is_anothers_by_now(void **state)
{
    say(1, "A>L ip 10.0.0.1>10.0.0.200 udp 4000>81 +9");
    expect_port(2, NULL);
    fixture_member(pipeline, 1)->name.first++;
    say(1, "A>L ip 10.0.0.1>10.0.0.200 udp 4000>81 +9");
    expect_drop(DROP_member_gone);
    expect_punt(PUNT_UNREACHABLE);
    say(2, "B>A ip 10.0.0.2>10.0.0.1 udp 8080>4000 +9");
    expect_drop(DROP_member_gone);
    all_ends();
}

static void a_member_without_rows_goes_on(void **state)
{
    say(1, "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>81 S");
    expect_port(2, NULL);
    struct service_rows_key key = {2, SERVICE_ROWS_INDEX(1, 0)};
    ((struct service_rows *)pipeline_lookup(pipeline, "service_rows", &key))->rows[0].owner = 2;
    say(1, "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>81 A");
    expect_port(2, NULL);
    say(1, "A>L ip 10.0.0.1>10.0.0.200 tcp 4001>81 S");
    expect_host(1, "A>02:ab:70:00:00:02 ip 10.0.0.1>10.0.0.200 tcp 4001>81 S");
    all_ends();
}

static void a_listener_that_goes_ends_its_connections(void **state)
{
    struct service_key key = {.vni = 7, .port = htons(81), .protocol = IPPROTO_TCP};

    say(1, "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>81 S");
    expect_port(2, NULL);
    frame_address("10.0.0.200", key.address);
    assert_int_equal(pipeline_delete(pipeline, "services", &key), 0);
    say(1, "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>81 A");
    expect_drop(DROP_member_gone);
    say(1, "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>81 A");
    expect_drop(DROP_service_no_listener);
    all_ends();
}

#define SECOND 1000000000ull
#define ROUND (15 * SECOND) /* Of the sweeper, at most. */
#define DAY (86400 * SECOND)

static void open_connection(void)
{
    say(1, "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>81 S");
    expect_port(2, NULL);
    say(2, "B>A ip 10.0.0.2>10.0.0.1 tcp 8080>4000 SA");
    expect_port(1, NULL);
    say(1, "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>81 A");
    expect_port(2, NULL);
}

/* At the client's port and at the member's, and also if the timeout changes while it runs; two hours are everybody's. */
static void a_silent_connection_ends_when_its_listener_says(void **state)
{
    open_connection();
    set_timeout("10.0.0.200", 81, 2, 10000000);
    pipeline_advance(pipeline, 9000 * SECOND);
    assert_int_equal(n_entries("connections"), 2);
    say(1, "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>81 A +9");
    expect_port(2, NULL);
    set_timeout("10.0.0.200", 81, 2, 5000);
    pipeline_advance(pipeline, 9004 * SECOND);
    assert_int_equal(n_entries("connections"), 2);
    pipeline_advance(pipeline, 9005 * SECOND + 2 * ROUND);
    assert_int_equal(n_entries("connections"), 0);
    assert_int_equal(n_entries("balanced"), 0);
    assert_int_equal(in_use("listener_use", 2), 0);
    /* Who goes on all the same is told; who begins is served. */
    say(1, "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>81 A +9");
    expect_drop(DROP_member_gone);
    assert_int_equal(expect_punt(PUNT_UNREACHABLE)->code, UNREACHABLE_PORT);
    open_connection();
    all_ends();
}

/* The shortest one is no none, and the longest one does not outlast what tells an entry's age. */
static void any_timeout_ends_a_connection(void **state)
{
    open_connection();
    set_timeout("10.0.0.200", 81, 2, 1);
    pipeline_advance(pipeline, SECOND + 2 * ROUND);
    assert_int_equal(n_entries("connections"), 0);
    set_timeout("10.0.0.200", 81, 2, UINT32_MAX);
    open_connection();
    pipeline_advance(pipeline, 22 * DAY);
    assert_int_equal(n_entries("connections"), 2);
    pipeline_advance(pipeline, 24 * DAY);
    assert_int_equal(n_entries("connections"), 0);
}

/* Its client is elsewhere: here is only the member's entry, also of one that was there before its listener's number was. */
static void a_silent_connection_of_another_host_ends(void **state)
{
    static const char *const forth = "outer 192.0.2.2>192.0.2.1 7 2/0/5 M>02:ab:70:00:00:01 ip 10.0.0.101>10.0.0.200 tcp 4000>81 A";
    struct flow_entry *entry;
    struct flow_key key;

    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/0/5 M>02:ab:70:00:00:01 ip 10.0.0.101>10.0.0.200 tcp 4000>81 S");
    expect_port(2, NULL);
    say(2, "B>M ip 10.0.0.2>10.0.0.101 tcp 8080>4000 SA");
    expect_sent(TUNNEL_HOPS_BACK, 5, "B>M ip 10.0.0.200>10.0.0.101 tcp 81>4000 SA");
    say(TUNNEL, forth);
    key = (struct flow_key){.owner = 2 | IPPROTO_TCP << 24, .local = ipv4("10.0.0.2"), .remote = ipv4("10.0.0.101"), .local_port = htons(8080), .remote_port = htons(4000)};
    entry = pipeline_lookup(pipeline, "connections", &key);
    assert_non_null(entry);
    assert_int_equal(entry->next_mac[4], 2);
    entry->next_mac[4] = 0;
    set_timeout("10.0.0.200", 81, 2, 200000);
    say(TUNNEL, forth);
    expect_port(2, NULL);
    assert_int_equal(entry->next_mac[4], 2);
    pipeline_advance(pipeline, 150 * SECOND);
    assert_int_equal(n_entries("connections"), 1);
    pipeline_advance(pipeline, 200 * SECOND + 2 * ROUND);
    assert_int_equal(n_entries("connections"), 0);
    all_ends();
}

static void an_address_that_is_no_balancers_any_more(void **state)
{
    say(1, "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>81 S");
    expect_port(2, NULL);
    fixture_fdb(pipeline, "fdb", 7, "L", OUTPUT_LOCAL | 2);
    change_epoch(1);
    say(1, "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>81 A");
    expect_drop(DROP_member_gone);
    say(1, "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>81 A");
    expect_port(2, "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>81 A");
    all_ends();
}

static void a_connection_is_decided_again(void **state)
{
    say(10, "J>S ip 10.0.1.1>10.0.0.200 tcp 4000>81 S");
    expect_port(2, NULL);
    change_epoch(10);
    change_epoch(2);
    say(2, "B>R ip 10.0.0.2>10.0.1.1 tcp 8080>4000 SA");
    expect_port(10, NULL);
    say(10, "J>S ip 10.0.1.1>10.0.0.200 tcp 4000>81 A");
    expect_port(2, "L>B ip 10.0.1.1>10.0.0.2 ttl=63 tcp 4000>8080 A");
    fixture_router_port(pipeline, 2)->flags = 0;
    change_epoch(10);
    say(10, "J>S ip 10.0.1.1>10.0.0.200 tcp 4000>81 A");
    expect_drop(DROP_router_down);
    all_ends();
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up_balancing, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_member_of_this_host_serves),
        CASE(ipv6_is_served),
        CASE(the_member_answers_wherever_it_thinks),
        CASE(a_member_in_a_network_without_a_way),
        CASE(a_member_calls_its_own_balancer),
        CASE(a_member_calls_itself_from_its_own_port),
        CASE(a_member_of_another_host_serves),
        CASE(a_client_of_another_host_is_served),
        CASE(what_hosts_send_is_looked_at),
        CASE(a_client_that_knows_the_member_itself),
        CASE(clients_of_one_address_in_two_networks),
        CASE(two_listeners_and_one_member),
        CASE(a_direct_call_from_the_port_of_a_balanced_one),
        CASE(a_direct_call_to_a_member_without_security_groups),
        CASE(a_refused_connection_leaves_no_name),
        CASE(many_clients_are_spread),
        CASE(a_client_keeps_its_member),
        CASE(the_one_with_less_to_do),
        CASE(what_is_over_does_not_count),
        CASE(a_limit_holds_below_zero),
        CASE(a_member_that_goes_ends_its_connections),
        CASE(a_number_that_is_anothers_by_now),
        CASE(a_member_without_rows_goes_on),
        CASE(a_listener_that_goes_ends_its_connections),
        CASE(a_silent_connection_ends_when_its_listener_says),
        CASE(any_timeout_ends_a_connection),
        CASE(a_silent_connection_of_another_host_ends),
        CASE(an_address_that_is_no_balancers_any_more),
        CASE(a_connection_is_decided_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
