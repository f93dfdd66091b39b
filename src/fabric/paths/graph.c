/* The graph; see graph.h. */
#include "weft/fabric/paths/graph-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"

int graph_new(struct graph **ret)
{
    struct graph *graph = calloc(1, sizeof *graph);

    if (!graph)
        return -ENOMEM;
    graph->first_free_node = graph->first_free_arc = GRAPH_NONE;
    *ret = graph;
    return 0;
}

void graph_free(struct graph *graph)
{
    if (!graph)
        return;
    for (uint32_t i = 0; i < graph->node_limit; i++) {
        free(graph->nodes[i].out.arcs);
        free(graph->nodes[i].in.arcs);
    }
    free(graph->nodes);
    free(graph->arcs);
    free(graph->arc_orders);
    free(graph);
}

static int grow_nodes(struct graph *graph)
{
    uint32_t capacity = graph->node_capacity ? 2 * graph->node_capacity : 16;
    struct graph_node *nodes = realloc(graph->nodes, capacity * sizeof *nodes);

    if (!nodes)
        return -ENOMEM;
    graph->nodes = nodes;
    graph->node_capacity = capacity;
    return 0;
}

static int grow_arcs(struct graph *graph)
{
    uint32_t capacity = graph->arc_capacity ? 2 * graph->arc_capacity : 64;
    struct graph_arc *arcs = realloc(graph->arcs, capacity * sizeof *arcs);
    uint64_t *orders;

    if (!arcs)
        return -ENOMEM;
    graph->arcs = arcs;
    orders = realloc(graph->arc_orders, capacity * sizeof *orders);
    if (!orders)
        return -ENOMEM;
    graph->arc_orders = orders;
    graph->arc_capacity = capacity;
    return 0;
}

static int arc_list_reserve(struct arc_list *list)
{
    uint32_t capacity, *arcs;

    if (list->n < list->capacity)
        return 0;
    capacity = list->capacity ? 2 * list->capacity : 4;
    arcs = realloc(list->arcs, capacity * sizeof *arcs);
    if (!arcs)
        return -ENOMEM;
    list->arcs = arcs;
    list->capacity = capacity;
    return 0;
}

