#include "weft/cli/fabric.h"

#include <errno.h>
#include <langinfo.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "weft/base/address.h"
#include "weft/base/buffer.h"
#include "weft/base/util.h"
#include "weft/cli/output.h"
#include "weft/cli/resource.h"
#include "weft/cli/session.h"
#include "weft/cli/text.h"

#define ID_TEXT_SIZE 19
#define PORT_MAX 0xfffffeffu   /* OFPP_MAX - 1 of OpenFlow 1.3; 1.0 has fewer. */
#define WEIGHT_MAX 16777215u
#define FLOWS_MAX 10000
#define DRAWN_HOSTS_MAX 2000   /* More are counted, not drawn. */
#define DRAWN_SWITCHES_MAX 24  /* More boxes below each other are no picture any more. */
#define WIDTH_WITHOUT_TERMINAL 120

/* ---- asking ------------------------------------------------------------------------------------------------------ */

static int ask(struct call *call, const char *method, const json_t *body, json_t **ret, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

static int ask(struct call *call, const char *method, const json_t *body, json_t **ret, const char *format, ...)
{
    _cleanup_(freep) char *path = NULL;
    va_list arguments;
    int r;

    va_start(arguments, format);
    r = vasprintf(&path, format, arguments);
    va_end(arguments);
    if (r < 0) {
        path = NULL;
        return -ENOMEM;
    }
    return session_request(call->session, SERVICE_FABRIC, method, path, body, ret, &call->error);
}

/* The part of an answer that must be there. */
static int part_of(const json_t *answer, const char *key, json_t **ret, struct error *error)
{
    json_t *part = json_object_get(answer, key);

    if (!part)
        return error_set(error, -EREMOTEIO, key, "weft-fabric answered without '%s'", key);
    *ret = json_incref(part);
    return 0;
}

static int get_part(struct call *call, const char *key, json_t **ret, const char *path)
{
    _cleanup_(json_decrefp) json_t *answer = NULL;
    int r = ask(call, "GET", NULL, &answer, "%s", path);

    return r < 0 ? r : part_of(answer, key, ret, &call->error);
}

static const char *next_page(struct session *session, const json_t *answer, const char *collection)
{
    const json_t *link;
    char key[40];
    size_t i;

    snprintf(key, sizeof key, "%s_links", collection);
    json_array_foreach (json_object_get(answer, key), i, link)
        if (streq(resource_string(link, "rel"), "next"))
            return session_path_of_link(session, SERVICE_FABRIC, resource_string(link, "href"));
    return NULL;
}

int fabric_list(struct session *session, const char *collection, const char *query, json_t **ret, struct error *error)
{
    _cleanup_(json_decrefp) json_t *all = json_array();
    _cleanup_(freep) char *path = NULL;

    if (!all || text_format(&path, "/%s%s%s", collection, query && *query ? "?" : "", query ? query : "") < 0)
        return -ENOMEM;
    while (path) {
        _cleanup_(json_decrefp) json_t *answer = NULL, *page = NULL;
        const char *next;
        int r = session_request(session, SERVICE_FABRIC, "GET", path, NULL, &answer, error);

        if (r >= 0)
            r = part_of(answer, collection, &page, error);
        if (r < 0)
            return r;
        if (json_array_extend(all, page) < 0)
            return -ENOMEM;
        next = json_array_size(page) ? next_page(session, answer, collection) : NULL;
        free(path);
        path = next ? strdup(next) : NULL;
        if (next && !path)
            return -ENOMEM;
    }
    *ret = TAKE_PTR(all);
    return 0;
}

/* ---- what a person writes ---------------------------------------------------------------------------------------- */

int fabric_parse_id(const char *text, uint64_t *ret)
{
    const char *digits = text + 2;

    if (strncasecmp(text, "0x", 2) != 0)
        return parse_u64(text, 0, UINT64_MAX, ret);
    digits += strspn(digits, "0");
    if (!text[2] || strspn(digits, "0123456789abcdefABCDEF") != strlen(digits) || strlen(digits) > 16)
        return -EINVAL;
    *ret = strtoull(text, NULL, 16);
    return 0;
}

static int read_id(const char *what, const char *text, uint64_t *ret, struct error *error)
{
    if (fabric_parse_id(text, ret) < 0)
        return error_set(error, -EINVAL, what, "%s: '%s' is not a switch's id, such as 0xe5 or 229", what, text);
    return 0;
}

static int read_number(const char *what, const char *text, uint64_t minimum, uint64_t maximum, uint64_t *ret, struct error *error)
{
    if (parse_u64(text, minimum, maximum, ret) < 0)
        return error_set(error, -EINVAL, what, "%s: '%s' is not a number from %llu to %llu", what, text, (unsigned long long)minimum,
                         (unsigned long long)maximum);
    return 0;
}

/* A host's MAC or address, or a switch's id, for a query: owned by the caller. */
static int read_end(struct call *call, const char *what, const char *text, bool may_be_switch, char **ret)
{
    struct mac_address mac;
    struct ip_address ip;
    uint64_t id;

    if (mac_parse(text, &mac) == 0 || ip_parse(text, &ip) == 0) {
        *ret = session_escape(call->session, text);
        return *ret ? 0 : -ENOMEM;
    }
    if (may_be_switch && fabric_parse_id(text, &id) == 0)
        return text_format(ret, "0x%llx", (unsigned long long)id);
    return error_set(&call->error, -EINVAL, what, "%s: '%s' is not a MAC%s", what, text,
                     may_be_switch ? ", an IP address or a switch's id" : " or an IP address");
}

/* ---- what a person reads ----------------------------------------------------------------------------------------- */

static bool wants_json(const struct call *call)
{
    const char *format = call_flag(call, "output");

    return format && streq(format, "json");
}

/* "0x00000000000000e5" -> "0xe5". */
static const char *short_id(const char *id, char text[ID_TEXT_SIZE])
{
    uint64_t number;

    if (strlen(id) != ID_TEXT_SIZE - 1 || strncmp(id, "0x", 2) != 0 || fabric_parse_id(id, &number) < 0)
        return id;
    snprintf(text, ID_TEXT_SIZE, "0x%llx", (unsigned long long)number);
    return text;
}

static json_t *for_people(const json_t *value);

static json_t *object_for_people(const json_t *object)
{
    const char *id = json_string_value(json_object_get(object, "switch")), *key;
    const json_t *port = json_object_get(object, "port");
    char text[ID_TEXT_SIZE];
    json_t *result, *value;

    if (id && json_is_integer(port) && json_object_size(object) == 2)
        return json_sprintf("%s:%lld", short_id(id, text), (long long)json_integer_value(port));
    result = json_object();
    json_object_foreach ((json_t *)object, key, value)
        if (json_object_set_new(result, key, for_people(value)) < 0) {
            json_decref(result);
            return NULL;
        }
    return result;
}

/* A copy with short ids, and ports as one word; NULL when out of memory. */
static json_t *for_people(const json_t *value)
{
    char text[ID_TEXT_SIZE];
    const json_t *item;
    json_t *result;
    size_t i;

    if (json_is_string(value))
        return json_string(short_id(json_string_value(value), text));
    if (json_is_object(value))
        return object_for_people(value);
    if (!json_is_array(value))
        return json_incref((json_t *)value);
    result = json_array();
    json_array_foreach (value, i, item)
        if (json_array_append_new(result, for_people(item)) < 0) {
            json_decref(result);
            return NULL;
        }
    return result;
}

static int print_list(struct call *call, const json_t *list, const struct column *columns)
{
    _cleanup_(json_decrefp) json_t *readable = wants_json(call) ? json_incref((json_t *)list) : for_people(list);

    return readable ? output_list(call, readable, columns) : -ENOMEM;
}

static int print_object(struct call *call, const json_t *object)
{
    _cleanup_(json_decrefp) json_t *readable = wants_json(call) ? json_incref((json_t *)object) : for_people(object);

    return readable ? output_object(call, readable) : -ENOMEM;
}

static json_int_t number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* "0xe5 :1 -> 1: 0xe3 :4 -> 1: 0xe4": owned by the caller. */
static char *path_text(const json_t *hops)
{
    _cleanup_(buffer_clear) struct buffer buffer = {0};
    char text[ID_TEXT_SIZE];
    const json_t *hop;
    size_t i;

    json_array_foreach (hops, i, hop) {
        int r = i ? buffer_printf(&buffer, " -> %lld: ", (long long)number_of(hop, "in")) : 0;

        if (r >= 0)
            r = buffer_append_string(&buffer, short_id(resource_string(hop, "switch"), text));
        if (r >= 0 && number_of(hop, "out"))
            r = buffer_printf(&buffer, " :%lld", (long long)number_of(hop, "out"));
        if (r < 0)
            return NULL;
    }
    return buffer_string(&buffer) ? TAKE_PTR(buffer.data) : NULL;
}

/* Adds "path" to each object that has "hops"; one without any stays at the switch of 'at', or of the object's "from". */
static int add_paths(json_t *objects, const json_t *at)
{
    json_t *object;
    size_t i;

    json_array_foreach (objects, i, object) {
        const json_t *hops = json_object_get(object, "hops");
        const char *only = resource_string(at ? at : json_object_get(object, "from"), "switch");
        char short_text[ID_TEXT_SIZE];
        _cleanup_(freep) char *text = json_array_size(hops) ? path_text(hops) : strdup(short_id(only, short_text));

        if (!text || json_object_set_new(object, "path", json_string(text)) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* ---- switches, links, hosts -------------------------------------------------------------------------------------- */

static const struct column switch_columns[] = {
    {"id", "ID"}, {"state", "STATE"}, {"seconds", "SECONDS"}, {"openflow", "OPENFLOW"}, {"software", "SOFTWARE"}, {"role", "ROLE"},
    {"n_ports", "PORTS"}, {"n_links", "LINKS"}, {"n_hosts", "HOSTS"}, {"packet_ins", "PACKET INS"}, {"flow_mods", "FLOW MODS"},
    {"errors", "ERRORS"}, {NULL, NULL},
};

int run_fabric_switch_list(struct call *call)
{
    _cleanup_(json_decrefp) json_t *switches = NULL;
    int r = fabric_list(call->session, "switches", NULL, &switches, &call->error);

    return r < 0 ? r : print_list(call, switches, switch_columns);
}

static const struct column port_columns[] = {
    {"number", "PORT"}, {"name", "NAME"}, {"up", "UP"}, {"kind", "KIND"}, {"neighbor", "NEIGHBOR"}, {"hosts", "HOSTS"},
    {"weight", "WEIGHT"}, {"rx_packets", "RECEIVED"}, {"tx_packets", "SENT"}, {"rx_dropped", "RX DROPPED"}, {"tx_dropped", "TX DROPPED"},
    {NULL, NULL},
};

int run_fabric_switch_show(struct call *call)
{
    _cleanup_(json_decrefp) json_t *answer = NULL, *found = NULL, *ports = NULL;
    uint64_t id;
    int r = read_id("SWITCH", call_argument(call, 0), &id, &call->error);

    if (r >= 0)
        r = ask(call, "GET", NULL, &answer, "/switches/0x%llx", (unsigned long long)id);
    if (r >= 0)
        r = part_of(answer, "switch", &found, &call->error);
    if (r < 0 || !output_is_table(call) || call_flag(call, "column"))
        return r < 0 ? r : print_object(call, found);
    ports = json_incref(json_object_get(found, "ports"));
    json_object_del(found, "ports");
    r = print_object(call, found);
    if (r < 0 || json_array_size(ports) == 0)
        return r;
    putchar('\n');
    return print_list(call, ports, port_columns);
}

static const struct column link_columns[] = {
    {"from", "FROM"}, {"to", "TO"}, {"weight", "WEIGHT"}, {"weight_back", "WEIGHT BACK"}, {NULL, NULL},
};

int run_fabric_link_list(struct call *call)
{
    _cleanup_(json_decrefp) json_t *links = NULL;
    int r = fabric_list(call->session, "links", NULL, &links, &call->error);

    return r < 0 ? r : print_list(call, links, link_columns);
}

static const struct column host_columns[] = {
    {"mac", "MAC"}, {"vlan", "VLAN"}, {"addresses", "ADDRESSES"}, {"at", "AT"}, {"slice", "SLICE"}, {"flows", "FLOWS"},
    {"seen_seconds", "SEEN SECONDS AGO"}, {NULL, NULL},
};

int run_fabric_host_list(struct call *call)
{
    const char *at = call_flag(call, "switch");
    _cleanup_(json_decrefp) json_t *hosts = NULL;
    char query[40] = "";
    uint64_t id;
    int r = at ? read_id("--switch", at, &id, &call->error) : 0;

    if (r < 0)
        return r;
    if (at)
        snprintf(query, sizeof query, "switch=0x%llx", (unsigned long long)id);
    r = fabric_list(call->session, "hosts", query, &hosts, &call->error);
    return r < 0 ? r : print_list(call, hosts, host_columns);
}

/* ---- paths and flows --------------------------------------------------------------------------------------------- */

static const struct column path_columns[] = {
    {"path", "PATH"}, {"cost", "COST"}, {"share", "SHARE"}, {"flows", "FLOWS"}, {NULL, NULL},
};

static json_t *percent(double share)
{
    double tenths = (double)(long long)(share * 1000 + 0.5);

    return json_sprintf("%.*f %%", (long long)tenths % 10 ? 1 : 0, tenths / 10);
}

int run_fabric_paths(struct call *call)
{
    _cleanup_(freep) char *from = NULL, *to = NULL;
    _cleanup_(json_decrefp) json_t *answer = NULL, *paths = NULL;
    json_t *path;
    size_t i;
    int r;

    r = read_end(call, "FROM", call_argument(call, 0), true, &from);
    if (r >= 0)
        r = read_end(call, "TO", call_argument(call, 1), true, &to);
    if (r >= 0)
        r = ask(call, "GET", NULL, &answer, "/paths?from=%s&to=%s", from, to);
    if (r >= 0)
        r = part_of(answer, "paths", &paths, &call->error);
    if (r < 0 || wants_json(call))
        return r < 0 ? r : output_list(call, paths, NULL);
    if (json_array_size(paths) == 0)
        fprintf(stderr, "weft: there is no path from %s to %s\n", call_argument(call, 0), call_argument(call, 1));
    if (add_paths(paths, json_object_get(answer, "from")) < 0)
        return -ENOMEM;
    json_array_foreach (paths, i, path)
        if (output_is_table(call) &&
            json_object_set_new(path, "share", percent(json_number_value(json_object_get(path, "share")))) < 0)
            return -ENOMEM;
    return json_array_size(paths) || !output_is_table(call) ? output_list(call, paths, path_columns) : 0;
}

static const struct column flow_columns[] = {
    {"source", "SOURCE"}, {"destination", "DESTINATION"}, {"protocol", "PROTOCOL"}, {"source_port", "SPORT"},
    {"destination_port", "DPORT"}, {"from", "FROM"}, {"to", "TO"}, {"path", "PATH"}, {"age_seconds", "AGE SECONDS"}, {NULL, NULL},
};

/* What is not IP is shown with its MACs and its type. */
static int complete_flow(json_t *flow)
{
    json_int_t ethertype = number_of(flow, "ethertype"), protocol = number_of(flow, "protocol");
    const char *name = protocol == 6 ? "tcp" : protocol == 17 ? "udp" : protocol == 1 ? "icmp" : protocol == 58 ? "icmpv6" : NULL;
    bool is_ip = json_is_string(json_object_get(flow, "source"));
    int r = 0;

    if (!is_ip)
        r = json_object_set(flow, "source", json_object_get(flow, "source_mac")) |
            json_object_set(flow, "destination", json_object_get(flow, "destination_mac"));
    if (r == 0 && is_ip && name)
        r = json_object_set_new(flow, "protocol", json_string(name));
    else if (r == 0 && !is_ip)
        r = json_object_set_new(flow, "protocol", ethertype ? json_sprintf("0x%04llx", (long long)ethertype) : json_string("any"));
    return r == 0 ? 0 : -ENOMEM;
}

static int print_flows(struct call *call, json_t *flows)
{
    _cleanup_(json_decrefp) json_t *readable = NULL;
    json_t *flow;
    size_t i;

    /* Paths first: "from" is a word afterwards. */
    if (add_paths(flows, NULL) < 0)
        return -ENOMEM;
    readable = for_people(flows);
    if (!readable)
        return -ENOMEM;
    json_array_foreach (readable, i, flow)
        if (complete_flow(flow) < 0)
            return -ENOMEM;
    return output_list(call, readable, flow_columns);
}

int run_fabric_flow_list(struct call *call)
{
    const char *host = call_flag(call, "host"), *limit = call_flag(call, "limit");
    _cleanup_(json_decrefp) json_t *answer = NULL, *flows = NULL;
    _cleanup_(freep) char *escaped = NULL;
    uint64_t number = 1000;
    int r = 0;

    if (limit)
        r = read_number("--limit", limit, 1, FLOWS_MAX, &number, &call->error);
    if (r >= 0 && host)
        r = read_end(call, "--host", host, false, &escaped);
    if (r >= 0)
        r = ask(call, "GET", NULL, &answer, "/flows?limit=%llu%s%s", (unsigned long long)number, host ? "&host=" : "", host ? escaped : "");
    if (r >= 0)
        r = part_of(answer, "flows", &flows, &call->error);
    if (r >= 0)
        r = wants_json(call) ? output_list(call, flows, NULL) : print_flows(call, flows);
    if (r >= 0 && !host && output_is_table(call) && number_of(answer, "total") > (json_int_t)json_array_size(flows))
        fprintf(stderr, "weft: these are %zu of %lld; see --limit\n", json_array_size(flows), (long long)number_of(answer, "total"));
    return r;
}

/* ---- statistics -------------------------------------------------------------------------------------------------- */

static const struct column counter_columns[] = {
    {"counter", "COUNTER"}, {"count", "COUNT"}, {NULL, NULL},
};

/* One row a counter; "events" and "drops" hold counters of their own, most of them 0 and in a table left out. */
static int add_counters(const json_t *counters, const char *prefix, bool with_zeros, json_t *rows)
{
    json_t *value;
    const char *key;

    json_object_foreach ((json_t *)counters, key, value) {
        char name[100];

        snprintf(name, sizeof name, "%s%s", prefix, key);
        if (json_is_object(value)) {
            strncat(name, ".", sizeof name - strlen(name) - 1);
            if (add_counters(value, name, with_zeros, rows) < 0)
                return -ENOMEM;
        } else if (!*prefix || with_zeros || json_integer_value(value)) {
            if (json_array_append_new(rows, json_pack("{s:s,s:O}", "counter", name, "count", value)) < 0)
                return -ENOMEM;
        }
    }
    return 0;
}

int run_fabric_statistics(struct call *call)
{
    _cleanup_(json_decrefp) json_t *statistics = NULL, *rows = json_array();
    int r = rows ? get_part(call, "statistics", &statistics, "/statistics") : -ENOMEM;

    if (r < 0 || wants_json(call))
        return r < 0 ? r : output_object(call, statistics);
    r = add_counters(statistics, "", !output_is_table(call), rows);
    return r < 0 ? r : output_list(call, rows, counter_columns);
}

/* ---- slices ------------------------------------------------------------------------------------------------------ */

static const struct column slice_columns[] = {
    {"name", "NAME"}, {"n_bindings", "BINDINGS"}, {"bindings", "ARE"}, {NULL, NULL},
};

/* "0xe1:3 vlan 10", "0xe1:3 02:...", "02:..." */
static json_t *binding_for_people(const json_t *binding)
{
    const char *id = resource_string(binding, "switch"), *mac = resource_string(binding, "mac");
    const json_t *vlan = json_object_get(binding, "vlan");
    char place[40] = "", tag[24] = "", text[ID_TEXT_SIZE];

    if (*id)
        snprintf(place, sizeof place, "%s:%lld", short_id(id, text), (long long)number_of(binding, "port"));
    if (json_is_integer(vlan))
        snprintf(tag, sizeof tag, " vlan %lld", (long long)json_integer_value(vlan));
    else if (vlan)
        snprintf(tag, sizeof tag, " untagged");
    return json_sprintf("%s%s%s%s", place, tag, *place && *mac ? " " : "", mac);
}

static json_t *slice_for_people(const json_t *slice)
{
    json_t *bindings = json_array();
    const json_t *binding;
    size_t i;

    json_array_foreach (json_object_get(slice, "bindings"), i, binding)
        if (json_array_append_new(bindings, binding_for_people(binding)) < 0) {
            json_decref(bindings);
            return NULL;
        }
    return json_pack("{s:s,s:I,s:o}", "name", resource_string(slice, "name"), "n_bindings", (json_int_t)json_array_size(bindings), "bindings",
                     bindings);
}

int run_fabric_slice_list(struct call *call)
{
    _cleanup_(json_decrefp) json_t *slices = NULL, *rows = json_array();
    const json_t *slice;
    size_t i;
    int r = rows ? fabric_list(call->session, "slices", NULL, &slices, &call->error) : -ENOMEM;

    if (r < 0 || wants_json(call))
        return r < 0 ? r : output_list(call, slices, NULL);
    json_array_foreach (slices, i, slice)
        if (json_array_append_new(rows, slice_for_people(slice)) < 0)
            return -ENOMEM;
    return output_list(call, rows, slice_columns);
}

static int print_slice(struct call *call, const json_t *answer)
{
    _cleanup_(json_decrefp) json_t *slice = NULL, *readable = NULL;
    int r = part_of(answer, "slice", &slice, &call->error);

    if (r < 0 || wants_json(call))
        return r < 0 ? r : output_object(call, slice);
    readable = slice_for_people(slice);
    return readable ? output_object(call, readable) : -ENOMEM;
}

static int slice_path(struct call *call, const char *name, char **ret)
{
    _cleanup_(freep) char *escaped = session_escape(call->session, name);

    return escaped ? text_format(ret, "/slices/%s", escaped) : -ENOMEM;
}

int run_fabric_slice_show(struct call *call)
{
    _cleanup_(json_decrefp) json_t *answer = NULL;
    _cleanup_(freep) char *path = NULL;
    int r = slice_path(call, call_argument(call, 0), &path);

    if (r >= 0)
        r = ask(call, "GET", NULL, &answer, "%s", path);
    return r < 0 ? r : print_slice(call, answer);
}

/* One KEY=VALUE of a binding; '*whole' is what was written, for the message. */
static int parse_binding_part(json_t *binding, char *part, const char *whole, struct error *error)
{
    char *value = strchr(part, '=');
    struct mac_address mac;
    json_t *parsed = NULL;
    uint64_t number;

    if (!value)
        return error_set(error, -EINVAL, "binding", "--binding: '%s': '%s' is not KEY=VALUE", whole, part);
    *value++ = '\0';
    if (json_object_get(binding, part))
        return error_set(error, -EINVAL, "binding", "--binding: '%s': there are two '%s'", whole, part);
    if (streq(part, "switch") && fabric_parse_id(value, &number) == 0)
        parsed = json_sprintf("0x%llx", (unsigned long long)number);
    else if (streq(part, "port") && parse_u64(value, 1, PORT_MAX, &number) == 0)
        parsed = json_integer((json_int_t)number);
    else if (streq(part, "vlan") && streq(value, "untagged"))
        parsed = json_string(value);
    else if (streq(part, "vlan") && parse_u64(value, 0, 4095, &number) == 0)
        parsed = json_integer((json_int_t)number);
    else if (streq(part, "mac") && mac_parse(value, &mac) == 0)
        parsed = json_string(value);
    else if (streq(part, "switch"))
        return error_set(error, -EINVAL, "binding", "--binding: switch: '%s' is not a switch's id, such as 0xe5 or 229", value);
    else if (streq(part, "port"))
        return error_set(error, -EINVAL, "binding", "--binding: port: '%s' is not a port's number", value);
    else if (streq(part, "vlan"))
        return error_set(error, -EINVAL, "binding", "--binding: vlan: '%s' is not 0 to 4095 or 'untagged'", value);
    else if (streq(part, "mac"))
        return error_set(error, -EINVAL, "binding", "--binding: mac: '%s' is not a MAC address", value);
    else
        return error_set(error, -EINVAL, "binding", "--binding: '%s' is not switch, port, vlan or mac", part);
    return json_object_set_new(binding, part, parsed) < 0 ? -ENOMEM : 0;
}

static int add_binding(json_t *bindings, const char *text, struct error *error)
{
    json_t *binding = json_object();
    _cleanup_(freep) char *copy = strdup(text);
    char *rest = copy, *part;

    if (json_array_append_new(bindings, binding) < 0 || !copy)
        return -ENOMEM;
    while ((part = strsep(&rest, ","))) {
        int r = parse_binding_part(binding, part, text, error);

        if (r < 0)
            return r;
    }
    return 0;
}

/* {"slice": {"bindings": [...]}}, or what is within, as 'slice show -o json' prints it. */
static int read_slice_file(const char *path, json_t **ret, struct error *error)
{
    json_error_t cause;
    _cleanup_(json_decrefp) json_t *json =
        streq(path, "-") ? json_loadf(stdin, JSON_REJECT_DUPLICATES, &cause) : json_load_file(path, JSON_REJECT_DUPLICATES, &cause);
    json_t *slice;

    if (!json)
        return error_set(error, -EINVAL, "file", "--file: '%s', line %d: %s", path, cause.line, cause.text);
    slice = json_object_get(json, "slice");
    slice = slice ? slice : json;
    if (!json_is_array(json_object_get(slice, "bindings")))
        return error_set(error, -EINVAL, "file", "--file: '%s' has no list \"bindings\"", path);
    *ret = json_incref(slice);
    return 0;
}

static int slice_of_flags(struct call *call, json_t **ret)
{
    _cleanup_(json_decrefp) json_t *slice = json_pack("{s:[]}", "bindings");
    const char *file = call_flag(call, "file");

    if (file && call_flag(call, "binding"))
        return error_set(&call->error, -EINVAL, "file", "--file and --binding exclude each other");
    if (file)
        return read_slice_file(file, ret, &call->error);
    if (!slice)
        return -ENOMEM;
    for (size_t i = 0; i < call->n_values; i++) {
        int r = streq(call->values[i].flag->name, "binding")
                    ? add_binding(json_object_get(slice, "bindings"), call->values[i].text, &call->error)
                    : 0;

        if (r < 0)
            return r;
    }
    if (json_array_size(json_object_get(slice, "bindings")) == 0)
        return error_set(&call->error, -EINVAL, "binding", "which hosts belong to it? give --binding or --file");
    *ret = TAKE_PTR(slice);
    return 0;
}

int run_fabric_slice_set(struct call *call)
{
    _cleanup_(json_decrefp) json_t *slice = NULL, *body = NULL, *answer = NULL;
    _cleanup_(freep) char *path = NULL;
    int r = slice_of_flags(call, &slice);

    if (r < 0)
        return r;
    json_object_del(slice, "name"); /* A file may be of another slice: the argument says which one is set. */
    body = json_pack("{s:O}", "slice", slice);
    r = body ? slice_path(call, call_argument(call, 0), &path) : -ENOMEM;
    if (r >= 0)
        r = ask(call, "PUT", body, &answer, "%s", path);
    return r < 0 ? r : print_slice(call, answer);
}

int run_fabric_slice_delete(struct call *call)
{
    int first = 0;

    for (size_t i = 0; i < call->n_arguments; i++) {
        _cleanup_(freep) char *path = NULL;
        struct error cause = {0};
        int r = slice_path(call, call->arguments[i], &path);

        if (r >= 0)
            r = session_request(call->session, SERVICE_FABRIC, "DELETE", path, NULL, NULL, &cause);
        if (r < 0 && !first) {
            first = r;
            call->error = cause;
        } else if (r < 0) {
            fprintf(stderr, "weft: %s\n", cause.message);
        }
    }
    return first;
}

/* ---- control ----------------------------------------------------------------------------------------------------- */

int run_fabric_port_set(struct call *call)
{
    const char *text = call_flag(call, "weight");
    _cleanup_(json_decrefp) json_t *body = NULL, *answer = NULL, *port = NULL;
    uint64_t id, number, weight;
    int r = read_id("SWITCH", call_argument(call, 0), &id, &call->error);

    if (r >= 0)
        r = read_number("PORT", call_argument(call, 1), 1, PORT_MAX, &number, &call->error);
    if (r >= 0 && !text)
        r = error_set(&call->error, -EINVAL, "weight", "--weight is missing; see 'weft fabric port set --help'");
    if (r >= 0)
        r = read_number("--weight", text, 1, WEIGHT_MAX, &weight, &call->error);
    if (r < 0)
        return r;
    body = json_pack("{s:{s:I}}", "port", "weight", (json_int_t)weight);
    r = body ? ask(call, "PUT", body, &answer, "/switches/0x%llx/ports/%llu", (unsigned long long)id, (unsigned long long)number) : -ENOMEM;
    if (r >= 0)
        r = part_of(answer, "port", &port, &call->error);
    return r < 0 ? r : print_object(call, port);
}

int run_fabric_role_set(struct call *call)
{
    _cleanup_(json_decrefp) json_t *body = json_pack("{s:s}", "role", call_argument(call, 0)), *answer = NULL, *fabric = NULL;
    int r = body ? ask(call, "PUT", body, &answer, "/role") : -ENOMEM;

    if (r >= 0)
        r = part_of(answer, "fabric", &fabric, &call->error);
    return r < 0 ? r : print_object(call, fabric);
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static size_t terminal_width(void)
{
    const char *columns = getenv("COLUMNS");
    struct winsize size = {0};
    uint64_t number;

    if (columns && parse_u64(columns, 1, 10000, &number) == 0)
        return number;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : WIDTH_WITHOUT_TERMINAL;
}

int run_fabric_show(struct call *call)
{
    _cleanup_(json_decrefp) json_t *fabric = NULL, *switches = NULL, *links = NULL, *hosts = NULL, *all = NULL;
    struct fabric_picture picture;
    int r = get_part(call, "fabric", &fabric, "");

    /* Switches last: what links and hosts name is there then. */
    if (r >= 0 && (!output_is_table(call) || number_of(fabric, "hosts") <= DRAWN_HOSTS_MAX))
        r = fabric_list(call->session, "hosts", NULL, &hosts, &call->error);
    if (r >= 0)
        r = fabric_list(call->session, "links", NULL, &links, &call->error);
    if (r >= 0)
        r = fabric_list(call->session, "switches", NULL, &switches, &call->error);
    if (r < 0)
        return r;
    if (!output_is_table(call) || call_flag(call, "column")) {
        all = json_pack("{s:O,s:O,s:O,s:O*}", "fabric", fabric, "switches", switches, "links", links, "hosts", hosts);
        return all ? print_object(call, all) : -ENOMEM;
    }
    picture = (struct fabric_picture){.fabric = fabric, .switches = switches, .links = links, .hosts = hosts, .width = terminal_width(),
                                      .max_switches = DRAWN_SWITCHES_MAX, .is_utf8 = streq(nl_langinfo(CODESET), "UTF-8"),
                                      .has_colour = output_has_colour()};
    return fabric_draw(stdout, &picture);
}
