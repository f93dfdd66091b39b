/* What a pipeline is, for pipeline.c, which runs programs, and pipeline-tables.c, which has their maps. */
#ifndef WEFT_DATAPLANE_PIPELINE_STATE_H
#define WEFT_DATAPLANE_PIPELINE_STATE_H

#include "weft/dataplane/native-maps.h"
#include "weft/dataplane/pipeline.h"

struct native {
    struct native_map maps[N_NATIVE_MAPS];
    struct pipeline_sizes sizes;
    uint64_t now_ns;
    native_timer_callback expire;
    struct pipeline_result *result; /* Of the run in progress. */
    int error;                      /* Out of memory, somewhere. */
    struct pipeline_output redirect; /* The last redirect asked for: the one that counts. */
    bool has_redirect;
    uint32_t punt_space;
    enum native_ring ring;          /* That the event in hand is of. */
};

struct pipeline {
    struct native native;
};

/* 'connections' is an array to the programs, and to everybody else a table by key: of those that are in a chain, dead ones too. */
struct flow_entry *native_connection_find(struct native *world, const struct flow_key *key);
int native_connection_put(struct native *world, const struct flow_key *key, const struct flow_entry *entry); /* 0, or -E2BIG. */
bool native_is_connection(const struct flow_entry *entry);

#endif
