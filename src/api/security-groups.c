/* Security groups.  A project's default group is made when it is first needed: by a list, a port, another group. */
#include "weft/api/logging.h"
#include "weft/api/security.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "weft/base/util.h"
#include "weft/base/uuid.h"
#include "weft/model/resources.h"

#define DEFAULT_NAME "default"
#define IN_USE(...) error_set_type(change->error, -EBUSY, "SecurityGroupInUse", NULL, __VA_ARGS__)

static int compare_age(const void *a, const void *b)
{
    const struct object *x = *(const struct object *const *)a, *y = *(const struct object *const *)b;

    if (x->created_at_s != y->created_at_s)
        return x->created_at_s < y->created_at_s ? -1 : 1;
    return strcmp(x->id, y->id);
}

/* The oldest first. */
static int write_rules(const struct request *request, const struct object *object, struct buffer *buffer)
{
    const struct replica *replica = request_api(request)->replica;
    size_t n = replica_count(replica, REPLICA_RULES_BY_GROUP, object->id), i = 0;
    _cleanup_(freep) const struct object **rules = calloc(n + 1, sizeof *rules);
    bool bad = !rules || buffer_append(buffer, "[", 1);
    struct view view;

    if (bad)
        return -ENOMEM;
    REPLICA_FOREACH (member, replica_rules_by_group(replica, object->id))
        rules[i++] = member->object;
    qsort(rules, n, sizeof *rules, compare_age);
    view_prepare_whole(&view, &security_group_rule_resource, request);
    for (i = 0; i < n && !bad; i++)
        bad = (i > 0 && buffer_append(buffer, ",", 1)) || view_write(&view, &security_group_rule_resource, request, rules[i], buffer);
    return bad || buffer_append(buffer, "]", 1) ? -ENOMEM : 0;
}

static const struct computed computed[] = {
    {.name = "security_group_rules", .write = write_rules},
    {.name = NULL},
};

static const struct replica_member *by_name(const struct replica *replica, const char *value)
{
    return replica_by_name(replica, RESOURCE_SECURITY_GROUP, value);
}

static const struct indexed_filter indexed_filters[] = {
    {"name", by_name},
    {NULL, NULL},
};

static void each_visible(const struct request *request, void (*visit)(const struct object *object, void *context), void *context)
{
    REPLICA_FOREACH (group, replica_by_project(request_api(request)->replica, RESOURCE_SECURITY_GROUP, request_auth(request)->project_id))
        visit(group->object, context);
}

const struct security_group *security_find_group(struct request *request, struct plan *plan, const char *id, struct error *error)
{
    const struct object *object = replica_get(request_api(request)->replica, RESOURCE_SECURITY_GROUP, id);

    for (const struct object *created = NULL; !object && (created = plan_implied(plan, RESOURCE_SECURITY_GROUP, created));)
        if (streq(created->id, id))
            object = created;
    if (object && resource_is_visible(&security_group_resource, request, object))
        return (const struct security_group *)object;
    error_set_type(error, -ENOENT, "SecurityGroupNotFound", NULL, "Security group %.100s does not exist", id);
    return NULL;
}

/* ---- the rules of a new group ---- */

struct new_group {
    struct plan *plan;
    const struct security_group *group;
};

static int copy_text(char **to, const char *from)
{
    *to = from ? strdup(from) : NULL;
    return from && !*to ? -ENOMEM : 0;
}

static struct security_group_rule *rule_of_template(const struct security_group *group, const struct security_group_rule *template)
{
    struct object *object = object_new(RESOURCE_SECURITY_GROUP_RULE);
    struct security_group_rule *rule = (struct security_group_rule *)object;

    if (!rule)
        return NULL;
    uuid_generate(object->id);
    string_copy(object->project_id, sizeof object->project_id, group->object.project_id);
    string_copy(rule->security_group_id, sizeof rule->security_group_id, group->object.id);
    rule->direction = template->direction;
    rule->ip_version = template->ip_version;
    rule->has_port_min = template->has_port_min;
    rule->port_min = template->port_min;
    rule->has_port_max = template->has_port_max;
    rule->port_max = template->port_max;
    rule->has_remote_prefix = template->has_remote_prefix;
    rule->remote_prefix = template->remote_prefix;
    rule->remote_address = template->remote_address;
    string_copy(rule->remote_group_id, sizeof rule->remote_group_id,
                streq(template->remote_group_id, DEFAULT_RULE_PARENT) ? group->object.id : template->remote_group_id);
    string_copy(rule->remote_address_group_id, sizeof rule->remote_address_group_id, template->remote_address_group_id);
    if (copy_text(&rule->protocol, template->protocol) < 0 || copy_text(&object->description, template->object.description) < 0) {
        object_free(object);
        return NULL;
    }
    return rule;
}

