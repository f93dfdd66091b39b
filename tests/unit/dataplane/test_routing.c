/* Routers over more than one frame: entries, chains, next hops, what the agent is told.  Single frames are in routing_cases.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"
#include "weft/base/util.h"

/* The caller clears '*ret'. */
static void send(struct pipeline *pipeline, uint32_t port, const char *text, struct pipeline_result *ret)
{
    struct frame frame;

    frame_parse(text, &frame);
    assert_int_equal(pipeline_trace(pipeline, PIPELINE_FROM_WORKLOAD,
                                    &(struct pipeline_frame){.bytes = frame.bytes, .size = frame.size, .ifindex = 100 + port}, ret), 0);
}

static bool was_known(const struct pipeline_result *result)
{
    for (size_t i = 0; i < result->n_steps; i++)
        if (strstr(result->steps[i].text, "known connection"))
            return true;
    return false;
}

static void expect(struct pipeline *pipeline, uint32_t port, const char *text, bool known, const char *out)
{
    struct pipeline_result result;
    struct frame expected;

    send(pipeline, port, text, &result);
    frame_parse(out, &expected);
    assert_int_equal(was_known(&result), known);
    assert_int_equal(result.n_outputs, 1);
    uint32_t skip = result.outputs[0].host_slot ? TUNNEL_OVERHEAD_IPV4 : 0;
    assert_int_equal(result.outputs[0].size, expected.size + skip);
    assert_memory_equal(result.outputs[0].bytes + skip, expected.bytes, expected.size);
    pipeline_result_clear(&result);
}

static void expect_drop(struct pipeline *pipeline, uint32_t port, const char *text, enum drop_reason reason)
{
    struct pipeline_result result;

    send(pipeline, port, text, &result);
    assert_int_equal(result.reason, reason);
    pipeline_result_clear(&result);
}

static void remember_entry(void *key, void *value, void *context)
{
    *(struct flow_entry **)context = value;
}

static struct flow_entry *only_entry(struct pipeline *pipeline)
{
    struct flow_entry *entry = NULL;

    pipeline_visit(pipeline, "connections", remember_entry, &entry);
    return entry;
}

/* ---- connection entries -------------------------------------------------------------------------------------------------- */

static void known_connections_look_like_new_ones(void **state)
{
    static const char *const frames[] = {
        "A>R ip 10.0.0.1>10.0.1.1 udp 1>2 +20",   "A>R ip6 fd01::1>fd02::1 udp 1>2 +20", "A>R ip 10.0.0.1>10.0.1.101 tcp 1>2 A +9",
        "A>R ip6 fd01::1>fd02::101 tcp 1>2 A +9", "A>R ip 10.0.0.1>10.0.2.1 icmp 8 7",   "A>R ip6 fd01::1>fd03::1 icmp6 128 7 +30",
        "A>R ip 10.0.0.1>10.0.2.1 options ttl=3 udp 1>2", "A>R ip6 fd01::1>fd03::1 hopopts udp 1>2 +20",
    };

    for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
        struct pipeline *pipeline = fixture_new();
        struct pipeline_result miss, hit;

        fixture_router_port(pipeline, 2)->mtu = fixture_router_port(pipeline, 3)->mtu = 1450;
        send(pipeline, 1, frames[i], &miss);
        send(pipeline, 1, frames[i], &hit);
        assert_false(was_known(&miss));
        assert_true(was_known(&hit));
        assert_true(only_entry(pipeline)->flags & FLOW_ROUTED);
        assert_int_equal(hit.verdict, miss.verdict);
        assert_int_equal(hit.n_outputs, 1);
        assert_int_equal(hit.outputs[0].port_slot, miss.outputs[0].port_slot);
        assert_int_equal(hit.outputs[0].host_slot, miss.outputs[0].host_slot);
        assert_int_equal(hit.outputs[0].size, miss.outputs[0].size);
        assert_memory_equal(hit.outputs[0].bytes, miss.outputs[0].bytes, hit.outputs[0].size);
        pipeline_result_clear(&miss);
        pipeline_result_clear(&hit);
        pipeline_free(pipeline);
    }
}

