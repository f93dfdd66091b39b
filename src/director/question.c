/* See question.h. */
#include "weft/director/question.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"

static const enum health_kind kinds[N_CHECK_TYPES] = {
    [CHECK_TCP] = HEALTH_TCP, [CHECK_HTTP] = HEALTH_HTTP, [CHECK_HTTPS] = HEALTH_HTTPS, [CHECK_TLS] = HEALTH_TLS_HELLO,
    [CHECK_UDP] = HEALTH_UDP, [CHECK_DNS] = HEALTH_DNS,   [CHECK_PING] = HEALTH_PING,   [CHECK_MISC] = HEALTH_MISC,
    [CHECK_SMTP] = HEALTH_SMTP, [CHECK_FILE] = HEALTH_FILE,
};

/* What an options struct borrows while the question is made. */
struct borrowed {
    struct health_url urls[DIRECTOR_URLS_MAX];
    struct health_codes codes[DIRECTOR_URLS_MAX][HEALTH_CODES_MAX];
    uint8_t payload[HEALTH_PAYLOAD_MAX];
};

static int take_urls(const struct health_check *check, struct borrowed *borrowed, struct health_http *ret, struct error *error)
{
    for (size_t i = 0; i < check->n_urls && i < DIRECTOR_URLS_MAX; i++) {
        const struct check_url *from = &check->urls[i];
        struct health_url *url = &borrowed->urls[i];

        *url = (struct health_url){.path = from->path, .host = from->host ? from->host : check->host, .codes = borrowed->codes[i]};
        if (from->status && health_codes_parse(from->status, borrowed->codes[i], &url->n_codes) < 0)
            return error_set(error, -EINVAL, "status", "'%.100s' is not a list of at most %d codes", from->status, HEALTH_CODES_MAX);
        if (from->digest)
            snprintf(url->digest, sizeof(url->digest), "%s", from->digest);
        url->regex = check_url_regex(from);
        url->regex_no_match = from->regex_no_match;
    }
    *ret = (struct health_http){.version = check->http_1_1 ? 11 : 10, .urls = borrowed->urls, .n_urls = check->n_urls, .follow_redirects = check->follow_redirects};
    return 0;
}

static unsigned hexadecimal(char c)
{
    return isdigit((unsigned char)c) ? (unsigned)(c - '0') : (unsigned)(tolower((unsigned char)c) - 'a') + 10;
}

static int take_payload(const char *text, struct borrowed *borrowed, struct health_udp *ret, struct error *error)
{
    size_t size = strlen(text) / 2;

    if (size > sizeof(borrowed->payload))
        return error_set(error, -EINVAL, "payload", "at most %zu bytes are allowed", sizeof(borrowed->payload));
    for (size_t i = 0; i < size; i++) /* The configuration's reader has looked at the digits. */
        borrowed->payload[i] = (uint8_t)(hexadecimal(text[2 * i]) << 4 | hexadecimal(text[2 * i + 1]));
    ret->payload = borrowed->payload;
    ret->payload_size = size;
    return 0;
}

static int take_own(const struct health_check *check, struct borrowed *borrowed, char ***arguments, struct health_question_options *ret, struct error *error)
{
    int r;

    switch (check->type) {
    case CHECK_HTTP:
    case CHECK_HTTPS:
        return take_urls(check, borrowed, &ret->http, error);
    case CHECK_TLS:
        ret->tls.name = check->host;
        return 0;
    case CHECK_SMTP:
        ret->smtp.name = check->host;
        return 0;
    case CHECK_UDP:
        ret->udp.require_reply = check->require_reply;
        ret->udp.is_empty = true;
        return check->payload ? take_payload(check->payload, borrowed, &ret->udp, error) : 0;
    case CHECK_DNS:
        ret->dns = (struct health_dns){.name = check->dns_name, .type = check->dns_type ? health_dns_type(check->dns_type) : 0};
        if (check->dns_type && !ret->dns.type)
            return error_set(error, -EINVAL, "dns_type", "'%.20s' is not a type of record that can be asked for", check->dns_type);
        return 0;
    case CHECK_MISC:
        r = command_split(check->command, arguments);
        if (r < 0)
            return error_set(error, r, "command", "'%.200s' is not a command line: %s", check->command, r == -EINVAL ? "a quote is open, or nothing is there" : "out of memory");
        ret->misc = (struct health_misc){.arguments = (const char *const *)*arguments, .may_set_weight = check->dynamic_weight};
        return 0;
    case CHECK_FILE:
        ret->file = (struct health_file){.path = check->file, .weight = check->file_weight, .reverse = check->reverse};
        return 0;
    default:
        return 0;
    }
}

