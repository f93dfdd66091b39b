/* struct ofp_match of OpenFlow 1.0 (5.2.3): every field has its place, and a word of wildcards says which count. */
#include <string.h>

#include "weft/fabric/openflow/wire.h"

enum {
    WILD_IN_PORT = 1 << 0,
    WILD_VLAN = 1 << 1,
    WILD_ETH_SRC = 1 << 2,
    WILD_ETH_DST = 1 << 3,
    WILD_ETH_TYPE = 1 << 4,
    WILD_PROTO = 1 << 5,
    WILD_TP_SRC = 1 << 6,
    WILD_TP_DST = 1 << 7,
    WILD_PCP = 1 << 20,
    WILD_TOS = 1 << 21,
};
#define SRC_SHIFT 8 /* Six bits each: how many low bits of the address do not count; 32 and more: none does. */
#define DST_SHIFT 14
#define WILD_ALL (0xffu | 32u << SRC_SHIFT | 32u << DST_SHIFT | WILD_PCP | WILD_TOS)

/* Where the fields are. */
enum { IN_PORT = 4, ETH_SRC = 6, ETH_DST = 12, VLAN = 18, PCP = 20, ETH_TYPE = 22, TOS = 24, PROTO = 25, SRC = 28, DST = 32, TP_SRC = 36, TP_DST = 38 };

static uint32_t prefix_mask(unsigned wild)
{
    return wild >= 32 ? 0 : UINT32_MAX << wild;
}

static struct ip_address mask_of(uint32_t mask)
{
    struct ip_address ret;
    memset(ret.bytes, 0xff, 12);
    put_be32(ret.bytes + 12, mask);
    return ret;
}

static void decode_addresses(const uint8_t *wire, uint32_t wild, uint32_t src_field, uint32_t dst_field, struct of_match *ret)
{
    uint32_t src_mask = prefix_mask(wild >> SRC_SHIFT & 63), dst_mask = prefix_mask(wild >> DST_SHIFT & 63);
    if (src_mask) {
        ret->fields |= src_field;
        ret->ip_src = ip_from_v4(get_be32(wire + SRC) & src_mask);
        ret->ip_src_mask = mask_of(src_mask);
    }
    if (dst_mask) {
        ret->fields |= dst_field;
        ret->ip_dst = ip_from_v4(get_be32(wire + DST) & dst_mask);
        ret->ip_dst_mask = mask_of(dst_mask);
    }
}

static void decode_transport(const uint8_t *wire, uint32_t wild, struct of_match *ret)
{
    if (!(wild & WILD_TP_SRC)) {
        ret->fields |= OFM_TP_SRC;
        ret->tp_src = get_be16(wire + TP_SRC);
    }
    if (!(wild & WILD_TP_DST)) {
        ret->fields |= OFM_TP_DST;
        ret->tp_dst = get_be16(wire + TP_DST);
    }
}

/* Type and code are where others have their ports. */
static void decode_icmp(const uint8_t *wire, uint32_t wild, struct of_match *ret)
{
    if (!(wild & WILD_TP_SRC)) {
        ret->fields |= OFM_ICMP_TYPE;
        ret->icmp_type = (uint8_t)get_be16(wire + TP_SRC);
    }
    if (!(wild & WILD_TP_DST)) {
        ret->fields |= OFM_ICMP_CODE;
        ret->icmp_code = (uint8_t)get_be16(wire + TP_DST);
    }
}

static void decode_ipv4(const uint8_t *wire, uint32_t wild, struct of_match *ret)
{
    decode_addresses(wire, wild, OFM_IP_SRC, OFM_IP_DST, ret);
    if (!(wild & WILD_TOS)) {
        ret->fields |= OFM_IP_DSCP;
        ret->ip_dscp = wire[TOS] >> 2;
    }
    if (!(wild & WILD_PROTO)) {
        ret->fields |= OFM_IP_PROTO;
        ret->ip_proto = wire[PROTO];
        if (ret->ip_proto == 6 || ret->ip_proto == 17 || ret->ip_proto == 132)
            decode_transport(wire, wild, ret);
        else if (ret->ip_proto == 1)
            decode_icmp(wire, wild, ret);
    }
}

