#include "weft/base/utf8.h"

#include <string.h>

bool utf8_is_valid(const char *text, size_t size)
{
    const unsigned char *at = (const unsigned char *)text, *end = at + size;

    while (at < end) {
        unsigned lead = *at++;
        unsigned n_more = 0;
        unsigned minimum = 0, code = lead;

        if (lead == 0)
            return false;
        if (lead < 0x80)
            continue;
        if (lead >= 0xc2 && lead <= 0xdf)
            n_more = 1, minimum = 0x80, code = lead & 0x1f;
        else if ((lead & 0xf0) == 0xe0)
            n_more = 2, minimum = 0x800, code = lead & 0x0f;
        else if (lead >= 0xf0 && lead <= 0xf4)
            n_more = 3, minimum = 0x10000, code = lead & 0x07;
        else
            return false;
        if ((size_t)(end - at) < n_more)
            return false;
        for (; n_more; n_more--, at++) {
            if ((*at & 0xc0) != 0x80)
                return false;
            code = code << 6 | (*at & 0x3f);
        }
        if (code < minimum || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
            return false;
    }
    return true;
}

void utf8_repair(char *text)
{
    while (*text) {
        size_t left = strlen(text), size = 1;

        while (size <= 4 && size <= left && !utf8_is_valid(text, size))
            size++;
        if (size > 4 || size > left) {
            *text = '?';
            size = 1;
        }
        text += size;
    }
}

size_t utf8_length(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += (*text & 0xc0) != 0x80;
    return n;
}
