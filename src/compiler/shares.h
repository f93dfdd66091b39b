/* Who has the room of a table that all projects share, where it is not enough for what they want together.
 *
 * Each project has the same share at most, and what a project leaves of its share is for the others: the share is the largest that fits (max-min
 * fairness).  So who wants no more than the room divided by the number of projects always gets it, and those that want most are those that lose,
 * whoever came first.  Within a project what is older comes first.  Things find room whole or not at all; what shares leave by that, or because
 * projects have things in common, goes to one thing of each project in turn, so nothing is left out that would fit. */
#ifndef WEFT_COMPILER_SHARES_H
#define WEFT_COMPILER_SHARES_H

#include "weft/dataplane/desired.h"
#include "weft/model/objects.h"

/* A project wants rows for something. */
struct claim {
    const char *project_id;      /* Borrowed, as all here. */
    const struct object *object; /* What it is for: its age decides, and then its id. */
    bool *ret_fits;              /* False before.  Several claims of one project with the same 'ret_fits' count once, as the oldest of them. */
    uint32_t n_rows;
    uint32_t part;               /* Of several things for one object: the lower one comes first. */
};

struct claims { /* Zeroed: none. */
    struct claim *claims;
    size_t n, capacity;
};

int claims_add(struct claims *claims, struct claim claim); /* 0 or -ENOMEM. */
void claims_clear(struct claims *claims);

/* Divides 'room' rows of the table: sets '*ret_fits' of the claims that find room, and adds to 'shortages' (shortage_key -> shortage) the projects that have any that
 * do not.  What several projects claim counts for each, and is there if it fits for one of them.  The claims end in another order.  Returns 0 or
 * -ENOMEM. */
int claims_divide(struct claims *claims, uint32_t table, size_t room, struct rows *shortages);

#endif
