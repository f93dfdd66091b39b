/* One connection to the SQLite file.  See sqlite.h. */
#include "weft/store/sqlite.h"

#include <errno.h>
#include <stdio.h>

#define APPLICATION_ID 0x77656674 /* "weft" */
#define LAYOUT_VERSION 1
#define BUSY_TIMEOUT_MS 10000 /* Another program (a backup, the sqlite3 shell) may hold a lock for a moment. */

static const char *const statement_texts[N_STATEMENTS] = {
    [STATEMENT_BEGIN] = "BEGIN",
    [STATEMENT_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [STATEMENT_COMMIT] = "COMMIT",
    [STATEMENT_ROLLBACK] = "ROLLBACK",
    [STATEMENT_REVISION] = "SELECT coalesce(max(revision), 0) FROM log",
    [STATEMENT_GET] = "SELECT key, value, create_revision, modify_revision FROM items WHERE key = ?1",
    [STATEMENT_LIST] = "SELECT key, value, create_revision, modify_revision FROM items"
                       " WHERE key >= ?1 AND key < ?2 ORDER BY key",
    [STATEMENT_LIST_TO_END] = "SELECT key, value, create_revision, modify_revision FROM items"
                              " WHERE key >= ?1 ORDER BY key",
    [STATEMENT_MODIFY_REVISION] = "SELECT modify_revision FROM items WHERE key = ?1",
    [STATEMENT_ANY] = "SELECT 1 FROM items WHERE key >= ?1 AND key < ?2 LIMIT 1",
    [STATEMENT_ANY_TO_END] = "SELECT 1 FROM items WHERE key >= ?1 LIMIT 1",
    [STATEMENT_PUT] = "INSERT INTO items(key, value, create_revision, modify_revision, lease)"
                      " VALUES(?1, ?2, ?3, ?3, ?4) ON CONFLICT(key) DO UPDATE SET value = excluded.value,"
                      " modify_revision = excluded.modify_revision, lease = excluded.lease RETURNING create_revision",
    [STATEMENT_DELETE] = "DELETE FROM items WHERE key = ?1",
    [STATEMENT_LOG] = "INSERT INTO log(revision, events) VALUES(?1, ?2)",
    [STATEMENT_LOG_READ] = "SELECT revision, events FROM log WHERE revision > ?1 ORDER BY revision LIMIT ?2",
    [STATEMENT_LOG_SIZES] = "SELECT revision, length(events) FROM log ORDER BY revision",
    [STATEMENT_LOG_TRIM] = "DELETE FROM log WHERE revision <= ?1 RETURNING length(events)",
    [STATEMENT_LEASE_EXISTS] = "SELECT 1 FROM leases WHERE id = ?1",
    [STATEMENT_LEASE_GRANT] = "INSERT INTO leases(id, ttl_ms) VALUES(?1, ?2)",
    [STATEMENT_LEASE_END] = "DELETE FROM leases WHERE id = ?1",
    [STATEMENT_LEASE_KEYS] = "SELECT key FROM items WHERE lease = ?1 ORDER BY key",
};

static const char layout[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE items(id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, value BLOB NOT NULL,"
    " create_revision INTEGER NOT NULL, modify_revision INTEGER NOT NULL, lease INTEGER);"
    "CREATE INDEX items_by_lease ON items(lease) WHERE lease IS NOT NULL;"
    "CREATE TABLE log(revision INTEGER PRIMARY KEY, events BLOB NOT NULL);"
    "CREATE TABLE leases(id INTEGER PRIMARY KEY, ttl_ms INTEGER NOT NULL);"
    "PRAGMA application_id = 2003134068;" /* APPLICATION_ID */
    "PRAGMA user_version = 1;"            /* LAYOUT_VERSION */
    "COMMIT";

sqlite3_stmt *connection_statement(struct connection *connection, enum connection_statement which)
{
    sqlite3_stmt **statement = &connection->statements[which];

    if (!*statement)
        sqlite3_prepare_v3(connection->db, statement_texts[which], -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
    return *statement;
}

int connection_error(const struct connection *connection)
{
    switch (sqlite3_errcode(connection->db) & 0xff) {
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_BUSY:
        return -EBUSY;
    default:
        return -EIO;
    }
}

int connection_run(struct connection *connection, enum connection_statement which)
{
    sqlite3_stmt *statement = connection_statement(connection, which);
    int r;

    if (!statement)
        return connection_error(connection);
    r = sqlite3_step(statement) == SQLITE_DONE ? 0 : connection_error(connection);
    sqlite3_reset(statement);
    return r;
}

static int open_failed(const struct connection *connection, const char *path, struct error *error)
{
    int code = sqlite3_errcode(connection->db) & 0xff, r;

    if (code == SQLITE_NOTADB)
        return error_set(error, -EPROTO, "store", "'%s' is not a SQLite file", path);
    r = code == SQLITE_CANTOPEN && sqlite3_system_errno(connection->db) ? -sqlite3_system_errno(connection->db)
                                                                       : connection_error(connection);
    return error_set(error, r, "store", "'%s' cannot be opened: %s", path, sqlite3_errmsg(connection->db));
}

/* Reads the single integer of a query or pragma. */
static int query_number(struct connection *connection, const char *text, int64_t *ret)
{
    sqlite3_stmt *statement = NULL;
    int r = -EIO;

    if (sqlite3_prepare_v2(connection->db, text, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        *ret = sqlite3_column_int64(statement, 0);
        r = 0;
    }
    if (sqlite3_finalize(statement) != SQLITE_OK)
        r = -EIO;
    return r;
}

static int check_layout(struct connection *connection, const char *path, struct error *error)
{
    int64_t application_id, version, n_tables;

    if (query_number(connection, "PRAGMA application_id", &application_id) < 0 ||
        query_number(connection, "PRAGMA user_version", &version) < 0 ||
        query_number(connection, "SELECT count(*) FROM sqlite_schema", &n_tables) < 0)
        return open_failed(connection, path, error);
    if (n_tables == 0 && application_id == 0) {
        if (sqlite3_exec(connection->db, layout, NULL, NULL, NULL) != SQLITE_OK)
            return open_failed(connection, path, error);
        return 0;
    }
    if (application_id != APPLICATION_ID)
        return error_set(error, -EPROTO, "store", "'%s' is a SQLite file, but not a weft store", path);
    if (version != LAYOUT_VERSION)
        return error_set(error, -EPROTO, "store", "'%s' has layout %lld, this program knows %d", path,
                         (long long)version, LAYOUT_VERSION);
    return 0;
}

/* Sizes are for a store of some ten thousand items.  The limit of the WAL (80 MiB) is above what it usually reaches, so that it is
 * overwritten in place, and below what a lingering reader can make of it. */
static const char *const role_settings[] = {
    [CONNECTION_WRITER] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 83886080;"
                          "PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -4096",
    [CONNECTION_CHECKPOINTER] = "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -64;"
                                "SELECT count(*) FROM leases", /* A first read makes it find the WAL. */
    [CONNECTION_READER] = "PRAGMA cache_size = -1024",
};

int connection_open(const char *path, const char *vfs, enum connection_role role, struct connection **ret_connection,
                    struct error *error)
{
    _cleanup_(connection_freep) struct connection *connection = calloc(1, sizeof *connection);
    int flags = SQLITE_OPEN_NOMUTEX | (role == CONNECTION_READER ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
    int r;

    if (!connection)
        return -ENOMEM;
    if (sqlite3_open_v2(path, &connection->db, flags, vfs) != SQLITE_OK)
        return open_failed(connection, path, error);
    sqlite3_busy_timeout(connection->db, BUSY_TIMEOUT_MS);
    if (sqlite3_exec(connection->db, role_settings[role], NULL, NULL, NULL) != SQLITE_OK)
        return open_failed(connection, path, error);
    if (role == CONNECTION_WRITER) {
        r = check_layout(connection, path, error);
        if (r < 0)
            return r;
    }
    *ret_connection = TAKE_PTR(connection);
    return 0;
}

void connection_free(struct connection *connection)
{
    if (!connection)
        return;
    for (size_t i = 0; i < N_STATEMENTS; i++)
        sqlite3_finalize(connection->statements[i]);
    sqlite3_close(connection->db);
    free(connection);
}

int statement_bind_bytes(sqlite3_stmt *statement, int index, const char *bytes, size_t size)
{
    /* A NULL pointer would bind NULL, not an empty blob. */
    return sqlite3_bind_blob64(statement, index, size ? bytes : "", size, SQLITE_STATIC);
}

void statement_read_item(sqlite3_stmt *statement, struct store_item *item)
{
    *item = (struct store_item){
        .key = sqlite3_column_blob(statement, 0),
        .key_size = sqlite3_column_bytes(statement, 0),
        .value = sqlite3_column_blob(statement, 1),
        .value_size = sqlite3_column_bytes(statement, 1),
        .create_revision = sqlite3_column_int64(statement, 2),
        .modify_revision = sqlite3_column_int64(statement, 3),
    };
    if (!item->value)
        item->value = ""; /* SQLite has no pointer for an empty blob. */
}
