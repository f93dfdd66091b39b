/* Bytes -> one message.  Each function has the message without its header in a reader, and leaves nothing in it unless the
 * message ends with data of any length. */
#include <string.h>

#include "weft/fabric/openflow/nicira.h"
#include "weft/fabric/openflow/wire.h"

static struct of_bytes rest_of(struct reader *body)
{
    struct of_bytes rest = of_bytes_of(body->at, reader_left(body));
    body->at = body->end;
    return rest;
}

/* The fixed part of a message, of at least this size. */
static const uint8_t *take(struct reader *body, size_t size, struct error *error)
{
    const uint8_t *at = reader_take(body, size);
    if (!at)
        of_bad_size(error, NULL, OF_HEADER_SIZE + reader_left(body), OF_HEADER_SIZE + size);
    return at;
}

/* Of exactly this size. */
static const uint8_t *take_all(struct reader *body, size_t size, struct error *error)
{
    if (reader_left(body) == size)
        return reader_take(body, size);
    of_bad_size(error, NULL, OF_HEADER_SIZE + reader_left(body), OF_HEADER_SIZE + size);
    return NULL;
}

static int decode_empty(struct reader *body, struct error *error)
{
    return take_all(body, 0, error) ? 0 : -EBADMSG;
}

/* ---- immutable messages ---------------------------------------------------------------------------------------- */

/* Elements of type, length and contents, padded to 8 bytes (1.3.5, 7.5.1).  False when one of them ends where it cannot. */
static bool decode_hello_elements(struct of_bytes list, uint32_t *ret_versions)
{
    while (list.size) {
        struct of_bytes element;
        if (of_element_take(&list, 2, 4, true, &element) < 0)
            return false;
        if (get_be16(element.data) == 1 && element.size >= 8) /* OFPHET_VERSIONBITMAP; words behind the first: no such versions. */
            *ret_versions = get_be32(element.data + 4) & ~1u;
    }
    return true;
}

/* Versions before 1.3 have no elements: there, what does not look like them is passed over, as the standard asks. */
static int decode_hello(uint8_t version, struct reader *body, struct of_hello *ret, struct error *error)
{
    uint32_t versions = version < 31 ? (2u << version) - 2 : ~1u, told = versions;
    if (version == 0)
        return of_bad(error, "OFPBRC_BAD_VERSION", NULL, "version 0");
    if (decode_hello_elements(rest_of(body), &told))
        versions = told;
    else if (version >= OF13)
        return of_bad(error, "OFPBRC_BAD_LEN", "elements", "one ends where it cannot");
    ret->versions = versions;
    return 0;
}

static int decode_error(struct reader *body, struct of_error *ret, struct error *error)
{
    const uint8_t *at = take(body, 4, error);
    if (!at)
        return -EBADMSG;
    ret->type = get_be16(at);
    ret->code = get_be16(at + 2);
    ret->data = rest_of(body);
    return 0;
}

/* In 1.0 Nicira's roles come as this and become their own kinds. */
static int decode_role10(struct reader *body, struct of_message *ret, struct error *error)
{
    ret->kind = get_be32(body->at + 4) == NXT_ROLE_REQUEST ? OF_ROLE_REQUEST : OF_ROLE_REPLY;
    const uint8_t *at = take_all(body, 12, error);
    if (!at)
        return -EBADMSG;
    uint32_t role = get_be32(at + 8);
    ret->role = (struct of_role){.role = role + OFPCR_EQUAL};
    return role <= OFPCR_SLAVE - OFPCR_EQUAL ? 0 : of_bad(error, "OFPRRFC_BAD_ROLE", "role", "%u", role);
}

