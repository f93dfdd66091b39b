#include "weft/fabric/frame.h"

#include <errno.h>
#include <string.h>

#include "weft/base/util.h"

#define ARP_SIZE 28
#define PROTOCOL_ICMP 1
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17
#define PROTOCOL_ICMPV6 58
#define PROTOCOL_SCTP 132
#define ND_SOLICITATION 135
#define ND_ADVERTISEMENT 136
#define ND_OPTION_SOURCE 1
#define ND_OPTION_TARGET 2

static struct ip_address v4_at(const uint8_t *bytes)
{
    return ip_from_v4(get_be32(bytes));
}

/* ---- what is inside -------------------------------------------------------------------------------------------------- */

static void classify_ports(const uint8_t *bytes, size_t size, struct flow_tuple *tuple)
{
    switch (tuple->protocol) {
    case PROTOCOL_TCP:
    case PROTOCOL_UDP:
    case PROTOCOL_SCTP:
        if (size >= 4) {
            tuple->source_port = get_be16(bytes);
            tuple->destination_port = get_be16(bytes + 2);
        }
        break;
    case PROTOCOL_ICMP:
    case PROTOCOL_ICMPV6:
        if (size >= 2)
            tuple->source_port = get_be16(bytes);
        break;
    }
}

static int classify_ipv4(const uint8_t *bytes, size_t size, struct fabric_frame *frame)
{
    struct flow_tuple *tuple = &frame->tuple;
    size_t header;
    uint16_t fragment;

    if (size < 20 || bytes[0] >> 4 != 4)
        return -EBADMSG;
    header = (size_t)(bytes[0] & 0xf) * 4;
    if (header < 20 || header > size)
        return -EBADMSG;
    frame->traffic_class = bytes[1];
    fragment = get_be16(bytes + 6);
    tuple->protocol = bytes[9];
    tuple->source = v4_at(bytes + 12);
    tuple->destination = v4_at(bytes + 16);
    tuple->is_fragment = (fragment & 0x3fff) != 0;
    if (!(fragment & 0x1fff))
        classify_ports(bytes + header, size - header, tuple);
    return 0;
}

static void classify_nd(const uint8_t *bytes, size_t size, struct fabric_frame *frame)
{
    uint8_t wanted;

    if (size < 24 || (bytes[0] != ND_SOLICITATION && bytes[0] != ND_ADVERTISEMENT) || bytes[1] != 0)
        return;
    wanted = bytes[0] == ND_SOLICITATION ? ND_OPTION_SOURCE : ND_OPTION_TARGET;
    frame->neighbor = bytes[0] == ND_SOLICITATION ? NEIGHBOR_REQUEST : NEIGHBOR_REPLY;
    memcpy(frame->target.bytes, bytes + 8, 16);
    frame->sender = bytes[0] == ND_SOLICITATION ? frame->tuple.source : frame->target;
    for (size_t at = 24; at + 8 <= size;) {
        size_t length = (size_t)bytes[at + 1] * 8;

        if (!length || length > size - at)
            return;
        if (bytes[at] == wanted) {
            memcpy(frame->sender_mac.bytes, bytes + at + 2, 6);
            return;
        }
        at += length;
    }
}

