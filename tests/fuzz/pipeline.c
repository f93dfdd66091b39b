/* Frames from hostile workloads and hostile networks: any bytes, at any port, from any host, over any state of the small world
 * of tests/bpf/fixture.h.  An input is a list of records:
 *
 *   1 byte   what: bits 0-1 the program, bit 2 a tag in the metadata, bit 3 GSO, bit 4 a short linear part, bit 5 time passes,
 *            bit 6 flags of a port and a router port change, or its firewall, or whether a member is up, bit 7 the network is on nine other hosts
 *   1 byte   where: the interface (or, for to_tunnel, the host); bit 7 makes the last program from_uplink, bit 6 alone from_metadata
 *   2 bytes  the frame's size, then the frame
 *
 * Beyond memory errors it must hold that: a frame of a workload is never left to the host's own stack; nothing that came by
 * tunnel leaves by one, but what is to be passed on, and that with one hop more; a frame gets to another network only by routers that
 * join the two, by a load balancer, or by an external network and a name there; what leaves to an external network is called by such a name, unless
 * it answers somebody who was there without; every drop is counted under exactly one reason. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <linux/in.h>
#include <linux/pkt_cls.h>

#include "fixture-balancing.h"
#include "fixture-external.h"
#include "weft/base/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EXTERNAL_VNI 20 /* The fixture's with names; 21 has nobody. */

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

/* Of a frame with a tunnel's header. */
static uint32_t header_end(const uint8_t *bytes)
{
    return bytes[12] == 0x08 ? TUNNEL_OVERHEAD_IPV4 : TUNNEL_OVERHEAD_IPV6;
}

static uint32_t header_vni(const uint8_t *bytes)
{
    const uint8_t *vni = bytes + header_end(bytes) - 4;

    return vni[0] << 16 | vni[1] << 8 | vni[2];
}

/* The header's last byte. */
static uint8_t kind_and_hops(const uint8_t *bytes)
{
    return bytes[header_end(bytes) - 1];
}

static void check_passed_on(const struct pipeline_frame *frame, const struct pipeline_output *output)
{
    static const uint8_t outside_mac[] = OUTSIDE_MAC_BYTES;
    uint8_t before = kind_and_hops(frame->bytes), after = kind_and_hops(output->bytes);

    REQUIRE(header_vni(output->bytes) == header_vni(frame->bytes));
    if (before >> 4 == TUNNEL_UNICAST) {
        /* For an address on an external network, to the host that has it; that is the last one. */
        REQUIRE(header_vni(frame->bytes) == EXTERNAL_VNI && before == (TUNNEL_UNICAST << 4 | 0) && after == (TUNNEL_UNICAST << 4 | 1));
        REQUIRE(memcmp((const uint8_t *)frame->bytes + header_end(frame->bytes), outside_mac, 6) == 0);
        REQUIRE(memcmp(output->bytes + header_end(output->bytes), outside_mac, 6) == 0);
        return;
    }
    REQUIRE(before >> 4 == TUNNEL_RELAYED && (before & 15) < FLOOD_MAX_HOPS);
    REQUIRE((after >> 4 == TUNNEL_RELAYED || after >> 4 == TUNNEL_FLOOD) && (after & 15) == (before & 15) + 1);
}

/* By the fixture's routers, and no external network between. */
static bool is_joined(uint32_t vni)
{
    return vni == 7 || vni == 10 || vni == 11;
}

/* To the external network. */
static bool has_gateway(uint32_t vni)
{
    return is_joined(vni) || vni == 8;
}

static bool is_translated(const struct pipeline_result *result, const char *how)
{
    for (size_t i = 0; i < result->n_steps; i++)
        if (strcmp(result->steps[i].stage, "translate") == 0 && strncmp(result->steps[i].text, how, strlen(how)) == 0)
            return true;
    return false;
}

/* A load balancer's client, or what goes to one. */
static bool is_balanced(const struct pipeline_result *result)
{
    for (size_t i = 0; i < result->n_steps; i++)
        if (strcmp(result->steps[i].stage, "balance") == 0)
            return true;
    return false;
}

struct caller_search {
    struct flow_key key; /* What the workload sends. */
    bool is_found;
};

