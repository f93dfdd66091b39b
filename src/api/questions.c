/* A user's question -> the stream of the host that knows -> the agent's POST of the answer -> the user.  Answers are waited
 * for 3 s.  A trace goes on at each host that the frame leaves for, and the steps are joined. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/hosts-state.h"
#include "weft/base/buffer.h"
#include "weft/base/clock.h"
#include "weft/base/log.h"
#include "weft/base/util.h"

#define ANSWER_MS 3000
#define MAX_QUESTIONS 16384     /* Waiting, over all hosts and projects (askers.c). */
#define MAX_FRAME_SIZE 65535
#define TRACE_MAX_HOSTS 32      /* Asked in one trace. */

struct question {
    struct hashmap_node node;
    char id[UUID_TEXT_SIZE];
    char host_id[UUID_TEXT_SIZE];
    char host_name[160];
    uint64_t deadline_ms;
    question_answer_fn done;     /* 'answer' is borrowed, NULL on failure; 'error' is set then. */
    void *context;
};

static void finish(struct hosts *hosts, struct question *question, const json_t *answer, const struct error *error)
{
    hashmap_remove(&hosts->questions, &question->node);
    question->done(answer, error, question->context);
    free(question);
}

void questions_ask(struct hosts *hosts, const struct host *host, const char *operation, json_t *arguments, question_answer_fn done, void *context)
{
    struct agent *agent = agent_get(hosts, host->object.id);
    struct question *question = calloc(1, sizeof(*question));
    _cleanup_(freep) char *line = NULL;
    struct error error = {0};
    json_t *json;
    int r = -ENOMEM;

    if (question && agent) {
        uuid_generate(question->id);
        string_copy(question->host_id, sizeof(question->host_id), host->object.id);
        string_copy(question->host_name, sizeof(question->host_name), host->object.name);
        question->deadline_ms = clock_monotonic_ms() + ANSWER_MS;
        question->done = done;
        question->context = context;
        json = json_pack("{s:s,s:s,s:s,s:O}", "type", "request", "id", question->id, "operation", operation, "arguments", arguments);
        line = json ? json_dumps(json, JSON_COMPACT) : NULL;
        json_decref(json);
    }
    json_decref(arguments);
    if (line) {
        size_t size = strlen(line);

        line[size] = '\n'; /* In place of the end: the size goes with it. */
        r = hosts->questions.n_nodes >= MAX_QUESTIONS ? -ENOBUFS : watch_send_line(agent, line, size + 1);
    }
    if (r == 0)
        r = hashmap_insert(&hosts->questions, &question->node, question->id, strlen(question->id));
    if (r == 0)
        return;
    free(question);
    if (r == -ENOTCONN)
        error_set_type(&error, -EBUSY, "HostNotConnected", NULL, "The agent of host '%s' is not connected.", host->object.name);
    else
        error_set(&error, -EAGAIN, NULL, "Host '%s' cannot be asked now: %s.", host->object.name, strerror(-r));
    done(NULL, &error, context);
}

void questions_answer(struct request *request)
{
    struct hosts *hosts = request_api(request)->hosts;
    const char *id = request->parameters[1];
    struct hashmap_node *node = hashmap_find(&hosts->questions, id, strlen(id));
    struct question *question = node ? CONTAINER_OF(node, struct question, node) : NULL;
    const json_t *answer = json_object_get(request->body, "answer"), *failure = json_object_get(request->body, "error");
    struct error error = {0};

    if (!question || !streq(question->host_id, request_auth(request)->host_id)) {
        request_fail(request, HTTP_NOT_FOUND, NULL, "Nobody waits for the answer to '%.64s'.", id);
        return;
    }
    if (!json_is_object(answer) && !json_is_string(failure)) {
        request_fail(request, HTTP_BAD_REQUEST, NULL, "answer: an object is required, or a string 'error'");
        return;
    }
    if (!answer)
        error_set(&error, -EINVAL, NULL, "Host '%s': %s", question->host_name, json_string_value(failure));
    finish(hosts, question, answer, answer ? NULL : &error);
    request_respond(request, HTTP_NO_CONTENT, NULL);
}

void questions_tick(struct hosts *hosts, uint64_t now_ms)
{
    bool again;

    /* A 'done' may ask the next host: so one at a time. */
    do {
        again = false;
        HASHMAP_FOREACH(node, &hosts->questions) {
            struct question *question = CONTAINER_OF(node, struct question, node);
            struct error error = {0};

            if (question->deadline_ms > now_ms)
                continue;
            error_set_type(&error, -ETIMEDOUT, "HostTimeout", NULL, "Host '%s' did not answer within %d s.", question->host_name, ANSWER_MS / 1000);
            finish(hosts, question, NULL, &error);
            again = true;
            break;
        }
    } while (again);
}

void questions_clear(struct hosts *hosts)
{
    questions_tick(hosts, UINT64_MAX);
    hashmap_clear(&hosts->questions);
    hashmap_clear(&hosts->askers); /* Nobody waits any more. */
}

