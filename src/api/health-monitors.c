/* Health monitors: how the members of a pool are probed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/balancing.h"
#include "weft/base/options.h"
#include "weft/base/util.h"
#include "weft/model/resources.h"

static const struct health_monitor *of(const struct object *object)
{
    return (const struct health_monitor *)object;
}

static int write_pools(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return write_one_id(buffer, of(object)->pool_id);
}

static int write_status(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return json_write_string(buffer, operating_status_name(object->admin_state_up ? OPERATING_ONLINE : OPERATING_OFFLINE));
}

/* A number, 1.0 or 1.1. */
static int write_version(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return buffer_append_string(buffer, of(object)->http_version ? of(object)->http_version : "null");
}

static const struct computed computed[] = {
    STATUSES(write_status),
    {.name = "pools", .write = write_pools},
    {.name = "http_version", .write = write_version, .flags = ATTRIBUTE_POST | ATTRIBUTE_PUT},
    {.name = NULL},
};

static const struct replica_member *by_name(const struct replica *replica, const char *value)
{
    return replica_by_name(replica, RESOURCE_HEALTH_MONITOR, value);
}

static const struct replica_member *by_pool(const struct replica *replica, const char *value)
{
    return replica_find(replica, REPLICA_MONITORS_BY_POOL, value);
}

static const struct indexed_filter indexed_filters[] = {
    {"name", by_name},
    {"pool_id", by_pool},
    {NULL, NULL},
};

static void each_visible(const struct request *request, void (*visit)(const struct object *object, void *context), void *context)
{
    REPLICA_FOREACH (member, replica_by_project(request_api(request)->replica, RESOURCE_HEALTH_MONITOR, request_auth(request)->project_id))
        visit(member->object, context);
}

static int refuse(const char *attribute, const json_t *value, struct error *error)
{
    if (streq(attribute, "type") && json_is_string(value) && streq(json_string_value(value), "SCTP"))
        return UNSUPPORTED(error, "type", "Provider '" PROVIDER "' does not support a requested option: a health monitor of SCTP");
    return 0;
}

/* What may watch members of which protocol. */
static int check_type(struct change *change, const struct health_monitor *monitor, const struct pool *pool)
{
    static const struct {
        const char *name, *types;
        uint32_t allowed;
    } protocols[] = {
        [BALANCE_TCP] = {"TCP", "PING, TCP, HTTP, HTTPS or TLS-HELLO",
                         1 << MONITOR_PING | 1 << MONITOR_TCP | 1 << MONITOR_HTTP | 1 << MONITOR_HTTPS | 1 << MONITOR_TLS_HELLO},
        [BALANCE_UDP] = {"UDP", "PING, TCP, HTTP or UDP-CONNECT", 1 << MONITOR_PING | 1 << MONITOR_TCP | 1 << MONITOR_HTTP | 1 << MONITOR_UDP_CONNECT},
        [BALANCE_SCTP] = {"SCTP", "PING, TCP, HTTP or UDP-CONNECT",
                          1 << MONITOR_PING | 1 << MONITOR_TCP | 1 << MONITOR_HTTP | 1 << MONITOR_UDP_CONNECT},
    };

    if (monitor->type == MONITOR_SCTP)
        return UNSUPPORTED(change->error, "type", "Provider '" PROVIDER "' does not support a requested option: a health monitor of SCTP");
    if (protocols[pool->protocol].allowed >> monitor->type & 1)
        return 0;
    return INVALID("type", "Validation failure: The associated pool protocol is %s, so only a %s health monitor is supported.",
                   protocols[pool->protocol].name, protocols[pool->protocol].types);
}

static bool is_code(const char *text)
{
    return text[0] >= '1' && text[0] <= '5' && text[1] >= '0' && text[1] <= '9' && text[2] >= '0' && text[2] <= '9';
}

/* "200", "200,202", "200-204", and mixtures. */
static bool is_code_list(const char *text)
{
    while (is_code(text)) {
        const char *first = text;

        text += 3;
        if (*text == '-') {
            if (!is_code(text + 1) || strncmp(first, text + 1, 3) > 0)
                return false;
            text += 4;
        }
        if (!*text)
            return true;
        if (*text++ != ',')
            return false;
    }
    return false;
}

/* What goes into a request's head as it is. */
static bool is_visible(const char *text)
{
    for (; *text; text++)
        if (*text <= ' ' || *text >= 0x7f)
            return false;
    return true;
}

static int set_default(char **member, const char *text)
{
    if (!*member)
        *member = strdup(text);
    return *member ? 0 : -ENOMEM;
}