static void look_for_caller(void *key_of_entry, void *value, void *context)
{
    const struct flow_key *key = key_of_entry;
    const struct flow_entry *entry = value;
    struct caller_search *search = context;
    bool is_icmp = search->key.owner >> 24 == IPPROTO_ICMP; /* Maybe an error about a connection of another protocol. */

    if ((key->owner & 0xffff) == (search->key.owner & 0xffff) && key->local == search->key.local &&
        (is_icmp || (key->owner == search->key.owner && key->remote == search->key.remote)) &&
        !(entry->flags & (FLOW_LOCAL_STARTED | FLOW_TRANSLATED)))
        search->is_found = true;
}

/* Somebody reached the port's workload by its own address, and the frame may be an answer. */
static bool was_reached(struct pipeline *pipeline, uint32_t slot, const struct pipeline_frame *frame)
{
    const uint8_t *header = (const uint8_t *)frame->bytes + 14;
    struct caller_search search = {.key.owner = slot};

    if (frame->size < 34)
        return false;
    search.key.owner |= (uint32_t)header[9] << 24;
    memcpy(&search.key.local, header + 12, 4);
    memcpy(&search.key.remote, header + 16, 4);
    pipeline_visit(pipeline, "connections", look_for_caller, &search);
    return search.is_found;
}

/* May the frame of the port 'sender' have come from its network to another? */
static void check_networks(struct pipeline *pipeline, uint32_t sender, const struct pipeline_frame *frame, const struct pipeline_result *result,
                           uint32_t to)
{
    uint32_t from = fixture_port(pipeline, sender)->vni;
    const uint8_t *bytes = frame->bytes;

    if (from == to || (is_joined(from) && is_joined(to)))
        return;
    if (to == EXTERNAL_VNI)
        REQUIRE(has_gateway(from) && (bytes[12] == 0x86 || is_translated(result, "leaves as ") || is_balanced(result) ||
                                         was_reached(pipeline, sender, frame)));
    else
        REQUIRE(has_gateway(to) && (from == EXTERNAL_VNI || (has_gateway(from) && (is_translated(result, "arrives as ") || is_balanced(result)))));
}

static void check_output(struct pipeline *pipeline, enum pipeline_program program, const struct pipeline_frame *frame,
                         const struct pipeline_result *result, const struct pipeline_output *output)
{
    bool is_workload = program == PIPELINE_FROM_WORKLOAD && frame->ifindex > 100 && frame->ifindex < 113;
    bool is_uplink = program == PIPELINE_FROM_UPLINK, is_underlay = program == PIPELINE_FROM_UNDERLAY;
    uint32_t to;

    if (output->way == PIPELINE_PUNT || !(output->port_slot || output->host_slot))
        return;
    to = output->port_slot ? fixture_port(pipeline, output->port_slot)->vni : header_vni(output->bytes);
    if (is_workload)
        check_networks(pipeline, frame->ifindex - 100, frame, result, to);
    if (is_underlay && output->host_slot)
        check_passed_on(frame, output);
    if (is_underlay && output->port_slot && kind_and_hops(frame->bytes) >> 4 == TUNNEL_DIRECT_RETURN) {
        REQUIRE(has_gateway(to) || to == EXTERNAL_VNI); /* Between a load balancer's clients and members: the header says the client's network. */
    } else if ((is_underlay || is_uplink) && output->port_slot) {
        uint32_t from = is_underlay ? header_vni(frame->bytes) : EXTERNAL_VNI;
        REQUIRE(from == to || (from == EXTERNAL_VNI && is_joined(to) && is_balanced(result)) ||
                (from == EXTERNAL_VNI && has_gateway(to) && is_translated(result, "arrives as ")));
    }
    if (is_uplink && output->host_slot)
        REQUIRE(to == EXTERNAL_VNI);
}

static void check(struct pipeline *pipeline, enum pipeline_program program, const struct pipeline_frame *frame,
                  const struct pipeline_result *result, uint64_t n_drops)
{
    if (program == PIPELINE_FROM_WORKLOAD)
        REQUIRE(result->action != TC_ACT_OK);
    if (program != PIPELINE_TO_TUNNEL && program != PIPELINE_THROUGH_NEIGHBOR && program != PIPELINE_FROM_METADATA && result->action == TC_ACT_SHOT)
        REQUIRE(n_drops == 1);
    for (size_t i = 0; i < result->n_outputs; i++)
        check_output(pipeline, program, frame, result, &result->outputs[i]);
}

