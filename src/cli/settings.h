/* Who the user is and where the API is: flags, then OS_* environment variables (those of the openstack command), then
 * ~/.config/weft/credentials ("auth-url = http://..." lines; must be readable by its owner only). */
#ifndef WEFT_CLI_SETTINGS_H
#define WEFT_CLI_SETTINGS_H

#include "weft/base/error.h"
#include "weft/cli/command.h"

enum setting {
    SETTING_AUTH_URL,
    SETTING_USERNAME,
    SETTING_USER_ID,
    SETTING_PASSWORD,
    SETTING_PROJECT_NAME,
    SETTING_PROJECT_ID,
    SETTING_USER_DOMAIN_NAME,
    SETTING_PROJECT_DOMAIN_NAME,
    SETTING_TOKEN,
    SETTING_ENDPOINT,     /* Of Networking and ours, when it is not the one of the catalogue. */
    SETTING_CACERT,
    SETTING_INSECURE,     /* "1", "true": the server's certificate is not checked. */
    SETTING_AGENT_SOCKET, /* WEFT_AGENT_SOCKET */
    SETTING_FABRIC_URL,   /* Of weft-fabric; WEFT_FABRIC_URL. */
    SETTING_FABRIC_TOKEN, /* Its token; no option, since others see those. */
    SETTING_FABRIC_TOKEN_FILE, /* Wins over the token. */
    SETTING_FABRIC_CA,
    SETTING_N,
};

struct settings_values {
    char *values[SETTING_N]; /* Owned; NULL when not given. */
};

/* Returns 0; -EPERM when the credentials file can be read by others; -EINVAL with file and line. */
int settings_load(const struct call *call, struct settings_values *ret, struct error *error);
void settings_clear(struct settings_values *settings);

/* "--os-auth-url": what to tell a user to set. */
const char *setting_flag(enum setting setting);
const char *setting_variable(enum setting setting);

#endif
