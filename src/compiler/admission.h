/* What a host does without where its tables cannot hold all that the objects of all projects become.
 *
 * Everything is compiled first.  If a table has more rows than there is room for, each row is charged to the object that it is there for, the
 * room is divided between the projects (shares.h), and objects that find none are left out as a whole, with all that hangs on them: half of a router
 * sends packets another way than its owner said, and half of a load balancer another client's way.  What is left is compiled again.  So while all fits,
 * which is nearly always, this costs nothing.
 *
 * What is left is a part of what was wanted.  Of two rows with one key the first stays (of a gateway's address the router's, before the virtual server's), of two
 * routers whose prefixes overlap the older one has them: what was behind another's row does not come in its place when that is left out, and nobody gets what is
 * another's while that has no room.  So one division is enough, whatever projects make of their objects.  And what kept something out goes on to: ports
 * behind firewalls stay behind them, and load balancers know who is inside.
 *
 * Objects, and what is charged to them:
 *
 *     network         itself, its lists of who gets broadcast, the platform's own addresses in it
 *     port            MACs and addresses (a router's ports are the router's)
 *     router          its ports, routes, groups of next hops, addresses outside, blocks of ports
 *     floating IP     the address and its translation
 *     load balancer   addresses, listeners with their clients' prefixes, pools' rows, members
 *
 * Rows of nothing of these, as of stations outside that answered, keep their room. */
#ifndef WEFT_COMPILER_ADMISSION_H
#define WEFT_COMPILER_ADMISSION_H

#include "weft/compiler/charges.h"

/* A snapshot without what was left out.  Owns its arrays; the objects are borrowed. */
struct narrowed {
    struct snapshot snapshot;
    struct charges charges;
    const struct network **networks;
    uint32_t *network_projects;
    struct compile_port *ports;
    struct compile_router *routers;
    const struct floating_ip **floating_ips;
    const struct load_balancer **load_balancers;
    struct compile_listener *listeners;
    struct compile_pool *pools;
    struct compile_member *members;
    const struct balance_rows **balance_rows;
};

bool admission_is_over(const struct snapshot *snapshot, const struct desired *desired); /* Has a table of these too many rows? */

/* 'desired' is what 'snapshot' compiles to; both are borrowed.  Adds to 'shortages' (shortage_key -> shortage) whose objects find no room.  Returns 0 or -ENOMEM; '*ret'
 * is to be cleared in both cases. */
int admission_narrow(const struct snapshot *snapshot, const struct desired *desired, struct rows *shortages, struct narrowed *ret);

/* 'desired' is what the narrowed snapshot compiles to: makes it a part of what the whole one did.  Returns 0 or -ENOMEM. */
int admission_restrict(const struct narrowed *narrowed, struct desired *desired);
void narrowed_clear(struct narrowed *narrowed);

#endif
