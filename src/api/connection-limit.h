/* Divides a listener's connection_limit among hosts, each of which counts only the connections that began with it.  Pure.
 *
 * A host may begin connections while it has fewer than its share.  What it may hold, 'held', is at least its share, and stays what it was when the share is
 * lowered, until the host has said, after it has applied that, how many connections it has: then it is the greater of the two.  Nothing is given but what
 * nobody holds.  So shares, in whatever of their forms hosts have applied, are never more in sum than the limit; nor are the connections, if the limit has
 * not been lowered meanwhile.
 *
 * - A host that has refused a connection and is full gets one more, and then up to twice what it has, if that is there; then those who use half of theirs do.
 *   While nobody waits, what is left makes the smallest shares even, so that there is something for bursts.
 * - While a host waits, for there is nothing, the others give back half of what they do not use, the larger half, with each division.
 * - After the limit was lowered shares are lowered in proportion. */
#ifndef WEFT_API_CONNECTION_LIMIT_H
#define WEFT_API_CONNECTION_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct limit_share {
    uint32_t share, held;
    bool waits;            /* It is full, and there was nothing for it; of a host without a share: it is to have one. */
    bool is_heard;         /* 'active' was so after 'share' was applied.  What others have stays as it is. */
    bool was_refused;      /* A connection was, since the division before. */
    bool leaves;           /* The host serves the listener no more. */
    uint32_t active;
    uint32_t aim;          /* The division's own, as the next. */
    bool was_given;
};

/* Of what was heard: once. */
void connection_limit_divide(uint32_t limit, struct limit_share *hosts, size_t n);

#endif
