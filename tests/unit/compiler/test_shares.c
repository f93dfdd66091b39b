/* Dividing a table that is too small: random projects, each compared with a division that gives a row at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "projects.h"
#include "weft/base/util.h"
#include "weft/compiler/shares.h"

#define N_PROJECTS 6
#define N_OBJECTS 30

struct thing {
    struct object object;
    unsigned project;
    uint32_t n_rows;
    bool fits;
};

static void make_thing(struct thing *thing, unsigned project, unsigned age, uint32_t n_rows)
{
    *thing = (struct thing){.object = {.created_at_s = age}, .project = project, .n_rows = n_rows};
    snprintf(thing->object.id, sizeof(thing->object.id), "%08x", below(1u << 30));
    snprintf(thing->object.project_id, sizeof(thing->object.project_id), "p%u", project);
}

/* The order in which claims are made is random; some are made twice, the second time for something younger. */
static void divide(struct thing *things, size_t n, size_t room, struct desired *desired)
{
    struct object younger = {.created_at_s = 1000};
    struct claims claims = {0};
    size_t first = below((unsigned)n);

    for (size_t i = 0; i < n; i++) {
        struct thing *thing = &things[(first + i * 7) % n]; /* 7 and N_OBJECTS have no divisor in common. */

        for (unsigned k = 0; k < 1 + below(2); k++) {
            const struct object *object = k ? &younger : &thing->object;

            assert_int_equal(0, claims_add(&claims, (struct claim){thing->object.project_id, object, &thing->fits, thing->n_rows, 0}));
        }
    }
    desired_reset(desired);
    assert_int_equal(0, claims_divide(&claims, TABLE_RULES, room, &desired->shortages));
    assert_int_equal(0, rows_sort(&desired->shortages));
    claims_clear(&claims);
}

static const struct shortage *shortage_of(const struct desired *desired, unsigned project)
{
    struct shortage_key key = {.table = TABLE_RULES};

    snprintf(key.project_id, sizeof(key.project_id), "p%u", project);
    return rows_find(&desired->shortages, &key);
}

/* Of a project's things, the oldest first: each that still fits into its share; of the others some may fit into what shares leave. */
static void check_project(const struct thing *things, unsigned project, size_t wanted, size_t given, const struct desired *desired)
{
    const void *row = shortage_of(desired, project);
    size_t left, n_left_out = 0;
    struct shortage shortage;

    if (!row) {
        for (unsigned i = 0; i < N_OBJECTS; i++)
            assert_true(things[i].project != project || things[i].fits);
        return;
    }
    memcpy(&shortage, row, sizeof(shortage));
    assert_int_equal(wanted, shortage.n_wanted);
    assert_in_range(shortage.share, given > 0 ? given - 1 : 0, given + 1);
    assert_true(shortage.share < wanted);
    left = shortage.share;
    for (unsigned i = 0; i < N_OBJECTS; i++) { /* By age. */
        if (things[i].project != project)
            continue;
        if (things[i].n_rows <= left) {
            assert_true(things[i].fits);
            left -= things[i].n_rows;
        }
        n_left_out += !things[i].fits;
    }
    assert_int_equal(n_left_out, shortage.n_left_out);
}

static void shares_are_those_of_a_division_row_by_row(void **state)
{
    struct thing things[N_OBJECTS];
    struct desired desired;

    desired_init(&desired);
    for (unsigned round = 0; round < 2000; round++) {
        size_t wanted[N_PROJECTS] = {0}, given[N_PROJECTS], placed = 0, room = below(200);

        for (unsigned i = 0; i < N_OBJECTS; i++) {
            make_thing(&things[i], below(below(N_PROJECTS) + 1), i, 1 + below(i % 5 ? 4 : 12)); /* Some projects have many. */
            wanted[things[i].project] += things[i].n_rows;
        }
        give_one_by_one(wanted, N_PROJECTS, room, given);
        divide(things, N_OBJECTS, room, &desired);
        for (unsigned p = 0; p < N_PROJECTS; p++)
            check_project(things, p, wanted[p], given[p], &desired);
        for (unsigned i = 0; i < N_OBJECTS; i++)
            placed += things[i].fits ? things[i].n_rows : 0;
        assert_true(placed <= room);
        for (unsigned i = 0; i < N_OBJECTS; i++)
            assert_true(things[i].fits || things[i].n_rows > room - placed);
    }
    desired_clear(&desired);
}

