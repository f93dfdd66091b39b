/* Firewall policies of router ports, over the worlds of tests/bpf/fixture.h and fixture-external.h: directions, order, chains, answers, changes,
 * and what comes from outside. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "conversation.h"
#include "weft/base/util.h"

#define DENY_ALL 90u
#define ALLOW_ALL 91u

static struct firewall_rule_row rule(enum firewall_verdict verdict, const char *source, uint8_t source_bits, const char *destination,
                                     uint8_t destination_bits, uint8_t protocol, uint16_t port, uint32_t number)
{
    struct firewall_rule_row row = {.flags = RULE_IPV4, .verdict = (uint8_t)verdict, .number = number};

    if ((source && strchr(source, ':')) || (destination && strchr(destination, ':')))
        row.flags = RULE_IPV6;
    if (source) {
        frame_address(source, row.source);
        row.source_length = (uint8_t)(source_bits + (strchr(source, ':') ? 0 : 96));
    }
    if (destination) {
        frame_address(destination, row.destination);
        row.destination_length = (uint8_t)(destination_bits + (strchr(destination, ':') ? 0 : 96));
    }
    if (protocol) {
        row.flags |= RULE_PROTOCOL;
        row.protocol = protocol;
    }
    if (port) {
        row.flags |= FIREWALL_DESTINATION_PORTS;
        row.destination_min = row.destination_max = port;
    }
    return row;
}

static void firewall(uint32_t number, enum policy_direction direction, uint32_t set)
{
    fixture_router_port(pipeline, number)->rule_set[direction] = set;
}

static int set_up_firewall(void **state)
{
    struct firewall_rule_row all[] = {{.flags = RULE_IPV4 | RULE_IPV6, .verdict = FIREWALL_PASSES, .number = 0xa11}};

    set_up(state);
    fixture_firewall(pipeline, DENY_ALL, NULL, 0);
    fixture_firewall(pipeline, ALLOW_ALL, all, 1);
    for (uint32_t slot = 1; slot <= 12; slot++)
        fixture_port(pipeline, slot)->flags |= PORT_ROUTER_FIREWALL;
    fixture_router_port(pipeline, 2)->mtu = fixture_router_port(pipeline, 3)->mtu = 1450;
    return 0;
}

static void expect_step(const char *text)
{
    for (size_t i = 0; i < result.n_steps; i++)
        if (strcmp(result.steps[i].stage, "firewall") == 0 && strstr(result.steps[i].text, text))
            return;
    fail_msg("no step of a firewall says '%s'", text);
}

static void directions_are_those_of_the_network_behind_the_port(void **state)
{
    struct firewall_rule_row web[] = {rule(FIREWALL_PASSES, "10.0.0.0", 24, NULL, 0, IPPROTO_TCP, 80, 0x80)};

    fixture_firewall(pipeline, 1, web, 1);
    firewall(1, POLICY_EGRESS, 1); /* What network 7 sends. */
    say(1, "A>R ip 10.0.0.1>10.0.1.1 tcp 1000>80 S");
    expect_port(10, NULL);
    expect_step("router port 1, egress: rule 00000080 lets it pass");
    say(1, "A>R ip 10.0.0.1>10.0.1.1 tcp 1000>81 S");
    expect_drop(DROP_firewall_egress);
    expect_step("router port 1, egress: no rule lets it pass");
    assert_int_equal(1, fixture_counters(pipeline, 1)->drops[DROP_firewall_egress]);
    say(10, "J>S ip 10.0.1.1>10.0.0.1 tcp 7>8 S"); /* Nobody is asked about what goes there. */
    expect_port(1, NULL);
    firewall(1, POLICY_EGRESS, RULE_SET_NO_ROOM);
    say(1, "A>R ip 10.0.0.1>10.0.1.1 tcp 1002>80 S");
    expect_drop(DROP_firewall_egress);
    expect_step("router port 1, egress: this host has no room for its rules");
    firewall(1, POLICY_EGRESS, 0);
    firewall(1, POLICY_INGRESS, DENY_ALL);
    say(10, "J>S ip 10.0.1.1>10.0.0.1 tcp 9>8 S");
    expect_drop(DROP_firewall_ingress);
    firewall(1, POLICY_INGRESS, 0);
    firewall(2, POLICY_INGRESS, 1); /* What leaves the router into network 10. */
    say(1, "A>R ip 10.0.0.1>10.0.1.1 tcp 1001>80 S");
    expect_port(10, NULL);
    say(1, "A>R ip6 fd01::1>fd02::1 tcp 1001>80 S"); /* No rule is for IPv6. */
    expect_drop(DROP_firewall_ingress);
    say(1, "A>R ip 10.0.0.1>10.0.0.254 icmp 8 1"); /* The router itself is no destination of what it passes on. */
    expect_verdict(PIPELINE_ANSWERED);
}

