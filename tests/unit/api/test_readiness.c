/* When weft-api says that it is ready: its replica follows the store, or has been behind for a short while only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "weft/api/readiness.h"

static void replica_that_follows_is_ready(void **state)
{
    struct readiness readiness = {0};

    for (uint64_t hour = 0; hour < 5; hour++)
        assert_true(readiness_check(&readiness, 10 + hour, 10 + hour, hour * 3600000));
}

static void replica_that_stands_still_is_ready_for_a_while(void **state)
{
    struct readiness readiness = {0};

    assert_true(readiness_check(&readiness, 10, 11, 1000));
    assert_true(readiness_check(&readiness, 10, 30, 1000 + READINESS_BEHIND_MAX_MS - 1));
    assert_false(readiness_check(&readiness, 10, 30, 1000 + READINESS_BEHIND_MAX_MS));
    assert_true(readiness_check(&readiness, 11, 30, 2000 + READINESS_BEHIND_MAX_MS));
}

static void replica_that_is_always_a_little_behind_is_ready(void **state)
{
    struct readiness readiness = {0};

    for (uint64_t second = 0; second < 100; second++)
        assert_true(readiness_check(&readiness, 10 + second, 12 + second, second * 1000));
}

/* Which was kept for the whole process once: a second replica, of a store with fewer revisions, was behind the first. */
static void what_one_replica_must_reach_is_nothing_to_another(void **state)
{
    struct readiness first = {0}, second = {0};

    assert_true(readiness_check(&first, 100, 100, 1000));
    assert_true(readiness_check(&second, 10, 10, 1000 + READINESS_BEHIND_MAX_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replica_that_follows_is_ready),
        cmocka_unit_test(replica_that_stands_still_is_ready_for_a_while),
        cmocka_unit_test(replica_that_is_always_a_little_behind_is_ready),
        cmocka_unit_test(what_one_replica_must_reach_is_nothing_to_another),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
