/* The local addresses of full NAT.  Each keeps its position as long as there is room: connections name it. */
#include "weft/director/apply-parts.h"

#include <string.h>

static bool is_at(const struct lb_local *local, const struct ip_address *address)
{
    return memcmp(local->address, address->bytes, 16) == 0;
}

static bool is_wanted(const struct director_config *config, const struct lb_local *local)
{
    for (size_t i = 0; i < config->n_local_addresses; i++)
        if (is_at(local, &config->local_addresses[i]))
            return true;
    return false;
}

/* Where the address is; else a free position; else that of an address which is configured no more. */
static uint32_t position_for(const struct lb_tables *tables, const struct director_config *config, const struct ip_address *address)
{
    static const uint8_t nothing[16];
    uint32_t free_position = LB_NONE, left = LB_NONE;

    for (uint32_t i = 0; i < LB_LOCALS; i++) {
        const struct lb_local *local = &tables->locals[i];

        if (is_at(local, address))
            return i;
        if (free_position == LB_NONE && memcmp(local->address, nothing, 16) == 0)
            free_position = i;
        else if (left == LB_NONE && !is_wanted(config, local))
            left = i;
    }
    return free_position != LB_NONE ? free_position : left;
}
_Static_assert(LB_LOCALS > DIRECTOR_LOCAL_ADDRESSES_MAX, "there is always one");

void locals_apply(struct lb_tables *tables, const struct director_config *config)
{
    uint32_t n[2] = {0};

    for (size_t i = 0; i < config->n_local_addresses; i++) {
        const struct ip_address *address = &config->local_addresses[i];
        uint32_t position = position_for(tables, config, address);
        unsigned family = !ip_is_v4(address);

        if (!is_at(&tables->locals[position], address))
            memcpy(tables->locals[position].address, address->bytes, 16);
        tables->locals[n[family]++].given[family] = (uint16_t)position;
    }
    __atomic_store_n(&tables->settings->n_locals[0], n[0], __ATOMIC_RELEASE);
    __atomic_store_n(&tables->settings->n_locals[1], n[1], __ATOMIC_RELEASE);
}

uint32_t applied_local(const struct applied *applied, const uint8_t address[16])
{
    const struct lb_tables *tables = applied->tables;

    for (unsigned family = 0; family < 2; family++)
        for (uint32_t i = 0; i < tables->settings->n_locals[family]; i++) {
            uint32_t position = tables->locals[i].given[family];

            if (memcmp(tables->locals[position].address, address, 16) == 0)
                return position;
        }
    return LB_NONE;
}
