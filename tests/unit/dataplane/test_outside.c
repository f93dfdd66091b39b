/* What comes from outside and what is believed of it, frame by frame: see conversation.h. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conversation.h"
#include "weft/base/util.h"

#define FROM_HOST_1 "outer 192.0.2.2>192.0.2.1 20 0 "
#define OUTSIDE_MAC "02:57:45:46:54:00"

static void route_outside(const char *prefix, uint32_t length, uint32_t port)
{
    fixture_route(pipeline, ROUTER_OUTSIDE | 20, prefix, length, 0, port, NULL);
}

static bool went_the_short_way(void)
{
    for (size_t i = 0; i < result.n_steps; i++)
        if (strcmp(result.steps[i].text, "known connection, of somebody who may send it") == 0)
            return true;
    return false;
}

/* ---- reverse path -------------------------------------------------------------------------------------------------------- */

/* Slot 8 lets in what a member of group 5 sends, and nothing else. */
static void only_members_may_send_to_slot_8(void)
{
    static const struct rule rules[] = {{.flags = RULE_IPV4 | RULE_GROUP, .group = 5}, {.flags = RULE_IPV6 | RULE_GROUP, .group = 5}};
    static const char *const addresses[] = {"10.0.0.1", "10.0.1.1", "203.0.113.77", "fd01::1"};
    const uint64_t group = 5;

    fixture_rules(pipeline, 9, rules, ARRAY_SIZE(rules));
    fixture_policy(pipeline, 8, FIXTURE_ALLOW_ALL, 9);
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
        struct member_key key = {.group = 5};

        frame_address(addresses[i], key.address);
        assert_int_equal(pipeline_update(pipeline, "members", &key, &group), 0);
    }
}

static void an_outsider_is_no_member_of_a_group(void **state)
{
    only_members_may_send_to_slot_8();
    route_outside("fd01::", 64, 5);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.14 udp 1>2 +9");
    expect_drop(DROP_policy_ingress);
    say(OUTSIDE, "x>u ip 10.0.0.1>203.0.113.14 udp 1>2 +9"); /* Of a network of the router, */
    expect_drop(DROP_reverse_path);
    say(OUTSIDE, "x>u ip 10.0.2.1>203.0.113.14 udp 1>2 +9"); /* or one behind another router. */
    expect_drop(DROP_reverse_path);
    say(OUTSIDE, "x>u ip 203.0.113.77>203.0.113.14 udp 1>2 +9"); /* A port on the external network itself. */
    expect_drop(DROP_reverse_path);
    say(OUTSIDE, "x>u ip6 fd01::1>fd01::8 udp 1>2 +9");
    expect_drop(DROP_reverse_path);
    say(TUNNEL, FROM_HOST_1 "x>" OUTSIDE_MAC " ip 10.0.0.1>203.0.113.14 udp 1>2 +9"); /* By a gateway that does not look. */
    expect_drop(DROP_reverse_path);
    say(12, "e>g ip 203.0.113.77>203.0.113.14 udp 1>2 +9"); /* The member itself. */
    expect_verdict(PIPELINE_DELIVERED);
    assert_int_equal(n_entries("connections"), 2); /* Its own, and that of slot 8. */
}

static void our_own_addresses_do_not_come_from_outside(void **state)
{
    static const char *const sources[] = {"203.0.113.10", "203.0.113.20", "203.0.113.23", "203.0.113.101", "203.0.113.13"};

    route_outside("10.0.0.0", 24, 5);
    for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
        say(OUTSIDE, frame_text("x>u ip %s>203.0.113.12 udp 1>2 +9", sources[i]));
        expect_drop(DROP_reverse_path);
        say(OUTSIDE, frame_text("x>u ip %s>203.0.113.101 udp 1>2 +9", sources[i])); /* Not on to another host either. */
        expect_drop(DROP_reverse_path);
        say(OUTSIDE, frame_text("x>u ip %s>10.0.0.1 udp 1>2 +9", sources[i]));
        expect_drop(DROP_reverse_path);
        say(OUTSIDE, frame_text("g>u ip %s>203.0.113.12 udp 1>2 +9", sources[i])); /* With the MAC of a router, which never leaves. */
        expect_drop(DROP_reverse_path);
        say(TUNNEL, frame_text(FROM_HOST_1 "x>" OUTSIDE_MAC " ip %s>203.0.113.12 udp 1>2 +9", sources[i]));
        expect_drop(DROP_reverse_path);
        say(TUNNEL, frame_text(FROM_HOST_1 "h>" OUTSIDE_MAC " ip %s>203.0.113.12 udp 1>2 +9", sources[i])); /* From a router of ours. */
        expect_port(2, NULL);
    }
    say(OUTSIDE, "x>u ip 127.0.0.1>203.0.113.12 udp 1>2 +9");
    expect_drop(DROP_not_routable);
    say(OUTSIDE, "x>u ip 10.0.0.254>203.0.113.12 udp 1>2 +9"); /* The router itself. */
    expect_drop(DROP_reverse_path);
}

