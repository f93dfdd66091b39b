/* A path for each flow, and its entries in the switches along it.
 *
 * New: entries are sent from the last switch to the first, and the packet itself straight to the destination's port; what overtakes an entry comes up
 * again and is sent there too.  Order between switches does not matter then: no older entry can lead such a packet anywhere.
 *
 * Moved: it does matter, for old and new entries together could make a loop.  So first all entries of the new path but the first switch's, then a
 * barrier at each of these switches, and when all have answered the first switch's entry, and the old ones away (make before break). */
#include "weft/fabric/entries.h"

#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/fabric/slices.h"

#define FLOW_BURST_S 10
#define PORT_SHARE 8     /* Of the flows that are remembered, this part may begin at one port. */
#define REINSTALL_MS 500 /* Packets that come up later than that after the entries were sent show that one is gone. */

/* An entry that a flow has, by numbers: the port may be gone when it is deleted. */
struct place {
    uint64_t datapath_id;
    uint32_t in, out;
};

struct flow_change {
    struct flow_change *next;
    struct flow *flow;
    uint32_t generation; /* Of the flow when this was prepared: a later change wins. */
    size_t n_old;
    struct place old[];
};

struct flow_changes {
    struct fabric *fabric;
    struct flow_change *first;
    struct datapath **touched; /* Have new entries, and a barrier after them. */
    size_t n_touched, touched_capacity;
    size_t n_waiting;
};

/* ---- finding and making ------------------------------------------------------------------------------------------------------ */

static void make_key(const struct fabric *fabric, const struct fabric_frame *frame, struct flow_key *ret)
{
    struct flow_tuple *tuple = &ret->tuple;

    *ret = (struct flow_key){.tuple = frame->tuple, .vlan = frame->vlan};
    tuple->is_fragment = 0;
    if (fabric->n_old_switches && tuple->ethertype == ETHERTYPE_IPV6) {
        memset(&tuple->source, 0, sizeof(tuple->source));
        memset(&tuple->destination, 0, sizeof(tuple->destination));
        tuple->protocol = 0;
        tuple->source_port = tuple->destination_port = 0;
    } else if (tuple->ethertype == ETHERTYPE_ARP) {
        tuple->protocol = 0;
    }
}

struct flow *flow_find(const struct fabric *fabric, const struct flow_key *key)
{
    struct hashmap_node *node = hashmap_find(&fabric->flows, key, sizeof(*key));

    return node ? CONTAINER_OF(node, struct flow, by_key) : NULL;
}

void flow_hop(const struct flow *flow, const struct fabric_path *path, uint32_t index, struct fabric_port **ret_in, struct fabric_port **ret_out)
{
    *ret_in = index ? path->hops[index - 1].in : flow->in;
    *ret_out = index < path->n_hops ? path->hops[index].out : flow->out;
}

static void free_flow(struct fabric *fabric, struct flow *flow)
{
    if (!flow->n_changes)
        pool_give(&fabric->flow_pool, flow);
}

static void delete_at(struct fabric *fabric, const struct flow *flow, const struct place *place)
{
    struct datapath *datapath = datapath_find(fabric, place->datapath_id);
    struct of_match match;

    if (!datapath || !datapath->channel)
        return;
    entry_flow_match(datapath->version, &flow->key.tuple, flow->key.vlan, place->in, &match);
    entry_delete(fabric, datapath, &match, PRIORITY_FLOW);
}

static size_t places_of(const struct flow *flow, struct place *ret)
{
    for (uint32_t i = 0; i <= flow->path->n_hops; i++) {
        struct fabric_port *in, *out;

        flow_hop(flow, flow->path, i, &in, &out);
        ret[i] = (struct place){in->datapath->id, in->number, out->number};
    }
    return flow->path->n_hops + 1;
}

static void link_flow(struct flow **head, struct flow *flow, struct flow_link *link, size_t offset)
{
    link->next = *head;
    link->from = head;
    if (*head)
        ((struct flow_link *)(void *)((char *)*head + offset))->from = &link->next;
    *head = flow;
}

static void unlink_flow(struct flow_link *link, size_t offset)
{
    *link->from = link->next;
    if (link->next)
        ((struct flow_link *)(void *)((char *)link->next + offset))->from = link->from;
}

