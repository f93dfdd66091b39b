#include "backends.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void folder_make(char folder[64])
{
    const char *base = getenv("TMPDIR");

    assert_true(snprintf(folder, 64, "%s/weft-store-XXXXXX", base && strlen(base) < 40 ? base : "/tmp") < 64);
    assert_non_null(mkdtemp(folder));
}

void folder_remove(const char *folder)
{
    char path[512];
    DIR *directory = opendir(folder);
    struct dirent *entry;

    while (directory && (entry = readdir(directory))) {
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        unlink(path);
    }
    if (directory)
        closedir(directory);
    rmdir(folder);
}

void fixture_open(struct fixture *fixture, enum backend backend)
{
    *fixture = (struct fixture){.backend = backend};
    if (backend == BACKEND_MEMORY) {
        assert_int_equal(store_memory_open(&fixture->store), 0);
        return;
    }
    folder_make(fixture->folder);
    snprintf(fixture->path, sizeof fixture->path, "%s/store", fixture->folder);
    assert_int_equal(store_sqlite_open(fixture->path, NULL, &fixture->store, NULL), 0);
}

void fixture_reopen(struct fixture *fixture)
{
    struct error error = {};

    store_close(fixture->store);
    fixture->store = NULL;
    if (store_sqlite_open(fixture->path, NULL, &fixture->store, &error) < 0)
        fail_msg("%s", error.message);
}

void fixture_close(struct fixture *fixture)
{
    store_close(fixture->store);
    if (fixture->folder[0])
        folder_remove(fixture->folder);
}

unsigned test_seed(const char *test)
{
    const char *given = getenv("WEFT_TEST_SEED");
    unsigned seed = given ? strtoul(given, NULL, 0) : (unsigned)time(NULL) ^ (unsigned)getpid() << 16;

    print_message("%s: WEFT_TEST_SEED=%u\n", test, seed);
    return seed;
}

struct store_transaction *transaction_new(void)
{
    struct store_transaction *transaction = NULL;

    assert_int_equal(store_transaction_new(&transaction), 0);
    return transaction;
}

void put(struct store_transaction *transaction, const char *key, const char *value)
{
    assert_int_equal(store_put(transaction, key, strlen(key), value, strlen(value), 0), 0);
}

struct store_result put_one(struct store *store, const char *key, const char *value)
{
    struct store_transaction *transaction = transaction_new();

    put(transaction, key, value);
    return store_commit(store, transaction);
}

struct store_result delete_one(struct store *store, const char *key)
{
    struct store_transaction *transaction = transaction_new();

    assert_int_equal(store_delete(transaction, key, strlen(key)), 0);
    return store_commit(store, transaction);
}

char *get_value(struct store *store, const char *key)
{
    struct store_item *item = NULL;
    char *value;
    int r = store_get(store, key, strlen(key), &item);

    if (r == -ENOENT)
        return NULL;
    assert_int_equal(r, 0);
    value = strdup(item->value);
    free(item);
    return value;
}
