#include "weft/agent/member-question.h"

#include <errno.h>
#include <string.h>

#include "weft/base/util.h"

static const struct {
    const char *name;
    int kind; /* enum health_kind; -1: nothing asks so. */
} types[] = {
    [MONITOR_PING] = {"PING", HEALTH_PING},
    [MONITOR_TCP] = {"TCP", HEALTH_TCP},
    [MONITOR_HTTP] = {"HTTP", HEALTH_HTTP},
    [MONITOR_HTTPS] = {"HTTPS", HEALTH_HTTPS},
    [MONITOR_TLS_HELLO] = {"TLS-HELLO", HEALTH_TLS_HELLO},
    [MONITOR_UDP_CONNECT] = {"UDP-CONNECT", HEALTH_UDP},
    [MONITOR_SCTP] = {"SCTP", -1}, /* Refused by the API. */
};

const char *member_monitor_type(const struct health_monitor *monitor)
{
    return types[monitor->type].name;
}

int member_question_new(const struct health_monitor *monitor, struct health_question **ret, struct error *error)
{
    struct health_codes codes[HEALTH_CODES_MAX];
    struct health_url url = {.path = monitor->url_path ? monitor->url_path : "/", .host = monitor->domain_name, .codes = codes};
    struct health_question_options options = {
        .timeout_ms = MIN(monitor->timeout, HEALTH_TIMEOUT_MAX_MS / 1000) * 1000,
        .http = {.method = monitor->http_method, .version = monitor->http_version && streq(monitor->http_version, "1.1") ? 11 : 10, .urls = &url, .n_urls = 1},
    };

    if (types[monitor->type].kind < 0)
        return error_set(error, -EINVAL, "type", "'%s' is not asked by any probe", types[monitor->type].name);
    options.kind = (enum health_kind)types[monitor->type].kind;
    if (health_codes_parse(monitor->expected_codes ? monitor->expected_codes : "200", codes, &url.n_codes) < 0)
        return error_set(error, -EINVAL, "expected_codes", "'%s' is not like '200', '200,202' or '200-204'", monitor->expected_codes);
    return health_question_new(&options, ret, error);
}

struct health_rules member_rules(const struct health_monitor *monitor, bool is_known)
{
    uint32_t interval_ms = MIN(monitor->delay, HEALTH_INTERVAL_MAX_MS / 1000) * 1000;

    return (struct health_rules){
        .interval_ms = interval_ms,
        .jitter_ms = interval_ms / 10,
        .first_ms = is_known ? interval_ms : 0,
        .rise = monitor->max_retries,
        .fall = monitor->max_retries_down,
    };
}

static int append_text(struct buffer *buffer, const char *text)
{
    return buffer_printf(buffer, "%zu:%s,", text ? strlen(text) : 0, text ? text : "");
}

int member_question_text(const struct health_monitor *monitor, struct buffer *text)
{
    if (buffer_printf(text, "%s %u %u %u %u,", member_monitor_type(monitor), monitor->delay, monitor->timeout, monitor->max_retries,
                      monitor->max_retries_down) < 0 ||
        append_text(text, monitor->http_method) < 0 || append_text(text, monitor->url_path) < 0 || append_text(text, monitor->expected_codes) < 0 ||
        append_text(text, monitor->domain_name) < 0 || append_text(text, monitor->http_version) < 0)
        return -ENOMEM;
    return 0;
}
