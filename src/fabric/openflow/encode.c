/* One message -> bytes.  Room is made for the longest that the message can become, so that a writer which is full means a
 * message that is too long. */
#include <string.h>

#include "weft/fabric/openflow/nicira.h"
#include "weft/fabric/openflow/wire.h"

#define FIXED_MAX_SIZE 256 /* More than any message has besides its match and its lists. */

static void put_bytes(struct writer *writer, struct of_bytes bytes)
{
    writer_bytes(writer, bytes.data, bytes.size);
}

/* ---- immutable messages ---------------------------------------------------------------------------------------- */

/* The bitmap is left out where the header alone says the same. */
static int encode_hello(enum of_version version, const struct of_hello *hello, struct writer *writer)
{
    if (hello->versions == 0 || (hello->versions & 1))
        return -EINVAL;
    if (hello->versions == (2u << version) - 2)
        return 0;
    writer_u16(writer, 1); /* OFPHET_VERSIONBITMAP. */
    writer_u16(writer, 8);
    writer_u32(writer, hello->versions);
    return 0;
}

static int encode_error(const struct of_error *error, struct writer *writer)
{
    writer_u16(writer, error->type);
    writer_u16(writer, error->code);
    put_bytes(writer, error->data);
    return 0;
}

static int encode_experimenter(const struct of_experimenter *message, struct writer *writer)
{
    writer_u32(writer, message->experimenter);
    writer_u32(writer, message->type);
    put_bytes(writer, message->data);
    return 0;
}

/* ---- the switch and its configuration -------------------------------------------------------------------------- */

static int encode_features(enum of_version version, const struct of_features *features, struct writer *writer)
{
    if (version == OF10 ? features->auxiliary_id != 0 : features->ports.size || features->actions)
        return -EPROTONOSUPPORT;
    if (features->ports.size % OF10_PORT_SIZE)
        return -EINVAL;
    writer_u64(writer, features->datapath_id);
    writer_u32(writer, features->n_buffers);
    writer_u8(writer, features->n_tables);
    writer_u8(writer, features->auxiliary_id);
    writer_u16(writer, 0);
    writer_u32(writer, features->capabilities);
    writer_u32(writer, features->actions);
    put_bytes(writer, features->ports);
    return 0;
}

static int encode_config(const struct of_config *config, struct writer *writer)
{
    writer_u16(writer, config->flags);
    writer_u16(writer, config->miss_send_len);
    return 0;
}

static int encode_port_status(enum of_version version, const struct of_port_status *status, struct writer *writer)
{
    uint8_t *at = writer_take(writer, 8);
    if (!at)
        return -ENOBUFS;
    at[0] = status->reason;
    return of_port_put(version, writer, &status->port);
}

static int encode_port_mod(enum of_version version, const struct of_port_mod *mod, struct writer *writer)
{
    if (version == OF10) {
        uint16_t number;
        int r = of_port_to10(mod->number, &number);
        if (r < 0)
            return r;
        writer_u16(writer, number);
        writer_bytes(writer, mod->mac.bytes, 6);
    } else {
        writer_u32(writer, mod->number);
        writer_u32(writer, 0);
        writer_bytes(writer, mod->mac.bytes, 6);
        writer_u16(writer, 0);
    }
    writer_u32(writer, mod->config);
    writer_u32(writer, mod->mask);
    writer_u32(writer, version == OF10 ? of_features_to10(mod->advertise) : mod->advertise);
    writer_u32(writer, 0);
    return 0;
}

static int encode_table_mod(const struct of_table_mod *mod, struct writer *writer)
{
    writer_u32(writer, (uint32_t)mod->table_id << 24);
    writer_u32(writer, mod->config);
    return 0;
}

/* ---- packets --------------------------------------------------------------------------------------------------- */

static int encode_packet_in10(const struct of_packet_in *message, struct writer *writer)
{
    uint16_t port;
    int r = of_port_to10(message->in_port, &port);
    if (r < 0)
        return r;
    if (message->match.fields & ~OFM_IN_PORT)
        return -EPROTONOSUPPORT;
    writer_u32(writer, message->buffer_id);
    writer_u16(writer, message->total_len);
    writer_u16(writer, port);
    writer_u8(writer, message->reason);
    writer_u8(writer, 0);
    put_bytes(writer, message->data);
    return 0;
}

