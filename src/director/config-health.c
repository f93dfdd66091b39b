/* Health checks of a director's file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/director/config-parts.h"
#include "weft/director/members.h"
#include "weft/director/question.h"

#define TIME_MAX_MS (24u * 3600 * 1000)
#define TEXT_MAX 1024
#define DNS_NAME_MAX 255
#define DNS_TYPE_MAX 16
#define INTERVAL_MIN_MS 10
#define TYPE(type) (1u << (type))

static const char *name_of_type(unsigned value)
{
    return check_type_name(value);
}

static const char *name_of_path(unsigned value)
{
    return check_path_name(value);
}

static const struct member url_members[] = {
    {"path", MEMBER_STRING, .is_required = true, .offset = offsetof(struct check_url, path), .maximum = TEXT_MAX},
    {"host", MEMBER_STRING, .offset = offsetof(struct check_url, host), .maximum = TEXT_MAX},
    {"status", MEMBER_STRING, .offset = offsetof(struct check_url, status), .maximum = TEXT_MAX},
    {"digest", MEMBER_STRING, .offset = offsetof(struct check_url, digest), .maximum = TEXT_MAX},
    {"regex", MEMBER_STRING, .offset = offsetof(struct check_url, regex), .maximum = HEALTH_REGEX_MAX},
    {"regex_options", MEMBER_STRING, .offset = offsetof(struct check_url, regex_options), .maximum = TEXT_MAX},
    {"regex_no_match", MEMBER_BOOL, .offset = offsetof(struct check_url, regex_no_match)},
    {"regex_min_offset", MEMBER_U32, .offset = offsetof(struct check_url, regex_min_offset), .minimum = 1},
    {"regex_max_offset", MEMBER_U32, .offset = offsetof(struct check_url, regex_max_offset), .minimum = 1},
    {0},
};

static int url_decode(const json_t *json, void *element, const void *context, struct error *error)
{
    (void)context;
    return members_decode(url_members, json, element, error);
}

static int urls_decode(const json_t *json, void *object, struct error *error)
{
    struct health_check *check = object;

    return members_decode_array(json, sizeof(*check->urls), DIRECTOR_URLS_MAX, url_decode, NULL, &check->urls,
                                &check->n_urls, error);
}

static int urls_encode(const void *object, const void *defaults, json_t **ret_json)
{
    static const struct check_url none;
    const struct health_check *check = object;

    (void)defaults;
    *ret_json = NULL;
    if (!check->n_urls)
        return 0;
    *ret_json = json_array();
    for (size_t i = 0; i < check->n_urls; i++)
        if (!*ret_json || members_append(*ret_json, members_encode(url_members, &check->urls[i], &none)) < 0)
            return json_decref(*ret_json), -ENOMEM;
    return 0;
}

static int version_decode(const json_t *json, void *object, struct error *error)
{
    const char *version = json_string_value(json);

    if (!version || (!streq(version, "1.0") && !streq(version, "1.1")))
        return member_refuse(json, "one of 1.0, 1.1", error);
    ((struct health_check *)object)->http_1_1 = streq(version, "1.1");
    return 0;
}

static int version_encode(const void *object, const void *defaults, json_t **ret_json)
{
    const struct health_check *check = object;

    (void)defaults;
    *ret_json = check->http_1_1 ? json_string("1.1") : NULL;
    return check->http_1_1 && !*ret_json ? -ENOMEM : 0;
}

static int file_weight_decode(const json_t *json, void *object, struct error *error)
{
    json_int_t value = json_integer_value(json);

    if (!json_is_integer(json) || value < -INT32_MAX || value > INT32_MAX)
        return member_refuse(json, "a number from -2147483647 to 2147483647", error);
    ((struct health_check *)object)->file_weight = (int32_t)value;
    return 0;
}

static int file_weight_encode(const void *object, const void *defaults, json_t **ret_json)
{
    const struct health_check *check = object, *usual = defaults;
    bool is_written = check->file_weight != usual->file_weight;

    *ret_json = is_written ? json_integer(check->file_weight) : NULL;
    return is_written && !*ret_json ? -ENOMEM : 0;
}

#define CHECK_OFFSET(member) .offset = offsetof(struct health_check, member)

static const struct member check_members[] = {
    {"type", MEMBER_NAME, .is_required = true, CHECK_OFFSET(type), .name_of = name_of_type, .n_names = N_CHECK_TYPES},
    {"path", MEMBER_NAME, CHECK_OFFSET(path), .name_of = name_of_path, .n_names = N_CHECK_PATHS},
    {"address", MEMBER_ADDRESS, CHECK_OFFSET(address), .flag = offsetof(struct health_check, has_address)},
    {"port", MEMBER_U16, CHECK_OFFSET(port), .minimum = 1},
    {"bind_address", MEMBER_ADDRESS, CHECK_OFFSET(bind_address),
     .flag = offsetof(struct health_check, has_bind_address)},
    {"bind_port", MEMBER_U16, CHECK_OFFSET(bind_port), .minimum = 1},
    {"bind_interface", MEMBER_INTERFACE, CHECK_OFFSET(bind_interface)},
    {"mark", MEMBER_U32, CHECK_OFFSET(mark), .minimum = 1},
    {"interval_ms", MEMBER_U32, CHECK_OFFSET(interval_ms), .minimum = INTERVAL_MIN_MS, .maximum = TIME_MAX_MS},
    {"timeout_ms", MEMBER_U32, CHECK_OFFSET(timeout_ms), .minimum = 1, .maximum = TIME_MAX_MS},
    {"retries", MEMBER_U32, CHECK_OFFSET(retries), .maximum = 1000},
    {"retry_delay_ms", MEMBER_U32, CHECK_OFFSET(retry_delay_ms), .minimum = 1, .maximum = TIME_MAX_MS},
    {"warmup_ms", MEMBER_U32, CHECK_OFFSET(warmup_ms), .minimum = 1, .maximum = TIME_MAX_MS},
    {"alpha", MEMBER_BOOL, CHECK_OFFSET(alpha)},
    {"urls", MEMBER_CUSTOM, .decode = urls_decode, .encode = urls_encode},
    {"host", MEMBER_STRING, CHECK_OFFSET(host), .maximum = TEXT_MAX},
    {"http_version", MEMBER_CUSTOM, .decode = version_decode, .encode = version_encode},
    {"follow_redirects", MEMBER_BOOL, CHECK_OFFSET(follow_redirects)},
    {"dns_name", MEMBER_STRING, CHECK_OFFSET(dns_name), .maximum = DNS_NAME_MAX},
    {"dns_type", MEMBER_STRING, CHECK_OFFSET(dns_type), .maximum = DNS_TYPE_MAX},
    {"command", MEMBER_STRING, CHECK_OFFSET(command), .maximum = 4096},
    {"dynamic_weight", MEMBER_BOOL, CHECK_OFFSET(dynamic_weight)},
    {"payload", MEMBER_STRING, CHECK_OFFSET(payload), .maximum = 2 * TEXT_MAX},
    {"require_reply", MEMBER_BOOL, CHECK_OFFSET(require_reply)},
    {"file", MEMBER_STRING, CHECK_OFFSET(file), .maximum = TEXT_MAX},
    {"file_weight", MEMBER_CUSTOM, .decode = file_weight_decode, .encode = file_weight_encode},
    {"reverse", MEMBER_BOOL, CHECK_OFFSET(reverse)},
    {0},
};

int health_check_decode(const json_t *json, void *element, const void *context, struct error *error)
{
    struct health_check *check = element;

    (void)context;
    *check = health_check_default(CHECK_TCP);
    return members_decode(check_members, json, check, error);
}

json_t *health_check_encode(const struct health_check *check)
{
    struct health_check usual = health_check_default(check->type);

    return members_encode(check_members, check, &usual);
}

/* ---- What fits together. ---- */