static void decode_ethernet(const uint8_t *wire, uint32_t wild, struct of_match *ret)
{
    if (!(wild & WILD_IN_PORT)) {
        ret->fields |= OFM_IN_PORT;
        ret->in_port = of_port_from10(get_be16(wire + IN_PORT));
    }
    if (!(wild & WILD_ETH_SRC)) {
        ret->fields |= OFM_ETH_SRC;
        memcpy(ret->eth_src.bytes, wire + ETH_SRC, 6);
        memset(ret->eth_src_mask.bytes, 0xff, 6);
    }
    if (!(wild & WILD_ETH_DST)) {
        ret->fields |= OFM_ETH_DST;
        memcpy(ret->eth_dst.bytes, wire + ETH_DST, 6);
        memset(ret->eth_dst_mask.bytes, 0xff, 6);
    }
    if (!(wild & WILD_VLAN)) {
        uint16_t vlan = get_be16(wire + VLAN);
        ret->fields |= OFM_VLAN_VID;
        ret->vlan_vid = vlan == 0xffff ? OF_NO_VLAN : vlan & 0xfff;
    }
    if (!(wild & WILD_PCP) && ret->vlan_vid != OF_NO_VLAN) {
        ret->fields |= OFM_VLAN_PCP;
        ret->vlan_pcp = wire[PCP] & 7;
    }
    if (!(wild & WILD_ETH_TYPE)) {
        ret->fields |= OFM_ETH_TYPE;
        ret->eth_type = get_be16(wire + ETH_TYPE);
    }
}

void of_match10_decode(const uint8_t wire[OF10_MATCH_SIZE], struct of_match *ret)
{
    uint32_t wild = get_be32(wire);
    *ret = (struct of_match){0};
    decode_ethernet(wire, wild, ret);
    if (ret->eth_type == 0x0800) {
        decode_ipv4(wire, wild, ret);
    } else if (ret->eth_type == 0x0806) {
        decode_addresses(wire, wild, OFM_ARP_SPA, OFM_ARP_TPA, ret);
        if (!(wild & WILD_PROTO)) {
            ret->fields |= OFM_ARP_OP;
            ret->arp_op = wire[PROTO];
        }
    }
}

/* ---- encoding -------------------------------------------------------------------------------------------------- */

#define FIELDS                                                                                                                  \
    (OFM_IN_PORT | OFM_ETH_DST | OFM_ETH_SRC | OFM_ETH_TYPE | OFM_VLAN_VID | OFM_VLAN_PCP | OFM_IP_DSCP | OFM_IP_PROTO |         \
     OFM_IP_SRC | OFM_IP_DST | OFM_TP_SRC | OFM_TP_DST | OFM_ICMP_TYPE | OFM_ICMP_CODE | OFM_ARP_OP | OFM_ARP_SPA | OFM_ARP_TPA)

static bool is_exact(const struct mac_address *mask)
{
    static const struct mac_address ones = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    return memcmp(mask, &ones, sizeof(ones)) == 0;
}

/* Puts an address with its prefix in place and its wildcard bits into '*wild'; -EPROTONOSUPPORT when it is no prefix. */
static int encode_address(const struct ip_address *address, const struct ip_address *mask, unsigned shift, uint8_t *at,
                          uint32_t *wild)
{
    uint32_t bits = get_be32(mask->bytes + 12);
    unsigned free_bits = (unsigned)__builtin_ctz(bits); /* of_match_check has seen that it is not 0. */
    if (bits != UINT32_MAX << free_bits)
        return -EPROTONOSUPPORT;
    *wild = (*wild & ~(63u << shift)) | free_bits << shift;
    put_be32(at, get_be32(address->bytes + 12) & bits);
    return 0;
}

