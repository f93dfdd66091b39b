/* Subnet pools: list, show, create, update, delete; add_prefixes, remove_prefixes, onboard_network_subnets. */
#include "weft/api/subnet-pools.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/turns.h"
#include "weft/base/util.h"
#include "weft/model/prefixes.h"
#include "weft/model/resources.h"

#define TURN_PREFIXES "pool-prefixes" /* By project. */
#define PREFIXES_PER_PROJECT 8192
#define ROOM 128 /* What one prefix that is taken out of another leaves, at most. */
#define REFUSE(type, field, ...) error_set_type(change->error, -EINVAL, type, field, __VA_ARGS__)
#define REFUSE_UPDATE(field, reason) REFUSE("IllegalSubnetPoolUpdate", field, "Illegal subnetpool update : %s.", reason)

static const struct computed computed[] = {{.name = NULL}};

static const struct replica_member *by_name(const struct replica *replica, const char *value)
{
    return replica_by_name(replica, RESOURCE_SUBNET_POOL, value);
}

static const struct replica_member *by_scope(const struct replica *replica, const char *value)
{
    return replica_find(replica, REPLICA_POOLS_BY_ADDRESS_SCOPE, value);
}

static const struct indexed_filter indexed_filters[] = {
    {"name", by_name},
    {"address_scope_id", by_scope},
    {NULL, NULL},
};

static bool is_visible(const struct request *request, const struct object *object)
{
    return ((const struct subnet_pool *)object)->shared;
}

/* ---- what a pool must be ----------------------------------------------------------------------------------------- */

static int check_prefixes(struct change *change, struct subnet_pool *pool)
{
    if (pool->n_prefixes == 0)
        return REFUSE("EmptySubnetPoolPrefixList", "prefixes", "Empty subnet pool prefix list.");
    for (size_t i = 1; i < pool->n_prefixes; i++)
        if (ip_is_v4(&pool->prefixes[i].address) != ip_is_v4(&pool->prefixes[0].address))
            return REFUSE("PrefixVersionMismatch", "prefixes", "Cannot mix IPv4 and IPv6 prefixes in a subnet pool.");
    if (change->before && ip_is_v4(&pool->prefixes[0].address) != (pool->ip_version == 4))
        return REFUSE("PrefixVersionMismatch", "prefixes", "Cannot mix IPv4 and IPv6 prefixes in a subnet pool.");
    pool->ip_version = ip_is_v4(&pool->prefixes[0].address) ? 4 : 6;
    pool->n_prefixes = prefixes_compact(pool->prefixes, pool->n_prefixes);
    return 0;
}

static int bad_bounds(struct change *change, const char *name, uint8_t length, const char *base, uint8_t bound)
{
    char field[32];

    snprintf(field, sizeof field, "%s_prefixlen", name);
    return REFUSE("IllegalSubnetPoolPrefixBounds", field, "Illegal prefix bounds: %s_prefixlen=%u, %s_prefixlen=%u.", name, length, base, bound);
}

static int check_lengths(struct change *change, struct subnet_pool *pool)
{
    uint8_t longest = pool->ip_version == 4 ? 32 : 128;

    if (!change->before && !change_gives(change, "min_prefixlen"))
        pool->min_prefixlen = pool->ip_version == 4 ? 8 : 64;
    if (!change->before && !change_gives(change, "max_prefixlen"))
        pool->max_prefixlen = longest;
    if (!change->before && !change_gives(change, "default_prefixlen"))
        pool->default_prefixlen = pool->min_prefixlen;
    if (pool->max_prefixlen > longest)
        return bad_bounds(change, "max", pool->max_prefixlen, "ip_version", longest);
    if (pool->min_prefixlen > pool->max_prefixlen)
        return bad_bounds(change, "min", pool->min_prefixlen, "max", pool->max_prefixlen);
    if (pool->default_prefixlen < pool->min_prefixlen)
        return bad_bounds(change, "default", pool->default_prefixlen, "min", pool->min_prefixlen);
    if (pool->default_prefixlen > pool->max_prefixlen)
        return bad_bounds(change, "default", pool->default_prefixlen, "max", pool->max_prefixlen);
    return 0;
}

