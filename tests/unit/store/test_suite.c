/* What every backend promises (store.h), run over each of them. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends.h"
#include "weft/base/clock.h"
#include "weft/base/util.h"

static struct store *store_of(void **state)
{
    return ((struct fixture *)*state)->store;
}

static void assert_value(struct store *store, const char *key, const char *expected)
{
    char *value = get_value(store, key);

    if (expected)
        assert_non_null(value);
    if (!expected)
        assert_null(value);
    else
        assert_string_equal(value, expected);
    free(value);
}

static void written_value_is_read_back(void **state)
{
    struct store *store = store_of(state);
    struct store_item *item;

    assert_int_equal(store_revision(store), 0);
    assert_int_equal(put_one(store, "a", "one").revision, 1);
    assert_int_equal(put_one(store, "a", "two").revision, 2);
    assert_int_equal(store_get(store, "a", 1, &item), 0);
    assert_int_equal(item->create_revision, 1);
    assert_int_equal(item->modify_revision, 2);
    assert_int_equal(item->key_size, 1);
    assert_int_equal(item->value_size, 3);
    assert_string_equal(item->key, "a");
    assert_string_equal(item->value, "two");
    free(item);
    assert_int_equal(store_get(store, "b", 1, &item), -ENOENT);
    assert_int_equal(store_revision(store), 2);
}

static void keys_and_values_are_bytes(void **state)
{
    struct store *store = store_of(state);
    struct store_transaction *transaction = transaction_new();
    struct store_item *item;

    assert_int_equal(store_put(transaction, "a\0b", 3, "\0\xff\0", 3, 0), 0);
    assert_int_equal(store_put(transaction, "a", 1, NULL, 0, 0), 0);
    assert_int_equal(store_commit(store, transaction).status, 0);
    assert_int_equal(store_get(store, "a\0b", 3, &item), 0);
    assert_int_equal(item->value_size, 3);
    assert_memory_equal(item->value, "\0\xff\0\0", 4);
    free(item);
    assert_int_equal(store_get(store, "a", 1, &item), 0);
    assert_int_equal(item->value_size, 0);
    assert_non_null(item->value);
    free(item);
}

static void created_again_after_deletion_has_new_create_revision(void **state)
{
    struct store *store = store_of(state);
    struct store_item *item;

    put_one(store, "a", "1");
    assert_int_equal(delete_one(store, "a").revision, 2);
    assert_value(store, "a", NULL);
    put_one(store, "a", "2");
    assert_int_equal(store_get(store, "a", 1, &item), 0);
    assert_int_equal(item->create_revision, 3);
    free(item);
}

static void change_of_nothing_takes_no_revision(void **state)
{
    struct store *store = store_of(state);
    struct store_result result;

    put_one(store, "a", "1");
    result = delete_one(store, "missing");
    assert_int_equal(result.status, 0);
    assert_int_equal(result.revision, 1);
    result = store_commit(store, transaction_new());
    assert_int_equal(result.status, 0);
    assert_int_equal(result.revision, 1);
    assert_int_equal(store_revision(store), 1);
}

static void failed_comparison_writes_nothing_and_is_named(void **state)
{
    struct store *store = store_of(state);
    struct store_transaction *transaction = transaction_new();
    struct store_result result;

    put_one(store, "a", "1");
    store_require_revision(transaction, "a", 1, 1);
    store_require_exists(transaction, "a", 1);
    store_require_revision(transaction, "b", 1, 7);
    put(transaction, "c", "x");
    result = store_commit(store, transaction);
    assert_int_equal(result.status, -EAGAIN);
    assert_int_equal(result.failed, 2);
    assert_int_equal(result.revision, 1);
    assert_value(store, "c", NULL);
}

static int try_with(struct store *store, void (*require)(struct store_transaction *))
{
    struct store_transaction *transaction = transaction_new();

    require(transaction);
    put(transaction, "result", "x");
    return store_commit(store, transaction).status;
}

static void require_absent(struct store_transaction *t) { assert_int_equal(store_require_revision(t, "k", 1, 0), 0); }
static void require_1(struct store_transaction *t) { assert_int_equal(store_require_revision(t, "k", 1, 1), 0); }
static void require_k(struct store_transaction *t) { assert_int_equal(store_require_exists(t, "k", 1), 0); }
static void require_j_to_l(struct store_transaction *t) { assert_int_equal(store_require_empty(t, "j", 1, "l", 1), 0); }
static void require_j_to_k(struct store_transaction *t) { assert_int_equal(store_require_empty(t, "j", 1, "k", 1), 0); }
static void require_k_on(struct store_transaction *t) { assert_int_equal(store_require_empty(t, "k", 1, NULL, 0), 0); }
static void require_s_on(struct store_transaction *t) { assert_int_equal(store_require_empty(t, "s", 1, NULL, 0), 0); }

static void comparisons_compare(void **state)
{
    struct store *store = store_of(state);

    assert_int_equal(try_with(store, require_k), -EAGAIN);
    assert_int_equal(try_with(store, require_1), -EAGAIN);
    put_one(store, "k", "1");
    assert_int_equal(try_with(store, require_absent), -EAGAIN);
    assert_int_equal(try_with(store, require_1), 0);
    assert_int_equal(try_with(store, require_k), 0);
    assert_int_equal(try_with(store, require_j_to_l), -EAGAIN);
    assert_int_equal(try_with(store, require_j_to_k), 0);
    assert_int_equal(try_with(store, require_k_on), -EAGAIN);
    assert_int_equal(try_with(store, require_s_on), 0);
    delete_one(store, "k");
    assert_int_equal(try_with(store, require_absent), 0);
    assert_int_equal(try_with(store, require_j_to_l), 0);
}

static void transaction_beyond_limits_is_refused_whole(void **state)
{
    struct store *store = store_of(state);
    struct store_transaction *transaction = transaction_new();
    char key[STORE_KEY_MAX_SIZE + 1];
    char *large = calloc(1, STORE_TRANSACTION_MAX_SIZE);

    memset(key, 'k', sizeof key);
    put(transaction, "a", "1");
    assert_int_equal(store_put(transaction, key, sizeof key, "", 0, 0), -E2BIG);
    assert_int_equal(store_commit(store, transaction).status, -E2BIG);
    assert_value(store, "a", NULL);

    transaction = transaction_new();
    assert_int_equal(store_put(transaction, key, sizeof key - 1, "", 0, 0), 0);
    assert_int_equal(store_put(transaction, "", 0, "", 0, 0), -EINVAL);
    assert_int_equal(store_commit(store, transaction).status, -EINVAL);

    transaction = transaction_new();
    assert_int_equal(store_put(transaction, "b", 1, large, STORE_TRANSACTION_MAX_SIZE - 1, 0), 0);
    assert_int_equal(store_put(transaction, "c", 1, "", 0, 0), -E2BIG);
    store_transaction_free(transaction);

    transaction = transaction_new();
    assert_int_equal(store_put(transaction, "b", 1, large, STORE_TRANSACTION_MAX_SIZE - 1, 0), 0);
    assert_int_equal(store_commit(store, transaction).status, 0);
    free(large);
}

static void largest_transaction_is_committed(void **state)
{
    struct store *store = store_of(state);
    struct store_transaction *transaction = transaction_new();
    struct store_result result;
    char key[16];

    for (int i = 0; i < STORE_TRANSACTION_MAX_OPERATIONS; i++) {
        snprintf(key, sizeof key, "%06d", i);
        put(transaction, key, key);
    }
    assert_int_equal(store_require_exists(transaction, "x", 1), -E2BIG);
    store_transaction_free(transaction);

    transaction = transaction_new();
    for (int i = 0; i < STORE_TRANSACTION_MAX_OPERATIONS; i++) {
        snprintf(key, sizeof key, "%06d", i);
        put(transaction, key, key);
    }
    result = store_commit(store, transaction);
    assert_int_equal(result.status, 0);
    assert_int_equal(result.revision, 1);
    assert_value(store, "008191", "008191");
}

static void key_is_written_once_in_a_transaction(void **state)
{
    struct store_transaction *transaction = transaction_new();

    put(transaction, "a", "1");
    assert_int_equal(store_delete(transaction, "a", 1), -EEXIST);
    assert_int_equal(store_commit(store_of(state), transaction).status, -EEXIST);
    assert_value(store_of(state), "a", NULL);
}

struct listing {
    char keys[256];
    int stop_after;
    int n;
};

static int note_key(const struct store_item *item, void *context)
{
    struct listing *listing = context;

    assert_int_equal(item->key[item->key_size], 0);
    assert_int_equal(item->value[item->value_size], 0);
    strcat(listing->keys, item->key);
    strcat(listing->keys, "=");
    strcat(listing->keys, item->value);
    strcat(listing->keys, " ");
    return ++listing->n == listing->stop_after ? -ECANCELED : 0;
}

static void list_is_ordered_and_half_open(void **state)
{
    struct store *store = store_of(state);
    struct listing all = {}, some = {}, rest = {}, first = {.stop_after = 1}, none = {};
    uint64_t revision = 0;

    put_one(store, "b", "2");
    put_one(store, "ab", "3");
    put_one(store, "a", "1");
    put_one(store, "c", "4");
    assert_int_equal(store_list(store, NULL, 0, NULL, 0, note_key, &all, &revision), 0);
    assert_string_equal(all.keys, "a=1 ab=3 b=2 c=4 ");
    assert_int_equal(revision, 4);
    assert_int_equal(store_list(store, "ab", 2, "c", 1, note_key, &some, NULL), 0);
    assert_string_equal(some.keys, "ab=3 b=2 ");
    assert_int_equal(store_list(store, "b", 1, NULL, 0, note_key, &rest, NULL), 0);
    assert_string_equal(rest.keys, "b=2 c=4 ");
    assert_int_equal(store_list(store, "a", 1, NULL, 0, note_key, &first, NULL), -ECANCELED);
    assert_string_equal(first.keys, "a=1 ");
    assert_int_equal(store_list(store, "c", 1, "a", 1, note_key, &none, NULL), 0);
    assert_int_equal(none.n, 0);
}

static int write_while_listing(const struct store_item *item, void *context)
{
    struct store *store = context;
    struct store_result result = put_one(store, "z", item->key);

    assert_int_equal(result.status, 0);
    assert_string_not_equal(item->key, "z");
    return 0;
}

static void list_is_at_one_revision(void **state)
{
    struct store *store = store_of(state);
    uint64_t revision = 0;

    put_one(store, "a", "1");
    put_one(store, "b", "1");
    assert_int_equal(store_list(store, NULL, 0, NULL, 0, write_while_listing, store, &revision), 0);
    assert_int_equal(revision, 2);
    assert_int_equal(store_revision(store), 4);
    assert_value(store, "z", "b");
}

/* --- watches -------------------------------------------------------------------------------------------------- */

