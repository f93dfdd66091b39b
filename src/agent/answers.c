/* Questions about this host's data plane, from the API or agent.sock: docs/agent-protocol.md. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "weft/agent/agent.h"
#include "weft/agent/connections.h"
#include "weft/agent/member-health.h"
#include "weft/agent/serve.h"
#include "weft/agent/timeouts.h"
#include "weft/agent/trace.h"
#include "weft/agent/verdicts.h"
#include "weft/compiler/format.h"


/* ---- which ports ----------------------------------------------------------------------------------------------------------- */

typedef int (*visit_port)(struct agent *agent, const struct agent_port *port, json_t *answer);

/* Calls 'visit' for the ports of {"ports": [...]} or {"port": ...}; for all when neither is given. */
static int for_ports(struct agent *agent, const json_t *arguments, visit_port visit, json_t *answer, struct error *error)
{
    const json_t *ids = json_object_get(arguments, "ports"), *id = json_object_get(arguments, "port");
    size_t index;
    json_t *entry;
    int result = 0;

    if (json_is_string(id)) {
        const struct agent_port *port = agent_find_port(agent, json_string_value(id));

        if (!port)
            return error_set(error, -ENOENT, "port", "port: '%s' is not on host '%s'", json_string_value(id), agent->options.host);
        return visit(agent, port, answer);
    }
    if (json_is_array(ids)) {
        json_array_foreach (ids, index, entry) {
            const struct agent_port *port = json_is_string(entry) ? agent_find_port(agent, json_string_value(entry)) : NULL;

            if (port && result == 0)
                result = visit(agent, port, answer);
        }
        return result;
    }
    HASHMAP_FOREACH(node, &agent->ports)
        result = result ? result : visit(agent, CONTAINER_OF(node, struct agent_port, by_id), answer);
    return result;
}

/* ---- counters, drops --------------------------------------------------------------------------------------------------------- */

static int add_counters(struct agent *agent, const struct agent_port *port, json_t *answer)
{
    struct port_counters counters;
    json_int_t dropped = 0;
    int result = maps_port_counters(agent->maps, port->slot, &counters);

    if (result < 0)
        return result;
    for (int reason = 0; reason < MAX_DROP_REASONS; reason++)
        dropped += (json_int_t)counters.drops[reason];
    return json_array_append_new(answer, json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "port", port->id, "interface",
                                                   port->interface, "tx_packets", (json_int_t)counters.tx_packets, "tx_bytes",
                                                   (json_int_t)counters.tx_bytes, "rx_packets", (json_int_t)counters.rx_packets,
                                                   "rx_bytes", (json_int_t)counters.rx_bytes, "dropped", dropped));
}

static json_t *answer_counters(struct agent *agent, const json_t *arguments, struct error *error)
{
    json_t *list = json_array();
    int result = for_ports(agent, arguments, add_counters, list, error);

    if (result < 0) {
        json_decref(list);
        error_set(error, result, NULL, "cannot read counters: %s", strerror(-result));
        return NULL;
    }
    return json_pack("{s:o}", "counters", list);
}

static int add_slot_drops(struct agent *agent, uint32_t slot, const char *port_id, json_t *answer)
{
    struct port_counters counters;
    int result = maps_port_counters(agent->maps, slot, &counters);

    for (unsigned reason = 1; result == 0 && reason < MAX_DROP_REASONS && drop_reason_name(reason); reason++)
        if (counters.drops[reason])
            result = json_array_append_new(answer, json_pack("{s:s?, s:s, s:s, s:I}", "port", port_id, "reason",
                                                             drop_reason_name(reason), "text", drop_reason_text(reason),
                                                             "packets", (json_int_t)counters.drops[reason]));
    return result;
}

static int add_drops(struct agent *agent, const struct agent_port *port, json_t *answer)
{
    return add_slot_drops(agent, port->slot, port->id, answer);
}

static json_t *answer_drops(struct agent *agent, const json_t *arguments, struct error *error)
{
    json_t *list = json_array();
    bool all = !json_is_array(json_object_get(arguments, "ports")) && !json_is_string(json_object_get(arguments, "port"));
    int result = for_ports(agent, arguments, add_drops, list, error);

    if (result == 0 && all)
        result = add_slot_drops(agent, 0, NULL, list);
    if (result < 0) {
        json_decref(list);
        error_set(error, result, NULL, "cannot read drops: %s", strerror(-result));
        return NULL;
    }
    return json_pack("{s:o}", "drops", list);
}

/* ---- flows: the connections of a port, as they were asked for before 'connections' ---------------------------------------------------- */

