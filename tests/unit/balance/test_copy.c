/* A reader's copy: what it takes, what makes it ask for the whole. */
#include <errno.h>

#include "world.h"

static const struct balance_row two_rows[] = {{1, {2, 3, 4}}, {5, {6, 7, 8}}};
static const struct balance_change change = {1, {9, {5, 6, 7}}};

static struct balance_delta delta(uint64_t lineage, uint64_t sequence, const struct balance_change *changes)
{
    return (struct balance_delta){.lineage = lineage, .sequence = sequence, .changes = changes, .n_changes = 1};
}

static void only_the_next_delta_of_the_same_writer_is_applied(void **state)
{
    struct balance_copy copy = {};
    struct balance_delta next = delta(3, 11, &change), missed = delta(3, 12, &change), other = delta(4, 11, &change),
                         old = delta(3, 10, &change);

    (void)state;
    assert_int_equal(balance_copy_apply(&copy, &next), -ESTALE);
    assert_int_equal(balance_copy_set(&copy, 3, 10, two_rows, 2), 0);
    assert_int_equal(balance_copy_apply(&copy, &missed), -ESTALE);
    assert_int_equal(balance_copy_apply(&copy, &other), -ESTALE);
    assert_int_equal(balance_copy_apply(&copy, &old), 0);
    assert_memory_equal(copy.rows, two_rows, sizeof two_rows);
    assert_int_equal(balance_copy_apply(&copy, &next), 0);
    assert_int_equal(copy.sequence, 11);
    assert_memory_equal(&copy.rows[0], &two_rows[0], sizeof two_rows[0]);
    assert_memory_equal(&copy.rows[1], &change.content, sizeof change.content);
    balance_copy_clear(&copy);
    assert_int_equal(copy.n_rows, 0);
}

static void a_row_that_there_is_not_changes_nothing(void **state)
{
    static const struct balance_change changes[] = {{0, {9, {9, 9, 9}}}, {2, {9, {9, 9, 9}}}};
    struct balance_copy copy = {};
    struct balance_delta bad = {.lineage = 3, .sequence = 11, .changes = changes, .n_changes = 2};

    (void)state;
    assert_int_equal(balance_copy_set(&copy, 3, 10, two_rows, 0), -EINVAL);
    assert_int_equal(balance_copy_set(&copy, 3, 10, two_rows, BALANCE_ROWS_MAX + 1), -EINVAL);
    assert_int_equal(balance_copy_set(&copy, 3, 10, two_rows, 2), 0);
    assert_int_equal(balance_copy_apply(&copy, &bad), -EINVAL);
    assert_int_equal(copy.sequence, 10);
    assert_memory_equal(copy.rows, two_rows, sizeof two_rows);
    balance_copy_clear(&copy);
}

static void who_missed_one_is_whole_again_by_the_whole(void **state)
{
    static struct world world;
    struct balance_copy late = {};
    const struct balance_row *rows;
    uint32_t n_rows;

    (void)state;
    world_init(&world, 251, BALANCE_NEVER);
    rows = balance_table_rows(world.table, &n_rows);
    assert_int_equal(balance_copy_set(&late, 7, 0, rows, n_rows), 0);
    for (unsigned i = 0; i < 3; i++) {
        world_add(&world, i, 1);
        world_set(&world);
    }
    assert_int_equal(balance_copy_apply(&late, balance_table_delta(world.table)), -ESTALE);
    rows = balance_table_rows(world.table, &n_rows);
    assert_int_equal(balance_copy_set(&late, 7, balance_table_delta(world.table)->sequence, rows, n_rows), 0);
    world_add(&world, 3, 1);
    world_set(&world);
    assert_int_equal(balance_copy_apply(&late, balance_table_delta(world.table)), 0);
    assert_memory_equal(late.rows, world.copy.rows, n_rows * sizeof *rows);
    balance_copy_clear(&late);
    world_clear(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_next_delta_of_the_same_writer_is_applied),
        cmocka_unit_test(a_row_that_there_is_not_changes_nothing),
        cmocka_unit_test(who_missed_one_is_whole_again_by_the_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
