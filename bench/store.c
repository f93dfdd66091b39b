/* How fast the SQLite store commits, beside what the disk itself gives:  bench-store [SECONDS [FOLDER]]
 *
 * For 1, 8 and 16 submitters, each of which waits for its commit before it begins the next one: transactions a second and the
 * latency of a commit (p50, p99, the worst).  A transaction has the shape of a port's creation: one comparison and four puts
 * of some hundred bytes at random places of a store of 40,000 keys.  The peer is one thread that overwrites 4 KiB of an
 * allocated file and calls fdatasync: the least that anything durable costs here.  It runs right before each measurement.
 * At last a listing whose visitor sleeps while 8 submit: the size that the write-ahead log reaches.
 *
 * Prints a JSON array of rows {name, unit, ours, peer, ratio, goal, met}; 'goal' limits the ratio where there is a peer, else ours. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "weft/base/clock.h"
#include "weft/base/util.h"
#include "weft/store/store.h"

#define N_KEYS 40000
#define N_PUTS 4
#define MAX_SUBMITTERS 16
#define MAX_SAMPLES 2000000
#define PEER_FILE_SIZE (16 << 20)
#define PEER_BLOCK 4096

struct series {
    uint64_t *ns;
    size_t n;
    double seconds;
};

struct submitter {
    struct store *store;
    pthread_t thread;
    unsigned seed;
    uint64_t until_ns;
    struct series *series; /* Of this submitter alone. */
};

static char folder[4096];
static bool is_first_row = true;

static void die(const char *what, int error)
{
    fprintf(stderr, "bench-store: %s: %s\n", what, strerror(error < 0 ? -error : error));
    exit(1);
}

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);

    if (!memory)
        die("memory", ENOMEM);
    return memory;
}