static uint16_t sum_header(const uint8_t *header)
{
    uint32_t sum = 0;

    for (int i = 0; i < 20; i += 2)
        sum += header[i] << 8 | header[i + 1];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

/* Whatever the header's other words are: the incremental change has no corner that a sum over all of it would not have. */
static void checksum_is_right_for_every_ttl_and_length(void **state)
{
    struct pipeline *pipeline = fixture_new();
    char text[120];

    for (unsigned ttl = 2; ttl < 256; ttl++)
        for (unsigned size = 0; size < 600; size += 7) {
            struct pipeline_result result;
            snprintf(text, sizeof(text), "A>R ip 10.0.0.1>10.0.1.1 ttl=%u udp 1>2 +%u", ttl, size);
            send(pipeline, 1, text, &result);
            assert_int_equal(result.outputs[0].bytes[14 + 8], ttl - 1);
            assert_int_equal(sum_header(result.outputs[0].bytes + 14), 0xffff);
            pipeline_result_clear(&result);
        }
    pipeline_free(pipeline);
}

#define FRAME "A>R ip 10.0.0.1>10.0.1.1 udp 1>2 +1340"
#define ROUTED "S>J ip 10.0.0.1>10.0.1.1 ttl=63 udp 1>2 +1340"

static void an_entry_does_not_outlive_its_router_port(void **state)
{
    struct pipeline *pipeline = fixture_new();

    expect(pipeline, 1, FRAME, false, ROUTED);
    expect(pipeline, 1, FRAME, true, ROUTED);
    fixture_router_port(pipeline, 2)->generation++; /* The number is another port's. */
    expect(pipeline, 1, FRAME, false, ROUTED);
    expect(pipeline, 1, FRAME, true, ROUTED);
    frame_mac("Q", fixture_router_port(pipeline, 2)->mac); /* Read for each frame. */
    expect(pipeline, 1, FRAME, true, "Q>J ip 10.0.0.1>10.0.1.1 ttl=63 udp 1>2 +1340");
    fixture_router_port(pipeline, 2)->flags = 0;
    expect_drop(pipeline, 1, FRAME, DROP_router_down);
    fixture_router_port(pipeline, 2)->flags = ROUTER_PORT_UP;
    fixture_router_port(pipeline, 2)->mtu = 1300;
    expect_drop(pipeline, 1, "A>R ip 10.0.0.1>10.0.1.1 df udp 1>2 +1340", DROP_too_big);
    expect(pipeline, 1, "A>R ip 10.0.0.1>10.0.1.1 udp 1>2 +9", true, "Q>J ip 10.0.0.1>10.0.1.1 ttl=63 udp 1>2 +9");
    pipeline_free(pipeline);
}

static void an_entry_is_rewritten_from_routed_to_switched_and_back(void **state)
{
    struct pipeline *pipeline = fixture_new();
    const uint32_t slot = 1;
    struct port_record *record = pipeline_lookup(pipeline, "ports", &slot);

    expect(pipeline, 1, FRAME, false, ROUTED);
    only_entry(pipeline)->flags |= FLOW_SEEN_REPLY;
    fixture_fdb(pipeline, "fdb", 7, "R", OUTPUT_LOCAL | 2); /* The gateway is a workload now. */
    expect(pipeline, 1, FRAME, true, ROUTED);
    record->epoch++;
    expect(pipeline, 1, FRAME, false, FRAME);
    assert_int_equal(only_entry(pipeline)->flags, FLOW_LOCAL_STARTED | FLOW_GUESSED | FLOW_SEEN_REPLY);
    expect(pipeline, 1, FRAME, true, FRAME);
    fixture_fdb(pipeline, "fdb", 7, "R", OUTPUT_ROUTER | 1);
    record->epoch++;
    expect(pipeline, 1, FRAME, false, ROUTED);
    assert_int_equal(only_entry(pipeline)->flags, FLOW_LOCAL_STARTED | FLOW_GUESSED | FLOW_SEEN_REPLY | FLOW_ROUTED);
    expect(pipeline, 1, FRAME, true, ROUTED);
    pipeline_free(pipeline);
}

/* An entry knows the last network's MTU only, so what crosses a narrower one is decided frame by frame. */
static void a_narrow_network_in_between_is_not_forgotten(void **state)
{
    struct pipeline *pipeline = fixture_new();

    for (int i = 0; i < 3; i++) {
        expect(pipeline, 1, "A>R ip 10.0.0.1>10.0.2.1 df udp 1>2 +9", false, "U>K ip 10.0.0.1>10.0.2.1 ttl=62 df udp 1>2 +9");
        expect_drop(pipeline, 1, "A>R ip 10.0.0.1>10.0.2.1 df udp 1>2 +1373", DROP_too_big);
    }
    fixture_router_port(pipeline, 2)->mtu = fixture_router_port(pipeline, 3)->mtu = 1450;
    expect(pipeline, 1, "A>R ip 10.0.0.1>10.0.2.1 df udp 1>2 +9", false, "U>K ip 10.0.0.1>10.0.2.1 ttl=62 df udp 1>2 +9");
    expect(pipeline, 1, "A>R ip 10.0.0.1>10.0.2.1 df udp 1>2 +9", true, "U>K ip 10.0.0.1>10.0.2.1 ttl=62 df udp 1>2 +9");
    pipeline_free(pipeline);
}

/* ---- what the agent is told ------------------------------------------------------------------------------------------------ */

static void expect_event(struct pipeline *pipeline, const char *text, struct punt_event wanted, const char *source)
{
    struct pipeline_result result;
    const struct punt_event *event = NULL;
    uint8_t address[16] = {0};

    pipeline_advance(pipeline, 3600000000000ull); /* A full budget again. */
    fixture_port(pipeline, 1)->punt_rate = fixture_port(pipeline, 1)->punt_burst = 1000;
    send(pipeline, 1, text, &result);
    for (size_t i = 0; i < result.n_outputs; i++)
        if (result.outputs[i].way == PIPELINE_PUNT)
            event = (const struct punt_event *)result.outputs[i].bytes;
    assert_non_null(event);
    if (source)
        frame_address(source, address);
    assert_int_equal(event->reason, wanted.reason);
    assert_int_equal(event->router_port, wanted.router_port);
    assert_int_equal(event->mtu, wanted.mtu);
    assert_int_equal(event->code, wanted.code);
    assert_int_equal(event->hops, wanted.hops);
    if (wanted.reason == PUNT_FRAGMENT) {
        assert_int_equal(event->output, wanted.output);
        assert_int_equal(event->vni, wanted.vni);
    } else {
        assert_memory_equal(event->source, address, 16);
        assert_int_equal(event->vni, 7);
    }
    pipeline_result_clear(&result);
}

static void the_agent_is_told_who_speaks(void **state)
{
    struct pipeline *pipeline = fixture_new();

    expect_event(pipeline, "A>R ip 10.0.0.1>10.0.2.1 ttl=1 udp 1>2", (struct punt_event){.reason = PUNT_TTL, .router_port = 1}, "10.0.0.254");
    expect_event(pipeline, "A>R ip 10.0.0.1>10.0.2.1 ttl=2 udp 1>2", (struct punt_event){.reason = PUNT_TTL, .router_port = 3, .hops = 1},
                 "10.0.1.253");
    expect_event(pipeline, "A>R ip6 fd01::1>fd03::1 ttl=2 udp 1>2", (struct punt_event){.reason = PUNT_TTL, .router_port = 3, .hops = 1},
                 "fd02::253");
    expect_event(pipeline, "A>R ip 10.0.0.1>10.99.0.1 udp 1>2",
                 (struct punt_event){.reason = PUNT_UNREACHABLE, .router_port = 1, .code = UNREACHABLE_NET}, "10.0.0.254");
    expect_event(pipeline, "A>R ip6 fd01::1>fd02::77 udp 1>2",
                 (struct punt_event){.reason = PUNT_UNREACHABLE, .router_port = 1, .code = UNREACHABLE_HOST}, "fd01::254");
    expect_event(pipeline, "A>R ip 10.0.0.1>10.0.2.77 udp 1>2",
                 (struct punt_event){.reason = PUNT_UNREACHABLE, .router_port = 3, .code = UNREACHABLE_HOST, .hops = 1}, "10.0.1.253");
    expect_event(pipeline, "A>R ip 10.0.0.1>10.0.2.254 udp 1>2",
                 (struct punt_event){.reason = PUNT_UNREACHABLE, .router_port = 3, .code = UNREACHABLE_PORT, .hops = 1}, "10.0.1.253");
    expect_event(pipeline, "A>R ip 10.0.0.1>10.0.0.254 proto 47 +20",
                 (struct punt_event){.reason = PUNT_UNREACHABLE, .router_port = 1, .code = UNREACHABLE_PROTOCOL}, "10.0.0.254");
    expect_event(pipeline, "A>R ip 10.0.0.1>10.0.1.1 df udp 1>2 +1373",
                 (struct punt_event){.reason = PUNT_TOO_BIG, .router_port = 1, .mtu = 1400}, "10.0.0.254");
    expect_event(pipeline, "A>B ip 10.0.0.1>10.0.0.2 df udp 1>2 +1423", (struct punt_event){.reason = PUNT_TOO_BIG}, NULL);
    expect_event(pipeline, "A>R ip 10.0.0.1>10.0.1.101 udp 1>2 +1373",
                 (struct punt_event){.reason = PUNT_FRAGMENT, .router_port = 2, .mtu = 1400, .hops = 1, .output = OUTPUT_REMOTE | 1, .vni = 10},
                 NULL);
    expect_event(pipeline, "A>R ip 10.0.0.1>10.0.2.1 udp 1>2 +1373",
                 (struct punt_event){.reason = PUNT_FRAGMENT, .router_port = 4, .mtu = 1400, .hops = 2, .output = OUTPUT_LOCAL | 11, .vni = 11},
                 NULL);
    pipeline_free(pipeline);
}

/* ---- chains and circles ------------------------------------------------------------------------------------------------------ */

/* Routers 10 + i from network 20 + i to 21 + i, by their ports 20 + 2 i and 21 + 2 i; the first one's is network 7.  The last network has
 * 10.99.0.1, on a host. */
static struct pipeline *new_chain(uint32_t n)
{
    struct pipeline *pipeline;
    char mac[20], ip4[20], ip6[40];

    assert_int_equal(pipeline_new(&(struct pipeline_sizes){16, 16, 16, FIXTURE_FLOW_SLOTS, 64}, &pipeline), 0);
    fixture_fill(pipeline);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t side = 0; side < 2; side++) {
            uint32_t network = i + side;
            snprintf(mac, sizeof(mac), "02:00:00:00:%02x:%02x", network, 0xf0 + side);
            snprintf(ip4, sizeof(ip4), "10.20.%u.%u", network, 253 + side);
            snprintf(ip6, sizeof(ip6), "fd20:%x::%u", network, 253 + side);
            fixture_add_router_port(pipeline, 20 + 2 * i + side, 10 + i, network ? 20 + network : 7, mac, ip4, ip6, 1450);
        }
        snprintf(ip4, sizeof(ip4), "10.20.%u.253", i + 1);
        fixture_route(pipeline, 10 + i, "10.99.0.0", 16, 0, 21 + 2 * i, i + 1 < n ? ip4 : NULL);
    }
    fixture_neighbor(pipeline, 20 + n, "10.99.0.1", "J");
    fixture_fdb(pipeline, "fdb", 20 + n, "J", OUTPUT_REMOTE | 1);
    return pipeline;
}

