/* Changes of a table, against the naive model in world.h. */
#include <errno.h>

#include "world.h"

static void world_drain(struct world *world, unsigned number, uint64_t until_ms)
{
    struct balance_server *server = (struct balance_server *)world_server(world, (int)number);

    server->weight = 0;
    server->drain_until_ms = until_ms;
}

static void world_remove(struct world *world, unsigned number)
{
    struct balance_server *server = (struct balance_server *)world_server(world, (int)number);

    *server = world->servers[--world->n];
}

static void a_server_that_comes_takes_its_share_and_nothing_else_moves(void **state)
{
    static struct world world;

    (void)state;
    world_init(&world, 1021, BALANCE_NEVER);
    for (unsigned i = 0; i < 10; i++)
        world_add(&world, i, 1);
    assert_int_equal(world_set(&world), 1021);
    assert_int_equal(world_set(&world), 0);
    assert_int_equal(balance_table_delta(world.table)->sequence, 1);
    world_add(&world, 10, 1);
    assert_int_equal(world_set(&world), 92); /* 1021 / 11 = 92.8: those who have more keep what is rounded up. */
    world_remove(&world, 10);
    assert_int_equal(world_set(&world), 92);
    world_clear(&world);
}

static void who_is_replaced_hands_over_exactly_its_rows(void **state)
{
    static struct world world;

    (void)state;
    world_init(&world, 1021, BALANCE_NEVER);
    for (unsigned i = 0; i < 7; i++)
        world_add(&world, i, (uint16_t)(1 + i));
    world_set(&world);
    for (unsigned i = 0; i < 7; i++) {
        int before[MAX_ROWS];

        for (uint32_t row = 0; row < world.n_rows; row++)
            before[row] = owner_of(&world, row);
        world_add(&world, 100 + i, (uint16_t)(1 + i))->replaces = name_of(i);
        if (i % 2)
            world_drain(&world, i, BALANCE_NEVER);
        else
            world_remove(&world, i);
        world_set(&world);
        for (uint32_t row = 0; row < world.n_rows; row++)
            assert_int_equal(owner_of(&world, row), before[row] == (int)i ? (int)(100 + i) : before[row]);
        world.servers[world.n - 1].replaces = NULL;
    }
    world_clear(&world);
}

static void flows_survive_three_changes_of_any_size(void **state)
{
    unsigned seed = test_seed(__func__);

    (void)state;
    for (int round = 0; round < 40; round++) {
        static struct world world;
        int started[4][MAX_ROWS]; /* Where flows of each row started, before each change. */

        world_init(&world, 251, 1000);
        for (unsigned i = 0; i < 30; i++)
            world_add(&world, i, (uint16_t)(1 + rand_r(&seed) % 3));
        world_set(&world);
        for (unsigned change = 0; change < 4; change++) {
            for (uint32_t row = 0; row < world.n_rows; row++) {
                started[change][row] = owner_of(&world, row);
                for (unsigned i = 0; i <= change; i++)
                    assert_true(row_knows(&world, row, started[i][row]));
            }
            if (change == 3)
                break;
            world.now_ms += 300;
            for (size_t i = 0; i < world.n; i++)
                if (rand_r(&seed) % 4 == 0)
                    world_drain(&world, number_of(world.servers[i].id), 2000);
                else if (world.servers[i].weight > 0)
                    world.servers[i].weight = (uint16_t)(1 + rand_r(&seed) % 9);
            for (unsigned i = 0; i < 10; i++)
                world_add(&world, 100 + 10 * change + i, 2);
            world_set(&world);
        }
        world_clear(&world);
    }
}

static void a_rolling_replacement_of_all_breaks_no_flow(void **state)
{
    static struct world world;
    int started[MAX_ROWS];

    (void)state;
    world_init(&world, 1021, BALANCE_NEVER);
    for (unsigned i = 0; i < 100; i++)
        world_add(&world, i, 1);
    world_set(&world);
    for (uint32_t row = 0; row < world.n_rows; row++)
        started[row] = owner_of(&world, row);
    for (unsigned i = 0; i < 100; i++) {
        world_add(&world, 200 + i, 1)->replaces = name_of(i);
        world_drain(&world, i, BALANCE_NEVER);
        world_set(&world);
        for (uint32_t row = 0; row < world.n_rows; row++)
            assert_true(row_knows(&world, row, started[row]));
    }
    world_clear(&world);
}

