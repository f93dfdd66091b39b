/* One line of the network log: see weft-agent(8), NETWORK LOG.  Pure. */
#ifndef WEFT_AGENT_VERDICT_LINE_H
#define WEFT_AGENT_VERDICT_LINE_H

#include <stdint.h>

#include "weft/base/buffer.h"
#include "weft/dataplane/tables.h"
#include "weft/model/objects.h"

#define VERDICT_LOGS_MAX 16 /* Named in one line. */

/* What the event is called outside of the data plane.  All borrowed. */
struct verdict_names {
    const char *project_id, *port_id;
    const char *rule_id;              /* NULL: no rule, or it is not known any more: then the event's number, if it has one, stands for it. */
    const char *log_ids[VERDICT_LOGS_MAX];
    size_t n_logs;
};

/* Append a line with its end.  0 or -ENOMEM.  'time_ms' is since 1970, UTC. */
int verdict_line(const struct verdict_event *event, uint64_t time_ms, const struct verdict_names *names, struct buffer *line);
int verdict_line_left_out(uint64_t n, uint64_t time_ms, const struct verdict_names *names, struct buffer *line); /* Over the port's rate. */
int verdict_line_lost(uint64_t n, uint64_t time_ms, struct buffer *line); /* Could not be written. */

#endif
