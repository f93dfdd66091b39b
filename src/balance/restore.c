/* A table from what was published of it. */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "weft/balance/state.h"
#include "weft/base/util.h"

static int refuse_server(struct error *error, size_t i, const char *field, const char *why, const char *id)
{
    error_set(error, -EINVAL, field, "'%.*s' %s", BALANCE_ID_MAX, id, why);
    error_prefix_field(error, "servers[%zu]", i);
    return -EINVAL;
}

static int add_servers(struct balance_table *table, const struct balance_restored_server *servers, size_t n_servers,
                       struct error *error)
{
    struct members *members = &table->members;
    size_t n = 0;

    for (size_t i = 0; i < n_servers; i++)
        n = MAX(n, (size_t)servers[i].index + 1);
    members->servers = calloc(n + 1, sizeof *members->servers);
    members->shares = calloc(n + 1, sizeof *members->shares);
    members->drain_until_ms = calloc(n + 1, sizeof *members->drain_until_ms);
    if (!members->servers || !members->shares || !members->drain_until_ms)
        return -ENOMEM;
    members->n = n;
    for (size_t i = 0; i < n_servers; i++) {
        const struct balance_restored_server *given = &servers[i];
        size_t length = given->id ? strnlen(given->id, BALANCE_ID_MAX + 1) : 0;
        struct server *server;
        int r;

        if (length == 0 || length > BALANCE_ID_MAX)
            return refuse_server(error, i, "id", "is not an id of 1 to 63 bytes", length ? given->id : "");
        if (given->index == BALANCE_NOBODY || given->index >= table->n_rows)
            return refuse_server(error, i, "index", "has an index that there is not", given->id);
        if (members->servers[given->index])
            return refuse_server(error, i, "index", "has the index of another server", given->id);
        server = calloc(1, sizeof *server + length + 1);
        if (!server)
            return -ENOMEM;
        memcpy(server->id, given->id, length);
        server->index = given->index;
        r = hashmap_insert(&table->by_id, &server->by_id, server->id, length);
        if (r < 0) {
            free(server);
            return r == -EEXIST ? refuse_server(error, i, "id", "is given twice", given->id) : r;
        }
        members->servers[given->index] = server;
        members->shares[given->index].weight = given->weight;
        members->drain_until_ms[given->index] = given->drain_until_ms;
    }
    return 0;
}

static bool is_server(const struct balance_table *table, uint16_t index)
{
    return index < table->members.n && table->members.servers[index];
}

/* Previous owners are servers, none twice, none that is the owner, and nobody comes behind all of them. */
static bool is_sound(const struct balance_table *table, const struct balance_row *row)
{
    const uint16_t *previous = row->previous;

    if (!is_server(table, row->owner))
        return false;
    for (unsigned i = 0; i < BALANCE_PREVIOUS; i++) {
        if (previous[i] == BALANCE_NOBODY)
            continue;
        if (!is_server(table, previous[i]) || previous[i] == row->owner || (i > 0 && previous[i - 1] == BALANCE_NOBODY))
            return false;
        for (unsigned j = 0; j < i; j++)
            if (previous[j] == previous[i])
                return false;
    }
    return true;
}

static bool is_nobodys(const struct balance_row *row)
{
    static const struct balance_row nobodys = {BALANCE_NOBODY, {BALANCE_NOBODY, BALANCE_NOBODY, BALANCE_NOBODY}};

    return memcmp(row, &nobodys, sizeof *row) == 0;
}

static int take_rows(struct balance_table *table, const struct balance_row *rows, uint64_t now_ms, struct error *error)
{
    bool is_empty = is_nobodys(&rows[0]);

    for (uint32_t row = 0; row < table->n_rows; row++) {
        if (is_empty ? !is_nobodys(&rows[row]) : !is_sound(table, &rows[row])) {
            error_set(error, -EINVAL, NULL, "owners %u %u %u %u are not those of a row", rows[row].owner,
                      rows[row].previous[0], rows[row].previous[1], rows[row].previous[2]);
            error_prefix_field(error, "rows[%" PRIu32 "]", row);
            return -EINVAL;
        }
        table->rows[row] = rows[row];
        if (!is_empty)
            table->members.shares[rows[row].owner].target++; /* What it holds. */
        for (unsigned i = 0; i < BALANCE_PREVIOUS; i++)
            table->lost_ms[row][i] = rows[row].previous[i] == BALANCE_NOBODY ? 0 : now_ms;
    }
    table->next_ms = now_ms; /* The first balance_table_age looks at all of it. */
    return 0;
}

int balance_table_restore(const struct balance_row *rows, uint32_t n_rows, uint64_t lineage, uint64_t sequence,
                          uint64_t history_ms, const struct balance_restored_server *servers, size_t n_servers,
                          uint64_t now_ms, struct balance_table **ret_table, struct error *error)
{
    _cleanup_(balance_table_freep) struct balance_table *table = NULL;
    int r = 0;

    /* One that has grown is no prime; one that is to be seeded must be. */
    if (n_rows > 0 && is_nobodys(&rows[0]))
        r = balance_table_new(n_rows, lineage, history_ms, &table, error);
    else
        r = table_allocate(n_rows, lineage, history_ms, &table, error);

    if (r == 0)
        r = add_servers(table, servers, n_servers, error);
    if (r == 0)
        r = take_rows(table, rows, now_ms, error);
    if (r < 0)
        return r;
    table->delta.sequence = sequence;
    *ret_table = TAKE_PTR(table);
    return 0;
}
