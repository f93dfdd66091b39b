/* Objects by kind: made, freed, read and written through one attribute table per resource. */
#ifndef WEFT_MODEL_SCHEMA_H
#define WEFT_MODEL_SCHEMA_H

#include <jansson.h>

#include "weft/base/buffer.h"
#include "weft/base/cleanup.h"
#include "weft/base/error.h"
#include "weft/model/attribute.h"
#include "weft/model/objects.h"

#define SCHEMA_VERSION 1 /* "schema" in the stored form. */

/* A resource: its names, its struct and its attributes.  network.c, subnet.c, port.c, host.c, security.c, router.c. */
struct schema {
    enum resource_kind kind;
    const char *name;        /* "port" */
    const char *collection;  /* "ports" */
    size_t size;             /* Of the struct. */
    const struct attribute *attributes;
    const char *help;
};

const struct schema *schema_get(enum resource_kind kind);

/* A zeroed object of 'kind' with defaults; NULL when out of memory. */
struct object *object_new(enum resource_kind kind);
void object_free(struct object *object); /* NULL is fine.  Frees all it owns. */
DEFINE_CLEANUP(struct object *, object_free);

/* A deep copy; NULL when out of memory. */
struct object *object_copy(const struct object *object);

/* The stored (and watched) form: canonical JSON, every attribute, API names, with "schema": 1 as version.
 * object_decode checks every type and range and keeps what it does not know in 'unknown'.
 * Return 0; -EINVAL with '*error' naming the field; -ENOMEM. */
int object_decode(enum resource_kind kind, const json_t *json, struct object **ret_object, struct error *error);
json_t *object_encode(const struct object *object); /* A new reference; NULL when out of memory. */

/* Appends the stored form as text, much faster than object_encode.  0 or -ENOMEM. */
int object_write(const struct object *object, struct buffer *buffer);

/* "network" <-> RESOURCE_NETWORK.  -EINVAL for an unknown name. */
const char *resource_name(enum resource_kind kind);
int resource_from_name(const char *name, enum resource_kind *ret_kind);

#endif
