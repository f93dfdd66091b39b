/* Values of attributes: JSON in, JSON out, copied, compared; one switch over the types each. */
#include "weft/model/attribute.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "weft/base/address.h"
#include "weft/base/clock.h"
#include "weft/base/utf8.h"
#include "weft/base/util.h"
#include "weft/base/uuid.h"

#define BRIEF_SIZE 120

static void *at(const struct attribute *attribute, const void *base)
{
    return (char *)base + attribute->offset;
}

static size_t *count_of(const struct attribute *attribute, const void *base)
{
    return (size_t *)((char *)base + attribute->count);
}

static bool is_scalar(const struct attribute *table)
{
    return table[0].name && !table[0].name[0];
}

static bool is_present(const struct attribute *attribute, const void *base)
{
    return !attribute->presence || *((const bool *)((const char *)base + attribute->presence - 1));
}

static void set_present(const struct attribute *attribute, void *base, bool present)
{
    if (attribute->presence)
        *((bool *)((char *)base + attribute->presence - 1)) = present;
}

static uint64_t uint_get(const struct attribute *attribute, const void *base)
{
    const void *value = at(attribute, base);

    switch (attribute->size) {
    case 1:
        return *(const uint8_t *)value;
    case 2:
        return *(const uint16_t *)value;
    case 4:
        return *(const uint32_t *)value;
    default:
        return *(const uint64_t *)value;
    }
}

static void uint_set(const struct attribute *attribute, void *base, uint64_t number)
{
    void *value = at(attribute, base);

    switch (attribute->size) {
    case 1:
        *(uint8_t *)value = number;
        break;
    case 2:
        *(uint16_t *)value = number;
        break;
    case 4:
        *(uint32_t *)value = number;
        break;
    default:
        *(uint64_t *)value = number;
    }
}

/* An enum's values are its indexes; the compiler chooses the width. */
static unsigned enum_get(const struct attribute *attribute, const void *base)
{
    return uint_get(attribute, base);
}

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

static void clear_elements(const struct attribute *attribute, void *elements, size_t n)
{
    for (size_t i = 0; elements && i < n; i++)
        for (const struct attribute *row = attribute->element;; row++) {
            if (!row->name)
                break;
            attribute_clear(row, (char *)elements + i * attribute->element_size);
            if (!row->name[0])
                break;
        }
    free(elements);
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

static bool elements_equal(const struct attribute *table, const void *a, const void *b)
{
    if (is_scalar(table))
        return attribute_equal(table, a, b);
    for (; table->name; table++)
        if (!attribute_equal(table, a, b))
            return false;
    return true;
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
            if (elements_equal(attribute->element, elements + i * size, elements + j * size)) {
                char brief[BRIEF_SIZE];
                r = error_set(error, -EINVAL, NULL, "'%s' is a duplicate",
                              json_brief(json_array_get(json, i), brief, sizeof brief));
            }
        if (r < 0)
            error_prefix_field(error, "%s[%zu]", attribute->name, i);
    }
    if (r < 0) {
        clear_elements(attribute, elements, n);
        return r;
    }
    clear_elements(attribute, *member, *count_of(attribute, base));
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
    case TYPE_JSON:
        return decode_json(attribute, json, base, mode, error);
    }
    return -EINVAL;
}

