/* The other director of a pair: each tells the other its connections, so that either can go on with both's.
 *
 * Every entry of the table of connections that got beyond its SYN is told within a round (a second, 16 in the largest table), once more in the next, when its state changes, and
 * when it was heard of again and a quarter of its time has passed since it was last told.  Taken is what fits: a service and a server that this
 * director has, too.  What nobody tells any more ends by itself.  Rows of hash services: peer-rows.h. */
#ifndef WEFT_DIRECTOR_PEER_H
#define WEFT_DIRECTOR_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "weft/base/error.h"

struct director;
struct peer;

struct peer_options {
    const char *address;  /* ADDRESS:PORT or [ADDRESS]:PORT of the other one. */
    const char *listen;   /* The same of this one: what the other one sends to, and hears from. */
    const char *key_file; /* Of both the same. */
};

/* 0; or -errno with '*error' (an address, a port that is taken, a key that others may read or that is too short). */
int peer_new(struct director *director, const struct peer_options *options, struct peer **ret, struct error *error);
void peer_free(struct peer *peer); /* NULL is fine.  The loop must run once more. */

struct peer_state {
    bool is_heard; /* In the last seconds. */
    uint64_t n_told, n_taken, n_left, n_refused; /* Entries; those that did not fit; and datagrams of strangers, or replayed. */
};
/* What was told and had no service or server here may have one now. */
void peer_tables_changed(struct peer *peer);

/* Before anything is applied: rows of the other one are waited for, until peer_rows_are_awaited says no and director_schedule_apply was called. */
void peer_wait(struct peer *peer);
struct peer_rows *peer_rows_of(struct peer *peer); /* peer-rows.h */

/* Has the other one the same rows of a hash service? */
enum peer_agreement { PEER_UNKNOWN, PEER_AGREES, PEER_DIFFERS };

struct peer_state peer_state(const struct peer *peer);

#endif
