#include "weft/balance/shares.h"

#include <stdlib.h>

/* Who is rounded up, in one number that sorts: holds more than the share rounded down; remainder; place. */
static uint64_t claim(const struct share *share, uint32_t remainder, size_t place)
{
    return (uint64_t)(share->held > share->target) << 48 | (uint64_t)remainder << 16 | (UINT16_MAX - place);
}

static int descending(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return (a < b) - (a > b);
}

void shares_divide(struct share *shares, size_t n, uint32_t n_rows, uint64_t *scratch)
{
    uint64_t sum = 0;
    uint32_t left = n_rows;
    size_t n_claims = 0;

    for (size_t i = 0; i < n; i++)
        sum += shares[i].weight;
    for (size_t i = 0; i < n; i++) {
        uint64_t product = (uint64_t)n_rows * shares[i].weight;

        shares[i].target = (uint32_t)(product / sum);
        left -= shares[i].target;
        if (product % sum)
            scratch[n_claims++] = claim(&shares[i], (uint32_t)(product % sum), i);
    }
    /* The remainders sum up to 'left' times 'sum' and each is below 'sum': there are more claims than rows left. */
    if (!left)
        return;
    qsort(scratch, n_claims, sizeof *scratch, descending);
    for (uint32_t i = 0; i < left; i++)
        shares[UINT16_MAX - (scratch[i] & UINT16_MAX)].target++;
}
