/* The resources' tables: paths and the columns of a list. */
#include <string.h>

#include "weft/cli/resource.h"

#include <errno.h>

#include "weft/base/address.h"
#include "weft/base/cleanup.h"
#include "weft/base/util.h"
#include "weft/cli/security.h"

static const struct column network_columns[] = {
    {"id", "ID"}, {"name", "NAME"}, {"status", "STATUS"}, {"mtu", "MTU"}, {"shared", "SHARED"}, {"subnets", "SUBNETS"},
    {NULL, NULL},
};
const struct resource resource_network = {
    "network", "networks", SERVICE_NETWORK, network_columns, "PUT", true,
};

static const struct column subnet_columns[] = {
    {"id", "ID"}, {"name", "NAME"}, {"cidr", "CIDR"}, {"gateway_ip", "GATEWAY"}, {"enable_dhcp", "DHCP"},
    {"network_id", "NETWORK"}, {NULL, NULL},
};

/* That of the pool that --subnet-pool names. */
static int pool_ip_version(struct call *call, const char *id, json_int_t *ret)
{
    _cleanup_(json_decrefp) json_t *pool = NULL;
    int r = resource_find(call->session, &resource_subnet_pool, id, &pool, &call->error);

    if (r >= 0)
        *ret = json_integer_value(json_object_get(pool, "ip_version"));
    return r;
}

/* The family follows from the prefix or the pool; --ipv6-mode is both modes. */
static int complete_subnet(struct call *call, json_t *attributes)
{
    const char *mode = call_flag(call, "ipv6-mode"), *cidr = resource_string(attributes, "cidr");
    struct ip_prefix prefix;

    if (!json_object_get(attributes, "ip_version") && *cidr) {
        if (prefix_parse_host(cidr, &prefix) < 0)
            return error_set(&call->error, -EINVAL, "cidr", "--cidr: '%s' is not a prefix such as 10.0.0.0/24", cidr);
        json_object_set_new(attributes, "ip_version", json_integer(ip_is_v4(&prefix.address) ? 4 : 6));
    }
    if (!json_object_get(attributes, "ip_version")) {
        const char *pool = resource_string(attributes, "subnetpool_id");
        json_int_t version = 4;
        int r = *pool ? pool_ip_version(call, pool, &version) : 0;

        if (r < 0)
            return r;
        json_object_set_new(attributes, "ip_version", json_integer(version));
    }
    if (mode) {
        json_object_set_new(attributes, "ipv6_address_mode", json_string(mode));
        json_object_set_new(attributes, "ipv6_ra_mode", json_string(mode));
    }
    return 0;
}

const struct resource resource_subnet = {
    "subnet", "subnets", SERVICE_NETWORK, subnet_columns, "PUT", true, complete_subnet,
};

static const struct column port_columns[] = {
    {"id", "ID"}, {"name", "NAME"}, {"mac_address", "MAC"}, {"fixed_ips", "ADDRESSES"}, {"status", "STATUS"},
    {"binding:host_id", "HOST"}, {NULL, NULL},
};
const struct resource resource_port = {
    "port", "ports", SERVICE_NETWORK, port_columns, "PUT", true,
};

static const struct column router_columns[] = {
    {"id", "ID"}, {"name", "NAME"}, {"status", "STATUS"}, {"admin_state_up", "UP"}, {"external_gateway_info", "GATEWAY"}, {NULL, NULL},
};

/* A gateway is replaced as a whole: what is not given of it stays by being said again. */
static int complete_router_change(struct call *call, const json_t *before, json_t *changes)
{
    json_t *info = json_object_get(changes, "external_gateway_info");
    const json_t *old = json_object_get(before, "external_gateway_info");

    if (!json_is_object(info) || json_object_get(info, "network_id"))
        return 0;
    if (!json_is_object(old))
        return error_set(&call->error, -EINVAL, "external-network", "router '%s' has no external network yet: use --external-network",
                         resource_string(before, "name"));
    return json_object_set(info, "network_id", json_object_get(old, "network_id")) < 0 ? -ENOMEM : 0;
}

const struct resource resource_router = {
    "router", "routers", SERVICE_NETWORK, router_columns, "PUT", true, .complete_change = complete_router_change,
};

static const struct column floating_ip_columns[] = {
    {"id", "ID"}, {"floating_ip_address", "ADDRESS"}, {"status", "STATUS"}, {"fixed_ip_address", "LEADS TO"}, {"port_id", "PORT"},
    {NULL, NULL},
};
const struct resource resource_floating_ip = {
    "floatingip", "floatingips", SERVICE_NETWORK, floating_ip_columns, "PUT", true, .name_attribute = "floating_ip_address",
};

static const struct column host_columns[] = {
    {"id", "ID"}, {"name", "NAME"}, {"state", "STATE"}, {"tunnel_address", "TUNNEL ADDRESS"}, {"underlay_mtu", "MTU"},
    {"version", "VERSION"}, {NULL, NULL},
};
const struct resource resource_host = {
    "host", "hosts", SERVICE_WEFT, host_columns, "PUT", true,
};