struct recorder {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t revision;
    char events[1024];
    int n_events;
};

#define RECORDER {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER}

static void record(const struct store_watch_batch *batch, void *context)
{
    struct recorder *recorder = context;

    pthread_mutex_lock(&recorder->lock);
    for (size_t i = 0; i < batch->n_events; i++) {
        const struct store_item *event = &batch->events[i];
        size_t used = strlen(recorder->events);

        if (used + 100 < sizeof recorder->events)
            snprintf(recorder->events + used, sizeof recorder->events - used, "%d:%s%s%s ", (int)event->modify_revision,
                     event->key, event->value ? "=" : "-", event->value ? event->value : "");
        recorder->n_events++;
    }
    assert_true(batch->revision >= recorder->revision);
    recorder->revision = batch->revision;
    pthread_cond_broadcast(&recorder->changed);
    pthread_mutex_unlock(&recorder->lock);
}

static void wait_for_revision(struct recorder *recorder, uint64_t revision)
{
    struct timespec deadline;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 60;
    pthread_mutex_lock(&recorder->lock);
    while (recorder->revision < revision)
        assert_int_equal(pthread_cond_timedwait(&recorder->changed, &recorder->lock, &deadline), 0);
    pthread_mutex_unlock(&recorder->lock);
}

static struct store_watch *watch_from(struct store *store, const char *from, const char *to, uint64_t after,
                                      struct recorder *recorder)
{
    struct store_watch *watch = NULL;

