#include "weft/cli/routing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/cleanup.h"
#include "weft/base/util.h"
#include "weft/cli/request.h"
#include "weft/cli/resource.h"
#include "weft/cli/text.h"

/* ---- routers ----------------------------------------------------------------------------------------------------- */

/* PUT /routers/ID/VERB */
static int put_verb(struct call *call, const char *verb, const json_t *body, json_t **ret)
{
    _cleanup_(json_decrefp) json_t *router = NULL;
    _cleanup_(freep) char *path = NULL;
    int r = resource_find(call->session, &resource_router, call_argument(call, 0), &router, &call->error);

    if (r < 0)
        return r;
    if (text_format(&path, "/routers/%s/%s", resource_id(router), verb) < 0)
        return -ENOMEM;
    return session_request(call->session, SERVICE_NETWORK, "PUT", path, body, ret, &call->error);
}

static int change_interface(struct call *call, const char *verb)
{
    _cleanup_(json_decrefp) json_t *body = json_object(), *answer = NULL;
    int r = body ? request_attributes(call, body) : -ENOMEM;

    if (r == 0 && json_object_size(body) == 0)
        return error_set(&call->error, -EINVAL, "options", "which interface: --subnet or --port is needed");
    if (r == 0)
        r = put_verb(call, verb, body, &answer);
    return r < 0 ? r : output_object(call, answer);
}

int run_router_add_interface(struct call *call)
{
    return change_interface(call, "add_router_interface");
}

int run_router_remove_interface(struct call *call)
{
    return change_interface(call, "remove_router_interface");
}

static int change_routes(struct call *call, const char *verb)
{
    _cleanup_(json_decrefp) json_t *routes = json_array(), *body = NULL, *answer = NULL;
    int r;

    for (size_t i = 1; i < call->n_arguments; i++) {
        const char *equals = strchr(call->arguments[i], '=');

        if (!equals)
            return error_set(&call->error, -EINVAL, "route", "'%s' is not PREFIX=NEXTHOP", call->arguments[i]);
        json_array_append_new(routes, json_pack("{s:s%,s:s}", "destination", call->arguments[i], (size_t)(equals - call->arguments[i]),
                                                "nexthop", equals + 1));
    }
    body = json_pack("{s:{s:O}}", "router", "routes", routes);
    r = body ? put_verb(call, verb, body, &answer) : -ENOMEM;
    return r < 0 ? r : output_object(call, json_object_get(answer, "router"));
}

int run_router_add_route(struct call *call)
{
    return change_routes(call, "add_extraroutes");
}

int run_router_remove_route(struct call *call)
{
    return change_routes(call, "remove_extraroutes");
}

static const struct column snat_columns[] = {
    {"host", "HOST"}, {"ports", "PORTS"}, {"in_use", "IN USE"}, {"failed", "FAILED"}, {"lacks_ports", "LACKS PORTS"}, {"ranges", "BLOCKS"},
    {NULL, NULL},
};

/* "2048-4095", as tables have it. */
static json_t *ranges_of(const json_t *blocks)
{
    json_t *ranges = json_array();
    const json_t *block;
    size_t i;

    json_array_foreach (blocks, i, block) {
        json_int_t first = json_integer_value(json_object_get(block, "first_port"));

        json_array_append_new(ranges, json_sprintf("%" JSON_INTEGER_FORMAT "-%" JSON_INTEGER_FORMAT, first,
                                                   first + json_integer_value(json_object_get(block, "n_ports")) - 1));
    }
    return ranges;
}

int run_router_snat(struct call *call)
{
    _cleanup_(json_decrefp) json_t *router = NULL, *answer = NULL;
    json_t *hosts, *host;
    size_t i;
    int r = resource_find(call->session, &resource_router, call_argument(call, 0), &router, &call->error);

    if (r == 0)
        r = resource_get(call->session, SERVICE_WEFT, &answer, &call->error, "/routers/%s/snat", resource_id(router));
    if (r < 0)
        return r;
    hosts = json_object_get(json_object_get(answer, "snat"), "hosts");
    if (!output_is_table(call))
        return output_object(call, json_object_get(answer, "snat"));
    json_array_foreach (hosts, i, host)
        json_object_set_new(host, "ranges", ranges_of(json_object_get(host, "blocks")));
    return output_list(call, hosts, snat_columns);
}

/* ---- port forwardings -------------------------------------------------------------------------------------------- */

static const struct column forwarding_columns[] = {
    {"id", "ID"}, {"protocol", "PROTOCOL"}, {"external_port_range", "EXTERNAL"}, {"internal_ip_address", "ADDRESS"},
    {"internal_port_range", "INTERNAL"}, {"internal_port_id", "PORT"}, {NULL, NULL},
};

