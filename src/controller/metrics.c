#include <errno.h>

#include "weft/base/util.h"
#include "weft/controller/status.h"
#include "weft/fabric/state.h"
#include "weft/http/http.h"
#include "weft/http/prometheus.h"

static void write_events(struct buffer *text, const struct fabric_counters *counters)
{
    prometheus_begin(text, "weft_fabric_events_total", "counter", "What happened in the fabric, by kind.");
    for (int i = 0; i < N_FABRIC_EVENTS; i++)
        prometheus_sample(text, "weft_fabric_events_total", (double)counters->events[i], "event", fabric_event_info((enum fabric_event)i)->name, NULL);
    prometheus_begin(text, "weft_fabric_drops_total", "counter", "Packets that switches sent up and that went no further, by reason.");
    for (int i = 0; i < N_FABRIC_DROPS; i++)
        prometheus_sample(text, "weft_fabric_drops_total", (double)counters->drops[i], "reason", fabric_drop_name((enum fabric_drop)i), NULL);
}

static void write_switches(struct buffer *text, const struct fabric *fabric)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } counters[] = {
        {"weft_fabric_switch_packet_ins_total", "Packets that a switch sent up.", offsetof(struct datapath, n_packet_ins)},
        {"weft_fabric_switch_flow_mods_total", "Changes of flow entries sent to a switch.", offsetof(struct datapath, n_flow_mods)},
        {"weft_fabric_switch_errors_total", "Errors that a switch answered.", offsetof(struct datapath, n_errors)},
    };
    char id[DATAPATH_TEXT_SIZE];

    prometheus_begin(text, "weft_fabric_switch_up", "gauge", "Is the switch connected?");
    HASHMAP_FOREACH(node, &fabric->datapaths) {
        const struct datapath *datapath = CONTAINER_OF(node, struct datapath, by_id);

        prometheus_sample(text, "weft_fabric_switch_up", datapath->channel != NULL, "switch", datapath_text(datapath->id, id), NULL);
    }
    for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
        prometheus_begin(text, counters[i].name, "counter", counters[i].help);
        HASHMAP_FOREACH(node, &fabric->datapaths) {
            const struct datapath *datapath = CONTAINER_OF(node, struct datapath, by_id);
            const uint64_t *value = (const uint64_t *)(const void *)((const char *)datapath + counters[i].offset);

            prometheus_sample(text, counters[i].name, (double)*value, "switch", datapath_text(datapath->id, id), NULL);
        }
    }
}

int write_fabric_metrics(void *context, struct buffer *text)
{
    struct controller *controller = *(struct controller **)context; /* The status' first member. */
    const struct listener_counters *listener = listener_counters(controller->listener);
    struct fabric_counters c;

    fabric_counters(controller->fabric, &c);
    prometheus_begin(text, "weft_fabric_info", "gauge", "The controller's version and role.");
    prometheus_sample(text, "weft_fabric_info", 1, "version", WEFT_VERSION, "role", fabric_role_name(fabric_role(controller->fabric)), NULL);
    prometheus_single(text, "weft_fabric_switches", "gauge", "Connected switches.", (double)c.n_switches);
    prometheus_single(text, "weft_fabric_links", "gauge", "Links that work in both directions.", (double)c.n_links);
    prometheus_single(text, "weft_fabric_hosts", "gauge", "Known hosts.", (double)c.n_hosts);
    prometheus_single(text, "weft_fabric_flows", "gauge", "Known flows.", (double)c.n_flows);
    prometheus_single(text, "weft_fabric_connections", "gauge", "Connections of switches, ready or not.", (double)listener->n_connections);
    prometheus_single(text, "weft_fabric_connections_refused_total", "counter", "Connections beyond the limit.", (double)listener->refused);
    prometheus_single(text, "weft_fabric_tls_failed_total", "counter", "Connections whose TLS failed.", (double)listener->tls_failed);
    prometheus_single(text, "weft_fabric_packet_ins_total", "counter", "Packets that switches sent up.", (double)c.packet_ins);
    prometheus_single(text, "weft_fabric_packet_outs_total", "counter", "Packets that switches were told to send.", (double)c.packet_outs);
    prometheus_single(text, "weft_fabric_flow_mods_total", "counter", "Changes of flow entries.", (double)c.flow_mods);
    prometheus_single(text, "weft_fabric_floods_total", "counter", "Broadcasts and unknown unicasts sent to host ports.", (double)c.floods);
    prometheus_single(text, "weft_fabric_neighbor_replies_total", "counter", "ARP and ND questions answered.", (double)c.neighbor_replies);
    prometheus_single(text, "weft_fabric_flows_new_total", "counter", "Flows that were given a path.", (double)c.flows_new);
    prometheus_single(text, "weft_fabric_flows_rerouted_total", "counter", "Flows that were given another path.", (double)c.flows_rerouted);
    write_events(text, &c);
    write_switches(text, controller->fabric);
    return text->data ? 0 : -ENOMEM;
}
