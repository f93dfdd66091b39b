/* Hosts and their agents: docs/agent-protocol.md.
 *
 *     hosts.c       the resource, join tokens, credentials
 *     status.c      reports -> host state, port status
 *     left-out.c    what hosts have no room for
 *     watch.c       what a host needs, as a stream of differences
 *     questions.c   a user's question down the stream, the agent's answer back; traces joined over hosts
 *
 * What changes with every report (when a host was last seen, the revision it has applied) lives in memory; the store
 * hears only of changes: addresses, versions, up and down, port status. */
#ifndef WEFT_API_HOSTS_H
#define WEFT_API_HOSTS_H

#include "weft/api/api.h"
#include "weft/api/request.h"

struct hosts;

/* Registers routes, follows keys, listens; before replica_start. */
int hosts_new(struct api *api, struct hosts **ret_hosts);
void hosts_free(struct hosts *hosts);  /* Ends streams and questions.  Before the loop's last run. */
DEFINE_CLEANUP(struct hosts *, hosts_free);

/* Whether 'authorization' ("Bearer <credential>", may be NULL) is that of the host called 'name'.  0 or -EACCES. */
int hosts_authenticate(struct hosts *hosts, const char *name, const char *authorization, struct auth_context *auth, struct error *error);

#define HOST_GONE_MS 86400000ull /* Silent for so long, a host is not waited for any more; deleting it ends the wait at once. */

/* The lowest revision that any host may still be forwarding by, up or silent for less than HOST_GONE_MS; UINT64_MAX when there is
 * none.  An identifier (VNI, slot) freed at revision R may be used again once this is at least R. */
uint64_t hosts_applied_revision(const struct hosts *hosts);

bool hosts_leave_out(const struct hosts *hosts, const char *id); /* Does some host have no room for the object? */

struct hosts_counters {
    size_t n_up, n_down, n_new, n_watchers;
    uint64_t n_bytes, n_cut;
};
struct hosts_counters hosts_counters(const struct hosts *hosts);

#endif
