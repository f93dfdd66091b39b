#include "weft/compiler/admission.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/compiler/layers.h"
#include "weft/compiler/shares.h"

/* What others hang on comes first: what is left out wants nothing of the tables behind it. */
static const enum desired_table shared[] = {
    TABLE_NETWORKS, TABLE_FLOOD,           TABLE_SOURCES,      TABLE_MOVABLE,         TABLE_FDB,           TABLE_NEIGHBORS,
    TABLE_ROUTES,   TABLE_NEXT_HOPS,       TABLE_SNAT,         TABLE_SNAT_OWNERS,     TABLE_FLOATING,      TABLE_EXTERNAL,
    TABLE_SERVICES, TABLE_SERVICE_SOURCES, TABLE_SERVICE_ROWS, TABLE_SERVICE_MEMBERS, TABLE_SERVICE_NAMES, TABLE_PROBE_TARGETS};

/* Of fewer objects come fewer rows, whose keys may be others. */
static bool only_shrinks(enum desired_table table)
{
    return table == TABLE_NETWORKS || table == TABLE_FLOOD || table == TABLE_MOVABLE || table == TABLE_NEXT_HOPS;
}

bool admission_is_over(const struct snapshot *snapshot, const struct desired *desired)
{
    for (size_t i = 0; i < ARRAY_SIZE(shared); i++)
        if (compile_is_over(snapshot, shared[i], desired->tables[shared[i]].n))
            return true;
    return false;
}

/* ---- who finds room ----------------------------------------------------------------------------------------------------------------- */

static int divide_table(struct charges *charges, enum desired_table table, struct rows *shortages)
{
    size_t room = charges->snapshot->room[table], n_own;
    struct claims claims = {0};
    int error = 0;

    charges_follow(charges);
    charges_count(charges, table, &n_own);
    for (size_t i = 0; i < charges->n; i++)
        if (!unit_stands(charges, &charges->units[i]))
            charges->units[i].n_rows = 0;
    for (size_t i = 0; i < charges->n && error == 0; i++) {
        struct unit *unit = &charges->units[i];

        if (!unit->n_rows)
            continue;
        unit->fits = false;
        error = claims_add(&claims, (struct claim){unit->object->project_id, unit->object, &unit->fits, unit->n_rows, 0});
    }
    if (error == 0)
        error = claims_divide(&claims, table, room - MIN(room, n_own), shortages);
    for (size_t i = 0; i < charges->n; i++)
        if (charges->units[i].n_rows)
            charges->units[i].table = table;
    claims_clear(&claims);
    return error;
}

/* ---- who is told --------------------------------------------------------------------------------------------------------------------- */

struct follower_key {
    struct shortage_key of;
    uint32_t unit;
};

static int find_followers(const struct charges *charges, struct rows *followers)
{
    for (size_t i = 0; i < charges->n; i++) {
        const struct unit *unit = &charges->units[i], *lacks = unit_lacks(charges, unit);
        struct follower_key key = {.unit = (uint32_t)i};

        if (!lacks || unit->is_part || (lacks == unit && !unit->follows))
            continue;
        key.of.table = lacks->table;
        string_copy(key.of.project_id, sizeof(key.of.project_id), unit->object->project_id);
        if (rows_add(followers, &key, NULL) < 0)
            return -ENOMEM;
    }
    return rows_sort(followers);
}

/* What goes because of another object: nobody whose object is left out is not told, whosever the other one is. */
static int tell_followers(const struct charges *charges, struct rows *shortages)
{
    struct rows followers;
    int error;

    rows_init(&followers, sizeof(struct follower_key), 0);
    error = find_followers(charges, &followers);
    if (error == 0)
        error = rows_sort(shortages);
    for (size_t i = 0, end, n_told = shortages->n; i < followers.n && error == 0; i = end) {
        const struct rows told = {shortages->data, n_told, n_told, shortages->key_size, shortages->value_size};
        void *known = (void *)rows_find(&told, rows_key(&followers, i));
        struct shortage shortage = {0};

        for (end = i; end < followers.n && memcmp(rows_key(&followers, end), rows_key(&followers, i), sizeof(struct shortage_key)) == 0; end++)
            ;
        if (known)
            memcpy(&shortage, known, sizeof(shortage));
        shortage.n_left_out += (uint32_t)(end - i);
        if (known)
            memcpy(known, &shortage, sizeof(shortage));
        else
            error = rows_add(shortages, rows_key(&followers, i), &shortage);
    }
    rows_clear(&followers);
    return error;
}

/* ---- what is left ------------------------------------------------------------------------------------------------------------------- */

