/* Sorted rows against a deliberately naive list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "weft/base/rows.h"

#define N 300

struct naive {
    uint8_t present[256];
    uint32_t value[256];
};

static void fill(struct rows *rows, struct naive *naive, unsigned n)
{
    rows_init(rows, 1, 4);
    memset(naive, 0, sizeof(*naive));
    for (unsigned i = 0; i < n; i++) {
        uint8_t key = (uint8_t)rand();
        uint32_t value = (uint32_t)rand() % 3;

        assert_int_equal(0, rows_add(rows, &key, &value));
        if (!naive->present[key]) {
            naive->present[key] = 1;
            naive->value[key] = value;
        }
    }
    assert_int_equal(0, rows_sort(rows));
}

/* Keys of several bytes, of which some are the same in all, few rows and many: as qsort of them, with the first of equals. */
static void rows_of_any_number_are_in_the_order_of_their_keys(void **state)
{
    static const uint32_t sizes[] = {1, 2, 127, 128, 129, 1000, 5000};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        for (uint32_t varying = 1; varying < 64; varying = varying * 2 + 1) {
            struct rows rows;
            uint8_t *first = calloc(1, 1 << 12); /* By the key's varying bits: where the first row with it was, plus one. */

            rows_init(&rows, 6, 4);
            for (uint32_t n = 0; n < sizes[i]; n++) {
                uint8_t a = (uint8_t)((uint32_t)rand() & varying), b = (uint8_t)((uint32_t)rand() & 63);
                uint8_t key[6] = {7, a, 7, 7, b, 9};

                assert_int_equal(0, rows_add(&rows, key, &n));
                if (!first[a << 6 | b])
                    first[a << 6 | b] = (uint8_t)(n % 251 + 1);
            }
            assert_int_equal(0, rows_sort(&rows));
            for (size_t n = 0; n < rows.n; n++) {
                const uint8_t *key = rows_key(&rows, n);
                uint32_t value;

                memcpy(&value, rows_value(&rows, n), sizeof(value));
                assert_int_equal(first[key[1] << 6 | key[4]], value % 251 + 1);
                assert_true(n == 0 || memcmp(rows_key(&rows, n - 1), key, 6) < 0);
                first[key[1] << 6 | key[4]] = 0;
            }
            for (size_t k = 0; k < 1 << 12; k++)
                assert_int_equal(0, first[k]); /* None is missing. */
            free(first);
            rows_clear(&rows);
        }
}

static void sorted_rows_find_what_was_added_first(void **state)
{
    for (unsigned round = 0; round < 200; round++) {
        struct rows rows;
        struct naive naive;
        size_t n = 0;

        fill(&rows, &naive, (unsigned)rand() % N);
        for (unsigned key = 0; key < 256; key++) {
            uint8_t byte = (uint8_t)key;
            const void *found = rows_find(&rows, &byte);

            assert_int_equal(naive.present[key], found != NULL);
            if (found)
                assert_memory_equal(found, &naive.value[key], 4);
            n += naive.present[key];
        }
        assert_int_equal(n, rows.n);
        for (size_t i = 1; i < rows.n; i++)
            assert_true(*rows_key(&rows, i - 1) < *rows_key(&rows, i));
        rows_clear(&rows);
    }
}

struct visits {
    struct naive *before, *after;
    unsigned n;
};

static int check_visit(const void *key, const void *old_value, const void *new_value, void *context)
{
    struct visits *visits = context;
    uint8_t k = *(const uint8_t *)key;

    assert_int_equal(visits->before->present[k], old_value != NULL);
    assert_int_equal(visits->after->present[k], new_value != NULL);
    if (old_value && new_value)
        assert_memory_not_equal(old_value, new_value, 4);
    visits->n++;
    return 0;
}