static json_t *answer_flows(struct agent *agent, const json_t *arguments, struct error *error)
{
    json_t *answer = connections_list(agent, arguments, error);

    if (answer) {
        json_object_set(answer, "flows", json_object_get(answer, "connections"));
        json_object_del(answer, "connections");
    }
    return answer;
}

/* ---- status, tables ------------------------------------------------------------------------------------------------------------------ */

static json_t *answer_status(struct agent *agent, const json_t *arguments, struct error *error)
{
    char address[IP_TEXT_SIZE];
    struct verdict_counters logged = verdicts_counters(agent);
    json_t *ports = json_array(), *strangers = json_array(), *projects = json_array(), *answer;

    HASHMAP_FOREACH(node, &agent->local.slots[SLOT_PROJECT].by_name) {
        const struct slot *slot = CONTAINER_OF(node, struct slot, by_name);
        uint32_t n_learned, n_not_learned;

        maps_project_learned(agent->maps, slot->number, &n_learned, &n_not_learned);
        if (n_learned || n_not_learned)
            json_array_append_new(projects, json_pack("{s:s, s:I, s:I}", "project", slot->name, "learned_macs", (json_int_t)n_learned,
                                                      "not_learned", (json_int_t)n_not_learned));
    }
    HASHMAP_FOREACH(node, &agent->replica.strangers) {
        const struct replica_stranger *stranger = CONTAINER_OF(node, struct replica_stranger, by_id);

        json_array_append_new(strangers, json_pack("{s:s, s:s}", "id", stranger->id, "why", stranger->why));
    }
    HASHMAP_FOREACH(node, &agent->ports) {
        const struct agent_port *port = CONTAINER_OF(node, struct agent_port, by_id);

        json_array_append_new(ports, json_pack("{s:s, s:s?, s:i, s:s}", "id", port->id, "interface",
                                               port->ifindex ? port->interface : NULL, "slot", (int)port->slot, "status",
                                               port->active ? "ACTIVE" : "DOWN"));
    }
    answer = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:I, s:I, s:s, s:i, s:i, s:o, s:o, s:I, s:o, s:o, s:I, s:o, s:{s:I, s:I, s:I, s:I, s:I}}", "host", agent->options.host, "version",
                       WEFT_VERSION, "api", api_is_connected(agent->api) ? "connected" : "disconnected", "api_url",
                       api_url(agent->api), "api_failure", api_last_failure(agent->api), "synced", agent->replica.synced,
                       "revision", (json_int_t)agent->replica.revision, "applied_revision", (json_int_t)agent->applied_revision,
                       "tunnel_address", ip_format(&agent->tunnel_address, address), "underlay_mtu", (int)agent->underlay_mtu,
                       "n_hosts", (int)agent->hosts.n_nodes, "served",
                       serve_status(agent), "not_understood", strangers, "unknown_kinds",
                       (json_int_t)agent->replica.n_unknown_kinds, "projects", projects, "ports", ports, "max_connections",
                       (json_int_t)maps_sizes(agent->maps).n_connections, "timeouts", timeouts_describe(maps_settings(agent->maps)),
                       "network_log", "events", (json_int_t)logged.n_events, "unwanted", (json_int_t)logged.n_unwanted, "left_out",
                       (json_int_t)logged.n_left_out, "written", (json_int_t)logged.n_written, "lost", (json_int_t)logged.n_lost);
    return answer;
}

/* What the tables hold, as text: for people who look for a fault. */
static json_t *answer_tables(struct agent *agent, const json_t *arguments, struct error *error)
{
    struct buffer text = {0};
    json_t *answer = NULL;

    if (format_desired(maps_actual(agent->maps), &text) == 0 && format_shortages(&agent->desired, &text) == 0)
        answer = json_pack("{s:s#}", "tables", text.data ? text.data : "", text.size);
    buffer_clear(&text);
    return answer;
}

json_t *agent_answer(struct agent *agent, const char *operation, const json_t *arguments, struct error *error)
{
    static const struct {
        const char *name;
        json_t *(*answer)(struct agent *agent, const json_t *arguments, struct error *error);
    } operations[] = {
        {"status", answer_status}, {"counters", answer_counters}, {"drops", answer_drops},
        {"flows", answer_flows},   {"connections", connections_list}, {"delete_connections", connections_delete}, {"tables", answer_tables},     {"trace", agent_trace},
        {"log", verdicts_answer},   {"member_health", member_health_answer},
    };

    for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
        if (streq(operation, operations[i].name)) {
            json_t *answer = operations[i].answer(agent, arguments, error);

            if (!answer)
                error_set(error, -ENOMEM, NULL, "out of memory");
            return answer;
        }
    error_set(error, -EINVAL, "operation", "operation: '%s' is not known to this agent", operation);
    return NULL;
}