static bool make(void *ret_array, size_t n, size_t size)
{
    void *array = calloc(n + 1, size);

    memcpy(ret_array, &array, sizeof(array));
    return array != NULL;
}

static bool make_arrays(struct narrowed *narrowed, const struct snapshot *all)
{
    return make(&narrowed->networks, all->n_networks, sizeof(*narrowed->networks)) &&
           make(&narrowed->network_projects, all->n_networks, sizeof(*narrowed->network_projects)) &&
           make(&narrowed->ports, all->n_ports, sizeof(*narrowed->ports)) && make(&narrowed->routers, all->n_routers, sizeof(*narrowed->routers)) &&
           make(&narrowed->floating_ips, all->n_floating_ips, sizeof(*narrowed->floating_ips)) &&
           make(&narrowed->load_balancers, all->n_load_balancers, sizeof(*narrowed->load_balancers)) &&
           make(&narrowed->listeners, all->n_listeners, sizeof(*narrowed->listeners)) && make(&narrowed->pools, all->n_pools, sizeof(*narrowed->pools)) &&
           make(&narrowed->members, all->n_members, sizeof(*narrowed->members)) &&
           make(&narrowed->balance_rows, all->n_balance_rows, sizeof(*narrowed->balance_rows));
}

static void keep_topology(const struct charges *charges, struct narrowed *narrowed)
{
    const struct snapshot *all = charges->snapshot;
    struct snapshot *kept = &narrowed->snapshot;

    for (size_t i = 0; i < all->n_networks; i++)
        if (charges_keep(charges, UNIT_NETWORK, i)) {
            narrowed->network_projects[kept->n_networks] = all->network_projects ? all->network_projects[i] : 0;
            narrowed->networks[kept->n_networks++] = all->networks[i];
        }
    for (size_t i = 0; i < all->n_ports; i++)
        if (charges_keep(charges, UNIT_PORT, i) && charges_keep_port_of_router(charges, all->ports[i].port))
            narrowed->ports[kept->n_ports++] = all->ports[i];
    for (size_t i = 0; i < all->n_routers; i++)
        if (charges_keep(charges, UNIT_ROUTER, i))
            narrowed->routers[kept->n_routers++] = all->routers[i];
    for (size_t i = 0; i < all->n_floating_ips; i++)
        if (charges_keep(charges, UNIT_FLOATING_IP, i))
            narrowed->floating_ips[kept->n_floating_ips++] = all->floating_ips[i];
}

static void keep_balancing(const struct charges *charges, struct narrowed *narrowed)
{
    const struct snapshot *all = charges->snapshot;
    struct snapshot *kept = &narrowed->snapshot;

    for (size_t i = 0; i < all->n_load_balancers; i++)
        if (charges_keep(charges, UNIT_BALANCER, i))
            narrowed->load_balancers[kept->n_load_balancers++] = all->load_balancers[i];
    for (size_t i = 0; i < all->n_listeners; i++)
        if (charges_keep_balancer(charges, all->listeners[i].listener->load_balancer_id))
            narrowed->listeners[kept->n_listeners++] = all->listeners[i];
    for (size_t i = 0; i < all->n_pools; i++)
        if (charges_keep_balancer(charges, all->pools[i].pool->load_balancer_id))
            narrowed->pools[kept->n_pools++] = all->pools[i];
    for (size_t i = 0; i < all->n_members; i++)
        if (charges_keep_balancer(charges, all->members[i].member->load_balancer_id))
            narrowed->members[kept->n_members++] = all->members[i];
    for (size_t i = 0; i < all->n_balance_rows; i++)
        if (charges_keep_balancer(charges, all->balance_rows[i]->load_balancer_id))
            narrowed->balance_rows[kept->n_balance_rows++] = all->balance_rows[i];
}

static void keep(const struct charges *charges, struct narrowed *narrowed)
{
    struct snapshot *kept = &narrowed->snapshot;

    *kept = *charges->snapshot;
    kept->n_networks = kept->n_ports = kept->n_routers = kept->n_floating_ips = 0;
    kept->n_load_balancers = kept->n_listeners = kept->n_pools = kept->n_members = kept->n_balance_rows = 0;
    keep_topology(charges, narrowed);
    keep_balancing(charges, narrowed);
    kept->networks = narrowed->networks;
    kept->network_projects = narrowed->network_projects;
    kept->ports = narrowed->ports;
    kept->routers = narrowed->routers;
    kept->floating_ips = narrowed->floating_ips;
    kept->load_balancers = narrowed->load_balancers;
    kept->listeners = narrowed->listeners;
    kept->pools = narrowed->pools;
    kept->members = narrowed->members;
    kept->balance_rows = narrowed->balance_rows;
}