static int decode_experimenter(enum of_version version, struct reader *body, struct of_message *ret, struct error *error)
{
    const uint8_t *at = take(body, version == OF10 ? 4 : 8, error);
    if (!at)
        return -EBADMSG;
    struct of_experimenter *message = &ret->experimenter;
    *message = (struct of_experimenter){.experimenter = get_be32(at)};
    if (version == OF13) {
        message->type = get_be32(at + 4);
    } else if (reader_left(body) >= 4) {
        message->type = get_be32(reader_take(body, 4));
        if (message->experimenter == NICIRA && (message->type == NXT_ROLE_REQUEST || message->type == NXT_ROLE_REPLY)) {
            body->at = at;
            return decode_role10(body, ret, error);
        }
    }
    message->data = rest_of(body);
    return 0;
}

/* ---- the switch and its configuration -------------------------------------------------------------------------- */

static int decode_features(enum of_version version, struct reader *body, struct of_features *ret, struct error *error)
{
    const uint8_t *at = version == OF10 ? take(body, 24, error) : take_all(body, 24, error);
    if (!at)
        return -EBADMSG;
    *ret = (struct of_features){.datapath_id = get_be64(at),
                                .n_buffers = get_be32(at + 8),
                                .n_tables = at[12],
                                .auxiliary_id = version == OF10 ? 0 : at[13],
                                .capabilities = get_be32(at + 16),
                                .actions = version == OF10 ? get_be32(at + 20) : 0,
                                .ports = rest_of(body)};
    return ret->ports.size % OF10_PORT_SIZE
               ? of_bad(error, "OFPBRC_BAD_LEN", "ports", "%zu bytes are no list of ports", ret->ports.size)
               : 0;
}

static int decode_config(struct reader *body, struct of_config *ret, struct error *error)
{
    const uint8_t *at = take_all(body, 4, error);
    if (!at)
        return -EBADMSG;
    ret->flags = get_be16(at);
    ret->miss_send_len = get_be16(at + 2);
    return 0;
}

static int decode_port_status(enum of_version version, struct reader *body, struct of_port_status *ret, struct error *error)
{
    const uint8_t *at = take_all(body, 8 + (version == OF10 ? OF10_PORT_SIZE : OF13_PORT_SIZE), error);
    if (!at)
        return -EBADMSG;
    ret->reason = at[0];
    of_port_decode(version, at + 8, &ret->port);
    return 0;
}

static int decode_port_mod(enum of_version version, struct reader *body, struct of_port_mod *ret, struct error *error)
{
    size_t numbers = version == OF10 ? 8 : 16; /* Where what follows number and MAC begins. */
    const uint8_t *at = take_all(body, numbers + 16, error);
    if (!at)
        return -EBADMSG;
    ret->number = version == OF10 ? of_port_from10(get_be16(at)) : get_be32(at);
    memcpy(ret->mac.bytes, at + (version == OF10 ? 2 : 8), 6);
    ret->config = get_be32(at + numbers);
    ret->mask = get_be32(at + numbers + 4);
    ret->advertise = get_be32(at + numbers + 8);
    if (version == OF10)
        ret->advertise = of_features_from10(ret->advertise);
    return 0;
}

static int decode_table_mod(struct reader *body, struct of_table_mod *ret, struct error *error)
{
    const uint8_t *at = take_all(body, 8, error);
    if (!at)
        return -EBADMSG;
    ret->table_id = at[0];
    ret->config = get_be32(at + 4);
    return 0;
}

/* ---- packets --------------------------------------------------------------------------------------------------- */

static int decode_packet_in10(struct reader *body, struct of_packet_in *ret, struct error *error)
{
    const uint8_t *at = take(body, 10, error);
    if (!at)
        return -EBADMSG;
    memset(&ret->match, 0, sizeof(ret->match));
    ret->buffer_id = get_be32(at);
    ret->total_len = get_be16(at + 4);
    ret->in_port = of_port_from10(get_be16(at + 6));
    ret->reason = at[8];
    ret->table_id = 0;
    ret->cookie = UINT64_MAX;
    ret->match.fields = OFM_IN_PORT;
    ret->match.in_port = ret->in_port;
    ret->data = rest_of(body);
    return 0;
}

