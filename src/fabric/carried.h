/* ARP and ND that switches carry by themselves, where entries are put in advance.
 *
 * Hosts ask each other again and again whether their neighbours are still there, by unicast (RFC 1122, 2.3.2.1; RFC 4861, 7.3.3), and stop sending
 * to one that does not answer: were the controller needed for that, traffic would end some seconds after it did.  So what a host says to
 * another of the address that is known to be its own goes the way of all its frames.  Anything else that it says of addresses - to all, of
 * a new address, of another's, or with another's MAC - comes to the controller, which learns from it, answers it, or refuses it. */
#ifndef WEFT_FABRIC_CARRIED_H
#define WEFT_FABRIC_CARRIED_H

#include "weft/fabric/state.h"

/* No frame is both of these and a discovery frame, so that they need no priority between. */
#define PRIORITY_CARRIED 65535
#define CARRIED_MAX 3

struct carried {
    struct of_match match;
    uint8_t hardware[OF_HARDWARE_SIZE]; /* Of the match. */
};

/* The matches of what 'host' at 'port' says of 'address' to another host; returns how many.  They point into themselves: not to be copied. */
size_t carried_from_host(const struct host *host, const struct fabric_port *port, const struct ip_address *address,
                         struct carried ret[CARRIED_MAX]);

/* The matches of what came over the link at 'port', where it was looked at before. */
size_t carried_over_link(const struct fabric_port *port, struct carried ret[CARRIED_MAX]);

/* Of an entry in a switch: is it one of a host's, and of which address? */
bool carried_address(const struct of_match *match, struct ip_address *ret);

#endif
