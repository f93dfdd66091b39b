/* See question.h. */
#include "weft/health/question.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "weft/base/util.h"
#include "weft/health/dns-message.h"

struct health_question {
    unsigned n_references;
    struct health_question_options options; /* Its pointers are the question's own. */
};

const char *health_kind_name(enum health_kind kind)
{
    static const char *const names[HEALTH_N_KINDS] = {
        [HEALTH_TCP] = "TCP", [HEALTH_HTTP] = "HTTP", [HEALTH_HTTPS] = "HTTPS", [HEALTH_TLS_HELLO] = "TLS-HELLO",
        [HEALTH_UDP] = "UDP", [HEALTH_PING] = "PING", [HEALTH_DNS] = "DNS",     [HEALTH_SMTP] = "SMTP",
        [HEALTH_MISC] = "MISC", [HEALTH_FILE] = "FILE",
    };

    return names[kind];
}

uint16_t health_dns_type(const char *name)
{
    static const struct {
        const char *name;
        uint16_t type;
    } types[] = {{"A", 1}, {"NS", 2}, {"CNAME", 5}, {"SOA", 6}, {"PTR", 12}, {"MX", 15}, {"TXT", 16}, {"AAAA", 28}, {"SRV", 33}};

    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (strcasecmp(types[i].name, name) == 0)
            return types[i].type;
    return 0;
}

static const char *read_code(const char *text, uint16_t *ret_code)
{
    if (text[0] < '1' || text[0] > '9' || !isdigit((unsigned char)text[1]) || !isdigit((unsigned char)text[2]))
        return NULL;
    *ret_code = (uint16_t)((text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0'));
    return text + 3;
}

int health_codes_parse(const char *text, struct health_codes ret_codes[HEALTH_CODES_MAX], size_t *ret_n)
{
    size_t n = 0;

    for (;;) {
        struct health_codes codes;

        if (n == HEALTH_CODES_MAX)
            return -EINVAL;
        text = read_code(text, &codes.first);
        if (!text)
            return -EINVAL;
        codes.last = codes.first;
        if (*text == '-') {
            text = read_code(text + 1, &codes.last);
            if (!text || codes.last < codes.first)
                return -EINVAL;
        }
        ret_codes[n++] = codes;
        if (*text == '\0')
            break;
        if (*text++ != ',')
            return -EINVAL;
        text += strspn(text, " ");
    }
    *ret_n = n;
    return 0;
}

/* ---- what may be asked ---------------------------------------------------------------------------------------------- */

/* Goes into a request's head as it is: visible characters only, so that nobody writes a second head. */
static int check_text(const char *text, const char *field, struct error *error)
{
    size_t length = strlen(text);

    if (length == 0 || length > HEALTH_TEXT_MAX)
        return error_set(error, -EINVAL, field, "1 to %d bytes are required, it has %zu", HEALTH_TEXT_MAX, length);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] <= ' ' || (unsigned char)text[i] >= 0x7f)
            return error_set(error, -EINVAL, field, "'%.100s' has a character that is not allowed (byte %zu)", text, i);
    return 0;
}

static int check_regex(const struct health_regex_options *options, struct error *error)
{
    struct health_regex *regex = NULL;
    int r = health_regex_new(options, &regex, error);

    health_regex_free(regex);
    return r;
}

static int check_url(const struct health_url *url, size_t index, struct error *error)
{
    size_t length = strlen(url->digest);
    int r = url->path ? check_text(url->path, "path", error) : error_set(error, -EINVAL, "path", "a path is required");

    if (r == 0 && url->path[0] != '/')
        r = error_set(error, -EINVAL, "path", "'%.100s' does not begin with '/'", url->path);
    if (r == 0 && url->host)
        r = check_text(url->host, "host", error);
    if (r == 0 && url->host && strpbrk(url->host, "/@?#\\"))
        r = error_set(error, -EINVAL, "host", "'%.100s' is not a host's name", url->host);
    if (r == 0 && url->n_codes > HEALTH_CODES_MAX)
        r = error_set(error, -EINVAL, "codes", "at most %d are allowed", HEALTH_CODES_MAX);
    if (r == 0 && length && (length != HEALTH_DIGEST_SIZE - 1 || strspn(url->digest, "0123456789abcdefABCDEF") != length))
        r = error_set(error, -EINVAL, "digest", "'%.100s' is not an MD5 digest in hexadecimal", url->digest);
    if (r == 0 && url->regex.pattern)
        r = check_regex(&url->regex, error);
    if (r < 0)
        error_prefix_field(error, "urls[%zu]", index);
    return r;
}

