/* Security group rules: what Neutron accepts, refused with its types and words.
 *
 * A rule's transaction compares the revisions of its group and of whom it names, and claims what it says: two requests that add the
 * same rule cannot both succeed, and adding different rules to one group is no conflict. */
#include "weft/api/security.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "weft/base/util.h"
#include "weft/model/resources.h"

#define REFUSE(type, field, ...) error_set_type(change->error, -EINVAL, type, field, __VA_ARGS__)

static const struct security_group *group_of(const struct request *request, const struct object *object)
{
    return (const struct security_group *)replica_get(request_api(request)->replica, RESOURCE_SECURITY_GROUP,
                                                      ((const struct security_group_rule *)object)->security_group_id);
}

static int write_normalized(const struct request *request, const struct object *object, struct buffer *buffer)
{
    const struct security_group_rule *rule = (const struct security_group_rule *)object;
    char text[PREFIX_TEXT_SIZE];

    if (!rule->has_remote_prefix)
        return buffer_append_string(buffer, "null");
    return json_write_string(buffer, prefix_format(&rule->remote_prefix, text));
}

static int write_belongs_to_default(const struct request *request, const struct object *object, struct buffer *buffer)
{
    const struct security_group *group = group_of(request, object);

    return buffer_append_string(buffer, group && group->is_default ? "true" : "false");
}

static const struct computed computed[] = {
    {.name = "normalized_cidr", .filter = true, .write = write_normalized},
    {.name = "belongs_to_default_sg", .filter = true, .write = write_belongs_to_default},
    {.name = NULL},
};

static const struct indexed_filter indexed_filters[] = {
    {"security_group_id", replica_rules_by_group},
    {NULL, NULL},
};

/* The owner of the group sees all its rules. */
static bool is_visible(const struct request *request, const struct object *object)
{
    const struct security_group *group = group_of(request, object);

    return group && resource_is_own(request, &group->object);
}

static void each_visible(const struct request *request, void (*visit)(const struct object *object, void *context), void *context)
{
    const struct replica *replica = request_api(request)->replica;
    const char *project_id = request_auth(request)->project_id;

    REPLICA_FOREACH (rule, replica_by_project(replica, RESOURCE_SECURITY_GROUP_RULE, project_id))
        visit(rule->object, context);
    REPLICA_FOREACH (group, replica_by_project(replica, RESOURCE_SECURITY_GROUP, project_id))
        REPLICA_FOREACH (rule, replica_rules_by_group(replica, group->object->id))
            visit(rule->object, context);
}

/* ---- keys ---- */

const char *security_rule_key(const struct security_group_rule *rule, char key[SECURITY_KEY_SIZE])
{
    char text[RULE_TEXT_SIZE];

    snprintf(key, SECURITY_KEY_SIZE, "security-group/rule/%s/%s", rule->security_group_id, security_group_rule_text(rule, text));
    return key;
}

/* false: it names none that exists. */
static bool remote_key(const struct security_group_rule *rule, char key[SECURITY_KEY_SIZE])
{
    if (!rule->remote_group_id[0] || streq(rule->remote_group_id, DEFAULT_RULE_PARENT))
        return false;
    snprintf(key, SECURITY_KEY_SIZE, "security-group/remote/%s/%s", rule->remote_group_id, rule->object.id);
    return true;
}

static bool remote_address_key(const struct security_group_rule *rule, char key[SECURITY_KEY_SIZE])
{
    if (!rule->remote_address_group_id[0])
        return false;
    snprintf(key, SECURITY_KEY_SIZE, "address-group/rule/%s/%s", rule->remote_address_group_id, rule->object.id);
    return true;
}

void security_remote_put(struct plan *plan, const struct security_group_rule *rule)
{
    char key[SECURITY_KEY_SIZE];

    if (remote_key(rule, key))
        plan_put(plan, key, "");
    if (remote_address_key(rule, key))
        plan_put(plan, key, "");
}

void security_remote_remove(struct plan *plan, const struct security_group_rule *rule)
{
    char key[SECURITY_KEY_SIZE];

    if (remote_key(rule, key))
        plan_remove(plan, key);
    if (remote_address_key(rule, key))
        plan_remove(plan, key);
}

void security_rule_claim(struct plan *plan, const struct security_group_rule *rule)
{
    char key[SECURITY_KEY_SIZE];

    plan_claim(plan, security_rule_key(rule, key), rule->object.id);
    security_remote_put(plan, rule);
}

void security_rule_plan_delete(struct plan *plan, const struct security_group_rule *rule)
{
    char key[SECURITY_KEY_SIZE];

    plan_remove(plan, security_rule_key(rule, key));
    security_remote_remove(plan, rule);
    plan_delete(plan, &rule->object);
}

/* ---- checks ---- */

/* What a person wrote, for a message. */
static const char *written(const json_t *value, char *text, size_t size)
{
    if (!json_is_string(value))
        return json_brief(value, text, size);
    string_copy(text, size, json_string_value(value));
    return text;
}

