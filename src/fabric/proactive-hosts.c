/* Hosts: who is let in where, as whom, and which switch a packet for one goes to. */
#include "weft/base/util.h"
#include "weft/fabric/carried.h"
#include "weft/fabric/proactive-state.h"
#include "weft/fabric/slices.h"

static void host_match(struct of_match *match, const struct host *host, bool is_source)
{
    match->fields |= (is_source ? OFM_ETH_SRC : OFM_ETH_DST) | OFM_VLAN_VID;
    if (is_source)
        match->eth_src = host->key.mac;
    else
        match->eth_dst = host->key.mac;
    match->vlan_vid = host->key.vlan == FRAME_NO_VLAN ? OF_NO_VLAN : host->key.vlan;
    of_match_make_exact(match);
}

/* What fits goes on to the destination, as the host's slice; without a match yet. */
static struct of_message make_admission(const struct datapath *datapath, uint16_t priority, uint32_t slice, bool is_there)
{
    struct of_message message = proactive_make_slice_entry(datapath, TABLE_ADMISSION, priority);

    message.flow_mod.command = is_there ? OFPFC_ADD : OFPFC_DELETE_STRICT;
    if (slice != SLICE_ALL) {
        message.flow_mod.instructions.metadata = (uint64_t)slice << 32;
        message.flow_mod.instructions.metadata_mask = METADATA_SLICE;
    }
    message.flow_mod.instructions.goto_table = TABLE_DESTINATION;
    return message;
}

static void put_address(struct fabric *fabric, const struct host *host, const struct fabric_port *port, const struct ip_address *address,
                        bool is_there)
{
    struct datapath *datapath = port->datapath;
    uint32_t slice = slice_of_host(fabric, host);
    struct carried carried[CARRIED_MAX];
    struct of_message message;
    size_t n;

    if (!proactive_is_writable(fabric, datapath) || (is_there && slice == SLICE_NONE))
        return;
    message = make_admission(datapath, PRIORITY_CARRIED, slice, is_there);
    n = carried_from_host(host, port, address, carried);
    for (size_t i = 0; i < n; i++) {
        message.flow_mod.match = carried[i].match;
        datapath_send(fabric, datapath, &message);
    }
}

static void put_admission(struct fabric *fabric, const struct host *host, const struct fabric_port *port, bool is_there)
{
    struct datapath *datapath = port->datapath;
    uint32_t slice = slice_of_host(fabric, host);
    struct of_message message;

    if (!proactive_is_writable(fabric, datapath) || (is_there && slice == SLICE_NONE))
        return;
    message = make_admission(datapath, PRIORITY_PROACTIVE, slice, is_there);
    message.flow_mod.match = (struct of_match){.fields = OFM_IN_PORT, .in_port = port->number};
    host_match(&message.flow_mod.match, host, true);
    datapath_send(fabric, datapath, &message);
    for (const struct host_address *address = host->addresses; address; address = address->next)
        put_address(fabric, host, port, &address->key.address, is_there);
}

/* 'slice': whose packets these are; 0 with slices defined: what came over a link. */
static void put_destination(struct fabric *fabric, struct datapath *datapath, const struct host *host, bool with_slice, uint32_t slice,
                            bool is_there)
{
    struct of_action output = {.kind = OFA_OUTPUT, .port = host->port->number};
    uint8_t bytes[32];
    struct writer actions = writer_of(bytes, sizeof(bytes));
    struct of_message message = proactive_make_slice_entry(datapath, TABLE_DESTINATION, PRIORITY_PROACTIVE);
    struct of_flow_mod *mod = &message.flow_mod;

    if (is_there && host->port->datapath != datapath && !proactive_number_of(fabric, host->port->datapath))
        return;
    mod->command = is_there ? OFPFC_ADD : OFPFC_DELETE_STRICT;
    if (with_slice)
        mod->match = (struct of_match){.fields = OFM_METADATA, .metadata = (uint64_t)slice << 32, .metadata_mask = METADATA_SLICE};
    host_match(&mod->match, host, false);
    if (with_slice)
        mod->match.metadata_mask = METADATA_SLICE; /* Exact is not meant. */
    if (host->port->datapath == datapath) {
        if (of_action_put(datapath->version, &actions, &output) < 0)
            return;
        mod->instructions.apply_actions = (struct of_bytes){bytes, actions.size};
    } else {
        mod->instructions.metadata = proactive_number_of(fabric, host->port->datapath);
        mod->instructions.metadata_mask = METADATA_SWITCH;
        mod->instructions.goto_table = TABLE_NEXT_HOP;
    }
    datapath_send(fabric, datapath, &message);
}

static void put_host_at(struct fabric *fabric, struct datapath *datapath, const struct host *host, bool is_there)
{
    uint32_t slice = slice_of_host(fabric, host);

    if (!proactive_is_writable(fabric, datapath))
        return;
    if (slice == SLICE_ALL) {
        put_destination(fabric, datapath, host, false, 0, is_there);
    } else if (slice != SLICE_NONE) {
        put_destination(fabric, datapath, host, true, slice, is_there);
        put_destination(fabric, datapath, host, true, 0, is_there);
    }
}

void proactive_host(struct fabric *fabric, const struct host *host)
{
    if (!fabric_is_proactive(fabric))
        return;
    HASHMAP_FOREACH(node, &fabric->datapaths)
        put_host_at(fabric, CONTAINER_OF(node, struct datapath, by_id), host, true);
    put_admission(fabric, host, host->port, true);
}

void proactive_host_gone(struct fabric *fabric, const struct host *host, const struct fabric_port *from)
{
    if (!fabric_is_proactive(fabric))
        return;
    put_admission(fabric, host, from, false);
    HASHMAP_FOREACH(node, &fabric->datapaths)
        put_host_at(fabric, CONTAINER_OF(node, struct datapath, by_id), host, false);
}

void proactive_address(struct fabric *fabric, const struct host *host, const struct ip_address *address, bool is_there)
{
    if (fabric_is_proactive(fabric))
        put_address(fabric, host, host->port, address, is_there);
}

static void put_hosts_of(struct fabric *fabric, struct datapath *datapath, const struct fabric_port *port)
{
    for (const struct ring *element = port->hosts.next; element != &port->hosts; element = element->next) {
        const struct host *host = CONTAINER_OF(element, struct host, of_port);

        put_host_at(fabric, datapath, host, true);
        if (port->datapath == datapath)
            put_admission(fabric, host, port, true);
    }
}

static size_t port_after(const struct datapath *datapath, uint64_t number)
{
    size_t low = 0, high = datapath->n_ports;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (datapath->ports[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The entries of all hosts, port by port, as fast as the switch reads; returns whether that was all.  Hosts that come, go or move meanwhile are
 * written as they do. */
bool proactive_put_more_hosts(struct fabric *fabric, struct datapath *datapath)
{
    struct proactive_state *state = datapath->proactive;

    for (; state->hosts_node < fabric->by_node_capacity; state->hosts_node++, state->hosts_port = 0) {
        const struct datapath *of = fabric->by_node[state->hosts_node];

        for (size_t i = of ? port_after(of, state->hosts_port) : 0; of && i < of->n_ports; i++) {
            if (!proactive_has_room(fabric, datapath))
                return false;
            put_hosts_of(fabric, datapath, of->ports[i]);
            state->hosts_port = (uint64_t)of->ports[i]->number + 1;
        }
    }
    return true;
}

void proactive_put_hosts_again(struct datapath *datapath)
{
    datapath->proactive->are_hosts_put = false;
    datapath->proactive->hosts_node = 0;
    datapath->proactive->hosts_port = 0;
}
