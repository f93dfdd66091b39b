/* The schedule against an array that is searched from end to end. */
#include "test.h"

#include "weft/base/util.h"
#include "weft/health/schedule.h"

#define ENTRIES 300
#define GROUPS 7

struct item {
    struct schedule_entry entry;
    bool is_there, is_running;
    uint64_t due_ms, group;
};

struct world {
    struct schedule schedule;
    struct item items[ENTRIES];
    uint32_t at_once, n_running, running_of[GROUPS];
    uint64_t now;
};

static bool naive_may_run(const struct world *world, uint64_t group)
{
    uint32_t n_free = world->at_once - world->n_running;

    return n_free > 0 && (world->running_of[group] == 0 || world->running_of[group] < n_free);
}

static bool naive_anybody(const struct world *world)
{
    for (size_t i = 0; i < ENTRIES; i++)
        if (world->items[i].is_there && !world->items[i].is_running && world->items[i].due_ms <= world->now && naive_may_run(world, world->items[i].group))
            return true;
    return false;
}

static void take_all(struct world *world)
{
    for (;;) {
        bool expected = naive_anybody(world);
        struct schedule_entry *entry = schedule_take(&world->schedule, world->now);
        struct item *item;

        assert_int_equal(entry != NULL, expected);
        if (!entry)
            return;
        item = CONTAINER_OF(entry, struct item, entry);
        assert_true(item->is_there && !item->is_running);
        assert_true(item->due_ms <= world->now);
        assert_true(naive_may_run(world, item->group));
        item->is_running = true;
        world->n_running++;
        world->running_of[item->group]++;
        assert_true(world->n_running <= world->at_once);
    }
}

static void check_next(const struct world *world)
{
    uint64_t next = SCHEDULE_NEVER;
    uint32_t n_queued = 0;

    for (size_t i = 0; i < ENTRIES; i++) {
        const struct item *item = &world->items[i];

        if (!item->is_there || item->is_running)
            continue;
        if (item->due_ms <= world->now)
            n_queued++;
        else
            next = MIN(next, item->due_ms);
    }
    assert_int_equal(schedule_next_ms(&world->schedule), next);
    assert_int_equal(world->schedule.n_queued, n_queued);
}

static void leave(struct world *world, struct item *item)
{
    if (item->is_running) {
        world->n_running--;
        world->running_of[item->group]--;
    }
    item->is_running = false;
}

static void random_steps_agree_with_a_search(void **state)
{
    unsigned seed = test_seed("schedule");

    for (int round = 0; round < 10; round++) {
        struct world *world = calloc(1, sizeof(*world));

        assert_non_null(world);
        world->at_once = 1 + test_random(&seed) % 40;
        schedule_init(&world->schedule, world->at_once);
        for (int step = 0; step < 2000; step++) {
            struct item *item = &world->items[test_random(&seed) % ENTRIES];

            if (!item->is_there) {
                item->is_there = true;
                item->group = test_random(&seed) % GROUPS;
                item->due_ms = world->now + 1 + test_random(&seed) % 500;
                assert_int_equal(schedule_add(&world->schedule, &item->entry, item->group, item->due_ms), 0);
            } else if (test_random(&seed) % 4 == 0) {
                leave(world, item);
                item->is_there = false;
                schedule_remove(&world->schedule, &item->entry);
            } else if (item->is_running) {
                leave(world, item);
                item->due_ms = world->now + 1 + test_random(&seed) % 500;
                schedule_return(&world->schedule, &item->entry, item->due_ms);
            }
            world->now += test_random(&seed) % 8;
            take_all(world);
            check_next(world);
        }
        for (size_t i = 0; i < ENTRIES; i++)
            if (world->items[i].is_there)
                schedule_remove(&world->schedule, &world->items[i].entry);
        assert_int_equal(world->schedule.groups.n_nodes, 0);
        schedule_clear(&world->schedule);
        free(world);
    }
}