    assert_int_equal(store_watch(store, from, strlen(from), to, strlen(to), after, record, recorder, &watch), 0);
    return watch;
}

static void watch_sees_changes_in_its_range(void **state)
{
    struct store *store = store_of(state);
    struct recorder recorder = RECORDER;
    struct store_watch *watch = watch_from(store, "b", "d", 0, &recorder);
    struct store_transaction *transaction = transaction_new();

    put(transaction, "c", "1");
    put(transaction, "a", "1");
    put(transaction, "b", "1");
    put(transaction, "d", "1");
    store_commit(store, transaction);
    put_one(store, "a", "2");
    delete_one(store, "c");
    delete_one(store, "c");
    put_one(store, "b", "2");
    wait_for_revision(&recorder, 4);
    assert_string_equal(recorder.events, "1:c=1 1:b=1 3:c- 4:b=2 ");
    store_watch_cancel(watch);
    put_one(store, "b", "3");
    assert_int_equal(recorder.revision, 4);
}

static void watch_resumes_from_a_revision(void **state)
{
    struct store *store = store_of(state);
    struct recorder old = RECORDER, now = RECORDER, later = RECORDER;
    struct store_watch *watches[3];

    put_one(store, "a", "1");
    put_one(store, "b", "2");
    delete_one(store, "a");
    watches[0] = watch_from(store, "", "", 1, &old);
    watches[1] = watch_from(store, "", "", 3, &now);
    watches[2] = watch_from(store, "", "", 4, &later);
    wait_for_revision(&old, 3);
    put_one(store, "c", "4");
    put_one(store, "c", "5");
    wait_for_revision(&old, 5);
    wait_for_revision(&now, 5);
    wait_for_revision(&later, 5);
    assert_string_equal(old.events, "2:b=2 3:a- 4:c=4 5:c=5 ");
    assert_string_equal(now.events, "4:c=4 5:c=5 ");
    assert_string_equal(later.events, "5:c=5 ");
    for (int i = 0; i < 3; i++)
        store_watch_cancel(watches[i]);
}

