#include "weft/agent/timeouts.h"

#include <errno.h>
#include <stdio.h>

/* As the options are called without "timeout-", and the defaults: those of Linux where it has them, but for closing connections and what is
 * answered once. */
static const struct {
    const char *name;
    uint32_t default_s;
} timeouts[N_TIMEOUTS] = {
    [TIMEOUT_TCP_ESTABLISHED] = {"tcp-established", 432000},
    [TIMEOUT_HALF_OPEN] = {"tcp-half-open", 30},
    [TIMEOUT_TCP_HALF_CLOSED] = {"tcp-half-closed", 900},
    [TIMEOUT_TCP_CLOSING] = {"tcp-closing", 120},
    [TIMEOUT_UDP_SEEN] = {"udp", 180},
    [TIMEOUT_UDP_NEW] = {"udp-new", 30},
    [TIMEOUT_ICMP] = {"icmp", 30},
    [TIMEOUT_OTHER] = {"other", 600},
};

int timeouts_set(const uint64_t options[N_TIMEOUTS], struct settings *settings, struct error *error)
{
    for (int i = 0; i < N_TIMEOUTS; i++) {
        if (options[i] > TIMEOUT_MAX_S) {
            char field[40];

            snprintf(field, sizeof(field), "timeout-%s", timeouts[i].name);
            return error_set(error, -ERANGE, field, "%s: '%llu' is more than %d seconds", field, (unsigned long long)options[i], TIMEOUT_MAX_S);
        }
        settings->timeout_s[i] = options[i] ? (uint32_t)options[i] : timeouts[i].default_s;
    }
    return 0;
}

json_t *timeouts_describe(const struct settings *settings)
{
    json_t *described = json_object();

    for (int i = 0; i < N_TIMEOUTS; i++)
        json_object_set_new(described, timeouts[i].name, json_integer(settings->timeout_s[i]));
    return described;
}
