/* Whether reads are answered from what the store has, give or take some seconds: what /readyz of weft-api says.
 *
 * One that asks names the store's revision and the replica's.  While the replica is behind, the first such revision of the store is kept
 * as what it must reach: a store that is written to all the time is ahead at every moment, and its replica follows nevertheless. */
#ifndef WEFT_API_READINESS_H
#define WEFT_API_READINESS_H

#include <stdbool.h>
#include <stdint.h>

#define READINESS_BEHIND_MAX_MS 5000

/* Of one replica; all zero at first. */
struct readiness {
    uint64_t target, since_ms; /* A revision that was not reached when somebody asked, and when that was. */
};

/* Both revisions as they are at 'now_ms', of a clock that never goes back.  Single-threaded. */
bool readiness_check(struct readiness *readiness, uint64_t replica_revision, uint64_t store_revision, uint64_t now_ms);

#endif
