/* Sets of prefixes of one IP version, as sorted arrays: what a subnet pool has, and what of it is free. */
#ifndef WEFT_MODEL_PREFIXES_H
#define WEFT_MODEL_PREFIXES_H

#include <stdbool.h>
#include <stddef.h>

#include "weft/base/address.h"

/* The same addresses in as few prefixes as can be, sorted and apart.  Works in place; returns how many are left. */
size_t prefixes_compact(struct ip_prefix *list, size_t n);

/* Is 'prefix' within one of the (compact) list? */
bool prefixes_hold(const struct ip_prefix *list, size_t n, const struct ip_prefix *prefix);

/* One of the list (sorted, apart) that it overlaps; NULL: none. */
const struct ip_prefix *prefixes_find_overlap(const struct ip_prefix *list, size_t n, const struct ip_prefix *prefix);

/* Do two lists (each sorted, apart) have an address in common?  By one walk along both. */
bool prefixes_overlap(const struct ip_prefix *a, size_t n_a, const struct ip_prefix *b, size_t n_b);

/* What is left of a (compact) list without 'prefix', which lies within one of them (else nothing happens); the list has room for 128
 * more.  Returns how many. */
size_t prefixes_subtract(struct ip_prefix *list, size_t n, const struct ip_prefix *prefix);

/* The first prefix of 'length' (as a person writes it) within 'space' (compact) that overlaps none of 'used' (sorted by address, apart).  False: there is none. */
bool prefixes_find_free(const struct ip_prefix *space, size_t n_space, const struct ip_prefix *used, size_t n_used, uint8_t length,
                        struct ip_prefix *ret);

int prefix_compare(const void *a, const void *b); /* For qsort: by address, and shorter ones first. */

#endif
