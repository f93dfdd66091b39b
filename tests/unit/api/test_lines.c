/* Who waits for a turn (api/lines.h). */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "weft/api/lines.h"
#include "weft/base/util.h"

static uv_loop_t loop;
static struct lines *lines;
static struct line_member *called[1024];
static size_t n_called, n_dismissed;

static void note_call(struct line_member *member)
{
    called[n_called++ % ARRAY_SIZE(called)] = member;
}

static void note_dismissal(struct line_member *member)
{
    n_dismissed++;
    lines_leave(lines, member);
}

static int set_up(void **state)
{
    n_called = n_dismissed = 0;
    uv_loop_init(&loop);
    return lines_new(&loop, note_call, note_dismissal, &lines);
}

static int tear_down(void **state)
{
    lines_stop(lines);
    uv_run(&loop, UV_RUN_DEFAULT);
    lines_free(TAKE_PTR(lines));
    return uv_loop_close(&loop);
}

static int enter(struct line_member *member, const char *first, const char *second, bool only_sees)
{
    struct line_wish wishes[2] = {{.only_sees = only_sees}, {.only_sees = only_sees}};

    string_copy(wishes[0].key, sizeof wishes[0].key, first);
    if (second && !streq(first, second)) {
        string_copy(wishes[1].key, sizeof wishes[1].key, second);
        if (strcmp(first, second) < 0) {
            wishes[0].next = &wishes[1];
        } else {
            wishes[1].next = &wishes[0];
            return lines_enter(lines, member, &wishes[1]);
        }
    }
    return lines_enter(lines, member, wishes);
}

/* Who is called when everything under way is done. */
static struct line_member *next_called(void)
{
    size_t before = n_called;

    uv_run(&loop, UV_RUN_NOWAIT);
    return n_called == before ? NULL : called[before % ARRAY_SIZE(called)];
}

static void test_in_the_order_in_which_they_came(void **state)
{
    struct line_member members[5] = {{.project_id = "a"}, {.project_id = "b"}, {.project_id = "a"}, {.project_id = "c"}, {.project_id = "a"}};

    assert_int_equal(enter(&members[0], "x", NULL, false), 0);
    for (size_t i = 1; i < 4; i++)
        assert_int_equal(enter(&members[i], "x", NULL, false), 1);
    assert_null(next_called());
    lines_leave(lines, &members[0]);
    /* Kept for who is called: who comes now stands behind the others. */
    assert_int_equal(enter(&members[4], "x", NULL, false), 1);
    for (size_t i = 1; i < 5; i++) {
        assert_ptr_equal(next_called(), &members[i]);
        assert_int_equal(enter(&members[i], "x", NULL, false), 0);
        assert_null(next_called());
        lines_leave(lines, &members[i]);
    }
    assert_null(next_called());
    assert_int_equal(enter(&members[0], "x", NULL, false), 0); /* Nobody has it any more. */
    lines_leave(lines, &members[0]);
}

static void test_who_does_not_need_it_any_more_passes_it_on(void **state)
{
    struct line_member members[4] = {{.project_id = "a"}, {.project_id = "a"}, {.project_id = "a"}, {.project_id = "a"}};

    assert_int_equal(enter(&members[0], "x", NULL, false), 0);
    for (size_t i = 1; i < 4; i++)
        assert_int_equal(enter(&members[i], "x", NULL, false), 1);
    lines_leave(lines, &members[0]);
    assert_ptr_equal(next_called(), &members[1]);
    lines_leave(lines, &members[1]); /* Failed when it ran again. */
    assert_ptr_equal(next_called(), &members[2]);
    assert_int_equal(enter(&members[2], "y", NULL, false), 0); /* Another one. */
    assert_ptr_equal(next_called(), &members[3]);
    lines_leave(lines, &members[3]);
    lines_leave(lines, &members[2]);
}

static void test_several_turns(void **state)
{
    struct line_member a = {.project_id = "a"}, b = {.project_id = "b"}, c = {.project_id = "c"}, d = {.project_id = "d"};

    assert_int_equal(enter(&a, "x", NULL, false), 0);
    assert_int_equal(enter(&b, "y", "x", false), 1);
    assert_int_equal(enter(&c, "y", NULL, false), 0); /* b is not at y yet. */
    assert_int_equal(enter(&d, "w", "y", false), 1);
    lines_leave(lines, &a);
    assert_ptr_equal(next_called(), &b);
    assert_int_equal(enter(&b, "y", "x", false), 1); /* It has x, and stands behind d. */
    assert_int_equal(enter(&a, "w", NULL, false), 1); /* Which has w. */
    lines_leave(lines, &c);
    assert_ptr_equal(next_called(), &d);
    assert_int_equal(enter(&d, "y", "w", false), 0);
    lines_leave(lines, &d);
    assert_int_equal(n_called, 2);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(n_called, 4);
    assert_true((called[2] == &a && called[3] == &b) || (called[2] == &b && called[3] == &a));
    assert_int_equal(enter(&a, "w", NULL, false), 0);
    assert_int_equal(enter(&c, "x", NULL, false), 1);
    assert_int_equal(enter(&b, "w", "y", false), 1); /* It wants something else now: x goes, and y, as it must wait for w. */
    assert_ptr_equal(next_called(), &c);
    assert_int_equal(enter(&d, "y", NULL, false), 0);
    lines_leave(lines, &a);
    assert_ptr_equal(next_called(), &b);
    lines_leave(lines, &b);
    lines_leave(lines, &c);
    lines_leave(lines, &d);
}

