/* The network underneath. */
#include <stddef.h>

#include "weft/cli/commands/tables.h"
#include "weft/cli/fabric.h"

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

const struct command commands_fabric[] = {
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
    {.name = NULL},
};
