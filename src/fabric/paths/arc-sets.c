/* Shared sets of arcs; see arc-sets.h. */
#include "weft/fabric/paths/arc-sets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"

#define NO_SET UINT32_MAX
#define MIN_BUCKETS 64u

static size_t set_size(uint32_t n)
{
    return sizeof(struct arc_set) + n * sizeof(uint32_t);
}

/* Arc numbers are ours, so nobody can choose them to collide. */
static uint32_t hash_arcs(const uint32_t *arcs, uint32_t n)
{
    uint64_t hash = n;

    for (uint32_t i = 0; i < n; i++)
        hash = (hash ^ arcs[i]) * 0x9e3779b97f4a7c15u, hash ^= hash >> 29;
    return (uint32_t)(hash ^ hash >> 32);
}

void arc_sets_clear(struct arc_sets *sets)
{
    for (uint32_t i = 0; i < sets->n_slots; i++)
        free(sets->sets[i]);
    free(sets->sets);
    free(sets->buckets);
    free(sets->free_slots);
    *sets = (struct arc_sets){};
}

static int grow_slots(struct arc_sets *sets)
{
    uint32_t capacity = sets->capacity ? 2 * sets->capacity : 64, *free_slots;
    struct arc_set **pointers;

    if (capacity > ARC_SET_SHARED - 1)
        return -ENOMEM;
    pointers = realloc(sets->sets, capacity * sizeof *pointers);
    if (!pointers)
        return -ENOMEM;
    sets->sets = pointers;
    free_slots = realloc(sets->free_slots, capacity * sizeof *free_slots);
    if (!free_slots)
        return -ENOMEM;
    sets->free_slots = free_slots;
    sets->n_bytes += (capacity - sets->capacity) * (sizeof *pointers + sizeof *free_slots);
    sets->capacity = capacity;
    return 0;
}

/* Keeps the buckets when there is no memory for more, unless there are none. */
static int grow_buckets(struct arc_sets *sets)
{
    uint32_t n_buckets = MAX(2 * sets->n_buckets, MIN_BUCKETS), *buckets = malloc(n_buckets * sizeof *buckets);

    if (!buckets)
        return sets->n_buckets ? 0 : -ENOMEM;
    memset(buckets, 0xff, n_buckets * sizeof *buckets);
    for (uint32_t slot = 0; slot < sets->n_slots; slot++) {
        struct arc_set *set = sets->sets[slot];

        if (!set)
            continue;
        set->next = buckets[set->hash & (n_buckets - 1)];
        buckets[set->hash & (n_buckets - 1)] = slot;
    }
    free(sets->buckets);
    sets->buckets = buckets;
    sets->n_bytes += (n_buckets - sets->n_buckets) * sizeof *buckets;
    sets->n_buckets = n_buckets;
    return 0;
}

static int add(struct arc_sets *sets, const uint32_t *arcs, uint32_t n, uint32_t hash, uint32_t *ret_slot)
{
    struct arc_set *set;
    uint32_t slot;

    if (sets->n_free == 0 && sets->n_slots == sets->capacity && grow_slots(sets) < 0)
        return -ENOMEM;
    if (sets->n_slots - sets->n_free >= sets->n_buckets && grow_buckets(sets) < 0)
        return -ENOMEM;
    set = malloc(set_size(n));
    if (!set)
        return -ENOMEM;
    slot = sets->n_free ? sets->free_slots[--sets->n_free] : sets->n_slots++;
    *set = (struct arc_set){.n = n, .hash = hash, .next = sets->buckets[hash & (sets->n_buckets - 1)]};
    memcpy(set->arcs, arcs, n * sizeof *arcs);
    sets->buckets[hash & (sets->n_buckets - 1)] = slot;
    sets->sets[slot] = set;
    sets->n_bytes += set_size(n);
    *ret_slot = slot;
    return 0;
}

int arc_sets_get(struct arc_sets *sets, const uint32_t *arcs, uint32_t n, uint32_t *ret_handle)
{
    uint32_t hash, slot = NO_SET;

    if (n < 2) {
        *ret_handle = n ? arcs[0] : ARC_SET_EMPTY;
        return 0;
    }
    hash = hash_arcs(arcs, n);
    if (sets->n_buckets)
        for (slot = sets->buckets[hash & (sets->n_buckets - 1)]; slot != NO_SET; slot = sets->sets[slot]->next)
            if (sets->sets[slot]->hash == hash && sets->sets[slot]->n == n &&
                memcmp(sets->sets[slot]->arcs, arcs, n * sizeof *arcs) == 0)
                break;
    if (slot == NO_SET && add(sets, arcs, n, hash, &slot) < 0)
        return -ENOMEM;
    sets->sets[slot]->n_references++;
    *ret_handle = slot | ARC_SET_SHARED;
    return 0;
}

void arc_sets_release(struct arc_sets *sets, uint32_t handle)
{
    uint32_t slot = handle & ~ARC_SET_SHARED, *link;
    struct arc_set *set;

    if (!(handle & ARC_SET_SHARED) || handle == ARC_SET_EMPTY)
        return;
    set = sets->sets[slot];
    if (--set->n_references > 0)
        return;
    for (link = &sets->buckets[set->hash & (sets->n_buckets - 1)]; *link != slot; link = &sets->sets[*link]->next)
        ;
    *link = set->next;
    sets->n_bytes -= set_size(set->n);
    sets->sets[slot] = NULL;
    sets->free_slots[sets->n_free++] = slot;
    free(set);
}
