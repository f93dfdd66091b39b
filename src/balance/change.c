/* One change of the rows: first it is decided who is to own each, then all are rewritten in one go. */
#include <endian.h>
#include <stdbool.h>
#include <stddef.h>

#include "weft/balance/state.h"

/* They are the first ones, and nobody is 16 bits that are set: counted from the other end. */
static unsigned n_previous(const struct balance_row *row)
{
    uint64_t word;

    memcpy(&word, row, sizeof word);
    word = ~le64toh(word);
    return BALANCE_PREVIOUS - (unsigned)(word ? __builtin_clzll(word) / 16 : BALANCE_PREVIOUS);
}
_Static_assert(offsetof(struct balance_row, previous) == 2 && sizeof(struct balance_row) == 8, "the last is the last");

/* Lists the rows of owners that have too many.  Without a branch, since which rows these are cannot be predicted. */
static uint32_t find_movable(struct balance_table *table, const uint16_t *successors, const int32_t *surplus, uint32_t *movable)
{
    const struct balance_row *rows = table->rows;
    uint16_t *owners = table->owners;
    uint32_t n = 0, n_rows = table->n_rows;

    for (uint32_t row = 0; row < n_rows; row++) {
        uint16_t owner = successors[rows[row].owner];

        owners[row] = owner;
        movable[n] = row;
        n += surplus[owner] > 0;
    }
    return n;
}

/* Rows with the shortest history first, else in their order: a counting sort. */
static void sort_movable(const struct balance_table *table, const uint32_t *movable, uint32_t n, uint32_t *sorted)
{
    uint32_t starts[BALANCE_PREVIOUS + 2] = {};

    for (uint32_t i = 0; i < n; i++)
        starts[n_previous(&table->rows[movable[i]]) + 1]++;
    for (unsigned history = 0; history < BALANCE_PREVIOUS; history++)
        starts[history + 1] += starts[history];
    for (uint32_t i = 0; i < n; i++)
        sorted[starts[n_previous(&table->rows[movable[i]])]++] = movable[i];
}

static void take_successors(struct balance_table *table, const uint16_t *successors)
{
    const struct balance_row *rows = table->rows;
    uint16_t *owners = table->owners;

    for (uint32_t row = 0, n_rows = table->n_rows; row < n_rows; row++)
        owners[row] = successors[rows[row].owner];
}

