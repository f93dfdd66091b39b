/* Leases for backends whose engine has none: deadlines in memory, one thread that ends what nobody renewed.
 *
 * Which leases exist is the backend's durable knowledge; only deadlines live here, and count from the process's start
 * again after a restart.  An end is a transaction like any other: it deletes the lease's keys, so watches see it. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "weft/base/clock.h"
#include "weft/store/backend.h"

#define RETRY_MS 1000 /* After an end that could not be committed. */

struct lease {
    struct hashmap_node by_id;
    uint64_t id;
    uint64_t ttl_ms;
    uint64_t deadline_ms;
    bool is_ending; /* Too late to renew. */
};

static struct lease *find(struct lease_table *table, uint64_t id)
{
    struct hashmap_node *node = hashmap_find(&table->leases, &id, sizeof id);

    return node ? CONTAINER_OF(node, struct lease, by_id) : NULL;
}

/* Leases are few (one a server or host), so the earliest is found by looking at all. */
static struct lease *earliest(struct lease_table *table)
{
    struct lease *first = NULL;

    HASHMAP_FOREACH(node, &table->leases) {
        struct lease *lease = CONTAINER_OF(node, struct lease, by_id);

        if (!first || lease->deadline_ms < first->deadline_ms)
            first = lease;
    }
    return first;
}

static void wait_until(struct lease_table *table, uint64_t deadline_ms)
{
    struct timespec until = {.tv_sec = deadline_ms / 1000, .tv_nsec = deadline_ms % 1000 * 1000000};

    pthread_cond_timedwait(&table->changed, &table->lock, &until);
}

static void *run(void *argument)
{
    struct lease_table *table = argument;

    pthread_mutex_lock(&table->lock);
    while (!table->is_closing) {
        struct lease *lease = earliest(table);
        uint64_t id;
        int r;

        if (!lease) {
            pthread_cond_wait(&table->changed, &table->lock);
            continue;
        }
        if (lease->deadline_ms > clock_monotonic_ms()) {
            wait_until(table, lease->deadline_ms);
            continue;
        }
        lease->is_ending = true;
        id = lease->id;
        pthread_mutex_unlock(&table->lock);
        r = store_lease_revoke(table->store, id);
        pthread_mutex_lock(&table->lock);
        lease = find(table, id);
        if (lease && r < 0)
            lease->deadline_ms = clock_monotonic_ms() + RETRY_MS;
    }
    pthread_mutex_unlock(&table->lock);
    return NULL;
}

int lease_table_open(struct lease_table *table, struct store *store)
{
    pthread_condattr_t attributes;

    table->store = store;
    pthread_mutex_init(&table->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&table->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return 0;
}

void lease_table_close(struct lease_table *table)
{
    bool is_running;

    pthread_mutex_lock(&table->lock);
    table->is_closing = true;
    is_running = table->is_running;
    pthread_cond_broadcast(&table->changed);
    pthread_mutex_unlock(&table->lock);
    if (is_running)
        pthread_join(table->thread, NULL);
    HASHMAP_FOREACH(node, &table->leases)
        free(CONTAINER_OF(node, struct lease, by_id));
    hashmap_clear(&table->leases);
    pthread_cond_destroy(&table->changed);
    pthread_mutex_destroy(&table->lock);
}

int lease_table_add(struct lease_table *table, uint64_t id, uint64_t ttl_ms)
{
    struct lease *lease = calloc(1, sizeof *lease);
    int r;

    if (!lease)
        return -ENOMEM;
    lease->id = id;
    lease->ttl_ms = ttl_ms;
    lease->deadline_ms = clock_monotonic_ms() + ttl_ms;
    pthread_mutex_lock(&table->lock);
    r = hashmap_insert(&table->leases, &lease->by_id, &lease->id, sizeof lease->id);
    if (r == 0 && !table->is_running) {
        r = -pthread_create(&table->thread, NULL, run, table);
        table->is_running = r == 0;
        if (r < 0)
            hashmap_remove(&table->leases, &lease->by_id);
    }
    pthread_cond_broadcast(&table->changed);
    pthread_mutex_unlock(&table->lock);
    if (r < 0)
        free(lease);
    return r;
}

bool lease_table_contains(struct lease_table *table, uint64_t id)
{
    bool found;

    pthread_mutex_lock(&table->lock);
    found = find(table, id) != NULL;
    pthread_mutex_unlock(&table->lock);
    return found;
}

int lease_table_renew(struct lease_table *table, uint64_t id)
{
    struct lease *lease;
    int r = -ESTALE;

    pthread_mutex_lock(&table->lock);
    lease = find(table, id);
    if (lease && !lease->is_ending) {
        lease->deadline_ms = clock_monotonic_ms() + lease->ttl_ms; /* Only later: the thread need not wake for it. */
        r = 0;
    }
    pthread_mutex_unlock(&table->lock);
    return r;
}

void lease_table_remove(struct lease_table *table, uint64_t id)
{
    struct lease *lease;

    pthread_mutex_lock(&table->lock);
    lease = find(table, id);
    if (lease) {
        hashmap_remove(&table->leases, &lease->by_id);
        free(lease);
    }
    pthread_mutex_unlock(&table->lock);
}
