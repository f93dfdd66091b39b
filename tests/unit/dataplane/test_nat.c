/* Translation, frame by frame: see conversation.h. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conversation.h"
#include "weft/base/util.h"

/* ---- floating IPs --------------------------------------------------------------------------------------------------------- */

static void a_floating_ip_is_reached_from_outside(void **state)
{
    for (int i = 0; i < 3; i++) {
        say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 tcp 4000>80 S +7");
        expect_port(2, "R>B ip 192.0.2.200>10.0.0.2 ttl=63 tcp 4000>80 S +7");
        say(2, "B>R ip 10.0.0.2>192.0.2.200 tcp 80>4000 SA +3");
        expect_outside(0, "u>x ip 203.0.113.12>192.0.2.200 ttl=63 tcp 80>4000 SA +3");
    }
    assert_int_equal(n_entries("connections"), 1);
    assert_int_equal(n_entries("aliases"), 0);
    all_connections_end();
}

static void a_floating_ip_is_used_from_inside(void **state)
{
    for (int i = 0; i < 3; i++) {
        say(2, "B>R ip 10.0.0.2>192.0.2.200 udp 5000>53 +30");
        expect_outside(0, "u>x ip 203.0.113.12>192.0.2.200 ttl=63 udp 5000>53 +30");
        say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 udp 53>5000 +60");
        expect_port(2, "R>B ip 192.0.2.200>10.0.0.2 ttl=63 udp 53>5000 +60");
    }
    assert_int_equal(n_entries("connections"), 1);
}

static void every_protocol_passes_a_floating_ip(void **state)
{
    static const char *const l4[] = {"udplite 1>2 +9", "proto 47 +20", "icmp 8 77 +5", "tcp 1>2 S +1", "icmp 13 1 +12"};
    char in[200], out[200];

    for (size_t i = 0; i < ARRAY_SIZE(l4); i++) {
        snprintf(in, sizeof(in), "B>R ip 10.0.0.2>192.0.2.200 options %s", l4[i]);
        snprintf(out, sizeof(out), "u>x ip 203.0.113.12>192.0.2.200 ttl=63 options %s", l4[i]);
        say(2, in);
        expect_outside(0, out);
        snprintf(in, sizeof(in), "x>u ip 192.0.2.200>203.0.113.12 %s", l4[i]);
        snprintf(out, sizeof(out), "R>B ip 192.0.2.200>10.0.0.2 ttl=63 %s", l4[i]);
        say(OUTSIDE, in);
        expect_port(2, out);
    }
}

static void sctp_keeps_its_checksum(void **state)
{
    say(2, "B>R ip 10.0.0.2>192.0.2.200 sctp 1>2 +9 set=42:0xab");
    expect_outside(0, "u>x ip 203.0.113.12>192.0.2.200 ttl=63 sctp 1>2 +9 set=42:0xab");
}

static void udp_without_checksum_stays_so(void **state)
{
    say(2, "B>R ip 10.0.0.2>192.0.2.200 udp 1>2 +9 set=40:0 set=41:0");
    expect_outside(0, "u>x ip 203.0.113.12>192.0.2.200 ttl=63 udp 1>2 +9 set=40:0 set=41:0");
    say(1, "A>R ip 10.0.0.1>192.0.2.200 udp 1>2 +9 set=40:0 set=41:0");
    expect_outside(0, frame_text("u>x ip 203.0.113.10>192.0.2.200 ttl=63 udp %u>2 +9 set=40:0 set=41:0", chosen_port()));
}

/* A checksum of zero means none: what comes out as zero is written as 0xffff. */
static void a_udp_checksum_is_never_zero(void **state)
{
    char in[200], out[200];
    bool seen = false;

    /* The payload's first two bytes make every checksum there is. */
    for (uint32_t value = 0; value < 65536; value++) {
        struct frame expected;

        snprintf(in, sizeof(in), "B>R ip 10.0.0.2>192.0.2.200 udp 1>2 +2 set=42:%u set=43:%u", value >> 8, value & 255);
        snprintf(out, sizeof(out), "u>x ip 203.0.113.12>192.0.2.200 ttl=63 udp 1>2 +2");
        frame_parse(out, &expected);
        uint32_t sum = (uint16_t)~(expected.bytes[40] << 8 | expected.bytes[41]) + value + (uint16_t)~0x0001u;
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        uint16_t wanted = (uint16_t)~sum;
        if (wanted && wanted != 0xffff && value % 4096)
            continue;
        struct frame frame;
        struct pipeline_frame input = {.ifindex = 102};
        frame_parse("B>R ip 10.0.0.2>192.0.2.200 udp 1>2 +2", &frame);
        uint32_t before = (uint16_t)~(frame.bytes[40] << 8 | frame.bytes[41]) + value + (uint16_t)~0x0001u;
        before = (before & 0xffff) + (before >> 16);
        before = (uint16_t)~((before & 0xffff) + (before >> 16));
        before = before ? before : 0xffff;
        frame.bytes[40] = (uint8_t)(before >> 8);
        frame.bytes[41] = (uint8_t)before;
        frame.bytes[42] = (uint8_t)(value >> 8);
        frame.bytes[43] = (uint8_t)value;
        input.bytes = frame.bytes;
        input.size = frame.size;
        pipeline_result_clear(&result);
        assert_int_equal(pipeline_run(pipeline, PIPELINE_FROM_WORKLOAD, &input, &result), 0);
        assert_int_equal(result.bytes[40] << 8 | result.bytes[41], wanted ? wanted : 0xffff);
        seen |= !wanted;
    }
    assert_true(seen);
}

/* The device would finish the checksum: the field has the sum of the pseudo header, where ports are not. */
static void a_checksum_left_to_the_device_is_kept_so(void **state)
{
    struct frame expected;
    const uint8_t *out;
    uint32_t sum = 0;

    with.checksum_partial = true;
    say(1, "A>R ip 10.0.0.1>192.0.2.200 tcp 1000>80 S set=50:0x55 set=51:0x66");
    out = result.outputs[0].bytes;
    frame_parse("A>R ip 10.0.0.1>203.0.113.10 tcp 1>2 S", &expected);
    /* 0x5566 less 10.0.0.1, and 203.0.113.10 more. */
    sum = 0x5566 + 0xf5ff + 0xfffe + 0xcb00 + 0x710a;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    assert_int_equal(out[50] << 8 | out[51], sum);
    chosen_port();
}

static void later_segments_of_a_large_frame_are_one(void **state)
{
    with.gso_size = 1300;
    with.gso_segs = 2;
    with.gso_tcp = true;
    say(2, "B>R ip 10.0.0.2>192.0.2.200 tcp 1000>80 A +2600");
    expect_outside(0, "u>x ip 203.0.113.12>192.0.2.200 ttl=63 tcp 1000>80 A +2600");
}

static void a_floating_ip_on_another_host_is_sent_there(void **state)
{
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.101 tcp 4000>80 S");
    expect_host(1, "x>02:57:45:46:54:00 ip 192.0.2.200>203.0.113.101 tcp 4000>80 S");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.101 tcp 4000>80 S");
    expect_host(1, "x>02:57:45:46:54:00 ip 192.0.2.200>203.0.113.101 tcp 4000>80 S");
    assert_int_equal(n_entries("connections"), 0);
}

static void a_gateway_brings_what_is_for_this_host(void **state)
{
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 0 x>02:57:45:46:54:00 ip 192.0.2.200>203.0.113.12 tcp 4000>80 S");
    expect_port(2, "R>B ip 192.0.2.200>10.0.0.2 ttl=63 tcp 4000>80 S");
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 0/1 x>02:57:45:46:54:00 ip 192.0.2.200>203.0.113.101 tcp 4000>80 S");
    expect_drop(DROP_tunnel_header); /* Two hosts have passed it on, and it is still nowhere. */
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 0 x>02:57:45:46:54:00 ip 192.0.2.200>203.0.113.101 tcp 4000>80 S");
    expect_host(1, "x>02:57:45:46:54:00 ip 192.0.2.200>203.0.113.101 tcp 4000>80 S");
    assert_int_equal(result.outputs[0].bytes[49] & 15, 1);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 0 x>02:57:45:46:54:00 ip 192.0.2.200>203.0.113.222 tcp 4000>80 S");
    expect_drop(DROP_unknown_translation); /* Only routers send outside. */
}

