#include "weft/controller/status.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/clock.h"
#include "weft/base/log.h"
#include "weft/base/util.h"
#include "weft/controller/election.h"
#include "weft/controller/slices-file.h"
#include "weft/fabric/slices.h"
#include "weft/fabric/state.h"
#include "weft/http/health.h"
#include "weft/http/http.h"
#include "weft/http/request.h"

#define TOKEN_MAX 256
#define FLOWS_DEFAULT 1000
#define FLOWS_MAX 100000

struct status {
    struct controller *controller;
    struct http_service service;
    struct http *http;
    char token[TOKEN_MAX]; /* Empty: none is asked for. */
};

enum policy { POLICY_TOKEN };

/* ---- names in requests ----------------------------------------------------------------------------------------------------------- */

static struct fabric *fabric_of(const struct request *request)
{
    const struct status *status = request->context;

    return status->controller->fabric;
}

/* Answers 404 itself. */
static struct datapath *find_switch(struct request *request, const char *text)
{
    char *end;
    uint64_t id = strtoull(text, &end, strncmp(text, "0x", 2) == 0 ? 16 : 10);
    struct datapath *datapath = *text && !*end ? datapath_find(fabric_of(request), id) : NULL;

    if (!datapath)
        request_fail(request, HTTP_NOT_FOUND, "SwitchNotFound", "Switch '%s' could not be found.", text);
    return datapath;
}

static struct host *find_host(const struct fabric *fabric, const char *text)
{
    struct mac_address mac;
    struct ip_address ip;
    bool is_mac = mac_parse(text, &mac) == 0, is_ip = !is_mac && ip_parse(text, &ip) == 0;

    HASHMAP_FOREACH(node, &fabric->hosts) {
        struct host *host = CONTAINER_OF(node, struct host, by_key);

        if (is_mac && mac_equal(&host->key.mac, &mac))
            return host;
        for (struct host_address *address = host->addresses; is_ip && address; address = address->next)
            if (ip_equal(&address->key.address, &ip))
                return host;
    }
    return NULL;
}

/* ---- objects as JSON --------------------------------------------------------------------------------------------------------------- */

static json_t *json_port_name(const struct fabric_port *port)
{
    char id[DATAPATH_TEXT_SIZE];

    return port ? json_pack("{s:s,s:I}", "switch", datapath_text(port->datapath->id, id), "port", (json_int_t)port->number) : json_null();
}

static json_t *show_port(const struct fabric_port *port)
{
    char mac[MAC_TEXT_SIZE];

    return json_pack("{s:I,s:s,s:s,s:b,s:s,s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "number", (json_int_t)port->number, "name", port->name, "mac",
                     mac_format(&port->mac, mac), "up", port->is_up, "kind", port_kind_name(port->kind), "neighbor",
                     json_port_name(port->arc != GRAPH_NONE ? port->neighbor : NULL), "hosts", (json_int_t)port->n_hosts, "weight",
                     (json_int_t)port->weight, "rx_packets", (json_int_t)port->stats.rx_packets, "tx_packets",
                     (json_int_t)port->stats.tx_packets, "rx_bytes", (json_int_t)port->stats.rx_bytes, "tx_bytes",
                     (json_int_t)port->stats.tx_bytes, "rx_dropped", (json_int_t)port->stats.rx_dropped, "tx_dropped",
                     (json_int_t)port->stats.tx_dropped);
}

static json_t *show_switch(const struct fabric *fabric, const struct datapath *datapath, bool with_ports)
{
    char id[DATAPATH_TEXT_SIZE];
    json_t *json = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I}", "id", datapath_text(datapath->id, id), "state",
                             datapath->channel ? "up" : "away", "openflow", datapath->version == OF10 ? "1.0" : "1.3", "hardware",
                             datapath->description.hardware, "software", datapath->description.software, "role",
                             datapath->is_role_known ? fabric_role_name(datapath->role) : "unknown", "seconds",
                             (json_int_t)((fabric->now_ms - (datapath->channel ? datapath->up_ms : datapath->away_ms)) / 1000), "packet_ins",
                             (json_int_t)datapath->n_packet_ins, "flow_mods", (json_int_t)datapath->n_flow_mods, "errors",
                             (json_int_t)datapath->n_errors, "n_ports", (json_int_t)datapath->n_ports);
    json_t *ports = with_ports ? json_array() : NULL;

    if (ports) {
        for (size_t i = 0; i < datapath->n_ports; i++)
            json_array_append_new(ports, show_port(datapath->ports[i]));
        json_object_set_new(json, "ports", ports);
    }
    return json;
}

