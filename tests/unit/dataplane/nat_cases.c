/* Packet cases of translation: see cases.h.  Conversations are in test_nat.c. */
#include "cases.h"
#include "fixture-external.h"
#include "weft/base/util.h"

static void external(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    fixture_external(pipeline);
}

static void no_blocks(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    const uint32_t gateway = 5;

    external(pipeline, frame);
    ((struct snat_config *)pipeline_lookup(pipeline, "snat", &gateway))->n_blocks = 0;
}

static void no_way_out(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    external(pipeline, frame);
    pipeline_delete(pipeline, "uplinks", &(struct uplink_key){UPLINK_BY_VNI, 20});
    pipeline_delete(pipeline, "gateways", &(struct flood_key){20, GATEWAYS_FACTS});
}

/* The connection has its name by a floating IP that is another's now. */
static void another_floating_ip(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    struct pipeline_result result;
    struct pipeline_frame first = *frame;
    const uint32_t slot = 2;

    external(pipeline, frame);
    if (pipeline_run(pipeline, PIPELINE_FROM_WORKLOAD, &first, &result) == 0)
        pipeline_result_clear(&result);
    memset(fixture_counters(pipeline, slot), 0, sizeof(struct port_counters));
    fixture_floating(pipeline, 2, "10.0.0.2", "203.0.113.15", 5, 0x115);
    ((struct port_record *)pipeline_lookup(pipeline, "ports", &slot))->epoch++;
}

const struct packet_case nat_cases[] = {
    {"an_outsider_in_our_name", 0, "outer 192.0.2.2>192.0.2.1 20 0 x>02:57:45:46:54:00 ip 10.0.0.1>203.0.113.12 udp 1>2", DROPS(reverse_path, 0),
     .arrange = external},
    {"a_floating_ip_leaves_by_the_uplink", 2, "B>R ip 10.0.0.2>192.0.2.200 udp 1>2 +9", .verdict = PIPELINE_OUTSIDE, .arrange = external,
     .out = "u>x ip 203.0.113.12>192.0.2.200 ttl=63 udp 1>2 +9"},
    {"icmp_without_an_identifier", 1, "A>R ip 10.0.0.1>192.0.2.200 icmp 13 1 +12", DROPS(untranslatable, 1), .arrange = external},
    {"no_ports_are_left", 1, "A>R ip 10.0.0.1>192.0.2.200 udp 1>2", DROPS(snat_exhausted, 1), .arrange = no_blocks},
    {"the_floating_ip_is_anothers", 2, "B>R ip 10.0.0.2>192.0.2.200 udp 1>2", DROPS(translation_gone, 2), .arrange = another_floating_ip},
    {"an_error_about_no_connection", 1, "A>R ip 10.0.0.1>192.0.2.200 icmp 3 0 quote ip 192.0.2.200>10.0.0.1 udp 1>2",
     DROPS(unknown_translation, 1), .arrange = external},
    {"no_uplink_and_no_gateway", 1, "A>R ip 10.0.0.1>192.0.2.200 udp 1>2", DROPS(no_uplink, 1), .arrange = no_way_out},
};
const size_t n_nat_cases = ARRAY_SIZE(nat_cases);
