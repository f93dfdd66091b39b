/* struct ofp_match of OpenFlow 1.3 (7.2.2, 7.2.3): a list of OXM entries, each a header, a value and perhaps a mask.
 *
 * Decoding takes entries in any order, as switches send them, and looks at the end whether each has the fields that give it a
 * meaning.  Encoding writes them by number, which is an order in which each comes behind those it needs. */
#include <string.h>

#include "weft/fabric/openflow/oxm.h"
#include "weft/fabric/openflow/wire.h"

/* What must be known of a frame before a field means something. */
enum {
    NEED_IN_PORT = 1 << 0,
    NEED_VLAN = 1 << 1,
    NEED_IP = 1 << 2,
    NEED_IPV4 = 1 << 3,
    NEED_IPV6 = 1 << 4,
    NEED_ARP = 1 << 5,
    NEED_TCP = 1 << 6,
    NEED_UDP = 1 << 7,
    NEED_SCTP = 1 << 8,
    NEED_ICMPV4 = 1 << 9,
    NEED_ICMPV6 = 1 << 10,
    NEED_ND = 1 << 11,
    NEED_SOLICITATION = 1 << 12,
    NEED_ADVERTISEMENT = 1 << 13,
    NEED_MPLS = 1 << 14,
    NEED_PBB = 1 << 15,
};

enum keeping {
    OTHER_EXACT,  /* struct of_match does not hold it; a mask is an error. */
    OTHER_MASKED, /* As above, and it may have a mask. */
    HELD_EXACT,   /* Held, and a mask is an error. */
    HELD_OR_OTHER, /* Held without a mask; with one (the standard or Open vSwitch allows it) among the others. */
    HELD_MASKED,
};

static const struct field {
    uint8_t size;
    uint8_t keeping;
    uint16_t needs;
} fields[N_OXM_NUMBERS] = {
    [OXM_IN_PORT] = {4, HELD_EXACT, 0},
    [OXM_IN_PHY_PORT] = {4, HELD_EXACT, NEED_IN_PORT},
    [OXM_METADATA] = {8, HELD_MASKED, 0},
    [OXM_ETH_DST] = {6, HELD_MASKED, 0},
    [OXM_ETH_SRC] = {6, HELD_MASKED, 0},
    [OXM_ETH_TYPE] = {2, HELD_EXACT, 0},
    [OXM_VLAN_VID] = {2, HELD_OR_OTHER, 0},
    [OXM_VLAN_PCP] = {1, HELD_EXACT, NEED_VLAN},
    [OXM_IP_DSCP] = {1, HELD_EXACT, NEED_IP},
    [OXM_IP_ECN] = {1, HELD_EXACT, NEED_IP},
    [OXM_IP_PROTO] = {1, HELD_EXACT, NEED_IP},
    [OXM_IPV4_SRC] = {4, HELD_MASKED, NEED_IPV4},
    [OXM_IPV4_DST] = {4, HELD_MASKED, NEED_IPV4},
    [OXM_TCP_SRC] = {2, HELD_OR_OTHER, NEED_TCP},
    [OXM_TCP_DST] = {2, HELD_OR_OTHER, NEED_TCP},
    [OXM_UDP_SRC] = {2, HELD_OR_OTHER, NEED_UDP},
    [OXM_UDP_DST] = {2, HELD_OR_OTHER, NEED_UDP},
    [OXM_SCTP_SRC] = {2, HELD_OR_OTHER, NEED_SCTP},
    [OXM_SCTP_DST] = {2, HELD_OR_OTHER, NEED_SCTP},
    [OXM_ICMPV4_TYPE] = {1, HELD_EXACT, NEED_ICMPV4},
    [OXM_ICMPV4_CODE] = {1, HELD_EXACT, NEED_ICMPV4},
    [OXM_ARP_OP] = {2, HELD_EXACT, NEED_ARP},
    [OXM_ARP_SPA] = {4, HELD_MASKED, NEED_ARP},
    [OXM_ARP_TPA] = {4, HELD_MASKED, NEED_ARP},
    [OXM_ARP_SHA] = {6, OTHER_MASKED, NEED_ARP},
    [OXM_ARP_THA] = {6, OTHER_MASKED, NEED_ARP},
    [OXM_IPV6_SRC] = {16, HELD_MASKED, NEED_IPV6},
    [OXM_IPV6_DST] = {16, HELD_MASKED, NEED_IPV6},
    [OXM_IPV6_FLABEL] = {4, OTHER_MASKED, NEED_IPV6},
    [OXM_ICMPV6_TYPE] = {1, HELD_EXACT, NEED_ICMPV6},
    [OXM_ICMPV6_CODE] = {1, HELD_EXACT, NEED_ICMPV6},
    [OXM_IPV6_ND_TARGET] = {16, HELD_OR_OTHER, NEED_ND},
    [OXM_IPV6_ND_SLL] = {6, OTHER_MASKED, NEED_SOLICITATION},
    [OXM_IPV6_ND_TLL] = {6, OTHER_MASKED, NEED_ADVERTISEMENT},
    [OXM_MPLS_LABEL] = {4, HELD_EXACT, NEED_MPLS},
    [OXM_MPLS_TC] = {1, OTHER_EXACT, NEED_MPLS},
    [OXM_MPLS_BOS] = {1, OTHER_EXACT, NEED_MPLS},
    [OXM_PBB_ISID] = {3, OTHER_MASKED, NEED_PBB},
    [OXM_TUNNEL_ID] = {8, HELD_MASKED, 0},
    [OXM_IPV6_EXTHDR] = {2, OTHER_MASKED, NEED_IPV6},
};

