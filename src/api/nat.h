/* What floating IPs and port forwardings lead to: a port's address, through a router between its subnet and the external network.
 *
 * Each holds two keys beside its object, written and deleted with it:
 *     nat/port/<port>/floating/<external network>/<address>      one floating IP of a network for an address
 *     nat/port/<port>/forwarding/<port forwarding>
 *     nat/router/<router>/<subnet>/<floating IP or port forwarding>
 * so that the port's deletion and the removal of the interface or the gateway are one comparison each, however many there are. */
#ifndef WEFT_API_NAT_H
#define WEFT_API_NAT_H

#include "weft/api/resources.h"
#include "weft/model/objects.h"

struct nat_target {
    const struct port *port;
    const struct subnet *subnet;  /* That 'address' is of. */
    struct ip_address address;
    const struct router *router;
};

/* Where 'port' (and 'address', if not NULL) is reached from the external network.  Guards what that rests on.  -EINVAL with BadRequest
 * of 'resource' ("floatingip") for ports and addresses that cannot be; -ENOENT without an error when no router leads there: '*ret' then has
 * all but the router. */
int nat_find_target(struct change *change, const char *resource, const struct port *port, const struct ip_address *address,
                    const char *external_network_id, struct nat_target *ret);

/* Writes and removes the keys of a floating IP, or port forwarding, that changes; either may be NULL. */
void nat_floating_ip_changed(struct plan *plan, const struct floating_ip *before, const struct floating_ip *after);
void nat_forwarding_changed(struct plan *plan, const struct port_forwarding *before, const char *router_before,
                            const struct port_forwarding *after, const char *router_after);

/* The port goes ('after' is NULL) or loses addresses: floating IPs that lead to them lead nowhere, port forwardings are deleted. */
void nat_port_changed(struct plan *plan, const struct port *before, const struct port *after);

void nat_floating_ip_clear(struct floating_ip *floating_ip); /* It leads nowhere: its members, not the keys. */

/* Deletes a port forwarding; with its last one the floating IP is on no router any more. */
void nat_forwarding_delete(struct plan *plan, const struct port_forwarding *forwarding);

/* Nothing of the port's must be of the other kind.  The keys decide; what is known already the caller has refused. */
void nat_require_no_forwardings(struct plan *plan, const char *port_id);
void nat_require_no_floating_ips(struct plan *plan, const char *port_id);
int nat_require_known_forwardings(struct plan *plan, const char *port_id); /* No others than the replica has; 0 or -ENOMEM. */

/* Is anything translated by the router for this subnet, or (NULL) at all?  If not, nothing must be when the plan commits. */
bool nat_uses_router(struct plan *plan, const struct router *router, const struct subnet *subnet);

/* A floating IP's port_forwardings: port-forwardings.c. */
int nat_write_forwardings(const struct request *request, const struct object *floating_ip, struct buffer *buffer);

#endif
