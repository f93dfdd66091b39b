/* What follows from the results of one server's probes: up or down, and when to ask next.  Pure: it is given results, and random numbers. */
#ifndef WEFT_HEALTH_MONITOR_H
#define WEFT_HEALTH_MONITOR_H

#include <stdbool.h>
#include <stdint.h>

#define HEALTH_INTERVAL_MAX_MS 86400000u

/* Octavia's delay, max_retries and max_retries_down are interval, rise and fall; keepalived's delay_loop is the interval, its 'retry' one less than
 * fall, its delay_before_retry the retry interval, and rise is 1. */
struct health_rules {
    uint32_t interval_ms;       /* From the start of a probe to the start of the next; that one waits for the end of this one. */
    uint32_t retry_interval_ms; /* From the end of a failed probe to the next, while the server is not down yet; 0: the interval counts. */
    uint32_t jitter_ms;         /* Intervals are shorter by a random time up to this (and by at most half of them), so that they do not march in step. */
    uint32_t first_ms;          /* The first probe starts at a random time within this; 0: within a second, or the interval if that is shorter. */
    uint16_t rise, fall;        /* So many results in a row turn the state; 0 is 1. */
};

enum health_status {
    HEALTH_UNKNOWN, /* The first result decides alone. */
    HEALTH_UP,
    HEALTH_DOWN,
};
const char *health_status_name(enum health_status status); /* "unknown", "up", "down". */

struct health_state {
    enum health_status status;
    uint16_t n_contrary; /* Results in a row that say the opposite of the status. */
};

/* Takes a result.  Does the status change? */
bool health_state_take(struct health_state *state, const struct health_rules *rules, bool is_up);

/* When the next probe starts: not before 'ended_ms', when the last one ended. */
uint64_t health_next_start(const struct health_state *state, const struct health_rules *rules, uint64_t started_ms, uint64_t ended_ms, uint32_t random);

/* When the first one starts: soon, but not all at once. */
uint64_t health_first_start(const struct health_rules *rules, uint64_t now_ms, uint32_t random);

#endif
