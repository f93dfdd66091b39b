#include "weft/fabric/fabric.h"

#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/log.h"
#include "weft/base/util.h"
#include "weft/base/uuid.h"
#include "weft/fabric/proactive.h"
#include "weft/fabric/slices.h"
#include "weft/fabric/state.h"

#define FLOWS_RESERVED 1000000u /* Room for so many at most is taken at the start: 8 bytes each, which the kernel gives when they are used. */

/* ---- names --------------------------------------------------------------------------------------------------------------- */

static const struct fabric_event_info event_infos[N_FABRIC_EVENTS] = {
#define FABRIC_EVENT(name, level, metric, help) {metric, help, LOG_LEVEL_##level},
#include "weft/fabric/events.def"
#undef FABRIC_EVENT
};

static const struct {
    const char *name, *help;
} drop_infos[N_FABRIC_DROPS] = {
#define FABRIC_DROP(name, metric, help) {metric, help},
#include "weft/fabric/drops.def"
#undef FABRIC_DROP
};

const struct fabric_event_info *fabric_event_info(enum fabric_event event)
{
    return &event_infos[event];
}

const char *fabric_drop_name(enum fabric_drop drop)
{
    return drop_infos[drop].name;
}

const char *fabric_drop_help(enum fabric_drop drop)
{
    return drop_infos[drop].help;
}

const char *fabric_role_name(enum fabric_role role)
{
    static const char *const names[] = {"equal", "master", "slave"};

    return names[role];
}

const char *datapath_text(uint64_t id, char text[DATAPATH_TEXT_SIZE])
{
    snprintf(text, DATAPATH_TEXT_SIZE, "0x%016llx", (unsigned long long)id);
    return text;
}

int datapath_parse(const char *text, uint64_t *ret)
{
    const char *digits = text + 2;

    if (strncmp(text, "0x", 2) != 0 && strncmp(text, "0X", 2) != 0)
        return parse_u64(text, 0, UINT64_MAX, ret);
    digits += strspn(digits, "0");
    if (!text[2] || strspn(digits, "0123456789abcdefABCDEF") != strlen(digits) || strlen(digits) > 16)
        return -EINVAL;
    *ret = strtoull(text, NULL, 16);
    return 0;
}

const char *port_text(const struct fabric_port *port, char text[PORT_TEXT_SIZE])
{
    snprintf(text, PORT_TEXT_SIZE, "0x%016llx:%u", (unsigned long long)port->datapath->id, port->number);
    return text;
}

void fabric_tell(struct fabric *fabric, enum fabric_event event, const char *format, ...)
{
    char text[400];
    va_list arguments;

    fabric->counters.events[event]++;
    if (!fabric->options.event)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    fabric->options.event(event, text, fabric->options.context);
}

void fabric_count_drop(struct fabric *fabric, enum fabric_drop drop)
{
    fabric->counters.drops[drop]++;
}

/* ---- a packet that a switch sent up ------------------------------------------------------------------------------------------ */

static void take_neighbor(struct fabric *fabric, struct fabric_port *port, const struct host *source, const struct fabric_frame *frame,
                          const uint8_t *bytes, size_t size)
{
    struct host *target = host_find_address(fabric, &frame->target, frame->vlan, slice_of_host(fabric, source));
    uint8_t reply[FRAME_OWN_MAX];

    /* A question for an address that is its own (gratuitous ARP) is told to everybody. */
    if (!target || target == source) {
        flood_frame(fabric, port, source, frame, bytes, size);
        return;
    }
    fabric->counters.neighbor_replies++;
    port_send(fabric, port, reply, frame_neighbor_reply(frame, &target->key.mac, reply));
}

/* 802.1D reserves 01:80:c2:00:00:0x for one link. */
static bool is_link_local(const struct mac_address *mac)
{
    static const uint8_t reserved[5] = {0x01, 0x80, 0xc2, 0x00, 0x00};

    return memcmp(mac->bytes, reserved, 5) == 0 && mac->bytes[5] < 0x10;
}

