/* What hosts have no room for: it counts while they say so, and are there to say so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "weft/api/hosts-state.h"

#define A "00000000-0000-4000-8000-00000000000a"
#define B "00000000-0000-4000-8000-00000000000b"

static struct hosts hosts;
static struct agent one, two;

static void say(struct agent *agent, const char *first, const char *second)
{
    json_t *list = json_array();

    for (int i = 0; i < 2; i++)
        if (i ? second : first)
            json_array_append_new(list, json_string(i ? second : first));
    assert_int_equal(left_out_take(&hosts, agent, list), 0);
    json_decref(list);
}

static void expect(bool a, bool b)
{
    assert_int_equal(hosts_leave_out(&hosts, A), a);
    assert_int_equal(hosts_leave_out(&hosts, B), b);
}

static int forget(void **state)
{
    left_out_forget(&hosts, &one);
    left_out_forget(&hosts, &two);
    assert_int_equal(hosts.left_out.n_nodes, 0);
    hashmap_clear(&hosts.left_out);
    return 0;
}

static void it_counts_while_somebody_says_so(void **state)
{
    say(&one, A, B);
    say(&two, A, A);
    expect(true, true);
    say(&one, NULL, NULL);
    expect(true, false);
    say(&two, B, NULL);
    expect(false, true);
}

static void a_host_that_is_down_says_nothing(void **state)
{
    say(&one, A, NULL);
    say(&two, A, B);
    left_out_silence(&hosts, &two);
    left_out_silence(&hosts, &two);
    expect(true, false);
    left_out_silence(&hosts, &one);
    expect(false, false);
    left_out_hear(&hosts, &two); /* It was only slow, and does not say again what it has said. */
    left_out_hear(&hosts, &two);
    expect(true, true);
    say(&one, B, NULL);
    expect(true, true);
    left_out_forget(&hosts, &two);
    expect(false, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(it_counts_while_somebody_says_so, forget),
        cmocka_unit_test_teardown(a_host_that_is_down_says_nothing, forget),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
