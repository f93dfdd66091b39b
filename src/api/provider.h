/* How a network is carried: provider:network_type, provider:physical_network, provider:segmentation_id.
 *
 * Every network has a VNI, for what goes between our hosts; flat and VLAN networks are also on the wire of those hosts that have an
 * uplink in their physical network.  Keys: vni/<n>; segment/flat/<physical network> or segment/vlan/<id>/<physical network>. */
#ifndef WEFT_API_PROVIDER_H
#define WEFT_API_PROVIDER_H

#include "weft/api/resources.h"
#include "weft/model/objects.h"

/* What a network that names no MTU gets: what hosts carry between them, and on a physical network no more than Ethernet's 1500. */
uint16_t provider_mtu(const struct change *change, const struct network *network);

/* Checks what a new network asks for, and takes its VNI and its segment. */
int provider_take_segment(struct change *change, struct network *network);
void provider_leave_segment(struct plan *plan, const struct network *network);

/* The VNI, the VLAN, or null. */
int provider_write_segmentation_id(const struct request *request, const struct object *object, struct buffer *buffer);

#endif
