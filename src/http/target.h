/* The request target of HTTP (RFC 9112, 3.2; RFC 3986) into path segments and query parameters.  Pure. */
#ifndef WEFT_HTTP_TARGET_H
#define WEFT_HTTP_TARGET_H

#include <stddef.h>

#include "weft/base/error.h"

#define TARGET_MAX_SEGMENTS 16
#define TARGET_MAX_QUERY 512 /* Query parameters. */

struct query_parameter {
    const char *name;  /* Decoded; never contains a 0 byte; valid UTF-8. */
    const char *value; /* "" for "?name". */
};

struct target {
    char *path;                          /* Decoded, without query and trailing slash; "" for "/". */
    char *segments[TARGET_MAX_SEGMENTS]; /* Decoded: "%2F" is a slash inside a segment. */
    size_t n_segments;
    struct query_parameter *query;       /* In the order sent. */
    size_t n_query;
    char *storage;
};

/* Returns 0; -EINVAL with '*error' for a bad escape, a 0 byte, what is not UTF-8, or too many parts; -ENOMEM.
 * 'target' is cleared with target_clear in every case. */
int target_parse(const char *text, struct target *target, struct error *error);
void target_clear(struct target *target);

#endif
