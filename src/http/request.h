/* One request from its route to its answer: what every handler is written against.
 *
 * Everything here runs on the one loop thread of the program; handlers never block.  Before a handler runs, the service's barrier
 * has been passed, the credential has been checked against the route's policy, and the body is parsed.
 *
 * A handler ends by calling exactly one of request_respond*, request_fail*, request_stream or request_restart, at once or later from any
 * callback on the loop; until then the connection is suspended and costs no work.  The request stays valid until it is answered,
 * also when the client has gone. */
#ifndef WEFT_HTTP_REQUEST_H
#define WEFT_HTTP_REQUEST_H

#include <jansson.h>
#include <stddef.h>

#include "weft/base/error.h"
#include "weft/http/routes.h"
#include "weft/http/status.h"
#include "weft/http/stream.h"
#include "weft/http/target.h"

struct http_service;

#define REQUEST_BODY_SIZE (4u << 20)          /* Bytes, unless the route says otherwise; more is 413. */
#define REQUEST_BODY_SIZE_UNKNOWN (64u << 10) /* The most from somebody without a valid credential, whatever the route says. */
#define REQUEST_ID_SIZE 41                    /* "req-" and a UUID. */

struct request {
    const struct http_service *service;
    void *context;                     /* The service's. */
    void *own;                         /* The service's own_size bytes for this request. */
    const char *method;                /* "GET"; HEAD stays "HEAD". */
    const char *target;                /* As it was sent: "/v2.0/ports?name=a". */
    const char *path;                  /* Decoded, without query and trailing slash: "/v2.0/ports". */
    const struct route *route;
    const char *parameters[ROUTE_MAX_PARAMETERS]; /* What the {names} of the pattern matched, in order. */
    size_t n_parameters;
    const struct query_parameter *query; /* In the order sent; repetitions kept. */
    size_t n_query;
    json_t *body;                      /* An object; borrowed; NULL when there was none.  Do not change it: a restart reads it again. */
    char id[REQUEST_ID_SIZE];          /* Also in the answer's header. */

    void *state;                       /* The handler's own, freed with 'free_state' before a restart and at the end. */
    void (*free_state)(void *state);
};

/* Borrowed text, NULL when absent. */
const char *request_header(const struct request *request, const char *name);      /* Any case. */
const char *request_query(const struct request *request, const char *name);       /* The first of that name. */
const char *request_parameter(const struct request *request, const char *name);   /* Of the pattern: "id". */
const char *request_client_address(const struct request *request);                /* "192.0.2.7", "" if unknown. */

/* Where this client reaches this server, without a trailing slash: "http://127.0.0.1:9696".  Every link starts with it.
 * It is the service's public_url, else what the client itself called us (its Host header), else the address we listen on. */
const char *request_public_url(const struct request *request);

/* Adds a header to the answer to come.  Name and value are copied. */
void request_add_header(struct request *request, const char *name, const char *value);

/* Answer.  'body' (a reference is taken over, NULL is an empty body) is sent as compact JSON. */
void request_respond(struct request *request, int status, json_t *body);

/* Answers with bytes as they are; takes over 'bytes' (from malloc; NULL, out of memory, is 503). */
void request_respond_bytes(struct request *request, int status, const char *content_type, char *bytes, size_t size);

/* Answers with plain text, which is copied. */
void request_respond_text(struct request *request, int status, const char *text);

/* Answers with an error, in the service's form.  'type' is a name for programs; NULL: that of the status. */
void request_fail(struct request *request, int status, const char *type, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same from a library's error: its code gives the status (http_status_of_code), its type and field are used when set. */
void request_fail_error(struct request *request, const struct error *error);

/* Answers with a stream (stream.h), which stays the caller's.  The request is over once this returns. */
void request_stream(struct request *request, const char *content_type, struct stream *stream);

/* Runs the route's handler again, from the barrier on, with the same body; 'state' is freed, request->own stays as it is. */
void request_restart(struct request *request);

/* For the barrier hook: goes on with the credential, the body and the handler. */
void request_proceed(struct request *request);

#endif
