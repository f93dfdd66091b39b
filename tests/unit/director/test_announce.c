/* The MSS that a physical server announces for its virtual addresses, as it leaves (bpf/announce.h). */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "weft/base/util.h"
#include "world.h"

#define SYN_ACK4 "S>C ip 192.0.2.1>203.0.113.7 tcp 80>4000 SA"
#define SYN_ACK6 "S>C ip6 2001:db8:5::1>2001:db8:c::7 tcp 80>4000 SA"

static void put_address(struct world *world, const char *text, uint32_t kind)
{
    struct lb_address key;

    frame_address(text, key.bytes);
    assert_int_equal(0, native_map_update(native_director_map(world->native, NATIVE_LB_chain_addresses), &key, &kind, false));
}

static int server_setup(void **state)
{
    int result = world_setup(state);
    struct world *world = *state;

    put_address(world, "192.0.2.1", CHAIN_ADDRESS_OWN | CHAIN_ADDRESS_VIRTUAL);
    put_address(world, "2001:db8:5::1", CHAIN_ADDRESS_OWN | CHAIN_ADDRESS_VIRTUAL);
    put_address(world, "10.0.0.1", CHAIN_ADDRESS_OWN);
    *(struct chain_mss *)world_place(world, NATIVE_LB_chain_mss, 0) = (struct chain_mss){htons(1356), htons(1336)}; /* 0x054c, 0x0538 */
    return result;
}

static uint64_t n_lowered(struct world *world)
{
    return ((struct chain_counters *)world_place(world, NATIVE_LB_chain_counters, 0))->packets[CHAIN_mss_lowered];
}

/* The text's segment with these options in hexadecimal, whole words; it has as much payload. */
static struct frame with_options(const char *text, const char *options)
{
    size_t n = strlen(options) / 2, l4 = 14 + (strstr(text, "ip6") ? 40 : strstr(text, "options") ? 24 : 20);
    struct frame frame;

    frame_parse(text, &frame);
    frame.bytes[l4 + 12] = (uint8_t)((5 + n / 4) << 4);
    for (size_t i = 0; i < n; i++) {
        unsigned byte;

        assert_int_equal(1, sscanf(options + 2 * i, "%2x", &byte));
        frame.bytes[l4 + 20 + i] = (uint8_t)byte;
    }
    frame_finish(&frame, 0);
    return frame;
}

static const struct {
    const char *text, *options, *expected; /* NULL: the frame is as it was. */
} answers[] = {
    {SYN_ACK4 " +4", "020405b4", "0204054c"},
    {SYN_ACK6 " +4", "020405a0", "02040538"},
    {SYN_ACK4 " +20", "020405b40402080a000000000000000001030307", "0204054c0402080a000000000000000001030307"},
    {SYN_ACK4 " +8", "01020405b4030307", "010204054c030307"},     /* At an odd place. */
    {SYN_ACK6 " +8", "01020405b4030307", "0102040538030307"},
    {SYN_ACK4 " +8", "01010101020405b4", "010101010204054c"},     /* The last. */
    {SYN_ACK4 " +8", "020405b401010100", "0204054c01010100"},
    {"S>C ip 192.0.2.1>203.0.113.7 tcp 80>4000 S +4", "020405b4", "0204054c"},
    {"S>C ip 192.0.2.1>203.0.113.7 options tcp 80>4000 SA +4", "020405b4", "0204054c"},
    {SYN_ACK4 " +4", "0204054c", NULL},                           /* It fits. */
    {SYN_ACK4 " +4", "02040218", NULL},
    {SYN_ACK4, "", NULL},
    {SYN_ACK4 " +4", "01010101", NULL},
    {SYN_ACK4 " +4", "020005b4", NULL},                           /* Broken, */
    {SYN_ACK4 " +4", "020605b4", NULL},
    {SYN_ACK4 " +8", "00020405b4000000", NULL},                   /* behind the end, */
    {SYN_ACK4 " +20", "020405b41d100000000000000000000000000000", NULL}, /* under TCP-AO. */
    {"S>C ip 192.0.2.1>203.0.113.7 tcp 80>4000 A +4", "020405b4", NULL},
    {"S>C ip 10.0.0.1>203.0.113.7 tcp 80>4000 SA +4", "020405b4", NULL}, /* No virtual address, */
    {"S>C ip 203.0.113.7>192.0.2.1 tcp 80>4000 SA +4", "020405b4", NULL},
    {"S>C ip 192.0.2.1>203.0.113.7 more tcp 80>4000 SA +4", "020405b4", NULL},
    {"S>C ip 192.0.2.1>203.0.113.7 frag=2 tcp 80>4000 SA +4", "020405b4", NULL},
};

static void answers_announce_what_fits(void **state)
{
    struct world *world = *state;
    uint64_t expected = 0;

    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        struct frame in = with_options(answers[i].text, answers[i].options), wanted = with_options(answers[i].text, answers[i].expected ? answers[i].expected : answers[i].options);
        struct native_verdict out;

        print_message("%s, %s\n", answers[i].text, answers[i].options);
        out = native_server_answer(world->native, in.bytes, in.size);
        assert_int_equal(wanted.size, out.size);
        assert_memory_equal(wanted.bytes, out.frame, wanted.size); /* With its checksum. */
        expected += answers[i].expected != NULL;
        assert_int_equal(expected, n_lowered(world));
    }
}

static void nothing_is_lowered_before_it_is_known_what_fits(void **state)
{
    struct world *world = *state;
    struct frame in = with_options(SYN_ACK4 " +4", "020405b4");
    struct native_verdict out;

    *(struct chain_mss *)world_place(world, NATIVE_LB_chain_mss, 0) = (struct chain_mss){0};
    out = native_server_answer(world->native, in.bytes, in.size);
    assert_memory_equal(in.bytes, out.frame, in.size);
    assert_int_equal(0, n_lowered(world));
}

/* Every length that a frame can be cut to, and every length that an option can claim. */
static void nothing_is_read_beyond(void **state)
{
    struct world *world = *state;
    struct frame frame = with_options(SYN_ACK4 " +8", "01020405b4030307"), claims = with_options(SYN_ACK4 " +4", "fe0405b4");

    for (uint32_t size = 14; size < frame.size - 3; size++) /* Without the option behind it. */
        native_server_answer(world->native, frame.bytes, size);
    for (unsigned length = 0; length < 256; length++) {
        claims.bytes[14 + 20 + 20 + 1] = (uint8_t)length;
        native_server_answer(world->native, claims.bytes, claims.size);
    }
    assert_int_equal(0, n_lowered(world));
}

int main(void)
{
#define SERVER(name) cmocka_unit_test_setup_teardown(name, server_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        SERVER(answers_announce_what_fits),
        SERVER(nothing_is_lowered_before_it_is_known_what_fits),
        SERVER(nothing_is_read_beyond),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
