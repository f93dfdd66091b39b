/* Answers, and the one form of errors.  Each ends the request. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/log.h"
#include "weft/base/utf8.h"
#include "weft/base/util.h"
#include "weft/http/request-state.h"

void request_respond_bytes(struct request *request, int status, const char *content_type, char *bytes, size_t size)
{
    struct call *call = call_of(request);
    bool is_lost = !bytes && size > 0;

    call->answer.status = is_lost ? HTTP_UNAVAILABLE : status;
    call->answer.content_type = bytes ? content_type : NULL;
    call->answer.bytes = bytes;
    call->answer.size = is_lost ? 0 : size;
    call_finish(call);
}

void request_respond_text(struct request *request, int status, const char *text)
{
    request_respond_bytes(request, status, "text/plain; charset=utf-8", strdup(text), strlen(text));
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
    request_respond_bytes(request, status, "application/json", bytes, size);
}

void request_stream(struct request *request, const char *content_type, struct stream *stream)
{
    struct call *call = call_of(request);

    call->answer.status = HTTP_OK;
    call->answer.content_type = content_type;
    call->answer.stream = stream;
    call_finish(call);
}

static json_t *fail_body(struct request *request, int status, const char *type, const char *message)
{
    if (request->service->fail_body)
        return request->service->fail_body(request, status, type, message);
    return json_pack("{s{sissssss}}", "error", "code", status, "title", http_status_title(status), "type", type, "message", message);
}

static void fail(struct request *request, int status, const char *type, const char *text)
{
    char message[1200];

    string_copy(message, sizeof(message), text);
    utf8_repair(message); /* JSON takes nothing else, and an error without a body says nothing. */
    if (status == HTTP_UNAVAILABLE)
        request_add_header(request, "Retry-After", "1"); /* RFC 9110, 10.2.3: seconds. */
    if (status >= 500)
        log_warning("%s %.200s: %d %s (%s)", request->method, request->path, status, message, request->id);
    request_respond(request, status, fail_body(request, status, type && *type ? type : http_status_type(status), message));
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

    if (error->field[0])
        snprintf(message, sizeof(message), "%s: %s", error->field, error->message);
    else
        snprintf(message, sizeof(message), "%s", error->message[0] ? error->message : strerror(-error->code));
    fail(request, http_status_of_code(error->code), error->type, message);
}
