/* Shortest-path DAGs and their repair; see dag.h.
 *
 * A DAG holds for each node its distance to the destination and the set of arcs that lie on shortest paths.  How many
 * paths there are follows from these, and is worked out when somebody asks, since one lost link changes the numbers of
 * very many nodes but the arcs of few.
 *
 * Repair (Ramalingam and Reps, "An incremental algorithm for a generalization of the shortest-path problem", 1996).  A
 * change of an arc u -> v concerns a DAG only if the arc was on it or is now on it, which two distances tell. The arc
 * got better: Dijkstra from u against the arcs, over the nodes that come nearer. It got worse, and u has others: it is
 * taken out of u's set, no distance changes. It got worse, and was u's only one: the nodes whose every shortest path
 * used it are found by counting, those next to the rest get their best distance over the rest, and Dijkstra goes on
 * from there. The work is of the order of what changed, with its arcs. */
#include "weft/fabric/paths/dag.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/fabric/paths/arc-sets.h"
#include "weft/fabric/paths/node-heap.h"
#include "weft/fabric/paths/path-list.h"

struct dag_node {
    uint64_t distance;
    uint32_t next;    /* Handle of a set of arcs. */
    uint32_t n_paths; /* 0: not known. */
};

struct dag {
    struct dag_cache *cache;
    struct dag *newer, *older; /* By use. */
    uint32_t destination;
    uint32_t n_nodes; /* Nodes that were added later are unreachable until an arc leads there. */
    bool counts_are_old;
    struct dag_node *nodes;
};

enum mark { UNMARKED, DIRTY, NEARER, AFFECTED };

struct dag_cache {
    const struct graph *graph;
    uint64_t arcs_version; /* Of the graph that the DAGs belong to. */
    struct dag **dags;     /* By destination. */
    struct dag *newest, *oldest;
    size_t n_dags, max_dags;
    struct arc_sets sets;
    struct dag_counters counters;

    /* Scratch, with room for 'n_scratch' nodes and 'n_out' arcs. */
    struct node_heap heap;
    uint32_t *list;   /* Marked nodes, or the nodes of a walk. */
    uint32_t *lost;   /* How many next arcs a node lost, or where a walk stands; 0 outside. */
    uint32_t *walked; /* The arcs of a walk. */
    uint8_t *marks;
    uint32_t n_scratch;
    uint32_t *out;
    uint32_t n_out;

    /* What 'trade' did last: in one change many DAGs trade the same set for the same other. */
    uint32_t traded, traded_for;
    bool has_traded;
};

typedef void report_change(uint32_t destination, uint32_t node, void *context);

/* --- memory ------------------------------------------------------------------------------------------------------- */

int dag_cache_new(const struct graph *graph, size_t max_dags, struct dag_cache **ret)
{
    struct dag_cache *cache = calloc(1, sizeof *cache);

    if (!cache)
        return -ENOMEM;
    cache->graph = graph;
    cache->max_dags = MAX(max_dags, 1);
    cache->arcs_version = graph->arcs_version;
    *ret = cache;
    return 0;
}

static void unlink_dag(struct dag_cache *cache, struct dag *dag)
{
    *(dag->newer ? &dag->newer->older : &cache->newest) = dag->older;
    *(dag->older ? &dag->older->newer : &cache->oldest) = dag->newer;
}

static void link_newest(struct dag_cache *cache, struct dag *dag)
{
    dag->newer = NULL;
    dag->older = cache->newest;
    *(cache->newest ? &cache->newest->newer : &cache->oldest) = dag;
    cache->newest = dag;
}

static void drop(struct dag_cache *cache, struct dag *dag)
{
    unlink_dag(cache, dag);
    cache->dags[dag->destination] = NULL;
    cache->n_dags--;
    for (uint32_t i = 0; i < dag->n_nodes; i++)
        arc_sets_release(&cache->sets, dag->nodes[i].next);
    free(dag->nodes);
    free(dag);
}