static void a_trace_shows_every_router_of_a_chain(void **state)
{
    struct pipeline *pipeline = new_chain(ROUTER_HOPS_MAX);
    char text[120], source[20];

    for (unsigned ttl = 1; ttl <= ROUTER_HOPS_MAX; ttl++) {
        snprintf(text, sizeof(text), "A>02:00:00:00:00:f0 ip 10.0.0.1>10.99.0.1 ttl=%u udp 1>2", ttl);
        snprintf(source, sizeof(source), "10.20.%u.253", ttl - 1);
        expect_event(pipeline, text, (struct punt_event){.reason = PUNT_TTL, .router_port = 18 + 2 * ttl, .hops = ttl - 1}, source);
    }
    expect(pipeline, 1, "A>02:00:00:00:00:f0 ip 10.0.0.1>10.99.0.1 ttl=9 udp 1>2", false,
           "02:00:00:00:08:f1>J ip 10.0.0.1>10.99.0.1 ttl=1 udp 1>2");
    assert_int_equal(only_entry(pipeline)->hops, ROUTER_HOPS_MAX);
    pipeline_free(pipeline);
}

/* Two routers that send to each other: as many rounds as one host follows. */
static void a_circle_is_followed_so_far(void **state)
{
    struct pipeline *pipeline = fixture_new();
    char text[120];

    fixture_route(pipeline, 1, "10.6.0.0", 16, 0, 2, "10.0.1.253"); /* Router 2 sends it back, by its default route. */
    for (unsigned ttl = 1; ttl <= ROUTER_HOPS_MAX; ttl++) {
        snprintf(text, sizeof(text), "A>R ip 10.0.0.1>10.6.0.1 ttl=%u udp 1>2", ttl);
        expect_event(pipeline, text, (struct punt_event){.reason = PUNT_TTL, .router_port = ttl == 1 ? 1 : ttl % 2 ? 2 : 3, .hops = ttl - 1},
                     ttl == 1 ? "10.0.0.254" : ttl % 2 ? "10.0.1.254" : "10.0.1.253");
    }
    expect_drop(pipeline, 1, "A>R ip 10.0.0.1>10.6.0.1 ttl=9 udp 1>2", DROP_too_many_routers);
    assert_null(only_entry(pipeline));
    pipeline_free(pipeline);
}

