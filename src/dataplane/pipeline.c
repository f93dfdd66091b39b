/* The pipeline in memory: the native world's half of bpf/native.h (bpf/native-world.h, bpf/native-helpers.h), the programs themselves, and running them.
 * Its maps are in pipeline-tables.c. */
#include "weft/dataplane/pipeline.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/address.h"
#include "weft/base/util.h"
#include "weft/dataplane/bpf/weft.bpf.c"
#include "weft/dataplane/pipeline-state.h"
/* What these two define native.h has declared. */
#include "weft/dataplane/bpf/native-world.h"
#include "weft/dataplane/bpf/native-helpers.h"

/* ---- connections by key ---------------------------------------------------------------------------------------------------- */

bool native_is_connection(const struct flow_entry *entry)
{
    return entry->state != FLOW_FREE && entry->state < FLOW_CLAIMED;
}

struct flow_entry *native_connection_find(struct native *world, const struct flow_key *key)
{
    native = world;
    struct flow_entry *entry = flow_at(flow_look_up(key));
    native = NULL;
    return entry;
}

int native_connection_put(struct native *world, const struct flow_key *key, const struct flow_entry *entry)
{
    struct flow_entry *old = native_connection_find(world, key);

    if (old) {
        __u32 next = old->next;
        *old = *entry;
        old->key = *key;
        old->next = next;
        return 0;
    }
    native = world;
    __u32 linked = flow_insert_at(flow_claim(), key, entry);
    native = NULL;
    return linked == LINK_DONE ? 0 : -E2BIG;
}

/* ---- running ------------------------------------------------------------------------------------------------------------------- */

void pipeline_advance(struct pipeline *pipeline, uint64_t now_ns)
{
    __u32 zero = 0;

    native = &pipeline->native;
    native->result = NULL;
    struct sweeper *record = native_map_lookup(native_map(NATIVE_MAP_sweeper), &zero);
    /* Of a long time the last two rounds do: nothing but the sweeper happens meanwhile. */
    __u64 rounds_ns = (2 * native->sizes.n_flow_slots / SWEEP_STRETCH + 1) * SWEEP_TICK_NS;
    if (record->version && now_ns > rounds_ns && record->timer[0] < now_ns - rounds_ns)
        record->timer[0] = now_ns - rounds_ns;
    while (native->expire && record->version && record->timer[0] <= now_ns) {
        native->now_ns = record->timer[0];
        native->expire(native_map(NATIVE_MAP_sweeper), &zero, record);
    }
    native->now_ns = now_ns;
    native = NULL;
}

/* As the kernel's eth_type_trans(). */
static __u32 protocol_of(const uint8_t *bytes, uint32_t size)
{
    __u16 type = load16(bytes + 12);

    if (ntohs(type) >= ETH_P_802_3_MIN)
        return type;
    return htons(size >= 16 && load16(bytes + 14) == 0xffff ? ETH_P_802_3 : ETH_P_802_2);
}

/* Whose interface is it? */
static uint32_t port_of_interface(uint32_t ifindex)
{
    const struct native_map *ports = native_map(NATIVE_MAP_ports);

    for (uint32_t slot = 1; slot < ports->n_max; slot++) {
        uint32_t unused;
        const struct port_config *config = port_config_get(slot, &unused);
        if (ifindex && config->ifindex == ifindex)
            return slot;
    }
    return 0;
}

/* The host slot that a frame with outer headers goes to. */
static uint32_t host_of_frame(const struct native *world, const struct pipeline_output *output)
{
    const uint8_t *bytes = output->bytes;
    uint8_t local[16], remote[16];

    if (output->size >= TUNNEL_OVERHEAD_IPV4 + ETH_HLEN && load16(bytes + 12) == htons(ETH_P_IP)) {
        address_map_ipv4(local, load32(bytes + 26));
        address_map_ipv4(remote, load32(bytes + 30));
    } else if (output->size >= TUNNEL_OVERHEAD_IPV6 + ETH_HLEN && load16(bytes + 12) == htons(ETH_P_IPV6)) {
        memcpy(local, bytes + 22, 16);
        memcpy(remote, bytes + 38, 16);
    } else {
        return 0;
    }
    for (uint32_t slot = 1; slot < world->sizes.n_hosts; slot++) {
        const struct host_config *host = host_config_get(slot);
        if (host->ifindex == output->ifindex && memcmp(host->local, local, 16) == 0 && memcmp(host->remote, remote, 16) == 0)
            return slot;
    }
    return 0;
}

static bool result_has(const struct pipeline_result *result, enum pipeline_way way)
{
    for (size_t i = 0; i < result->n_outputs; i++)
        if (result->outputs[i].way == way)
            return true;
    return false;
}

