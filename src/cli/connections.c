#include "weft/cli/connections.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/buffer.h"
#include "weft/base/util.h"
#include "weft/cli/resource.h"

static const struct column columns[] = {
    {"host", "HOST"}, {"protocol", "PROTOCOL"}, {"local", "LOCAL"}, {"local_port", "PORT"}, {"remote", "REMOTE"}, {"remote_port", "PORT"},
    {"state", "STATE"}, {"outside_local", "OUTSIDE"}, {"outside_local_port", "PORT"}, {"tx_packets", "SENT"}, {"rx_packets", "RECEIVED"},
    {"idle_ms", "IDLE MS"}, {NULL, NULL},
};

/* Flags that the API takes as they are. */
static const struct {
    const char *flag, *parameter;
} plain[] = {{"host", "host"}, {"protocol", "protocol"}, {"address", "address"}, {"port-number", "port_number"}, {"state", "state"}, {"limit", "limit"}};

static int add(struct call *call, struct buffer *query, const char *parameter, const char *value)
{
    _cleanup_(freep) char *escaped = session_escape(call->session, value);

    return escaped ? buffer_printf(query, "%c%s=%s", query->size ? '&' : '?', parameter, escaped) : -ENOMEM;
}

/* The id of a named object. */
static int add_object(struct call *call, struct buffer *query, const char *flag, const struct resource *resource, const char *parameter)
{
    _cleanup_(json_decrefp) json_t *found = NULL;
    int r;

    if (!call_flag(call, flag))
        return 0;
    r = resource_find(call->session, resource, call_flag(call, flag), &found, &call->error);
    return r < 0 ? r : add(call, query, parameter, resource_id(found));
}

static int make_query(struct call *call, struct buffer *query)
{
    int r = add_object(call, query, "port", &resource_port, "port_id");

    if (r >= 0)
        r = add_object(call, query, "project", &resource_project, "project_id");
    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(plain); i++)
        if (call_flag(call, plain[i].flag))
            r = add(call, query, plain[i].parameter, call_flag(call, plain[i].flag));
    if (call_flag(call, "translated") && call_flag(call, "untranslated"))
        return error_set(&call->error, -EINVAL, "untranslated", "--translated and --untranslated exclude each other");
    if (r >= 0 && call_flag(call, "translated"))
        r = add(call, query, "translated", "true");
    if (r >= 0 && call_flag(call, "untranslated"))
        r = add(call, query, "translated", "false");
    return r;
}

/* Hosts that did not answer.  Returns -EREMOTEIO when there are any. */
static int tell_failures(struct call *call, const json_t *answer)
{
    const json_t *failures = json_object_get(answer, "failures"), *failure;
    size_t i;

    json_array_foreach (failures, i, failure)
        fprintf(stderr, "weft: %s\n", resource_string(failure, "error"));
    if (json_array_size(failures) == 0)
        return 0;
    return error_set(&call->error, -EREMOTEIO, NULL, "the answer is not complete: %zu host%s did not answer", json_array_size(failures),
                     json_array_size(failures) == 1 ? "" : "s");
}

static int ask(struct call *call, const char *method, struct buffer *query, json_t **ret)
{
    _cleanup_(buffer_clear) struct buffer path = {0};
    int r = buffer_printf(&path, "/connections%s", query->size ? buffer_string(query) : "");

    return r < 0 ? r : session_request(call->session, SERVICE_WEFT, method, buffer_string(&path), NULL, ret, &call->error);
}

int run_connections_list(struct call *call)
{
    _cleanup_(buffer_clear) struct buffer query = {0};
    _cleanup_(json_decrefp) json_t *answer = NULL;
    int r = make_query(call, &query);

    if (r >= 0)
        r = ask(call, "GET", &query, &answer);
    if (r >= 0)
        r = output_list(call, json_object_get(answer, "connections"), columns);
    if (r >= 0 && output_is_table(call) && json_is_true(json_object_get(answer, "truncated")))
        fprintf(stderr, "weft: there are more; see --limit\n");
    return r < 0 ? r : tell_failures(call, answer);
}

int run_connections_delete(struct call *call)
{
    _cleanup_(buffer_clear) struct buffer query = {0};
    _cleanup_(json_decrefp) json_t *answer = NULL;
    int r = make_query(call, &query);

    if (r >= 0 && !query.size && !call_flag(call, "all"))
        return error_set(&call->error, -EINVAL, "all", "say which connections, or --all");
    if (r >= 0 && call_flag(call, "all"))
        r = add(call, &query, "all", "true");
    if (r >= 0)
        r = ask(call, "DELETE", &query, &answer);
    if (r < 0)
        return r;
    if (output_is_table(call))
        printf("%lld connections ended\n", (long long)json_integer_value(json_object_get(answer, "deleted")));
    else
        r = output_object(call, answer);
    return r < 0 ? r : tell_failures(call, answer);
}
