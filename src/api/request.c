/* The life of a request: new -> (body arrives) -> dispatch: barrier, credential, body -> handler -> answer.
 *
 * A retry goes back to the barrier with the same parsed body. */
#include "weft/api/request.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "weft/api/api.h"
#include "weft/api/commits.h"
#include "weft/api/hosts.h"
#include "weft/api/identity.h"
#include "weft/api/metrics.h"
#include "weft/api/replica.h"
#include "weft/api/routes.h"
#include "weft/api/target.h"
#include "weft/base/clock.h"
#include "weft/base/log.h"
#include "weft/base/util.h"
#include "weft/base/uuid.h"

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
    unsigned n_retries;
    uint64_t started_ns;
    struct replica_wait barrier;
    void (*committed)(struct request *request, const struct store_result *result);
    char public_url[300];
};

static struct call *call_of(const struct request *request)
{
    return CONTAINER_OF(request, struct call, request);
}

static int authorize(struct request *request, struct error *error);

/* Megabytes are for those we know; whoever has no valid credential cannot make us hold more than a login needs. */
static size_t find_body_limit(struct request *request)
{
    size_t limit = request->route && request->route->body_size ? request->route->body_size : REQUEST_BODY_SIZE;
    struct error error = {0};
    bool is_known;

    if (!request->route || limit <= REQUEST_BODY_SIZE_UNKNOWN)
        return MIN(limit, (size_t)REQUEST_BODY_SIZE_UNKNOWN);
    is_known = authorize(request, &error) == 0;
    memset(&request->auth, 0, sizeof(request->auth));
    return is_known ? limit : REQUEST_BODY_SIZE_UNKNOWN;
}

struct request *request_new(struct api *api, const char *method, const char *target, const struct request_source *source)
{
    struct call *call = calloc(1, sizeof(*call));
    struct request *request;
    int r;

    if (!call)
        return NULL;
    request = &call->request;
    call->source = *source;
    call->started_ns = clock_monotonic_ns();
    request->api = api;
    request->method = method;
    memcpy(request->id, "req-", 4);
    uuid_generate(request->id + 4);

    r = target_parse(target, &call->target, &call->early);
    if (r == -ENOMEM)
        error_set(&call->early, r, NULL, "out of memory");
    if (r < 0) {
        call->early_status = r == -ENOMEM ? HTTP_UNAVAILABLE : HTTP_BAD_REQUEST;
        call->body_limit = REQUEST_BODY_SIZE_UNKNOWN;
        request->path = "";
        return request;
    }
    request->path = call->target.path;
    request->query = call->target.query;
    request->n_query = call->target.n_query;

    r = routes_find(api->routes, method, call->target.segments, call->target.n_segments, &request->route,
                    request->parameters, &request->n_parameters, call->allow, sizeof(call->allow));
    if (r == 0 && request->route->policy != POLICY_HEALTH && (request->route->policy == POLICY_METRICS) != source->is_metrics_listener) {
        request->route = NULL;
        r = -ENOENT;
    }
    if (r == -ENOENT) {
        call->early_status = HTTP_NOT_FOUND;
        error_set_type(&call->early, r, "HTTPNotFound", NULL, "The resource '%.200s' could not be found.", call->target.path);
    } else if (r < 0) {
        call->early_status = HTTP_METHOD_NOT_ALLOWED;
        error_set_type(&call->early, r, "HTTPMethodNotAllowed", NULL, "The method %.20s is not allowed for '%.200s', only %s.",
                       method, call->target.path, call->allow);
    }
    call->body_limit = find_body_limit(request);
    return request;
}

size_t request_body_limit(const struct request *request)
{
    return call_of(request)->body_limit;
}

static void free_state(struct request *request)
{
    if (request->state && request->free_state)
        request->free_state(request->state);
    request->state = NULL;
    request->free_state = NULL;
}

static void call_free(struct call *call)
{
    free_state(&call->request);
    json_decref(call->request.body);
    free(call->body);
    for (size_t i = 0; i < call->answer.n_headers; i++) {
        free(call->answer.headers[i].name);
        free(call->answer.headers[i].value);
    }
    free(call->answer.bytes);
    target_clear(&call->target);
    free(call);
}

void request_abandon(struct request *request)
{
    call_free(call_of(request));
}

