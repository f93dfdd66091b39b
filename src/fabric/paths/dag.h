/* Shortest paths to one destination from everywhere, kept while the graph changes: for each node its distance, the arcs that lie on shortest paths,
 * and how many shortest paths there are.
 *
 * A 'struct dag_cache' has one DAG per destination that was asked for, and is told each change of an arc; it repairs the DAGs that the
 * change concerns, and only where it does (after Ramalingam and Reps, 1996), which a test compares with computing them anew.
 * Memory is bounded: the least recently used DAG goes when there are more than 'max_dags'.  A DAG has 16 bytes a node; sets of two or more next
 * arcs are shared by all DAGs in which they occur.  Single-threaded. */
#ifndef WEFT_FABRIC_PATHS_DAG_H
#define WEFT_FABRIC_PATHS_DAG_H

#include "weft/fabric/paths/paths.h"

#define DAG_UNREACHABLE UINT64_MAX

struct dag;
struct dag_cache;

/* The graph is borrowed. */
int dag_cache_new(const struct graph *graph, size_t max_dags, struct dag_cache **ret); /* 0 or -ENOMEM. */
void dag_cache_free(struct dag_cache *cache);
DEFINE_CLEANUP(struct dag_cache *, dag_cache_free);

/* To be called right after the graph changed.  'before' is the weight until now, 0 for an arc that is new; 'after' 0 for one that was just
 * removed (its ends are given, since the graph has forgotten them).  Calls 'changed' (may be NULL) for each node and cached destination
 * whose distance or next arcs changed; it must not call the cache.  When memory runs out, a DAG is dropped, and computed anew when asked for;
 * so are all when a change of the graph was not told.  'changed' is then called once a destination, with the node GRAPH_NONE. */
struct arc_change {
    uint32_t arc, from, to, before, after;
};
void dag_cache_arc_changed(struct dag_cache *cache, const struct arc_change *change,
                           void (*changed)(uint32_t destination, uint32_t node, void *context), void *context);
void dag_cache_node_removed(struct dag_cache *cache, uint32_t node); /* Its arcs went before. */

/* The DAG of a destination, from cache or computed; borrowed until the next change or dag_get.  0, -ENOENT or -ENOMEM. */
int dag_get(struct dag_cache *cache, uint32_t destination, const struct dag **ret);

uint64_t dag_distance(const struct dag *dag, uint32_t node);
uint64_t dag_n_paths(const struct dag *dag, uint32_t node); /* Saturates at UINT32_MAX. */
const uint32_t *dag_next(const struct dag *dag, uint32_t node, size_t *ret_n); /* In the order of the arcs (graph.h). */

/* Path number 'index' (0 .. n_paths - 1) from 'node', written as arcs into 'arcs' of 'capacity'; returns how many, or -ENOBUFS.
 * Each index is another path; the order is that of the arcs. */
int dag_path(const struct dag *dag, uint32_t node, uint64_t index, uint32_t *arcs, size_t capacity);

/* The first 'max_paths' of them, appended to '*list' in order of index.  0 or -ENOMEM, with the list as it was. */
int dag_paths(const struct dag *dag, uint32_t node, size_t max_paths, struct path_list *list);

/* Counters since the start, for metrics. */
struct dag_counters {
    uint64_t computed, repaired, evicted, hits;
};
struct dag_counters dag_cache_counters(const struct dag_cache *cache);
size_t dag_cache_memory(const struct dag_cache *cache); /* Bytes allocated now. */

#endif
