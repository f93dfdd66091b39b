/* Gives hosts their shares of the connection_limit of listeners (listener_share objects), by what they report: connection-limit.h says how.
 *
 * Who reports a listener that has a limit gets a share; who does not any more gives it back.  A host that is down keeps what it has, for its programs may
 * go on, until it is deleted, or no port is bound to it any more.
 *
 * Several servers: each divides by what it has heard itself, within SHARE_REPORT_MS, and hosts that report to others keep what they have, but that their waiting counts.  All that
 * is written of a listener's shares goes with the key lb/limit/<listener>, one after the other. */
#ifndef WEFT_API_LISTENER_SHARES_H
#define WEFT_API_LISTENER_SHARES_H

#include <jansson.h>

#include "weft/api/commits.h"
#include "weft/api/replica.h"
#include "weft/base/cleanup.h"

struct listener_shares;

typedef bool (*listener_concerns_fn)(const struct object *listener, void *context); /* Is it relevant to the host that reports? */

#define SHARE_REPORT_MS 25000 /* Who has not reported for so long reports to another server, or not at all. */

/* Before replica_start: listens and follows. */
int listener_shares_new(struct replica *replica, struct commits *commits, struct listener_shares **ret_shares);
void listener_shares_free(struct listener_shares *shares); /* After the replica's last change. */
DEFINE_CLEANUP(struct listener_shares *, listener_shares_free);

/* A checked, complete "listeners" of the host's report, whose tables reflect the store's revision 'applied'.  Who has no share gets one of a listener that concerns it
 * only; NULL: all do. */
void listener_shares_report(struct listener_shares *shares, const char *host_name, uint64_t applied, const json_t *listeners, listener_concerns_fn concerns,
                            void *context, uint64_t now_ms);

bool listener_shares_is_dirty(const struct listener_shares *shares); /* A pass has something to look at. */
/* Looks at what waits longest, and so much of it that others need not wait long.  True: there is more. */
bool listener_shares_pass(struct listener_shares *shares, uint64_t now_ms, int64_t now_s);

#endif
