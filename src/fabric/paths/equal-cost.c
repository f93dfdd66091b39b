/* All shortest paths, from a DAG that is computed for them; see paths.h.  Whoever asks often keeps a cache of DAGs
 * instead (dag.h). */
#include <errno.h>

#include "weft/fabric/paths/dag.h"
#include "weft/fabric/paths/paths.h"

int paths_equal_cost(const struct graph *graph, uint32_t from, uint32_t to, size_t max_paths, struct path_list *ret)
{
    _cleanup_(dag_cache_freep) struct dag_cache *cache = NULL;
    const struct dag *dag;
    int r;

    if (max_paths < 1 || max_paths > PATHS_MAX)
        return -EINVAL;
    if (!graph_has_node(graph, from))
        return -ENOENT;
    r = dag_cache_new(graph, 1, &cache);
    if (r < 0)
        return r;
    r = dag_get(cache, to, &dag);
    if (r < 0)
        return r;
    r = dag_paths(dag, from, max_paths, ret);
    if (r < 0)
        path_list_clear(ret);
    return r;
}