static int classify_ipv6(const uint8_t *bytes, size_t size, struct fabric_frame *frame)
{
    struct flow_tuple *tuple = &frame->tuple;
    size_t at = 40;
    uint8_t next;

    if (size < 40 || bytes[0] >> 4 != 6)
        return -EBADMSG;
    frame->traffic_class = (uint8_t)(bytes[0] << 4 | bytes[1] >> 4);
    memcpy(tuple->source.bytes, bytes + 8, 16);
    memcpy(tuple->destination.bytes, bytes + 24, 16);
    next = bytes[6];
    for (unsigned i = 0; i < FRAME_EXTENSIONS_MAX && (next == 0 || next == 43 || next == 44 || next == 60); i++) {
        if (at + 8 > size)
            break;
        if (next == 44) {
            uint16_t offset = get_be16(bytes + at + 2);

            tuple->is_fragment = (offset & 0xfff9) != 0;
            next = bytes[at];
            at += 8;
            if (offset & 0xfff8) { /* No ports in later fragments. */
                tuple->protocol = 44; /* As Open vSwitch calls what it does not look into. */
                return 0;
            }
        } else {
            next = bytes[at];
            at += ((size_t)bytes[at + 1] + 1) * 8;
        }
    }
    tuple->protocol = next;
    if (at < size) {
        classify_ports(bytes + at, size - at, tuple);
        if (next == PROTOCOL_ICMPV6 && bytes[7] == 255) /* RFC 4861, 7.1: hop limit 255. */
            classify_nd(bytes + at, size - at, frame);
    }
    return 0;
}

static int classify_arp(const uint8_t *bytes, size_t size, struct fabric_frame *frame)
{
    uint16_t operation;

    if (size < ARP_SIZE)
        return -EBADMSG;
    operation = get_be16(bytes + 6);
    if (get_be16(bytes) != 1 || get_be16(bytes + 2) != ETHERTYPE_IPV4 || bytes[4] != 6 || bytes[5] != 4 ||
        (operation != 1 && operation != 2))
        return 0; /* Of another hardware or protocol: just a frame. */
    frame->neighbor = operation == 1 ? NEIGHBOR_REQUEST : NEIGHBOR_REPLY;
    memcpy(frame->sender_mac.bytes, bytes + 8, 6);
    frame->sender = v4_at(bytes + 14);
    frame->target = v4_at(bytes + 24);
    return 0;
}

int frame_classify(const uint8_t *bytes, size_t size, struct fabric_frame *ret)
{
    struct flow_tuple *tuple = &ret->tuple;
    size_t at = 14;

    memset(ret, 0, sizeof(*ret));
    ret->vlan = FRAME_NO_VLAN;
    if (size < 14)
        return -EBADMSG;
    memcpy(tuple->destination_mac.bytes, bytes, 6);
    memcpy(tuple->source_mac.bytes, bytes + 6, 6);
    tuple->ethertype = get_be16(bytes + 12);
    if (tuple->ethertype == ETHERTYPE_VLAN) {
        if (size < 18)
            return -EBADMSG;
        ret->vlan = get_be16(bytes + 14) & 0xfff;
        tuple->vlan = ret->vlan;
        tuple->ethertype = get_be16(bytes + 16);
        at = 18;
    }
    ret->payload = at;
    if (tuple->ethertype == ETHERTYPE_IPV4)
        return classify_ipv4(bytes + at, size - at, ret);
    if (tuple->ethertype == ETHERTYPE_IPV6)
        return classify_ipv6(bytes + at, size - at, ret);
    if (tuple->ethertype == ETHERTYPE_ARP)
        return classify_arp(bytes + at, size - at, ret);
    return 0;
}

/* ---- frames of our own -------------------------------------------------------------------------------------------------- */

static struct writer begin(uint8_t *frame, const struct mac_address *to, const struct mac_address *from, uint16_t vlan, uint16_t ethertype)
{
    struct writer writer = writer_of(frame, FRAME_OWN_MAX);

    writer_bytes(&writer, to->bytes, 6);
    writer_bytes(&writer, from->bytes, 6);
    if (vlan != FRAME_NO_VLAN) {
        writer_u16(&writer, ETHERTYPE_VLAN);
        writer_u16(&writer, vlan);
    }
    writer_u16(&writer, ethertype);
    return writer;
}