/* Whoever changes a pool has it compared with all of its scope. */
static int check_number(struct change *change, const struct subnet_pool *pool)
{
    const struct subnet_pool *before = (const struct subnet_pool *)change->before;
    size_t n = pool->n_prefixes;

    if (before && n <= before->n_prefixes)
        return 0;
    plan_take_turn(change->plan, TURN_PREFIXES, pool->object.project_id);
    REPLICA_FOREACH (member, replica_by_project(request_api(change->request)->replica, RESOURCE_SUBNET_POOL, pool->object.project_id))
        if (!streq(member->object->id, pool->object.id))
            n += ((const struct subnet_pool *)member->object)->n_prefixes;
    for (const struct object *object = NULL; (object = plan_created(change->plan, RESOURCE_SUBNET_POOL, object));)
        if (object != &pool->object && streq(object->project_id, pool->object.project_id))
            n += ((const struct subnet_pool *)object)->n_prefixes;
    if (n <= PREFIXES_PER_PROJECT)
        return 0;
    return error_set_type(change->error, -EBUSY, "OverQuota", "prefixes",
                          "Quota exceeded for resources: ['subnetpool']. The project's pools would have %zu prefixes; %d is the limit.", n,
                          PREFIXES_PER_PROJECT);
}

static bool overlaps(const struct subnet_pool *a, const struct subnet_pool *b)
{
    return prefixes_overlap(a->prefixes, a->n_prefixes, b->prefixes, b->n_prefixes);
}

/* No two pools of a scope have the same addresses. */
static int check_conflicts(struct change *change, const struct subnet_pool *pool)
{
    bool is_taken = false;

    plan_take_turn(change->plan, TURN_SCOPE, pool->address_scope_id);
    REPLICA_FOREACH (member, replica_find(request_api(change->request)->replica, REPLICA_POOLS_BY_ADDRESS_SCOPE, pool->address_scope_id))
        if (!is_taken && !streq(member->object->id, pool->object.id))
            is_taken = overlaps(pool, (const struct subnet_pool *)member->object);
    for (const struct object *object = NULL; !is_taken && (object = plan_created(change->plan, RESOURCE_SUBNET_POOL, object));) {
        const struct subnet_pool *other = (const struct subnet_pool *)object;

        if (other != pool && streq(other->address_scope_id, pool->address_scope_id))
            is_taken = overlaps(pool, other);
    }
    if (!is_taken)
        return 0;
    return error_set_type(change->error, -EBUSY, "AddressScopePrefixConflict", change_gives(change, "address_scope_id") ? "address_scope_id" : "prefixes",
                          "Failed to associate address scope: subnetpools within an address scope must have unique prefixes.");
}

static int check_scope(struct change *change, const struct subnet_pool *pool)
{
    const struct address_scope *scope;

    if (!pool->address_scope_id[0])
        return 0;
    scope = (const struct address_scope *)resource_find(&address_scope_resource, change->request, pool->address_scope_id, change->error);
    if (!scope)
        return -ENOENT;
    plan_guard(change->plan, &scope->object);
    if (!scope->shared && !resource_is_own(change->request, &scope->object))
        return REFUSE("IllegalSubnetPoolAssociationToAddressScope", "address_scope_id",
                      "Illegal subnetpool association: subnetpool %s cannot be associated with address scope %s.", pool->object.id,
                      scope->object.id);
    if (scope->ip_version != pool->ip_version)
        return REFUSE("IllegalSubnetPoolIpVersionAssociationToAddressScope", "address_scope_id",
                      "Illegal subnetpool association: subnetpool %s cannot associate with address scope %s because subnetpool ip_version is not %u.",
                      pool->object.id, scope->object.id, scope->ip_version);
    return check_conflicts(change, pool);
}

