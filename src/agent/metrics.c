/* GET /metrics: see metrics.h. */
#include "weft/agent/metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/agent/member-gone.h"
#include "weft/agent/member-health.h"
#include "weft/agent/neighbors-outside.h"
#include "weft/agent/punt.h"
#include "weft/agent/shortages.h"
#include "weft/agent/uplinks.h"
#include "weft/agent/verdicts.h"
#include "weft/base/buffer.h"
#include "weft/http/health.h"
#include "weft/http/http.h"
#include "weft/http/prometheus.h"

#define MAX_CLIENTS 64

struct metrics {
    struct http_service service;
    struct http *http;
};

/* ---- the text ------------------------------------------------------------------------------------------------------------ */

static void write_tables(const struct agent *agent, struct buffer *text)
{
    const struct desired *actual = maps_actual(agent->maps);

    prometheus_begin(text, "weft_agent_table_rows", "gauge", "Rows of the data plane's tables that the agent writes.");
    for (int table = 0; table < N_DESIRED_TABLES; table++)
        prometheus_sample(text, "weft_agent_table_rows", (double)actual->tables[table].n, "table", desired_table_name(table), NULL);
    for (int space = 0; space < N_NUMBER_SPACES; space++)
        prometheus_sample(text, "weft_agent_table_rows", (double)agent->local.slots[shortages_slots(space)].by_name.n_nodes, "table",
                          shortage_table_name(SHORTAGE_OF_NUMBERS + (uint32_t)space), NULL);
}

static void write_ports(const struct agent *agent, struct buffer *text)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } counters[] = {
        {"weft_port_tx_packets_total", "Frames that the workload sent.", offsetof(struct port_counters, tx_packets)},
        {"weft_port_tx_bytes_total", "Bytes that the workload sent.", offsetof(struct port_counters, tx_bytes)},
        {"weft_port_rx_packets_total", "Frames that the workload was given.", offsetof(struct port_counters, rx_packets)},
        {"weft_port_rx_bytes_total", "Bytes that the workload was given.", offsetof(struct port_counters, rx_bytes)},
    };

    for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
        prometheus_begin(text, counters[i].name, "counter", counters[i].help);
        HASHMAP_FOREACH(node, &agent->ports) {
            const struct agent_port *port = CONTAINER_OF(node, struct agent_port, by_id);
            const struct port *model = agent_model_port(agent, port);
            struct port_counters values;
            __u64 value;

            if (!model || maps_port_counters(agent->maps, port->slot, &values) < 0)
                continue;
            memcpy(&value, (const char *)&values + counters[i].offset, sizeof(value));
            prometheus_sample(text, counters[i].name, (double)value, "port", port->id, "network", model->network_id, "project",
                              model->object.project_id, NULL);
        }
    }
}

static void write_slot_drops(const struct agent *agent, uint32_t slot, const char *port, struct buffer *text)
{
    struct port_counters values;

    if (maps_port_counters(agent->maps, slot, &values) < 0)
        return;
    for (unsigned reason = 1; drop_reason_name(reason); reason++)
        if (values.drops[reason])
            prometheus_sample(text, "weft_drops_total", (double)values.drops[reason], "port", port, "reason", drop_reason_name(reason), NULL);
}

static void write_drops(const struct agent *agent, struct buffer *text)
{
    prometheus_begin(text, "weft_drops_total", "counter", "Frames dropped, by reason; an empty port is for those that belong to none.");
    write_slot_drops(agent, 0, "", text);
    HASHMAP_FOREACH(node, &agent->ports) {
        const struct agent_port *port = CONTAINER_OF(node, struct agent_port, by_id);

        write_slot_drops(agent, port->slot, port->id, text);
    }
}

static void write_members(const struct agent *agent, struct buffer *text)
{
    struct member_health_counts counts;

    member_health_counts(agent, &counts);
    prometheus_begin(text, "weft_agent_members", "gauge", "Members of load balancers that this host watches, by their health.");
    prometheus_sample(text, "weft_agent_members", counts.n_up, "health", "up", NULL);
    prometheus_sample(text, "weft_agent_members", counts.n_down, "health", "down", NULL);
    prometheus_sample(text, "weft_agent_members", counts.n_unknown, "health", "unknown", NULL);
    prometheus_single(text, "weft_agent_probes_total", "counter", "Health probes that have ended.", (double)counts.probes.n_probes);
    prometheus_single(text, "weft_agent_probes_failed_total", "counter", "Of these, those that a member failed.", (double)counts.probes.n_failed);
    prometheus_single(text, "weft_agent_probes_not_asked_total", "counter", "Of these, those that this host could not ask.", (double)counts.probes.n_not_asked);
    prometheus_single(text, "weft_agent_probes_running", "gauge", "Health probes at work.", counts.probes.n_running);
    prometheus_single(text, "weft_agent_probes_waiting", "gauge", "Health probes that are due and wait for their turn.", counts.probes.n_waiting);
    prometheus_single(text, "weft_agent_probes_latest_milliseconds", "gauge", "The longest that one has waited for it.", counts.probes.latest_ms);
    prometheus_single(text, "weft_agent_clients_told_total", "counter", "Clients here that were told that their member is gone, while they were silent.",
                      (double)member_gone_count(agent));
}

