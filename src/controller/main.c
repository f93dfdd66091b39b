/* weft-fabric: an OpenFlow controller that routes each flow over one of several paths. */
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "weft/base/clock.h"
#include "weft/base/log.h"
#include "weft/base/options.h"
#include "weft/base/util.h"
#include "weft/controller/controller.h"
#include "weft/controller/election.h"
#include "weft/controller/slices-file.h"
#include "weft/controller/status.h"

#define CONFIG_PATH "/etc/weft/fabric.conf"
#define ORDER_MAX 4096

static struct controller controller;
static struct fabric_options fabric_options;
static struct listener_options listener_options;
static struct status_options status_options;
static struct election_options election_options;

static struct {
    char *listen, *listen_tls, *tls_certificate, *tls_key, *tls_ca, *http_listen, *http_token_file, *http_tls_certificate, *http_tls_key;
    char *path_mode, *install, *openflow, *role, *hash_seed, *order, *key_file, *slices, *peers, *peer_listen, *log_level;
    uint64_t max_paths, link_probe_ms, link_dead_ms, settle_ms, echo_ms, dead_ms, host_age_s, idle_timeout_s, hard_timeout_s, flood_rate, flow_rate;
    uint64_t max_switches, max_ports, max_hosts, max_hosts_port, max_flows, controller_id;
} o;

static const struct option_spec options[] = {
    {"listen", OPTION_STRING, &o.listen, "ADDRESS:PORT", "where switches connect (0.0.0.0:6653); 'none': not without TLS"},
    {"listen-tls", OPTION_STRING, &o.listen_tls, "ADDRESS:PORT", "where they connect with TLS and a certificate"},
    {"tls-certificate", OPTION_STRING, &o.tls_certificate, "FILE", "of this controller, for switches"},
    {"tls-key", OPTION_STRING, &o.tls_key, "FILE", "its key"},
    {"tls-ca", OPTION_STRING, &o.tls_ca, "FILE", "whose certificates switches must have"},
    {"openflow", OPTION_STRING, &o.openflow, "VERSIONS", "what is offered: 1.0, 1.3 or both (1.0,1.3)"},
    {"path-mode", OPTION_STRING, &o.path_mode, "MODE", "reference, equal-cost, disjoint or k-shortest (equal-cost)"},
    {"max-paths", OPTION_NUMBER, &o.max_paths, "NUMBER", "between two switches (64; in reference mode rounds, 8)"},
    {"install", OPTION_STRING, &o.install, "WHEN", "reactive: entries for each flow; proactive: for each host, in groups (reactive)"},
    {"hash-seed", OPTION_STRING, &o.hash_seed, "NUMBER", "of the flow hash; 0x for hexadecimal (random)"},
    {"hash-symmetric", OPTION_FLAG, &fabric_options.hash_symmetric, NULL, "both directions of a flow hash alike"},
    {"order", OPTION_STRING, &o.order, "ID,...", "datapath ids in the order in which reference mode enumerates them (by number)"},
    {"log-paths", OPTION_FLAG, &fabric_options.log_paths, NULL, "print the steps of reference mode"},
    {"idle-timeout", OPTION_NUMBER, &o.idle_timeout_s, "SECONDS", "of a flow's entries; 0: none (30)"},
    {"hard-timeout", OPTION_NUMBER, &o.hard_timeout_s, "SECONDS", "likewise, however busy; 0: none (0)"},
    {"link-probe-ms", OPTION_NUMBER, &o.link_probe_ms, "MS", "between discovery frames on a link (300)"},
    {"link-dead-ms", OPTION_NUMBER, &o.link_dead_ms, "MS", "of silence until a link is dead (900)"},
    {"settle-ms", OPTION_NUMBER, &o.settle_ms, "MS", "from a port's coming up until hosts are believed there (900)"},
    {"switch-echo-ms", OPTION_NUMBER, &o.echo_ms, "MS", "of silence until a switch is asked whether it lives (1000)"},
    {"switch-dead-ms", OPTION_NUMBER, &o.dead_ms, "MS", "of silence until it counts as dead (3000)"},
    {"host-age", OPTION_NUMBER, &o.host_age_s, "SECONDS", "of silence until a host is asked for, and forgotten (600)"},
    {"flood-rate", OPTION_NUMBER, &o.flood_rate, "NUMBER", "broadcasts and unknown unicasts a second and port (200)"},
    {"flow-rate", OPTION_NUMBER, &o.flow_rate, "NUMBER", "new flows a second and port (20000)"},
    {"max-switches", OPTION_NUMBER, &o.max_switches, "NUMBER", "(4096)"},
    {"max-ports", OPTION_NUMBER, &o.max_ports, "NUMBER", "of one switch (4096)"},
    {"max-hosts", OPTION_NUMBER, &o.max_hosts, "NUMBER", "(1000000)"},
    {"max-hosts-port", OPTION_NUMBER, &o.max_hosts_port, "NUMBER", "behind one port (4096)"},
    {"max-flows", OPTION_NUMBER, &o.max_flows, "NUMBER", "that are remembered (1000000)"},
    {"slices", OPTION_STRING, &o.slices, "FILE", "who reaches whom; written when slices are changed"},
    {"key-file", OPTION_STRING, &o.key_file, "FILE", "32 hexadecimal digits that controllers of one network share (random)"},
    {"controller-id", OPTION_NUMBER, &o.controller_id, "NUMBER", "of this controller among its peers; the lowest acts (random)"},
    {"role", OPTION_STRING, &o.role, "ROLE", "equal, master, slave, or auto: agreed upon with peers (equal)"},
    {"peer-listen", OPTION_STRING, &o.peer_listen, "ADDRESS:PORT", "UDP, where the other controllers say that they live"},
    {"peers", OPTION_STRING, &o.peers, "ADDRESS:PORT,...", "where they listen"},
    {"http-listen", OPTION_STRING, &o.http_listen, "ADDRESS:PORT", "status and control (127.0.0.1:9697); 'none': not at all"},
    {"http-token-file", OPTION_STRING, &o.http_token_file, "FILE", "what clients must say; needed but on a loopback address"},
    {"http-tls-certificate", OPTION_STRING, &o.http_tls_certificate, "FILE", "for https"},
    {"http-tls-key", OPTION_STRING, &o.http_tls_key, "FILE", "its key"},
    {"log-level", OPTION_STRING, &o.log_level, "LEVEL", "error, warning, info or debug"},
    {.name = NULL},
};

