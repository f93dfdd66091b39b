/* See metrics.h. */
#include "weft/director/metrics.h"

#include <errno.h>
#include <stdlib.h>

#include "weft/base/buffer.h"
#include "weft/director/runtime-state.h"
#include "weft/http/health.h"
#include "weft/http/http.h"
#include "weft/http/prometheus.h"

#define MAX_CLIENTS 16

struct director_metrics {
    struct http_service service;
    struct http *http;
};

/* ---- the text ---------------------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name, *help; /* Behind "weft_director_service_" and "weft_director_server_". */
    size_t offset;
} counters[] = {
    {"connections_total", "Connections begun.", offsetof(struct lb_counters, connections)},
    {"in_packets_total", "Packets of clients.", offsetof(struct lb_counters, in_packets)},
    {"in_bytes_total", "Bytes of clients' IP packets.", offsetof(struct lb_counters, in_bytes)},
    {"out_packets_total", "Packets to clients that came back by the director.", offsetof(struct lb_counters, out_packets)},
    {"out_bytes_total", "Bytes of such IP packets.", offsetof(struct lb_counters, out_bytes)},
};

static double value_of(const struct lb_counters *total, size_t counter)
{
    __u64 value;

    memcpy(&value, (const char *)total + counters[counter].offset, sizeof(value));
    return (double)value;
}

static void begin(struct buffer *text, const char *of, size_t counter)
{
    char name[64];

    snprintf(name, sizeof(name), "weft_director_%s_%s", of, counters[counter].name);
    prometheus_begin(text, name, "counter", counters[counter].help);
}

static void write_services(const struct director *director, struct buffer *text)
{
    for (size_t counter = 0; counter < ARRAY_SIZE(counters); counter++) {
        begin(text, "service", counter);
        for (size_t i = 0; i < director->config->n_services; i++) {
            const struct applied_service *service = applied_find(director->applied, &director->config->services[i]);
            struct lb_counters total = service ? applied_service_total(director->applied, service) : (struct lb_counters){0};
            char name[64], key[SERVICE_TEXT_SIZE];

            snprintf(name, sizeof(name), "weft_director_service_%s", counters[counter].name);
            prometheus_sample(text, name, value_of(&total, counter), "service", virtual_service_format(&director->config->services[i], key), NULL);
        }
    }
    prometheus_begin(text, "weft_director_service_quorum", "gauge", "Has the service its quorum?");
    for (size_t i = 0; i < director->config->n_services; i++) {
        char key[SERVICE_TEXT_SIZE];

        prometheus_sample(text, "weft_director_service_quorum", director_health_service(director->health, i)->has_quorum, "service",
                          virtual_service_format(&director->config->services[i], key), NULL);
    }
}

/* Calls 'write' for each server of each service; the one of the tables is NULL if it is out. */
static void each_server(const struct director *director, struct buffer *text,
                        void (*write)(const struct director *, const struct applied_server *, bool is_up, size_t counter, const char *service,
                                      const char *server, struct buffer *text),
                        size_t counter)
{
    for (size_t i = 0; i < director->config->n_services; i++) {
        const struct virtual_service *virtual = &director->config->services[i];
        const struct applied_service *service = applied_find(director->applied, virtual);
        const struct judged_service *judged = director_health_service(director->health, i);
        char key[SERVICE_TEXT_SIZE], id[SERVICE_TEXT_SIZE];

        for (size_t j = 0; j < virtual->n_servers; j++) {
            const struct applied_server *server = service ? applied_find_server(service, &virtual->servers[j]) : NULL;

            write(director, server && server->number != LB_NONE ? server : NULL, judged->servers[j].is_up, counter,
                  virtual_service_format(virtual, key), real_server_format(&virtual->servers[j], id), text);
        }
    }
}

static void write_counter(const struct director *director, const struct applied_server *server, bool is_up, size_t counter, const char *service,
                          const char *id, struct buffer *text)
{
    struct lb_counters total = server ? applied_server_total(director->applied, server) : (struct lb_counters){0};
    char name[64];

    snprintf(name, sizeof(name), "weft_director_server_%s", counters[counter].name);
    prometheus_sample(text, name, value_of(&total, counter), "service", service, "server", id, NULL);
}

static void write_up(const struct director *director, const struct applied_server *server, bool is_up, size_t counter, const char *service,
                     const char *id, struct buffer *text)
{
    prometheus_sample(text, "weft_director_server_up", is_up, "service", service, "server", id, NULL);
}

