/* The resources of the ports' firewall: security groups, their rules, address groups. */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "weft/base/util.h"
#include "weft/model/resources.h"

#define ADDRESSES_MAX 4096 /* Of an address group. */

static const struct attribute group_attributes[] = {
    COMMON_ATTRIBUTES,
    {.name = "stateful", .type = TYPE_BOOL, FIELD(struct security_group, stateful), .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND,
     .default_json = "true", .help = "Answers of allowed connections pass; false judges each packet by itself."},
    {.name = "is_default", .type = TYPE_BOOL, FIELD(struct security_group, is_default), .flags = ATTRIBUTE_INTERNAL,
     .help = "It is its project's group called \"default\"."},
    {.name = NULL},
};

const struct schema security_group_schema = {
    .kind = RESOURCE_SECURITY_GROUP,
    .name = "security_group",
    .collection = "security_groups",
    .size = sizeof(struct security_group),
    .attributes = group_attributes,
    .help = "What its ports may send and be sent.",
};

static const char *const directions[] = {[RULE_INGRESS] = "ingress", [RULE_EGRESS] = "egress"};

static const char *const ethertypes[] = {[4] = "IPv4", [6] = "IPv6"};

static_assert(offsetof(struct security_group_rule, remote_address) == offsetof(struct security_group_rule, remote_prefix) + sizeof(struct ip_prefix),
              "TYPE_PREFIX_AS_WRITTEN");

/* What rules and their templates have in common; a template begins with a rule. */
#define RULE_ATTRIBUTES                                                                                      \
    ID_ATTRIBUTE, DESCRIPTION_ATTRIBUTE, HISTORY_ATTRIBUTES,                                                 \
    {.name = "direction", .type = TYPE_ENUM, FIELD(struct security_group_rule, direction), VALUES(directions), \
     .flags = ATTRIBUTE_POST | ATTRIBUTE_REQUIRED | ATTRIBUTE_FIND,                                          \
     .help = "ingress: to the workload; egress: from it."},                                                  \
    {.name = "ip_version", .type = TYPE_UINT, FIELD(struct security_group_rule, ip_version), .minimum = 4, .maximum = 6, \
     .flags = ATTRIBUTE_INTERNAL, .default_json = "4", .help = "4 or 6: what ethertype says."},              \
    {.name = "ethertype", .type = TYPE_ENUM, FIELD(struct security_group_rule, ip_version), VALUES(ethertypes), \
     .flags = ATTRIBUTE_POST | ATTRIBUTE_FIND | ATTRIBUTE_DERIVED | ATTRIBUTE_ANY_CASE, .help = "IPv4 or IPv6; IPv4 unless given."}, \
    {.name = "protocol", .type = TYPE_STRING, FIELD(struct security_group_rule, protocol), .maximum = 40,    \
     .flags = ATTRIBUTE_POST | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE | ATTRIBUTE_OR_NUMBER,                    \
     .help = "A name or number; any unless given."},                                                         \
    {.name = "port_range_min", .type = TYPE_UINT, FIELD(struct security_group_rule, port_min), .maximum = 65535, \
     PRESENCE(struct security_group_rule, has_port_min), .flags = ATTRIBUTE_POST | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE, \
     .help = "The first port, or the ICMP type."},                                                           \
    {.name = "port_range_max", .type = TYPE_UINT, FIELD(struct security_group_rule, port_max), .maximum = 65535, \
     PRESENCE(struct security_group_rule, has_port_max), .flags = ATTRIBUTE_POST | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE, \
     .help = "The last port, or the ICMP code."},                                                            \
    {.name = "remote_ip_prefix", .type = TYPE_PREFIX_AS_WRITTEN, .offset = offsetof(struct security_group_rule, remote_prefix), \
     .size = sizeof(struct ip_prefix) + sizeof(struct ip_address), PRESENCE(struct security_group_rule, has_remote_prefix), \
     .flags = ATTRIBUTE_POST | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE, .help = "The other side's addresses."},  \
    {.name = "remote_address_group_id", .type = TYPE_UUID, FIELD(struct security_group_rule, remote_address_group_id), \
     .flags = ATTRIBUTE_POST | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE, .help = "The other side is in this address group."}

static const struct attribute rule_attributes[] = {
    RULE_ATTRIBUTES,
    PROJECT_ATTRIBUTE,
    {.name = "security_group_id", .type = TYPE_UUID, FIELD(struct security_group_rule, security_group_id),
     .flags = ATTRIBUTE_POST | ATTRIBUTE_REQUIRED | ATTRIBUTE_FIND, .help = "The group that it belongs to."},
    {.name = "remote_group_id", .type = TYPE_UUID, FIELD(struct security_group_rule, remote_group_id),
     .flags = ATTRIBUTE_POST | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE, .help = "The other side is a port of this security group."},
    {.name = NULL},
};

const struct schema security_group_rule_schema = {
    .kind = RESOURCE_SECURITY_GROUP_RULE,
    .name = "security_group_rule",
    .collection = "security_group_rules",
    .size = sizeof(struct security_group_rule),
    .attributes = rule_attributes,
    .help = "Something that the ports of a security group may send or be sent.",
};

