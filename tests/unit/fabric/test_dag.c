/* Shortest-path DAGs against Bellman-Ford and a search of all paths, and their repair against computing them anew. */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "network.h"
#include "weft/base/util.h"
#include "weft/fabric/paths/dag.h"
#include "weft/fabric/paths/paths.h"

#define N_NODES 14
#define MAX_LIVE 90

/* --- oracles: arcs as the graph has them, no order, no cleverness ------------------------------------------------- */

static void bellman_ford(const struct graph *graph, uint32_t destination, uint64_t *distances)
{
    for (uint32_t i = 0; i < graph_node_limit(graph); i++)
        distances[i] = i == destination ? 0 : DAG_UNREACHABLE;
    for (bool is_better = true; is_better;) {
        is_better = false;
        for (uint32_t arc = 0; arc < graph_arc_limit(graph); arc++) {
            if (!graph_has_arc(graph, arc) || distances[graph_to(graph, arc)] == DAG_UNREACHABLE ||
                distances[graph_to(graph, arc)] + graph_weight(graph, arc) >= distances[graph_from(graph, arc)])
                continue;
            distances[graph_from(graph, arc)] = distances[graph_to(graph, arc)] + graph_weight(graph, arc);
            is_better = true;
        }
    }
}

struct found {
    uint32_t arcs[64], n_arcs;
};

struct search {
    const struct graph *graph;
    uint32_t destination;
    struct found current, found[20000];
    size_t n;
};

/* Every walk of exactly 'left' to the destination: with weights above 0 these are the shortest paths. */
static void search(struct search *s, uint32_t node, uint64_t left)
{
    if (node == s->destination) {
        if (left == 0 && s->n < ARRAY_SIZE(s->found))
            s->found[s->n++] = s->current;
        return;
    }
    for (uint32_t arc = 0; arc < graph_arc_limit(s->graph); arc++) {
        if (!graph_has_arc(s->graph, arc) || graph_from(s->graph, arc) != node || graph_weight(s->graph, arc) > left)
            continue;
        s->current.arcs[s->current.n_arcs++] = arc;
        search(s, graph_to(s->graph, arc), left - graph_weight(s->graph, arc));
        s->current.n_arcs--;
    }
}

/* --- checks ------------------------------------------------------------------------------------------------------- */

static void check_distances(const struct graph *graph, const struct dag *dag, uint32_t destination)
{
    uint64_t distances[NETWORK_MAX_NODES];

    bellman_ford(graph, destination, distances);
    for (uint32_t i = 0; i < graph_node_limit(graph); i++) {
        size_t n_next, n_expected = 0, n_out;
        const uint32_t *next = dag_next(dag, i, &n_next), *out;

        assert_int_equal(dag_distance(dag, i), distances[i]);
        if (!graph_has_node(graph, i)) {
            assert_int_equal(n_next, 0);
            continue;
        }
        out = graph_out(graph, i, &n_out);
        for (size_t k = 0; k < n_out; k++) {
            uint64_t below = distances[graph_to(graph, out[k])];

            if (below == DAG_UNREACHABLE || distances[i] != below + graph_weight(graph, out[k]))
                continue;
            assert_true(n_expected < n_next);
            assert_int_equal(next[n_expected++], out[k]);
        }
        assert_int_equal(n_next, n_expected);
    }
}

static void check_paths(const struct graph *graph, const struct dag *dag, uint32_t from, uint32_t destination)
{
    static struct search s;
    struct path_list list = {};
    uint32_t arcs[64];

    s.graph = graph; /* One by one: what was found before is 5 MB. */
    s.destination = destination;
    s.current.n_arcs = 0;
    s.n = 0;
    if (dag_distance(dag, from) != DAG_UNREACHABLE)
        search(&s, from, dag_distance(dag, from));
    assert_true(s.n < ARRAY_SIZE(s.found));
    assert_int_equal(dag_n_paths(dag, from), s.n);
    assert_int_equal(dag_path(dag, from, s.n, arcs, 64), -ENOENT);
    assert_int_equal(dag_paths(dag, from, SIZE_MAX, &list), 0);
    assert_int_equal(list.n, s.n);
    for (size_t i = 0; i < s.n; i++) {
        int n = dag_path(dag, from, i, arcs, 64);
        size_t k;

        assert_true(n >= 0);
        for (k = 0; k < s.n; k++)
            if (s.found[k].n_arcs == (uint32_t)n && memcmp(s.found[k].arcs, arcs, (size_t)n * sizeof *arcs) == 0)
                break;
        assert_true(k < s.n);
        s.found[k].n_arcs = UINT32_MAX; /* Each once. */
        assert_int_equal(list.paths[i].n_arcs, n);
        assert_int_equal(list.paths[i].cost, dag_distance(dag, from));
        if (n > 0) {
            assert_memory_equal(path_arcs(&list, i), arcs, (size_t)n * sizeof *arcs);
            assert_int_equal(dag_path(dag, from, i, arcs, (size_t)n - 1), -ENOBUFS);
        }
    }
    path_list_clear(&list);
}

