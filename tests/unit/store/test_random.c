/* Random transactions, lists, watches, compactions and (SQLite) reopenings against a deliberately naive model. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backends.h"
#include "weft/base/util.h"

#define N_KEYS 64          /* Keys are small and near each other, so that ranges and comparisons often meet them. */
#define N_STEPS 3000
#define MAX_EVENTS 20000
#define N_WATCHES 4

struct naive_item {
    bool exists;
    unsigned value;
    uint64_t create_revision, modify_revision;
};

struct naive_event {
    int key;
    bool deleted;
    unsigned value;
    uint64_t revision, create_revision;
};

struct naive {
    struct naive_item items[N_KEYS];
    uint64_t revision;
    struct naive_event events[MAX_EVENTS];
    int n_events;
};

struct watcher {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct store_watch *watch;
    int from, to;          /* Keys [from, to). */
    uint64_t after;
    uint64_t revision;     /* Delivered up to here. */
    struct naive_event events[MAX_EVENTS];
    int n_events;
};

static unsigned seed;
static struct naive naive;
static struct watcher watchers[N_WATCHES];

static unsigned pick(unsigned n)
{
    return rand_r(&seed) % n;
}

/* Orders like the numbers, with lengths that differ: "k", "k\0", "kb", ... are tested by keys_and_values_are_bytes. */
static size_t key_name(int key, char name[8])
{
    return snprintf(name, 8, "k%02d%s", key, key % 3 ? "" : "x");
}

static void value_of(unsigned value, char text[16])
{
    snprintf(text, 16, "%u", value);
}

/* --- one random transaction, in both ---------------------------------------------------------------------------- */

static bool add_comparison(struct store_transaction *transaction)
{
    char from[8], to[8];
    int key = pick(N_KEYS), end;
    struct naive_item *item = &naive.items[key];
    size_t size = key_name(key, from);
    uint64_t revision;

    switch (pick(3)) {
    case 0:
        revision = pick(4) ? (item->exists ? item->modify_revision : 0) : pick(naive.revision + 1);
        assert_int_equal(store_require_revision(transaction, from, size, revision), 0);
        return (item->exists ? item->modify_revision : 0) == revision;
    case 1:
        assert_int_equal(store_require_exists(transaction, from, size), 0);
        return item->exists;
    default:
        end = key + pick(4);
        if (end >= N_KEYS)
            assert_int_equal(store_require_empty(transaction, from, size, NULL, 0), 0);
        else
            assert_int_equal(store_require_empty(transaction, from, size, to, key_name(end, to)), 0);
        for (int i = key; i < end && i < N_KEYS; i++)
            if (naive.items[i].exists)
                return false;
        return true;
    }
}

struct planned_write {
    int key;
    bool is_put;
    unsigned value;
};

static int plan_writes(struct store_transaction *transaction, struct planned_write *writes)
{
    int n_writes = pick(5), n = 0;

    for (int i = 0; i < n_writes; i++) {
        struct planned_write write = {.key = pick(N_KEYS), .is_put = pick(3) > 0, .value = pick(1000000)};
        char key[8], value[16];
        bool seen = false;

        for (int j = 0; j < n; j++)
            seen |= writes[j].key == write.key;
        if (seen)
            continue;
        value_of(write.value, value);
        if (write.is_put)
            assert_int_equal(store_put(transaction, key, key_name(write.key, key), value, strlen(value), 0), 0);
        else
            assert_int_equal(store_delete(transaction, key, key_name(write.key, key)), 0);
        writes[n++] = write;
    }
    return n;
}

