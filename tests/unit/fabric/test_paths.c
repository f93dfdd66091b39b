/* Equal-cost, disjoint and k-shortest paths against a list of all loopless paths. */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "network.h"
#include "weft/base/util.h"
#include "weft/fabric/paths/paths.h"

#define MAX_ALL 20000
#define MAX_HOPS 16

/* --- the oracle --------------------------------------------------------------------------------------------------- */

struct plain_path {
    uint32_t arcs[MAX_HOPS], n; /* Of the network. */
    uint64_t cost, arc_set;
    uint32_t switch_set; /* Between the ends. */
};

struct all_paths {
    const struct network *network;
    uint32_t to, visited;
    struct plain_path current, paths[MAX_ALL];
    size_t n;
};

static void enumerate(struct all_paths *all, uint32_t node)
{
    if (node == all->to) {
        if (all->n < MAX_ALL)
            all->paths[all->n++] = all->current;
        return;
    }
    all->visited |= 1u << node;
    for (uint32_t i = 0; i < all->network->n_arcs; i++) {
        const struct network_arc *arc = &all->network->arcs[i];
        struct plain_path before = all->current;

        if (arc->from != node || all->visited & 1u << arc->to)
            continue;
        assert_true(all->current.n < MAX_HOPS);
        all->current.arcs[all->current.n++] = i;
        all->current.cost += arc->weight;
        all->current.arc_set |= 1ull << i % 64;
        if (arc->to != all->to)
            all->current.switch_set |= 1u << arc->to;
        enumerate(all, arc->to);
        all->current = before;
    }
    all->visited &= ~(1u << node);
}

static const struct network *sorting_network;
static const uint32_t
    *sorting_numbers; /* Of arcs in the graph, which tell parallel arcs of one weight apart; NULL: they are the same. */

/* By cost, then arc by arc, by head and weight. */
static int compare_plain(const void *a, const void *b)
{
    const struct plain_path *x = a, *y = b;

    if (x->cost != y->cost)
        return x->cost < y->cost ? -1 : 1;
    for (uint32_t i = 0; i < x->n && i < y->n; i++) {
        const struct network_arc *p = &sorting_network->arcs[x->arcs[i]], *q = &sorting_network->arcs[y->arcs[i]];

        if (p->to != q->to)
            return p->to < q->to ? -1 : 1;
        if (p->weight != q->weight)
            return p->weight < q->weight ? -1 : 1;
        if (p != q && sorting_numbers)
            return sorting_numbers[x->arcs[i]] < sorting_numbers[y->arcs[i]] ? -1 : 1;
    }
    return x->n < y->n ? -1 : x->n > y->n;
}

static struct all_paths *find_all(const struct network *network, const uint32_t *numbers, uint32_t from, uint32_t to)
{
    static struct all_paths all;

    all.network = sorting_network = network;
    sorting_numbers = numbers;
    all.to = to;
    all.visited = 0;
    all.n = 0;
    all.current = (struct plain_path){0};
    enumerate(&all, from);
    qsort(all.paths, all.n, sizeof *all.paths, compare_plain);
    return &all;
}

/* --- a graph and what it was made from ---------------------------------------------------------------------------- */

struct instance {
    struct network network;
    struct graph *graph;
    uint32_t nodes[NETWORK_MAX_NODES], arcs[NETWORK_MAX_ARCS], from, to;
};

static void make_instance(struct instance *instance, uint32_t n_nodes, uint32_t n_links, unsigned *seed)
{
    network_random(&instance->network, n_nodes, n_links, 1 + (uint32_t)rand_r(seed) % 4, seed);
    instance->graph = network_graph(&instance->network, seed, instance->nodes, instance->arcs);
    instance->from = (uint32_t)rand_r(seed) % n_nodes;
    instance->to = (uint32_t)rand_r(seed) % n_nodes;
}

static void make_some_instance(struct instance *instance, uint32_t max_nodes, uint32_t max_links, unsigned *seed)
{
    make_instance(instance, 2 + (uint32_t)rand_r(seed) % (max_nodes - 1), 1 + (uint32_t)rand_r(seed) % max_links, seed);
}

