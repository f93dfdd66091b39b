#include "weft/dataplane/netlink.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>

#define BUFFER_SIZE 32768
#define DUMP_TRIES 5 /* While the list changes under the reading. */

int netlink_open(const int *groups, size_t n_groups, struct mnl_socket **ret_socket)
{
    _cleanup_(netlink_closep) struct mnl_socket *socket = mnl_socket_open(NETLINK_ROUTE);

    if (!socket || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0)
        return -errno;
    for (size_t i = 0; i < n_groups; i++) {
        int group = groups[i];

        if (mnl_socket_setsockopt(socket, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
            return -errno;
    }
    *ret_socket = TAKE_PTR(socket);
    return 0;
}

void netlink_close(struct mnl_socket *socket)
{
    if (socket)
        mnl_socket_close(socket);
}

/* Linux marks one message of a list that changed while it was being read, perhaps the last, and mnl_cb_run would pass over all
 * that stands behind it in the buffer: waiting for an end that it has eaten.  Takes the marks away; says whether there were any. */
static bool unmark_interrupted(char *buffer, int size)
{
    bool interrupted = false;

    for (struct nlmsghdr *message = (struct nlmsghdr *)buffer; mnl_nlmsg_ok(message, size);
         message = mnl_nlmsg_next(message, &size)) {
        interrupted = interrupted || message->nlmsg_flags & NLM_F_DUMP_INTR;
        message->nlmsg_flags &= (uint16_t)~NLM_F_DUMP_INTR;
    }
    return interrupted;
}

/* Returns 0, 1 (the list changed meanwhile and may lack some), or -errno. */
static int ask(struct mnl_socket *socket, struct nlmsghdr *message, mnl_cb_t visit, void *context)
{
    static unsigned sequence;
    char buffer[BUFFER_SIZE];
    bool interrupted = false;
    int result = MNL_CB_OK;

    message->nlmsg_seq = ++sequence;
    if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
        return -errno;
    while (result > MNL_CB_STOP) {
        ssize_t size = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));

        if (size < 0)
            return -errno;
        interrupted = unmark_interrupted(buffer, (int)size) || interrupted;
        result = mnl_cb_run(buffer, (size_t)size, message->nlmsg_seq, mnl_socket_get_portid(socket), visit, context);
    }
    return result < 0 ? -errno : interrupted;
}

int netlink_request(struct mnl_socket *socket, struct nlmsghdr *message, mnl_cb_t visit, void *context)
{
    _cleanup_(netlink_closep) struct mnl_socket *own = NULL;
    int result = socket ? 0 : netlink_open(NULL, 0, &own);

    if (result < 0)
        return result;
    message->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
    for (unsigned i = 0; i < DUMP_TRIES; i++) {
        result = ask(socket ? socket : own, message, visit, context);
        if (result <= 0)
            return result;
    }
    return 0;
}

int netlink_read(struct mnl_socket *socket, mnl_cb_t visit, void *context)
{
    char buffer[BUFFER_SIZE];

    for (;;) {
        ssize_t size = recv(mnl_socket_get_fd(socket), buffer, sizeof(buffer), MSG_DONTWAIT);

        if (size < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (size == 0)
            return 0;
        mnl_cb_run(buffer, (size_t)size, 0, 0, visit, context);
    }
}
