/* See conversation.h. */
#include "conversation.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "weft/base/util.h"

struct pipeline *pipeline;
struct pipeline_frame with;
struct pipeline_result result;
uint16_t chosen;
static char text_buffers[4][400];

int set_up(void **state)
{
    assert_int_equal(pipeline_new(&(struct pipeline_sizes){16, 16, 16, FIXTURE_FLOW_SLOTS, 16}, &pipeline), 0);
    fixture_fill(pipeline);
    fixture_external(pipeline);
    with = (struct pipeline_frame){0};
    return 0;
}

int tear_down(void **state)
{
    pipeline_result_clear(&result);
    pipeline_free(pipeline);
    return 0;
}

/* A frame's text with numbers in it. */
const char *frame_text(const char *format, ...)
{
    static unsigned next;
    char *text = text_buffers[next++ % 4];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text_buffers[0]), format, arguments);
    va_end(arguments);
    return text;
}

/* Sends a frame from a port's workload, from outside, or from host 1. */
void say(uint32_t place, const char *text)
{
    struct frame frame;
    struct pipeline_frame input = with;

    frame_parse(text, &frame);
    input.bytes = frame.bytes;
    input.size = frame.size;
    input.ifindex = place >= OUTSIDE ? UPLINK_IFINDEX : place == TUNNEL ? UNDERLAY_IFINDEX : 100 + place;
    if (place > OUTSIDE) {
        input.vlan_present = true;
        input.vlan = (uint16_t)(place - OUTSIDE);
    }
    pipeline_result_clear(&result);
    print_message("  %s\n", text);
    assert_int_equal(pipeline_trace(pipeline, place >= OUTSIDE  ? PIPELINE_FROM_UPLINK
                                              : place == TUNNEL ? PIPELINE_FROM_UNDERLAY
                                                                : PIPELINE_FROM_WORKLOAD, &input, &result), 0);
    for (size_t i = 0; i < result.n_steps; i++)
        print_message("    %-12s %s\n", result.steps[i].stage, result.steps[i].text);
    with = (struct pipeline_frame){0};
}

void expect_verdict(enum pipeline_verdict verdict)
{
    assert_string_equal(pipeline_verdict_name(result.verdict), pipeline_verdict_name(verdict));
}

void expect_bytes(const uint8_t *bytes, uint32_t size, const char *text)
{
    struct frame expected;

    frame_parse(text, &expected);
    for (uint32_t i = 0; i < size && i < expected.size; i++)
        if (bytes[i] != expected.bytes[i])
            print_message("    byte %u is %02x, not %02x\n", i, bytes[i], expected.bytes[i]);
    assert_int_equal(size, expected.size);
    assert_memory_equal(bytes, expected.bytes, size);
}

void expect_port(uint32_t slot, const char *text)
{
    expect_verdict(PIPELINE_DELIVERED);
    assert_int_equal(result.n_outputs, 1);
    assert_int_equal(result.outputs[0].port_slot, slot);
    if (text)
        expect_bytes(result.outputs[0].bytes, result.outputs[0].size, text);
}

/* What the host gets inside of the tunnel. */
void expect_host(uint32_t slot, const char *text)
{
    uint32_t skip;

    expect_verdict(PIPELINE_TUNNELLED);
    assert_int_equal(result.outputs[0].host_slot, slot);
    skip = result.outputs[0].bytes[12] == 0x08 ? TUNNEL_OVERHEAD_IPV4 : TUNNEL_OVERHEAD_IPV6;
    expect_bytes(result.outputs[0].bytes + skip, result.outputs[0].size - skip, text);
}

void expect_outside(uint32_t vlan, const char *text)
{
    expect_verdict(PIPELINE_OUTSIDE);
    assert_int_equal(result.n_outputs, 1);
    assert_int_equal(result.outputs[0].ifindex, UPLINK_IFINDEX);
    assert_int_equal(result.outputs[0].vlan, vlan);
    expect_bytes(result.outputs[0].bytes, result.outputs[0].size, text);
}

/* What 'weft trace' tells of a translation. */
void expect_translation(const char *text)
{
    for (size_t i = 0; i < result.n_steps; i++)
        if (strcmp(result.steps[i].stage, "translate") == 0 && strcmp(result.steps[i].text, text) == 0)
            return;
    fail_msg("no step says '%s'", text);
}

void expect_drop(enum drop_reason reason)
{
    expect_verdict(PIPELINE_DROPPED);
    assert_int_equal(result.reason, reason);
}

void expect_passed(const char *text)
{
    expect_verdict(PIPELINE_PASSED);
    expect_bytes(result.bytes, result.size, text);
}

const struct punt_event *expect_punt(enum punt_reason reason)
{
    for (size_t i = 0; i < result.n_outputs; i++)
        if (result.outputs[i].way == PIPELINE_PUNT) {
            const struct punt_event *event = (const struct punt_event *)result.outputs[i].bytes;

            assert_int_equal(event->reason, reason);
            return event;
        }
    fail_msg("nothing was punted");
    return NULL;
}

/* What SNAT made of the source port, or of an echo's identifier. */
uint16_t chosen_port(void)
{
    uint32_t skip = result.verdict != PIPELINE_TUNNELLED ? 0 : result.outputs[0].bytes[12] == 0x08 ? TUNNEL_OVERHEAD_IPV4 : TUNNEL_OVERHEAD_IPV6;
    const uint8_t *l4 = result.outputs[0].bytes + skip + 34;
    bool echo = result.outputs[0].bytes[skip + 23] == IPPROTO_ICMP;

    chosen = (uint16_t)(l4[echo ? 4 : 0] << 8 | l4[echo ? 5 : 1]);
    assert_in_range(chosen, 1024, 1087);
    return chosen;
}

uint32_t n_entries(const char *table)
{
    size_t key_size, value_size;
    uint32_t n;

    assert_int_equal(pipeline_table(pipeline, table, &key_size, &value_size, &n), 0);
    return n;
}

uint64_t names_of(uint32_t router_port)
{
    return ((struct router_port_runtime *)pipeline_lookup(pipeline, "router_port_runtime", &router_port))->n_names;
}

void all_connections_end(void)
{
    pipeline_advance(pipeline, 20000000000000ull);
    assert_int_equal(n_entries("connections"), 0);
    assert_int_equal(n_entries("aliases"), 0);
    assert_int_equal(names_of(5), 0);
    assert_int_equal(names_of(7), 0);
}

void change_epoch(uint32_t slot)
{
    ((struct port_record *)pipeline_lookup(pipeline, "ports", &slot))->epoch++;
}

uint32_t ipv4(const char *text)
{
    return inet_addr(text);
}
