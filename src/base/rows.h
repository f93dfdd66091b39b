/* A sorted array of fixed-size rows, key first, value behind it: a hash or array map's content as plain memory.
 *
 * Rows are added in any order, sorted once, and then searched or walked beside another set of rows: the difference of
 * two sorted arrays is one pass.  Keys compare as bytes. */
#ifndef WEFT_BASE_ROWS_H
#define WEFT_BASE_ROWS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct rows {
    uint8_t *data;
    size_t n, capacity; /* Counted in rows. */
    uint32_t key_size, value_size;
    struct rows_past *past; /* Of rows that are remembered; else NULL. */
};

void rows_init(struct rows *rows, uint32_t key_size, uint32_t value_size);
void rows_clear(struct rows *rows); /* Frees; sizes stay, so that it can be filled again. */

void rows_reset(struct rows *rows); /* No rows; the memory stays, so that filling it again costs none. */

/* Appends a row; 'value' may be NULL for zeros.  Returns 0 or -ENOMEM. */
int rows_add(struct rows *rows, const void *key, const void *value);

/* The same, for sizes that the compiler knows; they must be those of the rows. */
static inline int rows_add_sized(struct rows *rows, const void *key, size_t key_size, const void *value, size_t value_size)
{
    if (rows->n == rows->capacity)
        return rows_add(rows, key, value);
    uint8_t *row = rows->data + rows->n++ * (key_size + value_size);
    memcpy(row, key, key_size);
    memcpy(row + key_size, value, value_size);
    return 0;
}

/* For rows that are filled again and again with nearly the same: from now on sorting takes the order of the last time, if the keys are the same, in the
 * order of their addition, but for a few.  Takes 4 bytes and another copy of each row.  Returns 0 or -ENOMEM. */
int rows_remember(struct rows *rows);

/* Sorts by key; of rows with the same key the one that was added first stays.  Returns 0 or -ENOMEM. */
int rows_sort(struct rows *rows);

/* The value of 'key' in sorted rows, or NULL. */
const void *rows_find(const struct rows *rows, const void *key);

/* Copies into '*ret', which was initialized or is empty.  Returns 0 or -ENOMEM. */
int rows_copy(const struct rows *rows, struct rows *ret);

static inline size_t rows_stride(const struct rows *rows)
{
    return rows->key_size + rows->value_size;
}

static inline uint8_t *rows_key(const struct rows *rows, size_t index)
{
    return rows->data + index * rows_stride(rows);
}

static inline uint8_t *rows_value(const struct rows *rows, size_t index)
{
    return rows_key(rows, index) + rows->key_size;
}

/* Walks two sorted arrays side by side and says for each key where it is: 'old_value' or 'new_value' is NULL where it
 * is missing.  Rows that are equal in both are not visited.  A non-zero return ends the walk and is returned. */
int rows_compare(const struct rows *before, const struct rows *after,
                 int (*visit)(const void *key, const void *old_value, const void *new_value, void *context), void *context);

#endif
