/* Objects of one size, from large chunks: no header an object, neighbours in time are neighbours in memory, and where the kernel can, pages of
 * 2 MiB.  Memory goes back to the system when the pool is cleared. */
#ifndef WEFT_BASE_POOL_H
#define WEFT_BASE_POOL_H

#include <stddef.h>

#include "weft/base/util.h"

#define POOL_CHUNK_SIZE (2u << 20)

struct pool {
    size_t object_size; /* A multiple of 8. */
    void *free;         /* Objects that were given back, linked. */
    void *chunks;
    char *next, *end;   /* What of the newest chunk was never used. */
};

void pool_init(struct pool *pool, size_t object_size); /* 8 to POOL_CHUNK_SIZE / 2 bytes. */
void *pool_take(struct pool *pool);                    /* Zeroed; NULL when out of memory. */
void pool_give(struct pool *pool, void *object);       /* NULL is fine. */
void pool_clear(struct pool *pool);                    /* Every object is gone. */

#endif
