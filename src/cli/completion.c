#include "weft/cli/completion.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/cli/fabric.h"
#include "weft/cli/resource.h"
#include "weft/cli/session.h"

static const char bash_script[] =
    "# bash completion for weft; load with: source <(weft completion bash)\n"
    "_weft() {\n"
    "    local line\n"
    "    COMPREPLY=()\n"
    "    while IFS= read -r line; do\n"
    "        case $line in\n"
    "        ' files') compopt -o default; return ;;\n"
    "        *) COMPREPLY+=(\"$(printf '%q' \"$line\")\") ;;\n"
    "        esac\n"
    "    done < <(weft __complete \"$COMP_CWORD\" \"${COMP_WORDS[@]}\" 2>/dev/null)\n"
    "}\n"
    "complete -F _weft weft\n";

static const char zsh_script[] =
    "#compdef weft\n"
    "# zsh completion for weft; load with: source <(weft completion zsh)\n"
    "_weft() {\n"
    "    local -a found\n"
    "    found=(${(f)\"$(weft __complete $((CURRENT - 1)) \"${words[@]}\" 2>/dev/null)\"})\n"
    "    if [[ $found[1] == ' files' ]]; then _files; else compadd -- $found; fi\n"
    "}\n"
    "if [ \"$funcstack[1]\" = _weft ]; then _weft \"$@\"; else compdef _weft weft; fi\n";

int run_completion(struct call *call)
{
    fputs(streq(call_argument(call, 0), "bash") ? bash_script : zsh_script, stdout);
    return 0;
}

/* ---- candidates -------------------------------------------------------------------------------------------------- */

struct query {
    const char *word;      /* As far as it is typed. */
    struct call call;      /* The words before it, for settings and the command. */
};

static void offer(const struct query *query, const char *candidate, size_t length)
{
    if (length > 0 && strncmp(candidate, query->word, strlen(query->word)) == 0 && length >= strlen(query->word))
        printf("%.*s\n", (int)length, candidate);
}

static void offer_folder(const struct query *query, const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;

    while (folder && (entry = readdir(folder)))
        if (entry->d_name[0] != '.')
            offer(query, entry->d_name, strlen(entry->d_name));
    if (folder)
        closedir(folder);
}

static void offer_names(struct query *query, const struct resource *resource)
{
    _cleanup_(session_freep) struct session *session = NULL;
    _cleanup_(json_decrefp) json_t *objects = NULL;
    struct settings_values settings;
    struct error ignored = {0};
    const json_t *object;
    size_t i;

    if (settings_load(&query->call, &settings, &ignored) < 0 || session_new(&settings, false, &session) < 0)
        return;
    if (resource_list(session, resource, NULL, &objects, &ignored) < 0)
        return;
    json_array_foreach (objects, i, object) {
        const char *name = resource_name(resource, object);

        offer(query, *name ? name : resource_id(object), strlen(*name ? name : resource_id(object)));
    }
}

/* Hosts by their addresses, where they have any: shells take a MAC's colons for ends of words. */
static void offer_host(const struct query *query, const json_t *host)
{
    const json_t *address;
    size_t i;

    json_array_foreach (json_object_get(host, "addresses"), i, address)
        offer(query, json_string_value(address), strlen(json_string_value(address)));
    offer(query, resource_string(host, "mac"), strlen(resource_string(host, "mac")));
}

static void offer_fabric(struct query *query, const char *collection, const char *attribute)
{
    _cleanup_(session_freep) struct session *session = NULL;
    _cleanup_(json_decrefp) json_t *objects = NULL;
    struct settings_values settings;
    struct error ignored = {0};
    const json_t *object;
    size_t i;

    if (settings_load(&query->call, &settings, &ignored) < 0 || session_new(&settings, false, &session) < 0)
        return;
    if (fabric_list(session, collection, NULL, &objects, &ignored) < 0)
        return;
    json_array_foreach (objects, i, object) {
        const char *text = attribute ? resource_string(object, attribute) : "";
        char short_id[20];
        uint64_t id;

        if (attribute && streq(attribute, "id") && fabric_parse_id(text, &id) == 0) {
            snprintf(short_id, sizeof short_id, "0x%llx", (unsigned long long)id);
            text = short_id;
        }
        if (attribute)
            offer(query, text, strlen(text));
        else
            offer_host(query, object);
    }
}

static void offer_choices(const struct query *query, const char *choices)
{
    for (const char *word = choices; word && *word; word += strcspn(word, " "), word += *word == ' ')
        offer(query, word, strcspn(word, " "));
}

