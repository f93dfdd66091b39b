/* The set of runs against a bitmap, at random; and its speed's shape: few runs for a space that fills in order. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "weft/model/range-set.h"

#define SPACE 300

static void agrees_with_a_bitmap_at_random(void **state)
{
    unsigned seed = time(NULL);
    /* Also where numbers end. */
    const uint128_t bases[] = {0, (uint128_t)0xffff0a000000u, ~(uint128_t)0 - (SPACE - 1)};

    print_message("seed %u\n", seed);
    srandom(seed);
    for (size_t b = 0; b < 3; b++) {
        struct range_set set = {0};
        bool taken[SPACE] = {0};
        size_t n = 0, n_runs;

        for (int step = 0; step < 60000; step++) {
            int i = random() % SPACE, j = i + random() % (SPACE - i), expected = -1;
            uint128_t found = 0;
            int r;

            switch (random() % 4) {
            case 0:
                r = range_set_add(&set, bases[b] + i);
                assert_int_equal(taken[i] ? -EEXIST : 0, r);
                n += !taken[i];
                taken[i] = true;
                break;
            case 1:
                r = range_set_remove(&set, bases[b] + i);
                assert_int_equal(taken[i] ? 0 : -ENOENT, r);
                n -= taken[i];
                taken[i] = false;
                break;
            case 2:
                assert_int_equal(taken[i], range_set_contains(&set, bases[b] + i));
                break;
            default:
                for (int k = i; k <= j && expected < 0; k++)
                    if (!taken[k])
                        expected = k;
                r = range_set_next_missing(&set, bases[b] + i, bases[b] + j, &found);
                assert_int_equal(expected < 0 ? -ENOENT : 0, r);
                if (r == 0)
                    assert_true(found == bases[b] + expected);
            }
            assert_true(set.n_values == n);
        }
        n_runs = 0;
        for (int i = 0; i < SPACE; i++)
            n_runs += taken[i] && (i == 0 || !taken[i - 1]);
        assert_int_equal(n_runs, set.n_runs);
        range_set_clear(&set);
    }
}

static void space_filled_in_order_is_one_run(void **state)
{
    struct range_set set = {0};
    uint128_t next = 0, first = (uint128_t)0x20010db8 << 96;

    for (int i = 0; i < 100000; i++) {
        assert_int_equal(0, range_set_next_missing(&set, first, ~(uint128_t)0, &next));
        assert_true(next == first + i);
        assert_int_equal(0, range_set_add(&set, next));
    }
    assert_int_equal(1, set.n_runs);
    range_set_clear(&set);
}

static void addresses_become_numbers_and_back(void **state)
{
    struct ip_address address, back;
    char text[IP_TEXT_SIZE];

    ip_parse("10.0.0.255", &address);
    back = ip_from_number(ip_to_number(&address) + 1);
    assert_string_equal("10.0.1.0", ip_format(&back, text));
    ip_parse("2001:db8::ffff:ffff:ffff:ffff", &address);
    back = ip_from_number(ip_to_number(&address) + 1);
    assert_string_equal("2001:db8:0:1::", ip_format(&back, text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_bitmap_at_random),
        cmocka_unit_test(space_filled_in_order_is_one_run),
        cmocka_unit_test(addresses_become_numbers_and_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
