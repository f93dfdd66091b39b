/* The ports' counters, asked for every few seconds. */
#include "weft/fabric/state.h"

#define STATISTICS_MS 5000

void statistics_reply(struct fabric *fabric, struct datapath *datapath, const struct of_message *message)
{
    struct of_bytes list = message->multipart_reply.body;
    struct of_port_stats stats;

    if (message->multipart_reply.type == OFMP_PORT_DESC)
        datapath_ports(fabric, datapath, list);
    if (message->multipart_reply.type != OFMP_PORT_STATS)
        return;
    while (of_port_stats_next(datapath->version, &list, &stats) == 1) {
        struct fabric_port *port = datapath_port(datapath, stats.number);

        if (port)
            port->stats = stats;
    }
}

void statistics_tick(struct fabric *fabric)
{
    struct of_message request = {.kind = OF_MULTIPART_REQUEST, .multipart_request = {.type = OFMP_PORT_STATS, .port = OFPP_ANY}};

    if (fabric->now_ms - fabric->statistics_ms < STATISTICS_MS)
        return;
    fabric->statistics_ms = fabric->now_ms;
    HASHMAP_FOREACH(node, &fabric->datapaths)
        datapath_send(fabric, CONTAINER_OF(node, struct datapath, by_id), &request);
}
