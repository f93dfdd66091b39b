/* MACs that the programs learned: which may stay, and how many each port, host and project has.  See maps.h. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/dataplane/load.h"

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

        if (counts->gone[i] || counts->projects[project] < records_project(maps, project)->max_learned)
            continue;
        n_removed += forget_row(maps, counts, i, &key);
        if ((value.output & OUTPUT_KIND_MASK) == OUTPUT_LOCAL && count && *count)
            --*count;
    }
    for (uint32_t i = 0; i < maps->sizes.n_projects; i++) {
        if (counts->projects[i] >= records_project(maps, i)->max_learned)
            counts->projects[i] = 0;
        if (records_project(maps, i)->n_learned != counts->projects[i])
            __atomic_store_n(&records_project(maps, i)->n_learned, counts->projects[i], __ATOMIC_RELAXED);
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
    if (!ports || !hosts || !projects || maps_read_hash(maps_descriptor(maps, "learned"), &learned) < 0 ||
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

    *ret_n_learned = is_there ? __atomic_load_n(&records_project(maps, index)->n_learned, __ATOMIC_RELAXED) : 0;
    *ret_n_not_learned = is_there ? __atomic_load_n(&records_project(maps, index)->n_not_learned, __ATOMIC_RELAXED) : 0;
}
