/* What an emulated switch answers.  It has no data plane: LLDP goes over its links, flows are counted, and of those whose end the
 * controller wants to hear the oldest ends when there are more than the table holds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"
#include "weft/base/util.h"

#define ETHERTYPE_LLDP 0x88cc

static enum of_version version(void)
{
    return load.settings.version;
}

void switch_send(struct emulated_switch *sw, const struct of_message *message)
{
    int r = of_encode(version(), message, &sw->out);
    if (r < 0)
        die("switch %u: %s: %s", sw->index + 1, of_kind_name(message->kind), strerror(-r));
    connections_mark(sw);
}

static void reply(struct emulated_switch *sw, enum of_kind kind, uint32_t xid)
{
    switch_send(sw, &(struct of_message){.kind = kind, .xid = xid});
}

static void reply_error(struct emulated_switch *sw, uint32_t xid, uint16_t type, uint16_t code, const void *bytes, size_t size)
{
    struct of_message message = {.kind = OF_ERROR, .xid = xid, .error = {type, code, {bytes, MIN(size, (size_t)64)}}};
    switch_send(sw, &message);
}

void switch_hello(struct emulated_switch *sw)
{
    uint32_t versions = 1u << version();
    switch_send(sw, &(struct of_message){.kind = OF_HELLO, .hello.versions = version() == OF10 ? 1u << OF10 : versions});
}

void switch_sync(struct emulated_switch *sw)
{
    reply(sw, OF_ECHO_REQUEST, ++sw->echo_sent);
}

/* ---- ports ----------------------------------------------------------------------------------------------------- */

static struct of_port port_of(const struct emulated_switch *sw, uint32_t number)
{
    struct of_port port = {.number = number, .current = 1 << 6, .supported = 1 << 6, .current_kbps = 10000000, .maximum_kbps = 10000000,
                           .state = OFPPS_LIVE};
    port.mac.bytes[0] = 0x06;
    put_be16(port.mac.bytes + 1, (uint16_t)(sw->index + 1));
    put_be16(port.mac.bytes + 4, (uint16_t)number);
    snprintf(port.name, sizeof(port.name), "s%u-%s%u", sw->index + 1, number > sw->n_links ? "host" : "link", number);
    if (number <= sw->n_links && sw->links[number - 1].is_down)
        port.state = OFPPS_LINK_DOWN;
    return port;
}

/* The ports from '*next' on that fit; true when that is all. */
static bool put_ports(const struct emulated_switch *sw, struct writer *list, uint32_t *next)
{
    size_t room = version() == OF10 ? 48 : 64;
    uint32_t n = sw->n_links + sw->n_host_ports;
    for (; *next <= n && list->capacity - list->size >= room; ++*next) {
        struct of_port port = port_of(sw, *next);
        of_port_put(version(), list, &port);
    }
    return *next > n;
}

void switch_set_link(struct emulated_switch *sw, uint32_t number, bool is_up)
{
    struct link_end *end = &sw->links[number - 1];
    struct emulated_switch *peer = &load.switches[end->peer];
    uint32_t peer_port = end->peer_port;
    end->is_down = peer->links[peer_port - 1].is_down = !is_up;
    switch_send(sw, &(struct of_message){.kind = OF_PORT_STATUS, .port_status = {OFPPR_MODIFY, port_of(sw, number)}});
    switch_send(peer, &(struct of_message){.kind = OF_PORT_STATUS, .port_status = {OFPPR_MODIFY, port_of(peer, peer_port)}});
}

static void send_features(struct emulated_switch *sw, uint32_t xid)
{
    static uint8_t room[65000];
    struct writer ports = writer_of(room, sizeof(room));
    struct of_message message = {.kind = OF_FEATURES_REPLY, .xid = xid};
    message.features = (struct of_features){.datapath_id = sw->index + 1, .n_tables = version() == OF10 ? 1 : 254,
                                            .capabilities = 7};
    if (version() == OF10) {
        uint32_t next = 1;
        if (!put_ports(sw, &ports, &next))
            die("switch %u: its %u ports do not fit into a features_reply of OpenFlow 1.0", sw->index + 1,
                sw->n_links + sw->n_host_ports);
        message.features.actions = 0xfff;
        message.features.ports = (struct of_bytes){room, ports.size};
    }
    switch_send(sw, &message);
    sw->has_features = true;
}

/* ---- statistics ------------------------------------------------------------------------------------------------ */

static void send_port_descriptions(struct emulated_switch *sw, uint32_t xid)
{
    static uint8_t room[60000];
    struct of_message message = {.kind = OF_MULTIPART_REPLY, .xid = xid, .multipart_reply.type = OFMP_PORT_DESC};
    uint32_t next = 1;
    bool is_last;
    do {
        struct writer ports = writer_of(room, sizeof(room));
        is_last = put_ports(sw, &ports, &next);
        message.multipart_reply.flags = is_last ? 0 : OFMPF_MORE;
        message.multipart_reply.body = (struct of_bytes){room, ports.size};
        switch_send(sw, &message);
    } while (!is_last);
}

