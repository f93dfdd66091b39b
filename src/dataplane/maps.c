/* Actual against desired: see maps.h.
 *
 * The order of writes makes each intermediate state one that was or will be right:
 *   1. rows that are new or changed in hashes: nothing refers to a slot before its record says where it leads, and a slot
 *      without a record drops with a reason;
 *   2. records of ports and hosts (the copy that is not active, then 'active');
 *   3. rows that are gone;
 *   4. epochs: connection entries that were decided from the old tables are decided again. */
#include "weft/dataplane/maps.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/dataplane/load.h"

/* ---- records in mapped memory ------------------------------------------------------------------------------------- */

#define RECORD_HEADER 8 /* 'active' and 'epoch' (or padding) before the two copies, in both kinds of record. */

static uint8_t *port_record(const struct maps *maps, uint32_t slot)
{
    return maps->ports + (size_t)slot * sizeof(struct port_record);
}

static uint8_t *host_record(const struct maps *maps, uint32_t slot)
{
    return maps->hosts + (size_t)slot * sizeof(struct host_record);
}

static const void *active_copy(const uint8_t *record, size_t config_size)
{
    uint32_t active = __atomic_load_n((const uint32_t *)record, __ATOMIC_ACQUIRE) & 1;

    return record + RECORD_HEADER + active * config_size;
}

static void write_record(uint8_t *record, size_t config_size, const void *config)
{
    uint32_t next = (__atomic_load_n((uint32_t *)record, __ATOMIC_RELAXED) & 1) ^ 1;

    memcpy(record + RECORD_HEADER + next * config_size, config, config_size);
    __atomic_store_n((uint32_t *)record, next, __ATOMIC_RELEASE);
}

uint32_t maps_port_generation(const struct maps *maps, uint32_t slot)
{
    if (slot >= maps->sizes.n_ports)
        return 0;
    return ((const struct port_config *)active_copy(port_record(maps, slot), sizeof(struct port_config)))->generation;
}

uint32_t maps_host_generation(const struct maps *maps, uint32_t slot)
{
    if (slot >= maps->sizes.n_hosts)
        return 0;
    return ((const struct host_config *)active_copy(host_record(maps, slot), sizeof(struct host_config)))->generation;
}

/* ---- reading back ---------------------------------------------------------------------------------------------------- */

