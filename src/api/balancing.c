/* The Load-Balancer API put together: routes, what is the same for all resources, the writer of rows, and that of shares. */
#include "weft/api/balancing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "weft/api/balance-rows.h"
#include "weft/api/listener-shares.h"
#include "weft/api/networking.h"
#include "weft/api/quota.h"
#include "weft/api/quotas.h"
#include "weft/balance/table.h"
#include "weft/base/clock.h"
#include "weft/base/util.h"
#include "weft/http/routes.h"

#define ROWS_DELAY_MS 10  /* Changes within it are looked at together. */
#define ROWS_MAX_SHARE 5  /* A pass takes no more than one in so many of the time. */
#define AGE_INTERVAL_MS 1000
#define BATCH_BODY_SIZE (2u << 20) /* As many members as a pool may have, at 512 bytes. */
#define LAST_VERSION 26   /* Of the API: v2.26. */

struct balancing {
    struct api *api;
    struct balance_writer *writer;
    struct listener_shares *shares;
    struct statistics *statistics;
    struct replica_listener listener;
    uv_timer_t rows_timer, shares_timer, age_timer;
    bool is_waiting; /* The first of them is for pools that were written a moment ago only. */
    uint64_t rows_delay_ms, shares_delay_ms;
};

struct statistics *balancing_statistics(struct balancing *balancing)
{
    return balancing->statistics;
}

const struct replica *balancing_replica(const struct balancing *balancing)
{
    return balancing->api->replica;
}

/* ---- keys and references ---- */

const char *balancing_part_key(const char *parent_id, const char *child_id, char key[BALANCING_KEY_SIZE])
{
    snprintf(key, BALANCING_KEY_SIZE, "lb/part/%s/%s", parent_id, child_id);
    return key;
}

const char *balancing_listener_key(const struct listener *listener, char key[BALANCING_KEY_SIZE])
{
    snprintf(key, BALANCING_KEY_SIZE, "lb/listener/%s/%u/%u", listener->load_balancer_id, balance_protocol_number(listener->protocol),
             listener->protocol_port);
    return key;
}

const char *balancing_member_key(const struct pool_member *member, char key[BALANCING_KEY_SIZE])
{
    char text[IP_TEXT_SIZE];

    snprintf(key, BALANCING_KEY_SIZE, "lb/member/%s/%s/%u", member->pool_id, ip_format(&member->address, text), member->protocol_port);
    return key;
}

const char *balancing_monitor_key(const char *pool_id, char key[BALANCING_KEY_SIZE])
{
    snprintf(key, BALANCING_KEY_SIZE, "lb/monitor/%s", pool_id);
    return key;
}

static const struct object *find(struct change *change, const struct resource *resource, const char *id)
{
    const struct object *object = NULL;

    while ((object = plan_created(change->plan, resource->schema->kind, object)))
        if (streq(object->id, id))
            return object;
    object = resource_find(resource, change->request, id, change->error);
    if (object)
        plan_guard(change->plan, object);
    return object;
}

const struct load_balancer *balancing_find_load_balancer(struct change *change, const char *id)
{
    return (const struct load_balancer *)find(change, &load_balancer_resource, id);
}

const struct pool *balancing_find_pool(struct change *change, const char *id)
{
    return (const struct pool *)find(change, &pool_resource, id);
}

int balancing_refuse_protocol(const char *attribute, const json_t *value, struct error *error)
{
    static const char *const names[] = {"HTTP", "HTTPS", "TERMINATED_HTTPS", "PROXY", "PROXYV2", "PROMETHEUS"};

    for (size_t i = 0; streq(attribute, "protocol") && json_is_string(value) && i < ARRAY_SIZE(names); i++)
        if (streq(json_string_value(value), names[i]))
            return UNSUPPORTED(error, "protocol", "Provider '" PROVIDER "' does not support a requested option: protocol %s (TCP, UDP and SCTP are)",
                               names[i]);
    return 0;
}

/* ---- attributes that are always the same ---- */

int write_null(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return buffer_append(buffer, "null", 4);
}

