/* The k cheapest loopless paths; see paths.h.
 *
 * Yen, "Finding the k shortest loopless paths in a network" (1971), with Lawler's saving (1972): every path that comes
 * out splits those not out yet into classes, by where they leave it, and each class gives its cheapest path as a
 * candidate.  A path's classes before the place where it left its own parent exist already.
 *
 * The cheapest path of a class begins with the root, leaves the spur node by an arc that no path with this root has
 * taken, and does not come back to the root: Dijkstra from the destination without the root's nodes says how far each
 * node is, and the first arcs that lie on shortest paths, from the spur node on, make the first of the cheapest.  So
 * paths come out in one order, ties included. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/fabric/paths/node-heap.h"
#include "weft/fabric/paths/path-list.h"

#define UNREACHED UINT64_MAX

struct candidate {
    uint64_t cost;
    uint32_t n_arcs, spur; /* It left its parent at arc 'spur'. */
    uint32_t arcs[];
};

struct yen {
    const struct graph *graph;
    uint32_t from, to;
    struct node_heap heap;
    uint64_t *distances;
    uint8_t *is_banned;         /* Nodes of the root. */
    uint32_t *banned, n_banned; /* Arcs out of the spur node. */
    uint32_t *walked;
    struct candidate **candidates; /* A binary heap. */
    size_t n, capacity;
};

static bool comes_before(const struct yen *yen, const struct candidate *a, const struct candidate *b)
{
    return path_compare(yen->graph, a->arcs, a->n_arcs, a->cost, b->arcs, b->n_arcs, b->cost) < 0;
}

static int add_candidate(struct yen *yen, struct candidate *candidate)
{
    size_t at;

    if (yen->n == yen->capacity) {
        size_t capacity = MAX(2 * yen->capacity, 32);
        struct candidate **grown = realloc(yen->candidates, capacity * sizeof *grown);

        if (!grown)
            return -ENOMEM;
        yen->candidates = grown;
        yen->capacity = capacity;
    }
    for (at = yen->n++; at > 0 && comes_before(yen, candidate, yen->candidates[(at - 1) / 2]); at = (at - 1) / 2)
        yen->candidates[at] = yen->candidates[(at - 1) / 2];
    yen->candidates[at] = candidate;
    return 0;
}

static struct candidate *take_candidate(struct yen *yen)
{
    struct candidate *first = yen->candidates[0], *last = yen->candidates[--yen->n];
    size_t at = 0, child;

    while ((child = 2 * at + 1) < yen->n) {
        if (child + 1 < yen->n && comes_before(yen, yen->candidates[child + 1], yen->candidates[child]))
            child++;
        if (!comes_before(yen, yen->candidates[child], last))
            break;
        yen->candidates[at] = yen->candidates[child];
        at = child;
    }
    yen->candidates[at] = last;
    return first;
}

static bool is_banned_arc(const struct yen *yen, uint32_t arc)
{
    for (uint32_t i = 0; i < yen->n_banned; i++)
        if (yen->banned[i] == arc)
            return true;
    return false;
}

/* Sets distances to the destination without what is banned, of 'spur' and all that are nearer; returns that of 'spur'.
 */
static uint64_t measure(struct yen *yen, uint32_t spur)
{
    const struct graph *graph = yen->graph;

    memset(yen->distances, 0xff, graph->node_limit * sizeof *yen->distances);
    yen->distances[yen->to] = 0;
    node_heap_put(&yen->heap, yen->to, 0);
    while (yen->heap.n > 0) {
        uint32_t node = node_heap_take(&yen->heap);
        const struct arc_list *in = &graph->nodes[node].in;

        if (node == spur)
            break;
        for (uint32_t i = 0; i < in->n; i++) {
            const struct graph_arc *arc = &graph->arcs[in->arcs[i]];
            uint64_t distance = yen->distances[node] + arc->weight;

            if (distance >= yen->distances[arc->from] || yen->is_banned[arc->from] ||
                (arc->from == spur && is_banned_arc(yen, in->arcs[i])))
                continue;
            yen->distances[arc->from] = distance;
            node_heap_put(&yen->heap, arc->from, distance);
        }
    }
    node_heap_empty(&yen->heap);
    return yen->distances[spur];
}

/* The first of the shortest paths from 'spur', after measure(); returns its number of arcs. */
static uint32_t walk(struct yen *yen, uint32_t spur)
{
    const struct graph *graph = yen->graph;
    uint32_t n = 0;

    for (uint32_t node = spur; node != yen->to;) {
        const struct arc_list *out = &graph->nodes[node].out;
        uint32_t next = GRAPH_NONE;

        for (uint32_t i = 0; i < out->n && next == GRAPH_NONE; i++) {
            const struct graph_arc *arc = &graph->arcs[out->arcs[i]];
            uint64_t below = yen->distances[arc->to];

            if (below < yen->distances[node] && below + arc->weight == yen->distances[node] &&
                (node != spur || !is_banned_arc(yen, out->arcs[i])))
                next = out->arcs[i];
        }
        if (next == GRAPH_NONE)
            break; /* Does not happen: the distance is that of a path. */
        yen->walked[n++] = next;
        node = graph->arcs[next].to;
    }
    return n;
}