static void add_sample(struct series *series, uint64_t ns)
{
    if (series->n < MAX_SAMPLES)
        series->ns[series->n++] = ns;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static double quantile_ms(const struct series *series, double quantile)
{
    return series->n ? series->ns[MIN((size_t)(quantile * series->n), series->n - 1)] / 1e6 : 0;
}

/* A 'goal' of "<=" or ">=" and a limit; NULL is none.  A 'peer' of 0 is none. */
static void row(const char *name, const char *unit, double ours, double peer, const char *goal, double limit)
{
    double judged = peer > 0 ? ours / peer : ours;

    printf("%s {\"name\": \"%s\", \"unit\": \"%s\", \"ours\": %.4g", is_first_row ? "[" : ",\n ", name, unit, ours);
    is_first_row = false;
    if (peer > 0)
        printf(", \"peer\": %.4g, \"ratio\": %.4g", peer, judged);
    else
        printf(", \"peer\": null, \"ratio\": null");
    if (goal)
        printf(", \"goal\": \"%s %g\", \"met\": %s}", goal, limit,
               (goal[0] == '<' ? judged <= limit : judged >= limit) ? "true" : "false");
    else
        printf(", \"goal\": null, \"met\": null}");
    fflush(stdout);
}

/* --- the peer ------------------------------------------------------------------------------------------------- */

static struct series measure_disk(double seconds)
{
    struct series series = {.ns = allocate(MAX_SAMPLES * sizeof(uint64_t))};
    uint64_t start, until, before, now;
    char path[4200], block[PEER_BLOCK];
    int fd;

    snprintf(path, sizeof path, "%s/peer", folder);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        die(path, errno);
    memset(block, 'x', sizeof block);
    for (off_t at = 0; at < PEER_FILE_SIZE; at += PEER_BLOCK)
        if (pwrite(fd, block, PEER_BLOCK, at) != PEER_BLOCK)
            die(path, errno);
    if (fsync(fd) < 0)
        die(path, errno);
    start = now = clock_monotonic_ns();
    until = start + (uint64_t)(seconds * 1e9);
    for (off_t at = 0; now < until; at = (at + PEER_BLOCK) % PEER_FILE_SIZE) {
        before = now;
        if (pwrite(fd, block, PEER_BLOCK, at) != PEER_BLOCK || fdatasync(fd) < 0)
            die(path, errno);
        now = clock_monotonic_ns();
        add_sample(&series, now - before);
    }
    series.seconds = (now - start) / 1e9;
    close(fd);
    unlink(path);
    qsort(series.ns, series.n, sizeof *series.ns, compare);
    return series;
}

/* --- the store ------------------------------------------------------------------------------------------------ */

static struct store_transaction *make_transaction(unsigned *seed)
{
    struct store_transaction *transaction;
    char key[64], value[700];
    int r = store_transaction_new(&transaction);

    if (r < 0)
        die("transaction", r);
    memset(value, 'v', sizeof value);
    store_require_revision(transaction, "absent", 6, 0);
    for (int i = 0; i < N_PUTS; i++) {
        size_t size = snprintf(key, sizeof key, "%d/%08x-0000-4000-8000-%012x", i, rand_r(seed) % (N_KEYS / N_PUTS), 7);

        store_put(transaction, key, size, value, 200 + rand_r(seed) % 500, 0);
    }
    return transaction;
}

static void *submit(void *argument)
{
    struct submitter *submitter = argument;

    while (true) {
        uint64_t before = clock_monotonic_ns();
        struct store_result result;

        if (before >= submitter->until_ns)
            break;
        result = store_commit(submitter->store, make_transaction(&submitter->seed));
        if (result.status < 0)
            die("commit", result.status);
        add_sample(submitter->series, clock_monotonic_ns() - before);
    }
    return NULL;
}

static uint64_t wal_size(void)
{
    struct stat status;
    char path[4200];

    snprintf(path, sizeof path, "%s/store-wal", folder);
    return stat(path, &status) < 0 ? 0 : (uint64_t)status.st_size;
}

/* All latencies, sorted. */
static struct series measure_store(struct store *store, int n_submitters, double seconds, uint64_t *ret_wal)
{
    struct series all = {.ns = allocate(MAX_SAMPLES * sizeof(uint64_t))}, own[MAX_SUBMITTERS] = {};
    struct submitter submitters[MAX_SUBMITTERS];
    uint64_t start = clock_monotonic_ns(), until = start + (uint64_t)(seconds * 1e9);

    *ret_wal = 0;
    for (int i = 0; i < n_submitters; i++) {
        own[i].ns = allocate(MAX_SAMPLES * sizeof(uint64_t));
        submitters[i] = (struct submitter){.store = store, .seed = i + 1, .until_ns = until, .series = &own[i]};
        if (pthread_create(&submitters[i].thread, NULL, submit, &submitters[i]) != 0)
            die("thread", EAGAIN);
    }
    while (clock_monotonic_ns() < until) {
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        *ret_wal = MAX(*ret_wal, wal_size());
    }
    for (int i = 0; i < n_submitters; i++) {
        pthread_join(submitters[i].thread, NULL);
        for (size_t k = 0; k < own[i].n; k++)
            add_sample(&all, own[i].ns[k]);
        free(own[i].ns);
    }
    all.seconds = (clock_monotonic_ns() - start) / 1e9;
    qsort(all.ns, all.n, sizeof *all.ns, compare);
    return all;
}

static void fill(struct store *store)
{
    unsigned seed = 99;

    for (int i = 0; i < N_KEYS / N_PUTS; i += 500) {
        for (int k = 0; k < 500; k++)
            if (k < 499)
                store_submit(store, make_transaction(&seed), NULL, NULL);
            else if (store_commit(store, make_transaction(&seed)).status < 0)
                die("filling", EIO);
    }
}

static void bench_submitters(struct store *store, int n, double seconds)
{
    struct series disk = measure_disk(seconds / 3), ours;
    uint64_t wal;
    char name[64];
    /* One submitter pays one fdatasync of the log a commit, of some more bytes; many share one. */
    double rate = n == 1 ? 0.4 : n == 8 ? 1.5 : 2.5;

    ours = measure_store(store, n, seconds, &wal);
    snprintf(name, sizeof name, "store, %d submitter%s: transactions", n, n > 1 ? "s" : "");
    row(name, "1/s", ours.n / ours.seconds, disk.n / disk.seconds, ">=", rate);
    snprintf(name, sizeof name, "store, %d submitter%s: commit p50", n, n > 1 ? "s" : "");
    row(name, "ms", quantile_ms(&ours, 0.5), quantile_ms(&disk, 0.5), NULL, 0);
    snprintf(name, sizeof name, "store, %d submitter%s: commit p99", n, n > 1 ? "s" : "");
    row(name, "ms", quantile_ms(&ours, 0.99), quantile_ms(&disk, 0.99), NULL, 0);
    snprintf(name, sizeof name, "store, %d submitter%s: slowest commit", n, n > 1 ? "s" : "");
    row(name, "ms", quantile_ms(&ours, 1), quantile_ms(&disk, 1), NULL, 0);
    snprintf(name, sizeof name, "store, %d submitter%s: largest log", n, n > 1 ? "s" : "");
    row(name, "MiB", wal / 1048576.0, 0, "<=", 80);
    free(disk.ns);
    free(ours.ns);
}

/* --- a slow reader -------------------------------------------------------------------------------------------- */

static _Atomic bool reader_may_end;

static int linger(const struct store_item *item, void *context)
{
    while (!reader_may_end)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    return 0;
}

static void *read_slowly(void *argument)
{
    int r = store_list(argument, "", 0, "", 0, linger, NULL, NULL);

    if (r < 0)
        die("listing", r);
    return NULL;
}

static void bench_slow_reader(struct store *store, double seconds)
{
    struct series ours;
    pthread_t reader;
    uint64_t wal;

    if (pthread_create(&reader, NULL, read_slowly, store) != 0)
        die("thread", EAGAIN);
    ours = measure_store(store, 8, seconds, &wal);
    reader_may_end = true;
    pthread_join(reader, NULL);
    row("store, 8 submitters beside a slow listing: largest log", "MiB", wal / 1048576.0, 0, "<=", 80);
    row("store, 8 submitters beside a slow listing: slowest commit", "ms", quantile_ms(&ours, 1), 0, NULL, 0);
    free(ours.ns);
}

static void remove_folder(void)
{
    DIR *directory = opendir(folder);
    struct dirent *entry;

    while (directory && (entry = readdir(directory)))
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(directory), entry->d_name, 0);
    if (directory)
        closedir(directory);
    rmdir(folder);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 5;
    struct error error = {};
    struct store *store;
    char path[4200];
    int r;

    if (argc > 3 || seconds <= 0) {
        fprintf(stderr, "usage: bench-store [SECONDS [FOLDER]]\n");
        return 2;
    }
    snprintf(folder, sizeof folder, "%s/weft-bench-store-XXXXXX", argc > 2 ? argv[2] : "/var/tmp"); /* Not a tmpfs. */
    if (!mkdtemp(folder))
        die(folder, errno);
    atexit(remove_folder);
    snprintf(path, sizeof path, "%s/store", folder);
    r = store_sqlite_open(path, NULL, &store, &error);
    if (r < 0)
        die(error.message, r);
    fill(store);
    bench_submitters(store, 1, seconds);
    bench_submitters(store, 8, seconds);
    bench_submitters(store, 16, seconds);
    bench_slow_reader(store, seconds);
    printf("]\n");
    store_close(store);
    return 0;
}
