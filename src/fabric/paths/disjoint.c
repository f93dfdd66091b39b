/* Maximally disjoint paths; see paths.h.
 *
 * Every switch is split in two, what enters it and what leaves it, with an arc between them; then paths that share no
 * arc share no switch either.  Each arc can be used once, except those that lie on every path (bridges between source
 * and destination, found along one shortest path): these all paths share.  Paths are a flow of least cost, found by
 * augmenting along a shortest path of what is left, which may take back arcs of earlier paths (Suurballe, "Disjoint
 * paths in a network", 1974; Bhandari, "Survivable Networks", 1999), with potentials so that Dijkstra's algorithm
 * serves (Edmonds and Karp, 1972).  Of augmenting paths of least cost the one with fewest arcs is taken, then the
 * first, so that the result depends on the graph's content only. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/fabric/paths/node-heap.h"
#include "weft/fabric/paths/path-list.h"

#define UNLIMITED UINT16_MAX
#define UNREACHED UINT64_MAX

/* Keys order by cost, then number of steps.  Costs along paths and their differences are below 2^42, steps below 2^18.
 */
#define STEP_BITS 18
#define COST(cost) ((uint64_t)(cost) << STEP_BITS)

struct use {
    uint16_t n, capacity; /* Paths, and how many there can be. */
};

struct flow {
    const struct graph *graph;
    uint32_t source, target; /* Halves. */
    struct use *arcs, *nodes;
    int64_t *potentials; /* Of halves. */
    uint64_t *keys;      /* Of the way from a half to the target over what is left. */
    uint32_t *places;    /* Of halves on the first path, for the search of bridges; then scratch. */
    uint32_t *stack;
    struct node_heap heap;
};

static inline uint32_t entering(uint32_t node)
{
    return 2 * node;
}

static inline uint32_t leaving(uint32_t node)
{
    return 2 * node + 1;
}

static inline bool is_entering(uint32_t half)
{
    return half % 2 == 0;
}

/* No path enters the source or leaves the target again. */
static inline bool is_usable(const struct flow *flow, const struct graph_arc *arc)
{
    return leaving(arc->to) != flow->source && entering(arc->from) != flow->target;
}

/* --- augmenting --------------------------------------------------------------------------------------------------- */

static inline uint64_t step_key(const struct flow *flow, uint32_t half, uint32_t next, int64_t cost)
{
    return COST(cost + flow->potentials[next] - flow->potentials[half]) + 1;
}

static void relax(struct flow *flow, uint32_t half, uint32_t next, int64_t cost)
{
    uint64_t key = flow->keys[next] + step_key(flow, half, next, cost);

    if (key >= flow->keys[half])
        return;
    flow->keys[half] = key;
    node_heap_put(&flow->heap, half, key);
}

/* Sets the keys of the source and of all halves below it; whether there is a way. */
static bool measure(struct flow *flow)
{
    const struct graph *graph = flow->graph;

    memset(flow->keys, 0xff, 2 * graph->node_limit * sizeof *flow->keys);
    flow->keys[flow->target] = 0;
    node_heap_put(&flow->heap, flow->target, 0);
    while (flow->heap.n > 0) {
        uint32_t half = node_heap_take(&flow->heap), node = half / 2;
        const struct arc_list *list = is_entering(half) ? &graph->nodes[node].in : &graph->nodes[node].out;

        if (half == flow->source)
            break;
        for (uint32_t i = 0; i < list->n; i++) {
            const struct graph_arc *arc = &graph->arcs[list->arcs[i]];
            const struct use *use = &flow->arcs[list->arcs[i]];

            if (is_entering(half) && use->n < use->capacity && is_usable(flow, arc))
                relax(flow, leaving(arc->from), half, arc->weight);
            else if (!is_entering(half) && use->n > 0)
                relax(flow, entering(arc->to), half, -(int64_t)arc->weight);
        }
        if (half == flow->target)
            continue;
        if (is_entering(half) && flow->nodes[node].n > 0)
            relax(flow, leaving(node), half, 0);
        else if (!is_entering(half) && flow->nodes[node].n < flow->nodes[node].capacity)
            relax(flow, entering(node), half, 0);
    }
    node_heap_empty(&flow->heap);
    return flow->keys[flow->source] != UNREACHED;
}