/* Says who is behind each output, and what it all came to. */
static void judge(struct pipeline_result *result, uint32_t ifindex)
{
    const struct settings *settings = settings_get();
    const struct metadata_config *metadata = metadata_get();
    bool to_port = false, to_host = false, to_agent = false;

    for (size_t i = 0; i < result->n_outputs; i++) {
        struct pipeline_output *output = &result->outputs[i];
        if (output->way == PIPELINE_PUNT)
            continue;
        if (settings && output->ifindex == settings->tunnel_ifindex)
            to_host = true; /* On its way; pipeline_trace() follows. */
        else if (metadata && output->ifindex == metadata->ifindex)
            to_agent = true;
        else
            output->port_slot = port_of_interface(output->ifindex);
        if (!output->port_slot && !to_host && !to_agent)
            output->host_slot = host_of_frame(native, output);
        to_host |= output->host_slot != 0;
        to_port |= output->way != PIPELINE_CLONE && output->port_slot;
    }
    switch (result->action) {
    case TC_ACT_OK:
    case TC_ACT_UNSPEC:
        result->verdict = PIPELINE_PASSED;
        break;
    case TC_ACT_REDIRECT:
        result->verdict = to_agent                                         ? PIPELINE_PUNTED
                          : !to_port                                       ? to_host ? PIPELINE_TUNNELLED : PIPELINE_OUTSIDE
                          : native->redirect.way == PIPELINE_REDIRECT &&
                                    native->redirect.ifindex == ifindex ? PIPELINE_ANSWERED
                                                                         : PIPELINE_DELIVERED;
        break;
    case TC_ACT_STOLEN:
        result->verdict = result_has(result, PIPELINE_PUNT) ? PIPELINE_PUNTED : PIPELINE_FLOODED;
        break;
    default:
        result->verdict = PIPELINE_DROPPED;
    }
}

/* The counters tell which reason: every drop increments exactly one. */
static uint64_t drops_sum(enum drop_reason reason)
{
    const struct native_map *map = native_map(NATIVE_MAP_port_counters);
    const struct port_counters *counters = (const struct port_counters *)map->array;
    uint64_t sum = 0;

    for (uint32_t slot = 0; slot < map->n_max; slot++)
        sum += counters[slot].drops[reason];
    return sum;
}

static int run_program(enum pipeline_program program, struct __sk_buff *skb)
{
    switch (program) {
    case PIPELINE_FROM_WORKLOAD:
        return from_workload(skb);
    case PIPELINE_FROM_UNDERLAY:
        return from_underlay(skb);
    case PIPELINE_FROM_UPLINK:
        return from_uplink(skb);
    case PIPELINE_TO_TUNNEL:
        return to_tunnel(skb);
    case PIPELINE_THROUGH_NEIGHBOR:
        return through_neighbor(skb);
    case PIPELINE_FROM_METADATA:
        return from_metadata(skb);
    }
    return TC_ACT_SHOT;
}

int pipeline_run(struct pipeline *pipeline, enum pipeline_program program, const struct pipeline_frame *frame,
                 struct pipeline_result *ret)
{
    struct native_frame copy = {
        .skb = {
            .len = frame->size,
            .ifindex = frame->ifindex,
            .mark = frame->mark,
            .priority = frame->priority,
            .cb = {frame->control},
            .gso_size = frame->gso_size,
            .gso_segs = frame->gso_segs,
            .vlan_present = frame->vlan_present,
            .vlan_tci = frame->vlan_present ? frame->vlan : 0,
            .vlan_proto = frame->vlan_present ? htons(ETH_P_8021Q) : 0,
            .pkt_type = frame->not_for_host ? PACKET_OTHERHOST : PACKET_HOST,
        },
        .linear = frame->linear && frame->linear < frame->size ? frame->linear : frame->size,
        .gso_tcp = frame->gso_tcp,
        .checksum_partial = frame->checksum_partial,
    };
    struct pipeline_result result = {0};
    uint64_t before[N_DROP_REASONS];

    if (frame->size < ETH_HLEN)
        return -EINVAL;
    copy.bytes = malloc(frame->size);
    if (!copy.bytes)
        return -ENOMEM;
    memcpy(copy.bytes, frame->bytes, frame->size);
    copy.skb.protocol = protocol_of(copy.bytes, frame->size);

