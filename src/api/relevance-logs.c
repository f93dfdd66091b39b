/* Log objects: the host needs those that are about ports bound to it.  One that names a port is about that port; else, one that names a
 * group about the ports in it; else about the ports of its project. */
#include "weft/api/relevance-state.h"

bool logs_have(const struct relevance *relevance, const struct network_log *log)
{
    if (!log->enabled)
        return false;
    if (log->target_id[0])
        return interest_find(&relevance->bound_ports, log->target_id);
    if (log->resource_id[0])
        return groups_have_rules_of(relevance, log->resource_id);
    return interest_find(&relevance->projects, log->object.project_id);
}

void logs_touch(struct relevance *relevance, enum replica_property property, const char *id)
{
    REPLICA_FOREACH(member, replica_find(relevance->replica, property, id)) {
        const struct network_log *log = (const struct network_log *)member->object;

        if (log->enabled && (property != REPLICA_LOGS_BY_RESOURCE || !log->target_id[0]))
            relevance_touch(relevance, member->object);
    }
}

static void count(struct relevance *relevance, struct hashmap *map, enum replica_property property, const char *id)
{
    struct interest *interest;

    if (!interest_find(map, id))
        logs_touch(relevance, property, id);
    interest = interest_get(relevance, map, id);
    if (interest)
        interest->owner.n_bound++;
}

static void discount(struct relevance *relevance, struct hashmap *map, enum replica_property property, const char *id)
{
    struct interest *interest = interest_find(map, id);

    if (!interest || --interest->owner.n_bound > 0)
        return;
    interest_remove(map, interest);
    logs_touch(relevance, property, id);
}

/* The new ones first: what stays is not lost in between. */
void logs_port_changed(struct relevance *relevance, const struct port *before, const struct port *after)
{
    if (relevance_is_bound(relevance, after)) {
        count(relevance, &relevance->bound_ports, REPLICA_LOGS_BY_TARGET, after->object.id);
        count(relevance, &relevance->projects, REPLICA_LOGS_OF_PROJECT, after->object.project_id);
    }
    if (relevance_is_bound(relevance, before)) {
        discount(relevance, &relevance->bound_ports, REPLICA_LOGS_BY_TARGET, before->object.id);
        discount(relevance, &relevance->projects, REPLICA_LOGS_OF_PROJECT, before->object.project_id);
    }
}
