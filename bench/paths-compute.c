/* How fast paths are computed, and how flows spread over them:  bench-paths-compute [SECONDS]
 *
 * Fat-trees of k = 4, 8, 16, 48 (k^2 / 2 edge switches, as many that aggregate, k^2 / 4 cores) and random graphs: a DAG
 * from scratch, the set of equal-cost paths from cache, one path of it, the other modes, and what a link's or switch's
 * failure costs with the DAGs of all edge switches in cache.  Then nanoseconds of the flow hash and of the bucket,
 * chi-square of 100,000 flows, and the flows that move when a path is lost.
 *
 * SECONDS (0.2) is about how long each of the quick ones is repeated.  Times are CPU time of the thread.  Prints a JSON
 * array of rows {name, unit, ours, peer, ratio, goal, met}; 'goal' limits the ratio where there is a peer, else ours.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "weft/base/util.h"
#include "weft/fabric/paths/buckets.h"
#include "weft/fabric/paths/dag.h"
#include "weft/fabric/paths/flow-hash.h"

#define N_FLOWS 100000

static double seconds = 0.2;
static unsigned seed = 1;
static bool is_first_row = true;

static void check(int r, const char *what)
{
    if (r >= 0)
        return;
    fprintf(stderr, "bench-paths-compute: %s: %s\n", what, strerror(-r));
    exit(1);
}

/* CPU time: what others do on this machine meanwhile is not ours. */
static uint64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A 'goal' of "<=" and a limit; NULL is none.  A 'peer' of 0 is none. */
static void row(const char *name, const char *what, const char *unit, double ours, double peer, const char *goal,
                double limit)
{
    double judged = peer > 0 ? ours / peer : ours;

    printf("%s {\"name\": \"%s: %s\", \"unit\": \"%s\", \"ours\": %.5g", is_first_row ? "[" : ",\n ", name, what, unit,
           ours);
    is_first_row = false;
    if (peer > 0)
        printf(", \"peer\": %.5g, \"ratio\": %.5g", peer, judged);
    else
        printf(", \"peer\": null, \"ratio\": null");
    if (goal)
        printf(", \"goal\": \"%s %.5g\", \"met\": %s}", goal, limit, judged <= limit ? "true" : "false");
    else
        printf(", \"goal\": null, \"met\": null}");
    fflush(stdout);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* --- topologies --------------------------------------------------------------------------------------------------- */

struct topology {
    char name[64];
    struct graph *graph;
    uint32_t *destinations; /* Where hosts are. */
    uint32_t n_destinations;
    uint32_t (*links)[2]; /* Their arcs. */
    uint32_t n_links;
};

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);

    if (!memory)
        check(-ENOMEM, "memory");
    return memory;
}

static uint32_t add_node(struct topology *topology)
{
    uint32_t node = 0;

    check(graph_add_node(topology->graph, graph_n_nodes(topology->graph), &node), "node");
    return node;
}

static void add_link(struct topology *topology, uint32_t a, uint32_t b, uint32_t weight)
{
    uint32_t *arcs = topology->links[topology->n_links++];

    check(graph_add_arc(topology->graph, a, b, weight, &arcs[0]), "arc");
    check(graph_add_arc(topology->graph, b, a, weight, &arcs[1]), "arc");
}

/* Al-Fares, Loukissas and Vahdat, "A scalable, commodity data center network architecture" (2008). */
static struct topology fat_tree(uint32_t k)
{
    uint32_t half = k / 2, *cores = allocate(half * half * sizeof *cores), *above = allocate(half * sizeof *above);
    struct topology topology = {.n_destinations = 0};

