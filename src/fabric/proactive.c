#include "weft/fabric/proactive.h"

#include <stdlib.h>

#include "weft/base/util.h"
#include "weft/base/uuid.h"
#include "weft/fabric/carried.h"
#include "weft/fabric/proactive-state.h"
#include "weft/fabric/slices.h"

static void put_misses(struct fabric *fabric, struct datapath *datapath)
{
    struct of_action output = {.kind = OFA_OUTPUT, .port = OFPP_CONTROLLER, .max_len = 0xffff};
    uint8_t bytes[32];
    struct writer actions = writer_of(bytes, sizeof(bytes));
    struct of_message message = proactive_make_entry(datapath, TABLE_DESTINATION, PRIORITY_MISS);

    if (of_action_put(datapath->version, &actions, &output) < 0)
        return;
    message.flow_mod.instructions.apply_actions = (struct of_bytes){bytes, actions.size};
    datapath_send(fabric, datapath, &message); /* Table 2 has none: without a way a packet ends. */
}

/* So that the next pass writes the entries of links and next hops again. */
static void forget_entries(struct datapath *datapath)
{
    for (size_t i = 0; i < datapath->n_ports; i++)
        datapath->ports[i]->is_admitted = false;
    HASHMAP_FOREACH(node, &datapath->proactive->next_hops)
        CONTAINER_OF(node, struct next_hops, by_number)->n = SIZE_MAX;
    datapath->proactive->version = 0;
}

static void nothing_more(void *context, bool is_done)
{
}

void proactive_slices_changed(struct fabric *fabric)
{
    uint64_t slices = proactive_slices_digest(fabric->slices);

    if (!fabric_is_proactive(fabric) || !fabric_is_active(fabric))
        return;
    HASHMAP_FOREACH(node, &fabric->datapaths) {
        struct datapath *datapath = CONTAINER_OF(node, struct datapath, by_id);
        struct proactive_state *state = datapath->proactive;

        if (!datapath->channel || !state)
            continue;
        /* Also where nothing was written yet: an earlier life may have. */
        proactive_delete_of_slices(fabric, datapath, state->slices);
        channel_barrier(datapath->channel, nothing_more, NULL);
        state->slices = slices;
        proactive_put_hosts_again(datapath);
    }
    proactive_tick(fabric);
}

/* Everything is written that should be there: what has another epoch is of hosts, links and slices that are not so any more. */
static void sweep(struct fabric *fabric, struct datapath *datapath)
{
    struct of_message request = {.kind = OF_MULTIPART_REQUEST};
    int64_t xid;

    request.multipart_request = (struct of_multipart_request){
        .type = OFMP_FLOW,
        .flow = {.table_id = OF_ALL_TABLES, .out_port = OFPP_ANY, .out_group = OFPG_ANY, .cookie = entry_cookie(ENTRY_PROACTIVE),
                 .cookie_mask = COOKIE_MASK | COOKIE_KIND_MASK},
    };
    if (channel_barrier(datapath->channel, nothing_more, NULL) < 0)
        return;
    xid = channel_send(datapath->channel, &request);
    if (xid <= 0)
        return;
    datapath->proactive->sweep_xid = (uint32_t)xid;
    datapath->proactive->is_swept = true;
    datapath->proactive->is_more_left = false;
}

static void take_left_over(struct fabric *fabric, struct datapath *datapath, const struct of_multipart_reply *reply)
{
    struct proactive_state *state = datapath->proactive;
    struct of_bytes list = reply->body;
    struct of_flow_stats stats;

    while (of_flow_stats_next(datapath->version, &list, &stats) == 1) {
        if (entry_kind_of(stats.cookie) != ENTRY_PROACTIVE || (stats.cookie & COOKIE_EPOCH) == state->epoch)
            continue;
        if (proactive_has_room(fabric, datapath))
            proactive_delete_found(fabric, datapath, &stats);
        else
            state->is_more_left = true;
    }
    if (reply->flags & OFMPF_MORE)
        return;
    state->sweep_xid = 0;
    state->is_swept = !state->is_more_left;
}

/* Is each switch that is connected known by what it holds, and by its links? */
static bool are_all_known(const struct fabric *fabric)
{
    HASHMAP_FOREACH(node, &fabric->datapaths) {
        const struct datapath *datapath = CONTAINER_OF(node, struct datapath, by_id);

        if (datapath->channel && datapath->version != OF10 && (!datapath->is_reconciled || !discovery_is_back(fabric, datapath)))
            return false;
    }
    return true;
}

/* What an earlier life left may lead to hosts of switches that are still on their way. */
static bool may_sweep(const struct fabric *fabric, const struct proactive_state *state, bool are_known)
{
    return fabric->now_ms >= state->late_ms || (are_known && !state->has_strangers);
}