static int read_version(struct change *change, struct health_monitor *monitor)
{
    const json_t *json = change_value(change, "http_version");
    char brief[40];

    if (!json)
        return 0;
    free(monitor->http_version);
    monitor->http_version = NULL;
    if (json_is_null(json))
        return 0;
    json_brief(json, brief, sizeof(brief));
    if (json_is_number(json) && (json_number_value(json) == 1.0 || (json_number_value(json) > 1.0999 && json_number_value(json) < 1.1001)))
        return set_default(&monitor->http_version, json_number_value(json) == 1.0 ? "1.0" : "1.1");
    if (json_is_string(json) && (streq(json_string_value(json), "1.0") || streq(json_string_value(json), "1.1")))
        return set_default(&monitor->http_version, json_string_value(json));
    return INVALID("http_version", "'%s' is neither 1.0 nor 1.1", brief);
}

static int check_http(struct change *change, struct health_monitor *monitor)
{
    static const char *const methods[] = {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"};
    static const char *const names[] = {"http_method", "url_path", "expected_codes", "domain_name", "http_version"};
    const char *const values[] = {monitor->http_method, monitor->url_path, monitor->expected_codes, monitor->domain_name, monitor->http_version};
    bool is_http = monitor->type == MONITOR_HTTP || monitor->type == MONITOR_HTTPS, is_method = false;

    for (size_t i = 0; i < ARRAY_SIZE(names) && !is_http; i++)
        if (values[i])
            return INVALID(names[i], "Validation failure: '%.100s' is only valid for health monitors of type HTTP and HTTPS.", values[i]);
    if (!is_http)
        return 0;
    if (set_default(&monitor->http_method, "GET") < 0 || set_default(&monitor->url_path, "/") < 0 || set_default(&monitor->expected_codes, "200") < 0)
        return -ENOMEM;
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
        is_method |= streq(methods[i], monitor->http_method);
    if (!is_method)
        return INVALID("http_method", "'%s' is not a method of HTTP", monitor->http_method);
    if (monitor->url_path[0] != '/' || !is_visible(monitor->url_path) || strchr(monitor->url_path, '#'))
        return INVALID("url_path", "'%.100s' is not a path that begins with '/', of visible ASCII characters but '#'", monitor->url_path);
    if (!is_code_list(monitor->expected_codes))
        return INVALID("expected_codes", "'%s' is not like '200', '200,202' or '200-204'", monitor->expected_codes);
    if (monitor->domain_name && (!monitor->http_version || !streq(monitor->http_version, "1.1")))
        return INVALID("domain_name", "'%.100s': it is only valid with http_version 1.1", monitor->domain_name);
    if (monitor->domain_name && (!*monitor->domain_name || *monitor->domain_name == ':' || !is_visible(monitor->domain_name) || strpbrk(monitor->domain_name, "/@?#\\[]")))
        return INVALID("domain_name", "'%.100s' is not the name of a host", monitor->domain_name);
    return 0;
}

static int check(struct change *change, struct health_monitor *monitor)
{
    int r = read_version(change, monitor);

    if (r < 0)
        return r;
    if (monitor->timeout > monitor->delay)
        return INVALID("timeout", "'%u' is more than the delay of %u seconds: one probe would meet the next", monitor->timeout, monitor->delay);
    return check_http(change, monitor);
}

static int create(struct change *change)
{
    struct health_monitor *monitor = (struct health_monitor *)change->after;
    const struct pool *pool = balancing_find_pool(change, monitor->pool_id);
    char key[BALANCING_KEY_SIZE];
    int r;

    if (!pool)
        return -ENOENT;
    string_copy(monitor->object.project_id, sizeof(monitor->object.project_id), pool->object.project_id);
    string_copy(monitor->load_balancer_id, UUID_TEXT_SIZE, pool->load_balancer_id);
    if ((r = check_type(change, monitor, pool)) < 0 || (r = check(change, monitor)) < 0)
        return r;
    if (replica_find(request_api(change->request)->replica, REPLICA_MONITORS_BY_POOL, monitor->pool_id) ||
        plan_claims(change->plan, balancing_monitor_key(monitor->pool_id, key)))
        return CONFLICT("pool_id", "This pool already has a health monitor");
    plan_claim(change->plan, balancing_monitor_key(monitor->pool_id, key), monitor->object.id);
    plan_claim(change->plan, balancing_part_key(monitor->pool_id, monitor->object.id, key), "");
    return 0;
}

static int update(struct change *change)
{
    return check(change, (struct health_monitor *)change->after);
}

static int delete_monitor(struct change *change)
{
    balancing_delete_monitor(change->plan, of(change->before));
    return 0;
}

const struct resource health_monitor_resource = {
    .schema = &health_monitor_schema,
    .computed = computed,
    .indexed_filters = indexed_filters,
    .not_found = "NotFound",
    .title = "Health Monitor",
    .quota_title = "Health Monitor",
    .each_visible = each_visible,
    .refuse = refuse,
    .create = create,
    .update = update,
    .delete = delete_monitor,
};
