/* Frames from hostile workloads and hostile networks: any bytes, at any port, from any host, over any state of the small world
 * of tests/bpf/fixture.h.  An input is a list of records:
 *
 *   1 byte   what: bits 0-1 the program, bit 2 a tag in the metadata, bit 3 GSO, bit 4 a short linear part, bit 5 time passes,
 *            bit 6 flags of a port and a router port change, bit 7 the network is on nine other hosts
 *   1 byte   where: the interface (or, for to_tunnel, the host); bit 7 makes the last program from_uplink, bit 6 alone from_metadata
 *   2 bytes  the frame's size, then the frame
 *
 * Beyond memory errors it must hold that: a frame of a workload is never left to the host's own stack; nothing that came by
 * tunnel leaves by one, but what is to be passed on, and that with one hop more; no frame gets to a port of a network that no router joins to the sender's; every drop is counted under exactly one reason. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <linux/pkt_cls.h>

#include "fixture-external.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                                   \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            abort();                                                                                         \
    } while (0)

static uint64_t total_drops(struct pipeline *pipeline)
{
    uint64_t sum = 0;

    for (uint32_t slot = 0; slot < 16; slot++)
        for (int reason = 0; reason < MAX_DROP_REASONS; reason++)
            sum += fixture_counters(pipeline, slot)->drops[reason];
    return sum;
}

/* The last byte of the tunnel's header: kind and hops. */
static uint8_t last_of_header(const uint8_t *bytes, uint32_t size)
{
    uint32_t at = bytes[12] == 0x08 ? TUNNEL_OVERHEAD_IPV4 - 1 : TUNNEL_OVERHEAD_IPV6 - 1;

    return at < size ? bytes[at] : 0;
}

static void check_passed_on(const struct pipeline_frame *frame, const struct pipeline_output *output)
{
    uint8_t before = last_of_header(frame->bytes, frame->size), after = last_of_header(output->bytes, output->size);

    REQUIRE(before >> 4 == TUNNEL_RELAYED && (before & 15) < FLOOD_MAX_HOPS);
    REQUIRE((after >> 4 == TUNNEL_RELAYED || after >> 4 == TUNNEL_FLOOD) && (after & 15) == (before & 15) + 1);
}

/* By the fixture's routers. */
static bool is_joined(uint32_t vni)
{
    return vni == 7 || vni == 10 || vni == 11;
}

/* By an external network every tenant's workloads may reach others, but only by their names there. */
static bool is_translated(const struct pipeline_result *result)
{
    for (size_t i = 0; i < result->n_steps; i++)
        if (strcmp(result->steps[i].stage, "translate") == 0)
            return true;
    return false;
}

static void check(struct pipeline *pipeline, enum pipeline_program program, const struct pipeline_frame *frame,
                  const struct pipeline_result *result, uint64_t n_drops)
{
    uint32_t sender = program == PIPELINE_FROM_WORKLOAD && frame->ifindex > 100 && frame->ifindex < 113 ? frame->ifindex - 100 : 0;

    if (program == PIPELINE_FROM_WORKLOAD)
        REQUIRE(result->action != TC_ACT_OK);
    if (program != PIPELINE_TO_TUNNEL && program != PIPELINE_THROUGH_NEIGHBOR && program != PIPELINE_FROM_METADATA && result->action == TC_ACT_SHOT)
        REQUIRE(n_drops == 1);
    for (size_t i = 0; i < result->n_outputs; i++) {
        const struct pipeline_output *output = &result->outputs[i];
        if (program == PIPELINE_FROM_UNDERLAY && output->way != PIPELINE_PUNT && output->host_slot)
            check_passed_on(frame, output);
        if (sender && output->port_slot) {
            uint32_t from = fixture_port(pipeline, sender)->vni, to = fixture_port(pipeline, output->port_slot)->vni;
            REQUIRE(from == to || (is_joined(from) && is_joined(to)) || is_translated(result));
        }
    }
}

/* A bit of the port's flags, or the next to them: another security group.  The port's connections are judged again. */
static void change_port(struct pipeline *pipeline, uint32_t slot, uint32_t flag)
{
    fixture_port(pipeline, slot)->flags ^= flag & 0x1ff;
    if (flag & ~0x1ffu)
        fixture_policy(pipeline, slot, flag & 0x200 ? FIXTURE_ALLOW_ALL : 0, flag & 0x400 ? FIXTURE_ALLOW_ALL : 0);
    ((struct port_record *)pipeline_lookup(pipeline, "ports", &slot))->epoch++;
}

static void run_one(struct pipeline *pipeline, uint8_t what, uint8_t where, const uint8_t *bytes, uint32_t size)
{
    bool is_last = (what & 3) == PIPELINE_THROUGH_NEIGHBOR;
    enum pipeline_program program = is_last && where & 128 ? PIPELINE_FROM_UPLINK : is_last && where & 64 ? PIPELINE_FROM_METADATA : what & 3;
    struct pipeline_frame frame = {.bytes = bytes, .size = size, .vlan_present = what & 4, .gso_size = what & 8 ? 1 + where * 8 : 0,
                                   .gso_segs = what & 8 ? where % 3 : 0, .gso_tcp = where & 1, .linear = what & 16 ? 14 + where % 64 : 0};
    struct pipeline_result result;
    uint64_t before = total_drops(pipeline);

    if (what & 128)
        fixture_nine_hosts(pipeline);
    if (what & 64) {
        change_port(pipeline, 1 + where % 8, 1u << (where >> 3));
        fixture_router_port(pipeline, 1 + where % 4)->flags ^= ROUTER_PORT_UP << (where >> 3 & 1);
    }
    switch (program) {
    case PIPELINE_FROM_WORKLOAD:
        frame.ifindex = 100 + where % 13;
        break;
    case PIPELINE_FROM_UNDERLAY:
        frame.ifindex = UNDERLAY_IFINDEX;
        frame.not_for_host = where == 255;
        break;
    case PIPELINE_FROM_UPLINK:
        frame.ifindex = UPLINK_IFINDEX;
        frame.vlan = where & 64 ? 5 : 0;
        break;
    case PIPELINE_FROM_METADATA:
        frame.ifindex = METADATA_IFINDEX;
        break;
    default:
        frame.ifindex = TUNNEL_IFINDEX;
        frame.mark = 0x57e00000 | (where & 7);
        frame.priority = 7 + (where >> 6);
        frame.control = TUNNEL_WORD(where & 8 ? TUNNEL_RELAYED : TUNNEL_FLOOD, where >> 4, where * 4099);
    }
    if (pipeline_trace(pipeline, program, &frame, &result))
        return;
    check(pipeline, program, &frame, &result, total_drops(pipeline) - before);
    pipeline_result_clear(&result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pipeline *pipeline; /* Emptied for each input: making it is most of the work. */
    uint64_t now_ns = 1000000000;

    if (!pipeline)
        pipeline = fixture_new();
    pipeline_clear(pipeline, NULL);
    fixture_fill(pipeline);
    fixture_external(pipeline);
    pipeline_advance(pipeline, now_ns);
    for (int n = 0; n < 8 && size >= 4; n++) {
        uint8_t what = data[0], where = data[1];
        uint32_t length = (data[2] | data[3] << 8) % 2048;
        data += 4;
        size -= 4;
        if (length > size)
            length = size;
        if (what & 32)
            pipeline_advance(pipeline, now_ns += 40000000000ull);
        run_one(pipeline, what, where, data, length);
        data += length;
        size -= length;
    }
    return 0;
}