static void the_first_rule_that_fits_decides(void **state)
{
    struct firewall_rule_row many[2 * FIREWALL_RULES_PER_BLOCK];

    for (uint32_t i = 0; i < ARRAY_SIZE(many); i++)
        many[i] = rule(i % 2 ? FIREWALL_DENIES : FIREWALL_PASSES, NULL, 0, NULL, 0, IPPROTO_UDP, (uint16_t)(100 + i / 2), i + 1);
    fixture_firewall(pipeline, 1, many, ARRAY_SIZE(many)); /* Exactly two blocks. */
    firewall(1, POLICY_EGRESS, 1);
    for (uint32_t port = 100; port < 100 + FIREWALL_RULES_PER_BLOCK; port++) {
        say(1, frame_text("A>R ip 10.0.0.1>10.0.1.1 udp 1>%u", port));
        expect_port(10, NULL);
    }
    say(1, "A>R ip 10.0.0.1>10.0.1.1 udp 1>99");
    expect_drop(DROP_firewall_egress);
    many[0].verdict = FIREWALL_DENIES; /* Of another set: these never change. */
    many[1].verdict = FIREWALL_PASSES;
    fixture_firewall(pipeline, 2, many, ARRAY_SIZE(many));
    firewall(1, POLICY_EGRESS, 2);
    say(1, "A>R ip 10.0.0.1>10.0.1.1 udp 2>100");
    expect_drop(DROP_firewall_egress);
    expect_step("rule 00000001 denies it");
}

static void rules_look_at_both_ends(void **state)
{
    struct firewall_rule_row row = rule(FIREWALL_PASSES, "10.0.0.1", 32, "10.0.1.0", 24, IPPROTO_UDP, 0, 1);

    row.flags |= FIREWALL_SOURCE_PORTS;
    row.source_min = 1000;
    row.source_max = 1999;
    fixture_firewall(pipeline, 1, &row, 1);
    firewall(1, POLICY_EGRESS, 1);
    say(1, "A>R ip 10.0.0.1>10.0.1.1 udp 1999>5");
    expect_port(10, NULL);
    say(1, "A>R ip 10.0.0.1>10.0.1.1 udp 2000>5");
    expect_drop(DROP_firewall_egress);
    say(1, "A>R ip 10.0.0.1>10.0.2.1 udp 1500>5");
    expect_drop(DROP_firewall_egress);
    say(2, "B>R ip 10.0.0.2>10.0.1.1 udp 1500>5");
    expect_drop(DROP_firewall_egress);
}

static void all_routers_on_the_way_are_asked(void **state)
{
    firewall(1, POLICY_EGRESS, ALLOW_ALL);
    firewall(4, POLICY_INGRESS, DENY_ALL); /* The second router's, towards network 11. */
    say(1, "A>R ip 10.0.0.1>10.0.2.1 udp 1>2");
    expect_drop(DROP_firewall_ingress);
    expect_step("router port 1, egress: rule 00000a11 lets it pass");
    say(1, "A>R ip 10.0.0.1>10.0.1.1 udp 1>2"); /* Which this does not pass. */
    expect_port(10, NULL);
    firewall(4, POLICY_INGRESS, ALLOW_ALL);
    say(1, "A>R ip 10.0.0.1>10.0.2.1 udp 1>2");
    expect_port(11, NULL);
    say(1, "A>R ip 10.0.0.1>10.0.2.1 ttl=1 udp 1>3"); /* It ends before anybody passes it on. */
    expect_drop(DROP_ttl_exceeded);
    firewall(2, POLICY_INGRESS, DENY_ALL);
    say(1, "A>R ip 10.0.0.1>10.0.2.1 ttl=2 udp 1>3"); /* It would end at the second router, and does not come there. */
    expect_drop(DROP_firewall_ingress);
    say(1, "A>R ip 10.0.0.1>10.0.1.253 icmp 8 1"); /* So for the second router's own address. */
    expect_drop(DROP_firewall_ingress);
}

