/* keepalived's checkers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/buffer.h"
#include "weft/base/util.h"
#include "weft/director/config-parts.h"
#include "weft/director/keepalived/translate-parts.h"
#include "weft/director/question.h"

static const struct {
    const char *name;
    enum check_type type;
} kinds[] = {
    {"TCP_CHECK", CHECK_TCP}, {"HTTP_GET", CHECK_HTTP},   {"SSL_GET", CHECK_HTTPS},   {"UDP_CHECK", CHECK_UDP},
    {"DNS_CHECK", CHECK_DNS}, {"PING_CHECK", CHECK_PING}, {"MISC_CHECK", CHECK_MISC}, {"SMTP_CHECK", CHECK_SMTP},
    {"FILE_CHECK", CHECK_FILE},
};

/* What connects, from where and to where. */
static bool take_connection(const struct translation *t, const struct statement *statement, struct health_check *check)
{
    const char *name = statement->words[0];

    if (check->type == CHECK_MISC || check->type == CHECK_FILE)
        return false;
    if (streq(name, "connect_ip"))
        check->has_address = take_address(t, statement, 1, &check->address);
    else if (streq(name, "connect_port"))
        take_port(t, statement, 1, &check->port);
    else if (streq(name, "bindto"))
        check->has_bind_address = take_address(t, statement, 1, &check->bind_address);
    else if (streq(name, "bind_port"))
        take_port(t, statement, 1, &check->bind_port);
    else if (streq(name, "fwmark"))
        take_number(t, statement, 0, UINT32_MAX, &check->mark);
    else if (streq(name, "bind_if")) {
        if (!is_text(t, statement))
            return true;
        if (strpbrk(statement->words[1], "/ ") ||
            string_copy(check->bind_interface, sizeof(check->bind_interface), statement->words[1]) < 0) {
            note(t, statement, "it is not the name of an interface");
            check->bind_interface[0] = 0;
        }
    } else
        return false;
    return true;
}

/* The statement's values with 'separator' between, as they are.  Replaces '*ret'. */
static void take_list(const struct translation *t, const struct statement *statement, const char *separator, char **ret)
{
    _cleanup_(buffer_clear) struct buffer text = {0};

    for (size_t i = 1; i < statement->n_words; i++)
        if (buffer_printf(&text, "%s%s", i > 1 ? separator : "", statement->words[i]) < 0)
            return;
    if (!text.size || !buffer_string(&text)) {
        note(t, statement, "it has no value");
        return;
    }
    free(*ret);
    *ret = TAKE_PTR(text.data);
    text.size = text.capacity = 0;
}

static bool take_regex(const struct translation *t, const struct statement *statement, struct check_url *url)
{
    const char *name = statement->words[0];

    if (streq(name, "regex"))
        take_text(t, statement, &url->regex);
    else if (streq(name, "regex_options"))
        take_list(t, statement, " ", &url->regex_options);
    else if (streq(name, "regex_no_match"))
        url->regex_no_match = true;
    else if (streq(name, "regex_min_offset"))
        take_number(t, statement, 0, UINT32_MAX, &url->regex_min_offset);
    else if (streq(name, "regex_max_offset"))
        take_number(t, statement, 1, UINT32_MAX, &url->regex_max_offset);
    else if (!streq(name, "regex_stack")) /* Of code that is compiled to the machine's, which ours is not. */
        return false;
    return true;
}

/* As keepalived does, a URL is checked without a regular expression that makes no sense. */
static void check_regex(const struct translation *t, const struct statement *statement, struct check_url *url)
{
    const struct health_regex_options options = check_url_regex(url);
    struct health_regex *regex = NULL;
    struct error error = {0};

    if (!url->regex && !url->regex_options && !url->regex_no_match && !url->regex_min_offset && !url->regex_max_offset)
        return;
    if (url->regex && health_regex_new(&options, &regex, &error) == 0) {
        health_regex_free(regex);
        return;
    }
    note(t, statement, "%s: %s; the URL is checked without it", url->regex ? error.field : "regex", url->regex ? error.message : "there is none for its options");
    free(url->regex);
    free(url->regex_options);
    url->regex = url->regex_options = NULL;
    url->regex_no_match = false;
    url->regex_min_offset = url->regex_max_offset = 0;
}