static int decode_packet_in13(struct reader *body, struct of_packet_in *ret, struct error *error)
{
    const uint8_t *at = take(body, 16, error);
    if (!at)
        return -EBADMSG;
    ret->buffer_id = get_be32(at);
    ret->total_len = get_be16(at + 4);
    ret->reason = at[6];
    ret->table_id = at[7];
    ret->cookie = get_be64(at + 8);
    int r = of_match13_decode(body, &ret->match, error);
    if (r < 0)
        return r;
    if (!take(body, 2, error)) /* Two bytes of padding, so that the IP header behind Ethernet's is aligned. */
        return -EBADMSG;
    ret->in_port = ret->match.fields & OFM_IN_PORT ? ret->match.in_port : OFPP_ANY;
    ret->data = rest_of(body);
    return 0;
}

static int decode_packet_out(enum of_version version, struct reader *body, struct of_packet_out *ret, struct error *error)
{
    const uint8_t *at = take(body, version == OF10 ? 8 : 16, error);
    if (!at)
        return -EBADMSG;
    size_t size = get_be16(at + (version == OF10 ? 6 : 8));
    ret->buffer_id = get_be32(at);
    ret->in_port = version == OF10 ? of_port_from10(get_be16(at + 4)) : get_be32(at + 4);
    at = reader_take(body, size);
    if (!at)
        return of_bad(error, "OFPBRC_BAD_LEN", "actions_len", "%zu, where %zu bytes are left", size, reader_left(body));
    ret->actions = of_bytes_of(at, size);
    ret->data = rest_of(body);
    return of_actions_check(version, ret->actions, error);
}

/* ---- flows and groups ------------------------------------------------------------------------------------------ */

static int decode_flow_flags(enum of_version version, uint16_t wire, uint16_t *ret, struct error *error)
{
    if (wire & ~(version == OF10 ? 0x07 : 0x1f))
        return of_bad(error, "OFPFMFC_BAD_FLAGS", "flags", "%#x", wire);
    *ret = version == OF10 && (wire & 4) ? (uint16_t)((wire & 3) | OFPFF_EMERG) : wire;
    return 0;
}

static int decode_flow_mod10(struct reader *body, struct of_flow_mod *ret, struct error *error)
{
    const uint8_t *at = take(body, OF10_MATCH_SIZE + 24, error);
    if (!at)
        return -EBADMSG;
    of_match10_decode(at, &ret->match);
    at += OF10_MATCH_SIZE;
    ret->cookie = get_be64(at);
    ret->cookie_mask = 0;
    ret->table_id = 0;
    ret->command = (uint8_t)MIN(get_be16(at + 8), 0xff);
    ret->idle_timeout_s = get_be16(at + 10);
    ret->hard_timeout_s = get_be16(at + 12);
    ret->priority = get_be16(at + 14);
    ret->buffer_id = get_be32(at + 16);
    ret->out_port = of_port_from10(get_be16(at + 20));
    ret->out_group = OFPG_ANY;
    return decode_flow_flags(OF10, get_be16(at + 22), &ret->flags, error);
}

static int decode_flow_mod13(struct reader *body, struct of_flow_mod *ret, struct error *error)
{
    const uint8_t *at = take(body, 40, error);
    if (!at)
        return -EBADMSG;
    ret->cookie = get_be64(at);
    ret->cookie_mask = get_be64(at + 8);
    ret->table_id = at[16];
    ret->command = at[17];
    ret->idle_timeout_s = get_be16(at + 18);
    ret->hard_timeout_s = get_be16(at + 20);
    ret->priority = get_be16(at + 22);
    ret->buffer_id = get_be32(at + 24);
    ret->out_port = get_be32(at + 28);
    ret->out_group = get_be32(at + 32);
    int r = decode_flow_flags(OF13, get_be16(at + 36), &ret->flags, error);
    return r < 0 ? r : of_match13_decode(body, &ret->match, error);
}

