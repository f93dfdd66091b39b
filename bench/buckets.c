/* What changes of a balancer's table cost: 65,537 rows and 1,000 servers (src/balance).
 *
 *     bench-buckets    prints JSON for bench_buckets.py: of many runs, the median of the CPU time in microseconds
 *
 * Each change is measured on a table of its own kind, and undone again, so that rows have a history as in a busy
 * service. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "weft/balance/copy.h"
#include "weft/base/util.h"

#define N_SERVERS 1000
#define N_SPARE 100
#define RUNS 61

static char ids[N_SERVERS + N_SPARE][40];
static struct balance_server servers[N_SERVERS + N_SPARE];

/* Of this thread: what else runs here is left out. */
static double cpu_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void check(int r, const char *what)
{
    if (r >= 0)
        return;
    fprintf(stderr, "bench-buckets: %s: error %d\n", what, r);
    exit(1);
}

static int ascending(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

static void row(const char *name, const char *unit, double ours, const char *goal)
{
    static const char *separator = "[";

    printf("%s\n{\"name\": \"%s\", \"unit\": \"%s\", \"ours\": %.2f, \"goal\": \"%s\"}", separator, name, unit, ours,
           goal);
    separator = ",";
}

static void reset(bool weighted)
{
    for (size_t i = 0; i < ARRAY_SIZE(servers); i++) {
        snprintf(ids[i], sizeof ids[i], "%08zx-0000-4000-8000-%012zx", i * 2654435761u & 0xffffffff, i);
        servers[i] = (struct balance_server){.id = ids[i], .weight = weighted ? (uint16_t)(1 + i * 7919 % 100) : 1};
    }
}

static struct balance_table *seeded(size_t n)
{
    struct balance_table *table;

    check(balance_table_new(BALANCE_ROWS_DEFAULT, 1, 3600 * 1000, &table, NULL), "new");
    check(balance_table_set(table, servers, n, 0, NULL), "seed");
    return table;
}

static void bench_seed(const char *name, bool weighted)
{
    double times[RUNS];

    reset(weighted);
    for (size_t run = 0; run < RUNS; run++) {
        struct balance_table *table;
        double begin;

        check(balance_table_new(BALANCE_ROWS_DEFAULT, 1, 0, &table, NULL), "new");
        begin = cpu_us();
        check(balance_table_set(table, servers, N_SERVERS, 0, NULL), "seed");
        times[run] = cpu_us() - begin;
        balance_table_free(table);
    }
    qsort(times, RUNS, sizeof *times, ascending);
    row(name, "us", times[RUNS / 2], "<= 5000");
}

/* 'change' prepares 'servers' and returns how many there are; 'undo' is the same for the way back. */
static void bench_change(const char *name, bool weighted, size_t (*change)(void), size_t (*undo)(void))
{
    double times[RUNS], copying[RUNS];
    struct balance_table *table;
    struct balance_copy copy = {};
    const struct balance_row *rows;
    uint32_t n_rows;
    char what[128];
    size_t n_moved = 0;

    reset(weighted);
    table = seeded(N_SERVERS);
    rows = balance_table_rows(table, &n_rows);
    check(balance_copy_set(&copy, 1, balance_table_delta(table)->sequence, rows, n_rows), "copy");
    for (size_t run = 0; run < RUNS; run++) {
        size_t n = change();
        double begin = cpu_us();

        check(balance_table_set(table, servers, n, run, NULL), name);
        times[run] = cpu_us() - begin;
        begin = cpu_us();
        check(balance_copy_apply(&copy, balance_table_delta(table)), "apply");
        copying[run] = cpu_us() - begin;
        n_moved = balance_table_delta(table)->n_moved;
        n = undo();
        check(balance_table_set(table, servers, n, run, NULL), "undo");
        check(balance_copy_apply(&copy, balance_table_delta(table)), "apply");
    }
    balance_copy_clear(&copy);
    balance_table_free(table);
    qsort(times, RUNS, sizeof *times, ascending);
    qsort(copying, RUNS, sizeof *copying, ascending);
    row(name, "us", times[RUNS / 2], "<= 500");
    snprintf(what, sizeof what, "%s: a copy takes the delta", name);
    row(what, "us", copying[RUNS / 2], "");
    snprintf(what, sizeof what, "%s: rows moved", name);
    row(what, "rows", (double)n_moved, "");
}

static size_t all(void)
{
    return N_SERVERS;
}

static size_t one_more(void)
{
    return N_SERVERS + 1;
}

static size_t hundred_more(void)
{
    return N_SERVERS + N_SPARE;
}

static size_t one_less(void)
{
    return N_SERVERS - 1;
}

static size_t drain(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        servers[i].weight = 0;
        servers[i].drain_until_ms = BALANCE_NEVER;
    }
    return N_SERVERS;
}

static size_t drain_one(void)
{
    return drain(1);
}

static size_t drain_hundred(void)
{
    return drain(100);
}

static size_t restore(void)
{
    reset(false);
    return N_SERVERS;
}

static size_t replace_ten(void)
{
    for (size_t i = 0; i < 10; i++)
        servers[N_SERVERS + i].replaces = ids[i];
    drain(10);
    return N_SERVERS + 10;
}

static size_t other_weights(void)
{
    for (size_t i = 0; i < N_SERVERS; i++)
        servers[i].weight = (uint16_t)(1 + i * 104729 % 100);
    return N_SERVERS;
}

static size_t first_weights(void)
{
    reset(true);
    return N_SERVERS;
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        fprintf(stderr, "usage: bench-buckets\n");
        return 2;
    }
    bench_seed("seeded, equal weights", false);
    bench_seed("seeded, weights 1 to 100", true);
    bench_change("nothing changes", false, all, all);
    bench_change("one server more", false, one_more, all);
    bench_change("100 servers more", false, hundred_more, all);
    bench_change("one server leaves", false, one_less, all);
    bench_change("one server drains", false, drain_one, restore);
    bench_change("100 servers drain", false, drain_hundred, restore);
    bench_change("10 servers are replaced", false, replace_ten, restore);
    bench_change("all weights change", true, other_weights, first_weights);
    printf("\n]\n");
    return 0;
}