static void apply_to_naive(const struct planned_write *writes, int n)
{
    bool changes = false;

    for (int i = 0; i < n; i++)
        changes |= writes[i].is_put || naive.items[writes[i].key].exists;
    if (!changes)
        return;
    naive.revision++;
    for (int i = 0; i < n; i++) {
        struct naive_item *item = &naive.items[writes[i].key];
        struct naive_event *event = &naive.events[naive.n_events];

        if (!writes[i].is_put && !item->exists)
            continue;
        assert_true(++naive.n_events < MAX_EVENTS);
        if (writes[i].is_put)
            *item = (struct naive_item){true, writes[i].value, item->exists ? item->create_revision : naive.revision,
                                        naive.revision};
        else
            *item = (struct naive_item){};
        *event = (struct naive_event){.key = writes[i].key, .deleted = !writes[i].is_put, .revision = naive.revision,
                                      .value = writes[i].is_put ? writes[i].value : 0,
                                      .create_revision = item->create_revision};
    }
}

static void step_commit(struct store *store)
{
    struct store_transaction *transaction = transaction_new();
    struct planned_write writes[5];
    int n_comparisons = pick(3), failed = -1, n;
    struct store_result result;

    for (int i = 0; i < n_comparisons; i++)
        if (!add_comparison(transaction) && failed < 0)
            failed = i;
    n = plan_writes(transaction, writes);
    result = store_commit(store, transaction);
    if (failed < 0)
        apply_to_naive(writes, n);
    assert_int_equal(result.status, failed < 0 ? 0 : -EAGAIN);
    assert_int_equal(result.failed, failed);
    assert_int_equal(result.revision, naive.revision);
    assert_int_equal(store_revision(store), naive.revision);
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

static void assert_item(const struct store_item *item, int key)
{
    const struct naive_item *expected = &naive.items[key];
    char name[8], value[16];

    value_of(expected->value, value);
    assert_int_equal(item->key_size, key_name(key, name));
    assert_string_equal(item->key, name);
    assert_string_equal(item->value, value);
    assert_int_equal(item->value_size, strlen(value));
    assert_int_equal(item->create_revision, expected->create_revision);
    assert_int_equal(item->modify_revision, expected->modify_revision);
}

static int expect_next(const struct store_item *item, void *context)
{
    int *key = context;

    while (*key < N_KEYS && !naive.items[*key].exists)
        ++*key;
    assert_true(*key < N_KEYS);
    assert_item(item, (*key)++);
    return 0;
}

static void step_list(struct store *store)
{
    int from = pick(N_KEYS), to = from + pick(N_KEYS + 1 - from), next = from;
    char from_name[8], to_name[8];
    uint64_t revision;
    size_t to_size = to == N_KEYS ? 0 : key_name(to, to_name);

    assert_int_equal(store_list(store, from_name, key_name(from, from_name), to_name, to_size, expect_next, &next,
                                &revision),
                     0);
    assert_int_equal(revision, naive.revision);
    while (next < to && !naive.items[next].exists)
        next++;
    assert_true(next >= to);
}

static void step_get(struct store *store)
{
    int key = pick(N_KEYS);
    struct store_item *item = NULL;
    char name[8];
    int r = store_get(store, name, key_name(key, name), &item);

    assert_int_equal(r, naive.items[key].exists ? 0 : -ENOENT);
    if (item)
        assert_item(item, key);
    free(item);
}

/* --- watching --------------------------------------------------------------------------------------------------- */

static void record(const struct store_watch_batch *batch, void *context)
{
    struct watcher *watcher = context;

    pthread_mutex_lock(&watcher->lock);
    for (size_t i = 0; i < batch->n_events && watcher->n_events < MAX_EVENTS; i++)
        watcher->events[watcher->n_events++] = (struct naive_event){
            .key = atoi(batch->events[i].key + 1),
            .deleted = !batch->events[i].value,
            .value = batch->events[i].value ? strtoul(batch->events[i].value, NULL, 10) : 0,
            .revision = batch->events[i].modify_revision,
            .create_revision = batch->events[i].create_revision,
        };
    watcher->revision = batch->revision;
    pthread_cond_broadcast(&watcher->changed);
    pthread_mutex_unlock(&watcher->lock);
}

static void check_watcher(struct watcher *watcher)
{
    struct timespec deadline;
    int n = 0;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 60;
    pthread_mutex_lock(&watcher->lock);
    while (watcher->revision < naive.revision && watcher->after < naive.revision)
        assert_int_equal(pthread_cond_timedwait(&watcher->changed, &watcher->lock, &deadline), 0);
    for (int i = 0; i < naive.n_events; i++) {
        const struct naive_event *expected = &naive.events[i], *event = &watcher->events[n];

        if (expected->revision <= watcher->after || expected->key < watcher->from || expected->key >= watcher->to)
            continue;
        assert_true(n < watcher->n_events);
        assert_int_equal(event->key, expected->key);
        assert_int_equal(event->deleted, expected->deleted);
        assert_int_equal(event->value, expected->value);
        assert_int_equal(event->revision, expected->revision);
        assert_int_equal(event->create_revision, expected->create_revision);
        n++;
    }
    assert_int_equal(n, watcher->n_events);
    pthread_mutex_unlock(&watcher->lock);
}

static void end_watch(struct watcher *watcher)
{
    if (!watcher->watch)
        return;
    check_watcher(watcher);
    store_watch_cancel(watcher->watch);
    watcher->watch = NULL;
}

static void step_watch(struct store *store)
{
    struct watcher *watcher = &watchers[pick(N_WATCHES)];
    char from[8], to[8];
    int r;

    end_watch(watcher);
    watcher->n_events = 0;
    watcher->revision = 0;
    watcher->from = pick(N_KEYS);
    watcher->to = watcher->from + 1 + pick(N_KEYS - watcher->from);
    watcher->after = naive.revision - MIN(naive.revision, (uint64_t)pick(400));
    r = store_watch(store, from, key_name(watcher->from, from), to,
                    watcher->to == N_KEYS ? 0 : key_name(watcher->to, to), watcher->after, record, watcher,
                    &watcher->watch);
    if (r == -ESTALE) /* Only step_compact cuts the log. */
        assert_true(naive.revision - watcher->after >= 150);
    else
        assert_int_equal(r, 0);
}

static void step_compact(struct store *store)
{
    assert_int_equal(store_compact(store, naive.revision - MIN(naive.revision, 150ul)), 0);
}

static void everything_is_as_in_the_naive_model(void **state)
{
    struct fixture *fixture = *state;

    for (int i = 0; i < N_STEPS; i++) {
        unsigned what = pick(1000);

        if (what < 700)
            step_commit(fixture->store);
        else if (what < 800)
            step_get(fixture->store);
        else if (what < 900)
            step_list(fixture->store);
        else if (what < 960)
            step_watch(fixture->store);
        else if (what < 975)
            step_compact(fixture->store);
        else if (what < 980 && fixture->backend == BACKEND_SQLITE) {
            for (int w = 0; w < N_WATCHES; w++)
                end_watch(&watchers[w]);
            fixture_reopen(fixture);
        } else if (what < 990) {
            for (int w = 0; w < N_WATCHES; w++)
                if (watchers[w].watch)
                    check_watcher(&watchers[w]);
        }
    }
    for (int w = 0; w < N_WATCHES; w++)
        end_watch(&watchers[w]);
}

static int setup(void **state, enum backend backend)
{
    struct fixture *fixture = malloc(sizeof *fixture);

    if (!fixture)
        return -1;
    memset(&naive, 0, sizeof naive);
    for (int i = 0; i < N_WATCHES; i++) {
        pthread_mutex_init(&watchers[i].lock, NULL);
        pthread_cond_init(&watchers[i].changed, NULL);
    }
    fixture_open(fixture, backend);
    *state = fixture;
    return 0;
}

static int setup_memory(void **state)
{
    return setup(state, BACKEND_MEMORY);
}

static int setup_sqlite(void **state)
{
    return setup(state, BACKEND_SQLITE);
}

static int teardown(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"memory: everything_is_as_in_the_naive_model", everything_is_as_in_the_naive_model, setup_memory, teardown, NULL},
        {"sqlite: everything_is_as_in_the_naive_model", everything_is_as_in_the_naive_model, setup_sqlite, teardown, NULL},
    };

    seed = test_seed("store-random");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
