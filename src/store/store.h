/* The store: ordered keys, values, revisions, transactions, watches.
 *
 * A store maps byte-string keys to byte-string values under one global revision that grows by one with each committed
 * transaction that changed something (one that only compares, or deletes what is not there, takes none).  The model is etcd's (version 3), so that SQLite, memory and etcd can stand behind one interface:
 * multi-version only as far as the log that watches resume from reaches.
 *
 * Backends: store-memory.c (the reference), store-sqlite.c (one file, group commit).  All pass tests/unit/store.
 *
 * Threads: every function may be called from any thread.  Callbacks run on a thread of the store's own (SQLite's
 * writer) or inside the caller (memory); they must be short, must not call the store, and hand work to their own
 * loop (uv_async_send). */
#ifndef WEFT_STORE_STORE_H
#define WEFT_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weft/base/cleanup.h"
#include "weft/base/error.h"

/* Limits every backend enforces; a transaction beyond them is refused whole with -E2BIG. */
#define STORE_TRANSACTION_MAX_OPERATIONS 8192
#define STORE_TRANSACTION_MAX_SIZE (8u << 20) /* Bytes of keys and values together. */
#define STORE_KEY_MAX_SIZE 512                /* Bytes; a key is never empty. */

/* What may wait for a commit that is under way.  One transaction always may; beyond that store_submit completes with -EBUSY. */
#define STORE_MAX_WAITING_TRANSACTIONS 4096
#define STORE_MAX_WAITING_SIZE (64u << 20) /* Bytes of keys and values together. */

struct store;
struct store_transaction;
struct store_watch;

struct store_item {
    const char *key;         /* 'key_size' bytes, and a terminating 0 that is not counted. */
    size_t key_size;
    const char *value;       /* 'value_size' bytes, and a terminating 0 that is not counted. */
    size_t value_size;
    uint64_t create_revision; /* Of the transaction that created the key. */
    uint64_t modify_revision; /* Of the transaction that last wrote it. */
};

/* The reference: everything in memory, gone with the process. */
int store_memory_open(struct store **ret_store);

/* A SQLite file, created when missing, readable by its owner only; durable: a commit is acknowledged after fsync (WAL,
 * synchronous=FULL).  After a failed fsync nothing is known about the disk any more, and every commit is refused with
 * -EIO until the store is opened again; reading goes on.  Another program that reads the file for long (a backup) makes the
 * WAL beside it grow; at 256 MiB commits are refused with -ENOSPC until it ends.
 * 'vfs' names a registered SQLite VFS, or NULL for the default.  Returns 0; -EBUSY when the file is open already, here
 * or in another process ('path'-lock is locked), -EPROTO when it is not a weft store or of a later layout, or what the system said. */
int store_sqlite_open(const char *path, const char *vfs, struct store **ret_store, struct error *error);

void store_close(struct store *store); /* Ends watches, waits for what was submitted, frees. */
DEFINE_CLEANUP(struct store *, store_close);

/* The revision of the latest committed transaction; 0 in an empty store.  Acquire semantics: what it covers is readable. */
uint64_t store_revision(struct store *store);

/* Reads one key into '*ret_item', one allocation that the caller frees with free().  Returns 0, -ENOENT, -EIO. */
int store_get(struct store *store, const char *key, size_t key_size, struct store_item **ret_item);

/* Calls 'visit' for each key in ['from', 'to') in byte order, all at one revision, which is stored in '*ret_revision'
 * (may be NULL).  'to' of size 0 is "to the end".  The item is borrowed for the call.  A non-zero return of 'visit'
 * ends the listing and is returned.  SQLite copies the whole listing before the first call, so that a slow visitor holds up
 * nobody; each item's copy is freed after its call. */
int store_list(struct store *store, const char *from, size_t from_size, const char *to, size_t to_size,
               int (*visit)(const struct store_item *item, void *context), void *context, uint64_t *ret_revision);

/* A transaction: comparisons, then writes, all or nothing.  Building is not thread-safe; a built transaction may be
 * committed once, which consumes it.  Keys and values are copied.  Return 0, -ENOMEM, -E2BIG beyond the limits, or
 * -EINVAL for an empty key.  A transaction that refused one operation is refused whole when it is committed. */
