/* hashmap and buffer. */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "weft/base/buffer.h"
#include "weft/base/hashmap.h"
#include "weft/base/pool.h"

#define N_OBJECTS 500

struct object {
    struct hashmap_node by_key;
    char key[8];
    size_t key_size;
    bool in_map; /* The naive map. */
};

static void hashmap_does_what_an_array_does(void **state)
{
    unsigned seed = test_seed(__func__);
    struct object *objects = calloc(N_OBJECTS, sizeof *objects);
    struct hashmap map = {};
    size_t n = 0;

    assert_non_null(objects);
    for (int i = 0; i < N_OBJECTS; i++) {
        /* Bytes, not text: 0 inside, one key the start of another. */
        memcpy(objects[i].key, (uint16_t[]){i % 250, 0, i / 250}, 6);
        objects[i].key_size = 6;
    }
    objects[0].key_size = 0;
    for (int step = 0; step < 50000; step++) {
        struct object *object = &objects[rand_r(&seed) % N_OBJECTS];
        struct hashmap_node *node = hashmap_find(&map, object->key, object->key_size);

        assert_ptr_equal(node, object->in_map ? &object->by_key : NULL);
        if (object->in_map && rand_r(&seed) % 2) {
            hashmap_remove(&map, &object->by_key);
            object->in_map = false;
            n--;
        } else if (object->in_map) {
            struct hashmap_node other;

            assert_int_equal(hashmap_insert(&map, &other, object->key, object->key_size), -EEXIST);
        } else {
            assert_int_equal(hashmap_insert(&map, &object->by_key, object->key, object->key_size), 0);
            object->in_map = true;
            n++;
        }
        assert_int_equal(map.n_nodes, n);
    }
    HASHMAP_FOREACH(node, &map) {
        struct object *object = CONTAINER_OF(node, struct object, by_key);

        assert_true(object->in_map); /* Each once. */
        object->in_map = false;
        n--;
        hashmap_remove(&map, node);
        memset(node, 0x5a, sizeof *node); /* As if freed. */
    }
    assert_int_equal(n, 0);
    assert_int_equal(map.n_nodes, 0);
    hashmap_clear(&map);
    assert_null(hashmap_find(&map, "x", 1));
    free(objects);
}

static void buffer_does_what_an_array_does(void **state)
{
    unsigned seed = test_seed(__func__);
    static char naive[1 << 20];
    struct buffer buffer = {};
    size_t size = 0;

    for (int step = 0; step < 20000; step++) {
        char piece[300], text[32];
        size_t n = rand_r(&seed) % sizeof piece;

        switch (rand_r(&seed) % 5) {
        case 0:
        case 1:
            if (size + n > sizeof naive)
                break;
            memset(piece, 'a' + step % 26, n);
            assert_int_equal(buffer_append(&buffer, piece, n), 0);
            memcpy(naive + size, piece, n);
            size += n;
            break;
        case 2:
            n = snprintf(text, sizeof text, "<%d:%s>", step, "x");
            assert_int_equal(buffer_printf(&buffer, "<%d:%s>", step, "x"), 0);
            memcpy(naive + size, text, n);
            size += n;
            break;
        case 3:
            buffer_consume(&buffer, n);
            n = MIN(n, size);
            memmove(naive, naive + n, size - n);
            size -= n;
            break;
        default:
            assert_int_equal(buffer_append_string(&buffer, "word"), 0);
            memcpy(naive + size, "word", 4);
            size += 4;
        }
        assert_int_equal(buffer.size, size);
        assert_true(size + 512 < sizeof naive);
        if (size)
            assert_memory_equal(buffer.data, naive, size);
    }
    assert_int_equal(buffer_string(&buffer)[size], 0);
    assert_int_equal(buffer.size, size);
    buffer_clear(&buffer);
    assert_int_equal(buffer.size, 0);
    assert_string_equal(buffer_string(&buffer), "");
    assert_int_equal(buffer_append(&buffer, "x", 1), 0);
    assert_int_equal(buffer_reserve(&buffer, SIZE_MAX), -ENOMEM); /* The sum wraps. */
    assert_string_equal(buffer_string(&buffer), "x");
    buffer_clear(&buffer);
}

static void hashmap_in_steps_is_the_same_map(void **state)
{
    struct hashmap map = {0};
    struct object objects[100] = {0};

    assert_int_equal(hashmap_reserve(&map, 1000), 0);
    assert_true(map.n_buckets >= 1000);
    for (uint8_t i = 0; i < 100; i++) {
        uint32_t hash;

        objects[i].key[0] = (char)i;
        hash = hashmap_hash(objects[i].key, 1);
        hashmap_prefetch(&map, hash);
        assert_null(hashmap_find_hashed(&map, objects[i].key, 1, hash));
        assert_int_equal(hashmap_insert_new(&map, &objects[i].by_key, objects[i].key, 1, hash), 0);
        assert_ptr_equal(hashmap_find(&map, objects[i].key, 1), &objects[i].by_key);
    }
    assert_int_equal(map.n_nodes, 100);
    hashmap_clear(&map);
}

static void pool_gives_zeroed_objects_of_their_own(void **state)
{
    unsigned seed = test_seed(__func__);
    enum { N = 60000, SIZE = 104 }; /* More than one chunk. */
    unsigned char **objects = calloc(N, sizeof(*objects));
    struct pool pool;

    pool_init(&pool, SIZE - 3);
    for (int step = 0; step < 4 * N; step++) {
        int i = rand_r(&seed) % N;

        if (objects[i]) {
            for (int k = 0; k < SIZE; k++)
                assert_int_equal(objects[i][k], (unsigned char)i); /* Nobody else wrote there. */
            pool_give(&pool, objects[i]);
            objects[i] = NULL;
        } else {
            objects[i] = pool_take(&pool);
            assert_non_null(objects[i]);
            for (int k = 0; k < SIZE; k++)
                assert_int_equal(objects[i][k], 0);
            memset(objects[i], i, SIZE);
        }
    }
    pool_give(&pool, NULL);
    pool_clear(&pool);
    free(objects);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashmap_does_what_an_array_does),
        cmocka_unit_test(hashmap_in_steps_is_the_same_map),
        cmocka_unit_test(pool_gives_zeroed_objects_of_their_own),
        cmocka_unit_test(buffer_does_what_an_array_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
