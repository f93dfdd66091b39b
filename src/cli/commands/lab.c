/* Workloads to try things with. */
#include <stddef.h>

#include "weft/cli/commands/tables.h"
#include "weft/cli/lab.h"

static const struct flag lab_add_flags[] = {
    OWN("port", "PORT", "the port to plug it into (required)", COMPLETE_PORT),
    OWN("host-netns", "NAMESPACE", "where the host's end goes, when the host is a namespace", COMPLETE_NETNS),
    OWN_CHOICE("address", "HOW", "how it gets its addresses (dhcp)", "dhcp static none"),
    END,
};

const struct command commands_lab[] = {
    {.name = "lab add", .help = "Make a namespace with a veth and plug it into a port", .arguments = {{.name = "NAME"}},
     .flags = {lab_add_flags}, .run = run_lab_add},
    {.name = "lab list", .help = "List workloads made by 'lab add'", .run = run_lab_list, .is_offline = true},
    {.name = "lab exec", .help = "Run a program in a workload",
     .arguments = {{.name = "NAME", .completion = COMPLETE_NETNS},
                   {.name = "PROGRAM", .is_rest = true, .is_program = true}},
     .run = run_lab_exec, .is_offline = true},
    {.name = "lab remove", .help = "Remove a workload, end its programs and unbind its port",
     .arguments = {{.name = "NAME", .completion = COMPLETE_NETNS}}, .flags = {keep_binding}, .run = run_lab_remove},
    {.name = NULL},
};
