#include "weft/controller/describe.h"

#include "weft/fabric/slices.h"

void json_append(json_t **list, json_t *item)
{
    if (!*list) {
        json_decref(item);
    } else if (json_array_append_new(*list, item) < 0) {
        json_decref(*list);
        *list = NULL;
    }
}

json_t *describe_place(const struct fabric_port *port)
{
    char id[DATAPATH_TEXT_SIZE];

    return port ? json_pack("{s:s,s:I}", "switch", datapath_text(port->datapath->id, id), "port", (json_int_t)port->number) : json_null();
}

json_t *describe_port(const struct fabric_port *port)
{
    char mac[MAC_TEXT_SIZE];

    return json_pack("{s:I,s:s,s:s,s:b,s:s,s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "number", (json_int_t)port->number, "name", port->name, "mac",
                     mac_format(&port->mac, mac), "up", port->is_up, "kind", port_kind_name(port->kind), "neighbor",
                     describe_place(port->arc != GRAPH_NONE ? port->neighbor : NULL), "hosts", (json_int_t)port->n_hosts, "weight",
                     (json_int_t)port->weight, "rx_packets", (json_int_t)port->stats.rx_packets, "tx_packets",
                     (json_int_t)port->stats.tx_packets, "rx_bytes", (json_int_t)port->stats.rx_bytes, "tx_bytes",
                     (json_int_t)port->stats.tx_bytes, "rx_dropped", (json_int_t)port->stats.rx_dropped, "tx_dropped",
                     (json_int_t)port->stats.tx_dropped);
}

json_t *describe_switch(const struct fabric *fabric, const struct datapath *datapath, bool with_ports)
{
    json_int_t n_links = 0, n_hosts = 0;
    char id[DATAPATH_TEXT_SIZE];
    json_t *json, *ports = with_ports ? json_array() : NULL;

    for (size_t i = 0; i < datapath->n_ports; i++) {
        n_links += datapath->ports[i]->arc != GRAPH_NONE;
        n_hosts += (json_int_t)datapath->ports[i]->n_hosts;
        if (ports)
            json_append(&ports, describe_port(datapath->ports[i]));
    }
    json = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "id", datapath_text(datapath->id, id), "state",
                             datapath->channel ? "up" : "away", "openflow", datapath->version == OF10 ? "1.0" : "1.3", "hardware",
                             datapath->description.hardware, "software", datapath->description.software, "role",
                             datapath->is_role_known ? fabric_role_name(datapath->role) : "unknown", "seconds",
                             (json_int_t)((fabric->now_ms - (datapath->channel ? datapath->up_ms : datapath->away_ms)) / 1000), "packet_ins",
                             (json_int_t)datapath->n_packet_ins, "flow_mods", (json_int_t)datapath->n_flow_mods, "errors",
                             (json_int_t)datapath->n_errors, "n_ports", (json_int_t)datapath->n_ports, "n_links", n_links, "n_hosts", n_hosts);
    if (with_ports && json_object_set_new(json, "ports", ports) < 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

json_t *describe_host(const struct fabric *fabric, const struct host *host)
{
    char mac[MAC_TEXT_SIZE], text[IP_TEXT_SIZE];
    const char *slice = slices_name(fabric->slices, slice_of_host(fabric, host));
    json_t *addresses = json_array();

    for (const struct host_address *address = host->addresses; address; address = address->next)
        json_append(&addresses, json_string(ip_format(&address->key.address, text)));
    return json_pack("{s:s,s:o,s:o,s:o,s:o,s:I,s:I}", "mac", mac_format(&host->key.mac, mac), "vlan",
                     host->key.vlan == FRAME_NO_VLAN ? json_null() : json_integer(host->key.vlan), "addresses", addresses, "at",
                     describe_place(host->port), "slice", slice ? json_string(slice) : json_null(), "flows", (json_int_t)host->n_flows,
                     "seen_seconds", (json_int_t)(fabric->now_ms / 1000 - host->seen_s));
}

static json_t *show_hops(const struct fabric_path *path)
{
    json_t *hops = json_array();
    char id[DATAPATH_TEXT_SIZE];

    for (uint32_t i = 0; i < path->n_hops; i++)
        json_append(&hops, json_pack("{s:s,s:I,s:I}", "switch", datapath_text(path->hops[i].out->datapath->id, id), "in",
                                              (json_int_t)(i ? path->hops[i - 1].in->number : 0), "out",
                                              (json_int_t)path->hops[i].out->number));
    if (path->n_hops) {
        const struct fabric_port *last = path->hops[path->n_hops - 1].in;

        json_append(&hops, json_pack("{s:s,s:I,s:I}", "switch", datapath_text(last->datapath->id, id), "in",
                                              (json_int_t)last->number, "out", (json_int_t)0));
    }
    return hops;
}

json_t *describe_path(const struct fabric_route *route, const struct fabric_path *path)
{
    size_t n_buckets = 0, index = 0;

    while (index < route->n_listed && route->listed[index] != path)
        index++;
    for (size_t i = 0; i < route->buckets.n; i++)
        n_buckets += route->buckets.owners[i] == index;
    return json_pack("{s:I,s:f,s:I,s:o}", "cost", (json_int_t)path->cost, "share",
                     route->buckets.n ? (double)n_buckets / (double)route->buckets.n : 1.0, "flows", (json_int_t)path->n_flows, "hops",
                     show_hops(path));
}

json_t *describe_flow(const struct fabric *fabric, const struct flow *flow)
{
    const struct flow_tuple *tuple = &flow->key.tuple;
    char source[IP_TEXT_SIZE], destination[IP_TEXT_SIZE], source_mac[MAC_TEXT_SIZE], destination_mac[MAC_TEXT_SIZE];
    bool is_ip = tuple->ethertype == ETHERTYPE_IPV4 || tuple->ethertype == ETHERTYPE_IPV6;

    return json_pack("{s:s,s:s,s:I,s:o,s:o,s:I,s:I,s:I,s:o,s:o,s:o,s:I}", "source_mac", mac_format(&tuple->source_mac, source_mac),
                     "destination_mac", mac_format(&tuple->destination_mac, destination_mac), "ethertype", (json_int_t)tuple->ethertype, "source",
                     is_ip ? json_string(ip_format(&tuple->source, source)) : json_null(), "destination",
                     is_ip ? json_string(ip_format(&tuple->destination, destination)) : json_null(), "protocol", (json_int_t)tuple->protocol,
                     "source_port", (json_int_t)tuple->source_port, "destination_port", (json_int_t)tuple->destination_port, "from",
                     describe_place(flow->in), "to", describe_place(flow->out), "hops", show_hops(flow->path), "age_seconds",
                     (json_int_t)(fabric->now_ms / 1000 - flow->created_s));
}