static int read_hash(int fd, struct rows *rows)
{
    uint8_t key[64], next[64], value[64];
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

/* A record whose copy holds nothing but the slot's generation is a free slot. */
static int read_records(const struct maps *maps, struct rows *ports, struct rows *hosts)
{
    rows_clear(ports);
    rows_clear(hosts);
    for (uint32_t slot = 1; slot < maps->sizes.n_ports; slot++) {
        const struct port_config *config = active_copy(port_record(maps, slot), sizeof(*config));

        if (config->vni && rows_add(ports, &slot, config) < 0)
            return -ENOMEM;
    }
    for (uint32_t slot = 1; slot < maps->sizes.n_hosts; slot++) {
        static const __u8 none[16];
        const struct host_config *config = active_copy(host_record(maps, slot), sizeof(*config));

        if (memcmp(config->remote, none, sizeof(none)) != 0 && rows_add(hosts, &slot, config) < 0)
            return -ENOMEM;
    }
    int error = rows_sort(ports);

    return error < 0 ? error : rows_sort(hosts);
}

static int read_projects(const struct maps *maps, struct rows *rows)
{
    rows_clear(rows);
    for (uint32_t index = 0; index < maps->sizes.n_projects; index++) {
        const struct project_record *record = &maps->projects[index];
        struct project_limits limits = {record->max_half_open, record->max_established, record->max_learned};

        if ((limits.max_half_open || limits.max_established || limits.max_learned) && rows_add(rows, &index, &limits) < 0)
            return -ENOMEM;
    }
    return rows_sort(rows);
}

static bool is_hash(enum desired_table table)
{
    return table != TABLE_PORTS && table != TABLE_HOSTS && table != TABLE_PROJECTS;
}

int maps_read_back(struct maps *maps)
{
    for (int table = 0; table < N_DESIRED_TABLES; table++) {
        int error = is_hash(table) ? read_hash(maps->hash_fds[table], &maps->actual.tables[table]) : 0;

        if (error < 0)
            return error;
    }
    int error = read_records(maps, &maps->actual.tables[TABLE_PORTS], &maps->actual.tables[TABLE_HOSTS]);

    return error < 0 ? error : read_projects(maps, &maps->actual.tables[TABLE_PROJECTS]);
}

/* ---- the difference ---------------------------------------------------------------------------------------------------- */

struct difference {
    struct maps *maps;
    enum desired_table table;
    bool sweep;
    uint64_t now_ms;
    struct desired additions;  /* Rows to write. */
    struct desired deletions;  /* Keys; values are what was there. */
    struct rows kept;          /* Of the current table: rows that stay as they were although desired differs. */
    struct rows vnis;          /* Networks whose decisions change. */
    struct rows slots;         /* Ports whose decisions change. */
    struct maps_changes *changes;
};

static int mark_u32(struct rows *set, const void *value)
{
    return rows_add(set, value, NULL);
}

/* Which connection entries may have been decided differently?  A row that only appears changes no decision (there was
 * none: the frame was dropped), unless a learned MAC stood in its place. */
static int mark_concerned(struct difference *difference, const void *key, const void *old_value, const void *new_value)
{
    switch (difference->table) {
    case TABLE_FDB:
    case TABLE_MOVABLE:
    case TABLE_NETWORKS: {
        uint32_t vni; /* All three keys begin with it. */

        memcpy(&vni, key, sizeof(vni));
        if (old_value)
            return mark_u32(&difference->vnis, &vni);
        if (difference->table == TABLE_FDB) {
            const struct network_value *network = rows_find(&difference->maps->actual.tables[TABLE_NETWORKS], &vni);
            uint16_t flags = 0;

            if (network)
                memcpy(&flags, &network->flags, sizeof(flags));
            if (flags & NETWORK_FLOOD_UNKNOWN_NEIGHBORS)
                return mark_u32(&difference->vnis, &vni);
        }
        return 0;
    }
    case TABLE_SOURCES:
        return mark_u32(&difference->slots, (const uint8_t *)key + offsetof(struct source_key, slot));
    case TABLE_PORTS:
        return old_value ? mark_u32(&difference->slots, key) : 0;
    default:
        return 0;
    }
}

/* True when the record of 'slot' changed too recently to be written again. */
static bool in_grace(struct difference *difference, const void *key)
{
    const uint64_t *changed_ms = difference->table == TABLE_PORTS ? difference->maps->port_changed_ms
                                                                  : difference->maps->host_changed_ms;
    uint32_t slot;

    if (difference->table != TABLE_PORTS && difference->table != TABLE_HOSTS)
        return false;
    memcpy(&slot, key, sizeof(slot));
    if (!changed_ms[slot] || difference->now_ms >= changed_ms[slot] + RECORD_GRACE_MS)
        return false;
    difference->changes->retry_ms = MAX(difference->changes->retry_ms, changed_ms[slot] + RECORD_GRACE_MS - difference->now_ms);
    return true;
}

static bool slot_fits(const struct difference *difference, const void *key)
{
    const struct maps_sizes *sizes = &difference->maps->sizes;
    uint32_t slot;

    memcpy(&slot, key, sizeof(slot));
    switch (difference->table) {
    case TABLE_PORTS:
        return slot && slot < sizes->n_ports;
    case TABLE_HOSTS:
        return slot && slot < sizes->n_hosts;
    case TABLE_PROJECTS:
        return slot < sizes->n_projects;
    default:
        return true;
    }
}

static int collect(const void *key, const void *old_value, const void *new_value, void *context)
{
    struct difference *difference = context;
    enum desired_table table = difference->table;

    if (!slot_fits(difference, key)) {
        difference->changes->n_failed++;
        string_copy(difference->changes->failed_table, sizeof(difference->changes->failed_table), desired_table_name(table));
        return 0;
    }
    if ((!new_value && !difference->sweep) || in_grace(difference, key))
        return rows_add(&difference->kept, key, old_value);
    if (mark_concerned(difference, key, old_value, new_value) < 0)
        return -ENOMEM;
    if (!new_value) {
        difference->changes->n_deleted++;
        return rows_add(&difference->deletions.tables[table], key, old_value);
    }
    if (old_value)
        difference->changes->n_changed++;
    else
        difference->changes->n_added++;
    return rows_add(&difference->additions.tables[table], key, new_value);
}

/* ---- writing --------------------------------------------------------------------------------------------------------------- */

/* Splits rows into the two arrays that the batch calls take. */
static int split(const struct rows *rows, uint8_t **ret_keys, uint8_t **ret_values)
{
    uint8_t *keys = malloc(rows->n * rows->key_size), *values = malloc(rows->n * rows->value_size);

    if (!keys || !values) {
        free(keys);
        free(values);
        return -ENOMEM;
    }
    for (size_t i = 0; i < rows->n; i++) {
        memcpy(keys + i * rows->key_size, rows_key(rows, i), rows->key_size);
        memcpy(values + i * rows->value_size, rows_value(rows, i), rows->value_size);
    }
    *ret_keys = keys;
    *ret_values = values;
    return 0;
}

/* Rows one by one, when the kernel refuses the batch or stopped in it; goes on after a row that fails. */
static int update_each(int fd, const struct rows *rows, size_t from, struct difference *difference)
{
    int result = 0;

    for (size_t i = from; i < rows->n; i++)
        if (bpf_map_update_elem(fd, rows_key(rows, i), rows_value(rows, i), BPF_ANY) < 0) {
            result = result ? result : -errno;
            difference->changes->n_failed++;
            string_copy(difference->changes->failed_table, sizeof(difference->changes->failed_table),
                        desired_table_name(difference->table));
        }
    return result;
}

static int update_rows(int fd, const struct rows *rows, struct difference *difference)
{
    _cleanup_(freep) uint8_t *keys = NULL;
    _cleanup_(freep) uint8_t *values = NULL;
    uint32_t done = (uint32_t)rows->n;

    if (rows->n < 2)
        return update_each(fd, rows, 0, difference);
    if (split(rows, &keys, &values) < 0)
        return -ENOMEM;
    if (bpf_map_update_batch(fd, keys, values, &done, NULL) == 0)
        return 0;
    return update_each(fd, rows, done < rows->n ? done : 0, difference);
}

static int delete_rows(int fd, const struct rows *rows)
{
    int result = 0;

    for (size_t i = 0; i < rows->n; i++)
        if (bpf_map_delete_elem(fd, rows_key(rows, i)) < 0 && errno != ENOENT)
            result = -errno;
    return result;
}

static void write_records(struct difference *difference, enum desired_table table)
{
    struct maps *maps = difference->maps;
    const struct rows *rows = &difference->additions.tables[table];

    for (size_t i = 0; i < rows->n; i++) {
        uint32_t slot;

        memcpy(&slot, rows_key(rows, i), sizeof(slot));
        if (table == TABLE_PROJECTS) {
            struct project_limits limits;

            memcpy(&limits, rows_value(rows, i), sizeof(limits));
            __atomic_store_n(&maps->projects[slot].max_half_open, limits.max_half_open, __ATOMIC_RELAXED);
            __atomic_store_n(&maps->projects[slot].max_established, limits.max_established, __ATOMIC_RELAXED);
            __atomic_store_n(&maps->projects[slot].max_learned, limits.max_learned, __ATOMIC_RELAXED);
        } else if (table == TABLE_PORTS) {
            write_record(port_record(maps, slot), sizeof(struct port_config), rows_value(rows, i));
            maps->port_changed_ms[slot] = difference->now_ms;
        } else {
            write_record(host_record(maps, slot), sizeof(struct host_config), rows_value(rows, i));
            maps->host_changed_ms[slot] = difference->now_ms;
        }
    }
}

/* A freed slot keeps its generation, so that its next owner's is another one also after a restart of the agent. */
static void clear_records(struct difference *difference, enum desired_table table)
{
    struct maps *maps = difference->maps;
    const struct rows *rows = &difference->deletions.tables[table];

    for (size_t i = 0; i < rows->n; i++) {
        uint32_t slot;

        memcpy(&slot, rows_key(rows, i), sizeof(slot));
        if (table == TABLE_PROJECTS) {
            maps->projects[slot].max_half_open = maps->projects[slot].max_established = maps->projects[slot].max_learned = 0;
        } else if (table == TABLE_PORTS) {
            struct port_config empty = {.generation = maps_port_generation(maps, slot)};

            write_record(port_record(maps, slot), sizeof(empty), &empty);
            maps->port_changed_ms[slot] = difference->now_ms;
        } else {
            struct host_config empty = {.generation = maps_host_generation(maps, slot)};

            write_record(host_record(maps, slot), sizeof(empty), &empty);
            maps->host_changed_ms[slot] = difference->now_ms;
        }
    }
}

static void bump_epoch(struct maps *maps, uint32_t slot)
{
    if (slot < maps->sizes.n_ports)
        __atomic_fetch_add((uint32_t *)(port_record(maps, slot) + offsetof(struct port_record, epoch)), 1, __ATOMIC_RELEASE);
}

static int bump_epochs(struct difference *difference, const struct rows *ports)
{
    int error = rows_sort(&difference->vnis);

    if (error == 0)
        error = rows_sort(&difference->slots);
    if (error < 0 || (!difference->vnis.n && !difference->slots.n))
        return error;
    for (size_t i = 0; i < ports->n; i++) {
        struct port_config config;
        uint32_t slot;

        memcpy(&slot, rows_key(ports, i), sizeof(slot));
        memcpy(&config, rows_value(ports, i), sizeof(config));
        if (rows_find(&difference->vnis, &config.vni) || rows_find(&difference->slots, &slot))
            bump_epoch(difference->maps, slot);
    }
    return 0;
}

/* ---- all together ------------------------------------------------------------------------------------------------------------- */

/* A flood list of a network that 'desired' knows is complete, also before the replica is: rows behind its end would be
 * second copies. */
static bool is_stale_flood(const struct rows *flood, const void *key)
{
    static const uint32_t lists[] = {FLOOD_DIRECT, FLOOD_TREE, FLOOD_LOCAL};
    struct flood_key first;

    memcpy(&first, key, sizeof(first));
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        first.index = lists[i];
        if (rows_find(flood, &first))
            return true;
    }
    return false;
}