void dag_cache_free(struct dag_cache *cache)
{
    if (!cache)
        return;
    while (cache->oldest)
        drop(cache, cache->oldest);
    arc_sets_clear(&cache->sets);
    node_heap_clear(&cache->heap);
    free(cache->dags);
    free(cache->list);
    free(cache->lost);
    free(cache->walked);
    free(cache->marks);
    free(cache->out);
    free(cache);
}

static int grow_array(void *array_pointer, size_t element_size, uint32_t n_before, uint32_t n)
{
    void **array = array_pointer;
    char *grown = realloc(*array, n * element_size);

    if (!grown)
        return -ENOMEM;
    memset(grown + n_before * element_size, 0, (n - n_before) * element_size);
    *array = grown;
    return 0;
}

/* Room for every node of the graph. */
static int reserve_scratch(struct dag_cache *cache)
{
    uint32_t n = cache->n_scratch, wanted = cache->graph->node_limit;

    if (wanted <= n)
        return 0;
    wanted = cache->graph->node_capacity;
    if (node_heap_reserve(&cache->heap, wanted) < 0 || grow_array(&cache->dags, sizeof *cache->dags, n, wanted) < 0 ||
        grow_array(&cache->list, sizeof *cache->list, n, wanted) < 0 ||
        grow_array(&cache->lost, sizeof *cache->lost, n, wanted) < 0 ||
        grow_array(&cache->walked, sizeof *cache->walked, n, wanted) < 0 ||
        grow_array(&cache->marks, sizeof *cache->marks, n, wanted) < 0)
        return -ENOMEM;
    cache->n_scratch = wanted;
    return 0;
}

static void set_unreachable(struct dag_node *nodes, uint32_t begin, uint32_t end)
{
    for (uint32_t i = begin; i < end; i++)
        nodes[i] = (struct dag_node){.distance = DAG_UNREACHABLE, .next = ARC_SET_EMPTY};
}

/* Room in the DAG for nodes that were added since. */
static int grow_dag(struct dag *dag)
{
    uint32_t n = dag->cache->graph->node_limit;
    struct dag_node *nodes;

    if (dag->n_nodes >= n)
        return 0;
    nodes = realloc(dag->nodes, n * sizeof *nodes);
    if (!nodes)
        return -ENOMEM;
    set_unreachable(nodes, dag->n_nodes, n);
    dag->nodes = nodes;
    dag->n_nodes = n;
    return 0;
}

/* --- sets of next arcs -------------------------------------------------------------------------------------------- */

/* The set of the node's arcs that are on shortest paths now; the caller gets a reference. */
static int make_next(struct dag_cache *cache, const struct dag *dag, uint32_t node, uint32_t *ret_handle)
{
    const struct arc_list *out = &cache->graph->nodes[node].out;
    const struct graph_arc *arcs = cache->graph->arcs;
    const struct dag_node *nodes = dag->nodes;
    uint64_t distance = nodes[node].distance;
    uint32_t n = 0, *next;

    if (distance == DAG_UNREACHABLE || node == dag->destination) {
        *ret_handle = ARC_SET_EMPTY;
        return 0;
    }
    if (out->n > cache->n_out) {
        if (grow_array(&cache->out, sizeof *cache->out, cache->n_out, out->capacity) < 0)
            return -ENOMEM;
        cache->n_out = out->capacity;
    }
    next = cache->out;
    for (const uint32_t *at = out->arcs, *end = at + out->n; at < end; at++) {
        uint64_t below = nodes[arcs[*at].to].distance;

        /* Written always, counted if so: which arcs are on shortest paths is hard to predict.  "Unreachable" plus a
         * weight wraps. */
        next[n] = *at;
        n += (below + arcs[*at].weight == distance) & (below < distance);
    }
    return arc_sets_get(&cache->sets, next, n, ret_handle);
}

