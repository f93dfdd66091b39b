/* 'trace': the very pipeline, built natively, over a copy of the live tables. */
#ifndef WEFT_AGENT_TRACE_H
#define WEFT_AGENT_TRACE_H

#include "weft/agent/agent.h"

/* Answers as docs/agent-protocol.md says; changes nothing. */
json_t *agent_trace(struct agent *agent, const json_t *arguments, struct error *error);

#endif
