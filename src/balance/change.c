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

/* Lists the rows of owners that have too many, in a list for each number of previous owners.  Without a branch, since which rows these are cannot be predicted. */
static void find_movable(struct balance_table *table, const uint16_t *successors, const int32_t *surplus, uint32_t *const lists[MOVABLE_LISTS],
                         uint32_t ret_n[MOVABLE_LISTS])
{
    const struct balance_row *rows = table->rows;
    uint32_t n[MOVABLE_LISTS] = {}, n_rows = table->n_rows;
    uint16_t *owners = table->owners;

    for (uint32_t row = 0; row < n_rows; row++) {
        uint16_t owner = successors[rows[row].owner];
        unsigned history = n_previous(&rows[row]);

        owners[row] = owner;
        lists[history][n[history]] = row;
        n[history] += surplus[owner] > 0;
    }
    memcpy(ret_n, n, sizeof n);
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
    uint32_t *lists[MOVABLE_LISTS], n_movable[MOVABLE_LISTS] = {};
    size_t receiver = 0;
    uint32_t n_left = 0;

    for (size_t i = 0; i < members->n; i++) {
        surplus[i] = (int32_t)members->shares[i].held - (int32_t)members->shares[i].target;
        n_left += surplus[i] > 0 ? (uint32_t)surplus[i] : 0;
    }
    for (unsigned i = 0; i < MOVABLE_LISTS; i++)
        lists[i] = scratch->movable + (size_t)i * table->n_rows;
    if (!n_left) {
        take_successors(table, successors);
        return;
    }
    find_movable(table, successors, surplus, lists, n_movable);
    /* As many rows are missing as are to be given away.  Who received has no surplus, so that no row moves twice. */
    for (unsigned history = 0; history < MOVABLE_LISTS; history++)
        for (uint32_t i = 0; n_left > 0 && i < n_movable[history]; i++) {
            uint16_t *owner = &table->owners[lists[history][i]];

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

/* Is anybody? */
static bool judge(const struct balance_table *table, const struct members *members, struct scratch *scratch)
{
    bool result = false;

    for (size_t i = 0; i < table->members.n; i++) {
        bool drains = i >= members->n || !members->shares[i].weight;

        scratch->is_anew[i] = is_judged_anew(&table->members, members, i);
        scratch->drains[i] = drains ? UINT64_MAX : 0;
        scratch->drain_until_ms[i] = !drains ? BALANCE_NEVER : i < members->n ? members->drain_until_ms[i] : 0;
        result |= scratch->is_anew[i];
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
    uint32_t *touched = scratch->movable, n = 0, n_rows = table->n_rows;

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

/* Nothing is over, so only those rows may change. */
static void apply_some(struct balance_table *table, const struct members *members, uint64_t now_ms, struct scratch *scratch)
{
    bool is_judged = judge(table, members, scratch);
    uint32_t n = find_touched(table, is_judged, scratch);

    for (uint32_t i = 0; i < n; i++) {
        uint32_t row = scratch->movable[i];
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
    if (now_ms < table->next_ms)
        apply_some(table, members, now_ms, scratch);
    else
        apply_all(table, members, now_ms);
    if (table->delta.n_changes > 0)
        table->delta.sequence++;
}
