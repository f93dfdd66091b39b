/* What the clients of this host did with load balancers: see balancing.h. */
#include "weft/agent/balancing.h"

#include <string.h>

/* Has the API to give the host a share of the listener's limit? */
static bool is_limited(const struct agent *agent, const char *id)
{
    const struct listener *listener = (const struct listener *)replica_find(&agent->replica, RESOURCE_LISTENER, id);

    return listener && listener->connection_limit > 0;
}

json_t *balancing_report(const struct agent *agent)
{
    json_t *listeners = json_object();

    HASHMAP_FOREACH(node, &agent->local.slots[SLOT_LISTENER].by_name) {
        const struct slot *slot = CONTAINER_OF(node, struct slot, by_name);
        struct service_counters counters;
        uint64_t n_active;

        if (maps_service_counters(agent->maps, slot->number, &counters, &n_active) < 0 ||
            !(counters.n_connections || counters.n_refused || n_active || is_limited(agent, slot->name)))
            continue;
        json_object_set_new(listeners, slot->name,
                            json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "active_connections", (json_int_t)n_active, "total_connections",
                                      (json_int_t)counters.n_connections, "request_errors", (json_int_t)counters.n_refused, "bytes_in",
                                      (json_int_t)counters.to_bytes, "bytes_out", (json_int_t)counters.from_bytes, "packets_in",
                                      (json_int_t)counters.to_packets, "packets_out", (json_int_t)counters.from_packets));
    }
    return listeners;
}

static const struct slot *find_limited(const struct agent *agent, const char *listener_id)
{
    return is_limited(agent, listener_id) ? local_find(&agent->local, SLOT_LISTENER, listener_id) : NULL;
}

/* Differs what is from what was told by so much that another share is wanted, or that others may have of this one? */
static bool has_moved(const struct agent *agent, const struct slot *slot, uint32_t share)
{
    const json_t *told = json_object_get(agent->reported_listeners, slot->name);
    uint64_t active = (uint64_t)json_integer_value(json_object_get(told, "active_connections")), n_active;
    struct service_counters counters;

    if (maps_service_counters(agent->maps, slot->number, &counters, &n_active) < 0)
        return false;
    return counters.n_refused > (uint64_t)json_integer_value(json_object_get(told, "request_errors")) || 2 * n_active < active ||
           (4 * n_active >= 3 * (uint64_t)share && n_active > active + active / 8);
}

/* It has a limit since now, or is here since now, and has no share yet: no connection begins until the API has heard of that. */
static bool waits_for_share(const struct agent *agent, const struct replica_entry *listener)
{
    const struct replica_kind *shares = &agent->replica.by_kind[RESOURCE_LISTENER_SHARE];

    if (!json_object_get(agent->reported_listeners, listener->object->id))
        return true;
    if (listener->revision <= agent->reported_revision || listener->revision > agent->applied_revision)
        return false;
    for (size_t i = 0; i < shares->n; i++)
        if (streq(((const struct listener_share *)shares->entries[i]->object)->listener_id, listener->object->id))
            return false;
    return true;
}

bool balancing_is_news(const struct agent *agent, bool counts_are_due)
{
    const struct replica_kind *listeners = &agent->replica.by_kind[RESOURCE_LISTENER], *shares = &agent->replica.by_kind[RESOURCE_LISTENER_SHARE];

    for (size_t i = 0; i < shares->n; i++) {
        const struct replica_entry *entry = shares->entries[i];
        const struct listener_share *share = (const struct listener_share *)entry->object;
        const struct slot *slot = find_limited(agent, share->listener_id);

        if (entry->revision > agent->reported_revision && entry->revision <= agent->applied_revision)
            return true; /* Applied and not told yet: others may wait for that. */
        if (slot && counts_are_due && has_moved(agent, slot, share->share))
            return true;
    }
    for (size_t i = 0; i < listeners->n; i++) { /* Also those without a share. */
        const struct slot *slot = find_limited(agent, listeners->entries[i]->object->id);

        if (slot && (waits_for_share(agent, listeners->entries[i]) || (counts_are_due && has_moved(agent, slot, UINT32_MAX))))
            return true;
    }
    return false;
}
