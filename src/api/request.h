/* One HTTP request from its route to its answer: what every handler of weft-api is written against.
 *
 *   bytes -> http.c -> request (parsed, credential known) -> route's handler -> answer, now or later
 *
 * Everything here runs on the one loop thread of the program; handlers never block.  Before a handler runs, the
 * replica has reached the store's revision (a read sees every write acknowledged before it, on any server), the
 * credential has been checked against the route's policy, and the body is parsed.
 *
 * A handler ends by calling exactly one of request_respond*, request_fail*, request_commit or request_retry, at once
 * or later from any callback on the loop; until then the connection is suspended and costs no work.  The request
 * stays valid until it is answered, also when the client has gone. */
#ifndef WEFT_API_REQUEST_H
#define WEFT_API_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weft/base/error.h"
#include "weft/store/store.h"

struct api;

#define REQUEST_MAX_PARAMETERS 4          /* {names} in a pattern. */
#define REQUEST_MAX_QUERY 512             /* Query parameters; more is 400. */
#define REQUEST_BODY_SIZE (4u << 20)      /* Bytes, unless the route says otherwise; more is 413. */
#define REQUEST_BODY_SIZE_UNKNOWN (64u << 10) /* The most from somebody without a valid credential, whatever the route says. */
#define REQUEST_MAX_RETRIES 16
#define REQUEST_ID_SIZE 41                /* "req-" and a UUID. */

enum http_status {
    HTTP_OK = 200, HTTP_CREATED = 201, HTTP_ACCEPTED = 202, HTTP_NO_CONTENT = 204, HTTP_MULTIPLE_CHOICES = 300,
    HTTP_BAD_REQUEST = 400, HTTP_UNAUTHORIZED = 401, HTTP_FORBIDDEN = 403, HTTP_NOT_FOUND = 404,
    HTTP_METHOD_NOT_ALLOWED = 405, HTTP_CONFLICT = 409, HTTP_PRECONDITION_FAILED = 412, HTTP_TOO_LARGE = 413,
    HTTP_TOO_MANY_REQUESTS = 429, HTTP_SERVER_ERROR = 500, HTTP_NOT_IMPLEMENTED = 501, HTTP_UNAVAILABLE = 503,
    HTTP_GATEWAY_TIMEOUT = 504,
};

/* Which credential a route wants.  What is missing: 401; what does not suffice: 403. */
enum policy {
    POLICY_PUBLIC,  /* None; one that is sent is not looked at. */
    POLICY_TOKEN,   /* A valid token, also one without a project. */
    POLICY_PROJECT, /* A token scoped to a project, any role (reader suffices). */
    POLICY_WRITE,   /* A token scoped to a project, role member or admin. */
    POLICY_ADMIN,   /* Role admin. */
    POLICY_HEALTH,  /* None, on both listeners, and without the barrier. */
    POLICY_METRICS, /* None, on the metrics listener only, and without the barrier. */
    POLICY_HOST,    /* "Authorization: Bearer", the credential of the host named by the pattern's {name}. */
};

enum role { ROLE_READER = 1, ROLE_MEMBER = 2, ROLE_ADMIN = 4 };

/* Who asks. */
struct auth_context {
    char user_id[64];
    char project_id[64];  /* Empty for a token without a project. */
    char host_id[37];     /* Of the agent, with POLICY_HOST. */
    uint32_t roles;       /* Bits of enum role, in the token's project. */
    bool is_admin;        /* Sees and changes what belongs to other projects. */
    void *token;          /* identity's own. */
};

struct request;

struct route {
    const char *method;   /* "GET" also serves HEAD. */
    const char *pattern;  /* "/v2.0/ports/{id}": segments, a {name} matches one non-empty segment; literals win. */
    enum policy policy;
    void (*handle)(struct request *request);
    const void *data;     /* The handler's: for example its resource table. */
    size_t body_size;     /* Largest body in bytes; 0 is REQUEST_BODY_SIZE. */
};

struct query_parameter {
    const char *name;     /* Decoded; never contains a 0 byte; valid UTF-8. */
    const char *value;    /* "" for "?name". */
};

struct request {
    struct api *api;
    const char *method;                /* "GET"; HEAD stays "HEAD". */
    const char *path;                  /* Decoded, without query and trailing slash: "/v2.0/ports". */
    const struct route *route;
    const char *parameters[REQUEST_MAX_PARAMETERS]; /* What the {names} of the pattern matched, in order. */
    size_t n_parameters;
    struct query_parameter *query;     /* In the order sent; repetitions kept. */
    size_t n_query;
    json_t *body;                      /* Borrowed; NULL when there was none.  Do not change it: a retry reads it again. */
    struct auth_context auth;
    char id[REQUEST_ID_SIZE];          /* X-Openstack-Request-Id of the answer. */