void narrowed_clear(struct narrowed *narrowed)
{
    free(narrowed->networks);
    free(narrowed->network_projects);
    free(narrowed->ports);
    free(narrowed->routers);
    free(narrowed->floating_ips);
    free(narrowed->load_balancers);
    free(narrowed->listeners);
    free(narrowed->pools);
    free(narrowed->members);
    free(narrowed->balance_rows);
    charges_clear(&narrowed->charges);
}

int admission_narrow(const struct snapshot *snapshot, const struct desired *desired, struct rows *shortages, struct narrowed *ret)
{
    struct charges *charges = &ret->charges;
    int error;

    *ret = (struct narrowed){0};
    error = charges_init(charges, snapshot, desired);
    for (size_t i = 0; i < ARRAY_SIZE(shared) && error == 0; i++)
        if (compile_is_over(snapshot, shared[i], desired->tables[shared[i]].n))
            error = divide_table(charges, shared[i], shortages);
    if (error == 0 && !make_arrays(ret, snapshot))
        error = -ENOMEM;
    if (error < 0)
        return error;
    charges_follow(charges);
    keep(charges, ret);
    return tell_followers(charges, shortages);
}

/* ---- a part of what was wanted -------------------------------------------------------------------------------------------------------------- */

struct restriction {
    const struct charges *charges;
    enum desired_table table;
    struct rows *rows;
    bool *is_surplus;  /* By their order. */
    struct rows added;
};

/* Who is outside may not have an address that is inside, of a network that is left out neither. */
static bool keeps_out(enum desired_table table, const void *key, const void *value)
{
    return table == TABLE_ROUTES && ((const struct route_key *)key)->router & ROUTER_SERVICE && ((const struct route_value *)value)->flags & ROUTE_LOCAL;
}

static int restrict_row(const void *key, const void *old_value, const void *new_value, void *context)
{
    struct restriction *restriction = context;
    bool stands = old_value && charges_stands(restriction->charges, restriction->table, key, old_value);

    if (new_value && !stands)
        restriction->is_surplus[(size_t)((const uint8_t *)key - restriction->rows->data) / rows_stride(restriction->rows)] = true;
    return stands && !new_value && keeps_out(restriction->table, key, old_value) ? rows_add(&restriction->added, key, old_value) : 0;
}

static int restrict_table(const struct charges *charges, enum desired_table table, struct rows *rows)
{
    struct restriction restriction = {.charges = charges, .table = table, .rows = rows, .is_surplus = calloc(rows->n + 1, sizeof(bool))};
    size_t kept = 0;
    int error = restriction.is_surplus ? 0 : -ENOMEM;

    rows_init(&restriction.added, rows->key_size, rows->value_size);
    if (error == 0)
        error = rows_compare(&charges->desired->tables[table], rows, restrict_row, &restriction);
    for (size_t i = 0; error == 0 && i < rows->n; i++)
        if (!restriction.is_surplus[i] && kept++ != i)
            memcpy(rows_key(rows, kept - 1), rows_key(rows, i), rows_stride(rows));
    if (error == 0)
        rows->n = kept;
    for (size_t i = 0; error == 0 && i < restriction.added.n; i++)
        error = rows_add(rows, rows_key(&restriction.added, i), rows_value(&restriction.added, i));
    if (error == 0)
        error = rows_sort(rows);
    rows_clear(&restriction.added);
    free(restriction.is_surplus);
    return error;
}

static int keep_firewall(const void *key, const void *old_value, const void *new_value, void *context)
{
    struct port_config config;

    if (!old_value || !new_value)
        return 0;
    memcpy(&config, old_value, sizeof(config));
    ((struct port_config *)new_value)->flags |= config.flags & PORT_ROUTER_FIREWALL;
    return 0;
}

int admission_restrict(const struct narrowed *narrowed, struct desired *desired)
{
    const struct charges *charges = &narrowed->charges;
    int error = rows_compare(&charges->desired->tables[TABLE_PORTS], &desired->tables[TABLE_PORTS], keep_firewall, NULL);

    for (size_t i = 0; i < ARRAY_SIZE(shared) && error == 0; i++)
        if (!only_shrinks(shared[i]))
            error = restrict_table(charges, shared[i], &desired->tables[shared[i]]);
    for (size_t i = 0; i < charges->n && error == 0; i++) {
        const struct unit *lacks = charges->units[i].is_part ? NULL : unit_lacks(charges, &charges->units[i]);

        error = lacks ? left_out_add(&desired->left_out, charges->units[i].object->id, lacks->table) : 0;
    }
    return error == 0 ? rows_sort(&desired->left_out) : error;
}
