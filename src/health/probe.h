/* Probes: each asks one server one question, once, and calls back with the answer.  Nothing blocks; one loop, one thread.
 *
 *     question + target -> health_probe_start -> tcp.c, http.c, tls.c, udp.c, ping.c, dns.c, misc.c or file.c -> health_done
 *
 * When to probe and what follows from results is above: monitor.h, set.h. */
#ifndef WEFT_HEALTH_PROBE_H
#define WEFT_HEALTH_PROBE_H

#include <uv.h>

#include "weft/health/question.h"

#define HEALTH_REASON_SIZE 160

struct health_result {
    bool is_up;
    bool was_asked;                  /* No: this host could not ask (no file descriptor, no memory, whatever passes by itself), which says nothing of the server. */
    int exit_status;                 /* Of a program that ended by itself (HEALTH_MISC); else -1. */
    int64_t weight_change;           /* HEALTH_FILE. */
    uint32_t took_ms;
    char reason[HEALTH_REASON_SIZE]; /* "connected", "connection refused", "expected 200, got 503", "timeout after 2 s". */
};

struct health_prober;
struct health_probe;

/* What all probes of a loop share: curl, TLS, sockets for ICMP.  Sockets that need a privilege are opened when the first probe needs them.  The
 * program ignores SIGPIPE.  0, or -ENOMEM. */
int health_prober_new(uv_loop_t *loop, struct health_prober **ret);

/* Ends all probes without calling back.  The handles close in the loop: when the last one has, 'closed' (may be NULL) is called and the prober is
 * gone. */
void health_prober_close(struct health_prober *prober, void (*closed)(void *context), void *context);

/* Called once for each probe that was not cancelled, from the loop, never from within health_probe_start.  The probe is gone then.  New ones may
 * be started in it. */
typedef void (*health_done)(const struct health_result *result, void *context);

/* Copies 'target', references 'question'.  What goes wrong (no route, no permission) is a result, not an error.  NULL: out of memory. */
struct health_probe *health_probe_start(struct health_prober *prober, struct health_question *question, const struct health_target *target,
                                        health_done done, void *context);
void health_probe_cancel(struct health_probe *probe); /* NULL is fine. */

#endif
