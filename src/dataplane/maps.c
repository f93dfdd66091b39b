/* What the maps hold: see maps.h. */
#include "weft/dataplane/maps.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/dataplane/load.h"

/* ---- reading back ---------------------------------------------------------------------------------------------------- */

int maps_read_hash(int fd, struct rows *rows)
{
    uint8_t key[64], next[64], value[1024];
    const void *from = NULL;

    rows_clear(rows);
    while (bpf_map_get_next_key(fd, from, next) == 0) {
        memcpy(key, next, rows->key_size);
        from = key;
        if (bpf_map_lookup_elem(fd, key, value) < 0)
            continue;
        if (rows_add(rows, key, value) < 0)
            return -ENOMEM;
    }
    return rows_sort(rows);
}

int maps_read_back(struct maps *maps)
{
    for (int table = 0; table < N_DESIRED_TABLES; table++) {
        struct rows *rows = &maps->actual.tables[table];
        int error = desired_table_is_array(table) ? records_read(maps, table, rows) : maps_read_hash(maps->hash_fds[table], rows);

        if (error < 0)
            return error;
    }
    return 0;
}

const struct desired *maps_actual(const struct maps *maps)
{
    return &maps->actual;
}

uint32_t maps_port_generation(const struct maps *maps, uint32_t slot)
{
    return records_generation(maps, TABLE_PORTS, slot);
}

uint32_t maps_router_port_generation(const struct maps *maps, uint32_t number)
{
    return records_generation(maps, TABLE_ROUTER_PORTS, number);
}

uint32_t maps_host_generation(const struct maps *maps, uint32_t slot)
{
    return records_generation(maps, TABLE_HOSTS, slot);
}

/* ---- counters -------------------------------------------------------------------------------------------------------------------- */

int maps_port_counters(const struct maps *maps, uint32_t slot, struct port_counters *ret_counters)
{
    _cleanup_(freep) struct port_counters *each = calloc((size_t)maps->n_cpus, sizeof(*each));

    if (!each)
        return -ENOMEM;
    if (bpf_map_lookup_elem(maps->counters_fd, &slot, each) < 0)
        return -errno;
    *ret_counters = (struct port_counters){0};
    for (int cpu = 0; cpu < maps->n_cpus; cpu++) {
        const __u64 *from = (const __u64 *)&each[cpu];
        __u64 *to = (__u64 *)ret_counters;

        for (size_t i = 0; i < sizeof(*each) / sizeof(__u64); i++)
            to[i] += from[i];
    }
    return 0;
}

int maps_port_counters_reset(const struct maps *maps, uint32_t slot)
{
    _cleanup_(freep) struct port_counters *each = calloc((size_t)maps->n_cpus, sizeof(*each));

    if (!each)
        return -ENOMEM;
    return bpf_map_update_elem(maps->counters_fd, &slot, each, BPF_ANY) < 0 ? -errno : 0;
}

int maps_service_counters(const struct maps *maps, uint32_t listener, struct service_counters *ret_counters, uint64_t *ret_n_active)
{
    _cleanup_(freep) struct service_counters *each = calloc((size_t)maps->n_cpus, sizeof(*each));
    struct service_use use;

    if (!each)
        return -ENOMEM;
    if (bpf_map_lookup_elem(maps_descriptor(maps, "service_counters"), &listener, each) < 0 ||
        bpf_map_lookup_elem(maps_descriptor(maps, "listener_use"), &listener, &use) < 0)
        return -errno;
    *ret_counters = (struct service_counters){0};
    *ret_n_active = (int64_t)use.n_connections > 0 ? use.n_connections : 0; /* As connections_under. */
    for (int cpu = 0; cpu < maps->n_cpus; cpu++) {
        const __u64 *from = (const __u64 *)&each[cpu];
        __u64 *to = (__u64 *)ret_counters;

        for (size_t i = 0; i < sizeof(*each) / sizeof(__u64); i++)
            to[i] += from[i];
    }
    return 0;
}

/* Negative for a moment, when others have taken off what is not added yet. */
static uint64_t connections_under(const struct maps *maps, const char *table, uint32_t number)
{
    struct service_use use;

    return bpf_map_lookup_elem(maps_descriptor(maps, table), &number, &use) == 0 && (int64_t)use.n_connections > 0 ? use.n_connections : 0;
}

uint64_t maps_listener_connections(const struct maps *maps, uint32_t listener)
{
    return connections_under(maps, "listener_use", listener);
}

uint64_t maps_member_connections(const struct maps *maps, uint32_t member)
{
    return connections_under(maps, "member_use", member);
}

int maps_service_counters_reset(const struct maps *maps, uint32_t listener)
{
    _cleanup_(freep) struct service_counters *each = calloc((size_t)maps->n_cpus, sizeof(*each));

    if (!each)
        return -ENOMEM;
    return bpf_map_update_elem(maps_descriptor(maps, "service_counters"), &listener, each, BPF_ANY) < 0 ? -errno : 0;
}

static const char *const reason_names[] = {
    NULL,
#define DROP_REASON(name, text) #name,
#include "weft/dataplane/drop-reasons.def"
#undef DROP_REASON
};

static const char *const reason_texts[] = {
    NULL,
#define DROP_REASON(name, text) text,
#include "weft/dataplane/drop-reasons.def"
#undef DROP_REASON
};

const char *drop_reason_name(unsigned reason)
{
    return reason < ARRAY_SIZE(reason_names) ? reason_names[reason] : NULL;
}

const char *drop_reason_text(unsigned reason)
{
    return reason < ARRAY_SIZE(reason_texts) ? reason_texts[reason] : NULL;
}