static void write_weight(const struct director *director, const struct applied_server *server, bool is_up, size_t counter, const char *service,
                         const char *id, struct buffer *text)
{
    prometheus_sample(text, "weft_director_server_weight", server ? server->weight : 0, "service", service, "server", id, NULL);
}

static void write_active(const struct director *director, const struct applied_server *server, bool is_up, size_t counter, const char *service,
                         const char *id, struct buffer *text)
{
    prometheus_sample(text, "weft_director_server_active", server ? lb_count(director->tables->server_load[server->number].active) : 0, "service", service,
                      "server", id, NULL);
}

static void write_servers(const struct director *director, struct buffer *text)
{
    for (size_t counter = 0; counter < ARRAY_SIZE(counters); counter++) {
        begin(text, "server", counter);
        each_server(director, text, write_counter, counter);
    }
    prometheus_begin(text, "weft_director_server_up", "gauge", "Do the server's checks pass?");
    each_server(director, text, write_up, 0);
    prometheus_begin(text, "weft_director_server_weight", "gauge", "The weight that it has in the tables; 0 if it is out.");
    each_server(director, text, write_weight, 0);
    prometheus_begin(text, "weft_director_server_active", "gauge", "Established connections that are remembered.");
    each_server(director, text, write_active, 0);
}

static void write_drops(const struct director *director, struct buffer *text)
{
    static const char *const reasons[] = {
        "",
#define DROP_REASON(name, text) #name,
#include "weft/director/drop-reasons.def"
#undef DROP_REASON
    };
    struct lb_drops drops = {0};

    lb_read_drops(director->tables, &drops);
    prometheus_begin(text, "weft_director_drops_total", "counter", "Packets dropped, by reason.");
    for (size_t i = 1; i < ARRAY_SIZE(reasons); i++)
        prometheus_sample(text, "weft_director_drops_total", (double)drops.packets[i], "reason", reasons[i], NULL);
}

static void write_peer(const struct director *director, struct buffer *text)
{
    struct peer_state state = peer_state(director->peer);

    prometheus_single(text, "weft_director_peer_heard", "gauge", "Was the other director heard in the last five seconds?", state.is_heard);
    prometheus_single(text, "weft_director_peer_told_total", "counter", "Connections, and what became of them, told the other director.", (double)state.n_told);
    prometheus_single(text, "weft_director_peer_taken_total", "counter", "Those of the other director that were taken.", (double)state.n_taken);
    prometheus_single(text, "weft_director_peer_left_total", "counter", "Those that were not: no such service or server, or no room.", (double)state.n_left);
    prometheus_single(text, "weft_director_peer_refused_total", "counter", "Datagrams of nobody who has the key, or that were there before.", (double)state.n_refused);
}

static int write_metrics(void *context, struct buffer *text)
{
    const struct director *director = context;

    prometheus_begin(text, "weft_director_info", "gauge", "The director's version.");
    prometheus_sample(text, "weft_director_info", 1, "version", WEFT_VERSION, NULL);
    prometheus_single(text, "weft_director_config_refused", "gauge", "Does the file ask for what is not done?", director->config_error[0] != 0);
    if (director->peer)
        write_peer(director, text);
    if (director->config && director->applied) {
        prometheus_single(text, "weft_director_connections", "gauge", "Connections that are remembered.", lb_read_connections(director->tables));
        write_services(director, text);
        write_servers(director, text);
        write_drops(director, text);
    }
    return text->data ? 0 : -ENOMEM;
}

/* ---- serving it ------------------------------------------------------------------------------------------------------------------- */

int director_metrics_new(struct director *director, const char *listen, struct director_metrics **ret, struct error *error)
{
    struct http_options options = {.listen = listen, .listen_option = "metrics-listen", .max_connections = MAX_CLIENTS};
    struct director_metrics *metrics = calloc(1, sizeof(*metrics));
    struct error reason = {0};
    int result;

    if (!metrics)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    metrics->service.context = director;
    metrics->service.write_metrics = write_metrics;
    result = routes_new(&metrics->service.routes);
    if (result == 0)
        result = health_add_metrics(metrics->service.routes);
    if (result < 0)
        error_set(error, result, NULL, "out of memory");
    if (result == 0 && (result = http_new(&director->loop, &metrics->service, &options, &metrics->http, &reason)) < 0)
        error_set(error, result, reason.field, "%s: %s", reason.field, reason.message);
    if (result < 0)
        director_metrics_free(metrics);
    else
        *ret = metrics;
    return result;
}

void director_metrics_free(struct director_metrics *metrics)
{
    if (!metrics)
        return;
    http_free(metrics->http);
    routes_free(metrics->service.routes);
    free(metrics);
}
