#include "weft/cli/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/address.h"
#include "weft/base/buffer.h"
#include "weft/base/cleanup.h"
#include "weft/base/util.h"
#include "weft/cli/resource.h"

/* "subnet=a,ip=b" -> one part a call; the value may not contain a comma. */
struct part {
    char *key, *value;
};

static bool next_part(char **rest, struct part *part)
{
    char *equals;

    part->key = strsep(rest, ",");
    if (!part->key)
        return false;
    equals = strchr(part->key, '=');
    part->value = NULL;
    if (equals) {
        *equals = '\0';
        part->value = equals + 1;
    }
    return true;
}

static int wrong(struct call *call, const struct flag_value *value, const char *expected)
{
    return error_set(&call->error, -EINVAL, value->flag->name, "--%s: '%s' is not %s", value->flag->name, value->text,
                     expected);
}

static int is_address(const char *text)
{
    struct ip_address address;

    return ip_parse(text, &address) == 0;
}

static int encode_reference(struct call *call, const struct flag_value *value, const struct resource *resource,
                            const char *text, json_t **ret)
{
    _cleanup_(json_decrefp) json_t *found = NULL;
    struct error cause = {0};
    int r;

    /* "None" cannot be looked up in Identity by a user who is no administrator; an id is taken as it is then. */
    r = resource_find(call->session, resource, text, &found, &cause);
    if (r == -EACCES && resource == &resource_project) {
        *ret = json_string(text);
        return *ret ? 0 : -ENOMEM;
    }
    if (r < 0)
        return error_set_type(&call->error, r, cause.type, value->flag->name, "--%s: %s", value->flag->name,
                              cause.message);
    *ret = json_string(resource_id(found));
    return *ret ? 0 : -ENOMEM;
}

static int encode_pool(struct call *call, const struct flag_value *value, json_t **ret)
{
    _cleanup_(freep) char *copy = strdup(value->text);
    char *dash = copy ? strchr(copy, '-') : NULL;

    if (!copy)
        return -ENOMEM;
    if (!dash)
        return wrong(call, value, "FIRST-LAST");
    *dash = '\0';
    if (!is_address(copy) || !is_address(dash + 1))
        return wrong(call, value, "FIRST-LAST with two IP addresses");
    *ret = json_pack("{s:s,s:s}", "start", copy, "end", dash + 1);
    return 0;
}

static int encode_host_route(struct call *call, const struct flag_value *value, json_t **ret)
{
    _cleanup_(freep) char *copy = strdup(value->text);
    char *equals = copy ? strchr(copy, '=') : NULL;
    struct ip_prefix prefix;

    if (!copy)
        return -ENOMEM;
    if (!equals)
        return wrong(call, value, "DESTINATION=NEXTHOP");
    *equals = '\0';
    if (prefix_parse(copy, &prefix) < 0 || !is_address(equals + 1))
        return wrong(call, value, "DESTINATION=NEXTHOP, a prefix and an IP address");
    *ret = json_pack("{s:s,s:s}", "destination", copy, "nexthop", equals + 1);
    return 0;
}

static int encode_fixed_ip(struct call *call, const struct flag_value *value, json_t **ret)
{
    _cleanup_(freep) char *copy = strdup(value->text);
    _cleanup_(json_decrefp) json_t *fixed_ip = json_object();
    char *rest = copy;
    struct part part;
    int r;

    if (!copy || !fixed_ip)
        return -ENOMEM;
    while (next_part(&rest, &part)) {
        json_t *id;

        if (part.value && streq(part.key, "subnet")) {
            r = encode_reference(call, value, &resource_subnet, part.value, &id);
            if (r < 0)
                return r;
            json_object_set_new(fixed_ip, "subnet_id", id);
        } else if ((!part.value && is_address(part.key)) || (part.value && streq(part.key, "ip"))) {
            const char *address = part.value ? part.value : part.key;

            if (!is_address(address))
                return wrong(call, value, "an IP address");
            json_object_set_new(fixed_ip, "ip_address", json_string(address));
        } else {
            return wrong(call, value, "ADDRESS or subnet=SUBNET[,ip=ADDRESS]");
        }
    }
    *ret = TAKE_PTR(fixed_ip);
    return 0;
}

