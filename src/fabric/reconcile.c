/* A switch that comes back, or that another controller's life left entries in: what it holds against what it should.
 *
 * Its flow entries are asked for.  Ours (by the cookie) that belong to a known flow stay; what a known flow lacks is put there; the others wait until the
 * topology has settled.  Then entries of one flow at several switches are put together: where they lead from a host to a host along links, the flow is
 * taken over with the path that it has, and no packet of it notices; what leads nowhere is deleted.  Entries of others are not touched. */
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/fabric/entries.h"
#include "weft/fabric/proactive.h"

#define ADOPT_AFTER_MS 1000  /* After the last switch answered, and then every */
#define ADOPT_AGAIN_MS 2000
#define FOUND_KEPT_MS 60000  /* Some switches may come late. */
#define FOUND_MAX 2000000
#define FOUND_SWITCH_MAX 500000 /* Of one switch. */
#define RESYNC_STEP 20000       /* Flows looked at in a row. */

/* An entry that no known flow has. */
struct found_entry {
    struct found_entry *next;     /* Of the same flow. */
    uint64_t datapath_id;
    uint32_t in, out, serial;
};

struct found_flow {
    struct hashmap_node by_key;
    struct flow_key key;
    struct found_entry *entries;
    uint64_t found_ms;
};

/* ---- asking ---------------------------------------------------------------------------------------------------------------------- */

void reconcile_start(struct fabric *fabric, struct datapath *datapath)
{
    struct of_message request = {.kind = OF_MULTIPART_REQUEST};
    int64_t xid;

    request.multipart_request = (struct of_multipart_request){
        .type = OFMP_FLOW,
        .flow = {.table_id = OF_ALL_TABLES, .out_port = OFPP_ANY, .out_group = OFPG_ANY},
    };
    if (datapath->version != OF10) { /* Which cannot ask by cookie. */
        request.multipart_request.flow.cookie = COOKIE_OURS;
        request.multipart_request.flow.cookie_mask = COOKIE_MASK;
    }
    xid = datapath->channel ? channel_send(datapath->channel, &request) : -1;
    datapath->dump_xid = xid > 0 ? (uint32_t)xid : 0;
    datapath->dump_mark = ++fabric->next_mark;
    datapath->n_found = 0;
}

void reconcile_forget(struct datapath *datapath)
{
    datapath->dump_xid = 0;
    datapath->is_reconciled = false;
    ring_remove(&datapath->of_resync);
}

/* ---- what was found ---------------------------------------------------------------------------------------------------------------- */

static bool output_of(enum of_version version, const struct of_instructions *instructions, uint32_t *ret_port)
{
    struct of_bytes list = instructions->apply_actions;
    struct of_action action;

    if (of_action_next(version, &list, &action) != 1 || action.kind != OFA_OUTPUT || list.size)
        return false;
    *ret_port = action.port;
    return true;
}

static void remember(struct fabric *fabric, struct datapath *datapath, const struct flow_key *key, uint32_t in, uint32_t out, uint32_t serial)
{
    struct hashmap_node *node = hashmap_find(&fabric->found, key, sizeof(*key));
    struct found_flow *flow = node ? CONTAINER_OF(node, struct found_flow, by_key) : NULL;
    struct found_entry *entry;

    if (fabric->n_found >= FOUND_MAX || datapath->n_found >= FOUND_SWITCH_MAX)
        return;
    if (!flow) {
        flow = calloc(1, sizeof(*flow));
        if (!flow)
            return;
        flow->key = *key;
        flow->found_ms = fabric->now_ms;
        if (hashmap_insert(&fabric->found, &flow->by_key, &flow->key, sizeof(flow->key)) < 0) {
            free(flow);
            return;
        }
    }
    entry = calloc(1, sizeof(*entry));
    if (!entry)
        return;
    entry->datapath_id = datapath->id;
    entry->in = in;
    entry->out = out;
    entry->serial = serial;
    datapath->n_found++;
    entry->next = flow->entries;
    flow->entries = entry;
    fabric->n_found++;
}

/* Does the flow go through here like that? */
static bool has_hop(const struct flow *flow, const struct datapath *datapath, uint32_t in, uint32_t out)
{
    for (uint32_t i = 0; i <= flow->path->n_hops; i++) {
        struct fabric_port *at, *to;

        flow_hop(flow, flow->path, i, &at, &to);
        if (at->datapath == datapath && at->number == in && to->number == out)
            return true;
    }
    return false;
}

static bool has_hop_at(const struct flow *flow, const struct datapath *datapath, uint32_t in)
{
    for (uint32_t i = 0; i <= flow->path->n_hops; i++) {
        struct fabric_port *at, *to;

        flow_hop(flow, flow->path, i, &at, &to);
        if (at->datapath == datapath && at->number == in)
            return true;
    }
    return false;
}

