/* What a switch says about its flows and tables (OpenFlow 1.0.0, 5.3.5; 1.3.5, 7.3.5.2 to 7.3.5.4), and about itself. */
#include <string.h>

#include "weft/fabric/openflow/wire.h"

#define FLOW10_SIZE 88
#define FLOW13_SIZE 48 /* Without the match. */

/* ---- flows ----------------------------------------------------------------------------------------------------- */

static int decode_flow10(struct of_bytes wire, struct of_flow_stats *ret, struct error *error)
{
    const uint8_t *at = wire.data;
    ret->table_id = at[2];
    of_match10_decode(at + 4, &ret->match);
    ret->duration_s = get_be32(at + 44);
    ret->duration_ns = get_be32(at + 48);
    ret->priority = get_be16(at + 52);
    ret->idle_timeout_s = get_be16(at + 54);
    ret->hard_timeout_s = get_be16(at + 56);
    ret->flags = 0;
    ret->cookie = get_be64(at + 64);
    ret->packets = get_be64(at + 72);
    ret->bytes = get_be64(at + 80);
    return of_instructions_decode(OF10, of_bytes_of(at + FLOW10_SIZE, wire.size - FLOW10_SIZE), &ret->instructions, error);
}

static int decode_flow13(struct of_bytes wire, struct of_flow_stats *ret, struct error *error)
{
    const uint8_t *at = wire.data;
    struct reader rest = reader_of(at + FLOW13_SIZE, wire.size - FLOW13_SIZE);
    ret->table_id = at[2];
    ret->duration_s = get_be32(at + 4);
    ret->duration_ns = get_be32(at + 8);
    ret->priority = get_be16(at + 12);
    ret->idle_timeout_s = get_be16(at + 14);
    ret->hard_timeout_s = get_be16(at + 16);
    ret->flags = get_be16(at + 18);
    ret->cookie = get_be64(at + 24);
    ret->packets = get_be64(at + 32);
    ret->bytes = get_be64(at + 40);
    int r = of_match13_decode(&rest, &ret->match, error);
    return r < 0 ? r : of_instructions_decode(OF13, of_bytes_of(rest.at, reader_left(&rest)), &ret->instructions, error);
}

int of_flow_stats_take(enum of_version version, struct of_bytes *list, struct of_flow_stats *ret, struct error *error)
{
    struct of_bytes wire;
    size_t left = list->size;
    if (left == 0)
        return 0;
    if (of_element_take(list, 0, version == OF10 ? FLOW10_SIZE : FLOW13_SIZE, false, &wire) < 0)
        return of_bad(error, "OFPBRC_BAD_LEN", NULL, "a flow ends where it cannot, with %zu bytes left", left);
    int r = version == OF10 ? decode_flow10(wire, ret, error) : decode_flow13(wire, ret, error);
    return r < 0 ? r : 1;
}

int of_flow_stats_next(enum of_version version, struct of_bytes *list, struct of_flow_stats *ret)
{
    return of_flow_stats_take(version, list, ret, NULL);
}

static int encode_flow10(struct writer *list, const struct of_flow_stats *stats)
{
    writer_take(list, 2);
    writer_u8(list, stats->table_id);
    writer_take(list, 1);
    int r = of_match10_encode(&stats->match, list);
    if (r < 0)
        return r;
    writer_u32(list, stats->duration_s);
    writer_u32(list, stats->duration_ns);
    writer_u16(list, stats->priority);
    writer_u16(list, stats->idle_timeout_s);
    writer_u16(list, stats->hard_timeout_s);
    writer_take(list, 6);
    writer_u64(list, stats->cookie);
    writer_u64(list, stats->packets);
    writer_u64(list, stats->bytes);
    return of_instructions_encode(OF10, &stats->instructions, list);
}

static int encode_flow13(struct writer *list, const struct of_flow_stats *stats)
{
    writer_take(list, 2);
    writer_u8(list, stats->table_id);
    writer_take(list, 1);
    writer_u32(list, stats->duration_s);
    writer_u32(list, stats->duration_ns);
    writer_u16(list, stats->priority);
    writer_u16(list, stats->idle_timeout_s);
    writer_u16(list, stats->hard_timeout_s);
    writer_u16(list, stats->flags);
    writer_take(list, 4);
    writer_u64(list, stats->cookie);
    writer_u64(list, stats->packets);
    writer_u64(list, stats->bytes);
    int r = of_match13_encode(&stats->match, list);
    return r < 0 ? r : of_instructions_encode(OF13, &stats->instructions, list);
}

