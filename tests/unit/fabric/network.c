#include "network.h"

#include "test.h"

void network_random(struct network *network, uint32_t n_nodes, uint32_t n_links, uint32_t max_weight, unsigned *seed)
{
    *network = (struct network){.n_nodes = n_nodes};
    while (n_links-- > 0 && network->n_arcs + 2 <= NETWORK_MAX_ARCS) {
        uint32_t from = (uint32_t)rand_r(seed) % n_nodes, to = (uint32_t)rand_r(seed) % n_nodes;
        uint32_t weight = 1 + (uint32_t)rand_r(seed) % max_weight;

        if (from == to)
            continue;
        network->arcs[network->n_arcs++] = (struct network_arc){from, to, weight};
        if (rand_r(seed) % 8)
            network->arcs[network->n_arcs++] = (struct network_arc){to, from, weight};
    }
}

static void shuffle_numbers(uint32_t *numbers, uint32_t n, unsigned *seed)
{
    for (uint32_t i = 0; i < n; i++)
        numbers[i] = i;
    for (uint32_t i = n; seed && i > 1; i--) {
        uint32_t other = (uint32_t)rand_r(seed) % i, swap = numbers[i - 1];

        numbers[i - 1] = numbers[other];
        numbers[other] = swap;
    }
}

struct graph *network_graph(const struct network *network, unsigned *shuffle, uint32_t nodes[NETWORK_MAX_NODES],
                            uint32_t arcs[NETWORK_MAX_ARCS])
{
    uint32_t order[NETWORK_MAX_ARCS], own_nodes[NETWORK_MAX_NODES], extra;
    struct graph *graph;

    nodes = nodes ? nodes : own_nodes;
    assert_int_equal(graph_new(&graph), 0);
    shuffle_numbers(order, network->n_nodes, shuffle);
    for (uint32_t i = 0; i < network->n_nodes; i++) {
        if (shuffle && rand_r(shuffle) % 3 == 0) {
            assert_int_equal(graph_add_node(graph, 7, &extra), 0);
            assert_int_equal(graph_add_node(graph, order[i], &nodes[order[i]]), 0);
            graph_remove_node(graph, extra);
        } else {
            assert_int_equal(graph_add_node(graph, order[i], &nodes[order[i]]), 0);
        }
    }
    shuffle_numbers(order, network->n_arcs, shuffle);
    for (uint32_t i = 0; i < network->n_arcs; i++) {
        const struct network_arc *arc = &network->arcs[order[i]];
        uint32_t number, from = nodes[arc->from], to = nodes[arc->to];
        bool is_disturbed = shuffle && rand_r(shuffle) % 3 == 0;

        if (is_disturbed)
            assert_int_equal(graph_add_arc(graph, to, from, 3, &extra), 0);
        assert_int_equal(graph_add_arc(graph, from, to, is_disturbed ? 9 : arc->weight, &number), 0);
        if (is_disturbed) {
            graph_remove_arc(graph, extra);
            assert_int_equal(graph_set_weight(graph, number, arc->weight), 0);
        }
        if (arcs)
            arcs[order[i]] = number;
    }
    return graph;
}