int write_false(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return buffer_append(buffer, "false", 5);
}

int write_none(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return buffer_append_string(buffer, "\"NONE\"");
}

int write_normal(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return buffer_append_string(buffer, "\"normal\"");
}

int write_empty_list(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return buffer_append(buffer, "[]", 2);
}

int write_empty_object(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return buffer_append(buffer, "{}", 2);
}

int write_active(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return buffer_append_string(buffer, "\"ACTIVE\"");
}

static bool is_constant(const struct computed *computed)
{
    static int (*const writers[])(const struct request *request, const struct object *object, struct buffer *buffer) = {
        write_null, write_false, write_none, write_normal, write_empty_list, write_empty_object};

    for (size_t i = 0; computed->flags && i < ARRAY_SIZE(writers); i++)
        if (computed->write == writers[i])
            return true;
    return false;
}

int balancing_check_constants(struct change *change)
{
    for (const struct computed *computed = change->resource->computed; computed->name; computed++) {
        const json_t *json = is_constant(computed) ? change_value(change, computed->name) : NULL;
        struct buffer expected = {0};
        char given[120];
        bool is_same;

        if (!json || json_is_null(json))
            continue;
        json_brief(json, given, sizeof(given));
        is_same = computed->write(change->request, change->after, &expected) == 0 && buffer_string(&expected) && streq(given, expected.data);
        buffer_clear(&expected);
        if (!is_same)
            return UNSUPPORTED(change->error, computed->name, "Provider '" PROVIDER "' does not support a requested option: %s %s", computed->name, given);
    }
    return 0;
}

int write_id_list(struct buffer *buffer, const struct replica_member *first)
{
    bool bad = buffer_append(buffer, "[", 1);

    REPLICA_FOREACH (member, first)
        bad = bad || buffer_printf(buffer, "%s{\"id\":\"%s\"}", member == first ? "" : ",", member->object->id);
    return bad || buffer_append(buffer, "]", 1) ? -ENOMEM : 0;
}

int write_one_id(struct buffer *buffer, const char *id)
{
    return *id ? buffer_printf(buffer, "[{\"id\":\"%s\"}]", id) : buffer_append(buffer, "[]", 2);
}

/* ---- deleting ---- */

void balancing_require_only_parts(struct plan *plan, const char *parent_id, const struct replica_member *const *lists, size_t n_lists)
{
    char prefix[BALANCING_KEY_SIZE];
    size_t n = 0, i = 0;
    char **ids;

    for (size_t k = 0; k < n_lists; k++)
        REPLICA_FOREACH (member, lists[k])
            n++;
    if (!(ids = calloc(n + 1, sizeof(*ids)))) {
        plan_fail(plan, -ENOMEM);
        return;
    }
    for (size_t k = 0; k < n_lists; k++)
        REPLICA_FOREACH (member, lists[k])
            ids[i++] = (char *)member->object->id;
    plan_require_only(plan, balancing_part_key(parent_id, "", prefix), ids, n);
    free(ids);
}

void balancing_set_default_pool(struct plan *plan, struct listener *listener, const char *before, const struct pool *pool)
{
    char key[BALANCING_KEY_SIZE];

    if (*before)
        plan_remove(plan, balancing_part_key(before, listener->object.id, key));
    if (pool)
        plan_claim(plan, balancing_part_key(pool->object.id, listener->object.id, key), "");
}

void balancing_delete_listener(struct plan *plan, const struct listener *listener)
{
    char key[BALANCING_KEY_SIZE];

    plan_remove(plan, balancing_part_key(listener->load_balancer_id, listener->object.id, key));
    plan_remove(plan, balancing_listener_key(listener, key));
    if (listener->default_pool_id[0])
        plan_remove(plan, balancing_part_key(listener->default_pool_id, listener->object.id, key));
    plan_delete(plan, &listener->object);
}

bool balancing_is_guest(const struct replica *replica, const struct pool_member *member)
{
    const struct object *network = replica_get(replica, RESOURCE_NETWORK, member->at_network_id);

    return !network || !streq(network->project_id, member->object.project_id);
}

