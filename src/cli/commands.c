/* The table: every command, argument and flag of weft.  Parsing, --help, completion and the man page's check read it. */
#include <stddef.h>

#include "weft/cli/command.h"
#include "weft/cli/completion.h"
#include "weft/cli/connections.h"
#include "weft/cli/director.h"
#include "weft/cli/fabric.h"
#include "weft/cli/firewall.h"
#include "weft/cli/hosts.h"
#include "weft/cli/identity.h"
#include "weft/cli/lab.h"
#include "weft/cli/logs.h"
#include "weft/cli/metadata.h"
#include "weft/cli/pools.h"
#include "weft/cli/ports.h"
#include "weft/cli/resource.h"
#include "weft/cli/routing.h"
#include "weft/cli/security.h"
#include "weft/cli/trace.h"

/* A flag whose value is one attribute; one that takes no value; one that the command reads itself. */
#define ATTRIBUTE(name_, placeholder_, help_, encoding_, attribute_)                                                   \
    {.name = name_, .type = FLAG_VALUE, .placeholder = placeholder_, .help = help_, .encoding = encoding_,             \
     .attribute = attribute_}
#define NAMED(name_, placeholder_, help_, completion_, encoding_, attribute_)                                          \
    {.name = name_, .type = FLAG_VALUE, .placeholder = placeholder_, .help = help_, .completion = completion_,         \
     .encoding = encoding_, .attribute = attribute_}
#define CHOICE(name_, placeholder_, help_, choices_, encoding_, attribute_)                                            \
    {.name = name_, .type = FLAG_VALUE, .placeholder = placeholder_, .help = help_, .completion = COMPLETE_CHOICES,    \
     .choices = choices_, .encoding = encoding_, .attribute = attribute_}
#define ITEM(name_, placeholder_, help_, encoding_, attribute_)                                                        \
    {.name = name_, .type = FLAG_REPEATED, .placeholder = placeholder_, .help = help_, .encoding = encoding_,          \
     .attribute = attribute_}
#define SWITCH(name_, help_, encoding_, attribute_)                                                                    \
    {.name = name_, .type = FLAG_PRESENT, .help = help_, .encoding = encoding_, .attribute = attribute_}
#define OWN(name_, placeholder_, help_, completion_)                                                                   \
    {.name = name_, .type = FLAG_VALUE, .placeholder = placeholder_, .help = help_, .completion = completion_}
#define OWN_CHOICE(name_, placeholder_, help_, choices_)                                                               \
    {.name = name_, .type = FLAG_VALUE, .placeholder = placeholder_, .help = help_, .completion = COMPLETE_CHOICES,    \
     .choices = choices_}
#define OWN_SWITCH(name_, help_) {.name = name_, .type = FLAG_PRESENT, .help = help_}
#define END {.name = NULL}

const struct flag global_flags[] = {
    {.name = "output", .letter = 'o', .type = FLAG_VALUE, .placeholder = "FORMAT", .help = "how to print",
     .completion = COMPLETE_CHOICES, .choices = "table json value"},
    {.name = "column", .letter = 'c', .type = FLAG_REPEATED, .placeholder = "ATTRIBUTE", .help = "print only these"},
    OWN("os-auth-url", "URL", "Identity: http://HOST:9696/identity/v3", COMPLETE_NOTHING),
    OWN("os-username", "NAME", "who asks", COMPLETE_NOTHING),
    OWN("os-user-id", "ID", "the same, by id", COMPLETE_NOTHING),
    OWN("os-password", "PASSWORD", "better given as OS_PASSWORD", COMPLETE_NOTHING),
    OWN("os-project-name", "NAME", "the project to work in", COMPLETE_NOTHING),
    OWN("os-project-id", "ID", "the same, by id", COMPLETE_NOTHING),
    OWN("os-user-domain-name", "NAME", "the user's domain, when it is not 'default'", COMPLETE_NOTHING),
    OWN("os-project-domain-name", "NAME", "the project's domain, when it is not 'default'", COMPLETE_NOTHING),
    OWN("os-token", "TOKEN", "a token instead of name and password", COMPLETE_NOTHING),
    OWN("os-endpoint", "URL", "the API, when it is not the catalogue's", COMPLETE_NOTHING),
    OWN("os-cacert", "FILE", "certificates to trust for https", COMPLETE_FILE),
    OWN_SWITCH("os-insecure", "do not check the server's certificate"),
    OWN("agent-socket", "PATH", "the local agent (/run/weft/agent.sock)", COMPLETE_FILE),
    OWN("fabric-url", "URL", "weft-fabric (http://127.0.0.1:9697)", COMPLETE_NOTHING),
    OWN("fabric-token-file", "FILE", "its token, instead of WEFT_FABRIC_TOKEN", COMPLETE_FILE),
    OWN("fabric-ca", "FILE", "certificates to trust for its https", COMPLETE_FILE),
    OWN_SWITCH("debug", "show requests, answers and programs run"),
    {.name = "help", .letter = 'h', .type = FLAG_PRESENT, .help = "show help and exit"},
    OWN_SWITCH("version", "show the version and exit"),
    END,
};

/* ---- groups of flags --------------------------------------------------------------------------------------------- */

static const struct flag common_attributes[] = {
    ATTRIBUTE("description", "TEXT", "free text", ENCODE_STRING, "description"),
    END,
};
static const struct flag state_attributes[] = {
    SWITCH("enable", "administrative state up", ENCODE_TRUE, "admin_state_up"),
    SWITCH("disable", "administrative state down: no traffic", ENCODE_FALSE, "admin_state_up"),
    END,
};
static const struct flag owner[] = {
    NAMED("project", "PROJECT", "for this project (administrators)", COMPLETE_PROJECT, ENCODE_PROJECT, "project_id"),
    END,
};
static const struct flag change[] = {
    ATTRIBUTE("name", "NAME", "a new name", ENCODE_STRING, "name"),
    OWN("if-revision", "NUMBER", "only if revision_number is still this", COMPLETE_NOTHING),
    END,
};
static const struct flag name_filter[] = {
    ATTRIBUTE("name", "NAME", "only of this name", ENCODE_STRING, "name"),
    END,
};
static const struct flag filters[] = {
    NAMED("project", "PROJECT", "only of this project", COMPLETE_PROJECT, ENCODE_PROJECT, "project_id"),
    ATTRIBUTE("limit", "NUMBER", "at most so many", ENCODE_NUMBER, "limit"),
    ATTRIBUTE("marker", "ID", "begin behind this one", ENCODE_STRING, "marker"),
    ATTRIBUTE("sort", "ATTRIBUTE", "order by this attribute", ENCODE_STRING, "sort_key"),
    CHOICE("sort-dir", "DIRECTION", "in this direction", "asc desc", ENCODE_STRING, "sort_dir"),
    END,
};

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

