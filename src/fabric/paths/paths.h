/* Several paths from one switch to another, four ways.  Pure: a graph in, paths out.
 *
 *   reference   up to N rounds of Dijkstra with unit costs, each without the intermediate switches of the paths found so far
 *   equal-cost  all shortest paths, parallel links apart (dag.h keeps them per destination)
 *   disjoint    paths that share no link and no switch but those that every path must use; as many as there are (or as wanted), of least
 *               total cost (Suurballe 1974, Bhandari 1999)
 *   k-shortest  the k cheapest loopless paths (Yen 1971)
 *
 * A path is its arcs in order.  From a switch to itself there is one path, without arcs.  Results are deterministic: they depend on the
 * graph's content and order ranks only, not on the order of its changes.  Except in reference mode they are sorted by cost, then arc by arc in
 * the order of the arcs (graph.h). */
#ifndef WEFT_FABRIC_PATHS_PATHS_H
#define WEFT_FABRIC_PATHS_PATHS_H

#include "weft/fabric/paths/graph.h"

#define PATHS_MAX 1024 /* The most that any mode returns; 'max_paths' is 1..PATHS_MAX. */

enum path_mode { PATHS_REFERENCE, PATHS_EQUAL_COST, PATHS_DISJOINT, PATHS_K_SHORTEST };
const char *path_mode_name(enum path_mode mode); /* "equal-cost". */
int path_mode_parse(const char *text, enum path_mode *ret); /* 0 or -EINVAL. */

/* Paths in one block of memory; a zeroed struct is empty. */
struct path_list {
    size_t n;
    struct path {
        uint64_t cost;         /* Sum of weights; in reference mode the number of arcs. */
        uint32_t first, n_arcs; /* Into 'arcs'. */
    } *paths;
    uint32_t *arcs;
    size_t n_arcs, paths_capacity, arcs_capacity;
};
void path_list_clear(struct path_list *list);

static inline const uint32_t *path_arcs(const struct path_list *list, size_t index)
{
    static const uint32_t nothing; /* Where all paths are empty ones, no arcs were ever kept. */

    return list->arcs ? list->arcs + list->paths[index].first : &nothing;
}

/* What the reference algorithm does, step by step, as the published trace prints it. */
struct reference_trace {
    void (*candidate)(uint32_t node, void *context);                   /* pickup_next_candidate */
    void (*distance)(uint32_t node, uint32_t distance, void *context); /* update_distance */
    void (*hop)(uint32_t node, void *context);                         /* build_hop_list, from the destination back */
    void (*path)(size_t index, void *context);                         /* resolve_path found one */
    void *context;
};

/* Each appends to an empty '*ret' and returns 0 (also with no path), -ENOENT (no such node), -EINVAL ('max_paths'), or -ENOMEM; '*ret' is
 * empty on failure and the caller's to clear.
 *
 * reference: 'max_paths' is the number of rounds.  Of parallel arcs the first is taken.  A direct link excludes nothing and would be found
 * in every round; it is returned once, and the search goes on without it.  'trace' may be NULL. */
int paths_reference(const struct graph *graph, uint32_t from, uint32_t to, size_t max_paths, const struct reference_trace *trace,
                    struct path_list *ret);
int paths_equal_cost(const struct graph *graph, uint32_t from, uint32_t to, size_t max_paths, struct path_list *ret);
int paths_disjoint(const struct graph *graph, uint32_t from, uint32_t to, size_t max_paths, struct path_list *ret);
int paths_k_shortest(const struct graph *graph, uint32_t from, uint32_t to, size_t max_paths, struct path_list *ret);

/* Any of them by mode, without trace. */
int paths_find(const struct graph *graph, enum path_mode mode, uint32_t from, uint32_t to, size_t max_paths, struct path_list *ret);

#endif