static void forget_health(struct plan *plan, const struct pool_member *member)
{
    char key[BALANCING_KEY_SIZE];

    if (member->health == MEMBER_HEALTH_UNKNOWN)
        return;
    snprintf(key, sizeof(key), "status/member/%s", member->object.id);
    plan_remove(plan, key);
}

void balancing_delete_member(struct plan *plan, const struct pool_member *member)
{
    char key[BALANCING_KEY_SIZE];

    if (balancing_is_guest(request_api(plan_request(plan))->replica, member))
        plan_remove(plan, balancing_part_key(member->at_network_id, member->object.id, key));
    plan_remove(plan, balancing_part_key(member->pool_id, member->object.id, key));
    plan_remove(plan, balancing_member_key(member, key));
    forget_health(plan, member);
    plan_delete(plan, &member->object);
}

/* What it found of members that stay is forgotten with it: the next one is to find out for itself. */
void balancing_delete_monitor(struct plan *plan, const struct health_monitor *monitor)
{
    const struct replica_member *members = replica_find(request_api(plan_request(plan))->replica, REPLICA_MEMBERS_BY_POOL, monitor->pool_id);
    char key[BALANCING_KEY_SIZE];

    REPLICA_FOREACH (member, members)
        if (plan_current(plan, member->object))
            forget_health(plan, (const struct pool_member *)member->object);
    plan_remove(plan, balancing_part_key(monitor->pool_id, monitor->object.id, key));
    plan_remove(plan, balancing_monitor_key(monitor->pool_id, key));
    plan_delete(plan, &monitor->object);
}

/* Its rows go by their writer, when the pool is gone. */
void balancing_delete_pool(struct plan *plan, const struct pool *pool)
{
    const struct replica *replica = request_api(plan_request(plan))->replica;
    const char *id = pool->object.id;
    const struct replica_member *lists[] = {replica_find(replica, REPLICA_MEMBERS_BY_POOL, id), replica_find(replica, REPLICA_MONITORS_BY_POOL, id),
                                            replica_find(replica, REPLICA_LISTENERS_BY_POOL, id)};
    char key[BALANCING_KEY_SIZE];

    balancing_require_only_parts(plan, id, lists, ARRAY_SIZE(lists));
    REPLICA_FOREACH (member, lists[0])
        balancing_delete_member(plan, (const struct pool_member *)member->object);
    REPLICA_FOREACH (member, lists[1])
        balancing_delete_monitor(plan, (const struct health_monitor *)member->object);
    REPLICA_FOREACH (member, lists[2]) {
        struct listener *listener = plan_current(plan, member->object) ? (struct listener *)plan_edit(plan, member->object) : NULL;

        if (!listener)
            continue; /* It goes, too. */
        plan_remove(plan, balancing_part_key(id, listener->object.id, key));
        listener->default_pool_id[0] = '\0';
    }
    plan_remove(plan, balancing_part_key(pool->load_balancer_id, id, key));
    plan_delete(plan, &pool->object);
}

/* ---- what else clients ask for ---- */

static void show_versions(struct request *request)
{
    json_t *list = json_array();

    for (unsigned minor = 0; minor <= LAST_VERSION; minor++) {
        char id[12];

        snprintf(id, sizeof(id), "v2.%u", minor);
        json_array_append_new(list, json_pack("{sssssss[{ssso}]}", "id", id, "status", minor == LAST_VERSION ? "CURRENT" : "SUPPORTED", "updated",
                                              "2021-05-01T00:00:00Z", "links", "rel", "self", "href",
                                              json_sprintf("%s/load-balancer/v2", request_public_url(request))));
    }
    request_respond(request, HTTP_OK, json_pack("{so}", "versions", list));
}

static void show_root(struct request *request)
{
    request_respond(request, HTTP_OK, json_object());
}

static void list_nothing(struct request *request)
{
    request_respond(request, HTTP_OK, json_pack("{s[]}", (const char *)request->route->data));
}

