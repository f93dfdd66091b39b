/* One transaction's part of a group: its comparisons, then its writes, then its row of the log.  On the writer's thread, inside
 * the group's SQLite transaction. */
#include <errno.h>

#include "weft/store/events.h"
#include "weft/store/store-sqlite.h"

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

int apply(struct sqlite_store *sqlite, struct store_transaction *transaction, uint64_t *revision)
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