static void take_entry(struct fabric *fabric, struct datapath *datapath, const struct of_flow_stats *stats)
{
    enum entry_kind kind = entry_kind_of(stats->cookie);
    struct flow_key key = {.zero = 0};
    struct flow *flow;
    uint32_t out;

    if (kind == ENTRY_PROACTIVE)
        proactive_found(fabric, datapath, stats);
    if ((kind != ENTRY_INGRESS && kind != ENTRY_TRANSIT) || !entry_flow_tuple(&stats->match, &key.tuple, &key.vlan) ||
        !output_of(datapath->version, &stats->instructions, &out))
        return;
    flow = flow_find(fabric, &key);
    if (!flow)
        remember(fabric, datapath, &key, stats->match.in_port, out, entry_serial_of(stats->cookie));
    else if (has_hop(flow, datapath, stats->match.in_port, out))
        flow->dump_mark = datapath->dump_mark;
    else if (!has_hop_at(flow, datapath, stats->match.in_port)) /* Else it is overwritten. */
        entry_delete(fabric, datapath, &stats->match, PRIORITY_FLOW);
}

/* The entry that a known flow should have here, and that the switch did not show. */
static void put_missing(struct fabric *fabric, struct datapath *datapath, struct flow *flow)
{
    for (uint32_t i = 0; i <= flow->path->n_hops; i++) {
        struct fabric_port *in, *out;
        struct of_match match;

        flow_hop(flow, flow->path, i, &in, &out);
        if (in->datapath != datapath)
            continue;
        entry_flow_match(datapath->version, &flow->key.tuple, flow->key.vlan, in->number, &match);
        entry_put_flow(fabric, datapath, &match, out->number, i == 0, flow->serial);
    }
}

/* A stretch of the flows at a time, and no faster than the switch reads. */
static void resync(struct fabric *fabric, struct datapath *datapath)
{
    for (unsigned i = 0; i < RESYNC_STEP && datapath->resync_next != &fabric->flows_by_age; i++) {
        struct flow *flow = CONTAINER_OF(datapath->resync_next, struct flow, of_age);

        if (!datapath->channel || channel_output(datapath->channel)->size > fabric->options.output_max / 8)
            return;
        datapath->resync_next = flow->of_age.next;
        if (flow->dump_mark != datapath->dump_mark) /* Also on a path that waits for this switch's links. */
            put_missing(fabric, datapath, flow);
    }
    if (datapath->resync_next == &fabric->flows_by_age)
        ring_remove(&datapath->of_resync);
}

void reconcile_skip(struct fabric *fabric, const struct flow *flow)
{
    RING_FOREACH(element, &fabric->resyncing) {
        struct datapath *datapath = CONTAINER_OF(element, struct datapath, of_resync);

        if (datapath->resync_next == &flow->of_age)
            datapath->resync_next = flow->of_age.next;
    }
}

void reconcile_reply(struct fabric *fabric, struct datapath *datapath, const struct of_message *message)
{
    struct of_bytes list = message->multipart_reply.body;
    struct of_flow_stats stats;

    if (message->multipart_reply.type != OFMP_FLOW || message->xid != datapath->dump_xid || !datapath->dump_xid) {
        if (!proactive_reply(fabric, datapath, message))
            statistics_reply(fabric, datapath, message);
        return;
    }
    while (of_flow_stats_next(datapath->version, &list, &stats) == 1)
        take_entry(fabric, datapath, &stats);
    if (message->multipart_reply.flags & OFMPF_MORE)
        return;
    datapath->dump_xid = 0;
    datapath->is_reconciled = true;
    datapath->resync_next = fabric->flows_by_age.next;
    ring_remove(&datapath->of_resync);
    ring_append(&fabric->resyncing, &datapath->of_resync);
    resync(fabric, datapath);
    fabric->adopt_ms = fabric->now_ms + ADOPT_AFTER_MS;
}

/* ---- putting flows together ------------------------------------------------------------------------------------------------------------ */

static struct found_entry *entry_at(const struct found_flow *found, const struct fabric_port *in)
{
    for (struct found_entry *entry = found->entries; entry; entry = entry->next)
        if (entry->datapath_id == in->datapath->id && entry->in == in->number)
            return entry;
    return NULL;
}

static struct fabric_port *port_of(const struct fabric *fabric, uint64_t datapath_id, uint32_t number)
{
    struct datapath *datapath = datapath_find(fabric, datapath_id);

    return datapath ? datapath_port(datapath, number) : NULL;
}

#define ADOPTED_HOPS_MAX 64

