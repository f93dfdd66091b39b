/* Security groups: the host needs the rules of those that its own ports are in, and the addresses that these rules name. */
#include "weft/api/relevance-state.h"
#include "weft/base/util.h"

bool groups_have(const struct relevance *relevance, const char *group_id)
{
    return interest_find(&relevance->groups, group_id);
}

bool groups_have_rules_of(const struct relevance *relevance, const char *group_id)
{
    const struct interest *group = interest_find(&relevance->groups, group_id);

    return group && group->group.n_local;
}

bool groups_have_members_of(const struct relevance *relevance, const char *group_id)
{
    const struct interest *group = interest_find(&relevance->groups, group_id);

    return group && group->group.n_named;
}

bool groups_have_address_group(const struct relevance *relevance, const char *id)
{
    return interest_find(&relevance->address_groups, id);
}

static void touch(struct relevance *relevance, enum resource_kind kind, const char *id)
{
    const struct object *object = replica_get(relevance->replica, kind, id);

    if (object)
        relevance_touch(relevance, object);
}

static void touch_members(struct relevance *relevance, const char *group_id)
{
    touch(relevance, RESOURCE_SECURITY_GROUP, group_id);
    relevance_touch_all(relevance, replica_ports_by_security_group(relevance->replica, group_id));
}

static void name(struct relevance *relevance, const struct security_group_rule *rule)
{
    const char *id = rule->remote_group_id;
    struct interest *group;

    if (*id) {
        if (!groups_have_members_of(relevance, id))
            touch_members(relevance, id);
        if ((group = interest_get(relevance, &relevance->groups, id)))
            group->group.n_named++;
    }
    id = rule->remote_address_group_id;
    if (*id) {
        touch(relevance, RESOURCE_ADDRESS_GROUP, id);
        if ((group = interest_get(relevance, &relevance->address_groups, id)))
            group->group.n_named++;
    }
}

static void forget(struct hashmap *map, struct interest *group)
{
    if (group->group.n_local == 0 && group->group.n_named == 0)
        interest_remove(map, group);
}

static void unname(struct relevance *relevance, const struct security_group_rule *rule)
{
    struct interest *group = interest_find(&relevance->groups, rule->remote_group_id);

    if (group && --group->group.n_named == 0) {
        forget(&relevance->groups, group);
        touch_members(relevance, rule->remote_group_id);
    }
    group = interest_find(&relevance->address_groups, rule->remote_address_group_id);
    if (group && --group->group.n_named == 0) {
        forget(&relevance->address_groups, group);
        touch(relevance, RESOURCE_ADDRESS_GROUP, rule->remote_address_group_id);
    }
}

static void join(struct relevance *relevance, const char *id)
{
    const struct replica_member *rules = replica_rules_by_group(relevance->replica, id);
    struct interest *group = interest_find(&relevance->groups, id);
    bool is_first = !group || group->group.n_local == 0;

    if (is_first) {
        touch(relevance, RESOURCE_SECURITY_GROUP, id);
        relevance_touch_all(relevance, rules);
        logs_touch(relevance, LOG_SECURITY_GROUP, REPLICA_LOGS_BY_RESOURCE, id);
    }
    group = interest_get(relevance, &relevance->groups, id);
    if (!group)
        return;
    group->group.n_local++;
    if (!is_first)
        return;
    REPLICA_FOREACH(member, rules)
        name(relevance, (const struct security_group_rule *)member->object);
}

static void leave(struct relevance *relevance, const char *id)
{
    const struct replica_member *rules = replica_rules_by_group(relevance->replica, id);
    struct interest *group = interest_find(&relevance->groups, id);

    if (!group || --group->group.n_local > 0)
        return;
    REPLICA_FOREACH(member, rules)
        unname(relevance, (const struct security_group_rule *)member->object); /* May name the group itself. */
    if ((group = interest_find(&relevance->groups, id)))
        forget(&relevance->groups, group);
    touch(relevance, RESOURCE_SECURITY_GROUP, id);
    relevance_touch_all(relevance, rules);
    logs_touch(relevance, LOG_SECURITY_GROUP, REPLICA_LOGS_BY_RESOURCE, id);
}

/* The new ones first: what stays is not lost in between. */
void groups_port_changed(struct relevance *relevance, const struct port *before, const struct port *after)
{
    if (relevance_is_bound(relevance, after))
        for (size_t i = 0; i < after->n_security_groups; i++)
            join(relevance, after->security_groups[i].id);
    if (relevance_is_bound(relevance, before))
        for (size_t i = 0; i < before->n_security_groups; i++)
            leave(relevance, before->security_groups[i].id);
}

void groups_rule_changed(struct relevance *relevance, const struct security_group_rule *before, const struct security_group_rule *after)
{
    if (after && groups_have_rules_of(relevance, after->security_group_id))
        name(relevance, after);
    if (before && groups_have_rules_of(relevance, before->security_group_id))
        unname(relevance, before);
}
