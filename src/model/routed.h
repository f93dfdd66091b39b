/* Prefixes that lie behind routers and are reached untranslated from an external network.
 *
 * Projects choose their prefixes themselves, but on an external network a prefix can be only one project's: else a longer or equal one would
 * take another's traffic.  The API refuses what overlaps; what was there before it did, or a host that is told of a change in
 * the making, is settled here the same way everywhere: who came first has it. */
#ifndef WEFT_MODEL_ROUTED_H
#define WEFT_MODEL_ROUTED_H

#include "weft/model/objects.h"

struct routed_prefix {
    struct ip_prefix prefix;
    const char *network_id, *project_id, *router_id, *subnet_id; /* Borrowed: the external network; the router's project. */
    int64_t since_s;
    uint32_t router_port;                 /* The caller's. */
    const struct routed_prefix *overruled; /* By an overlapping one of another project that came first; NULL: it holds. */
};

/* Does a router bring 'inside', a subnet on one of its interfaces, untranslated to the network of its gateway, where its first address of
 * that family is of 'outside' (NULL: it has none)?  Nothing that is of different address scopes; of one scope IPv4 too, whether or not
 * the router translates. */
bool router_routes_untranslated(const struct router *router, const struct subnet *inside, const struct subnet *outside);

/* The subnet of the port's first address of the family, as 'find' knows it; NULL when there is none. */
const struct subnet *port_subnet_of_family(const struct port *port, bool v4, const struct subnet *(*find)(const void *context, const char *id),
                                           const void *context);

/* Since when 'subnet' is behind 'gateway': that of the three objects which was made last. */
int64_t routed_since(const struct subnet *subnet, const struct port *interface, const struct port *gateway);

/* Sorts by network, prefix and age, and sets 'overruled' of all.  Returns 0 or -ENOMEM. */
int routed_prefixes_resolve(struct routed_prefix *list, size_t n);

#endif
