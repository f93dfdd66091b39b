/* Health monitors of load balancers: whether the members whose ports are on this host are well.
 *
 *     update -> [ which members, asked what ] -> health/set.h -> the metadata device -> the member's own port (dataplane/tables-probes.h)
 *                                                     \-> turns -> the log, report.c, a file in the state directory
 *
 * A member is asked by nobody but the host of its port, so it travels the last part of the way that clients' packets do, and no host asks for
 * another.  What was known of a member outlives the agent: the file has it, and the first question after a start does not decide alone.
 *
 * So does it one that is unplugged or switched off for a while; and who was down when it came here begins so, by what the API heard of its last
 * host (struct balance_member).
 *
 * A member of which nothing is known counts as up, and is not told to the API before it answers once, or fails as often as its monitor says.
 * One that goes down again and again stays down for longer each time, so that nobody makes work for all hosts by a server that flaps. */
#ifndef WEFT_AGENT_MEMBER_HEALTH_H
#define WEFT_AGENT_MEMBER_HEALTH_H

#include <jansson.h>

#include "weft/agent/agent.h"
#include "weft/compiler/compiler.h"
#include "weft/health/set.h"

#define MEMBER_PROBES_PER_SECOND 2000 /* Of this host, unless it is told otherwise. */

/* Reads the file.  0 or -errno with '*error'. */
int member_health_start(struct agent *agent, struct error *error);
void member_health_stop(struct agent *agent); /* Closes handles; run the loop before member_health_free. */
void member_health_free(struct agent *agent);

/* After the tables were written: what the snapshot's monitors ask and has a row in 'probe_targets' is asked from now on. */
void member_health_update(struct agent *agent, const struct snapshot *snapshot);

/* {member: "UP" | "DOWN"} of what the API does not know, or of all with 'all'; marks it as told.  NULL: nothing to tell, or with 'all' that the
 * first update is still to come. */
json_t *member_health_report(struct agent *agent, bool all);
void member_health_report_lost(struct agent *agent); /* Nobody knows what arrived. */

/* {"members": [...], ...}: docs/agent-protocol.md.  A new reference, or NULL with '*error'. */
json_t *member_health_answer(struct agent *agent, const json_t *arguments, struct error *error);

struct member_health_counts {
    struct health_set_counts probes;
    uint32_t n_up, n_down, n_unknown;
};
void member_health_counts(const struct agent *agent, struct member_health_counts *ret);

#endif
