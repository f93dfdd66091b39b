// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which server a new connection of a remembering service gets, as IPVS's schedulers decide it (ipvsadm(8)): in the order of the members,
 * which is IPVS's, the first of those that are equal; none with weight 0. */
#ifndef WEFT_DIRECTOR_BPF_SCHEDULE_H
#define WEFT_DIRECTOR_BPF_SCHEDULE_H

#include "weft/director/bpf/choose.h"

struct schedule_search {
    __u32 members;
    __u32 schedule;
    __u32 best;        /* The server so far, */
    __u32 best_weight; /* its weight, */
    __u64 best_load;   /* and its load. */
};

/* lc and wlc: an active connection counts as 256 that are not; sed and nq count the one that is to come. */
static __always_inline __u64 schedule_load(__u32 schedule, const struct lb_server_load *load)
{
    if (schedule == LB_SCHEDULE_SED || schedule == LB_SCHEDULE_NQ)
        return load->active + 1ull;
    return ((__u64)load->active << 8) + load->inactive;
}

static long schedule_member(__u32 index, void *context)
{
    struct schedule_search *search = context;
    __u32 position = search->members + index, schedule = search->schedule, server;
    const struct lb_member *member = map_lookup(members, &position);
    const struct lb_server_load *load;
    bool is_better;

    if (!member || !member->weight)
        return 0;
    __u32 weight = member->weight;
    server = member->server;
    load = map_lookup(server_load, &server);
    if (!load || (schedule == LB_SCHEDULE_OVF && load->active > weight))
        return 0;
    __u64 value = schedule_load(schedule, load);
    if (search->best == LB_NONE)
        is_better = true;
    else if (schedule == LB_SCHEDULE_FO || schedule == LB_SCHEDULE_OVF)
        is_better = weight > search->best_weight;
    else if (schedule == LB_SCHEDULE_LC)
        is_better = value < search->best_load;
    else
        is_better = value * search->best_weight < search->best_load * weight;
    if (schedule == LB_SCHEDULE_NQ && !load->active)
        is_better = true; /* Nobody is to wait while somebody is idle. */
    if (!is_better)
        return 0;
    search->best = server;
    search->best_weight = weight;
    search->best_load = value;
    return schedule == LB_SCHEDULE_NQ && !load->active;
}

/* The server's number, or LB_NONE. */
CHECKED_ALONE __u32 schedule_server(__u32 number, __u64 hash)
{
    const struct lb_service *service = service_get(number);
    struct lb_service_load *own = map_lookup(service_load, &number);

    if (!service || !own)
        return LB_NONE;
    if (service->schedule == LB_SCHEDULE_HASH)
        return server_by_hash(service, hash);
    if (service->schedule == LB_SCHEDULE_TURN) {
        __u32 turn = __sync_fetch_and_add(&own->turn, 1);

        return service->n_rows ? server_of(service, turn % service->n_rows) : LB_NONE;
    }
    struct schedule_search search = {.members = service->members, .schedule = service->schedule, .best = frame_unknown(LB_NONE),
                                     .best_weight = frame_unknown(0), .best_load = frame_unknown(0)};
    __u32 n = service->n_members;
    if (n > LB_MEMBERS_MAX)
        n = LB_MEMBERS_MAX;
    frame_loop(n, schedule_member, &search);
    return search.best;
}

#endif
