/* A table with more rows, in which every flow finds the owners that it had. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "weft/balance/state.h"

struct larger {
    struct balance_row *rows;
    uint64_t (*lost_ms)[BALANCE_PREVIOUS];
    uint16_t *owners;
    struct balance_change *changes;
};

static void larger_clear(struct larger *larger)
{
    free(larger->rows);
    free(larger->lost_ms);
    free(larger->owners);
    free(larger->changes);
}

int balance_table_grow(struct balance_table *table, uint32_t factor, struct error *error)
{
    _cleanup_(larger_clear) struct larger larger = {};
    uint64_t n_rows = (uint64_t)table->n_rows * factor;

    if (factor < 2 || n_rows > BALANCE_ROWS_MAX)
        return error_set(error, -EINVAL, "factor", "'%" PRIu32 "' times %" PRIu32 " rows is not from twice as many to %d", factor, table->n_rows,
                         BALANCE_ROWS_MAX);
    if (table->rows[0].owner == BALANCE_NOBODY)
        return error_set(error, -EINVAL, "factor", "the table has no servers yet: make a larger one");
    larger.rows = malloc(n_rows * sizeof *larger.rows);
    larger.lost_ms = malloc(n_rows * sizeof *larger.lost_ms);
    larger.owners = malloc(n_rows * sizeof *larger.owners);
    larger.changes = malloc(n_rows * sizeof *larger.changes);
    if (!larger.rows || !larger.lost_ms || !larger.owners || !larger.changes)
        return -ENOMEM;
    for (uint32_t row = 0; row < n_rows; row++) {
        larger.rows[row] = table->rows[row / factor];
        memcpy(larger.lost_ms[row], table->lost_ms[row / factor], sizeof larger.lost_ms[row]);
    }
    for (size_t i = 0; i < table->members.n; i++)
        table->members.shares[i].target *= factor; /* What it holds. */

    struct larger former = {table->rows, table->lost_ms, table->owners, table->changes};
    table->rows = larger.rows;
    table->lost_ms = larger.lost_ms;
    table->owners = larger.owners;
    table->changes = larger.changes;
    larger = former;
    table->n_rows = (uint32_t)n_rows;
    table->delta = (struct balance_delta){.lineage = table->delta.lineage, .sequence = table->delta.sequence + 1, .changes = table->changes};
    return 0;
}
