/* Firewall groups: the host needs those that hold at ports of its routers, with their policies and the rules of these. */
#include "weft/api/relevance-state.h"
#include "weft/base/util.h"

bool firewall_has_group(const struct relevance *relevance, const char *id)
{
    return interest_find(&relevance->firewall_groups, id);
}

bool firewall_has_policy(const struct relevance *relevance, const char *id)
{
    return interest_find(&relevance->firewall_policies, id);
}

bool firewall_has_rule(const struct relevance *relevance, const char *id)
{
    return interest_find(&relevance->firewall_rules, id);
}

static void mark(struct relevance *relevance, enum resource_kind kind, const char *id)
{
    const struct object *object = replica_get(relevance->replica, kind, id);

    if (object)
        relevance->mark(object, relevance->context);
}

static void use_rule(struct relevance *relevance, const char *id)
{
    bool is_new = !firewall_has_rule(relevance, id);
    struct interest *rule = interest_get(relevance, &relevance->firewall_rules, id);

    if (!rule)
        return;
    rule->n_users++;
    if (is_new)
        mark(relevance, RESOURCE_FIREWALL_RULE, id);
}

static void leave_rule(struct relevance *relevance, const char *id)
{
    struct interest *rule = interest_find(&relevance->firewall_rules, id);

    if (!rule || --rule->n_users > 0)
        return;
    interest_remove(&relevance->firewall_rules, rule);
    mark(relevance, RESOURCE_FIREWALL_RULE, id);
}

static void use_rules(struct relevance *relevance, const struct firewall_policy *policy)
{
    for (size_t i = 0; policy && i < policy->n_rules; i++)
        use_rule(relevance, policy->rules[i].id);
}

static void leave_rules(struct relevance *relevance, const struct firewall_policy *policy)
{
    for (size_t i = 0; policy && i < policy->n_rules; i++)
        leave_rule(relevance, policy->rules[i].id);
}

static const struct firewall_policy *find_policy(const struct relevance *relevance, const char *id)
{
    return (const struct firewall_policy *)replica_get(relevance->replica, RESOURCE_FIREWALL_POLICY, id);
}

static void use_policy(struct relevance *relevance, const char *id)
{
    bool is_new = !firewall_has_policy(relevance, id);
    struct interest *policy = *id ? interest_get(relevance, &relevance->firewall_policies, id) : NULL;

    if (!policy)
        return;
    policy->n_users++;
    if (!is_new)
        return;
    mark(relevance, RESOURCE_FIREWALL_POLICY, id);
    use_rules(relevance, find_policy(relevance, id));
}

static void leave_policy(struct relevance *relevance, const char *id)
{
    struct interest *policy = interest_find(&relevance->firewall_policies, id);

    if (!policy || --policy->n_users > 0)
        return;
    interest_remove(&relevance->firewall_policies, policy);
    mark(relevance, RESOURCE_FIREWALL_POLICY, id);
    leave_rules(relevance, find_policy(relevance, id));
}

static void use_policies(struct relevance *relevance, const struct firewall_group *group)
{
    use_policy(relevance, group->ingress_policy_id);
    use_policy(relevance, group->egress_policy_id);
}

static void leave_policies(struct relevance *relevance, const struct firewall_group *group)
{
    leave_policy(relevance, group->ingress_policy_id);
    leave_policy(relevance, group->egress_policy_id);
}

/* Does it hold at a port of a router that the host has? */
static bool holds_here(const struct relevance *relevance, const struct firewall_group *group)
{
    for (size_t i = 0; i < group->n_ports; i++) {
        const struct port *port = replica_port(relevance->replica, group->ports[i].id);

        if (port && router_port_kind(port) != ROUTER_PORT_NONE && graph_has_router(relevance, port->device_id))
            return true;
    }
    return false;
}

static void enter(struct relevance *relevance, const struct firewall_group *group)
{
    logs_touch(relevance, LOG_FIREWALL_GROUP, REPLICA_LOGS_BY_RESOURCE, group->object.id);
    logs_firewall_entered(relevance, group);
    if (interest_get(relevance, &relevance->firewall_groups, group->object.id))
        use_policies(relevance, group);
}

static void leave(struct relevance *relevance, const struct firewall_group *group)
{
    interest_remove(&relevance->firewall_groups, interest_find(&relevance->firewall_groups, group->object.id));
    logs_touch(relevance, LOG_FIREWALL_GROUP, REPLICA_LOGS_BY_RESOURCE, group->object.id);
    logs_firewall_left(relevance, group);
    leave_policies(relevance, group);
}

void firewall_recheck_port(struct relevance *relevance, const char *port_id)
{
    REPLICA_FOREACH(member, replica_find(relevance->replica, REPLICA_FIREWALL_GROUPS_BY_PORT, port_id)) {
        const struct firewall_group *group = (const struct firewall_group *)member->object;
        bool was = firewall_has_group(relevance, group->object.id), is = holds_here(relevance, group);

        if (was == is)
            continue;
        if (is)
            enter(relevance, group);
        else
            leave(relevance, group);
        relevance->mark(&group->object, relevance->context);
    }
}

/* What comes first, then what goes: what stays is not lost in between. */
void firewall_group_changed(struct relevance *relevance, const struct firewall_group *before, const struct firewall_group *after)
{
    bool was = before && firewall_has_group(relevance, before->object.id), is = after && holds_here(relevance, after);

    if (is && was) {
        logs_firewall_entered(relevance, after);
        use_policies(relevance, after);
        logs_firewall_left(relevance, before);
        leave_policies(relevance, before);
    } else if (is) {
        enter(relevance, after);
    } else if (was) {
        leave(relevance, before);
    }
}

void firewall_policy_changed(struct relevance *relevance, const struct firewall_policy *before, const struct firewall_policy *after)
{
    if (!firewall_has_policy(relevance, (after ? after : before)->object.id))
        return;
    use_rules(relevance, after);
    leave_rules(relevance, before);
}