/* The one way out. */
static void finish(struct call *call)
{
    struct request *request = &call->request;

    request_add_header(request, "X-Openstack-Request-Id", request->id);
    if (request->route)
        metrics_count_request(request->api->metrics, routes_index(request->api->routes, request->route), call->answer.status,
                              clock_monotonic_ns() - call->started_ns);
    else
        metrics_count_request(request->api->metrics, METRICS_NO_ROUTE, call->answer.status, clock_monotonic_ns() - call->started_ns);
    call->source.answered(request, &call->answer, call->source.context);
    call_free(call);
}

void request_add_header(struct request *request, const char *name, const char *value)
{
    struct answer *answer = &call_of(request)->answer;
    struct answer_header header;

    if (answer->n_headers == ARRAY_SIZE(answer->headers))
        return;
    header = (struct answer_header){.name = strdup(name), .value = strdup(value)};
    if (!header.name || !header.value) {
        /* Every header is of use to somebody, none is worth ending the program for. */
        log_error("out of memory: %s: the answer lacks its header %s", request->id, name);
        free(header.name);
        free(header.value);
        return;
    }
    answer->headers[answer->n_headers++] = header;
}

void request_respond_bytes(struct request *request, int status, const char *content_type, char *bytes, size_t size)
{
    struct call *call = call_of(request);

    call->answer.status = status;
    call->answer.content_type = content_type;
    call->answer.bytes = bytes;
    call->answer.size = size;
    finish(call);
}

void request_respond(struct request *request, int status, json_t *body)
{
    char *bytes = NULL;
    size_t size = 0;

    if (body) {
        size = json_dumpb(body, NULL, 0, JSON_COMPACT);
        bytes = size ? malloc(size) : NULL;
        if (bytes)
            size = json_dumpb(body, bytes, size, JSON_COMPACT);
        json_decref(body);
        if (!bytes) {
            status = HTTP_UNAVAILABLE;
            size = 0;
        }
    }
    request_respond_bytes(request, status, bytes ? "application/json" : NULL, bytes, size);
}

static bool speaks_keystone(const struct request *request)
{
    return strncmp(request->path, "/identity", 9) == 0 || strncmp(request->path, "/v3", 3) == 0;
}

static const char *status_title(int status)
{
    switch (status) {
    case HTTP_BAD_REQUEST: return "Bad Request";
    case HTTP_UNAUTHORIZED: return "Unauthorized";
    case HTTP_FORBIDDEN: return "Forbidden";
    case HTTP_NOT_FOUND: return "Not Found";
    case HTTP_METHOD_NOT_ALLOWED: return "Method Not Allowed";
    case HTTP_CONFLICT: return "Conflict";
    case HTTP_PRECONDITION_FAILED: return "Precondition Failed";
    case HTTP_TOO_LARGE: return "Request Entity Too Large";
    case HTTP_TOO_MANY_REQUESTS: return "Too Many Requests";
    case HTTP_NOT_IMPLEMENTED: return "Not Implemented";
    case HTTP_UNAVAILABLE: return "Service Unavailable";
    case HTTP_GATEWAY_TIMEOUT: return "Gateway Timeout";
    default: return "Internal Server Error";
    }
}

static const char *default_type(int status)
{
    switch (status) {
    case HTTP_BAD_REQUEST: return "HTTPBadRequest";
    case HTTP_UNAUTHORIZED: return "HTTPUnauthorized";
    case HTTP_FORBIDDEN: return "HTTPForbidden";
    case HTTP_NOT_FOUND: return "HTTPNotFound";
    case HTTP_METHOD_NOT_ALLOWED: return "HTTPMethodNotAllowed";
    case HTTP_CONFLICT: return "HTTPConflict";
    case HTTP_PRECONDITION_FAILED: return "HTTPPreconditionFailed";
    case HTTP_TOO_LARGE: return "HTTPRequestEntityTooLarge";
    case HTTP_TOO_MANY_REQUESTS: return "HTTPTooManyRequests";
    case HTTP_NOT_IMPLEMENTED: return "HTTPNotImplemented";
    case HTTP_UNAVAILABLE: return "HTTPServiceUnavailable";
    case HTTP_GATEWAY_TIMEOUT: return "HTTPGatewayTimeout";
    default: return "HTTPInternalServerError";
    }
}