static const struct flag port_create_attributes[] = {
    NAMED("network", "NETWORK", "the network it belongs to (required)", COMPLETE_NETWORK, ENCODE_NETWORK, "network_id"),
    END,
};
static const struct flag port_attributes[] = {
    ITEM("fixed-ip", "ADDRESS", "an address, or subnet=S[,ip=A]; repeat", ENCODE_FIXED_IP, "fixed_ips"),
    SWITCH("no-fixed-ip", "no address", ENCODE_EMPTY_LIST, "fixed_ips"),
    ATTRIBUTE("mac", "MAC", "MAC address", ENCODE_STRING, "mac_address"),
    ATTRIBUTE("device-id", "ID", "what uses it", ENCODE_STRING, "device_id"),
    ATTRIBUTE("device-owner", "TEXT", "what kind of thing uses it", ENCODE_STRING, "device_owner"),
    NAMED("host", "HOST", "bind to this host; '' unbinds", COMPLETE_HOST, ENCODE_STRING, "binding:host_id"),
    CHOICE("port-security", "BOOLEAN", "anti-spoofing", "true false", ENCODE_BOOLEAN, "port_security_enabled"),
    ITEM("allowed-address", "PREFIX[=MAC]", "may be used besides its own; repeat", ENCODE_ADDRESS_PAIR,
         "allowed_address_pairs"),
    SWITCH("no-allowed-address", "no other addresses", ENCODE_EMPTY_LIST, "allowed_address_pairs"),
    ITEM("dhcp-option", "NAME=VALUE", "extra DHCP option, then ,ip-version=6; repeat", ENCODE_DHCP_OPTION,
         "extra_dhcp_opts"),
    {.name = "security-group", .type = FLAG_REPEATED, .placeholder = "GROUP", .help = "what it may send and be sent (default); repeat",
     .completion = COMPLETE_SECURITY_GROUP, .encoding = ENCODE_SECURITY_GROUP_ITEM, .attribute = "security_groups"},
    SWITCH("no-security-group", "in no group: nothing passes", ENCODE_EMPTY_LIST, "security_groups"),
    END,
};
static const struct flag port_filters[] = {
    NAMED("network", "NETWORK", "only of this network", COMPLETE_NETWORK, ENCODE_NETWORK, "network_id"),
    NAMED("host", "HOST", "only bound to this host", COMPLETE_HOST, ENCODE_STRING, "binding:host_id"),
    ATTRIBUTE("mac", "MAC", "only with this MAC address", ENCODE_STRING, "mac_address"),
    ATTRIBUTE("device-id", "ID", "only of this device", ENCODE_STRING, "device_id"),
    CHOICE("status", "STATUS", "only in this state", "ACTIVE DOWN BUILD ERROR", ENCODE_STRING, "status"),
    ITEM("fixed-ip", "ADDRESS", "only with this address", ENCODE_FIXED_IP_FILTER, "fixed_ips"),
    {.name = "security-group", .type = FLAG_REPEATED, .placeholder = "GROUP", .help = "only in this security group",
     .completion = COMPLETE_SECURITY_GROUP, .encoding = ENCODE_SECURITY_GROUP_ITEM, .attribute = "security_groups"},
    END,
};

static const struct flag security_group_attributes[] = {
    SWITCH("stateful", "answers of allowed connections pass (as unless said)", ENCODE_TRUE, "stateful"),
    SWITCH("stateless", "each packet is judged by itself", ENCODE_FALSE, "stateful"),
    END,
};
static const struct flag security_rule_flags[] = {
    CHOICE("direction", "DIRECTION", "to the workload (as unless said) or from it", "ingress egress", ENCODE_STRING, "direction"),
    CHOICE("ethertype", "FAMILY", "follows from --remote when left out", "IPv4 IPv6", ENCODE_STRING, "ethertype"),
    ATTRIBUTE("protocol", "PROTOCOL", "a name (tcp) or a number; any when left out", ENCODE_STRING, "protocol"),
    OWN("port", "PORT[-LAST]", "of the side that is called", COMPLETE_NOTHING),
    ATTRIBUTE("icmp-type", "NUMBER", "with an ICMP protocol", ENCODE_NUMBER, "port_range_min"),
    ATTRIBUTE("icmp-code", "NUMBER", "with an ICMP type", ENCODE_NUMBER, "port_range_max"),
    ATTRIBUTE("remote", "PREFIX", "the other side's addresses", ENCODE_STRING, "remote_ip_prefix"),
    NAMED("remote-group", "GROUP", "the other side is in this security group", COMPLETE_SECURITY_GROUP, ENCODE_SECURITY_GROUP, "remote_group_id"),
    NAMED("remote-address-group", "GROUP", "the other side is in this address group", COMPLETE_ADDRESS_GROUP, ENCODE_ADDRESS_GROUP,
          "remote_address_group_id"),
    END,
};
static const struct flag security_rule_filters[] = {
    CHOICE("direction", "DIRECTION", "only in this direction", "ingress egress", ENCODE_STRING, "direction"),
    CHOICE("ethertype", "FAMILY", "only of this family", "IPv4 IPv6", ENCODE_STRING, "ethertype"),
    ATTRIBUTE("protocol", "PROTOCOL", "only of this protocol, as it was given", ENCODE_STRING, "protocol"),
    NAMED("project", "PROJECT", "only of this project", COMPLETE_PROJECT, ENCODE_PROJECT, "project_id"),
    END,
};
static const struct flag default_rule_flags[] = {
    CHOICE("direction", "DIRECTION", "to the workload (as unless said) or from it", "ingress egress", ENCODE_STRING, "direction"),
    CHOICE("ethertype", "FAMILY", "follows from --remote when left out", "IPv4 IPv6", ENCODE_STRING, "ethertype"),
    ATTRIBUTE("protocol", "PROTOCOL", "a name (tcp) or a number; any when left out", ENCODE_STRING, "protocol"),
    OWN("port", "PORT[-LAST]", "of the side that is called", COMPLETE_NOTHING),
    ATTRIBUTE("remote", "PREFIX", "the other side's addresses", ENCODE_STRING, "remote_ip_prefix"),
    ATTRIBUTE("remote-group", "GROUP", "the other side is in this group (id), or in the new one: PARENT", ENCODE_STRING, "remote_group_id"),
    SWITCH("for-default-groups", "the groups called default get it", ENCODE_TRUE, "used_in_default_sg"),
    SWITCH("not-for-others", "and others do not", ENCODE_FALSE, "used_in_non_default_sg"),
    END,
};
static const struct flag address_group_attributes[] = {
    ITEM("address", "PREFIX", "a prefix or an address; repeat", ENCODE_STRING_ITEM, "addresses"),
    END,
};

