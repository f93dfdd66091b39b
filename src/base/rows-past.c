/* Rows that are filled again and again with nearly the same: the keys as they were added last time, and the order in which they came to lie.
 *
 * Keys that differ from those of last time are taken out of that order and put where they belong; if there are many of them, all are sorted anew.  So it does
 * not matter what happened to the rows since: only the keys that were added then and now are looked at. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/rows-order.h"

#define CHANGES_MAX 64

struct rows_past {
    uint8_t *keys;          /* As they were added, */
    uint32_t *order, *next; /* and where each went; 'next' is scratch. */
    size_t n, capacity;     /* n: 0 if nothing is known. */
    uint8_t *spare;         /* Room for the rows: they change places with it. */
    size_t spare_capacity;
};

int rows_remember(struct rows *rows)
{
    if (!rows->past)
        rows->past = calloc(1, sizeof(*rows->past));
    return rows->past ? 0 : -ENOMEM;
}

void rows_forget(struct rows *rows)
{
    if (!rows->past)
        return;
    free(rows->past->keys);
    free(rows->past->order);
    free(rows->past->next);
    free(rows->past->spare);
    free(rows->past);
    rows->past = NULL;
}

/* What is different: rows of last time that are gone, and rows of now that are new, both by their index. */
struct changes {
    uint32_t gone[CHANGES_MAX], added[CHANGES_MAX];
    size_t n_gone, n_added;
    size_t suffix; /* The first row of last time whose index has moved, */
    ptrdiff_t by;  /* so far. */
};

static bool is_same(const struct rows *rows, size_t now, size_t then)
{
    return memcmp(rows_key(rows, now), rows->past->keys + then * rows->key_size, rows->key_size) == 0;
}

/* As many rows as last time: each by itself. */
static bool find_changed(const struct rows *rows, struct changes *ret)
{
    for (size_t i = 0; i < rows->n; i++) {
        if (is_same(rows, i, i))
            continue;
        if (ret->n_gone == CHANGES_MAX)
            return false;
        ret->gone[ret->n_gone++] = ret->added[ret->n_added++] = (uint32_t)i;
    }
    ret->suffix = rows->n;
    return true;
}

/* Rows came or went in one place: those before it are as they were, and those behind it. */
static bool find_moved(const struct rows *rows, struct changes *ret)
{
    size_t n = rows->n, n_past = rows->past->n, fewer = n < n_past ? n : n_past, prefix = 0, suffix = 0;

    while (prefix < fewer && is_same(rows, prefix, prefix))
        prefix++;
    while (suffix < fewer - prefix && is_same(rows, n - 1 - suffix, n_past - 1 - suffix))
        suffix++;
    if (n - prefix - suffix > CHANGES_MAX || n_past - prefix - suffix > CHANGES_MAX)
        return false;
    for (size_t i = prefix; i < n - suffix; i++)
        ret->added[ret->n_added++] = (uint32_t)i;
    for (size_t i = prefix; i < n_past - suffix; i++)
        ret->gone[ret->n_gone++] = (uint32_t)i;
    ret->suffix = n_past - suffix;
    ret->by = (ptrdiff_t)n - (ptrdiff_t)n_past;
    return true;
}

static int compare(const struct rows *rows, uint32_t a, uint32_t b)
{
    return memcmp(rows_key(rows, a), rows_key(rows, b), rows->key_size);
}

static void sort_added(const struct rows *rows, struct changes *changes)
{
    for (size_t i = 1; i < changes->n_added; i++) {
        uint32_t added = changes->added[i];
        size_t k = i;

        for (; k > 0 && compare(rows, changes->added[k - 1], added) > 0; k--)
            changes->added[k] = changes->added[k - 1];
        changes->added[k] = added;
    }
}

