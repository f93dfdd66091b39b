/* From the model's objects to what the servers need to know about one port.  Pure; cheap enough to run for each
 * request. */
#ifndef WEFT_SERVICES_CONFIG_H
#define WEFT_SERVICES_CONFIG_H

#include "weft/model/objects.h"
#include "weft/services/dhcp/dhcp4.h"
#include "weft/services/dhcp/dhcp6.h"
#include "weft/services/ra/ra.h"

#define SERVICE_LEASE_S 86400u /* Neutron's default. */

/* All borrowed. */
struct service_objects {
    const struct port *port;
    const struct network *network;
    const struct subnet *const *subnets; /* All subnets of the network, in any order. */
    size_t n_subnets;
    /* Which MAC has the port of the network that holds 'address'?  False when no port does: it decides whether a
     * gateway exists.  May be NULL: then none does. */
    bool (*find_mac)(void *context, const struct network *network, const struct ip_address *address,
                     struct mac_address *ret);
    void *context;
    uint32_t lease_s;           /* 0: SERVICE_LEASE_S. */
    const char *default_domain; /* For networks without dns_domain; NULL: none. */
};

/* Strings and lists are borrowed from the objects, so it is good as long as they are. */
struct service_config {
    struct dhcp4_config dhcp4;
    struct dhcp6_config dhcp6;
    struct ra_config ra;
};

/* Lists longer than the limits of dhcp4.h, dhcp6.h and ra.h are cut. */
void service_config_build(const struct service_objects *objects, struct service_config *ret);

#endif
