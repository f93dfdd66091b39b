/* The rows of pools: which member a flow goes to, for every host alike.
 *
 * One object (balance_rows) for each pool, computed here from its members, their weights and health (balance/table.h).  Level-triggered: what
 * changed is looked at in a pass, and written when it differs from what is stored; the table goes on from there after a restart, or after
 * another server has written.  Writers require the revision that they began with, so of two servers one sees the other's rows.
 *
 * Who serves:
 * - members that are switched on, have a weight and, if a health monitor watches the pool, are not down.  Down is what the host of the port
 *   says, and whose port is not plugged into any host;
 * - of these those that are no backups; backups while there is no other;
 * - members on a host that says nothing any more while there are no others: its agent may be away while it forwards.  With others, they
 *   get no new flows and keep what they have.
 * Weight 0 drains: no new flows, and those that there are go on until the deadline, if the server has one (--balance-drain-seconds). */
#ifndef WEFT_API_BALANCE_ROWS_H
#define WEFT_API_BALANCE_ROWS_H

#include "weft/api/commits.h"
#include "weft/api/replica.h"

#define BALANCE_HISTORY_MS 3600000u /* So long a row's previous owners are asked for older flows. */

/* A pool is written at once, and again after so long at the earliest: so a thousand changes a second of one pool are 20 writes, or one of the
 * largest table. */
#define BALANCE_INTERVAL_MS 50
#define BALANCE_ROWS_PER_MS 64 /* Or as long as its rows take at this speed. */

struct balance_writer;

/* Before replica_start: listens.  'drain_s' is how long a member of weight 0 keeps its flows; 0: as long as they last. */
int balance_writer_new(struct replica *replica, struct commits *commits, int64_t drain_s, struct balance_writer **ret_writer);
void balance_writer_free(struct balance_writer *writer); /* After the replica's last change. */
DEFINE_CLEANUP(struct balance_writer *, balance_writer_free);

bool balance_writer_is_dirty(const struct balance_writer *writer); /* A pass has something to look at now. */
uint64_t balance_writer_wait_ms(const struct balance_writer *writer, uint64_t now_ms); /* Until a pass has something else; BALANCE_NEVER. */
void balance_writer_age(struct balance_writer *writer, uint64_t now_ms); /* Now and then: what waits for time to pass becomes dirty. */
void balance_writer_pass(struct balance_writer *writer, uint64_t now_ms, int64_t now_s);

/* The pool's monitor, if it watches. */
const struct health_monitor *balance_monitor(const struct replica *replica, const char *pool_id);

/* Nobody says how the member is: the host of its port is down. */
bool balance_is_silent(const struct replica *replica, const struct pool_member *member);

/* No workload's port of its project has the member's address. */
bool balance_is_nobody(const struct replica *replica, const struct pool_member *member);

/* Nobody can reach the member: no port has its address, or its port is in no host. */
bool balance_is_unplugged(const struct replica *replica, const struct pool_member *member);

#endif
