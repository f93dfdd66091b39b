/* A table beside a naive model of it: every row as a list of names with the times at which they lost it. */
#ifndef TESTS_BALANCE_WORLD_H
#define TESTS_BALANCE_WORLD_H

#include "test.h"

#include <string.h>

#include "weft/balance/copy.h"
#include "weft/base/util.h"

#define MAX_ROWS 1021
#define MAX_NAMES 400

static inline const char *name_of(unsigned number)
{
    static char names[MAX_NAMES][8];

    assert_true(number < MAX_NAMES);
    snprintf(names[number], sizeof names[number], "s%u", number);
    return names[number];
}

static inline unsigned number_of(const char *id)
{
    return (unsigned)atoi(id + 1);
}

struct naive_row {
    int owner; /* Number of a name, or -1. */
    unsigned n;
    int previous[4];
    uint64_t lost_ms[4];
};

struct world {
    struct balance_table *table;
    struct balance_copy copy;
    uint64_t history_ms, now_ms;
    uint32_t n_rows;
    struct naive_row rows[MAX_ROWS];
    size_t n;
    struct balance_server servers[MAX_NAMES]; /* As set last. */
};

static inline void world_init(struct world *world, uint32_t n_rows, uint64_t history_ms)
{
    const struct balance_row *rows;
    uint32_t n;

    memset(world, 0, sizeof *world);
    world->history_ms = history_ms;
    world->n_rows = n_rows;
    assert_int_equal(balance_table_new(n_rows, 7, history_ms, &world->table, NULL), 0);
    rows = balance_table_rows(world->table, &n);
    assert_int_equal(n, n_rows);
    assert_int_equal(balance_copy_set(&world->copy, 7, 0, rows, n), 0);
    for (uint32_t row = 0; row < n_rows; row++)
        world->rows[row].owner = -1;
}

static inline void world_clear(struct world *world)
{
    balance_table_free(world->table);
    balance_copy_clear(&world->copy);
}

static inline const struct balance_server *world_server(const struct world *world, int number)
{
    for (size_t i = 0; i < world->n; i++)
        if ((int)number_of(world->servers[i].id) == number)
            return &world->servers[i];
    return NULL;
}

static inline int owner_of(const struct world *world, uint32_t row)
{
    uint32_t n;
    const char *id = balance_table_id(world->table, balance_table_rows(world->table, &n)[row].owner);

    return id ? (int)number_of(id) : -1;
}

static inline bool row_knows(const struct world *world, uint32_t row, int number)
{
    uint32_t n;
    const struct balance_row *content = &balance_table_rows(world->table, &n)[row];
    uint16_t index = balance_table_index(world->table, name_of((unsigned)number));

    return index != BALANCE_NOBODY && (content->owner == index || content->previous[0] == index ||
                                       content->previous[1] == index || content->previous[2] == index);
}

static inline bool is_over(const struct world *world, int number, uint64_t lost_ms)
{
    const struct balance_server *server = world_server(world, number);

    if (!server)
        return true;
    if (server->weight == 0)
        return world->now_ms >= server->drain_until_ms;
    return world->history_ms != BALANCE_NEVER && world->now_ms - lost_ms >= world->history_ms;
}

/* The naive row after the table chose 'owner'. */
static inline void naive_move(const struct world *world, struct naive_row *row, int owner)
{
    struct naive_row next = {.owner = owner};

    if (row->owner >= 0 && row->owner != owner) {
        memmove(&row->previous[1], &row->previous[0], 3 * sizeof row->previous[0]);
        memmove(&row->lost_ms[1], &row->lost_ms[0], 3 * sizeof row->lost_ms[0]);
        row->previous[0] = row->owner;
        row->lost_ms[0] = world->now_ms;
        row->n++;
    }
    for (unsigned i = 0; i < row->n && next.n < 3; i++)
        if (row->previous[i] != owner && !is_over(world, row->previous[i], row->lost_ms[i])) {
            next.previous[next.n] = row->previous[i];
            next.lost_ms[next.n++] = row->lost_ms[i];
        }
    *row = next;
}

/* The table's rows against the naive ones, each server's rows against its share, and the copy after the delta against
 * the table.  Returns how many rows moved. */
static inline size_t world_check(struct world *world)
{
    const struct balance_delta *delta = balance_table_delta(world->table);
    uint64_t weights = 0, before = world->copy.sequence;
    uint32_t held[MAX_NAMES] = {}, n;
    const struct balance_row *rows = balance_table_rows(world->table, &n);
    size_t n_moved = 0;

    for (uint32_t row = 0; row < n; row++) {
        int owner = owner_of(world, row);

        n_moved += owner != world->rows[row].owner;
        naive_move(world, &world->rows[row], owner);
        held[owner]++;
        for (unsigned i = 0; i < BALANCE_PREVIOUS; i++) {
            const char *id = balance_table_id(world->table, rows[row].previous[i]);

            if (i < world->rows[row].n)
                assert_string_equal(id, name_of((unsigned)world->rows[row].previous[i]));
            else
                assert_int_equal(rows[row].previous[i], BALANCE_NOBODY);
        }
    }
    for (size_t i = 0; i < world->n; i++)
        weights += world->servers[i].weight;
    for (size_t i = 0; i < world->n; i++) {
        uint64_t exact = (uint64_t)world->n_rows * world->servers[i].weight,
                 product = held[number_of(world->servers[i].id)] * weights;

        assert_true(product < exact + weights && exact < product + weights);
    }
    assert_int_equal(delta->n_moved, n_moved);
    assert_int_equal(delta->sequence, before + (delta->n_changes > 0));
    assert_int_equal(balance_copy_apply(&world->copy, delta), 0);
    assert_memory_equal(world->copy.rows, rows, n * sizeof *rows);
    return n_moved;
}

static inline size_t world_set(struct world *world)
{
    struct error error = {};

    if (balance_table_set(world->table, world->servers, world->n, world->now_ms, &error) < 0)
        fail_msg("%s: %s", error.field, error.message);
    return world_check(world);
}

/* The table grows, and the naive one as its header says. */
static inline void world_grow(struct world *world, uint32_t factor)
{
    static struct naive_row naive[MAX_ROWS];
    const struct balance_row *rows;
    uint32_t n;

    assert_true(world->n_rows * factor <= MAX_ROWS);
    assert_int_equal(balance_table_grow(world->table, factor, NULL), 0);
    world->n_rows *= factor;
    for (uint32_t row = 0; row < world->n_rows; row++)
        naive[row] = world->rows[row / factor];
    memcpy(world->rows, naive, world->n_rows * sizeof *naive);
    rows = balance_table_rows(world->table, &n);
    assert_int_equal(n, world->n_rows);
    assert_int_equal(balance_table_delta(world->table)->sequence, world->copy.sequence + 1);
    assert_int_equal(balance_copy_set(&world->copy, 7, world->copy.sequence + 1, rows, n), 0);
}

static inline struct balance_server *world_add(struct world *world, unsigned number, uint16_t weight)
{
    world->servers[world->n] = (struct balance_server){.id = name_of(number), .weight = weight};
    return &world->servers[world->n++];
}

#endif
