/* What ports ask of subnets. */
#ifndef WEFT_API_SUBNETS_H
#define WEFT_API_SUBNETS_H

#include <stdbool.h>

#include "weft/model/objects.h"

/* Workloads form their addresses themselves (SLAAC, stateless DHCPv6): the modified EUI-64 of their MAC address. */
bool subnet_is_auto_address(const struct subnet *subnet);

/* Inside, and neither the network's nor the broadcast address. */
bool subnet_has_host_address(const struct subnet *subnet, const struct ip_address *address);

#endif