/* A request to /floatingips/ID/port_forwardings and what comes behind it.  'tail' may be NULL. */
static int ask(struct call *call, const char *method, const char *separator, const char *tail, const json_t *attributes, json_t **ret)
{
    _cleanup_(json_decrefp) json_t *floating_ip = NULL, *body = NULL;
    _cleanup_(freep) char *path = NULL;
    int r = resource_find(call->session, &resource_floating_ip, call_argument(call, 0), &floating_ip, &call->error);

    if (r < 0)
        return r;
    if (text_format(&path, "/floatingips/%s/port_forwardings%s%s", resource_id(floating_ip), tail && *tail ? separator : "",
                    tail ? tail : "") < 0)
        return -ENOMEM;
    if (attributes && !(body = json_pack("{s:O}", "port_forwarding", attributes)))
        return -ENOMEM;
    return session_request(call->session, SERVICE_NETWORK, method, path, body, ret, &call->error);
}

static int ask_one(struct call *call, const char *method, const char *id, const json_t *attributes, json_t **ret)
{
    _cleanup_(freep) char *escaped = id ? session_escape(call->session, id) : NULL;

    return id && !escaped ? -ENOMEM : ask(call, method, "/", escaped, attributes, ret);
}

/* "80" is a number, "80-90" a range: two attributes. */
static int set_ports(struct call *call, json_t *attributes, const char *flag, const char *text, const char *port, const char *range)
{
    _cleanup_(freep) char *copy = NULL;
    const char *dash;
    uint64_t number, last;

    if (!text)
        return 0;
    copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    dash = strchr(text, '-');
    if (dash)
        copy[dash - text] = '\0';
    if (parse_u64(copy, 1, 65535, &number) < 0 || (dash && parse_u64(dash + 1, number, 65535, &last) < 0))
        return error_set(&call->error, -EINVAL, flag, "--%s: '%s' is not a port from 1 to 65535, or FIRST-LAST", flag, text);
    if (dash)
        json_object_set_new(attributes, range, json_sprintf("%u:%u", (unsigned)number, (unsigned)last));
    else
        json_object_set_new(attributes, port, json_integer((json_int_t)number));
    return 0;
}

static int read_attributes(struct call *call, bool is_new, json_t *attributes)
{
    const char *external = call_flag(call, "external"), *internal = call_flag(call, "internal");
    int r = request_attributes(call, attributes);

    if (r == 0)
        r = set_ports(call, attributes, "external", external, "external_port", "external_port_range");
    if (r == 0)
        r = set_ports(call, attributes, "internal", internal || !is_new ? internal : external, "internal_port", "internal_port_range");
    return r;
}

int run_forwarding_create(struct call *call)
{
    _cleanup_(json_decrefp) json_t *attributes = json_object(), *answer = NULL;
    int r = attributes ? read_attributes(call, true, attributes) : -ENOMEM;

    if (r == 0)
        r = ask_one(call, "POST", NULL, attributes, &answer);
    return r < 0 ? r : output_object(call, json_object_get(answer, "port_forwarding"));
}

int run_forwarding_list(struct call *call)
{
    _cleanup_(json_decrefp) json_t *answer = NULL;
    _cleanup_(freep) char *query = NULL;
    int r = request_query_string(call, &query);

    if (r == 0)
        r = ask(call, "GET", "?", query, NULL, &answer);
    return r < 0 ? r : output_list(call, json_object_get(answer, "port_forwardings"), forwarding_columns);
}

int run_forwarding_show(struct call *call)
{
    _cleanup_(json_decrefp) json_t *answer = NULL;
    int r = ask_one(call, "GET", call_argument(call, 1), NULL, &answer);

    return r < 0 ? r : output_object(call, json_object_get(answer, "port_forwarding"));
}

int run_forwarding_set(struct call *call)
{
    _cleanup_(json_decrefp) json_t *attributes = json_object(), *answer = NULL;
    int r = attributes ? read_attributes(call, false, attributes) : -ENOMEM;

    if (r == 0 && json_object_size(attributes) == 0)
        return error_set(&call->error, -EINVAL, "options", "nothing to change was given; see 'weft %s --help'", call->command->name);
    if (r == 0)
        r = ask_one(call, "PUT", call_argument(call, 1), attributes, &answer);
    return r < 0 ? r : output_object(call, json_object_get(answer, "port_forwarding"));
}

int run_forwarding_delete(struct call *call)
{
    int r = 0;

    for (size_t i = 1; i < call->n_arguments && r >= 0; i++)
        r = ask_one(call, "DELETE", call->arguments[i], NULL, NULL);
    return r;
}