void change_plan(struct balance_table *table, const struct members *members, const uint16_t *successors,
                 int32_t *surplus, struct scratch *scratch)
{
    uint32_t *sorted = scratch->rows + table->n_rows, n_movable, n_left = 0;
    size_t receiver = 0;

    for (size_t i = 0; i < members->n; i++) {
        surplus[i] = (int32_t)members->shares[i].held - (int32_t)members->shares[i].target;
        n_left += surplus[i] > 0 ? (uint32_t)surplus[i] : 0;
    }
    if (!n_left) {
        take_successors(table, successors);
        return;
    }
    n_movable = find_movable(table, successors, surplus, scratch->rows);
    sort_movable(table, scratch->rows, n_movable, sorted);
    /* As many rows are missing as are to be given away.  Who received has no surplus, so that no row moves twice. */
    for (uint32_t i = 0; n_left > 0 && i < n_movable; i++) {
        uint16_t *owner = &table->owners[sorted[i]];

        if (surplus[*owner] <= 0)
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

    for (unsigned i = 0; i < BALANCE_PREVIOUS && old->previous[i] != BALANCE_NOBODY; i++)
        n = remember(table, members, &row, lost, n, old->previous[i], old_lost[i], now_ms);
    memcpy(old_lost, lost, sizeof lost);
    if (memcmp(old, &row, sizeof row) == 0)
        return;
    table->delta.n_moved += row.owner != old->owner;
    *old = row;
    table->changes[table->delta.n_changes++] = (struct balance_change){number, row};
}

static bool is_judged_anew(const struct members *before, const struct members *members, size_t index)
{
    if (!before->servers[index]) /* Nor remembered. */
        return false;
    if (index >= members->n || !before->shares[index].weight != !members->shares[index].weight)
        return true;
    return !members->shares[index].weight && before->drain_until_ms[index] != members->drain_until_ms[index];
}

/* Whether rows may have to forget somebody.  Nobody's time is over that was not judged anew: nothing is before 'table->next_ms'; and of who begins to
 * drain it is known when, for all rows that remember it at once. */
static bool judge(struct balance_table *table, const struct members *members, uint64_t now_ms, struct scratch *scratch)
{
    bool result = false;

    for (size_t i = 0; i < table->members.n; i++) {
        bool drains = i >= members->n || !members->shares[i].weight;

        scratch->is_anew[i] = is_judged_anew(&table->members, members, i);
        scratch->drains[i] = drains ? UINT64_MAX : 0;
        scratch->drain_until_ms[i] = !drains ? BALANCE_NEVER : i < members->n ? members->drain_until_ms[i] : 0;
        if (!scratch->is_anew[i])
            continue;
        if (drains && scratch->drain_until_ms[i] > now_ms)
            table->next_ms = MIN(table->next_ms, scratch->drain_until_ms[i]);
        else
            result = true;
    }
    scratch->is_anew[BALANCE_NOBODY] = false;
    scratch->drains[BALANCE_NOBODY] = UINT64_MAX;
    scratch->drain_until_ms[BALANCE_NOBODY] = BALANCE_NEVER;
    return result;
}

/* Row after row: what is over by now may be anywhere. */
static void apply_all(struct balance_table *table, const struct members *members, uint64_t now_ms)
{
    table->next_ms = BALANCE_NEVER;
    for (uint32_t row = 0; row < table->n_rows; row++)
        if (table->owners[row] != table->rows[row].owner || !all_remembered(table, members, row, now_ms))
            change_row(table, members, row, now_ms);
}

/* The rows that get another owner, and with 'is_judged' those that remember somebody who is judged anew.  Without a branch, as above. */
static uint32_t find_touched(const struct balance_table *table, bool is_judged, struct scratch *scratch)
{
    const bool *anew = scratch->is_anew;
    const struct balance_row *rows = table->rows;
    const uint16_t *owners = table->owners;
    uint32_t *touched = scratch->rows, n = 0, n_rows = table->n_rows;

    if (is_judged)
        for (uint32_t row = 0; row < n_rows; row++) {
            touched[n] = row;
            n += (owners[row] != rows[row].owner) | anew[rows[row].previous[0]] | anew[rows[row].previous[1]] | anew[rows[row].previous[2]];
        }
    else
        for (uint32_t row = 0; row < n_rows; row++) {
            touched[n] = row;
            n += owners[row] != rows[row].owner;
        }
    return n;
}
_Static_assert(BALANCE_PREVIOUS == 3, "find_touched looks at each");

/* As all_remembered finds it, but without a branch: which previous owners drain cannot be predicted either. */
static uint64_t first_over(const struct balance_table *table, uint32_t number, const struct scratch *scratch)
{
    const struct balance_row *row = &table->rows[number];
    uint64_t lost_ms = UINT64_MAX, drained_ms = BALANCE_NEVER;

    for (unsigned i = 0; i < BALANCE_PREVIOUS; i++) {
        uint16_t index = row->previous[i];

        lost_ms = MIN(lost_ms, table->lost_ms[number][i] | scratch->drains[index]);
        drained_ms = MIN(drained_ms, scratch->drain_until_ms[index]);
    }
    return MIN(drained_ms, lost_ms > BALANCE_NEVER - table->history_ms ? BALANCE_NEVER : lost_ms + table->history_ms);
}
_Static_assert(BALANCE_NEVER == UINT64_MAX, "all bits are never");

/* As change_row, of a row that goes to another owner, whose former one will be remembered until 'until_ms', and of whose history nothing is over: that
 * one goes in front, and the new owner, if it is there, or the last one comes out.  Without a branch: which of both it is cannot be predicted. */
static void move_row(struct balance_table *table, uint32_t number, uint64_t until_ms, uint64_t now_ms)
{
    uint64_t *lost = table->lost_ms[number], first = lost[0], second = lost[1];
    const uint16_t *previous = table->rows[number].previous;
    uint16_t owner = table->owners[number];
    bool is_first = previous[0] == owner, is_either = is_first | (previous[1] == owner);
    struct balance_row row = {owner, {table->rows[number].owner, is_first ? previous[1] : previous[0], is_either ? previous[2] : previous[1]}};

    lost[0] = now_ms;
    lost[1] = is_first ? second : first;
    lost[2] = is_either ? lost[2] : second;
    table->next_ms = MIN(table->next_ms, until_ms);
    table->rows[number] = row;
    table->changes[table->delta.n_changes++] = (struct balance_change){number, row};
    table->delta.n_moved++;
}
_Static_assert(BALANCE_PREVIOUS == 3, "move_row moves each");

/* Nothing is over, so only rows that move may change, */
static void apply_moves(struct balance_table *table, const struct members *members, uint64_t now_ms, struct scratch *scratch)
{
    uint32_t n = find_touched(table, false, scratch);

    for (uint32_t i = 0; i < n; i++) {
        uint32_t row = scratch->rows[i];
        uint16_t former = table->rows[row].owner;
        uint64_t until_ms = former == BALANCE_NOBODY ? 0 : remembered_until(table, members, former, now_ms);

        if (until_ms > now_ms)
            move_row(table, row, until_ms, now_ms);
        else
            change_row(table, members, row, now_ms);
    }
}

/* or that remember who is judged anew. */
static void apply_some(struct balance_table *table, const struct members *members, uint64_t now_ms, struct scratch *scratch)
{
    uint32_t n = find_touched(table, true, scratch);

    for (uint32_t i = 0; i < n; i++) {
        uint32_t row = scratch->rows[i];
        uint64_t first = table->owners[row] == table->rows[row].owner ? first_over(table, row, scratch) : now_ms;

        if (first <= now_ms)
            change_row(table, members, row, now_ms);
        else
            table->next_ms = MIN(table->next_ms, first);
    }
}

void change_apply(struct balance_table *table, const struct members *members, uint64_t now_ms, struct scratch *scratch)
{
    table->delta.n_changes = table->delta.n_moved = 0;
    if (now_ms >= table->next_ms)
        apply_all(table, members, now_ms);
    else if (judge(table, members, now_ms, scratch))
        apply_some(table, members, now_ms, scratch);
    else
        apply_moves(table, members, now_ms, scratch);
    if (table->delta.n_changes > 0)
        table->delta.sequence++;
}
