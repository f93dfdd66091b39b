/* The request target of HTTP (RFC 9112, 3.2; RFC 3986) into path segments and query parameters.  Pure. */
#ifndef WEFT_API_TARGET_H
#define WEFT_API_TARGET_H

#include <stddef.h>

#include "weft/api/request.h"

#define TARGET_MAX_SEGMENTS 16

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

/* Whether 'size' bytes are UTF-8 (RFC 3629) without a 0 byte. */
bool utf8_is_valid(const char *text, size_t size);

/* Makes 'text' UTF-8: each byte that is not part of a character becomes '?'.  For messages that quote what was sent, or cut it. */
void utf8_repair(char *text);

#endif