void flow_remove(struct fabric *fabric, struct flow *flow, bool in_switches)
{
    if (in_switches && fabric_is_active(fabric)) {
        struct place *places = malloc((flow->path->n_hops + 1) * sizeof(*places));
        size_t n = places ? places_of(flow, places) : 0;

        for (size_t i = 0; i < n; i++) /* From the first: what is on its way arrives. */
            delete_at(fabric, flow, &places[i]);
        free(places);
    }
    fabric->counters.flows_removed++;
    reconcile_skip(fabric, flow);
    hashmap_remove(&fabric->flows, &flow->by_key);
    ring_remove(&flow->of_age);
    path_leave(flow->path, &flow->of_path);
    flow->source->n_flows--;
    flow->destination->n_flows--;
    unlink_flow(&flow->of_source, offsetof(struct flow, of_source));
    unlink_flow(&flow->of_destination, offsetof(struct flow, of_destination));
    flow->in->n_flows--;
    flow->is_removed = true;
    free_flow(fabric, flow);
}

/* The key is not there; 'key_hash' is the map's. */
static struct flow *add_flow(struct fabric *fabric, const struct flow_key *key, uint32_t key_hash, struct host *source, struct host *destination,
                             struct fabric_port *in, struct fabric_port *out, struct fabric_path *path, uint32_t hash)
{
    struct flow *flow = pool_take(&fabric->flow_pool);

    if (!flow)
        return NULL;
    flow->key = *key;
    if (hashmap_insert_new(&fabric->flows, &flow->by_key, &flow->key, sizeof(flow->key), key_hash) < 0) {
        pool_give(&fabric->flow_pool, flow);
        return NULL;
    }
    if (fabric->flows.n_nodes > fabric->options.max_flows) {
        /* Its entries stay in the switches; only a failure would make it slower than others. */
        fabric_tell(fabric, FABRIC_FLOW_LIMIT, "there are %zu flows, as many as allowed: the oldest is forgotten", fabric->options.max_flows);
        path_hold(path);
        flow_remove(fabric, CONTAINER_OF(fabric->flows_by_age.next, struct flow, of_age), false);
        path->n_flows--; /* It is used in a moment. */
    }
    ring_append(&fabric->flows_by_age, &flow->of_age);
    path_use(path, &flow->of_path);
    flow->path = path;
    flow->source = source;
    flow->destination = destination;
    source->n_flows++;
    destination->n_flows++;
    link_flow(&source->flows_from, flow, &flow->of_source, offsetof(struct flow, of_source));
    link_flow(&destination->flows_to, flow, &flow->of_destination, offsetof(struct flow, of_destination));
    in->n_flows++;
    flow->serial = ++fabric->next_serial;
    flow->in = in;
    flow->out = out;
    flow->hash = hash;
    flow->created_s = (uint32_t)(fabric->now_ms / 1000);
    fabric->counters.flows_new++;
    return flow;
}

void flow_adopt(struct fabric *fabric, const struct flow_key *key, struct host *source, struct host *destination, struct fabric_port *in,
                struct fabric_port *out, struct fabric_path *path, uint32_t serial)
{
    uint32_t hash = flow_hash(&key->tuple, fabric->options.hash_seed, fabric->options.hash_symmetric);
    struct flow *flow = add_flow(fabric, key, hashmap_hash(key, sizeof(*key)), source, destination, in, out, path, hash);

    if (flow)
        flow->serial = serial;
}

/* ---- new flows ---------------------------------------------------------------------------------------------------------------------- */

static void install(struct fabric *fabric, struct flow *flow)
{
    struct of_match match;
    int version = 0;

    for (uint32_t i = flow->path->n_hops + 1; i-- > 0;) {
        struct fabric_port *in, *out;

        flow_hop(flow, flow->path, i, &in, &out);
        if ((int)in->datapath->version != version) {
            version = (int)in->datapath->version;
            entry_flow_match(in->datapath->version, &flow->key.tuple, flow->key.vlan, in->number, &match);
        }
        match.in_port = in->number;
        entry_put_flow(fabric, in->datapath, &match, out->number, i == 0, flow->serial);
    }
    flow->installed_ms = fabric->now_ms;
}

static struct fabric_path *choose_path(struct fabric *fabric, const struct fabric_port *in, const struct fabric_port *out, uint32_t hash)
{
    struct fabric_route *route = route_get(fabric, in->datapath->node, out->datapath->node);

    return route ? route_select(fabric, route, hash) : NULL;
}