/* Of one port or all: nothing ever passed. */
static void put_port_stats(const struct emulated_switch *sw, uint32_t port, struct writer *body)
{
    for (uint32_t number = 1; number <= sw->n_links + sw->n_host_ports && body->capacity - body->size >= 112; number++)
        if (port == OFPP_ANY || port == number)
            of_port_stats_put(version(), body, &(struct of_port_stats){.number = number});
}

static void receive_multipart(struct emulated_switch *sw, const struct of_message *request, const void *bytes, size_t size)
{
    static uint8_t room[65000];
    struct writer body = writer_of(room, sizeof(room));
    struct of_message message = {.kind = OF_MULTIPART_REPLY, .xid = request->xid,
                                 .multipart_reply.type = request->multipart_request.type};
    switch (request->multipart_request.type) {
    case OFMP_PORT_DESC:
        send_port_descriptions(sw, request->xid);
        return;
    case OFMP_DESC:
        of_desc_put(&body, &(struct of_desc){.manufacturer = "weft", .hardware = "emulated", .software = "fabric-load"});
        break;
    case OFMP_AGGREGATE:
        of_aggregate_put(&body, &(struct of_aggregate){.n_flows = sw->n_flows});
        break;
    case OFMP_TABLE:
        of_table_stats_put(version(), &body, &(struct of_table_stats){.n_active = sw->n_flows, .n_max = 1000000});
        break;
    case OFMP_PORT_STATS:
        put_port_stats(sw, request->multipart_request.port, &body);
        break;
    case OFMP_GROUP_FEATURES:
        writer_u32(&body, 0xf);
        writer_u32(&body, 0);
        for (int i = 0; i < 8; i++)
            writer_u32(&body, i < 4 ? 1000 : UINT32_MAX);
        break;
    case OFMP_METER_FEATURES:
        writer_take(&body, 16);
        break;
    case OFMP_EXPERIMENTER:
        reply_error(sw, request->xid, 1, 3, bytes, size); /* bad_request/bad_experimenter; 1.0: bad_vendor. */
        return;
    default: /* Flows, queues, groups, meters: none. */
        break;
    }
    message.multipart_reply.body = (struct of_bytes){room, body.size};
    switch_send(sw, &message);
}

/* ---- flows ----------------------------------------------------------------------------------------------------- */

static void send_flow_removed(struct emulated_switch *sw, const struct flow_entry *flow)
{
    struct of_message message = {.kind = OF_FLOW_REMOVED};
    message.flow_removed = (struct of_flow_removed){.cookie = flow->cookie, .priority = flow->priority, .reason = OFPRR_IDLE_TIMEOUT,
                                                    .table_id = flow->table_id, .idle_timeout_s = flow->idle_timeout_s,
                                                    .hard_timeout_s = flow->hard_timeout_s, .packets = 1, .bytes = 60,
                                                    .match = flow->match};
    switch_send(sw, &message);
    load.count.flow_removed++;
}

static void keep_flow(struct emulated_switch *sw, const struct of_flow_mod *mod)
{
    uint32_t capacity = (uint32_t)load.settings.flow_table;
    if (!sw->flows)
        sw->flows = allocate(capacity, sizeof(*sw->flows));
    if (sw->n_flows == capacity) {
        send_flow_removed(sw, &sw->flows[sw->first_flow]);
        sw->first_flow = (sw->first_flow + 1) % capacity;
        sw->n_flows--;
    }
    sw->flows[(sw->first_flow + sw->n_flows++) % capacity] =
        (struct flow_entry){.cookie = mod->cookie, .priority = mod->priority, .idle_timeout_s = mod->idle_timeout_s,
                            .hard_timeout_s = mod->hard_timeout_s, .table_id = mod->table_id, .match = mod->match};
}

static void receive_flow_mod(struct emulated_switch *sw, const struct of_flow_mod *mod)
{
    struct of_bytes list = mod->instructions.apply_actions;
    struct of_action action;
    load.count.flow_mods++;
    flows_answered_by_buffer(sw, mod->buffer_id);
    load.last_flow_mod_ns = now_ns();
    if (mod->command == OFPFC_DELETE && mod->match.fields == 0)
        sw->n_flows = 0;
    if (mod->command != OFPFC_ADD)
        return;
    while (of_action_next(version(), &list, &action) > 0)
        if (action.kind == OFA_OUTPUT && action.port >= 1 && action.port <= sw->n_links)
            sw->links[action.port - 1].n_flows++;
    if ((mod->flags & OFPFF_SEND_FLOW_REM) && !(mod->match.fields & OFM_OTHER))
        keep_flow(sw, mod);
}

