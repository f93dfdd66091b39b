/* What of load balancing the generic verbs cannot do: members, which are under their pool; the tree of states; statistics. */
#ifndef WEFT_CLI_LOAD_BALANCING_H
#define WEFT_CLI_LOAD_BALANCING_H

#include "weft/cli/command.h"

int run_load_balancer_status(struct call *call);
int run_load_balancer_stats(struct call *call);
int run_listener_stats(struct call *call);

/* POOL, then a member: its name, its id, ADDRESS or ADDRESS:PORT. */
int run_member_create(struct call *call);
int run_member_list(struct call *call);
int run_member_show(struct call *call);
int run_member_set(struct call *call);
int run_member_delete(struct call *call);

/* What the agent of this host finds of the members whose ports are here. */
int run_health_monitor_members(struct call *call);

#endif
