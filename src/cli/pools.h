/* Subnet pools: what the generic verbs do not do. */
#ifndef WEFT_CLI_POOLS_H
#define WEFT_CLI_POOLS_H

#include "weft/cli/command.h"

int run_subnet_pool_add(struct call *call);     /* POOL PREFIX... */
int run_subnet_pool_remove(struct call *call);  /* POOL PREFIX... */
int run_subnet_pool_onboard(struct call *call); /* POOL NETWORK */

#endif