/* ---- packets --------------------------------------------------------------------------------------------------- */

static void deliver_lldp(struct link_end *end, struct of_bytes frame)
{
    struct of_message message = {.kind = OF_PACKET_IN};
    load.count.lldp_out++;
    if (end->is_down || !load.switches[end->peer].has_features)
        return;
    message.packet_in = (struct of_packet_in){.buffer_id = OF_NO_BUFFER, .total_len = (uint16_t)frame.size, .reason = OFPR_ACTION,
                                              .in_port = end->peer_port, .data = frame};
    switch_send(&load.switches[end->peer], &message);
    end->is_probed = true;
}

static void receive_packet_out(struct emulated_switch *sw, const struct of_packet_out *out)
{
    struct of_bytes list = out->actions;
    struct of_action action;
    load.count.packet_outs++;
    if (flows_answered_by_buffer(sw, out->buffer_id) || out->data.size < 14 || flows_answered(out->data) || get_be16(out->data.data + 12) != ETHERTYPE_LLDP)
        return;
    while (of_action_next(version(), &list, &action) > 0)
        if (action.kind == OFA_OUTPUT && action.port >= 1 && action.port <= sw->n_links)
            deliver_lldp(&sw->links[action.port - 1], out->data);
}

/* ---- all messages ---------------------------------------------------------------------------------------------- */

static void refuse(struct emulated_switch *sw, const struct of_message *message, const struct error *error, const void *bytes, size_t size)
{
    uint16_t type = 1, code = 1;
    if (load.count.refused++ == 0)
        snprintf(load.first_refused, sizeof(load.first_refused), "%.100s: %.100s", error->field, error->message);
    of_error_reply(version(), error, &type, &code);
    reply_error(sw, message->xid, type, code, bytes, size);
}

static void receive_role(struct emulated_switch *sw, const struct of_message *request)
{
    struct of_message message = *request;
    message.kind = OF_ROLE_REPLY;
    if (message.role.role == OFPCR_NOCHANGE)
        message.role.role = OFPCR_EQUAL;
    switch_send(sw, &message);
}

void switch_receive(struct emulated_switch *sw, const void *bytes, size_t size)
{
    struct of_message message, answer = {0};
    struct error error = {0};
    if (of_decode(version(), bytes, size, &message, &error) < 0) {
        refuse(sw, &message, &error, bytes, size);
        return;
    }
    switch (message.kind) {
    case OF_ECHO_REQUEST:
        switch_send(sw, &(struct of_message){.kind = OF_ECHO_REPLY, .xid = message.xid, .echo = message.echo});
        break;
    case OF_ECHO_REPLY:
        sw->echo_got = message.xid;
        break;
    case OF_FEATURES_REQUEST:
        send_features(sw, message.xid);
        break;
    case OF_GET_CONFIG_REQUEST:
        answer = (struct of_message){.kind = OF_GET_CONFIG_REPLY, .xid = message.xid, .config = {0, 0xffff}};
        switch_send(sw, &answer);
        break;
    case OF_BARRIER_REQUEST:
        reply(sw, OF_BARRIER_REPLY, message.xid);
        break;
    case OF_MULTIPART_REQUEST:
        receive_multipart(sw, &message, bytes, size);
        break;
    case OF_ROLE_REQUEST:
        receive_role(sw, &message);
        break;
    case OF_GET_ASYNC_REQUEST:
        answer = (struct of_message){.kind = OF_GET_ASYNC_REPLY, .xid = message.xid, .async = {{3}, {7}, {15}}};
        switch_send(sw, &answer);
        break;
    case OF_QUEUE_GET_CONFIG_REQUEST:
        answer = (struct of_message){.kind = OF_QUEUE_GET_CONFIG_REPLY, .xid = message.xid, .body = {(const uint8_t *)"\0\0\0\0\0\0\0", 8}};
        switch_send(sw, &answer);
        break;
    case OF_PACKET_OUT:
        receive_packet_out(sw, &message.packet_out);
        break;
    case OF_FLOW_MOD:
        receive_flow_mod(sw, &message.flow_mod);
        break;
    case OF_GROUP_MOD:
        load.count.group_mods++;
        break;
    case OF_ERROR:
        if (load.count.errors++ == 0) {
            char text[OF_ERROR_TEXT_SIZE];
            fprintf(stderr, "fabric-load: switch %u: the controller says %s\n", sw->index + 1,
                    of_error_text(version(), &message.error, text));
        }
        break;
    default: /* hello, set_config, port_mod, set_async, experimenters' settings: taken as they are. */
        break;
    }
}