static void one_router_more_than_a_host_follows(void **state)
{
    struct pipeline *pipeline = new_chain(ROUTER_HOPS_MAX + 1);

    expect_drop(pipeline, 1, "A>02:00:00:00:00:f0 ip 10.0.0.1>10.99.0.1 udp 1>2", DROP_too_many_routers);
    pipeline_free(pipeline);
}

/* ---- several next hops --------------------------------------------------------------------------------------------------------- */

#define N_DESTINATIONS 512

/* Which of the two next hops each destination takes: true is J. */
static void choices(struct pipeline *pipeline, bool ipv6, bool *ret)
{
    char text[120];

    for (unsigned i = 0; i < N_DESTINATIONS; i++) {
        struct pipeline_result result;
        if (ipv6)
            snprintf(text, sizeof(text), "A>R ip6 fd01::1>fd08::%x udp 1>2", i);
        else
            snprintf(text, sizeof(text), "A>R ip 10.0.0.1>10.8.%u.%u udp 1>2", i / 256, i % 256);
        send(pipeline, 1, text, &result);
        assert_string_equal(pipeline_verdict_name(result.verdict), "delivered");
        assert_true(result.outputs[0].port_slot == 10 || result.outputs[0].port_slot == 11);
        ret[i] = result.outputs[0].port_slot == 10;
        pipeline_result_clear(&result);
    }
}

