/* From argv to a call: words name the command, flags may stand anywhere, and what is wrong is said with the nearest
 * thing that would have been right. */
#include "weft/cli/command.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"

#define MAX_NAME 40 /* Longer words are not compared for suggestions. */

size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][MAX_NAME + 1], n_a = strlen(a), n_b = strlen(b);
    size_t *before = rows[0], *previous = rows[1], *current = rows[2];

    if (n_a > MAX_NAME || n_b > MAX_NAME)
        return SIZE_MAX;
    for (size_t j = 0; j <= n_b; j++)
        previous[j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        size_t *spare = before;

        current[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t cost = a[i - 1] != b[j - 1];

            current[j] = MIN(MIN(previous[j] + 1, current[j - 1] + 1), previous[j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                current[j] = MIN(current[j], before[j - 2] + 1);
        }
        before = previous;
        previous = current;
        current = spare;
    }
    return previous[n_b];
}

struct suggestion {
    const char *word;
    const char *best;
    size_t best_length;
    size_t distance;
};

static void consider(struct suggestion *suggestion, const char *candidate, size_t length)
{
    char name[MAX_NAME + 1];
    size_t distance;

    if (length > MAX_NAME)
        return;
    memcpy(name, candidate, length);
    name[length] = '\0';
    distance = edit_distance(suggestion->word, name);
    /* A third of the word may be wrong, or it was cut short. */
    if (strncmp(name, suggestion->word, strlen(suggestion->word)) == 0)
        distance = MIN(distance, 1);
    if (distance < suggestion->distance && distance <= 1 + strlen(suggestion->word) / 3) {
        suggestion->distance = distance;
        suggestion->best = candidate;
        suggestion->best_length = length;
    }
}

static void consider_flag(const struct flag *flag, void *data)
{
    consider(data, flag->name, strlen(flag->name));
}

/* The n-th word of a command's name, or NULL. */
static const char *word_at(const char *name, size_t n, size_t *ret_length)
{
    for (; n > 0 && name; n--) {
        name = strchr(name, ' ');
        if (name)
            name++;
    }
    if (name)
        *ret_length = strcspn(name, " ");
    return name;
}

size_t command_n_words(const struct command *command)
{
    size_t n = 1;

    for (const char *p = command->name; *p; p++)
        n += *p == ' ';
    return n;
}

bool command_has_words(const struct command *command, char *const *words, size_t n_words)
{
    for (size_t i = 0; i < n_words; i++) {
        size_t length;
        const char *word = word_at(command->name, i, &length);

        if (!word || !words[i] || strlen(words[i]) != length || strncmp(word, words[i], length) != 0)
            return false;
    }
    return true;
}

void command_each_flag(const struct command *command, void (*visit)(const struct flag *flag, void *data), void *data)
{
    for (size_t i = 0; command && i < COMMAND_MAX_FLAG_GROUPS && command->flags[i]; i++)
        for (const struct flag *flag = command->flags[i]; flag->name; flag++)
            visit(flag, data);
    for (const struct flag *flag = global_flags; flag->name; flag++)
        visit(flag, data);
}

struct search {
    const char *name;
    size_t length;
    char letter;
    const struct flag *found;
};

static void match_flag(const struct flag *flag, void *data)
{
    struct search *search = data;

    if (search->found)
        return;
    if (search->letter ? flag->letter == search->letter
                       : strlen(flag->name) == search->length && strncmp(flag->name, search->name, search->length) == 0)
        search->found = flag;
}

/* The longest command whose words are the first of 'words'. */
static const struct command *find_command(char *const *words, size_t n_words)
{
    const struct command *best = NULL;

    COMMAND_FOREACH (command) {
        size_t n = command_n_words(command);

        if (n <= n_words && command_has_words(command, words, n) && (!best || n > command_n_words(best)))
            best = command;
    }
    return best;
}

/* Whether a later word could still belong to the command's name. */
static bool is_prefix(char *const *words, size_t n_words)
{
    COMMAND_FOREACH (command)
        if (command_n_words(command) > n_words && command_has_words(command, words, n_words))
            return true;
    return false;
}

static int unknown_command(struct call *call)
{
    size_t n_known = 0;
    struct suggestion suggestion = {.distance = SIZE_MAX};
    char group[128] = "";

    while (n_known < call->n_words && is_prefix(call->words, n_known + 1))
        n_known++;
    for (size_t i = 0; i < n_known; i++)
        snprintf(group + strlen(group), sizeof group - strlen(group), "%s ", call->words[i]);
    if (n_known == call->n_words)
        return error_set(&call->error, -EINVAL, "command", "'%s' needs one more word; see 'weft %s--help'",
                         call->n_words ? call->words[call->n_words - 1] : "weft", group);
    suggestion.word = call->words[n_known];
    COMMAND_FOREACH (command) {
        size_t length;
        const char *word = word_at(command->name, n_known, &length);

        if (word && command_has_words(command, call->words, n_known))
            consider(&suggestion, word, length);
    }
    if (suggestion.best)
        return error_set(&call->error, -EINVAL, "command",
                         "there is no command '%s%s'; did you mean '%s%.*s'?", group, suggestion.word, group,
                         (int)suggestion.best_length, suggestion.best);
    return error_set(&call->error, -EINVAL, "command", "there is no command '%s%s'; see 'weft %s--help'", group,
                     suggestion.word, group);
}

static int unknown_flag(struct call *call, const char *text)
{
    char word[MAX_NAME + 1];
    struct suggestion suggestion = {.word = word, .distance = SIZE_MAX};
    const char *start = text + strspn(text, "-");

    snprintf(word, sizeof word, "%.*s", (int)strcspn(start, "="), start);
    command_each_flag(call->command, consider_flag, &suggestion);
    if (suggestion.best && strlen(word) > 1)
        return error_set(&call->error, -EINVAL, text, "there is no option '%s'; did you mean '--%s'?", text,
                         suggestion.best);
    return error_set(&call->error, -EINVAL, text, "there is no option '%s'%s%s%s", text,
                     call->command ? " for 'weft " : "", call->command ? call->command->name : "",
                     call->command ? "'" : "");
}

static bool is_choice(const char *choices, const char *text)
{
    size_t length = strlen(text);

    for (const char *word = choices; word; word = strchr(word, ' ') ? strchr(word, ' ') + 1 : NULL)
        if (strcspn(word, " ") == length && strncmp(word, text, length) == 0)
            return true;
    return false;
}

static int check_choice(struct call *call, const char *what, const char *choices, const char *text)
{
    if (!choices || is_choice(choices, text))
        return 0;
    return error_set(&call->error, -EINVAL, what, "%s: '%s' is not one of: %s", what, text, choices);
}

static int add_value(struct call *call, const struct flag *flag, const char *text)
{
    char name[64];

    if (call->n_values == CALL_MAX_VALUES)
        return error_set(&call->error, -E2BIG, flag->name, "--%s: more than %d options", flag->name, CALL_MAX_VALUES);
    call->values[call->n_values++] = (struct flag_value){flag, text};
    snprintf(name, sizeof name, "--%s", flag->name);
    return check_choice(call, name, flag->choices, text);
}

/* Reads the flag at argv[*i] and, where it needs one, its value behind it. */
static int parse_flag(int argc, char **argv, int *i, struct call *call)
{
    const char *text = argv[*i], *value = NULL;
    struct search search = {0};

    if (text[1] == '-') {
        search.name = text + 2;
        search.length = strcspn(search.name, "=");
        value = search.name[search.length] ? search.name + search.length + 1 : NULL;
    } else {
        search.letter = text[1];
        value = text[2] ? text + 2 : NULL;
    }
    command_each_flag(call->command, match_flag, &search);
    if (!search.found)
        return unknown_flag(call, text);
    if (search.found->type == FLAG_PRESENT) {
        if (value)
            return error_set(&call->error, -EINVAL, text, "option '--%s' takes no value, '%s' was given",
                             search.found->name, value);
        call->wants_help |= streq(search.found->name, "help");
        call->wants_version |= streq(search.found->name, "version");
        return add_value(call, search.found, "");
    }
    if (!value && *i + 1 < argc)
        value = argv[++*i];
    if (!value)
        return error_set(&call->error, -EINVAL, text, "option '--%s' needs a value: %s", search.found->name,
                         search.found->placeholder);
    return add_value(call, search.found, value);
}

static int check_arguments(struct call *call)
{
    size_t n_maximum = 0;

    for (size_t i = 0; i < COMMAND_MAX_ARGUMENTS && call->command->arguments[i].name; i++) {
        const struct argument *argument = &call->command->arguments[i];

        if (i >= call->n_arguments) {
            if (!argument->is_optional)
                return error_set(&call->error, -EINVAL, argument->name, "%s is missing; see 'weft %s --help'",
                                 argument->name, call->command->name);
        } else {
            int r = check_choice(call, argument->name, argument->choices, call->arguments[i]);

            if (r < 0)
                return r;
        }
        n_maximum = argument->is_rest ? SIZE_MAX : i + 1;
    }
    if (call->n_arguments > n_maximum)
        return error_set(&call->error, -EINVAL, "arguments", "'%s' is one argument too many; see 'weft %s --help'",
                         call->arguments[n_maximum], call->command->name);
    return 0;
}

/* The words that can name a command are those before the first "--"; finds the command, ignoring flags it may own. */
static const struct command *look_ahead(int argc, char **argv)
{
    char *words[3] = {NULL};
    size_t n = 0;

    for (int i = 1; i < argc && n < ARRAY_SIZE(words); i++) {
        struct search search = {0};

        if (streq(argv[i], "--"))
            break;
        if (argv[i][0] != '-' || !argv[i][1]) {
            words[n++] = argv[i];
            continue;
        }
        /* Before the command's name only global flags can stand, so that their values can be told from words. */
        if (argv[i][1] == '-') {
            search.name = argv[i] + 2;
            search.length = strcspn(search.name, "=");
            if (search.name[search.length])
                continue;
        } else {
            search.letter = argv[i][1];
            if (argv[i][2])
                continue;
        }
        command_each_flag(find_command(words, n), match_flag, &search);
        if (search.found && search.found->type != FLAG_PRESENT)
            i++;
    }
    return find_command(words, n);
}

/* Whether the word at 'index' begins a program to run. */
static bool starts_program(const struct command *command, size_t index)
{
    size_t n_name = command ? command_n_words(command) : 0;

    return command && index >= n_name && index - n_name < COMMAND_MAX_ARGUMENTS &&
           command->arguments[index - n_name].is_program;
}

int command_parse(int argc, char **argv, struct call *call)
{
    bool flags_ended = false;
    size_t n_name;
    int r;

    memset(call, 0, sizeof *call);
    call->command = look_ahead(argc, argv);
    n_name = call->command ? command_n_words(call->command) : 0;
    for (int i = 1; i < argc; i++) {
        if (!flags_ended && streq(argv[i], "--")) {
            flags_ended = true;
        } else if (!flags_ended && argv[i][0] == '-' && argv[i][1]) {
            r = parse_flag(argc, argv, &i, call);
            if (r < 0)
                return r;
        } else if (call->n_words == ARRAY_SIZE(call->words)) {
            return error_set(&call->error, -E2BIG, "arguments", "more than %zu arguments", ARRAY_SIZE(call->words));
        } else {
            call->words[call->n_words++] = argv[i];
            flags_ended |= starts_program(call->command, call->n_words - 1);
        }
    }
    if (call->wants_help || call->wants_version)
        return 0;
    if (!call->command)
        return unknown_command(call);
    call->arguments = (const char *const *)call->words + n_name;
    call->n_arguments = call->n_words - n_name;
    return check_arguments(call);
}

const char *call_flag(const struct call *call, const char *name)
{
    for (size_t i = call->n_values; i > 0; i--)
        if (streq(call->values[i - 1].flag->name, name))
            return call->values[i - 1].text;
    return NULL;
}

const char *call_argument(const struct call *call, size_t index)
{
    return index < call->n_arguments ? call->arguments[index] : NULL;
}