/* However much one wants, and although it was there first. */
static void who_wants_its_part_gets_it(void **state)
{
    struct thing things[N_OBJECTS];
    struct desired desired;

    desired_init(&desired);
    for (unsigned i = 0; i < N_OBJECTS - 2; i++)
        make_thing(&things[i], 0, i, 1000000);
    make_thing(&things[N_OBJECTS - 2], 0, 10, 20);
    make_thing(&things[N_OBJECTS - 1], 1, 500, 50);
    divide(things, N_OBJECTS, 100, &desired);
    assert_true(things[N_OBJECTS - 1].fits);
    assert_true(things[N_OBJECTS - 2].fits); /* What is too large for the share is no obstacle to what is not. */
    for (unsigned i = 0; i < N_OBJECTS - 2; i++)
        assert_false(things[i].fits);
    assert_int_equal(1, desired.shortages.n);
    desired_clear(&desired);
}

/* A set that ports of two projects have is there if it fits for one of them. */
static void what_two_claim_is_each_ones(void **state)
{
    struct object object[3] = {{.id = "a"}, {.id = "b"}, {.id = "c"}};
    bool common = false, large = false;
    struct claims claims = {0};
    struct desired desired;

    desired_init(&desired);
    assert_int_equal(0, claims_add(&claims, (struct claim){"loud", &object[0], &large, 9, 0}));
    assert_int_equal(0, claims_add(&claims, (struct claim){"loud", &object[1], &common, 3, 0}));
    assert_int_equal(0, claims_add(&claims, (struct claim){"quiet", &object[2], &common, 3, 0}));
    assert_int_equal(0, claims_divide(&claims, TABLE_RULES, 12, &desired.shortages)); /* 'loud' has 9, all for what is first. */
    assert_true(large);
    assert_true(common);
    claims_clear(&claims);
    desired_clear(&desired);
}

/* Each wants one thing that is larger than its share: as many are there as fit. */
static void no_room_is_left_where_something_fits(void **state)
{
    struct thing things[N_PROJECTS];
    unsigned n_there = 0;
    struct desired desired;

    desired_init(&desired);
    for (unsigned i = 0; i < N_PROJECTS; i++)
        make_thing(&things[i], i, i, 30);
    divide(things, N_PROJECTS, 100, &desired);
    for (unsigned i = 0; i < N_PROJECTS; i++)
        n_there += things[i].fits;
    assert_int_equal(3, n_there);
    assert_int_equal(N_PROJECTS - 3, desired.shortages.n);
    desired_clear(&desired);
}

/* It is there once, so it is no obstacle that it is larger than any share, and that one of them wants all. */
static void what_all_have_is_there_although_it_is_large(void **state)
{
    struct object large = {.id = "large"}, objects[N_PROJECTS] = {{.id = "a"}, {.id = "b"}, {.id = "c"}, {.id = "d"}, {.id = "e"}, {.id = "f"}};
    static const char *const names[N_PROJECTS] = {"pa", "pb", "pc", "pd", "pe", "pf"};
    bool common = false, greedy = false;
    struct claims claims = {0};
    struct desired desired;

    desired_init(&desired);
    for (unsigned i = 0; i < N_PROJECTS; i++)
        assert_int_equal(0, claims_add(&claims, (struct claim){names[i], &objects[i], &common, 40, 0}));
    assert_int_equal(0, claims_add(&claims, (struct claim){"loud", &large, &greedy, 90, 0}));
    assert_int_equal(0, claims_divide(&claims, TABLE_RULES, 100, &desired.shortages));
    assert_true(common);
    assert_false(greedy);
    assert_int_equal(1, desired.shortages.n);
    claims_clear(&claims);
    desired_clear(&desired);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_those_of_a_division_row_by_row),
        cmocka_unit_test(who_wants_its_part_gets_it),
        cmocka_unit_test(what_two_claim_is_each_ones),
        cmocka_unit_test(no_room_is_left_where_something_fits),
        cmocka_unit_test(what_all_have_is_there_although_it_is_large),
    };

    random_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
