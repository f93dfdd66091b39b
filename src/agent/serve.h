/* DHCP and router advertisements: the objects of a port for the responders, from the replica. */
#ifndef WEFT_AGENT_SERVE_H
#define WEFT_AGENT_SERVE_H

#include "weft/agent/agent.h"

int serve_start(struct agent *agent, struct error *error);
void serve_stop(struct agent *agent);

/* The port was plugged or what it is told changed. */
void serve_changed(struct agent *agent, const struct agent_port *port);

#endif
