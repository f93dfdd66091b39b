/* Contents and their names: see rule-sets.h. */
#include "weft/compiler/rule-sets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/compiler/index.h"
#include "weft/dataplane/rules.h"

/* One for all releases, with the host's secret: a restarted or upgraded agent finds the sets that it wants in the maps already. */
static const uint64_t content_key[2] = {0x7765667472756c65, 0x636f6e74656e7473};

/* Where a rule stands in its set.  Those that leave no connection entry come after all others; of each, logged ones before those that are
 * not.  What asks for no protocol is first: it fits most.  The rest is in the order of family, protocol and ports, so that what a packet does not belong to is whole blocks (rules_common, tables.h). */
static uint64_t place(const struct rule *rule)
{
    unsigned flags = rule->flags;

    return (uint64_t)!!(flags & RULE_STATELESS) << 60 | (uint64_t)!(flags & RULE_LOG) << 58 | (uint64_t)!!(flags & RULE_PROTOCOL) << 56 |
           (uint64_t)(flags & (RULE_IPV4 | RULE_IPV6)) << 48 | (uint64_t)rule->protocol << 40 | (uint64_t)!!(flags & RULE_PORTS) << 32 |
           (uint64_t)rule->port_min << 16 | rule->port_max;
}

/* Of those in one place, what asks less comes first. */
static int compare_rules(const void *a, const void *b)
{
    const struct rule *x = a, *y = b;
    uint64_t first = place(x), second = place(y);
    int asks = (x->flags & (RULE_GROUP | RULE_GROUP_PREFIXES)) - (y->flags & (RULE_GROUP | RULE_GROUP_PREFIXES));

    if (first != second)
        return first < second ? -1 : 1;
    return asks ? asks : memcmp(a, b, sizeof(struct rule));
}

/* 'number', the last member, is for people. */
static bool says_the_same(const struct rule *a, const struct rule *b)
{
    return memcmp(a, b, offsetof(struct rule, number)) == 0;
}

static int add_set(struct rule_sets *sets, const struct rule *rules, size_t n, uint32_t hash, struct rule_set **ret)
{
    struct rule_set *set;

    if (sets->n == sets->capacity) {
        size_t capacity = sets->capacity ? sets->capacity * 2 : 16;
        struct rule_set **grown = reallocarray(sets->sets, capacity, sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        sets->sets = grown;
        sets->capacity = capacity;
    }
    set = calloc(1, sizeof(*set) + n * sizeof(*rules));
    if (!set)
        return -ENOMEM;
    set->hash = hash;
    set->has_room = true;
    set->n = n;
    memcpy(set->rules, rules, n * sizeof(*rules));
    if (hashmap_insert(&sets->by_content, &set->by_content, set->rules, n * sizeof(*rules)) < 0) {
        free(set);
        return -ENOMEM;
    }
    sets->sets[sets->n++] = set;
    *ret = set;
    return 0;
}

int rule_sets_add(struct rule_sets *sets, struct rule *rules, size_t n, struct rule_set **ret)
{
    const struct hashmap_node *node;
    size_t kept = 0;

    *ret = NULL;
    if (!n)
        return 0;
    qsort(rules, n, sizeof(*rules), compare_rules);
    for (size_t i = 0; i < n; i++)
        if (!kept || !says_the_same(&rules[kept - 1], &rules[i]))
            rules[kept++] = rules[i];
    node = hashmap_find(&sets->by_content, rules, kept * sizeof(*rules));
    if (node) {
        *ret = CONTAINER_OF(node, struct rule_set, by_content);
        return 0;
    }
    return add_set(sets, rules, kept, compile_hash(content_key, sets->secret, rules, kept * sizeof(*rules)), ret);
}

static int compare_sets(const void *a, const void *b)
{
    const struct rule_set *x = *(struct rule_set *const *)a, *y = *(struct rule_set *const *)b;

    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    if (x->n != y->n)
        return x->n < y->n ? -1 : 1;
    return memcmp(x->rules, y->rules, x->n * sizeof(*x->rules));
}

void rule_sets_name(struct rule_sets *sets)
{
    uint32_t last = 0;

    if (sets->n)
        qsort(sets->sets, sets->n, sizeof(*sets->sets), compare_sets);
    for (size_t i = 0; i < sets->n; i++)
        last = sets->sets[i]->id = compile_id_from_hash(sets->sets[i]->hash, last);
}

size_t rule_set_rows(const struct rule_set *set)
{
    return (set->n + RULES_PER_BLOCK - 1) / RULES_PER_BLOCK;
}

size_t rule_sets_size(const struct rule_sets *sets)
{
    size_t n = 0;

    for (size_t i = 0; i < sets->n; i++)
        n += rule_set_rows(sets->sets[i]);
    return n;
}

int rule_sets_rows(const struct rule_sets *sets, struct rows *rows)
{
    for (size_t i = 0; i < sets->n; i++) {
        const struct rule_set *set = sets->sets[i];

        for (size_t first = 0; set->has_room && first < set->n; first += RULES_PER_BLOCK) {
            struct rules_key key = {set->id, (uint32_t)(first / RULES_PER_BLOCK)};
            struct rules_block block = {.set = key.set, .index = key.index, .n = (uint32_t)MIN(set->n - first, RULES_PER_BLOCK)};

            memcpy(block.rules, set->rules + first, block.n * sizeof(*block.rules));
            rules_block_finish(&block);
            if (rows_add(rows, &key, &block) < 0)
                return -ENOMEM;
        }
    }
    return 0;
}

void rule_sets_clear(struct rule_sets *sets)
{
    for (size_t i = 0; i < sets->n; i++)
        free(sets->sets[i]);
    free(sets->sets);
    hashmap_clear(&sets->by_content);
    *sets = (struct rule_sets){0};
}
