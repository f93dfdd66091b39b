#include "weft/balance/maglev.h"

#include <string.h>

#include "weft/base/siphash.h"

#define NOBODY UINT16_MAX

struct maglev_walk maglev_walk(const char *id, uint32_t n_rows)
{
    /* Two fixed keys are two independent hashes; nothing here is secret. */
    static const uint64_t keys[2][2] = {{1, 2}, {3, 4}};
    size_t length = strlen(id);

    return (struct maglev_walk){siphash(keys[0], id, length) % n_rows, siphash(keys[1], id, length) % (n_rows - 1) + 1};
}

/* Sorts all turns by their times, each of which is below 'n_rows' since a target is below the exact share + 1: a
 * counting sort, where 'starts' first counts and then says where the turns of a time go. */
static void order_turns(const struct share *shares, size_t n, uint32_t n_rows, uint16_t *turns, uint32_t *starts)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += shares[i].weight;
    memset(starts, 0, (n_rows + 1) * sizeof *starts);
    for (size_t i = 0; i < n; i++)
        for (uint32_t turn = 0; turn < shares[i].target; turn++)
            starts[turn * sum / shares[i].weight + 1]++;
    for (uint32_t time = 0; time < n_rows; time++)
        starts[time + 1] += starts[time];
    for (size_t i = 0; i < n; i++)
        for (uint32_t turn = 0; turn < shares[i].target; turn++)
            turns[starts[turn * sum / shares[i].weight]++] = (uint16_t)i;
}

void maglev_fill(const struct share *shares, struct maglev_walk *walks, size_t n, uint32_t n_rows, uint16_t *owners,
                 uint16_t *turns, uint32_t *starts)
{
    order_turns(shares, n, n_rows, turns, starts);
    memset(owners, 0xff, n_rows * sizeof *owners);
    for (uint32_t turn = 0; turn < n_rows; turn++) {
        struct maglev_walk *walk = &walks[turns[turn]];
        uint32_t row;

        do {
            row = walk->offset;
            walk->offset += walk->skip;
            if (walk->offset >= n_rows)
                walk->offset -= n_rows;
        } while (owners[row] != NOBODY);
        owners[row] = turns[turn];
    }
}
