/* Base64 (RFC 4648, section 4), padded and without line breaks: bytes in JSON. */
#ifndef WEFT_BASE_BASE64_H
#define WEFT_BASE_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include "weft/base/buffer.h"

/* Appends the text of 'n' bytes.  0 or -ENOMEM. */
int base64_write(const void *bytes, size_t n, struct buffer *buffer);

/* The bytes of 'text', which the caller frees; NULL of none.  0; -EINVAL: it is not exactly what base64_write would have written; -ENOMEM. */
int base64_read(const char *text, uint8_t **ret_bytes, size_t *ret_n);

#endif
