/* Buckets: shares, and how little moves. */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/fabric/paths/buckets.h"

/* Each path has its share, rounded down or up. */
static void check_shares(const struct buckets *buckets, size_t n_paths, const uint32_t *weights)
{
    size_t counts[BUCKETS_MAX_PATHS] = {0};
    uint64_t total = 0;

    assert_int_equal(buckets->n & (buckets->n - 1), 0);
    assert_true(buckets->n >= 256 && buckets->n >= 16 * n_paths);
    for (size_t i = 0; i < buckets->n; i++) {
        assert_true(buckets->owners[i] < n_paths);
        counts[buckets->owners[i]]++;
    }
    for (size_t i = 0; i < n_paths; i++)
        total += weights ? weights[i] : 1;
    for (size_t i = 0; i < n_paths; i++) {
        uint64_t share = buckets->n * (uint64_t)(weights ? weights[i] : 1); /* Times the total weight. */

        assert_true(counts[i] * total + total > share);
        assert_true(counts[i] * total < share + total);
    }
}

/* The least number of buckets that must leave paths that stay, so that all have their shares: what each holds beyond
 * its share rounded up, and as many more of those beyond their share rounded down as there are too few for all to be
 * rounded up. */
static size_t least_moved(const size_t *held, size_t n_paths, const uint32_t *weights, size_t n)
{
    uint64_t total = 0;
    size_t moved = 0, rounded_down = 0, may_round_up, above = 0;

    for (size_t i = 0; i < n_paths; i++)
        total += weights[i];
    for (size_t i = 0; i < n_paths; i++) {
        size_t down = (size_t)(n * (uint64_t)weights[i] / total), up = down + (n * (uint64_t)weights[i] % total != 0);

        rounded_down += down;
        above += up > down && held[i] >= up;
        moved += held[i] > up ? held[i] - up : 0;
    }
    may_round_up = n - rounded_down;
    return moved + (above > may_round_up ? above - may_round_up : 0);
}

static void paths_come_and_go_with_the_least_movement(void **state)
{
    unsigned seed = test_seed(__func__);
    struct buckets buckets = {};
    static uint32_t weights[BUCKETS_MAX_PATHS];
    size_t n_paths = 0;

    for (int step = 0; step < 3000; step++) {
        uint32_t next_weights[BUCKETS_MAX_PATHS];
        int32_t previous[BUCKETS_MAX_PATHS];
        size_t held[BUCKETS_MAX_PATHS] = {0}, n_next = 0, moved = 0, n_before = buckets.n;
        uint16_t *before = n_before ? malloc(n_before * sizeof *before) : NULL;
        uint32_t max_weight = step % 3 == 0 ? 1 : step % 3 == 1 ? 8 : 65535, keep = 1 + (uint32_t)rand_r(&seed) % 8;
        int32_t now_at[BUCKETS_MAX_PATHS];

        if (before)
            memcpy(before, buckets.owners, n_before * sizeof *before);
        for (size_t i = 0; i < n_paths; i++) {
            now_at[i] = -1;
            if ((uint32_t)rand_r(&seed) % 8 >= keep && step % 10)
                continue;
            now_at[i] = (int32_t)n_next;
            previous[n_next] = (int32_t)i;
            next_weights[n_next++] = rand_r(&seed) % 2 ? weights[i] : 1 + (uint32_t)rand_r(&seed) % max_weight;
        }
        for (int k = rand_r(&seed) % (step % 20 == 0 ? 200 : 5); k > 0 && n_next < BUCKETS_MAX_PATHS; k--) {
            previous[n_next] = -1;
            next_weights[n_next++] = 1 + (uint32_t)rand_r(&seed) % max_weight;
        }
        assert_int_equal(buckets_set(&buckets, n_next, next_weights, previous), 0);
        if (n_next == 0) {
            assert_int_equal(buckets.n, 0);
        } else {
            check_shares(&buckets, n_next, next_weights);
            assert_true(buckets.n >= n_before);
            for (size_t i = 0; before && i < buckets.n; i++) {
                int32_t owner = now_at[before[i % n_before]];

                if (owner < 0)
                    continue;
                held[owner]++;
                moved += buckets.owners[i] != owner;
            }
            assert_int_equal(moved, least_moved(held, n_next, next_weights, buckets.n));
        }
        free(before);
        n_paths = n_next;
        memcpy(weights, next_weights, n_next * sizeof *weights);
    }
    buckets_clear(&buckets);
}

