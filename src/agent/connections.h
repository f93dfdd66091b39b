/* Connections as people ask about them: list, and end. */
#ifndef WEFT_AGENT_CONNECTIONS_H
#define WEFT_AGENT_CONNECTIONS_H

#include "weft/agent/agent.h"

/* {"connections": [...], "truncated": false} for {"port": id, "project": id, "limit": n} and what connection-filter.h reads: all of them strings but
 * the limit, all optional.  NULL with '*error' set. */
json_t *connections_list(struct agent *agent, const json_t *arguments, struct error *error);

/* Ends those: {"deleted": n}.  Their memory follows in a moment. */
json_t *connections_delete(struct agent *agent, const json_t *arguments, struct error *error);

#endif
