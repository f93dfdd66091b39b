/* Which of n paths a flow takes: a table of buckets, so that a path that is lost moves only its own flows and one that comes moves only its share
 * (resilient hashing).  The table is a function of its history of changes, and after any of them each path has its weight's share of the
 * buckets, rounded up or down.  As few buckets change owner as that allows; with equal weights these are only those of lost paths, or
 * only those that new paths get. */
#ifndef WEFT_FABRIC_PATHS_BUCKETS_H
#define WEFT_FABRIC_PATHS_BUCKETS_H

#include <stddef.h>
#include <stdint.h>

#define BUCKETS_MAX_PATHS 1024

struct buckets {
    size_t n;         /* Power of two; 0 without paths. */
    uint16_t *owners; /* Index into the caller's paths. */
};

/* Sets up, or changes, the table for 'n_paths' paths with 'weights' (NULL: equal).  'previous' says for each path its index before the change, or
 * -1 for a new one (NULL: all are new).  At least 256 buckets and at least 16 a path (so that shares are within 1/16); a table that must
 * grow keeps owners by doubling.  Returns 0, -EINVAL (more than BUCKETS_MAX_PATHS, a weight of 0
 * or over 65535, a previous index that is out of range or given twice), or -ENOMEM, with the table as it was. */
int buckets_set(struct buckets *buckets, size_t n_paths, const uint32_t *weights, const int32_t *previous);
void buckets_clear(struct buckets *buckets);

/* The path of a flow.  There must be one. */
static inline size_t buckets_select(const struct buckets *buckets, uint32_t hash)
{
    return buckets->owners[hash & (buckets->n - 1)];
}

#endif
