#include "weft/cli/lab.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "weft/base/address.h"
#include "weft/base/clock.h"
#include "weft/base/util.h"
#include "weft/cli/ports.h"
#include "weft/cli/process.h"
#include "weft/cli/resource.h"
#include "weft/cli/text.h"

#define INTERFACE "eth0"
#define ALIAS "weft "
#define FOLDER "/run/weft-lab"
#define NETNS_FOLDER "/run/netns"
#define ACTIVE_WAIT_MS 10000
#define KILL_WAIT_MS 2000
#define POLL_MS 20

/* What udhcpc calls with the lease in its environment. */
static const char dhcp_script[] =
    "#!/bin/sh\n"
    "case \"$1\" in\n"
    "deconfig)\n"
    "    ip -4 address flush dev \"$interface\"\n"
    "    ip link set dev \"$interface\" up\n"
    "    ;;\n"
    "bound|renew)\n"
    "    ip address replace \"$ip/$mask\" dev \"$interface\"\n"
    "    [ -z \"$mtu\" ] || ip link set dev \"$interface\" mtu \"$mtu\"\n"
    "    if [ -n \"$staticroutes\" ]; then\n"
    "        set -- $staticroutes\n"
    "        while [ $# -ge 2 ]; do\n"
    "            if [ \"$2\" = 0.0.0.0 ]; then\n"
    "                ip route replace \"$1\" dev \"$interface\"\n"
    "            else\n"
    "                ip route replace \"$1\" via \"$2\" dev \"$interface\"\n"
    "            fi\n"
    "            shift 2\n"
    "        done\n"
    "    else\n"
    "        for router in $router; do ip route replace default via \"$router\" dev \"$interface\"; break; done\n"
    "    fi\n"
    "    ;;\n"
    "esac\n"
    "exit 0\n";

/* ---- small things ------------------------------------------------------------------------------------------------ */

/* Runs a program given as words; one that fails sets the error. */
#define RUN(error, ...) process_run((const char *const[]){__VA_ARGS__, NULL}, NULL, error)

static int check_name(struct call *call, const char *name)
{
    size_t length = strlen(name);

    if (length == 0 || length > 64 || name[0] == '.' || name[0] == '-')
        return error_set(&call->error, -EINVAL, "name", "name: '%s' cannot name a workload (1 to 64 characters)", name);
    for (const char *p = name; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("-_.", *p))
            return error_set(&call->error, -EINVAL, "name", "name: '%s' has '%c'; letters, digits, '-', '_' and '.' can be used",
                             name, *p);
    return 0;
}

/* eth0's alias of a namespace as a port id; -ENOENT when it is no workload. */
static int port_of_workload(const char *name, char port_id[37])
{
    _cleanup_(buffer_clear) struct buffer output = {0};
    _cleanup_(json_decrefp) json_t *links = NULL;
    struct error ignored = {0};
    const char *const argv[] = {"ip", "-netns", name, "-json", "link", "show", "dev", INTERFACE, NULL};
    const char *alias;

    if (process_run(argv, &output, &ignored) < 0 || !buffer_string(&output))
        return -ENOENT;
    links = json_loads(output.data, 0, NULL);
    alias = resource_string(json_array_get(links, 0), "ifalias");
    if (strncmp(alias, ALIAS, strlen(ALIAS)) != 0)
        return -ENOENT;
    return string_copy(port_id, 37, alias + strlen(ALIAS));
}

static int need_workload(struct call *call, const char *name, char port_id[37])
{
    int r = check_name(call, name);

    if (r < 0)
        return r;
    if (port_of_workload(name, port_id) < 0)
        return error_set(&call->error, -ENOENT, "name", "there is no workload '%s' (a namespace with a port)", name);
    return 0;
}

/* ---- making one -------------------------------------------------------------------------------------------------- */

struct workload {
    const char *name;
    const char *host_netns; /* NULL: the namespace that we run in. */
    const json_t *port;
    json_t *network;
    json_t *subnets;        /* Of the network. */
    char tap[TAP_NAME_SIZE];
};

