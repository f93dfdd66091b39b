/* Inside http only: a request with what its handler does not see, and its end. */
#ifndef WEFT_HTTP_REQUEST_STATE_H
#define WEFT_HTTP_REQUEST_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "weft/base/util.h"
#include "weft/http/http.h"
#include "weft/http/request.h"
#include "weft/http/source.h"

struct call {
    struct request request;
    struct request_source source;
    struct target target;
    struct answer answer;
    char allow[96];            /* For a 405. */
    struct error early;        /* Found before dispatch. */
    int early_status;
    char *body;                /* Until it is parsed. */
    size_t body_size, body_limit;
    uint64_t started_ns;
    char public_url[300];
    max_align_t own[];         /* The service's own_size bytes. */
};

static inline struct call *call_of(const struct request *request)
{
    return CONTAINER_OF(request, struct call, request);
}

/* The one way out: hands the answer over, counts it, frees the call. */
void call_finish(struct call *call);

void call_free_state(struct call *call);
void call_free(struct call *call);

#endif
