/* UTF-8 (RFC 3629). */
#ifndef WEFT_BASE_UTF8_H
#define WEFT_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Whether 'size' bytes are UTF-8 without a 0 byte. */
bool utf8_is_valid(const char *text, size_t size);

/* How many characters valid text has. */
size_t utf8_length(const char *text);

/* Makes 'text' UTF-8: each byte that is not part of a character becomes '?'.  For messages that quote what was sent, or cut it. */
void utf8_repair(char *text);

#endif