/* Where 'arc' stands, or belongs, in the list of arcs out of (or into) its node. */
static uint32_t arc_list_find(const struct graph *graph, const struct arc_list *list, uint32_t arc, bool is_out)
{
    uint32_t low = 0, high = list->n, far = is_out ? graph->arcs[arc].to : graph->arcs[arc].from;

    while (low < high) {
        uint32_t middle = (low + high) / 2, other = list->arcs[middle];

        if (arc_before(graph, other, is_out ? graph->arcs[other].to : graph->arcs[other].from, arc, far))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Room was reserved. */
static void arc_list_insert(const struct graph *graph, struct arc_list *list, uint32_t arc, bool is_out)
{
    uint32_t at = arc_list_find(graph, list, arc, is_out);

    memmove(list->arcs + at + 1, list->arcs + at, (list->n - at) * sizeof *list->arcs);
    list->arcs[at] = arc;
    list->n++;
}

static void arc_list_remove(const struct graph *graph, struct arc_list *list, uint32_t arc, bool is_out)
{
    uint32_t at = arc_list_find(graph, list, arc, is_out);

    memmove(list->arcs + at, list->arcs + at + 1, (list->n - at - 1) * sizeof *list->arcs);
    list->n--;
}

/* Enters the arc into, or takes it from, both its ends' lists. */
static void attach(struct graph *graph, uint32_t arc)
{
    arc_list_insert(graph, &graph->nodes[graph->arcs[arc].from].out, arc, true);
    arc_list_insert(graph, &graph->nodes[graph->arcs[arc].to].in, arc, false);
}

static void detach(struct graph *graph, uint32_t arc)
{
    arc_list_remove(graph, &graph->nodes[graph->arcs[arc].from].out, arc, true);
    arc_list_remove(graph, &graph->nodes[graph->arcs[arc].to].in, arc, false);
}

static void arc_changed(struct graph *graph)
{
    graph->version++;
    graph->arcs_version++;
}

int graph_add_node(struct graph *graph, uint64_t order, uint32_t *ret_node)
{
    uint32_t node = graph->first_free_node;

    if (node != GRAPH_NONE) {
        graph->first_free_node = graph->nodes[node].next_free;
    } else {
        if (graph->node_limit >= GRAPH_MAX_NODES)
            return -ENOSPC;
        if (graph->node_limit >= graph->node_capacity && grow_nodes(graph) < 0)
            return -ENOMEM;
        node = graph->node_limit++;
    }
    graph->nodes[node] = (struct graph_node){.order = order, .is_present = true};
    graph->n_nodes++;
    graph->version++;
    *ret_node = node;
    return 0;
}

void graph_remove_node(struct graph *graph, uint32_t node)
{
    struct graph_node *removed;

    if (!graph_has_node(graph, node))
        return;
    removed = &graph->nodes[node];
    while (removed->out.n > 0)
        graph_remove_arc(graph, removed->out.arcs[removed->out.n - 1]);
    while (removed->in.n > 0)
        graph_remove_arc(graph, removed->in.arcs[removed->in.n - 1]);
    free(removed->out.arcs);
    free(removed->in.arcs);
    *removed = (struct graph_node){.next_free = graph->first_free_node};
    graph->first_free_node = node;
    graph->n_nodes--;
    graph->version++;
}

int graph_add_arc(struct graph *graph, uint32_t from, uint32_t to, uint32_t weight, uint32_t *ret_arc)
{
    return graph_add_ranked_arc(graph, from, to, weight, 0, ret_arc);
}

int graph_add_ranked_arc(struct graph *graph, uint32_t from, uint32_t to, uint32_t weight, uint64_t order,
                         uint32_t *ret_arc)
{
    uint32_t arc = graph->first_free_arc;

    if (weight < 1 || weight > GRAPH_WEIGHT_MAX)
        return -ERANGE;
    if (!graph_has_node(graph, from) || !graph_has_node(graph, to))
        return -ENOENT;
    if (from == to)
        return -EINVAL;
    if (arc == GRAPH_NONE && graph->arc_limit >= GRAPH_MAX_ARCS)
        return -ENOSPC;
    if (arc == GRAPH_NONE && graph->arc_limit >= graph->arc_capacity && grow_arcs(graph) < 0)
        return -ENOMEM;
    if (arc_list_reserve(&graph->nodes[from].out) < 0 || arc_list_reserve(&graph->nodes[to].in) < 0)
        return -ENOMEM;
    if (arc != GRAPH_NONE)
        graph->first_free_arc = graph->arcs[arc].from;
    else
        arc = graph->arc_limit++;
    graph->arcs[arc] = (struct graph_arc){.from = from, .to = to, .weight = weight};
    graph->arc_orders[arc] = order;
    attach(graph, arc);
    graph->n_arcs++;
    arc_changed(graph);
    *ret_arc = arc;
    return 0;
}

void graph_remove_arc(struct graph *graph, uint32_t arc)
{
    if (!graph_has_arc(graph, arc))
        return;
    detach(graph, arc);
    graph->arcs[arc] = (struct graph_arc){.from = graph->first_free_arc};
    graph->first_free_arc = arc;
    graph->n_arcs--;
    arc_changed(graph);
}

int graph_set_weight(struct graph *graph, uint32_t arc, uint32_t weight)
{
    if (weight < 1 || weight > GRAPH_WEIGHT_MAX)
        return -ERANGE;
    if (!graph_has_arc(graph, arc))
        return -ENOENT;
    if (graph->arcs[arc].weight == weight)
        return 0;
    detach(graph, arc); /* The weight is part of its place. */
    graph->arcs[arc].weight = weight;
    attach(graph, arc);
    arc_changed(graph);
    return 0;
}

bool graph_has_node(const struct graph *graph, uint32_t node)
{
    return node < graph->node_limit && graph->nodes[node].is_present;
}

bool graph_has_arc(const struct graph *graph, uint32_t arc)
{
    return arc < graph->arc_limit && graph->arcs[arc].weight > 0;
}

uint32_t graph_from(const struct graph *graph, uint32_t arc)
{
    return graph->arcs[arc].from;
}

uint32_t graph_to(const struct graph *graph, uint32_t arc)
{
    return graph->arcs[arc].to;
}

uint32_t graph_weight(const struct graph *graph, uint32_t arc)
{
    return graph->arcs[arc].weight;
}

uint64_t graph_order(const struct graph *graph, uint32_t node)
{
    return graph->nodes[node].order;
}

size_t graph_n_nodes(const struct graph *graph)
{
    return graph->n_nodes;
}

size_t graph_n_arcs(const struct graph *graph)
{
    return graph->n_arcs;
}

uint32_t graph_node_limit(const struct graph *graph)
{
    return graph->node_limit;
}

uint32_t graph_arc_limit(const struct graph *graph)
{
    return graph->arc_limit;
}

uint64_t graph_version(const struct graph *graph)
{
    return graph->version;
}

uint64_t graph_arcs_version(const struct graph *graph)
{
    return graph->arcs_version;
}

const uint32_t *graph_out(const struct graph *graph, uint32_t node, size_t *ret_n)
{
    *ret_n = graph->nodes[node].out.n;
    return graph->nodes[node].out.arcs;
}

const uint32_t *graph_in(const struct graph *graph, uint32_t node, size_t *ret_n)
{
    *ret_n = graph->nodes[node].in.n;
    return graph->nodes[node].in.arcs;
}
