/* Services that go by their servers' order: members as IPVS has them, and turns of rr and wrr. */
#include "weft/director/apply-parts.h"

#include <errno.h>
#include <string.h>

#define TURNS_MAX 65536 /* Of the schedulers that go round; heavier weights are scaled. */

static uint32_t greatest_divisor(uint32_t a, uint32_t b)
{
    while (b) {
        uint32_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* A weight as it counts for turns; 'heaviest' servers' weights are scaled so that all turns fit. */
static uint32_t turn_weight(const struct planned_service *planned, size_t i, uint64_t sum)
{
    uint32_t weight = planned->servers[i].is_used ? planned->servers[i].weight : 0;

    if (weight && planned->service->scheduler == SCHEDULER_RR)
        return 1;
    return weight && sum > TURNS_MAX ? (uint32_t)MAX((uint64_t)weight * (TURNS_MAX / 2) / sum, 1) : weight;
}

/* A round of rr or wrr: for each weight from the heaviest down by their greatest common divisor, all servers in order that have as much.  It
 * begins with the last of these, which is all servers: so does IPVS's, as a service's first server is alone when it comes, and its weight the divisor.
 * Returns how many turns; 0 for other schedulers.  'ret_turns' (may be NULL) gets positions among the members. */
uint32_t order_turns(const struct planned_service *planned, uint16_t *ret_turns)
{
    uint32_t divisor = 0, heaviest = 0, n = 0, position;
    uint64_t sum = 0;

    if (planned->service->scheduler != SCHEDULER_RR && planned->service->scheduler != SCHEDULER_WRR)
        return 0;
    for (size_t i = 0; i < planned->n_servers; i++)
        sum += planned->servers[i].is_used ? planned->servers[i].weight : 0;
    for (size_t i = 0; i < planned->n_servers; i++) {
        uint32_t weight = turn_weight(planned, i, sum);

        divisor = greatest_divisor(divisor, weight);
        heaviest = MAX(heaviest, weight);
    }
    for (uint32_t i = 0; divisor && i < heaviest / divisor; i++) {
        uint32_t level = i ? heaviest - (i - 1) * divisor : divisor;

        position = 0;
        for (size_t j = planned->n_servers; j-- > 0;) {
            if (!planned->servers[j].is_used)
                continue;
            if (turn_weight(planned, j, sum) >= level) {
                if (ret_turns)
                    ret_turns[n] = (uint16_t)position;
                n++;
            }
            position++;
        }
    }
    return n;
}

static bool has_turns(const struct lb_tables *tables, const struct applied_service *service, const uint16_t *turns, uint32_t n)
{
    if (service->content.n_rows != n || service->content.schedule != LB_SCHEDULE_TURN)
        return false;
    for (uint32_t turn = 0; turn < n; turn++)
        if (tables->rows[service->first_block + (turn >> LB_ROWS_SHIFT)].row[turn & (LB_ROWS_BLOCK - 1)].owner != turns[turn])
            return false;
    return true;
}

/* IPVS has the server that was added last as its first. */
static uint32_t ordered_members(const struct applied_service *service, const struct planned_service *planned, struct lb_member *ret)
{
    uint32_t n = 0;

    for (size_t i = planned->n_servers; i-- > 0;)
        if (planned->servers[i].is_used)
            ret[n++] = (struct lb_member){applied_find_server(service, planned->servers[i].server)->number, planned->servers[i].weight};
    return n;
}

/* Members and turns in places of their own, so that who reads the service as it was still finds what it was. */
int order_apply(const struct task *task, struct applied_service *service, const struct planned_service *planned)
{
    struct lb_tables *tables = task->applied->tables;
    _cleanup_(freep) struct lb_member *members = calloc(planned->n_servers + 1, sizeof(*members));
    _cleanup_(freep) uint16_t *turns = NULL;
    uint32_t n = members ? ordered_members(service, planned, members) : 0, n_turns = order_turns(planned, NULL), first;

    if (n_turns)
        turns = calloc(n_turns, sizeof(*turns));
    if (!members || (n_turns && !turns))
        return -ENOMEM;
    if (n_turns)
        order_turns(planned, turns);
    balance_table_free(service->rows);
    service->rows = NULL;
    if (n && (n > service->n_members || service->content.n_members != n ||
              memcmp(&tables->members[service->first_member], members, n * sizeof(*members)) != 0)) {
        uint32_t room = (uint32_t)places_for_members(n);

        first = ranges_take(&task->applied->members, room);
        if (first == RANGE_NONE)
            return places_missing(task, "server");
        places_leave(task->applied, &task->applied->members, service->first_member, service->n_members);
        service->first_member = first;
        service->n_members = room;
        memcpy(&tables->members[first], members, n * sizeof(*members));
    }
    if (n_turns && !has_turns(tables, service, turns, n_turns)) {
        first = ranges_take(&task->applied->blocks, blocks_for(n_turns));
        if (first == RANGE_NONE)
            return places_missing(task, "row");
        places_leave(task->applied, &task->applied->blocks, service->first_block, service->n_blocks);
        service->first_block = first;
        service->n_blocks = blocks_for(n_turns);
        for (uint32_t turn = 0; turn < n_turns; turn++)
            lb_write_row(tables, first, turn, LB_ROW_OF(turns[turn]));
    }
    return service_write(task, service, planned, n_turns, n);
}
