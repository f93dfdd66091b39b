/* Frames around a message: Ethernet, IPv4, IPv6 and UDP, read and written with the cursors of base/bytes.h.
 *
 * Standards: RFC 894 and 2464 (Ethernet), RFC 791 (IPv4), RFC 8200 (IPv6), RFC 768 (UDP), RFC 792, RFC 1071 (checksum).
 */
#ifndef WEFT_SERVICES_PACKET_H
#define WEFT_SERVICES_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weft/base/address.h"
#include "weft/base/bytes.h"

/* A domain name as labels (RFC 1035, 3.1), not compressed; a final dot is optional.  -EINVAL for an empty or overlong
 * label or name: nothing is written then. */
int writer_domain(struct writer *writer, const char *name);

/* ---- frames ---------------------------------------------------------------------------------------------------- */

#define ETHERNET_IPV4 0x0800
#define ETHERNET_IPV6 0x86dd
#define PROTOCOL_ICMP 1
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17
#define PROTOCOL_ICMPV6 58

/* The headers of a frame, and its message. */
struct frame {
    struct mac_address source_mac, destination_mac;
    struct ip_address source, destination; /* Both of one family. */
    uint8_t protocol;                      /* PROTOCOL_UDP or PROTOCOL_ICMPV6. */
    uint8_t hop_limit;
    uint16_t source_port, destination_port; /* UDP; else 0. */
    struct reader payload;                  /* Behind the UDP header, or the whole ICMPv6 message. Read only. */
};

/* Takes a frame apart.  Padding behind the IP packet is left out.  The IPv4 header's checksum and an ICMPv6 one are
 * checked; a UDP one is not: a workload's frame reaches us before a NIC would have filled it in. Returns 0; -EBADMSG
 * for one that contradicts itself or was cut; -EPROTONOSUPPORT for what is not plain UDP or ICMPv6 (fragments,
 * extension headers, VLAN tags). */
int frame_parse(const void *bytes, size_t size, struct frame *ret);

/* Writes the headers (all but 'payload' is used; ICMP over IPv4 is fine here, and TCP, whose header the caller writes), then the caller
 * writes the message, then frame_end fills in lengths and checksums.  The writer must be empty before.  frame_end returns the
 * frame's size, or -ENOBUFS. */
void frame_begin(struct writer *writer, const struct frame *headers);
int frame_end(struct writer *writer);

/* ---- checksums (RFC 1071) -------------------------------------------------------------------------------------- */

/* Over 'bytes': 0 when one that is right is among them. */
uint16_t packet_checksum(const uint8_t *bytes, size_t size);

/* What a checksum field holds that a device is still to fill in: the sum, not inverted, of the pseudo header (RFC 768; RFC 8200, 8.1) of a
 * message of 'size' bytes. */
uint16_t pseudo_header_sum(const struct ip_address *source, const struct ip_address *destination, uint8_t protocol,
                           size_t size);

#endif