/* "200", "200,204", "200-299,301". */
static bool is_status(const char *text)
{
    for (;;) {
        char *end;
        unsigned long first, last;

        if (*text < '0' || *text > '9')
            return false;
        first = last = strtoul(text, &end, 10);
        if (*end == '-') {
            if (end[1] < '0' || end[1] > '9')
                return false;
            last = strtoul(end + 1, &end, 10);
        }
        if (first < 100 || last > 599 || first > last)
            return false;
        if (!*end)
            return true;
        if (*end != ',')
            return false;
        text = end + 1;
    }
}

static bool is_hexadecimal(const char *text)
{
    return strspn(text, "0123456789abcdefABCDEF") == strlen(text);
}

static int check_regex(const struct check_url *url, struct error *error)
{
    const struct health_regex_options options = check_url_regex(url);
    const char *stranger = url->regex_options      ? "regex_options"
                           : url->regex_no_match   ? "regex_no_match"
                           : url->regex_min_offset ? "regex_min_offset"
                           : url->regex_max_offset ? "regex_max_offset"
                                                   : NULL;
    struct health_regex *regex = NULL;
    int result;

    if (!url->regex)
        return stranger ? error_set(error, -EINVAL, stranger, "it is for a URL with a regex") : 0;
    result = health_regex_new(&options, &regex, error);
    health_regex_free(regex);
    return result;
}

