#include "weft/cli/security.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/address.h"
#include "weft/base/util.h"
#include "weft/cli/output.h"
#include "weft/cli/request.h"
#include "weft/cli/resource.h"
#include "weft/cli/text.h"

/* "80" or "8000-8080" into both ends of the range. */
static int set_ports(struct call *call, const char *text, json_t *attributes)
{
    _cleanup_(freep) char *copy = strdup(text);
    char *dash = copy ? strchr(copy, '-') : NULL;
    uint64_t first, last;

    if (!copy)
        return -ENOMEM;
    if (dash)
        *dash = '\0';
    if (parse_u64(copy, 1, 65535, &first) < 0 || (dash && parse_u64(dash + 1, 1, 65535, &last) < 0))
        return error_set(&call->error, -EINVAL, "port", "--port: '%s' is neither a port (1 to 65535) nor FIRST-LAST", text);
    json_object_set_new(attributes, "port_range_min", json_integer((json_int_t)first));
    json_object_set_new(attributes, "port_range_max", json_integer((json_int_t)(dash ? last : first)));
    return 0;
}

/* What the flags leave open: to the workload; the family of the prefix. */
int security_complete_rule(struct call *call, json_t *attributes)
{
    const char *ports = call_flag(call, "port"), *remote = call_flag(call, "remote");
    struct ip_prefix prefix;

    if (!json_object_get(attributes, "direction"))
        json_object_set_new(attributes, "direction", json_string("ingress"));
    if (remote && prefix_parse_host(remote, &prefix) < 0)
        return error_set(&call->error, -EINVAL, "remote", "--remote: '%s' is not a prefix such as 10.0.0.0/24", remote);
    if (remote && !json_object_get(attributes, "ethertype"))
        json_object_set_new(attributes, "ethertype", json_string(ip_is_v4(&prefix.address) ? "IPv4" : "IPv6"));
    return ports ? set_ports(call, ports, attributes) : 0;
}

int run_security_rule_create(struct call *call)
{
    _cleanup_(json_decrefp) json_t *attributes = json_object(), *group = NULL, *body = NULL, *answer = NULL;
    const json_t *rule;
    int r;

    if (!attributes)
        return -ENOMEM;
    r = request_attributes(call, attributes);
    if (r >= 0)
        r = security_complete_rule(call, attributes);
    if (r >= 0)
        r = resource_find(call->session, &resource_security_group, call_argument(call, 0), &group, &call->error);
    if (r < 0)
        return r;
    json_object_set_new(attributes, "security_group_id", json_string(resource_id(group)));
    body = json_pack("{s:O}", resource_security_group_rule.name, attributes);
    r = body ? session_request(call->session, SERVICE_NETWORK, "POST", "/security-group-rules", body, &answer, &call->error) : -ENOMEM;
    if (r < 0)
        return r;
    rule = json_object_get(answer, resource_security_group_rule.name);
    return rule ? output_object(call, rule) : error_set(&call->error, -EREMOTEIO, "rule", "the API's answer has no rule");
}

int run_security_rule_list(struct call *call)
{
    const char *name = call_argument(call, 0);
    _cleanup_(json_decrefp) json_t *group = NULL, *rules = NULL;
    _cleanup_(freep) char *filters = NULL, *query = NULL;
    int r = request_query_string(call, &filters);

    if (r >= 0 && name)
        r = resource_find(call->session, &resource_security_group, name, &group, &call->error);
    if (r < 0)
        return r;
    if (group && text_format(&query, "security_group_id=%s%s%s", resource_id(group), *filters ? "&" : "", filters) < 0)
        return -ENOMEM;
    r = resource_list(call->session, &resource_security_group_rule, query ? query : filters, &rules, &call->error);
    return r < 0 ? r : output_list(call, rules, resource_security_group_rule.columns);
}

static int change_addresses(struct call *call, const char *action)
{
    _cleanup_(json_decrefp) json_t *group = NULL, *body = NULL, *answer = NULL, *addresses = json_array();
    _cleanup_(freep) char *path = NULL;
    const json_t *changed;
    int r;

    if (!addresses)
        return -ENOMEM;
    for (size_t i = 1; i < call->n_arguments; i++)
        json_array_append_new(addresses, json_string(call->arguments[i]));
    r = resource_find(call->session, &resource_address_group, call_argument(call, 0), &group, &call->error);
    if (r < 0)
        return r;
    body = json_pack("{s:O}", "addresses", addresses);
    if (!body || text_format(&path, "/address-groups/%s/%s", resource_id(group), action) < 0)
        return -ENOMEM;
    r = session_request(call->session, SERVICE_NETWORK, "PUT", path, body, &answer, &call->error);
    if (r < 0)
        return r;
    changed = json_object_get(answer, resource_address_group.name);
    return changed ? output_object(call, changed) : error_set(&call->error, -EREMOTEIO, "address_group", "the API's answer has no address group");
}

int run_address_group_add(struct call *call)
{
    return change_addresses(call, "add_addresses");
}

int run_address_group_remove(struct call *call)
{
    return change_addresses(call, "remove_addresses");
}
