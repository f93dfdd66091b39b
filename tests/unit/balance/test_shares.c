/* Shares against every possible way of rounding, and Maglev against the paper's pseudocode. */
#include "test.h"

#include <string.h>

#include "weft/balance/maglev.h"
#include "weft/base/util.h"

#define MAX_SERVERS 9
#define MAX_ROWS 257

static uint64_t moves(const struct share *shares, size_t n, const uint32_t *targets)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += shares[i].held > targets[i] ? shares[i].held - targets[i] : 0;
    return sum;
}

/* The fewest moves over all ways of rounding each share down or up so that all rows are given. */
static uint64_t fewest_moves(const struct share *shares, size_t n, uint32_t n_rows)
{
    uint64_t weights = 0, best = UINT64_MAX;

    for (size_t i = 0; i < n; i++)
        weights += shares[i].weight;
    for (unsigned up = 0; up < 1u << n; up++) {
        uint32_t targets[MAX_SERVERS], sum = 0;
        bool possible = true;

        for (size_t i = 0; i < n; i++) {
            uint64_t product = (uint64_t)n_rows * shares[i].weight;

            targets[i] = (uint32_t)(product / weights) + (up >> i & 1);
            sum += targets[i];
            possible &= !(up >> i & 1) || product % weights;
        }
        if (possible && sum == n_rows)
            best = MIN(best, moves(shares, n, targets));
    }
    return best;
}

static void fill_at_random(struct share *shares, size_t n, uint32_t n_rows, unsigned *seed)
{
    uint32_t left = n_rows;

    for (size_t i = 0; i < n; i++) {
        uint32_t held = i + 1 == n ? left : (uint32_t)rand_r(seed) % (2 * n_rows / (uint32_t)n + 1);

        shares[i].held = MIN(held, left);
        left -= shares[i].held;
        shares[i].weight = (uint16_t)(rand_r(seed) % 4 == 0 ? 0
                                      : rand_r(seed) % 2    ? rand_r(seed) % 5
                                                            : rand_r(seed) % 65536);
    }
    shares[(size_t)rand_r(seed) % n].weight = (uint16_t)(1 + rand_r(seed) % 65535);
}

static void shares_need_the_fewest_moves_of_all_ways_to_round(void **state)
{
    unsigned seed = test_seed(__func__);

    (void)state;
    for (int round = 0; round < 5000; round++) {
        size_t n = 1 + (size_t)rand_r(&seed) % MAX_SERVERS;
        uint32_t n_rows = 2 + (uint32_t)rand_r(&seed) % 250, targets[MAX_SERVERS], sum = 0;
        struct share shares[MAX_SERVERS] = {};
        uint64_t scratch[MAX_SERVERS], weights = 0;

        fill_at_random(shares, n, n_rows, &seed);
        shares_divide(shares, n, n_rows, scratch);
        for (size_t i = 0; i < n; i++)
            weights += shares[i].weight;
        for (size_t i = 0; i < n; i++) {
            uint64_t product = (uint64_t)n_rows * shares[i].weight;

            targets[i] = shares[i].target;
            sum += targets[i];
            assert_true(targets[i] == product / weights || (product % weights && targets[i] == product / weights + 1));
        }
        assert_int_equal(sum, n_rows);
        assert_int_equal(moves(shares, n, targets), fewest_moves(shares, n, n_rows));
    }
}

static void the_largest_remainders_are_rounded_up(void **state)
{
    /* 7 rows for 5:3:2 are 3.5, 2.1 and 1.4. */
    struct share shares[] = {{.weight = 5}, {.weight = 3}, {.weight = 2}};
    uint64_t scratch[3];

    (void)state;
    shares_divide(shares, 3, 7, scratch);
    assert_int_equal(shares[0].target, 4);
    assert_int_equal(shares[1].target, 2);
    assert_int_equal(shares[2].target, 1);
}

static void the_largest_table_and_weights_do_not_overflow(void **state)
{
    size_t n = 65535;
    struct share *shares = calloc(n, sizeof *shares);
    uint64_t *scratch = calloc(n, sizeof *scratch), sum = 0;

    (void)state;
    for (size_t i = 0; i < n; i++)
        shares[i].weight = UINT16_MAX;
    shares_divide(shares, n, 1048573, scratch);
    for (size_t i = 0; i < n; i++) {
        assert_true(shares[i].target == 16 || shares[i].target == 17);
        sum += shares[i].target;
    }
    assert_int_equal(sum, 1048573);
    free(shares);
    free(scratch);
}

/* "Populate" of the paper, section 3.4, with its table of permutations written out. */
static void populate(const struct maglev_walk *walks, size_t n, uint32_t n_rows, uint16_t *entry)
{
    uint32_t next[MAX_SERVERS] = {}, filled = 0;

    memset(entry, 0xff, n_rows * sizeof *entry);
    for (;;)
        for (size_t i = 0; i < n; i++) {
            uint32_t c;

            do
                c = (uint32_t)((walks[i].offset + (uint64_t)next[i]++ * walks[i].skip) % n_rows);
            while (entry[c] != UINT16_MAX);
            entry[c] = (uint16_t)i;
            if (++filled == n_rows)
                return;
        }
}

static void equal_weights_give_the_tables_of_the_paper(void **state)
{
    static const uint32_t primes[] = {11, 67, 131, 257};
    unsigned seed = test_seed(__func__);

    (void)state;
    for (int round = 0; round < 400; round++) {
        size_t n = 1 + (size_t)rand_r(&seed) % MAX_SERVERS;
        uint32_t n_rows = primes[rand_r(&seed) % 4], starts[MAX_ROWS + 1];
        uint16_t weight = (uint16_t)(1 + rand_r(&seed) % 65535), owners[MAX_ROWS], expected[MAX_ROWS], turns[MAX_ROWS];
        struct share shares[MAX_SERVERS] = {};
        struct maglev_walk walks[MAX_SERVERS];
        uint64_t scratch[MAX_SERVERS];

        for (size_t i = 0; i < n; i++) {
            char id[16];

            snprintf(id, sizeof id, "%x", (unsigned)rand_r(&seed));
            shares[i].weight = weight;
            walks[i] = maglev_walk(id, n_rows);
            assert_in_range(walks[i].offset, 0, n_rows - 1);
            assert_in_range(walks[i].skip, 1, n_rows - 1);
        }
        shares_divide(shares, n, n_rows, scratch);
        populate(walks, n, n_rows, expected);
        maglev_fill(shares, walks, n, n_rows, owners, turns, starts);
        assert_memory_equal(owners, expected, n_rows * sizeof *owners);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_need_the_fewest_moves_of_all_ways_to_round),
        cmocka_unit_test(the_largest_remainders_are_rounded_up),
        cmocka_unit_test(the_largest_table_and_weights_do_not_overflow),
        cmocka_unit_test(equal_weights_give_the_tables_of_the_paper),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
