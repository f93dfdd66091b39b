#include "weft/cli/trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/cli/frame.h"
#include "weft/cli/resource.h"
#include "weft/cli/text.h"

#define TRACE_TIMEOUT_MS 15000

/* ---- addresses --------------------------------------------------------------------------------------------------- */

static int flag_address(struct call *call, const char *name, struct ip_address *ret)
{
    const char *text = call_flag(call, name);

    if (ip_parse(text, ret) < 0)
        return error_set(&call->error, -EINVAL, name, "--%s: '%s' is not an IP address", name, text);
    return 0;
}

static int flag_mac(struct call *call, const char *name, struct mac_address *ret)
{
    const char *text = call_flag(call, name);

    if (mac_parse(text, ret) < 0)
        return error_set(&call->error, -EINVAL, name, "--%s: '%s' is not a MAC address", name, text);
    return 0;
}

/* The port's first fixed IP of a family (4, 6 or 0 for any), preferably of 'subnet_id'. */
static bool fixed_ip(const json_t *port, int family, const char *subnet_id, struct ip_address *ret)
{
    const json_t *item;
    bool found = false;
    size_t i;

    json_array_foreach (json_object_get(port, "fixed_ips"), i, item) {
        bool preferred = subnet_id && streq(resource_string(item, "subnet_id"), subnet_id);
        struct ip_address address;

        if (ip_parse(resource_string(item, "ip_address"), &address) < 0)
            continue;
        if (family && ip_is_v4(&address) != (family == 4))
            continue;
        if (!found || preferred)
            *ret = address;
        found = true;
        if (preferred)
            break;
    }
    return found;
}

/* MACs of addresses that are groups (RFC 1112, RFC 2464). */
static bool group_mac(const struct ip_address *address, struct mac_address *ret)
{
    if (ip_is_v4(address) && ip_to_v4(address) == 0xffffffff) {
        memset(ret->bytes, 0xff, 6);
        return true;
    }
    if (!ip_is_multicast(address))
        return false;
    if (ip_is_v4(address)) {
        *ret = (struct mac_address){{0x01, 0x00, 0x5e}};
        memcpy(ret->bytes + 3, address->bytes + 13, 3);
        ret->bytes[3] &= 0x7f;
    } else {
        *ret = (struct mac_address){{0x33, 0x33}};
        memcpy(ret->bytes + 2, address->bytes + 12, 4);
    }
    return true;
}

/* The MAC of the port that has 'address' in 'network_id'.  1 when found. */
static int neighbor_mac(struct call *call, const char *network_id, const char *address, struct mac_address *ret)
{
    _cleanup_(json_decrefp) json_t *ports = NULL;
    _cleanup_(freep) char *escaped = session_escape(call->session, address), *query = NULL;
    int r;

    if (!escaped || text_format(&query, "network_id=%s&fixed_ips=ip_address%%3D%s", network_id, escaped) < 0)
        return -ENOMEM;
    r = resource_list(call->session, &resource_port, query, &ports, &call->error);
    if (r < 0)
        return r;
    return mac_parse(resource_string(json_array_get(ports, 0), "mac_address"), ret) == 0;
}

/* Where a workload would send a packet for 'address': to its neighbour, or to the gateway of its subnet. */
static int next_hop_mac(struct call *call, const json_t *port, const struct ip_address *address, struct mac_address *ret)
{
    _cleanup_(json_decrefp) json_t *subnets = NULL;
    _cleanup_(freep) char *query = NULL;
    char text[IP_TEXT_SIZE];
    const json_t *subnet;
    size_t i;
    int r;

    if (group_mac(address, ret))
        return 0;
    r = neighbor_mac(call, resource_string(port, "network_id"), ip_format(address, text), ret);
    if (r != 0)
        return r < 0 ? r : 0;
    if (text_format(&query, "network_id=%s", resource_string(port, "network_id")) < 0)
        return -ENOMEM;
    r = resource_list(call->session, &resource_subnet, query, &subnets, &call->error);
    if (r < 0)
        return r;
    json_array_foreach (subnets, i, subnet) {
        const char *gateway = resource_string(subnet, "gateway_ip");
        struct ip_address gateway_address;
        struct ip_prefix cidr;

        if (ip_parse(gateway, &gateway_address) < 0 || ip_is_v4(&gateway_address) != ip_is_v4(address) ||
            prefix_parse(resource_string(subnet, "cidr"), &cidr) < 0 || prefix_contains(&cidr, address))
            continue;
        r = neighbor_mac(call, resource_string(port, "network_id"), gateway, ret);
        if (r != 0)
            return r < 0 ? r : 0;
    }
    return error_set(&call->error, -EINVAL, "dst",
                     "--dst: '%s' is no port's address in the network and no gateway leads there; give --dst-mac", text);
}

