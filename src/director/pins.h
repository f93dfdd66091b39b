/* The director's tables by names in the BPF file system, so that they outlive its process:
 *
 *   /sys/fs/bpf/weft-director-COOKIE/SET/MAP-LAYOUT   each map
 *   /sys/fs/bpf/weft-director-COOKIE/SET/namespace    a map that is empty once the network namespace is gone
 *   /sys/fs/bpf/weft-director-COOKIE/SET/program      the program that uses them
 *
 * COOKIE is the network namespace's: no other one has it until the machine is started anew, when all of it is gone.  Tables that become too
 * small are replaced by a SET of larger ones, the next number; the program is named last, so that a set without it is not whole.  LAYOUT is
 * a hash of what the map's keys and values are made of: a map that a later release lays out differently has another name.
 *
 * Single-threaded. */
#ifndef WEFT_DIRECTOR_PINS_H
#define WEFT_DIRECTOR_PINS_H

#include <bpf/libbpf.h>

#include "weft/base/error.h"

#define PINS_PATH_SIZE 128

/* The folder of the newest set that is whole.  0, or -ENOENT. */
int pins_newest(char path[PINS_PATH_SIZE]);

/* Before 'object' is loaded: it is to use the maps in 'path', with their sizes.  0; -ESTALE: one of them is not there in this layout; or -errno. */
int pins_reuse(struct bpf_object *object, const char *path);

/* Names what 'object' uses, as the newest set, and removes the sets before.  0 or -errno with '*error'; then the newest set is as it was. */
int pins_keep(const struct bpf_object *object, int program_fd, struct error *error);

/* Removes what directors of network namespaces left that are gone.  Of how many; what no release before this one named has nothing that would tell. */
unsigned pins_remove_dead(void);

/* No names any more: what no interface uses goes. */
void pins_remove(void);

#endif