static bool is_next(const struct flow *flow, uint32_t half, uint32_t next, int64_t cost)
{
    return flow->keys[next] < flow->keys[half] &&
           flow->keys[half] == flow->keys[next] + step_key(flow, half, next, cost);
}

/* Takes the first step of a shortest way from 'half', and returns where it leads. */
static uint32_t take_step(struct flow *flow, uint32_t half)
{
    const struct graph *graph = flow->graph;
    uint32_t node = half / 2;
    const struct arc_list *list = is_entering(half) ? &graph->nodes[node].in : &graph->nodes[node].out;

    if (is_entering(half) && flow->nodes[node].n < flow->nodes[node].capacity &&
        is_next(flow, half, leaving(node), 0)) {
        flow->nodes[node].n++;
        return leaving(node);
    }
    for (uint32_t i = 0; i < list->n; i++) {
        const struct graph_arc *arc = &graph->arcs[list->arcs[i]];
        struct use *use = &flow->arcs[list->arcs[i]];

        if (!is_entering(half) && use->n < use->capacity && is_usable(flow, arc) &&
            is_next(flow, half, entering(arc->to), arc->weight)) {
            use->n++;
            return entering(arc->to);
        }
        if (is_entering(half) && use->n > 0 && is_next(flow, half, leaving(arc->from), -(int64_t)arc->weight)) {
            use->n--;
            return leaving(arc->from);
        }
    }
    flow->nodes[node].n--; /* What is left is the way back through the switch. */
    return entering(node);
}

/* One path more, if there is one. */
static bool augment(struct flow *flow)
{
    uint64_t cost;

    if (!measure(flow))
        return false;
    for (uint32_t half = flow->source; half != flow->target;)
        half = take_step(flow, half);
    cost = flow->keys[flow->source] >> STEP_BITS;
    for (uint32_t half = 0; half < 2 * flow->graph->node_limit; half++)
        flow->potentials[half] += (int64_t)MIN(flow->keys[half] >> STEP_BITS, cost);
    return true;
}

/* --- what every path uses ----------------------------------------------------------------------------------------- */

/* The half that the only path so far leads to from 'half', and the arc (GRAPH_NONE: through the switch). */
static uint32_t follow(const struct flow *flow, uint32_t half, uint32_t *ret_arc)
{
    const struct arc_list *out = &flow->graph->nodes[half / 2].out;

    *ret_arc = GRAPH_NONE;
    if (is_entering(half))
        return leaving(half / 2);
    for (uint32_t i = 0; i < out->n; i++) {
        if (flow->arcs[out->arcs[i]].n == 0)
            continue;
        *ret_arc = out->arcs[i];
        return entering(flow->graph->arcs[out->arcs[i]].to);
    }
    return flow->target; /* Does not happen: the path goes on. */
}

/* Marks what is reached from 'first' beside the path; returns the farthest place on the path where that meets it. */
static uint32_t reach(struct flow *flow, uint32_t first, uint32_t farthest)
{
    enum { SEEN = GRAPH_NONE - 1 };
    const struct graph *graph = flow->graph;
    uint32_t n = 0;

    flow->stack[n++] = first;
    while (n > 0) {
        uint32_t half = flow->stack[--n], node = half / 2;
        const struct arc_list *out = &graph->nodes[node].out;
        uint32_t n_steps = is_entering(half) ? 1 : out->n;

        for (uint32_t i = 0; i < n_steps; i++) {
            uint32_t next = is_entering(half) ? leaving(node) : entering(graph->arcs[out->arcs[i]].to);

            if (is_entering(half) ? half == first
                                  : flow->arcs[out->arcs[i]].n > 0 || !is_usable(flow, &graph->arcs[out->arcs[i]]))
                continue; /* The path's own step. */
            if (flow->places[next] == GRAPH_NONE) {
                flow->places[next] = SEEN;
                flow->stack[n++] = next;
            } else if (flow->places[next] != SEEN) {
                farthest = MAX(farthest, flow->places[next]);
            }
        }
    }
    return farthest;
}

