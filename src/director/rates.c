/* What services and servers count a second: from two looks at their counters. */
#include "weft/base/clock.h"
#include "weft/director/runtime-state.h"

#define ROUND_MS 2000
#define STRETCH 1000 /* So many counters are read at once, */
#define PAUSE_MS 10  /* and then the loop does what else there is. */
#define WANTED_MS 60000
#define CHEAP 1000 /* So many services and servers are looked at even if nobody asks. */

static void take_rate(struct lb_counters *rate, struct lb_counters *last, const struct lb_counters *now, uint64_t ms)
{
#define RATE(field) rate->field = (now->field - last->field) * 1000 / ms;
    RATE(connections)
    RATE(in_packets)
    RATE(in_bytes)
    RATE(out_packets)
    RATE(out_bytes)
#undef RATE
    *last = *now;
}

static size_t n_counters(const struct director_config *config)
{
    size_t n = config->n_services;

    for (size_t i = 0; i < config->n_services; i++)
        n += config->services[i].n_servers;
    return n;
}

static void take_service(const struct director *director, struct applied_service *service, uint64_t now_ms)
{
    uint64_t passed = now_ms - service->rated_ms;
    struct lb_counters total;

    if (!passed)
        return;
    service->rated_ms = now_ms;
    total = applied_service_total(director->applied, service);
    take_rate(&service->rate, &service->last, &total, passed);
    HASHMAP_FOREACH(node, &service->servers) {
        struct applied_server *server = CONTAINER_OF(node, struct applied_server, by_id);

        total = applied_server_total(director->applied, server);
        take_rate(&server->rate, &server->last, &total, passed);
    }
}

/* Returns whether there is more.  If the configuration changes within a round, some services are looked at twice, or in the next one. */
static bool take_stretch(struct director *director, uint64_t now_ms)
{
    const struct director_config *config = director->config;

    for (size_t n = 0; n < STRETCH && director->rates_next < config->n_services; director->rates_next++) {
        struct applied_service *service = applied_find(director->applied, &config->services[director->rates_next]);

        n += 1 + config->services[director->rates_next].n_servers;
        if (service)
            take_service(director, service, now_ms);
    }
    if (director->rates_next < config->n_services)
        return true;
    director->rates_next = 0;
    return false;
}

static void tick(uv_timer_t *timer)
{
    struct director *director = timer->data;
    uint64_t now_ms = clock_monotonic_ms();
    bool is_wanted = director->config && director->applied &&
                     (now_ms - director->asked_ms <= WANTED_MS || n_counters(director->config) <= CHEAP);

    uv_timer_start(timer, tick, is_wanted && take_stretch(director, now_ms) ? PAUSE_MS : ROUND_MS, 0);
}

void rates_start(struct director *director)
{
    uv_timer_init(&director->loop, &director->rate_timer);
    director->rate_timer.data = director;
    uv_timer_start(&director->rate_timer, tick, ROUND_MS, 0);
}
