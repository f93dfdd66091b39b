/* Where switches connect: sockets and TLS on the program's loop, bytes to and from the fabric's channels.
 *
 * What channels have to say is sent once an iteration of the loop, in one write each.  A switch that sends much has its turn like every other. */
#ifndef WEFT_CONTROLLER_LISTENER_H
#define WEFT_CONTROLLER_LISTENER_H

#include <uv.h>

#include "weft/base/cleanup.h"
#include "weft/base/error.h"
#include "weft/fabric/fabric.h"

struct listener;

struct listener_options {
    const char *listen;     /* "0.0.0.0:6653", "[::]:6653"; NULL: no plain TCP. */
    const char *listen_tls; /* Likewise; needs the other three. */
    const char *tls_certificate, *tls_key; /* PEM files. */
    const char *tls_ca;     /* Whose certificates switches must have. */
    size_t max_connections;
};

/* Binds and listens.  Returns 0, or -errno with '*error' naming option and value.  The fabric is borrowed. */
int listener_new(uv_loop_t *loop, struct fabric *fabric, const struct listener_options *options, struct listener **ret, struct error *error);

/* Ends every connection.  The loop must run once more. */
void listener_free(struct listener *listener);
DEFINE_CLEANUP(struct listener *, listener_free);

/* For fabric_options.wake; 'context' may be anything. */
void listener_wake(struct channel *channel, void *context);

struct listener_counters {
    uint64_t accepted, refused, tls_failed;
    size_t n_connections;
};
const struct listener_counters *listener_counters(const struct listener *listener);

/* "ADDRESS:PORT" with the port that was really taken; "" when not listening. */
const char *listener_address(const struct listener *listener, bool is_tls);

#endif
