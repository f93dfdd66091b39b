/* Messages as JSON; see describe.h. */
#include "describe.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"

/* ---- JSON ------------------------------------------------------------------------------------------------------ */

static void check(int result)
{
    if (result < 0)
        abort();
}

static void key(struct buffer *out, const char *name)
{
    if (out->size && out->data[out->size - 1] != '{' && out->data[out->size - 1] != '[')
        check(buffer_append_string(out, ","));
    if (name)
        check(buffer_printf(out, "\"%s\":", name));
}

static void number(struct buffer *out, const char *name, uint64_t value)
{
    key(out, name);
    check(buffer_printf(out, "%" PRIu64, value));
}

static void text(struct buffer *out, const char *name, const char *value)
{
    key(out, name);
    check(buffer_append_string(out, "\""));
    for (; *value; value++)
        check(buffer_printf(out, *value == '"' || *value == '\\' ? "\\%c" : "%c", *value));
    check(buffer_append_string(out, "\""));
}

static void bytes(struct buffer *out, const char *name, struct of_bytes value)
{
    key(out, name);
    check(buffer_append_string(out, "\""));
    for (size_t i = 0; i < value.size; i++)
        check(buffer_printf(out, "%02x", value.data[i]));
    check(buffer_append_string(out, "\""));
}

static void mac(struct buffer *out, const char *name, const struct mac_address *value)
{
    char buffer[MAC_TEXT_SIZE];
    text(out, name, mac_format(value, buffer));
}

static void ip(struct buffer *out, const char *name, const struct ip_address *value)
{
    char buffer[IP_TEXT_SIZE];
    text(out, name, ip_format(value, buffer));
}

/* A mask's first 96 bits are ones in IPv4, which has no text. */
static void ip_mask(struct buffer *out, const char *name, const struct ip_address *value)
{
    bytes(out, name, (struct of_bytes){value->bytes, 16});
}

static void begin(struct buffer *out, const char *name, char bracket)
{
    key(out, name);
    check(buffer_append(out, &bracket, 1));
}

static void end(struct buffer *out, char bracket)
{
    check(buffer_append(out, &bracket, 1));
}

/* ---- parts ----------------------------------------------------------------------------------------------------- */

