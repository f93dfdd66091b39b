/* What the clients of this host did with load balancers, for the API's statistics. */
#ifndef WEFT_AGENT_BALANCING_H
#define WEFT_AGENT_BALANCING_H

#include <jansson.h>

#include "weft/agent/agent.h"

/* {listener: {"active_connections": ..., ...}} of those that were called: docs/agent-protocol.md.  Owned by the caller; NULL: no memory. */
json_t *balancing_report(const struct agent *agent);

#endif
