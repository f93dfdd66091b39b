/* This host's interfaces in physical networks: from_uplink on each, our addresses announced, next hops found.
 *
 * An uplink may be the host's own interface, with its addresses and traffic: nothing of it is touched but by adding a filter, behind that of
 * the underlay, and taking that one away again.  An address of the host itself is never taken from it, whatever the API says. */
#ifndef WEFT_AGENT_UPLINKS_H
#define WEFT_AGENT_UPLINKS_H

#include "weft/agent/gather.h"

#define MAX_UPLINKS 64 /* As many physical networks as a host reports. */

struct uplinks;
struct outside_counters;
struct punt_event;

/* 'text' is PHYSICAL_NETWORK:INTERFACE,...; NULL or empty: none.  Returns 0, -EINVAL, or another -errno, with '*error'. */
int uplinks_new(struct agent *agent, const char *text, struct uplinks **ret_uplinks, struct error *error);
void uplinks_stop(struct uplinks *uplinks); /* Its handles close in the loop; programs stay where they are. */
void uplinks_free(struct uplinks *uplinks); /* After that. */

/* The uplinks that are there, and what is known of stations outside, for the compiler.  Returns 0 or -ENOMEM; good until the next call. */
int uplinks_gather(struct uplinks *uplinks, struct gathered *gathered);

/* Takes addresses that are the host's own out of what was compiled. */
void uplinks_protect_host(struct uplinks *uplinks, struct desired *desired);

/* After the tables were written: programs on the interfaces, announcements of addresses that are new here.  Returns after how many milliseconds to
 * try again what failed; 0: nothing did. */
uint64_t uplinks_update(struct uplinks *uplinks);

bool uplinks_has(const struct uplinks *uplinks, uint32_t ifindex); /* Is from_uplink there, by us? */

/* PUNT_NEIGHBOR and PUNT_NEIGHBOR_SEEN. */
void uplinks_take_event(struct uplinks *uplinks, const struct punt_event *event);

/* Sends a frame, which has no VLAN tag yet, out of this host's uplink of the network, with the device's MAC as source; returns false when there is
 * none. */
bool uplinks_send(struct uplinks *uplinks, uint32_t vni, uint8_t *frame, size_t size);

const struct outside_counters *uplinks_outside_counters(const struct uplinks *uplinks);

/* What this host's blocks of routers' ports are used for: {ROUTER: {"in_use": CONNECTIONS, "failed": CONNECTIONS THAT GOT NO PORT}}, those
 * of which there is something to say; a new reference. */
json_t *uplinks_snat_usage(const struct agent *agent);

/* Names of the physical networks that have a live interface here; a new reference. */
json_t *uplinks_report(const struct uplinks *uplinks);

#endif
