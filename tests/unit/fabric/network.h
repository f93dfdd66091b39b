/* Networks as plain lists of arcs, for oracles that know nothing of graphs, and the same as a graph. */
#ifndef TESTS_FABRIC_NETWORK_H
#define TESTS_FABRIC_NETWORK_H

#include "weft/fabric/paths/graph.h"

#define NETWORK_MAX_NODES 64
#define NETWORK_MAX_ARCS 512

struct network {
    uint32_t n_nodes, n_arcs;
    struct network_arc {
        uint32_t from, to, weight;
    } arcs[NETWORK_MAX_ARCS];
};

/* 'n_links' links between random nodes, in both directions or (one in eight) in one; some are parallel.  Weights are 1
 * .. max_weight. */
void network_random(struct network *network, uint32_t n_nodes, uint32_t n_links, uint32_t max_weight, unsigned *seed);

/* As a graph whose nodes rank as the network's numbers.  With 'shuffle' nodes and arcs are added in a random order, and
 * some first and removed again.  'nodes' and 'arcs' (may be NULL) become the graph's numbers. */
struct graph *network_graph(const struct network *network, unsigned *shuffle, uint32_t nodes[NETWORK_MAX_NODES],
                            uint32_t arcs[NETWORK_MAX_ARCS]);

#endif
