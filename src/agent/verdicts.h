/* The network log: what security groups and firewalls of routers let pass and refuse, as lines in a file.
 *
 *     data plane: ring buffer 'verdicts' -> which log objects want it, which rule it was -> a line -> the file (log-file.h)
 *                                                                                              -> who follows the port
 *
 * A port whose events are over its rate says how many were left out, once a second.  Whoever asked for a port's lines within the last
 * 30 s finds the newest ones of it; nobody else's lines are kept. */
#ifndef WEFT_AGENT_VERDICTS_H
#define WEFT_AGENT_VERDICTS_H

#include "weft/agent/agent.h"

struct verdicts;

/* 'path' is the file's.  0 or -errno with '*error'. */
int verdicts_start(struct agent *agent, const char *path, struct error *error);
void verdicts_stop(struct agent *agent); /* Closes handles; run the loop before verdicts_free. */
void verdicts_free(struct agent *agent);

void verdicts_reopen(struct agent *agent); /* The file was rotated. */

/* {"port": id, "since": number} -> {"lines": [...], "next": number, "missed": number}: the lines from 'since' on, none without one.  The first
 * question makes the agent keep them.  A new reference, or NULL with '*error'. */
json_t *verdicts_answer(struct agent *agent, const json_t *arguments, struct error *error);

struct verdict_counters {
    uint64_t n_events;   /* Taken from the ring. */
    uint64_t n_unwanted; /* Of these, no log object is about any more. */
    uint64_t n_left_out; /* Not even in the ring: over their ports' rate. */
    uint64_t n_written, n_lost; /* Lines. */
};
struct verdict_counters verdicts_counters(const struct agent *agent);

#endif