/* May another flow begin at this port? */
static bool within_budget(struct fabric *fabric, struct fabric_port *port)
{
    uint64_t rate = fabric->options.flow_rate, earned = (fabric->now_ms - port->flow_refilled_ms) * rate / 1000;

    if (earned) {
        port->flow_tokens = (uint32_t)MIN(FLOW_BURST_S * rate, port->flow_tokens + earned);
        port->flow_refilled_ms = fabric->now_ms;
    }
    if (!port->flow_tokens || port->n_flows >= MAX((size_t)1, fabric->options.max_flows / PORT_SHARE))
        return false;
    port->flow_tokens--;
    return true;
}

void flows_prepare(const struct fabric *fabric, const struct fabric_frame *frame, struct flow_lookup *ret)
{
    make_key(fabric, frame, &ret->key);
    ret->hash = hashmap_hash(&ret->key, sizeof(ret->key));
    hashmap_prefetch(&fabric->flows, ret->hash);
}

void flows_packet(struct fabric *fabric, struct host *source, struct host *destination, const struct fabric_frame *frame,
                  const struct flow_lookup *lookup, const uint8_t *bytes, size_t size)
{
    struct hashmap_node *node;
    struct flow *flow;

    if (!slices_let_talk(fabric, source, destination)) {
        fabric_count_drop(fabric, FABRIC_DROP_SLICE);
        return;
    }
    if (source->port == destination->port) {
        fabric_count_drop(fabric, FABRIC_DROP_SAME_PORT);
        return;
    }
    if (frame->neighbor != NEIGHBOR_NONE) { /* A reply; these always come up, so that hosts are heard of. */
        port_send(fabric, destination->port, bytes, size);
        return;
    }
    if (fabric->options.install == FABRIC_PROACTIVE) { /* Its entries are on their way. */
        port_send(fabric, destination->port, bytes, size);
        return;
    }
    node = hashmap_find_hashed(&fabric->flows, &lookup->key, sizeof(lookup->key), lookup->hash);
    flow = node ? CONTAINER_OF(node, struct flow, by_key) : NULL;
    if (!flow) {
        uint32_t hash = flow_hash(&frame->tuple, fabric->options.hash_seed, fabric->options.hash_symmetric);
        struct fabric_path *path;

        if (!within_budget(fabric, source->port)) {
            fabric_count_drop(fabric, FABRIC_DROP_FLOW_BUDGET);
            return;
        }
        path = choose_path(fabric, source->port, destination->port, hash);

        flow = path ? add_flow(fabric, &lookup->key, lookup->hash, source, destination, source->port, destination->port, path, hash) : NULL;
        if (!flow) {
            fabric_count_drop(fabric, path ? FABRIC_DROP_NO_MEMORY : FABRIC_DROP_NO_PATH);
            return;
        }
        install(fabric, flow);
    } else if (fabric->now_ms - flow->installed_ms >= REINSTALL_MS && !flow->path->is_dead) {
        install(fabric, flow);
    }
    port_send(fabric, flow->out, bytes, size);
}

/* ---- flows that end in a switch ---------------------------------------------------------------------------------------------------------- */

void flows_removed(struct fabric *fabric, struct datapath *datapath, const struct of_flow_removed *removed)
{
    struct flow_key key = {.zero = 0};
    struct flow *flow;

    if (entry_kind_of(removed->cookie) != ENTRY_INGRESS || !entry_flow_tuple(&removed->match, &key.tuple, &key.vlan))
        return;
    flow = flow_find(fabric, &key);
    /* One that was deleted because the flow begins elsewhere, or anew, is not meant. */
    if (flow && flow->in->datapath == datapath && flow->in->number == removed->match.in_port &&
        flow->serial == entry_serial_of(removed->cookie))
        flow_remove(fabric, flow, false);
}

/* ---- flows that move ------------------------------------------------------------------------------------------------------------------------ */

static struct flow_changes *get_changes(struct fabric *fabric)
{
    if (!fabric->changes) {
        fabric->changes = calloc(1, sizeof(*fabric->changes));
        if (fabric->changes)
            fabric->changes->fabric = fabric;
    }
    return fabric->changes;
}

static void touch(struct flow_changes *changes, struct datapath *datapath)
{
    for (size_t i = 0; i < changes->n_touched; i++)
        if (changes->touched[i] == datapath)
            return;
    if (changes->n_touched == changes->touched_capacity) {
        size_t capacity = changes->touched_capacity ? 2 * changes->touched_capacity : 16;
        struct datapath **grown = realloc(changes->touched, capacity * sizeof(*grown));

        if (!grown)
            return; /* No barrier there: at worst some packets come up. */
        changes->touched = grown;
        changes->touched_capacity = capacity;
    }
    changes->touched[changes->n_touched++] = datapath;
}

