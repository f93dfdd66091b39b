/* Who gets the numbers that a host's tables name things by, where there are fewer than all projects' objects want together.
 *
 * They are divided before anything is compiled, by the same shares as the tables (shares.h), and whole: a load balancer has numbers for all of its listeners,
 * pools, members and its address outside, or is left out; a router for itself and all of its ports, or is there without any, so that firewalls go on to
 * guard what is behind it (compiler/firewall.c) and nothing passes it; a group has one, or no rule can name it.  What hangs on a router or load balancer that is
 * not known does nothing, and has no claim to a number that somebody needs.
 *
 * A number is free only when the tables are without who had it.  What is new waits for its numbers as a whole; what is there goes on, and what it is
 * to have besides comes later, as if it had been made later. */
#ifndef WEFT_COMPILER_NUMBERS_H
#define WEFT_COMPILER_NUMBERS_H

#include "weft/compiler/compiler.h"

#define NUMBER_WANTED UINT32_MAX /* In place of a port's number in the series of routers' ports: it is to have one. */

/* What has numbers: the snapshot's own arrays, to be filled. */
struct numbering {
    struct snapshot *snapshot;
    struct compile_port *ports;
    struct compile_security_group *security_groups;
    struct compile_address_group *address_groups;
    struct compile_router *routers;
    const struct load_balancer **load_balancers;
    struct compile_listener *listeners;
    struct compile_pool *pools;
    struct compile_member *members;
    uint32_t room[N_NUMBER_SPACES];
    /* The object's number, that it has or gets now; 0: what is free is not yet free. */
    uint32_t (*give)(enum number_space space, const struct object *object, void *context);
    bool (*had)(enum number_space space, const struct object *object, void *context); /* Had it one before, in the snapshot? */
    /* The object goes without the number that it was given: what it belongs to waits for others.  It may keep it till then. */
    void (*take_back)(enum number_space space, const struct object *object, void *context);
    void *context;
    struct rows *shortages, *left_out; /* Added to, as in struct desired. */
    bool waits;                        /* Set: somebody has room and gets numbers when others have given back theirs. */
};

/* Load balancers that are left out are not in the snapshot any more.  Returns 0 or -ENOMEM. */
int numbers_give(struct numbering *numbering);

#endif
