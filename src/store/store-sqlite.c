/* The SQLite backend: one file; one thread commits, one checkpoints, any number read.  store-sqlite.h lists its parts.
 *
 * Here: opening and closing. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "weft/store/store-sqlite.h"

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
    connection_free(sqlite->checkpointer);
    connection_free(sqlite->writer); /* Last: it checkpoints and removes the WAL. */
    store_deinit(&sqlite->store);
    buffer_clear(&sqlite->encoded);
    pthread_cond_destroy(&sqlite->work);
    pthread_cond_destroy(&sqlite->checkpoint);
    pthread_mutex_destroy(&sqlite->lock);
    pthread_mutex_destroy(&sqlite->readers_lock);
    closep(&sqlite->lock_fd);
    free(sqlite->path);
    free(sqlite->vfs);
    free(sqlite);
}

/* The writer ends once the queue is empty. */
static void stop_threads(struct sqlite_store *sqlite)
{
    pthread_mutex_lock(&sqlite->lock);
    sqlite->is_closing = true;
    pthread_cond_signal(&sqlite->work);
    pthread_cond_signal(&sqlite->checkpoint);
    pthread_mutex_unlock(&sqlite->lock);
    if (sqlite->has_checkpoint_thread)
        pthread_join(sqlite->checkpoint_thread, NULL);
    if (sqlite->has_writer_thread)
        pthread_join(sqlite->writer_thread, NULL);
}

static void sqlite_close(struct store *store)
{
    struct sqlite_store *sqlite = sqlite_store(store);

    stop_threads(sqlite);
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

static int start_threads(struct sqlite_store *sqlite)
{
    int r = -pthread_create(&sqlite->checkpoint_thread, NULL, checkpoint_run, sqlite);

    sqlite->has_checkpoint_thread = r == 0;
    if (r == 0) {
        r = -pthread_create(&sqlite->writer_thread, NULL, writer_run, sqlite);
        sqlite->has_writer_thread = r == 0;
    }
    return r;
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
    r = connection_open(sqlite->path, sqlite->vfs, CONNECTION_WRITER, &sqlite->writer, error);
    if (r < 0)
        return r;
    checkpoint_watch(sqlite);
    r = connection_open(sqlite->path, sqlite->vfs, CONNECTION_CHECKPOINTER, &sqlite->checkpointer, error);
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
    return start_threads(sqlite);
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
    pthread_cond_init(&sqlite->checkpoint, &attributes);
    pthread_condattr_destroy(&attributes);
    sqlite->path = strdup(path);
    sqlite->vfs = vfs ? strdup(vfs) : NULL;
    r = sqlite->path && (sqlite->vfs || !vfs) ? open_store(sqlite, error) : -ENOMEM;
    if (r < 0) {
        lease_table_close(&sqlite->store.leases);
        stop_threads(sqlite);
        free_store(sqlite);
        return r;
    }
    *ret_store = &sqlite->store;
    return 0;
}