static void put_arp(struct writer *writer, uint16_t operation, const struct mac_address *sender_mac, const struct ip_address *sender,
                    const struct mac_address *target_mac, const struct ip_address *target)
{
    writer_u16(writer, 1);
    writer_u16(writer, ETHERTYPE_IPV4);
    writer_u8(writer, 6);
    writer_u8(writer, 4);
    writer_u16(writer, operation);
    writer_bytes(writer, sender_mac->bytes, 6);
    writer_bytes(writer, sender->bytes + 12, 4);
    writer_bytes(writer, target_mac->bytes, 6);
    writer_bytes(writer, target->bytes + 12, 4);
}

/* An ICMPv6 message with its IPv6 header in front (RFC 4443, 2.3: the checksum covers the pseudo-header). */
static void put_icmpv6(struct writer *writer, const struct ip_address *from, const struct ip_address *to, const uint8_t *message, size_t size)
{
    uint8_t *header = writer_take(writer, 40), *body = writer_take(writer, size);
    uint32_t sum = (uint32_t)size + PROTOCOL_ICMPV6;

    if (!header || !body)
        return;
    header[0] = 0x60;
    put_be16(header + 4, (uint16_t)size);
    header[6] = PROTOCOL_ICMPV6;
    header[7] = 255;
    memcpy(header + 8, from->bytes, 16);
    memcpy(header + 24, to->bytes, 16);
    memcpy(body, message, size);
    for (size_t i = 8; i < 40; i += 2)
        sum += get_be16(header + i);
    for (size_t i = 0; i < size; i += 2)
        sum += get_be16(body + i);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    put_be16(body + 2, (uint16_t)~sum);
}

size_t frame_neighbor_reply(const struct fabric_frame *request, const struct mac_address *mac, uint8_t *frame)
{
    const struct flow_tuple *asker = &request->tuple;
    bool is_dad = ip_is_zero(&request->sender);
    struct writer writer;

    if (asker->ethertype == ETHERTYPE_ARP) {
        writer = begin(frame, &asker->source_mac, mac, request->vlan, ETHERTYPE_ARP);
        put_arp(&writer, 2, mac, &request->target, &request->sender_mac, &request->sender);
    } else {
        static const struct mac_address all_nodes_mac = {{0x33, 0x33, 0, 0, 0, 1}};
        static const struct ip_address all_nodes = {{0xff, 0x02, [15] = 1}};
        uint8_t message[32] = {ND_ADVERTISEMENT, 0, 0, 0, is_dad ? 0x20 : 0x60}; /* Override; solicited. */

        memcpy(message + 8, request->target.bytes, 16);
        message[24] = ND_OPTION_TARGET;
        message[25] = 1;
        memcpy(message + 26, mac->bytes, 6);
        writer = begin(frame, is_dad ? &all_nodes_mac : &asker->source_mac, mac, request->vlan, ETHERTYPE_IPV6);
        put_icmpv6(&writer, &request->target, is_dad ? &all_nodes : &asker->source, message, sizeof(message));
    }
    return writer.size;
}

size_t frame_neighbor_probe(const struct ip_address *address, const struct mac_address *mac, const struct mac_address *own_mac,
                            uint16_t vlan, uint8_t *frame)
{
    static const struct mac_address nobody;
    static const struct ip_address unspecified_v6;
    struct ip_address unspecified_v4 = ip_from_v4(0);
    struct writer writer;

    if (ip_is_v4(address)) {
        writer = begin(frame, mac, own_mac, vlan, ETHERTYPE_ARP);
        put_arp(&writer, 1, own_mac, &unspecified_v4, &nobody, address);
    } else {
        uint8_t message[24] = {ND_SOLICITATION};
        struct ip_address solicited = {{0xff, 0x02, [11] = 1, [12] = 0xff}}; /* RFC 4291, 2.7.1. */

        memcpy(message + 8, address->bytes, 16);
        memcpy(solicited.bytes + 13, address->bytes + 13, 3);
        writer = begin(frame, mac, own_mac, vlan, ETHERTYPE_IPV6);
        put_icmpv6(&writer, &unspecified_v6, &solicited, message, sizeof(message));
    }
    return writer.size;
}
