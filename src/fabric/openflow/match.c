/* What a match may say, whatever the version. */
#include <string.h>

#include "weft/fabric/openflow/wire.h"

#define IP_FIELDS (OFM_IP_SRC | OFM_IP_DST)
#define ARP_FIELDS (OFM_ARP_OP | OFM_ARP_SPA | OFM_ARP_TPA)
#define TP_FIELDS (OFM_TP_SRC | OFM_TP_DST)
#define ICMP_FIELDS (OFM_ICMP_TYPE | OFM_ICMP_CODE)

void of_match_make_exact(struct of_match *match)
{
    if (match->fields & OFM_METADATA)
        match->metadata_mask = UINT64_MAX;
    if (match->fields & OFM_TUNNEL_ID)
        match->tunnel_id_mask = UINT64_MAX;
    if (match->fields & OFM_ETH_DST)
        memset(&match->eth_dst_mask, 0xff, sizeof(match->eth_dst_mask));
    if (match->fields & OFM_ETH_SRC)
        memset(&match->eth_src_mask, 0xff, sizeof(match->eth_src_mask));
    if (match->fields & (OFM_IP_SRC | OFM_ARP_SPA))
        memset(&match->ip_src_mask, 0xff, sizeof(match->ip_src_mask));
    if (match->fields & (OFM_IP_DST | OFM_ARP_TPA))
        memset(&match->ip_dst_mask, 0xff, sizeof(match->ip_dst_mask));
}

/* By words: this runs for every flow_mod. */
static bool address_is_sound(const struct ip_address *address, const struct ip_address *mask, bool v4)
{
    uint64_t mask_high = get_be64(mask->bytes), mask_low = get_be64(mask->bytes + 8);
    if (!v4)
        return (mask_high | mask_low) != 0;
    return get_be64(address->bytes) == 0 && get_be32(address->bytes + 8) == 0xffff && mask_high == UINT64_MAX &&
           mask_low >> 32 == UINT32_MAX && (uint32_t)mask_low != 0;
}

static bool mac_mask_is_sound(const struct mac_address *mask)
{
    static const struct mac_address none;
    return memcmp(mask, &none, sizeof(none)) != 0;
}

/* Fields above Ethernet: each needs the protocol that it is of. */
static int check_protocols(const struct of_match *match)
{
    uint32_t fields = match->fields;
    uint16_t type = fields & OFM_ETH_TYPE ? match->eth_type : 0;
    bool v4 = type == 0x0800, v6 = type == 0x86dd, arp = type == 0x0806;
    int protocol = fields & OFM_IP_PROTO ? match->ip_proto : -1;
    bool icmp = (v4 && protocol == 1) || (v6 && protocol == 58);

    if (((fields & (IP_FIELDS | OFM_IP_DSCP | OFM_IP_ECN | OFM_IP_PROTO)) && !v4 && !v6) || ((fields & ARP_FIELDS) && !arp) ||
        ((fields & TP_FIELDS) && protocol != 6 && protocol != 17 && protocol != 132) || ((fields & ICMP_FIELDS) && !icmp) ||
        ((fields & OFM_MPLS_LABEL) && type != 0x8847 && type != 0x8848))
        return -EINVAL;
    if ((fields & OFM_ND_TARGET) && (!v6 || !icmp || !(fields & OFM_ICMP_TYPE) ||
                                     (match->icmp_type != 135 && match->icmp_type != 136)))
        return -EINVAL;
    if (((fields & (OFM_IP_SRC | OFM_ARP_SPA)) && !address_is_sound(&match->ip_src, &match->ip_src_mask, !v6)) ||
        ((fields & (OFM_IP_DST | OFM_ARP_TPA)) && !address_is_sound(&match->ip_dst, &match->ip_dst_mask, !v6)))
        return -EINVAL;
    return 0;
}

int of_match_check(const struct of_match *match)
{
    uint32_t fields = match->fields;
    if (((fields & OFM_VLAN_VID) && match->vlan_vid > 0xfff && match->vlan_vid != OF_NO_VLAN) ||
        ((fields & OFM_VLAN_PCP) && match->vlan_pcp > 7) || ((fields & OFM_IP_DSCP) && match->ip_dscp > 63) ||
        ((fields & OFM_IP_ECN) && match->ip_ecn > 3) || ((fields & OFM_MPLS_LABEL) && match->mpls_label > 0xfffff))
        return -EINVAL;
    if (((fields & OFM_VLAN_PCP) && (fields & OFM_VLAN_VID) && match->vlan_vid == OF_NO_VLAN) ||
        ((fields & OFM_IN_PHY_PORT) && !(fields & OFM_IN_PORT)))
        return -EINVAL;
    if (((fields & OFM_METADATA) && !match->metadata_mask) || ((fields & OFM_TUNNEL_ID) && !match->tunnel_id_mask) ||
        ((fields & OFM_ETH_DST) && !mac_mask_is_sound(&match->eth_dst_mask)) ||
        ((fields & OFM_ETH_SRC) && !mac_mask_is_sound(&match->eth_src_mask)))
        return -EINVAL;
    return fields & ~(OFM_IN_PORT | OFM_IN_PHY_PORT | OFM_METADATA | OFM_TUNNEL_ID | OFM_ETH_DST | OFM_ETH_SRC | OFM_ETH_TYPE |
                      OFM_VLAN_VID | OFM_VLAN_PCP | OFM_OTHER)
               ? check_protocols(match)
               : 0;
}
