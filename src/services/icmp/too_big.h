/* Telling a workload that its packet is larger than the network carries, so that path MTU discovery works on a network
 * with no router.  The sender's stack sees the error as coming from the packet's destination: an address that it
 * certainly has a route to, whatever reverse-path filter it runs.
 *
 * Standards: RFC 792 and 1191, 4 (fragmentation needed), RFC 4443, 2.4 and 3.2 (packet too big), RFC 1122, 3.2.2 and
 * RFC 1812, 4.3.2 (what is never answered). */
#ifndef WEFT_SERVICES_ICMP_TOO_BIG_H
#define WEFT_SERVICES_ICMP_TOO_BIG_H

#include <stddef.h>
#include <stdint.h>

#include "weft/base/address.h"

#define TOO_BIG_REPLY_MAX 1294 /* A frame with the least IPv6 MTU. */

/* 'offending' is the beginning of the frame ('size' bytes, at least its IP header), 'mtu' what would have passed.
 * Returns the reply's size; -EBADMSG for a frame that is no IP or too short; -EPROTONOSUPPORT for one that must not be
 * answered (an ICMP error, a group or unspecified source, a group destination, IPv4 that may be fragmented, a fragment
 * that is not the first). */
int too_big_reply(const struct mac_address *server_mac, uint16_t mtu, const void *offending, size_t size, void *reply,
                  size_t capacity);

#endif
