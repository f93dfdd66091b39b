/* One attribute of a resource: the row of a table from which codec, validation, defaults, policy, filters, sorting and
 * help are derived.  A resource is a C struct (objects.h) and a table of these; nothing else knows its fields.
 *
 *     static const struct attribute port_attributes[] = {
 *         {.name = "mac_address", .type = TYPE_MAC, FIELD(struct port, mac), .flags = ATTRIBUTE_POST | ...},
 *         ...
 *         {.name = NULL},
 *     };
 */
#ifndef WEFT_MODEL_ATTRIBUTE_H
#define WEFT_MODEL_ATTRIBUTE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weft/base/buffer.h"
#include "weft/base/error.h"

enum attribute_type {
    TYPE_STRING,  /* char *, owned; "" is held as NULL. */
    TYPE_TEXT,    /* char[size] in the struct. */
    TYPE_BOOL,
    TYPE_UINT,    /* uint8_t to uint64_t, by size; 'minimum' and 'maximum' hold. */
    TYPE_TIME,    /* int64_t, seconds since 1970; RFC 3339 in JSON. */
    TYPE_UUID,    /* char[UUID_TEXT_SIZE]; "" is null. */
    TYPE_MAC,     /* struct mac_address */
    TYPE_IP,      /* struct ip_address; all zero bytes are "not given". */
    TYPE_PREFIX,  /* struct ip_prefix, "10.0.0.0/24" */
    TYPE_ADDRESS_OR_PREFIX, /* struct ip_prefix; written without a length when it is a single address. */
    TYPE_PREFIX_AS_WRITTEN, /* struct ip_prefix and, behind it, the struct ip_address that was written: "10.0.0.5/24". */
    TYPE_ENUM,    /* An enum; 'values' in its order, where a NULL is JSON's null. */
    TYPE_LIST,    /* A pointer to an owned array and a count; 'element' describes the elements. */
    TYPE_INT,     /* int64_t; from -1, which stands for "none", to 'maximum'. */
    TYPE_BYTES,   /* A pointer to owned bytes and a size_t that counts them; base64 in JSON. */
    TYPE_JSON,    /* char *, owned: a JSON object as compact text; NULL is {}. */
};

enum attribute_flags {
    ATTRIBUTE_POST = 1 << 0,          /* May be given at creation, */
    ATTRIBUTE_PUT = 1 << 1,           /* at update. */
    ATTRIBUTE_REQUIRED = 1 << 2,      /* Must be given at creation (or in a list's element). */
    ATTRIBUTE_NULLABLE = 1 << 3,      /* null is a value: unset. */
    ATTRIBUTE_ADMIN_WRITE = 1 << 4,   /* Only an admin may give it (its default may be repeated by anyone). */
    ATTRIBUTE_ADMIN_READ = 1 << 5,    /* Only an admin sees it. */
    ATTRIBUTE_NETWORK_OWNER = 1 << 6, /* Only an admin or the owner of the resource's network may give it. */
    ATTRIBUTE_FILTER = 1 << 7,        /* ?name=value works, */
    ATTRIBUTE_SORT = 1 << 8,          /* ?sort_key=name works. */
    ATTRIBUTE_INTERNAL = 1 << 9,      /* Stored, never shown or accepted. */
    ATTRIBUTE_UNIQUE = 1 << 10,       /* A list whose elements must differ. */
    ATTRIBUTE_ZERO = 1 << 11,         /* 0.0.0.0 and :: are acceptable addresses. */
    ATTRIBUTE_NULL_EMPTY = 1 << 12,   /* null is taken, and means empty; it is never shown. */
    ATTRIBUTE_DERIVED = 1 << 13,      /* Shown, but not part of the stored form (read from it if there). */
    ATTRIBUTE_ANY_CASE = 1 << 14,     /* An enum's value in any case. */
    ATTRIBUTE_OR_NUMBER = 1 << 15,    /* A string for which a number is taken too. */
    ATTRIBUTE_OWNER_READ = 1 << 17,   /* Only an admin and its owner see it, whoever else sees the object. */
    ATTRIBUTE_NULL_DEFAULT = 1 << 18, /* null is taken in requests, and means the default. */
    ATTRIBUTE_HOST_BITS = 1 << 16,    /* Of a prefix the length may be missing, and bits behind it set: they are cleared. */
};
#define ATTRIBUTE_WRITE (ATTRIBUTE_POST | ATTRIBUTE_PUT)
#define ATTRIBUTE_FIND (ATTRIBUTE_FILTER | ATTRIBUTE_SORT)