static void watch_is_told_that_the_revision_moved(void **state)
{
    struct store *store = store_of(state);
    struct recorder behind = RECORDER, level = RECORDER;
    struct store_watch *a, *b;

    put_one(store, "other", "1");
    a = watch_from(store, "x", "y", 0, &behind);
    b = watch_from(store, "x", "y", 1, &level);
    wait_for_revision(&behind, 1);
    put_one(store, "other", "2");
    wait_for_revision(&behind, 2);
    wait_for_revision(&level, 2);
    assert_int_equal(behind.n_events + level.n_events, 0);
    store_watch_cancel(a);
    store_watch_cancel(b);
}

static void watch_behind_the_compacted_log_is_refused(void **state)
{
    struct store *store = store_of(state);
    struct recorder recorder = RECORDER;
    struct store_watch *watch;

    for (int i = 0; i < 10; i++)
        put_one(store, "a", "1");
    assert_int_equal(store_compact(store, 6), 0);
    assert_int_equal(store_watch(store, "", 0, "", 0, 4, record, &recorder, &watch), -ESTALE);
    watch = watch_from(store, "", "", 5, &recorder);
    wait_for_revision(&recorder, 10);
    assert_int_equal(recorder.n_events, 5);
    store_watch_cancel(watch);
    assert_int_equal(store_compact(store, 1000), 0);
    assert_int_equal(store_watch(store, "", 0, "", 0, 8, record, &recorder, &watch), -ESTALE);
    store_watch_cancel(watch_from(store, "", "", 9, &recorder));
    assert_int_equal(put_one(store, "a", "2").revision, 11);
}

static void log_is_bounded_and_ends_with_the_latest(void **state)
{
    struct store *store = store_of(state);
    struct recorder recorder = RECORDER;
    struct store_watch *watch;

    store_set_log_limit(store, 10, 1 << 20);
    for (int i = 0; i < 100; i++)
        put_one(store, "a", "1");
    assert_int_equal(store_watch(store, "", 0, "", 0, 80, record, &recorder, &watch), -ESTALE);
    watch = watch_from(store, "", "", 90, &recorder);
    wait_for_revision(&recorder, 100);
    assert_int_equal(recorder.n_events, 10);
    store_watch_cancel(watch);

    store_set_log_limit(store, 1000, 1);
    put_one(store, "a", "more than one byte");
    put_one(store, "a", "more than one byte");
    assert_int_equal(store_watch(store, "", 0, "", 0, 100, record, &recorder, &watch), -ESTALE);
    store_watch_cancel(watch_from(store, "", "", 101, &recorder));
    assert_int_equal(store_revision(store), 102);
}

