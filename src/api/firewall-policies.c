/* Firewall policies: rules in order.  A rule may be in several; who uses one of another project's uses a shared one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/firewall.h"
#include "weft/base/util.h"
#include "weft/model/resources.h"

static const struct computed computed[] = {{.name = NULL}};

static const struct replica_member *by_name(const struct replica *replica, const char *value)
{
    return replica_by_name(replica, RESOURCE_FIREWALL_POLICY, value);
}

static const struct indexed_filter indexed_filters[] = {
    {"name", by_name},
    {NULL, NULL},
};

static bool has_one_of(const struct object *object, const char *const *values, size_t n_values)
{
    const struct firewall_policy *policy = (const struct firewall_policy *)object;

    for (size_t i = 0; i < policy->n_rules; i++)
        for (size_t k = 0; k < n_values; k++)
            if (streq(policy->rules[i].id, values[k]))
                return true;
    return false;
}

static int any_value(const char *value, struct error *error)
{
    return 0;
}

static const struct special_filter special_filters[] = {
    {"firewall_rules", any_value, has_one_of},
    {NULL, NULL, NULL},
};

static bool is_visible(const struct request *request, const struct object *object)
{
    return ((const struct firewall_policy *)object)->shared;
}

static void each_visible(const struct request *request, void (*visit)(const struct object *object, void *context), void *context)
{
    const struct replica *replica = request_api(request)->replica;

    REPLICA_FOREACH (policy, replica_by_project(replica, RESOURCE_FIREWALL_POLICY, request_auth(request)->project_id))
        visit(policy->object, context);
    REPLICA_FOREACH (policy, replica_shared(replica, RESOURCE_FIREWALL_POLICY))
        visit(policy->object, context);
}

/* ---- keys ---- */

static const char *rule_key(const char *rule_id, const char *policy_id, char key[FIREWALL_KEY_SIZE])
{
    snprintf(key, FIREWALL_KEY_SIZE, "firewall/rule/%s/%s", rule_id, policy_id);
    return key;
}

void firewall_rule_use(struct plan *plan, const char *rule_id, const char *policy_id)
{
    char key[FIREWALL_KEY_SIZE];

    plan_put(plan, rule_key(rule_id, policy_id, key), "");
}

static bool has_rule(const struct firewall_policy *policy, const char *rule_id)
{
    for (size_t i = 0; policy && i < policy->n_rules; i++)
        if (streq(policy->rules[i].id, rule_id))
            return true;
    return false;
}

static void write_keys(struct plan *plan, const struct firewall_policy *policy, const struct firewall_policy *before)
{
    char key[FIREWALL_KEY_SIZE];

    for (size_t i = 0; i < policy->n_rules; i++)
        if (!has_rule(before, policy->rules[i].id))
            firewall_rule_use(plan, policy->rules[i].id, policy->object.id);
    for (size_t i = 0; before && i < before->n_rules; i++)
        if (!has_rule(policy, before->rules[i].id))
            plan_remove(plan, rule_key(before->rules[i].id, policy->object.id, key));
}

void firewall_policy_plan_delete(struct plan *plan, const struct firewall_policy *policy)
{
    char key[FIREWALL_KEY_SIZE];

    for (size_t i = 0; i < policy->n_rules; i++)
        plan_remove(plan, rule_key(policy->rules[i].id, policy->object.id, key));
    plan_delete(plan, &policy->object);
}

/* ---- what must hold ---- */

static bool is_default_name(const struct object *object)
{
    return object->name && (streq(object->name, FIREWALL_DEFAULT_INGRESS) || streq(object->name, FIREWALL_DEFAULT_EGRESS));
}

static int check_name(struct change *change)
{
    if (change->before && is_default_name(change->before))
        return error_set_type(change->error, -EBUSY, "FirewallDefaultObjectUpdateRestricted", NULL,
                              "Operation cannot be performed on default object '%s' of type Firewall Policy.", change->before->id);
    if (is_default_name(change->after))
        return error_set_type(change->error, -EBUSY, "FirewallDefaultParameterExists", "name",
                              "Operation cannot be performed since '%s' is a reserved name for Firewall Policy.", change->after->name);
    return 0;
}

