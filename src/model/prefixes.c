#include "weft/model/prefixes.h"

#include <stdlib.h>

int prefix_compare(const void *a, const void *b)
{
    const struct ip_prefix *x = a, *y = b;
    int order = ip_compare(&x->address, &y->address);

    return order ? order : prefix_bits(x) - prefix_bits(y);
}

/* The prefix one bit shorter. */
static struct ip_prefix parent(const struct ip_prefix *prefix)
{
    struct ip_prefix wider = {prefix->address, (uint8_t)(prefix->length - 1)};

    wider.address = prefix_first(&wider);
    return wider;
}

/* The two halves of one prefix? */
static bool are_siblings(const struct ip_prefix *a, const struct ip_prefix *b)
{
    struct ip_prefix x, y;

    if (a->length != b->length || a->length == 0 || ip_is_v4(&a->address) != ip_is_v4(&b->address))
        return false;
    x = parent(a);
    y = parent(b);
    return ip_equal(&x.address, &y.address);
}

/* In order, each is within the last one, or its other half, or stays beside it. */
size_t prefixes_compact(struct ip_prefix *list, size_t n)
{
    size_t kept = 0;

    if (n > 1)
        qsort(list, n, sizeof(*list), prefix_compare);
    for (size_t i = 0; i < n; i++) {
        if (kept > 0 && prefix_overlaps(&list[kept - 1], &list[i]))
            continue;
        list[kept++] = list[i];
        while (kept > 1 && are_siblings(&list[kept - 2], &list[kept - 1])) {
            list[kept - 2] = parent(&list[kept - 2]);
            kept--;
        }
    }
    return kept;
}

/* The last that begins no later may contain the prefix; the one behind it may be within it. */
const struct ip_prefix *prefixes_find_overlap(const struct ip_prefix *list, size_t n, const struct ip_prefix *prefix)
{
    size_t low = 0, high = n;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (ip_compare(&list[middle].address, &prefix->address) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low > 0 && prefix_overlaps(&list[low - 1], prefix))
        return &list[low - 1];
    return low < n && prefix_overlaps(&list[low], prefix) ? &list[low] : NULL;
}

bool prefixes_hold(const struct ip_prefix *list, size_t n, const struct ip_prefix *prefix)
{
    const struct ip_prefix *found = prefixes_find_overlap(list, n, prefix);

    return found && found->length <= prefix->length;
}

/* Of two that do not overlap, the one that comes first overlaps nothing behind the other one. */
bool prefixes_overlap(const struct ip_prefix *a, size_t n_a, const struct ip_prefix *b, size_t n_b)
{
    for (size_t i = 0, j = 0; i < n_a && j < n_b;) {
        if (prefix_overlaps(&a[i], &b[j]))
            return true;
        if (ip_compare(&a[i].address, &b[j].address) < 0)
            i++;
        else
            j++;
    }
    return false;
}

size_t prefixes_subtract(struct ip_prefix *list, size_t n, const struct ip_prefix *prefix)
{
    struct ip_prefix *found = (struct ip_prefix *)prefixes_find_overlap(list, n, prefix);
    uint8_t length;

    if (!found)
        return n;
    length = found->length;
    *found = list[--n];
    /* Of each step from the whole to the prefix, the other half stays. */
    for (struct ip_prefix half = *prefix; half.length > length; half = parent(&half)) {
        struct ip_prefix whole = parent(&half), low = {whole.address, half.length}, high = low;
        struct ip_address last = prefix_last(&low);

        high.address = ip_add(&last, 1);
        list[n++] = ip_equal(&half.address, &low.address) ? high : low;
    }
    qsort(list, n, sizeof(*list), prefix_compare);
    return n;
}

/* The first prefix of that length from 'address' on. */
static struct ip_prefix align(const struct ip_address *address, uint8_t length)
{
    struct ip_prefix prefix = {*address, length};
    struct ip_address last;

    prefix.address = prefix_first(&prefix);
    if (!ip_equal(&prefix.address, address)) {
        last = prefix_last(&prefix);
        prefix.address = ip_add(&last, 1);
    }
    return prefix;
}

bool prefixes_find_free(const struct ip_prefix *space, size_t n_space, const struct ip_prefix *used, size_t n_used, uint8_t length,
                        struct ip_prefix *ret)
{
    size_t next = 0; /* What is used before it lies before every candidate. */

    for (size_t i = 0; i < n_space; i++) {
        struct ip_prefix candidate = {space[i].address, length};

        while (space[i].length <= length && prefix_contains(&space[i], &candidate.address)) {
            struct ip_address end, behind;
            bool is_overlapped;

            while (next < n_used && !prefix_overlaps(&used[next], &candidate) && ip_compare(&used[next].address, &candidate.address) < 0)
                next++;
            is_overlapped = next < n_used && prefix_overlaps(&used[next], &candidate);
            if (!is_overlapped) {
                *ret = candidate;
                return true;
            }
            end = prefix_last(used[next].length < length ? &used[next] : &candidate);
            behind = ip_add(&end, 1);
            if (ip_compare(&behind, &end) <= 0)
                break; /* The end of all addresses. */
            candidate = align(&behind, length);
            if (ip_compare(&candidate.address, &behind) < 0)
                break;
        }
    }
    return false;
}
