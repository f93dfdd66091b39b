/* The queue of submitted transactions, and the writer thread.
 *
 * The writer takes what waits (while it was in fsync, more arrived), and makes of it one SQLite transaction: each is checked and
 * applied in turn, so a later one sees the earlier ones, then a single COMMIT makes all durable, then watches and callers
 * are told.  One that fails its comparisons writes nothing and does not disturb the others.  When SQLite itself fails (a full
 * disk), the group is rolled back and each is tried alone, so that only those that do not fit are refused. */
#include <errno.h>

#include "weft/base/clock.h"
#include "weft/store/store-sqlite.h"

#define GROUP_MAX_TRANSACTIONS 1024
#define GROUP_MAX_SIZE (8u << 20)   /* Bytes of keys and values: bounds how long the first of a group waits. */
#define RETRY_MS 100                /* After a log that could not be read for a lagging watch. */

/* Applies and commits a list as one SQLite transaction.  On failure nothing was written. */
static int try_group(struct sqlite_store *sqlite, struct store_transaction *first, uint64_t *ret_revision)
{
    uint64_t revision = sqlite->store.revision, log_first = sqlite->log_first, log_size = sqlite->log_size;
    int r;

    r = connection_run(sqlite->writer, STATEMENT_BEGIN_WRITE);
    if (r < 0)
        return r;
    for (struct store_transaction *transaction = first; transaction && r >= 0; transaction = transaction->next)
        r = apply(sqlite, transaction, &revision);
    if (r >= 0)
        r = trim_log(sqlite, revision);
    if (r >= 0) {
        r = connection_run(sqlite->writer, STATEMENT_COMMIT);
        if (r < 0 && r != -ENOSPC)
            sqlite->is_broken = true;
    }
    if (r < 0) {
        if (!sqlite3_get_autocommit(sqlite->writer->db))
            connection_run(sqlite->writer, STATEMENT_ROLLBACK);
        sqlite->log_first = log_first;
        sqlite->log_size = log_size;
        return r;
    }
    *ret_revision = revision;
    return 0;
}

static void refuse(struct store_transaction *first, int error)
{
    for (struct store_transaction *transaction = first; transaction; transaction = transaction->next)
        transaction->result = (struct store_result){.status = error, .failed = -1};
}

/* Watches first, then those who wait: a caller that is told finds its own replica no further behind than it must be. */
static void announce(struct sqlite_store *sqlite, struct store_transaction *first, uint64_t revision)
{
    uint64_t before = sqlite->store.revision;

    sqlite->store.revision = revision;
    if (revision > before)
        watch_hub_publish(&sqlite->store.hub, first, before, revision);
    while (first) {
        struct store_transaction *transaction = first;

        first = transaction->next;
        store_finish(&sqlite->store, transaction);
        store_transaction_free(transaction);
    }
}

static void commit_group(struct sqlite_store *sqlite, struct store_transaction *first)
{
    uint64_t revision = sqlite->store.revision;
    int r = sqlite->is_broken ? -EIO : wal_is_full(sqlite) ? -ENOSPC : try_group(sqlite, first, &revision);

    if (r < 0 && first->next && !sqlite->is_broken) {
        while (first) {
            struct store_transaction *transaction = first;

            first = transaction->next;
            transaction->next = NULL;
            commit_group(sqlite, transaction);
        }
        return;
    }
    if (r < 0)
        refuse(first, r == -ENOSPC || r == -ENOMEM ? r : -EIO);
    announce(sqlite, first, revision);
}

/* Takes the head of the queue; 'lock' is held. */
static struct store_transaction *take_group(struct sqlite_store *sqlite)
{
    struct store_transaction *first = sqlite->first, *last = first;
    size_t n = 1, size = first ? first->size : 0;