static void the_way_back_has_to_be_the_one_it_came(void **state)
{
    struct next_hop_value hop = {.group = 6, .port = 2};

    fixture_route(pipeline, 1, "198.18.0.0", 15, 0, 2, "10.0.1.1"); /* Behind a workload. */
    say(OUTSIDE, "x>u ip 198.18.0.1>203.0.113.12 udp 1>2 +9");
    expect_drop(DROP_reverse_path);
    fixture_route(pipeline, 1, "198.18.0.0", 15, ROUTE_MANY, 6, NULL); /* One of several, */
    frame_address("10.0.1.1", hop.next_hop);
    for (uint32_t bucket = 0; bucket < NEXT_HOP_BUCKETS; bucket++)
        assert_int_equal(pipeline_update(pipeline, "next_hops", &(struct next_hop_key){6, bucket}, &hop), 0);
    say(OUTSIDE, "x>u ip 198.18.0.1>203.0.113.12 udp 1>2 +9");
    expect_drop(DROP_reverse_path);
    hop.port = 5; /* at last. */
    assert_int_equal(pipeline_update(pipeline, "next_hops", &(struct next_hop_key){6, 63}, &hop), 0);
    say(OUTSIDE, "x>u ip 198.18.0.1>203.0.113.12 udp 1>2 +9");
    expect_port(2, NULL);
    struct route_key none = {.prefix_length = 32 + 96, .router = 3};
    frame_address("0.0.0.0", none.address);
    pipeline_delete(pipeline, "routes", &none);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.23 udp 1>2 +9"); /* No way back at all. */
    expect_drop(DROP_reverse_path);
    say(OUTSIDE, "x>u ip 203.0.113.200>203.0.113.23 udp 1>2 +9");
    expect_port(3, NULL);
}

/* What is known of a sender is as old as the epoch of the port, and of no other: what else the tables say is not asked for meanwhile. */
static void a_sender_is_asked_for_again_after_every_change(void **state)
{
    static const char frame[] = "x>u ip 198.18.0.1>203.0.113.12 udp 1>2 +9";

    for (int i = 0; i < 2; i++) { /* The first one makes the entry, the second one finds it. */
        say(OUTSIDE, frame);
        expect_port(2, "R>B ip 198.18.0.1>10.0.0.2 ttl=63 udp 1>2 +9");
        assert_false(went_the_short_way());
    }
    fixture_route(pipeline, 1, "198.18.0.0", 15, 0, 2, "10.0.1.1"); /* Behind a workload: not written to the end yet. */
    say(OUTSIDE, frame);
    expect_port(2, "R>B ip 198.18.0.1>10.0.0.2 ttl=63 udp 1>2 +9");
    assert_true(went_the_short_way());
    say(OUTSIDE, "y>u ip 198.18.0.1>203.0.113.12 udp 1>2 +9"); /* Another station says that it is the same. */
    expect_drop(DROP_reverse_path);
    say(OUTSIDE, "g>u ip 198.18.0.1>203.0.113.12 udp 1>2 +9"); /* A router of ours. */
    expect_drop(DROP_reverse_path);
    change_epoch(2);
    say(OUTSIDE, frame);
    expect_drop(DROP_reverse_path);

    fixture_route(pipeline, 1, "198.18.0.0", 15, 0, 5, "203.0.113.1");
    say(2, "B>R ip 10.0.0.2>198.18.0.1 udp 2>1 +9"); /* The workload's own packet is good for the verdict and the way out, */
    assert_int_not_equal(result.verdict, PIPELINE_DROPPED);
    fixture_route(pipeline, 1, "198.18.0.0", 15, 0, 2, "10.0.1.1");
    say(OUTSIDE, frame); /* not for who may send. */
    expect_drop(DROP_reverse_path);
}

