// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What bpf/native.h declares, but for the kernel's helpers: maps, time, the ring buffers, the timer, and what a trace says.  Part of pipeline.c. */
#ifndef WEFT_BPF_NATIVE_WORLD_H
#define WEFT_BPF_NATIVE_WORLD_H

#define MAX_STEPS 400

static const char *const stage_names[] = {
#define STAGE_NAME(name) #name,
    TRACE_STAGES(STAGE_NAME)
#undef STAGE_NAME
};
static bool stages_reached[N_STAGES];

static struct native_map *native_map(enum native_map_name name)
{
    return &native->maps[name];
}

static __u64 native_time(void)
{
    return native->now_ns;
}

static __u32 native_flow_slots(void)
{
    return native->sizes.n_flow_slots;
}

static void native_trace(int stage, const char *format, ...)
{
    struct pipeline_result *result = native->result;
    struct pipeline_step *steps;
    va_list arguments;

    stages_reached[stage] = true;
    if (!result || result->n_steps >= MAX_STEPS)
        return;
    steps = reallocarray(result->steps, result->n_steps + 1, sizeof(*steps));
    if (!steps) {
        native->error = -ENOMEM;
        return;
    }
    result->steps = steps;
    steps += result->n_steps++;
    steps->stage = stage_names[stage];
    va_start(arguments, format);
    vsnprintf(steps->text, sizeof(steps->text), format, arguments);
    va_end(arguments);
}

static struct pipeline_output *add_output(enum pipeline_way way, uint32_t ifindex, const void *bytes, uint32_t size)
{
    struct pipeline_result *result = native->result;
    struct pipeline_output *outputs = reallocarray(result->outputs, result->n_outputs + 1, sizeof(*outputs));
    uint8_t *copy = malloc(size ? size : 1);

    if (outputs)
        result->outputs = outputs;
    if (!outputs || !copy) {
        free(copy);
        native->error = -ENOMEM;
        return NULL;
    }
    memcpy(copy, bytes, size);
    outputs += result->n_outputs++;
    *outputs = (struct pipeline_output){.way = way, .ifindex = ifindex, .bytes = copy, .size = size};
    return outputs;
}

/* An event is handed over or given back before the next one is asked for. */
static void *native_ring_reserve(enum native_ring ring, __u64 size)
{
    native->ring = ring;
    if (ring == NATIVE_RING_punt) {
        if (!native->punt_space)
            return NULL;
        native->punt_space--;
    }
    return calloc(1, size);
}

static void add_verdict(const struct verdict_event *event)
{
    struct pipeline_result *result = native->result;
    struct verdict_event *verdicts = reallocarray(result->verdicts, result->n_verdicts + 1, sizeof(*verdicts));

    if (!verdicts) {
        native->error = -ENOMEM;
        return;
    }
    result->verdicts = verdicts;
    verdicts[result->n_verdicts++] = *event;
}

static void native_ring_submit(void *event)
{
    if (native->ring == NATIVE_RING_verdicts)
        add_verdict(event);
    else
        add_output(PIPELINE_PUNT, ((struct punt_event *)event)->ifindex, event, sizeof(struct punt_event));
    free(event);
}

static void native_ring_discard(void *event)
{
    free(event);
}

static int native_timer_set(struct sweeper *record, native_timer_callback callback)
{
    native->expire = callback;
    return 0;
}

static int native_timer_start(struct sweeper *record, __u64 ns)
{
    record->timer[0] = native->now_ns + ns;
    return 0;
}

static char *trace_buffer(void)
{
    static __thread char buffers[4][IP_TEXT_SIZE];
    static __thread unsigned next;

    return buffers[next++ % 4];
}

static const char *trace_mac(const __u8 *mac)
{
    struct mac_address address;

    memcpy(address.bytes, mac, sizeof(address.bytes));
    return mac_format(&address, trace_buffer());
}

static const char *trace_address(const __u8 *bytes)
{
    struct ip_address address;

    memcpy(address.bytes, bytes, sizeof(address.bytes));
    return ip_format(&address, trace_buffer());
}

static const char *trace_ipv4(__u32 bytes)
{
    struct ip_address address = ip_from_v4(ntohl(bytes));

    return ip_format(&address, trace_buffer());
}

static const char *trace_reason(__u32 reason)
{
    static const char *const texts[] = {
        "",
#define DROP_REASON(name, text) #name ": " text,
#include "weft/dataplane/drop-reasons.def"
#undef DROP_REASON
    };

    return reason < ARRAY_SIZE(texts) ? texts[reason] : "unknown";
}

#endif
