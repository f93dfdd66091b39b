/* The graph's insides, for path computation only: loops over arcs are what all of it spends its time in. */
#ifndef WEFT_FABRIC_PATHS_GRAPH_INTERNAL_H
#define WEFT_FABRIC_PATHS_GRAPH_INTERNAL_H

#include "weft/fabric/paths/graph.h"

struct arc_list {
    uint32_t *arcs; /* Sorted, see graph_out() in graph.h. */
    uint32_t n, capacity;
};

struct graph_node {
    uint64_t order;
    struct arc_list out, in;
    uint32_t next_free; /* While absent. */
    bool is_present;
};

struct graph_arc {
    uint32_t from; /* The next free one while absent. */
    uint32_t to;
    uint32_t weight; /* 0 while absent. */
};

struct graph {
    struct graph_node *nodes;
    struct graph_arc *arcs;
    uint64_t *arc_orders;
    uint32_t n_nodes, node_limit, node_capacity, first_free_node;
    uint32_t n_arcs, arc_limit, arc_capacity, first_free_arc;
    uint64_t version, arcs_version;
};

/* The order of nodes: by rank, then number. */
static inline bool node_before(const struct graph *graph, uint32_t a, uint32_t b)
{
    uint64_t order_a = graph->nodes[a].order, order_b = graph->nodes[b].order;

    return order_a != order_b ? order_a < order_b : a < b;
}

/* The order of arcs whose near ends are the same and whose far ends are 'far_a' and 'far_b'. */
static inline bool arc_before(const struct graph *graph, uint32_t a, uint32_t far_a, uint32_t b, uint32_t far_b)
{
    if (far_a != far_b)
        return node_before(graph, far_a, far_b);
    if (graph->arc_orders[a] != graph->arc_orders[b])
        return graph->arc_orders[a] < graph->arc_orders[b];
    if (graph->arcs[a].weight != graph->arcs[b].weight)
        return graph->arcs[a].weight < graph->arcs[b].weight;
    return a < b;
}

#endif
