/* Rule sets by content: equal ones are one, ids do not depend on the order, and contents that share a hash are told apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "weft/base/util.h"
#include "weft/compiler/rule-sets.h"
#include "weft/dataplane/rules.h"

static struct rule tcp(uint16_t port, uint32_t number)
{
    return (struct rule){.flags = RULE_IPV4 | RULE_PROTOCOL | RULE_PORTS, .protocol = 6, .port_min = port, .port_max = port, .number = number};
}

static struct rule_set *add(struct rule_sets *sets, size_t n, struct rule a, struct rule b, struct rule c)
{
    struct rule rules[] = {a, b, c};
    struct rule_set *set = NULL;

    assert_int_equal(0, rule_sets_add(sets, rules, n, &set));
    return set;
}

static void equal_contents_are_one_set(void **state)
{
    struct rule_sets sets = {0};
    struct rule any = {.flags = RULE_IPV4, .number = 9};
    struct rule_set *a = add(&sets, 3, tcp(1, 1), any, tcp(2, 2)), *b = add(&sets, 3, tcp(2, 2), tcp(1, 1), any);
    struct rule_set *c = add(&sets, 3, tcp(2, 2), tcp(1, 1), tcp(1, 5)); /* The third says nothing new. */

    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
    assert_int_equal(2, c->n);
    assert_int_equal(1, c->rules[0].number);
    assert_memory_equal(&any, &a->rules[0], sizeof(any)); /* Asks least: first. */
    assert_null(add(&sets, 0, any, any, any));
    assert_int_equal(2, sets.n);
    rule_sets_clear(&sets);
}

static void ids_do_not_depend_on_the_order(void **state)
{
    uint32_t ids[2][50];

    for (int round = 0; round < 2; round++) {
        struct rule_sets sets = {0};
        struct rule_set *made[50];

        for (size_t i = 0; i < 50; i++) {
            size_t k = round ? 49 - i : i;

            made[k] = add(&sets, 1, tcp((uint16_t)k, 0), tcp(0, 0), tcp(0, 0));
        }
        rule_sets_name(&sets);
        for (size_t i = 0; i < 50; i++)
            ids[round][i] = made[i]->id;
        rule_sets_clear(&sets);
    }
    assert_memory_equal(ids[0], ids[1], sizeof(ids[0]));
}

static void contents_with_one_hash_get_ids_of_their_own(void **state)
{
    static const uint32_t hashes[] = {2 * 700, 2 * 700, 2 * 700 + 1, 2 * 701, 2 * 900, 0, 1, UINT32_MAX, UINT32_MAX};
    uint32_t ids[2][ARRAY_SIZE(hashes)];

    for (int round = 0; round < 2; round++) {
        struct rule_sets sets = {0};
        struct rule_set *made[ARRAY_SIZE(hashes)];

        for (size_t i = 0; i < ARRAY_SIZE(hashes); i++) {
            size_t k = round ? ARRAY_SIZE(hashes) - 1 - i : i;

            made[k] = add(&sets, 1, tcp((uint16_t)(100 + k), 0), tcp(0, 0), tcp(0, 0));
            made[k]->hash = hashes[k];
        }
        rule_sets_name(&sets);
        for (size_t i = 0; i < ARRAY_SIZE(hashes); i++) {
            ids[round][i] = made[i]->id;
            assert_int_not_equal(0, made[i]->id);
            for (size_t k = 0; k < i; k++)
                assert_int_not_equal(made[i]->id, made[k]->id);
        }
        assert_int_equal(900, made[4]->id); /* Who shares with nobody has its own. */
        rule_sets_clear(&sets);
    }
    assert_memory_equal(ids[0], ids[1], sizeof(ids[0]));
}

