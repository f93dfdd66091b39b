#include "weft/base/base64.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int base64_write(const void *from, size_t n, struct buffer *buffer)
{
    const uint8_t *bytes = from;
    char *out;

    if (buffer_reserve(buffer, (n + 2) / 3 * 4) < 0)
        return -ENOMEM;
    out = buffer->data + buffer->size;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t group = (uint32_t)bytes[i] << 16 | (i + 1 < n ? (uint32_t)bytes[i + 1] << 8 : 0) | (i + 2 < n ? bytes[i + 2] : 0);

        *out++ = digits[group >> 18];
        *out++ = digits[group >> 12 & 63];
        *out++ = i + 1 < n ? digits[group >> 6 & 63] : '=';
        *out++ = i + 2 < n ? digits[group & 63] : '=';
    }
    buffer->size = (size_t)(out - buffer->data);
    return 0;
}

static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int base64_read(const char *text, uint8_t **ret_bytes, size_t *ret_n)
{
    size_t length = strlen(text), n_padding = 0, n;
    uint8_t *bytes, *out;

    while (n_padding < 2 && n_padding < length && text[length - 1 - n_padding] == '=')
        n_padding++;
    if (length % 4 != 0)
        return -EINVAL;
    n = length / 4 * 3 - n_padding;
    if (n == 0) {
        *ret_bytes = NULL;
        *ret_n = 0;
        return 0;
    }
    out = bytes = malloc(n + 2); /* The last group is written whole. */
    if (!bytes)
        return -ENOMEM;
    for (size_t i = 0; i < length; i += 4) {
        uint32_t group = 0;

        for (size_t j = 0; j < 4; j++) {
            int value = i + j >= length - n_padding ? 0 : digit(text[i + j]);

            if (value < 0) {
                free(bytes);
                return -EINVAL;
            }
            group = group << 6 | (uint32_t)value;
        }
        *out++ = (uint8_t)(group >> 16);
        *out++ = (uint8_t)(group >> 8);
        *out++ = (uint8_t)group;
    }
    if ((n_padding >= 1 && bytes[n]) || (n_padding == 2 && bytes[n + 1])) { /* Bits that no byte has. */
        free(bytes);
        return -EINVAL;
    }
    *ret_bytes = bytes;
    *ret_n = n;
    return 0;
}
