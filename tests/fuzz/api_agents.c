/* Requests to Identity, to the hosts' resource and from an agent: the answer is JSON with a proper status, what a stream says is
 * a JSON object a line, and nothing stays behind.
 *
 * An input is text: "METHOD TARGET", a line end, the body; "\n--\n" parts requests.  In target and body stand
 *     %H %J     the host 'h1', its join token          %P        a port bound to it
 *     %Q        the last question that its stream was asked
 *     %T %U %R %G    a token, and the ids of the project, user and role it is for
 * Every request carries the credential of 'h1' and, as subject, the token. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "instance.h"
#include "weft/base/buffer.h"
#include "weft/base/clock.h"
#include "weft/base/util.h"
#include "weft/http/dispatch.h"
#include "weft/http/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUESTS_MAX 8

struct call {
    bool is_answered;
    int status;
    char subject[64];
    json_t *body;
};

static const char places[] = "HJPQTURG";
static char values[sizeof(places)][64];
static char authorization[80];
static struct stream *stream;
static struct buffer line;
static bool is_asked; /* The stream brought a question: its asker is answered when somebody answers, or at the end. */

static char *value(char place)
{
    return values[strchr(places, place) - places];
}

static void require(bool good)
{
    if (!good)
        abort();
}

/* --- The stream. --- */

static void nothing(struct stream *unused)
{
}

static void read_stream(void)
{
    char bytes[300];
    int64_t n = 0;

    while (stream && (n = stream->read(stream, bytes, sizeof(bytes))) > 0)
        for (int64_t i = 0; i < n; i++) {
            if (bytes[i] != '\n') {
                buffer_append(&line, &bytes[i], 1);
                continue;
            }
            json_t *json = json_loadb(line.data, line.size, JSON_REJECT_DUPLICATES, NULL);
            const char *type = json_string_value(json_object_get(json, "type"));

            require(type);
            if (streq(type, "request")) {
                snprintf(value('Q'), 64, "%s", json_string_value(json_object_get(json, "id")));
                is_asked = true;
            }
            json_decref(json);
            line.size = 0;
        }
    if (stream && n < 0) {
        stream->closed(stream);
        stream = NULL;
    }
}

/* --- Requests. --- */

static const char *header(void *context, const char *name)
{
    if (!strcasecmp(name, "Authorization"))
        return authorization;
    return !strcasecmp(name, "X-Subject-Token") ? value('T') : NULL;
}

static void answered(struct request *request, struct answer *answer, void *context)
{
    struct call *call = context;

    require(!call->is_answered && answer->status >= 200 && answer->status < 600 && answer->status != HTTP_SERVER_ERROR);
    call->is_answered = true;
    call->status = answer->status;
    for (size_t i = 0; i < answer->n_headers; i++)
        if (streq(answer->headers[i].name, "X-Subject-Token"))
            snprintf(call->subject, sizeof(call->subject), "%s", answer->headers[i].value);
    if (answer->stream) {
        if (stream) {
            stream->closed(stream);
            line.size = 0;
        }
        stream = answer->stream;
        stream->wake = stream->cut = nothing;
    } else if (answer->size > 0 && answer->content_type && streq(answer->content_type, "application/json")) {
        call->body = json_loadb(answer->bytes, answer->size, 0, NULL);
        require(call->body);
    }
    /* Errors are JSON, of load balancing Octavia's; only /readyz says why not as text (weft/http/health.h). */
    require(answer->status < 400 || json_object_get(call->body, "NeutronError") || json_object_get(call->body, "error") ||
            json_object_get(call->body, "faultstring") ||
            (answer->status == HTTP_UNAVAILABLE && answer->content_type && streq(answer->content_type, "text/plain; charset=utf-8")));
}

static void start(struct call *call, struct instance *instance, const char *method, const char *target, const char *body)
{
    struct request_source source = {.header = header, .client_address = "192.0.2.9", .scheme = "http", .answered = answered, .context = call};
    struct request *request = request_new(&instance->api.service, method, target, &source);
    uint64_t deadline_ms = clock_monotonic_ms() + 20000;

    require(request);
    is_asked = false;
    request_dispatch(request, body ? strdup(body) : NULL, body ? strlen(body) : 0, body && strlen(body) > request_body_limit(request));
    read_stream();
    while (!call->is_answered && !is_asked) {
        uv_run(&instance->loop, UV_RUN_NOWAIT);
        read_stream();
        require(clock_monotonic_ms() < deadline_ms);
        if (!call->is_answered)
            usleep(20);
    }
    read_stream();
}