static const struct flag firewall_group_attributes[] = {
    NAMED("ingress-policy", "POLICY", "of what a router sends to the networks at its ports", COMPLETE_FIREWALL_POLICY, ENCODE_FIREWALL_POLICY, "ingress_firewall_policy_id"),
    NAMED("egress-policy", "POLICY", "of what comes to a router from there", COMPLETE_FIREWALL_POLICY, ENCODE_FIREWALL_POLICY, "egress_firewall_policy_id"),
    {.name = "port", .type = FLAG_REPEATED, .placeholder = "PORT", .help = "a router's port where it holds; repeat", .completion = COMPLETE_PORT,
     .encoding = ENCODE_PORT_ITEM, .attribute = "ports"},
    CHOICE("shared", "BOOLEAN", "for all projects (administrators)", "true false", ENCODE_BOOLEAN, "shared"),
    END,
};
static const struct flag firewall_group_change[] = {
    SWITCH("no-ingress-policy", "nothing but answers goes to the networks", ENCODE_NULL, "ingress_firewall_policy_id"),
    SWITCH("no-egress-policy", "nothing but answers comes from there", ENCODE_NULL, "egress_firewall_policy_id"),
    SWITCH("no-port", "it holds nowhere", ENCODE_EMPTY_LIST, "ports"),
    END,
};
static const struct flag firewall_policy_attributes[] = {
    {.name = "rule", .type = FLAG_REPEATED, .placeholder = "RULE", .help = "in this order; repeat", .completion = COMPLETE_FIREWALL_RULE,
     .encoding = ENCODE_FIREWALL_RULE_ITEM, .attribute = "firewall_rules"},
    SWITCH("no-rule", "without rules: nothing passes", ENCODE_EMPTY_LIST, "firewall_rules"),
    CHOICE("audited", "BOOLEAN", "somebody has looked at it as it is", "true false", ENCODE_BOOLEAN, "audited"),
    CHOICE("shared", "BOOLEAN", "for all projects (administrators)", "true false", ENCODE_BOOLEAN, "shared"),
    END,
};
static const struct flag firewall_place[] = {
    OWN("before", "RULE", "in front of this one", COMPLETE_FIREWALL_RULE),
    OWN("after", "RULE", "behind this one", COMPLETE_FIREWALL_RULE),
    END,
};
static const struct flag firewall_rule_attributes[] = {
    CHOICE("action", "ACTION", "deny when left out", "allow deny reject", ENCODE_STRING, "action"),
    CHOICE("ip-version", "VERSION", "follows from the addresses when left out", "4 6", ENCODE_NUMBER, "ip_version"),
    CHOICE("protocol", "PROTOCOL", "any when left out, or none", "tcp udp icmp none", ENCODE_STRING_OR_NULL, "protocol"),
    ATTRIBUTE("source", "PREFIX", "whose packets; none: anybody's", ENCODE_STRING_OR_NULL, "source_ip_address"),
    ATTRIBUTE("source-port", "PORT[:LAST]", "by which port; none: any", ENCODE_STRING_OR_NULL, "source_port"),
    ATTRIBUTE("destination", "PREFIX", "to whom; none: anybody", ENCODE_STRING_OR_NULL, "destination_ip_address"),
    ATTRIBUTE("destination-port", "PORT[:LAST]", "at which port; none: any", ENCODE_STRING_OR_NULL, "destination_port"),
    CHOICE("enabled", "BOOLEAN", "false: as if it were not there", "true false", ENCODE_BOOLEAN, "enabled"),
    CHOICE("shared", "BOOLEAN", "for all projects (administrators)", "true false", ENCODE_BOOLEAN, "shared"),
    END,
};
static const struct flag log_attributes[] = {
    ATTRIBUTE("type", "TYPE", "what decides, as 'weft log types' lists (security_group)", ENCODE_STRING, "resource_type"),
    NAMED("security-group", "GROUP", "only ports in it, and what its rules let pass", COMPLETE_SECURITY_GROUP, ENCODE_SECURITY_GROUP, "resource_id"),
    NAMED("firewall-group", "GROUP", "with --type firewall_group: only what this group decides", COMPLETE_FIREWALL_GROUP, ENCODE_FIREWALL_GROUP, "resource_id"),
    NAMED("port", "PORT", "only at this port", COMPLETE_PORT, ENCODE_PORT, "target_id"),
    CHOICE("event", "EVENT", "what passes, what is dropped, or both (ALL)", "ALL ACCEPT DROP", ENCODE_STRING, "event"),
    END,
};
static const struct flag log_state[] = {
    SWITCH("enable", "log (as unless said)", ENCODE_TRUE, "enabled"),
    SWITCH("disable", "do not log", ENCODE_FALSE, "enabled"),
    END,
};

static const struct flag router_gateway[] = {
    NAMED("external-network", "NETWORK", "leads to this external network", COMPLETE_NETWORK, ENCODE_NETWORK,
          "external_gateway_info.network_id"),
    ITEM("external-address", "ADDRESS", "its address there, or subnet=S[,ip=A]; repeat (administrators)", ENCODE_FIXED_IP,
         "external_gateway_info.external_fixed_ips"),
    SWITCH("snat", "translate to its external address (administrators)", ENCODE_TRUE, "external_gateway_info.enable_snat"),
    SWITCH("no-snat", "do not (administrators)", ENCODE_FALSE, "external_gateway_info.enable_snat"),
    END,
};
static const struct flag router_set_attributes[] = {
    SWITCH("no-external-network", "leads nowhere", ENCODE_NULL, "external_gateway_info"),
    ITEM("route", "PREFIX=NEXTHOP", "route beyond its ports' subnets; repeat", ENCODE_HOST_ROUTE, "routes"),
    SWITCH("no-route", "no such routes", ENCODE_EMPTY_LIST, "routes"),
    END,
};
static const struct flag interface_flags[] = {
    NAMED("subnet", "SUBNET", "by this subnet's gateway address", COMPLETE_SUBNET, ENCODE_SUBNET, "subnet_id"),
    NAMED("port", "PORT", "by this port", COMPLETE_PORT, ENCODE_PORT, "port_id"),
    END,
};
static const struct flag floating_ip_create_attributes[] = {
    NAMED("network", "NETWORK", "the external network of the address (required)", COMPLETE_NETWORK, ENCODE_NETWORK,
          "floating_network_id"),
    ATTRIBUTE("address", "ADDRESS", "this address (administrators)", ENCODE_STRING, "floating_ip_address"),
    NAMED("subnet", "SUBNET", "an address of this subnet", COMPLETE_SUBNET, ENCODE_SUBNET, "subnet_id"),
    END,
};
static const struct flag floating_ip_attributes[] = {
    NAMED("port", "PORT", "the port that it leads to", COMPLETE_PORT, ENCODE_PORT, "port_id"),
    ATTRIBUTE("fixed-address", "ADDRESS", "which of the port's addresses", ENCODE_STRING, "fixed_ip_address"),
    END,
};
static const struct flag floating_ip_set_attributes[] = {
    SWITCH("no-port", "leads nowhere", ENCODE_NULL, "port_id"),
    OWN("if-revision", "NUMBER", "only if revision_number is still this", COMPLETE_NOTHING),
    END,
};
static const struct flag floating_ip_filters[] = {
    NAMED("network", "NETWORK", "only of this external network", COMPLETE_NETWORK, ENCODE_NETWORK, "floating_network_id"),
    NAMED("router", "ROUTER", "only through this router", COMPLETE_ROUTER, ENCODE_ROUTER, "router_id"),
    NAMED("port", "PORT", "only to this port", COMPLETE_PORT, ENCODE_PORT, "port_id"),
    ATTRIBUTE("address", "ADDRESS", "only this address", ENCODE_STRING, "floating_ip_address"),
    ATTRIBUTE("fixed-address", "ADDRESS", "only to this address", ENCODE_STRING, "fixed_ip_address"),
    CHOICE("status", "STATUS", "only in this state", "ACTIVE DOWN", ENCODE_STRING, "status"),
    END,
};
static const struct flag forwarding_flags[] = {
    CHOICE("protocol", "PROTOCOL", "of the connections", "tcp udp", ENCODE_STRING, "protocol"),
    OWN("external", "PORT", "number of the floating IP, or FIRST-LAST", COMPLETE_NOTHING),
    NAMED("port", "PORT", "the port that it leads to", COMPLETE_PORT, ENCODE_PORT, "internal_port_id"),
    ATTRIBUTE("address", "ADDRESS", "which of the port's addresses", ENCODE_STRING, "internal_ip_address"),
    OWN("internal", "PORT", "number there, or FIRST-LAST (the external one)", COMPLETE_NOTHING),
    END,
};
static const struct flag forwarding_filters[] = {
    CHOICE("protocol", "PROTOCOL", "only of this protocol", "tcp udp", ENCODE_STRING, "protocol"),
    NAMED("port", "PORT", "only to this port", COMPLETE_PORT, ENCODE_PORT, "internal_port_id"),
    END,
};

