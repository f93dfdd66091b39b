/* The actions of OpenFlow 1.3 (7.2.5).  Fields are set by one action that carries an OXM entry. */
#include <string.h>

#include "weft/fabric/openflow/actions.h"
#include "weft/fabric/openflow/oxm.h"

enum type13 {
    OUTPUT13 = 0,
    COPY_TTL_OUT13 = 11,
    COPY_TTL_IN13 = 12,
    SET_MPLS_TTL13 = 15,
    DEC_MPLS_TTL13 = 16,
    PUSH_VLAN13 = 17,
    POP_VLAN13 = 18,
    PUSH_MPLS13 = 19,
    POP_MPLS13 = 20,
    SET_QUEUE13 = 21,
    GROUP13 = 22,
    SET_TTL13 = 23,
    DEC_TTL13 = 24,
    SET_FIELD13 = 25,
    PUSH_PBB13 = 26,
    POP_PBB13 = 27,
    N_TYPES13,
};

/* Size 0: there is no such type.  SET_FIELD's is the least. */
static const struct {
    uint8_t size;
    uint8_t kind;
} types[N_TYPES13] = {
    [OUTPUT13] = {16, OFA_OUTPUT},     [COPY_TTL_OUT13] = {8, OFA_OTHER}, [COPY_TTL_IN13] = {8, OFA_OTHER},
    [SET_MPLS_TTL13] = {8, OFA_OTHER}, [DEC_MPLS_TTL13] = {8, OFA_OTHER}, [PUSH_VLAN13] = {8, OFA_PUSH_VLAN},
    [POP_VLAN13] = {8, OFA_POP_VLAN},  [PUSH_MPLS13] = {8, OFA_OTHER},    [POP_MPLS13] = {8, OFA_OTHER},
    [SET_QUEUE13] = {8, OFA_SET_QUEUE}, [GROUP13] = {8, OFA_GROUP},       [SET_TTL13] = {8, OFA_OTHER},
    [DEC_TTL13] = {8, OFA_DEC_TTL},    [SET_FIELD13] = {8, OFA_OTHER},    [PUSH_PBB13] = {8, OFA_OTHER},
    [POP_PBB13] = {8, OFA_OTHER},
};

/* ---- setting fields -------------------------------------------------------------------------------------------- */

/* The fields that struct of_action can set; in OXM's numbers. */
static const struct setter {
    uint8_t number, size, kind, protocol;
} setters[] = {
    {OXM_ETH_DST, 6, OFA_SET_ETH_DST, 0},   {OXM_ETH_SRC, 6, OFA_SET_ETH_SRC, 0},
    {OXM_VLAN_VID, 2, OFA_SET_VLAN_VID, 0}, {OXM_VLAN_PCP, 1, OFA_SET_VLAN_PCP, 0},
    {OXM_IP_DSCP, 1, OFA_SET_IP_DSCP, 0},   {OXM_IPV4_SRC, 4, OFA_SET_IP_SRC, 0},
    {OXM_IPV4_DST, 4, OFA_SET_IP_DST, 0},   {OXM_IPV6_SRC, 16, OFA_SET_IP_SRC, 0},
    {OXM_IPV6_DST, 16, OFA_SET_IP_DST, 0},  {OXM_TCP_SRC, 2, OFA_SET_TP_SRC, 6},
    {OXM_TCP_DST, 2, OFA_SET_TP_DST, 6},    {OXM_UDP_SRC, 2, OFA_SET_TP_SRC, 17},
    {OXM_UDP_DST, 2, OFA_SET_TP_DST, 17},   {OXM_SCTP_SRC, 2, OFA_SET_TP_SRC, 132},
    {OXM_SCTP_DST, 2, OFA_SET_TP_DST, 132},
};

static int bad_argument(struct error *error, unsigned number, unsigned value)
{
    return of_bad(error, "OFPBAC_BAD_SET_ARGUMENT", NULL, "field %u is set to %u", number, value);
}

static int set_field_value(const struct setter *setter, const uint8_t *value, struct of_action *ret, struct error *error)
{
    ret->kind = setter->kind;
    ret->protocol = setter->protocol;
    switch (setter->size) {
    case 1:
        ret->byte = *value;
        return *value > (setter->number == OXM_VLAN_PCP ? 7 : 63) ? bad_argument(error, setter->number, *value) : 0;
    case 2:
        ret->number = get_be16(value);
        if (setter->number != OXM_VLAN_VID)
            return 0;
        if (ret->number >> 12 != OXM_VID_PRESENT >> 12)
            return bad_argument(error, setter->number, ret->number);
        ret->number &= 0xfff;
        return 0;
    case 4:
        ret->ip = ip_from_v4(get_be32(value));
        return 0;
    case 6:
        memcpy(ret->mac.bytes, value, 6);
        return 0;
    default:
        memcpy(ret->ip.bytes, value, 16);
        /* An IPv4-mapped address in an IPv6 packet cannot be told from IPv4's in struct of_action. */
        ret->kind = ip_is_v4(&ret->ip) ? OFA_OTHER : ret->kind;
        if (ret->kind == OFA_OTHER)
            memset(&ret->ip, 0, sizeof(ret->ip));
        return 0;
    }
}