static json_t *set_up(struct instance *instance, const char *target, const char *body, const char *kind)
{
    struct call call = {0};
    json_t *object;

    start(&call, instance, "POST", target, body);
    require(call.status == 200 || call.status == 201);
    if (call.subject[0])
        snprintf(value('T'), 64, "%s", call.subject);
    object = json_incref(kind ? json_object_get(call.body, kind) : call.body);
    json_decref(call.body);
    return object;
}

static void keep(json_t *object, const char *name, char place)
{
    snprintf(value(place), 64, "%s", json_string_value(json_object_get(object, name)));
    json_decref(object);
}

static void prepare(struct instance *instance)
{
    char body[300];
    json_t *token;

    strcpy(value('H'), "h1");
    strcpy(value('Q'), "00000000-0000-4000-8000-000000000000");
    keep(set_up(instance, "/weft/v1/hosts", "{\"host\":{\"name\":\"h1\"}}", "host"), "join_token", 'J');
    snprintf(body, sizeof(body), "{\"join_token\":\"%s\",\"tunnel_address\":\"192.0.2.1\"}", value('J'));
    keep(set_up(instance, "/weft/v1/hosts/h1/join", body, NULL), "credential", 'P');
    snprintf(authorization, sizeof(authorization), "Bearer %s", value('P'));
    keep(set_up(instance, "/weft/v1/hosts/h1/join_token", "", "host"), "join_token", 'J');

    keep(set_up(instance, "/v2.0/networks", "{\"network\":{}}", "network"), "id", 'P');
    snprintf(body, sizeof(body), "{\"port\":{\"network_id\":\"%s\",\"binding:host_id\":\"h1\"}}", value('P'));
    keep(set_up(instance, "/v2.0/ports", body, "port"), "id", 'P');

    token = set_up(instance, "/v3/auth/tokens",
                   "{\"auth\":{\"identity\":{\"methods\":[\"password\"],\"password\":{\"user\":{\"name\":\"admin\",\"domain\":{\"id\":\"default\"},"
                   "\"password\":\"secret\"}}}}}", "token");
    snprintf(value('U'), 64, "%s", json_string_value(json_object_get(json_object_get(token, "project"), "id")));
    snprintf(value('R'), 64, "%s", json_string_value(json_object_get(json_object_get(token, "user"), "id")));
    snprintf(value('G'), 64, "%s", json_string_value(json_object_get(json_array_get(json_object_get(token, "roles"), 0), "id")));
    json_decref(token);
}

static char *expand(const char *text, size_t size)
{
    struct buffer buffer = {0};

    for (size_t i = 0; i < size; i++) {
        if (text[i] == '%' && i + 1 < size && text[i + 1] && strchr(places, text[i + 1]))
            buffer_append_string(&buffer, value(text[++i]));
        else
            buffer_append(&buffer, &text[i], 1);
    }
    buffer_append(&buffer, "", 1);
    return buffer.data;
}

static void run(struct call *call, struct instance *instance, const char *text, size_t size)
{
    char *method = expand(text, size), *line_end = strchr(method, '\n'), *target;

    if (line_end)
        *line_end = '\0';
    target = strchr(method, ' ');
    if (target) {
        *target++ = '\0';
        start(call, instance, method, target, line_end && line_end[1] ? line_end + 1 : NULL);
    }
    free(method);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *next = (const char *)data, *end = next + size;
    struct call calls[REQUESTS_MAX] = {0};
    struct instance instance;
    struct store *store;

    if (store_memory_open(&store) < 0)
        return 0;
    instance_start(&instance, store);
    prepare(&instance);
    for (int i = 0; i < REQUESTS_MAX && next && next < end; i++) {
        const char *separator = memmem(next, (size_t)(end - next), "\n--\n", 4);

        run(&calls[i], &instance, next, (size_t)((separator ? separator : end) - next));
        next = separator ? separator + 4 : NULL;
    }
    if (stream)
        stream->closed(stream);
    stream = NULL;
    instance_stop(&instance);
    store_close(store);
    instance_free(&instance);
    for (int i = 0; i < REQUESTS_MAX; i++)
        json_decref(calls[i].body);
    buffer_clear(&line);
    return 0;
}
