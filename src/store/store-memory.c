/* The reference backend: a sorted array under one lock, everything done inside the caller.  It is what the other
 * backends are compared with, so it stays simple. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/store/backend.h"

struct entry {
    uint64_t lease;
    struct store_item *item;
};

struct memory_store {
    struct store store;
    pthread_mutex_t lock; /* Of everything below, and held while watches are notified: one thread delivers at a time. */
    struct entry *entries;
    size_t n_entries, n_allocated;
    struct store_transaction *log_first, *log_last; /* Committed transactions; their writes are the events. */
    uint64_t log_length, log_size;
};

static struct memory_store *memory_store(struct store *store)
{
    return CONTAINER_OF(store, struct memory_store, store);
}

/* The index of the first key that is not before 'key'. */
static size_t lower_bound(const struct memory_store *memory, const char *key, size_t key_size)
{
    size_t low = 0, high = memory->n_entries;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct store_item *item = memory->entries[middle].item;

        if (key_compare(item->key, item->key_size, key, key_size) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct entry *find(const struct memory_store *memory, const char *key, size_t key_size)
{
    size_t i = lower_bound(memory, key, key_size);
    const struct store_item *item;

    if (i == memory->n_entries)
        return NULL;
    item = memory->entries[i].item;
    return key_compare(item->key, item->key_size, key, key_size) == 0 ? &memory->entries[i] : NULL;
}

static int memory_get(struct store *store, const char *key, size_t key_size, struct store_item **ret_item)
{
    struct memory_store *memory = memory_store(store);
    const struct entry *entry;
    int r = -ENOENT;

    pthread_mutex_lock(&memory->lock);
    entry = find(memory, key, key_size);
    if (entry) {
        *ret_item = item_copy(entry->item);
        r = *ret_item ? 0 : -ENOMEM;
    }
    pthread_mutex_unlock(&memory->lock);
    return r;
}

/* Copies the range first: 'visit' runs without the lock and may use the store. */
static int memory_list(struct store *store, const char *from, size_t from_size, const char *to, size_t to_size,
                       int (*visit)(const struct store_item *item, void *context), void *context,
                       uint64_t *ret_revision)
{
    struct memory_store *memory = memory_store(store);
    struct store_item **items = NULL;
    size_t n = 0, start, end;
    int r = 0;

    pthread_mutex_lock(&memory->lock);
    start = lower_bound(memory, from, from_size);
    end = to_size ? lower_bound(memory, to, to_size) : memory->n_entries;
    if (end > start)
        items = malloc((end - start) * sizeof(struct store_item *));
    for (size_t i = start; i < end && items; i++) {
        items[n] = item_copy(memory->entries[i].item);
        if (!items[n])
            break;
        n++;
    }
    if (end > start && n != end - start)
        r = -ENOMEM;
    if (ret_revision)
        *ret_revision = store->revision;
    pthread_mutex_unlock(&memory->lock);

    for (size_t i = 0; i < n && r == 0; i++)
        r = visit(items[i], context);
    for (size_t i = 0; i < n; i++)
        free(items[i]);
    free(items);
    return r;
}

static bool comparison_holds(const struct memory_store *memory, const struct store_comparison *comparison)
{
    const struct entry *entry;
    size_t i;

    if (comparison->kind == COMPARE_EMPTY) {
        i = lower_bound(memory, comparison->key, comparison->key_size);
        return i == memory->n_entries ||
               !key_in_range(memory->entries[i].item->key, memory->entries[i].item->key_size, comparison->key,
                             comparison->key_size, comparison->to, comparison->to_size);
    }
    entry = find(memory, comparison->key, comparison->key_size);
    if (comparison->kind == COMPARE_EXISTS)
        return entry != NULL;
    return (entry ? entry->item->modify_revision : 0) == comparison->revision;
}

/* Everything that can refuse the transaction, before anything is written. */
static int check(struct memory_store *memory, struct store_transaction *transaction)
{
    for (size_t i = 0; i < transaction->n_comparisons; i++)
        if (!comparison_holds(memory, transaction->comparisons[i])) {
            transaction->result.failed = i;
            return -EAGAIN;
        }
    for (size_t i = 0; i < transaction->n_writes; i++)
        if (transaction->writes[i]->lease &&
            !lease_table_contains(&memory->store.leases, transaction->writes[i]->lease))
            return -ESTALE;
    return 0;
}

static int end_lease(struct memory_store *memory, struct store_transaction *transaction)
{
    if (!lease_table_contains(&memory->store.leases, transaction->end_lease))
        return -ESTALE;
    for (size_t i = 0; i < memory->n_entries; i++) {
        const struct entry *entry = &memory->entries[i];
        int r;

        if (entry->lease != transaction->end_lease)
            continue;
        r = transaction_add_lease_deletion(transaction, entry->item->key, entry->item->key_size);
        if (r < 0)
            return r;
    }
    return 0;
}

static int reserve(struct memory_store *memory, size_t n)
{
    struct entry *entries;

    if (n <= memory->n_allocated)
        return 0;
    n = MAX(n, 2 * memory->n_allocated);
    entries = realloc(memory->entries, n * sizeof *entries);
    if (!entries)
        return -ENOMEM;
    memory->entries = entries;
    memory->n_allocated = n;
    return 0;
}

/* Replaces one key's item; 'copy' is NULL to delete.  Needs no memory: there is room. */
static void apply_write(struct memory_store *memory, struct store_write *write, struct store_item *copy,
                        uint64_t revision)
{
    struct entry *entry = find(memory, write->item.key, write->item.key_size);
    size_t i;

    write->changed = copy || entry;
    write->item.modify_revision = revision;
    write->item.create_revision = !copy ? 0 : entry ? entry->item->create_revision : revision;
    if (copy) {
        copy->modify_revision = revision;
        copy->create_revision = write->item.create_revision;
    }
    if (entry) {
        free(entry->item);
        if (copy) {
            *entry = (struct entry){.item = copy, .lease = write->lease};
            return;
        }
        i = entry - memory->entries;
        memory->n_entries--;
        memmove(entry, entry + 1, (memory->n_entries - i) * sizeof *entry);
    } else if (copy) {
        i = lower_bound(memory, write->item.key, write->item.key_size);
        memmove(&memory->entries[i + 1], &memory->entries[i], (memory->n_entries - i) * sizeof *entry);
        memory->entries[i] = (struct entry){.item = copy, .lease = write->lease};
        memory->n_entries++;
    }
}

static int apply(struct memory_store *memory, struct store_transaction *transaction)
{
    struct store_item **copies = NULL;
    bool changed = false;
    int r;

    r = transaction->end_lease ? end_lease(memory, transaction) : check(memory, transaction);
    if (r < 0)
        return r;
    if (transaction->n_writes)
        copies = calloc(transaction->n_writes, sizeof(struct store_item *));
    if (reserve(memory, memory->n_entries + transaction->n_writes) < 0 || (transaction->n_writes && !copies)) {
        free(copies);
        return -ENOMEM;
    }
    for (size_t i = 0; i < transaction->n_writes; i++) {
        if (!transaction->writes[i]->item.value)
            continue;
        copies[i] = item_copy(&transaction->writes[i]->item);
        if (!copies[i]) {
            while (i-- > 0)
                free(copies[i]);
            free(copies);
            return -ENOMEM;
        }
    }
    for (size_t i = 0; i < transaction->n_writes; i++) {
        apply_write(memory, transaction->writes[i], copies[i], memory->store.revision + 1);
        changed |= transaction->writes[i]->changed;
    }
    free(copies);
    if (transaction->end_lease)
        lease_table_remove(&memory->store.leases, transaction->end_lease);
    transaction->result.revision = memory->store.revision + (changed ? 1 : 0);
    return changed;
}

static void trim_log(struct memory_store *memory, uint64_t floor)
{
    floor = watch_hub_raise_floor(&memory->store.hub, floor);
    while (memory->log_first && memory->log_first->result.revision <= floor) {
        struct store_transaction *oldest = memory->log_first;

        memory->log_first = oldest->next;
        if (!memory->log_first)
            memory->log_last = NULL;
        memory->log_length--;
        memory->log_size -= oldest->size;
        store_transaction_free(oldest);
    }
}

static void append_log(struct memory_store *memory, struct store_transaction *transaction)
{
    uint64_t length, size, floor = 0;

    if (memory->log_last)
        memory->log_last->next = transaction;
    else
        memory->log_first = transaction;
    memory->log_last = transaction;
    memory->log_length++;
    memory->log_size += transaction->size;

    length = memory->log_length;
    size = memory->log_size;
    for (const struct store_transaction *oldest = memory->log_first;
         oldest != transaction &&
         (length > memory->store.log_max_transactions || size > memory->store.log_max_size);
         oldest = oldest->next) {
        floor = oldest->result.revision;
        length--;
        size -= oldest->size;
    }
    if (floor)
        trim_log(memory, floor);
}

static int memory_read_log(struct store *store, uint64_t after, size_t limit,
                           int (*visit)(uint64_t revision, const struct store_item *events, size_t n_events,
                                        void *context),
                           void *context)
{
    struct memory_store *memory = memory_store(store);
    int r = 0;

    for (const struct store_transaction *transaction = memory->log_first; transaction && limit > 0 && r == 0;
         transaction = transaction->next) {
        struct store_item *events;
        size_t n = 0;

        if (transaction->result.revision <= after)
            continue;
        events = malloc(transaction->n_writes * sizeof *events);
        if (!events)
            return -ENOMEM;
        for (size_t i = 0; i < transaction->n_writes; i++)
            if (transaction->writes[i]->changed)
                events[n++] = transaction->writes[i]->item;
        r = visit(transaction->result.revision, events, n, context);
        free(events);
        limit--;
    }
    return r;
}

static void memory_submit(struct store *store, struct store_transaction *transaction)
{
    struct memory_store *memory = memory_store(store);
    struct store_transaction outcome;
    bool is_logged;
    int r;

    pthread_mutex_lock(&memory->lock);
    r = apply(memory, transaction);
    transaction->result.status = MIN(r, 0);
    is_logged = r > 0;
    if (is_logged) {
        uint64_t revision = transaction->result.revision;

        store->revision = revision;
        append_log(memory, transaction);
        watch_hub_publish(&store->hub, transaction, revision - 1, revision);
        watch_hub_catch_up(&store->hub, store, revision, memory_read_log); /* Who was left behind for want of memory. */
    }
    outcome = (struct store_transaction){
        .result = transaction->result, .done = transaction->done, .context = transaction->context};
    pthread_mutex_unlock(&memory->lock);

    store_finish(store, &outcome); /* Once it is in the log another thread may already have trimmed it away. */
    if (!is_logged)
        store_transaction_free(transaction);
}

static void memory_watch_added(struct store *store)
{
    struct memory_store *memory = memory_store(store);

    pthread_mutex_lock(&memory->lock);
    while (watch_hub_catch_up(&store->hub, store, store->revision, memory_read_log) > 0)
        ;
    pthread_mutex_unlock(&memory->lock);
}

static int memory_compact(struct store *store, uint64_t revision)
{
    struct memory_store *memory = memory_store(store);

    pthread_mutex_lock(&memory->lock);
    if (revision > 0)
        trim_log(memory, revision - 1);
    pthread_mutex_unlock(&memory->lock);
    return 0;
}

static void memory_close(struct store *store)
{
    struct memory_store *memory = memory_store(store);

    store_deinit(store);
    while (memory->log_first) {
        struct store_transaction *oldest = memory->log_first;

        memory->log_first = oldest->next;
        store_transaction_free(oldest);
    }
    for (size_t i = 0; i < memory->n_entries; i++)
        free(memory->entries[i].item);
    free(memory->entries);
    pthread_mutex_destroy(&memory->lock);
    free(memory);
}

static const struct store_operations memory_operations = {
    .close = memory_close,
    .get = memory_get,
    .list = memory_list,
    .submit = memory_submit,
    .watch_added = memory_watch_added,
    .compact = memory_compact,
};

int store_memory_open(struct store **ret_store)
{
    struct memory_store *memory = calloc(1, sizeof *memory);

    if (!memory)
        return -ENOMEM;
    pthread_mutex_init(&memory->lock, NULL);
    store_init(&memory->store, &memory_operations);
    *ret_store = &memory->store;
    return 0;
}
