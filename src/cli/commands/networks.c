/* Networks, subnets, and what subnets get their prefixes from. */
#include <stddef.h>

#include "weft/cli/commands/tables.h"
#include "weft/cli/pools.h"
#include "weft/cli/resource.h"

static const struct flag network_attributes[] = {
    ATTRIBUTE("mtu", "BYTES", "largest packet of the network", ENCODE_NUMBER, "mtu"),
    SWITCH("share", "usable by all projects", ENCODE_TRUE, "shared"),
    SWITCH("no-share", "usable by its own project only", ENCODE_FALSE, "shared"),
    SWITCH("external", "leads outside (administrators)", ENCODE_TRUE, "router:external"),
    SWITCH("internal", "does not lead outside", ENCODE_FALSE, "router:external"),
    CHOICE("port-security", "BOOLEAN", "anti-spoofing on new ports", "true false", ENCODE_BOOLEAN, "port_security_enabled"),
    ATTRIBUTE("dns-domain", "DOMAIN", "DNS domain, ends with a dot", ENCODE_STRING, "dns_domain"),
    END,
};
static const struct flag network_create_attributes[] = {
    CHOICE("type", "TYPE", "how hosts carry it (administrators)", "vxlan flat vlan", ENCODE_STRING, "provider:network_type"),
    ATTRIBUTE("physical-network", "NAME", "with flat and vlan: the hosts' name of it", ENCODE_STRING, "provider:physical_network"),
    ATTRIBUTE("vlan", "NUMBER", "with vlan: 1 to 4094", ENCODE_NUMBER, "provider:segmentation_id"),
    ATTRIBUTE("vni", "NUMBER", "VXLAN network identifier (administrators)", ENCODE_NUMBER, "provider:segmentation_id"),
    END,
};
static const struct flag subnet_create_attributes[] = {
    NAMED("network", "NETWORK", "the network it belongs to (required)", COMPLETE_NETWORK, ENCODE_NETWORK, "network_id"),
    ATTRIBUTE("cidr", "PREFIX", "10.0.0.0/24, 2001:db8::/64 (required without a pool)", ENCODE_STRING, "cidr"),
    NAMED("subnet-pool", "POOL", "the pool its prefix comes from", COMPLETE_SUBNET_POOL, ENCODE_SUBNET_POOL, "subnetpool_id"),
    SWITCH("use-default-subnet-pool", "the default pool", ENCODE_TRUE, "use_default_subnetpool"),
    ATTRIBUTE("prefix-length", "NUMBER", "with a pool: how large (as the pool says)", ENCODE_NUMBER, "prefixlen"),
    CHOICE("ip-version", "VERSION", "4 or 6; follows from --cidr or --subnet-pool", "4 6", ENCODE_NUMBER, "ip_version"),
    CHOICE("ipv6-address-mode", "MODE", "how ports get IPv6 addresses", "slaac dhcpv6-stateful dhcpv6-stateless",
           ENCODE_STRING, "ipv6_address_mode"),
    CHOICE("ipv6-ra-mode", "MODE", "what router advertisements say", "slaac dhcpv6-stateful dhcpv6-stateless",
           ENCODE_STRING, "ipv6_ra_mode"),
    OWN_CHOICE("ipv6-mode", "MODE", "both of the above", "slaac dhcpv6-stateful dhcpv6-stateless"),
    END,
};
static const struct flag subnet_attributes[] = {
    ATTRIBUTE("gateway", "ADDRESS", "default gateway; 'none' for none", ENCODE_STRING_OR_NULL, "gateway_ip"),
    SWITCH("dhcp", "serve DHCP", ENCODE_TRUE, "enable_dhcp"),
    SWITCH("no-dhcp", "do not serve DHCP", ENCODE_FALSE, "enable_dhcp"),
    ITEM("allocation-pool", "FIRST-LAST", "addresses to give out; repeat", ENCODE_POOL, "allocation_pools"),
    ITEM("dns", "ADDRESS", "DNS server; repeat", ENCODE_STRING_ITEM, "dns_nameservers"),
    ITEM("host-route", "PREFIX=NEXTHOP", "route given to workloads; repeat", ENCODE_HOST_ROUTE, "host_routes"),
    END,
};
static const struct flag subnet_clear[] = {
    ATTRIBUTE("name", "NAME", "a new name", ENCODE_STRING, "name"),
    OWN("if-revision", "NUMBER", "only if revision_number is still this", COMPLETE_NOTHING),
    SWITCH("no-dns", "no DNS servers", ENCODE_EMPTY_LIST, "dns_nameservers"),
    SWITCH("no-host-route", "no host routes", ENCODE_EMPTY_LIST, "host_routes"),
    END,
};
static const struct flag subnet_filters[] = {
    NAMED("network", "NETWORK", "only of this network", COMPLETE_NETWORK, ENCODE_NETWORK, "network_id"),
    CHOICE("ip-version", "VERSION", "only of this family", "4 6", ENCODE_NUMBER, "ip_version"),
    ATTRIBUTE("cidr", "PREFIX", "only with this prefix", ENCODE_STRING, "cidr"),
    NAMED("subnet-pool", "POOL", "only from this pool", COMPLETE_SUBNET_POOL, ENCODE_SUBNET_POOL, "subnetpool_id"),
    END,
};
static const struct flag address_scope_create_attributes[] = {
    CHOICE("ip-version", "VERSION", "4 or 6 (required)", "4 6", ENCODE_NUMBER, "ip_version"),
    END,
};
static const struct flag share_attributes[] = {
    SWITCH("share", "usable by all projects (administrators)", ENCODE_TRUE, "shared"),
    END,
};
static const struct flag subnet_pool_attributes[] = {
    ITEM("prefix", "PREFIX", "what subnets get theirs from (required); repeat", ENCODE_STRING_ITEM, "prefixes"),
    ATTRIBUTE("default-prefix-length", "NUMBER", "of subnets that do not say", ENCODE_NUMBER, "default_prefixlen"),
    ATTRIBUTE("min-prefix-length", "NUMBER", "of the largest subnet", ENCODE_NUMBER, "min_prefixlen"),
    ATTRIBUTE("max-prefix-length", "NUMBER", "of the smallest subnet", ENCODE_NUMBER, "max_prefixlen"),
    ATTRIBUTE("quota", "NUMBER", "what a project may have: addresses of IPv4, /64 of IPv6", ENCODE_NUMBER, "default_quota"),
    SWITCH("default", "the pool that is meant when none is named (administrators)", ENCODE_TRUE, "is_default"),
    SWITCH("no-default", "is not", ENCODE_FALSE, "is_default"),
    NAMED("address-scope", "SCOPE", "the address scope of its subnets; 'none' for none", COMPLETE_ADDRESS_SCOPE, ENCODE_ADDRESS_SCOPE,
          "address_scope_id"),
    END,
};
static const struct flag subnet_pool_set_attributes[] = {
    SWITCH("no-quota", "as much as there is", ENCODE_NULL, "default_quota"),
    END,
};
static const struct flag subnet_pool_filters[] = {
    NAMED("address-scope", "SCOPE", "only of this address scope", COMPLETE_ADDRESS_SCOPE, ENCODE_ADDRESS_SCOPE, "address_scope_id"),
    CHOICE("ip-version", "VERSION", "only of this family", "4 6", ENCODE_NUMBER, "ip_version"),
    END,
};

