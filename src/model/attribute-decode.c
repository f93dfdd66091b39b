/* Attributes from JSON: what a person sent, or what was stored. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "weft/base/address.h"
#include "weft/base/base64.h"
#include "weft/base/clock.h"
#include "weft/base/utf8.h"
#include "weft/base/util.h"
#include "weft/base/uuid.h"
#include "weft/model/attribute-member.h"

#define BRIEF_SIZE 120

int boolean_parse(const char *text, bool *ret_value)
{
    static const char *const yes[] = {"true", "1", "yes", "on", "t", "y"}, *const no[] = {"false", "0", "no", "off", "f", "n"};

    for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
        if (!strcasecmp(text, yes[i]))
            return *ret_value = true, 0;
        if (!strcasecmp(text, no[i]))
            return *ret_value = false, 0;
    }
    return -EINVAL;
}

const char *json_brief(const json_t *json, char *text, size_t size)
{
    _cleanup_(freep) char *whole = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);
    size_t length;

    if (!whole) {
        string_copy(text, size, "(out of memory)");
        return text;
    }
    if (string_copy(text, size, whole)) {
        /* Cut between characters, not within one. */
        for (length = size - 4; length > 0 && (text[length] & 0xc0) == 0x80; length--)
            ;
        strcpy(text + length, "...");
    }
    return text;
}

/* "port.mtu: 'x' is not a number": strings are shown without their JSON quotes. */
static int refuse(struct error *error, const struct attribute *attribute, const json_t *json, const char *why)
{
    char brief[BRIEF_SIZE];

    if (json_is_string(json)) {
        if (string_copy(brief, sizeof brief, json_string_value(json))) {
            size_t length = sizeof brief - 4;
            while (length > 0 && (brief[length] & 0xc0) == 0x80)
                length--;
            strcpy(brief + length, "...");
        }
    } else {
        json_brief(json, brief, sizeof brief);
    }
    return error_set(error, -EINVAL, attribute->name, "'%s' %s", brief, why);
}

static int decode_string(const struct attribute *attribute, const json_t *json, void *base, enum decode_mode mode,
                         struct error *error)
{
    char **member = at(attribute, base), *copy = NULL;
    const char *text = json_string_value(json);
    char number[24];

    if (json_is_integer(json) && (attribute->flags & ATTRIBUTE_OR_NUMBER)) {
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(json));
        text = number;
    }
    if (!text)
        return refuse(error, attribute, json, "is not a string");
    if (mode == DECODE_REQUEST && attribute->maximum && utf8_length(text) > attribute->maximum)
        return error_set(error, -EINVAL, attribute->name, "a string of %zu characters exceeds the limit of %" PRIu64,
                         utf8_length(text), attribute->maximum);
    if (*text && !(copy = strdup(text)))
        return -ENOMEM;
    free(*member);
    *member = copy;
    return 0;
}

static int decode_text(const struct attribute *attribute, const json_t *json, void *base, struct error *error)
{
    const char *text = json_string_value(json);

    if (!text)
        return refuse(error, attribute, json, "is not a string");
    if (strlen(text) >= attribute->size)
        return error_set(error, -EINVAL, attribute->name, "a string of %zu bytes exceeds the limit of %u", strlen(text),
                         attribute->size - 1);
    memset(at(attribute, base), 0, attribute->size);
    return string_copy(at(attribute, base), attribute->size, text);
}

static int decode_bool(const struct attribute *attribute, const json_t *json, void *base, enum decode_mode mode,
                       struct error *error)
{
    bool *member = at(attribute, base);

    if (json_is_boolean(json))
        return *member = json_is_true(json), 0;
    if (mode == DECODE_REQUEST) {
        if (json_is_string(json) && boolean_parse(json_string_value(json), member) == 0)
            return 0;
        if (json_is_integer(json) && (json_integer_value(json) == 0 || json_integer_value(json) == 1))
            return *member = json_integer_value(json), 0;
    }
    return refuse(error, attribute, json, "is not a boolean");
}

static int decode_uint(const struct attribute *attribute, const json_t *json, void *base, enum decode_mode mode,
                       struct error *error)
{
    uint64_t largest = attribute->size >= 8 ? INT64_MAX : (UINT64_C(1) << (8 * attribute->size)) - 1;
    uint64_t maximum = attribute->maximum ? attribute->maximum : largest, minimum = attribute->minimum, value;
    char why[96];

