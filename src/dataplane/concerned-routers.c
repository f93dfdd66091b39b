/* Which networks are concerned through routers: see concerned.h.
 *
 * Networks and routers are the nodes of a graph, router ports its edges, as they were before the change and as they are now.  What hangs together
 * without external networks is found by union-find (Tarjan, "Efficiency of a Good But Not Linear Set Union Algorithm", 1975). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/cleanup.h"
#include "weft/base/hashmap.h"
#include "weft/base/util.h"
#include "weft/dataplane/concerned.h"
#include "weft/dataplane/load.h"

struct node_name {
    uint32_t is_router;
    uint32_t number; /* VNI, or number of a router. */
};

struct node {
    struct hashmap_node by_name;
    struct node_name name;
    struct node *parent;
    bool is_concerned; /* Of the root of each. */
};

/* A router port. */
struct edge {
    struct node *router, *network;
    bool is_external;
};

struct graph {
    struct hashmap by_name;
    struct node *nodes;
    size_t n_nodes;
    struct edge *edges; /* As they are, and before that those that were otherwise. */
    size_t n_edges;
};

static struct node *find_root(struct node *node)
{
    while (node->parent != node)
        node = node->parent = node->parent->parent;
    return node;
}

/* NULL if no router port leads there. */
static struct node *find_node(const struct graph *graph, bool is_router, uint32_t number)
{
    struct node_name name = {is_router, number};
    struct hashmap_node *found = hashmap_find(&graph->by_name, &name, sizeof(name));

    return found ? CONTAINER_OF(found, struct node, by_name) : NULL;
}

static int add_node(struct graph *graph, bool is_router, uint32_t number, struct node **ret)
{
    *ret = find_node(graph, is_router, number);
    if (*ret)
        return 0;
    struct node *node = *ret = &graph->nodes[graph->n_nodes++];
    *node = (struct node){.name = {is_router, number}, .parent = node};
    return hashmap_insert_new(&graph->by_name, &node->by_name, &node->name, sizeof(node->name), hashmap_hash(&node->name, sizeof(node->name)));
}

static int add_edge(struct graph *graph, const void *value)
{
    struct router_port_config port;
    struct edge *edge = &graph->edges[graph->n_edges++];

    memcpy(&port, value, sizeof(port));
    edge->is_external = port.flags & ROUTER_PORT_EXTERNAL;
    if (add_node(graph, true, port.router, &edge->router) < 0 || add_node(graph, false, port.vni, &edge->network) < 0)
        return -ENOMEM;
    if (!edge->is_external)
        find_root(edge->router)->parent = find_root(edge->network);
    return 0;
}

static int add_former_edge(const void *key, const void *old_value, const void *new_value, void *context)
{
    return old_value ? add_edge(context, old_value) : 0;
}

static int graph_build(struct graph *graph, const struct rows *before, const struct rows *now)
{
    size_t n = before->n + now->n;
    int error;

    graph->edges = calloc(n + 1, sizeof(*graph->edges));
    graph->nodes = malloc((2 * n + 1) * sizeof(*graph->nodes));
    if (!graph->edges || !graph->nodes || hashmap_reserve(&graph->by_name, now->n) < 0)
        return -ENOMEM;
    error = rows_compare(before, now, add_former_edge, graph);
    for (size_t i = 0; i < now->n && error == 0; i++)
        error = add_edge(graph, rows_value(now, i));
    return error;
}

static void graph_clear(struct graph *graph)
{
    hashmap_clear(&graph->by_name);
    free(graph->nodes);
    free(graph->edges);
}

static void mark_nodes(struct graph *graph, bool is_router, const struct rows *numbers)
{
    for (size_t i = 0; i < numbers->n; i++) {
        uint32_t number;

        memcpy(&number, rows_key(numbers, i), sizeof(number));
        struct node *node = find_node(graph, is_router, number);
        if (node)
            find_root(node)->is_concerned = true;
    }
}

/* Routers with their gateway on a network that is concerned. */
static void mark_behind_gateways(struct graph *graph, const struct concerned *concerned)
{
    for (size_t i = 0; i < graph->n_edges; i++) {
        const struct edge *edge = &graph->edges[i];
        const uint32_t *vni = &edge->network->name.number;

        if (edge->is_external && (rows_find(&concerned->vnis, vni) || rows_find(&concerned->reached, vni)))
            find_root(edge->router)->is_concerned = true;
    }
}

/* Networks that concerned routers have their gateways on: workloads there speak with those behind by their own addresses, past the same policies. */
static int add_gateway_networks(struct concerned *concerned, struct graph *graph)
{
    for (size_t i = 0; i < graph->n_edges; i++)
        if (graph->edges[i].is_external && find_root(graph->edges[i].router)->is_concerned &&
            rows_add(&concerned->vnis, &graph->edges[i].network->name.number, NULL) < 0)
            return -ENOMEM;
    return 0;
}

static int mark_routers_of_hop_groups(struct concerned *concerned, const struct rows *routes)
{
    for (size_t i = 0; concerned->hop_groups.n && i < routes->n; i++) {
        struct route_value route;

        memcpy(&route, rows_value(routes, i), sizeof(route));
        if (route.flags & ROUTE_MANY && rows_find(&concerned->hop_groups, &route.port) && rows_add(&concerned->routers, &route.router, NULL) < 0)
            return -ENOMEM;
    }
    return 0;
}

int concerned_follow_routers(struct concerned *concerned, const struct desired *now)
{
    const struct rows *ports_before = &concerned->maps->actual.tables[TABLE_ROUTER_PORTS], *ports = &now->tables[TABLE_ROUTER_PORTS];
    struct graph graph = {0};
    struct rows *const sets[] = {&concerned->vnis, &concerned->reached, &concerned->hop_groups, &concerned->routers};
    int error = 0;

    for (size_t i = 0; i < ARRAY_SIZE(sets) && error == 0; i++)
        error = rows_sort(sets[i]);
    if (error == 0)
        error = mark_routers_of_hop_groups(concerned, &now->tables[TABLE_ROUTES]);
    if (error < 0 || ports_before->n + ports->n == 0 || concerned->vnis.n + concerned->reached.n + concerned->routers.n == 0)
        return error;
    error = graph_build(&graph, ports_before, ports);
    if (error == 0) {
        mark_nodes(&graph, false, &concerned->vnis);
        mark_nodes(&graph, false, &concerned->reached);
        mark_nodes(&graph, true, &concerned->routers);
        mark_behind_gateways(&graph, concerned);
    }
    for (size_t i = 0; i < graph.n_nodes && error == 0; i++) {
        struct node *node = &graph.nodes[i];

        if (!node->name.is_router && find_root(node)->is_concerned)
            error = rows_add(&concerned->vnis, &node->name.number, NULL);
    }
    if (error == 0)
        error = add_gateway_networks(concerned, &graph);
    graph_clear(&graph);
    return error;
}
