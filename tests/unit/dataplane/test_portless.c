/* What has no ports, or none that a checksum would let change easily, behind a router's address, frame by frame: see conversation.h. */
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
#define FROM_HOST_2 "outer 2001:db8::2>2001:db8::1 20 0 "
#define OUTSIDE_MAC "02:57:45:46:54:00"
#define SECONDS 1000000000ull

/* ---- SCTP ------------------------------------------------------------------------------------------------------------------ */

/* CRC32c bit by bit (RFC 9260, appendix A) of a frame's SCTP packet, whose field counts as zero. */
static uint32_t crc_of(const uint8_t *frame, uint32_t size)
{
    uint32_t crc = 0xffffffff;

    for (uint32_t i = 34; i < size; i++) {
        crc ^= i >= 42 && i < 46 ? 0 : frame[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
    }
    return ~crc;
}

/* The text with its checksum. */
static const char *with_crc(const char *text)
{
    struct frame frame;

    frame_parse(text, &frame);
    uint32_t crc = crc_of(frame.bytes, frame.size);
    return frame_text("%s set=42:%u set=43:%u set=44:%u set=45:%u", text, crc & 255, crc >> 8 & 255, crc >> 16 & 255, crc >> 24);
}

static void sctp_gets_another_port_and_keeps_its_checksum_right(void **state)
{
    for (unsigned payload = 5; payload < 1400; payload += 463) {
        say(1, with_crc(frame_text("A>R ip 10.0.0.1>192.0.2.200 sctp 1000>%u +%u", payload, payload)));
        uint16_t port = chosen_port();
        expect_outside(0, with_crc(frame_text("u>x ip 203.0.113.10>192.0.2.200 ttl=63 sctp %u>%u +%u", port, payload, payload)));
        say(OUTSIDE, with_crc(frame_text("x>u ip 192.0.2.200>203.0.113.10 sctp %u>%u +33", payload, port)));
        expect_port(1, with_crc(frame_text("R>A ip 192.0.2.200>10.0.0.1 ttl=63 sctp %u>1000 +33", payload)));
    }
    say(1, "A>R ip 10.0.0.1>192.0.2.200 more sctp 1000>80 +16"); /* How long the whole is, nobody knows. */
    expect_drop(DROP_untranslatable);
    say(1, with_crc("A>R ip 10.0.0.1>192.0.2.200 sctp 1000>80 +5"));
    uint16_t port = chosen_port();
    say(OUTSIDE, frame_text("x>u ip 192.0.2.200>203.0.113.10 icmp 3 0 quote ip 203.0.113.10>192.0.2.200 sctp %u>80", port));
    expect_port(1, "R>A ip 192.0.2.200>10.0.0.1 ttl=63 icmp 3 0 quote ip 10.0.0.1>192.0.2.200 sctp 1000>80");
    all_connections_end();
}

/* ---- no ports ---------------------------------------------------------------------------------------------------------------- */

static void router_is_announced_by(uint32_t output)
{
    fixture_external_find(pipeline, 20, "203.0.113.10")->output = output;
}

static void one_connection_for_each_protocol_and_station(void **state)
{
    router_is_announced_by(OUTPUT_LOCAL);
    for (int i = 0; i < 3; i++) {
        say(1, "A>R ip 10.0.0.1>192.0.2.200 proto 47 +20");
        expect_outside(0, "u>x ip 203.0.113.10>192.0.2.200 ttl=63 proto 47 +20");
        say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.10 proto 47 +30");
        expect_port(1, "R>A ip 192.0.2.200>10.0.0.1 ttl=63 proto 47 +30");
    }
    assert_int_equal(names_of(5), 1);
    say(10, "J>S ip 10.0.1.1>192.0.2.200 proto 47 +20");
    expect_drop(DROP_snat_exhausted);
    say(10, "J>S ip 10.0.1.1>192.0.2.200 proto 50 +20");
    expect_outside(0, "u>x ip 203.0.113.10>192.0.2.200 ttl=63 proto 50 +20");
    say(10, "J>S ip 10.0.1.1>192.0.2.201 proto 47 +20");
    expect_outside(0, "u>x ip 203.0.113.10>192.0.2.201 ttl=63 proto 47 +20");
    say(OUTSIDE, "x>u ip 192.0.2.202>203.0.113.10 proto 47 +30");
    expect_drop(DROP_unknown_translation);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.10 icmp 3 2 quote ip 203.0.113.10>192.0.2.200 proto 47 +20");
    expect_port(1, NULL);
    change_epoch(1); /* It holds while the router has the address. */
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.10 proto 47 +30");
    expect_port(1, NULL);
    all_connections_end();
    say(10, "J>S ip 10.0.1.1>192.0.2.200 proto 47 +20");
    expect_verdict(PIPELINE_OUTSIDE);
}

static void it_leaves_by_the_gateway_that_hears_the_answers(void **state)
{
    router_is_announced_by(OUTPUT_REMOTE | 1);
    for (int i = 0; i < 2; i++) {
        say(1, "A>R ip 10.0.0.1>192.0.2.200 proto 47 +20");
        expect_host(1, "g>" OUTSIDE_MAC " ip 203.0.113.10>192.0.2.200 ttl=63 proto 47 +20");
        say(TUNNEL, FROM_HOST_1 "x>" OUTSIDE_MAC " ip 192.0.2.200>203.0.113.10 proto 47 +30");
        expect_port(1, "R>A ip 192.0.2.200>10.0.0.1 ttl=63 proto 47 +30");
    }
    say(OUTSIDE, "x>u ip 192.0.2.201>203.0.113.10 proto 47 +30"); /* What comes here all the same is for it to place. */
    expect_host(1, "x>" OUTSIDE_MAC " ip 192.0.2.201>203.0.113.10 proto 47 +30");
    say(2, "B>R ip 10.0.0.2>192.0.2.200 proto 47 +20"); /* A floating IP goes its own way. */
    expect_outside(0, "u>x ip 203.0.113.12>192.0.2.200 ttl=63 proto 47 +20");
}

static void a_gateway_notes_who_speaks_with_a_station(void **state)
{
    const char *from_1 = FROM_HOST_1 "g>" OUTSIDE_MAC " ip 203.0.113.10>192.0.2.200 ttl=63 proto 47 +20";
    const char *from_2 = FROM_HOST_2 "g>" OUTSIDE_MAC " ip 203.0.113.10>192.0.2.200 ttl=63 proto 47 +20";
    const char *answer = "x>u ip 192.0.2.200>203.0.113.10 proto 47 +30";

    router_is_announced_by(OUTPUT_LOCAL);
    say(TUNNEL, from_1);
    expect_outside(0, "u>x ip 203.0.113.10>192.0.2.200 ttl=63 proto 47 +20");
    say(OUTSIDE, answer);
    expect_host(1, "x>" OUTSIDE_MAC " ip 192.0.2.200>203.0.113.10 proto 47 +30");
    say(TUNNEL, from_2);
    expect_drop(DROP_snat_exhausted);
    say(1, "A>R ip 10.0.0.1>192.0.2.200 proto 47 +20"); /* This host is one of them. */
    expect_drop(DROP_snat_exhausted);
    pipeline_advance(pipeline, 50 * SECONDS);
    say(TUNNEL, from_1);
    pipeline_advance(pipeline, 100 * SECONDS);
    say(TUNNEL, from_2); /* Renewed meanwhile. */
    expect_drop(DROP_snat_exhausted);
    pipeline_advance(pipeline, 111 * SECONDS);
    say(OUTSIDE, answer);
    expect_drop(DROP_unknown_translation);
    say(TUNNEL, from_2);
    expect_verdict(PIPELINE_OUTSIDE);
    say(OUTSIDE, answer);
    expect_verdict(PIPELINE_TUNNELLED);
    assert_int_equal(result.outputs[0].host_slot, 2);
    pipeline_advance(pipeline, 200 * SECONDS);
    say(1, "A>R ip 10.0.0.1>192.0.2.200 proto 47 +20");
    expect_verdict(PIPELINE_OUTSIDE);
    say(TUNNEL, from_1);
    expect_drop(DROP_snat_exhausted);
}

/* There is room for so many, which all routers share. */
static void a_router_does_not_push_out_the_notes_of_others(void **state)
{
    const char *answer = "x>u ip 192.0.2.50>203.0.113.20 proto 50 +20";

    router_is_announced_by(OUTPUT_LOCAL);
    fixture_external_find(pipeline, 20, "203.0.113.20")->output = OUTPUT_LOCAL;
    say(TUNNEL, FROM_HOST_2 "h>" OUTSIDE_MAC " ip 203.0.113.20>192.0.2.50 ttl=63 proto 50 +20");
    expect_verdict(PIPELINE_OUTSIDE);
    for (unsigned i = 0; i < 4200; i++) {
        say(TUNNEL, frame_text(FROM_HOST_1 "g>" OUTSIDE_MAC " ip 203.0.113.10>192.5.%u.%u ttl=63 proto 47 +20", i >> 8, i & 255));
        if (i < NOTES_RATE)
            expect_verdict(PIPELINE_OUTSIDE);
        else
            expect_drop(DROP_snat_exhausted);
    }
    assert_int_equal(n_entries("portless"), 1 + NOTES_RATE);
    say(TUNNEL, FROM_HOST_1 "g>" OUTSIDE_MAC " ip 203.0.113.10>192.5.0.0 ttl=63 proto 47 +20"); /* What goes on costs nothing. */
    expect_verdict(PIPELINE_OUTSIDE);
    say(OUTSIDE, answer);
    expect_verdict(PIPELINE_TUNNELLED);
    say(TUNNEL, FROM_HOST_2 "h>" OUTSIDE_MAC " ip 203.0.113.20>192.0.2.51 ttl=63 proto 50 +20");
    expect_verdict(PIPELINE_OUTSIDE);
    pipeline_advance(pipeline, 3 * SECONDS);
    say(TUNNEL, FROM_HOST_1 "g>" OUTSIDE_MAC " ip 203.0.113.10>192.6.0.0 ttl=63 proto 47 +20");
    expect_verdict(PIPELINE_OUTSIDE);
}

/* As the kernel's LRU hash: what is new is never refused. */
static void full_table_of_notes_makes_room(void **state)
{
    struct portless_value value = {.time_ns = 1};
    struct alias_key key = {.vni_protocol = 20 << 8 | 47};

    for (key.remote = 0; key.remote < 4096 + 10; key.remote++)
        assert_int_equal(pipeline_update(pipeline, "portless", &key, &value), 0);
    key.remote--;
    assert_non_null(pipeline_lookup(pipeline, "portless", &key));
    assert_int_equal(n_entries("portless"), 4096);
}

/* ---- fragments --------------------------------------------------------------------------------------------------------------- */

static void later_fragments_follow_the_first_one(void **state)
{
    say(1, "A>R ip 10.0.0.1>192.0.2.200 frag=3 proto 17 +20"); /* Of nothing. */
    expect_drop(DROP_fragment_unknown);
    say(1, "A>R ip 10.0.0.1>192.0.2.200 more udp 1000>53 +16");
    uint16_t port = chosen_port();
    expect_outside(0, frame_text("u>x ip 203.0.113.10>192.0.2.200 ttl=63 more udp %u>53 +16", port));
    say(1, "A>R ip 10.0.0.1>192.0.2.200 frag=3 proto 17 +20");
    expect_outside(0, "u>x ip 203.0.113.10>192.0.2.200 ttl=63 frag=3 proto 17 +20");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.10 frag=3 proto 17 +20");
    expect_drop(DROP_fragment_unknown);
    say(OUTSIDE, frame_text("x>u ip 192.0.2.200>203.0.113.10 more udp 53>%u +16", port));
    expect_port(1, "R>A ip 192.0.2.200>10.0.0.1 ttl=63 more udp 53>1000 +16");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.10 frag=3 proto 17 +20");
    expect_port(1, "R>A ip 192.0.2.200>10.0.0.1 ttl=63 frag=3 proto 17 +20");
    assert_int_equal(n_entries("connections"), 1);
    assert_int_equal(names_of(5), 1);
}

static void fragments_find_another_host_and_a_forwarding(void **state)
{
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.10 more udp 53>2050 +16");
    expect_host(1, "x>" OUTSIDE_MAC " ip 192.0.2.200>203.0.113.10 more udp 53>2050 +16");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.10 frag=3 proto 17 +20");
    expect_host(1, "x>" OUTSIDE_MAC " ip 192.0.2.200>203.0.113.10 frag=3 proto 17 +20");
    say(TUNNEL, FROM_HOST_1 "x>" OUTSIDE_MAC " ip 192.0.2.201>203.0.113.13 more udp 4000>5003 +16");
    expect_port(1, "R>A ip 192.0.2.201>10.0.0.1 ttl=63 more udp 4000>6003 +16");
    say(TUNNEL, FROM_HOST_1 "x>" OUTSIDE_MAC " ip 192.0.2.201>203.0.113.13 frag=3 proto 17 +20");
    expect_port(1, "R>A ip 192.0.2.201>10.0.0.1 ttl=63 frag=3 proto 17 +20");
    say(1, "A>R ip 10.0.0.1>203.0.113.12 more udp 1000>80 +16"); /* Between workloads, through two translations. */
    expect_port(2, NULL);
    say(1, "A>R ip 10.0.0.1>203.0.113.12 frag=3 proto 17 +20");
    expect_port(2, "R>B ip 203.0.113.10>10.0.0.2 ttl=62 frag=3 proto 17 +20");
    say(1, "A>R ip 10.0.0.1>192.0.2.200 more icmp 8 9 +16");
    expect_verdict(PIPELINE_OUTSIDE);
    say(1, "A>R ip 10.0.0.1>192.0.2.200 frag=3 proto 1 +20");
    expect_outside(0, "u>x ip 203.0.113.10>192.0.2.200 ttl=63 frag=3 proto 1 +20");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(sctp_gets_another_port_and_keeps_its_checksum_right),
        TEST(one_connection_for_each_protocol_and_station),
        TEST(it_leaves_by_the_gateway_that_hears_the_answers),
        TEST(a_gateway_notes_who_speaks_with_a_station),
        TEST(a_router_does_not_push_out_the_notes_of_others),
        TEST(full_table_of_notes_makes_room),
        TEST(later_fragments_follow_the_first_one),
        TEST(fragments_find_another_host_and_a_forwarding),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