    if (json_is_integer(json)) {
        if (json_integer_value(json) < 0)
            goto range;
        value = json_integer_value(json);
    } else if (mode == DECODE_REQUEST && json_is_string(json)) {
        int r = parse_u64(json_string_value(json), 0, UINT64_MAX, &value);
        if (r == -ERANGE)
            goto range;
        if (r < 0)
            return refuse(error, attribute, json, "is not an integer");
    } else {
        return refuse(error, attribute, json, "is not an integer");
    }
    if (value > largest || (mode == DECODE_REQUEST && (value < minimum || value > maximum)))
        goto range;
    uint_set(attribute, base, value);
    return 0;
range:
    snprintf(why, sizeof why, "is not between %" PRIu64 " and %" PRIu64, minimum, maximum);
    return refuse(error, attribute, json, why);
}

static int decode_uuid(const struct attribute *attribute, const json_t *json, void *base, struct error *error)
{
    const char *text = json_string_value(json);
    char *member = at(attribute, base);

    if (!text || !uuid_is_valid(text))
        return refuse(error, attribute, json, "is not a UUID");
    for (int i = 0; i < UUID_TEXT_SIZE; i++)
        member[i] = text[i] >= 'A' && text[i] <= 'F' ? text[i] + 32 : text[i];
    return 0;
}

static int decode_mac(const struct attribute *attribute, const json_t *json, void *base, enum decode_mode mode,
                      struct error *error)
{
    static const struct mac_address zero;
    struct mac_address mac;

    if (!json_is_string(json) || mac_parse(json_string_value(json), &mac) < 0)
        return refuse(error, attribute, json, "is not a MAC address");
    if (mode == DECODE_REQUEST && mac_is_multicast(&mac))
        return refuse(error, attribute, json, "is a multicast MAC address");
    if (mode == DECODE_REQUEST && mac_equal(&mac, &zero))
        return refuse(error, attribute, json, "is not the MAC address of an interface");
    memcpy(at(attribute, base), &mac, sizeof mac);
    return 0;
}

static int decode_ip(const struct attribute *attribute, const json_t *json, void *base, enum decode_mode mode,
                     struct error *error)
{
    struct ip_address address;

    if (!json_is_string(json) || ip_parse(json_string_value(json), &address) < 0)
        return refuse(error, attribute, json, "is not an IP address");
    if (mode == DECODE_REQUEST && !(attribute->flags & ATTRIBUTE_ZERO) && ip_is_zero(&address))
        return refuse(error, attribute, json, "is not the address of an interface");
    memcpy(at(attribute, base), &address, sizeof address);
    return 0;
}

static int decode_prefix(const struct attribute *attribute, const json_t *json, void *base, struct error *error)
{
    bool bare = attribute->type != TYPE_PREFIX || (attribute->flags & ATTRIBUTE_HOST_BITS);
    struct ip_prefix prefix;
    char why[96], text[PREFIX_TEXT_SIZE];
    int r;

    if (!json_is_string(json))
        return refuse(error, attribute, json, "is not an IP prefix");
    r = bare ? prefix_parse_host(json_string_value(json), &prefix) : prefix_parse(json_string_value(json), &prefix);
    if (r == -ERANGE && prefix_parse_host(json_string_value(json), &prefix) == 0) {
        snprintf(why, sizeof why, "has bits set behind its prefix length; did you mean '%s'?", prefix_format(&prefix, text));
        return refuse(error, attribute, json, why);
    }
    if (r < 0)
        return refuse(error, attribute, json, bare ? "is neither an IP address nor a prefix" : "is not an IP prefix");
    memcpy(at(attribute, base), &prefix, sizeof prefix);
    if (attribute->type == TYPE_PREFIX_AS_WRITTEN) {
        const char *written = json_string_value(json);
        char address[IP_TEXT_SIZE];

        snprintf(address, sizeof address, "%.*s", (int)strcspn(written, "/"), written); /* Fits: it was parsed. */
        return ip_parse(address, (struct ip_address *)((char *)at(attribute, base) + sizeof prefix));
    }
    return 0;
}

static int decode_enum(const struct attribute *attribute, const json_t *json, void *base, struct error *error)
{
    char why[200] = "is not one of";
    size_t used = strlen(why);

    for (uint32_t i = 0; i < attribute->n_values && json_is_string(json); i++)
        if (attribute->values[i] && (streq(attribute->values[i], json_string_value(json)) ||
                                     (attribute->flags & ATTRIBUTE_ANY_CASE && !strcasecmp(attribute->values[i], json_string_value(json))))) {
            uint_set(attribute, base, i);
            return 0;
        }
    for (uint32_t i = 0; i < attribute->n_values; i++)
        if (attribute->values[i] && used < sizeof why)
            used += snprintf(why + used, sizeof why - used, " '%s'", attribute->values[i]);
    return refuse(error, attribute, json, why);
}

