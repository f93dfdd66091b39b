/* A weft-api inside a test: everything but the sockets.  Several may share one store, as the servers of a cluster do.
 * Everybody is the administrator. */
#ifndef WEFT_TEST_INSTANCE_H
#define WEFT_TEST_INSTANCE_H

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "weft/api/api.h"
#include "weft/store/store.h"

struct instance {
    struct api api;
    uv_loop_t loop;
};

/* Aborts when anything fails. */
void instance_start(struct instance *instance, struct store *store);

/* First instance_stop of each, then store_close, then instance_free of each. */
void instance_stop(struct instance *instance);
void instance_free(struct instance *instance);

/* One request and its answer. */
struct exchange {
    const char *if_match;  /* May be NULL. */
    bool is_answered;
    int status;
    json_t *body;          /* Owned; NULL when there was none. */
};

/* Starts a request; 'body' is copied and may be NULL.  It is answered now or while the loop runs. */
void exchange_start(struct exchange *exchange, struct instance *instance, const char *method, const char *target, const char *body);
void exchange_clear(struct exchange *exchange);

/* Runs the loops until 'exchanges' are answered; aborts after 30 s. */
void instances_run(struct instance *const *instances, size_t n_instances, const struct exchange *exchanges, size_t n_exchanges);

/* A whole request; returns its status and stores the body, a new reference, when 'ret_body' is not NULL. */
int instance_call(struct instance *instance, const char *method, const char *target, const char *body, json_t **ret_body);

#endif
