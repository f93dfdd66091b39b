/* Sorted rows: see rows.h.  After a look whether they are sorted already, few rows are merge-sorted and many sorted by the bytes of their keys, from
 * the last to the first (LSD radix sort), without those bytes that all keys have in common: most keys differ in a few. */
#include "weft/base/rows-order.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void rows_init(struct rows *rows, uint32_t key_size, uint32_t value_size)
{
    *rows = (struct rows){.key_size = key_size, .value_size = value_size};
}

void rows_clear(struct rows *rows)
{
    rows_forget(rows);
    free(rows->data);
    rows_init(rows, rows->key_size, rows->value_size);
}

void rows_reset(struct rows *rows)
{
    rows->n = 0;
}

int rows_add(struct rows *rows, const void *key, const void *value)
{
    if (rows->n == rows->capacity) {
        size_t capacity = rows->capacity ? rows->capacity * 2 : 16;
        uint8_t *data = reallocarray(rows->data, capacity, rows_stride(rows));

        if (!data)
            return -ENOMEM;
        rows->data = data;
        rows->capacity = capacity;
    }
    memcpy(rows_key(rows, rows->n), key, rows->key_size);
    if (value)
        memcpy(rows_value(rows, rows->n), value, rows->value_size);
    else
        memset(rows_value(rows, rows->n), 0, rows->value_size);
    rows->n++;
    return 0;
}

/* Merges the sorted runs [left, middle) and [middle, right) of 'from' into 'to'; the left one wins ties, which keeps rows
 * of one key in the order of their addition. */
static void merge(const uint8_t *from, uint8_t *to, size_t left, size_t middle, size_t right, size_t key_size, size_t stride)
{
    size_t a = left, b = middle;

    for (size_t i = left; i < right; i++) {
        int take_left = a < middle && (b >= right || memcmp(from + a * stride, from + b * stride, key_size) <= 0);

        memcpy(to + i * stride, from + (take_left ? a++ : b++) * stride, stride);
    }
}

static int merge_sort(struct rows *rows)
{
    size_t stride = rows_stride(rows);
    uint8_t *other = malloc(rows->n * stride), *from = rows->data;

    if (!other)
        return -ENOMEM;
    uint8_t *to = other;
    for (size_t width = 1; width < rows->n; width *= 2) {
        for (size_t left = 0; left < rows->n; left += 2 * width) {
            size_t middle = left + width < rows->n ? left + width : rows->n;
            size_t right = left + 2 * width < rows->n ? left + 2 * width : rows->n;

            merge(from, to, left, middle, right, rows->key_size, stride);
        }
        uint8_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != rows->data)
        memcpy(rows->data, from, rows->n * stride);
    free(other);
    return 0;
}

#define RADIX_MIN_ROWS 128
#define ROWS_AT_ONCE 64 /* Compared. */

/* One byte of the keys: 'order' is what the bytes behind it came to, 'counts' how often each value is there. */
static void sort_by_byte(const uint8_t *byte, size_t stride, size_t n, const uint32_t counts[256], const uint32_t *order, uint32_t *ret_order)
{
    uint32_t places[256], next = 0;

    for (size_t value = 0; value < 256; value++) {
        places[value] = next;
        next += counts[value];
    }
    for (size_t i = 0; i < n; i++)
        ret_order[places[byte[order[i] * stride]]++] = order[i];
}

int rows_order(const struct rows *rows, uint32_t *order, uint32_t *other, uint32_t **ret)
{
    size_t stride = rows_stride(rows), n = rows->n;
    uint32_t(*counts)[256] = calloc(rows->key_size, sizeof(*counts));

    if (!counts)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *key = rows_key(rows, i);

        order[i] = (uint32_t)i;
        for (uint32_t byte = 0; byte < rows->key_size; byte++)
            counts[byte][key[byte]]++;
    }
    for (uint32_t byte = rows->key_size; byte-- > 0;) {
        if (counts[byte][rows->data[byte]] == n)
            continue;
        sort_by_byte(rows->data + byte, stride, n, counts[byte], order, other);
        uint32_t *swap = order;
        order = other;
        other = swap;
    }
    free(counts);
    *ret = order;
    return 0;
}