static void history_ends_at_its_time_or_the_deadline_of_who_drains(void **state)
{
    static struct world world;

    (void)state;
    world_init(&world, 251, 1000);
    world_add(&world, 0, 1);
    world_set(&world);
    assert_int_equal(balance_table_next_ms(world.table), BALANCE_NEVER);
    world_add(&world, 1, 1);
    world.now_ms = 100;
    assert_int_equal(world_set(&world), 125);
    assert_int_equal(balance_table_next_ms(world.table), 1100);
    world_drain(&world, 0, 5000);
    world.now_ms = 200;
    world_set(&world);
    assert_int_equal(balance_table_next_ms(world.table), 1100); /* Not before. */
    world.now_ms = 1100;
    balance_table_age(world.table, world.now_ms);
    assert_int_equal(balance_table_delta(world.table)->n_changes, 0);
    assert_int_equal(balance_table_next_ms(world.table), 5000);

    world.now_ms = 4999;
    balance_table_age(world.table, world.now_ms);
    world_check(&world);
    assert_int_equal(balance_table_delta(world.table)->n_changes, 0);
    world.now_ms = 5000;
    balance_table_age(world.table, world.now_ms);
    world_check(&world);
    assert_int_equal(balance_table_delta(world.table)->n_changes, 251);
    assert_int_equal(balance_table_delta(world.table)->n_moved, 0);
    assert_int_equal(balance_table_next_ms(world.table), BALANCE_NEVER);
    world_clear(&world);
}

static void nobody_remembers_who_left(void **state)
{
    static struct world world;
    uint16_t index;

    (void)state;
    world_init(&world, 251, BALANCE_NEVER);
    world_add(&world, 0, 1);
    world_add(&world, 1, 1);
    world_set(&world);
    index = balance_table_index(world.table, "s0");
    world_add(&world, 2, 1);
    world_remove(&world, 0);
    world_set(&world);
    assert_int_equal(balance_table_index(world.table, "s0"), BALANCE_NOBODY);
    assert_null(balance_table_id(world.table, index));
    for (uint32_t row = 0; row < world.n_rows; row++)
        assert_false(row_knows(&world, row, 0));
    world_add(&world, 3, 1); /* It gets the index that is free now, and no rows that were the other's. */
    world_set(&world);
    assert_int_equal(balance_table_index(world.table, "s3"), index);
    world_clear(&world);
}

/* The fewest moves by trying all ways to round, from how many rows each number holds; who is replaced counts as its
 * successor. */
static uint64_t fewest_moves(const struct world *world, const uint32_t *held)
{
    uint64_t weights = 0, best = UINT64_MAX;

    for (size_t i = 0; i < world->n; i++)
        weights += world->servers[i].weight;
    for (unsigned up = 0; up < 1u << world->n; up++) {
        uint64_t kept = 0, sum = 0;
        bool possible = true;

        for (size_t i = 0; i < world->n; i++) {
            uint64_t product = (uint64_t)world->n_rows * world->servers[i].weight,
                     target = product / weights + (up >> i & 1);

            possible &= !(up >> i & 1) || product % weights;
            sum += target;
            kept += MIN(target, held[number_of(world->servers[i].id)]);
        }
        if (possible && sum == world->n_rows)
            best = MIN(best, world->n_rows - kept);
    }
    return best;
}

