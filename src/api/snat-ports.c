#include "weft/api/snat-ports.h"

#include "weft/base/util.h"

bool snat_ports_is_block(uint32_t first, uint32_t size)
{
    return size >= SNAT_BLOCK_MIN && size <= SNAT_BLOCK_MAX && (size & (size - 1)) == 0 && first % size == 0 &&
           first >= SNAT_PORTS_FIRST && first + size <= SNAT_PORTS_END;
}

static bool is_taken(const struct snat_ports *ports, uint32_t unit)
{
    return ports->taken[unit / 64] >> unit % 64 & 1;
}

void snat_ports_take(struct snat_ports *ports, uint32_t first, uint32_t size)
{
    for (uint32_t unit = first / SNAT_BLOCK_MIN; unit < (first + size) / SNAT_BLOCK_MIN; unit++) {
        ports->n_taken += is_taken(ports, unit) ? 0 : SNAT_BLOCK_MIN;
        ports->taken[unit / 64] |= 1ull << unit % 64;
    }
}

void snat_ports_release(struct snat_ports *ports, uint32_t first, uint32_t size)
{
    for (uint32_t unit = first / SNAT_BLOCK_MIN; unit < (first + size) / SNAT_BLOCK_MIN; unit++) {
        ports->n_taken -= is_taken(ports, unit) ? SNAT_BLOCK_MIN : 0;
        ports->taken[unit / 64] &= ~(1ull << unit % 64);
    }
}

bool snat_ports_are_free(const struct snat_ports *ports, uint32_t first, uint32_t size)
{
    for (uint32_t unit = first / SNAT_BLOCK_MIN; unit < (first + size) / SNAT_BLOCK_MIN; unit++)
        if (is_taken(ports, unit))
            return false;
    return true;
}

/* The largest block around this one that is free too. */
static uint32_t gap_around(const struct snat_ports *ports, uint32_t first, uint32_t size)
{
    while (size < SNAT_BLOCK_MAX) {
        uint32_t buddy = first ^ size;

        if (buddy < SNAT_PORTS_FIRST || !snat_ports_are_free(ports, buddy, size))
            return size;
        first &= ~size;
        size *= 2;
    }
    return size;
}

uint32_t snat_ports_choose(const struct snat_ports *ports, uint32_t size, uint32_t random)
{
    uint32_t best = 0, best_gap = UINT32_MAX, n_best = 0;

    for (uint32_t first = MAX(SNAT_PORTS_FIRST, size); first < SNAT_PORTS_END; first += size) {
        uint32_t gap;

        if (!snat_ports_are_free(ports, first, size) || (gap = gap_around(ports, first, size)) > best_gap)
            continue;
        n_best = gap < best_gap ? 1 : n_best + 1;
        best_gap = gap;
        /* The n-th of equal ones replaces the one before with a chance of 1 in n. */
        random = random * 1664525 + 1013904223;
        if (n_best == 1 || (random >> 8) % n_best == 0)
            best = first;
    }
    return best;
}
