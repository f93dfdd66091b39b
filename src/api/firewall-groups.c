/* Firewall groups: ports of routers, and the policies that hold there.
 *
 * Its ports are interfaces of routers, as with Neutron's router driver; administrators may also take a router's gateway port. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/firewall.h"
#include "weft/api/hosts.h"
#include "weft/api/logging.h"
#include "weft/base/util.h"
#include "weft/model/resources.h"

#define CONFLICT(type, field, ...) error_set_type(change->error, -EBUSY, type, field, __VA_ARGS__)
#define COMPUTE_OWNER "compute:"

static const struct firewall_group *of(const struct object *object)
{
    return (const struct firewall_group *)object;
}

static int write_status(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return json_write_string(buffer, hosts_leave_out(request_api(request)->hosts, object->id) ? "ERROR" : firewall_group_status(of(object)));
}

static const struct computed computed[] = {
    {.name = "status", .filter = true, .write = write_status},
    {.name = NULL},
};

static const struct replica_member *by_name(const struct replica *replica, const char *value)
{
    return replica_by_name(replica, RESOURCE_FIREWALL_GROUP, value);
}

static const struct indexed_filter indexed_filters[] = {
    {"name", by_name},
    {NULL, NULL},
};

static bool has_port(const struct firewall_group *group, const char *id)
{
    for (size_t i = 0; group && i < group->n_ports; i++)
        if (streq(group->ports[i].id, id))
            return true;
    return false;
}

static bool has_one_of(const struct object *object, const char *const *values, size_t n_values)
{
    for (size_t i = 0; i < n_values; i++)
        if (has_port(of(object), values[i]))
            return true;
    return false;
}

static int any_value(const char *value, struct error *error)
{
    return 0;
}

static const struct special_filter special_filters[] = {
    {"ports", any_value, has_one_of},
    {NULL, NULL, NULL},
};

static bool is_visible(const struct request *request, const struct object *object)
{
    return of(object)->shared;
}

static void each_visible(const struct request *request, void (*visit)(const struct object *object, void *context), void *context)
{
    const struct replica *replica = request_api(request)->replica;

    REPLICA_FOREACH (group, replica_by_project(replica, RESOURCE_FIREWALL_GROUP, request_auth(request)->project_id))
        visit(group->object, context);
    REPLICA_FOREACH (group, replica_shared(replica, RESOURCE_FIREWALL_GROUP))
        visit(group->object, context);
}

/* ---- policies ---- */

static const char *policy_key(const char *policy_id, const char *group_id, char key[FIREWALL_KEY_SIZE])
{
    snprintf(key, FIREWALL_KEY_SIZE, "firewall/policy/%s/%s", policy_id, group_id);
    return key;
}

void firewall_policy_use(struct plan *plan, const char *policy_id, const char *group_id)
{
    char key[FIREWALL_KEY_SIZE];

    plan_put(plan, policy_key(policy_id, group_id, key), "");
}

static bool uses(const struct firewall_group *group, const char *policy_id)
{
    return group && (streq(group->ingress_policy_id, policy_id) || streq(group->egress_policy_id, policy_id));
}

static int check_policy(struct change *change, const char *field, const char *id)
{
    const struct firewall_policy *policy;

    if (!*id)
        return 0;
    policy = (const struct firewall_policy *)resource_find(&firewall_policy_resource, change->request, id, change->error);
    if (!policy)
        return -ENOENT;
    plan_guard(change->plan, &policy->object);
    if (policy->shared || streq(policy->object.project_id, change->after->project_id))
        return 0;
    return error_set_type(change->error, -ENOENT, "FirewallPolicyConflict", field,
                          "Operation cannot be performed since firewall policy %s for your project could not be found. Please confirm if the "
                          "firewall policy exists and is shared.", id);
}

static int check_policies(struct change *change)
{
    const struct firewall_group *before = change->before ? of(change->before) : NULL, *after = of(change->after);
    const char *ids[] = {after->ingress_policy_id, after->egress_policy_id};
    const char *old[] = {before ? before->ingress_policy_id : "", before ? before->egress_policy_id : ""};
    char key[FIREWALL_KEY_SIZE];
    int r = check_policy(change, "ingress_firewall_policy_id", ids[0]);

    if (r == 0)
        r = check_policy(change, "egress_firewall_policy_id", ids[1]);
    for (size_t i = 0; i < ARRAY_SIZE(ids) && r == 0; i++) {
        bool is_first = i == 0 || !streq(ids[0], ids[1]), was_first = i == 0 || !streq(old[0], old[1]);

        if (*ids[i] && is_first && !uses(before, ids[i]))
            firewall_policy_use(change->plan, ids[i], after->object.id);
        if (*old[i] && was_first && !uses(after, old[i]))
            plan_remove(change->plan, policy_key(old[i], after->object.id, key));
    }
    return r;
}

