/* The log of events: a table written in the same transaction as the items, which watches resume from, also after a restart.
 * Here: what it holds, how it is kept within its limits, and reading it.  On the writer's thread. */
#include <errno.h>

#include "weft/store/events.h"
#include "weft/store/store-sqlite.h"

#define LOG_SLACK 64 /* The log is cut when it is 1/64 over its limit, so not in every group. */

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

int measure_log(struct sqlite_store *sqlite)
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

int trim_log(struct sqlite_store *sqlite, uint64_t revision)
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

int read_log(struct store *store, uint64_t after, size_t limit,
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
