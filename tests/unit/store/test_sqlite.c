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
    deadline.tv_sec += 20;
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
    struct store_transaction *transaction = transaction_new();
    uint64_t lease, start, deadline;
    char *value;

    assert_int_equal(store_lease_grant(fixture->store, 300, &lease), 0);
    assert_int_equal(store_put(transaction, "a", 1, "x", 1, lease), 0);
    assert_int_equal(store_commit(fixture->store, transaction).status, 0);
    start = clock_monotonic_ms();
    fixture_reopen(fixture);
    assert_int_equal(store_lease_renew(fixture->store, lease), 0);
    deadline = clock_monotonic_ms() + 20000;
    while ((value = get_value(fixture->store, "a"))) {
        free(value);
        assert_true(clock_monotonic_ms() < deadline);
        nanosleep(&pause, NULL);
    }
    assert_true(clock_monotonic_ms() >= start + 300);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(content_and_revision_survive_reopening, setup, teardown),
        cmocka_unit_test_setup_teardown(watch_resumes_after_reopening, setup, teardown),
        cmocka_unit_test_setup_teardown(lease_starts_again_after_reopening, setup, teardown),
        cmocka_unit_test_setup_teardown(file_is_private_and_opened_once, setup, teardown),
        cmocka_unit_test_setup_teardown(foreign_files_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(full_disk_refuses_only_what_does_not_fit, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
