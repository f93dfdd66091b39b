/* The first owners of a table's rows, by Maglev hashing (Eisenbud et al., "Maglev: A Fast and Reliable Software Network
 * Load Balancer", NSDI 2016, section 3.4): each server has an own permutation of the rows and takes, in turns, the
 * first of it that is free.
 *
 * With equal weights these are the paper's tables.  With others the turns of a server are evenly spread: turn k of one
 * with weight w of a sum W is at time k * W / w, and a server has as many turns as its target says, so that the table
 * is exact and not only nearly so. */
#ifndef WEFT_BALANCE_MAGLEV_H
#define WEFT_BALANCE_MAGLEV_H

#include "weft/balance/shares.h"

/* Where a server's permutation starts and how it goes on: a function of its id and the number of rows only, the same
 * everywhere. */
struct maglev_walk {
    uint32_t offset; /* Below the number of rows. */
    uint32_t skip;   /* 1 .. number of rows - 1. */
};
struct maglev_walk maglev_walk(const char *id, uint32_t n_rows);

/* Writes into 'owners' for each of 'n_rows' (a prime) rows which of the 'n' (at most 65,535) shares has it.  'shares'
 * have their targets, which sum up to 'n_rows'; 'walks' are spent.  'turns' is scratch for 'n_rows' numbers, 'starts'
 * for 'n_rows' + 1.  Any thread. */
void maglev_fill(const struct share *shares, struct maglev_walk *walks, size_t n, uint32_t n_rows, uint16_t *owners,
                 uint16_t *turns, uint32_t *starts);

#endif
