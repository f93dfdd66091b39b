/* The ports of one external address, as blocks that hosts translate to: which are taken, and where the next one fits.  Pure.
 *
 * Blocks are of a power of two and aligned to their size, so that a gateway finds the owner of a port by its longest prefix.  They lie in
 * 1024..65535: below are the well-known ports, from which peers do not expect a client (RFC 6056, 3.2) and which the router keeps for what
 * it may serve itself. */
#ifndef WEFT_API_SNAT_PORTS_H
#define WEFT_API_SNAT_PORTS_H

#include <stdbool.h>
#include <stdint.h>

#define SNAT_PORTS_FIRST 1024u
#define SNAT_PORTS_END 65536u
#define SNAT_PORTS (SNAT_PORTS_END - SNAT_PORTS_FIRST)
#define SNAT_BLOCK_MIN 64u    /* An address has 1,008 of these. */
#define SNAT_BLOCK_MAX 32768u

struct snat_ports {
    uint64_t taken[SNAT_PORTS_END / SNAT_BLOCK_MIN / 64]; /* A bit for each SNAT_BLOCK_MIN ports. */
    uint32_t n_taken;                                     /* Ports. */
};

/* 'size' of a block: a power of two from SNAT_BLOCK_MIN to SNAT_BLOCK_MAX, 'first' a multiple of it. */
bool snat_ports_is_block(uint32_t first, uint32_t size);

void snat_ports_take(struct snat_ports *ports, uint32_t first, uint32_t size);
void snat_ports_release(struct snat_ports *ports, uint32_t first, uint32_t size);
bool snat_ports_are_free(const struct snat_ports *ports, uint32_t first, uint32_t size);

/* Where a block of 'size' fits and spoils the least: in the smallest gap.  Among equal ones 'random' decides, so that servers which
 * choose at once rarely choose the same.  0: nowhere. */
uint32_t snat_ports_choose(const struct snat_ports *ports, uint32_t size, uint32_t random);

#endif
