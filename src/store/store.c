/* The public functions of the store: they check, hand to the backend, and wait where the caller wants to. */
#include <errno.h>
#include <string.h>

#include "weft/base/uuid.h"
#include "weft/store/backend.h"

/* A client that was away for a while resumes its watch without listing everything again. */
#define LOG_MAX_TRANSACTIONS 65536
#define LOG_MAX_SIZE (32u << 20)

int store_init(struct store *store, const struct store_operations *operations)
{
    store->operations = operations;
    store->log_max_transactions = LOG_MAX_TRANSACTIONS;
    store->log_max_size = LOG_MAX_SIZE;
    pthread_mutex_init(&store->hub.lock, NULL);
    pthread_cond_init(&store->hub.idle, NULL);
    return lease_table_open(&store->leases, store);
}

void store_deinit(struct store *store)
{
    watch_hub_clear(&store->hub);
    pthread_cond_destroy(&store->hub.idle);
    pthread_mutex_destroy(&store->hub.lock);
}

void store_close(struct store *store)
{
    if (!store)
        return;
    lease_table_close(&store->leases); /* First: its thread commits. */
    store->operations->close(store);
}

uint64_t store_revision(struct store *store)
{
    return store->revision;
}

void store_set_log_limit(struct store *store, uint64_t max_transactions, uint64_t max_size)
{
    store->log_max_transactions = MAX(max_transactions, 1);
    store->log_max_size = max_size;
}

int store_get(struct store *store, const char *key, size_t key_size, struct store_item **ret_item)
{
    if (key_size == 0 || key_size > STORE_KEY_MAX_SIZE)
        return -ENOENT;
    return store->operations->get(store, key, key_size, ret_item);
}

int store_list(struct store *store, const char *from, size_t from_size, const char *to, size_t to_size,
               int (*visit)(const struct store_item *item, void *context), void *context, uint64_t *ret_revision)
{
    return store->operations->list(store, from ? from : "", from_size, to ? to : "", to_size, visit, context,
                                   ret_revision);
}

void store_finish(struct store *store, struct store_transaction *transaction)
{
    if (transaction->result.status != 0)
        transaction->result.revision = store_revision(store);
    if (transaction->result.status != -EAGAIN)
        transaction->result.failed = -1;
    if (transaction->done)
        transaction->done(transaction->result, transaction->context);
}

void store_submit(struct store *store, struct store_transaction *transaction,
                  void (*done)(struct store_result result, void *context), void *context)
{
    transaction->done = done;
    transaction->context = context;
    if (transaction->error) {
        transaction->result.status = transaction->error;
        store_finish(store, transaction);
        store_transaction_free(transaction);
        return;
    }
    store->operations->submit(store, transaction);
}

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool is_done;
    struct store_result result;
};

static void wake(struct store_result result, void *context)
{
    struct waiter *waiter = context;

    pthread_mutex_lock(&waiter->lock);
    waiter->result = result;
    waiter->is_done = true;
    pthread_cond_signal(&waiter->done); /* Under the lock: the waiter's stack frame may go once it is released. */
    pthread_mutex_unlock(&waiter->lock);
}

struct store_result store_commit(struct store *store, struct store_transaction *transaction)
{
    struct waiter waiter = {.lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};

    store_submit(store, transaction, wake, &waiter);
    pthread_mutex_lock(&waiter.lock);
    while (!waiter.is_done)
        pthread_cond_wait(&waiter.done, &waiter.lock);
    pthread_mutex_unlock(&waiter.lock);
    pthread_cond_destroy(&waiter.done);
    pthread_mutex_destroy(&waiter.lock);
    return waiter.result;
}

int store_compact(struct store *store, uint64_t revision)
{
    return store->operations->compact(store, MIN(revision, store_revision(store)));
}

int store_lease_grant(struct store *store, uint64_t ttl_ms, uint64_t *ret_lease)
{
    struct store_transaction *transaction;
    uint64_t id;
    int r;

    if (ttl_ms == 0 || ttl_ms > INT64_MAX / 4)
        return -EINVAL;
    r = store_transaction_new(&transaction);
    if (r < 0)
        return r;
    do {
        random_bytes(&id, sizeof id); /* Never reused, so that a holder from before a restart cannot renew another's. */
        id &= INT64_MAX;
    } while (id == 0);
    transaction->grant_lease = id;
    transaction->lease_ttl_ms = ttl_ms;
    r = store_commit(store, transaction).status;
    if (r == 0)
        r = lease_table_add(&store->leases, id, ttl_ms);
    if (r == 0)
        *ret_lease = id;
    return r;
}

int store_lease_renew(struct store *store, uint64_t lease)
{
    return lease_table_renew(&store->leases, lease);
}

int store_lease_revoke(struct store *store, uint64_t lease)
{
    struct store_transaction *transaction;
    int r;

    if (!lease_table_contains(&store->leases, lease))
        return -ESTALE;
    r = store_transaction_new(&transaction);
    if (r < 0)
        return r;
    transaction->end_lease = lease;
    r = store_commit(store, transaction).status;
    if (r == 0 || r == -ESTALE)
        lease_table_remove(&store->leases, lease);
    return r;
}
