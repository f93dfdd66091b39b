/* The parts of the SQLite backend, for each other.
 *
 *     store-sqlite.c       opening and closing; what store.c calls
 *     sqlite-writer.c      the queue, and the thread that makes groups of it and commits them
 *     sqlite-apply.c       one transaction of a group
 *     sqlite-log.c         the log of events: limits, reading
 *     sqlite-checkpoint.c  the thread that brings the write-ahead log back into the file
 *     sqlite-read.c        get and list, on connections of their own
 *     sqlite.c             one connection: layout, statements, errors
 *     events.c             the bytes of a log row */
#ifndef WEFT_STORE_STORE_SQLITE_H
#define WEFT_STORE_STORE_SQLITE_H

#include "weft/base/buffer.h"
#include "weft/store/sqlite.h"

struct sqlite_store {
    struct store store;
    char *path, *vfs;
    int lock_fd;

    pthread_t writer_thread, checkpoint_thread;
    bool has_writer_thread, has_checkpoint_thread;

    pthread_mutex_t lock;                   /* Protects what follows. */
    pthread_cond_t work;                    /* For the writer. */
    struct store_transaction *first, *last; /* Waiting. */
    size_t n_waiting, waiting_size;         /* Transactions; bytes of keys and values. */
    bool watch_was_added, is_closing;
    uint64_t compact_floor;                 /* Asked for by sqlite_compact. */

    /* Between the writer and the checkpoints, under 'lock' too; see sqlite-checkpoint.c. */
    pthread_cond_t checkpoint;   /* For the checkpoint thread: the WAL grew, or the writer stands still. */
    int wal_pages;               /* In the WAL at the last commit. */
    int wal_backfilled;          /* Of these, how many are back in the file. */
    bool has_committed;          /* Since the last checkpoint ended. */
    bool writer_must_pause, is_committing;
    bool reader_is_in_the_way;   /* The last checkpoint could not copy everything. */

    _Atomic bool is_broken;      /* A write failed in a way that leaves the disk's state unknown. */

    /* The writer thread's own. */
    struct connection *writer;
    struct buffer encoded;
    uint64_t log_first;               /* Revision of the oldest row; 0 while there is none. */
    uint64_t log_size;                /* Bytes of events in the log. */

    struct connection *checkpointer; /* The checkpoint thread's own. */

    pthread_mutex_t readers_lock;
    struct connection *readers; /* Idle ones. */
    size_t n_idle;
};

static inline struct sqlite_store *sqlite_store(struct store *store)
{
    return CONTAINER_OF(store, struct sqlite_store, store);
}

/* --- sqlite-read.c --- */
int sqlite_get(struct store *store, const char *key, size_t key_size, struct store_item **ret_item);
int sqlite_list(struct store *store, const char *from, size_t from_size, const char *to, size_t to_size,
                int (*visit)(const struct store_item *item, void *context), void *context, uint64_t *ret_revision);
int read_revision(struct connection *connection, uint64_t *ret_revision); /* As this connection sees it. */

/* --- sqlite-apply.c --- */

/* Returns 1 when it took the revision after '*revision', which grows, 0 when it changed nothing or was refused (then
 * result.status says why), or -errno: then the whole group must be rolled back. */
int apply(struct sqlite_store *sqlite, struct store_transaction *transaction, uint64_t *revision);

/* --- sqlite-log.c --- */
int measure_log(struct sqlite_store *sqlite); /* Reads what the log holds when the store is opened. */
int trim_log(struct sqlite_store *sqlite, uint64_t revision); /* Within the group's transaction: costs no fsync of its own. */
int read_log(struct store *store, uint64_t after, size_t limit,
             int (*visit)(uint64_t revision, const struct store_item *events, size_t n_events, void *context),
             void *context); /* See store_log_reader. */

/* --- sqlite-writer.c --- */
void sqlite_submit(struct store *store, struct store_transaction *transaction);
void sqlite_watch_added(struct store *store);
void *writer_run(void *sqlite_store);

/* --- sqlite-checkpoint.c --- */
void checkpoint_watch(struct sqlite_store *sqlite); /* Before the writer's first commit. */
bool wal_is_full(struct sqlite_store *sqlite);      /* Nothing may be written until a reader lets go. */
void *checkpoint_run(void *sqlite_store);

#endif
