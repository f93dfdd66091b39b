/* What the fabric needs to know of a frame that a switch sent up: its flow, and what ARP, ND and LLDP say in it.
 *
 * Standards: IEEE 802.3, 802.1Q; RFC 791, 8200 (extension headers are walked, FRAME_EXTENSIONS_MAX of them), 826 (ARP), 4861 (ND). */
#ifndef WEFT_FABRIC_FRAME_H
#define WEFT_FABRIC_FRAME_H

#include <stddef.h>

#include "weft/base/bytes.h"
#include "weft/fabric/paths/flow-hash.h"

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_ARP 0x0806
#define ETHERTYPE_VLAN 0x8100
#define ETHERTYPE_IPV6 0x86dd
#define ETHERTYPE_LLDP 0x88cc
#define FRAME_EXTENSIONS_MAX 8
#define FRAME_NO_VLAN 0xffff

enum neighbor_kind {
    NEIGHBOR_NONE,
    NEIGHBOR_REQUEST,   /* ARP request, or neighbour solicitation. */
    NEIGHBOR_REPLY,     /* ARP reply, or neighbour advertisement. */
};

struct fabric_frame {
    struct flow_tuple tuple; /* tuple.vlan is 0 without a tag. */
    uint16_t vlan;           /* The tag's VID, or FRAME_NO_VLAN. */
    uint8_t traffic_class;
    enum neighbor_kind neighbor;
    struct ip_address sender, target; /* ARP and ND; zero when unspecified (a probe). */
    struct mac_address sender_mac;    /* ARP's sender, ND's link-layer address option; zero when there is none. */
    size_t payload;                   /* Offset of what is behind the Ethernet header and tag. */
};

/* Returns 0, or -EBADMSG for a frame that is cut within its Ethernet, tag, IP or ARP header.  Beyond that, what is cut or unknown is just not
 * looked into: ports are 0. */
int frame_classify(const uint8_t *bytes, size_t size, struct fabric_frame *ret);

/* Frames of the fabric's own.  Each returns its size; 'frame' has room for FRAME_OWN_MAX bytes.  A VLAN of FRAME_NO_VLAN: no tag. */
#define FRAME_OWN_MAX 128

/* What answers 'request' (NEIGHBOR_REQUEST) with 'mac' as the target's. */
size_t frame_neighbor_reply(const struct fabric_frame *request, const struct mac_address *mac, uint8_t *frame);

/* Asks whether 'address' is still at 'mac': an ARP probe (RFC 5227, 2.1.1) or a neighbour solicitation from '::', to that MAC alone. */
size_t frame_neighbor_probe(const struct ip_address *address, const struct mac_address *mac, const struct mac_address *own_mac,
                            uint16_t vlan, uint8_t *frame);

#endif
