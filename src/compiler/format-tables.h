/* Parts of format.h: what comes behind a table's name, by kinds of tables.  Return 0 or -ENOMEM. */
#ifndef WEFT_COMPILER_FORMAT_TABLES_H
#define WEFT_COMPILER_FORMAT_TABLES_H

#include "weft/base/buffer.h"
#include "weft/dataplane/desired.h"

int format_security_row(enum desired_table table, const void *key, const void *value, struct buffer *buffer);

/* 'key' and 'value' lie unaligned in their row: copied into a variable first. */
#define LOAD(type, name, from)                                                                               \
    type name;                                                                                               \
    memcpy(&name, from, sizeof(name))

#endif
