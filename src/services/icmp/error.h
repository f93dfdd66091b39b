/* ICMP and ICMPv6 errors about packets of workloads, in the name of the routers that they ended at, and of networks without a router:
 * then the error comes from the packet's destination, an address that the sender certainly has a route to, whatever
 * reverse-path filter it runs.
 *
 * Standards: RFC 792, RFC 1191, 4 (the next MTU), RFC 4443; RFC 1812, 4.3.2 and RFC 4443, 2.4 (how much is quoted, and what is never
 * answered), RFC 1812, 5.2.7.1 (what a firewall forbids). */
#ifndef WEFT_SERVICES_ICMP_ERROR_H
#define WEFT_SERVICES_ICMP_ERROR_H

#include <stddef.h>
#include <stdint.h>

#include "weft/base/address.h"

enum icmp_error_kind { ICMP_TOO_BIG, ICMP_TIME_EXCEEDED, ICMP_UNREACHABLE };
enum icmp_unreachable { ICMP_NO_ROUTE, ICMP_NO_HOST, ICMP_NO_PROTOCOL, ICMP_NO_PORT, ICMP_PROHIBITED = 13 }; /* As ICMP's codes. */

struct icmp_error {
    enum icmp_error_kind kind;
    uint8_t code;                  /* UNREACHABLE: enum icmp_unreachable. */
    uint16_t mtu;                  /* TOO_BIG: what would have passed. */
    struct mac_address source_mac; /* The sender's gateway. */
    struct ip_address source;      /* Of the router, of the packet's family; zero: the packet's destination. */
    uint8_t hops;                  /* Routers before that one: the packet that it saw had so much less of a TTL. */
};

#define ICMP_ERROR_MAX 1294 /* A frame with the least IPv6 MTU. */

/* 'offending' is the beginning of the frame as the workload sent it ('size' bytes, at least its IP header and 8 bytes).
 * Returns the error's size, to be sent to the workload; -EBADMSG for a frame that is no IP or too short; -EPROTONOSUPPORT for one
 * that must not be answered: an ICMP error or redirect, a source that is no single host, a destination that is a group, a
 * fragment that is not the first; about its size, IPv4 that may be fragmented. */
int icmp_error_reply(const struct icmp_error *error, const void *offending, size_t size, void *reply, size_t capacity);

#endif
