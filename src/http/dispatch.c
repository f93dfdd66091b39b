/* The life of a request: new -> (body arrives) -> dispatch: barrier, credential, body -> handler -> answer.
 *
 * A restart goes back to the barrier with the same parsed body. */
#include "weft/http/dispatch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/clock.h"
#include "weft/base/utf8.h"
#include "weft/base/util.h"
#include "weft/base/uuid.h"
#include "weft/http/request-state.h"

static int authenticate(struct request *request, struct error *error)
{
    if (request->route->skips_hooks || !request->service->authenticate)
        return 0;
    return request->service->authenticate(request, error);
}

/* Megabytes are for those we know; whoever has no valid credential cannot make us hold more than a login needs. */
static size_t find_body_limit(struct request *request)
{
    size_t limit = request->route && request->route->body_size ? request->route->body_size : REQUEST_BODY_SIZE;
    struct error error = {0};

    if (!request->route || limit <= REQUEST_BODY_SIZE_UNKNOWN)
        return MIN(limit, (size_t)REQUEST_BODY_SIZE_UNKNOWN);
    return authenticate(request, &error) == 0 ? limit : REQUEST_BODY_SIZE_UNKNOWN;
}

static void find_route(struct call *call)
{
    struct request *request = &call->request;
    const struct target *target = &call->target;
    int r = routes_find(request->service->routes, request->method, target->segments, target->n_segments, &request->route,
                        request->parameters, &request->n_parameters, call->allow, sizeof(call->allow));

    if (r == -ENOENT) {
        call->early_status = HTTP_NOT_FOUND;
        error_set_type(&call->early, r, "HTTPNotFound", NULL, "The resource '%.200s' could not be found.", target->path);
    } else if (r < 0) {
        call->early_status = HTTP_METHOD_NOT_ALLOWED;
        error_set_type(&call->early, r, "HTTPMethodNotAllowed", NULL, "The method %.20s is not allowed for '%.200s', only %s.",
                       request->method, target->path, call->allow);
    }
}

struct request *request_new(const struct http_service *service, const char *method, const char *target,
                            const struct request_source *source)
{
    struct call *call = calloc(1, sizeof(*call) + service->own_size);
    struct request *request;
    int r;

    if (!call)
        return NULL;
    request = &call->request;
    call->source = *source;
    call->started_ns = clock_monotonic_ns();
    request->service = service;
    request->context = service->context;
    request->own = call->own;
    request->method = method;
    request->target = target;
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
    find_route(call);
    call->body_limit = find_body_limit(request);
    return request;
}

size_t request_body_limit(const struct request *request)
{
    return call_of(request)->body_limit;
}

void request_abandon(struct request *request)
{
    call_free(call_of(request));
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

void request_proceed(struct request *request)
{
    struct error error = {0};

    if (authenticate(request, &error) < 0 || parse_body(call_of(request), &error) < 0) {
        request_fail_error(request, &error);
        return;
    }
    request->route->handle(request);
}

static void reach_barrier_and_proceed(struct request *request)
{
    if (request->service->barrier && !request->route->skips_hooks)
        request->service->barrier(request);
    else
        request_proceed(request);
}

void request_restart(struct request *request)
{
    call_free_state(call_of(request));
    reach_barrier_and_proceed(request);
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
        request_fail(request, call->early_status, call->early.type, "%s", call->early.message);
    } else if (too_large && authenticate(request, &error) < 0) {
        request_fail_error(request, &error);
    } else if (too_large) {
        request_fail(request, HTTP_TOO_LARGE, NULL, "The request body is larger than %zu bytes.", call->body_limit);
    } else {
        reach_barrier_and_proceed(request);
    }
}
