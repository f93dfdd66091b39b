#include "weft/base/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/cleanup.h"
#include "weft/base/util.h"

static void fclosep(FILE **file)
{
    if (*file)
        fclose(*file);
}

static const struct option_spec *find(const struct option_spec *specs, const char *name, size_t length)
{
    for (; specs->name; specs++)
        if (strlen(specs->name) == length && strncmp(specs->name, name, length) == 0)
            return specs;
    return NULL;
}

static int parse_flag(const char *text, bool *ret)
{
    if (streq(text, "true") || streq(text, "yes") || streq(text, "on") || streq(text, "1"))
        *ret = true;
    else if (streq(text, "false") || streq(text, "no") || streq(text, "off") || streq(text, "0"))
        *ret = false;
    else
        return -EINVAL;
    return 0;
}

static int assign(const struct option_spec *spec, const char *text, const char *where, struct error *error)
{
    char *copy;

    switch (spec->type) {
    case OPTION_STRING:
        copy = strdup(text);
        if (!copy)
            return -ENOMEM;
        free(*(char **)spec->value);
        *(char **)spec->value = copy;
        return 0;
    case OPTION_NUMBER:
        if (parse_u64(text, 0, UINT64_MAX, spec->value) < 0)
            return error_set(error, -EINVAL, spec->name, "%s%s: '%s' is not a number", where, spec->name, text);
        return 0;
    case OPTION_FLAG:
        if (parse_flag(text, spec->value) < 0)
            return error_set(error, -EINVAL, spec->name, "%s%s: '%s' is not true or false", where, spec->name, text);
        return 0;
    }
    return -EINVAL;
}

static char *strip(char *text)
{
    char *end = text + strlen(text);

    while (end > text && isspace((unsigned char)end[-1]))
        *--end = '\0';
    while (isspace((unsigned char)*text))
        text++;
    return text;
}

static int read_file(const struct option_spec *specs, const char *path, bool required, struct error *error)
{
    _cleanup_(fclosep) FILE *file = fopen(path, "re");
    _cleanup_(freep) char *line = NULL;
    size_t capacity = 0;

    if (!file) {
        if (!required && errno == ENOENT)
            return 0;
        return error_set(error, -errno, "config", "config: '%s': %s", path, strerror(errno));
    }
    for (int number = 1; getline(&line, &capacity, file) >= 0; number++) {
        char where[512], *name = strip(line), *equals = strchr(name, '='), *value;
        const struct option_spec *spec;
        int r;

        if (!*name || *name == '#')
            continue;
        snprintf(where, sizeof where, "%s:%d: ", path, number);
        if (!equals)
            return error_set(error, -EINVAL, "config", "%s'%s' is not 'name = value'", where, name);
        *equals = '\0';
        name = strip(name);
        value = strip(equals + 1);
        spec = find(specs, name, strlen(name));
        if (!spec)
            return error_set(error, -EINVAL, name, "%sthere is no setting '%s'", where, name);
        r = assign(spec, value, where, error);
        if (r < 0)
            return r;
    }
    return 0;
}

static void print_help(const struct option_spec *specs, const char *config_path, const char *usage)
{
    char left[64];

    printf("Usage: %s\n\nOptions:\n", usage);
    for (; specs->name; specs++) {
        snprintf(left, sizeof left, "--%s%s%s", specs->name, specs->placeholder ? " " : "",
                 specs->placeholder ? specs->placeholder : "");
        printf("  %-30s %s\n", left, specs->help);
    }
    printf("  %-30s settings file, 'name = value' lines (default %s)\n", "--config FILE", config_path);
    printf("  %-30s show this and exit\n  %-30s show the version and exit\n", "--help", "--version");
}

/* One flag of the command line, split; 'value' is NULL when it had no "=". */
struct flag {
    const char *name, *value;
    size_t length;
};

static struct flag split(const char *argument)
{
    const char *name = argument + 2, *equals = strchr(name, '=');

    return (struct flag){name, equals ? equals + 1 : NULL, equals ? (size_t)(equals - name) : strlen(name)};
}

static bool flag_is(const struct flag *flag, const char *name)
{
    return strlen(name) == flag->length && strncmp(flag->name, name, flag->length) == 0;
}

/* Walks the flags; with 'config' only looks for --config, --help and --version, else assigns the rest. */
static int walk(const struct option_spec *specs, const char *config_path, const char *usage, int argc, char **argv,
                const char **config, char ***ret_arguments, int *ret_n, struct error *error)
{
    int i;

    for (i = 1; i < argc && strncmp(argv[i], "--", 2) == 0 && argv[i][2]; i++) {
        struct flag flag = split(argv[i]);
        const struct option_spec *spec = find(specs, flag.name, flag.length);
        bool is_config = flag_is(&flag, "config");
        int r;

        if (flag_is(&flag, "help")) {
            print_help(specs, config_path, usage);
            exit(EXIT_SUCCESS);
        }
        if (flag_is(&flag, "version")) {
            printf("weft %s\n", WEFT_VERSION);
            exit(EXIT_SUCCESS);
        }
        if (!spec && !is_config)
            return error_set(error, -EINVAL, argv[i], "there is no option '%s'", argv[i]);
        if (!flag.value && spec && spec->type == OPTION_FLAG)
            flag.value = "true";
        if (!flag.value && ++i < argc)
            flag.value = argv[i];
        if (!flag.value)
            return error_set(error, -EINVAL, flag.name, "option '--%s' needs a value", flag.name);
        if (is_config) {
            if (config)
                *config = flag.value;
            continue;
        }
        if (config)
            continue;
        r = assign(spec, flag.value, "--", error);
        if (r < 0)
            return r;
    }
    if (i < argc && streq(argv[i], "--"))
        i++;
    *ret_arguments = argv + i;
    *ret_n = argc - i;
    return 0;
}

int options_parse(const struct option_spec *specs, const char *config_path, const char *usage, int argc, char **argv,
                  char ***ret_arguments, int *ret_n, struct error *error)
{
    const char *config = NULL;
    int r;

    r = walk(specs, config_path, usage, argc, argv, &config, ret_arguments, ret_n, error);
    if (r < 0)
        return r;
    r = read_file(specs, config ? config : config_path, config != NULL, error);
    if (r < 0)
        return r;
    return walk(specs, config_path, usage, argc, argv, NULL, ret_arguments, ret_n, error);
}

void options_clear(const struct option_spec *specs)
{
    for (; specs->name; specs++) {
        if (specs->type == OPTION_STRING) {
            free(*(char **)specs->value);
            *(char **)specs->value = NULL;
        }
    }
}