static int decode_flow_mod(enum of_version version, struct reader *body, struct of_flow_mod *ret, struct error *error)
{
    int r = version == OF10 ? decode_flow_mod10(body, ret, error) : decode_flow_mod13(body, ret, error);
    if (r < 0)
        return r;
    if (ret->command > OFPFC_DELETE_STRICT)
        return of_bad(error, "OFPFMFC_BAD_COMMAND", "command", "%u", ret->command);
    r = of_instructions_decode(version, rest_of(body), &ret->instructions, error);
    if (ret->command < OFPFC_DELETE) {
        ret->out_port = OFPP_ANY;
        ret->out_group = OFPG_ANY;
    } else if (r == 0) {
        ret->instructions = (struct of_instructions){.goto_table = OF_NO_TABLE};
    }
    return r;
}

static int decode_flow_removed(enum of_version version, struct reader *body, struct of_flow_removed *ret, struct error *error)
{
    const uint8_t *at = version == OF10 ? take_all(body, OF10_MATCH_SIZE + 40, error) : take(body, 40, error);
    if (!at)
        return -EBADMSG;
    if (version == OF10) {
        of_match10_decode(at, &ret->match);
        at += OF10_MATCH_SIZE;
    }
    ret->cookie = get_be64(at);
    ret->priority = get_be16(at + 8);
    ret->reason = at[10];
    ret->table_id = version == OF10 ? 0 : at[11];
    ret->duration_s = get_be32(at + 12);
    ret->duration_ns = get_be32(at + 16);
    ret->idle_timeout_s = get_be16(at + 20);
    ret->hard_timeout_s = version == OF10 ? 0 : get_be16(at + 22);
    ret->packets = get_be64(at + 24);
    ret->bytes = get_be64(at + 32);
    if (version == OF10)
        return 0;
    int r = of_match13_decode(body, &ret->match, error);
    return r < 0 ? r : decode_empty(body, error);
}

static int decode_group_mod(struct reader *body, struct of_group_mod *ret, struct error *error)
{
    const uint8_t *at = take(body, 8, error);
    if (!at)
        return -EBADMSG;
    ret->command = get_be16(at);
    ret->type = at[2];
    ret->group_id = get_be32(at + 4);
    ret->buckets = rest_of(body);
    if (ret->command > OFPGC_DELETE)
        return of_bad(error, "OFPGMFC_BAD_COMMAND", "command", "%u", ret->command);
    if (ret->type > OFPGT_FF && ret->type < 128) /* From 128 on they are experimenters'. */
        return of_bad(error, "OFPGMFC_BAD_TYPE", "type", "%u", ret->type);
    return of_buckets_check(ret->buckets, error);
}

/* ---- roles ----------------------------------------------------------------------------------------------------- */

static int decode_role(struct reader *body, struct of_role *ret, struct error *error)
{
    const uint8_t *at = take_all(body, 16, error);
    if (!at)
        return -EBADMSG;
    ret->role = get_be32(at);
    ret->generation_id = get_be64(at + 8);
    return ret->role <= OFPCR_SLAVE ? 0 : of_bad(error, "OFPRRFC_BAD_ROLE", "role", "%u", ret->role);
}

static int decode_async(struct reader *body, struct of_async *ret, struct error *error)
{
    const uint8_t *at = take_all(body, 24, error);
    if (!at)
        return -EBADMSG;
    for (int i = 0; i < 2; i++) {
        ret->packet_in[i] = get_be32(at + 4 * i);
        ret->port_status[i] = get_be32(at + 8 + 4 * i);
        ret->flow_removed[i] = get_be32(at + 16 + 4 * i);
    }
    return 0;
}

/* ---- all messages ---------------------------------------------------------------------------------------------- */

