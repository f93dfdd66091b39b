/* One connection to the SQLite file: opening, layout, statements, errors.  Only the SQLite backend includes this.
 *
 *     items   key -> value, revisions, lease
 *     log     revision -> the events of its transaction, encoded; its last row holds the store's revision
 *     leases  id -> ttl */
#ifndef WEFT_STORE_SQLITE_H
#define WEFT_STORE_SQLITE_H

#include <sqlite3.h>

#include "weft/store/backend.h"

enum connection_statement {
    STATEMENT_BEGIN,
    STATEMENT_BEGIN_WRITE,
    STATEMENT_COMMIT,
    STATEMENT_ROLLBACK,
    STATEMENT_REVISION,
    STATEMENT_GET,
    STATEMENT_LIST,
    STATEMENT_LIST_TO_END,
    STATEMENT_MODIFY_REVISION,
    STATEMENT_ANY,
    STATEMENT_ANY_TO_END,
    STATEMENT_PUT,
    STATEMENT_DELETE,
    STATEMENT_LOG,
    STATEMENT_LOG_READ,
    STATEMENT_LOG_SIZES,
    STATEMENT_LOG_TRIM,
    STATEMENT_LEASE_EXISTS,
    STATEMENT_LEASE_GRANT,
    STATEMENT_LEASE_END,
    STATEMENT_LEASE_KEYS,
    N_STATEMENTS,
};

struct connection {
    sqlite3 *db;
    sqlite3_stmt *statements[N_STATEMENTS]; /* Prepared at first use. */
    struct connection *next;                /* In the pool of idle readers. */
};

enum connection_role {
    CONNECTION_WRITER,       /* Creates the file's layout, or checks it.  Opened first. */
    CONNECTION_CHECKPOINTER,
    CONNECTION_READER,
};

int connection_open(const char *path, const char *vfs, enum connection_role role, struct connection **ret_connection,
                    struct error *error);
void connection_free(struct connection *connection);
DEFINE_CLEANUP(struct connection *, connection_free);

/* A statement, ready to be bound and stepped; the caller resets it.  NULL: see connection_error. */
sqlite3_stmt *connection_statement(struct connection *connection, enum connection_statement which);

/* Steps a statement without rows or parameters.  Returns 0 or -errno. */
int connection_run(struct connection *connection, enum connection_statement which);

/* What a failed call on this connection comes to: -ENOSPC, -ENOMEM, -EBUSY, or -EIO. */
int connection_error(const struct connection *connection);

int statement_bind_bytes(sqlite3_stmt *statement, int index, const char *bytes, size_t size);

/* Reads key, value, create_revision, modify_revision from the first four columns; borrowed until the next step. */
void statement_read_item(sqlite3_stmt *statement, struct store_item *item);

#endif