static int decode_json(const struct attribute *attribute, const json_t *json, void *base, enum decode_mode mode,
                       struct error *error)
{
    char **member = at(attribute, base), *text = NULL;

    if (!json_is_object(json))
        return refuse(error, attribute, json, "is not a JSON object");
    if (json_object_size(json) > 0 && !(text = json_dumps(json, JSON_COMPACT)))
        return -ENOMEM;
    if (mode == DECODE_REQUEST && attribute->maximum && text && strlen(text) > attribute->maximum) {
        int r = error_set(error, -EINVAL, attribute->name, "an object of %zu bytes exceeds the limit of %" PRIu64,
                          strlen(text), attribute->maximum);
        free(text);
        return r;
    }
    free(*member);
    *member = text;
    return 0;
}

int attribute_decode_object(const struct attribute *table, const json_t *json, void *element, enum decode_mode mode, struct error *error)
{
    char brief[BRIEF_SIZE];
    const char *key;
    json_t *value;
    int r;

    if (!json_is_object(json))
        return error_set(error, -EINVAL, NULL, "'%s' is not an object", json_brief(json, brief, sizeof brief));
    for (const struct attribute *row = table; row->name; row++) {
        value = json_object_get(json, row->name);
        if (!value && (row->flags & ATTRIBUTE_REQUIRED))
            return error_set(error, -EINVAL, row->name, "is required");
        if ((r = value ? attribute_decode(row, value, element, mode, error) : attribute_set_default(row, element)) < 0)
            return r;
    }
    if (mode == DECODE_REQUEST)
        json_object_foreach ((json_t *)json, key, value)
            if (!attribute_find(table, key))
                return error_set(error, -EINVAL, key, "is not a known attribute");
    return 0;
}

static int decode_element(const struct attribute *table, const json_t *json, void *element, enum decode_mode mode,
                          struct error *error)
{
    return is_scalar(table) ? attribute_decode(table, json, element, mode, error)
                            : attribute_decode_object(table, json, element, mode, error);
}

static int decode_list(const struct attribute *attribute, const json_t *json, void *base, enum decode_mode mode,
                       struct error *error)
{
    void **member = at(attribute, base);
    size_t n = json_array_size(json), size = attribute->element_size;
    char *elements = NULL;
    int r = 0;

    if (!json_is_array(json))
        return refuse(error, attribute, json, "is not a list");
    if (mode == DECODE_REQUEST && attribute->maximum && n > attribute->maximum)
        return error_set(error, -EINVAL, attribute->name, "a list of %zu exceeds the limit of %" PRIu64, n,
                         attribute->maximum);
    if (n > 0 && !(elements = calloc(n, size)))
        return -ENOMEM;
    for (size_t i = 0; i < n && r == 0; i++) {
        r = decode_element(attribute->element, json_array_get(json, i), elements + i * size, mode, error);
        for (size_t j = 0; r == 0 && mode == DECODE_REQUEST && (attribute->flags & ATTRIBUTE_UNIQUE) && j < i; j++)
            if (attribute_elements_equal(attribute->element, elements + i * size, elements + j * size)) {
                char brief[BRIEF_SIZE];
                r = error_set(error, -EINVAL, NULL, "'%s' is a duplicate",
                              json_brief(json_array_get(json, i), brief, sizeof brief));
            }
        if (r < 0)
            error_prefix_field(error, "%s[%zu]", attribute->name, i);
    }
    if (r < 0) {
        attribute_clear_elements(attribute, elements, n);
        return r;
    }
    attribute_clear_elements(attribute, *member, *count_of(attribute, base));
    *member = elements;
    *count_of(attribute, base) = n;
    return 0;
}

static int decode_time(const struct attribute *attribute, const json_t *json, void *base, struct error *error)
{
    int64_t time;

    if (!json_is_string(json) || time_parse(json_string_value(json), &time) < 0)
        return refuse(error, attribute, json, "is not a time");
    memcpy(at(attribute, base), &time, sizeof time);
    return 0;
}

