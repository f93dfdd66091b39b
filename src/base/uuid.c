#include "weft/base/uuid.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

void random_bytes(void *bytes, size_t size)
{
    char *next = bytes;

    while (size > 0) {
        ssize_t got = getrandom(next, size, 0);

        if (got < 0) {
            if (errno == EINTR)
                continue;
            abort(); /* ENOSYS or EFAULT: nothing could be trusted after that. */
        }
        next += got;
        size -= got;
    }
}

static void random_uuid(unsigned char bytes[16])
{
    random_bytes(bytes, 16);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
}

void uuid_generate(char text[UUID_TEXT_SIZE])
{
    unsigned char b[16];

    random_uuid(b);
    snprintf(text, UUID_TEXT_SIZE, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
             b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

void uuid_generate_hex(char text[33])
{
    unsigned char b[16];

    random_uuid(b);
    for (int i = 0; i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", b[i]);
}

bool uuid_is_valid(const char *text)
{
    for (int i = 0; i < UUID_TEXT_SIZE - 1; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (text[i] != '-')
                return false;
        } else if (!isxdigit((unsigned char)text[i])) {
            return false;
        }
    }
    return text[UUID_TEXT_SIZE - 1] == '\0';
}