static const char usage[] = "weft-fabric [OPTION]...\n"
                            "An OpenFlow 1.0 and 1.3 controller: discovers switches, links and hosts, and gives each flow one of several paths.";

/* ---- options ----------------------------------------------------------------------------------------------------------------- */

static int parse_versions(const char *text, uint32_t *ret, struct error *error)
{
    if (streq(text, "1.0"))
        *ret = 1u << OF10;
    else if (streq(text, "1.3"))
        *ret = 1u << OF13;
    else if (streq(text, "1.0,1.3") || streq(text, "1.3,1.0"))
        *ret = 1u << OF10 | 1u << OF13;
    else
        return error_set(error, -EINVAL, "openflow", "openflow: '%s' is not 1.0, 1.3 or 1.0,1.3", text);
    return 0;
}

static int parse_hexadecimal(const char *option, const char *text, uint64_t *ret, struct error *error)
{
    char *end;

    errno = 0;
    *ret = strtoull(text, &end, 0);
    if (errno || end == text || *end || *text == '-')
        return error_set(error, -EINVAL, option, "%s: '%s' is not a number", option, text);
    return 0;
}

static int parse_order(char *text, struct error *error)
{
    static uint64_t order[ORDER_MAX];
    char *rest = text, *part;

    while ((part = strsep(&rest, ","))) {
        if (fabric_options.n_order >= ORDER_MAX)
            return error_set(error, -E2BIG, "order", "order: more than %d ids", ORDER_MAX);
        if (parse_hexadecimal("order", part, &order[fabric_options.n_order++], error) < 0)
            return error->code;
    }
    fabric_options.order = order;
    return 0;
}

