#include "weft/api/password.h"

#include <errno.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(PASSWORD_HASH_SIZE >= crypto_pwhash_STRBYTES, "a hash fits");

struct job {
    uv_work_t work;
    char password[PASSWORD_MAX_SIZE + 1];
    char hash[PASSWORD_HASH_SIZE];
    struct password_cost cost;
    bool is_verify, is_dummy;
    int status;
    void (*done)(int status, const char *hash, void *context);
    void *context;
};

static unsigned n_waiting; /* Only the loop's thread touches it. */

int password_hash_now(const char *password, struct password_cost cost, char hash[PASSWORD_HASH_SIZE])
{
    memset(hash, 0, PASSWORD_HASH_SIZE);
    return crypto_pwhash_str_alg(hash, password, strlen(password), cost.operations, cost.memory_kib * 1024, crypto_pwhash_ALG_ARGON2ID13) == 0
               ? 0
               : -ENOMEM;
}

static void work(uv_work_t *uv)
{
    struct job *job = uv->data;

    if (!job->is_verify || job->is_dummy) {
        job->status = password_hash_now(job->password, job->cost, job->hash);
        if (job->is_dummy)
            job->status = -EACCES;
    } else {
        job->status = crypto_pwhash_str_verify(job->hash, job->password, strlen(job->password)) == 0 ? 0 : -EACCES;
    }
    sodium_memzero(job->password, sizeof(job->password));
}

static void worked(uv_work_t *uv, int status)
{
    struct job *job = uv->data;

    n_waiting--;
    job->done(status < 0 ? status : job->status, job->hash, job->context);
    sodium_memzero(job, sizeof(*job));
    free(job);
}

static int enqueue(uv_loop_t *loop, const char *password, struct job model)
{
    struct job *job;
    int r;

    if (n_waiting >= PASSWORD_MAX_WAITING)
        return -EAGAIN;
    job = malloc(sizeof(*job));
    if (!job)
        return -ENOMEM;
    *job = model;
    strncpy(job->password, password, PASSWORD_MAX_SIZE);
    job->work.data = job;
    r = uv_queue_work(loop, &job->work, work, worked);
    if (r < 0) {
        free(job);
        return r;
    }
    n_waiting++;
    return 0;
}

int password_hash(uv_loop_t *loop, const char *password, struct password_cost cost,
                  void (*done)(int status, const char *hash, void *context), void *context)
{
    return enqueue(loop, password, (struct job){.cost = cost, .done = done, .context = context});
}

int password_verify(uv_loop_t *loop, const char *password, const char *hash, struct password_cost cost,
                    void (*done)(int status, const char *hash, void *context), void *context)
{
    struct job job = {.is_verify = true, .is_dummy = !hash, .cost = cost, .done = done, .context = context};

    if (hash)
        strncpy(job.hash, hash, sizeof(job.hash) - 1);
    return enqueue(loop, password, job);
}
