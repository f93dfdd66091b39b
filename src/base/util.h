/* Small things that every file needs. */
#ifndef WEFT_BASE_UTIL_H
#define WEFT_BASE_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#ifndef MIN /* <sys/param.h>, which some system headers bring along, has the same. */
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#endif
#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

static inline bool streq(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* Copies 'text' into a buffer of 'size' bytes, always terminated.  Returns 0, or -ENAMETOOLONG when it was cut. */
int string_copy(char *destination, size_t size, const char *text);

/* Parses a whole decimal number within [minimum, maximum].  Returns 0, -EINVAL (not a number) or -ERANGE. */
int parse_u64(const char *text, uint64_t minimum, uint64_t maximum, uint64_t *ret_value);

#endif
