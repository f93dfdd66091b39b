#include "weft/http/counters.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "weft/base/util.h"
#include "weft/http/prometheus.h"
#include "weft/http/routes.h"

/* Upper bounds of the latency buckets. */
static const uint64_t bounds_us[] = {100, 250, 500, 1000, 2500, 5000, 10000, 20000, 50000, 100000, 250000, 1000000, 5000000};

#define N_BUCKETS (ARRAY_SIZE(bounds_us) + 1)
#define N_STATUSES 8 /* Different ones counted for each route; the rest is counted as "other". */

struct route_counters {
    const struct route *route;
    uint16_t status[N_STATUSES];
    uint64_t n[N_STATUSES];
    uint64_t n_other;
    uint64_t buckets[N_BUCKETS];
    uint64_t total_ns, n_total;
};

struct request_counters {
    struct route_counters none;
    struct route_counters **routes; /* Those that were called, in that order: some dozens. */
    size_t n_routes, capacity;
};

int request_counters_new(struct request_counters **ret_counters)
{
    struct request_counters *counters = calloc(1, sizeof(*counters));

    if (!counters)
        return -ENOMEM;
    *ret_counters = counters;
    return 0;
}

void request_counters_free(struct request_counters *counters)
{
    if (!counters)
        return;
    for (size_t i = 0; i < counters->n_routes; i++)
        free(counters->routes[i]);
    free(counters->routes);
    free(counters);
}

static struct route_counters *counters_of(struct request_counters *counters, const struct route *route)
{
    struct route_counters *added;

    if (!route)
        return &counters->none;
    for (size_t i = 0; i < counters->n_routes; i++)
        if (counters->routes[i]->route == route)
            return counters->routes[i];

    if (counters->n_routes == counters->capacity) {
        size_t capacity = counters->capacity ? 2 * counters->capacity : 32;
        struct route_counters **grown = reallocarray(counters->routes, capacity, sizeof(*grown));

        if (!grown)
            return NULL;
        counters->routes = grown;
        counters->capacity = capacity;
    }
    added = calloc(1, sizeof(*added));
    if (!added)
        return NULL;
    added->route = route;
    counters->routes[counters->n_routes++] = added;
    return added;
}

void request_counters_count(struct request_counters *all, const struct route *route, int status, uint64_t duration_ns)
{
    struct route_counters *counters = counters_of(all, route);
    size_t bucket = 0, slot = 0;

    if (!counters)
        return;
    while (slot < N_STATUSES && counters->status[slot] && counters->status[slot] != status)
        slot++;
    if (slot < N_STATUSES) {
        counters->status[slot] = (uint16_t)status;
        counters->n[slot]++;
    } else {
        counters->n_other++;
    }
    while (bucket < ARRAY_SIZE(bounds_us) && duration_ns > bounds_us[bucket] * 1000)
        bucket++;
    counters->buckets[bucket]++;
    counters->total_ns += duration_ns;
    counters->n_total++;
}

static void write_statuses(const struct route_counters *counters, const char *name, struct buffer *buffer)
{
    const char *method = counters->route ? counters->route->method : "", *pattern = counters->route ? counters->route->pattern : "";
    char status[8];

    for (size_t i = 0; i < N_STATUSES && counters->status[i]; i++) {
        snprintf(status, sizeof(status), "%u", counters->status[i]);
        prometheus_sample(buffer, name, (double)counters->n[i], "method", method, "route", pattern, "status", status, NULL);
    }
    if (counters->n_other)
        prometheus_sample(buffer, name, (double)counters->n_other, "method", method, "route", pattern, "status", "other", NULL);
}

static void write_latency(const struct route_counters *counters, const char *name, struct buffer *buffer)
{
    const char *method = counters->route->method, *pattern = counters->route->pattern;
    char sample[100], bound[24];
    uint64_t below = 0;

    snprintf(sample, sizeof(sample), "%s_bucket", name);
    for (size_t i = 0; i < ARRAY_SIZE(bounds_us); i++) {
        below += counters->buckets[i];
        snprintf(bound, sizeof(bound), "%g", (double)bounds_us[i] / 1e6);
        prometheus_sample(buffer, sample, (double)below, "method", method, "route", pattern, "le", bound, NULL);
    }
    prometheus_sample(buffer, sample, (double)counters->n_total, "method", method, "route", pattern, "le", "+Inf", NULL);
    snprintf(sample, sizeof(sample), "%s_sum", name);
    prometheus_sample(buffer, sample, (double)counters->total_ns / 1e9, "method", method, "route", pattern, NULL);
    snprintf(sample, sizeof(sample), "%s_count", name);
    prometheus_sample(buffer, sample, (double)counters->n_total, "method", method, "route", pattern, NULL);
}

void request_counters_write(const struct request_counters *counters, const char *prefix, struct buffer *buffer)
{
    char name[80];

    snprintf(name, sizeof(name), "%s_requests_total", prefix);
    prometheus_begin(buffer, name, "counter", "Answered requests.");
    write_statuses(&counters->none, name, buffer);
    for (size_t i = 0; i < counters->n_routes; i++)
        write_statuses(counters->routes[i], name, buffer);

    snprintf(name, sizeof(name), "%s_request_duration_seconds", prefix);
    prometheus_begin(buffer, name, "histogram", "From the request line to the answer.");
    for (size_t i = 0; i < counters->n_routes; i++)
        write_latency(counters->routes[i], name, buffer);
}
