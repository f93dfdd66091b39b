#include "weft/api/metrics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "weft/api/api.h"
#include "weft/api/commits.h"
#include "weft/api/hosts.h"
#include "weft/api/identity.h"
#include "weft/api/replica.h"
#include "weft/api/routes.h"
#include "weft/base/util.h"

/* Upper bounds of the latency buckets. */
static const uint64_t bounds_us[] = {100, 250, 500, 1000, 2500, 5000, 10000, 20000, 50000, 100000, 250000, 1000000, 5000000};

#define N_BUCKETS (ARRAY_SIZE(bounds_us) + 1)
#define N_STATUSES 8 /* Different ones counted for each route; the rest is counted as "other". */

struct route_counters {
    uint16_t status[N_STATUSES];
    uint64_t n[N_STATUSES];
    uint64_t n_other;
    uint64_t buckets[N_BUCKETS];
    uint64_t total_ns, n_total;
};

struct metrics {
    struct route_counters none;      /* No route. */
    struct route_counters **routes;  /* Allocated when first used. */
    size_t n_routes;
};

int metrics_new(struct metrics **ret_metrics)
{
    struct metrics *metrics = calloc(1, sizeof(*metrics));

    if (!metrics)
        return -ENOMEM;
    *ret_metrics = metrics;
    return 0;
}

void metrics_free(struct metrics *metrics)
{
    if (!metrics)
        return;
    for (size_t i = 0; i < metrics->n_routes; i++)
        free(metrics->routes[i]);
    free(metrics->routes);
    free(metrics);
}

static struct route_counters *counters_of(struct metrics *metrics, size_t route)
{
    if (route == METRICS_NO_ROUTE)
        return &metrics->none;
    if (route >= metrics->n_routes) {
        struct route_counters **grown = reallocarray(metrics->routes, route + 1, sizeof(*grown));

        if (!grown)
            return NULL;
        memset(grown + metrics->n_routes, 0, (route + 1 - metrics->n_routes) * sizeof(*grown));
        metrics->routes = grown;
        metrics->n_routes = route + 1;
    }
    if (!metrics->routes[route])
        metrics->routes[route] = calloc(1, sizeof(struct route_counters));
    return metrics->routes[route];
}

void metrics_count_request(struct metrics *metrics, size_t route, int status, uint64_t duration_ns)
{
    struct route_counters *counters = metrics ? counters_of(metrics, route) : NULL;
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

static void write_route(struct buffer *buffer, const char *method, const char *pattern, const struct route_counters *counters)
{
    for (size_t i = 0; i < N_STATUSES && counters->status[i]; i++)
        buffer_printf(buffer, "weft_api_requests_total{method=\"%s\",route=\"%s\",status=\"%u\"} %llu\n", method, pattern,
                      counters->status[i], (unsigned long long)counters->n[i]);
    if (counters->n_other)
        buffer_printf(buffer, "weft_api_requests_total{method=\"%s\",route=\"%s\",status=\"other\"} %llu\n", method, pattern,
                      (unsigned long long)counters->n_other);
}

static void write_latency(struct buffer *buffer, const char *method, const char *pattern, const struct route_counters *counters)
{
    uint64_t below = 0;

    if (!counters->n_total)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(bounds_us); i++) {
        below += counters->buckets[i];
        buffer_printf(buffer, "weft_api_request_duration_seconds_bucket{method=\"%s\",route=\"%s\",le=\"%g\"} %llu\n", method, pattern,
                      (double)bounds_us[i] / 1e6, (unsigned long long)below);
    }
    buffer_printf(buffer, "weft_api_request_duration_seconds_bucket{method=\"%s\",route=\"%s\",le=\"+Inf\"} %llu\n", method, pattern,
                  (unsigned long long)counters->n_total);
    buffer_printf(buffer, "weft_api_request_duration_seconds_sum{method=\"%s\",route=\"%s\"} %.6f\n", method, pattern,
                  (double)counters->total_ns / 1e9);
    buffer_printf(buffer, "weft_api_request_duration_seconds_count{method=\"%s\",route=\"%s\"} %llu\n", method, pattern,
                  (unsigned long long)counters->n_total);
}

static void write_number(struct buffer *buffer, const char *name, const char *type, const char *help, double value)
{
    buffer_printf(buffer, "# HELP %s %s\n# TYPE %s %s\n%s %.15g\n", name, help, name, type, name, value);
}

