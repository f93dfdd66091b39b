/* What a command prints: tables for people (libsmartcols), JSON and bare values for programs.
 *
 *     weft port list                     a table
 *     weft port list -o json             the API's own objects, whole
 *     weft port list -o value -c id      one value a line
 *
 * -c chooses columns by the API's attribute name, in the order given. */
#ifndef WEFT_CLI_OUTPUT_H
#define WEFT_CLI_OUTPUT_H

#include <jansson.h>

#include "weft/cli/command.h"

struct column {
    const char *attribute; /* Of the API; "binding:host_id". */
    const char *heading;   /* In tables; NULL ends a list of columns. */
};

/* Prints an array of objects.  'columns' are those of a table without -c.  Returns 0, -EINVAL for a column that no
 * object could have (call->error set), -ENOMEM. */
int output_list(struct call *call, const json_t *objects, const struct column *columns);

/* Prints one object, its attributes in alphabetical order. */
int output_object(struct call *call, const json_t *object);

/* Whether a person reads: -o table (the default). */
bool output_is_table(const struct call *call);

/* Whether to use colours on standard output. */
bool output_has_colour(void);

/* A value as one cell: lists joined by 'separator', fixed IPs as addresses, null as "".  Owned by the caller. */
char *output_cell(const json_t *value, const char *separator);

#endif
