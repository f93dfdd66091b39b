/* Which objects one host needs: a join over the replica, kept as objects change.  What is not relevant to a host is never told to it.
 *
 *     hosts             all
 *     networks          one is "here" while a port of it is bound to the host or the host has an uplink in its physical network;
 *                       and one that a relevant router has an interface in.  Such networks come with all subnets and ports.
 *                       One in which a relevant router has only its gateway comes with its subnets.
 *     routers           with an interface in a network that is here, or in a relevant one that is not external: so networks are joined
 *                       by routers, one after the other, but never through an external network; and with a gateway in a network of
 *                       which the host has an uplink.  With a router: its ports, its floating IPs, its blocks of translated ports.
 *     floating IPs      of a relevant router, and those in a network of which the host has an uplink; with their port forwardings
 *     firewall groups   that have a port of a relevant router, with their policies and the rules of these
 *     security groups   of the ports bound here, with their rules; what those rules name: address groups, and groups with the ports
 *                       that are in them
 *     load balancers    whose VIP is in a relevant network that comes with its ports; with their listeners, pools, members, monitors,
 *                       rows and its own shares, and with the ports at their members' addresses and the networks and subnets of these.  A network is also "here"
 *                       while it has the VIP of a load balancer with a member at a port bound to the host.
 *     logs              enabled ones that are about a port bound here: that port's, of a group that it is in, of its project
 *
 * Ids count, not existence: a reference to what comes later is one already.  A network that is not there (any more) counts as external.
 *
 * What a change costs is what becomes relevant or irrelevant by it.  When something that made a router or network relevant
 * goes, the part of the graph around it is searched for another reason, and no more than that part.
 * Single-threaded: the replica's loop. */
#ifndef WEFT_API_RELEVANCE_H
#define WEFT_API_RELEVANCE_H

#include "weft/api/replica.h"

struct relevance;

/* An object became relevant, changed while it is, or ceased to be (relevance_has says which).  Repeated calls for one object
 * are possible.  Borrowed for the call. */
typedef void (*relevance_mark_fn)(const struct object *object, void *context);

/* For a host, from what the replica has now; 'mark' is called for all that is relevant.  0 or -ENOMEM. */
int relevance_new(const struct replica *replica, const struct host *host, relevance_mark_fn mark, void *context, struct relevance **ret_relevance);
void relevance_free(struct relevance *relevance); /* NULL is fine. */
DEFINE_CLEANUP(struct relevance *, relevance_free);

/* Every change, in order, inside the replica's call.  0, or -ENOMEM: what is relevant is not known any more, begin anew. */
int relevance_change(struct relevance *relevance, const struct replica_change *change);

/* Of an object of the replica, or of the former state of one. */
bool relevance_has(const struct relevance *relevance, const struct object *object);

#endif
