/* Sets of prefixes against bitmaps, at random: 4096 addresses at the beginning, in the middle and at the end of IPv4, and in IPv6. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "weft/model/prefixes.h"

#define BITS 12
#define SPACE (1 << BITS)
#define N 20

static struct ip_address base;
static unsigned n_overlaps[2]; /* How often two lists did not, and did. */

static uint8_t whole_length(void)
{
    return ip_is_v4(&base) ? 32 : 128;
}

static struct ip_prefix at(unsigned offset, uint8_t host_bits)
{
    struct ip_prefix prefix = {ip_add(&base, offset), (uint8_t)(whole_length() - host_bits)};

    prefix.address = prefix_first(&prefix);
    return prefix;
}

static struct ip_prefix random_prefix(void)
{
    return at((unsigned)random() % SPACE, (uint8_t)(random() % (BITS - 1)));
}

static void mark(bool map[SPACE], const struct ip_prefix *prefix, bool value)
{
    uint64_t first = ip_distance(&base, &prefix->address);

    for (uint64_t i = 0; i < UINT64_C(1) << (whole_length() - prefix->length); i++)
        map[first + i] = value;
}

static void draw(bool map[SPACE], const struct ip_prefix *list, size_t n)
{
    memset(map, 0, SPACE);
    for (size_t i = 0; i < n; i++)
        mark(map, &list[i], true);
}

static void assert_compact(const struct ip_prefix *list, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        assert_true(prefix_compare(&list[i - 1], &list[i]) < 0);
        assert_false(prefix_overlaps(&list[i - 1], &list[i]));
        if (list[i].length == list[i - 1].length) { /* No two halves of one. */
            struct ip_prefix a = list[i - 1], b = list[i];

            a.length = --b.length;
            a.address = prefix_first(&a);
            b.address = prefix_first(&b);
            assert_false(ip_equal(&a.address, &b.address));
        }
    }
}

/* The first free one of that size, by the bitmaps; -1: none. */
static int first_free(const bool space[SPACE], const bool used[SPACE], uint8_t host_bits)
{
    for (int first = 0; first < SPACE; first += 1 << host_bits) {
        int i = first;

        while (i < first + (1 << host_bits) && space[i] && !used[i])
            i++;
        if (i == first + (1 << host_bits))
            return first;
    }
    return -1;
}

static void agrees(void)
{
    static bool space[SPACE], used[SPACE], left[SPACE], map[SPACE];
    struct ip_prefix list[N + 4 * 128], taken[SPACE];
    size_t n = 1 + (size_t)random() % N, n_taken = 0;

    for (size_t i = 0; i < n; i++)
        list[i] = random_prefix();
    draw(space, list, n);
    n = prefixes_compact(list, n);
    assert_compact(list, n);
    draw(map, list, n);
    assert_memory_equal(map, space, SPACE);
    memset(used, 0, SPACE);
    for (int i = 0; i < 30; i++) { /* A subnet may be larger than one prefix, and then nothing fits. */
        uint8_t host_bits = (uint8_t)(random() % (BITS - 2));
        int expected = first_free(space, used, host_bits);
        struct ip_prefix found = {0}, given = random_prefix();

        assert_int_equal(expected >= 0, prefixes_find_free(list, n, taken, n_taken, (uint8_t)(whole_length() - host_bits), &found));
        if (expected >= 0 && random() % 2) {
            struct ip_prefix wanted = at((unsigned)expected, host_bits);

            assert_int_equal(0, prefix_compare(&wanted, &found));
        } else if (prefixes_hold(list, n, &given) && !prefixes_find_overlap(taken, n_taken, &given)) {
            found = given;
        } else {
            continue;
        }
        taken[n_taken++] = found;
        qsort(taken, n_taken, sizeof(*taken), prefix_compare);
        mark(used, &found, true);
    }
    memcpy(left, space, SPACE);
    for (int i = 0; i < 3; i++) {
        struct ip_prefix prefix = random_prefix();

        if (!prefixes_hold(list, n, &prefix))
            continue;
        n = prefixes_subtract(list, n, &prefix);
        mark(left, &prefix, false);
        n = prefixes_compact(list, n);
        assert_compact(list, n);
        draw(map, list, n);
        assert_memory_equal(map, left, SPACE);
    }
}

/* Two lists, often of few and small prefixes, so that they are apart as often as not. */
static void lists_overlap(void)
{
    static bool map[SPACE], other_map[SPACE];
    struct ip_prefix list[N], other[N];
    size_t n = (size_t)random() % N, n_other = (size_t)random() % N;
    uint8_t host_bits = (uint8_t)(1 + random() % (BITS - 2));
    bool expected = false;

    for (size_t i = 0; i < n; i++)
        list[i] = at((unsigned)random() % SPACE, (uint8_t)(random() % host_bits));
    for (size_t i = 0; i < n_other; i++)
        other[i] = at((unsigned)random() % SPACE, (uint8_t)(random() % host_bits));
    n = prefixes_compact(list, n);
    n_other = prefixes_compact(other, n_other);
    draw(map, list, n);
    draw(other_map, other, n_other);
    for (int i = 0; i < SPACE; i++)
        expected |= map[i] && other_map[i];
    assert_int_equal(expected, prefixes_overlap(list, n, other, n_other));
    assert_int_equal(expected, prefixes_overlap(other, n_other, list, n));
    n_overlaps[expected]++;
}

static void agrees_with_bitmaps_at_random(void **state)
{
    struct ip_address end = {{0}};
    unsigned seed = (unsigned)time(NULL);

    memset(end.bytes, 0xff, 16);
    const struct ip_address bases[] = {ip_from_v4(0), ip_from_v4(0x0a0a0000), ip_from_v4(0xfffff000), {{0x20, 0x01, 0x0d, 0xb8}}, ip_add(&end, 1 - SPACE)};

    print_message("seed %u\n", seed);
    srandom(seed);
    for (unsigned round = 0; round < 1000; round++) {
        base = bases[round % 5];
        agrees();
        lists_overlap();
    }
    assert_true(n_overlaps[false] > 100 && n_overlaps[true] > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(agrees_with_bitmaps_at_random)};

    return cmocka_run_group_tests_name("prefixes", tests, NULL, NULL);
}
