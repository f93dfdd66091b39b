// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which server a new connection of a remembering service gets, as IPVS's schedulers decide it (ipvsadm(8)): in the order of the members,
 * which is IPVS's, the first of those that are equal; none with weight 0. */
#ifndef WEFT_DIRECTOR_BPF_SCHEDULE_H
#define WEFT_DIRECTOR_BPF_SCHEDULE_H

#include "weft/director/bpf/choose.h"
#include "weft/director/bpf/expiry.h"

#define LB_ROWS_SEARCHED 64 /* For one whose server takes more; then members are asked, of whom there are few: a packet must not cost a walk over all rows. */

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
        return count_of(load->active) + 1ull;
    return ((__u64)count_of(load->active) << 8) + count_of(load->inactive);
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
    if (!load || load->is_overloaded || (schedule == LB_SCHEDULE_OVF && count_of(load->active) > weight))
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

struct row_search {
    __u32 service;
    __u32 row;      /* The first to be looked at. */
    __u32 best;
    __u32 n_passed; /* Those before it. */
};

static __always_inline bool server_takes(__u32 server)
{
    const struct lb_server_load *load = map_lookup(server_load, &server);

    return load && !load->is_overloaded;
}

static __always_inline bool has_no_new(const struct lb_server *server)
{
    return server && server->flags & LB_SERVER_NO_NEW;
}

static long row_try(__u32 index, void *context)
{
    struct row_search *search = context;
    const struct lb_service *service = service_get(search->service);
    __u32 server;

    if (!service || !service->n_rows)
        return 1;
    server = server_of(service, (search->row + index) % service->n_rows);
    search->n_passed = index;
    if (server == LB_NONE || !server_takes(server))
        return 0;
    search->best = server;
    return 1;
}

static long member_try(__u32 index, void *context)
{
    struct row_search *search = context;
    const struct lb_service *service = service_get(search->service);
    const struct lb_member *member;
    __u32 position, server;

    if (!service || !service->n_members)
        return 1;
    position = service->members + (search->row + index) % service->n_members;
    member = map_lookup(members, &position);
    if (!member || !member->weight)
        return 0;
    server = *(volatile const __u32 *)&member->server;
    if (server == LB_NONE || !server_takes(server))
        return 0;
    search->best = server;
    return 1;
}

/* The server of the first row from 'row' on that takes more, else of the first member from there on; '*ret_passed' gets how many rows did not. */
static __always_inline __u32 row_that_takes(const struct lb_service *service, __u32 number, __u32 row, __u32 *ret_passed)
{
    struct row_search search = {.service = number, .row = row, .best = frame_unknown(LB_NONE), .n_passed = frame_unknown(0)};
    __u32 n_rows = service->n_rows, n_members = service->n_members;

    if (n_rows > LB_ROWS_SEARCHED)
        n_rows = LB_ROWS_SEARCHED;
    if (n_members > LB_MEMBERS_MAX)
        n_members = LB_MEMBERS_MAX;
    frame_loop(n_rows, row_try, &search);
    *ret_passed = search.n_passed;
    if (search.best == LB_NONE && service->n_rows > LB_ROWS_SEARCHED)
        frame_loop(n_members, member_try, &search);
    return search.best;
}

static __always_inline __u32 schedule_turn(const struct lb_service *service, __u32 number, struct lb_service_load *own)
{
    __u32 turn = __sync_fetch_and_add(&own->turn, 1), n_rows = service->n_rows, server, n_passed;

    if (!n_rows)
        return LB_NONE;
    server = server_of(service, turn % n_rows);
    if (server == LB_NONE || server_takes(server))
        return server;
    server = row_that_takes(service, number, turn % n_rows, &n_passed);
    __sync_fetch_and_add(&own->turn, n_passed);
    return server;
}

static __always_inline __u32 schedule_hash(const struct lb_service *service, __u32 number, __u64 hash)
{
    __u32 row = row_by_hash(service, hash), server = server_of(service, row), n_passed;

    if (server == LB_NONE || has_no_new(server_get(server)))
        return LB_NONE;
    if (server_takes(server))
        return server;
    if (!(service->flags & LB_FALLBACK))
        return LB_NONE;
    return row_that_takes(service, number, row, &n_passed);
}

static __always_inline __u32 schedule_load_least(const struct lb_service *service)
{
    struct schedule_search search = {.members = service->members, .schedule = service->schedule, .best = frame_unknown(LB_NONE),
                                     .best_weight = frame_unknown(0), .best_load = frame_unknown(0)};
    __u32 n = service->n_members;

    if (n > LB_MEMBERS_MAX)
        n = LB_MEMBERS_MAX;
    frame_loop(n, schedule_member, &search);
    return search.best;
}

/* The server's number, or LB_NONE. */
CHECKED_ALONE __u32 schedule_server(__u32 number, __u64 hash)
{
    const struct lb_service *service = service_get(number);
    struct lb_service_load *own = map_lookup(service_load, &number);
    __u32 server;

    if (!service || !own)
        return LB_NONE;
    server = service->schedule == LB_SCHEDULE_HASH   ? schedule_hash(service, number, hash)
             : service->schedule == LB_SCHEDULE_TURN ? schedule_turn(service, number, own)
                                                     : schedule_load_least(service);
    return server == LB_NONE ? service->fallback - 1 : server;
}

#endif