static void an_ingress_policy_port_gets_one_entry(void **state)
{
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.14 udp 4000>80 +3");
    expect_port(8, "R>H ip 192.0.2.200>10.0.0.8 ttl=63 udp 4000>80 +3");
    assert_int_equal(n_entries("connections"), 1);
}

static void a_floating_ip_that_is_taken_away_ends_its_connections(void **state)
{
    struct floating_key key = {2, ipv4("10.0.0.2")};

    say(2, "B>R ip 10.0.0.2>192.0.2.200 tcp 5000>80 S");
    expect_outside(0, "u>x ip 203.0.113.12>192.0.2.200 ttl=63 tcp 5000>80 S");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 tcp 80>5000 SA");
    expect_port(2, NULL);
    ((struct floating_value *)pipeline_lookup(pipeline, "floating", &key))->object = 0x777; /* Another one, with the same address. */
    fixture_external_find(pipeline, 20, "203.0.113.12")->object = 0x777;
    change_epoch(2);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 tcp 80>5000 A");
    expect_drop(DROP_translation_gone);
    pipeline_delete(pipeline, "floating", &key);
    pipeline_delete(pipeline, "external", &(struct external_key){20, ipv4("203.0.113.12")});
    pipeline_advance(pipeline, 3000000000ull);
    say(2, "B>R ip 10.0.0.2>192.0.2.200 tcp 5000>80 S"); /* A new connection, as everybody's. */
    expect_outside(0, frame_text("u>x ip 203.0.113.10>192.0.2.200 ttl=63 tcp %u>80 S", chosen_port()));
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 tcp 80>5000 A");
    expect_passed("x>u ip 192.0.2.200>203.0.113.12 tcp 80>5000 A");
}

static void a_connection_from_inside_ends_with_its_floating_ip(void **state)
{
    say(2, "B>R ip 10.0.0.2>192.0.2.200 tcp 5000>80 S");
    expect_verdict(PIPELINE_OUTSIDE);
    pipeline_delete(pipeline, "floating", &(struct floating_key){2, ipv4("10.0.0.2")});
    say(2, "B>R ip 10.0.0.2>192.0.2.200 tcp 5000>80 A"); /* Until the epoch says so it holds. */
    expect_verdict(PIPELINE_OUTSIDE);
    change_epoch(2);
    say(2, "B>R ip 10.0.0.2>192.0.2.200 tcp 5000>80 A");
    expect_drop(DROP_translation_gone);
}

/* ---- one name, one connection --------------------------------------------------------------------------------------------- */

static void one_client_by_two_addresses_is_two_connections(void **state)
{
    const uint32_t direct = 5;
    fixture_router_port(pipeline, 5)->flags &= ~ROUTER_PORT_SNAT; /* So that the workload answers by its own address, too. */

    /* A workload of network 20 to the member itself, as a router of its own would send it. */
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 0 R>H ip 203.0.113.77>10.0.0.8 tcp 4000>80 S");
    expect_port(8, "R>H ip 203.0.113.77>10.0.0.8 tcp 4000>80 S");
    /* The same client port, to its floating IP: the member must see another port. */
    say(12, "e>g ip 203.0.113.77>203.0.113.14 tcp 4000>80 S");
    expect_verdict(PIPELINE_DELIVERED);
    assert_int_equal(result.outputs[0].port_slot, 8);
    uint16_t port = (uint16_t)(result.outputs[0].bytes[34] << 8 | result.outputs[0].bytes[35]);
    assert_int_not_equal(port, 4000);
    expect_port(8, frame_text("R>H ip 203.0.113.77>10.0.0.8 ttl=63 tcp %u>80 S", port));
    assert_int_equal(n_entries("aliases"), 1);
    assert_int_equal(names_of(direct), 1);
    say(12, "e>g ip 203.0.113.77>203.0.113.14 tcp 4000>80 S");
    expect_port(8, frame_text("R>H ip 203.0.113.77>10.0.0.8 ttl=63 tcp %u>80 S", port));
    /* Each answer goes its way. */
    say(8, frame_text("H>R ip 10.0.0.8>203.0.113.77 tcp 80>%u SA", port));
    expect_port(12, "g>e ip 203.0.113.14>203.0.113.77 ttl=63 tcp 80>4000 SA");
    say(8, "H>R ip 10.0.0.8>203.0.113.77 tcp 80>4000 SA");
    expect_port(12, "g>e ip 10.0.0.8>203.0.113.77 ttl=63 tcp 80>4000 SA");
    all_connections_end();
}

static void two_forwardings_of_one_server_are_two_connections(void **state)
{
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.13 tcp 4000>8080 S");
    expect_port(1, "R>A ip 192.0.2.200>10.0.0.1 ttl=63 tcp 4000>80 S");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.13 tcp 4000>8081 S");
    uint16_t port = (uint16_t)(result.outputs[0].bytes[34] << 8 | result.outputs[0].bytes[35]);
    assert_int_not_equal(port, 4000);
    expect_port(1, frame_text("R>A ip 192.0.2.200>10.0.0.1 ttl=63 tcp %u>80 S", port));
    say(1, "A>R ip 10.0.0.1>192.0.2.200 tcp 80>4000 SA");
    expect_outside(0, "u>x ip 203.0.113.13>192.0.2.200 ttl=63 tcp 8080>4000 SA");
    say(1, frame_text("A>R ip 10.0.0.1>192.0.2.200 tcp 80>%u SA", port));
    expect_outside(0, "u>x ip 203.0.113.13>192.0.2.200 ttl=63 tcp 8081>4000 SA");
    say(1, frame_text("A>R ip 10.0.0.1>192.0.2.200 tcp 80>%u A", port)); /* Now a known one. */
    expect_outside(0, "u>x ip 203.0.113.13>192.0.2.200 ttl=63 tcp 8081>4000 A");
    all_connections_end();
}

static void an_echo_that_collides_gets_another_identifier(void **state)
{
    fixture_router_port(pipeline, 5)->flags &= ~ROUTER_PORT_SNAT;
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 0 R>H ip 203.0.113.77>10.0.0.8 icmp 8 7 +4");
    expect_port(8, NULL);
    say(12, "e>g ip 203.0.113.77>203.0.113.14 icmp 8 7 +4");
    uint16_t identifier = (uint16_t)(result.outputs[0].bytes[38] << 8 | result.outputs[0].bytes[39]);
    assert_int_not_equal(identifier, 7);
    expect_port(8, frame_text("R>H ip 203.0.113.77>10.0.0.8 ttl=63 icmp 8 %u +4", identifier));
    say(8, frame_text("H>R ip 10.0.0.8>203.0.113.77 icmp 0 %u +4", identifier));
    expect_port(12, "g>e ip 203.0.113.14>203.0.113.77 ttl=63 icmp 0 7 +4");
    all_connections_end();
}

/* ---- SNAT ------------------------------------------------------------------------------------------------------------------ */

static void snat_there_and_back(void **state)
{
    uint16_t port = 0;

    for (int i = 0; i < 3; i++) {
        say(1, "A>R ip 10.0.0.1>192.0.2.200 tcp 1000>80 A +9");
        if (port)
            assert_int_equal(chosen_port(), port);
        port = chosen_port();
        expect_outside(0, frame_text("u>x ip 203.0.113.10>192.0.2.200 ttl=63 tcp %u>80 A +9", port));
        say(OUTSIDE, frame_text("x>u ip 192.0.2.200>203.0.113.10 tcp 80>%u A +99", port));
        expect_port(1, "R>A ip 192.0.2.200>10.0.0.1 ttl=63 tcp 80>1000 A +99");
    }
    assert_int_equal(n_entries("aliases"), 1);
    assert_int_equal(names_of(5), 1);
    all_connections_end();
    say(OUTSIDE, frame_text("x>u ip 192.0.2.200>203.0.113.10 tcp 80>%u A", port));
    expect_drop(DROP_unknown_translation);
}