/* --- Counters, drops, flows: one host's answer, handed on. --- */

static void hand_on(const json_t *answer, const struct error *error, void *context)
{
    struct request *request = context;

    if (!error)
        request_respond(request, HTTP_OK, json_incref((json_t *)answer));
    else if (error->code == -ETIMEDOUT)
        request_fail(request, HTTP_GATEWAY_TIMEOUT, error->type, "%s", error->message);
    else
        request_fail_error(request, error);
}

static void hand_on_flows(const json_t *answer, const struct error *error, void *context)
{
    askers_leave(context, 1);
    hand_on(answer, error, context);
}

/* The port in the path, if the caller may see it.  '*ret_host' is where it is bound. */
static const struct port *find_port(struct request *request, const struct host **ret_host)
{
    const struct port *port = replica_port(request_api(request)->replica, request->parameters[0]);

    if (!port || (!request_auth(request)->is_admin && !streq(port->object.project_id, request_auth(request)->project_id))) {
        request_fail(request, HTTP_NOT_FOUND, "PortNotFound", "Port %.64s could not be found.", request->parameters[0]);
        return NULL;
    }
    *ret_host = port->binding_host_id && *port->binding_host_id ? replica_host_by_name(request_api(request)->replica, port->binding_host_id) : NULL;
    if (!*ret_host) {
        request_fail(request, HTTP_CONFLICT, "PortNotBound", "Port %s is not bound to a host%s%s.", port->object.id,
                     port->binding_host_id && *port->binding_host_id ? " that is known: " : "", port->binding_host_id ? port->binding_host_id : "");
        return NULL;
    }
    return port;
}

static void port_counters(struct request *request)
{
    const struct host *host;
    const struct port *port = find_port(request, &host);

    if (port)
        questions_ask(request_api(request)->hosts, host, request->route->data, json_pack("{s:[s]}", "ports", port->object.id), hand_on, request);
}

static void port_flows(struct request *request)
{
    const char *text = request_query(request, "limit");
    const struct host *host;
    const struct port *port;
    uint64_t limit = 100;

    if (text && parse_u64(text, 1, 10000, &limit) < 0) {
        request_fail(request, HTTP_BAD_REQUEST, NULL, "limit: '%.40s' is not a number from 1 to 10000", text);
        return;
    }
    port = find_port(request, &host);
    if (port && askers_enter(request, 1))
        questions_ask(request_api(request)->hosts, host, "flows", json_pack("{s:s,s:I}", "port", port->object.id, "limit", (json_int_t)limit), hand_on_flows,
                      request);
}

static void port_log(struct request *request)
{
    const char *text = request_query(request, "since");
    const struct host *host;
    const struct port *port;
    uint64_t since = 0;

    if (text && parse_u64(text, 1, INT64_MAX, &since) < 0) {
        request_fail(request, HTTP_BAD_REQUEST, NULL, "since: '%.40s' is not a number that an earlier answer gave", text);
        return;
    }
    port = find_port(request, &host);
    if (port)
        questions_ask(request_api(request)->hosts, host, "log", json_pack("{s:s,s:I}", "port", port->object.id, "since", (json_int_t)since), hand_on, request);
}

static void host_question(struct request *request)
{
    const struct host *host = host_find_or_404(request, request->parameters[0]);

    if (host)
        questions_ask(request_api(request)->hosts, host, request->route->data, json_pack("{s:n}", "ports"), hand_on, request);
}

/* --- Trace. --- */

struct trace {
    struct request *request;
    json_t *steps, *outputs;
    char verdict[32], reason[64];   /* Of the host where the frame started, until a later one says more. */
    unsigned n_asked, n_waiting;
    struct error error;             /* Of the first host; later ones become steps. */
};

struct hop {
    struct trace *trace;
    char host_name[160];
    bool is_first;
};

static void hop_done(const json_t *answer, const struct error *error, void *context);

static void trace_ask(struct trace *trace, const struct host *host, json_t *arguments, bool is_first)
{
    struct hop *hop = calloc(1, sizeof(*hop));

    if (!hop) {
        json_decref(arguments);
        return;
    }
    hop->trace = trace;
    hop->is_first = is_first;
    string_copy(hop->host_name, sizeof(hop->host_name), host->object.name);
    trace->n_asked++;
    trace->n_waiting++;
    questions_ask(request_api(trace->request)->hosts, host, "trace", arguments, hop_done, hop);
}

static void trace_finish(struct trace *trace)
{
    struct request *request = trace->request;
    json_t *reason = trace->reason[0] ? json_string(trace->reason) : json_null();

    if (trace->error.code)
        hand_on(NULL, &trace->error, request);
    else
        request_respond(request, HTTP_OK, json_pack("{s:O,s:s,s:o,s:O}", "steps", trace->steps, "verdict", trace->verdict, "reason", reason, "outputs",
                                                    trace->outputs));
    json_decref(trace->steps);
    json_decref(trace->outputs);
    free(trace);
}