static void find_nothing(struct request *request)
{
    request_fail(request, HTTP_NOT_FOUND, "NotFound", "%s %.100s not found.", (const char *)request->route->data, request->parameters[0]);
}

static void not_supported(struct request *request)
{
    request_fail(request, HTTP_NOT_IMPLEMENTED, "ProviderNotImplementedError", "Provider '" PROVIDER "' does not support a requested action: %s.",
                 (const char *)request->route->data);
}

static void list_providers(struct request *request)
{
    request_respond(request, HTTP_OK, json_pack("{s[{ssss}]}", "providers", "name", PROVIDER, "description",
                                                "Served on every host, by the programs that switch and route there."));
}

static bool is_provider(struct request *request)
{
    if (streq(request_parameter(request, "provider"), PROVIDER))
        return true;
    request_fail(request, HTTP_BAD_REQUEST, "ProviderNotEnabledError", "Provider '%.64s' is not enabled.", request_parameter(request, "provider"));
    return false;
}

static void list_no_capabilities(struct request *request)
{
    if (is_provider(request))
        list_nothing(request);
}

/* There is nothing that could fail over: every host serves every VIP. */
static void failover(struct request *request)
{
    if (resource_find_or_fail(request))
        request_respond(request, HTTP_ACCEPTED, NULL);
}

/* ---- routes ---- */

#define LBAAS(root, collection, resource)                                                                                                   \
    {"GET", root collection, POLICY_PROJECT, resource_list, &resource, 0},                                                                  \
    {"POST", root collection, POLICY_WRITE, resource_create, &resource, 0},                                                                 \
    {"GET", root collection "/{id}", POLICY_PROJECT, resource_show, &resource, 0},                                                          \
    {"PUT", root collection "/{id}", POLICY_WRITE, resource_update, &resource, 0},                                                          \
    {"DELETE", root collection "/{id}", POLICY_WRITE, resource_delete, &resource, 0}

#define NONE_OF(root, collection, name, title)                                                                                              \
    {"GET", root collection, POLICY_PROJECT, list_nothing, name, 0},                                                                        \
    {"POST", root collection, POLICY_WRITE, not_supported, title, 0},                                                                       \
    {"GET", root collection "/{id}", POLICY_PROJECT, find_nothing, title, 0},                                                               \
    {"PUT", root collection "/{id}", POLICY_WRITE, find_nothing, title, 0},                                                                 \
    {"DELETE", root collection "/{id}", POLICY_WRITE, find_nothing, title, 0}