int attribute_decode(const struct attribute *attribute, const json_t *json, void *base, enum decode_mode mode,
                     struct error *error)
{
    int r;

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

int json_write_string(struct buffer *buffer, const char *text)
{
    static const char hex[] = "0123456789abcdef";
    size_t length = strlen(text);
    char *out;

    if (buffer_reserve(buffer, 6 * length + 2) < 0)
        return -ENOMEM;
    out = buffer->data + buffer->size;
    *out++ = '"';
    for (const char *next = text; *next; next++) {
        unsigned char c = *next;

        if (c == '"' || c == '\\') {
            *out++ = '\\';
            *out++ = c;
        } else if (c < 0x20 || c == 0x7f) {
            memcpy(out, "\\u00", 4);
            out[4] = hex[c >> 4];
            out[5] = hex[c & 15];
            out += 6;
        } else {
            *out++ = c;
        }
    }
    *out++ = '"';
    buffer->size = out - buffer->data;
    return 0;
}

/* A string that needs no escapes. */
static int write_quoted(struct buffer *buffer, const char *text)
{
    size_t length = strlen(text);
    char *out;

    if (buffer_reserve(buffer, length + 2) < 0)
        return -ENOMEM;
    out = buffer->data + buffer->size;
    out[0] = '"';
    memcpy(out + 1, text, length);
    out[length + 1] = '"';
    buffer->size += length + 2;
    return 0;
}

static int write_uint(struct buffer *buffer, uint64_t number)
{
    char digits[24], *next = digits + sizeof digits;

    do
        *--next = '0' + number % 10;
    while (number /= 10);
    return buffer_append(buffer, next, digits + sizeof digits - next);
}

static int write_list(const struct attribute *attribute, const void *base, struct buffer *buffer)
{
    const char *elements = *(char **)at(attribute, base);
    size_t n = *count_of(attribute, base);
    bool bad = buffer_append(buffer, "[", 1);

    for (size_t i = 0; i < n && !bad; i++) {
        const char *element = elements + i * attribute->element_size;

        if (i > 0)
            bad |= buffer_append(buffer, ",", 1);
        if (is_scalar(attribute->element)) {
            bad |= attribute_write(attribute->element, element, buffer);
            continue;
        }
        for (const struct attribute *row = attribute->element; row->name && !bad; row++) {
            bad |= buffer_append(buffer, row == attribute->element ? "{" : ",", 1);
            bad |= write_quoted(buffer, row->name) || buffer_append(buffer, ":", 1);
            bad |= attribute_write(row, element, buffer);
        }
        bad |= buffer_append(buffer, "}", 1);
    }
    return bad || buffer_append(buffer, "]", 1) ? -ENOMEM : 0;
}

static const char *format_as_written(const struct ip_prefix *prefix, char text[PREFIX_TEXT_SIZE])
{
    char address[IP_TEXT_SIZE];

    snprintf(text, PREFIX_TEXT_SIZE, "%s/%u", ip_format((const struct ip_address *)(prefix + 1), address), prefix->length);
    return text;
}

int attribute_write(const struct attribute *attribute, const void *base, struct buffer *buffer)
{
    char text[PREFIX_TEXT_SIZE];
    const void *member = at(attribute, base);
    const char *string;

    if (!is_present(attribute, base))
        return buffer_append(buffer, "null", 4);
    switch (attribute->type) {
    case TYPE_STRING:
        string = *(char *const *)member;
        if (!string)
            return attribute->flags & ATTRIBUTE_NULLABLE ? buffer_append(buffer, "null", 4) : buffer_append(buffer, "\"\"", 2);
        return json_write_string(buffer, string);
    case TYPE_TEXT:
        if (!*(const char *)member && (attribute->flags & ATTRIBUTE_NULLABLE))
            return buffer_append(buffer, "null", 4);
        return json_write_string(buffer, member);
    case TYPE_BOOL:
        return *(const bool *)member ? buffer_append(buffer, "true", 4) : buffer_append(buffer, "false", 5);
    case TYPE_UINT:
        return write_uint(buffer, uint_get(attribute, base));
    case TYPE_TIME:
        return write_quoted(buffer, time_format(*(const int64_t *)member, text));
    case TYPE_UUID:
        return *(const char *)member ? write_quoted(buffer, member) : buffer_append(buffer, "null", 4);
    case TYPE_MAC:
        return write_quoted(buffer, mac_format(member, text));
    case TYPE_IP:
        return write_quoted(buffer, ip_format(member, text));
    case TYPE_PREFIX:
        return write_quoted(buffer, prefix_format(member, text));
    case TYPE_ADDRESS_OR_PREFIX:
        if (prefix_bits(member) == 128)
            return write_quoted(buffer, ip_format(&((const struct ip_prefix *)member)->address, text));
        return write_quoted(buffer, prefix_format(member, text));
    case TYPE_PREFIX_AS_WRITTEN:
        return write_quoted(buffer, format_as_written(member, text));
    case TYPE_ENUM:
        string = enum_get(attribute, base) < attribute->n_values ? attribute->values[enum_get(attribute, base)] : NULL;
        return string ? write_quoted(buffer, string) : buffer_append(buffer, "null", 4);
    case TYPE_LIST:
        return write_list(attribute, base, buffer);
    case TYPE_JSON:
        string = *(char *const *)member;
        return buffer_append_string(buffer, string ? string : "{}");
    }
    return -EINVAL;
}

void attribute_clear(const struct attribute *attribute, void *base)
{
    void *member = at(attribute, base);

    if (attribute->type == TYPE_STRING || attribute->type == TYPE_JSON) {
        free(*(char **)member);
    } else if (attribute->type == TYPE_LIST) {
        clear_elements(attribute, *(void **)member, *count_of(attribute, base));
        *count_of(attribute, base) = 0;
    }
    memset(member, 0, attribute->size);
    set_present(attribute, base, false);
}

static int copy_list(const struct attribute *attribute, void *to, const void *from)
{
    size_t n = *count_of(attribute, from), size = attribute->element_size;
    const char *source = *(char **)at(attribute, from);
    char *elements = NULL;

    *(void **)at(attribute, to) = NULL;
    *count_of(attribute, to) = 0;
    if (n == 0)
        return 0;
    if (!(elements = calloc(n, size)))
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        for (const struct attribute *row = attribute->element; row->name; row++) {
            if (attribute_copy(row, elements + i * size, source + i * size) < 0) {
                clear_elements(attribute, elements, n);
                return -ENOMEM;
            }
            if (!row->name[0])
                break;
        }
    *(void **)at(attribute, to) = elements;
    *count_of(attribute, to) = n;
    return 0;
}

int attribute_copy(const struct attribute *attribute, void *to, const void *from)
{
    set_present(attribute, to, is_present(attribute, from));
    if (attribute->type == TYPE_LIST)
        return copy_list(attribute, to, from);
    if (attribute->type == TYPE_STRING || attribute->type == TYPE_JSON) {
        const char *text = *(char **)at(attribute, from);
        char *copy = text ? strdup(text) : NULL;

        *(char **)at(attribute, to) = copy;
        return text && !copy ? -ENOMEM : 0;
    }
    memcpy(at(attribute, to), at(attribute, from), attribute->size);
    return 0;
}

bool attribute_is_null(const struct attribute *attribute, const void *base)
{
    return !is_present(attribute, base);
}

bool attribute_equal(const struct attribute *attribute, const void *a, const void *b)
{
    const void *x = at(attribute, a), *y = at(attribute, b);
    size_t n;

    if (is_present(attribute, a) != is_present(attribute, b))
        return false;
    if (!is_present(attribute, a))
        return true;
    switch (attribute->type) {
    case TYPE_STRING:
    case TYPE_JSON:
        x = *(char *const *)x;
        y = *(char *const *)y;
        return x && y ? streq(x, y) : x == y;
    case TYPE_TEXT:
    case TYPE_UUID:
        return streq(x, y);
    case TYPE_PREFIX:
    case TYPE_ADDRESS_OR_PREFIX:
        return ip_equal(x, y) && prefix_bits(x) == prefix_bits(y);
    case TYPE_LIST:
        n = *count_of(attribute, a);
        if (n != *count_of(attribute, b))
            return false;
        for (size_t i = 0; i < n; i++)
            if (!elements_equal(attribute->element, *(char *const *)x + i * attribute->element_size,
                                *(char *const *)y + i * attribute->element_size))
                return false;
        return true;
    default:
        return memcmp(x, y, attribute->size) == 0;
    }
}

#define ORDER(a, b) ((a) < (b) ? -1 : (a) > (b))

int attribute_compare(const struct attribute *attribute, const void *a, const void *b)
{
    const void *x = at(attribute, a), *y = at(attribute, b);
    const char *first, *second;
    int order;

    if (is_present(attribute, a) != is_present(attribute, b))
        return is_present(attribute, a) ? 1 : -1;
    switch (attribute->type) {
    case TYPE_STRING:
    case TYPE_JSON:
        first = *(char *const *)x;
        second = *(char *const *)y;
        return strcmp(first ? first : "", second ? second : "");
    case TYPE_TEXT:
    case TYPE_UUID:
        return strcmp(x, y);
    case TYPE_BOOL:
        return *(const bool *)x - *(const bool *)y;
    case TYPE_UINT:
        return ORDER(uint_get(attribute, a), uint_get(attribute, b));
    case TYPE_TIME:
        return ORDER(*(const int64_t *)x, *(const int64_t *)y);
    case TYPE_MAC:
    case TYPE_IP:
        return memcmp(x, y, attribute->size);
    case TYPE_PREFIX:
    case TYPE_ADDRESS_OR_PREFIX:
    case TYPE_PREFIX_AS_WRITTEN:
        order = ip_compare(x, y);
        return order ? order : ORDER(prefix_bits(x), prefix_bits(y));
    case TYPE_ENUM:
        first = attribute->values[enum_get(attribute, a)];
        second = attribute->values[enum_get(attribute, b)];
        return strcmp(first ? first : "", second ? second : "");
    case TYPE_LIST:
        return ORDER(*count_of(attribute, a), *count_of(attribute, b));
    }
    return 0;
}

bool attribute_matches(const struct attribute *attribute, const void *base, const char *text)
{
    const void *member = at(attribute, base);
    union {
        bool boolean;
        uint64_t number;
        int64_t time;
        struct mac_address mac;
        struct ip_address address;
        struct ip_prefix prefix;
    } wanted;
    const char *string;

    if (!is_present(attribute, base))
        return !*text;
    switch (attribute->type) {
    case TYPE_STRING:
        string = *(char *const *)member;
        return streq(string ? string : "", text);
    case TYPE_TEXT:
        return streq(member, text);
    case TYPE_UUID:
        return !strcasecmp(member, text);
    case TYPE_BOOL:
        return boolean_parse(text, &wanted.boolean) == 0 && wanted.boolean == *(const bool *)member;
    case TYPE_UINT:
        return parse_u64(text, 0, UINT64_MAX, &wanted.number) == 0 && wanted.number == uint_get(attribute, base);
    case TYPE_TIME:
        return time_parse(text, &wanted.time) == 0 && wanted.time == *(const int64_t *)member;
    case TYPE_MAC:
        return mac_parse(text, &wanted.mac) == 0 && mac_equal(&wanted.mac, member);
    case TYPE_IP:
        return ip_parse(text, &wanted.address) == 0 && ip_equal(&wanted.address, member);
    case TYPE_PREFIX:
    case TYPE_ADDRESS_OR_PREFIX:
    case TYPE_PREFIX_AS_WRITTEN:
        return prefix_parse_host(text, &wanted.prefix) == 0 && ip_equal(&wanted.prefix.address, member) &&
               prefix_bits(&wanted.prefix) == prefix_bits(member);
    case TYPE_ENUM:
        string = attribute->values[enum_get(attribute, base)];
        return streq(string ? string : "", text);
    case TYPE_LIST:
    case TYPE_JSON:
        return false;
    }
    return false;
}

int attribute_check_filter(const struct attribute *attribute, const char *text, struct error *error)
{
    uint64_t number;
    bool boolean;

    if (attribute->type == TYPE_BOOL && boolean_parse(text, &boolean) < 0)
        return error_set(error, -EINVAL, attribute->name, "'%.100s' is not a boolean", text);
    if (attribute->type == TYPE_UINT && parse_u64(text, 0, UINT64_MAX, &number) == -EINVAL)
        return error_set(error, -EINVAL, attribute->name, "'%.100s' is not an integer", text);
    return 0;
}

const struct attribute *attribute_find(const struct attribute *table, const char *name)
{
    for (; table->name; table++)
        if (streq(table->name, name))
            return table;
    return NULL;
}