static const struct flag plug_flags[] = {
    OWN_SWITCH("force", "also a device with addresses or routes of the host"),
    OWN_SWITCH("no-wait", "do not wait until traffic can flow"),
    END,
};
static const struct flag keep_binding[] = {
    OWN_SWITCH("keep-binding", "leave the port bound to this host"),
    END,
};
static const struct flag metadata_flags[] = {
    OWN("hostname", "NAME", "its host name, instead of the port's name", COMPLETE_NOTHING),
    {.name = "public-key", .type = FLAG_REPEATED, .placeholder = "NAME=FILE", .help = "an SSH key that may log in"},
    OWN("user-data", "FILE", "what cloud-init runs at the first start; - is standard input", COMPLETE_FILE),
    {.name = "meta", .type = FLAG_REPEATED, .placeholder = "NAME=TEXT", .help = "a text of its own"},
    END,
};
static const struct flag libvirt_flags[] = {
    NAMED("host", "HOST", "bind the port to this host as well", COMPLETE_HOST, ENCODE_NONE, NULL),
    OWN_SWITCH("existing-tap", "the tap is made by someone else (managed='no')"),
    END,
};
static const struct flag trace_flags[] = {
    OWN("to", "PORT", "a frame for this port", COMPLETE_PORT),
    OWN("dst", "ADDRESS", "a packet for this IP address", COMPLETE_NOTHING),
    OWN_CHOICE("proto", "PROTOCOL", "what it carries (icmp)", "udp tcp icmp arp nd"),
    OWN("dport", "NUMBER", "destination port of UDP and TCP (80)", COMPLETE_NOTHING),
    OWN("sport", "NUMBER", "source port (40000)", COMPLETE_NOTHING),
    OWN("src", "ADDRESS", "source address (the port's)", COMPLETE_NOTHING),
    OWN("src-mac", "MAC", "source MAC (the port's)", COMPLETE_NOTHING),
    OWN("dst-mac", "MAC", "destination MAC (looked up)", COMPLETE_NOTHING),
    OWN("size", "BYTES", "payload behind the L4 header (0)", COMPLETE_NOTHING),
    OWN_SWITCH("ipv6", "with --to: its IPv6 address"),
    OWN("frame", "HEX", "exactly this frame, from the Ethernet header on", COMPLETE_NOTHING),
    END,
};
static const struct flag drops_flags[] = {
    OWN("port", "PORT", "only of this port", COMPLETE_PORT),
    OWN("host", "HOST", "only on this host", COMPLETE_HOST),
    OWN_SWITCH("follow", "go on, and print what is added each second"),
    END,
};
static const struct flag flows_flags[] = {
    OWN("limit", "NUMBER", "at most so many (100)", COMPLETE_NOTHING),
    END,
};
static const struct flag connection_conditions[] = {
    OWN("port", "PORT", "only of this port", COMPLETE_PORT),
    OWN("host", "HOST", "only on this host (administrators)", COMPLETE_HOST),
    OWN("project", "PROJECT", "only of this project's ports (administrators)", COMPLETE_PROJECT),
    OWN_CHOICE("protocol", "PROTOCOL", "tcp, udp, icmp, icmpv6, sctp or a number", "tcp udp icmp icmpv6 sctp"),
    OWN("address", "ADDRESS", "with this address, or one of this prefix, on either side or outside", COMPLETE_NOTHING),
    OWN("port-number", "NUMBER", "with this port of TCP or UDP, the same", COMPLETE_NOTHING),
    OWN_CHOICE("state", "STATE", "in this state", "half-open established half-closed closing time-wait reset"),
    OWN_SWITCH("translated", "only those that are called otherwise outside"),
    OWN_SWITCH("untranslated", "only those that are not"),
    END,
};
static const struct flag connections_delete_flags[] = {
    OWN_SWITCH("all", "without any condition: all that you may end"),
    END,
};
static const struct flag lab_add_flags[] = {
    OWN("port", "PORT", "the port to plug it into (required)", COMPLETE_PORT),
    OWN("host-netns", "NAMESPACE", "where the host's end goes, when the host is a namespace", COMPLETE_NETNS),
    OWN_CHOICE("address", "HOW", "how it gets its addresses (dhcp)", "dhcp static none"),
    END,
};
static const struct flag enabled_attributes[] = {
    SWITCH("enable", "can be used", ENCODE_TRUE, "enabled"),
    SWITCH("disable", "cannot be used", ENCODE_FALSE, "enabled"),
    END,
};
static const struct flag user_flags[] = {
    ATTRIBUTE("password", "PASSWORD", "seen by other users of this machine", ENCODE_STRING, "password"),
    OWN("password-file", "FILE", "its first line; '-' is standard input", COMPLETE_FILE),
    NAMED("project", "PROJECT", "the user's default project", COMPLETE_PROJECT, ENCODE_PROJECT, "default_project_id"),
    END,
};
static const struct flag grant_flags[] = {
    OWN("user", "USER", "to whom (required)", COMPLETE_USER),
    OWN("project", "PROJECT", "in which project (required)", COMPLETE_PROJECT),
    END,
};
static const struct flag quota_attributes[] = {
    ATTRIBUTE("network", "NUMBER", "networks; -1 is no limit", ENCODE_NUMBER, "network"),
    ATTRIBUTE("subnet", "NUMBER", "subnets", ENCODE_NUMBER, "subnet"),
    ATTRIBUTE("port", "NUMBER", "ports", ENCODE_NUMBER, "port"),
    ATTRIBUTE("subnet-pool", "NUMBER", "subnet pools", ENCODE_NUMBER, "subnetpool"),
    ATTRIBUTE("address-scope", "NUMBER", "address scopes", ENCODE_NUMBER, "address_scope"),
    ATTRIBUTE("security-group", "NUMBER", "security groups", ENCODE_NUMBER, "security_group"),
    ATTRIBUTE("security-group-rule", "NUMBER", "rules of security groups", ENCODE_NUMBER, "security_group_rule"),
    ATTRIBUTE("firewall-group", "NUMBER", "firewall groups", ENCODE_NUMBER, "firewall_group"),
    ATTRIBUTE("firewall-policy", "NUMBER", "firewall policies", ENCODE_NUMBER, "firewall_policy"),
    ATTRIBUTE("firewall-rule", "NUMBER", "firewall rules", ENCODE_NUMBER, "firewall_rule"),
    ATTRIBUTE("router", "NUMBER", "routers", ENCODE_NUMBER, "router"),
    ATTRIBUTE("floating-ip", "NUMBER", "floating IPs", ENCODE_NUMBER, "floatingip"),
    ATTRIBUTE("port-forwarding", "NUMBER", "port forwardings", ENCODE_NUMBER, "port_forwarding"),
    ATTRIBUTE("address-group", "NUMBER", "address groups", ENCODE_NUMBER, "address_group"),
    END,
};

static const struct flag fabric_host_filters[] = {
    OWN("switch", "SWITCH", "only at this switch", COMPLETE_FABRIC_SWITCH),
    END,
};
static const struct flag fabric_flow_filters[] = {
    OWN("host", "HOST", "only from and to this host", COMPLETE_FABRIC_HOST),
    OWN("limit", "NUMBER", "at most so many (1000)", COMPLETE_NOTHING),
    END,
};
static const struct flag fabric_slice_flags[] = {
    {.name = "binding", .type = FLAG_REPEATED, .placeholder = "BINDING", .help = "who belongs to it, see above; repeat"},
    OWN("file", "FILE", "the bindings as JSON; '-' is standard input", COMPLETE_FILE),
    END,
};
static const struct flag fabric_port_flags[] = {
    OWN("weight", "NUMBER", "the cost of leaving by this port (required)", COMPLETE_NOTHING),
    END,
};

/* ---- commands ---------------------------------------------------------------------------------------------------- */