/* Only network 7 may begin, in both policies of its port; answers pass without a rule. */
static void answers_pass(void **state)
{
    struct firewall_rule_row web[] = {rule(FIREWALL_PASSES, NULL, 0, NULL, 0, IPPROTO_TCP, 80, 1), rule(FIREWALL_PASSES, NULL, 0, NULL, 0, IPPROTO_UDP, 53, 2),
                                      rule(FIREWALL_PASSES, NULL, 0, NULL, 0, IPPROTO_ICMP, 0, 3)};

    fixture_firewall(pipeline, 1, web, 3);
    firewall(1, POLICY_EGRESS, 1);
    firewall(1, POLICY_INGRESS, DENY_ALL);
    firewall(3, POLICY_EGRESS, 1);
    firewall(4, POLICY_INGRESS, 1);
    firewall(4, POLICY_EGRESS, DENY_ALL);
    say(11, "K>U ip 10.0.2.1>10.0.0.1 tcp 80>1000 SA"); /* Nobody has asked. */
    expect_drop(DROP_firewall_egress);
    say(1, "A>R ip 10.0.0.1>10.0.2.1 tcp 1000>80 S");
    expect_port(11, NULL);
    say(11, "K>U ip 10.0.2.1>10.0.0.1 tcp 80>1000 SA");
    expect_port(1, NULL);
    say(11, "K>U ip 10.0.2.1>10.0.0.1 tcp 80>1000 A +100"); /* By its entry. */
    expect_port(1, NULL);
    say(11, "K>U ip 10.0.2.1>10.0.0.1 tcp 81>1000 A"); /* Another connection. */
    expect_drop(DROP_firewall_egress);
    say(1, "A>R ip 10.0.0.1>10.0.2.1 icmp 8 7");
    expect_port(11, NULL);
    say(11, "K>U ip 10.0.2.1>10.0.0.1 icmp 0 7");
    expect_port(1, NULL);
    say(11, "K>U ip 10.0.2.1>10.0.0.1 icmp 8 7"); /* With the same identifier, but it asks. */
    expect_drop(DROP_firewall_egress);
    say(11, "K>U ip 10.0.2.1>10.0.0.1 icmp 0 7");
    expect_port(1, NULL);
    say(1, "A>R ip 10.0.0.1>10.0.2.1 udp 1000>53 +3");
    expect_port(11, NULL);
    say(11, "K>U ip 10.0.2.1>10.0.0.1 icmp 3 3 quote ip 10.0.0.1>10.0.2.1 ttl=62 udp 1000>53 +3"); /* An error about it, */
    expect_port(1, NULL);
    say(11, "K>U ip 10.0.2.1>10.0.0.1 icmp 3 3 quote ip 10.0.0.1>10.0.2.1 ttl=62 udp 1001>53 +3"); /* and about nothing. */
    expect_drop(DROP_firewall_egress);
}

static void a_change_holds_for_connections_that_run(void **state)
{
    firewall(1, POLICY_EGRESS, ALLOW_ALL);
    firewall(1, POLICY_INGRESS, DENY_ALL);
    say(1, "A>R ip 10.0.0.1>10.0.1.1 tcp 1000>80 S");
    say(10, "J>S ip 10.0.1.1>10.0.0.1 tcp 80>1000 SA");
    expect_port(1, NULL);
    firewall(1, POLICY_EGRESS, DENY_ALL);
    change_epoch(1);
    change_epoch(10);
    say(10, "J>S ip 10.0.1.1>10.0.0.1 tcp 80>1000 A +9"); /* Whoever speaks first. */
    expect_drop(DROP_firewall_ingress);
    expect_step("the connection is not allowed any more");
    say(1, "A>R ip 10.0.0.1>10.0.1.1 tcp 1000>80 A +9");
    expect_drop(DROP_firewall_egress);
    firewall(1, POLICY_EGRESS, ALLOW_ALL);
    change_epoch(1);
    change_epoch(10);
    say(1, "A>R ip 10.0.0.1>10.0.1.1 tcp 1000>80 A +9"); /* Allowed again: it is picked up. */
    expect_port(10, NULL);
    say(10, "J>S ip 10.0.1.1>10.0.0.1 tcp 80>1000 A");
    expect_port(1, NULL);
}

/* A SYN after a connection's end begins another one; of the side that answered before it is not covered by what was allowed then. */
static void the_next_connection_is_asked_about(void **state)
{
    firewall(1, POLICY_EGRESS, ALLOW_ALL);
    firewall(1, POLICY_INGRESS, DENY_ALL);
    fixture_policy(pipeline, 10, FIXTURE_ALLOW_ALL, FIXTURE_ALLOW_ALL);
    say(1, "A>R ip 10.0.0.1>10.0.1.1 tcp 1000>80 S seq=100");
    say(10, "J>S ip 10.0.1.1>10.0.0.1 tcp 80>1000 SA seq=200 ack=101");
    expect_port(1, NULL);
    say(1, "A>R ip 10.0.0.1>10.0.1.1 tcp 1000>80 R seq=101");
    say(10, "J>S ip 10.0.1.1>10.0.0.1 tcp 80>1000 S seq=5000");
    expect_drop(DROP_firewall_ingress);
    say(10, "J>S ip 10.0.1.1>10.0.0.1 tcp 80>1000 S seq=5000");
    expect_drop(DROP_firewall_ingress);
}

