/* How many rows each server is to have: its weight's share, rounded up or down (largest remainder), such that as few
 * rows as possible must move. */
#ifndef WEFT_BALANCE_SHARES_H
#define WEFT_BALANCE_SHARES_H

#include <stddef.h>
#include <stdint.h>

struct share {
    uint16_t weight; /* 0: no rows. */
    uint32_t held;   /* Rows before. */
    uint32_t target; /* Out: rows afterwards. */
};

/* Sets the targets: each is n_rows * weight / (sum of weights) rounded down or up, exactly that where it is whole, and
 * all together are 'n_rows'.  Who holds more than the rounded-down share is rounded up first, which saves a move; then
 * who has the larger remainder; then who comes first.  'scratch' has room for 'n' numbers; at most 65,536 shares, of
 * which one at least has a weight.  Any thread. */
void shares_divide(struct share *shares, size_t n, uint32_t n_rows, uint64_t *scratch);

#endif
