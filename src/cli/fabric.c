#include "weft/cli/fabric.h"

#include <errno.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "weft/base/buffer.h"
#include "weft/base/util.h"
#include "weft/cli/fabric-ask.h"
#include "weft/cli/resource.h"
#include "weft/cli/text.h"

#define WEIGHT_MAX 16777215u
#define FLOWS_MAX 10000
#define DRAWN_HOSTS_MAX 2000   /* More are counted, not drawn. */
#define DRAWN_SWITCHES_MAX 24  /* More boxes below each other are no picture any more. */
#define WIDTH_WITHOUT_TERMINAL 120

/* "0xe5 :1 -> 1: 0xe3 :4 -> 1: 0xe4": owned by the caller. */
static char *path_text(const json_t *hops)
{
    _cleanup_(buffer_clear) struct buffer buffer = {0};
    char text[ID_TEXT_SIZE];
    const json_t *hop;
    size_t i;

    json_array_foreach (hops, i, hop) {
        int r = i ? buffer_printf(&buffer, " -> %lld: ", (long long)fabric_number_of(hop, "in")) : 0;

        if (r >= 0)
            r = buffer_append_string(&buffer, fabric_short_id(resource_string(hop, "switch"), text));
        if (r >= 0 && fabric_number_of(hop, "out"))
            r = buffer_printf(&buffer, " :%lld", (long long)fabric_number_of(hop, "out"));
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
        _cleanup_(freep) char *text = json_array_size(hops) ? path_text(hops) : strdup(fabric_short_id(only, short_text));

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

    return r < 0 ? r : fabric_print_list(call, switches, switch_columns);
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
    int r = fabric_read_id("SWITCH", call_argument(call, 0), &id, &call->error);

    if (r >= 0)
        r = fabric_ask(call, "GET", NULL, &answer, "/switches/0x%llx", (unsigned long long)id);
    if (r >= 0)
        r = fabric_part_of(answer, "switch", &found, &call->error);
    if (r < 0 || !output_is_table(call) || call_flag(call, "column"))
        return r < 0 ? r : fabric_print_object(call, found);
    ports = json_incref(json_object_get(found, "ports"));
    json_object_del(found, "ports");
    r = fabric_print_object(call, found);
    if (r < 0 || json_array_size(ports) == 0)
        return r;
    putchar('\n');
    return fabric_print_list(call, ports, port_columns);
}

static const struct column link_columns[] = {
    {"from", "FROM"}, {"to", "TO"}, {"weight", "WEIGHT"}, {"weight_back", "WEIGHT BACK"}, {NULL, NULL},
};

int run_fabric_link_list(struct call *call)
{
    _cleanup_(json_decrefp) json_t *links = NULL;
    int r = fabric_list(call->session, "links", NULL, &links, &call->error);

    return r < 0 ? r : fabric_print_list(call, links, link_columns);
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
    int r = at ? fabric_read_id("--switch", at, &id, &call->error) : 0;

    if (r < 0)
        return r;
    if (at)
        snprintf(query, sizeof query, "switch=0x%llx", (unsigned long long)id);
    r = fabric_list(call->session, "hosts", query, &hosts, &call->error);
    return r < 0 ? r : fabric_print_list(call, hosts, host_columns);
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

    r = fabric_read_end(call, "FROM", call_argument(call, 0), true, &from);
    if (r >= 0)
        r = fabric_read_end(call, "TO", call_argument(call, 1), true, &to);
    if (r >= 0)
        r = fabric_ask(call, "GET", NULL, &answer, "/paths?from=%s&to=%s", from, to);
    if (r >= 0)
        r = fabric_part_of(answer, "paths", &paths, &call->error);
    if (r < 0 || fabric_wants_json(call))
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
    json_int_t ethertype = fabric_number_of(flow, "ethertype"), protocol = fabric_number_of(flow, "protocol");
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
    readable = fabric_for_people(flows);
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
        r = fabric_read_number("--limit", limit, 1, FLOWS_MAX, &number, &call->error);
    if (r >= 0 && host)
        r = fabric_read_end(call, "--host", host, false, &escaped);
    if (r >= 0)
        r = fabric_ask(call, "GET", NULL, &answer, "/flows?limit=%llu%s%s", (unsigned long long)number, host ? "&host=" : "", host ? escaped : "");
    if (r >= 0)
        r = fabric_part_of(answer, "flows", &flows, &call->error);
    if (r >= 0)
        r = fabric_wants_json(call) ? output_list(call, flows, NULL) : print_flows(call, flows);
    if (r >= 0 && !host && output_is_table(call) && fabric_number_of(answer, "total") > (json_int_t)json_array_size(flows))
        fprintf(stderr, "weft: these are %zu of %lld; see --limit\n", json_array_size(flows), (long long)fabric_number_of(answer, "total"));
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
    int r = rows ? fabric_get_part(call, "statistics", &statistics, "/statistics") : -ENOMEM;

    if (r < 0 || fabric_wants_json(call))
        return r < 0 ? r : output_object(call, statistics);
    r = add_counters(statistics, "", !output_is_table(call), rows);
    return r < 0 ? r : output_list(call, rows, counter_columns);
}

/* ---- control ----------------------------------------------------------------------------------------------------- */

int run_fabric_port_set(struct call *call)
{
    const char *text = call_flag(call, "weight");
    _cleanup_(json_decrefp) json_t *body = NULL, *answer = NULL, *port = NULL;
    uint64_t id, number, weight;
    int r = fabric_read_id("SWITCH", call_argument(call, 0), &id, &call->error);

    if (r >= 0)
        r = fabric_read_number("PORT", call_argument(call, 1), 1, PORT_MAX, &number, &call->error);
    if (r >= 0 && !text)
        r = error_set(&call->error, -EINVAL, "weight", "--weight is missing; see 'weft fabric port set --help'");
    if (r >= 0)
        r = fabric_read_number("--weight", text, 1, WEIGHT_MAX, &weight, &call->error);
    if (r < 0)
        return r;
    body = json_pack("{s:{s:I}}", "port", "weight", (json_int_t)weight);
    r = body ? fabric_ask(call, "PUT", body, &answer, "/switches/0x%llx/ports/%llu", (unsigned long long)id, (unsigned long long)number) : -ENOMEM;
    if (r >= 0)
        r = fabric_part_of(answer, "port", &port, &call->error);
    return r < 0 ? r : fabric_print_object(call, port);
}

int run_fabric_role_set(struct call *call)
{
    _cleanup_(json_decrefp) json_t *body = json_pack("{s:s}", "role", call_argument(call, 0)), *answer = NULL, *fabric = NULL;
    int r = body ? fabric_ask(call, "PUT", body, &answer, "/role") : -ENOMEM;

    if (r >= 0)
        r = fabric_part_of(answer, "fabric", &fabric, &call->error);
    return r < 0 ? r : fabric_print_object(call, fabric);
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
    int r = fabric_get_part(call, "fabric", &fabric, "");

    /* Switches last: what links and hosts name is there then. */
    if (r >= 0 && (!output_is_table(call) || fabric_number_of(fabric, "hosts") <= DRAWN_HOSTS_MAX))
        r = fabric_list(call->session, "hosts", NULL, &hosts, &call->error);
    if (r >= 0)
        r = fabric_list(call->session, "links", NULL, &links, &call->error);
    if (r >= 0)
        r = fabric_list(call->session, "switches", NULL, &switches, &call->error);
    if (r < 0)
        return r;
    if (!output_is_table(call) || call_flag(call, "column")) {
        all = json_pack("{s:O,s:O,s:O,s:O*}", "fabric", fabric, "switches", switches, "links", links, "hosts", hosts);
        return all ? fabric_print_object(call, all) : -ENOMEM;
    }
    picture = (struct fabric_picture){.fabric = fabric, .switches = switches, .links = links, .hosts = hosts, .width = terminal_width(),
                                      .max_switches = DRAWN_SWITCHES_MAX, .is_utf8 = streq(nl_langinfo(CODESET), "UTF-8"),
                                      .has_colour = output_has_colour()};
    return fabric_draw(stdout, &picture);
}
