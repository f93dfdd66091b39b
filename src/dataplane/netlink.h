/* rtnetlink(7) over libmnl: sockets, a request and its answers, notifications.  Not thread-safe. */
#ifndef WEFT_DATAPLANE_NETLINK_H
#define WEFT_DATAPLANE_NETLINK_H

#include <libmnl/libmnl.h>
#include <stddef.h>

#include "weft/base/cleanup.h"

/* A socket that hears the groups (RTNLGRP_...).  0 or -errno; the caller closes it. */
int netlink_open(const int *groups, size_t n_groups, struct mnl_socket **ret_socket);
void netlink_close(struct mnl_socket *socket); /* NULL is fine. */
DEFINE_CLEANUP(struct mnl_socket *, netlink_close);

/* Sends 'message', whose flags and sequence it completes, and gives each answer to 'visit' (may be NULL) until the last.  'socket' must
 * hear no groups; NULL opens one for this request (8 us).  Returns 0 or -errno: the kernel's, or that of a 'visit' that returned MNL_CB_ERROR.
 *
 * A list (NLM_F_DUMP) that changes while the kernel gives it is asked for again, a few times: 'visit' then sees what it has seen
 * before.  What still changes after that comes as a notification to whoever listens. */
int netlink_request(struct mnl_socket *socket, struct nlmsghdr *message, mnl_cb_t visit, void *context);

/* Gives every notification that is there to 'visit', without waiting.  Returns 0; -ENOBUFS when some were lost, so that whoever follows
 * something asks for all of it and calls again; or -errno. */
int netlink_read(struct mnl_socket *socket, mnl_cb_t visit, void *context);

#endif
