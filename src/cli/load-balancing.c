#include "weft/cli/load-balancing.h"

#include <errno.h>
#include <stdio.h>

#include "weft/base/address.h"
#include "weft/base/cleanup.h"
#include "weft/base/clock.h"
#include "weft/base/util.h"
#include "weft/cli/agent-socket.h"
#include "weft/cli/output.h"
#include "weft/cli/resource.h"
#include "weft/cli/text.h"

/* ---- members ----------------------------------------------------------------------------------------------------- */

static const struct column member_columns[] = {
    {"id", "ID"}, {"name", "NAME"}, {"address", "ADDRESS"}, {"protocol_port", "PORT"}, {"weight", "WEIGHT"}, {"backup", "BACKUP"},
    {"operating_status", "STATUS"}, {NULL, NULL},
};

/* The resource that is under the pool at hand. */
struct members {
    struct resource resource;
    char path[64];
};

static int members_of_pool(struct call *call, struct members *ret)
{
    _cleanup_(json_decrefp) json_t *pool = NULL;
    int r = resource_find(call->session, &resource_pool, call_argument(call, 0), &pool, &call->error);

    if (r < 0)
        return r;
    snprintf(ret->path, sizeof ret->path, "pools/%s/members", resource_id(pool));
    ret->resource = (struct resource){"member", "members", SERVICE_LOAD_BALANCER, member_columns, "PUT", true, .path = ret->path};
    return 0;
}

/* "10.0.0.5", "10.0.0.5:80", "[2001:db8::5]:80" */
static bool is_at(const json_t *member, const char *text)
{
    const char *address = resource_string(member, "address");
    int port = (int)json_integer_value(json_object_get(member, "protocol_port"));
    char full[IP_TEXT_SIZE + 16];

    snprintf(full, sizeof full, strchr(address, ':') ? "[%s]:%d" : "%s:%d", address, port);
    return streq(text, address) || streq(text, full);
}

static int find_at(struct call *call, const struct resource *resource, const char *text, json_t **ret, struct error *error)
{
    _cleanup_(json_decrefp) json_t *members = NULL;
    json_t *member, *match = NULL;
    size_t i, n = 0;
    int r = resource_list(call->session, resource, NULL, &members, error);

    if (r < 0)
        return r;
    json_array_foreach (members, i, member)
        if (is_at(member, text)) {
            match = member;
            n++;
        }
    if (n == 0)
        return error_set(error, -ENOENT, "member", "there is no member '%s' in pool '%s'", text, call_argument(call, 0));
    if (n > 1)
        return error_set(error, -ENOTUNIQ, "member", "%zu members are at '%s': add a port, or use an id", n, text);
    *ret = json_incref(match);
    return 0;
}

/* The id of what a person calls 'text'. */
static int member_id(struct call *call, const struct resource *resource, const char *text, char **ret, struct error *error)
{
    _cleanup_(json_decrefp) json_t *member = NULL;
    struct error cause = {0};
    int r = resource_find(call->session, resource, text, &member, &cause);

    if (r == -ENOENT)
        r = find_at(call, resource, text, &member, error);
    else if (r < 0)
        *error = cause;
    return r < 0 ? r : text_format(ret, "%s", resource_id(member));
}

int run_member_create(struct call *call)
{
    struct members members;
    int r = members_of_pool(call, &members);

    return r < 0 ? r : resource_run_create(call, &members.resource, NULL);
}

int run_member_list(struct call *call)
{
    struct members members;
    int r = members_of_pool(call, &members);

    return r < 0 ? r : resource_run_list(call, &members.resource);
}

/* 'run' with the id of the member that the second argument means. */
static int run_on_member(struct call *call, int (*run)(struct call *call, const struct resource *resource, const char *name_or_id))
{
    _cleanup_(freep) char *id = NULL;
    struct members members;
    int r = members_of_pool(call, &members);

    if (r >= 0)
        r = member_id(call, &members.resource, call_argument(call, 1), &id, &call->error);
    return r < 0 ? r : run(call, &members.resource, id);
}

int run_member_show(struct call *call)
{
    return run_on_member(call, resource_run_show);
}

int run_member_set(struct call *call)
{
    return run_on_member(call, resource_run_set);
}

int run_member_delete(struct call *call)
{
    struct members members;
    int first = members_of_pool(call, &members);

    for (size_t i = 1; i < call->n_arguments && (i > 1 || first >= 0); i++) {
        _cleanup_(freep) char *id = NULL;
        struct error cause = {0};
        int r = member_id(call, &members.resource, call->arguments[i], &id, &cause);

        if (r >= 0)
            r = resource_delete(call->session, &members.resource, id, NULL, &cause);
        if (r < 0 && first >= 0) {
            first = r;
            call->error = cause;
        } else if (r < 0) {
            fprintf(stderr, "weft: %s\n", cause.message);
        }
    }
    return first;
}

/* ---- states and statistics --------------------------------------------------------------------------------------- */