/* What the table will hold: desired, with the rows that were held back as they are. */
static int next_actual(struct difference *difference, const struct rows *desired, struct rows *ret)
{
    int error = 0;

    rows_clear(ret);
    for (size_t i = 0; i < difference->kept.n && error == 0; i++)
        error = rows_add(ret, rows_key(&difference->kept, i), rows_value(&difference->kept, i));
    for (size_t i = 0; i < desired->n && error == 0; i++)
        if (slot_fits(difference, rows_key(desired, i)))
            error = rows_add(ret, rows_key(desired, i), rows_value(desired, i));
    return error < 0 ? error : rows_sort(ret);
}

static int compare_table(struct difference *difference, const struct desired *desired, struct rows *ret_next)
{
    enum desired_table table = difference->table;
    const struct rows *before = &difference->maps->actual.tables[table], *after = &desired->tables[table];
    int error;

    rows_init(&difference->kept, before->key_size, before->value_size);
    error = rows_compare(before, after, collect, difference);
    if (error == 0 && table == TABLE_FLOOD && !difference->sweep) {
        struct rows kept;

        rows_init(&kept, before->key_size, before->value_size);
        for (size_t i = 0; i < difference->kept.n && error == 0; i++) {
            const void *key = rows_key(&difference->kept, i), *value = rows_value(&difference->kept, i);

            error = rows_add(is_stale_flood(after, key) ? &difference->deletions.tables[table] : &kept, key, value);
        }
        rows_clear(&difference->kept);
        difference->kept = kept;
    }
    if (error == 0)
        error = next_actual(difference, after, ret_next);
    rows_clear(&difference->kept);
    return error;
}