    native = &pipeline->native;
    native->result = &result;
    native->error = 0;
    native->has_redirect = false;
    for (int reason = 0; reason < N_DROP_REASONS; reason++)
        before[reason] = drops_sum(reason);
    result.action = run_program(program, &copy.skb);
    for (int reason = 0; reason < N_DROP_REASONS; reason++)
        if (drops_sum(reason) != before[reason])
            result.reason = reason;
    if (result.action == TC_ACT_REDIRECT && native->has_redirect) {
        struct pipeline_output *output = add_output(native->redirect.way, native->redirect.ifindex, copy.bytes, copy.skb.len);
        if (output) {
            output->mark = copy.skb.mark;
            output->priority = copy.skb.priority;
            output->control = copy.skb.cb[0];
            output->vlan = copy.skb.vlan_present ? copy.skb.vlan_tci : 0;
            memcpy(output->next_hop, native->redirect.next_hop, 16);
        }
    }
    judge(&result, frame->ifindex);
    result.bytes = copy.bytes;
    result.size = copy.skb.len;
    int error = native->error;
    native->result = NULL;
    native = NULL;
    if (error) {
        pipeline_result_clear(&result);
        return error;
    }
    *ret = result;
    return 0;
}

/* Runs what output 'index' of '*ret' meets at the tunnel device, and puts the outcome in its place. */
static int follow(struct pipeline *pipeline, struct pipeline_result *ret, size_t index)
{
    struct pipeline_output *output = &ret->outputs[index];
    struct pipeline_frame frame = {.bytes = output->bytes, .size = output->size, .ifindex = output->ifindex,
                                   .mark = output->mark, .priority = output->priority, .control = output->control};
    struct pipeline_result next;
    int error = pipeline_run(pipeline, output->way == PIPELINE_CLONE ? PIPELINE_TO_TUNNEL : PIPELINE_THROUGH_NEIGHBOR,
                             &frame, &next);

    if (error)
        return error;
    struct pipeline_step *steps = reallocarray(ret->steps, ret->n_steps + next.n_steps + 1, sizeof(*steps));
    if (!steps) {
        pipeline_result_clear(&next);
        return -ENOMEM;
    }
    ret->steps = steps;
    if (next.n_steps)
        memcpy(ret->steps + ret->n_steps, next.steps, next.n_steps * sizeof(*steps));
    ret->n_steps += next.n_steps;
    free(output->bytes);
    if (next.n_outputs) {
        *output = next.outputs[0];
        next.outputs[0].bytes = NULL;
    } else {
        memmove(output, output + 1, (--ret->n_outputs - index) * sizeof(*output));
    }
    pipeline_result_clear(&next);
    return 0;
}

int pipeline_trace(struct pipeline *pipeline, enum pipeline_program program, const struct pipeline_frame *frame,
                   struct pipeline_result *ret)
{
    const uint32_t zero = 0;
    const struct settings *settings = pipeline_lookup(pipeline, "settings", &zero);
    struct pipeline_result result;
    int error = pipeline_run(pipeline, program, frame, &result);

    if (error)
        return error;
    for (size_t i = 0; i < result.n_outputs && !error;) {
        size_t n_before = result.n_outputs;
        if (result.outputs[i].way == PIPELINE_PUNT || result.outputs[i].host_slot || result.outputs[i].port_slot ||
            result.outputs[i].ifindex != settings->tunnel_ifindex) {
            i++;
            continue;
        }
        enum pipeline_way way = result.outputs[i].way;
        error = follow(pipeline, &result, i);
        /* A copy may go through the device twice: out with a header, then to the neighbor.  Never more. */
        if (!error && result.n_outputs == n_before && (way != PIPELINE_CLONE ||
                                                       result.outputs[i].way != PIPELINE_REDIRECT_INGRESS))
            i++;
    }
    if (error) {
        pipeline_result_clear(&result);
        return error;
    }
    *ret = result;
    return 0;
}

void pipeline_result_clear(struct pipeline_result *result)
{
    for (size_t i = 0; i < result->n_outputs; i++)
        free(result->outputs[i].bytes);
    free(result->outputs);
    free(result->steps);
    free(result->verdicts);
    free(result->bytes);
    *result = (struct pipeline_result){0};
}

const char *pipeline_verdict_name(enum pipeline_verdict verdict)
{
    static const char *const names[] = {
        [PIPELINE_PASSED] = "passed",       [PIPELINE_DROPPED] = "dropped", [PIPELINE_DELIVERED] = "delivered",
        [PIPELINE_TUNNELLED] = "tunnelled", [PIPELINE_FLOODED] = "flooded", [PIPELINE_PUNTED] = "punted",
        [PIPELINE_ANSWERED] = "answered",   [PIPELINE_OUTSIDE] = "sent outside",
    };

    return names[verdict];
}

const char *pipeline_stage_name(unsigned stage)
{
    return stage < N_STAGES ? stage_names[stage] : NULL;
}

bool pipeline_stage_reached(const char *stage)
{
    for (size_t i = 0; i < N_STAGES; i++)
        if (streq(stage_names[i], stage))
            return stages_reached[i];
    return false;
}