/* ---- the frame --------------------------------------------------------------------------------------------------- */

static int spec_protocol(struct call *call, struct frame_spec *spec)
{
    static const struct {
        const char *name;
        enum frame_protocol protocol;
    } names[] = {{"udp", FRAME_UDP}, {"tcp", FRAME_TCP}, {"icmp", FRAME_ICMP}, {"arp", FRAME_ARP}, {"nd", FRAME_ND}};
    const char *text = call_flag(call, "proto");

    spec->protocol = FRAME_ICMP;
    for (size_t i = 0; text && i < ARRAY_SIZE(names); i++)
        if (streq(names[i].name, text))
            spec->protocol = names[i].protocol;
    if (!text && (call_flag(call, "dport") || call_flag(call, "sport")))
        spec->protocol = FRAME_UDP;
    return 0;
}

static int flag_number(struct call *call, const char *name, uint64_t maximum, uint64_t fallback, uint64_t *ret)
{
    const char *text = call_flag(call, name);

    *ret = fallback;
    if (text && parse_u64(text, 0, maximum, ret) < 0)
        return error_set(&call->error, -EINVAL, name, "--%s: '%s' is not a number from 0 to %llu", name, text,
                         (unsigned long long)maximum);
    return 0;
}

static int spec_numbers(struct call *call, struct frame_spec *spec)
{
    uint64_t source_port, destination_port, size;
    int r;

    r = flag_number(call, "sport", 65535, 40000, &source_port);
    if (r >= 0)
        r = flag_number(call, "dport", 65535, 80, &destination_port);
    if (r >= 0)
        r = flag_number(call, "size", 9000, 0, &size);
    if (r < 0)
        return r;
    spec->source_port = (uint16_t)source_port;
    spec->destination_port = (uint16_t)destination_port;
    spec->payload_size = size;
    return 0;
}

/* Fills in the destination from --to or --dst, then the source of the same family and, if it can be, the same subnet. */
static int spec_addresses(struct call *call, const json_t *port, struct frame_spec *spec)
{
    _cleanup_(json_decrefp) json_t *to = NULL;
    const char *to_name = call_flag(call, "to");
    bool is_routed = !to_name; /* Then the frame is for whoever is the way there. */
    const json_t *first = json_array_get(json_object_get(port, "fixed_ips"), 0);
    int family = call_flag(call, "ipv6") || spec->protocol == FRAME_ND ? 6 : spec->protocol == FRAME_ARP ? 4 : 0;
    int r;

    if (mac_parse(resource_string(port, "mac_address"), &spec->source_mac) < 0)
        return -EREMOTEIO;
    if (to_name) {
        r = resource_find(call->session, &resource_port, to_name, &to, &call->error);
        if (r < 0)
            return r;
        if (mac_parse(resource_string(to, "mac_address"), &spec->destination_mac) < 0)
            return -EREMOTEIO;
        is_routed = !streq(resource_string(to, "network_id"), resource_string(port, "network_id"));
        if (!call_flag(call, "dst") &&
            !fixed_ip(to, family, family || is_routed ? NULL : resource_string(first, "subnet_id"), &spec->destination))
            return error_set(&call->error, -EINVAL, "to", "--to: port '%s' has no %saddress", to_name,
                             family == 6   ? "IPv6 "
                             : family == 4 ? "IPv4 "
                                           : "");
    }
    if (call_flag(call, "dst")) {
        r = flag_address(call, "dst", &spec->destination);
        if (r < 0)
            return r;
    }
    if (call_flag(call, "src")) {
        r = flag_address(call, "src", &spec->source);
        if (r < 0)
            return r;
    } else if (!fixed_ip(port, ip_is_v4(&spec->destination) ? 4 : 6, NULL, &spec->source)) {
        return error_set(&call->error, -EINVAL, "src", "port '%s' has no IPv%d address; give --src",
                         call_argument(call, 0), ip_is_v4(&spec->destination) ? 4 : 6);
    }
    if (to_name && is_routed) { /* Where tenants overlap, the address is somebody's here: then it is about the other network's MAC. */
        struct mac_address neighbor;
        char text[IP_TEXT_SIZE];

        r = neighbor_mac(call, resource_string(port, "network_id"), ip_format(&spec->destination, text), &neighbor);
        if (r < 0)
            return r;
        is_routed = r == 0;
    }
    if (spec->protocol == FRAME_ARP && !call_flag(call, "dst-mac"))
        memset(spec->destination_mac.bytes, 0xff, 6);
    else if (is_routed && !call_flag(call, "dst-mac") && spec->protocol != FRAME_ND)
        return next_hop_mac(call, port, &spec->destination, &spec->destination_mac);
    return 0;
}

