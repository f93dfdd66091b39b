/* The reference algorithm's log, in the published words:
 *
 *     [pickup_next_candidate] Find a candidate = 0xe5
 *     [update_distance] node = 0xe3, distance = 1
 *     [build_hop_list] build a hop = 0xe4
 *     [resolve_path] find a hop list 0
 *     [resolve_path] has 2 paths, pick up the key = 0 from hash_value = 2169503748 */
#ifndef WEFT_FABRIC_PATHS_REFERENCE_LOG_H
#define WEFT_FABRIC_PATHS_REFERENCE_LOG_H

#include "weft/fabric/paths/paths.h"

struct reference_log {
    uint64_t (*datapath_id)(uint32_t node, void *context); /* Of the switch that a node stands for. */
    void (*line)(const char *text, void *context);         /* A line without its end; borrowed. */
    void *context;
};

/* A trace that writes to 'log', which must outlive it. */
struct reference_trace reference_log_trace(const struct reference_log *log);

/* The last line: which of 'n_paths' (at least one) the reference algorithm takes for a flow's hash, the rest of a
 * division.  Returns it. */
size_t reference_log_choice(const struct reference_log *log, size_t n_paths, uint32_t hash_value);

#endif
