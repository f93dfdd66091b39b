/* The hash of a flow: what spreads flows over paths.
 *
 * 32 bits of a keyed hash of protocol, addresses and ports, IPv4 or IPv6; where there is no IP, of the MACs and the ethertype.  Fragments
 * are hashed without ports, all alike, so that a datagram's pieces stay together.  The seed makes fabrics differ (no polarization
 * between layers of them) and keeps a sender from choosing its path's load. */
#ifndef WEFT_FABRIC_PATHS_FLOW_HASH_H
#define WEFT_FABRIC_PATHS_FLOW_HASH_H

#include <stdbool.h>
#include <stdint.h>

#include "weft/base/address.h"

/* Every byte counts: zero what is unused, the padding has names. */
struct flow_tuple {
    struct ip_address source, destination; /* IPv4-mapped; zero without IP. */
    struct mac_address source_mac, destination_mac;
    uint16_t ethertype, vlan; /* VLAN: 0 without a tag. */
    uint16_t source_port, destination_port; /* Host order; ICMP: type << 8 | code, and 0. */
    uint8_t protocol;
    uint8_t is_fragment;
    uint16_t zero;
};

/* With 'symmetric', both directions of a connection have the same hash; of ICMP and ICMPv6 type and code then do not count, since request and
 * reply differ there.  MACs, ethertype and VLAN count only without IP.  The same on every machine. */
uint32_t flow_hash(const struct flow_tuple *tuple, uint64_t seed, bool symmetric);

#endif