int security_rule_refuse(const char *attribute, const json_t *value, struct error *error)
{
    char text[120];

    if (json_is_null(value))
        return 0;
    if (streq(attribute, "port_range_min") || streq(attribute, "port_range_max"))
        return error_set_type(error, -EINVAL, "SecurityGroupInvalidPortValue", attribute, "Invalid value for port %s",
                              written(value, text, sizeof text));
    if (streq(attribute, "remote_ip_prefix"))
        return error_set_type(error, -EINVAL, "InvalidCIDR", attribute, "Invalid CIDR %s given as IP prefix.",
                              written(value, text, sizeof text));
    if (streq(attribute, "security_group_id") || streq(attribute, "remote_group_id"))
        return error_set_type(error, -ENOENT, "SecurityGroupNotFound", attribute, "Security group %s does not exist",
                              written(value, text, sizeof text));
    if (streq(attribute, "remote_address_group_id"))
        return error_set_type(error, -ENOENT, "AddressGroupNotFound", attribute, "Address group %s could not be found.",
                              written(value, text, sizeof text));
    return 0;
}

/* ICMP has one name, and one number, with IPv6. */
static int use_icmpv6(char **protocol)
{
    const char *name = streq(*protocol, "1") ? "58" : streq(*protocol, "icmp") || streq(*protocol, "icmpv6") ? "ipv6-icmp" : NULL;

    if (!name)
        return 0;
    free(*protocol);
    *protocol = strdup(name);
    return *protocol ? 0 : -ENOMEM;
}

/* In lower case, and with IPv6 the one name (or number) that ICMP has there, as Neutron does. */
static int check_protocol(struct change *change, struct security_group_rule *rule)
{
    static const char *const v6_only[] = {"ipv6-encap", "ipv6-frag", "ipv6-icmp", "icmpv6", "ipv6-nonxt", "ipv6-opts", "ipv6-route",
                                          "41", "44", "58", "59", "60", "43"};

    if (!rule->protocol)
        return 0;
    if (protocol_number(rule->protocol, rule->ip_version) == -EINVAL)
        return REFUSE("SecurityGroupRuleInvalidProtocol", "protocol",
                      "Security group rule protocol %s not supported. Only protocol values any, ah, dccp, egp, esp, gre, hopopt, icmp, "
                      "icmpv6, igmp, ip, ipip, ipv6-encap, ipv6-frag, ipv6-icmp, ipv6-nonxt, ipv6-opts, ipv6-route, ospf, pgm, rsvp, sctp, "
                      "tcp, udp, udplite, vrrp and integer representations [0 to 255] are supported.", rule->protocol);
    for (char *next = rule->protocol; *next; next++)
        *next = (char)tolower((unsigned char)*next);
    for (size_t i = 0; rule->ip_version == 4 && i < ARRAY_SIZE(v6_only); i++)
        if (streq(rule->protocol, v6_only[i]))
            return REFUSE("SecurityGroupEthertypeConflictWithProtocol", "protocol", "Invalid ethertype IPv4 for protocol %s.", rule->protocol);
    return rule->ip_version == 6 ? use_icmpv6(&rule->protocol) : 0;
}

static int check_icmp(struct change *change, const struct security_group_rule *rule)
{
    if (rule->has_port_min && rule->port_min > 255)
        return REFUSE("SecurityGroupInvalidIcmpValue", "port_range_min",
                      "Invalid value for ICMP type (port_range_min) %u. It must be 0 to 255.", rule->port_min);
    if (rule->has_port_max && rule->port_max > 255)
        return REFUSE("SecurityGroupInvalidIcmpValue", "port_range_max",
                      "Invalid value for ICMP code (port_range_max) %u. It must be 0 to 255.", rule->port_max);
    if (rule->has_port_max && !rule->has_port_min)
        return REFUSE("SecurityGroupMissingIcmpType", "port_range_max",
                      "ICMP code (port-range-max) %u is provided but ICMP type (port-range-min) is missing.", rule->port_max);
    return 0;
}

static int check_ports(struct change *change, const struct security_group_rule *rule)
{
    int protocol = protocol_number(rule->protocol, rule->ip_version);

    if (!rule->has_port_min && !rule->has_port_max)
        return 0;
    switch (protocol) {
    case -1:
        return REFUSE("SecurityGroupProtocolRequiredWithPorts", "protocol", "Must also specify protocol if port range is given.");
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
        return check_icmp(change, rule);
    case IPPROTO_TCP:
    case IPPROTO_UDP:
    case IPPROTO_UDPLITE:
    case IPPROTO_SCTP:
    case IPPROTO_DCCP:
        if ((rule->has_port_min && rule->port_min == 0) || (rule->has_port_max && rule->port_max == 0))
            return REFUSE("SecurityGroupInvalidPortValue", rule->has_port_min && rule->port_min == 0 ? "port_range_min" : "port_range_max",
                          "Invalid value for port 0");
        if (!rule->has_port_min || !rule->has_port_max || rule->port_min > rule->port_max)
            return REFUSE("SecurityGroupInvalidPortRange", "port_range_min",
                          "For TCP/UDP protocols, port_range_min must be <= port_range_max");
        return 0;
    default:
        return REFUSE("SecurityGroupInvalidProtocolForPort", "protocol",
                      "Invalid protocol %d for port range, only supported for TCP, UDP, UDPLITE, SCTP and DCCP.", protocol);
    }
}

