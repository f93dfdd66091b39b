#include "weft/cli/frame.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "weft/base/util.h"

enum { ETHERNET = 14, IPV4 = 20, IPV6 = 40, UDP = 8, TCP = 20, ICMP = 8, ARP = 28, ND_SOLICITATION = 32 };
enum { PROTOCOL_ICMP = 1, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17, PROTOCOL_ICMPV6 = 58 };

static void put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* The Internet checksum (RFC 1071), not yet folded. */
static uint32_t sum(const uint8_t *bytes, size_t size, uint32_t start)
{
    for (size_t i = 0; i + 1 < size; i += 2)
        start += (uint32_t)bytes[i] << 8 | bytes[i + 1];
    if (size % 2)
        start += (uint32_t)bytes[size - 1] << 8;
    return start;
}

static uint16_t fold(uint32_t total)
{
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return (uint16_t)~total;
}

/* Over the pseudo header (RFC 8200, 8.1; an IPv4 address counts with its four bytes) and 'size' bytes of L4. */
static uint16_t l4_checksum(const struct frame_spec *spec, uint8_t protocol, const uint8_t *l4, size_t size)
{
    bool v4 = ip_is_v4(&spec->source);
    size_t skip = v4 ? 12 : 0;
    uint32_t total = (uint32_t)size + protocol;

    total = sum(spec->source.bytes + skip, 16 - skip, total);
    total = sum(spec->destination.bytes + skip, 16 - skip, total);
    return fold(sum(l4, size, total));
}

static size_t ethernet(const struct frame_spec *spec, uint16_t type, uint8_t *at)
{
    memcpy(at, spec->destination_mac.bytes, 6);
    memcpy(at + 6, spec->source_mac.bytes, 6);
    put16(at + 12, type);
    return ETHERNET;
}

static size_t ip_header(const struct frame_spec *spec, uint8_t protocol, size_t payload, uint8_t hop_limit, uint8_t *at)
{
    if (!ip_is_v4(&spec->source)) {
        at[0] = 0x60;
        put16(at + 4, (uint16_t)payload);
        at[6] = protocol;
        at[7] = hop_limit;
        memcpy(at + 8, spec->source.bytes, 16);
        memcpy(at + 24, spec->destination.bytes, 16);
        return IPV6;
    }
    at[0] = 0x45;
    put16(at + 2, (uint16_t)(IPV4 + payload));
    at[6] = 0x40; /* Do not fragment. */
    at[8] = hop_limit;
    at[9] = protocol;
    memcpy(at + 12, spec->source.bytes + 12, 4);
    memcpy(at + 16, spec->destination.bytes + 12, 4);
    put16(at + 10, fold(sum(at, IPV4, 0)));
    return IPV4;
}

static int build_arp(const struct frame_spec *spec, uint8_t *frame)
{
    uint8_t *arp = frame + ethernet(spec, 0x0806, frame);

    put16(arp, 1);
    put16(arp + 2, 0x0800);
    arp[4] = 6;
    arp[5] = 4;
    put16(arp + 6, 1);
    memcpy(arp + 8, spec->source_mac.bytes, 6);
    memcpy(arp + 14, spec->source.bytes + 12, 4);
    memcpy(arp + 24, spec->destination.bytes + 12, 4);
    return ETHERNET + ARP;
}

/* A neighbor solicitation (RFC 4861, 4.3) to the solicited-node group, with our link-layer address. */
static int build_nd(const struct frame_spec *spec, uint8_t *frame)
{
    struct frame_spec group = *spec;
    uint8_t *at;

    group.destination = (struct ip_address){{0xff, 0x02, [11] = 0x01, [12] = 0xff}};
    memcpy(group.destination.bytes + 13, spec->destination.bytes + 13, 3);
    group.destination_mac = (struct mac_address){{0x33, 0x33, 0xff}};
    memcpy(group.destination_mac.bytes + 3, spec->destination.bytes + 13, 3);
    at = frame + ethernet(&group, 0x86dd, frame);
    at += ip_header(&group, PROTOCOL_ICMPV6, ND_SOLICITATION, 255, at);
    at[0] = 135;
    memcpy(at + 8, spec->destination.bytes, 16);
    at[24] = 1;
    at[25] = 1;
    memcpy(at + 26, spec->source_mac.bytes, 6);
    put16(at + 2, l4_checksum(&group, PROTOCOL_ICMPV6, at, ND_SOLICITATION));
    return ETHERNET + IPV6 + ND_SOLICITATION;
}

