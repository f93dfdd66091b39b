#include "weft/base/hashmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/siphash.h"
#include "weft/base/uuid.h"

#define SHORT_KEY_MAX 64
#define WORDS_MAX (SHORT_KEY_MAX / sizeof(uint64_t) + 1)

static struct {
    uint64_t sip[2];
    uint64_t size;
    uint64_t words[WORDS_MAX][2];
} secret;

static void __attribute__((constructor)) make_secret(void)
{
    random_bytes(&secret, sizeof secret);
}

static uint64_t product(uint64_t word, const uint64_t factors[2])
{
    return (factors[0] + (uint32_t)word) * (factors[1] + (word >> 32));
}

/* Products of a key's words with random numbers: of two keys that differ, each hash of one meets each of the other as often as by chance
 * (D. Lemire and O. Kaser, "Strongly universal string hashing is fast", 2014: MULTILINEAR-HM, the upper half of 64 bits).  The last word may
 * overlap the one before it: all of the key is there, and how long it is.  An id takes a fifth of what it takes SipHash. */
static uint32_t hash_short(const unsigned char *key, size_t size)
{
    uint64_t sum = secret.size * (size + 1), word = 0;
    size_t i = 0;

    if (size < sizeof(word)) {
        memcpy(&word, key, size);
        return (sum + product(word, secret.words[0])) >> 32;
    }
    for (; (i + 1) * sizeof(word) <= size; i++) {
        memcpy(&word, key + i * sizeof(word), sizeof(word));
        sum += product(word, secret.words[i]);
    }
    if (size % sizeof(word)) {
        memcpy(&word, key + size - sizeof(word), sizeof(word));
        sum += product(word, secret.words[i]);
    }
    return sum >> 32;
}

static uint32_t hash_bytes(const void *key, size_t size)
{
    return size <= SHORT_KEY_MAX ? hash_short(key, size) : siphash(secret.sip, key, size);
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
