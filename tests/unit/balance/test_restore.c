/* A table that is restored goes on as the one that it is a copy of; and what cannot have been a table is refused. */
#include <errno.h>

#include "world.h"
#include "weft/balance/bytes.h"

#define N_ROWS 251

static struct world world;

/* The servers of the table as a writer would have stored them. */
static size_t stored_servers(struct balance_restored_server *servers)
{
    size_t n = 0;

    for (size_t i = 0; i < world.n; i++) {
        const struct balance_server *server = &world.servers[i];

        servers[n++] = (struct balance_restored_server){server->id, balance_table_index(world.table, server->id), server->weight ? 1 : 0,
                                                        server->drain_until_ms};
    }
    return n;
}

/* Through bytes, as from the store. */
static struct balance_table *restored(void)
{
    static struct balance_restored_server servers[MAX_NAMES];
    struct balance_row rows[N_ROWS];
    uint8_t bytes[N_ROWS * BALANCE_ROW_BYTES];
    struct balance_table *table;
    struct error error = {};
    uint32_t n;

    balance_rows_to_bytes(balance_table_rows(world.table, &n), N_ROWS, bytes);
    balance_rows_from_bytes(bytes, N_ROWS, rows);
    assert_memory_equal(rows, balance_table_rows(world.table, &n), sizeof rows);
    if (balance_table_restore(rows, N_ROWS, 7, balance_table_delta(world.table)->sequence, world.history_ms, servers, stored_servers(servers),
                              world.now_ms, &table, &error) < 0)
        fail_msg("%s: %s", error.field, error.message);
    return table;
}

static void assert_same(const struct balance_table *table)
{
    uint32_t n;

    assert_memory_equal(balance_table_rows(table, &n), balance_table_rows(world.table, &n), N_ROWS * sizeof(struct balance_row));
    assert_int_equal(balance_table_delta(table)->sequence, balance_table_delta(world.table)->sequence);
    for (size_t i = 0; i < world.n; i++)
        assert_int_equal(balance_table_index(table, world.servers[i].id), balance_table_index(world.table, world.servers[i].id));
}

static void change_some_servers(unsigned *seed)
{
    for (unsigned i = 0, n = 1 + (unsigned)rand_r(seed) % 4; i < n; i++) {
        size_t at = world.n ? (size_t)rand_r(seed) % world.n : 0;

        switch (rand_r(seed) % 4) {
        case 0: {
            unsigned number = (unsigned)rand_r(seed) % MAX_NAMES;

            if (world.n < 100 && !world_server(&world, (int)number))
                world_add(&world, number, (uint16_t)(1 + rand_r(seed) % 20));
            break;
        }
        case 1:
            if (world.n > 2)
                world.servers[at] = world.servers[--world.n];
            break;
        default:
            if (at > 0) { /* The first always has a weight. */
                world.servers[at].weight = (uint16_t)(rand_r(seed) % 10);
                world.servers[at].drain_until_ms = rand_r(seed) % 2 ? BALANCE_NEVER : world.now_ms + (uint64_t)(rand_r(seed) % 5000);
            }
        }
    }
    if (world.n && world.servers[0].weight == 0)
        world.servers[0].weight = 1;
}

static void a_restored_table_goes_on_as_the_first_would(void **state)
{
    unsigned seed = test_seed("a_restored_table_goes_on_as_the_first_would");

    (void)state;
    world_init(&world, N_ROWS, BALANCE_NEVER);
    world_add(&world, 0, 3);
    for (unsigned step = 0; step < 400; step++) {
        struct balance_table *table;

        table = step ? restored() : NULL;
        change_some_servers(&seed);
        if (table) {
            assert_int_equal(balance_table_set(table, world.servers, world.n, world.now_ms, NULL), 0);
            world_set(&world);
            assert_same(table);
            balance_table_age(table, world.now_ms + 100000);
            balance_table_free(table);
        } else {
            world_set(&world);
        }
        world.now_ms += (uint64_t)(rand_r(&seed) % 300);
    }
    world_clear(&world);
}

static void an_empty_table_is_restored(void **state)
{
    struct balance_table *table;

    (void)state;
    world_init(&world, N_ROWS, BALANCE_NEVER);
    table = restored();
    world_add(&world, 1, 1);
    world_add(&world, 2, 5);
    assert_int_equal(balance_table_set(table, world.servers, world.n, 0, NULL), 0);
    world_set(&world);
    assert_same(table);
    balance_table_free(table);
    world_clear(&world);
}

