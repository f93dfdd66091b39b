/* See monitor.h. */
#include "weft/health/monitor.h"

#include "weft/base/util.h"

#define FIRST_WITHIN_MS 1000u

const char *health_status_name(enum health_status status)
{
    static const char *const names[] = {[HEALTH_UNKNOWN] = "unknown", [HEALTH_UP] = "up", [HEALTH_DOWN] = "down"};

    return names[status];
}

bool health_state_take(struct health_state *state, const struct health_rules *rules, bool is_up)
{
    enum health_status said = is_up ? HEALTH_UP : HEALTH_DOWN;

    if (state->status == said) {
        state->n_contrary = 0;
        return false;
    }
    if (state->status != HEALTH_UNKNOWN && ++state->n_contrary < MAX(is_up ? rules->rise : rules->fall, 1))
        return false;
    *state = (struct health_state){.status = said};
    return true;
}

/* A number from 0 to 'maximum', both included. */
static uint32_t spread(uint32_t random, uint32_t maximum)
{
    return (uint32_t)(((uint64_t)random * ((uint64_t)maximum + 1)) >> 32);
}

uint64_t health_next_start(const struct health_state *state, const struct health_rules *rules, uint64_t started_ms, uint64_t ended_ms, uint32_t random)
{
    bool is_failing = state->status == HEALTH_UP && state->n_contrary > 0;
    uint32_t interval = is_failing && rules->retry_interval_ms ? rules->retry_interval_ms : rules->interval_ms;
    uint64_t from = is_failing && rules->retry_interval_ms ? ended_ms : started_ms;

    return MAX(from + interval - spread(random, MIN(rules->jitter_ms, interval / 2)), ended_ms);
}

uint64_t health_first_start(const struct health_rules *rules, uint64_t now_ms, uint32_t random)
{
    return now_ms + spread(random, rules->first_ms ? rules->first_ms : MIN(rules->interval_ms, FIRST_WITHIN_MS));
}
