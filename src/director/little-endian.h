/* Numbers in bytes, the least significant first: of what directors tell each other. */
#ifndef WEFT_DIRECTOR_LITTLE_ENDIAN_H
#define WEFT_DIRECTOR_LITTLE_ENDIAN_H

#include <stddef.h>
#include <stdint.h>

/* The number's low bytes, 8 at most. */
static inline void put_le(uint8_t *to, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (uint8_t)(value >> 8 * i);
}

static inline uint64_t get_le(const uint8_t *from, size_t size)
{
    uint64_t value = 0;

    for (size_t i = size; i-- > 0;)
        value = value << 8 | from[i];
    return value;
}

#endif
