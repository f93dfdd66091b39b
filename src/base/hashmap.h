/* An intrusive hash map with byte-string keys: open hashing, doubled when full, SipHash with a key of the process's
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
void hashmap_remove(struct hashmap *map, struct hashmap_node *node); /* 'node' must be in the map. */

/* Visits every node in no order; the visited node may be removed (and freed) in the loop, no other. */
#define HASHMAP_FOREACH(node, map)                                                                           \
    for (size_t bucket_ = 0; bucket_ < (map)->n_buckets; bucket_++)                                          \
        for (struct hashmap_node *node = (map)->buckets[bucket_], *next_ = node ? node->next : NULL; node;   \
             node = next_, next_ = node ? node->next : NULL)

/* Frees the buckets; the nodes are the caller's. */
void hashmap_clear(struct hashmap *map);

#endif