int store_transaction_new(struct store_transaction **ret_transaction);
void store_transaction_free(struct store_transaction *transaction);
DEFINE_CLEANUP(struct store_transaction *, store_transaction_free);

/* Comparisons.  A revision of 0 means "the key does not exist". */
int store_require_revision(struct store_transaction *, const char *key, size_t key_size, uint64_t modify_revision);
int store_require_exists(struct store_transaction *, const char *key, size_t key_size);
int store_require_empty(struct store_transaction *, const char *from, size_t from_size, const char *to, size_t to_size);

/* Writes.  A key may be written once in a transaction (-EEXIST).  Deleting a missing key is no error.
 * A 'lease' of 0 is none; a key with a lease is deleted when the lease expires. */
int store_put(struct store_transaction *, const char *key, size_t key_size, const char *value, size_t value_size,
              uint64_t lease);
int store_delete(struct store_transaction *, const char *key, size_t key_size);

struct store_result {
    int status;        /* 0; -EAGAIN: a comparison failed, nothing was written; -EIO, -ENOSPC: nothing was written;
                          -EBUSY: too much is waiting (STORE_MAX_WAITING_*), nothing was written, try again later;
                          -ESTALE: a lease named does not exist; -E2BIG, -EINVAL, -EEXIST, -ENOMEM: what a
                          store_require_*, store_put or store_delete of it returned before. */
    uint64_t revision; /* Of this transaction when status is 0, else the store's. */
    int failed;        /* Index of the first comparison that failed, in the order they were added; -1 otherwise. */
};

/* Commits and waits until the outcome is durable. */
struct store_result store_commit(struct store *store, struct store_transaction *transaction);

/* Commits and calls 'done' (may be NULL) once the outcome is durable; many waiting transactions share one fsync.  Consumes
 * 'transaction'.  What is refused at once (-EBUSY, or an error while it was built) is reported inside the call. */
void store_submit(struct store *store, struct store_transaction *transaction,
                  void (*done)(struct store_result result, void *context), void *context);

/* Watches keys in ['from', 'to').  Events of committed transactions after 'after_revision' arrive in revision order,
 * each transaction's events together; never before they are durable, none twice.  'events' are borrowed for the call;
 * an item whose 'value' is NULL was deleted, and then 'modify_revision' is that of the deletion and 'create_revision'
 * 0.  A batch may hold several transactions.  Watching from a revision that is still to come is fine.
 * Returns 0, or -ESTALE when the log no longer reaches back that far (list again, and watch from there). */
struct store_watch_batch {
    uint64_t revision;              /* Everything up to here was delivered. */
    const struct store_item *events;
    size_t n_events;                /* Zero is possible: the revision moved without touching the range. */
};
int store_watch(struct store *store, const char *from, size_t from_size, const char *to, size_t to_size,
                uint64_t after_revision, void (*notify)(const struct store_watch_batch *batch, void *context),
                void *context, struct store_watch **ret_watch);
void store_watch_cancel(struct store_watch *watch); /* No call of 'notify' runs or follows once it returns. */

/* Forgets watch history older than 'revision' (a watch from 'revision' - 1 still finds it); a watch that lags keeps what
 * it needs.  The store also keeps no more than its log limit by itself: 65,536 transactions or 32 MiB, whichever is
 * less, or what store_set_log_limit said.  The latest transaction is always kept. */
int store_compact(struct store *store, uint64_t revision);
void store_set_log_limit(struct store *store, uint64_t max_transactions, uint64_t max_size);

/* Leases: a key written under one disappears when nobody renews it for 'ttl_ms'.  SQLite and memory count lease time
 * from the process's start again after a restart (never shorter than promised).  A 'ttl_ms' of 0 is -EINVAL. */
int store_lease_grant(struct store *store, uint64_t ttl_ms, uint64_t *ret_lease);
int store_lease_renew(struct store *store, uint64_t lease); /* 0, or -ESTALE when it has expired. */
int store_lease_revoke(struct store *store, uint64_t lease); /* Deletes its keys at once. */

#endif