static void dags_hold_all_shortest_paths(void **state)
{
    unsigned seed = test_seed(__func__);

    for (int round = 0; round < 300; round++) {
        struct network network;
        struct dag_cache *cache;
        struct graph *graph;

        network_random(&network, 2 + (uint32_t)rand_r(&seed) % 11, 2 + (uint32_t)rand_r(&seed) % 24,
                       1 + (uint32_t)rand_r(&seed) % 3, &seed);
        graph = network_graph(&network, &seed, NULL, NULL);
        assert_int_equal(dag_cache_new(graph, 4, &cache), 0);
        for (uint32_t to = 0; to < graph_node_limit(graph); to++) {
            const struct dag *dag = NULL;

            if (!graph_has_node(graph, to)) {
                assert_int_equal(dag_get(cache, to, &dag), -ENOENT);
                continue;
            }
            assert_int_equal(dag_get(cache, to, &dag), 0);
            check_distances(graph, dag, to);
            for (uint32_t from = 0; from < graph_node_limit(graph); from++)
                check_paths(graph, dag, from, to);
        }
        dag_cache_free(cache);
        graph_free(graph);
    }
}

/* --- repair ------------------------------------------------------------------------------------------------------- */

struct entry {
    uint64_t distance;
    uint32_t next[MAX_LIVE], n;
};

struct world {
    struct graph *graph;
    struct dag_cache *cache;
    struct entry before[N_NODES][N_NODES]; /* By destination and node. */
    bool is_reported[N_NODES][N_NODES];
};

static void remember(struct world *world)
{
    memset(world->is_reported, 0, sizeof world->is_reported);
    for (uint32_t to = 0; to < N_NODES; to++) {
        const struct dag *dag;

        if (!graph_has_node(world->graph, to))
            continue;
        assert_int_equal(dag_get(world->cache, to, &dag), 0);
        for (uint32_t node = 0; node < N_NODES; node++) {
            struct entry *entry = &world->before[to][node];
            size_t n;
            const uint32_t *next = dag_next(dag, node, &n);

            *entry = (struct entry){.distance = dag_distance(dag, node), .n = (uint32_t)n};
            if (n > 0)
                memcpy(entry->next, next, n * sizeof *next);
        }
    }
}

static void report(uint32_t destination, uint32_t node, void *context)
{
    struct world *world = context;

    assert_true(node < N_NODES);
    assert_false(world->is_reported[destination][node]); /* Once. */
    world->is_reported[destination][node] = true;
}

/* What the cache has now is right, and what differs from before, and only that, was reported. */
static void check_repair(struct world *world, bool with_paths)
{
    uint64_t computed = dag_cache_counters(world->cache).computed;

    for (uint32_t to = 0; to < N_NODES; to++) {
        const struct dag *dag;

        if (!graph_has_node(world->graph, to))
            continue;
        assert_int_equal(dag_get(world->cache, to, &dag), 0);
        check_distances(world->graph, dag, to);
        for (uint32_t node = 0; node < N_NODES; node++) {
            const struct entry *entry = &world->before[to][node];
            size_t n;
            const uint32_t *next = dag_next(dag, node, &n);
            bool is_changed = dag_distance(dag, node) != entry->distance || n != entry->n ||
                              (n > 0 && memcmp(next, entry->next, n * sizeof *next) != 0);

            assert_int_equal(world->is_reported[to][node], is_changed);
            if (with_paths)
                check_paths(world->graph, dag, node, to);
        }
    }
    assert_int_equal(dag_cache_counters(world->cache).computed, computed); /* All was repaired. */
}