static void add_step(struct trace *trace, const char *host, const char *stage, const char *text)
{
    json_array_append_new(trace->steps, json_pack("{s:s,s:s,s:s}", "host", host, "stage", stage, "text", text));
}

/* Follows what left 'from' for other hosts. */
static void follow(struct trace *trace, const char *from, const json_t *outputs)
{
    const struct replica *replica = request_api(trace->request)->replica;
    const struct host *sender = replica_host_by_name(replica, from);
    char address[IP_TEXT_SIZE];
    json_t *output;
    size_t i;

    json_array_foreach((json_t *)outputs, i, output) {
        const char *name = json_string_value(json_object_get(output, "host")), *frame = json_string_value(json_object_get(output, "frame"));
        const struct host *host = name ? replica_host_by_name(replica, name) : NULL;
        json_t *kept;

        if (name && !streq(name, from) && host && frame && sender && sender->has_tunnel_address && trace->n_asked < TRACE_MAX_HOSTS) {
            trace_ask(trace, host, json_pack("{s:s,s:s}", "tunnel_source", ip_format(&sender->tunnel_address, address), "frame", frame), false);
            continue;
        }
        if (name && !streq(name, from))
            add_step(trace, from, "trace", host ? "not followed further" : "leaves for a host that is not known");
        kept = json_copy(output);
        if (!name)
            json_object_set_new(kept, "host", json_string(from));
        json_array_append_new(trace->outputs, kept);
    }
}

static void hop_done(const json_t *answer, const struct error *error, void *context)
{
    struct hop *hop = context;
    struct trace *trace = hop->trace;
    const json_t *steps = json_object_get(answer, "steps");
    const char *verdict = json_string_value(json_object_get(answer, "verdict")), *reason = json_string_value(json_object_get(answer, "reason"));
    json_t *step;
    size_t i;

    if (error && hop->is_first)
        trace->error = *error;
    else if (error)
        add_step(trace, hop->host_name, "trace", error->message);
    json_array_foreach((json_t *)steps, i, step) {
        json_t *copy = json_copy(step);

        json_object_set_new(copy, "host", json_string(hop->host_name));
        json_array_append_new(trace->steps, copy);
    }
    /* "tunnelled" at the first host becomes what happened where it arrived; a flood stays one. */
    if (verdict && (hop->is_first || streq(trace->verdict, "tunnelled"))) {
        string_copy(trace->verdict, sizeof(trace->verdict), verdict);
        string_copy(trace->reason, sizeof(trace->reason), reason ? reason : "");
    }
    if (answer)
        follow(trace, hop->host_name, json_object_get(answer, "outputs"));
    free(hop);
    if (--trace->n_waiting == 0)
        trace_finish(trace);
}

static bool is_frame(const char *text)
{
    size_t size = text ? strlen(text) : 0;

    return size >= 2 && size % 2 == 0 && size <= 2 * MAX_FRAME_SIZE && strspn(text, "0123456789abcdefABCDEF") == size;
}

static void port_trace(struct request *request)
{
    const char *frame = json_string_value(json_object_get(request->body, "frame"));
    const struct host *host;
    const struct port *port = find_port(request, &host);
    struct trace *trace;

    if (!port)
        return;
    if (!is_frame(frame)) {
        request_fail(request, HTTP_BAD_REQUEST, NULL, "frame: an Ethernet frame of 1 to %d bytes in hexadecimal is required", MAX_FRAME_SIZE);
        return;
    }
    trace = calloc(1, sizeof(*trace));
    if (!trace) {
        request_fail(request, HTTP_UNAVAILABLE, NULL, "out of memory");
        return;
    }
    trace->request = request;
    trace->steps = json_array();
    trace->outputs = json_array();
    trace->n_waiting = 1; /* Ours, so that an answer that is there at once does not end it too early. */
    trace_ask(trace, host, json_pack("{s:s,s:s}", "port", port->object.id, "frame", frame), true);
    if (--trace->n_waiting == 0)
        trace_finish(trace);
}

const struct route question_routes[] = {
    {"GET", "/weft/v1/ports/{id}/counters", POLICY_PROJECT, port_counters, "counters"},
    {"GET", "/weft/v1/ports/{id}/drops", POLICY_PROJECT, port_counters, "drops"},
    {"GET", "/weft/v1/ports/{id}/flows", POLICY_PROJECT, port_flows},
    {"GET", "/weft/v1/ports/{id}/log", POLICY_PROJECT, port_log},
    {"POST", "/weft/v1/ports/{id}/trace", POLICY_PROJECT, port_trace, .body_size = 256 << 10},
    {"GET", "/weft/v1/hosts/{name}/drops", POLICY_ADMIN, host_question, "drops"},
    {"GET", "/weft/v1/hosts/{name}/counters", POLICY_ADMIN, host_question, "counters"},
};
const size_t n_question_routes = ARRAY_SIZE(question_routes);
