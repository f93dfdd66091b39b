/* The connection entries as a person asks for them. */
#ifndef WEFT_DATAPLANE_CONNECTIONS_H
#define WEFT_DATAPLANE_CONNECTIONS_H

#include "weft/base/address.h"
#include "weft/dataplane/maps.h"

struct connection {
    struct flow_key key;           /* In 'connections'. */
    uint32_t slot;                 /* Of the local port. */
    uint8_t protocol, state;       /* IPPROTO_*, enum flow_state. */
    __u8 local[16], remote[16];    /* IPv4 is mapped. */
    __u16 local_port, remote_port; /* As on the wire; of ICMP as in struct flow_key. */
    uint64_t packets[2], bytes[2]; /* Sent by the workload, received. */
    uint64_t idle_ms;
    bool is_translated;            /* Then it is called so outside: */
    __u8 outside_local[16], outside_remote[16];
    __u16 outside_local_port, outside_remote_port;
    uint32_t member;               /* Number of the load balancer's member that serves the workload; 0: it is no such connection. */
    uint32_t member_name;          /* First 32 bits of its id. */
    struct mac_address remote_mac; /* The workload's L2 destination. */
    uint32_t remote_sequence;      /* TCP: behind the highest sequence number that the other side has sent; 0: that is not followed. */
};

/* As maps_visit_connections, for who wants them as they lie there: each a copy. */
void maps_visit_entries(const struct maps *maps, uint32_t slot, int (*visit)(const struct flow_entry *entry, void *context), void *context);

/* Calls 'visit' for each connection of port 'slot', or of all ports when it is 0, in no order, until it returns other than 0.  Entries come and go
 * meanwhile: each that is there all the time is visited once. */
void maps_visit_connections(const struct maps *maps, uint32_t slot, int (*visit)(const struct connection *connection, void *context),
                            void *context);

/* Ends a connection for everybody: nobody finds it any more, and what still comes of it is judged as the beginning of another one (a TCP
 * connection may be picked up in the middle where the rules would let it begin).  Its memory, and its name outside, are free after
 * maps_remove_connection, not before END_PAUSE_MS later; without that the sweeper sees to it within a round.
 * Both return 1 when they did so, 0 when there was nothing to do (it has ended, or begun anew), or -errno. */
int maps_end_connection(const struct maps *maps, const struct flow_key *key);
int maps_remove_connection(const struct maps *maps, const struct flow_key *key);

#endif
