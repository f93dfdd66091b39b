/* Firewalls of routers. */
#include <stddef.h>

#include "weft/cli/commands/tables.h"
#include "weft/cli/firewall.h"
#include "weft/cli/resource.h"

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

const struct command commands_firewall[] = {
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
    {.name = NULL},
};
