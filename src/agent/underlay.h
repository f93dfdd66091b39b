/* The way to the other hosts: route, next hop and its MAC for each, followed by rtnetlink(7).
 *
 * The kernel is asked to keep the next hops' neighbor entries resolved (NTF_MANAGED, Linux 5.16), so that the programs
 * find them, and so that their MACs are known for the fast path. */
#ifndef WEFT_AGENT_UNDERLAY_H
#define WEFT_AGENT_UNDERLAY_H

#include <uv.h>

#include "weft/agent/links.h"
#include "weft/base/address.h"
#include "weft/dataplane/tables.h"

struct underlay {
    struct netlink_watch watch;
    struct netlink_watch_owner owner;
    struct mnl_socket *requests;
    bool is_changed;             /* Since 'changed' was called last. */
    struct hashmap neighbors;    /* (ifindex, address) -> MAC, those that are usable. */
    const struct links *links;
    void (*changed)(void *context);
    void *context;
};

int underlay_open(struct underlay *underlay, uv_loop_t *loop, const struct links *links, void (*changed)(void *context),
                  void *context, struct error *error);
void underlay_close(struct underlay *underlay);

/* Fills ifindex, next hop, MTU and MACs of '*ret'; next_hop stays zero when there is no route.  'local' is the source
 * address to use.  Starts resolving the next hop when its MAC is not known. */
void underlay_resolve(struct underlay *underlay, const struct ip_address *local, const struct ip_address *remote,
                      struct host_config *ret);

/* The interface that has 'address', or 0. */
uint32_t underlay_interface_of(struct underlay *underlay, const struct ip_address *address);

#endif
