/* Path computation when memory runs out: the linker puts the functions below in front of malloc(), calloc() and
 * realloc(). */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "network.h"
#include "weft/fabric/paths/buckets.h"
#include "weft/fabric/paths/dag.h"
#include "weft/fabric/paths/paths.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static long n_left = -1; /* Allocations that still succeed, then one fails; negative: all do. */

static bool fails(void)
{
    return n_left >= 0 && n_left-- == 0;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails() ? NULL : __real_realloc(memory, size);
}

/* Whether the allocation that was to fail has; ends the failing. */
static bool has_failed(void)
{
    bool failed = n_left == -1;

    n_left = -1;
    return failed;
}

static void every_mode_returns_enomem_and_an_empty_list(void **state)
{
    unsigned seed = test_seed(__func__);
    int n_failed = 0;

    for (int round = 0; round < 30; round++) {
        struct network network;
        struct graph *graph;

        network_random(&network, 12, 40, 3, &seed);
        graph = network_graph(&network, NULL, NULL, NULL);
        for (enum path_mode mode = PATHS_REFERENCE; mode <= PATHS_K_SHORTEST; mode++) {
            struct path_list list = {};
            bool failed = true;

            for (long at = 0; failed; at++) {
                int r;

                n_left = at;
                r = paths_find(graph, mode, 0, 1, 20, &list);
                failed = has_failed();
                n_failed += failed;
                assert_int_equal(r, failed ? -ENOMEM : 0);
                if (failed)
                    assert_true(list.n == 0 && !list.paths && !list.arcs);
                path_list_clear(&list);
            }
        }
        graph_free(graph);
    }
    assert_true(n_failed > 500);
}

/* Each allocation fails once and then succeeds. */
static void a_graph_is_as_before_when_it_cannot_grow(void **state)
{
    int n_failed = 0;

    for (long first = 0; first < 4; first++) {
        uint32_t node, arc;
        struct graph *graph;

        assert_int_equal(graph_new(&graph), 0);
        for (uint32_t i = 0; i < 400; i++) {
            uint64_t version = graph_version(graph);
            size_t n_arcs = graph_n_arcs(graph);
            int r;

            n_left = 0;
            r = graph_add_node(graph, i, &node);
            if (has_failed()) {
                n_failed++;
                assert_int_equal(r, -ENOMEM);
                assert_int_equal(graph_n_nodes(graph), i);
                assert_int_equal(graph_version(graph), version);
                assert_int_equal(graph_add_node(graph, i, &node), 0);
            }
            if (i == 0)
                continue;
            version = graph_version(graph);
            n_left = first;
            r = graph_add_arc(graph, i % 7 ? 0 : i - 1, i, 1, &arc);
            if (has_failed()) {
                n_failed++;
                assert_int_equal(r, -ENOMEM);
                assert_int_equal(graph_n_arcs(graph), n_arcs);
                assert_int_equal(graph_version(graph), version);
                assert_int_equal(graph_add_arc(graph, i % 7 ? 0 : i - 1, i, 1, &arc), 0);
            }
            assert_int_equal(graph_to(graph, arc), i);
        }
        graph_free(graph);
    }
    assert_true(n_failed > 300);
}

static void count_dropped(uint32_t destination, uint32_t node, void *context)
{
    *(int *)context += node == GRAPH_NONE;
}

static void check_same(struct dag_cache *cache, struct dag_cache *fresh, const struct graph *graph)
{
    for (uint32_t to = 0; to < graph_node_limit(graph); to++) {
        const struct dag *dag, *expected;

        assert_int_equal(dag_get(cache, to, &dag), 0);
        assert_int_equal(dag_get(fresh, to, &expected), 0);
        for (uint32_t node = 0; node < graph_node_limit(graph); node++) {
            size_t n, n_expected;
            const uint32_t *next = dag_next(dag, node, &n), *next_expected = dag_next(expected, node, &n_expected);

            assert_int_equal(dag_distance(dag, node), dag_distance(expected, node));
            assert_int_equal(dag_n_paths(dag, node), dag_n_paths(expected, node));
            assert_int_equal(n, n_expected);
            if (n > 0)
                assert_memory_equal(next, next_expected, n * sizeof *next);
        }
    }
}

static void dags_that_cannot_be_repaired_are_dropped(void **state)
{
    unsigned seed = test_seed(__func__);
    int n_dropped = 0, n_refused = 0;

    for (int round = 0; round < 40; round++) {
        struct network network;
        struct dag_cache *cache;
        struct graph *graph;

        network_random(&network, 16, 70, 2, &seed);
        graph = network_graph(&network, NULL, NULL, NULL);
        assert_int_equal(dag_cache_new(graph, 64, &cache), 0);
        for (int step = 0; step < 100; step++) {
            uint32_t arc = (uint32_t)rand_r(&seed) % graph_arc_limit(graph), to = (uint32_t)rand_r(&seed) % 16, node;
            struct dag_cache *fresh;
            const struct dag *dag;
            struct arc_change change;
            int r;

            if (step % 10 == 0)
                assert_int_equal(graph_add_node(graph, 99, &node), 0); /* DAGs must grow. */
            n_left = rand_r(&seed) % 12;
            r = dag_get(cache, to, &dag);
            if (has_failed()) {
                assert_int_equal(r, -ENOMEM);
                n_refused++;
            }
            if (!graph_has_arc(graph, arc)) {
                assert_int_equal(graph_add_arc(graph, to, (to + 1) % graph_node_limit(graph), 1, &arc), 0);
                change = (struct arc_change){arc, to, (to + 1) % graph_node_limit(graph), 0, 1};
            } else {
                change =
                    (struct arc_change){arc, graph_from(graph, arc), graph_to(graph, arc), graph_weight(graph, arc), 0};
                graph_remove_arc(graph, arc);
            }
            n_left = rand_r(&seed) % 4;
            dag_cache_arc_changed(cache, &change, count_dropped, &n_dropped);
            has_failed();
            assert_int_equal(dag_cache_new(graph, 64, &fresh), 0);
            check_same(cache, fresh, graph);
            dag_cache_free(fresh);
        }
        dag_cache_free(cache);
        graph_free(graph);
    }
    assert_true(n_dropped > 20);
    assert_true(n_refused > 20);
}

static void a_table_of_buckets_is_as_before(void **state)
{
    struct buckets buckets = {}, before;

    assert_int_equal(buckets_set(&buckets, 5, NULL, NULL), 0);
    before = buckets;
    for (long at = 0; at < 2; at++) {
        n_left = at;
        assert_int_equal(buckets_set(&buckets, 4, NULL, (int32_t[]){0, 1, 2, 3}), -ENOMEM);
        assert_true(has_failed());
        assert_memory_equal(&buckets, &before, sizeof buckets);
    }
    buckets_clear(&buckets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mode_returns_enomem_and_an_empty_list),
        cmocka_unit_test(a_graph_is_as_before_when_it_cannot_grow),
        cmocka_unit_test(dags_that_cannot_be_repaired_are_dropped),
        cmocka_unit_test(a_table_of_buckets_is_as_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
