#include "weft/http/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/clock.h"
#include "weft/base/log.h"
#include "weft/base/util.h"
#include "weft/http/counters.h"
#include "weft/http/request-state.h"

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
    const char *fixed = request->service->public_url, *host;
    struct call *call = call_of(request);

    if (fixed)
        return fixed;
    if (call->public_url[0])
        return call->public_url;
    host = request_header(request, "Host");
    if (host && is_host_header(host))
        snprintf(call->public_url, sizeof(call->public_url), "%s://%s", call->source.scheme ? call->source.scheme : "http", host);
    else
        snprintf(call->public_url, sizeof(call->public_url), "%s", call->source.url ? call->source.url : "");
    return call->public_url;
}

void call_free_state(struct call *call)
{
    struct request *request = &call->request;

    if (request->state && request->free_state)
        request->free_state(request->state);
    request->state = NULL;
    request->free_state = NULL;
}

void call_free(struct call *call)
{
    call_free_state(call);
    if (call->request.service->ended)
        call->request.service->ended(&call->request);
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

void call_finish(struct call *call)
{
    struct request *request = &call->request;
    const struct http_service *service = request->service;

    request_add_header(request, service->request_id_header ? service->request_id_header : "X-Request-Id", request->id);
    if (service->counters)
        request_counters_count(service->counters, request->route, call->answer.status, clock_monotonic_ns() - call->started_ns);
    call->source.answered(request, &call->answer, call->source.context);
    call_free(call);
}