/* One project has a thousand dead servers, whose probes end at their timeout only. */
static void one_group_never_takes_all_places(void **state)
{
    static struct schedule_entry hog[1000], other[3];
    struct schedule schedule;
    uint32_t n_hog = 0;

    schedule_init(&schedule, 64);
    for (size_t i = 0; i < ARRAY_SIZE(hog); i++)
        assert_int_equal(schedule_add(&schedule, &hog[i], 1, 0), 0);
    while (schedule_take(&schedule, 10))
        n_hog++;
    assert_int_equal(n_hog, 32);
    for (size_t i = 0; i < ARRAY_SIZE(other); i++)
        assert_int_equal(schedule_add(&schedule, &other[i], 2, 11 + i), 0);
    for (size_t i = 0; i < ARRAY_SIZE(other); i++)
        assert_ptr_equal(schedule_take(&schedule, 20), &other[i]); /* At once, and in order. */
    assert_null(schedule_take(&schedule, 20));
    for (size_t i = 0; i < ARRAY_SIZE(hog); i++)
        schedule_remove(&schedule, &hog[i]);
    for (size_t i = 0; i < ARRAY_SIZE(other); i++)
        schedule_remove(&schedule, &other[i]);
    assert_int_equal(schedule.n_running, 0);
    schedule_clear(&schedule);
}

/* With one place, groups of very different sizes are served in turn. */
static void groups_take_turns(void **state)
{
    static struct schedule_entry entries[3][50];
    const size_t sizes[3] = {50, 50, 5};
    struct schedule schedule;
    size_t served[3] = {0};

    schedule_init(&schedule, 1);
    for (size_t group = 0; group < 3; group++)
        for (size_t i = 0; i < sizes[group]; i++)
            assert_int_equal(schedule_add(&schedule, &entries[group][i], group, i), 0);
    for (size_t turn = 0; turn < 15; turn++) {
        struct schedule_entry *entry = schedule_take(&schedule, 1000);
        size_t group = (size_t)(entry - entries[0]) / 50;

        assert_non_null(entry);
        served[group]++;
        schedule_return(&schedule, entry, 5000);
        assert_true(served[0] <= turn / 3 + 1 && served[1] <= turn / 3 + 1 && served[2] <= turn / 3 + 1);
    }
    assert_int_equal(served[2], 5);
    for (size_t group = 0; group < 3; group++)
        for (size_t i = 0; i < sizes[group]; i++)
            schedule_remove(&schedule, &entries[group][i]);
    schedule_clear(&schedule);
}

/* One project is due all the time, another one now and then: no more start than may, and the small one does not wait behind the large one. */
static void a_pace_bounds_all_groups_alike(void **state)
{
    static struct schedule_entry hog[1000], other;
    struct schedule schedule;
    uint32_t n_hog = 0, n_other = 0;

    schedule_init(&schedule, 1024);
    schedule_set_pace(&schedule, 500);
    for (size_t i = 0; i < ARRAY_SIZE(hog); i++)
        assert_int_equal(schedule_add(&schedule, &hog[i], 1, 1000), 0);
    assert_int_equal(schedule_add(&schedule, &other, 2, 1000), 0);
    for (uint64_t now = 1000; now < 3000;) {
        struct schedule_entry *entry;

        while ((entry = schedule_take(&schedule, now))) {
            assert_true(entry != &other || now <= entry->due_ms + 4); /* Its turn is the next but one, every 2 ms. */
            n_hog += entry != &other;
            n_other += entry == &other;
            schedule_return(&schedule, entry, now + (entry == &other ? 100 : 1));
        }
        uint64_t next = schedule_next_ms(&schedule);
        assert_true(next > now);
        now = MIN(next, now + 2);
    }
    assert_in_range(n_hog + n_other, 1000, 1052); /* 500 a second, and a tenth of a second's at once. */
    assert_in_range(n_other, 19, 20);
    schedule_remove(&schedule, &other);
    for (size_t i = 0; i < ARRAY_SIZE(hog); i++)
        schedule_remove(&schedule, &hog[i]);
    schedule_clear(&schedule);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_steps_agree_with_a_search),
        cmocka_unit_test(one_group_never_takes_all_places),
        cmocka_unit_test(groups_take_turns),
        cmocka_unit_test(a_pace_bounds_all_groups_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