    snprintf(topology.name, sizeof topology.name, "fat-tree k=%u", k);
    topology.destinations = allocate(k * half * sizeof *topology.destinations);
    topology.links = allocate(k * half * half * 2 * sizeof *topology.links);
    check(graph_new(&topology.graph), "graph");
    for (uint32_t i = 0; i < half * half; i++)
        cores[i] = add_node(&topology);
    for (uint32_t pod = 0; pod < k; pod++) {
        for (uint32_t i = 0; i < half; i++) {
            above[i] = add_node(&topology);
            for (uint32_t j = 0; j < half; j++)
                add_link(&topology, above[i], cores[i * half + j], 1);
        }
        for (uint32_t i = 0; i < half; i++) {
            uint32_t edge = add_node(&topology);

            topology.destinations[topology.n_destinations++] = edge;
            for (uint32_t j = 0; j < half; j++)
                add_link(&topology, edge, above[j], 1);
        }
    }
    free(cores);
    free(above);
    return topology;
}

static struct topology random_graph(uint32_t n_nodes, uint32_t n_links, uint32_t max_weight)
{
    struct topology topology = {.n_destinations = n_nodes};

    snprintf(topology.name, sizeof topology.name, "random, %u switches, %u links, weights to %u", n_nodes, n_links,
             max_weight);
    topology.destinations = allocate(n_nodes * sizeof *topology.destinations);
    topology.links = allocate(n_links * sizeof *topology.links);
    check(graph_new(&topology.graph), "graph");
    for (uint32_t i = 0; i < n_nodes; i++)
        topology.destinations[i] = add_node(&topology);
    while (topology.n_links < n_links) {
        uint32_t a = topology.n_links + 1 < n_nodes ? topology.n_links + 1
                                                    : (uint32_t)rand_r(&seed) % n_nodes; /* A tree first. */
        uint32_t b = topology.n_links + 1 < n_nodes ? (uint32_t)rand_r(&seed) % a : (uint32_t)rand_r(&seed) % n_nodes;

        if (a != b)
            add_link(&topology, topology.destinations[a], topology.destinations[b],
                     1 + (uint32_t)rand_r(&seed) % max_weight);
    }
    return topology;
}

static void topology_clear(struct topology *topology)
{
    graph_free(topology->graph);
    free(topology->destinations);
    free(topology->links);
}

static uint32_t any_destination(const struct topology *topology)
{
    return topology->destinations[(uint32_t)rand_r(&seed) % topology->n_destinations];
}

/* --- from scratch and from cache ---------------------------------------------------------------------------------- */

static void bench_scratch(const struct topology *topology, double limit_us)
{
    struct dag_cache *cache;
    const struct dag *dag;
    uint64_t start, now, n = 0;

    check(dag_cache_new(topology->graph, 1, &cache), "cache");
    check(dag_get(cache, topology->destinations[0], &dag), "DAG"); /* Allocates scratch. */
    start = now = cpu_ns();
    while (n < 3 || now - start < seconds * 1e9) {
        check(dag_get(cache, topology->destinations[(n + 1) % topology->n_destinations], &dag), "DAG");
        n++;
        now = cpu_ns();
    }
    row(topology->name, "DAG of a destination from scratch", "us", (double)(now - start) / 1e3 / (double)n, 0,
        limit_us > 0 ? "<=" : NULL, limit_us);
    dag_cache_free(cache);
}

static struct dag_cache *fill_cache(const struct topology *topology)
{
    struct dag_cache *cache;
    const struct dag *dag;

    check(dag_cache_new(topology->graph, topology->n_destinations, &cache), "cache");
    for (uint32_t i = 0; i < topology->n_destinations; i++)
        check(dag_get(cache, topology->destinations[i], &dag), "DAG");
    return cache;
}

#define N_PAIRS 1024