static bool has_place(const struct flow_change *change, const struct place *place, bool with_out)
{
    for (size_t i = 0; i < change->n_old; i++)
        if (change->old[i].datapath_id == place->datapath_id && change->old[i].in == place->in &&
            (!with_out || change->old[i].out == place->out))
            return true;
    return false;
}

static void put_at(struct fabric *fabric, struct flow *flow, const struct place *place, bool is_ingress)
{
    struct datapath *datapath = datapath_find(fabric, place->datapath_id);
    struct of_match match;

    if (!datapath || !datapath->channel)
        return;
    entry_flow_match(datapath->version, &flow->key.tuple, flow->key.vlan, place->in, &match);
    entry_put_flow(fabric, datapath, &match, place->out, is_ingress, flow->serial);
}

/* Gives a flow another path and other ends, and sends what may be sent before the barriers.  Returns false, with nothing changed,
 * when memory is out. */
static bool move(struct fabric *fabric, struct flow *flow, struct fabric_path *path, struct fabric_port *in, struct fabric_port *out)
{
    struct flow_changes *changes = get_changes(fabric);
    struct flow_change *change = malloc(sizeof(*change) + (flow->path->n_hops + 1) * sizeof(*change->old));

    if (!changes || !change) {
        free(change);
        return false;
    }
    change->flow = flow;
    change->n_old = places_of(flow, change->old);
    path_leave(flow->path, &flow->of_path);
    path_use(path, &flow->of_path);
    flow->path = path;
    flow->in->n_flows--;
    in->n_flows++;
    flow->in = in;
    flow->out = out;
    change->generation = ++flow->generation;
    flow->n_changes++;
    flow->installed_ms = fabric->now_ms;
    for (uint32_t i = path->n_hops; i > 0; i--) {
        struct fabric_port *at, *to;
        struct place place;

        flow_hop(flow, path, i, &at, &to);
        place = (struct place){at->datapath->id, at->number, to->number};
        if (has_place(change, &place, true))
            continue;
        put_at(fabric, flow, &place, false);
        touch(changes, at->datapath);
    }
    change->next = changes->first;
    changes->first = change;
    return true;
}

/* Everything behind its first switch is in place. */
static void finish_change(struct fabric *fabric, struct flow_change *change)
{
    struct flow *flow = change->flow;
    size_t n_new = flow->is_removed ? 0 : flow->path->n_hops + 1;
    struct place *places = n_new ? malloc(n_new * sizeof(*places)) : NULL;

    if (places)
        places_of(flow, places);
    if (places && change->generation == flow->generation && !has_place(change, &places[0], true)) {
        flow->serial = ++fabric->next_serial;
        put_at(fabric, flow, &places[0], true);
    }
    if (places || flow->is_removed) {
        for (size_t i = 0; i < change->n_old; i++) {
            bool is_kept = false; /* The new path overwrote it, or goes through it. */

            for (size_t k = 0; k < n_new && !is_kept; k++)
                is_kept = places[k].datapath_id == change->old[i].datapath_id && places[k].in == change->old[i].in;
            if (!is_kept)
                delete_at(fabric, flow, &change->old[i]);
        }
    }
    free(places);
}

static void finish(struct flow_changes *changes)
{
    struct flow_change *next;

    for (struct flow_change *change = changes->first; change; change = next) {
        next = change->next;
        finish_change(changes->fabric, change);
        if (!--change->flow->n_changes && change->flow->is_removed)
            pool_give(&changes->fabric->flow_pool, change->flow);
        free(change);
    }
    free(changes->touched);
    free(changes);
}

static void barrier_done(void *context, bool is_done)
{
    struct flow_changes *changes = context;

    if (!--changes->n_waiting)
        finish(changes);
}

void flows_commit(struct fabric *fabric)
{
    struct flow_changes *changes = fabric->changes;

    if (fabric->n_moved)
        fabric_tell(fabric, FABRIC_FLOWS_REROUTED, "%zu flows were given other paths", fabric->n_moved);
    if (fabric->n_stranded)
        fabric_tell(fabric, FABRIC_FLOWS_STRANDED, "%zu flows were removed, no path is left for them", fabric->n_stranded);
    fabric->n_moved = fabric->n_stranded = 0;
    if (!changes)
        return;
    fabric->changes = NULL;
    changes->n_waiting = 1; /* This function. */
    for (size_t i = 0; i < changes->n_touched; i++)
        if (changes->touched[i]->channel && channel_barrier(changes->touched[i]->channel, barrier_done, changes) == 0)
            changes->n_waiting++;
    barrier_done(changes, true);
}