static const struct attribute default_rule_attributes[] = {
    RULE_ATTRIBUTES,
    {.name = "remote_group_id", .type = TYPE_TEXT, FIELD(struct security_group_rule, remote_group_id),
     .flags = ATTRIBUTE_POST | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE,
     .help = "The other side is a port of this security group; PARENT: of the new group."},
    {.name = "used_in_default_sg", .type = TYPE_BOOL, FIELD(struct default_rule, used_in_default_sg),
     .flags = ATTRIBUTE_POST | ATTRIBUTE_FIND, .default_json = "false", .help = "Projects' default groups get it."},
    {.name = "used_in_non_default_sg", .type = TYPE_BOOL, FIELD(struct default_rule, used_in_non_default_sg),
     .flags = ATTRIBUTE_POST | ATTRIBUTE_FIND, .default_json = "true", .help = "All other new groups get it."},
    {.name = NULL},
};

const struct schema default_rule_schema = {
    .kind = RESOURCE_DEFAULT_RULE,
    .name = "default_security_group_rule",
    .collection = "default_security_group_rules",
    .size = sizeof(struct default_rule),
    .attributes = default_rule_attributes,
    .help = "A rule that new security groups get.",
};

static const struct attribute default_statefulness_attributes[] = {
    ID_ATTRIBUTE, HISTORY_ATTRIBUTES,
    {.name = "project_id", .type = TYPE_TEXT, FIELD(struct object, project_id), .flags = ATTRIBUTE_POST | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE,
     .help = "Of this project's groups; null: of all projects without an own setting."},
    {.name = "stateful", .type = TYPE_BOOL, FIELD(struct default_statefulness, stateful), .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND,
     .default_json = "true", .help = "Whether new groups are stateful unless they say otherwise."},
    {.name = NULL},
};

const struct schema default_statefulness_schema = {
    .kind = RESOURCE_DEFAULT_STATEFULNESS,
    .name = "security_groups_default_statefulness",
    .collection = "security_groups_default_statefulness",
    .size = sizeof(struct default_statefulness),
    .attributes = default_statefulness_attributes,
    .help = "Whether new security groups are stateful.",
};

static const struct attribute address_prefix[] = {
    {.name = "", .type = TYPE_PREFIX, .offset = 0, .size = sizeof(struct ip_prefix), .flags = ATTRIBUTE_HOST_BITS},
    {.name = NULL},
};

static const struct attribute address_group_attributes[] = {
    COMMON_ATTRIBUTES,
    {.name = "addresses", LIST(struct address_group, addresses, n_addresses, address_prefix), .maximum = ADDRESSES_MAX,
     .flags = ATTRIBUTE_POST, .help = "Its prefixes."},
    {.name = NULL},
};

const struct schema address_group_schema = {
    .kind = RESOURCE_ADDRESS_GROUP,
    .name = "address_group",
    .collection = "address_groups",
    .size = sizeof(struct address_group),
    .attributes = address_group_attributes,
    .help = "Prefixes that rules name together.",
};

int protocol_number(const char *text, uint8_t ip_version)
{
    static const struct {
        const char *name;
        uint8_t number;
    } names[] = {
        {"ah", IPPROTO_AH}, {"dccp", IPPROTO_DCCP}, {"egp", IPPROTO_EGP}, {"esp", IPPROTO_ESP}, {"gre", IPPROTO_GRE},
        {"hopopt", 0}, {"icmp", IPPROTO_ICMP}, {"icmpv6", IPPROTO_ICMPV6}, {"igmp", IPPROTO_IGMP}, {"ip", 0}, {"ipip", IPPROTO_IPIP},
        {"ipv6-encap", IPPROTO_IPV6}, {"ipv6-frag", IPPROTO_FRAGMENT}, {"ipv6-icmp", IPPROTO_ICMPV6}, {"ipv6-nonxt", IPPROTO_NONE},
        {"ipv6-opts", IPPROTO_DSTOPTS}, {"ipv6-route", IPPROTO_ROUTING}, {"ospf", 89}, {"pgm", 113}, {"rsvp", IPPROTO_RSVP},
        {"sctp", IPPROTO_SCTP}, {"tcp", IPPROTO_TCP}, {"udp", IPPROTO_UDP}, {"udplite", IPPROTO_UDPLITE}, {"vrrp", 112},
    };
    int number = -EINVAL;

    if (!text || !*text || strcasecmp(text, "any") == 0)
        return -1;
    if (isdigit((unsigned char)*text) && strlen(text) <= 3 && strspn(text, "0123456789") == strlen(text)) {
        number = atoi(text);
        if (number > 255)
            return -EINVAL;
    }
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strcasecmp(names[i].name, text) == 0)
            number = names[i].number;
    if (number == 0)
        return -1;
    return number == IPPROTO_ICMP && ip_version == 6 ? IPPROTO_ICMPV6 : number;
}

/* 0.0.0.0/0 and ::/0 say no more than no prefix does. */
static const char *remote_text(const struct security_group_rule *rule, char text[PREFIX_TEXT_SIZE])
{
    return rule->has_remote_prefix && rule->remote_prefix.length > 0 ? prefix_format(&rule->remote_prefix, text) : "";
}

const char *security_group_rule_text(const struct security_group_rule *rule, char text[RULE_TEXT_SIZE])
{
    char min[8] = "", max[8] = "", prefix[PREFIX_TEXT_SIZE];

    if (rule->has_port_min)
        snprintf(min, sizeof min, "%u", rule->port_min);
    if (rule->has_port_max)
        snprintf(max, sizeof max, "%u", rule->port_max);
    snprintf(text, RULE_TEXT_SIZE, "%s/%u/%d/%s-%s/%s%s%s%s%s", directions[rule->direction], rule->ip_version,
             protocol_number(rule->protocol, rule->ip_version), min, max, remote_text(rule, prefix),
             rule->remote_group_id[0] ? "group/" : "", rule->remote_group_id,
             rule->remote_address_group_id[0] ? "address-group/" : "", rule->remote_address_group_id);
    return text;
}
