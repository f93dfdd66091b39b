#include "weft/fabric/carried.h"

#include <string.h>

#define PROTOCOL_ICMP6 58
#define SOLICITATION 135
#define ADVERTISEMENT 136
/* What tells a host's frames to others at its port. */
#define FRAME_FIELDS (OFM_IN_PORT | OFM_ETH_DST | OFM_ETH_SRC | OFM_ETH_TYPE | OFM_VLAN_VID)

/* ARP, or ND of a type, to one receiver. */
static struct of_match unicast_match(uint32_t port, uint16_t ethertype, uint8_t type)
{
    struct of_match match = {.fields = OFM_IN_PORT | OFM_ETH_DST | OFM_ETH_TYPE, .in_port = port, .eth_type = ethertype};

    match.eth_dst_mask.bytes[0] = 1; /* The bit that is set in a group's address. */
    if (ethertype == ETHERTYPE_IPV6) {
        match.fields |= OFM_IP_PROTO | OFM_ICMP_TYPE;
        match.ip_proto = PROTOCOL_ICMP6;
        match.icmp_type = type;
    }
    return match;
}

static struct of_match host_match(const struct host *host, const struct fabric_port *port, uint16_t ethertype, uint8_t type)
{
    struct of_match match = unicast_match(port->number, ethertype, type);

    match.fields |= OFM_ETH_SRC | OFM_VLAN_VID;
    match.eth_src = host->key.mac;
    memset(&match.eth_src_mask, 0xff, sizeof(match.eth_src_mask));
    match.vlan_vid = host->key.vlan == FRAME_NO_VLAN ? OF_NO_VLAN : host->key.vlan;
    return match;
}

static void match_sender(struct of_match *match, enum of_match_field field, const struct ip_address *address)
{
    match->fields |= field;
    match->ip_src = *address;
    memset(&match->ip_src_mask, 0xff, sizeof(match->ip_src_mask));
}

size_t carried_from_host(const struct host *host, const struct fabric_port *port, const struct ip_address *address,
                         struct carried ret[CARRIED_MAX])
{
    static const struct mac_address none;

    if (ip_is_v4(address)) {
        ret[0].match = host_match(host, port, ETHERTYPE_ARP, 0);
        match_sender(&ret[0].match, OFM_ARP_SPA, address);
        of_match_hardware(&ret[0].match, &host->key.mac, ret[0].hardware);
        return 1;
    }
    ret[0].match = host_match(host, port, ETHERTYPE_IPV6, SOLICITATION);
    match_sender(&ret[0].match, OFM_IP_SRC, address);
    of_match_hardware(&ret[0].match, &host->key.mac, ret[0].hardware);
    /* What answers a question to one host may leave the option out (RFC 4861, 7.2.4). */
    for (size_t i = 1; i < CARRIED_MAX; i++) {
        ret[i].match = host_match(host, port, ETHERTYPE_IPV6, ADVERTISEMENT);
        ret[i].match.fields |= OFM_ND_TARGET;
        ret[i].match.nd_target = *address;
        of_match_hardware(&ret[i].match, i == 1 ? &host->key.mac : &none, ret[i].hardware);
    }
    return CARRIED_MAX;
}

size_t carried_over_link(const struct fabric_port *port, struct carried ret[CARRIED_MAX])
{
    ret[0].match = unicast_match(port->number, ETHERTYPE_ARP, 0);
    ret[1].match = unicast_match(port->number, ETHERTYPE_IPV6, SOLICITATION);
    ret[2].match = unicast_match(port->number, ETHERTYPE_IPV6, ADVERTISEMENT);
    return CARRIED_MAX;
}

bool carried_address(const struct of_match *match, struct ip_address *ret)
{
    const uint32_t solicitation = FRAME_FIELDS | OFM_IP_PROTO | OFM_ICMP_TYPE | OFM_IP_SRC | OFM_OTHER;
    bool is_arp = match->fields == (FRAME_FIELDS | OFM_ARP_SPA | OFM_OTHER) && match->eth_type == ETHERTYPE_ARP;
    bool is_nd = match->fields == solicitation && match->eth_type == ETHERTYPE_IPV6 && match->icmp_type == SOLICITATION;

    *ret = match->ip_src;
    return is_arp || is_nd;
}
