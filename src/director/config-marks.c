/* Rules of a director's file that give packets a mark. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/director/config-parts.h"
#include "weft/director/members.h"

/* A port or a range: 80 or "8000-8999". */
static int ports_decode(const json_t *json, uint16_t *ret_min, uint16_t *ret_max, struct error *error)
{
    const char *text = json_string_value(json);
    unsigned first, last;
    char end;

    if (json_is_integer(json) && json_integer_value(json) >= 0 && json_integer_value(json) <= UINT16_MAX) {
        *ret_min = *ret_max = (uint16_t)json_integer_value(json);
        return 0;
    }
    if (!text || strspn(text, "0123456789-") != strlen(text) || sscanf(text, "%5u-%5u%c", &first, &last, &end) != 2 ||
        first > last || last > UINT16_MAX)
        return member_refuse(json, "a port, or a range of ports such as 8000-8999", error);
    *ret_min = (uint16_t)first;
    *ret_max = (uint16_t)last;
    return 0;
}

static int ports_encode(uint16_t first, uint16_t last, json_t **ret_json)
{
    *ret_json = NULL;
    if (first == 0 && last == UINT16_MAX)
        return 0;
    *ret_json = first == last ? json_integer(first) : json_sprintf("%u-%u", first, last);
    return *ret_json ? 0 : -ENOMEM;
}

static int source_ports_decode(const json_t *json, void *object, struct error *error)
{
    struct mark_rule *rule = object;

    return ports_decode(json, &rule->source_port_min, &rule->source_port_max, error);
}

static int source_ports_encode(const void *object, const void *defaults, json_t **ret_json)
{
    const struct mark_rule *rule = object;

    (void)defaults;
    return ports_encode(rule->source_port_min, rule->source_port_max, ret_json);
}

static int destination_ports_decode(const json_t *json, void *object, struct error *error)
{
    struct mark_rule *rule = object;

    return ports_decode(json, &rule->destination_port_min, &rule->destination_port_max, error);
}

static int destination_ports_encode(const void *object, const void *defaults, json_t **ret_json)
{
    const struct mark_rule *rule = object;

    (void)defaults;
    return ports_encode(rule->destination_port_min, rule->destination_port_max, ret_json);
}

/* By name, or any other by its number. */
static int protocol_decode(const json_t *json, void *object, struct error *error)
{
    struct mark_rule *rule = object;
    json_int_t number = json_integer_value(json);
    const char *name = json_string_value(json);

    if (name && service_protocol_parse(name, &rule->protocol) == 0)
        return 0;
    if (!json_is_integer(json) || number < 1 || number > UINT8_MAX)
        return member_refuse(json, "one of tcp, udp, sctp, or a number from 1 to 255", error);
    rule->protocol = (uint8_t)number;
    return 0;
}

static int protocol_encode(const void *object, const void *defaults, json_t **ret_json)
{
    const struct mark_rule *rule = object;
    const char *name = service_protocol_name(rule->protocol);

    (void)defaults;
    *ret_json = NULL;
    if (!rule->protocol)
        return 0;
    *ret_json = name ? json_string(name) : json_integer(rule->protocol);
    return *ret_json ? 0 : -ENOMEM;
}

static int family_decode(const json_t *json, void *object, struct error *error)
{
    struct mark_rule *rule = object;
    const char *name = json_string_value(json);

    if (!name || (!streq(name, "ipv4") && !streq(name, "ipv6")))
        return member_refuse(json, "one of ipv4, ipv6", error);
    rule->ipv6 = streq(name, "ipv6");
    return 0;
}

static int family_encode(const void *object, const void *defaults, json_t **ret_json)
{
    const struct mark_rule *rule = object;

    (void)defaults;
    *ret_json = rule->ipv6 ? json_string("ipv6") : NULL;
    return rule->ipv6 && !*ret_json ? -ENOMEM : 0;
}

#define RULE_OFFSET(member) .offset = offsetof(struct mark_rule, member)

static const struct member rule_members[] = {
    {"mark", MEMBER_U32, .is_required = true, RULE_OFFSET(mark), .minimum = 1},
    {"family", MEMBER_CUSTOM, .decode = family_decode, .encode = family_encode},
    {"protocol", MEMBER_CUSTOM, .decode = protocol_decode, .encode = protocol_encode},
    {"source", MEMBER_PREFIX, RULE_OFFSET(source), .flag = offsetof(struct mark_rule, has_source)},
    {"destination", MEMBER_PREFIX, RULE_OFFSET(destination), .flag = offsetof(struct mark_rule, has_destination)},
    {"source_ports", MEMBER_CUSTOM, .decode = source_ports_decode, .encode = source_ports_encode},
    {"destination_ports", MEMBER_CUSTOM, .decode = destination_ports_decode, .encode = destination_ports_encode},
    {"interface", MEMBER_INTERFACE, RULE_OFFSET(interface)},
    {0},
};

int mark_rule_decode(const json_t *json, void *element, const void *context, struct error *error)
{
    struct mark_rule *rule = element;

    (void)context;
    *rule = mark_rule_default();
    return members_decode(rule_members, json, rule, error);
}

json_t *mark_rule_encode(const struct mark_rule *rule)
{
    struct mark_rule usual = mark_rule_default();

    return members_encode(rule_members, rule, &usual);
}

static bool is_any(uint16_t first, uint16_t last)
{
    return first == 0 && last == UINT16_MAX;
}

int mark_rule_check(const struct mark_rule *rule, struct error *error)
{
    bool has_ports = service_protocol_name(rule->protocol);

    if (!rule->mark)
        return error_set(error, -EINVAL, "mark", "it is 0");
    if (rule->has_source && ip_is_v4(&rule->source.address) == rule->ipv6)
        return error_set(error, -EINVAL, "source", "it is not of the rule's family, %s", rule->ipv6 ? "ipv6" : "ipv4");
    if (rule->has_destination && ip_is_v4(&rule->destination.address) == rule->ipv6)
        return error_set(error, -EINVAL, "destination", "it is not of the rule's family, %s",
                         rule->ipv6 ? "ipv6" : "ipv4");
    if (!has_ports && !is_any(rule->source_port_min, rule->source_port_max))
        return error_set(error, -EINVAL, "source_ports", "only tcp, udp and sctp have ports");
    if (!has_ports && !is_any(rule->destination_port_min, rule->destination_port_max))
        return error_set(error, -EINVAL, "destination_ports", "only tcp, udp and sctp have ports");
    return 0;
}
