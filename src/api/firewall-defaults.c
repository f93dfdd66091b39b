/* A project's default firewall group, as Neutron makes it: when it is first needed, with a policy for each direction that drops what goes to
 * the networks behind its ports and lets out what comes from them.  It has no ports until somebody gives it some. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/firewall.h"
#include "weft/base/util.h"
#include "weft/base/uuid.h"

struct default_rule_text {
    const char *name, *description;
    uint8_t ip_version;
    enum firewall_action action;
};

static const struct {
    const char *name, *description;
    struct default_rule_text rules[2];
} default_policies[] = {
    {FIREWALL_DEFAULT_INGRESS, "Ingress firewall policy",
     {{"default ingress ipv4", "default ingress rule for IPv4", 4, FIREWALL_DENY},
      {"default ingress ipv6", "default ingress rule for IPv6", 6, FIREWALL_DENY}}},
    {FIREWALL_DEFAULT_EGRESS, "Egress firewall policy",
     {{"default egress ipv4", "default egress rule for IPv4", 4, FIREWALL_ALLOW},
      {"default egress ipv6", "default egress rule for IPv6", 6, FIREWALL_ALLOW}}},
};

const char *firewall_default_key(const char *project_id, char key[FIREWALL_KEY_SIZE])
{
    snprintf(key, FIREWALL_KEY_SIZE, "firewall/default/%s", project_id);
    return key;
}

/* An object of the plan's.  NULL when out of memory. */
static struct object *add(struct plan *plan, enum resource_kind kind, const char *project_id, const char *name, const char *description)
{
    struct object *object = object_new(kind);

    if (!object)
        return NULL;
    uuid_generate(object->id);
    string_copy(object->project_id, sizeof(object->project_id), project_id);
    object->name = strdup(name);
    object->description = strdup(description);
    if (!object->name || !object->description) {
        object_free(object);
        return NULL;
    }
    return plan_create_implied(plan, object) < 0 ? NULL : object;
}

/* It holds a unit if there is one. */
static int count(struct plan *plan, struct object *object)
{
    int r = plan_reserve_quota(plan, object);

    return r == -ENOSPC ? 0 : r;
}

static int add_policy(struct plan *plan, const char *project_id, size_t which, const char *group_id, char ret_id[UUID_TEXT_SIZE])
{
    struct firewall_policy *policy = (struct firewall_policy *)add(plan, RESOURCE_FIREWALL_POLICY, project_id, default_policies[which].name,
                                                                   default_policies[which].description);
    int r = 0;

    if (!policy || !(policy->rules = calloc(ARRAY_SIZE(default_policies[which].rules), sizeof(*policy->rules))))
        return -ENOMEM;
    for (size_t i = 0; i < ARRAY_SIZE(default_policies[which].rules) && r == 0; i++) {
        const struct default_rule_text *text = &default_policies[which].rules[i];
        struct firewall_rule *rule = (struct firewall_rule *)add(plan, RESOURCE_FIREWALL_RULE, project_id, text->name, text->description);

        if (!rule)
            return -ENOMEM;
        rule->ip_version = text->ip_version;
        rule->action = text->action;
        string_copy(policy->rules[policy->n_rules++].id, UUID_TEXT_SIZE, rule->object.id);
        firewall_rule_use(plan, rule->object.id, policy->object.id);
        r = count(plan, &rule->object);
    }
    firewall_policy_use(plan, policy->object.id, group_id);
    string_copy(ret_id, UUID_TEXT_SIZE, policy->object.id);
    return r < 0 ? r : count(plan, &policy->object);
}

int firewall_make_default(struct plan *plan, struct request *request, const char *project_id)
{
    struct firewall_group *group;
    char key[FIREWALL_KEY_SIZE];
    int r;

    firewall_default_key(project_id, key);
    if (!*project_id || replica_find(request_api(request)->replica, REPLICA_DEFAULT_FIREWALL_GROUP, project_id) || plan_claims(plan, key))
        return 0;
    group = (struct firewall_group *)add(plan, RESOURCE_FIREWALL_GROUP, project_id, FIREWALL_DEFAULT_GROUP, "Default firewall group");
    if (!group)
        return -ENOMEM;
    group->is_default = true;
    plan_claim(plan, key, group->object.id);
    if ((r = add_policy(plan, project_id, 0, group->object.id, group->ingress_policy_id)) < 0 ||
        (r = add_policy(plan, project_id, 1, group->object.id, group->egress_policy_id)) < 0)
        return r;
    return count(plan, &group->object);
}

static void made(struct plan *plan, struct request *request)
{
    resource_list(request);
}

void firewall_list(struct request *request)
{
    const char *project_id = listed_project(request);
    struct plan *plan;

    if (!project_id || !*project_id || replica_find(request_api(request)->replica, REPLICA_DEFAULT_FIREWALL_GROUP, project_id)) {
        resource_list(request);
        return;
    }
    plan = plan_new(request, request_api(request)->networking);
    if (!plan || firewall_make_default(plan, request, project_id) < 0)
        request_fail(request, HTTP_UNAVAILABLE, NULL, "Out of memory.");
    else
        plan_commit(plan, made);
}