/* ---- decoding -------------------------------------------------------------------------------------------------- */

/* One entry, in pieces. */
struct entry {
    uint16_t class;
    uint8_t number, size; /* 'size' of value and mask together. */
    bool masked;
    const uint8_t *value, *mask; /* 'mask' NULL: exact. */
};

/* What decoding has seen so far. */
struct progress {
    uint64_t seen[2];    /* Numbers of the basic class. */
    unsigned needs;      /* NEED_ bits of the fields so far. */
    const uint8_t *first_other, *end_other;
    bool masked_vlan;    /* VLAN_VID is among the others. */
};

static bool all_are(const uint8_t *bytes, size_t size, uint8_t value)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != value)
            return false;
    return true;
}

/* Whether a mask of the full size leaves nothing out: of VLAN_VID, 13 bits count. */
static bool mask_is_full(const struct entry *entry, size_t size)
{
    if (entry->number == OXM_VLAN_VID)
        return (get_be16(entry->mask) & 0x1fff) == 0x1fff;
    return all_are(entry->mask, size, 0xff);
}

/* A mask that says nothing is as good as none. */
static bool entry_is_held(struct entry *entry)
{
    const struct field *field = &fields[entry->number];
    if (entry->mask && field->keeping != HELD_MASKED && mask_is_full(entry, field->size))
        entry->mask = NULL;
    return field->keeping == HELD_MASKED || field->keeping == HELD_EXACT ||
           (field->keeping == HELD_OR_OTHER && !entry->mask);
}

/* The entry at the front, by its header.  False when it ends behind the list. */
static bool take_entry(struct reader *list, struct entry *ret)
{
    const uint8_t *header = reader_take(list, 4);
    if (!header)
        return false;
    ret->class = get_be16(header);
    ret->number = header[2] >> 1;
    ret->masked = header[2] & 1;
    ret->size = header[3];
    ret->value = reader_take(list, ret->size);
    ret->mask = ret->masked && ret->value ? ret->value + ret->size / 2 : NULL;
    return ret->value;
}

static int bad_entry(struct error *error, const char *type, const struct entry *entry, const char *problem)
{
    return of_bad(error, type, "match", "field %u of class %#06x %s", entry->number, entry->class, problem);
}

static struct ip_address wide_v4(const uint8_t *bytes, uint8_t first)
{
    struct ip_address ret;
    memset(ret.bytes, first, 10);
    memset(ret.bytes + 10, 0xff, 2);
    memcpy(ret.bytes + 12, bytes, 4);
    return ret;
}

