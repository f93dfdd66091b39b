/* Entries before any packet comes, for OpenFlow 1.3: by destination host, over groups of next hops.
 *
 *   table 0  admission: at a host's port that host (and its slice, into the metadata), and what ARP and ND say to one receiver of the
 *            addresses that are known to be its own (carried.h); at a link everything
 *   table 1  destination: a host here -> its port; elsewhere -> its switch's number, into the metadata
 *   table 2  next hop: a switch's number -> its group.  A select group of all shortest next hops; with one next hop a fast-failover
 *            group with a loop-free alternate behind it (RFC 5286, 3.1), where there is one
 *
 * A change of the topology touches groups only, one a switch and destination switch; a link that goes down is left out by the switch itself
 * (watch ports) before the controller knows of it.  Numbers of switches follow from datapath ids, so that they outlive a controller;
 * groups 0xe0000000 to 0xefffffff are ours and no others are touched.
 *
 * Open vSwitch's select groups do not hash UDP ports: there UDP has entries of its own in table 2, whose bundle action does (and is
 * resilient: highest random weight).
 *
 * Slices are checked where a packet enters; what comes over a link was.  When slices change, entries of hosts are written anew.
 *
 * Cookies say for which slices an entry was written and since which start of its switch.  What was left by other slices is deleted as soon as it
 * is found in a switch that comes back; what another start left, once everything is written. */
#ifndef WEFT_FABRIC_PROACTIVE_H
#define WEFT_FABRIC_PROACTIVE_H

#include "weft/fabric/state.h"

/* All of these do nothing unless the fabric installs proactively. */
void proactive_start(struct fabric *fabric, struct datapath *datapath); /* Connected, and the role allows. */
void proactive_forget(struct datapath *datapath);
void proactive_host(struct fabric *fabric, const struct host *host);    /* New, or elsewhere. */
void proactive_host_gone(struct fabric *fabric, const struct host *host, const struct fabric_port *from); /* Before a move or its end. */
/* The host's address is known, or no more. */
void proactive_address(struct fabric *fabric, const struct host *host, const struct ip_address *address, bool is_there);
void proactive_slices_changed(struct fabric *fabric);
void proactive_tick(struct fabric *fabric);
/* Answers to its questions, and entries of an earlier controller's life; false when the message is another's. */
bool proactive_reply(struct fabric *fabric, struct datapath *datapath, const struct of_message *message);
void proactive_found(struct fabric *fabric, struct datapath *datapath, const struct of_flow_stats *stats);

#endif
