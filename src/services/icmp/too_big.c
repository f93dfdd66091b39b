/* ICMP errors for packets that are too big; see too_big.h. */
#include "weft/services/icmp/too_big.h"

#include <errno.h>

#include "weft/base/util.h"
#include "weft/services/packet.h"

#define QUOTE_IPV4 548 /* RFC 1812, 4.3.2.3: the error is at most 576 bytes. */
#define QUOTE_IPV6 (1280 - 40 - 8)

/* An error is never the answer to an error. */
static bool is_icmp4_error(const uint8_t *message)
{
    uint8_t type = message[0];
    return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

static int parse4(struct reader packet, struct frame *headers, size_t *ret_quote)
{
    size_t size = reader_left(&packet);
    const uint8_t *ip = reader_take(&packet, 20);
    if (!ip || ip[0] >> 4 != 4 || (ip[0] & 0xf) < 5)
        return -EBADMSG;
    const uint8_t *options = reader_take(&packet, (ip[0] & 0xf) * 4u - 20), *message = reader_take(&packet, 8);
    if (!options || !message)
        return -EBADMSG;
    if (!(ip[6] & 0x40) || get_be16(ip + 6) & 0x1fff || (ip[9] == 1 && is_icmp4_error(message)))
        return -EPROTONOSUPPORT;
    headers->source = ip_from_v4(get_be32(ip + 16));
    headers->destination = ip_from_v4(get_be32(ip + 12));
    headers->protocol = 1;
    *ret_quote = MIN(size, (size_t)QUOTE_IPV4);
    return 0;
}

static int parse6(struct reader packet, struct frame *headers, size_t *ret_quote)
{
    size_t size = reader_left(&packet);
    const uint8_t *ip = reader_take(&packet, 40), *message = reader_take(&packet, 8);
    if (!ip || !message || ip[0] >> 4 != 6)
        return -EBADMSG;
    if (ip[6] == PROTOCOL_ICMPV6 && message[0] < 128)
        return -EPROTONOSUPPORT;
    memcpy(headers->destination.bytes, ip + 8, 16);
    memcpy(headers->source.bytes, ip + 24, 16);
    headers->protocol = PROTOCOL_ICMPV6;
    *ret_quote = MIN(size, (size_t)QUOTE_IPV6);
    return 0;
}

int too_big_reply(const struct mac_address *server_mac, uint16_t mtu, const void *offending, size_t size, void *reply,
                  size_t capacity)
{
    struct reader packet = reader_of(offending, size);
    const uint8_t *ethernet = reader_take(&packet, 14);
    struct frame headers = {.source_mac = *server_mac, .hop_limit = 64};
    size_t quote = 0;
    if (!ethernet)
        return -EBADMSG;
    memcpy(headers.destination_mac.bytes, ethernet + 6, 6);
    uint16_t type = get_be16(ethernet + 12);
    int error = type == ETHERNET_IPV4   ? parse4(packet, &headers, &quote)
                : type == ETHERNET_IPV6 ? parse6(packet, &headers, &quote)
                                        : -EBADMSG;
    if (error < 0)
        return error;
    struct ip_address broadcast = ip_from_v4(UINT32_MAX);
    if (ip_is_zero(&headers.destination) || ip_is_multicast(&headers.destination) || ip_is_multicast(&headers.source) ||
        ip_equal(&headers.source, &broadcast) || ip_equal(&headers.destination, &broadcast) ||
        ip_is_zero(&headers.source) || mac_is_multicast(&headers.destination_mac))
        return -EPROTONOSUPPORT;

    struct writer writer = writer_of(reply, capacity);
    frame_begin(&writer, &headers);
    if (type == ETHERNET_IPV4) {
        writer_u8(&writer, 3); /* Destination unreachable: */
        writer_u8(&writer, 4); /* fragmentation needed. */
        writer_u32(&writer, 0);
        writer_u16(&writer, mtu);
    } else {
        writer_u8(&writer, 2);
        writer_u8(&writer, 0);
        writer_u16(&writer, 0);
        writer_u32(&writer, mtu);
    }
    writer_bytes(&writer, packet.at, quote);
    return frame_end(&writer);
}
