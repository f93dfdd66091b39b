/* What the host itself uses an interface for, so that no workload is given it: a program on it takes every frame, those of
 * the person who is logged in through it too.
 *
 * The kernel is asked at that moment, not what rtnetlink has told so far: an address that was set an instant ago counts. */
#ifndef WEFT_AGENT_HOST_USE_H
#define WEFT_AGENT_HOST_USE_H

#include <stdbool.h>

#include "weft/base/address.h"

struct host_use {
    bool is_used;
    bool may_be_forced; /* Addresses or routes that nothing of ours depends on: a person may know better. */
    char why[160];      /* What follows the interface's name: "has the address 192.0.2.7". */
};

/* The interface is the host's when it is the loopback, a tunnel or no Ethernet device, a bridge or bond, in one (but not in
 * weft-room), carries a VLAN or the like, leads to one of 'remotes', or has addresses, routes or the default route; link-local IPv6, which
 * every interface has, does not count.  Returns 0 with '*ret', or -errno when the kernel cannot be asked (-ENODEV: no such
 * interface; -EINTR: interfaces change faster than they can be listed). */
int host_use_find(uint32_t ifindex, const struct ip_address *remotes, size_t n_remotes, struct host_use *ret);

#endif
