/* Clients on this host whose load balancer's member is gone are told so, also those that only wait for it.
 *
 * The data plane answers each packet for such a member with a reset; but a client that has said all and waits for an answer sends none, and its
 * connection would be silent for as long as it is patient.  So the table of connections is looked through when members go: a connection whose
 * sequence numbers are known is reset and ended; of the others the client is made to say a word, which the data plane answers. */
#ifndef WEFT_AGENT_MEMBER_GONE_H
#define WEFT_AGENT_MEMBER_GONE_H

#include "weft/agent/agent.h"

/* 0 or -errno with '*error'. */
int member_gone_start(struct agent *agent, struct error *error);
void member_gone_stop(struct agent *agent); /* Closes handles; run the loop before member_gone_free. */
void member_gone_free(struct agent *agent);

/* The tables were written: who was up before and is not now? */
void member_gone_update(struct agent *agent);

uint64_t member_gone_count(const struct agent *agent); /* Connections whose client was told, or woken. */

#endif
