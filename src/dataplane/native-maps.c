/* The data plane's maps in memory: see native-maps.h. */
#include "weft/dataplane/native-maps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    struct hashmap_node node;
    size_t value_offset; /* 8-byte aligned, behind the key. */
    uint8_t bytes[] __attribute__((aligned(8)));
};

static void *entry_value(struct entry *entry)
{
    return entry->bytes + entry->value_offset;
}

int native_map_init(struct native_map *map, enum native_map_kind kind, size_t key_size, size_t value_size, uint32_t n_max)
{
    *map = (struct native_map){.kind = kind, .key_size = key_size, .value_size = value_size, .n_max = n_max};
    if (kind == NATIVE_ARRAY) {
        map->array = calloc(n_max, value_size);
        if (!map->array)
            return -ENOMEM;
    }
    return 0;
}

void native_map_clear(struct native_map *map)
{
    if (map->kind == NATIVE_ARRAY) {
        memset(map->array, 0, map->n_max * map->value_size);
        return;
    }
    HASHMAP_FOREACH(node, &map->entries) {
        hashmap_remove(&map->entries, node);
        free(CONTAINER_OF(node, struct entry, node));
    }
}

void native_map_destroy(struct native_map *map)
{
    if (map->kind == NATIVE_ARRAY) {
        free(map->array);
    } else {
        native_map_clear(map);
        hashmap_clear(&map->entries);
    }
    *map = (struct native_map){0};
}

static uint32_t prefix_length(const void *key)
{
    uint32_t length;

    memcpy(&length, key, sizeof(length));
    return length;
}

static bool prefix_covers(const struct native_map *map, const void *prefix, const void *key)
{
    const uint8_t *a = (const uint8_t *)prefix + 4, *b = (const uint8_t *)key + 4;
    uint32_t length = prefix_length(prefix), whole = length / 8, rest = length % 8;

    if (length > prefix_length(key) || length > (map->key_size - 4) * 8 || memcmp(a, b, whole) != 0)
        return false;
    return !rest || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

/* By looking at each prefix: slow, and beyond doubt. */
static struct entry *prefix_find(const struct native_map *map, const void *key)
{
    struct entry *best = NULL;

    HASHMAP_FOREACH(node, &map->entries) {
        struct entry *entry = CONTAINER_OF(node, struct entry, node);
        if (prefix_covers(map, entry->bytes, key) && (!best || prefix_length(entry->bytes) > prefix_length(best->bytes)))
            best = entry;
    }
    return best;
}

static struct entry *entry_find(const struct native_map *map, const void *key)
{
    struct hashmap_node *node = hashmap_find(&map->entries, key, map->key_size);

    return node ? CONTAINER_OF(node, struct entry, node) : NULL;
}

void *native_map_lookup(const struct native_map *map, const void *key)
{
    struct entry *entry;

    if (map->kind == NATIVE_ARRAY) {
        uint32_t index = prefix_length(key);
        return index < map->n_max ? map->array + index * map->value_size : NULL;
    }
    entry = map->kind == NATIVE_PREFIX ? prefix_find(map, key) : entry_find(map, key);
    return entry ? entry_value(entry) : NULL;
}

static void make_room(struct native_map *map)
{
    HASHMAP_FOREACH(node, &map->entries) {
        hashmap_remove(&map->entries, node);
        free(CONTAINER_OF(node, struct entry, node));
        return;
    }
}

int native_map_update(struct native_map *map, const void *key, const void *value, bool must_be_new)
{
    struct entry *entry;

    if (map->kind == NATIVE_ARRAY) {
        void *place = native_map_lookup(map, key);
        if (!place)
            return -E2BIG;
        if (must_be_new)
            return -EEXIST;
        memcpy(place, value, map->value_size);
        return 0;
    }
    entry = entry_find(map, key);
    if (entry) {
        if (must_be_new)
            return -EEXIST;
        memcpy(entry_value(entry), value, map->value_size);
        return 0;
    }
    if (map->entries.n_nodes >= map->n_max && map->kind != NATIVE_RECENT)
        return -E2BIG;
    if (map->entries.n_nodes >= map->n_max)
        make_room(map);
    size_t value_offset = (map->key_size + 7) / 8 * 8;
    entry = malloc(sizeof(*entry) + value_offset + map->value_size);
    if (!entry)
        return -ENOMEM;
    entry->value_offset = value_offset;
    memcpy(entry->bytes, key, map->key_size);
    memcpy(entry_value(entry), value, map->value_size);
    int error = hashmap_insert(&map->entries, &entry->node, entry->bytes, map->key_size);
    if (error)
        free(entry);
    return error;
}

int native_map_delete(struct native_map *map, const void *key)
{
    struct entry *entry;

    if (map->kind == NATIVE_ARRAY)
        return -EINVAL;
    entry = entry_find(map, key);
    if (!entry)
        return -ENOENT;
    hashmap_remove(&map->entries, &entry->node);
    free(entry);
    return 0;
}

void native_map_visit(struct native_map *map, void (*visit)(void *key, void *value, void *context), void *context)
{
    HASHMAP_FOREACH(node, &map->entries) {
        struct entry *entry = CONTAINER_OF(node, struct entry, node);
        visit(entry->bytes, entry_value(entry), context);
    }
}
