/* Sets of rules by their content: equal ones are one, and each gets the id that 'policies' names it by (tables.h). */
#ifndef WEFT_COMPILER_RULE_SETS_H
#define WEFT_COMPILER_RULE_SETS_H

#include <stdbool.h>

#include "weft/base/hashmap.h"
#include "weft/dataplane/desired.h"

struct rule_set {
    struct hashmap_node by_content;
    uint32_t hash; /* Of the content. */
    uint32_t id;   /* After rule_sets_name(). */
    bool has_room; /* In the table; true unless somebody says otherwise. */
    size_t n;
    struct rule rules[];
};

struct rule_sets { /* Zeroed: empty. */
    uint64_t secret;     /* Of the host (compiler.h). */
    struct hashmap by_content;
    struct rule_set **sets;
    size_t n, capacity;
};

/* Brings 'rules' into the one order that equal contents have, by protocol and ports, leaves out those that say the same as another, and finds or adds the set.  '*ret' is borrowed; NULL when there are no rules.  Returns 0 or -ENOMEM. */
int rule_sets_add(struct rule_sets *sets, struct rule *rules, size_t n, struct rule_set **ret);

/* Gives each set its id, once all are there: its hash, or the next number that is free where several contents have one hash.  The order in
 * which they were added does not matter. */
void rule_sets_name(struct rule_sets *sets);

size_t rule_set_rows(const struct rule_set *set);  /* How many rows of 'rules' it is. */
size_t rule_sets_size(const struct rule_sets *sets); /* All of them. */

/* Adds the rows of 'rules' of those that have room.  Returns 0 or -ENOMEM. */
int rule_sets_rows(const struct rule_sets *sets, struct rows *rows);

void rule_sets_clear(struct rule_sets *sets);

#endif