/* The cheapest path that begins with the first 'n_root' of 'root' and goes on by no banned arc becomes a candidate, if
 * there is one. */
static int add_class(struct yen *yen, const uint32_t *root, uint32_t n_root, uint64_t root_cost, uint32_t spur)
{
    uint64_t distance = measure(yen, spur);
    struct candidate *candidate;
    uint32_t n;
    int r;

    if (distance == UNREACHED)
        return 0;
    n = walk(yen, spur);
    candidate = malloc(sizeof *candidate + (n_root + n) * sizeof *candidate->arcs);
    if (!candidate)
        return -ENOMEM;
    *candidate = (struct candidate){.cost = root_cost + distance, .n_arcs = n_root + n, .spur = n_root};
    for (uint32_t i = 0; i < n_root + n; i++)
        candidate->arcs[i] = i < n_root ? root[i] : yen->walked[i - n_root];
    r = add_candidate(yen, candidate);
    if (r < 0)
        free(candidate);
    return r;
}

/* The arcs by which paths that are out left this root. */
static void ban_taken(struct yen *yen, const struct path_list *out, const uint32_t *root, uint32_t n_root)
{
    yen->n_banned = 0;
    for (size_t k = 0; k < out->n; k++) {
        const uint32_t *arcs = path_arcs(out, k);

        if (out->paths[k].n_arcs > n_root && (n_root == 0 || memcmp(arcs, root, n_root * sizeof *root) == 0) &&
            !is_banned_arc(yen, arcs[n_root]))
            yen->banned[yen->n_banned++] = arcs[n_root];
    }
}

/* Splits the class that 'path', the last of 'out', came from. */
static int split(struct yen *yen, const struct path_list *out, const struct candidate *path)
{
    const struct graph *graph = yen->graph;
    uint64_t cost = 0;
    int r = 0;

    for (uint32_t i = 0; i < path->n_arcs && r == 0; i++) {
        uint32_t spur = graph->arcs[path->arcs[i]].from;

        if (i >= path->spur) {
            ban_taken(yen, out, path->arcs, i);
            r = add_class(yen, path->arcs, i, cost, spur);
        }
        yen->is_banned[spur] = 1;
        cost += graph->arcs[path->arcs[i]].weight;
    }
    for (uint32_t i = 0; i < path->n_arcs; i++)
        yen->is_banned[graph->arcs[path->arcs[i]].from] = 0;
    return r;
}

static int run(struct yen *yen, size_t max_paths, struct path_list *ret)
{
    int r = add_class(yen, NULL, 0, 0, yen->from);

    while (r == 0 && yen->n > 0) {
        _cleanup_(freep) struct candidate *next = take_candidate(yen);

        r = path_list_append(ret, next->arcs, next->n_arcs, next->cost);
        if (r < 0 || ret->n == max_paths)
            break;
        r = split(yen, ret, next);
    }
    return r;
}

static void yen_clear(struct yen *yen)
{
    for (size_t i = 0; i < yen->n; i++)
        free(yen->candidates[i]);
    free(yen->candidates);
    node_heap_clear(&yen->heap);
    free(yen->distances);
    free(yen->is_banned);
    free(yen->banned);
    free(yen->walked);
}

int paths_k_shortest(const struct graph *graph, uint32_t from, uint32_t to, size_t max_paths, struct path_list *ret)
{
    _cleanup_(yen_clear) struct yen yen = {.graph = graph, .from = from, .to = to};
    int r;

    if (max_paths < 1 || max_paths > PATHS_MAX)
        return -EINVAL;
    if (!graph_has_node(graph, from) || !graph_has_node(graph, to))
        return -ENOENT;
    yen.distances = malloc(graph->node_limit * sizeof *yen.distances);
    yen.is_banned = calloc(graph->node_limit, sizeof *yen.is_banned);
    yen.walked = malloc(graph->node_limit * sizeof *yen.walked);
    yen.banned = malloc(max_paths * sizeof *yen.banned);
    if (!yen.distances || !yen.is_banned || !yen.walked || !yen.banned ||
        node_heap_reserve(&yen.heap, graph->node_limit) < 0)
        return -ENOMEM;
    r = run(&yen, max_paths, ret);
    if (r < 0)
        path_list_clear(ret);
    return r;
}
