#include "frames.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void add(struct bytes *bytes, const void *data, size_t size)
{
    assert(bytes->size + size <= sizeof(bytes->data));
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

void add8(struct bytes *bytes, unsigned value)
{
    add(bytes, &(uint8_t){(uint8_t)value}, 1);
}

void add16(struct bytes *bytes, unsigned value)
{
    add8(bytes, value >> 8);
    add8(bytes, value & 255);
}

void add32(struct bytes *bytes, uint32_t value)
{
    add16(bytes, value >> 16);
    add16(bytes, value & 0xffff);
}

void add_hex(struct bytes *bytes, const char *hex)
{
    for (; *hex; hex++) {
        unsigned byte;
        if (isspace((unsigned char)*hex))
            continue;
        if (sscanf(hex, "%2x", &byte) != 1)
            abort();
        add8(bytes, byte);
        hex++;
    }
}

struct mac_address mac(const char *text)
{
    struct mac_address result;
    if (mac_parse(text, &result) < 0)
        abort();
    return result;
}

struct ip_address ip(const char *text)
{
    struct ip_address result;
    if (ip_parse(text, &result) < 0)
        abort();
    return result;
}

struct ip_prefix prefix(const char *text)
{
    struct ip_prefix result;
    if (prefix_parse(text, &result) < 0)
        abort();
    return result;
}

void add_ip(struct bytes *bytes, const char *address)
{
    struct ip_address result = ip(address);
    if (ip_is_v4(&result))
        add(bytes, result.bytes + 12, 4);
    else
        add(bytes, result.bytes, 16);
}

static uint32_t sum(uint32_t total, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        total += i % 2 ? data[i] : (uint32_t)data[i] << 8;
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return total;
}

static struct bytes ip_frame(const char *source_mac, const char *source, const char *destination, unsigned protocol,
                             unsigned hop_limit, const struct bytes *message)
{
    struct bytes frame = {0};
    struct mac_address from = mac(source_mac);
    struct ip_address to = ip(destination);
    add_hex(&frame, ip_is_v4(&to) ? "ff ff ff ff ff ff" : "33 33 00 01 00 02");
    add(&frame, from.bytes, 6);
    if (ip_is_v4(&to)) {
        add16(&frame, 0x0800);
        add8(&frame, 0x45);
        add8(&frame, 0);
        add16(&frame, 20 + (unsigned)message->size);
        add32(&frame, 0);
        add8(&frame, hop_limit);
        add8(&frame, protocol);
        add16(&frame, 0);
        add_ip(&frame, source);
        add_ip(&frame, destination);
        uint32_t checksum = ~sum(0, frame.data + 14, 20);
        frame.data[24] = (uint8_t)(checksum >> 8);
        frame.data[25] = (uint8_t)checksum;
    } else {
        add16(&frame, 0x86dd);
        add32(&frame, 0x60000000);
        add16(&frame, (unsigned)message->size);
        add8(&frame, protocol);
        add8(&frame, hop_limit);
        add_ip(&frame, source);
        add_ip(&frame, destination);
    }
    add(&frame, message->data, message->size);
    return frame;
}

struct bytes udp_frame(const char *source_mac, const char *source, unsigned source_port, const char *destination,
                       unsigned destination_port, const struct bytes *message)
{
    struct bytes udp = {0};
    add16(&udp, source_port);
    add16(&udp, destination_port);
    add16(&udp, 8 + (unsigned)message->size);
    add16(&udp, 0); /* Left to a NIC that there is not. */
    add(&udp, message->data, message->size);
    return ip_frame(source_mac, source, destination, 17, 64, &udp);
}

struct bytes icmp6_frame(const char *source_mac, const char *source, const char *destination, unsigned hop_limit,
                         const struct bytes *message)
{
    struct bytes frame = ip_frame(source_mac, source, destination, 58, hop_limit, message);
    uint8_t *icmp = frame.data + 54;
    icmp[2] = icmp[3] = 0;
    uint32_t checksum = ~sum(sum(58 + (uint32_t)message->size, frame.data + 22, 32), icmp, message->size);
    icmp[2] = (uint8_t)(checksum >> 8);
    icmp[3] = (uint8_t)checksum;
    return frame;
}

uint8_t *exact(const uint8_t *data, size_t size)
{
    uint8_t *block = malloc(size ? size : 1);
    if (!block)
        abort();
    memcpy(block, data, size);
    return block;
}

bool frame_is_sound(const uint8_t *frame, size_t size, const uint8_t **ret_message, size_t *ret_size)
{
    if (size < 14 + 20 + 8)
        return false;
    const uint8_t *header = frame + 14;
    bool v4 = frame[12] == 8;
    size_t header_size = v4 ? 20 : 40, left = size - 14 - header_size;
    uint8_t protocol = v4 ? header[9] : header[6];
    if (v4 && (header[0] != 0x45 || (size_t)(header[2] << 8 | header[3]) != size - 14 || sum(0, header, 20) != 0xffff))
        return false;
    if (!v4 && (header[0] != 0x60 || (size_t)(header[4] << 8 | header[5]) != left))
        return false;
    const uint8_t *message = header + header_size;
    uint32_t total = sum(protocol + (uint32_t)left, v4 ? header + 12 : header + 8, v4 ? 8 : 32);
    if (sum(total, message, left) != 0xffff)
        return false;
    if (protocol == 17 && ((size_t)(message[4] << 8 | message[5]) != left || (message[6] | message[7]) == 0))
        return false;
    size_t skip = protocol == 17 ? 8 : 0;
    *ret_message = message + skip;
    *ret_size = left - skip;
    return true;
}
