#include "weft/cli/settings.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "weft/base/cleanup.h"
#include "weft/base/util.h"

/* The file's key is the flag's name without "os-". */
static const struct {
    const char *flag, *variable;
} names[SETTING_N] = {
    [SETTING_AUTH_URL] = {"os-auth-url", "OS_AUTH_URL"},
    [SETTING_USERNAME] = {"os-username", "OS_USERNAME"},
    [SETTING_USER_ID] = {"os-user-id", "OS_USER_ID"},
    [SETTING_PASSWORD] = {"os-password", "OS_PASSWORD"},
    [SETTING_PROJECT_NAME] = {"os-project-name", "OS_PROJECT_NAME"},
    [SETTING_PROJECT_ID] = {"os-project-id", "OS_PROJECT_ID"},
    [SETTING_USER_DOMAIN_NAME] = {"os-user-domain-name", "OS_USER_DOMAIN_NAME"},
    [SETTING_PROJECT_DOMAIN_NAME] = {"os-project-domain-name", "OS_PROJECT_DOMAIN_NAME"},
    [SETTING_TOKEN] = {"os-token", "OS_TOKEN"},
    [SETTING_ENDPOINT] = {"os-endpoint", "OS_ENDPOINT"},
    [SETTING_CACERT] = {"os-cacert", "OS_CACERT"},
    [SETTING_INSECURE] = {"os-insecure", "OS_INSECURE"},
    [SETTING_AGENT_SOCKET] = {"agent-socket", "WEFT_AGENT_SOCKET"},
    [SETTING_FABRIC_URL] = {"fabric-url", "WEFT_FABRIC_URL"},
    [SETTING_FABRIC_TOKEN] = {"fabric-token", "WEFT_FABRIC_TOKEN"},
    [SETTING_FABRIC_TOKEN_FILE] = {"fabric-token-file", "WEFT_FABRIC_TOKEN_FILE"},
    [SETTING_FABRIC_CA] = {"fabric-ca", "WEFT_FABRIC_CA"},
};

const char *setting_flag(enum setting setting)
{
    return names[setting].flag;
}

const char *setting_variable(enum setting setting)
{
    return names[setting].variable;
}

static void fclosep(FILE **file)
{
    if (*file)
        fclose(*file);
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

static int assign(struct settings_values *settings, enum setting setting, const char *text)
{
    if (settings->values[setting] || !text || !*text)
        return 0;
    settings->values[setting] = strdup(text);
    return settings->values[setting] ? 0 : -ENOMEM;
}

static int assign_by_key(struct settings_values *settings, const char *path, int line, const char *key, const char *text,
                         struct error *error)
{
    for (int i = 0; i < SETTING_N; i++) {
        const char *name = names[i].flag + (strncmp(names[i].flag, "os-", 3) == 0 ? 3 : 0);

        if (streq(name, key))
            return assign(settings, i, text);
    }
    return error_set(error, -EINVAL, key, "%s:%d: there is no setting '%s'", path, line, key);
}

static int read_file(struct settings_values *settings, struct error *error)
{
    const char *home = getenv("HOME"), *config = getenv("XDG_CONFIG_HOME");
    _cleanup_(fclosep) FILE *file = NULL;
    _cleanup_(freep) char *line = NULL;
    size_t capacity = 0;
    char path[4096];
    struct stat status;

    if (config && *config)
        snprintf(path, sizeof path, "%s/weft/credentials", config);
    else if (home && *home)
        snprintf(path, sizeof path, "%s/.config/weft/credentials", home);
    else
        return 0;
    file = fopen(path, "re");
    if (!file)
        return 0;
    if (fstat(fileno(file), &status) < 0 || (status.st_mode & 077))
        return error_set(error, -EPERM, path, "%s: others can read it (mode %04o); do 'chmod 600'", path,
                         status.st_mode & 07777);
    for (int number = 1; getline(&line, &capacity, file) >= 0; number++) {
        char *key = strip(line), *equals = strchr(key, '=');
        int r;

        if (!*key || *key == '#')
            continue;
        if (!equals)
            return error_set(error, -EINVAL, path, "%s:%d: this is not 'name = value'", path, number);
        *equals = '\0';
        r = assign_by_key(settings, path, number, strip(key), strip(equals + 1), error);
        if (r < 0)
            return r;
    }
    return 0;
}

int settings_load(const struct call *call, struct settings_values *ret, struct error *error)
{
    memset(ret, 0, sizeof *ret);
    for (int i = 0; i < SETTING_N; i++) {
        const char *text = call_flag(call, names[i].flag);

        /* The one flag without a value. */
        if (text && i == SETTING_INSECURE)
            text = "1";
        if (assign(ret, i, text) < 0 || assign(ret, i, getenv(names[i].variable)) < 0)
            return -ENOMEM;
    }
    return read_file(ret, error);
}

void settings_clear(struct settings_values *settings)
{
    for (int i = 0; i < SETTING_N; i++) {
        free(settings->values[i]);
        settings->values[i] = NULL;
    }
}