#define ROUTES(version)                                                                                                                     \
    {"GET", version, POLICY_PUBLIC, show_root, NULL, 0},                                                                                    \
    LBAAS(version "/lbaas/", "loadbalancers", load_balancer_resource),                                                                      \
    {"GET", version "/lbaas/loadbalancers/{id}/status", POLICY_PROJECT, load_balancer_show_status, &load_balancer_resource, 0},             \
    {"GET", version "/lbaas/loadbalancers/{id}/statuses", POLICY_PROJECT, load_balancer_show_status, &load_balancer_resource, 0},           \
    {"GET", version "/lbaas/loadbalancers/{id}/stats", POLICY_PROJECT, load_balancer_show_statistics, &load_balancer_resource, 0},          \
    {"PUT", version "/lbaas/loadbalancers/{id}/failover", POLICY_ADMIN, failover, &load_balancer_resource, 0},                              \
    LBAAS(version "/lbaas/", "listeners", listener_resource),                                                                               \
    {"GET", version "/lbaas/listeners/{id}/stats", POLICY_PROJECT, listener_show_statistics, &listener_resource, 0},                        \
    LBAAS(version "/lbaas/", "pools", pool_resource),                                                                                       \
    LBAAS(version "/lbaas/", "pools/{parent}/members", member_resource),                                                                    \
    {"PUT", version "/lbaas/pools/{parent}/members", POLICY_WRITE, member_batch, &member_resource, BATCH_BODY_SIZE},                        \
    LBAAS(version "/lbaas/", "healthmonitors", health_monitor_resource),                                                                    \
    {"GET", version "/lbaas/quotas", POLICY_PROJECT, quotas_list, &quota_load_balancing, 0},                                                \
    {"GET", version "/lbaas/quotas/defaults", POLICY_PROJECT, quotas_show_defaults, &quota_load_balancing, 0},                              \
    {"GET", version "/lbaas/quotas/{project}", POLICY_PROJECT, quotas_show, &quota_load_balancing, 0},                                      \
    {"GET", version "/lbaas/quotas/{project}/default", POLICY_PROJECT, quotas_show_default, &quota_load_balancing, 0},                      \
    {"PUT", version "/lbaas/quotas/{project}", POLICY_ADMIN, quotas_update, &quota_load_balancing, 0},                                      \
    {"DELETE", version "/lbaas/quotas/{project}", POLICY_ADMIN, quotas_delete, &quota_load_balancing, 0},                                   \
    {"GET", version "/lbaas/providers", POLICY_PROJECT, list_providers, NULL, 0},                                                           \
    {"GET", version "/lbaas/providers/{provider}/flavor_capabilities", POLICY_ADMIN, list_no_capabilities, "flavor_capabilities", 0},       \
    {"GET", version "/lbaas/providers/{provider}/availability_zone_capabilities", POLICY_ADMIN, list_no_capabilities,                       \
     "availability_zone_capabilities", 0},                                                                                                  \
    NONE_OF(version "/lbaas/", "flavors", "flavors", "Flavor"),                                                                             \
    NONE_OF(version "/lbaas/", "flavorprofiles", "flavorprofiles", "Flavor Profile"),                                                       \
    NONE_OF(version "/lbaas/", "availabilityzones", "availability_zones", "Availability Zone"),                                             \
    NONE_OF(version "/lbaas/", "availabilityzoneprofiles", "availability_zone_profiles", "Availability Zone Profile"),                      \
    NONE_OF(version "/lbaas/", "l7policies", "l7policies", "L7Policy"),                                                                     \
    NONE_OF(version "/octavia/", "amphorae", "amphorae", "Amphora"),                                                                        \
    {"GET", version "/octavia/amphorae/{id}/stats", POLICY_PROJECT, find_nothing, "Amphora", 0},                                            \
    {"PUT", version "/octavia/amphorae/{id}/config", POLICY_WRITE, find_nothing, "Amphora", 0},                                             \
    {"PUT", version "/octavia/amphorae/{id}/failover", POLICY_WRITE, find_nothing, "Amphora", 0}

static const struct route routes[] = {
    {"GET", "/load-balancer", POLICY_PUBLIC, show_versions, NULL, 0},
    ROUTES("/load-balancer/v2.0"),
    ROUTES("/load-balancer/v2"),
};

/* ---- the writer of rows ---- */

static void write_rows(uv_timer_t *timer);

static void write_rows_soon(struct balancing *balancing)
{
    bool is_dirty = balance_writer_is_dirty(balancing->writer);
    uint64_t wait_ms = is_dirty ? 0 : balance_writer_wait_ms(balancing->writer, clock_monotonic_ms());

    if (uv_is_active((uv_handle_t *)&balancing->rows_timer) && !(balancing->is_waiting && is_dirty))
        return;
    balancing->is_waiting = !is_dirty;
    if (wait_ms != BALANCE_NEVER)
        uv_timer_start(&balancing->rows_timer, write_rows, MAX(wait_ms, balancing->rows_delay_ms), 0);
}

static uint64_t delay_after(uint64_t start_ns)
{
    return MAX((clock_monotonic_ns() - start_ns) / 1000000 * ROWS_MAX_SHARE, (uint64_t)ROWS_DELAY_MS);
}

static void write_rows(uv_timer_t *timer)
{
    struct balancing *balancing = timer->data;
    uint64_t start_ns = clock_monotonic_ns();

    balance_writer_pass(balancing->writer, clock_monotonic_ms(), clock_realtime_s());
    balancing->rows_delay_ms = delay_after(start_ns);
    write_rows_soon(balancing);
}

