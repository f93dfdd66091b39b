/* ICMP echo requests, and the replies to them (RFC 792; RFC 4443, 4.1 and 4.2).  Bytes only.
 *
 * The probe's key travels as the data, so that replies are told apart even where the kernel chooses the identifier. */
#ifndef WEFT_HEALTH_ICMP_MESSAGE_H
#define WEFT_HEALTH_ICMP_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ECHO_KEY_SIZE 16
#define ECHO_SIZE (8 + ECHO_KEY_SIZE)

/* The checksum of ICMPv4 is there; that of ICMPv6, which covers addresses, is the kernel's to fill in. */
void echo_write_request(uint8_t ret_message[ECHO_SIZE], bool is_v4, uint16_t id, uint16_t sequence, const uint8_t key[ECHO_KEY_SIZE]);

/* The key of an echo reply, within 'message'; NULL: it is none.  'has_ip_header': an IPv4 header comes first, as from raw sockets. */
const uint8_t *echo_read_reply(const uint8_t *message, size_t size, bool is_v4, bool has_ip_header);

#endif
