/* Frames taken apart and put together; see packet.h. */
#include "weft/services/packet.h"

#include <errno.h>
#include <string.h>

#define ETHERNET_SIZE 14
#define IPV4_SIZE 20
#define IPV6_SIZE 40
#define UDP_SIZE 8

int writer_domain(struct writer *writer, const char *name)
{
    uint8_t wire[255];
    size_t size = 0;
    while (*name) {
        size_t length = strcspn(name, ".");
        if (length == 0 || length > 63 || size + 1 + length + 1 > sizeof(wire))
            return -EINVAL;
        wire[size++] = (uint8_t)length;
        memcpy(wire + size, name, length);
        size += length;
        name += length;
        if (*name == '.')
            name++;
    }
    if (size == 0)
        return -EINVAL;
    wire[size++] = 0;
    writer_bytes(writer, wire, size);
    return 0;
}

/* ---- checksums (RFC 1071) -------------------------------------------------------------------------------------- */

static uint32_t sum_bytes(uint32_t sum, const uint8_t *bytes, size_t size)
{
    for (; size > 1; bytes += 2, size -= 2)
        sum += get_be16(bytes);
    return size ? sum + ((uint32_t)*bytes << 8) : sum;
}

static uint16_t sum_fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

uint16_t packet_checksum(const uint8_t *bytes, size_t size)
{
    return sum_fold(sum_bytes(0, bytes, size));
}

/* The mapped form of an IPv4 address would add 0xffff twice, so its four bytes are taken. */
static uint32_t sum_pseudo_header(const struct ip_address *source, const struct ip_address *destination, uint8_t protocol,
                                  size_t size)
{
    size_t skip = ip_is_v4(source) ? 12 : 0;
    uint32_t sum = sum_bytes(protocol + (uint32_t)size, source->bytes + skip, 16 - skip);
    return sum_bytes(sum, destination->bytes + skip, 16 - skip);
}

uint16_t pseudo_header_sum(const struct ip_address *source, const struct ip_address *destination, uint8_t protocol,
                           size_t size)
{
    return (uint16_t)~sum_fold(sum_pseudo_header(source, destination, protocol, size));
}

static uint16_t transport_checksum(const struct ip_address *source, const struct ip_address *destination,
                                   uint8_t protocol, const uint8_t *bytes, size_t size)
{
    return sum_fold(sum_bytes(sum_pseudo_header(source, destination, protocol, size), bytes, size));
}

/* ---- parsing --------------------------------------------------------------------------------------------------- */

/* Each returns 0 and leaves 'packet' at what follows, cut to the length that the header states. */

static int parse_ipv4(struct reader *packet, struct frame *ret)
{
    const uint8_t *start = packet->at;
    const uint8_t *header = reader_take(packet, IPV4_SIZE);
    if (!header || header[0] >> 4 != 4)
        return -EBADMSG;
    size_t header_size = (header[0] & 0xf) * 4u, total = get_be16(header + 2);
    if (header_size < IPV4_SIZE || total < header_size || total > (size_t)(packet->end - start) ||
        sum_fold(sum_bytes(0, start, header_size)) != 0)
        return -EBADMSG;
    if (get_be16(header + 6) & 0x3fff) /* More fragments, or an offset. */
        return -EPROTONOSUPPORT;
    *packet = reader_of(start + header_size, total - header_size);
    ret->hop_limit = header[8];
    ret->protocol = header[9];
    ret->source = ip_from_v4(get_be32(header + 12));
    ret->destination = ip_from_v4(get_be32(header + 16));
    return 0;
}

static int parse_ipv6(struct reader *packet, struct frame *ret)
{
    const uint8_t *header = reader_take(packet, IPV6_SIZE);
    if (!header || header[0] >> 4 != 6)
        return -EBADMSG;
    size_t size = get_be16(header + 4);
    if (size > reader_left(packet))
        return -EBADMSG;
    packet->end = packet->at + size;
    ret->protocol = header[6];
    ret->hop_limit = header[7];
    memcpy(ret->source.bytes, header + 8, 16);
    memcpy(ret->destination.bytes, header + 24, 16);
    return 0;
}

static int parse_udp(struct reader *packet, struct frame *ret)
{
    const uint8_t *header = reader_take(packet, UDP_SIZE);
    if (!header)
        return -EBADMSG;
    size_t size = get_be16(header + 4);
    if (size < UDP_SIZE || size - UDP_SIZE > reader_left(packet))
        return -EBADMSG;
    packet->end = packet->at + size - UDP_SIZE;
    ret->source_port = get_be16(header);
    ret->destination_port = get_be16(header + 2);
    return 0;
}