static void note(int *result, int error)
{
    if (*result == 0)
        *result = error;
}

int maps_apply(struct maps *maps, const struct desired *desired, bool sweep, uint64_t now_ms, struct maps_changes *ret_changes)
{
    struct difference difference = {.maps = maps, .sweep = sweep, .now_ms = now_ms, .changes = ret_changes};
    bool stale[N_DESIRED_TABLES] = {false};
    struct desired next;
    int result = 0;

    *ret_changes = (struct maps_changes){0};
    desired_init(&difference.additions);
    desired_init(&difference.deletions);
    desired_init(&next);
    rows_init(&difference.vnis, sizeof(uint32_t), 0);
    rows_init(&difference.slots, sizeof(uint32_t), 0);

    for (int table = 0; table < N_DESIRED_TABLES && result == 0; table++) {
        difference.table = table;
        result = compare_table(&difference, desired, &next.tables[table]);
    }
    if (result < 0)
        goto finish;

    for (int table = 0; table < N_DESIRED_TABLES; table++)
        if (is_hash(table) && difference.additions.tables[table].n) {
            int error;

            difference.table = table;
            error = update_rows(maps->hash_fds[table], &difference.additions.tables[table], &difference);
            stale[table] = error < 0;
            note(&result, error);
        }
    write_records(&difference, TABLE_PROJECTS);
    write_records(&difference, TABLE_HOSTS);
    write_records(&difference, TABLE_PORTS);
    for (int table = 0; table < N_DESIRED_TABLES; table++)
        if (is_hash(table) && difference.deletions.tables[table].n) {
            int error = delete_rows(maps->hash_fds[table], &difference.deletions.tables[table]);

            stale[table] = stale[table] || error < 0;
            note(&result, error);
        }
    clear_records(&difference, TABLE_PORTS);
    clear_records(&difference, TABLE_HOSTS);
    clear_records(&difference, TABLE_PROJECTS);
    note(&result, bump_epochs(&difference, &next.tables[TABLE_PORTS]));

    for (int table = 0; table < N_DESIRED_TABLES; table++) {
        struct rows swap = maps->actual.tables[table];

        maps->actual.tables[table] = next.tables[table];
        next.tables[table] = swap;
        if (stale[table])
            note(&result, read_hash(maps->hash_fds[table], &maps->actual.tables[table]));
    }

finish:
    desired_clear(&difference.additions);
    desired_clear(&difference.deletions);
    desired_clear(&next);
    rows_clear(&difference.vnis);
    rows_clear(&difference.slots);
    return result;
}