static void divide(uv_timer_t *timer)
{
    struct balancing *balancing = timer->data;
    uint64_t start_ns = clock_monotonic_ns();
    bool is_more = listener_shares_pass(balancing->shares, clock_monotonic_ms(), clock_realtime_s());

    balancing->shares_delay_ms = delay_after(start_ns);
    if (is_more)
        uv_timer_start(timer, divide, balancing->shares_delay_ms, 0);
}

static void divide_soon(struct balancing *balancing)
{
    if (listener_shares_is_dirty(balancing->shares) && !uv_is_active((uv_handle_t *)&balancing->shares_timer))
        uv_timer_start(&balancing->shares_timer, divide, balancing->shares_delay_ms, 0);
}

static void age(uv_timer_t *timer)
{
    struct balancing *balancing = timer->data;

    balance_writer_age(balancing->writer, clock_monotonic_ms());
    divide_soon(balancing); /* What could not be written. */
    write_rows_soon(balancing);
}

static void changed(const struct replica_change *change, void *context)
{
    struct balancing *balancing = context;

    if (change->kind == RESOURCE_LISTENER && !change->after)
        statistics_forget(balancing->statistics, change->before->id);
    else if (change->kind == RESOURCE_HOST && !change->after && change->before->name)
        statistics_host_gone(balancing->statistics, change->before->name);
}

static void committed(uint64_t revision, void *context)
{
    write_rows_soon(context);
}

void balancing_take_statistics(struct balancing *balancing, const char *host_name, uint64_t applied_revision, const json_t *listeners,
                               listener_concerns_fn concerns, void *context)
{
    listener_shares_report(balancing->shares, host_name, applied_revision, listeners, concerns, context, clock_monotonic_ms());
    divide_soon(balancing);
    statistics_take(balancing->statistics, host_name, listeners, concerns, context);
}

int balancing_new(struct api *api, const struct balancing_options *options, struct balancing **ret_balancing)
{
    _cleanup_(balancing_freep) struct balancing *balancing = calloc(1, sizeof(*balancing));
    int r;

    if (!balancing)
        return -ENOMEM;
    balancing->api = api;
    balancing->rows_delay_ms = balancing->shares_delay_ms = ROWS_DELAY_MS;
    if ((r = balance_writer_new(api->replica, api->commits, options->drain_s, &balancing->writer)) < 0 ||
        (r = listener_shares_new(api->replica, api->commits, &balancing->shares)) < 0 || (r = statistics_new(api->replica, &balancing->statistics)) < 0 ||
        (r = routes_add(api->service.routes, routes, ARRAY_SIZE(routes))) < 0)
        return r;
    balancing->listener = (struct replica_listener){.change = changed, .commit = committed, .context = balancing};
    replica_listen(api->replica, &balancing->listener);
    uv_timer_init(api->loop, &balancing->rows_timer);
    balancing->rows_timer.data = balancing;
    uv_unref((uv_handle_t *)&balancing->rows_timer);
    uv_timer_init(api->loop, &balancing->shares_timer);
    balancing->shares_timer.data = balancing;
    uv_unref((uv_handle_t *)&balancing->shares_timer);
    uv_timer_init(api->loop, &balancing->age_timer);
    balancing->age_timer.data = balancing;
    uv_timer_start(&balancing->age_timer, age, AGE_INTERVAL_MS, AGE_INTERVAL_MS);
    uv_unref((uv_handle_t *)&balancing->age_timer);
    *ret_balancing = TAKE_PTR(balancing);
    return 0;
}

void balancing_stop(struct balancing *balancing)
{
    if (!balancing || uv_is_closing((uv_handle_t *)&balancing->age_timer))
        return;
    uv_close((uv_handle_t *)&balancing->age_timer, NULL);
    uv_close((uv_handle_t *)&balancing->rows_timer, NULL);
    uv_close((uv_handle_t *)&balancing->shares_timer, NULL);
}

void balancing_free(struct balancing *balancing)
{
    if (!balancing)
        return;
    balance_writer_free(balancing->writer);
    listener_shares_free(balancing->shares);
    statistics_free(balancing->statistics);
    free(balancing);
}