static json_t *show_host(const struct fabric *fabric, const struct host *host)
{
    char mac[MAC_TEXT_SIZE], text[IP_TEXT_SIZE];
    const char *slice = slices_name(fabric->slices, slice_of_host(fabric, host));
    json_t *addresses = json_array();

    for (const struct host_address *address = host->addresses; address; address = address->next)
        json_array_append_new(addresses, json_string(ip_format(&address->key.address, text)));
    return json_pack("{s:s,s:o,s:o,s:o,s:o,s:I,s:I}", "mac", mac_format(&host->key.mac, mac), "vlan",
                     host->key.vlan == FRAME_NO_VLAN ? json_null() : json_integer(host->key.vlan), "addresses", addresses, "at",
                     json_port_name(host->port), "slice", slice ? json_string(slice) : json_null(), "flows", (json_int_t)host->n_flows,
                     "seen_seconds", (json_int_t)(fabric->now_ms / 1000 - host->seen_s));
}

static json_t *show_hops(const struct fabric_path *path)
{
    json_t *hops = json_array();
    char id[DATAPATH_TEXT_SIZE];

    for (uint32_t i = 0; i < path->n_hops; i++)
        json_array_append_new(hops, json_pack("{s:s,s:I,s:I}", "switch", datapath_text(path->hops[i].out->datapath->id, id), "in",
                                              (json_int_t)(i ? path->hops[i - 1].in->number : 0), "out",
                                              (json_int_t)path->hops[i].out->number));
    if (path->n_hops) {
        const struct fabric_port *last = path->hops[path->n_hops - 1].in;

        json_array_append_new(hops, json_pack("{s:s,s:I,s:I}", "switch", datapath_text(last->datapath->id, id), "in",
                                              (json_int_t)last->number, "out", (json_int_t)0));
    }
    return hops;
}

static json_t *show_path(const struct fabric_route *route, const struct fabric_path *path)
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

static json_t *show_flow(const struct fabric *fabric, const struct flow *flow)
{
    const struct flow_tuple *tuple = &flow->key.tuple;
    char source[IP_TEXT_SIZE], destination[IP_TEXT_SIZE], source_mac[MAC_TEXT_SIZE], destination_mac[MAC_TEXT_SIZE];
    bool is_ip = tuple->ethertype == ETHERTYPE_IPV4 || tuple->ethertype == ETHERTYPE_IPV6;

    return json_pack("{s:s,s:s,s:I,s:o,s:o,s:I,s:I,s:I,s:o,s:o,s:o,s:I}", "source_mac", mac_format(&tuple->source_mac, source_mac),
                     "destination_mac", mac_format(&tuple->destination_mac, destination_mac), "ethertype", (json_int_t)tuple->ethertype, "source",
                     is_ip ? json_string(ip_format(&tuple->source, source)) : json_null(), "destination",
                     is_ip ? json_string(ip_format(&tuple->destination, destination)) : json_null(), "protocol", (json_int_t)tuple->protocol,
                     "source_port", (json_int_t)tuple->source_port, "destination_port", (json_int_t)tuple->destination_port, "from",
                     json_port_name(flow->in), "to", json_port_name(flow->out), "hops", show_hops(flow->path), "age_seconds",
                     (json_int_t)(fabric->now_ms / 1000 - flow->created_s));
}

/* ---- handlers ----------------------------------------------------------------------------------------------------------------------- */

