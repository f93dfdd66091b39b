/* Bringing the maps from what they hold to what is desired: see maps.h.
 *
 * The order of writes makes each intermediate state one that was or will be right:
 *   0. rule sets that are gone, and that no program can be in the middle of any more;
 *   1. rows that are new or changed in hashes: nothing refers to a slot before its record says where it leads, and a slot
 *      without a record drops with a reason; members of load balancers that went down after the rows of their pools, which lead to others;
 *   2. records of ports, hosts and router ports (the copy that is not active, then 'active'), before a port's the word that says which its rule sets are;
 *   3. rows that are gone, those of pools as rule sets; then what a full table had no room for before;
 *   4. epochs: connection entries that were decided from the old tables are decided again (concerned.h). */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/dataplane/concerned.h"
#include "weft/dataplane/load.h"

/* ---- the difference ---------------------------------------------------------------------------------------------------- */

struct difference {
    struct maps *maps;
    const struct desired *desired;
    enum desired_table table;
    bool sweep;
    uint64_t now_ms;
    struct desired additions;  /* Rows to write. */
    struct rows members_down;  /* The same, of service_members: those to whom nobody is to be led any more. */
    struct desired deletions;  /* Keys; values are what was there. */
    struct rows kept;          /* Of the current table: rows that stay as they were although desired differs. */
    struct concerned concerned; /* Ports whose decisions change. */
    struct maps_changes *changes;
    struct rows unnamed;       /* What maps->unnamed is to be. */
    uint32_t n_unwritten;      /* Rows of hashes that could not be written. */
    int update_errors[N_DESIRED_TABLES], delete_errors[N_DESIRED_TABLES]; /* Of hashes. */
};

/* Most tables, most of the time. */
static bool rows_same(const struct rows *a, const struct rows *b)
{
    return a->n == b->n && (!a->n || memcmp(a->data, b->data, a->n * rows_stride(a)) == 0);
}

/* A program reads a set's name once and then its blocks: they stay for a moment after the last port that named it does so no more.  This record of
 * a port, or of a router's, becomes another one, or is to once it may be written. */
