/* IPv4 fragmentation; see fragment.h. */
#include "weft/services/ip/fragment.h"

#include <errno.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/services/packet.h"

#define ETHERNET_SIZE 14
#define IPV4_SIZE 20
#define IPV4_MAX 60
#define MORE_FRAGMENTS 0x2000
#define DO_NOT_FRAGMENT 0x4000

/* The header of pieces but the first: only options that say so are repeated there (RFC 791, 3.1).  Returns its size. */
static size_t copy_header(const uint8_t *ip, uint8_t *ret)
{
    size_t end = (ip[0] & 0xf) * 4u, size = IPV4_SIZE;
    memcpy(ret, ip, IPV4_SIZE);
    for (size_t at = IPV4_SIZE; at < end && ip[at] != 0;) {
        size_t length = ip[at] == 1 ? 1 : at + 1 < end ? ip[at + 1] : 0;
        if (length == 0 || (ip[at] != 1 && length < 2) || length > end - at)
            break;
        if (ip[at] & 0x80) {
            memcpy(ret + size, ip + at, length);
            size += length;
        }
        at += length;
    }
    for (; size % 4; size++)
        ret[size] = 0; /* End of options. */
    ret[0] = (uint8_t)(0x40 | size / 4);
    return size;
}

/* The checksum of a whole datagram, where it was left to a device that will not see the datagram now: written where it belongs in the first
 * piece.  The sum of the pseudo header is in its place, and so in the sum over all of it. */
static void complete_checksum(const uint8_t *ip, const uint8_t *data, size_t size, uint8_t *piece)
{
    size_t at = ip[9] == PROTOCOL_UDP ? 6 : 16;
    if ((ip[9] != PROTOCOL_UDP && ip[9] != PROTOCOL_TCP) || size < at + 2)
        return;
    struct ip_address source = ip_from_v4(get_be32(ip + 12)), destination = ip_from_v4(get_be32(ip + 16));
    if (get_be16(data + at) != pseudo_header_sum(&source, &destination, ip[9], size))
        return;
    uint16_t sum = packet_checksum(data, size);
    put_be16(piece + at, sum || ip[9] == PROTOCOL_TCP ? sum : 0xffff); /* Zero would say "none" (RFC 768). */
}

int ipv4_fragment(const void *frame, size_t size, uint16_t mtu, unsigned index, void *piece, size_t capacity)
{
    struct reader packet = reader_of(frame, size);
    const uint8_t *ethernet = reader_take(&packet, ETHERNET_SIZE), *ip = reader_take(&packet, IPV4_SIZE);
    if (!ethernet || !ip || get_be16(ethernet + 12) != ETHERNET_IPV4 || ip[0] >> 4 != 4)
        return -EBADMSG;
    size_t first_size = (ip[0] & 0xf) * 4u, total = get_be16(ip + 2);
    if (first_size < IPV4_SIZE || total < first_size || total > size - ETHERNET_SIZE)
        return -EBADMSG;
    uint16_t word = get_be16(ip + 6);
    if (word & DO_NOT_FRAGMENT || mtu < IPV4_MAX + 8)
        return -EPROTONOSUPPORT;

    uint8_t header[IPV4_MAX + 3];
    size_t header_size = index ? copy_header(ip, header) : first_size;
    if (!index)
        memcpy(header, ip, first_size);
    size_t per_first = (mtu - first_size) & ~(size_t)7, n_data = total - first_size, from = 0;
    size_t per_piece = index ? (mtu - header_size) & ~(size_t)7 : per_first;
    if (index)
        from = per_first + (index - 1) * per_piece;
    if (from >= n_data)
        return 0;
    size_t n = MIN(per_piece, n_data - from);
    bool is_last = from + n == n_data;

    struct writer writer = writer_of(piece, capacity);
    writer_bytes(&writer, ethernet, ETHERNET_SIZE);
    put_be16(header + 2, (uint16_t)(header_size + n));
    put_be16(header + 6, (uint16_t)((word & ~MORE_FRAGMENTS) + from / 8) | (is_last ? word & MORE_FRAGMENTS : MORE_FRAGMENTS));
    put_be16(header + 10, 0);
    put_be16(header + 10, packet_checksum(header, header_size));
    writer_bytes(&writer, header, header_size);
    uint8_t *to = writer_take(&writer, n);
    if (!to)
        return -ENOBUFS;
    memcpy(to, ip + first_size + from, n);
    if (!index && !(word & 0x3fff))
        complete_checksum(ip, ip + first_size, n_data, to);
    return (int)writer.size;
}