static int check_http(const struct health_http *http, struct error *error)
{
    int r = http->method ? check_text(http->method, "method", error) : 0;

    if (r == 0 && http->version != 0 && http->version != 10 && http->version != 11)
        r = error_set(error, -EINVAL, "version", "'%u' is not 10 or 11", http->version);
    if (r == 0 && (http->n_urls == 0 || http->n_urls > HEALTH_URLS_MAX))
        r = error_set(error, -EINVAL, "urls", "1 to %d are required, there are %zu", HEALTH_URLS_MAX, http->n_urls);
    for (size_t i = 0; r == 0 && i < http->n_urls; i++)
        r = check_url(&http->urls[i], i, error);
    return r;
}

static int check_name(const char *name, struct error *error)
{
    return name ? check_text(name, "name", error) : 0;
}

static int check_misc(const struct health_misc *misc, struct error *error)
{
    size_t n = 0;

    while (misc->arguments && misc->arguments[n] && n <= HEALTH_ARGUMENTS_MAX)
        n++;
    if (n == 0 || n > HEALTH_ARGUMENTS_MAX)
        return error_set(error, -EINVAL, "arguments", "1 to %d are required", HEALTH_ARGUMENTS_MAX);
    if (misc->arguments[0][0] != '/')
        return error_set(error, -EINVAL, "arguments[0]", "'%.100s' is not the absolute path of a program", misc->arguments[0]);
    return 0;
}

static int check(const struct health_question_options *options, struct error *error)
{
    uint8_t query[DNS_QUERY_MAX];

    if (options->timeout_ms == 0 || options->timeout_ms > HEALTH_TIMEOUT_MAX_MS)
        return error_set(error, -EINVAL, "timeout_ms", "'%u' is not a number from 1 to %u", options->timeout_ms, HEALTH_TIMEOUT_MAX_MS);
    switch (options->kind) {
    case HEALTH_TCP:
    case HEALTH_PING:
        return 0;
    case HEALTH_TLS_HELLO:
        return check_name(options->tls.name, error);
    case HEALTH_SMTP:
        return check_name(options->smtp.name, error);
    case HEALTH_HTTP:
    case HEALTH_HTTPS:
        return check_http(&options->http, error);
    case HEALTH_UDP:
        if (options->udp.payload_size > HEALTH_PAYLOAD_MAX || (options->udp.payload_size && !options->udp.payload))
            return error_set(error, -EINVAL, "payload", "at most %d bytes are allowed", HEALTH_PAYLOAD_MAX);
        return 0;
    case HEALTH_DNS:
        if (dns_write_query(query, 0, options->dns.name ? options->dns.name : ".", 1) < 0)
            return error_set(error, -EINVAL, "name", "'%.255s' is not a domain name", options->dns.name);
        return 0;
    case HEALTH_MISC:
        return check_misc(&options->misc, error);
    case HEALTH_FILE:
        if (!options->file.path || options->file.path[0] != '/')
            return error_set(error, -EINVAL, "file", "'%.100s' is not an absolute path", options->file.path ? options->file.path : "");
        return 0;
    default:
        return error_set(error, -EINVAL, "kind", "'%d' is no kind of probe", (int)options->kind);
    }
}

/* ---- copies ---------------------------------------------------------------------------------------------------------- */

/* NULL stays NULL.  Returns whether there was memory. */
static bool copy_text(const char **text)
{
    if (*text)
        *text = strdup(*text);
    else
        return true;
    return *text;
}

static bool copy_bytes(const void **bytes, size_t size)
{
    void *copy = size ? malloc(size) : NULL;

    if (copy)
        memcpy(copy, *bytes, size);
    *bytes = copy;
    return copy || size == 0;
}

static bool copy_regex(struct health_url *url)
{
    struct health_regex *compiled = NULL;
    bool is_whole = copy_text(&url->regex.pattern);

    is_whole = copy_text(&url->regex.options) && is_whole;
    if (is_whole && url->regex.pattern)
        is_whole = health_regex_new(&url->regex, &compiled, NULL) == 0;
    url->compiled = compiled;
    return is_whole;
}

