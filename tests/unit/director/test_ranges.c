/* Which stretches of an array are free, against an array that says it of each place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "weft/director/ranges.h"

#define N 200

static void nothing_is_free_in_nothing(void **state)
{
    struct ranges none = {0}, empty;

    assert_int_equal(RANGE_NONE, ranges_take(&none, 1));
    assert_int_equal(0, ranges_init(&empty, 0));
    assert_int_equal(RANGE_NONE, ranges_take(&empty, 1));
    ranges_clear(&empty);
}

static void what_was_given_back_is_one_again(void **state)
{
    struct ranges ranges;

    assert_int_equal(0, ranges_init(&ranges, 30));
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(i * 10, ranges_take(&ranges, 10));
    assert_int_equal(RANGE_NONE, ranges_take(&ranges, 1));
    ranges_give(&ranges, 0, 10);
    ranges_give(&ranges, 20, 10);
    assert_int_equal(RANGE_NONE, ranges_take(&ranges, 11));
    ranges_give(&ranges, 10, 10);
    assert_int_equal(0, ranges_take(&ranges, 30));
    ranges_clear(&ranges);
}

static void as_an_array_would(void **state)
{
    unsigned seed = (unsigned)time(NULL);
    struct ranges ranges;
    struct range taken[N];
    unsigned char used[N] = {0};
    size_t n_taken = 0;

    print_message("seed %u\n", seed);
    srand(seed);
    assert_int_equal(0, ranges_init(&ranges, N));
    for (int i = 0; i < 20000; i++) {
        if (rand() & 1 && n_taken) {
            size_t which = (size_t)rand() % n_taken;
            struct range range = taken[which];

            ranges_give(&ranges, range.first, range.n);
            for (uint32_t at = range.first; at < range.first + range.n; at++)
                used[at] = 0;
            taken[which] = taken[--n_taken];
        } else if (rand() % 4 == 0) {
            uint32_t first = (uint32_t)rand() % N, n = 1 + (uint32_t)rand() % 12;
            bool is_free = first + n <= N;

            for (uint32_t at = first; at < first + n && is_free; at++)
                is_free = !used[at];
            assert_int_equal(is_free, ranges_take_at(&ranges, first, n));
            for (uint32_t at = first; at < first + n && is_free; at++)
                used[at] = 1;
            if (is_free)
                taken[n_taken++] = (struct range){first, n};
        } else {
            uint32_t n = 1 + (uint32_t)rand() % 12, free = 0, expected = RANGE_NONE, first = ranges_take(&ranges, n);

            for (uint32_t at = 0; at < N && expected == RANGE_NONE; at++) {
                free = used[at] ? 0 : free + 1;
                if (free == n)
                    expected = at + 1 - n;
            }
            assert_int_equal(expected, first);
            if (first == RANGE_NONE)
                continue;
            for (uint32_t at = first; at < first + n; at++)
                used[at] = 1;
            taken[n_taken++] = (struct range){first, n};
        }
    }
    ranges_clear(&ranges);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_free_in_nothing),
        cmocka_unit_test(what_was_given_back_is_one_again),
        cmocka_unit_test(as_an_array_would),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