static void bench_cached(const struct topology *topology, struct dag_cache *cache, double limit_us)
{
    uint32_t(*pairs)[2] = allocate(N_PAIRS * sizeof *pairs), arcs[4096];
    struct path_list list = {};
    const struct dag *dag;
    uint64_t start, now, n = 0, n_paths = 0, sum = 0;

    for (int i = 0; i < N_PAIRS; i++) {
        do {
            pairs[i][0] = any_destination(topology);
            pairs[i][1] = any_destination(topology);
        } while (pairs[i][0] == pairs[i][1]);
        check(dag_get(cache, pairs[i][1], &dag), "DAG");
        sum += dag_n_paths(dag, pairs[i][0]); /* Counts once. */
    }
    row(topology->name, "paths in a set, on average", "", (double)sum / N_PAIRS, 0, NULL, 0);

    start = now = cpu_ns();
    while (now - start < seconds * 1e9) {
        for (int i = 0; i < N_PAIRS; i++) {
            list.n = list.n_arcs = 0;
            check(dag_get(cache, pairs[i][1], &dag), "DAG");
            check(dag_paths(dag, pairs[i][0], PATHS_MAX, &list), "paths");
            n_paths += list.n;
        }
        n += N_PAIRS;
        now = cpu_ns();
    }
    row(topology->name, "equal-cost set from cache, all paths listed", "us", (double)(now - start) / 1e3 / (double)n, 0,
        limit_us > 0 ? "<=" : NULL, limit_us);
    row(topology->name, "the same, a path", "ns", (double)(now - start) / (double)n_paths, 0, NULL, 0);

    n = 0;
    start = now = cpu_ns();
    while (now - start < seconds * 1e9) {
        for (int i = 0; i < N_PAIRS; i++) {
            check(dag_get(cache, pairs[i][1], &dag), "DAG");
            sum += (uint64_t)dag_path(dag, pairs[i][0], (n + (uint64_t)i) % dag_n_paths(dag, pairs[i][0]), arcs,
                                      ARRAY_SIZE(arcs));
        }
        n += N_PAIRS;
        now = cpu_ns();
    }
    row(topology->name, "one path of a cached set, by number", "ns", (double)(now - start) / (double)n, 0, NULL, 0);
    path_list_clear(&list);
    free(pairs);
}

static void bench_modes(const struct topology *topology)
{
    for (enum path_mode mode = PATHS_REFERENCE; mode <= PATHS_K_SHORTEST; mode++) {
        uint64_t start = cpu_ns(), now = start, n = 0;
        char what[64];

        for (; n < 3 || now - start < seconds * 1e9; n++) {
            struct path_list list = {};

            check(paths_find(topology->graph, mode, any_destination(topology), any_destination(topology), 8, &list),
                  "paths");
            path_list_clear(&list);
            now = cpu_ns();
        }
        snprintf(what, sizeof what, "up to 8 paths, %s, no cache", path_mode_name(mode));
        row(topology->name, what, "us", (double)(now - start) / 1e3 / (double)n, 0, NULL, 0);
    }
}

/* --- failures ----------------------------------------------------------------------------------------------------- */

static void count_changed(uint32_t destination, uint32_t node, void *context)
{
    (*(uint64_t *)context)++;
}

struct lost_link {
    uint32_t ends[2], weight;
};

static struct lost_link cut(const struct topology *topology, struct dag_cache *cache, uint32_t link,
                            uint64_t *n_changed)
{
    struct lost_link lost = {.weight = 0};

    for (int i = 0; i < 2; i++) {
        uint32_t arc = topology->links[link][i];
        struct arc_change change = {.arc = arc,
                                    .from = graph_from(topology->graph, arc),
                                    .to = graph_to(topology->graph, arc),
                                    .before = graph_weight(topology->graph, arc)};

        lost = i == 0 ? (struct lost_link){{change.from, change.to}, change.before} : lost;
        graph_remove_arc(topology->graph, arc);
        dag_cache_arc_changed(cache, &change, count_changed, n_changed);
    }
    return lost;
}

static void mend(const struct topology *topology, struct dag_cache *cache, uint32_t link, const struct lost_link *lost,
                 uint64_t *n_changed)
{
    for (int i = 0; i < 2; i++) {
        struct arc_change change = {.from = lost->ends[i], .to = lost->ends[!i], .after = lost->weight};

        check(graph_add_arc(topology->graph, change.from, change.to, change.after, &topology->links[link][i]), "arc");
        change.arc = topology->links[link][i];
        dag_cache_arc_changed(cache, &change, count_changed, n_changed);
    }
}

