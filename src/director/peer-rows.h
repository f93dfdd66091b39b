/* Rows of hash services that a pair of directors has in common.
 *
 * Of two that hear each other the one whose agent has run longer (peer-order.h) says how rows are; the other one lays out its own on those (applied_follow).  Each
 * tells the other once a second, and when something has changed, which rows each of its services has, by a digest, and which of the other's it has
 * heard whole.  From that the one sends what the other lacks, in pieces, again until it has them all: what gets lost is sent again, what comes twice
 * is no matter.  When the one falls silent the other goes on from the rows that it has, by itself.
 *
 * A director that has no rows yet waits for the other's before it lays out its own, PEER_ROWS_WAIT_MS at most.
 *
 * No I/O: messages go by peer.h.  Times are in milliseconds and never go back. */
#ifndef WEFT_DIRECTOR_PEER_ROWS_H
#define WEFT_DIRECTOR_PEER_ROWS_H

#include "weft/director/apply.h"
#include "weft/director/peer.h"
#include "weft/director/peer-message.h"

#define PEER_ROWS_WAIT_MS 3000
#define PEER_ROWS_UNHEARD_MS 1000 /* Of those, while the other one is not heard. */

struct peer_rows;

/* 'applied' is where the director has what is applied: NULL there, before anything is.  NULL without memory. */
struct peer_rows *peer_rows_new(struct applied *const *applied);
void peer_rows_free(struct peer_rows *rows); /* NULL is fine. */

void peer_rows_wait(struct peer_rows *rows, uint64_t now_ms); /* From now on it waits. */
bool peer_rows_are_awaited(const struct peer_rows *rows);

/* To be called often.  Is the other one heard, and does this one say how rows are?  True: there is something to be applied now. */
bool peer_rows_tick(struct peer_rows *rows, bool is_heard, bool is_first, uint64_t now_ms);
void peer_rows_changed(struct peer_rows *rows); /* What is applied may be; the other one is to be told soon. */

/* What was heard, of the kinds PEER_SERVICES and PEER_ROWS.  True: there is something to be applied. */
bool peer_rows_heard(struct peer_rows *rows, const struct peer_message *message, uint64_t now_ms);
/* The next to be sent: kind and content of '*ret'; or false. */
bool peer_rows_next(struct peer_rows *rows, struct peer_message *ret, uint64_t now_ms);

bool peer_rows_base(const struct lb_key *key, struct applied_base *ret, void *rows); /* For applied_follow. */

enum peer_agreement peer_rows_agree(const struct peer_rows *rows, const struct lb_key *key);

#endif