static int find(const struct instance *instance, enum path_mode mode, size_t max_paths, struct path_list *list)
{
    return paths_find(instance->graph, mode, instance->nodes[instance->from], instance->nodes[instance->to], max_paths,
                      list);
}

/* As arcs of the network. */
static struct plain_path plain(const struct instance *instance, const struct path_list *list, size_t index)
{
    struct plain_path path = {.n = list->paths[index].n_arcs, .cost = list->paths[index].cost};
    uint32_t node = instance->from;
    uint64_t cost = 0;

    assert_true(path.n <= MAX_HOPS);
    for (uint32_t i = 0; i < path.n; i++) {
        const struct network_arc *arc;
        uint32_t k;

        for (k = 0; instance->arcs[k] != path_arcs(list, index)[i]; k++)
            assert_true(k + 1 < instance->network.n_arcs);
        arc = &instance->network.arcs[k];
        assert_int_equal(arc->from, node);
        node = arc->to;
        cost += arc->weight;
        path.arcs[i] = k;
        path.arc_set |= 1ull << k;
        if (i + 1 < path.n)
            path.switch_set |= 1u << arc->to;
    }
    assert_int_equal(node, instance->to);
    assert_int_equal(cost, path.cost);
    return path;
}

/* --- equal-cost and k-shortest ------------------------------------------------------------------------------------ */

static void check_first(const struct instance *instance, const struct path_list *list, const struct all_paths *all,
                        size_t n_expected)
{
    assert_int_equal(list->n, n_expected);
    for (size_t i = 0; i < list->n; i++) {
        struct plain_path path = plain(instance, list, i);

        assert_int_equal(compare_plain(&path, &all->paths[i]), 0);
        for (size_t k = 0; k < i; k++) { /* None twice. */
            struct plain_path other = plain(instance, list, k);

            assert_false(other.n == path.n && memcmp(other.arcs, path.arcs, path.n * sizeof *path.arcs) == 0);
        }
    }
}

static void the_k_shortest_paths_are_the_first_of_all(void **state)
{
    unsigned seed = test_seed(__func__);
    int n_large = 0;

    for (int round = 0; round < 600; round++) {
        static const size_t numbers[] = {1, 2, 3, 8, 50, 200};
        struct instance instance;
        struct all_paths *all;

        if (round % 8)
            make_some_instance(&instance, 9, 14, &seed);
        else
            make_instance(&instance, 10, 28, &seed);
        all = find_all(&instance.network, instance.arcs, instance.from, instance.to);
        if (all->n == MAX_ALL) { /* Not all. */
            graph_free(instance.graph);
            continue;
        }
        n_large += all->n > 200;
        for (size_t k = 0; k < ARRAY_SIZE(numbers); k++) {
            struct path_list list = {};
            size_t n_equal = 0;

            assert_int_equal(find(&instance, PATHS_K_SHORTEST, numbers[k], &list), 0);
            check_first(&instance, &list, all, MIN(all->n, numbers[k]));
            path_list_clear(&list);

            while (n_equal < all->n && all->paths[n_equal].cost == all->paths[0].cost)
                n_equal++;
            assert_int_equal(find(&instance, PATHS_EQUAL_COST, numbers[k], &list), 0);
            check_first(&instance, &list, all, MIN(n_equal, numbers[k]));
            path_list_clear(&list);
        }
        graph_free(instance.graph);
    }
    assert_true(n_large > 10); /* Or the rounds say little. */
}

/* --- disjoint ----------------------------------------------------------------------------------------------------- */

struct packing {
    uint64_t best_cost;
    size_t best_n, max_n;
};

/* The most paths of 'paths' that share nothing, and their least cost: each in turn is in, with those after it that fit,
 * or out. */
static void pack(struct packing *packing, const struct plain_path *const *paths, size_t n, size_t n_taken,
                 uint64_t cost)
{
    if (n_taken > packing->best_n || (n_taken == packing->best_n && cost < packing->best_cost)) {
        packing->best_n = n_taken;
        packing->best_cost = cost;
    }
    if (n_taken == packing->max_n)
        return;
    for (size_t i = 0; i < n; i++) {
        const struct plain_path **fitting = malloc((n - i) * sizeof *fitting);
        size_t n_fitting = 0;

        assert_non_null(fitting);
        for (size_t k = i + 1; k < n; k++)
            if (!(paths[k]->arc_set & paths[i]->arc_set) && !(paths[k]->switch_set & paths[i]->switch_set))
                fitting[n_fitting++] = paths[k];
        pack(packing, fitting, n_fitting, n_taken + 1, cost + paths[i]->cost);
        free(fitting);
    }
}

