/* Packet cases: a frame into the world of tests/bpf/fixture.h; verdict, reason, and the frame out.  test_pipeline.c runs all tables. */
#ifndef WEFT_TESTS_CASES_H
#define WEFT_TESTS_CASES_H

#include "fixture.h"

struct packet_case {
    const char *name;
    uint32_t port;          /* The sending port's slot; 0: arrives at the underlay. */
    const char *frame;
    enum pipeline_verdict verdict;
    enum drop_reason reason;
    uint32_t at;            /* Whose counter has the drop, or which port or host gets the frame. */
    const char *out;        /* What the receiver gets (a tunnelled frame is compared from its inner Ethernet header on). */
    uint32_t n_outputs;     /* Of a flood. */
    bool by_metadata;       /* Leaves the metadata device, instead of arriving at the underlay. */
    void (*arrange)(struct pipeline *pipeline, struct pipeline_frame *frame);
};

#define DROPS(why, slot) .verdict = PIPELINE_DROPPED, .reason = DROP_##why, .at = slot
#define TO_PORT(slot) .verdict = PIPELINE_DELIVERED, .at = slot
#define TO_HOST(slot) .verdict = PIPELINE_TUNNELLED, .at = slot
#define FLOODS(n) .verdict = PIPELINE_FLOODED, .n_outputs = n
#define PUNTS .verdict = PIPELINE_PUNTED
#define ANSWERS .verdict = PIPELINE_ANSWERED

extern const struct packet_case routing_cases[];
extern const size_t n_routing_cases;
extern const struct packet_case nat_cases[];
extern const size_t n_nat_cases;
extern const struct packet_case balancing_cases[];
extern const size_t n_balancing_cases;

#endif
