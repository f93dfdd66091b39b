/* Which of two directors says how rows are: the one that has run longer, by clocks that nobody sets.
 *
 * Each says in its datagrams for how long it has run.  What is heard is late by as much as the way and the reader take, so that the other one seems
 * to have begun later than it has, never earlier; and a clock may have stood still with its machine.  So each also says what it has found, and where both
 * find the same of themselves it is the one with the lower session, which both see alike.
 *
 * No I/O, no clock. */
#ifndef WEFT_DIRECTOR_PEER_ORDER_H
#define WEFT_DIRECTOR_PEER_ORDER_H

#include <stdbool.h>
#include <stdint.h>

/* A director that has tables at its start is older by this much: one that has none waits for the other's rows so long at most. */
#define PEER_ORDER_TABLES_MS 5000

/* Zero at first. */
struct peer_order {
    uint64_t session, other_session; /* One's own, and the other's that was heard last. */
    bool is_heard, is_older;         /* By what was heard in that session. */
    bool knows_us, other_is_older;   /* What the other one says: it has heard this session, and what it finds of itself then. */
};

/* What a datagram of the other one's says: its session, for how long it has run; which of one's own it has heard, and whether it finds itself older. */
struct peer_order_word {
    uint64_t session, ran_ms, heard_session;
    bool is_older;
};

/* This one has run for 'ran_ms' when it reads the word. */
void peer_order_hear(struct peer_order *order, uint64_t ran_ms, const struct peer_order_word *word);
bool peer_order_is_first(const struct peer_order *order); /* False before anything is heard. */

#endif