static int read_key(const char *path, struct error *error)
{
    char text[2 * sizeof(fabric_options.lldp_key) + 1] = "";
    FILE *file = fopen(path, "re");
    size_t size = 0;

    if (!file)
        return error_set(error, -errno, "key-file", "key-file: cannot read '%s': %s", path, strerror(errno));
    if (fread(text, 1, sizeof(text) - 1, file) != sizeof(text) - 1 ||
        sodium_hex2bin(fabric_options.lldp_key, sizeof(fabric_options.lldp_key), text, sizeof(text) - 1, NULL, &size, NULL) != 0 ||
        size != sizeof(fabric_options.lldp_key)) {
        fclose(file);
        return error_set(error, -EINVAL, "key-file", "key-file: '%s' does not begin with %zu hexadecimal digits", path, sizeof(text) - 1);
    }
    fclose(file);
    return 0;
}

static int parse_role(struct error *error)
{
    if (!o.role || streq(o.role, "equal"))
        election_options.role = FABRIC_EQUAL;
    else if (streq(o.role, "master"))
        election_options.role = FABRIC_MASTER;
    else if (streq(o.role, "slave"))
        election_options.role = FABRIC_SLAVE;
    else if (streq(o.role, "auto"))
        election_options.is_automatic = true;
    else
        return error_set(error, -EINVAL, "role", "role: '%s' is not equal, master, slave or auto", o.role);
    if (election_options.is_automatic && (!o.peers || !o.peer_listen || !o.key_file))
        return error_set(error, -EINVAL, "role", "role: auto needs peers, peer-listen and key-file");
    return 0;
}

static int check_range(const char *option, uint64_t value, uint64_t minimum, uint64_t maximum, struct error *error)
{
    if (value < minimum || value > maximum)
        return error_set(error, -ERANGE, option, "%s: '%llu' is not %llu to %llu", option, (unsigned long long)value, (unsigned long long)minimum,
                         (unsigned long long)maximum);
    return 0;
}

static int check_ranges(struct error *error)
{
    const struct {
        const char *option;
        uint64_t value, minimum, maximum;
    } ranges[] = {
        {"max-paths", o.max_paths, 1, PATHS_MAX},
        {"idle-timeout", o.idle_timeout_s, 0, 65535},
        {"hard-timeout", o.hard_timeout_s, 0, 65535},
        {"link-probe-ms", o.link_probe_ms, FABRIC_TICK_MS, 3600000},
        {"link-dead-ms", o.link_dead_ms, o.link_probe_ms, 3600000},
        {"settle-ms", o.settle_ms, 0, 3600000},
        {"switch-echo-ms", o.echo_ms, 1, 3600000},
        {"switch-dead-ms", o.dead_ms, o.echo_ms + 1, 3600000},
        {"host-age", o.host_age_s, 1, 31536000},
        {"flood-rate", o.flood_rate, 1, 1000000},
        {"flow-rate", o.flow_rate, 1, 100000000},
        {"max-switches", o.max_switches, 1, 65535},
        {"max-ports", o.max_ports, 1, 65279},
        {"max-hosts", o.max_hosts, 1, 100000000},
        {"max-hosts-port", o.max_hosts_port, 1, 100000000},
        {"max-flows", o.max_flows, 1, 100000000},
    };
    int result = 0;

    for (size_t i = 0; i < ARRAY_SIZE(ranges) && result == 0; i++)
        result = check_range(ranges[i].option, ranges[i].value, ranges[i].minimum, ranges[i].maximum, error);
    return result;
}

static void set_defaults(void)
{
    fabric_default_options(&fabric_options);
    o.link_probe_ms = fabric_options.probe_ms;
    o.link_dead_ms = fabric_options.link_dead_ms;
    o.settle_ms = fabric_options.settle_ms;
    o.echo_ms = fabric_options.echo_ms;
    o.dead_ms = fabric_options.dead_ms;
    o.host_age_s = fabric_options.host_age_ms / 1000;
    o.idle_timeout_s = fabric_options.idle_timeout_s;
    o.flood_rate = fabric_options.flood_rate;
    o.flow_rate = fabric_options.flow_rate;
    o.max_switches = fabric_options.max_switches;
    o.max_ports = fabric_options.max_ports;
    o.max_hosts = fabric_options.max_hosts;
    o.max_hosts_port = fabric_options.max_hosts_port;
    o.max_flows = fabric_options.max_flows;
    o.controller_id = fabric_options.controller_id;
}