/* The set that is 'handle' without 'arc'; the caller gets a reference, and keeps that to 'handle'. */
static int trade(struct dag_cache *cache, const uint32_t *handle, uint32_t arc, uint32_t *ret_handle)
{
    const uint32_t *arcs;
    uint32_t n_arcs, n = 0;
    int r;

    if (cache->has_traded && cache->traded == *handle) {
        arc_sets_hold(&cache->sets, cache->traded_for);
        *ret_handle = cache->traded_for;
        return 0;
    }
    arcs = arc_sets_arcs(&cache->sets, handle, &n_arcs);
    if (n_arcs > cache->n_out) {
        if (grow_array(&cache->out, sizeof *cache->out, cache->n_out, n_arcs) < 0)
            return -ENOMEM;
        cache->n_out = n_arcs;
    }
    for (uint32_t i = 0; i < n_arcs; i++)
        if (arcs[i] != arc)
            cache->out[n++] = arcs[i];
    r = arc_sets_get(&cache->sets, cache->out, n, ret_handle);
    if (r < 0)
        return r;
    if (!cache->has_traded) {
        cache->has_traded = true;
        cache->traded = *handle;
        cache->traded_for = *ret_handle;
        arc_sets_hold(&cache->sets, cache->traded);
        arc_sets_hold(&cache->sets, cache->traded_for);
    }
    return 0;
}

static void forget_trade(struct dag_cache *cache)
{
    if (!cache->has_traded)
        return;
    arc_sets_release(&cache->sets, cache->traded);
    arc_sets_release(&cache->sets, cache->traded_for);
    cache->has_traded = false;
}

/* --- from scratch ------------------------------------------------------------------------------------------------- */

/* Dijkstra against the arcs, from the nodes in the heap. */
static void settle(struct dag_cache *cache, struct dag *dag)
{
    const struct graph_node *graph_nodes = cache->graph->nodes;
    const struct graph_arc *graph_arcs = cache->graph->arcs;
    struct dag_node *nodes = dag->nodes;

    while (cache->heap.n > 0) {
        uint32_t node = node_heap_take(&cache->heap);
        const uint32_t *in = graph_nodes[node].in.arcs, n_in = graph_nodes[node].in.n;
        uint64_t distance = nodes[node].distance;

        for (uint32_t i = 0; i < n_in; i++) {
            const struct graph_arc *arc = &graph_arcs[in[i]];
            uint64_t longer = distance + arc->weight;

            if (longer < nodes[arc->from].distance) {
                nodes[arc->from].distance = longer;
                node_heap_put(&cache->heap, arc->from, longer);
            }
        }
    }
}

static int compute(struct dag_cache *cache, uint32_t destination)
{
    struct dag *dag = calloc(1, sizeof *dag);
    struct dag_node *nodes = malloc(cache->graph->node_limit * sizeof *nodes);

    if (!dag || !nodes) {
        free(dag);
        free(nodes);
        return -ENOMEM;
    }
    *dag =
        (struct dag){.cache = cache, .destination = destination, .n_nodes = cache->graph->node_limit, .nodes = nodes};
    set_unreachable(nodes, 0, dag->n_nodes);
    nodes[destination].distance = 0;
    nodes[destination].n_paths = 1;
    node_heap_put(&cache->heap, destination, 0);
    settle(cache, dag);
    link_newest(cache, dag);
    cache->dags[destination] = dag;
    cache->n_dags++;
    for (uint32_t i = 0; i < dag->n_nodes; i++) {
        if (make_next(cache, dag, i, &nodes[i].next) < 0) {
            drop(cache, dag);
            return -ENOMEM;
        }
    }
    cache->counters.computed++;
    return 0;
}

int dag_get(struct dag_cache *cache, uint32_t destination, const struct dag **ret)
{
    struct dag *dag;
    int r;

    if (!graph_has_node(cache->graph, destination))
        return -ENOENT;
    if (cache->arcs_version != cache->graph->arcs_version) { /* Something was not told. */
        while (cache->oldest)
            drop(cache, cache->oldest);
        cache->arcs_version = cache->graph->arcs_version;
    }
    r = reserve_scratch(cache);
    if (r < 0)
        return r;
    dag = cache->dags[destination];
    if (dag) {
        cache->counters.hits++;
        if (dag != cache->newest) {
            unlink_dag(cache, dag);
            link_newest(cache, dag);
        }
        *ret = dag;
        return 0;
    }
    while (cache->n_dags >= cache->max_dags) {
        drop(cache, cache->oldest);
        cache->counters.evicted++;
    }
    r = compute(cache, destination);
    if (r < 0)
        return r;
    *ret = cache->dags[destination];
    return 0;
}

