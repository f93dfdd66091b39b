#include "weft/balance/copy.h"

#include <errno.h>
#include <string.h>

int balance_copy_set(struct balance_copy *copy, uint64_t lineage, uint64_t sequence, const struct balance_row *rows,
                     uint32_t n_rows)
{
    struct balance_row *own;

    if (n_rows == 0 || n_rows > BALANCE_ROWS_MAX)
        return -EINVAL;
    own = malloc(n_rows * sizeof *own);
    if (!own)
        return -ENOMEM;
    memcpy(own, rows, n_rows * sizeof *own);
    free(copy->rows);
    *copy = (struct balance_copy){lineage, sequence, own, n_rows};
    return 0;
}

int balance_copy_apply(struct balance_copy *copy, const struct balance_delta *delta)
{
    if (copy->n_rows == 0 || delta->lineage != copy->lineage)
        return -ESTALE;
    if (delta->sequence <= copy->sequence)
        return 0;
    if (delta->sequence > copy->sequence + 1)
        return -ESTALE;
    for (size_t i = 0; i < delta->n_changes; i++)
        if (delta->changes[i].row >= copy->n_rows)
            return -EINVAL;
    for (size_t i = 0; i < delta->n_changes; i++)
        copy->rows[delta->changes[i].row] = delta->changes[i].content;
    copy->sequence = delta->sequence;
    return 0;
}

void balance_copy_clear(struct balance_copy *copy)
{
    free(copy->rows);
    *copy = (struct balance_copy){};
}
