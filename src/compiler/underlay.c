/* The other hosts: the way to each, and whose tunnelled frames are taken. */
#include <errno.h>
#include <string.h>

#include "weft/compiler/layers.h"

/* The low bits of FNV-1a, which gives the addresses of one or of many regular subnets different ones almost always.  Part of what agents
 * of different versions must agree on. */
uint32_t compile_flood_key(const struct ip_address *tunnel_address)
{
    uint32_t hash = 0x811c9dc5;

    for (size_t i = 0; i < sizeof(tunnel_address->bytes); i++)
        hash = (hash ^ tunnel_address->bytes[i]) * 0x01000193;
    return hash & FLOOD_KEY_MASK;
}

int compile_underlay(struct compile_index *index, struct desired *desired)
{
    const struct snapshot *snapshot = index->snapshot;

    for (size_t i = 0; i < snapshot->n_hosts; i++) {
        const struct compile_host *entry = &snapshot->hosts[i];
        struct host_config config = entry->path;
        struct peer_key key;
        struct peer_value value = {.host = entry->slot};

        if (!entry->slot || !entry->host->has_tunnel_address)
            continue;
        config.key = compile_flood_key(&entry->host->tunnel_address);
        memcpy(config.local, snapshot->tunnel_address.bytes, sizeof(config.local));
        memcpy(config.remote, entry->host->tunnel_address.bytes, sizeof(config.remote));
        memcpy(key.address, entry->host->tunnel_address.bytes, sizeof(key.address));
        memcpy(&value.check, key.address + 12, sizeof(value.check));
        if (rows_add(&desired->tables[TABLE_HOSTS], &entry->slot, &config) < 0 ||
            rows_add(&desired->tables[TABLE_PEERS], &key, &value) < 0)
            return -ENOMEM;
    }
    return 0;
}