static int set_field_decode(struct of_action *ret, struct error *error)
{
    const uint8_t *entry = ret->wire.data + 4;
    if (of_padded(4 + 4 + (size_t)entry[3]) != ret->wire.size)
        return of_bad(error, "OFPBAC_BAD_SET_LEN", NULL, "a field of %u bytes is set by an action of %zu", entry[3],
                      ret->wire.size);
    if (get_be16(entry) != OXM_BASIC)
        return 0;
    if (entry[2] & 1)
        return of_bad(error, "OFPBAC_BAD_SET_TYPE", NULL, "field %u is set with a mask", entry[2] >> 1);
    for (size_t i = 0; i < ARRAY_SIZE(setters); i++)
        if (setters[i].number == entry[2] >> 1) {
            if (setters[i].size != entry[3])
                return of_bad(error, "OFPBAC_BAD_SET_LEN", NULL, "field %u is set with %u bytes", setters[i].number,
                              entry[3]);
            return set_field_value(&setters[i], entry + 4, ret, error);
        }
    return 0;
}

static const struct setter *setter_of(const struct of_action *action)
{
    bool v6 = (action->kind == OFA_SET_IP_SRC || action->kind == OFA_SET_IP_DST) && !ip_is_v4(&action->ip);
    bool has_protocol = action->kind == OFA_SET_TP_SRC || action->kind == OFA_SET_TP_DST;
    for (size_t i = 0; i < ARRAY_SIZE(setters); i++)
        if (setters[i].kind == action->kind && (!v6 || setters[i].size == 16) &&
            (!has_protocol || setters[i].protocol == action->protocol))
            return &setters[i];
    return NULL;
}

static int set_field_put(struct writer *list, const struct of_action *action)
{
    const struct setter *setter = setter_of(action);
    if (!setter || (action->kind == OFA_SET_VLAN_VID && action->number > 0xfff) ||
        (action->kind == OFA_SET_VLAN_PCP && action->byte > 7) || (action->kind == OFA_SET_IP_DSCP && action->byte > 63))
        return -EINVAL;
    size_t size = of_padded(8u + setter->size);
    uint8_t *at = writer_take(list, size);
    if (!at)
        return -ENOBUFS;
    put_be16(at, SET_FIELD13);
    put_be16(at + 2, (uint16_t)size);
    put_be32(at + 4, OXM_HEADER(setter->number, 0, setter->size));
    switch (setter->size) {
    case 1:
        at[8] = action->byte;
        break;
    case 2:
        put_be16(at + 8, (uint16_t)(action->number | (setter->number == OXM_VLAN_VID ? OXM_VID_PRESENT : 0)));
        break;
    case 4:
        put_be32(at + 8, ip_to_v4(&action->ip));
        break;
    case 6:
        memcpy(at + 8, action->mac.bytes, 6);
        break;
    default:
        memcpy(at + 8, action->ip.bytes, 16);
    }
    return 0;
}

/* ---- all actions ----------------------------------------------------------------------------------------------- */

int of_action13_decode(struct of_action *ret, struct error *error)
{
    const uint8_t *at = ret->wire.data;
    uint16_t type = get_be16(at);
    if (type == OF_EXPERIMENTER_ID)
        return of_experimenter_action_decode(ret, error);
    if (type >= N_TYPES13 || types[type].size == 0)
        return of_bad(error, "OFPBAC_BAD_TYPE", NULL, "an action has the type %u", type);
    if (type != SET_FIELD13 && ret->wire.size != types[type].size)
        return of_action_bad_size(ret, error);

    ret->kind = types[type].kind;
    switch (type) {
    case OUTPUT13:
        ret->port = get_be32(at + 4);
        ret->max_len = get_be16(at + 8);
        break;
    case PUSH_VLAN13:
        ret->number = get_be16(at + 4);
        break;
    case SET_QUEUE13:
    case GROUP13:
        ret->id = get_be32(at + 4);
        break;
    case SET_FIELD13:
        return set_field_decode(ret, error);
    }
    return 0;
}

/* All but OUTPUT are 8 bytes. */
static int put_short(struct writer *list, enum type13 type, uint8_t **ret)
{
    uint8_t *at = writer_take(list, 8);
    if (!at)
        return -ENOBUFS;
    put_be16(at, (uint16_t)type);
    put_be16(at + 2, 8);
    *ret = at + 4;
    return 0;
}

int of_action13_put(struct writer *list, const struct of_action *action)
{
    uint8_t *at;
    int r;
    switch (action->kind) {
    case OFA_OUTPUT:
        at = writer_take(list, 16);
        if (!at)
            return -ENOBUFS;
        put_be16(at, OUTPUT13);
        put_be16(at + 2, 16);
        put_be32(at + 4, action->port);
        put_be16(at + 8, action->max_len);
        return 0;
    case OFA_PUSH_VLAN:
        r = put_short(list, PUSH_VLAN13, &at);
        if (r == 0)
            put_be16(at, action->number);
        return r;
    case OFA_GROUP:
    case OFA_SET_QUEUE:
        r = put_short(list, action->kind == OFA_GROUP ? GROUP13 : SET_QUEUE13, &at);
        if (r == 0)
            put_be32(at, action->id);
        return r;
    case OFA_POP_VLAN:
        return put_short(list, POP_VLAN13, &at);
    case OFA_DEC_TTL:
        return put_short(list, DEC_TTL13, &at);
    default:
        return set_field_put(list, action);
    }
}