static int add_rule(const struct default_rule *template, void *context)
{
    struct new_group *new_group = context;
    struct security_group_rule *rule = rule_of_template(new_group->group, &template->rule);
    char key[SECURITY_KEY_SIZE];
    int r;

    if (!rule)
        return -ENOMEM;
    if (template->rule.object.id[0]) /* While it is there, so is the group that it names. */
        plan_guard(new_group->plan, &template->rule.object);
    if (plan_claims(new_group->plan, security_rule_key(rule, key))) { /* Two templates say the same. */
        object_free(&rule->object);
        return 0;
    }
    r = plan_create_implied(new_group->plan, &rule->object);
    if (r < 0)
        return r;
    security_rule_claim(new_group->plan, rule);
    r = plan_reserve_quota(new_group->plan, &rule->object);
    return r == -ENOSPC && new_group->group->is_default ? 0 : r;
}

static int add_rules(struct plan *plan, struct request *request, const struct security_group *group)
{
    struct new_group new_group = {.plan = plan, .group = group};

    return security_each_template(request, group->is_default, add_rule, &new_group);
}

/* ---- the default group ---- */

static const char *default_key(const char *project_id, char key[SECURITY_KEY_SIZE])
{
    snprintf(key, SECURITY_KEY_SIZE, "security-group/default/%s", project_id);
    return key;
}

static const struct security_group *default_of(const struct request *request, const struct plan *plan, const char *project_id)
{
    const struct replica_member *member = replica_find(request_api(request)->replica, REPLICA_DEFAULT_GROUP, project_id);

    if (member)
        return (const struct security_group *)member->object;
    for (const struct object *object = NULL; plan && (object = plan_implied(plan, RESOURCE_SECURITY_GROUP, object));)
        if (streq(object->project_id, project_id))
            return (const struct security_group *)object;
    return NULL;
}

int security_default_group(struct plan *plan, struct request *request, const char *project_id, const struct security_group **ret_group)
{
    struct security_group *group;
    char key[SECURITY_KEY_SIZE];
    int r;

    *ret_group = default_of(request, plan, project_id);
    if (*ret_group || !*project_id)
        return 0;
    group = (struct security_group *)object_new(RESOURCE_SECURITY_GROUP);
    if (!group)
        return -ENOMEM;
    uuid_generate(group->object.id);
    string_copy(group->object.project_id, sizeof group->object.project_id, project_id);
    group->is_default = true;
    group->stateful = security_default_statefulness(request, project_id);
    if (copy_text(&group->object.name, DEFAULT_NAME) < 0 || copy_text(&group->object.description, "Default security group") < 0) {
        object_free(&group->object);
        return -ENOMEM;
    }
    if ((r = plan_create_implied(plan, &group->object)) < 0)
        return r;
    plan_claim(plan, default_key(project_id, key), group->object.id);
    if ((r = plan_reserve_quota(plan, &group->object)) < 0 && r != -ENOSPC)
        return r;
    if ((r = add_rules(plan, request, group)) < 0)
        return r;
    *ret_group = group;
    return 0;
}

static void made_default(struct plan *plan, struct request *request)
{
    resource_list(request);
}

void security_list(struct request *request)
{
    const char *project_id = listed_project(request);
    const struct security_group *group;
    struct plan *plan;

    if (!project_id || default_of(request, NULL, project_id)) {
        resource_list(request);
        return;
    }
    plan = plan_new(request, request_api(request)->networking);
    if (!plan || security_default_group(plan, request, project_id, &group) < 0)
        request_fail(request, HTTP_UNAVAILABLE, NULL, "Out of memory.");
    else
        plan_commit(plan, made_default);
}

/* ---- hooks ---- */

static bool is_default_name(const struct object *object)
{
    return object->name && strcasecmp(object->name, DEFAULT_NAME) == 0;
}

static int create(struct change *change)
{
    struct security_group *group = (struct security_group *)change->after;
    const struct security_group *ignored;
    int r;

    if (is_default_name(change->after))
        return error_set_type(change->error, -EEXIST, "SecurityGroupDefaultAlreadyExists", "name", "Default security group already exists.");
    if (!change_gives(change, "stateful"))
        group->stateful = security_default_statefulness(change->request, group->object.project_id);
    if ((r = security_default_group(change->plan, change->request, group->object.project_id, &ignored)) < 0)
        return r;
    r = add_rules(change->plan, change->request, group);
    if (r == -ENOSPC)
        return error_set_type(change->error, -EBUSY, "OverQuota", NULL, "Quota exceeded for resources: ['security_group_rule'].");
    return r;
}

static void require_no_ports(struct plan *plan, const char *group_id)
{
    char prefix[SECURITY_KEY_SIZE];

    snprintf(prefix, sizeof prefix, "security-group/port/%s/", group_id);
    plan_require_only(plan, prefix, NULL, 0);
}

