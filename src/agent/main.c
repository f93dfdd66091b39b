/* weft-agent: keeps one host's data plane as the API wants it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weft/agent/agent.h"
#include "weft/agent/director.h"
#include "weft/agent/member-gone.h"
#include "weft/agent/member-health.h"
#include "weft/agent/metadata.h"
#include "weft/agent/metrics.h"
#include "weft/agent/questions.h"
#include "weft/agent/serve.h"
#include "weft/agent/timeouts.h"
#include "weft/agent/uplinks.h"
#include "weft/agent/verdicts.h"
#include "weft/base/clock.h"
#include "weft/base/log.h"
#include "weft/base/memory.h"
#include "weft/base/options.h"
#include "weft/dataplane/attach.h"

#define CONFIG_PATH "/etc/weft/agent.conf"

static struct agent agent;

static const struct option_spec options[] = {
    {"host", OPTION_STRING, &agent.options.host, "NAME", "this host's name: what binding:host_id says (the system's host name)"},
    {"api", OPTION_STRING, &agent.options.api, "URL,...", "API servers, one of which is used (http://127.0.0.1:9696)"},
    {"api-ca", OPTION_STRING, &agent.options.api_ca, "FILE", "certificates that https servers are checked against"},
    {"join-token-file", OPTION_STRING, &agent.options.join_token_file, "FILE", "holds the one-time token of the first start"},
    {"state-dir", OPTION_STRING, &agent.options.state_dir, "FOLDER", "credential, cache, slots (/var/lib/weft/agent)"},
    {"pin-path", OPTION_STRING, &agent.options.pin_path, "FOLDER", "programs and maps (/sys/fs/bpf/weft/HOST)"},
    {"socket", OPTION_STRING, &agent.options.socket, "PATH", "for local commands (/run/weft/agent.sock)"},
    {"underlay", OPTION_STRING, &agent.options.underlay, "INTERFACE", "where other hosts are; auto: the one with the tunnel address"},
    {"tunnel-address", OPTION_STRING, &agent.options.tunnel_address, "ADDRESS", "of this host's tunnels (the one towards the API)"},
    {"uplinks", OPTION_STRING, &agent.options.uplinks, "NETWORK:INTERFACE,...", "interfaces in physical networks, by which external networks are reached"},
    {"max-ports", OPTION_NUMBER, &agent.options.max_ports, "NUMBER", "ports on this host, once created (4096)"},
    {"max-hosts", OPTION_NUMBER, &agent.options.max_hosts, "NUMBER", "other hosts, once created (4096)"},
    {"max-router-ports", OPTION_NUMBER, &agent.options.max_router_ports, "NUMBER",
     "ports of routers that concern this host, once created (16384)"},
    {"max-project-macs", OPTION_NUMBER, &agent.options.max_project_macs, "NUMBER",
     "MACs learned in the networks of one project (a share of 65536)"},
    {"max-connections", OPTION_NUMBER, &agent.options.max_connections, "NUMBER", "connections of this host's ports, once created (262144)"},
    {"timeout-tcp-established", OPTION_NUMBER, &agent.options.timeouts[TIMEOUT_TCP_ESTABLISHED], "SECONDS",
     "of silence that end a TCP connection (432000, 5 days)"},
    {"timeout-tcp-half-open", OPTION_NUMBER, &agent.options.timeouts[TIMEOUT_HALF_OPEN], "SECONDS", "one that is not established yet (30)"},
    {"timeout-tcp-half-closed", OPTION_NUMBER, &agent.options.timeouts[TIMEOUT_TCP_HALF_CLOSED], "SECONDS", "one that one side has closed (900)"},
    {"timeout-tcp-closing", OPTION_NUMBER, &agent.options.timeouts[TIMEOUT_TCP_CLOSING], "SECONDS", "one that both sides have closed (120)"},
    {"timeout-udp", OPTION_NUMBER, &agent.options.timeouts[TIMEOUT_UDP_SEEN], "SECONDS", "UDP both ways, or more than twice (180)"},
    {"timeout-udp-new", OPTION_NUMBER, &agent.options.timeouts[TIMEOUT_UDP_NEW], "SECONDS", "UDP before that (30)"},
    {"timeout-icmp", OPTION_NUMBER, &agent.options.timeouts[TIMEOUT_ICMP], "SECONDS", "echo (30)"},
    {"timeout-other", OPTION_NUMBER, &agent.options.timeouts[TIMEOUT_OTHER], "SECONDS", "other protocols (600)"},
    {"flood-fan-out", OPTION_NUMBER, &agent.options.flood_fan_out, "NUMBER", "hosts that a broadcast is sent to, each of which passes it on (64)"},
    {"relay-rate", OPTION_NUMBER, &agent.options.relay_rate, "NUMBER", "copies a second that are passed on for another host (65536)"},
    {"metrics-listen", OPTION_STRING, &agent.options.metrics_listen, "ADDRESS:PORT", "where to serve /metrics; not at all if unset"},
    {"metadata-url", OPTION_STRING, &agent.options.metadata_url, "URL", "whom 169.254.169.254 asks (this agent); off: nobody answers there"},
    {"metadata-secret-file", OPTION_STRING, &agent.options.metadata_secret_file, "FILE", "holds the secret that is shared with it"},
    {"network-log-file", OPTION_STRING, &agent.options.network_log_file, "FILE",
     "where packets that security groups pass or refuse are logged (/var/log/weft/network.log)"},
    {"network-log-rate-limit", OPTION_NUMBER, &agent.options.network_log_rate_limit, "NUMBER", "lines a second of each port in it (100)"},
    {"network-log-burst-limit", OPTION_NUMBER, &agent.options.network_log_burst_limit, "NUMBER", "lines at once of each port in it (25)"},
    {"probe-rate", OPTION_NUMBER, &agent.options.probe_rate, "NUMBER", "health probes of load balancers' members a second (2000)"},
    {"log-level", OPTION_STRING, &agent.options.log_level, "LEVEL", "error, warning, info or debug"},
    {.name = NULL},
};

static const char usage[] = "weft-agent [OPTION]... [detach]\n"
                            "Runs this host's part of the virtual network; 'detach' removes every program, map and device again.";

/* ---- options ---------------------------------------------------------------------------------------------------------------- */

