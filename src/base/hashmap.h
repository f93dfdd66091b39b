/* An intrusive hash map with byte-string keys: open hashing, doubled when full, hashed by a secret of the process's
 * own, so that a tenant who chooses keys cannot choose collisions.
 *
 *     struct port { struct hashmap_node by_id; char id[37]; ... };
 *     hashmap_insert(&ports, &port->by_id, port->id, strlen(port->id));
 *     struct hashmap_node *node = hashmap_find(&ports, id, strlen(id));
 *     struct port *port = node ? CONTAINER_OF(node, struct port, by_id) : NULL;
 *
 * Keys are borrowed from the object and must not change while it is in the map.  A zeroed struct is an empty map. */
#ifndef WEFT_BASE_HASHMAP_H
#define WEFT_BASE_HASHMAP_H

#include <stddef.h>
#include <stdint.h>

#include "weft/base/util.h"

struct hashmap_node {
    struct hashmap_node *next;
    const void *key;
    uint32_t key_size;
    uint32_t hash;
};

struct hashmap {
    struct hashmap_node **buckets;
    size_t n_buckets; /* Zero or a power of two. */
    size_t n_nodes;
};

/* Returns 0, -EEXIST if the key is there (nothing changes), or -ENOMEM. */
int hashmap_insert(struct hashmap *map, struct hashmap_node *node, const void *key, size_t key_size);
struct hashmap_node *hashmap_find(const struct hashmap *map, const void *key, size_t key_size);

/* Room for so many nodes, so that inserting does not stop to grow.  0 or -ENOMEM. */
int hashmap_reserve(struct hashmap *map, size_t n_nodes);

/* The same in steps, for those who look before they insert: the hash is computed once.  hashmap_insert_new must not be given a key that
 * is there; it returns 0 or -ENOMEM. */
uint32_t hashmap_hash(const void *key, size_t key_size);
/* Brings what the search begins with nearer, while something else is done. */
static inline void hashmap_prefetch(const struct hashmap *map, uint32_t hash)
{
    if (map->n_buckets)
        __builtin_prefetch(&map->buckets[hash & (map->n_buckets - 1)]);
}

struct hashmap_node *hashmap_find_hashed(const struct hashmap *map, const void *key, size_t key_size, uint32_t hash);
int hashmap_insert_new(struct hashmap *map, struct hashmap_node *node, const void *key, size_t key_size, uint32_t hash);
void hashmap_remove(struct hashmap *map, struct hashmap_node *node); /* 'node' must be in the map. */

/* Visits every node in no order; the visited node may be removed (and freed) in the loop, no other. */
#define HASHMAP_FOREACH(node, map)                                                                           \
    for (size_t bucket_ = 0; bucket_ < (map)->n_buckets; bucket_++)                                          \
        for (struct hashmap_node *node = (map)->buckets[bucket_], *next_ = node ? node->next : NULL; node;   \
             node = next_, next_ = node ? node->next : NULL)

/* Frees the buckets; the nodes are the caller's. */
void hashmap_clear(struct hashmap *map);

#endif
