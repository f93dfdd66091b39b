/* Pools: servers that share the work of listeners. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/balance-size.h"
#include "weft/api/balancing.h"
#include "weft/base/util.h"
#include "weft/model/resources.h"

static const char *const protocols[] = {[BALANCE_TCP] = "TCP", [BALANCE_UDP] = "UDP", [BALANCE_SCTP] = "SCTP"};

static const struct pool *of(const struct object *object)
{
    return (const struct pool *)object;
}

static int write_load_balancers(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return write_one_id(buffer, of(object)->load_balancer_id);
}

static int write_listeners(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return write_id_list(buffer, replica_find(request_api(request)->replica, REPLICA_LISTENERS_BY_POOL, object->id));
}

static int write_members(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return write_id_list(buffer, replica_find(request_api(request)->replica, REPLICA_MEMBERS_BY_POOL, object->id));
}

static int write_monitor(const struct request *request, const struct object *object, struct buffer *buffer)
{
    const struct replica_member *member = replica_find(request_api(request)->replica, REPLICA_MONITORS_BY_POOL, object->id);

    return member ? buffer_printf(buffer, "\"%s\"", member->object->id) : buffer_append_string(buffer, "null");
}

static int write_status(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return json_write_string(buffer, operating_status_name(pool_status(request_api(request)->replica, of(object))));
}

/* ---- session_persistence: {"type": "SOURCE_IP", "persistence_timeout": 360, "persistence_granularity": "255.255.255.0"} ---- */

/* The mask with so many bits, of an address family as of the load balancer's VIP. */
static const char *mask_text(const struct request *request, const struct pool *pool, char text[IP_TEXT_SIZE])
{
    const struct object *load_balancer = replica_get(request_api(request)->replica, RESOURCE_LOAD_BALANCER, pool->load_balancer_id);
    bool is_v4 = pool->persistence_length <= 32 && (!load_balancer || ip_is_v4(&((const struct load_balancer *)load_balancer)->vip_address));
    struct ip_address mask = {{0}};

    for (unsigned i = 0; i < pool->persistence_length; i++)
        mask.bytes[(is_v4 ? 12 : 0) + i / 8] |= (uint8_t)(0x80 >> i % 8);
    if (is_v4)
        mask.bytes[10] = mask.bytes[11] = 0xff;
    return ip_format(&mask, text);
}

static int write_persistence(const struct request *request, const struct object *object, struct buffer *buffer)
{
    const struct pool *pool = of(object);
    char timeout[24] = "null", granularity[IP_TEXT_SIZE + 2] = "null", text[IP_TEXT_SIZE];

    if (!pool->has_persistence)
        return buffer_append_string(buffer, "null");
    if (pool->has_persistence_timeout)
        snprintf(timeout, sizeof(timeout), "%u", pool->persistence_timeout);
    if (pool->has_persistence_granularity)
        snprintf(granularity, sizeof(granularity), "\"%s\"", mask_text(request, pool, text));
    return buffer_printf(buffer, "{\"type\":\"SOURCE_IP\",\"cookie_name\":null,\"persistence_timeout\":%s,\"persistence_granularity\":%s}", timeout,
                         granularity);
}

/* Ones, then zeros. */
static int mask_length(const struct ip_address *mask, uint8_t *ret_length)
{
    unsigned first = ip_is_v4(mask) ? 96 : 0, length = 0;

    while (first + length < 128 && (mask->bytes[(first + length) / 8] & 0x80 >> (first + length) % 8))
        length++;
    for (unsigned i = first + length; i < 128; i++)
        if (mask->bytes[i / 8] & 0x80 >> i % 8)
            return -EINVAL;
    *ret_length = (uint8_t)length;
    return 0;
}

static int read_granularity(struct change *change, struct pool *pool, const json_t *json)
{
    struct ip_address mask;
    char brief[60];

    if (!json_is_string(json) || ip_parse(json_string_value(json), &mask) < 0 || mask_length(&mask, &pool->persistence_length) < 0)
        return INVALID("session_persistence.persistence_granularity", "'%s' is not a netmask like '255.255.255.0' or 'ffff:ffff::'",
                       json_brief(json, brief, sizeof(brief)));
    pool->has_persistence_granularity = true;
    return 0;
}

