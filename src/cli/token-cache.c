#include "weft/cli/token-cache.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weft/base/cleanup.h"
#include "weft/base/clock.h"
#include "weft/base/util.h"

#define MIN_LIFE_S 60

/* Opens the folder, made if need be; -1 unless it belongs to us alone. */
static int open_folder(void)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char path[4096];
    struct stat status;
    _cleanup_(closep) int folder = -1;

    if (runtime && *runtime == '/')
        snprintf(path, sizeof path, "%s/weft", runtime);
    else if (geteuid() == 0)
        snprintf(path, sizeof path, "/run/weft-cli");
    else
        return -1;
    mkdir(path, 0700);
    folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0 || fstat(folder, &status) < 0 || status.st_uid != geteuid() || (status.st_mode & 077))
        return -1;
    return TAKE_FD(folder);
}

/* The password is part of what is hashed, so that a wrong one never finds the right one's token. */
static void file_name(const struct settings_values *settings, char name[65])
{
    static const enum setting parts[] = {
        SETTING_AUTH_URL,     SETTING_USERNAME,   SETTING_USER_ID,          SETTING_PASSWORD,
        SETTING_PROJECT_NAME, SETTING_PROJECT_ID, SETTING_USER_DOMAIN_NAME, SETTING_PROJECT_DOMAIN_NAME,
    };
    crypto_generichash_state state;
    unsigned char hash[32];

    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        const char *text = settings->values[parts[i]] ? settings->values[parts[i]] : "";

        crypto_generichash_update(&state, (const unsigned char *)text, strlen(text) + 1);
    }
    crypto_generichash_final(&state, hash, sizeof hash);
    sodium_bin2hex(name, 65, hash, sizeof hash);
}

json_t *token_cache_load(const struct settings_values *settings)
{
    _cleanup_(closep) int folder = open_folder();
    _cleanup_(closep) int fd = -1;
    json_t *entry;
    const char *expires;
    struct stat status;
    int64_t expires_s;
    char name[65];

    if (folder < 0)
        return NULL;
    file_name(settings, name);
    fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid() ||
        (status.st_mode & 077))
        return NULL;
    entry = json_loadfd(fd, 0, NULL);
    expires = json_string_value(json_object_get(entry, "expires_at"));
    if (expires && json_is_string(json_object_get(entry, "token")) && time_parse(expires, &expires_s) == 0 &&
        expires_s >= clock_realtime_s() + MIN_LIFE_S)
        return entry;
    json_decref(entry);
    return NULL;
}

void token_cache_store(const struct settings_values *settings, const json_t *entry)
{
    _cleanup_(closep) int folder = open_folder();
    _cleanup_(closep) int fd = -1;
    char name[65], temporary[96];

    if (folder < 0)
        return;
    file_name(settings, name);
    snprintf(temporary, sizeof temporary, ".%.60s.%d", name, getpid());
    fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    if (json_dumpfd(entry, fd, JSON_COMPACT) < 0 || renameat(folder, temporary, folder, name) < 0)
        unlinkat(folder, temporary, 0);
}

void token_cache_forget(const struct settings_values *settings)
{
    _cleanup_(closep) int folder = open_folder();
    char name[65];

    if (folder < 0)
        return;
    file_name(settings, name);
    unlinkat(folder, name, 0);
}
