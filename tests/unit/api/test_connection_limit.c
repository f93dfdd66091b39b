/* Shares of a limit, at random: hosts apply what they are given late, report late, begin and end connections meanwhile, and the limit changes.  What hosts
 * have and may have is never more than the limit, or, after that was lowered, than it was; and once wishes stay, all of the limit that is wished for is
 * used, after a few rounds, and then nothing moves any more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "weft/api/connection-limit.h"
#include "weft/base/util.h"

#define N_HOSTS_MAX 9
#define N_ROUNDS_MAX 60

struct host {
    uint32_t wished, active, enforced;
    bool was_refused, has_applied;
};

static struct limit_share shares[N_HOSTS_MAX];
static struct host hosts[N_HOSTS_MAX];
static size_t n;
static uint32_t limit;
static unsigned seed;

static unsigned below(unsigned most)
{
    return (unsigned)rand_r(&seed) % most;
}

static uint64_t possible(void)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += MAX(MAX(hosts[i].enforced, shares[i].share), hosts[i].active);
    return sum;
}

static uint64_t in_use(void)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += hosts[i].active;
    return sum;
}

static void call(struct host *host)
{
    host->active = MIN(host->active, host->wished);
    while (host->active < host->wished && host->active < host->enforced)
        host->active++;
    host->was_refused |= host->active < host->wished;
}

static void apply(size_t i)
{
    hosts[i].enforced = shares[i].share;
    hosts[i].has_applied = true;
}

static void report(size_t i)
{
    if (!hosts[i].has_applied)
        return;
    shares[i].is_heard = true;
    shares[i].active = hosts[i].active;
    shares[i].was_refused = hosts[i].was_refused;
    hosts[i].was_refused = false;
}

/* Returns whether some share is another. */
static bool divide(void)
{
    uint32_t before[N_HOSTS_MAX];
    uint64_t most = MAX(possible(), limit);
    bool has_changed = false;

    for (size_t i = 0; i < n; i++)
        before[i] = shares[i].share;
    connection_limit_divide(limit, shares, n);
    for (size_t i = 0; i < n; i++) {
        assert_true(shares[i].held >= shares[i].share);
        if (before[i] != shares[i].share) {
            assert_true(shares[i].is_heard);
            hosts[i].has_applied = false;
            has_changed = true;
        }
        shares[i].is_heard = false;
    }
    assert_true(possible() <= most);
    return has_changed;
}

static bool round_of_all(void)
{
    for (size_t i = 0; i < n; i++) {
        apply(i);
        call(&hosts[i]);
        report(i);
    }
    return divide();
}

static void settle(void)
{
    uint64_t wished = 0;
    unsigned n_rounds = 0;

    for (size_t i = 0; i < n; i++)
        wished += hosts[i].wished;
    do {
        round_of_all();
        if (n_rounds++ > N_ROUNDS_MAX)
            fail_msg("%llu of %llu wished, limit %u, after %u rounds (seed)", (unsigned long long)in_use(), (unsigned long long)wished, limit, n_rounds);
    } while (in_use() < MIN(wished, limit));
    if (wished >= limit)
        return;
    for (n_rounds = 0; round_of_all(); n_rounds++) /* Each has what it wishes. */
        assert_true(n_rounds < N_ROUNDS_MAX);
    for (unsigned i = 0; i < 10; i++)
        assert_false(round_of_all());
}

static void happen(void)
{
    size_t i = below((unsigned)n);

    switch (below(6)) {
    case 0:
        hosts[i].wished = below(3) ? below(limit + 2) / (below(4) + 1) : 0;
        break;
    case 1:
        apply(i);
        break;
    case 2:
        call(&hosts[i]);
        break;
    case 3:
    case 4:
        report(i);
        break;
    case 5:
        divide();
        break;
    }
}

static void the_limit_holds_and_is_used(void **state)
{
    seed = getenv("SEED") ? (unsigned)atoi(getenv("SEED")) : (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    for (unsigned k = 0; k < 3000; k++) {
        n = 1 + below(N_HOSTS_MAX);
        limit = 1 + below(below(2) ? 12 : 1000);
        for (size_t i = 0; i < n; i++) {
            hosts[i] = (struct host){.has_applied = true};
            shares[i] = (struct limit_share){.waits = limit >= n};
        }
        for (unsigned i = 0; i < 400; i++) {
            happen();
            if (below(100) == 0)
                limit = 1 + below(2 * limit);
        }
        settle();
    }
}

static void all_get_some_and_who_uses_it_more(void **state)
{
    n = 4;
    limit = 100;
    for (size_t i = 0; i < n; i++) {
        hosts[i] = (struct host){.has_applied = true};
        shares[i] = (struct limit_share){.waits = true};
        report(i);
    }
    divide();
    for (size_t i = 0; i < n; i++)
        assert_int_equal(shares[i].share, 25);
    hosts[0].wished = 90;
    settle();
    assert_int_equal(hosts[0].active, 90);
}

/* Who does not report may still use what it had. */
static void what_is_lowered_is_held_until_it_is_applied(void **state)
{
    struct limit_share two[] = {{.share = 10, .held = 10, .is_heard = true}, {.is_heard = true, .was_refused = true}};

    connection_limit_divide(10, two, 2);
    assert_int_equal(two[0].share, 5);
    assert_int_equal(two[0].held, 10);
    assert_int_equal(two[1].share, 0);
    assert_true(two[1].waits);
    two[0].is_heard = false;
    connection_limit_divide(10, two, 2);
    assert_int_equal(two[1].share, 0);
    two[0].is_heard = true;
    two[0].active = 8; /* It had begun so many before it heard of that. */
    connection_limit_divide(10, two, 2);
    assert_int_equal(two[0].held, 9);
    assert_int_equal(two[1].share, 1);
    assert_false(two[1].waits);
}

static void who_leaves_gives_all_back(void **state)
{
    struct limit_share two[] = {{.share = 10, .held = 10, .is_heard = true, .leaves = true}, {.is_heard = true, .waits = true}};

    connection_limit_divide(10, two, 2);
    assert_int_equal(two[0].share, 0);
    assert_int_equal(two[0].held, 10);
    connection_limit_divide(10, two, 2);
    assert_int_equal(two[0].held, 0);
    assert_int_equal(two[1].share, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_limit_holds_and_is_used),
        cmocka_unit_test(all_get_some_and_who_uses_it_more),
        cmocka_unit_test(what_is_lowered_is_held_until_it_is_applied),
        cmocka_unit_test(who_leaves_gives_all_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
