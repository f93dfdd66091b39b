/* Links: each port sends a discovery frame; where it comes in is the other end.  A link counts while both directions are heard.
 *
 * Times: on links every probe_ms, dead after link_dead_ms of silence; elsewhere every idle_probe_ms, and at once when a port comes up.  Until settle_ms
 * after that nothing else of the port is believed: what looks like a host could be a switch's broadcast.  A link that falls
 * silent while its port stays up is suspect, not a host's port: frames may still cross it. */
#include <errno.h>
#include <stdlib.h>

#include "weft/base/util.h"
#include "weft/fabric/lldp.h"
#include "weft/fabric/state.h"

#define MOVES_MAX 4           /* Changes of neighbor within MOVES_WINDOW_MS: several switches on one wire. */
#define MOVES_WINDOW_MS 10000

bool port_is_edge(const struct fabric_port *port)
{
    return port->is_up && port->kind == PORT_HOST;
}

/* ---- arcs -------------------------------------------------------------------------------------------------------------------- */

static int reserve_arc(struct fabric *fabric, uint32_t arc)
{
    size_t capacity = MAX((size_t)64, fabric->arcs_capacity);
    struct arc_state **grown;

    if (arc < fabric->arcs_capacity)
        return 0;
    while (capacity <= arc)
        capacity *= 2;
    grown = realloc(fabric->arcs, capacity * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    for (size_t i = fabric->arcs_capacity; i < capacity; i++)
        grown[i] = NULL;
    fabric->arcs = grown;
    fabric->arcs_capacity = capacity;
    return 0;
}

static int remember_arc(struct fabric *fabric, uint32_t arc, struct fabric_port *from)
{
    if (reserve_arc(fabric, arc) < 0 || !(fabric->arcs[arc] = calloc(1, sizeof(**fabric->arcs))))
        return -ENOMEM;
    fabric->arcs[arc]->from = from;
    ring_init(&fabric->arcs[arc]->paths);
    return 0;
}

static void add_arc(struct fabric *fabric, struct fabric_port *from)
{
    uint32_t arc;

    if (graph_add_ranked_arc(fabric->graph, from->datapath->node, from->neighbor->datapath->node, from->weight, from->number, &arc) < 0)
        return;
    if (remember_arc(fabric, arc, from) < 0) {
        graph_remove_arc(fabric->graph, arc);
        return;
    }
    from->arc = arc;
    routes_arc_added(fabric, arc, from);
}

static void remove_arc(struct fabric *fabric, struct fabric_port *from)
{
    uint32_t arc = from->arc, ends[2], weight;

    if (arc == GRAPH_NONE)
        return;
    ends[0] = graph_from(fabric->graph, arc);
    ends[1] = graph_to(fabric->graph, arc);
    weight = graph_weight(fabric->graph, arc);
    from->arc = GRAPH_NONE;
    graph_remove_arc(fabric->graph, arc);
    routes_arc_removed(fabric, arc, ends[0], ends[1], weight);
    free(fabric->arcs[arc]);
    fabric->arcs[arc] = NULL;
}

/* ---- links that were ------------------------------------------------------------------------------------------------------------ */

static void set_former(struct fabric_port *port, const struct fabric_port *other)
{
    port->former_id = other->datapath->id;
    port->former_number = other->number;
}

void discovery_remember_links(struct fabric *fabric, struct datapath *datapath)
{
    for (size_t i = 0; i < datapath->n_ports; i++) {
        struct fabric_port *port = datapath->ports[i];

        if (port->arc == GRAPH_NONE)
            continue;
        set_former(port, port->neighbor);
        set_former(port->neighbor, port);
        fabric->n_former++;
    }
}

void discovery_forget_link(struct fabric *fabric, struct fabric_port *port)
{
    if (!port->former_number)
        return;
    port->former_number = 0;
    fabric->n_former++;
}

struct fabric_port *discovery_former_end(const struct fabric *fabric, const struct fabric_port *port)
{
    const struct datapath *datapath = port->former_number ? datapath_find(fabric, port->former_id) : NULL;
    struct fabric_port *end = datapath ? datapath_port(datapath, port->former_number) : NULL;

    return end && end->former_number == port->number && end->former_id == port->datapath->id ? end : NULL;
}

bool discovery_is_back(const struct fabric *fabric, const struct datapath *datapath)
{
    const struct fabric_options *o = &fabric->options;

    return datapath->channel && fabric->now_ms - datapath->up_ms >= o->settle_ms + o->probe_ms + o->link_dead_ms;
}

/* Is it one no more?  Then it was not heard for as long as it takes, or its other end is not known to be one. */
static bool is_former_over(const struct fabric *fabric, const struct fabric_port *port)
{
    const struct fabric_port *end = discovery_former_end(fabric, port);

    return !end || (discovery_is_back(fabric, end->datapath) && discovery_is_back(fabric, port->datapath));
}

/* ---- arcs -------------------------------------------------------------------------------------------------------------------- */

static bool is_heard(const struct fabric *fabric, const struct fabric_port *port)
{
    return port->neighbor && fabric->now_ms - port->heard_ms < fabric->options.link_dead_ms;
}

/* Both ends hear each other: '*a' and its neighbor. */
static void link_up(struct fabric *fabric, struct fabric_port *a)
{
    struct fabric_port *b = a->neighbor;
    char a_text[PORT_TEXT_SIZE], b_text[PORT_TEXT_SIZE];

    if (a->arc != GRAPH_NONE || b->neighbor != a || !is_heard(fabric, b) || a->datapath == b->datapath)
        return;
    add_arc(fabric, a);
    add_arc(fabric, b);
    if (a->arc == GRAPH_NONE || b->arc == GRAPH_NONE) {
        remove_arc(fabric, a);
        remove_arc(fabric, b);
        return;
    }
    discovery_forget_link(fabric, a);
    discovery_forget_link(fabric, b);
    fabric_tell(fabric, FABRIC_LINK_UP, "link %s - %s: up", port_text(a, a_text), port_text(b, b_text));
}

static void link_down(struct fabric *fabric, struct fabric_port *a, const char *why)
{
    struct fabric_port *b = a->neighbor;
    char a_text[PORT_TEXT_SIZE], b_text[PORT_TEXT_SIZE];

    if (a->arc == GRAPH_NONE)
        return;
    remove_arc(fabric, a);
    remove_arc(fabric, b);
    fabric_tell(fabric, FABRIC_LINK_DOWN, "link %s - %s: down, %s", port_text(a, a_text), port_text(b, b_text), why);
}

/* ---- ports ---------------------------------------------------------------------------------------------------------------------- */

void discovery_port_up(struct fabric *fabric, struct fabric_port *port)
{
    /* Hosts are known here where only the switch's connection was lost. */
    port->kind = port->n_hosts ? PORT_HOST : PORT_SETTLING;
    port->settles_ms = fabric->now_ms + fabric->options.settle_ms;
    port->probe_due_ms = fabric->now_ms;
}

static void forget_neighbor(struct fabric_port *port)
{
    ring_remove(&port->of_neighbor);
    port->neighbor = NULL;
}

void discovery_port_down(struct fabric *fabric, struct fabric_port *port)
{
    link_down(fabric, port, "a port went down");
    forget_neighbor(port);
    port->kind = PORT_SETTLING;
    /* Who hears it has not gone down, perhaps; but nobody is there. */
    RING_FOREACH(element, &port->listeners) {
        struct fabric_port *listener = CONTAINER_OF(element, struct fabric_port, of_neighbor);

        link_down(fabric, listener, "the other end went down");
        forget_neighbor(listener);
        if (listener->is_up)
            listener->kind = PORT_SUSPECT;
    }
}

/* Several switches take turns at this port: there is a hub between them, which no path can go through. */
static bool is_restless(struct fabric *fabric, struct fabric_port *port)
{
    if (fabric->now_ms - port->moved_ms > MOVES_WINDOW_MS) {
        port->moved_ms = fabric->now_ms;
        port->n_moves = 0;
    }
    return ++port->n_moves > MOVES_MAX;
}

static void set_neighbor(struct fabric *fabric, struct fabric_port *port, struct fabric_port *neighbor)
{
    char text[PORT_TEXT_SIZE];

    if (port->kind == PORT_SUSPECT && port->n_moves > MOVES_MAX && fabric->now_ms - port->moved_ms <= MOVES_WINDOW_MS)
        return;
    if (port->neighbor && port->neighbor != neighbor) {
        link_down(fabric, port, "another switch answers there now");
        if (is_restless(fabric, port)) {
            forget_neighbor(port);
            port->kind = PORT_SUSPECT;
            return;
        }
    }
    if (neighbor == port) {
        fabric_tell(fabric, FABRIC_LLDP_FORGED, "port %s: its own discovery frame came back", port_text(port, text));
        if (!port->n_hosts && !port->is_bound)
            port->kind = PORT_SUSPECT;
        return;
    }
    hosts_forget_assumed(fabric, port);
    if (port->is_bound || port->n_hosts) {
        /* Hosts were seen here, and the port has not gone down since, as it would when a cable is moved. */
        fabric_tell(fabric, FABRIC_LLDP_ON_HOST_PORT, "port %s: a discovery frame came from where hosts are, relayed by one of them",
                    port_text(port, text));
        hosts_doubt(fabric, port);
        return;
    }
    if (port->neighbor != neighbor) {
        forget_neighbor(port);
        port->neighbor = neighbor;
        ring_append(&neighbor->listeners, &port->of_neighbor);
    }
    if (port->former_number && discovery_former_end(fabric, port) != neighbor)
        discovery_forget_link(fabric, port);
    port->heard_ms = fabric->now_ms;
    port->kind = PORT_LINK;
    port->probe_due_ms = MIN(port->probe_due_ms, fabric->now_ms + fabric->options.probe_ms);
    /* So that the other direction is known at once. */
    if (neighbor->neighbor != port)
        port->probe_due_ms = fabric->now_ms;
    link_up(fabric, port);
}

/* Is it one that we, or a controller with our key, sent lately? */
static bool is_fresh(struct fabric *fabric, struct fabric_port *port, const struct lldp *lldp)
{
    if (lldp->controller_id == fabric->options.controller_id)
        return lldp->sequence <= fabric->now_ms && fabric->now_ms - lldp->sequence <= fabric->options.link_dead_ms;
    if (lldp->sequence <= port->heard_sequence)
        return false;
    port->heard_sequence = lldp->sequence;
    fabric->peer_heard_ms = fabric->now_ms;
    return true;
}

void discovery_frame(struct fabric *fabric, struct fabric_port *port, const uint8_t *bytes, size_t size)
{
    struct datapath *sender;
    struct fabric_port *neighbor;
    struct lldp lldp;
    char text[PORT_TEXT_SIZE];
    int result = lldp_parse(bytes, size, fabric->options.lldp_key, &lldp);

    if (result == -ENOENT)
        return; /* A host's own LLDP: goes no further, as for any bridge. */
    if (result < 0 || !is_fresh(fabric, port, &lldp)) {
        fabric_tell(fabric, FABRIC_LLDP_FORGED, "port %s: a discovery frame %s", port_text(port, text),
                    result == -EACCES ? "under another key" : result < 0 ? "that is malformed" : "that was kept");
        return;
    }
    sender = datapath_find(fabric, lldp.datapath_id);
    neighbor = sender ? datapath_port(sender, lldp.port) : NULL;
    if (!neighbor || !port->is_up || !neighbor->is_up || !sender->channel)
        return; /* Went down meanwhile. */
    set_neighbor(fabric, port, neighbor);
}

/* ---- time ------------------------------------------------------------------------------------------------------------------------ */

static void probe(struct fabric *fabric, struct fabric_port *port)
{
    struct lldp lldp = {fabric->options.controller_id, port->datapath->id, fabric->now_ms, port->number};
    uint8_t frame[LLDP_FRAME_MAX];

    port_send(fabric, port, frame, lldp_format(&lldp, &port->mac, fabric->options.lldp_key, frame));
    port->probe_due_ms = fabric->now_ms + (port->kind == PORT_HOST ? fabric->options.idle_probe_ms : fabric->options.probe_ms);
}

/* Silence tells that hosts are behind a port only while somebody sends discovery frames: this controller, or the one that it stands by for. */
static bool is_settled(const struct fabric *fabric, const struct fabric_port *port)
{
    bool is_probed = fabric_is_active(fabric) ||
                     (fabric->peer_heard_ms && fabric->now_ms - fabric->peer_heard_ms < fabric->options.link_dead_ms);

    return is_probed && fabric->now_ms >= port->settles_ms && fabric->now_ms >= port->linked_until_ms && !port->former_number;
}

static void tick_port(struct fabric *fabric, struct fabric_port *port)
{
    if (!port->is_up)
        return;
    if (port->former_number && is_former_over(fabric, port))
        discovery_forget_link(fabric, port);
    if (port->neighbor && !is_heard(fabric, port)) {
        link_down(fabric, port, "nothing was heard over it");
        forget_neighbor(port);
        port->kind = PORT_SUSPECT;
    }
    if (port->kind == PORT_SETTLING && is_settled(fabric, port))
        port->kind = PORT_HOST;
    if (fabric_is_active(fabric) && fabric->now_ms >= port->probe_due_ms)
        probe(fabric, port);
}

void discovery_tick(struct fabric *fabric)
{
    uint64_t late = fabric->now_ms - fabric->ticked_ms;

    HASHMAP_FOREACH(node, &fabric->datapaths) {
        struct datapath *datapath = CONTAINER_OF(node, struct datapath, by_id);

        if (!datapath->channel)
            continue;
        for (size_t i = 0; i < datapath->n_ports; i++) {
            struct fabric_port *port = datapath->ports[i];

            /* While this program did not run, nothing could be heard. */
            if (late > 4 * FABRIC_TICK_MS) {
                port->heard_ms = MIN(fabric->now_ms, port->heard_ms + late);
                port->settles_ms += late;
            }
            tick_port(fabric, port);
        }
    }
}

int fabric_set_weight(struct fabric *fabric, uint64_t datapath_id, uint32_t number, uint32_t weight)
{
    struct datapath *datapath = datapath_find(fabric, datapath_id);
    struct fabric_port *port = datapath ? datapath_port(datapath, number) : NULL;
    uint32_t before;

    if (!port)
        return -ENOENT;
    if (!weight || weight > GRAPH_WEIGHT_MAX)
        return -ERANGE;
    before = port->weight;
    port->weight = weight;
    if (port->arc != GRAPH_NONE && weight != before) {
        graph_set_weight(fabric->graph, port->arc, weight);
        routes_arc_changed(fabric, port->arc, before);
        routes_flush(fabric);
    }
    return 0;
}
