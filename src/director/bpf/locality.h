// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lblc and lblcr (ipvsadm(8)): what goes to one destination goes to the server that has had it before, a cache that has it already, unless
 * that one is overloaded while another is idle.  What counts as that, and the order of steps, is IPVS's: overloaded is more active
 * connections than weight, idle is less than half of it.  lblc keeps one server for each destination, and gives it to another by wlc.  lblcr
 * keeps a set, of which the least loaded serves, of those that are equal the one that was added last; wlc adds to it, and when it has not changed
 * for LB_LOCALITY_S the most loaded leaves.
 *
 * A destination that nobody asked for as long is forgotten, and so is one of those that were not asked for lately when there are more than
 * LB_LOCALITIES: the table is of that kind, and no timer is needed.
 *
 * Several CPUs may change one set at a time, each by one store for each server; what is there counts only if it is a member of the service now,
 * so what another destination left in an element that Linux has given to this one does no harm. */
#ifndef WEFT_DIRECTOR_BPF_LOCALITY_H
#define WEFT_DIRECTOR_BPF_LOCALITY_H

#include "weft/director/bpf/schedule.h"

static const struct lb_locality locality_new;

struct locality_pick {
    __u32 server; /* LB_NONE: nobody. */
    __u32 weight;
    __u64 load;
};

struct locality_search {
    struct lb_locality *locality; /* NULL: there is no memory for one. */
    __u32 members;
    __u16 n;                      /* How many of the service's are in the set, */
    __u16 least_place;            /* where, beginning with 1, who of them has the least load and takes more, */
    __u16 most_place;             /* and who the most: */
    struct locality_pick least;   /* the one, */
    struct locality_pick most;    /* the other; */
    struct locality_pick best;    /* and who of all has the least. */
    __u16 is_overloaded;          /* The least loaded of the set has more connections than weight. */
    __u32 has_idle;               /* Somebody of all has less than half of them. */
};

static __always_inline __u64 locality_name(__u32 number, const struct lb_server *server)
{
    return (__u64)server->incarnation << 32 | number;
}

/* Where the server is in the set, beginning with 1; 0 if it is not. */
static __always_inline __u16 locality_find_place(const struct lb_locality *locality, __u64 name)
{
    UNROLL
    for (int i = 0; i < LB_LOCALITY_SERVERS; i++)
        if (*(volatile const __u64 *)&locality->servers[i] == name)
            return (__u16)frame_unknown(i + 1); /* Or the verifier would follow each place apart. */
    return 0;
}

static __always_inline bool is_lighter(__u64 load, __u32 weight, const struct locality_pick *than)
{
    return than->server == LB_NONE || load * than->weight < than->load * weight;
}

static __always_inline void locality_pick(struct locality_pick *pick, __u32 server, __u32 weight, __u64 load)
{
    pick->server = server;
    pick->weight = weight;
    pick->load = load;
}

static long locality_member(__u32 index, void *context)
{
    struct locality_search *search = context;
    __u32 position = search->members + index, number, weight, active;
    const struct lb_member *member = map_lookup(members, &position);
    const struct lb_server_load *load;
    const struct lb_server *server;
    __u64 value;

    if (!member || !member->weight)
        return 0;
    number = member->server;
    weight = member->weight;
    load = map_lookup(server_load, &number);
    server = server_get(number);
    if (!load || !server)
        return 0;
    active = count_of(load->active);
    value = schedule_load(LB_SCHEDULE_WLC, load);
    if (!load->is_overloaded) {
        if (is_lighter(value, weight, &search->best))
            locality_pick(&search->best, number, weight, value);
        if ((__u64)active * 2 < weight)
            search->has_idle = 1;
    }
    __u16 place = search->locality ? locality_find_place(search->locality, locality_name(number, server)) : 0;
    if (!place)
        return 0;
    search->n++;
    /* Load by weight, of 56 bits, before the place. */
    if (search->most.server == LB_NONE ||
        (value * search->most.weight << 5) + place > (search->most.load * weight << 5) + search->most_place) {
        locality_pick(&search->most, number, weight, value);
        search->most_place = place;
    }
    if (load->is_overloaded ||
        (search->least.server != LB_NONE && (value * search->least.weight << 5) + search->least_place >= (search->least.load * weight << 5) + place))
        return 0;
    locality_pick(&search->least, number, weight, value);
    search->least_place = place;
    search->is_overloaded = active > weight;
    return 0;
}

struct locality_change {
    struct lb_locality *locality;
    __u64 name;     /* Of who is to be in the set, */
    __u64 instead;  /* and where: of whom; 0: of nobody, or of somebody who is there no more. */
    __u32 is_done;
    __u32 pad;
};

