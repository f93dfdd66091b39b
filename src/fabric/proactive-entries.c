/* What a proactive entry looks like.  Its cookie says for which slices it was written and since which start of its switch. */
#include <string.h>

#include "weft/base/util.h"
#include "weft/fabric/proactive-state.h"
#include "weft/fabric/slices.h"

bool proactive_is_writable(const struct fabric *fabric, const struct datapath *datapath)
{
    return datapath->channel && datapath->proactive && datapath->proactive->is_synced && fabric_is_active(fabric);
}

bool proactive_has_room(const struct fabric *fabric, const struct datapath *datapath)
{
    return channel_unsent(datapath->channel) < fabric->options.output_max / UNSENT_PART;
}

static struct of_message make_message(uint8_t table, uint16_t priority)
{
    struct of_message message = {.kind = OF_FLOW_MOD};

    message.flow_mod = (struct of_flow_mod){
        .cookie = entry_cookie(ENTRY_PROACTIVE),
        .table_id = table,
        .command = OFPFC_ADD,
        .priority = priority,
        .buffer_id = OF_NO_BUFFER,
        .out_port = OFPP_ANY,
        .out_group = OFPG_ANY,
        .instructions = {.goto_table = OF_NO_TABLE},
    };
    return message;
}

struct of_message proactive_make_entry(const struct datapath *datapath, uint8_t table, uint16_t priority)
{
    struct of_message message = make_message(table, priority);

    message.flow_mod.cookie |= datapath->proactive->epoch;
    return message;
}

struct of_message proactive_make_slice_entry(const struct datapath *datapath, uint8_t table, uint16_t priority)
{
    struct of_message message = proactive_make_entry(datapath, table, priority);

    message.flow_mod.cookie |= datapath->proactive->slices;
    return message;
}

/* Only while it is as it was found: what was written over it since stays. */
void proactive_delete_found(struct fabric *fabric, struct datapath *datapath, const struct of_flow_stats *stats)
{
    struct of_message message = make_message(stats->table_id, stats->priority);

    message.flow_mod.command = OFPFC_DELETE_STRICT;
    message.flow_mod.cookie = stats->cookie;
    message.flow_mod.cookie_mask = UINT64_MAX;
    message.flow_mod.match = stats->match;
    datapath_send(fabric, datapath, &message);
}

void proactive_delete_of_slices(struct fabric *fabric, struct datapath *datapath, uint64_t slices)
{
    struct of_message message = make_message(OF_ALL_TABLES, 0);

    message.flow_mod.command = OFPFC_DELETE;
    message.flow_mod.cookie |= slices;
    message.flow_mod.cookie_mask = COOKIE_MASK | COOKIE_KIND_MASK | COOKIE_SLICES;
    datapath_send(fabric, datapath, &message);
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3ull;
    return hash;
}

/* What the slices are, as 16 bits for cookies, the same in every controller's life (FNV-1a, folded; not 0).  Two definitions with the same bits
 * are no harm: then entries of the other go with what is left over, after the start instead of at once. */
uint64_t proactive_slices_digest(const struct slices *slices)
{
    const struct slice_binding *bindings;
    uint64_t hash = 0xcbf29ce484222325ull;
    size_t index = 0, n;
    const char *name;
    uint32_t number;

    while (slices_next(slices, &index, &name, &number, &bindings, &n)) {
        hash = mix(hash, name, strlen(name) + 1);
        hash = mix(hash, &number, sizeof(number));
        for (size_t i = 0; i < n; i++) {
            const struct slice_binding *b = &bindings[i];
            uint8_t has[] = {b->has_port, b->has_vlan, b->has_mac};

            hash = mix(hash, has, sizeof(has));
            hash = mix(hash, &b->datapath_id, sizeof(b->datapath_id));
            hash = mix(hash, &b->port, sizeof(b->port));
            hash = mix(hash, &b->vlan, sizeof(b->vlan));
            hash = mix(hash, &b->mac, sizeof(b->mac));
        }
    }
    hash ^= hash >> 32;
    hash = (hash ^ hash >> 16) & 0xffff;
    return (hash ? hash : 1) << COOKIE_SLICES_SHIFT;
}