static void check_disjoint(const struct instance *instance, struct all_paths *all, size_t max_paths)
{
    const struct plain_path *pointers[400];
    uint64_t common_arcs = UINT64_MAX, used_arcs = 0, cost = 0;
    uint32_t common_switches = UINT32_MAX, used_switches = 0;
    struct packing packing = {.max_n = max_paths};
    struct path_list list = {};
    struct plain_path previous = {0};

    for (size_t i = 0; i < all->n; i++) {
        common_arcs &= all->paths[i].arc_set;
        common_switches &= all->paths[i].switch_set;
    }
    for (size_t i = 0; i < all->n; i++) {
        all->paths[i].arc_set &= ~common_arcs;
        all->paths[i].switch_set &= ~common_switches;
        pointers[i] = &all->paths[i];
    }
    if (all->n == 1)
        packing.max_n = 1;
    pack(&packing, pointers, all->n, 0, 0);

    assert_int_equal(find(instance, PATHS_DISJOINT, max_paths, &list), 0);
    assert_int_equal(list.n, packing.best_n);
    for (size_t i = 0; i < list.n; i++) {
        struct plain_path path = plain(instance, &list, i);

        assert_int_equal(path.arc_set & ~common_arcs & used_arcs, 0);
        assert_int_equal(path.switch_set & ~common_switches & used_switches, 0);
        used_arcs |= path.arc_set;
        used_switches |= path.switch_set;
        cost += path.cost;
        assert_true(i == 0 || compare_plain(&previous, &path) <= 0);
        previous = path;
    }
    assert_int_equal(cost, packing.best_cost);
    path_list_clear(&list);
}

static void disjoint_paths_share_only_what_all_paths_use(void **state)
{
    unsigned seed = test_seed(__func__);
    int n_with_cuts = 0, n_several = 0;

    for (int round = 0; round < 4000; round++) {
        struct instance instance;
        struct all_paths *all;

        make_some_instance(&instance, 9, 18, &seed);
        all = find_all(&instance.network, instance.arcs, instance.from, instance.to);
        if (all->n <= 400 && instance.network.n_arcs <= 64) {
            uint64_t common = UINT64_MAX;

            for (size_t i = 0; i < all->n; i++)
                common &= all->paths[i].arc_set;
            n_with_cuts += all->n > 1 && common != 0;
            n_several += all->n > 1;
            check_disjoint(&instance, find_all(&instance.network, instance.arcs, instance.from, instance.to), 1);
            check_disjoint(&instance, find_all(&instance.network, instance.arcs, instance.from, instance.to), 2);
            check_disjoint(&instance, find_all(&instance.network, instance.arcs, instance.from, instance.to), 5);
        }
        graph_free(instance.graph);
    }
    assert_true(n_several > 800 && n_with_cuts > 100);
}

static struct graph *make_graph(uint32_t n_nodes, const uint32_t (*links)[3], size_t n_links)
{
    struct graph *graph;
    uint32_t number;

    assert_int_equal(graph_new(&graph), 0);
    for (uint32_t i = 0; i < n_nodes; i++)
        assert_int_equal(graph_add_node(graph, i, &number), 0);
    for (size_t i = 0; i < n_links; i++) {
        assert_int_equal(graph_add_arc(graph, links[i][0], links[i][1], links[i][2], &number), 0);
        assert_int_equal(graph_add_arc(graph, links[i][1], links[i][0], links[i][2], &number), 0);
    }
    return graph;
}