/* ---- learned MACs: written by the programs ---------------------------------------------------------------------------------------- */

static bool may_still_claim(const struct maps *maps, const struct fdb_key *key, uint32_t output)
{
    struct movable_key claim = {.vni = key->vni, .output = output}; /* Any MAC that nobody owns. */

    if (rows_find(&maps->actual.tables[TABLE_FDB], key))
        return false;
    if (rows_find(&maps->actual.tables[TABLE_MOVABLE], &claim))
        return true;
    memcpy(claim.mac, key->mac, sizeof(claim.mac));
    return rows_find(&maps->actual.tables[TABLE_MOVABLE], &claim) != NULL;
}

struct learned_counts {
    uint32_t *ports, *hosts, *projects; /* By slot; of hosts for one network at a time. */
    bool *gone;                         /* By row: forgotten. */
};

static uint32_t *count_of(const struct maps *maps, const struct learned_counts *counts, uint32_t output)
{
    uint32_t kind = output & OUTPUT_KIND_MASK, slot = output & OUTPUT_SLOT_MASK;

    if (kind == OUTPUT_LOCAL && slot < maps->sizes.n_ports)
        return &counts->ports[slot];
    return kind == OUTPUT_REMOTE && slot < maps->sizes.n_hosts ? &counts->hosts[slot] : NULL;
}

static uint32_t limit_of(uint32_t output)
{
    return (output & OUTPUT_KIND_MASK) == OUTPUT_LOCAL ? MAX_LEARNED_PER_PORT : MAX_LEARNED_PER_HOST;
}

static void learned_row(const struct rows *learned, size_t i, struct fdb_key *ret_key, struct output_value *ret_value)
{
    memcpy(ret_key, rows_key(learned, i), sizeof(*ret_key));
    memcpy(ret_value, rows_value(learned, i), sizeof(*ret_value));
}

static int forget_row(const struct maps *maps, struct learned_counts *counts, size_t i, const struct fdb_key *key)
{
    counts->gone[i] = true;
    return bpf_map_delete_elem(maps_descriptor(maps, "learned"), key) == 0;
}

/* One network's rows, from 'from' to before '*ret_to'.  Nothing tells how old a row is: what is behind an output that has reached
 * its limit is forgotten as a whole, and what is in use is learned again from its next frame (a port) or broadcast (a host). */
static int sweep_network(struct maps *maps, const struct rows *learned, size_t from, struct learned_counts *counts, size_t *ret_to)
{
    struct output_value value;
    struct fdb_key key;
    uint32_t vni, *count;
    int n_removed = 0;
    size_t to;

    memcpy(&vni, rows_key(learned, from), sizeof(vni));
    for (to = from; to < learned->n; to++) {
        learned_row(learned, to, &key, &value);
        if (key.vni != vni)
            break;
        count = count_of(maps, counts, value.output);
        if (!may_still_claim(maps, &key, value.output))
            n_removed += forget_row(maps, counts, to, &key);
        else if (count)
            ++*count;
    }
    for (size_t i = from; i < to; i++) {
        learned_row(learned, i, &key, &value);
        count = count_of(maps, counts, value.output);
        if (!counts->gone[i] && count && *count >= limit_of(value.output))
            n_removed += forget_row(maps, counts, i, &key);
    }
    for (size_t i = from; i < to; i++) {
        learned_row(learned, i, &key, &value);
        count = count_of(maps, counts, value.output);
        if (count && ((value.output & OUTPUT_KIND_MASK) == OUTPUT_REMOTE || *count >= limit_of(value.output)))
            *count = 0;
    }
    *ret_to = to;
    return n_removed;
}

