/* Reading and writing frames: cursors that check bounds inside, and Ethernet, IPv4, IPv6 and UDP around a message.
 *
 * Standards: RFC 894 and 2464 (Ethernet), RFC 791 (IPv4), RFC 8200 (IPv6), RFC 768 (UDP), RFC 792, RFC 1071 (checksum).
 */
#ifndef WEFT_SERVICES_PACKET_H
#define WEFT_SERVICES_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "weft/base/address.h"

/* ---- a reader: what is left of borrowed bytes ------------------------------------------------------------------ */

struct reader {
    const uint8_t *at, *end;
};

static inline struct reader reader_of(const void *bytes, size_t size)
{
    return (struct reader){bytes, (const uint8_t *)bytes + size};
}

static inline size_t reader_left(const struct reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

/* The next 'size' bytes, which are then behind the cursor; NULL when fewer are left, and nothing moves. */
static inline const uint8_t *reader_take(struct reader *reader, size_t size)
{
    const uint8_t *at = reader->at;
    if (size > reader_left(reader))
        return NULL;
    reader->at += size;
    return at;
}

/* Numbers in network order.  Return false, with '*ret' untouched, at the end. */
bool reader_u8(struct reader *reader, uint8_t *ret);
bool reader_u16(struct reader *reader, uint16_t *ret);
bool reader_u32(struct reader *reader, uint32_t *ret);

static inline uint16_t get_be16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static inline uint32_t get_be32(const uint8_t *bytes)
{
    return (uint32_t)get_be16(bytes) << 16 | get_be16(bytes + 2);
}

static inline void put_be16(uint8_t *bytes, uint16_t value)
{
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

static inline void put_be32(uint8_t *bytes, uint32_t value)
{
    put_be16(bytes, (uint16_t)(value >> 16));
    put_be16(bytes + 2, (uint16_t)value);
}

/* ---- a writer: into borrowed bytes of a fixed size ------------------------------------------------------------- */

/* What does not fit is not written and sets 'overflow', which is asked once at the end. */
struct writer {
    uint8_t *data;
    size_t size, capacity;
    bool overflow;
};

static inline struct writer writer_of(void *bytes, size_t capacity)
{
    return (struct writer){.data = bytes, .capacity = capacity};
}

/* Room for 'size' bytes, zeroed, to be filled by the caller; NULL when there is none. */
uint8_t *writer_take(struct writer *writer, size_t size);
void writer_u8(struct writer *writer, uint8_t value);
void writer_u16(struct writer *writer, uint16_t value);
void writer_u32(struct writer *writer, uint32_t value);
void writer_bytes(struct writer *writer, const void *bytes, size_t size);

/* A domain name as labels (RFC 1035, 3.1), not compressed; a final dot is optional.  -EINVAL for an empty or overlong
 * label or name: nothing is written then. */
int writer_domain(struct writer *writer, const char *name);

/* ---- frames ---------------------------------------------------------------------------------------------------- */

#define ETHERNET_IPV4 0x0800
#define ETHERNET_IPV6 0x86dd
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

/* Writes the headers (all but 'payload' is used; ICMP over IPv4 is fine here), then the caller writes the message, then
 * frame_end fills in lengths and checksums.  The writer must be empty before.  frame_end returns the frame's size, or
 * -ENOBUFS. */
void frame_begin(struct writer *writer, const struct frame *headers);
int frame_end(struct writer *writer);

#endif
