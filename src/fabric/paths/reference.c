/* The reference algorithm; see paths.h.
 *
 * With unit costs Dijkstra's algorithm visits level after level: all candidates of one distance, in order of rank,
 * before any of the next. So a level is a sorted list, and needs no queue.  A round ends when the destination is the
 * candidate. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/fabric/paths/path-list.h"

struct reference {
    const struct graph *graph;
    const struct reference_trace *trace;
    uint32_t from, to;
    bool is_direct_taken; /* The direct link was found before and counts no more. */

    struct reference_node {
        uint32_t distance, arc; /* In the present round; GRAPH_NONE: not reached. */
        bool is_visited, is_chosen;
    } * nodes;
    uint32_t *queue; /* In order of distance; what is of one distance is sorted when its turn comes. */
    uint32_t *hops;
};

static int compare_nodes(const void *a, const void *b, void *context)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return node_before(context, x, y) ? -1 : x != y;
}

static bool may_use(const struct reference *r, const struct graph_arc *arc)
{
    return !r->nodes[arc->to].is_chosen && !(r->is_direct_taken && arc->from == r->from && arc->to == r->to);
}

static bool can_begin(const struct reference *r)
{
    const struct arc_list *out = &r->graph->nodes[r->from].out;

    for (uint32_t i = 0; i < out->n; i++)
        if (may_use(r, &r->graph->arcs[out->arcs[i]]))
            return true;
    return r->from == r->to;
}

/* Relaxes the arcs out of the candidate, parallel ones once; returns the new end of the queue. */
static uint32_t update_distances(struct reference *r, uint32_t candidate, uint32_t n_queued)
{
    const struct arc_list *out = &r->graph->nodes[candidate].out;
    uint32_t last = GRAPH_NONE;

    for (uint32_t i = 0; i < out->n; i++) {
        const struct graph_arc *arc = &r->graph->arcs[out->arcs[i]];
        struct reference_node *node = &r->nodes[arc->to];

        if (arc->to == last || node->is_visited || !may_use(r, arc))
            continue;
        last = arc->to;
        if (r->nodes[candidate].distance + 1 < node->distance) {
            if (node->distance == GRAPH_NONE)
                r->queue[n_queued++] = arc->to;
            node->distance = r->nodes[candidate].distance + 1;
            node->arc = out->arcs[i];
        }
        if (r->trace && r->trace->distance)
            r->trace->distance(arc->to, node->distance, r->trace->context);
    }
    return n_queued;
}

/* Whether there is a path; it is in the nodes' arcs. */
static bool search(struct reference *r)
{
    uint32_t n_queued = 1, level_end = 0;

    for (uint32_t i = 0; i < r->graph->node_limit; i++) {
        r->nodes[i].distance = r->nodes[i].arc = GRAPH_NONE;
        r->nodes[i].is_visited = false;
    }
    r->queue[0] = r->from;
    r->nodes[r->from].distance = 0;
    for (uint32_t at = 0; at < n_queued; at++) {
        uint32_t candidate;

        if (at == level_end) {
            level_end = n_queued;
            qsort_r(r->queue + at, n_queued - at, sizeof *r->queue, compare_nodes, (void *)r->graph);
        }
        candidate = r->queue[at];
        r->nodes[candidate].is_visited = true;
        if (r->trace && r->trace->candidate)
            r->trace->candidate(candidate, r->trace->context);
        if (candidate == r->to)
            return true;
        n_queued = update_distances(r, candidate, n_queued);
    }
    return false;
}

/* Appends the path that was found and marks its switches; 0 or -ENOMEM. */
static int take_path(struct reference *r, struct path_list *ret)
{
    uint32_t n = r->nodes[r->to].distance, node = r->to;

    for (uint32_t i = n;; i--) {
        if (r->trace && r->trace->hop)
            r->trace->hop(node, r->trace->context);
        if (i == 0)
            break;
        r->hops[i - 1] = r->nodes[node].arc;
        node = r->graph->arcs[r->nodes[node].arc].from;
        if (i > 1)
            r->nodes[node].is_chosen = true;
    }
    if (n == 1)
        r->is_direct_taken = true;
    if (r->trace && r->trace->path)
        r->trace->path(ret->n, r->trace->context);
    return path_list_append(ret, r->hops, n, n);
}

int paths_reference(const struct graph *graph, uint32_t from, uint32_t to, size_t max_paths,
                    const struct reference_trace *trace, struct path_list *ret)
{
    _cleanup_(freep) struct reference_node *nodes = NULL;
    _cleanup_(freep) uint32_t *queue = NULL, *hops = NULL;
    struct reference r;

    if (max_paths < 1 || max_paths > PATHS_MAX)
        return -EINVAL;
    if (!graph_has_node(graph, from) || !graph_has_node(graph, to))
        return -ENOENT;
    nodes = calloc(graph->node_limit, sizeof *nodes);
    queue = malloc(graph->node_limit * sizeof *queue);
    hops = calloc(graph->node_limit, sizeof *hops);
    if (!nodes || !queue || !hops)
        return -ENOMEM;
    r = (struct reference){
        .graph = graph, .trace = trace, .from = from, .to = to, .nodes = nodes, .queue = queue, .hops = hops};
    while (ret->n < max_paths && can_begin(&r) && search(&r)) {
        if (take_path(&r, ret) < 0) {
            path_list_clear(ret);
            return -ENOMEM;
        }
        if (from == to)
            break;
    }
    return 0;
}