static void offer_values(struct query *query, enum completion completion, const char *choices)
{
    static const struct resource *const resources[] = {
        [COMPLETE_NETWORK] = &resource_network, [COMPLETE_SUBNET] = &resource_subnet, [COMPLETE_PORT] = &resource_port,
        [COMPLETE_ROUTER] = &resource_router,   [COMPLETE_FLOATING_IP] = &resource_floating_ip,
        [COMPLETE_HOST] = &resource_host,       [COMPLETE_PROJECT] = &resource_project, [COMPLETE_USER] = &resource_user,
        [COMPLETE_ROLE] = &resource_role,       [COMPLETE_SECURITY_GROUP] = &resource_security_group,
        [COMPLETE_SECURITY_GROUP_RULE] = &resource_security_group_rule, [COMPLETE_ADDRESS_GROUP] = &resource_address_group,
        [COMPLETE_ADDRESS_SCOPE] = &resource_address_scope, [COMPLETE_SUBNET_POOL] = &resource_subnet_pool,
        [COMPLETE_DEFAULT_RULE] = &resource_default_rule,
        [COMPLETE_FIREWALL_GROUP] = &resource_firewall_group, [COMPLETE_FIREWALL_POLICY] = &resource_firewall_policy,
        [COMPLETE_FIREWALL_RULE] = &resource_firewall_rule,
        [COMPLETE_LOG] = &resource_log,
        [COMPLETE_LOAD_BALANCER] = &resource_load_balancer, [COMPLETE_LISTENER] = &resource_listener,
        [COMPLETE_POOL] = &resource_pool, [COMPLETE_HEALTH_MONITOR] = &resource_health_monitor,
    };

    if (choices)
        offer_choices(query, choices);
    else if (completion == COMPLETE_FILE)
        puts(" files");
    else if (completion == COMPLETE_INTERFACE)
        offer_folder(query, "/sys/class/net");
    else if (completion == COMPLETE_NETNS)
        offer_folder(query, "/run/netns");
    else if (completion == COMPLETE_FABRIC_SLICE)
        offer_fabric(query, "slices", "name");
    else if (completion >= COMPLETE_FABRIC_SWITCH) {
        if (completion != COMPLETE_FABRIC_HOST)
            offer_fabric(query, "switches", "id");
        if (completion != COMPLETE_FABRIC_SWITCH)
            offer_fabric(query, "hosts", NULL);
    } else if (completion >= COMPLETE_NETWORK)
        offer_names(query, resources[completion]);
}

/* ---- what stands at the cursor ----------------------------------------------------------------------------------- */

static void offer_flag(const struct flag *flag, void *data)
{
    const struct query *query = data;
    char text[64];

    snprintf(text, sizeof text, "--%s", flag->name);
    offer(query, text, strlen(text));
}

/* The next word of every command that begins with the words so far, each once. */
static void offer_commands(const struct query *query)
{
    const char *last = NULL;
    size_t last_length = 0;

    COMMAND_FOREACH (command) {
        const char *word = command->name;
        size_t length;

        if (command_n_words(command) <= query->call.n_words ||
            !command_has_words(command, query->call.words, query->call.n_words))
            continue;
        for (size_t i = 0; i < query->call.n_words; i++)
            word = strchr(word, ' ') + 1;
        length = strcspn(word, " ");
        if (!last || length != last_length || strncmp(word, last, length) != 0)
            offer(query, word, length);
        last = word;
        last_length = length;
    }
}

struct lookup {
    const char *name;
    const struct flag *found;
};

static void look_up(const struct flag *flag, void *data)
{
    struct lookup *lookup = data;

    if (!lookup->found &&
        ((lookup->name[1] == '-' && streq(flag->name, lookup->name + 2)) ||
         (flag->letter && lookup->name[1] == flag->letter && !lookup->name[2])))
        lookup->found = flag;
}

static void offer_argument(struct query *query)
{
    const struct command *command = query->call.command;
    size_t index = query->call.n_words - command_n_words(command);

    for (size_t i = 0; i < COMMAND_MAX_ARGUMENTS && command->arguments[i].name; i++) {
        const struct argument *argument = &command->arguments[i];

        if (i == index || (argument->is_rest && i <= index)) {
            offer_values(query, argument->completion, argument->choices);
            return;
        }
    }
}

int completion_answer(int argc, char **argv)
{
    struct query query = {.word = ""};
    struct lookup before = {0};
    uint64_t at;
    char *cursor;

    /* argv: weft __complete N weft word... */
    if (argc < 4 || parse_u64(argv[2], 1, 4096, &at) < 0)
        return EXIT_USAGE;
    argv += 3;
    argc -= 3;
    if (at < (uint64_t)argc) {
        cursor = argv[at];
        query.word = cursor;
        argc = (int)at;
    }
    /* What is wrong or missing in the words before does not matter here. */
    command_parse(argc, argv, &query.call);
    if (argc > 1 && argv[argc - 1][0] == '-' && argv[argc - 1][1]) {
        before.name = argv[argc - 1];
        command_each_flag(query.call.command, look_up, &before);
    }
    if (before.found && before.found->type != FLAG_PRESENT)
        offer_values(&query, before.found->completion, before.found->choices);
    else if (query.word[0] == '-')
        command_each_flag(query.call.command, offer_flag, &query);
    else if (query.call.command)
        offer_argument(&query);
    else
        offer_commands(&query);
    return EXIT_OK;
}
