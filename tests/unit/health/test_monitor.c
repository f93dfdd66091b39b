/* Rise, fall and the time of the next probe: against an oracle that keeps every result, and values worked out by hand. */
#include "test.h"

#include "weft/base/util.h"
#include "weft/health/monitor.h"

#define RESULTS 400

/* What the state is after 'n' results, from the whole history: nothing is counted on the way. */
static enum health_status naive_status(const bool *results, size_t n, enum health_status initial, const struct health_rules *rules)
{
    enum health_status status = initial;
    size_t since = 0; /* The first result that counts: those before made the status. */

    for (size_t i = 0; i < n; i++) {
        enum health_status said = results[i] ? HEALTH_UP : HEALTH_DOWN;
        size_t need = results[i] ? rules->rise : rules->fall, in_row = 0;

        if (said == status)
            continue;
        for (size_t j = i + 1; j > since && results[j - 1] == results[i]; j--)
            in_row++;
        if (status == HEALTH_UNKNOWN || in_row >= (need ? need : 1)) {
            status = said;
            since = i + 1;
        }
    }
    return status;
}

static void random_results_turn_the_state_as_the_history_says(void **state)
{
    unsigned seed = test_seed("monitor");

    for (int round = 0; round < 300; round++) {
        struct health_rules rules = {.interval_ms = 1000, .rise = (uint16_t)(test_random(&seed) % 5), .fall = (uint16_t)(test_random(&seed) % 5)};
        enum health_status initial = (enum health_status)(test_random(&seed) % 3), before;
        struct health_state monitor = {.status = initial};
        uint32_t percent_up = test_random(&seed) % 101;
        bool results[RESULTS];

        for (size_t i = 0; i < RESULTS; i++) {
            bool changed;

            results[i] = test_random(&seed) % 100 < percent_up;
            before = monitor.status;
            changed = health_state_take(&monitor, &rules, results[i]);
            assert_int_equal(monitor.status, naive_status(results, i + 1, initial, &rules));
            assert_int_equal(changed, monitor.status != before);
        }
    }
}

static void a_server_falls_and_rises_after_exactly_so_many_results(void **state)
{
    const struct health_rules rules = {.interval_ms = 1000, .rise = 2, .fall = 3};
    struct health_state monitor = {.status = HEALTH_UP};

    assert_false(health_state_take(&monitor, &rules, false));
    assert_false(health_state_take(&monitor, &rules, false));
    assert_false(health_state_take(&monitor, &rules, true)); /* The count begins anew. */
    assert_false(health_state_take(&monitor, &rules, false));
    assert_false(health_state_take(&monitor, &rules, false));
    assert_true(health_state_take(&monitor, &rules, false));
    assert_int_equal(monitor.status, HEALTH_DOWN);
    assert_false(health_state_take(&monitor, &rules, true));
    assert_true(health_state_take(&monitor, &rules, true));
    assert_int_equal(monitor.status, HEALTH_UP);
}

static void the_first_result_decides_for_one_that_is_unknown(void **state)
{
    const struct health_rules rules = {.interval_ms = 1000, .rise = 9, .fall = 9};
    struct health_state up = {0}, down = {0};

    assert_true(health_state_take(&up, &rules, true));
    assert_int_equal(up.status, HEALTH_UP);
    assert_true(health_state_take(&down, &rules, false));
    assert_int_equal(down.status, HEALTH_DOWN);
}

static void intervals_count_from_start_and_retries_from_end(void **state)
{
    const struct health_rules rules = {.interval_ms = 5000, .retry_interval_ms = 700, .fall = 3, .rise = 1};
    struct health_state up = {.status = HEALTH_UP}, failing = {.status = HEALTH_UP, .n_contrary = 1}, down = {.status = HEALTH_DOWN};

    assert_int_equal(health_next_start(&up, &rules, 100000, 100020, 0), 105000);
    assert_int_equal(health_next_start(&failing, &rules, 100000, 102000, 0), 102700);
    assert_int_equal(health_next_start(&down, &rules, 100000, 102000, 0), 105000);
    assert_int_equal(health_next_start(&up, &rules, 100000, 109000, 0), 109000); /* A probe that took longer than the interval. */
}

static void without_a_retry_interval_failures_are_asked_as_usual(void **state)
{
    const struct health_rules rules = {.interval_ms = 5000, .fall = 3, .rise = 1};
    struct health_state failing = {.status = HEALTH_UP, .n_contrary = 1};

    assert_int_equal(health_next_start(&failing, &rules, 100000, 102000, 0), 105000);
}

static void jitter_only_shortens_and_by_half_at_most(void **state)
{
    unsigned seed = test_seed("jitter");
    struct health_state up = {.status = HEALTH_UP};

    for (int i = 0; i < 20000; i++) {
        struct health_rules rules = {.interval_ms = 1 + test_random(&seed) % 100000};
        uint64_t next;

        rules.jitter_ms = test_random(&seed) % (rules.interval_ms + 1);
        next = health_next_start(&up, &rules, 1000000, 1000000, test_random(&seed));
        assert_true(next <= 1000000 + rules.interval_ms);
        assert_true(next >= 1000000 + rules.interval_ms - MIN(rules.jitter_ms, rules.interval_ms / 2));
    }
    /* Both ends are reached. */
    const struct health_rules rules = {.interval_ms = 1000, .jitter_ms = 100};
    assert_int_equal(health_next_start(&up, &rules, 0, 0, 0), 1000);
    assert_int_equal(health_next_start(&up, &rules, 0, 0, UINT32_MAX), 900);
}

static void the_first_probe_is_soon(void **state)
{
    const struct health_rules slow = {.interval_ms = 60000}, fast = {.interval_ms = 10};

    assert_int_equal(health_first_start(&slow, 500, 0), 500);
    assert_int_equal(health_first_start(&slow, 500, UINT32_MAX), 1500);
    assert_int_equal(health_first_start(&fast, 500, UINT32_MAX), 510);
    assert_int_equal(health_first_start(&(struct health_rules){.interval_ms = 10, .first_ms = 7000}, 500, UINT32_MAX), 7500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_results_turn_the_state_as_the_history_says),
        cmocka_unit_test(a_server_falls_and_rises_after_exactly_so_many_results),
        cmocka_unit_test(the_first_result_decides_for_one_that_is_unknown),
        cmocka_unit_test(intervals_count_from_start_and_retries_from_end),
        cmocka_unit_test(without_a_retry_interval_failures_are_asked_as_usual),
        cmocka_unit_test(jitter_only_shortens_and_by_half_at_most),
        cmocka_unit_test(the_first_probe_is_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
