/* The SQLite backend: one file, one writer thread, any number of readers.
 *
 * Submitted transactions queue up.  The writer takes what is there (while it was in fsync, more arrived), and makes of
 * it one SQLite transaction: each is checked and applied in turn, so a later one sees the earlier ones, then a single
 * COMMIT makes all durable, then watches and callers are told.  One that fails its comparisons writes nothing and does
 * not disturb the others.  When SQLite itself fails (a full disk), the group is rolled back and each is tried alone, so that
 * only those that do not fit are refused.
 *
 * The log of events is a table written in the same transaction, so a watch resumes after a restart.
 *
 * Readers use connections of their own (WAL: they never wait for the writer) from a small pool. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "weft/base/clock.h"
#include "weft/store/sqlite.h"

#define GROUP_MAX_TRANSACTIONS 1024
#define GROUP_MAX_SIZE (8u << 20)   /* Bytes of keys and values: bounds how long the first of a group waits. */
#define MAX_IDLE_READERS 8
#define LOG_SLACK 64                /* The log is cut when it is 1/64 over its limit, so not in every group. */
#define RETRY_MS 100                /* After a log that could not be read for a lagging watch. */

struct sqlite_store {
    struct store store;
    char *path, *vfs;
    int lock_fd;

    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct store_transaction *first, *last; /* Waiting, under 'lock'. */
    bool watch_was_added, is_closing;       /* Under 'lock'. */
    uint64_t compact_floor;                 /* Under 'lock': asked for by sqlite_compact. */

    /* The writer thread's own. */
    struct connection *writer;
    struct buffer encoded;
    uint64_t log_first;               /* Revision of the oldest row; 0 while there is none. */
    uint64_t log_size;                /* Bytes of events in the log. */
    bool is_broken;                   /* A COMMIT failed in a way that leaves the disk's state unknown. */

    pthread_mutex_t readers_lock;
    struct connection *readers; /* Idle ones. */
    size_t n_idle;
};

static struct sqlite_store *sqlite_store(struct store *store)
{
    return CONTAINER_OF(store, struct sqlite_store, store);
}

/* --- reading -------------------------------------------------------------------------------------------------- */

static int take_reader(struct sqlite_store *sqlite, struct connection **ret_reader)
{
    struct connection *reader;

    pthread_mutex_lock(&sqlite->readers_lock);
    reader = sqlite->readers;
    if (reader) {
        sqlite->readers = reader->next;
        sqlite->n_idle--;
    }
    pthread_mutex_unlock(&sqlite->readers_lock);
    if (!reader)
        return connection_open(sqlite->path, sqlite->vfs, false, ret_reader, NULL) < 0 ? -EIO : 0;
    *ret_reader = reader;
    return 0;
}

static void give_reader(struct sqlite_store *sqlite, struct connection *reader)
{
    pthread_mutex_lock(&sqlite->readers_lock);
    if (sqlite->n_idle < MAX_IDLE_READERS) {
        reader->next = sqlite->readers;
        sqlite->readers = reader;
        sqlite->n_idle++;
        reader = NULL;
    }
    pthread_mutex_unlock(&sqlite->readers_lock);
    connection_free(reader);
}

static int sqlite_get(struct store *store, const char *key, size_t key_size, struct store_item **ret_item)
{
    struct connection *reader = NULL;
    struct store_item item;
    sqlite3_stmt *statement;
    int r;

    r = take_reader(sqlite_store(store), &reader);
    if (r < 0)
        return r;
    r = -EIO;
    statement = connection_statement(reader, STATEMENT_GET);
    if (statement) {
        statement_bind_bytes(statement, 1, key, key_size);
        switch (sqlite3_step(statement)) {
        case SQLITE_ROW:
            statement_read_item(statement, &item);
            *ret_item = item_copy(&item);
            r = *ret_item ? 0 : -ENOMEM;
            break;
        case SQLITE_DONE:
            r = -ENOENT;
            break;
        }
        sqlite3_reset(statement);
        sqlite3_clear_bindings(statement);
    }
    give_reader(sqlite_store(store), reader);
    return r;
}