static void get_fabric(struct request *request)
{
    const struct status *status = request->context;
    const struct fabric *fabric = fabric_of(request);
    struct fabric_counters counters;

    fabric_counters(fabric, &counters);
    request_respond(request, HTTP_OK,
                    json_pack("{s:{s:s,s:s,s:b,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I}}", "fabric", "version", WEFT_VERSION, "role",
                              fabric_role_name(fabric_role(fabric)), "elected", election_is_automatic(status->controller->election), "path_mode",
                              path_mode_name(fabric->options.mode), "install",
                              fabric->options.install == FABRIC_PROACTIVE ? "proactive" : "reactive", "max_paths",
                              (json_int_t)fabric->options.max_paths, "switches", (json_int_t)counters.n_switches, "links",
                              (json_int_t)counters.n_links, "hosts", (json_int_t)counters.n_hosts, "flows", (json_int_t)counters.n_flows,
                              "uptime_seconds", (json_int_t)((clock_monotonic_ms() - status->controller->started_ms) / 1000)));
}

static int compare_datapaths(const void *a, const void *b)
{
    const struct datapath *const *left = a, *const *right = b;

    return (*left)->id < (*right)->id ? -1 : (*left)->id > (*right)->id;
}

/* All switches by id; the caller frees the array. */
static struct datapath **sorted_switches(const struct fabric *fabric, size_t *ret_n)
{
    struct datapath **sorted = calloc(MAX(fabric->datapaths.n_nodes, (size_t)1), sizeof(*sorted));
    size_t n = 0;

    if (sorted) {
        HASHMAP_FOREACH(node, &fabric->datapaths)
            sorted[n++] = CONTAINER_OF(node, struct datapath, by_id);
        qsort(sorted, n, sizeof(*sorted), compare_datapaths);
    }
    *ret_n = n;
    return sorted;
}

static void list_switches(struct request *request)
{
    const struct fabric *fabric = fabric_of(request);
    json_t *list = json_array();
    size_t n;
    _cleanup_(freep) struct datapath **sorted = sorted_switches(fabric, &n);

    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, show_switch(fabric, sorted[i], false));
    request_respond(request, HTTP_OK, json_pack("{s:o}", "switches", list));
}

static void get_switch(struct request *request)
{
    struct datapath *datapath = find_switch(request, request_parameter(request, "id"));

    if (datapath)
        request_respond(request, HTTP_OK, json_pack("{s:o}", "switch", show_switch(fabric_of(request), datapath, true)));
}

static void list_links(struct request *request)
{
    const struct fabric *fabric = fabric_of(request);
    json_t *list = json_array();
    size_t n;
    _cleanup_(freep) struct datapath **sorted = sorted_switches(fabric, &n);

    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < sorted[i]->n_ports; k++) {
            const struct fabric_port *port = sorted[i]->ports[k];
            const struct fabric_port *other = port->arc != GRAPH_NONE ? port->neighbor : NULL;

            /* Each link once. */
            if (other && (port->datapath->id < other->datapath->id || (port->datapath == other->datapath && port->number < other->number)))
                json_array_append_new(list, json_pack("{s:o,s:o,s:I,s:I}", "from", json_port_name(port), "to", json_port_name(other), "weight",
                                                      (json_int_t)port->weight, "weight_back", (json_int_t)other->weight));
        }
    request_respond(request, HTTP_OK, json_pack("{s:o}", "links", list));
}

static void list_hosts(struct request *request)
{
    const struct fabric *fabric = fabric_of(request);
    const char *mac = request_query(request, "mac"), *address = request_query(request, "address"), *at = request_query(request, "switch");
    struct datapath *datapath = at ? find_switch(request, at) : NULL;
    json_t *list;

    if (at && !datapath)
        return;
    list = json_array();
    if (mac || address) {
        const struct host *host = find_host(fabric, mac ? mac : address);

        if (host)
            json_array_append_new(list, show_host(fabric, host));
    } else {
        HASHMAP_FOREACH(node, &fabric->hosts) {
            const struct host *host = CONTAINER_OF(node, struct host, by_key);

            if (!datapath || host->port->datapath == datapath)
                json_array_append_new(list, show_host(fabric, host));
        }
    }
    request_respond(request, HTTP_OK, json_pack("{s:o}", "hosts", list));
}

/* A host's switch, or a switch.  Answers itself when there is neither. */
static struct datapath *find_end(struct request *request, const char *field)
{
    const char *text = request_query(request, field);
    struct host *host;

