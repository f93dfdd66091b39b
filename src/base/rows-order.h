/* Sorting rows, for rows.c and rows-past.c. */
#ifndef WEFT_BASE_ROWS_ORDER_H
#define WEFT_BASE_ROWS_ORDER_H

#include <stdbool.h>

#include "weft/base/rows.h"

/* The order of the rows by their keys, equal ones in the order of their addition: indexes, in one of the two arrays, which have room for all.  Returns 0 or
 * -ENOMEM. */
int rows_order(const struct rows *rows, uint32_t *order, uint32_t *other, uint32_t **ret);

/* Sorts remembered rows.  Returns 0 or -ENOMEM. */
int rows_sort_as_before(struct rows *rows, bool *ret_is_unique); /* No two have the same key. */
void rows_forget(struct rows *rows);

#endif
