/* The reference algorithm: its published trace line for line, and on random networks against a plain version of it. */
#include "test.h"

#include <inttypes.h>
#include <string.h>

#include "network.h"
#include "weft/base/buffer.h"
#include "weft/base/util.h"
#include "weft/fabric/paths/flow-hash.h"
#include "weft/fabric/paths/reference-log.h"

#define PUBLISHED_HASH 2169503748u
#define N_SWITCHES 5 /* e1 .. e5 are 0 .. 4. */

static const char *trace_path;
static char published[8192];

static const uint8_t reference_links[][2] = {{4, 2}, {4, 1}, {2, 1}, {2, 0}, {2, 3}, {1, 0}, {1, 3}};

static int read_published(void **state)
{
    FILE *file = fopen(trace_path, "r");

    assert_non_null(file);
    assert_true(fread(published, 1, sizeof published - 1, file) > 1000);
    fclose(file);
    return 0;
}

/* --- the log ------------------------------------------------------------------------------------------------------ */

struct written {
    struct buffer text;
    uint64_t ids[NETWORK_MAX_NODES]; /* By node. */
};

static uint64_t datapath_id(uint32_t node, void *context)
{
    return ((struct written *)context)->ids[node];
}

static void write_line(const char *text, void *context)
{
    struct written *written = context;

    assert_int_equal(buffer_append_string(&written->text, text), 0);
    assert_int_equal(buffer_append_string(&written->text, "\n"), 0);
}

/* The reference topology, with 'ranks' of e1 .. e5 and 'ids' for them, and links added in a random order. */
static const char *trace_of(const uint64_t ranks[N_SWITCHES], const uint64_t ids[N_SWITCHES], struct written *written,
                            unsigned *seed)
{
    struct reference_log log = {.datapath_id = datapath_id, .line = write_line, .context = written};
    struct reference_trace trace = reference_log_trace(&log);
    uint32_t nodes[N_SWITCHES], arc, first = (uint32_t)rand_r(seed) % N_SWITCHES,
                                     turn = (uint32_t)rand_r(seed) % ARRAY_SIZE(reference_links);
    struct path_list list = {};
    struct graph *graph;

    buffer_clear(&written->text);
    assert_int_equal(graph_new(&graph), 0);
    for (uint32_t i = 0; i < N_SWITCHES; i++) {
        uint32_t k = (first + i) % N_SWITCHES;

        assert_int_equal(graph_add_node(graph, ranks[k], &nodes[k]), 0);
        written->ids[nodes[k]] = ids[k];
    }
    for (size_t i = 0; i < ARRAY_SIZE(reference_links); i++) {
        const uint8_t *link = reference_links[(i + turn) % ARRAY_SIZE(reference_links)];

        assert_int_equal(graph_add_arc(graph, nodes[link[0]], nodes[link[1]], 1 + i, &arc),
                         0); /* Weights do not count. */
        assert_int_equal(graph_add_arc(graph, nodes[link[1]], nodes[link[0]], 1, &arc), 0);
    }
    assert_int_equal(paths_reference(graph, nodes[4], nodes[3], 8, &trace, &list), 0);
    if (list.n > 0)
        assert_int_equal(reference_log_choice(&log, list.n, PUBLISHED_HASH), PUBLISHED_HASH % list.n);
    path_list_clear(&list);
    graph_free(graph);
    return buffer_string(&written->text);
}

static void the_published_trace_comes_out_line_for_line(void **state)
{
    static const uint64_t ids[N_SWITCHES] = {0xe1, 0xe2, 0xe3, 0xe4, 0xe5};
    static const uint64_t ranks[N_SWITCHES] = {1, 3, 0, 2, 4}; /* e3 e1 e4 e2 e5. */
    unsigned seed = test_seed(__func__);
    struct written written = {};

    for (int round = 0; round < 50; round++)
        assert_string_equal(trace_of(ranks, ids, &written, &seed), published);
    buffer_clear(&written.text);
}

/* e1 before e4 before e2, and e3 before e2, and e5 anywhere: 15 of 120, as is known of the trace. */
static void exactly_fifteen_orders_give_the_published_trace(void **state)
{
    static const uint64_t ids[N_SWITCHES] = {0xe1, 0xe2, 0xe3, 0xe4, 0xe5};
    unsigned seed = test_seed(__func__);
    struct written written = {};
    int n = 0;

    for (uint64_t code = 0; code < 3125; code++) {
        uint64_t ranks[N_SWITCHES], rest = code;
        unsigned seen = 0;
        bool fits, is_published;

        for (int i = 0; i < N_SWITCHES; i++, rest /= 5)
            seen |= 1u << (ranks[i] = rest % 5);
        if (seen != 31)
            continue;
        fits = ranks[0] < ranks[3] && ranks[3] < ranks[1] && ranks[2] < ranks[1];
        is_published = streq(trace_of(ranks, ids, &written, &seed), published);
        assert_int_equal(is_published, fits);
        n += is_published;
    }
    assert_int_equal(n, 15);
    buffer_clear(&written.text);
}