static void tell(struct world *world, struct arc_change change)
{
    dag_cache_arc_changed(world->cache, &change, report, world);
}

/* A node goes with its arcs, one after the other, and comes back as a new one. */
static void replace_node(struct world *world, uint32_t node)
{
    uint32_t again;
    size_t n;

    for (int direction = 0; direction < 2; direction++) {
        for (;;) {
            const uint32_t *arcs = direction ? graph_in(world->graph, node, &n) : graph_out(world->graph, node, &n);
            struct arc_change change;

            if (n == 0)
                break;
            change = (struct arc_change){.arc = arcs[0],
                                         .from = graph_from(world->graph, arcs[0]),
                                         .to = graph_to(world->graph, arcs[0]),
                                         .before = graph_weight(world->graph, arcs[0])};
            remember(world);
            graph_remove_arc(world->graph, change.arc);
            tell(world, change);
            check_repair(world, false);
        }
    }
    graph_remove_node(world->graph, node);
    dag_cache_node_removed(world->cache, node);
    assert_int_equal(graph_add_node(world->graph, 100, &again), 0);
    assert_int_equal(again, node);
}

static void random_change(struct world *world, uint32_t max_weight, unsigned *seed)
{
    uint32_t from = (uint32_t)rand_r(seed) % N_NODES, to = (uint32_t)rand_r(seed) % N_NODES;
    uint32_t weight = 1 + (uint32_t)rand_r(seed) % max_weight,
             arc = (uint32_t)rand_r(seed) % (graph_arc_limit(world->graph) + 1);
    struct arc_change change;

    if (!graph_has_arc(world->graph, arc)) {
        if (from == to || graph_n_arcs(world->graph) >= MAX_LIVE)
            return;
        assert_int_equal(graph_add_arc(world->graph, from, to, weight, &arc), 0);
        change = (struct arc_change){arc, from, to, 0, weight};
    } else {
        change = (struct arc_change){arc, graph_from(world->graph, arc), graph_to(world->graph, arc),
                                     graph_weight(world->graph, arc), 0};
        if (rand_r(seed) % 2) {
            change.after = weight;
            assert_int_equal(graph_set_weight(world->graph, arc, weight), 0);
        } else {
            graph_remove_arc(world->graph, arc);
        }
    }
    tell(world, change);
}

static void repaired_dags_are_as_computed_anew(void **state)
{
    unsigned seed = test_seed(__func__);
    static struct world world;
    uint32_t node;

    for (uint32_t max_weight = 1; max_weight <= 8; max_weight *= 2) {
        assert_int_equal(graph_new(&world.graph), 0);
        assert_int_equal(dag_cache_new(world.graph, N_NODES, &world.cache), 0);
        for (uint32_t i = 0; i < N_NODES; i++)
            assert_int_equal(graph_add_node(world.graph, i % 5, &node), 0);
        for (int step = 0; step < 2000; step++) {
            remember(&world);
            random_change(&world, max_weight, &seed);
            check_repair(&world, step % 40 == 0);
            if (step % 250 == 249)
                replace_node(&world, (uint32_t)rand_r(&seed) % N_NODES);
        }
        assert_true(dag_cache_counters(world.cache).repaired > 500);
        dag_cache_free(world.cache);
        graph_free(world.graph);
    }
}

/* --- the cache ---------------------------------------------------------------------------------------------------- */

/* 0 - 1 - ... - n-1, both ways. */
static struct graph *make_line(uint32_t n, unsigned n_parallel)
{
    struct graph *graph;
    uint32_t node, arc;

    assert_int_equal(graph_new(&graph), 0);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(graph_add_node(graph, i, &node), 0);
        for (unsigned k = 0; i > 0 && k < n_parallel; k++) {
            assert_int_equal(graph_add_arc(graph, i - 1, i, 1, &arc), 0);
            assert_int_equal(graph_add_arc(graph, i, i - 1, 1, &arc), 0);
        }
    }
    return graph;
}

