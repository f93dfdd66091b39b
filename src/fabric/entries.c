#include "weft/fabric/entries.h"

#include <string.h>

#include "weft/base/util.h"

#define TRANSIT_GRACE_S 10 /* Entries along the path outlive the first one, so that a flow ends where it begins. */

static const struct ip_address all_ones = {
    {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

/* ---- what every switch holds --------------------------------------------------------------------------------------------- */

static void put_to_controller(struct fabric *fabric, struct datapath *datapath, const struct of_match *match, uint16_t priority)
{
    struct of_message message = {.kind = OF_FLOW_MOD};
    struct of_action output = {.kind = OFA_OUTPUT, .port = OFPP_CONTROLLER, .max_len = 0xffff};
    uint8_t actions[32];
    struct writer writer = writer_of(actions, sizeof(actions));

    if (of_action_put(datapath->version, &writer, &output) < 0)
        return;
    message.flow_mod = (struct of_flow_mod){
        .cookie = entry_cookie(ENTRY_BASIC),
        .command = OFPFC_ADD,
        .priority = priority,
        .buffer_id = OF_NO_BUFFER,
        .out_port = OFPP_ANY,
        .out_group = OFPG_ANY,
        .match = *match,
        .instructions = {.apply_actions = {actions, writer.size}, .goto_table = OF_NO_TABLE},
    };
    datapath_send(fabric, datapath, &message);
}

void entries_put_basic(struct fabric *fabric, struct datapath *datapath)
{
    struct of_match match = {.fields = OFM_ETH_TYPE, .eth_type = ETHERTYPE_LLDP};

    put_to_controller(fabric, datapath, &match, PRIORITY_DISCOVERY);
    match.eth_type = ETHERTYPE_ARP;
    put_to_controller(fabric, datapath, &match, PRIORITY_NEIGHBOR);
    if (datapath->version == OF10)
        return;
    /* Neighbour solicitations and advertisements (RFC 4861); 1.0 does not look into IPv6. */
    for (uint8_t type = 135; type <= 136; type++) {
        match = (struct of_match){.fields = OFM_ETH_TYPE | OFM_IP_PROTO | OFM_ICMP_TYPE, .eth_type = ETHERTYPE_IPV6, .ip_proto = 58,
                                  .icmp_type = type};
        put_to_controller(fabric, datapath, &match, PRIORITY_NEIGHBOR);
    }
    match = (struct of_match){0};
    put_to_controller(fabric, datapath, &match, PRIORITY_MISS);
}

/* ---- flows ------------------------------------------------------------------------------------------------------------------ */

static bool has_ports(uint8_t protocol)
{
    return protocol == 6 || protocol == 17 || protocol == 132;
}

/* IPv6 of which only the MACs count, for there are switches that do not look into it. */
static bool is_coarse(const struct flow_tuple *tuple)
{
    return ip_is_zero(&tuple->source) && ip_is_zero(&tuple->destination);
}

void entry_flow_match(enum of_version version, const struct flow_tuple *tuple, uint16_t vlan, uint32_t in_port, struct of_match *ret)
{
    bool is_v4 = tuple->ethertype == ETHERTYPE_IPV4, is_ip = is_v4 || (tuple->ethertype == ETHERTYPE_IPV6 && version != OF10 && !is_coarse(tuple));

    ret->fields = OFM_IN_PORT | OFM_ETH_DST | OFM_ETH_SRC | OFM_ETH_TYPE | OFM_VLAN_VID;
    ret->in_port = in_port;
    ret->eth_dst = tuple->destination_mac;
    ret->eth_src = tuple->source_mac;
    memset(&ret->eth_dst_mask, 0xff, sizeof(ret->eth_dst_mask));
    memset(&ret->eth_src_mask, 0xff, sizeof(ret->eth_src_mask));
    ret->eth_type = tuple->ethertype;
    ret->vlan_vid = vlan == FRAME_NO_VLAN ? OF_NO_VLAN : vlan;
    ret->others = (struct of_bytes){NULL, 0};
    if (!is_ip)
        return;
    ret->fields |= OFM_IP_SRC | OFM_IP_DST | OFM_IP_PROTO;
    ret->ip_src = tuple->source;
    ret->ip_dst = tuple->destination;
    ret->ip_src_mask = ret->ip_dst_mask = all_ones;
    ret->ip_proto = tuple->protocol;
    if (has_ports(tuple->protocol) && (tuple->protocol != 132 || version != OF10)) {
        ret->fields |= OFM_TP_SRC | OFM_TP_DST;
        ret->tp_src = tuple->source_port;
        ret->tp_dst = tuple->destination_port;
    } else if (tuple->protocol == (is_v4 ? 1 : 58)) {
        ret->fields |= OFM_ICMP_TYPE | OFM_ICMP_CODE;
        ret->icmp_type = (uint8_t)(tuple->source_port >> 8);
        ret->icmp_code = (uint8_t)tuple->source_port;
    }
}

bool entry_flow_tuple(const struct of_match *match, struct flow_tuple *ret, uint16_t *ret_vlan)
{
    const uint32_t always = OFM_IN_PORT | OFM_ETH_DST | OFM_ETH_SRC | OFM_ETH_TYPE | OFM_VLAN_VID;

    memset(ret, 0, sizeof(*ret));
    if ((match->fields & always) != always)
        return false;
    ret->source_mac = match->eth_src;
    ret->destination_mac = match->eth_dst;
    ret->ethertype = match->eth_type;
    *ret_vlan = match->vlan_vid == OF_NO_VLAN ? FRAME_NO_VLAN : match->vlan_vid;
    ret->vlan = *ret_vlan == FRAME_NO_VLAN ? 0 : *ret_vlan;
    if (match->fields & OFM_IP_SRC && match->fields & OFM_IP_DST) {
        ret->source = match->ip_src;
        ret->destination = match->ip_dst;
        ret->protocol = match->ip_proto;
        if (match->fields & OFM_TP_SRC) {
            ret->source_port = match->tp_src;
            ret->destination_port = match->tp_dst;
        } else if (match->fields & OFM_ICMP_TYPE) {
            ret->source_port = (uint16_t)(match->icmp_type << 8 | match->icmp_code);
        }
    }
    return true;
}

void entry_put_flow(struct fabric *fabric, struct datapath *datapath, const struct of_match *match, uint32_t out_port, bool is_ingress,
                    uint32_t serial)
{
    const struct fabric_options *o = &fabric->options;
    uint16_t grace = is_ingress ? 0 : TRANSIT_GRACE_S;
    struct of_message message;
    struct of_action output = {.kind = OFA_OUTPUT, .port = out_port};
    uint8_t actions[32];
    struct writer writer = writer_of(actions, sizeof(actions));

    if (!datapath->channel || of_action_put(datapath->version, &writer, &output) < 0)
        return;
    message.kind = OF_FLOW_MOD;
    message.xid = 0;
    message.flow_mod = (struct of_flow_mod){
        .cookie = entry_cookie(is_ingress ? ENTRY_INGRESS : ENTRY_TRANSIT) | serial,
        .command = OFPFC_ADD,
        .idle_timeout_s = o->idle_timeout_s ? (uint16_t)MIN(o->idle_timeout_s + grace, 65535) : 0,
        .hard_timeout_s = o->hard_timeout_s ? (uint16_t)MIN(o->hard_timeout_s + grace, 65535) : 0,
        .priority = PRIORITY_FLOW,
        .flags = is_ingress ? OFPFF_SEND_FLOW_REM : 0,
        .buffer_id = OF_NO_BUFFER,
        .out_port = OFPP_ANY,
        .out_group = OFPG_ANY,
        .match = *match,
        .instructions = {.apply_actions = {actions, writer.size}, .goto_table = OF_NO_TABLE},
    };
    datapath_send(fabric, datapath, &message);
}

void entry_delete(struct fabric *fabric, struct datapath *datapath, const struct of_match *match, uint16_t priority)
{
    struct of_message message = {.kind = OF_FLOW_MOD};

    message.flow_mod = (struct of_flow_mod){
        .command = OFPFC_DELETE_STRICT,
        .priority = priority,
        .buffer_id = OF_NO_BUFFER,
        .out_port = OFPP_ANY,
        .out_group = OFPG_ANY,
        .match = *match,
        .instructions = {.goto_table = OF_NO_TABLE},
    };
    datapath_send(fabric, datapath, &message);
}

void entry_put_deny(struct fabric *fabric, struct fabric_port *port, const struct mac_address *mac, uint16_t vlan)
{
    struct of_message message = {.kind = OF_FLOW_MOD};

    message.flow_mod = (struct of_flow_mod){
        .cookie = entry_cookie(ENTRY_DENY),
        .command = OFPFC_ADD,
        .hard_timeout_s = DENY_S,
        .priority = PRIORITY_DENY,
        .buffer_id = OF_NO_BUFFER,
        .out_port = OFPP_ANY,
        .out_group = OFPG_ANY,
        .match = {.fields = OFM_IN_PORT | OFM_ETH_SRC | OFM_VLAN_VID, .in_port = port->number, .eth_src = *mac,
                  .vlan_vid = vlan == FRAME_NO_VLAN ? OF_NO_VLAN : vlan},
        .instructions = {.goto_table = OF_NO_TABLE},
    };
    of_match_make_exact(&message.flow_mod.match);
    datapath_send(fabric, port->datapath, &message);
}
