/* Reading from the SQLite file: a small pool of connections, one a reader at a time; in WAL mode they never wait for the writer.
 *
 * A listing is copied before it is shown: a read transaction that stays open keeps the write-ahead log from starting over
 * (see sqlite-checkpoint.c), so it must not last as long as somebody else's code. */
#include <errno.h>

#include "weft/store/store-sqlite.h"

#define MAX_IDLE_READERS 8

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
        return connection_open(sqlite->path, sqlite->vfs, CONNECTION_READER, ret_reader, NULL) < 0 ? -EIO : 0;
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

int sqlite_get(struct store *store, const char *key, size_t key_size, struct store_item **ret_item)
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

int read_revision(struct connection *connection, uint64_t *ret_revision)
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

/* A listing on its way from the file to its visitor. */
struct rows {
    struct store_item **items;
    size_t n, n_room;
};

static int rows_add(struct rows *rows, const struct store_item *item)
{
    if (rows->n == rows->n_room) {
        size_t n_room = rows->n_room ? 2 * rows->n_room : 64;
        struct store_item **items = realloc(rows->items, n_room * sizeof *items);

        if (!items)
            return -ENOMEM;
        rows->items = items;
        rows->n_room = n_room;
    }
    rows->items[rows->n] = item_copy(item); /* SQLite's bytes have no terminating 0. */
    return rows->items[rows->n++] ? 0 : -ENOMEM;
}

/* Each row is freed once it is shown, so that memory passes from the listing to what the visitor makes of it. */
static int rows_show(struct rows *rows, int (*visit)(const struct store_item *item, void *context), void *context)
{
    int r = 0;

    for (size_t i = 0; i < rows->n && r == 0; i++) {
        r = visit(rows->items[i], context);
        free(TAKE_PTR(rows->items[i]));
    }
    return r;
}

static void rows_clear(struct rows *rows)
{
    for (size_t i = 0; i < rows->n; i++)
        free(rows->items[i]);
    free(rows->items);
}

static int read_rows(struct connection *reader, const char *from, size_t from_size, const char *to, size_t to_size,
                     struct rows *rows)
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

        statement_read_item(statement, &item);
        r = rows_add(rows, &item);
    }
    if (r == 0 && step != SQLITE_DONE)
        r = -EIO;
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return r;
}

int sqlite_list(struct store *store, const char *from, size_t from_size, const char *to, size_t to_size,
                int (*visit)(const struct store_item *item, void *context), void *context, uint64_t *ret_revision)
{
    struct connection *reader = NULL;
    struct rows rows = {};
    uint64_t revision;
    int r;

    r = take_reader(sqlite_store(store), &reader);
    if (r < 0)
        return r;
    r = connection_run(reader, STATEMENT_BEGIN);
    if (r == 0) {
        r = read_revision(reader, &revision); /* The first read fixes what this transaction sees. */
        if (r == 0)
            r = read_rows(reader, from, from_size, to, to_size, &rows);
        connection_run(reader, STATEMENT_ROLLBACK);
    }
    give_reader(sqlite_store(store), reader);
    if (r == 0 && ret_revision)
        *ret_revision = revision;
    if (r == 0)
        r = rows_show(&rows, visit, context);
    rows_clear(&rows);
    return r;
}