/* An address of 4 or 16 bytes.  Nothing when the mask is zero. */
static void hold_address(const struct entry *entry, size_t size, uint32_t bit, struct ip_address *address,
                         struct ip_address *mask, struct of_match *ret)
{
    static const uint8_t ones[16] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    const uint8_t *mask_bytes = entry->mask ? entry->mask : ones;
    if (entry->mask && all_are(entry->mask, size, 0))
        return;
    ret->fields |= bit;
    if (size == 4) {
        *address = wide_v4(entry->value, 0);
        *mask = wide_v4(mask_bytes, 0xff);
    } else {
        memcpy(address->bytes, entry->value, 16);
        memcpy(mask->bytes, mask_bytes, 16);
    }
}

static void hold_mac(const struct entry *entry, uint32_t bit, struct mac_address *mac, struct mac_address *mask,
                     struct of_match *ret)
{
    if (entry->mask && all_are(entry->mask, 6, 0))
        return;
    ret->fields |= bit;
    memcpy(mac->bytes, entry->value, 6);
    if (entry->mask)
        memcpy(mask->bytes, entry->mask, 6);
    else
        memset(mask->bytes, 0xff, 6);
}

static void hold_u64(const struct entry *entry, uint32_t bit, uint64_t *value, uint64_t *mask, struct of_match *ret)
{
    if (entry->mask && get_be64(entry->mask) == 0)
        return;
    ret->fields |= bit;
    *value = get_be64(entry->value);
    *mask = entry->mask ? get_be64(entry->mask) : UINT64_MAX;
}

static bool hold_vlan(uint16_t value, struct of_match *ret)
{
    if (value != 0 && (value & ~0xfff) != OXM_VID_PRESENT)
        return false;
    ret->fields |= OFM_VLAN_VID;
    ret->vlan_vid = value ? value & 0xfff : OF_NO_VLAN;
    return true;
}

#define HOLD(BIT, MEMBER, VALUE)                                                                                        \
    do {                                                                                                                \
        ret->fields |= BIT;                                                                                             \
        ret->MEMBER = VALUE;                                                                                            \
    } while (0)