static int make_veth(struct workload *workload, struct error *error)
{
    const char *mac = resource_string(workload->port, "mac_address"), *id = resource_id(workload->port);
    const char *host[] = {"ip", "-netns", workload->host_netns, NULL};
    char mtu[16], alias[64];
    int r;

    snprintf(mtu, sizeof mtu, "%lld", (long long)json_integer_value(json_object_get(workload->network, "mtu")));
    snprintf(alias, sizeof alias, ALIAS "%s", id);
    if (workload->host_netns)
        r = RUN(error, host[0], host[1], host[2], "link", "add", "name", workload->tap, "mtu", mtu, "type",
                "veth", "peer", "name", INTERFACE, "netns", workload->name, "address", mac, "mtu", mtu);
    else
        r = RUN(error, "ip", "link", "add", "name", workload->tap, "mtu", mtu, "type", "veth", "peer", "name", INTERFACE,
                "netns", workload->name, "address", mac, "mtu", mtu);
    if (r >= 0)
        r = RUN(error, "ip", "-netns", workload->name, "link", "set", "dev", INTERFACE, "alias", alias);
    if (r >= 0)
        r = RUN(error, "ip", "-netns", workload->name, "link", "set", "dev", "lo", "up");
    if (r < 0)
        return r;
    /* Without an address of its own: the host's end says nothing to the workload. */
    return workload->host_netns
               ? RUN(error, host[0], host[1], host[2], "link", "set", "dev", workload->tap, "addrgenmode", "none", "up")
               : RUN(error, "ip", "link", "set", "dev", workload->tap, "addrgenmode", "none", "up");
}

static const json_t *subnet_of(const struct workload *workload, const json_t *fixed_ip)
{
    const json_t *subnet;
    size_t i;

    json_array_foreach (workload->subnets, i, subnet)
        if (streq(resource_id(subnet), resource_string(fixed_ip, "subnet_id")))
            return subnet;
    return NULL;
}

static int add_routes(const struct workload *workload, const json_t *subnet, bool v4, struct error *error)
{
    const char *gateway = resource_string(subnet, "gateway_ip"), *family = v4 ? "-4" : "-6";
    const json_t *route;
    size_t i;
    int r = 0;

    json_array_foreach (json_object_get(subnet, "host_routes"), i, route) {
        if (r >= 0)
            r = RUN(error, "ip", "-netns", workload->name, family, "route", "replace", resource_string(route, "destination"),
                    "via", resource_string(route, "nexthop"), "dev", INTERFACE);
    }
    if (r >= 0 && *gateway)
        r = RUN(error, "ip", "-netns", workload->name, family, "route", "replace", "default", "via", gateway, "dev",
                INTERFACE);
    return r;
}

