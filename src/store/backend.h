/* What a backend of the store provides, and what store.c gives it.  Only src/store includes this.
 *
 *     store.c          the public functions: checks, dispatch, waiting
 *     transaction.c    building a transaction
 *     watch.c          who watches what, delivery, catching up from a log
 *     lease.c          deadlines of leases, for backends whose engine has none
 *     store-memory.c
 *     store-sqlite.h   the SQLite backend: several files, which that header lists */
#ifndef WEFT_STORE_BACKEND_H
#define WEFT_STORE_BACKEND_H

#include <pthread.h>

#include "weft/base/hashmap.h"
#include "weft/store/store.h"

/* --- transactions --------------------------------------------------------------------------------------------- */

enum store_comparison_kind { COMPARE_REVISION, COMPARE_EXISTS, COMPARE_EMPTY };

struct store_comparison {
    enum store_comparison_kind kind;
    uint64_t revision;    /* COMPARE_REVISION; 0 is "no such key". */
    const char *key;      /* COMPARE_EMPTY: where the range starts. */
    size_t key_size;
    const char *to;       /* COMPARE_EMPTY: where it ends, of size 0 for "never". */
    size_t to_size;
    char bytes[];
};

/* One write; once committed it is also the event that watches see. */
struct store_write {
    struct hashmap_node by_key;
    struct store_item item; /* 'value' is NULL for a deletion.  The backend fills in the revisions. */
    uint64_t lease;
    bool changed;           /* Set by the backend: false for the deletion of a missing key. */
    char bytes[];
};

struct store_transaction {
    struct store_comparison **comparisons;
    size_t n_comparisons;
    struct store_write **writes;
    size_t n_writes;
    struct hashmap keys; /* Of the writes. */
    size_t size;         /* Bytes of keys and values. */
    int error;           /* What refused an operation while building: then the whole transaction is refused. */

    /* Instead of comparisons and writes: the start or end of a lease.  An end deletes the lease's keys. */
    uint64_t grant_lease;
    uint64_t lease_ttl_ms;
    uint64_t end_lease;

    struct store_transaction *next; /* In a backend's queue or log. */
    struct store_result result;
    void (*done)(struct store_result result, void *context);
    void *context;
};

/* Adds a deletion beyond the limits: for the keys of a lease that ended. */
int transaction_add_lease_deletion(struct store_transaction *transaction, const char *key, size_t key_size);

/* As memcmp; a key sorts before every longer key that it starts. */
int key_compare(const char *a, size_t a_size, const char *b, size_t b_size);
bool key_in_range(const char *key, size_t key_size, const char *from, size_t from_size, const char *to, size_t to_size);

/* A copy in one allocation; keys and values get their terminating 0. */
struct store_item *item_copy(const struct store_item *item);

/* --- watches -------------------------------------------------------------------------------------------------- */

/* Visits the logged transactions after 'after', in order, up to 'limit' of them.  A non-zero return of 'visit' ends it and is returned. */
typedef int (*store_log_reader)(struct store *store, uint64_t after, size_t limit,
                                int (*visit)(uint64_t revision, const struct store_item *events, size_t n_events,
                                             void *context),
                                void *context);

/* The watches of a store.  A backend delivers from one thread at a time. */
struct watch_hub {
    pthread_mutex_t lock;
    pthread_cond_t idle;          /* 'running' became NULL. */
    struct store_watch *first;
    struct store_watch *running;  /* Its 'notify' is being called, without the lock. */
    uint64_t floor;               /* The log begins after this revision. */
};

/* Delivers committed transactions (a list by 'next', those that took a revision) to every watch that has seen all
 * before them, that is, everything up to 'before'. */
void watch_hub_publish(struct watch_hub *hub, const struct store_transaction *first, uint64_t before, uint64_t revision);

/* Brings watches that lag behind 'revision' nearer by reading the log, each by a bounded step.  Returns 1 when some lag still, 0,
 * or what reading the log said. */
int watch_hub_catch_up(struct watch_hub *hub, struct store *store, uint64_t revision, store_log_reader read_log);

/* Asks that the log begins after 'floor'.  Returns how far it may be cut: no lagging watch loses what it still needs. */
uint64_t watch_hub_raise_floor(struct watch_hub *hub, uint64_t floor);

/* Ends all watches; nothing delivers any more. */
void watch_hub_clear(struct watch_hub *hub);

/* --- leases --------------------------------------------------------------------------------------------------- */

/* Deadlines, and a thread (from the first lease on) that ends leases that nobody renewed. */
struct lease_table {
    struct store *store;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct hashmap leases;
    pthread_t thread;
    bool is_running, is_closing;
};

int lease_table_open(struct lease_table *table, struct store *store);
void lease_table_close(struct lease_table *table);
int lease_table_add(struct lease_table *table, uint64_t id, uint64_t ttl_ms);
bool lease_table_contains(struct lease_table *table, uint64_t id);
int lease_table_renew(struct lease_table *table, uint64_t id);
void lease_table_remove(struct lease_table *table, uint64_t id);

/* --- the store ------------------------------------------------------------------------------------------------ */

struct store_operations {
    void (*close)(struct store *store); /* Finishes what was submitted, frees what the backend holds and the store. */
    int (*get)(struct store *store, const char *key, size_t key_size, struct store_item **ret_item);
    int (*list)(struct store *store, const char *from, size_t from_size, const char *to, size_t to_size,
                int (*visit)(const struct store_item *item, void *context), void *context, uint64_t *ret_revision);
    /* Takes the transaction; calls store_finish once its outcome is durable, then frees it. */
    void (*submit)(struct store *store, struct store_transaction *transaction);
    /* A watch that may lag was added: deliver. */
    void (*watch_added)(struct store *store);
    int (*compact)(struct store *store, uint64_t revision);
};

struct store {
    const struct store_operations *operations;
    _Atomic uint64_t revision;
    _Atomic uint64_t log_max_transactions;
    _Atomic uint64_t log_max_size;
    struct watch_hub hub;
    struct lease_table leases;
};

/* For a backend's open and close functions: the part above. */
int store_init(struct store *store, const struct store_operations *operations);
void store_deinit(struct store *store);

/* Reports 'transaction->result' to whoever waits.  A refused or failed one has the store's revision. */
void store_finish(struct store *store, struct store_transaction *transaction);

#endif