static void who_is_rejected_hears_of_it(void **state)
{
    struct firewall_rule_row reject[] = {rule(FIREWALL_REJECTS, NULL, 0, NULL, 0, 0, 0, 0xbad)};
    const struct punt_event *event;
    uint8_t second[16];

    fixture_firewall(pipeline, 1, reject, 1);
    firewall(4, POLICY_INGRESS, 1);
    say(1, "A>R ip 10.0.0.1>10.0.2.1 tcp 1>2 S");
    expect_drop(DROP_firewall_ingress);
    expect_step("rule 00000bad rejects it");
    event = expect_punt(PUNT_UNREACHABLE);
    frame_address("10.0.1.253", second);
    assert_int_equal(UNREACHABLE_PROHIBITED, event->code);
    assert_int_equal(1, event->hops); /* The second router says it. */
    assert_memory_equal(second, event->source, 16);
    say(1, "A>R ip6 fd01::1>fd03::1 udp 1>2"); /* The rule is IPv4's. */
    expect_drop(DROP_firewall_ingress);
    assert_int_equal(0, result.n_outputs);
}

static void fragments_belong_to_the_first_one(void **state)
{
    struct firewall_rule_row dns[] = {rule(FIREWALL_PASSES, NULL, 0, NULL, 0, IPPROTO_UDP, 53, 1)};

    fixture_firewall(pipeline, 1, dns, 1);
    firewall(1, POLICY_EGRESS, 1);
    say(1, "A>R ip 10.0.0.1>10.0.1.1 frag=100 proto 17 +64");
    expect_drop(DROP_fragment_unknown);
    say(1, "A>R ip 10.0.0.1>10.0.1.1 more udp 9>53 +800");
    expect_port(10, NULL);
    say(1, "A>R ip 10.0.0.1>10.0.1.1 frag=100 proto 17 +64");
    expect_port(10, NULL);
}

static void fragments_follow_one_that_the_agent_cuts(void **state)
{
    fixture_router_port(pipeline, 2)->mtu = 1400;
    say(1, "A>R ip 10.0.0.1>10.0.1.1 more udp 9>53 +1376");
    expect_punt(PUNT_FRAGMENT);
    say(1, "A>R ip 10.0.0.1>10.0.1.1 frag=173 proto 17 +64");
    const struct punt_event *event = expect_punt(PUNT_FRAGMENT);
    expect_bytes(event->frame, event->size, "S>J ip 10.0.0.1>10.0.1.1 ttl=63 frag=173 proto 17 +64");
    assert_true(event->mtu >= 84);
    say(1, "A>R ip 10.0.0.1>10.0.1.1 more udp 9>53 +800"); /* Comes again, and fits. */
    expect_port(10, NULL);
    say(1, "A>R ip 10.0.0.1>10.0.1.1 frag=101 proto 17 +64");
    expect_port(10, NULL);
}

/* A set that is gone, and none in its place: nothing passes.  One whose port has another by now: that counts. */
static void missing_rules_let_nothing_pass(void **state)
{
    firewall(1, POLICY_EGRESS, 77);
    say(1, "A>R ip 10.0.0.1>10.0.1.1 udp 1>2");
    expect_drop(DROP_firewall_egress);
}

/* Floating IP 203.0.113.12 is 10.0.0.2's, slot 2; the gateway is router port 5. */
static void from_outside_to_a_floating_ip(void **state)
{
    struct firewall_rule_row ssh[] = {rule(FIREWALL_PASSES, "192.0.2.0", 24, "10.0.0.2", 32, IPPROTO_TCP, 22, 1)};

    fixture_firewall(pipeline, 1, ssh, 1);
    firewall(5, POLICY_EGRESS, 1); /* Seen behind the translation of the destination. */
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 tcp 4000>22 S");
    expect_port(2, NULL);
    say(2, "B>R ip 10.0.0.2>192.0.2.200 tcp 22>4000 SA");
    expect_outside(0, "u>x ip 203.0.113.12>192.0.2.200 ttl=63 tcp 22>4000 SA");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 tcp 4000>23 S");
    expect_drop(DROP_firewall_egress);
    assert_int_equal(1, fixture_counters(pipeline, 2)->drops[DROP_firewall_egress]);
    firewall(1, POLICY_INGRESS, DENY_ALL); /* And before it comes to the workload's network. */
    change_epoch(2);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 tcp 4000>22 A +3");
    expect_drop(DROP_firewall_ingress);
    say(2, "B>R ip 10.0.0.2>192.0.2.200 tcp 5000>4000 S");
    expect_verdict(PIPELINE_OUTSIDE); /* Nothing is against what it opens itself. */
}

