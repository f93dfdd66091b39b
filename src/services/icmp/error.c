/* ICMP errors; see error.h. */
#include "weft/services/icmp/error.h"

#include <errno.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/services/packet.h"

#define QUOTE_IPV4 548 /* RFC 1812, 4.3.2.3: the error is at most 576 bytes. */
#define QUOTE_IPV6 (1280 - 40 - 8)
#define ROUTER_TTL 64

struct offender {
    struct ip_address source, destination;
    size_t quote;        /* How much of it fits into the error. */
    uint16_t unknown_at; /* IPv6: the offset of what names its protocol. */
};

/* An error is never the answer to an error, nor to a redirect (RFC 4443, 2.4). */
static bool is_icmp4_error(uint8_t type)
{
    return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

static bool is_icmp6_error(uint8_t type)
{
    return type < 128 || type == 137;
}

static int parse4(struct reader packet, enum icmp_error_kind kind, struct offender *ret)
{
    size_t size = reader_left(&packet);
    const uint8_t *ip = reader_take(&packet, 20);
    if (!ip || ip[0] >> 4 != 4 || (ip[0] & 0xf) < 5)
        return -EBADMSG;
    const uint8_t *options = reader_take(&packet, (ip[0] & 0xf) * 4u - 20), *message = reader_take(&packet, 8);
    if (!options || !message)
        return -EBADMSG;
    if ((kind == ICMP_TOO_BIG && !(ip[6] & 0x40)) || get_be16(ip + 6) & 0x1fff || (ip[9] == 1 && is_icmp4_error(message[0])))
        return -EPROTONOSUPPORT;
    ret->source = ip_from_v4(get_be32(ip + 12));
    ret->destination = ip_from_v4(get_be32(ip + 16));
    ret->quote = MIN(size, (size_t)QUOTE_IPV4);
    return 0;
}

static int parse6(struct reader packet, struct offender *ret)
{
    size_t size = reader_left(&packet);
    const uint8_t *ip = reader_take(&packet, 40), *header;
    if (!ip || ip[0] >> 4 != 6)
        return -EBADMSG;
    const uint8_t *next = ip + 6;
    while (*next == 0 || *next == 43 || *next == 44 || *next == 51 || *next == 60) { /* RFC 8200, 4; RFC 4302. */
        header = reader_take(&packet, 8);
        if (!header)
            return -EBADMSG;
        if (*next == 44 && get_be16(header + 2) & 0xfff8)
            return -EPROTONOSUPPORT;
        size_t rest = *next == 44 ? 0 : *next == 51 ? header[1] * 4u : header[1] * 8u;
        if (!reader_take(&packet, rest))
            return -EBADMSG;
        next = header;
    }
    const uint8_t *message = reader_take(&packet, 8);
    if (!message)
        return -EBADMSG;
    if (*next == PROTOCOL_ICMPV6 && is_icmp6_error(message[0]))
        return -EPROTONOSUPPORT;
    memcpy(ret->source.bytes, ip + 8, 16);
    memcpy(ret->destination.bytes, ip + 24, 16);
    ret->quote = MIN(size, (size_t)QUOTE_IPV6);
    ret->unknown_at = (uint16_t)(next - ip);
    return 0;
}

/* A single host, that can be told something (RFC 1122, 3.2.2). */
static bool is_host(const struct ip_address *address)
{
    static const struct ip_address loopback6 = {{[15] = 1}};
    if (ip_is_zero(address) || ip_is_multicast(address))
        return false;
    if (ip_is_v4(address))
        return address->bytes[12] != 0 && address->bytes[12] != 127 && address->bytes[12] < 224;
    return !ip_equal(address, &loopback6);
}

static bool is_told(const struct offender *offender)
{
    struct ip_address broadcast = ip_from_v4(UINT32_MAX);
    return is_host(&offender->source) && !ip_is_zero(&offender->destination) && !ip_is_multicast(&offender->destination) &&
           !ip_equal(&offender->destination, &broadcast);
}

static void write4(struct writer *writer, const struct icmp_error *error)
{
    switch (error->kind) {
    case ICMP_TIME_EXCEEDED:
        writer_u16(writer, 11 << 8);
        break;
    case ICMP_UNREACHABLE:
        writer_u16(writer, (uint16_t)(3 << 8 | error->code));
        break;
    case ICMP_TOO_BIG:
        writer_u16(writer, 3 << 8 | 4); /* Fragmentation needed. */
    }
    writer_u32(writer, 0);
    writer_u16(writer, error->kind == ICMP_TOO_BIG ? error->mtu : 0);
}

static void write6(struct writer *writer, const struct icmp_error *error, const struct offender *offender)
{
    static const uint8_t codes[] = {[ICMP_NO_ROUTE] = 0, [ICMP_NO_HOST] = 3, [ICMP_NO_PORT] = 4, [ICMP_PROHIBITED] = 1};
    uint16_t type = 2 << 8;
    uint32_t value = 0;
    if (error->kind == ICMP_TIME_EXCEEDED) {
        type = 3 << 8;
    } else if (error->kind == ICMP_TOO_BIG) {
        value = error->mtu;
    } else if (error->code == ICMP_NO_PROTOCOL) {
        type = 4 << 8 | 1; /* Parameter problem: unrecognized next header, at */
        value = offender->unknown_at;
    } else {
        type = (uint16_t)(1 << 8 | codes[error->code]);
    }
    writer_u16(writer, type);
    writer_u16(writer, 0);
    writer_u32(writer, value);
}

/* The quoted packet is the one that the router saw. */
static void age_quote(uint8_t *ip, uint8_t hops)
{
    bool v4 = ip[0] >> 4 == 4;
    uint8_t *ttl = v4 ? ip + 8 : ip + 7;
    *ttl = (uint8_t)(*ttl > hops ? *ttl - hops : 0);
    if (v4 && hops) {
        put_be16(ip + 10, 0);
        put_be16(ip + 10, packet_checksum(ip, (ip[0] & 0xf) * 4u));
    }
}

int icmp_error_reply(const struct icmp_error *error, const void *offending, size_t size, void *reply, size_t capacity)
{
    struct reader packet = reader_of(offending, size);
    const uint8_t *ethernet = reader_take(&packet, 14);
    struct offender offender = {0};
    if (!ethernet || (error->kind == ICMP_UNREACHABLE && error->code > ICMP_NO_PORT && error->code != ICMP_PROHIBITED))
        return -EBADMSG;
    uint16_t type = get_be16(ethernet + 12);
    int result = type == ETHERNET_IPV4   ? parse4(packet, error->kind, &offender)
                 : type == ETHERNET_IPV6 ? parse6(packet, &offender)
                                         : -EBADMSG;
    if (result < 0)
        return result;
    if (!is_told(&offender) || ethernet[0] & 1 || ethernet[6] & 1)
        return -EPROTONOSUPPORT;

    struct frame headers = {
        .source_mac = error->source_mac,
        .source = ip_is_zero(&error->source) ? offender.destination : error->source,
        .destination = offender.source,
        .protocol = type == ETHERNET_IPV4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6,
        .hop_limit = (uint8_t)(error->hops < ROUTER_TTL ? ROUTER_TTL - error->hops : 1), /* It passed them again. */
    };
    memcpy(headers.destination_mac.bytes, ethernet + 6, 6);
    if (ip_is_v4(&headers.source) != ip_is_v4(&headers.destination))
        return -EPROTONOSUPPORT;
    struct writer writer = writer_of(reply, capacity);
    frame_begin(&writer, &headers);
    if (type == ETHERNET_IPV4)
        write4(&writer, error);
    else
        write6(&writer, error, &offender);
    uint8_t *quote = writer_take(&writer, offender.quote);
    if (!quote)
        return -ENOBUFS;
    memcpy(quote, packet.at, offender.quote);
    age_quote(quote, error->hops);
    return frame_end(&writer);
}
