/* What networks and subnets do to ports. */
#ifndef WEFT_API_PORTS_H
#define WEFT_API_PORTS_H

#include "weft/api/plan.h"
#include "weft/api/resources.h"
#include "weft/model/objects.h"

bool port_is_auto_deleted(const struct port *port);     /* It only serves its network: goes with it. */
bool port_is_router_interface(const struct port *port);

bool port_is_floating_ip(const struct port *port); /* It holds a floating IP's address. */

/* A port that its router or floating IP looks after: device_owner is one of DEVICE_..., and the device exists. */
bool port_is_managed(const struct replica *replica, const struct port *port);

/* For ports that are created with another resource.  Of the change the request, the plan and the error are used; 'port' is not
 * yet in the plan and is taken over.  Its fixed_ips are what is asked for, with 'gives_addresses'; else they are chosen.  It gets an id and a
 * MAC address.  An error about an address names 'field' instead of "fixed_ips". */
int port_plan_create(struct change *change, struct port *port, bool gives_addresses, const char *field);

/* Gives a port other fixed_ips: 'wanted' is copied. */
int port_plan_readdress(struct change *change, const struct port *before, const struct fixed_ip *wanted, size_t n, const char *field);

/* A new port of a device, without addresses; NULL when out of memory. */
struct port *port_of_device(const char *device_owner, const char *device_id, const char *network_id, const char *project_id);

/* Parts of creating and changing a port: ports.c, port-addresses.c. */
int port_claim_mac(struct change *change, struct port *port, bool is_given);
int port_assign_addresses(struct change *change, struct port *port, bool is_given);
bool fixed_ips_have(const struct fixed_ip *list, size_t n, const char *subnet_id, const struct ip_address *address); /* NULL: any. */
int port_check_managed(struct change *change); /* Nobody else changes what a router or floating IP looks after, or pretends to be one. */

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