/* --- repair ------------------------------------------------------------------------------------------------------- */

static uint32_t mark(struct dag_cache *cache, uint32_t n_marked, uint32_t node, enum mark as)
{
    if (cache->marks[node] == UNMARKED)
        cache->list[n_marked++] = node;
    if (cache->marks[node] < as)
        cache->marks[node] = (uint8_t)as;
    return n_marked;
}

/* New sets for the marked nodes, which are unmarked and reported.  On -ENOMEM the DAG is not usable. */
static int renew_marked(struct dag_cache *cache, struct dag *dag, uint32_t n_marked, report_change *report,
                        void *context)
{
    int r = 0;

    for (uint32_t i = 0; i < n_marked; i++) {
        uint32_t node = cache->list[i], next;
        bool is_changed = cache->marks[node] != DIRTY;

        cache->marks[node] = UNMARKED;
        cache->lost[node] = 0;
        if (r < 0)
            continue;
        r = make_next(cache, dag, node, &next);
        if (r < 0)
            continue;
        is_changed |= next != dag->nodes[node].next;
        arc_sets_release(&cache->sets, dag->nodes[node].next);
        dag->nodes[node].next = next;
        if (is_changed && report)
            report(dag->destination, node, context);
    }
    return r;
}

/* 'node' has come nearer, to 'distance'. */
static int repair_nearer(struct dag_cache *cache, struct dag *dag, uint32_t first, uint64_t distance,
                         report_change *report, void *context)
{
    const struct graph *graph = cache->graph;
    struct dag_node *nodes = dag->nodes;
    uint32_t n_marked = mark(cache, 0, first, NEARER);

    nodes[first].distance = distance;
    node_heap_put(&cache->heap, first, distance);
    while (cache->heap.n > 0) {
        uint32_t node = node_heap_take(&cache->heap);
        const struct arc_list *in = &graph->nodes[node].in;

        for (uint32_t i = 0; i < in->n; i++) {
            const struct graph_arc *arc = &graph->arcs[in->arcs[i]];

            distance = nodes[node].distance + arc->weight;
            if (distance < nodes[arc->from].distance) {
                nodes[arc->from].distance = distance;
                node_heap_put(&cache->heap, arc->from, distance);
                n_marked = mark(cache, n_marked, arc->from, NEARER);
            } else if (distance == nodes[arc->from].distance) {
                n_marked = mark(cache, n_marked, arc->from, DIRTY);
            }
        }
    }
    return renew_marked(cache, dag, n_marked, report, context);
}

/* The nodes all of whose shortest paths went over 'first', whose only next arc is lost, are marked AFFECTED, and DIRTY
 * those that some did. Distances are still the old ones. */
static uint32_t mark_affected(struct dag_cache *cache, const struct dag *dag, uint32_t first)
{
    const struct graph *graph = cache->graph;
    const struct dag_node *nodes = dag->nodes;
    uint32_t *queue = cache->walked, n_queued = 0, n_marked = mark(cache, 0, first, AFFECTED);

    queue[n_queued++] = first;
    for (uint32_t at = 0; at < n_queued; at++) {
        uint32_t node = queue[at];
        const struct arc_list *in = &graph->nodes[node].in;

        for (uint32_t i = 0; i < in->n; i++) {
            const struct graph_arc *arc = &graph->arcs[in->arcs[i]];
            uint32_t n_next;

            if (nodes[arc->from].distance != nodes[node].distance + arc->weight)
                continue;
            n_marked = mark(cache, n_marked, arc->from, DIRTY);
            arc_sets_arcs(&cache->sets, &nodes[arc->from].next, &n_next);
            if (++cache->lost[arc->from] == n_next) {
                n_marked = mark(cache, n_marked, arc->from, AFFECTED);
                queue[n_queued++] = arc->from;
            }
        }
    }
    return n_marked;
}

