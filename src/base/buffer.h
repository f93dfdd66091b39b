/* A byte buffer that grows.  A zeroed struct is an empty buffer. */
#ifndef WEFT_BASE_BUFFER_H
#define WEFT_BASE_BUFFER_H

#include <stddef.h>

#include "weft/base/cleanup.h"

struct buffer {
    char *data;  /* NULL while nothing was allocated. */
    size_t size; /* Bytes in use. */
    size_t capacity;
};

/* Append.  Return 0 or -ENOMEM, leaving the buffer as it was. */
int buffer_append(struct buffer *buffer, const void *bytes, size_t size);
int buffer_append_string(struct buffer *buffer, const char *text);
int buffer_printf(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Makes room for 'extra' more bytes behind 'size'. */
int buffer_reserve(struct buffer *buffer, size_t extra);

/* Drops the first 'size' bytes. */
void buffer_consume(struct buffer *buffer, size_t size);

/* The content as a terminated string (the end is not counted in 'size'); NULL when out of memory. */
const char *buffer_string(struct buffer *buffer);

/* Frees the memory; the buffer is empty afterwards and can be used again. */
void buffer_clear(struct buffer *buffer);

#endif
