// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Where an entry of the table of connections is looked for: the same for the program and for user space.  Keyed by a number that nobody outside can know, or whoever
 * may choose addresses and ports could put all of them into one chain. */
#ifndef WEFT_DIRECTOR_HASH_H
#define WEFT_DIRECTOR_HASH_H

#include "weft/director/tables.h"

/* Spreads what is in 'value' over all its bits: the finisher of MurmurHash3, by Austin Appleby. */
static inline __attribute__((always_inline)) __u64 mix(__u64 value)
{
    value ^= value >> 33;
    value *= 0xff51afd7ed558ccdull;
    value ^= value >> 33;
    value *= 0xc4ceb9fe1a85ec53ull;
    value ^= value >> 33;
    return value;
}

/* The client's address goes in by halves, which it may choose freely; of the others there are few. */
static inline __attribute__((always_inline)) __u64 conn_hash(const struct lb_conn_key *key, __u32 secret)
{
    __u64 word[5], hash = (__u64)secret << 16 ^ secret;

    __builtin_memcpy(word, key, sizeof(word));
    if (word[0]) /* Not of IPv4. */
        hash = mix(hash ^ word[0]);
    hash = mix(hash + word[1]);
    return mix(hash + word[2] * 0x9e3779b97f4a7c15ull + word[3] * 0xc2b2ae3d27d4eb4full + word[4] * 0xd6e8feb86659fd93ull);
}

#endif
