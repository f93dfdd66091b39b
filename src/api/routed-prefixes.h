/* Prefixes that routers bring to an external network untranslated (model/routed.h): no two projects' may overlap there.
 *
 * Which there are follows from routers, ports and subnets, so nothing has to be given back.  What adds one takes the external network's
 * turn (turns.h): of two requests that add overlapping ones, the second sees the first. */
#ifndef WEFT_API_ROUTED_PREFIXES_H
#define WEFT_API_ROUTED_PREFIXES_H

#include "weft/api/resources.h"
#include "weft/model/objects.h"

/* The router as the plan leaves it ('after') routes nothing new that overlaps what another project's does, or a subnet of the external network.
 * Else -EBUSY with RoutedPrefixInUse, naming the prefix and 'field'.  Nor anything so large that only an administrator may: -EPERM with
 * PolicyNotAuthorized.  'before' is NULL for a new router. */
int routed_check_router(struct change *change, const struct router *before, const struct router *after, const char *field);

/* The same of all routers with a gateway on the network, whose subnets the plan changes. */
int routed_check_network(struct change *change, const char *network_id, const char *field);

/* The plan adds 'subnet' to an external network: it overlaps nothing that is routed there; an administrator's does, and has it then, which the
 * log says.  (No gateway that is there gets an address of it.) */
int routed_check_external_subnet(struct change *change, const struct subnet *subnet);

/* The network goes. */
void routed_forget(struct plan *plan, const struct network *network);

/* Says in the log what overlapped before anybody refused it, and who has it. */
void routed_report(const struct replica *replica);

#endif
