/* The loaded data plane: its programs and maps, and bringing the maps from what they hold to what they should hold.
 *
 * Maps are pinned under <pin path>/v<layout>/ and outlive the agent.  maps_open() finds them there or creates them,
 * and reads back what they hold, so that an agent that starts and finds nothing changed writes nothing.
 * Single-threaded. */
#ifndef WEFT_DATAPLANE_MAPS_H
#define WEFT_DATAPLANE_MAPS_H

#include <stdbool.h>

#include "weft/base/cleanup.h"
#include "weft/base/error.h"
#include "weft/dataplane/desired.h"

struct maps;

struct maps_sizes {
    uint32_t n_ports, n_hosts, n_projects, n_router_ports; /* 0: the defaults of tables.h.  Pinned maps keep the sizes they have. */
    uint32_t n_connections;                                /* Is made a power of two. */
};

enum program { PROGRAM_FROM_WORKLOAD, PROGRAM_FROM_UNDERLAY, PROGRAM_TO_TUNNEL, PROGRAM_THROUGH_NEIGHBOR, PROGRAM_FROM_UPLINK,
               PROGRAM_FROM_METADATA, PROGRAM_END_CONNECTION, N_PROGRAMS };

/* Mounts bpffs where 'pin_path' should be if it is missing there, loads the programs, opens or creates and pins the
 * maps.  Returns 0 with '*ret_maps' owned by the caller, or an error that '*error' explains. */
int maps_open(const char *pin_path, const struct maps_sizes *sizes, struct maps **ret_maps, struct error *error);
void maps_close(struct maps *maps); /* Pinned programs and maps stay and go on working. */
DEFINE_CLEANUP(struct maps *, maps_close);

struct maps_sizes maps_sizes(const struct maps *maps);

/* How many rows the table may be wanted to have: of rule sets half of what the map holds, because one that is replaced stays until no program can be
 * in the middle of it.  Maps that an earlier release made keep their sizes: policies and router ports name sets in them for its programs, too. */
uint32_t maps_room(const struct maps *maps, enum desired_table table);

int maps_program(const struct maps *maps, enum program program); /* A descriptor, borrowed. */
int maps_descriptor(const struct maps *maps, const char *name);  /* Of a map by its name in the programs; or -ENOENT. */

const struct settings *maps_settings(const struct maps *maps); /* Of the data plane.  Borrowed. */

/* Writes the settings, before programs are attached: sizes and seed are filled in here, the rest is the caller's.
 * The hash seed of running programs is kept. */
void maps_configure(struct maps *maps, struct settings settings);

/* What each port may write to the ring buffer 'verdicts'; before programs are attached. */
void maps_configure_verdicts(struct maps *maps, uint32_t rate, uint32_t burst);

/* How many events of the port were left out since the last call, also that of an earlier agent. */
uint64_t maps_verdicts_left_out(struct maps *maps, uint32_t slot);
uint64_t maps_router_verdicts_left_out(struct maps *maps, uint32_t number); /* Of a router's port, by its number. */

/* Takes over the connections that an earlier release still has for itself, and removes the pins of those of its maps that this one does not share.
 * Returns how many connections those were, or -errno: then the pins stay for the next start.  Not before the last of its programs is replaced: one that is
 * attached anew would go on in maps that nobody else finds. */
int64_t maps_retire_previous(struct maps *maps);

struct maps_changes {
    uint32_t n_added, n_changed, n_deleted; /* Rows, of all tables. */
    uint64_t retry_ms; /* Some record changed less than RECORD_GRACE_MS ago: apply again in so many ms.  0: all is done. */
    uint32_t n_failed; /* Rows that could not be written (a table is full). */
    char failed_table[32];
};

/* Would that write something else over a block of a rule set, of security groups or firewalls, that is in the maps?  Programs may be reading
 * it, and ports name it until their records are written.  So two sets that meet in one name need others. */
bool maps_would_overwrite_sets(const struct maps *maps, const struct desired *desired);

/* Writes the difference between what the maps hold and 'desired': additions, then records, then deletions, then the
 * epochs of the ports that are concerned.  Without 'sweep' nothing is deleted: the replica may not be complete yet.
 * Returns 0, -ENOMEM, or the first error of a write; '*ret_changes' is filled in any case. */
int maps_apply(struct maps *maps, const struct desired *desired, bool sweep, uint64_t now_ms, struct maps_changes *ret_changes);

/* Removes learned MACs whose port or host may not claim them any more, and all of a port, host or project that has reached its limit
 * (tables.h); counts what is left for each port and project.  To be called now and then, and after rows were deleted.  Returns how many were removed, or -ENOMEM. */
int maps_sweep_learned(struct maps *maps);

/* How many MACs are learned in the networks of the project with that index, and how many frames were refused for its limit. */
void maps_project_learned(const struct maps *maps, uint32_t index, uint32_t *ret_n_learned, uint32_t *ret_n_not_learned);

/* What the maps hold, as far as the agent writes them.  Borrowed until the next maps_apply. */
const struct desired *maps_actual(const struct maps *maps);

/* The generation that the record of a port, host or router port holds, also when it is free. */
uint32_t maps_port_generation(const struct maps *maps, uint32_t slot);
uint32_t maps_host_generation(const struct maps *maps, uint32_t slot);
uint32_t maps_router_port_generation(const struct maps *maps, uint32_t number);

/* The sum over all CPUs.  Returns 0 or -errno. */
int maps_port_counters(const struct maps *maps, uint32_t slot, struct port_counters *ret_counters);
int maps_port_counters_reset(const struct maps *maps, uint32_t slot); /* For a slot's new owner. */

/* What this host's clients did with a load balancer's listener: the sum over all CPUs, and how many of their connections are there now.  Returns 0
 * or -errno. */
int maps_service_counters(const struct maps *maps, uint32_t listener, struct service_counters *ret_counters, uint64_t *ret_n_active);
/* How many connections count under a listener's number now, or a member's. */
uint64_t maps_listener_connections(const struct maps *maps, uint32_t listener);
uint64_t maps_member_connections(const struct maps *maps, uint32_t member);
int maps_service_counters_reset(const struct maps *maps, uint32_t listener); /* For a number's new owner. */

/* "spoofed_mac" and its sentence for an 'enum drop_reason'; NULL for DROP_NONE and beyond the list. */
const char *drop_reason_name(unsigned reason);
const char *drop_reason_text(unsigned reason);

#endif
