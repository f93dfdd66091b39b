/* The table of commands: what all commands have, and the list of its parts (commands/).  Parsing, --help, completion and the man page's check
 * read it. */
#include <stddef.h>

#include "weft/cli/commands/tables.h"
#include "weft/cli/completion.h"

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

const struct flag common_attributes[] = {
    ATTRIBUTE("description", "TEXT", "free text", ENCODE_STRING, "description"),
    END,
};
const struct flag state_attributes[] = {
    SWITCH("enable", "administrative state up", ENCODE_TRUE, "admin_state_up"),
    SWITCH("disable", "administrative state down: no traffic", ENCODE_FALSE, "admin_state_up"),
    END,
};
const struct flag owner[] = {
    NAMED("project", "PROJECT", "for this project (administrators)", COMPLETE_PROJECT, ENCODE_PROJECT, "project_id"),
    END,
};
const struct flag change[] = {
    ATTRIBUTE("name", "NAME", "a new name", ENCODE_STRING, "name"),
    OWN("if-revision", "NUMBER", "only if revision_number is still this", COMPLETE_NOTHING),
    END,
};
const struct flag name_filter[] = {
    ATTRIBUTE("name", "NAME", "only of this name", ENCODE_STRING, "name"),
    END,
};
const struct flag filters[] = {
    NAMED("project", "PROJECT", "only of this project", COMPLETE_PROJECT, ENCODE_PROJECT, "project_id"),
    ATTRIBUTE("limit", "NUMBER", "at most so many", ENCODE_NUMBER, "limit"),
    ATTRIBUTE("marker", "ID", "begin behind this one", ENCODE_STRING, "marker"),
    ATTRIBUTE("sort", "ATTRIBUTE", "order by this attribute", ENCODE_STRING, "sort_key"),
    CHOICE("sort-dir", "DIRECTION", "in this direction", "asc desc", ENCODE_STRING, "sort_dir"),
    END,
};
const struct flag keep_binding[] = {
    OWN_SWITCH("keep-binding", "leave the port bound to this host"),
    END,
};

/* ---- commands ---------------------------------------------------------------------------------------------------- */

static const struct command commands_completion[] = {
    {.name = "completion", .help = "Print the completion script for a shell",
     .arguments = {{.name = "SHELL", .completion = COMPLETE_CHOICES, .choices = "bash zsh"}}, .run = run_completion,
     .is_offline = true},
    {.name = NULL},
};

/* In the order of --help. */
const struct command *const command_tables[] = {
    commands_networks, commands_ports, commands_security, commands_firewall, commands_logs, commands_routing, commands_load_balancing,
    commands_metadata, commands_hosts, commands_seeing, commands_director, commands_lab, commands_identity, commands_fabric,
    commands_completion, NULL,
};
