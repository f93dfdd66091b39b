#include "weft/api/quota.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/replica.h"
#include "weft/base/hashmap.h"
#include "weft/base/log.h"
#include "weft/base/util.h"
#include "weft/base/uuid.h"
#include "weft/model/range-set.h"

static const enum resource_kind networking_kinds[] = {RESOURCE_NETWORK, RESOURCE_SUBNET, RESOURCE_SUBNET_POOL, RESOURCE_ADDRESS_SCOPE, RESOURCE_PORT, RESOURCE_ROUTER,
                                          RESOURCE_FLOATING_IP,
                                          RESOURCE_PORT_FORWARDING, RESOURCE_SECURITY_GROUP, RESOURCE_SECURITY_GROUP_RULE, RESOURCE_ADDRESS_GROUP,
                                          RESOURCE_FIREWALL_GROUP, RESOURCE_FIREWALL_POLICY, RESOURCE_FIREWALL_RULE,
                                          RESOURCE_BALANCE_ROWS /* Rows, not objects: balance-size.h. */};
static const enum resource_kind load_balancing_kinds[] = {RESOURCE_LOAD_BALANCER, RESOURCE_LISTENER, RESOURCE_POOL, RESOURCE_POOL_MEMBER,
                                                          RESOURCE_HEALTH_MONITOR};
const struct quota_group quota_networking = {"quota/limits/", networking_kinds, ARRAY_SIZE(networking_kinds), 0};
const struct quota_group quota_load_balancing = {"quota/lb-limits/", load_balancing_kinds, ARRAY_SIZE(load_balancing_kinds), 1};

/* Neutron's, where it has one and it is finite (that of subnet pools is not). */
static const struct quota_limits defaults = {
    .limits = {[RESOURCE_NETWORK] = 100, [RESOURCE_SUBNET] = 100, [RESOURCE_PORT] = 500, [RESOURCE_HOST] = -1, [RESOURCE_ROUTER] = 10,
               [RESOURCE_FLOATING_IP] = 50, [RESOURCE_PORT_FORWARDING] = 500, [RESOURCE_SNAT_BLOCK] = -1,
               [RESOURCE_SECURITY_GROUP] = 10, [RESOURCE_SECURITY_GROUP_RULE] = 100, [RESOURCE_ADDRESS_GROUP] = 100,
               [RESOURCE_DEFAULT_RULE] = -1, [RESOURCE_DEFAULT_STATEFULNESS] = -1, [RESOURCE_ADDRESS_SCOPE] = 100, [RESOURCE_SUBNET_POOL] = 100,
               [RESOURCE_LOG] = -1, [RESOURCE_BALANCE_ROWS] = 400000, [RESOURCE_LISTENER_SHARE] = -1,
               [RESOURCE_LOAD_BALANCER] = 100, [RESOURCE_LISTENER] = 1000, [RESOURCE_POOL] = 1000, [RESOURCE_POOL_MEMBER] = 10000,
               [RESOURCE_HEALTH_MONITOR] = 1000,
               [RESOURCE_FIREWALL_GROUP] = 10, [RESOURCE_FIREWALL_POLICY] = 10, [RESOURCE_FIREWALL_RULE] = 100},
};

/* One project's. */
struct account {
    struct hashmap_node by_project;
    char project_id[64];
    bool has_limits[QUOTA_N_GROUPS];
    uint64_t limits_revision[QUOTA_N_GROUPS];
    struct quota_limits limits; /* Defaults, but for the groups that have some. */
    struct units {
        struct range_set held, reserved;
        uint32_t start; /* Where to look for a free one. */
    } units[RESOURCE_N_KINDS];
};

struct quota {
    struct hashmap accounts;
};

int quota_new(struct quota **ret_quota)
{
    struct quota *quota = calloc(1, sizeof(*quota));

    if (!quota)
        return -ENOMEM;
    *ret_quota = quota;
    return 0;
}

