/* weft connections: what the hosts' data planes know of connections. */
#ifndef WEFT_CLI_CONNECTIONS_H
#define WEFT_CLI_CONNECTIONS_H

#include "weft/cli/command.h"

int run_connections_list(struct call *call);
int run_connections_delete(struct call *call);

#endif