/* The published text with other datapath ids. */
static const char *relabelled(const uint64_t ids[N_SWITCHES], struct buffer *text)
{
    buffer_clear(text);
    for (const char *at = published; *at;) {
        if (strncmp(at, "0xe", 3) == 0) {
            assert_int_equal(buffer_printf(text, "0x%" PRIx64, ids[at[3] - '1']), 0);
            at += 4;
        } else {
            assert_int_equal(buffer_append(text, at++, 1), 0);
        }
    }
    return buffer_string(text);
}

static void a_relabelled_topology_gives_the_relabelled_trace(void **state)
{
    unsigned seed = test_seed(__func__);
    struct written written = {};
    struct buffer expected = {};

    for (int round = 0; round < 200; round++) {
        uint64_t ids[N_SWITCHES], ranks[N_SWITCHES] = {0};
        static const uint8_t order[N_SWITCHES] = {2, 0, 3, 1, 4};

        for (int i = 0; i < N_SWITCHES; i++)
            ids[i] = (uint64_t)rand_r(&seed) << 33 | (uint64_t)rand_r(&seed) << 2 | (uint64_t)i;
        for (int i = 1; i < N_SWITCHES; i++)
            ranks[order[i]] = ranks[order[i - 1]] + 1 + (uint64_t)rand_r(&seed);
        assert_string_equal(trace_of(ranks, ids, &written, &seed), relabelled(ids, &expected));
    }
    buffer_clear(&expected);
    buffer_clear(&written.text);
}

/* --- a plain version, over the network's lists -------------------------------------------------------------------- */

struct plain {
    const struct network *network;
    bool is_chosen[NETWORK_MAX_NODES], no_direct;
    struct buffer text;
    size_t n_paths;
};

static bool is_link(const struct plain *p, uint32_t a, uint32_t b, uint32_t from, uint32_t to)
{
    for (uint32_t i = 0; i < p->network->n_arcs; i++)
        if (p->network->arcs[i].from == a && p->network->arcs[i].to == b)
            return !p->is_chosen[b] && !(p->no_direct && a == from && b == to);
    return false;
}

static void say(struct plain *p, const char *what, uint32_t node, uint32_t number)
{
    assert_int_equal(buffer_printf(&p->text, "%s %u %u\n", what, node, number), 0);
}

static bool plain_round(struct plain *p, uint32_t from, uint32_t to)
{
    uint32_t distance[NETWORK_MAX_NODES], previous[NETWORK_MAX_NODES] = {0}, n = p->network->n_nodes;
    bool is_visited[NETWORK_MAX_NODES] = {false}, has_neighbour = from == to;

    for (uint32_t i = 0; i < n; i++) {
        has_neighbour |= is_link(p, from, i, from, to);
        distance[i] = i == from ? 0 : UINT32_MAX;
    }
    if (!has_neighbour)
        return false;
    for (;;) {
        uint32_t candidate = n;

        for (uint32_t i = 0; i < n; i++)
            if (!is_visited[i] && distance[i] != UINT32_MAX && (candidate == n || distance[i] < distance[candidate]))
                candidate = i;
        if (candidate == n)
            return false;
        is_visited[candidate] = true;
        say(p, "candidate", candidate, 0);
        if (candidate == to)
            break;
        for (uint32_t i = 0; i < n; i++) {
            if (is_visited[i] || !is_link(p, candidate, i, from, to))
                continue;
            if (distance[candidate] + 1 < distance[i]) {
                distance[i] = distance[candidate] + 1;
                previous[i] = candidate;
            }
            say(p, "distance", i, distance[i]);
        }
    }
    for (uint32_t node = to;; node = previous[node]) {
        say(p, "hop", node, 0);
        if (node != to && node != from)
            p->is_chosen[node] = true;
        if (node == from)
            break;
    }
    p->no_direct |= distance[to] == 1;
    say(p, "path", (uint32_t)p->n_paths++, 0);
    return from != to;
}

struct events {
    struct buffer text;
    const struct graph *graph;
};

static void event(struct events *events, const char *what, uint32_t node, uint32_t number)
{
    uint64_t rank = graph_order(events->graph, node);

    assert_int_equal(buffer_printf(&events->text, "%s %u %u\n", what, (unsigned)rank, number), 0);
}

static void on_candidate(uint32_t node, void *context)
{
    event(context, "candidate", node, 0);
}

static void on_distance(uint32_t node, uint32_t distance, void *context)
{
    event(context, "distance", node, distance);
}

static void on_hop(uint32_t node, void *context)
{
    event(context, "hop", node, 0);
}

