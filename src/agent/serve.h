/* DHCP and router advertisements: the objects of a port for the responders, from the replica and the compiled tables.
 */
#ifndef WEFT_AGENT_SERVE_H
#define WEFT_AGENT_SERVE_H

#include "weft/agent/agent.h"
#include "weft/services/config.h"

int serve_start(struct agent *agent, struct error *error);
void serve_stop(struct agent *agent);

/* The port was plugged. */
void serve_plugged(struct agent *agent, const struct agent_port *port);

/* After each update: if objects changed since the last one, what workloads were told may not be true any more. */
void serve_updated(struct agent *agent);

/* What is known of the port in a slot, also while it has no interface.  Borrowed: good until the loop goes on. */
bool serve_find_objects(struct agent *agent, uint32_t slot, struct service_objects *ret);

/* Counters of what was asked and answered: a new reference. */
json_t *serve_status(const struct agent *agent);

#endif
