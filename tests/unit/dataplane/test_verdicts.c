/* What the log of security groups gets to know: which packets of which ports, by which rule, and how many.
 *
 * The world is tests/bpf/fixture.h's: port 1 (MAC A) and 2 (MAC B) are in one network and have the policies under test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "fixture.h"
#include "weft/base/util.h"

#define OUT_SET 10u
#define IN_SET 11u
#define OUT(l4) "A>B ip 10.0.0.1>10.0.0.2 " l4
#define IN(l4) "B>A ip 10.0.0.2>10.0.0.1 " l4

/* Runs the frame and says what was logged: "1 out ACCEPT 7; 2 in DROP policy_ingress; ". */
static const char *logged(struct pipeline *pipeline, uint32_t port, const char *text)
{
    static const char *const reasons[] = {
        "none",
#define DROP_REASON(name, text) #name,
#include "weft/dataplane/drop-reasons.def"
#undef DROP_REASON
    };
    static char line[500];
    struct frame frame;
    struct pipeline_result result;
    int size = 0;

    frame_parse(text, &frame);
    struct pipeline_frame input = {.bytes = frame.bytes, .size = frame.size, .ifindex = 100 + port};
    assert_int_equal(pipeline_run(pipeline, PIPELINE_FROM_WORKLOAD, &input, &result), 0);
    line[0] = 0;
    for (size_t i = 0; i < result.n_verdicts; i++) {
        const struct verdict_event *event = &result.verdicts[i];
        size += snprintf(line + size, sizeof(line) - (size_t)size, "%u %s ", event->slot, event->flags & VERDICT_RECEIVED ? "in" : "out");
        if (event->reason)
            size += snprintf(line + size, sizeof(line) - (size_t)size, "DROP %s; ", reasons[event->reason]);
        else
            size += snprintf(line + size, sizeof(line) - (size_t)size, "ACCEPT %u; ", event->number);
    }
    pipeline_result_clear(&result);
    return line;
}

static struct verdict_event event_of(struct pipeline *pipeline, uint32_t port, const char *text)
{
    struct verdict_event event;
    struct frame frame;
    struct pipeline_result result;

    frame_parse(text, &frame);
    struct pipeline_frame input = {.bytes = frame.bytes, .size = frame.size, .ifindex = 100 + port};
    assert_int_equal(pipeline_run(pipeline, PIPELINE_FROM_WORKLOAD, &input, &result), 0);
    assert_int_equal(result.n_verdicts, 1);
    event = result.verdicts[0];
    pipeline_result_clear(&result);
    return event;
}

/* Ports 1 and 2: out all but UDP to port 9, in TCP 80, some UDP, echo; the TCP rule has RULE_LOG. */
static struct pipeline *world(uint32_t logs)
{
    const struct rule out[] = {{.flags = RULE_IPV4 | RULE_PROTOCOL, .protocol = IPPROTO_TCP, .number = 1},
                               {.flags = RULE_IPV4 | RULE_PROTOCOL, .protocol = IPPROTO_ICMP, .number = 2},
                               {.flags = RULE_IPV4 | RULE_PROTOCOL | RULE_PORTS, .protocol = IPPROTO_UDP, .port_min = 10, .port_max = 99, .number = 3}};
    const struct rule in[] = {{.flags = RULE_IPV4 | RULE_PROTOCOL | RULE_PORTS | RULE_LOG, .protocol = IPPROTO_TCP, .port_min = 80, .port_max = 80, .number = 7},
                              {.flags = RULE_IPV4 | RULE_PROTOCOL | RULE_PORTS, .protocol = IPPROTO_UDP, .port_min = 20, .port_max = 99, .number = 8},
                              {.flags = RULE_IPV4 | RULE_PROTOCOL | RULE_PORTS, .protocol = IPPROTO_ICMP, .port_min = 8, .port_max = 0xffff, .number = 9}};
    struct pipeline *pipeline = fixture_new();

    fixture_rules(pipeline, OUT_SET, out, ARRAY_SIZE(out));
    fixture_rules(pipeline, IN_SET, in, ARRAY_SIZE(in));
    for (uint32_t slot = 1; slot <= 2; slot++) {
        fixture_policy(pipeline, slot, OUT_SET, IN_SET);
        fixture_port(pipeline, slot)->flags |= logs;
    }
    return pipeline;
}

static void nothing_is_logged_unless_asked(void **state)
{
    struct pipeline *pipeline = world(0);

    assert_string_equal(logged(pipeline, 1, OUT("tcp 1000>80 S")), "");
    assert_string_equal(logged(pipeline, 1, OUT("udp 1>9")), "");
    pipeline_free(pipeline);
}