static void several_next_hops_share_the_destinations(void **state)
{
    for (int ipv6 = 0; ipv6 < 2; ipv6++) {
        struct pipeline *pipeline = fixture_new();
        bool first[N_DESTINATIONS], again[N_DESTINATIONS], moved[N_DESTINATIONS];
        unsigned n = 0, n_moved = 0;

        if (ipv6) {
            fixture_route(pipeline, 1, "fd08::", 64, ROUTE_MANY, 6, NULL);
            fixture_route(pipeline, 2, "fd08::", 64, 0, 4, "fd03::1");
            for (uint32_t bucket = 0; bucket < NEXT_HOP_BUCKETS; bucket++) {
                struct next_hop_value hop = {.group = 6, .port = 2};
                frame_address(bucket % 2 ? "fd02::253" : "fd02::1", hop.next_hop);
                pipeline_update(pipeline, "next_hops", &(struct next_hop_key){6, bucket}, &hop);
            }
        }
        choices(pipeline, ipv6, first);
        pipeline_clear(pipeline, "connections");
        choices(pipeline, ipv6, again);
        assert_memory_equal(first, again, sizeof(first));
        for (unsigned i = 0; i < N_DESTINATIONS; i++)
            n += first[i];
        print_message("%u of %u destinations take the first of two next hops\n", n, N_DESTINATIONS);
        assert_in_range(n, N_DESTINATIONS * 2 / 5, N_DESTINATIONS * 3 / 5); /* 4.5 standard deviations; the seed is fixed. */

        /* A quarter of J's buckets goes to the other: nothing else moves. */
        for (uint32_t bucket = 0; bucket < NEXT_HOP_BUCKETS; bucket += 8) {
            struct next_hop_value hop = {.group = 5 + ipv6, .port = 2};
            frame_address(ipv6 ? "fd02::253" : "10.0.1.253", hop.next_hop);
            pipeline_update(pipeline, "next_hops", &(struct next_hop_key){5 + ipv6, bucket}, &hop);
        }
        pipeline_clear(pipeline, "connections");
        choices(pipeline, ipv6, moved);
        for (unsigned i = 0; i < N_DESTINATIONS; i++) {
            assert_true(first[i] || !moved[i]);
            n_moved += first[i] != moved[i];
        }
        assert_in_range(n_moved, n / 8, n * 3 / 8);
        pipeline_free(pipeline);
    }
}