static void fail(struct request *request, int status, const char *type, const char *text)
{
    char message[1200];
    json_t *body;

    string_copy(message, sizeof(message), text);
    utf8_repair(message); /* JSON takes nothing else, and an error without a body says nothing. */

    if (status == HTTP_UNAUTHORIZED) {
        char value[360];

        snprintf(value, sizeof(value), "Keystone uri=\"%s/identity\"", request_public_url(request));
        request_add_header(request, "WWW-Authenticate", value);
    }
    if (status == HTTP_UNAVAILABLE)
        request_add_header(request, "Retry-After", "1"); /* RFC 9110, 10.2.3: seconds. */
    if (status >= 500)
        log_warning("%s %.200s: %d %s (%s)", request->method, request->path, status, message, request->id);

    /* A 401 has Keystone's form everywhere: in OpenStack the middleware in front of a service sends it. */
    if (speaks_keystone(request) || status == HTTP_UNAUTHORIZED)
        body = json_pack("{s{sissss}}", "error", "code", status, "title", status_title(status), "message", message);
    else
        body = json_pack("{s{ssssss}}", "NeutronError", "type", type && *type ? type : default_type(status), "message", message,
                         "detail", "");
    request_respond(request, status, body);
}

void request_fail(struct request *request, int status, const char *type, const char *format, ...)
{
    char message[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    fail(request, status, type, message);
}

void request_fail_error(struct request *request, const struct error *error)
{
    char message[sizeof(error->field) + sizeof(error->message) + 4];
    int status;

    switch (error->code) {
    case -EINVAL:
    case -ERANGE: status = HTTP_BAD_REQUEST; break;
    case -EACCES: status = HTTP_UNAUTHORIZED; break;
    case -EPERM: status = HTTP_FORBIDDEN; break;
    case -ENOENT: status = HTTP_NOT_FOUND; break;
    case -EEXIST:
    case -EBUSY:
    case -ENOSPC: status = HTTP_CONFLICT; break;
    case -ESTALE: status = HTTP_PRECONDITION_FAILED; break;
    case -E2BIG: status = HTTP_TOO_LARGE; break;
    case -ENOMEM:
    case -EAGAIN: status = HTTP_UNAVAILABLE; break;
    default: status = HTTP_SERVER_ERROR; break;
    }
    if (error->field[0])
        snprintf(message, sizeof(message), "%s: %s", error->field, error->message);
    else
        snprintf(message, sizeof(message), "%s", error->message[0] ? error->message : strerror(-error->code));
    fail(request, status, error->type, message);
}

const char *request_header(const struct request *request, const char *name)
{
    const struct call *call = call_of(request);

    return call->source.header ? call->source.header(call->source.context, name) : NULL;
}

const char *request_query(const struct request *request, const char *name)
{
    for (size_t i = 0; i < request->n_query; i++)
        if (streq(request->query[i].name, name))
            return request->query[i].value;
    return NULL;
}

const char *request_parameter(const struct request *request, const char *name)
{
    const char *at = request->route ? request->route->pattern : "";
    size_t size = strlen(name);

    for (size_t i = 0; (at = strchr(at, '{')); i++, at++)
        if (strncmp(at + 1, name, size) == 0 && at[1 + size] == '}')
            return request->parameters[i];
    return NULL;
}

const char *request_client_address(const struct request *request)
{
    const struct call *call = call_of(request);

    return call->source.client_address ? call->source.client_address : "";
}

/* A host and perhaps a port, and nothing that could leave its place in a URL. */
static bool is_host_header(const char *text)
{
    size_t size = strlen(text);

    return size > 0 && size < 256 &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]") == size;
}

const char *request_public_url(const struct request *request)
{
    struct call *call = call_of(request);
    const char *host;

    if (call->public_url[0])
        return call->public_url;
    host = request->api->public_url_is_set ? NULL : request_header(request, "Host");
    if (host && is_host_header(host))
        snprintf(call->public_url, sizeof(call->public_url), "%s://%s", call->source.scheme ? call->source.scheme : "http", host);
    else
        snprintf(call->public_url, sizeof(call->public_url), "%s", request->api->public_url ? request->api->public_url : "");
    return call->public_url;
}

/* Parses the body.  JSON's errors name the line and the column; the field does not exist yet. */
static int parse_body(struct call *call, struct error *error)
{
    json_error_t where;

    if (!call->body || call->body_size == 0)
        return 0;
    if (!utf8_is_valid(call->body, call->body_size))
        return error_set_type(error, -EINVAL, "MalformedRequestBody", NULL, "Malformed request body: it is not UTF-8 text.");
    call->request.body = json_loadb(call->body, call->body_size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where);
    if (!call->request.body)
        return error_set_type(error, -EINVAL, "MalformedRequestBody", NULL, "Malformed request body: line %d column %d: %s.", where.line,
                              where.column, where.text);
    if (!json_is_object(call->request.body))
        return error_set_type(error, -EINVAL, "MalformedRequestBody", NULL, "Malformed request body: it is not a JSON object.");
    free(call->body);
    call->body = NULL;
    return 0;
}

