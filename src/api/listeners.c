/* Listeners: a protocol and port of a VIP. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/balancing.h"
#include "weft/base/util.h"
#include "weft/model/resources.h"

static const struct listener *of(const struct object *object)
{
    return (const struct listener *)object;
}

static int write_load_balancers(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return write_one_id(buffer, of(object)->load_balancer_id);
}

static int write_status(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return json_write_string(buffer, operating_status_name(listener_status(request_api(request)->replica, of(object))));
}

static const struct computed computed[] = {
    STATUSES(write_status),
    {.name = "loadbalancers", .write = write_load_balancers},
    {.name = "default_pool", .flags = ATTRIBUTE_POST},
    CONSTANT("l7policies", write_empty_list),
    CONSTANT("insert_headers", write_empty_object),
    CONSTANT("default_tls_container_ref", write_null),
    CONSTANT("sni_container_refs", write_empty_list),
    CONSTANT("client_ca_tls_container_ref", write_null),
    CONSTANT("client_authentication", write_none),
    CONSTANT("client_crl_container_ref", write_null),
    CONSTANT("tls_ciphers", write_null),
    CONSTANT("tls_versions", write_empty_list),
    CONSTANT("alpn_protocols", write_empty_list),
    CONSTANT("hsts_max_age", write_null),
    CONSTANT("hsts_include_subdomains", write_false),
    CONSTANT("hsts_preload", write_false),
    {.name = NULL},
};

static const struct replica_member *by_name(const struct replica *replica, const char *value)
{
    return replica_by_name(replica, RESOURCE_LISTENER, value);
}

static const struct replica_member *by_load_balancer(const struct replica *replica, const char *value)
{
    return replica_by_load_balancer(replica, RESOURCE_LISTENER, value);
}

static const struct indexed_filter indexed_filters[] = {
    {"name", by_name},
    {"loadbalancer_id", by_load_balancer},
    {NULL, NULL},
};

static void each_visible(const struct request *request, void (*visit)(const struct object *object, void *context), void *context)
{
    REPLICA_FOREACH (member, replica_by_project(request_api(request)->replica, RESOURCE_LISTENER, request_auth(request)->project_id))
        visit(member->object, context);
}

static int check_port(struct change *change, const struct listener *listener)
{
    static const char *const names[] = {[BALANCE_TCP] = "TCP", [BALANCE_UDP] = "UDP", [BALANCE_SCTP] = "SCTP"};
    char key[BALANCING_KEY_SIZE];
    bool is_taken = plan_claims(change->plan, balancing_listener_key(listener, key));

    REPLICA_FOREACH (member, replica_by_load_balancer(request_api(change->request)->replica, RESOURCE_LISTENER, listener->load_balancer_id))
        is_taken |= of(member->object)->protocol == listener->protocol && of(member->object)->protocol_port == listener->protocol_port;
    if (is_taken)
        return CONFLICT("protocol_port", "Another Listener on this Load Balancer is already using protocol %s and protocol_port %u",
                        names[listener->protocol], listener->protocol_port);
    plan_claim(change->plan, key, listener->object.id);
    return 0;
}

static int check_cidrs(struct change *change, const struct listener *listener, const struct load_balancer *load_balancer)
{
    char text[PREFIX_TEXT_SIZE];

    for (size_t i = 0; i < listener->n_allowed_cidrs; i++)
        if (!balancing_has_family(load_balancer, ip_is_v4(&listener->allowed_cidrs[i].address)))
            return INVALID("allowed_cidrs", "Validation failure: CIDR %s IP version incompatible with all VIPs IP version.",
                           prefix_format(&listener->allowed_cidrs[i], text));
    return 0;
}

static int check_default_pool(struct change *change, struct listener *listener, const char *before)
{
    static const char *const names[] = {[BALANCE_TCP] = "TCP", [BALANCE_UDP] = "UDP", [BALANCE_SCTP] = "SCTP"};
    const struct pool *pool = NULL;

    if (streq(listener->default_pool_id, before))
        return 0;
    if (listener->default_pool_id[0]) {
        if (!(pool = balancing_find_pool(change, listener->default_pool_id)))
            return -ENOENT;
        if (!streq(pool->load_balancer_id, listener->load_balancer_id))
            return INVALID("default_pool_id", "Pool %s is of another load balancer than the listener.", pool->object.id);
        if (pool->protocol != listener->protocol)
            return INVALID("default_pool_id", "Validation failure: The pool protocol '%s' is invalid while the listener protocol is '%s'.",
                           names[pool->protocol], names[listener->protocol]);
    }
    balancing_set_default_pool(change->plan, listener, before, pool);
    return 0;
}

/* A pool of the same request with this name. */
static const struct object *pool_called(const struct change *change, const char *name)
{
    const struct object *pool = NULL;

    while ((pool = plan_created(change->plan, RESOURCE_POOL, pool)))
        if (pool->name && streq(pool->name, name))
            return pool;
    return NULL;
}

