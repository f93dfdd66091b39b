/* Which hosts may translate for which routers: those with a port bound in a network that routers join to the router, as in
 * relevance.h but for all hosts at once, and without uplinks: where a packet leaves is not where it is translated. */
#ifndef WEFT_API_SNAT_NEED_H
#define WEFT_API_SNAT_NEED_H

#include "weft/api/replica.h"

struct snat_need;

int snat_need_new(const struct replica *replica, struct snat_need **ret_need);
void snat_need_free(struct snat_need *need);
DEFINE_CLEANUP(struct snat_need *, snat_need_free);

/* Of a port; inside the replica's call. */
void snat_need_port_changed(struct snat_need *need, const struct port *before, const struct port *after);

/* The hosts of a router, sorted by name; hosts that do not exist (a port may be bound to any name) are left out.  What it gives is valid
 * until snat_need_forget, which is to be called before the replica changes.  0 or -ENOMEM. */
struct snat_hosts {
    const struct host **list;
    size_t n;
};
int snat_need_hosts(struct snat_need *need, const char *router_id, const struct snat_hosts **ret_hosts);
void snat_need_forget(struct snat_need *need);

#endif