static void known_connections_take_the_short_way(void **state)
{
    say(1, "A>R ip 10.0.0.1>198.18.0.1 udp 1000>53 +9");
    chosen_port();
    for (int i = 0; i < 3; i++) {
        say(OUTSIDE, frame_text("x>u ip 198.18.0.1>203.0.113.10 udp 53>%u +9", chosen));
        expect_port(1, "R>A ip 198.18.0.1>10.0.0.1 ttl=63 udp 53>1000 +9");
        assert_int_equal(went_the_short_way(), i > 0);
    }
    say(OUTSIDE, frame_text("x>u ip 198.18.0.1>203.0.113.10 ttl=1 udp 53>%u +9", chosen)); /* All that is not as usual goes the long one. */
    assert_false(went_the_short_way());
    say(OUTSIDE, frame_text("x>u ip 198.18.0.1>203.0.113.10 more udp 53>%u +8", chosen));
    expect_port(1, NULL);
    assert_false(went_the_short_way());
    say(OUTSIDE, frame_text("x>u ip 198.18.0.1>203.0.113.10 udp 53>%u +9", chosen ^ 1)); /* Nobody's. */
    expect_drop(DROP_unknown_translation);
    fixture_port(pipeline, 1)->flags &= ~PORT_ADMIN_UP;
    say(OUTSIDE, frame_text("x>u ip 198.18.0.1>203.0.113.10 udp 53>%u +9", chosen));
    expect_drop(DROP_destination_down);
}

/* ---- what the agent is asked for ------------------------------------------------------------------------------------------ */

static void who_sends_to_nobody_pays_for_it(void **state)
{
    for (int i = 0; i < 2; i++) {
        say(2, frame_text("B>R ip 10.0.0.2>203.0.113.%u udp 1000>53 +5", 200 + i));
        expect_punt(PUNT_NEIGHBOR);
    }
    say(2, "B>R ip 10.0.0.2>203.0.113.202 udp 1000>53 +5");
    expect_drop(DROP_punt_budget);
    say(1, "A>R ip 10.0.0.1>203.0.113.200 udp 1000>53 +5"); /* Others do not feel it. */
    expect_punt(PUNT_NEIGHBOR);
    for (unsigned i = 0; i < UNRESOLVED_RATE; i++) { /* What another host sent for a router costs the router. */
        say(TUNNEL, frame_text(FROM_HOST_1 "h>" OUTSIDE_MAC " ip 203.0.113.20>203.0.113.%u udp 1>2", 140 + i % 100));
        expect_punt(PUNT_NEIGHBOR);
    }
    say(TUNNEL, FROM_HOST_1 "h>" OUTSIDE_MAC " ip 203.0.113.20>203.0.113.200 udp 1>2");
    expect_drop(DROP_punt_budget);
    say(TUNNEL, FROM_HOST_1 "g>" OUTSIDE_MAC " ip 203.0.113.10>203.0.113.200 udp 1>2");
    expect_punt(PUNT_NEIGHBOR);
    say(OUTSIDE, "y>u arp reply y 203.0.113.200 203.0.113.12"); /* The answers are not for nothing. */
    expect_punt(PUNT_NEIGHBOR_SEEN);
}

/* Who floods the agent with what he tells of himself silences neither those of other networks nor, in his own, those that the host knows. */
static void stations_that_tell_much_silence_nobody_else(void **state)
{
    for (unsigned i = 0; i < SEEN_RATE; i++) {
        say(OUTSIDE + 5, frame_text("z>u arp reply z 198.51.100.%u 198.51.100.1", i % 200));
        expect_punt(PUNT_NEIGHBOR_SEEN);
        say(OUTSIDE, frame_text("z>u arp reply z 203.0.113.%u 203.0.113.12", 150 + i % 100));
        expect_punt(PUNT_NEIGHBOR_SEEN);
    }
    say(OUTSIDE + 5, "z>u arp reply z 198.51.100.77 198.51.100.1");
    assert_int_equal(result.n_outputs, 0);
    say(OUTSIDE, "z>u arp reply z 203.0.113.1 203.0.113.12"); /* Not with its own MAC. */
    assert_int_equal(result.n_outputs, 0);
    say(OUTSIDE, "x>u arp reply x 203.0.113.1 203.0.113.12");
    expect_punt(PUNT_NEIGHBOR_SEEN);
    pipeline_advance(pipeline, 3000000000ull);
    say(OUTSIDE + 5, "z>u arp reply z 198.51.100.77 198.51.100.1");
    expect_punt(PUNT_NEIGHBOR_SEEN);
}