void proactive_tick(struct fabric *fabric)
{
    bool are_known;

    if (!fabric_is_proactive(fabric) || !fabric_is_active(fabric))
        return;
    are_known = are_all_known(fabric);
    HASHMAP_FOREACH(node, &fabric->datapaths) {
        struct datapath *datapath = CONTAINER_OF(node, struct datapath, by_id);
        struct proactive_state *state = datapath->proactive;

        if (!datapath->channel || !state || state->groups_xid || fabric->now_ms < state->due_ms)
            continue;
        proactive_sync_link_ports(fabric, datapath);
        if (state->version != proactive_version(fabric) || (state->has_strangers && fabric->now_ms >= state->late_ms))
            proactive_sync_ways(fabric, datapath);
        state->is_synced = true;
        if (!state->are_hosts_put)
            state->are_hosts_put = proactive_put_more_hosts(fabric, datapath);
        if (state->are_hosts_put && datapath->is_reconciled && !state->is_swept && may_sweep(fabric, state, are_known) &&
            proactive_has_room(fabric, datapath))
            sweep(fabric, datapath);
    }
}

/* ---- coming and going ------------------------------------------------------------------------------------------------------------- */

void proactive_start(struct fabric *fabric, struct datapath *datapath)
{
    struct of_message request = {.kind = OF_MULTIPART_REQUEST, .multipart_request = {.type = OFMP_GROUP_DESC}};
    int64_t xid;

    if (!fabric_is_proactive(fabric))
        return;
    proactive_forget(datapath);
    datapath->proactive = calloc(1, sizeof(*datapath->proactive));
    if (!datapath->proactive)
        return;
    random_bytes(&datapath->proactive->epoch, sizeof(datapath->proactive->epoch));
    datapath->proactive->epoch = datapath->proactive->epoch % COOKIE_EPOCH + 1;
    datapath->proactive->slices = proactive_slices_digest(fabric->slices);
    proactive_number_of(fabric, datapath); /* Who was here first keeps it. */
    forget_entries(datapath);
    put_misses(fabric, datapath);
    xid = channel_send(datapath->channel, &request);
    datapath->proactive->groups_xid = xid > 0 ? (uint32_t)xid : 0;
    /* Until links are known, what an earlier controller's life wrote is better than what could be written now. */
    datapath->proactive->late_ms = fabric->now_ms + PROACTIVE_LATE_MS;
    datapath->proactive->due_ms = fabric->now_ms + fabric->options.settle_ms + fabric->options.probe_ms;
}

bool proactive_reply(struct fabric *fabric, struct datapath *datapath, const struct of_message *message)
{
    struct proactive_state *state = datapath->proactive;
    struct of_bytes list = message->multipart_reply.body;
    struct of_group_desc desc;

    if (state && state->sweep_xid && message->multipart_reply.type == OFMP_FLOW && message->xid == state->sweep_xid) {
        take_left_over(fabric, datapath, &message->multipart_reply);
        return true;
    }
    if (!state || message->multipart_reply.type != OFMP_GROUP_DESC || message->xid != state->groups_xid)
        return false;
    while (of_group_desc_next(datapath->version, &list, &desc) == 1) {
        struct next_hops *hops = proactive_is_our_group(desc.group_id) ? proactive_find_hops(state, desc.group_id) : NULL;

        if (hops)
            hops->is_there = true;
    }
    if (!(message->multipart_reply.flags & OFMPF_MORE))
        state->groups_xid = 0;
    return true;
}

void proactive_found(struct fabric *fabric, struct datapath *datapath, const struct of_flow_stats *stats)
{
    const uint32_t admission = OFM_IN_PORT | OFM_ETH_SRC | OFM_VLAN_VID;
    struct fabric_port *port = datapath_port(datapath, stats->match.in_port);
    struct proactive_state *state = datapath->proactive;
    uint64_t slices = stats->cookie & COOKIE_SLICES;
    struct ip_address address;
    struct host *host;
    bool has_address;

    if (!fabric_is_proactive(fabric)) {
        proactive_delete_found(fabric, datapath, stats); /* Of a life that was: nobody would keep it true. */
        return;
    }
    /* Slices are not what they were, or have other numbers: at once, what is written later is too late. */
    if (state && slices && slices != state->slices && slices != state->deleted) {
        proactive_delete_of_slices(fabric, datapath, slices);
        state->deleted = slices;
    }
    /* Who was admitted where, and with which addresses: that is what hosts there are. */
    if (stats->table_id != TABLE_ADMISSION || !port || !port->is_up || port->kind == PORT_LINK)
        return;
    if (stats->priority == PRIORITY_LINK && stats->match.fields == OFM_IN_PORT && !port->n_hosts && !port->is_bound) {
        /* What comes in there comes from a switch, which may not be connected yet. */
        port->linked_until_ms = fabric->now_ms + PROACTIVE_LATE_MS;
        port->kind = PORT_SETTLING;
        return;
    }
    has_address = carried_address(&stats->match, &address);
    if (stats->match.fields != admission && !has_address)
        return;
    host = host_at(fabric, port, &stats->match.eth_src, stats->match.vlan_vid == OF_NO_VLAN ? FRAME_NO_VLAN : stats->match.vlan_vid);
    if (host && has_address)
        host_assume_address(fabric, host, &address);
}

void proactive_forget(struct datapath *datapath)
{
    if (!datapath->proactive)
        return;
    HASHMAP_FOREACH(node, &datapath->proactive->next_hops) {
        hashmap_remove(&datapath->proactive->next_hops, node);
        free(CONTAINER_OF(node, struct next_hops, by_number));
    }
    hashmap_clear(&datapath->proactive->next_hops);
    free(datapath->proactive);
    datapath->proactive = NULL;
}
