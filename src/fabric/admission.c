/* Slices at work: who may speak, and who is spoken to. */
#include "weft/fabric/entries.h"
#include "weft/fabric/proactive.h"
#include "weft/fabric/slices.h"
#include "weft/fabric/state.h"

uint32_t slice_of_host(const struct fabric *fabric, const struct host *host)
{
    return slices_find(fabric->slices, host->port->datapath->id, host->port->number, host->key.vlan, &host->key.mac);
}

/* May a flood of this slice leave here?  Where hosts are known, one of them must be in it; else the port itself. */
bool slice_has_port(const struct fabric *fabric, uint32_t slice, const struct fabric_port *port, uint16_t vlan)
{
    static const struct mac_address nobody;

    if (slice == SLICE_ALL)
        return true;
    if (slices_find(fabric->slices, port->datapath->id, port->number, vlan, &nobody) == slice)
        return true;
    RING_FOREACH(element, (struct ring *)&port->hosts)
        if (slice_of_host(fabric, CONTAINER_OF(element, struct host, of_port)) == slice)
            return true;
    return false;
}

/* The switch drops what comes from there, for some seconds, without asking again. */
void slices_deny(struct fabric *fabric, struct fabric_port *port, const struct host *source)
{
    char mac[MAC_TEXT_SIZE], text[PORT_TEXT_SIZE];

    fabric_count_drop(fabric, FABRIC_DROP_SLICE);
    fabric_tell(fabric, FABRIC_SLICE_DENIED, "host %s at %s: in no slice", mac_format(&source->key.mac, mac), port_text(port, text));
    entry_put_deny(fabric, port, &source->key.mac, source->key.vlan);
}

void fabric_slices_changed(struct fabric *fabric)
{
    struct of_message message = {.kind = OF_FLOW_MOD};

    flows_recheck_slices(fabric);
    /* 1.0 has no way to name them: there they end within DENY_S. */
    message.flow_mod = (struct of_flow_mod){
        .cookie = entry_cookie(ENTRY_DENY),
        .cookie_mask = COOKIE_MASK | COOKIE_KIND_MASK,
        .table_id = OF_ALL_TABLES,
        .command = OFPFC_DELETE,
        .buffer_id = OF_NO_BUFFER,
        .out_port = OFPP_ANY,
        .out_group = OFPG_ANY,
        .instructions = {.goto_table = OF_NO_TABLE},
    };
    HASHMAP_FOREACH(node, &fabric->datapaths) {
        struct datapath *datapath = CONTAINER_OF(node, struct datapath, by_id);

        if (datapath->channel && datapath->version != OF10 && fabric_is_active(fabric))
            datapath_send(fabric, datapath, &message);
    }
    proactive_slices_changed(fabric);
}