#define N_CUTS 200

static void bench_link(const struct topology *topology, struct dag_cache *cache, double limit_ms)
{
    double *cuts = allocate(N_CUTS * sizeof *cuts), *mends = allocate(N_CUTS * sizeof *mends);
    uint64_t computed = dag_cache_counters(cache).computed, n_changed = 0, n_mended = 0;

    for (int i = 0; i < N_CUTS; i++) {
        uint32_t link = (uint32_t)rand_r(&seed) % topology->n_links;
        uint64_t start = cpu_ns(), middle;
        struct lost_link lost = cut(topology, cache, link, &n_changed);

        middle = cpu_ns();
        mend(topology, cache, link, &lost, &n_mended);
        cuts[i] = (double)(middle - start) / 1e6;
        mends[i] = (double)(cpu_ns() - middle) / 1e6;
    }
    check(dag_cache_counters(cache).computed == computed ? 0 : -EIO, "a DAG was computed anew");
    qsort(cuts, N_CUTS, sizeof *cuts, compare);
    qsort(mends, N_CUTS, sizeof *mends, compare);
    row(topology->name, "a link fails, all DAGs repaired, median", "ms", cuts[N_CUTS / 2], 0,
        limit_ms > 0 ? "<=" : NULL, limit_ms);
    row(topology->name, "a link fails, all DAGs repaired, slowest of 200", "ms", cuts[N_CUTS - 1], 0,
        limit_ms > 0 ? "<=" : NULL, limit_ms);
    row(topology->name, "a link returns, all DAGs repaired, median", "ms", mends[N_CUTS / 2], 0, NULL, 0);
    row(topology->name, "nodes and destinations that a failure changes", "", (double)n_changed / N_CUTS, 0, NULL, 0);
    free(cuts);
    free(mends);
}

static void bench_switch(const struct topology *topology, struct dag_cache *cache)
{
    struct lost_link *lost = allocate(topology->n_links * sizeof *lost);
    uint8_t *is_lost = allocate(topology->n_links);
    double cuts[15];

    for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
        uint64_t start = cpu_ns(), n_changed = 0;
        uint32_t node = graph_from(topology->graph,
                                   topology->links[(uint32_t)rand_r(&seed) % topology->n_links][rand_r(&seed) % 2]);

        for (uint32_t k = 0; k < topology->n_links; k++) {
            is_lost[k] = graph_from(topology->graph, topology->links[k][0]) == node ||
                         graph_to(topology->graph, topology->links[k][0]) == node;
            if (is_lost[k])
                lost[k] = cut(topology, cache, k, &n_changed);
        }
        cuts[i] = (double)(cpu_ns() - start) / 1e6;
        for (uint32_t k = 0; k < topology->n_links; k++)
            if (is_lost[k])
                mend(topology, cache, k, &lost[k], &n_changed);
    }
    qsort(cuts, ARRAY_SIZE(cuts), sizeof *cuts, compare);
    row(topology->name, "a switch fails with all its links, median", "ms", cuts[ARRAY_SIZE(cuts) / 2], 0, NULL, 0);
    free(lost);
    free(is_lost);
}

static void bench_topology(struct topology topology, double scratch_limit_us, double cached_limit_us,
                           double link_limit_ms)
{
    struct dag_cache *cache = fill_cache(&topology);

    row(topology.name, "memory a DAG, with its share of the sets and scratch", "KiB",
        (double)dag_cache_memory(cache) / 1024 / topology.n_destinations, 0, NULL, 0);
    bench_scratch(&topology, scratch_limit_us);
    bench_cached(&topology, cache, cached_limit_us);
    bench_link(&topology, cache, link_limit_ms);
    bench_switch(&topology, cache);
    bench_modes(&topology);
    dag_cache_free(cache);
    topology_clear(&topology);
}