/* A bit of the port's flags, or the next to them: another security group.  The port's connections are judged again. */
static void change_port(struct pipeline *pipeline, uint32_t slot, uint32_t flag)
{
    fixture_port(pipeline, slot)->flags ^= (flag & 0x1ff) | (flag & 0x800 ? PORT_MEMBER : 0);
    if (flag & ~0x1ffu)
        fixture_policy(pipeline, slot, flag & 0x200 ? FIXTURE_ALLOW_ALL : 0, flag & 0x400 ? FIXTURE_ALLOW_ALL : 0);
    ((struct port_record *)pipeline_lookup(pipeline, "ports", &slot))->epoch++;
}

#define FIRST_FIREWALL 12 /* Flags of a port are before. */
#define CHANGE_MEMBER 31  /* A load balancer's: its connections end. */

/* Another policy at the router port; all ports know that routers have some, and are judged again. */
static void change_firewall(struct pipeline *pipeline, uint32_t number, uint32_t direction, uint32_t set)
{
    fixture_router_port(pipeline, number)->rule_set[direction] = set;
    for (uint32_t slot = 1; slot < 13; slot++) {
        fixture_port(pipeline, slot)->flags |= PORT_ROUTER_FIREWALL;
        ((struct port_record *)pipeline_lookup(pipeline, "ports", &slot))->epoch++;
    }
}

/* Set 1: UDP, by the second block; 2: rejects; 3: IPv6 from anywhere to fd01::/64, and TCP to port 80; 4 is not there. */
static void add_firewalls(struct pipeline *pipeline)
{
    struct firewall_rule_row many[FIREWALL_RULES_PER_BLOCK + 1] = {0};
    struct firewall_rule_row reject = {.flags = RULE_IPV4 | RULE_IPV6, .verdict = FIREWALL_REJECTS, .number = 7};
    struct firewall_rule_row some[] = {
        {.flags = RULE_IPV6, .destination = {0xfd, 0x01}, .destination_length = 64, .verdict = FIREWALL_PASSES, .number = 8},
        {.flags = RULE_IPV4 | RULE_PROTOCOL | FIREWALL_DESTINATION_PORTS, .protocol = IPPROTO_TCP, .destination_min = 80, .destination_max = 80,
         .verdict = FIREWALL_PASSES, .number = 9}};

    for (uint32_t i = 0; i <= FIREWALL_RULES_PER_BLOCK; i++)
        many[i] = (struct firewall_rule_row){.flags = RULE_IPV4 | RULE_PROTOCOL | FIREWALL_SOURCE_PORTS, .protocol = IPPROTO_TCP, .source_min = 5,
                                             .source_max = 5, .verdict = FIREWALL_DENIES, .number = i + 1};
    many[FIREWALL_RULES_PER_BLOCK] = (struct firewall_rule_row){.flags = RULE_IPV4 | RULE_PROTOCOL, .protocol = IPPROTO_UDP, .verdict = FIREWALL_PASSES};
    fixture_firewall(pipeline, 1, many, FIREWALL_RULES_PER_BLOCK + 1);
    fixture_firewall(pipeline, 2, &reject, 1);
    fixture_firewall(pipeline, 3, some, 2);
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
    if (what & 64 && where >> 3 == CHANGE_MEMBER) {
        fixture_member(pipeline, 1 + where % 8)->flags ^= SERVICE_MEMBER_UP;
    } else if (what & 64 && where >> 3 >= FIRST_FIREWALL) {
        change_firewall(pipeline, 1 + where % 4, where >> 3 & 1, 1 + (where >> 4) % 4);
    } else if (what & 64) {
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
    static const uint32_t member_slots[] = {1, 2, 8, 11}; /* As the compiler does it. */
    static struct pipeline *pipeline; /* Emptied for each input: making it is most of the work. */
    uint64_t now_ns = 1000000000;

    if (!pipeline)
        pipeline = fixture_new();
    pipeline_clear(pipeline, NULL);
    fixture_fill(pipeline);
    fixture_external(pipeline);
    fixture_balancing(pipeline);
    fixture_balancing_outside(pipeline);
    fixture_balancing_vip(pipeline);
    for (size_t i = 0; i < ARRAY_SIZE(member_slots); i++)
        fixture_port(pipeline, member_slots[i])->flags |= PORT_MEMBER;
    add_firewalls(pipeline);
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
