/* Which local ports may have connection entries that would be decided otherwise after a change of the tables: their epochs are bumped when all
 * is written.  Internal to maps_apply(). */
#ifndef WEFT_DATAPLANE_CONCERNED_H
#define WEFT_DATAPLANE_CONCERNED_H

#include "weft/dataplane/desired.h"

struct maps;

struct concerned {
    struct maps *maps;
    struct rows vnis;  /* Networks whose ports are. */
    struct rows slots; /* Ports. */
    struct rows groups; /* Groups that have lost a member: ports whose rules name them. */
};

void concerned_init(struct concerned *concerned, struct maps *maps);
void concerned_clear(struct concerned *concerned);

/* Takes note of one row that differs; 'maps' holds what was before.  Returns 0 or -ENOMEM. */
int concerned_mark(struct concerned *concerned, enum desired_table table, const void *key, const void *old_value, const void *new_value);

/* Bumps the epochs, once each; 'now' is what the maps hold by now.  Returns 0 or -ENOMEM, and then nothing was bumped. */
int concerned_bump(struct concerned *concerned, const struct desired *now);

#endif
