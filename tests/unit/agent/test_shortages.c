/* What the report says of what finds no room: all of it, once, and again when it may not have been heard. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "weft/agent/shortages.h"

#define N_OBJECTS 3

static struct agent agent;
static int n_left; /* How often there is memory; -1: always. */

static void *scarce(size_t size)
{
    if (n_left == 0)
        return NULL;
    n_left -= n_left > 0;
    return malloc(size);
}

static int begin(void **state)
{
    static const char *const ids[N_OBJECTS] = {"00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b",
                                               "00000000-0000-4000-8000-00000000000c"};

    agent = (struct agent){0};
    n_left = -1;
    rows_init(&agent.desired.left_out, sizeof(struct left_out_key), sizeof(uint32_t));
    rows_init(&agent.left_out_reported, sizeof(struct left_out_key), sizeof(uint32_t));
    for (size_t i = 0; i < N_OBJECTS; i++)
        assert_int_equal(left_out_add(&agent.desired.left_out, ids[i], TABLE_ROUTES), 0);
    return rows_sort(&agent.desired.left_out);
}

static int end(void **state)
{
    n_left = -1;
    rows_clear(&agent.desired.left_out);
    rows_clear(&agent.left_out_reported);
    return 0;
}

static bool says_all(bool all)
{
    json_t *ids = shortages_report(&agent, all);
    size_t n = json_array_size(ids);

    json_decref(ids);
    return ids && n == N_OBJECTS;
}

static void it_is_said_once(void **state)
{
    assert_true(says_all(false));
    assert_null(shortages_report(&agent, false));
    assert_true(says_all(true));
    assert_null(shortages_report(&agent, false));
    shortages_report_lost(&agent);
    assert_true(says_all(false));
    assert_null(shortages_report(&agent, false));
}

/* Wherever memory ends, in no report is a part of it, and the next one has it all. */
static void without_memory_it_is_said_later(void **state)
{
    bool is_said = false;

    for (int n = 0; !is_said; n++) {
        shortages_report_lost(&agent);
        n_left = n;
        is_said = says_all(false);
        n_left = -1;
        if (!is_said)
            assert_true(says_all(false));
        assert_null(shortages_report(&agent, false));
        assert_true(n < 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_is_said_once, begin, end),
        cmocka_unit_test_setup_teardown(without_memory_it_is_said_later, begin, end),
    };

    json_set_alloc_funcs(scarce, free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
