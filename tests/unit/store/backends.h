/* The suite's view of a backend: something that opens an empty store, and maybe opens the same one again. */
#ifndef TESTS_STORE_BACKENDS_H
#define TESTS_STORE_BACKENDS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "weft/store/store.h"

enum backend { BACKEND_MEMORY, BACKEND_SQLITE };

struct fixture {
    enum backend backend;
    struct store *store;
    char folder[64]; /* SQLite: holds the file; removed at the end. */
    char path[96];
};

void fixture_open(struct fixture *fixture, enum backend backend);
void fixture_reopen(struct fixture *fixture); /* SQLite only: closes and opens the same file. */
void fixture_close(struct fixture *fixture);

/* A new folder below $TMPDIR or /tmp, and its removal with the files in it. */
void folder_make(char folder[64]);
void folder_remove(const char *folder);

/* A random seed, printed, or what WEFT_TEST_SEED says. */
unsigned test_seed(const char *test);

/* Short forms for string keys and values; all assert success of building. */
struct store_transaction *transaction_new(void);
void put(struct store_transaction *transaction, const char *key, const char *value);
struct store_result put_one(struct store *store, const char *key, const char *value);
struct store_result delete_one(struct store *store, const char *key);

/* The value of 'key', which the caller frees, or NULL when there is none. */
char *get_value(struct store *store, const char *key);

#endif