int frame_parse(const void *bytes, size_t size, struct frame *ret)
{
    struct reader packet = reader_of(bytes, size);
    const uint8_t *ethernet = reader_take(&packet, ETHERNET_SIZE);
    if (!ethernet)
        return -EBADMSG;

    struct frame frame = {0};
    memcpy(frame.destination_mac.bytes, ethernet, 6);
    memcpy(frame.source_mac.bytes, ethernet + 6, 6);
    uint16_t type = get_be16(ethernet + 12);
    int error = type == ETHERNET_IPV4   ? parse_ipv4(&packet, &frame)
                : type == ETHERNET_IPV6 ? parse_ipv6(&packet, &frame)
                                        : -EPROTONOSUPPORT;
    if (error < 0)
        return error;

    if (frame.protocol == PROTOCOL_UDP) {
        error = parse_udp(&packet, &frame);
        if (error < 0)
            return error;
    } else if (frame.protocol == PROTOCOL_ICMPV6 && type == ETHERNET_IPV6) {
        if (reader_left(&packet) < 4 || transport_checksum(&frame.source, &frame.destination, PROTOCOL_ICMPV6,
                                                           packet.at, reader_left(&packet)) != 0)
            return -EBADMSG;
    } else {
        return -EPROTONOSUPPORT;
    }
    frame.payload = packet;
    *ret = frame;
    return 0;
}

/* ---- building -------------------------------------------------------------------------------------------------- */

void frame_begin(struct writer *writer, const struct frame *headers)
{
    bool v4 = ip_is_v4(&headers->source);
    writer_bytes(writer, headers->destination_mac.bytes, 6);
    writer_bytes(writer, headers->source_mac.bytes, 6);
    writer_u16(writer, v4 ? ETHERNET_IPV4 : ETHERNET_IPV6);
    if (v4) {
        writer_u8(writer, 0x45);
        writer_u8(writer, 0);
        writer_u16(writer, 0);      /* Total length: frame_end. */
        writer_u16(writer, 0);      /* Identification: of no use in what is never fragmented (RFC 6864). */
        writer_u16(writer, 0x4000); /* Do not fragment. */
        writer_u8(writer, headers->hop_limit);
        writer_u8(writer, headers->protocol);
        writer_u16(writer, 0); /* Checksum: frame_end. */
        writer_bytes(writer, headers->source.bytes + 12, 4);
        writer_bytes(writer, headers->destination.bytes + 12, 4);
    } else {
        writer_u32(writer, 0x60000000);
        writer_u16(writer, 0); /* Payload length: frame_end. */
        writer_u8(writer, headers->protocol);
        writer_u8(writer, headers->hop_limit);
        writer_bytes(writer, headers->source.bytes, 16);
        writer_bytes(writer, headers->destination.bytes, 16);
    }
    if (headers->protocol == PROTOCOL_UDP) {
        writer_u16(writer, headers->source_port);
        writer_u16(writer, headers->destination_port);
        writer_u32(writer, 0); /* Length and checksum: frame_end. */
    }
}

int frame_end(struct writer *writer)
{
    if (writer->overflow || writer->size < ETHERNET_SIZE + IPV4_SIZE + 4 || writer->size - ETHERNET_SIZE > UINT16_MAX)
        return -ENOBUFS;

    uint8_t *ip = writer->data + ETHERNET_SIZE;
    bool v4 = ip[0] >> 4 == 4;
    size_t header_size = v4 ? IPV4_SIZE : IPV6_SIZE, size = writer->size - ETHERNET_SIZE - header_size;
    uint8_t *message = ip + header_size, protocol = v4 ? ip[9] : ip[6];
    struct ip_address source, destination;
    if (v4) {
        put_be16(ip + 2, (uint16_t)(header_size + size));
        put_be16(ip + 10, sum_fold(sum_bytes(0, ip, IPV4_SIZE)));
        source = ip_from_v4(get_be32(ip + 12));
        destination = ip_from_v4(get_be32(ip + 16));
    } else {
        put_be16(ip + 4, (uint16_t)size);
        memcpy(source.bytes, ip + 8, 16);
        memcpy(destination.bytes, ip + 24, 16);
    }
    if (protocol == PROTOCOL_UDP) {
        put_be16(message + 4, (uint16_t)size);
        uint16_t checksum = transport_checksum(&source, &destination, protocol, message, size);
        put_be16(message + 6, checksum ? checksum : 0xffff); /* Zero would say "none" (RFC 768). */
    } else if (protocol == PROTOCOL_TCP) {
        put_be16(message + 16, transport_checksum(&source, &destination, protocol, message, size));
    } else if (v4) {
        put_be16(message + 2, sum_fold(sum_bytes(0, message, size))); /* ICMP: no pseudo header (RFC 792). */
    } else {
        put_be16(message + 2, transport_checksum(&source, &destination, protocol, message, size));
    }
    return (int)writer->size;
}