static int read_persistence(struct change *change, struct pool *pool)
{
    const json_t *json = change_value(change, "session_persistence"), *type, *timeout, *granularity, *cookie;
    char brief[60];

    if (!json)
        return 0;
    pool->has_persistence = pool->has_persistence_timeout = pool->has_persistence_granularity = false;
    pool->persistence_timeout = pool->persistence_length = 0;
    if (json_is_null(json) || (json_is_object(json) && json_object_size(json) == 0))
        return 0;
    if (!json_is_object(json))
        return INVALID("session_persistence", "'%s' is not an object", json_brief(json, brief, sizeof(brief)));
    type = json_object_get(json, "type");
    timeout = json_object_get(json, "persistence_timeout");
    granularity = json_object_get(json, "persistence_granularity");
    cookie = json_object_get(json, "cookie_name");
    if (!json_is_string(type) || !streq(json_string_value(type), "SOURCE_IP"))
        return INVALID("session_persistence.type", "%s is not SOURCE_IP: cookies are HTTP's, and the pool is of %s", json_brief(type, brief, sizeof(brief)),
                       protocols[pool->protocol]);
    if (cookie && !json_is_null(cookie))
        return INVALID("session_persistence.cookie_name", "it is for cookies, and the type is SOURCE_IP");
    pool->has_persistence = true;
    if (pool->protocol == BALANCE_TCP && ((timeout && !json_is_null(timeout)) || (granularity && !json_is_null(granularity))))
        return INVALID("session_persistence", "persistence_timeout and persistence_granularity are for pools of UDP and SCTP, not of TCP");
    if (timeout && !json_is_null(timeout)) {
        if (!json_is_integer(timeout) || json_integer_value(timeout) < 0 || json_integer_value(timeout) > INT32_MAX)
            return INVALID("session_persistence.persistence_timeout", "'%s' is not a number of seconds", json_brief(timeout, brief, sizeof(brief)));
        pool->has_persistence_timeout = true;
        pool->persistence_timeout = (uint32_t)json_integer_value(timeout);
    }
    return granularity && !json_is_null(granularity) ? read_granularity(change, pool, granularity) : 0;
}

static const struct computed computed[] = {
    STATUSES(write_status),
    {.name = "loadbalancers", .write = write_load_balancers},
    {.name = "listener_id", .flags = ATTRIBUTE_POST},
    {.name = "listeners", .write = write_listeners},
    {.name = "members", .write = write_members, .flags = ATTRIBUTE_POST},
    {.name = "healthmonitor_id", .filter = true, .write = write_monitor},
    {.name = "healthmonitor", .flags = ATTRIBUTE_POST},
    {.name = "session_persistence", .write = write_persistence, .flags = ATTRIBUTE_POST | ATTRIBUTE_PUT},
    CONSTANT("tls_container_ref", write_null),
    CONSTANT("ca_tls_container_ref", write_null),
    CONSTANT("crl_container_ref", write_null),
    CONSTANT("tls_enabled", write_false),
    CONSTANT("tls_ciphers", write_null),
    CONSTANT("tls_versions", write_empty_list),
    CONSTANT("alpn_protocols", write_empty_list),
    {.name = NULL},
};

static const struct replica_member *by_name(const struct replica *replica, const char *value)
{
    return replica_by_name(replica, RESOURCE_POOL, value);
}

static const struct replica_member *by_load_balancer(const struct replica *replica, const char *value)
{
    return replica_by_load_balancer(replica, RESOURCE_POOL, value);
}

static const struct indexed_filter indexed_filters[] = {
    {"name", by_name},
    {"loadbalancer_id", by_load_balancer},
    {NULL, NULL},
};

static void each_visible(const struct request *request, void (*visit)(const struct object *object, void *context), void *context)
{
    REPLICA_FOREACH (member, replica_by_project(request_api(request)->replica, RESOURCE_POOL, request_auth(request)->project_id))
        visit(member->object, context);
}

