#include "weft/base/util.h"

#include <errno.h>
#include <stdlib.h>

int string_copy(char *destination, size_t size, const char *text)
{
    size_t length = strnlen(text, size);

    if (length == size) {
        memcpy(destination, text, size - 1);
        destination[size - 1] = '\0';
        return -ENAMETOOLONG;
    }
    memcpy(destination, text, length + 1);
    return 0;
}

int parse_u64(const char *text, uint64_t minimum, uint64_t maximum, uint64_t *ret_value)
{
    unsigned long long value;
    char *end;

    if (text[0] < '0' || text[0] > '9') /* strtoull would take signs and blanks. */
        return -EINVAL;
    errno = 0;
    value = strtoull(text, &end, 10);
    if (*end)
        return -EINVAL;
    if (errno == ERANGE || value < minimum || value > maximum)
        return -ERANGE;
    *ret_value = value;
    return 0;
}
