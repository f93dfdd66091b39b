/* What a table holds; for this folder only. */
#ifndef WEFT_BALANCE_STATE_H
#define WEFT_BALANCE_STATE_H

#include <stdbool.h>

#include "weft/balance/shares.h"
#include "weft/balance/table.h"
#include "weft/base/hashmap.h"

struct server {
    struct hashmap_node by_id;
    uint16_t index;
    char id[];
};

/* By index, in arrays of their own, since every row looks into them.  Nobody is at an index without a server, which
 * reads as one that drains until 0: no row keeps it. */
struct members {
    size_t n;
    struct server **servers;
    struct share *shares; /* Targets are what they hold after the change. */
    uint64_t *drain_until_ms;
};

struct balance_table {
    uint32_t n_rows;
    uint64_t history_ms;
    uint64_t next_ms; /* Nothing is over before. */
    struct balance_row *rows;
    uint64_t (*lost_ms)[BALANCE_PREVIOUS]; /* When each previous owner lost the row. */
    uint16_t *owners;                      /* While a change is made: who is to own each row. */
    struct balance_change *changes;
    struct balance_delta delta;
    struct members members;
    struct hashmap by_id;
};

/* What a change needs beside the table while it is made; ten thousand tables have none of it at rest.  Nothing in it is cleared. */
struct scratch {
    bool is_anew[UINT16_MAX + 1];            /* By index, BALANCE_NOBODY too: a row may remember it for another time than before the change. */
    uint64_t drains[UINT16_MAX + 1];         /* All bits: it drains, or is nobody; */
    uint64_t drain_until_ms[UINT16_MAX + 1]; /* and until when, else BALANCE_NEVER. */
    uint32_t rows[];                         /* SCRATCH_LISTS of up to n_rows. */
};
#define SCRATCH_LISTS 2

/* As balance_table_new, also of a number of rows that is no prime; it says why not for -EINVAL. */
int table_allocate(uint32_t n_rows, uint64_t lineage, uint64_t history_ms, struct balance_table **ret_table, struct error *error);

/* Chooses 'table->owners': by 'successors' (for each index the one that takes over its rows, mostly itself), and from
 * who holds more than its target to who holds less.  'surplus' is scratch by index. */
void change_plan(struct balance_table *table, const struct members *members, const uint16_t *successors,
                 int32_t *surplus, struct scratch *scratch);

/* Makes 'table->owners' the owners, forgets who left or whose time is over, and fills the delta.  'table->members' are those before, or 'members'.
 * 'scratch' may be NULL from 'table->next_ms' on. */
void change_apply(struct balance_table *table, const struct members *members, uint64_t now_ms, struct scratch *scratch);

#endif