static void the_least_recently_used_dag_goes(void **state)
{
    struct graph *graph = make_line(8, 1);
    struct dag_cache *cache;
    const struct dag *dag;

    assert_int_equal(dag_cache_new(graph, 3, &cache), 0);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(dag_get(cache, i, &dag), 0);
    assert_int_equal(dag_get(cache, 0, &dag), 0); /* 1 is the oldest now. */
    assert_int_equal(dag_get(cache, 3, &dag), 0);
    assert_int_equal(dag_cache_counters(cache).computed, 4);
    assert_int_equal(dag_cache_counters(cache).evicted, 1);
    assert_int_equal(dag_get(cache, 0, &dag), 0);
    assert_int_equal(dag_get(cache, 2, &dag), 0);
    assert_int_equal(dag_get(cache, 3, &dag), 0);
    assert_int_equal(dag_cache_counters(cache).computed, 4);
    assert_int_equal(dag_cache_counters(cache).hits, 4);
    assert_int_equal(dag_get(cache, 1, &dag), 0);
    assert_int_equal(dag_cache_counters(cache).computed, 5);
    assert_int_equal(dag_distance(dag, 7), 6);
    dag_cache_free(cache);
    graph_free(graph);
}

static void count_whole(uint32_t destination, uint32_t node, void *context)
{
    assert_int_equal(node, GRAPH_NONE);
    (*(int *)context)++;
}

static void a_change_that_was_not_told_costs_the_dags(void **state)
{
    struct graph *graph = make_line(4, 1);
    struct dag_cache *cache;
    const struct dag *dag;
    uint32_t node, shortcut, other;
    int n_whole = 0;

    assert_int_equal(dag_cache_new(graph, 8, &cache), 0);
    assert_int_equal(dag_get(cache, 0, &dag), 0);
    assert_int_equal(dag_distance(dag, 3), 3);
    assert_int_equal(graph_add_arc(graph, 3, 0, 1, &shortcut), 0);
    assert_int_equal(dag_get(cache, 0, &dag), 0);
    assert_int_equal(dag_distance(dag, 3), 1);
    assert_int_equal(dag_cache_counters(cache).computed, 2);

    graph_remove_arc(graph, shortcut);
    assert_int_equal(graph_add_node(graph, 9, &node), 0);
    assert_int_equal(graph_add_arc(graph, node, 3, 5, &other), 0);
    dag_cache_arc_changed(cache, &(struct arc_change){other, node, 3, 0, 5}, count_whole, &n_whole); /* One of two. */
    assert_int_equal(n_whole, 1);
    assert_int_equal(dag_get(cache, 0, &dag), 0);
    assert_int_equal(dag_distance(dag, node), 8);
    assert_int_equal(dag_cache_counters(cache).computed, 3);
    dag_cache_free(cache);
    graph_free(graph);
}

static void nodes_that_come_later_are_reached(void **state)
{
    struct graph *graph = make_line(3, 1);
    struct dag_cache *cache;
    const struct dag *dag;
    uint32_t node, arc;

    assert_int_equal(dag_cache_new(graph, 8, &cache), 0);
    assert_int_equal(dag_get(cache, 0, &dag), 0);
    for (uint32_t i = 3; i < 100; i++) {
        size_t n;

        assert_int_equal(graph_add_node(graph, i, &node), 0);
        assert_int_equal(dag_get(cache, 0, &dag), 0);
        assert_int_equal(dag_distance(dag, node), DAG_UNREACHABLE);
        assert_int_equal(dag_n_paths(dag, node), 0);
        assert_null(dag_next(dag, node, &n));
        assert_int_equal(graph_add_arc(graph, node, i - 1, 1, &arc), 0);
        dag_cache_arc_changed(cache, &(struct arc_change){arc, node, i - 1, 0, 1}, NULL, NULL);
        assert_int_equal(dag_get(cache, 0, &dag), 0);
        assert_int_equal(dag_distance(dag, node), i);
        assert_int_equal(dag_n_paths(dag, node), 1);
    }
    assert_int_equal(dag_cache_counters(cache).computed, 1);
    dag_cache_free(cache);
    graph_free(graph);
}