static void set_default(char **option, const char *value)
{
    if (!*option)
        *option = strdup(value);
}

static int complete_options(struct agent_options *o, struct error *error)
{
    char text[320];
    enum log_level level;
    struct settings settings;

    if (!o->host) {
        if (gethostname(text, sizeof(text)) < 0)
            return error_set(error, -errno, "host", "host: the system has no name");
        o->host = strdup(text);
    }
    if (!o->host || !o->host[0] || strlen(o->host) > 255 || strpbrk(o->host, "/ \n\t%?#"))
        return error_set(error, -EINVAL, "host", "host: '%s' is not a host's name", o->host ? o->host : "");
    set_default(&o->api, "http://127.0.0.1:9696");
    set_default(&o->state_dir, "/var/lib/weft/agent");
    snprintf(text, sizeof(text), "/sys/fs/bpf/weft/%s", o->host);
    set_default(&o->pin_path, text);
    set_default(&o->socket, "/run/weft/agent.sock");
    set_default(&o->network_log_file, "/var/log/weft/network.log");
    if (o->max_ports > 1000000)
        return error_set(error, -ERANGE, "max-ports", "max-ports: '%llu' is more than 1000000", (unsigned long long)o->max_ports);
    if (o->max_hosts > 100000)
        return error_set(error, -ERANGE, "max-hosts", "max-hosts: '%llu' is more than 100000", (unsigned long long)o->max_hosts);
    if (o->max_router_ports > 65536)
        return error_set(error, -ERANGE, "max-router-ports", "max-router-ports: '%llu' is more than 65536",
                         (unsigned long long)o->max_router_ports);
    if (o->max_connections && (o->max_connections < FLOW_SLOTS_MIN || o->max_connections > FLOW_SLOTS_MAX))
        return error_set(error, -ERANGE, "max-connections", "max-connections: '%llu' is not between %d and %d",
                         (unsigned long long)o->max_connections, FLOW_SLOTS_MIN, FLOW_SLOTS_MAX);
    if (timeouts_set(o->timeouts, &settings, error) < 0)
        return -ERANGE;
    if (!o->flood_fan_out)
        o->flood_fan_out = FLOOD_FAN_OUT_DEFAULT;
    if (o->flood_fan_out < FLOOD_FAN_OUT_MIN || o->flood_fan_out > FLOOD_FAN_OUT_MAX)
        return error_set(error, -ERANGE, "flood-fan-out", "flood-fan-out: '%llu' is not between %d and %d",
                         (unsigned long long)o->flood_fan_out, FLOOD_FAN_OUT_MIN, FLOOD_FAN_OUT_MAX);
    if (!o->relay_rate)
        o->relay_rate = RELAY_RATE_DEFAULT;
    if (o->relay_rate > UINT32_MAX)
        return error_set(error, -ERANGE, "relay-rate", "relay-rate: '%llu' is more than %u", (unsigned long long)o->relay_rate, UINT32_MAX);
    if (!o->network_log_rate_limit)
        o->network_log_rate_limit = VERDICT_RATE_DEFAULT;
    if (!o->network_log_burst_limit)
        o->network_log_burst_limit = VERDICT_BURST_DEFAULT;
    if (o->network_log_rate_limit > VERDICT_RATE_MAX || o->network_log_burst_limit > VERDICT_RATE_MAX)
        return error_set(error, -ERANGE, "network-log-rate-limit", "network-log-rate-limit, network-log-burst-limit: more than %u", VERDICT_RATE_MAX);
    if (o->probe_rate > 1000000)
        return error_set(error, -ERANGE, "probe-rate", "probe-rate: '%llu' is more than 1000000", (unsigned long long)o->probe_rate);
    if (o->network_log_file[0] != '/')
        return error_set(error, -EINVAL, "network-log-file", "network-log-file: '%s' is not an absolute path", o->network_log_file);
    if (o->max_project_macs > LEARNED_MAX)
        return error_set(error, -ERANGE, "max-project-macs", "max-project-macs: '%llu' is more than %d",
                         (unsigned long long)o->max_project_macs, LEARNED_MAX);
    if (o->tunnel_address && ip_parse(o->tunnel_address, &agent.tunnel_address) < 0)
        return error_set(error, -EINVAL, "tunnel-address", "tunnel-address: '%s' is not an IP address", o->tunnel_address);
    if (o->log_level) {
        if (log_parse_level(o->log_level, &level) < 0)
            return error_set(error, -EINVAL, "log-level", "log-level: '%s' is not error, warning, info or debug", o->log_level);
        log_set_level(level);
    }
    return 0;
}

