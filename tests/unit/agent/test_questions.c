/* Questions that walk the table of connections: one a turn of the loop, in the order that they came, and none that nobody waits for any more. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "weft/agent/questions.h"
#include "weft/base/clock.h"
#include "weft/base/util.h"

struct state {
    uv_loop_t loop;
    struct questions *questions;
    json_int_t answered[16];
    size_t n;
};

static void answer(const json_t *request, void *context)
{
    struct state *state = context;

    assert_true(state->n < ARRAY_SIZE(state->answered));
    state->answered[state->n++] = json_integer_value(request);
}

static int setup(void **ret)
{
    struct state *state = calloc(1, sizeof(*state));

    uv_loop_init(&state->loop);
    state->questions = questions_new(&state->loop, answer, state);
    *ret = state;
    return 0;
}

static int teardown(void **given)
{
    struct state *state = *given;

    questions_free(state->questions);
    uv_run(&state->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&state->loop), 0);
    free(state);
    return 0;
}

static void ask(struct state *state, int number, uint64_t came_ms)
{
    json_t *request = json_integer(number);

    assert_int_equal(questions_add(state->questions, request, came_ms), 0);
    json_decref(request);
}

static void test_one_a_turn(void **given)
{
    struct state *state = *given;

    for (int i = 0; i < 3; i++)
        ask(state, i, clock_monotonic_ms());
    assert_int_equal(state->n, 0);
    for (size_t turns = 1; turns <= 3; turns++) {
        uv_run(&state->loop, UV_RUN_NOWAIT);
        assert_int_equal(state->n, turns);
        assert_int_equal(state->answered[turns - 1], turns - 1);
    }
    assert_false(uv_loop_alive(&state->loop)); /* Does not spin when nobody waits. */
    ask(state, 9, clock_monotonic_ms());
    uv_run(&state->loop, UV_RUN_DEFAULT);
    assert_int_equal(state->answered[3], 9);
}

static void test_none_that_is_given_up(void **given)
{
    struct state *state = *given;
    uint64_t now_ms = clock_monotonic_ms();

    for (int i = 0; i < 5; i++)
        ask(state, i, now_ms - QUESTION_MAX_AGE_MS);
    ask(state, 5, now_ms);
    ask(state, 6, now_ms - QUESTION_MAX_AGE_MS);
    uv_run(&state->loop, UV_RUN_NOWAIT);
    assert_int_equal(state->n, 1);
    assert_int_equal(state->answered[0], 5);
    uv_run(&state->loop, UV_RUN_DEFAULT);
    assert_int_equal(state->n, 1);
}

static void test_the_line_has_an_end(void **given)
{
    struct state *state = *given;
    json_t *request = json_integer(1);

    for (int i = 0; i < QUESTIONS_MAX; i++)
        assert_int_equal(questions_add(state->questions, request, 0), 0);
    assert_int_equal(questions_add(state->questions, request, 0), -ENOBUFS);
    uv_run(&state->loop, UV_RUN_NOWAIT);
    assert_int_equal(state->n, 0);
    assert_int_equal(questions_add(state->questions, request, clock_monotonic_ms()), 0);
    json_decref(request); /* What still waits is forgotten with the line. */
}

static void test_which_wait(void **given)
{
    (void)given;
    assert_true(question_is_long("connections") && question_is_long("delete_connections") && question_is_long("flows"));
    assert_false(question_is_long("counters") || question_is_long("trace") || question_is_long("log"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_a_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_none_that_is_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_line_has_an_end, setup, teardown),
        cmocka_unit_test(test_which_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