static int complete_options(struct error *error)
{
    enum log_level level;
    int result = 0;

    if (o.log_level && log_parse_level(o.log_level, &level) < 0)
        return error_set(error, -EINVAL, "log-level", "log-level: '%s' is not error, warning, info or debug", o.log_level);
    if (o.log_level)
        log_set_level(level);
    if (o.path_mode && path_mode_parse(o.path_mode, &fabric_options.mode) < 0)
        return error_set(error, -EINVAL, "path-mode", "path-mode: '%s' is not reference, equal-cost, disjoint or k-shortest", o.path_mode);
    if (!o.max_paths)
        o.max_paths = fabric_options.mode == PATHS_REFERENCE ? 8 : 64;
    if (o.install && streq(o.install, "proactive"))
        fabric_options.install = FABRIC_PROACTIVE;
    else if (o.install && !streq(o.install, "reactive"))
        return error_set(error, -EINVAL, "install", "install: '%s' is not reactive or proactive", o.install);
    if (o.openflow)
        result = parse_versions(o.openflow, &fabric_options.versions, error);
    if (result == 0 && o.hash_seed)
        result = parse_hexadecimal("hash-seed", o.hash_seed, &fabric_options.hash_seed, error);
    if (result == 0 && o.order)
        result = parse_order(o.order, error);
    if (result == 0 && o.key_file)
        result = read_key(o.key_file, error);
    if (result == 0)
        result = parse_role(error);
    if (result == 0)
        result = check_ranges(error);
    if (result < 0)
        return result;
    fabric_options.max_paths = o.max_paths;
    fabric_options.probe_ms = o.link_probe_ms;
    fabric_options.link_dead_ms = o.link_dead_ms;
    fabric_options.settle_ms = o.settle_ms;
    fabric_options.echo_ms = o.echo_ms;
    fabric_options.dead_ms = o.dead_ms;
    fabric_options.host_age_ms = o.host_age_s * 1000;
    fabric_options.idle_timeout_s = (uint16_t)o.idle_timeout_s;
    fabric_options.hard_timeout_s = (uint16_t)o.hard_timeout_s;
    fabric_options.flood_rate = (uint32_t)o.flood_rate;
    fabric_options.flow_rate = (uint32_t)o.flow_rate;
    fabric_options.max_switches = o.max_switches;
    fabric_options.max_ports = o.max_ports;
    fabric_options.max_hosts = o.max_hosts;
    fabric_options.max_hosts_port = o.max_hosts_port;
    fabric_options.max_flows = o.max_flows;
    fabric_options.controller_id = o.controller_id;
    listener_options = (struct listener_options){
        .listen = o.listen ? streq(o.listen, "none") ? NULL : o.listen : "0.0.0.0:6653",
        .listen_tls = o.listen_tls,
        .tls_certificate = o.tls_certificate,
        .tls_key = o.tls_key,
        .tls_ca = o.tls_ca,
        .max_connections = 2 * o.max_switches + 64,
    };
    status_options = (struct status_options){
        .listen = o.http_listen ? streq(o.http_listen, "none") ? NULL : o.http_listen : "127.0.0.1:9697",
        .token_file = o.http_token_file,
        .tls_certificate = o.http_tls_certificate,
        .tls_key = o.http_tls_key,
    };
    election_options.listen = o.peer_listen;
    election_options.peers = o.peers;
    election_options.controller_id = o.controller_id;
    memcpy(election_options.key, fabric_options.lldp_key, sizeof(election_options.key));
    controller.slices_path = o.slices;
    return 0;
}

/* ---- what the fabric tells -------------------------------------------------------------------------------------------------------- */

static void log_event(enum fabric_event event, const char *text, void *context)
{
    static struct log_site sites[N_FABRIC_EVENTS]; /* Each kind has its own limit of lines. */
    const struct fabric_event_info *info = fabric_event_info(event);

    log_write(&sites[event], (enum log_level)info->level, "%s: %s", info->name, text);
}