/* ---- one agent a host --------------------------------------------------------------------------------------------------------- */

static int make_folder(const char *path, mode_t mode, struct error *error, const char *option)
{
    char part[512];

    if (string_copy(part, sizeof(part), path) < 0 || path[0] != '/')
        return error_set(error, -EINVAL, option, "%s: '%s' is not an absolute path", option, path);
    for (char *slash = strchr(part + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = 0;
        if (mkdir(part, mode) < 0 && errno != EEXIST)
            return error_set(error, -errno, option, "%s: cannot create '%s': %s", option, part, strerror(errno));
        if (!slash)
            return 0;
        *slash = '/';
    }
}

/* The lock is held by the process and goes with it.  One on the state, one on the pins (which is kept in /run, since
 * bpffs has no locks). */
static int lock_file(const char *path, const char *option, const char *value, struct error *error)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return error_set(error, -errno, option, "%s: cannot open '%s': %s", option, path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        close(fd);
        return error_set(error, -EBUSY, option, "%s: another agent uses '%s'", option, value);
    }
    return 0; /* Left open on purpose. */
}

static int take_locks(const struct agent_options *o, struct error *error)
{
    char path[700], name[512];
    int result = make_folder(o->state_dir, 0700, error, "state-dir");

    if (result < 0)
        return result;
    snprintf(path, sizeof(path), "%s/lock", o->state_dir);
    result = lock_file(path, "state-dir", o->state_dir, error);
    if (result == 0)
        result = make_folder("/run/weft", 0755, error, "pin-path");
    if (result < 0)
        return result;
    snprintf(name, sizeof(name), "%s", o->pin_path);
    for (char *c = name; *c; c++)
        if (*c == '/')
            *c = '_';
    snprintf(path, sizeof(path), "/run/weft/lock%s", name);
    return lock_file(path, "pin-path", o->pin_path, error);
}

/* ---- what the API tells --------------------------------------------------------------------------------------------------------- */