static int decode_body(enum of_version version, uint8_t header_version, struct reader *body, struct of_message *ret,
                       struct error *error)
{
    switch (ret->kind) {
    case OF_HELLO:
        return decode_hello(header_version, body, &ret->hello, error);
    case OF_ERROR:
        return decode_error(body, &ret->error, error);
    case OF_ECHO_REQUEST:
    case OF_ECHO_REPLY:
        ret->echo = rest_of(body);
        return 0;
    case OF_EXPERIMENTER:
        return decode_experimenter(version, body, ret, error);
    case OF_FEATURES_REPLY:
        return decode_features(version, body, &ret->features, error);
    case OF_GET_CONFIG_REPLY:
    case OF_SET_CONFIG:
        return decode_config(body, &ret->config, error);
    case OF_PACKET_IN:
        return version == OF10 ? decode_packet_in10(body, &ret->packet_in, error)
                               : decode_packet_in13(body, &ret->packet_in, error);
    case OF_FLOW_REMOVED:
        return decode_flow_removed(version, body, &ret->flow_removed, error);
    case OF_PORT_STATUS:
        return decode_port_status(version, body, &ret->port_status, error);
    case OF_PACKET_OUT:
        return decode_packet_out(version, body, &ret->packet_out, error);
    case OF_FLOW_MOD:
        return decode_flow_mod(version, body, &ret->flow_mod, error);
    case OF_GROUP_MOD:
        return decode_group_mod(body, &ret->group_mod, error);
    case OF_PORT_MOD:
        return decode_port_mod(version, body, &ret->port_mod, error);
    case OF_TABLE_MOD:
        return decode_table_mod(body, &ret->table_mod, error);
    case OF_MULTIPART_REQUEST:
        return of_multipart_request_decode(version, body, &ret->multipart_request, error);
    case OF_MULTIPART_REPLY:
        return of_multipart_reply_decode(version, body, &ret->multipart_reply, error);
    case OF_QUEUE_GET_CONFIG_REQUEST:
    case OF_QUEUE_GET_CONFIG_REPLY:
        ret->body = rest_of(body);
        return of_queue_config_check(version, ret->kind == OF_QUEUE_GET_CONFIG_REPLY, ret->body, error);
    case OF_ROLE_REQUEST:
    case OF_ROLE_REPLY:
        return decode_role(body, &ret->role, error);
    case OF_GET_ASYNC_REPLY:
    case OF_SET_ASYNC:
        return decode_async(body, &ret->async, error);
    case OF_METER_MOD:
        ret->body = rest_of(body);
        return of_meter_mod_check(ret->body, error);
    default:
        return decode_empty(body, error);
    }
}

int of_decode(enum of_version version, const void *bytes, size_t size, struct of_message *ret, struct error *error)
{
    const uint8_t *header = bytes;
    ret->kind = 0;
    ret->xid = 0;
    if (size < OF_HEADER_SIZE)
        return of_bad_size(error, "header", size, OF_HEADER_SIZE);
    uint8_t type = header[1];
    ret->xid = get_be32(header + 4);
    ret->kind = type <= 1 ? (type ? OF_ERROR : OF_HELLO) : of_kind_of(version, type);
    if (header[0] != version && type > 1)
        return error_set_type(error, -EPROTO, "OFPBRC_BAD_VERSION", of_kind_name(ret->kind),
                              "version %u on a connection of version %u", header[0], version);
    if (ret->kind == 0)
        return error_set_type(error, -EPROTONOSUPPORT, "OFPBRC_BAD_TYPE", "type", "%u", type);
    if (get_be16(header + 2) != size)
        return of_bad(error, "OFPBRC_BAD_LEN", of_kind_name(ret->kind), "length %u of %zu bytes", get_be16(header + 2), size);

    struct reader body = reader_of(header + OF_HEADER_SIZE, size - OF_HEADER_SIZE);
    int r = decode_body(version, header[0], &body, ret, error);
    if (r < 0)
        error_prefix_field(error, "%s", of_kind_name(ret->kind));
    return r;
}