/* Puts a field into its place.  False for a value that the field cannot have. */
static bool hold(const struct entry *entry, struct of_match *ret)
{
    const uint8_t *value = entry->value;
    switch (entry->number) {
    case OXM_IN_PORT:
        HOLD(OFM_IN_PORT, in_port, get_be32(value));
        return true;
    case OXM_IN_PHY_PORT:
        HOLD(OFM_IN_PHY_PORT, in_phy_port, get_be32(value));
        return true;
    case OXM_METADATA:
        hold_u64(entry, OFM_METADATA, &ret->metadata, &ret->metadata_mask, ret);
        return true;
    case OXM_ETH_DST:
        hold_mac(entry, OFM_ETH_DST, &ret->eth_dst, &ret->eth_dst_mask, ret);
        return true;
    case OXM_ETH_SRC:
        hold_mac(entry, OFM_ETH_SRC, &ret->eth_src, &ret->eth_src_mask, ret);
        return true;
    case OXM_ETH_TYPE:
        HOLD(OFM_ETH_TYPE, eth_type, get_be16(value));
        return true;
    case OXM_VLAN_VID:
        return hold_vlan(get_be16(value), ret);
    case OXM_VLAN_PCP:
        HOLD(OFM_VLAN_PCP, vlan_pcp, *value);
        return *value <= 7;
    case OXM_IP_DSCP:
        HOLD(OFM_IP_DSCP, ip_dscp, *value);
        return *value <= 63;
    case OXM_IP_ECN:
        HOLD(OFM_IP_ECN, ip_ecn, *value);
        return *value <= 3;
    case OXM_IP_PROTO:
        HOLD(OFM_IP_PROTO, ip_proto, *value);
        return true;
    case OXM_IPV4_SRC:
        hold_address(entry, 4, OFM_IP_SRC, &ret->ip_src, &ret->ip_src_mask, ret);
        return true;
    case OXM_IPV4_DST:
        hold_address(entry, 4, OFM_IP_DST, &ret->ip_dst, &ret->ip_dst_mask, ret);
        return true;
    case OXM_IPV6_SRC:
        hold_address(entry, 16, OFM_IP_SRC, &ret->ip_src, &ret->ip_src_mask, ret);
        return true;
    case OXM_IPV6_DST:
        hold_address(entry, 16, OFM_IP_DST, &ret->ip_dst, &ret->ip_dst_mask, ret);
        return true;
    case OXM_TCP_SRC:
    case OXM_UDP_SRC:
    case OXM_SCTP_SRC:
        HOLD(OFM_TP_SRC, tp_src, get_be16(value));
        return true;
    case OXM_TCP_DST:
    case OXM_UDP_DST:
    case OXM_SCTP_DST:
        HOLD(OFM_TP_DST, tp_dst, get_be16(value));
        return true;
    case OXM_ICMPV4_TYPE:
    case OXM_ICMPV6_TYPE:
        HOLD(OFM_ICMP_TYPE, icmp_type, *value);
        return true;
    case OXM_ICMPV4_CODE:
    case OXM_ICMPV6_CODE:
        HOLD(OFM_ICMP_CODE, icmp_code, *value);
        return true;
    case OXM_ARP_OP:
        HOLD(OFM_ARP_OP, arp_op, get_be16(value));
        return true;
    case OXM_ARP_SPA:
        hold_address(entry, 4, OFM_ARP_SPA, &ret->ip_src, &ret->ip_src_mask, ret);
        return true;
    case OXM_ARP_TPA:
        hold_address(entry, 4, OFM_ARP_TPA, &ret->ip_dst, &ret->ip_dst_mask, ret);
        return true;
    case OXM_IPV6_ND_TARGET:
        ret->fields |= OFM_ND_TARGET;
        memcpy(ret->nd_target.bytes, value, 16);
        return true;
    case OXM_MPLS_LABEL:
        HOLD(OFM_MPLS_LABEL, mpls_label, get_be32(value));
        return ret->mpls_label <= 0xfffff;
    case OXM_TUNNEL_ID:
        hold_u64(entry, OFM_TUNNEL_ID, &ret->tunnel_id, &ret->tunnel_id_mask, ret);
        return true;
    default:
        return false; /* Not reached: entry_is_held. */
    }
}

/* Which needs a match meets. */
static unsigned met_by(const struct of_match *match, bool masked_vlan)
{
    unsigned met = 0;
    uint16_t type = match->fields & OFM_ETH_TYPE ? match->eth_type : 0;
    bool icmpv6 = false;
    if (match->fields & OFM_IN_PORT)
        met |= NEED_IN_PORT;
    if (masked_vlan || ((match->fields & OFM_VLAN_VID) && match->vlan_vid != OF_NO_VLAN))
        met |= NEED_VLAN;
    if (type == 0x0800 || type == 0x86dd)
        met |= NEED_IP | (type == 0x0800 ? NEED_IPV4 : NEED_IPV6);
    if (type == 0x0806)
        met |= NEED_ARP;
    if (type == 0x8847 || type == 0x8848)
        met |= NEED_MPLS;
    if (type == 0x88e7)
        met |= NEED_PBB;
    if ((met & NEED_IP) && (match->fields & OFM_IP_PROTO)) {
        icmpv6 = match->ip_proto == 58 && (met & NEED_IPV6);
        met |= match->ip_proto == 6                             ? NEED_TCP
               : match->ip_proto == 17                          ? NEED_UDP
               : match->ip_proto == 132                         ? NEED_SCTP
               : match->ip_proto == 1 && (met & NEED_IPV4) ? NEED_ICMPV4
               : icmpv6                                         ? NEED_ICMPV6
                                                                : 0;
    }
    if (icmpv6 && (match->fields & OFM_ICMP_TYPE) && match->icmp_type == 135)
        met |= NEED_ND | NEED_SOLICITATION;
    if (icmpv6 && (match->fields & OFM_ICMP_TYPE) && match->icmp_type == 136)
        met |= NEED_ND | NEED_ADVERTISEMENT;
    return met;
}

