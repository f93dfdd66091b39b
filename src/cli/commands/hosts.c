/* Hosts. */
#include <stddef.h>

#include "weft/cli/commands/tables.h"
#include "weft/cli/hosts.h"
#include "weft/cli/resource.h"

const struct command commands_hosts[] = {
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
    {.name = NULL},
};