/* All packets between two addresses go one way, whatever their ports. */
static void one_pair_of_addresses_takes_one_way(void **state)
{
    struct pipeline *pipeline = fixture_new();
    uint32_t first = 0;
    char text[120];

    for (unsigned port = 1; port < 200; port++) {
        struct pipeline_result result;
        snprintf(text, sizeof(text), "A>R ip 10.0.0.1>10.8.0.1 tcp %u>80 S", port);
        send(pipeline, 1, text, &result);
        if (!first)
            first = result.outputs[0].port_slot;
        assert_int_equal(result.outputs[0].port_slot, first);
        pipeline_result_clear(&result);
    }
    pipeline_free(pipeline);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_connections_look_like_new_ones),
        cmocka_unit_test(checksum_is_right_for_every_ttl_and_length),
        cmocka_unit_test(an_entry_does_not_outlive_its_router_port),
        cmocka_unit_test(an_entry_is_rewritten_from_routed_to_switched_and_back),
        cmocka_unit_test(a_narrow_network_in_between_is_not_forgotten),
        cmocka_unit_test(the_agent_is_told_who_speaks),
        cmocka_unit_test(a_trace_shows_every_router_of_a_chain),
        cmocka_unit_test(a_circle_is_followed_so_far),
        cmocka_unit_test(one_router_more_than_a_host_follows),
        cmocka_unit_test(several_next_hops_share_the_destinations),
        cmocka_unit_test(one_pair_of_addresses_takes_one_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