static const struct column project_columns[] = {
    {"id", "ID"}, {"name", "NAME"}, {"enabled", "ENABLED"}, {"description", "DESCRIPTION"}, {NULL, NULL},
};
const struct resource resource_project = {
    "project", "projects", SERVICE_IDENTITY, project_columns, "PATCH", false,
};

static const struct column user_columns[] = {
    {"id", "ID"}, {"name", "NAME"}, {"enabled", "ENABLED"}, {NULL, NULL},
};
const struct resource resource_user = {
    "user", "users", SERVICE_IDENTITY, user_columns, "PATCH", false,
};

static const struct column role_columns[] = {{"id", "ID"}, {"name", "NAME"}, {NULL, NULL}};
const struct resource resource_role = {
    "role", "roles", SERVICE_IDENTITY, role_columns, "PATCH", false,
};

static const struct column security_group_columns[] = {
    {"id", "ID"}, {"name", "NAME"}, {"description", "DESCRIPTION"}, {"stateful", "STATEFUL"}, {"project_id", "PROJECT"}, {NULL, NULL},
};
const struct resource resource_security_group = {
    "security_group", "security_groups", SERVICE_NETWORK, security_group_columns, "PUT", true, .path = "security-groups",
};

static const struct column security_group_rule_columns[] = {
    {"id", "ID"}, {"direction", "DIRECTION"}, {"ethertype", "ETHERTYPE"}, {"protocol", "PROTOCOL"}, {"port_range_min", "FROM"},
    {"port_range_max", "TO"}, {"remote_ip_prefix", "REMOTE PREFIX"}, {"remote_group_id", "REMOTE GROUP"},
    {"remote_address_group_id", "REMOTE ADDRESS GROUP"}, {"security_group_id", "SECURITY GROUP"}, {NULL, NULL},
};
const struct resource resource_security_group_rule = {
    "security_group_rule", "security_group_rules", SERVICE_NETWORK, security_group_rule_columns, "PUT", true,
    .path = "security-group-rules", .is_nameless = true,
};

static const struct column log_columns[] = {
    {"id", "ID"}, {"name", "NAME"}, {"enabled", "ENABLED"}, {"event", "EVENT"}, {"resource_id", "SECURITY GROUP"}, {"target_id", "PORT"},
    {"project_id", "PROJECT"}, {NULL, NULL},
};
static int complete_log(struct call *call, json_t *attributes)
{
    if (!json_object_get(attributes, "resource_type"))
        json_object_set_new(attributes, "resource_type", json_string("security_group"));
    return 0;
}
const struct resource resource_log = {
    "log", "logs", SERVICE_NETWORK, log_columns, "PUT", true, complete_log, .path = "log/logs",
};

static const struct column address_group_columns[] = {
    {"id", "ID"}, {"name", "NAME"}, {"addresses", "ADDRESSES"}, {"description", "DESCRIPTION"}, {NULL, NULL},
};
const struct resource resource_address_group = {
    "address_group", "address_groups", SERVICE_NETWORK, address_group_columns, "PUT", true, .path = "address-groups",
};

static const struct column address_scope_columns[] = {
    {"id", "ID"}, {"name", "NAME"}, {"ip_version", "IP VERSION"}, {"shared", "SHARED"}, {"project_id", "PROJECT"}, {NULL, NULL},
};
const struct resource resource_address_scope = {
    "address_scope", "address_scopes", SERVICE_NETWORK, address_scope_columns, "PUT", true, .path = "address-scopes",
};

static const struct column subnet_pool_columns[] = {
    {"id", "ID"}, {"name", "NAME"}, {"prefixes", "PREFIXES"}, {"default_prefixlen", "LENGTH"}, {"address_scope_id", "ADDRESS SCOPE"},
    {"is_default", "DEFAULT"}, {"shared", "SHARED"}, {NULL, NULL},
};
const struct resource resource_subnet_pool = {
    "subnetpool", "subnetpools", SERVICE_NETWORK, subnet_pool_columns, "PUT", true,
};

static const struct column default_rule_columns[] = {
    {"id", "ID"}, {"direction", "DIRECTION"}, {"ethertype", "ETHERTYPE"}, {"protocol", "PROTOCOL"}, {"port_range_min", "FROM"},
    {"port_range_max", "TO"}, {"remote_ip_prefix", "REMOTE PREFIX"}, {"remote_group_id", "REMOTE GROUP"},
    {"used_in_default_sg", "IN DEFAULT GROUPS"}, {"used_in_non_default_sg", "IN OTHERS"}, {NULL, NULL},
};
const struct resource resource_default_rule = {
    "default_security_group_rule", "default_security_group_rules", SERVICE_NETWORK, default_rule_columns, "PUT", true, security_complete_rule,
    .path = "default-security-group-rules", .is_nameless = true,
};