/* The store's revision as this connection sees it. */
static int read_revision(struct connection *connection, uint64_t *ret_revision)
{
    sqlite3_stmt *statement = connection_statement(connection, STATEMENT_REVISION);
    int r = -EIO;

    if (!statement)
        return -EIO;
    if (sqlite3_step(statement) == SQLITE_ROW) {
        *ret_revision = sqlite3_column_int64(statement, 0);
        r = 0;
    }
    sqlite3_reset(statement);
    return r;
}

static int list_rows(struct connection *reader, const char *from, size_t from_size, const char *to, size_t to_size,
                     int (*visit)(const struct store_item *item, void *context), void *context)
{
    sqlite3_stmt *statement = connection_statement(reader, to_size ? STATEMENT_LIST : STATEMENT_LIST_TO_END);
    int r = 0, step = SQLITE_DONE;

    if (!statement)
        return -EIO;
    statement_bind_bytes(statement, 1, from, from_size);
    if (to_size)
        statement_bind_bytes(statement, 2, to, to_size);
    while (r == 0 && (step = sqlite3_step(statement)) == SQLITE_ROW) {
        struct store_item item;
        _cleanup_(freep) struct store_item *copy = NULL;

        statement_read_item(statement, &item);
        copy = item_copy(&item); /* SQLite's bytes have no terminating 0. */
        r = copy ? visit(copy, context) : -ENOMEM;
    }
    if (r == 0 && step != SQLITE_DONE)
        r = -EIO;
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return r;
}

static int sqlite_list(struct store *store, const char *from, size_t from_size, const char *to, size_t to_size,
                       int (*visit)(const struct store_item *item, void *context), void *context,
                       uint64_t *ret_revision)
{
    struct connection *reader = NULL;
    uint64_t revision;
    int r;

    r = take_reader(sqlite_store(store), &reader);
    if (r < 0)
        return r;
    r = connection_run(reader, STATEMENT_BEGIN);
    if (r == 0) {
        r = read_revision(reader, &revision); /* The first read fixes what this transaction sees. */
        if (r == 0 && ret_revision)
            *ret_revision = revision;
        if (r == 0)
            r = list_rows(reader, from, from_size, to, to_size, visit, context);
        connection_run(reader, STATEMENT_ROLLBACK);
    }
    give_reader(sqlite_store(store), reader);
    return r;
}

/* --- applying one transaction (writer thread) ----------------------------------------------------------------- */

/* Returns 1 when the bound statement yields a row, whose first column goes to '*ret_number' (may be NULL), 0, or -errno. */
static int step_number(struct connection *writer, sqlite3_stmt *statement, uint64_t *ret_number)
{
    int step = sqlite3_step(statement), r = 0;

    if (step == SQLITE_ROW) {
        if (ret_number)
            *ret_number = sqlite3_column_int64(statement, 0);
        r = 1;
        step = SQLITE_DONE;
    }
    if (step != SQLITE_DONE)
        r = connection_error(writer);
    if (sqlite3_reset(statement) != SQLITE_OK && r >= 0)
        r = connection_error(writer);
    return r;
}

static int comparison_holds(struct connection *writer, const struct store_comparison *comparison)
{
    enum connection_statement which = comparison->kind != COMPARE_EMPTY ? STATEMENT_MODIFY_REVISION
                                      : comparison->to_size             ? STATEMENT_ANY
                                                                        : STATEMENT_ANY_TO_END;
    sqlite3_stmt *statement = connection_statement(writer, which);
    uint64_t revision = 0;
    int r;

    if (!statement)
        return connection_error(writer);
    statement_bind_bytes(statement, 1, comparison->key, comparison->key_size);
    if (which == STATEMENT_ANY)
        statement_bind_bytes(statement, 2, comparison->to, comparison->to_size);
    r = step_number(writer, statement, &revision);
    if (r < 0)
        return r;
    switch (comparison->kind) {
    case COMPARE_EMPTY:
        return r == 0;
    case COMPARE_EXISTS:
        return r == 1;
    default:
        return revision == comparison->revision;
    }
}

static int lease_exists(struct connection *writer, uint64_t lease)
{
    sqlite3_stmt *statement = connection_statement(writer, STATEMENT_LEASE_EXISTS);

    if (!statement)
        return connection_error(writer);
    sqlite3_bind_int64(statement, 1, lease);
    return step_number(writer, statement, NULL);
}