/* A field of the basic class that the standard has. */
static int decode_field(struct entry *entry, const uint8_t *start, struct progress *progress, struct of_match *ret,
                        struct error *error)
{
    const struct field *field = &fields[entry->number];
    size_t size = field->size;
    if (entry->size != size << entry->masked)
        return bad_entry(error, "OFPBMC_BAD_LEN", entry, "has a wrong length");
    progress->needs |= field->needs;
    for (size_t i = 0; entry->mask && i < size; i++)
        if (entry->value[i] & ~entry->mask[i])
            return bad_entry(error, "OFPBMC_BAD_WILDCARDS", entry, "has bits outside its mask");
    bool is_held = entry_is_held(entry);
    if (entry->mask && (field->keeping == HELD_EXACT || field->keeping == OTHER_EXACT))
        return bad_entry(error, "OFPBMC_BAD_MASK", entry, "cannot have a mask");
    if (is_held)
        return hold(entry, ret) ? 0 : bad_entry(error, "OFPBMC_BAD_VALUE", entry, "has a value that it cannot have");
    progress->masked_vlan |= entry->number == OXM_VLAN_VID;
    progress->first_other = progress->first_other ? progress->first_other : start;
    progress->end_other = entry->value + entry->size;
    return 0;
}

static int decode_entry(struct reader *list, struct progress *progress, struct of_match *ret, struct error *error)
{
    const uint8_t *start = list->at;
    struct entry entry;
    /* What a packet_in begins with. */
    if (reader_left(list) >= 8 && get_be32(start) == OXM_HEADER(OXM_IN_PORT, 0, 4) && !(progress->seen[0] & 1)) {
        progress->seen[0] |= 1;
        HOLD(OFM_IN_PORT, in_port, get_be32(start + 4));
        list->at += 8;
        return 0;
    }
    if (!take_entry(list, &entry))
        return of_bad(error, "OFPBMC_BAD_LEN", "match", "a field ends %zu bytes behind the match",
                      (size_t)(list->end - start));
    if (entry.class == OXM_BASIC) {
        uint64_t bit = (uint64_t)1 << (entry.number & 63), *seen = &progress->seen[entry.number >> 6];
        if (*seen & bit)
            return bad_entry(error, "OFPBMC_DUP_FIELD", &entry, "is there twice");
        *seen |= bit;
        if (entry.number < N_OXM_NUMBERS)
            return decode_field(&entry, start, progress, ret, error);
    } else if (entry.class == 0xffff && entry.size < 4) {
        return bad_entry(error, "OFPBMC_BAD_LEN", &entry, "has no room for its experimenter");
    }
    if (entry.masked && entry.size % 2)
        return bad_entry(error, "OFPBMC_BAD_LEN", &entry, "has a mask of another size than the value");
    progress->first_other = progress->first_other ? progress->first_other : start;
    progress->end_other = list->at;
    return 0;
}

int of_match13_decode(struct reader *reader, struct of_match *ret, struct error *error)
{
    struct reader list = *reader;
    const uint8_t *header = reader_take(&list, 4);
    if (!header)
        return of_bad(error, "OFPBMC_BAD_LEN", "match", "is cut: %zu bytes", reader_left(reader));
    size_t size = get_be16(header + 2);
    if (get_be16(header) != 1)
        return of_bad(error, "OFPBMC_BAD_TYPE", "match", "type %u", get_be16(header));
    if (size < 4 || !reader_take(reader, of_padded(size)))
        return of_bad(error, "OFPBMC_BAD_LEN", "match", "length %zu, where %zu bytes are left", size, reader_left(reader));
    list.end = header + size;

    struct progress progress = {0};
    memset(ret, 0, sizeof(*ret));
    while (list.at < list.end) {
        int r = decode_entry(&list, &progress, ret, error);
        if (r < 0)
            return r;
    }
    if (progress.needs) {
        unsigned missing = progress.needs & ~met_by(ret, progress.masked_vlan);
        if (missing)
            return of_bad(error, "OFPBMC_BAD_PREREQ", "match", "fields lack what gives them a meaning (set %#x)", missing);
    }
    if (progress.first_other) {
        ret->fields |= OFM_OTHER;
        ret->others = of_bytes_of(progress.first_other, (size_t)(progress.end_other - progress.first_other));
    }
    return 0;
}

