/* Switches and their ports: who is connected, what they hold at least, and which of two with one id is believed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/fabric/entries.h"
#include "weft/fabric/proactive.h"
#include "weft/fabric/state.h"

#define DUPLICATE_PROBE_MS 1000 /* How long the first of two with one id has to answer. */

/* ---- finding ------------------------------------------------------------------------------------------------------------ */

struct datapath *datapath_find(const struct fabric *fabric, uint64_t id)
{
    struct hashmap_node *node = hashmap_find(&fabric->datapaths, &id, sizeof(id));

    return node ? CONTAINER_OF(node, struct datapath, by_id) : NULL;
}

struct datapath *datapath_of_node(const struct fabric *fabric, uint32_t node)
{
    return node < fabric->by_node_capacity ? fabric->by_node[node] : NULL;
}

static size_t port_place(const struct datapath *datapath, uint32_t number)
{
    size_t low = 0, high = datapath->n_ports;

    /* Mostly ports are 1, 2, 3 ... */
    if (number && number <= high && datapath->ports[number - 1]->number == number)
        return number - 1;
    while (low < high) {
        size_t middle = (low + high) / 2;

        if (datapath->ports[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct fabric_port *datapath_port(const struct datapath *datapath, uint32_t number)
{
    size_t place = port_place(datapath, number);

    return place < datapath->n_ports && datapath->ports[place]->number == number ? datapath->ports[place] : NULL;
}

/* ---- sending -------------------------------------------------------------------------------------------------------------- */

int datapath_send(struct fabric *fabric, struct datapath *datapath, const struct of_message *message)
{
    int64_t xid;

    if (!datapath->channel)
        return -EPIPE;
    xid = channel_send(datapath->channel, message);
    if (xid < 0)
        return (int)xid;
    if (message->kind == OF_FLOW_MOD) {
        fabric->counters.flow_mods++;
        datapath->n_flow_mods++;
    } else if (message->kind == OF_PACKET_OUT) {
        fabric->counters.packet_outs++;
    }
    return 0;
}

void port_send(struct fabric *fabric, struct fabric_port *port, const void *frame, size_t size)
{
    struct datapath *datapath = port->datapath;
    struct of_message message = {.kind = OF_PACKET_OUT};
    struct of_action output = {.kind = OFA_OUTPUT, .port = port->number};
    uint8_t actions[32];
    struct writer writer = writer_of(actions, sizeof(actions));

    if (!datapath->channel || of_action_put(datapath->version, &writer, &output) < 0)
        return;
    message.packet_out = (struct of_packet_out){
        .buffer_id = OF_NO_BUFFER, .in_port = OFPP_CONTROLLER, .actions = {actions, writer.size}, .data = {frame, size}};
    datapath_send(fabric, datapath, &message);
}

/* ---- ports ------------------------------------------------------------------------------------------------------------------ */

const char *port_kind_name(enum port_kind kind)
{
    static const char *const names[] = {"settling", "host", "link", "suspect"};

    return names[kind];
}

static void set_port(struct fabric *fabric, struct fabric_port *port, const struct of_port *description)
{
    bool is_up = !(description->config & OFPPC_PORT_DOWN) && !(description->state & OFPPS_LINK_DOWN);

    port->mac = description->mac;
    memcpy(port->name, description->name, sizeof(port->name));
    port->current_kbps = description->current_kbps;
    if (is_up == port->is_up)
        return;
    port->is_up = is_up;
    if (is_up) {
        discovery_port_up(fabric, port);
    } else {
        discovery_port_down(fabric, port);
        discovery_forget_link(fabric, port);
        port->linked_until_ms = 0;
        hosts_port_down(fabric, port);
    }
}

static void add_port(struct fabric *fabric, struct datapath *datapath, const struct of_port *description)
{
    size_t place = port_place(datapath, description->number);
    struct fabric_port *port;

    if (description->number >= OFPP_MAX)
        return; /* The switch itself (LOCAL): not of the fabric. */
    if (datapath->n_ports >= fabric->options.max_ports) {
        fabric_tell(fabric, FABRIC_PORT_LIMIT, "switch 0x%016llx: port %u is one more than the %zu that a switch may have",
                    (unsigned long long)datapath->id, description->number, fabric->options.max_ports);
        return;
    }
    if (datapath->n_ports == datapath->ports_capacity) {
        size_t capacity = datapath->ports_capacity ? 2 * datapath->ports_capacity : 8;
        struct fabric_port **grown = realloc(datapath->ports, capacity * sizeof(*grown));

        if (!grown)
            return;
        datapath->ports = grown;
        datapath->ports_capacity = capacity;
    }
    port = calloc(1, sizeof(*port));
    if (!port)
        return;
    port->datapath = datapath;
    port->number = description->number;
    port->weight = 1;
    port->arc = GRAPH_NONE;
    ring_init(&port->hosts);
    ring_init(&port->listeners);
    ring_init(&port->of_neighbor);
    port->flood_refilled_ms = port->flow_refilled_ms = fabric->now_ms;
    port->flood_tokens = fabric->options.flood_rate;
    port->flow_tokens = fabric->options.flow_rate;
    slices_mark_port(fabric, port);
    memmove(datapath->ports + place + 1, datapath->ports + place, (datapath->n_ports - place) * sizeof(*datapath->ports));
    datapath->ports[place] = port;
    datapath->n_ports++;
    set_port(fabric, port, description);
}

static void remove_port(struct fabric *fabric, struct datapath *datapath, struct fabric_port *port)
{
    size_t place = port_place(datapath, port->number);

    port->is_up = false;
    discovery_port_down(fabric, port);
    hosts_port_down(fabric, port);
    routes_flush(fabric); /* No path points at it any more. */
    flows_forget_port(fabric, port);
    memmove(datapath->ports + place, datapath->ports + place + 1, (datapath->n_ports - place - 1) * sizeof(*datapath->ports));
    datapath->n_ports--;
    free(port);
}

void datapath_port_status(struct fabric *fabric, struct datapath *datapath, const struct of_port_status *status)
{
    struct fabric_port *port = datapath_port(datapath, status->port.number);

    if (status->reason == OFPPR_DELETE) {
        if (port)
            remove_port(fabric, datapath, port);
    } else if (port) {
        set_port(fabric, port, &status->port);
    } else {
        add_port(fabric, datapath, &status->port);
    }
}

static int compare_numbers(const void *a, const void *b)
{
    const uint32_t *left = a, *right = b;

    return *left < *right ? -1 : *left > *right;
}

static void remove_missing(struct fabric *fabric, struct datapath *datapath, struct of_bytes list)
{
    struct of_bytes left = list;
    struct of_port description;
    size_t n = 0;
    uint32_t *numbers = malloc(MAX((size_t)1, list.size / 48 * sizeof(*numbers))); /* A description has 48 bytes or more. */

    if (!numbers)
        return;
    while (of_port_next(datapath->version, &left, &description) == 1)
        numbers[n++] = description.number;
    qsort(numbers, n, sizeof(*numbers), compare_numbers);
    for (size_t i = datapath->n_ports; i-- > 0;)
        if (!bsearch(&datapath->ports[i]->number, numbers, n, sizeof(*numbers), compare_numbers))
            remove_port(fabric, datapath, datapath->ports[i]);
    free(numbers);
}

void datapath_ports(struct fabric *fabric, struct datapath *datapath, struct of_bytes list)
{
    struct of_port description;

    while (of_port_next(datapath->version, &list, &description) == 1) {
        struct fabric_port *port = datapath_port(datapath, description.number);

        if (port)
            set_port(fabric, port, &description);
        else
            add_port(fabric, datapath, &description);
        if (port && !port->is_up) { /* Maybe it went down while the switch was away. */
            discovery_forget_link(fabric, port);
            hosts_port_down(fabric, port);
        }
    }
}

/* What changed between the handshake's list and now. */
static void ask_for_ports(struct fabric *fabric, struct datapath *datapath)
{
    struct of_message request = {.kind = OF_FEATURES_REQUEST};

    if (datapath->version != OF10) {
        request.kind = OF_MULTIPART_REQUEST;
        request.multipart_request = (struct of_multipart_request){.type = OFMP_PORT_DESC};
    }
    datapath_send(fabric, datapath, &request);
}

/* ---- what every switch holds ------------------------------------------------------------------------------------------------- */

void datapath_start(struct fabric *fabric, struct datapath *datapath)
{
    entries_put_basic(fabric, datapath);
    reconcile_start(fabric, datapath);
    proactive_start(fabric, datapath);
    for (size_t i = 0; i < datapath->n_ports; i++) {
        datapath->ports[i]->probe_due_ms = fabric->now_ms;
        /* While this controller stood by nobody may have asked what is behind the port. */
        if (datapath->ports[i]->kind == PORT_SETTLING)
            datapath->ports[i]->settles_ms = fabric->now_ms + fabric->options.settle_ms;
    }
}

/* ---- coming and going --------------------------------------------------------------------------------------------------------- */

static int remember_node(struct fabric *fabric, struct datapath *datapath)
{
    if (datapath->node >= fabric->by_node_capacity) {
        size_t capacity = MAX((size_t)64, fabric->by_node_capacity);
        struct datapath **grown;

        while (capacity <= datapath->node)
            capacity *= 2;
        grown = realloc(fabric->by_node, capacity * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        memset(grown + fabric->by_node_capacity, 0, (capacity - fabric->by_node_capacity) * sizeof(*grown));
        fabric->by_node = grown;
        fabric->by_node_capacity = capacity;
    }
    fabric->by_node[datapath->node] = datapath;
    return 0;
}

/* Enumeration order: as configured, then by id. */
static uint64_t order_of(const struct fabric *fabric, uint64_t id)
{
    for (size_t i = 0; i < fabric->options.n_order; i++)
        if (fabric->options.order[i] == id)
            return i;
    return id > UINT64_MAX - fabric->options.n_order ? UINT64_MAX : id + fabric->options.n_order;
}

static struct datapath *add_datapath(struct fabric *fabric, uint64_t id)
{
    struct datapath *datapath = calloc(1, sizeof(*datapath));

    if (!datapath)
        return NULL;
    datapath->id = id;
    datapath->flap_window_ms = datapath->away_ms = fabric->now_ms;
    ring_init(&datapath->of_resync);
    if (graph_add_node(fabric->graph, order_of(fabric, id), &datapath->node) < 0) {
        free(datapath);
        return NULL;
    }
    if (remember_node(fabric, datapath) < 0 || hashmap_insert(&fabric->datapaths, &datapath->by_id, &datapath->id, sizeof(datapath->id)) < 0) {
        if (datapath->node < fabric->by_node_capacity)
            fabric->by_node[datapath->node] = NULL;
        graph_remove_node(fabric->graph, datapath->node);
        free(datapath);
        return NULL;
    }
    return datapath;
}

static void remove_datapath(struct fabric *fabric, struct datapath *datapath)
{
    while (datapath->n_ports)
        remove_port(fabric, datapath, datapath->ports[datapath->n_ports - 1]);
    routes_forget_node(fabric, datapath->node);
    reconcile_forget(datapath);
    proactive_forget(datapath);
    fabric->n_old_switches -= datapath->is_old;
    fabric->by_node[datapath->node] = NULL;
    dag_cache_node_removed(fabric->dags, datapath->node);
    graph_remove_node(fabric->graph, datapath->node);
    hashmap_remove(&fabric->datapaths, &datapath->by_id);
    free(datapath->ports);
    free(datapath);
}

static void take_channel(struct fabric *fabric, struct datapath *datapath, struct channel *channel)
{
    char rest[80] = "";

    datapath->channel = channel;
    datapath->version = channel_version(channel);
    datapath->description = *channel_description(channel);
    datapath->is_vswitch = strstr(datapath->description.hardware, "Open vSwitch") != NULL;
    datapath->up_ms = fabric->now_ms;
    fabric->n_old_switches += (datapath->version == OF10) - datapath->is_old;
    datapath->is_old = datapath->version == OF10;
    datapath->is_role_known = datapath->is_reconciled = false;
    if (datapath->description.hardware[0])
        snprintf(rest, sizeof(rest), ", %.40s %.20s", datapath->description.hardware, datapath->description.software);
    fabric_tell(fabric, FABRIC_SWITCH_UP, "switch 0x%016llx: up, OpenFlow %s%s", (unsigned long long)datapath->id,
                datapath->version == OF10 ? "1.0" : "1.3", rest);
    remove_missing(fabric, datapath, channel_ports(channel));
    datapath_ports(fabric, datapath, channel_ports(channel));
    ask_for_ports(fabric, datapath);
    role_ask(fabric, datapath);
}

/* Does this switch come back too often? */
static bool is_flapping(struct fabric *fabric, struct datapath *datapath)
{
    if (fabric->now_ms - datapath->flap_window_ms > FLAP_WINDOW_MS) {
        datapath->flap_window_ms = fabric->now_ms;
        datapath->n_flaps = 0;
    }
    return ++datapath->n_flaps > FLAPS_MAX;
}

/* A switch that is there matters more than one that was. */
static void remove_longest_away(struct fabric *fabric)
{
    struct datapath *longest = NULL;

    HASHMAP_FOREACH(node, &fabric->datapaths) {
        struct datapath *datapath = CONTAINER_OF(node, struct datapath, by_id);

        if (!datapath->channel && !datapath->candidate && (!longest || datapath->away_ms < longest->away_ms))
            longest = datapath;
    }
    if (longest)
        remove_datapath(fabric, longest);
}

void datapath_ready(struct channel *channel, void *context)
{
    struct fabric *fabric = context;
    uint64_t id = channel_datapath_id(channel);
    struct datapath *datapath = datapath_find(fabric, id);

    if (!datapath && fabric->datapaths.n_nodes >= fabric->options.max_switches)
        remove_longest_away(fabric);
    if (!datapath && fabric->datapaths.n_nodes >= fabric->options.max_switches) {
        fabric_tell(fabric, FABRIC_SWITCH_LIMIT, "switch 0x%016llx: one more than the %zu that are allowed", (unsigned long long)id,
                    fabric->options.max_switches);
        channel_close(channel);
        return;
    }
    if (!datapath)
        datapath = add_datapath(fabric, id);
    if (!datapath) {
        fabric_tell(fabric, FABRIC_SWITCH_LIMIT, "switch 0x%016llx: out of memory", (unsigned long long)id);
        channel_close(channel);
        return;
    }
    channel_set_owner(channel, datapath);
    if (datapath->candidate) { /* A third. */
        channel_set_owner(channel, NULL);
        fabric_tell(fabric, FABRIC_SWITCH_DUPLICATE, "switch 0x%016llx: connected a third time", (unsigned long long)id);
        channel_close(channel);
    } else if (datapath->channel) {
        datapath->candidate = channel;
        datapath->candidate_ms = fabric->now_ms;
        channel_probe(datapath->channel, fabric->now_ms);
    } else if (is_flapping(fabric, datapath)) {
        datapath->candidate = channel;
        datapath->candidate_ms = fabric->now_ms;
        fabric_tell(fabric, FABRIC_SWITCH_FLAPPING, "switch 0x%016llx: connected %u times in %u s, waits for %u s", (unsigned long long)id,
                    datapath->n_flaps, FLAP_WINDOW_MS / 1000, FLAP_HOLD_MS / 1000);
    } else {
        take_channel(fabric, datapath, channel);
    }
}

void datapath_gone(struct fabric *fabric, struct datapath *datapath)
{
    fabric_tell(fabric, FABRIC_SWITCH_DOWN, "switch 0x%016llx: its connection ended", (unsigned long long)datapath->id);
    channel_set_owner(datapath->channel, NULL);
    datapath->channel = NULL;
    datapath->away_ms = fabric->now_ms;
    reconcile_forget(datapath);
    proactive_forget(datapath);
    /* Its links are not believed any more: what can go another way does.  Its hosts stay: it may well forward on by itself.  With proactive entries
     * it does, and is reached by the links that it had. */
    if (fabric->options.install == FABRIC_PROACTIVE)
        discovery_remember_links(fabric, datapath);
    for (size_t i = 0; i < datapath->n_ports; i++) {
        datapath->ports[i]->is_up = false;
        discovery_port_down(fabric, datapath->ports[i]);
    }
}

/* Two switches with one id: the first has a second to show that it is alive; else the second is the same one, reconnected. */
static void decide_candidate(struct fabric *fabric, struct datapath *datapath)
{
    struct channel *candidate = datapath->candidate;

    if (!datapath->channel) {
        if (datapath->n_flaps > FLAPS_MAX && fabric->now_ms - datapath->candidate_ms < FLAP_HOLD_MS)
            return;
        datapath->candidate = NULL;
        take_channel(fabric, datapath, candidate);
    } else if (channel_is_closed(datapath->channel)) {
        return; /* Its end is on the way. */
    } else if (channel_heard_ms(datapath->channel) > datapath->candidate_ms) {
        datapath->candidate = NULL;
        channel_set_owner(candidate, NULL);
        fabric_tell(fabric, FABRIC_SWITCH_DUPLICATE, "switch 0x%016llx: a second switch with this id was turned away", (unsigned long long)datapath->id);
        channel_close(candidate);
    } else if (fabric->now_ms - datapath->candidate_ms >= DUPLICATE_PROBE_MS) {
        channel_close(datapath->channel);
    }
}

void datapaths_tick(struct fabric *fabric)
{
    HASHMAP_FOREACH(node, &fabric->datapaths) {
        struct datapath *datapath = CONTAINER_OF(node, struct datapath, by_id);

        if (datapath->channel && !channel_is_closed(datapath->channel) && fabric->now_ms >= channel_deadline(datapath->channel))
            channel_tick(datapath->channel, fabric->now_ms);
        if (datapath->candidate)
            decide_candidate(fabric, datapath);
        if (!datapath->channel && !datapath->candidate && fabric->now_ms - datapath->away_ms >= fabric->options.forget_ms)
            remove_datapath(fabric, datapath);
    }
}

void datapaths_clear(struct fabric *fabric)
{
    HASHMAP_FOREACH(node, &fabric->datapaths) {
        struct datapath *datapath = CONTAINER_OF(node, struct datapath, by_id);

        for (size_t i = 0; i < datapath->n_ports; i++)
            free(datapath->ports[i]);
        reconcile_forget(datapath);
        proactive_forget(datapath);
        free(datapath->ports);
        hashmap_remove(&fabric->datapaths, node);
        free(datapath);
    }
    hashmap_clear(&fabric->datapaths);
    free(fabric->by_node);
    for (size_t i = 0; i < fabric->arcs_capacity; i++)
        free(fabric->arcs[i]);
    free(fabric->arcs);
}