/* The greedy shortest path 0-1-2-3 uses up what both disjoint ones need. */
static void the_trap_topology_has_two_disjoint_paths(void **state)
{
    static const uint32_t links[][3] = {{0, 1, 1}, {1, 2, 1}, {2, 3, 1}, {0, 2, 4}, {1, 3, 4}};
    struct graph *graph = make_graph(4, links, ARRAY_SIZE(links));
    struct path_list list = {};

    assert_int_equal(paths_disjoint(graph, 0, 3, 8, &list), 0);
    assert_int_equal(list.n, 2);
    assert_int_equal(list.paths[0].cost, 5);
    assert_int_equal(list.paths[1].cost, 5);
    assert_int_equal(graph_to(graph, path_arcs(&list, 0)[0]), 1);
    assert_int_equal(graph_to(graph, path_arcs(&list, 1)[0]), 2);
    path_list_clear(&list);
    graph_free(graph);
}

/* 0 = {1, 2} = 3 = {4, 5} = 6: all share switch 3 and nothing else. */
static void a_cut_switch_does_not_hide_the_second_path(void **state)
{
    static const uint32_t links[][3] = {{0, 1, 1}, {0, 2, 1}, {1, 3, 1}, {2, 3, 1},
                                        {3, 4, 1}, {3, 5, 1}, {4, 6, 1}, {5, 6, 1}};
    struct graph *graph = make_graph(7, links, ARRAY_SIZE(links));
    struct path_list list = {};

    assert_int_equal(paths_disjoint(graph, 0, 6, 8, &list), 0);
    assert_int_equal(list.n, 2);
    path_list_clear(&list);
    assert_int_equal(paths_reference(graph, 0, 6, 8, NULL, &list), 0);
    assert_int_equal(list.n, 1); /* What the reference algorithm does there. */
    path_list_clear(&list);
    graph_free(graph);
}

/* --- all modes ---------------------------------------------------------------------------------------------------- */

static void the_order_of_changes_does_not_matter(void **state)
{
    unsigned seed = test_seed(__func__);

    for (int round = 0; round < 400; round++) {
        struct instance one, other;

        make_some_instance(&one, 14, 32, &seed);
        other = one;
        other.graph = network_graph(&other.network, &seed, other.nodes, other.arcs);
        sorting_network = &one.network;
        sorting_numbers = NULL;
        for (enum path_mode mode = PATHS_REFERENCE; mode <= PATHS_K_SHORTEST; mode++) {
            struct path_list a = {}, b = {};

            assert_int_equal(find(&one, mode, 8, &a), 0);
            assert_int_equal(find(&other, mode, 8, &b), 0);
            assert_int_equal(a.n, b.n);
            for (size_t i = 0; i < a.n; i++) {
                struct plain_path x, y;

                if (mode == PATHS_REFERENCE) { /* Its cost is the number of arcs. */
                    assert_int_equal(a.paths[i].cost, a.paths[i].n_arcs);
                    assert_int_equal(a.paths[i].n_arcs, b.paths[i].n_arcs);
                    for (uint32_t k = 0; k < a.paths[i].n_arcs; k++)
                        assert_int_equal(graph_order(one.graph, graph_to(one.graph, path_arcs(&a, i)[k])),
                                         graph_order(other.graph, graph_to(other.graph, path_arcs(&b, i)[k])));
                    continue;
                }
                x = plain(&one, &a, i);
                y = plain(&other, &b, i);
                assert_int_equal(compare_plain(&x, &y), 0);
            }
            path_list_clear(&a);
            path_list_clear(&b);
        }
        graph_free(one.graph);
        graph_free(other.graph);
    }
}

static void ports_rank_parallel_links(void **state)
{
    for (int round = 0; round < 2; round++) {
        uint32_t number, arcs[2];
        struct path_list list = {};
        struct graph *graph = make_graph(2, NULL, 0);

        assert_int_equal(graph_add_ranked_arc(graph, 0, 1, 1, round ? 9 : 4, &arcs[round]), 0);
        assert_int_equal(graph_add_ranked_arc(graph, 0, 1, 1, round ? 4 : 9, &arcs[!round]), 0);
        assert_int_equal(graph_add_ranked_arc(graph, 1, 0, 1, 1, &number), 0);
        for (enum path_mode mode = PATHS_REFERENCE; mode <= PATHS_K_SHORTEST; mode++) {
            assert_int_equal(paths_find(graph, mode, 0, 1, 8, &list), 0);
            assert_int_equal(list.n, mode == PATHS_REFERENCE ? 1 : 2);
            assert_int_equal(list.arcs[0], arcs[0]);
            path_list_clear(&list);
        }
        graph_free(graph);
    }
}