static void snat_of_an_echo(void **state)
{
    say(1, "A>R ip 10.0.0.1>192.0.2.200 icmp 8 77 +31");
    uint16_t identifier = chosen_port();
    expect_outside(0, frame_text("u>x ip 203.0.113.10>192.0.2.200 ttl=63 icmp 8 %u +31", identifier));
    say(OUTSIDE, frame_text("x>u ip 192.0.2.200>203.0.113.10 icmp 0 %u +31", identifier));
    expect_port(1, "R>A ip 192.0.2.200>10.0.0.1 ttl=63 icmp 0 77 +31");
}

static void only_who_was_spoken_to_may_answer(void **state)
{
    say(1, "A>R ip 10.0.0.1>192.0.2.200 udp 1000>53 +9");
    uint16_t port = chosen_port();
    say(OUTSIDE, frame_text("x>u ip 192.0.2.201>203.0.113.10 udp 53>%u", port));
    expect_drop(DROP_unknown_translation);
    say(OUTSIDE, frame_text("x>u ip 192.0.2.200>203.0.113.10 udp 54>%u", port));
    expect_drop(DROP_unknown_translation);
    say(OUTSIDE, frame_text("x>u ip 192.0.2.200>203.0.113.10 tcp 53>%u A", port));
    expect_drop(DROP_unknown_translation);
    say(OUTSIDE, frame_text("x>u ip 192.0.2.200>203.0.113.10 udp 53>%u", port));
    expect_port(1, NULL);
}

static void ports_of_a_router_end(void **state)
{
    for (uint32_t i = 0; i < 64; i++) {
        say(1, frame_text("A>R ip 10.0.0.1>192.0.2.200 udp %u>53 +9", 1000 + i));
        expect_verdict(PIPELINE_OUTSIDE);
        chosen_port();
    }
    assert_int_equal(n_entries("aliases"), 64); /* Each has its own. */
    say(1, "A>R ip 10.0.0.1>192.0.2.200 udp 2000>53 +9");
    expect_drop(DROP_snat_exhausted);
    const uint32_t gateway = 5;
    assert_int_equal(((struct router_port_runtime *)pipeline_lookup(pipeline, "router_port_runtime", &gateway))->n_exhausted, 1);
    say(1, "A>R ip 10.0.0.1>192.0.2.201 udp 2000>53 +9"); /* To another destination all are free. */
    expect_verdict(PIPELINE_OUTSIDE);
    all_connections_end();
    say(1, "A>R ip 10.0.0.1>192.0.2.200 udp 2000>53 +9");
    expect_verdict(PIPELINE_OUTSIDE);
}

static void a_name_is_given_back_when_there_is_no_entry(void **state)
{
    const uint32_t project = 7;

    ((struct project_record *)pipeline_lookup(pipeline, "projects", &project))->max_half_open = 0;
    say(1, "A>R ip 10.0.0.1>192.0.2.200 udp 2000>53 +9");
    expect_drop(DROP_connection_limit);
    assert_int_equal(n_entries("aliases"), 0);
    assert_int_equal(names_of(5), 0);
    say(2, "B>R ip 10.0.0.2>192.0.2.200 udp 2000>53 +9"); /* A floating IP needs none. */
    expect_verdict(PIPELINE_OUTSIDE);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.13 tcp 4000>8080 S");
    expect_drop(DROP_connection_limit);
}

static void find_the_entry(void *key, void *value, void *context)
{
    *(struct flow_entry **)context = value;
}

static struct flow_entry *the_entry(void)
{
    struct flow_entry *entry = NULL;

    assert_int_equal(n_entries("connections"), 1);
    pipeline_visit(pipeline, "connections", find_the_entry, &entry);
    return entry;
}

/* Another CPU was faster with a connection of this name: the one that comes second has a name outside already, and gives it back.  (Whose
 * entry is not finished yet.) */
static void who_comes_second_gives_its_name_back(void **state)
{
    say(1, "A>R ip 10.0.0.1>192.0.2.200 udp 2000>53 +9");
    expect_verdict(PIPELINE_OUTSIDE);
    uint16_t port = chosen_port();
    struct flow_entry *first = the_entry();
    first->state = FLOW_CLAIMED;
    say(1, "A>R ip 10.0.0.1>192.0.2.200 udp 2000>53 +9");
    expect_drop(DROP_connection_limit);
    assert_int_equal(n_entries("aliases"), 1);
    assert_int_equal(names_of(5), 1);
    first->state = FLOW_HALF_OPEN;
    say(1, "A>R ip 10.0.0.1>192.0.2.200 udp 2000>53 +9"); /* As after the race: by the first one's name. */
    expect_outside(0, frame_text("u>x ip 203.0.113.10>192.0.2.200 ttl=63 udp %u>53 +9", port));
}

/* A connection in the place of one that has just ended keeps that one's names, so neither of them may be translated. */
static void no_translation_is_left_to_the_next_connection(void **state)
{
    const uint64_t tick = 1ull << FLOW_TIME_SHIFT;
    uint64_t now = 5000000000ull;

    for (int was_translated = 0; was_translated < 2; was_translated++) {
        pipeline_advance(pipeline, now);
        say(1, "A>R ip 10.0.0.1>192.0.2.200 udp 2000>53 +9");
        expect_verdict(PIPELINE_OUTSIDE);
        struct flow_entry *entry = the_entry();
        if (!was_translated) { /* As one of before the router had a gateway. */
            pipeline_clear(pipeline, "aliases");
            entry->flags &= ~(FLOW_TRANSLATED | FLOW_ALIASED);
        }
        entry->state = FLOW_DEAD;
        entry->last_seen = now >> FLOW_TIME_SHIFT;
        say(1, "A>R ip 10.0.0.1>192.0.2.200 udp 2000>53 +9");
        expect_drop(DROP_connection_limit);
        assert_int_equal(n_entries("aliases"), was_translated);
        assert_int_equal(the_entry()->state, FLOW_DEAD);
        pipeline_advance(pipeline, now += 10 * tick);
        say(1, "A>R ip 10.0.0.1>192.0.2.200 udp 2000>53 +9"); /* Nobody can hold it any more. */
        expect_outside(0, frame_text("u>x ip 203.0.113.10>192.0.2.200 ttl=63 udp %u>53 +9", chosen_port()));
        assert_true(the_entry()->flags & FLOW_TRANSLATED);
        assert_int_equal(n_entries("aliases"), 1);
        pipeline_clear(pipeline, "aliases");
        pipeline_clear(pipeline, "connections");
        now += 1000000000ull;
    }
}

static void a_block_that_is_taken_away_ends_its_connections(void **state)
{
    const uint32_t gateway = 5;

    say(1, "A>R ip 10.0.0.1>192.0.2.200 tcp 1000>80 S");
    uint16_t port = chosen_port();
    struct snat_config *config = pipeline_lookup(pipeline, "snat", &gateway);
    config->blocks[0].first = 4096;
    change_epoch(1);
    say(OUTSIDE, frame_text("x>u ip 192.0.2.200>203.0.113.10 tcp 80>%u SA", port));
    expect_drop(DROP_translation_gone);
    config->n_blocks = 0;
    pipeline_advance(pipeline, 3000000000ull);
    say(1, "A>R ip 10.0.0.1>192.0.2.200 tcp 1000>80 S");
    expect_drop(DROP_snat_exhausted);
    pipeline_delete(pipeline, "snat", &gateway);
    say(1, "A>R ip 10.0.0.1>192.0.2.200 tcp 1000>80 S");
    expect_drop(DROP_snat_exhausted);
}

static void without_snat_addresses_stay(void **state)
{
    fixture_router_port(pipeline, 5)->flags &= ~ROUTER_PORT_SNAT;
    say(1, "A>R ip 10.0.0.1>192.0.2.200 udp 1000>53 +9");
    expect_outside(0, "u>x ip 10.0.0.1>192.0.2.200 ttl=63 udp 1000>53 +9");
    say(1, "A>R ip6 fd01::1>2001:db8:77::1 udp 1000>53 +9");
    expect_outside(0, "u>x ip6 fd01::1>2001:db8:77::1 ttl=63 udp 1000>53 +9");
}

