// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* SCTP's checksum (RFC 9260, 6.8: CRC32c over the whole packet) when the ports change, without reading the packet: a CRC is linear, so the
 * difference of the first four bytes, moved by the packet's length, is the difference of the checksums.  One that was wrong stays wrong. */
#ifndef WEFT_DIRECTOR_BPF_SCTP_H
#define WEFT_DIRECTOR_BPF_SCTP_H

#include "weft/director/bpf/packet.h"

#define CRC32C_POLYNOMIAL 0x82f63b78u /* Reflected: the highest power is the lowest bit. */

/* a times b modulo the polynomial.  By bits that multiply: of a branch, or of a mask that is all or nothing, the verifier follows both
 * ways, and of 32 in a row it would not come to an end. */
static __always_inline __u32 crc_multiply(__u32 a, __u32 b)
{
    __u32 product = 0;

    UNROLL
    for (int i = 0; i < 32; i++) {
        product ^= b * frame_hidden(a >> 31);
        a <<= 1;
        b = b >> 1 ^ CRC32C_POLYNOMIAL * frame_hidden(b & 1);
    }
    return product;
}

/* How the checksum of a packet of 'size' bytes differs when its first four differ by 'difference' (read as little-endian). */
CHECKED_ALONE __u32 crc_difference(__u32 difference, __u32 size)
{
    /* The powers of x, 8 times 1, 2, 4, ..., that a byte, two, four, ... make. */
    static const __u32 powers[16] = {0x00800000, 0x00008000, 0x82f63b78, 0x6ea2d55c, 0x18b8ea18, 0x510ac59a, 0xb82be955, 0xb8fdb1e7,
                                     0x88e56f72, 0x74c360a4, 0xe4172b16, 0x0d65762a, 0x35d73a62, 0x28461564, 0xbf455269, 0xe2ea32dc};

    for (__u32 i = 0; i < 16; i++) {
        __u32 is_there = frame_hidden(size >> i & 1);

        difference = crc_multiply(difference, powers[i] * is_there + 0x80000000u * (is_there ^ 1) /* 1 */);
    }
    return difference;
}

#endif