static int compare_entries(const void *a, const void *b)
{
    const struct of_bytes *x = a, *y = b;
    int order = memcmp(x->data, y->data, MIN(x->size, y->size));
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

/* Sorted: encoding puts them in another order. */
static void describe_others(struct of_bytes others, struct buffer *out)
{
    struct of_bytes *entries = NULL, entry;
    size_t n = 0;
    while (of_match_other_next(&others, &entry)) {
        struct of_bytes *more = realloc(entries, (n + 1) * sizeof(*entries));
        if (!more)
            abort();
        entries = more;
        entries[n++] = entry;
    }
    if (n)
        qsort(entries, n, sizeof(*entries), compare_entries);
    begin(out, "others", '[');
    for (size_t i = 0; i < n; i++)
        bytes(out, NULL, entries[i]);
    end(out, ']');
    free(entries);
}

static void describe_link(const struct of_match *match, struct buffer *out)
{
    if (match->fields & OFM_IN_PORT)
        number(out, "in_port", match->in_port);
    if (match->fields & OFM_IN_PHY_PORT)
        number(out, "in_phy_port", match->in_phy_port);
    if (match->fields & OFM_METADATA) {
        number(out, "metadata", match->metadata);
        number(out, "metadata_mask", match->metadata_mask);
    }
    if (match->fields & OFM_TUNNEL_ID) {
        number(out, "tunnel_id", match->tunnel_id);
        number(out, "tunnel_id_mask", match->tunnel_id_mask);
    }
    if (match->fields & OFM_ETH_DST) {
        mac(out, "eth_dst", &match->eth_dst);
        mac(out, "eth_dst_mask", &match->eth_dst_mask);
    }
    if (match->fields & OFM_ETH_SRC) {
        mac(out, "eth_src", &match->eth_src);
        mac(out, "eth_src_mask", &match->eth_src_mask);
    }
    if (match->fields & OFM_ETH_TYPE)
        number(out, "eth_type", match->eth_type);
    if (match->fields & OFM_VLAN_VID)
        number(out, "vlan_vid", match->vlan_vid);
    if (match->fields & OFM_VLAN_PCP)
        number(out, "vlan_pcp", match->vlan_pcp);
    if (match->fields & OFM_MPLS_LABEL)
        number(out, "mpls_label", match->mpls_label);
}

static void describe_match(const char *name, const struct of_match *match, struct buffer *out)
{
    begin(out, name, '{');
    number(out, "fields", match->fields);
    describe_link(match, out);
    if (match->fields & OFM_IP_DSCP)
        number(out, "ip_dscp", match->ip_dscp);
    if (match->fields & OFM_IP_ECN)
        number(out, "ip_ecn", match->ip_ecn);
    if (match->fields & OFM_IP_PROTO)
        number(out, "ip_proto", match->ip_proto);
    if (match->fields & (OFM_IP_SRC | OFM_ARP_SPA)) {
        ip(out, "ip_src", &match->ip_src);
        ip_mask(out, "ip_src_mask", &match->ip_src_mask);
    }
    if (match->fields & (OFM_IP_DST | OFM_ARP_TPA)) {
        ip(out, "ip_dst", &match->ip_dst);
        ip_mask(out, "ip_dst_mask", &match->ip_dst_mask);
    }
    if (match->fields & OFM_TP_SRC)
        number(out, "tp_src", match->tp_src);
    if (match->fields & OFM_TP_DST)
        number(out, "tp_dst", match->tp_dst);
    if (match->fields & OFM_ICMP_TYPE)
        number(out, "icmp_type", match->icmp_type);
    if (match->fields & OFM_ICMP_CODE)
        number(out, "icmp_code", match->icmp_code);
    if (match->fields & OFM_ARP_OP)
        number(out, "arp_op", match->arp_op);
    if (match->fields & OFM_ND_TARGET)
        ip(out, "nd_target", &match->nd_target);
    if (match->fields & OFM_OTHER)
        describe_others(match->others, out);
    end(out, '}');
}

static void describe_action(const struct of_action *action, struct buffer *out)
{
    static const char *const names[] = {"?",           "output",      "group",      "push_vlan",  "pop_vlan",    "set_vlan_vid",
                                        "set_vlan_pcp", "set_eth_src", "set_eth_dst", "set_ip_src", "set_ip_dst",  "set_ip_dscp",
                                        "set_tp_src",  "set_tp_dst",  "set_queue",  "dec_ttl",    "bundle",      "other"};
    begin(out, NULL, '{');
    text(out, "action", names[action->kind]);
    switch (action->kind) {
    case OFA_OUTPUT:
        number(out, "port", action->port);
        number(out, "max_len", action->max_len);
        break;
    case OFA_SET_QUEUE:
        number(out, "port", action->port);
        number(out, "id", action->id);
        break;
    case OFA_GROUP:
        number(out, "id", action->id);
        break;
    case OFA_SET_TP_SRC:
    case OFA_SET_TP_DST:
        number(out, "protocol", action->protocol);
        number(out, "number", action->number);
        break;
    case OFA_PUSH_VLAN:
    case OFA_SET_VLAN_VID:
        number(out, "number", action->number);
        break;
    case OFA_SET_VLAN_PCP:
    case OFA_SET_IP_DSCP:
        number(out, "byte", action->byte);
        break;
    case OFA_SET_ETH_SRC:
    case OFA_SET_ETH_DST:
        mac(out, "mac", &action->mac);
        break;
    case OFA_SET_IP_SRC:
    case OFA_SET_IP_DST:
        ip(out, "ip", &action->ip);
        break;
    case OFA_BUNDLE:
        number(out, "basis", action->basis);
        begin(out, "ports", '[');
        for (size_t i = 0; i < action->n_ports; i++)
            number(out, NULL, of_bundle_port(action, i));
        end(out, ']');
        break;
    case OFA_OTHER:
        bytes(out, "wire", action->wire);
        break;
    default:
        break;
    }
    end(out, '}');
}

static void describe_actions(const char *name, enum of_version version, struct of_bytes list, struct buffer *out)
{
    struct of_action action;
    int r;
    begin(out, name, '[');
    while ((r = of_action_next(version, &list, &action)) > 0)
        describe_action(&action, out);
    check(r);
    end(out, ']');
}

static void describe_instructions(enum of_version version, const struct of_instructions *instructions, struct buffer *out)
{
    begin(out, "instructions", '{');
    describe_actions("apply_actions", version, instructions->apply_actions, out);
    describe_actions("write_actions", version, instructions->write_actions, out);
    number(out, "clear_actions", instructions->clear_actions);
    number(out, "goto_table", instructions->goto_table ? instructions->goto_table : OF_NO_TABLE);
    number(out, "metadata", instructions->metadata_mask ? instructions->metadata : 0);
    number(out, "metadata_mask", instructions->metadata_mask);
    number(out, "meter", instructions->meter);
    begin(out, "others", '[');
    for (struct of_bytes list = instructions->others; list.size;) {
        size_t size = get_be16(list.data + 2);
        if (get_be16(list.data) == 0xffff)
            bytes(out, NULL, (struct of_bytes){list.data, size});
        list = (struct of_bytes){list.data + size, list.size - size};
    }
    end(out, ']');
    end(out, '}');
}

static void describe_port(const struct of_port *port, struct buffer *out)
{
    begin(out, NULL, '{');
    number(out, "number", port->number);
    mac(out, "mac", &port->mac);
    text(out, "name", port->name);
    number(out, "config", port->config);
    number(out, "state", port->state);
    number(out, "current", port->current);
    number(out, "advertised", port->advertised);
    number(out, "supported", port->supported);
    number(out, "peer", port->peer);
    number(out, "current_kbps", port->current_kbps);
    number(out, "maximum_kbps", port->maximum_kbps);
    end(out, '}');
}

static void describe_ports(enum of_version version, struct of_bytes list, struct buffer *out)
{
    struct of_port port;
    int r;
    begin(out, "ports", '[');
    while ((r = of_port_next(version, &list, &port)) > 0)
        describe_port(&port, out);
    check(r);
    end(out, ']');
}

static void describe_buckets(enum of_version version, struct of_bytes list, struct buffer *out)
{
    struct of_bucket bucket;
    int r;
    begin(out, "buckets", '[');
    while ((r = of_bucket_next(version, &list, &bucket)) > 0) {
        begin(out, NULL, '{');
        number(out, "weight", bucket.weight);
        number(out, "watch_port", bucket.watch_port);
        number(out, "watch_group", bucket.watch_group);
        describe_actions("actions", version, bucket.actions, out);
        end(out, '}');
    }
    check(r);
    end(out, ']');
}

/* ---- multipart ------------------------------------------------------------------------------------------------- */

static void describe_request(const struct of_multipart_request *request, struct buffer *out)
{
    number(out, "type", request->type);
    number(out, "flags", request->flags);
    number(out, "port", request->port);
    number(out, "id", request->id);
    bytes(out, "body", request->body);
    if (request->type != OFMP_FLOW && request->type != OFMP_AGGREGATE)
        return;
    number(out, "table_id", request->flow.table_id);
    number(out, "out_port", request->flow.out_port);
    number(out, "out_group", request->flow.out_group);
    number(out, "cookie", request->flow.cookie);
    number(out, "cookie_mask", request->flow.cookie_mask);
    describe_match("match", &request->flow.match, out);
}

static void describe_flows(enum of_version version, struct of_bytes list, struct buffer *out)
{
    struct of_flow_stats stats;
    int r;
    begin(out, "flows", '[');
    while ((r = of_flow_stats_next(version, &list, &stats)) > 0) {
        begin(out, NULL, '{');
        number(out, "table_id", stats.table_id);
        number(out, "duration_s", stats.duration_s);
        number(out, "duration_ns", stats.duration_ns);
        number(out, "priority", stats.priority);
        number(out, "idle_timeout_s", stats.idle_timeout_s);
        number(out, "hard_timeout_s", stats.hard_timeout_s);
        number(out, "flags", stats.flags);
        number(out, "cookie", stats.cookie);
        number(out, "packets", stats.packets);
        number(out, "bytes", stats.bytes);
        describe_match("match", &stats.match, out);
        describe_instructions(version, &stats.instructions, out);
        end(out, '}');
    }
    check(r);
    end(out, ']');
}

static void describe_port_stats(enum of_version version, struct of_bytes list, struct buffer *out)
{
    struct of_port_stats stats;
    int r;
    begin(out, "port_stats", '[');
    while ((r = of_port_stats_next(version, &list, &stats)) > 0) {
        begin(out, NULL, '{');
        number(out, "number", stats.number);
        number(out, "rx_packets", stats.rx_packets);
        number(out, "tx_packets", stats.tx_packets);
        number(out, "rx_bytes", stats.rx_bytes);
        number(out, "tx_bytes", stats.tx_bytes);
        number(out, "rx_dropped", stats.rx_dropped);
        number(out, "tx_dropped", stats.tx_dropped);
        number(out, "rx_errors", stats.rx_errors);
        number(out, "tx_errors", stats.tx_errors);
        number(out, "collisions", stats.collisions);
        number(out, "rx_frame_errors", stats.rx_frame_errors);
        number(out, "rx_overruns", stats.rx_overruns);
        number(out, "rx_crc_errors", stats.rx_crc_errors);
        number(out, "duration_s", stats.duration_s);
        end(out, '}');
    }
    check(r);
    end(out, ']');
}

static void describe_tables(enum of_version version, struct of_bytes list, struct buffer *out)
{
    struct of_table_stats stats;
    int r;
    begin(out, "tables", '[');
    while ((r = of_table_stats_next(version, &list, &stats)) > 0) {
        begin(out, NULL, '{');
        number(out, "table_id", stats.table_id);
        number(out, "n_active", stats.n_active);
        number(out, "lookups", stats.lookups);
        number(out, "matches", stats.matches);
        number(out, "n_max", stats.n_max);
        end(out, '}');
    }
    check(r);
    end(out, ']');
}

static void describe_groups(enum of_version version, struct of_bytes list, struct buffer *out)
{
    struct of_group_desc desc;
    int r;
    begin(out, "groups", '[');
    while ((r = of_group_desc_next(version, &list, &desc)) > 0) {
        begin(out, NULL, '{');
        number(out, "type", desc.type);
        number(out, "group_id", desc.group_id);
        describe_buckets(version, desc.buckets, out);
        end(out, '}');
    }
    check(r);
    end(out, ']');
}

static void describe_group_stats(enum of_version version, struct of_bytes list, struct buffer *out)
{
    struct of_group_stats stats;
    int r;
    begin(out, "group_stats", '[');
    while ((r = of_group_stats_next(version, &list, &stats)) > 0) {
        begin(out, NULL, '{');
        number(out, "group_id", stats.group_id);
        number(out, "n_references", stats.n_references);
        number(out, "packets", stats.packets);
        number(out, "bytes", stats.bytes);
        number(out, "duration_s", stats.duration_s);
        number(out, "duration_ns", stats.duration_ns);
        bytes(out, "buckets", stats.buckets);
        end(out, '}');
    }
    check(r);
    end(out, ']');
}

static void describe_desc(struct of_bytes body, struct buffer *out)
{
    struct of_desc desc;
    check(of_desc_get(body, &desc));
    text(out, "manufacturer", desc.manufacturer);
    text(out, "hardware", desc.hardware);
    text(out, "software", desc.software);
    text(out, "serial", desc.serial);
    text(out, "datapath", desc.datapath);
}

static void describe_reply(enum of_version version, const struct of_multipart_reply *reply, struct buffer *out)
{
    struct of_aggregate aggregate;
    number(out, "type", reply->type);
    number(out, "flags", reply->flags);
    switch (reply->type) {
    case OFMP_DESC:
        describe_desc(reply->body, out);
        break;
    case OFMP_FLOW:
        describe_flows(version, reply->body, out);
        break;
    case OFMP_AGGREGATE:
        check(of_aggregate_get(reply->body, &aggregate));
        number(out, "packets", aggregate.packets);
        number(out, "bytes", aggregate.bytes);
        number(out, "n_flows", aggregate.n_flows);
        break;
    case OFMP_TABLE:
        describe_tables(version, reply->body, out);
        break;
    case OFMP_PORT_STATS:
        describe_port_stats(version, reply->body, out);
        break;
    case OFMP_PORT_DESC:
        describe_ports(version, reply->body, out);
        break;
    case OFMP_GROUP_DESC:
        describe_groups(version, reply->body, out);
        break;
    case OFMP_GROUP:
        describe_group_stats(version, reply->body, out);
        break;
    default:
        bytes(out, "body", reply->body);
    }
}

/* ---- messages -------------------------------------------------------------------------------------------------- */

static void describe_features(enum of_version version, const struct of_features *features, struct buffer *out)
{
    number(out, "datapath_id", features->datapath_id);
    number(out, "n_buffers", features->n_buffers);
    number(out, "n_tables", features->n_tables);
    number(out, "auxiliary_id", features->auxiliary_id);
    number(out, "capabilities", features->capabilities);
    number(out, "actions", features->actions);
    describe_ports(version, features->ports, out);
}

static void describe_packet_in(const struct of_packet_in *message, struct buffer *out)
{
    number(out, "buffer_id", message->buffer_id);
    number(out, "total_len", message->total_len);
    number(out, "reason", message->reason);
    number(out, "table_id", message->table_id);
    number(out, "cookie", message->cookie);
    number(out, "in_port", message->in_port);
    describe_match("match", &message->match, out);
    bytes(out, "data", message->data);
}

static void describe_flow_mod(enum of_version version, const struct of_flow_mod *mod, struct buffer *out)
{
    number(out, "cookie", mod->cookie);
    number(out, "cookie_mask", mod->cookie_mask);
    number(out, "table_id", mod->table_id);
    number(out, "command", mod->command);
    number(out, "idle_timeout_s", mod->idle_timeout_s);
    number(out, "hard_timeout_s", mod->hard_timeout_s);
    number(out, "priority", mod->priority);
    number(out, "flags", mod->flags);
    number(out, "buffer_id", mod->buffer_id);
    number(out, "out_port", mod->out_port);
    number(out, "out_group", mod->out_group);
    describe_match("match", &mod->match, out);
    describe_instructions(version, &mod->instructions, out);
}

static void describe_flow_removed(const struct of_flow_removed *removed, struct buffer *out)
{
    number(out, "cookie", removed->cookie);
    number(out, "priority", removed->priority);
    number(out, "reason", removed->reason);
    number(out, "table_id", removed->table_id);
    number(out, "idle_timeout_s", removed->idle_timeout_s);
    number(out, "hard_timeout_s", removed->hard_timeout_s);
    number(out, "duration_s", removed->duration_s);
    number(out, "duration_ns", removed->duration_ns);
    number(out, "packets", removed->packets);
    number(out, "bytes", removed->bytes);
    describe_match("match", &removed->match, out);
}

static void describe_async(const struct of_async *async, struct buffer *out)
{
    for (int i = 0; i < 2; i++) {
        number(out, i ? "packet_in_slave" : "packet_in", async->packet_in[i]);
        number(out, i ? "port_status_slave" : "port_status", async->port_status[i]);
        number(out, i ? "flow_removed_slave" : "flow_removed", async->flow_removed[i]);
    }
}

static void describe_body(enum of_version version, const struct of_message *message, struct buffer *out)
{
    switch (message->kind) {
    case OF_HELLO:
        number(out, "versions", message->hello.versions);
        break;
    case OF_ERROR:
        number(out, "type", message->error.type);
        number(out, "code", message->error.code);
        bytes(out, "data", message->error.data);
        break;
    case OF_ECHO_REQUEST:
    case OF_ECHO_REPLY:
        bytes(out, "data", message->echo);
        break;
    case OF_EXPERIMENTER:
        number(out, "experimenter", message->experimenter.experimenter);
        number(out, "type", message->experimenter.type);
        bytes(out, "data", message->experimenter.data);
        break;
    case OF_FEATURES_REPLY:
        describe_features(version, &message->features, out);
        break;
    case OF_GET_CONFIG_REPLY:
    case OF_SET_CONFIG:
        number(out, "flags", message->config.flags);
        number(out, "miss_send_len", message->config.miss_send_len);
        break;
    case OF_PACKET_IN:
        describe_packet_in(&message->packet_in, out);
        break;
    case OF_FLOW_REMOVED:
        describe_flow_removed(&message->flow_removed, out);
        break;
    case OF_PORT_STATUS:
        number(out, "reason", message->port_status.reason);
        begin(out, "ports", '[');
        describe_port(&message->port_status.port, out);
        end(out, ']');
        break;
    case OF_PACKET_OUT:
        number(out, "buffer_id", message->packet_out.buffer_id);
        number(out, "in_port", message->packet_out.in_port);
        describe_actions("actions", version, message->packet_out.actions, out);
        bytes(out, "data", message->packet_out.data);
        break;
    case OF_FLOW_MOD:
        describe_flow_mod(version, &message->flow_mod, out);
        break;
    case OF_GROUP_MOD:
        number(out, "command", message->group_mod.command);
        number(out, "type", message->group_mod.type);
        number(out, "group_id", message->group_mod.group_id);
        describe_buckets(version, message->group_mod.buckets, out);
        break;
    case OF_PORT_MOD:
        number(out, "number", message->port_mod.number);
        mac(out, "mac", &message->port_mod.mac);
        number(out, "config", message->port_mod.config);
        number(out, "mask", message->port_mod.mask);
        number(out, "advertise", message->port_mod.advertise);
        break;
    case OF_TABLE_MOD:
        number(out, "table_id", message->table_mod.table_id);
        number(out, "config", message->table_mod.config);
        break;
    case OF_MULTIPART_REQUEST:
        describe_request(&message->multipart_request, out);
        break;
    case OF_MULTIPART_REPLY:
        describe_reply(version, &message->multipart_reply, out);
        break;
    case OF_QUEUE_GET_CONFIG_REQUEST:
    case OF_QUEUE_GET_CONFIG_REPLY:
    case OF_METER_MOD:
        bytes(out, "body", message->body);
        break;
    case OF_ROLE_REQUEST:
    case OF_ROLE_REPLY:
        number(out, "role", message->role.role);
        number(out, "generation_id", message->role.generation_id);
        break;
    case OF_GET_ASYNC_REPLY:
    case OF_SET_ASYNC:
        describe_async(&message->async, out);
        break;
    default:
        break;
    }
}

void describe(enum of_version version, const struct of_message *message, struct buffer *ret)
{
    begin(ret, NULL, '{');
    text(ret, "kind", of_kind_name(message->kind));
    number(ret, "xid", message->xid);
    describe_body(version, message, ret);
    end(ret, '}');
    if (!buffer_string(ret))
        abort();
}