static int ask(struct call *call, const struct resource *resource, const char *what, const char *key, json_t **ret_answer, const json_t **ret)
{
    _cleanup_(json_decrefp) json_t *object = NULL;
    int r = resource_find(call->session, resource, call_argument(call, 0), &object, &call->error);

    if (r >= 0)
        r = resource_get(call->session, SERVICE_LOAD_BALANCER, ret_answer, &call->error, "/%s/%s/%s", resource_path(resource), resource_id(object),
                         what);
    if (r >= 0 && !(*ret = json_object_get(*ret_answer, key)))
        r = error_set(&call->error, -EREMOTEIO, key, "the API's answer has no '%s'", key);
    return r;
}

static const struct column status_columns[] = {
    {"object", "OBJECT"}, {"name", "NAME"}, {"at", "AT"}, {"operating_status", "STATUS"}, {"id", "ID"}, {NULL, NULL},
};

static void add_line(json_t *lines, int depth, const char *kind, const json_t *node)
{
    const char *address = resource_string(node, "address"), *type = resource_string(node, "type");
    int port = (int)json_integer_value(json_object_get(node, "protocol_port"));
    json_t *line = json_pack("{s:o,s:s,s:s,s:s}", "object", json_sprintf("%*s%s", 2 * depth, "", kind), "name", resource_string(node, "name"),
                             "operating_status", resource_string(node, "operating_status"), "id", resource_id(node));

    json_object_set_new(line, "at", *address ? json_sprintf(strchr(address, ':') ? "[%s]:%d" : "%s:%d", address, port) : json_string(type));
    json_array_append_new(lines, line);
}

static void add_pool(json_t *lines, int depth, const json_t *pool)
{
    const json_t *monitor = json_object_get(pool, "health_monitor"), *member;
    size_t i;

    add_line(lines, depth, "pool", pool);
    if (monitor)
        add_line(lines, depth + 1, "healthmonitor", monitor);
    json_array_foreach (json_object_get(pool, "members"), i, member)
        add_line(lines, depth + 1, "member", member);
}

static bool is_shown(const json_t *lines, const json_t *pool)
{
    const json_t *line;
    size_t i;

    json_array_foreach (lines, i, line)
        if (streq(resource_id(line), resource_id(pool)))
            return true;
    return false;
}

/* A line for each object, set in by how deep it is; pools of no listener come last. */
int run_load_balancer_status(struct call *call)
{
    _cleanup_(json_decrefp) json_t *answer = NULL, *lines = json_array();
    const json_t *statuses = NULL, *root, *listener, *pool;
    size_t i, k;
    int r = lines ? ask(call, &resource_load_balancer, "status", "statuses", &answer, &statuses) : -ENOMEM;

    if (r < 0)
        return r;
    root = json_object_get(statuses, "loadbalancer");
    if (!output_is_table(call))
        return output_object(call, root);
    add_line(lines, 0, "loadbalancer", root);
    json_array_foreach (json_object_get(root, "listeners"), i, listener) {
        add_line(lines, 1, "listener", listener);
        json_array_foreach (json_object_get(listener, "pools"), k, pool)
            add_pool(lines, 2, pool);
    }
    json_array_foreach (json_object_get(root, "pools"), i, pool)
        if (!is_shown(lines, pool))
            add_pool(lines, 1, pool);
    return output_list(call, lines, status_columns);
}

static int show_stats(struct call *call, const struct resource *resource)
{
    _cleanup_(json_decrefp) json_t *answer = NULL;
    const json_t *stats = NULL;
    int r = ask(call, resource, "stats", "stats", &answer, &stats);

    return r < 0 ? r : output_object(call, stats);
}

int run_load_balancer_stats(struct call *call)
{
    return show_stats(call, &resource_load_balancer);
}

int run_listener_stats(struct call *call)
{
    return show_stats(call, &resource_listener);
}

/* ---- what is found of members ------------------------------------------------------------------------------------ */

static const struct column health_columns[] = {
    {"member", "MEMBER"}, {"address", "ADDRESS"}, {"port", "PORT"}, {"type", "TYPE"}, {"health", "HEALTH"}, {"since", "SINCE"}, {"reason", "REASON"}, {NULL, NULL},
};

int run_health_monitor_members(struct call *call)
{
    _cleanup_(json_decrefp) json_t *question = json_pack("{s:s}", "operation", "member_health"), *answer = NULL;
    json_t *members, *member;
    char text[TIME_TEXT_SIZE];
    size_t i;
    int r = question ? agent_ask(session_agent_socket(call->session), question, &answer, &call->error) : -ENOMEM;

    if (r < 0)
        return r;
    members = json_object_get(answer, "members");
    json_array_foreach (members, i, member) {
        json_int_t since_s = json_integer_value(json_object_get(member, "since"));

        json_object_set_new(member, "since", since_s ? json_string(time_format(since_s, text)) : json_null());
    }
    return output_list(call, members, health_columns);
}