static json_t *join_facts(void *context)
{
    char address[IP_TEXT_SIZE];
    json_t *facts = json_pack("{s:s}", "version", WEFT_VERSION);

    if (ip_is_zero(&agent.tunnel_address))
        api_local_address(agent.options.api, &agent.tunnel_address);
    if (!ip_is_zero(&agent.tunnel_address))
        json_object_set_new(facts, "tunnel_address", json_string(ip_format(&agent.tunnel_address, address)));
    if (agent.underlay_mtu)
        json_object_set_new(facts, "underlay_mtu", json_integer(agent.underlay_mtu));
    return facts;
}

static json_t *digest(void *context)
{
    return replica_digest(&agent.replica);
}

/* Takes 'answer'; NULL: 'why' there is none. */
static void send_answer(const json_t *request, json_t *answer, const char *why)
{
    char path[500];

    snprintf(path, sizeof(path), "/weft/v1/hosts/%s/answers/%s", agent.options.host, json_string_value(json_object_get(request, "id")));
    api_send(agent.api, "POST", path, answer ? json_pack("{s:o}", "answer", answer) : json_pack("{s:s}", "error", why), NULL, NULL);
}

static void answer_request(const json_t *request, void *context)
{
    struct error error = {0};
    json_t *answer = agent_answer(&agent, json_string_value(json_object_get(request, "operation")), json_object_get(request, "arguments"), &error);

    send_answer(request, answer, error.message);
}

/* What takes long waits for its turn. */
static void take_request(json_t *request)
{
    const char *operation = json_string_value(json_object_get(request, "operation"));

    if (!json_is_string(json_object_get(request, "id")) || !operation)
        return;
    if (!question_is_long(operation))
        answer_request(request, NULL);
    else if (questions_add(agent.questions, request, clock_monotonic_ms()) < 0)
        send_answer(request, NULL, "too many questions about connections wait");
}

static int take_line(const char *line, size_t size, void *context)
{
    struct error error = {0};
    enum replica_event event;
    json_t *request;
    int result = replica_line(&agent.replica, line, size, &event, &request, &error);

    if (result < 0) {
        log_error("the API sent what this agent does not understand: %s %s", error.field, error.message);
        return result;
    }
    if (event == REPLICA_STRANGER)
        log_error("%s; it stays as this agent knew it before (is the agent older than the API?)", error.message);
    if (event == REPLICA_SYNCED) {
        agent.replica.synced = true;
        agent_schedule_update(&agent);
    } else if (event == REPLICA_COMMIT) {
        agent_schedule_update(&agent);
    } else if (event == REPLICA_REQUEST) {
        take_request(request);
        json_decref(request);
    }
    return 0;
}

/* The first report of a connection says everything. */
static void connection_changed(bool connected, void *context)
{
    HASHMAP_FOREACH(node, &agent.ports) {
        struct agent_port *port = CONTAINER_OF(node, struct agent_port, by_id);

        port->reported = false;
    }
    agent.greeting = connected;
    agent_report(&agent, false);
}

/* ---- start and end -------------------------------------------------------------------------------------------------------------- */

static void links_changed(void *context)
{
    agent_schedule_update(&agent);
}

static void underlay_changed(void *context)
{
    agent_underlay_changed(&agent);
}

static void stop(uv_signal_t *signal, int number)
{
    log_info("stopping; the data plane goes on");
    uv_stop(signal->loop);
}

static void reopen(uv_signal_t *signal, int number)
{
    verdicts_reopen(&agent);
}

