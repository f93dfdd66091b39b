/* A reader's copy of a table's rows, kept by the writer's numbered deltas.  A reader that missed one asks the writer
 * for the whole. A zeroed struct is a copy of nothing, which every delta but a whole misses.  Single-threaded. */
#ifndef WEFT_BALANCE_COPY_H
#define WEFT_BALANCE_COPY_H

#include "weft/balance/table.h"

struct balance_copy {
    uint64_t lineage, sequence;
    struct balance_row *rows;
    uint32_t n_rows; /* 0: nothing yet. */
};

/* Takes over all 'n_rows' rows, copied, as of 'sequence' of 'lineage'.  0, -EINVAL (no rows, or more than
 * BALANCE_ROWS_MAX) or -ENOMEM with the copy as it was. */
int balance_copy_set(struct balance_copy *copy, uint64_t lineage, uint64_t sequence, const struct balance_row *rows,
                     uint32_t n_rows);

/* 0: the copy is at the delta's sequence, or was further already (then the delta is not used).  -ESTALE: one in between
 * is missing, or another writer sent it: ask for the whole.  -EINVAL: it names a row that there is not.  The copy is as
 * it was then. */
int balance_copy_apply(struct balance_copy *copy, const struct balance_delta *delta);
void balance_copy_clear(struct balance_copy *copy);

#endif
