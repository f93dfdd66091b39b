/* Building lists of paths, for path computation only. */
#ifndef WEFT_FABRIC_PATHS_PATH_LIST_H
#define WEFT_FABRIC_PATHS_PATH_LIST_H

#include <string.h>

#include "weft/fabric/paths/graph-internal.h"
#include "weft/fabric/paths/paths.h"

/* Makes room for a path of 'n_arcs' more; 0 or -ENOMEM. */
int path_list_grow(struct path_list *list, size_t n_arcs);

/* Copies 'arcs'.  0 or -ENOMEM, with the list as it was. */
static inline int path_list_append(struct path_list *list, const uint32_t *arcs, size_t n_arcs, uint64_t cost)
{
    if (list->n == list->paths_capacity || n_arcs > list->arcs_capacity - list->n_arcs) {
        int r = path_list_grow(list, n_arcs);

        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < n_arcs; i++) /* Paths are short: cheaper than a call. */
        list->arcs[list->n_arcs + i] = arcs[i];
    list->paths[list->n++] = (struct path){.cost = cost, .first = (uint32_t)list->n_arcs, .n_arcs = (uint32_t)n_arcs};
    list->n_arcs += n_arcs;
    return 0;
}

/* The order of paths that begin at the same node: by cost, then arc by arc in the order of the arcs. */
int path_compare(const struct graph *graph, const uint32_t *a, size_t n_a, uint64_t cost_a, const uint32_t *b,
                 size_t n_b, uint64_t cost_b);

#endif