static void random_changes_move_the_fewest_rows(void **state)
{
    static const uint32_t primes[] = {2, 13, 251, 1021};
    unsigned seed = test_seed(__func__);

    (void)state;
    for (int round = 0; round < 30; round++) {
        static struct world world;
        unsigned n_names = 8;

        world_init(&world, primes[rand_r(&seed) % 4], rand_r(&seed) % 2 ? BALANCE_NEVER : 50);
        for (int change = 0; change < 25; change++) {
            struct balance_server before[MAX_NAMES];
            uint32_t held[MAX_NAMES] = {};
            size_t n_before = world.n, n_moved;

            if (change > 0 && rand_r(&seed) % 8 == 0 && world.n_rows * 4 <= MAX_ROWS)
                world_grow(&world, 2 + rand_r(&seed) % 3);
            for (uint32_t row = 0; change > 0 && row < world.n_rows; row++)
                held[owner_of(&world, row)]++;
            memcpy(before, world.servers, sizeof before);
            world.n = 0;
            for (size_t i = 0; i < n_before && world.n < MIN(7, world.n_rows); i++)
                if (rand_r(&seed) % 6)
                    *world_add(&world, number_of(before[i].id), 0) = (struct balance_server){
                        before[i].id, (uint16_t)(rand_r(&seed) % 3 ? before[i].weight : rand_r(&seed) % 40),
                        world.now_ms + (uint64_t)rand_r(&seed) % 100, NULL};
            while (world.n < MIN(8, world.n_rows) && rand_r(&seed) % 3)
                world_add(&world, n_names++ % MAX_NAMES, (uint16_t)(rand_r(&seed) % 40));
            if (world.n == 0)
                world_add(&world, n_names++ % MAX_NAMES, 1);
            world.servers[world.n - 1].weight++;
            world.now_ms += (uint64_t)rand_r(&seed) % 40;
            n_moved = world_set(&world);
            if (change > 0)
                assert_int_equal(n_moved, fewest_moves(&world, held));
            world.now_ms += (uint64_t)rand_r(&seed) % 40;
            balance_table_age(world.table, world.now_ms);
            if (world.now_ms >= balance_table_next_ms(world.table))
                fail_msg("a previous owner is overdue");
            assert_int_equal(world_check(&world), 0);
        }
        world_clear(&world);
    }
}

/* Each hash finds the row's owner and history that it found before; only what comes then moves rows. */
static void a_table_that_grows_breaks_no_flow(void **state)
{
    static struct world world;
    static struct balance_row before[61];
    const struct balance_row *rows;
    struct error error = {};
    uint32_t n;

    (void)state;
    world_init(&world, 61, BALANCE_NEVER);
    assert_int_equal(balance_table_grow(world.table, 16, &error), -EINVAL);
    assert_string_equal(error.message, "the table has no servers yet: make a larger one");
    for (unsigned i = 0; i < 7; i++) {
        world_add(&world, i, (uint16_t)(1 + i));
        world_set(&world);
    }
    memcpy(before, balance_table_rows(world.table, &n), sizeof before);
    world_grow(&world, 16);
    rows = balance_table_rows(world.table, &n);
    for (uint64_t hash = 0; hash < UINT64_C(1) << 32; hash += 9973)
        assert_memory_equal(&rows[hash * n >> 32], &before[hash * 61 >> 32], sizeof *rows);
    assert_true(world_set(&world) < 32); /* 61 rows were rounded: what is finer now is put right. */
    assert_int_equal(world_set(&world), 0);
    for (unsigned i = 7; i < 60; i++)
        world_add(&world, i, 20);
    world_set(&world);
    error = (struct error){};
    assert_int_equal(balance_table_grow(world.table, 1, NULL), -EINVAL);
    assert_int_equal(balance_table_grow(world.table, 1075, &error), -EINVAL);
    assert_string_equal(error.message, "'1075' times 976 rows is not from twice as many to 1048573");
    world_clear(&world);
}

static void refuse(struct balance_table *table, const struct balance_server *servers, size_t n, int code,
                   const char *field, const char *message)
{
    uint32_t n_rows;
    size_t size = 13 * sizeof(struct balance_row);
    struct balance_row before[13];
    uint64_t sequence = balance_table_delta(table)->sequence;
    struct error error = {};

    memcpy(before, balance_table_rows(table, &n_rows), size);
    assert_int_equal(balance_table_set(table, servers, n, 1, &error), code);
    assert_string_equal(error.field, field);
    assert_string_equal(error.message, message);
    assert_memory_equal(balance_table_rows(table, &n_rows), before, size);
    assert_int_equal(balance_table_delta(table)->sequence, sequence);
    assert_int_equal(balance_table_index(table, "new"), BALANCE_NOBODY);
}

