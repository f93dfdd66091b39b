/* Requests and replies in parts; "statistics" in 1.0 (OpenFlow 1.0.0, 5.3.5; 1.3.5, 7.3.5).  Every list is checked to its end. */
#include <string.h>

#include "weft/fabric/openflow/wire.h"

/* 1.0 has the first six, and vendors'. */
static bool has_type(enum of_version version, uint16_t type)
{
    return type == OFMP_EXPERIMENTER || type <= (version == OF10 ? OFMP_QUEUE : OFMP_PORT_DESC);
}

static int decode_header(enum of_version version, struct reader *body, uint16_t *ret_type, uint16_t *ret_flags,
                         struct error *error)
{
    size_t size = version == OF10 ? 4 : 8, left = reader_left(body);
    const uint8_t *at = reader_take(body, size);
    if (!at)
        return of_bad_size(error, NULL, left, size);
    *ret_type = get_be16(at);
    *ret_flags = get_be16(at + 2);
    if (!has_type(version, *ret_type))
        return of_bad(error, "OFPBRC_BAD_MULTIPART", "type", "%u is not in this version", *ret_type);
    return 0;
}

/* ---- elements that stay as they are ---------------------------------------------------------------------------- */

static int bad_element(struct error *error, const char *field, size_t left)
{
    return of_bad(error, "OFPBRC_BAD_LEN", field, "an element ends where it cannot, with %zu bytes left", left);
}

static int check_fixed(struct of_bytes body, size_t size, struct error *error)
{
    return body.size % size ? of_bad(error, "OFPBRC_BAD_LEN", "body", "%zu bytes are no list of elements of %zu", body.size, size)
                            : 0;
}

static int check_exact(struct of_bytes body, size_t size, struct error *error)
{
    return body.size == size ? 0 : of_bad_size(error, "body", body.size, size);
}

/* A meter's bands: type, length, rate, burst, and four more bytes for those that the standard has. */
int of_bands_check(struct of_bytes bands, struct error *error)
{
    while (bands.size) {
        struct of_bytes band;
        size_t left = bands.size;
        if (of_element_take(&bands, 2, 16, false, &band) < 0)
            return bad_element(error, "bands", left);
    }
    return 0;
}

int of_meter_mod_check(struct of_bytes body, struct error *error)
{
    return body.size < 8 ? of_bad_size(error, NULL, body.size, 8)
                         : of_bands_check(of_bytes_of(body.data + 8, body.size - 8), error);
}

/* Properties of a queue: type, length, padding; at least 8 bytes. */
static int check_queue_properties(struct of_bytes properties, struct error *error)
{
    while (properties.size) {
        struct of_bytes property;
        size_t left = properties.size;
        if (of_element_take(&properties, 2, 8, false, &property) < 0)
            return bad_element(error, "queues.properties", left);
    }
    return 0;
}

