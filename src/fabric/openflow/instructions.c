/* What a flow does to a packet: the instructions of OpenFlow 1.3 (7.2.4), and the list of actions that 1.0 has in their place. */
#include "weft/fabric/openflow/wire.h"

enum instruction {
    GOTO_TABLE = 1,
    WRITE_METADATA = 2,
    WRITE_ACTIONS = 3,
    APPLY_ACTIONS = 4,
    CLEAR_ACTIONS = 5,
    METER = 6,
};

/* ---- decoding -------------------------------------------------------------------------------------------------- */

static int bad_size(uint16_t type, size_t size, struct error *error)
{
    return of_bad(error, "OFPBIC_BAD_LEN", "instructions", "one of type %u has %zu bytes", type, size);
}

static int decode_actions(struct of_bytes wire, struct of_bytes *ret, struct error *error)
{
    *ret = of_bytes_of(wire.data + 8, wire.size - 8);
    return of_actions_check(OF13, *ret, error);
}

static int decode_fixed(uint16_t type, struct of_bytes wire, struct of_instructions *ret, struct error *error)
{
    static const uint8_t sizes[] = {[GOTO_TABLE] = 8, [WRITE_METADATA] = 24, [CLEAR_ACTIONS] = 8, [METER] = 8};
    if (wire.size != sizes[type])
        return bad_size(type, wire.size, error);
    switch (type) {
    case GOTO_TABLE:
        ret->goto_table = wire.data[4];
        if (ret->goto_table == 0 || ret->goto_table == OF_NO_TABLE)
            return of_bad(error, "OFPBIC_BAD_TABLE_ID", "instructions", "goto_table %u", wire.data[4]);
        return 0;
    case WRITE_METADATA:
        ret->metadata = get_be64(wire.data + 8);
        ret->metadata_mask = get_be64(wire.data + 16);
        return 0;
    case CLEAR_ACTIONS:
        ret->clear_actions = true;
        return 0;
    default:
        ret->meter = get_be32(wire.data + 4);
        return ret->meter ? 0 : of_bad(error, "OFPBIC_UNSUP_INST", "instructions", "meter 0");
    }
}

static int decode_one(struct of_bytes wire, unsigned *seen, struct of_instructions *ret, struct error *error)
{
    uint16_t type = get_be16(wire.data);
    if (type == OF_EXPERIMENTER_ID) {
        /* A stretch, as in a match: encoding passes over what is between two of them. */
        const uint8_t *first = ret->others.size ? ret->others.data : wire.data;
        ret->others = of_bytes_of(first, (size_t)(wire.data + wire.size - first));
        return 0;
    }
    if (type < GOTO_TABLE || type > METER)
        return of_bad(error, "OFPBIC_UNKNOWN_INST", "instructions", "type %u", type);
    if (*seen & 1u << type)
        return of_bad(error, "OFPBIC_UNSUP_INST", "instructions", "type %u is there twice", type);
    *seen |= 1u << type;
    if (type == WRITE_ACTIONS)
        return decode_actions(wire, &ret->write_actions, error);
    if (type == APPLY_ACTIONS)
        return decode_actions(wire, &ret->apply_actions, error);
    return decode_fixed(type, wire, ret, error);
}

int of_instructions_decode(enum of_version version, struct of_bytes wire, struct of_instructions *ret, struct error *error)
{
    *ret = (struct of_instructions){.goto_table = OF_NO_TABLE};
    if (version == OF10) {
        ret->apply_actions = wire;
        return of_actions_check(OF10, wire, error);
    }
    unsigned seen = 0;
    while (wire.size) {
        struct of_bytes one;
        size_t left = wire.size;
        if (of_element_take(&wire, 2, 8, false, &one) < 0 || one.size % 8)
            return of_bad(error, "OFPBIC_BAD_LEN", "instructions", "one ends where it cannot, with %zu bytes left", left);
        int r = decode_one(one, &seen, ret, error);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- encoding -------------------------------------------------------------------------------------------------- */

static uint8_t *put(struct writer *writer, enum instruction type, size_t size)
{
    uint8_t *at = writer_take(writer, size);
    if (!at)
        return NULL;
    put_be16(at, (uint16_t)type);
    put_be16(at + 2, (uint16_t)size);
    return at;
}

static void put_actions(struct writer *writer, enum instruction type, struct of_bytes actions)
{
    uint8_t *at = put(writer, type, 8 + actions.size);
    if (at)
        memcpy(at + 8, actions.data, actions.size);
}

/* Of the stretch, the instructions that are experimenters'. */
static int put_others(struct writer *writer, struct of_bytes others)
{
    while (others.size) {
        struct of_bytes one;
        if (of_element_take(&others, 2, 8, false, &one) < 0 || one.size % 8)
            return -EINVAL;
        if (get_be16(one.data) == OF_EXPERIMENTER_ID)
            writer_bytes(writer, one.data, one.size);
    }
    return 0;
}

static int encode13(const struct of_instructions *instructions, struct writer *writer)
{
    uint8_t *at;
    if (instructions->apply_actions.size % 8 || instructions->write_actions.size % 8)
        return -EINVAL;
    if (instructions->apply_actions.size > UINT16_MAX - 8 || instructions->write_actions.size > UINT16_MAX - 8)
        return -EMSGSIZE;
    if (instructions->meter && (at = put(writer, METER, 8)))
        put_be32(at + 4, instructions->meter);
    if (instructions->apply_actions.size)
        put_actions(writer, APPLY_ACTIONS, instructions->apply_actions);
    if (instructions->clear_actions)
        put(writer, CLEAR_ACTIONS, 8);
    if (instructions->write_actions.size)
        put_actions(writer, WRITE_ACTIONS, instructions->write_actions);
    if (instructions->metadata_mask && (at = put(writer, WRITE_METADATA, 24))) {
        put_be64(at + 8, instructions->metadata);
        put_be64(at + 16, instructions->metadata_mask);
    }
    if (instructions->goto_table && instructions->goto_table != OF_NO_TABLE && (at = put(writer, GOTO_TABLE, 8)))
        at[4] = instructions->goto_table;
    int r = put_others(writer, instructions->others);
    return r < 0 ? r : writer->overflow ? -ENOBUFS : 0;
}

int of_instructions_encode(enum of_version version, const struct of_instructions *instructions, struct writer *writer)
{
    if (version == OF13)
        return encode13(instructions, writer);
    if (instructions->write_actions.size || instructions->clear_actions || instructions->metadata_mask || instructions->meter ||
        (instructions->goto_table && instructions->goto_table != OF_NO_TABLE) || instructions->others.size)
        return -EPROTONOSUPPORT;
    if (instructions->apply_actions.size % 8)
        return -EINVAL;
    writer_bytes(writer, instructions->apply_actions.data, instructions->apply_actions.size);
    return writer->overflow ? -ENOBUFS : 0;
}