static long locality_place(__u32 index, void *context)
{
    struct locality_change *change = context;
    const struct lb_server *server;
    __u64 *place, present;

    if (index >= LB_LOCALITY_SERVERS)
        return 1;
    place = &change->locality->servers[index];
    present = *(volatile __u64 *)place;
    if (present != change->instead) {
        if (change->instead)
            return 0;
        server = server_get((__u32)present);
        if (server && server->method != LB_METHOD_NONE && server->incarnation == present >> 32)
            return 0;
    }
    if (__sync_val_compare_and_swap(place, present, change->name) != present)
        return 0;
    change->is_done = 1;
    return 1;
}

/* 'name' gets the place of 'instead' in the set (as in locality_change).  Was there such a place?  Not inlined: with its callers it would
 * have more stack than there is. */
static __noinline bool locality_exchange(struct lb_locality *locality, __u64 name, __u64 instead)
{
    struct locality_change change = {.locality = locality, .name = name, .instead = instead, .is_done = frame_unknown(0)};

    frame_loop(LB_LOCALITY_SERVERS, locality_place, &change);
    locality->last_changed = conn_now();
    return change.is_done;
}

static __always_inline __u64 locality_name_of(__u32 number)
{
    const struct lb_server *server = server_get(number);

    return server ? locality_name(number, server) : 0;
}

/* From now on 'chosen' has the destination, or has it too. */
static __always_inline void locality_give(struct lb_locality *locality, bool is_set, __u32 chosen, __u32 most)
{
    __u64 name = locality_name_of(chosen);
    bool is_placed;

    if (is_set && locality_find_place(locality, name))
        return;
    is_placed = is_set && locality_exchange(locality, name, 0);
    if (is_set && !is_placed && most != LB_NONE) /* As large as a set can be. */
        is_placed = locality_exchange(locality, name, locality_name_of(most));
    if (!is_placed)
        *(volatile __u64 *)&locality->servers[0] = name;
}

/* The destination's, or NULL without memory. */
static __noinline struct lb_locality *locality_find(const struct packet *packet, __u32 number, __u32 schedule)
{
    struct lb_locality_key key ON_STACK;
    struct lb_locality *locality;
    __u32 now = conn_now();

    address_copy(key.destination, packet->destination);
    key.service = number;
    key.schedule = schedule;
    locality = map_lookup(localities, &key);
    if (!locality || conn_age(now, locality->last_used) >= conn_ticks(LB_LOCALITY_S)) {
        map_put(localities, &key, &locality_new);
        locality = map_lookup(localities, &key);
        if (locality)
            locality->last_changed = now;
    }
    if (locality)
        locality->last_used = now;
    return locality;
}

/* The server's number for the packet in packet_memory(), or LB_NONE. */
CHECKED_ALONE __u32 locality_server(__u32 number)
{
    const struct lb_service *service = service_get(number);
    __u32 zero = 0, n;
    const struct packet *packet = packet_memory(&zero);
    struct locality_search search = {.n = (__u16)frame_unknown(0), .least_place = (__u16)frame_unknown(0), .most_place = (__u16)frame_unknown(0),
                                     .least.server = frame_unknown(LB_NONE), .least.weight = frame_unknown(0),
                                     .least.load = frame_unknown(0), .most.server = frame_unknown(LB_NONE), .most.weight = frame_unknown(0),
                                     .most.load = frame_unknown(0), .best.server = frame_unknown(LB_NONE), .best.weight = frame_unknown(0),
                                     .best.load = frame_unknown(0), .is_overloaded = (__u16)frame_unknown(0), .has_idle = frame_unknown(0)};

    if (!service || !packet)
        return LB_NONE;
    search.members = service->members;
    search.locality = locality_find(packet, number, service->schedule);
    n = service->n_members;
    if (n > LB_MEMBERS_MAX)
        n = LB_MEMBERS_MAX;
    frame_loop(n, locality_member, &search);
    if (!search.locality)
        return search.best.server;
    if (search.n > 1 && conn_age(conn_now(), search.locality->last_changed) >= conn_ticks(LB_LOCALITY_S))
        locality_exchange(search.locality, 0, locality_name_of(search.most.server));
    if (search.least.server != LB_NONE && !(search.is_overloaded && search.has_idle))
        return search.least.server;
    if (search.best.server != LB_NONE)
        locality_give(search.locality, service->schedule == LB_SCHEDULE_LBLCR, search.best.server, search.most.server);
    return search.best.server;
}

/* Which server what begins with the packet gets; or LB_NONE. */
static __always_inline __u32 server_for(const struct packet *packet, const struct lb_service *service, __u32 number)
{
    __u32 server;

    if (service->schedule != LB_SCHEDULE_LBLC && service->schedule != LB_SCHEDULE_LBLCR)
        return schedule_server(number, packet->hash);
    server = locality_server(number);
    return server == LB_NONE ? service->fallback - 1 : server;
}

#endif
