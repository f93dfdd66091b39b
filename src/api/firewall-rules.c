/* Firewall rules: what Neutron accepts, refused with its types and words. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/firewall.h"
#include "weft/base/util.h"
#include "weft/model/resources.h"

#define REFUSE(type, field, ...) error_set_type(change->error, -EINVAL, type, field, __VA_ARGS__)

/* The policies that have it; null when there are none. */
static int write_policies(const struct request *request, const struct object *object, struct buffer *buffer)
{
    const struct replica_member *first = replica_find(request_api(request)->replica, REPLICA_FIREWALL_POLICIES_BY_RULE, object->id);
    bool bad = false;

    if (!first)
        return buffer_append_string(buffer, "null");
    REPLICA_FOREACH (member, first)
        bad = bad || buffer_append(buffer, member == first ? "[" : ",", 1) || json_write_string(buffer, member->object->id);
    return bad || buffer_append(buffer, "]", 1) ? -ENOMEM : 0;
}

/* A rule has a place in each policy; by itself it has none. */
static int write_position(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return buffer_append_string(buffer, "null");
}

static const struct computed computed[] = {
    {.name = "firewall_policy_id", .write = write_policies},
    {.name = "position", .write = write_position},
    {.name = NULL},
};

static const struct replica_member *by_name(const struct replica *replica, const char *value)
{
    return replica_by_name(replica, RESOURCE_FIREWALL_RULE, value);
}

static const struct indexed_filter indexed_filters[] = {
    {"name", by_name},
    {NULL, NULL},
};

static bool is_visible(const struct request *request, const struct object *object)
{
    return ((const struct firewall_rule *)object)->shared;
}

static void each_visible(const struct request *request, void (*visit)(const struct object *object, void *context), void *context)
{
    const struct replica *replica = request_api(request)->replica;

    REPLICA_FOREACH (rule, replica_by_project(replica, RESOURCE_FIREWALL_RULE, request_auth(request)->project_id))
        visit(rule->object, context);
    REPLICA_FOREACH (rule, replica_shared(replica, RESOURCE_FIREWALL_RULE))
        visit(rule->object, context);
}

/* "80:80" is 80. */
static int normalize_ports(char **ports)
{
    uint16_t first, last;
    char *text;

    if (!*ports || !strchr(*ports, ':') || firewall_ports_parse(*ports, &first, &last) < 0 || first != last)
        return 0;
    if (asprintf(&text, "%u", first) < 0)
        return -ENOMEM;
    free(*ports);
    *ports = text;
    return 0;
}

static int check(struct change *change)
{
    struct firewall_rule *rule = (struct firewall_rule *)change->after;
    bool has_ports = rule->source_port || rule->destination_port, is_v4 = rule->ip_version == 4;

    if (rule->ip_version == 5)
        return error_set(change->error, -EINVAL, "ip_version", "'5' is not one of 4, 6");
    if (rule->protocol == FIREWALL_ICMP && has_ports)
        return REFUSE("FirewallRuleInvalidICMPParameter", NULL, "Source, destination port are not allowed when protocol is set to ICMP.");
    if (rule->protocol == FIREWALL_ANY && has_ports)
        return REFUSE("FirewallRuleWithPortWithoutProtocolInvalid", NULL, "Source/destination port requires a protocol.");
    if ((rule->has_source && ip_is_v4(&rule->source.address) != is_v4) ||
        (rule->has_destination && ip_is_v4(&rule->destination.address) != is_v4))
        return REFUSE("FirewallIpAddressConflict", NULL, "Invalid input - IP addresses do not agree with IP Version.");
    return normalize_ports(&rule->source_port) < 0 || normalize_ports(&rule->destination_port) < 0 ? -ENOMEM : 0;
}

int firewall_require_known_policies(struct plan *plan, const struct replica *replica, const char *rule_id)
{
    size_t n = replica_count(replica, REPLICA_FIREWALL_POLICIES_BY_RULE, rule_id), i = 0;
    char **endings = calloc(n + 1, sizeof(*endings)), prefix[FIREWALL_KEY_SIZE];

    if (!endings)
        return -ENOMEM;
    REPLICA_FOREACH (member, replica_find(replica, REPLICA_FIREWALL_POLICIES_BY_RULE, rule_id))
        endings[i++] = (char *)member->object->id;
    snprintf(prefix, sizeof(prefix), "firewall/rule/%s/", rule_id);
    plan_require_only(plan, prefix, endings, n);
    free(endings);
    return 0;
}

/* Whoever has it because it is shared keeps it so.  Those that have it without may not become shared meanwhile: that touches none of its keys. */
static int check_unshared(struct change *change)
{
    const struct replica *replica = request_api(change->request)->replica;

    REPLICA_FOREACH (member, replica_find(replica, REPLICA_FIREWALL_POLICIES_BY_RULE, change->before->id)) {
        if (((const struct firewall_policy *)member->object)->shared || !streq(member->object->project_id, change->before->project_id))
            return error_set_type(change->error, -EBUSY, "FirewallRuleInUse", "shared", "Firewall rule %s is being used.", change->before->id);
        plan_guard(change->plan, member->object);
    }
    return firewall_require_known_policies(change->plan, replica, change->before->id);
}

static int create(struct change *change)
{
    int r = check(change);

    return r < 0 ? r : firewall_make_default(change->plan, change->request, change->after->project_id);
}

static int update(struct change *change)
{
    const struct firewall_rule *before = (const struct firewall_rule *)change->before, *after = (const struct firewall_rule *)change->after;
    int r = check(change);

    if (r == 0 && before->shared && !after->shared)
        r = check_unshared(change);
    if (r < 0)
        return r;
    /* Nobody has looked at the policies as they are now. */
    REPLICA_FOREACH (member, replica_find(request_api(change->request)->replica, REPLICA_FIREWALL_POLICIES_BY_RULE, before->object.id)) {
        struct firewall_policy *policy;

        if (!((const struct firewall_policy *)member->object)->audited)
            continue;
        if (!(policy = (struct firewall_policy *)plan_edit(change->plan, member->object)))
            return -ENOMEM;
        policy->audited = false;
    }
    return 0;
}

static int delete_rule(struct change *change)
{
    const struct replica *replica = request_api(change->request)->replica;

    if (replica_find(replica, REPLICA_FIREWALL_POLICIES_BY_RULE, change->before->id))
        return error_set_type(change->error, -EBUSY, "FirewallRuleInUse", NULL, "Firewall rule %s is being used.", change->before->id);
    return firewall_require_known_policies(change->plan, replica, change->before->id);
}

const struct resource firewall_rule_resource = {
    .schema = &firewall_rule_schema,
    .computed = computed,
    .indexed_filters = indexed_filters,
    .not_found = "FirewallRuleNotFound",
    .title = "Firewall rule",
    .is_visible = is_visible,
    .each_visible = each_visible,
    .create = create,
    .update = update,
    .delete = delete_rule,
};
