/* Groups: their buckets, and what a switch says about them (OpenFlow 1.3.5, 7.3.4.3, 7.3.5.9, 7.3.5.10).  1.0 has none. */
#include "weft/fabric/openflow/wire.h"

#define BUCKET_SIZE 16
#define DESC_SIZE 8
#define STATS_SIZE 40

static int take_bucket(struct of_bytes *list, struct of_bucket *ret)
{
    struct of_bytes wire;
    if (list->size == 0)
        return 0;
    if (of_element_take(list, 0, BUCKET_SIZE, false, &wire) < 0 || wire.size % 8)
        return -EBADMSG;
    ret->weight = get_be16(wire.data + 2);
    ret->watch_port = get_be32(wire.data + 4);
    ret->watch_group = get_be32(wire.data + 8);
    ret->actions = of_bytes_of(wire.data + BUCKET_SIZE, wire.size - BUCKET_SIZE);
    return 1;
}

int of_bucket_next(enum of_version version, struct of_bytes *list, struct of_bucket *ret)
{
    return version == OF10 ? (list->size ? -EBADMSG : 0) : take_bucket(list, ret);
}

int of_buckets_check(struct of_bytes list, struct error *error)
{
    for (unsigned i = 0; list.size; i++) {
        struct of_bucket bucket;
        size_t left = list.size;
        if (take_bucket(&list, &bucket) < 0)
            return of_bad(error, "OFPGMFC_BAD_BUCKET", "buckets", "number %u ends where it cannot, with %zu bytes left", i, left);
        int r = of_actions_check(OF13, bucket.actions, error);
        if (r < 0) {
            error_prefix_field(error, "buckets[%u]", i);
            return r;
        }
    }
    return 0;
}

int of_bucket_put(enum of_version version, struct writer *list, const struct of_bucket *bucket)
{
    size_t size = BUCKET_SIZE + bucket->actions.size;
    if (version == OF10)
        return -EPROTONOSUPPORT;
    if (size % 8 || size > UINT16_MAX)
        return -EINVAL;
    uint8_t *at = writer_take(list, size);
    if (!at)
        return -ENOBUFS;
    put_be16(at, (uint16_t)size);
    put_be16(at + 2, bucket->weight);
    put_be32(at + 4, bucket->watch_port);
    put_be32(at + 8, bucket->watch_group);
    if (bucket->actions.size)
        memcpy(at + BUCKET_SIZE, bucket->actions.data, bucket->actions.size);
    return 0;
}

/* ---- descriptions ---------------------------------------------------------------------------------------------- */

int of_group_desc_next(enum of_version version, struct of_bytes *list, struct of_group_desc *ret)
{
    struct of_bytes wire;
    if (list->size == 0)
        return 0;
    if (version == OF10 || of_element_take(list, 0, DESC_SIZE, false, &wire) < 0)
        return -EBADMSG;
    ret->type = wire.data[2];
    ret->group_id = get_be32(wire.data + 4);
    ret->buckets = of_bytes_of(wire.data + DESC_SIZE, wire.size - DESC_SIZE);
    return of_buckets_check(ret->buckets, NULL) < 0 ? -EBADMSG : 1;
}

int of_group_desc_put(enum of_version version, struct writer *list, const struct of_group_desc *desc)
{
    size_t size = DESC_SIZE + desc->buckets.size;
    if (version == OF10)
        return -EPROTONOSUPPORT;
    if (size % 8 || size > UINT16_MAX)
        return -EINVAL;
    uint8_t *at = writer_take(list, size);
    if (!at)
        return -ENOBUFS;
    put_be16(at, (uint16_t)size);
    at[2] = desc->type;
    put_be32(at + 4, desc->group_id);
    if (desc->buckets.size)
        memcpy(at + DESC_SIZE, desc->buckets.data, desc->buckets.size);
    return 0;
}

/* ---- counters -------------------------------------------------------------------------------------------------- */

int of_group_stats_next(enum of_version version, struct of_bytes *list, struct of_group_stats *ret)
{
    struct of_bytes wire;
    if (list->size == 0)
        return 0;
    if (version == OF10 || of_element_take(list, 0, STATS_SIZE, false, &wire) < 0 || (wire.size - STATS_SIZE) % 16)
        return -EBADMSG;
    ret->group_id = get_be32(wire.data + 4);
    ret->n_references = get_be32(wire.data + 8);
    ret->packets = get_be64(wire.data + 16);
    ret->bytes = get_be64(wire.data + 24);
    ret->duration_s = get_be32(wire.data + 32);
    ret->duration_ns = get_be32(wire.data + 36);
    ret->buckets = of_bytes_of(wire.data + STATS_SIZE, wire.size - STATS_SIZE);
    return 1;
}

int of_group_stats_put(enum of_version version, struct writer *list, const struct of_group_stats *stats)
{
    size_t size = STATS_SIZE + stats->buckets.size;
    if (version == OF10)
        return -EPROTONOSUPPORT;
    if (stats->buckets.size % 16 || size > UINT16_MAX)
        return -EINVAL;
    uint8_t *at = writer_take(list, size);
    if (!at)
        return -ENOBUFS;
    put_be16(at, (uint16_t)size);
    put_be32(at + 4, stats->group_id);
    put_be32(at + 8, stats->n_references);
    put_be64(at + 16, stats->packets);
    put_be64(at + 24, stats->bytes);
    put_be32(at + 32, stats->duration_s);
    put_be32(at + 36, stats->duration_ns);
    if (stats->buckets.size)
        memcpy(at + STATS_SIZE, stats->buckets.data, stats->buckets.size);
    return 0;
}
