/* Values of attributes: JSON out, copied, compared; one switch over the types each.  JSON in: attribute-decode.c. */
#include "weft/model/attribute.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "weft/base/address.h"
#include "weft/base/base64.h"
#include "weft/base/clock.h"
#include "weft/base/util.h"
#include "weft/model/attribute-member.h"

void attribute_clear_elements(const struct attribute *attribute, void *elements, size_t n)
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

bool attribute_elements_equal(const struct attribute *table, const void *a, const void *b)
{
    if (is_scalar(table))
        return attribute_equal(table, a, b);
    for (; table->name; table++)
        if (!attribute_equal(table, a, b))
            return false;
    return true;
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
    case TYPE_INT:
        return buffer_printf(buffer, "%" PRId64, *(const int64_t *)member);
    case TYPE_BYTES:
        return buffer_append(buffer, "\"", 1) || base64_write(*(uint8_t *const *)member, *count_of(attribute, base), buffer) ||
                       buffer_append(buffer, "\"", 1) ? -ENOMEM : 0;
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
        attribute_clear_elements(attribute, *(void **)member, *count_of(attribute, base));
        *count_of(attribute, base) = 0;
    } else if (attribute->type == TYPE_BYTES) {
        free(*(void **)member);
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
                attribute_clear_elements(attribute, elements, n);
                return -ENOMEM;
            }
            if (!row->name[0])
                break;
        }
    *(void **)at(attribute, to) = elements;
    *count_of(attribute, to) = n;
    return 0;
}

static int copy_bytes(const struct attribute *attribute, void *to, const void *from)
{
    size_t n = *count_of(attribute, from);
    void *copy = n ? malloc(n) : NULL;

    *(void **)at(attribute, to) = copy;
    *count_of(attribute, to) = copy ? n : 0;
    if (copy)
        memcpy(copy, *(void **)at(attribute, from), n);
    return n && !copy ? -ENOMEM : 0;
}

int attribute_copy(const struct attribute *attribute, void *to, const void *from)
{
    set_present(attribute, to, is_present(attribute, from));
    if (attribute->type == TYPE_LIST)
        return copy_list(attribute, to, from);
    if (attribute->type == TYPE_BYTES)
        return copy_bytes(attribute, to, from);
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
    case TYPE_BYTES:
        n = *count_of(attribute, a);
        return n == *count_of(attribute, b) && (n == 0 || memcmp(*(void *const *)x, *(void *const *)y, n) == 0);
    case TYPE_LIST:
        n = *count_of(attribute, a);
        if (n != *count_of(attribute, b))
            return false;
        for (size_t i = 0; i < n; i++)
            if (!attribute_elements_equal(attribute->element, *(char *const *)x + i * attribute->element_size,
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
    case TYPE_INT:
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
    case TYPE_BYTES:
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
    case TYPE_INT:
        return streq(text, "-1") ? *(const int64_t *)member == -1
                                 : parse_u64(text, 0, INT64_MAX, &wanted.number) == 0 && (int64_t)wanted.number == *(const int64_t *)member;
    case TYPE_LIST:
    case TYPE_BYTES:
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