static void to_the_outside_and_back(void **state)
{
    struct firewall_rule_row from_one[] = {rule(FIREWALL_PASSES, "10.0.0.1", 32, "192.0.2.0", 24, IPPROTO_UDP, 53, 1)};

    fixture_firewall(pipeline, 1, from_one, 1);
    firewall(5, POLICY_INGRESS, 1); /* Seen before the translation of the source. */
    firewall(5, POLICY_EGRESS, DENY_ALL);
    say(1, "A>R ip 10.0.0.1>192.0.2.200 udp 1000>53 +9");
    expect_outside(0, frame_text("u>x ip 203.0.113.10>192.0.2.200 ttl=63 udp %u>53 +9", chosen_port()));
    say(OUTSIDE, frame_text("x>u ip 192.0.2.200>203.0.113.10 udp 53>%u +9", chosen));
    expect_port(1, NULL);
    change_epoch(1);
    say(OUTSIDE, frame_text("x>u ip 192.0.2.200>203.0.113.10 udp 53>%u +9", chosen)); /* Asked again, as it was begun. */
    expect_port(1, NULL);
    say(OUTSIDE, frame_text("x>u ip 192.0.2.200>203.0.113.10 icmp 3 3 quote ip 203.0.113.10>192.0.2.200 ttl=60 udp %u>53 +9", chosen));
    expect_port(1, NULL);
    say(2, "B>R ip 10.0.0.2>192.0.2.200 udp 1000>53 +9");
    expect_drop(DROP_firewall_ingress);
    firewall(5, POLICY_INGRESS, DENY_ALL);
    change_epoch(1);
    say(OUTSIDE, frame_text("x>u ip 192.0.2.200>203.0.113.10 udp 53>%u +9", chosen));
    expect_drop(DROP_firewall_egress);
}

/* Untranslated.  The gateway knows no connections of other hosts: the port's host asks, here of itself and of host 1. */
static void untranslated_from_outside(void **state)
{
    struct firewall_rule_row web[] = {rule(FIREWALL_PASSES, "2001:db8:99::", 48, "fd01::", 64, IPPROTO_TCP, 80, 1)};
    static const char *const places[] = {"x>u ip6 2001:db8:99::1>fd01::1 tcp %s", "outer 192.0.2.2>192.0.2.1 7 0/15 R>A ip6 2001:db8:99::1>fd01::1 tcp %s"};

    fixture_route(pipeline, 1, "::", 0, 0, 5, "2001:db8:20::1");
    fixture_neighbor(pipeline, 20, "2001:db8:20::1", "x");
    fixture_route(pipeline, ROUTER_OUTSIDE | 20, "fd01::", 64, 0, 5, NULL);
    fixture_firewall(pipeline, 1, web, 1);
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        uint32_t place = i ? TUNNEL : OUTSIDE;
        char text[200];
#define FROM_OUTSIDE(what) (snprintf(text, sizeof(text), places[i], what), say(place, text))

        firewall(5, POLICY_EGRESS, DENY_ALL);
        firewall(1, POLICY_INGRESS, DENY_ALL);
        FROM_OUTSIDE(i ? "4001>80 S" : "4000>80 S");
        expect_drop(DROP_firewall_ingress);
        firewall(5, POLICY_EGRESS, 1);
        firewall(1, POLICY_INGRESS, ALLOW_ALL);
        FROM_OUTSIDE(i ? "4001>80 S" : "4000>80 S");
        expect_port(1, NULL);
        FROM_OUTSIDE("4002>81 S");
        expect_drop(DROP_firewall_egress);
        say(1, frame_text("A>R ip6 fd01::1>2001:db8:99::1 tcp %u>443 S", 7000 + (unsigned)i));
        expect_verdict(PIPELINE_OUTSIDE);
        FROM_OUTSIDE(i ? "443>7001 SA" : "443>7000 SA"); /* The answer to what the workload began. */
        expect_port(1, NULL);
    }
}

/* The agent is asked to tell the sender of 'text' (NULL: of whatever it is), in the name of router port 5, back by 'output'. */
static void expect_told(const char *text, uint32_t output)
{
    const struct punt_event *event = expect_punt(PUNT_UNREACHABLE);
    uint8_t gateway[16];
    struct frame frame;

    frame_address(event->frame[12] == 8 ? "203.0.113.10" : "2001:db8:20::10", gateway);
    assert_int_equal(event->slot, 0);
    assert_int_equal(event->code, UNREACHABLE_PROHIBITED);
    assert_int_equal(event->router_port, 5);
    assert_int_equal(event->hops, 0);
    assert_int_equal(event->vni, 20);
    assert_int_equal(event->output, output);
    assert_memory_equal(event->source, gateway, 16);
    if (!text)
        return;
    frame_parse(text, &frame); /* As it came: who reads the error knows it. */
    assert_int_equal(event->size, frame.size);
    assert_memory_equal(event->frame, frame.bytes, frame.size);
}

