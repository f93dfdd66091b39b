/* Security groups, their rules, and the groups that those name. */
#include <stddef.h>

#include "weft/cli/commands/tables.h"
#include "weft/cli/resource.h"
#include "weft/cli/security.h"

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

const struct command commands_security[] = {
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
    {.name = NULL},
};
