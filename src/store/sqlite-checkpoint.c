/* Checkpoints: a thread of their own brings pages from the write-ahead log (WAL) back into the file.
 *
 *     commit -> WAL grew by CHECKPOINT_PAGES -> copy what is there, beside further commits        (most of the work)
 *            -> WAL has RESTART_PAGES        -> the writer pauses, the small rest is copied: the next commit begins at
 *                                               the WAL's start again
 *
 * In the commits themselves a checkpoint cost one group in some dozens ten to two hundred milliseconds: a thousand pages
 * scattered over the file, and their fsync.  Without the pause the log would never end while commits follow closely: it starts
 * over only when a commit finds all of it copied.
 *
 * What is left: while the file is synced, the WAL's own fsync waits for the same disk, and that is what the slowest commits are
 * made of now (bench/store.c).
 *
 * Should commits write faster than the copying follows, they wait for it at PAUSE_PAGES.
 *
 * A reader that stays in an old state keeps the WAL from being copied beyond it.  Our own are short (sqlite-read.c); another
 * program's (a backup) may not be.  Then the WAL grows up to WAL_MAX_PAGES, and commits are refused until it is gone.
 *
 * SQLite from 3.7.0 to 3.51.2 can damage the file when a checkpoint begins on a completely copied WAL just while a commit starts
 * it over (its documentation calls this the WAL-reset bug).  Here that cannot coincide: nobody else checkpoints, and a
 * checkpoint beside commits only begins when one ended since the last checkpoint: either that one has started the WAL over, or
 * it left pages to copy, and until these are copied no commit starts it over.  All other checkpoints run while the writer pauses. */
#include <errno.h>

#include "weft/base/clock.h"
#include "weft/store/store-sqlite.h"

#define CHECKPOINT_PAGES 1000 /* 4 MiB. */
#define RESTART_PAGES 4096    /* 16 MiB. */
#define PAUSE_PAGES 16384     /* 64 MiB, and at most one group more. */
#define WAL_MAX_PAGES 65536   /* 256 MiB, and at most one group more. */
#define REST_PAGES 512        /* Few enough to copy while the writer pauses. */
#define MAX_PASSES 8          /* Before the pause, should commits be nearly as fast as the copying. */
#define RETRY_MS 100          /* After a reader was in the way. */

/* On the writer's thread, after each of its commits. */
static int wal_grew(void *context, sqlite3 *db, const char *name, int n_pages)
{
    struct sqlite_store *sqlite = context;

    pthread_mutex_lock(&sqlite->lock);
    if (n_pages <= sqlite->wal_pages)
        sqlite->wal_backfilled = 0; /* It started over. */
    sqlite->wal_pages = n_pages;
    sqlite->has_committed = true;
    if (n_pages >= PAUSE_PAGES && !sqlite->reader_is_in_the_way && !sqlite->is_broken && !sqlite->is_closing)
        sqlite->writer_must_pause = true;
    if (sqlite->writer_must_pause || n_pages - sqlite->wal_backfilled >= CHECKPOINT_PAGES)
        pthread_cond_signal(&sqlite->checkpoint);
    pthread_mutex_unlock(&sqlite->lock);
    return SQLITE_OK;
}

void checkpoint_watch(struct sqlite_store *sqlite)
{
    sqlite3_wal_hook(sqlite->writer->db, wal_grew, sqlite); /* Replaces SQLite's own checkpoint in the commit. */
}

bool wal_is_full(struct sqlite_store *sqlite)
{
    bool is_full;

    pthread_mutex_lock(&sqlite->lock);
    is_full = sqlite->wal_pages >= WAL_MAX_PAGES && sqlite->wal_backfilled < sqlite->wal_pages;
    pthread_mutex_unlock(&sqlite->lock);
    return is_full;
}

/* Copies what no reader is in the way of.  'lock' is held, but not meanwhile. */
static void copy_pages(struct sqlite_store *sqlite)
{
    int r, n_pages = 0, n_copied = 0;

    pthread_mutex_unlock(&sqlite->lock);
    r = sqlite3_wal_checkpoint_v2(sqlite->checkpointer->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &n_pages, &n_copied);
    pthread_mutex_lock(&sqlite->lock);
    sqlite->has_committed = false;
    switch (r & 0xff) {
    case SQLITE_OK:
        /* Commits meanwhile may have started the WAL over; then the next one's count is what is true. */
        sqlite->wal_backfilled = MIN(n_copied, sqlite->wal_pages);
        break;
    case SQLITE_BUSY: /* Another program's checkpoint. */
    case SQLITE_FULL: /* The file cannot grow: the pages stay in the WAL. */
    case SQLITE_NOMEM:
        break;
    default:
        sqlite->is_broken = true; /* A failed fsync may have been the only notice of lost pages. */
    }
}

/* The same while nothing is committed. */
static void copy_rest(struct sqlite_store *sqlite)
{
    sqlite->writer_must_pause = true;
    while (sqlite->is_committing)
        pthread_cond_wait(&sqlite->checkpoint, &sqlite->lock);
    copy_pages(sqlite);
    sqlite->reader_is_in_the_way = sqlite->wal_backfilled < sqlite->wal_pages;
}

static void let_writer_go(struct sqlite_store *sqlite)
{
    sqlite->writer_must_pause = false;
    pthread_cond_signal(&sqlite->work);
}

static void checkpoint(struct sqlite_store *sqlite)
{
    for (int i = 0; i < MAX_PASSES && sqlite->has_committed && !sqlite->writer_must_pause &&
                    sqlite->wal_pages - sqlite->wal_backfilled > (i == 0 ? 0 : REST_PAGES); i++)
        copy_pages(sqlite);
    if (sqlite->wal_pages >= RESTART_PAGES && sqlite->wal_backfilled < sqlite->wal_pages)
        copy_rest(sqlite);
    let_writer_go(sqlite);
}

static void wait_ms(struct sqlite_store *sqlite, uint64_t ms)
{
    uint64_t deadline_ms = clock_monotonic_ms() + ms;
    struct timespec until = {.tv_sec = deadline_ms / 1000, .tv_nsec = deadline_ms % 1000 * 1000000};

    while (!sqlite->is_closing &&
           pthread_cond_timedwait(&sqlite->checkpoint, &sqlite->lock, &until) != ETIMEDOUT)
        ;
}

void *checkpoint_run(void *argument)
{
    struct sqlite_store *sqlite = argument;

    pthread_mutex_lock(&sqlite->lock);
    while (!sqlite->is_closing) {
        if (!sqlite->writer_must_pause &&
            (sqlite->is_broken || sqlite->wal_pages - sqlite->wal_backfilled < CHECKPOINT_PAGES)) {
            pthread_cond_wait(&sqlite->checkpoint, &sqlite->lock);
            continue;
        }
        checkpoint(sqlite);
        if (sqlite->wal_pages - sqlite->wal_backfilled >= CHECKPOINT_PAGES)
            wait_ms(sqlite, RETRY_MS);
    }
    let_writer_go(sqlite); /* It may have begun to wait. */
    pthread_mutex_unlock(&sqlite->lock);
    return NULL;
}
