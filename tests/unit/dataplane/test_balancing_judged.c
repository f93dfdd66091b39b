/* Load balancers, frame by frame: who is refused, what security groups see, and packets that are no plain ones: errors, fragments.  See
 * balancing.h. */
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

/* ---- what is refused ---------------------------------------------------------------------------------------------------------------- */

static void a_closed_port_answers(void **state)
{
    static const struct {
        const char *l4;
        enum drop_reason reason;
    } cases[] = {{"tcp 4000>99 S", DROP_service_no_listener}, {"udp 4000>99 +9", DROP_service_no_listener}, {"proto 47 +20", DROP_service_no_listener},
                 {"tcp 4000>86 S", DROP_service_no_member}, {"udp 4000>86 +9", DROP_service_no_member}, {"tcp 4000>89 S", DROP_service_no_listener}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        fixture_port(pipeline, 1)->punt_rate = 1000;
        fixture_port(pipeline, 1)->punt_burst = 1000;
        say(1, frame_text("A>L ip 10.0.0.1>10.0.0.200 %s", cases[i].l4));
        expect_drop(cases[i].reason);
        assert_int_equal(expect_punt(PUNT_UNREACHABLE)->code, i == 2 ? UNREACHABLE_PROTOCOL : UNREACHABLE_PORT);
    }
    assert_int_equal(counters(7)->n_refused, 2);
    say(1, "A>L ip 10.0.0.1>10.0.0.201 tcp 4000>81 S");
    expect_drop(DROP_unknown_destination);
    assert_int_equal(result.n_outputs, 0);
    assert_int_equal(n_entries("connections"), 0);
}

static void echo_is_answered(void **state)
{
    say(1, "A>L ip 10.0.0.1>10.0.0.200 icmp 8 7 +30");
    expect_verdict(PIPELINE_ANSWERED);
    expect_bytes(result.outputs[0].bytes, result.outputs[0].size, "L>A ip 10.0.0.200>10.0.0.1 icmp 0 7 +30");
    say(10, "J>S ip 10.0.1.1>10.0.0.200 icmp 8 7 +30");
    expect_verdict(PIPELINE_ANSWERED);
    expect_bytes(result.outputs[0].bytes, result.outputs[0].size, "S>J ip 10.0.0.200>10.0.1.1 ttl=63 icmp 0 7 +30");
    say(1, "A>L ip6 fd01::1>fd01::200 icmp6 128 7 +30");
    expect_verdict(PIPELINE_ANSWERED);
    say(1, "A>* arp request A 10.0.0.1 10.0.0.200");
    expect_verdict(PIPELINE_ANSWERED);
}

static void only_some_may_call(void **state)
{
    say(1, "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>87 S");
    expect_drop(DROP_service_denied);
    assert_int_equal(result.n_outputs, 0);
    say(2, "B>L ip 10.0.0.2>10.0.0.200 tcp 4000>87 S");
    assert_true(result.verdict == PIPELINE_DELIVERED || result.verdict == PIPELINE_TUNNELLED);
    say(1, "A>L ip6 fd01::1>fd01::200 tcp 4000>87 S");
    expect_drop(DROP_service_denied);
    say(2, "B>L ip6 fd01::2>fd01::200 tcp 4000>87 S");
    assert_true(result.verdict == PIPELINE_DELIVERED || result.verdict == PIPELINE_TUNNELLED);
}

static void who_may_not_call_any_more_is_cut_off(void **state)
{
    say(1, "A>L ip 10.0.0.1>10.0.0.200 udp 4000>81 +9");
    expect_port(2, NULL);
    fixture_service(pipeline, "10.0.0.200", IPPROTO_UDP, 81)->flags |= SERVICE_RESTRICTED;
    change_epoch(1);
    for (int round = 0; round < 2; round++) {
        say(1, "A>L ip 10.0.0.1>10.0.0.200 udp 4000>81 +9");
        expect_drop(DROP_service_denied);
    }
    say(2, "B>A ip 10.0.0.2>10.0.0.1 udp 8080>4000 +9");
    expect_drop(DROP_unknown_translation);
    all_ends();
}

