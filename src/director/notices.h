/* Programs of the administrator's that are told what became of services and servers (quorum_up, quorum_down, notify_up, notify_down).
 *
 * One runs at a time, in the order of what happened, in a process group of its own, which is killed when its time is over; nothing waits for it.  One
 * loop, one thread. */
#ifndef WEFT_DIRECTOR_NOTICES_H
#define WEFT_DIRECTOR_NOTICES_H

#include <stdint.h>
#include <uv.h>

#define NOTICE_LIMIT_MS 60000 /* A director's. */
#define NOTICES_MAX 4096 /* That wait; what happens beyond it is told to nobody, and logged. */

struct notices;

/* In its environment, beside this program's: WEFT_EVENT, WEFT_SERVICE, and of servers WEFT_SERVER. */
struct notice {
    const char *command; /* A command line (command_split). */
    const char *event;   /* "quorum_up" */
    const char *service; /* "tcp 192.0.2.1:80" */
    const char *server;  /* "10.0.0.1:80"; NULL: it is about the service. */
};

int notices_new(uv_loop_t *loop, uint32_t limit_ms, struct notices **ret); /* A program has so much time.  0 or -ENOMEM. */
void notices_add(struct notices *notices, const struct notice *notice); /* Copies.  What cannot be is logged. */

/* What waits is not run any more, what runs is killed.  'closed' is called from the loop when it is gone. */
void notices_close(struct notices *notices, void (*closed)(void *context), void *context);

#endif
