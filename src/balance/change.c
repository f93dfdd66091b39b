/* One change of the rows: first it is decided who is to own each, then all are rewritten in one go. */
#include <stdbool.h>

#include "weft/balance/state.h"

static unsigned n_previous(const struct balance_row *row)
{
    unsigned n = 0;

    for (unsigned i = 0; i < BALANCE_PREVIOUS; i++)
        n += row->previous[i] != BALANCE_NOBODY;
    return n;
}

/* Lists the rows of owners that have too many.  Without a branch, since which rows these are cannot be predicted. */
static uint32_t find_movable(struct balance_table *table, const uint16_t *successors, const int32_t *surplus)
{
    uint32_t n = 0;

    for (uint32_t row = 0; row < table->n_rows; row++) {
        table->owners[row] = successors[table->rows[row].owner];
        table->movable[n] = row;
        n += surplus[table->owners[row]] > 0;
    }
    return n;
}

void change_plan(struct balance_table *table, const struct members *members, const uint16_t *successors,
                 int32_t *surplus)
{
    size_t receiver = 0;
    uint32_t n_left = 0, n_movable;

    for (size_t i = 0; i < members->n; i++) {
        surplus[i] = (int32_t)members->shares[i].held - (int32_t)members->shares[i].target;
        n_left += surplus[i] > 0 ? (uint32_t)surplus[i] : 0;
    }
    n_movable = find_movable(table, successors, surplus);
    /* As many rows are missing as are to be given away.  Who received has no surplus, so that no row moves twice. */
    for (unsigned history = 0; n_left > 0; history++)
        for (uint32_t i = 0; n_left > 0 && i < n_movable; i++) {
            uint32_t row = table->movable[i];
            uint16_t *owner = &table->owners[row];

            if (surplus[*owner] <= 0 || n_previous(&table->rows[row]) != history)
                continue;
            while (surplus[receiver] >= 0)
                receiver++;
            surplus[receiver]++;
            surplus[*owner]--;
            *owner = (uint16_t)receiver;
            n_left--;
        }
}

static uint64_t remembered_until(const struct balance_table *table, const struct members *members, uint16_t index,
                                 uint64_t lost_ms)
{
    if (members->shares[index].weight == 0)
        return members->drain_until_ms[index];
    return lost_ms > BALANCE_NEVER - table->history_ms ? BALANCE_NEVER : lost_ms + table->history_ms;
}

/* Whether a row that keeps its owner also keeps its history. */
static bool all_remembered(struct balance_table *table, const struct members *members, uint32_t number, uint64_t now_ms)
{
    const struct balance_row *row = &table->rows[number];
    uint64_t first = BALANCE_NEVER;

    for (unsigned i = 0; i < BALANCE_PREVIOUS && row->previous[i] != BALANCE_NOBODY; i++)
        first = MIN(first, remembered_until(table, members, row->previous[i], table->lost_ms[number][i]));
    if (first <= now_ms)
        return false;
    table->next_ms = MIN(table->next_ms, first);
    return true;
}

/* Adds a previous owner, later ones first, if it is one, still remembered, and there is room. */
static unsigned remember(struct balance_table *table, const struct members *members, struct balance_row *row,
                         uint64_t *lost, unsigned n, uint16_t index, uint64_t lost_ms, uint64_t now_ms)
{
    uint64_t until;

    if (index == BALANCE_NOBODY || index == row->owner || n == BALANCE_PREVIOUS)
        return n;
    until = remembered_until(table, members, index, lost_ms);
    if (until <= now_ms)
        return n;
    table->next_ms = MIN(table->next_ms, until);
    row->previous[n] = index;
    lost[n] = lost_ms;
    return n + 1;
}

static void change_row(struct balance_table *table, const struct members *members, uint32_t number, uint64_t now_ms)
{
    struct balance_row *old = &table->rows[number];
    struct balance_row row = {table->owners[number], {BALANCE_NOBODY, BALANCE_NOBODY, BALANCE_NOBODY}};
    uint64_t lost[BALANCE_PREVIOUS] = {}, *old_lost = table->lost_ms[number];
    unsigned n = remember(table, members, &row, lost, 0, old->owner, now_ms, now_ms);

    for (unsigned i = 0; i < BALANCE_PREVIOUS; i++)
        n = remember(table, members, &row, lost, n, old->previous[i], old_lost[i], now_ms);
    memcpy(old_lost, lost, sizeof lost);
    if (memcmp(old, &row, sizeof row) == 0)
        return;
    table->delta.n_moved += row.owner != old->owner;
    *old = row;
    table->changes[table->delta.n_changes++] = (struct balance_change){number, row};
}

void change_apply(struct balance_table *table, const struct members *members, uint64_t now_ms)
{
    table->delta.n_changes = table->delta.n_moved = 0;
    table->next_ms = BALANCE_NEVER;
    for (uint32_t row = 0; row < table->n_rows; row++)
        if (table->owners[row] != table->rows[row].owner || !all_remembered(table, members, row, now_ms))
            change_row(table, members, row, now_ms);
    if (table->delta.n_changes > 0)
        table->delta.sequence++;
}
