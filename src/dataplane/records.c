/* Tables in mapped memory: see records.h. */
#include "weft/dataplane/records.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "weft/base/util.h"
#include "weft/dataplane/load.h"

/* 'active' and 'epoch' (or padding) before the two copies, in each kind of double record. */
#define RECORD_HEADER 8

struct shape {
    size_t size;                         /* Of an element. */
    size_t config_size;                  /* Of one copy; 0: no double record. */
    size_t generation;                   /* Where a copy has it. */
    size_t used, used_size;              /* Bytes of a copy that are zero while the record is free. */
};

#define DOUBLE(type, member)                                                                                 \
    {sizeof(struct type##_record), sizeof(struct type##_config), offsetof(struct type##_config, generation), \
     offsetof(struct type##_config, member), sizeof(((struct type##_config *)0)->member)}

static const struct shape shapes[N_DESIRED_TABLES] = {
    [TABLE_PORTS] = DOUBLE(port, vni),
    [TABLE_HOSTS] = DOUBLE(host, remote),
    [TABLE_ROUTER_PORTS] = DOUBLE(router_port, vni),
    [TABLE_POLICIES] = {.size = sizeof(struct port_policy)},
    [TABLE_PROJECTS] = {.size = sizeof(struct project_record)},
};

_Static_assert(offsetof(struct port_record, config) == RECORD_HEADER && offsetof(struct host_record, config) == RECORD_HEADER &&
                   offsetof(struct router_port_record, config) == RECORD_HEADER,
               "one kind of double record");

/* ---- opening ------------------------------------------------------------------------------------------------------------ */

int records_open(struct maps *maps, enum desired_table table, struct error *error)
{
    struct records *records = &maps->records[table];
    const char *name = desired_table_name(table);
    void *memory = NULL;
    int result;

    records->n = maps_size(maps, name);
    records->changed_ms = calloc(records->n, sizeof(*records->changed_ms));
    if (!records->changed_ms)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    result = maps_map_array(maps, name, shapes[table].size, &memory, &records->memory_size, error);
    if (result == 0)
        records->memory = memory;
    return result;
}

void records_close(struct maps *maps, enum desired_table table)
{
    struct records *records = &maps->records[table];

    if (records->memory)
        munmap(records->memory, records->memory_size);
    free(records->changed_ms);
}

/* ---- elements -------------------------------------------------------------------------------------------------------------- */

static uint32_t index_of(const void *key)
{
    uint32_t index;

    memcpy(&index, key, sizeof(index));
    return index;
}

static uint8_t *element(const struct maps *maps, enum desired_table table, uint32_t index)
{
    return maps->records[table].memory + index * shapes[table].size;
}

static const uint8_t *active_copy(const struct maps *maps, enum desired_table table, uint32_t index)
{
    const uint8_t *record = element(maps, table, index);
    uint32_t active = __atomic_load_n((const uint32_t *)record, __ATOMIC_ACQUIRE) & 1;

    return record + RECORD_HEADER + active * shapes[table].config_size;
}

static void write_copy(struct maps *maps, enum desired_table table, uint32_t index, const void *config, uint64_t now_ms)
{
    uint8_t *record = element(maps, table, index);
    uint32_t next = (__atomic_load_n((uint32_t *)record, __ATOMIC_RELAXED) & 1) ^ 1;

    memcpy(record + RECORD_HEADER + next * shapes[table].config_size, config, shapes[table].config_size);
    __atomic_store_n((uint32_t *)record, next, __ATOMIC_RELEASE);
    maps->records[table].changed_ms[index] = now_ms;
}

static bool is_free(const struct maps *maps, enum desired_table table, uint32_t index)
{
    static const uint8_t none[16];

    return memcmp(active_copy(maps, table, index) + shapes[table].used, none, shapes[table].used_size) == 0;
}

uint32_t records_generation(const struct maps *maps, enum desired_table table, uint32_t index)
{
    uint32_t generation = 0;

    if (index < maps->records[table].n)
        memcpy(&generation, active_copy(maps, table, index) + shapes[table].generation, sizeof(generation));
    return generation;
}

struct project_record *records_project(const struct maps *maps, uint32_t index)
{
    return (struct project_record *)element(maps, TABLE_PROJECTS, index);
}

static void write_limits(struct maps *maps, uint32_t index, const void *row)
{
    struct project_record *record = records_project(maps, index);
    struct project_limits limits; /* Rows lie unaligned. */

    memcpy(&limits, row, sizeof(limits));
    __atomic_store_n(&record->max_half_open, limits.max_half_open, __ATOMIC_RELAXED);
    __atomic_store_n(&record->max_established, limits.max_established, __ATOMIC_RELAXED);
    __atomic_store_n(&record->max_learned, limits.max_learned, __ATOMIC_RELAXED);
    __atomic_store_n(&record->port_half_open, limits.port_half_open, __ATOMIC_RELAXED);
}

/* One word, so that a reader has the two sets of one policy. */
static void write_policy(struct maps *maps, uint32_t slot, const void *row)
{
    uint64_t word;

    memcpy(&word, row, sizeof(word));
    __atomic_store_n((uint64_t *)element(maps, TABLE_POLICIES, slot), word, __ATOMIC_RELEASE);
}

/* ---- rows -------------------------------------------------------------------------------------------------------------------- */

static int read_projects(const struct maps *maps, struct rows *rows)
{
    for (uint32_t index = 0; index < maps->records[TABLE_PROJECTS].n; index++) {
        const struct project_record *record = records_project(maps, index);
        struct project_limits limits = {record->max_half_open, record->max_established, record->max_learned, record->port_half_open};

        if ((limits.max_half_open || limits.max_established || limits.max_learned) && rows_add(rows, &index, &limits) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int read_policies(const struct maps *maps, struct rows *rows)
{
    for (uint32_t slot = 1; slot < maps->records[TABLE_POLICIES].n; slot++) {
        const struct port_policy *policy = (const struct port_policy *)element(maps, TABLE_POLICIES, slot);

        if ((policy->rule_set[0] || policy->rule_set[1]) && rows_add(rows, &slot, policy) < 0)
            return -ENOMEM;
    }
    return 0;
}

int records_read(const struct maps *maps, enum desired_table table, struct rows *rows)
{
    rows_clear(rows);
    if ((table == TABLE_PROJECTS && read_projects(maps, rows) < 0) || (table == TABLE_POLICIES && read_policies(maps, rows) < 0))
        return -ENOMEM;
    for (uint32_t index = 1; shapes[table].config_size && index < maps->records[table].n; index++)
        if (!is_free(maps, table, index) && rows_add(rows, &index, active_copy(maps, table, index)) < 0)
            return -ENOMEM;
    return rows_sort(rows);
}

bool records_fit(const struct maps *maps, enum desired_table table, const void *key)
{
    uint32_t index = index_of(key);

    return index < maps->records[table].n && (index || table == TABLE_PROJECTS);
}

uint64_t records_grace_ms(const struct maps *maps, enum desired_table table, const void *key, uint64_t now_ms)
{
    uint64_t changed_ms = !shapes[table].config_size ? 0 : maps->records[table].changed_ms[index_of(key)];

    return !changed_ms || now_ms >= changed_ms + RECORD_GRACE_MS ? 0 : changed_ms + RECORD_GRACE_MS - now_ms;
}

void records_write(struct maps *maps, enum desired_table table, const struct rows *rows, uint64_t now_ms)
{
    for (size_t i = 0; i < rows->n; i++) {
        uint32_t index = index_of(rows_key(rows, i));

        if (table == TABLE_PROJECTS)
            write_limits(maps, index, rows_value(rows, i));
        else if (table == TABLE_POLICIES)
            write_policy(maps, index, rows_value(rows, i));
        else
            write_copy(maps, table, index, rows_value(rows, i), now_ms);
    }
}

void records_remove(struct maps *maps, enum desired_table table, const struct rows *rows, uint64_t now_ms)
{
    for (size_t i = 0; i < rows->n; i++) {
        uint32_t index = index_of(rows_key(rows, i));
        uint8_t empty[128] = {0};

        if (table == TABLE_PROJECTS) {
            write_limits(maps, index, empty);
        } else if (table == TABLE_POLICIES) {
            write_policy(maps, index, empty);
        } else {
            memcpy(empty + shapes[table].generation, active_copy(maps, table, index) + shapes[table].generation, sizeof(uint32_t));
            write_copy(maps, table, index, empty, now_ms);
        }
    }
}

void records_bump_epoch(struct maps *maps, uint32_t slot)
{
    if (slot < maps->records[TABLE_PORTS].n)
        __atomic_fetch_add((uint32_t *)(element(maps, TABLE_PORTS, slot) + offsetof(struct port_record, epoch)), 1, __ATOMIC_RELEASE);
}