static int decode_int(const struct attribute *attribute, const json_t *json, void *base, enum decode_mode mode, struct error *error)
{
    int64_t maximum = attribute->maximum ? (int64_t)attribute->maximum : INT64_MAX, value;
    char why[96];
    uint64_t number;

    if (json_is_integer(json)) {
        value = json_integer_value(json);
    } else if (mode == DECODE_REQUEST && json_is_string(json)) {
        int r = streq(json_string_value(json), "-1") ? 1 : parse_u64(json_string_value(json), 0, INT64_MAX, &number);

        if (r < 0)
            return refuse(error, attribute, json, "is not an integer");
        value = r == 1 ? -1 : (int64_t)number;
    } else {
        return refuse(error, attribute, json, "is not an integer");
    }
    if (mode == DECODE_REQUEST && (value < -1 || value > maximum)) {
        snprintf(why, sizeof why, "is not between -1 and %" PRId64, maximum);
        return refuse(error, attribute, json, why);
    }
    memcpy(at(attribute, base), &value, sizeof value);
    return 0;
}

static int decode_bytes(const struct attribute *attribute, const json_t *json, void *base, struct error *error)
{
    uint8_t **member = at(attribute, base), *bytes;
    size_t n;
    int r = json_is_string(json) ? base64_read(json_string_value(json), &bytes, &n) : -EINVAL;

    if (r < 0)
        return r == -EINVAL ? refuse(error, attribute, json, "is not base64") : r;
    free(*member);
    *member = bytes;
    *count_of(attribute, base) = n;
    return 0;
}

static int decode_value(const struct attribute *attribute, const json_t *json, void *base, enum decode_mode mode,
                        struct error *error)
{
    switch (attribute->type) {
    case TYPE_STRING:
        return decode_string(attribute, json, base, mode, error);
    case TYPE_TEXT:
        return decode_text(attribute, json, base, error);
    case TYPE_BOOL:
        return decode_bool(attribute, json, base, mode, error);
    case TYPE_UINT:
        return decode_uint(attribute, json, base, mode, error);
    case TYPE_TIME:
        return decode_time(attribute, json, base, error);
    case TYPE_UUID:
        return decode_uuid(attribute, json, base, error);
    case TYPE_MAC:
        return decode_mac(attribute, json, base, mode, error);
    case TYPE_IP:
        return decode_ip(attribute, json, base, mode, error);
    case TYPE_PREFIX:
    case TYPE_ADDRESS_OR_PREFIX:
    case TYPE_PREFIX_AS_WRITTEN:
        return decode_prefix(attribute, json, base, error);
    case TYPE_ENUM:
        return decode_enum(attribute, json, base, error);
    case TYPE_LIST:
        return decode_list(attribute, json, base, mode, error);
    case TYPE_INT:
        return decode_int(attribute, json, base, mode, error);
    case TYPE_BYTES:
        return decode_bytes(attribute, json, base, error);
    case TYPE_JSON:
        return decode_json(attribute, json, base, mode, error);
    }
    return -EINVAL;
}

int attribute_decode(const struct attribute *attribute, const json_t *json, void *base, enum decode_mode mode,
                     struct error *error)
{
    int r;

    if (json_is_null(json) && mode == DECODE_REQUEST && (attribute->flags & ATTRIBUTE_NULL_DEFAULT))
        return attribute_set_default(attribute, base);
    if (json_is_null(json)) {
        if (!(attribute->flags & (ATTRIBUTE_NULLABLE | ATTRIBUTE_NULL_EMPTY)) &&
            (attribute->type != TYPE_UUID || mode != DECODE_STORED)) /* An unset UUID is stored as null. */
            return error_set(error, -EINVAL, attribute->name, "null is not allowed");
        attribute_clear(attribute, base);
        return 0;
    }
    r = decode_value(attribute, json, base, mode, error);
    if (r < 0)
        return r;
    set_present(attribute, base, true);
    return mode == DECODE_REQUEST && attribute->check ? attribute->check(attribute, at(attribute, base), error) : 0;
}

int attribute_set_default(const struct attribute *attribute, void *base)
{
    json_t *json;
    int r;

    attribute_clear(attribute, base);
    if (!attribute->default_json)
        return 0;
    json = json_loads(attribute->default_json, JSON_DECODE_ANY, NULL);
    if (!json)
        return -ENOMEM;
    r = attribute_decode(attribute, json, base, DECODE_STORED, NULL);
    json_decref(json);
    return r;
}

bool attribute_is_default(const struct attribute *attribute, const void *base)
{
    _cleanup_(freep) void *other = calloc(1, MAX(attribute->offset + attribute->size,
                                                 MAX(attribute->presence, attribute->count + sizeof(size_t))));
    bool equal;

    if (!other || attribute_set_default(attribute, other) < 0)
        return false;
    equal = attribute_equal(attribute, base, other);
    attribute_clear(attribute, other);
    return equal;
}
