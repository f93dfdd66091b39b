/* The table of buckets; see buckets.h.
 *
 * Each path's target is its exact share rounded down, or up for as many paths as there are buckets left.  Up goes first
 * to paths that hold more than the share rounded down already, so that nothing moves for the sake of rounding, then to
 * the larger remainders.  Paths then give what they hold beyond their target, and what is free is dealt to those below
 * theirs in turn. */
#include "weft/fabric/paths/buckets.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MIN_BUCKETS 256
#define MIN_BUCKETS_A_PATH 16
#define MAX_WEIGHT 65535
#define NO_OWNER UINT16_MAX

struct share {
    uint32_t target, held;
    uint64_t remainder; /* Of the exact share, in units of 1 / total weight. */
    uint16_t path;
};

static int compare_claims(const void *a, const void *b)
{
    const struct share *x = a, *y = b;
    bool x_holds = x->held > x->target, y_holds = y->held > y->target;

    if (x_holds != y_holds)
        return x_holds ? -1 : 1;
    if (x->remainder != y->remainder)
        return x->remainder > y->remainder ? -1 : 1;
    return x->path < y->path ? -1 : 1;
}

static int compare_paths(const void *a, const void *b)
{
    const struct share *x = a, *y = b;

    return x->path < y->path ? -1 : x->path > y->path;
}

/* 'held' is set; sets the targets, which sum up to 'n_buckets'. */
static void set_targets(struct share *shares, size_t n_paths, const uint32_t *weights, size_t n_buckets)
{
    uint64_t total = 0;
    size_t left = n_buckets;

    for (size_t i = 0; i < n_paths; i++)
        total += weights ? weights[i] : 1;
    for (size_t i = 0; i < n_paths; i++) {
        uint64_t exact = n_buckets * (uint64_t)(weights ? weights[i] : 1);

        shares[i].path = (uint16_t)i;
        shares[i].target = (uint32_t)(exact / total);
        shares[i].remainder = exact % total;
        left -= shares[i].target;
    }
    qsort(shares, n_paths, sizeof *shares, compare_claims);
    for (size_t i = 0; left > 0 && i < n_paths; i++) {
        if (shares[i].remainder == 0)
            continue; /* Its share is whole. */
        shares[i].target++;
        left--;
    }
    qsort(shares, n_paths, sizeof *shares, compare_paths);
}

/* The new index of each old one, NO_OWNER for lost paths. */
static int map_owners(size_t n_paths, const int32_t *previous, uint16_t map[BUCKETS_MAX_PATHS])
{
    for (size_t i = 0; i < BUCKETS_MAX_PATHS; i++)
        map[i] = NO_OWNER;
    for (size_t i = 0; previous && i < n_paths; i++) {
        if (previous[i] == -1)
            continue;
        if (previous[i] < 0 || previous[i] >= BUCKETS_MAX_PATHS || map[previous[i]] != NO_OWNER)
            return -EINVAL;
        map[previous[i]] = (uint16_t)i;
    }
    return 0;
}

int buckets_set(struct buckets *buckets, size_t n_paths, const uint32_t *weights, const int32_t *previous)
{
    uint16_t map[BUCKETS_MAX_PATHS], *owners;
    size_t n = buckets->n ? buckets->n : MIN_BUCKETS, next = 0;
    struct share *shares;

    if (n_paths > BUCKETS_MAX_PATHS || map_owners(n_paths, previous, map) < 0)
        return -EINVAL;
    for (size_t i = 0; weights && i < n_paths; i++)
        if (weights[i] < 1 || weights[i] > MAX_WEIGHT)
            return -EINVAL;
    if (n_paths == 0) {
        buckets_clear(buckets);
        return 0;
    }
    while (n < n_paths * MIN_BUCKETS_A_PATH)
        n *= 2;
    owners = malloc(n * sizeof *owners);
    shares = calloc(n_paths, sizeof *shares);
    if (!owners || !shares) {
        free(owners);
        free(shares);
        return -ENOMEM;
    }

    for (size_t i = 0; i < n; i++) {
        owners[i] = buckets->n ? map[buckets->owners[i & (buckets->n - 1)]] : NO_OWNER;
        if (owners[i] != NO_OWNER)
            shares[owners[i]].held++;
    }
    set_targets(shares, n_paths, weights, n);
    for (size_t i = 0; i < n; i++) {
        if (owners[i] == NO_OWNER || shares[owners[i]].held <= shares[owners[i]].target)
            continue;
        shares[owners[i]].held--;
        owners[i] = NO_OWNER;
    }
    for (size_t i = 0; i < n; i++) {
        if (owners[i] != NO_OWNER)
            continue;
        while (shares[next].held >= shares[next].target) /* Targets sum up to n: there is one. */
            next = (next + 1) % n_paths;
        shares[next].held++;
        owners[i] = (uint16_t)next;
        next = (next + 1) % n_paths;
    }
    free(shares);
    free(buckets->owners);
    *buckets = (struct buckets){.n = n, .owners = owners};
    return 0;
}

void buckets_clear(struct buckets *buckets)
{
    free(buckets->owners);
    *buckets = (struct buckets){};
}
