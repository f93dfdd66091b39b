/* --help at each level, from the table. */
#include "weft/cli/command.h"

#include <string.h>

#include "weft/base/util.h"

static void print_flag(const struct flag *flag, void *data)
{
    char left[64];

    if (flag->letter)
        snprintf(left, sizeof left, "-%c, --%s", flag->letter, flag->name);
    else
        snprintf(left, sizeof left, "    --%s", flag->name);
    if (flag->placeholder)
        snprintf(left + strlen(left), sizeof left - strlen(left), " %s", flag->placeholder);
    fprintf(data, "  %-34s %s%s%s%s\n", left, flag->help, flag->choices ? " (" : "", flag->choices ? flag->choices : "",
            flag->choices ? ")" : "");
}

static void print_arguments(FILE *out, const struct command *command)
{
    for (size_t i = 0; i < COMMAND_MAX_ARGUMENTS && command->arguments[i].name; i++) {
        const struct argument *argument = &command->arguments[i];

        fprintf(out, argument->is_optional ? " [%s%s]" : " %s%s", argument->name, argument->is_rest ? "..." : "");
    }
}

static void command_own_help(FILE *out, const struct command *command)
{
    fprintf(out, "Usage: weft %s", command->name);
    print_arguments(out, command);
    fprintf(out, " [OPTION]...\n\n%s.\n", command->help);
    if (command->details)
        fprintf(out, "\n%s\n", command->details);
    if (command->flags[0]) {
        fprintf(out, "\nOptions:\n");
        for (size_t i = 0; i < COMMAND_MAX_FLAG_GROUPS && command->flags[i]; i++)
            for (const struct flag *flag = command->flags[i]; flag->name; flag++)
                print_flag(flag, out);
    }
    fprintf(out, "\nOptions of every command: see 'weft --help'.\n");
}

static void list_commands(FILE *out, char *const *words, size_t n_words)
{
    COMMAND_FOREACH (command)
        if (command_has_words(command, words, n_words))
            fprintf(out, "  %-36s %s\n", command->name, command->help);
}

void command_help(FILE *out, char *const *words, size_t n_words)
{
    const struct command *own = NULL;
    size_t n_known = 0;

    COMMAND_FOREACH (command)
        if (command_n_words(command) <= n_words && command_has_words(command, words, command_n_words(command)))
            own = command;
    if (own) {
        command_own_help(out, own);
        return;
    }
    for (size_t n = n_words; n > 0 && !n_known; n--)
        COMMAND_FOREACH (command)
            if (command_has_words(command, words, n))
                n_known = n;
    if (n_known) {
        fprintf(out, "Usage: weft");
        for (size_t i = 0; i < n_known; i++)
            fprintf(out, " %s", words[i]);
        fprintf(out, " COMMAND [ARGUMENT]... [OPTION]...\n\nCommands:\n");
        list_commands(out, words, n_known);
        fprintf(out, "\n'weft COMMAND --help' says more of each.\n");
        return;
    }
    fprintf(out, "Usage: weft COMMAND [ARGUMENT]... [OPTION]...\n\n"
                 "The command line of weft, a network virtualization platform.  It speaks the OpenStack Networking\n"
                 "API; names and ids are accepted wherever one is needed.\n\nCommands:\n");
    list_commands(out, NULL, 0);
    fprintf(out, "\nOptions of every command:\n");
    for (const struct flag *flag = global_flags; flag->name; flag++)
        print_flag(flag, out);
    fprintf(out, "\nEach --os- option can be given as an environment variable (--os-auth-url: OS_AUTH_URL) or in\n"
                 "~/.config/weft/credentials ('auth-url = ...').  'weft COMMAND --help' says more of each command.\n");
}