static void who_is_outside_hears_of_it(void **state)
{
    static const char *const texts[] = {
        "x>u ip 192.0.2.200>203.0.113.12 tcp 4000>22 S", "x>u ip 192.0.2.200>203.0.113.12 ttl=9 udp 4000>23 +9", "x>u ip 192.0.2.200>203.0.113.12 icmp 8 5 +3"};
    struct firewall_rule_row reject[] = {rule(FIREWALL_REJECTS, NULL, 0, NULL, 0, 0, 0, 0xbad), rule(FIREWALL_REJECTS, "::", 0, NULL, 0, 0, 0, 0xbad6)};

    fixture_firewall(pipeline, 1, reject, 2);
    frame_address("2001:db8:20::10", fixture_router_port(pipeline, 5)->ip6);
    firewall(5, POLICY_EGRESS, 1);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) { /* To a floating IP: before it was translated, */
        say(OUTSIDE, texts[i]);
        expect_drop(DROP_firewall_egress);
        expect_told(texts[i], OUTPUT_UPLINK);
    }
    firewall(5, POLICY_EGRESS, 0);
    firewall(1, POLICY_INGRESS, 1); /* whichever of the policies it is; */
    say(OUTSIDE, texts[0]);
    expect_drop(DROP_firewall_ingress);
    expect_told(texts[0], OUTPUT_UPLINK);
    firewall(1, POLICY_INGRESS, DENY_ALL); /* nobody, if it is denied. */
    say(OUTSIDE, texts[0]);
    expect_drop(DROP_firewall_ingress);
    assert_int_equal(0, result.n_outputs);
    firewall(1, POLICY_INGRESS, 1);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 0 x>02:57:45:46:54:00 ip 192.0.2.200>203.0.113.12 tcp 4000>22 S"); /* Another gateway's. */
    expect_drop(DROP_firewall_ingress);
    expect_told(NULL, OUTPUT_REMOTE | 1);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 icmp 3 3 quote ip 203.0.113.12>192.0.2.200 ttl=60 udp 7>53 +9"); /* Errors are not answered. */
    assert_int_equal(0, result.n_outputs);
    firewall(1, POLICY_INGRESS, 0);
    say(OUTSIDE, texts[0]); /* And what is let in after it was turned back is whole. */
    expect_port(2, "R>B ip 192.0.2.200>10.0.0.2 ttl=63 tcp 4000>22 S");
}

/* A workload of this host that calls by a floating IP is told of the packet as it sent it. */
static void who_calls_by_a_floating_ip_hears_of_it(void **state)
{
    static const char *const texts[] = {"A>R ip 10.0.0.1>203.0.113.12 tcp 4000>22 S", "A>R ip 10.0.0.1>203.0.113.12 ttl=9 udp 4000>23 +9"};
    struct firewall_rule_row reject[] = {rule(FIREWALL_REJECTS, "203.0.113.10", 32, NULL, 0, 0, 0, 0xbad)}; /* As it is called outside. */

    fixture_port(pipeline, 1)->punt_burst = 10;
    fixture_firewall(pipeline, 1, reject, 1);
    firewall(5, POLICY_EGRESS, 1);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        say(1, texts[i]);
        expect_drop(DROP_firewall_egress);
        const struct punt_event *event = expect_punt(PUNT_UNREACHABLE);
        assert_int_equal(event->slot, 1);
        assert_int_equal(event->code, UNREACHABLE_PROHIBITED);
        expect_bytes(event->frame, event->size, texts[i]);
    }
    firewall(5, POLICY_EGRESS, 0);
    fixture_port(pipeline, 2)->mtu = 1400; /* So it is with a size. */
    say(1, "A>R ip 10.0.0.1>203.0.113.12 df udp 4001>23 +1400");
    expect_drop(DROP_too_big);
    assert_int_equal(expect_punt(PUNT_TOO_BIG)->mtu, 1400);
    expect_bytes(expect_punt(PUNT_TOO_BIG)->frame, expect_punt(PUNT_TOO_BIG)->size, "A>R ip 10.0.0.1>203.0.113.12 df udp 4001>23 +1400");
}

static void who_is_outside_hears_of_it_untranslated(void **state)
{
    static const char from_outside[] = "x>u ip6 2001:db8:99::1>fd01::1 udp 4000>80 +4";
    struct firewall_rule_row reject[] = {rule(FIREWALL_REJECTS, "::", 0, NULL, 0, 0, 0, 0xbad6)};
    struct outside_budget *budget = pipeline_lookup(pipeline, "outside_budget", &(uint32_t){5});
    uint32_t n_told = 0;

    fixture_route(pipeline, 1, "::", 0, 0, 5, "2001:db8:20::1");
    fixture_neighbor(pipeline, 20, "2001:db8:20::1", "x");
    fixture_route(pipeline, ROUTER_OUTSIDE | 20, "fd01::", 64, 0, 5, NULL);
    frame_address("2001:db8:20::10", fixture_router_port(pipeline, 5)->ip6);
    fixture_firewall(pipeline, 1, reject, 1);
    firewall(1, POLICY_INGRESS, 1);
    say(OUTSIDE, from_outside);
    expect_drop(DROP_firewall_ingress);
    expect_told(from_outside, OUTPUT_UPLINK);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 0/15 R>A ip6 2001:db8:99::1>fd01::1 udp 4000>80 +4");
    expect_drop(DROP_firewall_ingress);
    expect_told(NULL, OUTPUT_REMOTE | 1);
    for (unsigned i = 0; i < 2 * OUTSIDE_ERROR_RATE; i++) { /* The router's budget. */
        say(OUTSIDE, from_outside);
        expect_drop(DROP_firewall_ingress);
        n_told += result.n_outputs;
    }
    assert_true(n_told > 0 && n_told <= OUTSIDE_ERROR_RATE);
    assert_int_equal(0, budget->of[BUDGET_ERRORS].tokens);
}

