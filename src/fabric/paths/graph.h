/* A directed multigraph with weights, as path computation sees the fabric: switches are nodes, each direction of a link is an arc.
 *
 * Nodes and arcs are small numbers, chosen by the graph and kept until removed; numbers of removed ones are used again.  Parallel
 * arcs are different arcs.  Single-threaded. */
#ifndef WEFT_FABRIC_PATHS_GRAPH_H
#define WEFT_FABRIC_PATHS_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weft/base/cleanup.h"

#define GRAPH_MAX_NODES 65536u
#define GRAPH_MAX_ARCS 4194304u
#define GRAPH_NONE UINT32_MAX
#define GRAPH_WEIGHT_MAX 16777215u /* So that a path's cost is below 2^40. */

struct graph;

int graph_new(struct graph **ret); /* 0 or -ENOMEM. */
void graph_free(struct graph *graph);
DEFINE_CLEANUP(struct graph *, graph_free);

/* 'order' ranks the node among others wherever a tie is broken by enumeration order (the reference algorithm): smaller comes first; equal
 * ones by node number.  Returns 0, -ENOSPC beyond GRAPH_MAX_NODES, or -ENOMEM. */
int graph_add_node(struct graph *graph, uint64_t order, uint32_t *ret_node);
void graph_remove_node(struct graph *graph, uint32_t node); /* With its arcs. */

/* 'weight' 1..GRAPH_WEIGHT_MAX.  Returns 0, -ERANGE (weight), -ENOENT (no such node), -EINVAL (both ends the same), -ENOSPC, -ENOMEM. */
int graph_add_arc(struct graph *graph, uint32_t from, uint32_t to, uint32_t weight, uint32_t *ret_arc);

/* The same with a rank among parallel arcs, for example the number of the port that it leaves by, so that ties between parallel links do
 * not depend on which was found first; graph_add_arc() ranks 0. */
int graph_add_ranked_arc(struct graph *graph, uint32_t from, uint32_t to, uint32_t weight, uint64_t order, uint32_t *ret_arc);
void graph_remove_arc(struct graph *graph, uint32_t arc);
int graph_set_weight(struct graph *graph, uint32_t arc, uint32_t weight); /* 0, -ERANGE or -ENOENT. */

bool graph_has_node(const struct graph *graph, uint32_t node);
bool graph_has_arc(const struct graph *graph, uint32_t arc);
uint32_t graph_from(const struct graph *graph, uint32_t arc);
uint32_t graph_to(const struct graph *graph, uint32_t arc);
uint32_t graph_weight(const struct graph *graph, uint32_t arc);
uint64_t graph_order(const struct graph *graph, uint32_t node);
size_t graph_n_nodes(const struct graph *graph); /* Present ones. */
size_t graph_n_arcs(const struct graph *graph);
uint32_t graph_node_limit(const struct graph *graph); /* Node numbers are below it. */
uint32_t graph_arc_limit(const struct graph *graph);

/* Changes with every change of the graph. */
uint64_t graph_version(const struct graph *graph);

/* Grows by one with every arc that is added, removed or given another weight. */
uint64_t graph_arcs_version(const struct graph *graph);

/* The arcs out of, or into, a node: a borrowed array, valid until the next change.  Sorted by the rank of their other end (then its
 * number), their own rank, their weight, their number; "the order of the arcs" elsewhere means this one.  So it depends on the graph's
 * content and not on the order of changes, unless ranks are equal. */
const uint32_t *graph_out(const struct graph *graph, uint32_t node, size_t *ret_n);
const uint32_t *graph_in(const struct graph *graph, uint32_t node, size_t *ret_n);

#endif