/* At a port where hosts are. */
static void take_from_host(struct fabric *fabric, struct fabric_port *port, const struct fabric_frame *frame, const struct flow_lookup *lookup,
                           const uint8_t *bytes, size_t size)
{
    struct host *source, *destination;

    if (slices_find(fabric->slices, port->datapath->id, port->number, frame->vlan, &frame->tuple.source_mac) == SLICE_NONE) {
        slices_deny(fabric, port, &frame->tuple.source_mac, frame->vlan);
        return;
    }
    source = host_learn(fabric, port, frame);
    if (!source)
        return;
    if (!fabric_is_active(fabric)) {
        fabric_count_drop(fabric, FABRIC_DROP_STANDBY);
        return;
    }
    if (frame->neighbor == NEIGHBOR_REQUEST) {
        take_neighbor(fabric, port, source, frame, bytes, size);
        return;
    }
    if (mac_is_multicast(&frame->tuple.destination_mac)) {
        flood_frame(fabric, port, source, frame, bytes, size);
        return;
    }
    if (mac_equal(&frame->tuple.destination_mac, &fabric->mac))
        return; /* The answer to a probe: learning from it was all. */
    destination = host_find(fabric, &frame->tuple.destination_mac, frame->vlan);
    if (destination)
        flows_packet(fabric, source, destination, frame, lookup, bytes, size);
    else
        flood_frame(fabric, port, source, frame, bytes, size);
}

/* Over a link comes what an earlier switch sent on and the next had no entry for, not yet or no more. */
static void take_from_link(struct fabric *fabric, const struct fabric_port *port, const struct fabric_frame *frame, const struct flow_lookup *lookup, const uint8_t *bytes,
                           size_t size)
{
    struct host *source = host_find(fabric, &frame->tuple.source_mac, frame->vlan);
    struct host *destination = host_find(fabric, &frame->tuple.destination_mac, frame->vlan);

    if (!fabric_is_active(fabric))
        fabric_count_drop(fabric, FABRIC_DROP_STANDBY);
    else if (source && destination && port->arc != GRAPH_NONE && destination->port != port->neighbor)
        flows_packet(fabric, source, destination, frame, lookup, bytes, size);
    else
        fabric_count_drop(fabric, FABRIC_DROP_LOOPED);
}

static void take_packet(struct fabric *fabric, struct datapath *datapath, const struct of_packet_in *packet)
{
    struct fabric_port *port = datapath_port(datapath, packet->in_port);
    struct flow_lookup lookup;
    struct fabric_frame frame;

    fabric->counters.packet_ins++;
    datapath->n_packet_ins++;
    if (!port) {
        fabric_count_drop(fabric, FABRIC_DROP_UNKNOWN_PORT);
        fabric_tell(fabric, FABRIC_PORT_UNKNOWN, "switch 0x%016llx: packet_in.in_port: '%u' is none of its ports",
                    (unsigned long long)datapath->id, packet->in_port);
        return;
    }
    if (frame_classify(packet->data.data, packet->data.size, &frame) < 0) {
        fabric_count_drop(fabric, FABRIC_DROP_MALFORMED);
        return;
    }
    if (frame.tuple.ethertype == ETHERTYPE_LLDP) {
        discovery_frame(fabric, port, packet->data.data, packet->data.size);
        return;
    }
    flows_prepare(fabric, &frame, &lookup);
    if (is_link_local(&frame.tuple.destination_mac))
        fabric_count_drop(fabric, FABRIC_DROP_LINK_LOCAL);
    else if (mac_is_multicast(&frame.tuple.source_mac))
        fabric_count_drop(fabric, FABRIC_DROP_SOURCE_MULTICAST);
    else if (port->kind == PORT_HOST)
        take_from_host(fabric, port, &frame, &lookup, packet->data.data, packet->data.size);
    else if (port->kind == PORT_LINK)
        take_from_link(fabric, port, &frame, &lookup, packet->data.data, packet->data.size);
    else
        fabric_count_drop(fabric, port->kind == PORT_SETTLING ? FABRIC_DROP_SETTLING : FABRIC_DROP_SUSPECT_PORT);
}

/* ---- messages ------------------------------------------------------------------------------------------------------------------- */

