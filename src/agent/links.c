/* Following interfaces: see links.h. */
#include "weft/agent/links.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "weft/base/cleanup.h"
#include "weft/base/log.h"
#include "weft/base/util.h"

#define DUMP_TRIES 5 /* While the list changes under the reading. */
#define RECEIVE_BUFFER (8 << 20) /* A thousand interfaces made at once must not overrun it. */

const struct link *links_find(const struct links *links, uint32_t ifindex)
{
    struct hashmap_node *node = hashmap_find(&links->by_index, &ifindex, sizeof(ifindex));

    return node ? CONTAINER_OF(node, struct link, by_index) : NULL;
}

const struct link *links_find_name(const struct links *links, const char *name)
{
    struct hashmap_node *node = hashmap_find(&links->by_name, name, strlen(name));

    return node ? CONTAINER_OF(node, struct link, by_name) : NULL;
}

/* ---- what a message says --------------------------------------------------------------------------------------------------- */

static int parse_info(const struct nlattr *attribute, void *context)
{
    struct link *link = context;

    if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND)
        string_copy(link->kind, sizeof(link->kind), mnl_attr_get_str(attribute));
    return MNL_CB_OK;
}

static int parse_attribute(const struct nlattr *attribute, void *context)
{
    struct link *link = context;

    switch (mnl_attr_get_type(attribute)) {
    case IFLA_IFNAME:
        string_copy(link->name, sizeof(link->name), mnl_attr_get_str(attribute));
        break;
    case IFLA_MTU:
        link->mtu = mnl_attr_get_u32(attribute);
        break;
    case IFLA_ADDRESS:
        if (mnl_attr_get_payload_len(attribute) == sizeof(link->mac))
            memcpy(link->mac, mnl_attr_get_payload(attribute), sizeof(link->mac));
        break;
    case IFLA_LINK_NETNSID:
        link->peer_elsewhere = true;
        break;
    case IFLA_LINKINFO:
        mnl_attr_parse_nested(attribute, parse_info, link);
        break;
    }
    return MNL_CB_OK;
}

static void forget(struct links *links, struct link *link)
{
    hashmap_remove(&links->by_index, &link->by_index);
    if (links_find_name(links, link->name) == link)
        hashmap_remove(&links->by_name, &link->by_name);
    free(link);
}

static int remember(struct links *links, const struct link *said)
{
    struct link *link = (struct link *)links_find(links, said->ifindex), *namesake;
    uint64_t incarnation = link ? link->incarnation : ++links->n_incarnations;

    if (link)
        forget(links, link);
    link = malloc(sizeof(*link));
    if (!link)
        return -ENOMEM;
    *link = *said;
    link->incarnation = incarnation;
    namesake = (struct link *)links_find_name(links, link->name);
    if (namesake) /* It was deleted or renamed, and that message is still to come. */
        forget(links, namesake);
    if (hashmap_insert(&links->by_index, &link->by_index, &link->ifindex, sizeof(link->ifindex)) < 0 ||
        hashmap_insert(&links->by_name, &link->by_name, link->name, strlen(link->name)) < 0)
        return -ENOMEM;
    return 0;
}

static int take_message(const struct nlmsghdr *message, void *context)
{
    const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
    struct links *links = context;
    struct link link = {0}, *known;

    if ((message->nlmsg_type != RTM_NEWLINK && message->nlmsg_type != RTM_DELLINK) || info->ifi_family != AF_UNSPEC)
        return MNL_CB_OK; /* AF_BRIDGE: a bridge's view of its port, not the interface. */
    link.ifindex = (uint32_t)info->ifi_index;
    link.up = info->ifi_flags & IFF_UP;
    mnl_attr_parse(message, sizeof(*info), parse_attribute, &link);
    known = (struct link *)links_find(links, link.ifindex);
    if (message->nlmsg_type == RTM_DELLINK) {
        if (known)
            forget(links, known);
    } else if (link.name[0]) {
        remember(links, &link);
    }
    return MNL_CB_OK;
}

/* ---- the socket ----------------------------------------------------------------------------------------------------------------- */

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

/* Adds what the kernel lists.  Returns 0, 1 (the list changed meanwhile and may lack some), or -errno. */
static int list_links(struct links *links, struct mnl_socket *socket, unsigned sequence)
{
    char request[256], buffer[32768];
    struct nlmsghdr *message = mnl_nlmsg_put_header(request);
    bool interrupted = false;
    int result = MNL_CB_OK;

    message->nlmsg_type = RTM_GETLINK;
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    message->nlmsg_seq = sequence;
    mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
    if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
        return -errno;
    while (result > MNL_CB_STOP) {
        ssize_t size = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));

        if (size < 0)
            return -errno;
        interrupted = unmark_interrupted(buffer, (int)size) || interrupted;
        result = mnl_cb_run(buffer, (size_t)size, sequence, mnl_socket_get_portid(socket), take_message, links);
    }
    return result < 0 ? -errno : interrupted;
}

static int dump(struct links *links)
{
    struct mnl_socket *socket = mnl_socket_open(NETLINK_ROUTE);
    int result = 1;

    if (!socket || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
        result = -errno;
        if (socket)
            mnl_socket_close(socket);
        return result;
    }
    HASHMAP_FOREACH(node, &links->by_index)
        forget(links, CONTAINER_OF(node, struct link, by_index));
    for (unsigned i = 1; i <= DUMP_TRIES && result == 1; i++)
        result = list_links(links, socket, i);
    mnl_socket_close(socket);
    return result < 0 ? result : 0; /* What still changes comes by itself. */
}

static void readable(uv_poll_t *poll, int status, int events)
{
    struct links *links = poll->data;
    char buffer[32768];

    for (;;) {
        ssize_t size = recv(mnl_socket_get_fd(links->socket), buffer, sizeof(buffer), MSG_DONTWAIT);

        if (size < 0 && errno == ENOBUFS) {
            log_warning("interfaces changed faster than they could be read; reading all anew");
            dump(links);
            continue;
        }
        if (size <= 0)
            break;
        mnl_cb_run(buffer, (size_t)size, 0, 0, take_message, links);
    }
    links->changed(links->context);
}

int links_open(struct links *links, uv_loop_t *loop, void (*changed)(void *context), void *context, struct error *error)
{
    int group = RTNLGRP_LINK, size = RECEIVE_BUFFER, result;

    *links = (struct links){.changed = changed, .context = context, .socket = mnl_socket_open(NETLINK_ROUTE)};
    if (!links->socket || mnl_socket_bind(links->socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
        mnl_socket_setsockopt(links->socket, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
        return error_set(error, -errno, NULL, "cannot follow interfaces: %s", strerror(errno));
    setsockopt(mnl_socket_get_fd(links->socket), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
    result = dump(links);
    if (result < 0)
        return error_set(error, result, NULL, "cannot list interfaces: %s", strerror(-result));
    uv_poll_init(loop, &links->poll, mnl_socket_get_fd(links->socket));
    links->poll.data = links;
    uv_poll_start(&links->poll, UV_READABLE, readable);
    return 0;
}

void links_close(struct links *links)
{
    if (links->poll.data)
        uv_poll_stop(&links->poll);
    HASHMAP_FOREACH(node, &links->by_index)
        forget(links, CONTAINER_OF(node, struct link, by_index));
    hashmap_clear(&links->by_index);
    hashmap_clear(&links->by_name);
    if (links->socket)
        mnl_socket_close(links->socket);
}