static void numbers_of_paths_saturate_and_indices_still_work(void **state)
{
    struct graph *graph = make_line(41, 2); /* 2^40 paths from end to end, 2^30 from node 30. */
    uint32_t arcs[64], last[64];
    struct path_list list = {};
    struct dag_cache *cache;
    const struct dag *dag;

    assert_int_equal(dag_cache_new(graph, 1, &cache), 0);
    assert_int_equal(dag_get(cache, 0, &dag), 0);
    assert_int_equal(dag_n_paths(dag, 40), UINT32_MAX);
    assert_int_equal(dag_n_paths(dag, 30), 1u << 30);
    assert_int_equal(dag_path(dag, 40, UINT32_MAX - 1, arcs, 64), 40);
    assert_int_equal(dag_path(dag, 40, UINT32_MAX - 2, last, 64), 40);
    assert_memory_not_equal(arcs, last, 40 * sizeof *arcs);
    assert_int_equal(dag_path(dag, 40, UINT32_MAX, arcs, 64), -ENOENT);
    assert_int_equal(dag_paths(dag, 40, 1000, &list), 0);
    assert_int_equal(list.n, 1000);
    assert_int_equal(dag_path(dag, 40, 999, arcs, 64), 40);
    assert_memory_equal(arcs, path_arcs(&list, 999), 40 * sizeof *arcs);
    path_list_clear(&list);
    dag_cache_free(cache);
    graph_free(graph);
}

/* A line of all nodes: nothing may recurse. */
static void the_longest_path_is_found(void **state)
{
    struct graph *graph = make_line(GRAPH_MAX_NODES, 1);
    uint32_t last = GRAPH_MAX_NODES - 1;
    uint32_t *arcs = calloc(GRAPH_MAX_NODES, sizeof *arcs);
    struct dag_cache *cache;
    const struct dag *dag;
    struct arc_change cut;

    assert_non_null(arcs);
    assert_int_equal(dag_cache_new(graph, 1, &cache), 0);
    assert_int_equal(dag_get(cache, 0, &dag), 0);
    assert_int_equal(dag_distance(dag, last), last);
    assert_int_equal(dag_n_paths(dag, last), 1);
    assert_int_equal(dag_path(dag, last, 0, arcs, GRAPH_MAX_NODES), last);
    cut = (struct arc_change){arcs[last - 1], 1, 0, 1, 0};
    graph_remove_arc(graph, cut.arc);
    dag_cache_arc_changed(cache, &cut, NULL, NULL);
    assert_int_equal(dag_get(cache, 0, &dag), 0);
    assert_int_equal(dag_distance(dag, last), DAG_UNREACHABLE);
    assert_int_equal(dag_distance(dag, 1), DAG_UNREACHABLE);
    assert_int_equal(dag_distance(dag, 0), 0);
    dag_cache_free(cache);
    graph_free(graph);
    free(arcs);
}

static void memory_returns_when_dags_go(void **state)
{
    unsigned seed = test_seed(__func__);
    struct network network;
    struct graph *graph;
    struct dag_cache *cache;
    const struct dag *dag;
    size_t with_one;

    network_random(&network, 40, 200, 1, &seed);
    graph = network_graph(&network, NULL, NULL, NULL);
    assert_int_equal(dag_cache_new(graph, 1, &cache), 0);
    for (uint32_t i = 0; i < 40; i++)
        assert_int_equal(dag_get(cache, i, &dag), 0);
    assert_int_equal(dag_get(cache, 3, &dag), 0);
    with_one = dag_cache_memory(cache);
    for (uint32_t i = 0; i < 4000; i++)
        assert_int_equal(dag_get(cache, i % 40, &dag), 0);
    assert_int_equal(dag_get(cache, 3, &dag), 0);
    assert_int_equal(dag_cache_memory(cache), with_one);
    dag_cache_free(cache);
    graph_free(graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dags_hold_all_shortest_paths),
        cmocka_unit_test(repaired_dags_are_as_computed_anew),
        cmocka_unit_test(the_least_recently_used_dag_goes),
        cmocka_unit_test(a_change_that_was_not_told_costs_the_dags),
        cmocka_unit_test(nodes_that_come_later_are_reached),
        cmocka_unit_test(numbers_of_paths_saturate_and_indices_still_work),
        cmocka_unit_test(the_longest_path_is_found),
        cmocka_unit_test(memory_returns_when_dags_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
