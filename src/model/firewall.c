/* The resources of the firewall of routers (Firewall-as-a-service v2): groups, policies, rules. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/options.h"
#include "weft/base/util.h"
#include "weft/model/resources.h"

#define GROUP_PORTS_MAX 1024
#define POLICY_RULES_MAX 1024

#define SHARED_ATTRIBUTE(structure)                                                                          \
    {.name = "shared", .type = TYPE_BOOL, FIELD(structure, shared), .flags = ATTRIBUTE_WRITE | ATTRIBUTE_ADMIN_WRITE | ATTRIBUTE_FIND, \
     .default_json = "false", .help = "All projects may see and use it."}

int firewall_ports_parse(const char *text, uint16_t *ret_first, uint16_t *ret_last)
{
    const char *colon = strchr(text, ':');
    char first[8];
    uint64_t a, b;

    if (!colon)
        colon = text + strlen(text);
    if (colon - text >= (ptrdiff_t)sizeof(first))
        return -EINVAL;
    memcpy(first, text, (size_t)(colon - text));
    first[colon - text] = '\0';
    if (parse_u64(first, 1, 65535, &a) < 0)
        return -EINVAL;
    b = a;
    if (*colon && parse_u64(colon + 1, 1, 65535, &b) < 0)
        return -EINVAL;
    if (b < a)
        return -ERANGE;
    *ret_first = (uint16_t)a;
    *ret_last = (uint16_t)b;
    return 0;
}

static int check_ports(const struct attribute *attribute, const void *value, struct error *error)
{
    const char *text = *(char *const *)value;
    uint16_t first, last;
    int r = text ? firewall_ports_parse(text, &first, &last) : 0;

    if (r == -ERANGE)
        return error_set_type(error, -EINVAL, "FirewallRuleInvalidPortValue", attribute->name, "Invalid value for port %.40s.", text);
    if (r < 0)
        return error_set(error, -EINVAL, attribute->name, "'%.40s' is neither a port from 1 to 65535 nor a range of them like '80:90'", text);
    return 0;
}

static const char *const actions[] = {[FIREWALL_ALLOW] = "allow", [FIREWALL_DENY] = "deny", [FIREWALL_REJECT] = "reject"};

static const char *const protocols[] = {
    [FIREWALL_ANY] = NULL, [FIREWALL_TCP] = "tcp", [FIREWALL_UDP] = "udp", [FIREWALL_ICMP] = "icmp"};

#define PORTS_ATTRIBUTE(attribute_name, member, text)                                                        \
    {.name = attribute_name, .type = TYPE_STRING, FIELD(struct firewall_rule, member), .maximum = 11, .check = check_ports, \
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE | ATTRIBUTE_OR_NUMBER, .help = text}
#define ADDRESS_ATTRIBUTE(attribute_name, member, has, text)                                                 \
    {.name = attribute_name, .type = TYPE_ADDRESS_OR_PREFIX, FIELD(struct firewall_rule, member),            \
     PRESENCE(struct firewall_rule, has), .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE, .help = text}

static const struct attribute rule_attributes[] = {
    COMMON_ATTRIBUTES,
    SHARED_ATTRIBUTE(struct firewall_rule),
    {.name = "protocol", .type = TYPE_ENUM, FIELD(struct firewall_rule, protocol), VALUES(protocols),
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE | ATTRIBUTE_ANY_CASE, .help = "tcp, udp or icmp; any unless given."},
    {.name = "ip_version", .type = TYPE_UINT, FIELD(struct firewall_rule, ip_version), .minimum = 4, .maximum = 6,
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND, .default_json = "4", .help = "4 or 6."},
    ADDRESS_ATTRIBUTE("source_ip_address", source, has_source, "An address or a prefix; any unless given."),
    ADDRESS_ATTRIBUTE("destination_ip_address", destination, has_destination, "An address or a prefix; any unless given."),
    PORTS_ATTRIBUTE("source_port", source_port, "A port or a range like 80:90; any unless given."),
    PORTS_ATTRIBUTE("destination_port", destination_port, "A port or a range like 80:90; any unless given."),
    {.name = "action", .type = TYPE_ENUM, FIELD(struct firewall_rule, action), VALUES(actions),
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND | ATTRIBUTE_ANY_CASE, .default_json = "\"deny\"",
     .help = "allow; deny: drop it; reject: say so to who sent it."},
    {.name = "enabled", .type = TYPE_BOOL, FIELD(struct firewall_rule, enabled), .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND,
     .default_json = "true", .help = "False: as if it were not there."},
    {.name = NULL},
};

const struct schema firewall_rule_schema = {
    .kind = RESOURCE_FIREWALL_RULE,
    .name = "firewall_rule",
    .collection = "firewall_rules",
    .size = sizeof(struct firewall_rule),
    .attributes = rule_attributes,
    .help = "What a firewall policy does with packets that it describes.",
};

static const struct attribute id_element[] = {
    {.name = "", .type = TYPE_UUID, FIELD(struct object_id, id)},
    {.name = NULL},
};

static const struct attribute policy_attributes[] = {
    COMMON_ATTRIBUTES,
    SHARED_ATTRIBUTE(struct firewall_policy),
    {.name = "audited", .type = TYPE_BOOL, FIELD(struct firewall_policy, audited), .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND,
     .default_json = "false", .help = "Somebody has looked at it since it last changed."},
    {.name = "firewall_rules", LIST(struct firewall_policy, rules, n_rules, id_element), .maximum = POLICY_RULES_MAX,
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_UNIQUE | ATTRIBUTE_NULL_EMPTY, .help = "Its rules in order: the first that fits decides."},
    {.name = NULL},
};

const struct schema firewall_policy_schema = {
    .kind = RESOURCE_FIREWALL_POLICY,
    .name = "firewall_policy",
    .collection = "firewall_policies",
    .size = sizeof(struct firewall_policy),
    .attributes = policy_attributes,
    .help = "Rules in order; what none of them fits is dropped.",
};

static const struct attribute group_attributes[] = {
    COMMON_ATTRIBUTES,
    ADMIN_STATE_ATTRIBUTE,
    SHARED_ATTRIBUTE(struct firewall_group),
    {.name = "ingress_firewall_policy_id", .type = TYPE_UUID, FIELD(struct firewall_group, ingress_policy_id),
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE, .help = "Of what leaves the router through its ports."},
    {.name = "egress_firewall_policy_id", .type = TYPE_UUID, FIELD(struct firewall_group, egress_policy_id),
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE, .help = "Of what comes to the router by its ports."},
    {.name = "ports", LIST(struct firewall_group, ports, n_ports, id_element), .maximum = GROUP_PORTS_MAX,
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_UNIQUE | ATTRIBUTE_NULL_EMPTY, .help = "Ports of routers; each is in one group at most."},
    {.name = "is_default", .type = TYPE_BOOL, FIELD(struct firewall_group, is_default), .flags = ATTRIBUTE_INTERNAL,
     .help = "It is its project's group called \"default\"."},
    {.name = NULL},
};

const struct schema firewall_group_schema = {
    .kind = RESOURCE_FIREWALL_GROUP,
    .name = "firewall_group",
    .collection = "firewall_groups",
    .size = sizeof(struct firewall_group),
    .attributes = group_attributes,
    .help = "Ports of routers and the policies that hold there.",
};

const char *firewall_group_status(const struct firewall_group *group)
{
    if (group->n_ports == 0 || (!group->ingress_policy_id[0] && !group->egress_policy_id[0]))
        return "INACTIVE";
    return group->object.admin_state_up ? "ACTIVE" : "DOWN";
}