/* The types of ICMPv6 that security groups let pass on the link are nothing special here, with security groups and without. */
static void discovery_is_no_way_through(void **state)
{
    static const uint8_t types[] = {128, 130, 133, 135, 136};

    fixture_route(pipeline, ROUTER_OUTSIDE | 20, "fd01::", 64, 0, 5, NULL);
    firewall(1, POLICY_INGRESS, DENY_ALL);
    firewall(1, POLICY_EGRESS, DENY_ALL);
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        for (uint32_t slot = 1; slot <= 8; slot += 7) {
            if (types[i] == 135 || types[i] == 136) /* The device's own, if they come so. */
                say(TUNNEL, frame_text("outer 192.0.2.2>192.0.2.1 7 0/15 R>%c ip6 2001:db8:99::5>fd01::%u icmp6 %u 7 +1000", slot == 1 ? 'A' : 'H', slot, types[i]));
            else
                say(OUTSIDE, frame_text("x>u ip6 2001:db8:99::5>fd01::%u icmp6 %u 7 +1000", slot, types[i]));
            expect_drop(DROP_firewall_ingress);
        }
}

/* What the logs of router ports got of the last frame: "5 egress DROP firewall_egress 1; ". */
static const char *logged(void)
{
    static const char *const reasons[] = {
        "none",
#define DROP_REASON(name, text) #name,
#include "weft/dataplane/drop-reasons.def"
#undef DROP_REASON
    };
    static char line[500];
    int size = 0;

    line[0] = 0;
    for (size_t i = 0; i < result.n_verdicts; i++) {
        const struct verdict_event *event = &result.verdicts[i];

        assert_true(event->flags & VERDICT_ROUTER);
        assert_int_equal(event->generation, fixture_router_port(pipeline, event->slot)->generation);
        size += snprintf(line + size, sizeof(line) - (size_t)size, "%u %s %s%s %x; ", event->slot, event->flags & VERDICT_RECEIVED ? "ingress" : "egress",
                         event->reason ? "DROP " : "ACCEPT", event->reason ? reasons[event->reason] : "", event->number);
    }
    return line;
}

static void log_of(uint32_t number, uint32_t flags)
{
    fixture_router_port(pipeline, number)->flags |= flags;
    fixture_router_port(pipeline, number)->generation = 70 + number;
}

static void what_firewalls_decide_is_logged(void **state)
{
    struct firewall_rule_row web[] = {rule(FIREWALL_PASSES, NULL, 0, NULL, 0, IPPROTO_TCP, 80, 0x80), rule(FIREWALL_DENIES, NULL, 0, NULL, 0, IPPROTO_TCP, 81, 0x81)};

    fixture_firewall(pipeline, 1, web, 2);
    firewall(1, POLICY_EGRESS, 1);
    firewall(1, POLICY_INGRESS, DENY_ALL);
    firewall(4, POLICY_INGRESS, ALLOW_ALL);
    say(1, "A>R ip 10.0.0.1>10.0.2.1 tcp 999>80 S");
    assert_string_equal(logged(), ""); /* Nobody asked for it. */
    log_of(1, ROUTER_PORT_LOG_ACCEPT | ROUTER_PORT_LOG_DROP);
    log_of(4, ROUTER_PORT_LOG_ACCEPT);
    say(1, "A>R ip 10.0.0.1>10.0.2.1 tcp 1000>80 S");
    expect_port(11, NULL);
    assert_string_equal(logged(), "1 egress ACCEPT 80; 4 ingress ACCEPT a11; ");
    expect_step("router port 4, ingress: is logged as ACCEPT");
    say(11, "K>U ip 10.0.2.1>10.0.0.1 tcp 80>1000 SA"); /* The answer, and what follows: the same connection, */
    expect_port(1, NULL);
    assert_string_equal(logged(), "");
    change_epoch(1);
    say(1, "A>R ip 10.0.0.1>10.0.2.1 tcp 1000>80 A"); /* also when it is asked about again. */
    expect_port(11, NULL);
    assert_string_equal(logged(), "");
    for (int i = 0; i < 2; i++) { /* Each packet that is refused, with the rule that says so, if any. */
        say(1, "A>R ip 10.0.0.1>10.0.2.1 tcp 1000>81 S");
        assert_string_equal(logged(), "1 egress DROP firewall_egress 81; ");
    }
    expect_step("router port 1, egress: is logged as DROP");
    say(1, "A>R ip 10.0.0.1>10.0.2.1 udp 1>2");
    assert_string_equal(logged(), "1 egress DROP firewall_egress 0; ");
    say(11, "K>U ip 10.0.2.1>10.0.0.1 tcp 5>6 S"); /* One that another port refuses is nobody's accept. */
    expect_drop(DROP_firewall_ingress);
    assert_string_equal(logged(), "1 ingress DROP firewall_ingress 0; ");
    firewall(4, POLICY_INGRESS, DENY_ALL);
    change_epoch(1);
    say(1, "A>R ip 10.0.0.1>10.0.2.1 tcp 1000>80 A"); /* Port 4 has no log of that. */
    expect_drop(DROP_firewall_ingress);
    assert_string_equal(logged(), "");
}