/* Returns 0, -EAGAIN or -ESTALE (refused; nothing was written), or another -errno. */
static int check(struct connection *writer, struct store_transaction *transaction)
{
    int r;

    for (size_t i = 0; i < transaction->n_comparisons; i++) {
        r = comparison_holds(writer, transaction->comparisons[i]);
        if (r == 0) {
            transaction->result.failed = i;
            return -EAGAIN;
        }
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < transaction->n_writes; i++) {
        uint64_t lease = transaction->writes[i]->lease;

        if (lease == 0 || (i > 0 && lease == transaction->writes[i - 1]->lease))
            continue;
        r = lease_exists(writer, lease);
        if (r <= 0)
            return r < 0 ? r : -ESTALE;
    }
    return 0;
}

static int apply_write(struct connection *writer, struct store_write *write, uint64_t revision)
{
    sqlite3_stmt *statement = connection_statement(writer, write->item.value ? STATEMENT_PUT : STATEMENT_DELETE);
    int r;

    if (!statement)
        return connection_error(writer);
    write->item.modify_revision = revision;
    write->item.create_revision = 0;
    statement_bind_bytes(statement, 1, write->item.key, write->item.key_size);
    if (write->item.value) {
        statement_bind_bytes(statement, 2, write->item.value, write->item.value_size);
        sqlite3_bind_int64(statement, 3, revision);
        if (write->lease)
            sqlite3_bind_int64(statement, 4, write->lease);
        else
            sqlite3_bind_null(statement, 4);
    }
    r = step_number(writer, statement, &write->item.create_revision);
    if (r < 0)
        return r;
    write->changed = write->item.value || sqlite3_changes(writer->db) > 0;
    return 0;
}

static int grant_lease(struct connection *writer, const struct store_transaction *transaction)
{
    sqlite3_stmt *statement = connection_statement(writer, STATEMENT_LEASE_GRANT);

    if (!statement)
        return connection_error(writer);
    sqlite3_bind_int64(statement, 1, transaction->grant_lease);
    sqlite3_bind_int64(statement, 2, transaction->lease_ttl_ms);
    return step_number(writer, statement, NULL);
}

/* Deletes the lease and adds deletions of its keys to the transaction. */
static int end_lease(struct connection *writer, struct store_transaction *transaction)
{
    sqlite3_stmt *statement = connection_statement(writer, STATEMENT_LEASE_KEYS);
    int r, step = SQLITE_DONE;

    if (!statement)
        return connection_error(writer);
    r = lease_exists(writer, transaction->end_lease);
    if (r <= 0)
        return r < 0 ? r : -ESTALE;
    sqlite3_bind_int64(statement, 1, transaction->end_lease);
    r = 0;
    while (r == 0 && (step = sqlite3_step(statement)) == SQLITE_ROW)
        r = transaction_add_lease_deletion(transaction, sqlite3_column_blob(statement, 0),
                                           sqlite3_column_bytes(statement, 0));
    if (r == 0 && step != SQLITE_DONE)
        r = connection_error(writer);
    sqlite3_reset(statement);
    if (r < 0)
        return r;
    statement = connection_statement(writer, STATEMENT_LEASE_END);
    if (!statement)
        return connection_error(writer);
    sqlite3_bind_int64(statement, 1, transaction->end_lease);
    return step_number(writer, statement, NULL);
}

static int append_log(struct sqlite_store *sqlite, const struct store_transaction *transaction, uint64_t revision)
{
    sqlite3_stmt *statement = connection_statement(sqlite->writer, STATEMENT_LOG);
    int r;

    if (!statement)
        return connection_error(sqlite->writer);
    sqlite->encoded.size = 0;
    r = events_encode(transaction, &sqlite->encoded);
    if (r < 0)
        return r;
    sqlite3_bind_int64(statement, 1, revision);
    statement_bind_bytes(statement, 2, sqlite->encoded.data, sqlite->encoded.size);
    r = step_number(sqlite->writer, statement, NULL);
    sqlite3_clear_bindings(statement);
    sqlite->log_size += sqlite->encoded.size;
    if (!sqlite->log_first)
        sqlite->log_first = revision;
    return r;
}

/* Returns 1 when it took the revision after '*revision', which grows, 0 when it changed nothing or was refused (then
 * result.status says why), or -errno: then the whole group must be rolled back. */