static uint64_t resident_bytes(void)
{
    unsigned long long resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");

    if (!file)
        return 0;
    if (fscanf(file, "%*s %llu", &resident) != 1)
        resident = 0;
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

int metrics_write(const struct api *api, struct buffer *buffer)
{
    const struct metrics *metrics = api->metrics;
    struct commits_counters commits = commits_counters(api->commits);
    struct hosts_counters hosts = hosts_counters(api->hosts);
    struct identity_counters identity = identity_counters(api->identity);

    buffer_printf(buffer, "# HELP weft_api_build_info The version.\n# TYPE weft_api_build_info gauge\nweft_api_build_info{version=\"%s\"} 1\n",
                  WEFT_VERSION);

    buffer_append_string(buffer, "# HELP weft_api_requests_total Answered requests.\n# TYPE weft_api_requests_total counter\n");
    write_route(buffer, "", "", &metrics->none);
    for (size_t i = 0; i < metrics->n_routes; i++)
        if (metrics->routes[i])
            write_route(buffer, routes_get(api->routes, i)->method, routes_get(api->routes, i)->pattern, metrics->routes[i]);

    buffer_append_string(buffer, "# HELP weft_api_request_duration_seconds From the request line to the answer.\n"
                                 "# TYPE weft_api_request_duration_seconds histogram\n");
    for (size_t i = 0; i < metrics->n_routes; i++)
        if (metrics->routes[i])
            write_latency(buffer, routes_get(api->routes, i)->method, routes_get(api->routes, i)->pattern, metrics->routes[i]);

    buffer_append_string(buffer, "# HELP weft_store_transactions_total Transactions by outcome.\n# TYPE weft_store_transactions_total counter\n");
    buffer_printf(buffer, "weft_store_transactions_total{outcome=\"committed\"} %llu\n", (unsigned long long)commits.n_committed);
    buffer_printf(buffer, "weft_store_transactions_total{outcome=\"conflict\"} %llu\n", (unsigned long long)commits.n_conflicts);
    buffer_printf(buffer, "weft_store_transactions_total{outcome=\"failed\"} %llu\n", (unsigned long long)commits.n_failed);
    write_number(buffer, "weft_store_commit_seconds_total", "counter", "Time from submission to durable, summed over transactions.",
                 (double)commits.total_ns / 1e9);
    write_number(buffer, "weft_store_pending_transactions", "gauge", "Submitted and not yet durable.", (double)commits.n_pending);
    write_number(buffer, "weft_store_revision", "gauge", "Revision of the latest transaction.", (double)store_revision(api->store));
    write_number(buffer, "weft_replica_revision", "gauge", "Revision that reads are answered from.", (double)replica_revision(api->replica));

    buffer_append_string(buffer, "# HELP weft_objects Objects by kind.\n# TYPE weft_objects gauge\n");
    for (enum resource_kind kind = 0; kind < RESOURCE_N_KINDS; kind++) {
        size_t n;

        replica_list(api->replica, kind, &n);
        buffer_printf(buffer, "weft_objects{kind=\"%s\"} %zu\n", resource_name(kind), n);
    }

    buffer_append_string(buffer, "# HELP weft_hosts Hosts by state.\n# TYPE weft_hosts gauge\n");
    buffer_printf(buffer, "weft_hosts{state=\"up\"} %zu\nweft_hosts{state=\"down\"} %zu\nweft_hosts{state=\"new\"} %zu\n", hosts.n_up,
                  hosts.n_down, hosts.n_new);
    write_number(buffer, "weft_watchers", "gauge", "Open watch streams.", (double)hosts.n_watchers);
    write_number(buffer, "weft_watch_bytes_total", "counter", "Bytes sent on watch streams.", (double)hosts.n_bytes);
    write_number(buffer, "weft_watch_cut_total", "counter", "Watch streams cut because the agent did not read.", (double)hosts.n_cut);
    write_number(buffer, "weft_identity_tokens", "gauge", "Tokens that have not expired.", (double)identity.n_tokens);
    write_number(buffer, "weft_identity_logins_total", "counter", "Tokens issued.", (double)identity.n_logins);
    write_number(buffer, "weft_identity_failed_logins_total", "counter", "Logins refused.", (double)identity.n_failed_logins);
    write_number(buffer, "process_resident_memory_bytes", "gauge", "Resident memory.", (double)resident_bytes());
    return buffer->data ? 0 : -ENOMEM;
}
