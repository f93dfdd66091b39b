/* Log objects: the host needs those that are about ports bound to it.  One that names a port is about that port; else, one that names a
 * group about the ports in it; else about the ports of its project.
 *
 * Those of firewall groups it needs when it needs the group: one that names a port, of a group that the port is in; one that names none, of any
 * group of its project. */
#include "weft/api/relevance-state.h"
#include "weft/base/util.h"

static bool is_of(const struct network_log *log, const char *type)
{
    return log->resource_type && streq(log->resource_type, type);
}

bool logs_have(const struct relevance *relevance, const struct network_log *log)
{
    if (!log->enabled)
        return false;
    if (is_of(log, LOG_FIREWALL_GROUP)) {
        if (log->target_id[0])
            return interest_find(&relevance->firewall_ports, log->target_id);
        if (log->resource_id[0])
            return firewall_has_group(relevance, log->resource_id);
        return interest_find(&relevance->firewall_projects, log->object.project_id);
    }
    if (log->target_id[0])
        return interest_find(&relevance->bound_ports, log->target_id);
    if (log->resource_id[0])
        return groups_have_rules_of(relevance, log->resource_id);
    return interest_find(&relevance->projects, log->object.project_id);
}

void logs_touch(struct relevance *relevance, const char *type, enum replica_property property, const char *id)
{
    REPLICA_FOREACH(member, replica_find(relevance->replica, property, id)) {
        const struct network_log *log = (const struct network_log *)member->object;

        if (log->enabled && is_of(log, type) && (property != REPLICA_LOGS_BY_RESOURCE || !log->target_id[0]))
            relevance_touch(relevance, member->object);
    }
}

static void count(struct relevance *relevance, struct hashmap *map, const char *type, enum replica_property property, const char *id)
{
    struct interest *interest;

    if (!interest_find(map, id))
        logs_touch(relevance, type, property, id);
    interest = interest_get(relevance, map, id);
    if (interest)
        interest->owner.n_bound++;
}

static void discount(struct relevance *relevance, struct hashmap *map, const char *type, enum replica_property property, const char *id)
{
    struct interest *interest = interest_find(map, id);

    if (!interest || --interest->owner.n_bound > 0)
        return;
    interest_remove(map, interest);
    logs_touch(relevance, type, property, id);
}

/* The new ones first: what stays is not lost in between. */
void logs_port_changed(struct relevance *relevance, const struct port *before, const struct port *after)
{
    if (relevance_is_bound(relevance, after)) {
        count(relevance, &relevance->bound_ports, LOG_SECURITY_GROUP, REPLICA_LOGS_BY_TARGET, after->object.id);
        count(relevance, &relevance->projects, LOG_SECURITY_GROUP, REPLICA_LOGS_OF_PROJECT, after->object.project_id);
    }
    if (relevance_is_bound(relevance, before)) {
        discount(relevance, &relevance->bound_ports, LOG_SECURITY_GROUP, REPLICA_LOGS_BY_TARGET, before->object.id);
        discount(relevance, &relevance->projects, LOG_SECURITY_GROUP, REPLICA_LOGS_OF_PROJECT, before->object.project_id);
    }
}

void logs_firewall_entered(struct relevance *relevance, const struct firewall_group *group)
{
    for (size_t i = 0; i < group->n_ports; i++)
        count(relevance, &relevance->firewall_ports, LOG_FIREWALL_GROUP, REPLICA_LOGS_BY_TARGET, group->ports[i].id);
    count(relevance, &relevance->firewall_projects, LOG_FIREWALL_GROUP, REPLICA_LOGS_OF_PROJECT, group->object.project_id);
}

void logs_firewall_left(struct relevance *relevance, const struct firewall_group *group)
{
    for (size_t i = 0; i < group->n_ports; i++)
        discount(relevance, &relevance->firewall_ports, LOG_FIREWALL_GROUP, REPLICA_LOGS_BY_TARGET, group->ports[i].id);
    discount(relevance, &relevance->firewall_projects, LOG_FIREWALL_GROUP, REPLICA_LOGS_OF_PROJECT, group->object.project_id);
}