static size_t l4_header(const struct frame_spec *spec, uint8_t protocol, uint8_t *at)
{
    size_t checksum_at, size;

    switch (spec->protocol) {
    case FRAME_UDP:
        put16(at, spec->source_port);
        put16(at + 2, spec->destination_port);
        put16(at + 4, (uint16_t)(UDP + spec->payload_size));
        checksum_at = 6;
        size = UDP;
        break;
    case FRAME_TCP:
        put16(at, spec->source_port);
        put16(at + 2, spec->destination_port);
        at[12] = TCP / 4 << 4;
        at[13] = 0x02; /* SYN */
        put16(at + 14, 64240);
        checksum_at = 16;
        size = TCP;
        break;
    default:
        at[0] = protocol == PROTOCOL_ICMP ? 8 : 128;
        put16(at + 4, spec->source_port);
        put16(at + 6, 1);
        checksum_at = 2;
        size = ICMP;
        break;
    }
    /* ICMP for IPv4 has no pseudo header. */
    put16(at + checksum_at, protocol == PROTOCOL_ICMP ? fold(sum(at, size + spec->payload_size, 0))
                                                      : l4_checksum(spec, protocol, at, size + spec->payload_size));
    if (spec->protocol == FRAME_UDP && at[6] == 0 && at[7] == 0)
        put16(at + 6, 0xffff);
    return size + spec->payload_size;
}

int frame_build(const struct frame_spec *spec, uint8_t frame[FRAME_MAX])
{
    bool v4 = ip_is_v4(&spec->source);
    uint8_t protocol = spec->protocol == FRAME_UDP   ? PROTOCOL_UDP
                       : spec->protocol == FRAME_TCP ? PROTOCOL_TCP
                       : v4                          ? PROTOCOL_ICMP
                                                     : PROTOCOL_ICMPV6;
    size_t at, header = spec->protocol == FRAME_TCP ? TCP : UDP;

    if (v4 != ip_is_v4(&spec->destination) || (spec->protocol == FRAME_ARP && !v4) || (spec->protocol == FRAME_ND && v4))
        return -EINVAL;
    if (spec->payload_size > FRAME_MAX - ETHERNET - IPV6 - TCP)
        return -EMSGSIZE;
    memset(frame, 0, FRAME_MAX);
    if (spec->protocol == FRAME_ARP)
        return build_arp(spec, frame);
    if (spec->protocol == FRAME_ND)
        return build_nd(spec, frame);
    at = ethernet(spec, v4 ? 0x0800 : 0x86dd, frame);
    at += ip_header(spec, protocol, header + spec->payload_size, 64, frame + at);
    at += l4_header(spec, protocol, frame + at);
    return (int)at;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int frame_parse_hex(const char *text, uint8_t frame[FRAME_MAX])
{
    size_t size = 0;

    while (*text) {
        if (isspace((unsigned char)*text) || *text == ':') {
            text++;
            continue;
        }
        if (digit(text[0]) < 0 || !text[1] || digit(text[1]) < 0)
            return -EINVAL;
        if (size == FRAME_MAX)
            return -EMSGSIZE;
        frame[size++] = (uint8_t)(digit(text[0]) << 4 | digit(text[1]));
        text += 2;
    }
    return size ? (int)size : -EINVAL;
}

void frame_format_hex(const uint8_t *frame, size_t size, char *text)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < size; i++) {
        text[2 * i] = digits[frame[i] >> 4];
        text[2 * i + 1] = digits[frame[i] & 15];
    }
    text[2 * size] = '\0';
}
