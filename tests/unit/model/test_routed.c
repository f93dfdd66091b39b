/* Overlapping prefixes of several projects, at random, against the rule written down: in the order of age, each holds unless it overlaps one of
 * another project that holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "weft/base/util.h"
#include "weft/model/routed.h"

#define N 24

static const char *const networks[] = {"one", "two"};
static const char *const projects[] = {"a", "b", "c"};
static char ids[N][8];

static void make(struct routed_prefix list[N])
{
    for (unsigned i = 0; i < N; i++) {
        bool v4 = random() % 2;
        uint8_t length = (uint8_t)((v4 ? 8 : 104) + random() % 8);
        uint8_t bits = (uint8_t)(random() & (0xff00 >> (length % 8)));

        snprintf(ids[i], sizeof(ids[i]), "r%02u", i);
        list[i] = (struct routed_prefix){.network_id = networks[random() % 2], .project_id = projects[random() % 3], .router_id = ids[i],
                                         .subnet_id = ids[i], .since_s = random() % 4, .prefix.length = length};
        list[i].prefix.address = v4 ? ip_from_v4(0x0a000000 | (uint32_t)bits << 16) : (struct ip_address){{0xfd, [13] = bits}};
    }
}

static bool is_older(const struct routed_prefix *a, const struct routed_prefix *b)
{
    return a->since_s < b->since_s || (a->since_s == b->since_s && strcmp(a->router_id, b->router_id) < 0);
}

/* Whether each holds, by router id. */
static void resolve_naively(const struct routed_prefix *list, bool ret_holds[N])
{
    bool done[N] = {0};

    for (unsigned round = 0; round < N; round++) {
        unsigned next = N, who;

        for (unsigned i = 0; i < N; i++)
            if (!done[i] && (next == N || is_older(&list[i], &list[next])))
                next = i;
        done[next] = true;
        who = (unsigned)atoi(list[next].router_id + 1);
        ret_holds[who] = true;
        for (unsigned i = 0; i < N; i++)
            if (done[i] && i != next && ret_holds[atoi(list[i].router_id + 1)] && list[i].network_id == list[next].network_id &&
                list[i].project_id != list[next].project_id && prefix_overlaps(&list[i].prefix, &list[next].prefix))
                ret_holds[who] = false;
    }
}

static void agrees_with_the_rule_at_random(void **state)
{
    unsigned seed = (unsigned)time(NULL), n_held = 0, n_overruled = 0;

    print_message("seed %u\n", seed);
    srandom(seed);
    for (unsigned round = 0; round < 3000; round++) {
        struct routed_prefix list[N];
        bool holds[N] = {0};

        make(list);
        resolve_naively(list, holds);
        assert_int_equal(0, routed_prefixes_resolve(list, N));
        for (unsigned i = 0; i < N; i++) {
            assert_int_equal(holds[atoi(list[i].router_id + 1)], !list[i].overruled);
            n_held += !list[i].overruled;
            n_overruled += list[i].overruled != NULL;
            if (list[i].overruled) {
                assert_null(list[i].overruled->overruled);
                assert_true(prefix_overlaps(&list[i].prefix, &list[i].overruled->prefix));
                assert_true(is_older(list[i].overruled, &list[i]));
            }
            if (i > 0 && list[i].network_id == list[i - 1].network_id && ip_equal(&list[i].prefix.address, &list[i - 1].prefix.address) &&
                list[i].prefix.length == list[i - 1].prefix.length)
                assert_true(is_older(&list[i - 1], &list[i])); /* The first of equal ones is the oldest. */
        }
    }
    assert_true(n_held > 3000 && n_overruled > 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(agrees_with_the_rule_at_random)};

    return cmocka_run_group_tests_name("routed", tests, NULL, NULL);
}
