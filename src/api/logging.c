#include "weft/api/logging.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/security.h"
#include "weft/base/util.h"
#include "weft/model/resources.h"

#define LOG_KEY_SIZE 100
#define REFUSE(code, type, ...) error_set_type(change->error, code, type, NULL, __VA_ARGS__)

static const struct computed computed[] = {{.name = NULL}};

static const struct replica_member *by_name(const struct replica *replica, const char *value)
{
    return replica_by_name(replica, RESOURCE_LOG, value);
}

static const struct replica_member *by_resource(const struct replica *replica, const char *value)
{
    return replica_find(replica, REPLICA_LOGS_BY_RESOURCE, value);
}

static const struct replica_member *by_target(const struct replica *replica, const char *value)
{
    return replica_find(replica, REPLICA_LOGS_BY_TARGET, value);
}

static const struct indexed_filter indexed_filters[] = {
    {"name", by_name},
    {"resource_id", by_resource},
    {"target_id", by_target},
    {NULL, NULL},
};

/* ---- what can be logged ---- */

static bool is_in_group(const struct port *port, const char *group_id)
{
    for (size_t i = 0; i < port->n_security_groups; i++)
        if (streq(port->security_groups[i].id, group_id))
            return true;
    return false;
}

static int check_security_group(struct change *change, const struct network_log *log)
{
    const struct replica *replica = request_api(change->request)->replica;
    const struct object *group = log->resource_id[0] ? replica_get(replica, RESOURCE_SECURITY_GROUP, log->resource_id) : NULL;
    const struct port *port = log->target_id[0] ? replica_port(replica, log->target_id) : NULL;

    if (log->resource_id[0] && !group)
        return REFUSE(-ENOENT, "ResourceNotFound", "Resource %s could not be found.", log->resource_id);
    if (log->target_id[0] && !port)
        return REFUSE(-ENOENT, "TargetResourceNotFound", "Target resource %s could not be found.", log->target_id);
    if (port && port_serves_network(port)) /* It is in no group, whatever it sends. */
        return REFUSE(-EBUSY, "LoggingTypeNotSupported", "Logging type %s is not supported on port %s.", log->resource_type, log->target_id);
    if (group && port && !is_in_group(port, log->resource_id))
        return REFUSE(-EINVAL, "InvalidResourceConstraint",
                      "Invalid resource constraint between resource (%s %s) and target resource (port %s).", log->resource_type,
                      log->resource_id, log->target_id);
    if (group)
        plan_guard(change->plan, group);
    if (port)
        plan_guard(change->plan, &port->object);
    return 0;
}

static bool is_at(const struct firewall_group *group, const char *port_id)
{
    for (size_t i = 0; i < group->n_ports; i++)
        if (streq(group->ports[i].id, port_id))
            return true;
    return false;
}

static int check_firewall_group(struct change *change, const struct network_log *log)
{
    const struct replica *replica = request_api(change->request)->replica;
    const struct object *group = log->resource_id[0] ? replica_get(replica, RESOURCE_FIREWALL_GROUP, log->resource_id) : NULL;
    const struct port *port = log->target_id[0] ? replica_port(replica, log->target_id) : NULL;

    if (log->resource_id[0] && !group)
        return REFUSE(-ENOENT, "ResourceNotFound", "Resource %s could not be found.", log->resource_id);
    if (log->target_id[0] && !port)
        return REFUSE(-ENOENT, "TargetResourceNotFound", "Target resource %s could not be found.", log->target_id);
    if (port && router_port_kind(port) == ROUTER_PORT_NONE) /* Firewalls hold at routers. */
        return REFUSE(-EBUSY, "LoggingTypeNotSupported", "Logging type %s is not supported on port %s.", log->resource_type, log->target_id);
    if (group && port && !is_at((const struct firewall_group *)group, log->target_id))
        return REFUSE(-EINVAL, "InvalidResourceConstraint",
                      "Invalid resource constraint between resource (%s %s) and target resource (port %s).", log->resource_type,
                      log->resource_id, log->target_id);
    if (group)
        plan_guard(change->plan, group);
    if (port)
        plan_guard(change->plan, &port->object);
    return 0;
}