/* The port's fixed IPs, set as an administrator of the workload would. */
static int add_addresses(const struct workload *workload, bool only_v6, struct error *error)
{
    const json_t *fixed_ip;
    size_t i;

    json_array_foreach (json_object_get(workload->port, "fixed_ips"), i, fixed_ip) {
        const json_t *subnet = subnet_of(workload, fixed_ip);
        struct ip_prefix cidr;
        bool v4;
        char text[PREFIX_TEXT_SIZE];
        int r;

        if (!subnet || prefix_parse(resource_string(subnet, "cidr"), &cidr) < 0)
            continue;
        v4 = ip_is_v4(&cidr.address);
        if (only_v6 && v4)
            continue;
        snprintf(text, sizeof text, "%s/%d", resource_string(fixed_ip, "ip_address"), cidr.length);
        r = v4 ? RUN(error, "ip", "-netns", workload->name, "address", "add", text, "dev", INTERFACE)
               : RUN(error, "ip", "-netns", workload->name, "address", "replace", text, "dev", INTERFACE, "nodad");
        if (r >= 0)
            r = add_routes(workload, subnet, v4, error);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Kept as long as the workload: udhcpc calls it with each renewal. */
static void script_path(const char *name, char path[96])
{
    snprintf(path, 96, FOLDER "/%s", name);
}

static int write_script(const char *name, char path[96], struct error *error)
{
    _cleanup_(closep) int fd = -1;

    mkdir(FOLDER, 0755);
    script_path(name, path);
    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0755);
    if (fd < 0 || write(fd, dhcp_script, sizeof dhcp_script - 1) != (ssize_t)sizeof dhcp_script - 1)
        return error_set(error, -errno, "lab", "'%s' cannot be written: %s", path, strerror(errno));
    return 0;
}

static bool wants(const struct workload *workload, bool v4)
{
    const json_t *fixed_ip;
    size_t i;

    json_array_foreach (json_object_get(workload->port, "fixed_ips"), i, fixed_ip) {
        struct ip_address address;

        if (ip_parse(resource_string(fixed_ip, "ip_address"), &address) == 0 && ip_is_v4(&address) == v4)
            return true;
    }
    return false;
}

/* Leaves udhcpc behind, so that leases are renewed.  IPv6 comes by itself, from router advertisements. */
static int start_dhcp(const struct workload *workload, struct error *error)
{
    char script[96];
    int r;

    if (!wants(workload, true))
        return 0;
    r = write_script(workload->name, script, error);
    if (r < 0)
        return r;
    return RUN(error, "ip", "netns", "exec", workload->name, "busybox", "udhcpc", "-i", INTERFACE, "-s", script, "-n", "-t",
               "10", "-T", "1", "-O", "mtu", "-O", "121");
}

static int configure(const struct workload *workload, const char *how, struct error *error)
{
    int r = RUN(error, "ip", "-netns", workload->name, "link", "set", "dev", INTERFACE, "up");

    if (r < 0 || streq(how, "none"))
        return r;
    return streq(how, "dhcp") ? start_dhcp(workload, error) : add_addresses(workload, false, error);
}

static int find_port(struct call *call, struct workload *workload, json_t **ret_port)
{
    const char *name = call_flag(call, "port");
    _cleanup_(freep) char *query = NULL;
    int r;

    if (!name)
        return error_set(&call->error, -EINVAL, "port", "--port is missing");
    r = resource_find(call->session, &resource_port, name, ret_port, &call->error);
    if (r < 0)
        return r;
    workload->port = *ret_port;
    port_tap_name(resource_id(*ret_port), workload->tap);
    if (text_format(&query, "network_id=%s", resource_string(*ret_port, "network_id")) < 0)
        return -ENOMEM;
    r = resource_find(call->session, &resource_network, resource_string(*ret_port, "network_id"), &workload->network,
                      &call->error);
    return r < 0 ? r : resource_list(call->session, &resource_subnet, query, &workload->subnets, &call->error);
}

static int start(struct call *call, struct workload *workload, const char *host, const char *how)
{
    int r;

    r = make_veth(workload, &call->error);
    if (r >= 0)
        r = port_bind(call->session, workload->port, host, &call->error);
    if (r >= 0)
        r = port_wait_active(call->session, resource_id(workload->port), ACTIVE_WAIT_MS, &call->error);
    return r < 0 ? r : configure(workload, how, &call->error);
}

static int show_workload(struct call *call, const struct workload *workload, const char *host)
{
    _cleanup_(json_decrefp) json_t *shown =
        json_pack("{s:s,s:s,s:s,s:s,s:O?,s:O?}", "name", workload->name, "port_id", resource_id(workload->port), "host",
                  host, "interface", workload->tap, "mac_address", json_object_get(workload->port, "mac_address"),
                  "fixed_ips", json_object_get(workload->port, "fixed_ips"));

    return shown ? output_object(call, shown) : -ENOMEM;
}

static int destroy(const char *name, struct error *error);

int run_lab_add(struct call *call)
{
    const char *how = call_flag(call, "address") ? call_flag(call, "address") : "dhcp";
    struct workload workload = {.name = call_argument(call, 0), .host_netns = call_flag(call, "host-netns")};
    _cleanup_(json_decrefp) json_t *port = NULL;
    _cleanup_(freep) char *host = NULL;
    int r;

    process_set_echo(call_flag(call, "debug") != NULL);
    r = check_name(call, workload.name);
    if (r >= 0)
        r = local_host_name(call->session, &host, &call->error);
    if (r >= 0)
        r = find_port(call, &workload, &port);
    if (r >= 0)
        r = RUN(&call->error, "ip", "netns", "add", workload.name);
    if (r >= 0) {
        r = start(call, &workload, host, how);
        if (r < 0) {
            struct error ignored = {0};

            destroy(workload.name, &ignored);
        } else {
            r = show_workload(call, &workload, host);
        }
    }
    json_decref(workload.network);
    json_decref(workload.subnets);
    return r;
}

/* ---- the others -------------------------------------------------------------------------------------------------- */

static const struct column workload_columns[] = {{"name", "NAME"}, {"port_id", "PORT"}, {NULL, NULL}};

static void closedirp(DIR **folder)
{
    if (*folder)
        closedir(*folder);
}

int run_lab_list(struct call *call)
{
    _cleanup_(json_decrefp) json_t *workloads = json_array();
    _cleanup_(closedirp) DIR *folder = opendir(NETNS_FOLDER);
    struct dirent *entry;

    while (folder && (entry = readdir(folder))) {
        char port_id[37];

        if (entry->d_name[0] != '.' && port_of_workload(entry->d_name, port_id) == 0)
            json_array_append_new(workloads, json_pack("{s:s,s:s}", "name", entry->d_name, "port_id", port_id));
    }
    return output_list(call, workloads, workload_columns);
}

int run_lab_exec(struct call *call)
{
    const char *argv[PROCESS_MAX_ARGUMENTS + 5] = {"ip", "netns", "exec", call_argument(call, 0)};
    char port_id[37];
    int r;

    r = need_workload(call, argv[3], port_id);
    if (r < 0)
        return r;
    if (call->n_arguments - 1 > PROCESS_MAX_ARGUMENTS)
        return error_set(&call->error, -E2BIG, "command", "command: more than %d words", PROCESS_MAX_ARGUMENTS);
    for (size_t i = 1; i < call->n_arguments; i++)
        argv[3 + i] = call->arguments[i];
    execvp(argv[0], (char *const *)argv);
    return error_set(&call->error, -errno, "command", "'ip' cannot be run: %s", strerror(errno));
}

/* Processes of the namespace, which is ours: each by its id. */
static int signal_processes(const char *name, int signal_number)
{
    const char *const argv[] = {"ip", "netns", "pids", name, NULL};
    _cleanup_(buffer_clear) struct buffer output = {0};
    struct error ignored = {0};
    char *rest, *line;
    int n = 0;

    if (process_run(argv, &output, &ignored) < 0 || !buffer_string(&output))
        return 0;
    for (rest = output.data; (line = strsep(&rest, "\n"));) {
        uint64_t pid;

        if (parse_u64(line, 2, INT32_MAX, &pid) == 0 && (pid_t)pid != getpid() && kill((pid_t)pid, signal_number) == 0)
            n++;
    }
    return n;
}

static int destroy(const char *name, struct error *error)
{
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000};
    uint64_t end = clock_monotonic_ms() + KILL_WAIT_MS;
    struct error ignored = {0};
    char script[96];

    for (int n = signal_processes(name, SIGTERM); n > 0; n = signal_processes(name, 0)) {
        if (clock_monotonic_ms() >= end) {
            signal_processes(name, SIGKILL);
            break;
        }
        nanosleep(&pause, NULL);
    }
    script_path(name, script);
    unlink(script);
    rmdir(FOLDER); /* With the last one. */
    /* With the device its other end goes at once; with the namespace alone it would go some time later. */
    RUN(&ignored, "ip", "-netns", name, "link", "delete", "dev", INTERFACE);
    return RUN(error, "ip", "netns", "delete", name);
}

int run_lab_remove(struct call *call)
{
    _cleanup_(json_decrefp) json_t *port = NULL;
    char port_id[37];
    int r;

    process_set_echo(call_flag(call, "debug") != NULL);
    r = need_workload(call, call_argument(call, 0), port_id);
    if (r >= 0)
        r = destroy(call_argument(call, 0), &call->error);
    if (r < 0 || call_flag(call, "keep-binding"))
        return r;
    r = resource_find(call->session, &resource_port, port_id, &port, &call->error);
    if (r == -ENOENT) { /* Deleted before its workload. */
        memset(&call->error, 0, sizeof call->error);
        return 0;
    }
    return r < 0 ? r : port_bind(call->session, port, "", &call->error);
}
