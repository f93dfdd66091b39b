/* The rows of port forwardings: ranges of ports as prefixes, and whose find room where all projects together have too many. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "weft/compiler/layers.h"
#include "weft/compiler/shares.h"

/* A range of ports in as few prefixes as it takes, each as large as where it begins allows: how many bits of the port the next one leaves open. */
static uint32_t free_bits(const struct port_forwarding *model, uint32_t first)
{
    uint32_t bits = (uint32_t)__builtin_ctz(first | 0x10000);

    while (first + (1u << bits) - 1 > model->external_last)
        bits--;
    return bits;
}

static uint32_t count_prefixes(const struct port_forwarding *model)
{
    uint32_t n = 0;

    for (uint32_t first = model->external_first; first <= model->external_last; first += 1u << free_bits(model, first))
        n++;
    return n;
}

int compile_forwarded_range(struct desired *desired, __u32 address, const struct port_forwarding *model, const struct external_value *value)
{
    for (uint32_t first = model->external_first, size; first <= model->external_last; first += size) {
        uint32_t bits = free_bits(model, first);
        struct forwarding_key key = {.vni = value->vni, .address = address, .port = htons((uint16_t)first), .protocol = model->protocol};

        size = 1u << bits;
        key.prefix_length = FORWARDING_PREFIX + 16 - bits;
        if (rows_add(&desired->tables[TABLE_FORWARDINGS], &key, value) < 0)
            return -ENOMEM;
    }
    return 0;
}

int compile_forwardings_room(const struct snapshot *snapshot, struct desired *desired, bool *has_room)
{
    struct claims claims = {0};
    size_t n = 0;
    int error = 0;

    for (size_t i = 0; i < snapshot->n_port_forwardings; i++)
        n += count_prefixes(snapshot->port_forwardings[i]);
    if (!compile_is_over(snapshot, TABLE_FORWARDINGS, n)) {
        memset(has_room, true, snapshot->n_port_forwardings);
        return 0;
    }
    for (size_t i = 0; i < snapshot->n_port_forwardings && error == 0; i++) {
        const struct port_forwarding *model = snapshot->port_forwardings[i];

        error = claims_add(&claims, (struct claim){model->object.project_id, &model->object, &has_room[i], count_prefixes(model), 0});
    }
    if (error == 0)
        error = claims_divide(&claims, TABLE_FORWARDINGS, snapshot->room[TABLE_FORWARDINGS], &desired->shortages);
    for (size_t i = 0; i < snapshot->n_port_forwardings && error == 0; i++)
        if (!has_room[i]) /* Its address is not there as a whole. */
            error = left_out_add(&desired->left_out, snapshot->port_forwardings[i]->floating_ip_id, TABLE_FORWARDINGS);
    claims_clear(&claims);
    return error;
}
