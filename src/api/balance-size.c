#include "weft/api/balance-size.h"

#include <errno.h>
#include <inttypes.h>

#include "weft/api/balance-rows.h"
#include "weft/api/networking.h"
#include "weft/api/quota.h"
#include "weft/api/replica.h"
#include "weft/api/turns.h"
#include "weft/balance/bytes.h"
#include "weft/base/util.h"

#define TURN "balance-rows" /* By project. */

void balance_census_add(struct balance_census *census, const struct pool_member *member)
{
    census->n_members++;
    if (!member->weight)
        return;
    census->sum_of_weights += member->weight;
    if (!census->least_weight || member->weight < census->least_weight)
        census->least_weight = member->weight;
}

enum balance_size balance_census_size(const struct balance_census *census)
{
    if (census->n_members > BALANCE_MEMBERS_MIDDLE)
        return BALANCE_LARGE;
    return census->n_members > BALANCE_MEMBERS_SMALL || census->sum_of_weights > BALANCE_MEMBERS_SMALL * census->least_weight ? BALANCE_MIDDLE
                                                                                                                          : BALANCE_SMALL;
}

uint32_t balance_size_rows(enum balance_size size)
{
    static const uint32_t rows[] = {[BALANCE_SMALL] = BALANCE_ROWS_SMALL, [BALANCE_MIDDLE] = BALANCE_ROWS_MIDDLE, [BALANCE_LARGE] = BALANCE_ROWS_LARGE};

    return rows[size];
}

enum balance_size balance_size_of_rows(uint32_t n_rows)
{
    return n_rows < BALANCE_ROWS_SMALL * BALANCE_GROWTH                    ? BALANCE_SMALL
           : n_rows < BALANCE_ROWS_SMALL * BALANCE_GROWTH * BALANCE_GROWTH ? BALANCE_MIDDLE
                                                                           : BALANCE_LARGE;
}

/* ---- the quota --------------------------------------------------------------------------------------------------------------- */

/* As it is, without 'plan', or as it will be. */
static enum balance_size size_of_pool(const struct replica *replica, const struct plan *plan, const char *pool_id)
{
    char rows_id[UUID_TEXT_SIZE];
    struct balance_census census = {0};
    const struct balance_rows *rows;

    balance_rows_id(pool_id, rows_id);
    rows = (const struct balance_rows *)replica_get(replica, RESOURCE_BALANCE_ROWS, rows_id);
    REPLICA_FOREACH (item, replica_find(replica, REPLICA_MEMBERS_BY_POOL, pool_id)) {
        const struct object *member = plan ? plan_current(plan, item->object) : item->object;

        if (member)
            balance_census_add(&census, (const struct pool_member *)member);
    }
    for (const struct object *object = NULL; plan && (object = plan_created(plan, RESOURCE_POOL_MEMBER, object));)
        if (streq(((const struct pool_member *)object)->pool_id, pool_id))
            balance_census_add(&census, (const struct pool_member *)object);
    return MAX(balance_census_size(&census), balance_size_of_rows(rows ? (uint32_t)(rows->n_row_bytes / BALANCE_ROW_BYTES) : 0));
}

static uint64_t rows_of_project(const struct replica *replica, const struct plan *plan, const char *project_id)
{
    uint64_t n_rows = 0;

    REPLICA_FOREACH (item, replica_by_project(replica, RESOURCE_POOL, project_id))
        if (!plan || plan_current(plan, item->object))
            n_rows += balance_size_rows(size_of_pool(replica, plan, item->object->id));
    for (const struct object *object = NULL; plan && (object = plan_created(plan, RESOURCE_POOL, object));)
        if (streq(object->project_id, project_id))
            n_rows += balance_size_rows(size_of_pool(replica, plan, object->id));
    return n_rows;
}

uint64_t balance_size_used(const struct replica *replica, const char *project_id)
{
    return rows_of_project(replica, NULL, project_id);
}

int balance_size_check(struct change *change, const char *pool_id, const char *project_id)
{
    const struct api *api = request_api(change->request);
    int64_t limit = quota_of(networking_quota(api->networking), project_id).limits[RESOURCE_BALANCE_ROWS];
    bool is_there = replica_get(api->replica, RESOURCE_POOL, pool_id);
    uint64_t n_rows;

    if (limit < 0 || (is_there && size_of_pool(api->replica, change->plan, pool_id) <= size_of_pool(api->replica, NULL, pool_id)))
        return 0;
    plan_take_turn(change->plan, TURN, project_id);
    n_rows = rows_of_project(api->replica, change->plan, project_id);
    if (n_rows <= (uint64_t)limit)
        return 0;
    return error_set_type(change->error, -EBUSY, "OverQuota", "balance_rows",
                          "Quota exceeded for resources: ['balance_rows']. The project's pools would have %" PRIu64 " rows; %" PRId64 " is the limit.",
                          n_rows, limit);
}