static int encode_packet_in13(const struct of_packet_in *message, struct writer *writer)
{
    struct of_match match = message->match;
    if (message->in_port != OFPP_ANY || (match.fields & OFM_IN_PORT)) {
        match.fields |= OFM_IN_PORT;
        match.in_port = message->in_port;
    }
    writer_u32(writer, message->buffer_id);
    writer_u16(writer, message->total_len);
    writer_u8(writer, message->reason);
    writer_u8(writer, message->table_id);
    writer_u64(writer, message->cookie);
    int r = of_match13_encode(&match, writer);
    writer_u16(writer, 0);
    put_bytes(writer, message->data);
    return r;
}

static int encode_packet_out(enum of_version version, const struct of_packet_out *message, struct writer *writer)
{
    if (message->actions.size % 8)
        return -EINVAL;
    writer_u32(writer, message->buffer_id);
    if (version == OF10) {
        uint16_t port;
        int r = of_port_to10(message->in_port, &port);
        if (r < 0)
            return r;
        writer_u16(writer, port);
        writer_u16(writer, (uint16_t)message->actions.size);
    } else {
        writer_u32(writer, message->in_port);
        writer_u16(writer, (uint16_t)message->actions.size);
        writer_take(writer, 6);
    }
    put_bytes(writer, message->actions);
    put_bytes(writer, message->data);
    return 0;
}

/* ---- flows and groups ------------------------------------------------------------------------------------------ */

static int encode_flow_mod10(const struct of_flow_mod *mod, struct writer *writer)
{
    bool is_delete = mod->command >= OFPFC_DELETE;
    uint16_t out_port = 0xffff, flags = mod->flags;
    int r = is_delete ? of_port_to10(mod->out_port, &out_port) : 0;
    if (r < 0)
        return r;
    if ((mod->table_id != 0 && mod->table_id != OF_ALL_TABLES) || (is_delete && mod->out_group != OFPG_ANY) ||
        (mod->command != OFPFC_ADD && mod->cookie_mask) ||
        (flags & ~(OFPFF_SEND_FLOW_REM | OFPFF_CHECK_OVERLAP | OFPFF_EMERG)))
        return -EPROTONOSUPPORT;
    r = of_match10_encode(&mod->match, writer);
    uint8_t *at = r < 0 ? NULL : writer_take(writer, 24);
    if (!at)
        return r < 0 ? r : -ENOBUFS;
    put_be64(at, mod->cookie);
    put_be16(at + 8, mod->command);
    put_be16(at + 10, mod->idle_timeout_s);
    put_be16(at + 12, mod->hard_timeout_s);
    put_be16(at + 14, mod->priority);
    put_be32(at + 16, mod->buffer_id);
    put_be16(at + 20, out_port);
    put_be16(at + 22, (uint16_t)((flags & 3) | (flags & OFPFF_EMERG ? 4 : 0)));
    return is_delete ? 0 : of_instructions_encode(OF10, &mod->instructions, writer);
}

static int encode_flow_mod13(const struct of_flow_mod *mod, struct writer *writer)
{
    bool is_delete = mod->command >= OFPFC_DELETE;
    if (mod->flags & OFPFF_EMERG)
        return -EPROTONOSUPPORT;
    if (mod->flags & ~0x1f)
        return -EINVAL;
    uint8_t *at = writer_take(writer, 40);
    if (!at)
        return -ENOBUFS;
    put_be64(at, mod->cookie);
    put_be64(at + 8, mod->cookie_mask);
    at[16] = mod->table_id;
    at[17] = mod->command;
    put_be16(at + 18, mod->idle_timeout_s);
    put_be16(at + 20, mod->hard_timeout_s);
    put_be16(at + 22, mod->priority);
    put_be32(at + 24, mod->buffer_id);
    put_be32(at + 28, is_delete ? mod->out_port : OFPP_ANY);
    put_be32(at + 32, is_delete ? mod->out_group : OFPG_ANY);
    put_be16(at + 36, mod->flags);
    int r = of_match13_encode(&mod->match, writer);
    return r < 0 || is_delete ? r : of_instructions_encode(OF13, &mod->instructions, writer);
}

