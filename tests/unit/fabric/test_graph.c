/* The graph against a list of arcs. */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "weft/fabric/paths/graph.h"

#define MAX_NODES 24
#define MAX_ARCS 200

struct model {
    struct {
        bool is_present;
        uint64_t order;
    } nodes[MAX_NODES];
    struct {
        bool is_present;
        uint32_t from, to, weight;
        uint64_t order;
    } arcs[MAX_ARCS];
};

/* Whether arc 'a' stands before 'b' in the list of arcs out of (or into) their common node: as graph.h says. */
static bool stands_before(const struct model *model, uint32_t a, uint32_t b, bool is_out)
{
    uint32_t far_a = is_out ? model->arcs[a].to : model->arcs[a].from,
             far_b = is_out ? model->arcs[b].to : model->arcs[b].from;
    uint64_t keys_a[] = {model->nodes[far_a].order, far_a, model->arcs[a].order, model->arcs[a].weight, a};
    uint64_t keys_b[] = {model->nodes[far_b].order, far_b, model->arcs[b].order, model->arcs[b].weight, b};

    for (int i = 0; i < 5; i++)
        if (keys_a[i] != keys_b[i])
            return keys_a[i] < keys_b[i];
    return false;
}

static void check_list(const struct model *model, const uint32_t *arcs, size_t n, uint32_t node, bool is_out)
{
    size_t expected = 0;

    for (uint32_t i = 0; i < MAX_ARCS; i++)
        expected += model->arcs[i].is_present && (is_out ? model->arcs[i].from : model->arcs[i].to) == node;
    assert_int_equal(n, expected);
    for (size_t i = 0; i < n; i++) {
        assert_true(model->arcs[arcs[i]].is_present);
        assert_int_equal(is_out ? model->arcs[arcs[i]].from : model->arcs[arcs[i]].to, node);
        if (i > 0)
            assert_true(stands_before(model, arcs[i - 1], arcs[i], is_out));
    }
}

static void check(const struct model *model, const struct graph *graph)
{
    size_t n_nodes = 0, n_arcs = 0, n;
    const uint32_t *arcs;

    for (uint32_t i = 0; i < MAX_ARCS; i++) {
        assert_int_equal(graph_has_arc(graph, i), model->arcs[i].is_present);
        if (!model->arcs[i].is_present)
            continue;
        assert_int_equal(graph_from(graph, i), model->arcs[i].from);
        assert_int_equal(graph_to(graph, i), model->arcs[i].to);
        assert_int_equal(graph_weight(graph, i), model->arcs[i].weight);
        assert_true(i < graph_arc_limit(graph));
        n_arcs++;
    }
    for (uint32_t i = 0; i < MAX_NODES; i++) {
        assert_int_equal(graph_has_node(graph, i), model->nodes[i].is_present);
        if (!model->nodes[i].is_present)
            continue;
        assert_int_equal(graph_order(graph, i), model->nodes[i].order);
        arcs = graph_out(graph, i, &n);
        check_list(model, arcs, n, i, true);
        arcs = graph_in(graph, i, &n);
        check_list(model, arcs, n, i, false);
        n_nodes++;
    }
    assert_int_equal(graph_n_nodes(graph), n_nodes);
    assert_int_equal(graph_n_arcs(graph), n_arcs);
}

static void add_something(struct model *model, struct graph *graph, unsigned *seed)
{
    uint32_t from = (uint32_t)rand_r(seed) % MAX_NODES, to = (uint32_t)rand_r(seed) % MAX_NODES, number = GRAPH_NONE;
    uint32_t weight = 1 + (uint32_t)rand_r(seed) % 3;
    uint64_t order = (uint64_t)rand_r(seed) % 3;
    int expected = !model->nodes[from].is_present || !model->nodes[to].is_present ? -ENOENT : from == to ? -EINVAL : 0;

    if (rand_r(seed) % 4 == 0 && graph_n_nodes(graph) < MAX_NODES) {
        assert_int_equal(graph_add_node(graph, order, &number), 0);
        assert_true(number < MAX_NODES && !model->nodes[number].is_present);
        model->nodes[number].is_present = true;
        model->nodes[number].order = order;
        return;
    }
    if (graph_n_arcs(graph) == MAX_ARCS)
        return;
    assert_int_equal(graph_add_ranked_arc(graph, from, to, weight, order, &number), expected);
    if (expected < 0)
        return;
    assert_true(number < MAX_ARCS && !model->arcs[number].is_present);
    model->arcs[number].is_present = true;
    model->arcs[number].from = from;
    model->arcs[number].to = to;
    model->arcs[number].weight = weight;
    model->arcs[number].order = order;
}

