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

/* Differs what the listener's connections are from what was told by so much that its share may be another? */
static bool has_moved(const struct agent *agent, const struct slot *slot)
{
    const json_t *told = json_object_get(agent->reported_listeners, slot->name);
    json_int_t active = json_integer_value(json_object_get(told, "active_connections"));
    struct service_counters counters;
    uint64_t n_active;

    if (!told || maps_service_counters(agent->maps, slot->number, &counters, &n_active) < 0)
        return !told;
    return counters.n_refused > (uint64_t)json_integer_value(json_object_get(told, "request_errors")) || (json_int_t)n_active > active + active / 8 ||
           (json_int_t)n_active < active / 2;
}

bool balancing_is_news(const struct agent *agent)
{
    const struct replica_kind *listeners = &agent->replica.by_kind[RESOURCE_LISTENER], *shares = &agent->replica.by_kind[RESOURCE_LISTENER_SHARE];

    for (size_t i = 0; i < shares->n; i++) /* One that is applied and not told yet: the others wait for that. */
        if (shares->entries[i]->revision > agent->reported_revision && shares->entries[i]->revision <= agent->applied_revision)
            return true;
    for (size_t i = 0; i < listeners->n; i++) {
        const struct listener *listener = (const struct listener *)listeners->entries[i]->object;
        const struct slot *slot = listener->connection_limit > 0 ? local_find(&agent->local, SLOT_LISTENER, listener->object.id) : NULL;

        if (slot && has_moved(agent, slot))
            return true;
    }
    return false;
}
