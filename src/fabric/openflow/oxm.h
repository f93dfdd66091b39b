/* OXM entries (OpenFlow 1.3.5, 7.2.3): what the standard's basic class has.  Not for users of the codec. */
#ifndef WEFT_FABRIC_OPENFLOW_OXM_H
#define WEFT_FABRIC_OPENFLOW_OXM_H

#include <stdint.h>

#define OXM_BASIC 0x8000 /* OFPXMC_OPENFLOW_BASIC. */

enum oxm_number {
    OXM_IN_PORT = 0,
    OXM_IN_PHY_PORT = 1,
    OXM_METADATA = 2,
    OXM_ETH_DST = 3,
    OXM_ETH_SRC = 4,
    OXM_ETH_TYPE = 5,
    OXM_VLAN_VID = 6,
    OXM_VLAN_PCP = 7,
    OXM_IP_DSCP = 8,
    OXM_IP_ECN = 9,
    OXM_IP_PROTO = 10,
    OXM_IPV4_SRC = 11,
    OXM_IPV4_DST = 12,
    OXM_TCP_SRC = 13,
    OXM_TCP_DST = 14,
    OXM_UDP_SRC = 15,
    OXM_UDP_DST = 16,
    OXM_SCTP_SRC = 17,
    OXM_SCTP_DST = 18,
    OXM_ICMPV4_TYPE = 19,
    OXM_ICMPV4_CODE = 20,
    OXM_ARP_OP = 21,
    OXM_ARP_SPA = 22,
    OXM_ARP_TPA = 23,
    OXM_ARP_SHA = 24,
    OXM_ARP_THA = 25,
    OXM_IPV6_SRC = 26,
    OXM_IPV6_DST = 27,
    OXM_IPV6_FLABEL = 28,
    OXM_ICMPV6_TYPE = 29,
    OXM_ICMPV6_CODE = 30,
    OXM_IPV6_ND_TARGET = 31,
    OXM_IPV6_ND_SLL = 32,
    OXM_IPV6_ND_TLL = 33,
    OXM_MPLS_LABEL = 34,
    OXM_MPLS_TC = 35,
    OXM_MPLS_BOS = 36,
    OXM_PBB_ISID = 37,
    OXM_TUNNEL_ID = 38,
    OXM_IPV6_EXTHDR = 39,
    N_OXM_NUMBERS,
};

#define OXM_VID_PRESENT 0x1000 /* OFPVID_PRESENT, in the value of a tagged frame's VLAN_VID. */

/* The header in front of a value; with a mask, 'size' counts both. */
#define OXM_HEADER(NUMBER, MASKED, SIZE) ((uint32_t)OXM_BASIC << 16 | (uint32_t)(NUMBER) << 9 | (uint32_t)(MASKED) << 8 | (SIZE))

#endif
