/* Prometheus metrics over HTTP, when --metrics-listen says where. */
#ifndef WEFT_AGENT_METRICS_H
#define WEFT_AGENT_METRICS_H

#include "weft/agent/agent.h"

/* 'listen' is ADDRESS:PORT or [ADDRESS]:PORT.  Returns 0, or -errno with '*error'. */
int metrics_start(struct agent *agent, const char *listen, struct error *error);
void metrics_stop(struct agent *agent);

#endif
