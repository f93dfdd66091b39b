/* Projects, users, roles, and what projects may have. */
#include <stddef.h>

#include "weft/cli/commands/tables.h"
#include "weft/cli/identity.h"
#include "weft/cli/resource.h"

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
    ATTRIBUTE("balance-rows", "NUMBER", "rows of load balancers' tables: 251 for a small pool", ENCODE_NUMBER, "balance_rows"),
    END,
};

const struct command commands_identity[] = {
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
    {.name = NULL},
};