const struct command commands_networks[] = {
    {.name = "network create", .help = "Create a network", .arguments = {{.name = "NAME"}},
     .flags = {network_attributes, network_create_attributes, state_attributes, common_attributes, owner},
     .run = run_create,
     .resource = &resource_network},
    {.name = "network list", .help = "List networks", .flags = {name_filter, filters}, .run = run_list,
     .resource = &resource_network},
    {.name = "network show", .help = "Show a network", .arguments = {{.name = "NETWORK", .completion = COMPLETE_NETWORK}},
     .run = run_show, .resource = &resource_network},
    {.name = "network set", .help = "Change a network",
     .arguments = {{.name = "NETWORK", .completion = COMPLETE_NETWORK}},
     .flags = {change, network_attributes, state_attributes, common_attributes}, .run = run_set,
     .resource = &resource_network, .details = SET_DETAILS},
    {.name = "network delete", .help = "Delete networks",
     .arguments = {{.name = "NETWORK", .is_rest = true, .completion = COMPLETE_NETWORK}}, .run = run_delete,
     .resource = &resource_network},

    {.name = "subnet create", .help = "Create a subnet", .arguments = {{.name = "NAME"}},
     .flags = {subnet_create_attributes, subnet_attributes, common_attributes, owner}, .run = run_create,
     .resource = &resource_subnet},
    {.name = "subnet list", .help = "List subnets", .flags = {subnet_filters, name_filter, filters}, .run = run_list,
     .resource = &resource_subnet},
    {.name = "subnet show", .help = "Show a subnet", .arguments = {{.name = "SUBNET", .completion = COMPLETE_SUBNET}},
     .run = run_show, .resource = &resource_subnet},
    {.name = "subnet set", .help = "Change a subnet", .arguments = {{.name = "SUBNET", .completion = COMPLETE_SUBNET}},
     .flags = {subnet_clear, subnet_attributes, common_attributes}, .run = run_set, .resource = &resource_subnet,
     .details = SET_DETAILS},
    {.name = "subnet delete", .help = "Delete subnets",
     .arguments = {{.name = "SUBNET", .is_rest = true, .completion = COMPLETE_SUBNET}}, .run = run_delete,
     .resource = &resource_subnet},

    {.name = "subnet-pool create", .help = "Create a pool that subnets get their prefixes from", .arguments = {{.name = "NAME"}},
     .flags = {subnet_pool_attributes, share_attributes, common_attributes, owner}, .run = run_create, .resource = &resource_subnet_pool},
    {.name = "subnet-pool list", .help = "List subnet pools", .flags = {subnet_pool_filters, name_filter, filters}, .run = run_list,
     .resource = &resource_subnet_pool},
    {.name = "subnet-pool show", .help = "Show a subnet pool", .arguments = {{.name = "POOL", .completion = COMPLETE_SUBNET_POOL}},
     .run = run_show, .resource = &resource_subnet_pool},
    {.name = "subnet-pool set", .help = "Change a subnet pool", .arguments = {{.name = "POOL", .completion = COMPLETE_SUBNET_POOL}},
     .flags = {change, subnet_pool_attributes, subnet_pool_set_attributes, common_attributes}, .run = run_set, .resource = &resource_subnet_pool,
     .details = "--prefix replaces all: what the pool has must be among them."},
    {.name = "subnet-pool add", .help = "Add prefixes to a subnet pool",
     .arguments = {{.name = "POOL", .completion = COMPLETE_SUBNET_POOL}, {.name = "PREFIX", .is_rest = true}}, .run = run_subnet_pool_add},
    {.name = "subnet-pool remove", .help = "Take prefixes that no subnet uses out of a subnet pool",
     .arguments = {{.name = "POOL", .completion = COMPLETE_SUBNET_POOL}, {.name = "PREFIX", .is_rest = true}}, .run = run_subnet_pool_remove},
    {.name = "subnet-pool onboard", .help = "Take a network's subnets, and their prefixes, into a subnet pool",
     .arguments = {{.name = "POOL", .completion = COMPLETE_SUBNET_POOL}, {.name = "NETWORK", .completion = COMPLETE_NETWORK}},
     .run = run_subnet_pool_onboard},
    {.name = "subnet-pool delete", .help = "Delete subnet pools",
     .arguments = {{.name = "POOL", .is_rest = true, .completion = COMPLETE_SUBNET_POOL}}, .run = run_delete, .resource = &resource_subnet_pool},

    {.name = "address-scope create", .help = "Create an address scope, for subnet pools", .arguments = {{.name = "NAME"}},
     .flags = {address_scope_create_attributes, share_attributes, common_attributes, owner}, .run = run_create, .resource = &resource_address_scope,
     .details = "Routers forward within a scope, and nothing between two; within one IPv4 leaves to an external network untranslated. "
                "With --share any project may put a pool of any free prefix into it: where projects do not trust each other, share pools instead."},
    {.name = "address-scope list", .help = "List address scopes", .flags = {name_filter, filters}, .run = run_list, .resource = &resource_address_scope},
    {.name = "address-scope show", .help = "Show an address scope", .arguments = {{.name = "SCOPE", .completion = COMPLETE_ADDRESS_SCOPE}},
     .run = run_show, .resource = &resource_address_scope},
    {.name = "address-scope set", .help = "Change an address scope", .arguments = {{.name = "SCOPE", .completion = COMPLETE_ADDRESS_SCOPE}},
     .flags = {change, share_attributes, common_attributes}, .run = run_set, .resource = &resource_address_scope},
    {.name = "address-scope delete", .help = "Delete address scopes",
     .arguments = {{.name = "SCOPE", .is_rest = true, .completion = COMPLETE_ADDRESS_SCOPE}}, .run = run_delete,
     .resource = &resource_address_scope},
    {.name = NULL},
};