static void a_listener_has_a_limit(void **state)
{
    for (int port = 4000; port < 4004; port++) {
        say(1, frame_text("A>L ip 10.0.0.1>10.0.0.200 tcp %d>91 S", port));
        if (port < 4002)
            expect_port(2, NULL);
        else
            expect_drop(DROP_service_limit);
    }
    say(1, "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>91 A");
    expect_port(2, NULL);
    assert_int_equal(counters(12)->n_refused, 2);
    all_ends();
    say(1, "A>L ip 10.0.0.1>10.0.0.200 tcp 4002>91 S");
    expect_port(2, NULL);
}

/* Whether it knows TCP's state by sequence numbers or not: what comes from a port that is in use already begins anew, once that is over. */
static void a_known_port_is_no_way_around(void **state)
{
    fixture_policy(pipeline, 8, FIXTURE_ALLOW_ALL, FIXTURE_ALLOW_ALL);
    for (uint32_t slot = 1; slot <= 8; slot += 7) { /* A has no security groups, H has. */
        const char *name = slot == 1 ? "A" : "H";
        int host = (int)slot;
        struct service_rows_key key = {2, SERVICE_ROWS_INDEX(1, 0)};
        struct service_rows *rows = pipeline_lookup(pipeline, "service_rows", &key);
        struct service_value *service = fixture_service(pipeline, "10.0.0.200", IPPROTO_TCP, 81);

        rows->rows[0].owner = 1;
        service->limit = 1;
        say(slot, frame_text("%s>L ip 10.0.0.%d>10.0.0.200 tcp 4000>81 S seq=100", name, host));
        expect_port(2, NULL);
        /* Another one of the same port before it is over is part of it. */
        say(2, frame_text("B>%s ip 10.0.0.2>10.0.0.%d tcp 8080>4000 RA seq=0 ack=101", name, host));
        expect_port(slot, NULL);
        rows->rows[0].owner = 2; /* The member is drained. */
        say(slot, frame_text("%s>L ip 10.0.0.%d>10.0.0.200 tcp 4000>81 S seq=300", name, host));
        expect_host(1, frame_text("%s>02:ab:70:00:00:02 ip 10.0.0.%d>10.0.0.200 tcp 4000>81 S seq=300", name, host));
        assert_int_equal(in_use("member_use", 1), 0);
        assert_int_equal(in_use("member_use", 2), 1);
        assert_int_equal(in_use("listener_use", 2), 1);
        say(TUNNEL, frame_text("outer 192.0.2.2>192.0.2.1 7 2/15/%d X>%s ip 10.0.0.200>10.0.0.%d tcp 81>4000 RA seq=0 ack=301", host, name, host));
        expect_port(slot, NULL);
        service->flags |= SERVICE_RESTRICTED;
        say(slot, frame_text("%s>L ip 10.0.0.%d>10.0.0.200 tcp 4000>81 S seq=500", name, host));
        expect_drop(DROP_service_denied);
        service->flags &= (uint8_t)~SERVICE_RESTRICTED;
        assert_int_equal(in_use("listener_use", 2), 0);
    }
    all_ends();
}

/* The member's side of it: the second connection is one as the first was. */
static void a_member_sees_the_next_connection(void **state)
{
    for (int round = 0; round < 3; round++) {
        say(1, frame_text("A>L ip 10.0.0.1>10.0.0.200 tcp 4000>81 S seq=%d00", round + 1));
        expect_port(2, frame_text("L>B ip 10.0.0.1>10.0.0.2 tcp 4000>8080 S seq=%d00", round + 1));
        assert_int_equal(n_entries("balanced"), 1);
        say(2, frame_text("B>A ip 10.0.0.2>10.0.0.1 tcp 8080>4000 RA seq=0 ack=%d01", round + 1));
        expect_port(1, frame_text("L>A ip 10.0.0.200>10.0.0.1 tcp 81>4000 RA seq=0 ack=%d01", round + 1));
    }
    assert_int_equal(n_entries("connections"), 2);
    all_ends();
}

