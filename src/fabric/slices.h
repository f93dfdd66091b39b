/* Slices: which hosts reach each other.  A binding puts hosts into a slice by where and who they are; the most exact one wins:
 *
 *     switch, port, MAC  >  switch, port, VLAN  >  switch, port  >  MAC
 *
 * While no slice is defined everybody reaches everybody.  Once one is, a host without a binding reaches nobody. */
#ifndef WEFT_FABRIC_SLICES_H
#define WEFT_FABRIC_SLICES_H

#include "weft/base/address.h"
#include "weft/base/cleanup.h"
#include "weft/base/error.h"

#define SLICES_MAX 4096
#define SLICE_BINDINGS_MAX 65536 /* Of all slices together. */
#define SLICE_NAME_MAX 63
#define SLICE_ALL 0u             /* No slices are defined. */
#define SLICE_NONE UINT32_MAX    /* Of no slice: denied. */

struct slices;

struct slice_binding {
    bool has_port, has_vlan, has_mac; /* port; port and vlan; port and mac; mac. */
    uint64_t datapath_id;
    uint32_t port;
    uint16_t vlan;                    /* 0..4095, or FRAME_NO_VLAN: frames without a tag. */
    struct mac_address mac;
};

int slices_new(struct slices **ret);
void slices_free(struct slices *slices);
DEFINE_CLEANUP(struct slices *, slices_free);

/* Adds or replaces a slice as a whole.  Returns 0; -EINVAL (a name of 1..63 letters, digits, '-', '_', '.'; a binding that is none of the four),
 * -EEXIST (a binding of another slice, or twice), -ENOSPC, -ENOMEM with '*error' naming field and value; nothing changed then. */
int slices_set(struct slices *slices, const char *name, const struct slice_binding *bindings, size_t n, struct error *error);
int slices_remove(struct slices *slices, const char *name); /* 0 or -ENOENT. */

/* The slice's number, stable while it exists; SLICE_ALL while there are none; SLICE_NONE. */
uint32_t slices_find(const struct slices *slices, uint64_t datapath_id, uint32_t port, uint16_t vlan, const struct mac_address *mac);
/* Does a binding name this port, with or without a VLAN or MAC?  Looks at all bindings. */
bool slices_have_port(const struct slices *slices, uint64_t datapath_id, uint32_t port);
const char *slices_name(const struct slices *slices, uint32_t number); /* NULL for none. */

/* Number 1 and up, in the order of names; returns whether there is one more.  '*index' starts at 0. */
bool slices_next(const struct slices *slices, size_t *index, const char **ret_name, uint32_t *ret_number,
                 const struct slice_binding **ret_bindings, size_t *ret_n);

#endif
