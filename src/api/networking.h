/* The Networking v2.0 API: networks, subnets, ports, quotas, extensions.
 *
 *   request -> resources.c: body or query read by the resource's attribute table
 *           -> the resource's hook (networks.c, subnets.c, ports.c): what must hold, what else changes
 *           -> plan.c: one transaction, all or nothing -> answer written by view.c
 *
 * What is taken (addresses, VNIs, units of quota) is kept in memory from the replica's changes, so that choosing is
 * quick, and decided by the store's create-if-absent keys, so that any number of servers may choose at once. */
#ifndef WEFT_API_NETWORKING_H
#define WEFT_API_NETWORKING_H

#include <stdbool.h>
#include <stdint.h>

#include "weft/api/api.h"
#include "weft/api/snat-blocks.h"
#include "weft/base/cleanup.h"

struct networking;

/* Registers the routes and listens to the replica; call before replica_start. */
int networking_new(struct api *api, struct networking **ret_networking);
void networking_stop(struct networking *networking); /* Closes its timer; run the loop once more before networking_free. */
void networking_free(struct networking *networking);
DEFINE_CLEANUP(struct networking *, networking_free);

/* The parts, for the files of this API. */
struct ipam *networking_ipam(struct networking *networking);
struct quota *networking_quota(struct networking *networking);
struct vnis *networking_vnis(struct networking *networking);
struct lines *networking_lines(struct networking *networking);
struct turns *networking_turns(struct networking *networking);

/* Have the templates of security group rules become objects (security.h)? */
bool networking_has_rule_templates(const struct networking *networking);

/* What a host's agent says about the translated ports that it uses: a checked "snat_usage" (snat-usage.h). */
void networking_snat_report(struct networking *networking, const char *host_name, const json_t *report);
struct snat_counters networking_snat_counters(const struct networking *networking);

/* The largest MTU a tenant's network may have: what every known host's underlay carries, less the tunnel's headers. */
uint16_t networking_max_mtu(const struct networking *networking);

#endif