static int authorize(struct request *request, struct error *error)
{
    int r;

    if (request->route->policy == POLICY_PUBLIC || request->route->policy == POLICY_HEALTH || request->route->policy == POLICY_METRICS)
        return 0;
    if (request->route->policy == POLICY_HOST)
        return hosts_authenticate(request->api->hosts, request_parameter(request, "name"), request_header(request, "Authorization"),
                                  &request->auth, error);

    /* A web page that the administrator looks at must not become one: browsers say whose page asks. */
    if (request->api->no_auth && request_header(request, "Origin"))
        return error_set_type(error, -EPERM, "HTTPForbidden", NULL, "Without authentication (--no-auth) web pages are not served: Origin: '%.100s'.",
                              request_header(request, "Origin"));
    r = identity_authenticate(request->api->identity, request_header(request, "X-Auth-Token"), &request->auth, error);
    if (r < 0 || request->route->policy == POLICY_TOKEN)
        return r;
    if (request->route->policy == POLICY_ADMIN)
        return request->auth.is_admin ? 0
                                      : error_set_type(error, -EPERM, "HTTPForbidden", NULL,
                                                       "%s %.200s is not allowed: it needs the role admin.", request->method, request->path);
    if (!request->auth.project_id[0])
        return error_set_type(error, -EPERM, "HTTPForbidden", NULL, "The token is not scoped to a project.");
    if (request->auth.roles == 0 ||
        (request->route->policy == POLICY_WRITE && !(request->auth.roles & (ROLE_MEMBER | ROLE_ADMIN))))
        return error_set_type(error, -EPERM, "HTTPForbidden", NULL, "%s %.200s is not allowed: it needs the role member.", request->method,
                              request->path);
    return 0;
}

static void run(struct replica_wait *wait)
{
    struct call *call = CONTAINER_OF(wait, struct call, barrier);
    struct request *request = &call->request;
    struct error error = {0};

    if (authorize(request, &error) < 0 || parse_body(call, &error) < 0) {
        request_fail_error(request, &error);
        return;
    }
    request->route->handle(request);
}

static void reach_barrier_and_run(struct call *call)
{
    call->barrier.done = run;
    if (call->request.route->policy == POLICY_HEALTH || call->request.route->policy == POLICY_METRICS) {
        run(&call->barrier);
        return;
    }
    replica_wait(call->request.api->replica, &call->barrier, store_revision(call->request.api->store));
}

void request_dispatch(struct request *request, char *body, size_t size, bool too_large)
{
    struct call *call = call_of(request);
    struct error error = {0};

    call->body = body;
    call->body_size = size;
    if (call->early_status) {
        if (call->early_status == HTTP_METHOD_NOT_ALLOWED)
            request_add_header(request, "Allow", call->allow);
        fail(request, call->early_status, call->early.type, call->early.message);
        return;
    }
    if (too_large && authorize(request, &error) < 0) {
        request_fail_error(request, &error);
        return;
    }
    if (too_large) {
        request_fail(request, HTTP_TOO_LARGE, NULL, "The request body is larger than %zu bytes.", request_body_limit(request));
        return;
    }
    reach_barrier_and_run(call);
}

static void commit_done(const struct store_result *result, void *context)
{
    struct call *call = context;

    call->committed(&call->request, result);
}

void request_commit(struct request *request, struct store_transaction *transaction,
                    void (*done)(struct request *request, const struct store_result *result))
{
    struct call *call = call_of(request);

    call->committed = done;
    commits_submit(request->api->commits, transaction, commit_done, call);
}

void request_retry(struct request *request)
{
    struct call *call = call_of(request);

    if (++call->n_retries > REQUEST_MAX_RETRIES) {
        request_fail(request, HTTP_UNAVAILABLE, "RetryRequest", "Others changed the same objects %d times meanwhile; try again.",
                     REQUEST_MAX_RETRIES);
        return;
    }
    free_state(request);
    memset(&request->auth, 0, sizeof(request->auth));
    reach_barrier_and_run(call);
}

void request_stream(struct request *request, const char *content_type, struct stream *stream)
{
    struct call *call = call_of(request);

    call->answer.status = HTTP_OK;
    call->answer.content_type = content_type;
    call->answer.stream = stream;
    finish(call);
}

void stream_wake(struct stream *stream)
{
    if (stream->wake)
        stream->wake(stream);
}

void stream_cut(struct stream *stream)
{
    if (stream->cut)
        stream->cut(stream);
}