static void an_advertisement_from_beyond_the_link_is_not_shown(void **state)
{
    say(OUTSIDE, "y>u ip6 2001:db8:20::7>2001:db8:20::10 na 2001:db8:20::7 y ttl=64");
    expect_verdict(PIPELINE_PASSED);
    assert_int_equal(result.n_outputs, 0);
    say(OUTSIDE, "y>u ip6 2001:db8:20::7>2001:db8:20::10 na 2001:db8:20::7 y");
    expect_punt(PUNT_NEIGHBOR_SEEN);
}

static void the_use_of_a_station_is_noted(void **state)
{
    uint8_t mac[6];

    frame_mac("x", mac);
    uint32_t index = station_index(20, mac);
    const uint32_t *used = pipeline_lookup(pipeline, "station_use", &index);
    pipeline_advance(pipeline, 100ull << STATION_TIME_SHIFT);
    assert_int_equal(*used, 0);
    say(2, "B>R ip 10.0.0.2>192.0.2.200 udp 1000>53 +5");
    expect_verdict(PIPELINE_OUTSIDE);
    assert_int_equal(*used, 100);
    pipeline_advance(pipeline, 103ull << STATION_TIME_SHIFT);
    say(2, "B>R ip 10.0.0.2>192.0.2.200 udp 1000>53 +5"); /* A known connection, too. */
    assert_int_equal(*used, 103);
}

/* ---- errors ---------------------------------------------------------------------------------------------------------------- */

static void expect_error(enum drop_reason why, enum punt_reason reason, uint32_t output, const char *source, const char *frame)
{
    uint8_t address[16];

    expect_drop(why);
    const struct punt_event *event = expect_punt(reason);
    assert_int_equal(event->slot, 0);
    assert_int_equal(event->vni, 20);
    assert_int_equal(event->output, output);
    frame_address(source, address);
    assert_memory_equal(event->source, address, 16);
    expect_bytes(event->frame, event->size, frame); /* As it came: this is what the error quotes. */
}

static void who_sends_from_outside_is_told_why_it_ends(void **state)
{
    const char *late = "x>u ip 192.0.2.200>203.0.113.12 ttl=1 tcp 4000>80 S", *large = "x>u ip 192.0.2.200>203.0.113.12 df udp 4000>80 +1440";
    const char *inner = "x>" OUTSIDE_MAC " ip 192.0.2.200>203.0.113.12 df udp 4000>80 +1440";

    say(OUTSIDE, late);
    expect_error(DROP_ttl_exceeded, PUNT_TTL, OUTPUT_UPLINK, "203.0.113.10", late);
    say(OUTSIDE, large);
    expect_error(DROP_too_big, PUNT_TOO_BIG, OUTPUT_UPLINK, "203.0.113.10", large);
    assert_int_equal(expect_punt(PUNT_TOO_BIG)->mtu, 1450);
    say(TUNNEL, frame_text(FROM_HOST_1 "%s", inner));
    expect_error(DROP_too_big, PUNT_TOO_BIG, OUTPUT_REMOTE | 1, "203.0.113.10", inner);
    assert_int_equal(expect_punt(PUNT_TOO_BIG)->router_port, 5);
    route_outside("fd01::", 64, 5);
    route_outside("2001:db8:99::", 64, 5);
    large = "x>u ip6 2001:db8:77::1>fd01::1 udp 4000>80 +1440";
    say(OUTSIDE, large);
    expect_error(DROP_too_big, PUNT_TOO_BIG, OUTPUT_UPLINK, "2001:db8:20::10", large);
    assert_int_equal(expect_punt(PUNT_TOO_BIG)->mtu, 1450);
    say(OUTSIDE, "x>u ip6 2001:db8:77::1>fd01::77 udp 4000>80 +4");
    expect_error(DROP_unknown_next_hop, PUNT_UNREACHABLE, OUTPUT_UPLINK, "2001:db8:20::10", "x>u ip6 2001:db8:77::1>fd01::77 udp 4000>80 +4");
    assert_int_equal(expect_punt(PUNT_UNREACHABLE)->code, UNREACHABLE_HOST);
    say(OUTSIDE, "x>u ip6 2001:db8:77::1>2001:db8:99::1 udp 4000>80 +4");
    expect_drop(DROP_no_route);
    assert_int_equal(expect_punt(PUNT_UNREACHABLE)->code, UNREACHABLE_NET);
    assert_int_equal(n_entries("connections"), 0);
}

