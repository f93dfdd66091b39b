/* Packet cases of load balancers: see cases.h.  Conversations are in test_balancing.c. */
#include <arpa/inet.h>

#include "cases.h"
#include "fixture-balancing.h"
#include "weft/base/util.h"

static void balancing(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    fixture_balancing(pipeline);
}

static void limit_reached(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    const uint32_t listener = 12;

    balancing(pipeline, frame);
    ((struct service_use *)pipeline_lookup(pipeline, "listener_use", &listener))->n_connections = 2;
}

static void no_share(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    struct service_key key = {.vni = 7, .port = htons(91), .protocol = IPPROTO_TCP};
    struct service_value *service;

    balancing(pipeline, frame);
    frame_address("10.0.0.200", key.address);
    service = pipeline_lookup(pipeline, "services", &key);
    service->limit = 0;
    service->flags |= SERVICE_FULL;
}

/* B is connected to H by the balancer. */
static void in_use(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    struct frame first;
    struct pipeline_result result;

    balancing(pipeline, frame);
    frame_parse("B>L ip 10.0.0.2>10.0.0.200 udp 4000>84 +9", &first);
    if (pipeline_trace(pipeline, PIPELINE_FROM_WORKLOAD, &(struct pipeline_frame){.bytes = first.bytes, .size = first.size, .ifindex = 102}, &result) == 0)
        pipeline_result_clear(&result);
    fixture_counters(pipeline, 2)->tx_packets = 0;
}

const struct packet_case balancing_cases[] = {
    {"balanced_to_a_local_member", 1, "A>L ip 10.0.0.1>10.0.0.200 udp 1>81 +20", TO_PORT(2), .out = "L>B ip 10.0.0.1>10.0.0.2 udp 1>8080 +20", .arrange = balancing},
    {"balanced_to_a_host", 1, "A>L ip6 fd01::1>fd01::200 tcp 1>82 S", TO_HOST(1), .out = "A>02:ab:70:00:00:07 ip6 fd01::1>fd01::200 tcp 1>82 S", .arrange = balancing},
    {"balanced_from_a_host", 0, "outer 192.0.2.2>192.0.2.1 7 2/0/5 M>02:ab:70:00:00:01 ip 10.0.0.101>10.0.0.200 udp 1>81 +20", TO_PORT(2),
     .out = "L>B ip 10.0.0.101>10.0.0.2 udp 1>8080 +20", .arrange = balancing},
    {"balancer_answers_echo", 1, "A>L ip 10.0.0.1>10.0.0.200 icmp 8 7", ANSWERS, .out = "L>A ip 10.0.0.200>10.0.0.1 icmp 0 7", .arrange = balancing},
    {"nothing_listens", 1, "A>L ip 10.0.0.1>10.0.0.200 tcp 1>99 S", DROPS(service_no_listener, 1), .n_outputs = 1, .arrange = balancing},
    {"nobody_serves", 1, "A>L ip 10.0.0.1>10.0.0.200 tcp 1>86 S", DROPS(service_no_member, 1), .n_outputs = 1, .arrange = balancing},
    {"not_everybody_may_call", 1, "A>L ip 10.0.0.1>10.0.0.200 tcp 1>87 S", DROPS(service_denied, 1), .arrange = balancing},
    {"too_many_connections", 1, "A>L ip 10.0.0.1>10.0.0.200 tcp 1>91 S", DROPS(service_limit, 1), .n_outputs = 1, .arrange = limit_reached},
    {"no_share_of_a_limit", 1, "A>L ip 10.0.0.1>10.0.0.200 tcp 1>91 S", DROPS(service_limit, 1), .n_outputs = 1, .arrange = no_share},
    {"a_member_that_is_not_here", 0, "outer 192.0.2.2>192.0.2.1 7 2/0/5 M>02:ab:70:00:00:02 ip 10.0.0.101>10.0.0.200 udp 1>82 +20", DROPS(member_gone, 0),
     .arrange = balancing},
    {"the_port_is_a_balanced_connections", 2, "B>H ip 10.0.0.2>10.0.0.8 udp 4000>8080 +9", DROPS(member_busy, 8), .arrange = in_use},
};
const size_t n_balancing_cases = ARRAY_SIZE(balancing_cases);