static void change_something(struct model *model, struct graph *graph, unsigned *seed)
{
    uint32_t arc = (uint32_t)rand_r(seed) % MAX_ARCS, node = (uint32_t)rand_r(seed) % MAX_NODES;
    uint32_t weight = 1 + (uint32_t)rand_r(seed) % 3;

    switch (rand_r(seed) % 16) {
    case 0:
        graph_remove_node(graph, node);
        model->nodes[node].is_present = false;
        for (uint32_t i = 0; i < MAX_ARCS; i++)
            if (model->arcs[i].from == node || model->arcs[i].to == node)
                model->arcs[i].is_present = false;
        break;
    case 1 ... 8:
        graph_remove_arc(graph, arc);
        model->arcs[arc].is_present = false;
        break;
    default:
        assert_int_equal(graph_set_weight(graph, arc, weight), model->arcs[arc].is_present ? 0 : -ENOENT);
        if (model->arcs[arc].is_present)
            model->arcs[arc].weight = weight;
    }
}

static void graph_does_what_a_list_of_arcs_does(void **state)
{
    unsigned seed = test_seed(__func__);
    static struct model model;
    struct graph *graph;

    memset(&model, 0, sizeof model);
    assert_int_equal(graph_new(&graph), 0);
    for (int step = 0; step < 20000; step++) {
        if (rand_r(&seed) % 5 < 3)
            add_something(&model, graph, &seed);
        else
            change_something(&model, graph, &seed);
        check(&model, graph);
    }
    graph_free(graph);
}

static void limits_are_named(void **state)
{
    uint32_t a, b, arc;
    struct graph *graph;

    assert_int_equal(graph_new(&graph), 0);
    assert_int_equal(graph_add_node(graph, 0, &a), 0);
    assert_int_equal(graph_add_node(graph, 0, &b), 0);
    assert_int_equal(graph_add_arc(graph, a, b, 0, &arc), -ERANGE);
    assert_int_equal(graph_add_arc(graph, a, b, GRAPH_WEIGHT_MAX + 1, &arc), -ERANGE);
    assert_int_equal(graph_add_arc(graph, a, a, 1, &arc), -EINVAL);
    assert_int_equal(graph_add_arc(graph, a, 2, 1, &arc), -ENOENT);
    assert_int_equal(graph_add_arc(graph, a, b, GRAPH_WEIGHT_MAX, &arc), 0);
    assert_int_equal(graph_set_weight(graph, arc, 0), -ERANGE);
    assert_int_equal(graph_set_weight(graph, arc + 1, 1), -ENOENT);
    for (uint32_t i = 2; i < GRAPH_MAX_NODES; i++)
        assert_int_equal(graph_add_node(graph, 0, &a), 0);
    assert_int_equal(graph_add_node(graph, 0, &a), -ENOSPC);
    graph_remove_node(graph, 77);
    assert_int_equal(graph_add_node(graph, 0, &a), 0);
    assert_int_equal(a, 77);
    graph_free(graph);
}

static void versions_tell_of_changes(void **state)
{
    uint64_t version, arcs_version;
    uint32_t a, b, arc;
    struct graph *graph;

    assert_int_equal(graph_new(&graph), 0);
    assert_int_equal(graph_add_node(graph, 0, &a), 0);
    version = graph_version(graph);
    arcs_version = graph_arcs_version(graph);
    assert_int_equal(graph_add_node(graph, 0, &b), 0);
    assert_int_not_equal(graph_version(graph), version);
    assert_int_equal(graph_arcs_version(graph), arcs_version);
    assert_int_equal(graph_add_arc(graph, a, b, 1, &arc), 0);
    assert_int_equal(graph_arcs_version(graph), arcs_version + 1);
    version = graph_version(graph);
    assert_int_equal(graph_set_weight(graph, arc, 1), 0); /* No change. */
    assert_int_equal(graph_version(graph), version);
    assert_int_equal(graph_set_weight(graph, arc, 2), 0);
    assert_int_equal(graph_arcs_version(graph), arcs_version + 2);
    graph_remove_node(graph, b);
    assert_int_equal(graph_arcs_version(graph), arcs_version + 3);
    graph_free(graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graph_does_what_a_list_of_arcs_does),
        cmocka_unit_test(limits_are_named),
        cmocka_unit_test(versions_tell_of_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