static void take_error(struct fabric *fabric, struct datapath *datapath, const struct of_message *message)
{
    char text[OF_ERROR_TEXT_SIZE];

    datapath->n_errors++;
    if (role_error(fabric, datapath, &message->error))
        return;
    fabric_tell(fabric, FABRIC_SWITCH_ERROR, "switch 0x%016llx: %s", (unsigned long long)datapath->id,
                of_error_text(datapath->version, &message->error, text));
}

static void take_message(struct channel *channel, const struct of_message *message, void *context)
{
    struct fabric *fabric = context;
    struct datapath *datapath = channel_owner(channel);

    if (!datapath || datapath->channel != channel)
        return; /* A second switch of this id, which is not believed yet. */
    switch (message->kind) {
    case OF_PACKET_IN:
        take_packet(fabric, datapath, &message->packet_in);
        break;
    case OF_FLOW_REMOVED:
        flows_removed(fabric, datapath, &message->flow_removed);
        break;
    case OF_PORT_STATUS:
        datapath_port_status(fabric, datapath, &message->port_status);
        break;
    case OF_MULTIPART_REPLY:
        reconcile_reply(fabric, datapath, message);
        break;
    case OF_ROLE_REPLY:
        role_reply(fabric, datapath, &message->role);
        break;
    case OF_ERROR:
        take_error(fabric, datapath, message);
        break;
    case OF_FEATURES_REPLY:
        datapath_ports(fabric, datapath, message->features.ports);
        break;
    case OF_GET_CONFIG_REPLY:
    case OF_EXPERIMENTER:
        break;
    default:
        fabric_tell(fabric, FABRIC_MESSAGE_UNEXPECTED, "switch 0x%016llx: '%s' is no message of a switch", (unsigned long long)datapath->id,
                    of_kind_name(message->kind));
        break;
    }
}

static void channel_problem(struct channel *channel, enum channel_problem problem, const struct error *error, void *context)
{
    static const enum fabric_event events[] = {
        [CHANNEL_MALFORMED] = FABRIC_MESSAGE_MALFORMED, [CHANNEL_UNEXPECTED] = FABRIC_MESSAGE_UNEXPECTED,
        [CHANNEL_FAILED] = FABRIC_HANDSHAKE_FAILED,     [CHANNEL_SILENT] = FABRIC_ECHO_TIMEOUT,
        [CHANNEL_OVERFLOW] = FABRIC_OUTPUT_OVERFLOW,
    };
    struct datapath *datapath = channel_owner(channel);

    if (datapath)
        fabric_tell(context, events[problem], "switch 0x%016llx: %s", (unsigned long long)datapath->id, error->message);
    else
        fabric_tell(context, events[problem], "a switch in its handshake: %s", error->message);
}

static void channel_wake(struct channel *channel, void *context)
{
    struct fabric *fabric = context;

    if (fabric->options.wake)
        fabric->options.wake(channel, fabric->options.context);
}

/* ---- what the program calls -------------------------------------------------------------------------------------------------------- */