/* --- flows -------------------------------------------------------------------------------------------------------- */

static const char *const populations[] = {"IPv4 hosts", "IPv6 hosts", "VXLAN by source port", "sequential addresses"};

static struct flow_tuple make_flow(size_t population, uint32_t i)
{
    static const char *const addresses[][2] = {{"10.1.0.0", "10.2.0.0"},
                                               {"2001:db8::", "2001:db8:1::"},
                                               {"192.0.2.1", "192.0.2.2"},
                                               {"10.0.0.0", "10.99.0.1"}};
    struct flow_tuple tuple = {.source_port = 40000, .destination_port = 443, .protocol = 6};

    check(ip_parse(addresses[population][0], &tuple.source), "address");
    check(ip_parse(addresses[population][1], &tuple.destination), "address");
    if (population < 2) {
        tuple.source = ip_add(&tuple.source, i % 317);
        tuple.destination = ip_add(&tuple.destination, i / 317);
    } else if (population == 2) { /* Two pairs of endpoints. */
        tuple.protocol = 17;
        tuple.source_port = (uint16_t)(i % 50000 + 10000);
        tuple.destination_port = 4789;
        tuple.destination = ip_add(&tuple.destination, i / 50000);
    } else {
        tuple.source = ip_add(&tuple.source, i);
    }
    return tuple;
}

static void bench_hash(void)
{
    static const char *const names[] = {"IPv4", "IPv6"};
    static uint32_t hashes[4096];
    struct buckets buckets = {};
    uint64_t start, now, n, sum = 0;

    for (size_t population = 0; population < 2; population++) {
        struct flow_tuple *tuples = allocate(4096 * sizeof *tuples);

        for (uint32_t i = 0; i < 4096; i++)
            tuples[i] = make_flow(population, i);
        n = 0;
        start = now = cpu_ns();
        while (now - start < seconds * 1e9) {
            for (uint32_t i = 0; i < 4096; i++)
                hashes[i] = flow_hash(&tuples[i], 12345, false);
            n += 4096;
            now = cpu_ns();
        }
        row("flow hash", names[population], "ns", (double)(now - start) / (double)n, 0, "<=", 15);
        free(tuples);
    }
    check(buckets_set(&buckets, 64, NULL, NULL), "buckets");
    n = 0;
    start = now = cpu_ns();
    while (now - start < seconds * 1e9) {
        for (uint32_t i = 0; i < 4096; i++)
            sum += buckets_select(&buckets, hashes[i]);
        n += 4096;
        now = cpu_ns();
    }
    row("buckets", "choice of one of 64 paths", "ns", (double)(now - start) / (double)n, 0, "<=", 3);
    if (sum == 0)
        check(-EIO, "no choice"); /* It is used. */
    buckets_clear(&buckets);
}

/* The 99.99 % quantile of chi-square, by Wilson and Hilferty's approximation (1931). */
static double chi_square_limit(double freedom)
{
    return freedom * pow(1 - 2 / (9 * freedom) + 3.719 * sqrt(2 / (9 * freedom)), 3);
}

/* Against the paths' shares of the buckets. */
static double chi_square(const uint32_t *hashes, const struct buckets *buckets, size_t n_paths, const size_t *n_buckets)
{
    size_t counts[64] = {0};
    double sum = 0;

    for (size_t i = 0; i < N_FLOWS; i++)
        counts[buckets_select(buckets, hashes[i])]++;
    for (size_t i = 0; i < n_paths; i++) {
        double expected = (double)N_FLOWS * (double)n_buckets[i] / (double)buckets->n;

        sum += ((double)counts[i] - expected) * ((double)counts[i] - expected) / expected;
    }
    return sum;
}