static void an_equal_path_that_is_lost_moves_only_its_own(void **state)
{
    unsigned seed = test_seed(__func__);

    for (size_t n_paths = 2; n_paths <= 130; n_paths++) {
        struct buckets buckets = {};
        int32_t previous[BUCKETS_MAX_PATHS];
        uint16_t before[BUCKETS_MAX_PATHS * 16];
        size_t n_left = n_paths;

        assert_int_equal(buckets_set(&buckets, n_paths, NULL, NULL), 0);
        check_shares(&buckets, n_paths, NULL);
        for (int step = 0; step < 12; step++) {
            size_t lost = (size_t)rand_r(&seed) % n_left;
            bool comes = n_left == 1 || (rand_r(&seed) % 3 == 0 && n_left < n_paths);

            memcpy(before, buckets.owners, buckets.n * sizeof *before);
            if (comes) {
                for (size_t i = 0; i <= n_left; i++)
                    previous[i] = i < n_left ? (int32_t)i : -1;
                assert_int_equal(buckets_set(&buckets, ++n_left, NULL, previous), 0);
                for (size_t i = 0; i < buckets.n; i++)
                    if (buckets.owners[i] != n_left - 1)
                        assert_int_equal(buckets.owners[i], before[i]);
            } else {
                n_left--;
                for (size_t i = 0; i < n_left; i++)
                    previous[i] = (int32_t)(i + (i >= lost));
                assert_int_equal(buckets_set(&buckets, n_left, NULL, previous), 0);
                for (size_t i = 0; i < buckets.n; i++)
                    if (before[i] != lost)
                        assert_int_equal(buckets.owners[i], before[i] - (before[i] > lost));
            }
            check_shares(&buckets, n_left, NULL);
        }
        buckets_clear(&buckets);
    }
}

static void a_table_that_grows_keeps_owners(void **state)
{
    struct buckets buckets = {};
    int32_t previous[BUCKETS_MAX_PATHS];
    size_t kept = 0;

    assert_int_equal(buckets_set(&buckets, 16, NULL, NULL), 0);
    assert_int_equal(buckets.n, 256);
    for (int32_t i = 0; i < 17; i++)
        previous[i] = i < 16 ? i : -1;
    assert_int_equal(buckets_set(&buckets, 17, NULL, previous), 0);
    assert_int_equal(buckets.n, 512);
    for (size_t i = 0; i < 512; i++) {
        assert_true(buckets.owners[i] == buckets.owners[i % 256] || buckets.owners[i] == 16 ||
                    buckets.owners[i % 256] == 16);
        kept += buckets.owners[i] != 16;
    }
    assert_int_equal(kept, 512 - 30); /* The new path has 512 / 17. */
    assert_int_equal(buckets_select(&buckets, 0xfffff000u + 5), buckets.owners[5]);
    assert_int_equal(buckets_select(&buckets, 511), buckets.owners[511]);
    buckets_clear(&buckets);
}

static void what_cannot_be_leaves_the_table_as_it_was(void **state)
{
    struct buckets buckets = {}, before;
    uint32_t weights[BUCKETS_MAX_PATHS + 1];

    for (size_t i = 0; i < ARRAY_SIZE(weights); i++)
        weights[i] = 65535;
    assert_int_equal(buckets_set(&buckets, 3, weights, NULL), 0);
    before = buckets;
    assert_int_equal(buckets_set(&buckets, BUCKETS_MAX_PATHS + 1, weights, NULL), -EINVAL);
    assert_int_equal(buckets_set(&buckets, 2, (uint32_t[]){1, 0}, NULL), -EINVAL);
    assert_int_equal(buckets_set(&buckets, 2, (uint32_t[]){65536, 1}, NULL), -EINVAL);
    assert_int_equal(buckets_set(&buckets, 2, NULL, (int32_t[]){1, 1}), -EINVAL);
    assert_int_equal(buckets_set(&buckets, 2, NULL, (int32_t[]){-2, 1}), -EINVAL);
    assert_int_equal(buckets_set(&buckets, 2, NULL, (int32_t[]){BUCKETS_MAX_PATHS, 1}), -EINVAL);
    assert_ptr_equal(buckets.owners, before.owners);
    check_shares(&buckets, 3, NULL);
    assert_int_equal(
        buckets_set(&buckets, BUCKETS_MAX_PATHS, weights, (int32_t[BUCKETS_MAX_PATHS]){0, 1, 2, [3 ... 1023] = -1}), 0);
    check_shares(&buckets, BUCKETS_MAX_PATHS, NULL);
    assert_int_equal(buckets_set(&buckets, 0, NULL, NULL), 0);
    assert_int_equal(buckets.n, 0);
    assert_null(buckets.owners);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_come_and_go_with_the_least_movement),
        cmocka_unit_test(an_equal_path_that_is_lost_moves_only_its_own),
        cmocka_unit_test(a_table_that_grows_keeps_owners),
        cmocka_unit_test(what_cannot_be_leaves_the_table_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
