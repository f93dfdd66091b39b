/* weft-fabric as a whole: what its parts share.  One thread, one loop.
 *
 *     switches <-> listener <-> fabric <- status (HTTP: what there is, slices, weights, roles), metrics
 *                                  ^--- election (which of several controllers acts), slices-file */
#ifndef WEFT_CONTROLLER_CONTROLLER_H
#define WEFT_CONTROLLER_CONTROLLER_H

#include <uv.h>

#include "weft/controller/listener.h"
#include "weft/fabric/fabric.h"

struct status;
struct election;

struct controller {
    uv_loop_t loop;
    struct fabric *fabric;
    struct listener *listener;
    struct status *status;
    struct election *election;
    const char *slices_path; /* NULL: slices are not kept. */
    uv_timer_t tick;
    uv_signal_t terminate, interrupt;
    uint64_t started_ms;
};

#endif