static int build_frame(struct call *call, const json_t *port, char hex[2 * FRAME_MAX + 1])
{
    struct frame_spec spec = {0};
    uint8_t frame[FRAME_MAX];
    int r;

    if (!call_flag(call, "to") && !call_flag(call, "dst"))
        return error_set(&call->error, -EINVAL, "to", "say where to: --to PORT, --dst ADDRESS or --frame HEX");
    r = spec_protocol(call, &spec);
    if (r >= 0)
        r = spec_numbers(call, &spec);
    if (r >= 0)
        r = spec_addresses(call, port, &spec);
    if (r >= 0 && call_flag(call, "src-mac"))
        r = flag_mac(call, "src-mac", &spec.source_mac);
    if (r >= 0 && call_flag(call, "dst-mac"))
        r = flag_mac(call, "dst-mac", &spec.destination_mac);
    if (r < 0)
        return r;
    r = frame_build(&spec, frame);
    if (r < 0)
        return error_set(&call->error, r, "proto", "--proto: '%s' cannot be sent between these addresses",
                         call_flag(call, "proto") ? call_flag(call, "proto") : "icmp");
    frame_format_hex(frame, (size_t)r, hex);
    return 0;
}

static int given_frame(struct call *call, const char *text, char hex[2 * FRAME_MAX + 1])
{
    uint8_t frame[FRAME_MAX];
    int r = frame_parse_hex(text, frame);

    if (r < 14)
        return error_set(&call->error, -EINVAL, "frame", "--frame: '%.40s' is not the hexadecimal digits of a frame", text);
    frame_format_hex(frame, (size_t)r, hex);
    return 0;
}

/* ---- printing ---------------------------------------------------------------------------------------------------- */

static void print_trace(const json_t *trace)
{
    bool colour = output_has_colour();
    const char *verdict = resource_string(trace, "verdict"), *reason = resource_string(trace, "reason"), *host = "";
    bool dropped = streq(verdict, "dropped");
    const json_t *step, *output;
    size_t i;

    json_array_foreach (json_object_get(trace, "steps"), i, step) {
        const char *step_host = resource_string(step, "host");

        if (*step_host && !streq(host, step_host)) {
            host = step_host;
            printf("%son host %s%s\n", colour ? "\033[1m" : "", host, colour ? "\033[0m" : "");
        }
        printf("  %-16s %s\n", resource_string(step, "stage"), resource_string(step, "text"));
    }
    printf("%s%s%s%s%s\n", colour ? (dropped ? "\033[31m" : "\033[32m") : "", verdict, *reason ? ": " : "", reason,
           colour ? "\033[0m" : "");
    json_array_foreach (json_object_get(trace, "outputs"), i, output)
        if (*resource_string(output, "port"))
            printf("  to port %s%s%s\n", resource_string(output, "port"), *resource_string(output, "host") ? " on host " : "",
                   resource_string(output, "host"));
}

int run_trace(struct call *call)
{
    _cleanup_(json_decrefp) json_t *port = NULL, *body = NULL, *trace = NULL;
    _cleanup_(freep) char *hex = malloc(2 * FRAME_MAX + 1), *path = NULL;
    const char *given = call_flag(call, "frame");
    int r;

    if (!hex)
        return -ENOMEM;
    r = resource_find(call->session, &resource_port, call_argument(call, 0), &port, &call->error);
    if (r >= 0)
        r = given ? given_frame(call, given, hex) : build_frame(call, port, hex);
    if (r < 0)
        return r;
    body = json_pack("{s:s}", "frame", hex);
    if (!body || text_format(&path, "/ports/%s/trace", resource_id(port)) < 0)
        return -ENOMEM;
    r = session_request_with(call->session, SERVICE_WEFT, "POST", path, body, NULL, TRACE_TIMEOUT_MS, &trace, &call->error);
    if (r < 0)
        return r;
    if (!output_is_table(call))
        return output_object(call, trace);
    print_trace(trace);
    return 0;
}