int of_match_other_next(struct of_bytes *others, struct of_bytes *ret_entry)
{
    struct reader list = reader_of(others->data, others->size);
    bool found = false;
    while (!found && list.at < list.end) {
        const uint8_t *start = list.at;
        struct entry entry;
        if (!take_entry(&list, &entry))
            break;
        found = entry.class != OXM_BASIC || entry.number >= N_OXM_NUMBERS ||
                entry.size != fields[entry.number].size << entry.masked || !entry_is_held(&entry);
        *ret_entry = of_bytes_of(start, (size_t)(list.at - start));
    }
    *others = of_bytes_of(list.at, reader_left(&list));
    return found;
}

void of_match_hardware(struct of_match *match, const struct mac_address *mac, uint8_t room[OF_HARDWARE_SIZE])
{
    unsigned number = match->eth_type == 0x0806 ? OXM_ARP_SHA : match->icmp_type == 135 ? OXM_IPV6_ND_SLL : OXM_IPV6_ND_TLL;
    put_be32(room, OXM_HEADER(number, 0, 6));
    memcpy(room + 4, mac->bytes, 6);
    match->fields |= OFM_OTHER;
    match->others = of_bytes_of(room, OF_HARDWARE_SIZE);
}

/* ---- encoding -------------------------------------------------------------------------------------------------- */

static inline uint8_t *put8(uint8_t *at, unsigned number, uint8_t value)
{
    put_be32(at, OXM_HEADER(number, 0, 1));
    at[4] = value;
    return at + 5;
}

static inline uint8_t *put16(uint8_t *at, unsigned number, uint16_t value)
{
    put_be32(at, OXM_HEADER(number, 0, 2));
    put_be16(at + 4, value);
    return at + 6;
}

static inline uint8_t *put32(uint8_t *at, unsigned number, uint32_t value)
{
    put_be32(at, OXM_HEADER(number, 0, 4));
    put_be32(at + 4, value);
    return at + 8;
}

static inline uint8_t *put64(uint8_t *at, unsigned number, uint64_t value, uint64_t mask)
{
    put_be32(at, OXM_HEADER(number, mask != UINT64_MAX, mask != UINT64_MAX ? 16 : 8));
    put_be64(at + 4, value & mask);
    if (mask == UINT64_MAX)
        return at + 12;
    put_be64(at + 12, mask);
    return at + 20;
}

/* A value with a mask of its size, which is left out when it is all ones. */
static inline uint8_t *put_masked(uint8_t *at, unsigned number, const uint8_t *value, const uint8_t *mask, size_t size)
{
    bool exact = true;
    for (size_t i = 0; i < size; i++) {
        exact &= mask[i] == 0xff;
        at[4 + i] = value[i] & mask[i];
    }
    put_be32(at, OXM_HEADER(number, !exact, (uint32_t)(exact ? size : 2 * size)));
    at += 4 + size;
    if (exact)
        return at;
    memcpy(at, mask, size);
    return at + size;
}

static inline uint8_t *put_address(uint8_t *at, unsigned number, const struct ip_address *address, const struct ip_address *mask,
                            bool v4)
{
    if (!v4)
        return put_masked(at, number, address->bytes, mask->bytes, 16);
    uint32_t bits = get_be32(mask->bytes + 12);
    bool exact = bits == UINT32_MAX;
    put_be32(at, OXM_HEADER(number, !exact, exact ? 4 : 8));
    put_be32(at + 4, get_be32(address->bytes + 12) & bits);
    put_be32(at + 8, bits); /* Overwritten by the next field when it is not needed. */
    return at + (exact ? 8 : 12);
}

