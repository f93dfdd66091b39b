/* Distributed SNAT: which host translates to which ports of a router's external address.
 *
 * A router with a gateway and enable_snat translates to the first IPv4 address of its gateway port.  That address' ports are
 * split into blocks (snat-ports.h), objects (snat_block) that belong to one host each, so that every host translates by itself and every gateway
 * finds the host that a reply belongs to.  This unit gives them out and takes them back.  Level-triggered: a pass looks at all
 * there is and makes the difference to what should be.
 *
 * - Each host that may need the router (snat-need.h) has a block: 2,048 ports where few hosts share an address, down to 64 where
 *   hundreds do.
 * - What a host has doubles when more than half of it is in use, or connections found no port: so there is a spare while no API
 *   answers.  At most SNAT_HOST_MAX ports, in at most SNAT_BLOCKS_MAX blocks.  Growth leaves an eighth of the address to
 *   hosts that come later, and a quarter when it goes beyond the host's even share.
 * - A host that does not need the router any more gives its blocks back when it says that no connection uses them, or after
 *   SNAT_HOLD_S, or when it is deleted.  Hosts that need it keep what they have.
 * - What is taken back is deleted first, and stays in quarantine (quarantine.h) until every live host has applied that; for
 *   SNAT_HOLD_S more when connections may not have ended: a server outside may still take a segment of an old connection for one of a new.
 *
 * Several servers: in the store each block has the key snat-ports/<network>/<address>/<first>-<size>, made with it in one transaction
 * that requires that no key lies within, and none around; quarantine leaves it there.  The id of a block follows from router, host and
 * number, so that two servers that give a host the same block write the same key. */
#ifndef WEFT_API_SNAT_BLOCKS_H
#define WEFT_API_SNAT_BLOCKS_H

#include "weft/api/commits.h"
#include "weft/api/replica.h"
#include "weft/api/snat-ports.h"
#include "weft/api/snat-usage.h"

struct snat_blocks;

#define SNAT_CLAIM_PREFIX "snat-ports/"
#define SNAT_BLOCKS_MAX 16     /* Of one host and router: tables.h has room for so many. */
#define SNAT_HOST_MAX 32768u   /* Ports of one host and router. */
#define SNAT_FIRST_MAX 2048u   /* The first block. */
#define SNAT_HOLD_S 300        /* More than the 4 minutes that a connection may be half gone (RFC 5382, REQ-5). */

/* Before replica_start: listens and follows. */
int snat_blocks_new(struct replica *replica, struct commits *commits, struct snat_blocks **ret_blocks);
void snat_blocks_free(struct snat_blocks *blocks); /* After the replica's last change. */
DEFINE_CLEANUP(struct snat_blocks *, snat_blocks_free);

/* A checked "snat_usage" (snat-usage.h). */
void snat_blocks_report(struct snat_blocks *blocks, const char *host_name, const json_t *report, uint64_t now_ms);

/* Whether something changed since the last pass; or something waits for time to pass, so that a pass is needed now and then. */
bool snat_blocks_is_dirty(const struct snat_blocks *blocks);
bool snat_blocks_is_waiting(const struct snat_blocks *blocks);

/* Looks at everything; does nothing while what the last pass wanted is under way. */
void snat_blocks_pass(struct snat_blocks *blocks, uint64_t now_ms, int64_t now_s);

/* What a router's SNAT looks like, for administrators; a new reference. */
json_t *snat_blocks_show(struct snat_blocks *blocks, const struct router *router);

struct snat_counters {
    size_t n_exhausted;        /* Addresses that have too few ports for what hosts need. */
    uint64_t n_refused;        /* Blocks that could not be given. */
    uint64_t n_given, n_taken_back;
    uint64_t ports_given, ports_in_use;
    uint64_t n_failed;         /* Connections that hosts had no port for. */
};
struct snat_counters snat_blocks_counters(const struct snat_blocks *blocks);

/* The address that a router translates to: NULL when it does not. */
const struct ip_address *snat_address(const struct replica *replica, const struct router *router);

#endif