/* Lifts the limit of arcs and switches that every path uses; whether there is anything else. */
static bool find_bridges(struct flow *flow)
{
    uint32_t place = 0, farthest = 0, arc, next;
    bool has_others = false;

    memset(flow->places, 0xff, 2 * flow->graph->node_limit * sizeof *flow->places);
    flow->places[flow->source] = place++;
    for (uint32_t half = flow->source; half != flow->target; half = next) {
        next = follow(flow, half, &arc);
        flow->places[next] = place++;
    }
    for (uint32_t half = flow->source; half != flow->target; half = next) {
        next = follow(flow, half, &arc);
        farthest = reach(flow, half, farthest);
        if (farthest > flow->places[half]) {
            has_others = true;
            continue;
        }
        farthest = flow->places[next];
        if (arc == GRAPH_NONE)
            flow->nodes[half / 2].capacity = UNLIMITED;
        else
            flow->arcs[arc].capacity = UNLIMITED;
    }
    return has_others;
}

/* --- paths -------------------------------------------------------------------------------------------------------- */

/* Appends the path that always takes the first used arc, and takes its use away; 0 or -ENOMEM. */
static int take_path(struct flow *flow, struct path_list *list)
{
    uint64_t cost = 0;
    uint32_t n = 0, arc;

    for (uint32_t half = flow->source; half != flow->target;) {
        half = follow(flow, half, &arc);
        if (arc == GRAPH_NONE)
            continue;
        flow->arcs[arc].n--;
        cost += flow->graph->arcs[arc].weight;
        flow->stack[n++] = arc;
    }
    return path_list_append(list, flow->stack, n, cost);
}

struct sorting {
    const struct graph *graph;
    const struct path_list *list;
};

static int compare_paths(const void *a, const void *b, void *context)
{
    const struct sorting *sorting = context;
    const struct path *x = a, *y = b;

    return path_compare(sorting->graph, sorting->list->arcs + x->first, x->n_arcs, x->cost,
                        sorting->list->arcs + y->first, y->n_arcs, y->cost);
}

static int run(struct flow *flow, size_t max_paths, struct path_list *ret)
{
    struct sorting sorting = {flow->graph, ret};
    size_t n = 0;

    if (augment(flow)) {
        n = 1;
        if (max_paths > 1 && find_bridges(flow))
            while (n < max_paths && augment(flow))
                n++;
    }
    for (size_t i = 0; i < n; i++)
        if (take_path(flow, ret) < 0)
            return -ENOMEM;
    if (n > 1)
        qsort_r(ret->paths, n, sizeof *ret->paths, compare_paths, &sorting);
    return 0;
}

static void flow_clear(struct flow *flow)
{
    free(flow->arcs);
    free(flow->nodes);
    free(flow->potentials);
    free(flow->keys);
    free(flow->places);
    free(flow->stack);
    node_heap_clear(&flow->heap);
}

int paths_disjoint(const struct graph *graph, uint32_t from, uint32_t to, size_t max_paths, struct path_list *ret)
{
    _cleanup_(flow_clear) struct flow flow = {.graph = graph, .source = leaving(from), .target = entering(to)};
    int r;

    if (max_paths < 1 || max_paths > PATHS_MAX)
        return -EINVAL;
    if (!graph_has_node(graph, from) || !graph_has_node(graph, to))
        return -ENOENT;
    if (from == to)
        return path_list_append(ret, NULL, 0, 0);
    flow.arcs = calloc(MAX(graph->arc_limit, 1), sizeof *flow.arcs);
    flow.nodes = calloc(graph->node_limit, sizeof *flow.nodes);
    flow.potentials = calloc(2 * graph->node_limit, sizeof *flow.potentials);
    flow.keys = malloc(2 * graph->node_limit * sizeof *flow.keys);
    flow.places = malloc(2 * graph->node_limit * sizeof *flow.places);
    flow.stack = malloc(2 * graph->node_limit * sizeof *flow.stack);
    if (!flow.arcs || !flow.nodes || !flow.potentials || !flow.keys || !flow.places || !flow.stack ||
        node_heap_reserve(&flow.heap, 2 * graph->node_limit) < 0)
        return -ENOMEM;
    for (uint32_t i = 0; i < graph->arc_limit; i++)
        flow.arcs[i].capacity = 1;
    for (uint32_t i = 0; i < graph->node_limit; i++)
        flow.nodes[i].capacity = 1;
    r = run(&flow, max_paths, ret);
    if (r < 0)
        path_list_clear(ret);
    return r;
}
