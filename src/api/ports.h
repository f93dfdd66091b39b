/* What networks and subnets do to ports. */
#ifndef WEFT_API_PORTS_H
#define WEFT_API_PORTS_H

#include "weft/api/plan.h"
#include "weft/model/objects.h"

bool port_is_auto_deleted(const struct port *port);     /* It only serves its network: goes with it. */
bool port_is_router_interface(const struct port *port);

/* Deletes the port and its keys. */
void port_plan_delete(struct plan *plan, const struct port *port);

/* Adds the EUI-64 address of an auto-address subnet to a port that the plan creates or edits.  0, or a failure. */
int port_add_auto_address(struct plan *plan, struct port *port, const struct subnet *subnet);

/* The transaction fails if the network has, when it commits, other ports than 'ports', all that are known now. */
struct replica_member;
int ports_require_only(struct plan *plan, const char *network_id, const struct replica_member *ports);

/* Takes every address of the subnet from the port. */
void port_remove_subnet(struct plan *plan, const struct port *port, const char *subnet_id);

#endif