static int apply(struct sqlite_store *sqlite, struct store_transaction *transaction, uint64_t *revision)
{
    struct connection *writer = sqlite->writer;
    bool changed = false;
    int r;

    transaction->result = (struct store_result){.failed = -1};
    if (transaction->grant_lease)
        return grant_lease(writer, transaction);
    r = transaction->end_lease ? end_lease(writer, transaction) : check(writer, transaction);
    if (r == -EAGAIN || r == -ESTALE) {
        transaction->result.status = r;
        return 0;
    }
    for (size_t i = 0; i < transaction->n_writes && r == 0; i++) {
        r = apply_write(writer, transaction->writes[i], *revision + 1);
        changed |= transaction->writes[i]->changed;
    }
    if (r == 0 && changed) {
        r = append_log(sqlite, transaction, *revision + 1);
        (*revision)++;
    }
    transaction->result.revision = *revision;
    return r < 0 ? r : changed;
}

/* --- the log's limit (writer thread) -------------------------------------------------------------------------- */

/* How far the log must be cut to be within its limits, or was asked to be. */
static int wanted_floor(struct sqlite_store *sqlite, uint64_t revision, uint64_t *ret_floor)
{
    uint64_t n = sqlite->log_first ? revision + 1 - sqlite->log_first : 0, size = sqlite->log_size;
    uint64_t max_n = sqlite->store.log_max_transactions, max_size = sqlite->store.log_max_size;
    sqlite3_stmt *statement;
    int step = SQLITE_DONE;

    pthread_mutex_lock(&sqlite->lock);
    *ret_floor = sqlite->compact_floor;
    sqlite->compact_floor = 0;
    pthread_mutex_unlock(&sqlite->lock);
    if (n <= max_n + max_n / LOG_SLACK && size <= max_size + max_size / LOG_SLACK)
        return 0;
    statement = connection_statement(sqlite->writer, STATEMENT_LOG_SIZES);
    if (!statement)
        return connection_error(sqlite->writer);
    while ((n > max_n || size > max_size) && (step = sqlite3_step(statement)) == SQLITE_ROW) {
        uint64_t row = sqlite3_column_int64(statement, 0);

        if (row >= revision)
            break; /* The last row holds the store's revision. */
        *ret_floor = MAX(*ret_floor, row);
        n--;
        size -= MIN(size, (uint64_t)sqlite3_column_int64(statement, 1));
    }
    sqlite3_reset(statement);
    return step == SQLITE_ROW || step == SQLITE_DONE ? 0 : -EIO;
}

/* Reads what the log holds when the store is opened. */
static int measure_log(struct sqlite_store *sqlite)
{
    sqlite3_stmt *statement = connection_statement(sqlite->writer, STATEMENT_LOG_SIZES);
    int step;

    if (!statement)
        return connection_error(sqlite->writer);
    sqlite->log_first = sqlite->log_size = 0;
    while ((step = sqlite3_step(statement)) == SQLITE_ROW) {
        if (!sqlite->log_first)
            sqlite->log_first = sqlite3_column_int64(statement, 0);
        sqlite->log_size += sqlite3_column_int64(statement, 1);
    }
    sqlite3_reset(statement);
    return step == SQLITE_DONE ? 0 : connection_error(sqlite->writer);
}

/* Within the group's transaction, so that it costs no fsync of its own. */
static int trim_log(struct sqlite_store *sqlite, uint64_t revision)
{
    sqlite3_stmt *statement;
    uint64_t floor;
    int r, step;

    r = wanted_floor(sqlite, revision, &floor);
    if (r < 0 || floor == 0)
        return r;
    floor = watch_hub_raise_floor(&sqlite->store.hub, MIN(floor, revision - 1));
    if (floor < sqlite->log_first)
        return 0;
    statement = connection_statement(sqlite->writer, STATEMENT_LOG_TRIM);
    if (!statement)
        return connection_error(sqlite->writer);
    sqlite3_bind_int64(statement, 1, floor);
    while ((step = sqlite3_step(statement)) == SQLITE_ROW)
        sqlite->log_size -= MIN(sqlite->log_size, (uint64_t)sqlite3_column_int64(statement, 0));
    r = step == SQLITE_DONE ? 0 : connection_error(sqlite->writer);
    sqlite3_reset(statement);
    sqlite->log_first = floor + 1;
    return r;
}

/* --- the writer thread ---------------------------------------------------------------------------------------- */

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
    int r = sqlite->is_broken ? -EIO : try_group(sqlite, first, &revision);

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
    return first;
}

