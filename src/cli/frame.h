/* Builds the frame whose way 'weft trace' follows: Ethernet, IPv4 or IPv6, and UDP, TCP, ICMP echo, ARP or ND, with
 * right lengths and checksums. */
#ifndef WEFT_CLI_FRAME_H
#define WEFT_CLI_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "weft/base/address.h"

#define FRAME_MAX 9216 /* Bytes. */

enum frame_protocol { FRAME_UDP, FRAME_TCP, FRAME_ICMP, FRAME_ARP, FRAME_ND };

struct frame_spec {
    struct mac_address source_mac, destination_mac;
    struct ip_address source, destination; /* Of one family. */
    enum frame_protocol protocol;          /* FRAME_ICMP is ICMPv6 for IPv6; FRAME_ARP and FRAME_ND ask for 'destination'. */
    uint16_t source_port, destination_port;
    size_t payload_size;                   /* Bytes behind the L4 header, zero. */
};

/* Writes at most FRAME_MAX bytes.  Returns the size, or -EINVAL (families differ, ARP over IPv6, ND over IPv4) or
 * -EMSGSIZE. */
int frame_build(const struct frame_spec *spec, uint8_t frame[FRAME_MAX]);

/* "0a1b2c", with blanks and colons between bytes allowed.  Returns the size, or -EINVAL, -EMSGSIZE. */
int frame_parse_hex(const char *text, uint8_t frame[FRAME_MAX]);

/* 'text' takes 2 * size + 1 bytes. */
void frame_format_hex(const uint8_t *frame, size_t size, char *text);

#endif
