/* What security groups let pass and drop. */
#include <stddef.h>

#include "weft/cli/commands/tables.h"
#include "weft/cli/logs.h"
#include "weft/cli/resource.h"

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

const struct command commands_logs[] = {
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
    {.name = NULL},
};