/* Above Ethernet.  IPv4 and ARP share their places, as do ports and ICMP's numbers. */
static int encode_protocols(const struct of_match *match, uint8_t *wire, uint32_t *wild)
{
    uint32_t fields = match->fields;
    int r = 0;
    if (fields & (OFM_IP_SRC | OFM_ARP_SPA))
        r = encode_address(&match->ip_src, &match->ip_src_mask, SRC_SHIFT, wire + SRC, wild);
    if (r == 0 && (fields & (OFM_IP_DST | OFM_ARP_TPA)))
        r = encode_address(&match->ip_dst, &match->ip_dst_mask, DST_SHIFT, wire + DST, wild);
    if (r < 0)
        return r;
    if ((fields & OFM_ARP_OP) && match->arp_op > 255)
        return -EPROTONOSUPPORT;
    if (fields & (OFM_IP_PROTO | OFM_ARP_OP)) {
        *wild &= ~WILD_PROTO;
        wire[PROTO] = fields & OFM_ARP_OP ? (uint8_t)match->arp_op : match->ip_proto;
    }
    if (fields & OFM_IP_DSCP) {
        *wild &= ~WILD_TOS;
        wire[TOS] = (uint8_t)(match->ip_dscp << 2);
    }
    if (fields & (OFM_TP_SRC | OFM_ICMP_TYPE)) {
        *wild &= ~WILD_TP_SRC;
        put_be16(wire + TP_SRC, fields & OFM_TP_SRC ? match->tp_src : match->icmp_type);
    }
    if (fields & (OFM_TP_DST | OFM_ICMP_CODE)) {
        *wild &= ~WILD_TP_DST;
        put_be16(wire + TP_DST, fields & OFM_TP_DST ? match->tp_dst : match->icmp_code);
    }
    return 0;
}

static int encode_ethernet(const struct of_match *match, uint8_t *wire, uint32_t *wild)
{
    uint32_t fields = match->fields;
    if (fields & OFM_IN_PORT) {
        uint16_t port;
        int r = of_port_to10(match->in_port, &port);
        if (r < 0)
            return r;
        *wild &= ~WILD_IN_PORT;
        put_be16(wire + IN_PORT, port);
    }
    if (fields & OFM_ETH_SRC) {
        *wild &= ~WILD_ETH_SRC;
        memcpy(wire + ETH_SRC, match->eth_src.bytes, 6);
    }
    if (fields & OFM_ETH_DST) {
        *wild &= ~WILD_ETH_DST;
        memcpy(wire + ETH_DST, match->eth_dst.bytes, 6);
    }
    if (fields & OFM_VLAN_VID) {
        *wild &= ~WILD_VLAN;
        put_be16(wire + VLAN, match->vlan_vid);
    }
    if (fields & OFM_VLAN_PCP) {
        *wild &= ~WILD_PCP;
        wire[PCP] = match->vlan_pcp;
    }
    if (fields & OFM_ETH_TYPE) {
        *wild &= ~WILD_ETH_TYPE;
        put_be16(wire + ETH_TYPE, match->eth_type);
    }
    return 0;
}

int of_match10_encode(const struct of_match *match, struct writer *writer)
{
    uint32_t fields = match->fields, wild = WILD_ALL;
    if ((fields & ~FIELDS) || ((fields & OFM_ETH_DST) && !is_exact(&match->eth_dst_mask)) ||
        ((fields & OFM_ETH_SRC) && !is_exact(&match->eth_src_mask)))
        return -EPROTONOSUPPORT;
    if ((fields & (OFM_IP_DSCP | OFM_IP_PROTO | OFM_IP_SRC | OFM_IP_DST)) && (fields & OFM_ETH_TYPE) && match->eth_type == 0x86dd)
        return -EPROTONOSUPPORT;
    int r = of_match_check(match);
    uint8_t *wire = r < 0 ? NULL : writer_take(writer, OF10_MATCH_SIZE);
    if (!wire)
        return r < 0 ? r : -ENOBUFS;
    r = encode_ethernet(match, wire, &wild);
    if (r == 0)
        r = encode_protocols(match, wire, &wild);
    if (r < 0)
        return r;
    put_be32(wire, wild);
    return 0;
}