static void many_transactions_are_caught_up_with(void **state)
{
    struct store *store = store_of(state);
    struct recorder recorder = RECORDER;
    struct store_watch *watch;

    for (int i = 0; i < 1000; i++)
        put_one(store, i % 2 ? "a" : "b", "1");
    watch = watch_from(store, "a", "b", 0, &recorder);
    wait_for_revision(&recorder, 1000);
    assert_int_equal(recorder.n_events, 500);
    store_watch_cancel(watch);
}

/* --- leases --------------------------------------------------------------------------------------------------- */

static void wait_until_gone(struct store *store, const char *key)
{
    uint64_t deadline = clock_monotonic_ms() + 150000; /* More than the longest lease below. */
    struct timespec pause = {.tv_nsec = 2000000};
    char *value;

    while ((value = get_value(store, key))) {
        free(value);
        assert_true(clock_monotonic_ms() < deadline);
        nanosleep(&pause, NULL);
    }
}

static struct store_result put_leased(struct store *store, const char *key, uint64_t lease)
{
    struct store_transaction *transaction = transaction_new();

    assert_int_equal(store_put(transaction, key, strlen(key), "x", 1, lease), 0);
    return store_commit(store, transaction);
}

/* On a busy machine a short lease may end while it is still being written with; only if its time is over, though, and then the test is to
 * begin again with a longer one. */
static bool is_alive(int status, uint64_t since_ms, uint64_t ttl_ms)
{
    if (status == 0)
        return true;
    assert_int_equal(status, -ESTALE);
    assert_true(clock_monotonic_ms() >= since_ms + ttl_ms);
    assert_true(ttl_ms < 60000);
    return false;
}

static bool key_disappears_with_lease_of(struct store *store, uint64_t ttl_ms)
{
    struct recorder recorder = RECORDER;
    struct store_watch *watch = watch_from(store, "", "", store_revision(store), &recorder);
    uint64_t start = clock_monotonic_ms(), last = 0, lease, other;
    char deletions[80];
    bool in_time;

    assert_int_equal(store_lease_grant(store, ttl_ms, &lease), 0);
    assert_int_equal(store_lease_grant(store, 60000, &other), 0);
    in_time = is_alive(put_leased(store, "a", lease).status, start, ttl_ms) && is_alive(put_leased(store, "b", lease).status, start, ttl_ms);
    assert_int_equal(put_leased(store, "c", other).status, 0);
    put_one(store, "d", "1");
    in_time = in_time && is_alive(put_leased(store, "e", lease).status, start, ttl_ms);
    if (in_time) {
        last = put_one(store, "e", "kept: written again without the lease").revision;
        in_time = is_alive(store_lease_renew(store, lease), start, ttl_ms);
    }
    if (!in_time) {
        store_lease_revoke(store, lease);
        wait_until_gone(store, "a");
        store_watch_cancel(watch);
        return false;
    }
    wait_until_gone(store, "a");
    assert_true(clock_monotonic_ms() >= start + ttl_ms);
    wait_for_revision(&recorder, last + 1);
    snprintf(deletions, sizeof(deletions), " %d:a- %d:b- ", (int)last + 1, (int)last + 1);
    assert_non_null(strstr(recorder.events, deletions));
    assert_int_equal(recorder.n_events, 8);
    assert_value(store, "c", "x");
    assert_value(store, "d", "1");
    assert_value(store, "e", "kept: written again without the lease");
    assert_int_equal(store_lease_renew(store, lease), -ESTALE);
    assert_int_equal(put_leased(store, "f", lease).status, -ESTALE);
    assert_value(store, "f", NULL);
    store_watch_cancel(watch);
    return true;
}

static void key_disappears_with_its_lease(void **state)
{
    uint64_t ttl_ms = 500;

    while (!key_disappears_with_lease_of(store_of(state), ttl_ms))
        ttl_ms *= 4;
}

