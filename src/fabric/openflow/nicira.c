/* Nicira's actions: spreading over ports by hash, and counting down the TTL in 1.0. */
#include <errno.h>
#include <string.h>

#include "weft/fabric/openflow/nicira.h"

#include "weft/fabric/openflow/wire.h"

#define NXAST_BUNDLE 12
#define NXAST_DEC_TTL 18

#define HASH_SYMMETRIC_L3L4_UDP 3 /* NX_HASH_FIELDS_SYMMETRIC_L3L4_UDP. */
#define ALGORITHM_HRW 1           /* NX_BD_ALG_HRW. */
#define MEMBERS_ARE_PORTS 2       /* The header of NXM_OF_IN_PORT. */

/* type 0, length 2, vendor 4, subtype 8, algorithm 10, fields 12, basis 14, member type 16, members 20, bits 22, register 24, zero 28. */
#define BUNDLE_SIZE 32

static bool bundle_decode(struct of_bytes wire, struct of_action *ret)
{
    const uint8_t *at = wire.data;
    if (wire.size < BUNDLE_SIZE || get_be16(at + 10) != ALGORITHM_HRW || get_be16(at + 12) != HASH_SYMMETRIC_L3L4_UDP ||
        get_be32(at + 16) != MEMBERS_ARE_PORTS || get_be16(at + 22) != 0 || get_be32(at + 24) != 0)
        return false;
    size_t n = get_be16(at + 20);
    if (of_padded(BUNDLE_SIZE + 2 * n) != wire.size)
        return false;
    ret->kind = OFA_BUNDLE;
    ret->basis = get_be16(at + 14);
    ret->n_ports = n;
    return true;
}

bool of_nicira_action_decode(struct of_bytes wire, struct of_action *ret)
{
    switch (get_be16(wire.data + 8)) {
    case NXAST_BUNDLE:
        return bundle_decode(wire, ret);
    case NXAST_DEC_TTL:
        if (wire.size != 16)
            return false;
        ret->kind = OFA_DEC_TTL;
        return true;
    default:
        return false;
    }
}

uint16_t of_bundle_port(const struct of_action *bundle, size_t index)
{
    return bundle->ports ? bundle->ports[index] : get_be16(bundle->wire.data + BUNDLE_SIZE + 2 * index);
}

static int bundle_put(struct writer *list, const struct of_action *action)
{
    size_t n = action->n_ports, size = of_padded(BUNDLE_SIZE + 2 * n);
    if (size > UINT16_MAX - 7 || (n && !action->ports && action->wire.size < BUNDLE_SIZE + 2 * n))
        return -EINVAL;
    uint8_t *at = writer_take(list, size);
    if (!at)
        return -ENOBUFS;
    put_be16(at, OF_EXPERIMENTER_ID);
    put_be16(at + 2, (uint16_t)size);
    put_be32(at + 4, NICIRA);
    put_be16(at + 8, NXAST_BUNDLE);
    put_be16(at + 10, ALGORITHM_HRW);
    put_be16(at + 12, HASH_SYMMETRIC_L3L4_UDP);
    put_be16(at + 14, action->basis);
    put_be32(at + 16, MEMBERS_ARE_PORTS);
    put_be16(at + 20, (uint16_t)n);
    for (size_t i = 0; i < n; i++)
        put_be16(at + BUNDLE_SIZE + 2 * i, of_bundle_port(action, i));
    return 0;
}

int of_nicira_action_put(struct writer *list, const struct of_action *action)
{
    if (action->kind == OFA_BUNDLE)
        return bundle_put(list, action);
    uint8_t *at = writer_take(list, 16);
    if (!at)
        return -ENOBUFS;
    put_be16(at, OF_EXPERIMENTER_ID);
    put_be16(at + 2, 16);
    put_be32(at + 4, NICIRA);
    put_be16(at + 8, NXAST_DEC_TTL);
    return 0;
}
