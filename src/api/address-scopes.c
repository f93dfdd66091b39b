/* Address scopes: list, show, create, update, delete. */
#include <errno.h>

#include "weft/api/subnet-pools.h"
#include "weft/api/turns.h"
#include "weft/model/resources.h"

static const struct computed computed[] = {{.name = NULL}};

static const struct replica_member *by_name(const struct replica *replica, const char *value)
{
    return replica_by_name(replica, RESOURCE_ADDRESS_SCOPE, value);
}

static const struct indexed_filter indexed_filters[] = {
    {"name", by_name},
    {NULL, NULL},
};

static bool is_visible(const struct request *request, const struct object *object)
{
    return ((const struct address_scope *)object)->shared;
}

static int create(struct change *change)
{
    return 0;
}

static int update(struct change *change)
{
    const struct address_scope *before = (const struct address_scope *)change->before, *after = (const struct address_scope *)change->after;

    if (before->shared && !after->shared)
        return error_set_type(change->error, -EINVAL, "AddressScopeUpdateError", "shared",
                              "Unable to update address scope %s : Shared address scope can't be unshared.", before->object.id);
    return 0;
}

static int delete_scope(struct change *change)
{
    const char *id = change->before->id;

    if (replica_find(request_api(change->request)->replica, REPLICA_POOLS_BY_ADDRESS_SCOPE, id))
        return error_set_type(change->error, -EBUSY, "AddressScopeInUse", NULL,
                              "Unable to complete operation on address scope %s. There are one or more subnet pools in use on the address scope.",
                              id);
    plan_end_turns(change->plan, TURN_SCOPE, id);
    return 0;
}

const struct resource address_scope_resource = {
    .schema = &address_scope_schema,
    .computed = computed,
    .indexed_filters = indexed_filters,
    .not_found = "AddressScopeNotFound",
    .title = "Address scope",
    .is_visible = is_visible,
    .create = create,
    .update = update,
    .delete = delete_scope,
};