/* Host 1 has 1520 bytes on the way. */
static void a_gateway_tells_what_does_not_fit_into_the_tunnel(void **state)
{
    const char *large = "x>u ip 192.0.2.200>203.0.113.101 df udp 4000>80 +1443";

    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.101 df udp 4000>80 +1442");
    expect_verdict(PIPELINE_TUNNELLED);
    say(OUTSIDE, large);
    expect_error(DROP_too_big, PUNT_TOO_BIG, OUTPUT_UPLINK, "203.0.113.10", large);
    assert_int_equal(expect_punt(PUNT_TOO_BIG)->mtu, 1470);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.101 udp 4000>80 +1443");
    const struct punt_event *event = expect_punt(PUNT_FRAGMENT);
    assert_int_equal(event->output, OUTPUT_REMOTE | 1);
    assert_int_equal(event->vni, 20);
    assert_int_equal(event->mtu, 1470);
    expect_bytes(event->frame, event->size, "x>" OUTSIDE_MAC " ip 192.0.2.200>203.0.113.101 udp 4000>80 +1443");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.101 more udp 4000>80 +1448");
    expect_punt(PUNT_FRAGMENT);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.101 frag=182 proto 17 +40");
    expect_bytes(expect_punt(PUNT_FRAGMENT)->frame, 74, "x>" OUTSIDE_MAC " ip 192.0.2.200>203.0.113.101 frag=182 proto 17 +40");
}

static void errors_have_a_budget_of_each_router(void **state)
{
    for (unsigned i = 0; i < OUTSIDE_ERROR_RATE; i++) {
        say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 ttl=1 tcp 4000>80 S");
        expect_punt(PUNT_TTL);
    }
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 ttl=1 tcp 4000>80 S");
    expect_drop(DROP_ttl_exceeded);
    assert_int_equal(result.n_outputs, 0);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.23 ttl=1 tcp 4000>80 S");
    expect_punt(PUNT_TTL);
}

static void what_may_be_fragmented_is(void **state)
{
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 udp 4000>80 +1440");
    const struct punt_event *event = expect_punt(PUNT_FRAGMENT);
    expect_verdict(PIPELINE_PUNTED);
    assert_int_equal(event->output, OUTPUT_LOCAL | 2);
    assert_int_equal(event->vni, 7);
    assert_int_equal(event->mtu, 1450);
    expect_bytes(event->frame, event->size, "R>B ip 192.0.2.200>10.0.0.2 ttl=63 udp 4000>80 +1440");
    assert_int_equal(n_entries("connections"), 1);
}

/* ---- from inside ----------------------------------------------------------------------------------------------------------- */

/* Slot 4, which may send as anybody, makes slot 8 believe that somebody beyond the router asked it, by an address that the router hides. */
static void answer_nobody(void)
{
    static const char *const askers[] = {"203.0.113.23", "203.0.113.101", "203.0.113.77", "192.0.2.200"};
    struct rule rule = {.flags = RULE_IPV4, .prefix_length = 128};

    frame_address("10.0.0.8", rule.address);
    fixture_rules(pipeline, 50, &rule, 1);
    fixture_policy(pipeline, 3, FIXTURE_ALLOW_ALL, 50); /* Another tenant's, which knows somebody else by that address. */
    for (size_t i = 0; i < ARRAY_SIZE(askers); i++) {
        say(4, frame_text("D>H ip %s>10.0.0.8 udp 53>1000 +10", askers[i]));
        expect_port(8, NULL);
        say(8, frame_text("H>R ip 10.0.0.8>%s icmp 3 3 quote ip %s>10.0.0.8 udp 53>1000 +10", askers[i], askers[i]));
        expect_drop(DROP_unknown_translation);
        say(8, frame_text("H>R ip 10.0.0.8>%s udp 1000>53 +10", askers[i]));
        expect_drop(DROP_translation_gone);
    }
    pipeline_advance(pipeline, 3000000000ull); /* They have ended: what slot 8 sends now is its own, and is translated. */
    say(8, "H>R ip 10.0.0.8>192.0.2.200 udp 1000>53 +10");
}

static void an_answer_to_nobody_does_not_leave_untranslated(void **state)
{
    pipeline_delete(pipeline, "floating", &(struct floating_key){8, ipv4("10.0.0.8")});
    answer_nobody();
    expect_outside(0, frame_text("u>x ip 203.0.113.10>192.0.2.200 ttl=63 udp %u>53 +10", chosen_port()));
}

static void nor_does_that_of_a_floating_ip(void **state)
{
    answer_nobody();
    expect_outside(0, "u>x ip 203.0.113.14>192.0.2.200 ttl=63 udp 1000>53 +10");
}