static void the_first_packet_of_a_connection_is_logged(void **state)
{
    struct pipeline *pipeline = world(PORT_LOG_ACCEPT);

    assert_string_equal(logged(pipeline, 1, OUT("tcp 1000>80 S")), "1 out ACCEPT 1; 2 in ACCEPT 7; ");
    assert_string_equal(logged(pipeline, 1, OUT("tcp 1000>80 S")), ""); /* Again: the same connection. */
    assert_string_equal(logged(pipeline, 2, IN("tcp 80>1000 SA")), "");
    assert_string_equal(logged(pipeline, 1, OUT("tcp 1000>80 A")), "");
    assert_string_equal(logged(pipeline, 1, OUT("udp 1>20")), "1 out ACCEPT 3; 2 in ACCEPT 8; ");
    assert_string_equal(logged(pipeline, 2, IN("udp 20>1")), "");
    assert_string_equal(logged(pipeline, 1, OUT("icmp 8 5")), "1 out ACCEPT 2; 2 in ACCEPT 9; ");
    assert_string_equal(logged(pipeline, 1, OUT("udp 1>9")), ""); /* Drops are not what was asked for. */
    pipeline_free(pipeline);
}

static void each_packet_that_is_refused_is_logged(void **state)
{
    struct pipeline *pipeline = world(PORT_LOG_DROP);

    for (int i = 0; i < 3; i++)
        assert_string_equal(logged(pipeline, 1, OUT("udp 1>9")), "1 out DROP policy_egress; ");
    assert_string_equal(logged(pipeline, 1, OUT("udp 1>10")), "2 in DROP policy_ingress; ");
    assert_string_equal(logged(pipeline, 1, OUT("tcp 1000>81 S")), "2 in DROP policy_ingress; ");
    assert_string_equal(logged(pipeline, 1, OUT("tcp 1000>80 SA")), "1 out DROP tcp_window; "); /* The rule's yes was not enough. */
    assert_string_equal(logged(pipeline, 1, OUT("tcp 1000>80 S")), "");
    pipeline_free(pipeline);
}

static void only_rules_of_logged_groups_are_logged(void **state)
{
    struct pipeline *pipeline = world(PORT_LOG_RULES);

    assert_string_equal(logged(pipeline, 1, OUT("tcp 1000>80 S")), "2 in ACCEPT 7; ");
    assert_string_equal(logged(pipeline, 1, OUT("udp 1>20")), "");
    pipeline_free(pipeline);
}

static void stateless_packets_are_logged_each(void **state)
{
    const struct rule all = {.flags = RULE_IPV4 | RULE_STATELESS, .number = 5};
    struct pipeline *pipeline = world(PORT_LOG_ACCEPT);

    fixture_port(pipeline, 2)->flags &= ~PORT_LOGS;
    fixture_rules(pipeline, OUT_SET, &all, 1);
    assert_string_equal(logged(pipeline, 1, OUT("udp 1>20")), "1 out ACCEPT 5; ");
    assert_string_equal(logged(pipeline, 1, OUT("udp 1>20")), "1 out ACCEPT 5; ");
    pipeline_free(pipeline);
}

static void a_connection_that_ends_by_a_change_is_a_drop(void **state)
{
    struct pipeline *pipeline = world(PORT_LOG_ACCEPT | PORT_LOG_DROP);

    assert_string_equal(logged(pipeline, 1, OUT("udp 1>20")), "1 out ACCEPT 3; 2 in ACCEPT 8; ");
    fixture_policy(pipeline, 2, OUT_SET, 0);
    ((struct port_record *)pipeline_lookup(pipeline, "ports", &(uint32_t){2}))->epoch++;
    assert_string_equal(logged(pipeline, 1, OUT("udp 1>20")), "2 in DROP policy_ingress; ");
    fixture_policy(pipeline, 1, 0, 0);
    ((struct port_record *)pipeline_lookup(pipeline, "ports", &(uint32_t){1}))->epoch++;
    assert_string_equal(logged(pipeline, 1, OUT("udp 1>20")), "1 out DROP policy_egress; ");
    pipeline_free(pipeline);
}

static void a_connection_that_is_judged_again_is_not_new(void **state)
{
    struct pipeline *pipeline = world(PORT_LOG_ACCEPT);

    logged(pipeline, 1, OUT("udp 1>20"));
    for (uint32_t slot = 1; slot <= 2; slot++)
        ((struct port_record *)pipeline_lookup(pipeline, "ports", &slot))->epoch++;
    assert_string_equal(logged(pipeline, 1, OUT("udp 1>20")), "");
    pipeline_free(pipeline);
}