/* ---- ports ---- */

static const char *port_key(const char *port_id, char key[FIREWALL_KEY_SIZE])
{
    snprintf(key, FIREWALL_KEY_SIZE, "firewall/port/%s", port_id);
    return key;
}

/* A port that it did not have. */
static int add_port(struct change *change, const char *id)
{
    const struct port *port = (const struct port *)resource_find(&port_resource, change->request, id, change->error);
    const struct replica_member *other = replica_find(request_api(change->request)->replica, REPLICA_FIREWALL_GROUPS_BY_PORT, id);
    enum router_port_kind kind = port ? router_port_kind(port) : ROUTER_PORT_NONE;
    char key[FIREWALL_KEY_SIZE];

    if (!port)
        return -ENOENT;
    if (kind == ROUTER_PORT_NONE && port->device_owner && strncmp(port->device_owner, COMPUTE_OWNER, strlen(COMPUTE_OWNER)) == 0)
        return CONFLICT("FirewallGroupPortNotSupported", "ports",
                        "Port %s is not supported by firewall driver 'weft': it is a workload's, whose firewall is its security groups.", id);
    if (kind == ROUTER_PORT_NONE || (kind == ROUTER_PORT_GATEWAY && !request_auth(change->request)->is_admin))
        return CONFLICT("FirewallGroupPortInvalid", "ports", "Port %s of firewall group is invalid.", id);
    if (kind == ROUTER_PORT_INTERFACE && !streq(port->object.project_id, change->after->project_id))
        return CONFLICT("FirewallGroupPortInvalidProject", "ports",
                        "Operation cannot be performed as port %s is in an invalid project %s.", id, port->object.project_id);
    if (other || plan_claims(change->plan, port_key(id, key)))
        return CONFLICT("FirewallGroupPortInUse", "ports", "Port(s) ['%s'] provided already associated with other firewall group(s).", id);
    plan_guard(change->plan, &port->object);
    plan_claim(change->plan, port_key(id, key), change->after->id);
    return 0;
}

static int check_ports(struct change *change)
{
    const struct firewall_group *before = change->before ? of(change->before) : NULL, *after = of(change->after);
    char key[FIREWALL_KEY_SIZE];
    int r = 0;

    for (size_t i = 0; i < after->n_ports && r == 0; i++)
        if (!has_port(before, after->ports[i].id))
            r = add_port(change, after->ports[i].id);
    for (size_t i = 0; before && i < before->n_ports && r == 0; i++)
        if (!has_port(after, before->ports[i].id))
            plan_remove(change->plan, port_key(before->ports[i].id, key));
    return r;
}

void firewall_of_deleted_port(struct plan *plan, const struct port *port)
{
    const struct replica *replica = request_api(plan_request(plan))->replica;
    const struct replica_member *member = replica_find(replica, REPLICA_FIREWALL_GROUPS_BY_PORT, port->object.id);
    char key[FIREWALL_KEY_SIZE];
    struct firewall_group *group;
    size_t kept = 0;

    if (router_port_kind(port) == ROUTER_PORT_NONE && !member)
        return;
    if (!member) { /* Nor does anybody take it in now. */
        plan_require_absent(plan, port_key(port->object.id, key));
        return;
    }
    plan_remove(plan, port_key(port->object.id, key));
    if (!(group = (struct firewall_group *)plan_edit(plan, member->object)))
        return;
    for (size_t i = 0; i < group->n_ports; i++)
        if (!streq(group->ports[i].id, port->object.id))
            group->ports[kept++] = group->ports[i];
    group->n_ports = kept;
}

/* ---- hooks ---- */

static bool is_default_name(const struct object *object)
{
    return object->name && streq(object->name, FIREWALL_DEFAULT_GROUP);
}

static int create(struct change *change)
{
    int r;

    if (is_default_name(change->after))
        return CONFLICT("FirewallDefaultParameterExists", "name",
                        "Operation cannot be performed since '%s' is a reserved name for Firewall Group.", change->after->name);
    if ((r = check_policies(change)) < 0 || (r = check_ports(change)) < 0)
        return r;
    return firewall_make_default(change->plan, change->request, change->after->project_id);
}