static int encode_address_pair(struct call *call, const struct flag_value *value, json_t **ret)
{
    _cleanup_(freep) char *copy = strdup(value->text);
    char *equals = copy ? strchr(copy, '=') : NULL;
    struct ip_prefix prefix;
    struct mac_address mac;

    if (!copy)
        return -ENOMEM;
    if (equals)
        *equals++ = '\0';
    if (prefix_parse_host(copy, &prefix) < 0 || (equals && mac_parse(equals, &mac) < 0))
        return wrong(call, value, "PREFIX or PREFIX=MAC");
    *ret = json_pack("{s:s,s:s*}", "ip_address", copy, "mac_address", equals);
    return 0;
}

static int encode_dhcp_option(struct call *call, const struct flag_value *value, json_t **ret)
{
    _cleanup_(freep) char *copy = strdup(value->text);
    char *equals = copy ? strchr(copy, '=') : NULL, *version;
    uint64_t ip_version = 4;

    if (!copy)
        return -ENOMEM;
    if (!equals || equals == copy)
        return wrong(call, value, "NAME=VALUE[,ip-version=4|6]");
    *equals++ = '\0';
    version = strstr(equals, ",ip-version=");
    if (version) {
        *version = '\0';
        if (parse_u64(version + strlen(",ip-version="), 4, 6, &ip_version) < 0 || ip_version == 5)
            return wrong(call, value, "NAME=VALUE[,ip-version=4|6]");
    }
    *ret = json_pack("{s:s,s:s,s:I}", "opt_name", copy, "opt_value", equals, "ip_version", (json_int_t)ip_version);
    return 0;
}

static bool is_list(enum encoding encoding)
{
    switch (encoding) {
    case ENCODE_EMPTY_LIST:
    case ENCODE_STRING_ITEM:
    case ENCODE_SECURITY_GROUP_ITEM:
    case ENCODE_PORT_ITEM:
    case ENCODE_FIREWALL_RULE_ITEM:
    case ENCODE_POOL:
    case ENCODE_HOST_ROUTE:
    case ENCODE_FIXED_IP:
    case ENCODE_FIXED_IP_FILTER:
    case ENCODE_ADDRESS_PAIR:
    case ENCODE_DHCP_OPTION:
        return true;
    default:
        return false;
    }
}

/* One flag's value as JSON; of a list, one item. */
static int encode(struct call *call, const struct flag_value *value, json_t **ret)
{
    uint64_t number;

    switch (value->flag->encoding) {
    case ENCODE_STRING:
    case ENCODE_STRING_ITEM:
        *ret = json_string(value->text);
        return *ret ? 0 : wrong(call, value, "UTF-8");
    case ENCODE_FIXED_IP_FILTER:
        if (!is_address(value->text))
            return wrong(call, value, "an IP address");
        *ret = json_sprintf("ip_address=%s", value->text);
        return 0;
    case ENCODE_STRING_OR_NULL:
        *ret = streq(value->text, "none") ? json_null() : json_string(value->text);
        return *ret ? 0 : wrong(call, value, "UTF-8");
    case ENCODE_NUMBER: {
        bool negative = value->text[0] == '-';

        if (parse_u64(value->text + negative, 0, INT64_MAX, &number) < 0)
            return wrong(call, value, "a number");
        *ret = json_integer(negative ? -(json_int_t)number : (json_int_t)number);
        return 0;
    }
    case ENCODE_NULL:
        *ret = json_null();
        return 0;
    case ENCODE_TRUE:
        *ret = json_true();
        return 0;
    case ENCODE_FALSE:
        *ret = json_false();
        return 0;
    case ENCODE_BOOLEAN:
        if (!streq(value->text, "true") && !streq(value->text, "false"))
            return wrong(call, value, "true or false");
        *ret = json_boolean(streq(value->text, "true"));
        return 0;
    case ENCODE_NETWORK:
        return encode_reference(call, value, &resource_network, value->text, ret);
    case ENCODE_SUBNET:
        return encode_reference(call, value, &resource_subnet, value->text, ret);
    case ENCODE_PORT:
        return encode_reference(call, value, &resource_port, value->text, ret);
    case ENCODE_ROUTER:
        return encode_reference(call, value, &resource_router, value->text, ret);
    case ENCODE_PROJECT:
        return encode_reference(call, value, &resource_project, value->text, ret);
    case ENCODE_SECURITY_GROUP:
    case ENCODE_SECURITY_GROUP_ITEM:
        return encode_reference(call, value, &resource_security_group, value->text, ret);
    case ENCODE_ADDRESS_GROUP:
        return encode_reference(call, value, &resource_address_group, value->text, ret);
    case ENCODE_ADDRESS_SCOPE:
        if (!streq(value->text, "none"))
            return encode_reference(call, value, &resource_address_scope, value->text, ret);
        *ret = json_null();
        return 0;
    case ENCODE_SUBNET_POOL:
        return encode_reference(call, value, &resource_subnet_pool, value->text, ret);
    case ENCODE_PORT_ITEM:
        return encode_reference(call, value, &resource_port, value->text, ret);
    case ENCODE_FIREWALL_RULE_ITEM:
        return encode_reference(call, value, &resource_firewall_rule, value->text, ret);
    case ENCODE_FIREWALL_GROUP:
        return encode_reference(call, value, &resource_firewall_group, value->text, ret);
    case ENCODE_FIREWALL_POLICY:
        return encode_reference(call, value, &resource_firewall_policy, value->text, ret);
    case ENCODE_LOAD_BALANCER:
        return encode_reference(call, value, &resource_load_balancer, value->text, ret);
    case ENCODE_LISTENER:
        return encode_reference(call, value, &resource_listener, value->text, ret);
    case ENCODE_LB_POOL:
        return encode_reference(call, value, &resource_pool, value->text, ret);
    case ENCODE_POOL:
        return encode_pool(call, value, ret);
    case ENCODE_HOST_ROUTE:
        return encode_host_route(call, value, ret);
    case ENCODE_FIXED_IP:
        return encode_fixed_ip(call, value, ret);
    case ENCODE_ADDRESS_PAIR:
        return encode_address_pair(call, value, ret);
    case ENCODE_DHCP_OPTION:
        return encode_dhcp_option(call, value, ret);
    case ENCODE_EMPTY_LIST:
    case ENCODE_NONE:
        break;
    }
    return -EINVAL;
}