static int radix_sort(struct rows *rows)
{
    size_t stride = rows_stride(rows), n = rows->n;
    uint32_t *memory = malloc(2 * n * sizeof(*memory)), *order;
    uint8_t *sorted = malloc(n * stride);
    int error = memory && sorted ? rows_order(rows, memory, memory + n, &order) : -ENOMEM;

    if (error == 0) {
        for (size_t i = 0; i < n; i++)
            memcpy(sorted + i * stride, rows_key(rows, order[i]), stride);
        memcpy(rows->data, sorted, n * stride);
    }
    free(memory);
    free(sorted);
    return error;
}

/* Of rows with one key the first stays. */
static void remove_others(struct rows *rows)
{
    size_t stride = rows_stride(rows), kept = 0;

    for (size_t i = 0; i < rows->n; i++) {
        if (kept && memcmp(rows_key(rows, kept - 1), rows_key(rows, i), rows->key_size) == 0)
            continue;
        if (kept != i)
            memcpy(rows_key(rows, kept), rows_key(rows, i), stride);
        kept++;
    }
    rows->n = kept;
}

int rows_sort(struct rows *rows)
{
    bool is_sorted = true, is_unique = true;
    int error = 0;

    for (size_t i = 1; i < rows->n && is_sorted; i++) {
        int order = memcmp(rows_key(rows, i - 1), rows_key(rows, i), rows->key_size);

        is_sorted = order <= 0;
        is_unique &= order != 0;
    }
    if (!is_sorted) {
        is_unique = false; /* As far as is known. */
        error = rows->n < RADIX_MIN_ROWS || rows->n > UINT32_MAX ? merge_sort(rows) : rows->past ? rows_sort_as_before(rows, &is_unique) : radix_sort(rows);
    }
    if (error == 0 && !is_unique)
        remove_others(rows);
    return error;
}

const void *rows_find(const struct rows *rows, const void *key)
{
    size_t low = 0, high = rows->n;

    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = memcmp(rows_key(rows, middle), key, rows->key_size);

        if (order == 0)
            return rows_value(rows, middle);
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

int rows_copy(const struct rows *rows, struct rows *ret)
{
    uint8_t *data = NULL;

    if (rows->n) {
        data = malloc(rows->n * rows_stride(rows));
        if (!data)
            return -ENOMEM;
        memcpy(data, rows->data, rows->n * rows_stride(rows));
    }
    free(ret->data);
    rows_forget(ret);
    *ret = (struct rows){data, rows->n, rows->n, rows->key_size, rows->value_size, NULL};
    return 0;
}

int rows_compare(const struct rows *before, const struct rows *after,
                 int (*visit)(const void *key, const void *old_value, const void *new_value, void *context), void *context)
{
    size_t i = 0, k = 0, next_look = 0;

    while (i < before->n || k < after->n) {
        int order, result = 0;

        if (i >= next_look) { /* Most rows are the same on both sides. */
            while (i + ROWS_AT_ONCE <= before->n && k + ROWS_AT_ONCE <= after->n &&
                   memcmp(rows_key(before, i), rows_key(after, k), ROWS_AT_ONCE * rows_stride(before)) == 0) {
                i += ROWS_AT_ONCE;
                k += ROWS_AT_ONCE;
            }
            next_look = i + ROWS_AT_ONCE;
            if (i == before->n && k == after->n)
                return 0;
        }
        if (i == before->n)
            order = 1;
        else if (k == after->n)
            order = -1;
        else
            order = memcmp(rows_key(before, i), rows_key(after, k), before->key_size);

        if (order < 0) {
            result = visit(rows_key(before, i), rows_value(before, i), NULL, context);
            i++;
        } else if (order > 0) {
            result = visit(rows_key(after, k), NULL, rows_value(after, k), context);
            k++;
        } else {
            if (memcmp(rows_value(before, i), rows_value(after, k), before->value_size) != 0)
                result = visit(rows_key(after, k), rows_value(before, i), rows_value(after, k), context);
            i++;
            k++;
        }
        if (result)
            return result;
    }
    return 0;
}