    if (!text) {
        request_fail(request, HTTP_BAD_REQUEST, "BadRequest", "%s: is missing; it is a host's MAC or address, or a switch's id.", field);
        return NULL;
    }
    host = find_host(fabric_of(request), text);
    if (host)
        return host->port->datapath;
    if (strchr(text, ':') || strchr(text, '.')) {
        request_fail(request, HTTP_NOT_FOUND, "HostNotFound", "%s: host '%s' could not be found.", field, text);
        return NULL;
    }
    return find_switch(request, text);
}

static void list_paths(struct request *request)
{
    struct fabric *fabric = fabric_of(request);
    struct datapath *from = find_end(request, "from"), *to = from ? find_end(request, "to") : NULL;
    struct fabric_route *route = to ? route_get(fabric, from->node, to->node) : NULL;
    json_t *list;

    if (!to)
        return;
    if (!route) {
        request_fail(request, HTTP_UNAVAILABLE, "OutOfMemory", "Out of memory.");
        return;
    }
    list = json_array();
    for (size_t i = 0; i < route->n_listed; i++)
        json_array_append_new(list, show_path(route, route->listed[i]));
    request_respond(request, HTTP_OK, json_pack("{s:o}", "paths", list));
}

static void list_flows(struct request *request)
{
    const struct fabric *fabric = fabric_of(request);
    const char *host_text = request_query(request, "host"), *limit_text = request_query(request, "limit");
    const struct host *host = host_text ? find_host(fabric, host_text) : NULL;
    uint64_t limit = FLOWS_DEFAULT;
    json_t *list;

    if (limit_text && parse_u64(limit_text, 1, FLOWS_MAX, &limit) < 0) {
        request_fail(request, HTTP_BAD_REQUEST, "BadRequest", "limit: '%s' is not 1 to %d.", limit_text, FLOWS_MAX);
        return;
    }
    if (host_text && !host) {
        request_fail(request, HTTP_NOT_FOUND, "HostNotFound", "host: host '%s' could not be found.", host_text);
        return;
    }
    list = json_array();
    RING_FOREACH(element, (struct ring *)&fabric->flows_by_age) {
        const struct flow *flow = CONTAINER_OF(element, struct flow, of_age);

        if (host && flow->source != host && flow->destination != host)
            continue;
        if (json_array_size(list) >= limit)
            break;
        json_array_append_new(list, show_flow(fabric, flow));
    }
    request_respond(request, HTTP_OK, json_pack("{s:o,s:I}", "flows", list, "total", (json_int_t)fabric->flows.n_nodes));
}

static void get_statistics(struct request *request)
{
    struct fabric_counters counters;
    json_t *events = json_object(), *drops = json_object();

    fabric_counters(fabric_of(request), &counters);
    for (int i = 0; i < N_FABRIC_EVENTS; i++)
        json_object_set_new(events, fabric_event_info((enum fabric_event)i)->name, json_integer((json_int_t)counters.events[i]));
    for (int i = 0; i < N_FABRIC_DROPS; i++)
        json_object_set_new(drops, fabric_drop_name((enum fabric_drop)i), json_integer((json_int_t)counters.drops[i]));
    request_respond(request, HTTP_OK,
                    json_pack("{s:{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:o}}", "statistics", "packet_ins", (json_int_t)counters.packet_ins,
                              "packet_outs", (json_int_t)counters.packet_outs, "flow_mods", (json_int_t)counters.flow_mods, "floods",
                              (json_int_t)counters.floods, "neighbor_replies", (json_int_t)counters.neighbor_replies, "flows_new",
                              (json_int_t)counters.flows_new, "flows_rerouted", (json_int_t)counters.flows_rerouted, "flows_removed",
                              (json_int_t)counters.flows_removed, "events", events, "drops", drops));
}

/* ---- control --------------------------------------------------------------------------------------------------------------------------- */

static void list_slices(struct request *request)
{
    request_respond(request, HTTP_OK, slices_to_json(fabric_of(request)));
}

static void get_slice(struct request *request)
{
    const char *name = request_parameter(request, "name");
    json_t *slice = slice_to_json(fabric_of(request), name);

    if (slice)
        request_respond(request, HTTP_OK, slice);
    else
        request_fail(request, HTTP_NOT_FOUND, "SliceNotFound", "Slice '%s' could not be found.", name);
}