static int sqlite_read_log(struct store *store, uint64_t after, size_t limit,
                           int (*visit)(uint64_t revision, const struct store_item *events, size_t n_events,
                                        void *context),
                           void *context)
{
    struct connection *writer = sqlite_store(store)->writer;
    sqlite3_stmt *statement = connection_statement(writer, STATEMENT_LOG_READ);
    int r = 0, step = SQLITE_DONE;

    if (!statement)
        return connection_error(writer);
    sqlite3_bind_int64(statement, 1, MIN(after, (uint64_t)INT64_MAX));
    sqlite3_bind_int64(statement, 2, limit);
    while (r == 0 && (step = sqlite3_step(statement)) == SQLITE_ROW) {
        uint64_t revision = sqlite3_column_int64(statement, 0);
        _cleanup_(freep) struct store_item *events = NULL;
        size_t n;

        r = events_decode(sqlite3_column_blob(statement, 1), sqlite3_column_bytes(statement, 1), revision, &events, &n);
        if (r == 0)
            r = visit(revision, events, n, context);
    }
    if (r == 0 && step != SQLITE_DONE)
        r = connection_error(writer);
    sqlite3_reset(statement);
    return r;
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

static void *run(void *argument)
{
    struct sqlite_store *sqlite = argument;
    int lag = 0; /* 1: a watch needs another step; negative: it could not be read. */

    pthread_mutex_lock(&sqlite->lock);
    while (true) {
        struct store_transaction *first;

        if (!sqlite->first && lag <= 0 && !sqlite->watch_was_added) {
            if (sqlite->is_closing)
                break;
            wait_for_work(sqlite, lag < 0);
            continue;
        }
        first = take_group(sqlite);
        sqlite->watch_was_added = false;
        pthread_mutex_unlock(&sqlite->lock);
        if (first)
            commit_group(sqlite, first);
        lag = watch_hub_catch_up(&sqlite->store.hub, &sqlite->store, sqlite->store.revision, sqlite_read_log);
        pthread_mutex_lock(&sqlite->lock);
    }
    pthread_mutex_unlock(&sqlite->lock);
    return NULL;
}

/* --- what others call ----------------------------------------------------------------------------------------- */

static void sqlite_submit(struct store *store, struct store_transaction *transaction)
{
    struct sqlite_store *sqlite = sqlite_store(store);

    pthread_mutex_lock(&sqlite->lock);
    if (sqlite->last)
        sqlite->last->next = transaction;
    else
        sqlite->first = transaction;
    sqlite->last = transaction;
    pthread_cond_signal(&sqlite->work);
    pthread_mutex_unlock(&sqlite->lock);
}

static void sqlite_watch_added(struct store *store)
{
    struct sqlite_store *sqlite = sqlite_store(store);

    pthread_mutex_lock(&sqlite->lock);
    sqlite->watch_was_added = true;
    pthread_cond_signal(&sqlite->work);
    pthread_mutex_unlock(&sqlite->lock);
}

/* The writer cuts the log with the next group; an empty transaction makes sure that there is one. */
static int sqlite_compact(struct store *store, uint64_t revision)
{
    struct sqlite_store *sqlite = sqlite_store(store);
    struct store_transaction *transaction;
    int r;

    if (revision <= 1)
        return 0;
    r = store_transaction_new(&transaction);
    if (r < 0)
        return r;
    pthread_mutex_lock(&sqlite->lock);
    sqlite->compact_floor = MAX(sqlite->compact_floor, revision - 1);
    pthread_mutex_unlock(&sqlite->lock);
    return store_commit(store, transaction).status;
}

static void free_store(struct sqlite_store *sqlite)
{
    while (sqlite->readers) {
        struct connection *reader = sqlite->readers;

        sqlite->readers = reader->next;
        connection_free(reader);
    }
    connection_free(sqlite->writer); /* Last: it checkpoints and removes the WAL. */
    store_deinit(&sqlite->store);
    buffer_clear(&sqlite->encoded);
    pthread_cond_destroy(&sqlite->work);
    pthread_mutex_destroy(&sqlite->lock);
    pthread_mutex_destroy(&sqlite->readers_lock);
    closep(&sqlite->lock_fd);
    free(sqlite->path);
    free(sqlite->vfs);
    free(sqlite);
}

static void sqlite_close(struct store *store)
{
    struct sqlite_store *sqlite = sqlite_store(store);

    pthread_mutex_lock(&sqlite->lock);
    sqlite->is_closing = true;
    pthread_cond_signal(&sqlite->work);
    pthread_mutex_unlock(&sqlite->lock);
    if (sqlite->has_thread)
        pthread_join(sqlite->thread, NULL);
    free_store(sqlite);
}

static const struct store_operations sqlite_operations = {
    .close = sqlite_close,
    .get = sqlite_get,
    .list = sqlite_list,
    .submit = sqlite_submit,
    .watch_added = sqlite_watch_added,
    .compact = sqlite_compact,
};

/* A lock file beside the store: a lock on the file itself would mix with SQLite's own. */
static int lock_file(const char *path, int *ret_fd, struct error *error)
{
    _cleanup_(freep) char *name = NULL;
    _cleanup_(closep) int fd = -1;

    if (asprintf(&name, "%s-lock", path) < 0) {
        name = NULL;
        return -ENOMEM;
    }
    fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_set(error, -errno, "store", "'%s' cannot be opened: %s", name, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return error_set(error, errno == EWOULDBLOCK ? -EBUSY : -errno, "store", "'%s' is in use by another program",
                         path);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

/* Creates the file for its owner only (it holds password hashes); SQLite gives its companions the same mode. */
static int create_file(const char *path, struct error *error)
{
    _cleanup_(closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return error_set(error, -errno, "store", "'%s' cannot be opened: %s", path, strerror(errno));
    return 0;
}

static int load_leases(struct sqlite_store *sqlite)
{
    sqlite3_stmt *statement = NULL;
    int r = -EIO, step;

    if (sqlite3_prepare_v2(sqlite->writer->db, "SELECT id, ttl_ms FROM leases", -1, &statement, NULL) != SQLITE_OK)
        return connection_error(sqlite->writer);
    r = 0;
    while (r == 0 && (step = sqlite3_step(statement)) == SQLITE_ROW)
        r = lease_table_add(&sqlite->store.leases, sqlite3_column_int64(statement, 0),
                            sqlite3_column_int64(statement, 1));
    sqlite3_finalize(statement);
    return r < 0 ? r : step == SQLITE_DONE ? 0 : -EIO;
}

static int open_store(struct sqlite_store *sqlite, struct error *error)
{
    uint64_t revision;
    int r;

    r = lock_file(sqlite->path, &sqlite->lock_fd, error);
    if (r < 0)
        return r;
    r = create_file(sqlite->path, error);
    if (r < 0)
        return r;
    r = connection_open(sqlite->path, sqlite->vfs, true, &sqlite->writer, error);
    if (r < 0)
        return r;
    r = read_revision(sqlite->writer, &revision);
    if (r == 0)
        r = measure_log(sqlite);
    if (r == 0)
        r = load_leases(sqlite); /* Their ends wait in the queue until the writer runs. */
    if (r < 0)
        return error_set(error, r, "store", "'%s' cannot be read: %s", sqlite->path, sqlite3_errmsg(sqlite->writer->db));
    sqlite->store.revision = revision;
    sqlite->store.hub.floor = sqlite->log_first ? sqlite->log_first - 1 : revision;
    return -pthread_create(&sqlite->thread, NULL, run, sqlite);
}

int store_sqlite_open(const char *path, const char *vfs, struct store **ret_store, struct error *error)
{
    struct sqlite_store *sqlite = calloc(1, sizeof *sqlite);
    pthread_condattr_t attributes;
    int r;

    if (!sqlite)
        return -ENOMEM;
    store_init(&sqlite->store, &sqlite_operations);
    sqlite->lock_fd = -1;
    pthread_mutex_init(&sqlite->lock, NULL);
    pthread_mutex_init(&sqlite->readers_lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&sqlite->work, &attributes);
    pthread_condattr_destroy(&attributes);
    sqlite->path = strdup(path);
    sqlite->vfs = vfs ? strdup(vfs) : NULL;
    r = sqlite->path && (sqlite->vfs || !vfs) ? open_store(sqlite, error) : -ENOMEM;
    if (r < 0) {
        lease_table_close(&sqlite->store.leases);
        free_store(sqlite);
        return r;
    }
    sqlite->has_thread = true;
    *ret_store = &sqlite->store;
    return 0;
}
