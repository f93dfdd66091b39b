/* A set of 128-bit numbers held as its maximal runs: what addresses, VNIs or units of quota are taken.
 *
 * A randomized balanced tree (treap) of runs: every operation is logarithmic in the number of runs, whatever the size of
 * the space, and a space that fills in order is one run.  A zeroed struct is an empty set.  Single-threaded. */
#ifndef WEFT_MODEL_RANGE_SET_H
#define WEFT_MODEL_RANGE_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weft/base/address.h"

typedef unsigned __int128 uint128_t;

struct range_set {
    struct range_run *root;
    size_t n_runs;
    uint128_t n_values;
};

int range_set_add(struct range_set *set, uint128_t value);    /* 0, -EEXIST or -ENOMEM. */
int range_set_remove(struct range_set *set, uint128_t value); /* 0, -ENOENT or -ENOMEM (then it is still there). */
bool range_set_contains(const struct range_set *set, uint128_t value);

/* The least value in [first, last] that is not in the set.  0 or -ENOENT. */
int range_set_next_missing(const struct range_set *set, uint128_t first, uint128_t last, uint128_t *ret_value);

void range_set_clear(struct range_set *set);

static inline uint128_t ip_to_number(const struct ip_address *address)
{
    uint128_t number = 0;

    for (int i = 0; i < 16; i++)
        number = number << 8 | address->bytes[i];
    return number;
}

static inline struct ip_address ip_from_number(uint128_t number)
{
    struct ip_address address;

    for (int i = 15; i >= 0; i--, number >>= 8)
        address.bytes[i] = number & 0xff;
    return address;
}

#endif
