/* Health probes of members, frame by frame: from the agent's socket to the member's port, and back.  See bpf/probe.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conversation.h"
#include "fixture.h"
#include "weft/base/util.h"

#define NUMBER 7      /* 240.15.68.7, fd57:4546:5400::f:4407; as the agent's addresses in tables-probes.h. */
#define FAR 96007     /* Two rounds further: 240.47.68.7, fd57:4546:5400::2:f:4407. */
#define AGENT "240.15.255.254"
#define AGENT6 "fd57:4546:5400:1::1"

/* Port 1 (A, 10.0.0.1 and fd01::1), called by 10.0.0.200 or fd01::200 (V).  The device is Z. */
static struct probe_target target(uint32_t number, bool ipv6)
{
    struct probe_target target = {.number = number, .slot = 1, .generation = fixture_port(pipeline, 1)->generation, .ifindex = METADATA_IFINDEX};

    frame_address(ipv6 ? "fd01::1" : "10.0.0.1", target.address);
    frame_address(ipv6 ? "fd01::200" : "10.0.0.200", target.vip);
    frame_mac("V", target.vip_mac);
    frame_mac("Z", target.device_mac);
    return target;
}

static void set_target(uint32_t number, const struct probe_target *to)
{
    assert_int_equal(pipeline_update(pipeline, "probe_targets", &number, to), 0);
}

static void probe(const char *text)
{
    struct frame frame;

    frame_parse(text, &frame);
    pipeline_result_clear(&result);
    assert_int_equal(pipeline_trace(pipeline, PIPELINE_FROM_METADATA,
                                    &(struct pipeline_frame){.bytes = frame.bytes, .size = frame.size, .ifindex = METADATA_IFINDEX}, &result), 0);
}

static void expect_agent(const char *text)
{
    assert_int_equal(result.verdict, PIPELINE_PUNTED);
    assert_int_equal(result.n_outputs, 1);
    assert_int_equal(result.outputs[0].ifindex, METADATA_IFINDEX);
    expect_bytes(result.outputs[0].bytes, result.outputs[0].size, text);
}

static void expect_nothing(void)
{
    assert_int_equal(result.verdict, PIPELINE_DROPPED);
    assert_int_equal(result.reason, 0); /* It counts for nobody. */
}

static void a_probe_looks_as_the_balancers_and_its_answer_comes_back(void **state)
{
    struct probe_target v4 = target(NUMBER, false), far = target(FAR, false), v6 = target(NUMBER, true), far6 = target(FAR, true);
    uint64_t received = fixture_counters(pipeline, 1)->rx_packets;

    set_target(NUMBER, &v4);
    probe("Z>Z ip " AGENT ">240.15.68.7 tcp 40000>80 S");
    expect_port(1, "V>A ip 10.0.0.200>10.0.0.1 tcp 40000>80 S");
    say(1, "A>V ip 10.0.0.1>10.0.0.200 tcp 80>40000 SA");
    expect_agent("A>Z ip 240.15.68.7>" AGENT " tcp 80>40000 SA");
    say(1, "A>* ip 10.0.0.1>10.0.0.200 tcp 80>40000 A +33"); /* Whatever MAC it has for the balancer. */
    expect_agent("A>Z ip 240.15.68.7>" AGENT " tcp 80>40000 A +33");
    assert_int_equal(fixture_counters(pipeline, 1)->rx_packets, received + 1);
    set_target(FAR, &far);
    probe("Z>Z ip " AGENT ">240.47.68.7 udp 40000>53 +9");
    expect_port(1, "V>A ip 10.0.0.200>10.0.0.1 udp 40000>53 +9");
    say(1, "A>V ip 10.0.0.1>10.0.0.200 udp 53>40000 +40");
    expect_agent("A>Z ip 240.47.68.7>" AGENT " udp 53>40000 +40");
    set_target(NUMBER, &v6);
    probe("Z>Z ip6 " AGENT6 ">fd57:4546:5400::f:4407 tcp 40000>443 S");
    expect_port(1, "V>A ip6 fd01::200>fd01::1 tcp 40000>443 S");
    say(1, "A>V ip6 fd01::1>fd01::200 tcp 443>40000 SA +1");
    expect_agent("A>Z ip6 fd57:4546:5400::f:4407>" AGENT6 " tcp 443>40000 SA +1");
    set_target(FAR, &far6);
    probe("Z>Z ip6 " AGENT6 ">fd57:4546:5400::2:f:4407 udp 40000>53 +4");
    expect_port(1, "V>A ip6 fd01::200>fd01::1 udp 40000>53 +4");
    say(1, "A>V ip6 fd01::1>fd01::200 udp 53>40000 +5");
    expect_agent("A>Z ip6 fd57:4546:5400::2:f:4407>" AGENT6 " udp 53>40000 +5");
}