static int write_metrics(void *context, struct buffer *text)
{
    const struct agent *agent = context;
    const struct punt_counters *punt = punt_counters(agent->punt);
    struct verdict_counters logged = verdicts_counters(agent);
    unsigned n_active = 0;

    HASHMAP_FOREACH(node, &agent->ports)
        n_active += CONTAINER_OF(node, struct agent_port, by_id)->active;
    prometheus_begin(text, "weft_agent_info", "gauge", "The agent's version and host.");
    prometheus_sample(text, "weft_agent_info", 1, "version", WEFT_VERSION, "host", agent->options.host, NULL);
    prometheus_single(text, "weft_agent_api_connected", "gauge", "Is there a watch stream from the API?", api_is_connected(agent->api));
    prometheus_single(text, "weft_agent_revision", "gauge", "The store's revision that the agent knows of.", (double)agent->replica.revision);
    prometheus_single(text, "weft_agent_applied_revision", "gauge", "The store's revision that the tables reflect.", (double)agent->applied_revision);
    prometheus_single(text, "weft_agent_not_understood", "gauge", "Objects of the API that this agent cannot read.",
                      (double)agent->replica.strangers.n_nodes);
    prometheus_single(text, "weft_agent_unknown_kinds_total", "counter", "Objects passed over: of a kind that this agent does not know.",
                      (double)agent->replica.n_unknown_kinds);
    prometheus_single(text, "weft_agent_ports", "gauge", "Ports bound to this host.", (double)agent->ports.n_nodes);
    prometheus_single(text, "weft_agent_ports_active", "gauge", "Ports bound to this host and plugged.", n_active);
    prometheus_single(text, "weft_agent_hosts", "gauge", "Other hosts.", (double)agent->hosts.n_nodes);
    prometheus_single(text, "weft_agent_update_milliseconds", "gauge", "What the last update of the data plane took.", (double)agent->update_took_ms);
    prometheus_single(text, "weft_agent_punted_total", "counter", "Packets that the data plane left to the agent.", (double)punt->events);
    prometheus_single(text, "weft_agent_replies_total", "counter", "DHCP, router advertisement and ICMP answers sent.", (double)punt->replies);
    const struct outside_counters *outside = uplinks_outside_counters(agent->uplinks);
    prometheus_single(text, "weft_agent_next_hop_moves_total", "counter", "Stations outside that were believed another MAC.", (double)outside->moves);
    prometheus_single(text, "weft_agent_next_hop_moves_held_total", "counter",
                      "Answers of stations outside with another MAC, too soon after the one before.", (double)outside->held);
    prometheus_single(text, "weft_agent_log_lines_total", "counter", "Lines written to the network log.", (double)logged.n_written);
    prometheus_single(text, "weft_agent_log_lost_total", "counter", "Lines that could not be written to the network log.", (double)logged.n_lost);
    prometheus_single(text, "weft_agent_log_left_out_total", "counter", "Events over their ports' rate in the network log.", (double)logged.n_left_out);
    write_members(agent, text);
    write_tables(agent, text);
    shortages_write_metrics(agent, text);
    write_ports(agent, text);
    write_drops(agent, text);
    return text->data ? 0 : -ENOMEM;
}

/* ---- serving it -------------------------------------------------------------------------------------------------------------- */

int metrics_start(struct agent *agent, const char *listen, struct error *error)
{
    struct http_options options = {.listen = listen, .listen_option = "metrics-listen", .max_connections = MAX_CLIENTS};
    struct metrics *metrics = calloc(1, sizeof(*metrics));
    struct error reason = {0};
    int result;

    if (!metrics)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    agent->metrics = metrics;
    metrics->service.context = agent;
    metrics->service.write_metrics = write_metrics;
    result = routes_new(&metrics->service.routes);
    if (result == 0)
        result = health_add_metrics(metrics->service.routes);
    if (result < 0)
        return error_set(error, result, NULL, "out of memory");
    result = http_new(&agent->loop, &metrics->service, &options, &metrics->http, &reason);
    return result < 0 ? error_set(error, result, reason.field, "%s: %s", reason.field, reason.message) : 0;
}

void metrics_stop(struct agent *agent)
{
    if (!agent->metrics)
        return;
    http_free(agent->metrics->http);
    routes_free(agent->metrics->service.routes);
    free(agent->metrics);
    agent->metrics = NULL;
}