/* What compiler/nat.c writes for networks behind routers that do not translate. */
static void route_outside(const char *prefix, uint32_t length, uint32_t flags, uint32_t port)
{
    fixture_route(pipeline, ROUTER_OUTSIDE | 20, prefix, length, flags, port, NULL);
}

/* Port 5 is outside, 1 inside; 10.0.0.2 has the floating IP 203.0.113.12. */
static void within_an_address_scope_addresses_stay(void **state)
{
    fixture_router_port(pipeline, 1)->flags |= ROUTER_PORT_SCOPES(7, 8);
    fixture_router_port(pipeline, 5)->flags |= ROUTER_PORT_SCOPES(7, 9);
    say(1, "A>R ip 10.0.0.1>192.0.2.200 udp 1000>53 +9");
    expect_outside(0, "u>x ip 10.0.0.1>192.0.2.200 ttl=63 udp 1000>53 +9");
    say(2, "B>R ip 10.0.0.2>192.0.2.200 udp 1000>53 +9"); /* A floating IP is one nevertheless. */
    expect_outside(0, "u>x ip 203.0.113.12>192.0.2.200 ttl=63 udp 1000>53 +9");
    route_outside("10.0.0.0", 24, 0, 5);
    say(OUTSIDE, "x>u ip 192.0.2.200>10.0.0.1 tcp 4000>80 S");
    expect_port(1, "R>A ip 192.0.2.200>10.0.0.1 ttl=63 tcp 4000>80 S");
    say(1, "A>R ip6 fd01::1>2001:db8:77::1 udp 1000>53 +9"); /* IPv6 has nothing to be translated to. */
    expect_drop(DROP_address_scope);
}

static void from_another_address_scope_it_is_translated(void **state)
{
    fixture_router_port(pipeline, 1)->flags |= ROUTER_PORT_SCOPES(7, 9);
    fixture_router_port(pipeline, 5)->flags |= ROUTER_PORT_SCOPES(8, 9);
    say(1, "A>R ip 10.0.0.1>192.0.2.200 udp 1000>53 +9");
    expect_outside(0, frame_text("u>x ip 203.0.113.10>192.0.2.200 ttl=63 udp %u>53 +9", chosen_port()));
    say(OUTSIDE, frame_text("x>u ip 192.0.2.200>203.0.113.10 udp 53>%u +9", chosen));
    expect_port(1, "R>A ip 192.0.2.200>10.0.0.1 ttl=63 udp 53>1000 +9");
    route_outside("10.0.0.0", 24, 0, 5);
    say(OUTSIDE, "x>u ip 192.0.2.200>10.0.0.1 tcp 4000>80 S");
    expect_drop(DROP_address_scope);
    say(1, "A>R ip6 fd01::1>2001:db8:77::1 udp 1000>53 +9");
    expect_outside(0, "u>x ip6 fd01::1>2001:db8:77::1 ttl=63 udp 1000>53 +9");
}

static void icmp_that_names_no_connection_needs_a_floating_ip(void **state)
{
    say(1, "A>R ip 10.0.0.1>192.0.2.200 icmp 13 1 +12");
    expect_drop(DROP_untranslatable);
}

static void ports_of_another_hosts_block_are_its(void **state)
{
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.10 tcp 80>2050 A");
    expect_host(1, "x>02:57:45:46:54:00 ip 192.0.2.200>203.0.113.10 tcp 80>2050 A");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.10 icmp 0 2051");
    expect_host(1, "x>02:57:45:46:54:00 ip 192.0.2.200>203.0.113.10 icmp 0 2051");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.10 icmp 3 0 quote ip 203.0.113.10>192.0.2.200 udp 2052>53 +4");
    expect_host(1, "x>02:57:45:46:54:00 ip 192.0.2.200>203.0.113.10 icmp 3 0 quote ip 203.0.113.10>192.0.2.200 udp 2052>53 +4");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.10 tcp 80>60000 A");
    expect_drop(DROP_unknown_translation); /* Nobody's block. */
}

static void an_answer_comes_by_another_gateway(void **state)
{
    say(1, "A>R ip 10.0.0.1>192.0.2.200 tcp 1000>80 S");
    uint16_t port = chosen_port();
    say(TUNNEL, frame_text("outer 192.0.2.2>192.0.2.1 20 0 x>02:57:45:46:54:00 ip 192.0.2.200>203.0.113.10 tcp 80>%u SA", port));
    expect_port(1, "R>A ip 192.0.2.200>10.0.0.1 ttl=63 tcp 80>1000 SA");
}

/* ---- on our side of the network --------------------------------------------------------------------------------------------- */

static void hairpin_to_a_floating_ip_on_this_host(void **state)
{
    for (int i = 0; i < 2; i++) {
        say(1, "A>R ip 10.0.0.1>203.0.113.23 tcp 1000>80 S");
        expect_verdict(PIPELINE_DELIVERED);
        uint16_t port = (uint16_t)(result.outputs[0].bytes[34] << 8 | result.outputs[0].bytes[35]);
        expect_port(3, frame_text("c>B ip 203.0.113.10>10.0.0.2 ttl=62 tcp %u>80 S", port));
        say(3, frame_text("B>c ip 10.0.0.2>203.0.113.10 tcp 80>%u SA", port));
        expect_port(1, "R>A ip 203.0.113.23>10.0.0.1 ttl=62 tcp 80>1000 SA");
    }
    all_connections_end();
}

static void hairpin_in_one_router(void **state)
{
    say(1, "A>R ip 10.0.0.1>203.0.113.12 tcp 1000>80 S");
    uint16_t port = (uint16_t)(result.outputs[0].bytes[34] << 8 | result.outputs[0].bytes[35]);
    expect_port(2, frame_text("R>B ip 203.0.113.10>10.0.0.2 ttl=62 tcp %u>80 S", port));
    say(2, frame_text("B>R ip 10.0.0.2>203.0.113.10 tcp 80>%u SA", port));
    expect_port(1, "R>A ip 203.0.113.12>10.0.0.1 ttl=62 tcp 80>1000 SA");
}

static void hairpin_between_floating_ips(void **state)
{
    for (int i = 0; i < 2; i++) {
        say(2, "B>R ip 10.0.0.2>203.0.113.23 udp 1000>80 +5");
        expect_port(3, "c>B ip 203.0.113.12>10.0.0.2 ttl=62 udp 1000>80 +5");
        say(3, "B>c ip 10.0.0.2>203.0.113.12 udp 80>1000 +6");
        expect_port(2, "R>B ip 203.0.113.23>10.0.0.2 ttl=62 udp 80>1000 +6");
    }
}

static void hairpin_to_its_own_floating_ip(void **state)
{
    for (int i = 0; i < 2; i++) {
        say(2, "B>R ip 10.0.0.2>203.0.113.12 udp 1000>80 +5");
        expect_port(2, "R>B ip 203.0.113.12>10.0.0.2 ttl=62 udp 1000>80 +5");
        say(2, "B>R ip 10.0.0.2>203.0.113.12 udp 80>1000 +6");
        expect_port(2, "R>B ip 203.0.113.12>10.0.0.2 ttl=62 udp 80>1000 +6");
    }
}

static void to_a_floating_ip_on_another_host(void **state)
{
    for (int i = 0; i < 2; i++) {
        say(2, "B>R ip 10.0.0.2>203.0.113.101 udp 1000>80 +5");
        expect_host(1, "g>02:57:45:46:54:00 ip 203.0.113.12>203.0.113.101 ttl=63 udp 1000>80 +5");
    }
    say(1, "A>R ip 10.0.0.1>203.0.113.101 udp 1000>80 +5");
    expect_host(1, frame_text("g>02:57:45:46:54:00 ip 203.0.113.10>203.0.113.101 ttl=63 udp %u>80 +5", chosen_port()));
    say(TUNNEL, frame_text("outer 192.0.2.2>192.0.2.1 20 0 g>02:57:45:46:54:00 ip 203.0.113.101>203.0.113.10 udp 80>%u +5", chosen));
    expect_port(1, "R>A ip 203.0.113.101>10.0.0.1 ttl=63 udp 80>1000 +5");
}

