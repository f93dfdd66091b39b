/* Identifiers that may not be used again yet.
 *
 * The store's key of one (vni/<n>, snat-ports/...) holds it.  When what it identified is deleted the key stays, and
 * quarantine/<key> is put beside it in the same transaction: a host that has not yet heard of the deletion may still forward by the identifier.
 * Once every live host has applied the deleting revision, and the time that the mark names has come, both keys go. */
#ifndef WEFT_API_QUARANTINE_H
#define WEFT_API_QUARANTINE_H

#include <stdbool.h>
#include <stdint.h>

#include "weft/base/cleanup.h"
#include "weft/store/store.h"

struct quarantine;

#define QUARANTINE_PREFIX "quarantine/"

int quarantine_new(struct quarantine **ret_quarantine);
void quarantine_free(struct quarantine *quarantine);
DEFINE_CLEANUP(struct quarantine *, quarantine_free);

/* Adds the mark of 'key' to the transaction that deletes what it identified.  It ends not before 'until_s' (clock_realtime_s; 0: as
 * soon as the hosts know).  As store_put. */
int quarantine_put(struct store_transaction *transaction, const char *key, int64_t until_s);

void quarantine_changed(const struct store_item *item, void *quarantine); /* For replica_follow of QUARANTINE_PREFIX. */

bool quarantine_has(const struct quarantine *quarantine, const char *key);
size_t quarantine_count(const struct quarantine *quarantine, const char *prefix); /* Of keys that begin so. */

/* Ends it for those whose deletion every live host has applied (hosts_applied_revision). */
void quarantine_sweep(struct quarantine *quarantine, uint64_t applied_revision, int64_t now_s, struct store *store);

#endif
