/* Small sets of arcs, each kept once however often it is used: the next arcs of nodes in DAGs.  In fabrics a node has
 * the same next arcs toward most destinations ("any of the uplinks"), so that thousands of DAGs share one copy.
 *
 * A set is known by a 32-bit handle.  A set of one arc is the arc's number itself and costs nothing. */
#ifndef WEFT_FABRIC_PATHS_ARC_SETS_H
#define WEFT_FABRIC_PATHS_ARC_SETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARC_SET_EMPTY UINT32_MAX
#define ARC_SET_SHARED 0x80000000u /* In the handle of a set of two or more. */

struct arc_set {
    uint32_t n_references, n, hash;
    uint32_t next; /* In its bucket, or the next free one. */
    uint32_t arcs[];
};

struct arc_sets {
    struct arc_set **sets; /* By handle without ARC_SET_SHARED. */
    uint32_t *buckets, *free_slots;
    uint32_t n_slots, n_free, capacity, n_buckets;
    size_t n_bytes;
};

void arc_sets_clear(struct arc_sets *sets);

/* A reference to the set of 'arcs' in this order; 0 or -ENOMEM. */
int arc_sets_get(struct arc_sets *sets, const uint32_t *arcs, uint32_t n, uint32_t *ret_handle);
void arc_sets_release(struct arc_sets *sets, uint32_t handle);

static inline void arc_sets_hold(struct arc_sets *sets, uint32_t handle)
{
    if (handle & ARC_SET_SHARED && handle != ARC_SET_EMPTY)
        sets->sets[handle & ~ARC_SET_SHARED]->n_references++;
}

/* The arcs of '*handle', which a set of one arc is itself: valid as long as the pointer and the reference are. */
static inline const uint32_t *arc_sets_arcs(const struct arc_sets *sets, const uint32_t *handle, uint32_t *ret_n)
{
    const struct arc_set *set;

    if (!(*handle & ARC_SET_SHARED)) {
        *ret_n = 1;
        return handle;
    }
    if (*handle == ARC_SET_EMPTY) {
        *ret_n = 0;
        return NULL;
    }
    set = sets->sets[*handle & ~ARC_SET_SHARED];
    *ret_n = set->n;
    return set->arcs;
}

#endif