static int add_handshake(struct fabric *fabric, struct channel *channel)
{
    if (fabric->n_handshakes == fabric->handshakes_capacity) {
        size_t capacity = MAX((size_t)16, 2 * fabric->handshakes_capacity);
        struct channel **grown = realloc(fabric->handshakes, capacity * sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        fabric->handshakes = grown;
        fabric->handshakes_capacity = capacity;
    }
    fabric->handshakes[fabric->n_handshakes++] = channel;
    return 0;
}

static void remove_handshake(struct fabric *fabric, const struct channel *channel)
{
    size_t i = fabric->n_handshakes;

    while (i && fabric->handshakes[i - 1] != channel)
        i--;
    if (!i)
        return;
    memmove(fabric->handshakes + i - 1, fabric->handshakes + i, (fabric->n_handshakes - i) * sizeof(*fabric->handshakes));
    fabric->n_handshakes--;
}

static void channel_ready(struct channel *channel, void *context)
{
    remove_handshake(context, channel);
    datapath_ready(channel, context);
}

/* Ends those that take too long; all have the same time, so that the oldest is the first. */
static void tick_handshakes(struct fabric *fabric)
{
    for (size_t i = 0; i < fabric->n_handshakes; i++) {
        if (channel_is_closed(fabric->handshakes[i]))
            continue; /* Its end is on the way. */
        if (fabric->now_ms < channel_deadline(fabric->handshakes[i]))
            break;
        channel_tick(fabric->handshakes[i], fabric->now_ms);
    }
}

int fabric_connect(struct fabric *fabric, const char *peer, uint64_t now_ms, struct channel **ret)
{
    struct channel *channel;
    int result = channel_new(&fabric->channel_options, now_ms, &channel);

    fabric->now_ms = now_ms;
    if (result < 0)
        return result;
    result = add_handshake(fabric, channel);
    if (result < 0) {
        channel_free(channel);
        return result;
    }
    *ret = channel;
    return 0;
}

void fabric_receive(struct fabric *fabric, struct channel *channel, const void *bytes, size_t size, uint64_t now_ms)
{
    fabric->now_ms = now_ms;
    channel_receive(channel, bytes, size, now_ms);
    routes_flush(fabric);
}

void fabric_disconnect(struct fabric *fabric, struct channel *channel, uint64_t now_ms)
{
    struct datapath *datapath = channel_owner(channel);

    fabric->now_ms = now_ms;
    remove_handshake(fabric, channel);
    channel_close(channel);
    if (datapath && datapath->channel == channel)
        datapath_gone(fabric, datapath);
    else if (datapath && datapath->candidate == channel)
        datapath->candidate = NULL;
    channel_free(channel);
    routes_flush(fabric);
}

void fabric_tick(struct fabric *fabric, uint64_t now_ms)
{
    fabric->now_ms = now_ms;
    tick_handshakes(fabric);
    datapaths_tick(fabric);
    discovery_tick(fabric);
    routes_flush(fabric);
    hosts_tick(fabric);
    reconcile_tick(fabric);
    proactive_tick(fabric);
    statistics_tick(fabric);
    routes_tick(fabric);
    fabric->ticked_ms = now_ms;
}

enum fabric_role fabric_role(const struct fabric *fabric)
{
    return fabric->role;
}

void fabric_set_role(struct fabric *fabric, enum fabric_role role, uint64_t now_ms)
{
    enum fabric_role before = fabric->role;

    fabric->now_ms = now_ms;
    if (role == before)
        return;
    fabric_tell(fabric, FABRIC_ROLE_CHANGED, "this controller is %s now, was %s", fabric_role_name(role), fabric_role_name(before));
    fabric->role = role;
    roles_changed(fabric, before);
}

void fabric_counters(const struct fabric *fabric, struct fabric_counters *ret)
{
    *ret = fabric->counters;
    ret->n_hosts = fabric->hosts.n_nodes;
    ret->n_flows = fabric->flows.n_nodes;
    ret->n_routes = fabric->routes.n_nodes;
    ret->n_links = graph_n_arcs(fabric->graph) / 2;
    ret->n_switches = 0;
    HASHMAP_FOREACH(node, &fabric->datapaths)
        ret->n_switches += CONTAINER_OF(node, struct datapath, by_id)->channel != NULL;
}

void fabric_default_options(struct fabric_options *options)
{
    *options = (struct fabric_options){
        .mode = PATHS_EQUAL_COST,
        .max_paths = 64,
        .versions = 1u << OF10 | 1u << OF13,
        .probe_ms = 300,
        .link_dead_ms = 900,
        .idle_probe_ms = 3000,
        .settle_ms = 900,
        .handshake_ms = 10000,
        .echo_ms = 1000,
        .dead_ms = 3000,
        .host_age_ms = 600000,
        .forget_ms = 600000,
        .idle_timeout_s = 30,
        .flood_rate = 200,
        .flood_total = 50000,
        .flow_rate = 20000,
        .max_switches = 4096,
        .max_ports = 4096,
        .max_hosts = 1000000,
        .max_hosts_port = 4096,
        .max_flows = 1000000,
        .output_max = 16u << 20,
    };
    random_bytes(&options->hash_seed, sizeof(options->hash_seed));
    random_bytes(options->lldp_key, sizeof(options->lldp_key));
    random_bytes(&options->controller_id, sizeof(options->controller_id));
}

static int check_options(const struct fabric_options *o, struct error *error)
{
    if (o->max_paths < 1 || o->max_paths > PATHS_MAX)
        return error_set(error, -EINVAL, "max-paths", "max-paths: '%zu' is not 1 to %d", o->max_paths, PATHS_MAX);
    if (!o->versions || o->versions & ~(1u << OF10 | 1u << OF13))
        return error_set(error, -EINVAL, "versions", "versions: '0x%x' has others than 1.0 and 1.3", o->versions);
    if (!o->probe_ms || o->link_dead_ms < o->probe_ms)
        return error_set(error, -EINVAL, "link-dead", "link-dead: '%llu' ms is less than the %llu ms between probes",
                         (unsigned long long)o->link_dead_ms, (unsigned long long)o->probe_ms);
    if (!o->echo_ms || o->dead_ms <= o->echo_ms)
        return error_set(error, -EINVAL, "switch-dead", "switch-dead: '%llu' ms is not more than the %llu ms until an echo request",
                         (unsigned long long)o->dead_ms, (unsigned long long)o->echo_ms);
    return 0;
}

int fabric_new(const struct fabric_options *options, uint64_t now_ms, struct fabric **ret, struct error *error)
{
    struct fabric *fabric;
    int result = check_options(options, error);

    if (result < 0)
        return result;
    if (sodium_init() < 0)
        return error_set(error, -EIO, NULL, "libsodium cannot start");
    fabric = calloc(1, sizeof(*fabric));
    if (!fabric)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    fabric->options = *options;
    fabric->options.order = NULL;
    if (options->install == FABRIC_PROACTIVE)
        fabric->options.versions = 1u << OF13; /* 1.0 has neither groups nor tables. */
    fabric->now_ms = fabric->ticked_ms = now_ms;
    pool_init(&fabric->flow_pool, sizeof(struct flow));
    pool_init(&fabric->host_pool, sizeof(struct host));
    pool_init(&fabric->address_pool, sizeof(struct host_address));
    ring_init(&fabric->moves);
    ring_init(&fabric->flows_by_age);
    ring_init(&fabric->dirty_routes);
    ring_init(&fabric->resyncing);
    ring_init(&fabric->address_claims);
    fabric->channel_options = (struct channel_options){
        .versions = fabric->options.versions,
        .handshake_ms = options->handshake_ms,
        .echo_ms = options->echo_ms,
        .dead_ms = options->dead_ms,
        .output_max = options->output_max,
        .ready = channel_ready,
        .message = take_message,
        .problem = channel_problem,
        .wake = channel_wake,
        .context = fabric,
    };
    random_bytes(fabric->mac.bytes, sizeof(fabric->mac.bytes));
    fabric->mac.bytes[0] = (uint8_t)((fabric->mac.bytes[0] & 0xfe) | 0x02); /* Locally administered, of one station. */
    if (options->n_order) {
        uint64_t *order = malloc(options->n_order * sizeof(*order));

        if (order)
            memcpy(order, options->order, options->n_order * sizeof(*order));
        fabric->options.order = order;
    }
    if ((options->n_order && !fabric->options.order) || graph_new(&fabric->graph) < 0 ||
        hashmap_reserve(&fabric->flows, MIN(options->max_flows, FLOWS_RESERVED)) < 0 ||
        dag_cache_new(fabric->graph, options->max_switches, &fabric->dags) < 0 || slices_new(&fabric->slices) < 0) {
        fabric_free(fabric);
        return error_set(error, -ENOMEM, NULL, "out of memory");
    }
    *ret = fabric;
    return 0;
}

void fabric_free(struct fabric *fabric)
{
    if (!fabric)
        return;
    free(fabric->handshakes);
    reconcile_clear(fabric);
    flows_clear(fabric);
    hosts_clear(fabric);
    routes_clear(fabric);
    datapaths_clear(fabric);
    dag_cache_free(fabric->dags);
    graph_free(fabric->graph);
    slices_free(fabric->slices);
    free((void *)fabric->options.order);
    free(fabric);
}
