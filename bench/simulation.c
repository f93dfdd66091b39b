/* Which flows break when servers and balancers change: four ways to choose a flow's server, simulated side by side.
 *
 *     bench-simulation    prints JSON for bench_simulation.py: per cent of a million flows
 *
 * 100 servers, 8 balancers behind a router that sends a flow to balancer "hash mod number of balancers".  All flows
 * start at rest; then servers change, and then a balancer is lost or one is added, so that most flows meet another
 * balancer.  Servers that drain or are replaced are alive: a flow is broken if its next packet does not get to its
 * server. maglev      each balancer looks into the Maglev table of the servers that are not draining flow_table  the
 * same, and each balancer remembers the flows that it had glb         rendezvous hashing gives each row two servers,
 * which are asked in order, those that drain last (GLB Director) stable      rows with owners and three previous ones,
 * kept by deltas (src/balance); a balancer that is added has the whole */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "weft/balance/copy.h"
#include "weft/base/util.h"

#define N_FLOWS 1000000
#define N_ROWS BALANCE_ROWS_DEFAULT
#define N_SERVERS 100
#define N_BALANCERS 8
#define MAX_SERVERS 256

enum method { MAGLEV, FLOW_TABLE, GLB, STABLE, N_METHODS };
static const char *const methods[] = {"maglev", "flow_table", "glb", "stable"};

static char ids[MAX_SERVERS][16];

struct cloud {
    struct balance_server servers[MAX_SERVERS]; /* Server number i is servers[i]; those that drain have weight 0. */
    size_t n;
    struct balance_table *table;
    struct balance_copy copy; /* Of a balancer that was there from the beginning. */
};

static void check(int r, const char *what)
{
    if (r >= 0)
        return;
    fprintf(stderr, "bench-simulation: %s: error %d\n", what, r);
    exit(1);
}

static void *make(size_t n, size_t size)
{
    void *memory = calloc(n, size);

    if (!memory)
        check(-1, "memory");
    return memory;
}

/* SplitMix64 (Steele, Lea and Flood, 2014). */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static void set(struct cloud *cloud)
{
    check(balance_table_set(cloud->table, cloud->servers, cloud->n, 0, NULL), "set");
    check(balance_copy_apply(&cloud->copy, balance_table_delta(cloud->table)), "delta");
}

static void add(struct cloud *cloud, size_t n)
{
    for (size_t i = 0; i < n; i++, cloud->n++)
        cloud->servers[cloud->n] = (struct balance_server){.id = ids[cloud->n], .weight = 1};
}

static void drain(struct cloud *cloud, size_t first, size_t n)
{
    for (size_t i = first; i < first + n; i++) {
        cloud->servers[i].weight = 0;
        cloud->servers[i].drain_until_ms = BALANCE_NEVER;
    }
}

static void one_more(struct cloud *cloud)
{
    add(cloud, 1);
    set(cloud);
}

static void ten_more(struct cloud *cloud)
{
    add(cloud, 10);
    set(cloud);
}

static void ten_drain(struct cloud *cloud)
{
    drain(cloud, 0, 10);
    set(cloud);
}

static void three_times_ten_more(struct cloud *cloud)
{
    for (int i = 0; i < 3; i++)
        ten_more(cloud);
}

static void replace_all(struct cloud *cloud)
{
    for (size_t i = 0; i < N_SERVERS; i++) {
        add(cloud, 1);
        cloud->servers[cloud->n - 1].replaces = ids[i];
        drain(cloud, i, 1);
        set(cloud);
    }
}

/* The same by somebody who does not say who replaces whom: twice the moves. */
static void add_and_drain_all(struct cloud *cloud)
{
    for (size_t i = 0; i < N_SERVERS; i++) {
        one_more(cloud);
        drain(cloud, i, 1);
        set(cloud);
    }
}

static void cloud_init(struct cloud *cloud)
{
    uint32_t n_rows;
    const struct balance_row *rows;

    *cloud = (struct cloud){};
    add(cloud, N_SERVERS);
    check(balance_table_new(N_ROWS, 1, BALANCE_NEVER, &cloud->table, NULL), "new");
    rows = balance_table_rows(cloud->table, &n_rows);
    check(balance_copy_set(&cloud->copy, 1, 0, rows, n_rows), "copy");
    set(cloud);
}