static void take_url(const struct translation *t, const struct statement *statement, struct health_check *check)
{
    struct check_url *urls, *url;

    if (check->n_urls == DIRECTOR_URLS_MAX) {
        note(t, statement, "a check has at most %u", DIRECTOR_URLS_MAX);
        return;
    }
    urls = reallocarray(check->urls, check->n_urls + 1, sizeof(*urls));
    if (!urls)
        return;
    check->urls = urls;
    url = &urls[check->n_urls++];
    *url = (struct check_url){0};
    for (const struct statement *member = statement->first; member; member = member->next) {
        const char *name = member->words[0];

        if (streq(name, "path"))
            take_text(t, member, &url->path);
        else if (streq(name, "digest"))
            take_text(t, member, &url->digest);
        else if (streq(name, "virtualhost"))
            take_text(t, member, &url->host);
        else if (streq(name, "status_code"))
            take_list(t, member, ",", &url->status);
        else if (!take_regex(t, member, url))
            note(t, member, "it is not supported; the URL is checked without it");
    }
    check_regex(t, statement, url);
    if (!url->path)
        url->path = strdup("/");
}

static bool take_http(const struct translation *t, const struct statement *statement, struct health_check *check)
{
    const char *name = statement->words[0];

    if (streq(name, "url"))
        take_url(t, statement, check);
    else if (streq(name, "http_protocol"))
        check->http_1_1 = statement->n_words > 1 && streq(statement->words[1], "1.1");
    else if (!streq(name, "enable_sni")) /* A TLS hello of ours always has the name. */
        return false;
    return true;
}

static bool take_misc(const struct translation *t, const struct statement *statement, struct health_check *check)
{
    const char *name = statement->words[0];

    if (streq(name, "misc_path"))
        take_text(t, statement, &check->command);
    else if (streq(name, "misc_timeout"))
        take_timer(t, statement, &check->timeout_ms);
    else if (streq(name, "misc_dynamic"))
        take_bool(t, statement, &check->dynamic_weight);
    else
        return false;
    return true;
}

/* keepalived's hexadecimal: digits in pairs, one that stands alone is a byte of its own. */
static void take_payload(const struct translation *t, const struct statement *statement, struct health_check *check)
{
    _cleanup_(buffer_clear) struct buffer text = {0};

    for (size_t i = 1; i < statement->n_words; i++) {
        const char *word = statement->words[i];
        size_t length = strlen(word);

        if (strspn(word, "0123456789abcdefABCDEF") != length) {
            note(t, statement, "'%s' is not hexadecimal", word);
            return;
        }
        for (size_t at = 0; at < length; at += 2)
            if (buffer_printf(&text, at + 1 < length ? "%.2s" : "0%.1s", word + at) < 0)
                return;
    }
    if (!text.size || text.size > 2048 || !buffer_string(&text)) {
        note(t, statement, "it has 1 to 1024 bytes");
        return;
    }
    free(check->payload);
    check->payload = TAKE_PTR(text.data);
    text.size = text.capacity = 0;
}

static bool take_udp(const struct translation *t, const struct statement *statement, struct health_check *check)
{
    const char *name = statement->words[0];

    if (streq(name, "payload")) {
        take_payload(t, statement, check);
    } else if (streq(name, "require_reply")) {
        check->require_reply = true;
        if (statement->n_words > 1)
            note(t, statement, "what the reply says is not compared; any reply is right");
    } else
        return false;
    return true;
}

static bool take_dns(const struct translation *t, const struct statement *statement, struct health_check *check)
{
    if (streq(statement->words[0], "name"))
        take_text(t, statement, &check->dns_name);
    else if (streq(statement->words[0], "type"))
        take_text(t, statement, &check->dns_type);
    else
        return false;
    return true;
}

/* An older form has the connection in a block of its own. */
static bool take_smtp(const struct translation *t, const struct statement *statement, struct health_check *check)
{
    if (streq(statement->words[0], "helo_name")) {
        take_text(t, statement, &check->host);
        return true;
    }
    if (!streq(statement->words[0], "host"))
        return false;
    if (check->has_address || check->port)
        note(t, statement, "a check asks one host; the last that is named counts");
    for (const struct statement *member = statement->first; member; member = member->next)
        if (!take_connection(t, member, check))
            note(t, member, "it is not supported");
    return true;
}

/* "weight -10 reverse" */
static void take_file_weight(const struct translation *t, const struct statement *statement, struct health_check *check)
{
    const char *text = statement->n_words > 1 ? statement->words[1] : "", *option = statement->n_words > 2 ? statement->words[2] : "noreverse";
    char *end;
    long long weight = strtoll(text, &end, 10);

    if (!*text || *end || weight < -INT32_MAX || weight > INT32_MAX)
        note(t, statement, "'%s' is not a number from -2147483647 to 2147483647", text);
    else if (statement->n_words > 3 || (!streq(option, "reverse") && !streq(option, "noreverse")))
        note(t, statement, "'%s' is not reverse or noreverse", option);
    else {
        check->file_weight = (int32_t)weight;
        check->reverse = streq(option, "reverse");
    }
}

static const struct statement *find_member(const struct statement *statement, const char *name)
{
    const struct statement *member = statement->first;

    while (member && !streq(member->words[0], name))
        member = member->next;
    return member;
}

