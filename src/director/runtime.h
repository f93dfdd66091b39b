/* weft-agent as a director: follows its file, keeps the tables as the file says, and answers on its socket. */
#ifndef WEFT_DIRECTOR_RUNTIME_H
#define WEFT_DIRECTOR_RUNTIME_H

#include "weft/base/error.h"
#include "weft/director/peer.h"

struct director_options {
    const char *config_path; /* config.h */
    const char *socket_path; /* socket.h */
    struct peer_options peer; /* Its 'address' NULL: there is no other director. */
    const char *metrics_listen; /* ADDRESS:PORT for Prometheus, or NULL. */
};

/* Runs until SIGTERM or SIGINT; the program then stays on its interfaces and goes on as it was.  A file that cannot be used is logged and
 * said on the socket, and the one before counts.  0, or -errno with '*error' when it could not start. */
int director_run(const struct director_options *options, struct error *error);

/* Takes the program off the interfaces of the file.  0 with how many had it, or -errno with '*error'. */
int director_detach(const struct director_options *options, unsigned *ret_n, struct error *error);

#endif
