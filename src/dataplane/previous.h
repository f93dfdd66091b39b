/* What an earlier release left pinned and this one still reads.
 *
 * Programs of both releases work at the same time while an agent is upgraded, a port after the other.  A map whose key, value and
 * meaning did not change is shared by them, and goes on with all it holds: ports and their epochs, counters, addresses, learned MACs.
 * A map that did change is another map, pinned with its layout behind its name, which the agent fills before it attaches programs
 * that read it; the old programs go on with the old one as it was.
 *
 * Connections are made by the programs, so the agent cannot fill their map.  Where the old one is there, a program that knows nothing
 * of a connection looks for it under its old name and takes it over.  An entry that nobody comes for ends in the old map, whose own
 * sweeper still runs (its timer holds the old program).  When the old map is empty the agent removes the pins of all that was replaced.
 * A host that never had the earlier release has neither the map nor the look-up.
 *
 * Going back: the earlier release finds its own maps, or makes them again.  Connections go on, and are decided and counted anew; entries
 * of the new map end by themselves.
 *
 *   map                                changed because
 *   connections, flow_slots, sweeper   an entry is three cache lines
 *   networks, projects                 learned MACs are limited by project
 *   flood, settings                    broadcast goes down a tree
 *
 * All of them are of layout 2 ("connections-2"); their predecessors had the plain names. */
#ifndef WEFT_DATAPLANE_PREVIOUS_H
#define WEFT_DATAPLANE_PREVIOUS_H

#include "weft/dataplane/tables.h"

struct flow_key_1 {
    __u32 slot;
    __u8 protocol;
    __u8 pad[3];
    __u8 local[16], remote[16];
    __u16 local_port, remote_port;
};
_Static_assert(sizeof(struct flow_key_1) == 44, "as it was");

struct flow_entry_1 {
    __u8 layout;           /* 1 */
    __u8 state;            /* enum flow_state */
    __u8 flags;            /* FLOW_* */
    __u8 pad;
    __u32 slot;
    __u32 epoch;
    __u32 output;
    __u32 output_generation;
    __u32 generation;
    __u8 remote_mac[6];
    __u8 tcp_flags[2];
    __u64 last_seen_ns;
    __u64 packets[2];
    __u64 bytes[2];
    __u32 project;         /* FLOW_ADOPTED: the entry was taken over. */
    __u32 counted_established;
};
_Static_assert(sizeof(struct flow_entry_1) == 80, "as it was");
#define FLOW_ADOPTED 0xffffffffu

struct settings_1 {
    __u8 before[56];
    __u64 hash_seed;
};

#endif