static int note_sets(const void *key, const void *old_value, const void *new_value, void *context)
{
    struct difference *difference = context;
    bool is_policy = difference->table == TABLE_POLICIES;
    const __u32 *sets = is_policy ? ((const struct port_policy *)old_value)->rule_set : ((const struct router_port_config *)old_value)->rule_set;

    for (int direction = 0; old_value && direction < 2; direction++) {
        struct set_key set = {is_policy ? TABLE_RULES : TABLE_FIREWALL_RULES, sets[direction]};

        if (set.set && rows_add(&difference->unnamed, &set, &difference->now_ms) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* With those that were noted before and not long ago; of the same set the later time holds. */
static int note_unnamed(struct difference *difference)
{
    static const enum desired_table tables[] = {TABLE_POLICIES, TABLE_ROUTER_PORTS};
    const struct rows *before = &difference->maps->unnamed;

    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        const struct rows *actual = &difference->maps->actual.tables[tables[i]], *desired = &difference->desired->tables[tables[i]];

        difference->table = tables[i];
        if (!rows_same(actual, desired) && rows_compare(actual, desired, note_sets, difference) < 0)
            return -ENOMEM;
    }
    for (size_t i = 0; i < before->n; i++) {
        uint64_t time_ms;

        memcpy(&time_ms, rows_value(before, i), sizeof(time_ms));
        if (difference->now_ms < time_ms + RECORD_GRACE_MS && rows_add(&difference->unnamed, rows_key(before, i), &time_ms) < 0)
            return -ENOMEM;
    }
    return rows_sort(&difference->unnamed);
}

static uint64_t set_grace_ms(const struct difference *difference, const struct rules_key *block)
{
    struct set_key key = {(__u32)difference->table, block->set};
    const void *found = rows_find(&difference->unnamed, &key);
    uint64_t time_ms = 0;

    if (!found)
        return 0;
    memcpy(&time_ms, found, sizeof(time_ms));
    return time_ms + RECORD_GRACE_MS - difference->now_ms;
}

/* True when the record changed too recently to be written again. */
static bool in_grace(struct difference *difference, const void *key)
{
    uint64_t wait_ms = desired_table_is_array(difference->table) ? records_grace_ms(difference->maps, difference->table, key, difference->now_ms) : 0;

    difference->changes->retry_ms = MAX(difference->changes->retry_ms, wait_ms);
    return wait_ms != 0;
}

/* A service that named rows does so no more: of a pool that is not its own now, or has another number of rows. */
static int note_service(const void *key, const void *old_value, const void *new_value, void *context)
{
    struct difference *difference = context;
    const struct service_value *before = old_value, *now = new_value;

    if (before && before->pool < SERVICE_POOLS_MAX && (!now || now->pool != before->pool || now->n_rows != before->n_rows))
        difference->maps->pools_changed_ms[before->pool] = difference->now_ms;
    return 0;
}

/* The same of the rows of a pool, whose number a service says.  Only that pool's services keep them: what others do goes on all the time. */
static bool may_be_read_by_services(struct difference *difference, const struct service_rows_key *key)
{
    uint64_t changed_ms = key->pool < SERVICE_POOLS_MAX ? difference->maps->pools_changed_ms[key->pool] : 0, wait_ms = 0;

    if (changed_ms && difference->now_ms < changed_ms + RECORD_GRACE_MS)
        wait_ms = changed_ms + RECORD_GRACE_MS - difference->now_ms;
    difference->changes->retry_ms = MAX(difference->changes->retry_ms, wait_ms);
    return wait_ms != 0;
}

static bool may_be_read(struct difference *difference, const void *key)
{
    uint64_t wait_ms = 0;

    if (difference->table == TABLE_SERVICE_ROWS)
        return may_be_read_by_services(difference, key);
    if (difference->table == TABLE_RULES || difference->table == TABLE_FIREWALL_RULES)
        wait_ms = set_grace_ms(difference, key);
    difference->changes->retry_ms = MAX(difference->changes->retry_ms, wait_ms);
    return wait_ms != 0;
}

static bool row_fits(const struct difference *difference, const void *key)
{
    return !desired_table_is_array(difference->table) || records_fit(difference->maps, difference->table, key);
}

static bool is_member_down(enum desired_table table, const void *value)
{
    return table == TABLE_SERVICE_MEMBERS && !(((const struct service_member *)value)->flags & SERVICE_MEMBER_UP);
}

static int collect(const void *key, const void *old_value, const void *new_value, void *context)
{
    struct difference *difference = context;
    enum desired_table table = difference->table;

    if (!row_fits(difference, key)) {
        difference->changes->n_failed++;
        string_copy(difference->changes->failed_table, sizeof(difference->changes->failed_table), desired_table_name(table));
        return 0;
    }
    if ((!new_value && (!difference->sweep || may_be_read(difference, key))) || in_grace(difference, key))
        return rows_add(&difference->kept, key, old_value);
    if (concerned_mark(&difference->concerned, table, key, old_value, new_value) < 0)
        return -ENOMEM;
    if (!new_value) {
        difference->changes->n_deleted++;
        return rows_add(&difference->deletions.tables[table], key, old_value);
    }
    if (old_value)
        difference->changes->n_changed++;
    else
        difference->changes->n_added++;
    return rows_add(is_member_down(table, new_value) ? &difference->members_down : &difference->additions.tables[table], key, new_value);
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
            difference->n_unwritten++;
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

static void note(int *result, int error)
{
    if (*result == 0)
        *result = error;
}

static int update_table(struct difference *difference, enum desired_table table, const struct rows *rows)
{
    if (!rows->n)
        return 0;
    difference->table = table;
    return update_rows(difference->maps->hash_fds[table], rows, difference);
}

static void update_tables(struct difference *difference)
{
    int *errors = difference->update_errors;

    for (int table = 0; table < N_DESIRED_TABLES; table++)
        if (!desired_table_is_array(table))
            errors[table] = update_table(difference, table, &difference->additions.tables[table]);
    note(&errors[TABLE_SERVICE_MEMBERS], update_table(difference, TABLE_SERVICE_MEMBERS, &difference->members_down));
}

static int delete_rows(int fd, const struct rows *rows)
{
    int result = 0;

    for (size_t i = 0; i < rows->n; i++)
        if (bpf_map_delete_elem(fd, rows_key(rows, i)) < 0 && errno != ENOENT)
            result = -errno;
    return result;
}

static void delete_table(struct difference *difference, enum desired_table table)
{
    const struct rows *rows = &difference->deletions.tables[table];

    if (!desired_table_is_array(table) && rows->n)
        difference->delete_errors[table] = delete_rows(difference->maps->hash_fds[table], rows);
}

/* Sets that may go are those that no program can be reading: they make room before others are written. */
static bool goes_first(enum desired_table table)
{
    return table == TABLE_RULES || table == TABLE_FIREWALL_RULES;
}

/* A table may have been full of rows that this very change removes: now there is room. */
static void update_full_tables(struct difference *difference)
{
    int *errors = difference->update_errors;
    bool is_down_failed = errors[TABLE_SERVICE_MEMBERS] < 0;

    difference->changes->n_failed -= difference->n_unwritten;
    difference->n_unwritten = 0;
    for (int table = 0; table < N_DESIRED_TABLES; table++)
        if (errors[table] < 0)
            errors[table] = update_table(difference, table, &difference->additions.tables[table]);
    if (is_down_failed)
        note(&errors[TABLE_SERVICE_MEMBERS], update_table(difference, TABLE_SERVICE_MEMBERS, &difference->members_down));
}

/* What a record refers to comes before it, and goes after it. */
static const enum desired_table record_order[] = {TABLE_PROJECTS, TABLE_HOSTS, TABLE_ROUTER_PORTS, TABLE_POLICIES, TABLE_PORTS};

static int is_overwritten(const void *key, const void *old_value, const void *new_value, void *context)
{
    return old_value && new_value;
}

bool maps_would_overwrite_sets(const struct maps *maps, const struct desired *desired)
{
    const struct rows *before = maps->actual.tables, *now = desired->tables;

    return rows_compare(&before[TABLE_RULES], &now[TABLE_RULES], is_overwritten, NULL) ||
           rows_compare(&before[TABLE_FIREWALL_RULES], &now[TABLE_FIREWALL_RULES], is_overwritten, NULL);
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

    if (!difference->kept.n && !desired_table_is_array(difference->table)) {
        error = rows_copy(desired, ret);
        return error < 0 ? error : rows_sort(ret);
    }
    rows_clear(ret);
    for (size_t i = 0; i < difference->kept.n && error == 0; i++)
        error = rows_add(ret, rows_key(&difference->kept, i), rows_value(&difference->kept, i));
    for (size_t i = 0; i < desired->n && error == 0; i++)
        if (row_fits(difference, rows_key(desired, i)))
            error = rows_add(ret, rows_key(desired, i), rows_value(desired, i));
    return error < 0 ? error : rows_sort(ret);
}

/* 'ret_is_same': there is nothing to do, and '*ret_next' is left empty. */
static int compare_table(struct difference *difference, const struct desired *desired, struct rows *ret_next, bool *ret_is_same)
{
    enum desired_table table = difference->table;
    const struct rows *before = &difference->maps->actual.tables[table], *after = &desired->tables[table];
    int error;

    *ret_is_same = rows_same(before, after);
    if (*ret_is_same)
        return 0;
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

int maps_apply(struct maps *maps, const struct desired *desired, bool sweep, uint64_t now_ms, struct maps_changes *ret_changes)
{
    struct difference difference = {.maps = maps, .desired = desired, .sweep = sweep, .now_ms = now_ms, .changes = ret_changes};
    bool same[N_DESIRED_TABLES] = {false};
    struct desired next, now; /* 'now' borrows. */
    int result = 0;

    *ret_changes = (struct maps_changes){0};
    desired_init(&difference.additions);
    desired_init(&difference.deletions);
    rows_init(&difference.members_down, sizeof(uint32_t), sizeof(struct service_member));
    desired_init(&next);
    rows_init(&difference.unnamed, sizeof(struct set_key), sizeof(uint64_t));
    concerned_init(&difference.concerned, maps);

    if (!rows_same(&maps->actual.tables[TABLE_SERVICES], &desired->tables[TABLE_SERVICES]))
        result = rows_compare(&maps->actual.tables[TABLE_SERVICES], &desired->tables[TABLE_SERVICES], note_service, &difference);
    if (result == 0)
        result = note_unnamed(&difference);
    for (int table = 0; table < N_DESIRED_TABLES && result == 0; table++) {
        difference.table = table;
        result = compare_table(&difference, desired, &next.tables[table], &same[table]);
    }
    if (result < 0)
        goto finish;
    rows_clear(&maps->unnamed);
    maps->unnamed = difference.unnamed;
    rows_init(&difference.unnamed, sizeof(struct set_key), sizeof(uint64_t));

    for (int table = 0; table < N_DESIRED_TABLES; table++)
        if (goes_first(table))
            delete_table(&difference, table);
    update_tables(&difference);
    for (size_t i = 0; i < ARRAY_SIZE(record_order); i++)
        records_write(maps, record_order[i], &difference.additions.tables[record_order[i]], now_ms);
    for (int table = N_DESIRED_TABLES - 1; table >= 0; table--) /* What refers to others goes before them. */
        if (!goes_first(table))
            delete_table(&difference, table);
    if (difference.n_unwritten)
        update_full_tables(&difference);
    for (int table = 0; table < N_DESIRED_TABLES; table++) {
        note(&result, difference.update_errors[table]);
        note(&result, difference.delete_errors[table]);
    }
    for (size_t i = ARRAY_SIZE(record_order); i > 0; i--)
        records_remove(maps, record_order[i - 1], &difference.deletions.tables[record_order[i - 1]], now_ms);
    for (int table = 0; table < N_DESIRED_TABLES; table++)
        now.tables[table] = same[table] ? maps->actual.tables[table] : next.tables[table];
    note(&result, concerned_bump(&difference.concerned, &now));

    for (int table = 0; table < N_DESIRED_TABLES; table++) {
        struct rows swap = maps->actual.tables[table];

        if (same[table])
            continue;
        maps->actual.tables[table] = next.tables[table];
        next.tables[table] = swap;
        if (difference.update_errors[table] < 0 || difference.delete_errors[table] < 0)
            note(&result, maps_read_hash(maps->hash_fds[table], &maps->actual.tables[table]));
    }

finish:
    rows_clear(&difference.unnamed);
    desired_clear(&difference.additions);
    desired_clear(&difference.deletions);
    rows_clear(&difference.members_down);
    desired_clear(&next);
    concerned_clear(&difference.concerned);
    return result;
}