static bool copy_urls(struct health_http *http)
{
    const struct health_url *from = http->urls;
    struct health_url *urls = calloc(http->n_urls, sizeof(*urls));
    size_t n = http->n_urls;
    bool is_whole = urls;

    http->urls = urls;
    http->n_urls = 0; /* As many as are copied: what to free. */
    for (size_t i = 0; is_whole && i < n; i++) {
        const void *codes = from[i].codes;

        urls[i] = from[i];
        is_whole = copy_text(&urls[i].path);
        is_whole = copy_text(&urls[i].host) && is_whole;
        is_whole = copy_bytes(&codes, from[i].n_codes * sizeof(*from[i].codes)) && is_whole;
        urls[i].codes = codes;
        is_whole = copy_regex(&urls[i]) && is_whole;
        http->n_urls++;
    }
    return is_whole;
}

static bool copy_arguments(struct health_misc *misc)
{
    const char *const *from = misc->arguments;
    const char **arguments;
    size_t n = 0;

    while (from[n])
        n++;
    arguments = calloc(n + 1, sizeof(*arguments));
    misc->arguments = arguments;
    for (size_t i = 0; arguments && i < n; i++) {
        arguments[i] = from[i];
        if (!copy_text(&arguments[i]))
            return false;
    }
    return arguments;
}

static bool copy_own(struct health_question_options *options)
{
    const void *payload = options->udp.payload;
    bool is_whole;

    switch (options->kind) {
    case HEALTH_HTTP:
    case HEALTH_HTTPS:
        is_whole = copy_text(&options->http.method);
        return copy_urls(&options->http) && is_whole;
    case HEALTH_UDP:
        is_whole = copy_bytes(&payload, options->udp.payload_size);
        options->udp.payload = payload;
        return is_whole;
    case HEALTH_TLS_HELLO:
        return copy_text(&options->tls.name);
    case HEALTH_SMTP:
        return copy_text(&options->smtp.name);
    case HEALTH_DNS:
        return copy_text(&options->dns.name);
    case HEALTH_MISC:
        return copy_arguments(&options->misc);
    case HEALTH_FILE:
        return copy_text(&options->file.path);
    default:
        return true;
    }
}

static void free_own(struct health_question_options *options)
{
    switch (options->kind) {
    case HEALTH_HTTP:
    case HEALTH_HTTPS:
        for (size_t i = 0; i < options->http.n_urls; i++) {
            free((void *)options->http.urls[i].path);
            free((void *)options->http.urls[i].host);
            free((void *)options->http.urls[i].codes);
            free((void *)options->http.urls[i].regex.pattern);
            free((void *)options->http.urls[i].regex.options);
            health_regex_free((struct health_regex *)options->http.urls[i].compiled);
        }
        free((void *)options->http.urls);
        free((void *)options->http.method);
        break;
    case HEALTH_UDP:
        free((void *)options->udp.payload);
        break;
    case HEALTH_TLS_HELLO:
        free((void *)options->tls.name);
        break;
    case HEALTH_SMTP:
        free((void *)options->smtp.name);
        break;
    case HEALTH_DNS:
        free((void *)options->dns.name);
        break;
    case HEALTH_MISC:
        for (size_t i = 0; options->misc.arguments && options->misc.arguments[i]; i++)
            free((void *)options->misc.arguments[i]);
        free((void *)options->misc.arguments);
        break;
    case HEALTH_FILE:
        free((void *)options->file.path);
        break;
    default:
        break;
    }
}

int health_question_new(const struct health_question_options *options, struct health_question **ret, struct error *error)
{
    struct health_question *question;
    int r = check(options, error);

    if (r < 0)
        return r;
    question = malloc(sizeof(*question));
    if (!question)
        return -ENOMEM;
    *question = (struct health_question){.n_references = 1, .options = *options};
    if (!copy_own(&question->options)) {
        health_question_unref(question);
        return -ENOMEM;
    }
    *ret = question;
    return 0;
}

struct health_question *health_question_ref(struct health_question *question)
{
    question->n_references++;
    return question;
}

void health_question_unref(struct health_question *question)
{
    if (!question || --question->n_references)
        return;
    free_own(&question->options);
    free(question);
}

const struct health_question_options *health_question_options(const struct health_question *question)
{
    return &question->options;
}
