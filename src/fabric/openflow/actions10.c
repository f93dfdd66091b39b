/* The actions of OpenFlow 1.0 (5.2.4). */
#include <string.h>

#include "weft/fabric/openflow/actions.h"

enum type10 {
    OUTPUT10 = 0,
    SET_VLAN_VID10 = 1,
    SET_VLAN_PCP10 = 2,
    STRIP_VLAN10 = 3,
    SET_ETH_SRC10 = 4,
    SET_ETH_DST10 = 5,
    SET_IP_SRC10 = 6,
    SET_IP_DST10 = 7,
    SET_TOS10 = 8,
    SET_TP_SRC10 = 9,
    SET_TP_DST10 = 10,
    ENQUEUE10 = 11,
    N_TYPES10,
};

static const struct {
    uint8_t size;
    uint8_t kind;
} types[N_TYPES10] = {
    [OUTPUT10] = {8, OFA_OUTPUT},
    [SET_VLAN_VID10] = {8, OFA_SET_VLAN_VID},
    [SET_VLAN_PCP10] = {8, OFA_SET_VLAN_PCP},
    [STRIP_VLAN10] = {8, OFA_POP_VLAN},
    [SET_ETH_SRC10] = {16, OFA_SET_ETH_SRC},
    [SET_ETH_DST10] = {16, OFA_SET_ETH_DST},
    [SET_IP_SRC10] = {8, OFA_SET_IP_SRC},
    [SET_IP_DST10] = {8, OFA_SET_IP_DST},
    [SET_TOS10] = {8, OFA_SET_IP_DSCP},
    [SET_TP_SRC10] = {8, OFA_SET_TP_SRC},
    [SET_TP_DST10] = {8, OFA_SET_TP_DST},
    [ENQUEUE10] = {16, OFA_SET_QUEUE},
};

static int bad_argument(struct error *error, const char *what, unsigned value)
{
    return of_bad(error, "OFPBAC_BAD_ARGUMENT", NULL, "an action sets %s to %u", what, value);
}

int of_action10_decode(struct of_action *ret, struct error *error)
{
    const uint8_t *at = ret->wire.data;
    uint16_t type = get_be16(at);
    if (type == OF_EXPERIMENTER_ID)
        return of_experimenter_action_decode(ret, error);
    if (type >= N_TYPES10)
        return of_bad(error, "OFPBAC_BAD_TYPE", NULL, "an action has the type %u", type);
    if (ret->wire.size != types[type].size)
        return of_action_bad_size(ret, error);

    ret->kind = types[type].kind;
    switch (type) {
    case OUTPUT10:
        ret->port = of_port_from10(get_be16(at + 4));
        ret->max_len = get_be16(at + 6);
        break;
    case SET_VLAN_VID10:
        ret->number = get_be16(at + 4);
        return ret->number > 0xfff ? bad_argument(error, "the VLAN", ret->number) : 0;
    case SET_VLAN_PCP10:
        ret->byte = at[4];
        return ret->byte > 7 ? bad_argument(error, "the VLAN's priority", ret->byte) : 0;
    case SET_ETH_SRC10:
    case SET_ETH_DST10:
        memcpy(ret->mac.bytes, at + 4, 6);
        break;
    case SET_IP_SRC10:
    case SET_IP_DST10:
        ret->ip = ip_from_v4(get_be32(at + 4));
        break;
    case SET_TOS10:
        ret->byte = at[4] >> 2;
        return at[4] & 3 ? bad_argument(error, "the type of service", at[4]) : 0;
    case SET_TP_SRC10:
    case SET_TP_DST10:
        ret->number = get_be16(at + 4);
        break;
    case ENQUEUE10:
        ret->port = of_port_from10(get_be16(at + 4));
        ret->id = get_be32(at + 12);
        break;
    }
    return 0;
}

/* Whether the values fit what the action has room for. */
static int check(const struct of_action *action, uint16_t *ret_port)
{
    switch (action->kind) {
    case OFA_OUTPUT:
    case OFA_SET_QUEUE:
        return of_port_to10(action->port, ret_port);
    case OFA_SET_VLAN_VID:
        return action->number > 0xfff ? -EINVAL : 0;
    case OFA_SET_VLAN_PCP:
        return action->byte > 7 ? -EINVAL : 0;
    case OFA_SET_IP_DSCP:
        return action->byte > 63 ? -EINVAL : 0;
    case OFA_SET_IP_SRC:
    case OFA_SET_IP_DST:
        return ip_is_v4(&action->ip) ? 0 : -EPROTONOSUPPORT;
    default:
        return 0;
    }
}

int of_action10_put(struct writer *list, const struct of_action *action)
{
    uint16_t port = 0, type = 0;
    if (action->kind == OFA_DEC_TTL)
        return of_nicira_action_put(list, action);
    while (type < N_TYPES10 && types[type].kind != action->kind)
        type++;
    if (type == N_TYPES10)
        return -EPROTONOSUPPORT;
    int r = check(action, &port);
    if (r < 0)
        return r;
    uint8_t *at = writer_take(list, types[type].size);
    if (!at)
        return -ENOBUFS;

    put_be16(at, type);
    put_be16(at + 2, types[type].size);
    switch (type) {
    case OUTPUT10:
        put_be16(at + 4, port);
        put_be16(at + 6, action->max_len);
        break;
    case SET_VLAN_VID10:
    case SET_TP_SRC10:
    case SET_TP_DST10:
        put_be16(at + 4, action->number);
        break;
    case SET_VLAN_PCP10:
        at[4] = action->byte;
        break;
    case SET_ETH_SRC10:
    case SET_ETH_DST10:
        memcpy(at + 4, action->mac.bytes, 6);
        break;
    case SET_IP_SRC10:
    case SET_IP_DST10:
        put_be32(at + 4, ip_to_v4(&action->ip));
        break;
    case SET_TOS10:
        at[4] = (uint8_t)(action->byte << 2);
        break;
    case ENQUEUE10:
        put_be16(at + 4, port);
        put_be32(at + 12, action->id);
        break;
    }
    return 0;
}
