/* Servers on one store, without their HTTP: what tests of their writers share.  Each writer is the test's to make, between opening and starting. */
#ifndef WEFT_TESTS_ONE_STORE_H
#define WEFT_TESTS_ONE_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include <uv.h>

#include "weft/api/commits.h"
#include "weft/api/replica.h"

struct peer {
    struct store *store; /* Borrowed. */
    uv_loop_t loop;
    struct replica *replica;
    struct commits *commits;
};

void peer_open(struct peer *peer, struct store *store);
void peer_start(struct peer *peer);
/* One turn of its loop: does it not know yet all there is, or has it commits under way? */
bool peer_turn(struct peer *peer);
/* Before the store is closed; and after. */
void peer_stop(struct peer *peer);
void peer_close(struct peer *peer);

/* NULL: deleted. */
void write_key(struct store *store, const char *key, const void *value, size_t size);
void write_object(struct store *store, enum resource_kind kind, const char *id, const struct object *object);

/* An id for each kind and number. */
const char *id_of(enum resource_kind kind, unsigned number, char id[UUID_TEXT_SIZE]);

/* $WEFT_SEED, or another one each time; it is printed. */
extern unsigned seed;
void seed_begin(void);
unsigned below(unsigned n);

#endif
