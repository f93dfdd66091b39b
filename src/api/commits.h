/* Transactions from the loop to the store, and their outcomes back to the loop. */
#ifndef WEFT_API_COMMITS_H
#define WEFT_API_COMMITS_H

#include <uv.h>

#include "weft/api/replica.h"
#include "weft/store/store.h"

struct commits;

int commits_new(uv_loop_t *loop, struct store *store, struct replica *replica, struct commits **ret_commits);

/* After the store is closed (nothing is under way then), before the loop's last run. */
void commits_free(struct commits *commits);
DEFINE_CLEANUP(struct commits *, commits_free);

/* Submits 'transaction' (taken over).  'done' runs on the loop, after this call, once the outcome is durable and, on
 * success, the replica has it.  (Only when there is no memory left is it called at once, with -ENOMEM.) */
void commits_submit(struct commits *commits, struct store_transaction *transaction,
                    void (*done)(const struct store_result *result, void *context), void *context);

/* For the metrics: transactions by outcome, and the time from submit to durable. */
struct commits_counters {
    uint64_t n_committed, n_conflicts, n_failed;
    uint64_t total_ns;
    size_t n_pending;
};
struct commits_counters commits_counters(const struct commits *commits);

#endif
