/* Address scopes, subnet pools, and what subnets get from them: address-scopes.c, subnet-pools.c, subnet-allocation.c.
 *
 * What of a pool is used follows from its subnets, so nothing has to be given back.  Who allocates from a pool takes its turn (turns.h), and
 * compares its revision; who puts a prefix into an address scope takes the scope's turn. */
#ifndef WEFT_API_SUBNET_POOLS_H
#define WEFT_API_SUBNET_POOLS_H

#include "weft/api/resources.h"
#include "weft/model/objects.h"

#define TURN_POOL "subnet-pool"
#define TURN_SCOPE "address-scope"
#define TURN_SUBNET "subnet" /* Who makes it a router's takes it; who changes its address scope sees it, and rewrites the subnet. */
#define TURN_DEFAULT_POOL "default-subnet-pool" /* By IP version. */

extern const struct resource address_scope_resource, subnet_pool_resource;

/* A new subnet's pool and prefix, as its body says by subnetpool_id, use_default_subnetpool, cidr and prefixlen; without a pool its cidr is
 * there.  Its network is the plan's to edit. */
int subnet_allocate(struct change *change, struct subnet *subnet);

/* What subnets of the pool use, sorted, the plan's new ones too; the caller frees '*ret_list'.  0 or -ENOMEM. */
int subnet_pool_used(const struct change *change, const char *pool_id, struct ip_prefix **ret_list, size_t *ret_n);

/* No port gets or loses an address of the subnet meanwhile but by this plan.  0 or -ENOMEM. */
int subnet_require_addresses(struct plan *plan, const struct subnet *subnet);

/* Subnets of the pool are of another address scope from now on. */
int subnets_change_scope(struct change *change, const char *pool_id, const char *address_scope_id);

/* Routers of those networks, whose subnets (the plan's) are of other address scopes now, route nothing that others have: 'field' is refused. */
int subnets_check_routed(struct change *change, const struct subnet *const *subnets, size_t n, const char *field);

/* For the views of networks: the scope of their subnets of a family, or null. */
int network_write_ipv4_scope(const struct request *request, const struct object *network, struct buffer *buffer);
int network_write_ipv6_scope(const struct request *request, const struct object *network, struct buffer *buffer);

/* PUT /v2.0/subnetpools/{id}/...: the routes' data is subnet_pool_resource. */
void subnet_pool_add_prefixes(struct request *request);
void subnet_pool_remove_prefixes(struct request *request);
void subnet_pool_onboard(struct request *request);

#endif