static void history_is_over_later_than_it_was(void **state)
{
    struct balance_table *table;
    uint32_t n;

    (void)state;
    world_init(&world, N_ROWS, 1000);
    world_add(&world, 1, 1);
    world_set(&world);
    world_add(&world, 2, 1);
    world_set(&world);
    world.now_ms = 600;
    table = restored();
    balance_table_age(table, 1599);
    assert_memory_equal(balance_table_rows(table, &n), balance_table_rows(world.table, &n), N_ROWS * sizeof(struct balance_row));
    assert_int_equal(balance_table_next_ms(table), 1600);
    balance_table_age(table, 1600);
    for (uint32_t row = 0; row < N_ROWS; row++)
        assert_int_equal(balance_table_rows(table, &n)[row].previous[0], BALANCE_NOBODY);
    balance_table_free(table);
    world_clear(&world);
}

static void what_was_no_table_is_refused(void **state)
{
    static const struct {
        struct balance_row rows[2];
        struct balance_restored_server servers[2];
        uint32_t n_rows;
        const char *field;
    } cases[] = {
        {{{0, {1, -1, -1}}, {1, {0, -1, -1}}}, {{"a", 0, 1, 0}, {"b", 1, 1, 0}}, 2, NULL},
        {{{0, {1, -1, -1}}, {1, {0, -1, -1}}}, {{"a", 0, 1, 0}, {"b", 1, 1, 0}}, 1, "rows"}, /* One that grew may be of any other number. */
        {{{0, {1, -1, -1}}, {2, {0, -1, -1}}}, {{"a", 0, 1, 0}, {"b", 1, 1, 0}}, 2, "rows[1]"},
        {{{-1, {-1, -1, -1}}, {1, {0, -1, -1}}}, {{"a", 0, 1, 0}, {"b", 1, 1, 0}}, 2, "rows[1]"},
        {{{0, {1, -1, -1}}, {-1, {-1, -1, -1}}}, {{"a", 0, 1, 0}, {"b", 1, 1, 0}}, 2, "rows[1]"},
        {{{0, {0, -1, -1}}, {1, {0, -1, -1}}}, {{"a", 0, 1, 0}, {"b", 1, 1, 0}}, 2, "rows[0]"},
        {{{0, {1, 1, -1}}, {1, {0, -1, -1}}}, {{"a", 0, 1, 0}, {"b", 1, 1, 0}}, 2, "rows[0]"},
        {{{0, {-1, 1, -1}}, {1, {0, -1, -1}}}, {{"a", 0, 1, 0}, {"b", 1, 1, 0}}, 2, "rows[0]"},
        {{{0, {1, -1, -1}}, {1, {0, -1, -1}}}, {{"a", 0, 1, 0}, {"a", 1, 1, 0}}, 2, "servers[1].id"},
        {{{0, {1, -1, -1}}, {1, {0, -1, -1}}}, {{"a", 0, 1, 0}, {"", 1, 1, 0}}, 2, "servers[1].id"},
        {{{0, {1, -1, -1}}, {1, {0, -1, -1}}}, {{"a", 0, 1, 0}, {"b", 0, 1, 0}}, 2, "servers[1].index"},
        {{{0, {1, -1, -1}}, {1, {0, -1, -1}}}, {{"a", 0, 1, 0}, {"b", 2, 1, 0}}, 2, "servers[1].index"},
        {{{0, {1, -1, -1}}, {1, {0, -1, -1}}}, {{"a", 0, 1, 0}, {"b", -1, 1, 0}}, 2, "servers[1].index"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct balance_table *table = NULL;
        struct error error = {};
        int r = balance_table_restore(cases[i].rows, cases[i].n_rows, 1, 1, BALANCE_NEVER, cases[i].servers, 2, 0, &table, &error);

        assert_int_equal(r, cases[i].field ? -EINVAL : 0);
        assert_string_equal(error.field, cases[i].field ? cases[i].field : "");
        balance_table_free(table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restored_table_goes_on_as_the_first_would),
        cmocka_unit_test(an_empty_table_is_restored),
        cmocka_unit_test(history_is_over_later_than_it_was),
        cmocka_unit_test(what_was_no_table_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