    if (!first)
        return NULL;
    while (last->next && n < GROUP_MAX_TRANSACTIONS && size + last->next->size <= GROUP_MAX_SIZE) {
        last = last->next;
        size += last->size;
        n++;
    }
    sqlite->first = last->next;
    if (!sqlite->first)
        sqlite->last = NULL;
    last->next = NULL;
    sqlite->n_waiting -= n;
    sqlite->waiting_size -= size;
    return first;
}

static void wait_for_work(struct sqlite_store *sqlite, bool retry)
{
    struct timespec until;
    uint64_t deadline_ms = clock_monotonic_ms() + RETRY_MS;

    if (!retry) {
        pthread_cond_wait(&sqlite->work, &sqlite->lock);
        return;
    }
    until = (struct timespec){.tv_sec = deadline_ms / 1000, .tv_nsec = deadline_ms % 1000 * 1000000};
    if (pthread_cond_timedwait(&sqlite->work, &sqlite->lock, &until) == ETIMEDOUT)
        sqlite->watch_was_added = true;
}

/* Commits the head of the queue, unless a checkpoint needs the WAL for itself; 'lock' is held, but not meanwhile. */
static void commit_waiting(struct sqlite_store *sqlite)
{
    struct store_transaction *first;

    while (sqlite->writer_must_pause)
        pthread_cond_wait(&sqlite->work, &sqlite->lock);
    first = take_group(sqlite);
    if (!first)
        return;
    sqlite->is_committing = true;
    pthread_mutex_unlock(&sqlite->lock);
    commit_group(sqlite, first);
    pthread_mutex_lock(&sqlite->lock);
    sqlite->is_committing = false;
    if (sqlite->writer_must_pause)
        pthread_cond_signal(&sqlite->checkpoint);
}

void *writer_run(void *argument)
{
    struct sqlite_store *sqlite = argument;
    int lag = 0; /* 1: a watch needs another step; negative: it could not be read. */

    pthread_mutex_lock(&sqlite->lock);
    while (true) {
        if (!sqlite->first && lag <= 0 && !sqlite->watch_was_added) {
            if (sqlite->is_closing)
                break;
            wait_for_work(sqlite, lag < 0);
            continue;
        }
        sqlite->watch_was_added = false;
        commit_waiting(sqlite);
        pthread_mutex_unlock(&sqlite->lock);
        lag = watch_hub_catch_up(&sqlite->store.hub, &sqlite->store, sqlite->store.revision, read_log);
        pthread_mutex_lock(&sqlite->lock);
    }
    pthread_mutex_unlock(&sqlite->lock);
    return NULL;
}

/* --- what others call ----------------------------------------------------------------------------------------- */

/* The first one always finds room, however large. */
static bool has_room(const struct sqlite_store *sqlite, const struct store_transaction *transaction)
{
    return !sqlite->first || (sqlite->n_waiting < STORE_MAX_WAITING_TRANSACTIONS &&
                              sqlite->waiting_size + transaction->size <= STORE_MAX_WAITING_SIZE);
}

void sqlite_submit(struct store *store, struct store_transaction *transaction)
{
    struct sqlite_store *sqlite = sqlite_store(store);

    pthread_mutex_lock(&sqlite->lock);
    if (!has_room(sqlite, transaction)) {
        pthread_mutex_unlock(&sqlite->lock);
        transaction->result = (struct store_result){.status = -EBUSY, .failed = -1};
        store_finish(store, transaction);
        store_transaction_free(transaction);
        return;
    }
    if (sqlite->last)
        sqlite->last->next = transaction;
    else
        sqlite->first = transaction;
    sqlite->last = transaction;
    sqlite->n_waiting++;
    sqlite->waiting_size += transaction->size;
    pthread_cond_signal(&sqlite->work);
    pthread_mutex_unlock(&sqlite->lock);
}

void sqlite_watch_added(struct store *store)
{
    struct sqlite_store *sqlite = sqlite_store(store);

    pthread_mutex_lock(&sqlite->lock);
    sqlite->watch_was_added = true;
    pthread_cond_signal(&sqlite->work);
    pthread_mutex_unlock(&sqlite->lock);
}