static const struct column default_statefulness_columns[] = {
    {"id", "ID"}, {"project_id", "PROJECT"}, {"stateful", "STATEFUL"}, {NULL, NULL},
};
const struct resource resource_default_statefulness = {
    "security_groups_default_statefulness", "security_groups_default_statefulness", SERVICE_NETWORK, default_statefulness_columns, "PUT", true,
    .path = "security-groups-default-statefulness", .is_nameless = true,
};

static const struct column firewall_group_columns[] = {
    {"id", "ID"}, {"name", "NAME"}, {"status", "STATUS"}, {"ingress_firewall_policy_id", "INGRESS POLICY"},
    {"egress_firewall_policy_id", "EGRESS POLICY"}, {"ports", "PORTS"}, {NULL, NULL},
};
const struct resource resource_firewall_group = {
    "firewall_group", "firewall_groups", SERVICE_NETWORK, firewall_group_columns, "PUT", true, .path = "fwaas/firewall_groups",
};

static const struct column firewall_policy_columns[] = {
    {"id", "ID"}, {"name", "NAME"}, {"audited", "AUDITED"}, {"shared", "SHARED"}, {"firewall_rules", "RULES"}, {NULL, NULL},
};
const struct resource resource_firewall_policy = {
    "firewall_policy", "firewall_policies", SERVICE_NETWORK, firewall_policy_columns, "PUT", true, .path = "fwaas/firewall_policies",
};

/* The family is that of the addresses, unless it is said. */
static int complete_firewall_rule(struct call *call, json_t *attributes)
{
    const char *source = json_string_value(json_object_get(attributes, "source_ip_address"));
    const char *address = source ? source : json_string_value(json_object_get(attributes, "destination_ip_address"));

    if (address && !json_object_get(attributes, "ip_version"))
        json_object_set_new(attributes, "ip_version", json_integer(strchr(address, ':') ? 6 : 4));
    return 0;
}

static const struct column firewall_rule_columns[] = {
    {"id", "ID"}, {"name", "NAME"}, {"action", "ACTION"}, {"ip_version", "IP"}, {"protocol", "PROTOCOL"}, {"source_ip_address", "SOURCE"},
    {"source_port", "PORT"}, {"destination_ip_address", "DESTINATION"}, {"destination_port", "PORT"}, {"enabled", "ENABLED"}, {NULL, NULL},
};
const struct resource resource_firewall_rule = {
    "firewall_rule", "firewall_rules", SERVICE_NETWORK, firewall_rule_columns, "PUT", true, .complete = complete_firewall_rule,
    .path = "fwaas/firewall_rules",
};

static const struct column load_balancer_columns[] = {
    {"id", "ID"}, {"name", "NAME"}, {"vip_address", "ADDRESS"}, {"operating_status", "STATUS"}, {"admin_state_up", "UP"}, {NULL, NULL},
};
const struct resource resource_load_balancer = {
    "loadbalancer", "loadbalancers", SERVICE_LOAD_BALANCER, load_balancer_columns, "PUT", true,
};

static const struct column listener_columns[] = {
    {"id", "ID"}, {"name", "NAME"}, {"protocol", "PROTOCOL"}, {"protocol_port", "PORT"}, {"default_pool_id", "POOL"}, {"operating_status", "STATUS"},
    {NULL, NULL},
};
const struct resource resource_listener = {
    "listener", "listeners", SERVICE_LOAD_BALANCER, listener_columns, "PUT", true,
};

static const struct column pool_columns[] = {
    {"id", "ID"}, {"name", "NAME"}, {"protocol", "PROTOCOL"}, {"lb_algorithm", "ALGORITHM"}, {"operating_status", "STATUS"}, {NULL, NULL},
};
static int complete_pool(struct call *call, json_t *attributes)
{
    if (!json_object_get(attributes, "lb_algorithm"))
        json_object_set_new(attributes, "lb_algorithm", json_string("ROUND_ROBIN"));
    return 0;
}
const struct resource resource_pool = {
    "pool", "pools", SERVICE_LOAD_BALANCER, pool_columns, "PUT", true, complete_pool,
};

static const struct column health_monitor_columns[] = {
    {"id", "ID"}, {"name", "NAME"}, {"type", "TYPE"}, {"delay", "DELAY"}, {"timeout", "TIMEOUT"}, {"pools", "POOL"}, {"admin_state_up", "UP"},
    {NULL, NULL},
};
static int complete_health_monitor(struct call *call, json_t *attributes)
{
    static const struct {
        const char *name;
        int value;
    } defaults[] = {{"delay", 5}, {"timeout", 3}, {"max_retries", 3}};

    for (size_t i = 0; i < ARRAY_SIZE(defaults); i++)
        if (!json_object_get(attributes, defaults[i].name))
            json_object_set_new(attributes, defaults[i].name, json_integer(defaults[i].value));
    return 0;
}
const struct resource resource_health_monitor = {
    "healthmonitor", "healthmonitors", SERVICE_LOAD_BALANCER, health_monitor_columns, "PUT", true, complete_health_monitor,
};