/* ---- security groups -------------------------------------------------------------------------------------------------------------------------- */

static void a_members_groups_see_the_client(void **state)
{
    struct rule only_b = {.flags = RULE_IPV4, .prefix_length = 128};

    frame_address("10.0.0.2", only_b.address);
    fixture_rules(pipeline, 7, &only_b, 1);
    fixture_policy(pipeline, 8, FIXTURE_ALLOW_ALL, 7);
    say(1, "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>84 S");
    expect_drop(DROP_policy_ingress);
    say(2, "B>L ip 10.0.0.2>10.0.0.200 tcp 4000>84 S seq=100");
    expect_port(8, "L>H ip 10.0.0.2>10.0.0.8 tcp 4000>8080 S seq=100");
    say(8, "H>B ip 10.0.0.8>10.0.0.2 tcp 8080>4000 SA seq=500 ack=101");
    expect_port(2, "L>B ip 10.0.0.200>10.0.0.2 tcp 84>4000 SA seq=500 ack=101");
    say(2, "B>L ip 10.0.0.2>10.0.0.200 tcp 4000>84 A seq=101 ack=501");
    expect_port(8, NULL);
    /* A change ends it. */
    fixture_policy(pipeline, 8, FIXTURE_ALLOW_ALL, 0);
    change_epoch(8);
    say(2, "B>L ip 10.0.0.2>10.0.0.200 tcp 4000>84 A seq=101 ack=501");
    expect_drop(DROP_policy_ingress);
    all_ends();
}

static void a_clients_groups_see_the_balancer(void **state)
{
    struct rule only_l = {.flags = RULE_IPV4, .prefix_length = 128};

    frame_address("10.0.0.200", only_l.address);
    fixture_rules(pipeline, 7, &only_l, 1);
    fixture_policy(pipeline, 8, 7, 0);
    say(8, "H>L ip 10.0.0.8>10.0.0.200 tcp 4000>81 S seq=100");
    expect_port(2, "L>B ip 10.0.0.8>10.0.0.2 tcp 4000>8080 S seq=100");
    say(2, "B>H ip 10.0.0.2>10.0.0.8 tcp 8080>4000 SA seq=500 ack=101");
    expect_port(8, "L>H ip 10.0.0.200>10.0.0.8 tcp 81>4000 SA seq=500 ack=101");
    say(8, "H>L ip 10.0.0.8>10.0.0.200 tcp 4000>81 A seq=101 ack=501");
    expect_port(2, NULL);
    change_epoch(8); /* An answer renews the verdict, and the way is decided by what is sent. */
    say(2, "B>H ip 10.0.0.2>10.0.0.8 tcp 8080>4000 A seq=501 ack=101 +9");
    expect_port(8, NULL);
    say(8, "H>L ip 10.0.0.8>10.0.0.200 tcp 4000>81 A seq=101 ack=510");
    expect_port(2, "L>B ip 10.0.0.8>10.0.0.2 tcp 4000>8080 A seq=101 ack=510");
    say(8, "H>B ip 10.0.0.8>10.0.0.2 tcp 4001>8080 S");
    expect_drop(DROP_policy_egress);
    all_ends();
}