static int check_remote(struct change *change, const struct security_group_rule *rule)
{
    const struct security_group *group;
    const struct object *addresses;
    char text[PREFIX_TEXT_SIZE];

    if (rule->has_remote_prefix && ip_is_v4(&rule->remote_prefix.address) != (rule->ip_version == 4))
        return REFUSE("SecurityGroupRuleParameterConflict", "remote_ip_prefix", "Conflicting value ethertype IPv%u for CIDR %s",
                      rule->ip_version, prefix_format(&rule->remote_prefix, text));
    if (rule->has_remote_prefix + (rule->remote_group_id[0] != '\0') + (rule->remote_address_group_id[0] != '\0') > 1)
        return REFUSE("SecurityGroupMultipleRemoteEntites", NULL,
                      "Only one of remote_ip_prefix or remote_group_id or remote_address_group_id may be provided.");
    if (rule->remote_group_id[0] && !streq(rule->remote_group_id, DEFAULT_RULE_PARENT)) {
        if (!(group = security_find_group(change->request, change->plan, rule->remote_group_id, change->error)))
            return -ENOENT;
        plan_guard(change->plan, &group->object);
    }
    if (rule->remote_address_group_id[0]) {
        if (!(addresses = resource_find(&address_group_resource, change->request, rule->remote_address_group_id, change->error)))
            return -ENOENT;
        plan_guard(change->plan, addresses);
    }
    return 0;
}

int security_rule_check(struct change *change, struct security_group_rule *rule)
{
    int r;

    if ((r = check_protocol(change, rule)) < 0 || (r = check_ports(change, rule)) < 0)
        return r;
    return check_remote(change, rule);
}

/* Neutron takes rules together only for one group of one project. */
static int check_same_group(struct change *change, const struct security_group_rule *rule)
{
    const struct security_group_rule *first =
        (const struct security_group_rule *)plan_created(change->plan, RESOURCE_SECURITY_GROUP_RULE, NULL);

    if (first == rule)
        return 0;
    if (!streq(first->security_group_id, rule->security_group_id))
        return REFUSE("SecurityGroupNotSingleGroupRules", "security_group_id", "Only allowed to update rules for one security profile at a time");
    if (!streq(first->object.project_id, rule->object.project_id))
        return REFUSE("SecurityGroupRulesNotSingleTenant", "project_id", "Multiple tenant_ids in bulk security group rule create not allowed");
    return 0;
}

static int check_duplicate(struct change *change, const struct security_group_rule *rule)
{
    char text[UUID_TEXT_SIZE + RULE_TEXT_SIZE], rest[RULE_TEXT_SIZE], key[SECURITY_KEY_SIZE];
    const struct replica_member *other;

    if (plan_claims(change->plan, security_rule_key(rule, key)))
        return error_set_type(change->error, -EEXIST, "DuplicateSecurityGroupRuleInPost", NULL, "Duplicate Security Group Rule in POST.");
    snprintf(text, sizeof text, "%s/%s", rule->security_group_id, security_group_rule_text(rule, rest));
    other = replica_find(request_api(change->request)->replica, REPLICA_RULE_BY_TEXT, text);
    if (other)
        return error_set_type(change->error, -EEXIST, "SecurityGroupRuleExists", NULL,
                              "Security group rule already exists. Rule id is %s.", other->object->id);
    return 0;
}

static int create(struct change *change)
{
    struct security_group_rule *rule = (struct security_group_rule *)change->after;
    const struct security_group *group;
    int r;

    if ((r = security_rule_check(change, rule)) < 0)
        return r;
    if (!(group = security_find_group(change->request, change->plan, rule->security_group_id, change->error)))
        return -ENOENT;
    if (!change_gives(change, "project_id"))
        string_copy(rule->object.project_id, sizeof rule->object.project_id, group->object.project_id);
    if ((r = check_same_group(change, rule)) < 0 || (r = check_duplicate(change, rule)) < 0)
        return r;
    plan_guard(change->plan, &group->object);
    security_rule_claim(change->plan, rule);
    return 0;
}

static int delete_rule(struct change *change)
{
    security_rule_plan_delete(change->plan, (const struct security_group_rule *)change->before);
    return 0;
}

const struct resource security_group_rule_resource = {
    .schema = &security_group_rule_schema,
    .computed = computed,
    .indexed_filters = indexed_filters,
    .not_found = "SecurityGroupRuleNotFound",
    .title = "Security group rule",
    .is_visible = is_visible,
    .may_delete = is_visible,
    .each_visible = each_visible,
    .create = create,
    .refuse = security_rule_refuse,
    .delete = delete_rule,
};