static void a_workload_of_the_external_network_itself(void **state)
{
    say(12, "e>g ip 203.0.113.77>203.0.113.12 udp 1000>80 +5");
    expect_port(2, "R>B ip 203.0.113.77>10.0.0.2 ttl=63 udp 1000>80 +5");
    expect_translation("arrives as 10.0.0.2");
    for (int i = 0; i < 2; i++) { /* Decided, and known. */
        say(2, "B>R ip 10.0.0.2>203.0.113.77 udp 80>1000 +5");
        expect_port(12, "g>e ip 203.0.113.12>203.0.113.77 ttl=63 udp 80>1000 +5");
        expect_translation("leaves as 203.0.113.12");
    }
    say(1, "A>R ip 10.0.0.1>203.0.113.77 udp 1000>80 +5");
    expect_port(12, NULL);
    uint16_t port = chosen_port();
    say(12, frame_text("e>g ip 203.0.113.77>203.0.113.10 udp 80>%u +5", port));
    expect_port(1, "R>A ip 203.0.113.77>10.0.0.1 ttl=63 udp 80>1000 +5");
    say(12, "e>g ip 203.0.113.77>203.0.113.10 icmp 8 5 +5");
    expect_verdict(PIPELINE_ANSWERED);
    expect_bytes(result.outputs[0].bytes, result.outputs[0].size, "g>e ip 203.0.113.10>203.0.113.77 icmp 0 5 +5");
}

/* Not what its addresses make of it, but where it goes. */
static void what_leaves_by_the_uplink_is_not_taken_for_tunnelled(void **state)
{
    say(2, "B>R ip 10.0.0.2>192.0.2.2 udp 1000>53 +40");
    expect_outside(0, "u>x ip 203.0.113.12>192.0.2.2 ttl=63 udp 1000>53 +40");
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 0 g>02:57:45:46:54:00 ip6 fd01::5>:: udp 1000>53 +5");
    expect_outside(0, "u>x ip6 fd01::5>:: udp 1000>53 +5");
}

static void without_an_uplink_a_gateway_gets_it(void **state)
{
    pipeline_delete(pipeline, "uplinks", &(struct uplink_key){UPLINK_BY_VNI, 20});
    for (int i = 0; i < 2; i++) {
        say(2, "B>R ip 10.0.0.2>192.0.2.200 udp 1000>53 +5");
        expect_verdict(PIPELINE_TUNNELLED);
        expect_host(result.outputs[0].host_slot, "g>02:57:45:46:54:00 ip 203.0.113.12>192.0.2.200 ttl=63 udp 1000>53 +5");
    }
    uint32_t seen = 0;
    for (uint32_t i = 0; i < 40; i++) { /* Connections are spread. */
        say(2, frame_text("B>R ip 10.0.0.2>192.0.2.%u udp 1000>53 +5", 100 + i));
        seen |= 1u << result.outputs[0].host_slot;
    }
    assert_int_equal(seen, 1u << 1 | 1u << 2);
    pipeline_delete(pipeline, "gateways", &(struct flood_key){20, GATEWAYS_FACTS});
    say(1, "A>R ip 10.0.0.1>192.0.2.200 udp 1000>53 +5");
    expect_drop(DROP_no_uplink);
    assert_int_equal(n_entries("aliases"), 0);
}

static void a_gateway_sends_on_for_a_host_without_uplink(void **state)
{
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 0 h>02:57:45:46:54:00 ip 203.0.113.20>192.0.2.200 udp 1000>53 +5");
    expect_outside(0, "u>x ip 203.0.113.20>192.0.2.200 udp 1000>53 +5");
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 0 g>02:57:45:46:54:00 ip6 fd01::1>2001:db8:77::1 udp 1000>53 +5");
    expect_outside(0, "u>x ip6 fd01::1>2001:db8:77::1 udp 1000>53 +5");
    fixture_router_port(pipeline, 7)->flags &= ~ROUTER_PORT_UP;
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 0 h>02:57:45:46:54:00 ip 203.0.113.20>192.0.2.200 udp 1000>53 +5");
    expect_drop(DROP_router_down);
}

static void an_unknown_next_hop_is_asked_for_by_the_agent(void **state)
{
    uint8_t address[16];

    say(2, "B>R ip 10.0.0.2>203.0.113.200 udp 1000>53 +5");
    const struct punt_event *event = expect_punt(PUNT_NEIGHBOR);
    expect_verdict(PIPELINE_PUNTED);
    expect_bytes(event->frame, event->size, "u>00:00:00:00:00:00 ip 203.0.113.12>203.0.113.200 ttl=63 udp 1000>53 +5");
    frame_address("203.0.113.200", address);
    assert_memory_equal(event->next_hop, address, 16);
    assert_int_equal(event->vni, 20);
    struct neighbor_key key = {.vni = 20};
    frame_address("203.0.113.1", key.address);
    pipeline_delete(pipeline, "neighbors", &key);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 0 h>02:57:45:46:54:00 ip 203.0.113.20>192.0.2.200 udp 1000>53 +5");
    event = expect_punt(PUNT_NEIGHBOR);
    assert_memory_equal(event->next_hop, key.address, 16);
    /* Not kept: as soon as the table has it, the next frame goes by itself. */
    fixture_neighbor(pipeline, 20, "203.0.113.200", "y");
    say(2, "B>R ip 10.0.0.2>203.0.113.200 udp 1000>53 +5");
    expect_outside(0, "u>y ip 203.0.113.12>203.0.113.200 ttl=63 udp 1000>53 +5");
}

/* ---- port forwardings -------------------------------------------------------------------------------------------------------- */

static void a_port_is_forwarded(void **state)
{
    for (int i = 0; i < 2; i++) {
        say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.13 udp 4000>5003 +3");
        expect_port(1, "R>A ip 192.0.2.200>10.0.0.1 ttl=63 udp 4000>6003 +3");
        say(1, "A>R ip 10.0.0.1>192.0.2.200 udp 6003>4000 +4");
        expect_outside(0, "u>x ip 203.0.113.13>192.0.2.200 ttl=63 udp 5003>4000 +4");
    }
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.13 tcp 4000>9000 S");
    expect_host(1, "x>02:57:45:46:54:00 ip 192.0.2.200>203.0.113.13 tcp 4000>9000 S");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.13 tcp 4000>8082 S");
    expect_drop(DROP_unknown_translation);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.13 udp 4000>8080 +3");
    expect_drop(DROP_unknown_translation);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.13 icmp 8 3 +3");
    expect_outside(0, "u>x ip 203.0.113.13>192.0.2.200 icmp 0 3 +3");
    say(2, "B>R ip 10.0.0.2>203.0.113.13 tcp 4000>8080 S"); /* From inside, too. */
    expect_port(1, "R>A ip 203.0.113.12>10.0.0.1 ttl=62 tcp 4000>80 S");
}

static void a_forwarding_that_is_deleted_ends_its_connections(void **state)
{
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.13 tcp 4000>8080 S");
    expect_port(1, NULL);
    pipeline_delete(pipeline, "forwarded", &(struct forwarding_key){.prefix_length = FORWARDING_PREFIX + 16, .vni = 20, .address = ipv4("203.0.113.13"), .port = htons(8080), .protocol = 6});
    change_epoch(1);
    say(1, "A>R ip 10.0.0.1>192.0.2.200 tcp 80>4000 SA");
    expect_drop(DROP_translation_gone);
}

/* ---- ICMP errors --------------------------------------------------------------------------------------------------------------- */