static void echo_and_errors_come_back_too(void **state)
{
    struct probe_target v4 = target(NUMBER, false), v6 = target(FAR, true);

    set_target(NUMBER, &v4);
    set_target(FAR, &v6);
    probe("Z>Z ip " AGENT ">240.15.68.7 icmp 8 77 +16");
    expect_port(1, "V>A ip 10.0.0.200>10.0.0.1 icmp 8 77 +16");
    say(1, "A>V ip 10.0.0.1>10.0.0.200 icmp 0 77 +16");
    expect_agent("A>Z ip 240.15.68.7>" AGENT " icmp 0 77 +16");
    say(1, "A>V ip 10.0.0.1>10.0.0.200 icmp 0 78 +16"); /* Of another one. */
    expect_drop(DROP_unknown_destination);
    probe("Z>Z ip6 " AGENT6 ">fd57:4546:5400::2:f:4407 icmp6 128 9 +16");
    expect_port(1, "V>A ip6 fd01::200>fd01::1 icmp6 128 9 +16");
    say(1, "A>V ip6 fd01::1>fd01::200 icmp6 129 9 +16");
    expect_agent("A>Z ip6 fd57:4546:5400::2:f:4407>" AGENT6 " icmp6 129 9 +16");

    probe("Z>Z ip " AGENT ">240.15.68.7 udp 5000>53 +1");
    expect_port(1, "V>A ip 10.0.0.200>10.0.0.1 udp 5000>53 +1");
    say(1, "A>V ip 10.0.0.1>10.0.0.200 icmp 3 0 quote ip 10.0.0.200>10.0.0.1 udp 5000>53 +1");
    expect_agent("A>Z ip 240.15.68.7>" AGENT " icmp 3 0 quote ip " AGENT ">240.15.68.7 udp 5000>53 +1");
    say(1, "A>V ip 10.0.0.1>10.0.0.200 icmp 3 0 quote ip 10.0.0.200>10.0.0.1 udp 5001>53 +1");
    expect_drop(DROP_unknown_destination);
    probe("Z>Z ip6 " AGENT6 ">fd57:4546:5400::2:f:4407 udp 5000>53 +1");
    say(1, "A>V ip6 fd01::1>fd01::200 icmp6 1 0 quote ip6 fd01::200>fd01::1 udp 5000>53 +1");
    expect_agent("A>Z ip6 fd57:4546:5400::2:f:4407>" AGENT6 " icmp6 1 0 quote ip6 " AGENT6 ">fd57:4546:5400::2:f:4407 udp 5000>53 +1");
}

/* What no probe asked for never comes near the host. */
static void a_workload_cannot_speak_first(void **state)
{
    static const char *const unasked[] = {
        "A>V ip 10.0.0.1>10.0.0.200 tcp 80>40001 SA", "A>V ip 10.0.0.1>10.0.0.200 tcp 81>40000 SA", "A>V ip 10.0.0.1>10.0.0.201 tcp 80>40000 SA",
        "A>V ip 10.0.0.1>10.0.0.200 udp 80>40000", "A>V ip 10.0.0.1>10.0.0.200 sctp 80>40000", "A>V ip 10.0.0.1>240.15.255.254 tcp 80>40000 SA",
        "A>V ip 10.0.0.1>10.0.0.200 more udp 80>40000 +8",
    };
    struct probe_target v4 = target(NUMBER, false);

    set_target(NUMBER, &v4);
    probe("Z>Z ip " AGENT ">240.15.68.7 tcp 40000>80 S");
    for (size_t i = 0; i < ARRAY_SIZE(unasked); i++) {
        say(1, unasked[i]);
        expect_drop(DROP_unknown_destination);
    }
    say(2, "B>V ip 10.0.0.1>10.0.0.200 tcp 80>40000 SA"); /* Nor for another one. */
    assert_int_equal(result.verdict, PIPELINE_DROPPED);
    assert_int_not_equal(result.reason, 0);
    say(2, "B>V ip 10.0.0.2>10.0.0.200 tcp 80>40000 SA");
    expect_drop(DROP_unknown_destination);
}

static void a_target_that_is_gone_neither_asks_nor_answers(void **state)
{
    struct probe_target v4 = target(NUMBER, false), other = target(NUMBER, false);
    uint32_t number = NUMBER;

    probe("Z>Z ip " AGENT ">240.15.68.7 tcp 40000>80 S");
    expect_nothing();
    v4.generation++;
    set_target(NUMBER, &v4);
    probe("Z>Z ip " AGENT ">240.15.68.7 tcp 40000>80 S");
    expect_nothing();
    v4.generation--;
    set_target(NUMBER, &v4);
    probe("Z>Z ip " AGENT ">240.15.68.7 more udp 40000>80 +8"); /* Parts are not sent by such sockets. */
    expect_nothing();
    probe("Z>Z ip " AGENT ">240.15.68.7 tcp 40000>80 S");
    expect_port(1, "V>A ip 10.0.0.200>10.0.0.1 tcp 40000>80 S");
    frame_address("10.0.0.201", other.vip); /* Its number is another balancer's now. */
    set_target(NUMBER, &other);
    say(1, "A>V ip 10.0.0.1>10.0.0.200 tcp 80>40000 SA");
    expect_drop(DROP_unknown_destination);
    assert_int_equal(pipeline_delete(pipeline, "probe_targets", &number), 0);
    say(1, "A>V ip 10.0.0.1>10.0.0.200 tcp 80>40000 SA");
    expect_drop(DROP_unknown_destination);
    /* Neighbours of these addresses: a port's, the agent's own. */
    probe("Z>Z ip " AGENT ">240.15.67.255 tcp 40000>80 S");
    expect_nothing();
    probe("Z>Z ip " AGENT ">" AGENT " tcp 40000>80 S");
    expect_nothing();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_probe_looks_as_the_balancers_and_its_answer_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(echo_and_errors_come_back_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_workload_cannot_speak_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_target_that_is_gone_neither_asks_nor_answers, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
