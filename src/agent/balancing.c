/* What the clients of this host did with load balancers: see balancing.h. */
#include "weft/agent/balancing.h"

#include <string.h>

json_t *balancing_report(const struct agent *agent)
{
    json_t *listeners = json_object();

    HASHMAP_FOREACH(node, &agent->local.slots[SLOT_LISTENER].by_name) {
        const struct slot *slot = CONTAINER_OF(node, struct slot, by_name);
        struct service_counters counters;
        uint64_t n_active;

        if (maps_service_counters(agent->maps, slot->number, &counters, &n_active) < 0 ||
            !(counters.n_connections || counters.n_refused || n_active))
            continue;
        json_object_set_new(listeners, slot->name,
                            json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "active_connections", (json_int_t)n_active, "total_connections",
                                      (json_int_t)counters.n_connections, "request_errors", (json_int_t)counters.n_refused, "bytes_in",
                                      (json_int_t)counters.to_bytes, "bytes_out", (json_int_t)counters.from_bytes, "packets_in",
                                      (json_int_t)counters.to_packets, "packets_out", (json_int_t)counters.from_packets));
    }
    return listeners;
}