static int check_default(struct change *change, const struct subnet_pool *pool)
{
    size_t n;
    const struct object *const *pools = replica_list(request_api(change->request)->replica, RESOURCE_SUBNET_POOL, &n);
    bool exists = false;

    if (!pool->is_default)
        return 0;
    plan_take_turn(change->plan, TURN_DEFAULT_POOL, pool->ip_version == 4 ? "4" : "6");
    for (size_t i = 0; i < n; i++) {
        const struct subnet_pool *other = (const struct subnet_pool *)pools[i];

        exists |= other->is_default && other->ip_version == pool->ip_version && !streq(other->object.id, pool->object.id);
    }
    for (const struct object *object = NULL; (object = plan_created(change->plan, RESOURCE_SUBNET_POOL, object));) {
        const struct subnet_pool *other = (const struct subnet_pool *)object;

        exists |= other != pool && other->is_default && other->ip_version == pool->ip_version;
    }
    if (!exists)
        return 0;
    return REFUSE("InvalidInput", "is_default",
                  "A default subnetpool for this IP family has already been set. Only one default may exist per IP family");
}

static int create(struct change *change)
{
    struct subnet_pool *pool = (struct subnet_pool *)change->after;
    int r;

    if ((r = check_prefixes(change, pool)) < 0 || (r = check_number(change, pool)) < 0 || (r = check_lengths(change, pool)) < 0 ||
        (r = check_default(change, pool)) < 0)
        return r;
    return check_scope(change, pool);
}

/* Nothing is taken away but by remove_prefixes, which looks what is used. */
static int check_superset(struct change *change, const struct subnet_pool *before, const struct subnet_pool *after)
{
    for (size_t i = 0; i < before->n_prefixes; i++)
        if (!prefixes_hold(after->prefixes, after->n_prefixes, &before->prefixes[i]))
            return REFUSE_UPDATE("prefixes", "Existing prefixes must be a subset of the new prefixes");
    return 0;
}

static int update(struct change *change)
{
    const struct subnet_pool *before = (const struct subnet_pool *)change->before;
    struct subnet_pool *pool = (struct subnet_pool *)change->after;
    int r;

    if (change_gives(change, "prefixes") &&
        ((r = check_prefixes(change, pool)) < 0 || (r = check_superset(change, before, pool)) < 0 || (r = check_number(change, pool)) < 0))
        return r;
    if ((r = check_lengths(change, pool)) < 0 || (change_gives(change, "is_default") && (r = check_default(change, pool)) < 0))
        return r;
    if ((change_gives(change, "address_scope_id") || change_gives(change, "prefixes")) && (r = check_scope(change, pool)) < 0)
        return r;
    return streq(before->address_scope_id, pool->address_scope_id)
               ? 0
               : subnets_change_scope(change, pool->object.id, pool->address_scope_id);
}

static int delete_pool(struct change *change)
{
    const char *id = change->before->id;

    if (replica_find(request_api(change->request)->replica, REPLICA_SUBNETS_BY_POOL, id))
        return REFUSE("SubnetPoolDeleteError", NULL, "Unable to delete subnet pool: Subnet pool has existing allocations.");
    plan_end_turns(change->plan, TURN_POOL, id);
    return 0;
}

const struct resource subnet_pool_resource = {
    .schema = &subnet_pool_schema,
    .computed = computed,
    .indexed_filters = indexed_filters,
    .not_found = "SubnetPoolNotFound",
    .title = "Subnet pool",
    .is_visible = is_visible,
    .create = create,
    .update = update,
    .delete = delete_pool,
};

/* ---- add_prefixes, remove_prefixes ------------------------------------------------------------------------------- */

static int add(struct change *change, struct subnet_pool *pool, const struct subnet_pool *given)
{
    int r;

    memcpy(pool->prefixes + pool->n_prefixes, given->prefixes, given->n_prefixes * sizeof *given->prefixes);
    pool->n_prefixes += given->n_prefixes;
    if ((r = check_prefixes(change, pool)) < 0 || (r = check_number(change, pool)) < 0)
        return r;
    return check_scope(change, pool);
}

