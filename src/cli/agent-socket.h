/* One question to the local agent: a line of JSON out, a line of JSON in (docs/agent-protocol.md). */
#ifndef WEFT_CLI_AGENT_SOCKET_H
#define WEFT_CLI_AGENT_SOCKET_H

#include <jansson.h>

#include "weft/base/error.h"

/* Connects to 'path', sends 'request' (borrowed) and stores the answer, which the caller owns.  Waits up to 10 s.
 * Returns 0; -ECONNREFUSED when no agent listens there, -EACCES when we may not; -EINVAL with the agent's own words when it answers with an error;
 * -ETIMEDOUT; -EREMOTEIO for an answer that is not JSON. */
int agent_ask(const char *path, const json_t *request, json_t **ret_answer, struct error *error);

#endif