/* Of each type: what its logs may name. */
static const struct type {
    const char *name;
    int (*check)(struct change *change, const struct network_log *log);
} types[] = {
    {LOG_FIREWALL_GROUP, check_firewall_group},
    {LOG_SECURITY_GROUP, check_security_group},
};

void loggable_resources_list(struct request *request)
{
    json_t *list = json_array();

    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        json_array_append_new(list, json_pack("{ss}", "type", types[i].name));
    request_respond(request, HTTP_OK, json_pack("{so}", "loggable_resources", list));
}

/* ---- keys ---- */

static const char *resource_key(const struct network_log *log, char key[LOG_KEY_SIZE])
{
    snprintf(key, LOG_KEY_SIZE, "log/resource/%s/%s", log->resource_id, log->object.id);
    return key;
}

static const char *target_key(const struct network_log *log, char key[LOG_KEY_SIZE])
{
    snprintf(key, LOG_KEY_SIZE, "log/target/%s/%s", log->target_id, log->object.id);
    return key;
}

static void remove_keys(struct plan *plan, const struct network_log *log)
{
    char key[LOG_KEY_SIZE];

    if (log->resource_id[0])
        plan_remove(plan, resource_key(log, key));
    if (log->target_id[0])
        plan_remove(plan, target_key(log, key));
}

/* A log may name a port and a group that both go in this plan. */
static int delete_logs(struct plan *plan, enum replica_property property, const char *path, const char *id)
{
    const struct replica *replica = request_api(plan_request(plan))->replica;
    _cleanup_(freep) char **endings = calloc(replica_count(replica, property, id) + 1, sizeof *endings);
    char prefix[LOG_KEY_SIZE];
    size_t n = 0;

    if (!endings)
        return -ENOMEM;
    REPLICA_FOREACH (member, replica_find(replica, property, id))
        endings[n++] = (char *)member->object->id;
    snprintf(prefix, sizeof prefix, "log/%s/%s/", path, id);
    plan_require_only(plan, prefix, endings, n);
    REPLICA_FOREACH (member, replica_find(replica, property, id)) {
        if (!plan_current(plan, member->object))
            continue;
        remove_keys(plan, (const struct network_log *)member->object);
        plan_delete(plan, member->object);
    }
    return 0;
}

int logs_of_deleted_group(struct plan *plan, const char *group_id)
{
    return delete_logs(plan, REPLICA_LOGS_BY_RESOURCE, "resource", group_id);
}

void logs_of_deleted_port(struct plan *plan, const char *port_id)
{
    if (delete_logs(plan, REPLICA_LOGS_BY_TARGET, "target", port_id) < 0)
        plan_fail(plan, -ENOMEM);
}

/* ---- hooks ---- */

static int create(struct change *change)
{
    const struct network_log *log = (const struct network_log *)change->after;
    const struct type *type = NULL;
    char key[LOG_KEY_SIZE];
    int r;

    for (size_t i = 0; i < ARRAY_SIZE(types) && log->resource_type; i++)
        if (streq(types[i].name, log->resource_type))
            type = &types[i];
    if (!type)
        return REFUSE(-EINVAL, "InvalidLogResourceType", "Invalid log resource_type: %s.", log->resource_type ? log->resource_type : "");
    if ((r = type->check(change, log)) < 0)
        return r;
    if (log->resource_id[0])
        plan_put(change->plan, resource_key(log, key), "");
    if (log->target_id[0])
        plan_put(change->plan, target_key(log, key), "");
    return 0;
}

static int update(struct change *change)
{
    return 0;
}

static int delete_log(struct change *change)
{
    remove_keys(change->plan, (const struct network_log *)change->before);
    return 0;
}

const struct resource network_log_resource = {
    .schema = &network_log_schema,
    .computed = computed,
    .indexed_filters = indexed_filters,
    .not_found = "LogResourceNotFound",
    .title = "Log resource",
    .create = create,
    .update = update,
    .delete = delete_log,
};