/* The share of flows that move when a path is lost: each path in turn, with buckets and with the rest of a division. */
static void moved(const uint32_t *hashes, size_t n_paths, double *ret_mean, double *ret_worst, double *ret_modulo)
{
    *ret_mean = *ret_worst = *ret_modulo = 0;
    for (size_t lost = 0; lost < n_paths; lost++) {
        struct buckets before = {}, after = {};
        int32_t previous[64] = {0};
        size_t n = 0, n_modulo = 0;

        for (size_t i = 0; i + 1 < n_paths; i++)
            previous[i] = (int32_t)(i + (i >= lost));
        check(buckets_set(&before, n_paths, NULL, NULL), "buckets");
        check(buckets_set(&after, n_paths, NULL, NULL), "buckets");
        check(buckets_set(&after, n_paths - 1, NULL, previous), "buckets");
        for (size_t i = 0; i < N_FLOWS; i++) {
            size_t now = hashes[i] % (n_paths - 1);

            n += (size_t)previous[buckets_select(&after, hashes[i])] != buckets_select(&before, hashes[i]);
            n_modulo += now + (now >= lost) != hashes[i] % n_paths;
        }
        *ret_mean += (double)n / N_FLOWS / (double)n_paths;
        *ret_worst = MAX(*ret_worst, (double)n / N_FLOWS);
        *ret_modulo += (double)n_modulo / N_FLOWS / (double)n_paths;
        buckets_clear(&before);
        buckets_clear(&after);
    }
}

static void bench_spread(void)
{
    static const size_t numbers[] = {2, 3, 4, 8, 64};
    uint32_t *hashes = allocate(N_FLOWS * sizeof *hashes);
    char what[128];

    for (size_t population = 0; population < ARRAY_SIZE(populations); population++) {
        for (uint32_t i = 0; i < N_FLOWS; i++) {
            struct flow_tuple tuple = make_flow(population, i);

            hashes[i] = flow_hash(&tuple, 12345, false);
        }
        for (size_t k = 0; k < ARRAY_SIZE(numbers); k++) {
            double mean, worst, modulo;
            struct buckets buckets = {};
            size_t n_buckets[64] = {0};

            check(buckets_set(&buckets, numbers[k], NULL, NULL), "buckets");
            for (size_t i = 0; i < buckets.n; i++)
                n_buckets[buckets.owners[i]]++;
            snprintf(what, sizeof what, "chi-square of 100,000 over %zu paths (99.99 %% of fair ones are below)",
                     numbers[k]);
            row(populations[population], what, "", chi_square(hashes, &buckets, numbers[k], n_buckets), 0,
                "<=", chi_square_limit((double)numbers[k] - 1));
            buckets_clear(&buckets);

            moved(hashes, numbers[k], &mean, &worst, &modulo);
            snprintf(what, sizeof what, "moved when one of %zu paths is lost, mean", numbers[k]);
            row(populations[population], what, "%", 100 * mean, 0, "<=", 100.0 / (double)numbers[k] + 1e-9);
            snprintf(what, sizeof what, "moved when one of %zu paths is lost, at most (peer: hash mod n, mean)",
                     numbers[k]);
            row(populations[population], what, "%", 100 * worst, 100 * modulo, NULL, 0);
        }
    }
    free(hashes);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seconds = atof(argv[1]);
    if (argc > 2 || seconds <= 0) {
        fprintf(stderr, "usage: bench-paths-compute [SECONDS]\n");
        return 2;
    }
    bench_topology(fat_tree(4), 0, 0, 0);
    bench_topology(fat_tree(8), 0, 0, 0);
    bench_topology(fat_tree(16), 200, 1, 0);
    bench_topology(fat_tree(48), 0, 0, 10);
    bench_topology(random_graph(16, 28, 1), 0, 0, 0);
    bench_topology(random_graph(320, 1280, 10), 0, 0, 0);
    bench_topology(random_graph(2880, 20000, 10), 0, 0, 0);
    bench_hash();
    bench_spread();
    printf("]\n");
    return 0;
}
