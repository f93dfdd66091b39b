/* Whose decisions change: see concerned.h. */
#include "weft/dataplane/concerned.h"

#include <errno.h>
#include <string.h>

#include "weft/dataplane/load.h"

void concerned_init(struct concerned *concerned, struct maps *maps)
{
    concerned->maps = maps;
    rows_init(&concerned->vnis, sizeof(uint32_t), 0);
    rows_init(&concerned->slots, sizeof(uint32_t), 0);
}

void concerned_clear(struct concerned *concerned)
{
    rows_clear(&concerned->vnis);
    rows_clear(&concerned->slots);
}

static int mark(struct rows *set, const void *value)
{
    return rows_add(set, value, NULL);
}

/* Which connection entries may have been decided differently?  A row that only appears changes no decision (there was
 * none: the frame was dropped), unless a learned MAC stood in its place. */
int concerned_mark(struct concerned *concerned, enum desired_table table, const void *key, const void *old_value, const void *new_value)
{
    switch (table) {
    case TABLE_FDB:
    case TABLE_MOVABLE:
    case TABLE_NETWORKS: {
        uint32_t vni; /* All three keys begin with it. */

        memcpy(&vni, key, sizeof(vni));
        if (old_value)
            return mark(&concerned->vnis, &vni);
        if (table == TABLE_FDB) {
            const struct network_value *network = rows_find(&concerned->maps->actual.tables[TABLE_NETWORKS], &vni);
            uint16_t flags = 0;

            if (network)
                memcpy(&flags, &network->flags, sizeof(flags));
            if (flags & NETWORK_FLOOD_UNKNOWN_NEIGHBORS)
                return mark(&concerned->vnis, &vni);
        }
        return 0;
    }
    case TABLE_SOURCES:
        return mark(&concerned->slots, (const uint8_t *)key + offsetof(struct source_key, slot));
    case TABLE_PORTS:
        return old_value ? mark(&concerned->slots, key) : 0;
    default:
        return 0;
    }
}

int concerned_bump(struct concerned *concerned, const struct desired *now)
{
    const struct rows *ports = &now->tables[TABLE_PORTS];
    int error = rows_sort(&concerned->vnis);

    if (error == 0)
        error = rows_sort(&concerned->slots);
    if (error < 0 || (!concerned->vnis.n && !concerned->slots.n))
        return error;
    for (size_t i = 0; i < ports->n; i++) {
        struct port_config config;
        uint32_t slot;

        memcpy(&slot, rows_key(ports, i), sizeof(slot));
        memcpy(&config, rows_value(ports, i), sizeof(config));
        if (rows_find(&concerned->vnis, &config.vni) || rows_find(&concerned->slots, &slot))
            records_bump_epoch(concerned->maps, slot);
    }
    return 0;
}