static void bad_input_is_named_and_changes_nothing(void **state)
{
    static const uint32_t no_primes[] = {0, 1, 4, 65536, 65539 * 2, 1048574, 1048583, UINT32_MAX};
    static const char long_id[] = "0123456789012345678901234567890123456789012345678901234567890123";
    const struct balance_server good[] = {{.id = "a", .weight = 1}, {.id = "b", .weight = 2}}, many[14] = {};
    struct balance_table *table = NULL;
    struct error error;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(no_primes); i++) {
        error = (struct error){};
        assert_int_equal(balance_table_new(no_primes[i], 1, 0, &table, &error), -EINVAL);
        assert_string_equal(error.field, "rows");
        assert_null(table);
    }
    assert_string_equal(error.message, "'4294967295' is not a prime number from 2 to 1048573");
    assert_int_equal(balance_table_new(13, 1, 0, &table, NULL), 0);
    for (int full = 0; full < 2; full++) {
        refuse(table, NULL, 0, -EINVAL, "servers", "there is none");
        refuse(table, many, 14, -E2BIG, "servers", "14 are too many for 13 rows: at most 13");
        refuse(table, (struct balance_server[]){{.id = "new"}, {.id = "b"}}, 2, -EINVAL, "servers",
               "none of the 2 has a weight above 0");
        refuse(table, (struct balance_server[]){{.id = "new", .weight = 1}, {.id = "new"}}, 2, -EEXIST, "servers[1].id",
               "'new' is given twice");
        refuse(table, (struct balance_server[]){{.id = "new", .weight = 1}, {.id = ""}}, 2, -EINVAL, "servers[1].id",
               "'' is not an id of 1 to 63 bytes");
        refuse(table, (struct balance_server[]){{.weight = 1}}, 1, -EINVAL, "servers[0].id",
               "'' is not an id of 1 to 63 bytes");
        refuse(table, (struct balance_server[]){{.id = long_id, .weight = 1}}, 1, -EINVAL, "servers[0].id",
               "'012345678901234567890123456789012345678901234567890123456789012' is not an id of 1 to 63 bytes");
        refuse(table, (struct balance_server[]){{.id = "new", .weight = 1, .replaces = "other"}}, 1, -ENOENT,
               "servers[0].replaces", "there is no server 'other'");
        refuse(table, (struct balance_server[]){{.id = "new", .weight = 1, .replaces = "new"}}, 1, -ENOENT,
               "servers[0].replaces", "there is no server 'new'");
        if (!full)
            assert_int_equal(balance_table_set(table, good, 2, 1, NULL), 0);
    }
    refuse(table, (struct balance_server[]){{.id = "a", .weight = 3}, {.id = "new", .weight = 1, .replaces = "a"}}, 2,
           -EINVAL, "servers[1].replaces", "'a' keeps the weight 3");
    refuse(table,
           (struct balance_server[]){{.id = "new", .weight = 1, .replaces = "a"},
                                     {.id = "c", .weight = 1, .replaces = "a"}},
           2, -EEXIST, "servers[1].replaces", "'a' is replaced twice");
    balance_table_free(table);
    balance_table_free(NULL);
}

static void indices_run_out_and_are_free_again(void **state)
{
    size_t n = BALANCE_SERVERS_MAX;
    struct balance_server *servers = calloc(n, sizeof *servers), fresh = {.id = "fresh", .weight = 1};
    char(*ids)[8] = calloc(n, sizeof *ids);
    struct balance_table *table;
    struct error error = {};

    (void)state;
    for (size_t i = 0; i < n; i++) {
        snprintf(ids[i], sizeof ids[i], "%zu", i);
        servers[i] = (struct balance_server){.id = ids[i], .weight = 1};
    }
    assert_int_equal(balance_table_new(BALANCE_ROWS_DEFAULT, 1, 0, &table, NULL), 0);
    assert_int_equal(balance_table_set(table, servers, n, 0, NULL), 0);
    assert_int_equal(balance_table_set(table, &fresh, 1, 0, &error), -E2BIG);
    assert_string_equal(error.message,
                        "no index is free for 'fresh': servers that leave give theirs up after the change");
    assert_int_equal(balance_table_set(table, servers, n - 1, 0, NULL), 0);
    assert_int_equal(balance_table_set(table, &fresh, 1, 0, NULL), 0);
    assert_int_equal(balance_table_delta(table)->n_moved, BALANCE_ROWS_DEFAULT);
    balance_table_free(table);
    free(servers);
    free(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_comes_takes_its_share_and_nothing_else_moves),
        cmocka_unit_test(who_is_replaced_hands_over_exactly_its_rows),
        cmocka_unit_test(flows_survive_three_changes_of_any_size),
        cmocka_unit_test(a_rolling_replacement_of_all_breaks_no_flow),
        cmocka_unit_test(history_ends_at_its_time_or_the_deadline_of_who_drains),
        cmocka_unit_test(nobody_remembers_who_left),
        cmocka_unit_test(random_changes_move_the_fewest_rows),
        cmocka_unit_test(a_table_that_grows_breaks_no_flow),
        cmocka_unit_test(bad_input_is_named_and_changes_nothing),
        cmocka_unit_test(indices_run_out_and_are_free_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