#define SET_DETAILS "What is not given stays.  A list (a flag that repeats) is replaced as a whole."

static const struct flag lb_socket_flags[] = {
    OWN("socket", "PATH", "where it is asked (/run/weft/director.sock)", COMPLETE_FILE),
    END,
};
static const struct flag lb_import_flags[] = {
    OWN("to", "FILE", "add to this file, as /etc/weft/lb.conf", COMPLETE_FILE),
    OWN_CHOICE("format", "FORMAT", "what FILE is, when it does not look like it", "keepalived ipvsadm iptables nft"),
    OWN("config-id", "ID", "keepalived's lines for '@ID' count", COMPLETE_NOTHING),
    END,
};

const struct command commands[] = {
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

    {.name = "port create", .help = "Create a port", .arguments = {{.name = "NAME"}},
     .flags = {port_create_attributes, port_attributes, state_attributes, common_attributes, owner}, .run = run_create,
     .resource = &resource_port},
    {.name = "port list", .help = "List ports", .flags = {port_filters, name_filter, filters}, .run = run_list,
     .resource = &resource_port},
    {.name = "port show", .help = "Show a port", .arguments = {{.name = "PORT", .completion = COMPLETE_PORT}},
     .run = run_show, .resource = &resource_port},
    {.name = "port set", .help = "Change a port", .arguments = {{.name = "PORT", .completion = COMPLETE_PORT}},
     .flags = {change, port_attributes, state_attributes, common_attributes}, .run = run_set, .resource = &resource_port,
     .details = SET_DETAILS},
    {.name = "port delete", .help = "Delete ports",
     .arguments = {{.name = "PORT", .is_rest = true, .completion = COMPLETE_PORT}}, .run = run_delete,
     .resource = &resource_port},
    {.name = "port plug", .help = "Make a network device of this machine a port",
     .arguments = {{.name = "PORT", .completion = COMPLETE_PORT}, {.name = "INTERFACE", .completion = COMPLETE_INTERFACE}},
     .flags = {plug_flags}, .run = run_port_plug,
     .details = "Binds the port to the host whose agent listens at --agent-socket and tells that agent which device it is.\n"
                "A device named 'tap' and the first 11 characters of the port's id needs only the binding\n"
                "('weft port set PORT --host HOST').\n"
                "A device that the host itself uses is refused; --force overrides that for addresses and routes, not for\n"
                "the default route, the way to the API or other hosts, members of bridges and bonds, or tunnels."},
    {.name = "port unplug", .help = "Take a port's device away from it",
     .arguments = {{.name = "PORT", .completion = COMPLETE_PORT}}, .flags = {keep_binding}, .run = run_port_unplug},
    {.name = "port libvirt-xml", .help = "Print the port as a libvirt <interface>",
     .arguments = {{.name = "PORT", .completion = COMPLETE_PORT}}, .flags = {libvirt_flags}, .run = run_port_libvirt_xml,
     .details = "For 'virsh attach-device' or a domain's <devices>.  libvirt makes the tap; the agent finds it by its name\n"
                "once the port is bound to its host."},

    {.name = "security-group create", .help = "Create a security group", .arguments = {{.name = "NAME"}},
     .flags = {security_group_attributes, common_attributes, owner}, .run = run_create, .resource = &resource_security_group,
     .details = "What a port may send and be sent is the union of its groups' rules.  A new group lets everything out and nothing in."},
    {.name = "security-group list", .help = "List security groups", .flags = {name_filter, filters}, .run = run_list, .resource = &resource_security_group},
    {.name = "security-group show", .help = "Show a security group and its rules",
     .arguments = {{.name = "GROUP", .completion = COMPLETE_SECURITY_GROUP}}, .run = run_show, .resource = &resource_security_group},
    {.name = "security-group set", .help = "Change a security group", .arguments = {{.name = "GROUP", .completion = COMPLETE_SECURITY_GROUP}},
     .flags = {change, security_group_attributes, common_attributes}, .run = run_set, .resource = &resource_security_group,
     .details = "Whether it is stateful cannot change while a port is in it."},
    {.name = "security-group delete", .help = "Delete security groups and their rules",
     .arguments = {{.name = "GROUP", .is_rest = true, .completion = COMPLETE_SECURITY_GROUP}}, .run = run_delete,
     .resource = &resource_security_group},
    {.name = "security-group rule create", .help = "Let something pass", .arguments = {{.name = "GROUP", .completion = COMPLETE_SECURITY_GROUP}},
     .flags = {security_rule_flags, common_attributes, owner}, .run = run_security_rule_create},
    {.name = "security-group rule list", .help = "List rules",
     .arguments = {{.name = "GROUP", .is_optional = true, .completion = COMPLETE_SECURITY_GROUP}}, .flags = {security_rule_filters},
     .run = run_security_rule_list},
    {.name = "security-group rule show", .help = "Show a rule", .arguments = {{.name = "RULE", .completion = COMPLETE_SECURITY_GROUP_RULE}},
     .run = run_show, .resource = &resource_security_group_rule},
    {.name = "security-group rule delete", .help = "Delete rules",
     .arguments = {{.name = "RULE", .is_rest = true, .completion = COMPLETE_SECURITY_GROUP_RULE}}, .run = run_delete,
     .resource = &resource_security_group_rule},

    {.name = "security-group default-rule create", .help = "Add to the rules that new groups get (administrators)", .flags = {default_rule_flags, common_attributes},
     .run = run_create, .resource = &resource_default_rule},
    {.name = "security-group default-rule list", .help = "List the rules that new groups get", .run = run_list, .resource = &resource_default_rule},
    {.name = "security-group default-rule show", .help = "Show a rule that new groups get",
     .arguments = {{.name = "RULE", .completion = COMPLETE_DEFAULT_RULE}}, .run = run_show, .resource = &resource_default_rule},
    {.name = "security-group default-rule delete", .help = "New groups do not get these rules (administrators)",
     .arguments = {{.name = "RULE", .is_rest = true, .completion = COMPLETE_DEFAULT_RULE}}, .run = run_delete, .resource = &resource_default_rule},
    {.name = "security-group statefulness create", .help = "Say whether new groups are stateful (administrators)",
     .flags = {security_group_attributes, owner}, .run = run_create, .resource = &resource_default_statefulness,
     .details = "Of one project's groups with --project, else of all others'."},
    {.name = "security-group statefulness list", .help = "List whether new groups are stateful", .run = run_list,
     .resource = &resource_default_statefulness},
    {.name = "security-group statefulness set", .help = "Change whether new groups are stateful (administrators)", .arguments = {{.name = "ID"}},
     .flags = {security_group_attributes}, .run = run_set, .resource = &resource_default_statefulness},
    {.name = "security-group statefulness delete", .help = "Forget whether new groups are stateful (administrators)",
     .arguments = {{.name = "ID", .is_rest = true}}, .run = run_delete, .resource = &resource_default_statefulness},

    {.name = "address-group create", .help = "Create an address group, for rules to name", .arguments = {{.name = "NAME"}},
     .flags = {address_group_attributes, common_attributes, owner}, .run = run_create, .resource = &resource_address_group},
    {.name = "address-group list", .help = "List address groups", .flags = {name_filter, filters}, .run = run_list, .resource = &resource_address_group},
    {.name = "address-group show", .help = "Show an address group", .arguments = {{.name = "GROUP", .completion = COMPLETE_ADDRESS_GROUP}},
     .run = run_show, .resource = &resource_address_group},
    {.name = "address-group set", .help = "Change an address group's name and description",
     .arguments = {{.name = "GROUP", .completion = COMPLETE_ADDRESS_GROUP}}, .flags = {change, common_attributes}, .run = run_set,
     .resource = &resource_address_group},
    {.name = "address-group add", .help = "Add addresses to an address group",
     .arguments = {{.name = "GROUP", .completion = COMPLETE_ADDRESS_GROUP}, {.name = "PREFIX", .is_rest = true}}, .run = run_address_group_add},
    {.name = "address-group remove", .help = "Take addresses out of an address group",
     .arguments = {{.name = "GROUP", .completion = COMPLETE_ADDRESS_GROUP}, {.name = "PREFIX", .is_rest = true}}, .run = run_address_group_remove},
    {.name = "address-group delete", .help = "Delete address groups",
     .arguments = {{.name = "GROUP", .is_rest = true, .completion = COMPLETE_ADDRESS_GROUP}}, .run = run_delete,
     .resource = &resource_address_group},
    {.name = "firewall group create", .help = "Create a firewall group", .arguments = {{.name = "NAME"}},
     .flags = {firewall_group_attributes, state_attributes, common_attributes, owner}, .run = run_create, .resource = &resource_firewall_group,
     .details = "It holds at ports of routers, each of which is in one group at most.  A direction without a policy lets nothing but answers pass."},
    {.name = "firewall group list", .help = "List firewall groups", .flags = {name_filter, filters}, .run = run_list, .resource = &resource_firewall_group},
    {.name = "firewall group show", .help = "Show a firewall group", .arguments = {{.name = "GROUP", .completion = COMPLETE_FIREWALL_GROUP}}, .run = run_show,
     .resource = &resource_firewall_group},
    {.name = "firewall group set", .help = "Change a firewall group", .arguments = {{.name = "GROUP", .completion = COMPLETE_FIREWALL_GROUP}},
     .flags = {change, firewall_group_attributes, firewall_group_change, state_attributes, common_attributes}, .run = run_set, .resource = &resource_firewall_group},
    {.name = "firewall group delete", .help = "Delete firewall groups",
     .arguments = {{.name = "GROUP", .is_rest = true, .completion = COMPLETE_FIREWALL_GROUP}}, .run = run_delete, .resource = &resource_firewall_group},
    {.name = "firewall policy create", .help = "Create a firewall policy", .arguments = {{.name = "NAME"}},
     .flags = {firewall_policy_attributes, common_attributes, owner}, .run = run_create, .resource = &resource_firewall_policy,
     .details = "The first rule that fits a packet decides; what none fits is dropped.  Answers of what is allowed pass."},
    {.name = "firewall policy list", .help = "List firewall policies", .flags = {name_filter, filters}, .run = run_list, .resource = &resource_firewall_policy},
    {.name = "firewall policy show", .help = "Show a firewall policy", .arguments = {{.name = "POLICY", .completion = COMPLETE_FIREWALL_POLICY}}, .run = run_show,
     .resource = &resource_firewall_policy},
    {.name = "firewall policy set", .help = "Change a firewall policy", .arguments = {{.name = "POLICY", .completion = COMPLETE_FIREWALL_POLICY}},
     .flags = {change, firewall_policy_attributes, common_attributes}, .run = run_set, .resource = &resource_firewall_policy},
    {.name = "firewall policy delete", .help = "Delete firewall policies",
     .arguments = {{.name = "POLICY", .is_rest = true, .completion = COMPLETE_FIREWALL_POLICY}}, .run = run_delete, .resource = &resource_firewall_policy},
    {.name = "firewall policy insert", .help = "Put a rule into a firewall policy: first, or where the flags say",
     .arguments = {{.name = "POLICY", .completion = COMPLETE_FIREWALL_POLICY}, {.name = "RULE", .completion = COMPLETE_FIREWALL_RULE}},
     .flags = {firewall_place}, .run = run_firewall_policy_insert},
    {.name = "firewall policy remove", .help = "Take a rule out of a firewall policy",
     .arguments = {{.name = "POLICY", .completion = COMPLETE_FIREWALL_POLICY}, {.name = "RULE", .completion = COMPLETE_FIREWALL_RULE}},
     .run = run_firewall_policy_remove},
    {.name = "firewall rule create", .help = "Create a firewall rule", .arguments = {{.name = "NAME"}},
     .flags = {firewall_rule_attributes, common_attributes, owner}, .run = run_create, .resource = &resource_firewall_rule,
     .details = "Addresses are as the router sees them: behind the translation of their destination and before that of their source."},
    {.name = "firewall rule list", .help = "List firewall rules", .flags = {name_filter, filters}, .run = run_list, .resource = &resource_firewall_rule},
    {.name = "firewall rule show", .help = "Show a firewall rule", .arguments = {{.name = "RULE", .completion = COMPLETE_FIREWALL_RULE}}, .run = run_show,
     .resource = &resource_firewall_rule},
    {.name = "firewall rule set", .help = "Change a firewall rule", .arguments = {{.name = "RULE", .completion = COMPLETE_FIREWALL_RULE}},
     .flags = {change, firewall_rule_attributes, common_attributes}, .run = run_set, .resource = &resource_firewall_rule},
    {.name = "firewall rule delete", .help = "Delete firewall rules",
     .arguments = {{.name = "RULE", .is_rest = true, .completion = COMPLETE_FIREWALL_RULE}}, .run = run_delete, .resource = &resource_firewall_rule},
    {.name = "log create", .help = "Log what security groups or firewalls let pass or drop", .arguments = {{.name = "NAME"}},
     .flags = {log_attributes, log_state, common_attributes, owner}, .run = run_create, .resource = &resource_log,
     .details = "For administrators.  Without --security-group, --firewall-group and --port: all ports of the project.  Each host logs to its own file, at most\n"
                "so many lines a second for each port: see weft-agent(8)."},
    {.name = "log list", .help = "List logs", .flags = {name_filter, filters}, .run = run_list, .resource = &resource_log},
    {.name = "log show", .help = "Show a log", .arguments = {{.name = "LOG", .completion = COMPLETE_LOG}}, .run = run_show, .resource = &resource_log},
    {.name = "log set", .help = "Change a log's name, or switch it on and off", .arguments = {{.name = "LOG", .completion = COMPLETE_LOG}},
     .flags = {change, log_state, common_attributes}, .run = run_set, .resource = &resource_log},
    {.name = "log delete", .help = "Delete logs", .arguments = {{.name = "LOG", .is_rest = true, .completion = COMPLETE_LOG}}, .run = run_delete,
     .resource = &resource_log},
    {.name = "log types", .help = "List what can be logged", .run = run_log_types},
    {.name = "log follow", .help = "Print what is logged at ports, as it happens",
     .arguments = {{.name = "PORT", .is_optional = true, .is_rest = true, .completion = COMPLETE_PORT}}, .run = run_log_follow,
     .details = "Of the ports named, or of all of yours that are bound to a host.  Prints nothing of ports that no log is about."},
    {.name = "router create", .help = "Create a router", .arguments = {{.name = "NAME"}},
     .flags = {router_gateway, state_attributes, common_attributes, owner}, .run = run_create, .resource = &resource_router},
    {.name = "router list", .help = "List routers", .flags = {name_filter, filters}, .run = run_list, .resource = &resource_router},
    {.name = "router show", .help = "Show a router", .arguments = {{.name = "ROUTER", .completion = COMPLETE_ROUTER}},
     .run = run_show, .resource = &resource_router},
    {.name = "router set", .help = "Change a router", .arguments = {{.name = "ROUTER", .completion = COMPLETE_ROUTER}},
     .flags = {change, router_gateway, router_set_attributes, state_attributes, common_attributes}, .run = run_set,
     .resource = &resource_router, .details = SET_DETAILS},
    {.name = "router delete", .help = "Delete routers",
     .arguments = {{.name = "ROUTER", .is_rest = true, .completion = COMPLETE_ROUTER}}, .run = run_delete,
     .resource = &resource_router},
    {.name = "router add-interface", .help = "Join a subnet to a router",
     .arguments = {{.name = "ROUTER", .completion = COMPLETE_ROUTER}}, .flags = {interface_flags}, .run = run_router_add_interface,
     .details = "One of --subnet and --port is needed.  The router takes the subnet's gateway address, or that of the port."},
    {.name = "router remove-interface", .help = "Part a subnet from a router",
     .arguments = {{.name = "ROUTER", .completion = COMPLETE_ROUTER}}, .flags = {interface_flags}, .run = run_router_remove_interface,
     .details = "The interface's port is deleted, also one that was given."},
    {.name = "router add-route", .help = "Add routes to a router",
     .arguments = {{.name = "ROUTER", .completion = COMPLETE_ROUTER}, {.name = "PREFIX=NEXTHOP", .is_rest = true}},
     .run = run_router_add_route},
    {.name = "router remove-route", .help = "Take routes from a router",
     .arguments = {{.name = "ROUTER", .completion = COMPLETE_ROUTER}, {.name = "PREFIX=NEXTHOP", .is_rest = true}},
     .run = run_router_remove_route},
    {.name = "router snat", .help = "Show which host translates to which ports of a router's address",
     .arguments = {{.name = "ROUTER", .completion = COMPLETE_ROUTER}}, .run = run_router_snat,
     .details = "For administrators.  A host that lacks ports needs more than are left of the address."},

    {.name = "floating-ip create", .help = "Take an address of an external network",
     .flags = {floating_ip_create_attributes, floating_ip_attributes, common_attributes, owner}, .run = run_create,
     .resource = &resource_floating_ip},
    {.name = "floating-ip list", .help = "List floating IPs", .flags = {floating_ip_filters, filters}, .run = run_list,
     .resource = &resource_floating_ip},
    {.name = "floating-ip show", .help = "Show a floating IP",
     .arguments = {{.name = "FLOATING-IP", .completion = COMPLETE_FLOATING_IP}}, .run = run_show, .resource = &resource_floating_ip},
    {.name = "floating-ip set", .help = "Change where a floating IP leads",
     .arguments = {{.name = "FLOATING-IP", .completion = COMPLETE_FLOATING_IP}},
     .flags = {floating_ip_attributes, floating_ip_set_attributes, common_attributes}, .run = run_set,
     .resource = &resource_floating_ip, .details = SET_DETAILS},
    {.name = "floating-ip delete", .help = "Give addresses back",
     .arguments = {{.name = "FLOATING-IP", .is_rest = true, .completion = COMPLETE_FLOATING_IP}}, .run = run_delete,
     .resource = &resource_floating_ip},

    {.name = "port-forwarding create", .help = "Forward a port of a floating IP",
     .arguments = {{.name = "FLOATING-IP", .completion = COMPLETE_FLOATING_IP}}, .flags = {forwarding_flags, common_attributes},
     .run = run_forwarding_create,
     .details = "--protocol, --external and --port are needed.  Of a port with several IPv4 addresses the first one is taken."},
    {.name = "port-forwarding list", .help = "List the port forwardings of a floating IP",
     .arguments = {{.name = "FLOATING-IP", .completion = COMPLETE_FLOATING_IP}}, .flags = {forwarding_filters},
     .run = run_forwarding_list},
    {.name = "port-forwarding show", .help = "Show a port forwarding",
     .arguments = {{.name = "FLOATING-IP", .completion = COMPLETE_FLOATING_IP}, {.name = "ID"}}, .run = run_forwarding_show},
    {.name = "port-forwarding set", .help = "Change a port forwarding",
     .arguments = {{.name = "FLOATING-IP", .completion = COMPLETE_FLOATING_IP}, {.name = "ID"}},
     .flags = {forwarding_flags, common_attributes}, .run = run_forwarding_set, .details = SET_DETAILS},
    {.name = "port-forwarding delete", .help = "Delete port forwardings",
     .arguments = {{.name = "FLOATING-IP", .completion = COMPLETE_FLOATING_IP}, {.name = "ID", .is_rest = true}},
     .run = run_forwarding_delete},

    {.name = "metadata set", .help = "Say what a port's workload is told at 169.254.169.254",
     .arguments = {{.name = "PORT", .completion = COMPLETE_PORT}}, .flags = {metadata_flags}, .run = run_metadata_set,
     .details = "What is given takes the place of what was there; the rest stays."},
    {.name = "metadata show", .help = "Show what was set for a port's workload",
     .arguments = {{.name = "PORT", .completion = COMPLETE_PORT}}, .run = run_metadata_show},
    {.name = "metadata clear", .help = "Take it all back", .arguments = {{.name = "PORT", .completion = COMPLETE_PORT}},
     .run = run_metadata_clear},

    {.name = "host create", .help = "Make a host known, and a token for it to join with", .arguments = {{.name = "NAME"}},
     .flags = {common_attributes}, .run = run_create, .resource = &resource_host},
    {.name = "host list", .help = "List hosts", .run = run_list, .resource = &resource_host},
    {.name = "host show", .help = "Show a host", .arguments = {{.name = "HOST", .completion = COMPLETE_HOST}},
     .run = run_show, .resource = &resource_host},
    {.name = "host delete", .help = "Forget hosts; their agents lose access",
     .arguments = {{.name = "HOST", .is_rest = true, .completion = COMPLETE_HOST}}, .run = run_delete,
     .resource = &resource_host},
    {.name = "host join-token", .help = "Make a new token for a host to join with",
     .arguments = {{.name = "HOST", .completion = COMPLETE_HOST}}, .run = run_host_join_token,
     .details = "It is shown once and can be used once."},

    {.name = "status", .help = "Show how the platform is", .run = run_status},
    {.name = "drops", .help = "Show dropped packets and why", .flags = {drops_flags}, .run = run_drops},
    {.name = "counters", .help = "Show traffic of ports",
     .arguments = {{.name = "PORT", .is_optional = true, .is_rest = true, .completion = COMPLETE_PORT}},
     .run = run_counters},
    {.name = "flows", .help = "Show a port's connections",
     .arguments = {{.name = "PORT", .completion = COMPLETE_PORT}}, .flags = {flows_flags}, .run = run_flows},
    {.name = "connections list", .help = "List connections of all hosts", .flags = {connection_conditions, flows_flags},
     .run = run_connections_list, .details = "Each host with a port that is meant is asked; which it is only administrators are told. A connection between two ports is known to both of their hosts."},
    {.name = "connections delete", .help = "End connections", .flags = {connection_conditions, connections_delete_flags}, .run = run_connections_delete,
     .details = "They are forgotten where they are known, with their translation. What still comes of one is judged as the beginning of another: TCP goes on "
                "where rules would let it begin and nothing is translated."},
    {.name = "trace", .help = "Follow a frame from a port to where it ends",
     .arguments = {{.name = "PORT", .completion = COMPLETE_PORT}}, .flags = {trace_flags}, .run = run_trace,
     .details = "Nothing is sent: the data plane's own code runs over the live tables of each host on the way."},

    {.name = "lb import", .help = "Make a director's configuration of keepalived's, ipvsadm's, or of a firewall's marks",
     .arguments = {{.name = "FILE", .completion = COMPLETE_FILE}}, .flags = {lb_import_flags}, .run = run_lb_import, .is_offline = true,
     .details = "What was not taken over is reported on standard error, a line for each of the file's.  Without --to the configuration is printed."},
    {.name = "lb list", .help = "List the services of the running director", .flags = {lb_socket_flags}, .run = run_lb_list, .is_offline = true},
    {.name = "lb show", .help = "Show the servers of the running director's services",
     .arguments = {{.name = "SERVICE", .is_optional = true}}, .flags = {lb_socket_flags}, .run = run_lb_show, .is_offline = true,
     .details = "SERVICE is a part of a service's name: 192.0.2.1:80, mark 5, udp."},
    {.name = "lab add", .help = "Make a namespace with a veth and plug it into a port", .arguments = {{.name = "NAME"}},
     .flags = {lab_add_flags}, .run = run_lab_add},
    {.name = "lab list", .help = "List workloads made by 'lab add'", .run = run_lab_list, .is_offline = true},
    {.name = "lab exec", .help = "Run a program in a workload",
     .arguments = {{.name = "NAME", .completion = COMPLETE_NETNS},
                   {.name = "PROGRAM", .is_rest = true, .is_program = true}},
     .run = run_lab_exec, .is_offline = true},
    {.name = "lab remove", .help = "Remove a workload, end its programs and unbind its port",
     .arguments = {{.name = "NAME", .completion = COMPLETE_NETNS}}, .flags = {keep_binding}, .run = run_lab_remove},

    {.name = "project create", .help = "Create a project", .arguments = {{.name = "NAME"}},
     .flags = {common_attributes, enabled_attributes}, .run = run_create, .resource = &resource_project},
    {.name = "project list", .help = "List projects", .run = run_list, .resource = &resource_project},
    {.name = "project show", .help = "Show a project",
     .arguments = {{.name = "PROJECT", .completion = COMPLETE_PROJECT}}, .run = run_show, .resource = &resource_project},
    {.name = "project delete", .help = "Delete projects",
     .arguments = {{.name = "PROJECT", .is_rest = true, .completion = COMPLETE_PROJECT}}, .run = run_delete,
     .resource = &resource_project},
    {.name = "user create", .help = "Create a user", .arguments = {{.name = "NAME"}},
     .flags = {user_flags, common_attributes, enabled_attributes}, .run = run_user_create},
    {.name = "user list", .help = "List users", .run = run_list, .resource = &resource_user},
    {.name = "user show", .help = "Show a user", .arguments = {{.name = "USER", .completion = COMPLETE_USER}},
     .run = run_show, .resource = &resource_user},
    {.name = "user delete", .help = "Delete users",
     .arguments = {{.name = "USER", .is_rest = true, .completion = COMPLETE_USER}}, .run = run_delete,
     .resource = &resource_user},
    {.name = "role list", .help = "List roles", .run = run_list, .resource = &resource_role},
    {.name = "role add", .help = "Give a user a role in a project",
     .arguments = {{.name = "ROLE", .completion = COMPLETE_ROLE}}, .flags = {grant_flags}, .run = run_role_add},
    {.name = "role remove", .help = "Take a role away",
     .arguments = {{.name = "ROLE", .completion = COMPLETE_ROLE}}, .flags = {grant_flags}, .run = run_role_remove},
    {.name = "token issue", .help = "Show a token, for OS_TOKEN", .run = run_token_issue},

    {.name = "quota show", .help = "Show a project's limits",
     .arguments = {{.name = "PROJECT", .is_optional = true, .completion = COMPLETE_PROJECT}}, .run = run_quota_show},
    {.name = "quota set", .help = "Change a project's limits",
     .arguments = {{.name = "PROJECT", .is_optional = true, .completion = COMPLETE_PROJECT}}, .flags = {quota_attributes},
     .run = run_quota_set},
    {.name = "quota reset", .help = "Give a project the default limits again",
     .arguments = {{.name = "PROJECT", .is_optional = true, .completion = COMPLETE_PROJECT}}, .run = run_quota_reset},

    {.name = "fabric show", .help = "Draw the switches, links and hosts of the network underneath", .run = run_fabric_show,
     .is_offline = true,
     .details = "Each link is a line between its two ports.  What is too large for the window is listed instead."},
    {.name = "fabric switch list", .help = "List switches", .run = run_fabric_switch_list, .is_offline = true},
    {.name = "fabric switch show", .help = "Show a switch and its ports",
     .arguments = {{.name = "SWITCH", .completion = COMPLETE_FABRIC_SWITCH}}, .run = run_fabric_switch_show, .is_offline = true,
     .details = "A switch is named by its datapath id, as 0xe5 or 229."},
    {.name = "fabric link list", .help = "List links", .run = run_fabric_link_list, .is_offline = true},
    {.name = "fabric host list", .help = "List hosts", .flags = {fabric_host_filters}, .run = run_fabric_host_list,
     .is_offline = true},
    {.name = "fabric paths", .help = "Show the paths from one host or switch to another",
     .arguments = {{.name = "FROM", .completion = COMPLETE_FABRIC_END}, {.name = "TO", .completion = COMPLETE_FABRIC_END}},
     .run = run_fabric_paths, .is_offline = true,
     .details = "A host is named by its MAC or IP address, a switch by its id.  '0xe5 :1 -> 1: 0xe3' leaves 0xe5 by port 1 and\n"
                "reaches 0xe3 at port 1."},
    {.name = "fabric flow list", .help = "List flows and the paths they have", .flags = {fabric_flow_filters},
     .run = run_fabric_flow_list, .is_offline = true},
    {.name = "fabric statistics", .help = "Show what weft-fabric counted", .run = run_fabric_statistics, .is_offline = true},
    {.name = "fabric slice list", .help = "List slices", .run = run_fabric_slice_list, .is_offline = true},
    {.name = "fabric slice show", .help = "Show a slice",
     .arguments = {{.name = "SLICE", .completion = COMPLETE_FABRIC_SLICE}}, .run = run_fabric_slice_show, .is_offline = true},
    {.name = "fabric slice set", .help = "Make a slice, or replace what belongs to it",
     .arguments = {{.name = "SLICE", .completion = COMPLETE_FABRIC_SLICE}}, .flags = {fabric_slice_flags},
     .run = run_fabric_slice_set, .is_offline = true,
     .details = "Hosts of a slice reach each other only; once there is a slice, hosts in none reach nobody.\n"
                "A BINDING is switch=0xe1,port=3 or with vlan=10, vlan=untagged or mac=MAC besides, or mac=MAC alone."},
    {.name = "fabric slice delete", .help = "Delete slices",
     .arguments = {{.name = "SLICE", .is_rest = true, .completion = COMPLETE_FABRIC_SLICE}}, .run = run_fabric_slice_delete,
     .is_offline = true},
    {.name = "fabric port set", .help = "Change a port's weight",
     .arguments = {{.name = "SWITCH", .completion = COMPLETE_FABRIC_SWITCH}, {.name = "PORT"}}, .flags = {fabric_port_flags},
     .run = run_fabric_port_set, .is_offline = true,
     .details = "Paths are those of the least sum of weights; a port has 1 unless it was changed."},
    {.name = "fabric role set", .help = "Change this controller's role",
     .arguments = {{.name = "ROLE", .completion = COMPLETE_CHOICES, .choices = "equal master slave"}}, .run = run_fabric_role_set,
     .is_offline = true},

    {.name = "completion", .help = "Print the completion script for a shell",
     .arguments = {{.name = "SHELL", .completion = COMPLETE_CHOICES, .choices = "bash zsh"}}, .run = run_completion,
     .is_offline = true},
    {.name = NULL},
};