static int encode_flow_mod(enum of_version version, const struct of_flow_mod *mod, struct writer *writer)
{
    if (mod->command > OFPFC_DELETE_STRICT)
        return -EINVAL;
    return version == OF10 ? encode_flow_mod10(mod, writer) : encode_flow_mod13(mod, writer);
}

static int encode_flow_removed(enum of_version version, const struct of_flow_removed *removed, struct writer *writer)
{
    int r = version == OF10 ? of_match10_encode(&removed->match, writer) : 0;
    writer_u64(writer, removed->cookie);
    writer_u16(writer, removed->priority);
    writer_u8(writer, removed->reason);
    writer_u8(writer, version == OF10 ? 0 : removed->table_id);
    writer_u32(writer, removed->duration_s);
    writer_u32(writer, removed->duration_ns);
    writer_u16(writer, removed->idle_timeout_s);
    writer_u16(writer, version == OF10 ? 0 : removed->hard_timeout_s);
    writer_u64(writer, removed->packets);
    writer_u64(writer, removed->bytes);
    return version == OF10 ? r : of_match13_encode(&removed->match, writer);
}

static int encode_group_mod(const struct of_group_mod *mod, struct writer *writer)
{
    if (mod->command > OFPGC_DELETE || (mod->type > OFPGT_FF && mod->type < 128) || mod->buckets.size % 8)
        return -EINVAL;
    writer_u16(writer, mod->command);
    writer_u8(writer, mod->type);
    writer_u8(writer, 0);
    writer_u32(writer, mod->group_id);
    put_bytes(writer, mod->buckets);
    return 0;
}

/* ---- roles ----------------------------------------------------------------------------------------------------- */

static int encode_role(enum of_version version, bool reply, const struct of_role *role, struct writer *writer)
{
    if (role->role > OFPCR_SLAVE)
        return -EINVAL;
    if (version == OF13) {
        writer_u32(writer, role->role);
        writer_u32(writer, 0);
        writer_u64(writer, role->generation_id);
        return 0;
    }
    if (role->role == OFPCR_NOCHANGE)
        return -EPROTONOSUPPORT;
    writer_u32(writer, NICIRA);
    writer_u32(writer, reply ? NXT_ROLE_REPLY : NXT_ROLE_REQUEST);
    writer_u32(writer, role->role - OFPCR_EQUAL);
    return 0;
}

static int encode_async(const struct of_async *async, struct writer *writer)
{
    writer_u32(writer, async->packet_in[0]);
    writer_u32(writer, async->packet_in[1]);
    writer_u32(writer, async->port_status[0]);
    writer_u32(writer, async->port_status[1]);
    writer_u32(writer, async->flow_removed[0]);
    writer_u32(writer, async->flow_removed[1]);
    return 0;
}

/* ---- all messages ---------------------------------------------------------------------------------------------- */