/* The trace is a document of its own: its lines go to standard output as they are. */
static void print_path_line(const char *line, void *context)
{
    puts(line);
    fflush(stdout);
}

/* ---- start and end ------------------------------------------------------------------------------------------------------------------ */

static void tick(uv_timer_t *timer)
{
    fabric_tick(controller.fabric, clock_monotonic_ms());
}

static void stop(uv_signal_t *signal, int number)
{
    log_info("stopping; switches keep what they have");
    uv_stop(signal->loop);
}

static int start(struct error *error)
{
    int result;

    uv_loop_init(&controller.loop);
    uv_timer_init(&controller.loop, &controller.tick);
    uv_signal_init(&controller.loop, &controller.terminate);
    uv_signal_init(&controller.loop, &controller.interrupt);
    uv_signal_start(&controller.terminate, stop, SIGTERM);
    uv_signal_start(&controller.interrupt, stop, SIGINT);
    controller.started_ms = clock_monotonic_ms();
    fabric_options.wake = listener_wake;
    fabric_options.event = log_event;
    fabric_options.path_line = print_path_line;
    result = fabric_new(&fabric_options, controller.started_ms, &controller.fabric, error);
    if (result == 0 && controller.slices_path)
        result = slices_file_load(controller.fabric, controller.slices_path, error);
    if (result == 0)
        result = listener_new(&controller.loop, controller.fabric, &listener_options, &controller.listener, error);
    if (result == 0)
        result = election_new(&controller, &election_options, &controller.election, error);
    if (result == 0 && status_options.listen)
        result = status_new(&controller, &status_options, &controller.status, error);
    if (result == 0)
        uv_timer_start(&controller.tick, tick, FABRIC_TICK_MS, FABRIC_TICK_MS);
    return result;
}

static void close_handle(uv_handle_t *handle, void *context)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void end(void)
{
    status_free(controller.status);
    election_free(controller.election);
    listener_free(controller.listener);
    uv_close((uv_handle_t *)&controller.tick, NULL);
    uv_close((uv_handle_t *)&controller.terminate, NULL);
    uv_close((uv_handle_t *)&controller.interrupt, NULL);
    uv_run(&controller.loop, UV_RUN_DEFAULT);
    uv_walk(&controller.loop, close_handle, NULL);
    uv_run(&controller.loop, UV_RUN_DEFAULT);
    uv_loop_close(&controller.loop);
    status_clear(controller.status);
    fabric_free(controller.fabric);
}

/* Each switch is a descriptor, and 1,024, the usual soft limit, is for programs that use select(). */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < listener_options.max_connections)
        log_warning("max-switches: only %llu files may be open at once: raise the limit (LimitNOFILE)", (unsigned long long)limit.rlim_cur);
}

int main(int argc, char **argv)
{
    struct error error = {0};
    char **arguments = NULL;
    int n_arguments = 0, result;

    signal(SIGPIPE, SIG_IGN);
    set_defaults();
    result = options_parse(options, CONFIG_PATH, usage, argc, argv, &arguments, &n_arguments, &error);
    if (result == 0 && n_arguments)
        result = error_set(&error, -EINVAL, NULL, "'%s' is not an option", arguments[0]);
    if (result == 0)
        result = complete_options(&error);
    if (result < 0) {
        log_error("%s", error.message);
        options_clear(options);
        return 2;
    }
    raise_descriptor_limit();
    result = start(&error);
    if (result == 0) {
        log_info("weft-fabric " WEFT_VERSION ": %s paths, %s, switches at %s%s%s", path_mode_name(fabric_options.mode),
                 fabric_options.install == FABRIC_PROACTIVE ? "proactive" : "reactive", listener_address(controller.listener, false),
                 listener_options.listen_tls ? " and with TLS at " : "", listener_address(controller.listener, true));
        uv_run(&controller.loop, UV_RUN_DEFAULT);
    } else {
        log_error("%s", error.message);
    }
    end();
    options_clear(options);
    return result < 0 ? 1 : 0;
}
