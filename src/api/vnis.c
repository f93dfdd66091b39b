#include "weft/api/vnis.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/log.h"
#include "weft/base/util.h"
#include "weft/base/uuid.h"
#include "weft/model/range-set.h"

#define SWEEP_MAX 256 /* Transactions a sweep: the rest waits for the next. */

struct quarantined {
    uint32_t vni;
    uint64_t revision; /* Of the deletion. */
};

struct vnis {
    struct range_set used, reserved, in_quarantine;
    struct quarantined *quarantine;
    size_t n_quarantine;
};

int vnis_new(struct vnis **ret_vnis)
{
    struct vnis *vnis = calloc(1, sizeof(*vnis));

    if (!vnis)
        return -ENOMEM;
    *ret_vnis = vnis;
    return 0;
}

void vnis_free(struct vnis *vnis)
{
    if (!vnis)
        return;
    range_set_clear(&vnis->used);
    range_set_clear(&vnis->reserved);
    range_set_clear(&vnis->in_quarantine);
    free(vnis->quarantine);
    free(vnis);
}

const char *vni_key(uint32_t vni, char key[VNI_KEY_SIZE])
{
    snprintf(key, VNI_KEY_SIZE, "vni/%u", vni);
    return key;
}

const char *vni_quarantine_key(uint32_t vni, char key[VNI_KEY_SIZE])
{
    snprintf(key, VNI_KEY_SIZE, "quarantine/vni/%u", vni);
    return key;
}

static bool is_free(const struct vnis *vnis, uint32_t vni)
{
    return !range_set_contains(&vnis->used, vni) && !range_set_contains(&vnis->reserved, vni) &&
           !range_set_contains(&vnis->in_quarantine, vni);
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
    if (range_set_contains(&vnis->in_quarantine, vni))
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

void vnis_quarantine_changed(const struct store_item *item, void *context)
{
    struct vnis *vnis = context;
    const char *text = strrchr(item->key, '/');
    uint64_t vni;

    if (!text || parse_u64(text + 1, 1, VNI_MAX, &vni) < 0)
        return;
    for (size_t i = 0; i < vnis->n_quarantine; i++)
        if (vnis->quarantine[i].vni == vni) {
            vnis->quarantine[i] = vnis->quarantine[--vnis->n_quarantine];
            range_set_remove(&vnis->in_quarantine, vni);
            break;
        }
    if (!item->value)
        return;
    struct quarantined *more = realloc(vnis->quarantine, (vnis->n_quarantine + 1) * sizeof(*more));
    if (!more || range_set_add(&vnis->in_quarantine, vni) == -ENOMEM) {
        vnis->quarantine = more ? more : vnis->quarantine;
        log_error("out of memory: VNI %u stays in quarantine until the restart", (unsigned)vni);
        return;
    }
    vnis->quarantine = more;
    more[vnis->n_quarantine++] = (struct quarantined){.vni = vni, .revision = item->modify_revision};
}

static void swept(struct store_result result, void *context)
{
    /* -EAGAIN: another server did it. */
}

void vnis_sweep(struct vnis *vnis, uint64_t applied_revision, struct store *store)
{
    size_t n_done = 0;

    for (size_t i = 0; i < vnis->n_quarantine && n_done < SWEEP_MAX; i++) {
        const struct quarantined *quarantined = &vnis->quarantine[i];
        _cleanup_(store_transaction_freep) struct store_transaction *transaction = NULL;
        char key[VNI_KEY_SIZE], mark[VNI_KEY_SIZE];

        if (quarantined->revision > applied_revision || store_transaction_new(&transaction) < 0)
            continue;
        vni_key(quarantined->vni, key);
        vni_quarantine_key(quarantined->vni, mark);
        if (store_require_revision(transaction, mark, strlen(mark), quarantined->revision) == 0 &&
            store_delete(transaction, key, strlen(key)) == 0 && store_delete(transaction, mark, strlen(mark)) == 0) {
            store_submit(store, TAKE_PTR(transaction), swept, NULL);
            n_done++;
        }
    }
}
