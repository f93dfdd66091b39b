/* A priority queue of nodes by a 64-bit key, with keys that get smaller: a 4-ary heap that knows where each node
 * stands.  Ties leave in any order.  Room for all nodes is allocated once, so that nothing fails while paths are
 * computed. */
#ifndef WEFT_FABRIC_PATHS_NODE_HEAP_H
#define WEFT_FABRIC_PATHS_NODE_HEAP_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#define NODE_HEAP_OUT UINT32_MAX

struct node_heap {
    struct node_heap_entry {
        uint64_t key;
        uint32_t node;
    } * entries;
    uint32_t *places; /* Of each node in 'entries', or NODE_HEAP_OUT. */
    uint32_t n, capacity;
};

/* The heap must be empty.  0 or -ENOMEM. */
static inline int node_heap_reserve(struct node_heap *heap, uint32_t n_nodes)
{
    struct node_heap_entry *entries;
    uint32_t *places;

    if (n_nodes <= heap->capacity)
        return 0;
    entries = realloc(heap->entries, n_nodes * sizeof *entries);
    if (!entries)
        return -ENOMEM;
    heap->entries = entries;
    places = realloc(heap->places, n_nodes * sizeof *places);
    if (!places)
        return -ENOMEM;
    for (uint32_t i = heap->capacity; i < n_nodes; i++)
        places[i] = NODE_HEAP_OUT;
    heap->places = places;
    heap->capacity = n_nodes;
    return 0;
}

static inline void node_heap_clear(struct node_heap *heap)
{
    free(heap->entries);
    free(heap->places);
    *heap = (struct node_heap){0};
}

/* Adds a node, or makes its key smaller. */
static inline void node_heap_put(struct node_heap *heap, uint32_t node, uint64_t key)
{
    uint32_t at = heap->places[node];

    if (at == NODE_HEAP_OUT)
        at = heap->n++;
    while (at > 0) {
        uint32_t parent = (at - 1) / 4;

        if (heap->entries[parent].key <= key)
            break;
        heap->entries[at] = heap->entries[parent];
        heap->places[heap->entries[at].node] = at;
        at = parent;
    }
    heap->entries[at] = (struct node_heap_entry){key, node};
    heap->places[node] = at;
}

/* Takes out a node of the smallest key; there must be one. */
static inline uint32_t node_heap_take(struct node_heap *heap)
{
    uint32_t node = heap->entries[0].node, at = 0;
    struct node_heap_entry last = heap->entries[--heap->n];

    heap->places[node] = NODE_HEAP_OUT;
    if (heap->n == 0)
        return node;
    while (4 * at + 1 < heap->n) {
        uint32_t least = 4 * at + 1, end = least + 4 < heap->n ? least + 4 : heap->n;

        for (uint32_t child = least + 1; child < end; child++)
            if (heap->entries[child].key < heap->entries[least].key)
                least = child;
        if (heap->entries[least].key >= last.key)
            break;
        heap->entries[at] = heap->entries[least];
        heap->places[heap->entries[at].node] = at;
        at = least;
    }
    heap->entries[at] = last;
    heap->places[last.node] = at;
    return node;
}

static inline void node_heap_empty(struct node_heap *heap)
{
    while (heap->n > 0)
        heap->places[heap->entries[--heap->n].node] = NODE_HEAP_OUT;
}

#endif