/* Where in the order the row belongs, from 'low' on; SIZE_MAX if one of that key is there. */
static size_t find_place(const struct rows *rows, const uint32_t *order, size_t low, size_t n, uint32_t row)
{
    size_t high = n;

    while (low < high) {
        size_t middle = (low + high) / 2;
        int difference = compare(rows, order[middle], row);

        if (difference == 0)
            return SIZE_MAX;
        if (difference < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The order of what stays, with its indexes of now, in 'next'.  Returns how many. */
static size_t keep_order(const struct rows_past *past, const struct changes *changes, uint8_t *is_gone)
{
    size_t n = 0;

    for (size_t i = 0; i < changes->n_gone; i++)
        is_gone[changes->gone[i]] = 1;
    for (size_t i = 0; i < past->n; i++) {
        uint32_t row = past->order[i];

        if (!is_gone[row])
            past->next[n++] = row < changes->suffix ? row : (uint32_t)(row + changes->by);
    }
    return n;
}

/* Puts the added ones into the order.  False: two have the same key. */
static bool merge_order(const struct rows *rows, const struct changes *changes, size_t n_kept)
{
    struct rows_past *past = rows->past;
    size_t from = 0, to = 0;

    for (size_t i = 0; i < changes->n_added; i++) {
        size_t place = find_place(rows, past->next, from, n_kept, changes->added[i]);

        if (place == SIZE_MAX || (i && compare(rows, changes->added[i - 1], changes->added[i]) == 0))
            return false;
        memcpy(past->order + to, past->next + from, (place - from) * sizeof(*past->order));
        to += place - from;
        past->order[to++] = changes->added[i];
        from = place;
    }
    memcpy(past->order + to, past->next + from, (n_kept - from) * sizeof(*past->order));
    return true;
}

/* The keys of last time become those of now. */
static void update_keys(const struct rows *rows, const struct changes *changes)
{
    struct rows_past *past = rows->past;
    size_t size = rows->key_size;

    if (changes->by)
        memmove(past->keys + (changes->suffix + changes->by) * size, past->keys + changes->suffix * size, (past->n - changes->suffix) * size);
    for (size_t i = 0; i < changes->n_added; i++)
        memcpy(past->keys + changes->added[i] * size, rows_key(rows, changes->added[i]), size);
    past->n = rows->n;
}

/* The order of now from that of last time.  False: there is too much of a difference, or no memory. */
static bool follow(const struct rows *rows)
{
    struct rows_past *past = rows->past;
    struct changes changes = {0};
    bool is_followed;

    if (!past->n || !(rows->n == past->n ? find_changed(rows, &changes) : find_moved(rows, &changes)))
        return false;
    if (!changes.n_added && !changes.n_gone)
        return true;
    uint8_t *is_gone = calloc(past->n, 1);
    if (!is_gone)
        return false;
    sort_added(rows, &changes);
    is_followed = merge_order(rows, &changes, keep_order(past, &changes, is_gone));
    free(is_gone);
    if (is_followed)
        update_keys(rows, &changes);
    return is_followed;
}

static int make_room(const struct rows *rows)
{
    struct rows_past *past = rows->past;

    if (past->capacity < rows->n) {
        uint8_t *keys = reallocarray(past->keys, rows->capacity, rows->key_size);
        past->keys = keys ? keys : past->keys;
        uint32_t *order = keys ? reallocarray(past->order, rows->capacity, sizeof(*order)) : NULL;
        past->order = order ? order : past->order;
        uint32_t *next = order ? reallocarray(past->next, rows->capacity, sizeof(*next)) : NULL;
        past->next = next ? next : past->next;
        if (!next)
            return -ENOMEM;
        past->capacity = rows->capacity;
    }
    if (past->spare_capacity < rows->n) {
        uint8_t *spare = reallocarray(past->spare, rows->capacity, rows_stride(rows));
        if (!spare)
            return -ENOMEM;
        past->spare = spare;
        past->spare_capacity = rows->capacity;
    }
    return 0;
}

/* Who of two rows of one key was first is not told by an order without the other: then nothing is remembered. */
static int order_anew(const struct rows *rows)
{
    struct rows_past *past = rows->past;
    uint32_t *order;
    int error = rows_order(rows, past->order, past->next, &order);
    bool is_unique = true;

    past->n = 0;
    if (error < 0)
        return error;
    if (order != past->order) {
        past->next = past->order;
        past->order = order;
    }
    for (size_t i = 0; i < rows->n; i++) {
        memcpy(past->keys + i * rows->key_size, rows_key(rows, i), rows->key_size);
        is_unique &= !i || compare(rows, order[i - 1], order[i]) != 0;
    }
    past->n = is_unique ? rows->n : 0;
    return 0;
}

static inline __attribute__((always_inline)) void copy_sized(uint8_t *to, const uint8_t *from, const uint32_t *order, size_t n, size_t stride)
{
    for (size_t i = 0; i < n; i++)
        memcpy(to + i * stride, from + order[i] * stride, stride);
}

/* Rows of the sizes that large tables have are copied by moves instead of calls. */
static void copy_in_order(uint8_t *to, const uint8_t *from, const uint32_t *order, size_t n, size_t stride)
{
    switch (stride) {
    case 16:
        return copy_sized(to, from, order, n, 16);
    case 20:
        return copy_sized(to, from, order, n, 20);
    case 24:
        return copy_sized(to, from, order, n, 24);
    case 28:
        return copy_sized(to, from, order, n, 28);
    case 40:
        return copy_sized(to, from, order, n, 40);
    case 52:
        return copy_sized(to, from, order, n, 52);
    default:
        return copy_sized(to, from, order, n, stride);
    }
}

int rows_sort_as_before(struct rows *rows, bool *ret_is_unique)
{
    struct rows_past *past = rows->past;
    size_t capacity = rows->capacity;
    uint8_t *data = rows->data;
    int error = make_room(rows);

    if (error == 0 && !follow(rows))
        error = order_anew(rows);
    if (error < 0) {
        past->n = 0;
        return error;
    }
    copy_in_order(past->spare, data, past->order, rows->n, rows_stride(rows));
    rows->data = past->spare;
    rows->capacity = past->spare_capacity;
    past->spare = data;
    past->spare_capacity = capacity;
    *ret_is_unique = past->n == rows->n;
    return 0;
}
