/* Stations outside are asked for, believed, asked again and forgotten; time is the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "weft/agent/neighbors-outside.h"

static const struct outside_uplink uplink = {.vni = 7, .ifindex = 3, .vlan = 5, .mac = {2, 0, 0, 0, 0, 'U'}};
static const uint8_t station_mac[6] = {2, 0, 0, 0, 0, 'S'}, other_mac[6] = {2, 0, 0, 0, 0, 'T'};

struct world {
    struct outside *outside;
    bool has_source;
    unsigned n_sent, n_changed;
    uint64_t unused_ms;
    uint8_t frame[1600]; /* The last one. */
    size_t size;
    unsigned n_listed;
    uint8_t listed_mac[6];
};

static void sent(void *context, const struct outside_uplink *to, const uint8_t *frame, size_t size)
{
    struct world *world = context;

    assert_int_equal(to->ifindex, uplink.ifindex);
    assert_int_equal(to->vlan, uplink.vlan);
    assert_memory_equal(frame + 6, uplink.mac, 6);
    memcpy(world->frame, frame, size);
    world->size = size;
    world->n_sent++;
}

static bool source(void *context, uint32_t vni, bool is_v4, struct ip_address *ret)
{
    const struct world *world = context;

    assert_int_equal(ip_parse(is_v4 ? "203.0.113.5" : "2001:db8::5", ret), 0);
    return world->has_source && vni == 7;
}

static void changed(void *context)
{
    ((struct world *)context)->n_changed++;
}

static uint64_t unused(void *context, uint32_t vni, const uint8_t mac[6])
{
    assert_int_equal(vni, 7);
    assert_memory_equal(mac, station_mac, 6);
    return ((struct world *)context)->unused_ms;
}

static void visit(void *context, uint32_t vni, const struct ip_address *address, const uint8_t mac[6])
{
    struct world *world = context;

    world->n_listed++;
    memcpy(world->listed_mac, mac, 6);
}

static unsigned listed(struct world *world)
{
    world->n_listed = 0;
    outside_each(world->outside, visit, world);
    return world->n_listed;
}

static int set_up(void **state)
{
    static const struct outside_events events = {sent, source, changed, unused};
    struct world *world = calloc(1, sizeof(*world));

    assert_non_null(world);
    world->has_source = true;
    world->unused_ms = UINT64_MAX;
    assert_int_equal(outside_new(&events, world, &world->outside), 0);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    outside_free(world->outside);
    free(world);
    return 0;
}

static struct ip_address address(const char *text)
{
    struct ip_address result;

    assert_int_equal(ip_parse(text, &result), 0);
    return result;
}

static void want(struct world *world, uint64_t now_ms, const char *whom)
{
    uint8_t frame[60] = {[12] = 0x88, [13] = 0xb5, [20] = 42};
    struct ip_address to = address(whom);

    memcpy(frame + 6, uplink.mac, 6);
    outside_wanted(world->outside, now_ms, &uplink, &to, frame, sizeof(frame));
}

static void answer(struct world *world, uint64_t now_ms, const char *who, const uint8_t *mac)
{
    uint8_t frame[60] = {[12] = 0x08, [13] = 0x06, [15] = 1, [16] = 8, [18] = 6, [19] = 4, [21] = 2};
    struct ip_address from = address(who);

    memcpy(frame + 22, mac, 6);
    memcpy(frame + 28, from.bytes + 12, 4);
    outside_seen(world->outside, now_ms, 7, frame, sizeof(frame));
}

static void a_frame_waits_for_its_next_hop(void **state)
{
    struct world *world = *state;

    want(world, 1000, "203.0.113.1");
    assert_int_equal(world->n_sent, 1);
    assert_int_equal(world->size, 42);
    assert_memory_equal(world->frame, "\xff\xff\xff\xff\xff\xff", 6);
    assert_memory_equal(world->frame + 12, "\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01", 10);
    assert_memory_equal(world->frame + 28, "\xcb\x00\x71\x05\0\0\0\0\0\0\xcb\x00\x71\x01", 14);
    assert_int_equal(listed(world), 0);
    answer(world, 1010, "203.0.113.1", station_mac);
    assert_int_equal(world->n_sent, 2);
    assert_memory_equal(world->frame, station_mac, 6);
    assert_int_equal(world->frame[20], 42);
    assert_int_equal(listed(world), 1);
    assert_memory_equal(world->listed_mac, station_mac, 6);
    assert_int_equal(world->n_changed, 1);
}

