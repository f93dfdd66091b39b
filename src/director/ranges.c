#include "weft/director/ranges.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int ranges_init(struct ranges *ranges, uint32_t n)
{
    *ranges = (struct ranges){.free = calloc(16, sizeof(*ranges->free)), .n_room = 16};
    if (!ranges->free)
        return -ENOMEM;
    if (n)
        ranges->free[ranges->n_free++] = (struct range){0, n};
    return 0;
}

void ranges_clear(struct ranges *ranges)
{
    free(ranges->free);
    *ranges = (struct ranges){0};
}

static void remove_at(struct ranges *ranges, size_t i)
{
    memmove(&ranges->free[i], &ranges->free[i + 1], (ranges->n_free - i - 1) * sizeof(*ranges->free));
    ranges->n_free--;
}

uint32_t ranges_take(struct ranges *ranges, uint32_t n)
{
    for (size_t i = 0; i < ranges->n_free; i++) {
        struct range *range = &ranges->free[i];
        uint32_t first = range->first;

        if (range->n < n)
            continue;
        range->first += n;
        range->n -= n;
        if (!range->n)
            remove_at(ranges, i);
        return first;
    }
    return RANGE_NONE;
}

/* The first range behind 'first'. */
static size_t find_after(const struct ranges *ranges, uint32_t first)
{
    size_t low = 0, high = ranges->n_free;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (ranges->free[middle].first < first)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool insert_at(struct ranges *ranges, size_t at, struct range range)
{
    if (ranges->n_free == ranges->n_room) {
        struct range *larger = reallocarray(ranges->free, ranges->n_room * 2, sizeof(*larger));

        if (!larger)
            return false;
        ranges->free = larger;
        ranges->n_room *= 2;
    }
    memmove(&ranges->free[at + 1], &ranges->free[at], (ranges->n_free - at) * sizeof(*ranges->free));
    ranges->free[at] = range;
    ranges->n_free++;
    return true;
}

bool ranges_take_at(struct ranges *ranges, uint32_t first, uint32_t n)
{
    size_t at = find_after(ranges, first);
    struct range *range, found;

    if (at == ranges->n_free || ranges->free[at].first != first) {
        if (!at)
            return false;
        at--;
    }
    range = &ranges->free[at];
    found = *range;
    if (!n || first < found.first || first - found.first > found.n || n > found.n - (first - found.first))
        return false;
    if (first + n < found.first + found.n && first > found.first) {
        if (!insert_at(ranges, at + 1, (struct range){first + n, found.first + found.n - first - n}))
            return false;
        ranges->free[at].n = first - found.first;
        return true;
    }
    if (first == found.first)
        range->first += n;
    range->n -= n;
    if (!range->n)
        remove_at(ranges, at);
    return true;
}

void ranges_give(struct ranges *ranges, uint32_t first, uint32_t n)
{
    size_t at = find_after(ranges, first);
    struct range *before = at ? &ranges->free[at - 1] : NULL, *after = at < ranges->n_free ? &ranges->free[at] : NULL;

    if (!n)
        return;
    if (before && before->first + before->n == first) {
        before->n += n;
        if (after && after->first == before->first + before->n) {
            before->n += after->n;
            remove_at(ranges, at);
        }
        return;
    }
    if (after && first + n == after->first) {
        after->first = first;
        after->n += n;
        return;
    }
    insert_at(ranges, at, (struct range){first, n});
}