/* Whose network it is; index 0 when that is not known any more, as for who is beyond the table. */
static uint32_t project_of(const struct maps *maps, uint32_t vni)
{
    const void *row = rows_find(&maps->actual.tables[TABLE_NETWORKS], &vni);
    struct network_value network = {0};

    if (row)
        memcpy(&network, row, sizeof(network));
    return network.project < maps->sizes.n_projects ? network.project : 0;
}

/* As for ports and hosts: a project at its limit begins anew. */
static int sweep_projects(struct maps *maps, const struct rows *learned, struct learned_counts *counts)
{
    struct output_value value;
    struct fdb_key key;
    int n_removed = 0;

    for (size_t i = 0; i < learned->n; i++) {
        learned_row(learned, i, &key, &value);
        counts->projects[project_of(maps, key.vni)] += !counts->gone[i];
    }
    for (size_t i = 0; i < learned->n; i++) {
        learned_row(learned, i, &key, &value);

        uint32_t project = project_of(maps, key.vni), *count = count_of(maps, counts, value.output);

        if (counts->gone[i] || counts->projects[project] < maps->projects[project].max_learned)
            continue;
        n_removed += forget_row(maps, counts, i, &key);
        if ((value.output & OUTPUT_KIND_MASK) == OUTPUT_LOCAL && count && *count)
            --*count;
    }
    for (uint32_t i = 0; i < maps->sizes.n_projects; i++) {
        if (counts->projects[i] >= maps->projects[i].max_learned)
            counts->projects[i] = 0;
        if (maps->projects[i].n_learned != counts->projects[i])
            __atomic_store_n(&maps->projects[i].n_learned, counts->projects[i], __ATOMIC_RELAXED);
    }
    return n_removed;
}

int maps_sweep_learned(struct maps *maps)
{
    _cleanup_(freep) uint32_t *ports = calloc(maps->sizes.n_ports, sizeof(*ports));
    _cleanup_(freep) uint32_t *hosts = calloc(maps->sizes.n_hosts, sizeof(*hosts));
    _cleanup_(freep) uint32_t *projects = calloc(maps->sizes.n_projects, sizeof(*projects));
    _cleanup_(freep) bool *gone = NULL;
    int n_removed = 0;
    struct rows learned;

    rows_init(&learned, sizeof(struct fdb_key), sizeof(struct output_value));
    if (!ports || !hosts || !projects || read_hash(maps_descriptor(maps, "learned"), &learned) < 0 ||
        !(gone = calloc(learned.n + 1, sizeof(*gone)))) {
        rows_clear(&learned);
        return -ENOMEM;
    }

    struct learned_counts counts = {ports, hosts, projects, gone};

    for (size_t i = 0; i < learned.n;) /* Sorted, so that a network's rows are together. */
        n_removed += sweep_network(maps, &learned, i, &counts, &i);
    n_removed += sweep_projects(maps, &learned, &counts);
    rows_clear(&learned);
    /* The programs count up meanwhile: one more or less is no matter. */
    for (uint32_t slot = 1; slot < maps->sizes.n_ports; slot++)
        if (maps->runtime[slot].n_learned != ports[slot])
            __atomic_store_n(&maps->runtime[slot].n_learned, ports[slot], __ATOMIC_RELAXED);
    return n_removed;
}

void maps_project_learned(const struct maps *maps, uint32_t index, uint32_t *ret_n_learned, uint32_t *ret_n_not_learned)
{
    bool is_there = index < maps->sizes.n_projects;

    *ret_n_learned = is_there ? __atomic_load_n(&maps->projects[index].n_learned, __ATOMIC_RELAXED) : 0;
    *ret_n_not_learned = is_there ? __atomic_load_n(&maps->projects[index].n_not_learned, __ATOMIC_RELAXED) : 0;
}

const struct desired *maps_actual(const struct maps *maps)
{
    return &maps->actual;
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
