/* Cutting IPv4 packets for a smaller MTU: RFC 791, 2.3 and 3.2. */
#ifndef WEFT_SERVICES_IP_FRAGMENT_H
#define WEFT_SERVICES_IP_FRAGMENT_H

#include <stddef.h>
#include <stdint.h>

/* Writes the 'index'-th piece (from 0) of the frame whose IPv4 packet is to be cut to 'mtu' bytes and may be; it may be a fragment itself.
 * A UDP or TCP checksum that a virtual device was left to fill in (it still is the sum of the pseudo header) is filled in.
 * Returns the piece's size, a whole frame; 0 behind the last; -EBADMSG for a frame that is no complete IPv4 packet; -EPROTONOSUPPORT when it
 * says "do not fragment", or 'mtu' leaves no room for data; -ENOBUFS. */
int ipv4_fragment(const void *frame, size_t size, uint16_t mtu, unsigned index, void *piece, size_t capacity);

#endif