int check_question(const struct health_check *check, struct health_question **ret, struct error *error)
{
    struct health_question_options options = {.kind = kinds[check->type], .timeout_ms = check->timeout_ms};
    _cleanup_(freep) struct borrowed *borrowed = malloc(sizeof(*borrowed));
    _cleanup_(freep) char **arguments = NULL;
    int r = borrowed ? take_own(check, borrowed, &arguments, &options, error) : -ENOMEM;

    return r < 0 ? r : health_question_new(&options, ret, error);
}

struct health_target check_target(const struct virtual_service *service, const struct real_server *server, const struct health_check *check)
{
    struct health_target target = {
        .address = check->has_address ? check->address : server->address,
        .port = check->port ? check->port : server->port ? server->port : service->port,
        .source_port = check->bind_port,
        .mark = check->mark,
    };

    if (check->has_bind_address)
        target.source = check->bind_address;
    snprintf(target.device, sizeof(target.device), "%s", check->bind_interface);
    return target;
}

bool check_goes_by_traffic(const struct virtual_service *service, const struct real_server *server, const struct health_check *check)
{
    bool keeps_address = server->forwarding != FORWARD_NAT && server->forwarding != FORWARD_FULL_NAT;
    bool is_alike = check->type != CHECK_MISC && check->type != CHECK_FILE && !check->bind_interface[0] && !check->mark;
    /* A service by mark has no address; the check says one, and that it is one that clients call. */
    bool has_address = service->mark ? check->has_address && check->path == CHECK_PATH_TRAFFIC : !check->has_address;

    return check->path != CHECK_PATH_SERVER && keeps_address && is_alike && has_address && (check->type == CHECK_PING || check->port || service->port);
}

bool check_goes_in_chain(const struct virtual_service *service, const struct real_server *server, const struct health_check *check)
{
    bool is_tcp = check->type == CHECK_TCP || check->type == CHECK_HTTP || check->type == CHECK_HTTPS || check->type == CHECK_TLS || check->type == CHECK_SMTP;

    return server->second_chance && (service->mark || service->protocol == IPPROTO_TCP) && is_tcp && !virtual_service_remembers(service) &&
           check_goes_by_traffic(service, server, check);
}

struct health_target check_traffic_target(const struct virtual_service *service, const struct health_check *check)
{
    struct health_target target = {
        .address = service->mark ? check->address : service->address,
        .port = check->port ? check->port : service->port,
        .source_port = check->bind_port,
    };

    if (check->has_bind_address)
        target.source = check->bind_address;
    return target;
}

struct health_rules check_rules(const struct health_check *check)
{
    return (struct health_rules){
        .interval_ms = MAX(check->interval_ms, 1),
        .retry_interval_ms = MAX(check->retry_delay_ms, 1),
        .first_ms = check->warmup_ms ? check->warmup_ms : MAX(check->interval_ms, 1), /* Spread from the first on, and kept so. */
        .jitter_ms = check->interval_ms / 10,
        .rise = 1,
        .fall = (uint16_t)(MIN(check->retries, UINT16_MAX - 1) + 1),
    };
}
