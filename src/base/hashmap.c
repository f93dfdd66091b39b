#include "weft/base/hashmap.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "weft/base/uuid.h"

static uint64_t secret[2];

static void make_secret(void)
{
    random_bytes(secret, sizeof secret);
}

#define ROTATE(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
#define SIP_ROUND                                                                                            \
    do {                                                                                                     \
        v0 += v1, v1 = ROTATE(v1, 13), v1 ^= v0, v0 = ROTATE(v0, 32);                                        \
        v2 += v3, v3 = ROTATE(v3, 16), v3 ^= v2;                                                             \
        v0 += v3, v3 = ROTATE(v3, 21), v3 ^= v0;                                                             \
        v2 += v1, v1 = ROTATE(v1, 17), v1 ^= v2, v2 = ROTATE(v2, 32);                                        \
    } while (0)

/* SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012, with 1 and 3 rounds). */
static uint32_t hash_bytes(const void *key, size_t size)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const unsigned char *next = key;
    uint64_t v0, v1, v2, v3, word, tail = (uint64_t)size << 56;

    pthread_once(&once, make_secret);
    v0 = secret[0] ^ 0x736f6d6570736575u;
    v1 = secret[1] ^ 0x646f72616e646f6du;
    v2 = secret[0] ^ 0x6c7967656e657261u;
    v3 = secret[1] ^ 0x7465646279746573u;
    for (; size >= 8; size -= 8, next += 8) {
        memcpy(&word, next, 8);
        v3 ^= word;
        SIP_ROUND;
        v0 ^= word;
    }
    word = 0;
    if (size > 0)
        memcpy(&word, next, size);
    tail |= word;
    v3 ^= tail;
    SIP_ROUND;
    v0 ^= tail;
    v2 ^= 0xff;
    SIP_ROUND;
    SIP_ROUND;
    SIP_ROUND;
    word = v0 ^ v1 ^ v2 ^ v3;
    return (uint32_t)(word ^ word >> 32);
}

static struct hashmap_node *find(const struct hashmap *map, const void *key, size_t key_size, uint32_t hash)
{
    struct hashmap_node *node;

    if (map->n_buckets == 0)
        return NULL;
    for (node = map->buckets[hash & (map->n_buckets - 1)]; node; node = node->next)
        if (node->hash == hash && node->key_size == key_size && memcmp(node->key, key, key_size) == 0)
            return node;
    return NULL;
}

static int resize(struct hashmap *map, size_t n_buckets)
{
    struct hashmap_node **buckets = calloc(n_buckets, sizeof *buckets);

    if (!buckets)
        return -ENOMEM;
    for (size_t i = 0; i < map->n_buckets; i++) {
        struct hashmap_node *node = map->buckets[i];

        while (node) {
            struct hashmap_node *next = node->next, **bucket = &buckets[node->hash & (n_buckets - 1)];

            node->next = *bucket;
            *bucket = node;
            node = next;
        }
    }
    free(map->buckets);
    map->buckets = buckets;
    map->n_buckets = n_buckets;
    return 0;
}

int hashmap_reserve(struct hashmap *map, size_t n_nodes)
{
    size_t n_buckets = map->n_buckets ? map->n_buckets : 16;

    while (n_buckets < n_nodes)
        n_buckets *= 2;
    return n_buckets > map->n_buckets ? resize(map, n_buckets) : 0;
}

uint32_t hashmap_hash(const void *key, size_t key_size)
{
    return hash_bytes(key, key_size);
}

int hashmap_insert_new(struct hashmap *map, struct hashmap_node *node, const void *key, size_t key_size, uint32_t hash)
{
    struct hashmap_node **bucket;

    if (map->n_nodes >= map->n_buckets) {
        int r = resize(map, map->n_buckets ? 2 * map->n_buckets : 16);

        if (r < 0 && map->n_buckets == 0)
            return r; /* Otherwise chains are merely longer than we like. */
    }
    bucket = &map->buckets[hash & (map->n_buckets - 1)];
    *node = (struct hashmap_node){.next = *bucket, .key = key, .key_size = key_size, .hash = hash};
    *bucket = node;
    map->n_nodes++;
    return 0;
}

int hashmap_insert(struct hashmap *map, struct hashmap_node *node, const void *key, size_t key_size)
{
    uint32_t hash = hash_bytes(key, key_size);

    return find(map, key, key_size, hash) ? -EEXIST : hashmap_insert_new(map, node, key, key_size, hash);
}

struct hashmap_node *hashmap_find_hashed(const struct hashmap *map, const void *key, size_t key_size, uint32_t hash)
{
    return find(map, key, key_size, hash);
}

struct hashmap_node *hashmap_find(const struct hashmap *map, const void *key, size_t key_size)
{
    if (map->n_nodes == 0)
        return NULL;
    return find(map, key, key_size, hash_bytes(key, key_size));
}

void hashmap_remove(struct hashmap *map, struct hashmap_node *node)
{
    struct hashmap_node **link = &map->buckets[node->hash & (map->n_buckets - 1)];

    while (*link != node)
        link = &(*link)->next;
    *link = node->next;
    map->n_nodes--;
}

void hashmap_clear(struct hashmap *map)
{
    free(map->buckets);
    *map = (struct hashmap){};
}