static void an_error_from_outside_is_about_what_the_workload_sent(void **state)
{
    say(1, "A>R ip 10.0.0.1>192.0.2.200 tcp 1000>80 S");
    uint16_t port = chosen_port();
    say(OUTSIDE, frame_text("x>u ip 198.51.100.7>203.0.113.10 icmp 11 0 quote ip 203.0.113.10>192.0.2.200 ttl=1 tcp %u>80 S", port));
    expect_port(1, "R>A ip 198.51.100.7>10.0.0.1 ttl=63 icmp 11 0 quote ip 10.0.0.1>192.0.2.200 ttl=1 tcp 1000>80 S");
    say(OUTSIDE, frame_text("x>u ip 192.0.2.200>203.0.113.10 icmp 3 0 quote ip 203.0.113.10>192.0.2.200 options tcp %u>80 S +5", port));
    expect_port(1, "R>A ip 192.0.2.200>10.0.0.1 ttl=63 icmp 3 0 quote ip 10.0.0.1>192.0.2.200 options tcp 1000>80 S +5");
    say(2, "B>R ip 10.0.0.2>192.0.2.200 udp 1000>53 +20");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 icmp 3 0 quote ip 203.0.113.12>192.0.2.200 udp 1000>53 +20");
    expect_port(2, "R>B ip 192.0.2.200>10.0.0.2 ttl=63 icmp 3 0 quote ip 10.0.0.2>192.0.2.200 udp 1000>53 +20");
    say(1, "A>R ip 10.0.0.1>192.0.2.200 icmp 8 9 +8");
    port = chosen_port();
    say(OUTSIDE, frame_text("x>u ip 198.51.100.7>203.0.113.10 icmp 11 0 quote ip 203.0.113.10>192.0.2.200 ttl=1 icmp 8 %u +8", port));
    expect_port(1, "R>A ip 198.51.100.7>10.0.0.1 ttl=63 icmp 11 0 quote ip 10.0.0.1>192.0.2.200 ttl=1 icmp 8 9 +8");
    say(1, "A>R ip 10.0.0.1>192.0.2.200 udp 1000>53 +20 set=40:0 set=41:0");
    port = chosen_port();
    say(OUTSIDE, frame_text("x>u ip 192.0.2.200>203.0.113.10 icmp 3 0 quote ip 203.0.113.10>192.0.2.200 udp %u>53 +20", port));
    expect_port(1, "R>A ip 192.0.2.200>10.0.0.1 ttl=63 icmp 3 0 quote ip 10.0.0.1>192.0.2.200 udp 1000>53 +20");
}

/* Eight bytes are enough (RFC 792): then TCP's checksum is not quoted. */
static void an_error_with_the_least_quotation(void **state)
{
    struct frame frame, expected;
    struct pipeline_frame input = {.ifindex = UPLINK_IFINDEX};
    uint32_t sum;

    say(1, "A>R ip 10.0.0.1>192.0.2.200 tcp 1000>80 S");
    uint16_t port = chosen_port();
    frame_parse(frame_text("x>u ip 192.0.2.200>203.0.113.10 icmp 3 0 quote ip 203.0.113.10>192.0.2.200 tcp %u>80 S", port), &frame);
    frame_parse("R>A ip 192.0.2.200>10.0.0.1 ttl=63 icmp 3 0 quote ip 10.0.0.1>192.0.2.200 tcp 1000>80 S", &expected);
    for (struct frame *f = &frame; f; f = f == &frame ? &expected : NULL) {
        f->size = 14 + 20 + 8 + 20 + 8;
        f->bytes[17] = (uint8_t)(f->size - 14);
        f->bytes[24] = f->bytes[25] = f->bytes[36] = f->bytes[37] = 0;
        for (uint32_t from = 14, to = 34, at = 24; from < f->size; from = 34, to = f->size, at = 36) {
            sum = 0;
            for (uint32_t i = from; i < to; i += 2)
                sum += (uint32_t)f->bytes[i] << 8 | f->bytes[i + 1];
            sum = ~((sum & 0xffff) + (sum >> 16));
            f->bytes[at] = (uint8_t)(sum >> 8);
            f->bytes[at + 1] = (uint8_t)sum;
            if (from == 34)
                break;
        }
    }
    input.bytes = frame.bytes;
    input.size = frame.size;
    pipeline_result_clear(&result);
    assert_int_equal(pipeline_run(pipeline, PIPELINE_FROM_UPLINK, &input, &result), 0);
    expect_verdict(PIPELINE_DELIVERED);
    assert_int_equal(result.size, expected.size);
    assert_memory_equal(result.bytes, expected.bytes, expected.size);
}

static void an_error_from_inside_leaves_under_the_connections_name(void **state)
{
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.13 udp 4000>5003 +3");
    expect_port(1, "R>A ip 192.0.2.200>10.0.0.1 ttl=63 udp 4000>6003 +3");
    say(1, "A>R ip 10.0.0.1>192.0.2.200 icmp 3 0 quote ip 192.0.2.200>10.0.0.1 ttl=63 udp 4000>6003 +3");
    expect_outside(0, "u>x ip 203.0.113.13>192.0.2.200 ttl=63 icmp 3 0 quote ip 192.0.2.200>203.0.113.13 ttl=63 udp 4000>5003 +3");
    say(1, "A>R ip 10.0.0.1>192.0.2.200 icmp 3 0 quote ip 192.0.2.200>10.0.0.1 udp 4000>6004 +3");
    expect_drop(DROP_unknown_translation);
    say(2, "B>R ip 10.0.0.2>192.0.2.200 icmp 3 0 quote ip 192.0.2.200>10.0.0.1 udp 4000>6003 +3");
    expect_drop(DROP_unknown_translation); /* Another's connection. */
}

static void forged_quotations_reach_nobody(void **state)
{
    say(1, "A>R ip 10.0.0.1>192.0.2.200 udp 1000>53 +3");
    uint16_t port = chosen_port();
    static const char *const forged[] = {
        "x>u ip 6.6.6.6>203.0.113.10 icmp 3 0 quote ip 203.0.113.12>192.0.2.200 udp %u>53",  /* Sent by somebody else. */
        "x>u ip 6.6.6.6>203.0.113.10 icmp 3 0 quote ip 203.0.113.10>192.0.2.201 udp %u>53",  /* To somebody else. */
        "x>u ip 6.6.6.6>203.0.113.10 icmp 3 0 quote ip 203.0.113.10>192.0.2.200 udp %u>54",
        "x>u ip 6.6.6.6>203.0.113.10 icmp 3 0 quote ip 203.0.113.10>192.0.2.200 tcp %u>53 S",
        "x>u ip 6.6.6.6>203.0.113.10 icmp 3 0 quote ip 203.0.113.10>192.0.2.200 frag=1 udp %u>53",
        "x>u ip 6.6.6.6>203.0.113.10 icmp 3 0 quote ip 203.0.113.10>192.0.2.200 udp %u>53 set=42:0x65",
        "x>u ip 6.6.6.6>203.0.113.10 icmp 3 0 quote ip 203.0.113.10>192.0.2.200 udp %u>53 set=42:0x4f", /* Options beyond the end. */
        "x>u ip 6.6.6.6>203.0.113.10 icmp 5 0 quote ip 203.0.113.10>192.0.2.200 icmp 3 %u",
    };
    for (size_t i = 0; i < ARRAY_SIZE(forged); i++) {
        char text[300];

        snprintf(text, sizeof(text), forged[i], port);
        say(OUTSIDE, text);
        expect_drop(DROP_unknown_translation);
    }
}

/* ---- the uplink ---------------------------------------------------------------------------------------------------------------- */

static void arp_for_an_announced_address_is_answered(void **state)
{
    say(OUTSIDE, "y>* arp request y 203.0.113.1 203.0.113.12");
    expect_outside(0, "u>y arp reply u 203.0.113.12 203.0.113.1 set=32:2 set=37:121");
    say(OUTSIDE, "y>* arp request y 203.0.113.1 203.0.113.10");
    expect_outside(0, "u>y arp reply u 203.0.113.10 203.0.113.1 set=32:2 set=37:121");
    say(OUTSIDE, "y>* arp request y 203.0.113.1 203.0.113.20"); /* Another host announces that one. */
    expect_passed("y>* arp request y 203.0.113.1 203.0.113.20");
    say(OUTSIDE, "y>* arp request y 203.0.113.1 203.0.113.99");
    expect_passed("y>* arp request y 203.0.113.1 203.0.113.99");
    say(OUTSIDE + 5, "y>* arp request y 203.0.113.1 203.0.113.12"); /* In another network. */
    expect_verdict(PIPELINE_PASSED);
    fixture_external_row(pipeline, 21, "198.51.100.9", &(struct external_value){.kind = EXTERNAL_ROUTER, .flags = EXTERNAL_ANNOUNCED});
    say(OUTSIDE + 5, "y>* arp request y 198.51.100.1 198.51.100.9");
    expect_outside(5, "u>y arp reply u 198.51.100.9 198.51.100.1 set=32:2 set=37:121");
}

