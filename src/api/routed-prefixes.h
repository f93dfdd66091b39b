/* Prefixes that routers bring to an external network untranslated (model/routed.h): no two projects' may overlap there.
 *
 * Which there are follows from routers, ports and subnets, so nothing has to be given back.  What adds one rewrites
 *     routed/<external network>
 * and requires it as it was seen: of two requests that add overlapping ones on two servers, the second runs again and sees the first. */
#ifndef WEFT_API_ROUTED_PREFIXES_H
#define WEFT_API_ROUTED_PREFIXES_H

#include "weft/api/resources.h"
#include "weft/base/cleanup.h"
#include "weft/model/objects.h"

#define ROUTED_PREFIX_KEY "routed/"

struct routed;
int routed_new(struct routed **ret_routed);
void routed_free(struct routed *routed);
DEFINE_CLEANUP(struct routed *, routed_free);
void routed_changed(const struct store_item *item, void *routed); /* For replica_follow of ROUTED_PREFIX_KEY. */

/* The router as the plan leaves it ('after') routes nothing new that overlaps what another project's does, or a subnet of the external network.
 * Else -EBUSY with RoutedPrefixInUse, naming the prefix and 'field'.  'before' is NULL for a new router. */
int routed_check_router(struct change *change, const struct router *before, const struct router *after, const char *field);

/* The plan adds 'subnet' to an external network: it overlaps nothing that is routed there.  (No gateway that is there gets an address of it.) */
int routed_check_external_subnet(struct change *change, const struct subnet *subnet);

/* The network goes. */
void routed_forget(struct plan *plan, const struct network *network);

/* Says in the log what overlapped before anybody refused it, and who has it. */
void routed_report(const struct replica *replica);

#endif
