/* A request's life from outside: for the listener, and for tests and fuzzing, which have no sockets.
 *
 *   request_new -> (the body arrives) -> request_dispatch -> 'answered' */
#ifndef WEFT_HTTP_DISPATCH_H
#define WEFT_HTTP_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "weft/http/source.h"

struct http_service;
struct request;

/* Parses 'target', the raw request target ("/v2.0/ports?limit=2"), and finds the route.  'method' is borrowed until the answer.
 * Returns the request, which may already carry a failure that request_dispatch will answer; NULL when out of memory. */
struct request *request_new(const struct http_service *service, const char *method, const char *target,
                            const struct request_source *source);

/* How many bytes of body this request may have: by its route, and by whether its credential is valid as it arrives. */
size_t request_body_limit(const struct request *request);

/* The whole body is there (taken over, from malloc; NULL if none): barrier, credential, body, handler.  'too_large' answers 413, or
 * 401 or 403 as the small one would. */
void request_dispatch(struct request *request, char *body, size_t size, bool too_large);

/* Instead of request_dispatch, when the client has gone before its body was complete. */
void request_abandon(struct request *request);

#endif
