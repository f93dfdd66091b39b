/* Following rtnetlink: see netlink-watch.h. */
#include "weft/dataplane/netlink-watch.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "weft/base/log.h"

#define ROUNDS_AT_ONCE 4 /* Of looking at everything, while messages go on being lost; then it is others' turn. */
#define RETRY_MS 1000

static int ignore(const struct nlmsghdr *message, void *context)
{
    return MNL_CB_OK;
}

/* Reading what is left does not only make room: the kernel drops everything until the socket is empty.  Messages from before the loss
 * would undo what is listed after it. */
static void throw_away(struct netlink_watch *watch)
{
    for (int i = 0; i < ROUNDS_AT_ONCE; i++)
        if (netlink_read(watch->socket, ignore, NULL) == 0)
            return;
}

static void try_again(uv_timer_t *timer);

/* Whether everything is known by now. */
static bool catch_up(struct netlink_watch *watch)
{
    int result = 0;

    throw_away(watch);
    if (watch->owner->look_again)
        result = watch->owner->look_again(watch->owner->context);
    watch->is_behind = result < 0;
    if (result < 0) {
        log_warning("%s cannot be listed: %s; it is tried again", watch->owner->what, strerror(-result));
        uv_timer_start(&watch->retry, try_again, RETRY_MS, 0);
    }
    return result == 0;
}

static void try_again(uv_timer_t *timer)
{
    struct netlink_watch *watch = timer->data;

    if (watch->is_behind && catch_up(watch))
        watch->owner->changed(watch->owner->context);
}

static void take_messages(struct netlink_watch *watch)
{
    const struct netlink_watch_owner *owner = watch->owner;

    for (int i = 0; i < ROUNDS_AT_ONCE; i++) {
        int result = netlink_read(watch->socket, owner->take ? owner->take : ignore, owner->context);

        if (result == 0)
            return;
        log_warning("%s changed faster than they could be read (%s); everything is looked at again", owner->what, strerror(-result));
        if (!catch_up(watch))
            return;
    }
}

static void readable(uv_poll_t *poll, int status, int events)
{
    struct netlink_watch *watch = poll->data;

    take_messages(watch); /* This takes the socket's error, too, and says what it was. */
    if (status < 0)
        uv_poll_start(poll, UV_READABLE, readable); /* It was stopped. */
    watch->owner->changed(watch->owner->context);
}

int netlink_watch_open(struct netlink_watch *watch, const int *groups, size_t n_groups, const struct netlink_watch_owner *owner)
{
    *watch = (struct netlink_watch){.owner = owner};
    return netlink_open(groups, n_groups, &watch->socket);
}

void netlink_watch_start(struct netlink_watch *watch, uv_loop_t *loop)
{
    uv_poll_init(loop, &watch->poll, mnl_socket_get_fd(watch->socket));
    uv_timer_init(loop, &watch->retry);
    watch->poll.data = watch->retry.data = watch;
    uv_poll_start(&watch->poll, UV_READABLE, readable);
}

void netlink_watch_close(struct netlink_watch *watch)
{
    if (watch->poll.data) {
        uv_close((uv_handle_t *)&watch->poll, NULL);
        uv_close((uv_handle_t *)&watch->retry, NULL);
    }
    netlink_close(watch->socket);
    watch->socket = NULL;
}
