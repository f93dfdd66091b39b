/* How the host reaches servers: the addresses that packets to them come from, and their neighbors, which the kernel is asked to keep
 * resolved (it does so by itself since Linux 5.16; before, it is asked again each time).  No answer is waited for. */
#ifndef WEFT_DIRECTOR_REACH_H
#define WEFT_DIRECTOR_REACH_H

#include "weft/base/address.h"

/* The host's own address of packets to 'address'; zero without a route. */
struct ip_address reach_source(const struct ip_address *address);

/* Has the next hop towards 'address' resolved.  0, -ENETUNREACH (no route, or one that leads nowhere), or -errno. */
int reach_resolve(const struct ip_address *address);

/* Has it resolved once, not for ever.  As reach_resolve. */
int reach_ask(const struct ip_address *address);

/* By which interface the host's routes lead there.  0 or -errno. */
int reach_interface(const struct ip_address *address, uint32_t *ret_ifindex);

#endif