/* Where nothing is hidden, who reached the workload by its own address is answered by it, though the workload has a floating IP. */
static void what_came_by_a_workloads_own_address_is_answered_by_it(void **state)
{
    fixture_router_port(pipeline, 5)->flags &= ~ROUTER_PORT_SNAT;
    route_outside("10.0.0.0", 24, 5);
    say(OUTSIDE, "x>u ip 192.0.2.200>10.0.0.8 udp 53>1000 +10");
    expect_port(8, "R>H ip 192.0.2.200>10.0.0.8 ttl=63 udp 53>1000 +10");
    say(8, "H>R ip 10.0.0.8>192.0.2.200 udp 1000>53 +10");
    expect_outside(0, "u>x ip 10.0.0.8>192.0.2.200 ttl=63 udp 1000>53 +10");
    say(12, "e>g ip 203.0.113.77>10.0.0.8 udp 53>1000 +10"); /* The same in the external network itself. */
    expect_port(8, "R>H ip 203.0.113.77>10.0.0.8 ttl=63 udp 53>1000 +10");
    say(8, "H>R ip 10.0.0.8>203.0.113.77 udp 1000>53 +10");
    expect_port(12, "g>e ip 10.0.0.8>203.0.113.77 ttl=63 udp 1000>53 +10");
    say(8, "H>R ip 10.0.0.8>203.0.113.77 icmp 3 3 quote ip 203.0.113.77>10.0.0.8 ttl=63 udp 53>1000 +10");
    expect_port(12, "g>e ip 10.0.0.8>203.0.113.77 ttl=63 icmp 3 3 quote ip 203.0.113.77>10.0.0.8 ttl=63 udp 53>1000 +10");
}

/* A workload on the external network knows the router's MAC, and is no nearer for that to what the router hides. */
static void a_neighbor_of_the_router_does_not_reach_what_it_hides(void **state)
{
    say(12, "e>g ip 203.0.113.77>10.0.0.1 udp 53>1000 +10");
    expect_drop(DROP_not_routable);
    say(12, "e>g ip 203.0.113.77>192.0.2.200 udp 53>1000 +10"); /* Nor is it translated by that router itself. */
    expect_drop(DROP_not_routable);
    say(12, "e>g ip 203.0.113.77>10.0.0.254 icmp 8 7"); /* The router itself. */
    expect_verdict(PIPELINE_ANSWERED);
    fixture_router_port(pipeline, 1)->flags |= ROUTER_PORT_SCOPES(7, 8);
    fixture_router_port(pipeline, 5)->flags |= ROUTER_PORT_SCOPES(7, 8); /* Within an address scope nothing is hidden. */
    say(12, "e>g ip 203.0.113.77>10.0.0.1 udp 53>1000 +10");
    expect_port(1, "R>A ip 203.0.113.77>10.0.0.1 ttl=63 udp 53>1000 +10");
    say(1, "A>R ip 10.0.0.1>203.0.113.77 udp 1000>53 +10");
    expect_port(12, "g>e ip 10.0.0.1>203.0.113.77 ttl=63 udp 1000>53 +10");
}

/* However small it is: else it would overtake the pieces of the first one.  Another packet's is no concern of the agent's. */
static void what_follows_one_to_be_cut_goes_with_it(void **state)
{
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 more udp 4000>80 +1448");
    expect_punt(PUNT_FRAGMENT);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 frag=182 proto 17 +40");
    const struct punt_event *event = expect_punt(PUNT_FRAGMENT);
    expect_bytes(event->frame, event->size, "R>B ip 192.0.2.200>10.0.0.2 ttl=63 frag=182 proto 17 +40");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 more udp 4000>80 +1408");
    expect_port(2, NULL);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 frag=177 proto 17 +40");
    expect_port(2, NULL);
}

