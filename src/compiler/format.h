/* Desired tables as text, one row a line: for golden tests, 'weft-agent tables' and people. */
#ifndef WEFT_COMPILER_FORMAT_H
#define WEFT_COMPILER_FORMAT_H

#include "weft/base/buffer.h"
#include "weft/dataplane/desired.h"

/* Appends one line: "fdb 100 fa:16:3e:00:00:01 = local 3".  Returns 0 or -ENOMEM. */
int format_row(enum desired_table table, const void *key, const void *value, struct buffer *buffer);

/* Appends all tables, each row a line, in the order of desired.h. */
int format_desired(const struct desired *desired, struct buffer *buffer);

/* Appends the compiler's shortages, each a line; format_desired() does, too. */
int format_shortages(const struct desired *desired, struct buffer *buffer);

#endif