static int check_one_url(const struct check_url *url, struct error *error)
{
    if (url->path[0] != '/' || strpbrk(url->path, " #"))
        return error_set(error, -EINVAL, "path", "'%s' does not begin with '/', or has a blank or '#'", url->path);
    if (url->host && strpbrk(url->host, " /"))
        return error_set(error, -EINVAL, "host", "'%s' is not the name of a host", url->host);
    if (url->status && (strlen(url->status) > TEXT_MAX || !is_status(url->status)))
        return error_set(error, -EINVAL, "status", "'%s' is not a list such as 200,301-303 of codes from 100 to 599",
                         url->status);
    if (url->digest && (strlen(url->digest) != 32 || !is_hexadecimal(url->digest)))
        return error_set(error, -EINVAL, "digest", "'%s' is not 32 hexadecimal digits (MD5)", url->digest);
    return check_regex(url, error);
}

/* What a type has no use for would be ignored in silence. */
static int refuse_strangers(const struct health_check *check, struct error *error)
{
    const unsigned http = TYPE(CHECK_HTTP) | TYPE(CHECK_HTTPS), misc = TYPE(CHECK_MISC), udp = TYPE(CHECK_UDP);
    const unsigned file = TYPE(CHECK_FILE), here = misc | file; /* Which ask this host. */
    const struct {
        const char *name;
        bool is_given;
        unsigned types; /* That have a use for it. */
    } members[] = {
        {"urls", check->n_urls, http},
        {"host", check->host, http | TYPE(CHECK_TLS) | TYPE(CHECK_SMTP)},
        {"http_version", check->http_1_1, http},
        {"follow_redirects", check->follow_redirects, http},
        {"dns_name", check->dns_name, TYPE(CHECK_DNS)},
        {"dns_type", check->dns_type, TYPE(CHECK_DNS)},
        {"command", check->command, misc},
        {"dynamic_weight", check->dynamic_weight, misc},
        {"payload", check->payload, udp},
        {"require_reply", check->require_reply, udp},
        {"file", check->file, file},
        {"file_weight", check->file_weight != 1, file},
        {"reverse", check->reverse, file},
        {"address", check->has_address, ~here},
        {"port", check->port, ~(here | TYPE(CHECK_PING))},
        {"bind_address", check->has_bind_address, ~here},
        {"bind_port", check->bind_port, ~(here | TYPE(CHECK_PING))},
        {"bind_interface", check->bind_interface[0], ~here},
        {"mark", check->mark, ~here},
    };

    for (size_t i = 0; i < ARRAY_SIZE(members); i++)
        if (members[i].is_given && !(members[i].types & TYPE(check->type)))
            return error_set(error, -EINVAL, members[i].name, "a check of type %s has none",
                             check_type_name(check->type));
    return 0;
}

static int check_one_path(const struct health_check *check, struct error *error)
{
    const char *own = check->bind_interface[0] ? "an interface" : check->mark ? "a mark" : NULL;

    if (check->path != CHECK_PATH_TRAFFIC)
        return 0;
    if (check->type == CHECK_MISC || check->type == CHECK_FILE)
        return error_set(error, -EINVAL, "path", "a check of type %s does not go the way of the traffic", check_type_name(check->type));
    return own ? error_set(error, -EINVAL, "path", "a check with %s does not go the way of the traffic", own) : 0;
}

int health_check_check(const struct health_check *check, struct error *error)
{
    int result = refuse_strangers(check, error);

    if (result < 0)
        return result;
    if ((check->type == CHECK_HTTP || check->type == CHECK_HTTPS) && !check->n_urls)
        return error_set(error, -EINVAL, "urls", "a check of type %s needs at least one", check_type_name(check->type));
    for (size_t i = 0; i < check->n_urls; i++) {
        result = check_one_url(&check->urls[i], error);
        if (result < 0) {
            error_prefix_field(error, "urls[%zu]", i);
            return result;
        }
    }
    if (check->dns_name && strlen(check->dns_name) > DNS_NAME_MAX)
        return error_set(error, -EINVAL, "dns_name", "it has more than %u bytes", DNS_NAME_MAX);
    if (check->dns_type && strlen(check->dns_type) > DNS_TYPE_MAX)
        return error_set(error, -EINVAL, "dns_type", "it has more than %u bytes", DNS_TYPE_MAX);
    result = check_one_path(check, error);
    if (result < 0)
        return result;
    if (check->interval_ms < INTERVAL_MIN_MS || !check->timeout_ms || !check->retry_delay_ms)
        return error_set(error, -EINVAL, "interval_ms", "times are too short");
    if (check->type == CHECK_MISC && !check->command)
        return error_set(error, -EINVAL, "command", "a check of type misc needs one");
    if (check->type == CHECK_FILE && (!check->file || check->file[0] != '/'))
        return error_set(error, -EINVAL, "file", "'%s' is not an absolute path", check->file ? check->file : "");
    if (check->payload && (strlen(check->payload) % 2 || !is_hexadecimal(check->payload)))
        return error_set(error, -EINVAL, "payload", "'%s' is not pairs of hexadecimal digits", check->payload);
    return 0;
}