/* The change stands; what could not be written is told. */
static bool keep_slices(struct request *request)
{
    const struct status *status = request->context;
    struct error error = {0};

    if (!status->controller->slices_path || slices_file_save(fabric_of(request), status->controller->slices_path, &error) == 0)
        return true;
    log_error("%s", error.message);
    request_fail(request, HTTP_SERVER_ERROR, "SlicesNotKept", "The slice is changed, but not kept: %s.", error.message);
    return false;
}

static void put_slice(struct request *request)
{
    const char *name = request_parameter(request, "name");
    const json_t *slice = json_object_get(request->body, "slice");
    struct error error = {0};

    if (!json_is_object(slice))
        request_fail(request, HTTP_BAD_REQUEST, "BadRequest", "slice: is missing.");
    else if (slices_put_json(fabric_of(request), name, slice, &error) < 0)
        request_fail_error(request, &error);
    else if (keep_slices(request))
        get_slice(request);
}

static void delete_slice(struct request *request)
{
    struct fabric *fabric = fabric_of(request);
    const char *name = request_parameter(request, "name");

    if (slices_remove(fabric->slices, name) < 0) {
        request_fail(request, HTTP_NOT_FOUND, "SliceNotFound", "Slice '%s' could not be found.", name);
        return;
    }
    fabric_slices_changed(fabric);
    if (keep_slices(request))
        request_respond(request, HTTP_NO_CONTENT, NULL);
}

static void put_port(struct request *request)
{
    struct fabric *fabric = fabric_of(request);
    struct datapath *datapath = find_switch(request, request_parameter(request, "id"));
    const char *number_text = request_parameter(request, "number");
    const json_t *weight = json_object_get(json_object_get(request->body, "port"), "weight");
    struct fabric_port *port;
    uint64_t number;

    if (!datapath)
        return;
    port = parse_u64(number_text, 1, OFPP_MAX, &number) == 0 ? datapath_port(datapath, (uint32_t)number) : NULL;
    if (!port) {
        request_fail(request, HTTP_NOT_FOUND, "PortNotFound", "Port '%s' could not be found.", number_text);
    } else if (!json_is_integer(weight) || json_integer_value(weight) < 1 || json_integer_value(weight) > GRAPH_WEIGHT_MAX) {
        request_fail(request, HTTP_BAD_REQUEST, "BadRequest", "port.weight: is not 1 to %u.", GRAPH_WEIGHT_MAX);
    } else {
        fabric_set_weight(fabric, datapath->id, port->number, (uint32_t)json_integer_value(weight));
        request_respond(request, HTTP_OK, json_pack("{s:o}", "port", show_port(port)));
    }
}

static void put_role(struct request *request)
{
    struct status *status = request->context;
    const char *role = json_string_value(json_object_get(request->body, "role"));
    enum fabric_role wanted;

    if (role && streq(role, "equal")) {
        wanted = FABRIC_EQUAL;
    } else if (role && streq(role, "master")) {
        wanted = FABRIC_MASTER;
    } else if (role && streq(role, "slave")) {
        wanted = FABRIC_SLAVE;
    } else {
        request_fail(request, HTTP_BAD_REQUEST, "BadRequest", "role: '%s' is not equal, master or slave.", role ? role : "");
        return;
    }
    election_set_role(status->controller->election, wanted);
    get_fabric(request);
}

static const struct route routes[] = {
    {"GET", "/fabric/v1", POLICY_TOKEN, get_fabric},
    {"GET", "/fabric/v1/switches", POLICY_TOKEN, list_switches},
    {"GET", "/fabric/v1/switches/{id}", POLICY_TOKEN, get_switch},
    {"PUT", "/fabric/v1/switches/{id}/ports/{number}", POLICY_TOKEN, put_port},
    {"GET", "/fabric/v1/links", POLICY_TOKEN, list_links},
    {"GET", "/fabric/v1/hosts", POLICY_TOKEN, list_hosts},
    {"GET", "/fabric/v1/paths", POLICY_TOKEN, list_paths},
    {"GET", "/fabric/v1/flows", POLICY_TOKEN, list_flows},
    {"GET", "/fabric/v1/statistics", POLICY_TOKEN, get_statistics},
    {"GET", "/fabric/v1/slices", POLICY_TOKEN, list_slices},
    {"GET", "/fabric/v1/slices/{name}", POLICY_TOKEN, get_slice},
    {"PUT", "/fabric/v1/slices/{name}", POLICY_TOKEN, put_slice},
    {"DELETE", "/fabric/v1/slices/{name}", POLICY_TOKEN, delete_slice},
    {"PUT", "/fabric/v1/role", POLICY_TOKEN, put_role},
};

