/* The other hosts: the way to each, and whose tunnelled frames are taken. */
#include <errno.h>
#include <string.h>

#include "weft/compiler/layers.h"

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