static void a_connection_in_the_place_of_one_that_is_over_is_new(void **state)
{
    struct pipeline *pipeline = world(PORT_LOG_ACCEPT);

    assert_string_equal(logged(pipeline, 1, OUT("tcp 1000>80 S")), "1 out ACCEPT 1; 2 in ACCEPT 7; ");
    logged(pipeline, 2, IN("tcp 80>1000 RA"));
    assert_string_equal(logged(pipeline, 1, OUT("tcp 1000>80 S")), "1 out ACCEPT 1; 2 in ACCEPT 7; ");
    pipeline_free(pipeline);
}

static void copies_for_everybody_are_logged_by_each_port(void **state)
{
    struct pipeline *pipeline = world(PORT_LOG_ACCEPT | PORT_LOG_DROP);

    assert_string_equal(logged(pipeline, 4, "D>* ip 10.0.0.4>255.255.255.255 udp 1>20"), "1 in ACCEPT 8; 2 in ACCEPT 8; ");
    assert_string_equal(logged(pipeline, 4, "D>* ip 10.0.0.4>255.255.255.255 udp 1>9"),
                        "1 in DROP policy_ingress; 2 in DROP policy_ingress; ");
    pipeline_free(pipeline);
}

static void an_event_says_what_the_packet_was(void **state)
{
    struct pipeline *pipeline = world(PORT_LOG_DROP);
    const uint8_t source[16] = {[10] = 0xff, [11] = 0xff, 10, 0, 0, 1}, destination[16] = {[10] = 0xff, [11] = 0xff, 10, 0, 0, 2};
    struct verdict_event event;
    uint8_t mac[6];

    pipeline_advance(pipeline, 5000000000);
    event = event_of(pipeline, 1, OUT("tcp 1000>81 S"));
    assert_int_equal(event.time_ns, 5000000000);
    assert_int_equal(event.slot, 2);
    assert_int_equal(event.generation, fixture_port(pipeline, 2)->generation);
    assert_int_equal(event.ethertype, htons(0x0800));
    assert_int_equal(event.protocol, 6);
    assert_int_equal(event.tcp_flags, 2);
    assert_int_equal(event.source_port, htons(1000));
    assert_int_equal(event.destination_port, htons(81));
    assert_int_equal(event.size, 54);
    assert_memory_equal(event.source, source, 16);
    assert_memory_equal(event.destination, destination, 16);
    frame_mac("A", mac);
    assert_memory_equal(event.source_mac, mac, 6);
    frame_mac("B", mac);
    assert_memory_equal(event.destination_mac, mac, 6);
    event = event_of(pipeline, 1, OUT("icmp 13 5"));
    assert_int_equal(event.icmp_type, 13);
    assert_int_equal(event.source_port, 0);
    pipeline_free(pipeline);
}

/* A port's flood costs the others nothing, and what is left out is counted. */
static void each_port_has_a_budget_of_its_own(void **state)
{
    struct pipeline *pipeline = world(PORT_LOG_DROP);
    struct verdict_runtime *runtime = pipeline_lookup(pipeline, "verdict_runtime", &(uint32_t){1});
    uint32_t n = 0;

    for (int i = 0; i < 1000; i++)
        n += logged(pipeline, 1, OUT("udp 1>9"))[0] != 0;
    assert_int_equal(n, VERDICT_BURST_DEFAULT);
    assert_int_equal(runtime->n_left_out, 1000 - n);
    assert_string_equal(logged(pipeline, 2, IN("udp 1>9")), "2 out DROP policy_egress; ");
    pipeline_advance(pipeline, 1000000000 + 100000000); /* A tenth of a second later: ten more. */
    n = 0;
    for (int i = 0; i < 1000; i++)
        n += logged(pipeline, 1, OUT("udp 1>9"))[0] != 0;
    assert_int_equal(n, VERDICT_RATE_DEFAULT / 10);
    pipeline_free(pipeline);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_logged_unless_asked),
        cmocka_unit_test(the_first_packet_of_a_connection_is_logged),
        cmocka_unit_test(each_packet_that_is_refused_is_logged),
        cmocka_unit_test(only_rules_of_logged_groups_are_logged),
        cmocka_unit_test(stateless_packets_are_logged_each),
        cmocka_unit_test(a_connection_that_ends_by_a_change_is_a_drop),
        cmocka_unit_test(a_connection_that_is_judged_again_is_not_new),
        cmocka_unit_test(a_connection_in_the_place_of_one_that_is_over_is_new),
        cmocka_unit_test(copies_for_everybody_are_logged_by_each_port),
        cmocka_unit_test(an_event_says_what_the_packet_was),
        cmocka_unit_test(each_port_has_a_budget_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
