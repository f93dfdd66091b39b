/* SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012, with 1 and 3 rounds), folded to 32 bits. */
#ifndef WEFT_BASE_SIPHASH_H
#define WEFT_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SIP_ROTATE(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
#define SIP_ROUND                                                                                            \
    do {                                                                                                     \
        v0 += v1, v1 = SIP_ROTATE(v1, 13), v1 ^= v0, v0 = SIP_ROTATE(v0, 32);                                \
        v2 += v3, v3 = SIP_ROTATE(v3, 16), v3 ^= v2;                                                         \
        v0 += v3, v3 = SIP_ROTATE(v3, 21), v3 ^= v0;                                                         \
        v2 += v1, v1 = SIP_ROTATE(v1, 17), v1 ^= v2, v2 = SIP_ROTATE(v2, 32);                                \
    } while (0)

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define SIP_LAST(word, n_bits) ((word) >> (n_bits))
#else
#define SIP_LAST(word, n_bits) ((word) << (n_bits))
#endif

static inline uint32_t siphash(const uint64_t key[2], const void *bytes, size_t size)
{
    const unsigned char *next = bytes;
    uint64_t v0 = key[0] ^ 0x736f6d6570736575u, v1 = key[1] ^ 0x646f72616e646f6du;
    uint64_t v2 = key[0] ^ 0x6c7967656e657261u, v3 = key[1] ^ 0x7465646279746573u;
    uint64_t word, tail = (uint64_t)size << 56;

    for (; size >= 8; size -= 8, next += 8) {
        memcpy(&word, next, 8);
        v3 ^= word;
        SIP_ROUND;
        v0 ^= word;
    }
    if (next != bytes && size > 0) { /* In one access with bytes before it: one of eight bytes would wait for shorter ones that were written. */
        memcpy(&word, next + size - 8, 8);
        tail |= SIP_LAST(word, 8 * (8 - size));
    } else if (size > 0) {
        word = 0;
        memcpy(&word, next, size);
        tail |= word;
    }
    v3 ^= tail;
    SIP_ROUND;
    v0 ^= tail;
    v2 ^= 0xff;
    SIP_ROUND;
    SIP_ROUND;
    SIP_ROUND;
    word = v0 ^ v1 ^ v2 ^ v3;
    return (uint32_t)(word ^ word >> 32);
}

#undef SIP_ROUND
#undef SIP_ROTATE
#undef SIP_LAST

#endif
