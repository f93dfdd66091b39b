/* Following what the kernel says by rtnetlink(7), from a loop: each message to its owner, and word when some were lost.
 *
 * The kernel keeps a bounded number of messages for a socket.  When more come than are read, it drops them, and sets the socket's error
 * (ENOBUFS).  libuv then stops watching the socket, so a watch begins again; and what was read until then is old, so it is thrown away,
 * and the owner is told to look at everything again.  Not thread-safe. */
#ifndef WEFT_DATAPLANE_NETLINK_WATCH_H
#define WEFT_DATAPLANE_NETLINK_WATCH_H

#include <stdbool.h>
#include <uv.h>

#include "weft/dataplane/netlink.h"

struct netlink_watch_owner {
    const char *what;                /* "interfaces": for the log. */
    int (*take)(const struct nlmsghdr *message, void *context); /* As libmnl's; NULL: that there are messages is enough. */
    int (*look_again)(void *context); /* Some were lost: lists everything anew.  0 or -errno: it is called again, a second later.  May be NULL. */
    void (*changed)(void *context);  /* After each batch, and after everything was looked at again. */
    void *context;
};

struct netlink_watch {
    uv_poll_t poll;
    uv_timer_t retry;
    struct mnl_socket *socket;
    const struct netlink_watch_owner *owner;
    bool is_behind; /* Messages were lost, and not everything has been looked at since. */
};

/* Opens a socket that hears the groups (RTNLGRP_...).  Keeps 'owner'.  Messages that come from now on wait for netlink_watch_start(), so that what is
 * listed in between misses nothing.  0 or -errno, with nothing to close. */
int netlink_watch_open(struct netlink_watch *watch, const int *groups, size_t n_groups, const struct netlink_watch_owner *owner);

/* From now on the owner is told, on 'loop'. */
void netlink_watch_start(struct netlink_watch *watch, uv_loop_t *loop);

/* The loop must run once more.  A watch of zeroes, or one that was not started, is fine. */
void netlink_watch_close(struct netlink_watch *watch);

#endif