int of_flow_stats_put(enum of_version version, struct writer *list, const struct of_flow_stats *stats)
{
    size_t start = list->size;
    int r = version == OF10 ? encode_flow10(list, stats) : encode_flow13(list, stats);
    if (r == 0 && list->overflow)
        r = -ENOBUFS;
    if (r == 0 && list->size - start > UINT16_MAX)
        r = -EMSGSIZE;
    if (r < 0)
        list->size = start;
    else
        put_be16(list->data + start, (uint16_t)(list->size - start));
    return r;
}

/* ---- aggregates ------------------------------------------------------------------------------------------------ */

int of_aggregate_get(struct of_bytes body, struct of_aggregate *ret)
{
    if (body.size != 24)
        return -EBADMSG;
    ret->packets = get_be64(body.data);
    ret->bytes = get_be64(body.data + 8);
    ret->n_flows = get_be32(body.data + 16);
    return 0;
}

int of_aggregate_put(struct writer *body, const struct of_aggregate *aggregate)
{
    uint8_t *at = writer_take(body, 24);
    if (!at)
        return -ENOBUFS;
    put_be64(at, aggregate->packets);
    put_be64(at + 8, aggregate->bytes);
    put_be32(at + 16, aggregate->n_flows);
    return 0;
}

/* ---- tables ---------------------------------------------------------------------------------------------------- */

int of_table_stats_next(enum of_version version, struct of_bytes *list, struct of_table_stats *ret)
{
    size_t size = version == OF10 ? 64 : 24, skip = version == OF10 ? 40 : 0; /* 1.0: a name and wildcards before. */
    const uint8_t *at = list->data;
    if (list->size < size)
        return list->size ? -EBADMSG : 0;
    ret->table_id = at[0];
    ret->n_max = version == OF10 ? get_be32(at + 40) : 0;
    ret->n_active = get_be32(at + 4 + skip);
    ret->lookups = get_be64(at + 8 + skip);
    ret->matches = get_be64(at + 16 + skip);
    *list = of_bytes_of(at + size, list->size - size);
    return 1;
}

int of_table_stats_put(enum of_version version, struct writer *list, const struct of_table_stats *stats)
{
    size_t skip = version == OF10 ? 40 : 0;
    uint8_t *at = writer_take(list, 24 + skip);
    if (!at)
        return -ENOBUFS;
    at[0] = stats->table_id;
    if (version == OF10)
        put_be32(at + 40, stats->n_max);
    put_be32(at + 4 + skip, stats->n_active);
    put_be64(at + 8 + skip, stats->lookups);
    put_be64(at + 16 + skip, stats->matches);
    return 0;
}

/* ---- the switch itself ----------------------------------------------------------------------------------------- */

/* Up to the first zero; the last byte of a full field counts. */
static void get_text(const uint8_t *bytes, size_t size, char *ret)
{
    size_t length = strnlen((const char *)bytes, size);
    for (size_t i = 0; i < length; i++)
        ret[i] = bytes[i] >= 0x20 && bytes[i] < 0x7f ? (char)bytes[i] : '?';
    memset(ret + length, 0, size + 1 - length);
}

int of_desc_get(struct of_bytes body, struct of_desc *ret)
{
    if (body.size != 1056)
        return -EBADMSG;
    get_text(body.data, 256, ret->manufacturer);
    get_text(body.data + 256, 256, ret->hardware);
    get_text(body.data + 512, 256, ret->software);
    get_text(body.data + 768, 32, ret->serial);
    get_text(body.data + 800, 256, ret->datapath);
    return 0;
}

int of_desc_put(struct writer *body, const struct of_desc *desc)
{
    uint8_t *at = writer_take(body, 1056);
    if (!at)
        return -ENOBUFS;
    memcpy(at, desc->manufacturer, strnlen(desc->manufacturer, 256));
    memcpy(at + 256, desc->hardware, strnlen(desc->hardware, 256));
    memcpy(at + 512, desc->software, strnlen(desc->software, 256));
    memcpy(at + 768, desc->serial, strnlen(desc->serial, 32));
    memcpy(at + 800, desc->datapath, strnlen(desc->datapath, 256));
    return 0;
}