/* The check's own weight counts, else that of the file's definition. */
static bool take_file(const struct translation *t, const struct statement *statement, struct health_check *check)
{
    const struct statement *found = statement->parent, *member;
    const char *name = statement->n_words > 1 ? statement->words[1] : "";

    if (streq(statement->words[0], "weight")) {
        take_file_weight(t, statement, check);
        return true;
    }
    if (!streq(statement->words[0], "track_file"))
        return false;
    while (found->parent)
        found = found->parent;
    for (found = found->first; found; found = found->next)
        if ((streq(found->words[0], "track_file") || streq(found->words[0], "vrrp_track_file")) && found->n_words > 1 && streq(found->words[1], name))
            break;
    member = found ? find_member(found, "file") : NULL;
    if (!member)
        note(t, statement, "'%s' is not the name of a file", name);
    else
        take_text(t, member, &check->file);
    member = found && !find_member(statement->parent, "weight") ? find_member(found, "weight") : NULL;
    if (member)
        take_file_weight(t, member, check);
    return true;
}

static bool take_own(const struct translation *t, const struct statement *statement, struct health_check *check)
{
    switch ((int)check->type) {
    case CHECK_HTTP:
    case CHECK_HTTPS:
        return take_http(t, statement, check);
    case CHECK_MISC:
        return take_misc(t, statement, check);
    case CHECK_UDP:
        return take_udp(t, statement, check);
    case CHECK_DNS:
        return take_dns(t, statement, check);
    case CHECK_SMTP:
        return take_smtp(t, statement, check);
    case CHECK_FILE:
        return take_file(t, statement, check);
    default:
        return false;
    }
}

/* keepalived's defaults differ by the kind of check. */
static void put_values(struct health_check *check, const struct check_values *values, bool has_own_timeout)
{
    bool is_http = check->type == CHECK_HTTP || check->type == CHECK_HTTPS;

    check->interval_ms = values->interval_ms;
    if (!has_own_timeout)
        check->timeout_ms = check->type == CHECK_MISC ? values->interval_ms : values->timeout_ms;
    check->retries = values->has_retries         ? values->retries
                     : check->type == CHECK_DNS  ? 3
                     : check->type == CHECK_MISC ? 0
                                                 : 1;
    check->retry_delay_ms = values->has_retry_delay    ? values->retry_delay_ms
                            : check->type == CHECK_DNS ? values->interval_ms
                            : is_http                  ? 3000
                                                       : 1000;
    check->warmup_ms = values->has_warmup ? values->warmup_ms : 0;
    check->alpha = values->alpha;
    if (check->type == CHECK_FILE) { /* Which keepalived is told of at once. */
        check->interval_ms = 1000;
        check->retries = 0;
    }
    if (is_http && values->host && !check->host)
        check->host = strdup(values->host);
}

static void add_check(const struct translation *t, const struct statement *statement, struct health_check *check,
                      struct real_server *server)
{
    struct health_check *checks = NULL;
    struct error error = {0};

    if (server->n_checks == DIRECTOR_CHECKS_MAX)
        note(t, statement, "a server has at most %u checks", DIRECTOR_CHECKS_MAX);
    else if (health_check_check(check, &error) < 0)
        note(t, statement, "the check is left out: %s: %s", error.field, error.message);
    else
        checks = reallocarray(server->checks, server->n_checks + 1, sizeof(*checks));
    if (!checks) {
        health_check_clear(check);
        return;
    }
    server->checks = checks;
    checks[server->n_checks++] = *check;
}

bool translate_check(const struct translation *t, const struct statement *statement, const struct check_values *values,
                     struct real_server *server)
{
    struct check_values own = *values;
    struct health_check check;
    size_t kind = 0;

    while (kind < ARRAY_SIZE(kinds) && !streq(statement->words[0], kinds[kind].name))
        kind++;
    if (kind == ARRAY_SIZE(kinds))
        return false;
    check = health_check_default(kinds[kind].type);
    if (check.type != CHECK_PING && check.type != CHECK_MISC && check.type != CHECK_FILE)
        check.path = CHECK_PATH_SERVER; /* As keepalived asks. */
    check.timeout_ms = 0;
    for (const struct statement *member = statement->first; member; member = member->next) {
        if (streq(member->words[0], "virtualhost") && check.type != CHECK_HTTP && check.type != CHECK_HTTPS)
            note(t, member, "it is for HTTP_GET and SSL_GET");
        else if (!take_check_value(t, member, &own) && !take_connection(t, member, &check) &&
                 !take_own(t, member, &check))
            note(t, member, "it is not supported");
    }
    put_values(&check, &own, check.timeout_ms);
    add_check(t, statement, &check, server);
    return true;
}