static bool has_away(const struct fabric_path *path)
{
    for (uint32_t i = 0; i < path->n_hops; i++)
        if (!path->hops[i].out->datapath->channel || !path->hops[i].in->datapath->channel)
            return true;
    return false;
}

static void move_or_remove(struct fabric *fabric, struct flow *flow, struct fabric_port *in, struct fabric_port *out)
{
    struct fabric_path *path = choose_path(fabric, in, out, flow->hash);

    if (path && path == flow->path && in == flow->in && out == flow->out)
        return;
    if (path && in != out && move(fabric, flow, path, in, out)) {
        fabric->counters.flows_rerouted++;
        fabric->n_moved++;
    } else if (!path && in == flow->in && out == flow->out && has_away(flow->path)) {
        /* A switch whose connection is lost may forward on: what has no other way is left as it is. */
        flow->path->route->is_stranded = fabric->has_stranded = true;
    } else {
        fabric->n_stranded++;
        flow_remove(fabric, flow, true);
    }
}

/* Has a switch along the path more to read than is good?  Then the rest has to wait. */
static bool is_congested(const struct fabric *fabric, const struct flow *flow)
{
    for (uint32_t i = 0; i <= flow->path->n_hops; i++) {
        struct fabric_port *in, *out;

        flow_hop(flow, flow->path, i, &in, &out);
        if (in->datapath->channel && channel_output(in->datapath->channel)->size > fabric->options.output_max / 2)
            return true;
    }
    return false;
}

bool flows_move(struct fabric *fabric, struct fabric_path *path)
{
    bool is_whole = true;

    if (!fabric_is_active(fabric))
        return true;
    path_hold(path);
    RING_FOREACH(element, &path->flows) {
        struct flow *flow = CONTAINER_OF(element, struct flow, of_path);

        is_whole = !is_congested(fabric, flow);
        if (!is_whole)
            break;
        move_or_remove(fabric, flow, flow->in, flow->out);
    }
    path_release(path);
    return is_whole;
}

static void flow_of_host(struct fabric *fabric, struct flow *flow, bool is_gone)
{
    if (is_gone)
        flow_remove(fabric, flow, true);
    else
        move_or_remove(fabric, flow, flow->source->port, flow->destination->port);
}

void flows_of_host(struct fabric *fabric, struct host *host, bool is_gone)
{
    struct flow *next;

    for (struct flow *flow = host->flows_from; flow; flow = next) {
        next = flow->of_source.next;
        flow_of_host(fabric, flow, is_gone);
    }
    for (struct flow *flow = host->flows_to; flow; flow = next) {
        next = flow->of_destination.next;
        flow_of_host(fabric, flow, is_gone);
    }
    flows_commit(fabric);
}

void flows_recheck_slices(struct fabric *fabric)
{
    RING_FOREACH(element, &fabric->flows_by_age) {
        struct flow *flow = CONTAINER_OF(element, struct flow, of_age);

        if (!slices_let_talk(fabric, flow->source, flow->destination))
            flow_remove(fabric, flow, true);
    }
}

/* ---- ends -------------------------------------------------------------------------------------------------------------------------------- */

static bool path_has_port(const struct fabric_path *path, const struct fabric_port *port)
{
    for (uint32_t i = 0; i < path->n_hops; i++)
        if (path->hops[i].in == port || path->hops[i].out == port)
            return true;
    return false;
}

/* Its hosts and arcs are gone, and with them all flows but those that were left on paths through switches that are away. */
void flows_forget_port(struct fabric *fabric, const struct fabric_port *port)
{
    if (!fabric->has_stranded)
        return;
    RING_FOREACH(element, &fabric->flows_by_age) {
        struct flow *flow = CONTAINER_OF(element, struct flow, of_age);

        if (flow->path->is_dead && path_has_port(flow->path, port))
            flow_remove(fabric, flow, true);
    }
}

void flows_clear(struct fabric *fabric)
{
    RING_FOREACH(element, &fabric->flows_by_age)
        flow_remove(fabric, CONTAINER_OF(element, struct flow, of_age), false);
    hashmap_clear(&fabric->flows);
    pool_clear(&fabric->flow_pool);
}