/* What servers and clients of DHCP say to each other needs no rule within a network; by a load balancer it does. */
static void dhcp_through_a_balancer_is_judged(void **state)
{
    fixture_policy(pipeline, 8, 0, 0);
    fixture_member(pipeline, 4)->port = htons(68);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/0/5 M>02:ab:70:00:00:04 ip 10.0.0.101>10.0.0.200 udp 67>84 +9");
    expect_drop(DROP_policy_ingress);
    assert_int_equal(n_entries("balanced"), 0);
    say(8, "H>L ip 10.0.0.8>10.0.0.200 udp 68>67 +9");
    expect_drop(DROP_policy_egress);
    /* What the member answers is judged after a change, too. */
    fixture_policy(pipeline, 8, 0, FIXTURE_ALLOW_ALL);
    fixture_member(pipeline, 4)->port = htons(68);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/0/5 M>02:ab:70:00:00:04 ip 10.0.0.101>10.0.0.200 udp 67>84 +9");
    expect_port(8, "L>H ip 10.0.0.101>10.0.0.8 udp 67>68 +9");
    fixture_policy(pipeline, 8, 0, 0);
    change_epoch(8);
    say(8, "H>M ip 10.0.0.8>10.0.0.101 udp 68>67 +9");
    expect_drop(DROP_policy_ingress);
    all_ends();
}

/* ---- errors, fragments, sizes --------------------------------------------------------------------------------------------------------------------- */

static void errors_are_translated_inside_out(void **state)
{
    say(1, "A>L ip 10.0.0.1>10.0.0.200 udp 4000>81 +9");
    expect_port(2, NULL);
    say(2, "B>A ip 10.0.0.2>10.0.0.1 icmp 3 3 quote ip 10.0.0.1>10.0.0.2 udp 4000>8080 +9");
    expect_port(1, "L>A ip 10.0.0.200>10.0.0.1 icmp 3 3 quote ip 10.0.0.1>10.0.0.200 udp 4000>81 +9");
    say(2, "B>A ip 10.0.0.2>10.0.0.1 udp 8080>4000 +5");
    expect_port(1, NULL);
    say(1, "A>L ip 10.0.0.1>10.0.0.200 icmp 3 3 quote ip 10.0.0.200>10.0.0.1 udp 81>4000 +5");
    expect_port(2, "L>B ip 10.0.0.1>10.0.0.2 icmp 3 3 quote ip 10.0.0.2>10.0.0.1 udp 8080>4000 +5");
    /* About nothing that is known. */
    say(1, "A>L ip 10.0.0.1>10.0.0.200 icmp 3 3 quote ip 10.0.0.200>10.0.0.1 udp 81>4001 +5");
    expect_drop(DROP_service_no_listener);
}

static void errors_of_ipv6_too(void **state)
{
    say(1, "A>L ip6 fd01::1>fd01::200 udp 4000>81 +9");
    expect_port(2, "L>B ip6 fd01::1>fd01::2 udp 4000>8080 +9");
    say(2, "B>A ip6 fd01::2>fd01::1 icmp6 1 4 quote ip6 fd01::1>fd01::2 udp 4000>8080 +9");
    expect_port(1, "L>A ip6 fd01::200>fd01::1 icmp6 1 4 quote ip6 fd01::1>fd01::200 udp 4000>81 +9");
    say(2, "B>A ip6 fd01::2>fd01::1 udp 8080>4000 +5");
    expect_port(1, "L>A ip6 fd01::200>fd01::1 udp 81>4000 +5");
    say(1, "A>L ip6 fd01::1>fd01::200 icmp6 1 4 quote ip6 fd01::200>fd01::1 udp 81>4000 +5");
    expect_port(2, "L>B ip6 fd01::1>fd01::2 icmp6 1 4 quote ip6 fd01::2>fd01::1 udp 8080>4000 +5");
}

static void errors_pass_security_groups(void **state)
{
    say(2, "B>L ip 10.0.0.2>10.0.0.200 udp 4000>84 +9");
    expect_port(8, NULL);
    fixture_policy(pipeline, 8, 0, FIXTURE_ALLOW_ALL);
    say(8, "H>B ip 10.0.0.8>10.0.0.2 icmp 3 3 quote ip 10.0.0.2>10.0.0.8 udp 4000>8080 +9");
    expect_port(2, "L>B ip 10.0.0.200>10.0.0.2 icmp 3 3 quote ip 10.0.0.2>10.0.0.200 udp 4000>84 +9");
}