static void account_free(struct account *account)
{
    for (int kind = 0; kind < RESOURCE_N_KINDS; kind++) {
        range_set_clear(&account->units[kind].held);
        range_set_clear(&account->units[kind].reserved);
    }
    free(account);
}

void quota_free(struct quota *quota)
{
    if (!quota)
        return;
    HASHMAP_FOREACH (node, &quota->accounts)
        account_free(CONTAINER_OF(node, struct account, by_project));
    hashmap_clear(&quota->accounts);
    free(quota);
}

static struct account *account_find(const struct quota *quota, const char *project_id)
{
    struct hashmap_node *node = hashmap_find(&quota->accounts, project_id, strlen(project_id));

    return node ? CONTAINER_OF(node, struct account, by_project) : NULL;
}

static struct account *account_get(struct quota *quota, const char *project_id)
{
    struct account *account = account_find(quota, project_id);

    if (account || !(account = calloc(1, sizeof(*account))))
        return account;
    account->limits = defaults;
    string_copy(account->project_id, sizeof account->project_id, project_id);
    if (hashmap_insert(&quota->accounts, &account->by_project, account->project_id, strlen(account->project_id)) < 0) {
        free(account);
        return NULL;
    }
    return account;
}

static void account_release(struct quota *quota, struct account *account)
{
    if (account->has_limits[0] || account->has_limits[1])
        return;
    for (int kind = 0; kind < RESOURCE_N_KINDS; kind++)
        if (account->units[kind].held.n_values || account->units[kind].reserved.n_values)
            return;
    hashmap_remove(&quota->accounts, &account->by_project);
    account_free(account);
}

struct quota_limits quota_defaults(const struct quota *quota)
{
    return defaults;
}

struct quota_limits quota_of(const struct quota *quota, const char *project_id)
{
    const struct account *account = account_find(quota, project_id);

    return account ? account->limits : defaults;
}

uint64_t quota_limits_revision(const struct quota *quota, const struct quota_group *group, const char *project_id)
{
    const struct account *account = account_find(quota, project_id);

    return account && account->has_limits[group->number] ? account->limits_revision[group->number] : 0;
}

void quota_foreach(const struct quota *quota, const struct quota_group *group, void (*visit)(const char *project_id, const struct quota_limits *limits, void *context),
                   void *context)
{
    HASHMAP_FOREACH (node, &quota->accounts) {
        const struct account *account = CONTAINER_OF(node, struct account, by_project);
        if (account->has_limits[group->number])
            visit(account->project_id, &account->limits, context);
    }
}

const char *quota_unit_key(const char *project_id, enum resource_kind kind, uint32_t unit, char key[QUOTA_KEY_SIZE])
{
    snprintf(key, QUOTA_KEY_SIZE, "quota/unit/%s/%s/%" PRIu32, project_id, resource_name(kind), unit);
    return key;
}

int quota_limits_key(const struct quota_group *group, const char *project_id, char key[QUOTA_KEY_SIZE])
{
    if (!*project_id || strlen(project_id) >= sizeof(((struct object *)NULL)->project_id) || strchr(project_id, '/'))
        return -EINVAL;
    snprintf(key, QUOTA_KEY_SIZE, "%s%s", group->prefix, project_id);
    return 0;
}

/* Free in both sets.  Fewer than the limit are in use, so one is found. */
static int next_unit(const struct units *units, uint64_t first, uint64_t last, uint32_t *ret_unit)
{
    uint128_t a = first, b;

    for (;;) {
        if (range_set_next_missing(&units->held, a, last, &b) < 0 || range_set_next_missing(&units->reserved, b, last, &a) < 0)
            return -ENOENT;
        if (a == b) {
            *ret_unit = a;
            return 0;
        }
    }
}

