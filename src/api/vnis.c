#include "weft/api/vnis.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/log.h"
#include "weft/base/util.h"
#include "weft/base/uuid.h"
#include "weft/model/range-set.h"

struct vnis {
    struct range_set used, reserved;
    const struct quarantine *quarantine;
};

int vnis_new(const struct quarantine *quarantine, struct vnis **ret_vnis)
{
    struct vnis *vnis = calloc(1, sizeof(*vnis));

    if (!vnis)
        return -ENOMEM;
    vnis->quarantine = quarantine;
    *ret_vnis = vnis;
    return 0;
}

void vnis_free(struct vnis *vnis)
{
    if (!vnis)
        return;
    range_set_clear(&vnis->used);
    range_set_clear(&vnis->reserved);
    free(vnis);
}

const char *vni_key(uint32_t vni, char key[VNI_KEY_SIZE])
{
    snprintf(key, VNI_KEY_SIZE, "vni/%u", vni);
    return key;
}

const char *vni_quarantine_key(uint32_t vni, char key[VNI_KEY_SIZE])
{
    snprintf(key, VNI_KEY_SIZE, QUARANTINE_PREFIX "vni/%u", vni);
    return key;
}

static bool is_quarantined(const struct vnis *vnis, uint32_t vni)
{
    char key[VNI_KEY_SIZE];

    return quarantine_has(vnis->quarantine, vni_key(vni, key));
}

static bool is_free(const struct vnis *vnis, uint32_t vni)
{
    return !range_set_contains(&vnis->used, vni) && !range_set_contains(&vnis->reserved, vni) &&
           !is_quarantined(vnis, vni);
}

/* From a random place, so that servers do not meet and a number is rarely used again soon. */
int vnis_choose(struct vnis *vnis, uint32_t *ret_vni)
{
    uint32_t start, vni;
    int r;

    random_bytes(&start, sizeof start);
    vni = start = start % VNI_MAX + 1;
    do {
        if (is_free(vnis, vni)) {
            if ((r = range_set_add(&vnis->reserved, vni)) < 0)
                return r;
            *ret_vni = vni;
            return 0;
        }
        vni = vni % VNI_MAX + 1;
    } while (vni != start);
    return -ENOSPC;
}

int vnis_reserve(struct vnis *vnis, uint32_t vni)
{
    if (is_quarantined(vnis, vni))
        return -EBUSY;
    if (!is_free(vnis, vni))
        return -EEXIST;
    return range_set_add(&vnis->reserved, vni);
}

void vnis_release(struct vnis *vnis, uint32_t vni)
{
    range_set_remove(&vnis->reserved, vni);
}

void vnis_network_changed(struct vnis *vnis, uint32_t before, uint32_t after)
{
    if (before && before != after)
        range_set_remove(&vnis->used, before);
    if (after && before != after && range_set_add(&vnis->used, after) == -ENOMEM)
        log_error("out of memory: VNI %u is not known to be taken", after); /* Its key in the store still is. */
    if (after)
        range_set_remove(&vnis->reserved, after);
}
