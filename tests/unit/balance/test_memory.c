/* A table when memory runs out at each allocation in turn: the linker puts the functions below in front of malloc(),
 * calloc() and realloc(). */
#include <errno.h>

#include "world.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static long n_left = -1; /* Allocations that still succeed, then one fails; negative: all do. */
static size_t n_bytes;   /* That were asked for. */

static bool fails(void)
{
    return n_left >= 0 && n_left-- == 0;
}

void *__wrap_malloc(size_t size)
{
    n_bytes += size;
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    n_bytes += n * size;
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails() ? NULL : __real_realloc(memory, size);
}

/* Lets the n-th allocation fail for growing n until the change goes through; before, nothing changed. */
static void set_at_last(struct world *world)
{
    uint32_t n_rows;
    size_t size = world->n_rows * sizeof(struct balance_row);
    int r = -ENOMEM, n_failed = 0;

    for (; r < 0; n_failed++) {
        n_left = n_failed;
        r = balance_table_set(world->table, world->servers, world->n, world->now_ms, NULL);
        n_left = -1;
        if (r < 0) {
            assert_int_equal(r, -ENOMEM);
            assert_memory_equal(balance_table_rows(world->table, &n_rows), world->copy.rows, size);
            assert_int_equal(balance_table_delta(world->table)->sequence, world->copy.sequence);
        }
    }
    assert_true(n_failed > 8);
    world_check(world);
}

static void a_change_that_fails_changes_nothing(void **state)
{
    static struct world world;

    (void)state;
    world_init(&world, 251, BALANCE_NEVER);
    for (unsigned i = 0; i < 5; i++)
        world_add(&world, i, 1);
    set_at_last(&world);
    for (unsigned i = 5; i < 60; i++)
        world_add(&world, i, 1);
    world.servers[0] = (struct balance_server){.id = name_of(60), .weight = 3, .replaces = name_of(0)};
    set_at_last(&world);
    world_clear(&world);
}

static void a_table_that_cannot_grow_is_as_it_was(void **state)
{
    static struct world world;
    int n_failed = 0, r = -ENOMEM;

    (void)state;
    world_init(&world, 13, BALANCE_NEVER);
    world_add(&world, 1, 1);
    set_at_last(&world);
    for (; r < 0; n_failed++) {
        n_left = n_failed;
        r = balance_table_grow(world.table, 3, NULL);
        n_left = -1;
        assert_true(r == 0 || r == -ENOMEM);
        if (r < 0)
            assert_int_equal(world_set(&world), 0);
    }
    assert_int_equal(n_failed, 5);
    world_clear(&world);
}

static void a_table_or_copy_that_fails_leaves_nothing(void **state)
{
    struct balance_copy copy = {};
    struct balance_row row = {};
    struct balance_table *table = NULL;
    int r = -ENOMEM, n_failed = 0;

    (void)state;
    for (; r < 0; n_failed++) {
        n_left = n_failed;
        r = balance_table_new(251, 1, 0, &table, NULL);
        n_left = -1;
        assert_true(r == 0 || (r == -ENOMEM && !table));
    }
    assert_int_equal(n_failed, 6);
    balance_table_free(table);

    assert_int_equal(balance_copy_set(&copy, 1, 2, &row, 1), 0);
    n_left = 0;
    assert_int_equal(balance_copy_set(&copy, 1, 3, &row, 1), -ENOMEM);
    n_left = -1;
    assert_int_equal(copy.sequence, 2);
    balance_copy_clear(&copy);
}

/* Ten thousand services have one each. */
static void a_table_holds_its_rows_and_little_else(void **state)
{
    struct balance_table *table = NULL;

    (void)state;
    n_bytes = 0;
    assert_int_equal(balance_table_new(1021, 1, 0, &table, NULL), 0);
    assert_in_range(n_bytes, 1021 * sizeof(struct balance_row), 1021 * 48 + 1024);
    balance_table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_that_fails_changes_nothing),
        cmocka_unit_test(a_table_that_cannot_grow_is_as_it_was),
        cmocka_unit_test(a_table_or_copy_that_fails_leaves_nothing),
        cmocka_unit_test(a_table_holds_its_rows_and_little_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
