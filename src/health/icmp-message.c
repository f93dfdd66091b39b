/* See icmp-message.h. */
#include "weft/health/icmp-message.h"

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#include "weft/base/bytes.h"

#define IP_HEADER_MIN 20

static uint16_t checksum(const uint8_t *bytes, size_t size)
{
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < size; i += 2)
        sum += get_be16(bytes + i);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

void echo_write_request(uint8_t ret_message[ECHO_SIZE], bool is_v4, uint16_t id, uint16_t sequence, const uint8_t key[ECHO_KEY_SIZE])
{
    memset(ret_message, 0, 4);
    ret_message[0] = is_v4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
    put_be16(ret_message + 4, id);
    put_be16(ret_message + 6, sequence);
    memcpy(ret_message + 8, key, ECHO_KEY_SIZE);
    if (is_v4)
        put_be16(ret_message + 2, checksum(ret_message, ECHO_SIZE));
}

const uint8_t *echo_read_reply(const uint8_t *message, size_t size, bool is_v4, bool has_ip_header)
{
    if (has_ip_header) {
        size_t header = size >= IP_HEADER_MIN ? (size_t)(message[0] & 0xf) * 4 : 0;

        if (header < IP_HEADER_MIN || header > size)
            return NULL;
        message += header;
        size -= header;
    }
    if (size < ECHO_SIZE || message[0] != (is_v4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY) || message[1] != 0)
        return NULL;
    return message + 8;
}