static int update(struct change *change)
{
    const struct security_group *before = (const struct security_group *)change->before, *after = (struct security_group *)change->after;
    const struct replica_member *port = replica_ports_by_security_group(request_api(change->request)->replica, before->object.id);

    if (change_gives(change, "name") && before->is_default)
        return error_set_type(change->error, -EBUSY, "SecurityGroupCannotUpdateDefault", "name",
                              "Updating default security group not allowed.");
    if (change_gives(change, "name") && is_default_name(change->after))
        return error_set_type(change->error, -EEXIST, "SecurityGroupDefaultAlreadyExists", "name", "Default security group already exists.");
    if (before->stateful == after->stateful)
        return 0;
    if (port)
        return IN_USE("Security Group %s in use: stateful cannot change while a port such as %s is in it.", before->object.id,
                      port->object->id);
    require_no_ports(change->plan, before->object.id);
    return 0;
}

/* A rule of another group, or a template, that names the group as the other side. */
static const struct object *refers_to(const struct replica *replica, const char *group_id)
{
    const struct replica_member *template = replica_find(replica, REPLICA_DEFAULT_RULES_BY_REMOTE_GROUP, group_id);

    REPLICA_FOREACH (member, replica_find(replica, REPLICA_RULES_BY_REMOTE_GROUP, group_id))
        if (!streq(((const struct security_group_rule *)member->object)->security_group_id, group_id))
            return member->object;
    return template ? template->object : NULL;
}

/* Nobody added a rule, or referred to the group, since the rules were looked at. */
static int require_own_rules_only(struct plan *plan, const struct replica *replica, const char *group_id)
{
    size_t n = replica_count(replica, REPLICA_RULES_BY_GROUP, group_id), i = 0, n_remote = 0, prefix_size;
    char(*keys)[SECURITY_KEY_SIZE] = calloc(n + 1, sizeof *keys), **endings = calloc(n + 1, sizeof *endings);
    char **remote = calloc(n + 1, sizeof *remote), prefix[SECURITY_KEY_SIZE];
    int r = -ENOMEM;

    if (keys && endings && remote) {
        prefix_size = snprintf(prefix, sizeof prefix, "security-group/rule/%s/", group_id);
        REPLICA_FOREACH (member, replica_rules_by_group(replica, group_id)) {
            const struct security_group_rule *rule = (const struct security_group_rule *)member->object;

            security_rule_key(rule, keys[i]);
            endings[i] = keys[i] + prefix_size;
            if (streq(rule->remote_group_id, group_id))
                remote[n_remote++] = (char *)rule->object.id;
            i++;
        }
        plan_require_only(plan, prefix, endings, n);
        snprintf(prefix, sizeof prefix, "security-group/remote/%s/", group_id);
        plan_require_only(plan, prefix, remote, n_remote);
        r = 0;
    }
    free(keys);
    free(endings);
    free(remote);
    return r;
}

static int delete_group(struct change *change)
{
    const struct security_group *group = (const struct security_group *)change->before;
    const struct replica *replica = request_api(change->request)->replica;
    const struct replica_member *port = replica_ports_by_security_group(replica, group->object.id);
    const struct object *referring = refers_to(replica, group->object.id);
    char key[SECURITY_KEY_SIZE];
    int r;

    if (port)
        return IN_USE("Security Group %s in use, by port %s for example.", group->object.id, port->object->id);
    if (group->is_default && !request_auth(change->request)->is_admin)
        return error_set_type(change->error, -EBUSY, "SecurityGroupCannotRemoveDefault", NULL,
                              "Insufficient rights for removing default security group.");
    if (referring)
        return IN_USE("Security Group %s in use: %s %s names it as the other side.", group->object.id,
                      referring->kind == RESOURCE_SECURITY_GROUP_RULE ? "rule" : "default rule", referring->id);
    if ((r = require_own_rules_only(change->plan, replica, group->object.id)) < 0)
        return r;
    require_no_ports(change->plan, group->object.id);
    if ((r = logs_of_deleted_group(change->plan, group->object.id)) < 0)
        return r;
    REPLICA_FOREACH (member, replica_rules_by_group(replica, group->object.id))
        security_rule_plan_delete(change->plan, (const struct security_group_rule *)member->object);
    if (group->is_default)
        plan_remove(change->plan, default_key(group->object.project_id, key));
    return 0;
}

const struct resource security_group_resource = {
    .schema = &security_group_schema,
    .computed = computed,
    .indexed_filters = indexed_filters,
    .not_found = "SecurityGroupNotFound",
    .title = "Security group",
    .each_visible = each_visible,
    .create = create,
    .update = update,
    .delete = delete_group,
};