static void errors_cross_hosts(void **state)
{
    say(1, "A>L ip 10.0.0.1>10.0.0.200 udp 4000>82 +9");
    expect_host(1, "A>02:ab:70:00:00:02 ip 10.0.0.1>10.0.0.200 udp 4000>82 +9");
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/15/1 X>A ip 10.0.0.200>10.0.0.1 icmp 3 3 quote ip 10.0.0.1>10.0.0.200 udp 4000>82 +9");
    expect_port(1, "L>A ip 10.0.0.200>10.0.0.1 icmp 3 3 quote ip 10.0.0.1>10.0.0.200 udp 4000>82 +9");
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/0/5 M>02:ab:70:00:00:01 ip 10.0.0.101>10.0.0.200 udp 4000>81 +9");
    expect_port(2, NULL);
    say(2, "B>M ip 10.0.0.2>10.0.0.101 icmp 3 3 quote ip 10.0.0.101>10.0.0.2 udp 4000>8080 +9");
    expect_sent(TUNNEL_HOPS_BACK, 5, "B>M ip 10.0.0.200>10.0.0.101 icmp 3 3 quote ip 10.0.0.101>10.0.0.200 udp 4000>81 +9");
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/0/5 M>02:ab:70:00:00:01 ip 10.0.0.101>10.0.0.200 icmp 3 3 quote ip 10.0.0.200>10.0.0.101 udp 81>4000 +9");
    expect_port(2, "L>B ip 10.0.0.101>10.0.0.2 icmp 3 3 quote ip 10.0.0.2>10.0.0.101 udp 8080>4000 +9");
}

static void fragments_follow_their_first(void **state)
{
    say(1, "A>L ip 10.0.0.1>10.0.0.200 more udp 4000>81 +32");
    expect_port(2, NULL);
    say(1, "A>L ip 10.0.0.1>10.0.0.200 frag=5 proto 17 +20");
    expect_port(2, "L>B ip 10.0.0.1>10.0.0.2 frag=5 proto 17 +20");
    say(2, "B>A ip 10.0.0.2>10.0.0.1 more udp 8080>4000 +32");
    expect_port(1, NULL);
    say(2, "B>A ip 10.0.0.2>10.0.0.1 frag=5 proto 17 +20");
    expect_port(1, "L>A ip 10.0.0.200>10.0.0.1 frag=5 proto 17 +20");
    say(1, "A>L ip6 fd01::1>fd01::200 more udp 4000>81 +32");
    expect_port(2, NULL);
    say(1, "A>L ip6 fd01::1>fd01::200 frag=5 proto 17 +20");
    expect_port(2, "L>B ip6 fd01::1>fd01::2 frag=5 proto 17 +20");
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/0/5 M>02:ab:70:00:00:01 ip 10.0.0.101>10.0.0.200 more udp 4000>81 +32");
    expect_port(2, NULL);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/0/5 M>02:ab:70:00:00:01 ip 10.0.0.101>10.0.0.200 frag=5 proto 17 +20");
    expect_port(2, "L>B ip 10.0.0.101>10.0.0.2 frag=5 proto 17 +20");
    say(2, "B>L ip 10.0.0.2>10.0.0.200 frag=5 proto 17 +20");
    expect_drop(DROP_fragment_unknown);
}

static void answers_come_in_fragments(void **state)
{
    say(1, "A>L ip 10.0.0.1>10.0.0.200 udp 4000>82 +9");
    expect_host(1, "A>02:ab:70:00:00:02 ip 10.0.0.1>10.0.0.200 udp 4000>82 +9");
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/15/1 X>A ip 10.0.0.200>10.0.0.1 more udp 82>4000 +32");
    expect_port(1, NULL);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/15/1 X>A ip 10.0.0.200>10.0.0.1 frag=5 proto 17 +20");
    expect_port(1, "L>A ip 10.0.0.200>10.0.0.1 frag=5 proto 17 +20");
}

