/* Inside replica.c and replica-lookup.c only. */
#ifndef WEFT_API_REPLICA_STATE_H
#define WEFT_API_REPLICA_STATE_H

#include <pthread.h>

#include "weft/api/replica-index.h"

#define MAX_FOLLOWS 16

/* One object. */
struct entry {
    struct hashmap_node by_id;
    struct object *object;
    struct replica_places places;
    uint8_t status;            /* Of a port: enum port_status, as 'status_host' said; of a member: enum member_health. */
    char *status_host;
};

struct kind {
    struct hashmap by_id;            /* Of struct entry. */
    const struct object **objects;   /* In the order of ids. */
    size_t n, capacity;
};

struct follow {
    const char *prefix;
    size_t size;
    replica_follow_fn follow;
    void *context;
};

struct batch;

struct replica {
    struct store *store;
    struct store_watch *watch;
    struct kind kinds[RESOURCE_N_KINDS];
    struct replica_index index;
    uint64_t revision;
    struct replica_listener *listeners, **last_listener;
    struct follow follows[MAX_FOLLOWS];
    size_t n_follows;
    struct replica_wait *waits; /* By revision, lowest first. */
    uv_async_t async;

    pthread_mutex_t lock; /* Protects what follows: between the store's thread and the loop. */
    struct batch *first, **last;
    uint64_t delivered_revision; /* Of an empty batch behind the last queued one. */
};

struct entry *replica_entry(const struct replica *replica, enum resource_kind kind, const char *id); /* NULL: none. */

#endif