static bool renewed_lease_of_lives(struct store *store, uint64_t ttl_ms)
{
    struct timespec pause = {.tv_nsec = 20000000};
    uint64_t lease, start = clock_monotonic_ms(), last = start;

    assert_int_equal(store_lease_grant(store, ttl_ms, &lease), 0);
    if (!is_alive(put_leased(store, "a", lease).status, last, ttl_ms))
        return false;
    while (clock_monotonic_ms() < start + ttl_ms * 3 / 2) {
        uint64_t before = clock_monotonic_ms();

        if (!is_alive(store_lease_renew(store, lease), last, ttl_ms))
            return false;
        last = before;
        nanosleep(&pause, NULL);
    }
    char *value = get_value(store, "a");
    if (!value)
        return is_alive(-ESTALE, last, ttl_ms);
    assert_string_equal(value, "x");
    free(value);
    if (!is_alive(store_lease_revoke(store, lease), last, ttl_ms))
        return false;
    assert_value(store, "a", NULL);
    assert_int_equal(store_lease_revoke(store, lease), -ESTALE);
    return true;
}

static void renewed_lease_lives(void **state)
{
    uint64_t lease, ttl_ms = 500;

    while (!renewed_lease_of_lives(store_of(state), ttl_ms))
        ttl_ms *= 4;
    assert_int_equal(store_lease_grant(store_of(state), 0, &lease), -EINVAL);
}

/* --- threads -------------------------------------------------------------------------------------------------- */

#define N_THREADS 8
#define N_ROUNDS 60

struct counter_thread {
    struct store *store;
    pthread_t thread;
    int n_conflicts;
    const char *failure; /* cmocka's asserts are for the main thread. */
};

/* Adds 1 to a shared counter N_ROUNDS times by compare and swap. */
static void *count(void *argument)
{
    struct counter_thread *self = argument;

    for (int i = 0; i < N_ROUNDS;) {
        struct store_transaction *transaction;
        struct store_item *item = NULL;
        struct store_result result;
        char text[16];

        if (store_get(self->store, "counter", 7, &item) != 0 || store_transaction_new(&transaction) != 0) {
            self->failure = "the counter cannot be read";
            return NULL;
        }
        snprintf(text, sizeof text, "%d", atoi(item->value) + 1);
        store_require_revision(transaction, "counter", 7, item->modify_revision);
        store_put(transaction, "counter", 7, text, strlen(text), 0);
        free(item);
        result = store_commit(self->store, transaction);
        if (result.status == 0) {
            i++;
            if (store_revision(self->store) < result.revision)
                self->failure = "the revision is behind an acknowledged commit";
        } else if (result.status == -EAGAIN) {
            self->n_conflicts++;
        } else {
            self->failure = "commit failed";
            return NULL;
        }
    }
    return NULL;
}

static void concurrent_increments_lose_nothing(void **state)
{
    struct store *store = store_of(state);
    struct counter_thread threads[N_THREADS] = {};
    struct recorder recorder = RECORDER;
    struct store_watch *watch;
    char expected[16];

    put_one(store, "counter", "0");
    watch = watch_from(store, "", "", 1, &recorder);
    for (int i = 0; i < N_THREADS; i++) {
        threads[i].store = store;
        assert_int_equal(pthread_create(&threads[i].thread, NULL, count, &threads[i]), 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i].thread, NULL);
        if (threads[i].failure)
            fail_msg("%s", threads[i].failure);
    }
    snprintf(expected, sizeof expected, "%d", N_THREADS * N_ROUNDS);
    assert_value(store, "counter", expected);
    wait_for_revision(&recorder, 1 + N_THREADS * N_ROUNDS);
    assert_int_equal(recorder.n_events, N_THREADS * N_ROUNDS);
    store_watch_cancel(watch);
}

/* Watches come and go, lists and compaction run, while others write; each watch must see a gapless run of revisions. */
struct gapless {
    uint64_t next;
    const char *failure;
};

static void expect_next(const struct store_watch_batch *batch, void *context)
{
    struct gapless *gapless = context;

    for (size_t i = 0; i < batch->n_events; i++)
        if (batch->events[i].modify_revision != gapless->next++)
            gapless->failure = "a watch missed or repeated a revision";
}