/* What a router does not translate has a source that the router would answer by the port it came to. */
static void nobody_leaves_by_a_name_that_is_elsewhere(void **state)
{
    static const char *const sources[] = {"172.16.9.9", "203.0.113.1", "203.0.113.12", "203.0.113.10", "10.0.1.1", "10.0.0.254"};

    for (int scoped = 1; scoped >= 0; scoped--) { /* Within an address scope, and without SNAT. */
        fixture_router_port(pipeline, 1)->flags = ROUTER_PORT_UP | (scoped ? ROUTER_PORT_SCOPES(3, 0) : 0);
        fixture_router_port(pipeline, 5)->flags =
            ROUTER_PORT_UP | ROUTER_PORT_EXTERNAL | (scoped ? ROUTER_PORT_SNAT | ROUTER_PORT_SCOPES(3, 0) : 0);
        for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
            say(4, frame_text("D>R ip %s>203.0.113.23 udp 1000>53 +10", sources[i])); /* Another tenant's floating IP. */
            expect_drop(DROP_reverse_path);
            say(4, frame_text("D>R ip %s>192.0.2.200 udp 1000>53 +10", sources[i]));
            expect_drop(DROP_reverse_path);
        }
        say(4, "D>R ip 10.0.0.4>192.0.2.200 udp 1000>53 +10");
        expect_outside(0, "u>x ip 10.0.0.4>192.0.2.200 ttl=63 udp 1000>53 +10");
        say(4, "D>R ip 10.0.0.4>203.0.113.23 udp 1000>53 +10");
        expect_port(3, "c>B ip 10.0.0.4>10.0.0.2 ttl=62 udp 1000>53 +10");
    }
    say(4, "D>R ip6 2001:db8:77::1>2001:db8:99::9 udp 1>2 +10"); /* IPv6 always. */
    expect_drop(DROP_reverse_path);
    say(4, "D>R ip6 fd02::4>2001:db8:99::9 udp 1>2 +10");
    expect_drop(DROP_reverse_path);
    say(4, "D>R ip6 fd01::4>2001:db8:99::9 udp 1>2 +10");
    expect_outside(0, "u>x ip6 fd01::4>2001:db8:99::9 ttl=63 udp 1>2 +10");
    pipeline_delete(pipeline, "uplinks", &(struct uplink_key){UPLINK_BY_VNI, 20}); /* By another host's uplink. */
    say(4, "D>R ip6 2001:db8:77::1>2001:db8:99::9 udp 1>3 +10");
    expect_drop(DROP_reverse_path);
}

/* Behind routers on the way, a workload's own, and a second port of the router on the network. */
static void who_is_behind_the_router_leaves_by_his_own_name(void **state)
{
    fixture_router_port(pipeline, 5)->flags &= ~ROUTER_PORT_SNAT;
    say(11, "K>U ip 10.0.2.1>192.0.2.200 udp 1000>53 +10");
    expect_outside(0, "u>x ip 10.0.2.1>192.0.2.200 ttl=62 udp 1000>53 +10");
    say(11, "K>U ip6 fd03::1>2001:db8:99::9 udp 1>2 +10");
    expect_outside(0, "u>x ip6 fd03::1>2001:db8:99::9 ttl=62 udp 1>2 +10");
    fixture_route(pipeline, 1, "172.16.0.0", 16, 0, 1, "10.0.0.4");
    say(4, "D>R ip 172.16.9.9>192.0.2.200 udp 1000>53 +10");
    expect_outside(0, "u>x ip 172.16.9.9>192.0.2.200 ttl=63 udp 1000>53 +10");
    fixture_add_router_port(pipeline, 8, 1, 7, "i", "10.0.5.254", "fd05::254", 1450);
    say(4, "D>R ip 10.0.5.4>192.0.2.200 udp 1000>53 +10");
    expect_outside(0, "u>x ip 10.0.5.4>192.0.2.200 ttl=63 udp 1000>53 +10");
    fixture_router_port(pipeline, 8)->vni = 10;
    say(4, "D>R ip 10.0.5.5>192.0.2.200 udp 1000>53 +10");
    expect_drop(DROP_reverse_path);
}

/* ---- names that are another's now ---------------------------------------------------------------------------------------- */

static void a_floating_ip_that_moves_ends_the_aliases_of_its_former_port(void **state)
{
    fixture_router_port(pipeline, 5)->flags &= ~ROUTER_PORT_SNAT;
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 0 R>H ip 203.0.113.77>10.0.0.8 tcp 4000>80 S");
    say(12, "e>g ip 203.0.113.77>203.0.113.14 tcp 4000>80 S"); /* Slot 8 has it by an alias. */
    assert_int_equal(n_entries("aliases"), 1);
    pipeline_delete(pipeline, "floating", &(struct floating_key){8, ipv4("10.0.0.8")});
    fixture_floating(pipeline, 2, "10.0.0.2", "203.0.113.14", 5, 0x214);
    change_epoch(8);
    change_epoch(2);
    say(12, "e>g ip 203.0.113.77>203.0.113.14 tcp 4000>80 S");
    expect_drop(DROP_translation_gone);
    pipeline_advance(pipeline, 3000000000ull);
    assert_int_equal(n_entries("aliases"), 0);
    say(12, "e>g ip 203.0.113.77>203.0.113.14 tcp 4000>80 S");
    expect_port(2, "R>B ip 203.0.113.77>10.0.0.2 ttl=63 tcp 4000>80 S");
}

