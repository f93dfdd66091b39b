/* weft-agent at a physical server behind a director: the second chance.  Follows its file and the host's addresses; the programs do the rest. */
#ifndef WEFT_DIRECTOR_SERVER_H
#define WEFT_DIRECTOR_SERVER_H

#include "weft/base/error.h"

struct server_options {
    const char *config_path;    /* server-config.h */
    const char *metrics_listen; /* ADDRESS:PORT for Prometheus, or NULL. */
};

/* Runs until SIGTERM or SIGINT; the programs then stay and go on as they were.  The service manager is told that it is ready when the programs are on
 * all interfaces, or half a minute after the start.  A file that cannot be used is logged, and the one before counts; at the start it is an error.  0, or -errno with '*error'. */
int server_run(const struct server_options *options, struct error *error);

/* Takes the programs off all interfaces of the network namespace.  0 with off how many, or -errno with '*error' (-EBUSY: one runs). */
int server_detach(unsigned *ret_n, struct error *error);

/* Prints what became of packets, a line each: "handed_on 12  handed on to the owner before".  0, or -errno with '*error' (-ENOENT: no program is there). */
int server_print_counters(struct error *error);

#endif