/* ---- who may ask ------------------------------------------------------------------------------------------------------------------------ */

/* Without a token, a web page in the operator's browser must not be able to ask either: it cannot avoid telling its Origin when it
 * changes something, nor the Host that it was led here by. */
static bool is_web_page(const struct request *request)
{
    const char *host = request_header(request, "Host");

    return request_header(request, "Origin") ||
           (host && strncmp(host, "127.", 4) != 0 && strncmp(host, "[::1]", 5) != 0 && strncmp(host, "localhost", 9) != 0);
}

static int authenticate(struct request *request, struct error *error)
{
    const struct status *status = request->context;
    const char *header = request_header(request, "Authorization");
    const char *token = header && strncmp(header, "Bearer ", 7) == 0 ? header + 7 : "";

    if (!status->token[0]) {
        if (is_web_page(request))
            return error_set(error, -EPERM, "Origin", "Web pages are not served without a token.");
        return 0;
    }
    if (strlen(token) != strlen(status->token) || sodium_memcmp(token, status->token, strlen(token)) != 0)
        return error_set(error, -EACCES, "Authorization", "The request you have made requires a valid token.");
    return 0;
}

static int read_token(struct status *status, const char *path, struct error *error)
{
    FILE *file = fopen(path, "re");
    size_t size;

    if (!file)
        return error_set(error, -errno, "http-token-file", "http-token-file: cannot read '%s': %s", path, strerror(errno));
    size = fread(status->token, 1, sizeof(status->token) - 1, file);
    fclose(file);
    status->token[size] = 0;
    status->token[strcspn(status->token, "\r\n")] = 0;
    if (strlen(status->token) < 16)
        return error_set(error, -EINVAL, "http-token-file", "http-token-file: '%s' has no token of 16 characters or more", path);
    return 0;
}

/* ---- start and end ------------------------------------------------------------------------------------------------------------------------ */

int status_new(struct controller *controller, const struct status_options *options, struct status **ret, struct error *error)
{
    struct http_options http_options = {.listen = options->listen, .listen_option = "http-listen", .tls_certificate = options->tls_certificate,
                                        .tls_key = options->tls_key};
    struct status *status = calloc(1, sizeof(*status));
    struct error reason = {0};
    int result = status ? 0 : error_set(error, -ENOMEM, NULL, "out of memory");

    if (!status)
        return result;
    *ret = status;
    status->controller = controller;
    status->service = (struct http_service){.context = status, .authenticate = authenticate, .write_metrics = write_fabric_metrics};
    if (options->token_file)
        result = read_token(status, options->token_file, error);
    if (result < 0)
        return result;
    result = routes_new(&status->service.routes);
    if (result == 0)
        result = routes_add(status->service.routes, routes, ARRAY_SIZE(routes));
    if (result == 0)
        result = health_add(status->service.routes);
    if (result == 0)
        result = health_add_metrics(status->service.routes);
    if (result < 0)
        return error_set(error, result, NULL, "out of memory");
    result = http_new(&controller->loop, &status->service, &http_options, &status->http, &reason);
    if (result < 0)
        return error_set(error, result, reason.field, "%s: %s", reason.field, reason.message);
    if (!status->token[0] && !http_is_loopback(status->http))
        return error_set(error, -EINVAL, "http-listen", "http-listen: '%s' is not a loopback address: http-token-file is needed", options->listen);
    log_info("status at %s/fabric/v1", http_url(status->http));
    return 0;
}

void status_free(struct status *status)
{
    if (status)
        http_free(status->http);
}

void status_clear(struct status *status)
{
    if (!status)
        return;
    routes_free(status->service.routes);
    free(status);
}