/* The same from inside: the new port wants the name that the former one's connection has. */
static void who_gets_a_floating_ip_gets_its_names(void **state)
{
    fixture_router_port(pipeline, 5)->flags &= ~ROUTER_PORT_SNAT;
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 0 R>H ip 203.0.113.77>10.0.0.8 udp 4000>80 +1");
    say(12, "e>g ip 203.0.113.77>203.0.113.14 udp 4000>80 +1");
    assert_int_equal(n_entries("aliases"), 1);
    pipeline_delete(pipeline, "floating", &(struct floating_key){8, ipv4("10.0.0.8")});
    fixture_floating(pipeline, 2, "10.0.0.2", "203.0.113.14", 5, 0x214);
    say(2, "B>R ip 10.0.0.2>203.0.113.77 udp 80>4000 +1");
    expect_drop(DROP_snat_exhausted);
    pipeline_advance(pipeline, 3000000000ull);
    say(2, "B>R ip 10.0.0.2>203.0.113.77 udp 80>4000 +1");
    expect_port(12, "g>e ip 203.0.113.14>203.0.113.77 ttl=63 udp 80>4000 +1");
}

static void an_error_goes_to_who_sent_what_it_quotes(void **state)
{
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 udp 4000>5003 +3");
    expect_port(2, NULL);
    say(2, "B>R ip 10.0.0.2>192.0.2.201 icmp 3 0 quote ip 192.0.2.200>10.0.0.2 ttl=63 udp 4000>5003 +3");
    expect_drop(DROP_unknown_translation);
    say(2, "B>R ip 10.0.0.2>192.0.2.200 icmp 3 0 quote ip 192.0.2.200>10.0.0.2 ttl=63 udp 4000>5003 +3");
    expect_outside(0, "u>x ip 203.0.113.12>192.0.2.200 ttl=63 icmp 3 0 quote ip 192.0.2.200>203.0.113.12 ttl=63 udp 4000>5003 +3");
}

/* By it our hosts send to gateways: a workload with this MAC would get what is for them. */
static void nobody_is_learned_by_the_mac_of_the_outside(void **state)
{
    struct movable_key any = {.vni = 7, .output = OUTPUT_REMOTE | 1};

    assert_int_equal(pipeline_update(pipeline, "movable", &any, &(struct output_value){7, OUTPUT_REMOTE | 1}), 0);
    say(4, OUTSIDE_MAC ">A ip 10.0.0.4>10.0.0.1 udp 1>2");
    assert_int_equal(n_entries("learned"), 0);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 1 " OUTSIDE_MAC ">* arp request D 10.0.0.4 10.0.0.200");
    assert_int_equal(n_entries("learned"), 0);
    say(4, "y>A ip 10.0.0.4>10.0.0.1 udp 1>2");
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 1 z>* arp request D 10.0.0.4 10.0.0.200");
    assert_int_equal(n_entries("learned"), 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_outsider_is_no_member_of_a_group),
        TEST(our_own_addresses_do_not_come_from_outside),
        TEST(the_way_back_has_to_be_the_one_it_came),
        TEST(a_sender_is_asked_for_again_after_every_change), TEST(known_connections_take_the_short_way),
        TEST(who_sends_to_nobody_pays_for_it),
        TEST(stations_that_tell_much_silence_nobody_else),
        TEST(an_advertisement_from_beyond_the_link_is_not_shown),
        TEST(the_use_of_a_station_is_noted),
        TEST(who_sends_from_outside_is_told_why_it_ends),
        TEST(a_gateway_tells_what_does_not_fit_into_the_tunnel),
        TEST(errors_have_a_budget_of_each_router),
        TEST(what_may_be_fragmented_is),
        TEST(an_answer_to_nobody_does_not_leave_untranslated),
        TEST(nor_does_that_of_a_floating_ip),
        TEST(what_came_by_a_workloads_own_address_is_answered_by_it),
        TEST(a_neighbor_of_the_router_does_not_reach_what_it_hides),
        TEST(what_follows_one_to_be_cut_goes_with_it),
        TEST(nobody_leaves_by_a_name_that_is_elsewhere),
        TEST(who_is_behind_the_router_leaves_by_his_own_name),
        TEST(a_floating_ip_that_moves_ends_the_aliases_of_its_former_port),
        TEST(who_gets_a_floating_ip_gets_its_names),
        TEST(an_error_goes_to_who_sent_what_it_quotes),
        TEST(nobody_is_learned_by_the_mac_of_the_outside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
