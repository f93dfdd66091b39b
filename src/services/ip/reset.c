/* Resets; see reset.h. */
#include "weft/services/ip/reset.h"

#include <errno.h>
#include <string.h>

#include "weft/services/packet.h"

#define ROUTER_TTL 64
#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define ACK 0x10

/* Leaves 'packet' at the TCP header, and sets how long the segment is, header included. */
static int parse_ip(struct reader *packet, uint16_t type, struct frame *headers, size_t *ret_size)
{
    const uint8_t *ip = reader_take(packet, type == ETHERNET_IPV4 ? 20 : 40);
    if (!ip || ip[0] >> 4 != (type == ETHERNET_IPV4 ? 4 : 6))
        return -EBADMSG;
    if (type == ETHERNET_IPV4) {
        size_t header_size = (ip[0] & 0xf) * 4u, total = get_be16(ip + 2);
        if (header_size < 20 || total < header_size || !reader_take(packet, header_size - 20))
            return -EBADMSG;
        if (ip[9] != PROTOCOL_TCP || get_be16(ip + 6) & 0x3fff)
            return -EPROTONOSUPPORT;
        headers->source = ip_from_v4(get_be32(ip + 16));
        headers->destination = ip_from_v4(get_be32(ip + 12));
        *ret_size = total - header_size;
    } else {
        if (ip[6] != PROTOCOL_TCP)
            return -EPROTONOSUPPORT;
        memcpy(headers->source.bytes, ip + 24, 16);
        memcpy(headers->destination.bytes, ip + 8, 16);
        *ret_size = get_be16(ip + 4);
    }
    return 0;
}

int tcp_reset_reply(const void *segment, size_t size, uint8_t hops, void *reply, size_t capacity)
{
    struct reader packet = reader_of(segment, size);
    const uint8_t *ethernet = reader_take(&packet, 14);
    struct frame headers = {.protocol = PROTOCOL_TCP, .hop_limit = (uint8_t)(hops < ROUTER_TTL ? ROUTER_TTL - hops : 1)};
    size_t length;
    if (!ethernet)
        return -EBADMSG;
    uint16_t type = get_be16(ethernet + 12);
    if (type != ETHERNET_IPV4 && type != ETHERNET_IPV6)
        return -EPROTONOSUPPORT;
    int error = parse_ip(&packet, type, &headers, &length);
    if (error < 0)
        return error;
    const uint8_t *tcp = reader_take(&packet, 20);
    if (!tcp || (tcp[12] >> 4) * 4u < 20 || (tcp[12] >> 4) * 4u > length)
        return -EBADMSG;
    uint8_t flags = tcp[13];
    if (flags & RST)
        return 0;
    memcpy(headers.source_mac.bytes, ethernet, 6);
    memcpy(headers.destination_mac.bytes, ethernet + 6, 6);

    struct writer writer = writer_of(reply, capacity);
    frame_begin(&writer, &headers);
    writer_u16(&writer, get_be16(tcp + 2));
    writer_u16(&writer, get_be16(tcp));
    if (flags & ACK) {
        writer_u32(&writer, get_be32(tcp + 8));
        writer_u32(&writer, 0);
        writer_u16(&writer, 5 << 12 | RST);
    } else {
        size_t n = length - (tcp[12] >> 4) * 4u + !!(flags & SYN) + !!(flags & FIN);
        writer_u32(&writer, 0);
        writer_u32(&writer, get_be32(tcp + 4) + (uint32_t)n);
        writer_u16(&writer, 5 << 12 | RST | ACK);
    }
    writer_u16(&writer, 0); /* Window. */
    writer_u32(&writer, 0); /* Checksum: frame_end; urgent pointer. */
    return frame_end(&writer);
}

static int write_frame(const struct tcp_ends *ends, uint32_t sequence, uint16_t flags, void *frame, size_t capacity)
{
    struct frame headers = {
        .source_mac = ends->source_mac,
        .destination_mac = ends->destination_mac,
        .source = ends->source,
        .destination = ends->destination,
        .protocol = PROTOCOL_TCP,
        .hop_limit = ROUTER_TTL,
    };
    struct writer writer = writer_of(frame, capacity);

    frame_begin(&writer, &headers);
    writer_u16(&writer, ends->source_port);
    writer_u16(&writer, ends->destination_port);
    writer_u32(&writer, sequence);
    writer_u32(&writer, 0);
    writer_u16(&writer, (uint16_t)(5 << 12 | flags));
    writer_u16(&writer, 0); /* Window. */
    writer_u32(&writer, 0); /* Checksum: frame_end; urgent pointer. */
    return frame_end(&writer);
}

int tcp_reset_frame(const struct tcp_ends *ends, uint32_t sequence, void *frame, size_t capacity)
{
    return write_frame(ends, sequence, RST, frame, capacity);
}

int tcp_wake_frame(const struct tcp_ends *ends, void *frame, size_t capacity)
{
    return write_frame(ends, 0, ACK, frame, capacity);
}