static void ends_are_checked(void **state)
{
    static const uint32_t links[][3] = {{0, 1, 1}};
    struct graph *graph = make_graph(3, links, 1);
    struct path_list list = {};

    graph_remove_node(graph, 2);
    for (enum path_mode mode = PATHS_REFERENCE; mode <= PATHS_K_SHORTEST; mode++) {
        assert_int_equal(paths_find(graph, mode, 0, 2, 8, &list), -ENOENT);
        assert_int_equal(paths_find(graph, mode, 2, 0, 8, &list), -ENOENT);
        assert_int_equal(paths_find(graph, mode, 77, 0, 8, &list), -ENOENT);
        assert_int_equal(paths_find(graph, mode, 0, 1, 0, &list), -EINVAL);
        assert_int_equal(paths_find(graph, mode, 0, 1, PATHS_MAX + 1, &list), -EINVAL);
        assert_int_equal(list.n, 0);
        assert_int_equal(paths_find(graph, mode, 1, 1, PATHS_MAX, &list), 0); /* To itself. */
        assert_int_equal(list.n, 1);
        assert_int_equal(list.paths[0].n_arcs, 0);
        assert_int_equal(list.paths[0].cost, 0);
        path_list_clear(&list);
    }
    graph_free(graph);
}

static void unreachable_is_no_path(void **state)
{
    uint32_t node;
    struct path_list list = {};
    struct graph *graph = make_graph(2, NULL, 0);

    assert_int_equal(graph_add_arc(graph, 1, 0, 1, &node), 0); /* The other direction only. */
    for (enum path_mode mode = PATHS_REFERENCE; mode <= PATHS_K_SHORTEST; mode++) {
        assert_int_equal(paths_find(graph, mode, 0, 1, 8, &list), 0);
        assert_int_equal(list.n, 0);
        path_list_clear(&list);
    }
    graph_free(graph);
}

static void the_largest_weights_add_up(void **state)
{
    enum { N = 300 };
    uint32_t(*links)[3] = calloc(N, sizeof *links);
    struct path_list list = {};
    struct graph *graph;

    assert_non_null(links);
    for (uint32_t i = 0; i < N; i++) {
        links[i][0] = i;
        links[i][1] = (i + 1) % N; /* A ring. */
        links[i][2] = GRAPH_WEIGHT_MAX;
    }
    graph = make_graph(N, (const uint32_t(*)[3])links, N);
    for (enum path_mode mode = PATHS_EQUAL_COST; mode <= PATHS_K_SHORTEST; mode++) {
        assert_int_equal(paths_find(graph, mode, 0, 100, 8, &list), 0);
        assert_int_equal(list.n, mode == PATHS_EQUAL_COST ? 1 : 2);
        assert_int_equal(list.paths[0].cost, 100ull * GRAPH_WEIGHT_MAX);
        if (list.n > 1)
            assert_int_equal(list.paths[1].cost, 200ull * GRAPH_WEIGHT_MAX);
        path_list_clear(&list);
    }
    graph_free(graph);
    free(links);
}

static void modes_have_names(void **state)
{
    enum path_mode mode;

    for (enum path_mode each = PATHS_REFERENCE; each <= PATHS_K_SHORTEST; each++) {
        assert_int_equal(path_mode_parse(path_mode_name(each), &mode), 0);
        assert_int_equal(mode, each);
    }
    assert_string_equal(path_mode_name(PATHS_K_SHORTEST), "k-shortest");
    assert_int_equal(path_mode_parse("fastest", &mode), -EINVAL);
    assert_int_equal(path_mode_parse("", &mode), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_k_shortest_paths_are_the_first_of_all),
        cmocka_unit_test(disjoint_paths_share_only_what_all_paths_use),
        cmocka_unit_test(the_trap_topology_has_two_disjoint_paths),
        cmocka_unit_test(a_cut_switch_does_not_hide_the_second_path),
        cmocka_unit_test(the_order_of_changes_does_not_matter),
        cmocka_unit_test(ports_rank_parallel_links),
        cmocka_unit_test(ends_are_checked),
        cmocka_unit_test(unreachable_is_no_path),
        cmocka_unit_test(the_largest_weights_add_up),
        cmocka_unit_test(modes_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
