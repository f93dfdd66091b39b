/* VXLAN network identifiers: which are taken, and which may not be used again yet.
 *
 * The store's key vni/<n> holds one.  Deleting a network leaves it, in quarantine (quarantine.h): a host that has not yet
 * heard of the deletion may still send frames under the number. */
#ifndef WEFT_API_VNIS_H
#define WEFT_API_VNIS_H

#include <stdbool.h>
#include <stdint.h>

#include "weft/api/quarantine.h"
#include "weft/base/cleanup.h"

struct vnis;

#define VNI_KEY_SIZE 32
#define VNI_MAX 0xffffffu

int vnis_new(const struct quarantine *quarantine, struct vnis **ret_vnis); /* Borrowed. */
void vnis_free(struct vnis *vnis);
DEFINE_CLEANUP(struct vnis *, vnis_free);

const char *vni_key(uint32_t vni, char key[VNI_KEY_SIZE]);
const char *vni_quarantine_key(uint32_t vni, char key[VNI_KEY_SIZE]);

int vnis_choose(struct vnis *vnis, uint32_t *ret_vni);  /* A random free one, reserved.  -ENOSPC, -ENOMEM. */
int vnis_reserve(struct vnis *vnis, uint32_t vni);      /* -EEXIST when a network has it, -EBUSY in quarantine. */
void vnis_release(struct vnis *vnis, uint32_t vni);     /* Reserved or not. */

void vnis_network_changed(struct vnis *vnis, uint32_t before, uint32_t after); /* 0: none. */

#endif