static int subtract(struct change *change, struct subnet_pool *pool, const struct subnet_pool *given)
{
    struct ip_prefix *used;
    size_t n_used;
    char text[PREFIX_TEXT_SIZE];
    int r = subnet_pool_used(change, pool->object.id, &used, &n_used);

    if (r < 0)
        return r;
    plan_take_turn(change->plan, TURN_POOL, pool->object.id);
    for (size_t i = 0; i < given->n_prefixes && r == 0; i++) {
        const struct ip_prefix *prefix = &given->prefixes[i];

        if (!prefixes_hold(pool->prefixes, pool->n_prefixes, prefix))
            r = REFUSE("IllegalSubnetPoolUpdate", "prefixes", "Illegal subnetpool update : '%s' is not in the pool.", prefix_format(prefix, text));
        else if (prefixes_find_overlap(used, n_used, prefix))
            r = REFUSE("IllegalSubnetPoolUpdate", "prefixes", "Illegal subnetpool update : '%s' is used by a subnet.", prefix_format(prefix, text));
        else
            pool->n_prefixes = prefixes_subtract(pool->prefixes, pool->n_prefixes, prefix);
    }
    free(used);
    if (r == 0)
        r = check_prefixes(change, pool);
    return r == 0 ? check_number(change, pool) : r;
}

static int read_prefixes(struct change *change, struct object *given)
{
    const json_t *list = json_object_get(change->request->body, "prefixes");

    if (!list || json_object_size(change->request->body) != 1)
        return REFUSE("HTTPBadRequest", NULL, "The request body must be an object with exactly 'prefixes'.");
    return attribute_decode(attribute_find(subnet_pool_schema.attributes, "prefixes"), list, given, DECODE_REQUEST, change->error);
}

static int work(struct change *change, struct object *given, int (*apply)(struct change *, struct subnet_pool *, const struct subnet_pool *))
{
    struct subnet_pool *pool = (struct subnet_pool *)change->after;
    const struct subnet_pool *more = (const struct subnet_pool *)given;
    size_t maximum = attribute_find(subnet_pool_schema.attributes, "prefixes")->maximum;
    struct ip_prefix *room;
    int r;

    if (!resource_is_own(change->request, change->before))
        return error_set_type(change->error, -EPERM, "PolicyNotAuthorized", NULL, "Subnet pool %s belongs to another project.", change->before->id);
    if ((r = read_prefixes(change, given)) < 0)
        return r;
    room = reallocarray(pool->prefixes, pool->n_prefixes + more->n_prefixes * ROOM + 1, sizeof *room);
    if (!room)
        return -ENOMEM;
    pool->prefixes = room;
    if ((r = apply(change, pool, more)) < 0)
        return r;
    if (pool->n_prefixes > maximum)
        return error_set(change->error, -EINVAL, "prefixes", "%zu prefixes exceed the limit of %zu", pool->n_prefixes, maximum);
    return 0;
}

static void prefixes_changed(struct plan *plan, struct request *request)
{
    const struct object *pool = replica_get(request_api(request)->replica, RESOURCE_SUBNET_POOL, request_parameter(request, "id"));
    struct buffer buffer = {0};
    int r = pool ? buffer_append_string(&buffer, "{\"prefixes\":") : -ENOENT;

    if (r == 0)
        r = attribute_write(attribute_find(subnet_pool_schema.attributes, "prefixes"), pool, &buffer);
    if (r == 0)
        r = buffer_append(&buffer, "}", 1);
    respond_buffer(request, HTTP_OK, &buffer, r);
}

static void change_prefixes(struct request *request, int (*apply)(struct change *, struct subnet_pool *, const struct subnet_pool *))
{
    const struct object *before = resource_find_or_fail(request);
    _cleanup_(object_freep) struct object *given = object_new(RESOURCE_SUBNET_POOL);
    struct error error = {0};
    struct change change;
    int r;

    if (!before || change_begin(&change, request, before, &error) < 0)
        return;
    change.after = plan_edit(change.plan, before);
    r = change.after && given ? work(&change, given, apply) : -ENOMEM;
    if (r < 0)
        change_fail(request, r, &error, "subnetpool");
    else
        plan_commit(change.plan, prefixes_changed);
}

