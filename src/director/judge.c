/* See judge.h. */
#include "weft/director/judge.h"

static uint32_t weight_of(const struct real_server *server, const struct judged_server *judged)
{
    return judged->has_weight ? judged->chosen_weight : server->weight;
}

/* Gained at quorum + hysteresis, lost below quorum - hysteresis, or with nobody left. */
static bool has_quorum(const struct virtual_service *service, const struct judged_service *judged, bool is_first)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < service->n_servers; i++)
        if (judged->servers[i].is_up)
            sum += weight_of(&service->servers[i], &judged->servers[i]);
    if (judged->has_quorum && !is_first)
        return sum > 0 && sum + service->hysteresis >= service->quorum;
    return sum >= (uint64_t)service->quorum + service->hysteresis;
}

static bool set_use(struct judged_server *judged, bool is_used, uint32_t weight)
{
    bool changed = judged->is_used != is_used || judged->weight != weight;

    judged->is_used = is_used;
    judged->weight = weight;
    return changed;
}

bool service_judge(const struct virtual_service *service, struct judged_service *judged, bool is_first)
{
    bool quorum = has_quorum(service, judged, is_first), changed = is_first || quorum != judged->has_quorum;
    bool is_sorry = !quorum && service->has_sorry_server; /* Then those that are up are out: it answers alone. */

    judged->has_quorum = quorum;
    for (size_t i = 0; i < service->n_servers; i++) {
        const struct real_server *server = &service->servers[i];
        struct judged_server *one = &judged->servers[i];

        if (one->is_up && !is_sorry)
            changed |= set_use(one, true, weight_of(server, one));
        else
            changed |= set_use(one, !one->is_up && server->inhibit_on_failure, 0);
    }
    if (service->has_sorry_server)
        changed |= set_use(&judged->servers[service->n_servers], is_sorry, is_sorry ? service->sorry_server.weight : 0);
    return changed;
}