int quota_reserve(struct quota *quota, const struct replica *replica, const char *project_id, enum resource_kind kind,
                  uint32_t *ret_unit)
{
    int64_t limit = quota_of(quota, project_id).limits[kind];
    struct account *account;
    struct units *units;
    uint32_t unit = 0;

    *ret_unit = 0;
    if (limit < 0)
        return 0;
    if (!(account = account_get(quota, project_id)))
        return -ENOMEM;
    units = &account->units[kind];
    if ((int64_t)(replica_count_by_project(replica, kind, project_id) + units->reserved.n_values) >= limit ||
        (next_unit(units, MIN((uint64_t)units->start + 1, (uint64_t)limit), limit, &unit) < 0 &&
         next_unit(units, 1, limit, &unit) < 0)) {
        account_release(quota, account);
        return -ENOSPC;
    }
    if (range_set_add(&units->reserved, unit) < 0) {
        account_release(quota, account);
        return -ENOMEM;
    }
    *ret_unit = unit;
    return 0;
}

void quota_release(struct quota *quota, const char *project_id, enum resource_kind kind, uint32_t unit)
{
    struct account *account = account_find(quota, project_id);

    if (!account || !unit)
        return;
    range_set_remove(&account->units[kind].reserved, unit);
    account_release(quota, account);
}

void quota_collided(struct quota *quota, const char *project_id, enum resource_kind kind)
{
    struct account *account = account_find(quota, project_id);
    int64_t limit = quota_of(quota, project_id).limits[kind];

    if (!account || limit <= 0)
        return;
    random_bytes(&account->units[kind].start, sizeof account->units[kind].start);
    account->units[kind].start %= MIN(limit, (int64_t)UINT32_MAX);
}

uint64_t quota_reserved(const struct quota *quota, const char *project_id, enum resource_kind kind)
{
    const struct account *account = account_find(quota, project_id);

    return account ? account->units[kind].reserved.n_values : 0;
}

void quota_object_changed(struct quota *quota, const struct object *before, const struct object *after)
{
    struct account *account;

    if (before && after && before->quota_slot == after->quota_slot)
        return;
    if (before && before->quota_slot && (account = account_find(quota, before->project_id))) {
        range_set_remove(&account->units[before->kind].held, before->quota_slot);
        account_release(quota, account);
    }
    if (after && after->quota_slot) {
        account = account_get(quota, after->project_id);
        if (!account || range_set_add(&account->units[after->kind].held, after->quota_slot) == -ENOMEM) {
            log_error("out of memory: a unit of project %s's quota is not known to be taken", after->project_id);
            return; /* Its key in the store still is. */
        }
        range_set_remove(&account->units[after->kind].reserved, after->quota_slot);
    }
}

void quota_limits_changed(const struct store_item *item, void *context)
{
    struct quota *quota = context;
    const struct quota_group *group = strncmp(item->key, quota_networking.prefix, strlen(quota_networking.prefix)) == 0 ? &quota_networking
                                                                                                                       : &quota_load_balancing;
    const char *project_id = item->key + strlen(group->prefix);
    struct account *account;
    json_t *json, *value;

    if (!item->value) {
        if ((account = account_find(quota, project_id))) {
            account->has_limits[group->number] = false;
            for (size_t i = 0; i < group->n_kinds; i++)
                account->limits.limits[group->kinds[i]] = defaults.limits[group->kinds[i]];
            account_release(quota, account);
        }
        return;
    }
    json = json_loadb(item->value, item->value_size, 0, NULL);
    account = account_get(quota, project_id);
    if (!json_is_object(json) || !account) {
        log_error("the quota of project %s cannot be read: the default holds", project_id);
    } else {
        account->has_limits[group->number] = true;
        account->limits_revision[group->number] = item->modify_revision;
        for (size_t i = 0; i < group->n_kinds; i++) {
            value = json_object_get(json, resource_name(group->kinds[i]));
            account->limits.limits[group->kinds[i]] = json_is_integer(value) ? json_integer_value(value) : defaults.limits[group->kinds[i]];
        }
    }
    json_decref(json);
}
