/* What finds no room in the tables that all projects share (compiler/shares.h): how much there is, and telling people what is left out. */
#ifndef WEFT_AGENT_SHORTAGES_H
#define WEFT_AGENT_SHORTAGES_H

#include <jansson.h>

#include "weft/agent/agent.h"
#include "weft/base/buffer.h"
#include "weft/compiler/compiler.h"

/* Fills snapshot->room: what the maps hold. */
void shortages_room(const struct agent *agent, struct snapshot *snapshot);

/* The series of numbers, and how many of it there are. */
enum slot_kind shortages_slots(enum number_space space);
uint32_t shortages_numbers(const struct agent *agent, enum number_space space);

/* After a compilation: says in the log of which project, in which table, something is left out from now on, or no more. */
void shortages_update(struct agent *agent);

/* For the report: the ids of what is left out here, if the API does not know that yet ('all': it knows nothing); NULL: it does.  After shortages_report_lost() it may not. */
json_t *shortages_report(struct agent *agent, bool all);
void shortages_report_lost(struct agent *agent);

/* Is the port closed, because it or a set of its security groups' rules finds no room? */
bool shortages_close(const struct agent *agent, const struct agent_port *port);

void shortages_write_metrics(const struct agent *agent, struct buffer *text);

#endif