/* From the entry at a host's port along the links to a host's port. */
static bool adopt(struct fabric *fabric, const struct found_flow *found)
{
    uint32_t arcs[ADOPTED_HOPS_MAX];
    size_t n_arcs = 0;
    uint32_t serial = 0;
    struct fabric_port *in = NULL, *at, *out = NULL;
    struct host *source, *destination;
    struct fabric_path *path;
    struct fabric_route *route;

    for (struct found_entry *entry = found->entries; entry && !in; entry = entry->next) {
        in = port_of(fabric, entry->datapath_id, entry->in);
        serial = entry->serial;
        if (in && !port_is_edge(in))
            in = NULL;
    }
    for (at = in; at && n_arcs < ADOPTED_HOPS_MAX; at = out->neighbor) {
        struct found_entry *entry = entry_at(found, at);

        out = entry ? port_of(fabric, entry->datapath_id, entry->out) : NULL;
        if (!out)
            return false;
        if (out->arc == GRAPH_NONE)
            break;
        arcs[n_arcs++] = out->arc;
    }
    if (!in || !out || !port_is_edge(out))
        return false;
    source = host_at(fabric, in, &found->key.tuple.source_mac, found->key.vlan);
    destination = host_at(fabric, out, &found->key.tuple.destination_mac, found->key.vlan);
    if (!source || !destination || !slices_let_talk(fabric, source, destination))
        return false;
    route = route_get(fabric, in->datapath->node, out->datapath->node);
    path = route ? route_path(fabric, route, arcs, n_arcs) : NULL;
    if (!path)
        return false;
    flow_adopt(fabric, &found->key, source, destination, in, out, path, serial);
    return true;
}

static void delete_found(struct fabric *fabric, const struct found_flow *found)
{
    for (struct found_entry *entry = found->entries; entry; entry = entry->next) {
        struct datapath *datapath = datapath_find(fabric, entry->datapath_id);
        struct flow *flow = flow_find(fabric, &found->key);
        struct of_match match;

        if (!datapath || !datapath->channel || (flow && has_hop(flow, datapath, entry->in, entry->out)))
            continue;
        entry_flow_match(datapath->version, &found->key.tuple, found->key.vlan, entry->in, &match);
        entry_delete(fabric, datapath, &match, PRIORITY_FLOW);
    }
}

static void free_found(struct found_flow *found)
{
    struct found_entry *next;

    for (struct found_entry *entry = found->entries; entry; entry = next) {
        next = entry->next;
        free(entry);
    }
    free(found);
}

/* Its hosts are known, and may not talk. */
static bool is_forbidden(const struct fabric *fabric, const struct found_flow *found)
{
    const struct host *source = host_find(fabric, &found->key.tuple.source_mac, found->key.vlan);
    const struct host *destination = host_find(fabric, &found->key.tuple.destination_mac, found->key.vlan);

    return source && destination && !slices_let_talk(fabric, source, destination);
}

/* Leads out of a port that is down: better that its packets come up. */
static bool is_broken(const struct fabric *fabric, const struct found_flow *found)
{
    for (const struct found_entry *entry = found->entries; entry; entry = entry->next) {
        struct fabric_port *out = port_of(fabric, entry->datapath_id, entry->out);

        if (out && !out->is_up && out->datapath->channel)
            return true;
    }
    return false;
}

void reconcile_tick(struct fabric *fabric)
{
    size_t n_adopted = 0, n_deleted = 0;

    RING_FOREACH(element, &fabric->resyncing)
        resync(fabric, CONTAINER_OF(element, struct datapath, of_resync));
    if (!fabric->found.n_nodes || fabric->now_ms < fabric->adopt_ms || !fabric_is_active(fabric))
        return;
    fabric->adopt_ms = fabric->now_ms + ADOPT_AGAIN_MS;
    HASHMAP_FOREACH(node, &fabric->found) {
        struct found_flow *found = CONTAINER_OF(node, struct found_flow, by_key);

        if (!flow_find(fabric, &found->key) && adopt(fabric, found))
            n_adopted++;
        else if (flow_find(fabric, &found->key) || is_broken(fabric, found) || is_forbidden(fabric, found) ||
                 fabric->now_ms - found->found_ms >= FOUND_KEPT_MS)
            n_deleted++;
        else
            continue;
        delete_found(fabric, found); /* But for what the flow uses. */
        for (const struct found_entry *entry = found->entries; entry; entry = entry->next)
            fabric->n_found--;
        hashmap_remove(&fabric->found, node);
        free_found(found);
    }
    if (n_adopted || n_deleted)
        fabric_tell(fabric, FABRIC_FLOWS_ADOPTED, "%zu flows found in switches were taken over, %zu led nowhere and were deleted", n_adopted,
                    n_deleted);
}

void reconcile_clear(struct fabric *fabric)
{
    HASHMAP_FOREACH(node, &fabric->found) {
        hashmap_remove(&fabric->found, node);
        free_found(CONTAINER_OF(node, struct found_flow, by_key));
    }
    hashmap_clear(&fabric->found);
}
