/* The store calls back on a thread of its own; one mutex-protected list and one uv_async bring the outcomes to the loop. */
#include "weft/api/commits.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "weft/base/clock.h"
#include "weft/base/util.h"

struct commit {
    struct commits *commits;
    struct store_result result;
    uint64_t submitted_ns;
    struct replica_wait wait;
    struct commit *next;
    void (*done)(const struct store_result *result, void *context);
    void *context;
};

struct commits {
    struct store *store;
    struct replica *replica;
    uv_async_t async;
    struct commits_counters counters;

    pthread_mutex_t lock; /* Protects what follows. */
    struct commit *first, **last;
};

static void finish(struct commit *commit)
{
    commit->commits->counters.n_pending--;
    commit->done(&commit->result, commit->context);
    free(commit);
}

static void replica_has_it(struct replica_wait *wait)
{
    finish(CONTAINER_OF(wait, struct commit, wait));
}

static void outcomes_arrived(uv_async_t *async)
{
    struct commits *commits = async->data;
    struct commit *commit;

    pthread_mutex_lock(&commits->lock);
    commit = commits->first;
    commits->first = NULL;
    commits->last = &commits->first;
    pthread_mutex_unlock(&commits->lock);

    while (commit) {
        struct commit *next = commit->next;

        commits->counters.total_ns += clock_monotonic_ns() - commit->submitted_ns;
        if (commit->result.status == 0) {
            commits->counters.n_committed++;
            commit->wait.done = replica_has_it;
            replica_wait(commits->replica, &commit->wait, commit->result.revision);
        } else {
            if (commit->result.status == -EAGAIN)
                commits->counters.n_conflicts++;
            else
                commits->counters.n_failed++;
            finish(commit);
        }
        commit = next;
    }
}

int commits_new(uv_loop_t *loop, struct store *store, struct replica *replica, struct commits **ret_commits)
{
    struct commits *commits = calloc(1, sizeof(*commits));
    int r;

    if (!commits)
        return -ENOMEM;
    commits->store = store;
    commits->replica = replica;
    commits->last = &commits->first;
    pthread_mutex_init(&commits->lock, NULL);
    r = uv_async_init(loop, &commits->async, outcomes_arrived);
    if (r < 0) {
        free(commits);
        return r;
    }
    commits->async.data = commits;
    *ret_commits = commits;
    return 0;
}

static void closed(uv_handle_t *handle)
{
    struct commits *commits = handle->data;

    pthread_mutex_destroy(&commits->lock);
    free(commits);
}

void commits_free(struct commits *commits)
{
    if (!commits)
        return;
    outcomes_arrived(&commits->async);
    uv_close((uv_handle_t *)&commits->async, closed);
}

/* On any thread. */
static void store_is_done(struct store_result result, void *context)
{
    struct commit *commit = context;
    struct commits *commits = commit->commits;

    commit->result = result;
    commit->next = NULL;
    pthread_mutex_lock(&commits->lock);
    *commits->last = commit;
    commits->last = &commit->next;
    pthread_mutex_unlock(&commits->lock);
    uv_async_send(&commits->async);
}

void commits_submit(struct commits *commits, struct store_transaction *transaction,
                    void (*done)(const struct store_result *result, void *context), void *context)
{
    struct commit *commit = calloc(1, sizeof(*commit));

    if (!commit) {
        store_transaction_free(transaction);
        done(&(struct store_result){.status = -ENOMEM, .failed = -1}, context);
        return;
    }
    *commit = (struct commit){.commits = commits, .done = done, .context = context, .submitted_ns = clock_monotonic_ns()};
    commits->counters.n_pending++;
    store_submit(commits->store, transaction, store_is_done, commit);
}

struct commits_counters commits_counters(const struct commits *commits)
{
    return commits->counters;
}