void subnet_pool_add_prefixes(struct request *request)
{
    change_prefixes(request, add);
}

void subnet_pool_remove_prefixes(struct request *request)
{
    change_prefixes(request, subtract);
}

/* ---- onboard_network_subnets ------------------------------------------------------------------------------------- */

/* The network's subnets of the pool's family become the pool's, and their prefixes too. */
static int onboard(struct change *change)
{
    struct subnet_pool *pool = (struct subnet_pool *)change->after;
    const json_t *id = json_object_get(change->request->body, "network_id");
    const struct network *network;
    const struct subnet *moved[64];
    size_t n = 0;
    struct ip_prefix *room;
    int r;

    if (!resource_is_own(change->request, change->before))
        return error_set_type(change->error, -EPERM, "PolicyNotAuthorized", NULL, "Subnet pool %s belongs to another project.", change->before->id);
    if (!json_is_string(id) || json_object_size(change->request->body) != 1)
        return REFUSE("HTTPBadRequest", NULL, "The request body must be an object with exactly 'network_id'.");
    if (!(network = change_find_network(change, json_string_value(id))))
        return -ENOENT;
    if (!resource_is_own(change->request, &network->object))
        return error_set_type(change->error, -EPERM, "PolicyNotAuthorized", "network_id", "Network %s belongs to another project.",
                              network->object.id);
    plan_guard(change->plan, &network->object);
    plan_take_turn(change->plan, TURN_POOL, pool->object.id);
    room = reallocarray(pool->prefixes, pool->n_prefixes + ARRAY_SIZE(moved), sizeof *room);
    if (!room)
        return -ENOMEM;
    pool->prefixes = room;
    REPLICA_FOREACH (member, replica_subnets_by_network(request_api(change->request)->replica, network->object.id)) {
        const struct subnet *subnet = (const struct subnet *)member->object;
        struct subnet *after;

        if (subnet->ip_version != pool->ip_version)
            continue;
        if (subnet->subnetpool_id[0])
            return REFUSE_UPDATE("network_id", "a subnet of the network is in a pool already");
        if (n == ARRAY_SIZE(moved))
            return REFUSE_UPDATE("network_id", "the network has too many subnets");
        if (prefixes_find_overlap(((const struct subnet_pool *)change->before)->prefixes, ((const struct subnet_pool *)change->before)->n_prefixes,
                                  &subnet->cidr))
            return REFUSE_UPDATE("network_id", "a subnet of the network overlaps what the pool has");
        if (!(after = (struct subnet *)plan_edit(change->plan, member->object)))
            return -ENOMEM;
        string_copy(after->subnetpool_id, sizeof after->subnetpool_id, pool->object.id);
        string_copy(after->address_scope_id, sizeof after->address_scope_id, pool->address_scope_id);
        pool->prefixes[pool->n_prefixes++] = subnet->cidr;
        moved[n++] = subnet;
    }
    if (n == 0)
        return REFUSE_UPDATE("network_id", "the network has no subnet of the pool's IP version");
    if (pool->n_prefixes > attribute_find(subnet_pool_schema.attributes, "prefixes")->maximum)
        return REFUSE_UPDATE("network_id", "the pool would have too many prefixes");
    if ((r = check_prefixes(change, pool)) < 0 || (r = check_number(change, pool)) < 0 || (r = check_scope(change, pool)) < 0)
        return r;
    return pool->address_scope_id[0] ? subnets_check_routed(change, moved, n, "network_id") : 0;
}

void subnet_pool_onboard(struct request *request)
{
    const struct object *before = resource_find_or_fail(request);
    struct error error = {0};
    struct change change;
    int r;

    if (!before || change_begin(&change, request, before, &error) < 0)
        return;
    change.after = plan_edit(change.plan, before);
    r = change.after ? onboard(&change) : -ENOMEM;
    if (r < 0)
        change_fail(request, r, &error, "subnetpool");
    else
        plan_commit_and_answer(change.plan, json_object());
}