static void without_an_announced_address_the_question_claims_none(void **state)
{
    struct world *world = *state;

    world->has_source = false;
    want(world, 1000, "203.0.113.1");
    assert_memory_equal(world->frame + 28, "\0\0\0\0", 4);
    want(world, 1000, "2001:db8::1");
    assert_int_equal(world->size, 14 + 40 + 24);
    assert_memory_equal(world->frame + 22, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
}

static void questions_are_a_second_apart_and_end(void **state)
{
    struct world *world = *state;

    want(world, 1000, "203.0.113.1");
    for (int i = 0; i < 10; i++)
        want(world, 1001 + (uint64_t)i, "203.0.113.1");
    assert_int_equal(world->n_sent, 1);
    assert_int_equal(outside_tick(world->outside, 1500), 500);
    outside_tick(world->outside, 2000);
    outside_tick(world->outside, 3000);
    assert_int_equal(world->n_sent, 3);
    outside_tick(world->outside, 4000);
    want(world, 4100, "203.0.113.1"); /* Nobody is there: it is quiet for a while. */
    assert_int_equal(world->n_sent, 3);
    answer(world, 4200, "203.0.113.9", station_mac);
    outside_tick(world->outside, 6000);
    want(world, 6001, "203.0.113.1");
    assert_int_equal(world->n_sent, 4);
    assert_int_equal(listed(world), 0);
}

static void only_the_newest_frames_wait(void **state)
{
    struct world *world = *state;

    for (int i = 0; i < 10; i++)
        want(world, 1000, "203.0.113.1");
    answer(world, 1000, "203.0.113.1", station_mac);
    assert_int_equal(world->n_sent, 1 + 3);
}

static void a_known_station_is_asked_again_alone(void **state)
{
    struct world *world = *state;

    want(world, 1000, "203.0.113.1");
    answer(world, 1000, "203.0.113.1", station_mac);
    assert_int_equal(outside_tick(world->outside, 30000), 1000);
    outside_tick(world->outside, 31000);
    assert_int_equal(world->n_sent, 3);
    assert_memory_equal(world->frame, station_mac, 6);
    assert_int_equal(listed(world), 1);
    answer(world, 31001, "203.0.113.1", station_mac);
    assert_int_equal(outside_tick(world->outside, 32000), 29001);
    assert_int_equal(world->n_sent, 3);
    assert_int_equal(world->n_changed, 1);
    for (uint64_t ms = 61001; ms <= 64001; ms += 1000)
        outside_tick(world->outside, ms);
    assert_int_equal(world->n_sent, 6);
    assert_int_equal(listed(world), 0);
    assert_int_equal(world->n_changed, 2);
}

static void a_station_that_moves_is_believed_and_a_stranger_is_not(void **state)
{
    struct world *world = *state;

    want(world, 1000, "203.0.113.1");
    answer(world, 1000, "203.0.113.1", station_mac);
    answer(world, 2000, "203.0.113.1", other_mac);
    assert_int_equal(listed(world), 1);
    assert_memory_equal(world->listed_mac, other_mac, 6);
    answer(world, 2000, "203.0.113.1", uplink.mac); /* Ourselves, and a group: never. */
    answer(world, 2000, "203.0.113.1", (const uint8_t *)"\x01\0\0\0\0\1");
    answer(world, 2000, "203.0.113.77", station_mac);
    assert_int_equal(listed(world), 1);
    assert_memory_equal(world->listed_mac, other_mac, 6);
    assert_int_equal(world->n_changed, 2);
}

/* Ten minutes and more, at full speed: never taken away, not for a moment. */
static void what_is_used_stays(void **state)
{
    struct world *world = *state;

    want(world, 1000, "203.0.113.1");
    answer(world, 1000, "203.0.113.1", station_mac);
    world->unused_ms = 0;
    for (uint64_t ms = 31000; ms < 3600000; ms += 30000) {
        outside_tick(world->outside, ms);
        answer(world, ms, "203.0.113.1", station_mac);
        assert_int_equal(listed(world), 1);
    }
    assert_int_equal(world->n_changed, 1);
    world->unused_ms = 590000; /* It falls silent, but answers: it stays for as long as it was said to. */
    outside_tick(world->outside, 3620000);
    assert_int_equal(listed(world), 1);
    for (uint64_t ms = 3650000; ms <= 3653000; ms += 1000) /* Used and gone: three questions without an answer. */
        outside_tick(world->outside, ms);
    assert_int_equal(listed(world), 0);
}

static void a_station_that_alternates_costs_no_compilation_each_time(void **state)
{
    struct world *world = *state;

    want(world, 1000, "203.0.113.1");
    answer(world, 1000, "203.0.113.1", station_mac);
    for (unsigned i = 0; i < 1000; i++)
        answer(world, 2000 + i, "203.0.113.1", i % 2 ? station_mac : other_mac);
    assert_in_range(world->n_changed, 2, 6);
    assert_int_equal(outside_counters(world->outside)->moves, world->n_changed - 1);
    assert_true(outside_counters(world->outside)->held > 400);
    unsigned before = world->n_changed;
    answer(world, 3001, "203.0.113.1", station_mac);
    answer(world, 3002, "203.0.113.1", other_mac); /* The last word: it is believed in the end. */
    answer(world, 3003, "203.0.113.1", station_mac);
    answer(world, 3004, "203.0.113.1", other_mac);
    for (uint64_t ms = 3004, in_ms; (in_ms = outside_tick(world->outside, ms)) < 20000 && ms < 20000;)
        ms += in_ms;
    assert_int_equal(listed(world), 1);
    assert_memory_equal(world->listed_mac, other_mac, 6);
    assert_in_range(world->n_changed - before, 0, 1);
}

static void what_is_not_used_is_taken_away_but_not_lost(void **state)
{
    struct world *world = *state;

    want(world, 1000, "203.0.113.1");
    answer(world, 1000, "203.0.113.1", station_mac);
    answer(world, 600999, "203.0.113.1", station_mac);
    outside_tick(world->outside, 601000);
    assert_int_equal(listed(world), 0);
    unsigned before = world->n_sent;
    want(world, 601001, "203.0.113.1"); /* It was in use: no question, no waiting. */
    assert_int_equal(world->n_sent, before + 1);
    assert_int_equal(world->frame[20], 42);
    assert_int_equal(listed(world), 1);
}

static void a_solicitation_is_answered_by_an_advertisement(void **state)
{
    struct world *world = *state;
    uint8_t frame[86] = {[12] = 0x86, [13] = 0xdd, [14] = 0x60, [19] = 32, [20] = 58, [21] = 255, [54] = 136, [58] = 0x60, [78] = 2, [79] = 1};
    struct ip_address who = address("2001:db8::1"), us = address("2001:db8::5");
    uint32_t sum = 32 + 58;

    want(world, 1000, "2001:db8::1");
    assert_int_equal(world->size, 86);
    assert_memory_equal(world->frame, "\x33\x33\xff\x00\x00\x01", 6);
    assert_memory_equal(world->frame + 22, us.bytes, 16);
    assert_memory_equal(world->frame + 62, who.bytes, 16);
    memcpy(frame + 22, who.bytes, 16);
    memcpy(frame + 38, us.bytes, 16);
    memcpy(frame + 62, who.bytes, 16);
    memcpy(frame + 80, station_mac, 6);
    for (size_t i = 22; i < 86; i += 2)
        sum += (uint32_t)frame[i] << 8 | frame[i + 1];
    sum = (sum & 0xffff) + (sum >> 16);
    sum = ~((sum & 0xffff) + (sum >> 16));
    frame[56] = (uint8_t)(sum >> 8);
    frame[57] = (uint8_t)sum;
    frame[21] = 64; /* From beyond the link. */
    outside_seen(world->outside, 1001, 7, frame, sizeof(frame));
    assert_int_equal(listed(world), 0);
    frame[21] = 255;
    frame[80] ^= 4; /* Its checksum is wrong. */
    outside_seen(world->outside, 1001, 7, frame, sizeof(frame));
    assert_int_equal(listed(world), 0);
    frame[80] ^= 4;
    outside_seen(world->outside, 1001, 7, frame, sizeof(frame));
    assert_int_equal(listed(world), 1);
    assert_int_equal(world->n_sent, 2);
    assert_memory_equal(world->frame, station_mac, 6);
}

static void an_address_that_is_new_here_is_announced(void **state)
{
    uint8_t frame[OUTSIDE_ANNOUNCEMENT_MAX];
    struct ip_address four = address("203.0.113.10"), six = address("2001:db8::10");
    uint32_t sum = 32 + 58;

    assert_int_equal(outside_write_announcement(&uplink, &four, frame), 42);
    assert_memory_equal(frame, "\xff\xff\xff\xff\xff\xff\x02\0\0\0\0U\x08\x06\0\1\x08\0\6\4\0\1\x02\0\0\0\0U\xcb\0\x71\x0a\0\0\0\0\0\0\xcb\0\x71\x0a", 42);
    assert_int_equal(outside_write_announcement(&uplink, &six, frame), 86);
    assert_memory_equal(frame, "\x33\x33\0\0\0\1\x02\0\0\0\0U\x86\xdd\x60\0\0\0\0\x20\x3a\xff", 22);
    assert_memory_equal(frame + 22, six.bytes, 16);
    assert_memory_equal(frame + 38, "\xff\2\0\0\0\0\0\0\0\0\0\0\0\0\0\1\x88\0", 18);
    assert_memory_equal(frame + 58, "\xa0\0\0\0", 4);
    assert_memory_equal(frame + 62, six.bytes, 16);
    assert_memory_equal(frame + 78, "\2\1\x02\0\0\0\0U", 8);
    for (size_t i = 22; i < 86; i += 2)
        sum += (uint32_t)frame[i] << 8 | frame[i + 1];
    sum = (sum & 0xffff) + (sum >> 16);
    assert_int_equal((sum & 0xffff) + (sum >> 16), 0xffff);
}

/* What a workload's device would have finished is finished here. */
static void a_checksum_that_was_left_to_the_device_is_finished(void **state)
{
    struct world *world = *state;
    uint8_t frame[14 + 20 + 8 + 3] = {[12] = 0x08, [14] = 0x45, [17] = 31, [22] = 64, [23] = 17, [26] = 10, [29] = 1, [30] = 10, [33] = 2,
                                      [35] = 7, [37] = 9, [39] = 11, [42] = 1, [43] = 2, [44] = 3};
    struct ip_address to = address("203.0.113.1");
    uint32_t pseudo = 0x0a00 + 0x0001 + 0x0a00 + 0x0002 + 17 + 11, sum;

    frame[40] = (uint8_t)(pseudo >> 8);
    frame[41] = (uint8_t)pseudo;
    outside_wanted(world->outside, 1000, &uplink, &to, frame, sizeof(frame));
    answer(world, 1000, "203.0.113.1", station_mac);
    sum = pseudo + 7 + 9 + 11 + 0x0102 + 0x0300;
    sum = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
    assert_int_equal(world->frame[40] << 8 | world->frame[41], sum);
    outside_wanted(world->outside, 1001, &uplink, &to, world->frame, sizeof(frame)); /* It is right now, and stays. */
    assert_int_equal(world->frame[40] << 8 | world->frame[41], sum);
}

static void stations_of_a_network_without_uplink_are_forgotten(void **state)
{
    struct world *world = *state;
    struct outside_uplink another = uplink;

    want(world, 1000, "203.0.113.1");
    answer(world, 1000, "203.0.113.1", station_mac);
    outside_retain(world->outside, &uplink, 1);
    assert_int_equal(listed(world), 1);
    another.ifindex++;
    outside_retain(world->outside, &another, 1);
    assert_int_equal(listed(world), 0);
    assert_int_equal(outside_tick(world->outside, 2000), UINT64_MAX);
}

static void the_table_has_a_limit(void **state)
{
    struct world *world = *state;
    char text[32];

    for (unsigned i = 0; i < OUTSIDE_MAX + 10; i++) {
        snprintf(text, sizeof(text), "10.%u.%u.1", i >> 8, i & 255);
        want(world, 1000 + i, text);
        answer(world, 1000 + i, text, station_mac);
    }
    assert_int_equal(listed(world), OUTSIDE_MAX);
    answer(world, 9000, "10.0.0.1", other_mac); /* The first ones went. */
    assert_int_equal(listed(world), OUTSIDE_MAX);
    assert_memory_equal(world->listed_mac, station_mac, 6);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_frame_waits_for_its_next_hop),
        TEST(without_an_announced_address_the_question_claims_none),
        TEST(questions_are_a_second_apart_and_end),
        TEST(only_the_newest_frames_wait),
        TEST(a_known_station_is_asked_again_alone),
        TEST(a_station_that_moves_is_believed_and_a_stranger_is_not),
        TEST(what_is_used_stays),
        TEST(a_station_that_alternates_costs_no_compilation_each_time),
        TEST(what_is_not_used_is_taken_away_but_not_lost),
        TEST(a_solicitation_is_answered_by_an_advertisement),
        TEST(an_address_that_is_new_here_is_announced),
        TEST(a_checksum_that_was_left_to_the_device_is_finished),
        TEST(stations_of_a_network_without_uplink_are_forgotten),
        TEST(the_table_has_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
