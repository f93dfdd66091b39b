#include "weft/api/quarantine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/hashmap.h"
#include "weft/base/log.h"
#include "weft/base/util.h"

#define SWEEP_MAX 256 /* Transactions a sweep: the rest waits for the next. */
#define UNTIL "until "  /* What a mark's value begins with when there is a time. */

struct mark {
    struct hashmap_node node;
    uint64_t revision; /* Of the deletion. */
    int64_t until_s;
    char key[];        /* What is in quarantine. */
};

struct quarantine {
    struct hashmap marks;
};

int quarantine_new(struct quarantine **ret_quarantine)
{
    struct quarantine *quarantine = calloc(1, sizeof(*quarantine));

    if (!quarantine)
        return -ENOMEM;
    *ret_quarantine = quarantine;
    return 0;
}

void quarantine_free(struct quarantine *quarantine)
{
    if (!quarantine)
        return;
    HASHMAP_FOREACH(node, &quarantine->marks)
        free(CONTAINER_OF(node, struct mark, node));
    hashmap_clear(&quarantine->marks);
    free(quarantine);
}

int quarantine_put(struct store_transaction *transaction, const char *key, int64_t until_s)
{
    char mark[STORE_KEY_MAX_SIZE], value[48] = "-";

    snprintf(mark, sizeof(mark), QUARANTINE_PREFIX "%s", key);
    if (until_s)
        snprintf(value, sizeof(value), UNTIL "%" PRId64, until_s);
    return store_put(transaction, mark, strlen(mark), value, strlen(value), 0);
}

static struct mark *find(const struct quarantine *quarantine, const char *key)
{
    struct hashmap_node *node = hashmap_find(&quarantine->marks, key, strlen(key));

    return node ? CONTAINER_OF(node, struct mark, node) : NULL;
}

bool quarantine_has(const struct quarantine *quarantine, const char *key)
{
    return find(quarantine, key);
}

size_t quarantine_count(const struct quarantine *quarantine, const char *prefix)
{
    size_t n = 0;

    HASHMAP_FOREACH(node, &quarantine->marks)
        n += strncmp(CONTAINER_OF(node, struct mark, node)->key, prefix, strlen(prefix)) == 0;
    return n;
}

void quarantine_changed(const struct store_item *item, void *context)
{
    const char *key = item->key + strlen(QUARANTINE_PREFIX);
    struct quarantine *quarantine = context;
    struct mark *mark = find(quarantine, key);

    if (mark) {
        hashmap_remove(&quarantine->marks, &mark->node);
        free(mark);
    }
    if (!item->value)
        return;
    mark = malloc(sizeof(*mark) + strlen(key) + 1);
    if (mark) {
        *mark = (struct mark){.revision = item->modify_revision};
        memcpy(mark->key, key, strlen(key) + 1);
        if (strncmp(item->value, UNTIL, strlen(UNTIL)) == 0)
            mark->until_s = strtoll(item->value + strlen(UNTIL), NULL, 10);
    }
    if (!mark || hashmap_insert(&quarantine->marks, &mark->node, mark->key, strlen(mark->key)) < 0) {
        log_error("out of memory: %s stays in quarantine until the restart", key); /* Its key in the store still holds it. */
        free(mark);
    }
}

static void swept(struct store_result result, void *context)
{
    /* -EAGAIN: another server did it. */
}

void quarantine_sweep(struct quarantine *quarantine, uint64_t applied_revision, int64_t now_s, struct store *store)
{
    size_t n_done = 0;

    HASHMAP_FOREACH(node, &quarantine->marks) {
        const struct mark *mark = CONTAINER_OF(node, struct mark, node);
        _cleanup_(store_transaction_freep) struct store_transaction *transaction = NULL;
        char key[STORE_KEY_MAX_SIZE];

        if (n_done == SWEEP_MAX)
            return;
        if (mark->revision > applied_revision || mark->until_s > now_s || store_transaction_new(&transaction) < 0)
            continue;
        snprintf(key, sizeof(key), QUARANTINE_PREFIX "%s", mark->key);
        if (store_require_revision(transaction, key, strlen(key), mark->revision) == 0 && store_delete(transaction, key, strlen(key)) == 0 &&
            store_delete(transaction, mark->key, strlen(mark->key)) == 0) {
            store_submit(store, TAKE_PTR(transaction), swept, NULL);
            n_done++;
        }
    }
}