/* The object that has the attribute, and the attribute's name in it.  NULL when out of memory. */
static json_t *holder(json_t *object, const char *attribute, const char **ret_name)
{
    const char *dot = strchr(attribute, '.');
    _cleanup_(freep) char *outer = NULL;
    json_t *inner;

    *ret_name = attribute;
    if (!dot)
        return object;
    *ret_name = dot + 1;
    outer = strndup(attribute, (size_t)(dot - attribute));
    if (!outer)
        return NULL;
    inner = json_object_get(object, outer);
    if (json_is_object(inner))
        return inner;
    inner = json_object();
    json_object_set_new(object, outer, inner);
    return inner;
}

int request_attributes(struct call *call, json_t *object)
{
    for (size_t i = 0; i < call->n_values; i++) {
        const struct flag_value *value = &call->values[i];
        const struct flag *flag = value->flag;
        json_t *encoded, *list, *at;
        const char *name;
        int r;

        if (!flag->attribute)
            continue;
        if (!(at = holder(object, flag->attribute, &name)))
            return -ENOMEM;
        if (flag->encoding == ENCODE_EMPTY_LIST) {
            json_object_set_new(at, name, json_array());
            continue;
        }
        r = encode(call, value, &encoded);
        if (r < 0)
            return r;
        if (!encoded)
            return -ENOMEM;
        if (!is_list(flag->encoding)) {
            json_object_set_new(at, name, encoded);
            continue;
        }
        list = json_object_get(at, name);
        if (!json_is_array(list)) {
            list = json_array();
            json_object_set_new(at, name, list);
        }
        json_array_append_new(list, encoded);
    }
    return 0;
}

static int append_parameter(struct call *call, struct buffer *query, const char *name, const json_t *value)
{
    _cleanup_(freep) char *text = output_cell(value, ","), *name_escaped = session_escape(call->session, name);
    _cleanup_(freep) char *escaped = text ? session_escape(call->session, text) : NULL;

    if (!name_escaped || !escaped)
        return -ENOMEM;
    return buffer_printf(query, "%s%s=%s", query->size ? "&" : "", name_escaped, escaped);
}

int request_query_string(struct call *call, char **ret)
{
    _cleanup_(json_decrefp) json_t *filters = json_object();
    _cleanup_(buffer_clear) struct buffer query = {0};
    const char *name;
    json_t *value;
    int r;

    if (!filters)
        return -ENOMEM;
    r = request_attributes(call, filters);
    if (r < 0)
        return r;
    json_object_foreach (filters, name, value) {
        const json_t *item;
        size_t i;

        if (!json_is_array(value)) {
            r = append_parameter(call, &query, name, value);
            if (r < 0)
                return r;
            continue;
        }
        json_array_foreach (value, i, item) {
            r = append_parameter(call, &query, name, item);
            if (r < 0)
                return r;
        }
    }
    if (!buffer_string(&query))
        return -ENOMEM;
    *ret = TAKE_PTR(query.data);
    return 0;
}
