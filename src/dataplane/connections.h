/* The connection entries as a person asks for them. */
#ifndef WEFT_DATAPLANE_CONNECTIONS_H
#define WEFT_DATAPLANE_CONNECTIONS_H

#include "weft/dataplane/maps.h"

struct connection {
    uint32_t slot;                 /* Of the local port. */
    uint8_t protocol, state;       /* IPPROTO_*, enum flow_state. */
    __u8 local[16], remote[16];    /* IPv4 is mapped. */
    __u16 local_port, remote_port; /* As on the wire; of ICMP as in struct flow_key. */
    uint64_t packets[2], bytes[2]; /* Sent by the workload, received. */
    uint64_t idle_ms;
};

/* Calls 'visit' for each connection of port 'slot', or of all ports when it is 0, in no order, until it returns other than 0.
 * Entries come and go meanwhile: each that is
 * there all the time is visited, unless the table changes so fast that the kernel begins anew. */
void maps_visit_connections(const struct maps *maps, uint32_t slot, int (*visit)(const struct connection *connection, void *context),
                            void *context);

#endif