static void what_tells_of_stations_is_shown_to_the_agent_and_passes(void **state)
{
    say(OUTSIDE, "y>u arp reply y 203.0.113.200 203.0.113.10");
    expect_passed("y>u arp reply y 203.0.113.200 203.0.113.10");
    assert_int_equal(expect_punt(PUNT_NEIGHBOR_SEEN)->vni, 20);
    say(OUTSIDE, "x>* arp request x 203.0.113.1 203.0.113.1"); /* A known one announces itself. */
    expect_punt(PUNT_NEIGHBOR_SEEN);
    expect_verdict(PIPELINE_PASSED);
    say(OUTSIDE, "y>* arp request y 203.0.113.201 203.0.113.201");
    assert_int_equal(result.n_outputs, 0);
    expect_verdict(PIPELINE_PASSED);
}

static void what_is_not_ours_passes_untouched(void **state)
{
    static const char *const others[] = {
        "x>u ip 192.0.2.200>203.0.113.99 tcp 4000>22 S", /* The host's own address, */
        "x>u ip 192.0.2.200>203.0.113.222 tcp 4000>22 S",
        "x>y ip 192.0.2.200>203.0.113.12 tcp 4000>22 S", /* another station's frame, */
        "x>* ip 192.0.2.200>255.255.255.255 udp 67>68 +240",
        "x>u ip6 2001:db8::9>2001:db8::1 tcp 1>22 S",
        "x>33:33:00:00:00:01 ip6 fe80::1>ff02::1 icmp6 134 0 +8",
        "x>u type=0x88cc +50",
        "x>! type=0x88cc +50",
        "x>u vlan ip 192.0.2.200>203.0.113.12 tcp 4000>22 S",
        "x>u ip 192.0.2.200>203.0.113.12 tcp 4000>22 S cut=40", /* and what is broken, which the stack counts. */
        "x>u ip 192.0.2.200>203.0.113.12 tcp 4000>22 S set=14:0x55",
    };

    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        say(OUTSIDE, others[i]);
        expect_passed(others[i]);
        say(OUTSIDE + 7, others[i]); /* A VLAN that is none of ours. */
        expect_passed(others[i]);
    }
    say(OUTSIDE + 7, "x>u ip 192.0.2.200>203.0.113.12 tcp 4000>22 S");
    expect_passed("x>u ip 192.0.2.200>203.0.113.12 tcp 4000>22 S");
    pipeline_delete(pipeline, "uplinks", &(struct uplink_key){UPLINK_IFINDEX, 0});
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 tcp 4000>22 S");
    expect_passed("x>u ip 192.0.2.200>203.0.113.12 tcp 4000>22 S");
}

static void the_host_keeps_an_address_that_somebody_else_claims(void **state)
{
    fixture_floating(pipeline, 2, "10.0.0.2", "203.0.113.99", 5, 0x999);
    fixture_external_row(pipeline, 20, "203.0.113.99", &(struct external_value){.kind = EXTERNAL_HOST, .flags = EXTERNAL_ANNOUNCED});
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.99 tcp 4000>22 S");
    expect_passed("x>u ip 192.0.2.200>203.0.113.99 tcp 4000>22 S");
    say(OUTSIDE, "y>* arp request y 203.0.113.1 203.0.113.99");
    expect_passed("y>* arp request y 203.0.113.1 203.0.113.99");
}

static void a_tagged_network(void **state)
{
    pipeline_update(pipeline, "uplinks", &(struct uplink_key){UPLINK_BY_VNI, 20},
                    pipeline_lookup(pipeline, "uplinks", &(struct uplink_key){UPLINK_IFINDEX, 5}));
    struct uplink_value *uplink = pipeline_lookup(pipeline, "uplinks", &(struct uplink_key){UPLINK_IFINDEX, 5});
    uplink->vni = 20;
    ((struct uplink_value *)pipeline_lookup(pipeline, "uplinks", &(struct uplink_key){UPLINK_BY_VNI, 20}))->vni = 20;
    say(OUTSIDE + 5, "x>u ip 192.0.2.200>203.0.113.12 tcp 4000>80 S");
    expect_port(2, "R>B ip 192.0.2.200>10.0.0.2 ttl=63 tcp 4000>80 S");
    assert_int_equal(result.outputs[0].vlan, 0);
    say(2, "B>R ip 10.0.0.2>192.0.2.200 tcp 80>4000 SA");
    expect_outside(5, "u>x ip 203.0.113.12>192.0.2.200 ttl=63 tcp 80>4000 SA");
    say(OUTSIDE + 5, "x>u ip 192.0.2.200>203.0.113.10 icmp 8 3 +3");
    expect_outside(5, "u>x ip 203.0.113.10>192.0.2.200 icmp 0 3 +3");
}

static void a_router_answers_echo(void **state)
{
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.10 ttl=2 icmp 8 3 +300");
    expect_outside(0, "u>x ip 203.0.113.10>192.0.2.200 icmp 0 3 +300");
    say(1, "A>R ip 10.0.0.1>203.0.113.20 icmp 8 3 +30"); /* From another tenant, by its name. */
    expect_port(1, "R>A ip 203.0.113.20>10.0.0.1 ttl=63 icmp 0 3 +30");
    say(2, "B>R ip 10.0.0.2>203.0.113.20 icmp 8 3 +30");
    expect_port(2, "R>B ip 203.0.113.20>10.0.0.2 ttl=63 icmp 0 3 +30");
    say(1, "A>R ip 10.0.0.1>203.0.113.10 icmp 8 3 +30");
    expect_verdict(PIPELINE_ANSWERED);
    fixture_router_port(pipeline, 5)->flags &= ~ROUTER_PORT_SNAT;
    say(1, "A>R ip 10.0.0.1>203.0.113.20 icmp 8 4 +30");
    expect_verdict(PIPELINE_ANSWERED);
}

static void ttl_ends_at_the_last_router(void **state)
{
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 ttl=1 tcp 4000>80 S");
    expect_drop(DROP_ttl_exceeded);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 ttl=2 tcp 4000>80 S");
    expect_port(2, "R>B ip 192.0.2.200>10.0.0.2 ttl=1 tcp 4000>80 S");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 df udp 4000>80 +1440");
    expect_drop(DROP_too_big);
}

static void a_router_that_is_down_lets_nobody_in(void **state)
{
    fixture_router_port(pipeline, 1)->flags = 0;
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 tcp 4000>80 S");
    expect_drop(DROP_no_route);
    fixture_router_port(pipeline, 5)->flags = 0;
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 tcp 4000>80 S");
    expect_drop(DROP_router_down);
}

static void ipv6_is_routed_in(void **state)
{
    route_outside("fd01::", 64, 0, 5);
    say(OUTSIDE, "x>u ip6 2001:db8:77::1>fd01::1 udp 53>1000 +5");
    expect_port(1, "R>A ip6 2001:db8:77::1>fd01::1 ttl=63 udp 53>1000 +5");
    say(OUTSIDE, "x>u ip6 2001:db8:77::1>fd02::101 udp 53>1000 +5");
    expect_passed("x>u ip6 2001:db8:77::1>fd02::101 udp 53>1000 +5");
    route_outside("fd02::", 64, 0, 5);
    say(OUTSIDE, "x>u ip6 2001:db8:77::1>fd02::101 udp 53>1000 +5");
    expect_host(1, "S>P ip6 2001:db8:77::1>fd02::101 ttl=63 udp 53>1000 +5");
    say(OUTSIDE, "x>u ip6 2001:db8:77::1>fd01::1 ttl=1 udp 53>1000 +5");
    expect_drop(DROP_ttl_exceeded);
    route_outside("fd01::1", 128, ROUTE_LOCAL, 0); /* That is the host's own. */
    say(OUTSIDE, "x>u ip6 2001:db8:77::1>fd01::1 udp 53>1000 +5");
    expect_passed("x>u ip6 2001:db8:77::1>fd01::1 udp 53>1000 +5");
    route_outside("2001:db8:99::", 64, 0, 5);
    say(OUTSIDE, "x>u ip6 2001:db8:77::1>2001:db8:99::1 udp 53>1000 +5");
    expect_drop(DROP_no_route); /* Nobody passes through us. */
}