    void *state;                       /* The handler's own, freed with 'free_state' before a retry and at the end. */
    void (*free_state)(void *state);
};

/* Borrowed text, NULL when absent. */
const char *request_header(const struct request *request, const char *name);      /* Any case. */
const char *request_query(const struct request *request, const char *name);       /* The first of that name. */
const char *request_parameter(const struct request *request, const char *name);   /* Of the pattern: "id". */
const char *request_client_address(const struct request *request);                /* "192.0.2.7", "" if unknown. */

/* Where this client reaches this server, without a trailing slash: "http://127.0.0.1:9696".  Every link starts with it.
 * It is --public-url, else what the client itself called us (its Host header), else the address we listen on. */
const char *request_public_url(const struct request *request);

/* Adds a header to the answer to come.  Name and value are copied. */
void request_add_header(struct request *request, const char *name, const char *value);

/* Answer.  'body' (a reference is taken over, NULL is an empty body) is sent as compact JSON. */
void request_respond(struct request *request, int status, json_t *body);

/* Answers with bytes as they are; takes over 'bytes' (from malloc). */
void request_respond_bytes(struct request *request, int status, const char *content_type, char *bytes, size_t size);

/* Answers with an error, in the form of the API that was called: {"NeutronError": {"type", "message", "detail"}},
 * under /identity and /v3 {"error": {"code", "title", "message"}}. */
void request_fail(struct request *request, int status, const char *type, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same from a library's error: its code gives the status (-EINVAL -ERANGE 400, -EACCES 401, -EPERM 403, -ENOENT
 * 404, -EEXIST -EBUSY -ENOSPC 409, -ESTALE 412, -E2BIG 413, -EAGAIN 503, anything else 500), its type and field are used when set. */
void request_fail_error(struct request *request, const struct error *error);

/* Commits 'transaction' (taken over) and calls 'done' on the loop when the outcome is durable and, on success, the
 * replica has it: what 'done' looks up in the replica is the new state.  result->status: see store.h. */
void request_commit(struct request *request, struct store_transaction *transaction,
                    void (*done)(struct request *request, const struct store_result *result));

/* Runs the route's handler again once the replica has caught up: the answer to -EAGAIN, when a comparison failed because
 * somebody else was quicker.  After REQUEST_MAX_RETRIES it answers 503 instead. */
void request_retry(struct request *request);

/* An answer without an end (the watch stream): 'read' is called when the connection can take bytes and returns how many it
 * wrote, at most 'size'; 0 is "nothing now", and then it is called again only after stream_wake; negative ends the connection.
 * 'closed' is called once when the connection is gone, and the stream is freed after it.  The request is over once
 * request_stream returns. */
struct stream {
    void (*wake)(struct stream *stream); /* The transport's; use stream_wake. */
    void (*cut)(struct stream *stream);
    void *transport;
    int64_t (*read)(struct stream *stream, char *bytes, size_t size);
    void (*closed)(struct stream *stream);
    void *context;
};
void request_stream(struct request *request, const char *content_type, struct stream *stream);
void stream_wake(struct stream *stream);  /* There is something to read. */
void stream_cut(struct stream *stream);   /* Closes the connection soon; 'closed' follows from the loop. */

/* For tests, fuzzing and the HTTP glue: a request from its parts.  'target' is the raw request target ("/v2.0/ports?limit=2"),
 * 'header' looks one up (may be NULL), 'answered' is called once with the answer; the request is freed after it. */
struct answer {
    int status;
    const char *content_type;        /* NULL without a body. */
    char *bytes;                     /* From malloc; the receiver may take it by setting it to NULL. */
    size_t size;
    struct stream *stream;           /* Instead of bytes, when not NULL. */
    struct answer_header {
        char *name, *value;
    } headers[8];
    size_t n_headers;
};
struct request_source {
    const char *(*header)(void *context, const char *name);
    const char *client_address;
    const char *scheme;              /* "http" or "https". */
    bool is_metrics_listener;        /* Only POLICY_HEALTH and POLICY_METRICS are served. */
    void (*answered)(struct request *request, struct answer *answer, void *context);
    void *context;
};

/* Parses the target and finds the route.  Returns the request, which may already carry a failure that request_dispatch
 * will answer; NULL when out of memory. */
struct request *request_new(struct api *api, const char *method, const char *target, const struct request_source *source);

/* How many bytes of body this request may have: by its route, and by whether its credential is valid as it arrives. */
size_t request_body_limit(const struct request *request);

/* The whole body is there (taken over, from malloc; NULL if none): authenticate, parse, run the handler.  'too_large' answers 413,
 * or 401 or 403 as the small one would. */
void request_dispatch(struct request *request, char *body, size_t size, bool too_large);

/* Instead of request_dispatch, when the client has gone before its body was complete. */
void request_abandon(struct request *request);

#endif
