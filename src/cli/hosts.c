#include "weft/cli/hosts.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "weft/base/clock.h"
#include "weft/base/util.h"
#include "weft/cli/agent-socket.h"
#include "weft/cli/resource.h"
#include "weft/cli/text.h"

int run_host_join_token(struct call *call)
{
    _cleanup_(json_decrefp) json_t *host = NULL, *answer = NULL;
    _cleanup_(freep) char *path = NULL;
    const json_t *shown;
    int r;

    r = resource_find(call->session, &resource_host, call_argument(call, 0), &host, &call->error);
    if (r < 0)
        return r;
    if (text_format(&path, "/hosts/%s/join_token", resource_id(host)) < 0)
        return -ENOMEM;
    r = session_request(call->session, SERVICE_WEFT, "POST", path, NULL, &answer, &call->error);
    if (r < 0)
        return r;
    shown = json_object_get(answer, "host");
    return output_object(call, shown ? shown : answer);
}

/* ---- names of ports ---------------------------------------------------------------------------------------------- */

/* {id: port} of all ports that we see. */
static int ports_by_id(struct call *call, json_t **ret)
{
    _cleanup_(json_decrefp) json_t *ports = NULL, *by_id = json_object();
    json_t *port;
    size_t i;
    int r;

    r = by_id ? resource_list(call->session, &resource_port, NULL, &ports, &call->error) : -ENOMEM;
    if (r < 0)
        return r;
    json_array_foreach (ports, i, port)
        json_object_set(by_id, resource_id(port), port);
    *ret = TAKE_PTR(by_id);
    return 0;
}

/* The port's name where it has one, else its id; NULL for JSON null. */
static json_t *shown_port(const json_t *by_id, const json_t *id)
{
    const char *name;

    if (!json_is_string(id))
        return json_null();
    name = resource_string(json_object_get(by_id, json_string_value(id)), "name");
    return json_string(*name ? name : json_string_value(id));
}

/* ---- status ------------------------------------------------------------------------------------------------------ */

static const struct column host_columns[] = {
    {"name", "HOST"}, {"state", "STATE"}, {"tunnel_address", "TUNNEL ADDRESS"}, {"underlay_mtu", "MTU"},
    {"version", "VERSION"}, {"applied_revision", "REVISION"}, {NULL, NULL},
};

static json_t *count_ports(const json_t *ports)
{
    const json_t *port;
    json_int_t n_active = 0, n_bound = 0;
    size_t i;

    json_array_foreach (ports, i, port) {
        n_active += streq(resource_string(port, "status"), "ACTIVE");
        n_bound += *resource_string(port, "binding:host_id") != 0;
    }
    return json_pack("{s:I,s:I,s:I}", "total", (json_int_t)json_array_size(ports), "bound", n_bound, "active", n_active);
}

static int print_status(struct call *call, const json_t *status)
{
    const json_t *ports = json_object_get(status, "ports"), *hosts = json_object_get(status, "hosts");
    const json_t *agent = json_object_get(status, "agent");

    printf("Networks  %lld\nPorts     %lld, %lld bound to a host, %lld active\n",
           (long long)json_integer_value(json_object_get(status, "networks")),
           (long long)json_integer_value(json_object_get(ports, "total")),
           (long long)json_integer_value(json_object_get(ports, "bound")),
           (long long)json_integer_value(json_object_get(ports, "active")));
    if (json_is_object(agent))
        printf("Agent     host %s, API %s, revision %lld, %zu ports here\n", resource_string(agent, "host"),
               resource_string(agent, "api"), (long long)json_integer_value(json_object_get(agent, "revision")),
               json_array_size(json_object_get(agent, "ports")));
    else
        printf("Agent     none on this machine\n");
    if (!json_is_array(hosts)) {
        printf("Hosts     only an administrator sees them\n");
        return 0;
    }
    printf("Hosts     %zu\n\n", json_array_size(hosts));
    return output_list(call, hosts, host_columns);
}

int run_status(struct call *call)
{
    _cleanup_(json_decrefp) json_t *networks = NULL, *ports = NULL, *hosts = NULL, *agent = NULL, *status = NULL;
    _cleanup_(json_decrefp) json_t *question = json_pack("{s:s}", "operation", "status");
    struct error no_agent = {0}, no_hosts = {0};
    int r;

    r = resource_list(call->session, &resource_network, "fields=id", &networks, &call->error);
    if (r >= 0)
        r = resource_list(call->session, &resource_port, NULL, &ports, &call->error);
    if (r < 0)
        return r;
    r = resource_list(call->session, &resource_host, NULL, &hosts, &no_hosts);
    if (r < 0 && r != -EACCES) {
        call->error = no_hosts;
        return r;
    }
    if (question)
        agent_ask(session_agent_socket(call->session), question, &agent, &no_agent);
    status = json_pack("{s:I,s:o,s:O?,s:O?}", "networks", (json_int_t)json_array_size(networks), "ports",
                       count_ports(ports), "hosts", hosts, "agent", agent);
    if (!status)
        return -ENOMEM;
    return output_is_table(call) ? print_status(call, status) : output_object(call, status);
}