/* With "listener_id" it is of that one's load balancer, and becomes its default pool. */
static int find_listener(struct change *change, struct pool *pool, struct listener **ret_listener)
{
    const json_t *json = change_value(change, "listener_id");
    const struct listener *listener;

    *ret_listener = NULL;
    if (!json || json_is_null(json))
        return 0;
    listener = json_is_string(json)
                   ? (const struct listener *)resource_find(&listener_resource, change->request, json_string_value(json), change->error)
                   : NULL;
    if (!listener)
        return json_is_string(json) ? -ENOENT : INVALID("listener_id", "it is not a UUID");
    if (pool->load_balancer_id[0] && !streq(pool->load_balancer_id, listener->load_balancer_id))
        return INVALID("listener_id", "Listener %s is of another load balancer than %s.", listener->object.id, pool->load_balancer_id);
    if (listener->default_pool_id[0])
        return CONFLICT("listener_id", "Listener %s already has a default pool: %s.", listener->object.id, listener->default_pool_id);
    if (listener->protocol != pool->protocol)
        return INVALID("protocol", "Validation failure: The pool protocol '%s' is invalid while the listener protocol is '%s'.",
                       protocols[pool->protocol], protocols[listener->protocol]);
    string_copy(pool->load_balancer_id, UUID_TEXT_SIZE, listener->load_balancer_id);
    *ret_listener = (struct listener *)plan_edit(change->plan, &listener->object);
    return *ret_listener ? 0 : -ENOMEM;
}

static int create_members(struct change *change)
{
    const json_t *list = change_value(change, "members"), *json;
    size_t i;

    if (!list || json_is_null(list))
        return 0;
    if (!json_is_array(list))
        return INVALID("members", "it is not a list");
    if (members_check_number(change, json_array_size(list)) < 0)
        return -EINVAL;
    json_array_foreach ((json_t *)list, i, json) {
        int r = change_create_part(change, &member_resource, change->after, json, NULL);

        if (r < 0) {
            if (change->error->field[0])
                error_prefix_field(change->error, "members[%zu]", i);
            return r;
        }
    }
    return 0;
}

static int create_monitor(struct change *change)
{
    const json_t *json = change_value(change, "healthmonitor");
    json_t *body;
    int r;

    if (!json || json_is_null(json))
        return 0;
    body = json_is_object(json) ? json_copy((json_t *)json) : json_object();
    if (!body || json_object_set_new(body, "pool_id", json_string(change->after->id)) < 0)
        return -ENOMEM;
    r = change_create_part(change, &health_monitor_resource, change->after, body, NULL);
    json_decref(body);
    if (r < 0 && change->error->field[0])
        error_prefix_field(change->error, "healthmonitor");
    return r;
}

static int create(struct change *change)
{
    struct pool *pool = (struct pool *)change->after;
    const struct load_balancer *load_balancer;
    struct listener *listener;
    char key[BALANCING_KEY_SIZE];
    int r = find_listener(change, pool, &listener);

    if (r < 0)
        return r;
    if (!pool->load_balancer_id[0])
        return INVALID("loadbalancer_id", "Must provide at least one of: loadbalancer_id, listener_id");
    if (!(load_balancer = balancing_find_load_balancer(change, pool->load_balancer_id)))
        return -ENOENT;
    string_copy(pool->object.project_id, sizeof(pool->object.project_id), load_balancer->object.project_id);
    if ((r = balancing_check_constants(change)) < 0 || (r = read_persistence(change, pool)) < 0)
        return r;
    plan_claim(change->plan, balancing_part_key(pool->load_balancer_id, pool->object.id, key), "");
    if (listener) {
        string_copy(listener->default_pool_id, UUID_TEXT_SIZE, pool->object.id);
        balancing_set_default_pool(change->plan, listener, "", pool);
    }
    if ((r = create_members(change)) < 0 || (r = balance_size_check(change, pool->object.id, pool->object.project_id)) < 0)
        return r;
    return create_monitor(change);
}

static int update(struct change *change)
{
    int r = balancing_check_constants(change);

    return r == 0 ? read_persistence(change, (struct pool *)change->after) : r;
}

static int delete_pool(struct change *change)
{
    balancing_delete_pool(change->plan, of(change->before));
    return 0;
}

const struct resource pool_resource = {
    .schema = &pool_schema,
    .computed = computed,
    .indexed_filters = indexed_filters,
    .not_found = "NotFound",
    .title = "Pool",
    .quota_title = "Pool",
    .each_visible = each_visible,
    .refuse = balancing_refuse_protocol,
    .create = create,
    .update = update,
    .delete = delete_pool,
};
