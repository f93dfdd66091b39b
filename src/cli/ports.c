/* weft port plug PORT IFACE: first the API learns where the port is (binding:host_id), then the agent which device. */
#include "weft/cli/ports.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "weft/base/clock.h"
#include "weft/base/util.h"
#include "weft/cli/agent-socket.h"
#include "weft/cli/resource.h"

#define PLUG_WAIT_MS 10000
#define POLL_MS 20

const char *port_tap_name(const char *port_id, char name[TAP_NAME_SIZE])
{
    snprintf(name, TAP_NAME_SIZE, "tap%.11s", port_id);
    return name;
}

static int ask_status(struct session *session, json_t **ret, struct error *error)
{
    _cleanup_(json_decrefp) json_t *request = json_pack("{s:s}", "operation", "status");

    return request ? agent_ask(session_agent_socket(session), request, ret, error) : -ENOMEM;
}

int local_host_name(struct session *session, char **ret, struct error *error)
{
    _cleanup_(json_decrefp) json_t *status = NULL;
    int r;

    r = ask_status(session, &status, error);
    if (r < 0)
        return r;
    if (!*resource_string(status, "host"))
        return error_set(error, -EREMOTEIO, "host", "the agent at '%s' does not say its host's name",
                         session_agent_socket(session));
    *ret = strdup(resource_string(status, "host"));
    return *ret ? 0 : -ENOMEM;
}

int port_bind(struct session *session, const json_t *port, const char *host, struct error *error)
{
    _cleanup_(json_decrefp) json_t *changes = NULL;

    if (streq(resource_string(port, "binding:host_id"), host))
        return 0;
    changes = json_pack("{s:s}", "binding:host_id", host);
    return changes ? resource_update(session, &resource_port, resource_id(port), changes, NULL, error) : -ENOMEM;
}

/* 1 when the agent says the port is active. */
static int is_active(struct session *session, const char *port_id, struct error *error)
{
    _cleanup_(json_decrefp) json_t *status = NULL;
    const json_t *port;
    size_t i;
    int r;

    r = ask_status(session, &status, error);
    if (r < 0)
        return r;
    json_array_foreach (json_object_get(status, "ports"), i, port) {
        if (streq(resource_id(port), port_id) && streq(resource_string(port, "status"), "ACTIVE"))
            return 1;
    }
    return 0;
}

int port_wait_active(struct session *session, const char *port_id, uint64_t timeout_ms, struct error *error)
{
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000};
    uint64_t end = clock_monotonic_ms() + timeout_ms;

    for (;;) {
        int r = is_active(session, port_id, error);

        if (r != 0)
            return r < 0 ? r : 0;
        if (clock_monotonic_ms() >= end)
            return error_set(error, -ETIMEDOUT, "port",
                             "port '%s' is bound and plugged, but the agent has not reported it ACTIVE for %.0f s", port_id,
                             (double)timeout_ms / 1000);
        nanosleep(&pause, NULL);
    }
}

int run_port_plug(struct call *call)
{
    const char *interface = call_argument(call, 1);
    _cleanup_(json_decrefp) json_t *port = NULL, *request = NULL, *answer = NULL, *updated = NULL;
    _cleanup_(freep) char *host = NULL;
    struct error ignored = {0};
    int r;

    if (strlen(interface) >= IF_NAMESIZE)
        return error_set(&call->error, -EINVAL, "interface", "interface: '%s' is longer than a device's name can be",
                         interface);
    r = resource_find(call->session, &resource_port, call_argument(call, 0), &port, &call->error);
    if (r >= 0)
        r = local_host_name(call->session, &host, &call->error);
    if (r >= 0)
        r = port_bind(call->session, port, host, &call->error);
    if (r < 0)
        return r;
    request = json_pack("{s:s,s:s,s:s,s:b}", "operation", "plug", "port", resource_id(port), "interface", interface, "force",
                        call_flag(call, "force") != NULL);
    r = request ? agent_ask(session_agent_socket(call->session), request, &answer, &call->error) : -ENOMEM;
    if (r < 0) {
        /* The port is where it was before: a failed plug leaves nothing behind. */
        json_t *changes = json_pack("{s:s}", "binding:host_id", resource_string(port, "binding:host_id"));

        if (!streq(resource_string(port, "binding:host_id"), host))
            resource_update(call->session, &resource_port, resource_id(port), changes, NULL, &ignored);
        json_decref(changes);
        return r;
    }
    if (!call_flag(call, "no-wait")) {
        r = port_wait_active(call->session, resource_id(port), PLUG_WAIT_MS, &call->error);
        if (r < 0)
            return r;
    }
    r = resource_find(call->session, &resource_port, resource_id(port), &updated, &call->error);
    return r < 0 ? r : output_object(call, updated);
}

int run_port_unplug(struct call *call)
{
    _cleanup_(json_decrefp) json_t *port = NULL, *request = NULL, *answer = NULL;
    _cleanup_(freep) char *host = NULL;
    int r;

    r = resource_find(call->session, &resource_port, call_argument(call, 0), &port, &call->error);
    if (r >= 0)
        r = local_host_name(call->session, &host, &call->error);
    if (r < 0)
        return r;
    if (!streq(resource_string(port, "binding:host_id"), host))
        return error_set(&call->error, -EINVAL, "port", "port: '%s' is bound to host '%s', this one is '%s'",
                         call_argument(call, 0), resource_string(port, "binding:host_id"), host);
    request = json_pack("{s:s,s:s}", "operation", "unplug", "port", resource_id(port));
    r = request ? agent_ask(session_agent_socket(call->session), request, &answer, &call->error) : -ENOMEM;
    if (r < 0)
        return r;
    return call_flag(call, "keep-binding") ? 0 : port_bind(call->session, port, "", &call->error);
}

/* ---- libvirt ----------------------------------------------------------------------------------------------------- */

int run_port_libvirt_xml(struct call *call)
{
    _cleanup_(json_decrefp) json_t *port = NULL, *network = NULL;
    const char *host = call_flag(call, "host");
    char tap[TAP_NAME_SIZE];
    int r;

    r = resource_find(call->session, &resource_port, call_argument(call, 0), &port, &call->error);
    if (r >= 0)
        r = resource_find(call->session, &resource_network, resource_string(port, "network_id"), &network, &call->error);
    if (r >= 0 && host)
        r = port_bind(call->session, port, host, &call->error);
    if (r < 0)
        return r;
    /* Everything below comes from the API in a form without characters that XML would have to escape: a MAC, a number, hex digits. */
    printf("<interface type='ethernet'>\n"
           "  <mac address='%s'/>\n"
           "  <target dev='%s'%s/>\n"
           "  <model type='virtio'/>\n"
           "  <mtu size='%lld'/>\n"
           "</interface>\n",
           resource_string(port, "mac_address"), port_tap_name(resource_id(port), tap),
           call_flag(call, "existing-tap") ? " managed='no'" : "",
           (long long)json_integer_value(json_object_get(network, "mtu")));
    return 0;
}