static void test_seers_hinder_nobody(void **state)
{
    struct line_member seers[2] = {{.project_id = "a"}, {.project_id = "a"}}, writer = {.project_id = "b"};

    assert_int_equal(enter(&seers[0], "x", NULL, true), 0);
    lines_submitted(lines, &seers[0]);
    assert_int_equal(enter(&seers[1], "x", NULL, true), 0);
    lines_submitted(lines, &seers[1]);
    assert_int_equal(enter(&writer, "x", NULL, false), 0);
    lines_submitted(lines, &writer);
    lines_leave(lines, &seers[0]);
    assert_int_equal(enter(&seers[0], "x", NULL, true), 1); /* It must see what the writer does. */
    lines_leave(lines, &writer);
    assert_ptr_equal(next_called(), &seers[0]);
    assert_int_equal(enter(&seers[0], "x", NULL, true), 0);
    assert_int_equal(enter(&seers[0], "x", NULL, false), 0); /* Now it wants more. */
    lines_submitted(lines, &seers[0]);
    assert_int_equal(enter(&writer, "x", NULL, false), 1);
    lines_leave(lines, &seers[0]);
    assert_ptr_equal(next_called(), &writer);
    lines_leave(lines, &writer);
    lines_leave(lines, &seers[1]);
}

static void test_a_project_fills_its_own_part_of_a_line(void **state)
{
    static struct line_member crowd[LINE_MAX_WAITING + 1], holder, other;

    memset(crowd, 0, sizeof crowd);
    holder = other = (struct line_member){.project_id = "b"};
    assert_int_equal(enter(&holder, "x", NULL, false), 0);
    for (size_t i = 0; i < LINE_MAX_WAITING; i++) {
        crowd[i].project_id = "a";
        assert_int_equal(enter(&crowd[i], "x", NULL, false), 1);
    }
    crowd[LINE_MAX_WAITING].project_id = "a";
    assert_int_equal(enter(&crowd[LINE_MAX_WAITING], "x", NULL, false), -EBUSY);
    assert_int_equal(enter(&other, "x", NULL, false), 1);
    lines_stop(lines); /* All who wait are told. */
    assert_int_equal(n_dismissed, LINE_MAX_WAITING + 1);
    assert_int_equal(enter(&other, "x", NULL, false), -EBUSY);
    lines_leave(lines, &holder);
}

static void test_who_is_called_while_it_stops_is_dismissed(void **state)
{
    struct line_member a = {.project_id = "a"}, b = {.project_id = "b"};

    assert_int_equal(enter(&a, "x", NULL, false), 0);
    assert_int_equal(enter(&b, "x", NULL, false), 1);
    lines_leave(lines, &a);
    lines_stop(lines);
    assert_int_equal(n_dismissed, 1);
    assert_null(next_called());
}

/* Against rules that must hold whatever happens: a turn has one holder, all who wait are called in the end. */
static void test_at_random(void **state)
{
    enum { N_MEMBERS = 40, N_KEYS = 4, N_STEPS = 20000 };
    static struct line_member members[N_MEMBERS];
    static int has[N_MEMBERS]; /* 0: outside, 1: waits, 2: all of 'keys'. */
    static char keys[N_MEMBERS][2];
    static const char *const names[] = {"0", "1", "2", "3"};
    unsigned n_runs = 0;

    memset(members, 0, sizeof members);
    memset(has, 0, sizeof has);
    for (size_t step = 0; step < N_STEPS; step++) {
        size_t i = (size_t)rand() % N_MEMBERS;

        n_called = 0;
        uv_run(&loop, UV_RUN_NOWAIT);
        for (size_t k = 0; k < n_called; k++) {
            size_t who = (size_t)(called[k] - members);

            assert_int_equal(has[who], 1);
            has[who] = enter(called[k], names[(int)keys[who][0]], names[(int)keys[who][1]], false) ? 1 : 2;
        }
        if (has[i] == 2) {
            lines_leave(lines, &members[i]);
            members[i] = (struct line_member){0};
            has[i] = 0;
            n_runs++;
        } else if (has[i] == 0 && step < N_STEPS / 2) {
            members[i].project_id = "a";
            for (size_t k = 0; k < 2; k++)
                keys[i][k] = (char)(rand() % N_KEYS);
            has[i] = enter(&members[i], names[(int)keys[i][0]], names[(int)keys[i][1]], false) ? 1 : 2;
        }
        for (size_t k = 0; k < N_KEYS; k++) {
            size_t n = 0;

            for (size_t m = 0; m < N_MEMBERS; m++)
                n += has[m] == 2 && (keys[m][0] == (char)k || keys[m][1] == (char)k);
            assert_true(n <= 1);
        }
    }
    for (size_t m = 0; m < N_MEMBERS; m++)
        assert_int_equal(has[m], 0);
    assert_true(n_runs > N_MEMBERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_in_the_order_in_which_they_came, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_does_not_need_it_any_more_passes_it_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_several_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_seers_hinder_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_project_fills_its_own_part_of_a_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_is_called_while_it_stops_is_dismissed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_at_random, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