static uint8_t *put_link_fields(uint8_t *at, const struct of_match *match)
{
    uint32_t held = match->fields;
    if (held & OFM_IN_PORT)
        at = put32(at, OXM_IN_PORT, match->in_port);
    if (held & OFM_IN_PHY_PORT)
        at = put32(at, OXM_IN_PHY_PORT, match->in_phy_port);
    if (held & OFM_METADATA)
        at = put64(at, OXM_METADATA, match->metadata, match->metadata_mask);
    if (held & OFM_ETH_DST)
        at = put_masked(at, OXM_ETH_DST, match->eth_dst.bytes, match->eth_dst_mask.bytes, 6);
    if (held & OFM_ETH_SRC)
        at = put_masked(at, OXM_ETH_SRC, match->eth_src.bytes, match->eth_src_mask.bytes, 6);
    if (held & OFM_ETH_TYPE)
        at = put16(at, OXM_ETH_TYPE, match->eth_type);
    if (held & OFM_VLAN_VID)
        at = put16(at, OXM_VLAN_VID, match->vlan_vid == OF_NO_VLAN ? 0 : OXM_VID_PRESENT | match->vlan_vid);
    if (held & OFM_VLAN_PCP)
        at = put8(at, OXM_VLAN_PCP, match->vlan_pcp);
    return at;
}

static uint8_t *put_transport_fields(uint8_t *at, const struct of_match *match)
{
    uint32_t held = match->fields;
    unsigned first = match->ip_proto == 6 ? OXM_TCP_SRC : match->ip_proto == 17 ? OXM_UDP_SRC : OXM_SCTP_SRC;
    if (held & OFM_TP_SRC)
        at = put16(at, first, match->tp_src);
    if (held & OFM_TP_DST)
        at = put16(at, first + 1, match->tp_dst);
    if (match->ip_proto != 1)
        return at;
    if (held & OFM_ICMP_TYPE)
        at = put8(at, OXM_ICMPV4_TYPE, match->icmp_type);
    if (held & OFM_ICMP_CODE)
        at = put8(at, OXM_ICMPV4_CODE, match->icmp_code);
    return at;
}

static uint8_t *put_ip_fields(uint8_t *at, const struct of_match *match)
{
    uint32_t held = match->fields;
    bool v4 = match->eth_type == 0x0800;
    if (held & OFM_IP_DSCP)
        at = put8(at, OXM_IP_DSCP, match->ip_dscp);
    if (held & OFM_IP_ECN)
        at = put8(at, OXM_IP_ECN, match->ip_ecn);
    if (held & OFM_IP_PROTO)
        at = put8(at, OXM_IP_PROTO, match->ip_proto);
    if ((held & OFM_IP_SRC) && v4)
        at = put_address(at, OXM_IPV4_SRC, &match->ip_src, &match->ip_src_mask, true);
    if ((held & OFM_IP_DST) && v4)
        at = put_address(at, OXM_IPV4_DST, &match->ip_dst, &match->ip_dst_mask, true);
    at = put_transport_fields(at, match);
    if (v4)
        return at;
    if (held & OFM_IP_SRC)
        at = put_address(at, OXM_IPV6_SRC, &match->ip_src, &match->ip_src_mask, false);
    if (held & OFM_IP_DST)
        at = put_address(at, OXM_IPV6_DST, &match->ip_dst, &match->ip_dst_mask, false);
    if (held & OFM_ICMP_TYPE)
        at = put8(at, OXM_ICMPV6_TYPE, match->icmp_type);
    if (held & OFM_ICMP_CODE)
        at = put8(at, OXM_ICMPV6_CODE, match->icmp_code);
    if (held & OFM_ND_TARGET) {
        put_be32(at, OXM_HEADER(OXM_IPV6_ND_TARGET, 0, 16));
        memcpy(at + 4, match->nd_target.bytes, 16);
        at += 20;
    }
    return at;
}

static uint8_t *put_arp_fields(uint8_t *at, const struct of_match *match)
{
    uint32_t held = match->fields;
    if (held & OFM_ARP_OP)
        at = put16(at, OXM_ARP_OP, match->arp_op);
    if (held & OFM_ARP_SPA)
        at = put_address(at, OXM_ARP_SPA, &match->ip_src, &match->ip_src_mask, true);
    if (held & OFM_ARP_TPA)
        at = put_address(at, OXM_ARP_TPA, &match->ip_dst, &match->ip_dst_mask, true);
    return at;
}

