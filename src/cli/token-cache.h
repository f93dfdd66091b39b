/* The token between two runs: $XDG_RUNTIME_DIR/weft/<hash of who asks whom>, mode 0600, in a folder of mode 0700 that
 * belongs to the user and lives as long as the login.  Root without such a session uses /run/weft-cli.
 * Where there is no safe place, nothing is cached. */
#ifndef WEFT_CLI_TOKEN_CACHE_H
#define WEFT_CLI_TOKEN_CACHE_H

#include <jansson.h>

#include "weft/cli/settings.h"

/* What was kept for these settings ({"token", "endpoint", "expires_at"}), still valid for at least a minute, or NULL. */
json_t *token_cache_load(const struct settings_values *settings);
void token_cache_store(const struct settings_values *settings, const json_t *entry); /* Failures are no error. */
void token_cache_forget(const struct settings_values *settings);

#endif