/* The only next arc of 'first' is gone, or longer. */
static int repair_farther(struct dag_cache *cache, struct dag *dag, uint32_t first, report_change *report,
                          void *context)
{
    const struct graph *graph = cache->graph;
    struct dag_node *nodes = dag->nodes;
    uint32_t n_marked = mark_affected(cache, dag, first);

    for (uint32_t k = 0; k < n_marked; k++) {
        uint32_t node = cache->list[k];
        const struct arc_list *out = &graph->nodes[node].out;
        uint64_t best = DAG_UNREACHABLE;

        if (cache->marks[node] != AFFECTED)
            continue;
        for (uint32_t i = 0; i < out->n; i++) {
            const struct graph_arc *arc = &graph->arcs[out->arcs[i]];

            if (cache->marks[arc->to] != AFFECTED && nodes[arc->to].distance != DAG_UNREACHABLE)
                best = MIN(best, nodes[arc->to].distance + arc->weight);
        }
        nodes[node].distance = best;
        if (best != DAG_UNREACHABLE)
            node_heap_put(&cache->heap, node, best);
    }
    settle(cache, dag); /* The others cannot come nearer. */
    return renew_marked(cache, dag, n_marked, report, context);
}

/* Brings the DAG up to date.  On -ENOMEM it is not usable. */
static int repair(struct dag_cache *cache, struct dag *dag, const struct arc_change *change, report_change *report,
                  void *context)
{
    uint64_t to = dag_distance(dag, change->to), from = dag_distance(dag, change->from), after;
    bool was_on = change->before > 0 && from == to + change->before;
    uint32_t n_next, next;
    int r;

    if (to == DAG_UNREACHABLE || change->from == dag->destination)
        return 0;
    after = change->after ? to + change->after : DAG_UNREACHABLE;
    if (after > from && !was_on)
        return 0;
    if (after == from && after == DAG_UNREACHABLE)
        return 0;
    r = grow_dag(dag);
    if (r < 0)
        return r;
    cache->counters.repaired++;
    dag->counts_are_old = true;
    if (after < from)
        return repair_nearer(cache, dag, change->from, after, report, context);
    if (after == from)
        return renew_marked(cache, dag, mark(cache, 0, change->from, DIRTY), report, context);

    arc_sets_arcs(&cache->sets, &dag->nodes[change->from].next, &n_next);
    if (n_next == 1)
        return repair_farther(cache, dag, change->from, report, context);
    r = trade(cache, &dag->nodes[change->from].next, change->arc, &next);
    if (r < 0)
        return r;
    arc_sets_release(&cache->sets, dag->nodes[change->from].next);
    dag->nodes[change->from].next = next;
    if (report)
        report(dag->destination, change->from, context);
    return 0;
}

void dag_cache_arc_changed(struct dag_cache *cache, const struct arc_change *change,
                           void (*changed)(uint32_t destination, uint32_t node, void *context), void *context)
{
    uint64_t told = cache->arcs_version + (change->before != change->after);
    bool is_usable = told == cache->graph->arcs_version && reserve_scratch(cache) == 0;
    struct dag *dag, *newer;

    for (dag = cache->oldest; dag; dag = newer) {
        newer = dag->newer;
        if (is_usable && (change->before == change->after || repair(cache, dag, change, changed, context) == 0))
            continue;
        if (changed)
            changed(dag->destination, GRAPH_NONE, context);
        drop(cache, dag);
    }
    forget_trade(cache);
    cache->arcs_version = cache->graph->arcs_version;
}

