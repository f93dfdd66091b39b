/* The reference topology as a simulated network. */
#ifndef TESTS_FABRIC_REFERENCE_H
#define TESTS_FABRIC_REFERENCE_H

#include "world.h"

/* The reference topology, a host at 0xe5 and one at 0xe4:  e5-e3 e5-e2 e3-e2 e3-e1 e3-e4 e2-e1 e2-e4 */
struct reference {
    struct world *world;
    struct sim_switch *e1, *e2, *e3, *e4, *e5;
    struct sim_host *a, *b;
};

static inline struct reference reference_new(void (*change)(struct fabric_options *), enum of_version version)
{
    struct reference r = {.world = world_new(change)};

    r.e1 = world_switch(r.world, 0xe1, version);
    r.e2 = world_switch(r.world, 0xe2, version);
    r.e3 = world_switch(r.world, 0xe3, version);
    r.e4 = world_switch(r.world, 0xe4, version);
    r.e5 = world_switch(r.world, 0xe5, version);
    world_link(r.e5, 1, r.e3, 1);
    world_link(r.e5, 2, r.e2, 1);
    world_link(r.e3, 2, r.e2, 2);
    world_link(r.e3, 3, r.e1, 1);
    world_link(r.e3, 4, r.e4, 1);
    world_link(r.e2, 3, r.e1, 2);
    world_link(r.e2, 4, r.e4, 2);
    r.a = world_host(r.world, r.e5, 10, "02:00:00:00:00:0a", "10.0.0.1");
    r.b = world_host(r.world, r.e4, 10, "02:00:00:00:00:0b", "10.0.0.2");
    world_connect_all(r.world);
    world_settle(r.world);
    host_send_arp(r.a, &r.b->ip);
    host_send_arp(r.b, &r.a->ip);
    r.a->n_received = r.b->n_received = r.a->n_broadcasts = r.b->n_broadcasts = 0;
    return r;
}

static inline struct fabric_counters counters(struct world *world)
{
    struct fabric_counters c;

    fabric_counters(world->fabric, &c);
    return c;
}

#endif