static int open_data_plane(struct error *error)
{
    struct maps_sizes sizes = {(uint32_t)agent.options.max_ports, (uint32_t)agent.options.max_hosts, 0, (uint32_t)agent.options.max_router_ports,
                               (uint32_t)agent.options.max_connections};
    struct settings settings = {
        .tunnel_port = TUNNEL_PORT,
        .flood_fan_out = (uint16_t)agent.options.flood_fan_out,
        .relay_rate = (uint32_t)agent.options.relay_rate,
        .relay_burst = (uint32_t)agent.options.relay_rate,
    };
    int result = timeouts_set(agent.options.timeouts, &settings, error);

    if (result == 0)
        result = maps_open(agent.options.pin_path, &sizes, &agent.maps, error);

    if (result < 0)
        return result;
    result = attach_tunnel_device(TUNNEL_PORT, &agent.tunnel_ifindex, error);
    if (result < 0)
        return result;
    settings.tunnel_ifindex = agent.tunnel_ifindex;
    maps_configure(agent.maps, settings);
    maps_configure_verdicts(agent.maps, (uint32_t)agent.options.network_log_rate_limit, (uint32_t)agent.options.network_log_burst_limit);
    result = attach_program(agent.tunnel_ifindex, true, maps_program(agent.maps, PROGRAM_TO_TUNNEL));
    if (result == 0)
        result = attach_program(agent.tunnel_ifindex, false, maps_program(agent.maps, PROGRAM_THROUGH_NEIGHBOR));
    if (result < 0)
        return error_set(error, result, NULL, "cannot attach to '" TUNNEL_DEVICE "': %s", strerror(-result));
    sizes = maps_sizes(agent.maps);
    agent.port_by_slot = calloc(sizes.n_ports, sizeof(*agent.port_by_slot));
    desired_init(&agent.desired);
    rows_init(&agent.left_out_reported, sizeof(struct left_out_key), sizeof(uint32_t));
    rows_init(&agent.shortages_said, sizeof(struct shortage_key), sizeof(struct shortage));
    return agent.port_by_slot ? 0 : error_set(error, -ENOMEM, NULL, "out of memory");
}

/* Connections of a listener or member that is gone count under its number until their entries end. */
static uint64_t use_of_number(enum slot_kind kind, uint32_t number, void *context)
{
    return kind == SLOT_LISTENER ? maps_listener_connections(agent.maps, number) : kind == SLOT_MEMBER ? maps_member_connections(agent.maps, number) : 0;
}

static int open_state(struct error *error)
{
    struct maps_sizes sizes = maps_sizes(agent.maps);
    uint32_t limits[N_SLOT_KINDS] = {sizes.n_ports, sizes.n_hosts, sizes.n_projects, MAX_GROUPS, sizes.n_router_ports, MAX_ROUTERS, SERVICE_LISTENERS_DEFAULT, SERVICE_POOLS_MAX, SERVICE_MEMBERS_MAX};
    char path[700];
    int result;

    snprintf(path, sizeof(path), "%s/slots", agent.options.state_dir);
    result = local_open(&agent.local, path, limits, error);
    if (result < 0)
        return result;
    agent.local.use = use_of_number;
    snprintf(path, sizeof(path), "%s/replica", agent.options.state_dir);
    return replica_open(&agent.replica, path, error);
}

static int open_api(struct error *error)
{
    static char credential[700];
    struct api_options o = {agent.options.api, agent.options.host, credential, agent.options.join_token_file, agent.options.api_ca};
    struct api_events events = {join_facts, digest, take_line, connection_changed, NULL};

    snprintf(credential, sizeof(credential), "%s/credential", agent.options.state_dir);
    agent.questions = questions_new(&agent.loop, answer_request, NULL);
    if (!agent.questions)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    return api_new(&agent.loop, &o, &events, &agent.api, error);
}

static int open_socket(struct error *error)
{
    char folder[512];

    if (string_copy(folder, sizeof(folder), agent.options.socket) < 0 || !strrchr(folder, '/'))
        return error_set(error, -EINVAL, "socket", "socket: '%s' is not an absolute path", agent.options.socket);
    *strrchr(folder, '/') = 0;
    if (folder[0]) {
        int result = make_folder(folder, 0755, error, "socket");

        if (result < 0)
            return result;
    }
    return server_new(&agent, agent.options.socket, &agent.server, error);
}

