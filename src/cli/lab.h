/* weft lab: workloads for demonstrations and tests, without virtual machines.
 *
 * A workload is a network namespace with one veth, eth0, whose other end is the port's tap on the host:
 *
 *     namespace NAME [ eth0 ]----[ tap<port id> ] host namespace, agent
 *
 * eth0 carries the port's MAC and, as its alias, "weft <port id>", which is all the state there is.  Needs root. */
#ifndef WEFT_CLI_LAB_H
#define WEFT_CLI_LAB_H

#include "weft/cli/command.h"

int run_lab_add(struct call *call);
int run_lab_list(struct call *call);
int run_lab_exec(struct call *call);
int run_lab_remove(struct call *call);

#endif
