#include "weft/base/pool.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CHUNK_HEADER 64 /* The link to the chunk before, and what keeps objects on cache lines of their own. */

void pool_init(struct pool *pool, size_t object_size)
{
    *pool = (struct pool){.object_size = (object_size + 7) & ~(size_t)7};
}

static int add_chunk(struct pool *pool)
{
    char *chunk = aligned_alloc(POOL_CHUNK_SIZE, POOL_CHUNK_SIZE);

    if (!chunk)
        return -1;
    madvise(chunk, POOL_CHUNK_SIZE, MADV_HUGEPAGE);
    *(void **)(void *)chunk = pool->chunks;
    pool->chunks = chunk;
    pool->next = chunk + CHUNK_HEADER;
    pool->end = chunk + POOL_CHUNK_SIZE;
    return 0;
}

void *pool_take(struct pool *pool)
{
    void *object = pool->free;

    if (object) {
        pool->free = *(void **)object;
    } else {
        if ((size_t)(pool->end - pool->next) < pool->object_size && add_chunk(pool) < 0)
            return NULL;
        object = pool->next;
        pool->next += pool->object_size;
    }
    return memset(object, 0, pool->object_size);
}

void pool_give(struct pool *pool, void *object)
{
    if (!object)
        return;
    *(void **)object = pool->free;
    pool->free = object;
}

void pool_clear(struct pool *pool)
{
    while (pool->chunks) {
        void *before = *(void **)pool->chunks;

        free(pool->chunks);
        pool->chunks = before;
    }
    pool->free = NULL;
    pool->next = pool->end = NULL;
}
