/* Broadcast, multicast and unknown destinations: one copy out of each port where hosts are, and never over a link, so that no topology makes a
 * loop.  Within a budget per port, since one frame in becomes many out. */
#include <errno.h>

#include "weft/base/util.h"
#include "weft/fabric/slices.h"
#include "weft/fabric/state.h"

#define BURST_S 10      /* Seconds' worth of a port's budget that may be used at once. */
#define ACTIONS_MAX 256 /* Ports in one message. */

/* A bucket of tokens that holds 'burst' and gets 'rate' a second. */
static void refill(uint32_t *tokens, uint64_t *refilled_ms, uint64_t now_ms, uint64_t rate, uint64_t burst)
{
    uint64_t earned = (now_ms - *refilled_ms) * rate / 1000;

    if (!earned)
        return;
    *tokens = (uint32_t)MIN(burst, *tokens + earned);
    *refilled_ms = now_ms;
}

static bool within_budget(struct fabric *fabric, struct fabric_port *port)
{
    uint64_t rate = fabric->options.flood_rate, total = fabric->options.flood_total;

    refill(&port->flood_tokens, &port->flood_refilled_ms, fabric->now_ms, rate, rate * BURST_S);
    refill(&fabric->flood_tokens, &fabric->flood_refilled_ms, fabric->now_ms, total, total);
    if (!port->flood_tokens || !fabric->flood_tokens)
        return false;
    port->flood_tokens--;
    fabric->flood_tokens -= (uint32_t)MIN(fabric->flood_tokens, fabric->datapaths.n_nodes);
    return true;
}

static void send(struct fabric *fabric, struct datapath *datapath, struct writer *actions, const uint8_t *bytes, size_t size)
{
    struct of_message message = {.kind = OF_PACKET_OUT};

    if (!actions->size)
        return;
    message.packet_out = (struct of_packet_out){.buffer_id = OF_NO_BUFFER,
                                                .in_port = OFPP_CONTROLLER,
                                                .actions = {actions->data, actions->size},
                                                .data = {bytes, size}};
    datapath_send(fabric, datapath, &message);
    actions->size = 0;
}

static void flood_datapath(struct fabric *fabric, struct datapath *datapath, const struct fabric_port *from, uint32_t slice, uint16_t vlan,
                           const uint8_t *bytes, size_t size)
{
    uint8_t list[ACTIONS_MAX * 16];
    struct writer actions = writer_of(list, sizeof(list));

    for (size_t i = 0; i < datapath->n_ports; i++) {
        struct fabric_port *port = datapath->ports[i];
        struct of_action output = {.kind = OFA_OUTPUT, .port = port->number};

        if (port == from || !port_is_edge(port) || !slice_has_port(fabric, slice, port, vlan))
            continue;
        if (of_action_put(datapath->version, &actions, &output) == -ENOBUFS) {
            send(fabric, datapath, &actions, bytes, size);
            of_action_put(datapath->version, &actions, &output);
        }
    }
    send(fabric, datapath, &actions, bytes, size);
}

void flood_frame(struct fabric *fabric, struct fabric_port *from, const struct host *source, const struct fabric_frame *frame, const uint8_t *bytes,
                 size_t size)
{
    uint32_t slice = slice_of_host(fabric, source);

    if (!within_budget(fabric, from)) {
        fabric_count_drop(fabric, FABRIC_DROP_FLOOD_BUDGET);
        return;
    }
    fabric->counters.floods++;
    HASHMAP_FOREACH(node, &fabric->datapaths) {
        struct datapath *datapath = CONTAINER_OF(node, struct datapath, by_id);

        if (datapath->channel)
            flood_datapath(fabric, datapath, from, slice, frame->vlan, bytes, size);
    }
}
