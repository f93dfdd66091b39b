/* Which networks are concerned through routers: see concerned.h.
 *
 * Networks and routers are the nodes of a graph, router ports its edges, as they were before the change and as they are now.  What hangs together
 * without external networks is found by union-find (Tarjan, "Efficiency of a Good But Not Linear Set Union Algorithm", 1975). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/cleanup.h"
#include "weft/base/util.h"
#include "weft/dataplane/concerned.h"
#include "weft/dataplane/load.h"

struct node {
    uint32_t is_router;
    uint32_t number; /* VNI, or number of a router. */
};

struct graph {
    struct rows nodes;  /* struct node, sorted. */
    size_t *parents;    /* By index in 'nodes'. */
    bool *is_concerned; /* Of the root of each. */
    const struct rows *ports[2]; /* Before and now. */
};

static struct router_port_config port_at(const struct rows *ports, size_t i)
{
    struct router_port_config config;

    memcpy(&config, rows_value(ports, i), sizeof(config));
    return config;
}

/* Where the node is in the graph; SIZE_MAX if no router port leads there. */
static size_t find_node(const struct graph *graph, bool is_router, uint32_t number)
{
    struct node node = {is_router, number};
    const uint8_t *found = rows_find(&graph->nodes, &node);

    return found ? (size_t)(found - sizeof(node) - graph->nodes.data) / rows_stride(&graph->nodes) : SIZE_MAX;
}

static size_t find_root(struct graph *graph, size_t i)
{
    while (graph->parents[i] != i)
        i = graph->parents[i] = graph->parents[graph->parents[i]];
    return i;
}

static int add_nodes(struct graph *graph)
{
    for (size_t side = 0; side < ARRAY_SIZE(graph->ports); side++)
        for (size_t i = 0; i < graph->ports[side]->n; i++) {
            struct router_port_config port = port_at(graph->ports[side], i);
            struct node router = {1, port.router}, network = {0, port.vni};

            if (rows_add(&graph->nodes, &router, NULL) < 0 || rows_add(&graph->nodes, &network, NULL) < 0)
                return -ENOMEM;
        }
    return rows_sort(&graph->nodes);
}

static int graph_build(struct graph *graph)
{
    int error = add_nodes(graph);

    if (error < 0)
        return error;
    graph->parents = calloc(graph->nodes.n + 1, sizeof(*graph->parents));
    graph->is_concerned = calloc(graph->nodes.n + 1, sizeof(*graph->is_concerned));
    if (!graph->parents || !graph->is_concerned)
        return -ENOMEM;
    for (size_t i = 0; i < graph->nodes.n; i++)
        graph->parents[i] = i;
    for (size_t side = 0; side < ARRAY_SIZE(graph->ports); side++)
        for (size_t i = 0; i < graph->ports[side]->n; i++) {
            struct router_port_config port = port_at(graph->ports[side], i);

            if (!(port.flags & ROUTER_PORT_EXTERNAL))
                graph->parents[find_root(graph, find_node(graph, true, port.router))] = find_root(graph, find_node(graph, false, port.vni));
        }
    return 0;
}

static void graph_clear(struct graph *graph)
{
    rows_clear(&graph->nodes);
    free(graph->parents);
    free(graph->is_concerned);
}

static void mark_nodes(struct graph *graph, bool is_router, const struct rows *numbers)
{
    for (size_t i = 0; i < numbers->n; i++) {
        uint32_t number;
        size_t node;

        memcpy(&number, rows_key(numbers, i), sizeof(number));
        node = find_node(graph, is_router, number);
        if (node != SIZE_MAX)
            graph->is_concerned[find_root(graph, node)] = true;
    }
}

/* Routers with their gateway on a network that is concerned. */
static void mark_behind_gateways(struct graph *graph, const struct concerned *concerned)
{
    for (size_t side = 0; side < ARRAY_SIZE(graph->ports); side++)
        for (size_t i = 0; i < graph->ports[side]->n; i++) {
            struct router_port_config port = port_at(graph->ports[side], i);

            if (port.flags & ROUTER_PORT_EXTERNAL &&
                (rows_find(&concerned->vnis, &port.vni) || rows_find(&concerned->reached, &port.vni)))
                graph->is_concerned[find_root(graph, find_node(graph, true, port.router))] = true;
        }
}

/* Networks that concerned routers have their gateways on: workloads there speak with those behind by their own addresses, past the same policies. */
static int add_gateway_networks(struct concerned *concerned, struct graph *graph)
{
    for (size_t side = 0; side < ARRAY_SIZE(graph->ports); side++)
        for (size_t i = 0; i < graph->ports[side]->n; i++) {
            struct router_port_config port = port_at(graph->ports[side], i);

            if (port.flags & ROUTER_PORT_EXTERNAL && graph->is_concerned[find_root(graph, find_node(graph, true, port.router))] &&
                rows_add(&concerned->vnis, &port.vni, NULL) < 0)
                return -ENOMEM;
        }
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
    struct graph graph = {.ports = {&concerned->maps->actual.tables[TABLE_ROUTER_PORTS], &now->tables[TABLE_ROUTER_PORTS]}};
    struct rows *const sets[] = {&concerned->vnis, &concerned->reached, &concerned->hop_groups, &concerned->routers};
    int error = 0;

    for (size_t i = 0; i < ARRAY_SIZE(sets) && error == 0; i++)
        error = rows_sort(sets[i]);
    if (error == 0)
        error = mark_routers_of_hop_groups(concerned, &now->tables[TABLE_ROUTES]);
    if (error < 0 || graph.ports[0]->n + graph.ports[1]->n == 0 || concerned->vnis.n + concerned->reached.n + concerned->routers.n == 0)
        return error;
    rows_init(&graph.nodes, sizeof(struct node), 0);
    error = graph_build(&graph);
    if (error == 0) {
        mark_nodes(&graph, false, &concerned->vnis);
        mark_nodes(&graph, false, &concerned->reached);
        mark_nodes(&graph, true, &concerned->routers);
        mark_behind_gateways(&graph, concerned);
    }
    for (size_t i = 0; i < graph.nodes.n && error == 0; i++) {
        struct node node;

        memcpy(&node, rows_key(&graph.nodes, i), sizeof(node));
        if (!node.is_router && graph.is_concerned[find_root(&graph, i)])
            error = rows_add(&concerned->vnis, &node.number, NULL);
    }
    if (error == 0 && graph.nodes.n)
        error = add_gateway_networks(concerned, &graph);
    graph_clear(&graph);
    return error;
}
