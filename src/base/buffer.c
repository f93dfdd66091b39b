#include "weft/base/buffer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "weft/base/util.h"

int buffer_reserve(struct buffer *buffer, size_t extra)
{
    size_t needed = buffer->size + extra, capacity = MAX(buffer->capacity, (size_t)64);
    char *data;

    if (needed < extra)
        return -ENOMEM;
    if (needed <= buffer->capacity)
        return 0;
    while (capacity < needed)
        capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
    data = realloc(buffer->data, capacity);
    if (!data)
        return -ENOMEM;
    buffer->data = data;
    buffer->capacity = capacity;
    return 0;
}

int buffer_append(struct buffer *buffer, const void *bytes, size_t size)
{
    int r = buffer_reserve(buffer, size);

    if (r < 0)
        return r;
    if (size > 0)
        memcpy(buffer->data + buffer->size, bytes, size);
    buffer->size += size;
    return 0;
}

int buffer_append_string(struct buffer *buffer, const char *text)
{
    return buffer_append(buffer, text, strlen(text));
}

int buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list arguments;
    int length, r;

    va_start(arguments, format);
    length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        return -EINVAL;
    r = buffer_reserve(buffer, (size_t)length + 1); /* vsnprintf also writes the end. */
    if (r < 0)
        return r;
    va_start(arguments, format);
    vsnprintf(buffer->data + buffer->size, (size_t)length + 1, format, arguments);
    va_end(arguments);
    buffer->size += length;
    return 0;
}

void buffer_consume(struct buffer *buffer, size_t size)
{
    size = MIN(size, buffer->size);
    if (size == 0)
        return;
    memmove(buffer->data, buffer->data + size, buffer->size - size);
    buffer->size -= size;
}

const char *buffer_string(struct buffer *buffer)
{
    if (buffer_reserve(buffer, 1) < 0)
        return NULL;
    buffer->data[buffer->size] = '\0';
    return buffer->data;
}

void buffer_clear(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){};
}