static int encode_body(enum of_version version, const struct of_message *message, struct writer *writer)
{
    switch (message->kind) {
    case OF_HELLO:
        return encode_hello(version, &message->hello, writer);
    case OF_ERROR:
        return encode_error(&message->error, writer);
    case OF_ECHO_REQUEST:
    case OF_ECHO_REPLY:
        put_bytes(writer, message->echo);
        return 0;
    case OF_EXPERIMENTER:
        return encode_experimenter(&message->experimenter, writer);
    case OF_FEATURES_REPLY:
        return encode_features(version, &message->features, writer);
    case OF_GET_CONFIG_REPLY:
    case OF_SET_CONFIG:
        return encode_config(&message->config, writer);
    case OF_PACKET_IN:
        return version == OF10 ? encode_packet_in10(&message->packet_in, writer)
                               : encode_packet_in13(&message->packet_in, writer);
    case OF_FLOW_REMOVED:
        return encode_flow_removed(version, &message->flow_removed, writer);
    case OF_PORT_STATUS:
        return encode_port_status(version, &message->port_status, writer);
    case OF_PACKET_OUT:
        return encode_packet_out(version, &message->packet_out, writer);
    case OF_FLOW_MOD:
        return encode_flow_mod(version, &message->flow_mod, writer);
    case OF_GROUP_MOD:
        return encode_group_mod(&message->group_mod, writer);
    case OF_PORT_MOD:
        return encode_port_mod(version, &message->port_mod, writer);
    case OF_TABLE_MOD:
        return encode_table_mod(&message->table_mod, writer);
    case OF_MULTIPART_REQUEST:
        return of_multipart_request_encode(version, &message->multipart_request, writer);
    case OF_MULTIPART_REPLY:
        return of_multipart_reply_encode(version, &message->multipart_reply, writer);
    case OF_ROLE_REQUEST:
    case OF_ROLE_REPLY:
        return encode_role(version, message->kind == OF_ROLE_REPLY, &message->role, writer);
    case OF_GET_ASYNC_REPLY:
    case OF_SET_ASYNC:
        return encode_async(&message->async, writer);
    case OF_QUEUE_GET_CONFIG_REQUEST:
    case OF_QUEUE_GET_CONFIG_REPLY:
    case OF_METER_MOD:
        put_bytes(writer, message->body);
        return 0;
    default:
        return 0;
    }
}

static size_t match_size(const struct of_match *match)
{
    return OF13_MATCH_MAX_SIZE + (match->fields & OFM_OTHER ? match->others.size : 0);
}

static size_t instructions_size(const struct of_instructions *instructions)
{
    return instructions->apply_actions.size + instructions->write_actions.size + instructions->others.size;
}

/* What the variable parts take at most. */
static size_t variable_size(const struct of_message *message)
{
    switch (message->kind) {
    case OF_ERROR:
        return message->error.data.size;
    case OF_ECHO_REQUEST:
    case OF_ECHO_REPLY:
        return message->echo.size;
    case OF_EXPERIMENTER:
        return message->experimenter.data.size;
    case OF_FEATURES_REPLY:
        return message->features.ports.size;
    case OF_PACKET_IN:
        return match_size(&message->packet_in.match) + message->packet_in.data.size;
    case OF_FLOW_REMOVED:
        return match_size(&message->flow_removed.match);
    case OF_PACKET_OUT:
        return message->packet_out.actions.size + message->packet_out.data.size;
    case OF_FLOW_MOD:
        return match_size(&message->flow_mod.match) +
               (message->flow_mod.command < OFPFC_DELETE ? instructions_size(&message->flow_mod.instructions) : 0);
    case OF_GROUP_MOD:
        return message->group_mod.buckets.size;
    case OF_MULTIPART_REQUEST:
        return match_size(&message->multipart_request.flow.match) + message->multipart_request.body.size;
    case OF_MULTIPART_REPLY:
        return message->multipart_reply.body.size;
    case OF_QUEUE_GET_CONFIG_REQUEST:
    case OF_QUEUE_GET_CONFIG_REPLY:
    case OF_METER_MOD:
        return message->body.size;
    default:
        return 0;
    }
}

int of_encode(enum of_version version, const struct of_message *message, struct buffer *buffer)
{
    int type = of_type_of(version, message->kind);
    if (type < 0)
        return type;
    size_t room = FIXED_MAX_SIZE + variable_size(message);
    if (room > 4 * OF_MESSAGE_MAX_SIZE)
        return -EMSGSIZE;
    int r = buffer_reserve(buffer, room);
    if (r < 0)
        return r;

    struct writer writer = writer_of(buffer->data + buffer->size, room);
    uint8_t *header = writer_take(&writer, OF_HEADER_SIZE);
    r = encode_body(version, message, &writer);
    if (r == 0 && (writer.overflow || writer.size > OF_MESSAGE_MAX_SIZE))
        r = -EMSGSIZE;
    if (r < 0 || !header)
        return r == -ENOBUFS ? -EMSGSIZE : r;
    header[0] = (uint8_t)version;
    header[1] = (uint8_t)type;
    put_be16(header + 2, (uint16_t)writer.size);
    put_be32(header + 4, message->xid);
    buffer->size += writer.size;
    return 0;
}