static void untranslated_ipv4_is_routed_in(void **state)
{
    route_outside("10.0.0.0", 24, 0, 5);
    fixture_router_port(pipeline, 5)->flags &= ~ROUTER_PORT_SNAT;
    say(OUTSIDE, "x>u ip 192.0.2.200>10.0.0.1 tcp 4000>80 S");
    expect_port(1, "R>A ip 192.0.2.200>10.0.0.1 ttl=63 tcp 4000>80 S");
    say(1, "A>R ip 10.0.0.1>192.0.2.200 tcp 80>4000 SA");
    expect_outside(0, "u>x ip 10.0.0.1>192.0.2.200 ttl=63 tcp 80>4000 SA");
    say(OUTSIDE, "x>u ip 192.0.2.200>10.0.0.254 icmp 8 7");
    expect_outside(0, "u>x ip 10.0.0.254>192.0.2.200 icmp 0 7");
    say(OUTSIDE, "x>u ip 192.0.2.200>10.0.0.254 tcp 4000>22 S");
    expect_drop(DROP_router_itself);
}

static void solicitations_for_a_routers_address_are_answered(void **state)
{
    const char *asks = "y>33:33:ff:00:00:10 ip6 2001:db8:20::7>ff02::1:ff00:10 ns 2001:db8:20::10 y";

    say(OUTSIDE, asks); /* Another host answers for it. */
    expect_passed(asks);
    fixture_router_port(pipeline, 5)->flags |= ROUTER_PORT_ANNOUNCED;
    say(OUTSIDE, asks);
    expect_verdict(PIPELINE_OUTSIDE);
    assert_memory_equal(result.outputs[0].bytes, "\x02\0\0\0\0y\x02\0\0\0\0u", 12);
    assert_int_equal(result.outputs[0].bytes[54], 136);
    assert_memory_equal(result.outputs[0].bytes + 80, "\x02\0\0\0\0u", 6);
    say(OUTSIDE, "y>33:33:ff:00:00:10 ip6 2001:db8:20::7>ff02::1:ff00:10 ns 2001:db8:20::10 y ttl=64");
    expect_verdict(PIPELINE_PASSED);
    say(OUTSIDE, "y>33:33:ff:00:00:11 ip6 2001:db8:20::7>ff02::1:ff00:11 ns 2001:db8:20::11 y");
    expect_verdict(PIPELINE_PASSED);
    say(OUTSIDE, "y>u ip6 2001:db8:20::7>2001:db8:20::10 icmp6 128 9 +4");
    expect_outside(0, "u>y ip6 2001:db8:20::10>2001:db8:20::7 icmp6 129 9 +4");
    say(OUTSIDE, "y>u ip6 2001:db8:20::7>2001:db8:20::10 na 2001:db8:20::7 y");
    expect_verdict(PIPELINE_PASSED);
    expect_punt(PUNT_NEIGHBOR_SEEN);
}

/* An element that was reused while it was read must not open a port to others: what is new is looked up twice. */
static void a_stale_row_lets_nobody_in(void **state)
{
    fixture_external_find(pipeline, 20, "203.0.113.12")->output = OUTPUT_LOCAL | 3;
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 tcp 4000>80 S");
    expect_drop(DROP_unknown_translation);
    fixture_external_find(pipeline, 20, "203.0.113.12")->vni = 21;
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 tcp 4000>80 S");
    expect_verdict(PIPELINE_PASSED);
}

/* Each decision is remembered with whose right it is by, or the next change would end the connection. */
static void a_translation_survives_one_change_after_the_other(void **state)
{
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 udp 4000>80 +3");
    expect_port(2, NULL);
    for (int i = 0; i < 3; i++) {
        say(2, "B>R ip 10.0.0.2>192.0.2.200 udp 80>4000 +3");
        expect_outside(0, "u>x ip 203.0.113.12>192.0.2.200 ttl=63 udp 80>4000 +3");
        change_epoch(2);
        say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.12 udp 4000>80 +3");
        expect_port(2, NULL);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_translation_survives_one_change_after_the_other),
        TEST(a_floating_ip_is_reached_from_outside),
        TEST(a_floating_ip_is_used_from_inside),
        TEST(every_protocol_passes_a_floating_ip),
        TEST(sctp_keeps_its_checksum),
        TEST(udp_without_checksum_stays_so),
        TEST(a_udp_checksum_is_never_zero),
        TEST(a_checksum_left_to_the_device_is_kept_so),
        TEST(later_segments_of_a_large_frame_are_one),
        TEST(a_floating_ip_on_another_host_is_sent_there),
        TEST(a_gateway_brings_what_is_for_this_host),
        TEST(an_ingress_policy_port_gets_one_entry),
        TEST(a_floating_ip_that_is_taken_away_ends_its_connections),
        TEST(a_connection_from_inside_ends_with_its_floating_ip),
        TEST(one_client_by_two_addresses_is_two_connections),
        TEST(two_forwardings_of_one_server_are_two_connections),
        TEST(an_echo_that_collides_gets_another_identifier),
        TEST(snat_there_and_back),
        TEST(snat_of_an_echo),
        TEST(only_who_was_spoken_to_may_answer),
        TEST(ports_of_a_router_end),
        TEST(a_name_is_given_back_when_there_is_no_entry),
        TEST(who_comes_second_gives_its_name_back),
        TEST(no_translation_is_left_to_the_next_connection),
        TEST(a_block_that_is_taken_away_ends_its_connections),
        TEST(without_snat_addresses_stay),
        TEST(within_an_address_scope_addresses_stay),
        TEST(from_another_address_scope_it_is_translated),
        TEST(icmp_that_names_no_connection_needs_a_floating_ip),
        TEST(ports_of_another_hosts_block_are_its),
        TEST(an_answer_comes_by_another_gateway),
        TEST(hairpin_to_a_floating_ip_on_this_host),
        TEST(hairpin_in_one_router),
        TEST(hairpin_between_floating_ips),
        TEST(hairpin_to_its_own_floating_ip),
        TEST(to_a_floating_ip_on_another_host),
        TEST(a_workload_of_the_external_network_itself),
        TEST(what_leaves_by_the_uplink_is_not_taken_for_tunnelled),
        TEST(without_an_uplink_a_gateway_gets_it),
        TEST(a_gateway_sends_on_for_a_host_without_uplink),
        TEST(an_unknown_next_hop_is_asked_for_by_the_agent),
        TEST(a_port_is_forwarded),
        TEST(a_forwarding_that_is_deleted_ends_its_connections),
        TEST(an_error_from_outside_is_about_what_the_workload_sent),
        TEST(an_error_with_the_least_quotation),
        TEST(an_error_from_inside_leaves_under_the_connections_name),
        TEST(forged_quotations_reach_nobody),
        TEST(arp_for_an_announced_address_is_answered),
        TEST(what_tells_of_stations_is_shown_to_the_agent_and_passes),
        TEST(what_is_not_ours_passes_untouched),
        TEST(the_host_keeps_an_address_that_somebody_else_claims),
        TEST(a_tagged_network),
        TEST(a_router_answers_echo),
        TEST(ttl_ends_at_the_last_router),
        TEST(a_router_that_is_down_lets_nobody_in),
        TEST(ipv6_is_routed_in),
        TEST(untranslated_ipv4_is_routed_in),
        TEST(solicitations_for_a_routers_address_are_answered),
        TEST(a_stale_row_lets_nobody_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