static void what_comes_from_outside_is_logged(void **state)
{
    struct firewall_rule_row ssh[] = {rule(FIREWALL_PASSES, NULL, 0, "10.0.0.2", 32, IPPROTO_TCP, 22, 0x22)};
    uint8_t address[16];

    fixture_firewall(pipeline, 1, ssh, 1);
    firewall(5, POLICY_EGRESS, 1);
    log_of(5, ROUTER_PORT_LOG_ACCEPT | ROUTER_PORT_LOG_DROP);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 tcp 4000>22 S");
    expect_port(2, NULL);
    assert_string_equal(logged(), "5 egress ACCEPT 22; ");
    frame_address("10.0.0.2", address); /* As the router sees it. */
    assert_memory_equal(result.verdicts[0].destination, address, 16);
    say(2, "B>R ip 10.0.0.2>192.0.2.200 tcp 22>4000 SA");
    expect_verdict(PIPELINE_OUTSIDE);
    assert_string_equal(logged(), "");
    change_epoch(2);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 tcp 4000>22 A");
    expect_port(2, NULL);
    assert_string_equal(logged(), "");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 tcp 4000>23 S");
    expect_drop(DROP_firewall_egress);
    assert_string_equal(logged(), "5 egress DROP firewall_egress 0; ");
}

/* A flood at one router's port costs the log of others nothing, and what is left out is counted. */
static void each_router_port_has_a_budget_of_events(void **state)
{
    struct verdict_runtime *runtime = pipeline_lookup(pipeline, "router_verdict_runtime", &(uint32_t){1});
    uint32_t n = 0;

    firewall(1, POLICY_EGRESS, DENY_ALL);
    firewall(2, POLICY_EGRESS, DENY_ALL);
    log_of(1, ROUTER_PORT_LOG_DROP);
    log_of(2, ROUTER_PORT_LOG_DROP);
    for (int i = 0; i < 200; i++) {
        say(1, "A>R ip 10.0.0.1>10.0.2.1 udp 1>2");
        n += result.n_verdicts;
    }
    assert_int_equal(n, VERDICT_BURST_DEFAULT);
    assert_int_equal(runtime->n_left_out, 200 - n);
    expect_step("router port 1, egress: is not logged: too many events");
    say(10, "J>S ip 10.0.1.1>10.0.0.1 udp 1>2");
    assert_string_equal(logged(), "2 egress DROP firewall_egress 0; ");
}

/* Who has no security groups is asked for nothing else than before. */
static void a_port_without_groups_is_not_looked_at_closer(void **state)
{
    say(2, "B>A ip 10.0.0.2>10.0.0.1 icmp 0 5"); /* An echo reply out of the blue. */
    expect_port(1, NULL);
    say(2, "B>A ip 10.0.0.2>10.0.0.1 tcp 5>6 A");
    expect_port(1, NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up_firewall, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(directions_are_those_of_the_network_behind_the_port),
        CASE(the_first_rule_that_fits_decides),
        CASE(rules_look_at_both_ends),
        CASE(all_routers_on_the_way_are_asked),
        CASE(answers_pass),
        CASE(a_change_holds_for_connections_that_run),
        CASE(the_next_connection_is_asked_about),
        CASE(who_is_rejected_hears_of_it),
        CASE(fragments_belong_to_the_first_one),
        CASE(fragments_follow_one_that_the_agent_cuts),
        CASE(missing_rules_let_nothing_pass),
        CASE(from_outside_to_a_floating_ip),
        CASE(to_the_outside_and_back),
        CASE(untranslated_from_outside),
        CASE(who_is_outside_hears_of_it),
        CASE(who_calls_by_a_floating_ip_hears_of_it),
        CASE(who_is_outside_hears_of_it_untranslated),
        CASE(discovery_is_no_way_through),
        CASE(what_firewalls_decide_is_logged),
        CASE(what_comes_from_outside_is_logged),
        CASE(each_router_port_has_a_budget_of_events),
        CASE(a_port_without_groups_is_not_looked_at_closer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