static void blocks_have_no_holes(void **state)
{
    for (size_t n = 1; n <= 3 * RULES_PER_BLOCK; n++) {
        struct rule_sets sets = {0};
        struct rule rules[3 * RULES_PER_BLOCK];
        struct rule_set *set;
        struct rows rows;
        size_t seen = 0;

        for (size_t i = 0; i < n; i++)
            rules[i] = tcp((uint16_t)i, 0);
        rows_init(&rows, sizeof(struct rules_key), sizeof(struct rules_block));
        assert_int_equal(0, rule_sets_add(&sets, rules, n, &set));
        rule_sets_name(&sets);
        assert_int_equal(0, rule_sets_rows(&sets, &rows));
        assert_int_equal(0, rows_sort(&rows));
        for (size_t i = 0; i < rows.n; i++) {
            struct rules_block block;

            memcpy(&block, rows_value(&rows, i), sizeof(block));
            assert_int_equal(i, block.index);
            assert_int_equal(set->id, block.set);
            assert_true(block.n == RULES_PER_BLOCK || i + 1 == rows.n);
            for (uint32_t k = 0; k < block.n; k++)
                assert_memory_equal(&set->rules[seen++], &block.rules[k], sizeof(struct rule));
        }
        assert_int_equal(n, seen);
        rows_clear(&rows);
        rule_sets_clear(&sets);
    }
}

/* A packet must be able to see from a block's head that its rule is elsewhere: equal protocols are together, and so are near ports. */
static void blocks_have_something_in_common(void **state)
{
    struct rule_sets sets = {0};
    struct rule rules[4 * RULES_PER_BLOCK];
    const size_t n = ARRAY_SIZE(rules);
    struct rule_set *set;
    struct rows rows;
    uint16_t last = 0;

    for (size_t i = 0; i < n; i++) {
        rules[i] = tcp((uint16_t)((i * 7) % n + 1), 0);
        rules[i].protocol = i < n / 2 ? 17 : 6;
    }
    rows_init(&rows, sizeof(struct rules_key), sizeof(struct rules_block));
    assert_int_equal(0, rule_sets_add(&sets, rules, n, &set));
    rule_sets_name(&sets);
    assert_int_equal(0, rule_sets_rows(&sets, &rows));
    assert_int_equal(0, rows_sort(&rows));
    assert_int_equal(4, rows.n);
    for (size_t i = 0; i < rows.n; i++) {
        struct rules_block block;

        memcpy(&block, rows_value(&rows, i), sizeof(block));
        assert_int_equal(RULE_IPV4 | RULE_PROTOCOL | RULE_PORTS, block.common.flags);
        assert_int_equal(i < 2 ? 6 : 17, block.common.protocol);
        assert_true(i % 2 == 0 || block.common.port_min > last);
        last = block.common.port_max;
    }
    rows_clear(&rows);

    /* One that asks for less takes it from its block. */
    struct rules_block block = {.n = 2, .rules = {tcp(5, 0), tcp(6, 0)}};
    rules_block_finish(&block);
    assert_int_equal(5, block.common.port_min);
    assert_int_equal(6, block.common.port_max);
    block.rules[1].flags &= ~RULE_PORTS;
    rules_block_finish(&block);
    assert_int_equal(RULE_IPV4 | RULE_PROTOCOL, block.common.flags);
    block.rules[1] = (struct rule){.flags = RULE_IPV6};
    rules_block_finish(&block);
    assert_int_equal(RULE_IPV4 | RULE_IPV6, block.common.flags);
    block.rules[0] = block.rules[1] = (struct rule){.flags = RULE_IPV4 | RULE_PROTOCOL | RULE_PORTS, .protocol = 1, .port_min = 8, .port_max = 0xffff};
    rules_block_finish(&block);
    assert_int_equal(8, block.common.port_max); /* The code is no port. */
    rule_sets_clear(&sets);
}

/* Who knows the rules does not know the name. */
static void names_depend_on_the_hosts_secret(void **state)
{
    uint32_t ids[2];

    for (unsigned i = 0; i < 2; i++) {
        struct rule_sets sets = {.secret = i};
        struct rule_set *set = add(&sets, 1, tcp(80, 0), tcp(0, 0), tcp(0, 0));

        rule_sets_name(&sets);
        ids[i] = set->id;
        rule_sets_clear(&sets);
    }
    assert_int_not_equal(ids[0], ids[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_contents_are_one_set),
        cmocka_unit_test(ids_do_not_depend_on_the_order),
        cmocka_unit_test(names_depend_on_the_hosts_secret),
        cmocka_unit_test(contents_with_one_hash_get_ids_of_their_own),
        cmocka_unit_test(blocks_have_no_holes),
        cmocka_unit_test(blocks_have_something_in_common),
    };

    return cmocka_run_group_tests_name("rule sets", tests, NULL, NULL);
}
