#include "weft/api/request.h"

#include "weft/api/api.h"
#include "weft/api/commits.h"

static void commit_done(const struct store_result *result, void *context)
{
    struct request *request = context;
    struct api_request *own = request->own;

    own->committed(request, result);
}

void request_commit(struct request *request, struct store_transaction *transaction,
                    void (*done)(struct request *request, const struct store_result *result))
{
    struct api_request *own = request->own;

    own->committed = done;
    commits_submit(request_api(request)->commits, transaction, commit_done, request);
}

void request_retry(struct request *request)
{
    struct api_request *own = request->own;

    if (++own->n_retries > REQUEST_MAX_RETRIES) {
        request_fail(request, HTTP_UNAVAILABLE, "RetryRequest", "Others changed the same objects %d times meanwhile; try again.",
                     REQUEST_MAX_RETRIES);
        return;
    }
    request_restart(request);
}