/* Of a default group only its ports are its project's to choose, and its name is nobody's. */
static int check_default(struct change *change)
{
    static const char *const fixed[] = {"name", "description", "admin_state_up", "ingress_firewall_policy_id", "egress_firewall_policy_id"};
    size_t n = request_auth(change->request)->is_admin ? 1 : ARRAY_SIZE(fixed);

    for (size_t i = 0; of(change->before)->is_default && i < n; i++)
        if (change_gives(change, fixed[i]))
            return CONFLICT("FirewallDefaultObjectUpdateRestricted", fixed[i],
                            "Operation cannot be performed on default object '%s' of type Firewall Group.", change->before->id);
    if (!of(change->before)->is_default && change_gives(change, "name") && is_default_name(change->after))
        return CONFLICT("FirewallDefaultParameterExists", "name",
                        "Operation cannot be performed since '%s' is a reserved name for Firewall Group.", change->after->name);
    return 0;
}

static int update(struct change *change)
{
    int r = check_default(change);

    if (r == 0)
        r = check_policies(change);
    return r == 0 ? check_ports(change) : r;
}

/* With a default group go its policies and their rules, unless somebody else uses them by now. */
static int delete_default(struct change *change)
{
    const struct replica *replica = request_api(change->request)->replica;
    const char *ids[] = {of(change->before)->ingress_policy_id, of(change->before)->egress_policy_id};
    char key[FIREWALL_KEY_SIZE];

    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        const struct firewall_policy *policy = (const struct firewall_policy *)replica_get(replica, RESOURCE_FIREWALL_POLICY, ids[i]);
        char *self[] = {(char *)change->before->id};

        if (!policy || !streq(policy->object.project_id, change->before->project_id) || !policy->object.name ||
            !streq(policy->object.name, i ? FIREWALL_DEFAULT_EGRESS : FIREWALL_DEFAULT_INGRESS) ||
            replica_count(replica, REPLICA_FIREWALL_GROUPS_BY_POLICY, ids[i]) > 1)
            continue;
        snprintf(key, sizeof(key), "firewall/policy/%s/", ids[i]);
        plan_require_only(change->plan, key, self, 1);
        for (size_t k = 0; k < policy->n_rules; k++) {
            const struct object *rule = replica_get(replica, RESOURCE_FIREWALL_RULE, policy->rules[k].id);
            int r;

            /* A shared rule of another project is not this one's to delete. */
            if (!rule || !streq(rule->project_id, change->before->project_id) || replica_count(replica, REPLICA_FIREWALL_POLICIES_BY_RULE, rule->id) > 1)
                continue;
            if ((r = firewall_require_known_policies(change->plan, replica, rule->id)) < 0)
                return r;
            plan_delete(change->plan, rule);
        }
        firewall_policy_plan_delete(change->plan, policy);
    }
    plan_remove(change->plan, firewall_default_key(change->before->project_id, key));
    return 0;
}

static int delete_group(struct change *change)
{
    const struct firewall_group *group = of(change->before);
    char key[FIREWALL_KEY_SIZE];
    int r;

    if (group->n_ports > 0)
        return CONFLICT("FirewallGroupInUse", NULL, "Firewall group %s is still active.", group->object.id);
    if (group->is_default && !request_auth(change->request)->is_admin)
        return CONFLICT("FirewallGroupCannotRemoveDefault", NULL, "Deleting default firewall group not allowed.");
    if ((r = logs_of_deleted_group(change->plan, group->object.id)) < 0)
        return r;
    if (group->is_default && (r = delete_default(change)) < 0)
        return r;
    if (group->ingress_policy_id[0])
        plan_remove(change->plan, policy_key(group->ingress_policy_id, group->object.id, key));
    if (group->egress_policy_id[0] && !streq(group->egress_policy_id, group->ingress_policy_id))
        plan_remove(change->plan, policy_key(group->egress_policy_id, group->object.id, key));
    return 0;
}

const struct resource firewall_group_resource = {
    .schema = &firewall_group_schema,
    .computed = computed,
    .special_filters = special_filters,
    .indexed_filters = indexed_filters,
    .not_found = "FirewallGroupNotFound",
    .title = "Firewall group",
    .is_visible = is_visible,
    .each_visible = each_visible,
    .create = create,
    .update = update,
    .delete = delete_group,
};
