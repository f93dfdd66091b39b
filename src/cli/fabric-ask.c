#include "weft/cli/fabric-ask.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "weft/base/address.h"
#include "weft/base/util.h"
#include "weft/cli/fabric.h"
#include "weft/cli/resource.h"
#include "weft/cli/text.h"

/* ---- asking ------------------------------------------------------------------------------------------------------ */

int fabric_ask(struct call *call, const char *method, const json_t *body, json_t **ret, const char *format, ...)
{
    _cleanup_(freep) char *path = NULL;
    va_list arguments;
    int r;

    va_start(arguments, format);
    r = vasprintf(&path, format, arguments);
    va_end(arguments);
    if (r < 0) {
        path = NULL;
        return -ENOMEM;
    }
    return session_request(call->session, SERVICE_FABRIC, method, path, body, ret, &call->error);
}

int fabric_part_of(const json_t *answer, const char *key, json_t **ret, struct error *error)
{
    json_t *part = json_object_get(answer, key);

    if (!part)
        return error_set(error, -EREMOTEIO, key, "weft-fabric answered without '%s'", key);
    *ret = json_incref(part);
    return 0;
}

int fabric_get_part(struct call *call, const char *key, json_t **ret, const char *path)
{
    _cleanup_(json_decrefp) json_t *answer = NULL;
    int r = fabric_ask(call, "GET", NULL, &answer, "%s", path);

    return r < 0 ? r : fabric_part_of(answer, key, ret, &call->error);
}

static const char *next_page(struct session *session, const json_t *answer, const char *collection)
{
    const json_t *link;
    char key[40];
    size_t i;

    snprintf(key, sizeof key, "%s_links", collection);
    json_array_foreach (json_object_get(answer, key), i, link)
        if (streq(resource_string(link, "rel"), "next"))
            return session_path_of_link(session, SERVICE_FABRIC, resource_string(link, "href"));
    return NULL;
}

int fabric_list(struct session *session, const char *collection, const char *query, json_t **ret, struct error *error)
{
    _cleanup_(json_decrefp) json_t *all = json_array();
    _cleanup_(freep) char *path = NULL;

    if (!all || text_format(&path, "/%s%s%s", collection, query && *query ? "?" : "", query ? query : "") < 0)
        return -ENOMEM;
    while (path) {
        _cleanup_(json_decrefp) json_t *answer = NULL, *page = NULL;
        const char *next;
        int r = session_request(session, SERVICE_FABRIC, "GET", path, NULL, &answer, error);

        if (r >= 0)
            r = fabric_part_of(answer, collection, &page, error);
        if (r < 0)
            return r;
        if (json_array_extend(all, page) < 0)
            return -ENOMEM;
        next = json_array_size(page) ? next_page(session, answer, collection) : NULL;
        free(path);
        path = next ? strdup(next) : NULL;
        if (next && !path)
            return -ENOMEM;
    }
    *ret = TAKE_PTR(all);
    return 0;
}

/* ---- what a person writes ---------------------------------------------------------------------------------------- */

int fabric_parse_id(const char *text, uint64_t *ret)
{
    const char *digits = text + 2;

    if (strncasecmp(text, "0x", 2) != 0)
        return parse_u64(text, 0, UINT64_MAX, ret);
    digits += strspn(digits, "0");
    if (!text[2] || strspn(digits, "0123456789abcdefABCDEF") != strlen(digits) || strlen(digits) > 16)
        return -EINVAL;
    *ret = strtoull(text, NULL, 16);
    return 0;
}

int fabric_read_id(const char *what, const char *text, uint64_t *ret, struct error *error)
{
    if (fabric_parse_id(text, ret) < 0)
        return error_set(error, -EINVAL, what, "%s: '%s' is not a switch's id, such as 0xe5 or 229", what, text);
    return 0;
}

int fabric_read_number(const char *what, const char *text, uint64_t minimum, uint64_t maximum, uint64_t *ret, struct error *error)
{
    if (parse_u64(text, minimum, maximum, ret) < 0)
        return error_set(error, -EINVAL, what, "%s: '%s' is not a number from %llu to %llu", what, text, (unsigned long long)minimum,
                         (unsigned long long)maximum);
    return 0;
}

int fabric_read_end(struct call *call, const char *what, const char *text, bool may_be_switch, char **ret)
{
    struct mac_address mac;
    struct ip_address ip;
    uint64_t id;

    if (mac_parse(text, &mac) == 0 || ip_parse(text, &ip) == 0) {
        *ret = session_escape(call->session, text);
        return *ret ? 0 : -ENOMEM;
    }
    if (may_be_switch && fabric_parse_id(text, &id) == 0)
        return text_format(ret, "0x%llx", (unsigned long long)id);
    return error_set(&call->error, -EINVAL, what, "%s: '%s' is not a MAC%s", what, text,
                     may_be_switch ? ", an IP address or a switch's id" : " or an IP address");
}

/* ---- what a person reads ----------------------------------------------------------------------------------------- */

bool fabric_wants_json(const struct call *call)
{
    const char *format = call_flag(call, "output");

    return format && streq(format, "json");
}

const char *fabric_short_id(const char *id, char text[ID_TEXT_SIZE])
{
    uint64_t number;

    if (strlen(id) != ID_TEXT_SIZE - 1 || strncmp(id, "0x", 2) != 0 || fabric_parse_id(id, &number) < 0)
        return id;
    snprintf(text, ID_TEXT_SIZE, "0x%llx", (unsigned long long)number);
    return text;
}

static json_t *object_for_people(const json_t *object)
{
    const char *id = json_string_value(json_object_get(object, "switch")), *key;
    const json_t *port = json_object_get(object, "port");
    char text[ID_TEXT_SIZE];
    json_t *result, *value;

    if (id && json_is_integer(port) && json_object_size(object) == 2)
        return json_sprintf("%s:%lld", fabric_short_id(id, text), (long long)json_integer_value(port));
    result = json_object();
    json_object_foreach ((json_t *)object, key, value)
        if (json_object_set_new(result, key, fabric_for_people(value)) < 0) {
            json_decref(result);
            return NULL;
        }
    return result;
}

json_t *fabric_for_people(const json_t *value)
{
    char text[ID_TEXT_SIZE];
    const json_t *item;
    json_t *result;
    size_t i;

    if (json_is_string(value))
        return json_string(fabric_short_id(json_string_value(value), text));
    if (json_is_object(value))
        return object_for_people(value);
    if (!json_is_array(value))
        return json_incref((json_t *)value);
    result = json_array();
    json_array_foreach (value, i, item)
        if (json_array_append_new(result, fabric_for_people(item)) < 0) {
            json_decref(result);
            return NULL;
        }
    return result;
}

int fabric_print_list(struct call *call, const json_t *list, const struct column *columns)
{
    _cleanup_(json_decrefp) json_t *readable = fabric_wants_json(call) ? json_incref((json_t *)list) : fabric_for_people(list);

    return readable ? output_list(call, readable, columns) : -ENOMEM;
}

int fabric_print_object(struct call *call, const json_t *object)
{
    _cleanup_(json_decrefp) json_t *readable = fabric_wants_json(call) ? json_incref((json_t *)object) : fabric_for_people(object);

    return readable ? output_object(call, readable) : -ENOMEM;
}

json_int_t fabric_number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}
