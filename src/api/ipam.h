/* Which addresses of each subnet are taken: in the replica (allocated) or by a request under way (reserved).
 *
 * Choosing is logarithmic whatever the subnet's size.  A server fills pools in order, from a place that goes on behind
 * what it gave last, so that a freed address is not at once another's.  When another server was quicker it
 * jumps to a random place in the pool: servers that share a subnet drift apart, and a single one stays tidy.  The
 * store's key ipam/<subnet>/<address> decides. */
#ifndef WEFT_API_IPAM_H
#define WEFT_API_IPAM_H

#include <stdbool.h>

#include "weft/base/cleanup.h"
#include "weft/model/objects.h"

struct ipam;

#define IPAM_KEY_SIZE 96

int ipam_new(struct ipam **ret_ipam);
void ipam_free(struct ipam *ipam);
DEFINE_CLEANUP(struct ipam *, ipam_free);

/* "ipam/<subnet>/<address>"; returns 'key'. */
const char *ipam_key(const char *subnet_id, const struct ip_address *address, char key[IPAM_KEY_SIZE]);

/* Chooses a free address of the subnet's pools and reserves it.  0, -ENOSPC when there is none, -ENOMEM. */
int ipam_choose(struct ipam *ipam, const struct subnet *subnet, struct ip_address *ret_address);

/* Reserves this one.  0, -EEXIST when it is taken, -ENOMEM. */
int ipam_reserve(struct ipam *ipam, const char *subnet_id, const struct ip_address *address);
void ipam_release(struct ipam *ipam, const char *subnet_id, const struct ip_address *address); /* Reserved or not. */

/* Somebody else wrote a key that was reserved here: choose elsewhere from now on. */
void ipam_collided(struct ipam *ipam, const struct subnet *subnet);

/* A port changed in the replica; either may be NULL. */
void ipam_port_changed(struct ipam *ipam, const struct port *before, const struct port *after);

bool ipam_is_taken(const struct ipam *ipam, const char *subnet_id, const struct ip_address *address);
uint64_t ipam_count(const struct ipam *ipam, const char *subnet_id); /* Allocated. */

#endif