static void *watch_and_cancel(void *argument)
{
    struct counter_thread *self = argument;

    for (int i = 0; i < N_ROUNDS; i++) {
        uint64_t now = store_revision(self->store), after = now - MIN(now, (uint64_t)(i % 20));
        struct gapless gapless = {.next = after + 1};
        struct store_watch *watch = NULL;
        int r = store_watch(self->store, "", 0, "", 0, after, expect_next, &gapless, &watch);

        if (r == -ESTALE)
            continue;
        if (r != 0) {
            self->failure = "watch failed";
            return NULL;
        }
        sched_yield();
        store_watch_cancel(watch);
        if (gapless.failure)
            self->failure = gapless.failure;
        if (i % 10 == 0)
            store_compact(self->store, now - MIN(now, 10));
    }
    return NULL;
}

static void watches_come_and_go_under_load(void **state)
{
    struct store *store = store_of(state);
    struct counter_thread threads[N_THREADS] = {};

    put_one(store, "counter", "0");
    for (int i = 0; i < N_THREADS; i++) {
        threads[i].store = store;
        assert_int_equal(
            pthread_create(&threads[i].thread, NULL, i % 2 ? watch_and_cancel : count, &threads[i]), 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i].thread, NULL);
        if (threads[i].failure)
            fail_msg("%s", threads[i].failure);
    }
    assert_int_equal(store_revision(store), 1 + N_THREADS / 2 * N_ROUNDS);
}

struct submissions {
    pthread_mutex_t lock;
    uint64_t last_revision;
    int n_done, n_out_of_order, n_failed;
};

static void submission_done(struct store_result result, void *context)
{
    struct submissions *submissions = context;

    pthread_mutex_lock(&submissions->lock);
    submissions->n_done++;
    submissions->n_failed += result.status != 0;
    submissions->n_out_of_order += result.revision <= submissions->last_revision;
    submissions->last_revision = result.revision;
    pthread_mutex_unlock(&submissions->lock);
}

static void close_waits_for_what_was_submitted(void **state)
{
    struct fixture *fixture = *state;
    struct submissions submissions = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct recorder recorder = RECORDER;
    char key[16];

    watch_from(fixture->store, "", "", 0, &recorder);
    for (int i = 0; i < 500; i++) {
        struct store_transaction *transaction = transaction_new();

        snprintf(key, sizeof key, "%d", i);
        put(transaction, key, "x");
        store_submit(fixture->store, transaction, submission_done, &submissions);
    }
    store_close(fixture->store);
    fixture->store = NULL;
    assert_int_equal(submissions.n_done, 500);
    assert_int_equal(submissions.n_failed, 0);
    assert_int_equal(submissions.n_out_of_order, 0);
    assert_int_equal(recorder.n_events, 500);
}

static enum backend backend;

static int open_fixture(void **state)
{
    struct fixture *fixture = malloc(sizeof *fixture);

    if (!fixture)
        return -1;
    fixture_open(fixture, backend);
    *state = fixture;
    return 0;
}

static int close_fixture(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CASE(written_value_is_read_back),
        CASE(keys_and_values_are_bytes),
        CASE(created_again_after_deletion_has_new_create_revision),
        CASE(change_of_nothing_takes_no_revision),
        CASE(failed_comparison_writes_nothing_and_is_named),
        CASE(comparisons_compare),
        CASE(transaction_beyond_limits_is_refused_whole),
        CASE(largest_transaction_is_committed),
        CASE(key_is_written_once_in_a_transaction),
        CASE(list_is_ordered_and_half_open),
        CASE(list_is_at_one_revision),
        CASE(watch_sees_changes_in_its_range),
        CASE(watch_resumes_from_a_revision),
        CASE(watch_is_told_that_the_revision_moved),
        CASE(watch_behind_the_compacted_log_is_refused),
        CASE(log_is_bounded_and_ends_with_the_latest),
        CASE(many_transactions_are_caught_up_with),
        CASE(key_disappears_with_its_lease),
        CASE(renewed_lease_lives),
        CASE(concurrent_increments_lose_nothing),
        CASE(watches_come_and_go_under_load),
        CASE(close_waits_for_what_was_submitted),
    };

    if (argc != 2 || (strcmp(argv[1], "memory") && strcmp(argv[1], "sqlite"))) {
        fprintf(stderr, "usage: %s memory|sqlite\n", argv[0]);
        return 2;
    }
    backend = strcmp(argv[1], "memory") ? BACKEND_SQLITE : BACKEND_MEMORY;
    return cmocka_run_group_tests_name(argv[1], tests, NULL, NULL);
}
