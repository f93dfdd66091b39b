/* What routers and floating IPs have beyond create, list, show, set and delete. */
#ifndef WEFT_CLI_ROUTING_H
#define WEFT_CLI_ROUTING_H

#include "weft/cli/command.h"

int run_router_add_interface(struct call *call);
int run_router_remove_interface(struct call *call);
int run_router_add_route(struct call *call);
int run_router_remove_route(struct call *call);
int run_router_snat(struct call *call);

/* Port forwardings are inside their floating IP and have no names. */
int run_forwarding_create(struct call *call);
int run_forwarding_list(struct call *call);
int run_forwarding_show(struct call *call);
int run_forwarding_set(struct call *call);
int run_forwarding_delete(struct call *call);

#endif
