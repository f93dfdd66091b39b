#include "weft/director/members.h"

#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/address.h"
#include "weft/base/cleanup.h"
#include "weft/base/util.h"

#define BRIEF_SIZE 120
#define NAMES_SIZE 200

/* What a message quotes of a value: strings without JSON's quotes, everything cut where it is long, between characters.
 */
static const char *brief(const json_t *json, char text[BRIEF_SIZE])
{
    _cleanup_(freep) char *whole =
        json_is_string(json) ? strdup(json_string_value(json)) : json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);

    if (string_copy(text, BRIEF_SIZE, whole ? whole : "?") < 0) {
        size_t length = BRIEF_SIZE - 4;

        while (length > 0 && (text[length] & 0xc0) == 0x80)
            length--;
        strcpy(text + length, "...");
    }
    return text;
}

int member_refuse(const json_t *json, const char *what, struct error *error)
{
    char text[BRIEF_SIZE];

    return error_set(error, -EINVAL, NULL, "'%s' is not %s", brief(json, text), what);
}

static int decode_number(const struct member *member, const json_t *json, void *place, struct error *error)
{
    static const uint64_t most[] = {[MEMBER_U8] = UINT8_MAX, [MEMBER_U16] = UINT16_MAX, [MEMBER_U32] = UINT32_MAX};
    uint64_t maximum = member->maximum ? member->maximum : most[member->type];
    json_int_t value = json_integer_value(json);
    char range[64];

    snprintf(range, sizeof(range), "a number from %" PRIu64 " to %" PRIu64, member->minimum, maximum);
    if (!json_is_integer(json) || value < 0 || (uint64_t)value < member->minimum || (uint64_t)value > maximum)
        return member_refuse(json, range, error);
    if (member->type == MEMBER_U8)
        *(uint8_t *)place = (uint8_t)value;
    else if (member->type == MEMBER_U16)
        *(uint16_t *)place = (uint16_t)value;
    else
        *(uint32_t *)place = (uint32_t)value;
    return 0;
}

static int decode_name(const struct member *member, const json_t *json, void *place, struct error *error)
{
    const char *name = json_string_value(json);
    char names[NAMES_SIZE] = "one of ";

    for (unsigned i = 0; i < member->n_names; i++) {
        if (name && streq(name, member->name_of(i))) {
            *(unsigned *)place = i;
            return 0;
        }
        snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s", i ? ", " : "", member->name_of(i));
    }
    return member_refuse(json, names, error);
}

static int decode_string(const struct member *member, const json_t *json, char **place, struct error *error)
{
    size_t length = json_string_length(json);
    char what[64];

    snprintf(what, sizeof(what), "a text of 1 to %" PRIu64 " bytes", member->maximum);
    if (!json_is_string(json) || !length || length > member->maximum || memchr(json_string_value(json), 0, length))
        return member_refuse(json, what, error);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)json_string_value(json)[i] < ' ')
            return member_refuse(json, "a text without control characters", error);
    free(*place);
    *place = strdup(json_string_value(json));
    return *place ? 0 : error_set(error, -ENOMEM, NULL, "out of memory");
}

static int decode_interface(const json_t *json, char place[IFNAMSIZ], struct error *error)
{
    const char *name = json_string_value(json);

    if (!name || json_string_length(json) != strlen(name) || !*name || strpbrk(name, "/ \t\n") || streq(name, ".") ||
        streq(name, "..") || string_copy(place, IFNAMSIZ, name) < 0)
        return member_refuse(json, "the name of an interface", error);
    return 0;
}

static int decode_address(const json_t *json, struct ip_address *place, struct error *error)
{
    const char *text = json_string_value(json);

    return text && json_string_length(json) == strlen(text) && ip_parse(text, place) == 0
               ? 0
               : member_refuse(json, "an IP address", error);
}

static int decode_prefix(const json_t *json, struct ip_prefix *place, struct error *error)
{
    const char *text = json_string_value(json);
    int result = text && json_string_length(json) == strlen(text) ? prefix_parse(text, place) : -EINVAL;

    if (result == -ERANGE)
        return member_refuse(json, "a prefix: bits behind its length are set", error);
    return result < 0 ? member_refuse(json, "a prefix such as 192.0.2.0/24", error) : 0;
}

static int decode_member(const struct member *member, const json_t *json, void *object, struct error *error)
{
    void *place = (char *)object + member->offset;
    int result = 0;

    switch (member->type) {
    case MEMBER_U8:
    case MEMBER_U16:
    case MEMBER_U32:
        return decode_number(member, json, place, error);
    case MEMBER_BOOL:
        if (!json_is_boolean(json))
            return member_refuse(json, "true or false", error);
        *(bool *)place = json_is_true(json);
        return 0;
    case MEMBER_NAME:
        return decode_name(member, json, place, error);
    case MEMBER_ADDRESS:
        result = decode_address(json, place, error);
        break;
    case MEMBER_PREFIX:
        result = decode_prefix(json, place, error);
        break;
    case MEMBER_STRING:
        return decode_string(member, json, place, error);
    case MEMBER_INTERFACE:
        return decode_interface(json, place, error);
    case MEMBER_CUSTOM:
        return member->decode(json, object, error);
    }
    if (result == 0 && member->flag)
        *((bool *)object + member->flag) = true;
    return result;
}

