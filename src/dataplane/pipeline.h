/* The data plane's pipeline, natively: the code of bpf/ over tables in memory.  For unit tests, fuzzing, the differential
 * test, and for 'weft trace', which fills it with a copy of the live tables and runs one frame.  Nothing here touches
 * the kernel.  Single-threaded, but any number of pipelines.
 *
 *     pipeline_new(&(struct pipeline_sizes){64, 64, 64}, &pipeline);
 *     pipeline_update(pipeline, "ports", &slot, &record);   keys and values as in tables.h; the names of its list of maps
 *     ...
 *     struct pipeline_result result;
 *     pipeline_trace(pipeline, PIPELINE_FROM_WORKLOAD, &frame, &result);
 *     ... result.verdict, result.reason, result.steps, result.outputs
 *     pipeline_result_clear(&result);
 */
#ifndef WEFT_DATAPLANE_PIPELINE_H
#define WEFT_DATAPLANE_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weft/base/cleanup.h"
#include "weft/dataplane/tables.h"

struct pipeline;

struct pipeline_sizes {
    uint32_t n_ports, n_hosts, n_projects; /* Of the arrays; 0: the defaults of tables.h. */
    uint32_t n_flow_slots;                 /* A power of two. */
    uint32_t n_router_ports;
};

/* Returns 0 or -ENOMEM. */
int pipeline_new(const struct pipeline_sizes *sizes, struct pipeline **ret_pipeline);
void pipeline_free(struct pipeline *pipeline);
DEFINE_CLEANUP(struct pipeline *, pipeline_free);

/* ---- tables: by the map's name in tables.h; 'connections' by key --------------------------------------------------------- */

/* Return 0 or -errno: -ENOENT (no such table or key), -E2BIG (full), -ENOMEM, -EINVAL (an array's element cannot be deleted). */
int pipeline_update(struct pipeline *pipeline, const char *table, const void *key, const void *value);
int pipeline_delete(struct pipeline *pipeline, const char *table, const void *key);
void *pipeline_lookup(const struct pipeline *pipeline, const char *table, const void *key); /* In place; NULL: none. */

/* Sizes in bytes.  Returns 0, or -ENOENT when there is no such table. */
int pipeline_table(const struct pipeline *pipeline, const char *table, size_t *ret_key_size, size_t *ret_value_size,
                   uint32_t *ret_n_entries);
void pipeline_clear(struct pipeline *pipeline, const char *table); /* NULL: all tables. */

/* 'connections' as the array that it is. */
struct flow_entry *pipeline_places(struct pipeline *pipeline);

/* Visits every entry of a hash or of 'sources', in no order; 'visit' may delete the visited one. */
void pipeline_visit(struct pipeline *pipeline, const char *table, void (*visit)(void *key, void *value, void *context),
                    void *context);

/* ---- time: stands still until told ------------------------------------------------------------------------------------ */

/* Sets CLOCK_MONOTONIC and runs the sweeper of connection entries as often as it is due until then.  Starts at 1 s. */
void pipeline_advance(struct pipeline *pipeline, uint64_t now_ns);

/* How many more events the ring buffer has room for; unlimited until set. */
void pipeline_set_punt_space(struct pipeline *pipeline, uint32_t n_events);

/* ---- running one frame --------------------------------------------------------------------------------------------------- */

enum pipeline_program { PIPELINE_FROM_WORKLOAD, PIPELINE_FROM_UNDERLAY, PIPELINE_TO_TUNNEL, PIPELINE_THROUGH_NEIGHBOR,
                        PIPELINE_FROM_UPLINK, PIPELINE_FROM_METADATA };

struct pipeline_frame {
    const void *bytes;     /* From the destination MAC on; borrowed. */
    uint32_t size;         /* At least 14, as on any Ethernet device. */
    uint32_t ifindex;      /* Where it arrived. */
    uint32_t mark, priority, control; /* 'control' is skb->cb[0]. */
    uint32_t gso_size, gso_segs; /* Of a frame that is yet to be cut. */
    bool gso_tcp;
    uint32_t linear;       /* Bytes that the kernel has in one piece; 0: all. */
    bool vlan_present;     /* A tag is in the metadata: 'vlan'. */
    uint16_t vlan;
    bool checksum_partial; /* TCP's or UDP's is to be finished by the device: the field has the sum of the pseudo header. */
    bool not_for_host;     /* The destination MAC is not the device's: skb->pkt_type is not PACKET_HOST. */
};

enum pipeline_verdict {
    PIPELINE_PASSED,    /* Left to the host's own stack: only from_underlay and from_uplink do that. */
    PIPELINE_DROPPED,
    PIPELINE_DELIVERED, /* To one local port. */
    PIPELINE_TUNNELLED, /* To one host. */
    PIPELINE_FLOODED,
    PIPELINE_PUNTED,    /* To the agent: by the ring buffer, or the metadata device. */
    PIPELINE_ANSWERED,  /* The frame became its own answer. */
    PIPELINE_OUTSIDE,   /* Out of an uplink. */
};

struct pipeline_step {
    const char *stage; /* A word of TRACE_STAGES. */
    char text[168];
};

enum pipeline_way { PIPELINE_REDIRECT, PIPELINE_REDIRECT_INGRESS, PIPELINE_REDIRECT_PEER, PIPELINE_REDIRECT_NEIGHBOR,
                    PIPELINE_CLONE, PIPELINE_PUNT };

struct pipeline_output {
    enum pipeline_way way;
    uint32_t ifindex;
    uint32_t port_slot;    /* The port that gets it; 0: none of this host. */
    uint32_t host_slot;    /* The host that gets it, in its tunnel header; 0: not tunnelled. */
    uint32_t mark, priority, control;
    uint16_t vlan;         /* The tag in its metadata; 0: none. */
    uint8_t next_hop[16];  /* Of REDIRECT_NEIGHBOR. */
    uint8_t *bytes;        /* PUNT: a struct punt_event. */
    uint32_t size;
};

struct pipeline_result {
    enum pipeline_verdict verdict;
    int action;              /* TC_ACT_* */
    enum drop_reason reason; /* Of DROPPED; a flood that ran out of budget has one too. */
    struct pipeline_step *steps;
    size_t n_steps;
    struct pipeline_output *outputs;
    size_t n_outputs;
    struct verdict_event *verdicts; /* What was written for the log. */
    size_t n_verdicts;
    uint8_t *bytes;          /* The frame itself as the program left it. */
    uint32_t size;
};

/* Runs one program on a copy of the frame.  Returns 0, -EINVAL (a frame shorter than an Ethernet header) or -ENOMEM; '*ret' is
 * owned by the caller and cleared by pipeline_result_clear() after success. */
int pipeline_run(struct pipeline *pipeline, enum pipeline_program program, const struct pipeline_frame *frame,
                 struct pipeline_result *ret);

/* As pipeline_run, and follows what goes through the tunnel device, so that each output is a port, a host or the agent. */
int pipeline_trace(struct pipeline *pipeline, enum pipeline_program program, const struct pipeline_frame *frame,
                   struct pipeline_result *ret);
void pipeline_result_clear(struct pipeline_result *result);

const char *pipeline_verdict_name(enum pipeline_verdict verdict); /* "delivered" and so on. */
const char *pipeline_stage_name(unsigned stage);                  /* Of each stage there is; NULL behind the last. */
bool pipeline_stage_reached(const char *stage);                   /* By any run of this process. */

#endif