static int check_rule(struct change *change, const struct firewall_policy *policy, const char *id, bool is_given)
{
    const struct firewall_rule *rule =
        (const struct firewall_rule *)resource_find(&firewall_rule_resource, change->request, id, change->error);

    if (!rule)
        return -ENOENT;
    plan_guard(change->plan, &rule->object);
    if (rule->shared)
        return 0;
    if (policy->shared && is_given)
        return error_set_type(change->error, -ENOENT, "FirewallRuleSharingConflict", "firewall_rules",
                              "Operation cannot be performed since firewall policy %s could not find the firewall rule %s. Please confirm if "
                              "the firewall rule exists and is shared.", policy->object.id, id);
    if (policy->shared)
        return error_set_type(change->error, -EBUSY, "FirewallPolicySharingConflict", "shared",
                              "Operation cannot be performed. Before sharing firewall policy %s, share associated firewall rule %s.",
                              policy->object.id, id);
    if (!streq(rule->object.project_id, policy->object.project_id))
        return error_set_type(change->error, -EBUSY, "FirewallRuleConflict", "firewall_rules",
                              "Operation cannot be performed since firewall rule %s is not shared and belongs to another project %s.", id,
                              rule->object.project_id);
    return 0;
}

static int check_rules(struct change *change, bool is_given)
{
    const struct firewall_policy *policy = (const struct firewall_policy *)change->after;
    int r = 0;

    for (size_t i = 0; i < policy->n_rules && r == 0; i++)
        r = check_rule(change, policy, policy->rules[i].id, is_given);
    return r;
}

/* Nobody uses the policy when the plan commits but the groups that did when it was made. */
static int require_known_groups(struct plan *plan, const struct replica *replica, const char *policy_id)
{
    size_t n = replica_count(replica, REPLICA_FIREWALL_GROUPS_BY_POLICY, policy_id), i = 0;
    char **endings = calloc(n + 1, sizeof(*endings)), prefix[FIREWALL_KEY_SIZE];

    if (!endings)
        return -ENOMEM;
    REPLICA_FOREACH (member, replica_find(replica, REPLICA_FIREWALL_GROUPS_BY_POLICY, policy_id))
        endings[i++] = (char *)member->object->id;
    snprintf(prefix, sizeof(prefix), "firewall/policy/%s/", policy_id);
    plan_require_only(plan, prefix, endings, n);
    free(endings);
    return 0;
}

static int refuse_in_use(struct change *change)
{
    return error_set_type(change->error, -EBUSY, "FirewallPolicyInUse", NULL, "Firewall policy %s is being used.", change->before->id);
}

static int check_unshared(struct change *change)
{
    const struct replica *replica = request_api(change->request)->replica;

    REPLICA_FOREACH (member, replica_find(replica, REPLICA_FIREWALL_GROUPS_BY_POLICY, change->before->id))
        if (!streq(member->object->project_id, change->before->project_id))
            return refuse_in_use(change);
    return require_known_groups(change->plan, replica, change->before->id);
}

/* ---- hooks ---- */

static int create(struct change *change)
{
    int r = check_name(change);

    if (r == 0)
        r = check_rules(change, true);
    if (r < 0)
        return r;
    write_keys(change->plan, (const struct firewall_policy *)change->after, NULL);
    return firewall_make_default(change->plan, change->request, change->after->project_id);
}

static int update(struct change *change)
{
    const struct firewall_policy *before = (const struct firewall_policy *)change->before;
    struct firewall_policy *after = (struct firewall_policy *)change->after;
    bool is_given = change_gives(change, "firewall_rules");
    int r = check_name(change);

    if (r == 0 && before->shared && !after->shared)
        r = check_unshared(change);
    if (r == 0 && (is_given || (after->shared && !before->shared)))
        r = check_rules(change, is_given);
    if (r < 0)
        return r;
    if (!change_gives(change, "audited"))
        after->audited = false;
    write_keys(change->plan, after, before);
    return 0;
}

static int delete_policy(struct change *change)
{
    const struct replica *replica = request_api(change->request)->replica;
    int r;

    if (replica_find(replica, REPLICA_FIREWALL_GROUPS_BY_POLICY, change->before->id))
        return refuse_in_use(change);
    if ((r = require_known_groups(change->plan, replica, change->before->id)) < 0)
        return r;
    firewall_policy_plan_delete(change->plan, (const struct firewall_policy *)change->before);
    return 0;
}

const struct resource firewall_policy_resource = {
    .schema = &firewall_policy_schema,
    .computed = computed,
    .special_filters = special_filters,
    .indexed_filters = indexed_filters,
    .not_found = "FirewallPolicyNotFound",
    .title = "Firewall policy",
    .is_visible = is_visible,
    .each_visible = each_visible,
    .create = create,
    .update = update,
    .delete = delete_policy,
};

/* ---- insert_rule, remove_rule ---- */