void dag_cache_node_removed(struct dag_cache *cache, uint32_t node)
{
    if (node < cache->n_scratch && cache->dags[node])
        drop(cache, cache->dags[node]);
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

uint64_t dag_distance(const struct dag *dag, uint32_t node)
{
    return node < dag->n_nodes ? dag->nodes[node].distance : DAG_UNREACHABLE;
}

const uint32_t *dag_next(const struct dag *dag, uint32_t node, size_t *ret_n)
{
    const uint32_t *arcs;
    uint32_t n;

    if (node >= dag->n_nodes) {
        *ret_n = 0;
        return NULL;
    }
    arcs = arc_sets_arcs(&dag->cache->sets, &dag->nodes[node].next, &n);
    *ret_n = n;
    return arcs;
}

/* Numbers of paths are memory of what follows from the rest, so a DAG that is read may learn them. */
static void forget_counts(const struct dag *dag)
{
    struct dag *own = dag->cache->dags[dag->destination];

    for (uint32_t i = 0; i < own->n_nodes; i++)
        own->nodes[i].n_paths = 0;
    own->nodes[own->destination].n_paths = 1;
    own->counts_are_old = false;
}

/* Counts depth first, from 'first' downhill; saturates. */
static void count(const struct dag *dag, uint32_t first)
{
    struct dag_cache *cache = dag->cache;
    const struct graph_arc *graph_arcs = cache->graph->arcs;
    struct dag_node *nodes = cache->dags[dag->destination]->nodes;
    uint32_t depth = 0;

    cache->list[0] = first;
    for (;;) {
        uint32_t node = cache->list[depth], n;
        const uint32_t *arcs = arc_sets_arcs(&cache->sets, &nodes[node].next, &n);
        uint64_t sum = 0;

        while (cache->lost[depth] < n && nodes[graph_arcs[arcs[cache->lost[depth]]].to].n_paths)
            cache->lost[depth]++;
        if (cache->lost[depth] < n) {
            uint32_t below = graph_arcs[arcs[cache->lost[depth]]].to;

            cache->list[++depth] = below;
            continue;
        }
        for (uint32_t i = 0; i < n; i++)
            sum += nodes[graph_arcs[arcs[i]].to].n_paths;
        nodes[node].n_paths = (uint32_t)MIN(sum, UINT32_MAX);
        cache->lost[depth] = 0;
        if (depth == 0)
            return;
        depth--;
    }
}

uint64_t dag_n_paths(const struct dag *dag, uint32_t node)
{
    if (dag_distance(dag, node) == DAG_UNREACHABLE)
        return 0;
    if (dag->counts_are_old)
        forget_counts(dag);
    if (dag->nodes[node].n_paths == 0)
        count(dag, node);
    return dag->nodes[node].n_paths;
}

int dag_path(const struct dag *dag, uint32_t node, uint64_t index, uint32_t *arcs, size_t capacity)
{
    const struct graph_arc *graph_arcs = dag->cache->graph->arcs;
    size_t n_arcs = 0;

    if (index >= dag_n_paths(dag, node))
        return -ENOENT;
    while (node != dag->destination) {
        uint32_t n, i;
        const uint32_t *next = arc_sets_arcs(&dag->cache->sets, &dag->nodes[node].next, &n);

        for (i = 0; i < n && index >= dag->nodes[graph_arcs[next[i]].to].n_paths; i++)
            index -= dag->nodes[graph_arcs[next[i]].to].n_paths;
        if (i == n)
            return -ENOENT; /* Does not happen: 'index' is below their sum. */
        if (n_arcs == capacity)
            return -ENOBUFS;
        arcs[n_arcs++] = next[i];
        node = graph_arcs[next[i]].to;
    }
    return (int)n_arcs;
}

/* A list of paths and the one that is being written behind it. */
struct writer {
    struct path_list *list;
    uint32_t *arcs;
    size_t n, room;
};

static int writer_grow(struct writer *writer, size_t n)
{
    int r = path_list_grow(writer->list, n);

    if (!writer->list->arcs)
        return r; /* Nothing was there, and nothing could be had. */
    writer->arcs = writer->list->arcs + writer->list->n_arcs;
    writer->room = writer->list->arcs_capacity - writer->list->n_arcs;
    return r;
}

static inline int writer_arc(struct writer *writer, uint32_t arc)
{
    if (writer->n == writer->room && writer_grow(writer, writer->n + 1) < 0)
        return -ENOMEM;
    writer->arcs[writer->n++] = arc;
    return 0;
}

/* The path is done. */
static inline int writer_path(struct writer *writer, uint64_t cost)
{
    struct path_list *list = writer->list;

    if (list->n == list->paths_capacity && writer_grow(writer, writer->n) < 0)
        return -ENOMEM;
    list->paths[list->n++] =
        (struct path){.cost = cost, .first = (uint32_t)list->n_arcs, .n_arcs = (uint32_t)writer->n};
    list->n_arcs += writer->n;
    return 0;
}

/* Another begins with the first 'n_common' arcs of the last one. */
static inline int writer_again(struct writer *writer, uint32_t n_common)
{
    const uint32_t *last;
    size_t n_last = writer->n;

    writer->arcs += n_last;
    writer->room -= n_last;
    if (writer->room < n_common && writer_grow(writer, n_common) < 0)
        return -ENOMEM;
    last = writer->arcs - n_last;
    for (writer->n = 0; writer->n < n_common; writer->n++)
        writer->arcs[writer->n] = last[writer->n];
    return 0;
}

/* Depth first.  Remembered are the nodes where ways part and not all were taken: how many arcs lead there, and how many
 * of their own were taken. */
static int write_paths(const struct dag *dag, uint32_t node, size_t max_paths, struct writer *writer)
{
    const struct arc_sets *sets = &dag->cache->sets;
    const struct graph_arc *graph_arcs = dag->cache->graph->arcs;
    const struct dag_node *nodes = dag->nodes;
    uint32_t *partings = dag->cache->list, *depths = dag->cache->walked, *taken = dag->cache->lost;
    uint32_t n_partings = 0, n, at = 0;
    uint64_t cost = nodes[node].distance;
    const uint32_t *arcs;
    int r;

    for (;;) {
        if (node == dag->destination) {
            r = writer_path(writer, cost);
            if (r < 0 || --max_paths == 0 || n_partings == 0)
                break;
            node = partings[n_partings - 1];
            at = taken[n_partings - 1];
            r = writer_again(writer, depths[n_partings - 1]);
            if (r < 0)
                break;
        }
        arcs = arc_sets_arcs(sets, &nodes[node].next, &n);
        if (at == 0 && n > 1) {
            partings[n_partings] = node;
            depths[n_partings++] = (uint32_t)writer->n;
        }
        if (n > 1)
            taken[n_partings - 1] = at + 1;
        if (n > 1 && at + 1 == n)
            taken[--n_partings] = 0;
        r = at < n ? writer_arc(writer, arcs[at]) : -ENOENT; /* There always is one. */
        if (r < 0)
            break;
        node = graph_arcs[arcs[at]].to;
        at = 0;
    }
    memset(taken, 0, n_partings * sizeof *taken);
    return r;
}

int dag_paths(const struct dag *dag, uint32_t node, size_t max_paths, struct path_list *list)
{
    struct writer writer = {.list = list, .room = list->arcs_capacity - list->n_arcs};
    size_t n_before = list->n, n_arcs_before = list->n_arcs;
    int r;

    if (dag_distance(dag, node) == DAG_UNREACHABLE || max_paths == 0)
        return 0;
    if (list->arcs)
        writer.arcs = list->arcs + list->n_arcs;
    r = write_paths(dag, node, max_paths, &writer);
    if (r < 0) {
        list->n = n_before;
        list->n_arcs = n_arcs_before;
    }
    return r;
}

struct dag_counters dag_cache_counters(const struct dag_cache *cache)
{
    return cache->counters;
}

size_t dag_cache_memory(const struct dag_cache *cache)
{
    size_t per_node = sizeof(struct node_heap_entry) + sizeof *cache->heap.places + sizeof *cache->dags +
                      sizeof *cache->list + sizeof *cache->lost + sizeof *cache->walked + sizeof *cache->marks;
    size_t size = sizeof *cache + cache->n_scratch * per_node + cache->n_out * sizeof *cache->out + cache->sets.n_bytes;

    for (const struct dag *dag = cache->newest; dag; dag = dag->older)
        size += sizeof *dag + dag->n_nodes * sizeof *dag->nodes;
    return size;
}
