/* Hosts, and what the platform knows of itself: status, drops, counters, flows. */
#ifndef WEFT_CLI_HOSTS_H
#define WEFT_CLI_HOSTS_H

#include "weft/cli/command.h"

int run_host_join_token(struct call *call);
int run_status(struct call *call);
int run_drops(struct call *call);
int run_counters(struct call *call);
int run_flows(struct call *call);

#endif