/* Each frame with every shorter linear part and every shorter frame, of connections that are known and of others. */
static void what_is_cut_is_safe(void **state)
{
    static const struct {
        uint32_t place;
        const char *text;
    } frames[] = {
        {1, "A>L ip 10.0.0.1>10.0.0.200 options tcp 4000>81 S +7"},
        {2, "B>A ip 10.0.0.2>10.0.0.1 tcp 8080>4000 SA +7"},
        {1, "A>L ip 10.0.0.1>10.0.0.200 sctp 4000>82 +9"},
        {1, "A>L ip6 fd01::1>fd01::200 hopopts udp 4000>81 +9"},
        {2, "B>A ip6 fd01::2>fd01::1 udp 8080>4000 +9"},
        {2, "B>A ip6 fd01::2>fd01::1 icmp6 1 4 quote ip6 fd01::1>fd01::2 udp 4000>8080 +9"},
        {1, "A>L ip 10.0.0.1>10.0.0.200 udp 4000>81 +9"},
        {2, "B>A ip 10.0.0.2>10.0.0.1 icmp 3 3 quote ip 10.0.0.1>10.0.0.2 options udp 4000>8080 +9"},
        {1, "A>L ip 10.0.0.1>10.0.0.200 more udp 4000>81 +32"},
        {TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/0/5 M>02:ab:70:00:00:01 ip 10.0.0.101>10.0.0.200 tcp 4000>81 S"},
        {TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/0/5 M>02:ab:70:00:00:01 ip 10.0.0.101>10.0.0.200 icmp 3 3 quote ip 10.0.0.200>10.0.0.101 tcp 81>4000 SA"},
        {TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/15/1 X>A ip 10.0.0.200>10.0.0.1 udp 81>4000 +9"},
        {TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/15/1 X>A ip 10.0.0.200>10.0.0.1 icmp 3 3 quote ip 10.0.0.1>10.0.0.200 udp 4000>81 +9"},
        {TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/14/9 X>02:ab:70:00:00:01 ip 10.0.0.200>10.0.0.101 tcp 81>4000 SA"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
        struct frame frame;

        frame_parse(frames[i].text, &frame);
        for (uint32_t size = frame.size; size >= 14; size--)
            for (uint32_t linear = 0; linear < size; linear += 11) {
                struct pipeline_frame input = {.bytes = frame.bytes, .size = size, .linear = linear,
                                               .ifindex = frames[i].place == TUNNEL ? UNDERLAY_IFINDEX : 100 + frames[i].place};

                pipeline_result_clear(&result);
                assert_int_equal(pipeline_trace(pipeline, frames[i].place == TUNNEL ? PIPELINE_FROM_UNDERLAY : PIPELINE_FROM_WORKLOAD, &input, &result), 0);
                assert_true(size == frame.size || result.verdict != PIPELINE_DELIVERED || result.n_outputs == 1);
            }
    }
    all_ends();
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up_balancing, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_closed_port_answers),
        CASE(echo_is_answered),
        CASE(only_some_may_call),
        CASE(who_may_not_call_any_more_is_cut_off),
        CASE(a_listener_has_a_limit),
        CASE(a_known_port_is_no_way_around),
        CASE(a_member_sees_the_next_connection),
        CASE(a_members_groups_see_the_client),
        CASE(a_clients_groups_see_the_balancer),
        CASE(dhcp_through_a_balancer_is_judged),
        CASE(errors_are_translated_inside_out),
        CASE(errors_of_ipv6_too),
        CASE(errors_pass_security_groups),
        CASE(errors_cross_hosts),
        CASE(fragments_follow_their_first),
        CASE(answers_come_in_fragments),
        CASE(what_is_cut_is_safe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
