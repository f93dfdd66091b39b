/* What workloads are told. */
#include <stddef.h>

#include "weft/cli/commands/tables.h"
#include "weft/cli/metadata.h"

static const struct flag metadata_flags[] = {
    OWN("hostname", "NAME", "its host name, instead of the port's name", COMPLETE_NOTHING),
    {.name = "public-key", .type = FLAG_REPEATED, .placeholder = "NAME=FILE", .help = "an SSH key that may log in"},
    OWN("user-data", "FILE", "what cloud-init runs at the first start; - is standard input", COMPLETE_FILE),
    {.name = "meta", .type = FLAG_REPEATED, .placeholder = "NAME=TEXT", .help = "a text of its own"},
    END,
};

const struct command commands_metadata[] = {
    {.name = "metadata set", .help = "Say what a port's workload is told at 169.254.169.254",
     .arguments = {{.name = "PORT", .completion = COMPLETE_PORT}}, .flags = {metadata_flags}, .run = run_metadata_set,
     .details = "What is given takes the place of what was there; the rest stays."},
    {.name = "metadata show", .help = "Show what was set for a port's workload",
     .arguments = {{.name = "PORT", .completion = COMPLETE_PORT}}, .run = run_metadata_show},
    {.name = "metadata clear", .help = "Take it all back", .arguments = {{.name = "PORT", .completion = COMPLETE_PORT}},
     .run = run_metadata_clear},
    {.name = NULL},
};