int members_decode(const struct member *members, const json_t *json, void *object, struct error *error)
{
    const char *name;
    json_t *value;

    if (!json_is_object(json))
        return member_refuse(json, "an object", error);
    json_object_foreach((json_t *)json, name, value)
    {
        const struct member *member = members;
        int result;

        while (member->name && !streq(member->name, name))
            member++;
        if (!member->name)
            return error_set(error, -EINVAL, name, "there is no such member");
        result = decode_member(member, value, object, error);
        if (result < 0) {
            error_prefix_field(error, "%s", name);
            return result;
        }
    }
    for (const struct member *member = members; member->name; member++)
        if (member->is_required && !json_object_get(json, member->name))
            return error_set(error, -EINVAL, member->name, "it is missing");
    return 0;
}

int members_decode_array(const json_t *json, size_t element_size, size_t maximum,
                         int (*decode)(const json_t *json, void *element, const void *context, struct error *error),
                         const void *context, void *ret_array, size_t *ret_n, struct error *error)
{
    size_t n = json_array_size(json);
    char *array;

    *(void **)ret_array = NULL;
    *ret_n = 0;
    if (!json_is_array(json))
        return member_refuse(json, "a list", error);
    if (n > maximum)
        return error_set(error, -E2BIG, NULL, "%zu are more than %zu", n, maximum);
    if (!n)
        return 0;
    array = calloc(n, element_size);
    if (!array)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    *(void **)ret_array = array;
    for (size_t i = 0; i < n; i++) {
        int result;

        *ret_n = i + 1;
        result = decode(json_array_get(json, i), array + i * element_size, context, error);
        if (result < 0) {
            error_prefix_field(error, "[%zu]", i);
            return result;
        }
    }
    return 0;
}

/* ---- Writing. ---- */

static uint64_t number_at(enum member_type type, const void *place)
{
    return type == MEMBER_U8    ? *(const uint8_t *)place
           : type == MEMBER_U16 ? *(const uint16_t *)place
                                : *(const uint32_t *)place;
}

/* Stores NULL for what is as in the defaults.  0 or -ENOMEM. */
static int encode_member(const struct member *member, const void *object, const void *defaults, json_t **ret_json)
{
    const void *place = (const char *)object + member->offset, *usual = (const char *)defaults + member->offset;
    char text[PREFIX_TEXT_SIZE];

    *ret_json = NULL;
    if (member->flag && !*((const bool *)object + member->flag))
        return 0;
    switch (member->type) {
    case MEMBER_U8:
    case MEMBER_U16:
    case MEMBER_U32:
        if (!member->is_required && number_at(member->type, place) == number_at(member->type, usual))
            return 0;
        *ret_json = json_integer((json_int_t)number_at(member->type, place));
        break;
    case MEMBER_BOOL:
        if (*(const bool *)place == *(const bool *)usual)
            return 0;
        *ret_json = json_boolean(*(const bool *)place);
        break;
    case MEMBER_NAME:
        if (!member->is_required && *(const unsigned *)place == *(const unsigned *)usual)
            return 0;
        *ret_json = json_string(member->name_of(*(const unsigned *)place));
        break;
    case MEMBER_ADDRESS:
        *ret_json = json_string(ip_format(place, text));
        break;
    case MEMBER_PREFIX:
        *ret_json = json_string(prefix_format(place, text));
        break;
    case MEMBER_STRING:
        if (!*(char *const *)place)
            return 0;
        *ret_json = json_string(*(char *const *)place);
        break;
    case MEMBER_INTERFACE:
        if (!*(const char *)place)
            return 0;
        *ret_json = json_string(place);
        break;
    case MEMBER_CUSTOM:
        return member->encode(object, defaults, ret_json);
    }
    return *ret_json ? 0 : -ENOMEM;
}

json_t *members_encode(const struct member *members, const void *object, const void *defaults)
{
    json_t *json = json_object();

    for (const struct member *member = members; json && member->name; member++) {
        json_t *value;

        if (encode_member(member, object, defaults, &value) < 0 ||
            (value && json_object_set_new(json, member->name, value) < 0)) {
            json_decref(json);
            json = NULL;
        }
    }
    return json;
}

int members_append(json_t *array, json_t *json)
{
    return json && json_array_append_new(array, json) == 0 ? 0 : -ENOMEM;
}
