#include "weft/controller/status.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/clock.h"
#include "weft/base/log.h"
#include "weft/base/util.h"
#include "weft/controller/describe.h"
#include "weft/controller/election.h"
#include "weft/controller/host-list.h"
#include "weft/controller/slices-file.h"
#include "weft/fabric/slices.h"
#include "weft/fabric/state.h"
#include "weft/http/health.h"
#include "weft/http/http.h"
#include "weft/http/request.h"

#define TOKEN_MAX 256
/* Switches wait while an answer is made, and links must not seem dead meanwhile: 1,000 hosts take about 10 ms, 10,000 about 70. */
#define HOSTS_DEFAULT 1000
#define HOSTS_MAX 10000
#define LINKS_DEFAULT 1000
#define LINKS_MAX 10000
#define FLOWS_DEFAULT 1000
#define FLOWS_MAX 10000

struct status {
    struct controller *controller;
    struct http_service service;
    struct http *http;
    char token[TOKEN_MAX]; /* Empty: none is asked for. */
};

enum policy { POLICY_TOKEN };

/* ---- what requests say, and answers ----------------------------------------------------------------------------------------------------------- */

static struct fabric *fabric_of(const struct request *request)
{
    const struct status *status = request->context;

    return status->controller->fabric;
}

/* Answers 404 itself. */
static struct datapath *find_switch(struct request *request, const char *text)
{
    uint64_t id;
    struct datapath *datapath = datapath_parse(text, &id) == 0 ? datapath_find(fabric_of(request), id) : NULL;

    if (!datapath)
        request_fail(request, HTTP_NOT_FOUND, "SwitchNotFound", "Switch '%s' could not be found.", text);
    return datapath;
}

static bool has_word(const char *words, const char *word)
{
    size_t length = strlen(word);

    for (const char *at = words; at; at = strchr(at, ' ') ? strchr(at, ' ') + 1 : NULL)
        if (strcspn(at, " ") == length && strncmp(at, word, length) == 0)
            return true;
    return false;
}

/* Whether the query has only what the route knows, each once; else answers itself.  A misspelt filter would show everything. */
static bool check_query(struct request *request)
{
    const char *known = request->route->data;

    for (size_t i = 0; i < request->n_query; i++) {
        const char *name = request->query[i].name;

        if (!has_word(known, name)) {
            request_fail(request, HTTP_BAD_REQUEST, "BadRequest", "%s: is not a parameter here%s%s.", name, known ? ": these are " : "",
                         known ? known : "");
            return false;
        }
        for (size_t k = 0; k < i; k++)
            if (streq(request->query[k].name, name)) {
                request_fail(request, HTTP_BAD_REQUEST, "BadRequest", "%s: is there twice.", name);
                return false;
            }
    }
    return true;
}

/* Answers with 'body', which it takes over; NULL is out of memory. */
static void respond(struct request *request, json_t *body)
{
    if (body)
        request_respond(request, HTTP_OK, body);
    else
        request_fail(request, HTTP_UNAVAILABLE, "OutOfMemory", "Out of memory.");
}

/* Answers that 'value' is not what 'field' takes. */
static void refuse(struct request *request, const char *field, const json_t *value, const char *what)
{
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;

    if (value)
        request_fail(request, HTTP_BAD_REQUEST, "BadRequest", "%s: %.80s is not %s.", field, text ? text : "?", what);
    else
        request_fail(request, HTTP_BAD_REQUEST, "BadRequest", "%s: is missing.", field);
    free(text);
}

/* ---- handlers ----------------------------------------------------------------------------------------------------------------------- */