struct attribute {
    const char *name;             /* The API's; NULL ends a table; "" is the only row of a list of plain values. */
    enum attribute_type type;
    uint32_t flags;
    uint32_t offset, size;        /* Of the member. */
    uint32_t presence;            /* 1 + offset of a bool that is false while the attribute is null; 0: there is none. */
    uint64_t minimum, maximum;    /* Of a number; a string's characters and a list's elements are at most 'maximum'. */
    const char *const *values;    /* TYPE_ENUM: 'n_values' of them. */
    uint32_t n_values;
    const struct attribute *element; /* TYPE_LIST. */
    uint32_t element_size, count;    /* TYPE_LIST: bytes of an element, offset of the size_t that counts them. */
    const char *default_json;     /* NULL: zero. */
    int (*check)(const struct attribute *attribute, const void *value, struct error *error); /* Extra, in requests. */
    const char *help;
};

/* For the tables: where the member is. */
#define FIELD(structure, member)                                                                             \
    .offset = offsetof(structure, member), .size = sizeof(((structure *)NULL)->member)
#define PRESENCE(structure, member) .presence = 1 + offsetof(structure, member)
#define LIST(structure, member, counter, table)                                                              \
    .type = TYPE_LIST, FIELD(structure, member), .count = offsetof(structure, counter), .element = (table),  \
    .element_size = sizeof(*((structure *)NULL)->member)
#define BYTES(structure, member, counter) .type = TYPE_BYTES, FIELD(structure, member), .count = offsetof(structure, counter)
#define VALUES(array) .values = (array), .n_values = sizeof(array) / sizeof(*(array))

enum decode_mode {
    DECODE_STORED,  /* What we wrote ourselves: exact types. */
    DECODE_REQUEST, /* What a person wrote: "true" and "1500" are taken too; limits and 'check' apply. */
};

/* Sets the attribute of the struct at 'base' from JSON; what it held is freed.  Returns 0; -EINVAL with '*error', whose
 * field starts with the attribute's name, and then nothing changed; -ENOMEM. */
int attribute_decode(const struct attribute *attribute, const json_t *json, void *base, enum decode_mode mode,
                     struct error *error);

/* Sets all rows of a table from one JSON object: what it leaves out gets its default; requests must give what is required and
 * nothing that is in no row.  On failure '*base' may hold something already. */
int attribute_decode_object(const struct attribute *table, const json_t *json, void *base, enum decode_mode mode, struct error *error);

int attribute_set_default(const struct attribute *attribute, void *base); /* 0 or -ENOMEM. */
bool attribute_is_default(const struct attribute *attribute, const void *base);

/* Appends the value as JSON text.  0 or -ENOMEM. */
int attribute_write(const struct attribute *attribute, const void *base, struct buffer *buffer);

void attribute_clear(const struct attribute *attribute, void *base); /* Frees and zeroes. */
int attribute_copy(const struct attribute *attribute, void *to, const void *from); /* 'to' is overwritten, not freed. */
bool attribute_equal(const struct attribute *attribute, const void *a, const void *b);
bool attribute_is_null(const struct attribute *attribute, const void *base); /* By its 'presence'. */

/* Order for sorting: as memcmp; unset comes first. */
int attribute_compare(const struct attribute *attribute, const void *a, const void *b);

/* Does the value equal what 'text', from a query string, says?  Never for lists. */
bool attribute_matches(const struct attribute *attribute, const void *base, const char *text);

/* Could 'text' ever match?  -EINVAL with '*error' for a boolean that is none and the like. */
int attribute_check_filter(const struct attribute *attribute, const char *text, struct error *error);

/* The row called 'name' of a table, or NULL. */
const struct attribute *attribute_find(const struct attribute *table, const char *name);

/* Appends 'text' as a JSON string, quotes included.  'text' is UTF-8. */
int json_write_string(struct buffer *buffer, const char *text);

/* At most 'size' - 1 bytes of the value's JSON, for messages; returns 'text'. */
const char *json_brief(const json_t *json, char *text, size_t size);

/* "true", "True", "1", "yes"...: as OpenStack clients write booleans.  -EINVAL for anything else. */
int boolean_parse(const char *text, bool *ret_value);

#endif
