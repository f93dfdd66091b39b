#include "weft/model/connection-filter.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "weft/base/util.h"

static const char *const states[] = {"new", "half-open", "established", "closing", "dead", "half-closed", "time-wait", "reset"};

static const struct {
    const char *name;
    uint8_t protocol;
} protocols[] = {{"tcp", IPPROTO_TCP}, {"udp", IPPROTO_UDP}, {"icmp", IPPROTO_ICMP}, {"icmpv6", IPPROTO_ICMPV6}, {"sctp", IPPROTO_SCTP}};

const char *connection_state_name(unsigned state)
{
    return state < ARRAY_SIZE(states) ? states[state] : NULL;
}

const char *connection_protocol_name(uint8_t protocol, char text[8])
{
    for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
        if (protocols[i].protocol == protocol)
            return protocols[i].name;
    snprintf(text, 8, "%u", protocol);
    return text;
}

int connection_protocol_parse(const char *text, uint8_t *ret)
{
    uint64_t number;

    for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
        if (streq(protocols[i].name, text)) {
            *ret = protocols[i].protocol;
            return 0;
        }
    if (parse_u64(text, 0, 255, &number) < 0)
        return -EINVAL;
    *ret = (uint8_t)number;
    return 0;
}

static int state_parse(const char *text, uint8_t *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(states); i++)
        if (streq(states[i], text)) {
            *ret = (uint8_t)i;
            return 0;
        }
    return -EINVAL;
}

static int address_parse(const char *text, struct ip_prefix *ret)
{
    return strchr(text, '/') ? prefix_parse(text, ret) : prefix_parse_host(text, ret);
}

int connection_filter_add(struct connection_filter *filter, const char *name, const char *text, struct error *error)
{
    uint64_t number;

    if (streq(name, "protocol")) {
        if (connection_protocol_parse(text, &filter->protocol) < 0)
            return error_set(error, -EINVAL, name, "protocol: '%.40s' is not tcp, udp, icmp, icmpv6, sctp or a number from 0 to 255", text);
        filter->has_protocol = true;
    } else if (streq(name, "address")) {
        if (address_parse(text, &filter->address) < 0)
            return error_set(error, -EINVAL, name, "address: '%.60s' is not an IP address or prefix", text);
        filter->has_address = true;
    } else if (streq(name, "port_number")) {
        if (parse_u64(text, 0, 65535, &number) < 0)
            return error_set(error, -EINVAL, name, "port_number: '%.40s' is not a number from 0 to 65535", text);
        filter->port = (uint16_t)number;
        filter->has_port = true;
    } else if (streq(name, "state")) {
        if (state_parse(text, &filter->state) < 0)
            return error_set(error, -EINVAL, name, "state: '%.40s' is not half-open, established, half-closed, closing, time-wait or reset", text);
        filter->has_state = true;
    } else if (streq(name, "translated")) {
        if (!streq(text, "true") && !streq(text, "false"))
            return error_set(error, -EINVAL, name, "translated: '%.40s' is not true or false", text);
        filter->translated = streq(text, "true");
        filter->has_translated = true;
    } else {
        return -ENOENT;
    }
    return 0;
}

int connection_filter_read(struct connection_filter *ret, const json_t *object, struct error *error)
{
    const char *name;
    json_t *value;

    *ret = (struct connection_filter){0};
    json_object_foreach((json_t *)object, name, value)
        if (json_is_string(value) && connection_filter_add(ret, name, json_string_value(value), error) == -EINVAL)
            return -EINVAL;
    return 0;
}

static bool has_address(const struct ip_prefix *prefix, const struct connection_names *names)
{
    return names && (prefix_contains(prefix, &names->local) || prefix_contains(prefix, &names->remote));
}

static bool has_port(uint16_t port, const struct connection_names *names)
{
    return names && (names->local_port == port || names->remote_port == port);
}

bool connection_filter_fits(const struct connection_filter *filter, uint8_t protocol, unsigned state, const struct connection_names *inside,
                            const struct connection_names *outside)
{
    if (filter->has_protocol && filter->protocol != protocol)
        return false;
    if (filter->has_state && filter->state != state)
        return false;
    if (filter->has_translated && filter->translated != (outside != NULL))
        return false;
    if (filter->has_address && !has_address(&filter->address, inside) && !has_address(&filter->address, outside))
        return false;
    return !filter->has_port || has_port(filter->port, inside) || has_port(filter->port, outside);
}
