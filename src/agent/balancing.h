/* What the clients of this host did with load balancers, for the API's statistics, and its shares of limits. */
#ifndef WEFT_AGENT_BALANCING_H
#define WEFT_AGENT_BALANCING_H

#include <jansson.h>

#include "weft/agent/agent.h"

/* {listener: {"active_connections": ..., ...}} of those that were called, or have a limit: docs/agent-protocol.md.  Owned by the caller; NULL: no memory. */
json_t *balancing_report(const struct agent *agent);

/* Has the API to hear of listeners whose connection_limit hosts share before the next report is due?  'counts_are_due': it is time to look at how many
 * connections they have, which costs two system calls for each. */
bool balancing_is_news(const struct agent *agent, bool counts_are_due);

#endif
