/* Objects of a director's file from and to JSON, by tables: one line a member, read and written by the same line.
 *
 * A member that is not in the table, is given twice, of another type or out of its range is an error that names it and
 * quotes its value.  What is not given stays as it was in the object, and a member that is as in a second object, the
 * defaults, is not written. */
#ifndef WEFT_DIRECTOR_MEMBERS_H
#define WEFT_DIRECTOR_MEMBERS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weft/base/error.h"

enum member_type {
    MEMBER_U8,
    MEMBER_U16,
    MEMBER_U32,
    MEMBER_BOOL,
    MEMBER_NAME,      /* One of a list of names; the number of it in an enum. */
    MEMBER_ADDRESS,   /* struct ip_address; the bool at 'flag' says whether it is there, if there is one. */
    MEMBER_PREFIX,    /* struct ip_prefix, likewise.  Host bits must be zero. */
    MEMBER_STRING,    /* char *, owned by the object; not empty, at most 'maximum' bytes. */
    MEMBER_INTERFACE, /* char [IFNAMSIZ]. */
    MEMBER_CUSTOM,
};

struct member {
    const char *name;
    enum member_type type;
    bool is_required;
    size_t offset, flag;                    /* 'flag' 0: none. */
    uint64_t minimum, maximum;              /* Numbers; 'maximum' 0: what the type holds.  Of strings the most bytes. */
    const char *(*name_of)(unsigned value); /* MEMBER_NAME, for each value below n_names. */
    unsigned n_names;

    /* MEMBER_CUSTOM.  'decode' gets the whole object; its errors' fields are relative to the member.  'encode' stores
     * NULL for a member that need not be written; 0 or -ENOMEM. */
    int (*decode)(const json_t *json, void *object, struct error *error);
    int (*encode)(const void *object, const void *defaults, json_t **ret_json);
};

/* 'members' ends with a NULL name.  0; -EINVAL with the member's name in the field; -ENOMEM.  After a failure the
 * object may hold part of it. */
int members_decode(const struct member *members, const json_t *json, void *object, struct error *error);

/* A new JSON object, or NULL without memory. */
json_t *members_encode(const struct member *members, const void *object, const void *defaults);

/* -EINVAL, with 'json' and "is not 'what'" in the message: "'abc' is not a number". */
int member_refuse(const json_t *json, const char *what, struct error *error);

/* Calls 'decode' for each element of an array of at most 'maximum' into new zeroed memory for all, '*ret_array' with
 * '*ret_n', which counts the element whose turn it is, too, so that after a failure the caller can free what was made.
 * Fields get their "[3]" in front. */
int members_decode_array(const json_t *json, size_t element_size, size_t maximum,
                         int (*decode)(const json_t *json, void *element, const void *context, struct error *error),
                         const void *context, void *ret_array, size_t *ret_n, struct error *error);

/* Appends to an array and takes over 'json', NULL included.  0 or -ENOMEM. */
int members_append(json_t *array, json_t *json);

#endif
