/* All monitors of a host: each probes one server again and again, and says when its state changes.
 *
 * There may be hundreds of thousands: a monitor that waits costs its memory and a place in a heap, nothing else.  So many probes run at once and
 * no more; the others wait in a queue for each group (a project), and groups take turns.  A group holds at most as many places as are left free
 * (dynamic thresholds: Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998), so one whose servers are all dead and cost the full
 * timeout each leaves half of the places to the others.
 *
 * One loop, one thread. */
#ifndef WEFT_HEALTH_SET_H
#define WEFT_HEALTH_SET_H

#include "weft/health/monitor.h"
#include "weft/health/probe.h"

#define HEALTH_AT_ONCE_DEFAULT 1024

struct health_set;
struct health_watch;

struct health_event {
    enum health_status before, status;    /* Not equal: it has changed. */
    const struct health_result *result;
};

struct health_set_options {
    uint32_t at_once;                     /* Probes; 0: HEALTH_AT_ONCE_DEFAULT.  Each needs a file descriptor, at most. */
    uint32_t per_second;                  /* Probes that begin in a second; 0: any number.  Beyond it intervals get longer, for all groups alike. */
    /* Called after every probe, also those that say nothing of the server (!result->was_asked).  Monitors may be added and removed in it, this one
     * too. */
    void (*probed)(struct health_watch *monitor, const struct health_event *event, void *context);
};

struct health_watch_options {
    uint64_t group;                       /* Those of one group share its turn. */
    struct health_question *question;     /* Referenced. */
    struct health_rules rules;
    struct health_target target;
    enum health_status initial;           /* What it is before the first result. */
    void *context;                        /* For the callback. */
};

struct health_set_counts {
    uint32_t n_monitors, n_running, n_waiting; /* Waiting: due, but for a place. */
    uint64_t n_probes, n_failed, n_not_asked;  /* That ended; of these. */
    uint32_t latest_ms;                   /* The longest time so far that a probe that was due had to wait for a place. */
};

int health_set_new(uv_loop_t *loop, const struct health_set_options *options, struct health_set **ret); /* 0 or -ENOMEM. */

/* Removes all monitors.  'closed' (may be NULL) is called from the loop when the set is gone. */
void health_set_close(struct health_set *set, void (*closed)(void *context), void *context);

/* 0, -EINVAL (an interval of 0, or one above HEALTH_INTERVAL_MAX_MS; a jitter above the interval) or
 * -ENOMEM. */
int health_set_add(struct health_set *set, const struct health_watch_options *options, struct health_watch **ret);
void health_set_remove(struct health_watch *monitor); /* NULL is fine.  No callback comes any more. */

enum health_status health_watch_status(const struct health_watch *monitor);
void *health_watch_context(const struct health_watch *monitor);
void health_watch_set_context(struct health_watch *monitor, void *context);
const char *health_watch_reason(const struct health_watch *monitor); /* The last failure's since it was up; NULL: none. */
void health_set_counts(const struct health_set *set, struct health_set_counts *ret);

#endif