static void on_path(size_t index, void *context)
{
    assert_int_equal(buffer_printf(&((struct events *)context)->text, "path %zu 0\n", index), 0);
}

static void random_networks_give_what_the_plain_version_gives(void **state)
{
    unsigned seed = test_seed(__func__);

    for (int round = 0; round < 2000; round++) {
        uint32_t nodes[NETWORK_MAX_NODES], from, to, rounds = 1 + (uint32_t)rand_r(&seed) % 8;
        struct network network;
        struct plain p = {.network = &network};
        struct events events = {};
        struct reference_trace trace = {on_candidate, on_distance, on_hop, on_path, &events};
        struct path_list list = {};
        struct graph *graph;

        network_random(&network, 2 + (uint32_t)rand_r(&seed) % 15, (uint32_t)rand_r(&seed) % 30, 5, &seed);
        graph = network_graph(&network, &seed, nodes, NULL);
        events.graph = graph;
        from = (uint32_t)rand_r(&seed) % network.n_nodes;
        to = (uint32_t)rand_r(&seed) % network.n_nodes;
        for (uint32_t i = 0; i < rounds && plain_round(&p, from, to);)
            i++;
        assert_int_equal(paths_reference(graph, nodes[from], nodes[to], rounds, &trace, &list), 0);
        assert_int_equal(list.n, p.n_paths);
        assert_string_equal(buffer_string(&events.text), buffer_string(&p.text));
        for (size_t i = 0; i < list.n; i++) { /* They are paths. */
            uint32_t node = nodes[from];

            for (uint32_t k = 0; k < list.paths[i].n_arcs; k++) {
                assert_int_equal(graph_from(graph, path_arcs(&list, i)[k]), node);
                node = graph_to(graph, path_arcs(&list, i)[k]);
            }
            assert_int_equal(node, nodes[to]);
            assert_int_equal(list.paths[i].cost, list.paths[i].n_arcs);
        }
        path_list_clear(&list);
        buffer_clear(&events.text);
        buffer_clear(&p.text);
        graph_free(graph);
    }
}

/* A triangle: the direct link once, then the way around, then no line more. */
static void a_direct_link_is_found_once(void **state)
{
    static const char expected[] =
        "candidate 0 0\ndistance 1 1\ndistance 2 1\ncandidate 1 0\nhop 1 0\nhop 0 0\npath 0 0\n"
        "candidate 0 0\ndistance 2 1\ncandidate 2 0\ndistance 1 2\ncandidate 1 0\nhop 1 0\nhop 2 0\nhop 0 0\npath 1 "
        "0\n";
    struct network network = {3, 7, {{0, 1, 1}, {1, 0, 1}, {0, 2, 1}, {2, 0, 1}, {1, 2, 1}, {2, 1, 1}, {0, 1, 1}}};
    struct events events = {};
    struct reference_trace trace = {on_candidate, on_distance, on_hop, on_path, &events};
    struct path_list list = {};
    struct graph *graph = network_graph(&network, NULL, NULL, NULL);

    events.graph = graph;
    assert_int_equal(paths_reference(graph, 0, 1, 8, &trace, &list), 0);
    assert_int_equal(list.n, 2);
    assert_string_equal(buffer_string(&events.text), expected);
    path_list_clear(&list);
    buffer_clear(&events.text);
    graph_free(graph);
}

/* Given a seed that was searched for, a real flow's hash makes the published last line. */
static void the_demonstration_s_flow_has_the_published_hash(void **state)
{
    struct flow_tuple flow = {.source = ip_from_v4(0x0a000001),
                              .destination = ip_from_v4(0x0a000002),
                              .source_port = 40000,
                              .destination_port = 5001,
                              .protocol = 6};
    struct written written = {};
    struct reference_log log = {.datapath_id = datapath_id, .line = write_line, .context = &written};
    const char *text;

    assert_int_equal(reference_log_choice(&log, 2, flow_hash(&flow, 946487445, false)), 0);
    text = buffer_string(&written.text);
    assert_string_equal(text, published + strlen(published) - strlen(text));
    assert_int_equal(reference_log_choice(&log, 7, 12), 5);
    buffer_clear(&written.text);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_trace_comes_out_line_for_line),
        cmocka_unit_test(exactly_fifteen_orders_give_the_published_trace),
        cmocka_unit_test(a_relabelled_topology_gives_the_relabelled_trace),
        cmocka_unit_test(random_networks_give_what_the_plain_version_gives),
        cmocka_unit_test(a_direct_link_is_found_once),
        cmocka_unit_test(the_demonstration_s_flow_has_the_published_hash),
    };

    if (argc != 2) {
        fprintf(stderr, "usage: test-fabric-reference ECMP-TRACE\n");
        return 2;
    }
    trace_path = argv[1];
    return cmocka_run_group_tests(tests, read_published, NULL);
}
