/* Conversations across an external network (tests/bpf/fixture-external.h), frame by frame: what each program makes of it.  What comes out is
 * compared with a frame whose checksums were computed from scratch. */
#ifndef WEFT_TESTS_CONVERSATION_H
#define WEFT_TESTS_CONVERSATION_H

#include "fixture-external.h"

#define OUTSIDE 100 /* As a place: the uplink, untagged; + N: in VLAN N. */
#define TUNNEL 0    /* Host 1, by the underlay. */

extern struct pipeline *pipeline;
extern struct pipeline_frame with; /* What is special about the next frame. */
extern struct pipeline_result result;
extern uint16_t chosen;            /* The port that SNAT chose last. */

int set_up(void **state);
int tear_down(void **state);

/* A frame's text with numbers in it; good for three more calls. */
const char *frame_text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Sends a frame from a port's workload, from outside, or from host 1. */
void say(uint32_t place, const char *text);

void expect_verdict(enum pipeline_verdict verdict);
void expect_bytes(const uint8_t *bytes, uint32_t size, const char *text);
void expect_port(uint32_t slot, const char *text); /* NULL: whatever it is. */
void expect_host(uint32_t slot, const char *text); /* What the host gets inside of the tunnel. */
void expect_outside(uint32_t vlan, const char *text);
void expect_translation(const char *text);         /* What 'weft trace' tells of one. */
void expect_drop(enum drop_reason reason);
void expect_passed(const char *text);
const struct punt_event *expect_punt(enum punt_reason reason);

uint16_t chosen_port(void); /* What SNAT made of the source port, or of an echo's identifier. */
uint32_t n_entries(const char *table);
uint64_t names_of(uint32_t router_port);
void all_connections_end(void);
void change_epoch(uint32_t slot);
uint32_t ipv4(const char *text);

#endif
