/* Reports to the API: which ports are active, which revision is applied, where this host's tunnels end. */
#include <stdio.h>
#include <string.h>

#include "weft/agent/agent.h"
#include "weft/agent/balancing.h"
#include "weft/agent/member-health.h"
#include "weft/agent/shortages.h"
#include "weft/agent/uplinks.h"
#include "weft/base/log.h"

#define REPORT_INTERVAL_MS 10000
#define REPORT_RETRY_MS 500
#define NEWS_INTERVAL_MS 1000

static void report_timer_fired(uv_timer_t *timer)
{
    struct agent *agent = timer->data;

    maps_sweep_learned(agent->maps);
    agent_report(agent, true);
}

static void news_timer_fired(uv_timer_t *timer)
{
    struct agent *agent = timer->data;

    agent->counts_are_due = true;
    agent_report(agent, false);
}

void agent_report_start(struct agent *agent)
{
    uv_timer_start(&agent->news_timer, news_timer_fired, NEWS_INTERVAL_MS, NEWS_INTERVAL_MS);
    uv_timer_start(&agent->report_timer, report_timer_fired, REPORT_INTERVAL_MS, REPORT_INTERVAL_MS);
}

static void reported(int status, void *context)
{
    struct agent *agent = context;

    agent->reporting = false;
    if (status == 204 || status == 200) {
        HASHMAP_FOREACH(node, &agent->ports)
            CONTAINER_OF(node, struct agent_port, by_id)->reported = true;
        if (agent->report_again)
            agent_report(agent, false);
        return;
    }
    HASHMAP_FOREACH(node, &agent->ports) /* Nobody knows what arrived: everything again. */
        CONTAINER_OF(node, struct agent_port, by_id)->reported = false;
    member_health_report_lost(agent);
    shortages_report_lost(agent);
    if (status)
        log_warning("the API answered a report with HTTP %d", status);
    if (api_is_connected(agent->api))
        uv_timer_start(&agent->report_timer, report_timer_fired, REPORT_RETRY_MS, REPORT_INTERVAL_MS);
}

/* Ports whose state the API does not know; marks them as told. */
static json_t *changed_ports(struct agent *agent)
{
    json_t *ports = json_object();

    HASHMAP_FOREACH(node, &agent->ports) {
        struct agent_port *port = CONTAINER_OF(node, struct agent_port, by_id);

        if (port->reported && port->reported_active == port->active)
            continue;
        json_object_set_new(ports, port->id, json_string(port->active ? "ACTIVE" : "DOWN"));
        port->reported_active = port->active;
    }
    return ports;
}

void agent_report(struct agent *agent, bool all)
{
    char path[400], address[IP_TEXT_SIZE];
    json_t *ports, *physical_networks, *members, *left_out, *body;
    bool counts_are_due;

    if (!agent->api || !api_is_connected(agent->api) || !agent->replica.synced)
        return;
    if (agent->reporting) {
        agent->report_again = true;
        return;
    }
    agent->report_again = false;
    counts_are_due = agent->counts_are_due;
    agent->counts_are_due = false;
    left_out = shortages_report(agent, agent->greeting);
    all = all || agent->greeting;
    agent->greeting = false;
    ports = changed_ports(agent);
    physical_networks = uplinks_report(agent->uplinks);
    members = member_health_report(agent, all);
    if (!all && !members && !left_out && json_object_size(ports) == 0 && json_equal(physical_networks, agent->reported_physical_networks) &&
        !balancing_is_news(agent, counts_are_due)) {
        json_decref(ports);
        json_decref(physical_networks);
        return;
    }
    body = json_pack("{s:I, s:i, s:s, s:o}", "applied_revision", (json_int_t)agent->applied_revision, "underlay_mtu",
                     (int)agent->underlay_mtu, "version", WEFT_VERSION, "ports", ports);
    if (!ip_is_zero(&agent->tunnel_address))
        json_object_set_new(body, "tunnel_address", json_string(ip_format(&agent->tunnel_address, address)));
    json_object_set(body, "physical_networks", physical_networks);
    json_object_set_new(body, "snat_usage", uplinks_snat_usage(agent));
    if (members) {
        json_object_set_new(body, "members", members);
        json_object_set_new(body, "all_members", json_boolean(all ? 1 : 0));
    }
    if (left_out)
        json_object_set_new(body, "left_out", left_out);
    json_decref(agent->reported_listeners);
    agent->reported_listeners = balancing_report(agent);
    agent->reported_revision = agent->applied_revision;
    json_object_set(body, "listeners", agent->reported_listeners);
    json_decref(agent->reported_physical_networks);
    agent->reported_physical_networks = physical_networks;
    snprintf(path, sizeof(path), "/weft/v1/hosts/%s/status", agent->options.host);
    agent->reporting = true;
    api_send(agent->api, "PUT", path, body, reported, agent);
}
