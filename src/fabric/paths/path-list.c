/* Lists of paths; see paths.h and path-list.h. */
#include "weft/fabric/paths/path-list.h"

#include <errno.h>
#include <stdlib.h>

#include "weft/base/util.h"

void path_list_clear(struct path_list *list)
{
    free(list->paths);
    free(list->arcs);
    *list = (struct path_list){};
}

int path_list_grow(struct path_list *list, size_t n_arcs)
{
    if (list->n == list->paths_capacity) {
        size_t capacity = MAX(2 * list->paths_capacity, 16);
        struct path *paths = realloc(list->paths, capacity * sizeof *paths);

        if (!paths)
            return -ENOMEM;
        list->paths = paths;
        list->paths_capacity = capacity;
    }
    if (n_arcs > list->arcs_capacity - list->n_arcs) {
        size_t capacity = MAX(2 * list->arcs_capacity, list->n_arcs + MAX(n_arcs, 64));
        uint32_t *arcs = realloc(list->arcs, capacity * sizeof *arcs);

        if (!arcs)
            return -ENOMEM;
        list->arcs = arcs;
        list->arcs_capacity = capacity;
    }
    return 0;
}

int path_compare(const struct graph *graph, const uint32_t *a, size_t n_a, uint64_t cost_a, const uint32_t *b,
                 size_t n_b, uint64_t cost_b)
{
    if (cost_a != cost_b)
        return cost_a < cost_b ? -1 : 1;
    for (size_t i = 0; i < n_a && i < n_b; i++)
        if (a[i] != b[i])
            return arc_before(graph, a[i], graph->arcs[a[i]].to, b[i], graph->arcs[b[i]].to) ? -1 : 1;
    return n_a < n_b ? -1 : n_a > n_b;
}