/* ---- drops ------------------------------------------------------------------------------------------------------- */

static const struct column drop_columns[] = {
    {"host", "HOST"}, {"port", "PORT"}, {"reason", "REASON"}, {"packets", "PACKETS"}, {"text", "MEANING"}, {NULL, NULL},
};

static int add_drops(const json_t *answer, const char *host, const json_t *by_id, json_t *rows)
{
    const json_t *drop;
    size_t i;

    json_array_foreach (json_object_get(answer, "drops"), i, drop) {
        const json_t *port_id = json_object_get(drop, "port");
        const char *bound = resource_string(json_object_get(by_id, json_is_string(port_id) ? json_string_value(port_id) : ""),
                                            "binding:host_id");
        json_t *row = json_pack("{s:s,s:o,s:O?,s:s,s:I,s:s}", "host", host ? host : bound, "port",
                                shown_port(by_id, port_id), "port_id", port_id, "reason", resource_string(drop, "reason"),
                                "packets", json_integer_value(json_object_get(drop, "packets")), "text",
                                resource_string(drop, "text"));

        if (!row || json_array_append_new(rows, row) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int drops_of_host(struct call *call, const char *host, const json_t *by_id, json_t *rows)
{
    _cleanup_(freep) char *escaped = session_escape(call->session, host);
    _cleanup_(json_decrefp) json_t *answer = NULL;
    int r;

    if (!escaped)
        return -ENOMEM;
    r = resource_get(call->session, SERVICE_WEFT, &answer, &call->error, "/hosts/%s/drops", escaped);
    return r < 0 ? r : add_drops(answer, host, by_id, rows);
}

static int drops_of_port(struct call *call, const char *id, const json_t *by_id, json_t *rows)
{
    _cleanup_(json_decrefp) json_t *answer = NULL;
    int r;

    r = resource_get(call->session, SERVICE_WEFT, &answer, &call->error, "/ports/%s/drops", id);
    return r < 0 ? r : add_drops(answer, NULL, by_id, rows);
}

/* Everything: an administrator asks the hosts that are up, others ask for their bound ports. */
static int drops_of_all(struct call *call, const json_t *by_id, json_t *rows)
{
    _cleanup_(json_decrefp) json_t *hosts = NULL;
    struct error cause = {0};
    const json_t *host;
    const char *id;
    json_t *port;
    size_t i;
    int r;

    r = resource_list(call->session, &resource_host, NULL, &hosts, &cause);
    if (r == -EACCES) {
        json_object_foreach ((json_t *)by_id, id, port) {
            r = *resource_string(port, "binding:host_id") ? drops_of_port(call, id, by_id, rows) : 0;
            if (r < 0)
                return r;
        }
        return 0;
    }
    if (r < 0) {
        call->error = cause;
        return r;
    }
    json_array_foreach (hosts, i, host) {
        if (!streq(resource_string(host, "state"), "up"))
            continue;
        r = drops_of_host(call, resource_string(host, "name"), by_id, rows);
        if (r < 0)
            return r;
    }
    return 0;
}

static int collect_drops(struct call *call, json_t **ret)
{
    const char *port = call_flag(call, "port"), *host = call_flag(call, "host");
    _cleanup_(json_decrefp) json_t *by_id = NULL, *rows = json_array(), *found = NULL;
    int r;

    r = rows ? ports_by_id(call, &by_id) : -ENOMEM;
    if (r < 0)
        return r;
    if (port) {
        r = resource_find(call->session, &resource_port, port, &found, &call->error);
        if (r >= 0)
            r = drops_of_port(call, resource_id(found), by_id, rows);
    } else if (host) {
        r = drops_of_host(call, host, by_id, rows);
    } else {
        r = drops_of_all(call, by_id, rows);
    }
    if (r >= 0)
        *ret = TAKE_PTR(rows);
    return r;
}

static json_int_t earlier_count(const json_t *before, const json_t *row)
{
    const json_t *old;
    size_t i;

    json_array_foreach (before, i, old)
        if (json_equal(json_object_get(old, "port_id"), json_object_get(row, "port_id")) &&
            streq(resource_string(old, "host"), resource_string(row, "host")) &&
            streq(resource_string(old, "reason"), resource_string(row, "reason")))
            return json_integer_value(json_object_get(old, "packets"));
    return 0;
}

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

/* A line for each count that grew, each second. */
static int follow_drops(struct call *call)
{
    const struct sigaction action = {.sa_handler = on_interrupt};
    const struct timespec second = {.tv_sec = 1};
    _cleanup_(json_decrefp) json_t *before = NULL;
    int r;

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    r = collect_drops(call, &before);
    while (r >= 0 && !interrupted) {
        json_t *now = NULL;
        const json_t *row;
        char time_text[TIME_TEXT_SIZE];
        size_t i;

        if (nanosleep(&second, NULL) < 0)
            continue;
        r = collect_drops(call, &now);
        if (r < 0)
            break;
        time_format(clock_realtime_s(), time_text);
        json_array_foreach (now, i, row) {
            json_int_t more = json_integer_value(json_object_get(row, "packets")) - earlier_count(before, row);

            if (more > 0)
                printf("%s  %s  %s  +%lld  %s: %s\n", time_text, resource_string(row, "host"),
                       *resource_string(row, "port") ? resource_string(row, "port") : "-", (long long)more,
                       resource_string(row, "reason"), resource_string(row, "text"));
        }
        fflush(stdout);
        json_decref(before);
        before = now;
    }
    return r;
}

int run_drops(struct call *call)
{
    _cleanup_(json_decrefp) json_t *rows = NULL;
    int r;

    if (call_flag(call, "port") && call_flag(call, "host"))
        return error_set(&call->error, -EINVAL, "host", "--port and --host exclude each other");
    if (call_flag(call, "follow"))
        return follow_drops(call);
    r = collect_drops(call, &rows);
    return r < 0 ? r : output_list(call, rows, drop_columns);
}

/* ---- counters and flows ------------------------------------------------------------------------------------------ */

static const struct column counter_columns[] = {
    {"port", "PORT"}, {"host", "HOST"}, {"interface", "INTERFACE"}, {"tx_packets", "SENT"}, {"tx_bytes", "BYTES SENT"},
    {"rx_packets", "RECEIVED"}, {"rx_bytes", "BYTES RECEIVED"}, {"dropped", "DROPPED"}, {NULL, NULL},
};

static int add_counters(struct call *call, const json_t *port, json_t *rows)
{
    _cleanup_(json_decrefp) json_t *answer = NULL;
    const char *name = resource_string(port, "name");
    json_t *counter;
    size_t i;
    int r;

    r = resource_get(call->session, SERVICE_WEFT, &answer, &call->error, "/ports/%s/counters", resource_id(port));
    if (r < 0)
        return r;
    json_array_foreach (json_object_get(answer, "counters"), i, counter) {
        json_object_set_new(counter, "port_id", json_string(resource_id(port)));
        json_object_set_new(counter, "port", json_string(*name ? name : resource_id(port)));
        json_object_set_new(counter, "host", json_string(resource_string(port, "binding:host_id")));
        if (json_array_append(rows, counter) < 0)
            return -ENOMEM;
    }
    return 0;
}

int run_counters(struct call *call)
{
    _cleanup_(json_decrefp) json_t *rows = json_array(), *ports = NULL;
    const json_t *port;
    size_t i;
    int r = rows ? 0 : -ENOMEM;

    for (i = 0; r >= 0 && i < call->n_arguments; i++) {
        _cleanup_(json_decrefp) json_t *found = NULL;

        r = resource_find(call->session, &resource_port, call->arguments[i], &found, &call->error);
        if (r >= 0)
            r = add_counters(call, found, rows);
    }
    if (r >= 0 && call->n_arguments == 0) {
        r = resource_list(call->session, &resource_port, NULL, &ports, &call->error);
        json_array_foreach (ports, i, port) {
            if (r >= 0 && *resource_string(port, "binding:host_id"))
                r = add_counters(call, port, rows);
        }
    }
    return r < 0 ? r : output_list(call, rows, counter_columns);
}

static const struct column flow_columns[] = {
    {"protocol", "PROTOCOL"}, {"local", "LOCAL"}, {"local_port", "PORT"}, {"remote", "REMOTE"}, {"remote_port", "PORT"},
    {"state", "STATE"}, {"tx_packets", "SENT"}, {"rx_packets", "RECEIVED"}, {"idle_ms", "IDLE MS"}, {NULL, NULL},
};

int run_flows(struct call *call)
{
    _cleanup_(json_decrefp) json_t *port = NULL, *answer = NULL;
    const char *limit = call_flag(call, "limit");
    uint64_t number = 100;
    int r;

    if (limit && parse_u64(limit, 1, 100000, &number) < 0)
        return error_set(&call->error, -EINVAL, "limit", "--limit: '%s' is not a number from 1 to 100000", limit);
    r = resource_find(call->session, &resource_port, call_argument(call, 0), &port, &call->error);
    if (r >= 0)
        r = resource_get(call->session, SERVICE_WEFT, &answer, &call->error, "/ports/%s/flows?limit=%llu",
                         resource_id(port), (unsigned long long)number);
    if (r >= 0)
        r = output_list(call, json_object_get(answer, "flows"), flow_columns);
    if (r >= 0 && output_is_table(call) && json_is_true(json_object_get(answer, "truncated")))
        fprintf(stderr, "weft: there are more; see --limit\n");
    return r;
}