static void get_fabric(struct request *request)
{
    const struct status *status = request->context;
    const struct fabric *fabric = fabric_of(request);
    struct fabric_counters counters;

    if (!check_query(request))
        return;
    fabric_counters(fabric, &counters);
    respond(request,
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
    size_t n;
    _cleanup_(freep) struct datapath **sorted = sorted_switches(fabric, &n);
    json_t *list;

    if (!check_query(request))
        return;
    list = sorted ? json_array() : NULL;
    for (size_t i = 0; i < n; i++)
        json_append(&list, describe_switch(fabric, sorted[i], false));
    respond(request, json_pack("{s:o}", "switches", list));
}

static void get_switch(struct request *request)
{
    struct datapath *datapath = check_query(request) ? find_switch(request, request_parameter(request, "id")) : NULL;

    if (datapath)
        respond(request, json_pack("{s:o}", "switch", describe_switch(fabric_of(request), datapath, true)));
}

/* {"hosts": list, "hosts_links": [the next page]}.  The link is the same query, which was checked and needs no escapes, with another marker;
 * NULL: the list is at its end. */
static void respond_page(struct request *request, const char *collection, json_t *list, const char *marker)
{
    _cleanup_(buffer_clear) struct buffer href = {0};
    json_t *body = json_pack("{s:o}", collection, list);
    char links[40];
    int result;

    if (!marker || !body) {
        respond(request, body);
        return;
    }
    result = buffer_printf(&href, "%s/fabric/v1/%s?marker=%s", request_public_url(request), collection, marker);
    for (size_t i = 0; i < request->n_query; i++)
        if (!streq(request->query[i].name, "marker"))
            result |= buffer_printf(&href, "&%s=%s", request->query[i].name, request->query[i].value);
    snprintf(links, sizeof(links), "%s_links", collection);
    if (result < 0 || !buffer_string(&href) || json_object_set_new(body, links, json_pack("[{s:s,s:s}]", "rel", "next", "href", href.data)) < 0) {
        json_decref(body);
        body = NULL;
    }
    respond(request, body);
}

/* "limit", 1 to 'maximum'.  Answers itself when it is something else. */
static bool read_limit(struct request *request, uint64_t maximum, uint64_t *limit)
{
    const char *text = request_query(request, "limit");

    if (!text || parse_u64(text, 1, maximum, limit) == 0)
        return true;
    request_fail(request, HTTP_BAD_REQUEST, "BadRequest", "limit: '%s' is not 1 to %llu.", text, (unsigned long long)maximum);
    return false;
}

/* "0x...e5:3", the first end of a link, as a marker. */
static bool read_link_marker(struct request *request, uint64_t *ret_id, uint32_t *ret_port)
{
    const char *text = request_query(request, "marker"), *colon = strchr(text, ':');
    char id[DATAPATH_TEXT_SIZE];
    uint64_t port;

    if (!colon || snprintf(id, sizeof(id), "%.*s", (int)(colon - text), text) >= (int)sizeof(id) || datapath_parse(id, ret_id) < 0 ||
        parse_u64(colon + 1, 1, OFPP_MAX, &port) < 0) {
        request_fail(request, HTTP_BAD_REQUEST, "BadRequest", "marker: '%s' is not of a list's link.", text);
        return false;
    }
    *ret_port = (uint32_t)port;
    return true;
}

/* Whether this end is where its link is listed: each link once. */
static bool is_first_end(const struct fabric_port *port)
{
    const struct fabric_port *other = port->arc != GRAPH_NONE ? port->neighbor : NULL;

    return other && (port->datapath->id < other->datapath->id || (port->datapath == other->datapath && port->number < other->number));
}

static void list_links(struct request *request)
{
    const struct fabric *fabric = fabric_of(request);
    _cleanup_(freep) struct datapath **sorted = NULL;
    const struct fabric_port *last = NULL;
    uint64_t limit = LINKS_DEFAULT, after_id = 0;
    uint32_t after_port = 0;
    size_t n, n_listed = 0;
    char marker[PORT_TEXT_SIZE];
    json_t *list;

    if (!check_query(request) || !read_limit(request, LINKS_MAX, &limit) ||
        (request_query(request, "marker") && !read_link_marker(request, &after_id, &after_port)))
        return;
    sorted = sorted_switches(fabric, &n);
    list = sorted ? json_array() : NULL;
    for (size_t i = 0; i < n && n_listed <= limit; i++)
        for (size_t k = 0; k < sorted[i]->n_ports && n_listed <= limit; k++) {
            const struct fabric_port *port = sorted[i]->ports[k];

            if (!is_first_end(port) || sorted[i]->id < after_id || (sorted[i]->id == after_id && port->number <= after_port))
                continue;
            if (n_listed++ == limit)
                break; /* There are more. */
            last = port;
            json_append(&list, json_pack("{s:o,s:o,s:I,s:I}", "from", describe_place(port), "to", describe_place(port->neighbor), "weight",
                                         (json_int_t)port->weight, "weight_back", (json_int_t)port->neighbor->weight));
        }
    respond_page(request, "links", list, n_listed > limit ? port_text(last, marker) : NULL);
}

/* Answers itself when the query is wrong. */
static bool read_host_query(struct request *request, struct host_filter *filter, struct host_key *after, uint64_t *limit)
{
    const char *mac = request_query(request, "mac"), *address = request_query(request, "address"), *at = request_query(request, "switch");
    const char *marker = request_query(request, "marker");

    if (!check_query(request))
        return false;
    filter->has_mac = mac != NULL;
    filter->has_address = address != NULL;
    if (mac && mac_parse(mac, &filter->mac) < 0)
        request_fail(request, HTTP_BAD_REQUEST, "BadRequest", "mac: '%s' is not a MAC address.", mac);
    else if (address && ip_parse(address, &filter->address) < 0)
        request_fail(request, HTTP_BAD_REQUEST, "BadRequest", "address: '%s' is not an IP address.", address);
    else if (marker && host_marker_parse(marker, after) < 0)
        request_fail(request, HTTP_BAD_REQUEST, "BadRequest", "marker: '%s' is not of a list's link.", marker);
    else if (read_limit(request, HOSTS_MAX, limit))
        return !at || (filter->datapath = find_switch(request, at)) != NULL;
    return false;
}

static void list_hosts(struct request *request)
{
    const struct fabric *fabric = fabric_of(request);
    _cleanup_(host_page_clear) struct host_page page = {0};
    struct host_filter filter = {0};
    struct host_key after;
    uint64_t limit = HOSTS_DEFAULT;
    char marker[HOST_MARKER_SIZE];
    json_t *list;

    if (!read_host_query(request, &filter, &after, &limit))
        return;
    list = host_page_get(fabric, &filter, request_query(request, "marker") ? &after : NULL, limit, &page) == 0 ? json_array() : NULL;
    for (size_t i = 0; i < page.n; i++)
        json_append(&list, describe_host(fabric, page.hosts[i]));
    respond_page(request, "hosts", list, page.has_more ? host_marker(page.hosts[page.n - 1], marker) : NULL);
}

/* One end of paths: a switch, and the port where a host is (NULL for a switch itself). */
struct end {
    struct datapath *datapath;
    const struct fabric_port *port;
};

/* Answers itself when there is neither. */
static bool find_end(struct request *request, const char *field, struct end *ret)
{
    const char *text = request_query(request, field);
    struct host_filter filter;
    struct host *host;

    if (!text) {
        request_fail(request, HTTP_BAD_REQUEST, "BadRequest", "%s: is missing; it is a host's MAC or address, or a switch's id.", field);
        return false;
    }
    host = host_filter_parse(text, &filter) == 0 ? host_first(fabric_of(request), &filter) : NULL;
    if (!host && (strchr(text, ':') || strchr(text, '.'))) {
        request_fail(request, HTTP_NOT_FOUND, "HostNotFound", "%s: host '%s' could not be found.", field, text);
        return false;
    }
    ret->port = host ? host->port : NULL;
    ret->datapath = host ? host->port->datapath : find_switch(request, text);
    return ret->datapath != NULL;
}

static json_t *describe_end(const struct end *end)
{
    char id[DATAPATH_TEXT_SIZE];

    return end->port ? describe_place(end->port) : json_pack("{s:s,s:n}", "switch", datapath_text(end->datapath->id, id), "port");
}

static void list_paths(struct request *request)
{
    struct fabric *fabric = fabric_of(request);
    struct fabric_route *route;
    struct end from, to;
    json_t *list;

    if (!check_query(request) || !find_end(request, "from", &from) || !find_end(request, "to", &to))
        return;
    route = route_get(fabric, from.datapath->node, to.datapath->node);
    list = route ? json_array() : NULL;
    for (size_t i = 0; route && i < route->n_listed; i++)
        json_append(&list, describe_path(route, route->listed[i]));
    respond(request, json_pack("{s:o,s:o,s:o}", "paths", list, "from", describe_end(&from), "to", describe_end(&to)));
}

static void list_flows(struct request *request)
{
    const struct fabric *fabric = fabric_of(request);
    const char *host = request_query(request, "host");
    struct host_filter filter = {0};
    uint64_t limit = FLOWS_DEFAULT;
    json_t *list;

    if (!check_query(request) || !read_limit(request, FLOWS_MAX, &limit))
        return;
    if (host && (host_filter_parse(host, &filter) < 0 || !host_first(fabric, &filter))) {
        request_fail(request, HTTP_NOT_FOUND, "HostNotFound", "host: host '%s' could not be found.", host);
        return;
    }
    list = json_array();
    RING_FOREACH(element, (struct ring *)&fabric->flows_by_age) {
        const struct flow *flow = CONTAINER_OF(element, struct flow, of_age);

        if (json_array_size(list) >= limit)
            break;
        if (!host || host_matches(&filter, flow->source) || host_matches(&filter, flow->destination))
            json_append(&list, describe_flow(fabric, flow));
    }
    respond(request, json_pack("{s:o,s:I}", "flows", list, "total", (json_int_t)fabric->flows.n_nodes));
}

static void set_counter(json_t **counters, const char *name, uint64_t count)
{
    if (*counters && json_object_set_new(*counters, name, json_integer((json_int_t)count)) < 0) {
        json_decref(*counters);
        *counters = NULL;
    }
}

static void get_statistics(struct request *request)
{
    struct fabric_counters counters;
    json_t *events, *drops;

    if (!check_query(request))
        return;
    events = json_object();
    drops = json_object();
    fabric_counters(fabric_of(request), &counters);
    for (int i = 0; i < N_FABRIC_EVENTS; i++)
        set_counter(&events, fabric_event_info((enum fabric_event)i)->name, counters.events[i]);
    for (int i = 0; i < N_FABRIC_DROPS; i++)
        set_counter(&drops, fabric_drop_name((enum fabric_drop)i), counters.drops[i]);
    respond(request,
            json_pack("{s:{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:o}}", "statistics", "packet_ins", (json_int_t)counters.packet_ins,
                              "packet_outs", (json_int_t)counters.packet_outs, "flow_mods", (json_int_t)counters.flow_mods, "floods",
                              (json_int_t)counters.floods, "neighbor_replies", (json_int_t)counters.neighbor_replies, "flows_new",
                              (json_int_t)counters.flows_new, "flows_rerouted", (json_int_t)counters.flows_rerouted, "flows_removed",
                              (json_int_t)counters.flows_removed, "events", events, "drops", drops));
}

/* ---- control --------------------------------------------------------------------------------------------------------------------------- */

static void list_slices(struct request *request)
{
    if (check_query(request))
        respond(request, slices_to_json(fabric_of(request)));
}

static void get_slice(struct request *request)
{
    const char *name = request_parameter(request, "name");
    bool exists;
    json_t *slice;

    if (!check_query(request))
        return;
    slice = slice_to_json(fabric_of(request), name, &exists);
    if (exists)
        respond(request, slice);
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

    if (!check_query(request))
        return;
    if (!json_is_object(slice))
        refuse(request, "slice", slice, "an object");
    else if (slices_put_json(fabric_of(request), name, slice, &error) < 0)
        request_fail(request, http_status_of_code(error.code), error.type, "%s.", error.message); /* It names the field. */
    else if (keep_slices(request))
        get_slice(request);
}

static void delete_slice(struct request *request)
{
    struct fabric *fabric = fabric_of(request);
    const char *name = request_parameter(request, "name");

    if (!check_query(request))
        return;
    if (slices_remove(fabric->slices, name) < 0) {
        request_fail(request, HTTP_NOT_FOUND, "SliceNotFound", "Slice '%s' could not be found.", name);
        return;
    }
    fabric_slices_changed(fabric);
    if (keep_slices(request))
        request_respond(request, HTTP_NO_CONTENT, NULL);
}

/* {"port": {"weight": 10}}.  Answers itself when it is something else. */
static bool read_weight(struct request *request, uint32_t *ret)
{
    const json_t *port = json_object_get(request->body, "port"), *weight = json_object_get(port, "weight");
    char what[40];
    const char *key;
    json_t *value;

    if (!json_is_object(port)) {
        refuse(request, "port", port, "an object");
        return false;
    }
    json_object_foreach ((json_t *)port, key, value)
        if (!streq(key, "weight")) {
            request_fail(request, HTTP_BAD_REQUEST, "BadRequest", "port.%.80s: cannot be set: only weight can.", key);
            return false;
        }
    snprintf(what, sizeof(what), "1 to %u", GRAPH_WEIGHT_MAX);
    if (!json_is_integer(weight) || json_integer_value(weight) < 1 || json_integer_value(weight) > GRAPH_WEIGHT_MAX) {
        refuse(request, "port.weight", weight, what);
        return false;
    }
    *ret = (uint32_t)json_integer_value(weight);
    return true;
}

static void put_port(struct request *request)
{
    const char *number_text = request_parameter(request, "number"); /* Read first: once find_switch has answered, there is no request. */
    struct datapath *datapath = check_query(request) ? find_switch(request, request_parameter(request, "id")) : NULL;
    struct fabric_port *port;
    uint32_t weight;
    uint64_t number;

    if (!datapath)
        return;
    port = parse_u64(number_text, 1, OFPP_MAX, &number) == 0 ? datapath_port(datapath, (uint32_t)number) : NULL;
    if (!port) {
        request_fail(request, HTTP_NOT_FOUND, "PortNotFound", "Port '%s' could not be found.", number_text);
        return;
    }
    if (!read_weight(request, &weight))
        return;
    fabric_set_weight(fabric_of(request), datapath->id, port->number, weight);
    respond(request, json_pack("{s:o}", "port", describe_port(port)));
}

static void put_role(struct request *request)
{
    struct status *status = request->context;
    const json_t *value = json_object_get(request->body, "role");
    const char *role = json_is_string(value) ? json_string_value(value) : "";
    enum fabric_role wanted;

    if (!check_query(request))
        return;
    if (streq(role, "equal")) {
        wanted = FABRIC_EQUAL;
    } else if (streq(role, "master")) {
        wanted = FABRIC_MASTER;
    } else if (streq(role, "slave")) {
        wanted = FABRIC_SLAVE;
    } else {
        refuse(request, "role", value, "equal, master or slave");
        return;
    }
    election_set_role(status->controller->election, wanted);
    get_fabric(request);
}

/* 'data' are the names that a query may have. */
static const struct route routes[] = {
    {"GET", "/fabric/v1", POLICY_TOKEN, get_fabric},
    {"GET", "/fabric/v1/switches", POLICY_TOKEN, list_switches},
    {"GET", "/fabric/v1/switches/{id}", POLICY_TOKEN, get_switch},
    {"PUT", "/fabric/v1/switches/{id}/ports/{number}", POLICY_TOKEN, put_port},
    {"GET", "/fabric/v1/links", POLICY_TOKEN, list_links, .data = "limit marker"},
    {"GET", "/fabric/v1/hosts", POLICY_TOKEN, list_hosts, .data = "mac address switch limit marker"},
    {"GET", "/fabric/v1/paths", POLICY_TOKEN, list_paths, .data = "from to"},
    {"GET", "/fabric/v1/flows", POLICY_TOKEN, list_flows, .data = "host limit"},
    {"GET", "/fabric/v1/statistics", POLICY_TOKEN, get_statistics},
    {"GET", "/fabric/v1/slices", POLICY_TOKEN, list_slices},
    {"GET", "/fabric/v1/slices/{name}", POLICY_TOKEN, get_slice},
    {"PUT", "/fabric/v1/slices/{name}", POLICY_TOKEN, put_slice},
    {"DELETE", "/fabric/v1/slices/{name}", POLICY_TOKEN, delete_slice},
    {"PUT", "/fabric/v1/role", POLICY_TOKEN, put_role},
};

/* ---- who may ask ------------------------------------------------------------------------------------------------------------------------ */

/* Without a token, a web page in the operator's browser must not be able to ask either: it cannot avoid telling its Origin when it
 * changes something, nor the Host that it was led here by, nor, when it merely reads, whose page it is (Sec-Fetch-Site, W3C Fetch Metadata). */
static bool is_loopback(const char *host)
{
    const char *end = host[0] == '[' ? strchr(host, ']') : host + strcspn(host, ":");
    struct ip_address address;
    char name[IP_TEXT_SIZE];
    size_t length;

    host += host[0] == '[';
    length = end ? (size_t)(end - host) : sizeof(name);
    if (length >= sizeof(name))
        return false;
    memcpy(name, host, length);
    name[length] = 0;
    end += *end == ']';
    if (*end && *end != ':')
        return false;
    if (strcasecmp(name, "localhost") == 0)
        return true;
    if (ip_parse(name, &address) < 0)
        return false;
    return ip_is_v4(&address) ? ip_to_v4(&address) >> 24 == 127 : streq(name, "::1");
}

static bool is_web_page(const struct request *request)
{
    const char *host = request_header(request, "Host"), *site = request_header(request, "Sec-Fetch-Site");
    bool is_of_another_site = site && !streq(site, "none") && !streq(site, "same-origin");

    return request_header(request, "Origin") || is_of_another_site || (host && !is_loopback(host));
}

static int authenticate(struct request *request, struct error *error)
{
    const struct status *status = request->context;
    const char *header = request_header(request, "Authorization");
    const char *token = header && strncmp(header, "Bearer ", 7) == 0 ? header + 7 : "";

    if (!status->token[0]) {
        if (is_web_page(request))
            return error_set(error, -EPERM, NULL, "Without a token, only clients of this machine are served, not web pages (Origin, Sec-Fetch-Site, Host).");
        return 0;
    }
    if (strlen(token) != strlen(status->token) || sodium_memcmp(token, status->token, strlen(token)) != 0)
        return error_set(error, -EACCES, "Authorization", "The request you have made requires a valid token.");
    return 0;
}

static int read_token(struct status *status, const char *path, struct error *error)
{
    FILE *file = fopen(path, "re");
    char line[TOKEN_MAX + 1]; /* Room to see that it is too long. */
    size_t size;

    if (!file)
        return error_set(error, -errno, "http-token-file", "http-token-file: cannot read '%s': %s", path, strerror(errno));
    size = fread(line, 1, sizeof(line) - 1, file);
    fclose(file);
    line[size] = 0;
    line[strcspn(line, "\r\n")] = 0;
    if (string_copy(status->token, sizeof(status->token), line) < 0)
        return error_set(error, -EINVAL, "http-token-file", "http-token-file: the token in '%s' has more than %d characters", path, TOKEN_MAX - 1);
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
