/* Which local ports may have connection entries that would be decided otherwise after a change of the tables: their epochs are bumped when all
 * is written.  Internal to maps_apply().
 *
 * What a network's tables say concerns its own ports and those that reach it through routers: all networks that routers join, one behind the
 * other, but not through external networks.  What is on an external network concerns the networks behind every router that has its gateway there. */
#ifndef WEFT_DATAPLANE_CONCERNED_H
#define WEFT_DATAPLANE_CONCERNED_H

#include "weft/dataplane/desired.h"

struct maps;

struct concerned {
    struct maps *maps;
    /* Sets of numbers, each as rows without values. */
    struct rows slots;     /* Ports. */
    struct rows vnis;      /* Networks whose ports are, and what routers lead to them. */
    struct rows reached;   /* Networks that only matter to who reaches them through a router. */
    struct rows routers;
    struct rows hop_groups; /* Groups of next hops: routers whose routes name them. */
    struct rows groups;    /* Security and address groups that have lost a member: ports whose rules name them. */
};

void concerned_init(struct concerned *concerned, struct maps *maps);
void concerned_clear(struct concerned *concerned);

/* Takes note of one row that differs; 'maps' holds what was before.  Returns 0 or -ENOMEM. */
int concerned_mark(struct concerned *concerned, enum desired_table table, const void *key, const void *old_value, const void *new_value);

/* Bumps the epochs, once each; 'now' is what the maps hold by now, the maps' 'actual' still what they held before.  Returns 0 or -ENOMEM, and
 * then nothing was bumped. */
int concerned_bump(struct concerned *concerned, const struct desired *now);

/* concerned-routers.c: adds to 'vnis' the networks that are concerned through routers.  Returns 0 or -ENOMEM. */
int concerned_follow_routers(struct concerned *concerned, const struct desired *now);

#endif
