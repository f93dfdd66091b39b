/* Slices as JSON, in the interface and in a file:
 *
 *     {"slices": [{"name": "red", "bindings": [{"switch": "0xe1", "port": 3}, {"switch": "0xe1", "port": 4, "vlan": 10},
 *                                              {"switch": "0xe1", "port": 5, "mac": "02:00:00:00:00:01"}, {"mac": "02:00:00:00:00:02"}]}]}
 *
 * "vlan": "untagged" binds frames without a tag.  A slice must have "bindings", and nothing that is not named here. */
#ifndef WEFT_CONTROLLER_SLICES_FILE_H
#define WEFT_CONTROLLER_SLICES_FILE_H

#include <jansson.h>

#include "weft/base/error.h"
#include "weft/fabric/fabric.h"

/* Reads the file into the fabric; a file that is not there is one without slices.  Returns 0, or negative with '*error' naming file, field and value. */
int slices_file_load(struct fabric *fabric, const char *path, struct error *error);

/* Writes what the fabric has, whole or not at all (a new file, synced, that takes the old one's place). */
int slices_file_save(struct fabric *fabric, const char *path, struct error *error);

/* One slice from its JSON, into the fabric: names and bindings are checked, flows that it forbids are removed. */
int slices_put_json(struct fabric *fabric, const char *name, const json_t *slice, struct error *error);

/* {"slices": [...]}, or one of them; NULL when out of memory, or when '*ret_exists' is false. */
json_t *slices_to_json(struct fabric *fabric);
json_t *slice_to_json(struct fabric *fabric, const char *name, bool *ret_exists);

#endif
