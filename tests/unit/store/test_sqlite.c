/* What only the SQLite file has: it outlives the process, belongs to one, can be full, damaged, or something else. */
#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "backends.h"
#include "weft/base/clock.h"
#include "weft/base/util.h"

static int setup(void **state)
{
    struct fixture *fixture = malloc(sizeof *fixture);

    if (!fixture)
        return -1;
    fixture_open(fixture, BACKEND_SQLITE);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

static void content_and_revision_survive_reopening(void **state)
{
    struct fixture *fixture = *state;
    struct store_item *item;

    put_one(fixture->store, "a", "1");
    put_one(fixture->store, "b", "2");
    put_one(fixture->store, "a", "3");
    delete_one(fixture->store, "b");
    fixture_reopen(fixture);
    assert_int_equal(store_revision(fixture->store), 4);
    assert_int_equal(store_get(fixture->store, "a", 1, &item), 0);
    assert_int_equal(item->create_revision, 1);
    assert_int_equal(item->modify_revision, 3);
    free(item);
    assert_null(get_value(fixture->store, "b"));
    store_compact(fixture->store, 4);
    fixture_reopen(fixture);
    assert_int_equal(store_revision(fixture->store), 4);
    assert_int_equal(put_one(fixture->store, "c", "5").revision, 5);
}

struct seen {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t revision;
    char events[256];
};

static void see(const struct store_watch_batch *batch, void *context)
{
    struct seen *seen = context;

    pthread_mutex_lock(&seen->lock);
    for (size_t i = 0; i < batch->n_events; i++)
        snprintf(seen->events + strlen(seen->events), 50, "%d:%s%s%s ", (int)batch->events[i].modify_revision,
                 batch->events[i].key, batch->events[i].value ? "=" : "-",
                 batch->events[i].value ? batch->events[i].value : "");
    seen->revision = batch->revision;
    pthread_cond_signal(&seen->changed);
    pthread_mutex_unlock(&seen->lock);
}

static void watch_resumes_after_reopening(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct store_watch *watch;
    struct timespec deadline;

    put_one(fixture->store, "a", "1");
    put_one(fixture->store, "b", "");
    delete_one(fixture->store, "a");
    put_one(fixture->store, "c", "4");
    store_compact(fixture->store, 2);
    fixture_reopen(fixture);
    assert_int_equal(store_watch(fixture->store, "", 0, "", 0, 0, see, &seen, &watch), -ESTALE);
    assert_int_equal(store_watch(fixture->store, "", 0, "", 0, 1, see, &seen, &watch), 0);
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 60;
    pthread_mutex_lock(&seen.lock);
    while (seen.revision < 4)
        assert_int_equal(pthread_cond_timedwait(&seen.changed, &seen.lock, &deadline), 0);
    pthread_mutex_unlock(&seen.lock);
    assert_string_equal(seen.events, "2:b= 3:a- 4:c=4 ");
    store_watch_cancel(watch);
}

static void lease_starts_again_after_reopening(void **state)
{
    struct fixture *fixture = *state;
    struct timespec pause = {.tv_nsec = 5000000};
    uint64_t lease, granted, start, deadline, ttl_ms = 300;
    int committed, renewed;
    char *value;

    while (true) {
        struct store_transaction *transaction = transaction_new();

        granted = clock_monotonic_ms();
        assert_int_equal(store_lease_grant(fixture->store, ttl_ms, &lease), 0);
        assert_int_equal(store_put(transaction, "a", 1, "x", 1, lease), 0);
        committed = store_commit(fixture->store, transaction).status;
        start = clock_monotonic_ms();
        fixture_reopen(fixture);
        renewed = store_lease_renew(fixture->store, lease);
        if (committed == 0 && renewed == 0)
            break;
        /* Only because a busy machine took longer than it was to last: once more, with a longer one. */
        assert_true(committed == 0 || committed == -ESTALE);
        assert_true(renewed == 0 || renewed == -ESTALE);
        assert_true(clock_monotonic_ms() >= granted + ttl_ms && ttl_ms < 60000);
        ttl_ms *= 4;
    }
    deadline = clock_monotonic_ms() + 60000 + ttl_ms;
    while ((value = get_value(fixture->store, "a"))) {
        free(value);
        assert_true(clock_monotonic_ms() < deadline);
        nanosleep(&pause, NULL);
    }
    assert_true(clock_monotonic_ms() >= start + ttl_ms);
    fixture_reopen(fixture);
    assert_int_equal(store_lease_renew(fixture->store, lease), -ESTALE);
}

static void file_is_private_and_opened_once(void **state)
{
    struct fixture *fixture = *state;
    struct store *second = NULL;
    struct error error = {};
    struct stat status;
    char wal[128];

    put_one(fixture->store, "a", "1");
    assert_int_equal(stat(fixture->path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    snprintf(wal, sizeof wal, "%s-wal", fixture->path);
    assert_int_equal(stat(wal, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(store_sqlite_open(fixture->path, NULL, &second, &error), -EBUSY);
    assert_null(second);
    assert_non_null(strstr(error.message, fixture->path));
}

static void execute(const char *path, const char *text)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void assert_refused(const char *path, int expected, const char *words)
{
    struct store *store = NULL;
    struct error error = {};

    assert_int_equal(store_sqlite_open(path, NULL, &store, &error), expected);
    assert_null(store);
    if (!strstr(error.message, words) || !strstr(error.message, path))
        fail_msg("'%s' says neither '%s' nor '%s'", error.message, path, words);
}

static void foreign_files_are_refused(void **state)
{
    struct fixture *fixture = *state;
    char other[128], text[128];
    FILE *file;

    snprintf(other, sizeof other, "%s/other", fixture->folder);
    execute(other, "CREATE TABLE t(a)");
    assert_refused(other, -EPROTO, "not a weft store");

    snprintf(text, sizeof text, "%s/text", fixture->folder);
    file = fopen(text, "w");
    assert_non_null(file);
    for (int i = 0; i < 100; i++)
        fputs("This is not a database, but long enough to be one.\n", file);
    fclose(file);
    assert_refused(text, -EPROTO, "not a SQLite file");

    store_close(fixture->store);
    fixture->store = NULL;
    execute(fixture->path, "PRAGMA user_version = 99");
    assert_refused(fixture->path, -EPROTO, "layout 99");
    assert_refused("/nonexistent/folder/store", -ENOENT, "cannot be opened");
}

struct outcome {
    int n_done, n_good, n_no_space;
};

static void note(struct store_result result, void *context)
{
    struct outcome *outcome = context;

    outcome->n_done++; /* All on the writer's thread. */
    outcome->n_good += result.status == 0;
    outcome->n_no_space += result.status == -ENOSPC;
}

/* 'max_page_count' stands for a full disk; it is a property of a connection, so it is set through a hook. */
static int limit_pages(sqlite3 *db, const char **ret_message, const void *api)
{
    (void)ret_message, (void)api;
    sqlite3_exec(db, "PRAGMA max_page_count = 64", NULL, NULL, NULL);
    return SQLITE_OK;
}

static void full_disk_refuses_only_what_does_not_fit(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {};
    char key[16], *large = calloc(1, 100000), *value;

    sqlite3_auto_extension((void (*)(void))limit_pages);
    fixture_reopen(fixture);
    sqlite3_cancel_auto_extension((void (*)(void))limit_pages);
    for (int i = 0; i < 40; i++) {
        struct store_transaction *transaction = transaction_new();

        snprintf(key, sizeof key, "%s%d", i % 2 ? "large" : "small", i);
        assert_int_equal(store_put(transaction, key, strlen(key), i % 2 ? large : "x", i % 2 ? 100000 : 1, 0), 0);
        store_submit(fixture->store, transaction, note, &outcome);
    }
    assert_int_equal(store_commit(fixture->store, transaction_new()).status, 0); /* After all others. */
    assert_int_equal(outcome.n_done, 40);
    assert_true(outcome.n_no_space >= 19);
    assert_int_equal(outcome.n_good + outcome.n_no_space, 40);
    assert_true(outcome.n_good >= 20);
    for (int i = 0; i < 40; i += 2) {
        snprintf(key, sizeof key, "small%d", i);
        value = get_value(fixture->store, key);
        assert_non_null(value);
        free(value);
    }
    assert_int_equal(store_revision(fixture->store), outcome.n_good);
    fixture_reopen(fixture);
    assert_int_equal(store_revision(fixture->store), outcome.n_good);
    free(large);
}

/* Holds up the writer from a callback. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_reached, is_open;
};

static void wait_at_gate(struct store_result result, void *context)
{
    struct gate *gate = context;

    pthread_mutex_lock(&gate->lock);
    gate->is_reached = true;
    pthread_cond_broadcast(&gate->changed);
    while (!gate->is_open)
        pthread_cond_wait(&gate->changed, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

static void hold_writer(struct store *store, struct gate *gate)
{
    *gate = (struct gate){.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    store_submit(store, transaction_new(), wait_at_gate, gate);
    pthread_mutex_lock(&gate->lock);
    while (!gate->is_reached)
        pthread_cond_wait(&gate->changed, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

static void release_writer(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->is_open = true;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

static void count_status(struct store_result result, void *context)
{
    _Atomic int *n = context; /* Good, busy, conflicts, others. */

    n[result.status == 0 ? 0 : result.status == -EBUSY ? 1 : result.status == -EAGAIN ? 2 : 3]++;
}

static void too_many_waiting_transactions_are_refused_at_once(void **state)
{
    struct fixture *fixture = *state;
    _Atomic int n[4] = {};
    struct gate gate;

    hold_writer(fixture->store, &gate);
    for (int i = 0; i < STORE_MAX_WAITING_TRANSACTIONS + 3; i++) {
        struct store_transaction *transaction = transaction_new();
        char key[16];

        snprintf(key, sizeof key, "%d", i);
        put(transaction, key, "x");
        assert_int_equal(n[1], MAX(i - STORE_MAX_WAITING_TRANSACTIONS, 0));
        store_submit(fixture->store, transaction, count_status, n);
    }
    assert_int_equal(n[1], 3);
    assert_int_equal(n[0], 0);
    assert_int_equal(put_one(fixture->store, "refused", "x").status, -EBUSY);
    release_writer(&gate);
    fixture_reopen(fixture); /* Waits for all. */
    assert_int_equal(n[0], STORE_MAX_WAITING_TRANSACTIONS);
    assert_int_equal(store_revision(fixture->store), STORE_MAX_WAITING_TRANSACTIONS);
    assert_null(get_value(fixture->store, "refused"));
    assert_int_equal(put_one(fixture->store, "later", "x").status, 0);
}

static void too_many_waiting_bytes_are_refused_at_once(void **state)
{
    struct fixture *fixture = *state;
    size_t size = 7 << 20, n_fit = STORE_MAX_WAITING_SIZE / (size + 16);
    char *large = calloc(1, size);
    _Atomic int n[4] = {};
    struct gate gate;

    hold_writer(fixture->store, &gate);
    for (size_t i = 0; i <= n_fit; i++) {
        struct store_transaction *transaction = transaction_new();

        assert_int_equal(n[1], 0);
        assert_int_equal(store_require_exists(transaction, "absent", 6), 0); /* So that nothing is written. */
        assert_int_equal(store_put(transaction, "large", 5, large, size, 0), 0);
        store_submit(fixture->store, transaction, count_status, n);
    }
    assert_int_equal(n[1], 1);
    release_writer(&gate);
    fixture_reopen(fixture);
    assert_int_equal(n[2], n_fit);
    assert_int_equal(n[3], 0);
    free(large);
}

static size_t wal_size(const struct fixture *fixture)
{
    struct stat status;
    char wal[128];

    snprintf(wal, sizeof wal, "%s-wal", fixture->path);
    assert_int_equal(stat(wal, &status), 0);
    return status.st_size;
}

static int put_large(struct store *store, const char *bytes, size_t size)
{
    struct store_transaction *transaction = transaction_new();

    assert_int_equal(store_put(transaction, "large", 5, bytes, size, 0), 0);
    return store_commit(store, transaction).status;
}

static int write_meanwhile(const struct store_item *item, void *context)
{
    struct fixture *fixture = context;
    size_t size = 2 << 20;
    char *large = calloc(1, size);

    for (int i = 0; i < 40; i++) /* 160 MiB of WAL with the log of events. */
        assert_int_equal(put_large(fixture->store, large, size), 0);
    free(large);
    assert_string_equal(item->value, "1");
    assert_true(wal_size(fixture) < 90 << 20);
    return 7;
}

static void slow_listing_does_not_let_the_wal_grow(void **state)
{
    struct fixture *fixture = *state;
    uint64_t revision = 0;

    store_set_log_limit(fixture->store, 4, 1 << 20);
    put_one(fixture->store, "a", "1");
    put_one(fixture->store, "b", "2");
    assert_int_equal(store_list(fixture->store, "", 0, "", 0, write_meanwhile, fixture, &revision), 7);
    assert_int_equal(revision, 2);
}

/* Another program's reader: first the WAL grows, then commits are refused, and all is well once it is gone. */
static void lingering_foreign_reader_is_bounded(void **state)
{
    struct fixture *fixture = *state;
    struct timespec pause = {.tv_nsec = 10000000};
    uint64_t deadline;
    size_t size = 8100000;
    char *large = calloc(1, size);
    sqlite3 *db = NULL;
    int n = 0, r;

    store_set_log_limit(fixture->store, 4, 1 << 20);
    put_one(fixture->store, "a", "1");
    assert_int_equal(sqlite3_open(fixture->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN; SELECT count(*) FROM items", NULL, NULL, NULL), SQLITE_OK);
    while ((r = put_large(fixture->store, large, size)) == 0)
        assert_true(n++ < 256); /* It would be 4 GiB. */
    assert_int_equal(r, -ENOSPC);
    assert_true(wal_size(fixture) >= 250 << 20);
    assert_true(wal_size(fixture) < 320 << 20);
    assert_int_equal(store_revision(fixture->store), n + 1);
    assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    deadline = clock_monotonic_ms() + 60000;
    while ((r = put_one(fixture->store, "a", "2").status) == -ENOSPC) {
        assert_true(clock_monotonic_ms() < deadline);
        nanosleep(&pause, NULL);
    }
    assert_int_equal(r, 0);
    assert_true(wal_size(fixture) <= 80 << 20);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(content_and_revision_survive_reopening, setup, teardown),
        cmocka_unit_test_setup_teardown(watch_resumes_after_reopening, setup, teardown),
        cmocka_unit_test_setup_teardown(lease_starts_again_after_reopening, setup, teardown),
        cmocka_unit_test_setup_teardown(file_is_private_and_opened_once, setup, teardown),
        cmocka_unit_test_setup_teardown(foreign_files_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(full_disk_refuses_only_what_does_not_fit, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many_waiting_transactions_are_refused_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many_waiting_bytes_are_refused_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(slow_listing_does_not_let_the_wal_grow, setup, teardown),
        cmocka_unit_test_setup_teardown(lingering_foreign_reader_is_bounded, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