int of_queue_config_check(enum of_version version, bool reply, struct of_bytes body, struct error *error)
{
    size_t header = version == OF10 && !reply ? 4 : 8, queue_size = version == OF10 ? 8 : 16;
    if (reply ? body.size < header : body.size != header)
        return of_bad_size(error, NULL, body.size, header);
    struct of_bytes list = of_bytes_of(body.data + header, body.size - header);
    while (list.size) {
        struct of_bytes queue;
        size_t left = list.size;
        if (of_element_take(&list, version == OF10 ? 4 : 8, queue_size, false, &queue) < 0)
            return bad_element(error, "queues", left);
        int r = check_queue_properties(of_bytes_of(queue.data + queue_size, queue.size - queue_size), error);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Tables with properties (7.3.5.5): type, length, contents, padded to 8 bytes. */
static int check_table_features(struct of_bytes list, struct error *error)
{
    while (list.size) {
        struct of_bytes table, property;
        size_t left = list.size;
        if (of_element_take(&list, 0, 64, false, &table) < 0)
            return bad_element(error, "tables", left);
        for (table = of_bytes_of(table.data + 64, table.size - 64); table.size;) {
            left = table.size;
            if (of_element_take(&table, 2, 4, true, &property) < 0)
                return of_bad(error, "OFPTFFC_BAD_LEN", "tables.properties", "one ends where it cannot, with %zu bytes left",
                              left);
        }
    }
    return 0;
}

/* Counters of meters: a fixed part of 40 bytes, then 16 for each band. */
static int check_meter_stats(struct of_bytes list, struct error *error)
{
    while (list.size) {
        struct of_bytes meter;
        size_t left = list.size;
        if (of_element_take(&list, 4, 40, false, &meter) < 0 || (meter.size - 40) % 16)
            return bad_element(error, "meters", left);
    }
    return 0;
}

static int check_meter_config(struct of_bytes list, struct error *error)
{
    while (list.size) {
        struct of_bytes meter;
        size_t left = list.size;
        if (of_element_take(&list, 0, 8, false, &meter) < 0)
            return bad_element(error, "meters", left);
        int r = of_bands_check(of_bytes_of(meter.data + 8, meter.size - 8), error);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- lists of replies ------------------------------------------------------------------------------------------ */

static int check_flows(enum of_version version, struct of_bytes list, struct error *error)
{
    struct of_flow_stats stats;
    for (unsigned i = 0;; i++) {
        int r = of_flow_stats_take(version, &list, &stats, error);
        if (r < 0)
            error_prefix_field(error, "flows[%u]", i);
        if (r <= 0)
            return r;
    }
}

static int check_group_descs(struct of_bytes list, struct error *error)
{
    while (list.size) {
        struct of_bytes desc;
        size_t left = list.size;
        if (of_element_take(&list, 0, 8, false, &desc) < 0)
            return bad_element(error, "groups", left);
        int r = of_buckets_check(of_bytes_of(desc.data + 8, desc.size - 8), error);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_group_stats(struct of_bytes list, struct error *error)
{
    struct of_group_stats stats;
    int r;
    do {
        size_t left = list.size;
        r = of_group_stats_next(OF13, &list, &stats);
        if (r < 0)
            return bad_element(error, "groups", left);
    } while (r > 0);
    return 0;
}

static int check_reply(enum of_version version, const struct of_multipart_reply *reply, struct error *error)
{
    bool is10 = version == OF10;
    switch (reply->type) {
    case OFMP_DESC:
        return check_exact(reply->body, 1056, error);
    case OFMP_FLOW:
        return check_flows(version, reply->body, error);
    case OFMP_AGGREGATE:
        return check_exact(reply->body, 24, error);
    case OFMP_TABLE:
        return check_fixed(reply->body, is10 ? 64 : 24, error);
    case OFMP_PORT_STATS:
        return check_fixed(reply->body, is10 ? 104 : 112, error);
    case OFMP_QUEUE:
        return check_fixed(reply->body, is10 ? 32 : 40, error);
    case OFMP_GROUP:
        return check_group_stats(reply->body, error);
    case OFMP_GROUP_DESC:
        return check_group_descs(reply->body, error);
    case OFMP_GROUP_FEATURES:
        return check_exact(reply->body, 40, error);
    case OFMP_METER:
        return check_meter_stats(reply->body, error);
    case OFMP_METER_CONFIG:
        return check_meter_config(reply->body, error);
    case OFMP_METER_FEATURES:
        return check_exact(reply->body, 16, error);
    case OFMP_TABLE_FEATURES:
        return check_table_features(reply->body, error);
    case OFMP_PORT_DESC:
        return check_fixed(reply->body, OF13_PORT_SIZE, error);
    default:
        return reply->body.size < (is10 ? 4 : 8) ? of_bad_size(error, "body", reply->body.size, is10 ? 4 : 8) : 0;
    }
}

int of_multipart_reply_decode(enum of_version version, struct reader *body, struct of_multipart_reply *ret,
                              struct error *error)
{
    *ret = (struct of_multipart_reply){0};
    int r = decode_header(version, body, &ret->type, &ret->flags, error);
    if (r < 0)
        return r;
    ret->body = of_bytes_of(body->at, reader_left(body));
    return check_reply(version, ret, error);
}

int of_multipart_reply_encode(enum of_version version, const struct of_multipart_reply *reply, struct writer *writer)
{
    if (!has_type(version, reply->type))
        return -EPROTONOSUPPORT;
    writer_u16(writer, reply->type);
    writer_u16(writer, reply->flags);
    writer_take(writer, version == OF10 ? 0 : 4);
    writer_bytes(writer, reply->body.data, reply->body.size);
    return 0;
}

/* ---- requests -------------------------------------------------------------------------------------------------- */

static int decode_flow_request(enum of_version version, struct reader *body, struct of_flow_request *ret, struct error *error)
{
    size_t size = version == OF10 ? OF10_MATCH_SIZE + 4 : 32, left = reader_left(body);
    const uint8_t *at = reader_take(body, size);
    if (!at)
        return of_bad_size(error, "body", left, size);
    if (version == OF10) {
        of_match10_decode(at, &ret->match);
        ret->table_id = at[40];
        ret->out_port = of_port_from10(get_be16(at + 42));
        ret->out_group = OFPG_ANY;
    } else {
        ret->table_id = at[0];
        ret->out_port = get_be32(at + 4);
        ret->out_group = get_be32(at + 8);
        ret->cookie = get_be64(at + 16);
        ret->cookie_mask = get_be64(at + 24);
        int r = of_match13_decode(body, &ret->match, error);
        if (r < 0)
            return r;
    }
    return reader_left(body) ? of_bad_size(error, "body", left, left - reader_left(body)) : 0;
}

static int encode_flow_request(enum of_version version, const struct of_flow_request *request, struct writer *writer)
{
    if (version == OF10) {
        uint16_t port;
        int r = of_port_to10(request->out_port, &port);
        if (r == 0 && (request->out_group != OFPG_ANY || request->cookie_mask))
            r = -EPROTONOSUPPORT;
        if (r == 0)
            r = of_match10_encode(&request->match, writer);
        writer_u8(writer, request->table_id);
        writer_u8(writer, 0);
        writer_u16(writer, r < 0 ? 0 : port);
        return r;
    }
    writer_u32(writer, (uint32_t)request->table_id << 24);
    writer_u32(writer, request->out_port);
    writer_u32(writer, request->out_group);
    writer_u32(writer, 0);
    writer_u64(writer, request->cookie);
    writer_u64(writer, request->cookie_mask);
    return of_match13_encode(&request->match, writer);
}

/* Eight bytes: a port, a group or a meter, and of queues a port and an id. */
static int decode_number(enum of_version version, struct reader *body, struct of_multipart_request *ret, struct error *error)
{
    size_t left = reader_left(body);
    const uint8_t *at = reader_take(body, 8);
    if (!at || reader_left(body))
        return of_bad_size(error, "body", left, 8);
    bool has_port = ret->type == OFMP_PORT_STATS || ret->type == OFMP_QUEUE;
    if (has_port)
        ret->port = version == OF10 ? of_port_from10(get_be16(at)) : get_be32(at);
    else
        ret->id = get_be32(at);
    if (ret->type == OFMP_QUEUE)
        ret->id = get_be32(at + 4);
    return 0;
}

static int encode_number(enum of_version version, const struct of_multipart_request *request, struct writer *writer)
{
    uint16_t port = 0;
    bool has_port = request->type == OFMP_PORT_STATS || request->type == OFMP_QUEUE;
    if (has_port && version == OF10) {
        int r = of_port_to10(request->port, &port);
        if (r < 0)
            return r;
        writer_u16(writer, port);
        writer_u16(writer, 0);
    } else {
        writer_u32(writer, has_port ? request->port : request->id);
    }
    writer_u32(writer, request->type == OFMP_QUEUE ? request->id : 0);
    return 0;
}

int of_multipart_request_decode(enum of_version version, struct reader *body, struct of_multipart_request *ret,
                                struct error *error)
{
    *ret = (struct of_multipart_request){0};
    int r = decode_header(version, body, &ret->type, &ret->flags, error);
    if (r < 0)
        return r;
    struct of_bytes rest = of_bytes_of(body->at, reader_left(body));
    switch (ret->type) {
    case OFMP_FLOW:
    case OFMP_AGGREGATE:
        return decode_flow_request(version, body, &ret->flow, error);
    case OFMP_PORT_STATS:
    case OFMP_QUEUE:
    case OFMP_GROUP:
    case OFMP_METER:
    case OFMP_METER_CONFIG:
        return decode_number(version, body, ret, error);
    case OFMP_TABLE_FEATURES:
        ret->body = rest;
        return check_table_features(rest, error);
    case OFMP_EXPERIMENTER:
        ret->body = rest;
        return rest.size < (version == OF10 ? 4 : 8) ? of_bad_size(error, "body", rest.size, version == OF10 ? 4 : 8) : 0;
    default:
        return check_exact(rest, 0, error);
    }
}

int of_multipart_request_encode(enum of_version version, const struct of_multipart_request *request, struct writer *writer)
{
    if (!has_type(version, request->type))
        return -EPROTONOSUPPORT;
    writer_u16(writer, request->type);
    writer_u16(writer, request->flags);
    writer_take(writer, version == OF10 ? 0 : 4);
    switch (request->type) {
    case OFMP_FLOW:
    case OFMP_AGGREGATE:
        return encode_flow_request(version, &request->flow, writer);
    case OFMP_PORT_STATS:
    case OFMP_QUEUE:
    case OFMP_GROUP:
    case OFMP_METER:
    case OFMP_METER_CONFIG:
        return encode_number(version, request, writer);
    case OFMP_TABLE_FEATURES:
    case OFMP_EXPERIMENTER:
        writer_bytes(writer, request->body.data, request->body.size);
        return 0;
    default:
        return 0;
    }
}
