/* Inside snat-blocks.c and snat-pass.c only. */
#ifndef WEFT_API_SNAT_STATE_H
#define WEFT_API_SNAT_STATE_H

#include "weft/api/snat-blocks.h"
#include "weft/api/snat-need.h"
#include "weft/base/hashmap.h"

#define SNAT_CLAIM_KEY_SIZE 128
#define SNAT_ADDRESS_KEY_SIZE (UUID_TEXT_SIZE + IP_TEXT_SIZE)

struct external_address {
    struct hashmap_node node;
    char key[SNAT_ADDRESS_KEY_SIZE]; /* "<network>/<address>" */
    struct snat_ports claimed;       /* In the store: what is given, and what is in quarantine. */
    struct snat_ports planned;       /* And what the pass at hand gives. */
    bool is_exhausted, was_exhausted; /* In the pass at hand, and in the last. */
};

struct snat_blocks {
    struct replica *replica;
    struct commits *commits;
    struct replica_listener listener;
    struct snat_need *need;
    struct snat_usages *usages;
    struct hashmap addresses;
    struct snat_counters counters;
    size_t n_pending;
    bool is_dirty;
    bool is_waiting; /* The last pass found hosts that are to give back blocks. */
};

const char *snat_address_key(const char *network_id, const struct ip_address *address, char key[SNAT_ADDRESS_KEY_SIZE]);
const char *snat_claim_key(const char *address_key, uint32_t first, uint32_t size, char key[SNAT_CLAIM_KEY_SIZE]);

/* Of the host's block with this number; a custom UUID (RFC 9562, version 8). */
void snat_block_id(const char *router_id, const char *host_name, unsigned number, char id[UUID_TEXT_SIZE]);

struct external_address *snat_address_find(const struct snat_blocks *blocks, const char *key); /* NULL: nothing of it is taken. */
struct external_address *snat_address_get(struct snat_blocks *blocks, const char *key);        /* NULL: out of memory. */

/* The blocks of a router in the order of hosts and ports; the list is the caller's.  NULL: out of memory. */
const struct snat_block **snat_blocks_of(const struct snat_blocks *blocks, const char *router_id, size_t *ret_n);

#endif