/* The fields that the struct holds, by number.  At most OF13_MATCH_MAX_SIZE bytes. */
static uint8_t *put_held(uint8_t *at, const struct of_match *match)
{
    at = put_link_fields(at, match);
    if (match->fields & OFM_ETH_TYPE)
        at = match->eth_type == 0x0806 ? put_arp_fields(at, match) : put_ip_fields(at, match);
    if (match->fields & OFM_MPLS_LABEL)
        at = put32(at, OXM_MPLS_LABEL, match->mpls_label);
    if (match->fields & OFM_TUNNEL_ID)
        at = put64(at, OXM_TUNNEL_ID, match->tunnel_id, match->tunnel_id_mask);
    return at;
}

static void put_entry(struct writer *writer, const uint8_t *entry)
{
    writer_bytes(writer, entry, 4u + entry[3]);
}

/* Weaves the others of the basic class among the held ones, by number; those of other classes follow. */
static int put_all(const struct of_match *match, struct reader held, struct writer *writer)
{
    const uint8_t *by_number[128] = {0};
    struct reader others = reader_of(match->others.data, match->others.size);
    while (others.at < others.end) {
        const uint8_t *start = others.at;
        struct entry entry;
        if (!take_entry(&others, &entry) || (entry.masked && entry.size % 2))
            return -EINVAL;
        if (entry.class != OXM_BASIC)
            continue;
        if (entry.number < N_OXM_NUMBERS && entry.size != fields[entry.number].size << entry.masked)
            return -EINVAL;
        if (entry.number >= N_OXM_NUMBERS || !entry_is_held(&entry)) {
            if (by_number[entry.number])
                return -EINVAL;
            by_number[entry.number] = start;
        }
    }
    for (unsigned number = 0; number < 128; number++) {
        if (held.at < held.end && held.at[2] >> 1 == number) {
            if (by_number[number])
                return -EINVAL;
            put_entry(writer, held.at);
            held.at += 4 + held.at[3];
        } else if (by_number[number]) {
            put_entry(writer, by_number[number]);
        }
    }
    for (others = reader_of(match->others.data, match->others.size); others.at < others.end; others.at += 4 + others.at[3])
        if (get_be16(others.at) != OXM_BASIC)
            put_entry(writer, others.at);
    return 0;
}

int of_match13_encode(const struct of_match *match, struct writer *writer)
{
    size_t start = writer->size, size;
    int r = of_match_check(match);
    if (r == 0 && (match->fields & (OFM_VLAN_PCP | OFM_VLAN_VID)) == OFM_VLAN_PCP && !(match->fields & OFM_OTHER))
        r = -EINVAL;
    if (r < 0)
        return r;

    uint8_t room[OF13_MATCH_MAX_SIZE];
    if (!(match->fields & OFM_OTHER)) {
        bool in_place = !writer->overflow && writer->capacity - start >= sizeof(room);
        uint8_t *wire = in_place ? writer->data + start : room;
        size = (size_t)(put_held(wire + 4, match) - wire);
        memset(wire + size, 0, 8);
        put_be16(wire, 1);
        put_be16(wire + 2, (uint16_t)size);
        if (in_place)
            writer->size += of_padded(size);
        else
            writer_bytes(writer, wire, of_padded(size));
        return writer->overflow ? -ENOBUFS : 0;
    }

    const uint8_t *end = put_held(room, match);
    writer_take(writer, 4);
    r = put_all(match, reader_of(room, (size_t)(end - room)), writer);
    if (r < 0)
        return r;
    size = writer->size - start;
    writer_take(writer, of_padded(size) - size);
    if (writer->overflow)
        return -ENOBUFS;
    if (size > UINT16_MAX)
        return -EMSGSIZE;
    put_be16(writer->data + start, 1);
    put_be16(writer->data + start + 2, (uint16_t)size);
    return 0;
}