/* "default_pool" is a pool that is made with the listener, or {"name": N}, one of those that are made with the load balancer. */
static int create_default_pool(struct change *change, struct listener *listener)
{
    const json_t *json = change_value(change, "default_pool");
    const struct object *pool = NULL;
    json_t *body;
    int r;

    if (!json || json_is_null(json))
        return 0;
    if (!json_is_object(json))
        return INVALID("default_pool", "it is not an object");
    if (json_object_size(json) == 1 && json_is_string(json_object_get(json, "name"))) {
        pool = pool_called(change, json_string_value(json_object_get(json, "name")));
        if (!pool)
            return INVALID("default_pool", "the request has no pool called '%.100s'", json_string_value(json_object_get(json, "name")));
    } else {
        if (!(body = json_copy((json_t *)json)))
            return -ENOMEM;
        json_object_set_new(body, "loadbalancer_id", json_string(listener->load_balancer_id));
        r = change_create_part(change, &pool_resource, change->after, body, &pool);
        json_decref(body);
        if (r < 0) {
            if (change->error->field[0])
                error_prefix_field(change->error, "default_pool");
            return r;
        }
    }
    string_copy(listener->default_pool_id, UUID_TEXT_SIZE, pool->id);
    return 0;
}

static int create(struct change *change)
{
    struct listener *listener = (struct listener *)change->after;
    const struct load_balancer *load_balancer = balancing_find_load_balancer(change, listener->load_balancer_id);
    char key[BALANCING_KEY_SIZE];
    int r;

    if (!load_balancer)
        return -ENOENT;
    string_copy(listener->object.project_id, sizeof(listener->object.project_id), load_balancer->object.project_id);
    if ((r = balancing_check_constants(change)) < 0 || (r = check_port(change, listener)) < 0 ||
        (r = check_cidrs(change, listener, load_balancer)) < 0 || (r = create_default_pool(change, listener)) < 0)
        return r;
    plan_claim(change->plan, balancing_part_key(listener->load_balancer_id, listener->object.id, key), "");
    return check_default_pool(change, listener, "");
}

static int update(struct change *change)
{
    struct listener *listener = (struct listener *)change->after;
    const struct load_balancer *load_balancer = balancing_find_load_balancer(change, listener->load_balancer_id);
    int r = load_balancer ? balancing_check_constants(change) : -ENOENT;

    if (r == 0)
        r = check_cidrs(change, listener, load_balancer);
    return r == 0 ? check_default_pool(change, listener, of(change->before)->default_pool_id) : r;
}

static int delete_listener(struct change *change)
{
    balancing_delete_listener(change->plan, of(change->before));
    return 0;
}

const struct resource listener_resource = {
    .schema = &listener_schema,
    .computed = computed,
    .indexed_filters = indexed_filters,
    .not_found = "NotFound",
    .title = "Listener",
    .quota_title = "Listener",
    .each_visible = each_visible,
    .refuse = balancing_refuse_protocol,
    .create = create,
    .update = update,
    .delete = delete_listener,
};