static int start(struct error *error)
{
    int result = take_locks(&agent.options, error);

    if (result < 0)
        return result;
    uv_loop_init(&agent.loop);
    uv_timer_init(&agent.loop, &agent.update_timer);
    uv_timer_init(&agent.loop, &agent.report_timer);
    uv_timer_init(&agent.loop, &agent.news_timer);
    agent.update_timer.data = agent.report_timer.data = agent.news_timer.data = &agent;
    uv_signal_init(&agent.loop, &agent.terminate);
    uv_signal_init(&agent.loop, &agent.interrupt);
    uv_signal_init(&agent.loop, &agent.hang_up);
    uv_signal_start(&agent.terminate, stop, SIGTERM);
    uv_signal_start(&agent.interrupt, stop, SIGINT);

    result = open_data_plane(error);
    if (result == 0)
        result = open_state(error);
    if (result == 0)
        result = links_open(&agent.links, &agent.loop, links_changed, &agent, error);
    if (result == 0)
        result = underlay_open(&agent.underlay, &agent.loop, &agent.links, underlay_changed, &agent, error);
    if (result == 0)
        result = uplinks_new(&agent, agent.options.uplinks, &agent.uplinks, error);
    if (result == 0)
        result = serve_start(&agent, error);
    if (result == 0)
        result = metadata_start(&agent, error);
    if (result == 0)
        result = member_health_start(&agent, error);
    if (result == 0)
        result = member_gone_start(&agent, error);
    if (result == 0)
        result = verdicts_start(&agent, agent.options.network_log_file, error);
    if (result == 0)
        result = uv_signal_start(&agent.hang_up, reopen, SIGHUP);
    if (result == 0)
        result = open_api(error);
    if (result == 0)
        result = open_socket(error);
    if (result == 0 && agent.options.metrics_listen)
        result = metrics_start(&agent, agent.options.metrics_listen, error);
    return result;
}

static void free_handle(uv_handle_t *handle, void *context)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void end(void)
{
    server_free(agent.server);
    metrics_stop(&agent);
    metadata_stop(&agent);
    member_health_stop(&agent);
    member_gone_stop(&agent);
    verdicts_stop(&agent);
    serve_stop(&agent);
    uplinks_stop(agent.uplinks);
    questions_free(agent.questions);
    api_free(agent.api);
    links_close(&agent.links);
    underlay_close(&agent.underlay);
    uv_walk(&agent.loop, free_handle, NULL);
    uv_run(&agent.loop, UV_RUN_DEFAULT);
    uv_loop_close(&agent.loop);
    verdicts_free(&agent);
    member_health_free(&agent);
    member_gone_free(&agent);
    uplinks_free(agent.uplinks);
    json_decref(agent.reported_physical_networks);
    json_decref(agent.reported_listeners);
    replica_close(&agent.replica);
    local_close(&agent.local);
    HASHMAP_FOREACH(node, &agent.ports)
        free(CONTAINER_OF(node, struct agent_port, by_id));
    HASHMAP_FOREACH(node, &agent.hosts)
        free(CONTAINER_OF(node, struct agent_host, by_name));
    hashmap_clear(&agent.ports);
    hashmap_clear(&agent.hosts);
    free(agent.port_by_slot);
    desired_clear(&agent.desired);
    rows_clear(&agent.shortages_said);
    rows_clear(&agent.left_out_reported);
    maps_close(agent.maps);
}

static int detach(struct error *error)
{
    unsigned n_interfaces = 0;
    int result = take_locks(&agent.options, error);

    if (result == 0)
        result = attach_remove_all(agent.options.pin_path, &n_interfaces, error);
    if (result == 0)
        log_info("detached: %u interfaces freed, tunnel device, programs and maps removed", n_interfaces);
    return result;
}

int main(int argc, char **argv)
{
    struct error error = {0};
    char **arguments = NULL;
    int n_arguments = 0, result;

    memory_keep();
    signal(SIGPIPE, SIG_IGN);
    if (director_wanted(argc, argv))
        return director_main(argc, argv);
    result = options_parse(options, CONFIG_PATH, usage, argc, argv, &arguments, &n_arguments, &error);
    if (result == 0)
        result = complete_options(&agent.options, &error);
    if (result == 0 && n_arguments == 1 && streq(arguments[0], "detach")) {
        result = detach(&error);
    } else if (result == 0 && n_arguments) {
        result = error_set(&error, -EINVAL, NULL, "'%s' is not a command of weft-agent", arguments[0]);
    } else if (result == 0) {
        result = start(&error);
        if (result == 0) {
            log_info("host '%s' started", agent.options.host);
            agent_report_start(&agent);
            agent_schedule_update(&agent);
            uv_run(&agent.loop, UV_RUN_DEFAULT);
            end();
        }
    }
    if (result < 0)
        log_error("%s", error.message);
    options_clear(options);
    return result < 0 ? 1 : 0;
}