/* The policy itself, without a name around it. */
static void answer_bare(struct plan *plan, struct request *request)
{
    const struct object *object = replica_get(request_api(request)->replica, RESOURCE_FIREWALL_POLICY, request_parameter(request, "id"));
    struct buffer buffer = {0};
    struct view view;

    if (!object) {
        request_fail(request, HTTP_NOT_FOUND, "FirewallPolicyNotFound", "Firewall policy %.100s could not be found.",
                     request_parameter(request, "id"));
        return;
    }
    view_prepare(&view, &firewall_policy_resource, request);
    respond_buffer(request, HTTP_OK, &buffer, view_write(&view, &firewall_policy_resource, request, object, &buffer));
}

/* A member of the body that is an id; NULL: it is missing or empty. */
static const char *id_of(const struct change *change, const char *name)
{
    const char *text = json_string_value(json_object_get(change->request->body, name));

    return text && *text ? text : NULL;
}

static size_t place_of(const struct firewall_policy *policy, const char *rule_id)
{
    size_t i = 0;

    while (i < policy->n_rules && !streq(policy->rules[i].id, rule_id))
        i++;
    return i;
}

static int refuse_foreign(struct change *change, const char *rule_id)
{
    return error_set_type(change->error, -EINVAL, "FirewallRuleNotAssociatedWithPolicy", NULL,
                          "Firewall rule %.40s is not associated with firewall policy %s.", rule_id, change->before->id);
}

/* insert_before counts if both are given; at the top without either. */
static int insert(struct change *change, struct firewall_policy *policy, const char *rule_id)
{
    const char *next = id_of(change, "insert_before"), *previous = id_of(change, "insert_after"), *reference = next ? next : previous;
    size_t maximum = attribute_find(firewall_policy_schema.attributes, "firewall_rules")->maximum, place = 0;
    struct object_id *more;
    int r;

    if (has_rule(policy, rule_id))
        return error_set_type(change->error, -EBUSY, "FirewallRuleAlreadyAssociated", NULL,
                              "Operation cannot be performed since firewall rule %s is already associated with firewall policy %s.", rule_id,
                              policy->object.id);
    if ((r = check_rule(change, policy, rule_id, true)) < 0)
        return r;
    if (reference && (place = place_of(policy, reference)) == policy->n_rules)
        return refuse_foreign(change, reference);
    if (policy->n_rules == maximum)
        return error_set(change->error, -EINVAL, "firewall_rules", "a policy has at most %zu rules", maximum);
    if (!(more = realloc(policy->rules, (policy->n_rules + 1) * sizeof(*more))))
        return -ENOMEM;
    policy->rules = more;
    place += reference && !next;
    memmove(more + place + 1, more + place, (policy->n_rules - place) * sizeof(*more));
    more[place] = (struct object_id){0};
    string_copy(more[place].id, sizeof(more[place].id), rule_id);
    policy->n_rules++;
    return 0;
}

static int take_away(struct change *change, struct firewall_policy *policy, const char *rule_id)
{
    size_t place = place_of(policy, rule_id);

    if (!resource_find(&firewall_rule_resource, change->request, rule_id, change->error))
        return -ENOENT;
    if (place == policy->n_rules)
        return refuse_foreign(change, rule_id);
    memmove(policy->rules + place, policy->rules + place + 1, (policy->n_rules - place - 1) * sizeof(*policy->rules));
    policy->n_rules--;
    return 0;
}

static void change_rules(struct request *request, int (*apply)(struct change *, struct firewall_policy *, const char *))
{
    const struct object *before = resource_find_or_fail(request);
    struct error error = {0};
    struct change change;
    struct firewall_policy *policy;
    const char *rule_id;
    int r = 0;

    if (!before || change_begin(&change, request, before, &error) < 0)
        return;
    rule_id = id_of(&change, "firewall_rule_id");
    change.after = plan_edit(change.plan, before);
    policy = (struct firewall_policy *)change.after;
    if (!policy)
        r = -ENOMEM;
    else if (!rule_id)
        r = error_set_type(&error, -EINVAL, "FirewallRuleInfoMissing", NULL,
                           "Missing rule info argument for insert/remove rule operation.");
    else if (!resource_is_own(request, before))
        r = error_set_type(&error, -EPERM, "PolicyNotAuthorized", NULL, "Firewall policy %s belongs to another project.", before->id);
    else
        r = apply(&change, policy, rule_id);
    if (r < 0) {
        change_fail(request, r, &error, "firewall_policy");
        return;
    }
    policy->audited = false;
    write_keys(change.plan, policy, (const struct firewall_policy *)before);
    plan_commit(change.plan, answer_bare);
}

void firewall_insert_rule(struct request *request)
{
    change_rules(request, insert);
}

void firewall_remove_rule(struct request *request)
{
    change_rules(request, take_away);
}