/* The Maglev table of the servers that take new flows. */
static void maglev(const struct cloud *cloud, uint16_t *ret_owners)
{
    struct balance_server active[MAX_SERVERS];
    uint16_t numbers[MAX_SERVERS];
    struct balance_table *table;
    size_t n = 0;
    uint32_t n_rows;

    for (size_t i = 0; i < cloud->n; i++)
        if (cloud->servers[i].weight > 0) {
            active[n] = (struct balance_server){.id = ids[i], .weight = 1};
            numbers[n++] = (uint16_t)i;
        }
    check(balance_table_new(N_ROWS, 1, 0, &table, NULL), "new");
    check(balance_table_set(table, active, n, 0, NULL), "maglev");
    for (uint32_t row = 0; row < N_ROWS; row++)
        ret_owners[row] = numbers[balance_table_rows(table, &n_rows)[row].owner];
    balance_table_free(table);
}

/* The two servers of each row with the highest hashes. */
static void rendezvous(const struct cloud *cloud, uint16_t (*ret_pairs)[2])
{
    for (uint32_t row = 0; row < N_ROWS; row++) {
        uint64_t first = 0, second = 0;

        for (size_t i = 0; i < cloud->n; i++) {
            uint64_t hash = mix(mix(row) ^ i << 32);

            if (hash > first) {
                second = first;
                first = hash;
                ret_pairs[row][1] = ret_pairs[row][0];
                ret_pairs[row][0] = (uint16_t)i;
            } else if (hash > second) {
                second = hash;
                ret_pairs[row][1] = (uint16_t)i;
            }
        }
    }
}

static bool row_has(const struct balance_row *row, uint16_t index)
{
    return row->owner == index || row->previous[0] == index || row->previous[1] == index || row->previous[2] == index;
}

static void simulate(const char *event, void (*change)(struct cloud *))
{
    static const char *separator = "[";
    struct cloud cloud;
    struct balance_copy added = {};
    uint16_t *maglev_before = make(N_ROWS, 2), *maglev_after = make(N_ROWS, 2), *stable_before = make(N_ROWS, 2);
    uint16_t(*pairs_before)[2] = make(N_ROWS, 4), (*pairs_after)[2] = make(N_ROWS, 4);
    uint32_t n_rows;

    cloud_init(&cloud);
    maglev(&cloud, maglev_before);
    rendezvous(&cloud, pairs_before);
    for (uint32_t row = 0; row < N_ROWS; row++)
        stable_before[row] = cloud.copy.rows[row].owner;
    change(&cloud);
    maglev(&cloud, maglev_after);
    rendezvous(&cloud, pairs_after);
    check(balance_copy_set(&added, 1, balance_table_delta(cloud.table)->sequence,
                           balance_table_rows(cloud.table, &n_rows), N_ROWS),
          "whole");

    for (unsigned n_after = N_BALANCERS - 1; n_after <= N_BALANCERS + 1; n_after += 2) {
        uint64_t broken[N_METHODS] = {};

        for (uint64_t flow = 0; flow < N_FLOWS; flow++) {
            uint32_t row = (uint32_t)(mix(flow) % N_ROWS);
            uint64_t way = mix(mix(flow) + 1);
            unsigned balancer = (unsigned)(way % n_after);
            bool elsewhere = maglev_after[row] != maglev_before[row];
            const struct balance_row *rows = balancer == N_BALANCERS ? added.rows : cloud.copy.rows;

            broken[MAGLEV] += elsewhere;
            broken[FLOW_TABLE] += elsewhere && balancer != way % N_BALANCERS;
            broken[GLB] += pairs_after[row][0] != pairs_before[row][0] && pairs_after[row][1] != pairs_before[row][0];
            broken[STABLE] += !row_has(&rows[row], stable_before[row]);
        }
        for (int method = 0; method < N_METHODS; method++, separator = ",")
            printf("%s\n{\"event\": \"%s\", \"balancer\": \"%s\", \"method\": \"%s\", \"broken\": %.4f}", separator,
                   event, n_after < N_BALANCERS ? "lost" : "added", methods[method],
                   100.0 * (double)broken[method] / N_FLOWS);
    }
    balance_table_free(cloud.table);
    balance_copy_clear(&cloud.copy);
    balance_copy_clear(&added);
    free(maglev_before);
    free(maglev_after);
    free(stable_before);
    free(pairs_before);
    free(pairs_after);
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        fprintf(stderr, "usage: bench-simulation\n");
        return 2;
    }
    for (size_t i = 0; i < MAX_SERVERS; i++)
        snprintf(ids[i], sizeof ids[i], "server-%zu", i);
    simulate("+1 server", one_more);
    simulate("+10 at once", ten_more);
    simulate("drain 10", ten_drain);
    simulate("three times +10", three_times_ten_more);
    simulate("rolling replacement of all, in place", replace_all);
    simulate("rolling: 100 times +1, then drain 1", add_and_drain_all);
    printf("\n]\n");
    return 0;
}