static void comparing_visits_exactly_the_differences(void **state)
{
    for (unsigned round = 0; round < 200; round++) {
        struct rows before, after;
        struct naive a, b;
        struct visits visits = {&a, &b, 0};
        unsigned expected = 0;

        fill(&before, &a, (unsigned)rand() % N);
        fill(&after, &b, (unsigned)rand() % N);
        for (unsigned key = 0; key < 256; key++)
            expected += a.present[key] != b.present[key] || (a.present[key] && a.value[key] != b.value[key]);
        assert_int_equal(0, rows_compare(&before, &after, check_visit, &visits));
        assert_int_equal(expected, visits.n);
        rows_clear(&before);
        rows_clear(&after);
    }
}

#define MANY 4000

static uint32_t below(uint32_t n)
{
    return (uint32_t)rand() % n;
}

/* What the list is at one time: some keys become others, some come or go in one place, now and then it is another list, or has a key twice. */
static uint32_t change_list(uint64_t list[MANY], uint32_t n)
{
    uint32_t n_changed = below(8) == 0 ? below(200) : below(5), place = below(n), moved = below(8) == 0 ? below(150) : below(4);

    for (uint32_t i = 0; i < n_changed; i++)
        list[below(n)] = (uint64_t)rand() << 20 ^ (uint64_t)rand();
    if (below(3) == 0 && n + moved <= MANY) {
        memmove(list + place + moved, list + place, (n - place) * sizeof(*list));
        for (uint32_t i = 0; i < moved; i++)
            list[place + i] = (uint64_t)rand() << 20 ^ (uint64_t)rand();
        n += moved;
    } else if (below(3) == 0 && place + moved < n && n - moved > 200) {
        memmove(list + place, list + place + moved, (n - place - moved) * sizeof(*list));
        n -= moved;
    }
    if (below(10) == 0)
        list[below(n)] = list[below(n)];
    return n;
}

static void remembered_rows_are_sorted_as_any(void **state)
{
    static uint64_t list[MANY];
    uint32_t n = 1000;
    struct rows remembered, any;

    rows_init(&remembered, 8, 12);
    assert_int_equal(0, rows_remember(&remembered));
    for (uint32_t i = 0; i < n; i++)
        list[i] = (uint64_t)rand() << 20 ^ (uint64_t)rand();
    for (uint32_t round = 0; round < 2000; round++) {
        uint8_t value[12] = {0};

        n = change_list(list, n);
        rows_reset(&remembered);
        rows_init(&any, 8, 12);
        for (uint32_t i = 0; i < n; i++) {
            memcpy(value, &i, sizeof(i));
            memcpy(value + 4, &round, sizeof(round));
            assert_int_equal(0, rows_add(&any, &list[i], value));
            assert_int_equal(0, i % 2 ? rows_add(&remembered, &list[i], value) : rows_add_sized(&remembered, &list[i], 8, value, 12));
        }
        assert_int_equal(0, rows_sort(&any));
        assert_int_equal(0, rows_sort(&remembered));
        if (round % 5 == 0) { /* What is done to them afterwards is of no consequence for the next time. */
            memset(value, 0xff, sizeof(value));
            memset(rows_value(&remembered, 7), 0xff, 12);
            memset(rows_value(&any, 7), 0xff, 12);
            assert_int_equal(0, rows_add(&any, value, value));
            assert_int_equal(0, rows_add(&remembered, value, value));
            uint64_t second;
            memcpy(&second, rows_key(&any, 1), sizeof(second));
            assert_int_equal(0, rows_add(&any, &second, value));
            assert_int_equal(0, rows_add(&remembered, &second, value));
            assert_int_equal(0, rows_sort(&any));
            assert_int_equal(0, rows_sort(&remembered));
        }
        assert_int_equal(any.n, remembered.n);
        assert_memory_equal(any.data, remembered.data, any.n * rows_stride(&any));
        rows_clear(&any);
    }
    rows_clear(&remembered);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_any_number_are_in_the_order_of_their_keys),
        cmocka_unit_test(sorted_rows_find_what_was_added_first),
        cmocka_unit_test(remembered_rows_are_sorted_as_any),
        cmocka_unit_test(comparing_visits_exactly_the_differences),
    };
    unsigned seed = (unsigned)time(NULL);

    printf("seed %u\n", seed);
    srand(seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
